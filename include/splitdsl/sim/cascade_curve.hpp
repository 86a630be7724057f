// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cascade_curve.hpp
/// A cascade of a small and a big network by its threshold, from recorded answers: what is passed on, how right and how soon the answers are.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/sim/exit_answers.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::sim {

/// Mean times of the small network on the device, of an input's way to the big one and back, and of the big one.
struct cascade_times {
    duration small{}, network{}, big{};
};

/// One threshold's outcome. Bytes saved are 1 - `passed`: every input that is passed on is sent whole.
struct cascade_point {
    double threshold{};
    double passed{};        ///< share of the inputs that go on to the big network
    double accuracy{};
    duration mean{};        ///< T_small + passed (T_net + T_big)
    double faster{};        ///< share of the time of sending every input; below 0: slower than that
};

namespace detail {
inline void require_cascade(const exit_answers& a, int exit, int choice) {
    const auto c = a.counts();
    if (c.pictures == 0 || exit < 0 || static_cast<std::size_t>(exit) >= c.exits || choice < 0 || static_cast<std::size_t>(choice) >= c.choices)
        throw option_error("cascade curve: expected answers with exit " + std::to_string(exit) + " and offload " + std::to_string(choice) + ", found "
                           + std::to_string(c.exits) + " exits and " + std::to_string(c.choices) + " offloads of " + std::to_string(c.pictures) + " pictures");
}
} // namespace detail

/// The curve at these thresholds: the small network is the device's exit `exit`, the big one offload `choice`. O(thresholds x pictures).
/// Refused (option_error): answers without that exit or offload.
///
/// ```cpp
/// const double thresholds[]{0.5, 0.8};
/// const auto curve = sim::cascade_curve(answers, {11ms, 48ms, 1ms}, thresholds);     // simulated: recorded answers, times that were given
/// ```
///
/// Source: Liang et al., "AI on the Edge", section 5.2 and figure 8.
inline std::vector<cascade_point> cascade_curve(const exit_answers& a, const cascade_times& t, std::span<const double> thresholds, int exit = 0, int choice = 0) {
    detail::require_cascade(a, exit, choice);
    const double send = to_seconds(t.network) + to_seconds(t.big), n = static_cast<double>(a.pictures());
    std::vector<cascade_point> all;
    for (const double threshold : thresholds) {
        std::size_t passed = 0, right = 0;
        for (std::size_t i = 0; i < a.pictures(); ++i) {
            const policy::prediction small = a.local(i, exit);
            const bool sure = small.confidence >= static_cast<float>(threshold); // as `policy::cascade` compares
            passed += !sure;
            right += (sure ? small : a.offload(i, choice)).label == a.label(i);
        }
        cascade_point p{.threshold = threshold, .passed = static_cast<double>(passed) / n, .accuracy = static_cast<double>(right) / n};
        const double mean = to_seconds(t.small) + p.passed * send;
        p.mean = from_seconds(mean);
        p.faster = send > 0 ? 1 - mean / send : 0;
        all.push_back(p);
    }
    return all;
}

/// The largest threshold at which the cascade is still faster, on average, than sending every input; none: it never is. 1 if it is at every
/// threshold that an answer can reach. O(pictures log pictures). Refused as above.
inline std::optional<float> cascade_crossover(const exit_answers& a, const cascade_times& t, int exit = 0) {
    detail::require_cascade(a, exit, 0);
    // Inputs that may be passed on, at the most: fewer than `policy::cascade_limit` of all. In whole nanoseconds, whose products are exact, because as many as that are no gain.
    const auto send = static_cast<long double>((t.network + t.big).count()), gain = (send - static_cast<long double>(t.small.count())) * static_cast<long double>(a.pictures());
    if (gain <= 0) return std::nullopt;
    long double most = std::floor(gain / send);
    if (most * send >= gain) --most;
    std::vector<float> sure;
    for (std::size_t i = 0; i < a.pictures(); ++i) sure.push_back(a.local(i, exit).confidence);
    std::sort(sure.begin(), sure.end());
    // A threshold at the m-th confidence passes on the at most m below it, any larger one at least m + 1.
    const auto m = static_cast<std::size_t>(most);
    return m < sure.size() ? std::min(sure[m], 1.0F) : 1.0F;
}

} // namespace splitdsl::sim
