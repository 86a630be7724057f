// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file packet_options.hpp
/// A LoRa or 802.11ah link as one line of text, for options and reports.
#pragma once

#include <splitdsl/radio/packet_air.hpp>

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

namespace splitdsl::radio {

namespace parts {
/// key=value, separated by commas, each key once; `take(key, number, word)` says whether it knows the key and the value fits.
template <class Take>
void read_terms(const char* radio, const char* keys, std::string_view text, Take take) {
    std::string named = ",";
    const auto quoted = [](std::string_view what) { return "\"" + std::string{what.substr(0, 40)} + "\""; };
    for (bool more = true; more;) {
        const auto comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        more = comma != std::string_view::npos;
        text.remove_prefix(more ? comma + 1 : text.size());
        const auto equals = part.find('=');
        if (equals == std::string_view::npos) throw option_error(std::string{radio} + ": expected key=value, found " + quoted(part));
        const std::string_view key = part.substr(0, equals), value = part.substr(equals + 1);
        if (named.find("," + std::string{key} + ",") != std::string::npos)
            throw option_error(std::string{radio} + ": expected each key once, found " + quoted(key) + " again");
        named += std::string{key} + ",";
        double number = 0;
        const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
        const bool is_number = code == std::errc{} && end == value.data() + value.size();
        switch (take(key, is_number ? &number : nullptr, value)) {
        case 0: break;
        case 1: throw option_error(std::string{radio} + ": expected another value of " + std::string{key} + ", found " + quoted(value));
        default: throw option_error(std::string{radio} + ": expected one of the keys " + keys + ", found " + quoted(key));
        }
    }
}
inline int read_whole(const double* v, int& into) {
    if (v == nullptr || *v != static_cast<double>(static_cast<int>(std::clamp(*v, -1e9, 1e9)))) return 1;
    into = static_cast<int>(*v);
    return 0;
}
inline int read_number(const double* v, double& into) {
    if (v == nullptr) return 1;
    into = *v;
    return 0;
}
inline int read_milliseconds(const double* v, duration& into) {
    if (v == nullptr || !(*v >= 0 && *v <= 1e9)) return 1;
    into = from_milliseconds(*v);
    return 0;
}
inline int read_delivery(std::string_view word, ble_delivery& into) {
    if (word == "unreliable")
        into = ble_delivery::unreliable;
    else if (word == "resending")
        into = ble_delivery::resending;
    else
        return 1;
    return 0;
}
inline std::string short_number(double v) {
    char text[32]{};
    std::snprintf(text, sizeof text, "%.6g", v);
    return text;
}
} // namespace parts

/// Keys: sf (6 to 12), bandwidth (kHz), coding (4/5 to 4/8), duty_cycle (above 0 to 1), bytes (of a packet, at most 255), loss (0 to 1),
/// delivery (unreliable, resending), tries, receive_delay (ms; 0: listens always), preamble (symbols). What is not named stays as in
/// `packet_radio{}`.
///
/// Refused (option_error): unknown keys, a key named twice, values that are not of the key, and what `require_valid` refuses.
///
/// ```cpp
/// const auto r = radio::parse_lora("sf=7,bandwidth=125,coding=4/5,duty_cycle=0.01,bytes=222,loss=0.1");
/// ```
inline packet_radio parse_lora(std::string_view text) {
    packet_radio r;
    using namespace parts;
    read_terms("lora", "sf, bandwidth, coding, duty_cycle, bytes, loss, delivery, tries, receive_delay, preamble", text,
               [&](std::string_view key, const double* number, std::string_view word) {
                   if (key == "sf") return read_whole(number, r.lora.spreading_factor);
                   if (key == "bandwidth") {
                       const int bad = read_number(number, r.lora.bandwidth_hz);
                       r.lora.bandwidth_hz *= 1e3;
                       return bad;
                   }
                   if (key == "coding") {
                       r.lora.parity = word.size() == 3 && word.substr(0, 2) == "4/" ? word[2] - '4' : 0;
                       return r.lora.parity >= 1 && r.lora.parity <= 4 ? 0 : 1;
                   }
                   if (key == "duty_cycle") return read_number(number, r.lora.duty_cycle);
                   if (key == "bytes") return read_whole(number, r.octets);
                   if (key == "loss") return read_number(number, r.lora.loss);
                   if (key == "delivery") return read_delivery(word, r.delivery);
                   if (key == "tries") return read_whole(number, r.most_tries);
                   if (key == "receive_delay") return read_milliseconds(number, r.receive_delay);
                   if (key == "preamble") return read_whole(number, r.lora.preamble_symbols);
                   return 2;
               });
    require_valid(r);
    return r;
}

/// Keys: bandwidth (MHz), mcs, guard (long, short), wake (ms between wakes; 0: always awake), wake_for (ms of each wake), bytes (of a
/// frame, at most 1500), loss (0 to 1), delivery (unreliable, resending; frames are sent again unless it says otherwise), tries. Refused as
/// by `parse_lora`.
///
/// ```cpp
/// const auto r = radio::parse_halow("bandwidth=1,mcs=0,wake=20,wake_for=1,loss=0.1");
/// ```
inline packet_radio parse_halow(std::string_view text) {
    packet_radio r{
        .kind = packet_kind::halow, .octets = halow::most_octets, .delivery = ble_delivery::resending, .draws = assumed_halow_radio};
    using namespace parts;
    read_terms("halow", "bandwidth, mcs, guard, wake, wake_for, bytes, loss, delivery, tries", text,
               [&](std::string_view key, const double* number, std::string_view word) {
                   if (key == "bandwidth") return read_whole(number, r.halow.bandwidth_mhz);
                   if (key == "mcs") return read_whole(number, r.halow.mcs);
                   if (key == "guard") {
                       r.halow.short_guard = word == "short";
                       return word == "short" || word == "long" ? 0 : 1;
                   }
                   if (key == "wake") return read_milliseconds(number, r.halow.wake_interval);
                   if (key == "wake_for") return read_milliseconds(number, r.halow.wake_for);
                   if (key == "bytes") return read_whole(number, r.octets);
                   if (key == "loss") return read_number(number, r.halow.loss);
                   if (key == "delivery") return read_delivery(word, r.delivery);
                   if (key == "tries") return read_whole(number, r.most_tries);
                   return 2;
               });
    require_valid(r);
    return r;
}

/// As the parsers read it.
inline std::string to_text(const packet_radio& r) {
    using parts::short_number;
    std::string tail = ",bytes=" + std::to_string(r.octets) + ",loss=" + short_number(r.loss())
                       + ",delivery=" + (r.delivery == ble_delivery::unreliable ? "unreliable" : "resending");
    if (r.most_tries > 0) tail += ",tries=" + std::to_string(r.most_tries);
    if (r.kind == packet_kind::halow)
        return "bandwidth=" + std::to_string(r.halow.bandwidth_mhz) + ",mcs=" + std::to_string(r.halow.mcs)
               + ",guard=" + (r.halow.short_guard ? "short" : "long") + ",wake=" + short_number(to_milliseconds(r.halow.wake_interval))
               + ",wake_for=" + short_number(to_milliseconds(r.halow.wake_for)) + tail;
    return "sf=" + std::to_string(r.lora.spreading_factor) + ",bandwidth=" + short_number(r.lora.bandwidth_hz / 1e3) + ",coding=4/"
           + std::to_string(4 + r.lora.parity) + ",duty_cycle=" + short_number(r.lora.duty_cycle) + tail
           + ",receive_delay=" + short_number(to_milliseconds(r.receive_delay)) + ",preamble=" + std::to_string(r.lora.preamble_symbols);
}

/// What binds the air, as every table has to say: a duty cycle, or times of waking.
inline std::string airtime_rule(const packet_radio& r) {
    using parts::short_number;
    if (r.kind == packet_kind::lora)
        return "duty cycle " + short_number(100 * r.lora.duty_cycle) + " %"
               + (r.receive_delay.count() > 0 ? ", answers only " + short_number(to_milliseconds(r.receive_delay)) + " ms behind a packet"
                                              : ", always listening");
    return r.halow.wake_interval.count() > 0 ? "wakes every " + short_number(to_milliseconds(r.halow.wake_interval)) + " ms"
                                             : "always awake";
}

} // namespace splitdsl::radio
