// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layer_scan.hpp
/// Where an unaltered network would best be split: Neurosurgeon's scan over a table of layers, as a report (SAGE Fig. 3). The same rule as a
/// policy: `policy::neurosurgeon` (partition.hpp); with energy beside time: `policy::weighted`. All three add up times by `cost_of_offload`.
#pragma once

#include <splitdsl/energy/equations.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/policy/offload_cost.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::policy {

/// One layer of a sequential network as measured or modelled: its time on each side and what it hands on.
struct layer_cost {
    std::string name{};
    duration edge{};
    duration cloud{};
    bytes output{};
};

struct layer_scan_options {
    bytes input{};                  ///< the whole input on the wire
    bytes reply{};                  ///< an answer on the wire
    duration deadline{};            ///< 0: none
};

/// Splitting behind one layer. The first row sends the input, the last runs everything on the edge.
struct layer_scan_row {
    std::string name{};
    int last_on_edge{-1};           ///< index of the last layer that runs on the edge; -1: none
    bytes sent{};
    duration edge{};                ///< of the layers before the split
    duration communication{};       ///< T_comm, zero when nothing is sent
    duration cloud{};               ///< of the layers behind the split
    duration total{};
    bool in_time{};
};

struct layer_scan_report {
    std::vector<layer_scan_row> rows{};
    std::size_t best{};             ///< the row with the least total; the first among equals

    /// The `count` splits that send least, by payload (SAGE Fig. 3 shows six); input and all-edge rows are not among them.
    std::vector<std::size_t> smallest(std::size_t count) const {
        std::vector<std::size_t> order;
        for (std::size_t i = 1; i + 1 < rows.size(); ++i) order.push_back(i);
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rows[a].sent < rows[b].sent; });
        if (order.size() > count) order.resize(count);
        return order;
    }
};

/// Scans every split point at one link. O(layers): running sums. Refused (option_error): no layers, more than 100,000, negative times or sizes.
///
/// ```cpp body
/// auto report = scan_layers(layers, {.input = {52'800}, .reply = {40}, .deadline = 100ms}, link_view{.up = true, .rate_up = megabits_per_second(2)});
/// std::puts(to_text(report).c_str());
/// ```
inline layer_scan_report scan_layers(std::span<const layer_cost> layers, const layer_scan_options& o, const link_view& link) {
    if (layers.empty() || layers.size() > 100'000)
        throw option_error("layer scan: expected 1 to 100000 layers, found " + std::to_string(layers.size()));
    duration cloud_left{}, edge_done{};
    for (const layer_cost& l : layers) {
        if (l.edge.count() < 0 || l.cloud.count() < 0 || !(l.output.value >= 0))
            throw option_error("layer scan: expected times and sizes of at least 0, found a negative one in layer '" + l.name + "'");
        cloud_left += l.cloud;
    }
    deployment wire;
    wire.reply = o.reply;
    layer_scan_report report;
    report.rows.reserve(layers.size() + 1);
    const auto add = [&](const std::string& name, int last, bytes sent, bool remote) {
        layer_scan_row r{name, last, sent, edge_done, {}, cloud_left, {}, true};
        if (remote) r.communication = cost_of_offload(wire, sent, cloud_left, link).communication;
        r.total = saturating_sum(r.communication, computation_time(r.edge, r.cloud));
        r.in_time = o.deadline.count() == 0 || r.total <= o.deadline;
        report.rows.push_back(std::move(r));
        if (report.rows.back().total < report.rows[report.best].total) report.best = report.rows.size() - 1;
    };
    add("input", -1, o.input, true);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        edge_done += layers[i].edge;
        cloud_left -= layers[i].cloud;
        const bool last = i + 1 == layers.size();
        add(last ? "all on the edge" : layers[i].name, static_cast<int>(i), last ? bytes{} : layers[i].output, !last);
    }
    return report;
}

/// The report as a table, times in milliseconds; the best row is marked.
inline std::string to_text(const layer_scan_report& report) {
    std::string text = "split behind                                     bytes     edge     comm    cloud    total\n";
    for (std::size_t i = 0; i < report.rows.size(); ++i) {
        const layer_scan_row& r = report.rows[i];
        char line[160];
        std::snprintf(line, sizeof line, "%-44.44s %9.0f %8.2f %8.2f %8.2f %8.2f%s%s\n", r.name.c_str(), r.sent.value, to_milliseconds(r.edge),
                      to_milliseconds(r.communication), to_milliseconds(r.cloud), to_milliseconds(r.total), r.in_time ? "" : " late",
                      i == report.best ? " best" : "");
        text += line;
    }
    return text;
}

} // namespace splitdsl::policy
