// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report.hpp
/// A contest as a table for people and as JSON for scripts; both say that everything is simulated.
#pragma once

#include "contest.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
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
/// Thresholds up to the last one that an answer can reach.
template <std::size_t N>
std::vector<float> used(const std::array<float, N>& all) {
    std::size_t n = N;
    while (n > 0 && all[n - 1] >= splitdsl::policy::never_sure) --n;
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n)};
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
        rows.push_back({o.name,
                        !o.learnt.empty() ? std::string{"learnt"} + (o.reached ? "" : " !")
                        : o.has_threshold ? fixed(o.threshold, 2) + (o.reached ? "" : " !")
                                          : "-",
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

/// Where cascades stop being faster than sending every input: a sentence for each place, if there are any.
inline std::string break_evens(const std::vector<outcome>& all) {
    std::vector<std::string> said;
    for (const outcome& o : all) {
        if (!o.pays) continue;
        const std::string sentence = o.network + ": a cascade is faster than sending every input (" + parts::fixed(o.pays->sending_ms, 2) + " ms) "
                                     + (o.pays->threshold ? "while it passes on less than " + parts::fixed(100 * o.pays->share, 1)
                                                                + " % of them, here up to a threshold of " + parts::fixed(static_cast<double>(*o.pays->threshold), 2)
                                                          : std::string{"at no threshold: the small network alone takes longer"})
                                     + "\n";
        if (std::find(said.begin(), said.end(), sentence) == said.end()) said.push_back(sentence);
    }
    std::string text;
    for (const std::string& one : said) text += one;
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
            {"answered_by_stream", s.by_stream},
            {"answered_by_size", s.by_size},
            {"answered_by_exit", s.by_local},
            {"answered_in_stage", s.in_stage},
            {"network", o.network},
            {"violations", s.violations},
            {"label", to_text(s.label)}};
        if (o.has_threshold && o.learnt.empty()) policies[o.name]["threshold"] = o.threshold;
        for (const auto& t : o.learnt)
            policies[o.name]["thresholds"].push_back({{"rate_up_kbps", t.rate_up.value * 8 / 1e3},
                                                      {"send", t.send},
                                                      {"cloud", parts::used(t.cloud)},
                                                      {"local", parts::used(t.local)}});
        if (o.has_threshold) policies[o.name]["accuracy_reached"] = o.reached;
        if (o.pays) {
            policies[o.name]["break_even"] = {{"sending_ms", o.pays->sending_ms}, {"share", o.pays->share}, {"threshold", nullptr}};
            if (o.pays->threshold) policies[o.name]["break_even"]["threshold"] = *o.pays->threshold;
        }
    }
    return policies;
}

/// A sweep in a few numbers: how far one policy is ahead of FLEET where FLEET is ahead of the device alone, and how far behind the device
/// alone it is anywhere.
class comparison {
public:
    explicit comparison(const comparison_terms& chosen) : terms_of(chosen) {}

    void add(const point& p, const std::vector<outcome>& all) {
        const auto named = [&](const std::string& name) -> const outcome& {
            return *std::find_if(all.begin(), all.end(), [&](const outcome& o) { return o.name == name; });
        };
        const outcome *const ours = &named(terms_of.improved), *const paper = &named(terms_of.paper), *local = nullptr;
        for (const std::string& name : terms_of.local) {
            const outcome& o = named(name);
            if (o.reached && (local == nullptr || o.summary.mean_latency_ms < local->summary.mean_latency_ms)) local = &o;
        }
        ++points;
        if (!ours->reached) { // fast with worse answers is not ahead
            ++missed;
            return;
        }
        if (local == nullptr) return;
        const double behind = ours->summary.mean_latency_ms / local->summary.mean_latency_ms;
        if (behind > worst) worst = behind, worst_at = p.air.line();
        if (!paper->reached || paper->summary.mean_latency_ms >= local->summary.mean_latency_ms) return;
        ++cells;
        const double ahead = paper->summary.mean_latency_ms / ours->summary.mean_latency_ms;
        logarithms += std::log(ahead);
        least = std::min(least, ahead), most = std::max(most, ahead);
        const double points_more = 100 * (ours->summary.accuracy() - paper->summary.accuracy());
        accuracies += points_more;
        least_accuracy = std::min(least_accuracy, points_more), most_accuracy = std::max(most_accuracy, points_more);
    }
    double mean() const { return cells > 0 ? std::exp(logarithms / cells) : 0; }
    std::string text() const {
        using parts::fixed;
        std::string s = "simulated: " + terms_of.improved + " against " + terms_of.paper + ": " + std::to_string(cells) + " of "
                        + std::to_string(points) + " points where " + terms_of.paper + " is ahead of the device's exits";
        if (cells > 0)
            s += "; there " + terms_of.paper + "'s mean latency is " + fixed(mean(), 3) + " times as long (geometric mean; "
                 + fixed(least, 3) + " to " + fixed(most, 3) + "), test accuracy differs by " + fixed(accuracies / cells, 2) + " points ("
                 + fixed(least_accuracy, 2) + " to " + fixed(most_accuracy, 2) + ")";
        s += worst > 0 ? "; against the device's exits at worst " + fixed(worst, 3) + " times as long (" + worst_at + ")" : "; nowhere could it be compared with the device's exits";
        return s + (missed > 0 ? "; " + std::to_string(missed) + " points left out, where " + terms_of.improved + " does not reach the accuracy\n" : "\n");
    }
    nlohmann::json json() const {
        return {{"improved", terms_of.improved},
                {"paper", terms_of.paper},
                {"points", points},
                {"cells", cells},
                {"missed", missed},
                {"geometric_mean", mean()},
                {"worst_against_local", worst},
                {"worst_at", worst_at},
                {"accuracy_points_more", cells > 0 ? accuracies / cells : 0.0}};
    }

private:
    comparison_terms terms_of;
    int points{}, cells{}, missed{};
    double logarithms{}, least{1e9}, most{}, accuracies{}, least_accuracy{100}, most_accuracy{-100}, worst{};
    std::string worst_at{};
};

/// The radio, always with the rule that limits its air.
inline nlohmann::json air_json(const air_terms& a) {
    if (a.other) return {{"radio", a.kind()}, {a.kind(), a.line()}, {"airtime_rule", a.rule()}};
    return {{"radio", "ble"}, {"ble", a.line()}, {"cap", to_text(a.ble.cap)}};
}
inline nlohmann::json point_json(const point& p) {
    nlohmann::json j{{"device", p.device}};
    j.update(air_json(p.air));
    return j;
}

inline nlohmann::json scenario_json(const scenario& s, const contest& c) {
    nlohmann::json networks = nlohmann::json::object();
    for (const auto& n : s.networks) {
        nlohmann::json stages = nlohmann::json::array(), streams = nlohmann::json::array(), exits = nlohmann::json::array();
        for (const auto& stage : n.stages) {
            stages.push_back(stage.name);
            if (!stage.stream.empty()) streams.push_back(stage.name);
            if (stage.exit >= 0) exits.push_back(stage.name);
        }
        networks[n.name] = {{"stages", stages}, {"streams_behind", streams}, {"exits_behind", exits}};
    }
    nlohmann::json j{{"name", s.name},
                     {"file", s.file},
                     {"frames", s.frames},
                     {"seed", s.seed},
                     {"deadline_ms", s.deadline_ms},
                     {"device", s.device},
                     {"currents", s.currents},
                     {"cloud_ms", s.cloud_ms},
                     {"cloud_profile", s.cloud_profile},
                     {"stops_within_stage", s.stops_within_stage},
                     {"networks", networks},
                     {"packet_overhead", s.packet_overhead},
                     {"answers", s.answers.empty() ? "synthetic: no network stands behind them" : s.answers},
                     {"synthetic", s.answers.empty()},
                     {"pictures", c.pictures()},
                     {"validation_pictures", c.validation_pictures()}};
    j.update(air_json(s.air));
    return j;
}

} // namespace simulate
