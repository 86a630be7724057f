// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report_json.hpp
/// A drive as `report.json`: what scripts read to tell whether it kept its promises.
#pragma once

#include "summary.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace drive {

namespace detail {
inline nlohmann::json number_or_null(double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(nullptr); }

inline nlohmann::json energy_json(const energy_split& e, splitdsl::idle_scope scope, splitdsl::provenance label) {
    return {{"compute", number_or_null(e.compute)}, {"radio", number_or_null(e.radio)}, {"idle", number_or_null(e.idle)},
            {"total", number_or_null(e.total())},   {"label", to_text(label)},          {"idle_scope", to_text(scope)}};
}

inline nlohmann::json policy_json(const drive_record& d, const policy_summary& s, const policy_summary* all_edge) {
    nlohmann::json j;
    j["frames"] = s.frames;
    j["answered"] = s.answered;
    j["deadline_ms"] = number_or_null(d.scenario.deadline_ms);
    j["misses"] = s.misses;
    j["host_stalls"] = s.host_stalls;
    j["sources"] = {{"edge", s.count(frame_source::edge)},
                    {"cloud", s.count(frame_source::cloud)},
                    {"fallback", s.count(frame_source::fallback)},
                    {"held", s.count(frame_source::held)}};
    j["latency_ms"] = {{"p50", number_or_null(s.p50)},
                       {"p95", number_or_null(s.p95)},
                       {"p99", number_or_null(s.p99)},
                       {"max", number_or_null(s.max)},
                       {"frames", s.latencies.size()},
                       {"label", to_text(d.time_label())}};
    j["bytes_up"] = s.bytes_up;
    j["energy_j"] = energy_json(s.energy_j[d.scope], d.scope, d.energy_label());
    j["lane_deviation_m"] = {
        {"mean", number_or_null(s.lane_mean)}, {"max", number_or_null(s.lane_max)}, {"label", to_text(d.road_label())}};
    j["off_road"] = s.had_road() ? nlohmann::json(s.off_road) : nlohmann::json(nullptr);
    j["late_dropped"] = s.late_dropped;
    j["duplicates_delivered"] = s.duplicates_delivered;
    // Beyond the schema: what the acceptance of a drive needs as well.
    j["duplicates_dropped"] = s.duplicates_dropped;
    j["energy_j_other_scope"] = energy_json(s.energy_j[other_scope(d.scope)], other_scope(d.scope), d.energy_label());
    j["frames_outside_blackouts"] = s.clear_frames;
    j["cloud_share_outside_blackouts"] = number_or_null(s.cloud_share());
    j["fallbacks"] = s.count(frame_source::fallback);
    if (all_edge != nullptr) {
        nlohmann::json below;
        for (const auto scope : {splitdsl::idle_scope::wait, splitdsl::idle_scope::transmit_and_wait})
            below[std::string(to_text(scope))] = number_or_null(saving(s, *all_edge, scope).value_or(unknown));
        j["energy_below_all_edge"] = below;
    }
    return j;
}

inline nlohmann::json scenario_json(const scenario_record& s) {
    nlohmann::json blackouts = nlohmann::json::array();
    for (const interval& b : s.blackouts) blackouts.push_back({{"begin_s", b.begin_s}, {"end_s", b.end_s}});
    return {{"file", s.file},
            {"device",
             {{"profile", s.device},
              {"gmacs_per_s", number_or_null(s.device_gmacs_per_s)},
              {"active_w", number_or_null(s.active_w)},
              {"idle_w", number_or_null(s.idle_w)},
              {"idle_w_label", "assumption"}}},
            {"radio", s.radio},
            {"rtt_ms", number_or_null(s.rtt_ms)},
            {"deadline_ms", number_or_null(s.deadline_ms)},
            {"reserve_ms", number_or_null(s.reserve_ms)},
            {"frames_per_s", number_or_null(s.frames_per_s)},
            {"jpeg_quality", s.jpeg_quality > 0 ? nlohmann::json(s.jpeg_quality) : nlohmann::json(nullptr)},
            {"blackouts", blackouts},
            {"kills_s", s.kills_s},
            {"notes", s.notes}};
}

inline nlohmann::json pipeline_json(const pipeline_record& p) {
    nlohmann::json stages = nlohmann::json::array();
    for (const stage_record& s : p.stages)
        stages.push_back({{"name", s.name},
                          {"role", s.role},
                          {"place", s.place},
                          {"shape", s.shape},
                          {"macs", s.macs},
                          {"payload_bytes", s.payload_bytes},
                          {"device_ms", number_or_null(s.device_ms)},
                          {"cloud_ms", number_or_null(s.cloud_ms)}});
    return {{"network", p.network}, {"input", p.input}, {"input_bytes", p.input_bytes}, {"stages", stages}};
}
} // namespace detail

/// The fingerprint as every text of the library prints it.
inline std::string fingerprint_text(std::uint64_t v) {
    char text[19]{};
    std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(v));
    return text;
}

/// The whole of `report.json`. A number that does not exist (a percentile of no frames) is null, never 0.
///
/// ```cpp
/// std::ofstream{"out/demo/report.json"} << drive::report_json(record).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
/// ```
inline nlohmann::json report_json(const drive_record& d) {
    const auto all = summarise(d);
    const policy_summary* const all_edge = find(all, "all_edge");
    nlohmann::json policies = nlohmann::json::object();
    for (const policy_summary& s : all) policies[s.name] = detail::policy_json(d, s, all_edge);
    return {{"host",
             {{"machine", d.host.machine},
              {"cpu", d.host.cpu},
              {"cores", d.host.cores},
              {"system", d.host.system},
              {"compiler", d.host.compiler},
              {"instruction_set", d.host.instruction_set}}},
            {"seed", d.seed},
            {"trace", d.trace},
            {"fingerprint", fingerprint_text(d.fingerprint)},
            {"scenario", detail::scenario_json(d.scenario)},
            {"policies", policies},
            {"command", d.command},
            {"date", d.date},
            {"simulated", d.simulated},
            {"pipeline", detail::pipeline_json(d.pipeline)}};
}

/// `report_json` as text; bytes that are not UTF-8 are replaced rather than refused.
inline std::string report_json_text(const drive_record& d) {
    return report_json(d).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace drive
