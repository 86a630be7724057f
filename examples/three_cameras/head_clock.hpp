// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file head_clock.hpp
/// When each of the three heads ran: a runner that hands everything to the build's own one and notes what the first call after `arm` does.
#pragma once

#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace three_cameras {

/// The heads of one frame, measured.
struct head_times {
    splitdsl::duration wall{}; ///< from the first one's begin to the last one's end
    splitdsl::duration sum{};  ///< of the three
};

/// A stage's first parallel call is that of its fan: three tasks, a head each. A runner is a plain function, so what it notes is global.
class head_clock {
public:
    static constexpr int heads = 3;
    static const splitdsl::task_runner runner;

    static void arm() noexcept {
        for (auto& e : ended) e.store(0, std::memory_order_relaxed);
        armed.store(true, std::memory_order_relaxed);
    }
    /// All zero if the heads did not run since `arm`, or not as three tasks.
    static head_times read() noexcept {
        std::int64_t first = INT64_MAX, last = 0, sum = 0;
        for (std::size_t k = 0; k < heads; ++k) {
            const std::int64_t b = begun[k].load(std::memory_order_relaxed), e = ended[k].load(std::memory_order_relaxed);
            if (e == 0) return {};
            first = std::min(first, b);
            last = std::max(last, e);
            sum += e - b;
        }
        return {splitdsl::duration{last - first}, splitdsl::duration{sum}};
    }

private:
    struct call {
        void (*body)(void*, int, int);
        void* context;
    };
    static void run(int tasks, void (*body)(void*, int, int), void* context) {
        const splitdsl::task_runner& best = splitdsl::default_runner() ? *splitdsl::default_runner() : splitdsl::serial_runner;
        if (tasks != heads || !armed.exchange(false, std::memory_order_relaxed)) return best.run(tasks, body, context);
        call timed{body, context};
        best.run(tasks, [](void* c, int first, int last) {
            const auto* of = static_cast<const call*>(c);
            for (int k = first; k < last; ++k) {
                begun[static_cast<std::size_t>(k)].store(now(), std::memory_order_relaxed);
                of->body(of->context, k, k + 1);
                ended[static_cast<std::size_t>(k)].store(now(), std::memory_order_relaxed);
            }
        }, &timed);
    }
    static std::int64_t now() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }
    static inline std::atomic<bool> armed{};
    static inline std::array<std::atomic<std::int64_t>, heads> begun{}, ended{};
};
inline const splitdsl::task_runner head_clock::runner{&head_clock::run};

} // namespace three_cameras
