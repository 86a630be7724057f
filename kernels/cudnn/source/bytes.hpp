// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bytes.hpp
/// Device code: networks on bytes, with the arithmetic of kernels/simd/bytes.hpp, so that a GPU makes the processor's bytes.
///
/// A byte q of a tensor means scale * (q - zero). Sums are whole numbers, in any order the same; the way back is one conversion, single IEEE
/// operations and one rounding to even. Bytes behind a pixel's last channel hold anything: their weights are 0. cuDNN is not asked: it
/// documents no rounding of its way back, and pads with 0 where these tensors have a zero of their own.
#pragma once

#include "elements.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(bytes_text,

struct alignas(16) weight_quad {            // of four output channels, four inputs each
    unsigned int of[4];
};
SPLITDSL_DEVICE unsigned int byte_of(float value, const byte_terms& t) { return (unsigned int)smaller(larger(nearest_int(value) + t.zero, t.low), t.high); }
SPLITDSL_DEVICE float within(float x, float low, float high) { return x > low ? (x < high ? x : high) : low; }
SPLITDSL_DEVICE unsigned int byte_of_sum(int sum, float factor, bool adds, unsigned int addend, const byte_terms& t) {
    float value = exact_multiply((float)sum, factor);
    if (adds) value = exact_add(value, exact_multiply((float)((int)addend - t.addend_zero), t.addend_factor));
    if (t.curve) {
        const float step = within(exact_add(value, 3.0f), 0.0f, 6.0f);
        value = exact_multiply(t.curve == 4 ? exact_multiply(value, step) : step, t.curve_factor);
    }
    return byte_of(value, t);
}
SPLITDSL_DEVICE unsigned int byte_of_sum(int sum, float factor, const unsigned char* addend, const byte_terms& t) { return byte_of_sum(sum, factor, addend != 0, addend ? *addend : 0u, t); }
SPLITDSL_DEVICE unsigned char byte_within(float value, const byte_terms& t) { return (unsigned char)(nearest_int(within(value, (float)-t.zero, (float)(255 - t.zero))) + t.zero); }

// Every value of a tensor; and the same with eight channels of a pixel as one thread's, where a tensor changes its order.
template <class Act>
SPLITDSL_DEVICE void each_value(long long pixels, int channels, const Act& act) {
    for (long long i = first_item(); i < pixels * channels; i += item_step()) act(quotient_of(i, channels), remainder_of(i, channels));
}
template <class Act>
SPLITDSL_DEVICE void each_value_in_groups(long long pixels, int channels, const Act& act) {
    for (long long i = first_item(); i < groups_in(pixels, channels); i += item_step()) {
        const channel_group g = group_of(i, pixels, channels);
        for (int c = g.begin; c < g.end; ++c) act(g.pixel, c);
    }
}
SPLITDSL_DEVICE unsigned char* byte_at(const device_tensor& t, long long pixel, int channel) { return image_of<unsigned char>(t) + pixel * t.pixel + channel; }

SPLITDSL_KERNEL load_bytes(image_job j) {
    const long long pixels = (long long)j.height * j.width;
    const unsigned char* in = (const unsigned char*)j.in + image_here() * j.in_image;
    each_value(pixels, j.channels, [&](long long pixel, int c) { *byte_at(j.out, pixel, c) = in[j.interleaved ? pixel * j.channels + c : c * pixels + pixel]; });
}

SPLITDSL_KERNEL convolve_bytes(byte_window_job j) {
    const byte_terms t = *j.terms;
    const unsigned char* in = image_of<unsigned char>(j.in);
    const int fours = (j.out_channels + 3) / 4;
    const int quads = (j.in_channels + 3) / 4;
    const int pixels = j.out_height * j.out_width;
    for (long long i = first_item(); i < (long long)((pixels + 3) / 4) * fours; i += item_step()) {
        const int o = 4 * remainder_of(i, fours);
        const int first = 4 * (int)quotient_of(i, fours);
        int sum[4][4];
        int top[4];
        int left[4];
        for (int p = 0; p < 4; ++p) {
            const int pixel = smaller(first + p, pixels - 1);
            top[p] = pixel / j.out_width * j.stride_h - j.pad_top;
            left[p] = pixel % j.out_width * j.stride_w - j.pad_left;
            for (int k = 0; k < 4; ++k) sum[p][k] = j.bias[o + k];
        }
        const weight_quad* w = (const weight_quad*)j.weight + o / 4;
        for (int r = 0; r < j.kernel_h; ++r)
            for (int s = 0; s < j.kernel_w; ++s) {
                const unsigned int* from[4];
                for (int p = 0; p < 4; ++p) {
                    const int y = top[p] + r * j.dilation_h;
                    const int x = left[p] + s * j.dilation_w;
                    const bool inside = y >= 0 && x >= 0 && y < j.in_height && x < j.in_width;
                    from[p] = inside ? (const unsigned int*)(in + ((long long)y * j.in_width + x) * j.in.pixel) : (const unsigned int*)0;
                }
                for (int q = 0; q < quads; ++q, w += fours) {
                    const weight_quad k = *w;
                    for (int p = 0; p < 4; ++p) {
                        const unsigned int x = from[p] ? from[p][q] : t.around;
                        sum[p][0] = dot_bytes(x, k.of[0], sum[p][0]);
                        sum[p][1] = dot_bytes(x, k.of[1], sum[p][1]);
                        sum[p][2] = dot_bytes(x, k.of[2], sum[p][2]);
                        sum[p][3] = dot_bytes(x, k.of[3], sum[p][3]);
                    }
                }
            }
        for (int p = 0; p < 4 && first + p < pixels; ++p) {
            const unsigned char* addend = j.addend.at ? image_of<unsigned char>(j.addend) + (long long)(first + p) * j.addend.pixel + o : (const unsigned char*)0;
            unsigned int bytes = 0;
            for (int k = 0; k < 4; ++k) bytes |= byte_of_sum(sum[p][k], j.factor[o + k], addend ? addend + k : addend, t) << (8 * k);
            *(unsigned int*)(image_of<unsigned char>(j.out) + (long long)(first + p) * j.out.pixel + o) = bytes;
        }
    }
}

// Four channels of a pixel; 3x3 or 5x5, as graph/steps_int8.hpp has it. A window of a known side is read at once: a loop of unknown length may wait for
// one tap after another.
template <int Side>
SPLITDSL_DEVICE void add_window(const byte_window_job& j, const unsigned char* in, int pixel, int o, unsigned int around, int* sum) {
    const int top = pixel / j.out_width * j.stride_h - j.pad_top;
    const int left = pixel % j.out_width * j.stride_w - j.pad_left;
    const int fours = (j.out_channels + 3) / 4;
    const unsigned int* const weight = (const unsigned int*)j.weight + o / 4;
    SPLITDSL_UNROLL
    for (int r = 0; r < Side; ++r)
        SPLITDSL_UNROLL
        for (int s = 0; s < Side; ++s) {
            const int y = top + r * j.dilation_h;
            const int x = left + s * j.dilation_w;
            const bool inside = y >= 0 && x >= 0 && y < j.in_height && x < j.in_width;
            const unsigned int four = inside ? *(const unsigned int*)(in + ((long long)y * j.in_width + x) * j.in.pixel + o) : around;
            const unsigned int w = weight[(r * Side + s) * fours];
            for (int k = 0; k < 4; ++k) sum[k] += (int)(four >> (8 * k) & 255u) * (int)(signed char)(w >> (8 * k) & 255u);
        }
}
SPLITDSL_KERNEL convolve_bytes_depthwise(byte_window_job j) {
    const byte_terms t = *j.terms;
    const unsigned char* in = image_of<unsigned char>(j.in);
    const int fours = (j.out_channels + 3) / 4;
    for (long long i = first_item(); i < (long long)j.out_height * j.out_width * fours; i += item_step()) {
        const int o = 4 * remainder_of(i, fours);
        const int pixel = (int)quotient_of(i, fours);
        int sum[4];
        for (int k = 0; k < 4; ++k) sum[k] = j.bias[o + k];
        if (j.kernel_h == 3) add_window<3>(j, in, pixel, o, t.around, sum);
        else add_window<5>(j, in, pixel, o, t.around, sum);
        unsigned int bytes = 0;
        for (int k = 0; k < 4; ++k) bytes |= byte_of_sum(sum[k], j.factor[o + k], (const unsigned char*)0, t) << (8 * k);
        *(unsigned int*)(image_of<unsigned char>(j.out) + (long long)pixel * j.out.pixel + o) = bytes;
    }
}

SPLITDSL_KERNEL scale_bytes(byte_window_job j) {
    const byte_terms t = *j.terms;
    each_value((long long)j.out_height * j.out_width, j.in_channels, [&](long long pixel, int c) {
        const unsigned char* addend = j.addend.at ? byte_at(j.addend, pixel, c) : (const unsigned char*)0;
        const int sum = (int)*byte_at(j.in, pixel, c) * ((const int*)j.weight)[c] + j.bias[c];
        *byte_at(j.out, pixel, c) = (unsigned char)byte_of_sum(sum, j.factor[c], addend, t);
    });
}
SPLITDSL_KERNEL multiply_bytes(byte_window_job j) {
    const byte_terms t = *j.terms;
    each_value((long long)j.out_height * j.out_width, j.in_channels, [&](long long pixel, int c) {
        const int sum = ((int)*byte_at(j.in, pixel, c) - t.addend_zero) * ((int)*byte_at(j.addend, 0, c) - (int)t.around);
        *byte_at(j.out, pixel, c) = (unsigned char)byte_of_sum(sum, t.addend_factor, (const unsigned char*)0, t);
    });
}
SPLITDSL_KERNEL pool_bytes(byte_pool_job j) {
    const byte_terms t = *j.terms;
    const unsigned char* in = image_of<unsigned char>(j.in);
    for (long long i = first_item(); i < (long long)j.out_height * j.out_width * j.channels; i += item_step()) {
        const int c = remainder_of(i, j.channels);
        const int pixel = (int)quotient_of(i, j.channels);
        const int top = pixel / j.out_width * j.stride_h - j.pad_top;
        const int left = pixel % j.out_width * j.stride_w - j.pad_left;
        const int y0 = larger(top, 0);
        const int y1 = smaller(top + j.kernel_h, j.in_height);
        const int x0 = larger(left, 0);
        const int x1 = smaller(left + j.kernel_w, j.in_width);
        int sum = 0;
        int best = 0;
        for (int y = y0; y < y1; ++y)
            for (int x = x0; x < x1; ++x) {
                const int q = in[((long long)y * j.in_width + x) * j.in.pixel + c];
                sum += q - t.addend_zero;
                best = larger(best, q);
            }
        int count = (y1 - y0) * (x1 - x0);
        if (j.count_include_pad) count = (smaller(top + j.kernel_h, j.in_height + j.pad_bottom) - top) * (smaller(left + j.kernel_w, j.in_width + j.pad_right) - left);
        const unsigned int mean = byte_of_sum(sum, exact_divide(t.addend_factor, (float)count), (const unsigned char*)0, t);
        image_of<unsigned char>(j.out)[(long long)pixel * j.out.pixel + c] = (unsigned char)(j.average ? mean : (unsigned int)best);
    }
}

template <class T>
SPLITDSL_DEVICE void multiply_rows_of_bytes(const byte_dense_job& j) {
    SPLITDSL_SHARED int room[256];
    const int quads = (j.inputs + 3) / 4;
    const unsigned int* in = (const unsigned int*)image_of<unsigned char>(j.in);
    const int me = thread_here();
    for (int unit = block_here(); unit < j.units; unit += blocks_here()) {
        const unsigned int* w = (const unsigned int*)j.weight + (long long)unit * ((j.inputs + 63) / 64 * 16);
        int sum = 0;
        for (int q = me; q < quads; q += threads_here()) sum = dot_bytes(in[q], w[q], sum);
        room[me] = sum;
        wait_for_block();
        for (int n = threads_here() / 2; n > 0; n /= 2) {
            if (me < n) room[me] += room[me + n];
            wait_for_block();
        }
        if (me == 0) write(image_of<T>(j.out) + unit, activated(exact_multiply((float)(room[0] + j.bias[unit]), j.factor[unit]), j.activation, j.slope));
        wait_for_block();
    }
}
SPLITDSL_KERNELS(multiply_rows_of_bytes, byte_dense_job)

SPLITDSL_KERNEL pool_image_of_bytes(byte_move_job j) {
    SPLITDSL_SHARED int room[256];
    const byte_terms t = *j.terms;
    const int across = 32;
    const int lane = thread_here() % across;
    const int row = thread_here() / across;
    const int rows = threads_here() / across;
    const int c = block_here() * across + lane;
    int sum = 0;
    if (c < j.channels)
        for (long long p = row; p < j.pixels; p += rows) sum += image_of<unsigned char>(j.from)[p * j.from.pixel + c];
    room[thread_here()] = sum;
    wait_for_block();
    if (row == 0 && c < j.channels) {
        for (int r = 1; r < rows; ++r) sum += room[r * across + lane];
        image_of<unsigned char>(j.to)[c] = byte_within(exact_multiply((float)(sum - (int)j.pixels * t.addend_zero), t.addend_factor), t);
    }
}

template <class T>
SPLITDSL_DEVICE void bytes_of_values(const byte_move_job& j) {
    const byte_terms t = *j.terms;
    each_value(j.pixels, j.channels, [&](long long pixel, int c) {
        *byte_at(j.to, pixel, c) = byte_within(exact_multiply(read(image_of<T>(j.from) + pixel * j.from.pixel + c), t.addend_factor), t);
    });
}
template <class T>
SPLITDSL_DEVICE void values_of_bytes(const byte_move_job& j) {
    const byte_terms t = *j.terms;
    each_value(j.pixels, j.channels, [&](long long pixel, int c) {
        write(image_of<T>(j.to) + pixel * j.to.pixel + c, exact_multiply((float)((int)*byte_at(j.from, pixel, c) - t.zero), t.addend_factor));
    });
}
SPLITDSL_KERNELS(bytes_of_values, byte_move_job)
SPLITDSL_KERNELS(values_of_bytes, byte_move_job)

SPLITDSL_KERNEL planar_of_bytes(byte_move_job j) {
    const byte_terms t = *j.terms;
    each_value_in_groups(j.pixels, j.channels, [&](long long pixel, int c) {
        image_of<float>(j.to)[c * j.pixels + pixel] = exact_multiply((float)((int)*byte_at(j.from, pixel, c) - t.zero), t.addend_factor);
    });
}
SPLITDSL_KERNEL bytes_of_planar(byte_move_job j) {
    const byte_terms t = *j.terms;
    each_value_in_groups(j.pixels, j.channels, [&](long long pixel, int c) {
        *byte_at(j.to, pixel, c) = byte_within(exact_multiply(image_of<float>(j.from)[c * j.pixels + pixel], t.addend_factor), t);
    });
}

)

} // namespace splitdsl::kernels::cudnn
