// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file affine_codec.hpp
/// Range, quantise and dequantise planar floats, bit for bit as the codec's scalar formulas.
///
/// Only single IEEE operations whose order is fixed: a division, an addition, a clamp, a rounding; then integers. Nothing here can be
/// contracted into a fused multiply-add.
#pragma once

#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Least and greatest finite value; `any` is false if there is none.
struct value_range {
    float low = 0, high = 0;
    bool any = false;
};

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

/// Whole numbers of 0 to 65535 as floats to lanes of 32 bits; and `narrow_step` vectors of them to as many integers, in order.
template <class Integer>
using narrow_lanes [[gnu::vector_size(lanes * sizeof(Integer))]] = Integer;
inline constexpr int narrow_step = 4;

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

template <class Integer>
SPLITDSL_INLINE void quantise_floats(const float* x, std::size_t count, float scale, float zero_point, Integer* q) {
    constexpr float most = static_cast<float>(static_cast<Integer>(-1));
    constexpr std::size_t step = static_cast<std::size_t>(lanes * narrow_step);
    const vec divisor = broadcast(scale), offset = broadcast(zero_point), top = broadcast(most);
    const auto some = [&](const float* from, Integer* to) {
        vec whole[narrow_step];
#pragma GCC unroll 4
        for (int k = 0; k < narrow_step; ++k) {
            const vec ratio = quotient(load(from + k * lanes), divisor);
            const vec real = where_number(ratio, ratio, zero()); // NaN goes to the zero point
            whole[k] = round_to_even(minimum(maximum(offset + real, zero()), top));
        }
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

/// Integers of 8 or 16 bits as floats.
template <class Integer>
SPLITDSL_INLINE vec load_narrow(const Integer* from) {
#if defined(SPLITDSL_ARCH_AVX2_FMA)
    if constexpr (sizeof(Integer) == 1) return vec(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)))));
    else return vec(_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))));
#else
    narrow_lanes<Integer> few;
    __builtin_memcpy(&few, from, sizeof few);
    const float_lanes f = __builtin_convertvector(__builtin_convertvector(few, int_lanes), float_lanes);
    float whole[lanes];
    __builtin_memcpy(whole, &f, sizeof f);
    return load(whole);
#endif
}

template <class Integer>
SPLITDSL_INLINE void dequantise_floats(const Integer* q, std::size_t count, float scale, float zero_point, float* x) {
    constexpr std::size_t step = static_cast<std::size_t>(lanes);
    const vec factor = broadcast(scale), offset = broadcast(zero_point);
    std::size_t i = 0;
    for (; i + step <= count; i += step) store(x + i, (load_narrow(q + i) - offset) * factor);
    for (; i < count; ++i) x[i] = (static_cast<float>(q[i]) - zero_point) * scale;
}

/// q = round half to even of clamp(zero_point + x / scale, 0, 255); scale > 0; a NaN becomes the zero point.
inline void quantise_u8(const float* x, std::size_t count, float scale, float zero_point, std::uint8_t* q) {
    quantise_floats(x, count, scale, zero_point, q);
}
/// The same up to 65535.
inline void quantise_u16(const float* x, std::size_t count, float scale, float zero_point, std::uint16_t* q) {
    quantise_floats(x, count, scale, zero_point, q);
}

/// x = (q - zero_point) * scale.
inline void dequantise_u8(const std::uint8_t* q, std::size_t count, float scale, float zero_point, float* x) {
    dequantise_floats(q, count, scale, zero_point, x);
}
inline void dequantise_u16(const std::uint16_t* q, std::size_t count, float scale, float zero_point, float* x) {
    dequantise_floats(q, count, scale, zero_point, x);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
