// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pool_u8.hpp
/// Pools of bytes: the largest, the mean, and a whole image's mean. A window is cut to the interior, so padding counts as 0.
#pragma once

#include "pointwise_u8.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

SPLITDSL_INLINE extent byte_result_of(const pool_shape& s) { return {s.channels, s.out_height, s.out_width}; }
/// A task a row: a window's bytes are read for each of its outputs, and a band of a chain has few rows.
inline int pool_u8_tasks(const pool_shape& s) { return larger(1, s.out_height); }

/// Calls visit(x, y0, y1, x0, x1) for a row's windows.
template <class Visit>
SPLITDSL_INLINE void for_each_window(const pool_shape& s, int y, Visit&& visit) {
    const int top = y * s.stride_h - s.pad_top, y0 = larger(0, top), y1 = smaller(s.in_height, top + s.kernel_h);
    for (int x = 0; x < s.out_width; ++x) {
        const int left = x * s.stride_w - s.pad_left;
        visit(x, y0, y1, larger(0, left), smaller(s.in_width, left + s.kernel_w));
    }
}

/// 16 bytes' larger ones.
SPLITDSL_INLINE void raise_bytes(std::uint8_t* best, const std::uint8_t* x) {
#if defined(SPLITDSL_ARCH_NEON)
    vst1q_u8(best, vmaxq_u8(vld1q_u8(best), vld1q_u8(x)));
#else
    auto* const b = reinterpret_cast<__m128i*>(best);
    _mm_store_si128(b, _mm_max_epu8(_mm_load_si128(b), _mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
#endif
}
/// The output's bytes mean what the input's do. Tasks: pool_u8_tasks(s).
inline void max_pool_u8(const pool_shape& s, const const_byte_view& in, const byte_view& out, int first, int last) {
    for (int y = first; y < smaller(s.out_height, last); ++y) {
        for (int c = 0; c < s.channels; c += 16)
            for_each_window(s, y, [&](int x, int y0, int y1, int x0, int x1) {
                alignas(16) std::uint8_t best[16] = {};
                for (int i = y0; i < y1; ++i)
                    for (int j = x0; j < x1; ++j) raise_bytes(best, in.at + i * in.row + j * in.pixel + c);
                __builtin_memcpy(out.at + y * out.row + x * out.pixel + c, best, 16);
            });
    }
}

/// `pixels`: of a window, where all have as many; else 1.
inline void pack_mean_u8(byte_scale in, byte_scale out, int pixels, float* packed) {
    requantisation r;
    const double ratio = static_cast<double>(in.scale) / (static_cast<double>(out.scale) * pixels);
    r.zero = out.zero, r.addend_zero = in.zero, r.addend_factor = static_cast<float>(ratio < 1e6 ? ratio : 1e6);
    __builtin_memcpy(packed, &r, sizeof r);
}
/// The mean of a window's 16 channels from `at` on: sum over the pixels that are there, over `count`.
SPLITDSL_INLINE void mean_of_window(const std::uint8_t* at, std::ptrdiff_t row, std::ptrdiff_t pixel, int rows, int columns, int count, const requantisation& r,
                                    std::uint8_t* out) {
    ints sum[group_vectors];
    sum_floats by[group_vectors];
    const ints start = every_int(-r.addend_zero * rows * columns);
#pragma GCC unroll 4
    for (int v = 0; v < group_vectors; ++v) sum[v] = start, by[v] = every_float(r.addend_factor / static_cast<float>(count));
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j) {
            ints x[group_vectors];
            load_bytes(at + i * row + j * pixel, x);
#pragma GCC unroll 4
            for (int v = 0; v < group_vectors; ++v) sum[v] = sum_of(sum[v], x[v]);
        }
    store_bytes(sum, by, r, nullptr, out);
}
/// Tasks: pool_u8_tasks(s).
inline void avg_pool_u8(const pool_shape& s, const const_byte_view& in, const byte_view& out, const float* packed, int first, int last) {
    const requantisation r = requantisation_in(packed);
    for (int y = first; y < smaller(s.out_height, last); ++y) {
        const int top = y * s.stride_h - s.pad_top, counted_h = smaller(s.in_height + s.pad_bottom, top + s.kernel_h) - top;
        for (int c = 0; c < s.channels; c += 16)
            for_each_window(s, y, [&](int x, int y0, int y1, int x0, int x1) {
                const int left = x * s.stride_w - s.pad_left, counted_w = smaller(s.in_width + s.pad_right, left + s.kernel_w) - left;
                const int rows = y1 - y0, columns = x1 - x0, count = s.count_include_pad ? counted_h * counted_w : rows * columns;
                mean_of_window(in.at + y0 * in.row + x0 * in.pixel + c, in.row, in.pixel, rows, columns, count, r, out.at + y * out.row + x * out.pixel + c);
            });
    }
}

inline int global_pool_u8_tasks(const extent& in) { return divide_up(in.channels, 16); }
/// Each channel's mean over (height, width). Tasks: global_pool_u8_tasks(in).
inline void global_pool_u8(const extent& in, const const_byte_view& from, std::uint8_t* out, const float* packed, int first, int last) {
    const requantisation r = requantisation_in(packed);
    for (int task = first; task < last; ++task) mean_of_window(from.at + task * 16, from.row, from.pixel, in.height, in.width, 1, r, out + task * 16);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
