// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bytes.hpp
/// Tensors of bytes and what all kernels on them share: how a value is a byte, products of bytes summed exactly.
///
/// A byte q of a tensor means scale * (q - zero). Products and sums are whole numbers and exact on every instruction set; the way back is a
/// handful of single IEEE operations in a fixed order. So all instruction sets give the same bytes.
///
/// A tensor of (channels, height, width) lies as [rows][columns][pitch] bytes, the same on every instruction set: pitch is 4 for a
/// picture, which has up to four channels, else the next multiple of 16. Around the interior lies a halo that holds `zero`. Bytes beyond the last channel hold anything.
#pragma once

#include "vec.hpp"
#include "views.hpp"

#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA) || defined(SPLITDSL_ARCH_AVX) || defined(SPLITDSL_ARCH_SSE2)
#include <immintrin.h>
#elif defined(SPLITDSL_ARCH_NEON)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// All distances in bytes; `at` is row 0, column 0, channel 0 of the interior.
struct byte_view {
    std::uint8_t* at = nullptr;
    std::ptrdiff_t row = 0;
    std::ptrdiff_t pixel = 0;   ///< the pitch
};
struct const_byte_view {
    const std::uint8_t* at = nullptr;
    std::ptrdiff_t row = 0;
    std::ptrdiff_t pixel = 0;
    constexpr const_byte_view() = default;
    constexpr const_byte_view(const std::uint8_t* a, std::ptrdiff_t r, std::ptrdiff_t p) : at(a), row(r), pixel(p) {}
    SPLITDSL_INLINE constexpr const_byte_view(const byte_view& v) : at(v.at), row(v.row), pixel(v.pixel) {}
};

/// What the bytes of a tensor mean.
struct byte_scale {
    float scale = 1;
    int zero = 0;       ///< the byte of 0
};
/// The scale whose bytes cover [low, high] and 0.
SPLITDSL_INLINE byte_scale byte_scale_of(float low, float high) {
    const double l = low < 0 ? static_cast<double>(low) : 0.0, h = high > 0 ? static_cast<double>(high) : 0.0;
    const double step = (h - l) / 255;
    if (!(step > 1e-30 && step < 1e30)) return {};
    return {static_cast<float>(step), static_cast<int>(__builtin_nearbyint(-l / step))};
}

/// What follows a layer's sums, the same for all its outputs. Lies in front of the packed weights.
struct requantisation {
    std::int32_t zero = 0, low = 0, high = 255; ///< of the output: its 0, and the bounds that the activation sets
    std::int32_t addend_zero = 0;
    float addend_factor = 0;                    ///< the addend's scale over the output's
    std::int32_t machine = 0;                   ///< the products' instruction was found when the weights were packed
    activation curve = activation::none;        ///< hard_swish or hard_sigmoid: sums become real values, then bytes
    float curve_factor = 0;                     ///< 1 / 6 over the output's scale
    std::int32_t unused[8] = {};
};
inline constexpr int requantisation_floats = 16;
static_assert(sizeof(requantisation) == requantisation_floats * sizeof(float));
SPLITDSL_INLINE requantisation requantisation_in(const float* packed) {
    requantisation r;
    __builtin_memcpy(static_cast<void*>(&r), packed, sizeof r);
    return r;
}

/// What turns a layer's numbers into bytes.
struct byte_layer {
    const float* weight = nullptr;      ///< PyTorch's layout
    const float* scale = nullptr;       ///< per output channel, or null: a folded batch norm
    const float* bias = nullptr;        ///< per output channel, or null
    const float* shift = nullptr;       ///< per output channel, or null: added to the bias, found by calibration
    float in_scale[4] = {1, 1, 1, 1};   ///< of input channel c: entry c, or the first alone
    float in_zero[4] = {};              ///< need not be whole
    bool per_channel = false;           ///< of the inputs
    byte_scale out{}, addend{};
    bool to_floats = false;             ///< results stay f32: scale and zero of `out` do not matter
    activation act = activation::none;  ///< none, relu, relu6; without an addend hard_swish and hard_sigmoid
};

SPLITDSL_INLINE constexpr bool has_curve(activation a) { return a == activation::hard_swish || a == activation::hard_sigmoid; }
SPLITDSL_INLINE requantisation requantisation_of(const byte_layer& l) {
    requantisation r;
    r.zero = l.out.zero;
    if (l.act == activation::relu || l.act == activation::relu6) r.low = l.out.zero;
    if (l.act == activation::relu6) {
        const double six = __builtin_nearbyint(6.0 / static_cast<double>(l.out.scale)) + l.out.zero;
        if (six < 255) r.high = static_cast<std::int32_t>(six);
    }
    if (has_curve(l.act)) {
        const double sixth = 1 / (6 * static_cast<double>(l.out.scale));
        r.curve = l.act, r.curve_factor = static_cast<float>(sixth < 1e6 ? sixth : 1e6);
    }
    r.addend_zero = l.addend.zero;
    const double factor = static_cast<double>(l.addend.scale) / static_cast<double>(l.out.scale);
    r.addend_factor = static_cast<float>(factor < 1e6 ? factor : 1e6);
    return r;
}

/// Writes `zero` around the interior. A pixel of four bytes may have another one in each: byte k of `zero`.
inline void byte_halo(const byte_view& v, const extent& e, const halo& h, std::uint32_t zero) {
    const auto fill = [&](int y, int from, int to) {
        std::uint8_t* at = v.at + y * v.row + from * v.pixel;
        const std::ptrdiff_t bytes = (to - from) * v.pixel;
        if (v.pixel == 4)
            for (std::ptrdiff_t i = 0; i < bytes; i += 4) __builtin_memcpy(at + i, &zero, 4);
        else if (bytes > 0) __builtin_memset(at, static_cast<int>(zero & 255U), static_cast<std::size_t>(bytes));
    };
    for (int y = -h.top; y < e.height + h.bottom; ++y) {
        if (y < 0 || y >= e.height) fill(y, -h.left, e.width + h.right);
        else fill(y, -h.left, 0), fill(y, e.width, e.width + h.right);
    }
}

// ---- sums of products -----------------------------------------------------------------------------------------------------------

/// Outputs are computed 16 channels at a time, in `group_vectors` vectors of `sum_lanes` sums.
#if defined(SPLITDSL_ARCH_AVX512)
using ints = __m512i;
inline constexpr int sum_lanes = 16;
#elif defined(SPLITDSL_ARCH_AVX2_FMA)
using ints = __m256i;
inline constexpr int sum_lanes = 8;
#elif defined(SPLITDSL_ARCH_NEON)
using ints = int32x4_t;
inline constexpr int sum_lanes = 4;
#else
using ints = __m128i;
inline constexpr int sum_lanes = 4;
#endif
inline constexpr int group_channels = 16, group_vectors = group_channels / sum_lanes;

/// Weights are in [-127, 127]; besides, two sums of 16 bits that AVX2 forms without a carry must hold for every input: over eight input
/// channels of a tap, the positive and the negative weights at 0, 1, 4, 5 and at 2, 3, 6, 7 each sum up to at most 128 (255 * 128 < 2^15).
inline constexpr int most_weight = 127, most_lane_weight = 128;

#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)

inline constexpr int weight_size = 1, byte_centre = 0; ///< bytes of a packed weight; what is taken off a byte before it is multiplied

/// vpmaddubsw, twice where eight channels follow one another, and one widening sum for both.
struct dot_by_pairs {
    static constexpr bool holds_weights = false; ///< in registers, for all pixels of a tile
    using operand = ints;
#if defined(SPLITDSL_ARCH_AVX512)
    SPLITDSL_INLINE static operand spread(const std::uint8_t* x) { int v; __builtin_memcpy(&v, x, 4); return _mm512_set1_epi32(v); }
    SPLITDSL_INLINE static ints weights(const std::int8_t* w) { return _mm512_loadu_si512(w); }
    SPLITDSL_INLINE static ints widened(ints sum, ints pairs) { return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1))); }
    SPLITDSL_INLINE static ints four(ints sum, operand x, const std::int8_t* w) { return widened(sum, _mm512_maddubs_epi16(x, weights(w))); }
    SPLITDSL_INLINE static ints eight(ints sum, operand x, operand y, const std::int8_t* w, const std::int8_t* k) {
        return widened(sum, _mm512_add_epi16(_mm512_maddubs_epi16(x, weights(w)), _mm512_maddubs_epi16(y, weights(k))));
    }
#else
    SPLITDSL_INLINE static operand spread(const std::uint8_t* x) { int v; __builtin_memcpy(&v, x, 4); return _mm256_set1_epi32(v); }
    SPLITDSL_INLINE static ints weights(const std::int8_t* w) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)); }
    SPLITDSL_INLINE static ints widened(ints sum, ints pairs) { return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))); }
    SPLITDSL_INLINE static ints four(ints sum, operand x, const std::int8_t* w) { return widened(sum, _mm256_maddubs_epi16(x, weights(w))); }
    SPLITDSL_INLINE static ints eight(ints sum, operand x, operand y, const std::int8_t* w, const std::int8_t* k) {
        return widened(sum, _mm256_add_epi16(_mm256_maddubs_epi16(x, weights(w)), _mm256_maddubs_epi16(y, weights(k))));
    }
#endif
};

/// vpdpbusd. Written as assembly, so that objects need not be compiled for it: the weights say whether the machine has it.
struct dot_by_four {
    static constexpr bool holds_weights = true;
    using operand = ints;
    SPLITDSL_INLINE static operand spread(const std::uint8_t* x) { return dot_by_pairs::spread(x); }
    SPLITDSL_INLINE static ints weights(const std::int8_t* w) { return dot_by_pairs::weights(w); }
    SPLITDSL_INLINE static void add(ints& sum, operand x, ints w) {
#if defined(SPLITDSL_ARCH_AVX512)
        asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
#else
        asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
#endif
    }
};

/// Whether dot_by_four runs here. Leaf 7: AVX512_VNNI is bit 11 of ecx, AVX-VNNI bit 4 of eax of its subleaf 1.
inline bool machine_has_dot() {
#if defined(SPLITDSL_ARCH_AVX512)
    return __builtin_cpu_supports("avx512vnni");
#else
    unsigned a = 7, b = 0, c = 0, d = 0;
    asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < 1) return false;
    a = 7, c = 1;
    asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (a >> 4 & 1U) != 0;
#endif
}
SPLITDSL_INLINE void put_weight(std::int8_t* step, bool, int vector, int lane, int k, int value) {
    step[(vector * sum_lanes + lane) * 4 + k] = static_cast<std::int8_t>(value);
}

#elif defined(SPLITDSL_ARCH_NEON)

inline constexpr int weight_size = 1, byte_centre = 128;

SPLITDSL_INLINE int8x16_t centred(uint32x4_t x) { return vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(x), vdupq_n_u8(128))); }

/// smull and smlal into 16 bits (two products of at most 2^14), then sadalp.
struct dot_by_pairs {
    static constexpr bool holds_weights = false;
    struct operand { int8x8_t front, behind; };
    SPLITDSL_INLINE static operand spread(const std::uint8_t* x) {
        std::uint16_t v[2];
        __builtin_memcpy(v, x, 4);
        const uint8x8_t middle = vdup_n_u8(128);
        return {vreinterpret_s8_u8(veor_u8(vreinterpret_u8_u16(vdup_n_u16(v[0])), middle)), vreinterpret_s8_u8(veor_u8(vreinterpret_u8_u16(vdup_n_u16(v[1])), middle))};
    }
    SPLITDSL_INLINE static ints four(ints sum, const operand& x, const std::int8_t* w) {
        return vpadalq_s16(sum, vmlal_s8(vmull_s8(vld1_s8(w), x.front), vld1_s8(w + 8), x.behind));
    }
    SPLITDSL_INLINE static ints eight(ints sum, const operand& x, const operand& y, const std::int8_t* w, const std::int8_t* k) { return four(four(sum, x, w), y, k); }
};
/// sdot, as assembly: see above.
struct dot_by_four {
    static constexpr bool holds_weights = false;
    using operand = int8x16_t;
    SPLITDSL_INLINE static operand spread(const std::uint8_t* x) {
        std::uint32_t v;
        __builtin_memcpy(&v, x, 4);
        return centred(vdupq_n_u32(v));
    }
    SPLITDSL_INLINE static ints four(ints sum, operand x, const std::int8_t* w) {
#if defined(__clang__) // clang 14's assembler knows no dotprod behind .arch: the encoded instruction, its registers' numbers by their names
        asm(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t.equ .Lsplitdsl_v\\n, \\n\n\t.endr\n\t"
            ".inst 0x4e809400 | .Lsplitdsl_%0 | (.Lsplitdsl_%1 << 5) | (.Lsplitdsl_%2 << 16)"
            : "+w"(sum) : "w"(x), "w"(vld1q_s8(w)));
#else
        asm(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(x), "w"(vld1q_s8(w)));
#endif
        return sum;
    }
    SPLITDSL_INLINE static ints eight(ints sum, operand x, operand y, const std::int8_t* w, const std::int8_t* k) { return four(four(sum, x, w), y, k); }
};
inline bool machine_has_dot() {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1U) != 0; // HWCAP_ASIMDDP
#else
    return false;
#endif
}
SPLITDSL_INLINE void put_weight(std::int8_t* step, bool by_four, int vector, int lane, int k, int value) {
    step[vector * 16 + (by_four ? lane * 4 + k : k / 2 * 8 + lane * 2 + k % 2)] = static_cast<std::int8_t>(value);
}

#else // SSE2: weights lie as 16 bits

inline constexpr int weight_size = 2, byte_centre = 0;

/// pmaddwd of 16 bits.
struct dot_by_pairs {
    static constexpr bool holds_weights = false;
    struct operand { __m128i front, behind; };
    SPLITDSL_INLINE static operand spread(const std::uint8_t* x) {
        int v;
        __builtin_memcpy(&v, x, 4);
        const __m128i wide = _mm_unpacklo_epi8(_mm_cvtsi32_si128(v), _mm_setzero_si128());
        return {_mm_shuffle_epi32(wide, 0x00), _mm_shuffle_epi32(wide, 0x55)};
    }
    SPLITDSL_INLINE static ints four(ints sum, const operand& x, const std::int8_t* w) {
        const __m128i front = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w)), behind = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 16));
        return _mm_add_epi32(sum, _mm_add_epi32(_mm_madd_epi16(x.front, front), _mm_madd_epi16(x.behind, behind)));
    }
    SPLITDSL_INLINE static ints eight(ints sum, const operand& x, const operand& y, const std::int8_t* w, const std::int8_t* k) { return four(four(sum, x, w), y, k); }
};
using dot_by_four = dot_by_pairs;
inline bool machine_has_dot() { return false; }
SPLITDSL_INLINE void put_weight(std::int8_t* step, bool, int vector, int lane, int k, int value) {
    const auto wide = static_cast<std::int16_t>(value);
    __builtin_memcpy(step + vector * 32 + k / 2 * 16 + (lane * 2 + k % 2) * 2, &wide, 2);
}

#endif

/// Packed bytes of one group's weights for four input channels of a tap.
inline constexpr int step_bytes = group_channels * 4 * weight_size;

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
