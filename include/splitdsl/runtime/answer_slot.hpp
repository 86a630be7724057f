// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file answer_slot.hpp
/// Exactly one answer per frame: one atomic word that holds a frame's sequence and who took it.
#pragma once

#include <splitdsl/runtime/answer.hpp>

#include <atomic>
#include <cstdint>

namespace splitdsl {

/// Several threads may want to answer a frame (compute, sentinel, the waiting caller); one compare-and-swap decides.
///
/// Whoever claims has written the value before: the claim is the release, `taken_by` the acquire. A claim for any frame
/// but the open one fails, so a straggler cannot answer a later frame.
template <bool ClaimsOnce = true>
class basic_answer_slot {
public:
    struct claim_result {
        answer_source source{answer_source::none};
        std::uint8_t detail{};   ///< an early exit's index
        std::uint8_t claimant{}; ///< which thread, as it called itself
    };

    /// Opens the slot for `frame`; the frame before it must have been taken.
    void open(std::uint32_t frame) noexcept { word.store(pack(frame, answer_source::none), std::memory_order_release); }

    /// True if this call answered `frame`: it was open, and nobody else answered it before.
    bool claim(std::uint32_t frame, answer_source source, std::uint8_t detail = 0, std::uint8_t claimant = 0) noexcept {
        if constexpr (ClaimsOnce) {
            std::uint64_t expected = pack(frame, answer_source::none);
            return word.compare_exchange_strong(expected, pack(frame, source, detail, claimant), std::memory_order_acq_rel,
                                                std::memory_order_relaxed);
        } else { // broken on purpose, for tests
            word.store(pack(frame, source, detail, claimant), std::memory_order_release);
            return true;
        }
    }
    bool is_open(std::uint32_t frame) const noexcept { return word.load(std::memory_order_acquire) == pack(frame, answer_source::none); }
    /// The frame that waits for an answer, or 0.
    std::uint32_t open_frame() const noexcept {
        const std::uint64_t w = word.load(std::memory_order_acquire);
        return (w & 0xff00) == 0 ? static_cast<std::uint32_t>(w >> 32) : 0;
    }

    /// Who answered `frame`; `none` while it is open or if another frame is in the slot.
    claim_result taken_by(std::uint32_t frame) const noexcept {
        const std::uint64_t w = word.load(std::memory_order_acquire);
        if (static_cast<std::uint32_t>(w >> 32) != frame) return {};
        return {static_cast<answer_source>((w >> 8) & 0xff), static_cast<std::uint8_t>(w & 0xff),
                static_cast<std::uint8_t>((w >> 16) & 0xff)};
    }

private:
    static constexpr std::uint64_t pack(std::uint32_t frame, answer_source s, std::uint8_t detail = 0, std::uint8_t claimant = 0) {
        return (static_cast<std::uint64_t>(frame) << 32) | (static_cast<std::uint64_t>(claimant) << 16)
               | (static_cast<std::uint64_t>(s) << 8) | detail;
    }
    std::atomic<std::uint64_t> word{pack(0, answer_source::preset)}; // frame 0 is never used
};
using answer_slot = basic_answer_slot<>;

} // namespace splitdsl
