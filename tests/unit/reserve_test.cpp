// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file reserve_test.cpp
/// The reserve follows what the tail takes: one busy moment does not stay, throttling is noticed, and the deadline holds throughout. And what
/// frames keep where it does not fit.
#include "../catch.hpp"

#include "machine_cases.hpp"

#include <splitdsl/runtime/reserve_keeper.hpp>

#include <cstdint>
#include <vector>

namespace {

constexpr int window = recent_times::window;

struct tail_world {
    std::vector<cut_info> cuts{{"uplink", 936, 0}};
    pipeline net{.stages = 3, .cuts = cuts};
    edge_options options{.deadline = 100ms, .last_resort_lead = 1ms, .calibration_runs = 100};

    /// A keeper for a head of 10 ms and a tail of two stages, measured as `tail` each.
    splitdsl::detail::reserve_keeper keeper(duration tail, std::span<const duration> paced = {}) const {
        stage_profile measured{.stages = 3};
        measured.p99 = measured.median = {10ms, tail, tail};
        return {net, options, paced, measured};
    }
};

/// Runs that lost their processor differ from what `preemptions` said before by at least one.
constexpr std::int64_t elsewhere = -1;

template <class Keeper>
void tail_runs(Keeper& k, duration each, int times = 1, bool preempted = false) {
    for (int i = 0; i < times; ++i)
        for (const int stage : {1, 2}) k.add(stage, each, preempted ? elsewhere : k.preemptions());
}

} // namespace

TEST_CASE("recent times: the second largest of a full window, never below what was known before it is full") {
    recent_times seen{1};
    CHECK(seen.p99(0, 7ms) == 7ms);
    for (int i = 1; i <= window; ++i) {
        CHECK(seen.p99(0, 50ms) == 50ms);
        seen.add(0, i * 1us, false);
    }
    CHECK(seen.p99(0, 50ms) == (window - 1) * 1us);
    seen.add(0, 60ms, false); // one run of a window may be anything
    CHECK(seen.p99(0, 50ms) == window * 1us);
    seen.add(0, 61ms, false);
    CHECK(seen.p99(0, 0ms) == 60ms);
    for (int i = 0; i < window - 1; ++i) seen.add(0, 3us, false);
    CHECK(seen.p99(0, 50ms) == 3us); // 60 ms are forgotten
}

TEST_CASE("recent times: runs that lost their processor do not count, as long as they are few") {
    recent_times seen{1};
    for (int i = 0; i < window; ++i) seen.add(0, i < recent_times::few ? 40ms : 200us, i < recent_times::few);
    CHECK(seen.p99(0, 1ms) == 200us);
    for (int i = 0; i < window; ++i) seen.add(0, i <= recent_times::few ? 40ms : 200us, i <= recent_times::few);
    CHECK(seen.p99(0, 1ms) == 40ms); // a machine that is shared for good is that slow
}

TEST_CASE("a first measurement takes the undisturbed runs, if there are enough of them") {
    splitdsl::detail::first_times seen{};
    for (int i = 0; i < 19; ++i) seen.add(200us, false);
    seen.add(40ms, true);
    seen.add(41ms, true);
    CHECK(seen.quantile(0.99) >= 40ms); // 19 are too few to leave out what the others say
    seen.add(200us, false);
    CHECK(to_milliseconds(seen.quantile(0.99)) == Approx(0.2).epsilon(0.04));
    CHECK(to_milliseconds(seen.quantile(0.5)) == Approx(0.2).epsilon(0.04));
}

TEST_CASE("a first measurement of a few runs takes what there is") {
    splitdsl::detail::first_times seen{};
    for (int i = 0; i < 5; ++i) seen.add(2ms, false);
    CHECK(seen.quantile(0.99) >= 2ms);
    CHECK(splitdsl::detail::first_times{}.quantile(0.99) == 0ms);
}

TEST_CASE("a reserve from a busy start shrinks to twice what the tail takes, once a window has shown it") {
    const tail_world w{};
    auto k = w.keeper(25ms);
    frame_rules r = k.rules();
    CHECK(k.reserve() == 100ms);
    CHECK_FALSE(k.profile().fits(k.rules()));
    CHECK(k.profile().tail_fits(k.rules())); // 10 ms, 50 ms and 1 ms
    CHECK_FALSE(w.keeper(44501us).profile().tail_fits(w.keeper(44501us).rules()));
    CHECK(w.keeper(44500us).profile().tail_fits(w.keeper(44500us).rules()));
    tail_runs(k, 100us, window - 1);
    k.adopt(r);
    CHECK(k.reserve() == 100ms);
    tail_runs(k, 100us);
    CHECK(k.adopt(r));
    CHECK(k.reserve() == 400us);
    CHECK(r.remaining[1] == 400us);
    CHECK(r.remaining[2] == 200us);
    CHECK(r.remaining[0] == 400us + 20ms);
    CHECK(k.rules().remaining[2] == 200us);
    CHECK(k.profile().p99[1] == 100us);
    CHECK(k.profile().fits(k.rules()));
    CHECK_FALSE(k.adopt(r)); // nothing new
}

TEST_CASE("the reserve asked for and the device profile are never undercut, and 0 calibration runs leave the reserve alone") {
    tail_world w{};
    w.options.reserve = 8ms;
    {
        auto k = w.keeper(25ms);
        frame_rules r = k.rules();
        tail_runs(k, 100us, window);
        k.adopt(r);
        CHECK(k.reserve() == 8ms);
        CHECK((r.remaining[1] == 8ms && r.once(1) == 200us)); // what was asked for is no part of what the tail takes
        CHECK((k.rules().remaining[1] == 8ms && k.rules().once(1) == 200us));
        tail_runs(k, 3ms, 2);
        k.adopt(r);
        CHECK(k.reserve() == 12ms);
    }
    {
        w.options.reserve = {};
        const std::array<duration, 3> paced{10ms, 5ms, 5ms};
        auto k = w.keeper(25ms, paced);
        frame_rules r = k.rules();
        tail_runs(k, 100us, window);
        k.adopt(r);
        CHECK(k.reserve() == 20ms);
    }
    w.options.reserve = 8ms;
    w.options.calibration_runs = 0;
    auto k = w.keeper(0ms);
    frame_rules r = k.rules();
    tail_runs(k, 30ms, 2 * window);
    CHECK_FALSE(k.adopt(r));
    CHECK(k.reserve() == 8ms);
    CHECK(r.once(1) == 4ms); // all that is known of the tail is that twice its p99 was asked for
}

TEST_CASE("a machine takes new reserves between frames only") {
    frame_machine m{always_offload{}, rules()};
    frame_rules wider = rules();
    wider.remaining[1] = 60ms;
    const auto c = offload(m, 1, t0);
    m.keep_reserves(wider);
    CHECK(c.until == at(79ms));
    CHECK(m.timer(at(78ms)).until == at(79ms)); // this frame's reserve stays what it began with
    m.timer(at(79ms));
    m.stage_done(at(85ms), good);
    m.stage_done(at(90ms), good);
    m.published(true, at(90ms));
    m.keep_reserves(wider);
    CHECK(offload(m, 2, at(200ms)).until == at(200ms + 39ms));
    m.published(true, at(250ms));
    wider.remaining[1] = 95ms;
    wider.remaining_once[1] = 30ms;
    m.keep_reserves(wider);
    CHECK(offload(m, 3, at(400ms)).until == at(400ms + 69ms));
}

TEST_CASE("where no local tail can be in time the frame waits for the cloud, as long as an answer counts") {
    frame_machine m{always_offload{}, rules()};
    const auto send = [&](std::uint32_t n, instant start) {
        m.begin(n, start, start, good);
        REQUIRE(m.stage_done(start + 89ms, good).what == kind::offload);
        return m.handed_over(start + 90ms, true, 7); // 9 ms to the last resort, 10 for the tail
    };
    const auto c = send(1, t0);
    REQUIRE(c.what == kind::wait);
    CHECK(c.until == at(99ms));
    SECTION("it answers") {
        CHECK(m.reply({.sequence = 1, .epoch = 7}, at(98ms), good).source == answer_source::cloud);
        m.published(true, at(98ms));
    }
    SECTION("it does not: last resort, and a failed offload as any") {
        CHECK(m.timer(c.until).what == kind::last_resort);
        m.published(false, at(99ms));
        for (std::uint32_t n = 2; n <= 3; ++n) {
            send(n, t0 + 100ms * n);
            CHECK(m.timer(t0 + 100ms * n + 99ms).what == kind::last_resort);
            m.published(false, t0 + 100ms * n + 99ms);
        }
        CHECK(m.counters().breaker_openings == 1);
    }
    SECTION("it refuses, or the link dies: no tail is begun in vain") {
        if (GENERATE(true, false))
            CHECK(m.reply({.sequence = 1, .epoch = 7, .shed = true}, at(93ms), good).what == kind::last_resort);
        else
            CHECK(m.link_changed(false, at(93ms), {}).what == kind::last_resort);
        m.published(false, at(93ms));
    }
    CHECK(m.counters().rolled_back == 0);
    CHECK(m.counters().covered_misses == 0);
    CHECK(m.counters().uncovered == m.counters().frames);
    // What the link did not take is computed here, as any local frame.
    m.begin(9, at(1s), at(1s), good);
    if (m.stage_done(at(1089ms), good).what == kind::offload) CHECK(m.handed_over(at(1090ms), false, 7).what == kind::run);
}

TEST_CASE("a frame that had no time to wait at all says nothing about the link") {
    frame_machine m{always_offload{}, rules()};
    const duration late = GENERATE(duration{79ms}, duration{99ms}); // as much as the reserve left; nothing left
    for (std::uint32_t n = 1; n <= 5; ++n) {
        const instant start = t0 + 200ms * n;
        m.begin(n, start, start, good);
        REQUIRE(m.stage_done(start + late, good).what == kind::offload);
        CHECK(m.handed_over(start + late, true, 7).what == (late == 79ms ? kind::run : kind::last_resort));
        m.published(false, start + 99ms);
    }
    CHECK(m.breaker_is() == circuit_breaker::state::closed);
    CHECK(m.counters().breaker_openings == 0);
    // Nor is it the probe frame of a breaker that feels its way back: the next one is.
    instant start = at(2s);
    for (std::uint32_t n = 11; n <= 13; ++n, start += 100ms) {
        m.timer(offload(m, n, start).until);
        m.published(true, start + 99ms);
    }
    REQUIRE(m.breaker_is() == circuit_breaker::state::open);
    start += 1s;
    m.begin(14, start, start, good);
    REQUIRE(m.stage_done(start + late, good).what == kind::offload);
    m.handed_over(start + late, true, 7);
    m.published(false, start + 99ms);
    CHECK(offload(m, 15, start + 200ms).what == kind::wait);
}

namespace {
/// Notes the budget at the frame's start and at each stage's end.
struct budget_reader : stay_local {
    budget *seen{}, *at_start{};
    action on(frame_start, const link_view&, const budget& b) noexcept { return *at_start = b, action::go_on(); }
    action on(stage_done, const link_view&, const budget& b) noexcept { return *seen = b, action::go_on(); }
    using stay_local::on;
};
} // namespace

TEST_CASE("a policy's budget keeps the reserve free, the tail once, or nothing but the lead") {
    budget b{}, start{};
    budget_reader reader{};
    reader.seen = &b;
    reader.at_start = &start;
    frame_machine m{reader, rules()};
    const auto kept = [&](duration head) {
        m.begin(1, t0, t0, good);
        m.stage_done(at(head), good);
        m.published(true, at(head));
        return b.reserve;
    };
    CHECK(kept(79ms) == 20ms + 1ms);
    CHECK(kept(79ms + 1ns) == 10ms + 1ms);
    CHECK(kept(89ms) == 10ms + 1ms);
    CHECK(kept(89ms + 1ns) == 1ms);
    CHECK(b.for_reply() == 10ms - 1ns);
    // Of a whole input the local tail is the whole network: 50 ms, 25 once. The frame is covered here as long as 15 ms for the head and the tail's 20 fit.
    const auto kept_of_input = [&](duration queued) {
        m.begin(1, t0, at(queued), good);
        m.published(true, at(queued));
        return start.reserve;
    };
    CHECK(kept_of_input(49ms) == 50ms + 1ms);
    CHECK(kept_of_input(49ms + 1ns) == 51ms - 1ns); // all that is left
    CHECK(start.for_reply() == 0ms);
    CHECK(kept_of_input(64ms) == 36ms);
    CHECK(kept_of_input(64ms + 1ns) == 25ms + 1ms);
    CHECK(kept_of_input(74ms + 1ns) == 1ms);
}

TEST_CASE("a tail that grows slower, as by heat, gets its reserve within two fallbacks, and no covered frame is missed") {
    // Virtual time: the link is silent, so every frame falls back. From frame 40 on the tail takes three times as long, from frame 400 on as before.
    tail_world w{};
    w.options.breaker.failures_to_open = 1'000'000;
    auto k = w.keeper(4ms);
    frame_machine m{always_offload{}, k.rules()};
    int held = 0;
    for (int n = 1; n <= 800; ++n) {
        const instant start = at(n * 200ms);
        const duration each = n >= 40 && n < 400 ? 12ms : 4ms;
        command c = offload(m, static_cast<std::uint32_t>(n), start);
        instant now = start + 11ms;
        if (c.what == kind::wait) c = m.timer(now = c.until);
        const instant sentinel = start + 100ms - 500us;
        while (c.what == kind::run) {
            k.add(c.stage, each, k.preemptions());
            now += each;
            if (now > sentinel) break; // the last resort has answered
            c = m.stage_done(now, good);
        }
        const bool own = now <= sentinel;
        held += !own;
        m.published(own, std::min(now, sentinel));
        if (frame_rules r = m.rulebook(); k.adopt(r)) m.keep_reserves(r);
        if (n == 39) CHECK(k.reserve() == 16ms);
        if (n == 399) CHECK(k.reserve() == 48ms);
    }
    CHECK(held == 2);
    CHECK(k.reserve() == 16ms);
    CHECK(m.counters().covered_misses == 0);
    CHECK(m.counters().frames == 800);
    CHECK(m.counters().uncovered == 2);
}
