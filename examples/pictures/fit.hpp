// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fit.hpp
/// Pictures made as large as a detector's input, in the way torchvision's detectors do it.
#pragma once

#include <splitdsl/image/picture.hpp>
#include <splitdsl/image/resize.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pictures {

/// Bilinear without antialiasing, torch's interpolate(mode="bilinear", align_corners=False), rounded to bytes (halves to even), into planes of `whole`'s size whose top left
/// corner of size `part` it fills; the rest is `background`. Reads four pixels for each it makes.
inline splitdsl::imaging::planes<std::uint8_t> fitted(splitdsl::imaging::picture_view from, splitdsl::imaging::extent part, splitdsl::imaging::extent whole,
                                                      const std::array<std::uint8_t, 3>& background) {
    const auto across = splitdsl::imaging::detail::two_tap_table(from.size.width, part.width), down = splitdsl::imaging::detail::two_tap_table(from.size.height, part.height);
    const std::size_t plane = whole.pixels();
    splitdsl::imaging::planes<std::uint8_t> to{whole, 3, std::vector<std::uint8_t>(3 * plane)};
    for (std::size_t c = 0; c < 3; ++c) {
        std::uint8_t* const at = to.values.data() + c * plane;
        std::fill_n(at, plane, background[c]);
        for (int y = 0; y < part.height; ++y) {
            const auto& v = down.entries[static_cast<std::size_t>(y)];
            std::uint8_t* const row = at + static_cast<std::size_t>(y) * static_cast<std::size_t>(whole.width);
            for (int x = 0; x < part.width; ++x) {
                const auto& h = across.entries[static_cast<std::size_t>(x)];
                float value = 0; // at the last row or column one pixel stands for both
                for (int j = 0; j < v.count; ++j) {
                    float line = 0;
                    for (int i = 0; i < h.count; ++i)
                        line += static_cast<float>(from(v.first + j, h.first + i, static_cast<int>(c))) * across.weights[h.weights + static_cast<std::size_t>(i)];
                    value += line * down.weights[v.weights + static_cast<std::size_t>(j)];
                }
                row[x] = static_cast<std::uint8_t>(std::nearbyint(value));
            }
        }
    }
    return to;
}

} // namespace pictures
