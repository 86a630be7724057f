// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file svg.hpp
/// Just enough SVG for the report: escaped text, numbers as people read them, axes with round ticks, a canvas.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace drive::svg {

/// Text made safe for HTML and SVG, in elements and in quoted attributes. Control characters become blanks.
inline std::string escape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
        }
    }
    return out;
}

/// A number with at most `decimals` decimals, thousands apart by commas; "–" if it is not finite.
inline std::string number(double v, int decimals = 0) {
    if (!std::isfinite(v)) return "–";
    char text[64]{};
    std::snprintf(text, sizeof text, "%.*f", decimals, std::clamp(v, -1e15, 1e15));
    std::string s = text;
    if (s.find_first_not_of("-0.") == std::string::npos && s.front() == '-') s.erase(0, 1);
    const std::size_t first = s.front() == '-' ? 1 : 0;
    std::size_t at = std::min(s.find('.'), s.size());
    while (at > first + 3) s.insert(at -= 3, ",");
    return s;
}
template <class Integer>
requires std::integral<Integer>
inline std::string number(Integer v) { return number(static_cast<double>(v), 0); }
/// A share as a percentage with a thin space before the sign.
inline std::string percent(double share, int decimals = 0) { return std::isfinite(share) ? number(share * 100, decimals) + " %" : "–"; }
/// Bytes in the unit that leaves few digits.
inline std::string volume(double bytes) {
    if (!std::isfinite(bytes)) return "–";
    if (bytes < 10'000) return number(bytes) + " B";
    return bytes < 1e6 ? number(bytes / 1e3, 1) + " kB" : number(bytes / 1e6, 2) + " MB";
}
/// Multiply-accumulates in the unit that leaves few digits.
inline std::string work(double macs) {
    if (macs < 1e6) return number(macs / 1e3, 1) + " kMAC";
    return macs < 1e9 ? number(macs / 1e6, macs < 1e8 ? 1 : 0) + " MMAC" : number(macs / 1e9, 2) + " GMAC";
}
/// A coordinate: one decimal is finer than a screen shows.
inline std::string at(double v) {
    if (!std::isfinite(v)) return "0";
    char text[32]{};
    std::snprintf(text, sizeof text, "%.1f", std::clamp(v, -1e6, 1e6));
    std::string s = text;
    if (s.ends_with(".0")) s.resize(s.size() - 2);
    return s == "-0" ? "0" : s;
}

/// Maps [low, high] to [from, to] on the screen; values outside are moved to the nearer end.
struct axis {
    double low{}, high{1}, from{}, to{1};
    double operator()(double v) const {
        if (!(high > low)) return from;
        return from + (std::clamp(v, low, high) - low) / (high - low) * (to - from);
    }
};

/// Round numbers from `low` to `high`, about `wanted` of them: steps of 1, 2 or 5 times a power of ten.
inline std::vector<double> ticks(double low, double high, int wanted = 5) {
    std::vector<double> list;
    if (!(high > low) || !std::isfinite(high - low) || wanted < 1) return list;
    const double raw = (high - low) / wanted;
    const double power = std::pow(10.0, std::floor(std::log10(raw)));
    double step = 10 * power;
    for (const double k : {1.0, 2.0, 5.0})
        if (k * power >= raw * 0.999) {
            step = k * power;
            break;
        }
    for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && list.size() < 100; ++i) list.push_back(i * step);
    return list;
}
/// Decimals that tell neighbouring ticks apart.
inline int tick_decimals(const std::vector<double>& list) {
    if (list.size() < 2) return 0;
    return std::clamp(static_cast<int>(std::ceil(-std::log10(list[1] - list[0]) - 1e-9)), 0, 6);
}
/// The next round number from `v` on: where an axis ends.
inline double round_up(double v) {
    if (!(v > 0) || !std::isfinite(v)) return 1;
    const double power = std::pow(10.0, std::floor(std::log10(v)));
    for (const double k : {1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0})
        if (k * power >= v * 0.999) return k * power;
    return 10 * power;
}

/// The shapes of one drawing; colours and strokes come from the page's style sheet by class.
class canvas {
public:
    canvas(double width, double height) : w{width}, h{height} {}

    canvas& line(double x1, double y1, double x2, double y2, std::string_view css) {
        body += "<path class=\"" + std::string(css) + "\" d=\"M" + at(x1) + " " + at(y1) + "L" + at(x2) + " " + at(y2) + "\"/>";
        return *this;
    }
    canvas& rect(double x, double y, double width, double height, std::string_view css, double radius = 0) {
        body += "<rect class=\"" + std::string(css) + "\" x=\"" + at(x) + "\" y=\"" + at(y) + "\" width=\"" + at(std::max(width, 0.0))
                + "\" height=\"" + at(std::max(height, 0.0)) + (radius > 0 ? "\" rx=\"" + at(radius) : "") + "\"/>";
        return *this;
    }
    /// `css` may hold the anchors `mid` and `end`.
    canvas& text(double x, double y, std::string_view words, std::string_view css) {
        body += "<text class=\"" + std::string(css) + "\" x=\"" + at(x) + "\" y=\"" + at(y) + "\">" + escape(words) + "</text>";
        return *this;
    }
    /// `d` is path data made here, never text from outside.
    canvas& path(const std::string& d, std::string_view css) {
        if (!d.empty()) body += "<path class=\"" + std::string(css) + "\" d=\"" + d + "\"/>";
        return *this;
    }
    /// The element; `label` is what a screen reader says.
    std::string finish(std::string_view label) const {
        return "<svg viewBox=\"0 0 " + at(w) + " " + at(h) + "\" role=\"img\" aria-label=\"" + escape(label) + "\">" + body + "</svg>\n";
    }

private:
    double w, h;
    std::string body{};
};

} // namespace drive::svg
