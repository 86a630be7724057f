// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_depthwise.hpp
/// Convolution with one input channel per output channel: the lanes are the channels.
#pragma once

#include "conv.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Output rows of a channel block.
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
    int rows;
    float low, high;
    activation act;           ///< hard_swish instead of the bounds, or what follows them
    float slope;
    bool is_wide;             ///< more than the processor's own prefetching keeps up with
    float swish[4] = {0.0F, 3.0F, 6.0F, 1.0F / 6.0F}; ///< read anew for each tile, where constants would keep registers from the sums
};

/// Pixels of a tile, and of the tile for what is left of a row: images are multiples of seven wide more often than not. The sums, a row of the kernel and one
/// pixel of the input share the registers.
#if defined(__OPTIMIZE__)
inline constexpr int depthwise_pixels = vector_registers == 32 ? 14 : 7, depthwise_rest = vector_registers == 32 ? 7 : 4;
#else
inline constexpr int depthwise_pixels = 2, depthwise_rest = 1;
#endif

/// Width and Stride of 0: known at run time only. A pixel of the input is loaded once for a row of the kernel.
template <int Width, int Stride, int Pixels>
SPLITDSL_INLINE void depthwise_tile(const depthwise_rows& r, const float* in, float* out, const float* addend) {
    vec sum[Pixels];
#pragma GCC unroll 14
    for (int p = 0; p < Pixels; ++p) sum[p] = load(r.bias);
    if (Stride == 2 && r.is_wide) // a row is about a memory page long, where the processor's own prefetching ends: what the next output row reads anew
        for (int i = 1; i <= 2; ++i) {
            const float* const next = in + r.in_next + (r.kernel_h - i) * r.in_row;
#pragma GCC unroll 16
            for (int k = 0; k < Pixels * Stride * lanes; k += 16) __builtin_prefetch(next + k);
        }
    const float* w = r.weights;
    for (int i = 0; i < r.kernel_h; ++i, in += r.in_row) {
        if constexpr (Width == 0) {
            const float* at = in;
            for (int j = 0; j < r.kernel_w; ++j, at += r.tap, w += lanes) {
                const vec k = load(w);
#pragma GCC unroll 14
                for (int p = 0; p < Pixels; ++p) sum[p] = multiply_add(load(at + p * r.pixel), k, sum[p]);
            }
        } else {
            vec k[Width];
#pragma GCC unroll 5
            for (int j = 0; j < Width; ++j) k[j] = load(w + j * lanes);
#pragma GCC unroll 32
            for (int c = 0; c < (Pixels - 1) * Stride + Width; ++c) {
                const vec v = load(in + c * lanes);
#pragma GCC unroll 5
                for (int j = 0; j < Width; ++j)
                    if (c >= j && (c - j) % Stride == 0 && (c - j) / Stride < Pixels) add_product(sum[(c - j) / Stride], v, k[j]);
            }
            w += Width * lanes;
        }
    }
    if (addend)
#pragma GCC unroll 14
        for (int p = 0; p < Pixels; ++p) sum[p] = sum[p] + load(addend + p * lanes);
    if (r.act == activation::hard_swish) {
#pragma GCC unroll 14
        for (int p = 0; p < Pixels; ++p) store(out + p * lanes, sum[p] * clamped(sum[p] + broadcast(r.swish[1]), broadcast(r.swish[0]), broadcast(r.swish[2])) * broadcast(r.swish[3]));
    } else {
        const vec low = broadcast(r.low), high = broadcast(r.high);
#pragma GCC unroll 14
        for (int p = 0; p < Pixels; ++p) store(out + p * lanes, clamped(sum[p], low, high));
    }
}

/// The tile at pixel x of a row.
template <int Width, int Stride, int Pixels>
SPLITDSL_INLINE void depthwise_at(const depthwise_rows& r, const float* in, float* out, const float* addend, int x) {
    depthwise_tile<Width, Stride, Pixels>(r, in + x * (Stride ? std::ptrdiff_t{Stride} * lanes : r.pixel), out + x * lanes, addend ? addend + x * lanes : nullptr);
}

/// A row's last tile may repeat pixels of the one before, with the same results.
template <int Width, int Stride>
[[gnu::noinline]] inline void depthwise_run(const depthwise_rows& r, int width) {
    constexpr int most = depthwise_pixels, few = depthwise_rest;
    const float *in = r.in, *addend = r.addend;
    float* out = r.out;
    for (int y = 0; y < r.rows; ++y, in += r.in_next, out += r.out_next, addend += r.addend_next) {
        int x = 0;
        for (; x + most <= width; x += most) depthwise_at<Width, Stride, most>(r, in, out, addend, x);
        if (x < width && width >= most && width - x > few) x = width, depthwise_at<Width, Stride, most>(r, in, out, addend, width - most);
        for (; x + few <= width; x += few) depthwise_at<Width, Stride, few>(r, in, out, addend, x);
        if (x < width && width >= few) x = width, depthwise_at<Width, Stride, few>(r, in, out, addend, width - few);
        for (; x < width; ++x) depthwise_at<Width, Stride, 1>(r, in, out, addend, x);
        if (r.act != activation::none && r.act != activation::hard_swish) activate_span(out, width, r.act, r.slope);
    }
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
    r.in_next = s.stride_h * in.row, r.out_next = out.row, r.addend_next = then.addend.at ? then.addend.row : 0;
    r.kernel_h = s.kernel_h, r.kernel_w = s.kernel_w;
    r.act = clamps(then.act, r.low, r.high) ? activation::none : then.act;
    r.slope = then.slope;
    r.is_wide = s.in_width > 16;
    const int key = s.dilation_w == 1 && (s.kernel_w == 3 || s.kernel_w == 5) && s.stride_w <= 2 ? s.kernel_w * 10 + s.stride_w : 0;
    const extent all{s.out_channels, s.out_height, s.out_width};
    for_each_rows(all, first, last, [&](int block, int begin, int end) {
        r.weights = packed + (blocks + block * total) * std::ptrdiff_t{lanes};
        r.bias = packed + block * lanes;
        r.in = in.at + block * in.block + (std::ptrdiff_t{begin} * s.stride_h - s.pad_top) * in.row - std::ptrdiff_t{s.pad_left} * lanes;
        r.out = out.at + block * out.block + begin * out.row;
        r.addend = then.addend.at ? then.addend.at + block * then.addend.block + begin * then.addend.row : nullptr;
        r.rows = end - begin;
        switch (key) {
        case 31: depthwise_run<3, 1>(r, s.out_width); break;
        case 32: depthwise_run<3, 2>(r, s.out_width); break;
        case 51: depthwise_run<5, 1>(r, s.out_width); break;
        case 52: depthwise_run<5, 2>(r, s.out_width); break;
        default: depthwise_run<0, 0>(r, s.out_width);
        }
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
