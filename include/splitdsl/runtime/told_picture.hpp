// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file told_picture.hpp
/// What the reader of a connection believes of it, as every other thread may ask.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/counters.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace splitdsl::detail {

/// One thread at a time tells; no call waits. Each word is recent, the whole need not be of one moment.
class told_picture {
public:
    void tell(const link_view& v, instant now) noexcept {
        cells.store({std::bit_cast<std::uint64_t>(v.rate_up.value), std::bit_cast<std::uint64_t>(v.rate_down.value), v.rtt.count(),
                     v.age == duration::max() ? never_sampled : (now - v.age).time_since_epoch().count()});
    }
    /// Without `up` and `busy`, which only the session knows.
    link_view view(instant now) const noexcept {
        const words w = cells.load();
        link_view v{};
        v.rate_up = {std::bit_cast<double>(w.rate_up)};
        v.rate_down = {std::bit_cast<double>(w.rate_down)};
        v.rtt = duration{w.rtt};
        v.age = w.sampled == never_sampled ? duration::max() : now - instant{duration{w.sampled}};
        return v;
    }
    /// What a request and its answer take beside the request's bytes and the computing: the round trip, and the answer's bytes.
    duration way(std::size_t answer_bytes) const noexcept {
        const words w = cells.load();
        const double down = std::bit_cast<double>(w.rate_down), bits = 8.0 * static_cast<double>(answer_bytes);
        return duration{w.rtt} + (down > bits ? from_seconds(bits / down) : duration{}); // not measured, or so slow that it is no measure: it adds nothing
    }

private:
    struct words {
        std::uint64_t rate_up{}, rate_down{};
        std::int64_t rtt{}, sampled{never_sampled};
    };
    static constexpr std::int64_t never_sampled = INT64_MIN;
    shared_counters<words> cells;
};

} // namespace splitdsl::detail
