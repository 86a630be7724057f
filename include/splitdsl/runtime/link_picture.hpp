// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file link_picture.hpp
/// What the runtime believes of its link, fed by replies, pongs and silence; the live session and the simulator share it.
#pragma once

#include <splitdsl/link/estimator.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <algorithm>

namespace splitdsl {

/// Pure: time comes in, a `link_view` (without `up` and `busy`, which only the owner knows) comes out.
class link_picture {
public:
    /// An answer to a message handed over at `sent`: how the peer saw it arrive, how long it worked on it, and how long the answer itself took to come.
    void answered(instant now, instant sent, const link::received_transfer& seen, duration service, duration reply_time = {}) {
        last_heard = now;
        if (spans_silence(sent)) return;
        const auto before = estimate.up.age(now);
        estimate.observe_exchange(now, seen, {.bytes_up = seen.bytes, .elapsed = now - sent, .service = service, .reply_time = reply_time});
        // Too quick to be measured: the rate is at least what the shortest visible air time would mean. Without this a fast link stays
        // unknown. One that is known to be faster is as fast as was expected: else nothing but a message as large as its largest would keep it fresh.
        if (estimate.up.age(now) == before && estimate.rtt.known()) {
            if (const bits_per_second least = rate_of(seen.bytes, shortest_air); !(estimate.up.average() > least)) estimate.up.observe(now, least);
            else estimate.up.agrees(now);
        }
    }
    /// A reply's own way down, by our receive times.
    void received(instant now, const link::received_transfer& reply) {
        last_heard = now;
        if (const auto rate = link::rate_by_spread(reply)) estimate.down.observe(now, *rate);
    }
    /// An empty question came back.
    void ponged(instant now, instant sent, duration service) {
        last_heard = now;
        if (!spans_silence(sent)) estimate.rtt.observe(now, std::max(now - sent - service, duration{}));
    }
    /// The other side speaks again after a silence. What was asked before says how long that was, not what the link is: one such round trip of seconds in the average would keep frames
    /// from a link that is back for as long again.
    void silence_ended(instant now) { spoke_again = now; }
    /// The rate cannot be above what would have brought `bytes_up` over in the time `waited` for their answer in vain.
    static bits_per_second at_most(bits_per_second rate, std::size_t bytes_up, duration waited) {
        if (waited <= duration{}) return rate;
        return std::min(rate, bits_per_second{static_cast<double>(bytes_up) * 8 / to_seconds(waited)});
    }

    link_view view(instant now) const {
        link_view v{};
        v.rate_up = estimate.up.conservative(now);
        if (estimate.down.known()) v.rate_down = estimate.down.conservative(now);
        v.rtt = estimate.rtt.average();
        v.age = estimate.age(now);
        return v;
    }
    instant heard() const { return last_heard; }
    bool rate_known() const { return estimate.up.known(); }
    const link::link_estimator& estimator() const { return estimate; }
    link::link_estimator& estimator() { return estimate; }

private:
    /// Where nothing is known yet, a silence too is better than nothing.
    bool spans_silence(instant sent) const { return sent < spoke_again && estimate.rtt.known(); }
    static constexpr duration shortest_air = std::chrono::microseconds{500}; // as in link::rate_by_spread
    static constexpr bits_per_second rate_of(std::size_t volume, duration t) { return {static_cast<double>(volume) * 8 / to_seconds(t)}; }

    link::link_estimator estimate{};
    instant last_heard{}, spoke_again{instant::min()};
};

} // namespace splitdsl
