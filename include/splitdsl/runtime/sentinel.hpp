// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sentinel.hpp
/// The thread that takes a frame's last resort shortly before its deadline, should nobody have answered it.
#pragma once

#include <splitdsl/runtime/frame_claims.hpp>
#include <splitdsl/runtime/futex.hpp>
#include <splitdsl/runtime/threads.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace splitdsl::detail {

struct sentinel_terms {
    duration deadline{}; ///< of every frame
    duration ahead{};    ///< of it, the sentinel acts
    thread_options threads{};
};

/// Needs no wake-up: it looks once a deadline, because no frame submitted later can be due earlier. Its priority is one above that of the threads it watches.
class sentinel {
public:
    /// `work` is the compute thread's bell, `answered` the caller's; like the claims they outlive this.
    sentinel(frame_claims& of, const sentinel_terms& t, bell& work, bell& answered)
        : claims{of}, terms{t}, ahead{std::min<duration>(t.ahead, t.deadline / 2)}, compute{work}, caller{answered} {
        runner = start_thread<&sentinel::watch>(this);
    }
    sentinel(const sentinel&) = delete;
    sentinel& operator=(const sentinel&) = delete;
    ~sentinel() {
        stopping.store(true, std::memory_order_release);
        alarm.ring();
        runner.join();
    }

    /// Caller: before the claims of the frame are opened.
    void expect(instant due) noexcept { due_ns.store(due.time_since_epoch().count(), std::memory_order_relaxed); }
    /// Whether it got the priority and processors asked for.
    bool is_prepared() const noexcept { return prepared.load(std::memory_order_relaxed); }
    std::uint64_t times_waited() const noexcept { return alarm.times_waited(); }

private:
    void watch() {
        prepared.store(enter_thread("sd-sentinel", terms.threads, 1), std::memory_order_relaxed);
        auto heard = alarm.now();
        while (!stopping.load(std::memory_order_acquire)) {
            const std::uint32_t frame = claims.open_frame();
            const instant now = std::chrono::steady_clock::now();
            // Read after the slot: at least as new, so never too early. Without an open frame none can be due before a whole deadline.
            const instant at = frame != 0 ? instant{duration{due_ns.load(std::memory_order_relaxed)}} - ahead : now + std::max(terms.deadline - ahead, shortest_look);
            if (frame == 0 || now < at) {
                heard = alarm.wait(heard, at);
                continue;
            }
            if (claims.take_last_resort(frame, now, frame_claims::sentinel)) {
                caller.ring();
                compute.ring(); // a compute thread in a paced wait gives the frame up
            }
        }
    }

    // Of a deadline below that the caller takes the last resort itself: a thread of real-time priority that only looks would keep the frame from its processor.
    static constexpr duration shortest_look = std::chrono::microseconds{100};

    frame_claims& claims;
    const sentinel_terms terms;
    const duration ahead; // half of the deadline at most: a frame is given some time
    bell &compute, &caller;
    bell alarm;
    std::atomic<std::int64_t> due_ns{};
    std::atomic<bool> stopping{}, prepared{true};
    std::thread runner;
};

} // namespace splitdsl::detail
