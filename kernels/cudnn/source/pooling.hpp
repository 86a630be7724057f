// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pooling.hpp
/// Device code: dynamic pooling up to its coefficients, bit for bit as splitdsl/codec/dynamic_pool_cells.hpp. Coding them stays the host's.
#pragma once

#include "codec.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(pooling_text,

template <class T>
SPLITDSL_DEVICE void pool_patches(const patch_job& j) {
    const long long cells = (long long)j.rows * j.columns;
    const long long row = (long long)j.columns * j.side * j.channels;
    const float area = (float)(j.side * j.side);
    for (long long i = first_item(); i < cells * j.channels; i += item_step()) {
        const int c = remainder_of(i, j.channels);
        const long long cell = quotient_of(i, j.channels);
        const T* in = (const T*)j.in + cell / j.columns * j.side * row + cell % j.columns * j.side * j.channels + c;
        float sum = 0.0f;
        for (int x = 0; x < j.side; ++x, in += j.channels) {
            float column = read(in);
            for (int y = 1; y < j.side; ++y) column = exact_add(column, read(in + y * row));
            sum = x == 0 ? column : exact_add(sum, column);
        }
        j.means[c * cells + cell] = j.side == 1 ? sum : exact_divide(sum, area);
    }
}
SPLITDSL_KERNEL pool_patches_f32(patch_job j) { pool_patches<float>(j); }
SPLITDSL_KERNEL pool_patches_f16(patch_job j) { pool_patches<half_bits>(j); }

SPLITDSL_DEVICE affine_numbers pool_numbers(float low, float high, int any) {
    affine_numbers p = {1.0f, 0};
    if (!any) return p;
    low = 0.0f < low ? 0.0f : low;
    high = high < 0.0f ? 0.0f : high;
    const float width = exact_add(high, -low);
    const float scale = exact_divide(width, 254.0f);
    if (!(low < 0.0f) || !(scale >= 1.175494351e-38f) || width > 3.402823466e38f / 2.0f) return numbers_for(low, high, 1, 255);
    const float zero = exact_divide(-low, scale);
    const int whole = (int)zero;
    p.scale = scale;
    p.zero_point = smaller((float)whole < zero ? whole + 1 : whole, 255);
    return p;
}
SPLITDSL_DEVICE void level_patches(const patch_levels_job& j) {
    SPLITDSL_SHARED int room[256];
    int low = 0x7fffffff;
    int high = -0x7fffffff - 1;
    for (int k = thread_here(); k < j.parts; k += threads_here()) {
        low = smaller(low, j.partial[2 * k]);
        high = larger(high, j.partial[2 * k + 1]);
    }
    low = block_extreme(low, room, 0);
    high = block_extreme(high, room, 1);
    const affine_numbers p = pool_numbers(float_from_bits(order_of_bits(low)), float_from_bits(order_of_bits(high)), low <= high);
    if (block_here() == 0 && thread_here() == 0) {
        j.parameters[0] = bits_of(p.scale);
        j.parameters[1] = p.zero_point;
    }
    if (!j.levels) return;
    for (long long i = first_item(); i < j.count; i += item_step()) j.levels[i] = (short)level_of(j.means[i], p, 255);
}
SPLITDSL_KERNEL level_patches_f32(patch_levels_job j) { level_patches(j); }
SPLITDSL_KERNEL level_patches_f16(patch_levels_job j) { level_patches(j); }

SPLITDSL_DEVICE void lift_cells(const octave_job& j) {
    const long long cells = (long long)j.rows * j.columns;
    for (long long i = first_item(); i < cells * j.channels; i += item_step()) {
        const long long k = i / cells;
        const long long at = i - k * cells;
        const int r = (int)(at / j.columns);
        const int c = (int)(at % j.columns);
        const short* top = j.quarters + (j.order ? (long long)j.order[k] : k) * j.quarters_step + 4LL * r * j.columns;
        const short* bottom = top + 2 * j.columns;
        const int row_wise = c >= j.row_wise_from[r];
        const int x0 = top[2 * c];
        const int x1 = row_wise ? top[2 * c + 1] : bottom[2 * c];
        const int x2 = row_wise ? bottom[2 * c] : top[2 * c + 1];
        const int x3 = bottom[2 * c + 1];
        const int u = (x0 + x1 + 1) >> 1;
        const int v = (x2 + x3 + 1) >> 1;
        const long long to = k * j.plane_step + at;
        j.p[to] = (short)((u + v) >> 1);
        j.d[to] = (short)(u - v);
        j.e[to] = (short)(x0 - x1);
        j.f[to] = (short)(x2 - x3);
    }
}
SPLITDSL_KERNEL lift_cells_f32(octave_job j) { lift_cells(j); }
SPLITDSL_KERNEL lift_cells_f16(octave_job j) { lift_cells(j); }

SPLITDSL_DEVICE void average_cells(const octave_job& j) {
    affine_numbers q;
    q.scale = float_from_bits(j.parameters[0]);
    q.zero_point = j.parameters[1];
    const long long cells = (long long)j.rows * j.columns;
    for (long long i = first_item(); i < cells * j.channels; i += item_step()) {
        const long long k = i / cells;
        const long long at = i - k * cells;
        const int r = (int)(at / j.columns);
        const int c = (int)(at % j.columns);
        const float* top = j.means + (j.order ? (long long)j.order[k] : k) * j.quarters_step + 4LL * r * j.columns;
        const float* bottom = top + 2 * j.columns;
        const int row_wise = c >= j.row_wise_from[r];
        const float x0 = top[2 * c];
        const float x1 = row_wise ? top[2 * c + 1] : bottom[2 * c];
        const float x2 = row_wise ? bottom[2 * c] : top[2 * c + 1];
        const float x3 = bottom[2 * c + 1];
        const float u = exact_divide(exact_add(x0, x1), 2.0f);
        const float v = exact_divide(exact_add(x2, x3), 2.0f);
        const float mean = exact_divide(exact_add(u, v), 2.0f);
        const int first = smaller(j.row_level[r], j.column_level[c]);
        const int second = larger(j.row_level[r], j.column_level[c]);
        j.whole[k * j.whole_step + at] = mean;
        const long long to = k * j.plane_step + at;
        j.p[to] = (short)level_of(first > 0 ? mean : (second > 0 ? v : x3), q, 255);
        j.d[to] = (short)level_of(first == second ? x1 : u, q, 255);
        j.e[to] = (short)level_of(x0, q, 255);
        j.f[to] = (short)level_of(x2, q, 255);
    }
}
SPLITDSL_KERNEL average_cells_f32(octave_job j) { average_cells(j); }
SPLITDSL_KERNEL average_cells_f16(octave_job j) { average_cells(j); }

)

} // namespace splitdsl::kernels::cudnn
