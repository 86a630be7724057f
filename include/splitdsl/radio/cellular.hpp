// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cellular.hpp
/// Power of 3G, LTE, Wi-Fi and 5G radios, each with the place its numbers come from, and the tail an LTE radio keeps burning.
///
/// Two generations of numbers stand side by side and must not be mixed in one comparison: the 2012 constants SAGE rests on, and
/// constants fitted to public 2021 measurements of whole phones. Per bit, LTE of 2021 is about 5.7 times cheaper than LTE of 2012.
#pragma once

#include <splitdsl/radio/power.hpp>

#include <string_view>

namespace splitdsl::radio {

/// Huang et al., MobiSys 2012, table 4. alpha_u and beta are confirmed by several public copies of the table; the downlink
/// slopes (122.12, 51.97, 137.01) were not found a second time and matter little here: replies are tens of bytes.
inline constexpr radio_power umts_3g{868.98, 122.12, 817.88};
inline constexpr radio_power lte{438.39, 51.97, 1288.04};
inline constexpr radio_power wifi{283.17, 137.01, 132.86};

/// Least-squares fits, made for this project, of the public SIGCOMM 2021 5G artifact (one US operator). The samples are the power
/// of a whole phone with its screen on: the slopes are usable, the base is an upper bound. The uplink's base is taken (the
/// downlink's is 2839, 3059 and 5237 mW). Valid for uplinks of 1 to 28, 46 and 220 Mbps; R^2 = 0.55, 0.55 and 0.84.
inline constexpr radio_power lte_2021{76.7, 11.5, 2926};
inline constexpr radio_power nr_low_band{32.2, 11.5, 3199};   ///< 5G non-standalone, low band
inline constexpr radio_power nr_mmwave{8.88, 1.73, 5664};

/// The same radio with no base power: a lower bound, for the fitted radios whose base includes a screen.
constexpr radio_power without_base(radio_power p) { return {p.uplink_mw_per_mbps, p.downlink_mw_per_mbps, 0}; }

/// What a radio draws after its last transfer until the network lets it sleep.
///
/// SAGE leaves this out. At one frame every 100 ms an LTE radio never leaves its tail, so a count per frame is too low: reports
/// take the tail as an option (`policy::frame_energy_options`). A default one is none.
struct tail_power {
    duration length{};
    watts power{};
    /// Energy between the end of one transfer and the start of the next, `gap` later.
    constexpr joules energy(duration gap) const {
        if (gap.count() <= 0) return {};
        return power * (gap < length ? gap : length);
    }
};
/// Huang et al.: 11.576 s at 1060 mW. Other copies of the constants say 1.125 or 1.13 W.
inline constexpr tail_power lte_tail{std::chrono::milliseconds{11'576}, {1.060}};

struct named_radio {
    std::string_view name{};
    radio_power power{};
    std::string_view source{};
};
/// Every radio above, for options and reports. All are models: energy computed with them is labelled modelled, never measured.
inline constexpr named_radio known[] = {
    {"3g", umts_3g, "Huang et al., MobiSys 2012, table 4"},
    {"lte", lte, "Huang et al., MobiSys 2012, table 4"},
    {"wifi", wifi, "Huang et al., MobiSys 2012, table 4"},
    {"lte_2021", lte_2021, "fit of public SIGCOMM 2021 data; base is a whole phone, an upper bound"},
    {"5g_low_band", nr_low_band, "fit of public SIGCOMM 2021 data; base is a whole phone, an upper bound"},
    {"5g_mmwave", nr_mmwave, "fit of public SIGCOMM 2021 data; base is a whole phone, an upper bound"},
};
/// The radio of that name, or null.
constexpr const named_radio* find(std::string_view name) {
    for (const named_radio& r : known)
        if (r.name == name) return &r;
    return nullptr;
}

} // namespace splitdsl::radio
