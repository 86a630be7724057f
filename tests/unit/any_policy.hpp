// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file any_policy.hpp
/// Policies behind one type, so that what a test runs for each of them is compiled once.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>

#include <concepts>
#include <memory>
#include <utility>

namespace splitdsl::testing {

/// Any policy that falls back. Copies share one state.
class any_policy {
    struct held {
        virtual ~held() = default;
        virtual action on(frame_start, const link_view&, const budget&) noexcept = 0;
        virtual action on(stage_done, const link_view&, const budget&) noexcept = 0;
        virtual verdict on(reply_arrived, const link_view&, const budget&) noexcept = 0;
        virtual action on(link_event, const link_view&, const budget&) noexcept = 0;
    };
    template <class Policy>
    struct holding final : held {
        Policy policy;
        explicit holding(Policy p) : policy{std::move(p)} {}
        action on(frame_start e, const link_view& l, const budget& b) noexcept override { return policy.on(e, l, b); }
        action on(stage_done e, const link_view& l, const budget& b) noexcept override { return policy.on(e, l, b); }
        verdict on(reply_arrived e, const link_view& l, const budget& b) noexcept override { return policy.on(e, l, b); }
        action on(link_event e, const link_view& l, const budget& b) noexcept override { return policy.on(e, l, b); }
    };
    std::shared_ptr<held> it;

public:
    template <class Policy>
        requires(!std::same_as<Policy, any_policy>) && scheduler_policy<Policy> && falls_back_v<Policy>
    any_policy(Policy p) : it{std::make_shared<holding<Policy>>(std::move(p))} {}
    template <class Event>
    auto on(const Event& e, const link_view& l, const budget& b) noexcept { return it->on(e, l, b); }
};

} // namespace splitdsl::testing
