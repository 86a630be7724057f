// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_half_block.hpp
/// Direct 1x1 convolution whose output channels fill one or two blocks and half of another: 24 and 40 in MobileNets, with AVX-512. Two pixels' last channels lie in the
/// halves of one vector, so that nothing multiplies padding.
///
/// The sum of one output value runs as in conv_tile.hpp (bias, then channels in order), so every bit is the same.
#pragma once

#include "conv.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Pixels of a tile: their sums share the registers with a channel's weights and two pixels.
SPLITDSL_INLINE constexpr int half_block_pixels(int whole_blocks) { return whole_blocks == 1 ? 14 : 8; }

/// Whether a convolution runs this way. Narrower rows and images would be tiles that repeat most of their pixels.
SPLITDSL_INLINE constexpr bool has_half_block(const conv_shape& s) {
#if defined(SPLITDSL_ARCH_AVX512) && defined(__OPTIMIZE__)
    const bool is_plain = s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top <= 0 && s.pad_left == 0;
    return is_plain && s.out_width >= half_block_pixels(1) && s.in_channels >= 16 && s.out_channels > lanes && s.out_channels < 3 * lanes && s.out_channels % lanes > 0
        && s.out_channels % lanes <= lanes / 2;
#else
    (void)s;
    return false;
#endif
}

#if defined(SPLITDSL_ARCH_AVX512) && defined(__OPTIMIZE__)

/// The biases, then [channel][whole blocks, and the half block twice].
inline std::size_t half_block_conv_packed_floats(const conv_shape& s) {
    return static_cast<std::size_t>(blocks_of(s.out_channels)) * lanes * static_cast<std::size_t>(1 + s.in_channels);
}

/// weight: (out, in); scale, shift: (out) or null.
inline void pack_half_block_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    const int blocks = blocks_of(s.out_channels), half = (blocks - 1) * lanes;
    pack_bias(s.out_channels, shift, packed);
    for (int l = 0; l < lanes / 2; ++l) packed[half + lanes / 2 + l] = packed[half + l];
    float* to = packed + blocks * lanes;
    for (int c = 0; c < s.in_channels; ++c)
        for (int l = 0; l < blocks * lanes; ++l) {
            const int o = l < half + lanes / 2 ? l : l - lanes / 2;
            *to++ = o < s.out_channels ? scaled(weight[static_cast<std::ptrdiff_t>(o) * s.in_channels + c], scale, o) : 0.0F;
        }
}

/// Output rows of a task.
SPLITDSL_INLINE constexpr int half_block_rows(const conv_shape& s) { return larger(1, divide_up(s.out_height, tasks_per_conv)); }
inline int half_block_conv_tasks(const conv_shape& s) { return divide_up(s.out_height, half_block_rows(s)); }

/// Pixels that lie one behind the other.
struct half_block_work : tile_results {
    const float* in;
    std::ptrdiff_t in_block;
    int channels;
    const float* weights;
};

/// The first half of a and the second of b.
SPLITDSL_INLINE vec halves(const vec& a, const vec& b) { return vec(_mm512_mask_mov_ps(a, static_cast<__mmask16>(0xff00), b)); }
/// Both halves of a vector, each with zeros behind it.
SPLITDSL_INLINE vec first_half(const vec& v) { return vec(_mm512_maskz_mov_ps(static_cast<__mmask16>(0x00ff), v)); }
SPLITDSL_INLINE vec second_half(const vec& v) { return vec(_mm512_maskz_shuffle_f32x4(static_cast<__mmask16>(0x00ff), v, v, 0xee)); }
/// The first halves of what lies at a and b.
SPLITDSL_INLINE vec load_halves(const float* a, const float* b) { return halves(load(a), load(b - lanes / 2)); }

/// Adds `Channels` channels' products to the sums of Pairs pairs of pixels.
template <int Channels, int Whole, int Pairs>
SPLITDSL_INLINE void multiply_pairs(vec (&sum)[Whole][2 * Pairs], vec (&half)[Pairs], const float*& x, const float*& w) {
#pragma GCC unroll 16
    for (int c = 0; c < Channels; ++c) {
        pin(x, w);
        vec k[Whole];
#pragma GCC unroll 2
        for (int o = 0; o < Whole; ++o) k[o] = load(w + (c * (Whole + 1) + o) * lanes);
        const vec last = load(w + (c * (Whole + 1) + Whole) * lanes);
#pragma GCC unroll 7
        for (int p = 0; p < Pairs; ++p) {
            const vec a = broadcast(x[2 * p * lanes + c]), b = broadcast(x[(2 * p + 1) * lanes + c]);
#pragma GCC unroll 2
            for (int o = 0; o < Whole; ++o) add_product(sum[o][2 * p], a, k[o]), add_product(sum[o][2 * p + 1], b, k[o]);
            add_product(half[p], halves(a, b), last);
        }
    }
}

SPLITDSL_INLINE vec half_block_end(const vec& x, const half_block_work& t) { return t.swishes ? hard_swish_of(x) : clamped(x, broadcast(t.low), broadcast(t.high)); }

/// The tile from pixel x on.
template <int Whole, int Pairs>
[[gnu::noinline]] inline void half_block_tile(const half_block_work& t, std::ptrdiff_t x) {
    vec sum[Whole][2 * Pairs], half[Pairs];
#pragma GCC unroll 2
    for (int o = 0; o < Whole; ++o)
#pragma GCC unroll 14
        for (int p = 0; p < 2 * Pairs; ++p) sum[o][p] = load(t.bias + o * lanes);
#pragma GCC unroll 7
    for (int p = 0; p < Pairs; ++p) half[p] = load(t.bias + Whole * lanes);
    const float *in = t.in + x * lanes, *w = t.weights;
    const std::ptrdiff_t in_block = t.in_block;
    int channels = t.channels;
#pragma GCC unroll 1
    for (; channels >= lanes; channels -= lanes) {
#pragma GCC unroll 14
        for (int p = 2 * Pairs; p < 4 * Pairs; ++p) __builtin_prefetch(in + p * lanes); // the next tile: maps of 56x56 and more do not fit the second-level cache
        multiply_pairs<lanes, Whole, Pairs>(sum, half, in, w);
        in += in_block, w += lanes * (Whole + 1) * lanes;
    }
#pragma GCC unroll 1
    for (; channels >= 4; channels -= 4) {
        multiply_pairs<4, Whole, Pairs>(sum, half, in, w);
        in += 4, w += 4 * (Whole + 1) * lanes;
    }
#pragma GCC unroll 1
    for (; channels > 0; --channels) {
        multiply_pairs<1, Whole, Pairs>(sum, half, in, w);
        ++in, w += (Whole + 1) * lanes;
    }
    float* const out = t.out + x * lanes;
    const std::ptrdiff_t out_block = t.out_block;
    if (t.addend) {
        const float* const addend = t.addend + x * lanes;
#pragma GCC unroll 2
        for (int o = 0; o < Whole; ++o)
#pragma GCC unroll 14
            for (int p = 0; p < 2 * Pairs; ++p) sum[o][p] = sum[o][p] + load(addend + o * t.addend_block + p * lanes);
#pragma GCC unroll 7
        for (int p = 0; p < Pairs; ++p) half[p] = half[p] + load_halves(addend + Whole * t.addend_block + 2 * p * lanes, addend + Whole * t.addend_block + (2 * p + 1) * lanes);
    }
#pragma GCC unroll 14
    for (int p = 0; p < 2 * Pairs; ++p)
#pragma GCC unroll 2
        for (int o = 0; o < Whole; ++o) store(out + o * out_block + p * lanes, half_block_end(sum[o][p], t));
#pragma GCC unroll 7
    for (int p = 0; p < Pairs; ++p) {
        const vec both = half_block_end(half[p], t);
        store(out + Whole * out_block + 2 * p * lanes, first_half(both));
        store(out + Whole * out_block + (2 * p + 1) * lanes, second_half(both));
    }
}

/// Pixels [0, count), a tile's at least: the last tile may repeat pixels of the one before, with the same results.
template <int Whole>
SPLITDSL_INLINE void half_block_run(const half_block_work& t, int count) {
    constexpr int most = half_block_pixels(Whole);
    for (int x = 0; x < count; x += most) half_block_tile<Whole, most / 2>(t, smaller(x, count - most));
}

/// in (in_channels, height, width) → out (out_channels, height, width). `out` overlaps nothing else.
inline void half_block_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const int blocks = blocks_of(s.out_channels), begin = first * half_block_rows(s), end = smaller(s.out_height, last * half_block_rows(s));
    const std::ptrdiff_t row = std::ptrdiff_t{s.out_width} * lanes;
    const bool gapless = in.row == row && out.row == row && (!then.addend.at || then.addend.row == row);
    half_block_work t;
    t.in_block = in.block;
    t.channels = s.in_channels;
    t.bias = packed, t.weights = packed + blocks * lanes;
    const bool act_done = t.begin(out, then);
    for (int y = begin; y < end;) {
        const int rows = gapless ? end - y : 1;
        t.in = in.at + (y - s.pad_top) * in.row;
        t.place(out, then, 0, y);
        if (blocks == 2) half_block_run<1>(t, rows * s.out_width);
        else half_block_run<2>(t, rows * s.out_width);
        if (!act_done)
            for (int b = 0; b < blocks; ++b) activate_span(t.out + b * out.block, rows * s.out_width, then.act, then.slope);
        y += rows;
    }
    if (then.levels.at) quantise_part(s.out_channels, out, {0, blocks, begin, end, 0, s.out_width}, then.levels);
}

#else

inline std::size_t half_block_conv_packed_floats(const conv_shape&) { return 0; }
inline void pack_half_block_conv(const conv_shape&, const float*, const float*, const float*, float*) {}
inline int half_block_conv_tasks(const conv_shape&) { return 0; }
inline void half_block_conv(const conv_shape&, const const_view&, const view&, const float*, const epilogue&, int, int) {}

#endif

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
