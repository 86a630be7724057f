// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file one_of.hpp
/// A policy chosen when the program runs: one type for several, so that edge and simulator are compiled once.
#pragma once

#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

namespace splitdsl::policy {

/// Holds one of the policies and hands every event to it. Begins streams if any of them does; falls back if all of them do. O(1) more a
/// decision, no allocation; as large as the largest.
///
/// ```cpp body
/// using any = policy::one_of<policy::fleet, policy::local_early_exit, policy::cascade>;
/// edge_core<any> device{net, packed, any{policy::cascade{0.8F}}, options, std::move(way)};
/// ```
template <scheduler_policy... P>
class one_of {
    template <class Q>
    static constexpr bool begins_streams() {
        if constexpr (requires { Q::streams; })
            return static_cast<bool>(Q::streams);
        else
            return false;
    }

public:
    static constexpr bool streams = (begins_streams<P>() || ...);
    static constexpr bool falls_back = (falls_back_v<P> && ...);

    template <class Q>
        requires(std::same_as<std::remove_cvref_t<Q>, P> || ...)
    explicit one_of(Q&& chosen) : held{std::forward<Q>(chosen)} {}

    action on(frame_start f, const link_view& l, const budget& b) noexcept { return tell(f, l, b); }
    action on(stage_done s, const link_view& l, const budget& b) noexcept { return tell(s, l, b); }
    verdict on(reply_arrived r, const link_view& l, const budget& b) noexcept { return tell(r, l, b); }
    action on(link_event e, const link_view& l, const budget& b) noexcept { return tell(e, l, b); }

    confidence_kind confidence() const noexcept {
        return std::visit([](const auto& p) noexcept { return confidence_kind_of(p); }, held);
    }

private:
    template <class Event>
    auto tell(Event e, const link_view& l, const budget& b) noexcept {
        return std::visit([&](auto& p) noexcept { return p.on(e, l, b); }, held);
    }
    std::variant<P...> held;
};

} // namespace splitdsl::policy
