// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_kernels_test.cpp
/// Kernels on bytes against plain whole-number loops, bit for bit. Compiled once per instruction set.
#include "../catch.hpp"
#include "byte_cases.hpp"

#include <array>

namespace {
using namespace byte_cases;

simd::halo halo_for(const simd::conv_shape& s) {
    const int bottom = (s.out_height - 1) * s.stride_h + s.dilation_h * (s.kernel_h - 1) + 1 - s.pad_top - s.in_height;
    const int right = (s.out_width - 1) * s.stride_w + s.dilation_w * (s.kernel_w - 1) + 1 - s.pad_left - s.in_width;
    return {s.pad_top, s.pad_left, std::max(bottom, 0), std::max(right, 0)};
}
layer random_layer(simd::conv_shape s, bool adds) {
    s.out_height = (s.in_height + 2 * s.pad_top - s.dilation_h * (s.kernel_h - 1) - 1) / s.stride_h + 1;
    s.out_width = (s.in_width + 2 * s.pad_left - s.dilation_w * (s.kernel_w - 1) - 1) / s.stride_w + 1;
    layer l{s, {}, {}, {}};
    const int fan = l.in_channels() * s.kernel_h * s.kernel_w;
    // Some channels are all of one sign and size: the largest sums there are. Some are almost nothing.
    for (int o = 0; o < s.out_channels; ++o) {
        const int kind = whole(0, 7);
        const float size = kind == 0 ? 1e-9F : 1;
        for (int k = 0; k < fan; ++k) l.weight.push_back(kind == 1 ? 1.0F : kind == 2 ? -1.0F : real(-size, size));
        l.bias.push_back(real(-3, 3));
    }
    l.numbers.in_scale[0] = 0.02F, l.numbers.in_zero[0] = static_cast<float>(whole(0, 255));
    l.numbers.out = {0.02F * std::sqrt(static_cast<float>(fan)), whole(0, 255)};
    l.numbers.addend = {0.07F, whole(0, 255)};
    using simd::activation;
    l.numbers.act = std::array{activation::none, activation::relu, activation::relu6, activation::hard_swish, activation::hard_sigmoid}[static_cast<std::size_t>(whole(0, adds ? 2 : 4))];
    if (l.numbers.act == activation::hard_sigmoid) l.numbers.out.scale = 0.004F;
    return l;
}

/// Runs the layer in tasks and compares every byte, the channels behind the last one left out. By pairs: as a processor without VNNI does.
int wrong_bytes(layer& l, bool adds, bool is_picture = false, bool by_pairs = false) {
    l.numbers.weight = l.weight.data();
    l.numbers.bias = l.bias.data();
    const simd::conv_shape& s = l.shape;
    image in{s.in_channels, s.in_height, s.in_width, halo_for(s), is_picture}, out{s.out_channels, s.out_height, s.out_width, {1, 2, 1, 0}}, addend{s.out_channels, s.out_height, s.out_width};
    const std::vector<std::uint8_t> before = out.bytes;
    std::vector<float> packed((l.depthwise() ? simd::depthwise_u8_packed_floats(s) : simd::conv_u8_packed_floats(s)) + 16);
    const int tasks = l.depthwise() ? simd::depthwise_u8_tasks(s) : simd::conv_u8_tasks(s);
    if (l.depthwise()) simd::pack_depthwise_u8(s, l.numbers, packed.data());
    else simd::pack_conv_u8(s, l.numbers, packed.data());
    if (by_pairs) {
        simd::requantisation r = simd::requantisation_in(packed.data());
        r.machine = 0;
        __builtin_memcpy(packed.data(), &r, sizeof r);
    }
    for (int first = tasks; first-- > 0;) { // any order
        if (l.depthwise()) simd::depthwise_u8(s, in.view(), out.view(), packed.data(), first, first + 1);
        else simd::conv_u8(s, in.view(), out.view(), nullptr, adds ? simd::const_byte_view{addend.view()} : simd::const_byte_view{}, packed.data(), first, first + 1);
    }
    const simd::requantisation r = simd::requantisation_of(l.numbers);
    int wrong = 0;
    for (int o = 0; o < s.out_channels; ++o) {
        const channel k = channel_of(l, o);
        CHECK(keeps_bounds(k.weights, l.in_channels(), s.kernel_h, l.depthwise()));
        const double scale = static_cast<double>(l.numbers.out.scale);
        const auto factor = static_cast<float>(r.curve == simd::activation::none ? k.step / scale : k.step / scale * scale);
        for (int y = 0; y < s.out_height; ++y)
            for (int x = 0; x < s.out_width; ++x) wrong += out.get(o, y, x) != to_byte(sum_of(l, k, o, in, y, x), factor, adds ? addend.get(o, y, x) : -1, r);
    }
    for (int y = -1; y <= s.out_height; ++y)
        for (int x = -2; x < s.out_width; ++x)
            for (int c = 0; c < out.pitch; ++c)
                if (y < 0 || y == s.out_height || x < 0) wrong += out.at(y, x)[c] != before[static_cast<std::size_t>(out.at(y, x) - out.bytes.data() + c)];
    return wrong;
}

TEST_CASE("a convolution of bytes equals whole-number loops bit for bit on random shapes, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 120; ++i) {
        simd::conv_shape s;
        s.in_channels = i % 4 == 0 ? whole(1, 4) : whole(1, 70), s.out_channels = whole(1, 130);
        s.kernel_h = i % 2 == 0 ? 1 : whole(1, 5), s.kernel_w = i % 2 == 0 ? 1 : whole(1, 5);
        s.stride_h = whole(1, 2), s.stride_w = whole(1, 2), s.dilation_h = whole(1, 2), s.dilation_w = whole(1, 2);
        s.pad_top = whole(0, s.kernel_h - 1), s.pad_left = whole(0, s.kernel_w - 1);
        s.in_height = s.dilation_h * s.kernel_h + whole(0, 6), s.in_width = s.dilation_w * s.kernel_w + whole(0, 12);
        layer l = random_layer(s, i % 3 == 0);
        INFO(s.in_channels << " to " << s.out_channels << ", " << s.kernel_h << "x" << s.kernel_w << ", " << l.shape.out_height << "x" << l.shape.out_width);
        REQUIRE(wrong_bytes(l, i % 3 == 0, s.in_channels <= 4 && i % 8 == 0) == 0);
#if defined(__x86_64__) // there both ways read the same weights
        REQUIRE(wrong_bytes(l, i % 3 == 0, s.in_channels <= 4 && i % 8 == 0, true) == 0);
#endif
    }
}

TEST_CASE("a depthwise convolution of bytes equals whole-number loops bit for bit, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 80; ++i) {
        simd::conv_shape s;
        s.in_channels = s.out_channels = s.groups = whole(2, 130);
        s.kernel_h = s.kernel_w = i % 2 == 0 ? 3 : 5;
        s.stride_h = s.stride_w = whole(1, 2);
        s.pad_top = whole(0, 2), s.pad_left = whole(0, 2);
        s.in_height = s.kernel_h + whole(0, 8), s.in_width = s.kernel_w + whole(0, 16);
        layer l = random_layer(s, false);
        INFO(s.in_channels << " channels, " << s.kernel_h << "x" << s.kernel_w << " / " << s.stride_h << ", " << l.shape.out_height << "x" << l.shape.out_width);
        REQUIRE(wrong_bytes(l, false) == 0);
    }
}

TEST_CASE("floats become the nearest bytes and a NaN the lowest, bytes become floats again, " SPLITDSL_ARCH_NAME) {
    const simd::byte_scale scale = simd::byte_scale_of(-1.3F, 2.9F);
    CHECK(scale.zero == 79);
    CHECK(simd::byte_scale_of(0, 0).scale == 1);
    CHECK(simd::byte_scale_of(2, 5).zero == 0);         // 0 is always covered
    CHECK(simd::byte_scale_of(-5, -2).zero == 255);
    float packed[16], back[16];
    simd::pack_quantise_u8(scale, packed);
    simd::pack_dequantise_u8(scale, back);
    for (int channels = 1; channels <= 33; channels += 4) {
        const simd::extent e{channels, 3, 5};
        const int blocks = (channels + simd::lanes - 1) / simd::lanes, row = e.width * simd::lanes;
        std::vector<float> in(static_cast<std::size_t>(blocks * e.height * row));
        for (auto& v : in) v = whole(0, 9) == 0 ? std::nanf("") : real(-4, 4);
        std::vector<float> again(in.size());
        image out{channels, e.height, e.width};
        simd::floats_to_u8(e, {in.data(), row, row * e.height}, out.view(), packed, 0, simd::row_tasks(e));
        simd::u8_to_floats(e, out.view(), {again.data(), row, row * e.height}, back, 0, simd::row_tasks(e));
        int wrong = 0;
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < e.height; ++y)
                for (int x = 0; x < e.width; ++x) {
                    const std::size_t at = static_cast<std::size_t>(c / simd::lanes * row * e.height + y * row + x * simd::lanes + c % simd::lanes);
                    const float v = in[at] * static_cast<float>(1 / static_cast<double>(scale.scale));
                    const int wanted = std::isnan(v) ? 0 : std::clamp(static_cast<int>(std::nearbyint(v)) + scale.zero, 0, 255);
                    wrong += out.get(c, y, x) != wanted;
                    wrong += again[at] != static_cast<float>(wanted - scale.zero) * scale.scale;
                }
        CHECK(wrong == 0);
    }
}


TEST_CASE("pools of bytes equal plain loops bit for bit, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 60; ++i) {
        simd::pool_shape s;
        s.channels = whole(1, 90), s.in_height = whole(3, 9), s.in_width = whole(3, 12);
        s.kernel_h = whole(1, 3), s.kernel_w = whole(1, 3), s.stride_h = whole(1, 2), s.stride_w = whole(1, 2);
        s.pad_top = s.pad_bottom = whole(0, s.kernel_h / 2), s.pad_left = s.pad_right = whole(0, s.kernel_w / 2);
        s.out_height = (s.in_height + 2 * s.pad_top - s.kernel_h) / s.stride_h + 1, s.out_width = (s.in_width + 2 * s.pad_left - s.kernel_w) / s.stride_w + 1;
        s.count_include_pad = i % 2 == 0;
        image in{s.channels, s.in_height, s.in_width, {1, 1, 1, 1}};
        image largest{s.channels, s.out_height, s.out_width, {1, 0, 0, 1}}, mean{s.channels, s.out_height, s.out_width}, all{s.channels, 1, 1};
        const simd::byte_scale from{0.03F, whole(0, 255)}, to{0.02F, whole(0, 255)};
        float packed[16], packed_all[16];
        simd::pack_mean_u8(from, to, 1, packed);
        simd::pack_mean_u8(from, to, s.in_height * s.in_width, packed_all);
        for (int first = simd::pool_u8_tasks(s); first-- > 0;) {
            simd::max_pool_u8(s, in.view(), largest.view(), first, first + 1);
            simd::avg_pool_u8(s, in.view(), mean.view(), packed, first, first + 1);
        }
        const simd::extent e{s.channels, s.in_height, s.in_width};
        simd::global_pool_u8(e, in.view(), all.at(0, 0), packed_all, 0, simd::global_pool_u8_tasks(e));
        const simd::requantisation r = simd::requantisation_in(packed);
        int wrong = 0;
        for (int c = 0; c < s.channels; ++c) {
            int whole_sum = 0;
            for (int y = 0; y < s.in_height; ++y)
                for (int x = 0; x < s.in_width; ++x) whole_sum += in.get(c, y, x) - from.zero;
            wrong += all.get(c, 0, 0) != to_byte(whole_sum, static_cast<float>(static_cast<double>(from.scale) / (static_cast<double>(to.scale) * s.in_height * s.in_width)), -1, r);
            for (int y = 0; y < s.out_height; ++y)
                for (int x = 0; x < s.out_width; ++x) {
                    int best = 0, sum = 0, there = 0;
                    for (int k = y * s.stride_h - s.pad_top; k < y * s.stride_h - s.pad_top + s.kernel_h; ++k)
                        for (int j = x * s.stride_w - s.pad_left; j < x * s.stride_w - s.pad_left + s.kernel_w; ++j) {
                            if (k < 0 || j < 0 || k >= s.in_height || j >= s.in_width) continue;
                            best = std::max<int>(best, in.get(c, k, j)), sum += in.get(c, k, j) - from.zero, ++there;
                        }
                    wrong += largest.get(c, y, x) != best;
                    const int count = s.count_include_pad ? s.kernel_h * s.kernel_w : there;
                    wrong += mean.get(c, y, x) != to_byte(sum, simd::requantisation_in(packed).addend_factor / static_cast<float>(count), -1, r);
                }
        }
        INFO(s.channels << " channels, " << s.kernel_h << "x" << s.kernel_w);
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("what happens to bytes alone equals plain loops bit for bit and real numbers nearly, " SPLITDSL_ARCH_NAME) {
    using simd::activation;
    for (int i = 0; i < 80; ++i) {
        const int channels = whole(1, 150), offset = i % 3 == 0 ? 0 : i % 3 == 1 ? 16 * whole(1, 3) : whole(1, 40), height = whole(1, 5), width = whole(1, 9);
        const bool adds = i % 4 == 1, is_norm = i % 4 == 2, multiplies = i % 4 == 3;
        image in{channels, height, width, {0, 1, 0, 1}}, addend{channels, height, width}, factors{channels, 1, 1}, out{channels + (multiplies ? 0 : offset + 5), height, width};
        const std::vector<std::uint8_t> before = out.bytes;
        std::vector<float> scale, bias;
        for (int c = 0; c < channels; ++c) scale.push_back(c % 7 == 3 ? 0 : real(-2, 2)), bias.push_back(real(-3, 3));
        simd::byte_layer l;
        l.in_scale[0] = 0.02F, l.in_zero[0] = static_cast<float>(whole(0, 255));
        l.out = {0.017F, whole(0, 255)}, l.addend = {0.03F, whole(0, 255)};
        if (is_norm) l.scale = scale.data(), l.bias = bias.data();
        l.act = std::array{activation::none, activation::relu, activation::relu6, activation::hard_swish, activation::hard_sigmoid}[static_cast<std::size_t>(whole(0, adds ? 2 : 4))];
        const simd::byte_scale gate{0.004F, whole(0, 40)};
        std::vector<float> packed(simd::pointwise_u8_packed_floats(channels));
        const simd::extent e{channels, height, width};
        if (multiplies) simd::pack_multiply_u8({l.in_scale[0], static_cast<int>(l.in_zero[0])}, gate, l.out, l.act, packed.data());
        else simd::pack_pointwise_u8(channels, l, packed.data());
        for (int first = simd::byte_row_tasks(e); first-- > 0;) {
            if (multiplies) simd::multiply_u8(e, in.view(), factors.at(0, 0), out.view(), packed.data(), first, first + 1);
            else simd::pointwise_u8(e, in.view(), out.view(), offset, adds ? simd::const_byte_view{addend.view()} : simd::const_byte_view{}, packed.data(), first, first + 1);
        }
        const simd::requantisation r = simd::requantisation_of(l);
        const double to = static_cast<double>(l.out.scale);
        int wrong = 0, far = 0;
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < height; ++y)
                for (int x = 0; x < width; ++x) {
                    const int q = in.get(c, y, x) - static_cast<int>(l.in_zero[0]), k = factors.get(c, 0, 0) - gate.zero, got = out.get(multiplies ? c : offset + c, y, x);
                    double value = q * static_cast<double>(l.in_scale[0]);
                    if (multiplies) value *= k * static_cast<double>(gate.scale);
                    if (is_norm) value = value * static_cast<double>(scale[static_cast<std::size_t>(c)]) + static_cast<double>(bias[static_cast<std::size_t>(c)]);
                    if (adds) value += (addend.get(c, y, x) - l.addend.zero) * static_cast<double>(l.addend.scale);
                    const double step = std::clamp(value + 3, 0.0, 6.0);
                    if (l.act == activation::relu || l.act == activation::relu6) value = std::max(value, 0.0);
                    if (l.act == activation::relu6) value = std::min(value, 6.0);
                    if (l.act == activation::hard_swish) value *= step / 6;
                    if (l.act == activation::hard_sigmoid) value = step / 6;
                    far += std::abs(std::clamp(value / to + l.out.zero, 0.0, 255.0) - got) > 0.51;
                    if (is_norm) continue; // its whole numbers are the kernel's own
                    const auto ratio = [&](double s) { return static_cast<float>(simd::has_curve(l.act) ? s / to * to : s / to); };
                    const int want = multiplies ? to_byte(q * k, ratio(static_cast<double>(l.in_scale[0]) * static_cast<double>(gate.scale)), -1, r)
                                                : to_byte(16384 * q, ratio(static_cast<double>(l.in_scale[0]) / 16384), adds ? addend.get(c, y, x) : -1, r);
                    wrong += got != want;
                }
        if (!multiplies) // what lies in front stays
            for (int y = 0; y < height; ++y)
                for (int x = 0; x < width; ++x)
                    for (int c = 0; c < offset; ++c) wrong += out.at(y, x)[c] != before[static_cast<std::size_t>(out.at(y, x) - out.bytes.data() + c)];
        INFO(channels << " channels at " << offset << ", adds " << adds << ", norm " << is_norm << ", multiplies " << multiplies << ", activation " << static_cast<int>(l.act));
        REQUIRE(wrong == 0);
        REQUIRE(far == 0);
    }
}

} // namespace
