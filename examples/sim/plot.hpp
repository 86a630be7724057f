// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file plot.hpp
/// A contest as one drawing: accuracy over mean latency, a mark for each policy, in a stand-alone SVG file.
#pragma once

#include "contest.hpp"

#include <examples/drive/svg.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace simulate {

namespace parts {
inline std::string coordinate(double v) {
    char text[32]{};
    std::snprintf(text, sizeof text, "%.1f", std::isfinite(v) ? std::clamp(v, -1e6, 1e6) : 0.0);
    return text;
}
/// A number with as few digits as tell it.
inline std::string brief(double v) {
    char text[32]{};
    std::snprintf(text, sizeof text, "%.4g", v);
    return text;
}
} // namespace parts

/// Latency on a logarithmic axis, for policies differ by factors. The heading says that it is simulated, on what answers, and with which
/// cap.
inline std::string plot(const std::string& heading, const std::string& setting, const std::vector<outcome>& all) {
    using parts::coordinate, parts::brief;
    constexpr double left = 70, right = 560, top = 70, bottom = 400, width = 820, height = 460;
    double low = 1e9, high = 0, worst = 1, best = 0;
    for (const outcome& o : all) {
        const double ms = std::max(o.summary.mean_latency_ms, 1e-3);
        low = std::min(low, ms), high = std::max(high, ms);
        worst = std::min(worst, o.summary.accuracy()), best = std::max(best, o.summary.accuracy());
    }
    const double x0 = std::floor(std::log10(low) * 2 - 0.1) / 2, x1 = std::max(std::ceil(std::log10(high) * 2 + 0.1) / 2, x0 + 0.5);
    const double y0 = std::max(std::floor(worst * 20 - 0.2) / 20, 0.0),
                 y1 = std::min(std::ceil(best * 20 + 0.2) / 20, 1.0) + (y0 >= 1 ? 0.05 : 0.0);
    const auto x = [&](double ms) { return left + (std::log10(std::max(ms, 1e-3)) - x0) / (x1 - x0) * (right - left); };
    const auto y = [&](double share) { return bottom - (share - y0) / (y1 - y0) * (bottom - top); };
    const auto text = [](double at_x, double at_y, const std::string& words, const char* anchor = "start") {
        return "<text x=\"" + coordinate(at_x) + "\" y=\"" + coordinate(at_y) + "\" text-anchor=\"" + anchor + "\">" + drive::svg::escape(words)
               + "</text>\n";
    };
    const auto line = [](double ax, double ay, double bx, double by, const char* colour) {
        return "<path d=\"M" + coordinate(ax) + " " + coordinate(ay) + "L" + coordinate(bx) + " " + coordinate(by) + "\" stroke=\"" + colour
               + "\" fill=\"none\"/>\n";
    };
    std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + coordinate(width) + " " + coordinate(height)
                      + "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\" aria-label=\"" + drive::svg::escape(heading)
                      + "\">\n" + "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" + text(left, 24, heading)
                      + text(left, 42, setting);
    for (int decade = static_cast<int>(std::floor(x0)); decade <= static_cast<int>(std::ceil(x1)); ++decade)
        for (const int digit : {1, 2, 5}) {
            const double ms = digit * std::pow(10.0, decade);
            if (std::log10(ms) < x0 - 1e-9 || std::log10(ms) > x1 + 1e-9) continue;
            svg += line(x(ms), top, x(ms), bottom, "#ddd") + text(x(ms), bottom + 18, brief(ms), "middle");
        }
    const double step = y1 - y0 > 0.5 ? 0.2 : y1 - y0 > 0.2 ? 0.1 : 0.05;
    for (int i = static_cast<int>(std::ceil(y0 / step - 1e-9)); i * step <= y1 + 1e-9; ++i)
        svg += line(left, y(i * step), right, y(i * step), "#ddd") + text(left - 8, y(i * step) + 4, brief(i * step * 100) + " %", "end");
    svg += line(left, bottom, right, bottom, "#222") + line(left, top, left, bottom, "#222");
    svg += text((left + right) / 2, bottom + 40, "mean latency in ms, simulated", "middle") + text(left - 8, top - 12, "accuracy", "end");
    constexpr const char* colours[]{"#1b6ca8", "#c8553d", "#2a9d4a", "#8e44ad", "#b8860b",
                                    "#17838f", "#d1478c", "#555555", "#6b8e23", "#3f51b5"};
    double row = top + 6;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::string mark = std::to_string(i + 1), colour = colours[i % std::size(colours)];
        const auto& s = all[i].summary;
        const auto dot = [&](double at_x, double at_y) {
            return "<circle cx=\"" + coordinate(at_x) + "\" cy=\"" + coordinate(at_y) + "\" r=\"8\" fill=\"" + colour
                   + "\"/>\n<g fill=\"#fff\" font-size=\"10\">" + text(at_x, at_y + 3.5, mark, "middle") + "</g>\n";
        };
        svg += dot(x(s.mean_latency_ms), y(s.accuracy())) + dot(right + 26, row - 4) + text(right + 42, row, all[i].name.substr(0, 32));
        row += 20;
    }
    return svg + "</svg>\n";
}

} // namespace simulate
