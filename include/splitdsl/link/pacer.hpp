// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pacer.hpp
/// What one direction of the relay suffers right now: its impairment with the script's faults on top.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/link/relay_options.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace splitdsl::link::detail {

/// All connections share a direction's rate.
struct pacer {
    impairment now{}; // settings with the script on top
    double factor{1}; // of a rate collapse
    instant next{};   // the link is busy until then
    bool idle{true};  // it looked for bytes when it was free, and there were none
    bool took{};      // bytes in this pass

    void overlay(const fault& f) {
        switch (f.kind) {
        case fault_kind::delay_step: now.delay += from_seconds(f.parameter); break;
        case fault_kind::jitter: now.jitter += from_seconds(f.parameter); break;
        case fault_kind::rate_collapse: factor = std::min(factor, f.parameter); break;
        case fault_kind::blackhole:
        case fault_kind::half_open: now.blackhole = true; break;
        case fault_kind::stall: now.stall = true; break;
        case fault_kind::corruption: now.corruption = std::max(now.corruption, f.parameter); break;
        case fault_kind::slow_drip: now.drip = f.parameter; break;
        default: break;
        }
        // A rate of nothing is a stall; the pacing divides by the factor.
        if (factor <= 0) now.stall = true;
    }

    /// Flips a bit now and then; whether it did.
    bool corrupt(splitdsl::detail::xoshiro256& random, std::span<std::byte> chunk) const {
        if (now.corruption <= 0 || !random.chance(now.corruption)) return false;
        chunk[random.below(static_cast<std::uint32_t>(chunk.size()))] ^= std::byte{1} << random.below(8);
        return true;
    }
    duration extra_delay(splitdsl::detail::xoshiro256& random) const {
        if (now.jitter <= duration{0}) return now.delay;
        return now.delay + from_seconds(to_seconds(now.jitter) * random.uniform());
    }
};

} // namespace splitdsl::link::detail
