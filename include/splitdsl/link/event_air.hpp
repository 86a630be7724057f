// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file event_air.hpp
/// The relay's radio in connection-event mode: asks for packets at each event and says when each comes out.
#pragma once

#include <splitdsl/link/radio_gauge.hpp>
#include <splitdsl/radio/ble_connection.hpp>

#include <algorithm>
#include <cstdint>

namespace splitdsl::link::detail {

/// Drives a `radio::ble_connection` by a real clock. A byte stream can neither lose nor reorder, so lost packets are always sent again.
/// The clock is the caller's: tests hand in virtual instants. One thread.
class event_air {
public:
    event_air(radio::ble_setting chosen, std::uint64_t seed, instant start) : air{for_a_stream(chosen), seed, start}, told{chosen, start} {}

    /// A packet that was read at an event.
    struct taken {
        std::uint64_t owner{};
        int size{};     ///< 0: nothing there
    };

    instant next_anchor() const { return air.next_anchor(); }
    int packet_bytes() const { return radio::payload_octets(air.setting()); }

    /// Holds the events up to `now`. Before each, `take(way)` is called for as many packets as the event can carry; after it,
    /// `out(way, owner, arrived)` for each that came through, in the order they were taken. Events so long past that what they carry
    /// would come as a burst no radio shows (20 ms, or an interval if that is longer) are missed, not held.
    template <class Take, class Out>
    void hold(instant now, Take&& take, Out&& out) {
        const duration late = std::max<duration>(std::chrono::milliseconds{20}, air.setting().interval);
        if (now - air.next_anchor() > late) {
            const instant before = air.next_anchor();
            air.miss(now - late);
            missed_events += static_cast<std::uint64_t>((air.next_anchor() - before) / air.setting().interval);
        }
        while (air.next_anchor() <= now) {
            const instant anchor = air.next_anchor();
            const std::size_t undelivered = air.undelivered(radio::ble_way::up);
            for (const radio::ble_way way : {radio::ble_way::up, radio::ble_way::down})
                while (air.waiting(way) < static_cast<std::size_t>(radio::packets_per_event(air.setting()))) {
                    const taken t = take(way);
                    if (t.size == 0 || !air.queue(way, t.owner, t.size, anchor)) break;
                }
            air.run(anchor, [&](const radio::ble_report& r) {
                lost_packets += static_cast<std::uint64_t>(r.tries - 1);
                out(r.way, r.tag, r.arrived);
            });
            ++held_events;
            told.event_over(anchor, air.arriving(radio::ble_way::up).value(), air.waiting(radio::ble_way::up), undelivered);
        }
    }
    /// Nobody is there: events until `now` pass unheld and uncounted.
    void rest(instant now) { air.miss(now); }

    /// What the device's host may know of it; any thread.
    const radio_gauge& gauge() const { return told; }

    std::uint64_t held() const { return held_events; }
    std::uint64_t missed() const { return missed_events; }
    std::uint64_t lost() const { return lost_packets; }

private:
    static radio::ble_setting for_a_stream(radio::ble_setting s) {
        if (s.delivery == radio::ble_delivery::unreliable) s.delivery = radio::ble_delivery::resending;
        s.most_tries = 0;
        return s;
    }
    radio::ble_connection air;
    radio_gauge told;
    std::uint64_t held_events{}, missed_events{}, lost_packets{};
};

} // namespace splitdsl::link::detail
