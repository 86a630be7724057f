// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_picture.hpp
/// Direct convolution over a picture of three channels that lies with four floats a pixel, as it is loaded for a network's first layer.
///
/// In blocks of 16 channels a picture of 224x224 takes 3.2 MB, which no second-level cache holds; so it takes 0.8. The sums of a value run as those of
/// conv_tile.hpp (bias, kernel rows, kernel columns, channels), so every bit is the same.
#pragma once

#include "conv.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

inline constexpr int picture_channels = 3, picture_pixel = 4; ///< channels, and floats from pixel to pixel

/// Output channel blocks of a tile, and its pixels: the sums share the registers with a tap's weights of one channel (on NEON, of three) and one pixel.
#if !defined(__OPTIMIZE__)
inline constexpr int picture_outs = 1;
SPLITDSL_INLINE constexpr int picture_pixels(int) { return 2; }
#else
inline constexpr int picture_outs = 2;
SPLITDSL_INLINE constexpr int picture_pixels(int outs) {
#if defined(SPLITDSL_ARCH_NEON)
    return outs == 1 ? 16 : 10;
#else
    if (vector_registers == 32) return outs == 1 ? 28 : 14;
    return outs == 1 ? 12 : 6;
#endif
}
#endif

/// The biases, then per group of up to picture_outs blocks [tap][channel][block][lanes].
inline std::size_t picture_conv_packed_floats(const conv_shape& s) {
    return static_cast<std::size_t>(blocks_of(s.out_channels)) * lanes * static_cast<std::size_t>(1 + picture_channels * s.kernel_h * s.kernel_w);
}

/// weight: (out, 3, kernel_h, kernel_w); scale, shift: (out) or null.
inline void pack_picture_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_bias(s.out_channels, shift, packed);
    const int blocks = blocks_of(s.out_channels), total = s.kernel_h * s.kernel_w;
    float* to = packed + blocks * lanes;
    for (int block = 0; block < blocks; block += picture_outs)
        for (int k = 0; k < total; ++k)
            for (int c = 0; c < picture_channels; ++c)
                for (int o = block * lanes; o < smaller(blocks, block + picture_outs) * lanes; ++o)
                    *to++ = o < s.out_channels ? scaled(weight[(static_cast<std::ptrdiff_t>(o) * picture_channels + c) * total + k], scale, o) : 0.0F;
}

/// Output rows of a task: about 32 tasks, of a few tiles each.
SPLITDSL_INLINE constexpr int picture_rows(const conv_shape& s) {
    return larger(1, smaller(s.out_height, larger(divide_up(s.out_height, tasks_per_conv), divide_up(least_pixels_of_groups, larger(1, s.out_width)))));
}
inline int picture_conv_tasks(const conv_shape& s) { return divide_up(s.out_height, picture_rows(s)); }

/// Part of an output row.
struct picture_work : tile_results {
    const float* in;             ///< first tap of the first pixel
    std::ptrdiff_t in_row;
    int rows, columns;           ///< of the kernel; rows that lie inside the input
    const float* weights;        ///< of the first of them
};

/// Adds one tap's products to a tile's sums.
template <int Outs, int Pixels, int Stride>
SPLITDSL_INLINE void multiply_picture(vec (&sum)[Outs][Pixels], const float*& x, const float*& w) {
#if defined(SPLITDSL_ARCH_NEON)
    vec k[picture_channels][Outs];
#pragma GCC unroll 3
    for (int c = 0; c < picture_channels; ++c)
#pragma GCC unroll 2
        for (int o = 0; o < Outs; ++o) k[c][o] = load(w + (c * Outs + o) * lanes);
#pragma GCC unroll 28
    for (int p = 0; p < Pixels; ++p) {
        const vec v = load(x + p * Stride * picture_pixel);
#pragma GCC unroll 2
        for (int o = 0; o < Outs; ++o) sum[o][p] = multiply_add_lane<2>(v, k[2][o], multiply_add_lane<1>(v, k[1][o], multiply_add_lane<0>(v, k[0][o], sum[o][p])));
    }
#else
#pragma GCC unroll 3
    for (int c = 0; c < picture_channels; ++c) {
        pin(x, w);
        vec k[Outs];
#pragma GCC unroll 2
        for (int o = 0; o < Outs; ++o) k[o] = load(w + (c * Outs + o) * lanes);
#pragma GCC unroll 28
        for (int p = 0; p < Pixels; ++p) {
            const vec v = broadcast(x[p * Stride * picture_pixel + c]);
#pragma GCC unroll 2
            for (int o = 0; o < Outs; ++o) add_product(sum[o][p], v, k[o]);
        }
    }
#endif
}

/// The tile at pixel x of a row.
template <int Outs, int Pixels, int Stride>
[[gnu::noinline]] inline void picture_tile(const picture_work& t, int x) {
    vec sum[Outs][Pixels];
#pragma GCC unroll 2
    for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 28
        for (int p = 0; p < Pixels; ++p) sum[o][p] = load(t.bias + o * lanes);
    const float *row = t.in + std::ptrdiff_t{x} * Stride * picture_pixel, *w = t.weights;
    for (int i = 0; i < t.rows; ++i, row += t.in_row) {
        const float* at = row;
#pragma GCC unroll 1
        for (int j = 0; j < t.columns; ++j, at += picture_pixel, w += picture_channels * Outs * lanes) multiply_picture<Outs, Pixels, Stride>(sum, at, w);
    }
    float* const out = t.out + std::ptrdiff_t{x} * lanes;
    const std::ptrdiff_t out_block = t.out_block;
    if (t.addend) {
        const float* const addend = t.addend + std::ptrdiff_t{x} * lanes;
#pragma GCC unroll 2
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 28
            for (int p = 0; p < Pixels; ++p) sum[o][p] = sum[o][p] + load(addend + o * t.addend_block + p * lanes);
    }
    if (t.swishes) {
#pragma GCC unroll 28
        for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 2
            for (int o = 0; o < Outs; ++o) store(out + o * out_block + p * lanes, hard_swish_of(sum[o][p]));
        return;
    }
    const vec low = broadcast(t.low), high = broadcast(t.high);
#pragma GCC unroll 28
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 2
        for (int o = 0; o < Outs; ++o) store(out + o * out_block + p * lanes, clamped(sum[o][p], low, high));
}

/// A row. Its last tile may repeat pixels of the one before, with the same results.
template <int Outs, int Stride>
SPLITDSL_INLINE void picture_row(const picture_work& t, int width) {
    constexpr int most = picture_pixels(Outs), few = most / 2;
    int x = 0;
    for (; x + most <= width; x += most) picture_tile<Outs, most, Stride>(t, x);
    if (x < width && width >= most && width - x > few) x = width, picture_tile<Outs, most, Stride>(t, width - most);
    for (; x + few <= width; x += few) picture_tile<Outs, few, Stride>(t, x);
    if (x < width && width >= few) x = width, picture_tile<Outs, few, Stride>(t, width - few);
    if constexpr (few > 1)
        for (; x < width; ++x) picture_tile<Outs, 1, Stride>(t, x);
}
template <int Outs>
SPLITDSL_INLINE void picture_row(const picture_work& t, int stride, int width) {
    if (stride == 1) picture_row<Outs, 1>(t, width);
    else picture_row<Outs, 2>(t, width);
}

/// in (3, in_height, in_width), four floats from pixel to pixel, with its halo → out (out_channels, out_height, out_width). Stride 1 or 2 on both axes, dilation
/// 1. `out` overlaps nothing else.
inline void picture_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const int rows = picture_rows(s), blocks = blocks_of(s.out_channels);
    picture_work t;
    t.in_row = in.row;
    t.columns = s.kernel_w;
    const bool act_done = t.begin(out, then);
    for (int y = first * rows; y < smaller(s.out_height, last * rows); ++y) {
        const kernel_rows inside = rows_inside(s, y);
        t.rows = inside.end - inside.begin;
        t.in = in.at + (std::ptrdiff_t{y} * s.stride_h - s.pad_top + inside.begin) * in.row - std::ptrdiff_t{s.pad_left} * picture_pixel;
        const float* weights = packed + blocks * lanes;
        for (int block = 0; block < blocks; block += picture_outs) {
            const int outs = smaller(picture_outs, blocks - block);
            const std::ptrdiff_t row_floats = std::ptrdiff_t{s.kernel_w} * picture_channels * outs * lanes;
            t.weights = weights + inside.begin * row_floats;
            t.bias = packed + block * lanes;
            t.place(out, then, block, y);
            if constexpr (picture_outs == 2) {
                if (outs == 2) picture_row<2>(t, s.stride_w, s.out_width);
            }
            if (outs == 1) picture_row<1>(t, s.stride_w, s.out_width);
            if (!act_done)
                for (int o = 0; o < outs; ++o) activate_span(t.out + o * out.block, s.out_width, then.act, then.slope);
            weights += row_floats * s.kernel_h;
        }
    }
    if (then.levels.at) quantise_part(s.out_channels, out, {0, blocks, first * rows, smaller(s.out_height, last * rows), 0, s.out_width}, then.levels);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
