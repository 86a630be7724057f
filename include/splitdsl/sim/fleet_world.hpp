// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_world.hpp
/// What a simulation of exits over a BLE connection is told, and what it says of each frame.
#pragma once

#include <splitdsl/radio/ble_energy.hpp>
#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/sim/exit_network.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace splitdsl::sim {

/// Everything outside the policy's own decisions.
struct fleet_world {
    exit_network network{};
    stage_times times{};
    bool local_exits{true}; ///< the device computes the network's exits
    radio::ble_setting radio{};
    int packet_overhead{};                        ///< of the user's bytes in each packet, for headers of the streams; FLEET counts none
    duration cloud{std::chrono::milliseconds{5}}; ///< one answer, once its bytes are in the gateway
    int reply_bytes{16};
    float reply_from{};                         ///< the cloud keeps answers for a stream to itself that are less sure
    duration deadline{std::chrono::seconds{4}}; ///< of every frame
    duration gap{}; ///< from an answer to the next frame, and up to one interval more, drawn: frames know nothing of the radio's phase
    bool stops_within_stage{true}; ///< false: a stage that runs when the answer comes is computed to its end, and paid for
    watts active{};                ///< of the device while it computes
    watts idle{};                  ///< while it waits for an answer
    radio::ble_radio draws{};
};

/// Refused (option_error): what `require_valid` refuses of network and radio, times that do not fit the network, packets without room, a
/// deadline that the device alone cannot keep.
inline void require_valid(const fleet_world& w) {
    require_valid(w.network);
    radio::require_valid(w.radio);
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("simulation: expected " + expected + ", found " + found);
    };
    if (w.times.stage.size() != w.network.stages.size() || w.times.exit.size() != w.network.stages.size())
        refuse("times of " + std::to_string(w.network.stages.size()) + " stages", std::to_string(w.times.stage.size()));
    if (w.packet_overhead < 0 || w.packet_overhead >= radio::payload_octets(w.radio))
        refuse("a packet's overhead of 0 to " + std::to_string(radio::payload_octets(w.radio) - 1) + " bytes",
               std::to_string(w.packet_overhead));
    if (w.reply_bytes < 1 || w.reply_bytes > radio::payload_octets(w.radio))
        refuse("an answer of 1 to " + std::to_string(radio::payload_octets(w.radio)) + " bytes", std::to_string(w.reply_bytes));
    if (w.cloud.count() < 0 || w.gap.count() < 0) refuse("times of at least 0", "less");
    duration whole = w.times.rest(0);
    if (w.local_exits)
        for (const duration t : w.times.exit) whole += t;
    if (w.deadline < whole)
        refuse("a deadline of at least " + std::to_string(to_milliseconds(whole)) + " ms, which the device takes alone",
               std::to_string(to_milliseconds(w.deadline)) + " ms");
}

/// One frame as it went.
struct fleet_frame {
    std::uint32_t frame{};
    std::size_t picture{};
    instant start{};
    answer_source source{
        answer_source::none}; ///< edge: the trunk; exit: one of the device's; cloud; fallback: the trunk after an offload in vain; none
    int exit{-1};             ///< of the device, or the stream or width that the cloud answered
    int label{-1};
    bool right{};
    duration latency{};
    duration computing{};    ///< on the device
    std::int64_t bytes_up{}; ///< on the air, again for each time a packet was sent
    joules compute_energy{}, idle_energy{}, radio_energy{};
    joules energy() const { return compute_energy + idle_energy + radio_energy; }
};

/// An answer that the device had of a frame before its trunk was done, whether it was taken or not.
struct heard_answer {
    bool on_device{}; ///< of an exit of the device; else the cloud's
    int exit{-1};     ///< of the device, or the stream that the cloud answered
    float confidence{};
    bool right{};
    duration after{}; ///< the frame's start
};

} // namespace splitdsl::sim
