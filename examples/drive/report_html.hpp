// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report_html.hpp
/// A drive as one HTML file: nothing is loaded from outside, no script runs.
#pragma once

#include "report_json.hpp"
#include "report_plots.hpp"
#include "report_style.hpp"

namespace drive {

namespace detail {

using svg::escape;
using svg::number;
using svg::percent;

inline std::string label(splitdsl::provenance p) { return "<span class=\"label\">" + std::string(to_text(p)) + "</span>"; }
inline std::string plural(std::size_t n, const std::string& one, const std::string& many) {
    return number(n) + " " + (n == 1 ? one : many);
}

/// The policy the report is about: sage, else the last one.
inline const policy_summary* hero(const std::vector<policy_summary>& all) {
    if (const policy_summary* s = find(all, "sage")) return s;
    return all.empty() ? nullptr : &all.back();
}
inline std::string shown_name(std::string_view policy) { return policy == "sage" ? "SAGE" : std::string(policy); }

/// The result in one sentence, computed from the frames.
inline std::string headline(const drive_record& d, const std::vector<policy_summary>& all) {
    const policy_summary* const s = hero(all);
    if (s == nullptr || s->frames == 0) return "No frame was driven";
    const std::string in_time = " within " + number(d.scenario.deadline_ms) + " ms";
    std::string text = shown_name(s->name);
    if (s->misses == 0 && s->host_stalls == 0)
        text += " answered all " + number(s->frames) + " frames" + in_time;
    else if (s->misses == 0)
        text += " answered " + number(s->frames - s->host_stalls) + " of " + number(s->frames) + " frames" + in_time
                + ", the host stalled in " + number(s->host_stalls);
    else
        text += " missed the " + number(d.scenario.deadline_ms) + " ms deadline in " + number(s->misses) + " of " + number(s->frames)
                + " frames";
    const policy_summary* const base = find(all, "all_edge");
    const auto less = base != nullptr && base != s ? saving(*s, *base, d.scope) : std::nullopt;
    if (!less) return text;
    if (std::abs(*less) < 0.005) return text + ", at the energy of the car alone";
    return text + (s->misses == 0 ? ", on " : ", and spent ") + percent(std::abs(*less)) + (*less > 0 ? " less" : " more")
           + " energy than the car alone";
}

/// Numbers stay on the line of their unit.
inline std::string keep_units(std::string text) {
    for (const std::string_view unit : {" ms", " %", " frames"})
        for (std::size_t at = text.find(unit); at != std::string::npos; at = text.find(unit, at + 6)) text.replace(at, 1, "&nbsp;");
    return text;
}

/// What the drive went through and how the others fared.
inline std::string lede(const drive_record& d, const std::vector<policy_summary>& all) {
    const policy_summary* const s = hero(all);
    if (s == nullptr || s->frames == 0) return {};
    std::string text = plots::length_s(d) >= 0.95 ? number(plots::length_s(d)) + " s" : number(plots::length_s(d), 1) + " s";
    text += " of driving over " + d.scenario.radio;
    const std::size_t dark = d.scenario.blackouts.size(), kills = d.scenario.kills_s.size();
    if (dark > 0) text += " with " + plural(dark, "blackout", "blackouts");
    if (kills > 0) text += std::string(dark > 0 ? " and " : " with ") + plural(kills, "kill", "kills") + " of the cloud";
    text += ". ";
    if (std::isfinite(s->cloud_share())) text += "The cloud answered " + percent(s->cloud_share()) + " of the frames outside blackouts. ";
    if (const std::size_t n = s->count(frame_source::fallback); n > 0)
        text += n == 1 ? "Once the reply did not come, and the car’s own tail answered in time. "
                       : number(n) + " times the reply did not come, and the car’s own tail answered instead. ";
    if (const policy_summary* c = find(all, "all_cloud"); c != nullptr && c != s && c->frames > 0)
        text += c->misses > 0 ? "Sending whole images over the same link missed "
                                    + percent(static_cast<double>(c->misses) / static_cast<double>(c->frames)) + " of the frames."
                              : "Sending whole images over the same link missed none either.";
    return text;
}

inline std::string tile(const std::string& value, const std::string& words, splitdsl::provenance p, const char* css = "") {
    return "<div class=\"tile " + std::string(css) + "\"><b>" + value + "</b><span>" + words + "</span>" + label(p) + "</div>\n";
}

inline std::string tiles(const drive_record& d, const std::vector<policy_summary>& all) {
    const policy_summary* const s = hero(all);
    if (s == nullptr || s->frames == 0) return {};
    std::string text = "<div class=\"tiles\">\n";
    std::string missed = "missed " + std::string(s->misses == 1 ? "frame" : "frames") + " of " + number(s->frames);
    if (s->host_stalls > 0) missed += ", and " + plural(s->host_stalls, "host stall", "host stalls");
    text += tile(number(s->misses), missed, d.time_label(), s->misses == 0 ? "good" : "bad");
    text += tile(number(s->p99, 1) + " ms", "99 of 100 own answers came by then; the deadline is " + number(d.scenario.deadline_ms) + " ms",
                 d.time_label());
    const policy_summary* const base = find(all, "all_edge");
    if (base != nullptr && base != s) {
        const auto less = saving(*s, *base, d.scope), same = saving(*s, *base, other_scope(d.scope));
        if (less && same)
            text += tile((*less >= 0 ? "−" : "+") + percent(std::abs(*less)),
                         "energy against all_edge; " + std::string(*same >= 0 ? "−" : "+") + percent(std::abs(*same)) + " if idle means “"
                             + std::string(to_text(other_scope(d.scope))) + "”",
                         d.energy_label());
    }
    text += tile(percent(s->cloud_share()), "of the frames outside blackouts answered by the cloud", d.time_label());
    text += tile(number(s->lane_mean, 2) + " m",
                 "mean distance from the lane’s centre; "
                     + (!s->had_road() ? std::string("no road was drawn")
                                       : s->off_road == 0 ? std::string("never off the road")
                                                          : "off the road " + plural(s->off_road, "time", "times")),
                 d.road_label());
    return text + "</div>\n";
}

struct part {
    const char* css;
    double value;
};
/// A stacked bar; `full` is the value as wide as the column.
inline std::string bar(std::initializer_list<part> parts, double full) {
    double sum = 0;
    for (const part& p : parts) sum += std::isfinite(p.value) ? p.value : 0;
    if (!(full > 0) || !(sum > 0)) return {};
    std::string text =
        "<span class=\"track\"><span class=\"bar\" style=\"width:" + svg::at(std::clamp(sum / full, 0.0, 1.0) * 100) + "%\">";
    for (const part& p : parts)
        if (p.value > 0)
            text += "<i class=\"" + std::string(p.css) + "\" style=\"flex:" + svg::at(std::max(p.value / sum * 1000, 1.0)) + "\"></i>";
    return text + "</span></span>";
}

inline std::string source_words(const policy_summary& s) {
    std::string text;
    for (const auto source : {frame_source::edge, frame_source::cloud, frame_source::fallback, frame_source::held})
        if (s.count(source) > 0) text += (text.empty() ? "" : ", ") + std::string(to_text(source)) + "&nbsp;" + number(s.count(source));
    return text.empty() ? "none" : text;
}

inline std::string keys(std::initializer_list<std::pair<const char*, const char*>> entries) {
    std::string text = "<ul class=\"keys\">";
    for (const auto& [shape, words] : entries)
        text += "<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\">" + std::string(shape) + "</svg>" + words + "</li>";
    return text + "</ul>\n";
}
inline std::string source_keys() {
    return keys({{"<path class=\"dot s-edge\" d=\"M8 6h0\" style=\"stroke-width:8\"/>", "edge: the policy stayed on the car"},
                 {"<path class=\"dot s-cloud\" d=\"M8 6h0\" style=\"stroke-width:8\"/>", "cloud: the reply came in time"},
                 {"<path class=\"m-fallback\" d=\"M8 1l5.6 10h-11.2z\"/>", "fallback: it did not, the car’s own tail answered"},
                 {"<path class=\"m-held\" d=\"M4 2l8 8m0-8l-8 8\"/>", "held: the previous answer again"}});
}

inline std::string comparison(const drive_record& d, const std::vector<policy_summary>& all) {
    double most = 0;
    for (const policy_summary& s : all) most = std::max(most, s.joules_per_frame(d.scope));
    std::string text = "<section id=\"comparison\"><h2>The same drive under every policy</h2>\n<p>Same road, same trace, same blackouts. "
                       "Energy is the device’s own, for the whole drive; idle is counted as “"
                       + std::string(to_text(d.scope))
                       + "”, with the other reading beneath.</p>\n<table class=\"compare\"><thead><tr><th>policy</th><th>missed "
                       + label(d.time_label()) + "</th><th>who answered " + label(d.time_label()) + "</th><th>latency, ms "
                       + label(d.time_label()) + "</th><th>energy, J " + label(d.energy_label()) + "</th><th>off the lane’s centre "
                       + label(d.road_label()) + "</th></tr></thead><tbody>\n";
    for (const policy_summary& s : all) {
        const auto& e = s.energy_j[d.scope];
        const double n = static_cast<double>(s.frames);
        text += "<tr><th>" + escape(s.name) + "<small>" + escape(plots::explain(s.name)) + "</small></th>";
        text += "<td data-name=\"missed (" + std::string(to_text(d.time_label())) + ")\"><b class=\"" + (s.misses > 0 ? "bad" : "zero")
                + "\">" + number(s.misses) + "</b><small>of " + number(s.frames)
                + (s.host_stalls > 0 ? "<br>" + plural(s.host_stalls, "host stall", "host stalls") : std::string{}) + "</small></td>";
        text += "<td class=\"wide\" data-name=\"who answered (" + std::string(to_text(d.time_label())) + ")\">"
                + bar({{"b-edge", static_cast<double>(s.count(frame_source::edge))},
                       {"b-cloud", static_cast<double>(s.count(frame_source::cloud))},
                       {"b-fallback", static_cast<double>(s.count(frame_source::fallback))},
                       {"b-held", static_cast<double>(s.count(frame_source::held))}},
                      n)
                + "<small>" + source_words(s) + "<br>" + escape(svg::volume(static_cast<double>(s.bytes_up))) + " up</small></td>";
        text += "<td data-name=\"latency, ms (" + std::string(to_text(d.time_label())) + ")\"><b>" + number(s.p50, 1)
                + "</b><small>median of own answers<br>p95 " + number(s.p95, 1) + "<br>p99 " + number(s.p99, 1) + "<br>max " + number(s.max, 1)
                + "</small></td>";
        text += "<td class=\"wide\" data-name=\"energy, J (" + std::string(to_text(d.energy_label())) + ")\"><b>" + number(e.total(), 1)
                + "</b>" + bar({{"b-compute", e.compute}, {"b-radio", e.radio}, {"b-idle", e.idle}}, most * n) + "<small>compute "
                + number(e.compute, 1) + " · radio " + number(e.radio, 1) + "<br>idle " + number(e.idle, 1) + "<br>total with “"
                + std::string(to_text(other_scope(d.scope))) + "”: " + number(s.energy_j[other_scope(d.scope)].total(), 1)
                + "</small></td>";
        text += "<td data-name=\"off the lane’s centre (" + std::string(to_text(d.road_label())) + ")\"><b>" + number(s.lane_mean, 2)
                + " m</b> mean<small>max " + number(s.lane_max, 2) + " m<br>"
                + (!s.had_road() ? std::string("no road was drawn")
                   : s.off_road > 0 ? "<span class=\"bad\">off the road " + plural(s.off_road, "time", "times") + "</span>"
                                    : std::string("never off the road"))
                + "</small></td></tr>\n";
    }
    return text + "</tbody></table>\n"
           + keys({{"<rect class=\"b\" x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--edge)\"/>", "edge"},
                   {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--cloud)\"/>", "cloud"},
                   {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--fallback)\"/>", "fallback"},
                   {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--held)\"/>", "held"},
                   {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--compute)\"/>", "compute"},
                   {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--radio)\"/>", "radio"},
                   {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--idle)\"/>", "idle"}})
           + "</section>\n";
}

/// One panel a policy, one under the other, on one time axis.
template <class Panel>
inline std::string panels(const drive_record& d, Panel panel) {
    std::string text = "<div class=\"scroll\" tabindex=\"0\">\n";
    for (std::size_t i = 0; i < d.policies.size(); ++i) text += panel(d.policies[i], i == 0, i + 1 == d.policies.size());
    return text + "</div>";
}

inline std::string plots_over_time(const drive_record& d) {
    double rate_high = 0, energy_high = 0, lane_high = 0.25;
    for (const policy_record& p : d.policies) {
        for (const frame_record& f : p.frames) {
            for (const double v : {f.rate_kbps, f.estimate_kbps})
                if (std::isfinite(v)) rate_high = std::max(rate_high, v);
            if (std::isfinite(f.lane_deviation_m)) lane_high = std::max(lane_high, f.lane_deviation_m);
        }
        energy_high = std::max(energy_high, plots::bin_energy(d, p).highest);
    }
    rate_high = svg::round_up(rate_high);
    energy_high = svg::round_up(energy_high);
    lane_high = svg::round_up(std::min(lane_high, 5.0));
    const double latency_high = 1.5 * d.scenario.deadline_ms;
    std::string text = "<section id=\"latency\"><h2>Latency, frame by frame " + label(d.time_label())
                       + "</h2>\n<p>From the camera’s frame to the answer. Grey bands are blackouts, red lines the cloud’s end.</p>\n"
                       + source_keys();
    text += panels(d, [&](const policy_record& p, bool first, bool last) { return plots::latency(d, p, latency_high, first, last); })
            + "</section>\n";
    text += "<section id=\"rate\"><h2>The link " + label(d.time_label())
            + "</h2>\n<p>What the link carried, what the car estimated from the receiver’s clock, and the rate r<sub>th</sub> that SAGE "
              "asks for before it offloads.</p>\n"
            + keys({{"<path class=\"rate-line\" d=\"M0 6h16\" style=\"stroke-width:2.5\"/>", "true rate"},
                    {"<path class=\"estimate\" d=\"M0 6h16\" style=\"stroke-width:2\"/>", "estimate"},
                    {"<path class=\"threshold\" d=\"M0 6h16\" style=\"stroke-width:2.5\"/>", "SAGE’s threshold"}});
    text += panels(d, [&](const policy_record& p, bool first, bool last) { return plots::rate(d, p, rate_high, first, last); })
            + "</section>\n";
    text += "<section id=\"energy\"><h2>Energy of every second " + label(d.energy_label())
            + "</h2>\n<p>The device’s computing, sending and waiting (“" + std::string(to_text(d.scope))
            + "”); frames that fell back are charged for all they did.</p>\n"
            + keys({{"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--compute)\"/>", "compute"},
                    {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--radio)\"/>", "radio"},
                    {"<rect x=\"2\" y=\"1\" width=\"10\" height=\"10\" rx=\"2\" style=\"fill:var(--idle)\"/>", "idle"}});
    text += panels(d, [&](const policy_record& p, bool first, bool last) { return plots::energy(d, p, energy_high, first, last); })
            + "</section>\n";
    text +=
        "<section id=\"lane\"><h2>Lane deviation " + label(d.road_label())
        + "</h2>\n<p>Distance of the car’s centre from its lane’s; the lane is 3.5 m wide. A red cross: off the road, and put back.</p>\n";
    text += panels(d, [&](const policy_record& p, bool first, bool last) { return plots::lane(d, p, lane_high, first, last); })
            + "</section>\n";
    return text;
}

inline std::string term(const std::string& name, const std::string& value) {
    return "<div><dt>" + escape(name) + "</dt><dd>" + escape(value) + "</dd></div>\n";
}

inline std::string terms(const drive_record& d) {
    const scenario_record& s = d.scenario;
    std::string dark, kills;
    for (const interval& b : s.blackouts) dark += (dark.empty() ? "" : ", ") + number(b.begin_s, 1) + " to " + number(b.end_s, 1) + " s";
    for (const double t : s.kills_s) kills += (kills.empty() ? "" : ", ") + ("at " + number(t, 1) + " s");
    std::string text =
        "<section id=\"terms\"><h2>The terms of this drive</h2>\n<p>Everything that shaped the numbers above.</p>\n<dl class=\"terms\">\n";
    text += term("scenario file", s.file.empty() ? "–" : s.file);
    text += term("clock",
                 d.simulated ? "virtual time (simulated)" : "steady clock; edge and cloud are two processes over TCP through the relay");
    text += term("device profile", s.device + ": " + number(s.device_gmacs_per_s, 1) + " GMAC/s, stages paced to it");
    text += term("active power", number(s.active_w, 2) + " W");
    text += term("idle power", number(s.idle_w, 2) + " W (an assumption)");
    text +=
        term("idle counted in", std::string(to_text(d.scope)) + " (the other reading: " + std::string(to_text(other_scope(d.scope))) + ")");
    text += term("radio model", s.radio);
    text += term("round trip", number(s.rtt_ms, 1) + " ms");
    text += term("deadline", number(s.deadline_ms, 1) + " ms, from the frame’s start");
    text += term("reserve for the local tail",
                 std::isfinite(s.reserve_ms) ? number(s.reserve_ms, 1) + " ms" : "at least twice its measured p99");
    text += term("camera", number(s.frames_per_s, 1) + " frames per second");
    if (s.jpeg_quality > 0) text += term("all_cloud sends", "JPEG, quality " + number(s.jpeg_quality));
    text += term("trace", d.trace);
    text += term("seed", std::to_string(d.seed));
    text += term("blackouts", dark.empty() ? "none" : dark);
    text += term("cloud killed (kill −9)", kills.empty() ? "never" : kills);
    text += term("network", d.pipeline.network);
    text += term("fingerprint", fingerprint_text(d.fingerprint));
    text += "</dl>\n";
    if (!s.notes.empty()) {
        text += "<ul class=\"notes\">";
        for (const std::string& n : s.notes) text += "<li>" + escape(n) + "</li>";
        text += "</ul>\n";
    }
    return text + "</section>\n";
}

inline std::string footer(const drive_record& d) {
    std::string host;
    for (const std::string& part :
         {d.host.machine, d.host.cpu, d.host.cores > 0 ? plural(std::size_t{d.host.cores}, "core", "cores") : std::string{}, d.host.system,
          d.host.compiler, d.host.instruction_set})
        if (!part.empty()) host += (host.empty() ? "" : " · ") + part;
    std::string text = "<footer><p><b>measured</b>: read from a clock or counter in this run. <b>modelled</b>: computed from measured "
                       "times and published constants; no power meter was read. "
                       "<b>simulated</b>: virtual time, or the drawn road.</p>\n";
    if (!host.empty()) text += "<p>Host: " + escape(host) + "</p>\n";
    if (!d.command.empty())
        text += "<p>Made by <code>" + escape(d.command) + "</code>" + (d.date.empty() ? std::string{} : " on " + escape(d.date)) + "</p>\n";
    return text + "</footer>\n";
}

} // namespace detail

/// The whole report. Every text of the record is escaped; a record without policies or frames gives a page that says so.
///
/// ```cpp
/// std::ofstream{"out/demo/report.html"} << drive::report_html(record);
/// ```
inline std::string report_html(const drive_record& d) {
    using namespace detail;
    const auto all = summarise(d);
    std::string text =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        "<link rel=\"icon\" href=\"data:,\"><title>"
        + escape(headline(d, all)) + "</title><style>" + report_style + "</style></head>\n<body><main>\n";
    text += "<p class=\"over\">splitdsl · " + std::string(d.simulated ? "simulated drive" : "drive") + "</p>\n<h1>"
            + keep_units(escape(headline(d, all))) + ".</h1>\n<p class=\"lede\">" + escape(lede(d, all)) + "</p>\n";
    text += tiles(d, all);
    if (!d.policies.empty()) text += comparison(d, all);
    text += "<section id=\"pipeline\"><h2>The split network</h2>\n<p>"
            + escape(d.pipeline.network.empty() ? "The network" : d.pipeline.network)
            + ": the car runs everything up to the bottleneck; what crosses the link is known at compile time. Bars show each stage’s "
              "share of the arithmetic.</p>\n<div class=\"scroll flow\" tabindex=\"0\">"
            + plots::pipeline(d) + "</div></section>\n";
    if (!d.policies.empty()) {
        text += plots_over_time(d);
        const policy_summary* const s = hero(all);
        text += "<div class=\"pair\"><section id=\"distribution\"><h2>How fast, how often " + label(d.time_label())
                + "</h2>\n<p>Share of the frames answered within a time; a held answer is none.</p>\n<ul class=\"keys\">";
        for (const policy_summary& p : all)
            text += "<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\"><path class=\"" + plots::line_class(p.name)
                    + "\" d=\"M0 6h16\" style=\"stroke-width:3\"/></svg>" + escape(p.name) + "</li>";
        text += "</ul>\n" + plots::distribution(d) + "</section>\n";
        text += "<section id=\"route\"><h2>Where it happened " + label(d.road_label()) + "</h2>\n<p>The route of " + escape(s->name)
                + " from above, coloured by who answered.</p>\n" + plots::route_map(*d.find(s->name)) + "</section></div>\n";
    }
    return text + terms(d) + footer(d) + "</main></body></html>\n";
}

} // namespace drive
