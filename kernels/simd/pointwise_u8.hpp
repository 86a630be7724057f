// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pointwise_u8.hpp
/// What happens to each byte alone: a batch norm or an activation that stands by itself, an add, a part of a concat, a factor for each channel.
///
/// byte * whole number + whole number, both of the channel's, is a sum as a convolution's is, and becomes a byte as that does.
#pragma once

#include "requantise_u8.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Rows per task: about 64 KiB.
SPLITDSL_INLINE constexpr int byte_rows_per_task(const extent& e) { return larger(1, smaller(e.height, 65536 / larger(1, e.width * e.channels))); }
SPLITDSL_INLINE constexpr int byte_row_tasks(const extent& e) { return larger(1, divide_up(e.height, byte_rows_per_task(e))); }
template <class Visit>
SPLITDSL_INLINE void for_each_byte_row(const extent& e, int first, int last, Visit&& visit) {
    const int rows = byte_rows_per_task(e);
    for (int y = first * rows; y < smaller(e.height, last * rows); ++y) visit(y);
}

/// Products of 16-bit numbers; those of `x` are not negative, or those of `m` have had their upper halves cleared.
SPLITDSL_INLINE ints products(ints x, ints m) {
#if defined(SPLITDSL_ARCH_AVX512)
    return _mm512_madd_epi16(x, m);
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
    return _mm256_madd_epi16(x, m);
#elif defined(SPLITDSL_ARCH_NEON)
    return vmulq_s32(x, m);
#else
    return _mm_madd_epi16(x, m);
#endif
}
SPLITDSL_INLINE ints lower_halves([[maybe_unused]] ints m) {
#if defined(SPLITDSL_ARCH_AVX512)
    return _mm512_and_si512(m, _mm512_set1_epi32(0xffff));
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
    return _mm256_and_si256(m, _mm256_set1_epi32(0xffff));
#elif defined(SPLITDSL_ARCH_NEON)
    return m;
#else
    return _mm_and_si128(m, _mm_set1_epi32(0xffff));
#endif
}

/// Channels of a run that is worked on at once, from channel c on.
SPLITDSL_INLINE constexpr int pointwise_vectors(int channels, int c) { return divide_up(channels - c, 16) * 16 >= 4 * sum_lanes ? 4 : group_vectors; }

/// Behind the requantisation, per run: multipliers, what is added, factors, in the order of the lanes.
inline std::size_t pointwise_u8_packed_floats(int channels) { return requantisation_floats + 3 * static_cast<std::size_t>(divide_up(channels, 16)) * 16; }
/// l.weight is not read: (byte - zero) * scale of the input, times l.scale, plus l.bias.
inline void pack_pointwise_u8(int channels, const byte_layer& l, float* packed) {
    const requantisation r = requantisation_of(l);
    __builtin_memset(packed, 0, pointwise_u8_packed_floats(channels) * sizeof(float));
    __builtin_memcpy(packed, &r, sizeof r);
    float* run = packed + requantisation_floats;
    for (int c = 0, vectors = 0; c < channels; c += vectors * sum_lanes, run += 3 * vectors * sum_lanes) {
        vectors = pointwise_vectors(channels, c);
        for (int v = 0; v < vectors; ++v)
            for (int lane = 0; lane < sum_lanes; ++lane) {
                const int channel = c + channel_of_lane(vectors, v, lane), at = v * sum_lanes + lane;
                if (channel >= channels) continue;
                const double real = static_cast<double>(l.in_scale[0]) * (l.scale ? static_cast<double>(l.scale[channel]) : 1.0);
                const double step = step_beside(l, channel, __builtin_fabs(real) > 1e-30 ? __builtin_fabs(real) / 16384 : 1e-30);
                const double whole = __builtin_nearbyint(real / step);
                const byte_sums s = byte_sums_of(l, channel, step, 0, whole * static_cast<double>(l.in_zero[0]), __builtin_fabs(whole));
                const auto multiplier = static_cast<std::int32_t>(whole);
                __builtin_memcpy(run + at, &multiplier, 4);
                __builtin_memcpy(run + vectors * sum_lanes + at, &s.bias, 4);
                run[2 * vectors * sum_lanes + at] = s.factor;
            }
    }
}

/// A pixel's run; of its channels those that are there, where more would spoil what lies behind.
template <int Vectors>
SPLITDSL_INLINE void store_run(const ints (&sum)[Vectors], const sum_floats (&factor)[Vectors], const requantisation& r, const std::uint8_t* addend,
                               std::uint8_t* out, int channels) {
    if (channels >= Vectors * sum_lanes) return store_bytes(sum, factor, r, addend, out);
    std::uint8_t all[static_cast<std::size_t>(Vectors * sum_lanes)];
    store_bytes(sum, factor, r, addend, all);
    for (int c = 0; c < channels; ++c) out[c] = all[c];
}
template <int Vectors>
SPLITDSL_INLINE void pointwise_run(int width, const const_byte_view& in, const byte_view& out, const const_byte_view& addend, const requantisation& r,
                                   const float* run, int channels) {
    ints multiplier[Vectors], more[Vectors];
    sum_floats factor[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
        multiplier[v] = load_ints(reinterpret_cast<const std::int32_t*>(run) + v * sum_lanes);
        more[v] = load_ints(reinterpret_cast<const std::int32_t*>(run) + (Vectors + v) * sum_lanes);
    }
    load_factors(run + 2 * Vectors * sum_lanes, factor);
    for (int x = 0; x < width; ++x) {
        ints sum[Vectors];
        load_bytes(in.at + x * in.pixel, sum);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[v] = sum_of(products(sum[v], multiplier[v]), more[v]);
        store_run(sum, factor, r, addend.at ? addend.at + x * addend.pixel : nullptr, out.at + x * out.pixel, channels);
    }
}
SPLITDSL_INLINE const_byte_view moved(const const_byte_view& v, int y, int c) { return {v.at ? v.at + y * v.row + c : nullptr, v.row, v.pixel}; }
SPLITDSL_INLINE byte_view moved(const byte_view& v, int y, int c) { return {v.at + y * v.row + c, v.row, v.pixel}; }

/// `out`: at the channel where the first one goes. Where that is no multiple of 16, only the tensor's channels are written, else whole vectors.
/// Tasks: byte_row_tasks(e).
inline void pointwise_u8(const extent& e, const const_byte_view& in, const byte_view& out, int channel, const const_byte_view& addend, const float* packed,
                         int first, int last) {
    const requantisation r = requantisation_in(packed);
    for_each_byte_row(e, first, last, [&](int y) {
        const float* run = packed + requantisation_floats;
        for (int c = 0; c < e.channels;) {
            const int vectors = pointwise_vectors(e.channels, c), count = channel % 16 == 0 ? vectors * sum_lanes : e.channels - c;
            if (vectors == 4) pointwise_run<4>(e.width, moved(in, y, c), moved(out, y, channel + c), moved(addend, y, c), r, run, count);
            else pointwise_run<group_vectors>(e.width, moved(in, y, c), moved(out, y, channel + c), moved(addend, y, c), r, run, count);
            c += vectors * sum_lanes, run += 3 * vectors * sum_lanes;
        }
    });
}

/// Factors are bytes too: (x - zero) * (factor - zero). The factors' zero stands where a layer's `machine` does.
inline void pack_multiply_u8(byte_scale in, byte_scale factors, byte_scale out, activation act, float* packed) {
    byte_layer l;
    l.out = out, l.act = act;
    requantisation r = requantisation_of(l);
    const double scale = static_cast<double>(in.scale) * static_cast<double>(factors.scale), ratio = scale / static_cast<double>(out.scale);
    const double bounded = ratio < 1e4 ? ratio : 1e4; // products are below 2^16
    r.addend_zero = in.zero, r.machine = factors.zero;
    r.addend_factor = static_cast<float>(has_curve(act) ? bounded * static_cast<double>(out.scale) : bounded);
    __builtin_memcpy(packed, &r, sizeof r);
}
template <int Vectors>
SPLITDSL_INLINE void multiply_run(int width, const const_byte_view& in, const std::uint8_t* factors, const byte_view& out, const requantisation& r) {
    ints by[Vectors];
    sum_floats factor[Vectors];
    load_bytes(factors, by);
    const ints zero = every_int(r.addend_zero);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) by[v] = lower_halves(difference(by[v], every_int(r.machine))), factor[v] = every_float(r.addend_factor);
    for (int x = 0; x < width; ++x) {
        ints sum[Vectors];
        load_bytes(in.at + x * in.pixel, sum);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[v] = products(difference(sum[v], zero), by[v]);
        store_bytes(sum, factor, r, nullptr, out.at + x * out.pixel);
    }
}
/// `factors`: one byte for each channel. Tasks: byte_row_tasks(e).
inline void multiply_u8(const extent& e, const const_byte_view& in, const std::uint8_t* factors, const byte_view& out, const float* packed, int first, int last) {
    const requantisation r = requantisation_in(packed);
    for_each_byte_row(e, first, last, [&](int y) {
        for (int c = 0; c < e.channels;) {
            const int vectors = pointwise_vectors(e.channels, c);
            if (vectors == 4) multiply_run<4>(e.width, moved(in, y, c), factors + c, moved(out, y, c), r);
            else multiply_run<group_vectors>(e.width, moved(in, y, c), factors + c, moved(out, y, c), r);
            c += vectors * sum_lanes;
        }
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
