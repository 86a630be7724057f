// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file spinn.hpp
/// SPINN: where to cut and how sure an early exit has to be, chosen together for every frame, by the link and by the device's own pace.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/offload_cost.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace splitdsl::policy {

inline constexpr int max_thresholds = 16;

/// What the device's exits do at each of a few thresholds, by answers to validation pictures: sim/spinn_setup.hpp computes it.
struct exit_profile {
    int exits{}, thresholds{};
    std::array<float, max_thresholds> threshold{}; ///< growing
    std::array<std::array<float, max_exits>, max_thresholds>
        leaves{}; ///< [t][e]: share of all frames that exit e is the first to be sure of
    std::array<std::array<float, max_cuts>, max_thresholds>
        accuracy{};                            ///< [t][k]: of all frames, with the exits in front of cut k and the cloud behind it
    std::array<float, max_thresholds> alone{}; ///< [t]: with all exits, and the device's own answer behind them
    float input{};                             ///< of the cloud's answers to whole inputs
};

enum class spinn_goal : std::uint8_t {
    fastest,      ///< the least expected time whose accuracy is `accuracy` at least; the most accurate where none is
    most_accurate ///< the highest accuracy expected within `latency`; the fastest where none is
};

struct spinn_options {
    std::array<duration, max_exits> exit_after{};     ///< a frame's start to that exit's answer, exits in front of it included
    std::array<std::int8_t, max_cuts> exits_before{}; ///< how many exits are asked before cut k; -1: not a place to cut
    spinn_goal goal{spinn_goal::fastest};
    double accuracy{};
    duration latency{};
    duration staleness{std::chrono::hours{24}}; ///< as in `usable`
    bool inputs{false};                         ///< the whole input is a candidate too
};

/// What a frame's start decided. cut -2: nothing is sent; -1: the whole input.
struct spinn_choice {
    int cut{-2};
    int threshold{};     ///< an index of the profile's
    duration expected{}; ///< mean over frames, exits taken included
    double accuracy{};
};

/// Progressive inference over device and cloud (Laskaridis et al., MobiCom 2020). At a frame's start it goes through all pairs of a cut and
/// a threshold, with the time of each by the link as measured and by how much slower than planned the device was lately, and keeps the pair
/// that `goal` asks for. Then the first exit that is sure enough answers; a frame that reaches the cut goes on in the cloud. Without a
/// link, then or at the cut, the device goes on alone, and its later exits still answer: what the authors call robust. Not here: exits
/// behind the cut, in the cloud, are not asked, and what crosses is the cut's own codec, without a lossless code behind it. The
/// deployment's heads and its `edge_total` include the exits' own time. O(thresholds x cuts x exits) a frame, no allocation. Refused by the
/// constructor (option_error): what `check_deployment` refuses, exits or thresholds out of range or order, shares that are none, times
/// below 0.
///
/// ```cpp
/// const auto setup = sim::spinn_of(network, times, answers, thresholds, wire);       // costs, profile and places of exits
/// policy::spinn p{setup.costs, setup.profile, setup.options};
/// ```
class spinn {
public:
    spinn(const deployment& d, const exit_profile& p, const spinn_options& o) : plan(d), profile(p), options(o) {
        check_deployment(d);
        if (p.exits < 1 || p.exits > max_exits) refuse("1 to " + std::to_string(max_exits) + " exits", std::to_string(p.exits));
        if (p.thresholds < 1 || p.thresholds > max_thresholds)
            refuse("1 to " + std::to_string(max_thresholds) + " thresholds", std::to_string(p.thresholds));
        if (!(o.accuracy >= 0 && o.accuracy <= 1)) refuse("an accuracy from 0 to 1", splitdsl::detail::number_text(o.accuracy));
        if (o.latency.count() < 0) refuse("a latency of at least 0 ms", splitdsl::detail::number_text(to_milliseconds(o.latency)));
        share("accuracy of whole inputs", p.input);
        for (int t = 0; t < p.thresholds; ++t) check_threshold(t);
        for (int e = 0; e < p.exits; ++e)
            if (o.exit_after[at(e)].count() < 0 || (e > 0 && o.exit_after[at(e)] < o.exit_after[at(e - 1)]))
                refuse("exits one behind the other",
                       "exit " + std::to_string(e) + " at " + splitdsl::detail::number_text(to_milliseconds(o.exit_after[at(e)])) + " ms");
        for (int k = 0; k < d.cuts; ++k)
            if (o.exits_before[at(k)] < -1 || o.exits_before[at(k)] > p.exits)
                refuse("-1 to " + std::to_string(p.exits) + " exits before cut " + std::to_string(k),
                       std::to_string(o.exits_before[at(k)]));
    }

    constexpr action on(frame_start, const link_view& link, const budget& left) noexcept {
        if (seen > 0) pace += (seen - pace) / 8; // of the frame before, by the last place it reached
        seen = 0;
        began = left.now;
        chosen = choose(link);
        if (chosen.cut == -1) return action::offload_at(-1, 0);
        if (chosen.cut >= 0) return action::go_on();
        const stay_reason why = unusable(link, options.staleness);
        return action::go_on(why != stay_reason::none ? why : stay_reason::no_saving);
    }
    constexpr action on(stage_done s, const link_view& link, const budget& left) noexcept {
        if (s.exit >= 0 && s.exit < profile.exits) {
            note(left.now - began, options.exit_after[at(s.exit)]);
            if (s.confidence >= profile.threshold[at(chosen.threshold)]) return action::answer_with(s.exit);
        } else if (s.cut >= 0 && s.cut < plan.cuts)
            note(left.now - began, plan.cut[at(s.cut)].edge_head);
        if (chosen.cut < 0 || s.cut != chosen.cut) return action::go_on();
        if (!usable(link, options.staleness)) return action::go_on(unusable(link, options.staleness));
        return action::offload_at(s.cut);
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

    /// The decision at a frame's start, for reports too.
    constexpr spinn_choice choose(const link_view& link) const noexcept {
        spinn_choice best{};
        bool any = false;
        const auto consider = [&](const spinn_choice& c) {
            if (!any || better(c, best)) best = c;
            any = true;
        };
        const bool sends = usable(link, options.staleness);
        for (int t = 0; t < profile.thresholds; ++t) {
            consider({-2, t, expected(t, profile.exits, plan.edge_total, {}), static_cast<double>(profile.alone[at(t)])});
            for (int k = 0; sends && k < plan.cuts; ++k) {
                if (options.exits_before[at(k)] < 0) continue;
                const cut_cost& c = plan.cut[at(k)];
                consider({k, t,
                          expected(t, options.exits_before[at(k)], c.edge_head,
                                   cost_of_offload(plan, c.payload, c.cloud_tail, link).until_answer),
                          static_cast<double>(profile.accuracy[at(t)][at(k)])});
            }
        }
        if (sends && options.inputs)
            consider({-1, 0, cost_of_offload(plan, plan.input, plan.cloud_total, link).until_answer, static_cast<double>(profile.input)});
        return best;
    }
    /// How much longer than planned the device takes: an average over frames, 1 as long as nothing is known.
    constexpr double slowdown() const noexcept { return pace; }

private:
    static constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }
    [[noreturn]] static void refuse(const std::string& expected, const std::string& found) {
        throw option_error("policy spinn: expected " + expected + ", found " + found);
    }
    static void share(const std::string& what, double v) {
        if (!(v >= 0 && v <= 1)) refuse("a share from 0 to 1 as the " + what, splitdsl::detail::number_text(v));
    }
    void check_threshold(int t) const {
        const float now = profile.threshold[at(t)];
        if (!(now >= 0) || (t > 0 && !(now > profile.threshold[at(t - 1)])))
            refuse("growing thresholds of at least 0", splitdsl::detail::number_text(now));
        double all = 0;
        for (int e = 0; e < profile.exits; ++e) {
            share("frames that exit " + std::to_string(e) + " answers", profile.leaves[at(t)][at(e)]);
            all += profile.leaves[at(t)][at(e)];
        }
        if (all > 1 + 1e-4)
            refuse("exits that answer all frames at the most",
                   splitdsl::detail::number_text(all) + " of them at threshold " + splitdsl::detail::number_text(now));
        share("accuracy of the device alone", profile.alone[at(t)]);
        for (int k = 0; k < plan.cuts; ++k) share("accuracy behind cut " + std::to_string(k), profile.accuracy[at(t)][at(k)]);
    }

    constexpr bool better(const spinn_choice& a, const spinn_choice& b) const noexcept {
        const auto fits = [&](const spinn_choice& c) {
            return options.goal == spinn_goal::fastest ? c.accuracy >= options.accuracy : c.expected <= options.latency;
        };
        if (fits(a) != fits(b)) return fits(a);
        const bool by_time =
            (options.goal == spinn_goal::fastest) == fits(a); // what is asked for where it is reached, else the nearest to reaching it
        if (by_time) return a.expected < b.expected || (a.expected == b.expected && a.accuracy > b.accuracy);
        return a.accuracy > b.accuracy || (a.accuracy == b.accuracy && a.expected < b.expected);
    }
    /// Mean over frames: those that one of the first `exits` answers, and those that take `whole` on the device and `beyond` behind it.
    constexpr duration expected(int t, int exits, duration whole, duration beyond) const noexcept {
        double here = 0, stay = 1;
        for (int e = 0; e < exits; ++e) {
            const double part = static_cast<double>(profile.leaves[at(t)][at(e)]);
            here += part * to_seconds(options.exit_after[at(e)]);
            stay -= part;
        }
        stay = stay > 0 ? stay : 0;
        return from_seconds(pace * (here + stay * to_seconds(whole)) + stay * to_seconds(beyond));
    }
    constexpr void note(duration took, duration planned) noexcept {
        if (planned.count() <= 0) return;
        const double ratio = to_seconds(took) / to_seconds(planned);
        seen = ratio < 0.1 ? 0.1 : ratio > 10 ? 10 : ratio; // one frame in which the host slept says little
    }

    deployment plan;
    exit_profile profile;
    spinn_options options;
    spinn_choice chosen{};
    instant began{};
    double pace{1}, seen{};
};
static_assert(scheduler_policy<spinn> && falls_back_v<spinn>);

} // namespace splitdsl::policy
