// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file canary.hpp
/// A thread that does nothing but wake up on time, and so notices when the host does not let the process run.
#pragma once

#include <splitdsl/runtime/futex.hpp>
#include <splitdsl/runtime/threads.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace splitdsl {

/// Sleeps `period` at a time at the priority and on the processors of the compute thread, and notes each oversleep.
///
/// It under-counts: a stall is seen from the wake-up it delays on, so up to one `period` of it is missed. The next wake-up is due one
/// `period` behind the one before, however late the thread gets to sleep again: no moment lies between two looks. A frame is a host
/// stall only if `stalled` says that the canary overslept, within that frame, for longer than half the frame's reserve.
class canary {
public:
    canary(duration wake_period, const thread_options& o) : period_ns{wake_period.count()}, threads{o} {
        due_ns.store((std::chrono::steady_clock::now() + wake_period).time_since_epoch().count(), std::memory_order_relaxed);
        runner = detail::start_thread<&canary::run>(this);
    }
    canary(const canary&) = delete;
    canary& operator=(const canary&) = delete;
    ~canary() {
        stop.store(1, std::memory_order_release);
        futex::wake(stop);
        runner.join();
    }

    /// The longest time the canary overslept between `from` and `to`, counting only what lies between them.
    duration longest_stall(instant from, instant to) const noexcept {
        duration longest{};
        const auto look = [&](std::int64_t begin, std::int64_t end) {
            const auto overlap = std::min(end, to.time_since_epoch().count()) - std::max(begin, from.time_since_epoch().count());
            longest = std::max(longest, duration{overlap});
        };
        look(due_ns.load(std::memory_order_acquire), to.time_since_epoch().count()); // it may oversleep right now
        for (const auto& s : stalls) {
            const auto end = s.end.load(std::memory_order_acquire), begin = s.begin.load(std::memory_order_acquire);
            if (s.end.load(std::memory_order_acquire) == end) look(begin, end); // else it is another stall's by now
        }
        return longest;
    }
    bool stalled(instant from, instant to, duration reserve) const noexcept { return longest_stall(from, to) > reserve / 2; }
    /// Another period, from the wake-up after the next on.
    void wake_every(duration wake_period) noexcept { period_ns.store(wake_period.count(), std::memory_order_relaxed); }
    std::uint64_t stalls_seen() const noexcept { return seen.load(std::memory_order_relaxed); }
    duration longest_ever() const noexcept { return duration{worst.load(std::memory_order_relaxed)}; }

private:
    struct stall {
        std::atomic<std::int64_t> begin{}, end{};
    };
    static constexpr duration worth_noting = std::chrono::microseconds{500};

    void run() {
        detail::enter_thread("sd-canary", threads);
        std::size_t next{};
        instant due = std::chrono::steady_clock::now() + period();
        for (instant woke = due; stop.load(std::memory_order_acquire) == 0; due = woke + period()) {
            due_ns.store(due.time_since_epoch().count(), std::memory_order_release);
            futex::wait_until(stop, 0, due);
            woke = std::chrono::steady_clock::now();
            if (woke - due <= worth_noting) continue;
            auto& s = stalls[next++ % stalls.size()];
            s.end.store(0, std::memory_order_release); // a reader in between sees an empty stall, not a false one
            s.begin.store(due.time_since_epoch().count(), std::memory_order_release);
            s.end.store(woke.time_since_epoch().count(), std::memory_order_release);
            seen.fetch_add(1, std::memory_order_relaxed);
            worst.store(std::max(worst.load(std::memory_order_relaxed), static_cast<std::int64_t>((woke - due).count())),
                        std::memory_order_relaxed);
        }
    }

    duration period() const noexcept { return duration{period_ns.load(std::memory_order_relaxed)}; }

    std::atomic<std::int64_t> period_ns;
    thread_options threads;
    futex::word stop{};
    std::atomic<std::int64_t> due_ns{}, worst{};
    std::atomic<std::uint64_t> seen{};
    std::array<stall, 64> stalls{};
    std::thread runner;
};

} // namespace splitdsl
