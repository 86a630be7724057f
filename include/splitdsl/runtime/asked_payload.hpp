// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file asked_payload.hpp
/// The newest payload that was sent, and whether its answer is still to come.
#pragma once

#include <splitdsl/units.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace splitdsl::detail {

/// Asked by the compute thread, closed by whoever reads the answer or finds that none comes; looked at by any thread.
class asked_payload {
public:
    /// `bytes` were handed over at `now`; frame `sequence` waits for their answer. Compute thread.
    void ask(std::uint32_t sequence, std::size_t bytes, instant now) noexcept {
        size.store(bytes, std::memory_order_relaxed);
        when.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        newest.store(sequence, std::memory_order_release);
    }
    /// Nothing more is to come for payload `ended`. An older one's end changes nothing: it would open one again that is closed.
    void close(std::uint32_t ended) noexcept {
        if (ended == sequence()) closed.store(ended, std::memory_order_relaxed);
    }

    bool is_open() const noexcept { return sequence() != closed.load(std::memory_order_relaxed); }
    /// 0: nothing was ever asked.
    std::uint32_t sequence() const noexcept { return newest.load(std::memory_order_acquire); }
    std::size_t bytes() const noexcept { return size.load(std::memory_order_relaxed); }
    instant at() const noexcept { return instant{duration{when.load(std::memory_order_relaxed)}}; }

private:
    std::atomic<std::uint32_t> newest{}, closed{};
    std::atomic<std::size_t> size{};
    std::atomic<std::int64_t> when{}; // ns of the steady clock
};

} // namespace splitdsl::detail
