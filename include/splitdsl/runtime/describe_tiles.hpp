// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file describe_tiles.hpp
/// A tile plan as a table: up to which layer each segment goes, its grid, the working memory that it needs, and the work that it does twice.
#pragma once

#include <splitdsl/graph/tile_plans.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

namespace splitdsl {

/// Of a whole network's plan, or why there is none and at which layer. `terms` as the plan was made with.
///
/// ```cpp
/// for (const std::int64_t bytes : {3'000'000, 1'500'000}) std::puts(describe_tiles<lane_keeper>(plan_within<lane_keeper>(bytes)).c_str());
/// ```
template <class Network>
std::string describe_tiles(const tile_plan& plan, const memory_terms& terms = {}) {
    const graph::tile_source& n = tile_source_of<Network>;
    const graph::description d = graph::description_of<Network>();
    const auto name_of = [&d](int op) {
        if (op < 0) return std::string{"no layer"};
        const auto i = static_cast<std::size_t>(op);
        return d.ops[i].label.empty() ? graph::full_name(d, i) : std::string(d.ops[i].label);
    };
    if (plan.why) return std::string{"no plan: "} + plan.why + (plan.stops_at < 0 ? "\n" : " (" + name_of(plan.stops_at) + ")\n");
    const auto share = [](std::int64_t macs, std::int64_t whole) { return whole == 0 ? 0.0 : 100 * static_cast<double>(macs - whole) / static_cast<double>(whole); };
    char line[256];
    std::snprintf(line, sizeof line, "%lld bytes: %lld of packed weights, %lld of working memory; %.1f %% more multiply-accumulates\n", static_cast<long long>(plan.peak_bytes()),
                  static_cast<long long>(plan.weight_bytes), static_cast<long long>(plan.work_bytes), share(plan.macs, plan.whole_macs));
    std::string table = line;
    std::snprintf(line, sizeof line, "%-40s %8s %14s %8s\n", "up to", "grid", "working memory", "macs +");
    table += line;
    for (int k = 0; k < plan.count; ++k) {
        const tile_figures f = graph::figures_of(n, tile_lives<Network>, plan.parts[static_cast<std::size_t>(k)], terms.lanes);
        const std::string until = f.of.last.tensor < 0 ? std::string{"the end"} : name_of(f.last_op), grid = std::to_string(f.rows) + "x" + std::to_string(f.columns);
        std::snprintf(line, sizeof line, "%-40.100s %8s %14lld %7.1f%%\n", until.c_str(), grid.c_str(), static_cast<long long>(graph::work_of(n, f, terms.threads)), share(f.macs, f.whole_macs));
        table += line;
    }
    return table;
}

} // namespace splitdsl
