// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simpson.hpp
/// Energy from power samples: Simpson's rule and the trapezoid rule, for samples at any spacing.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/units.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace splitdsl {

/// One reading of a power meter, `at` after the start of the record.
struct power_sample {
    duration at{};
    watts power{};
};

namespace detail {
inline void check_samples(std::span<const power_sample> samples) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (!std::isfinite(samples[i].power.value))
            throw trace_error("power sample " + std::to_string(i) + ": expected a finite power, found " + detail::number_text(samples[i].power.value));
        if (i > 0 && samples[i].at <= samples[i - 1].at)
            throw trace_error("power sample " + std::to_string(i) + ": expected a time after " + std::to_string(samples[i - 1].at.count()) +
                              " ns, found " + std::to_string(samples[i].at.count()) + " ns");
    }
}
} // namespace detail

/// Energy under straight lines between samples. Exact for power that changes linearly. Fewer than two samples: zero.
/// Refused (trace_error): times that do not increase, power that is not finite.
inline joules integrate_trapezoid(std::span<const power_sample> samples) {
    detail::check_samples(samples);
    double sum = 0;
    for (std::size_t i = 1; i < samples.size(); ++i)
        sum += to_seconds(samples[i].at - samples[i - 1].at) * (samples[i - 1].power.value + samples[i].power.value) / 2;
    return {sum};
}

/// Energy under parabolas through three samples each (Ladon integrates its power records so). Exact for quadratic power at any
/// spacing, for cubic power at even spacing and an odd number of samples. With an even number of samples the last interval takes the
/// parabola through the last three; two samples are a trapezoid. Refused as above.
///
/// ```cpp body
/// const power_sample samples[] = {{0ms, {4.0}}, {10ms, {4.4}}, {25ms, {4.1}}};
/// joules e = integrate_simpson(samples);
/// ```
inline joules integrate_simpson(std::span<const power_sample> samples) {
    if (samples.size() < 3) return integrate_trapezoid(samples);
    detail::check_samples(samples);
    const auto step = [&](std::size_t i) { return to_seconds(samples[i + 1].at - samples[i].at); };
    const auto value = [&](std::size_t i) { return samples[i].power.value; };
    double sum = 0;
    std::size_t i = 0;
    for (; i + 2 < samples.size(); i += 2) {
        const double a = step(i), b = step(i + 1);
        sum += (a + b) / 6 * ((2 - b / a) * value(i) + (a + b) * (a + b) / (a * b) * value(i + 1) + (2 - a / b) * value(i + 2));
    }
    if (i + 1 < samples.size()) {                       // one interval is left: integrate the last parabola over it alone
        const double a = step(i - 1), b = step(i);
        sum += value(i + 1) * (2 * b * b + 3 * a * b) / (6 * (a + b)) + value(i) * (b * b + 3 * a * b) / (6 * a) -
               value(i - 1) * b * b * b / (6 * a * (a + b));
    }
    return {sum};
}

} // namespace splitdsl
