// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file winograd_forms.hpp
/// The tiles of Winograd's convolutions, and the transforms of their rows and columns.
#pragma once

#include "vec.hpp"
#include "views.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Outputs of a tile's side, taps of a (phase's) kernel's side, stride.
template <int Tile, int Taps = 3, int Stride = 1>
struct winograd_form {
    static constexpr int tile = Tile, taps = Taps, stride = Stride, side = Tile + Taps - 1, positions = side * side;
    static constexpr bool is_line = false;
    SPLITDSL_INLINE static constexpr int channels(const conv_shape& s) { return s.in_channels * Stride * Stride; }
    SPLITDSL_INLINE static constexpr int tile_height(const conv_shape&) { return Tile; }
    SPLITDSL_INLINE static constexpr int tile_width(const conv_shape&) { return Tile; }
};
using winograd_2x2 = winograd_form<2>;
using winograd_4x4 = winograd_form<4>;
using winograd_2x2_of_5x5 = winograd_form<2, 5>;            ///< kernels 5x5
using winograd_4x4_strided = winograd_form<4, 3, 2>;        ///< kernels 5 and 6
using winograd_3x3_strided = winograd_form<3, 4, 2>;        ///< kernels 7 and 8

/// Of a kernel of one row or one column: outputs of a tile, in a row or a column as the kernel's taps are.
template <int Tile, int Taps>
struct winograd_line_form {
    static constexpr int tile = Tile, taps = Taps, stride = 1, side = Tile + Taps - 1, positions = side;
    static constexpr bool is_line = true;
    SPLITDSL_INLINE static constexpr bool is_column(const conv_shape& s) { return s.kernel_w == 1; }
    SPLITDSL_INLINE static constexpr int channels(const conv_shape& s) { return s.in_channels; }
    SPLITDSL_INLINE static constexpr int tile_height(const conv_shape& s) { return is_column(s) ? Tile : 1; }
    SPLITDSL_INLINE static constexpr int tile_width(const conv_shape& s) { return is_column(s) ? 1 : Tile; }
};
using winograd_line = winograd_line_form<6, 7>;             ///< kernels 1x7 and 7x1

/// The points of twelve positions beside 0 and infinity: p / q and -p / q. Among five pairs of small fractions these lose least: sums over 192 channels are within
/// 6e-6 of their range, where 1, 2, 4 and their reciprocals lose three times as much (docs/performance_kernels.md).
struct line_point {
    int p, q;
};
inline constexpr int line_pairs = 5;
inline constexpr line_point line_points[line_pairs]{{1, 1}, {3, 2}, {2, 3}, {3, 1}, {1, 3}};

/// The transforms' numbers. Those of inputs and products are whole and exact: rows and columns are multiplied by the powers of q that make them so, and weights divided by these.
struct line_numbers {
    float even[line_pairs][line_pairs]{}, odd[line_pairs][line_pairs]{}; ///< of the inputs 2, 4 .. 10 and 1, 3 .. 9 to a pair of points
    float ends[line_pairs + 1]{};                                         ///< of the inputs 0, 2 .. 10 to point 0, and 1, 3 .. 11 to infinity
    float back[line_pairs + 1][line_pairs]{};                             ///< of each pair to output k: q^(5 - k) p^k
    double points[2 * line_pairs + 1]{}, over[2 * line_pairs + 2]{};      ///< a position's point, and what its weights are divided by: what both transforms multiply there
};
SPLITDSL_INLINE constexpr line_numbers line_transforms() {
    line_numbers n;
    for (int without = 0; without <= line_pairs; ++without) {
        int product[line_pairs + 2]{1}, factors = 0; // of q^2 t - p^2 over the other pairs, t = x^2
        for (int j = 0; j < line_pairs; ++j) {
            if (j == without) continue;
            const int qq = line_points[j].q * line_points[j].q, pp = line_points[j].p * line_points[j].p;
            for (int k = ++factors; k >= 0; --k) product[k] = (k > 0 ? product[k - 1] * qq : 0) - product[k] * pp;
        }
        for (int k = 0; k <= factors; ++k) {
            if (without == line_pairs) n.ends[k] = static_cast<float>(product[k]);
            else n.even[without][k] = static_cast<float>(product[k] * line_points[without].q), n.odd[without][k] = static_cast<float>(product[k] * line_points[without].p);
        }
    }
    for (int i = 0; i < line_pairs; ++i)
        for (int k = 0; k <= line_pairs; ++k) {
            int power = 1;
            for (int e = 0; e < line_pairs; ++e) power *= e < k ? line_points[i].p : line_points[i].q;
            n.back[k][i] = static_cast<float>(power);
        }
    n.over[0] = n.over[2 * line_pairs + 1] = 1;
    for (int i = 0; i < line_pairs; ++i) {
        const double p = line_points[i].p, q = line_points[i].q, x = p / q;
        double over = 2 * p * x;
        for (int j = 0; j < line_pairs; ++j) {
            const double pp = line_points[j].p * line_points[j].p, qq = line_points[j].q * line_points[j].q;
            over *= q * (j == i ? 1 : qq * x * x - pp);
        }
        n.points[2 * i + 1] = x, n.points[2 * i + 2] = -x;
        n.over[2 * i + 1] = n.over[2 * i + 2] = over;
        n.over[0] *= -p * p, n.over[2 * line_pairs + 1] *= q * q;
    }
    return n;
}
inline constexpr line_numbers line_by = line_transforms();

/// Row i of G, the transform of a kernel's row or column: its polynomial's value at 0, 1, -1 (2, -2) and infinity, over the points' differences.
template <class Form>
SPLITDSL_INLINE double winograd_weight(int i, const double (&w)[Form::taps]) {
    constexpr double points[] = {0, 1, -1, 2, -2}, by_4[] = {1, 0.5, 0.5}, by_6[] = {1 / 4.0, -1 / 6.0, -1 / 6.0, 1 / 24.0, 1 / 24.0};
    constexpr bool is_12 = Form::side == 12;
    double value = w[Form::taps - 1];
    if (i < Form::side - 1)
        for (int k = Form::taps - 1; k-- > 0;) value = value * (is_12 ? line_by.points[i] : points[i]) + w[k];
    if constexpr (is_12) return value / line_by.over[i];
    if (i == Form::side - 1) return value;
    if constexpr (Form::side == 4) return value * by_4[i];
    else return value * by_6[i];
}

/// What the transforms compute with. Arrays of `vec`, a class, would go through memory value by value: g++ takes objects apart before it unrolls loops, not after.
SPLITDSL_INLINE float_lanes plain(const vec& v) { return reinterpret_cast<float_lanes>(static_cast<vec::register_type>(v)); }
SPLITDSL_INLINE vec dressed(const float_lanes& v) { return vec(reinterpret_cast<vec::register_type>(v)); }
SPLITDSL_INLINE float_lanes fused(float a, const float_lanes& b, const float_lanes& c) { return plain(multiply_add(broadcast(a), dressed(b), dressed(c))); }

/// B^T d, for a row or a column of a tile's input.
template <int Side>
SPLITDSL_INLINE void winograd_in(const float_lanes (&d)[Side], float_lanes (&to)[Side]) {
    if constexpr (Side == 4) {
        to[0] = d[0] - d[2];
        to[1] = d[1] + d[2];
        to[2] = d[2] - d[1];
        to[3] = d[1] - d[3];
    } else if constexpr (Side == 12) {
        float_lanes first = line_by.ends[0] * d[0], last = line_by.ends[0] * d[1];
#pragma GCC unroll 5
        for (int k = 1; k <= line_pairs; ++k) first = fused(line_by.ends[k], d[2 * k], first), last = fused(line_by.ends[k], d[2 * k + 1], last);
        to[0] = first, to[11] = last;
#pragma GCC unroll 5
        for (int i = 0; i < line_pairs; ++i) {
            float_lanes even = line_by.even[i][0] * d[2], odd = line_by.odd[i][0] * d[1];
#pragma GCC unroll 4
            for (int k = 1; k < line_pairs; ++k) even = fused(line_by.even[i][k], d[2 * k + 2], even), odd = fused(line_by.odd[i][k], d[2 * k + 1], odd);
            to[2 * i + 1] = even + odd, to[2 * i + 2] = even - odd;
        }
    } else {
        const float_lanes a = d[4] - 4.0F * d[2], b = d[3] - 4.0F * d[1], c = d[4] - d[2], e = 2.0F * (d[3] - d[1]);
        to[0] = fused(4.0F, d[0], d[4] - 5.0F * d[2]);
        to[1] = a + b;
        to[2] = a - b;
        to[3] = c + e;
        to[4] = c - e;
        to[5] = fused(4.0F, d[1], d[5] - 5.0F * d[3]);
    }
}

/// A^T m, for a row or a column of a tile's products.
template <class Form>
SPLITDSL_INLINE void winograd_out(const float_lanes (&m)[Form::side], float_lanes (&to)[Form::tile]) {
    if constexpr (Form::side == 4) {
        to[0] = m[0] + m[1] + m[2];
        to[1] = m[1] - m[2] - m[3];
    } else if constexpr (Form::side == 12) {
        static_assert(Form::tile == line_pairs + 1);
        float_lanes sums[line_pairs], differences[line_pairs];
#pragma GCC unroll 5
        for (int i = 0; i < line_pairs; ++i) sums[i] = m[2 * i + 1] + m[2 * i + 2], differences[i] = m[2 * i + 1] - m[2 * i + 2];
#pragma GCC unroll 6
        for (int k = 0; k < Form::tile; ++k) {
            const float_lanes(&of)[line_pairs] = k % 2 == 0 ? sums : differences;
            to[k] = k == 0 ? fused(line_by.back[k][0], of[0], m[0]) : k == 5 ? fused(line_by.back[k][0], of[0], m[11]) : line_by.back[k][0] * of[0];
#pragma GCC unroll 4
            for (int i = 1; i < line_pairs; ++i) to[k] = fused(line_by.back[k][i], of[i], to[k]);
        }
    } else {
        const float_lanes a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
        to[0] = m[0] + a + c;
        to[1] = fused(2.0F, e, b);
        if constexpr (Form::tile > 2) to[2] = fused(4.0F, c, a);
        if constexpr (Form::tile == 4) to[3] = fused(8.0F, e, b) + m[5];
        else to[Form::tile - 1] = to[Form::tile - 1] + m[5];
    }
}

/// Side vectors at from, from + step, from + 2 * step ...: addresses that two registers hold.
template <int Side>
SPLITDSL_INLINE void load_steps(const float* from, std::ptrdiff_t step, float_lanes (&to)[Side]) {
    constexpr int middle = Side / 2;
    const float* second = from + middle * step;
    pin(from, second);
#pragma GCC unroll 6
    for (int i = 0; i < middle; ++i) {
        to[i] = plain(load(from + i * step));
        to[middle + i] = plain(load(second + i * step));
    }
}
template <int Side>
SPLITDSL_INLINE void store_steps(const float_lanes (&from)[Side], float* to, std::ptrdiff_t step) {
    constexpr int middle = Side / 2;
    float* second = to + middle * step;
    pin(to, second);
#pragma GCC unroll 6
    for (int i = 0; i < middle; ++i) {
        store(to + i * step, dressed(from[i]));
        store(second + i * step, dressed(from[middle + i]));
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
