// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sleeping_radio.hpp
/// What a radio draws that sends, receives or sleeps and has no phases between, as data.
#pragma once

#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/units.hpp>

#include <string_view>

namespace splitdsl::radio {

struct sleeping_radio {
    std::string_view name{};
    double volts{};
    double transmit_ma{}, receive_ma{}, sleep_ma{};
    provenance label{provenance::modelled};
    std::string_view source{};     ///< where the figures are from, or that they are assumed
    constexpr joules transmit_energy(duration t) const { return drawn(transmit_ma, t); }
    constexpr joules receive_energy(duration t) const { return drawn(receive_ma, t); }
    constexpr joules sleep_energy(duration t) const { return drawn(sleep_ma, t); }
    constexpr joules drawn(double milliamps, duration t) const { return watts{volts * milliamps * 1e-3} * t; }
};

} // namespace splitdsl::radio
