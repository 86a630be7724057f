// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool.hpp
/// Dynamic pooling's passes over memory: means of patches and the exact form's coefficients, bit for bit as splitdsl/codec/dynamic_pool_cells.hpp.
///
/// Rows are added first, then columns, in order. Where a row ends within a vector, results run over into what the next row overwrites.
#pragma once

#include "affine_codec.hpp"
#include "transpose.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// What a result may run over its end by, in values.
inline constexpr int pool_overrun = 64;

template <int... I>
SPLITDSL_INLINE float_lanes every_second(const float_lanes& a, const float_lanes& b, places<I...>, int first) {
    if (first == 0) return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 * 2 + I % 4 / 2 * lanes)...);
    return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 * 2 + 1 + I % 4 / 2 * lanes)...);
}
/// Value pairs or values from the order that shuffles within 4 lanes leave them in.
template <int... I>
SPLITDSL_INLINE float_lanes pairs_in_order(const float_lanes& v, places<I...>) {
    constexpr int quads = lanes / 4;
    return __builtin_shufflevector(v, v, (I / 2 % quads * 4 + I / 2 / quads * 2 + I % 2)...);
}
template <int... I>
SPLITDSL_INLINE float_lanes values_in_order(const float_lanes& v, places<I...>) {
    constexpr int quads = lanes / 4;
    return __builtin_shufflevector(v, v, (I % quads * 4 + I / quads)...);
}

/// `lanes` means of patches of Side x Side, Side 2 or 4, from the first patch's first value.
template <int Side>
SPLITDSL_INLINE float_lanes small_means(const float* from, std::ptrdiff_t row) {
    constexpr places_below<lanes> all{};
    float_lanes sum[Side];
#pragma GCC unroll 4
    for (int k = 0; k < Side; ++k) {
        float_lanes next;
        __builtin_memcpy(&sum[k], from + k * lanes, sizeof sum[k]);
#pragma GCC unroll 4
        for (int y = 1; y < Side; ++y) {
            __builtin_memcpy(&next, from + y * row + k * lanes, sizeof next);
            sum[k] += next;
        }
    }
    if constexpr (Side == 2) return pairs_in_order((every_second(sum[0], sum[1], all, 0) + every_second(sum[0], sum[1], all, 1)) * 0.25F, all);
    else {
        turn_quads(sum[0], sum[1], sum[2], sum[3]);
        return values_in_order((sum[0] + sum[1] + sum[2] + sum[3]) * 0.0625F, all);
    }
}
template <int Side>
inline void small_patch_means(const float* map, int rows, int columns, float* means) {
    const std::ptrdiff_t width = std::ptrdiff_t{columns} * Side;
    const float* const end = map + width * Side * rows;
    for (int r = 0; r < rows; ++r, map += width * Side, means += columns)
        for (int c = 0; c < columns; c += lanes) {
            const float* const from = map + c * Side;
            if (from + width * (Side - 1) + Side * lanes <= end) {
                const float_lanes m = small_means<Side>(from, width);
                __builtin_memcpy(means + c, &m, sizeof m);
                continue;
            }
            float few[Side * Side * lanes] = {}; // the map's last patches
            const int count = smaller(lanes, columns - c);
            for (int y = 0; y < Side; ++y) __builtin_memcpy(few + y * Side * lanes, from + y * width, static_cast<std::size_t>(count * Side) * sizeof(float));
            const float_lanes m = small_means<Side>(few, Side * lanes);
            __builtin_memcpy(means + c, &m, static_cast<std::size_t>(count) * sizeof(float));
        }
}

/// Means over patches of `side` x `side`; `rows` x `columns` patches, rows of all channels one below the other. `sums`: columns x side floats, and
/// pool_overrun more. Writes up to pool_overrun floats behind the means.
inline void patch_means(const float* map, int rows, int columns, int side, float* means, float* sums) {
    if (side == 2) return small_patch_means<2>(map, rows, columns, means);
    if (side == 4) return small_patch_means<4>(map, rows, columns, means);
    const std::ptrdiff_t width = std::ptrdiff_t{columns} * side;
    const float area = static_cast<float>(side) * static_cast<float>(side); // exact
    for (int r = 0; r < rows; ++r, map += width * side, means += columns) {
        std::ptrdiff_t x = 0;
        for (; x + lanes <= width; x += lanes) {
            vec sum = load(map + x);
            for (int y = 1; y < side; ++y) sum = sum + load(map + y * width + x);
            store(sums + x, sum);
        }
        for (; x < width; ++x) {
            sums[x] = map[x];
            for (int y = 1; y < side; ++y) sums[x] += map[y * width + x];
        }
        const float* from = sums;
        for (int c = 0; c < columns; ++c, from += side) {
            float sum = from[0];
            for (int k = 1; k < side; ++k) sum += from[k];
            means[c] = side == 1 ? sum : sum / area;
        }
    }
}

/// 16-bit lanes: cells side by side.
inline constexpr int cell_lanes = 2 * lanes;
using words [[gnu::vector_size(lanes * 4)]] = std::int16_t;
using unsigned_words [[gnu::vector_size(lanes * 4)]] = std::uint16_t;

/// Values 2c (and 2c + 1) of a row of bytes or of words.
struct row_of_pairs {
    words first, second;
};
SPLITDSL_INLINE row_of_pairs pairs_at(const std::uint8_t* from) {
    unsigned_words w;
    __builtin_memcpy(&w, from, sizeof w); // least significant byte first on all we know
    return {reinterpret_cast<words>(w & 0xff), reinterpret_cast<words>(w >> 8)};
}
template <int... I>
SPLITDSL_INLINE row_of_pairs pairs_of_words(const std::int16_t* from, places<I...>) {
    words a, b;
    __builtin_memcpy(&a, from, sizeof a);
    __builtin_memcpy(&b, from + cell_lanes, sizeof b);
    return {__builtin_shufflevector(a, b, (2 * I)...), __builtin_shufflevector(a, b, (2 * I + 1)...)};
}
SPLITDSL_INLINE row_of_pairs pairs_at(const std::int16_t* from) { return pairs_of_words(from, places_below<cell_lanes>{}); }

template <int... I>
SPLITDSL_INLINE words counted(places<I...>) { return words{static_cast<std::int16_t>(I)...}; }

/// An octave's planes, rows x columns cells each, from its quarters in 0..255; cells from `row_wise_from[row]` on are split into top and bottom
/// first. Reads up to 2 pool_overrun quarters behind the last.
template <class Quarter>
inline void lift_cells(const Quarter* quarters, int rows, int columns, const std::int16_t* row_wise_from, std::int16_t* p, std::int16_t* d, std::int16_t* e, std::int16_t* f) {
    const words column = counted(places_below<cell_lanes>{});
    for (int r = 0; r < rows; ++r, quarters += 4 * std::ptrdiff_t{columns}, p += columns, d += columns, e += columns, f += columns) {
        const words from = words{} + row_wise_from[r];
        for (int c = 0; c < columns; c += cell_lanes) {
            const row_of_pairs top = pairs_at(quarters + 2 * c), bottom = pairs_at(quarters + 2 * columns + 2 * c);
            // The halves: top left with bottom left, or with top right.
            const words swapped = (top.second ^ bottom.first) & (column + static_cast<std::int16_t>(c) < from);
            const words a = top.first, b = top.second ^ swapped, g = bottom.first ^ swapped, h = bottom.second;
            const words u = (a + b + 1) >> 1, v = (g + h + 1) >> 1;
            const words out[4]{(u + v) >> 1, u - v, a - b, g - h};
            std::int16_t* const to[4]{p + c, d + c, e + c, f + c};
            if (r + 1 < rows && columns - c + (rows - 1 - r) * std::ptrdiff_t{columns} >= cell_lanes) {
                for (int k = 0; k < 4; ++k) __builtin_memcpy(to[k], &out[k], sizeof out[k]);
            } else {
                const auto count = static_cast<std::size_t>(smaller(cell_lanes, columns - c));
                for (int k = 0; k < 4; ++k) __builtin_memcpy(to[k], &out[k], count * sizeof(std::int16_t));
            }
        }
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
