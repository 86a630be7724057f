// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file link_thresholds.hpp
/// Teaches `policy::fleet_by_benefit` a radio's settings: when to be satisfied with which answer, at every loss, and when not to send.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/sim/benefit_tables.hpp>
#include <splitdsl/sim/fleet_simulator.hpp>
#include <splitdsl/sim/threshold_search.hpp>

#include <string>
#include <vector>

namespace splitdsl::sim {

struct threshold_goal {
    double accuracy{}; ///< to reach on the validation pictures
    std::uint64_t seed{1};
    std::size_t first{}, pictures{};                 ///< the validation pictures
    std::vector<double> losses{0, 0.2, 0.5, 0.8, 1}; ///< of the link's states, growing; at most 8
    double least_saving{0.02};                       ///< of the mean latency; a link that brings less is not worth sending over
};

struct learnt_thresholds {
    bool reached{true}; ///< the accuracy, in every state
    std::vector<threshold_search::outcome> states{};
};

/// Fills `o`'s thresholds for the radio of `w` at each of the goal's losses, from simulated frames of the validation pictures. A link's
/// rate between two losses counts as the nearer one. The exits of the device are used if `w.local_exits`. Cost: a simulated frame for each
/// picture and loss, and five searches for each loss. Refused (option_error): no pictures, 0 or more than 8 losses, losses that do not
/// grow, and what the simulator refuses.
///
/// ```cpp
/// auto o = sim::benefit_of(policy::fleet_plan(4, 6, 0.7F), world.network, world.times, answers, 0, 5000);
/// sim::learn_thresholds(o, world, answers, {.accuracy = 0.8, .pictures = 5000});
/// policy::fleet_by_benefit p{o};
/// ```
inline learnt_thresholds learn_thresholds(policy::benefit_options& o, const fleet_world& w, const exit_answers& a,
                                          const threshold_goal& g) {
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("link thresholds: expected " + expected + ", found " + found);
    };
    if (g.losses.empty() || g.losses.size() > static_cast<std::size_t>(policy::max_link_states))
        refuse("1 to 8 losses", std::to_string(g.losses.size()));
    for (std::size_t i = 0; i < g.losses.size(); ++i)
        if (!(g.losses[i] >= 0 && g.losses[i] <= 1) || (i > 0 && g.losses[i] <= g.losses[i - 1]))
            refuse("growing losses from 0 to 1", splitdsl::detail::number_text(g.losses[i]));
    if (g.pictures < 1 || g.first >= a.pictures() || g.pictures > a.pictures() - g.first)
        refuse("pictures among " + std::to_string(a.pictures()), std::to_string(g.first) + " and " + std::to_string(g.pictures) + " more");

    policy::benefit_options deaf = o; // takes no answer, so that all are heard
    deaf.states = 0;
    deaf.fleet.threshold.fill(policy::never_sure);
    deaf.fleet.local_threshold = policy::never_sure;
    const int streams = o.fleet.streams, exits = w.local_exits ? w.network.exits() : 0;
    const bits_per_second nominal = w.nominal_rate();

    learnt_thresholds learnt;
    threshold_search::outcome alone;
    std::vector<heard_answer> heard;
    for (std::size_t i = 0; i < g.losses.size(); ++i) {
        fleet_world there = w;
        there.set_loss(g.losses[i]);
        there.reply_from = 0;
        threshold_search search{streams, exits};
        fleet_simulator<policy::fleet_by_benefit> run{policy::fleet_by_benefit{deaf}, there, a, g.seed};
        run.keep_answers(&heard);
        for (std::size_t p = g.first; p < g.first + g.pictures; ++p) {
            heard.clear();
            const fleet_frame f = run.run_frame(p);
            search.add(heard, f.latency, f.right);
        }
        if (i == 0) alone = search.fastest(g.accuracy, false); // the same at every loss
        threshold_search::outcome best = search.fastest(g.accuracy);
        policy::answer_thresholds& t = o.thresholds[i];
        t = {};
        t.send = best.reached && best.mean_ms <= (1 - g.least_saving) * alone.mean_ms;
        if (alone.reached && !t.send) best = alone;
        if (t.send) std::copy(best.cloud.begin(), best.cloud.end(), t.cloud.begin());
        std::copy(best.local.begin(), best.local.end(), t.local.begin());
        const double reaches_down_to = i + 1 < g.losses.size() ? (g.losses[i] + g.losses[i + 1]) / 2 : 1;
        t.rate_up = nominal * (1 - reaches_down_to);
        learnt.reached &= best.reached;
        learnt.states.push_back(std::move(best));
    }
    o.states = static_cast<int>(g.losses.size());
    o.fleet.local_threshold = policy::never_sure;
    return learnt;
}

} // namespace splitdsl::sim
