// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file lora.hpp
/// LoRa as arithmetic: nominal rate, time on the air, what a duty cycle leaves of it, and what a packet costs.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/radio/sleeping_radio.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace splitdsl::radio {

/// A LoRa setting. Spreading factor 6 to 12; coding rate 4 / (4 + parity), parity 1 to 4.
struct lora_setting {
    int spreading_factor{7};
    double bandwidth_hz{125e3};
    int parity{1};
    double duty_cycle{1};          ///< share of time the regulator lets it send: 0.01 in most European sub-bands, 1 for none
    int preamble_symbols{8};       ///< before the 4.25 the modem adds
    bool explicit_header{true};    ///< spreading factor 6 has none, whatever this says
    bool crc{true};
    double loss{};                 ///< probability that a packet is lost
};
inline constexpr int lora_most_octets = 255;

/// Bits per second before preamble, header and duty cycle: SF * BW / 2^SF * CR. Zero outside the setting's ranges.
/// Source: the modulation's definition; BottleFit takes SF 6, 500 kHz, 4/5, which is 37.5 kbps.
constexpr bits_per_second nominal_rate(lora_setting s) {
    if (s.spreading_factor < 6 || s.spreading_factor > 12 || s.parity < 1 || s.parity > 4 || !(s.bandwidth_hz > 0)) return {};
    return {s.spreading_factor * s.bandwidth_hz / static_cast<double>(std::int64_t{1} << s.spreading_factor) * 4 / (4 + s.parity)};
}

/// Refused (option_error, naming what was expected and found): values outside the ranges; a bandwidth may be any from 1 kHz, where a packet takes a quarter of an hour, to 1 GHz.
inline void require_valid(const lora_setting& s) {
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("lora: expected " + expected + ", found " + found);
    };
    if (s.spreading_factor < 6 || s.spreading_factor > 12) refuse("a spreading factor from 6 to 12", std::to_string(s.spreading_factor));
    if (!(s.bandwidth_hz >= 1e3 && s.bandwidth_hz <= 1e9)) refuse("a bandwidth of 1e3 to 1e9 Hz", splitdsl::detail::number_text(s.bandwidth_hz));
    if (s.parity < 1 || s.parity > 4) refuse("a parity from 1 (coding rate 4/5) to 4 (4/8)", std::to_string(s.parity));
    if (!(s.duty_cycle > 0 && s.duty_cycle <= 1)) refuse("a duty cycle above 0, at most 1", splitdsl::detail::number_text(s.duty_cycle));
    if (s.preamble_symbols < 6 || s.preamble_symbols > 65'535) refuse("6 to 65535 preamble symbols", std::to_string(s.preamble_symbols));
    if (!(s.loss >= 0 && s.loss <= 1)) refuse("a loss from 0 to 1", splitdsl::detail::number_text(s.loss));
}

constexpr duration symbol_time(const lora_setting& s) {
    return from_seconds(static_cast<double>(std::int64_t{1} << s.spreading_factor) / s.bandwidth_hz);
}

/// Symbols of a packet of `octets` (0 to 255) after its preamble. Symbols longer than 16 ms take the low-data-rate form, which carries
/// two bits fewer each. Source: Semtech AN1200.13 and the SX1276 datasheet, section 4.1.1.7.
constexpr int payload_symbols(const lora_setting& s, int octets) {
    const bool header = s.explicit_header && s.spreading_factor > 6;
    const int slow = symbol_time(s) > std::chrono::milliseconds{16} ? 2 : 0;
    const int bits = 8 * octets - 4 * s.spreading_factor + 28 + (s.crc ? 16 : 0) - (header ? 0 : 20);
    const int per_block = 4 * (s.spreading_factor - slow);
    return 8 + (bits > 0 ? (bits + per_block - 1) / per_block * (s.parity + 4) : 0);
}

/// Time on the air of one packet of 0 to 255 octets; SF 7, 125 kHz, 4/5, 23 octets: 61.7 ms. The setting must be valid.
constexpr duration airtime(const lora_setting& s, int octets) {
    const double symbols = s.preamble_symbols + 4.25 + payload_symbols(s, octets);
    return from_seconds(symbols * static_cast<double>(std::int64_t{1} << s.spreading_factor) / s.bandwidth_hz);
}

/// The preamble with the 4.25 symbols the modem adds: how long a receiver listens before it knows that nothing comes.
constexpr duration preamble_time(const lora_setting& s) { return from_seconds((s.preamble_symbols + 4.25) * to_seconds(symbol_time(s))); }

/// From the end of a packet until the duty cycle lets the next one start.
constexpr duration silence_after(const lora_setting& s, int octets) {
    return from_seconds(to_seconds(airtime(s, octets)) * (1 / s.duty_cycle - 1));
}

/// Packets for so many bytes.
constexpr std::int64_t lora_packets(std::int64_t size, int octets = lora_most_octets) { return size <= 0 || octets <= 0 ? 0 : (size + octets - 1) / octets; }

/// From the start of the first packet to the end of the last, silences between them included.
constexpr duration transfer_time(const lora_setting& s, std::int64_t size, int octets = lora_most_octets) {
    const std::int64_t packets = lora_packets(size, octets);
    if (packets == 0) return {};
    const int last = static_cast<int>(size - (packets - 1) * octets);
    const double each = to_seconds(airtime(s, octets) + silence_after(s, octets));
    return from_seconds(each * static_cast<double>(packets - 1) + to_seconds(airtime(s, last)));
}

/// What a sender of full packets gets through in the long run.
constexpr bits_per_second sustained_rate(const lora_setting& s, int octets = lora_most_octets) {
    return {8.0 * octets / to_seconds(airtime(s, octets)) * s.duty_cycle};
}

/// Currents of one vendor's transceiver at 3.3 V; the microcontroller beside it is not in them. Asleep: the 200 nA that the first page of its
/// datasheet prints. Sending and receiving: assumptions of this project (that page has 9.9 mA for receiving). Check them against the datasheet's
/// table of power consumption before a number rests on them.
inline constexpr sleeping_radio known_lora_radios[] = {
    {"sx1276_7dbm", 3.3, 20, 10.8, 0.0002, provenance::modelled,
     "SX1276: 20 mA sending at +7 dBm and 10.8 mA receiving are assumptions to be checked against the datasheet; 0.2 uA asleep is its first page"},
    {"sx1276_13dbm", 3.3, 29, 10.8, 0.0002, provenance::modelled,
     "SX1276: 29 mA sending at +13 dBm and 10.8 mA receiving are assumptions to be checked against the datasheet; 0.2 uA asleep is its first page"},
    {"sx1276_20dbm", 3.3, 120, 10.8, 0.0002, provenance::modelled,
     "SX1276: 120 mA sending at +20 dBm and 10.8 mA receiving are assumptions to be checked against the datasheet; 0.2 uA asleep is its first page"},
};
constexpr const sleeping_radio* find_lora_radio(std::string_view name) {
    for (const sleeping_radio& r : known_lora_radios)
        if (r.name == name) return &r;
    return nullptr;
}

} // namespace splitdsl::radio
