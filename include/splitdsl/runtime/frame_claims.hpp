// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_claims.hpp
/// Who answers an edge's frame, and when: compute thread, sentinel and caller each claim it at a moment of their own.
#pragma once

#include <splitdsl/runtime/answer_slot.hpp>
#include <splitdsl/units.hpp>

#include <array>
#include <atomic>
#include <cstdint>

namespace splitdsl::detail {

/// Any thread, except where said. One frame is open at a time.
class frame_claims {
public:
    enum claimant : std::uint8_t { compute, sentinel, caller, claimants };

    /// Caller.
    void open(std::uint32_t frame) noexcept { slot.open(frame); }
    bool is_open(std::uint32_t frame) const noexcept { return slot.is_open(frame); }
    /// The frame that waits for an answer, or 0.
    std::uint32_t open_frame() const noexcept { return slot.open_frame(); }
    answer_slot::claim_result taken_by(std::uint32_t frame) const noexcept { return slot.taken_by(frame); }
    /// Each claimant noted its own time before the claim; the claim's owner is known by its number.
    instant taken_at(std::uint32_t frame) const noexcept {
        return instant{duration{times[slot.taken_by(frame).claimant].load(std::memory_order_relaxed)}};
    }

    /// True if this call answered `frame`.
    bool take(std::uint32_t frame, answer_source source, int exit, instant now, claimant who) noexcept {
        times[who].store(now.time_since_epoch().count(), std::memory_order_relaxed);
        return slot.claim(frame, source, static_cast<std::uint8_t>(exit < 0 ? 0 : exit), who);
    }
    /// The frame's newest early exit, else the answer that is held.
    bool take_last_resort(std::uint32_t frame, instant now, claimant who) noexcept {
        const std::uint64_t mark = exit_mark.load(std::memory_order_acquire);
        const bool has_exit = static_cast<std::uint32_t>(mark >> 32) == frame && (mark & 0xff) != 0;
        return take(frame, has_exit ? answer_source::exit : answer_source::held, has_exit ? static_cast<int>(mark & 0xff) - 1 : -1, now, who);
    }
    /// Compute thread: the values of early exit `exit` of `frame` are there.
    void exit_there(std::uint32_t frame, int exit) noexcept {
        exit_mark.store(static_cast<std::uint64_t>(frame) << 32 | static_cast<std::uint64_t>(exit + 1), std::memory_order_release);
    }

private:
    answer_slot slot;
    std::atomic<std::uint64_t> exit_mark{}; // frame << 32 | 1 + exit
    std::array<std::atomic<std::int64_t>, claimants> times{};
};

} // namespace splitdsl::detail
