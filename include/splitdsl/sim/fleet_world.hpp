// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_world.hpp
/// What a simulation of exits over a duty-cycled radio is told, and what it says of each frame.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/radio/ble_energy.hpp>
#include <splitdsl/radio/packet_air.hpp>
#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/sim/exit_network.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace splitdsl::sim {

/// What the live runtime's link has beyond FLEET's arithmetic: the host hands packets over a little before an event, from then on they go
/// out whatever becomes of their stream; the radio sends again what it once sent; a frame that sent is ended by a message, which the cloud
/// acknowledges; and what is on its way when a frame is answered goes on while the next one begins.
struct live_wire {
    int stop_bytes{};     ///< up, when a frame that sent is over; 0: none
    int stop_ack_bytes{}; ///< down, the cloud's word for it
    duration ahead{};     ///< of an event the host hands its packets over
    duration closes{};    ///< what is made later than so long before an event waits for the next one
    double arriving{1};   ///< share of packets that had arrived lately when the first frame began
};

/// Everything outside the policy's own decisions.
struct fleet_world {
    exit_network network{};
    stage_times times{};
    bool local_exits{true}; ///< the device computes the network's exits
    radio::ble_setting radio{};
    std::optional<radio::packet_radio> other_radio{}; ///< LoRa, 802.11ah or a steady link; `radio` and `draws` then do not count
    int packet_overhead{};                            ///< of the user's bytes in each packet, for headers of the streams; FLEET counts none
    duration cloud{std::chrono::milliseconds{5}};     ///< of every answer, once its bytes are in the gateway
    double cloud_macs_per_second{};                   ///< 0: `cloud` is all; else each answer takes its MACs at this speed besides
    int reply_bytes{16};
    std::optional<live_wire> wire{};            ///< for comparisons with live frames, BLE alone; empty: FLEET's arithmetic
    float reply_from{};                         ///< the cloud keeps answers for a stream to itself that are less sure
    duration deadline{std::chrono::seconds{4}}; ///< of every frame
    duration gap{}; ///< from an answer to the next frame, and up to one interval more, drawn: frames know nothing of the radio's phase
    bool stops_within_stage{true}; ///< false: a stage that runs when the answer comes is computed to its end, and paid for
    watts active{};                ///< of the device while it computes
    watts idle{};                  ///< while it waits for an answer
    radio::ble_radio draws{};

    /// The user's bytes in a packet.
    int packet_room() const { return (other_radio ? other_radio->octets : radio::payload_octets(radio)) - packet_overhead; }
    /// Packets that go out together.
    int packets_at_once() const { return other_radio ? 1 : radio::packets_per_event(radio); }
    double loss() const { return other_radio ? other_radio->loss() : radio.loss; }
    void set_loss(double p) { other_radio ? other_radio->set_loss(p) : void(radio.loss = p); }
    void set_delivery(radio::ble_delivery d) { (other_radio ? other_radio->delivery : radio.delivery) = d; }
    radio::ble_delivery delivery() const { return other_radio ? other_radio->delivery : radio.delivery; }
    /// What a sender gets through if nothing is lost.
    bits_per_second nominal_rate() const {
        if (other_radio) {
            auto lossless = *other_radio;
            lossless.set_loss(0);
            return radio::sustained_rate(lossless);
        }
        auto lossless = radio;
        lossless.loss = 0;
        return radio::sustained_rate(lossless);
    }
    duration round_trip() const { return other_radio ? radio::round_trip(*other_radio) : radio.interval * 3 / 2; }
    /// Of which a frame's start knows nothing: the time between two moments at which the radio may send.
    duration phases() const {
        return !other_radio                                     ? radio.interval
               : other_radio->kind == radio::packet_kind::halow ? other_radio->halow.wake_interval
                                                                : duration{};
    }
    /// The cloud's time for an answer of so many MACs.
    duration cloud_time(double macs) const {
        return cloud_macs_per_second > 0 ? cloud + from_seconds(macs / cloud_macs_per_second) : cloud;
    }
};

/// Refused (option_error): what `require_valid` refuses of network and radio, times that do not fit the network, packets without room, a
/// cloud with a speed and streams without MACs, a deadline that the device alone cannot keep.
inline void require_valid(const fleet_world& w) {
    require_valid(w.network);
    w.other_radio ? radio::require_valid(*w.other_radio) : radio::require_valid(w.radio);
    const int payload = w.packet_room() + w.packet_overhead;
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("simulation: expected " + expected + ", found " + found);
    };
    if (w.times.stage.size() != w.network.stages.size() || w.times.exit.size() != w.network.stages.size())
        refuse("times of " + std::to_string(w.network.stages.size()) + " stages", std::to_string(w.times.stage.size()));
    if (w.packet_overhead < 0 || w.packet_overhead >= payload)
        refuse("a packet's overhead of 0 to " + std::to_string(payload - 1) + " bytes", std::to_string(w.packet_overhead));
    if (w.reply_bytes < 1 || w.reply_bytes > payload)
        refuse("an answer of 1 to " + std::to_string(payload) + " bytes", std::to_string(w.reply_bytes));
    if (w.wire) {
        if (w.other_radio) refuse("connection events beside a live runtime's link", "another radio");
        for (const int size : {w.wire->stop_bytes, w.wire->stop_ack_bytes})
            if (size < 0 || size > payload) refuse("a message of 0 to " + std::to_string(payload) + " bytes", std::to_string(size));
        if (w.wire->closes.count() < 0 || w.wire->closes > w.wire->ahead)
            refuse("books that close behind the host's packets, and before the event", "others");
        if (!(w.wire->arriving >= 0 && w.wire->arriving <= 1)) refuse("a share from 0 to 1", splitdsl::detail::number_text(w.wire->arriving));
    }
    if (!(w.cloud_macs_per_second >= 0)) refuse("a cloud's speed of at least 0", splitdsl::detail::number_text(w.cloud_macs_per_second));
    if (w.cloud_macs_per_second > 0)
        for (const exit_stage& s : w.network.stages)
            if (!s.stream.empty() && !(s.cloud_macs > 0))
                refuse("the cloud's MACs of every stream, for its speed is known", "none for the one behind " + s.name);
    if (w.cloud.count() < 0 || w.gap.count() < 0) refuse("times of at least 0", "less");
    // In floating point: the times of a device without any speed to speak of add up to more than a duration holds.
    double whole = 0;
    for (std::size_t k = 0; k < w.times.stage.size(); ++k) {
        if (w.times.stage[k].count() < 0 || w.times.exit[k].count() < 0) refuse("times of at least 0", "less");
        whole += to_milliseconds(w.times.stage[k]) + (w.local_exits ? to_milliseconds(w.times.exit[k]) : 0);
    }
    if (to_milliseconds(w.deadline) < whole)
        refuse("a deadline of at least " + splitdsl::detail::number_text(whole) + " ms, which the device takes alone",
               splitdsl::detail::number_text(to_milliseconds(w.deadline)) + " ms");
}

/// One frame as it went.
struct fleet_frame {
    std::uint32_t frame{};
    std::size_t picture{};
    instant start{};
    answer_source source{
        answer_source::none}; ///< edge: the trunk; exit: one of the device's; cloud; fallback: the trunk after an offload in vain; none
    int exit{-1};             ///< of the device, or the stream or width that the cloud answered
    bool offloaded{};         ///< the answer is to an offload: `exit` is a width
    int size{};               ///< of the stream or width, 1 the smallest: what the cloud had when it answered; 0: the device did
    int stage{-1};            ///< the last one begun when the answer came
    double arriving{1};       ///< share of the packets up that had arrived lately when the frame began
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
