// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file breaker.hpp
/// Circuit breaker: stops offloading after repeated failures and feels its way back with one probe frame at a time.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace splitdsl {

/// When to stop offloading, and when to try again.
struct breaker_options {
    int failures_to_open{3};                              ///< consecutive failed offloads
    duration first_pause{std::chrono::milliseconds{250}}; ///< before the first probe frame
    duration longest_pause{std::chrono::seconds{4}};      ///< each failed probe doubles the pause up to here
};

/// Closed: every frame may offload. Open: none may. Half open: one probe frame may, its outcome decides.
///
/// Pure: no clock, no allocation. `failed` in the open state changes nothing, so a late failure cannot prolong a pause.
class circuit_breaker {
public:
    enum class state : std::uint8_t { closed, open, half_open };

    constexpr circuit_breaker() = default;
    constexpr explicit circuit_breaker(const breaker_options& o) : options{o}, pause{o.first_pause} {}

    /// May the frame that asks now be offloaded? Time turns open into half open here.
    constexpr bool allows(instant now) {
        if (is == state::open && now >= retry_at) {
            is = state::half_open;
            probing = false;
        }
        return is == state::closed || (is == state::half_open && !probing);
    }
    /// The frame was offloaded.
    constexpr void sent() {
        if (is == state::half_open) probing = true;
    }
    /// A valid reply came in time.
    constexpr void succeeded() {
        is = state::closed;
        failures = 0;
        probing = false;
        pause = options.first_pause;
    }
    /// An offloaded frame had to be answered here.
    constexpr void failed(instant now) {
        if (is == state::open) return;
        ++failures;
        if (is == state::half_open) {
            pause = std::min(pause * 2, options.longest_pause);
            open_for(pause, now);
        } else if (failures >= options.failures_to_open) {
            pause = options.first_pause;
            open_for(pause, now);
        }
    }
    /// The link came back (a new connection, or a silent one speaks again): worth a probe frame as soon as the first pause,
    /// not the doubled one, is over. Not sooner, so that a link that flaps does not undo the breaker.
    constexpr void link_returned() {
        if (is == state::open) retry_at = std::min(retry_at, opened_at + options.first_pause);
    }
    constexpr state now_is() const { return is; }
    /// No frame may be offloaded before this; closed and half open: the clock's beginning.
    constexpr instant open_until() const { return is == state::open ? retry_at : instant::min(); }
    constexpr int failures_in_a_row() const { return failures; }
    constexpr std::uint64_t times_opened() const { return openings; }
    constexpr duration current_pause() const { return pause; }

private:
    constexpr void open_for(duration d, instant now) {
        is = state::open;
        opened_at = now;
        retry_at = now + d;
        probing = false;
        ++openings;
    }

    breaker_options options{};
    state is{state::closed};
    bool probing{};
    int failures{};
    duration pause{};
    instant opened_at{}, retry_at{};
    std::uint64_t openings{};
};

} // namespace splitdsl
