// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_depthwise.hpp
/// Convolution with one input channel per output channel: the lanes are the channels.
#pragma once

#include "conv.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Two output rows, one below the other; or one twice.
struct depthwise_rows {
    const float* in;          ///< first tap of the first row's first pixel
    std::ptrdiff_t in_row;    ///< floats from one kernel row to the next
    std::ptrdiff_t tap;       ///< floats from one kernel column to the next
    std::ptrdiff_t pixel;     ///< floats in the input from one pixel to the next
    std::ptrdiff_t in_next;   ///< floats in the input from one output row to the next
    const float* weights;
    const float* bias;
    float* out;
    std::ptrdiff_t out_next;
    const float* addend;
    std::ptrdiff_t addend_next;
    int kernel_h, kernel_w;
    float low, high;
    bool swish;               ///< hard_swish instead of the bounds
};

/// Pixels of a tile in each of its two rows, and of the tile for what is left of a row. One row of so few pixels would not hide the
/// latency of a multiply-add; images are multiples of seven wide more often than not.
#if defined(__OPTIMIZE__)
inline constexpr int depthwise_pixels = vector_registers == 32 ? 14 : 7, depthwise_rest = vector_registers == 32 ? 7 : 4;
#else
inline constexpr int depthwise_pixels = 2, depthwise_rest = 1;
#endif

/// Width and Stride of 0: known at run time only.
template <int Width, int Stride, int Pixels>
SPLITDSL_INLINE void depthwise_tile(const depthwise_rows& r, int x) {
    const std::ptrdiff_t pixel = Stride ? std::ptrdiff_t{Stride} * lanes : r.pixel, tap = Width ? std::ptrdiff_t{lanes} : r.tap;
    const int kernel_w = Width ? Width : r.kernel_w;
    vec sum[2][Pixels];
#pragma GCC unroll 14
    for (int p = 0; p < Pixels; ++p) sum[0][p] = sum[1][p] = load(r.bias);
    const float* above = r.in + x * pixel;
    const float* w = r.weights;
    for (int i = 0; i < r.kernel_h; ++i) {
        const float *at = above, *below = above + r.in_next;
#pragma GCC unroll 5
        for (int j = 0; j < kernel_w; ++j) {
            pin(at, below, w);
            const vec k = load(w);
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) sum[0][p] = multiply_add(load(at + p * pixel), k, sum[0][p]);
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) sum[1][p] = multiply_add(load(below + p * pixel), k, sum[1][p]);
            at += tap, below += tap, w += lanes;
        }
        above += r.in_row;
    }
    const vec low = broadcast(r.low), high = broadcast(r.high);
#pragma GCC unroll 2
    for (int y = 0; y < 2; ++y) {
        float* const out = r.out + y * r.out_next + x * lanes;
        const float* const addend = r.addend ? r.addend + y * r.addend_next + x * lanes : nullptr;
        if (addend)
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) sum[y][p] = sum[y][p] + load(addend + p * lanes);
        if (r.swish) {
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) store(out + p * lanes, hard_swish_of(sum[y][p]));
        } else {
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) store(out + p * lanes, clamped(sum[y][p], low, high));
        }
    }
}

/// Both rows; their last tile may repeat pixels of the one before, with the same results.
template <int Width, int Stride>
[[gnu::noinline]] inline void depthwise_columns(const depthwise_rows& r, int width) {
    constexpr int most = depthwise_pixels, few = depthwise_rest;
    int x = 0;
    for (; x + most <= width; x += most) depthwise_tile<Width, Stride, most>(r, x);
    if (x == width) return;
    if (width >= most && width - x > few) return depthwise_tile<Width, Stride, most>(r, width - most);
    for (; x + few <= width; x += few) depthwise_tile<Width, Stride, few>(r, x);
    if (x < width && width >= few) return depthwise_tile<Width, Stride, few>(r, width - few);
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
    depthwise_rows r;
    r.in_row = s.dilation_h * in.row;
    r.tap = std::ptrdiff_t{s.dilation_w} * lanes;
    r.pixel = std::ptrdiff_t{s.stride_w} * lanes;
    r.kernel_h = s.kernel_h, r.kernel_w = s.kernel_w;
    const bool bounds_do = clamps(then.act, r.low, r.high);
    r.swish = then.act == activation::hard_swish;
    const int key = s.dilation_w == 1 && (s.kernel_w == 3 || s.kernel_w == 5) && s.stride_w <= 2 ? s.kernel_w * 10 + s.stride_w : 0;
    const extent all{s.out_channels, s.out_height, s.out_width};
    for_each_rows(all, first, last, [&](int block, int begin, int end) {
        r.weights = packed + (blocks + block * total) * std::ptrdiff_t{lanes};
        r.bias = packed + block * lanes;
        for (int y = begin; y < end; y += 2) {
            const bool two = y + 1 < end;
            r.in = in.at + block * in.block + (std::ptrdiff_t{y} * s.stride_h - s.pad_top) * in.row - std::ptrdiff_t{s.pad_left} * lanes;
            r.in_next = two ? s.stride_h * in.row : 0;
            r.out = out.at + block * out.block + y * out.row;
            r.out_next = two ? out.row : 0;
            r.addend = then.addend.at ? then.addend.at + block * then.addend.block + y * then.addend.row : nullptr;
            r.addend_next = two ? then.addend.row : 0;
            switch (key) {
            case 31: depthwise_columns<3, 1>(r, s.out_width); break;
            case 32: depthwise_columns<3, 2>(r, s.out_width); break;
            case 51: depthwise_columns<5, 1>(r, s.out_width); break;
            case 52: depthwise_columns<5, 2>(r, s.out_width); break;
            default: depthwise_columns<0, 0>(r, s.out_width);
            }
            if (!bounds_do && !r.swish)
                for (int k = 0; k <= two; ++k) activate_span(r.out + k * r.out_next, s.out_width, then.act, then.slope);
        }
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
