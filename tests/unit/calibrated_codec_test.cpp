// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file calibrated_codec_test.cpp
/// Codecs whose range comes with the weights: the same bytes in a convolution's epilogue, in a step of its own and by the scalar codec. Compiled once per
/// instruction set; the names of the tests that run kernels carry it.
#include "../catch.hpp"
#include "../same_bits.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/codec_calibration.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/reference_run.hpp>
#include <splitdsl/runtime/safetensors.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

namespace {
using namespace splitdsl;
namespace simd = kernels::simd;

constexpr float infinite = std::numeric_limits<float>::infinity(), no_number = std::numeric_limits<float>::quiet_NaN();

/// BottleFit's: kernel 2, stride 2, few channels; a batch norm and an activation between the sums and the codec.
struct narrow {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 20, .height = 23, .width = 61}) | head("edge", identity())
             | bottleneck("uplink", named("a", conv(12, {.kernel = 2, .stride = 2, .pad = 1})) | named("b", batch_norm()) | relu6(), affine_u8(calibrated)) | tail("cloud", global_pool());
    }
};
/// Input channels in several passes, output channels in several groups of blocks.
struct deep {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 530, .height = 9, .width = 12}) | head("edge", identity())
             | bottleneck("uplink", named("a", conv(83, {.kernel = 2, .stride = 2})), affine_u8(calibrated)) | tail("cloud", global_pool());
    }
};
/// Winograd's tiles of 4x4, 17 a row and 40 a task, so that tasks begin and end within a row.
struct tiles {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 32, .height = 27, .width = 69}) | head("edge", identity()) | bottleneck("uplink", named("a", conv(6, {.kernel = 3, .pad = 0})), affine_u8(calibrated))
             | tail("cloud", global_pool());
    }
};
/// Winograd's tiles of six rows and one column, the last ones of three rows.
struct columns {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 32, .height = 27, .width = 69}) | head("edge", identity()) | bottleneck("uplink", named("a", conv(20, {.kernel = {7, 1}})), affine_u8(calibrated))
             | tail("cloud", global_pool());
    }
};
/// SAGE's: so few outputs that input channels are the lanes; 7 rows a task, the last of 6.
struct few {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 32, .height = 27, .width = 69}) | head("edge", identity()) | bottleneck("uplink", named("a", conv(3, {.kernel = 3})), affine_u8(calibrated))
             | tail("cloud", global_pool());
    }
};
/// In bands of rows, the last of which are fewer.
template <int Band>
struct banded {
    static constexpr graph::chain_costs chains{.least_map = 1, .band = Band, .rows = 2};
    static constexpr auto graph() {
        return input("image", u8, {.channels = 3, .height = 53, .width = 47}) | normalise(imagenet) | head("edge", named("a", conv(16, {.kernel = 3, .stride = 2})) | relu())
             | bottleneck("uplink", named("b", conv(32, {.kernel = 3})) | relu() | named("c", conv(5, {.kernel = 3})), affine_u8(calibrated)) | tail("cloud", global_pool());
    }
};
/// Two heads side by side, a tap that is quantised for its readers, and 16 bits.
struct several {
    static constexpr auto one(text name, codec_choice codec) {
        return input(name, f32, {.channels = 7, .height = 13, .width = 18}) | head("edge", named(name, named("a", conv(9, {.kernel = 3, .stride = 2}))))
             | bottleneck(name == "left" ? "left_up" : "right_up", named(name, named("b", conv(4, {.kernel = 1}))), codec);
    }
    static constexpr auto graph() {
        return fan_in("uplink", one("left", affine_u8(calibrated)), one("right", affine_u16(calibrated)))
             | tail("cloud", tap("kept", named("c", conv(6, {.kernel = 3})), affine_u8(calibrated)) | named("d", conv(6, {.kernel = 3})) | add(identity(), from("kept")) | global_pool());
    }
};
/// What its codec reads somebody else reads too, so its convolution cannot end in it.
struct shared {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 5, .height = 9, .width = 9}) | head("edge", tap("before", named("a", conv(4, {.kernel = 2}))))
             | bottleneck("uplink", identity(), affine_u8(calibrated), carry("before")) | tail("cloud", add(identity(), from("before")) | global_pool());
    }
};
template <class Network>
struct apart : Network {
    static constexpr bool fuses_codec = false;
};

template <class Network>
constexpr int fused_codecs() {
    int n = 0;
    for (int i = 0; i < steps_of<Network>.count; ++i) n += steps_of<Network>.steps[static_cast<std::size_t>(i)].ends_conv;
    return n;
}
static_assert(fused_codecs<narrow>() == 1 && fused_codecs<deep>() == 1 && fused_codecs<tiles>() == 1 && fused_codecs<columns>() == 1 && fused_codecs<few>() == 1 && fused_codecs<banded<30'000>>() == 1);
static_assert(fused_codecs<several>() == 2);    // the one of 16 bits is a step of its own
static_assert(fused_codecs<shared>() == 0 && fused_codecs<apart<narrow>>() == 0);
template <class Network>
constexpr bool has_step(graph::step_kind kind) {
    for (int i = 0; i < steps_of<Network>.count; ++i)
        if (steps_of<Network>.steps[static_cast<std::size_t>(i)].kind == kind) return true;
    return false;
}
static_assert(has_step<tiles>(graph::step_kind::winograd_4x4) && has_step<columns>(graph::step_kind::winograd_line) && has_step<deep>(graph::step_kind::conv) && has_step<few>(graph::step_kind::conv));
static_assert([] {
    for (int i = 0; i < steps_of<tiles>.count; ++i)
        if (steps_of<tiles>.steps[static_cast<std::size_t>(i)].kind == graph::step_kind::winograd_4x4) return steps_of<tiles>.steps[static_cast<std::size_t>(i)].chunk == 40;
    return false;
}());
static_assert(chains_of<banded<30'000>>.length[0] == 4);
static_assert(fingerprint<narrow> == fingerprint<apart<narrow>>);
static_assert(payload_bytes<narrow>("uplink") == 12 * 12 * 31 + 8);

/// Weights without ranges, then with these.
template <class Network>
std::vector<std::vector<float>> values_with(const std::vector<std::pair<float, float>>& ranges) {
    const auto without = random_weights(parameters<measured<Network>>(), 7);
    std::vector<std::vector<float>> all;
    std::size_t next = 0, range = 0;
    for (const parameter& p : parameters<Network>()) {
        if (p.is_codec_range) all.push_back({ranges[range].first, ranges[range].second}), ++range;
        else all.push_back(without[next++]);
    }
    return all;
}

/// One network's code with weights and memory of its own, which nobody has written yet.
struct subject {
    const pipeline& net;
    aligned_buffer packed, arena;
    std::vector<float> outputs;
    subject(const pipeline& p, const std::vector<std::vector<float>>& values) : net(p), packed(p.packed_bytes), arena(p.arena_bytes), outputs(p.output_floats) {
        std::vector<const float*> pointers;
        for (const auto& v : values) pointers.push_back(v.data());
        net.pack(pointers.data(), packed.data());
        std::memset(arena.data(), 0xff, p.arena_bytes);
    }
    frame_memory memory(const void* const* inputs, const task_runner* workers = nullptr) { return {arena.data(), packed.data(), inputs, outputs.data(), workers}; }
    std::vector<std::byte> payload(const void* const* inputs, const task_runner* workers = nullptr) {
        std::vector<std::byte> bytes(net.cuts[0].payload_bytes);
        REQUIRE(net.run(memory(inputs, workers), 0, 1, nullptr));
        REQUIRE(net.store_payload(memory(inputs), 0, bytes.data()) == bytes.size());
        return bytes;
    }
    std::vector<float> whole(const void* const* inputs, const task_runner* workers = nullptr) {
        REQUIRE(net.run(memory(inputs, workers), 0, net.stages, nullptr));
        return outputs;
    }
    std::vector<float> tail(std::span<const std::byte> bytes) {
        REQUIRE(net.load_payload(memory(nullptr), 0, bytes));
        REQUIRE(net.run(memory(nullptr), 1, net.stages, nullptr));
        return outputs;
    }
};

/// Frames of a network: `odd` values in the maps are NaN and infinities.
struct frame {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<const void*> pointers;
    frame(const pipeline& net, unsigned seed, bool odd) {
        std::mt19937 bits{seed};
        std::normal_distribution<float> normal;
        for (const tensor_info& t : net.inputs) {
            auto& b = bytes.emplace_back(t.bytes);
            const auto values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
            for (auto& x : b) x = static_cast<std::byte>(bits() & 255U);
            for (std::size_t i = 0; t.bytes == 4 * values && i < values; ++i) {
                const float x = odd && bits() % 40 == 0 ? (bits() % 3 == 0 ? no_number : bits() % 2 == 0 ? infinite : -infinite) : normal(bits);
                std::memcpy(b.data() + 4 * i, &x, 4);
            }
            pointers.push_back(b.data());
        }
    }
};

constexpr task_runner backwards{[](int tasks, void (*body)(void*, int, int), void* context) {
    for (int i = tasks - 1; i >= 0; --i) body(context, i, i + 1);
}};
constexpr task_runner in_pairs{[](int tasks, void (*body)(void*, int, int), void* context) {
    for (int first : {2, 0})
        for (int i = first; i < tasks; i += 4) body(context, i, i + 2 < tasks ? i + 2 : tasks);
}};

/// Payloads, fused and apart, are what the scalar codec makes of the tensors that enter it.
template <class Network>
void check_payloads(const std::vector<std::pair<float, float>>& ranges) {
    const auto values = values_with<Network>(ranges);
    subject fused(pipeline_of<Network>(), values), alone(pipeline_of<apart<Network>>(), values), seen(pipeline_of<measured<Network>>(), random_weights(parameters<measured<Network>>(), 7)),
        far(pipeline_of<Network>(), values);
    for (unsigned seed = 1; seed <= 3; ++seed) {
        const frame f(fused.net, seed, seed == 3);
        INFO(fused.net.network << ", frame " << seed);
        const auto payload = fused.payload(f.pointers.data());
        REQUIRE(payload == alone.payload(f.pointers.data()));
        for (const task_runner* workers : {&backwards, &in_pairs}) {
            std::memset(fused.arena.data(), 0xff, fused.net.arena_bytes);
            CHECK(payload == fused.payload(f.pointers.data(), workers));
        }
        seen.net.run(seen.memory(f.pointers.data()), 0, seen.net.stages, nullptr);
        const auto& g = graph_of<Network>;
        std::size_t from = seen.net.output_floats, to = 0, k = 0;
        for (std::size_t i = 0; i < g.ops.size(); ++i)
            if (graph::has_range(g.ops[i])) from -= static_cast<std::size_t>(shaped_of<Network>.out[i].size());
        for (std::size_t i = 0; i < g.ops.size(); ++i) {
            if (!graph::has_range(g.ops[i]) || !has(g.ops[i].flags, op_flag::is_cut)) continue;
            const auto count = static_cast<std::size_t>(shaped_of<Network>.out[i].size());
            std::vector<std::byte> want(encoded_bytes(g.ops[i].codec, count));
            encode_calibrated(g.ops[i].codec, {ranges[k].first, ranges[k].second, true}, seen.outputs.data() + from, count, want.data());
            REQUIRE(to + want.size() <= payload.size());
            std::size_t wrong = 0;
            for (std::size_t b = 0; b < want.size(); ++b) wrong += want[b] != payload[to + b];
            CHECK(wrong == 0);
            from += count, to += want.size(), ++k;
        }
        const auto answer = fused.whole(f.pointers.data());
        CHECK(same_bits(answer, alone.whole(f.pointers.data())));
        CHECK(same_bits(answer, fused.whole(f.pointers.data(), &backwards)));
        if (seed < 3 || !std::is_same_v<Network, shared>) CHECK(same_bits(answer, far.tail(payload))); // what is carried as floats is refused if it is not finite
    }
}

template <class Network>
std::string refusal_of(const std::vector<tensor_view>& tensors) {
    try {
        (void)match_weights<Network>(parse_safetensors(to_safetensors(tensors)), "net.safetensors");
    } catch (const weights_error& e) { return e.what(); }
    return "matched";
}
} // namespace

TEST_CASE("a convolution that ends in a payload gives the scalar codec's bytes, as a codec of its own does, " SPLITDSL_ARCH_NAME) {
    for (const auto& range : {std::pair{0.0F, 2.5F}, std::pair{-1.5F, 0.7F}, std::pair{1.0F, 2.0F}}) { // narrower than the values, and without 0
        check_payloads<narrow>({range});
        check_payloads<deep>({range});
        check_payloads<tiles>({range});
        check_payloads<columns>({range});
        check_payloads<few>({range});
    }
}
TEST_CASE("bands of rows end in a payload too, " SPLITDSL_ARCH_NAME) {
    check_payloads<banded<30'000>>({{-1, 1}});
    check_payloads<banded<1>>({{-2, 0.5F}});
}
TEST_CASE("heads side by side, a quantised tap and 16 bits have calibrated codecs, " SPLITDSL_ARCH_NAME) { check_payloads<several>({{-2, 2}, {-1, 1.5F}, {-0.5F, 0.5F}}); }
TEST_CASE("a codec whose tensor others read stays a step of its own, " SPLITDSL_ARCH_NAME) { check_payloads<shared>({{-1, 1}}); }

TEST_CASE("the reference meets the calibrated codec as the executor does, " SPLITDSL_ARCH_NAME) {
    const auto values = values_with<tiles>({{-1, 1}});
    subject s(pipeline_of<tiles>(), values);
    const frame f(s.net, 5, false);
    parameter_map map;
    const auto names = parameters<tiles>();
    for (std::size_t i = 0; i < names.size(); ++i) map[names[i].name] = values[i];
    const auto want = run_reference(graph::description_of<tiles>(), map, {{"map", f.pointers[0]}}), got = s.whole(f.pointers.data());
    REQUIRE(want.size() == got.size());
    for (std::size_t i = 0; i < want.size(); ++i) CHECK(std::abs(want[i] - got[i]) < 1e-3F); // a value may fall to the other side of two levels
}

TEST_CASE("any part of a blocked tensor becomes the scalar codec's levels, and nothing else is written, " SPLITDSL_ARCH_NAME) {
    std::mt19937 bits{4};
    const auto whole = [&](int low, int high) { return low + static_cast<int>(bits() % static_cast<unsigned>(high - low + 1)); };
    const auto check = [&]<class Level>(Level) {
        for (int n = 0; n < 60; ++n) {
            const simd::extent e{whole(1, 40), whole(1, 12), n % 7 == 0 ? whole(250, 300) : whole(1, 40)};
            const int side = whole(0, 1), blocks = simd::blocks_of(e.channels);
            const std::ptrdiff_t row = std::ptrdiff_t{e.width + side} * simd::lanes, block = row * e.height, pitch = e.width + whole(0, 1), plane = pitch * e.height;
            std::vector<float> data(static_cast<std::size_t>(block * blocks));
            for (float& x : data) x = bits() % 50 == 0 ? (bits() % 2 == 0 ? no_number : infinite) : static_cast<float>(whole(-3000, 3000)) / 1000;
            const affine_parameters p = affine_parameters_of<Level>({-1.25F, 2, true});
            std::vector<Level> levels(static_cast<std::size_t>(plane * e.channels) + 1, Level{77}), want = levels;
            simd::tensor_part part{whole(0, blocks - 1), 0, whole(0, e.height - 1), 0, whole(0, e.width - 1), 0};
            part.last_block = whole(part.first_block + 1, blocks), part.bottom = whole(part.top + 1, e.height), part.right = whole(part.left + 1, e.width);
            if (n % 3 == 0) part.left = 0, part.right = e.width;
            for (int c = part.first_block * simd::lanes; c < std::min(e.channels, part.last_block * simd::lanes); ++c)
                for (int y = part.top; y < part.bottom; ++y)
                    for (int x = part.left; x < part.right; ++x)
                        want[static_cast<std::size_t>(c * plane + y * pitch + x)] = quantise<Level>(data[static_cast<std::size_t>(c / simd::lanes * block + y * row + x * simd::lanes + c % simd::lanes)], p);
            simd::quantise_part<Level>(e.channels, {data.data(), row, block}, part, {levels.data(), pitch, plane, p.scale, static_cast<float>(p.zero_point)});
            REQUIRE(levels == want);
        }
    };
    check(std::uint8_t{});
    check(std::uint16_t{});
}

TEST_CASE("weights without a codec's range, or with one that is none, are refused by name") {
    const auto values = values_with<narrow>({{-1, 1}});
    const auto names = parameters<narrow>();
    const auto with = [&](std::vector<std::uint64_t> dims, std::vector<float> range) {
        std::vector<tensor_view> all;
        for (std::size_t i = 0; i < names.size(); ++i) all.push_back({names[i].name, tensor_type::float32, names[i].is_codec_range ? dims : names[i].dims, bytes_of_floats(names[i].is_codec_range ? range : values[i])});
        return refusal_of<narrow>(all);
    };
    CHECK(with({2}, {-1, 1}) == "matched");
    CHECK(with({2}, {1, 1}).find("uplink.range should hold a least value and a larger one, both finite and 0 between them; found 1 and 1") != std::string::npos);
    CHECK(with({2}, {0.5F, 1}).find("found 0.5 and 1") != std::string::npos); // a zero point cannot say it
    CHECK(with({2}, {2, -1}).find("found 2 and -1") != std::string::npos);
    CHECK(with({2}, {no_number, 1}).find("uplink.range should hold") != std::string::npos);
    CHECK(with({2}, {0, infinite}).find("uplink.range should hold") != std::string::npos);
    CHECK(with({1, 2}, {-1, 1}).find("uplink.range should have shape (2), found (1, 2)") != std::string::npos);
    std::vector<tensor_view> without;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (!names[i].is_codec_range) without.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
    CHECK(refusal_of<narrow>(without).find("uplink.range (2) is missing; calibrate_codecs (runtime/codec_calibration.hpp) finds it") != std::string::npos);
    CHECK(refusal_of<measured<narrow>>(without) == "matched");
    auto wrong = values;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].is_codec_range) wrong[i] = {3, 3};
    CHECK_THROWS_AS(network_weights<narrow>{wrong}, weights_error);
}

TEST_CASE("calibration finds what enters each codec, and its file serves networks with and without calibrated codecs") {
    const auto trained = random_weights(parameters<measured<several>>(), 7);
    const auto& net = pipeline_of<several>();
    std::vector<frame> frames;
    std::vector<std::vector<const void*>> inputs;
    for (unsigned seed = 1; seed <= 4; ++seed) inputs.push_back(frames.emplace_back(net, seed, seed == 4).pointers);
    const auto ranges = calibrate_codecs<several>(trained, inputs);
    REQUIRE(ranges.size() == 3);
    CHECK((ranges[0].name == "left_up.range" && ranges[1].name == "right_up.range" && ranges[2].name == "kept.range"));
    subject seen(pipeline_of<measured<several>>(), trained);
    float low = 0, high = 0;
    const std::size_t sizes[]{4 * 7 * 9, 4 * 7 * 9, 6 * 7 * 9};
    for (const auto& in : inputs) {
        seen.whole(in.data());
        const float* at = seen.outputs.data() + seen.outputs.size() - sizes[0] - sizes[1] - sizes[2];
        for (std::size_t i = 0; i < sizes[0]; ++i)
            if (std::isfinite(at[i])) low = std::min(low, at[i]), high = std::max(high, at[i]);
    }
    CHECK((ranges[0].low == low && ranges[0].high == high && low < 0 && high > 0));

    std::vector<tensor_view> tensors;
    const auto names = parameters<measured<several>>();
    for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(trained[i])});
    const std::vector<float> stale{-9, 9};
    tensors.push_back({"kept.range", tensor_type::float32, {2}, bytes_of_floats(stale)});      // an earlier calibration's
    CHECK(refusal_of<measured<several>>(tensors) == "matched");
    const std::string path = "calibrated_codec_test." SPLITDSL_ARCH_NAME ".safetensors";
    write_with_ranges(path, parse_safetensors(to_safetensors(tensors)), ranges);
    const auto all = match_weights<several>(read_safetensors(path), path);
    CHECK(match_weights<measured<several>>(read_safetensors(path), path) == trained);
    std::remove(path.c_str());
    const auto with_ranges = parameters<several>();
    for (std::size_t i = 0, k = 0; i < all.size(); ++i)
        if (with_ranges[i].is_codec_range) {
            CHECK((all[i][0] == ranges[k].low && all[i][1] == ranges[k].high));
            ++k;
        }
    CHECK_THROWS_AS(calibrate_codecs<several>(trained, std::span<const std::vector<const void*>>{}), option_error);
    std::vector<std::byte> nothing(static_cast<std::size_t>(7 * 13 * 18 * 4));
    auto no_bias = trained;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].name.ends_with("bias")) std::fill(no_bias[i].begin(), no_bias[i].end(), 0.0F);
    const std::vector<std::vector<const void*>> zeros{{nothing.data(), nothing.data()}};
    std::string said;
    try {
        (void)calibrate_codecs<several>(no_bias, zeros);
    } catch (const option_error& e) { said = e.what(); }
    CHECK(said == "calibration: values other than 0 were expected for left_up.range, found none in 1 inputs");
}

namespace {
/// A cut on bytes: what crosses are the tensor's own.
struct picture {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 37, .width = 45}) | normalise(imagenet) | head("edge", named("stem", conv(20, {.kernel = 3, .stride = 2})) | relu6())
             | bottleneck("uplink", named("narrow", conv(11, {.kernel = 3, .pad = 1})), affine_u8(calibrated))
             | tail("cloud", named("wide", conv(24, {.kernel = 3, .pad = 2})) | relu() | global_pool() | named("classes", dense(5)));
    }
};
struct picture_bytes : int8<picture> {};
/// The same network without a cut.
struct uncut {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 37, .width = 45}) | normalise(imagenet) | named("stem", conv(20, {.kernel = 3, .stride = 2})) | relu6()
             | named("narrow", conv(11, {.kernel = 3, .pad = 1})) | named("wide", conv(24, {.kernel = 3, .pad = 2})) | relu() | global_pool() | named("classes", dense(5));
    }
};
struct uncut_bytes : int8<uncut> {};
static_assert(payload_bytes<picture_bytes>("uplink") == 11 * 19 * 23 + 8);
static_assert(!has_step<picture_bytes>(graph::step_kind::dequantise_u8) && !has_step<picture_bytes>(graph::step_kind::quantise_u8));
} // namespace

TEST_CASE("a network on bytes sends the bytes it has over a calibrated cut, and answers as without the cut, " SPLITDSL_ARCH_NAME) {
    auto values = random_weights(parameters<picture_bytes>(), 3);
    const auto names = parameters<picture_bytes>();
    std::vector<std::vector<float>> plain;
    float low = 0, high = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].name == "int8.ranges") {
            for (std::size_t k = 0; k < values[i].size(); k += 2) values[i][k] = -2.5F - static_cast<float>(k), values[i][k + 1] = 3 + static_cast<float>(k);
            low = values[i][2], high = values[i][3]; // of "narrow", the second layer
        }
        if (!names[i].is_codec_range) plain.push_back(values[i]);
    }
    subject s(pipeline_of<picture_bytes>(), values), far(pipeline_of<picture_bytes>(), values), without(pipeline_of<uncut_bytes>(), plain);
    const frame f(s.net, 9, false);
    const auto answer = s.whole(f.pointers.data());
    CHECK(same_bits(answer, without.whole(f.pointers.data())));
    auto payload = s.payload(f.pointers.data());
    CHECK(same_bits(answer, far.tail(payload)));
    REQUIRE(s.net.run(s.memory(nullptr), 1, s.net.stages, nullptr)); // the fallback, from the payload's bytes
    CHECK(same_bits(answer, s.outputs));
    const simd::byte_scale scale = simd::byte_scale_of(low, high);
    const affine_parameters front = detail::affine_parameters_in(payload.data());
    CHECK((front.scale == scale.scale && front.zero_point == scale.zero));
    std::size_t different = 0;
    for (std::size_t i = 9; i < payload.size(); ++i) different += payload[i] != payload[8];
    CHECK(different > payload.size() / 2);
    // Another sender's scale is read: half as many levels of twice the size, so every value is off by at most one of them.
    std::vector<std::byte> coarse = payload;
    detail::put_affine_parameters(coarse.data(), {2 * front.scale, front.zero_point / 2});
    for (std::size_t i = 8; i < coarse.size(); ++i) coarse[i] = static_cast<std::byte>(static_cast<unsigned>(coarse[i]) / 2);
    const auto near = far.tail(coarse);
    CHECK_FALSE(same_bits(answer, near));
    for (std::size_t i = 0; i < near.size(); ++i) CHECK(std::abs(near[i] - answer[i]) < 0.5F);
    detail::put_affine_parameters(coarse.data(), {no_number, 0});
    CHECK_FALSE(s.net.load_payload(s.memory(nullptr), 0, coarse));
}
