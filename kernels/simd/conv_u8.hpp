// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_u8.hpp
/// Convolution of bytes with one group, and fully connected layers: pixels by groups of 16 channels, held in registers.
///
/// Sums are exact, so neither tiles nor tasks nor instruction sets change a byte. Addend, activation and the way back to bytes are fused.
#pragma once

#include "requantise_u8.hpp"
#include "conv.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Groups of the widest tile, and the pixels of a tile of so many groups.
#if defined(SPLITDSL_ARCH_AVX512) && defined(__OPTIMIZE__)
inline constexpr int widest_groups = 4, most_pixels = 12;
SPLITDSL_INLINE constexpr int byte_tile_pixels(int groups) { return groups == 4 ? 6 : 12; }
#elif defined(SPLITDSL_ARCH_AVX2_FMA) && defined(__OPTIMIZE__)
inline constexpr int widest_groups = 2, most_pixels = 4;
SPLITDSL_INLINE constexpr int byte_tile_pixels(int groups) { return groups == 2 ? 2 : 4; }
#elif defined(SPLITDSL_ARCH_NEON) && defined(__OPTIMIZE__)
inline constexpr int widest_groups = 1, most_pixels = 5;
SPLITDSL_INLINE constexpr int byte_tile_pixels(int) { return 5; }
#else
inline constexpr int widest_groups = 1, most_pixels = 2;
SPLITDSL_INLINE constexpr int byte_tile_pixels(int) { return 2; }
#endif
/// Most pixels of a task: their places are worked out once for all groups.
inline constexpr int most_task_pixels = 256;

/// How a convolution of bytes is cut.
struct byte_conv_cut {
    int groups = 0;     ///< of 16 output channels
    int tiles = 0;      ///< of widest_groups groups; what is left goes by two and one
    int step = 0;       ///< input channels that are multiplied together: 8, or 4 if there are no more
    int steps = 0;      ///< of a tap
    int pixels = 0;     ///< of a task
    int chunks = 0;     ///< tasks
    SPLITDSL_INLINE constexpr int rest() const { return groups - tiles * widest_groups; }
    SPLITDSL_INLINE constexpr int runs() const { return tiles + rest() / 2 + rest() % 2; }
    SPLITDSL_INLINE constexpr int width(int run) const { return run < tiles ? widest_groups : run == tiles && rest() >= 2 ? 2 : 1; }
    SPLITDSL_INLINE constexpr int first(int run) const { return run <= tiles ? run * widest_groups : tiles * widest_groups + 2; }
};
SPLITDSL_INLINE constexpr byte_conv_cut byte_cut_of(const conv_shape& s) {
    byte_conv_cut cut;
    cut.groups = divide_up(s.out_channels, group_channels);
    cut.tiles = cut.groups / widest_groups;
    cut.step = s.in_channels <= 4 ? 4 : 8;
    cut.steps = divide_up(s.in_channels, cut.step);
    const int all = s.out_height * s.out_width;
    // The input of a task stays in the first level while all groups read it.
    const int bytes = divide_up(s.in_channels, 16) * 16 * s.stride_h * s.stride_w;
    int pixels = smaller(most_task_pixels / most_pixels * most_pixels, larger(24, 16 * 1024 / bytes));
    while (pixels > 24 && divide_up(all, pixels) < 8) pixels /= 2;
    pixels = smaller(most_task_pixels / most_pixels, divide_up(pixels, most_pixels)) * most_pixels;
    cut.chunks = larger(1, divide_up(all, pixels));
    cut.pixels = divide_up(divide_up(all, cut.chunks), most_pixels) * most_pixels;
    cut.chunks = larger(1, divide_up(all, cut.pixels));
    return cut;
}

/// Behind the requantisation: per run of groups their biases, factors (in lane order), and weights as [tap][step][four channels][group].
SPLITDSL_INLINE constexpr std::ptrdiff_t group_bytes(const conv_shape& s, const byte_conv_cut& cut) {
    return group_channels * 8 + std::ptrdiff_t{s.kernel_h} * s.kernel_w * cut.steps * (cut.step / 4) * step_bytes;
}
inline std::size_t conv_u8_packed_floats(const conv_shape& s) {
    const byte_conv_cut cut = byte_cut_of(s);
    return requantisation_floats + static_cast<std::size_t>(cut.groups * group_bytes(s, cut) + 3) / 4;
}

/// A layer's weights for one output channel as the input's bytes see them: weight * folded norm * scale of the input channel.
struct byte_weights {
    const byte_layer& l;
    int channels, taps, channel;
    SPLITDSL_INLINE double at(int c, int tap) const {
        const double w = static_cast<double>(l.weight[(std::ptrdiff_t{channel} * channels + c) * taps + tap]) * static_cast<double>(l.in_scale[l.per_channel ? c : 0]);
        return l.scale ? w * static_cast<double>(l.scale[channel]) : w;
    }
    SPLITDSL_INLINE int rounded(int c, int tap, double step) const { return static_cast<int>(__builtin_nearbyint(at(c, tap) / step)); }
};

/// The step of an output channel's weights: the least that keeps the bounds of `most_weight` and `most_lane_weight`.
inline double weight_step(const byte_weights& w) {
    double largest = 0, most = 0;
    for (int t = 0; t < w.taps; ++t)
        for (int c = 0; c < w.channels; c += 8) {
            double sums[2][2] = {};
            for (int k = 0; k < smaller(8, w.channels - c); ++k) {
                const double v = w.at(c + k, t), size = v < 0 ? -v : v;
                if (size > largest) largest = size;
                double& sum = sums[k / 2 % 2][v < 0];
                sum += size;
                if (sum > most) most = sum;
            }
        }
    double step = largest / most_weight > most / most_lane_weight ? largest / most_weight : most / most_lane_weight;
    if (!(step > 1e-30)) return 1;
    for (bool fits = false; !fits;) { // rounding may still go over
        fits = true;
        for (int t = 0; fits && t < w.taps; ++t)
            for (int c = 0; fits && c < w.channels; c += 8) {
                int sums[2][2] = {};
                for (int k = 0; k < smaller(8, w.channels - c); ++k) {
                    const int v = w.rounded(c + k, t, step);
                    int& sum = sums[k / 2 % 2][v < 0];
                    sum += v < 0 ? -v : v;
                    fits = fits && sum <= most_lane_weight && v <= most_weight && v >= -most_weight;
                }
            }
        if (!fits) step *= 1.0078125;
    }
    return step;
}

inline void pack_conv_u8(const conv_shape& s, const byte_layer& l, float* packed) {
    const byte_conv_cut cut = byte_cut_of(s);
    const bool by_four = machine_has_dot();
    requantisation r = requantisation_of(l);
    r.machine = by_four;
    __builtin_memset(packed, 0, conv_u8_packed_floats(s) * sizeof(float));
    __builtin_memcpy(packed, &r, sizeof r);
    auto* const bytes = reinterpret_cast<std::int8_t*>(packed + requantisation_floats);
    const int taps = s.kernel_h * s.kernel_w, fours = cut.steps * (cut.step / 4);
    for (int run = 0; run < cut.runs(); ++run) {
        const int first = cut.first(run), width = cut.width(run);
        std::int8_t* const base = bytes + first * group_bytes(s, cut);
        std::int8_t* const weights = base + std::ptrdiff_t{width} * group_channels * 8;
        const int vectors = width * group_vectors;
        for (int v = 0; v < vectors; ++v)
            for (int lane = 0; lane < sum_lanes; ++lane) {
                const int channel = first * group_channels + channel_of_lane(vectors, v, lane);
                if (channel >= s.out_channels) continue;
                const byte_weights w{l, s.in_channels, taps, channel};
                const double step = step_beside(l, channel, weight_step(w));
                double sum = 0, zeros = 0, sizes = 0;
                for (int t = 0; t < taps; ++t)
                    for (int c = 0; c < s.in_channels; ++c) {
                        const int q = w.rounded(c, t, step);
                        sum += q, zeros += q * static_cast<double>(l.in_zero[l.per_channel ? c : 0]), sizes += q < 0 ? -q : q;
                        put_weight(weights + (std::ptrdiff_t{t} * fours + c / 4) * width * step_bytes, by_four, v, lane, c % 4, q);
                    }
                const byte_sums b = byte_sums_of(l, channel, step, sum, zeros, sizes);
                const std::ptrdiff_t at = std::ptrdiff_t{v} * sum_lanes + lane;
                __builtin_memcpy(base + at * 4, &b.bias, 4);
                __builtin_memcpy(base + (std::ptrdiff_t{width} * group_channels + at) * 4, &b.factor, 4);
            }
    }
}

struct byte_tiles {
    const std::uint8_t* in;
    int rows, columns, steps;               ///< of a pixel: runs of `steps` times so many input channels
    std::ptrdiff_t row_step, column_step;   ///< bytes from one run to the next
    const std::int8_t* packed;              ///< of the groups
    requantisation then;
    std::uint8_t* out;                      ///< null: f32
    float* floats;
    const std::uint8_t* addend;
    const std::int32_t *in_at, *out_at, *addend_at; ///< of each pixel
};

/// The bytes of a tile's sums, or a layer's floats.
template <int Vectors, int Pixels>
[[gnu::noinline]] inline void finish_byte_tile(const ints (&sum)[Pixels][Vectors], const byte_tiles& t, const std::int32_t* out_at, const std::int32_t* addend_at) {
    const auto* const factor = reinterpret_cast<const float*>(t.packed) + Vectors * sum_lanes;
    if (!t.out) { // one pixel
        for (int v = 0; v < Vectors; ++v) {
            std::int32_t s[sum_lanes];
            store_ints(s, sum[0][v]);
            for (int l = 0; l < sum_lanes; ++l) t.floats[channel_of_lane(Vectors, v, l)] = static_cast<float>(s[l]) * factor[v * sum_lanes + l];
        }
        return;
    }
    const requantisation then = t.then; // copies that stores of bytes cannot change
    std::uint8_t* const out = t.out;
    sum_floats by[Vectors];
    load_factors(factor, by);
    if (!t.addend && then.curve == activation::none) {
#pragma GCC unroll 1
        for (int p = 0; p < Pixels; ++p) store_bytes(sum[p], by, then, nullptr, out + out_at[p]);
    } else {
        const std::uint8_t* const addend = t.addend;
#pragma GCC unroll 1
        for (int p = 0; p < Pixels; ++p) store_bytes(sum[p], by, then, addend ? addend + addend_at[p] : nullptr, out + out_at[p]);
    }
}

/// `count` tiles one behind the other. Step: input channels that are multiplied together.
template <class Dot, int Step, int Groups, int Pixels>
[[gnu::noinline]] inline void byte_conv_tiles(const byte_tiles& all, int count) {
    const byte_tiles t = all; // a copy that stores of bytes cannot change
    constexpr int vectors = Groups * group_vectors, vector_bytes = step_bytes / group_vectors;
    const auto* const bias = reinterpret_cast<const std::int32_t*>(t.packed);
    const std::ptrdiff_t column_jump = t.column_step - t.steps * Step, row_jump = t.row_step - (t.columns - 1) * t.column_step - t.steps * Step;
    for (int tile = 0; tile < count; ++tile) {
        const std::int32_t* const in_at = t.in_at + tile * Pixels;
        ints sum[vectors][Pixels];
        std::ptrdiff_t at[Pixels];
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p) at[p] = in_at[p] - in_at[0];
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) {
            const ints b = load_ints(bias + v * sum_lanes);
#pragma GCC unroll 16
            for (int p = 0; p < Pixels; ++p) sum[v][p] = b;
        }
        const std::int8_t* w = t.packed + Groups * group_channels * 8;
        const std::uint8_t* x = t.in + in_at[0];
        // One loop, not three: around a loop of its own each level would move the sums through memory.
        for (int c = t.steps, columns = t.columns, rows = t.rows;;) {
            pin(x, w);
#if !defined(__clang__)
#pragma GCC unroll 16
            for (int p = 1; p < Pixels; ++p) pin(at[p]);
#endif
            if constexpr (Dot::holds_weights) {
#pragma GCC unroll 2
                for (int c4 = 0; c4 < Step; c4 += 4) {
                    ints k[vectors];
#pragma GCC unroll 4
                    for (int v = 0; v < vectors; ++v) k[v] = Dot::weights(w + (c4 / 4 * vectors + v) * vector_bytes);
#pragma GCC unroll 16
                    for (int p = 0; p < Pixels; ++p) {
                        const typename Dot::operand a = Dot::spread((p == 0 ? x : x + at[p]) + c4);
#pragma GCC unroll 4
                        for (int v = 0; v < vectors; ++v) Dot::add(sum[v][p], a, k[v]);
                    }
                }
            } else {
#pragma GCC unroll 16
                for (int p = 0; p < Pixels; ++p) {
                    pin(w); // weights come from the first level again: held for all pixels they would push sums out of registers
                    const std::uint8_t* const from = p == 0 ? x : x + at[p];
                    const typename Dot::operand a = Dot::spread(from);
                    if constexpr (Step == 8) {
                        const typename Dot::operand b = Dot::spread(from + 4);
#pragma GCC unroll 16
                        for (int v = 0; v < vectors; ++v) sum[v][p] = Dot::eight(sum[v][p], a, b, w + v * vector_bytes, w + (vectors + v) * vector_bytes);
                    } else {
#pragma GCC unroll 16
                        for (int v = 0; v < vectors; ++v) sum[v][p] = Dot::four(sum[v][p], a, w + v * vector_bytes);
                    }
                }
            }
            x += Step, w += Step / 4 * Groups * step_bytes;
            if (--c > 0) continue;
            if (--columns == 0) {
                if (--rows == 0) break;
                columns = t.columns, x += row_jump;
            } else x += column_jump;
            c = t.steps;
        }
        // Through memory: with the way back in this function, g++ would keep its numbers in registers and the sums in memory, in the loop.
        ints kept[Pixels][vectors];
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) kept[p][v] = sum[v][p];
        finish_byte_tile(kept, t, t.out_at + tile * Pixels, t.addend_at + tile * Pixels);
    }
}

/// `pixels` of one run of groups; places behind the last repeat it, so that the last tile is whole.
template <class Dot, int Step, int Groups>
SPLITDSL_INLINE void run_byte_tiles(int pixels, const byte_tiles& t) {
    constexpr int most = byte_tile_pixels(Groups);
    if (pixels == 1) byte_conv_tiles<Dot, Step, Groups, 1>(t, 1);
    else byte_conv_tiles<Dot, Step, Groups, most>(t, divide_up(pixels, most));
}
template <class Dot, int Step>
SPLITDSL_INLINE void run_byte_tiles(int groups, int pixels, const byte_tiles& t) {
    if constexpr (widest_groups == 4) {
        if (groups == 4) return run_byte_tiles<Dot, Step, 4>(pixels, t);
    }
    if constexpr (widest_groups >= 2) {
        if (groups == 2) return run_byte_tiles<Dot, Step, 2>(pixels, t);
    }
    run_byte_tiles<Dot, Step, 1>(pixels, t);
}

inline int conv_u8_tasks(const conv_shape& s) { return byte_cut_of(s).chunks; }

template <class Dot>
SPLITDSL_INLINE void conv_u8_with(const conv_shape& s, const const_byte_view& in, const byte_view& out, float* floats, const const_byte_view& addend, const float* packed, int first, int last) {
    const byte_conv_cut cut = byte_cut_of(s);
    const auto* const bytes = reinterpret_cast<const std::int8_t*>(packed + requantisation_floats);
    std::int32_t in_at[most_task_pixels + most_pixels], out_at[most_task_pixels + most_pixels], addend_at[most_task_pixels + most_pixels];
    byte_tiles t;
    t.in = in.at - s.pad_top * in.row - s.pad_left * in.pixel;
    t.rows = s.kernel_h, t.columns = s.kernel_w, t.steps = cut.steps;
    t.row_step = s.dilation_h * in.row, t.column_step = s.dilation_w * in.pixel;
    if (cut.step == 4 && in.pixel == 4 && s.dilation_w == 1) t.steps = s.kernel_w, t.columns = 1; // a picture's taps lie one behind the other
    t.then = requantisation_in(packed);
    t.in_at = in_at, t.out_at = out_at, t.addend_at = addend_at;
    for (int task = first; task < last; ++task) {
        const int begin = task * cut.pixels, pixels = smaller(s.out_height * s.out_width - begin, cut.pixels);
        for (int y = begin / s.out_width, x = begin % s.out_width, p = 0; p < pixels; ++p) {
            in_at[p] = static_cast<std::int32_t>(y * s.stride_h * in.row + x * s.stride_w * in.pixel);
            out_at[p] = static_cast<std::int32_t>(y * out.row + x * out.pixel);
            addend_at[p] = static_cast<std::int32_t>(y * addend.row + x * addend.pixel);
            if (++x == s.out_width) x = 0, ++y;
        }
        for (int p = pixels; p < pixels + most_pixels; ++p) in_at[p] = in_at[pixels - 1], out_at[p] = out_at[pixels - 1], addend_at[p] = addend_at[pixels - 1];
        for (int run = 0; run < cut.runs(); ++run) {
            const int group = cut.first(run);
            t.packed = bytes + group * group_bytes(s, cut);
            t.out = floats ? nullptr : out.at + group * group_channels;
            t.floats = floats ? floats + group * group_channels : nullptr;
            t.addend = addend.at ? addend.at + group * group_channels : nullptr;
            if (cut.step == 8) run_byte_tiles<Dot, 8>(cut.width(run), pixels, t);
            else run_byte_tiles<Dot, 4>(cut.width(run), pixels, t);
        }
    }
}

/// in (in_channels, in_height, in_width) with its halo → out (out_channels, out_height, out_width); a layer `to_floats` has one pixel and writes
/// ceil(out_channels / 16) * 16 floats. `out` overlaps nothing else. Tasks: conv_u8_tasks(s).
inline void conv_u8(const conv_shape& s, const const_byte_view& in, const byte_view& out, float* floats, const const_byte_view& addend, const float* packed, int first, int last) {
    if (requantisation_in(packed).machine) conv_u8_with<dot_by_four>(s, in, out, floats, addend, packed, first, last);
    else conv_u8_with<dot_by_pairs>(s, in, out, floats, addend, packed, first, last);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
