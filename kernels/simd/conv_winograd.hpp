// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_winograd.hpp
/// Winograd's minimal filtering for a convolution of stride 1, dilation 1, one group: F(2x2, 3x3), F(4x4, 3x3), F(2x2, 5x5), and F(6, 7) of a row or a column; and of stride 2,
/// kernels 5 to 8 and up to four input channels (a picture's first layer), as a convolution of stride 1 over the input's four phases.
///
/// An output tile of m x m values needs (m + 2)^2 multiplications a channel pair instead of 9 m^2: 2.25 times fewer at m = 2, four times
/// at m = 4 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). Inputs are transformed per channel, one 1x1
/// convolution runs for each of the (m + 2)^2 positions of a tile with the direct kernel's registers, and the products are transformed
/// back. Weights are transformed in double and rounded once, batch norm included. Against double: F(2x2) as good as the direct sum,
/// F(4x4) within 6e-5 of the range of a layer's sums up to 1,024 input channels (tests/unit).
///
/// A kernel of 1x7 or 7x1 is a line: six outputs of a row or a column take twelve multiplications instead of 42. A kernel of 5x5 takes the six points of F(4x4, 3x3) for tiles of
/// 2x2, 36 multiplications instead of 100. Both keep the budget of F(4x4, 3x3).
///
/// With stride 2, out(y) = sum over k of w[k] in[2 y + k] = sum over q in {0, 1} and j of w[2 j + q] in_q[y + j], where in_q[t] = in[2 t + q]: four times
/// the channels, and kernels half as long. Kernels 5 and 6 become F(4x4, 3x3), 7 and 8 F(3x3, 4x4): both have six positions a side.
///
/// Every output value is summed in one fixed order, whatever the tasks, threads or chunks.
#pragma once

#include "conv.hpp"
#include "winograd_cut.hpp"
#include "winograd_forms.hpp"

#include <type_traits>

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Bytes of tiles that neighbouring tasks of one call transform and multiply together: what a second-level cache holds, or half the weights' own bytes where
/// these come from further away each time they are used (measured on Zen 5: F(4x4) of 128 channels at 28x28 1.3 times as fast, of 512 channels 1.7 times).
#if defined(SPLITDSL_ARCH_AVX512)
inline constexpr std::ptrdiff_t winograd_tile_bytes = 1024 * 1024;
#else
inline constexpr std::ptrdiff_t winograd_tile_bytes = 512 * 1024;
#endif

/// With stride 2: tiles whose products are held in registers together, and the blocks whose products of that many tiles stay in the first-level cache until
/// they are transformed back (27 KB with 16 lanes; 18 tiles of four blocks, which the second level holds, made layers 1.06 times as slow).
inline constexpr int product_tiles = 6, product_blocks = 2;

/// A cut with everything that follows from the shape.
template <class Form>
struct winograd_frame {
    int tile_height, tile_width, across, tiles, in_blocks, out_blocks;
    SPLITDSL_INLINE constexpr explicit winograd_frame(const conv_shape& s)
        : tile_height(Form::tile_height(s)), tile_width(Form::tile_width(s)), across(divide_up(s.out_width, tile_width)), tiles(across * divide_up(s.out_height, tile_height)),
          in_blocks(Form::stride == 2 ? 16 / lanes : blocks_of(s.in_channels)), out_blocks(blocks_of(s.out_channels)) {}
    /// Floats of one task's scratch.
    SPLITDSL_INLINE constexpr std::ptrdiff_t scratch(int chunk) const {
        if constexpr (Form::stride == 2) return std::ptrdiff_t{Form::positions} * product_tiles * (divide_up(chunk, product_tiles) * in_blocks + smaller(out_blocks, product_blocks)) * lanes;
        else return std::ptrdiff_t{Form::positions} * chunk * (in_blocks + out_blocks) * lanes;
    }
};

/// The biases, then per position what pack_tiled_conv writes for a 1x1 convolution.
template <class Form>
inline std::size_t winograd_conv_packed_floats(const conv_shape& s) {
    const auto outs = static_cast<std::size_t>(blocks_of(s.out_channels)) * lanes;
    return outs + outs * static_cast<std::size_t>(Form::channels(s)) * static_cast<std::size_t>(Form::positions);
}

/// The 1x1 convolution of one position over a chunk: pixels are tiles.
template <class Form>
SPLITDSL_INLINE constexpr conv_shape winograd_product(const conv_shape& s, int chunk) { return {Form::channels(s), 1, chunk, s.out_channels, 1, chunk}; }

/// weight: (out, in, kernel_h, kernel_w); scale, shift: (out) or null.
template <class Form>
inline void pack_winograd_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    constexpr int side = Form::side, taps = Form::taps, stride = Form::stride;
    pack_bias(s.out_channels, shift, packed);
    const conv_cut cut = cut_of(winograd_product<Form>(s, 1));
    const int channels = Form::channels(s);
    const std::ptrdiff_t floats = std::ptrdiff_t{cut.blocks} * lanes * channels;
    float* const first = packed + cut.blocks * lanes;
    for (int o = 0; o < cut.blocks * lanes; ++o) {
        int group = 0;
        while (group + 1 < cut.groups && group_begin(cut, group + 1) * lanes <= o) ++group;
        const int outs = group_blocks(cut, group) * lanes, out0 = group_begin(cut, group) * lanes;
        float* const to = first + std::ptrdiff_t{out0} * channels + (o - out0);
        for (int i = 0; i < channels; ++i) {
            if constexpr (Form::is_line) {
                double line[taps]{};
                for (int k = 0; k < taps && o < s.out_channels; ++k)
                    line[k] = static_cast<double>(weight[(std::ptrdiff_t{o} * s.in_channels + i) * taps + k]) * (scale ? static_cast<double>(scale[o]) : 1.0);
                for (int p = 0; p < side; ++p) to[p * floats + std::ptrdiff_t{i} * outs] = static_cast<float>(winograd_weight<Form>(p, line));
                continue;
            }
            const int phase = i / s.in_channels, down = phase / stride, right = phase % stride; // of stride 1 there is one
            double rows[side][taps]{};
            if (o < s.out_channels) {
                const float* const w = weight + (std::ptrdiff_t{o} * s.in_channels + i % s.in_channels) * s.kernel_h * s.kernel_w;
                const double by = scale ? static_cast<double>(scale[o]) : 1.0;
                for (int c = 0; c < taps; ++c) {
                    double column[taps]{};
                    const int x = c * stride + right;
                    for (int r = 0; r < taps; ++r)
                        if (const int y = r * stride + down; y < s.kernel_h && x < s.kernel_w) column[r] = static_cast<double>(w[y * s.kernel_w + x]);
                    for (int r = 0; r < side; ++r) rows[r][c] = by * winograd_weight<Form>(r, column);
                }
            }
            for (int r = 0; r < side; ++r)
                for (int c = 0; c < side; ++c) to[(r * side + c) * floats + std::ptrdiff_t{i} * outs] = static_cast<float>(winograd_weight<Form>(c, rows[r]));
        }
    }
}

/// With stride 2: neighbouring tiles whose columns are transformed together, those that two tiles read once.
inline constexpr int phase_tiles = 9;

/// A picture's phases instead: in has up to four channels, in the first lanes of its one block; a phase takes four lanes. Pixel: floats from pixel to pixel.
/// `pitch`: tiles there is room for in scratch.
template <class Form, int Pixel>
inline void winograd_phases(const conv_shape& s, const winograd_frame<Form>& cut, const const_view& in, float* to, int begin, int count, int pitch) {
    constexpr int side = Form::side, quads = lanes / 4, most = (phase_tiles - 1) * Form::tile + side, vectors = side * 16 / lanes;
    const std::ptrdiff_t position = std::ptrdiff_t{cut.in_blocks} * pitch * lanes;
    const float nothing[4]{};
    alignas(64) float half[vectors * most * lanes]; // [block][row of the tile][column][lanes]
    const auto transform = [&]<bool Inside>(std::bool_constant<Inside>, int y, int x, float* column) {
        const float* const from = in.at + y * in.row + std::ptrdiff_t{x} * Pixel;
        for (int b = 0; b < cut.in_blocks; ++b) {
            float_lanes d[side], r[side];
#pragma GCC unroll 6
            for (int i = 0; i < side; ++i) {
                if constexpr (Inside && Pixel == 4) {
                    const float* const first = from + (2 * i + b * quads / 2) * in.row + b * quads % 2 * Pixel;
                    d[i] = plain(load_pairs(first, first + in.row));
                } else {
                    const float* at[quads];
#pragma GCC unroll 4
                    for (int q = 0; q < quads; ++q) {
                        const int phase = b * quads + q, down = 2 * i + phase / 2, right = phase % 2;
                        const bool there = Inside || (y + down >= 0 && x + right >= 0 && y + down < s.in_height && x + right < s.in_width);
                        at[q] = there ? from + down * in.row + right * Pixel : nothing;
                    }
                    d[i] = plain(load_quads(at));
                }
            }
            winograd_in<side>(d, r);
            store_steps<side>(r, column + b * side * most * lanes, most * lanes);
        }
    };
    for (int t = 0; t < count;) {
        const int across = (begin + t) % cut.across, run = smaller(phase_tiles, smaller(count - t, cut.across - across));
        const int y = (begin + t) / cut.across * Form::tile * 2 - s.pad_top, x = across * Form::tile * 2 - s.pad_left;
        const bool inside = y >= 0 && y + 2 * side <= s.in_height;
        for (int c = 0; c < (run - 1) * Form::tile + side; ++c) {
            const int at = x + 2 * c;
            if (inside && at >= 0 && at + 2 <= s.in_width) transform(std::true_type{}, y, at, half + c * lanes);
            else transform(std::false_type{}, y, at, half + c * lanes);
        }
        for (int k = 0; k < run; ++k, ++t)
            for (int b = 0; b < cut.in_blocks; ++b) {
                const float* row = half + (b * side * most + k * Form::tile) * lanes;
                float* at = to + (std::ptrdiff_t{b} * pitch + t) * lanes;
                for (int i = 0; i < side; ++i, row += most * lanes, at += side * position) {
                    float_lanes d[side], r[side];
                    load_steps<side>(row, lanes, d);
                    winograd_in<side>(d, r);
                    store_steps<side>(r, at, position);
                }
            }
    }
}

/// Transforms the tiles [begin, begin + count) into scratch [position][block][tile][lanes].
template <class Form>
inline void winograd_inputs(const conv_shape& s, const winograd_frame<Form>& cut, const const_view& in, float* to, int begin, int count) {
    constexpr int side = Form::side;
    const std::ptrdiff_t position = std::ptrdiff_t{cut.in_blocks} * count * lanes;
    for (int b = 0; b < cut.in_blocks; ++b)
        for (int t = 0; t < count; ++t) {
            const int y = (begin + t) / cut.across * Form::tile - s.pad_top, x = (begin + t) % cut.across * Form::tile - s.pad_left;
            const float* const from = in.at + b * in.block + y * in.row + std::ptrdiff_t{x} * lanes;
            float_lanes half[side][side];
            const bool inside = y >= 0 && x >= 0 && y + side <= s.in_height && x + side <= s.in_width;
#pragma GCC unroll 6
            for (int c = 0; c < side; ++c) {
                float_lanes d[side], r[side];
                if (inside) {
                    load_steps<side>(from + c * lanes, in.row, d);
                } else { // the border is zero, and what lies beyond the halo is another row's
                    const bool column = x + c >= 0 && x + c < s.in_width;
                    for (int i = 0; i < side; ++i) d[i] = plain(column && y + i >= 0 && y + i < s.in_height ? load(from + i * in.row + c * lanes) : zero());
                }
                winograd_in<side>(d, r);
#pragma GCC unroll 6
                for (int i = 0; i < side; ++i) half[i][c] = r[i];
            }
            float* at = to + (std::ptrdiff_t{b} * count + t) * lanes;
#pragma GCC unroll 6
            for (int i = 0; i < side; ++i, at += side * position) {
                float_lanes r[side];
                winograd_in<side>(half[i], r);
                store_steps<side>(r, at, position);
            }
        }
}

/// Transforms the products [position][block][tile][lanes] of the tiles [begin, begin + count) back, for `blocks` channel blocks from `first_block` on,
/// adds bias and addend, and applies the activation. `pitch`: tiles there is room for.
template <class Form>
inline void winograd_outputs(const conv_shape& s, const winograd_frame<Form>& cut, const float* from, const float* bias, const view& out, const epilogue& then,
                             int first_block, int blocks, int begin, int count, int pitch) {
    constexpr int side = Form::side, tile = Form::tile;
    const std::ptrdiff_t position = std::ptrdiff_t{blocks} * pitch * lanes;
    float least, most;
    const bool bounds_do = clamps(then.act, least, most);
    const vec low = broadcast(least), high = broadcast(most);
    for (int b = first_block; b < first_block + blocks; ++b) {
        const vec shift = load(bias + b * lanes);
        for (int t = 0; t < count; ++t) {
            const int y = (begin + t) / cut.across * tile, x = (begin + t) % cut.across * tile;
            const float* const products = from + (std::ptrdiff_t{b - first_block} * pitch + t) * lanes;
            float_lanes half[tile][side];
#pragma GCC unroll 6
            for (int c = 0; c < side; ++c) {
                float_lanes m[side], r[tile];
                load_steps<side>(products + c * position, side * position, m);
                winograd_out<Form>(m, r);
#pragma GCC unroll 4
                for (int i = 0; i < tile; ++i) half[i][c] = r[i];
            }
            const int rows = smaller(tile, s.out_height - y), columns = smaller(tile, s.out_width - x);
            float* to = out.at + b * out.block + y * out.row + std::ptrdiff_t{x} * lanes;
            if (rows == tile && columns == tile && bounds_do && !then.addend.at) {
#pragma GCC unroll 4
                for (int i = 0; i < tile; ++i, to += out.row) {
                    pin(to);
                    float_lanes r[tile];
                    winograd_out<Form>(half[i], r);
#pragma GCC unroll 4
                    for (int c = 0; c < tile; ++c) store(to + c * lanes, clamped(dressed(r[c]) + shift, low, high));
                }
                continue;
            }
            const float* add = then.addend.at ? then.addend.at + b * then.addend.block + y * then.addend.row + std::ptrdiff_t{x} * lanes : nullptr;
            for (int i = 0; i < rows; ++i, to += out.row) {
                float_lanes r[tile];
                winograd_out<Form>(half[i], r);
#pragma GCC unroll 4
                for (int c = 0; c < tile; ++c) {
                    if (c >= columns) break;
                    vec value = dressed(r[c]) + shift;
                    if (add) value = value + load(add + c * lanes);
                    store(to + c * lanes, clamped(value, low, high));
                }
                if (add) add += then.addend.row;
                if (!bounds_do) activate_span(to, columns, then.act, then.slope);
            }
        }
    }
}

/// The same two of a line's tiles.
template <class Form>
    requires(Form::is_line)
inline void winograd_inputs(const conv_shape& s, const winograd_frame<Form>& cut, const const_view& in, float* to, int begin, int count) {
    constexpr int side = Form::side;
    const bool is_column = Form::is_column(s);
    const std::ptrdiff_t position = std::ptrdiff_t{cut.in_blocks} * count * lanes, step = is_column ? in.row : lanes;
    for (int b = 0; b < cut.in_blocks; ++b)
        for (int t = 0; t < count; ++t) {
            const int y = (begin + t) / cut.across * cut.tile_height - s.pad_top, x = (begin + t) % cut.across * cut.tile_width - s.pad_left;
            const float* const from = in.at + b * in.block + y * in.row + std::ptrdiff_t{x} * lanes;
            const int along = is_column ? y : x, extent = is_column ? s.in_height : s.in_width;
            const bool beside = is_column ? x < 0 || x >= s.in_width : y < 0 || y >= s.in_height; // a kernel of one row may have rows of padding
            const int first = beside ? side : -along, end = extent - along;
            float_lanes d[side], r[side];
            if (first <= 0 && end >= side) {
                load_steps<side>(from, step, d);
            } else {
#pragma GCC unroll 12
                for (int i = 0; i < side; ++i) d[i] = plain(i >= first && i < end ? load(from + i * step) : zero());
            }
            winograd_in<side>(d, r);
            store_steps<side>(r, to + (std::ptrdiff_t{b} * count + t) * lanes, position);
        }
}
template <class Form>
    requires(Form::is_line)
inline void winograd_outputs(const conv_shape& s, const winograd_frame<Form>& cut, const float* from, const float* bias, const view& out, const epilogue& then,
                             int first_block, int blocks, int begin, int count, int pitch) {
    constexpr int side = Form::side, tile = Form::tile;
    const bool is_column = Form::is_column(s);
    const std::ptrdiff_t position = std::ptrdiff_t{blocks} * pitch * lanes, step = is_column ? out.row : lanes, add_step = is_column ? then.addend.row : lanes;
    float least, most;
    const bool bounds_do = clamps(then.act, least, most);
    const vec low = broadcast(least), high = broadcast(most);
    for (int b = first_block; b < first_block + blocks; ++b) {
        const vec shift = load(bias + b * lanes);
        for (int t = 0; t < count; ++t) {
            const int y = (begin + t) / cut.across * cut.tile_height, x = (begin + t) % cut.across * cut.tile_width;
            float_lanes m[side], r[tile];
            load_steps<side>(from + (std::ptrdiff_t{b - first_block} * pitch + t) * lanes, position, m);
            winograd_out<Form>(m, r);
            const int pixels = smaller(tile, is_column ? s.out_height - y : s.out_width - x);
            float* const to = out.at + b * out.block + y * out.row + std::ptrdiff_t{x} * lanes;
            const float* const add = then.addend.at ? then.addend.at + b * then.addend.block + y * then.addend.row + std::ptrdiff_t{x} * lanes : nullptr;
#pragma GCC unroll 6
            for (int k = 0; k < tile; ++k) {
                if (k >= pixels) break;
                vec value = dressed(r[k]) + shift;
                if (add) value = value + load(add + k * add_step);
                store(to + k * step, clamped(value, low, high));
            }
            for (int k = 0; k < pixels && !bounds_do; ++k) activate_span(to + k * step, 1, then.act, then.slope);
        }
    }
}

/// One position's products of product_tiles tiles by Outs of the Packed blocks whose weights lie together, whatever is beyond the last tile: four phases of up
/// to four channels.
template <int Outs, int Packed>
SPLITDSL_INLINE void winograd_few(int channels, const float* in, std::ptrdiff_t in_block, const float* weights, float* out) {
    vec sum[Outs][product_tiles];
#pragma GCC unroll 2
    for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 6
        for (int p = 0; p < product_tiles; ++p) sum[o][p] = zero();
    for (int phase = 0; phase < 4; ++phase) {
        const float* x = in + phase * 4 / lanes * in_block + phase * 4 % lanes;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            if (i == channels) break;
            pin(x, weights);
            vec k[Outs];
#pragma GCC unroll 2
            for (int o = 0; o < Outs; ++o) k[o] = load(weights + (i * Packed + o) * lanes);
#pragma GCC unroll 6
            for (int p = 0; p < product_tiles; ++p) {
                const vec v = broadcast(x[p * lanes + i]);
#pragma GCC unroll 2
                for (int o = 0; o < Outs; ++o) sum[o][p] = multiply_add(v, k[o], sum[o][p]);
            }
        }
        weights += channels * Packed * lanes;
    }
#pragma GCC unroll 2
    for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 6
        for (int p = 0; p < product_tiles; ++p) store(out + (o * product_tiles + p) * lanes, sum[o][p]);
}

/// All positions' products of a chunk for a group of Packed blocks, and their way back.
template <class Form, int Packed>
inline void winograd_group(const conv_shape& s, const winograd_frame<Form>& cut, const float* transformed, const float* weights, std::ptrdiff_t position, float* products,
                           const float* bias, const view& out, const epilogue& then, int block, int begin, int count, int pitch) {
    constexpr int outs = smaller(Packed, product_blocks);
    const std::ptrdiff_t tiles = std::ptrdiff_t{pitch} * lanes;
    for (int t = 0; t < count; t += product_tiles)
        for (int o = 0; o < Packed; o += outs) {
            for (int p = 0; p < Form::positions; ++p)
                winograd_few<outs, Packed>(s.in_channels, transformed + p * cut.in_blocks * tiles + std::ptrdiff_t{t} * lanes, tiles, weights + p * position + o * lanes,
                                           products + p * outs * product_tiles * lanes);
            winograd_outputs<Form>(s, cut, products, bias, out, then, block + o, outs, begin + t, smaller(product_tiles, count - t), product_tiles);
        }
}

/// The pixels of tiles [begin, begin + count), which lie row after row, → levels.
template <class Form>
SPLITDSL_INLINE void quantise_tiles(const conv_shape& s, const winograd_frame<Form>& cut, const view& out, int begin, int count, const level_planes<std::uint8_t>& to) {
    for (const int end = begin + count; begin < end;) {
        const int row = begin / cut.across, column = begin % cut.across;
        const int rows = column == 0 ? larger(1, (end - begin) / cut.across) : 1, columns = smaller(cut.across - column, end - begin);
        const int bottom = smaller(s.out_height, (row + rows) * cut.tile_height), right = smaller(s.out_width, (column + columns) * cut.tile_width);
        quantise_part(s.out_channels, out, {0, cut.out_blocks, row * cut.tile_height, bottom, column * cut.tile_width, right}, to);
        begin += column == 0 && columns == cut.across ? rows * cut.across : columns;
    }
}

/// winograd_conv of stride 1 for several frames: a group's weights of a position are used for all of them while they are in the first-level cache.
template <class Form>
[[gnu::noinline]] inline void winograd_conv_frames(const conv_shape& s, const winograd_cut& how, const frame_tensors* frames, int frame_count, const const_view& in, const view& out, const float* packed,
                                                   const epilogue& then, int first, int last) {
    static_assert(Form::stride == 1);
    const winograd_frame<Form> cut{s};
    const int channels = Form::channels(s);
    const std::ptrdiff_t weights = std::ptrdiff_t{cut.out_blocks} * lanes * channels;
    const float no_bias[widest_tile * lanes]{};
    const std::ptrdiff_t half = Form::positions * weights / 2, wanted = winograd_tile_bytes / 4 > half ? winograd_tile_bytes / 4 : half;
    const int together = larger(1, static_cast<int>(wanted / (cut.scratch(how.chunk) * frame_count)));
    for (int task = first; task < last; task += together) {
        const int most = smaller(together, last - task) * how.chunk;
        const std::ptrdiff_t own = task * cut.scratch(how.chunk), behind = std::ptrdiff_t{Form::positions} * most * cut.in_blocks * lanes;
        const int tiles_end = how.first_tile(smaller(task + together, last), cut.tiles);
        for (int begin = how.first_tile(task, cut.tiles); begin < tiles_end; begin += most) {
            const int count = smaller(most, tiles_end - begin);
            for (int f = 0; f < frame_count; ++f) winograd_inputs<Form>(s, cut, {frames[f].in, in.row, in.block}, frames[f].scratch + own, begin, count);
            const conv_shape product = winograd_product<Form>(s, count);
            const conv_cut groups = cut_of(product);
            tile_work t;
            t.in_block = t.out_block = std::ptrdiff_t{count} * lanes;
            t.begin = 0, t.end = channels;
            t.over = {1, 1, 0, 0, 0, 1, 1};
            t.bias = no_bias;
            t.addend = nullptr, t.addend_block = 0;
            t.low = -__builtin_inff(), t.high = __builtin_inff();
            t.act = activation::none, t.slope = 0;
            for (int p = 0; p < Form::positions; ++p) {
                const view to{nullptr, t.out_block, t.out_block};
                const const_view from{nullptr, t.in_block, t.in_block};
                const float* const position = packed + cut.out_blocks * lanes + p * weights;
                for (int g = 0; g < groups.groups; ++g) {
                    const int outs = group_blocks(groups, g), block = group_begin(groups, g);
                    t.weights = position + std::ptrdiff_t{block} * lanes * channels;
                    const std::ptrdiff_t lines = std::ptrdiff_t{outs} * lanes * channels / 16;
                    coming next{t.weights + lines * 16, g + 1 < groups.groups || p + 1 < Form::positions ? lines : 0};
                    for (int f = 0; f < frame_count; ++f, next = {}) {
                        float* const scratch = frames[f].scratch + own;
                        t.in = scratch + p * cut.in_blocks * t.in_block;
                        t.out = scratch + behind + (p * cut.out_blocks + block) * t.out_block;
                        if constexpr (widest_tile == 4) {
                            if (outs == 4) conv_pixels<4>(product, t, from, to, {}, 0, 1, next);
                        }
                        if constexpr (widest_tile >= 2) {
                            if (outs == 2) conv_pixels<2>(product, t, from, to, {}, 0, 1, next);
                        }
                        if (outs == 1) conv_pixels<1>(product, t, from, to, {}, 0, 1, next);
                    }
                }
            }
            for (int f = 0; f < frame_count; ++f) {
                const frame_tensors& one = frames[f];
                winograd_outputs<Form>(s, cut, one.scratch + own + behind, packed, {one.out, out.row, out.block},
                                       {then.act, then.slope, {one.addend, then.addend.row, then.addend.block}}, 0, cut.out_blocks, begin, count, count);
            }
            if (then.levels.at) quantise_tiles(s, cut, out, begin, count, then.levels); // of one frame
        }
    }
}

/// in (in_channels, in_height, in_width) → out (out_channels, out_height, out_width). `out` overlaps nothing else.
/// Reads no halo. scratch: `tasks` times winograd_frame::scratch(chunk) floats, of which every task uses its own part.
template <class Form>
inline void winograd_conv(const conv_shape& s, const winograd_cut& how, const const_view& in, const view& out, const float* packed, float* scratch, const epilogue& then, int first, int last) {
    if constexpr (Form::stride == 2) {
        const winograd_frame<Form> cut{s};
        const int channels = Form::channels(s);
        const std::ptrdiff_t weights = std::ptrdiff_t{cut.out_blocks} * lanes * channels;
        const int pitch = divide_up(how.chunk, product_tiles) * product_tiles;
        const conv_cut groups = cut_of(winograd_product<Form>(s, 1));
        for (int task = first; task < last; ++task) {
            float* const transformed = scratch + task * cut.scratch(how.chunk);
            float* const products = transformed + std::ptrdiff_t{Form::positions} * pitch * cut.in_blocks * lanes;
            const int tiles_end = how.first_tile(task + 1, cut.tiles, product_tiles);
            for (int begin = how.first_tile(task, cut.tiles, product_tiles); begin < tiles_end; begin += how.chunk) {
                const int count = smaller(how.chunk, tiles_end - begin);
                if (how.pixel == 4) winograd_phases<Form, 4>(s, cut, in, transformed, begin, count, pitch);
                else winograd_phases<Form, lanes>(s, cut, in, transformed, begin, count, pitch);
                for (int g = 0; g < groups.groups; ++g) {
                    const int outs = group_blocks(groups, g), block = group_begin(groups, g);
                    const float* const w = packed + (cut.out_blocks + std::ptrdiff_t{block} * channels) * lanes;
                    if constexpr (widest_tile == 4) {
                        if (outs == 4) winograd_group<Form, 4>(s, cut, transformed, w, weights, products, packed, out, then, block, begin, count, pitch);
                    }
                    if constexpr (widest_tile >= 2) {
                        if (outs == 2) winograd_group<Form, 2>(s, cut, transformed, w, weights, products, packed, out, then, block, begin, count, pitch);
                    }
                    if (outs == 1) winograd_group<Form, 1>(s, cut, transformed, w, weights, products, packed, out, then, block, begin, count, pitch);
                }
            }
        }
    } else {
        const frame_tensors one{in.at, out.at, then.addend.at, scratch};
        winograd_conv_frames<Form>(s, how, &one, 1, in, out, packed, then, first, last);
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
