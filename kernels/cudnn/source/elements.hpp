// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file elements.hpp
/// Device code: element types, activations, reductions of a block, and kernels that work element by element.
#pragma once

#include "jobs.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(elements_text,

SPLITDSL_DEVICE float read(const float* at) { return *at; }
SPLITDSL_DEVICE float read(const half_bits* at) { return float_of(*at); }
SPLITDSL_DEVICE float read(const bfloat_bits* at) { return float_of(*at); }
SPLITDSL_DEVICE void write(float* at, float value) { *at = value; }
SPLITDSL_DEVICE void write(half_bits* at, float value) { *at = half_of(value); }
SPLITDSL_DEVICE void write(bfloat_bits* at, float value) { *at = bfloat_of(value); }
template <class T>
SPLITDSL_DEVICE T* image_of(const device_tensor& t) { return (T*)t.at + image_here() * t.image; }

SPLITDSL_DEVICE long long first_item() { return (long long)block_here() * threads_here() + thread_here(); }
SPLITDSL_DEVICE long long item_step() { return (long long)blocks_here() * threads_here(); }
SPLITDSL_DEVICE long long quotient_of(long long i, int by) { return (unsigned int)i / (unsigned int)by; }
SPLITDSL_DEVICE int remainder_of(long long i, int by) { return (int)((unsigned int)i % (unsigned int)by); }
SPLITDSL_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
SPLITDSL_DEVICE int larger(int a, int b) { return a > b ? a : b; }

SPLITDSL_DEVICE float hard_step(float x) { return fminf(fmaxf(x + 3.0f, 0.0f), 6.0f); }
SPLITDSL_DEVICE float activated(float x, int activation, float slope) {
    switch (activation) {
    case 1: return x > 0.0f ? x : (x == x ? 0.0f : x);
    case 2: return x == x ? fminf(fmaxf(x, 0.0f), 6.0f) : x;
    case 3: return x > 0.0f ? x : slope * x;
    case 4: return x * hard_step(x) / 6.0f;
    case 5: return hard_step(x) / 6.0f;
    case 6: return 1.0f / (1.0f + expf(-x));
    case 7: return tanhf(x);
    default: return x;
    }
}
template <class T>
SPLITDSL_DEVICE void finish(const device_tensor& to, long long pixel, int channel, float value, const ending_job& then) {
    if (then.addend.at) value += read(image_of<T>(then.addend) + pixel * then.addend.pixel + channel);
    write(image_of<T>(to) + pixel * to.pixel + channel, activated(value, then.activation, then.slope));
}

template <class Sum>
SPLITDSL_DEVICE Sum block_total(Sum value, Sum* room) {
    const int me = thread_here();
    room[me] = value;
    wait_for_block();
    for (int n = threads_here() / 2; n > 0; n /= 2) {
        if (me < n) room[me] += room[me + n];
        wait_for_block();
    }
    const Sum total = room[0];
    wait_for_block();
    return total;
}
SPLITDSL_DEVICE float block_largest(float value, float* room) {
    const int me = thread_here();
    room[me] = value;
    wait_for_block();
    for (int n = threads_here() / 2; n > 0; n /= 2) {
        if (me < n) room[me] = fmaxf(room[me], room[me + n]);
        wait_for_block();
    }
    const float most = room[0];
    wait_for_block();
    return most;
}

template <class T>
SPLITDSL_DEVICE void load_image(const image_job& j) {
    const long long pixels = (long long)j.height * j.width;
    const unsigned char* in = (const unsigned char*)j.in + image_here() * j.in_image;
    for (long long i = first_item(); i < pixels * j.channels; i += item_step()) {
        const long long pixel = quotient_of(i, j.channels);
        const int c = remainder_of(i, j.channels);
        const long long from = j.interleaved ? i : c * pixels + pixel;
        float value = j.is_u8 ? (float)in[from] : ((const float*)in)[from];
        if (j.normalises) {
            if (j.is_u8) value = exact_divide(value, 255.0f);
            value = exact_divide(exact_add(value, -j.mean[c]), j.deviation[c]);
        }
        write(image_of<T>(j.out) + pixel * j.out.pixel + c, value);
    }
}
SPLITDSL_KERNELS(load_image, image_job)

template <class T>
SPLITDSL_DEVICE void combine(const combine_job& j) {
    const T* a = image_of<T>(j.a);
    const T* b = image_of<T>(j.b);
    for (long long i = first_item(); i < j.pixels * j.channels; i += item_step()) {
        const long long pixel = quotient_of(i, j.channels);
        const int c = remainder_of(i, j.channels);
        float x = read(a + pixel * j.a.pixel + c);
        float y = j.b.at ? read(b + (j.by_channel ? (long long)c : pixel * j.b.pixel + c)) : 0.0f;
        switch (j.operation) {
        case op_affine: x = x * j.scale[c] + j.shift[c]; break;
        case op_shift: x = x + j.shift[c]; break;
        case op_add: x = x + y; break;
        case op_multiply: x = x * y; break;
        case op_absolute: x = fabsf(x); break;
        case op_square: x = x * x; break;
        case op_divide: x = x / y; break;
        case op_divide_by_root: x = x / sqrtf(y); break;
        case op_multiply_by_root: x = x * sqrtf(y); break;
        default: break;
        }
        finish<T>(j.out, pixel, c, x, j.then);
    }
}
SPLITDSL_KERNELS(combine, combine_job)

template <class T>
SPLITDSL_DEVICE void move_channels(const channels_job& j) {
    if (j.command && j.command[image_here() * j.command_image] != j.wanted) return;
    const T* in = image_of<T>(j.in);
    T* out = image_of<T>(j.out) + j.to;
    for (long long i = first_item(); i < j.pixels * j.count; i += item_step()) {
        const long long pixel = quotient_of(i, j.count);
        const int k = remainder_of(i, j.count);
        const int from = j.from + k;
        if (from < 0 || from >= j.in_channels) write(out + pixel * j.out.pixel + k, 0.0f);
        else out[pixel * j.out.pixel + k] = in[pixel * j.in.pixel + from];
    }
}
SPLITDSL_KERNELS(move_channels, channels_job)

struct channel_group {          // eight channels of one pixel: a memory sector of 32-bit floats, read by one thread
    long long pixel;
    int begin;
    int end;
};
SPLITDSL_DEVICE channel_group group_of(long long i, long long pixels, int channels) {
    channel_group g;
    const long long group = quotient_of(i, (int)pixels);
    g.pixel = i - group * pixels;
    g.begin = 8 * (int)group;
    g.end = smaller(channels, g.begin + 8);
    return g;
}
SPLITDSL_DEVICE long long groups_in(long long pixels, int channels) { return pixels * ((channels + 7) / 8); }

template <class From, class To>
SPLITDSL_DEVICE void leave_pixels(const order_job& j) {
    const From* in = image_of<From>(j.tensor);
    To* out = (To*)j.planar + image_here() * j.planar_image;
    for (long long i = first_item(); i < groups_in(j.pixels, j.channels); i += item_step()) {
        const channel_group g = group_of(i, j.pixels, j.channels);
        for (int c = g.begin; c < g.end; ++c) write(out + c * j.pixels + g.pixel, read(in + g.pixel * j.tensor.pixel + c));
    }
}
template <class T>
SPLITDSL_DEVICE void to_planar(const order_job& j) { leave_pixels<T, float>(j); }
template <class T>
SPLITDSL_DEVICE void flatten(const order_job& j) { leave_pixels<T, T>(j); }
template <class T>
SPLITDSL_DEVICE void from_planar(const order_job& j) {
    const float* in = (const float*)j.planar + image_here() * j.planar_image;
    T* out = image_of<T>(j.tensor);
    for (long long i = first_item(); i < groups_in(j.pixels, j.channels); i += item_step()) {
        const channel_group g = group_of(i, j.pixels, j.channels);
        for (int c = g.begin; c < g.end; ++c) write(out + g.pixel * j.tensor.pixel + c, in[c * j.pixels + g.pixel]);
    }
}
SPLITDSL_KERNELS(to_planar, order_job)
SPLITDSL_KERNELS(flatten, order_job)
SPLITDSL_KERNELS(from_planar, order_job)

)

} // namespace splitdsl::kernels::cudnn
