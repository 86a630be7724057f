// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file lora.hpp
/// The nominal rate of a LoRa link.
#pragma once

#include <splitdsl/units.hpp>

#include <cstdint>

namespace splitdsl::radio {

/// A LoRa setting. Spreading factor 6 to 12; coding rate 4 / (4 + parity), parity 1 to 4.
struct lora_setting {
    int spreading_factor{7};
    double bandwidth_hz{125e3};
    int parity{1};
};

/// Bits per second before preamble, header and duty cycle: SF * BW / 2^SF * CR. Zero outside the setting's ranges.
/// Source: the modulation's definition; BottleFit takes SF 6, 500 kHz, 4/5, which is 37.5 kbps.
constexpr bits_per_second nominal_rate(lora_setting s) {
    if (s.spreading_factor < 6 || s.spreading_factor > 12 || s.parity < 1 || s.parity > 4 || !(s.bandwidth_hz > 0)) return {};
    return {s.spreading_factor * s.bandwidth_hz / static_cast<double>(std::int64_t{1} << s.spreading_factor) * 4 / (4 + s.parity)};
}

} // namespace splitdsl::radio
