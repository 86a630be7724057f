// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file recent_times.hpp
/// What a network's stages took lately: the evidence a reserve is made of, at construction and while frames run.
#pragma once

#include <splitdsl/runtime/fixed_array.hpp>
#include <splitdsl/units.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl {

/// The last `window` times of each stage. Older ones are forgotten: a machine that was busy once does not stay slow, and one that grew slow is noticed.
///
/// A run that lost its processor to another program says more of that program than of the stage: up to `few` such runs a window are not counted. Where there are more, the
/// machine is shared for good, and its stages do take that long. No clock, no lock, allocates at construction only.
///
/// ```cpp
/// recent_times seen{net.stages};
/// seen.add(2, took, preempted);
/// const duration p99 = seen.p99(2, measured_at_construction);
/// ```
class recent_times {
public:
    static constexpr int window = 128;
    static constexpr int few = window / 10;

    explicit recent_times(int stages) : rings{static_cast<std::size_t>(stages)} {}

    void add(int stage, duration took, bool preempted) noexcept {
        ring& r = rings[static_cast<std::size_t>(stage)];
        auto& slot = r.runs[static_cast<std::size_t>(r.next)];
        r.next = (r.next + 1) % window;
        r.filled = std::min(r.filled + 1, window);
        slot = {took, preempted};
    }

    /// The second largest of the times that count: of more than 100, at least the 99th percentile. Never below `before` until the window is full.
    duration p99(int stage, duration before) const noexcept {
        const ring& r = rings[static_cast<std::size_t>(stage)];
        const auto runs = std::span{r.runs}.first(static_cast<std::size_t>(r.filled));
        const bool all = std::count_if(runs.begin(), runs.end(), [](const run& x) { return x.preempted; }) > few;
        duration largest{}, second{};
        for (const run& x : runs)
            if (all || !x.preempted) {
                second = std::max(second, std::min(largest, x.took));
                largest = std::max(largest, x.took);
            }
        return r.filled == window ? second : std::max(before, second);
    }

private:
    struct run {
        duration took{};
        bool preempted{};
    };
    struct ring {
        std::array<run, window> runs{};
        int next{}, filled{};
    };
    fixed_array<ring> rings;
};

namespace detail {

/// How often the calling thread, or with `helpers` any of the process, had to leave its processor to another one. A system that does not count says 0.
inline std::int64_t preemptions(bool helpers) noexcept {
    rusage use{};
    ::getrusage(helpers ? RUSAGE_SELF : RUSAGE_THREAD, &use);
    return use.ru_nivcsw;
}

} // namespace detail
} // namespace splitdsl
