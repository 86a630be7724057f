// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file convert_u8.hpp
/// Tensors of bytes: from floats, into floats, from a picture.
#pragma once

#include "bytes.hpp"
#include "layout.hpp"
#include "pointwise_u8.hpp"

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

using sixteen_bytes [[gnu::vector_size(16)]] = std::uint8_t;
/// rows[i][j] to rows[j][i]: four times each byte of a row moves between those of the row eight further on.
SPLITDSL_INLINE void turn_bytes(sixteen_bytes (&rows)[16]) {
#pragma GCC unroll 4
    for (int round = 0; round < 4; ++round) {
        sixteen_bytes next[16];
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            next[2 * i] = __builtin_shufflevector(rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) rows[i] = next[i];
    }
}
/// A tensor's bytes (not a picture's) → planes in the order of the channels.
inline void bytes_to_planes(const extent& e, const const_byte_view& in, std::uint8_t* planar) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    for (int y = 0; y < e.height; ++y)
        for (int b = 0; b < e.channels; b += 16) {
            const int count = smaller(16, e.channels - b);
            const std::uint8_t* const from = in.at + y * in.row + b;
            std::uint8_t* const to = planar + b * plane + std::ptrdiff_t{y} * e.width;
            int x = 0;
            for (; x + 16 <= e.width; x += 16) {
                sixteen_bytes rows[16];
                for (int i = 0; i < 16; ++i) __builtin_memcpy(&rows[i], from + (x + i) * in.pixel, 16);
                turn_bytes(rows);
                for (int c = 0; c < count; ++c) __builtin_memcpy(to + c * plane + x, &rows[c], 16);
            }
            for (; x < e.width; ++x)
                for (int c = 0; c < count; ++c) to[c * plane + x] = from[x * in.pixel + c];
        }
}
/// The way back, each byte by a table of 256; bytes beyond the last channel become anything.
inline void planes_to_bytes(const extent& e, const std::uint8_t* planar, const std::uint8_t* table, const byte_view& out) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    for (int c = 0; c < e.channels; ++c)
        for (int y = 0; y < e.height; ++y) {
            const std::uint8_t* const from = planar + c * plane + std::ptrdiff_t{y} * e.width;
            std::uint8_t* const to = out.at + y * out.row + c;
            for (int x = 0; x < e.width; ++x) to[x * out.pixel] = table[from[x]];
        }
}

/// The bytes that stand for 0 around a picture of up to four channels whose bytes mean (byte / 255 - mean) / deviation.
inline void pack_load_u8(int channels, const float* mean, float* packed) {
    std::uint32_t zero = 0;
    for (int c = 0; c < channels; ++c) zero |= static_cast<std::uint32_t>(nearest_within(255 * mean[c], 0, 255)) << (8 * c);
    requantisation r;
    __builtin_memcpy(&r.zero, &zero, sizeof zero);
    __builtin_memcpy(packed, &r, sizeof r);
}
/// 16 pixels of three planes → four bytes a pixel, the fourth 0.
SPLITDSL_INLINE void interleave_16(const std::uint8_t* red, const std::uint8_t* green, const std::uint8_t* blue, std::uint8_t* to) {
#if defined(SPLITDSL_ARCH_NEON)
    const uint8x16x4_t pixels = {{vld1q_u8(red), vld1q_u8(green), vld1q_u8(blue), vdupq_n_u8(0)}}; // by name: clang's vst4q_u8 is a macro
    vst4q_u8(to, pixels);
#else
    const auto load_16 = [](const std::uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
    const __m128i r = load_16(red), g = load_16(green), b = load_16(blue), none = _mm_setzero_si128();
    const __m128i first = _mm_unpacklo_epi8(r, g), second = _mm_unpackhi_epi8(r, g), third = _mm_unpacklo_epi8(b, none), fourth = _mm_unpackhi_epi8(b, none);
    const auto store_4 = [&](int at, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to + at), v); };
    store_4(0, _mm_unpacklo_epi16(first, third)), store_4(16, _mm_unpackhi_epi16(first, third));
    store_4(32, _mm_unpacklo_epi16(second, fourth)), store_4(48, _mm_unpackhi_epi16(second, fourth));
#endif
}
/// Of load_u8: about 64 KiB of four bytes a pixel each.
inline int load_u8_tasks(const extent& e) { return byte_row_tasks({4, e.height, e.width}); }
/// A picture's bytes → four a pixel. `plane`: bytes of a channel, more than `e` says if these are some of its rows. Tasks: load_u8_tasks(e).
inline void load_u8(const extent& e, const std::uint8_t* bytes, byte_order order, const byte_view& out, std::ptrdiff_t plane, int first, int last) {
    const std::ptrdiff_t channel_step = order == byte_order::planar ? plane : 1, pixel_step = order == byte_order::planar ? 1 : e.channels;
    for_each_byte_row({4, e.height, e.width}, first, last, [&](int y) {
        const std::uint8_t* __restrict from = bytes + std::ptrdiff_t{y} * e.width * pixel_step;
        std::uint8_t* __restrict to = out.at + y * out.row;
        if (e.channels == 3 && order == byte_order::planar) {
            const std::uint8_t *green = from + plane, *blue = green + plane;
            int x = 0;
            for (; x + 16 <= e.width; x += 16) interleave_16(from + x, green + x, blue + x, to + 4 * x);
            for (; x < e.width; ++x) {
                const std::uint32_t pixel = static_cast<std::uint32_t>(from[x]) | static_cast<std::uint32_t>(green[x]) << 8 | static_cast<std::uint32_t>(blue[x]) << 16;
                __builtin_memcpy(to + 4 * x, &pixel, 4);
            }
            return;
        }
        for (int x = 0; x < e.width; ++x, from += pixel_step, to += out.pixel)
            for (int c = 0; c < e.channels; ++c) to[c] = from[c * channel_step];
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
