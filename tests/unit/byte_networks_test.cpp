// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_networks_test.cpp
/// Networks on bytes against whole-number loops, bit for bit, and against their f32 form.
#include "../catch.hpp"
#include "byte_cases.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <array>

namespace {
using namespace byte_cases;

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
        for (std::size_t i = 0; i < v.size(); ++i) v[i] = p.name == "int8.ranges" ? (i % 2 == 0 ? -2.0F : 6.0F) : p.name == "int8.shifts" ? uniform(-0.05F, 0.05F) : p.name.ends_with("running_var") ? uniform(0.5F, 1.5F) : p.dims.size() > 1 ? uniform(-1, 1) * std::sqrt(6 / fan) : uniform(-0.3F, 0.3F);
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

/// Ranges as the f32 form finds them on the picture; then both answers.
template <class Network>
void near_f32(const std::vector<std::uint8_t>& picture, float most) {
    using floats = splitdsl::observed<Network, true>;
    auto values = values_of<floats>();
    const splitdsl::network_weights<floats> weights{values};
    const splitdsl::pipeline& net = weights.net();
    const splitdsl::aligned_buffer arena{net.arena_bytes};
    std::vector<float> seen(net.output_floats);
    const void* inputs[]{picture.data()};
    net.run({arena.data(), weights.bytes().data(), inputs, seen.data()}, 0, net.stages, nullptr);
    const auto& l = splitdsl::steps_of<Network>;
    std::vector<float> ranges;
    std::size_t at = 7, channels = 0;
    for (int k = 0; k < l.range_count; ++k) {
        const splitdsl::shape s = splitdsl::shaped_of<Network>.out[static_cast<std::size_t>(l.range_op[k])];
        const auto first = seen.begin() + static_cast<std::ptrdiff_t>(at), last = first + static_cast<std::ptrdiff_t>(s.size());
        ranges.push_back(*std::min_element(first, last));
        ranges.push_back(*std::max_element(first, last));
        at += static_cast<std::size_t>(s.size()), channels += static_cast<std::size_t>(s.channels);
    }
    REQUIRE(at == seen.size());
    values.push_back(ranges);
    values.push_back(std::vector<float>(channels));
    const splitdsl::network_weights<Network> in_bytes{values};
    const splitdsl::aligned_buffer room{in_bytes.net().arena_bytes};
    std::vector<float> out(7);
    in_bytes.net().run({room.data(), in_bytes.bytes().data(), inputs, out.data()}, 0, in_bytes.net().stages, nullptr);
    float range = 0, error = 0;
    for (std::size_t i = 0; i < 7; ++i) range = std::max(range, std::abs(seen[i])), error = std::max(error, std::abs(seen[i] - out[i]));
    CHECK(range > 0.1F);
    CHECK(error < most * range);
    CHECK(error > 0);
}

TEST_CASE("a network on bytes is near the network in f32 where its ranges fit, " SPLITDSL_ARCH_NAME) {
    std::vector<std::uint8_t> picture(3 * 19 * 23);
    for (auto& b : picture) b = static_cast<std::uint8_t>(whole(0, 255));
    CHECK(values_of<splitdsl::observed<small_bytes, true>>().size() + 2 == values_of<small_bytes>().size());
    near_f32<small_bytes>(picture, 0.08F);
}

/// What MobileNetV3, InceptionV3 and DenseNet have beside convolutions.
struct varied_network {
    static constexpr auto graph() {
        using namespace splitdsl;
        const auto gate = global_pool() | named("fc1", conv(8, {})) | relu() | named("fc2", conv(24, {})) | hard_sigmoid();
        return input("picture", u8, {.channels = 3, .height = 21, .width = 19}) | normalise(imagenet)
             | named("stem", conv(24, {.kernel = 3, .pad = 1})) | hard_swish() | max_pool({.kernel = 3, .stride = 2, .pad = 1})
             | named("deep", conv(24, {.kernel = 5, .pad = 2, .groups = 24})) | hard_swish() | multiply(identity(), gate)
             | concat(named("left", conv(20, {})) | relu(), avg_pool({.kernel = 3, .stride = 1, .pad = 1}) | named("right", conv(9, {})) | relu(), identity())
             | named("norm", batch_norm()) | relu() | residual(named("inner", conv(53, {})) | relu(), identity()) | hard_swish()
             | global_pool() | flatten() | named("classes", dense(7));
    }
};
struct varied_bytes : splitdsl::int8<varied_network> {};
struct varied_mixed : splitdsl::int8<varied_network> {
    static constexpr std::array<splitdsl::text, 2> keep_f32{"left", "norm"};
};

constexpr int steps_of_kind(const auto& l, splitdsl::graph::step_kind kind) {
    int n = 0;
    for (int s = 0; s < l.count; ++s) n += l.steps[s].kind == kind;
    return n;
}

TEST_CASE("squeeze-and-excite, pools, concat, batch norm and hard swish stay on bytes and near f32, " SPLITDSL_ARCH_NAME) {
    using splitdsl::graph::step_kind;
    constexpr const auto& l = splitdsl::steps_of<varied_bytes>;
    static_assert(steps_of_kind(l, step_kind::quantise_u8) == 0 && steps_of_kind(l, step_kind::dequantise_u8) == 0);
    static_assert(steps_of_kind(l, step_kind::max_pool_u8) == 1 && steps_of_kind(l, step_kind::avg_pool_u8) == 1 && steps_of_kind(l, step_kind::global_pool_u8) == 2);
    static_assert(steps_of_kind(l, step_kind::multiply_u8) == 1 && steps_of_kind(l, step_kind::pointwise_u8) == 6); // three parts, a norm, an add, its curve
    static_assert(steps_of_kind(splitdsl::steps_of<varied_mixed>, step_kind::dequantise_u8) > 0);
    std::vector<std::uint8_t> picture(3 * 21 * 19);
    for (auto& b : picture) b = static_cast<std::uint8_t>(whole(0, 255));
    near_f32<varied_bytes>(picture, 0.08F);
    near_f32<varied_mixed>(picture, 0.08F);
}

} // namespace
