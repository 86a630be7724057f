// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file steady.hpp
/// A link of one rate and one delay, such as Wi-Fi to an access point and the internet behind it, as arithmetic.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/radio/sleeping_radio.hpp>
#include <splitdsl/units.hpp>

#include <chrono>
#include <string>

namespace splitdsl::radio {

/// Both ways at once, each with this rate and this delay. Nothing sleeps and nothing is slotted.
struct steady_setting {
    bits_per_second rate{100e6};
    duration delay{};             ///< one way: from a packet's last bit sent to its last bit there
    double loss{};                ///< probability that a packet is lost
};

namespace steady {
inline constexpr int most_octets = 65'535;
inline constexpr bits_per_second least_rate{1e3}, most_rate{1e12};
inline constexpr duration most_delay{std::chrono::hours{1}};
} // namespace steady

/// Refused (option_error, naming what was expected and found): a rate outside 1 kbit/s to 1 Tbit/s, a delay below 0 or above an hour.
inline void require_valid(const steady_setting& s) {
    const auto refuse = [](const std::string& expected, const std::string& found) { throw option_error("steady: expected " + expected + ", found " + found); };
    if (!(s.rate.value >= steady::least_rate.value && s.rate.value <= steady::most_rate.value))
        refuse("a rate of 1 to 1e9 kbit/s", splitdsl::detail::number_text(to_kilobits_per_second(s.rate)));
    if (s.delay < duration{} || s.delay > steady::most_delay) refuse("a delay of 0 to 3.6e6 ms", splitdsl::detail::number_text(to_milliseconds(s.delay)));
    if (!(s.loss >= 0 && s.loss <= 1)) refuse("a loss from 0 to 1", splitdsl::detail::number_text(s.loss));
}

/// How long the sender is busy with a packet of so many bytes. The setting must be valid.
constexpr duration sending_time(const steady_setting& s, int octets) { return from_seconds(8.0 * octets / s.rate.value); }

/// What the link itself draws is not counted: the studies that name such a link print no power of it.
inline constexpr sleeping_radio uncounted_radio{"uncounted", 0, 0, 0, 0, provenance::modelled, "no figure: a steady link's energy is not counted"};

} // namespace splitdsl::radio
