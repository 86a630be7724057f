// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_cases.hpp
/// Tensors of bytes and layers on them as plain whole-number loops, which the tests of kernels and of networks compare with.
#pragma once

#include <kernels/simd/simd.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace byte_cases {
namespace simd = splitdsl::kernels::simd;
inline std::mt19937 random_bits{7};
inline int whole(int low, int high) { return low + static_cast<int>(random_bits() % static_cast<unsigned>(high - low + 1)); }
inline float real(float low, float high) { return low + (high - low) * static_cast<float>(random_bits() % 65536) / 65535; }

/// An image of bytes with everything around it, as a tensor lies in memory.
struct image {
    int channels, height, width, pitch, row;
    simd::halo around;
    std::vector<std::uint8_t> bytes;
    image(int c, int h, int w, simd::halo a = {}, bool is_picture = false) : channels{c}, height{h}, width{w}, pitch{is_picture ? 4 : (c + 15) / 16 * 16}, row{(w + a.left + a.right) * pitch}, around{a},
        bytes(static_cast<std::size_t>(row * (h + a.top + a.bottom) + 64)) {
        for (auto& b : bytes) b = static_cast<std::uint8_t>(whole(0, 3) == 0 ? 255 : whole(0, 255));
    }
    std::uint8_t* at(int y, int x) { return bytes.data() + (y + around.top) * row + (x + around.left) * pitch; }
    std::uint8_t get(int c, int y, int x) { return at(y, x)[c]; }
    simd::byte_view view() { return {at(0, 0), row, pitch}; }
};

/// What bytes.hpp and depthwise_u8.hpp promise of a channel's weights, [tap][channel].
inline bool keeps_bounds(const std::vector<int>& w, int channels, int kernel, bool depthwise) {
    const int taps = static_cast<int>(w.size()) / channels;
    for (const int v : w)
        if (std::abs(v) > 127) return false;
    if (!depthwise) {
        for (int t = 0; t < taps; ++t)
            for (int c = 0; c < channels; c += 8)
                for (const int sign : {-1, 1})
                    for (const int lane : {0, 1}) {
                        int sum = 0;
                        for (int k = 0; k < 8 && c + k < channels; ++k)
                            if (k / 2 % 2 == lane) sum += std::max(0, sign * w[static_cast<std::size_t>(t * channels + c + k)]);
                        if (sum > 128) return false;
                    }
        return true;
    }
    for (int r = 0; r < kernel; r += kernel == 3 ? 3 : 2) {
        int sum = 0;
        for (int t = r * kernel; t < std::min(kernel, r + (kernel == 3 ? 3 : 2)) * kernel; ++t) sum += std::abs(w[static_cast<std::size_t>(t)]);
        if (sum > 255) return false;
    }
    for (int r = 0; r + 1 < kernel; r += 2)
        for (int c = 0; c < kernel; ++c) {
            const int a = w[static_cast<std::size_t>(r * kernel + c)], b = w[static_cast<std::size_t>((r + 1) * kernel + c)];
            if (std::max(a, 0) + std::max(b, 0) > 128 || std::max(-a, 0) + std::max(-b, 0) > 128) return false;
        }
    return true;
}

struct layer {
    simd::conv_shape shape;
    std::vector<float> weight, bias;
    simd::byte_layer numbers;
    bool depthwise() const { return shape.groups > 1; }
    int in_channels() const { return depthwise() ? 1 : shape.in_channels; }
};
/// Sums of one output channel, as the whole numbers they are, and what a sum means.
struct channel {
    std::vector<int> weights;
    double step{};
    std::int64_t bias{};
};
inline channel channel_of(const layer& l, int o) {
    channel k;
    const int channels = l.in_channels(), taps = l.shape.kernel_h * l.shape.kernel_w;
    if (l.depthwise()) k.step = simd::depthwise_step({l.numbers, 1, taps, o}, l.shape.kernel_h);
    else k.step = simd::weight_step({l.numbers, channels, taps, o});
    const double real_bias = static_cast<double>(l.bias.empty() ? 0.0F : l.bias[static_cast<std::size_t>(o)]);
    k.step = std::max(k.step, std::abs(real_bias) / 268435456.0);
    double zeros = 0;
    for (int t = 0; t < taps; ++t)
        for (int c = 0; c < channels; ++c) {
            const double in = static_cast<double>(l.numbers.in_scale[l.numbers.per_channel ? c : 0]), zero = static_cast<double>(l.numbers.in_zero[l.numbers.per_channel ? c : 0]);
            k.weights.push_back(static_cast<int>(std::nearbyint(static_cast<double>(l.weight[static_cast<std::size_t>((o * channels + c) * taps + t)]) * in / k.step)));
            zeros += k.weights.back() * zero;
        }
    k.bias = static_cast<std::int64_t>(std::nearbyint(real_bias / k.step - zeros));
    return k;
}
inline int to_byte(std::int64_t sum, float factor, int addend, const simd::requantisation& r) {
    volatile float v = static_cast<float>(static_cast<std::int32_t>(sum)) * factor;
    if (addend >= 0) {
        volatile float more = static_cast<float>(addend - r.addend_zero) * r.addend_factor;
        v = v + more;
    }
    if (r.curve != simd::activation::none) {
        volatile float step = v + 3;
        step = std::min(std::max(static_cast<float>(step), 0.0F), 6.0F);
        if (r.curve == simd::activation::hard_swish) step = v * step;
        v = step * r.curve_factor;
    }
    return std::clamp(std::clamp(static_cast<int>(std::nearbyint(v)) + r.zero, 0, 255), r.low, r.high);
}
inline std::int64_t sum_of(const layer& l, const channel& k, int o, image& in, int y, int x) {
    std::int64_t sum = k.bias;
    std::size_t w = 0;
    for (int i = 0; i < l.shape.kernel_h; ++i)
        for (int j = 0; j < l.shape.kernel_w; ++j)
            for (int c = 0; c < l.in_channels(); ++c)
                sum += k.weights[w++] * in.get(l.depthwise() ? o : c, y * l.shape.stride_h - l.shape.pad_top + i * l.shape.dilation_h, x * l.shape.stride_w - l.shape.pad_left + j * l.shape.dilation_w);
    return sum;
}

} // namespace byte_cases
