// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file all_edge.hpp
/// The baseline that never sends anything.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>

namespace splitdsl::policy {

/// Every frame runs on the edge, whatever the link does (SAGE-20). Cost: none.
struct all_edge {
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};
static_assert(scheduler_policy<all_edge> && falls_back_v<all_edge>);

} // namespace splitdsl::policy
