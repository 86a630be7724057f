// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file examples.hpp
/// What the examples in public headers' comments take as given; each is compiled as a function's body behind this (tests/docs/run.py).
#pragma once

#include <splitdsl/splitdsl.hpp>

#include <splitdsl/energy/meter.hpp>
#include <splitdsl/energy/sample_statistics.hpp>
#include <splitdsl/energy/simpson.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/policy/behind_cut.hpp>
#include <splitdsl/policy/by_server.hpp>
#include <splitdsl/policy/layer_scan.hpp>
#include <splitdsl/runtime/distribution.hpp>
#include <splitdsl/runtime/middle_tier.hpp>
#include <splitdsl/runtime/prometheus.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/runtime/servers.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

struct lane_keeper {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 16, .width = 24}) | normalise(zero_to_one)
             | head("car", named("a", conv(4, {.kernel = 3, .stride = 2})) | relu() | early_exit("quick", global_pool() | named("quick", dense(3))))
             | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool() | named("control", dense(3)));
    }
};
struct stereo {
    static constexpr auto graph() {
        return concat(input("left", u8, {.channels = 3, .height = 16, .width = 24}) | normalise(zero_to_one),
                      input("right", u8, {.channels = 3, .height = 16, .width = 24}) | normalise(zero_to_one))
             | named("a", conv(4, {.kernel = 3})) | global_pool() | named("control", dense(3));
    }
};
struct inspector {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 16, .width = 24}) | normalise(zero_to_one) | head("robot", named("a", conv(4, {.kernel = 3, .stride = 2})) | relu())
             | bottleneck("radio", named("b", conv(2, {.kernel = 3})), affine_u8()) | stage("factory", named("c", conv(8, {.kernel = 3})) | relu())
             | bottleneck("backhaul", named("d", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool() | named("fault", dense(3)));
    }
};

extern const network_weights<lane_keeper> weights;
extern const network_weights<inspector> inspector_weights;
extern const pipeline net;
extern const std::span<const std::byte> packed;
extern const deployment costs;
extern edge_options options;
extern const frame_rules rules;
extern const std::vector<policy::layer_cost> layers;
extern const std::uint64_t digest;
extern const std::uint16_t cloud_port;
extern const instant now;
extern const std::uint32_t frame;
extern const std::vector<std::byte> camera_bytes, left, right;
extern const frame_inputs inputs;
extern std::array<float, 3> control;
extern edge<stereo, policy::all_edge> two_cameras;
extern std::unique_ptr<link::connector> way;
extern std::unique_ptr<link::listener> door;
command carry_out(const command& c);
