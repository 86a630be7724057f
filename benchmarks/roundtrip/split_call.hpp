// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file split_call.hpp
/// Our edge and cloud over loopback TCP around a network that computes nothing, as a contestant of bench_roundtrip.
#pragma once

#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/edge_core.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

namespace roundtrip {

using namespace std::chrono_literals;

/// Head, cut, tail; none of them computes. The payload is copied out of and into the arena as a real network's is.
template <std::size_t PayloadBytes>
struct idle_network {
    static constexpr std::size_t output_floats = 3;
    static constexpr std::size_t input_bytes = 64;
    static inline constexpr splitdsl::cut_info cuts[]{{"uplink", PayloadBytes, 0}};
    static inline constexpr splitdsl::tensor_info inputs[]{{"camera", 1, 1, static_cast<int>(input_bytes), input_bytes}};
    static inline constexpr splitdsl::tensor_info outputs[]{{"control", static_cast<int>(output_floats), 1, 1, output_floats * sizeof(float)}};
    static inline constexpr std::uint64_t macs[]{1, 1};

    static bool run(const void*, const splitdsl::frame_memory& m, int, int last, const std::atomic<bool>*) {
        if (last == 2) std::memcpy(m.outputs, m.arena, output_floats * sizeof(float));
        return true;
    }
    static std::size_t store(const void*, const splitdsl::frame_memory& m, int, std::byte* to) {
        std::memcpy(to, m.arena, PayloadBytes);
        return PayloadBytes;
    }
    static bool load(const void*, const splitdsl::frame_memory& m, int, std::span<const std::byte> from) {
        if (from.size() != PayloadBytes) return false;
        std::memcpy(m.arena, from.data(), PayloadBytes);
        return true;
    }
    static splitdsl::pipeline code() {
        return {.network = "idle", .instruction_set = "any", .fingerprint = PayloadBytes, .arena_bytes = PayloadBytes, .packed_bytes = 0,
                .output_floats = output_floats, .stages = 2, .stage_macs = macs, .cuts = cuts, .inputs = inputs, .outputs = outputs,
                .functions = {.run = run, .store_payload = store, .load_payload = load}};
    }
};

/// Offloads every frame.
struct always_offload {
    splitdsl::action on(splitdsl::frame_start, const splitdsl::link_view&, const splitdsl::budget&) noexcept { return splitdsl::action::go_on(); }
    splitdsl::action on(splitdsl::stage_done s, const splitdsl::link_view& l, const splitdsl::budget&) noexcept {
        return s.stage == 0 && l.up ? splitdsl::action::offload_at(0) : splitdsl::action::go_on();
    }
    splitdsl::verdict on(splitdsl::reply_arrived, const splitdsl::link_view&, const splitdsl::budget&) noexcept { return splitdsl::verdict::accept; }
    splitdsl::action on(splitdsl::link_event, const splitdsl::link_view&, const splitdsl::budget&) noexcept { return splitdsl::action::nothing(); }
};

/// One edge with one connection to one cloud, both with default options but the deadline.
template <std::size_t PayloadBytes>
class split_call {
public:
    split_call() {
        for (const auto until = std::chrono::steady_clock::now() + 10s; !device.link_now().up; std::this_thread::sleep_for(1ms))
            if (std::chrono::steady_clock::now() > until) throw std::runtime_error("edge and cloud: " + device.link_failure());
    }
    /// Where one frame's time went between its payload being ready and its reply being accepted; `good` if the cloud answered.
    struct times { bool good{}; splitdsl::duration send{}, wait{}; };
    times operator()() {
        const splitdsl::answer a = device.infer(spans, values);
        return {a.source == splitdsl::answer_source::cloud, a.timings.send, a.timings.wait};
    }
    splitdsl::edge_counters counters() const { return device.counters(); }

private:
    using network = idle_network<PayloadBytes>;
    std::array<std::byte, network::input_bytes> input{};
    std::array<std::span<const std::byte>, 1> spans{input};
    std::array<float, network::output_floats> values{};
    splitdsl::cloud_core server{network::code(), {}, {}, std::make_unique<splitdsl::link::tcp_listener>()};
    // A deadline that no host stall reaches: what is measured is the round trip, not the fallback.
    splitdsl::edge_core<always_offload> device{network::code(), {}, always_offload{}, {.deadline = 2s, .reserve = 50ms, .calibration_runs = 0},
                                               std::make_unique<splitdsl::link::tcp>("127.0.0.1", server.port())};
};

} // namespace roundtrip
