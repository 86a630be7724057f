// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file vec.hpp
/// One vector of floats and the few operations the kernels need; the only file that includes xsimd.
///
/// What differs between xsimd's versions, and what its AVX-512 lacks (a fused multiply-add in 8.1: the generic x * y + z runs at
/// half speed where the compiler does not contract), is settled here once.
#pragma once

#include "arch.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#if defined(SPLITDSL_ARCH_AVX512)
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

#if defined(SPLITDSL_ARCH_AVX512)
using xsimd_arch = xsimd::avx512bw;
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
using xsimd_arch = xsimd::fma3<xsimd::avx2>;
#elif defined(SPLITDSL_ARCH_AVX)
using xsimd_arch = xsimd::avx;
#elif defined(SPLITDSL_ARCH_NEON)
using xsimd_arch = xsimd::neon64;
#elif defined(SPLITDSL_ARCH_SSE4_2)
using xsimd_arch = xsimd::sse4_2;
#else
using xsimd_arch = xsimd::sse2;
#endif

using vec = xsimd::batch<float, xsimd_arch>;
static_assert(vec::size == static_cast<std::size_t>(lanes));

SPLITDSL_INLINE vec load(const float* p) { return vec::load_unaligned(p); }
SPLITDSL_INLINE void store(float* p, const vec& v) { v.store_unaligned(p); }
SPLITDSL_INLINE vec broadcast(float x) { return vec(x); }
SPLITDSL_INLINE vec zero() { return vec(0.0F); }

/// a * b + c: fused where the machine can (all but SSE and AVX without FMA).
SPLITDSL_INLINE vec multiply_add(const vec& a, const vec& b, const vec& c) {
#if defined(SPLITDSL_ARCH_AVX512)
    return vec(_mm512_fmadd_ps(a, b, c));
#else
    return xsimd::fma(a, b, c);
#endif
}

/// sum = a * b + sum, the same value as multiply_add's. The instruction stands here because g++ would pick forms of it that overwrite a or b,
/// and move and spill sums to get them back: one instruction in ten of a tile's loop.
SPLITDSL_INLINE void add_product(vec& sum, const vec& a, const vec& b) {
#if defined(SPLITDSL_ARCH_AVX512)
    __m512 s = sum;
    asm("vfmadd231ps %2, %1, %0" : "+v"(s) : "v"(static_cast<__m512>(a)), "v"(static_cast<__m512>(b)));
    sum = vec(s);
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
    __m256 s = sum;
    asm("vfmadd231ps %2, %1, %0" : "+x"(s) : "x"(static_cast<__m256>(a)), "x"(static_cast<__m256>(b)));
    sum = vec(s);
#else
    sum = multiply_add(a, b, sum);
#endif
}

#if defined(SPLITDSL_ARCH_NEON)
/// sum + k * (lane Lane of x), fused: the instruction reads one lane by itself, so nothing has to be broadcast.
template <int Lane>
SPLITDSL_INLINE vec multiply_add_lane(const vec& x, const vec& k, const vec& sum) { return vec(vfmaq_laneq_f32(sum, k, x, Lane)); }
#endif

/// a / b, correctly rounded. xsimd 8.1 approximates float division on NEON, which would change the codec's bytes.
SPLITDSL_INLINE vec quotient(const vec& a, const vec& b) {
#if defined(SPLITDSL_ARCH_NEON)
    return vec(vdivq_f32(a, b));
#else
    return a / b;
#endif
}

/// The second operand where either is NaN (x86), so write maximum(bound, x) to let a NaN in x pass.
#if defined(SPLITDSL_ARCH_AVX512) // not xsimd's: g++ 12 warns about an uninitialised value inside its own plain intrinsics
SPLITDSL_INLINE vec maximum(const vec& a, const vec& b) { return vec(_mm512_maskz_max_ps(static_cast<__mmask16>(0xffff), a, b)); }
SPLITDSL_INLINE vec minimum(const vec& a, const vec& b) { return vec(_mm512_maskz_min_ps(static_cast<__mmask16>(0xffff), a, b)); }
#else
SPLITDSL_INLINE vec maximum(const vec& a, const vec& b) { return xsimd::max(a, b); }
SPLITDSL_INLINE vec minimum(const vec& a, const vec& b) { return xsimd::min(a, b); }
#endif
SPLITDSL_INLINE vec absolute(const vec& a) { return xsimd::abs(a); }

/// Correctly rounded.
SPLITDSL_INLINE vec square_root(const vec& a) {
#if defined(SPLITDSL_ARCH_AVX512)
    return vec(_mm512_maskz_sqrt_ps(static_cast<__mmask16>(0xffff), a));
#else
    return xsimd::sqrt(a);
#endif
}

/// a where x < y, else b.
SPLITDSL_INLINE vec where_less(const vec& x, const vec& y, const vec& a, const vec& b) { return xsimd::select(x < y, a, b); }

/// a where x is a number, b where it is NaN.
SPLITDSL_INLINE vec where_number(const vec& x, const vec& a, const vec& b) { return xsimd::select(x == x, a, b); }

/// Sum over the lanes, always in the same order.
SPLITDSL_INLINE float lane_sum(const vec& v) {
    float x[static_cast<std::size_t>(lanes)];
    store(x, v);
    for (int width = lanes / 2; width > 0; width /= 2)
        for (int l = 0; l < width; ++l) x[l] += x[l + width];
    return x[0];
}

/// Vectors of the compiler's own, for the integer steps that xsimd spells differently in each version.
using float_lanes [[gnu::vector_size(lanes * 4)]] = float;
using int_lanes [[gnu::vector_size(lanes * 4)]] = std::int32_t;

/// 2^n for whole n in [-126, 127].
SPLITDSL_INLINE vec power_of_two(const vec& n) {
    float x[static_cast<std::size_t>(lanes)];
    store(x, n);
    float_lanes f;
    __builtin_memcpy(&f, x, sizeof f);
    const int_lanes bits = (__builtin_convertvector(f, int_lanes) + 127) << 23;
    __builtin_memcpy(x, &bits, sizeof bits);
    return load(x);
}

/// The nearest whole number, ties to even, for |x| <= 2^22: adding and taking away 1.5 * 2^23 leaves no room for a fraction.
SPLITDSL_INLINE vec round_to_even(const vec& x) {
    const vec shift = broadcast(12582912.0F);
    return (x + shift) - shift;
}

/// Four floats at each of lanes / 4 places, one behind the other.
SPLITDSL_INLINE vec load_quads(const float* const (&at)[static_cast<std::size_t>(lanes) / 4]) {
    using four [[gnu::vector_size(16)]] = float;
    four part[lanes / 4];
#pragma GCC unroll 4
    for (int k = 0; k < lanes / 4; ++k) __builtin_memcpy(&part[k], at[k], sizeof part[k]);
#if defined(SPLITDSL_ARCH_AVX512)
    const auto low = __builtin_shufflevector(part[0], part[1], 0, 1, 2, 3, 4, 5, 6, 7), high = __builtin_shufflevector(part[2], part[3], 0, 1, 2, 3, 4, 5, 6, 7);
    const float_lanes all = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(SPLITDSL_ARCH_AVX2_FMA) || defined(SPLITDSL_ARCH_AVX)
    const float_lanes all = __builtin_shufflevector(part[0], part[1], 0, 1, 2, 3, 4, 5, 6, 7);
#else
    const float_lanes all = part[0];
#endif
    float x[static_cast<std::size_t>(lanes)];
    __builtin_memcpy(x, &all, sizeof x);
    return load(x);
}

/// Two pixels of four floats each at every place, side by side, as many as fill a vector: of lanes / 8 places, or half of one.
SPLITDSL_INLINE vec load_pairs(const float* first, [[maybe_unused]] const float* second) {
#if defined(SPLITDSL_ARCH_AVX512)
    using eight [[gnu::vector_size(32)]] = float;
    eight a, b;
    __builtin_memcpy(&a, first, sizeof a);
    __builtin_memcpy(&b, second, sizeof b);
    return vec(reinterpret_cast<vec::register_type>(__builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
#else
    return load(first);
#endif
}

template <class Register>
SPLITDSL_INLINE void pin_one(Register& r) { asm("" : "+r"(r)); }

/// Keeps the compiler from computing every address of an unrolled loop ahead of it, which would spill the accumulators.
template <class... Registers>
SPLITDSL_INLINE void pin(Registers&... r) { (pin_one(r), ...); }

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
