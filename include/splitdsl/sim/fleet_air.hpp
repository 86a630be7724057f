// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_air.hpp
/// The air of a simulation of exits: a BLE connection, or a radio that sends packet by packet, behind one set of calls.
#pragma once

#include <splitdsl/radio/ble_connection.hpp>
#include <splitdsl/radio/packet_air.hpp>
#include <splitdsl/sim/fleet_world.hpp>

#include <cstdint>
#include <utility>
#include <variant>

namespace splitdsl::sim {

/// Forwards to `radio::ble_connection` or `radio::packet_air`, as the world says. Refused (option_error): what they refuse.
class fleet_air {
public:
    fleet_air(const fleet_world& w, std::uint64_t seed) : either{made(w, seed)}, ble{std::get_if<radio::ble_connection>(&either)} {}
    fleet_air(const fleet_air&) = delete;
    fleet_air& operator=(const fleet_air&) = delete;

    bool queue(radio::ble_way way, std::uint64_t tag, int size, instant at) {
        return ble != nullptr ? ble->queue(way, tag, size, at) : other().queue(way, tag, size, at);
    }
    std::size_t waiting(radio::ble_way way) const { return ble != nullptr ? ble->waiting(way) : other().waiting(way); }
    instant next_with_data() const { return ble != nullptr ? ble->next_with_data() : other().next_with_data(); }
    template <class Report>
    void run(instant until, Report&& report) {
        ble != nullptr ? ble->run(until, report) : other().run(until, report);
    }
    template <class Report>
    void drop(radio::ble_way way, Report&& report) {
        ble != nullptr ? ble->drop(way, report) : other().drop(way, report);
    }
    /// BLE alone, see there.
    template <class Report, class Spared>
    void drop(radio::ble_way way, Report&& report, Spared spared) {
        if (ble != nullptr) ble->drop(way, report, spared);
    }

    /// Share of the packets up that arrived lately.
    double arriving() const { return (ble != nullptr ? ble->arriving(radio::ble_way::up) : other().arriving()).value(); }
    /// BLE alone: what the share was when the first frame began.
    void take_up(double share) {
        if (ble != nullptr) ble->take_up(radio::ble_way::up, radio::arrival_share{share});
    }

    /// From here on `energy_since` counts.
    void mark() {
        if (ble != nullptr)
            ble_before = ble->activity();
        else
            packets_before = other().activity();
    }
    /// What the device's radio took since `mark`, `elapsed` ago.
    joules energy_since_mark(const fleet_world& w, duration elapsed) const {
        return ble != nullptr ? radio::energy_of(ble->activity() - ble_before, elapsed, w.draws).total()
                              : radio::energy_of(other().activity() - packets_before, elapsed, *w.other_radio);
    }

private:
    using either_air = std::variant<radio::ble_connection, radio::packet_air>;
    static either_air made(const fleet_world& w, std::uint64_t seed) {
        if (w.other_radio) return either_air{std::in_place_type<radio::packet_air>, *w.other_radio, seed};
        return either_air{std::in_place_type<radio::ble_connection>, w.radio, seed};
    }
    radio::packet_air& other() { return *std::get_if<radio::packet_air>(&either); }
    const radio::packet_air& other() const { return *std::get_if<radio::packet_air>(&either); }

    either_air either;
    radio::ble_connection* ble;
    radio::ble_activity ble_before{};
    radio::packet_activity packets_before{};
};

} // namespace splitdsl::sim
