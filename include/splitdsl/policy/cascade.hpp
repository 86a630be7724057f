// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cascade.hpp
/// Whole inputs to the cloud: always, or, in a cascade, only where a small network on the device is unsure.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <string>

namespace splitdsl::policy {

/// Offloads every input, as it is or as JPEG of a quality (`codec`, an index among the input's encodings), and falls back to the device's
/// own network when no answer comes. The baseline "JPEG" of FLEET; `all_cloud` is the one that never falls back.
class offload_input {
public:
    explicit offload_input(int codec = -1) : how(codec) {
        if (codec < -1) throw option_error("policy offload_input: expected an encoding of -1 or more, found " + std::to_string(codec));
    }
    constexpr action on(frame_start, const link_view& link, const budget&) noexcept {
        return link.up ? action::offload_at(-1, how) : action::go_on(stay_reason::link_down);
    }
    constexpr action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

private:
    int how;
};
static_assert(scheduler_policy<offload_input> && falls_back_v<offload_input>);

/// The compression cascade (Liang et al., "AI on the Edge", section 5): a small network's exit answers if it is sure, else the input
/// goes to the big network on the cloud. Without a link the small one answers. O(1) per decision.
/// Refused by the constructor (option_error): a confidence below 0 or not a number, an encoding below -1.
///
/// ```cpp body
/// policy::cascade p{0.8F};
/// bool worth = policy::cascade_pays(0.26, from_milliseconds(13.5), 4ms, 6ms); // 26 % of the inputs go on
/// ```
class cascade {
public:
    explicit cascade(float confidence, int codec = -1) : sure(confidence), how(codec) {
        if (!(confidence >= 0))
            throw option_error("policy cascade: expected a confidence of at least 0, found " + splitdsl::detail::number_text(confidence));
        if (codec < -1) throw option_error("policy cascade: expected an encoding of -1 or more, found " + std::to_string(codec));
    }
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view& link, const budget&) noexcept {
        if (s.exit < 0) return action::go_on();
        return s.confidence >= sure || !link.up ? action::answer_with(s.exit) : action::offload_at(-1, how);
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

private:
    float sure;
    int how;
};
static_assert(scheduler_policy<cascade> && falls_back_v<cascade>);

/// Largest share of inputs that may go on to the big network so that the cascade is faster than sending all of them:
/// T_small + p (T_net + T_big) < T_net + T_big, hence p < 1 - T_small / (T_net + T_big). Below 0: it never is. 0 where sending takes no time.
/// Source: after Liang et al., section 5.2.
constexpr double cascade_limit(duration small, duration link, duration big) {
    const double send = to_seconds(link) + to_seconds(big);
    return send > 0 ? 1 - to_seconds(small) / send : 0;
}
/// Whether a cascade that passes on this share of its inputs is faster on average than sending all of them.
constexpr bool cascade_pays(double share, duration small, duration link, duration big) { return share < cascade_limit(small, link, big); }

} // namespace splitdsl::policy
