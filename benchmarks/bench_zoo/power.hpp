// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file power.hpp
/// Frames a second, a joule and a dollar, with where the watts are from (EDGE-09).
#pragma once

#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/energy/meter.hpp>
#include <splitdsl/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

namespace zoo_bench {

struct power_arguments {
    bool rapl{};
    double watts{}, dollars_per_hour{};
    std::string profile{}; ///< FILE:NAME
};

/// What the machine draws while frames run: by the processor's counter, or as somebody said. Throws `option_error` for a counter that is not to be had, a
/// profile without a figure, or more than one source.
class power_source {
public:
    explicit power_source(const power_arguments& a) : price{a.dollars_per_hour} {
        if (a.rapl + (a.watts > 0) + !a.profile.empty() > 1) throw splitdsl::option_error("one of --rapl, --watts and --profile was expected, found several");
        if (a.rapl) {
            auto opened = splitdsl::open_rapl_meter();
            if (!opened.meter) throw splitdsl::option_error("--rapl: " + opened.reason);
            meter = std::move(opened.meter);
        } else if (a.watts > 0)
            given = splitdsl::watts{a.watts};
        else if (!a.profile.empty()) {
            const auto colon = a.profile.rfind(':');
            if (colon == std::string::npos) throw splitdsl::option_error("--profile: FILE:NAME was expected, found \"" + a.profile + "\"");
            const auto devices = splitdsl::read_device_profiles(a.profile.substr(0, colon));
            given = splitdsl::watts{find_device(devices, a.profile.substr(colon + 1)).active_energy(std::chrono::seconds{1}).value};
        }
    }
    bool asked() const { return meter || given || price > 0; }
    /// Energy so far; only differences count.
    splitdsl::joules reading() { return meter ? meter->total() : splitdsl::joules{}; }

    /// One row's figures, printed behind it. `frames` took `energy`, if a meter counts it, and `seconds` in all; `least` is the least time of one.
    void report(double least_ms, double frames, splitdsl::joules energy, double seconds, nlohmann::json& row) const {
        const double rate = 1e3 / least_ms;
        std::printf("    %.4g frames/s", rate);
        row["frames_per_second"] = rate;
        if (meter) { // over all frames, the slow ones and other programs included
            std::printf(", %.4g W, %.4g frames/J (measured: the whole processor, other programs included)", energy.value / seconds, frames / energy.value);
            row["watts"] = energy.value / seconds, row["frames_per_joule"] = frames / energy.value, row["power_label"] = "measured";
        } else if (given) {
            std::printf(", %.4g W, %.4g frames/J (modelled: the watts were given)", given->value, rate / given->value);
            row["watts"] = given->value, row["frames_per_joule"] = rate / given->value, row["power_label"] = "modelled";
        }
        if (price > 0) {
            const double dollars = price / 3600 / rate * 1e6;
            std::printf(", %.4g $ a million frames", dollars);
            row["dollars_per_million_frames"] = dollars;
        }
        std::printf("\n");
    }

private:
    double price;
    std::optional<splitdsl::rapl_meter> meter{};
    std::optional<splitdsl::watts> given{};
};

} // namespace zoo_bench
