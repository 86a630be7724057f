// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file spinn_setup.hpp
/// What `policy::spinn` has to know of a network with exits: times of each place, and by recorded answers how often exits answer and how
/// often they are right.
#pragma once

#include <splitdsl/policy/spinn.hpp>
#include <splitdsl/sim/exit_answers.hpp>
#include <splitdsl/sim/exit_network.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::sim {

/// The cloud and the answers' way.
struct spinn_wire {
    duration cloud{};
    int reply_bytes{16};
    duration deadline{};
    double cloud_macs_per_second{}; ///< 0: `cloud` is all
};

struct spinn_setup {
    deployment costs{};
    policy::exit_profile profile{};
    policy::spinn_options options{}; ///< without a goal: the caller's
};

/// Cut k is behind stage k, in its largest size. O(thresholds x pictures x (exits + cuts)). Refused (option_error): no thresholds or more
/// than sixteen, a network without exits, answers that are of other exits or offloads than the network's.
///
/// ```cpp
/// const float thresholds[]{0.5F, 0.7F, 0.9F};
/// auto setup = sim::spinn_of(world.network, world.times, answers, thresholds, {.cloud = 5ms, .deadline = world.deadline});
/// setup.options.accuracy = 0.8;
/// ```
inline spinn_setup spinn_of(const exit_network& n, const stage_times& t, const exit_answers& a, std::span<const float> thresholds,
                            const spinn_wire& wire) {
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("spinn: expected " + expected + ", found " + found);
    };
    const auto at = [](int i) { return static_cast<std::size_t>(i); };
    const auto counts = a.counts();
    if (thresholds.empty() || thresholds.size() > static_cast<std::size_t>(policy::max_thresholds))
        refuse("1 to " + std::to_string(policy::max_thresholds) + " thresholds", std::to_string(thresholds.size()));
    if (n.exits() < 1 || n.exits() > policy::max_exits || counts.exits != at(n.exits()))
        refuse("answers of the network's " + std::to_string(n.exits()) + " exits, 1 to " + std::to_string(policy::max_exits),
               std::to_string(counts.exits));
    if (counts.choices != at(n.offload_choices()) || counts.pictures == 0)
        refuse("answers to pictures, of " + std::to_string(n.offload_choices()) + " offloads",
               std::to_string(counts.choices) + " of " + std::to_string(counts.pictures) + " pictures");

    spinn_setup s;
    stage_times with_exits = t;
    for (std::size_t k = 0; k < t.stage.size(); ++k) with_exits.stage[k] += t.exit[k];
    s.costs = deployment_of(n, with_exits, wire.cloud, wire.reply_bytes, wire.deadline, wire.cloud_macs_per_second);
    s.profile.exits = n.exits();
    s.profile.thresholds = static_cast<int>(thresholds.size());
    std::copy(thresholds.begin(), thresholds.end(), s.profile.threshold.begin());
    s.options.exits_before.fill(-1);
    s.options.inputs = !n.inputs.empty();
    duration until{};
    int exits = 0;
    for (std::size_t k = 0; k < n.stages.size(); ++k) {
        until += with_exits.stage[k];
        if (n.stages[k].exit >= 0) s.options.exit_after[at(exits++)] = until;
        if (k < at(s.costs.cuts) && !n.stages[k].payload.empty()) s.options.exits_before[k] = static_cast<std::int8_t>(exits);
    }

    const auto share = [&](std::size_t count) {
        return static_cast<float>(static_cast<double>(count) / static_cast<double>(counts.pictures));
    };
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
        std::vector<std::size_t> leaves(counts.exits), right(at(s.costs.cuts));
        std::size_t alone = 0;
        for (std::size_t p = 0; p < counts.pictures; ++p) {
            int first = 0;
            while (first < n.exits() && !(a.local(p, first).confidence >= thresholds[i])) ++first;
            const bool left = first < n.exits(), left_right = left && a.local(p, first).label == a.label(p);
            if (left) ++leaves[at(first)];
            alone += left ? left_right : a.trunk(p).label == a.label(p);
            for (int k = 0; k < s.costs.cuts; ++k)
                if (const int before = s.options.exits_before[at(k)]; before >= 0)
                    right[at(k)] +=
                        first < before
                            ? left_right
                            : a.offload(p, n.offload_choice(k, static_cast<int>(n.stages[at(k)].payload.size()) - 1)).label == a.label(p);
        }
        for (std::size_t e = 0; e < leaves.size(); ++e) s.profile.leaves[i][e] = share(leaves[e]);
        for (std::size_t k = 0; k < right.size(); ++k) s.profile.accuracy[i][k] = share(right[k]);
        s.profile.alone[i] = share(alone);
    }
    if (!n.inputs.empty()) {
        std::size_t right = 0;
        for (std::size_t p = 0; p < counts.pictures; ++p) right += a.offload(p, 0).label == a.label(p);
        s.profile.input = share(right);
    }
    return s;
}

} // namespace splitdsl::sim
