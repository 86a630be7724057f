// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file policy_sketches.cpp
/// Strategies of other papers in a few lines each, to prove that the one concept fits them. Every script runs while compiling.
#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <array>
#include <chrono>

namespace sketches {
using namespace splitdsl;
using namespace std::chrono_literals;

/// FLEET: features leave at every stage while the device computes on; the cloud answers from an exit of its own; a confident reply ends the
/// frame, and levels go out small to large until the next layer's features are ready.
struct fleet {
    float confidence{0.8F};
    int levels{3};
    int stream{-1};         // the stream now being sent
    int level{};

    constexpr action on(frame_start, const link_view&, const budget&) noexcept {
        stream = -1;
        return action::go_on();
    }
    constexpr action on(stage_done s, const link_view& link, const budget&) noexcept {
        if (!link.up) return action::go_on();
        stream = s.stage;   // whatever was not sent of the stage before is dropped
        level = 0;
        return action::stream_out(s.stage);
    }
    constexpr verdict on(reply_arrived r, const link_view&, const budget&) noexcept { return r.confidence >= confidence ? verdict::accept : verdict::keep_going; }
    constexpr action on(link_event e, const link_view&, const budget&) noexcept {
        if (e.what == link_event::kind::down) return {.what = action::kind::stop};
        if (e.what != link_event::kind::acknowledged || e.stream != stream || e.level != level || level + 1 >= levels) return action::nothing();
        return {.what = action::kind::send_next, .stream = stream, .level = ++level};
    }
};

/// The compression cascade (Liang et al.): the small network's exit answers if it is sure, else the input goes to the big network.
struct cascade {
    float confidence{0.5F};
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view& link, const budget&) noexcept {
        if (s.exit < 0) return action::go_on();
        return s.confidence >= confidence || !link.up ? action::answer_with(s.exit) : action::offload_at(-1);
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};

/// BranchyNet: the first exit that is sure enough answers; nothing is ever sent.
struct branchynet {
    std::array<float, 4> thresholds{0.9F, 0.8F, 0.7F, 0.6F};
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view&, const budget&) noexcept {
        const bool sure = s.exit >= 0 && s.exit < 4 && s.confidence >= thresholds[static_cast<std::size_t>(s.exit)];
        return sure ? action::answer_with(s.exit) : action::go_on();
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};

static_assert(scheduler_policy<fleet> && scheduler_policy<cascade> && scheduler_policy<branchynet>);

// What is not a policy: one event missing, one that may throw, one that answers with the wrong type.
struct misses_an_event : policy::all_edge {
    action on(frame_start, const link_view&, const budget&) noexcept;
};
struct may_throw {
    action on(frame_start, const link_view&, const budget&);
    action on(stage_done, const link_view&, const budget&) noexcept;
    verdict on(reply_arrived, const link_view&, const budget&) noexcept;
    action on(link_event, const link_view&, const budget&) noexcept;
};
struct says_yes_or_no {
    bool on(frame_start, const link_view&, const budget&) noexcept;
    bool on(stage_done, const link_view&, const budget&) noexcept;
    bool on(reply_arrived, const link_view&, const budget&) noexcept;
    bool on(link_event, const link_view&, const budget&) noexcept;
};
static_assert(!scheduler_policy<misses_an_event> && !scheduler_policy<may_throw> && !scheduler_policy<says_yes_or_no> && !scheduler_policy<int>);

constexpr link_view up{.up = true, .rate_up = megabits_per_second(1)};
constexpr link_view down{};
constexpr budget time_left{.deadline = instant{100ms}};

constexpr bool fleet_script() {
    fleet p;
    if (p.on(frame_start{1}, up, time_left).what != action::kind::proceed) return false;
    // Every stage streams and computes on.
    for (int stage = 0; stage < 3; ++stage) {
        const action a = p.on(stage_done{.frame = 1, .stage = stage}, up, time_left);
        if (a.what != action::kind::stream || a.stream != stage) return false;
    }
    // Acknowledged levels of the newest stream pull the next ones, up to the last.
    const auto acknowledged = [&](int stream, int level) { return p.on(link_event{link_event::kind::acknowledged, 1, stream, level}, up, time_left); };
    if (acknowledged(1, 0).what != action::kind::none) return false;        // an old stream
    action a = acknowledged(2, 0);
    if (a.what != action::kind::send_next || a.stream != 2 || a.level != 1) return false;
    a = acknowledged(2, 1);
    if (a.what != action::kind::send_next || a.level != 2) return false;
    if (acknowledged(2, 2).what != action::kind::none) return false;
    // An unsure reply does not stop the device, a sure one does.
    if (p.on(reply_arrived{.frame = 1, .exit = 0, .confidence = 0.6F}, up, time_left) != verdict::keep_going) return false;
    if (p.on(reply_arrived{.frame = 1, .exit = 1, .confidence = 0.85F}, up, time_left) != verdict::accept) return false;
    // A dead link: no streams, the device computes on alone.
    if (p.on(link_event{link_event::kind::down}, down, time_left).what != action::kind::stop) return false;
    return p.on(stage_done{.frame = 2, .stage = 0}, down, time_left).what == action::kind::proceed;
}
static_assert(fleet_script());

constexpr bool cascade_script() {
    cascade p;
    if (p.on(stage_done{.stage = 0}, up, time_left).what != action::kind::proceed) return false;
    action a = p.on(stage_done{.stage = 1, .exit = 0, .confidence = 0.7F}, up, time_left);
    if (a.what != action::kind::answer || a.exit != 0) return false;
    a = p.on(stage_done{.stage = 1, .exit = 0, .confidence = 0.3F}, up, time_left);
    if (a.what != action::kind::offload || a.cut != -1) return false;
    return p.on(stage_done{.stage = 1, .exit = 0, .confidence = 0.3F}, down, time_left).what == action::kind::answer;
}
static_assert(cascade_script());

constexpr bool branchynet_script() {
    branchynet p;
    if (p.on(stage_done{.stage = 0, .exit = 0, .confidence = 0.85F}, up, time_left).what != action::kind::proceed) return false;
    const action a = p.on(stage_done{.stage = 1, .exit = 1, .confidence = 0.85F}, up, time_left);
    return a.what == action::kind::answer && a.exit == 1;
}
static_assert(branchynet_script());

} // namespace sketches
