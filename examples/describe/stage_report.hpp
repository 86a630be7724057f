// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stage_report.hpp
/// A network's stages with their sums, and how long each takes on this machine.
#pragma once

#include "layers.hpp"

#include <examples/options/machine_name.hpp>
#include <examples/zoo/network.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/plan.hpp>
#include <splitdsl/runtime/stage_table.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace describing {

/// Of a stage's runs: the value in the middle, and those that a tenth and nine tenths of the runs do not exceed.
struct spread {
    splitdsl::duration median{}, p10{}, p90{};
};
inline spread spread_of(std::vector<splitdsl::duration> runs) {
    std::sort(runs.begin(), runs.end());
    const auto at = [&](double share) { return runs[static_cast<std::size_t>(share * static_cast<double>(runs.size() - 1) + 0.5)]; };
    return runs.empty() ? spread{} : spread{at(0.5), at(0.1), at(0.9)};
}

struct stage_sums {
    std::string ends_at{};
    std::int64_t macs{}, parameters{}, payload{};   ///< payload as declared; 0 where no cut ends the stage
    double of_macs{}, of_time{};
    spread time{};
};

/// What was measured, where and how.
struct measurement {
    int runs{}, threads{};
    std::string machine{}, instruction_set{}, weights{};
    std::size_t weight_bytes{};         ///< in memory, as packed for that instruction set
    std::vector<spread> stages{};
    spread whole{};
};

/// Runs the network stage by stage, `runs` times after one to warm up.
inline measurement measure(const splitdsl::pipeline& net, std::span<const std::byte> packed, std::string weights, int runs, int threads) {
    if (threads > 1 && !splitdsl::default_runner()) throw splitdsl::option_error("--threads " + std::to_string(threads) + ": this build runs on one thread (SPLITDSL_PARALLEL)");
    std::vector<std::vector<splitdsl::duration>> seen;
    splitdsl::with_threads(threads, [&] { seen = splitdsl::time_stages(net, packed, runs, threads > 1 ? splitdsl::default_runner() : nullptr); });
    measurement m{.runs = runs, .threads = threads, .machine = options::machine_name(), .instruction_set = net.instruction_set, .weights = std::move(weights), .weight_bytes = packed.size()};
    std::vector<splitdsl::duration> whole(seen.empty() ? 0 : seen[0].size());
    for (const auto& stage : seen) {
        m.stages.push_back(spread_of(stage));
        for (std::size_t r = 0; r < stage.size(); ++r) whole[r] += stage[r];
    }
    m.whole = spread_of(whole);
    return m;
}

/// Without a measurement (null) times are zero.
inline std::vector<stage_sums> sums_of(const splitdsl::pipeline& net, const std::vector<layer>& layers, const measurement* measured) {
    std::vector<splitdsl::duration> medians(static_cast<std::size_t>(net.stages));
    for (std::size_t k = 0; measured && k < medians.size(); ++k) medians[k] = measured->stages[k].median;
    std::vector<stage_sums> stages;
    for (const splitdsl::stage_share& s : splitdsl::stage_shares(net, medians)) {
        stage_sums sums{.ends_at = s.ends_at, .of_macs = s.of_macs, .of_time = s.of_time};
        const int k = static_cast<int>(stages.size());
        for (const layer& l : layers)
            if (l.stage == k) sums.macs += l.macs, sums.parameters += l.parameters;
        for (const splitdsl::cut_info& c : net.cuts)
            if (c.stage == k) sums.payload = static_cast<std::int64_t>(c.payload_bytes);
        if (measured) sums.time = measured->stages[static_cast<std::size_t>(k)];
        stages.push_back(std::move(sums));
    }
    return stages;
}

} // namespace describing
