// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file world.hpp
/// What a simulation is told about everything outside the edge's own decisions: stage times, the cloud, the host.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/runtime/frame_rules.hpp>

#include <array>
#include <concepts>
#include <cstdint>

namespace splitdsl::sim {

/// What the cloud does with one request.
struct cloud_service {
    duration time{};    ///< queueing and computing
    bool answers{true}; ///< false: it takes the request and says nothing
    bool finite{true};
    bool size_ok{true};
    bool dies{};  ///< the connection is reset instead
    bool ghost{}; ///< besides, a reply of this sequence from an earlier connection turns up
};

/// An early exit computed by a stage: -1 if there is none.
struct exit_seen {
    int exit{-1};
    float confidence{};
};

/// Everything a frame meets. Called in the order of virtual time; all randomness comes from the world's own seed.
template <class W>
concept world = requires(W w, std::uint32_t frame, int k, instant t, link_view& seen) {
    { w.stage_time(frame, k) } -> std::same_as<duration>;     // on the edge
    { w.hand_over_time(frame, k) } -> std::same_as<duration>; // making cut k's payload and handing it to the link
    { w.oversleep(frame) } -> std::same_as<duration>;         // how late a timed wait ends
    { w.claim_delay(frame) } -> std::same_as<duration>;       // between deciding an answer and claiming the frame
    { w.exit_of(frame, k) } -> std::same_as<exit_seen>;
    { w.serve(frame, k, t) } -> std::same_as<cloud_service>;
    { w.cloud_down(t) } -> std::same_as<bool>; // nobody listens there
    {w.disturb(seen, t)};                      // what the estimates become if clocks jump
};

/// A world without surprises: fixed times, an idle cloud.
struct plain_world {
    std::array<duration, max_stages> edge_stage{};
    std::array<duration, max_cuts + 1> cloud_tail{}; ///< [cut + 1]: behind that cut; [0]: the whole network
    duration hand_over{};

    duration stage_time(std::uint32_t, int k) const { return edge_stage[static_cast<std::size_t>(k)]; }
    duration hand_over_time(std::uint32_t, int) const { return hand_over; }
    duration oversleep(std::uint32_t) const { return {}; }
    duration claim_delay(std::uint32_t) const { return {}; }
    exit_seen exit_of(std::uint32_t, int) const { return {}; }
    cloud_service serve(std::uint32_t, int cut, instant) const { return {.time = cloud_tail[static_cast<std::size_t>(cut + 1)]}; }
    bool cloud_down(instant) const { return false; }
    void disturb(link_view&, instant) const {}
};
static_assert(world<plain_world>);

} // namespace splitdsl::sim
