// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_cases.hpp
/// Networks, answers and worlds that the tests of FLEET's simulator share.
#pragma once

#include "any_policy.hpp"

#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/sim/fleet_summary.hpp>
#include <splitdsl/sim/synthetic_answers.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::testing {

using namespace std::chrono_literals;

/// Logits of ten classes that name `label` with nearly all the probability.
inline void name_class(std::vector<float>& into, int label) {
    for (int c = 0; c < 10; ++c) into.push_back(c == label ? 20.0F : 0.0F);
}
/// A file with labels and the given tensors of group "g".
struct logits_file {
    std::vector<std::int32_t> labels;
    std::vector<std::pair<std::string, std::pair<std::vector<std::uint64_t>, std::vector<float>>>> tensors{};
    sim::exit_answers read(policy::confidence_kind kind = policy::confidence_kind::top1) const {
        return sim::read_exit_answers(file(), "g", kind);
    }
    safetensors file() const {
        std::vector<tensor_view> views{{"labels", tensor_type::int32, {labels.size()}, std::as_bytes(std::span{labels})}};
        for (const auto& [name, t] : tensors) views.push_back({name, tensor_type::float32, t.first, bytes_of_floats(t.second)});
        return {std::move(views), {}, nullptr};
    }
};

/// Twelve stages of 2 MMAC with exits everywhere, eight streams of six sizes, one cut of four sizes, two encodings of the input.
inline sim::exit_network large_network() {
    sim::exit_network n{.name = "large"};
    for (int k = 0; k < 12; ++k) {
        sim::exit_stage s{.name = "stage" + std::to_string(k), .macs = 2e6, .exit = k, .exit_macs = 1e4};
        if (k < 8) s.stream = {36, 64, 100, 144, 196, 256};
        if (k == 4) s.payload = {100, 200, 400, 800};
        n.stages.push_back(s);
    }
    n.inputs = {{"jpeg", 900, 1ms}, {"raw", 3072, {}}};
    return n;
}
inline const device_profile& slow_device() {
    static const device_profile d{.name = "slow", .macs_per_second = 192e6, .active_watts = watts{0.04}};
    return d;
}
inline sim::fleet_world large_world(double loss = 0) {
    sim::fleet_world w{.network = large_network(),
                       .local_exits = false,
                       .radio = {.interval = 10ms, .packets = 4, .loss = loss},
                       .active = {0.04},
                       .draws = *radio::find_ble_radio("nrf52840_0dbm")};
    w.times = sim::times_on(slow_device(), w.network);
    return w;
}
inline const sim::exit_answers& large_answers() {
    static const sim::synthetic_answers made{large_network(), {.pictures = 300}, "g"};
    static const sim::exit_answers a = sim::read_exit_answers(made.file(), "g");
    return a;
}
inline bool same(const sim::fleet_frame& a, const sim::fleet_frame& b) {
    return a.frame == b.frame && a.picture == b.picture && a.start == b.start && a.source == b.source && a.exit == b.exit
           && a.label == b.label && a.latency == b.latency && a.computing == b.computing && a.bytes_up == b.bytes_up
           && a.energy().value == b.energy().value;
}
inline std::vector<sim::fleet_frame> frames_of(any_policy p, const sim::fleet_world& w, std::uint64_t seed, std::uint64_t frames = 300) {
    std::vector<sim::fleet_frame> all;
    sim::simulate_fleet(std::move(p), w, large_answers(), {.frames = frames, .seed = seed},
                        [&](const sim::fleet_frame& f) { all.push_back(f); });
    return all;
}

/// Two stages of 20 ms; behind the first a stream of the given sizes. The cloud names the size it saw (1, 2, ...), the trunk class 9.
struct small_case {
    sim::fleet_world world{};
    sim::exit_answers answers{};
    explicit small_case(std::vector<std::int64_t> sizes, radio::ble_setting radio = {.interval = 10ms, .packets = 4}) {
        world.network = {.name = "small", .stages = {{.name = "a", .macs = 1, .stream = sizes}, {.name = "b", .macs = 1}}};
        world.times = {.stage = {20ms, 20ms}, .exit = {0ms, 0ms}};
        world.radio = radio;
        world.active = {0.01};
        world.draws = *radio::find_ble_radio("nrf52840_0dbm");
        const std::uint64_t levels = sizes.size();
        logits_file f{.labels = {9}};
        std::vector<float> trunk, cloud;
        name_class(trunk, 9);
        for (std::uint64_t before = 0; before <= levels; ++before)
            for (std::uint64_t here = 1; here <= levels; ++here) name_class(cloud, static_cast<int>(here));
        f.tensors = {{"g.trunk", {{1, 10}, trunk}}, {"g.cloud", {{1, 1, levels + 1, levels, 10}, cloud}}};
        answers = f.read();
    }
};
/// The first connection event not before `t`, of those that start at 0.
inline instant event_after(instant t, duration interval) { return instant{(t.time_since_epoch() + interval - 1ns) / interval * interval}; }

} // namespace splitdsl::testing
