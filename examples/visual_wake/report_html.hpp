// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report_html.hpp
/// A run as one HTML page in the look of the drive's: nothing is loaded from outside, no script runs.
#pragma once

#include "record.hpp"

#include "../drive/report_style.hpp"
#include "../drive/svg.hpp"

namespace visual_wake {

namespace page {

namespace svg = drive::svg;
using svg::escape;
using svg::number;
using svg::percent;

inline std::string label(const char* what) { return std::string{"<span class=\"label\">"} + what + "</span>"; }
inline const char* colour_of(const std::string& key) {
    return key.starts_with("cloud") ? "cloud" : key.starts_with("local") ? "compute" : key == "trunk" ? "edge" : "held";
}
/// Exits of one kind differ in strength: the first is the fullest.
inline double strength_of(const std::string& key) {
    return key.starts_with("cloud") || key.starts_with("local") ? std::max(1 - 0.16 * (key[5] - '1'), 0.2) : 1;
}

/// Numbers stay on the line of their unit.
inline std::string keep_units(std::string text) {
    for (const std::string_view unit : {" ms", " %", " B<"})
        for (std::size_t at = text.find(unit); at != std::string::npos; at = text.find(unit, at + 6)) text.replace(at, 1, "&nbsp;");
    return text;
}

inline std::string headline(const run_record& r, const summary& fleet) {
    const contestant* const against = r.other();
    if (against == nullptr) return r.list.front().name + " answered in " + number(fleet.mean) + " ms on average";
    const summary alone = summarise(r, *against);
    const double ratio = alone.mean / fleet.mean;
    std::string text = r.list.front().name + " answered in " + number(fleet.mean) + " ms on average, " + against->name + " in " + number(alone.mean) + " ms";
    if (std::isfinite(fleet.accuracy) && std::isfinite(alone.accuracy))
        text += ", right in " + percent(fleet.accuracy, 1) + " and " + percent(alone.accuracy, 1) + " of the frames";
    return text
           + (ratio > 1.005   ? ": " + number(ratio, 2) + " times faster"
              : ratio < 0.995 ? ": " + number(1 / ratio, 2) + " times slower"
                              : std::string{});
}
inline std::string tile(const std::string& value, const std::string& words, const char* how, const char* css = "") {
    return "<div class=\"tile " + std::string{css} + "\"><b>" + value + "</b><span>" + words + "</span>" + label(how) + "</div>\n";
}

inline std::string who_answered(const contestant& c, const summary& s) {
    std::string bar = "<span class=\"track\"><span class=\"bar\" style=\"width:100%\">", words;
    for (const auto& [key, count] : s.answered_by) {
        bar += "<i style=\"flex:" + std::to_string(count) + ";background:var(--" + colour_of(key)
               + ");opacity:" + number(strength_of(key), 2) + "\"></i>";
        words += (words.empty() ? "" : "<br>") + words_of(key, *c.what) + " " + percent(share(count, s.frames), 1);
    }
    return bar + "</span></span><small>" + words + "</small>";
}
inline std::string row(const contestant& c, const summary& s) {
    const auto cell = [](const char* name, const std::string& content, const char* css = "") {
        return std::string{"<td class=\""} + css + "\" data-name=\"" + name + "\">" + content + "</td>";
    };
    return "<tr><th>" + escape(c.name)
           + (std::isfinite(c.threshold) ? "<small>from a probability of " + number(c.threshold, 2) + " on</small>" : std::string{}) + "</th>"
           + cell("accuracy", "<b>" + percent(s.accuracy, 1) + "</b><small>wake word " + percent(s.wake_accuracy, 1)
                                  + "<br>as the whole network " + percent(s.agreement, 1) + "</small>")
           + cell("latency, ms", "<b>" + number(s.mean, 1) + "</b><small>median " + number(s.p50, 1) + "<br>p95 " + number(s.p95, 1)
                                     + "<br>p99 " + number(s.p99, 1) + "<br>max " + number(s.max, 1) + "</small>")
           + cell("who answered", who_answered(c, s), "wide") + cell("bytes up a frame", "<b>" + number(s.bytes_up) + "</b>")
           + cell("missed", "<b class=\"" + std::string{s.misses > 0 ? "bad" : "zero"} + "\">" + number(s.misses) + "</b><small>of "
                                + number(s.frames) + (s.host_stalls > 0 ? "<br>host stood still: " + number(s.host_stalls) : std::string{})
                                + "</small>")
           + "</tr>\n";
}
inline std::string comparison(const run_record& r) {
    std::string rows;
    for (const contestant& c : r.list) rows += row(c, summarise(r, c));
    std::string text = "<section id=\"comparison\"><h2>The same pictures, policy after policy</h2>\n<p>One device, one picture after the other, "
                       "with the cloud behind the radio where the policy sends. "
                       "The last row is what the profile says of the device without either.</p>\n<table "
                       "class=\"compare\"><thead><tr><th>policy</th><th>accuracy "
                       + label("measured") + "</th><th>latency, ms " + label("measured") + "</th><th>who answered " + label("measured")
                       + "</th><th>bytes up a frame " + label("measured") + "</th><th>missed " + label("measured")
                       + "</th></tr></thead><tbody>\n" + rows;
    const auto [whole, wake] = whole_accuracy(r);
    return text + "<tr><th>the whole network<small>on the device</small></th><td data-name=\"accuracy\"><b>" + percent(whole, 1)
           + "</b><small>wake word " + percent(wake, 1) + "</small></td><td data-name=\"latency, ms\"><b>" + number(r.whole_ms, 1)
           + "</b><small>" + label("modelled")
           + "</small></td><td></td><td data-name=\"bytes up a frame\"><b>0</b></td><td></td></tr>\n</tbody></table></section>\n";
}

/// Each frame's latency, coloured by who answered.
inline std::string frame_by_frame(const run_record& r, const contestant& c, double high) {
    const double width = 1000, height = 190, left = 46, right = 12, top = 26, bottom = height - 18;
    svg::canvas draw(width, height);
    const svg::axis x{0, static_cast<double>(std::max<std::size_t>(c.frames.size(), 2) - 1), left + 6, width - right - 6},
        y{0, high, bottom, top};
    for (const double t : svg::ticks(0, high, 4)) {
        draw.line(left, y(t), width - right, y(t), t > 0 ? "grid" : "base");
        draw.text(left - 6, y(t) + 4, number(t), "end tiny");
    }
    draw.text(left, 15, c.name, "name").text(left - 6, 15, "ms", "end tiny");
    draw.line(left, y(r.whole_ms), width - right, y(r.whole_ms), "deadline");
    draw.text(width - right, y(r.whole_ms) - 5, "the whole network, modelled", "end tiny strong halo");
    std::string dots;
    for (std::size_t k = 0; k < c.frames.size(); ++k) {
        const std::string key = key_of(c.frames[k]);
        dots += "<path class=\"dot\" style=\"stroke:var(--" + std::string{colour_of(key)}
                + ");stroke-width:5;opacity:" + number(strength_of(key), 2) + "\" d=\"M" + svg::at(x(static_cast<double>(k))) + " "
                + svg::at(y(c.frames[k].latency_ms)) + "h0\"/>";
    }
    std::string all = draw.finish("Latency of each frame, " + c.name);
    return all.insert(all.rfind("</svg>"), dots);
}
inline std::string distribution(const run_record& r, double high) {
    const double w = 1000, h = 260;
    svg::canvas draw(w, h);
    const svg::axis x{0, high, 46, w - 14}, y{0, 1, h - 40, 18};
    for (const double v : {0.0, 0.25, 0.5, 0.75, 1.0}) {
        draw.line(x.from, y(v), x.to, y(v), v > 0 ? "grid" : "base");
        draw.text(x.from - 8, y(v) + 4, percent(v), "end tiny");
    }
    for (const double t : svg::ticks(0, high, 8)) draw.text(x(t), h - 22, number(t), "mid tiny");
    draw.text((x.from + x.to) / 2, h - 5, "ms from picture to answer", "mid tiny");
    for (const contestant& c : r.list) {
        std::vector<double> sorted;
        for (const frame_record& f : c.frames) sorted.push_back(f.latency_ms);
        std::sort(sorted.begin(), sorted.end());
        std::string path = "M" + svg::at(x(0)) + " " + svg::at(y(0));
        for (std::size_t i = 0; i < sorted.size(); ++i) path += "H" + svg::at(x(sorted[i])) + "V" + svg::at(y(share(i + 1, sorted.size())));
        draw.path(path + "H" + svg::at(x.to), &c == &r.list.front() ? "l-all_cloud" : "l-all_edge");
    }
    return draw.finish("Share of the frames that were answered within a time, of each policy");
}

inline std::string key_line(const char* colour, const char* words) {
    return std::string{
               "<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\"><path class=\"dot\" d=\"M8 6h0\" style=\"stroke-width:8;stroke:var(--"}
           + colour + ")\"/></svg>" + words + "</li>";
}
inline std::string term(const char* name, const std::string& value, const char* how = nullptr) {
    return std::string{"<div><dt>"} + name + (how ? " " + label(how) : std::string{}) + "</dt><dd>" + escape(value) + "</dd></div>\n";
}
inline std::string terms(const run_record& r) {
    std::string text = "<section id=\"terms\"><h2>Terms</h2>\n<dl class=\"terms\">\n";
    text += term("device", r.device + ", " + number(r.macs_per_second / 1e6, 1) + " million multiplications a second", "modelled");
    text += term("network", "ResNet-14 with exits, " + number(static_cast<double>(r.macs) / 1e6, 2) + " million multiplications, "
                                + r.instruction_set);
    text += term("weights", shown_weights(r)) + term("radio, relayed", shown_radio(r))
            + term("cloud", r.peer.empty() ? "a second process on this machine" : r.peer);
    text += term("pictures", shown_pictures(r)) + term("seed", std::to_string(r.seed)) + term("deadline", number(r.deadline_ms, 1) + " ms");
    for (const contestant& c : r.list) {
        text += term("answers compared", c.name + ": " + std::to_string(c.compared) + ", different " + std::to_string(summarise(r, c).differing));
        if (c.cloud)
            text += term("the cloud’s predictions", std::to_string(c.cloud->predictions) + ", sent " + std::to_string(c.cloud->replies) + ", not sure "
                                                        + std::to_string(c.cloud->unsure));
        if (c.simulated.empty()) continue;
        const likeness l = likeness_of(c);
        text += term("the same frames in the simulator",
                     c.name + ": the same decision in " + percent(l.share(), 1) + ", mean " + number(l.simulated_ms, 1) + " ms", "simulated");
    }
    return text
           + "</dl>\n<ul class=\"notes\"><li>The device’s stages wait until their time on the profile is over; coding and sending take "
             "what they take here.</li>"
             "<li>A frame begins at a random phase of the radio’s interval. Energy is not counted.</li>"
           + (r.shown.made_up ? "<li>The pictures are made up: there is no right answer to them.</li>" : "")
           + (r.linked ? "" : "<li>There was no connection to the cloud when the frames began.</li>") + "</ul></section>\n";
}

} // namespace page

/// The whole page; every text of the run is escaped.
inline std::string report_html(const run_record& r) {
    using namespace page;
    const contestant &first = r.list.front(), *const against = r.other();
    const summary fleet = summarise(r, first);
    double high = r.whole_ms * 1.05;
    std::size_t misses = 0, frames = 0;
    for (const contestant& c : r.list) {
        const summary s = summarise(r, c);
        high = std::max(high, s.max);
        misses += s.misses;
        frames += s.frames;
    }
    high = svg::round_up(high);
    std::size_t by_cloud = 0;
    for (const auto& [key, count] : fleet.answered_by) by_cloud += key.starts_with("cloud") ? count : 0;
    const auto whole = whole_accuracy(r).first;
    const std::string head =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src "
        "data:\"><link rel=\"icon\" href=\"data:,\"><title>"
        + headline(r, fleet) + "</title><style>" + drive::detail::report_style + "</style></head>\n<body><main>\n";
    std::string text = "<p class=\"over\">splitdsl · visual wake words</p>\n<h1>" + headline(r, fleet) + ".</h1>\n<p class=\"lede\">"
                       + escape(shown_pictures(r)) + ". " + number(fleet.frames) + " frames each on a device paced to " + escape(r.device)
                       + ", with a cloud behind "
                       + (r.radio.empty() ? "TCP"
                                          : "a radio that wakes every "
                                                + number(r.interval_ms, r.interval_ms == std::floor(r.interval_ms) ? 0 : 2) + " ms")
                       + ".</p>\n<div class=\"tiles\">\n";
    text += tile(number(misses), "frames without an answer of their own in time, of " + number(frames), "measured", misses == 0 ? "good" : "bad");
    const std::string other_mean = against == nullptr ? std::string{} : "; " + number(summarise(r, *against).mean, 1) + " ms: " + against->name;
    text += tile(number(fleet.mean, 1) + " ms", "mean latency: " + first.name + other_mean, "measured");
    text += tile(percent(share(by_cloud, fleet.frames)), "of the frames ended with an answer of the cloud", "measured");
    text += std::isfinite(whole)
                ? tile(percent(fleet.accuracy, 1),
                       "right: " + first.name + (against == nullptr ? std::string{} : "; " + percent(summarise(r, *against).accuracy, 1) + " " + against->name)
                           + "; " + percent(whole, 1) + " with the whole network",
                       "measured")
                : tile(percent(fleet.agreement, 1), "answered as the whole network answers; there are no labels", "measured");
    text += tile(number(fleet.bytes_up) + " B", "sent a frame, headers with them", "measured") + "</div>\n" + comparison(r);
    text += "<section id=\"latency\"><h2>Latency, frame by frame " + label("measured")
            + "</h2>\n<p>From the picture to the answer. Fainter dots are later exits.</p>\n<ul class=\"keys\">"
            + key_line("cloud", "an exit in the cloud") + key_line("compute", "an exit on the device")
            + key_line("edge", "the whole network on the device") + key_line("held", "no answer of its own")
            + "</ul>\n<div class=\"scroll\" tabindex=\"0\">\n" + [&] {
                  std::string all;
                  for (const contestant& c : r.list) all += frame_by_frame(r, c, high);
                  return all;
              }()
            + "</div></section>\n";
    text += "<section id=\"distribution\"><h2>How fast, how often " + label("measured")
            + "</h2>\n<p>Share of the frames answered within a time.</p>\n<ul class=\"keys\">" + key_line("cloud", first.name.c_str())
            + (against == nullptr ? std::string{} : key_line("edge", r.list.size() > 2 ? "the others" : against->name.c_str())) + "</ul>\n<div class=\"scroll\" tabindex=\"0\">\n" + distribution(r, high)
            + "</div></section>\n";
    text += terms(r)
            + "<footer><p><b>measured</b>: read from a clock or counter in this run. <b>modelled</b>: computed from the network’s "
              "multiplications and the device’s profile.</p></footer>\n</main></body></html>\n";
    return head + keep_units(std::move(text));
}

} // namespace visual_wake
