// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file partition.hpp
/// One cut a frame, in order: head here, features over the link, rest on the cloud. NeuroSurgeon chooses it, CLIO widens what it sends.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/policy/offload_cost.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace splitdsl::policy {

inline constexpr int max_payload_sizes = 16; ///< encodings of one cut's payload

/// A radio that sleeps between bursts, as negotiated before the first frame; `interval` 0 stands for one that never sleeps.
struct duty_cycle {
    duration interval{};
    int packet_bytes{}; ///< of the user's, in one packet
    int packets{};      ///< of one burst
    duration packet_time{};
};

/// Expected time from handing a payload over to its last packet's arrival: half an interval until the next burst, whole intervals for all
/// bursts but the last, and the last one's packets. 1004 bytes as 4 packets of 251 in bursts of 2 every 10 ms: 5 + 10 + 2 packet times.
constexpr duration upload_in_bursts(bytes payload, const duty_cycle& d) {
    const auto size = static_cast<std::int64_t>(payload.value < 1e9 ? payload.value : 1e9); // years already
    const std::int64_t packets = size <= 0 ? 1 : (size + d.packet_bytes - 1) / d.packet_bytes;
    const std::int64_t bursts = (packets + d.packets - 1) / d.packets;
    return d.interval / 2 + (bursts - 1) * d.interval + (packets - (bursts - 1) * d.packets) * d.packet_time;
}
/// Expected time of the answer's way back, which waits for the burst after the cloud is done: from the last packet's arrival.
constexpr duration answer_in_bursts(duration cloud, const duty_cycle& d) { return (cloud / d.interval + 1) * d.interval; }

struct partition_options {
    /// `payload[k][z]`: cut k's bytes in size z, smallest first.
    std::array<std::array<bytes, max_payload_sizes>, max_cuts> payload{};
    std::array<std::int8_t, max_cuts> sizes{}; ///< 0: the deployment's payload alone; -1: not a place to cut
    /// The largest size whose answer is expected within this time is sent. 0: always the smallest.
    duration target{};
    duty_cycle radio{};                         ///< interval 0: the link's measured rate alone
    duration staleness{std::chrono::hours{24}}; ///< as in `usable`
    bool inputs{false};                         ///< the whole input is a candidate too
};

/// Where to cut, and what to expect of it. cut -2: stay here; -1: the whole input.
struct partition_choice {
    int cut{-2};
    int size{-1};
    duration expected{};
};

/// NeuroSurgeon (Kang et al. 2017) with FLEET's adaptation of sizes: at a frame's start it predicts, for every cut, head + upload + cloud +
/// way back at the link as measured, takes at each the largest size that keeps `target` (or the smallest if none does), and of these the
/// fastest, or the device if that is faster. At the cut the size is chosen again with the link of that moment. O(cuts x sizes), no
/// allocation. A lossy radio's bursts are stretched by the measured share that arrives: rate_up / rate of the bursts. Refused by the
/// constructor (option_error): what `check_deployment` refuses, sizes out of range or not growing, a burst without packets.
class neurosurgeon {
public:
    static constexpr bool streams = true; ///< live, a cut's sizes are those of the stream behind it

    neurosurgeon(const deployment& d, const partition_options& o) : plan(d), options(o) {
        check_deployment(d);
        const auto refuse = [](const std::string& expected, const std::string& found) {
            throw option_error("policy neurosurgeon: expected " + expected + ", found " + found);
        };
        for (int k = 0; k < d.cuts; ++k) {
            const int n = o.sizes[index(k)];
            if (n < -1 || n > max_payload_sizes)
                refuse("-1 to " + std::to_string(max_payload_sizes) + " sizes of a cut", std::to_string(n));
            for (int z = 0; z < n; ++z)
                if (!(o.payload[index(k)][index(z)].value > (z > 0 ? o.payload[index(k)][index(z - 1)].value : 0)))
                    refuse("growing sizes above 0 at cut " + std::to_string(k), splitdsl::detail::number_text(o.payload[index(k)][index(z)].value));
        }
        if (o.radio.interval.count() < 0 || (o.radio.interval.count() > 0 && (o.radio.packet_bytes < 1 || o.radio.packets < 1)))
            refuse("bursts of at least one packet of at least one byte",
                   std::to_string(o.radio.packets) + " of " + std::to_string(o.radio.packet_bytes));
    }

    constexpr action on(frame_start, const link_view& link, const budget&) noexcept {
        chosen = choose(link);
        if (chosen.cut == -1) return action::offload_at(-1, 0);
        if (chosen.cut >= 0) return action::go_on();
        const stay_reason why = unusable(link, options.staleness);
        return action::go_on(why != stay_reason::none ? why : stay_reason::no_saving);
    }
    constexpr action on(stage_done s, const link_view& link, const budget&) noexcept {
        if (chosen.cut < 0 || s.cut != chosen.cut) return action::go_on();
        if (!usable(link, options.staleness)) return action::go_on(unusable(link, options.staleness));
        const partition_choice now = at_cut(chosen.cut, link);
        return action::offload_at(now.cut, now.size);
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

    /// The decision at a frame's start, for reports too.
    constexpr partition_choice choose(const link_view& link) const noexcept {
        partition_choice best{.expected = plan.edge_total};
        if (!usable(link, options.staleness)) return best;
        if (options.inputs)
            if (const duration t = expected(duration{}, plan.input, plan.cloud_total, link); t < best.expected) best = {-1, 0, t};
        for (int k = 0; k < plan.cuts; ++k) {
            if (options.sizes[index(k)] < 0) continue;
            if (const partition_choice c = at_cut(k, link); c.expected < best.expected) best = c;
        }
        return best;
    }

private:
    static constexpr std::size_t index(int i) { return static_cast<std::size_t>(i); }

    constexpr partition_choice at_cut(int k, const link_view& link) const noexcept {
        const cut_cost& c = plan.cut[k];
        if (options.sizes[index(k)] == 0) return {k, -1, expected(c.edge_head, c.payload, c.cloud_tail, link)};
        partition_choice best{};
        for (int z = 0; z < options.sizes[index(k)]; ++z) {
            const duration t = expected(c.edge_head, options.payload[index(k)][index(z)], c.cloud_tail, link);
            if (z > 0 && t > options.target) break; // sizes grow, and so do their times
            best = {k, z, t};
        }
        return best;
    }
    constexpr duration expected(duration head, bytes payload, duration cloud, const link_view& link) const noexcept {
        if (options.radio.interval.count() == 0) return saturating_sum(head, cost_of_offload(plan, payload, cloud, link).until_answer);
        const duty_cycle& d = options.radio;
        const double nominal = 8.0 * d.packet_bytes * d.packets / to_seconds(d.interval);
        const double arrives = link.rate_up.value >= nominal ? 1 : link.rate_up.value / nominal;
        if (arrives <= 0) return from_seconds(4.6e9);
        return saturating_sum(saturating_sum(head, upload_in_bursts({payload.value / arrives}, d)), answer_in_bursts(cloud, d));
    }

    deployment plan;
    partition_options options;
    partition_choice chosen{};
};
static_assert(scheduler_policy<neurosurgeon> && falls_back_v<neurosurgeon>);

struct clio_options {
    int cut{};
    int widths{1};       ///< of the cut's payload, narrowest first: the first of its channels, then more; the cloud answers each
    float threshold{1};  ///< an answer from a narrower width counts from this confidence on
    duration patience{}; ///< once so long after the offload began, any answer does; 0: no such limit
};

/// CLIO (Huang et al. 2020): one cut, whose channels go out in widths, narrowest first; the cloud answers each width, and the device takes
/// the first answer that is sure, the one of the full width, or any once its patience is at an end. It computes nothing meanwhile. Its
/// action is an offload with `level` = the last width: widths 0 to `level` one after the other. Without a link it stays local. Refused by
/// the constructor (option_error): a cut or a number of widths out of range, a threshold below 0, a negative patience.
class clio {
public:
    static constexpr bool streams = true; ///< live, its widths are those of the stream behind the cut (lang/widths.hpp)

    explicit clio(const clio_options& o) : options(o) {
        const auto refuse = [](const std::string& expected, const std::string& found) {
            throw option_error("policy clio: expected " + expected + ", found " + found);
        };
        if (o.cut < 0 || o.cut >= max_cuts) refuse("a cut of 0 to " + std::to_string(max_cuts - 1), std::to_string(o.cut));
        if (o.widths < 1 || o.widths > max_payload_sizes)
            refuse("1 to " + std::to_string(max_payload_sizes) + " widths", std::to_string(o.widths));
        if (!(o.threshold >= 0)) refuse("a threshold of at least 0", splitdsl::detail::number_text(o.threshold));
        if (o.patience.count() < 0) refuse("a patience of at least 0 ms", splitdsl::detail::number_text(to_milliseconds(o.patience)));
    }
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view& link, const budget&) noexcept {
        if (s.cut != options.cut) return action::go_on();
        if (!link.up) return action::go_on(stay_reason::link_down);
        return {.what = action::kind::offload, .cut = options.cut, .level = options.widths - 1};
    }
    constexpr verdict on(reply_arrived r, const link_view&, const budget&) noexcept {
        const bool last = r.exit + 1 >= options.widths;
        const bool late = options.patience.count() > 0 && r.since_offload >= options.patience;
        return last || late || r.confidence >= options.threshold ? verdict::accept : verdict::keep_going;
    }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

private:
    clio_options options;
};
static_assert(scheduler_policy<clio> && falls_back_v<clio>);

} // namespace splitdsl::policy
