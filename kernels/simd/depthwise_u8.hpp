// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file depthwise_u8.hpp
/// Depthwise convolution of bytes, 3x3 and 5x5, stride 1 and 2: sums of 16 bits over rows of taps, exact by a bound on the weights.
#pragma once

#include "conv_u8.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Whether this kernel does a layer.
SPLITDSL_INLINE constexpr bool depthwise_u8_does(const conv_shape& s) {
    return s.kernel_h == s.kernel_w && (s.kernel_h == 3 || s.kernel_h == 5) && s.stride_h == s.stride_w && s.stride_h <= 2 && s.dilation_h == 1 && s.dilation_w == 1;
}

/// Rows of taps are summed in 16 bits: all three of a 3x3, two at a time of a 5x5. The sizes of the weights in them sum up to at most 255, so
/// that every sum, moved by what `start` says, fits in 16 bits. Besides, weights one below the other in rows 0 and 1, 2 and 3 (AVX2 adds their
/// products first) sum up to at most 128, positive and negative ones apart.
inline constexpr int most_sum_weight = 255;
SPLITDSL_INLINE constexpr int rows_together(int kernel) { return kernel == 3 ? 3 : 2; }

/// Channels that are computed together, in two vectors of 16-bit sums; and pixels.
#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)
inline constexpr int depthwise_channels = 4 * sum_lanes, depthwise_tap_weights = 2; ///< of a pair of rows: two weights a channel and column
#else
inline constexpr int depthwise_channels = 16, depthwise_tap_weights = 1;
#endif
#if defined(__OPTIMIZE__)
inline constexpr int depthwise_u8_pixels = 4;
#else
inline constexpr int depthwise_u8_pixels = 2;
#endif

/// The step of one channel's taps.
inline double depthwise_step(const byte_weights& w, int kernel) {
    const int together = rows_together(kernel);
    double step = 0;
    const auto rise = [&](double v, int most) { if (v / most > step) step = v / most; };
    for (int t = 0; t < w.taps; ++t) rise(__builtin_fabs(w.at(0, t)), most_weight);
    for (int r = 0; r < kernel; r += together) {
        double sum = 0;
        for (int t = r * kernel; t < smaller(kernel, r + together) * kernel; ++t) sum += __builtin_fabs(w.at(0, t));
        rise(sum, most_sum_weight);
    }
    for (int r = 0; r + 1 < kernel; r += 2)
        for (int c = 0; c < kernel; ++c) {
            const double a = w.at(0, r * kernel + c), b = w.at(0, (r + 1) * kernel + c);
            if ((a < 0) == (b < 0)) rise(__builtin_fabs(a + b), most_lane_weight);
        }
    if (!(step > 1e-30)) return 1;
    for (;; step *= 1.0078125) { // rounding may still go over
        bool fits = true;
        for (int r = 0; r < kernel; r += together) {
            int sum = 0;
            for (int t = r * kernel; t < smaller(kernel, r + together) * kernel; ++t) sum += __builtin_abs(w.rounded(0, t, step));
            fits = fits && sum <= most_sum_weight;
        }
        for (int r = 0; r < kernel; ++r)
            for (int c = 0; c < kernel; ++c) {
                const int a = w.rounded(0, r * kernel + c, step), b = r % 2 == 0 && r + 1 < kernel ? w.rounded(0, (r + 1) * kernel + c, step) : 0;
                fits = fits && __builtin_abs(a) <= most_weight && ((a < 0) != (b < 0) || __builtin_abs(a + b) <= most_lane_weight);
            }
        if (fits) return step;
    }
}

/// Behind the requantisation, per block of channels: biases, factors, starts (16 bits, one set for each run of rows), weights.
SPLITDSL_INLINE constexpr std::ptrdiff_t depthwise_weight_bytes(int kernel) {
    return depthwise_tap_weights == 2 ? std::ptrdiff_t{(kernel + 1) / 2} * kernel * depthwise_channels * 2 : std::ptrdiff_t{kernel} * kernel * depthwise_channels * 2;
}
SPLITDSL_INLINE constexpr int depthwise_runs(int kernel) { return divide_up(kernel, rows_together(kernel)); }
SPLITDSL_INLINE constexpr std::ptrdiff_t depthwise_block_bytes(int kernel) {
    return depthwise_channels * (8 + 2 * depthwise_runs(kernel)) + depthwise_weight_bytes(kernel);
}
inline std::size_t depthwise_u8_packed_floats(const conv_shape& s) {
    return requantisation_floats + static_cast<std::size_t>(divide_up(s.out_channels, depthwise_channels) * depthwise_block_bytes(s.kernel_h) + 3) / 4;
}

/// Where a channel of a block stands among the 32-bit numbers: the order in which the machine unpacks, as channel_of_lane says.
SPLITDSL_INLINE constexpr int depthwise_place(int channel) {
    if (depthwise_tap_weights == 1) return channel;
    return channel % 16 / 4 * sum_lanes + channel / 16 * 4 + channel % 4;
}
/// And among the 16-bit numbers.
SPLITDSL_INLINE constexpr int depthwise_half_place(int channel) {
    if (depthwise_tap_weights == 1) return channel;
    return channel % 16 / 8 * 2 * sum_lanes + channel / 16 * 8 + channel % 8;
}

inline void pack_depthwise_u8(const conv_shape& s, const byte_layer& l, float* packed) {
    const requantisation r = requantisation_of(l);
    __builtin_memset(packed, 0, depthwise_u8_packed_floats(s) * sizeof(float));
    __builtin_memcpy(packed, &r, sizeof r);
    const int kernel = s.kernel_h, runs = depthwise_runs(kernel), together = rows_together(kernel);
    for (int channel = 0; channel < s.out_channels; ++channel) {
        auto* const base = reinterpret_cast<std::int8_t*>(packed + requantisation_floats) + channel / depthwise_channels * depthwise_block_bytes(kernel);
        const int own = channel % depthwise_channels;
        const byte_weights w{l, 1, kernel * kernel, channel};
        const double step = step_beside(l, channel, depthwise_step(w, kernel));
        double sum = 0, sizes = 0, moved = 0;
        std::int8_t* const starts = base + depthwise_channels * 8;
        std::int8_t* const weights = starts + std::ptrdiff_t{depthwise_channels} * 2 * runs;
        for (int run = 0; run < runs; ++run) {
            int positive = 0, negative = 0;
            for (int row = run * together; row < smaller(kernel, (run + 1) * together); ++row)
                for (int c = 0; c < kernel; ++c) {
                    const int q = w.rounded(0, row * kernel + c, step);
                    (q < 0 ? negative : positive) += __builtin_abs(q);
                    if (depthwise_tap_weights == 2) {
                        weights[(row / 2 * kernel + c) * depthwise_channels * 2 + depthwise_half_place(own) * 2 + row % 2] = static_cast<std::int8_t>(q);
                    } else {
                        const auto wide = static_cast<std::int16_t>(q);
                        __builtin_memcpy(weights + ((row * kernel + c) * depthwise_channels + own) * 2, &wide, 2);
                    }
                }
            // x86 multiplies bytes of 0 to 255: sums lie in [-255 negative, 255 positive]
            const auto start = static_cast<std::int16_t>(byte_centre == 0 ? -(255 * (positive - negative) / 2) : 0);
            __builtin_memcpy(starts + (run * depthwise_channels + depthwise_half_place(own)) * 2, &start, 2);
            sum += positive - negative, sizes += positive + negative, moved += start;
        }
        byte_sums b = byte_sums_of(l, channel, step, sum, sum * static_cast<double>(l.in_zero[0]), sizes);
        b.bias -= static_cast<std::int32_t>(moved);
        __builtin_memcpy(base + depthwise_place(own) * 4, &b.bias, 4);
        __builtin_memcpy(base + (depthwise_channels + depthwise_place(own)) * 4, &b.factor, 4);
    }
}

struct depthwise_work {
    const std::uint8_t* in;     ///< first tap of the row's first pixel, at the block's first channel
    std::ptrdiff_t in_row, in_pixel, out_pixel;
    std::uint8_t* out;
    const std::int8_t* block;   ///< its packed numbers
    requantisation then;
    int groups;                 ///< of 16 channels that are written
};

#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)

#if defined(SPLITDSL_ARCH_AVX512)
SPLITDSL_INLINE ints load_whole(const void* p) { return _mm512_loadu_si512(p); }
SPLITDSL_INLINE ints no_bytes() { return _mm512_setzero_si512(); }
SPLITDSL_INLINE ints low_bytes(ints a, ints b) { return _mm512_unpacklo_epi8(a, b); }
SPLITDSL_INLINE ints high_bytes(ints a, ints b) { return _mm512_unpackhi_epi8(a, b); }
SPLITDSL_INLINE ints add_pairs(ints sum, ints x, ints w) { return _mm512_add_epi16(sum, _mm512_maddubs_epi16(x, w)); }
SPLITDSL_INLINE ints low_wide(ints h) { return _mm512_maskz_srai_epi32(every_lane, _mm512_unpacklo_epi16(h, h), 16); }
SPLITDSL_INLINE ints high_wide(ints h) { return _mm512_maskz_srai_epi32(every_lane, _mm512_unpackhi_epi16(h, h), 16); }
#else
SPLITDSL_INLINE ints load_whole(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
SPLITDSL_INLINE ints no_bytes() { return _mm256_setzero_si256(); }
SPLITDSL_INLINE ints low_bytes(ints a, ints b) { return _mm256_unpacklo_epi8(a, b); }
SPLITDSL_INLINE ints high_bytes(ints a, ints b) { return _mm256_unpackhi_epi8(a, b); }
SPLITDSL_INLINE ints add_pairs(ints sum, ints x, ints w) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, w)); }
SPLITDSL_INLINE ints low_wide(ints h) { return _mm256_srai_epi32(_mm256_unpacklo_epi16(h, h), 16); }
SPLITDSL_INLINE ints high_wide(ints h) { return _mm256_srai_epi32(_mm256_unpackhi_epi16(h, h), 16); }
#endif

/// Of a block's channels those that the tensor has.
SPLITDSL_INLINE void store_groups(std::uint8_t* out, ints bytes, int groups) {
#if defined(SPLITDSL_ARCH_AVX512)
    _mm512_mask_storeu_epi8(out, ~__mmask64{} >> (64 - 16 * groups), bytes);
#else
    if (groups == 2) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    else _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(bytes));
#endif
}
/// The bytes of a tile's sums, which are two vectors of 16 bits, the biases not yet in them, or four of 32 bits.
template <int Pixels, int Vectors>
[[gnu::noinline]] inline void finish_depthwise_tile(const ints (&sum)[Pixels][Vectors], const depthwise_work& t, std::uint8_t* out) {
    const requantisation then = t.then;
    const std::ptrdiff_t out_pixel = t.out_pixel;
    const int groups = t.groups;
    sum_floats factor[4];
    load_factors(reinterpret_cast<const float*>(t.block) + depthwise_channels, factor);
    ints bias[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) bias[v] = load_ints(reinterpret_cast<const std::int32_t*>(t.block) + sum_lanes * v);
#pragma GCC unroll 1
    for (int p = 0; p < Pixels; ++p) {
        ints all[4], q[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) {
            if constexpr (Vectors == 4) all[v] = sum[p][v];
            else all[v] = sum_of(v % 2 == 0 ? low_wide(sum[p][v / 2]) : high_wide(sum[p][v / 2]), bias[v]);
        }
        requantise(all, factor, then, nullptr, q);
        store_groups(out + p * out_pixel, packed_bytes(q, then), groups);
    }
}

template <int Kernel, int Stride, int Pixels>
[[gnu::noinline]] inline void depthwise_u8_tile(const depthwise_work& t, int x) {
    constexpr int runs = depthwise_runs(Kernel), pairs = (Kernel + 1) / 2, pairs_of_run = Kernel == 3 ? 2 : 1, columns = (Pixels - 1) * Stride + Kernel;
    constexpr int vector = 4 * sum_lanes; // bytes
    [[maybe_unused]] const auto* const bias = reinterpret_cast<const std::int32_t*>(t.block);
    const std::int8_t* const starts = t.block + depthwise_channels * 8;
    const std::int8_t* w = starts + depthwise_channels * 2 * runs;
    const std::uint8_t* row = t.in + x * Stride * t.in_pixel;
    [[maybe_unused]] ints sum[Pixels][4];
    ints half[Pixels][2];
    if constexpr (runs > 1) {
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) sum[p][v] = load_ints(bias + sum_lanes * v);
    }
    for (int run = 0; run < runs; ++run) {
        const ints low = load_whole(starts + run * depthwise_channels * 2), high = load_whole(starts + run * depthwise_channels * 2 + vector);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) half[p][0] = low, half[p][1] = high;
#pragma GCC unroll 2
        for (int k = 0; k < pairs_of_run; ++k) {
            const int pair = run * pairs_of_run + k;
            const bool two = 2 * pair + 1 < Kernel;
            const std::uint8_t *above = row, *below = row + t.in_row;
#pragma GCC unroll 16
            for (int j = 0; j < columns; ++j) {
                pin(above, below);
                const ints a = load_whole(above), b = two ? load_whole(below) : no_bytes();
                const ints front = low_bytes(a, b), behind = high_bytes(a, b);
#pragma GCC unroll 8
                for (int p = 0; p < Pixels; ++p) {
                    const int tap = j - p * Stride;
                    if (tap < 0 || tap >= Kernel) continue;
                    half[p][0] = add_pairs(half[p][0], front, load_whole(w + tap * depthwise_channels * 2));
                    half[p][1] = add_pairs(half[p][1], behind, load_whole(w + tap * depthwise_channels * 2 + vector));
                }
                above += t.in_pixel, below += t.in_pixel;
            }
            row += 2 * t.in_row, w += Kernel * depthwise_channels * 2;
        }
        if constexpr (runs > 1) {
#pragma GCC unroll 8
            for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
                for (int v = 0; v < 4; ++v) sum[p][v] = sum_of(sum[p][v], v % 2 == 0 ? low_wide(half[p][v / 2]) : high_wide(half[p][v / 2]));
        }
    }
    static_assert(pairs == runs * pairs_of_run);
    if constexpr (runs > 1) finish_depthwise_tile(sum, t, t.out + x * t.out_pixel);
    else finish_depthwise_tile(half, t, t.out + x * t.out_pixel);
}

#else

#if defined(SPLITDSL_ARCH_NEON)
struct halves { int16x8_t v[2]; };
SPLITDSL_INLINE halves load_halves(const std::int8_t* p) {
    halves h;
    __builtin_memcpy(&h, p, sizeof h);
    return h;
}
SPLITDSL_INLINE halves wide_bytes(const std::uint8_t* p) {
    const int8x16_t x = centred(vreinterpretq_u32_u8(vld1q_u8(p)));
    return {{vmovl_s8(vget_low_s8(x)), vmovl_s8(vget_high_s8(x))}};
}
SPLITDSL_INLINE void add_products(halves& sum, const halves& x, const halves& w) {
    sum.v[0] = vmlaq_s16(sum.v[0], x.v[0], w.v[0]), sum.v[1] = vmlaq_s16(sum.v[1], x.v[1], w.v[1]);
}
SPLITDSL_INLINE void add_wide(ints (&sum)[4], const halves& h) {
    for (int k = 0; k < 2; ++k) {
        sum[2 * k] = vaddw_s16(sum[2 * k], vget_low_s16(h.v[k]));
        sum[2 * k + 1] = vaddw_s16(sum[2 * k + 1], vget_high_s16(h.v[k]));
    }
}
#else
struct halves { __m128i v[2]; };
SPLITDSL_INLINE halves load_halves(const std::int8_t* p) {
    return {{_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16))}};
}
SPLITDSL_INLINE halves wide_bytes(const std::uint8_t* p) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), none = _mm_setzero_si128();
    return {{_mm_unpacklo_epi8(x, none), _mm_unpackhi_epi8(x, none)}};
}
SPLITDSL_INLINE void add_products(halves& sum, const halves& x, const halves& w) {
    for (int k = 0; k < 2; ++k) sum.v[k] = _mm_add_epi16(sum.v[k], _mm_mullo_epi16(x.v[k], w.v[k]));
}
SPLITDSL_INLINE void add_wide(ints (&sum)[4], const halves& h) {
    for (int k = 0; k < 2; ++k) {
        sum[2 * k] = _mm_add_epi32(sum[2 * k], _mm_srai_epi32(_mm_unpacklo_epi16(h.v[k], h.v[k]), 16));
        sum[2 * k + 1] = _mm_add_epi32(sum[2 * k + 1], _mm_srai_epi32(_mm_unpackhi_epi16(h.v[k], h.v[k]), 16));
    }
}
#endif

template <int Kernel, int Stride, int Pixels>
[[gnu::noinline]] inline void depthwise_u8_tile(const depthwise_work& t, int x) {
    constexpr int runs = depthwise_runs(Kernel), together = rows_together(Kernel), columns = (Pixels - 1) * Stride + Kernel;
    const auto* const bias = reinterpret_cast<const std::int32_t*>(t.block);
    const auto* const factor = reinterpret_cast<const float*>(t.block) + depthwise_channels;
    const std::int8_t* const starts = t.block + depthwise_channels * 8;
    const std::int8_t* w = starts + depthwise_channels * 2 * runs;
    const std::uint8_t* row = t.in + x * Stride * t.in_pixel;
    ints sum[Pixels][4];
    for (int p = 0; p < Pixels; ++p)
        for (int v = 0; v < 4; ++v) sum[p][v] = load_ints(bias + 4 * v);
    for (int run = 0; run < runs; ++run) {
        halves half[Pixels];
        for (int p = 0; p < Pixels; ++p) half[p] = load_halves(starts + run * depthwise_channels * 2);
        for (int k = 0; k < smaller(together, Kernel - run * together); ++k) {
            const std::uint8_t* at = row;
#pragma GCC unroll 16
            for (int j = 0; j < columns; ++j) {
                const halves v = wide_bytes(at);
#pragma GCC unroll 8
                for (int p = 0; p < Pixels; ++p)
                    if (const int tap = j - p * Stride; tap >= 0 && tap < Kernel) add_products(half[p], v, load_halves(w + tap * depthwise_channels * 2));
                at += t.in_pixel;
            }
            row += t.in_row, w += Kernel * depthwise_channels * 2;
        }
        for (int p = 0; p < Pixels; ++p) add_wide(sum[p], half[p]);
    }
    sum_floats by[4];
    load_factors(factor, by);
    for (int p = 0; p < Pixels; ++p) store_bytes(sum[p], by, t.then, nullptr, t.out + (x + p) * t.out_pixel);
}

#endif

template <int Kernel, int Stride>
SPLITDSL_INLINE void depthwise_u8_row(const depthwise_work& t, int width) {
    constexpr int most = depthwise_u8_pixels;
    int x = 0;
    for (; x + most <= width; x += most) depthwise_u8_tile<Kernel, Stride, most>(t, x);
    if (x < width && width >= most) return depthwise_u8_tile<Kernel, Stride, most>(t, width - most); // pixels of the one before again, with the same results
    for (; x < width; ++x) depthwise_u8_tile<Kernel, Stride, 1>(t, x);
}

inline int depthwise_u8_tasks(const conv_shape& s) { return divide_up(s.out_height, larger(1, smaller(s.out_height, 65536 / larger(1, s.out_width * s.out_channels)))); }

/// groups == in_channels == out_channels, and depthwise_u8_does(s). `out` overlaps nothing else. Tasks: depthwise_u8_tasks(s).
inline void depthwise_u8(const conv_shape& s, const const_byte_view& in, const byte_view& out, const float* packed, int first, int last) {
    const int tasks = depthwise_u8_tasks(s), rows = divide_up(s.out_height, tasks);
    depthwise_work t;
    t.in_row = in.row, t.in_pixel = in.pixel, t.out_pixel = out.pixel;
    t.then = requantisation_in(packed);
    for (int y = first * rows; y < smaller(s.out_height, last * rows); ++y)
        for (int c = 0; c < s.out_channels; c += depthwise_channels) {
            t.in = in.at + (y * s.stride_h - s.pad_top) * in.row - s.pad_left * in.pixel + c;
            t.out = out.at + y * out.row + c;
            t.block = reinterpret_cast<const std::int8_t*>(packed + requantisation_floats) + c / depthwise_channels * depthwise_block_bytes(s.kernel_h);
            t.groups = divide_up(smaller(depthwise_channels, s.out_channels - c), 16);
            switch (s.kernel_h * 10 + s.stride_h) {
            case 31: depthwise_u8_row<3, 1>(t, s.out_width); break;
            case 32: depthwise_u8_row<3, 2>(t, s.out_width); break;
            case 51: depthwise_u8_row<5, 1>(t, s.out_width); break;
            default: depthwise_u8_row<5, 2>(t, s.out_width);
            }
        }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
