// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file codec.hpp
/// Device code: tensors to payload bytes and back, bit for bit what splitdsl/codec/ makes of the same values.
///
/// Single IEEE operations in the order of `codec/affine.hpp` and `codec/entropy_bottleneck.hpp`, then integers. A payload's values stand in (channels, height, width) order.
#pragma once

#include "elements.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(codec_text,

SPLITDSL_DEVICE int order_of_bits(int bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }
SPLITDSL_DEVICE int block_extreme(int value, int* room, int want_largest) {
    const int me = thread_here();
    room[me] = value;
    wait_for_block();
    for (int n = threads_here() / 2; n > 0; n /= 2) {
        if (me < n) room[me] = want_largest ? larger(room[me], room[me + n]) : smaller(room[me], room[me + n]);
        wait_for_block();
    }
    const int found = room[0];
    wait_for_block();
    return found;
}

template <class T>
SPLITDSL_DEVICE void find_range(const affine_job& j) {
    SPLITDSL_SHARED int room[256];
    int low = 0x7fffffff;
    int high = -0x7fffffff - 1;
    const T* in = image_of<T>(j.tensor);
    const long long all = j.pixels * j.channels;
    const int packed = j.tensor.pixel == j.channels;
    const long long eights = packed && all % 8 == 0 ? all / 8 : 0;
    constexpr int together = (int)(4 / sizeof(T));      // 32 bytes of each thread on their way: 64 KiB a multiprocessor
    for (long long i = first_item(); i < eights; i += together * item_step()) {
        float values[8 * together];
        SPLITDSL_UNROLL
        for (int n = 0; n < together; ++n) {
            const long long at = i + n * item_step();
            read_eight(in + 8 * (at < eights ? at : i), values + 8 * n, true);
        }
        SPLITDSL_UNROLL
        for (int k = 0; k < 8 * together; ++k) {
            const int bits = bits_of(values[k]);
            const int key = order_of_bits(bits);
            const int is_finite = (bits & 0x7fffffff) < 0x7f800000;
            low = is_finite ? smaller(low, key) : low;
            high = is_finite ? larger(high, key) : high;
        }
    }
    for (long long i = eights > 0 ? all : first_item(); i < all; i += 4 * item_step()) {
        int bits[4];
        for (int k = 0; k < 4; ++k) {
            const long long at = i + k * item_step();
            bits[k] = at < all ? bits_of(read(in + (packed ? at : quotient_of(at, j.channels) * j.tensor.pixel + remainder_of(at, j.channels)))) : 0x7f800000;
        }
        for (int k = 0; k < 4; ++k) {
            const int key = order_of_bits(bits[k]);
            const int is_finite = (bits[k] & 0x7fffffff) < 0x7f800000;
            low = is_finite ? smaller(low, key) : low;
            high = is_finite ? larger(high, key) : high;
        }
    }
    low = block_extreme(low, room, 0);
    high = block_extreme(high, room, 1);
    if (thread_here() == 0) {
        int* mine = j.partial + 2 * (image_here() * j.parts + block_here());
        mine[0] = low;
        mine[1] = high;
    }
}
SPLITDSL_KERNELS(find_range, affine_job)

struct affine_numbers {
    float scale;
    int zero_point;
};
SPLITDSL_DEVICE affine_numbers numbers_for(float low, float high, int any, int top) {
    const float levels = (float)top;
    const float widest = 3.402823466e38f / 2.0f;
    const float smallest = 1.175494351e-38f;
    affine_numbers p = {1.0f, 0};
    if (!any) return p;
    if (!(exact_add(high, -low) <= widest)) {
        low = low < -widest / 2.0f ? -widest / 2.0f : low;
        high = high > widest / 2.0f ? widest / 2.0f : high;
    }
    const float scale = exact_divide(exact_add(high, -low), levels);
    if (scale < smallest) {
        const float constant = low > 0.0f ? low : (high < 0.0f ? high : 0.0f);
        const float magnitude = constant < 0.0f ? -constant : constant;
        if (magnitude < smallest) return p;
        if (magnitude > exact_divide(widest, levels)) {
            p.scale = exact_divide(magnitude < widest ? magnitude : widest, levels);
            p.zero_point = constant < 0.0f ? top : 0;
            return p;
        }
        p.scale = magnitude;
        p.zero_point = constant < 0.0f ? 1 : 0;
        return p;
    }
    const float zero = exact_divide(-low, scale);
    p.scale = scale;
    p.zero_point = (int)(zero > levels ? levels : (zero > 0.0f ? zero : 0.0f));
    return p;
}
// Many numbers by one: the nearest float to the quotient, as a division gives it, in a quarter of the operations. With the nearest float to the reciprocal, one step of Newton brings the first product
// within a unit in the last place of the quotient, and from there a second one to the nearest (P. Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", 1990), as
// long as remainders are exact: so neither for divisors near the least floats nor where the quotient is beyond any level, where the product alone says so.
struct float_divisor {
    float by;
    float reciprocal;
};
// Not in line: a division is long.
SPLITDSL_DEVICE_CALL float divided_apart(float a, float b) { return exact_divide(a, b); }
SPLITDSL_DEVICE float_divisor divisor_of(float by) {
    float_divisor d;
    d.by = by;
    d.reciprocal = by > 1e-24f ? exact_divide(1.0f, by) : 0.0f;
    return d;
}
SPLITDSL_DEVICE float divided(float x, const float_divisor& d) {
    if (d.reciprocal == 0.0f) return divided_apart(x, d.by);
    const float first = exact_multiply(x, d.reciprocal);
    if (!(fabsf(first) < 1e6f)) return first;
    const float second = exact_multiply_add(exact_multiply_add(-first, d.by, x), d.reciprocal, first);
    return exact_multiply_add(exact_multiply_add(-second, d.by, x), d.reciprocal, second);
}
SPLITDSL_DEVICE int level_of(float x, const float_divisor& scale, int zero_point, int top) {
    const float ratio = divided(x, scale);
    const float moved = exact_add((float)zero_point, ratio == ratio ? ratio : 0.0f);
    return nearest_int(fminf(fmaxf(moved, 0.0f), (float)top));
}

SPLITDSL_DEVICE affine_numbers numbers_of_parts(const int* partial, int parts, int* room, int top) {
    int low = 0x7fffffff;
    int high = -0x7fffffff - 1;
    for (int k = thread_here(); k < parts; k += threads_here()) {
        low = smaller(low, partial[2 * k]);
        high = larger(high, partial[2 * k + 1]);
    }
    low = block_extreme(low, room, 0);
    high = block_extreme(high, room, 1);
    return numbers_for(float_from_bits(order_of_bits(low)), float_from_bits(order_of_bits(high)), low <= high, top);
}
template <class T, class Level>
SPLITDSL_DEVICE void quantise(const affine_job& j, int top) {
    SPLITDSL_SHARED int room[256];
    const affine_numbers p = numbers_of_parts(j.partial + (j.is_calibrated ? 0 : 2 * image_here() * j.parts), j.parts, room, top);
    unsigned char* bytes = j.bytes + image_here() * j.bytes_image;
    if (block_here() == 0 && thread_here() == 0) {
        ((int*)bytes)[0] = bits_of(p.scale);
        ((int*)bytes)[1] = p.zero_point;
    }
    Level* to = (Level*)(bytes + 8);
    const float_divisor scale = divisor_of(p.scale);
    read_channels<T>(j.tensor, j.pixels, j.channels, !j.is_calibrated, [&](int c, long long pixel, float value) { to[c * j.pixels + pixel] = (Level)level_of(value, scale, p.zero_point, top); });
}
template <class T>
SPLITDSL_DEVICE void quantise_u8(const affine_job& j) { quantise<T, unsigned char>(j, 255); }
template <class T>
SPLITDSL_DEVICE void quantise_u16(const affine_job& j) { quantise<T, unsigned short>(j, 65535); }
SPLITDSL_KERNELS(quantise_u8, affine_job)
SPLITDSL_KERNELS(quantise_u16, affine_job)

template <class T, class Level>
SPLITDSL_DEVICE void dequantise(const affine_job& j) {
    const unsigned char* bytes = j.bytes + image_here() * j.bytes_image;
    const float scale = float_from_bits(((const int*)bytes)[0]);
    const int zero = ((const int*)bytes)[1];
    const Level* from = (const Level*)(bytes + 8);
    write_channels<T>(j.tensor, j.pixels, j.channels, [&](int c, long long pixel) { return exact_multiply((float)((int)from[c * j.pixels + pixel] - zero), scale); });
}
template <class T>
SPLITDSL_DEVICE void dequantise_u8(const affine_job& j) { dequantise<T, unsigned char>(j); }
template <class T>
SPLITDSL_DEVICE void dequantise_u16(const affine_job& j) { dequantise<T, unsigned short>(j); }
SPLITDSL_KERNELS(dequantise_u8, affine_job)
SPLITDSL_KERNELS(dequantise_u16, affine_job)

SPLITDSL_DEVICE unsigned short half_level(float x) {
    const unsigned int bits = (unsigned int)bits_of(x);
    const unsigned int sign = (bits >> 16) & 0x8000u;
    const unsigned int magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (unsigned short)(sign | 0x7e00u | ((magnitude >> 13) & 0x03ffu));
    if (magnitude >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u) return (unsigned short)(sign | ((magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13));
    const unsigned int shift = 126u - (magnitude >> 23);
    if (shift > 25u) return (unsigned short)sign;
    const unsigned int mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
    return (unsigned short)(sign | ((mantissa + ((1u << (shift - 1u)) - 1u) + ((mantissa >> shift) & 1u)) >> shift));
}
template <class T>
SPLITDSL_DEVICE void encode_half(const order_job& j) {
    unsigned short* out = (unsigned short*)j.planar + image_here() * j.planar_image;
    read_channels<T>(j.tensor, j.pixels, j.channels, false, [&](int c, long long pixel, float value) { out[c * j.pixels + pixel] = half_level(value); });
}
template <class T>
SPLITDSL_DEVICE void decode_half(const order_job& j) {
    const half_bits* in = (const half_bits*)j.planar + image_here() * j.planar_image;
    write_channels<T>(j.tensor, j.pixels, j.channels, [&](int c, long long pixel) { return float_of(in[c * j.pixels + pixel]); });
}
SPLITDSL_KERNELS(encode_half, order_job)
SPLITDSL_KERNELS(decode_half, order_job)

template <class T>
SPLITDSL_DEVICE void round_about_medians(const median_job& j) {
    const T* in = image_of<T>(j.tensor);
    float* out = j.planar + image_here() * j.planar_image;
    for (long long i = first_item(); i < groups_in(j.pixels, j.channels); i += item_step()) {
        const channel_group g = group_of(i, j.pixels, j.channels);
        for (int c = g.begin; c < g.end; ++c) {
            float steps = exact_add(read(in + g.pixel * j.tensor.pixel + c), -j.medians[c]);
            steps = steps == steps ? steps : 0.0f;
            steps = steps < -j.most ? -j.most : steps;
            steps = steps > j.most ? j.most : steps;
            out[c * j.pixels + g.pixel] = exact_add(exact_add(exact_add(steps, 12582912.0f), -12582912.0f), j.medians[c]);
        }
    }
}
SPLITDSL_KERNELS(round_about_medians, median_job)

)

} // namespace splitdsl::kernels::cudnn
