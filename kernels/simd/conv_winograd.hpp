// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_winograd.hpp
/// Winograd's minimal filtering F(2x2, 3x3) and F(4x4, 3x3) for a convolution of kernel 3, stride 1, dilation 1, one group.
///
/// An output tile of m x m values needs (m + 2)^2 multiplications a channel pair instead of 9 m^2: 2.25 times fewer at m = 2, four times
/// at m = 4 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). Inputs are transformed per channel, one 1x1
/// convolution runs for each of the (m + 2)^2 positions of a tile with the direct kernel's registers, and the products are transformed
/// back. Weights are transformed in double and rounded once, batch norm included. Against double: F(2x2) as good as the direct sum,
/// F(4x4) within 6e-5 of the output's range up to 1,024 input channels (tests/unit).
///
/// Every output value is summed in one fixed order, whatever the tasks, threads or chunks.
#pragma once

#include "conv.hpp"
#include "winograd_cut.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// A cut with everything that follows from the shape.
template <int Tile>
struct winograd_frame {
    static constexpr int side = Tile + 2, positions = side * side;
    int across, tiles, in_blocks, out_blocks;
    SPLITDSL_INLINE constexpr explicit winograd_frame(const conv_shape& s)
        : across(divide_up(s.out_width, Tile)), tiles(across * divide_up(s.out_height, Tile)), in_blocks(blocks_of(s.in_channels)), out_blocks(blocks_of(s.out_channels)) {}
    /// Floats of one task's scratch.
    SPLITDSL_INLINE constexpr std::ptrdiff_t scratch(int chunk) const { return std::ptrdiff_t{positions} * chunk * (in_blocks + out_blocks) * lanes; }
};

/// The biases, then per position what pack_direct_conv writes for a 1x1 convolution.
template <int Tile>
inline std::size_t winograd_conv_packed_floats(const conv_shape& s) {
    const auto outs = static_cast<std::size_t>(blocks_of(s.out_channels)) * lanes;
    return outs + outs * static_cast<std::size_t>(s.in_channels) * static_cast<std::size_t>(winograd_frame<Tile>::positions);
}

/// The 1x1 convolution of one position over a chunk: pixels are tiles.
SPLITDSL_INLINE constexpr conv_shape winograd_product(const conv_shape& s, int chunk) { return {s.in_channels, 1, chunk, s.out_channels, 1, chunk}; }

/// Row i of G, the transform of a kernel's row or column.
template <int Tile>
SPLITDSL_INLINE double winograd_weight(int i, double a, double b, double c) {
    if constexpr (Tile == 2) {
        if (i == 0) return a;
        if (i == 3) return c;
        return i == 1 ? (a + b + c) / 2 : (a - b + c) / 2;
    } else {
        switch (i) {
        case 0: return a / 4;
        case 1: return -(a + b + c) / 6;
        case 2: return -(a - b + c) / 6;
        case 3: return (a + 2 * b + 4 * c) / 24;
        case 4: return (a - 2 * b + 4 * c) / 24;
        default: return c;
        }
    }
}

/// weight: (out, in, 3, 3); scale, shift: (out) or null.
template <int Tile>
inline void pack_winograd_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    constexpr int side = Tile + 2;
    pack_bias(s.out_channels, shift, packed);
    const conv_cut cut = cut_of(winograd_product(s, 1));
    const std::ptrdiff_t floats = std::ptrdiff_t{cut.blocks} * lanes * s.in_channels;
    float* const first = packed + cut.blocks * lanes;
    for (int o = 0; o < cut.blocks * lanes; ++o) {
        int group = 0;
        while (group + 1 < cut.groups && group_begin(cut, group + 1) * lanes <= o) ++group;
        const int outs = group_blocks(cut, group) * lanes, out0 = group_begin(cut, group) * lanes;
        float* const to = first + std::ptrdiff_t{out0} * s.in_channels + (o - out0);
        for (int i = 0; i < s.in_channels; ++i) {
            double rows[side][3]{};
            if (o < s.out_channels) {
                const float* w = weight + (std::ptrdiff_t{o} * s.in_channels + i) * 9;
                const double by = scale ? static_cast<double>(scale[o]) : 1.0;
                for (int r = 0; r < side; ++r)
                    for (int c = 0; c < 3; ++c)
                        rows[r][c] = by * winograd_weight<Tile>(r, static_cast<double>(w[c]), static_cast<double>(w[3 + c]), static_cast<double>(w[6 + c]));
            }
            for (int r = 0; r < side; ++r)
                for (int c = 0; c < side; ++c)
                    to[(r * side + c) * floats + std::ptrdiff_t{i} * outs] = static_cast<float>(winograd_weight<Tile>(c, rows[r][0], rows[r][1], rows[r][2]));
        }
    }
}

/// B^T d, for a row or a column of a tile's input.
template <int Tile>
SPLITDSL_INLINE void winograd_in(const vec (&d)[Tile + 2], vec (&to)[Tile + 2]) {
    if constexpr (Tile == 2) {
        to[0] = d[0] - d[2];
        to[1] = d[1] + d[2];
        to[2] = d[2] - d[1];
        to[3] = d[1] - d[3];
    } else {
        const vec four = broadcast(4.0F), five = broadcast(5.0F), two = broadcast(2.0F);
        const vec a = d[4] - four * d[2], b = d[3] - four * d[1], c = d[4] - d[2], e = two * (d[3] - d[1]);
        to[0] = multiply_add(four, d[0], d[4] - five * d[2]);
        to[1] = a + b;
        to[2] = a - b;
        to[3] = c + e;
        to[4] = c - e;
        to[5] = multiply_add(four, d[1], d[5] - five * d[3]);
    }
}

/// A^T m, for a row or a column of a tile's products.
template <int Tile>
SPLITDSL_INLINE void winograd_out(const vec (&m)[Tile + 2], vec (&to)[Tile]) {
    if constexpr (Tile == 2) {
        to[0] = m[0] + m[1] + m[2];
        to[1] = m[1] - m[2] - m[3];
    } else {
        const vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], e = m[3] - m[4];
        to[0] = m[0] + a + c;
        to[1] = multiply_add(broadcast(2.0F), e, b);
        to[2] = multiply_add(broadcast(4.0F), c, a);
        to[3] = multiply_add(broadcast(8.0F), e, b) + m[5];
    }
}

/// Transforms the tiles [begin, begin + count) into scratch [position][block][tile][lanes].
template <int Tile>
inline void winograd_inputs(const conv_shape& s, const winograd_frame<Tile>& cut, const const_view& in, float* to, int begin, int count) {
    constexpr int side = Tile + 2;
    const std::ptrdiff_t position = std::ptrdiff_t{cut.in_blocks} * count * lanes;
    for (int b = 0; b < cut.in_blocks; ++b)
        for (int t = 0; t < count; ++t) {
            const int y = (begin + t) / cut.across * Tile - s.pad_top, x = (begin + t) % cut.across * Tile - s.pad_left;
            const float* const from = in.at + b * in.block + y * in.row + std::ptrdiff_t{x} * lanes;
            vec half[side][side];
            const bool inside = y >= 0 && x >= 0 && y + side <= s.in_height && x + side <= s.in_width;
            for (int c = 0; c < side; ++c) {
                vec d[side], r[side];
                if (inside) {
#pragma GCC unroll 6
                    for (int i = 0; i < side; ++i) d[i] = load(from + i * in.row + c * lanes);
                } else { // the border is zero, and what lies beyond the halo is another row's
                    const bool column = x + c >= 0 && x + c < s.in_width;
                    for (int i = 0; i < side; ++i) d[i] = column && y + i >= 0 && y + i < s.in_height ? load(from + i * in.row + c * lanes) : zero();
                }
                winograd_in<Tile>(d, r);
#pragma GCC unroll 6
                for (int i = 0; i < side; ++i) half[i][c] = r[i];
            }
            float* const out = to + (std::ptrdiff_t{b} * count + t) * lanes;
            for (int i = 0; i < side; ++i) {
                vec r[side];
                winograd_in<Tile>(half[i], r);
#pragma GCC unroll 6
                for (int c = 0; c < side; ++c) store(out + (i * side + c) * position, r[c]);
            }
        }
}

/// Transforms the products of the tiles [begin, begin + count) back, adds bias and addend, and applies the activation.
template <int Tile>
inline void winograd_outputs(const conv_shape& s, const winograd_frame<Tile>& cut, const float* from, const float* bias, const view& out, const epilogue& then, int begin, int count) {
    constexpr int side = Tile + 2;
    const std::ptrdiff_t position = std::ptrdiff_t{cut.out_blocks} * count * lanes;
    float least, most;
    const bool bounds_do = clamps(then.act, least, most);
    const vec low = broadcast(least), high = broadcast(most);
    for (int b = 0; b < cut.out_blocks; ++b) {
        const vec shift = load(bias + b * lanes);
        for (int t = 0; t < count; ++t) {
            const int y = (begin + t) / cut.across * Tile, x = (begin + t) % cut.across * Tile;
            const float* const products = from + (std::ptrdiff_t{b} * count + t) * lanes;
            vec half[Tile][side];
            for (int c = 0; c < side; ++c) {
                vec m[side], r[Tile];
#pragma GCC unroll 6
                for (int i = 0; i < side; ++i) m[i] = load(products + (i * side + c) * position);
                winograd_out<Tile>(m, r);
#pragma GCC unroll 4
                for (int i = 0; i < Tile; ++i) half[i][c] = r[i];
            }
            const int rows = smaller(Tile, s.out_height - y), columns = smaller(Tile, s.out_width - x);
            for (int i = 0; i < rows; ++i) {
                vec r[Tile];
                winograd_out<Tile>(half[i], r);
                float* const to = out.at + b * out.block + (y + i) * out.row + std::ptrdiff_t{x} * lanes;
                const float* const add = then.addend.at ? then.addend.at + b * then.addend.block + (y + i) * then.addend.row + std::ptrdiff_t{x} * lanes : nullptr;
#pragma GCC unroll 4
                for (int c = 0; c < Tile; ++c) {
                    if (c >= columns) break;
                    vec value = r[c] + shift;
                    if (add) value = value + load(add + c * lanes);
                    store(to + c * lanes, clamped(value, low, high));
                }
                if (!bounds_do) activate_span(to, columns, then.act, then.slope);
            }
        }
    }
}

/// in (in_channels, in_height, in_width) → out (out_channels, out_height, out_width). `out` overlaps nothing else.
/// Reads no halo. scratch: `tasks` times winograd_frame::scratch(chunk) floats, of which every task uses its own part.
template <int Tile>
inline void winograd_conv(const conv_shape& s, const winograd_cut& how, const const_view& in, const view& out, const float* packed, float* scratch, const epilogue& then, int first, int last) {
    const winograd_frame<Tile> cut{s};
    const float no_bias[widest_tile * lanes]{};
    const std::ptrdiff_t weights = std::ptrdiff_t{cut.out_blocks} * lanes * s.in_channels;
    for (int task = first; task < last; ++task) {
        float* const transformed = scratch + task * cut.scratch(how.chunk);
        float* const products = transformed + std::ptrdiff_t{cut.positions} * how.chunk * cut.in_blocks * lanes;
        for (int begin = task * how.chunk; begin < cut.tiles; begin += how.tasks * how.chunk) {
            const int count = smaller(how.chunk, cut.tiles - begin);
            winograd_inputs<Tile>(s, cut, in, transformed, begin, count);
            const conv_shape product = winograd_product(s, count);
            const conv_cut groups = cut_of(product);
            tile_work t;
            t.in_block = t.out_block = std::ptrdiff_t{count} * lanes;
            t.begin = 0, t.end = s.in_channels;
            t.over = {1, 1, 0, 0, 0, 1, 1};
            t.bias = no_bias;
            t.addend = nullptr, t.addend_block = 0;
            t.low = -__builtin_inff(), t.high = __builtin_inff();
            t.act = activation::none, t.slope = 0;
            for (int p = 0; p < cut.positions; ++p) {
                t.in = transformed + p * cut.in_blocks * t.in_block;
                const view to{products + p * cut.out_blocks * t.out_block, t.out_block, t.out_block};
                const const_view from{t.in, t.in_block, t.in_block};
                const float* const position = packed + cut.out_blocks * lanes + p * weights;
                for (int g = 0; g < groups.groups; ++g) {
                    const int outs = group_blocks(groups, g), block = group_begin(groups, g);
                    t.out = to.at + block * t.out_block;
                    t.weights = position + std::ptrdiff_t{block} * lanes * s.in_channels;
                    const std::ptrdiff_t lines = std::ptrdiff_t{outs} * lanes * s.in_channels / 16;
                    const coming next{t.weights + lines * 16, g + 1 < groups.groups || p + 1 < cut.positions ? lines : 0};
                    if constexpr (widest_tile == 4) {
                        if (outs == 4) conv_pixels<4>(product, t, from, to, {}, 0, 1, next);
                    }
                    if constexpr (widest_tile >= 2) {
                        if (outs == 2) conv_pixels<2>(product, t, from, to, {}, 0, 1, next);
                    }
                    if (outs == 1) conv_pixels<1>(product, t, from, to, {}, 0, 1, next);
                }
            }
            winograd_outputs<Tile>(s, cut, products, packed, out, then, begin, count);
        }
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
