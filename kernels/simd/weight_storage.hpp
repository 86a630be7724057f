// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file weight_storage.hpp
/// Weights of 16 bits in memory that are floats again in registers, bit for bit.
///
/// Which form a layer's weights take is read off their values: those that came as f16 or bf16 fit into 16 bits again, others do not. So
/// sums are the same in every form.
#pragma once

#include "vec.hpp"
#include "views.hpp"

#include <splitdsl/codec/half.hpp>

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

enum class weight_storage : std::uint32_t { f32, f16, bf16 };

struct half_weight { std::uint16_t bits; };     ///< a finite binary16
struct bfloat_weight { std::uint16_t bits; };   ///< a finite bfloat16

SPLITDSL_INLINE void put(float* to, float x) { *to = x; }
SPLITDSL_INLINE void put(half_weight* to, float x) { to->bits = half_from_float(x); }
SPLITDSL_INLINE void put(bfloat_weight* to, float x) { to->bits = bfloat_from_float(x); }

/// Whether weights may take 16 bits, and how many at least. SSE and AVX would take longer to widen f16 than to read four bytes. Where one instruction does it,
/// it costs nothing in the first cache and gains from all others (docs/performance_kernels.md); NEON's smaller layers stay as they are, unmeasured.
#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)
inline constexpr bool has_narrow_weights = true;
inline constexpr std::ptrdiff_t least_narrow_weights = 1;

struct half_weights { half_weight at[lanes]; };
struct bfloat_weights { bfloat_weight at[lanes]; };

/// As assembly, so that nothing has to be compiled for F16C: the weights say whether the machine has it.
SPLITDSL_INLINE vec load(const half_weight* from) {
    vec::register_type x;
    asm("vcvtph2ps %1, %0" : "=v"(x) : "m"(*reinterpret_cast<const half_weights*>(from)));
    return vec(x);
}
/// As assembly, because g++ widens half a vector at a time.
SPLITDSL_INLINE vec load(const bfloat_weight* from) {
    int_lanes x;
    asm("vpmovzxwd %1, %0" : "=v"(x) : "m"(*reinterpret_cast<const bfloat_weights*>(from)));
    return vec(reinterpret_cast<vec::register_type>(x << 16));
}
#elif defined(SPLITDSL_ARCH_NEON)
inline constexpr bool has_narrow_weights = true;
inline constexpr std::ptrdiff_t least_narrow_weights = 1 << 20;

SPLITDSL_INLINE vec load(const half_weight* from) {
    uint16x4_t x;
    __builtin_memcpy(&x, from, sizeof x);
    return vec(vcvt_f32_f16(vreinterpret_f16_u16(x)));
}
SPLITDSL_INLINE vec load(const bfloat_weight* from) {
    uint16x4_t x;
    __builtin_memcpy(&x, from, sizeof x);
    return vec(vreinterpretq_f32_u32(vshll_n_u16(x, 16)));
}
#else
inline constexpr bool has_narrow_weights = false;
inline constexpr std::ptrdiff_t least_narrow_weights = 0;
#endif

/// Whether this processor widens half_weight. F16C is bit 29 of ecx of leaf 1: processors with AVX2 have it, but a virtual one may hide it.
inline bool machine_has_halves() {
#if defined(SPLITDSL_ARCH_AVX2_FMA)
    unsigned a = 1, b = 0, c = 0, d = 0;
    asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (c >> 29 & 1U) != 0;
#else
    return has_narrow_weights;
#endif
}

/// Lanes whose value one of the forms does not hold are not zero.
struct form_faults {
    int_lanes half{}, bfloat{};
    SPLITDSL_INLINE void add(const float* weights) {
        int_lanes bits;
        __builtin_memcpy(&bits, weights, sizeof bits);
        const int_lanes magnitude = bits & 0x7fffffff, is_small = magnitude < 0x38800000;   // below 2^-14, the least normal half
        const int_lanes is_normal = ~is_small & (magnitude <= 0x477fe000) & ((bits & 0x1fff) == 0); // up to 65504, ten bits behind the point
        const float_lanes in_units = reinterpret_cast<float_lanes>(is_small & magnitude) * 0x1p24F; // of the least subnormal
        const int_lanes is_whole = __builtin_convertvector(__builtin_convertvector(in_units, int_lanes), float_lanes) == in_units;
        const int_lanes is_subnormal = is_small & is_whole & ((magnitude == 0) | (magnitude >= 0x33800000));
        half |= ~(is_normal | is_subnormal);
        bfloat |= (bits & 0xffff) | (magnitude >= 0x7f800000);
    }
    static bool any(const int_lanes& of) {
        int x[static_cast<std::size_t>(lanes)], all = 0;
        __builtin_memcpy(x, &of, sizeof x);
        for (const int one : x) all |= one;
        return all != 0;
    }
};

/// The least room in which `count` weights lie unchanged. Infinities and NaNs stay f32.
/// Cost: a fraction of a nanosecond a weight if they fit into 16 bits; next to nothing for weights of 24 bits.
inline weight_storage storage_of(const float* weights, std::ptrdiff_t count) {
    constexpr std::ptrdiff_t piece = 1024;
    if (!has_narrow_weights || count < least_narrow_weights) return weight_storage::f32;
    bool halves = machine_has_halves(), bfloats = true;
    for (std::ptrdiff_t begin = 0; begin < count && (halves || bfloats); begin += piece) {
        const std::ptrdiff_t end = smaller_distance(count, begin + piece);
        form_faults faults;
        std::ptrdiff_t i = begin;
        for (; i + lanes <= end; i += lanes) faults.add(weights + i);
        if (i < end) {
            float rest[static_cast<std::size_t>(lanes)]{}; // zeros fit
            __builtin_memcpy(rest, weights + i, static_cast<std::size_t>(end - i) * sizeof(float));
            faults.add(rest);
        }
        halves = halves && !form_faults::any(faults.half);
        bfloats = bfloats && !form_faults::any(faults.bfloat);
    }
    return halves ? weight_storage::f16 : bfloats ? weight_storage::bf16 : weight_storage::f32;
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
