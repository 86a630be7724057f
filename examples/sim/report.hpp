// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report.hpp
/// A contest as a table for people and as JSON for scripts; both say that everything is simulated.
#pragma once

#include "contest.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace simulate {

namespace parts {
inline std::string fixed(double v, int decimals) {
    char text[64]{};
    std::snprintf(text, sizeof text, "%.*f", decimals, v);
    return text;
}
inline double share(std::uint64_t part, std::uint64_t of) { return of > 0 ? static_cast<double>(part) / static_cast<double>(of) : 0; }
} // namespace parts

/// One line a policy, columns aligned.
inline std::string table(const std::vector<outcome>& all) {
    using parts::fixed;
    std::vector<std::vector<std::string>> rows{
        {"policy", "threshold", "accuracy", "mean ms", "p99 ms", "mJ", "bytes up", "by cloud", "by exit", "unanswered"}};
    for (const outcome& o : all) {
        const auto& s = o.summary;
        rows.push_back({o.name, o.has_threshold ? fixed(o.threshold, 2) + (o.reached ? "" : " !") : "-",
                        fixed(100 * s.accuracy(), 2) + " %", fixed(s.mean_latency_ms, 2), fixed(s.p99_latency_ms, 2), fixed(s.energy_mj, 3),
                        fixed(s.bytes_up, 0), fixed(100 * parts::share(s.by_cloud, s.frames), 1) + " %",
                        fixed(100 * parts::share(s.by_exit, s.frames), 1) + " %", std::to_string(s.unanswered)});
    }
    std::vector<std::size_t> widths(rows[0].size());
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string text;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string blanks(widths[i] - row[i].size(), ' ');
            text += (i > 0 ? "  " : "") + (i == 0 ? row[i] + blanks : blanks + row[i]);
        }
        text += "\n";
    }
    return text;
}

/// {NAME: {"accuracy", "mean_latency_ms", "p99_latency_ms", "energy_mj", "bytes_up", "unanswered", ...}}
inline nlohmann::json policies_json(const std::vector<outcome>& all) {
    nlohmann::json policies = nlohmann::json::object();
    for (const outcome& o : all) {
        const auto& s = o.summary;
        policies[o.name] = {
            {"accuracy", s.accuracy()},
            {"mean_latency_ms", s.mean_latency_ms},
            {"p99_latency_ms", s.p99_latency_ms},
            {"energy_mj", s.energy_mj},
            {"bytes_up", s.bytes_up},
            {"unanswered", s.unanswered},
            {"frames", s.frames},
            {"p50_latency_ms", s.p50_latency_ms},
            {"max_latency_ms", s.max_latency_ms},
            {"late", s.late},
            {"energy_parts_mj", {{"compute", s.compute_mj}, {"radio", s.radio_mj}, {"idle", s.idle_mj}}},
            {"answered_by", {{"cloud", s.by_cloud}, {"exit", s.by_exit}, {"trunk", s.by_trunk}, {"fallback", s.by_fallback}}},
            {"violations", s.violations},
            {"label", to_text(s.label)}};
        if (o.has_threshold) policies[o.name]["threshold"] = o.threshold;
        if (o.has_threshold) policies[o.name]["accuracy_reached"] = o.reached;
    }
    return policies;
}

inline nlohmann::json point_json(const point& p) { return {{"device", p.device}, {"ble", to_text(p.ble)}, {"cap", to_text(p.ble.cap)}}; }

inline nlohmann::json scenario_json(const scenario& s, const contest& c) {
    return {{"name", s.name},
            {"file", s.file},
            {"frames", s.frames},
            {"seed", s.seed},
            {"deadline_ms", s.deadline_ms},
            {"device", s.device},
            {"ble", to_text(s.ble)},
            {"cap", to_text(s.ble.cap)},
            {"currents", s.currents},
            {"cloud_ms", s.cloud_ms},
            {"packet_overhead", s.packet_overhead},
            {"answers", s.answers.empty() ? "synthetic: no network stands behind them" : s.answers},
            {"synthetic", s.answers.empty()},
            {"pictures", c.pictures()},
            {"validation_pictures", c.validation_pictures()}};
}

} // namespace simulate
