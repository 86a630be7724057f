// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file device_profile.hpp
/// Devices as data: how fast one computes, what it draws, and where those numbers come from.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/energy/facts_table.hpp>
#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl {

/// What is known of a device. A figure nobody printed is absent, never zero: asking for a time or an energy that needs it is an error
/// that names it.
struct device_profile {
    std::string name{};
    std::optional<double> macs_per_second{};    ///< sustained, for convolutional networks
    std::optional<watts> active_watts{};        ///< while it computes
    std::optional<watts> idle_watts{};          ///< while it waits
    provenance label{provenance::modelled};
    std::string source{};                       ///< one sentence: where the figures come from and what is assumed

    /// Time of a stage of `macs` multiply-accumulates. Refused (option_error): a profile without a speed, or with one that is not above 0 and finite.
    duration time_of(double macs) const {
        const double speed = required(macs_per_second, "macs_per_second");
        if (!(speed > 0) || !std::isfinite(speed))
            throw option_error("device profile '" + name + "': expected a finite macs_per_second above 0, found " + detail::number_text(speed));
        return from_seconds(macs / speed);
    }
    /// Energy of `t` of computing. Refused (option_error): a profile without active power.
    joules active_energy(duration t) const { return required(active_watts, "active_watts") * t; }
    /// Power while waiting. Refused (option_error): a profile without it.
    watts idle_power() const { return required(idle_watts, "idle_watts"); }

private:
    template <class T>
    T required(const std::optional<T>& figure, const char* what) const {
        if (!figure) throw option_error("device profile '" + name + "': expected a figure for " + what + ", found none; choose another profile or fill it in");
        return *figure;
    }
};

inline constexpr std::string_view device_profile_header = "name,macs_per_second,active_watts,idle_watts,provenance,source";

/// Profiles from a table with the header above; an empty cell is a figure that is not known. Speeds in multiply-accumulates a second, power in watts.
///
/// Refused (trace_error): a negative or zero speed, an unknown provenance, a name given twice.
inline std::vector<device_profile> to_device_profiles(const facts_table& table) {
    std::vector<device_profile> profiles;
    profiles.reserve(table.rows.size());
    for (const facts_table::row& r : table.rows) {
        device_profile p;
        p.name = table.text(r, 0);
        for (const device_profile& other : profiles)
            if (other.name == p.name) throw trace_error(table.place(r, 0) + "expected each device once, found '" + p.name + "' again");
        p.macs_per_second = table.number(r, 1);
        if (p.macs_per_second && !(*p.macs_per_second > 0)) throw trace_error(table.place(r, 1) + "expected a speed above 0, found 0");
        if (const auto w = table.number(r, 2)) p.active_watts = watts{*w};
        if (const auto w = table.number(r, 3)) p.idle_watts = watts{*w};
        const std::string& label = table.text(r, 4);
        const provenance all[] = {provenance::measured, provenance::published, provenance::modelled, provenance::simulated};
        const auto found = std::find_if(std::begin(all), std::end(all), [&](provenance one) { return to_text(one) == label; });
        if (found == std::end(all)) throw trace_error(table.place(r, 4) + "expected measured, published, modelled or simulated, found '" + label + "'");
        p.label = *found;
        p.source = table.text(r, 5);
        profiles.push_back(std::move(p));
    }
    return profiles;
}
/// The same from a file.
///
/// Refused (trace_error): what read_facts_table and to_device_profiles refuse.
///
/// ```cpp body
/// auto devices = read_device_profiles("examples/profiles/devices.csv");
/// const device_profile& nano = find_device(devices, "nano");
/// duration head = nano.time_of(45e6);
/// ```
inline std::vector<device_profile> read_device_profiles(const std::string& path) {
    return to_device_profiles(read_facts_table(path, device_profile_header));
}

/// The profile of that name. Refused (option_error): an unknown name; the error lists the known ones.
inline const device_profile& find_device(const std::vector<device_profile>& profiles, std::string_view name) {
    std::string known;
    for (const device_profile& p : profiles) {
        if (p.name == name) return p;
        known += (known.empty() ? "" : ", ") + p.name;
    }
    throw option_error("device profile: expected one of " + known + "; found '" + std::string(name) + "'");
}

} // namespace splitdsl
