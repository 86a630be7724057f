// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_tile.hpp
/// The inner loop of every convolution but the depthwise one: a few pixels by a few channel blocks, held in registers.
///
/// Pixels of a tile may lie anywhere (each has its own offset), so one template serves every kernel size, stride, dilation, flat or
/// narrow image, and the phases of a transposed convolution. Only what changes the registers is in its key.
/// The sum of one output value starts with its bias and runs over channel blocks, kernel rows, kernel columns, channels of the
/// block, in that order, whatever the tile: results do not depend on tiles, tasks or threads.
#pragma once

#include "activation.hpp"
#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Output channel blocks of the widest tile, and the most pixels a tile of that many blocks holds.
#if defined(__OPTIMIZE__)
inline constexpr int widest_tile = vector_registers == 32 ? 4 : 2;
#if defined(SPLITDSL_ARCH_NEON) // four channels of every pixel stay in registers beside the sums
SPLITDSL_INLINE constexpr int tile_pixels(int outs) { return outs == widest_tile ? 5 : 8; }
#else
SPLITDSL_INLINE constexpr int tile_pixels(int outs) { return outs == widest_tile ? 6 : 8; }
#endif
#else // nothing is held in registers: few tiles, for a shorter compilation
inline constexpr int widest_tile = 1;
SPLITDSL_INLINE constexpr int tile_pixels(int) { return 2; }
#endif

/// Kernel positions that a tile sums over, and where their weights lie.
struct taps {
    int rows = 0, columns = 0;                 ///< how many
    std::ptrdiff_t row_step = 0, column_step = 0; ///< floats in the input from one to the next
    int first = 0;                             ///< index of the first among a channel's packed taps
    int row_pitch = 0;                         ///< packed taps from one row to the next
    int total = 0;                             ///< packed taps of a channel
};

struct tile_work {
    const float* in;          ///< where offset 0 of channel block 0 is
    std::ptrdiff_t in_block;
    int begin, end;           ///< input channels to sum
    taps over;
    const float* weights;     ///< of channel `begin`
    const float* bias;        ///< null: go on with the partial sums in `out`
    float* out;
    std::ptrdiff_t out_block;
    const float* addend;      ///< null: none, or not the last pass
    std::ptrdiff_t addend_block;
    float low, high;          ///< bounds of the result (infinite: none)
    activation act;           ///< applied after the bounds; none if they are all, or if this is not the last pass
    float slope;
    std::ptrdiff_t in_at[8], out_at[8], addend_at[8]; ///< of each pixel
};

#if defined(SPLITDSL_ARCH_NEON)
template <int Channel, int Channels, int Outs, int Pixels>
SPLITDSL_INLINE void multiply_lanes(vec (&sum)[Outs][Pixels], const vec (&x)[Pixels], const float* w) {
    vec k[Outs];
#pragma GCC unroll 4
    for (int o = 0; o < Outs; ++o) k[o] = load(w + (Channel * Outs + o) * lanes);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) sum[o][p] = multiply_add_lane<Channel>(x[p], k[o], sum[o][p]);
    if constexpr (Channel + 1 < Channels) multiply_lanes<Channel + 1, Channels>(sum, x, w);
}
#endif

/// Sums `Channels` channels of one tap; more than one begin with a channel block.
template <int Channels, int Outs, int Pixels>
SPLITDSL_INLINE void multiply_channels(vec (&sum)[Outs][Pixels], const float*& x, const float*& w, std::ptrdiff_t (&at)[Pixels]) {
#if defined(SPLITDSL_ARCH_NEON)
    if constexpr (Channels > 1) {
        vec v[Pixels];
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) v[p] = load(x + at[p]);
        return multiply_lanes<0, Channels>(sum, v, w);
    }
#endif
#pragma GCC unroll 16
    for (int c = 0; c < Channels; ++c) {
        pin(x, w);
#if !defined(__clang__) // g++ would add c to each offset ahead of the loop; clang does not, and spills if told not to
#pragma GCC unroll 8
        for (int p = 1; p < Pixels; ++p) pin(at[p]);
#endif
        vec k[Outs];
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) k[o] = load(w + (c * Outs + o) * lanes);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) {
            const vec v = broadcast(x[at[p] + c]);
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) sum[o][p] = multiply_add(v, k[o], sum[o][p]);
        }
    }
}

template <int Outs, int Pixels>
[[gnu::noinline]] inline void conv_tile(const tile_work& t) {
    vec sum[Outs][Pixels];
    std::ptrdiff_t at[Pixels];
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) at[p] = t.in_at[p] - t.in_at[0];
    if (t.bias) {
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 8
            for (int p = 0; p < Pixels; ++p) sum[o][p] = load(t.bias + o * lanes);
    } else {
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 8
            for (int p = 0; p < Pixels; ++p) sum[o][p] = load(t.out + o * t.out_block + t.out_at[p]);
    }
    const float* base = t.in + t.in_at[0];
    const float* weights = t.weights;
    const std::ptrdiff_t row_step = t.over.row_step, column_step = t.over.column_step;
    const int rows = t.over.rows, columns = t.over.columns, end = t.end;
    int c = t.begin;
    if (t.over.total == 1 && rows == 1 && columns == 1 && c % lanes == 0) { // 1x1: no loops over taps inside the loop over blocks
        const float* x = base + (c / lanes) * t.in_block;
#pragma GCC unroll 1
        for (; end - c >= lanes; c += lanes) {
            multiply_channels<lanes>(sum, x, weights, at);
            x += t.in_block, weights += lanes * Outs * lanes;
        }
    }
    while (c < end) {
        const int lane = c % lanes, count = smaller(lanes - lane, end - c);
        const float* row = base + (c / lanes) * t.in_block + lane;
        const std::ptrdiff_t tap_floats = count * Outs * lanes;
        const float* row_weights = weights + t.over.first * tap_floats;
        for (int i = 0; i < rows; ++i) {
            const float* x = row;
            const float* w = row_weights;
            if (count == lanes) {
#pragma GCC unroll 1
                for (int j = 0; j < columns; ++j) {
                    multiply_channels<lanes>(sum, x, w, at);
                    x += column_step, w += lanes * Outs * lanes;
                }
            } else if (count == 3) { // colour images
#pragma GCC unroll 1
                for (int j = 0; j < columns; ++j) {
                    multiply_channels<3>(sum, x, w, at);
                    x += column_step, w += 3 * Outs * lanes;
                }
            } else {
#pragma GCC unroll 1
                for (int j = 0; j < columns; ++j) {
                    const float* channel = x;
#pragma GCC unroll 1
                    for (int k = 0; k < count; ++k) {
                        multiply_channels<1>(sum, channel, w, at);
                        ++channel, w += Outs * lanes;
                    }
                    x += column_step;
                }
            }
            row += row_step, row_weights += t.over.row_pitch * tap_floats;
        }
        weights += t.over.total * tap_floats;
        c += count;
    }
    float* const out = t.out;
    const std::ptrdiff_t out_block = t.out_block;
    if (t.addend) {
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 8
            for (int p = 0; p < Pixels; ++p) sum[o][p] = sum[o][p] + load(t.addend + o * t.addend_block + t.addend_at[p]);
    }
    if (t.act == activation::hard_swish) { // in registers: MobileNetV3 has it after most of its layers
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) {
            float* const to = out + t.out_at[p];
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) store(to + o * out_block, hard_swish_of(sum[o][p]));
        }
        return;
    }
    const vec low = broadcast(t.low), high = broadcast(t.high);
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
        float* const to = out + t.out_at[p];
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) store(to + o * out_block, clamped(sum[o][p], low, high));
    }
    if (t.act != activation::none) {
        for (int p = 0; p < Pixels; ++p)
            for (int o = 0; o < Outs; ++o) activate_span(out + o * out_block + t.out_at[p], 1, t.act, t.slope);
    }
}

/// One tile of Outs channel blocks and `pixels` pixels, at most tile_pixels(Outs).
template <int Outs>
SPLITDSL_INLINE void run_tile(int pixels, const tile_work& t) {
    if (pixels == 1) return conv_tile<Outs, 1>(t);
    if constexpr (tile_pixels(Outs) == 2) return conv_tile<Outs, 2>(t);
    else {
        switch (pixels) {
        case 2: return conv_tile<Outs, 2>(t);
        case 3: return conv_tile<Outs, 3>(t);
        case 4: return conv_tile<Outs, 4>(t);
        case 5: return conv_tile<Outs, 5>(t);
        default: break;
        }
        if constexpr (tile_pixels(Outs) >= 6) {
            if (pixels == 6) return conv_tile<Outs, 6>(t);
        }
        if constexpr (tile_pixels(Outs) == 8) {
            if (pixels == 7) return conv_tile<Outs, 7>(t);
            conv_tile<Outs, 8>(t);
        }
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
