// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_calibrated_test.cpp
/// Codecs whose range or prior comes with the weights, on a device made of host memory: the processor's bytes, or a sentence.
#include "../catch.hpp"
#include "fake_device.hpp"

#include <splitdsl/gpu/gpu_pipeline.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;
using gpu::precision;

kernels::cudnn::libraries made_up() { return {fake::driver(), fake::compiler(), {}, ""}; }
kernels::cudnn::device_options options() { return {.needs_cudnn = false, .code_folder = "", .chooses_by_time = false}; }

/// The codec reads the input as it came, so that both sides quantise the same values.
template <codec_choice Codec>
struct as_it_came {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 13, .height = 9, .width = 11}) | head("edge", identity()) | cut("uplink", Codec) | tail("cloud", named("a", conv(4, {.kernel = 1})) | global_pool());
    }
};
struct bytes : as_it_came<affine_u8(calibrated)> {};
struct words : as_it_came<affine_u16(calibrated)> {};
struct coded : as_it_came<entropy_bottleneck()> {};
/// The processor quantises in the convolution's epilogue, the device behind it.
struct ended {
    static constexpr auto graph() {
        return input("map", f32, {.channels = 8, .height = 9, .width = 11}) | head("edge", identity()) | bottleneck("uplink", named("a", conv(5, {.kernel = 3})) | relu(), affine_u8(calibrated))
             | tail("cloud", global_pool());
    }
};
struct picture {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | head("edge", named("a", conv(6, {.kernel = 3, .stride = 2})) | relu())
             | cut("uplink", affine_u8(calibrated)) | tail("cloud", named("b", conv(6, {.kernel = 3})) | global_pool());
    }
};
struct picture_bytes : int8<picture> {};

struct side {
    const pipeline& net;
    aligned_buffer packed, arena;
    std::vector<float> outputs;
    side(const pipeline& p, const std::vector<std::vector<float>>& values) : net(p), packed(p.packed_bytes), arena(p.arena_bytes), outputs(p.output_floats) {
        std::vector<const float*> pointers;
        for (const auto& v : values) pointers.push_back(v.data());
        net.pack(pointers.data(), packed.data());
    }
    frame_memory memory(const void* const* inputs) { return {arena.data(), packed.data(), inputs, outputs.data(), nullptr}; }
    std::vector<std::byte> stored() {
        std::vector<std::byte> payload(net.cuts[0].payload_bytes);
        payload.resize(net.store_payload(memory(nullptr), 0, payload.data()));
        return payload;
    }
    std::vector<std::byte> head(const void* const* inputs) {
        REQUIRE(net.run(memory(inputs), 0, 1, nullptr));
        return stored();
    }
};
std::vector<std::byte> frame_of(const pipeline& net, unsigned seed) {
    std::mt19937 bits{seed};
    std::normal_distribution<float> normal(0, 3);   // beyond the range of random_weights, -4 to 4
    std::vector<std::byte> frame(net.inputs[0].bytes);
    for (std::size_t i = 0; i + 4 <= frame.size(); i += 4) {
        float x = normal(bits);
        if (seed == 3 && bits() % 20 == 0) x = bits() % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : -std::numeric_limits<float>::infinity();
        std::memcpy(frame.data() + i, &x, 4);
    }
    return frame;
}
void check_clean() {
    CHECK(fake::now.wrong == "");
    CHECK(fake::now.memory.empty());
    CHECK(fake::now.pinned.empty());
}

template <class Network>
void same_bytes(int levels_apart) {
    fake::now = {};
    {
        const kernels::cudnn::device on(made_up(), options());
        const gpu::gpu_engine engine(on, gpu::program_of<Network>(), pipeline_of<Network>(), {.precision = precision::f32, .batch = 3});
        const auto values = random_weights(parameters<Network>(), 2);
        side host(pipeline_of<Network>(), values);
        std::vector<std::unique_ptr<side>> devices;
        std::vector<std::vector<std::byte>> frames, wanted;
        for (unsigned seed = 1; seed <= 3; ++seed) {
            frames.push_back(frame_of(host.net, seed));
            const void* const in[]{frames.back().data()};
            wanted.push_back(host.head(in));
            devices.push_back(std::make_unique<side>(engine.net_here(), values));
        }
        const auto compare = [&](const std::vector<std::byte>& got, const std::vector<std::byte>& want) {
            REQUIRE(got.size() == want.size());
            CHECK(std::memcmp(got.data(), want.data(), 8) == 0);
            int apart = 0;
            for (std::size_t i = 8; i < got.size(); ++i) apart = std::max(apart, std::abs(static_cast<int>(got[i]) - static_cast<int>(want[i])));
            CHECK(apart <= levels_apart);
        };
        std::vector<const void*> inputs;
        for (const auto& f : frames) inputs.push_back(f.data());
        for (std::size_t k = 0; k < 3; ++k) compare(devices[k]->head(&inputs[k]), wanted[k]);
        std::vector<frame_memory> together;
        for (std::size_t k = 0; k < 3; ++k) {
            together.push_back(devices[k]->memory(&inputs[k]));
            together.back().packed_weights = devices[0]->packed.data();
        }
        REQUIRE(engine.net_here().run_batch(together, 0, 1, nullptr));
        for (std::size_t k = 0; k < 3; ++k) compare(devices[k]->stored(), wanted[k]);
        CHECK(engine.counters().on_gpu == 6);
    }
    check_clean();
}
} // namespace

TEST_CASE("GPU: a calibrated codec's bytes are the CPU's, one by one and in a batch, for values beyond the range and none at all") {
    same_bytes<bytes>(0);
    same_bytes<words>(0);
    same_bytes<ended>(1);   // sums in another order may fall to the other side of two levels
}

TEST_CASE("GPU: what the device rounds about medians is coded by the CPU into the CPU's payload, which another device goes on from") {
    same_bytes<coded>(0);
    fake::now = {};
    {
        const kernels::cudnn::device on(made_up(), options());
        const gpu::gpu_engine engine(on, gpu::program_of<coded>(), pipeline_of<coded>(), {.precision = precision::f32, .batch = 2});
        const auto values = random_weights(parameters<coded>(), 2);
        side host(pipeline_of<coded>(), values), device(engine.net_here(), values), other(engine.net_here(), values);
        const auto first = frame_of(host.net, 1), second = frame_of(host.net, 2);
        const void* const in[]{first.data()};
        const void* const next[]{second.data()};
        const auto payload = host.head(in), payload_of_second = host.head(next);
        CHECK(payload.size() < payload_of_second.size() + 200);
        CHECK(payload.size() < host.net.cuts[0].payload_bytes * 3 / 4);
        REQUIRE(host.net.load_payload(host.memory(nullptr), 0, payload));
        REQUIRE(host.net.run(host.memory(nullptr), 1, 2, nullptr));
        REQUIRE(device.net.load_payload(device.memory(nullptr), 0, payload));
        REQUIRE(device.net.run(device.memory(nullptr), 1, 2, nullptr));
        for (std::size_t i = 0; i < host.outputs.size(); ++i) CHECK(std::abs(device.outputs[i] - host.outputs[i]) < 1e-5F);
        REQUIRE(device.net.load_payload(device.memory(nullptr), 0, payload));
        REQUIRE(other.net.load_payload(other.memory(nullptr), 0, payload_of_second));
        frame_memory together[]{device.memory(nullptr), other.memory(nullptr)};
        together[1].packed_weights = together[0].packed_weights;
        REQUIRE(engine.net_here().run_batch(together, 1, 2, nullptr));
        for (std::size_t i = 0; i < host.outputs.size(); ++i) CHECK(std::abs(device.outputs[i] - host.outputs[i]) < 1e-5F);
        CHECK_FALSE(device.net.load_payload(device.memory(nullptr), 0, std::span{payload}.first(payload.size() - 1)));
    }
    check_clean();
}

TEST_CASE("GPU: a cut that sends a tensor's bytes as they are is the CPU's, and says so") {
    fake::now = {};
    {
        const kernels::cudnn::device on(made_up(), options());
        const gpu::gpu_engine engine(on, gpu::program_of<picture_bytes>(), pipeline_of<picture_bytes>(), {});
        const auto values = random_weights(parameters<picture_bytes>(), 4);
        side device(engine.net_here(), values), host(pipeline_of<picture_bytes>(), values);
        const auto frame = frame_of(host.net, 1);
        const void* const in[]{frame.data()};
        CHECK(device.head(in) == host.head(in));
        CHECK(engine.counters().on_gpu == 0);
        CHECK(engine.counters().why == device_failure::unsupported);
        CHECK(engine.counters().reason.find("has steps on bytes for which the device has no kernel") != std::string::npos);
    }
    check_clean();
}
