// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file requantise_u8.hpp
/// Sums made bytes again: single IEEE operations in a fixed order, so that every instruction set gives the same bytes.
///
/// float(sum) * factor, plus the addend's float(byte - zero) * factor, or a curve of it, to the nearest whole number (ties to even), plus zero, bounded.
#pragma once

#include "bytes.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Channel whose sum stands in a vector's lane, where `vectors` of them make the bytes of a pixel's vectors * sum_lanes channels: as the machine packs.
SPLITDSL_INLINE constexpr int channel_of_lane(int vectors, int vector, int lane) {
    if (sum_lanes == 4 || vectors == 1) return vector * sum_lanes + lane;
    return lane / 4 * 4 * vectors + vector * 4 + lane % 4;
}

#if defined(SPLITDSL_ARCH_AVX512)
using sum_floats = __m512;
inline constexpr auto every_lane = static_cast<__mmask16>(0xffff);
SPLITDSL_INLINE ints load_ints(const std::int32_t* p) { return _mm512_loadu_si512(p); }
SPLITDSL_INLINE void store_ints(std::int32_t* p, ints x) { _mm512_storeu_si512(p, x); }
SPLITDSL_INLINE ints every_int(int x) { return _mm512_set1_epi32(x); }
SPLITDSL_INLINE ints difference(ints a, ints b) { return _mm512_sub_epi32(a, b); }
SPLITDSL_INLINE ints sum_of(ints a, ints b) { return _mm512_add_epi32(a, b); }
SPLITDSL_INLINE sum_floats load_factors(const float* p) { return _mm512_loadu_ps(p); }
SPLITDSL_INLINE sum_floats every_float(float x) { return _mm512_set1_ps(x); }
SPLITDSL_INLINE sum_floats to_floats(ints x) { return _mm512_maskz_cvtepi32_ps(every_lane, x); }
SPLITDSL_INLINE ints to_nearest(sum_floats x) { return _mm512_maskz_cvtps_epi32(every_lane, x); }
SPLITDSL_INLINE sum_floats product(sum_floats a, sum_floats b) {
    sum_floats c = _mm512_mul_ps(a, b);
    asm("" : "+v"(c)); // no contraction, whatever the flags
    return c;
}
SPLITDSL_INLINE sum_floats sum_of(sum_floats a, sum_floats b) { return _mm512_add_ps(a, b); }
SPLITDSL_INLINE sum_floats within(sum_floats x, float low, float high) {
    return _mm512_maskz_min_ps(every_lane, _mm512_maskz_max_ps(every_lane, x, every_float(low)), every_float(high));
}
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
using sum_floats = __m256;
SPLITDSL_INLINE ints load_ints(const std::int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
SPLITDSL_INLINE void store_ints(std::int32_t* p, ints x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
SPLITDSL_INLINE ints every_int(int x) { return _mm256_set1_epi32(x); }
SPLITDSL_INLINE ints difference(ints a, ints b) { return _mm256_sub_epi32(a, b); }
SPLITDSL_INLINE ints sum_of(ints a, ints b) { return _mm256_add_epi32(a, b); }
SPLITDSL_INLINE sum_floats load_factors(const float* p) { return _mm256_loadu_ps(p); }
SPLITDSL_INLINE sum_floats every_float(float x) { return _mm256_set1_ps(x); }
SPLITDSL_INLINE sum_floats to_floats(ints x) { return _mm256_cvtepi32_ps(x); }
SPLITDSL_INLINE ints to_nearest(sum_floats x) { return _mm256_cvtps_epi32(x); }
SPLITDSL_INLINE sum_floats product(sum_floats a, sum_floats b) {
    sum_floats c = _mm256_mul_ps(a, b);
    asm("" : "+x"(c));
    return c;
}
SPLITDSL_INLINE sum_floats sum_of(sum_floats a, sum_floats b) { return _mm256_add_ps(a, b); }
SPLITDSL_INLINE sum_floats within(sum_floats x, float low, float high) { return _mm256_min_ps(_mm256_max_ps(x, every_float(low)), every_float(high)); }
#elif defined(SPLITDSL_ARCH_NEON)
using sum_floats = float32x4_t;
SPLITDSL_INLINE ints load_ints(const std::int32_t* p) { return vld1q_s32(p); }
SPLITDSL_INLINE void store_ints(std::int32_t* p, ints x) { vst1q_s32(p, x); }
SPLITDSL_INLINE ints every_int(int x) { return vdupq_n_s32(x); }
SPLITDSL_INLINE ints difference(ints a, ints b) { return vsubq_s32(a, b); }
SPLITDSL_INLINE ints sum_of(ints a, ints b) { return vaddq_s32(a, b); }
SPLITDSL_INLINE sum_floats load_factors(const float* p) { return vld1q_f32(p); }
SPLITDSL_INLINE sum_floats every_float(float x) { return vdupq_n_f32(x); }
SPLITDSL_INLINE sum_floats to_floats(ints x) { return vcvtq_f32_s32(x); }
SPLITDSL_INLINE ints to_nearest(sum_floats x) { return vcvtnq_s32_f32(x); }
SPLITDSL_INLINE sum_floats product(sum_floats a, sum_floats b) {
    sum_floats c = vmulq_f32(a, b);
    asm("" : "+w"(c));
    return c;
}
SPLITDSL_INLINE sum_floats sum_of(sum_floats a, sum_floats b) { return vaddq_f32(a, b); }
SPLITDSL_INLINE sum_floats within(sum_floats x, float low, float high) { return vminq_f32(vmaxq_f32(x, every_float(low)), every_float(high)); }
#else
using sum_floats = __m128;
SPLITDSL_INLINE ints load_ints(const std::int32_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
SPLITDSL_INLINE void store_ints(std::int32_t* p, ints x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
SPLITDSL_INLINE ints every_int(int x) { return _mm_set1_epi32(x); }
SPLITDSL_INLINE ints difference(ints a, ints b) { return _mm_sub_epi32(a, b); }
SPLITDSL_INLINE ints sum_of(ints a, ints b) { return _mm_add_epi32(a, b); }
SPLITDSL_INLINE sum_floats load_factors(const float* p) { return _mm_loadu_ps(p); }
SPLITDSL_INLINE sum_floats every_float(float x) { return _mm_set1_ps(x); }
SPLITDSL_INLINE sum_floats to_floats(ints x) { return _mm_cvtepi32_ps(x); }
SPLITDSL_INLINE ints to_nearest(sum_floats x) { return _mm_cvtps_epi32(x); }
SPLITDSL_INLINE sum_floats product(sum_floats a, sum_floats b) {
    sum_floats c = _mm_mul_ps(a, b);
    asm("" : "+x"(c));
    return c;
}
SPLITDSL_INLINE sum_floats sum_of(sum_floats a, sum_floats b) { return _mm_add_ps(a, b); }
SPLITDSL_INLINE sum_floats within(sum_floats x, float low, float high) { return _mm_min_ps(_mm_max_ps(x, every_float(low)), every_float(high)); }
#endif

/// The bytes of Vectors * sum_lanes channels as whole numbers, in the order of the lanes.
template <int Vectors>
SPLITDSL_INLINE void load_bytes(const std::uint8_t* from, ints (&x)[Vectors]) {
#if defined(SPLITDSL_ARCH_AVX512)
    const __m512i none = _mm512_setzero_si512();
    if constexpr (Vectors == 1) x[0] = _mm512_maskz_cvtepu8_epi32(every_lane, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    else if constexpr (Vectors == 2) {
        const __m512i wide = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
        x[0] = _mm512_unpacklo_epi16(wide, none), x[1] = _mm512_unpackhi_epi16(wide, none);
    } else {
        const __m512i all = _mm512_loadu_si512(from), low = _mm512_unpacklo_epi8(all, none), high = _mm512_unpackhi_epi8(all, none);
        x[0] = _mm512_unpacklo_epi16(low, none), x[1] = _mm512_unpackhi_epi16(low, none);
        x[2] = _mm512_unpacklo_epi16(high, none), x[3] = _mm512_unpackhi_epi16(high, none);
    }
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
    const __m256i none = _mm256_setzero_si256();
    if constexpr (Vectors == 2) {
        const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
        x[0] = _mm256_unpacklo_epi16(wide, none), x[1] = _mm256_unpackhi_epi16(wide, none);
    } else {
        const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), low = _mm256_unpacklo_epi8(all, none), high = _mm256_unpackhi_epi8(all, none);
        x[0] = _mm256_unpacklo_epi16(low, none), x[1] = _mm256_unpackhi_epi16(low, none);
        x[2] = _mm256_unpacklo_epi16(high, none), x[3] = _mm256_unpackhi_epi16(high, none);
    }
#elif defined(SPLITDSL_ARCH_NEON)
    const uint8x16_t all = vld1q_u8(from);
    const uint16x8_t low = vmovl_u8(vget_low_u8(all)), high = vmovl_u8(vget_high_u8(all));
    x[0] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), x[1] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low)));
    x[2] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), x[3] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)));
#else
    const __m128i none = _mm_setzero_si128(), all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i low = _mm_unpacklo_epi8(all, none), high = _mm_unpackhi_epi8(all, none);
    x[0] = _mm_unpacklo_epi16(low, none), x[1] = _mm_unpackhi_epi16(low, none);
    x[2] = _mm_unpacklo_epi16(high, none), x[3] = _mm_unpackhi_epi16(high, none);
#endif
}

/// Whole numbers below 2^31 in size, plus zero, bounded, as bytes: 4 * sum_lanes of them.
SPLITDSL_INLINE ints packed_bytes(const ints (&q)[4], const requantisation& r) {
    const auto zero = static_cast<std::int16_t>(r.zero);
    const auto low = static_cast<std::uint8_t>(r.low), high = static_cast<std::uint8_t>(r.high);
#if defined(SPLITDSL_ARCH_AVX512)
    const __m512i from = _mm512_set1_epi16(zero);
    const __m512i b = _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), from), _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), from));
    return _mm512_min_epu8(_mm512_max_epu8(b, _mm512_set1_epi8(static_cast<char>(low))), _mm512_set1_epi8(static_cast<char>(high)));
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
    const __m256i from = _mm256_set1_epi16(zero);
    const __m256i b = _mm256_packus_epi16(_mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), from), _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), from));
    return _mm256_min_epu8(_mm256_max_epu8(b, _mm256_set1_epi8(static_cast<char>(low))), _mm256_set1_epi8(static_cast<char>(high)));
#elif defined(SPLITDSL_ARCH_NEON)
    const int16x8_t from = vdupq_n_s16(zero);
    const int16x8_t front = vqaddq_s16(vcombine_s16(vqmovn_s32(q[0]), vqmovn_s32(q[1])), from);
    const int16x8_t behind = vqaddq_s16(vcombine_s16(vqmovn_s32(q[2]), vqmovn_s32(q[3])), from);
    return vreinterpretq_s32_u8(vminq_u8(vmaxq_u8(vcombine_u8(vqmovun_s16(front), vqmovun_s16(behind)), vdupq_n_u8(low)), vdupq_n_u8(high)));
#else
    const __m128i from = _mm_set1_epi16(zero);
    const __m128i b = _mm_packus_epi16(_mm_adds_epi16(_mm_packs_epi32(q[0], q[1]), from), _mm_adds_epi16(_mm_packs_epi32(q[2], q[3]), from));
    return _mm_min_epu8(_mm_max_epu8(b, _mm_set1_epi8(static_cast<char>(low))), _mm_set1_epi8(static_cast<char>(high)));
#endif
}
template <int Vectors>
SPLITDSL_INLINE void pack_bytes(const ints (&q)[Vectors], const requantisation& r, std::uint8_t* out) {
    if constexpr (Vectors == 4) {
        const ints all = packed_bytes(q, r);
        __builtin_memcpy(out, &all, sizeof all);
    } else {
#if defined(SPLITDSL_ARCH_AVX512)
        if constexpr (Vectors == 1) {
            const __m512i x = _mm512_maskz_max_epi32(every_lane, _mm512_add_epi32(q[0], _mm512_set1_epi32(r.zero)), _mm512_set1_epi32(r.low));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_maskz_cvtepi32_epi8(every_lane, _mm512_maskz_min_epi32(every_lane, x, _mm512_set1_epi32(r.high))));
        } else {
            const auto every = [](int x) { return _mm512_set1_epi16(static_cast<std::int16_t>(x)); };
            const __m512i x = _mm512_max_epi16(_mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), every(r.zero)), every(r.low));
            const __m512i bounded = _mm512_min_epi16(x, every(r.high));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_maskz_cvtepi16_epi8(static_cast<__mmask32>(-1), bounded));
        }
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
        const __m256i x = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_set1_epi16(static_cast<std::int16_t>(r.zero)));
        const __m128i b = _mm_packus_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
        const __m128i bounded = _mm_min_epu8(_mm_max_epu8(b, _mm_set1_epi8(static_cast<char>(r.low))), _mm_set1_epi8(static_cast<char>(r.high)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bounded);
#endif
    }
}

/// A pixel's sums on their way to bytes: what follows is pack_bytes. `factor`: of each, in the order of the lanes. `addend`: null if there is none.
template <int Vectors>
SPLITDSL_INLINE void requantise(const ints (&sum)[Vectors], const sum_floats (&factor)[Vectors], const requantisation& r, const std::uint8_t* addend,
                                ints (&q)[Vectors]) {
    sum_floats v[Vectors];
#pragma GCC unroll 4
    for (int k = 0; k < Vectors; ++k) v[k] = product(to_floats(sum[k]), factor[k]);
    if (addend) {
        ints x[Vectors];
        load_bytes(addend, x);
#pragma GCC unroll 4
        for (int k = 0; k < Vectors; ++k) v[k] = sum_of(v[k], product(to_floats(difference(x[k], every_int(r.addend_zero))), every_float(r.addend_factor)));
    }
    if (r.curve != activation::none) {
#pragma GCC unroll 4
        for (int k = 0; k < Vectors; ++k) {
            const sum_floats step = within(sum_of(v[k], every_float(3)), 0, 6);
            v[k] = product(r.curve == activation::hard_swish ? product(v[k], step) : step, every_float(r.curve_factor));
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < Vectors; ++k) q[k] = to_nearest(v[k]);
}
template <int Vectors>
SPLITDSL_INLINE void store_bytes(const ints (&sum)[Vectors], const sum_floats (&factor)[Vectors], const requantisation& r, const std::uint8_t* addend,
                                 std::uint8_t* out) {
    ints q[Vectors];
    requantise(sum, factor, r, addend, q);
    pack_bytes(q, r, out);
}
template <int Vectors>
SPLITDSL_INLINE void load_factors(const float* from, sum_floats (&factor)[Vectors]) {
#pragma GCC unroll 4
    for (int k = 0; k < Vectors; ++k) factor[k] = load_factors(from + k * sum_lanes);
}

/// Whole numbers and factor of one output channel, so that float(sum) * factor stays below 2^30 whatever the input.
struct byte_sums {
    std::int32_t bias = 0;
    float factor = 0;
};
/// The real bias of a channel.
SPLITDSL_INLINE double byte_bias(const byte_layer& l, int channel) {
    return (l.bias ? static_cast<double>(l.bias[channel]) : 0.0) + (l.shift ? static_cast<double>(l.shift[channel]) : 0.0);
}
/// A step of weights that a bias fits beside: next to weights of almost nothing, 2^28 steps of theirs would not reach it.
SPLITDSL_INLINE double step_beside(const byte_layer& l, int channel, double step) {
    const double least = __builtin_fabs(byte_bias(l, channel)) / 268435456.0;
    return step > least ? step : least;
}
/// `weights`: the sum of what they are rounded to; `zeros`: the sum of each times its input's zero; `sizes`: the sum of their sizes. `step`: what 1 means.
SPLITDSL_INLINE byte_sums byte_sums_of(const byte_layer& l, int channel, double step, double weights, double zeros, double sizes) {
    double bias = __builtin_nearbyint(byte_bias(l, channel) / step - zeros);
    bias = bias < -1e9 ? -1e9 : bias > 1e9 ? 1e9 : bias;
    byte_sums s;
    s.bias = static_cast<std::int32_t>(bias + byte_centre * weights);
    const double largest = (bias < 0 ? -bias : bias) + 255 * sizes + 1, scale = static_cast<double>(l.out.scale);
    double factor = l.to_floats ? step : step / scale;
    if (!l.to_floats && factor * largest > 1e9) factor = 1e9 / largest;
    s.factor = static_cast<float>(!l.to_floats && has_curve(l.act) ? factor * scale : factor);
    return s;
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
