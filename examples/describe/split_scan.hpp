// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file split_scan.hpp
/// Where a network would best be split at one link: the library's layer scan (SAGE Fig. 3) over the layers of a report.
#pragma once

#include "layers.hpp"
#include "stage_report.hpp"

#include <splitdsl/policy/layer_scan.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace describing {

/// What a scan is told. Times are of the whole network.
struct scan_terms {
    double mbps{}, rtt_ms{5}, deadline_ms{100}, edge_ms{}, cloud_ms{};
    bool edge_measured{};                   ///< edge_ms is this machine's, stage by stage
};
struct split_scan {
    scan_terms terms{};
    splitdsl::policy::layer_scan_report all{};
    std::vector<std::size_t> shown{};       ///< rows of `all`: the input, the six that send least, the declared cuts, the best, everything here
};

/// Each layer's part of a stage's time is its part of the stage's MACs; without a measurement the network is one stage.
inline split_scan scan_of(const splitdsl::graph::description& graph, const std::vector<layer>& layers, std::int64_t raw_input, const scan_terms& t, const measurement* measured) {
    using namespace splitdsl;
    const auto part = [](double ms, std::int64_t macs, std::int64_t of) { return from_milliseconds(of > 0 ? ms * static_cast<double>(macs) / static_cast<double>(of) : 0); };
    std::vector<std::int64_t> stage_macs;
    for (const layer& l : layers) {
        stage_macs.resize(std::max(stage_macs.size(), static_cast<std::size_t>(l.stage) + 1));
        stage_macs[static_cast<std::size_t>(l.stage)] += l.macs;
    }
    std::vector<policy::layer_cost> costs;
    std::set<std::size_t> shown{0};
    policy::layer_cost next{};
    for (const layer& l : layers) {
        const auto stage = static_cast<std::size_t>(l.stage);
        next.edge += t.edge_measured ? part(to_milliseconds(measured->stages[stage].median), l.macs, stage_macs[stage]) : part(t.edge_ms, l.macs, graph.total_macs);
        next.cloud += part(t.cloud_ms, l.macs, graph.total_macs);
        if (l.crossing == 0 || l.melts || l.word == "input") continue;
        next.name = l.label;
        next.output = {static_cast<double>(l.crossed.f32)};
        for (int k = 0; k < graph.cuts->count; ++k)
            if (const graph::cut_group& c = graph.cuts->groups[static_cast<std::size_t>(k)]; c.boundary == l.op) {
                next.output = {static_cast<double>(c.payload)};
                shown.insert(costs.size() + 1);
            }
        costs.push_back(std::exchange(next, {}));
    }
    costs.push_back(std::move(next));       // nothing crosses behind it
    const link_view link{.up = true, .rate_up = megabits_per_second(t.mbps), .rtt = from_milliseconds(t.rtt_ms)};
    const double reply = layers.empty() ? 0 : static_cast<double>(layers.back().own.f32);
    split_scan s{.terms = t, .all = policy::scan_layers(costs, {.input = {static_cast<double>(raw_input)}, .reply = {reply}, .deadline = from_milliseconds(t.deadline_ms)}, link)};
    for (const std::size_t row : s.all.smallest(6)) shown.insert(row);
    shown.insert({s.all.best, s.all.rows.size() - 1});
    s.shown.assign(shown.begin(), shown.end());
    return s;
}

inline std::string scan_text(const split_scan& s) {
    splitdsl::policy::layer_scan_report few;
    for (const std::size_t row : s.shown) {
        if (row == s.all.best) few.best = few.rows.size();
        few.rows.push_back(s.all.rows[row]);
    }
    const scan_terms& t = s.terms;
    char text[400];
    std::snprintf(text, sizeof text,
                  "\nsplit by time, milliseconds, modelled: %g Mbps up, round trip %g ms, deadline %g ms; the whole network takes %.4g ms here%s and %g ms in the cloud,\n"
                  "of which each layer has its share of the MACs; what crosses is f32, behind a cut its own codec. The input, the six layers that send least, the cuts and the best of %zu places:\n",
                  t.mbps, t.rtt_ms, t.deadline_ms, t.edge_ms, t.edge_measured ? " (measured, stage by stage)" : "", t.cloud_ms, s.all.rows.size());
    return text + to_text(few);
}

inline nlohmann::ordered_json json_of(const split_scan& s) {
    using json = nlohmann::ordered_json;
    using splitdsl::to_milliseconds;
    const auto row = [](const splitdsl::policy::layer_scan_row& r) {
        return json{{"behind", r.name}, {"bytes", r.sent.value}, {"edge", to_milliseconds(r.edge)}, {"communication", to_milliseconds(r.communication)},
                    {"cloud", to_milliseconds(r.cloud)}, {"total", to_milliseconds(r.total)}, {"in_time", r.in_time}};
    };
    json rows = json::array();
    for (const auto& r : s.all.rows) rows.push_back(row(r));
    return {{"label", "modelled"}, {"unit", "milliseconds"}, {"mbps", s.terms.mbps}, {"rtt", s.terms.rtt_ms}, {"deadline", s.terms.deadline_ms}, {"edge", s.terms.edge_ms},
            {"edge_measured", s.terms.edge_measured}, {"cloud", s.terms.cloud_ms}, {"best", row(s.all.rows[s.all.best])}, {"rows", std::move(rows)}};
}

} // namespace describing
