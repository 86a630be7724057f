// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file affine_codec.hpp
/// Range, quantise and dequantise planar floats, bit for bit as the codec's scalar formulas.
///
/// The formulas are single IEEE operations whose order is fixed: a division, an addition, a clamp, a rounding. Quantising to 8 bits takes
/// the same bytes from one multiply-add in fixed point and divides only where a value is too near a tie to tell (`fixed_point`). To 16 bits it
/// divides: a float has no bits left there to tell ties by, and quotients from fused multiply-adds took 1.5 to 1.8 times as long (Zen 5).
#pragma once

#include "transpose.hpp"
#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Least and greatest finite value; `any` is false if there is none.
struct value_range {
    float low = 0, high = 0;
    bool any = false;
};

/// The range of both.
SPLITDSL_INLINE void join(value_range& all, const value_range& r) {
    if (!r.any) return;
    all.low = !all.any || r.low < all.low ? r.low : all.low, all.high = !all.any || r.high > all.high ? r.high : all.high;
    all.any = true;
}

/// xsimd's vector as the compiler's own, and back.
SPLITDSL_INLINE vec as_vec(const float_lanes& v) { return vec(reinterpret_cast<vec::register_type>(v)); }
SPLITDSL_INLINE float_lanes as_lanes(const vec& v) { return reinterpret_cast<float_lanes>(static_cast<vec::register_type>(v)); }

/// The order of the floats as an order of integers: -0 before +0, whatever the order of the reduction.
SPLITDSL_INLINE int_lanes order_of(const int_lanes& bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
SPLITDSL_INLINE int_lanes chosen(const int_lanes& mask, const int_lanes& a, const int_lanes& b) { return (mask & a) | (~mask & b); }

/// NaN and the infinities are left out.
inline value_range range_of(const float* x, std::size_t count) {
    constexpr std::int32_t top = 0x7fffffff, bottom = -top - 1;
    constexpr std::size_t step = static_cast<std::size_t>(lanes);
    constexpr int ways = 4; // what follows takes several cycles one after another
    int_lanes lows[ways], highs[ways];
    for (int k = 0; k < ways; ++k) lows[k] = int_lanes{} + top, highs[k] = int_lanes{} + bottom;
    const auto take = [&](const int_lanes& bits, int_lanes& low, int_lanes& high) __attribute__((always_inline)) {
        const int_lanes finite = (bits & 0x7fffffff) < 0x7f800000, key = order_of(bits);
        const int_lanes for_low = chosen(finite, key, int_lanes{} + top), for_high = chosen(finite, key, int_lanes{} + bottom);
        low = chosen(for_low < low, for_low, low);
        high = chosen(for_high > high, for_high, high);
    };
    std::size_t i = 0;
    for (; i + ways * step <= count; i += ways * step)
#pragma GCC unroll 4
        for (int k = 0; k < ways; ++k) {
            int_lanes bits;
            __builtin_memcpy(&bits, x + i + static_cast<std::size_t>(k) * step, sizeof bits);
            take(bits, lows[k], highs[k]);
        }
    for (; i < count; i += step) {
        int_lanes bits = int_lanes{} + 0x7f800000; // an infinity: left out
        if (count - i >= step) __builtin_memcpy(&bits, x + i, sizeof bits);
        else __builtin_memcpy(&bits, x + i, (count - i) * sizeof(float));
        take(bits, lows[0], highs[0]);
    }
    int_lanes low = lows[0], high = highs[0];
    for (int k = 1; k < ways; ++k) low = chosen(lows[k] < low, lows[k], low), high = chosen(highs[k] > high, highs[k], high);
    std::int32_t least = top, most = bottom;
    for (int l = 0; l < lanes; ++l) least = low[l] < least ? low[l] : least, most = high[l] > most ? high[l] : most;
    if (least > most) return {};
    least ^= (least >> 31) & 0x7fffffff, most ^= (most >> 31) & 0x7fffffff;
    value_range r;
    __builtin_memcpy(&r.low, &least, sizeof r.low);
    __builtin_memcpy(&r.high, &most, sizeof r.high);
    r.any = true;
    return r;
}

/// The least of all lanes of `low` and the greatest of `high`.
SPLITDSL_INLINE value_range ends_of(const vec& low, const vec& high) {
    float least[lanes], most[lanes];
    store(least, low), store(most, high);
    value_range r{least[0], most[0], true};
    for (int l = 1; l < lanes; ++l) r.low = least[l] < r.low ? least[l] : r.low, r.high = most[l] > r.high ? most[l] : r.high;
    return r;
}

/// The same where nobody asks which zero an end of 0 is: all of affine_parameters_of does not. Several times as fast.
inline value_range range_of_any_zero(const float* x, std::size_t count) {
    constexpr std::size_t step = static_cast<std::size_t>(lanes);
    constexpr int ways = 4;
    if (count < ways * step) return range_of(x, count);
    vec lows[ways], highs[ways], odd[ways];
    for (int k = 0; k < ways; ++k) lows[k] = highs[k] = load(x), odd[k] = zero();
    const auto take = [&](std::size_t i) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (int k = 0; k < ways; ++k) {
            const vec v = load(x + i + static_cast<std::size_t>(k) * step);
            lows[k] = minimum(lows[k], v), highs[k] = maximum(highs[k], v);
            odd[k] = multiply_add(v, zero(), odd[k]); // NaN from the first NaN or infinity on
        }
    };
    std::size_t i = 0;
    for (; i + ways * step <= count; i += ways * step) take(i);
    take(count - ways * step); // some once more
    vec low = lows[0], high = highs[0], any = odd[0];
    for (int k = 1; k < ways; ++k) low = minimum(low, lows[k]), high = maximum(high, highs[k]), any = any + odd[k];
    if (const float sum = lane_sum(any); sum != sum) return range_of(x, count);
    return ends_of(low, high);
}

/// Whole numbers of 0 to 65535 as floats to lanes of 32 bits; and `narrow_step` vectors of them to as many integers, in order.
template <class Integer>
using narrow_lanes [[gnu::vector_size(lanes * sizeof(Integer))]] = Integer;
inline constexpr int narrow_step = 4;
/// 16-bit lanes of a whole vector.
using words [[gnu::vector_size(lanes * 4)]] = std::int16_t;

template <class Integer>
SPLITDSL_INLINE void store_narrow(Integer* to, const vec (&v)[narrow_step]) {
#if defined(SPLITDSL_ARCH_AVX2_FMA)
    const __m256i a = _mm256_cvtps_epi32(v[0]), b = _mm256_cvtps_epi32(v[1]), c = _mm256_cvtps_epi32(v[2]), d = _mm256_cvtps_epi32(v[3]);
    const __m256i first = _mm256_packus_epi32(a, b), second = _mm256_packus_epi32(c, d); // within each half of a register
    if constexpr (sizeof(Integer) == 1) {
        const __m256i all = _mm256_packus_epi16(first, second);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    } else {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(first, 0xd8));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2 * lanes), _mm256_permute4x64_epi64(second, 0xd8));
    }
#elif defined(SPLITDSL_ARCH_AVX512)
    constexpr __mmask16 all = 0xffff;
    for (int k = 0; k < narrow_step; ++k) {
        const __m512i whole = _mm512_maskz_cvtps_epi32(all, v[k]);
        if constexpr (sizeof(Integer) == 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + k * lanes), _mm512_maskz_cvtepi32_epi8(all, whole));
        else _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k * lanes), _mm512_maskz_cvtepi32_epi16(all, whole));
    }
#else
    for (int k = 0; k < narrow_step; ++k) {
        float whole[lanes];
        store(whole, v[k]);
        float_lanes f;
        __builtin_memcpy(&f, whole, sizeof f);
        const narrow_lanes<Integer> few = __builtin_convertvector(__builtin_convertvector(f, int_lanes), narrow_lanes<Integer>);
        __builtin_memcpy(to + k * lanes, &few, sizeof few);
    }
#endif
}

/// The definition, for any scale > 0: a whole number as a float, from x / scale.
SPLITDSL_INLINE vec whole_level(const vec& ratio, const vec& zero_point, const vec& top) {
    const vec real = where_number(ratio, ratio, zero()); // NaN goes to the zero point
    return round_to_even(minimum(maximum(zero_point + real, zero()), top));
}
template <class Integer>
SPLITDSL_INLINE void quantise_by_division(const float* x, std::size_t count, float scale, float zero_point, Integer* q) {
    constexpr float most = static_cast<float>(static_cast<Integer>(-1));
    constexpr std::size_t step = static_cast<std::size_t>(lanes * narrow_step);
    const vec divisor = broadcast(scale), offset = broadcast(zero_point), top = broadcast(most);
    const auto some = [&](const float* from, Integer* to) __attribute__((always_inline)) {
        vec whole[narrow_step];
#pragma GCC unroll 4
        for (int k = 0; k < narrow_step; ++k) whole[k] = whole_level(quotient(load(from + k * lanes), divisor), offset, top);
        store_narrow(to, whole);
    };
    std::size_t i = 0;
    for (; i + step <= count; i += step) some(x + i, q + i);
    if (i == count) return;
    float tail[step] = {};
    Integer rest[step];
    for (std::size_t k = 0; k < count - i; ++k) tail[k] = x[i + k];
    some(tail, rest);
    for (std::size_t k = 0; k < count - i; ++k) q[i + k] = rest[k];
}
[[gnu::noinline, gnu::cold]] inline void divide_u8(const float* x, std::size_t count, float scale, float zero_point, std::uint8_t* q) {
    quantise_by_division(x, count, scale, zero_point, q);
}

#if !defined(SPLITDSL_ARCH_AVX) // 8 floats, but integers of 4 lanes
#define SPLITDSL_FIXED_POINT 1

/// zero_point + x / scale + 1/2 with 16 fractional bits: the level is the upper half of 32 bits, and the lower one tells how near a tie is.
///
/// With r the reciprocal, rounded once, x * (2^16 r) + (zero_point + 1/2) * 2^16 as an integer differs from the formula's own
/// zero_point + x / scale, rounded twice, by (in units of 2^-16, levels below 256): 1 of r, 1/2 and 1/2 of the formula's two roundings, 3/4 of
/// the multiply-add's and the integer's, and 1/2 more where the product is rounded by itself. That is less than `slack`. So with `slack`
/// added, a lower half of 2 slack or more proves the upper half. Anything else is divided: ties, and NaN and whatever is beyond 2^15
/// levels, which become 0x80000000 on x86 (on AArch64 0 or the ends, and the ends are right).
struct fixed_point {
#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA) || defined(SPLITDSL_ARCH_NEON)
    static constexpr int slack = 3;
#else
    static constexpr int slack = 4;
#endif
    vec factor, addend;

    fixed_point(float scale, float zero_point) : factor(broadcast(1.0F / scale * 65536.0F)), addend(broadcast((zero_point + 0.5F) * 65536.0F + static_cast<float>(slack))) {}
    /// Keeps the reciprocal normal and 2^16 of it finite.
    static bool serves(float scale) { return scale >= 0x1p-100F && scale <= 0x1p100F; }

#if defined(SPLITDSL_ARCH_AVX512)
    using whole = __m512i;
    SPLITDSL_INLINE whole at(const vec& x) const { return _mm512_maskz_cvtps_epi32(static_cast<__mmask16>(0xffff), multiply_add(x, factor, addend)); }
    static whole nothing_seen() { return _mm512_set1_epi32(-1); }
    SPLITDSL_INLINE static whole seen(const whole& before, const whole (&i)[4]) {
        return _mm512_min_epu16(before, _mm512_min_epu16(_mm512_min_epu16(i[0], i[1]), _mm512_min_epu16(i[2], i[3])));
    }
    SPLITDSL_INLINE static bool near_tie(const whole& least) {
        return _mm512_mask_cmplt_epu16_mask(0x55555555U, least, _mm512_set1_epi16(2 * slack)) != 0;
    }
    /// Upper halves of two registers, in order.
    template <int... I>
    SPLITDSL_INLINE static words upper(const whole& a, const whole& b, places<I...>) {
        return __builtin_shufflevector(reinterpret_cast<words>(a), reinterpret_cast<words>(b), (2 * I + 1)...);
    }
    SPLITDSL_INLINE static words levels(const whole& a, const whole& b) { return upper(a, b, places_below<2 * lanes>{}); }
    /// 4 vectors of levels as bytes, in order.
    SPLITDSL_INLINE static whole bytes(const whole (&i)[4]) {
        const __m512i mixed = _mm512_packus_epi16(reinterpret_cast<__m512i>(levels(i[0], i[1])), reinterpret_cast<__m512i>(levels(i[2], i[3])));
        return _mm512_maskz_permutexvar_epi64(static_cast<__mmask8>(0xff), _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), mixed);
    }
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
    using whole = __m256i;
    SPLITDSL_INLINE whole at(const vec& x) const { return _mm256_cvtps_epi32(multiply_add(x, factor, addend)); }
    static whole nothing_seen() { return _mm256_set1_epi32(-1); }
    SPLITDSL_INLINE static whole seen(const whole& before, const whole (&i)[4]) {
        return _mm256_min_epu16(before, _mm256_min_epu16(_mm256_min_epu16(i[0], i[1]), _mm256_min_epu16(i[2], i[3])));
    }
    SPLITDSL_INLINE static bool near_tie(const whole& least) {
        const __m256i bound = _mm256_set1_epi16(2 * slack - 1);
        return (static_cast<unsigned>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_max_epu16(least, bound), bound))) & 0x33333333U) != 0;
    }
    /// Upper halves of two registers, value by value side by side.
    SPLITDSL_INLINE static whole upper(const whole& a, const whole& b) { return _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa); }
    /// Levels of 0 to 255 of two registers, in order.
    SPLITDSL_INLINE static words levels(const whole& a, const whole& b) {
        return reinterpret_cast<words>(_mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16)), 0xd8));
    }
    /// 4 vectors of levels as bytes, in order.
    SPLITDSL_INLINE static whole bytes(const whole (&i)[4]) {
        const __m256i quads = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
        const __m256i mixed = _mm256_shuffle_epi8(_mm256_packus_epi16(upper(i[0], i[1]), upper(i[2], i[3])), quads);
        return _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
#elif defined(SPLITDSL_ARCH_NEON)
    using whole = int32x4_t;
    SPLITDSL_INLINE whole at(const vec& x) const { return vcvtnq_s32_f32(multiply_add(x, factor, addend)); }
    static uint16x8_t nothing_seen() { return vdupq_n_u16(0xffff); }
    SPLITDSL_INLINE static uint16x8_t seen(const uint16x8_t& before, const whole (&i)[4]) {
        const uint16x8_t a = vminq_u16(vreinterpretq_u16_s32(i[0]), vreinterpretq_u16_s32(i[1])), b = vminq_u16(vreinterpretq_u16_s32(i[2]), vreinterpretq_u16_s32(i[3]));
        return vminq_u16(before, vminq_u16(a, b));
    }
    SPLITDSL_INLINE static bool near_tie(const uint16x8_t& least) {
        return vminvq_u16(vorrq_u16(least, vreinterpretq_u16_u32(vdupq_n_u32(0xffff0000U)))) < 2 * slack;
    }
    SPLITDSL_INLINE static int16x8_t upper(const whole& a, const whole& b) { return vuzp2q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)); }
    SPLITDSL_INLINE static words levels(const whole& a, const whole& b) { return reinterpret_cast<words>(vminq_s16(upper(a, b), vdupq_n_s16(255))); }
    /// 4 vectors of levels as bytes, in order.
    SPLITDSL_INLINE static uint8x16_t bytes(const whole (&i)[4]) { return vcombine_u8(vqmovun_s16(upper(i[0], i[1])), vqmovun_s16(upper(i[2], i[3]))); }
#else
    using whole = __m128i;
    SPLITDSL_INLINE whole at(const vec& x) const { return _mm_cvtps_epi32(x * factor + addend); }
    static whole nothing_seen() { return _mm_setzero_si128(); }
    /// Nonzero in lower halves below 2 slack; SSE2 has no minimum of unsigned words.
    SPLITDSL_INLINE static whole seen(const whole& before, const whole (&i)[4]) {
        const __m128i bound = _mm_set1_epi32(2 * slack);
        const __m128i a = _mm_or_si128(_mm_subs_epu16(bound, i[0]), _mm_subs_epu16(bound, i[1])), b = _mm_or_si128(_mm_subs_epu16(bound, i[2]), _mm_subs_epu16(bound, i[3]));
        return _mm_or_si128(before, _mm_or_si128(a, b));
    }
    SPLITDSL_INLINE static bool near_tie(const whole& below) { return _mm_movemask_epi8(_mm_cmpeq_epi8(below, _mm_setzero_si128())) != 0xffff; }
    SPLITDSL_INLINE static whole upper(const whole& a, const whole& b) { return _mm_packs_epi32(_mm_srai_epi32(a, 16), _mm_srai_epi32(b, 16)); }
    SPLITDSL_INLINE static words levels(const whole& a, const whole& b) { return reinterpret_cast<words>(upper(a, b)); }
    /// 4 vectors of levels as bytes, in order.
    SPLITDSL_INLINE static whole bytes(const whole (&i)[4]) { return _mm_packus_epi16(upper(i[0], i[1]), upper(i[2], i[3])); }
#endif
    SPLITDSL_INLINE static void put(std::uint8_t* to, const whole (&i)[4]) {
        const auto all = bytes(i);
        __builtin_memcpy(to, &all, sizeof all);
    }
};

/// At least 4 vectors; the last ones may be quantised twice.
SPLITDSL_INLINE void quantise_in_fixed_point(const float* x, std::size_t count, float scale, float zero_point, std::uint8_t* q) {
    constexpr std::size_t step = static_cast<std::size_t>(4 * lanes), most = 8 * step; // a tie costs the division of so many
    const fixed_point f(scale, zero_point);
    const std::size_t whole = count / step * step;
    for (std::size_t begin = 0; begin < whole; begin += most) {
        const std::size_t end = whole - begin < most ? whole : begin + most;
        auto near = fixed_point::nothing_seen();
        for (std::size_t i = begin; i < end; i += step) {
            const fixed_point::whole four[4]{f.at(load(x + i)), f.at(load(x + i + lanes)), f.at(load(x + i + 2 * lanes)), f.at(load(x + i + 3 * lanes))};
            near = fixed_point::seen(near, four);
            fixed_point::put(q + i, four);
        }
        if (__builtin_expect(fixed_point::near_tie(near), 0)) divide_u8(x + begin, end - begin, scale, zero_point, q + begin);
    }
    if (whole == count) return;
    const std::size_t last = count - step;
    const fixed_point::whole four[4]{f.at(load(x + last)), f.at(load(x + last + lanes)), f.at(load(x + last + 2 * lanes)), f.at(load(x + last + 3 * lanes))};
    fixed_point::put(q + last, four);
    if (__builtin_expect(fixed_point::near_tie(fixed_point::seen(fixed_point::nothing_seen(), four)), 0)) divide_u8(x + last, step, scale, zero_point, q + last);
}
#endif

/// Integers of 8 or 16 bits plus 2^23 as floats: their bits are those of the integers under the exponent of 2^23.
template <class Integer>
SPLITDSL_INLINE vec load_narrow(const Integer* from) {
#if defined(SPLITDSL_ARCH_AVX2_FMA)
    const __m256i exponent = _mm256_set1_epi32(0x4b000000);
    if constexpr (sizeof(Integer) == 1) return vec(_mm256_castsi256_ps(_mm256_or_si256(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))), exponent)));
    else return vec(_mm256_castsi256_ps(_mm256_or_si256(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))), exponent)));
#elif defined(SPLITDSL_ARCH_AVX512)
    constexpr __mmask16 all = 0xffff;
    const __m512i exponent = _mm512_set1_epi32(0x4b000000);
    if constexpr (sizeof(Integer) == 1) return vec(_mm512_castsi512_ps(_mm512_or_si512(_mm512_maskz_cvtepu8_epi32(all, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))), exponent)));
    else return vec(_mm512_castsi512_ps(_mm512_or_si512(_mm512_maskz_cvtepu16_epi32(all, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), exponent)));
#else
    narrow_lanes<Integer> few;
    __builtin_memcpy(&few, from, sizeof few);
    const int_lanes bits = __builtin_convertvector(few, int_lanes) | 0x4b000000;
    float whole[lanes];
    __builtin_memcpy(whole, &bits, sizeof bits);
    return load(whole);
#endif
}

template <class Integer>
SPLITDSL_INLINE void dequantise_floats(const Integer* q, std::size_t count, float scale, float zero_point, float* x) {
    constexpr std::size_t step = static_cast<std::size_t>(lanes), line = 64 / sizeof(float), ahead = 32 * line;
    const vec factor = broadcast(scale), offset = broadcast(0x1p23F + zero_point); // exact, and so is the difference
    const auto some = [&](std::size_t i) __attribute__((always_inline)) { store(x + i, (load_narrow(q + i) - offset) * factor); };
    std::size_t i = 0;
    for (; i + 2 * line <= count; i += 2 * line) {
        __builtin_prefetch(x + i + ahead, 1); // most of the time goes to lines that are written without having been read
        __builtin_prefetch(x + i + ahead + line, 1);
#pragma GCC unroll 8
        for (std::size_t k = 0; k < 2 * line; k += step) some(i + k);
    }
    for (; i + step <= count; i += step) some(i);
    for (; i < count; ++i) x[i] = (static_cast<float>(q[i]) - zero_point) * scale;
}

/// q = round half to even of clamp(zero_point + x / scale, 0, 255); scale > 0; a NaN becomes the zero point. q does not overlap x.
inline void quantise_u8(const float* x, std::size_t count, float scale, float zero_point, std::uint8_t* q) {
#if defined(SPLITDSL_FIXED_POINT)
    if (count >= static_cast<std::size_t>(4 * lanes) && fixed_point::serves(scale)) return quantise_in_fixed_point(x, count, scale, zero_point, q);
#endif
    divide_u8(x, count, scale, zero_point, q);
}
/// The same up to 65535.
inline void quantise_u16(const float* x, std::size_t count, float scale, float zero_point, std::uint16_t* q) {
    quantise_by_division(x, count, scale, zero_point, q);
}

SPLITDSL_INLINE void quantise_levels(const float* x, std::size_t count, float scale, float zero_point, std::uint8_t* q) { quantise_u8(x, count, scale, zero_point, q); }
SPLITDSL_INLINE void quantise_levels(const float* x, std::size_t count, float scale, float zero_point, std::uint16_t* q) { quantise_u16(x, count, scale, zero_point, q); }

/// x = (q - zero_point) * scale.
inline void dequantise_u8(const std::uint8_t* q, std::size_t count, float scale, float zero_point, float* x) {
    dequantise_floats(q, count, scale, zero_point, x);
}
inline void dequantise_u16(const std::uint16_t* q, std::size_t count, float scale, float zero_point, float* x) {
    dequantise_floats(q, count, scale, zero_point, x);
}

/// Range of a blocked tensor's interior; which zero an end of 0 is, is not said.
inline value_range range_of_blocked(const extent& e, const const_view& in) {
    value_range all;
    for (int b = 0; b < blocks_of(e.channels); ++b) {
        const int count = smaller(lanes, e.channels - b * lanes);
        for (int y = 0; y < e.height; ++y) {
            const float* const row = in.at + b * in.block + y * in.row;
            if (count == lanes) {
                join(all, range_of_any_zero(row, static_cast<std::size_t>(e.width) * static_cast<std::size_t>(lanes)));
                continue;
            }
            constexpr int pixels = 64; // without the lanes behind the last channel
            float real[pixels * lanes];
            for (int x = 0; x < e.width; x += pixels) {
                const int n = smaller(pixels, e.width - x);
                pixels_to_planes(row + std::ptrdiff_t{x} * lanes, n, count, real, n);
                join(all, range_of_any_zero(real, static_cast<std::size_t>(n * count)));
            }
        }
    }
    return all;
}

/// Some of a tensor: blocks of channels [first_block, last_block), rows [top, bottom), columns [left, right).
struct tensor_part {
    int first_block, last_block;
    int top, bottom, left, right;
};

/// Part of a blocked tensor → levels. Pieces of it become planes in the first-level cache and are quantised there.
template <class Level>
[[gnu::noinline]] inline void quantise_part(int channels, const const_view& in, const tensor_part& part, const level_planes<Level>& to) {
    constexpr int pixels = 256; // of a piece
    float planes[pixels * lanes];
    Level levels[pixels];
    int rows = part.bottom - part.top, width = part.right - part.left;
    const bool runs_on = to.row == width && in.row == std::ptrdiff_t{width} * lanes; // row behind row, here and there
    if (runs_on) width *= rows, rows = 1;
    const int together = larger(1, smaller(rows, pixels / larger(1, width)));
    for (int b = part.first_block; b < part.last_block; ++b) {
        const int count = smaller(lanes, channels - b * lanes);
        for (int y = 0; y < rows; y += together) {
            const int some = smaller(together, rows - y);
            for (int x = 0; x < width; x += pixels) {
                const int length = smaller(pixels, width - x), piece = some * length;
                const float* const from = in.at + b * in.block + (part.top + y) * in.row + std::ptrdiff_t{part.left + x} * lanes;
                for (int k = 0; k < some; ++k) pixels_to_planes(from + k * in.row, length, count, planes + k * length, piece);
                Level* const first = to.at + b * lanes * to.plane + (part.top + y) * to.row + part.left + x;
                for (int l = 0; l < count; ++l) {
                    Level* const at = first + l * to.plane;
                    if (some == 1 || to.row == length) {
                        quantise_levels(planes + l * piece, static_cast<std::size_t>(piece), to.scale, to.zero_point, at);
                        continue;
                    }
                    quantise_levels(planes + l * piece, static_cast<std::size_t>(piece), to.scale, to.zero_point, levels);
                    for (int k = 0; k < some; ++k) __builtin_memcpy(at + k * to.row, levels + k * length, static_cast<std::size_t>(length) * sizeof(Level));
                }
            }
        }
    }
}
template <class Level>
SPLITDSL_INLINE void quantise_blocked(const extent& e, const const_view& in, const level_planes<Level>& to) {
    quantise_part(e.channels, in, {0, blocks_of(e.channels), 0, e.height, 0, e.width}, to);
}

/// Rows whose values of one channel are coded together: enough of them that what a call costs is little, few enough that they stay in the cache.
SPLITDSL_INLINE int rows_at_once(const extent& e) { return larger(1, smaller(e.height, 512 / larger(1, e.width))); }

/// Calls `some(block of channels, its channels, first row, rows, floats of a channel's rows, where they begin in the planar tensor)` piece by piece.
template <class Some>
SPLITDSL_INLINE void pieces_of_blocks(const extent& e, Some some) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    for (int b = 0; b < blocks_of(e.channels); ++b)
        for (int y = 0; y < e.height; y += rows_at_once(e)) {
            const int rows = smaller(rows_at_once(e), e.height - y);
            some(b, smaller(lanes, e.channels - b * lanes), y, rows, std::ptrdiff_t{rows} * e.width, b * lanes * plane + std::ptrdiff_t{y} * e.width);
        }
}

/// planar bytes → blocked, as dequantise_u8; lanes behind the last channel become 0. `room`: for rows_at_once rows of
/// `lanes` channels, or for the whole tensor.
inline void dequantise_blocked(const extent& e, const std::uint8_t* q, float scale, float zero_point, float* room, const view& out) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    pieces_of_blocks(e, [&](int b, int count, int y, int rows, std::ptrdiff_t piece, std::ptrdiff_t at) __attribute__((always_inline)) {
        for (int l = 0; l < count; ++l) dequantise_u8(q + at + l * plane, static_cast<std::size_t>(piece), scale, zero_point, room + l * piece);
        for (int k = 0; k < rows; ++k) planes_to_pixels(room + k * e.width, piece, e.width, count, out.at + b * out.block + (y + k) * out.row);
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
