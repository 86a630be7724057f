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
    int_lanes low = int_lanes{} + top, high = int_lanes{} + bottom;
    constexpr std::size_t step = static_cast<std::size_t>(lanes);
    for (std::size_t i = 0; i < count; i += step) {
        int_lanes bits = int_lanes{} + 0x7f800000; // an infinity: left out
        if (count - i >= step) __builtin_memcpy(&bits, x + i, sizeof bits);
        else __builtin_memcpy(&bits, x + i, (count - i) * sizeof(float));
        const int_lanes finite = (bits & 0x7fffffff) < 0x7f800000, key = order_of(bits);
        const int_lanes for_low = chosen(finite, key, int_lanes{} + top), for_high = chosen(finite, key, int_lanes{} + bottom);
        low = chosen(for_low < low, for_low, low);
        high = chosen(for_high > high, for_high, high);
    }
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

template <class Integer>
SPLITDSL_INLINE void quantise_floats(const float* x, std::size_t count, float scale, float zero_point, Integer* q) {
    constexpr float most = static_cast<float>(static_cast<Integer>(-1));
    constexpr std::size_t step = static_cast<std::size_t>(lanes);
    using narrow_lanes [[gnu::vector_size(lanes * sizeof(Integer))]] = Integer;
    const vec divisor = broadcast(scale), offset = broadcast(zero_point), top = broadcast(most);
    float tail[lanes] = {};
    for (std::size_t i = 0; i < count; i += step) {
        const std::size_t n = count - i < step ? count - i : step;
        const float* from = x + i;
        if (n < step) {
            for (std::size_t k = 0; k < n; ++k) tail[k] = x[i + k];
            from = tail;
        }
        const vec ratio = quotient(load(from), divisor);
        const vec real = where_number(ratio, ratio, zero()); // NaN goes to the zero point
        const vec v = round_to_even(minimum(maximum(offset + real, zero()), top));
        float rounded[lanes];
        store(rounded, v);
        float_lanes f;
        __builtin_memcpy(&f, rounded, sizeof f);
        const narrow_lanes bytes = __builtin_convertvector(__builtin_convertvector(f, int_lanes), narrow_lanes);
        if (n == step) __builtin_memcpy(q + i, &bytes, sizeof bytes);
        else
            for (std::size_t k = 0; k < n; ++k) q[i + k] = bytes[k];
    }
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
    for (std::size_t i = 0; i < count; ++i) x[i] = (static_cast<float>(q[i]) - zero_point) * scale;
}
inline void dequantise_u16(const std::uint16_t* q, std::size_t count, float scale, float zero_point, float* x) {
    for (std::size_t i = 0; i < count; ++i) x[i] = (static_cast<float>(q[i]) - zero_point) * scale;
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
