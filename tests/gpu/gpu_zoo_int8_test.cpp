// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_zoo_int8_test.cpp
/// Networks of the zoo on bytes, on a made-up device with as many multiprocessors as an H200: every byte of every tensor is the processor's. Compiled by the full tests alone.
#include "../catch.hpp"
#include "fake_device.hpp"

#include <splitdsl/gpu/gpu_pipeline.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>
#include <splitdsl/zoo/resnet.hpp>

#include <cstring>
#include <memory>
#include <vector>

namespace {
using namespace splitdsl;

struct mobilenet : zoo::mobilenet_v2_int8<100, 96, 96, 100, zoo::no_cuts> {};
struct resnet : int8<zoo::resnet50<64, 64, 100, zoo::no_cuts>> {};

template <class Network>
void has_the_processors_bytes(int batch) {
    using network = observed<Network, false>;       // every tensor of bytes is among the outputs
    fake::now = {};
    fake::now.multiprocessors = 132;
    {
        const kernels::cudnn::device on({fake::driver(), fake::compiler(), {}, ""}, {.needs_cudnn = false, .code_folder = "", .chooses_by_time = false});
        const gpu::gpu_engine engine(on, gpu::program_of<network>(), pipeline_of<network>(), {.precision = gpu::precision::f32, .batch = batch});
        const pipeline& host = pipeline_of<network>();
        const pipeline& net = engine.net_here();
        const auto weights = random_weights(parameters<network>(), 1);
        std::vector<const float*> pointers;
        for (const auto& w : weights) pointers.push_back(w.data());
        aligned_buffer packed(net.packed_bytes);
        net.pack(pointers.data(), packed.data());
        struct side {
            std::vector<std::byte> picture;
            const void* input{};
            aligned_buffer arena;
            std::vector<float> outputs;
            explicit side(const pipeline& p) : picture(p.inputs[0].bytes), input{picture.data()}, arena(p.arena_bytes), outputs(p.output_floats) {}
        };
        std::vector<std::unique_ptr<side>> sides;
        std::vector<frame_memory> frames;
        for (int k = 0; k < batch; ++k) {
            side& s = *sides.emplace_back(std::make_unique<side>(net));
            for (std::size_t i = 0; i < s.picture.size(); ++i) s.picture[i] = static_cast<std::byte>((i * (7919 + 2 * static_cast<std::size_t>(k)) + i / 97) % 253);
            frames.push_back({s.arena.data(), packed.data(), &s.input, s.outputs.data(), nullptr});
        }
        if (batch == 1) REQUIRE(net.run(frames[0], 0, net.stages, nullptr));
        else REQUIRE(net.run_batch(frames, 0, net.stages, nullptr));
        side alone(host);
        for (int k = 0; k < batch; ++k) {
            const side& s = *sides[static_cast<std::size_t>(k)];
            REQUIRE(host.run({alone.arena.data(), packed.data(), &s.input, alone.outputs.data(), nullptr}, 0, host.stages, nullptr));
            CHECK(std::memcmp(s.outputs.data(), alone.outputs.data(), 4 * alone.outputs.size()) == 0);
        }
        CHECK(engine.counters().on_cpu == 0);
        CHECK(engine.counters().reason == "");
    }
    CHECK(fake::now.wrong == "");
}
} // namespace

TEST_CASE("GPU: MobileNetV2 and ResNet-50 on bytes have the processor's bytes in every tensor, in tiles of several sizes") {
    has_the_processors_bytes<mobilenet>(1);
    has_the_processors_bytes<mobilenet>(8);
    has_the_processors_bytes<resnet>(1);
    CHECK(fake::now.started["convolve_tiles_of_picture"] > 0);
    CHECK(fake::now.started["convolve_tiles_16x16"] > 0);
    CHECK(fake::now.started["convolve_tiles_16x32"] > 0);
}
