// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_energy.hpp
/// What a BLE peripheral's connection costs, phase by phase, from datasheet currents.
///
/// The phases are those of the vendor's online power profiler, which FLEET used: before each event pre-processing, crystal ramp-up and
/// radio start; in it transmission, reception and the switching between them; after it post-processing; else standby.
#pragma once

#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/radio/ble_connection.hpp>

#include <string_view>

namespace splitdsl::radio {

/// A phase of fixed length.
struct ble_phase {
    duration length{};
    double milliamps{};
    constexpr joules energy(double volts) const { return watts{volts * milliamps * 1e-3} * length; }
};

/// What one radio draws, as data.
struct ble_radio {
    std::string_view name{};
    double volts{};
    ble_phase pre_process{}, ramp{}, start{}, post_process{};
    double transmit_ma{}, receive_ma{}, switch_ma{}, standby_ma{};
    provenance label{provenance::modelled};
    std::string_view source{};     ///< which figures are read off which sheet, and which are assumed
};

/// Joules of a stretch of time, phase by phase.
struct ble_energy {
    joules pre_process{}, ramp{}, start{}, transmit{}, receive{}, switching{}, standby{}, post_process{};
    provenance label{provenance::modelled};
    constexpr joules total() const { return pre_process + ramp + start + transmit + receive + switching + standby + post_process; }
};

/// The energy of what a connection did within `elapsed`; time not spent in an event is standby.
///
/// ```cpp
/// const auto e = energy_of(air.activity(), 1s, *find_ble_radio("nrf52840_0dbm"));
/// ```
constexpr ble_energy energy_of(const ble_activity& a, duration elapsed, const ble_radio& r) {
    const auto drawn = [&](double milliamps, duration t) { return watts{r.volts * milliamps * 1e-3} * t; };
    const double events = static_cast<double>(a.events);
    const duration awake = a.events * (r.pre_process.length + r.ramp.length + r.start.length + r.post_process.length) + a.transmitting + a.receiving + a.switching;
    return {.pre_process = events * r.pre_process.energy(r.volts),
            .ramp = events * r.ramp.energy(r.volts),
            .start = events * r.start.energy(r.volts),
            .transmit = drawn(r.transmit_ma, a.transmitting),
            .receive = drawn(r.receive_ma, a.receiving),
            .switching = drawn(r.switch_ma, a.switching),
            .standby = drawn(r.standby_ma, elapsed > awake ? elapsed - awake : duration{}),
            .post_process = events * r.post_process.energy(r.volts),
            .label = r.label};
}

namespace detail {
/// Assumptions of this project, of the order the vendors' profilers show; no sheet prints them. The processor's share is what it costs to
/// set up an event and to read what came.
inline constexpr ble_phase assumed_pre_process{std::chrono::microseconds{300}, 3.0};
inline constexpr ble_phase assumed_ramp{std::chrono::microseconds{400}, 0.8};
inline constexpr ble_phase assumed_start{std::chrono::microseconds{40}, 3.0};
inline constexpr ble_phase assumed_post_process{std::chrono::microseconds{400}, 3.0};
inline constexpr double assumed_switch_ma = 1.0;
inline constexpr double assumed_standby_ma = 0.002;

/// A radio at 3 V of which a sheet prints what sending and receiving draw; the rest is assumed.
constexpr ble_radio from_sheet(std::string_view name, double transmit_ma, double receive_ma, std::string_view source) {
    return {name, 3.0, assumed_pre_process, assumed_ramp, assumed_start, assumed_post_process, transmit_ma, receive_ma,
            assumed_switch_ma, assumed_standby_ma, provenance::modelled, source};
}
} // namespace detail

/// Transmit and receive currents are read off the named source at 3 V with the DC/DC converter and 0 dBm; lengths of the fixed phases,
/// their currents, switching and standby are assumptions of this project everywhere, so every row is labelled modelled.
inline constexpr ble_radio known_ble_radios[] = {
    detail::from_sheet("nrf52840_0dbm", 6.40, 6.26, "nRF52840 product specification: TX 0 dBm 6.40 mA, RX 6.26 mA on 1M; the rest is assumed"),
    detail::from_sheet("nrf52840_8dbm", 16.4, 6.26, "nRF52840 product specification: TX 8 dBm 16.4 mA, RX 6.26 mA on 1M; the rest is assumed"),
    detail::from_sheet("nrf54l15_0dbm", 4.8, 3.4, "nRF54L15 datasheet: TX 0 dBm 4.8 mA, RX 3.4 mA on 1M (3.6 mA on 2M); the rest is assumed"),
    detail::from_sheet("cc2340_0dbm", 5.1, 5.3, "CC2340R2 datasheet SWRS282: TX 0 dBm 5.1 mA, RX 5.3 mA on 1M; the rest is assumed"),
    {"fleet_10mw", 1.0, {}, {}, {}, {}, 10.0, 10.0, 0, 0, provenance::modelled,
     "FLEET table 1: typical TX power 10 mW, taken as what the radio draws while it sends and, by assumption, receives; nothing else costs"},
};
/// The radio of that name, or null.
constexpr const ble_radio* find_ble_radio(std::string_view name) {
    for (const ble_radio& r : known_ble_radios)
        if (r.name == name) return &r;
    return nullptr;
}

} // namespace splitdsl::radio
