// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file units.hpp
/// Quantities as types, so that "milliseconds against megabits per second" is a compile error.
#pragma once

#include <chrono>
#include <cstdint>

namespace splitdsl {

/// A point on the monotonic clock. The simulator feeds virtual instants through the same type.
using instant = std::chrono::steady_clock::time_point;
using duration = std::chrono::nanoseconds;

namespace detail {
/// One-dimensional quantity with the arithmetic that makes sense for every unit.
template <class Tag>
struct quantity {
    double value{};
    friend constexpr auto operator<=>(const quantity&, const quantity&) = default;
    friend constexpr quantity operator+(quantity a, quantity b) { return {a.value + b.value}; }
    friend constexpr quantity operator-(quantity a, quantity b) { return {a.value - b.value}; }
    friend constexpr quantity operator*(quantity a, double k) { return {a.value * k}; }
    friend constexpr quantity operator*(double k, quantity a) { return {a.value * k}; }
    friend constexpr quantity operator/(quantity a, double k) { return {a.value / k}; }
    friend constexpr double operator/(quantity a, quantity b) { return a.value / b.value; }
    constexpr quantity& operator+=(quantity b) { value += b.value; return *this; }
};
} // namespace detail

using bytes = detail::quantity<struct bytes_tag>;                     ///< data volume in bytes
using bits_per_second = detail::quantity<struct bits_per_second_tag>; ///< effective data rate
using watts = detail::quantity<struct watts_tag>;
using joules = detail::quantity<struct joules_tag>;

constexpr bits_per_second kilobits_per_second(double v) { return {v * 1e3}; }
constexpr bits_per_second megabits_per_second(double v) { return {v * 1e6}; }
constexpr double to_kilobits_per_second(bits_per_second r) { return r.value / 1e3; }
constexpr double to_megabits_per_second(bits_per_second r) { return r.value / 1e6; }
constexpr double to_seconds(duration d) { return std::chrono::duration<double>(d).count(); }
constexpr double to_milliseconds(duration d) { return std::chrono::duration<double, std::milli>(d).count(); }
/// Seconds to nanoseconds, rounded to nearest; values beyond about 146 years saturate.
constexpr duration from_seconds(double s) {
    if (!(s < 4.6e9)) return duration{4'600'000'000'000'000'000};
    if (s < -4.6e9) return duration{-4'600'000'000'000'000'000};
    return duration{static_cast<std::int64_t>(s * 1e9 + (s < 0 ? -0.5 : 0.5))};
}
constexpr duration from_milliseconds(double ms) { return from_seconds(ms * 1e-3); }

/// Time on the air of a volume at a rate; a rate of zero or less takes (almost) for ever.
constexpr duration operator/(bytes volume, bits_per_second rate) {
    return rate.value > 0 ? from_seconds(volume.value * 8 / rate.value) : from_seconds(4.6e9);
}
constexpr joules operator*(watts p, duration t) { return {p.value * to_seconds(t)}; }
constexpr joules operator*(duration t, watts p) { return p * t; }
constexpr bytes operator*(bits_per_second rate, duration t) { return {rate.value * to_seconds(t) / 8}; }

} // namespace splitdsl
