// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file scenario.hpp
/// The terms of a drive, all of them from one file.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/link/trace.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/radio/cellular.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace drive {

struct scenario {
    std::string file{}, device{}, profiles{}, weights{}, radio_name{};
    splitdsl::duration deadline{}, rtt{};
    splitdsl::radio_power radio{};
    splitdsl::idle_scope idle{splitdsl::idle_scope::transmit_and_wait};
    int jpeg_quality{75};
    splitdsl::link::lte_drive lte{};
    splitdsl::bits_per_second downlink{};
    double cloud_gmacs{};                                   ///< sustained speed of the cloud, for simulation; live runs measure theirs
    splitdsl::duration probe_interval{};                    ///< a frame that stays local sends no payload: probes keep the estimate fresh
    std::size_t probe_bytes{};
    struct blackout { double at{}, seconds{}; };            ///< `at`: share of the drive
    std::vector<blackout> blackouts{};
    double kill_at{}, restart_after_s{};                    ///< share of the drive; 0 or less: no kill
};

/// A path as it is, or below the folder the scenario's own path begins in (a program may be started from anywhere in the tree).
inline std::string locate(const std::string& path, const std::string& scenario_file) {
    namespace fs = std::filesystem;
    if (fs::exists(path)) return path;
    for (fs::path up = fs::absolute(scenario_file).parent_path(); !up.empty() && up != up.root_path(); up = up.parent_path())
        if (fs::exists(up / path)) return (up / path).string();
    return path;
}

/// Throws `trace_error` naming the file and what was expected.
inline scenario read_scenario(const std::string& path) {
    using namespace splitdsl;
    std::ifstream file(path);
    if (!file) throw trace_error("scenario " + path + ": a readable file was expected");
    scenario s;
    s.file = path;
    try {
        const nlohmann::json j = nlohmann::json::parse(file);
        s.device = j.at("device").get<std::string>();
        s.profiles = locate(j.at("profiles").get<std::string>(), path);
        s.weights = locate(j.at("weights").get<std::string>(), path);
        s.deadline = from_milliseconds(j.at("deadline_ms").get<double>());
        s.rtt = from_milliseconds(j.at("rtt_ms").get<double>());
        s.radio_name = j.at("radio").get<std::string>();
        const auto* radio = radio::find(s.radio_name);
        if (!radio) throw trace_error("scenario " + path + ": radio \"" + s.radio_name + "\" is not known; see include/splitdsl/radio/cellular.hpp");
        s.radio = radio->power;
        const std::string scope = j.at("idle_scope").get<std::string>();
        if (scope != "wait" && scope != "transmit_and_wait") throw trace_error("scenario " + path + ": idle_scope wait or transmit_and_wait was expected, found \"" + scope + "\"");
        s.idle = scope == "wait" ? idle_scope::wait : idle_scope::transmit_and_wait;
        s.jpeg_quality = j.at("jpeg_quality").get<int>();
        if (s.jpeg_quality < 1 || s.jpeg_quality > 100) throw trace_error("scenario " + path + ": a jpeg_quality from 1 to 100 was expected, found " + std::to_string(s.jpeg_quality));
        const auto& t = j.at("trace");
        s.lte.mean = megabits_per_second(t.at("mean_mbps").get<double>());
        s.lte.log_standard_deviation = t.at("log_standard_deviation").get<double>();
        s.lte.correlation_time = from_seconds(t.at("correlation_s").get<double>());
        s.lte.outage_share = t.at("outage_share").get<double>();
        s.lte.shortest_outage = from_seconds(t.at("outage_s").at(0).get<double>());
        s.lte.longest_outage = from_seconds(t.at("outage_s").at(1).get<double>());
        s.downlink = megabits_per_second(j.at("downlink_mbps").get<double>());
        s.cloud_gmacs = j.at("cloud_gmacs").get<double>();
        if (!(s.cloud_gmacs > 0)) throw trace_error("scenario " + path + ": cloud_gmacs above 0 was expected");
        s.probe_interval = from_milliseconds(j.at("probe").at("interval_ms").get<double>());
        s.probe_bytes = j.at("probe").at("bytes").get<std::size_t>();
        for (const auto& b : j.at("blackouts")) s.blackouts.push_back({b.at("at").get<double>(), b.at("seconds").get<double>()});
        s.kill_at = j.at("kill").at("at").get<double>();
        s.restart_after_s = j.at("kill").at("restart_after_s").get<double>();
    } catch (const nlohmann::json::exception& e) {
        throw trace_error("scenario " + path + ": " + e.what());
    }
    if (s.deadline <= duration{} || s.deadline > std::chrono::seconds{10}) throw trace_error("scenario " + path + ": a deadline_ms above 0 and up to 10000 was expected");
    return s;
}

} // namespace drive
