// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file meter.hpp
/// Where joules are read: a concept, the processor's own counter where the system lets us read it, and a model where it does not.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/units.hpp>

#include <concepts>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace splitdsl {

/// Energy since the meter was made; it never falls. The label says what kind of number it is.
template <class M>
concept energy_meter = requires(M m) {
    { m.total() } -> std::same_as<joules>;
    { m.label() } -> std::same_as<provenance>;
};

/// Energy from a model: the caller charges what each stretch of time draws.
class modelled_meter {
public:
    explicit constexpr modelled_meter(provenance label = provenance::modelled) : kind(label) {}
    constexpr void charge(watts power, duration time) { sum += power * time; }
    constexpr void charge(joules energy) { sum += energy; }
    constexpr joules total() const { return sum; }
    constexpr provenance label() const { return kind; }

private:
    joules sum{};
    provenance kind;
};

/// The energy counter of an x86 processor's package, as Linux shows it under /sys/class/powercap. It counts the whole package, all
/// processes included, and wraps at `max_energy_range_uj`: call `total` at least once a minute.
///
/// ```cpp body
/// auto opened = open_rapl_meter();
/// if (!opened.meter) std::puts(opened.reason.c_str());   // "no energy counter: ..." on most virtual machines
/// ```
class rapl_meter {
public:
    joules total() {
        if (const auto now = read_number(folder_path + "/energy_uj"); now && *now <= range_uj) {
            sum_uj += *now >= last_uj ? *now - last_uj : range_uj - last_uj + *now;
            last_uj = *now;
        }
        return {static_cast<double>(sum_uj) * 1e-6};
    }
    provenance label() const { return provenance::measured; }

private:
    friend struct opened_rapl_meter open_rapl_meter(std::string folder);
    rapl_meter(std::string folder, std::uint64_t counter, std::uint64_t range) : folder_path(std::move(folder)), last_uj(counter), range_uj(range) {}
    static std::optional<std::uint64_t> read_number(const std::string& path) {
        std::ifstream file(path);
        char digits[32]{};
        file.read(digits, sizeof digits);
        const auto count = file.gcount();
        if (count <= 0 || count == static_cast<std::streamsize>(sizeof digits)) return std::nullopt;
        const std::string_view line{digits, static_cast<std::size_t>(count)};
        return detail::read_number<std::uint64_t>(line.substr(0, line.find('\n')));
    }

    std::string folder_path;
    std::uint64_t last_uj{}, range_uj{}, sum_uj{};
};

/// A meter, or why there is none.
struct opened_rapl_meter {
    std::optional<rapl_meter> meter{};
    std::string reason{};               ///< one sentence if there is no meter
};
/// Opens the package counter. Never throws for an absent or unreadable one: most machines have none, and most that do keep it for root.
inline opened_rapl_meter open_rapl_meter(std::string folder = "/sys/class/powercap/intel-rapl:0") {
    const auto counter = rapl_meter::read_number(folder + "/energy_uj");
    if (!counter) return {std::nullopt, "no energy counter: " + folder + "/energy_uj is absent, not readable or not a number"};
    const auto range = rapl_meter::read_number(folder + "/max_energy_range_uj");
    if (!range || *range == 0 || *counter > *range)
        return {std::nullopt, "no energy counter: " + folder + "/max_energy_range_uj is absent or does not bound the counter"};
    return {rapl_meter{std::move(folder), *counter, *range}, {}};
}

static_assert(energy_meter<modelled_meter> && energy_meter<rapl_meter>);

} // namespace splitdsl
