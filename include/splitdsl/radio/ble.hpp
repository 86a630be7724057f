// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble.hpp
/// Bluetooth Low Energy as arithmetic: how long a packet is on the air, how many fit a connection event, what a connection carries.
///
/// Everything here is modelled: the lengths of fields and spaces are those of the Bluetooth core specification (volume 6, part B), and
/// docs/radio.md prints the table they give. Which packet goes out when: ble_connection.hpp. What it costs: ble_energy.hpp.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/units.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace splitdsl::radio {

enum class ble_phy : std::uint8_t { coded_125k, coded_500k, le_1m, le_2m };
constexpr std::string_view to_text(ble_phy p) {
    constexpr std::string_view names[]{"125k", "500k", "1M", "2M"};
    return names[static_cast<int>(p)];
}

/// How many packets a connection event may carry.
enum class ble_cap : std::uint8_t {
    airtime,   ///< at most the setting's count, and no more than fit the interval: what a radio can do
    count_only ///< the count alone, though it may not fit: only to regenerate FLEET's tables, which count so
};
constexpr std::string_view to_text(ble_cap c) { return c == ble_cap::airtime ? "airtime" : "count_only"; }

/// What becomes of a lost packet. The sender always learns a packet's fate in the next connection event.
enum class ble_delivery : std::uint8_t {
    unreliable, ///< data in every event; a lost packet is gone
    resending,  ///< data in every event; a lost packet goes out again in a later one
    reliable    ///< FLEET section 1: data in one event, its acknowledgements in the next, so data in every second event; lost ones again
};
constexpr std::string_view to_text(ble_delivery d) {
    constexpr std::string_view names[]{"unreliable", "resending", "reliable"};
    return names[static_cast<int>(d)];
}

inline constexpr duration ble_interval_step{std::chrono::microseconds{1'250}};
inline constexpr duration ble_least_interval{std::chrono::microseconds{7'500}};
inline constexpr duration ble_most_interval{std::chrono::seconds{4}};
inline constexpr duration ble_frame_space{std::chrono::microseconds{150}};   ///< T_IFS, after every packet
inline constexpr int ble_least_octets = 27;                                  ///< before data length extension
inline constexpr int ble_most_octets = 251;

/// Time on the air of one packet with `octets` of payload, 0 for an empty one (an acknowledgement or a poll).
///
/// Uncoded: preamble (1 octet on 1M, 2 on 2M), 4 of access address, 2 of header, the payload, 3 of CRC, at 8 or 4 microseconds each.
/// Coded: 376 microseconds of preamble, address and coding indicator, then 2 or 8 microseconds a bit and 3 bits of termination.
/// `encrypted` adds the 4 octets of the integrity check, to packets with a payload. 251 octets on 1M: 2088 us, encrypted 2120.
constexpr duration pdu_airtime(ble_phy phy, int octets, bool encrypted = false) {
    const int payload = octets + (encrypted && octets > 0 ? 4 : 0);
    int us = 0;
    switch (phy) {
    case ble_phy::le_1m: us = (1 + 4 + 2 + payload + 3) * 8; break;
    case ble_phy::le_2m: us = (2 + 4 + 2 + payload + 3) * 4; break;
    case ble_phy::coded_500k: us = 376 + ((2 + payload + 3) * 8 + 3) * 2; break;
    case ble_phy::coded_125k: us = 376 + ((2 + payload + 3) * 8 + 3) * 8; break;
    }
    return std::chrono::microseconds{us};
}

/// A packet each way, each with the space after it: what a data packet and its acknowledgement take. 251 octets and an empty packet on
/// 1M: 2468 us.
constexpr duration exchange_airtime(ble_phy phy, int octets, int octets_back = 0, bool encrypted = false) {
    return pdu_airtime(phy, octets, encrypted) + ble_frame_space + pdu_airtime(phy, octets_back, encrypted) + ble_frame_space;
}

/// A connection as the central grants it.
struct ble_setting {
    ble_phy phy{ble_phy::le_1m};
    duration interval{std::chrono::milliseconds{30}}; ///< from one connection event to the next
    /// Data packets an event carries in one direction, at most. FLEET's "packets per CI" of 2 to 8 count their acknowledgements
    /// too: halve them (`payloads_of`).
    int packets{4};
    int octets{251};                                  ///< payload of a data packet, 27 to 251
    int header_octets{};                              ///< of these, lost to headers: 7 for L2CAP and ATT; FLEET counts none
    ble_delivery delivery{ble_delivery::unreliable};
    ble_cap cap{ble_cap::airtime};
    double loss{};                                    ///< probability that a data packet is lost, 0 to 1; acknowledgements are not lost
    int peripheral_latency{};                         ///< events the peripheral may sleep through when it has nothing to say (slave latency)
    int most_tries{};                                 ///< of a packet that is sent again; 0: until it arrives
    bool encrypted{};
    /// Losses are a function of the seed, the event, the direction and the place in the event, whoever else sends: two runs that meet the
    /// same events meet the same losses. False: drawn one packet after another.
    bool loss_by_place{};
    bool any_interval{};                              ///< allow intervals off the 1.25 ms grid: FLEET steps by 1.5 ms (25.5, 46.5, 64.5 ms)
};

/// FLEET's packets per connection interval, acknowledgements included, as data packets.
constexpr int payloads_of(int packets_and_acknowledgements) { return packets_and_acknowledgements / 2; }

/// Data packets of full length that fit one interval with their acknowledgements.
constexpr int exchanges_that_fit(const ble_setting& s) {
    return static_cast<int>(s.interval / exchange_airtime(s.phy, s.octets, 0, s.encrypted));
}
/// Data packets an event carries: the setting's count, under `ble_cap::airtime` no more than fit.
constexpr int packets_per_event(const ble_setting& s) {
    const int fit = exchanges_that_fit(s);
    return s.cap == ble_cap::count_only || s.packets < fit ? s.packets : fit;
}
/// Octets of a data packet that carry the user's bytes.
constexpr int payload_octets(const ble_setting& s) { return s.octets - s.header_octets; }

/// What a sender with always something to send gets through one direction, the other being silent. 4 packets of 251 every 10 ms:
/// 803.2 kbps, half of it with `reliable`; a loss of p takes p of it.
constexpr bits_per_second sustained_rate(const ble_setting& s) {
    const double per_event = 8.0 * payload_octets(s) * packets_per_event(s);
    return {per_event / to_seconds(s.interval) * (s.delivery == ble_delivery::reliable ? 0.5 : 1) * (1 - s.loss)};
}

/// The shortest interval of the 1.25 ms grid that is not shorter than `wanted`, inside 7.5 ms to 4 s.
constexpr duration interval_on_grid(duration wanted) {
    if (wanted <= ble_least_interval) return ble_least_interval;
    if (wanted >= ble_most_interval) return ble_most_interval;
    return (wanted + ble_interval_step - duration{1}) / ble_interval_step * ble_interval_step;
}

/// The two readings of FLEET's Eq. 1, the most data that a layer's features may take.
enum class ble_size_rule : std::uint8_t {
    printed,       ///< Eq. 1: packet size x floor(t / CI); it names no packets per interval
    worked_example ///< the text before it: packet size x packets x ceil(t / CI)
};
/// Most bytes of features to send while the next layer runs for `next_layer`. At 25 ms, CI 10 ms, 4 packets of 251: 502 as printed, 3012
/// as in the worked example. Source: FLEET section 3.2 and Eq. 1.
constexpr std::int64_t largest_feature(const ble_setting& s, duration next_layer, ble_size_rule rule) {
    if (next_layer.count() <= 0 || s.interval.count() <= 0) return 0;
    const std::int64_t whole = next_layer / s.interval;
    if (rule == ble_size_rule::printed) return payload_octets(s) * whole;
    return std::int64_t{payload_octets(s)} * packets_per_event(s) * (whole + (next_layer % s.interval != duration{0} ? 1 : 0));
}

/// Refused (option_error, naming what was expected and found): an interval outside 7.5 ms to 4 s or off the grid, a payload outside 27
/// to 251 octets, headers that leave nothing, counts out of range, a loss outside 0 to 1, a setting of which not one packet fits.
inline void require_valid(const ble_setting& s) {
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("ble: expected " + expected + ", found " + found);
    };
    const auto ms = [](duration d) { return splitdsl::detail::number_text(to_milliseconds(d)) + " ms"; };
    if (s.phy > ble_phy::le_2m) refuse("a PHY of 125k, 500k, 1M or 2M", std::to_string(static_cast<int>(s.phy)));
    if (s.interval < ble_least_interval || s.interval > ble_most_interval) refuse("an interval from 7.5 ms to 4 s", ms(s.interval));
    if (!s.any_interval && s.interval % ble_interval_step != duration{0})
        refuse("an interval in steps of 1.25 ms (the next is " + ms(interval_on_grid(s.interval)) + ")", ms(s.interval));
    if (s.packets < 1 || s.packets > 64) refuse("1 to 64 packets an event", std::to_string(s.packets));
    if (s.octets < ble_least_octets || s.octets > ble_most_octets) refuse("27 to 251 bytes a packet", std::to_string(s.octets));
    if (s.header_octets < 0 || s.header_octets >= s.octets)
        refuse("headers of 0 to " + std::to_string(s.octets - 1) + " bytes", std::to_string(s.header_octets));
    if (!(s.loss >= 0 && s.loss <= 1)) refuse("a loss from 0 to 1", splitdsl::detail::number_text(s.loss));
    if (s.peripheral_latency < 0 || s.peripheral_latency > 499) refuse("a latency of 0 to 499 events", std::to_string(s.peripheral_latency));
    if (s.most_tries < 0) refuse("0 tries (no limit) or more", std::to_string(s.most_tries));
    if (packets_per_event(s) < 1)
        refuse("an interval of at least " + ms(interval_on_grid(exchange_airtime(s.phy, s.octets, 0, s.encrypted))) + " for a packet of "
                   + std::to_string(s.octets) + " bytes on " + std::string{to_text(s.phy)},
               ms(s.interval));
}

} // namespace splitdsl::radio
