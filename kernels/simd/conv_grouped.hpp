// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_grouped.hpp
/// Convolution in groups: every block of output channels reads only the input channels of its groups.
///
/// A block may hold the ends of several groups; the channels that do not belong to a lane have a zero weight there. With at least
/// `lanes` channels per group nothing is wasted.
#pragma once

#include "conv.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Input channels that a block of output channels reads.
struct channel_range {
    int begin = 0, end = 0;
};

SPLITDSL_INLINE constexpr channel_range inputs_of_block(const conv_shape& s, int block) {
    const int per_group = s.in_channels / s.groups, outs = s.out_channels / s.groups;
    const int last = smaller(s.out_channels, (block + 1) * lanes) - 1;
    return {block * lanes / outs * per_group, (last / outs + 1) * per_group};
}

/// Floats of one block's packed weights: the same for all blocks, the most any needs.
SPLITDSL_INLINE constexpr std::ptrdiff_t grouped_block_floats(const conv_shape& s) {
    int most = 0;
    for (int b = 0; b < blocks_of(s.out_channels); ++b) {
        const channel_range r = inputs_of_block(s, b);
        most = larger(most, r.end - r.begin);
    }
    return std::ptrdiff_t{most} * s.kernel_h * s.kernel_w * lanes;
}

inline std::size_t grouped_conv_packed_floats(const conv_shape& s) {
    return static_cast<std::size_t>(blocks_of(s.out_channels) * (lanes + grouped_block_floats(s)));
}

/// weight: (out, in / groups, kernel_h, kernel_w); scale, shift: (out) or null.
inline void pack_grouped_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_bias(s.out_channels, shift, packed);
    const int total = s.kernel_h * s.kernel_w, per_group = s.in_channels / s.groups, outs = s.out_channels / s.groups;
    const int blocks = blocks_of(s.out_channels);
    const std::ptrdiff_t size = grouped_block_floats(s);
    for (int b = 0; b < blocks; ++b) {
        float* to = packed + blocks * lanes + b * size;
        const float* const stop = to + size;
        const channel_range r = inputs_of_block(s, b);
        for (int c = r.begin; c < r.end;) {
            const int next = smaller(r.end, (c / lanes + 1) * lanes); // the tile goes through whole blocks of the input
            for (int k = 0; k < total; ++k)
                for (int i = c; i < next; ++i)
                    for (int o = b * lanes; o < (b + 1) * lanes; ++o) {
                        const int inside = o < s.out_channels ? i - o / outs * per_group : -1;
                        *to++ = inside >= 0 && inside < per_group
                                    ? scaled(weight[(static_cast<std::ptrdiff_t>(o) * per_group + inside) * total + k], scale, o)
                                    : 0.0F;
                    }
            c = next;
        }
        while (to < stop) *to++ = 0;
    }
}

inline int grouped_conv_tasks(const conv_shape& s) { return row_tasks({s.out_channels, s.out_height, s.out_width}); }

inline void grouped_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const extent result{s.out_channels, s.out_height, s.out_width};
    const int blocks = blocks_of(s.out_channels);
    const std::ptrdiff_t size = grouped_block_floats(s);
    tile_work t;
    t.in = in.at - s.pad_top * in.row - std::ptrdiff_t{s.pad_left} * lanes;
    t.in_block = in.block;
    t.over = {s.kernel_h, s.kernel_w, s.dilation_h * in.row, std::ptrdiff_t{s.dilation_w} * lanes, 0, s.kernel_w, s.kernel_h * s.kernel_w};
    t.out_block = out.block;
    t.addend_block = then.addend.block;
    t.slope = then.slope;
    t.act = clamps(then.act, t.low, t.high) ? activation::none : then.act;
    for_each_rows(result, first, last, [&](int block, int begin, int end) {
        const channel_range r = inputs_of_block(s, block);
        t.begin = r.begin, t.end = r.end;
        t.weights = packed + blocks * lanes + block * size;
        t.bias = packed + block * lanes;
        t.out = out.at + block * out.block;
        t.addend = then.addend.at ? then.addend.at + block * then.addend.block : nullptr;
        conv_pixels<1>(s, t, in, out, then.addend, begin, end);
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
