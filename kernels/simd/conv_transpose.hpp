// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_transpose.hpp
/// Transposed convolution with one group, gathered: each output pixel sums the inputs that reach it, nothing is scattered.
///
/// Output columns that are a stride apart meet the same kernel columns, so they form tiles. Taps outside the input are left out of
/// the tile's range; the input needs no halo.
#pragma once

#include "conv.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

SPLITDSL_INLINE constexpr int common_divisor(int a, int b) {
    while (b != 0) {
        const int r = a % b;
        a = b, b = r;
    }
    return a;
}

/// Kernel positions that reach one output row or column: kernel index = first + i * step, input index = from + i * input_step.
struct reach {
    int first = 0, count = 0, from = 0;
};

SPLITDSL_INLINE constexpr reach reach_of(int position, int padding, int kernel, int stride, int dilation, int size) {
    reach r;
    for (int k = 0; k < kernel; ++k) {
        const int at = position + padding - k * dilation;
        if (at < 0 || at % stride != 0 || at / stride >= size) continue;
        if (r.count++ == 0) r.first = k, r.from = at / stride;
    }
    return r;
}

/// Packed position of a kernel column: those that meet the same output columns stand together.
SPLITDSL_INLINE constexpr int packed_column(int k, int kernel, int step) {
    int before = 0;
    for (int residue = 0; residue < k % step; ++residue) before += (kernel - residue + step - 1) / step;
    return before + k / step;
}

inline std::size_t conv_transpose_packed_floats(const conv_shape& s) { return tiled_conv_packed_floats(s); }

/// weight: (in, out, kernel_h, kernel_w), as PyTorch stores a transposed convolution; scale, shift: (out) or null.
inline void pack_conv_transpose(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_bias(s.out_channels, shift, packed);
    const conv_cut cut = cut_of(s);
    const int total = s.kernel_h * s.kernel_w, step = s.stride_w / common_divisor(s.stride_w, s.dilation_w);
    float* group = packed + cut.blocks * lanes;
    for (int g = 0; g < cut.groups; ++g) {
        const int outs = group_blocks(cut, g) * lanes, out0 = group_begin(cut, g) * lanes;
        for (int c = 0; c < s.in_channels; c += lanes) {
            const int count = smaller(lanes, s.in_channels - c);
            for (int i = 0; i < s.kernel_h; ++i)
                for (int j = 0; j < s.kernel_w; ++j)
                    for (int k = 0; k < count; ++k)
                        for (int o = 0; o < outs; ++o)
                            group[((i * s.kernel_w + packed_column(j, s.kernel_w, step)) * count + k) * std::ptrdiff_t{outs} + o] =
                                out0 + o < s.out_channels
                                    ? scaled(weight[(static_cast<std::ptrdiff_t>(c + k) * s.out_channels + out0 + o) * total + i * s.kernel_w + j], scale, out0 + o)
                                    : 0.0F;
            group += static_cast<std::ptrdiff_t>(total) * count * outs;
        }
    }
}

inline int conv_transpose_tasks(const conv_shape& s) { return cut_of(s).groups * s.out_height; }

template <int Outs>
SPLITDSL_INLINE void conv_transpose_row(const conv_shape& s, tile_work& t, int step, std::ptrdiff_t column_step) {
    constexpr int most = tile_pixels(Outs);
    for (int phase = 0; phase < s.stride_w; ++phase) {
        reach now{};
        int pixels = 0;
        const auto flush = [&] {
            if (pixels == 0) return;
            const int saved = t.over.first;
            t.over.columns = now.count;
            t.over.column_step = column_step;
            if (now.count > 0) t.over.first += packed_column(now.first, s.kernel_w, step);
            run_tile<Outs>(pixels, t);
            t.over.first = saved;
            pixels = 0;
        };
        for (int x = phase; x < s.out_width; x += s.stride_w) {
            const reach r = reach_of(x, s.pad_left, s.kernel_w, s.stride_w, s.dilation_w, s.in_width);
            if (pixels == most || r.first != now.first || r.count != now.count) flush();
            now = r;
            t.in_at[pixels] = std::ptrdiff_t{r.from} * lanes;
            t.out_at[pixels] = t.addend_at[pixels] = std::ptrdiff_t{x} * lanes;
            ++pixels;
        }
        flush();
    }
}

/// in (in_channels, in_height, in_width), no halo needed → out. `out` overlaps nothing else.
inline void conv_transpose(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const conv_cut cut = cut_of(s);
    const int total = s.kernel_h * s.kernel_w;
    const int step_h = s.stride_h / common_divisor(s.stride_h, s.dilation_h), step_w = s.stride_w / common_divisor(s.stride_w, s.dilation_w);
    const std::ptrdiff_t column_step = -(std::ptrdiff_t{step_w} * s.dilation_w / s.stride_w) * lanes;
    tile_work t;
    t.in_block = in.block;
    t.begin = 0, t.end = s.in_channels;
    t.out_block = out.block;
    t.addend_block = then.addend.block;
    t.slope = then.slope;
    t.act = clamps(then.act, t.low, t.high) ? activation::none : then.act;
    for (int task = first; task < last; ++task) {
        const int y = task / cut.groups, group = task % cut.groups, outs = group_blocks(cut, group), block = group_begin(cut, group);
        const reach r = reach_of(y, s.pad_top, s.kernel_h, s.stride_h, s.dilation_h, s.in_height);
        t.over = {r.count, 0, -(std::ptrdiff_t{step_h} * s.dilation_h / s.stride_h) * in.row, 0, r.first * s.kernel_w, step_h * s.kernel_w, total};
        t.in = in.at + r.from * in.row;
        t.weights = packed + cut.blocks * lanes + std::ptrdiff_t{block} * lanes * s.in_channels * total;
        t.bias = packed + block * lanes;
        t.out = out.at + block * out.block + y * out.row;
        t.addend = then.addend.at ? then.addend.at + block * then.addend.block + y * then.addend.row : nullptr;
        if constexpr (widest_tile == 4) {
            if (outs == 4) conv_transpose_row<4>(s, t, step_w, column_step);
        }
        if constexpr (widest_tile >= 2) {
            if (outs == 2) conv_transpose_row<2>(s, t, step_w, column_step);
        }
        if (outs == 1) conv_transpose_row<1>(s, t, step_w, column_step);
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
