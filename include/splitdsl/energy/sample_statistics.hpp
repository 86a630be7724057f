// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sample_statistics.hpp
/// What a series of measurements says: a mean with its confidence interval, and how long a power record stays below a limit.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/energy/simpson.hpp>
#include <splitdsl/error.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>

namespace splitdsl {

/// Two-sided.
enum class confidence_level : unsigned char { ninety, ninety_five };

/// The true mean lies in `mean` -+ `half_width`, at the level asked for, if the samples are independent and near enough to normal.
struct mean_interval {
    double mean{};
    double half_width{};        ///< infinite for a single sample
    std::size_t samples{};
};

/// Student's t for so many degrees of freedom, at least 1: to three decimals of the printed tables up to 30, then by Fisher's expansion (within 1e-3).
inline double student_t(std::size_t freedom, confidence_level level) {
    static constexpr std::array<double, 30> at95{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
                                                 2.120,  2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
    static constexpr std::array<double, 30> at90{6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753,
                                                 1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697};
    const bool wide = level == confidence_level::ninety_five;
    if (freedom < 1) return std::numeric_limits<double>::infinity();
    if (freedom <= at95.size()) return (wide ? at95 : at90)[freedom - 1];
    const double z = wide ? 1.959964 : 1.644854, n = static_cast<double>(freedom);
    return z + (z * z * z + z) / (4 * n) + (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * n * n);
}

/// BottleFit's figure 9 shows such means of 300 pictures' delays. Refused (trace_error): no samples, one that is not finite.
///
/// ```cpp body
/// const double ms[]{41.2, 39.8, 44.0, 40.1};
/// const mean_interval m = mean_with_interval(ms, confidence_level::ninety_five);      // 41.3 -+ 3.0
/// ```
inline mean_interval mean_with_interval(std::span<const double> samples, confidence_level level) {
    if (samples.empty()) throw trace_error("mean with interval: expected at least one sample, found none");
    const double n = static_cast<double>(samples.size());
    double mean = 0, squares = 0;
    for (const double v : samples) {
        if (!std::isfinite(v)) throw trace_error("mean with interval: expected finite samples, found " + detail::number_text(v));
        mean += v / n;
    }
    for (const double v : samples) squares += (v - mean) * (v - mean);
    const double half = samples.size() < 2 ? std::numeric_limits<double>::infinity() : student_t(samples.size() - 1, level) * std::sqrt(squares / (n - 1) / n);
    return {mean, half, samples.size()};
}

/// Share of a power record's time at or below `limit`, along straight lines between the samples: its cumulative distribution (BottleFit, figure 10). Refused
/// (trace_error): fewer than two samples, times that do not increase, power that is not finite.
inline double share_at_most(std::span<const power_sample> record, watts limit) {
    if (record.size() < 2) throw trace_error("power record: expected at least two samples, found " + std::to_string(record.size()));
    detail::check_samples(record);
    double below = 0;
    for (std::size_t i = 1; i < record.size(); ++i) {
        const double low = std::min(record[i - 1].power.value, record[i].power.value), high = std::max(record[i - 1].power.value, record[i].power.value);
        const double share = limit.value >= high ? 1 : limit.value < low ? 0 : (limit.value - low) / (high - low);
        below += share * to_seconds(record[i].at - record[i - 1].at);
    }
    return below / to_seconds(record.back().at - record.front().at);
}
/// The least power that the record stays at or below for a share `q` of its time, within a millionth of its range. Refused as above, and a share outside 0 to 1.
inline watts power_quantile(std::span<const power_sample> record, double q) {
    if (!(q >= 0 && q <= 1)) throw trace_error("power record: expected a share from 0 to 1, found " + detail::number_text(q));
    double below = std::numeric_limits<double>::infinity(), enough = -below;
    for (const power_sample& s : record) below = std::min(below, s.power.value), enough = std::max(enough, s.power.value);
    if (share_at_most(record, {below}) >= q) return {below};
    for (const double exact = (enough - below) * 1e-6; enough - below > exact;) {
        const double middle = below + (enough - below) / 2;
        if (middle <= below || middle >= enough) break; // neighbouring numbers
        (share_at_most(record, {middle}) >= q ? enough : below) = middle;
    }
    return {enough};
}
/// Mean power of a record, of its energy by trapezoids. Refused as above.
inline watts mean_power(std::span<const power_sample> record) {
    if (record.size() < 2) throw trace_error("power record: expected at least two samples, found " + std::to_string(record.size()));
    return {integrate_trapezoid(record).value / to_seconds(record.back().at - record.front().at)};
}

} // namespace splitdsl
