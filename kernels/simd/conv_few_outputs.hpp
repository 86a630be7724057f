// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_few_outputs.hpp
/// Direct convolution to a few channels, where a block of outputs would be mostly padding: lanes are input channels, and a value's lanes
/// are summed at its end, four output channels at a time. And the choice between it and tiles of whole blocks.
///
/// The sum of one output value runs, lane by lane, over channel blocks, kernel rows and kernel columns; then over the lanes, in an order that
/// only their number decides; bias, addend and activation follow.
#pragma once

#include "conv_half_block.hpp"
#include "transpose.hpp"

#include <splitdsl/detail/few_outputs.hpp>

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Outputs of a pixel that lie in one vector with other pixels', and are summed together.
inline constexpr int quad_outputs = 4;
/// Pixels whose outputs fill a vector.
inline constexpr int quads_of_vector = lanes / quad_outputs;

/// Whether a convolution runs this way: those of detail::has_few_outputs; and those of 5 to 12 outputs and some hundred values a sum where a fifth of their blocks would be
/// padding.
SPLITDSL_INLINE constexpr bool has_few_outputs(const conv_shape& s) {
    if (detail::has_few_outputs(s.in_channels, s.out_channels)) return true;
    const bool is_short = s.in_channels * s.kernel_h * s.kernel_w < 256, fills_blocks = 5 * s.out_channels > 4 * blocks_of(s.out_channels) * lanes;
    return lanes > quad_outputs && s.in_channels % 16 == 0 && s.out_channels <= 3 * quad_outputs && !is_short && !fills_blocks;
}

/// Input channel blocks of a pass: the weights of four outputs stay in the first-level cache beside what is read of the input (16 KB).
SPLITDSL_INLINE constexpr int few_outputs_blocks(const conv_shape& s) { return larger(1, 1024 / (s.kernel_h * s.kernel_w * lanes)); }
/// Pixels whose sums go from pass to pass, and whether they do.
inline constexpr int few_outputs_carried = 32;
SPLITDSL_INLINE constexpr bool has_few_outputs_passes(const conv_shape& s) { return few_outputs_blocks(s) * lanes < s.in_channels && s.out_width <= few_outputs_carried; }

/// Pixels of a tile: their sums, the weights of a tap and one pixel share the registers.
SPLITDSL_INLINE constexpr int few_outputs_pixels(int outs) {
#if defined(__OPTIMIZE__)
    if (vector_registers == 32) return outs == 1 ? 16 : outs == 2 ? 12 : outs == 3 ? 8 : 4;
    return larger(quads_of_vector, outs == 1 ? 8 : outs == 2 ? 6 : outs == 3 ? 4 : 2);
#else
    return larger(quads_of_vector, outs);
#endif
}

/// The biases, then for each four outputs [channel block][tap][output][lanes].
inline std::size_t few_outputs_conv_packed_floats(const conv_shape& s) {
    return static_cast<std::size_t>(blocks_of(s.out_channels) * lanes) + static_cast<std::size_t>(s.out_channels) * static_cast<std::size_t>(s.in_channels * s.kernel_h * s.kernel_w);
}

/// weight: (out, in, kernel_h, kernel_w); scale, shift: (out) or null.
inline void pack_few_outputs_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_bias(s.out_channels, shift, packed);
    const int total = s.kernel_h * s.kernel_w;
    float* to = packed + blocks_of(s.out_channels) * lanes;
    for (int quad = 0; quad < s.out_channels; quad += quad_outputs)
        for (int c = 0; c < s.in_channels; c += lanes)
            for (int k = 0; k < total; ++k)
                for (int o = quad; o < smaller(s.out_channels, quad + quad_outputs); ++o)
                    for (int i = c; i < c + lanes; ++i) *to++ = scaled(weight[(static_cast<std::ptrdiff_t>(o) * s.in_channels + i) * total + k], scale, o);
}

/// Output rows of a task: a few hundred pixels, and four tasks at least.
SPLITDSL_INLINE constexpr int few_outputs_rows(const conv_shape& s) {
    return larger(1, smaller(divide_up(s.out_height, 4), (has_few_outputs_passes(s) ? few_outputs_carried : 512) / larger(1, s.out_width)));
}
inline int few_outputs_conv_tasks(const conv_shape& s) { return divide_up(s.out_height, few_outputs_rows(s)); }

/// Part of an output row.
struct few_outputs_work {
    const float* in;              ///< first tap of the first pixel
    std::ptrdiff_t in_block, in_row, tap, pixel; ///< floats from channel block to channel block, kernel row to row, column to column, pixel to pixel
    int blocks, kernel_h, kernel_w; ///< kernel rows that lie inside the input
    std::ptrdiff_t skipped;       ///< floats of a block's weights of those that do not, before and behind together
    const float* weights;
    const float* bias;
    float* out;
    bool begins_block;            ///< the rest of the block becomes zero
    const float* addend;          ///< or null
    float low, high;
    float* sums;                  ///< of one tile behind the other, from pass to pass
    bool begins, ends;            ///< whether this pass is the first, the last
};

/// Even (or odd) quads of a and b, one behind the other.
template <int Odd, class V, int... I>
SPLITDSL_INLINE V every_second_quad(const V& a, const V& b, places<I...>) {
    return __builtin_shufflevector(a, b, ((2 * (I / 4) + Odd) * 4 + I % 4)...);
}
/// The sums over the lanes of four vectors a pixel: a quad for each of quads_of_vector pixels.
SPLITDSL_INLINE vec quad_sums(const vec (&v)[quads_of_vector][quad_outputs]) {
    constexpr places_below<lanes> all{};
    const auto plain = [](const vec& x) { return reinterpret_cast<float_lanes>(static_cast<vec::register_type>(x)); };
    float_lanes pixel[quads_of_vector];
#pragma GCC unroll 4
    for (int p = 0; p < quads_of_vector; ++p) { // each quad: of the four vectors' lanes in it
        const float_lanes a = plain(v[p][0]), b = plain(v[p][1]), c = plain(v[p][2]), d = plain(v[p][3]);
        const float_lanes ab = alternate<0>(a, b, all) + alternate<2>(a, b, all), cd = alternate<0>(c, d, all) + alternate<2>(c, d, all);
        pixel[p] = picked<0>(ab, cd, all) + picked<2>(ab, cd, all);
    }
    if constexpr (quads_of_vector > 1) {
#pragma GCC unroll 2
        for (int count = quads_of_vector; count > 1; count /= 2)
#pragma GCC unroll 2
            for (int p = 0; p < count / 2; ++p) pixel[p] = every_second_quad<0>(pixel[2 * p], pixel[2 * p + 1], all) + every_second_quad<1>(pixel[2 * p], pixel[2 * p + 1], all);
    }
    return vec(reinterpret_cast<vec::register_type>(pixel[0]));
}

/// Tiles of Pixels pixels, one behind the other, of which the first `count` are stored. Stride of 0: `w.pixel` says it.
template <int Outs, int Pixels, int Stride>
[[gnu::noinline]] inline void few_outputs_tiles(const few_outputs_work& w, int tiles, int count) {
    const std::ptrdiff_t pixel = Stride > 0 ? std::ptrdiff_t{Stride} * lanes : w.pixel;
    const vec low = broadcast(w.low), high = broadcast(w.high);
    const float *in = w.in, *addend = w.addend;
    float* out = w.out;
    float* sums = w.sums;
    for (; tiles > 0; --tiles, in += Pixels * pixel, out += Pixels * lanes) {
        vec sum[Pixels][Outs];
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) sum[p][o] = w.begins ? zero() : load(sums + (p * Outs + o) * lanes);
        const float *block = in, *k = w.weights;
        for (int b = 0; b < w.blocks; ++b, block += w.in_block, k += w.skipped) {
            const float* row = block;
            for (int i = 0; i < w.kernel_h; ++i, row += w.in_row) {
                const float* x = row;
#pragma GCC unroll 1
                for (int j = 0; j < w.kernel_w; ++j, x += w.tap, k += Outs * lanes) {
                    pin(x, k);
                    vec weight[Outs];
#pragma GCC unroll 4
                    for (int o = 0; o < Outs; ++o) weight[o] = load(k + o * lanes);
#pragma GCC unroll 16
                    for (int p = 0; p < Pixels; ++p) {
                        const vec v = load(x + p * pixel);
#pragma GCC unroll 4
                        for (int o = 0; o < Outs; ++o) add_product(sum[p][o], v, weight[o]);
                    }
                }
            }
        }
        if (!w.ends) {
#pragma GCC unroll 16
            for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
                for (int o = 0; o < Outs; ++o) store(sums + (p * Outs + o) * lanes, sum[p][o]);
            sums += Pixels * Outs * lanes;
            continue;
        }
        if (!w.begins) sums += Pixels * Outs * lanes;
        float bias[static_cast<std::size_t>(lanes)];
#pragma GCC unroll 4
        for (int q = 0; q < quads_of_vector; ++q) __builtin_memcpy(bias + q * quad_outputs, w.bias, sizeof(float) * quad_outputs);
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; p += quads_of_vector) {
            vec part[quads_of_vector][quad_outputs];
#pragma GCC unroll 4
            for (int q = 0; q < quads_of_vector; ++q)
#pragma GCC unroll 4
                for (int o = 0; o < quad_outputs; ++o) part[q][o] = o < Outs ? sum[p + q][o < Outs ? o : 0] : zero();
            vec total = quad_sums(part) + load(bias);
            if (addend) {
                const float* more[static_cast<std::size_t>(quads_of_vector)];
#pragma GCC unroll 4
                for (int q = 0; q < quads_of_vector; ++q) more[q] = addend + (p + q < count ? p + q : 0) * lanes;
                total = total + load_quads(more);
            }
            float quads[static_cast<std::size_t>(lanes)];
            store(quads, clamped(total, low, high));
#pragma GCC unroll 4
            for (int q = 0; q < quads_of_vector; ++q) {
                if (p + q >= count) break;
                if (w.begins_block) store(out + (p + q) * lanes, zero());
                __builtin_memcpy(out + (p + q) * lanes, quads + q * quad_outputs, sizeof(float) * quad_outputs);
            }
        }
        if (addend) addend += Pixels * lanes;
    }
}

/// A row of the output. Its last tile may repeat pixels of the one before, with the same results. Returns the floats of its tiles' sums.
template <int Outs>
SPLITDSL_INLINE std::ptrdiff_t few_outputs_row(few_outputs_work w, int width) {
    constexpr int most = few_outputs_pixels(Outs), few = quads_of_vector;
    std::ptrdiff_t taken = 0;
    const auto from = [&](int x, int tiles, int pixels) {
        few_outputs_work rest = w;
        rest.in += x * w.pixel, rest.out += std::ptrdiff_t{x} * lanes;
        if (w.addend) rest.addend += std::ptrdiff_t{x} * lanes;
        if (!w.begins || !w.ends) rest.sums += taken;
        taken += std::ptrdiff_t{tiles} * pixels * Outs * lanes;
        return rest;
    };
    const auto large = [&](int x, int tiles) {
        if (w.pixel == lanes) few_outputs_tiles<Outs, most, 1>(from(x, tiles, most), tiles, most);
        else few_outputs_tiles<Outs, most, 2>(from(x, tiles, most), tiles, most);
    };
    int x = 0;
    if (w.pixel <= 2 * lanes && width >= most) {
        x = width / most * most;
        large(0, width / most);
        if (width - x > few) large(width - most, 1), x = width;
    }
    if (width >= few) {
        if (const int tiles = (width - x) / few; tiles > 0) few_outputs_tiles<Outs, few, 0>(from(x, tiles, few), tiles, few), x += tiles * few;
        if (x < width) few_outputs_tiles<Outs, few, 0>(from(width - few, 1, few), 1, few);
    } else {
        for (; x < width; ++x) { // pixel by pixel: a tile's others are the same one
            few_outputs_work one = from(x, 1, few);
            one.pixel = 0;
            few_outputs_tiles<Outs, few, 0>(one, 1, 1);
        }
    }
    return taken;
}

/// in (in_channels, in_height, in_width) with its halo → out (out_channels, out_height, out_width). `out` overlaps nothing else.
inline void few_outputs_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const int rows = few_outputs_rows(s), blocks = blocks_of(s.out_channels), in_blocks = s.in_channels / lanes;
    const int blocks_of_pass = has_few_outputs_passes(s) ? few_outputs_blocks(s) : in_blocks;
    float carried[few_outputs_carried * quads_of_vector * quad_outputs * lanes]; // in narrow rows each pixel has a tile
    few_outputs_work w;
    w.in_block = in.block, w.in_row = s.dilation_h * in.row;
    w.tap = std::ptrdiff_t{s.dilation_w} * lanes, w.pixel = std::ptrdiff_t{s.stride_w} * lanes;
    w.kernel_w = s.kernel_w;
    const bool bounds_do = clamps(then.act, w.low, w.high);
    for (int task = first; task < last; ++task) {
        const int begin = task * rows, end = smaller(s.out_height, begin + rows);
        const float* weights = packed + blocks * lanes;
        for (int quad = 0; quad < s.out_channels; quad += quad_outputs) {
            const int outs = smaller(quad_outputs, s.out_channels - quad), block = quad / lanes, lane = quad % lanes;
            const std::ptrdiff_t row_floats = std::ptrdiff_t{s.kernel_w} * outs * lanes;
            w.bias = packed + quad;
            w.begins_block = lane == 0;
            for (int from = 0; from < in_blocks; from += w.blocks) {
                w.blocks = smaller(blocks_of_pass, in_blocks - from);
                w.begins = from == 0, w.ends = from + w.blocks == in_blocks;
                w.sums = carried;
                for (int y = begin; y < end; ++y) {
                    const kernel_rows inside = rows_inside(s, y);
                    w.kernel_h = inside.end - inside.begin;
                    w.skipped = (s.kernel_h - w.kernel_h) * row_floats;
                    w.weights = weights + inside.begin * row_floats;
                    w.in = in.at + from * in.block + (std::ptrdiff_t{y} * s.stride_h - s.pad_top + inside.begin * s.dilation_h) * in.row - std::ptrdiff_t{s.pad_left} * lanes;
                    w.out = out.at + block * out.block + y * out.row + lane;
                    w.addend = then.addend.at ? then.addend.at + block * then.addend.block + y * then.addend.row + lane : nullptr;
                    std::ptrdiff_t taken = 0;
                    switch (outs) {
                    case 1: taken = few_outputs_row<1>(w, s.out_width); break;
                    case 2: taken = few_outputs_row<2>(w, s.out_width); break;
                    case 3: taken = few_outputs_row<3>(w, s.out_width); break;
                    default: taken = few_outputs_row<4>(w, s.out_width);
                    }
                    if (blocks_of_pass < in_blocks) w.sums += taken;
                }
                weights += row_floats * s.kernel_h * w.blocks;
            }
        }
        for (int b = 0; b < blocks && !bounds_do; ++b)
            for (int y = begin; y < end; ++y) activate_span(out.at + b * out.block + y * out.row, s.out_width, then.act, then.slope);
        if (then.levels.at) quantise_part(s.out_channels, out, {0, blocks, begin, end, 0, s.out_width}, then.levels);
    }
}

inline std::size_t direct_conv_packed_floats(const conv_shape& s) {
    return has_few_outputs(s) ? few_outputs_conv_packed_floats(s) : has_half_block(s) ? half_block_conv_packed_floats(s) : tiled_conv_packed_floats(s);
}
inline int direct_conv_tasks(const conv_shape& s) { return has_few_outputs(s) ? few_outputs_conv_tasks(s) : has_half_block(s) ? half_block_conv_tasks(s) : tiled_conv_tasks(s); }
/// weight: (out, in, kernel_h, kernel_w); scale, shift: (out) or null.
inline void pack_direct_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    if (has_few_outputs(s)) pack_few_outputs_conv(s, weight, scale, shift, packed);
    else if (has_half_block(s)) pack_half_block_conv(s, weight, scale, shift, packed);
    else pack_tiled_conv(s, weight, scale, shift, packed);
}
/// in (in_channels, in_height, in_width) with its halo → out (out_channels, out_height, out_width). `out` overlaps nothing else.
inline void direct_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    if (has_few_outputs(s)) few_outputs_conv(s, in, out, packed, then, first, last);
    else if (has_half_block(s)) half_block_conv(s, in, out, packed, then, first, last);
    else tiled_conv(s, in, out, packed, then, first, last);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
