// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file machine_cases.hpp
/// Policies that do one thing each, the rules of a small network and a link: what the frame machine's tests have in common.
#pragma once

#include "../catch.hpp"

#include <splitdsl/runtime/frame_machine.hpp>

#include <cstdint>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

/// Offloads at cut 0 as soon as it may; everything else is the runtime's.
struct always_offload {
    verdict opinion{verdict::accept};
    int cut{0};
    action on(frame_start, const link_view&, const budget&) noexcept { return cut < 0 ? action::offload_at(-1) : action::go_on(); }
    action on(stage_done s, const link_view&, const budget&) noexcept { return s.stage == cut ? action::offload_at(cut) : action::go_on(); }
    verdict on(reply_arrived, const link_view&, const budget&) noexcept { return opinion; }
    action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};
struct stay_local : always_offload {
    action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
    using always_offload::on;
};
struct no_fallback : always_offload {
    static constexpr bool falls_back = false;
};
struct exit_lover : always_offload {
    action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    action on(stage_done s, const link_view&, const budget&) noexcept {
        return s.exit >= 0 && s.confidence > 0.8F ? action::answer_with(s.exit) : action::go_on();
    }
    using always_offload::on;
};
/// Begins stream k behind stage k in two sizes, pulls the next one when one is acknowledged, stops at size 3.
struct streamer : stay_local {
    static constexpr bool streams = true;
    action on(stage_done s, const link_view& l, const budget&) noexcept {
        return l.up ? action{.what = action::kind::stream, .stream = s.stage, .level = 1} : action::go_on();
    }
    action on(link_event e, const link_view&, const budget&) noexcept {
        if (e.what != link_event::kind::acknowledged) return action::nothing();
        return e.level < 3 ? action{.what = action::kind::send_next, .stream = e.stream, .level = e.level + 1} : action{.what = action::kind::stop};
    }
    using stay_local::on;
};
/// Offloads in sizes behind stage 1: one payload of size `codec`, or an answer for each of 0 .. `level`.
struct partitioner : stay_local {
    static constexpr bool streams = true;
    int codec{-1}, level{-1};
    action on(stage_done s, const link_view&, const budget&) noexcept {
        return s.stage == 1 ? action{.what = action::kind::offload, .cut = 1, .codec = codec, .level = level} : action::go_on();
    }
    verdict on(reply_arrived r, const link_view&, const budget&) noexcept { return r.confidence > 0.8F ? verdict::accept : verdict::keep_going; }
    using stay_local::on;
};
/// The whole input, once a stage's exit was not sure.
struct unsure : stay_local {
    action on(stage_done s, const link_view&, const budget&) noexcept { return s.stage == 1 ? action::offload_at(-1, 2) : action::go_on(); }
    using stay_local::on;
};
static_assert(streams_v<streamer> && !streams_v<stay_local> && scheduler_policy<streamer>);
static_assert(
    scheduler_policy<always_offload> && scheduler_policy<stay_local> && scheduler_policy<no_fallback> && scheduler_policy<exit_lover>);

/// Head (stage 0), cut 0, tail of two stages with 20 ms reserved in all; deadline 100 ms, sentinel 1 ms before it.
inline frame_rules rules() {
    frame_rules r{.stages = 3, .cuts = 1, .deadline = 100ms, .last_resort_lead = 1ms};
    r.stage_of_cut[0] = 0;
    r.remaining[0] = 50ms;
    r.remaining[1] = 20ms;
    r.remaining[2] = 10ms;
    return r;
}
constexpr instant t0{std::chrono::seconds{1000}};
constexpr instant at(duration d) { return t0 + d; }
constexpr link_view good{.up = true, .rate_up = {1e6}, .rate_down = {1e6}, .rtt = 10ms};
using kind = command::kind;

/// Frame `n` up to its wait, the payload handed over 11 ms after its start on connection `epoch`.
template <class Machine>
command offload(Machine& m, std::uint32_t n, instant start, std::uint32_t epoch = 7) {
    REQUIRE(m.begin(n, start, start, good).what == kind::run);
    const auto c = m.stage_done(start + 10ms, good);
    REQUIRE(c.what == kind::offload);
    REQUIRE(c.cut == 0);
    return m.handed_over(start + 11ms, true, epoch);
}

} // namespace
