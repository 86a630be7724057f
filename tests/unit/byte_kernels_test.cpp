// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_kernels_test.cpp
/// Kernels on bytes against plain whole-number loops, bit for bit, and a network of them. Compiled once per instruction set.
#include "../catch.hpp"

#if defined(SPLITDSL_KERNELS_ALONE)    // for sets whose networks other tests run: half the compile time
#include <kernels/simd/simd.hpp>
#else
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/weights.hpp>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace {
namespace simd = splitdsl::kernels::simd;
std::mt19937 random_bits{7};
int whole(int low, int high) { return low + static_cast<int>(random_bits() % static_cast<unsigned>(high - low + 1)); }
float real(float low, float high) { return low + (high - low) * static_cast<float>(random_bits() % 65536) / 65535; }

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
bool keeps_bounds(const std::vector<int>& w, int channels, int kernel, bool depthwise) {
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
channel channel_of(const layer& l, int o) {
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
int to_byte(std::int64_t sum, float factor, int addend, const simd::requantisation& r) {
    volatile float v = static_cast<float>(static_cast<std::int32_t>(sum)) * factor;
    if (addend >= 0) {
        volatile float more = static_cast<float>(addend - r.addend_zero) * r.addend_factor;
        v = v + more;
    }
    return std::clamp(std::clamp(static_cast<int>(std::nearbyint(v)) + r.zero, 0, 255), r.low, r.high);
}
std::int64_t sum_of(const layer& l, const channel& k, int o, image& in, int y, int x) {
    std::int64_t sum = k.bias;
    std::size_t w = 0;
    for (int i = 0; i < l.shape.kernel_h; ++i)
        for (int j = 0; j < l.shape.kernel_w; ++j)
            for (int c = 0; c < l.in_channels(); ++c)
                sum += k.weights[w++] * in.get(l.depthwise() ? o : c, y * l.shape.stride_h - l.shape.pad_top + i * l.shape.dilation_h, x * l.shape.stride_w - l.shape.pad_left + j * l.shape.dilation_w);
    return sum;
}

simd::halo halo_for(const simd::conv_shape& s) {
    const int bottom = (s.out_height - 1) * s.stride_h + s.dilation_h * (s.kernel_h - 1) + 1 - s.pad_top - s.in_height;
    const int right = (s.out_width - 1) * s.stride_w + s.dilation_w * (s.kernel_w - 1) + 1 - s.pad_left - s.in_width;
    return {s.pad_top, s.pad_left, std::max(bottom, 0), std::max(right, 0)};
}
layer random_layer(simd::conv_shape s) {
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
    l.numbers.act = std::array{simd::activation::none, simd::activation::relu, simd::activation::relu6}[static_cast<std::size_t>(whole(0, 2))];
    return l;
}

/// Runs the layer in tasks and compares every byte, the channels behind the last one left out.
int wrong_bytes(layer& l, bool adds, bool is_picture = false) {
    l.numbers.weight = l.weight.data();
    l.numbers.bias = l.bias.data();
    const simd::conv_shape& s = l.shape;
    image in{s.in_channels, s.in_height, s.in_width, halo_for(s), is_picture}, out{s.out_channels, s.out_height, s.out_width, {1, 2, 1, 0}}, addend{s.out_channels, s.out_height, s.out_width};
    const std::vector<std::uint8_t> before = out.bytes;
    std::vector<float> packed((l.depthwise() ? simd::depthwise_u8_packed_floats(s) : simd::conv_u8_packed_floats(s)) + 16);
    const int tasks = l.depthwise() ? simd::depthwise_u8_tasks(s) : simd::conv_u8_tasks(s);
    if (l.depthwise()) simd::pack_depthwise_u8(s, l.numbers, packed.data());
    else simd::pack_conv_u8(s, l.numbers, packed.data());
    for (int first = tasks; first-- > 0;) { // any order
        if (l.depthwise()) simd::depthwise_u8(s, in.view(), out.view(), packed.data(), first, first + 1);
        else simd::conv_u8(s, in.view(), out.view(), nullptr, adds ? simd::const_byte_view{addend.view()} : simd::const_byte_view{}, packed.data(), first, first + 1);
    }
    const simd::requantisation r = simd::requantisation_of(l.numbers);
    int wrong = 0;
    for (int o = 0; o < s.out_channels; ++o) {
        const channel k = channel_of(l, o);
        CHECK(keeps_bounds(k.weights, l.in_channels(), s.kernel_h, l.depthwise()));
        const auto factor = static_cast<float>(k.step / static_cast<double>(l.numbers.out.scale));
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
        s.in_channels = i % 4 == 0 ? whole(1, 4) : whole(1, 70), s.out_channels = whole(1, 70);
        s.kernel_h = i % 2 == 0 ? 1 : whole(1, 5), s.kernel_w = i % 2 == 0 ? 1 : whole(1, 5);
        s.stride_h = whole(1, 2), s.stride_w = whole(1, 2), s.dilation_h = whole(1, 2), s.dilation_w = whole(1, 2);
        s.pad_top = whole(0, s.kernel_h - 1), s.pad_left = whole(0, s.kernel_w - 1);
        s.in_height = s.dilation_h * s.kernel_h + whole(0, 6), s.in_width = s.dilation_w * s.kernel_w + whole(0, 12);
        layer l = random_layer(s);
        INFO(s.in_channels << " to " << s.out_channels << ", " << s.kernel_h << "x" << s.kernel_w << ", " << l.shape.out_height << "x" << l.shape.out_width);
        REQUIRE(wrong_bytes(l, i % 3 == 0, s.in_channels <= 4 && i % 8 == 0) == 0);
    }
}

TEST_CASE("a depthwise convolution of bytes equals whole-number loops bit for bit, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 80; ++i) {
        simd::conv_shape s;
        s.in_channels = s.out_channels = s.groups = whole(2, 70);
        s.kernel_h = s.kernel_w = i % 2 == 0 ? 3 : 5;
        s.stride_h = s.stride_w = whole(1, 2);
        s.pad_top = whole(0, 2), s.pad_left = whole(0, 2);
        s.in_height = s.kernel_h + whole(0, 8), s.in_width = s.kernel_w + whole(0, 16);
        layer l = random_layer(s);
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

#if !defined(SPLITDSL_KERNELS_ALONE)

// ---- a network ------------------------------------------------------------------------------------------------------------------

struct small_network {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("picture", u8, {.channels = 3, .height = 19, .width = 23}) | normalise(imagenet)
             | named("stem", conv(20, {.kernel = 3, .stride = 2, .pad = 1})) | relu6()
             | residual(named("deep", conv(20, {.kernel = 3, .pad = 1, .groups = 20})) | relu6() | named("project", conv(20, {})))
             | cut("middle") | named("deep2", conv(20, {.kernel = 5, .stride = 2, .pad = 2, .groups = 20})) | relu() | named("wide", conv(40, {.kernel = 3, .pad = 0})) | relu6()
             | global_pool() | named("classes", dense(7));
    }
};
struct small_bytes : splitdsl::int8<small_network> {};
struct small_mixed : splitdsl::int8<small_network> {
    static constexpr std::array<splitdsl::text, 2> keep_f32{"project", "classes"};
};

template <class Network>
std::vector<std::vector<float>> values_of() {
    std::mt19937 bits{3};
    const auto uniform = [&](float low, float high) { return low + (high - low) * static_cast<float>(bits() % 65536) / 65535; };
    std::vector<std::vector<float>> all;
    for (const splitdsl::parameter& p : splitdsl::parameters<Network>()) {
        auto& v = all.emplace_back(static_cast<std::size_t>(p.size()));
        float fan = 1;
        for (std::size_t k = 1; k < p.dims.size(); ++k) fan *= static_cast<float>(p.dims[k]);
        for (std::size_t i = 0; i < v.size(); ++i) v[i] = p.name == "int8.ranges" ? (i % 2 == 0 ? -2.0F : 6.0F) : p.name == "int8.shifts" ? uniform(-0.05F, 0.05F) : p.dims.size() > 1 ? uniform(-1, 1) * std::sqrt(6 / fan) : uniform(-0.3F, 0.3F);
    }
    return all;
}
template <class Network>
std::vector<float> answer_of(const std::vector<std::uint8_t>& picture, bool apart = false) {
    const splitdsl::network_weights<Network> weights{values_of<Network>()};
    const splitdsl::pipeline& net = weights.net();
    const splitdsl::aligned_buffer arena{net.arena_bytes}, other{net.arena_bytes};
    std::vector<float> out(net.output_floats);
    const void* inputs[]{picture.data()};
    const splitdsl::frame_memory here{arena.data(), weights.bytes().data(), inputs, out.data()}, there{other.data(), weights.bytes().data(), nullptr, out.data()};
    if (!apart) {
        net.run(here, 0, net.stages, nullptr);
        return out;
    }
    std::vector<std::byte> payload(net.cuts[0].payload_bytes);
    net.run(here, 0, 1, nullptr);
    REQUIRE(net.store_payload(here, 0, payload.data()) == payload.size());
    REQUIRE(net.load_payload(there, 0, payload));
    net.run(there, 1, net.stages, nullptr);
    return out;
}

TEST_CASE("a network on bytes gives what whole-number loops give, whole and split at its cut, " SPLITDSL_ARCH_NAME) {
    std::vector<std::uint8_t> picture(3 * 19 * 23);
    for (auto& b : picture) b = static_cast<std::uint8_t>(whole(0, 255));
    const auto values = values_of<small_bytes>();
    const auto names = splitdsl::parameters<small_bytes>();
    const auto value = [&](const std::string& name) -> const std::vector<float>& {
        for (std::size_t i = 0; i < names.size(); ++i)
            if (names[i].name == name) return values[i];
        FAIL(name);
        return values[0];
    };
    const simd::byte_scale scale = simd::byte_scale_of(-2, 6);
    int shift = 0; // in the order of the layers
    const auto apply = [&](const char* name, image& in, image& out, int kernel, int stride, int pad, bool deep, simd::activation act, image* addend) {
        layer l{{in.channels, in.height, in.width, out.channels, out.height, out.width, kernel, kernel, stride, stride, pad, pad, 1, 1, deep ? in.channels : 1}, value(std::string(name) + ".weight"),
                value(std::string(name) + ".bias"), {}};
        l.numbers.weight = l.weight.data(), l.numbers.bias = l.bias.data(), l.numbers.shift = value("int8.shifts").data() + shift, l.numbers.act = act;
        if (in.channels == 3) {
            l.numbers.per_channel = true;
            for (std::size_t c = 0; c < 3; ++c) {
                l.numbers.in_scale[c] = static_cast<float>(1 / (255.0 * static_cast<double>(splitdsl::imagenet.deviation[c])));
                l.numbers.in_zero[c] = 255 * splitdsl::imagenet.mean[c];
            }
        } else l.numbers.in_scale[0] = scale.scale, l.numbers.in_zero[0] = static_cast<float>(scale.zero);
        l.numbers.out = l.numbers.addend = scale;
        const simd::requantisation r = simd::requantisation_of(l.numbers);
        for (int o = 0; o < out.channels; ++o) {
            channel k = channel_of(l, o);
            double zeros = 0;
            std::size_t w = 0;
            for (int t = 0; t < kernel * kernel; ++t)
                for (int c = 0; c < l.in_channels(); ++c) zeros += k.weights[w++] * static_cast<double>(l.numbers.in_zero[l.numbers.per_channel ? c : 0]);
            const double real_bias = static_cast<double>(l.bias[static_cast<std::size_t>(o)]) + static_cast<double>(l.numbers.shift[o]);
            k.bias = static_cast<std::int64_t>(std::nearbyint(real_bias / k.step - zeros));
            for (int y = 0; y < out.height; ++y)
                for (int x = 0; x < out.width; ++x)
                    out.at(y, x)[o] = static_cast<std::uint8_t>(to_byte(sum_of(l, k, o, in, y, x), static_cast<float>(k.step / static_cast<double>(scale.scale)), addend ? addend->get(o, y, x) : -1, r));
        }
        shift += out.channels;
    };
    const auto filled = [](image i, int zero) {
        for (auto& b : i.bytes) b = static_cast<std::uint8_t>(zero);
        return i;
    };
    image input{3, 19, 23, {1, 1, 1, 1}, true};
    for (int y = -1; y <= 19; ++y)
        for (int x = -1; x <= 23; ++x)
            for (int c = 0; c < 3; ++c)
                input.at(y, x)[c] = y < 0 || x < 0 || y == 19 || x == 23 ? static_cast<std::uint8_t>(std::nearbyint(255 * splitdsl::imagenet.mean[static_cast<std::size_t>(c)]))
                                                                    : picture[static_cast<std::size_t>((c * 19 + y) * 23 + x)];
    image stem = filled({20, 10, 12, {1, 1, 1, 1}}, scale.zero), deep = filled({20, 10, 12, {}}, 0), joined = filled({20, 10, 12, {2, 2, 2, 2}}, scale.zero), deep2 = filled({20, 5, 6, {}}, 0), wide = filled({40, 3, 4, {}}, 0);
    apply("stem", input, stem, 3, 2, 1, false, simd::activation::relu6, nullptr);
    apply("deep", stem, deep, 3, 1, 1, true, simd::activation::relu6, nullptr);
    apply("project", deep, joined, 1, 1, 0, false, simd::activation::none, &stem);
    apply("deep2", joined, deep2, 5, 2, 2, true, simd::activation::relu, nullptr);
    apply("wide", deep2, wide, 3, 1, 0, false, simd::activation::relu6, nullptr);
    image pooled{40, 1, 1};
    const auto factor = static_cast<float>(static_cast<double>(scale.scale) / (static_cast<double>(scale.scale) * 3 * 4));
    for (int c = 0; c < 40; ++c) {
        int sum = 0;
        for (int y = 0; y < 3; ++y)
            for (int x = 0; x < 4; ++x) sum += wide.get(c, y, x) - scale.zero;
        pooled.at(0, 0)[c] = static_cast<std::uint8_t>(std::clamp(static_cast<int>(std::nearbyint(static_cast<float>(sum) * factor)) + scale.zero, 0, 255));
    }
    layer classes{{40, 1, 1, 7, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1}, value("classes.weight"), value("classes.bias"), {}};
    classes.numbers.weight = classes.weight.data(), classes.numbers.in_scale[0] = scale.scale, classes.numbers.in_zero[0] = static_cast<float>(scale.zero);
    std::vector<float> wanted;
    for (int o = 0; o < 7; ++o) {
        const channel k = channel_of(classes, o);
        wanted.push_back(static_cast<float>(static_cast<std::int32_t>(sum_of(classes, k, o, pooled, 0, 0))) * static_cast<float>(k.step));
    }
    CHECK(answer_of<small_bytes>(picture) == wanted);
    CHECK(answer_of<small_bytes>(picture, true) == wanted);
    // Layers that stay f32 run between conversions; answers are near, and the same split.
    const auto mixed = answer_of<small_mixed>(picture);
    CHECK(mixed != wanted);
    CHECK(answer_of<small_mixed>(picture, true) == mixed);
}

TEST_CASE("a network on bytes is near the network in f32 where its ranges fit, " SPLITDSL_ARCH_NAME) {
    std::vector<std::uint8_t> picture(3 * 19 * 23);
    for (auto& b : picture) b = static_cast<std::uint8_t>(whole(0, 255));
    auto values = values_of<splitdsl::observed<small_bytes, true>>();
    CHECK(values.size() + 2 == values_of<small_bytes>().size());
    // The f32 form lists every tensor behind its answer; their ranges are what the bytes need.
    const splitdsl::pipeline& floats = splitdsl::pipeline_of<splitdsl::observed<small_bytes, true>>();
    const splitdsl::network_weights<splitdsl::observed<small_bytes, true>> weights{values};
    const splitdsl::aligned_buffer arena{floats.arena_bytes};
    std::vector<float> seen(floats.output_floats);
    const void* inputs[]{picture.data()};
    floats.run({arena.data(), weights.bytes().data(), inputs, seen.data()}, 0, floats.stages, nullptr);
    const auto& l = splitdsl::steps_of<small_bytes>;
    std::vector<float> ranges;
    std::size_t at = 7, channels = 0;
    for (int k = 0; k < l.range_count; ++k) {
        const splitdsl::shape s = splitdsl::shaped_of<small_bytes>.out[static_cast<std::size_t>(l.range_op[k])];
        const auto first = seen.begin() + static_cast<std::ptrdiff_t>(at), last = first + static_cast<std::ptrdiff_t>(s.size());
        ranges.push_back(*std::min_element(first, last));
        ranges.push_back(*std::max_element(first, last));
        at += static_cast<std::size_t>(s.size()), channels += static_cast<std::size_t>(s.channels);
    }
    REQUIRE(at == seen.size());
    values.push_back(ranges);
    values.push_back(std::vector<float>(channels));
    const splitdsl::network_weights<small_bytes> in_bytes{values};
    const splitdsl::aligned_buffer room{in_bytes.net().arena_bytes};
    std::vector<float> out(7);
    in_bytes.net().run({room.data(), in_bytes.bytes().data(), inputs, out.data()}, 0, in_bytes.net().stages, nullptr);
    float range = 0, error = 0;
    for (std::size_t i = 0; i < 7; ++i) range = std::max(range, std::abs(seen[i])), error = std::max(error, std::abs(seen[i] - out[i]));
    CHECK(range > 0.1F);
    CHECK(error < 0.08F * range);
    CHECK(error > 0);
}

#endif

} // namespace
