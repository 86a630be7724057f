// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file several_servers.hpp
/// What an edge does otherwise where its line leads to several servers (runtime/servers.hpp) instead of one.
#pragma once

#include <splitdsl/runtime/frame_rules.hpp>

#include <limits>

namespace splitdsl::detail {

/// One of several is chosen for every frame.
template <class Line>
inline constexpr bool several_servers_v = requires { typename Line::several_servers; };

/// Each server has a circuit breaker of its own; the frame machine's stays closed.
template <class Line>
frame_rules rules_over(frame_rules r) {
    if constexpr (several_servers_v<Line>) r.breaker.failures_to_open = std::numeric_limits<int>::max();
    return r;
}

/// Before the policy is asked: who gets this frame, should it leave from behind `stage`; -1 is the input. Not while the frame is finished here.
template <class Line, class Machine>
void choose_server([[maybe_unused]] Line* line, [[maybe_unused]] const Machine& machine, [[maybe_unused]] int stage, [[maybe_unused]] instant due, [[maybe_unused]] instant now) {
    if constexpr (several_servers_v<Line>) {
        const frame_rules& r = machine.rulebook();
        const int cut = stage < 0 ? -1 : r.cut_behind(stage);
        if (line == nullptr || cut >= r.cuts || (stage >= 0 && (cut < 0 || machine.now_is() != Machine::state::running))) return;
        const duration left = due - now;
        line->choose(cut, left - r.last_resort_lead - r.kept(stage + 1, left).value_or(duration{}), now);
    }
}

/// Whatever comes of the frame from here on comes too late.
template <class Line>
void frame_over([[maybe_unused]] Line* line) noexcept {
    if constexpr (several_servers_v<Line>)
        if (line != nullptr) line->over();
}

} // namespace splitdsl::detail
