// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_chains_test.cpp
/// Networks on bytes that run band by band of rows: every bit as without, in less memory.
#include "../catch.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace {
using namespace splitdsl;

/// Maps of any size are split into bands of so many bytes; -1: none is.
constexpr graph::chain_costs bands_of(std::int64_t bytes) {
    const std::int64_t least = bytes < 0 ? std::int64_t{1} << 60 : 1;
    return {.least_map = least, .band = bytes, .least_byte_map = least, .byte_band = bytes, .rows = 1, .weights = 1 << 20};
}

/// A picture, its first layer and a pool; then a depthwise block whose last map has a halo for its reader.
template <image_layout Layout>
struct camera {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 53, .width = 37, .layout = Layout}) | normalise(imagenet) | named("stem", conv(20, {.kernel = 7, .stride = 2, .pad = 3})) | relu()
             | max_pool({.kernel = 3, .stride = 2, .pad = 1}) | named("wide", conv(33, {})) | relu6() | named("deep", conv(33, {.kernel = 5, .stride = 1, .pad = 2, .groups = 33})) | relu()
             | named("narrow", conv(18, {})) | cut("middle") | named("after", conv(9, {.kernel = 3, .pad = 1})) | hard_swish() | global_pool() | named("classes", dense(5));
    }
};
/// Strides, dilation, a pool that counts what is padded, a layer with an addend, and one that stays f32 behind bytes.
struct blocks {
    static constexpr auto block(const char* name, int kernel, int stride) {
        return named(name, named("expand", conv(40, {})) | relu6() | named("deep", conv(40, {.kernel = kernel, .stride = stride, .pad = kernel / 2, .groups = 40})) | relu6() | named("project", conv(12, {})));
    }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 31, .width = 29}) | normalise(imagenet) | named("stem", conv(16, {.kernel = 3, .stride = 2, .pad = 1})) | hard_swish()
             | block("one", 3, 1) | residual(block("two", 5, 1)) | block("three", 3, 2) | avg_pool({.kernel = 3, .stride = 1, .pad = 1})
             | named("far", conv(24, {.kernel = 3, .pad = 2, .dilation = 2})) | relu() | named("last", conv(8, {.kernel = 3, .pad = 0})) | global_pool() | named("classes", dense(3));
    }
};
template <std::int64_t Bytes>
struct planes_in_bands : int8<camera<image_layout::chw>> { static constexpr graph::chain_costs chains = bands_of(Bytes); };
template <std::int64_t Bytes>
struct pixels_in_bands : int8<camera<image_layout::hwc>> { static constexpr graph::chain_costs chains = bands_of(Bytes); };
template <std::int64_t Bytes>
struct blocks_in_bands : int8<blocks> { static constexpr graph::chain_costs chains = bands_of(Bytes); };
template <std::int64_t Bytes>
struct mixed_in_bands : int8<blocks> {
    static constexpr std::array<text, 2> keep_f32{"far", "two.expand"};
    static constexpr graph::chain_costs chains = bands_of(Bytes);
};

template <class Network>
constexpr int steps_in_chains() {
    int n = 0;
    for (const int length : chains_of<Network>.length) n += length;
    return n;
}
static_assert(steps_in_chains<planes_in_bands<-1>>() == 0 && chains_of<planes_in_bands<1>>.length[0] == 6, "picture, stem, pool, wide, deep, narrow");
static_assert(steps_in_chains<blocks_in_bands<1>>() >= 10);

/// Whether tensors that are alive at the same time lie apart, a chain's all while it runs.
template <class Network>
constexpr bool lie_apart() {
    const auto& l = steps_of<Network>;
    const auto& c = chains_of<Network>;
    const auto& m = memory_of<Network, 16>;
    const auto end_of = [&](std::size_t b) { return m.offset[b] + (l.buffers[b].is_bytes ? l.buffers[b].bytes : graph::blocked_bytes(l.buffers[b], c.window[b], 16)); };
    for (std::size_t a = 0; a < static_cast<std::size_t>(l.buffer_count); ++a)
        for (std::size_t b = a + 1; b < static_cast<std::size_t>(l.buffer_count); ++b)
            if (c.lives[a].last >= c.lives[b].first && c.lives[b].last >= c.lives[a].first && m.offset[a] < end_of(b) && m.offset[b] < end_of(a)) return false;
    return true;
}
static_assert(lie_apart<planes_in_bands<1>>() && lie_apart<blocks_in_bands<4000>>() && lie_apart<mixed_in_bands<1>>());

/// A camera's picture under the costs that networks have: neither it, as a tensor, nor the 7x7 layer's map of 15 MB nor the pooled one exists.
struct large_picture {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 720, .width = 1280}) | normalise(imagenet) | named("stem", conv(64, {.kernel = 7, .stride = 2, .pad = 3})) | relu()
             | max_pool({.kernel = 3, .stride = 2, .pad = 1}) | named("squeeze", conv(3, {.kernel = 2, .stride = 2}));
    }
};
struct large_bytes : int8<large_picture> {};
struct large_whole : int8<large_picture> { static constexpr graph::chain_costs chains = bands_of(-1); };
static_assert(chains_of<large_bytes>.length[0] == 4 && lie_apart<large_bytes>() && 5 * memory_of<large_bytes, 16>.arena < 2 * memory_of<large_whole, 16>.arena, "picture, stem, pool, squeeze");

/// Weights and ranges from a seed, so that bytes spread over their range.
template <class Network>
network_weights<Network> weights_of() {
    auto values = random_weights(parameters<Network>(), 11);
    std::size_t i = 0;
    for (const parameter& p : parameters<Network>()) {
        if (p.name == "int8.ranges")
            for (std::size_t k = 0; k < values[i].size(); ++k) values[i][k] = k % 2 == 0 ? -1.0F - 0.1F * static_cast<float>(k % 7) : 3.0F + 0.2F * static_cast<float>(k % 5);
        ++i;
    }
    return network_weights<Network>{values};
}
template <class Network>
std::vector<float> answers_of(const network_weights<Network>& weights, const std::vector<std::uint8_t>& picture, int garbage, const task_runner* workers = nullptr, bool apart = false) {
    const pipeline& net = weights.net();
    const aligned_buffer arena{net.arena_bytes}, other{net.arena_bytes};
    std::memset(arena.data(), garbage, net.arena_bytes);
    std::memset(other.data(), garbage, net.arena_bytes);
    std::vector<float> out(net.output_floats);
    const void* inputs[]{picture.data()};
    const frame_memory here{arena.data(), weights.bytes().data(), inputs, out.data(), workers}, there{other.data(), weights.bytes().data(), nullptr, out.data(), workers};
    if (!apart) {
        REQUIRE(net.run(here, 0, net.stages, nullptr));
        return out;
    }
    std::vector<std::byte> payload(net.cuts[0].payload_bytes);
    REQUIRE(net.run(here, 0, 1, nullptr));
    REQUIRE(net.store_payload(here, 0, payload.data()) == payload.size());
    REQUIRE(net.load_payload(there, 0, payload));
    REQUIRE(net.run(there, 1, net.stages, nullptr));
    return out;
}

template <template <std::int64_t> class Network, std::int64_t... Bytes>
void same_bits_in_bands() {
    const auto whole = weights_of<Network<-1>>();
    const pipeline& net = whole.net();
    std::mt19937 random{5};
    for (int k = 0; k < 3; ++k) {
        std::vector<std::uint8_t> picture(net.inputs[0].bytes);
        for (auto& b : picture) b = static_cast<std::uint8_t>(random() >> 24);
        const auto expected = answers_of(whole, picture, 0xff);
        const auto compare = [&]<std::int64_t One>(std::integral_constant<std::int64_t, One>) {
            INFO(One << " bytes");
            const auto banded = weights_of<Network<One>>();
            CHECK(answers_of(banded, picture, 0xff) == expected);
            CHECK(answers_of(banded, picture, 0x00) == expected); // whatever the memory held
            if (!net.cuts.empty()) CHECK(answers_of(banded, picture, 0x7f, nullptr, true) == expected);
            if (default_runner()) with_threads(2, [&] { CHECK(answers_of(banded, picture, 0x55, default_runner()) == expected); });
        };
        (compare(std::integral_constant<std::int64_t, Bytes>{}), ...);
        CHECK(std::any_of(expected.begin(), expected.end(), [&](float x) { return x != expected[0]; }));
    }
}
} // namespace

TEST_CASE("a picture's first layers on bytes give the same bits in bands of any height, " SPLITDSL_ARCH_NAME) {
    same_bits_in_bands<planes_in_bands, 1, 3000, 10'000, 1'000'000>();
    same_bits_in_bands<pixels_in_bands, 1, 6000>();
}
TEST_CASE("depthwise blocks, strides, dilation and pools on bytes give the same bits in bands, " SPLITDSL_ARCH_NAME) { same_bits_in_bands<blocks_in_bands, 1, 4000, 20'000>(); }
TEST_CASE("bands of a network of which some layers stay f32 give the same bits, " SPLITDSL_ARCH_NAME) { same_bits_in_bands<mixed_in_bands, 1, 8000>(); }
