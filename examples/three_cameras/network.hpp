// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// The network with three cameras, run by the best code for this processor.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/zoo/imitation.hpp>

namespace three_cameras {

/// SAGE's CarlaNet with a perception for each of three 88 x 200 cameras. Inputs: left, centre, right, speed, command.
struct driver : splitdsl::zoo::imitation<splitdsl::zoo::three_cameras<splitdsl::zoo::sage_carla_perception<>>> {};
static_assert(splitdsl::check<driver>);

/// What crosses at the one cut: three encoded bottlenecks, then speed and command.
inline constexpr const splitdsl::graph::cut_group& uplink = splitdsl::cuts_of<driver>.groups[0];
static_assert(splitdsl::cuts_of<driver>.count == 1 && uplink.count == 5);
static_assert(splitdsl::payload_bytes<driver>("uplink") == 3 * (3 * 20 * 48 + 8) + 4 + 1);

} // namespace three_cameras

SPLITDSL_DISPATCHED(three_cameras::driver)
