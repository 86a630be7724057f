// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pooled_maps.hpp
/// For the tests of dynamic pooling: maps like a network's features, and pooling straight from the definition.
#pragma once

#include "blobs.hpp"
#include "catch.hpp"

#include <splitdsl/codec/dynamic_pool_packets.hpp>

#include <cmath>
#include <utility>
#include <vector>

constexpr splitdsl::pool_form forms[] = {splitdsl::pool_form::means, splitdsl::pool_form::lifted};
constexpr splitdsl::pool_coding codings[] = {splitdsl::pool_coding::packed, splitdsl::pool_coding::rice};

/// Features like those behind a ReLU: smooth, many zeros. `zeros` is what is taken off before the ReLU.
inline std::vector<float> features(numbers& n, const splitdsl::pool_shape& s, float zeros = 0.6f) {
    std::vector<float> map;
    for (int c = 0; c < s.channels; ++c) {
        const float fx = n.uniform(0.02f, 0.6f), fy = n.uniform(0.02f, 0.6f), px = n.uniform(0, 6), py = n.uniform(0, 6),
                    gain = n.uniform(0.1f, 2);
        for (int y = 0; y < s.height; ++y)
            for (int x = 0; x < s.width; ++x) {
                const float v =
                    gain * (std::sin(fx * static_cast<float>(x) + px) + std::sin(fy * static_cast<float>(y) + py)) + n.uniform(-0.1f, 0.1f);
                map.push_back(v > zeros ? v - zeros : 0.0f);
            }
    }
    return map;
}

/// One tile of a pooled map: rows [top, bottom) and columns [left, right) of the unpooled one.
struct tile {
    int top, bottom, left, right;
};

/// Ends of the strips along a side of `side` values: the first `halves` strips half a stride wide, whole ones after (Eq. 2 and 3).
inline std::vector<int> strip_ends(int side, int stride, int halves) {
    std::vector<int> ends{0};
    while (ends.back() < side) ends.push_back(ends.back() + (static_cast<int>(ends.size()) <= halves ? stride / 2 : stride));
    return ends;
}
/// All tiles of a square map of side s pooled to size x size; the octave is the one whose strides give that size.
inline std::vector<tile> square_tiles(int s, int stride, int size) {
    while (size > 2 * (s / stride)) stride /= 2;
    const std::vector<int> ends = strip_ends(s, stride, 2 * size - 2 * s / stride);
    std::vector<tile> tiles;
    for (std::size_t r = 0; r + 1 < ends.size(); ++r)
        for (std::size_t c = 0; c + 1 < ends.size(); ++c) tiles.push_back({ends[r], ends[r + 1], ends[c], ends[c + 1]});
    return tiles;
}
/// Mean over a tile, in double precision.
inline double mean_over(const float* map, int width, const tile& t) {
    double sum = 0;
    for (int y = t.top; y < t.bottom; ++y)
        for (int x = t.left; x < t.right; ++x) sum += static_cast<double>(map[y * width + x]);
    return sum / ((t.bottom - t.top) * (t.right - t.left));
}

/// Every level from the encoder to the decoder.
inline void take_all(splitdsl::dynamic_pool_encoder& from, splitdsl::dynamic_pool_decoder& to) {
    to.start();
    for (int l = 0; l < from.ladder().levels; ++l) REQUIRE(to.take(l, from.encode(l)) == splitdsl::level_fault::none);
    REQUIRE(to.whole_levels() == from.ladder().levels);
}
