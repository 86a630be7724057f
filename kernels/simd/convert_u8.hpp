// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file convert_u8.hpp
/// Tensors of bytes: from floats, into floats, from a picture, and a whole image's mean.
#pragma once

#include "bytes.hpp"
#include "layout.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// x to the nearest whole number, ties to even; a NaN becomes `low`.
SPLITDSL_INLINE int nearest_within(float x, float low, float high) {
    constexpr float shift = 12582912.0F;
    const float bounded = x > low ? (x < high ? x : high) : low;
    volatile float moved = bounded + shift; // as written, whatever the flags
    return static_cast<int>(moved - shift);
}

/// One factor beside the requantisation's numbers: where `addend_factor` stands.
inline void pack_conversion(byte_scale of, float factor, float* packed) {
    requantisation r;
    r.zero = of.zero, r.addend_factor = factor;
    __builtin_memcpy(packed, &r, sizeof r);
}
inline void pack_quantise_u8(byte_scale out, float* packed) { pack_conversion(out, static_cast<float>(1.0 / static_cast<double>(out.scale)), packed); }
inline void pack_dequantise_u8(byte_scale in, float* packed) { pack_conversion(in, in.scale, packed); }

/// blocked f32 → bytes: x times 1 / scale, to the nearest, plus zero. Tasks: row_tasks(e).
inline void floats_to_u8(const extent& e, const const_view& in, const byte_view& out, const float* packed, int first, int last) {
    const requantisation r = requantisation_in(packed);
    const vec factor = broadcast(r.addend_factor), low = broadcast(static_cast<float>(-r.zero)), high = broadcast(static_cast<float>(255 - r.zero)), zero = broadcast(static_cast<float>(r.zero));
    for_each_row(e, first, last, [&](int block, int y) {
        const float* from = in.at + block * in.block + y * in.row;
        std::uint8_t* to = out.at + y * out.row + block * lanes;
        const int count = smaller(lanes, e.channels - block * lanes);
        for (int x = 0; x < e.width; ++x, from += lanes, to += out.pixel) {
            const vec v = load(from) * factor;
            float q[static_cast<std::size_t>(lanes)];
            store(q, round_to_even(minimum(high, maximum(low, where_number(v, v, low)))) + zero);
            for (int l = 0; l < count; ++l) to[l] = static_cast<std::uint8_t>(q[l]);
        }
    });
}

/// bytes → blocked f32: (byte - zero) * scale. Tasks: row_tasks(e).
inline void u8_to_floats(const extent& e, const const_byte_view& in, const view& out, const float* packed, int first, int last) {
    const requantisation r = requantisation_in(packed);
    for_each_row(e, first, last, [&](int block, int y) {
        const std::uint8_t* from = in.at + y * in.row + block * lanes;
        float* to = out.at + block * out.block + y * out.row;
        const int count = smaller(lanes, e.channels - block * lanes);
        for (int x = 0; x < e.width; ++x, from += in.pixel, to += lanes) {
            if (count < lanes) store(to, zero());
            for (int l = 0; l < count; ++l) to[l] = static_cast<float>(from[l] - r.zero) * r.addend_factor;
        }
    });
}

/// The bytes that stand for 0 around a picture of up to four channels whose bytes mean (byte / 255 - mean) / deviation.
inline void pack_load_u8(int channels, const float* mean, float* packed) {
    std::uint32_t zero = 0;
    for (int c = 0; c < channels; ++c) zero |= static_cast<std::uint32_t>(nearest_within(255 * mean[c], 0, 255)) << (8 * c);
    requantisation r;
    __builtin_memcpy(&r.zero, &zero, sizeof zero);
    __builtin_memcpy(packed, &r, sizeof r);
}
/// A picture's bytes → four a pixel.
inline void load_u8(const extent& e, const std::uint8_t* bytes, byte_order order, const byte_view& out) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    const std::ptrdiff_t channel_step = order == byte_order::planar ? plane : 1, pixel_step = order == byte_order::planar ? 1 : e.channels;
    for (int y = 0; y < e.height; ++y) {
        const std::uint8_t* __restrict from = bytes + std::ptrdiff_t{y} * e.width * pixel_step;
        std::uint8_t* __restrict to = out.at + y * out.row;
        if (e.channels == 3 && order == byte_order::planar) {
            const std::uint8_t *green = from + plane, *blue = green + plane;
            for (int x = 0; x < e.width; ++x) {
                const std::uint32_t pixel = static_cast<std::uint32_t>(from[x]) | static_cast<std::uint32_t>(green[x]) << 8 | static_cast<std::uint32_t>(blue[x]) << 16;
                __builtin_memcpy(to + 4 * x, &pixel, 4);
            }
            continue;
        }
        for (int x = 0; x < e.width; ++x, from += pixel_step, to += out.pixel)
            for (int c = 0; c < e.channels; ++c) to[c] = from[c * channel_step];
    }
}

inline void pack_global_pool_u8(const extent& in, byte_scale from, byte_scale to, float* packed) {
    requantisation r;
    const double factor = static_cast<double>(from.scale) / (static_cast<double>(to.scale) * in.height * in.width);
    r.zero = to.zero, r.addend_zero = from.zero, r.addend_factor = static_cast<float>(factor < 1e6 ? factor : 1e6);
    __builtin_memcpy(packed, &r, sizeof r);
}
inline int global_pool_u8_tasks(const extent& in) { return divide_up(in.channels, 16); }
/// Each channel's mean over (height, width), as a byte again. Tasks: global_pool_u8_tasks(in).
inline void global_pool_u8(const extent& in, const const_byte_view& from, std::uint8_t* out, const float* packed, int first, int last) {
    const requantisation r = requantisation_in(packed);
    const int zeros = in.height * in.width * r.addend_zero;
    for (int task = first; task < last; ++task) {
        const int begin = task * 16, count = smaller(16, in.channels - begin);
        std::int32_t sum[16] = {};
        for (int y = 0; y < in.height; ++y) {
            const std::uint8_t* at = from.at + y * from.row + begin;
            for (int x = 0; x < in.width; ++x, at += from.pixel)
                for (int c = 0; c < 16; ++c) sum[c] += at[c < count ? c : 0];
        }
        for (int c = 0; c < count; ++c)
            out[begin + c] = static_cast<std::uint8_t>(nearest_within(static_cast<float>(sum[c] - zeros) * r.addend_factor, static_cast<float>(-r.zero), static_cast<float>(255 - r.zero)) + r.zero);
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
