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

/// The same around a picture with four floats a pixel.
inline void zero_halo_of_quads(const view& v, const extent& e, const halo& h) {
    const auto zeros = [](float* at, int pixels) {
        using four [[gnu::vector_size(16)]] = float;
        constexpr four none{};
        for (int x = 0; x < pixels; ++x, at += 4) __builtin_memcpy(at, &none, sizeof none);
    };
    for (int y = -h.top; y < e.height + h.bottom; ++y) {
        float* const row = v.at + y * v.row;
        const bool is_outside = y < 0 || y >= e.height;
        zeros(row - std::ptrdiff_t{h.left} * 4, is_outside ? h.left + e.width + h.right : h.left);
        if (!is_outside) zeros(row + std::ptrdiff_t{e.width} * 4, h.right);
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

/// The same order as a vector whose blocks stand apart, because a convolution finds zeros around its one pixel. Tasks: row_tasks(e).
inline void blocked_to_vector(const extent& e, const const_view& in, const view& out, int first, int last) {
    for_each_row(e, first, last, [&](int block, int y) {
        const float* from = in.at + block * in.block + y * in.row;
        for (int c = 0; c < smaller(lanes, e.channels - block * lanes); ++c)
            for (int x = 0; x < e.width; ++x) {
                const std::ptrdiff_t to = (std::ptrdiff_t{block * lanes + c} * e.height + y) * e.width + x;
                out.at[to / lanes * out.block + to % lanes] = from[x * lanes + c];
            }
    });
}

enum class byte_order : std::uint8_t { planar, interleaved }; ///< (channels, height, width) or (height, width, channels)

/// One row's pixels of three channels, by their tables; a pixel and the zeros behind it in one store. Pixel: floats from one to the next.
template <int Pixel>
[[gnu::noinline]] inline void bytes_to_colours(const std::uint8_t* __restrict from, std::ptrdiff_t pixel_step, std::ptrdiff_t channel_step, const float (*__restrict table)[256], float* __restrict to,
                             int width) {
    using four [[gnu::vector_size(16)]] = float;
    for (int x = 0; x < width; ++x, from += pixel_step, to += Pixel) {
        const four colour{table[0][from[0]], table[1][from[channel_step]], table[2][from[2 * channel_step]], 0.0F};
        if constexpr (Pixel == 4) {
            __builtin_memcpy(to, &colour, sizeof colour);
        } else {
#if defined(SPLITDSL_ARCH_AVX512)
            _mm512_storeu_ps(to, _mm512_zextps128_ps512(reinterpret_cast<__m128>(colour)));
#elif defined(SPLITDSL_ARCH_AVX2_FMA) || defined(SPLITDSL_ARCH_AVX)
            _mm256_storeu_ps(to, _mm256_zextps128_ps256(reinterpret_cast<__m128>(colour)));
#endif
        }
    }
}

/// A colour's value in its place of four; the bits of three of them together are a pixel.
using colour_quad [[gnu::vector_size(16)]] = std::int32_t;

/// The same of planes, four floats a pixel: a load brings eight pixels of a plane.
[[gnu::noinline]] inline void planes_to_colours(const std::uint8_t* from, std::ptrdiff_t plane, const colour_quad (*table)[256], float* to, int width) {
    const auto put = [&](int x, std::uint64_t red, std::uint64_t green, std::uint64_t blue) {
        const colour_quad pixel = table[0][red & 255] | table[1][green & 255] | table[2][blue & 255];
        __builtin_memcpy(to + std::ptrdiff_t{x} * 4, &pixel, sizeof pixel);
    };
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        std::uint64_t red, green, blue;
        __builtin_memcpy(&red, from + x, sizeof red);
        __builtin_memcpy(&green, from + plane + x, sizeof green);
        __builtin_memcpy(&blue, from + 2 * plane + x, sizeof blue);
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) put(x + i, red >> 8 * i, green >> 8 * i, blue >> 8 * i);
    }
    for (; x < width; ++x) put(x, from[x], from[plane + x], from[2 * plane + x]);
}

/// u8 image → blocked floats: (value / 255 - mean) / deviation per channel, in this order of operations; the plain value if `mean` is
/// null. A table of the 256 results per channel replaces the divisions. Tasks: row_tasks(e). `plane`: bytes from a channel to the next of a planar image of which
/// `e` is only some rows. `pixel`: floats from pixel to pixel, `lanes`, or 4 of up to four channels.
inline void bytes_to_blocked(const extent& e, const std::uint8_t* bytes, byte_order order, const float* mean, const float* deviation,
                             const view& out, int first, int last, std::ptrdiff_t plane = 0, int pixel = lanes) {
    if (plane == 0) plane = std::ptrdiff_t{e.height} * e.width;
    const std::ptrdiff_t channel_step = order == byte_order::planar ? plane : 1, pixel_step = order == byte_order::planar ? 1 : e.channels;
    float table[lanes][256];
    colour_quad colours[3][256];
    const bool is_colour = e.channels == 3 && pixel == 4, of_planes = is_colour && order == byte_order::planar;
    int in_table = -1;
    for_each_row(e, first, last, [&](int block, int y) {
        const int count = smaller(lanes, e.channels - block * lanes);
        if (block != in_table) {
            in_table = block;
            for (int l = 0; l < count; ++l) {
                float(&of)[256] = table[l];
                for (int v = 0; v < 256; ++v) of[v] = static_cast<float>(v);
                if (!mean) continue;
                const vec whole = broadcast(255.0F), middle = broadcast(mean[block * lanes + l]), spread = broadcast(deviation[block * lanes + l]);
                for (int v = 0; v < 256; v += lanes) store(of + v, quotient(quotient(load(of + v), whole) - middle, spread));
            }
            if (of_planes) __builtin_memset(colours, 0, sizeof colours);
            for (int l = 0; l < 3 && of_planes; ++l)
                for (int v = 0; v < 256; ++v) __builtin_memcpy(reinterpret_cast<char*>(&colours[l][v]) + 4 * l, &table[l][v], sizeof(float));
        }
        const std::uint8_t* from = bytes + block * lanes * channel_step + std::ptrdiff_t{y} * e.width * pixel_step;
        float* to = out.at + block * out.block + y * out.row;
        if (of_planes) return planes_to_colours(from, channel_step, colours, to, e.width);
        if (is_colour) return bytes_to_colours<4>(from, pixel_step, channel_step, table, to, e.width);
        if (count == 3) return bytes_to_colours<lanes>(from, pixel_step, channel_step, table, to, e.width);
        for (int x = 0; x < e.width; ++x, from += pixel_step, to += pixel) {
            for (int l = count; l < pixel; ++l) to[l] = 0;
            for (int l = 0; l < count; ++l) to[l] = table[l][from[l * channel_step]];
        }
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
