// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file halow.hpp
/// 802.11ah (Wi-Fi HaLow) as arithmetic: rates, time on the air, and the wake times of a station that sleeps.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/radio/sleeping_radio.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstdint>
#include <string>

namespace splitdsl::radio {

/// One spatial stream, sub-1-GHz.
struct halow_setting {
    int bandwidth_mhz{1};         ///< 1, 2, 4, 8 or 16
    int mcs{0};                   ///< 0 to 9; 10 is MCS 0 sent twice, 1 MHz only; 2 MHz has no 9
    bool short_guard{};           ///< 4 instead of 8 microseconds
    /// Target wake time: the station sleeps between wakes, so a transfer waits for the next. 0: always awake.
    duration wake_interval{};
    double loss{};                ///< probability that a frame is lost; it is sent again at once
    duration wake_for{};          ///< how long it listens at least from a wake; only energy and what becomes ready meanwhile depend on it
};

namespace halow {
/// IEEE 802.11ah-2016: 802.11ac's numerology clocked ten times slower. Public descriptions confirm the symbols, carriers and MCS rules below and
/// the 160 microseconds; the slot and the lengths of the preambles are taken as remembered: check them against the standard before a number rests on them.
inline constexpr duration symbol_long{std::chrono::microseconds{40}}, symbol_short{std::chrono::microseconds{36}};
inline constexpr duration sifs{std::chrono::microseconds{160}}, slot{std::chrono::microseconds{52}};
inline constexpr duration difs = sifs + 2 * slot;
/// Short training, long training and signal fields: 4 + 4 + 6 symbols at 1 MHz, 2 + 2 + 2 above. An acknowledgement is a preamble alone
/// (a null data packet).
inline constexpr duration preamble_1mhz{std::chrono::microseconds{560}}, preamble_wider{std::chrono::microseconds{240}};
inline constexpr int service_and_tail_bits = 8 + 6;
/// Assumptions of this project: no contention, so the mean back-off is half of the least window of 15 slots; a MAC header of 26 bytes
/// with 4 of FCS and 8 of encryption.
inline constexpr duration mean_backoff = slot * 15 / 2;
inline constexpr int frame_overhead_octets = 38;
inline constexpr int most_octets = 1'500;
} // namespace halow

/// Data bits of one symbol: carriers x bits x coding rate; 0 for a combination that does not exist.
constexpr int bits_per_symbol(const halow_setting& s) {
    int carriers = 0;
    switch (s.bandwidth_mhz) {
    case 1: carriers = 24; break;
    case 2: carriers = 52; break;
    case 4: carriers = 108; break;
    case 8: carriers = 234; break;
    case 16: carriers = 468; break;
    default: return 0;
    }
    if (s.mcs == 10) return s.bandwidth_mhz == 1 ? carriers / 4 : 0;
    if (s.mcs < 0 || s.mcs > 9 || (s.mcs == 9 && s.bandwidth_mhz == 2)) return 0;
    constexpr int twelfths[]{6, 12, 18, 24, 36, 48, 54, 60, 72, 80};   // bits of a carrier times 12
    return carriers * twelfths[s.mcs] / 12;
}

/// Bits per second of the data part; 1 MHz MCS 10 to 0: 150 and 300 kbps. Zero for a combination that does not exist.
constexpr bits_per_second halow_rate(const halow_setting& s) {
    return {bits_per_symbol(s) / to_seconds(s.short_guard ? halow::symbol_short : halow::symbol_long)};
}

/// Refused (option_error, naming what was expected and found): combinations that do not exist, a loss outside [0, 1).
inline void require_valid(const halow_setting& s) {
    if (bits_per_symbol(s) == 0)
        throw option_error("halow: expected 1, 2, 4, 8 or 16 MHz with an MCS from 0 to 9 (10 at 1 MHz only, no 9 at 2 MHz), found "
                           + std::to_string(s.bandwidth_mhz) + " MHz with MCS " + std::to_string(s.mcs));
    if (s.wake_interval < duration{0}) throw option_error("halow: expected a wake interval of 0 or more, found " + std::to_string(s.wake_interval.count()) + " ns");
    if (s.wake_for < duration{0} || (s.wake_interval > duration{0} && s.wake_for > s.wake_interval))
        throw option_error("halow: expected wakes of 0 to the wake interval, found " + std::to_string(s.wake_for.count()) + " ns");
    if (!(s.loss >= 0 && s.loss < 1)) throw option_error("halow: expected a loss from 0 to below 1, found " + splitdsl::detail::number_text(s.loss));
}

constexpr duration halow_preamble(const halow_setting& s) { return s.bandwidth_mhz == 1 ? halow::preamble_1mhz : halow::preamble_wider; }

/// Time on the air of one frame that carries so many of the user's bytes. The setting must be valid.
constexpr duration frame_airtime(const halow_setting& s, int octets) {
    const std::int64_t bits = 8 * (std::int64_t{octets} + halow::frame_overhead_octets) + halow::service_and_tail_bits;
    const std::int64_t symbols = (bits + bits_per_symbol(s) - 1) / bits_per_symbol(s);
    return halow_preamble(s) + symbols * (s.short_guard ? halow::symbol_short : halow::symbol_long);
}
/// Access, frame, and acknowledgement.
constexpr duration exchange_airtime(const halow_setting& s, int octets) {
    return halow::difs + halow::mean_backoff + frame_airtime(s, octets) + halow::sifs + halow_preamble(s);
}
/// So many bytes in frames of at most 1,500, repeats of lost ones included on average.
constexpr duration transfer_time(const halow_setting& s, std::int64_t size) {
    if (size <= 0) return {};
    const std::int64_t whole = size / halow::most_octets;
    const int rest = static_cast<int>(size % halow::most_octets);
    const duration once = whole * exchange_airtime(s, halow::most_octets) + (rest > 0 ? exchange_airtime(s, rest) : duration{});
    return from_seconds(to_seconds(once) / (1 - s.loss));
}
/// When a transfer that is ready at `ready` may start: the next wake, counted from `first_wake`.
constexpr instant next_wake(const halow_setting& s, instant ready, instant first_wake = {}) {
    if (s.wake_interval.count() <= 0) return ready;
    if (ready <= first_wake) return first_wake;
    return first_wake + (ready - first_wake + s.wake_interval - duration{1}) / s.wake_interval * s.wake_interval;
}
/// What a sender of full frames gets through while it is awake.
constexpr bits_per_second sustained_rate(const halow_setting& s) {
    return {8.0 * halow::most_octets / to_seconds(exchange_airtime(s, halow::most_octets)) * (1 - s.loss)};
}

/// What a HaLow station draws. The figures are assumptions of this project, of the order of sub-1-GHz Wi-Fi modules at 0 dBm: FLEET
/// only names the radio, and no public sheet with typical currents was at hand. Replace them before a number rests on them.
inline constexpr sleeping_radio assumed_halow_radio{"halow_0dbm", 3.3, 40, 25, 0.01, provenance::modelled,
                                                    "assumption of this project: 40 mA sending at 0 dBm, 25 mA receiving, 10 uA asleep"};

} // namespace splitdsl::radio
