// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report_plots.hpp
/// The report's drawings: panels over time, latency distribution, route, and the pipeline with its payload on the cut.
#pragma once

#include "summary.hpp"
#include "svg.hpp"

#include <utility>

namespace drive::plots {

inline constexpr double width = 980, left = 54, right = 16;

/// One line of text for a policy; the names the documentation uses.
inline std::string_view explain(std::string_view policy) {
    if (policy == "all_edge") return "the whole network on the car";
    if (policy == "all_cloud") return "the image as JPEG, no fallback";
    if (policy == "sage") return "splits, and falls back in time";
    return {};
}
/// The class of a policy's line; unknown policies share one.
inline std::string line_class(std::string_view policy) {
    for (const std::string_view known : {"all_edge", "all_cloud", "sage"})
        if (policy == known) return "l-" + std::string(known);
    return "l-other";
}

/// How long the plots are, in seconds: the longest policy's drive.
inline double length_s(const drive_record& d) {
    double end = 0;
    for (const policy_record& p : d.policies)
        if (!p.frames.empty() && std::isfinite(p.frames.back().time_s)) end = std::max(end, p.frames.back().time_s);
    return end + (d.scenario.frames_per_s > 0 ? 1 / d.scenario.frames_per_s : 1);
}

/// A plot over the drive's time: grid, blackouts, kills, axes. The caller draws between `begin` and `finish`.
struct time_panel {
    svg::axis x, y;
    double top, bottom;
    svg::canvas draw;

    time_panel(const drive_record& d, double height, double y_high, bool time_labels, std::string_view name, std::string_view words,
               std::string_view unit, int rows = 3)
        : x{0, length_s(d), left, width - right},
          y{0, y_high, height, 26},
          top{26},
          bottom{height},
          draw{width, height + (time_labels ? 26 : 10)} {
        for (const interval& b : d.scenario.blackouts) draw.rect(x(b.begin_s), top, x(b.end_s) - x(b.begin_s), bottom - top, "dark");
        const auto levels = svg::ticks(0, y_high, rows);
        for (const double v : levels) {
            draw.line(left, y(v), width - right, y(v), v > 0 ? "grid" : "base");
            draw.text(left - 8, y(v) + 4, svg::number(v, svg::tick_decimals(levels)), "end tiny");
        }
        draw.text(left, 16, name, "name");
        draw.text(left + 9 + 8.0 * static_cast<double>(name.size()), 16, words, "tiny");
        draw.text(width - right, 16, unit, "end tiny");
        if (time_labels) {
            const auto times = svg::ticks(0, x.high, 10);
            for (const double t : times)
                draw.text(x(t), bottom + 18, svg::number(t, svg::tick_decimals(times)) + (t > 0 ? "" : " s"), "mid tiny");
        }
        for (const double t : d.scenario.kills_s)
            if (t <= x.high) draw.line(x(t), top, x(t), bottom, "kill");
    }
    /// Words for the first panel of a column: which band is what.
    void name_events(const drive_record& d) {
        for (const interval& b : d.scenario.blackouts)
            if (b.begin_s < x.high) draw.text((x(b.begin_s) + x(b.end_s)) / 2, top + 13, "blackout", "mid tiny");
        for (const double t : d.scenario.kills_s)
            if (t <= x.high) draw.text(x(t) + 5, top + 12, "cloud killed", "tiny kill-text halo");
    }
};

inline std::string move_to(double x, double y) { return "M" + svg::at(x) + " " + svg::at(y); }
inline std::string line_to(double x, double y) { return "L" + svg::at(x) + " " + svg::at(y); }
/// Markers differ in shape as well as colour: dots for ordinary answers, triangles for fallbacks, crosses for held ones.
inline std::string marker(frame_source s, double x, double y) {
    switch (s) {
    case frame_source::fallback: return move_to(x, y - 5) + "l5 8.6h-10z";
    case frame_source::held: return move_to(x - 2.8, y - 2.8) + "l5.6 5.6m0-5.6l-5.6 5.6";
    default: return move_to(x, y) + "h0";
    }
}
inline constexpr std::array<const char*, frame_sources> marker_class{"dot s-edge", "dot s-cloud", "m-fallback", "m-held"};

/// Latency of every frame by who answered. Frames beyond the axis stand on its upper end, and the panel says how many.
inline std::string latency(const drive_record& d, const policy_record& p, double high, bool first, bool last) {
    std::size_t beyond = 0;
    double slowest = 0;
    for (const frame_record& f : p.frames)
        if (f.latency_ms > high) {
            ++beyond;
            slowest = std::max(slowest, f.latency_ms);
        }
    std::string unit = "ms";
    if (beyond > 0) unit = svg::number(beyond) + " beyond the axis, the slowest " + svg::number(slowest) + " ms";
    time_panel panel(d, 158, high, last, p.name, explain(p.name), unit);
    std::array<std::string, frame_sources> marks{};
    for (const frame_record& f : p.frames)
        if (std::isfinite(f.latency_ms))
            marks[static_cast<std::size_t>(f.source)] += marker(f.source, panel.x(f.time_s), panel.y(f.latency_ms));
    panel.draw.line(left, panel.y(d.scenario.deadline_ms), width - right, panel.y(d.scenario.deadline_ms), "deadline");
    for (std::size_t i = 0; i < frame_sources; ++i) panel.draw.path(marks[i], marker_class[i]);
    if (first) {
        panel.name_events(d);
        panel.draw.text(width - right - 2, panel.y(d.scenario.deadline_ms) - 5, "deadline " + svg::number(d.scenario.deadline_ms) + " ms",
                        "end tiny strong halo");
    }
    return panel.draw.finish("Latency of each frame over time, policy " + p.name);
}

/// What the link carried, what the edge believed, what SAGE asked for.
inline std::string rate(const drive_record& d, const policy_record& p, double high, bool first, bool last) {
    time_panel panel(d, 148, high, last, p.name, "", "kbit/s");
    std::string area, line, estimate, threshold;
    bool run = false, estimating = false, asking = false;
    double previous = 0;
    for (const frame_record& f : p.frames) {
        const double x = panel.x(f.time_s);
        if (std::isfinite(f.rate_kbps)) {
            const double y = panel.y(f.rate_kbps);
            if (run)
                line += "H" + svg::at(x) + "V" + svg::at(y);
            else
                line += move_to(x, y);
            if (!run)
                area += move_to(x, panel.bottom) + line_to(x, y);
            else
                area += "H" + svg::at(x) + "V" + svg::at(y);
            run = true;
            previous = x;
        } else if (run) {
            area += line_to(previous, panel.bottom) + "Z";
            run = false;
        }
        const auto follow = [&](std::string& path, bool& on, double v) {
            if (std::isfinite(v) && v > 0) {
                path += on ? line_to(x, panel.y(v)) : move_to(x, panel.y(v));
                on = true;
            } else {
                on = false;
            }
        };
        follow(estimate, estimating, f.estimate_kbps);
        follow(threshold, asking, f.threshold_kbps);
    }
    if (run) area += line_to(previous, panel.bottom) + "Z";
    panel.draw.path(area, "rate").path(line, "rate-line").path(estimate, "estimate").path(threshold, "threshold");
    if (first) panel.name_events(d);
    return panel.draw.finish("Link rate over time, policy " + p.name);
}

/// Energy of each bin of time.
struct energy_bins {
    double seconds{1};
    std::vector<energy_split> joules{};
    double highest{};
};
/// Bins of a second, or of so many that at most 160 are drawn.
inline energy_bins bin_energy(const drive_record& d, const policy_record& p) {
    energy_bins b;
    const double end = length_s(d);
    b.seconds = std::max(1.0, std::ceil(end / 160));
    b.joules.resize(static_cast<std::size_t>(std::clamp(std::ceil(end / b.seconds - 1e-9), 1.0, 161.0)));
    for (const frame_record& f : p.frames) {
        if (!(f.time_s >= 0)) continue;
        const auto i = std::min(static_cast<std::size_t>(f.time_s / b.seconds), b.joules.size() - 1);
        b.joules[i] += f.energy_j[d.scope];
    }
    for (energy_split& e : b.joules) {
        e.compute /= b.seconds;
        e.radio /= b.seconds;
        e.idle /= b.seconds;
        b.highest = std::max(b.highest, e.total());
    }
    return b;
}
inline std::string energy(const drive_record& d, const policy_record& p, double high, bool first, bool last) {
    const energy_bins bins = bin_energy(d, p);
    time_panel panel(d, 132, high, last, p.name, "", "joules a second, that is watts");
    std::array<std::string, 3> stacks{};
    for (std::size_t i = 0; i < bins.joules.size(); ++i) {
        const double x1 = panel.x(static_cast<double>(i) * bins.seconds), x2 = panel.x(static_cast<double>(i + 1) * bins.seconds);
        double from = 0;
        const energy_split& e = bins.joules[i];
        const std::array<double, 3> parts{e.compute, e.radio, e.idle};
        for (std::size_t k = 0; k < 3; ++k) {
            if (!(parts[k] > 0)) continue;
            const double y1 = panel.y(from), y2 = panel.y(from + parts[k]);
            from += parts[k];
            stacks[k] += move_to(x1 + 0.5, y1) + "V" + svg::at(y2) + "H" + svg::at(std::max(x2 - 0.5, x1 + 1)) + "V" + svg::at(y1) + "z";
        }
    }
    panel.draw.path(stacks[0], "a-compute").path(stacks[1], "a-radio").path(stacks[2], "a-idle");
    if (first) panel.name_events(d);
    return panel.draw.finish("Energy per second over time, policy " + p.name);
}

/// How far the car's centre was from its lane's.
inline std::string lane(const drive_record& d, const policy_record& p, double high, bool first, bool last) {
    time_panel panel(d, 108, high, last, p.name, "", "m", 2);
    std::string line, area, off;
    double end = left;
    for (const frame_record& f : p.frames) {
        if (!std::isfinite(f.lane_deviation_m)) continue;
        end = panel.x(f.time_s);
        const double y = panel.y(f.lane_deviation_m);
        if (line.empty()) area = move_to(end, panel.bottom);
        line += line.empty() ? move_to(end, y) : line_to(end, y);
        area += line_to(end, y);
        if (f.off_road) off += marker(frame_source::held, end, panel.top + 6);
    }
    if (!area.empty()) area += line_to(end, panel.bottom) + "Z";
    panel.draw.path(area, "lane").path(line, "lane-line").path(off, "m-held");
    if (first) panel.name_events(d);
    return panel.draw.finish("Lane deviation over time, policy " + p.name);
}

/// Cumulative distribution of latency, all policies: a share of all frames, so that a policy which held answers never reaches the top.
inline std::string distribution(const drive_record& d) {
    const double w = 470, h = 300, high = 1.5 * d.scenario.deadline_ms;
    svg::canvas draw(w, h);
    const svg::axis x{0, high, 44, w - 14}, y{0, 1, h - 40, 18};
    for (const double v : {0.0, 0.25, 0.5, 0.75, 1.0}) {
        draw.line(x.from, y(v), x.to, y(v), v > 0 ? "grid" : "base");
        draw.text(x.from - 8, y(v) + 4, svg::percent(v), "end tiny");
    }
    const auto times = svg::ticks(0, high, 6);
    for (const double t : times) draw.text(x(t), h - 22, svg::number(t, svg::tick_decimals(times)), "mid tiny");
    draw.text((x.from + x.to) / 2, h - 5, "ms from frame to answer", "mid tiny");
    draw.line(x(d.scenario.deadline_ms), y.to, x(d.scenario.deadline_ms), y.from, "deadline");
    for (const policy_record& p : d.policies) {
        std::vector<double> own;
        for (const frame_record& f : p.frames)
            if (f.source != frame_source::held && std::isfinite(f.latency_ms)) own.push_back(f.latency_ms);
        std::sort(own.begin(), own.end());
        std::string path;
        const std::size_t n = own.size(), step = std::max<std::size_t>(1, n / 400);
        const auto share_y = [&](std::size_t i) { return svg::at(y(static_cast<double>(i + 1) / static_cast<double>(p.frames.size()))); };
        for (std::size_t i = 0; i < n && own[i] <= high; i += step) {
            path += path.empty() ? move_to(x(own[i]), y(0)) : "L" + svg::at(x(own[i])) + " " + share_y(i > 0 ? i - 1 : 0);
            path += "V" + share_y(i);
        }
        if (n > 0 && own.back() <= high) path += "L" + svg::at(x(own.back())) + " " + share_y(n - 1) + "H" + svg::at(x.to);
        draw.path(path, line_class(p.name));
    }
    draw.text(x(d.scenario.deadline_ms) + 6, y(0) - 8, "deadline", "tiny strong halo");
    return draw.finish("Cumulative distribution of latency of every policy");
}

/// The route from above, coloured by who answered; equal scale in both directions.
inline std::string route_map(const policy_record& p) {
    const double w = 470, h = 300, pad = 22;
    svg::canvas draw(w, h);
    double x0 = 0, x1 = 0, y0 = 0, y1 = 0;
    bool any = false;
    for (const frame_record& f : p.frames) {
        if (!std::isfinite(f.x_m) || !std::isfinite(f.y_m)) continue;
        x0 = any ? std::min(x0, f.x_m) : f.x_m;
        x1 = any ? std::max(x1, f.x_m) : f.x_m;
        y0 = any ? std::min(y0, f.y_m) : f.y_m;
        y1 = any ? std::max(y1, f.y_m) : f.y_m;
        any = true;
    }
    // A route taller than wide is turned by a quarter, so that it fills the card.
    const bool turn = y1 - y0 > x1 - x0;
    if (turn) {
        std::swap(x0, y0);
        std::swap(x1, y1);
    }
    const double scale = std::min((w - 2 * pad) / std::max(x1 - x0, 1.0), (h - 2 * pad - 16) / std::max(y1 - y0, 1.0));
    const double ox = (w - scale * (x1 - x0)) / 2, oy = (h - 16 - scale * (y1 - y0)) / 2;
    const auto place = [&](const frame_record& f) {
        const double a = turn ? f.y_m : f.x_m, b = turn ? f.x_m : f.y_m;
        return std::pair{ox + (a - x0) * scale, turn ? oy + (b - y0) * scale : oy + (y1 - b) * scale};
    };
    std::string road;
    std::array<std::string, frame_sources> ways{};
    for (const frame_record& f : p.frames) {
        if (!std::isfinite(f.x_m) || !std::isfinite(f.y_m)) continue;
        const auto [x, y] = place(f);
        road += road.empty() ? move_to(x, y) : line_to(x, y);
        ways[static_cast<std::size_t>(f.source)] += marker(f.source, x, y);
    }
    draw.path(road, "road");
    for (std::size_t i = 0; i < frame_sources; ++i) draw.path(ways[i], marker_class[i]);
    if (any) {
        const auto [x, y] = place(p.frames.front());
        draw.text(x, y - 9, "start", "mid tiny strong halo");
        const double metres = svg::round_up((x1 - x0) / 6);
        draw.line(pad, h - 14, pad + metres * scale, h - 14, "lane-line");
        draw.text(pad + metres * scale + 7, h - 10, svg::number(metres) + " m", "tiny");
    }
    return draw.finish("The route from above, coloured by who answered");
}

/// The pipeline as boxes at their places, the payload in bytes on the cut, and the tail that the car keeps for itself.
inline std::string pipeline(const drive_record& d) {
    const pipeline_record& p = d.pipeline;
    const double box_w = 152, box_h = 104, gap = 30, link = 176, pad = 18, top = 46;
    const std::size_t n = p.stages.size();
    std::vector<double> at(n + 1);
    double x = pad + 1;
    std::uint64_t total = 0;
    for (const stage_record& s : p.stages) total += s.macs;
    const std::string first_place = n > 0 ? p.stages.front().place : std::string{"car"};
    const auto place_of = [&](std::size_t i) -> const std::string& { return i == 0 ? first_place : p.stages[i - 1].place; };
    for (std::size_t i = 0; i <= n; ++i) {
        at[i] = x;
        x += box_w + (i < n ? (place_of(i) == place_of(i + 1) ? gap : link) : pad + 1);
    }
    const bool fallback = n > 0 && p.stages.back().place != first_place;
    const double zone_h = box_h + 2 * pad + 8;
    const double below = top + zone_h;
    const double height = fallback ? below + 78 - pad + 2 : below - pad + 2;
    svg::canvas draw(x, height);
    // Places.
    for (std::size_t i = 0; i <= n;) {
        std::size_t j = i;
        while (j < n && place_of(j + 1) == place_of(i)) ++j;
        const bool home = place_of(i) == first_place;
        const double zone_x = at[i] - pad, zone_w = at[j] + box_w + pad - zone_x;
        draw.rect(zone_x, top - pad, zone_w, zone_h + (home && i == 0 && fallback ? 78 : 0), home ? "z-car" : "z-cloud", 14);
        draw.text(zone_x + 4, top - pad - 9,
                  home ? place_of(i) + ": paced to " + d.scenario.device + ", " + svg::number(d.scenario.device_gmacs_per_s, 1) + " GMAC/s"
                       : place_of(i) + ": another process",
                  home ? "zone-text car-text" : "zone-text cloud-text");
        i = j + 1;
    }
    const double middle = top + box_h / 2;
    const auto arrow = [&](double from, double to, std::string_view css, std::string_view head) {
        draw.line(from, middle, to - 7, middle, css);
        draw.path(move_to(to, middle) + "l-8-4.5v9z", head);
    };
    // The camera.
    draw.rect(at[0], top, box_w, box_h, "box", 9);
    const std::size_t split = p.input.find(' ');
    draw.text(at[0] + 12, top + 24, p.input.substr(0, split), "name");
    draw.text(at[0] + 12, top + 44, split == std::string::npos ? std::string{} : p.input.substr(split + 1), "plain");
    draw.text(at[0] + 12, top + 62, svg::volume(static_cast<double>(p.input_bytes)) + " a frame", "plain");
    for (std::size_t i = 0; i < n; ++i) {
        const stage_record& s = p.stages[i];
        const double bx = at[i + 1];
        draw.rect(bx, top, box_w, box_h, "box", 9);
        draw.text(bx + 12, top + 24, s.role.empty() ? s.name : s.role + (s.name == s.place ? "" : " " + s.name), "name");
        const double share = total > 0 ? static_cast<double>(s.macs) / static_cast<double>(total) : 0;
        draw.text(bx + 12, top + 44, s.shape.empty() ? std::string{} : "→ " + s.shape, "plain");
        draw.text(bx + 12, top + 62,
                  svg::work(static_cast<double>(s.macs)) + ", "
                      + (share > 0 && share < 0.001 ? "<0.1 %" : svg::percent(share, share < 0.0995 ? 1 : 0)),
                  "plain");
        const bool home = s.place == first_place;
        const double time = home ? s.device_ms : s.cloud_ms;
        if (std::isfinite(time))
            draw.text(bx + 12, top + 80, svg::number(time, 1) + " ms " + std::string(to_text(home ? d.energy_label() : d.time_label())),
                      "plain");
        draw.rect(bx + 12, top + box_h - 15, box_w - 24, 5, "share", 2.5);
        if (share > 0) draw.rect(bx + 12, top + box_h - 15, std::max(3.0, (box_w - 24) * share), 5, "share-fill", 2.5);
        if (place_of(i) == s.place) {
            arrow(at[i] + box_w + 3, bx - 3, "arrow", "head");
            continue;
        }
        // The link, with what crosses it.
        const double from = at[i] + box_w, centre = (from + bx) / 2;
        arrow(from + pad + 4, bx - pad - 2, "link", "head");
        const std::size_t bytes = i > 0 ? p.stages[i - 1].payload_bytes : p.input_bytes;
        draw.rect(centre - 46, middle - 15, 92, 30, "pill", 15);
        draw.text(centre, middle + 5, svg::number(bytes) + " B", "mid on-pill");
        draw.text(centre, middle - 26, d.scenario.radio, "mid strong");
        if (bytes > 0 && p.input_bytes > bytes)
            draw.text(centre, middle + 34, svg::number(static_cast<double>(p.input_bytes) / static_cast<double>(bytes), 1) + "× smaller",
                      "mid plain");
    }
    if (fallback) {
        // The tail's twin on the car: what answers when the reply does not come.
        std::size_t last = n;
        while (last > 0 && place_of(last) != first_place) --last;
        const stage_record& tail = p.stages.back();
        const double bx = at[last], by = top + box_h + 34;
        const double gx = std::max(at[0], bx - 240), gw = bx + box_w - gx;
        draw.rect(gx, by, gw, 54, "ghost", 9);
        draw.text(gx + 12, by + 22, "the same tail, on the " + first_place + " as well", "name back-text");
        draw.text(gx + 12, by + 41,
                  "answers when the link is slow or silent"
                      + (std::isfinite(tail.device_ms)
                             ? ": " + svg::number(tail.device_ms, 1) + " ms " + std::string(to_text(d.energy_label()))
                             : std::string{}),
                  "plain");
        draw.line(bx + box_w / 2, top + box_h, bx + box_w / 2, by - 7, "back");
        draw.path(move_to(bx + box_w / 2, by) + "l-4.5-8h9z", "back-head");
    }
    std::string svg_text = draw.finish("The pipeline: stages at their places, payload on the cut");
    // Drawn at its own size, and scrolled where the screen is narrower.
    svg_text.insert(4, " style=\"min-width:" + svg::at(std::min(x, 860.0)) + "px;max-width:" + svg::at(x * 1.2) + "px\"");
    return svg_text;
}

} // namespace drive::plots
