// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file canvas.hpp
/// Drawing on colour pictures: areas, frames and labels; whatever lies outside the picture is left out.
#pragma once

#include "font.hpp"

#include <splitdsl/image/picture.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pictures {

using colour = std::array<std::uint8_t, 3>;
inline constexpr colour black{0, 0, 0}, white{255, 255, 255};

/// Pixels [top, bottom) x [left, right).
struct area {
    int top, left, bottom, right;
    int height() const { return bottom - top; }
    int width() const { return right - left; }
};
inline area within(const area& a, splitdsl::imaging::extent size) {
    return {std::clamp(a.top, 0, size.height), std::clamp(a.left, 0, size.width), std::clamp(a.bottom, 0, size.height), std::clamp(a.right, 0, size.width)};
}

/// Bright colours far apart from one another, for any number of classes: hues in steps of the golden ratio, at two brightnesses.
inline colour colour_of(int index) {
    const double turn = index * 0.618033988749895, hue = 6 * (turn - std::floor(turn)), bright = index % 2 == 0 ? 1.0 : 0.8;
    const auto channel = [&](double offset) {
        const double at = std::fmod(hue + offset, 6.0), ramp = std::clamp(std::abs(at - 3) - 1, 0.0, 1.0);
        return static_cast<std::uint8_t>(std::lround(255 * bright * (0.12 + 0.88 * ramp)));
    };
    return {channel(0), channel(4), channel(2)};
}
/// Black or white, whichever can be read on it.
inline colour readable_on(const colour& c) { return 299 * c[0] + 587 * c[1] + 114 * c[2] > 128'000 ? black : white; }

/// `strength`: 0 leaves the picture, 256 covers it.
inline void fill(splitdsl::imaging::picture& on, const area& where, const colour& with, int strength = 256) {
    const area a = within(where, on.size());
    for (int y = a.top; y < a.bottom; ++y) {
        const auto row = on.row(y);
        for (int x = a.left; x < a.right; ++x)
            for (std::size_t c = 0; c < 3; ++c) {
                std::uint8_t& value = row[static_cast<std::size_t>(x) * 3 + c];
                value = static_cast<std::uint8_t>((value * (256 - strength) + with[c] * strength) / 256);
            }
    }
}
/// Lines lie inside the area.
inline void frame(splitdsl::imaging::picture& on, const area& a, int thickness, const colour& with) {
    const int t = std::min({thickness, (a.height() + 1) / 2, (a.width() + 1) / 2});
    fill(on, {a.top, a.left, a.top + t, a.right}, with);
    fill(on, {a.bottom - t, a.left, a.bottom, a.right}, with);
    fill(on, {a.top, a.left, a.bottom, a.left + t}, with);
    fill(on, {a.top, a.right - t, a.bottom, a.right}, with);
}

/// Letters and lines that suit a picture of this size.
inline int scale_for(splitdsl::imaging::extent size) { return std::clamp(std::min(size.height, size.width) / 300, 1, 8); }

/// Of a label with its margin. Labels longer than 40 characters are cut.
inline constexpr std::size_t longest_label = 40;
inline area label_area(int top, int left, std::string_view text, int scale) {
    const int letters = static_cast<int>(std::min(text.size(), longest_label));
    return {top, left, top + (glyph_height + 4) * scale, left + (glyph_step * letters + 3) * scale};
}
inline void label(splitdsl::imaging::picture& on, int top, int left, std::string_view text, int scale, const colour& with) {
    fill(on, label_area(top, left, text, scale), with);
    const colour ink = readable_on(with);
    int x = left + 2 * scale;
    for (const char c : text.substr(0, longest_label)) {
        for (int row = 0; row < glyph_height; ++row)
            for (int column = 0; column < glyph_width; ++column) {
                const int at_y = top + (2 + row) * scale, at_x = x + column * scale;
                if (inked(c, row, column)) fill(on, {at_y, at_x, at_y + scale, at_x + scale}, ink);
            }
        x += glyph_step * scale;
    }
}

} // namespace pictures
