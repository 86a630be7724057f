// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file benefit_tables.hpp
/// What `policy::fleet_by_benefit` must know of a network, from its recorded answers on validation pictures.
#pragma once

#include <splitdsl/policy/fleet_by_benefit.hpp>
#include <splitdsl/sim/exit_answers.hpp>
#include <splitdsl/sim/exit_network.hpp>

#include <string>

namespace splitdsl::sim {

/// Shares, sizes and times for `plan` (its sizes and thresholds), from `pictures` pictures behind `first`. O(pictures x streams x sizes^2).
/// Refused (option_error): answers without streams or of another network, no such pictures, more than 16 streams or sizes.
inline policy::benefit_options benefit_of(const policy::fleet_options& plan, const exit_network& n, const stage_times& t,
                                          const exit_answers& a, std::size_t first, std::size_t pictures) {
    const auto c = a.counts();
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("benefit tables: expected " + expected + ", found " + found);
    };
    if (c.streams == 0) refuse("answers with streams", "none");
    require_streams(n, c.streams, c.levels, "benefit tables");
    if (c.streams > policy::max_benefit_streams || c.levels > policy::max_benefit_sizes)
        refuse("at most 16 streams in 16 sizes", std::to_string(c.streams) + " in " + std::to_string(c.levels));
    if (pictures < 1 || first >= c.pictures || pictures > c.pictures - first)
        refuse("pictures among " + std::to_string(c.pictures), std::to_string(first) + " and " + std::to_string(pictures) + " more");
    policy::benefit_options o{.fleet = plan, .stages = static_cast<int>(n.stages.size())};
    for (std::size_t k = 0; k < n.stages.size(); ++k) o.stage_time[k] = t.stage[k];
    const int levels = static_cast<int>(c.levels);
    for (int k = 0; k < n.streams(); ++k) {
        const auto s = static_cast<std::size_t>(k);
        const auto& sizes = n.stages[static_cast<std::size_t>(n.stage_of_stream(k))].stream;
        std::copy(sizes.begin(), sizes.end(), o.size_bytes[s].begin());
        for (int b = 0; b <= (k > 0 ? levels : 0); ++b)
            for (int h = 1; h <= static_cast<int>(sizes.size()); ++h) {
                std::size_t sure = 0;
                for (std::size_t p = first; p < first + pictures; ++p) {
                    const policy::prediction answer = a.cloud(p, k, b, h);
                    sure += answer.label >= 0 && answer.confidence >= plan.threshold[s];
                }
                o.sure[s][static_cast<std::size_t>(b)][static_cast<std::size_t>(h)] =
                    static_cast<float>(sure) / static_cast<float>(pictures);
            }
    }
    return o;
}

} // namespace splitdsl::sim
