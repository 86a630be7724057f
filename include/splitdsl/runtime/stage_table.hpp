// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stage_table.hpp
/// Where a network's time goes, stage by stage: SAGE's table 1 (SAGE-04) for any network that is cut where the stages end.
#pragma once

#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/units.hpp>

#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace splitdsl {

/// One stage's part of the whole.
struct stage_share {
    std::string ends_at{};          ///< the cut, early exit or stream that ends it, or "output"
    std::uint64_t macs{};
    duration time{};
    double of_macs{}, of_time{};    ///< in [0, 1]
};

/// `times`: one a stage, measured (`measure_stages`) or modelled (`stage_times`). To split perception from control as SAGE does,
/// put `cut("perception")` between them: an identity cut costs nothing but a fusion barrier.
inline std::vector<stage_share> stage_shares(const pipeline& net, std::span<const duration> times) {
    std::vector<stage_share> list;
    std::uint64_t macs = 0;
    duration total{};
    for (int k = 0; k < net.stages; ++k) {
        stage_share s{.ends_at = "output", .macs = net.stage_macs[k], .time = times[static_cast<std::size_t>(k)]};
        for (const exit_info& e : net.exits)
            if (e.stage == k && k + 1 < net.stages) s.ends_at = e.name;
        for (int i = 0; i < net.stream_count; ++i)
            if (net.streams[i].stage == k) s.ends_at = net.streams[i].name;
        for (const cut_info& c : net.cuts)
            if (c.stage == k) s.ends_at = c.name;
        macs += s.macs;
        total += s.time;
        list.push_back(std::move(s));
    }
    for (stage_share& s : list) {
        s.of_macs = macs > 0 ? static_cast<double>(s.macs) / static_cast<double>(macs) : 0;
        s.of_time = total.count() > 0 ? to_seconds(s.time) / to_seconds(total) : 0;
    }
    return list;
}

inline std::string stage_table(const pipeline& net, std::span<const duration> times, const char* label) {
    char line[160];
    std::snprintf(line, sizeof line, "%s on %s (times %s)\n%5s  %-20s %12s %8s %10s %8s\n", net.network, net.instruction_set, label, "stage", "ends at", "million MACs", "share", "ms", "share");
    std::string table = line;
    int k = 0;
    for (const stage_share& s : stage_shares(net, times)) {
        std::snprintf(line, sizeof line, "%5d  %-20s %12.2f %7.2f%% %10.3f %7.2f%%\n", k++, s.ends_at.c_str(), static_cast<double>(s.macs) / 1e6, 100 * s.of_macs, to_milliseconds(s.time), 100 * s.of_time);
        table += line;
    }
    return table;
}

} // namespace splitdsl
