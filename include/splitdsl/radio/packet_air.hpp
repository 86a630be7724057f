// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file packet_air.hpp
/// LoRa, 802.11ah and steady links in virtual time: which queued packet goes out when, when it arrives, when that is known, and what it costs.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/radio/ble_connection.hpp>
#include <splitdsl/radio/halow.hpp>
#include <splitdsl/radio/lora.hpp>
#include <splitdsl/radio/packet_line.hpp>
#include <splitdsl/radio/steady.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl::radio {

enum class packet_kind : std::uint8_t { lora, halow, steady };
constexpr std::string_view to_text(packet_kind k) { return k == packet_kind::lora ? "lora" : k == packet_kind::halow ? "halow" : "steady"; }

/// A radio that sends one packet after another, without connection events.
struct packet_radio {
    packet_kind kind{packet_kind::lora};
    lora_setting lora{};
    halow_setting halow{};
    steady_setting steady{};
    int octets{lora_most_octets};                    ///< most of the user's bytes in one packet
    ble_delivery delivery{ble_delivery::unreliable}; ///< `reliable` is `resending`: every packet is acknowledged at once anyway
    int most_tries{};                                ///< of a packet that is sent again; 0: no limit
    /// LoRa: from a packet's end to the window in which the device listens (class A). 0: it listens whenever it does not send.
    duration receive_delay{std::chrono::seconds{1}};
    sleeping_radio draws{known_lora_radios[1]};

    double loss() const { return kind == packet_kind::lora ? lora.loss : kind == packet_kind::halow ? halow.loss : steady.loss; }
    void set_loss(double p) { (kind == packet_kind::lora ? lora.loss : kind == packet_kind::halow ? halow.loss : steady.loss) = p; }
    bool always_listens() const {
        return kind == packet_kind::lora ? receive_delay.count() == 0 : kind == packet_kind::halow ? halow.wake_interval.count() == 0 : true;
    }
};

/// Octets of an acknowledgement of its own, with LoRaWAN's header and check.
inline constexpr int lora_acknowledgement_octets = 12;

/// Refused (option_error, naming what was expected and found): what the radio's own `require_valid` refuses, packets larger than it has, a
/// loss outside 0 to 1, negative times.
inline void require_valid(const packet_radio& r) {
    const bool lora = r.kind == packet_kind::lora;
    const std::string name{to_text(r.kind)};
    const auto refuse = [&](const std::string& expected, const std::string& found) {
        throw option_error(name + ": expected " + expected + ", found " + found);
    };
    if (!(r.loss() >= 0 && r.loss() <= 1)) refuse("a loss from 0 to 1", splitdsl::detail::number_text(r.loss()));
    if (lora)
        require_valid(r.lora);
    else if (r.kind == packet_kind::steady)
        require_valid(r.steady);
    else {
        halow_setting s = r.halow;
        s.loss = 0; // a link that loses all is a case to simulate
        require_valid(s);
    }
    const int most = lora ? lora_most_octets : r.kind == packet_kind::halow ? halow::most_octets : steady::most_octets;
    if (r.octets < 1 || r.octets > most) refuse("1 to " + std::to_string(most) + " bytes a packet", std::to_string(r.octets));
    if (r.most_tries < 0) refuse("0 tries (no limit) or more", std::to_string(r.most_tries));
    if (r.receive_delay.count() < 0) refuse("a receive delay of at least 0 ms", splitdsl::detail::number_text(to_milliseconds(r.receive_delay)));
}

/// How long a packet takes the sender, from its start until the next one may start: LoRa's window and silence, 802.11ah's access and
/// acknowledgement. Being asleep is not in it.
inline duration packet_period(const packet_radio& r, int octets) {
    if (r.kind == packet_kind::steady) return sending_time(r.steady, octets);
    if (r.kind == packet_kind::halow) return exchange_airtime(r.halow, octets);
    const duration sent = airtime(r.lora, octets);
    return sent + std::max(silence_after(r.lora, octets), r.receive_delay + airtime(r.lora, lora_acknowledgement_octets));
}
/// What a sender of full packets gets through, losses counted.
inline bits_per_second sustained_rate(const packet_radio& r) {
    return {8.0 * r.octets / to_seconds(packet_period(r, r.octets)) * (1 - r.loss())};
}
/// From a packet's end until the sender has heard of it.
inline duration round_trip(const packet_radio& r) {
    if (r.kind == packet_kind::steady) return 2 * r.steady.delay;
    if (r.kind == packet_kind::halow) return r.halow.wake_interval / 2 + exchange_airtime(r.halow, 1);
    return r.receive_delay + airtime(r.lora, lora_acknowledgement_octets);
}

/// What the device's radio did.
struct packet_activity {
    std::int64_t packets{};
    duration transmitting{};
    duration receiving{}; ///< windows and waiting for a free channel included
    friend constexpr packet_activity operator-(packet_activity a, const packet_activity& b) {
        return {a.packets - b.packets, a.transmitting - b.transmitting, a.receiving - b.receiving};
    }
};
/// The energy of that within `elapsed`. What is left of it the radio listens (a radio that always does), wakes so often as its wake
/// interval says for `wake_for` each, or sleeps.
inline joules energy_of(const packet_activity& a, duration elapsed, const packet_radio& r) {
    const duration rest = std::max(elapsed - a.transmitting - a.receiving, duration{});
    duration listening{};
    if (r.always_listens())
        listening = rest;
    else if (r.kind == packet_kind::halow)
        listening = std::min(rest, from_seconds(to_seconds(elapsed) / to_seconds(r.halow.wake_interval) * to_seconds(r.halow.wake_for)));
    return r.draws.transmit_energy(a.transmitting) + r.draws.receive_energy(a.receiving + listening)
           + r.draws.sleep_energy(rest - listening);
}

/// Both ends of a link and the air between them, in the terms of `ble_connection`: up from the device, down to it, in the order queued.
///
/// LoRa: the device sends when its duty cycle lets it, listens in one window `receive_delay` after each packet, and hears there the
/// acknowledgement, on which an answer rides that is ready by then; a later answer waits for the window behind the next packet. With a
/// delay of 0 it listens always. 802.11ah: access, frame, acknowledgement, one after another; a station with a wake interval moves data
/// from a wake on until nothing is left.
///
/// Simplified: acknowledgements are never lost; nobody else sends; LoRaWAN's second window is left out; the gateway keeps no duty cycle
/// (its 10 % never bind with one device that keeps 10 % or less).
///
/// Deterministic: the same calls and seed give the same reports. O(1) a packet; allocates only while its queues grow. Refused
/// (option_error): what `require_valid` refuses.
///
/// ```cpp
/// radio::packet_air air{{.kind = radio::packet_kind::lora, .lora = {.duty_cycle = 0.01}}};
/// air.queue(ble_way::up, 1, 44, t);
/// air.run(t + 3s, [](const ble_report& r) { ... });
/// ```
class packet_air {
public:
    static constexpr std::size_t most_queued = 65'536;

    explicit packet_air(const packet_radio& chosen, std::uint64_t seed = 1) : s{chosen}, random{seed} { require_valid(s); }

    const packet_radio& setting() const { return s; }

    /// One packet of 1 to `octets` bytes that is there from `at` on. False if it does not fit a packet or the queue is full.
    bool queue(ble_way way, std::uint64_t tag, int size, instant at) {
        lane& l = lanes[index(way)];
        if (size < 1 || size > s.octets || l.count() == most_queued) return false;
        l.compact();
        l.packets.push_back({.tag = tag, .size = size, .ready = l.count() > 0 ? std::max(at, l.packets.back().ready) : at});
        return true;
    }
    std::size_t waiting(ble_way way) const { return lanes[index(way)].count(); }

    /// When the next packet goes out; `instant::max()` if none waits that could.
    instant next_with_data() const { return std::min(start_up(), start_down()); }

    /// The share of the packets up that arrived lately, each try of them.
    const arrival_share& arriving() const { return share; }
    /// Sends all that goes out up to `until` and reports each packet whose fate is decided, which may be known only later.
    template <class Report>
    void run(instant until, Report&& report) {
        for (;;) {
            const instant down = start_down(), up = start_up();
            if (std::min(down, up) > until) return;
            exchange(down <= up ? ble_way::down : ble_way::up, std::min(down, up), report);
        }
    }

    /// Drops what waits.
    template <class Report>
    void drop(ble_way way, Report&& report) {
        lane& l = lanes[index(way)];
        while (l.count() > 0) {
            const packet p = l.packets[l.head++];
            report(ble_report{.tag = p.tag,
                              .way = way,
                              .fate = ble_fate::dropped,
                              .size = p.size,
                              .tries = p.tries,
                              .event = -1,
                              .queued = p.ready,
                              .sent = p.sent,
                              .arrived = {},
                              .known = p.ready});
        }
    }

    const packet_activity& activity() const { return done; }

private:
    static constexpr instant never = instant::max();
    struct packet {
        std::uint64_t tag{};
        int size{};
        int tries{};
        instant ready{}, sent{};
    };
    using lane = detail::packet_line<packet>;
    static constexpr std::size_t index(ble_way w) { return w == ble_way::up ? 0 : 1; }
    bool has_windows() const { return s.kind == packet_kind::lora && s.receive_delay.count() > 0; }

    instant start_up() const {
        if (lanes[0].count() == 0) return never;
        return awake(std::max({lanes[0].packets[lanes[0].head].ready, free_from, allowed_from}));
    }
    instant start_down() const {
        if (lanes[1].count() == 0) return never;
        const instant ready = lanes[1].packets[lanes[1].head].ready;
        if (has_windows()) return ready <= window ? window : never;
        if (s.kind == packet_kind::steady) return std::max(ready, free_down);
        return awake(std::max(ready, free_from));
    }
    /// `t`, or the station's next wake.
    instant awake(instant t) const {
        if (s.kind != packet_kind::halow || s.halow.wake_interval.count() == 0 || t <= awake_until) return t;
        const instant next = next_wake(s.halow, t);
        return next > t && t <= next - s.halow.wake_interval + s.halow.wake_for ? t : next;
    }

    template <class Report>
    void exchange(ble_way way, instant start, Report& report) {
        lane& l = lanes[index(way)];
        packet& p = l.packets[l.head];
        ++p.tries;
        p.sent = start;
        const bool arrives = !random.chance(s.loss());
        if (way == ble_way::up) share.tell(arrives);
        const timing t = s.kind == packet_kind::lora    ? over_lora(way, start, p.size, arrives)
                         : s.kind == packet_kind::halow ? over_halow(way, start, p.size)
                                                        : over_steady(way, start, p.size);
        const bool again = !arrives && s.delivery != ble_delivery::unreliable && (s.most_tries == 0 || p.tries < s.most_tries);
        if (again) {
            p.ready = t.known;
            return;
        }
        const packet gone = p; // a copy: the caller may queue more while it is told
        ++l.head;
        report(ble_report{.tag = gone.tag,
                          .way = way,
                          .fate = arrives ? ble_fate::delivered : ble_fate::lost,
                          .size = gone.size,
                          .tries = gone.tries,
                          .event = done.packets,
                          .queued = gone.ready,
                          .sent = gone.sent,
                          .arrived = arrives ? t.arrived : instant{},
                          .known = t.known});
    }
    struct timing {
        instant arrived{}, known{};
    };
    timing over_lora(ble_way way, instant start, int size, bool arrives) {
        const duration on_air = airtime(s.lora, size), reply = airtime(s.lora, lora_acknowledgement_octets);
        const instant end = start + on_air;
        if (way == ble_way::up) {
            ++done.packets;
            done.transmitting += on_air;
            allowed_from = end + silence_after(s.lora, size);
            const duration heard = arrives ? reply : preamble_time(s.lora);
            if (s.receive_delay.count() > 0) done.receiving += heard;
            free_from = end + s.receive_delay + heard;
            window = arrives ? end + s.receive_delay : instant::min();
            return {end, free_from};
        }
        if (has_windows()) { // the acknowledgement rides on it
            done.receiving += std::max(on_air - reply, duration{});
            window = instant::min();
            free_from = std::max(free_from, end);
            return {end, end};
        }
        done.transmitting += reply; // the device's acknowledgement
        free_from = end + reply;
        allowed_from = std::max(allowed_from, free_from + silence_after(s.lora, lora_acknowledgement_octets));
        return {end, free_from};
    }
    timing over_halow(ble_way way, instant start, int size) {
        const duration access = halow::difs + halow::mean_backoff, frame = frame_airtime(s.halow, size);
        const duration reply = halow_preamble(s.halow);
        const bool up = way == ble_way::up;
        ++done.packets;
        (up ? done.transmitting : done.receiving) += frame;
        (up ? done.receiving : done.transmitting) += reply;
        if (!s.always_listens()) done.receiving += access + halow::sifs;
        free_from = awake_until = start + exchange_airtime(s.halow, size);
        return {start + access + frame, free_from};
    }
    timing over_steady(ble_way way, instant start, int size) {
        const bool up = way == ble_way::up;
        const duration busy = sending_time(s.steady, size);
        ++done.packets;
        (up ? done.transmitting : done.receiving) += busy;
        const instant end = (up ? free_from : free_down) = start + busy;
        return {end + s.steady.delay, end + 2 * s.steady.delay};
    }

    packet_radio s;
    splitdsl::detail::xoshiro256 random;
    lane lanes[2]{};
    instant free_from{instant::min()};    // the device's radio
    instant free_down{instant::min()};    // a steady link's other way
    instant allowed_from{instant::min()}; // by the duty cycle
    instant window{instant::min()};       // in which the gateway may answer
    instant awake_until{instant::min()};
    packet_activity done{};
    arrival_share share{};
};

} // namespace splitdsl::radio
