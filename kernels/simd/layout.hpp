// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layout.hpp
/// Planar and interleaved images into blocked tensors and back, and the zeros around a tensor.
#pragma once

#include "transpose.hpp"
#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Writes zeros around the interior of every channel block of `v`; the interior stays.
inline void zero_halo(const view& v, const extent& e, const halo& h) {
    const std::ptrdiff_t width = std::ptrdiff_t{h.left + e.width + h.right} * lanes;
    for (int b = 0; b < blocks_of(e.channels); ++b) {
        float* origin = v.at + b * v.block - std::ptrdiff_t{h.left} * lanes;
        for (int y = -h.top; y < e.height + h.bottom; ++y) {
            float* row = origin + y * v.row;
            if (y < 0 || y >= e.height) {
                for (std::ptrdiff_t i = 0; i < width; i += lanes) store(row + i, zero());
                continue;
            }
            for (int x = 0; x < h.left; ++x) store(row + x * lanes, zero());
            for (int x = 0; x < h.right; ++x) store(row + std::ptrdiff_t{h.left + e.width + x} * lanes, zero());
        }
    }
}

/// planar (channels, height, width) → blocked; lanes beyond the last channel become 0. Tasks: row_tasks(e).
inline void planar_to_blocked(const extent& e, const float* planar, const view& out, int first, int last) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    for_each_row(e, first, last, [&](int block, int y) {
        float* to = out.at + block * out.block + y * out.row;
        const int count = smaller(lanes, e.channels - block * lanes);
        planes_to_pixels(planar + block * lanes * plane + std::ptrdiff_t{y} * e.width, plane, e.width, count, to);
    });
}

/// blocked → planar (channels, height, width), which is also the order in which a tensor is flattened. Tasks: row_tasks(e).
inline void blocked_to_planar(const extent& e, const const_view& in, float* planar, int first, int last) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    for_each_row(e, first, last, [&](int block, int y) {
        const float* from = in.at + block * in.block + y * in.row;
        const int count = smaller(lanes, e.channels - block * lanes);
        pixels_to_planes(from, e.width, count, planar + block * lanes * plane + std::ptrdiff_t{y} * e.width, plane);
    });
}

enum class byte_order : std::uint8_t { planar, interleaved }; ///< (channels, height, width) or (height, width, channels)

/// One row's pixels of three channels, by their tables; a pixel and the zeros behind it in one store.
inline void bytes_to_colours(const std::uint8_t* __restrict from, std::ptrdiff_t pixel_step, std::ptrdiff_t channel_step, const float (*__restrict table)[256], float* __restrict to,
                             int width) {
    using four [[gnu::vector_size(16)]] = float;
    for (int x = 0; x < width; ++x, from += pixel_step, to += lanes) {
        const four colour{table[0][from[0]], table[1][from[channel_step]], table[2][from[2 * channel_step]], 0.0F};
#if defined(SPLITDSL_ARCH_AVX512)
        _mm512_storeu_ps(to, _mm512_zextps128_ps512(reinterpret_cast<__m128>(colour)));
#elif defined(SPLITDSL_ARCH_AVX2_FMA) || defined(SPLITDSL_ARCH_AVX)
        _mm256_storeu_ps(to, _mm256_zextps128_ps256(reinterpret_cast<__m128>(colour)));
#else
        __builtin_memcpy(to, &colour, sizeof colour);
#endif
    }
}

/// u8 image → blocked floats: (value / 255 - mean) / deviation per channel, in this order of operations; the plain value if `mean` is
/// null. A table of the 256 results per channel replaces the divisions. Tasks: row_tasks(e). `plane`: bytes from a channel to the next of a planar image of which
/// `e` is only some rows.
inline void bytes_to_blocked(const extent& e, const std::uint8_t* bytes, byte_order order, const float* mean, const float* deviation,
                             const view& out, int first, int last, std::ptrdiff_t plane = 0) {
    if (plane == 0) plane = std::ptrdiff_t{e.height} * e.width;
    const std::ptrdiff_t channel_step = order == byte_order::planar ? plane : 1, pixel_step = order == byte_order::planar ? 1 : e.channels;
    float table[lanes][256];
    int in_table = -1;
    for_each_row(e, first, last, [&](int block, int y) {
        const int count = smaller(lanes, e.channels - block * lanes);
        if (block != in_table) {
            in_table = block;
            for (int l = 0; l < count; ++l)
                for (int v = 0; v < 256; ++v) {
                    const float value = static_cast<float>(v);
                    table[l][v] = mean ? (value / 255.0F - mean[block * lanes + l]) / deviation[block * lanes + l] : value;
                }
        }
        const std::uint8_t* from = bytes + block * lanes * channel_step + std::ptrdiff_t{y} * e.width * pixel_step;
        float* to = out.at + block * out.block + y * out.row;
        if (count == 3) return bytes_to_colours(from, pixel_step, channel_step, table, to, e.width); // colour
        for (int x = 0; x < e.width; ++x, from += pixel_step, to += lanes) {
            if (count < lanes) store(to, zero());
            for (int l = 0; l < count; ++l) to[l] = table[l][from[l * channel_step]];
        }
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
