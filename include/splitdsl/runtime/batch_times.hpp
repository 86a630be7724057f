// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file batch_times.hpp
/// How long so many requests of a kind take together, as measured: what `choose_batch` asks.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace splitdsl {

/// Moving averages for each kind of request (a cut, an exit) and each number of them. Any thread may look and learn at any time.
class batch_times {
public:
    batch_times(std::size_t kinds, int largest) : most{largest}, times(kinds * static_cast<std::size_t>(largest)) {}

    duration of(std::size_t kind, int together) const noexcept { return duration{times[place(kind, together)].load(std::memory_order_relaxed)}; }
    /// What a warm-up measured, smaller numbers first: never more than one after another, for they could run so.
    void begin(std::size_t kind, int together, duration took) noexcept {
        if (together > 1) took = std::min<duration>(took, together * of(kind, 1));
        times[place(kind, together)].store(took.count(), std::memory_order_relaxed);
    }
    void learn(std::size_t kind, int together, duration took) noexcept {
        move(times[place(kind, together)], took);
        // A size that was slow once is not chosen, so not measured again: it is forgiven while requests run alone.
        for (int k = 2; together == 1 && k <= most; ++k)
            if (const duration limit = k * of(kind, 1); of(kind, k) > limit) move(times[place(kind, k)], limit);
    }

private:
    static void move(std::atomic<std::int64_t>& average, duration towards) noexcept {
        const auto before = average.load(std::memory_order_relaxed);
        average.store(before + (towards.count() - before) / 8, std::memory_order_relaxed);
    }
    std::size_t place(std::size_t kind, int together) const noexcept { return kind * static_cast<std::size_t>(most) + static_cast<std::size_t>(together - 1); }

    int most;
    std::vector<std::atomic<std::int64_t>> times;
};

} // namespace splitdsl
