// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_options.hpp
/// A BLE connection as one line of text, for options and reports.
#pragma once

#include <splitdsl/radio/ble.hpp>

#include <charconv>
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
    unsigned named = 0;
    const auto quoted = [](std::string_view what) { return "\"" + std::string{what.substr(0, 40)} + "\""; };
    for (bool more = true; more;) {
        const auto comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        more = comma != std::string_view::npos;
        text.remove_prefix(more ? comma + 1 : text.size());
        const auto equals = part.find('=');
        const std::string_view key = part.substr(0, equals);
        if (equals == std::string_view::npos) throw option_error("ble: expected key=value, found " + quoted(part));
        const std::string_view value = part.substr(equals + 1);
        const auto number = [&](auto& into) {
            const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), into);
            if (code != std::errc{} || end != value.data() + value.size())
                throw option_error("ble: expected a number as " + std::string{key} + ", found " + quoted(value));
        };
        const auto choice = [&]<class T>(T& into, std::initializer_list<T> all) {
            std::string names;
            for (const T one : all) {
                if (value == to_text(one)) {
                    into = one;
                    return;
                }
                names += (names.empty() ? "" : ", ") + std::string{to_text(one)};
            }
            throw option_error("ble: expected " + std::string{key} + " to be one of " + names + ", found " + quoted(value));
        };
        const auto yes_or_no = [&](bool& into) {
            if (value != "0" && value != "1") throw option_error("ble: expected 0 or 1 as " + std::string{key} + ", found " + quoted(value));
            into = value == "1";
        };
        constexpr std::string_view keys[]{"phy", "interval", "packets", "bytes", "loss", "delivery", "latency", "cap",
                                          "headers", "tries",
                                          "encrypted", "any_interval"};
        unsigned which = 0;
        while (which < std::size(keys) && key != keys[which]) ++which;
        if (which == std::size(keys)) {
            std::string all;
            for (const auto k : keys) all += (all.empty() ? "" : ", ") + std::string{k};
            throw option_error("ble: expected one of " + all + ", found " + quoted(key));
        }
        if ((named >> which & 1) != 0) throw option_error("ble: expected each key once, found " + std::string{key} + " again");
        named |= 1u << which;
        switch (which) {
        case 0: s.phy = parse_ble_phy(value); break;
        case 1: {
            double ms = 0;
            number(ms);
            if (!std::isfinite(ms)) throw option_error("ble: expected a number as interval, found " + quoted(value));
            s.interval = from_milliseconds(ms);
            break;
        }
        case 2: number(s.packets); break;
        case 3: number(s.octets); break;
        case 4: number(s.loss); break;
        case 5: choice(s.delivery, {ble_delivery::unreliable, ble_delivery::resending, ble_delivery::reliable}); break;
        case 6: number(s.peripheral_latency); break;
        case 7: choice(s.cap, {ble_cap::airtime, ble_cap::count_only}); break;
        case 8: number(s.header_octets); break;
        case 9: number(s.most_tries); break;
        case 10: yes_or_no(s.encrypted); break;
        default: yes_or_no(s.any_interval); break;
        }
    }
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
