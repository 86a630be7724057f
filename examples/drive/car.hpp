// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file car.hpp
/// The closed loop of one drive: camera, answer, controls, and what each frame is charged.
#pragma once

#include "jpeg.hpp"
#include "network.hpp"
#include "record.hpp"
#include "world.hpp"

#include <splitdsl/link/trace.hpp>
#include <splitdsl/policy/frame_energy.hpp>
#include <splitdsl/runtime/answer.hpp>

#include <algorithm>
#include <array>
#include <vector>

namespace drive {

/// World, camera buffer and the network's inputs.
class car {
public:
    explicit car(std::uint64_t seed) : road(seed), picture(camera_bytes) { look(); }

    /// Takes the next picture.
    void look() {
        road.render(camera_frame{reinterpret_cast<std::uint8_t*>(picture.data()), camera_bytes});
        speed = speed_input(road.speed());
        command = static_cast<std::uint8_t>(road.command());
    }
    /// Applies an answer until the next frame.
    void act(std::span<const float> control) {
        road.step({control[0], control[1], control[2]});
        was_off = road.off_road();
        if (was_off) road.recover();
    }
    std::array<std::span<const std::byte>, 3> inputs() const {
        return {std::span<const std::byte>{picture}, std::as_bytes(std::span{&speed, 1}), std::as_bytes(std::span{&command, 1})};
    }
    const world& state() const { return road; }
    bool left_the_road() const { return was_off; }

private:
    world road;
    std::vector<std::byte> picture;
    float speed{};
    std::uint8_t command{};
    bool was_off{};
};

/// The link as the drive's accounting knows it.
struct air_view {
    const splitdsl::link::link_trace* up{};
    splitdsl::bits_per_second downlink{};
    splitdsl::duration airtime(splitdsl::duration since_start, std::size_t sent) const {
        const splitdsl::duration end = up->transfer_end(since_start, sent);
        return end == splitdsl::link::link_trace::never ? std::chrono::hours{1} : end - since_start;
    }
};

inline frame_source source_of(splitdsl::answer_source s) {
    switch (s) {
    case splitdsl::answer_source::cloud: return frame_source::cloud;
    case splitdsl::answer_source::edge: return frame_source::edge;
    case splitdsl::answer_source::fallback: return frame_source::fallback;
    default: return frame_source::held;
    }
}

/// What a frame costs, from its recorded times. The radio is charged for the time the trace needs for its bytes, at most the time
/// the frame was away; under both idle scopes.
inline energy_by_scope charge(const splitdsl::deployment& plan, const splitdsl::frame_timings& t, splitdsl::answer_source source, int cut, std::size_t bytes_up,
                              splitdsl::duration since_start, const air_view& link) {
    using namespace splitdsl;
    policy::frame_times f;
    f.cut = cut;
    f.head = t.head;
    f.tail = t.tail;
    if (cut >= -1) {
        f.sent = {static_cast<double>(bytes_up)};
        f.received = source == answer_source::cloud ? plan.reply : bytes{};
        const duration away = t.send + t.wait;
        const duration air = link.airtime(since_start, bytes_up);
        f.transmit = std::min(away, air);
        f.receive = std::min(away - f.transmit, f.received / link.downlink);
        f.wait = away - f.transmit - f.receive;
    }
    energy_by_scope e;
    for (const idle_scope scope : {idle_scope::wait, idle_scope::transmit_and_wait}) {
        const policy::frame_energy x = policy::energy_of_frame(plan, f, {.idle = scope});
        e[scope] = {x.compute.value, x.radio.value, x.idle.value};
    }
    return e;
}

} // namespace drive
