// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file all_cloud.hpp
/// The baseline that always sends the whole input and has nothing to fall back on.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>

namespace splitdsl::policy {

/// Sends the input of every frame, also over a link that cannot carry it in time: this baseline may miss (SAGE-20, SAGE-21).
///
/// `falls_back` is false, so the runtime never runs the tail locally; without a reply by the deadline it holds the last answer.
struct all_cloud {
    static constexpr bool falls_back = false;
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::offload_at(-1); }
    constexpr action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};
static_assert(scheduler_policy<all_cloud> && !falls_back_v<all_cloud>);

} // namespace splitdsl::policy
