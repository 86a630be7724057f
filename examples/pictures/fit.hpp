// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fit.hpp
/// Pictures made as large as a detector's input, in the way torchvision's detectors do it.
#pragma once

#include <splitdsl/image/picture.hpp>

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
    struct tap { int first, second; float mix; };
    const auto taps = [](int have, int want) {
        std::vector<tap> all;
        const double scale = static_cast<double>(static_cast<float>(have) / static_cast<float>(want)); // a float's share times a double's place, as in torch
        for (int i = 0; i < want; ++i) {
            const double at = std::max(scale * (i + 0.5) - 0.5, 0.0);
            const int first = std::min(static_cast<int>(at), have - 1);
            all.push_back({first, std::min(first + 1, have - 1), static_cast<float>(std::clamp(at - first, 0.0, 1.0))});
        }
        return all;
    };
    const std::vector<tap> across = taps(from.size.width, part.width), down = taps(from.size.height, part.height);
    const std::size_t plane = whole.pixels();
    splitdsl::imaging::planes<std::uint8_t> to{whole, 3, std::vector<std::uint8_t>(3 * plane)};
    for (std::size_t c = 0; c < 3; ++c) {
        std::uint8_t* const at = to.values.data() + c * plane;
        std::fill_n(at, plane, background[c]);
        for (int y = 0; y < part.height; ++y) {
            const tap& v = down[static_cast<std::size_t>(y)];
            std::uint8_t* const row = at + static_cast<std::size_t>(y) * static_cast<std::size_t>(whole.width);
            for (int x = 0; x < part.width; ++x) {
                const tap& h = across[static_cast<std::size_t>(x)];
                const auto pixel = [&](int py, int px) { return static_cast<float>(from(py, px, static_cast<int>(c))); };
                const float upper = pixel(v.first, h.first) * (1 - h.mix) + pixel(v.first, h.second) * h.mix;
                const float lower = pixel(v.second, h.first) * (1 - h.mix) + pixel(v.second, h.second) * h.mix;
                row[x] = static_cast<std::uint8_t>(std::nearbyint(upper * (1 - v.mix) + lower * v.mix));
            }
        }
    }
    return to;
}

} // namespace pictures
