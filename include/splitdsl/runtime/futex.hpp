// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file futex.hpp
/// The frame path's only way to wait: for a word to change, at most until an absolute instant of the monotonic clock.
#pragma once

#include <splitdsl/units.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

#if !defined(__linux__)
#error "splitdsl: the runtime's timed wait needs Linux (futex with an absolute monotonic time); the language itself does not"
#endif

#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace splitdsl::futex {

using word = std::atomic<std::uint32_t>;
static_assert(sizeof(word) == 4 && word::is_always_lock_free);

/// Sleeps while `w` holds `expected`, at most until `until`; wakes early now and then, as futexes do: check again.
/// No mutex, no allocation; the kernel is entered only if the word still holds what was expected.
inline void wait_until(const word& w, std::uint32_t expected, instant until) noexcept {
    if (w.load(std::memory_order_acquire) != expected) return;
    const auto since = until.time_since_epoch().count(); // libstdc++'s and libc++'s steady_clock is CLOCK_MONOTONIC
    const std::int64_t ns = since > 0 ? since : 0;
    timespec at{};
    at.tv_sec = static_cast<decltype(at.tv_sec)>(ns / 1'000'000'000);
    at.tv_nsec = static_cast<decltype(at.tv_nsec)>(ns % 1'000'000'000);
    ::syscall(SYS_futex, &w, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, &at, nullptr, FUTEX_BITSET_MATCH_ANY);
}

/// Wakes every waiter on `w`; change the word first.
inline void wake(word& w) noexcept { ::syscall(SYS_futex, &w, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0x7fffffff, nullptr, nullptr, 0); }

} // namespace splitdsl::futex

namespace splitdsl {

/// A bell: rung by any thread, waited for by one. A ring between two waits is not lost.
class bell {
public:
    void ring() noexcept {
        rung.fetch_add(1, std::memory_order_seq_cst);
        if (waiting.load(std::memory_order_seq_cst)) futex::wake(rung);
    }
    /// Waits until a ring newer than `heard` or until `until`; returns the ring count now, for the next call.
    std::uint32_t wait(std::uint32_t heard, instant until) noexcept {
        const auto now_rung = rung.load(std::memory_order_seq_cst);
        if (now_rung != heard) return now_rung;
        waiting.store(true, std::memory_order_seq_cst);
        waits.fetch_add(1, std::memory_order_relaxed);
        futex::wait_until(rung, heard, until);
        waiting.store(false, std::memory_order_relaxed);
        return rung.load(std::memory_order_acquire);
    }
    std::uint32_t now() const noexcept { return rung.load(std::memory_order_acquire); }
    std::uint64_t times_waited() const noexcept { return waits.load(std::memory_order_relaxed); }

private:
    futex::word rung{};
    std::atomic<bool> waiting{};
    std::atomic<std::uint64_t> waits{};
};

} // namespace splitdsl
