// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file embedded.cpp
/// What a program of others instantiates of the library: run.py --together compiles it with the warnings that such programs are compiled with.
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/splitdsl.hpp>

namespace {
using namespace splitdsl;

constexpr auto layer(const char* name, int channels, window w) { return named(name, named("conv", conv(channels, w)) | named("bn", batch_norm()) | relu()); }

struct keeper {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 32, .width = 40}) | normalise(imagenet)
             | head("car", layer("stem", 24, {.kernel = 3, .stride = 2}) | named("wide", conv(40, {})) | named("deep", conv(40, {.kernel = 3, .groups = 40})))
             | bottleneck("uplink", named("squeeze", conv(3, {.kernel = 3, .stride = 2})), affine_u8())
             | tail("cloud", layer("a", 48, {.kernel = 3}) | layer("b", 48, {.kernel = 3}) | global_pool() | named("control", dense(3)));
    }
};
struct keeper_on_bytes : int8<keeper> {};
} // namespace

void run_embedded(std::span<const std::byte> picture, std::span<float> control) {
    const auto weights = seeded_weights<keeper>(1);
    edge<keeper, policy::sage> car{weights, policy::sage{deployment{}}, {}, link::tcp{"tail.local", 7447}};
    const cloud<keeper> tail{weights, {}, std::make_unique<link::tcp_listener>(std::uint16_t{7447})};
    car.infer(picture, control);
    const auto bytes = seeded_weights<keeper_on_bytes>(1);
    edge<keeper_on_bytes, policy::all_edge> alone{bytes, policy::all_edge{}, {}};
    alone.infer(picture, control);
}
