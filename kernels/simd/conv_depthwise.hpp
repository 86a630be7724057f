// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_depthwise.hpp
/// Convolution with one input channel per output channel: the lanes are the channels.
#pragma once

#include "conv.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

struct depthwise_row {
    const float* in;      ///< first tap of the row's first pixel
    std::ptrdiff_t in_row; ///< floats from one kernel row to the next
    std::ptrdiff_t tap;   ///< floats from one kernel column to the next
    std::ptrdiff_t pixel; ///< floats in the input from one pixel to the next
    const float* weights;
    const float* bias;
    float* out;
    const float* addend;
    int kernel_h, kernel_w;
    float low, high;
};

/// Width and Stride of 0: known at run time only.
template <int Width, int Stride, int Pixels>
SPLITDSL_INLINE void depthwise_tile(const depthwise_row& r, int x) {
    const std::ptrdiff_t pixel = Stride ? std::ptrdiff_t{Stride} * lanes : r.pixel, tap = Width ? std::ptrdiff_t{lanes} : r.tap;
    const int kernel_w = Width ? Width : r.kernel_w;
    vec sum[Pixels];
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) sum[p] = load(r.bias);
    const float* in = r.in + x * pixel;
    const float* w = r.weights;
    for (int i = 0; i < r.kernel_h; ++i) {
        const float* at = in + i * r.in_row;
#pragma GCC unroll 5
        for (int j = 0; j < kernel_w; ++j) {
            pin(at, w);
            const vec k = load(w);
#pragma GCC unroll 8
            for (int p = 0; p < Pixels; ++p) sum[p] = multiply_add(load(at + p * pixel), k, sum[p]);
            at += tap, w += lanes;
        }
    }
    const vec low = broadcast(r.low), high = broadcast(r.high);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
        if (r.addend) sum[p] = sum[p] + load(r.addend + (x + p) * lanes);
        store(r.out + (x + p) * lanes, clamped(sum[p], low, high));
    }
}

/// A row; its last tile may repeat pixels of the one before, with the same results.
template <int Width, int Stride>
[[gnu::noinline]] inline void depthwise_columns(const depthwise_row& r, int width) {
    int x = 0;
    for (; x + 8 <= width; x += 8) depthwise_tile<Width, Stride, 8>(r, x);
    if (x < width && width >= 8) return depthwise_tile<Width, Stride, 8>(r, width - 8);
    for (; x + 4 <= width; x += 4) depthwise_tile<Width, Stride, 4>(r, x);
    if (x < width && width >= 4) return depthwise_tile<Width, Stride, 4>(r, width - 4);
    for (; x < width; ++x) depthwise_tile<Width, Stride, 1>(r, x);
}

inline std::size_t depthwise_conv_packed_floats(const conv_shape& s) {
    return static_cast<std::size_t>(blocks_of(s.out_channels)) * lanes * static_cast<std::size_t>(s.kernel_h * s.kernel_w + 1);
}

/// weight: (channels, 1, kernel_h, kernel_w); scale, shift: (channels) or null.
inline void pack_depthwise_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_bias(s.out_channels, shift, packed);
    const int blocks = blocks_of(s.out_channels), total = s.kernel_h * s.kernel_w;
    float* to = packed + blocks * lanes;
    for (int b = 0; b < blocks; ++b)
        for (int k = 0; k < total; ++k)
            for (int c = b * lanes; c < (b + 1) * lanes; ++c) *to++ = c < s.out_channels ? scaled(weight[std::ptrdiff_t{c} * total + k], scale, c) : 0.0F;
}

inline int depthwise_conv_tasks(const conv_shape& s) { return row_tasks({s.out_channels, s.out_height, s.out_width}); }

/// groups == in_channels == out_channels. `out` overlaps nothing else.
inline void depthwise_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const int blocks = blocks_of(s.out_channels), total = s.kernel_h * s.kernel_w;
    depthwise_row r;
    r.in_row = s.dilation_h * in.row;
    r.tap = std::ptrdiff_t{s.dilation_w} * lanes;
    r.pixel = std::ptrdiff_t{s.stride_w} * lanes;
    r.kernel_h = s.kernel_h, r.kernel_w = s.kernel_w;
    const bool bounds_do = clamps(then.act, r.low, r.high);
    const int key = s.dilation_w == 1 && (s.kernel_w == 3 || s.kernel_w == 5) && s.stride_w <= 2 ? s.kernel_w * 10 + s.stride_w : 0;
    for_each_row({s.out_channels, s.out_height, s.out_width}, first, last, [&](int block, int y) {
        r.in = in.at + block * in.block + (std::ptrdiff_t{y} * s.stride_h - s.pad_top) * in.row - std::ptrdiff_t{s.pad_left} * lanes;
        r.weights = packed + (blocks + block * total) * std::ptrdiff_t{lanes};
        r.bias = packed + block * lanes;
        r.out = out.at + block * out.block + y * out.row;
        r.addend = then.addend.at ? then.addend.at + block * then.addend.block + y * then.addend.row : nullptr;
        switch (key) {
        case 31: depthwise_columns<3, 1>(r, s.out_width); break;
        case 32: depthwise_columns<3, 2>(r, s.out_width); break;
        case 51: depthwise_columns<5, 1>(r, s.out_width); break;
        case 52: depthwise_columns<5, 2>(r, s.out_width); break;
        default: depthwise_columns<0, 0>(r, s.out_width);
        }
        if (!bounds_do) activate_span(r.out, s.out_width, then.act, then.slope);
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
