// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file record.hpp
/// What a run writes down, frame by frame, and its numbers: what is printed, and what JSON and report page show.
#pragma once

#include "cloud_process.hpp"
#include "unsplit.hpp"

#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/units.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace visual_wake {

struct run_record {
    album shown{};
    std::array<std::string, networks.size()> weights{};             ///< of each network; empty: nobody runs it
    std::string instruction_set{}, device{}, radio{}, cap{}, peer{}; ///< `radio` empty: as TCP brings it
    double macs_per_second{}, whole_ms{}, deadline_ms{};                        ///< of the device: modelled
    std::uint64_t seed{}, macs{};
    double interval_ms{};
    std::vector<contestant> list{};
    std::array<std::vector<int>, networks.size()> trunk{}; ///< each picture's class by each network as a whole
    bool linked{true};           ///< there was a connection when the frames began
    int calibrated_on{};         ///< pictures that the thresholds were chosen on; 0: none
    double accuracy_goal{};

    int whole(const contestant& c, std::size_t picture) const { return trunk[c.what->net][picture]; }
    /// The one that the first is held against: the device's exits alone if they are there.
    const contestant* other() const {
        for (const contestant& c : list)
            if (c.what != list.front().what && (c.what->kind == kind_of_policy::shallow_deep || &c == &list.back())) return &c;
        return nullptr;
    }
};

/// A policy in numbers. Latencies in milliseconds; shares are NaN without labels.
struct summary {
    std::size_t frames{}, misses{}, host_stalls{}, unanswered{}, differing{};
    double accuracy{}, wake_accuracy{}, agreement{};
    double mean{}, p50{}, p95{}, p99{}, max{};
    double bytes_up{};
    std::vector<std::pair<std::string, std::size_t>> answered_by{}; ///< cloud exits, exits on the device, trunk, others, in this order
};

inline std::string key_of(const frame_record& f) {
    if (f.source == splitdsl::answer_source::cloud) return "cloud" + std::to_string(f.exit + 1);
    if (f.source == splitdsl::answer_source::exit) return "local" + std::to_string(f.exit + 1);
    return f.source == splitdsl::answer_source::edge ? "trunk" : to_text(f.source);
}
/// For people.
inline std::string words_of(const std::string& key, const policy_choice& what) {
    if (key == "cloud0") return "whole network in the cloud";
    if (key.starts_with("cloud")) return (what.kind == kind_of_policy::clio ? "cloud with width " : what.cuts() ? "cloud with size " : "cloud exit ") + key.substr(5);
    if (key.starts_with("local")) return "exit " + key.substr(5) + " on the device";
    return key == "trunk" ? "whole network on the device" : key;
}

inline double share(std::size_t part, std::size_t of) {
    return of > 0 ? static_cast<double>(part) / static_cast<double>(of) : std::nan("");
}

/// The smallest value that at least a share `q` of the values do not exceed (nearest rank). `sorted` ascends and is not empty.
inline double quantile(const std::vector<double>& sorted, double q) {
    const double rank = std::ceil(q * static_cast<double>(sorted.size()));
    return sorted[static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(sorted.size()))) - 1];
}

inline summary summarise(const run_record& r, const contestant& c) {
    summary s{.frames = c.frames.size()};
    std::size_t labelled = 0, right = 0, wake_right = 0, agreed = 0;
    std::vector<double> latencies;
    for (const frame_record& f : c.frames) {
        const bool own = is_own(f.source);
        const int label = r.shown.stills[f.picture].label;
        s.unanswered += !own;
        if (!f.on_time || !own) ++(f.host_stall ? s.host_stalls : s.misses);
        s.differing += f.differs;
        agreed += f.predicted == r.whole(c, f.picture);
        labelled += label >= 0;
        right += label >= 0 && f.predicted == label;
        wake_right += label >= 0 && wake_word_of[static_cast<std::size_t>(f.predicted)] == wake_word_of[static_cast<std::size_t>(label)];
        s.bytes_up += static_cast<double>(f.bytes_up) / static_cast<double>(c.frames.size());
        s.mean += f.latency_ms / static_cast<double>(c.frames.size());
        latencies.push_back(f.latency_ms);
        const std::string key = key_of(f);
        const auto known = std::find_if(s.answered_by.begin(), s.answered_by.end(), [&](const auto& a) { return a.first == key; });
        if (known == s.answered_by.end())
            s.answered_by.emplace_back(key, 1);
        else
            ++known->second;
    }
    const auto rank = [](const std::string& key) {
        return (key.starts_with("cloud") ? "0" : key.starts_with("local") ? "1" : key == "trunk" ? "2" : "3") + key;
    };
    std::sort(s.answered_by.begin(), s.answered_by.end(), [&](const auto& a, const auto& b) { return rank(a.first) < rank(b.first); });
    std::sort(latencies.begin(), latencies.end());
    s.accuracy = share(right, labelled);
    s.wake_accuracy = share(wake_right, labelled);
    s.agreement = share(agreed, s.frames);
    s.p50 = quantile(latencies, 0.5);
    s.p95 = quantile(latencies, 0.95);
    s.p99 = quantile(latencies, 0.99);
    s.max = latencies.back();
    return s;
}

/// Live frames against the simulator's. Frames during which a hypervisor took processor time are counted apart.
struct likeness {
    std::size_t frames{}, alike{}, robbed{}, robbed_alike{};
    double live_ms{}, simulated_ms{}, live_bytes{}, simulated_bytes{};
    double share() const { return frames > 0 ? static_cast<double>(alike) / static_cast<double>(frames) : std::nan(""); }
    double ratio() const { return live_ms / simulated_ms; }
};
inline bool alike(const contestant& c, const frame_record& f, const simulated_frame& s) {
    // A whole input has no exit in the cloud; the simulator numbers its encodings.
    const bool input = c.what->encoding >= 0 && f.source == splitdsl::answer_source::cloud;
    return f.source == s.source && (input || f.exit == s.exit);
}
inline likeness likeness_of(const contestant& c) {
    likeness l;
    for (std::size_t k = 0; k < c.simulated.size(); ++k) {
        const frame_record& f = c.frames[k];
        const bool same_decision = alike(c, f, c.simulated[k]);
        if (f.robbed) {
            ++l.robbed;
            l.robbed_alike += same_decision;
            continue;
        }
        ++l.frames;
        l.alike += same_decision;
        l.live_ms += f.latency_ms;
        l.simulated_ms += c.simulated[k].latency_ms;
        l.live_bytes += static_cast<double>(f.bytes_up);
        l.simulated_bytes += static_cast<double>(c.simulated[k].bytes_up);
    }
    const double n = std::max<double>(static_cast<double>(l.frames), 1);
    l.live_ms /= n, l.simulated_ms /= n, l.live_bytes /= n, l.simulated_bytes /= n;
    return l;
}

/// The whole network on the device: its answers as they are here, its time as the profile says. {accuracy, accuracy of the wake word}
inline std::pair<double, double> whole_accuracy(const run_record& r) {
    std::size_t labelled = 0, right = 0, wake_right = 0;
    for (const frame_record& f : r.list.front().frames) {
        const int label = r.shown.stills[f.picture].label, found = r.whole(r.list.front(), f.picture);
        labelled += label >= 0;
        right += label >= 0 && found == label;
        wake_right += label >= 0 && wake_word_of[static_cast<std::size_t>(found)] == wake_word_of[static_cast<std::size_t>(label)];
    }
    return {share(right, labelled), share(wake_right, labelled)};
}

inline std::string shown_pictures(const run_record& r) {
    if (r.shown.made_up)
        return std::to_string(r.shown.stills.size()) + " made-up pictures (name some with --pictures; what these are called means nothing)";
    return std::to_string(r.shown.stills.size()) + " of " + std::to_string(r.shown.found) + " pictures from " + r.shown.origin + ", "
           + std::to_string(r.shown.labelled()) + " with labels";
}
inline std::string shown_weights(const run_record& r) {
    std::string all;
    for (const std::string& file : r.weights) all += (all.empty() || file.empty() ? "" : ", ") + file;
    return all;
}
inline std::string shown_radio(const run_record& r) { return r.radio.empty() ? "none: bytes go as TCP brings them" : r.radio; }

inline void print(const run_record& r) {
    std::printf("%s\n", shown_pictures(r).c_str());
    std::printf("device %s, modelled: %.2f million multiplications in %.1f ms; stages that are done sooner wait. Code for %s\n",
                r.device.c_str(), static_cast<double>(r.macs) / 1e6, r.whole_ms, r.instruction_set.c_str());
    std::printf("radio, relayed in connection events: %s; cloud: %s\n\n", shown_radio(r).c_str(),
                r.peer.empty() ? "a second process" : r.peer.c_str());
    std::printf("%-34s %9s %9s %9s %8s %8s %8s %8s %8s %9s %7s\n", "", "threshold", "accuracy", "wake word", "mean ms", "p50", "p95", "p99",
                "max", "bytes up", "misses");
    const auto percent = [](double v) {
        char text[16];
        std::snprintf(text, sizeof text, "%.1f %%", 100 * v);
        return std::isfinite(v) ? std::string{text} : std::string{"-"};
    };
    for (const contestant& c : r.list) {
        const summary s = summarise(r, c);
        char threshold[16] = "-";
        if (std::isfinite(c.threshold)) std::snprintf(threshold, sizeof threshold, "%.2f%s", c.threshold, c.reached ? "" : " !");
        std::printf("%-34s %9s %9s %9s %8.1f %8.1f %8.1f %8.1f %8.1f %9.0f %7zu\n", c.name.c_str(), threshold,
                    percent(s.accuracy).c_str(), percent(s.wake_accuracy).c_str(), s.mean, s.p50, s.p95, s.p99, s.max, s.bytes_up,
                    s.misses);
    }
    const auto [whole, wake] = whole_accuracy(r);
    std::printf("%-34s %9s %9s %9s %8.1f   latency modelled, the other rows' measured\n\n", "whole network on the device", "-",
                percent(whole).c_str(), percent(wake).c_str(), r.whole_ms);
    for (std::size_t w = 0; w < networks.size(); ++w)
        if (r.weights[w] == made_up_weights)
            std::printf("The weights of %s are made up: what policies with them call a picture means nothing\n", networks[w].what);
    for (const contestant& c : r.list) {
        if (!c.reached)
            std::printf("! %s: no threshold reached %s on the %d pictures for choosing it; the most accurate one is shown\n", c.name.c_str(), percent(r.accuracy_goal).c_str(),
                        r.calibrated_on);
        const summary s = summarise(r, c);
        std::printf("%s: ", c.name.c_str());
        for (const auto& [key, count] : s.answered_by)
            std::printf("%s %s, ", words_of(key, *c.what).c_str(), percent(share(count, s.frames)).c_str());
        std::printf("as the whole network %s\n", percent(s.agreement).c_str());
        std::printf("  deadline %.0f ms: %zu misses, %zu more where the host stood still; %d answers compared with the network in one "
                    "piece, %zu differ\n",
                    r.deadline_ms, s.misses, s.host_stalls, c.compared, s.differing);
        if (c.cloud)
            std::printf("  the cloud: %llu frames, %llu predictions, of them %llu sent and %llu kept as not sure; stopped in %llu frames\n",
                        c.cloud->frames, c.cloud->predictions, c.cloud->replies, c.cloud->unsure, c.cloud->stopped);
        if (!c.simulated.empty()) {
            const likeness l = likeness_of(c);
            std::printf("  simulated with the same pictures, answers and phases: the same decision in %zu of %zu frames (%s), mean %.1f ms live and %.1f ms "
                        "simulated (%.3f); %.0f and %.0f bytes up; %zu more frames while a hypervisor took time, %zu of them alike\n",
                        l.alike, l.frames, percent(l.share()).c_str(), l.live_ms, l.simulated_ms, l.ratio(), l.live_bytes, l.simulated_bytes, l.robbed,
                        l.robbed_alike);
        }
    }
}

inline nlohmann::ordered_json number_or_null(double v) { return std::isfinite(v) ? nlohmann::ordered_json(v) : nlohmann::ordered_json(); }

inline nlohmann::ordered_json to_json(const run_record& r) {
    using json = nlohmann::ordered_json;
    json policies = json::object(), list = json::object();
    for (const contestant& one : r.list) {
        const contestant* const c = &one;
        const summary s = summarise(r, *c);
        json by = json::object(), frames = json::array();
        for (const auto& [key, count] : s.answered_by) by[key] = count;
        policies[c->key] = {{"threshold", number_or_null(c->threshold)},
                            {"accuracy", number_or_null(s.accuracy)},
                            {"wake_word_accuracy", number_or_null(s.wake_accuracy)},
                            {"as_whole_network", s.agreement},
                            {"mean_latency_ms", s.mean},
                            {"p50_latency_ms", s.p50},
                            {"p95_latency_ms", s.p95},
                            {"p99_latency_ms", s.p99},
                            {"max_latency_ms", s.max},
                            {"bytes_up", s.bytes_up},
                            {"answered_by", by},
                            {"unanswered", s.unanswered},
                            {"misses", s.misses},
                            {"host_stalls", s.host_stalls},
                            {"compared", c->compared},
                            {"different", s.differing},
                            {"frames", s.frames},
                            {"label", "measured"}};
        if (c->what->sends()) policies[c->key]["connection_lost"] = c->lost;
        if (r.calibrated_on > 0) policies[c->key]["accuracy_reached"] = c->reached;
        if (c->cloud)
            policies[c->key]["cloud"] = {{"frames", c->cloud->frames},
                                         {"predictions", c->cloud->predictions},
                                         {"replies", c->cloud->replies},
                                         {"unsure", c->cloud->unsure},
                                         {"stopped", c->cloud->stopped}};
        if (!c->simulated.empty()) {
            const likeness l = likeness_of(*c);
            policies[c->key]["simulated"] = {{"label", "simulated"},
                                             {"frames", l.frames},
                                             {"same_decision", l.share()},
                                             {"mean_latency_ms", l.simulated_ms},
                                             {"live_mean_latency_ms", l.live_ms},
                                             {"latency_ratio", l.ratio()},
                                             {"bytes_up", l.simulated_bytes},
                                             {"live_bytes_up", l.live_bytes},
                                             {"robbed_frames", l.robbed},
                                             {"robbed_same_decision", l.robbed_alike}};
        }
        for (const frame_record& f : c->frames) {
            frames.push_back({{"picture", f.picture},
                              {"answered_by", key_of(f)},
                              {"class", f.predicted},
                              {"latency_ms", f.latency_ms},
                              {"bytes_up", f.bytes_up},
                              {"start_ms", f.start_ms},
                              {"streams", f.streams},
                              {"packets", f.packets},
                              {"on_time", f.on_time},
                              {"host_stall", f.host_stall},
                              {"robbed", f.robbed}});
            if (r.interval_ms > 0) {
                frames.back()["phase_ms"] = std::fmod(f.start_ms, r.interval_ms);
                frames.back()["arriving"] = f.arriving;
            }
            if (f.here >= 0) frames.back()["sizes"] = {f.before, f.here};
            if (const auto k = static_cast<std::size_t>(&f - c->frames.data()); k < c->simulated.size()) {
                const simulated_frame& sim = c->simulated[k];
                frames.back()["simulated"] = {{"answered_by", key_of({.source = sim.source, .exit = sim.exit})},
                                              {"latency_ms", sim.latency_ms},
                                              {"bytes_up", sim.bytes_up},
                                              {"arriving", sim.arriving},
                                              {"same_decision", alike(*c, f, sim)}};
            }
        }
        list[c->key] = std::move(frames);
    }
    const auto [whole, wake] = whole_accuracy(r);
    policies["whole_network"] = {{"accuracy", number_or_null(whole)},
                                 {"wake_word_accuracy", number_or_null(wake)},
                                 {"mean_latency_ms", r.whole_ms},
                                 {"label", "modelled"}};
    json names = json::array();
    for (const still& s : r.shown.stills)
        names.push_back({{"name", s.name},
                         {"class", s.label >= 0 ? json(s.label) : json()},
                         {"whole_network", r.whole(r.list.front(), static_cast<std::size_t>(&s - r.shown.stills.data()))}});
    json j{{"label", "measured"},
           {"pictures",
            {{"origin", r.shown.origin},
             {"made_up", r.shown.made_up},
             {"found", r.shown.found},
             {"shown", r.shown.stills.size()},
             {"labelled", r.shown.labelled()}}},
           {"device",
            {{"name", r.device},
             {"macs_per_second", r.macs_per_second},
             {"macs", r.macs},
             {"whole_network_ms", r.whole_ms},
             {"label", "modelled"}}},
           {"ble", r.radio.empty() ? json() : json(r.radio)},
           {"cap", r.radio.empty() ? json() : json(r.cap)},
           {"cloud_at", r.peer.empty() ? "a second process" : r.peer},
           {"connected", r.linked},
           {"weights", r.weights[narrow]},
           {"wide_weights", r.weights[wide].empty() ? json() : json(r.weights[wide])},
           {"clio_weights", r.weights[by_width].empty() ? json() : json(r.weights[by_width])},
           {"instruction_set", r.instruction_set},
           {"seed", r.seed},
           {"deadline_ms", r.deadline_ms},
           {"calibrated_on", r.calibrated_on},
           {"policies", policies},
           {"picture_list", names},
           {"frame_list", list}};
    if (r.list.front().cloud) j["cloud"] = policies[r.list.front().key]["cloud"];
    return j;
}

} // namespace visual_wake
