// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file step_crew.hpp
/// Fork and join for the steps of one frame: helpers stay with the frame, so that a step costs a few cache lines and no wake-up.
///
/// Threads come from elsewhere (runtime/parallel.hpp takes oneTBB's). Nothing waits for a helper that has not come: a step's tasks are
/// claimed, and whoever is there claims them all.
#pragma once

#include <splitdsl/runtime/pipeline.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>

namespace splitdsl {

/// One frame's threads: the caller in seat 0, helpers in the others.
///
/// Each seat has its own part of a step's tasks, in order, so that a thread works on the same rows from step to step and finds them in its own cache; it
/// claims its part from the front, half of what is left at a time, and then the others' parts from the back. A seat's claim is one word (step, first and last task): a
/// helper that was away for a few steps claims nothing by accident.
///
/// ```cpp
/// step_crew crew{threads, [](step_crew& c, int seat) { ... }};        // asks somebody to call c.help(seat), once
/// crew.run(&crew, tasks, body, context);                              // steps, one after another
/// crew.close();                                                       // before it goes, all help() must have returned
/// ```
class step_crew : public frame_crew {
public:
    static constexpr int most_threads = 32;
    /// How long a thread looks for what it waits for and does nothing else: about what it takes to sleep and be woken, and longer than most steps that one thread
    /// takes alone. A helper then leaves; so that is all it can spend in vain when the caller is held up. At a frame's end it leaves at once.
    static constexpr std::chrono::microseconds longest_spin{50};
    /// The caller then gives its processor away between looks, for a helper with claimed tasks may want that very one; and after so long sleeps until it is woken.
    static constexpr std::chrono::microseconds longest_yielding{1000};

    step_crew(int threads, void (*ask)(step_crew&, int seat)) noexcept : frame_crew{&run_step, &rest_helpers}, count{threads < most_threads ? threads : most_threads}, call{ask} {}
    step_crew(const step_crew&) = delete;
    step_crew& operator=(const step_crew&) = delete;

    /// What a helper does: works until the crew rests or closes, or nothing comes for `longest_spin`.
    void help(int number) noexcept {
        seat& own = seats[number];
        std::uint64_t seen = 0;
        if (own.claim.load(std::memory_order_acquire) != dismissed) {
            own.place.store(presence::here, std::memory_order_relaxed);
            while (const std::uint64_t claim = next_step(own, seen)) {
                seen = step_of(claim);
                const work now{own.body.load(std::memory_order_relaxed), own.context.load(std::memory_order_relaxed)};
                if (const std::uint32_t done = take_part(number, seen, now)) finish(done);
            }
        }
        own.place.store(presence::absent, std::memory_order_release);
    }

    /// Sends the helpers away for good.
    void close() noexcept {
        for (int k = 1; k < count; ++k) seats[k].claim.store(dismissed, std::memory_order_release);
    }

private:
    using task_body = void (*)(void* context, int first, int last);
    enum class presence : int { absent, asked, here };
    struct work {
        task_body body;
        void* context;
    };
    /// Two lines of a cache, as processors fetch pairs.
    struct alignas(128) seat {
        std::atomic<std::uint64_t> claim{};     ///< step | first task | last task
        std::atomic<task_body> body{};
        std::atomic<void*> context{};
        std::atomic<presence> place{presence::absent};
    };

    static constexpr int task_bits = 20, step_bits = 64 - 2 * task_bits;
    static constexpr std::uint64_t task_mask = (std::uint64_t{1} << task_bits) - 1, step_mask = (std::uint64_t{1} << step_bits) - 1;
    static constexpr std::uint64_t dismissed = ~std::uint64_t{};       ///< instead of a claim
    static constexpr std::uint64_t claim_of(std::uint64_t step, int first, int last) {
        return step << (2 * task_bits) | static_cast<std::uint64_t>(first) << task_bits | static_cast<std::uint64_t>(last);
    }
    static constexpr std::uint64_t step_of(std::uint64_t claim) { return claim >> (2 * task_bits); }
    static constexpr int first_of(std::uint64_t claim) { return static_cast<int>(claim >> task_bits & task_mask); }
    static constexpr int last_of(std::uint64_t claim) { return static_cast<int>(claim & task_mask); }

    static void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
    static constexpr int looks_per_clock = 32;      ///< reading the clock takes as long as a few looks

    /// A claim of another step than `seen`, or 0: leave.
    static std::uint64_t next_step(const seat& own, std::uint64_t seen) noexcept {
        std::chrono::steady_clock::time_point until{};
        for (int look = 0;; ++look) {
            const std::uint64_t claim = own.claim.load(std::memory_order_acquire);
            if (claim == dismissed) return 0;
            if (step_of(claim) != seen) return claim;
            relax();
            if (look % looks_per_clock != looks_per_clock - 1) continue;
            const auto now = std::chrono::steady_clock::now();
            if (look < looks_per_clock) until = now + longest_spin;
            else if (now >= until) return 0;
        }
    }

    /// Claims half of what is left of a seat's part and runs it; tasks claimed, 0 if none were left.
    std::uint32_t claim_from(seat& of, std::uint64_t step, const work& now, bool from_front) noexcept {
        std::uint64_t claim = of.claim.load(std::memory_order_acquire);
        for (;;) {
            const int first = first_of(claim), last = last_of(claim), some = (last - first + 1) / 2;
            if (step_of(claim) != step || first >= last) return 0;
            const int begin = from_front ? first : last - some;
            const std::uint64_t left = from_front ? claim_of(step, first + some, last) : claim_of(step, first, begin);
            if (!of.claim.compare_exchange_weak(claim, left, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
            if (!failed.load(std::memory_order_relaxed)) {
                try {
                    now.body(now.context, begin, begin + some);
                } catch (...) {
                    if (!failed.exchange(true, std::memory_order_relaxed)) failure = std::current_exception();
                }
            }
            return static_cast<std::uint32_t>(some);
        }
    }
    std::uint32_t take_part(int number, std::uint64_t step, const work& now) noexcept {
        std::uint32_t done = 0;
        while (const std::uint32_t some = claim_from(seats[number], step, now, true)) done += some;
        for (int k = 1; k < count; ++k)
            while (const std::uint32_t some = claim_from(seats[(number + k) % count], step, now, false)) done += some;
        return done;
    }

    /// `finished` counts helpers' tasks, twice; its lowest bit says that the caller sleeps.
    void finish(std::uint32_t done) noexcept {
        if (finished.fetch_add(2 * done, std::memory_order_acq_rel) & 1U) finished.notify_one();
    }
    void wait_for(std::uint32_t helpers_tasks) noexcept {
        expected += 2 * helpers_tasks;
        std::chrono::steady_clock::time_point begin{};
        for (int look = 0; finished.load(std::memory_order_acquire) != expected; ++look) {
            relax();
            if (look % looks_per_clock != looks_per_clock - 1) continue;
            const auto now = std::chrono::steady_clock::now();
            if (look < looks_per_clock) begin = now;
            else if (now - begin >= longest_yielding) return sleep_until_finished();
            else if (now - begin >= longest_spin) std::this_thread::yield();
        }
    }
    void sleep_until_finished() noexcept {
        finished.fetch_or(1U, std::memory_order_acq_rel);
        for (std::uint32_t now; ((now = finished.load(std::memory_order_acquire)) & ~1U) != expected;) finished.wait(now, std::memory_order_acquire);
        finished.fetch_and(~1U, std::memory_order_relaxed);
    }

    void run(int tasks, task_body body, void* context) {
        if (static_cast<std::uint64_t>(tasks) > task_mask) return body(context, 0, tasks);
        if (++now_on == step_mask) now_on = 1;      // 0 is a seat's first claim, all bits are in `dismissed`
        bool is_here[most_threads]{true};
        int threads = 1;
        for (int k = 1; k < count; ++k) {
            const presence at = seats[k].place.load(std::memory_order_acquire);
            is_here[k] = at == presence::here;
            threads += is_here[k];
        }
        int part = 0;
        for (int k = 0; k < count; ++k) {
            const int first = part * tasks / threads, last = (part + is_here[k]) * tasks / threads;
            part += is_here[k];
            seats[k].body.store(body, std::memory_order_relaxed);
            seats[k].context.store(context, std::memory_order_relaxed);
            seats[k].claim.store(claim_of(now_on, first, last), std::memory_order_release);
        }
        for (int k = 1; k < count && k < tasks; ++k)
            if (!is_here[k] && seats[k].place.load(std::memory_order_relaxed) == presence::absent) {
                seats[k].place.store(presence::asked, std::memory_order_relaxed);
                try {
                    call(*this, k);
                } catch (...) { // for want of memory: others may be at the step's tasks already, so it goes on
                    seats[k].place.store(presence::absent, std::memory_order_relaxed);
                }
            }
        const std::uint32_t done = take_part(0, now_on, {body, context});
        if (done != static_cast<std::uint32_t>(tasks)) wait_for(static_cast<std::uint32_t>(tasks) - done);
        if (failed.load(std::memory_order_relaxed)) {
            failed.store(false, std::memory_order_relaxed);
            std::rethrow_exception(std::exchange(failure, nullptr));
        }
    }
    static void run_step(frame_crew& crew, int tasks, task_body body, void* context) { static_cast<step_crew&>(crew).run(tasks, body, context); }
    static void rest_helpers(frame_crew& crew) { static_cast<step_crew&>(crew).close(); }

    const int count;
    void (*const call)(step_crew&, int seat);
    std::uint64_t now_on{};                     ///< the number of the step, from 1
    std::uint32_t expected{};                   ///< of `finished`
    std::exception_ptr failure{};
    alignas(128) std::atomic<std::uint32_t> finished{};
    std::atomic<bool> failed{};
    seat seats[most_threads];
};

} // namespace splitdsl
