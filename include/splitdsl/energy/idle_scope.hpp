// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file idle_scope.hpp
/// Which of a frame's waiting counts as idle energy.
#pragma once

#include <cstdint>
#include <string_view>

namespace splitdsl {

/// Which waiting a device is charged idle power for while its frame is away. SAGE is not consistent about it: its PX2 figures
/// follow `wait`, its TX2 figures `transmit_and_wait` (docs/design/energy.md), so reports print both.
enum class idle_scope : std::uint8_t {
    wait,               ///< the text of SAGE 3.5: while the cloud computes and its answer is received
    transmit_and_wait   ///< from the end of the head until the answer: what a power meter would see
};

constexpr std::string_view to_text(idle_scope s) { return s == idle_scope::wait ? "wait" : "transmit_and_wait"; }

} // namespace splitdsl
