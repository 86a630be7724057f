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
    const long long row = (long long)j.columns * j.side * j.in.pixel;
    const float area = (float)(j.side * j.side);
    // Eight channels of a patch are a thread's, and threads beside each other have patches beside each other: means lie in planes. The same sums in the same order.
    if (in_eights(j.in, j.channels)) {
        for (long long i = first_item(); i < groups_in(cells, j.channels); i += item_step()) {
            const channel_group g = group_of(i, cells, j.channels);
            const T* in = image_of<T>(j.in) + quotient_of(g.pixel, j.columns) * j.side * row + (long long)remainder_of(g.pixel, j.columns) * j.side * j.in.pixel + g.begin;
            float sum[8];
            for (int x = 0; x < j.side; ++x, in += j.in.pixel) {
                float column[8];
                read_eight(in, column, true);
                for (int y = 1; y < j.side; ++y) {
                    float value[8];
                    read_eight(in + y * row, value, true);
                    SPLITDSL_UNROLL
                    for (int k = 0; k < 8; ++k) column[k] = exact_add(column[k], value[k]);
                }
                SPLITDSL_UNROLL
                for (int k = 0; k < 8; ++k) sum[k] = x == 0 ? column[k] : exact_add(sum[k], column[k]);
            }
            SPLITDSL_UNROLL
            for (int k = 0; k < 8; ++k) j.means[(g.begin + k) * cells + g.pixel] = j.side == 1 ? sum[k] : divided_apart(sum[k], area);
        }
        return;
    }
    for (long long i = first_item(); i < cells * j.channels; i += item_step()) {
        const int c = remainder_of(i, j.channels);
        const long long cell = quotient_of(i, j.channels);
        const T* in = image_of<T>(j.in) + cell / j.columns * j.side * row + cell % j.columns * j.side * j.in.pixel + c;
        float sum = 0.0f;
        for (int x = 0; x < j.side; ++x, in += j.in.pixel) {
            float column = read(in);
            for (int y = 1; y < j.side; ++y) column = exact_add(column, read(in + y * row));
            sum = x == 0 ? column : exact_add(sum, column);
        }
        j.means[c * cells + cell] = j.side == 1 ? sum : exact_divide(sum, area);
    }
}
SPLITDSL_KERNELS(pool_patches, patch_job)

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
SPLITDSL_KERNEL level_patches(patch_levels_job j) {
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
    const float_divisor scale = divisor_of(p.scale);
    for (long long i = first_item(); i < j.count; i += item_step()) j.levels[i] = (short)level_of(j.means[i], scale, p.zero_point, 255);
}

struct cell_place {
    long long quarters;         // its first quarter; from there to the others:
    long long second;
    long long third;
    long long last;
    long long to;               // in a plane
    long long whole;            // in the means of cells
    int row;
    int column;
};
SPLITDSL_DEVICE cell_place place_of_cell(const octave_job& j, long long i) {
    cell_place p;
    const long long cells = (long long)j.rows * j.columns;
    const long long k = i / cells;
    const long long at = i - k * cells;
    p.row = (int)(at / j.columns);
    p.column = (int)(at % j.columns);
    p.quarters = (j.order ? (long long)j.order[k] : k) * j.quarters_step + 4LL * p.row * j.columns + 2 * p.column;
    const long long below = 2LL * j.columns;
    const int row_wise = p.column >= j.row_wise_from[p.row];
    p.second = row_wise ? 1 : below;
    p.third = row_wise ? below : 1;
    p.last = below + 1;
    p.to = k * j.plane_step + at;
    p.whole = k * j.whole_step + at;
    return p;
}
SPLITDSL_DEVICE void write_cell(const octave_job& j, long long to, int p, int d, int e, int f) {
    j.p[to] = (short)p;
    j.d[to] = (short)d;
    j.e[to] = (short)e;
    j.f[to] = (short)f;
}
SPLITDSL_KERNEL lift_cells(octave_job j) {
    for (long long i = first_item(); i < (long long)j.rows * j.columns * j.channels; i += item_step()) {
        const cell_place c = place_of_cell(j, i);
        const short* q = j.quarters + c.quarters;
        const int x0 = q[0];
        const int x1 = q[c.second];
        const int x2 = q[c.third];
        const int x3 = q[c.last];
        const int u = (x0 + x1 + 1) >> 1;
        const int v = (x2 + x3 + 1) >> 1;
        write_cell(j, c.to, (u + v) >> 1, u - v, x0 - x1, x2 - x3);
    }
}
SPLITDSL_KERNEL average_cells(octave_job j) {
    const float_divisor scale = divisor_of(float_from_bits(j.parameters[0]));
    const int zero = j.parameters[1];
    for (long long i = first_item(); i < (long long)j.rows * j.columns * j.channels; i += item_step()) {
        const cell_place c = place_of_cell(j, i);
        const float* from = j.means + c.quarters;
        const float x0 = from[0];
        const float x1 = from[c.second];
        const float x2 = from[c.third];
        const float x3 = from[c.last];
        const float u = exact_divide(exact_add(x0, x1), 2.0f);
        const float v = exact_divide(exact_add(x2, x3), 2.0f);
        const float mean = exact_divide(exact_add(u, v), 2.0f);
        const int first = smaller(j.row_level[c.row], j.column_level[c.column]);
        const int second = larger(j.row_level[c.row], j.column_level[c.column]);
        j.whole[c.whole] = mean;
        write_cell(j, c.to, level_of(first > 0 ? mean : (second > 0 ? v : x3), scale, zero, 255), level_of(first == second ? x1 : u, scale, zero, 255), level_of(x0, scale, zero, 255),
                   level_of(x2, scale, zero, 255));
    }
}

)

} // namespace splitdsl::kernels::cudnn
