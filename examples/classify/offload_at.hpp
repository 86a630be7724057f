// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file offload_at.hpp
/// The policy of somebody who has decided already: every frame is offloaded at one cut.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>

namespace classify {

/// Offloads at `cut` (-1: the input); the runtime answers here whatever the link does not answer.
struct offload_at {
    int cut{-1};

    constexpr splitdsl::action on(splitdsl::frame_start, const splitdsl::link_view&, const splitdsl::budget&) const noexcept {
        return cut < 0 ? splitdsl::action::offload_at(cut) : splitdsl::action::go_on();
    }
    constexpr splitdsl::action on(splitdsl::stage_done s, const splitdsl::link_view&, const splitdsl::budget&) const noexcept {
        return cut >= 0 && s.cut == cut ? splitdsl::action::offload_at(cut) : splitdsl::action::go_on();
    }
    constexpr splitdsl::verdict on(splitdsl::reply_arrived, const splitdsl::link_view&, const splitdsl::budget&) const noexcept { return splitdsl::verdict::accept; }
    constexpr splitdsl::action on(splitdsl::link_event, const splitdsl::link_view&, const splitdsl::budget&) const noexcept { return splitdsl::action::nothing(); }
};
static_assert(splitdsl::scheduler_policy<offload_at>);

} // namespace classify
