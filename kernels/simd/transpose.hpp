// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file transpose.hpp
/// Squares of values turned in registers: a block's pixels into planes and back, and every second or fourth value of a row.
#pragma once

#include "vec.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

template <int... I>
struct places {};
template <int N, int... I>
struct first_places : first_places<N - 1, N - 1, I...> {};
template <int... I>
struct first_places<0, I...> {
    using type = places<I...>;
};
/// 0 .. N-1. The standard library's own sequences cost more to compile than these lines.
template <int N>
using places_below = typename first_places<N>::type;

/// In every 4 lanes: value 0 or 2 (or 1 or 3) of a and of b, alternating, as unpacking does; or halves of a and b side by side.
template <int From, class V, int... I>
SPLITDSL_INLINE V alternate(const V& a, const V& b, places<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(a, b, (I / 4 * 4 + From + I % 4 / 2 + I % 2 * n)...);
}
template <int From, class V, int... I>
SPLITDSL_INLINE V picked(const V& a, const V& b, places<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(a, b, (I / 4 * 4 + From + I % 2 + I % 4 / 2 * n)...);
}
/// Turns the square of each 4 lanes of 4 vectors.
template <class V>
SPLITDSL_INLINE void turn_quads(V& a, V& b, V& c, V& d) {
    constexpr places_below<static_cast<int>(sizeof(V) / 4)> all{};
    const V ab = alternate<0>(a, b, all), cd = alternate<0>(c, d, all), ab2 = alternate<2>(a, b, all), cd2 = alternate<2>(c, d, all);
    a = picked<0>(ab, cd, all), b = picked<2>(ab, cd, all), c = picked<0>(ab2, cd2, all), d = picked<2>(ab2, cd2, all);
}

/// Side of the squares that layouts are turned in.
inline constexpr int square = lanes < 8 ? 4 : 8;
using square_row [[gnu::vector_size(square * 4)]] = float;

/// rows[i][j] to rows[j][i].
template <class Row>
SPLITDSL_INLINE void turn(Row (&rows)[square]) {
    if constexpr (sizeof(Row) == 32) {
        Row low[4], high[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            low[i] = __builtin_shufflevector(rows[i], rows[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
            high[i] = __builtin_shufflevector(rows[i], rows[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        }
        turn_quads(low[0], low[1], low[2], low[3]);
        turn_quads(high[0], high[1], high[2], high[3]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) rows[i] = low[i], rows[i + 4] = high[i];
    } else {
        turn_quads(rows[0], rows[1], rows[2], rows[3]);
    }
}

/// Pixels of a block of channels, `lanes` floats each, into `count` channels' rows `plane` floats apart.
SPLITDSL_INLINE void pixels_to_planes(const float* from, int width, int count, float* to, std::ptrdiff_t plane) {
    int x = 0;
    for (; x + square <= width; x += square)
        for (int first = 0; first < count; first += square) {
            square_row rows[square];
#pragma GCC unroll 8
            for (int i = 0; i < square; ++i) __builtin_memcpy(&rows[i], from + std::ptrdiff_t{x + i} * lanes + first, sizeof rows[i]);
            turn(rows);
            if (count - first >= square) {
#pragma GCC unroll 8
                for (int i = 0; i < square; ++i) __builtin_memcpy(to + (first + i) * plane + x, &rows[i], sizeof rows[i]);
            } else {
#pragma GCC unroll 8
                for (int i = 0; i < square; ++i)
                    if (first + i < count) __builtin_memcpy(to + (first + i) * plane + x, &rows[i], sizeof rows[i]);
            }
        }
    for (; x < width; ++x)
        for (int l = 0; l < count; ++l) to[l * plane + x] = from[std::ptrdiff_t{x} * lanes + l];
}
/// The way back; lanes from `count` on become 0.
SPLITDSL_INLINE void planes_to_pixels(const float* from, std::ptrdiff_t plane, int width, int count, float* to) {
    int x = 0;
    for (; x + square <= width; x += square)
        for (int first = 0; first < lanes; first += square) {
            square_row rows[square];
#pragma GCC unroll 8
            for (int i = 0; i < square; ++i) {
                rows[i] = square_row{};
                if (first + i < count) __builtin_memcpy(&rows[i], from + (first + i) * plane + x, sizeof rows[i]);
            }
            turn(rows);
#pragma GCC unroll 8
            for (int i = 0; i < square; ++i) __builtin_memcpy(to + std::ptrdiff_t{x + i} * lanes + first, &rows[i], sizeof rows[i]);
        }
    for (; x < width; ++x) {
        if (count < lanes) store(to + x * lanes, zero());
        for (int l = 0; l < count; ++l) to[std::ptrdiff_t{x} * lanes + l] = from[l * plane + x];
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
