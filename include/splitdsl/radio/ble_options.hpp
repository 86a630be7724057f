// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_options.hpp
/// A BLE connection as one line of text, for options and reports.
#pragma once

#include <splitdsl/radio/ble.hpp>
#include <splitdsl/radio/terms.hpp>

#include <cstdio>

namespace splitdsl::radio {

/// The PHY of that name. Refused (option_error): any but 125k, 500k, 1M, 2M.
inline ble_phy parse_ble_phy(std::string_view text) {
    for (const ble_phy p : {ble_phy::coded_125k, ble_phy::coded_500k, ble_phy::le_1m, ble_phy::le_2m})
        if (text == to_text(p)) return p;
    throw option_error("ble: expected a PHY of 125k, 500k, 1M or 2M, found \"" + std::string{text.substr(0, 40)} + "\"");
}

/// key=value, separated by commas; what is not named stays as in `ble_setting{}`. Keys: phy (125k, 500k, 1M, 2M), interval (ms),
/// packets (data packets an event), bytes (payload of a packet), loss (0 to 1), delivery (unreliable, resending, reliable), latency
/// (events), cap (airtime, count_only), headers (bytes), tries, encrypted (0, 1), any_interval (0, 1).
///
/// Refused (option_error): unknown keys, a key named twice, values that are no numbers, and what `require_valid` refuses.
///
/// ```cpp
/// const auto s = splitdsl::radio::parse_ble("phy=1M,interval=15,packets=4,bytes=251,loss=0.1");
/// ```
inline ble_setting parse_ble(std::string_view text) {
    ble_setting s;
    read_terms("ble", "phy, interval, packets, bytes, loss, delivery, latency, cap, headers, tries, encrypted, any_interval", text, [&](const term& t) {
        if (t.key == "phy") s.phy = parse_ble_phy(t.value);
        else if (t.key == "interval") t.read(s.interval);
        else if (t.key == "packets") t.read(s.packets);
        else if (t.key == "bytes") t.read(s.octets);
        else if (t.key == "loss") t.read(s.loss);
        else if (t.key == "delivery") t.read(s.delivery, {ble_delivery::unreliable, ble_delivery::resending, ble_delivery::reliable});
        else if (t.key == "latency") t.read(s.peripheral_latency);
        else if (t.key == "cap") t.read(s.cap, {ble_cap::airtime, ble_cap::count_only});
        else if (t.key == "headers") t.read(s.header_octets);
        else if (t.key == "tries") t.read(s.most_tries);
        else if (t.key == "encrypted") t.read(s.encrypted);
        else if (t.key == "any_interval") t.read(s.any_interval);
        else return false;
        return true;
    });
    require_valid(s);
    return s;
}

/// The line `parse_ble` reads back, with what differs from the default and always with the cap: every table names its cap.
inline std::string to_text(const ble_setting& s) {
    const ble_setting plain;
    char buffer[96];
    std::snprintf(buffer, sizeof buffer, "phy=%s,interval=%.12g,packets=%d,bytes=%d", std::string{to_text(s.phy)}.c_str(), to_milliseconds(s.interval),
                  s.packets, s.octets);
    std::string text = buffer;
    const auto add = [&](const char* key, const std::string& value) { text += std::string{","} + key + "=" + value; };
    if (s.loss != plain.loss) {
        std::snprintf(buffer, sizeof buffer, "%.12g", s.loss);
        add("loss", buffer);
    }
    if (s.delivery != plain.delivery) add("delivery", std::string{to_text(s.delivery)});
    if (s.peripheral_latency != plain.peripheral_latency) add("latency", std::to_string(s.peripheral_latency));
    add("cap", std::string{to_text(s.cap)});
    if (s.header_octets != plain.header_octets) add("headers", std::to_string(s.header_octets));
    if (s.most_tries != plain.most_tries) add("tries", std::to_string(s.most_tries));
    if (s.encrypted) add("encrypted", "1");
    if (s.any_interval) add("any_interval", "1");
    return text;
}

} // namespace splitdsl::radio
