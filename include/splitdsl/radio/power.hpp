// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file power.hpp
/// What a radio draws while it sends and receives, as a value every energy formula takes.
#pragma once

#include <splitdsl/units.hpp>

namespace splitdsl {

/// What a radio draws: P = alpha * rate + beta (SAGE section 4.1, after Huang et al., MobiSys 2012, table 4).
///
/// alpha in milliwatts per megabit per second, beta in milliwatts. Named values: radio/cellular.hpp.
struct radio_power {
    double uplink_mw_per_mbps{};
    double downlink_mw_per_mbps{};
    double base_mw{};
    constexpr watts transmitting(bits_per_second r) const { return {(uplink_mw_per_mbps * to_megabits_per_second(r) + base_mw) * 1e-3}; }
    constexpr watts receiving(bits_per_second r) const { return {(downlink_mw_per_mbps * to_megabits_per_second(r) + base_mw) * 1e-3}; }
};

} // namespace splitdsl
