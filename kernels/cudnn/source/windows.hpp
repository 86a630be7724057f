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

// Eight channels a thread; a row of the window is read at once: `Width` taps, 0: one after another.
template <class T, int Width>
SPLITDSL_DEVICE void add_window_row(const window_job& j, const T* in, const T* weight, int left, bool row_is_inside, float* sum) {
    const int width = Width > 0 ? Width : j.kernel_w;
    SPLITDSL_UNROLL
    for (int s = 0; s < width; ++s) {
        const int x = left + s * j.dilation_w;
        float value[8];
        float by[8];
        read_eight(in + (long long)smaller(larger(x, 0), j.in_width - 1) * j.in.pixel, value, row_is_inside && x >= 0 && x < j.in_width);
        read_eight(weight + s * j.out_channels, by, true);
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) sum[k] += value[k] * by[k];
    }
}
template <class T>
SPLITDSL_DEVICE void convolve_depthwise_eights(const window_job& j) {
    const T* in = image_of<T>(j.in);
    const int groups = j.out_channels / 8;
    const long long all = (long long)j.out_height * j.out_width * groups;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int c = 8 * remainder_of(i, groups);
        const long long pixel = quotient_of(i, groups);
        const int top = (int)quotient_of(pixel, j.out_width) * j.stride_h - j.pad_top;
        const int left = remainder_of(pixel, j.out_width) * j.stride_w - j.pad_left;
        float sum[8];
        read_eight(j.bias + c, sum, true);
        for (int r = 0; r < j.kernel_h; ++r) {
            const int y = top + r * j.dilation_h;
            const bool inside = y >= 0 && y < j.in_height;
            const T* from = in + (long long)smaller(larger(y, 0), j.in_height - 1) * j.in_width * j.in.pixel + c;
            const T* weight = (const T*)j.weight + (long long)r * j.kernel_w * j.out_channels + c;
            if (j.kernel_w == 3) add_window_row<T, 3>(j, from, weight, left, inside, sum);
            else if (j.kernel_w == 5) add_window_row<T, 5>(j, from, weight, left, inside, sum);
            else add_window_row<T, 0>(j, from, weight, left, inside, sum);
        }
        finish_eight<T>(j.out, pixel, c, sum, j.then);
    }
}
SPLITDSL_KERNELS(convolve_depthwise_eights, window_job)

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

enum mean_size { pool_lanes = 4, most_pooled_inputs = 1024 };       // lanes of eight channels each, beside each other: 64 bytes of a pixel and more
// A warp's: sums over pixels `first`, `first` + `rows` and so on, of eight channels from 8 * (`group` + a lane's place among `pool_lanes`) on; of those of its lanes that have the same place. `Together`: pixels of
// each lane on their way at once.
template <class T, int Together>
SPLITDSL_DEVICE void sums_of_eights(const T* in, int step, long long pixels, int group, int groups, int first, int rows, float* sum) {
    const int place = thread_here() % pool_lanes;
    SPLITDSL_UNROLL
    for (int k = 0; k < 8; ++k) sum[k] = 0.0f;
    if (group + place < groups) {
        const T* from = in + 8 * (group + place);
        for (long long p = first; p < pixels; p += (long long)Together * rows) {
            SPLITDSL_UNROLL
            for (int n = 0; n < Together; ++n) {
                float value[8];
                const long long at = p + (long long)n * rows;
                read_eight(from + (at < pixels ? at : p) * step, value, at < pixels);
                SPLITDSL_UNROLL
                for (int k = 0; k < 8; ++k) sum[k] += value[k];
            }
        }
    }
    SPLITDSL_UNROLL
    for (int n = pool_lanes; n < 32; n *= 2) {
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) sum[k] += of_lane_across(sum[k], n);
    }
}

// A warp makes a unit. Where `pooled_pixels` is set its inputs are the means of a map, which every block makes for itself.
template <class T>
SPLITDSL_DEVICE void multiply_rows(const dense_job& j) {
    SPLITDSL_SHARED float means[most_pooled_inputs];
    const T* in = image_of<T>(j.in);
    const int lane = thread_here() % 32;
    const int warps = threads_here() / 32;
    if (j.pooled_pixels > 0) {
        const int groups = j.inputs / 8;
        for (int group = pool_lanes * (thread_here() / 32); group < groups; group += pool_lanes * warps) {      // each warp its own: nobody waits
            float sum[8];
            sums_of_eights<T, 8>(in, j.in.pixel, j.pooled_pixels, group, groups, lane / pool_lanes, 32 / pool_lanes, sum);
            if (lane >= pool_lanes || group + lane >= groups) continue;
            SPLITDSL_UNROLL
            for (int k = 0; k < 8; ++k) {
                T rounded;          // as a map's means are between kernels
                write(&rounded, sum[k] / (float)j.pooled_pixels);
                means[8 * (group + lane) + k] = read(&rounded);
            }
        }
        wait_for_block();
    }
    for (int unit = block_here() * warps + thread_here() / 32; unit < j.units; unit += blocks_here() * warps) {
        float sum = 0.0f;
        const T* w = (const T*)j.weight + (long long)unit * j.inputs;
        if (j.inputs % 8 == 0) {
            SPLITDSL_UNROLL_BY_FOUR
            for (int i = 8 * lane; i < j.inputs; i += 8 * 32) {
                float value[8];
                float by[8];
                read_eight(w + i, by, true);
                if (j.pooled_pixels > 0) read_eight(means + i, value, true);
                else read_eight(in + i, value, true);
                SPLITDSL_UNROLL
                for (int k = 0; k < 8; ++k) sum += value[k] * by[k];
            }
        } else {
            for (int i = lane; i < j.inputs; i += 32) sum += read(in + i) * read(w + i);
        }
        sum = warp_total(sum);
        if (lane > 0) continue;
        sum += j.bias ? j.bias[unit] : 0.0f;
        if (j.floats) j.floats[image_here() * j.units + unit] = activated(sum, j.then.activation, j.then.slope);
        else finish<T>(j.out, 0, unit, sum, j.then);
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

// Eight channels a thread; `Width` columns of the window are read at once, 0: one after another.
template <class T, int Width>
SPLITDSL_DEVICE void take_window_row(const window_job& j, const T* in, int left, float* sum, float* best) {
    const int width = Width > 0 ? Width : j.kernel_w;
    SPLITDSL_UNROLL
    for (int s = 0; s < width; ++s) {
        const int x = left + s;
        const bool inside = x >= 0 && x < j.in_width;
        float value[8];
        read_eight(in + (long long)smaller(larger(x, 0), j.in_width - 1) * j.in.pixel, value, true);
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) {
            sum[k] += inside ? value[k] : 0.0f;
            best[k] = value[k] > best[k] ? value[k] : best[k];      // around the input the nearest column's, which is in the window too
        }
    }
}
template <class T>
SPLITDSL_DEVICE void pool_windows_eights(const window_job& j) {
    const T* in = image_of<T>(j.in);
    const int groups = j.out_channels / 8;
    const long long all = (long long)j.out_height * j.out_width * groups;
    for (long long i = first_item(); i < all; i += item_step()) {
        const int c = 8 * remainder_of(i, groups);
        const long long pixel = quotient_of(i, groups);
        const int top = (int)quotient_of(pixel, j.out_width) * j.stride_h - j.pad_top;
        const int left = remainder_of(pixel, j.out_width) * j.stride_w - j.pad_left;
        const int y0 = larger(top, 0);
        const int y1 = smaller(top + j.kernel_h, j.in_height);
        const int x0 = larger(left, 0);
        const int x1 = smaller(left + j.kernel_w, j.in_width);
        float sum[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
        float best[8];
        read_eight(in + ((long long)y0 * j.in_width + x0) * j.in.pixel + c, best, true);
        for (int y = y0; y < y1; ++y) {
            const T* row = in + (long long)y * j.in_width * j.in.pixel + c;
            if (j.kernel_w == 3) take_window_row<T, 3>(j, row, left, sum, best);
            else if (j.kernel_w == 2) take_window_row<T, 2>(j, row, left, sum, best);
            else take_window_row<T, 0>(j, row, left, sum, best);
        }
        int count = (y1 - y0) * (x1 - x0);
        if (j.count_include_pad) count = (smaller(top + j.kernel_h, j.in_height + j.pad_bottom) - top) * (smaller(left + j.kernel_w, j.in_width + j.pad_right) - left);
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) sum[k] = j.average ? sum[k] / (float)count : best[k];
        write_eight(image_of<T>(j.out) + pixel * j.out.pixel + c, sum);
    }
}
SPLITDSL_KERNELS(pool_windows_eights, window_job)

template <class T>
SPLITDSL_DEVICE void pool_image_eights(const pixel_job& j) {
    SPLITDSL_SHARED float room[256];
    const int across = 8 * pool_lanes;      // channels of a block: its warps divide the pixels
    const int lane = thread_here() % 32;
    const int group = block_here() * pool_lanes;
    float sum[8];
    sums_of_eights<T, 4>(image_of<T>(j.in), j.in.pixel, j.pixels, group, j.channels / 8, thread_here() / pool_lanes, threads_here() / pool_lanes, sum);
    if (lane < pool_lanes) {
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) room[across * (thread_here() / 32) + 8 * lane + k] = sum[k];
    }
    wait_for_block();
    const int c = 8 * group + thread_here();
    if (thread_here() >= across || c >= j.channels) return;
    float total = 0.0f;
    for (int w = 0; w < threads_here() / 32; ++w) total += room[across * w + thread_here()];
    write(image_of<T>(j.out) + c, total / (float)j.pixels);
}
SPLITDSL_KERNELS(pool_image_eights, pixel_job)

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
