// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_by_benefit.hpp
/// FLEET that asks what its next bytes would be worth, takes answers of the device and the cloud at thresholds of their own, and stops
/// sending over a link that brings nothing.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/policy/local_early_exit.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace splitdsl::policy {

inline constexpr int max_benefit_streams = 16;
inline constexpr int max_benefit_sizes = 16;
inline constexpr int max_link_states = 8;

/// From which confidence on each answer counts while the link is as good as `rate_up` says, or better.
struct answer_thresholds {
    bits_per_second rate_up{}; ///< the least, as `link_view` measures it
    bool send{true};           ///< false: nothing is sent but probes; the link is not worth its energy
    std::array<float, max_benefit_streams> cloud = all(never_sure);
    std::array<float, max_exits> local = all_local(never_sure);

    static constexpr std::array<float, max_benefit_streams> all(float t) {
        std::array<float, max_benefit_streams> a{};
        a.fill(t);
        return a;
    }
    static constexpr std::array<float, max_exits> all_local(float t) {
        std::array<float, max_exits> a{};
        a.fill(t);
        return a;
    }
};

struct benefit_options {
    fleet_options fleet{}; ///< streams, sizes, thresholds, exits on the device
    /// `sure[k][b][h]`: share of the validation pictures of whose answer the cloud is sure, given h sizes of stream k and b of the one
    /// before.
    std::array<std::array<std::array<float, max_benefit_sizes + 1>, max_benefit_sizes + 1>, max_benefit_streams> sure{};
    std::array<std::array<std::int64_t, max_benefit_sizes>, max_benefit_streams> size_bytes{}; ///< cumulative
    std::array<duration, max_stages> stage_time{};
    int stages{};
    /// A size is worth sending if the share it makes sure is at least this much a byte; 0: all sizes are. Saves energy, costs answers.
    double least_gain_per_byte{};
    /// Thresholds for `states` states of the link, the best one first; of those whose rate is reached the first counts, and the last one
    /// below all of them. 0 states: `fleet`'s thresholds always count.
    std::array<answer_thresholds, max_link_states> thresholds{};
    int states{};
    /// While nothing is worth sending, each so-many-th frame sends all the same, or the link's rate would never be known to have come back.
    int probe_every{32};
};

/// Not in the paper. Where FLEET always drops the old stream, this policy compares, for the time of the next stage and the link's measured
/// rate, by how much either would raise the probability that the cloud is sure, given that it was not so far: (sure after - sure now) / (1
/// - sure now). The new stream is begun if that is worth at least as much; otherwise the old one goes on. Sizes that bring too little a
/// byte are not sent, and nothing is begun that cannot arrive before the trunk is done.
///
/// Where FLEET has one threshold for the cloud and no exits on the device, this policy has a threshold for each stream and each exit, and
/// sets of them for links of different rates: what an answer must be sure of depends on what the next one will know, and when it comes.
/// `sim::link_thresholds` finds them together. The set is chosen at a frame's start and kept for the frame.
///
/// O(sizes + states) per decision; about 21 KB of tables, copied with the policy. Refused by the constructor (option_error): what `fleet`
/// refuses, more than 16 streams or sizes or 8 states, shares outside 0 to 1, stages out of range, rates that do not fall, thresholds that
/// are no numbers of at least 0, probes in no frame.
class fleet_by_benefit {
public:
    static constexpr bool streams = true;

    explicit fleet_by_benefit(const benefit_options& o) : plain(o.fleet), options(o) {
        const auto refuse = [](const std::string& expected, const std::string& found) {
            throw option_error("policy fleet_by_benefit: expected " + expected + ", found " + found);
        };
        if (o.fleet.streams > max_benefit_streams) refuse("at most 16 streams", std::to_string(o.fleet.streams));
        if (o.stages < 1 || o.stages > max_stages) refuse("1 to 64 stages", std::to_string(o.stages));
        if (!(o.least_gain_per_byte >= 0)) refuse("a gain a byte of at least 0", splitdsl::detail::number_text(o.least_gain_per_byte));
        for (int k = 0; k < o.fleet.streams; ++k) {
            if (o.fleet.levels[at(k)] > max_benefit_sizes) refuse("at most 16 sizes of a stream", std::to_string(o.fleet.levels[at(k)]));
            for (const auto& row : o.sure[at(k)])
                for (const float p : row)
                    if (!(p >= 0 && p <= 1)) refuse("shares from 0 to 1", splitdsl::detail::number_text(p));
        }
        if (o.states < 0 || o.states > max_link_states) refuse("0 to 8 states of the link", std::to_string(o.states));
        if (o.probe_every < 1) refuse("a probe every frame or less often", std::to_string(o.probe_every));
        for (int i = 0; i < o.states; ++i) {
            const answer_thresholds& t = o.thresholds[at(i)];
            if (!(t.rate_up.value >= 0) || (i > 0 && !(t.rate_up.value < o.thresholds[at(i - 1)].rate_up.value)))
                refuse("rates of the link's states that fall", splitdsl::detail::number_text(t.rate_up.value));
            const auto bad = [](float v) { return !(v >= 0); };
            if (std::any_of(t.cloud.begin(), t.cloud.end(), bad) || std::any_of(t.local.begin(), t.local.end(), bad))
                refuse("thresholds of at least 0", "another in state " + std::to_string(i));
        }
    }

    constexpr action on(frame_start f, const link_view& link, const budget&) noexcept {
        current = -1;
        before = got = 0;
        state = 0;
        while (state + 1 < options.states && (!link.up || link.rate_up < options.thresholds[at(state)].rate_up)) ++state;
        quiet = options.states > 0 && !options.thresholds[at(state)].send && f.frame % static_cast<std::uint32_t>(options.probe_every) != 0;
        return action::go_on();
    }
    constexpr action on(stage_done s, const link_view& link, const budget& b) noexcept {
        if (options.states > 0 && s.exit >= 0 && s.exit < max_exits && s.confidence >= options.thresholds[at(state)].local[at(s.exit)])
            return action::answer_with(s.exit);
        const action usual = plain.on(s, link, b);
        if (usual.what != action::kind::stream) return usual;
        if (quiet) return action::go_on();
        const int k = usual.stream;
        // Acknowledgements come an interval late: what should have left by now counts as well.
        if (current >= 0) got = std::max(got, std::min(sending, fitting(current, (link.rate_up * (b.now - begun)).value)));
        const int whole = worth_sending(k, k == current + 1 ? got : 0);
        if (whole == 0 || !can_arrive(k, s.stage, link)) return action::go_on();
        const duration next = s.stage + 1 < options.stages ? options.stage_time[at(s.stage + 1)] : duration{};
        const double bytes_then = (link.rate_up * next).value;
        if (current >= 0) {
            const double now = share(current, before, got);
            const int old_size = std::min(
                sending, fitting(current, static_cast<double>(got > 0 ? options.size_bytes[at(current)][at(got - 1)] : 0) + bytes_then));
            const double by_old = share(current, before, std::max(old_size, got)) - now;
            const double by_new = share(k, k == current + 1 ? got : 0, fitting(k, bytes_then)) - now;
            if (by_old > std::max(by_new, 0.0)) return action::go_on(); // both are divided by 1 - now
        }
        before = k == current + 1 ? got : 0;
        current = k;
        got = 0;
        sending = whole;
        begun = b.now;
        return {.what = action::kind::stream, .stream = k, .level = whole - 1};
    }
    constexpr verdict on(reply_arrived r, const link_view& link, const budget& b) noexcept {
        if (options.states == 0) return plain.on(r, link, b);
        const bool known = r.exit >= 0 && r.exit < options.fleet.streams;
        return known && r.confidence >= options.thresholds[at(state)].cloud[at(r.exit)] ? verdict::accept : verdict::keep_going;
    }
    constexpr action on(link_event e, const link_view& link, const budget& b) noexcept {
        if (e.what == link_event::kind::acknowledged && e.stream == current) got = std::max(got, e.level + 1);
        return plain.on(e, link, b);
    }

    const benefit_options& plan() const { return options; }

private:
    static constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }
    constexpr int levels(int k) const { return options.fleet.levels[at(k)]; }
    constexpr double share(int k, int b, int h) const {
        return static_cast<double>(options.sure[at(k)][at(std::clamp(b, 0, max_benefit_sizes))][at(std::clamp(h, 0, max_benefit_sizes))]);
    }
    /// Sizes of a stream within so many bytes.
    constexpr int fitting(int k, double most) const {
        int n = 0;
        while (n < levels(k) && static_cast<double>(options.size_bytes[at(k)][at(n)]) <= most) ++n;
        return n;
    }
    /// Sizes up to the last one that brings enough a byte, counted from the last one worth it.
    constexpr int worth_sending(int k, int b) const {
        int kept = 0;
        double from = 0;
        std::int64_t bytes_from = 0;
        for (int h = 1; h <= levels(k); ++h) {
            const double gain = share(k, b, h) - from;
            const std::int64_t size = options.size_bytes[at(k)][at(h - 1)] - bytes_from;
            if (gain < options.least_gain_per_byte * static_cast<double>(size)) continue;
            kept = h;
            from = share(k, b, h);
            bytes_from = options.size_bytes[at(k)][at(h - 1)];
        }
        return kept;
    }
    /// Whether the smallest size and an answer to it fit what the trunk still takes.
    constexpr bool can_arrive(int k, int stage, const link_view& link) const {
        duration rest{};
        for (int i = stage + 1; i < options.stages; ++i) rest += options.stage_time[at(i)];
        return rest > link.rtt / 2 && (link.rate_up * rest).value >= static_cast<double>(options.size_bytes[at(k)][0]);
    }

    fleet plain;
    benefit_options options;
    int current{-1}; // the stream that is being sent
    int before{};    // sizes of the stream before it that arrived
    int got{};       // sizes of it that arrived, as far as is known
    int sending{};   // sizes of it that were asked for
    int state{};     // of the link, as this frame began
    bool quiet{};    // nothing is sent in this frame
    instant begun{};
};
static_assert(scheduler_policy<fleet_by_benefit> && falls_back_v<fleet_by_benefit>);

} // namespace splitdsl::policy
