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

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Output channel blocks of the widest tile, and the most pixels a tile of that many blocks holds.
#if defined(__OPTIMIZE__)
inline constexpr bool has_row_tiles = true; ///< tiles for what most pictures are cut into
inline constexpr int widest_tile = vector_registers == 32 ? 4 : 2;
#if defined(SPLITDSL_ARCH_NEON) // four channels of every pixel stay in registers beside the sums
SPLITDSL_INLINE constexpr int tile_pixels(int outs) { return outs == widest_tile ? 5 : 8; }
#else
SPLITDSL_INLINE constexpr int tile_pixels(int outs) { return outs == widest_tile ? 6 : 8; }
#endif
/// Of a tile whose pixels lie in a row, where distances take no registers: a single block's weights then serve more multiply-adds.
SPLITDSL_INLINE constexpr int row_pixels(int outs) { return outs == 1 && lanes == 16 ? 14 : tile_pixels(outs); }
#else // nothing is held in registers: few tiles, for a shorter compilation
inline constexpr bool has_row_tiles = false;
inline constexpr int widest_tile = 1;
SPLITDSL_INLINE constexpr int tile_pixels(int) { return 2; }
SPLITDSL_INLINE constexpr int row_pixels(int outs) { return tile_pixels(outs); }
#endif
inline constexpr int most_pixels_of_a_tile = 14;

/// Weights of the next pass are brought a few at each tap, not all of a tile's share at its start: the hundreds of lines of AVX-512's passes would keep the tile's
/// own loads waiting (layers of 7x7 pixels: 1.1 times as fast).
inline constexpr bool brings_by_tap = lanes == 16;

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
    std::ptrdiff_t in_at[most_pixels_of_a_tile], out_at[most_pixels_of_a_tile], addend_at[most_pixels_of_a_tile]; ///< of each pixel
    std::ptrdiff_t in_pixel;  ///< from pixel to pixel, in a run of several tiles
    bool at_left = false, at_right = false; ///< whether the first tile's first and the last tile's last pixel are a row's: an outer column of theirs is zeros
};

#if defined(SPLITDSL_ARCH_NEON)
template <int Channel, int Channels, int Outs, int Pixels>
SPLITDSL_INLINE void multiply_lanes(vec (&sum)[Outs][Pixels], const vec (&x)[Pixels], const float* w) {
    vec k[Outs];
#pragma GCC unroll 4
    for (int o = 0; o < Outs; ++o) k[o] = load(w + (Channel * Outs + o) * lanes);
#pragma GCC unroll 14
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) sum[o][p] = multiply_add_lane<Channel>(x[p], k[o], sum[o][p]);
    if constexpr (Channel + 1 < Channels) multiply_lanes<Channel + 1, Channels>(sum, x, w);
}
#endif

/// Where a tile's pixels lie: anywhere, each with its own offset; or one behind the other in a row, or every second one, so that the instructions hold the
/// distances. Without loops over taps for kernels of one tap: then nothing but that one loop shares the registers with the sums.
enum class tile_form { anywhere, in_row, in_row_1x1, in_row_second };

/// A pixel's place in the input, in floats from the first one's.
template <int Pixels, tile_form Form>
struct pixel_places {
    static constexpr std::ptrdiff_t step = Form == tile_form::in_row_second ? 2 * lanes : lanes;
    SPLITDSL_INLINE std::ptrdiff_t operator[](int p) const { return p * step; }
    SPLITDSL_INLINE void keep() {}
};
template <int Pixels>
struct pixel_places<Pixels, tile_form::anywhere> {
    std::ptrdiff_t at[Pixels];
    SPLITDSL_INLINE std::ptrdiff_t operator[](int p) const { return at[p]; }
    SPLITDSL_INLINE void keep() {
#if !defined(__clang__) // g++ would add a channel to each offset ahead of the loop; clang does not, and spills if told not to
#pragma GCC unroll 14
        for (int p = 1; p < Pixels; ++p) pin(at[p]);
#endif
    }
};

/// Sums `Channels` channels of one tap, for pixels [First, Last); more than one channel begin with a channel block.
template <int Channels, int First, int Last, int Outs, int Pixels, tile_form Form>
SPLITDSL_INLINE void multiply_pixels(vec (&sum)[Outs][Pixels], const float*& x, const float*& w, pixel_places<Pixels, Form>& at) {
#if defined(SPLITDSL_ARCH_NEON)
    static_assert(First == 0 && Last == Pixels);
    if constexpr (Channels > 1) {
        vec v[Pixels];
#pragma GCC unroll 14
        for (int p = 0; p < Pixels; ++p) v[p] = load(x + at[p]);
        return multiply_lanes<0, Channels>(sum, v, w);
    }
#endif
#pragma GCC unroll 16
    for (int c = 0; c < Channels; ++c) {
        pin(x, w);
        at.keep();
        vec k[Outs];
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) k[o] = load(w + (c * Outs + o) * lanes);
#pragma GCC unroll 14
        for (int p = First; p < Last; ++p) {
            const vec v = broadcast(x[at[p] + c]);
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) add_product(sum[o][p], v, k[o]);
        }
    }
}
/// The same for all pixels.
template <int Channels, int Outs, int Pixels, tile_form Form>
SPLITDSL_INLINE void multiply_channels(vec (&sum)[Outs][Pixels], const float*& x, const float*& w, pixel_places<Pixels, Form>& at) {
    multiply_pixels<Channels, 0, Pixels>(sum, x, w, at);
}

/// Where a block of channels that is not whole is worth more code: most networks' channels are multiples of eight.
inline constexpr bool sums_fours = lanes == 16;

/// The channels of a block that is not whole, one tap.
template <int Outs, int Pixels, tile_form Form>
SPLITDSL_INLINE void multiply_rest(vec (&sum)[Outs][Pixels], const float* x, const float* w, int count, pixel_places<Pixels, Form>& at) {
    if constexpr (sums_fours) {
#pragma GCC unroll 1
        for (; count >= 4; count -= 4) {
            multiply_channels<4>(sum, x, w, at);
            x += 4, w += 4 * Outs * lanes;
        }
    }
#pragma GCC unroll 1
    for (; count > 0; --count) {
        multiply_channels<1>(sum, x, w, at);
        ++x, w += Outs * lanes;
    }
}

/// Weights to bring towards the processor while others are in use.
struct coming {
    const float* at = nullptr;
    std::ptrdiff_t lines = 0; ///< of 64 bytes
    std::ptrdiff_t lines_per_tile = 0, lines_per_tap = 0; ///< a tap of one channel block
    weights_ahead then{};     ///< behind them, where these are brought by tap
    SPLITDSL_INLINE std::ptrdiff_t all() const { return lines + then.lines; }
    SPLITDSL_INLINE void bring(std::ptrdiff_t most) {
        if constexpr (brings_by_tap) {
            if (lines == 0) at = then.at, lines = then.lines, then.lines = 0;
        }
        for (std::ptrdiff_t i = smaller_distance(most, lines); i > 0; --i, --lines, at += 16) __builtin_prefetch(at, 0, 2);
    }
};

/// Whether the widest tiles leave out what a kernel of three columns would multiply of a row's zero padding: on 14 pixels a twentieth of the products.
inline constexpr bool skips_columns = lanes == 16 && has_row_tiles;

/// Adds the products of channels [t.begin, t.end) to the sums of a tile; `base`: its first pixel. left, right: without the first pixel's first column, the
/// last one's last.
template <int Outs, int Pixels, tile_form Form>
SPLITDSL_INLINE void sum_channels(const tile_work& t, const float* base, pixel_places<Pixels, Form>& at, vec (&sum)[Outs][Pixels], coming& next, bool left, bool right) {
    const float* weights = t.weights;
    int c = t.begin;
    const int end = t.end;
    if constexpr (Form == tile_form::in_row_1x1 || (Form == tile_form::anywhere && Pixels >= tile_pixels(Outs) - 1)) {
        if (Form == tile_form::in_row_1x1 || (t.over.total == 1 && t.over.rows == 1 && t.over.columns == 1 && c % lanes == 0)) {
            const float* x = base + (c / lanes) * t.in_block;
            const std::ptrdiff_t in_block = t.in_block;
#pragma GCC unroll 1
            for (; end - c >= lanes; c += lanes) {
                if constexpr (brings_by_tap) next.bring(next.lines_per_tap);
                multiply_channels<lanes>(sum, x, weights, at);
                x += in_block, weights += lanes * Outs * lanes;
            }
            if constexpr (Form == tile_form::in_row_1x1 && sums_fours) multiply_rest(sum, x, weights, end - c, at);
        }
    }
    if constexpr (Form == tile_form::in_row_1x1) return;
    const std::ptrdiff_t row_step = t.over.row_step, column_step = t.over.column_step;
    const int rows = t.over.rows, columns = t.over.columns;
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
                    if constexpr (brings_by_tap) next.bring(next.lines_per_tap);
                    if constexpr (skips_columns && Outs == widest_tile && Form == tile_form::in_row) {
                        if (left && j == 0) multiply_pixels<lanes, 1, Pixels>(sum, x, w, at);
                        else if (right && j + 1 == columns) multiply_pixels<lanes, 0, Pixels - 1>(sum, x, w, at);
                        else multiply_channels<lanes>(sum, x, w, at);
                    } else {
                        multiply_channels<lanes>(sum, x, w, at);
                    }
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
                    multiply_rest(sum, x, w, count, at);
                    x += column_step, w += tap_floats;
                }
            }
            row += row_step, row_weights += t.over.row_pitch * tap_floats;
        }
        weights += t.over.total * tap_floats;
        c += count;
    }
}

template <int Outs, int Pixels, tile_form Form>
SPLITDSL_INLINE void one_tile(const tile_work& t, const float* in, float* out, const float* addend, pixel_places<Pixels, Form>& at, coming& next, bool left, bool right) {
    // The input of a 1x1 convolution often lies without a gap where its output has a halo: such a tile may reach into the output's next row.
    constexpr bool in_row = Form == tile_form::in_row || Form == tile_form::in_row_second;
    const auto out_at = [&](int p) { return in_row ? std::ptrdiff_t{p} * lanes : t.out_at[p]; };
    const auto addend_at = [&](int p) { return in_row ? std::ptrdiff_t{p} * lanes : t.addend_at[p]; };
    vec sum[Outs][Pixels];
    if (t.bias) {
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) sum[o][p] = load(t.bias + o * lanes);
    } else {
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) sum[o][p] = load(out + o * t.out_block + out_at(p));
    }
    sum_channels(t, in, at, sum, next, left, right);
    const std::ptrdiff_t out_block = t.out_block;
    if (addend) {
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o)
#pragma GCC unroll 14
            for (int p = 0; p < Pixels; ++p) sum[o][p] = sum[o][p] + load(addend + o * t.addend_block + addend_at(p));
    }
    if (t.act == activation::hard_swish) { // in registers: MobileNetV3 has it after most of its layers
#pragma GCC unroll 14
        for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) store(out + out_at(p) + o * out_block, hard_swish_of(sum[o][p]));
        return;
    }
    const vec low = broadcast(t.low), high = broadcast(t.high);
#pragma GCC unroll 14
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) store(out + out_at(p) + o * out_block, clamped(sum[o][p], low, high));
    if (t.act != activation::none) {
        for (int p = 0; p < Pixels; ++p)
            for (int o = 0; o < Outs; ++o) activate_span(out + o * out_block + out_at(p), 1, t.act, t.slope);
    }
}

/// A run of tiles, one behind the other in a row; wherever the first one's pixels lie, the next one's lie alike.
template <int Outs, int Pixels, tile_form Form>
[[gnu::noinline]] inline void conv_tile(const tile_work& t, int tiles, coming& next) {
    pixel_places<Pixels, Form> at;
    const float *in = t.in, *addend = t.addend;
    std::ptrdiff_t in_step;
    if constexpr (Form != tile_form::anywhere) in_step = Pixels * at.step;
    else {
#pragma GCC unroll 14
        for (int p = 0; p < Pixels; ++p) at.at[p] = t.in_at[p] - t.in_at[0];
        in += t.in_at[0];
        in_step = Pixels * t.in_pixel;
    }
    float* out = t.out;
    bool left = t.at_left;
    for (;;) {
        if constexpr (!brings_by_tap) next.bring(next.lines_per_tile);
        one_tile<Outs, Pixels, Form>(t, in, out, addend, at, next, left, t.at_right && tiles == 1);
        left = false;
        if (--tiles == 0) return;
        in += in_step, out += Pixels * lanes;
        if (addend) addend += Pixels * lanes;
    }
}

/// Tiles of Outs channel blocks and `pixels` pixels each, at most tile_pixels(Outs), at the offsets of the first.
template <int Outs>
SPLITDSL_INLINE void run_tiles(int pixels, const tile_work& t, int tiles, coming& next) {
    constexpr tile_form form = tile_form::anywhere;
    if (pixels == 1) return conv_tile<Outs, 1, form>(t, tiles, next);
    if constexpr (tile_pixels(Outs) == 2) return conv_tile<Outs, 2, form>(t, tiles, next);
    else {
        switch (pixels) {
        case 2: return conv_tile<Outs, 2, form>(t, tiles, next);
        case 3: return conv_tile<Outs, 3, form>(t, tiles, next);
        case 4: return conv_tile<Outs, 4, form>(t, tiles, next);
        case 5: return conv_tile<Outs, 5, form>(t, tiles, next);
        default: break;
        }
        if constexpr (tile_pixels(Outs) >= 6) {
            if (pixels == 6) return conv_tile<Outs, 6, form>(t, tiles, next);
        }
        if constexpr (tile_pixels(Outs) == 8) {
            if (pixels == 7) return conv_tile<Outs, 7, form>(t, tiles, next);
            conv_tile<Outs, 8, form>(t, tiles, next);
        }
    }
}
template <int Outs>
SPLITDSL_INLINE void run_tile(int pixels, const tile_work& t) {
    coming nothing;
    run_tiles<Outs>(pixels, t, 1, nothing);
}

SPLITDSL_INLINE bool is_1x1(const tile_work& t) {
    return t.over.total == 1 && t.over.rows == 1 && t.over.columns == 1 && t.begin % lanes == 0 && (sums_fours || t.end % lanes == 0);
}
/// Whether a 1x1 convolution's tile whose input lies in a row may write wherever it likes.
template <int Outs>
SPLITDSL_INLINE bool has_1x1_tile(int pixels, std::ptrdiff_t step, const tile_work& t) {
    return has_row_tiles && step == lanes && (pixels == tile_pixels(Outs) || pixels == tile_pixels(Outs) - 1 || pixels >= row_pixels(Outs) - 1) && is_1x1(t);
}
template <int Outs>
SPLITDSL_INLINE void run_1x1(int pixels, const tile_work& t, int tiles, coming& next) {
    if constexpr (has_row_tiles) {
        constexpr int most = tile_pixels(Outs), more = row_pixels(Outs);
        if constexpr (more > most) {
            if (pixels == more) return conv_tile<Outs, more, tile_form::in_row_1x1>(t, tiles, next);
            if (pixels == more - 1) return conv_tile<Outs, more - 1, tile_form::in_row_1x1>(t, tiles, next);
        }
        if (pixels == most) return conv_tile<Outs, most, tile_form::in_row_1x1>(t, tiles, next);
        conv_tile<Outs, most - 1, tile_form::in_row_1x1>(t, tiles, next);
    }
}

/// Tiles of a row; `step`: floats in the input from pixel to pixel. What a wide picture is cut into, tiles of the most pixels and of one fewer, needs no
/// offsets where pixels touch.
template <int Outs>
SPLITDSL_INLINE void run_row(int pixels, std::ptrdiff_t step, tile_work& t, int tiles, coming& next) {
    for (int p = 0; p < pixels; ++p) t.out_at[p] = t.addend_at[p] = std::ptrdiff_t{p} * lanes;
    if constexpr (has_row_tiles) {
        constexpr int most = tile_pixels(Outs), more = row_pixels(Outs);
        if (has_1x1_tile<Outs>(pixels, step, t)) return run_1x1<Outs>(pixels, t, tiles, next);
        if constexpr (more > most) {
            if (pixels == more) return conv_tile<Outs, more, tile_form::in_row>(t, tiles, next);
            if (pixels == more - 1) return conv_tile<Outs, more - 1, tile_form::in_row>(t, tiles, next);
        }
        if (step == 2 * lanes && pixels == most) return conv_tile<Outs, most, tile_form::in_row_second>(t, tiles, next);
        if (step == 2 * lanes && pixels == most - 1) return conv_tile<Outs, most - 1, tile_form::in_row_second>(t, tiles, next);
        if (step == lanes && pixels == most) return conv_tile<Outs, most, tile_form::in_row>(t, tiles, next);
        if (step == lanes && pixels == most - 1) return conv_tile<Outs, most - 1, tile_form::in_row>(t, tiles, next);
        if constexpr (skips_columns && Outs == widest_tile) {
            if (step == lanes && pixels == most - 2) return conv_tile<Outs, most - 2, tile_form::in_row>(t, tiles, next); // the last of 14 pixels
        }
    }
    for (int p = 0; p < pixels; ++p) t.in_at[p] = p * step;
    t.in_pixel = step;
    run_tiles<Outs>(pixels, t, tiles, next);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
