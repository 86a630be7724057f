// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file packet_options.hpp
/// A LoRa, 802.11ah or steady link as one line of text, for options and reports.
#pragma once

#include <splitdsl/radio/packet_air.hpp>
#include <splitdsl/radio/terms.hpp>

#include <cstdio>
#include <string>
#include <string_view>

namespace splitdsl::radio {

namespace parts {
/// The keys that every one of these links has. False: `t` is none of them.
inline bool reads_packets(const term& t, packet_radio& r, double& loss) {
    if (t.key == "bytes") t.read(r.octets);
    else if (t.key == "loss") t.read(loss);
    else if (t.key == "delivery") t.read(r.delivery, {ble_delivery::unreliable, ble_delivery::resending});
    else if (t.key == "tries") t.read(r.most_tries);
    else return false;
    return true;
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
    read_terms("lora", "sf, bandwidth, coding, duty_cycle, bytes, loss, delivery, tries, receive_delay, preamble", text, [&](const term& t) {
        if (t.key == "sf") t.read(r.lora.spreading_factor);
        else if (t.key == "bandwidth") {
            double khz = 0;
            t.read(khz);
            r.lora.bandwidth_hz = 1e3 * khz;
        } else if (t.key == "coding") {
            const bool fits = t.value.size() == 3 && t.value.substr(0, 2) == "4/" && t.value[2] >= '5' && t.value[2] <= '8';
            if (!fits) t.refuse("4/5, 4/6, 4/7 or 4/8 as coding");
            r.lora.parity = t.value[2] - '4';
        } else if (t.key == "duty_cycle") t.read(r.lora.duty_cycle);
        else if (t.key == "receive_delay") t.read(r.receive_delay);
        else if (t.key == "preamble") t.read(r.lora.preamble_symbols);
        else return parts::reads_packets(t, r, r.lora.loss);
        return true;
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
    read_terms("halow", "bandwidth, mcs, guard, wake, wake_for, bytes, loss, delivery, tries", text, [&](const term& t) {
        if (t.key == "bandwidth") t.read(r.halow.bandwidth_mhz);
        else if (t.key == "mcs") t.read(r.halow.mcs);
        else if (t.key == "guard") {
            if (t.value != "short" && t.value != "long") t.refuse("guard to be one of long, short");
            r.halow.short_guard = t.value == "short";
        } else if (t.key == "wake") t.read(r.halow.wake_interval);
        else if (t.key == "wake_for") t.read(r.halow.wake_for);
        else return parts::reads_packets(t, r, r.halow.loss);
        return true;
    });
    require_valid(r);
    return r;
}

/// Keys: rate (kbit/s), delay (ms, one way), bytes (of a packet, at most 65535), loss (0 to 1), delivery (unreliable, resending; packets are sent
/// again unless it says otherwise), tries. Refused as by `parse_lora`.
///
/// ```cpp
/// const auto r = radio::parse_steady("rate=20000,delay=23.88");
/// ```
inline packet_radio parse_steady(std::string_view text) {
    packet_radio r{.kind = packet_kind::steady, .octets = 1500, .delivery = ble_delivery::resending, .draws = uncounted_radio};
    read_terms("steady", "rate, delay, bytes, loss, delivery, tries", text, [&](const term& t) {
        if (t.key == "rate") {
            double kbps = 0;
            t.read(kbps);
            r.steady.rate = kilobits_per_second(kbps);
        } else if (t.key == "delay") t.read(r.steady.delay);
        else return parts::reads_packets(t, r, r.steady.loss);
        return true;
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
    if (r.kind == packet_kind::steady)
        return "rate=" + short_number(to_kilobits_per_second(r.steady.rate)) + ",delay=" + short_number(to_milliseconds(r.steady.delay)) + tail;
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
    if (r.kind == packet_kind::steady) return "both ways at once";
    if (r.kind == packet_kind::lora)
        return "duty cycle " + short_number(100 * r.lora.duty_cycle) + " %"
               + (r.receive_delay.count() > 0 ? ", answers only " + short_number(to_milliseconds(r.receive_delay)) + " ms behind a packet"
                                              : ", always listening");
    return r.halow.wake_interval.count() > 0 ? "wakes every " + short_number(to_milliseconds(r.halow.wake_interval)) + " ms"
                                             : "always awake";
}

} // namespace splitdsl::radio
