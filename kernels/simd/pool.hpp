// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pool.hpp
/// Maximum, average and global average over windows.
#pragma once

#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

SPLITDSL_INLINE constexpr extent result_of(const pool_shape& s) { return {s.channels, s.out_height, s.out_width}; }

inline int max_pool_tasks(const pool_shape& s) { return row_tasks(result_of(s)); }
inline int avg_pool_tasks(const pool_shape& s) { return row_tasks(result_of(s)); }

/// Outputs [x, end) of a row under whole windows of three by three, stride 2: a column's maximum serves both windows that it lies in.
SPLITDSL_INLINE void max_pool_3x3_row(const float* from, std::ptrdiff_t row, float* to, int x, int end) {
    const auto column = [&](const float* at) { return maximum(maximum(load(at), load(at + row)), load(at + 2 * row)); };
    if (x >= end) return;
    for (vec left = column(from); x < end; ++x, from += 2 * lanes, to += lanes) {
        const vec right = column(from + 2 * lanes);
        store(to, maximum(maximum(left, column(from + lanes)), right));
        left = right;
    }
}

/// Windows are cut to the interior: the halo's zeros must not win against negative values.
inline void max_pool(const pool_shape& s, const const_view& in, const view& out, int first, int last) {
    for_each_row(result_of(s), first, last, [&](int block, int y) {
        const int top = y * s.stride_h - s.pad_top, y0 = larger(0, top), y1 = smaller(s.in_height, top + s.kernel_h);
        float* to = out.at + block * out.block + y * out.row;
        const float* rows = in.at + block * in.block;
        const bool by_columns = s.kernel_h == 3 && s.kernel_w == 3 && s.stride_w == 2 && s.in_width >= 3 && y1 - top == 3 && y0 == top;
        const int inside = (s.pad_left + 1) / 2, outside = (s.in_width - 3 + s.pad_left) / 2 + 1; // whole windows lie between
        for (int x = 0; x < s.out_width; ++x, to += lanes) {
            if (by_columns && x == inside && outside > inside) {
                const int end = smaller(outside, s.out_width);
                max_pool_3x3_row(rows + top * in.row + std::ptrdiff_t{2 * x - s.pad_left} * lanes, in.row, to, x, end);
                to += std::ptrdiff_t{end - x} * lanes, x = end;
                if (x == s.out_width) break;
            }
            const int left = x * s.stride_w - s.pad_left, x0 = larger(0, left), x1 = smaller(s.in_width, left + s.kernel_w);
            vec best = load(rows + y0 * in.row + std::ptrdiff_t{x0} * lanes);
            for (int i = y0; i < y1; ++i) {
                const float* at = rows + i * in.row;
                for (int j = x0; j < x1; ++j) best = maximum(best, load(at + j * lanes));
            }
            store(to, best);
        }
    });
}

inline void avg_pool(const pool_shape& s, const const_view& in, const view& out, int first, int last) {
    for_each_row(result_of(s), first, last, [&](int block, int y) {
        const int top = y * s.stride_h - s.pad_top, y0 = larger(0, top), y1 = smaller(s.in_height, top + s.kernel_h);
        const int counted_h = smaller(s.in_height + s.pad_bottom, top + s.kernel_h) - top;
        float* to = out.at + block * out.block + y * out.row;
        const float* rows = in.at + block * in.block;
        for (int x = 0; x < s.out_width; ++x, to += lanes) {
            const int left = x * s.stride_w - s.pad_left, x0 = larger(0, left), x1 = smaller(s.in_width, left + s.kernel_w);
            const int counted_w = smaller(s.in_width + s.pad_right, left + s.kernel_w) - left;
            vec sum = zero();
            for (int i = y0; i < y1; ++i) {
                const float* at = rows + i * in.row;
                for (int j = x0; j < x1; ++j) sum = sum + load(at + j * lanes);
            }
            const int count = s.count_include_pad ? counted_h * counted_w : (y1 - y0) * (x1 - x0);
            store(to, quotient(sum, broadcast(static_cast<float>(count))));
        }
    });
}

inline int global_avg_pool_tasks(const extent& in) { return blocks_of(in.channels); }

/// in (channels, height, width) → out (channels, 1, 1).
inline void global_avg_pool(const extent& s, const const_view& in, const view& out, int first, int last) {
    const vec count = broadcast(static_cast<float>(s.height) * static_cast<float>(s.width));
    for (int block = first; block < last; ++block) {
        vec sum[4] = {zero(), zero(), zero(), zero()};
        for (int y = 0; y < s.height; ++y) {
            const float* at = in.at + block * in.block + y * in.row;
            int x = 0;
            for (; x + 4 <= s.width; x += 4)
#pragma GCC unroll 4
                for (int k = 0; k < 4; ++k) sum[k] = sum[k] + load(at + (x + k) * lanes);
            for (; x < s.width; ++x) sum[0] = sum[0] + load(at + x * lanes);
        }
        store(out.at + block * out.block, quotient((sum[0] + sum[1]) + (sum[2] + sum[3]), count));
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
