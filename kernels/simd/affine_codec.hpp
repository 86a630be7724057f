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

struct value_range {
    float low = 0, high = 0;
};

/// Least and greatest of `count` floats (at least one). A NaN makes both NaN.
inline value_range range_of(const float* x, std::size_t count) {
    float low = x[0], high = x[0];
    vec least = broadcast(x[0]), most = least, check = zero();
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const vec v = load(x + i);
        least = minimum(least, v), most = maximum(most, v);
        check = check + v * zero(); // NaN once a NaN or an infinity went by
    }
    float a[lanes], b[lanes];
    store(a, least), store(b, most);
    bool suspect = !(lane_sum(check) == 0.0F);
    for (int l = 0; l < lanes; ++l) low = a[l] < low ? a[l] : low, high = b[l] > high ? b[l] : high;
    for (; i < count; ++i) {
        low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
        suspect = suspect || x[i] != x[i];
    }
    if (!suspect && x[0] == x[0]) return {low, high};
    low = high = x[0]; // seldom: sort NaN from infinity one by one
    for (i = 0; i < count; ++i) {
        if (x[i] != x[i]) return {x[i], x[i]};
        low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
    }
    return {low, high};
}

template <class Integer>
SPLITDSL_INLINE void quantise_floats(const float* x, std::size_t count, float scale, float zero_point, Integer* q) {
    constexpr float most = static_cast<float>(static_cast<Integer>(-1));
    using narrow_lanes [[gnu::vector_size(lanes * sizeof(Integer))]] = Integer;
    const vec divisor = broadcast(scale), offset = broadcast(zero_point), top = broadcast(most);
    float tail[lanes] = {};
    for (std::size_t i = 0; i < count; i += lanes) {
        const std::size_t n = count - i < lanes ? count - i : lanes;
        const float* from = x + i;
        if (n < lanes) {
            for (std::size_t k = 0; k < n; ++k) tail[k] = x[i + k];
            from = tail;
        }
        // the clamp's operands stand so that a NaN becomes 0
        const vec v = round_to_even(minimum(maximum(offset + load(from) / divisor, zero()), top));
        float rounded[lanes];
        store(rounded, v);
        float_lanes f;
        __builtin_memcpy(&f, rounded, sizeof f);
        const narrow_lanes bytes = __builtin_convertvector(__builtin_convertvector(f, int_lanes), narrow_lanes);
        if (n == lanes) __builtin_memcpy(q + i, &bytes, sizeof bytes);
        else
            for (std::size_t k = 0; k < n; ++k) q[i + k] = bytes[k];
    }
}

/// q = round half to even of clamp(zero_point + x / scale, 0, 255); scale > 0.
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
