// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file windows.hpp
/// Device code: convolutions that cuDNN does not run, fully connected layers, pooling, and whatever moves pixels.
#pragma once

#include "elements.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(windows_text,

template <class T>
SPLITDSL_DEVICE void convolve(const window_job& j) {
    const int per_group = j.in_channels / j.groups;
    const int out_per_group = j.out_channels / j.groups;
    const T* in = image_of<T>(j.in);
    const long long all = (long long)j.out_height * j.out_width * j.out_channels;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int o = remainder_of(i, j.out_channels);
        const long long pixel = quotient_of(i, j.out_channels);
        const int y = (int)quotient_of(pixel, j.out_width);
        const int x = remainder_of(pixel, j.out_width);
        float sum = j.bias ? j.bias[o] : 0.0f;
        const T* w = (const T*)j.weight + (long long)o * j.kernel_h * j.kernel_w * per_group;
        for (int r = 0; r < j.kernel_h; ++r) {
            const int in_y = y * j.stride_h - j.pad_top + r * j.dilation_h;
            for (int s = 0; s < j.kernel_w; ++s, w += per_group) {
                const int in_x = x * j.stride_w - j.pad_left + s * j.dilation_w;
                if (in_y < 0 || in_x < 0 || in_y >= j.in_height || in_x >= j.in_width) continue;
                const T* from = in + ((long long)in_y * j.in_width + in_x) * j.in.pixel + o / out_per_group * per_group;
                for (int c = 0; c < per_group; ++c) sum += read(from + c) * read(w + c);
            }
        }
        finish<T>(j.out, pixel, o, sum, j.then);
    }
}
SPLITDSL_KERNELS(convolve, window_job)

template <class T>
SPLITDSL_DEVICE void convolve_depthwise(const window_job& j) {
    const T* in = image_of<T>(j.in);
    const int channels = j.out_channels;
    const long long all = (long long)j.out_height * j.out_width * channels;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int c = remainder_of(i, channels);
        const long long pixel = quotient_of(i, channels);
        const int y = (int)quotient_of(pixel, j.out_width);
        const int x = remainder_of(pixel, j.out_width);
        float sum = j.bias ? j.bias[c] : 0.0f;
        for (int r = 0; r < j.kernel_h; ++r) {
            const int in_y = y * j.stride_h - j.pad_top + r * j.dilation_h;
            if (in_y < 0 || in_y >= j.in_height) continue;
            for (int s = 0; s < j.kernel_w; ++s) {
                const int in_x = x * j.stride_w - j.pad_left + s * j.dilation_w;
                if (in_x < 0 || in_x >= j.in_width) continue;
                sum += read(in + ((long long)in_y * j.in_width + in_x) * j.in.pixel + c) * read((const T*)j.weight + (r * j.kernel_w + s) * channels + c);
            }
        }
        finish<T>(j.out, pixel, c, sum, j.then);
    }
}
SPLITDSL_KERNELS(convolve_depthwise, window_job)

template <class T>
SPLITDSL_DEVICE void convolve_transposed(const window_job& j) {
    const T* in = image_of<T>(j.in);
    const long long all = (long long)j.out_height * j.out_width * j.out_channels;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int o = remainder_of(i, j.out_channels);
        const long long pixel = quotient_of(i, j.out_channels);
        const int y = (int)quotient_of(pixel, j.out_width);
        const int x = remainder_of(pixel, j.out_width);
        float sum = j.bias ? j.bias[o] : 0.0f;
        for (int r = 0; r < j.kernel_h; ++r) {
            const int up = y + j.pad_top - r * j.dilation_h;
            if (up < 0 || up % j.stride_h != 0 || up / j.stride_h >= j.in_height) continue;
            for (int s = 0; s < j.kernel_w; ++s) {
                const int across = x + j.pad_left - s * j.dilation_w;
                if (across < 0 || across % j.stride_w != 0 || across / j.stride_w >= j.in_width) continue;
                const T* from = in + ((long long)(up / j.stride_h) * j.in_width + across / j.stride_w) * j.in.pixel;
                const T* w = (const T*)j.weight + ((long long)(r * j.kernel_w + s) * j.out_channels + o) * j.in_channels;
                for (int c = 0; c < j.in_channels; ++c) sum += read(from + c) * read(w + c);
            }
        }
        finish<T>(j.out, pixel, o, sum, j.then);
    }
}
SPLITDSL_KERNELS(convolve_transposed, window_job)

template <class T>
SPLITDSL_DEVICE void multiply_rows(const dense_job& j) {
    SPLITDSL_SHARED float room[256];
    const T* in = image_of<T>(j.in);
    for (int unit = block_here(); unit < j.units; unit += blocks_here()) {
        float sum = 0.0f;
        const T* w = (const T*)j.weight + (long long)unit * j.inputs;
        for (int i = thread_here(); i < j.inputs; i += threads_here()) sum += read(in + i) * read(w + i);
        sum = block_total(sum, room);
        if (thread_here() == 0) finish<T>(j.out, 0, unit, sum + (j.bias ? j.bias[unit] : 0.0f), j.then);
    }
}
SPLITDSL_KERNELS(multiply_rows, dense_job)

template <class T>
SPLITDSL_DEVICE void pool_windows(const window_job& j) {
    const T* in = image_of<T>(j.in);
    const int channels = j.out_channels;
    const long long all = (long long)j.out_height * j.out_width * channels;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int c = remainder_of(i, channels);
        const long long pixel = quotient_of(i, channels);
        const int top = (int)quotient_of(pixel, j.out_width) * j.stride_h - j.pad_top;
        const int left = remainder_of(pixel, j.out_width) * j.stride_w - j.pad_left;
        const int y0 = larger(top, 0);
        const int y1 = smaller(top + j.kernel_h, j.in_height);
        const int x0 = larger(left, 0);
        const int x1 = smaller(left + j.kernel_w, j.in_width);
        float sum = 0.0f;
        float best = read(in + ((long long)y0 * j.in_width + x0) * j.in.pixel + c);
        for (int y = y0; y < y1; ++y)
            for (int x = x0; x < x1; ++x) {
                const float v = read(in + ((long long)y * j.in_width + x) * j.in.pixel + c);
                sum += v;
                best = v > best ? v : best;
            }
        int count = (y1 - y0) * (x1 - x0);
        if (j.count_include_pad) count = (smaller(top + j.kernel_h, j.in_height + j.pad_bottom) - top) * (smaller(left + j.kernel_w, j.in_width + j.pad_right) - left);
        write(image_of<T>(j.out) + pixel * j.out.pixel + c, j.average ? sum / (float)count : best);
    }
}
SPLITDSL_KERNELS(pool_windows, window_job)

template <class T>
SPLITDSL_DEVICE void pool_image(const pixel_job& j) {
    SPLITDSL_SHARED float room[256];
    const int across = 32;
    const int lane = thread_here() % across;
    const int row = thread_here() / across;
    const int rows = threads_here() / across;
    const int c = block_here() * across + lane;
    float sum = 0.0f;
    if (c < j.channels)
        for (long long p = row; p < j.pixels; p += rows) sum += read(image_of<T>(j.in) + p * j.in.pixel + c);
    room[thread_here()] = sum;
    wait_for_block();
    if (row == 0 && c < j.channels) {
        for (int r = 1; r < rows; ++r) sum += room[r * across + lane];
        write(image_of<T>(j.out) + c, sum / (float)j.pixels);
    }
}
SPLITDSL_KERNELS(pool_image, pixel_job)

struct neighbours {
    int low;
    int high;
    float share;
};
SPLITDSL_DEVICE neighbours neighbours_of(int position, int in, int out, int bilinear, int align_corners) {
    neighbours n;
    const float scale = !(bilinear && align_corners) ? (float)in / (float)out : out > 1 ? (float)(in - 1) / (float)(out - 1) : 0.0f;
    if (!bilinear) {
        n.low = n.high = smaller((int)exact_multiply((float)position, scale), in - 1);
        n.share = 0.0f;
        return n;
    }
    double at = align_corners ? (double)scale * position : (double)scale * (position + 0.5) - 0.5;
    at = at < 0.0 ? 0.0 : at;
    n.low = smaller((int)at, in - 1);
    n.high = smaller(n.low + 1, in - 1);
    n.share = (float)(at - n.low);
    return n;
}
template <class T>
SPLITDSL_DEVICE void upsample(const resample_job& j) {
    const long long all = (long long)j.out_height * j.out_width * j.channels;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int c = remainder_of(i, j.channels);
        const long long pixel = quotient_of(i, j.channels);
        const neighbours v = neighbours_of((int)quotient_of(pixel, j.out_width), j.in_height, j.out_height, j.bilinear, j.align_corners);
        const neighbours h = neighbours_of(remainder_of(pixel, j.out_width), j.in_width, j.out_width, j.bilinear, j.align_corners);
        const T* upper = image_of<T>(j.in) + (long long)v.low * j.in_width * j.in.pixel + c;
        const T* lower = image_of<T>(j.in) + (long long)v.high * j.in_width * j.in.pixel + c;
        const long long left = (long long)h.low * j.in.pixel;
        const long long right = (long long)h.high * j.in.pixel;
        float value = read(upper + left);
        if (j.bilinear) {
            const float a = (1.0f - h.share) * value + h.share * read(upper + right);
            const float b = (1.0f - h.share) * read(lower + left) + h.share * read(lower + right);
            value = (1.0f - v.share) * a + v.share * b;
        }
        write(image_of<T>(j.out) + pixel * j.out.pixel + c, value);
    }
}
SPLITDSL_KERNELS(upsample, resample_job)

template <class T>
SPLITDSL_DEVICE void place_pixels(const resample_job& j) {
    const long long all = (long long)j.out_height * j.out_width * j.channels;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int c = remainder_of(i, j.channels);
        const long long pixel = quotient_of(i, j.channels);
        const int y = (int)quotient_of(pixel, j.out_width) * j.step_h - j.top;
        const int x = remainder_of(pixel, j.out_width) * j.step_w - j.left;
        T* out = image_of<T>(j.out) + pixel * j.out.pixel + c;
        if (y < 0 || x < 0 || y >= j.in_height || x >= j.in_width) write(out, j.value);
        else *out = image_of<T>(j.in)[((long long)y * j.in_width + x) * j.in.pixel + c];
    }
}
SPLITDSL_KERNELS(place_pixels, resample_job)

template <class T>
SPLITDSL_DEVICE void softmax(const pixel_job& j) {
    SPLITDSL_SHARED float room[256];
    for (long long p = block_here(); p < j.pixels; p += blocks_here()) {
        const T* in = image_of<T>(j.in) + p * j.in.pixel;
        T* out = image_of<T>(j.out) + p * j.out.pixel;
        float best = -3.402823466e38f;
        for (int c = thread_here(); c < j.channels; c += threads_here()) best = fmaxf(best, read(in + c));
        best = block_largest(best, room);
        float sum = 0.0f;
        for (int c = thread_here(); c < j.channels; c += threads_here()) sum += expf(read(in + c) - best);
        sum = block_total(sum, room);
        for (int c = thread_here(); c < j.channels; c += threads_here()) write(out + c, expf(read(in + c) - best) / sum);
    }
}
SPLITDSL_KERNELS(softmax, pixel_job)

template <class T>
SPLITDSL_DEVICE void softmax_of_splits(const pixel_job& j) {
    const int each = j.channels / j.radix / j.cardinality;
    const long long all = j.pixels * j.cardinality * each;
    for (long long i = first_item(); i < all; i += item_step()) {
        const long long p = quotient_of(i, j.cardinality * each);
        const int k = remainder_of(i, j.cardinality * each);
        const int g = k / each;
        const int c = k % each;
        const T* in = image_of<T>(j.in) + p * j.in.pixel + (long long)g * j.radix * each + c;
        T* out = image_of<T>(j.out) + p * j.out.pixel + (long long)g * each + c;
        float best = read(in);
        for (int r = 1; r < j.radix; ++r) best = fmaxf(best, read(in + r * each));
        float sum = 0.0f;
        for (int r = 0; r < j.radix; ++r) sum += expf(read(in + r * each) - best);
        for (int r = 0; r < j.radix; ++r) write(out + (long long)r * j.cardinality * each, expf(read(in + r * each) - best) / sum);
    }
}
SPLITDSL_KERNELS(softmax_of_splits, pixel_job)

template <class T>
SPLITDSL_DEVICE void to_unit_length(const pixel_job& j) {
    SPLITDSL_SHARED float room[256];
    for (long long p = block_here(); p < j.pixels; p += blocks_here()) {
        const T* in = image_of<T>(j.in) + p * j.in.pixel;
        float sum = 0.0f;
        for (int c = thread_here(); c < j.channels; c += threads_here()) sum += read(in + c) * read(in + c);
        const float length = fmaxf(sqrtf(block_total(sum, room)), j.least);
        for (int c = thread_here(); c < j.channels; c += threads_here()) write(image_of<T>(j.out) + p * j.out.pixel + c, read(in + c) / length * j.weight[c]);
    }
}
SPLITDSL_KERNELS(to_unit_length, pixel_job)

)

} // namespace splitdsl::kernels::cudnn
