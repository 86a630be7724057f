// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file retry_pause.hpp
/// How long whoever lost its peer waits before it asks again: longer each time, and not all at the same moment.
#pragma once

#include <splitdsl/units.hpp>

#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace splitdsl::detail {

/// A cloud that restarts ends every connection at the same moment. Pauses of one length would bring all its edges back together, at every attempt.
///
/// Source: "equal jitter" (Brooker, Exponential Backoff and Jitter, AWS 2015); numbers by splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
class retry_pause {
public:
    /// `seed` 0: one by chance.
    retry_pause(duration first_pause, duration longest_pause, std::uint64_t seed) noexcept : first{first_pause}, longest{longest_pause}, whole{first_pause}, state{seed} {
        if (state == 0 && ::getrandom(&state, sizeof state, GRND_NONBLOCK) != sizeof state) // early at boot: no two machines read the same nanosecond
            state = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    }
    /// From half of this attempt's pause to all of it; the next one's is twice as long. Never below a millisecond: a pause of 0 would not double.
    duration next() noexcept {
        const duration pause = std::max<duration>(whole, std::chrono::milliseconds{1});
        whole = std::min(pause * 2, longest);
        return pause - duration{static_cast<std::int64_t>(draw() % static_cast<std::uint64_t>(pause.count() / 2 + 1))};
    }
    void restart() noexcept { whole = first; }

private:
    std::uint64_t draw() noexcept {
        std::uint64_t z = state += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }
    duration first, longest, whole;
    std::uint64_t state;
};

} // namespace splitdsl::detail
