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
struct alignas(16) sixteen_bytes {
    unsigned int of[4];
};
// Eight channels in one access, of 32-bit floats in two. `here` false: zeros, whatever is there.
template <class T>
SPLITDSL_DEVICE void read_eight(const T* at, float* to, bool here) {
    const sixteen_bytes v = *(const sixteen_bytes*)at;
    SPLITDSL_UNROLL
    for (int k = 0; k < 8; ++k) {
        T x;
        x.bits = here ? (unsigned short)(v.of[k / 2] >> (16 * (k % 2))) : (unsigned short)0;
        to[k] = read(&x);
    }
}
SPLITDSL_DEVICE void read_eight(const float* at, float* to, bool here) {
    const sixteen_bytes* const v = (const sixteen_bytes*)at;
    const sixteen_bytes halves[2] = {v[0], v[1]};
    SPLITDSL_UNROLL
    for (int k = 0; k < 8; ++k) to[k] = here ? float_from_bits((int)halves[k / 4].of[k % 4]) : 0.0f;
}
template <class T>
SPLITDSL_DEVICE void write_eight(T* at, const float* from) {
    sixteen_bytes v;
    SPLITDSL_UNROLL
    for (int k = 0; k < 4; ++k) {
        T low;
        T high;
        write(&low, from[2 * k]);
        write(&high, from[2 * k + 1]);
        v.of[k] = (unsigned int)low.bits | (unsigned int)high.bits << 16;
    }
    *(sixteen_bytes*)at = v;
}
SPLITDSL_DEVICE void write_eight(float* at, const float* from) {
    sixteen_bytes v[2];
    SPLITDSL_UNROLL
    for (int k = 0; k < 8; ++k) v[k / 4].of[k % 4] = (unsigned int)bits_of(from[k]);
    ((sixteen_bytes*)at)[0] = v[0];
    ((sixteen_bytes*)at)[1] = v[1];
}
template <class T>
SPLITDSL_DEVICE T* image_of(const device_tensor& t) { return (T*)t.at + image_here() * t.image; }

SPLITDSL_DEVICE long long first_item() { return (long long)block_here() * threads_here() + thread_here(); }
SPLITDSL_DEVICE long long item_step() { return (long long)blocks_here() * threads_here(); }
SPLITDSL_DEVICE long long quotient_of(long long i, int by) { return (unsigned int)i / (unsigned int)by; }
SPLITDSL_DEVICE int remainder_of(long long i, int by) { return (int)((unsigned int)i % (unsigned int)by); }
SPLITDSL_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
SPLITDSL_DEVICE int larger(int a, int b) { return a > b ? a : b; }

SPLITDSL_DEVICE float hard_step(float x) { return fminf(fmaxf(x + 3.0f, 0.0f), 6.0f); }
// Seldom wanted and long: not in line, so that every kernel is short.
SPLITDSL_DEVICE_CALL float curved(float x, int is_tanh) { return is_tanh ? tanhf(x) : 1.0f / (1.0f + expf(-x)); }
SPLITDSL_DEVICE float activated(float x, int activation, float slope) {
    const float sixth = 1.0f / 6.0f;
    switch (activation) {
    case 1: return x > 0.0f ? x : (x == x ? 0.0f : x);
    case 2: return x == x ? fminf(fmaxf(x, 0.0f), 6.0f) : x;
    case 3: return x > 0.0f ? x : slope * x;
    case 4: return x * (hard_step(x) * sixth);
    case 5: return hard_step(x) * sixth;
    case 6:
    case 7: return curved(x, activation == 7);
    default: return x;
    }
}
template <class T>
SPLITDSL_DEVICE void finish(const device_tensor& to, long long pixel, int channel, float value, const ending_job& then) {
    if (then.addend.at) value += read(image_of<T>(then.addend) + pixel * then.addend.pixel + channel);
    write(image_of<T>(to) + pixel * to.pixel + channel, activated(value, then.activation, then.slope));
}

// Of eight channels from `channel` on.
template <class T>
SPLITDSL_DEVICE void finish_eight(const device_tensor& to, long long pixel, int channel, float* value, const ending_job& then) {
    if (then.addend.at) {
        float more[8];
        read_eight(image_of<T>(then.addend) + pixel * then.addend.pixel + channel, more, true);
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) value[k] += more[k];
    }
    SPLITDSL_UNROLL
    for (int k = 0; k < 8; ++k) value[k] = activated(value[k], then.activation, then.slope);
    write_eight(image_of<T>(to) + pixel * to.pixel + channel, value);
}
SPLITDSL_DEVICE float warp_total(float value) {
    for (int n = 16; n > 0; n /= 2) value += of_lane_across(value, n);
    return value;
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
            // Not by index: parameters that are indexed are copied to memory first.
            const float mean = c == 0 ? j.mean[0] : c == 1 ? j.mean[1] : c == 2 ? j.mean[2] : j.mean[3];
            const float deviation = c == 0 ? j.deviation[0] : c == 1 ? j.deviation[1] : c == 2 ? j.deviation[2] : j.deviation[3];
            value = exact_divide(exact_add(value, -mean), deviation);
        }
        write(image_of<T>(j.out) + pixel * j.out.pixel + c, value);
    }
}
SPLITDSL_KERNELS(load_image, image_job)

SPLITDSL_DEVICE float combined(float x, float y, float scale, float shift, int operation) {
    switch (operation) {
    case op_affine: return x * scale + shift;
    case op_shift: return x + shift;
    case op_add: return x + y;
    case op_multiply: return x * y;
    case op_absolute: return fabsf(x);
    case op_square: return x * x;
    case op_divide: return x / y;
    case op_divide_by_root: return x / sqrtf(y);
    case op_multiply_by_root: return x * sqrtf(y);
    default: return x;
    }
}
template <class T>
SPLITDSL_DEVICE void combine(const combine_job& j) {
    const T* a = image_of<T>(j.a);
    const T* b = image_of<T>(j.b);
    for (long long i = first_item(); i < j.pixels * j.channels; i += item_step()) {
        const long long pixel = quotient_of(i, j.channels);
        const int c = remainder_of(i, j.channels);
        const float x = read(a + pixel * j.a.pixel + c);
        const float y = j.b.at ? read(b + (j.by_channel ? (long long)c : pixel * j.b.pixel + c)) : 0.0f;
        finish<T>(j.out, pixel, c, combined(x, y, j.scale ? j.scale[c] : 1.0f, j.shift ? j.shift[c] : 0.0f, j.operation), j.then);
    }
}
SPLITDSL_KERNELS(combine, combine_job)

// The same where all tensors come in eights of channels, for what networks do often: affine, shift, add, multiply.
template <class T>
SPLITDSL_DEVICE void combine_eights(const combine_job& j) {
    const T* a = image_of<T>(j.a);
    const T* b = image_of<T>(j.b);
    const int groups = j.channels / 8;
    for (long long i = first_item(); i < j.pixels * groups; i += item_step()) {
        const long long pixel = quotient_of(i, groups);
        const int c = 8 * remainder_of(i, groups);
        float x[8];
        float y[8];
        float scale[8];
        read_eight(a + pixel * j.a.pixel + c, x, true);
        if (j.b.at) read_eight(b + (j.by_channel ? (long long)c : pixel * j.b.pixel + c), y, true);
        if (j.scale) read_eight(j.scale + c, scale, true);
        if (j.shift) read_eight(j.shift + c, y, true);
        SPLITDSL_UNROLL
        for (int k = 0; k < 8; ++k) x[k] = j.operation == op_affine ? x[k] * scale[k] + y[k] : j.operation == op_multiply ? x[k] * y[k] : j.operation == op_pass ? x[k] : x[k] + y[k];
        finish_eight<T>(j.out, pixel, c, x, j.then);
    }
}
SPLITDSL_KERNELS(combine_eights, combine_job)

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

struct channel_group {          // channels of one pixel that one thread reads: eight of 32-bit floats are a memory sector
    long long pixel;
    int begin;
    int end;
};
SPLITDSL_DEVICE channel_group group_of(long long i, long long pixels, int channels, int each = 8) {
    channel_group g;
    const long long group = quotient_of(i, (int)pixels);
    g.pixel = i - group * pixels;
    g.begin = each * (int)group;
    g.end = smaller(channels, g.begin + each);
    return g;
}
SPLITDSL_DEVICE long long groups_in(long long pixels, int channels) { return pixels * ((channels + 7) / 8); }
SPLITDSL_DEVICE bool in_eights(const device_tensor& t, int channels) { return channels % 8 == 0 && t.pixel % 8 == 0; }
enum { enough_values = 1 << 20 };       // for every thread of a large device, though each takes sixteen
// `act(channel, pixel, value)` for each value of a tensor; threads beside each other have pixels beside each other. Of 16-bit values a sector is sixteen: where there are many, a thread takes both its eights.
// `backwards`: from the last one, which a kernel that read all of them has left in the second-level cache.
template <class T, class Act>
SPLITDSL_DEVICE void read_channels(const device_tensor& tensor, long long pixels, int channels, bool backwards, const Act& act) {
    const T* in = image_of<T>(tensor);
    const bool whole = in_eights(tensor, channels);
    const bool pairs = sizeof(T) == 2 && whole && channels % 16 == 0 && pixels * channels >= enough_values;
    const int each = pairs ? 16 : 8;
    const long long all = pixels * ((channels + each - 1) / each);
    for (long long i = first_item(); i < all; i += item_step()) {
        const channel_group g = group_of(backwards ? all - 1 - i : i, pixels, channels, each);
        const T* from = in + g.pixel * tensor.pixel + g.begin;
        if (whole) {
            float values[16];
            read_eight(from, values, true);
            if (pairs) read_eight(from + 8, values + 8, true);
            SPLITDSL_UNROLL
            for (int k = 0; k < 8; ++k) act(g.begin + k, g.pixel, values[k]);
            if (!pairs) continue;
            SPLITDSL_UNROLL
            for (int k = 8; k < 16; ++k) act(g.begin + k, g.pixel, values[k]);
        } else {
            for (int c = g.begin; c < g.end; ++c) act(c, g.pixel, read(from + c - g.begin));
        }
    }
}
// 16 bytes in one access.
template <class T>
SPLITDSL_DEVICE void write_piece(T* at, const float* from) { write_eight(at, from); }
SPLITDSL_DEVICE void write_piece(float* at, const float* from) {
    sixteen_bytes v;
    SPLITDSL_UNROLL
    for (int k = 0; k < 4; ++k) v.of[k] = (unsigned int)bits_of(from[k]);
    *(sixteen_bytes*)at = v;
}
// The other way: `value_of(channel, pixel)` is written. Two threads beside each other write one sector together: of halves that come one after the other each would take a whole one's time.
template <class T, class Value>
SPLITDSL_DEVICE void write_channels(const device_tensor& tensor, long long pixels, int channels, const Value& value_of) {
    T* out = image_of<T>(tensor);
    constexpr int each = (int)(16 / sizeof(T));
    if (in_eights(tensor, channels)) {
        const int both = channels / each % 2 == 0;
        for (long long i = first_item(); i < pixels * (channels / each); i += item_step()) {
            const channel_group g = group_of(i >> both, pixels, channels, each << both);
            const int begin = g.begin + each * (int)(i & both);
            float values[each];
            SPLITDSL_UNROLL
            for (int k = 0; k < each; ++k) values[k] = value_of(begin + k, g.pixel);
            write_piece(out + g.pixel * tensor.pixel + begin, values);
        }
        return;
    }
    for (long long i = first_item(); i < groups_in(pixels, channels); i += item_step()) {
        const channel_group g = group_of(i, pixels, channels);
        for (int c = g.begin; c < g.end; ++c) write(out + g.pixel * tensor.pixel + c, value_of(c, g.pixel));
    }
}

template <class From, class To>
SPLITDSL_DEVICE void leave_pixels(const order_job& j) {
    To* out = (To*)j.planar + image_here() * j.planar_image;
    read_channels<From>(j.tensor, j.pixels, j.channels, false, [&](int c, long long pixel, float value) { write(out + c * j.pixels + pixel, value); });
}
template <class T>
SPLITDSL_DEVICE void to_planar(const order_job& j) { leave_pixels<T, float>(j); }
template <class T>
SPLITDSL_DEVICE void flatten(const order_job& j) { leave_pixels<T, T>(j); }
template <class T>
SPLITDSL_DEVICE void from_planar(const order_job& j) {
    const float* in = (const float*)j.planar + image_here() * j.planar_image;
    write_channels<T>(j.tensor, j.pixels, j.channels, [&](int c, long long pixel) { return in[c * j.pixels + pixel]; });
}
SPLITDSL_KERNELS(to_planar, order_job)
SPLITDSL_KERNELS(flatten, order_job)
SPLITDSL_KERNELS(from_planar, order_job)

)

} // namespace splitdsl::kernels::cudnn
