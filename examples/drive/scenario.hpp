// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file scenario.hpp
/// The terms of a drive, all of them from one file.
#pragma once

#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/link/trace.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/radio/cellular.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
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
    std::error_code trouble; // a path that cannot even be looked for is one that is not there
    if (fs::exists(path, trouble)) return path;
    for (fs::path up = fs::absolute(scenario_file, trouble).parent_path(); !up.empty() && up != up.root_path(); up = up.parent_path())
        if (fs::exists(up / path, trouble)) return (up / path).string();
    return path;
}

namespace detail {
/// A number within limits, or a `trace_error` that names file, key, limits and what was found.
inline double number(const nlohmann::json& j, const char* key, double least, double most, const std::string& file) {
    const auto found = j.find(key);
    const std::string wanted = "--scenario " + file + ": \"" + key + "\" from " + nlohmann::json(least).dump() + " to " + nlohmann::json(most).dump() + " was expected, found ";
    if (found == j.end()) throw splitdsl::trace_error(wanted + "nothing");
    if (!found->is_number() || !(found->get<double>() >= least && found->get<double>() <= most)) throw splitdsl::trace_error(wanted + found->dump());
    return found->get<double>();
}
} // namespace detail

inline constexpr std::size_t longest_scenario = 1 << 20;

/// Throws `trace_error` naming the file and what was expected.
inline scenario read_scenario(const std::string& path) {
    using namespace splitdsl;
    const auto content = splitdsl::detail::read_ordinary_file<std::string>(path, longest_scenario, [&](const std::string& found) {
        throw trace_error("--scenario " + path + ": expected a JSON file of at most " + std::to_string(longest_scenario) + " bytes, found " + found);
    });
    scenario s;
    s.file = path;
    try {
        const nlohmann::json j = nlohmann::json::parse(content);
        const auto number = [&path](const nlohmann::json& in, const char* key, double least, double most) { return detail::number(in, key, least, most, path); };
        static constexpr const char* keys[]{"device", "profiles", "weights", "deadline_ms", "rtt_ms", "radio", "idle_scope", "jpeg_quality", "trace", "downlink_mbps", "cloud_gmacs", "probe", "blackouts", "kill"};
        for (const auto& item : j.items())
            if (std::find(std::begin(keys), std::end(keys), item.key()) == std::end(keys)) throw trace_error("--scenario " + path + ": \"" + item.key() + "\" is not a term of a drive");
        s.device = j.at("device").get<std::string>();
        s.profiles = locate(j.at("profiles").get<std::string>(), path);
        s.weights = locate(j.at("weights").get<std::string>(), path);
        s.deadline = from_milliseconds(number(j, "deadline_ms", 5, 10000));
        s.rtt = from_milliseconds(number(j, "rtt_ms", 0, 10000));
        s.radio_name = j.at("radio").get<std::string>();
        const auto* radio = radio::find(s.radio_name);
        if (!radio) throw trace_error("--scenario " + path + ": radio \"" + s.radio_name + "\" is not known; see include/splitdsl/radio/cellular.hpp");
        s.radio = radio->power;
        const std::string scope = j.at("idle_scope").get<std::string>();
        if (scope != "wait" && scope != "transmit_and_wait") throw trace_error("--scenario " + path + ": idle_scope wait or transmit_and_wait was expected, found \"" + scope + "\"");
        s.idle = scope == "wait" ? idle_scope::wait : idle_scope::transmit_and_wait;
        s.jpeg_quality = static_cast<int>(number(j, "jpeg_quality", 1, 100));
        const auto& t = j.at("trace");
        s.lte.mean = megabits_per_second(number(t, "mean_mbps", 0.001, 100000));
        s.lte.log_standard_deviation = number(t, "log_standard_deviation", 0, 2);
        s.lte.correlation_time = from_seconds(number(t, "correlation_s", 0.01, 10000));
        s.lte.outage_share = number(t, "outage_share", 0, 0.9);
        s.lte.shortest_outage = from_seconds(t.at("outage_s").at(0).get<double>());
        s.lte.longest_outage = from_seconds(t.at("outage_s").at(1).get<double>());
        if (!(s.lte.shortest_outage >= s.lte.step && s.lte.shortest_outage <= s.lte.longest_outage && s.lte.longest_outage <= std::chrono::hours{1}))
            throw trace_error("--scenario " + path + ": \"outage_s\" of a shortest and a longest time from 0.1 to 3600 was expected, found " + t.at("outage_s").dump());
        s.downlink = megabits_per_second(number(j, "downlink_mbps", 0.001, 100000));
        s.cloud_gmacs = number(j, "cloud_gmacs", 0.001, 1e9);
        s.probe_interval = from_milliseconds(number(j.at("probe"), "interval_ms", 10, 60000));
        s.probe_bytes = static_cast<std::size_t>(number(j.at("probe"), "bytes", 64, 65536));
        for (const auto& b : j.at("blackouts")) s.blackouts.push_back({number(b, "at", 0, 1), number(b, "seconds", 0, 3600)});
        s.kill_at = number(j.at("kill"), "at", 0, 1);
        s.restart_after_s = number(j.at("kill"), "restart_after_s", 0, 3600);
    } catch (const nlohmann::json::parse_error& e) {
        throw trace_error("--scenario " + path + ": JSON was expected, found something else before byte " + std::to_string(e.byte));
    } catch (const nlohmann::json::exception& e) {
        const std::string why = e.what(); // "[json.exception.NAME.NUMBER] what is wrong"
        throw trace_error("--scenario " + path + ": the terms of examples/drive/scenario.json were expected: " + why.substr(std::min(why.find("] ") + 2, why.size())));
    }
    return s;
}

} // namespace drive
