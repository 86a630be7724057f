// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stay_test.cpp
/// Why a frame was not offloaded: each policy's reason, counted by cause; what is covered without a reserve; how sure an exit is.
#include "../catch.hpp"

#include "machine_cases.hpp"

#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/one_of.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/weighted.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/link_picture.hpp>

#include <array>
#include <cmath>
#include <string>

namespace {

/// Head 10 ms, tail 20 ms here and 1 ms there, 1000 bytes up; sending costs nothing.
deployment costs() {
    deployment d;
    d.cuts = 1;
    d.cut[0] = {{1000}, 10ms, 20ms, 1ms, watts{4} * 10ms, watts{4} * 20ms};
    d.edge_total = 30ms;
    d.edge_energy = watts{4} * 30ms;
    d.input = {5000};
    d.cloud_total = 2ms;
    d.reply = {64};
    d.deadline = 100ms;
    return d;
}
constexpr link_view fast{.up = true, .rate_up = {10e6}, .rate_down = {10e6}, .rtt = 10ms, .age = 50ms};
constexpr budget left(duration reserve) { return {at(10ms), at(100ms), reserve}; }
constexpr stage_done at_the_cut{.stage = 0, .cut = 0};

template <class Policy>
stay_reason reason(Policy p, const link_view& l, const budget& b) {
    p.on(frame_start{}, l, b);
    const action a = p.on(at_the_cut, l, b);
    CHECK((a.what == action::kind::offload) == (a.why == stay_reason::none));
    return a.why;
}
template <class Change>
link_view but(Change c) {
    link_view l = fast;
    c(l);
    return l;
}

} // namespace

TEST_CASE("sage and weighted say what speaks against an offload, and nothing where they offload") {
    const policy::sage sage{costs()};
    const policy::weighted weighted{costs(), {.may_send_input = false}};
    const auto both = [&](const link_view& l, const budget& b, stay_reason want) {
        CHECK(to_text(reason(sage, l, b)) == std::string{to_text(want)});
        CHECK(to_text(reason(weighted, l, b)) == std::string{to_text(want)});
    };
    both(fast, left(40ms), stay_reason::none);
    both(but([](auto& l) { l.up = false; }), left(40ms), stay_reason::link_down);
    both(but([](auto& l) { l.busy = true; }), left(40ms), stay_reason::link_busy);
    both(but([](auto& l) { l.age = duration::max(); }), left(40ms), stay_reason::no_rate);
    both(but([](auto& l) { l.rate_up = {}; }), left(40ms), stay_reason::no_rate);
    both(but([](auto& l) { l.age = 2s; }), left(40ms), stay_reason::stale);
    both(fast, left(85ms), stay_reason::no_time); // 90 ms left, 11 ms for round trip and cloud
    both(but([](auto& l) { l.rate_up = {100e3}; }), left(40ms), stay_reason::rate_too_low);
    deployment cheap = costs();
    cheap.cut[0].tail_energy = {};
    cheap.cut[0].edge_tail = 1ms;
    cheap.edge_total = 11ms;
    cheap.edge_energy = cheap.cut[0].head_energy;
    CHECK(reason(policy::sage{cheap}, fast, left(40ms)) == stay_reason::no_saving);
    CHECK(reason(policy::weighted{cheap, {.may_send_input = false}}, fast, left(40ms)) == stay_reason::no_saving);
}

TEST_CASE("the other policies that offload say why they stay") {
    const link_view down{};
    CHECK(reason(policy::clio{{}}, down, left(40ms)) == stay_reason::link_down);
    CHECK(policy::offload_input{}.on(frame_start{}, down, left(40ms)).why == stay_reason::link_down);
    policy::neurosurgeon n{costs(), {}};
    CHECK(n.on(frame_start{}, down, left(40ms)).why == stay_reason::link_down);
    CHECK(n.on(frame_start{}, but([](auto& l) { l.rtt = 1s; }), left(40ms)).why == stay_reason::no_saving);
    CHECK(n.on(frame_start{}, fast, left(40ms)).why == stay_reason::none);
    CHECK(n.on(at_the_cut, down, left(40ms)).why == stay_reason::link_down);
}

TEST_CASE("a reserve that eats the window is counted, frame by frame, and an open breaker is told from a link that is down") {
    frame_rules r = rules();
    r.remaining[1] = 85ms; // twice a tail's p99 of 42.5 ms
    r.remaining[0] = 90ms;
    frame_machine<policy::sage> m{policy::sage{costs()}, r};
    std::uint32_t frame = 0;
    const auto local = [&](auto& machine, const link_view& l) {
        ++frame;
        REQUIRE(machine.begin(frame, at(frame * 1s), at(frame * 1s), l).what == kind::run);
        command c{};
        for (duration t = 10ms; (c = machine.stage_done(at(frame * 1s + t), l)).what == kind::run; t += 10ms) {}
        REQUIRE(c.what == kind::publish);
        machine.published(true, at(frame * 1s + 30ms));
    };
    for (int i = 0; i < 20; ++i) local(m, fast);
    CHECK(m.counters().stayed == stay_counters{.no_time = 20});
    CHECK((m.counters().offload_tries == 0 && m.counters().blocked == 0));
    CHECK(to_text(m.counters().stayed) == "no time left beside the reserve 20");
    local(m, link_view{});
    CHECK(to_text(m.counters().stayed) == "link down 1, no time left beside the reserve 20");
    CHECK(m.counters().stayed.total() == 21);

    r = rules();
    r.breaker = {.failures_to_open = 1, .first_pause = 10s};
    frame_machine<policy::sage> shut{policy::sage{costs()}, r};
    REQUIRE(shut.begin(1, at(0ms), at(0ms), fast).what == kind::run);
    REQUIRE(shut.stage_done(at(10ms), fast).what == kind::offload);
    REQUIRE(shut.handed_over(at(11ms), false, 7).what == kind::run); // the link took nothing
    shut.stage_done(at(20ms), fast);
    shut.stage_done(at(30ms), fast);
    shut.published(true, at(30ms));
    CHECK(shut.offload_breaker().open_until() == at(11ms + 10s));
    CHECK(shut.offload_breaker().failures_in_a_row() == 1);
    frame = 1;
    local(shut, fast);
    local(shut, link_view{});
    CHECK(shut.counters().stayed == stay_counters{.link_down = 1, .breaker_open = 1});
}

TEST_CASE("a frame that an early exit in front of the first cut answers is covered if it is in time, and only then") {
    frame_rules r = rules();
    r.stage_of_cut[0] = 1;
    frame_machine<exit_lover> m{{}, r};
    const auto by_exit = [&](std::uint32_t n, duration when, bool own) {
        const instant start = at(n * 1s);
        REQUIRE(m.begin(n, start, start, good).what == kind::run);
        REQUIRE(m.stage_done(start + when, good, 0, 0.9F).what == kind::publish);
        m.published(own, start + when);
    };
    by_exit(1, 10ms, true);
    CHECK((m.counters().uncovered == 0 && m.counters().covered_misses == 0));
    by_exit(2, 101ms, true); // behind the deadline
    CHECK((m.counters().uncovered == 1 && m.counters().covered_misses == 0));
    by_exit(3, 99ms, false); // the sentinel was first
    CHECK((m.counters().uncovered == 2 && m.counters().covered_misses == 0));
    // Behind the cut the reserve counts, as ever: 95 ms leave too little.
    REQUIRE(m.begin(4, at(4s), at(4s), good).what == kind::run);
    REQUIRE(m.stage_done(at(4s + 90ms), good).what == kind::run);
    REQUIRE(m.stage_done(at(4s + 95ms), good).what == kind::run);
    REQUIRE(m.stage_done(at(4s + 99ms), good, 0, 0.9F).what == kind::publish);
    m.published(true, at(4s + 99ms));
    CHECK(m.counters().uncovered == 3);
}

TEST_CASE("a request that came damaged to the cloud is told from one that was late") {
    frame_machine<always_offload> m{{}, rules()};
    REQUIRE(offload(m, 1, t0).what == kind::wait);
    CHECK(m.reply({.sequence = 1, .epoch = 7, .shed = true, .damaged = true}, at(20ms), good).what == kind::run);
    CHECK((m.counters().shed == 1 && m.counters().damaged_there == 1 && m.counters().failed_there == 0));
}

TEST_CASE("an exit's probabilities become the confidence that the policy compares") {
    using policy::confidence_kind;
    const std::array<float, 5> p{0.7F, 0.3F, 0, 0, 0};
    CHECK(policy::confidence_of(p, confidence_kind::top1) == 0.7F);
    const double nats = -(0.7 * std::log(0.7) + 0.3 * std::log(0.3));
    CHECK(policy::confidence_of(p, confidence_kind::entropy) == Approx(1 - nats / std::log(5.0)).epsilon(1e-6));
    CHECK(policy::confidence_of(std::array{1.0F, 0.0F}, confidence_kind::entropy) == 1);
    CHECK(policy::confidence_of(std::array{0.25F, 0.25F, 0.25F, 0.25F}, confidence_kind::entropy) == Approx(0).margin(1e-6));
    CHECK(policy::confidence_of(std::array{1.0F}, confidence_kind::entropy) == 1);
    // Logits are no probabilities: never sure, whatever they hold.
    CHECK(policy::confidence_of(std::array{9.0F, -3.0F}, confidence_kind::entropy) == 0);
    CHECK(policy::confidence_of(std::array{9.0F, 3.0F}, confidence_kind::entropy) == 0);
    CHECK(policy::confidence_of({}, confidence_kind::entropy) == 0);

    // 0.61 nats are above 0.5 and below 0.7, at 5 classes and with each threshold.
    const exit_place place[]{{.stage = 0, .first_float = 0, .floats = 5}};
    const auto answers = [&](auto policy) {
        const auto [exit, sure] = exit_behind(0, place, p, policy::confidence_kind_of(policy));
        return policy.on(stage_done{.exit = exit, .confidence = sure}, good, left(0ms)).what == action::kind::answer;
    };
    CHECK_FALSE(answers(policy::local_early_exit::branchynet(std::array{0.5}, 5)));
    CHECK(answers(policy::local_early_exit::branchynet(std::array{0.7}, 5)));
    CHECK(answers(policy::local_early_exit::shallow_deep(0.6F, 1)));
    using any = policy::one_of<policy::local_early_exit, policy::sage>;
    CHECK_FALSE(answers(any{policy::local_early_exit::branchynet(std::array{0.5}, 5)}));
    CHECK(policy::confidence_kind_of(any{policy::sage{costs()}}) == confidence_kind::top1);
}

TEST_CASE("a downlink is 0 until a reply was measured") {
    link_picture picture;
    picture.ponged(at(10ms), at(0ms), {});
    picture.answered(at(50ms), at(20ms), {.bytes = 3000, .at_first = 0, .spread = 10ms}, 1ms);
    const link_view v = picture.view(at(60ms));
    CHECK(v.rate_up.value > 0);
    CHECK(v.rate_down.value == 0);
    CHECK(policy::known_downlink(v) == v.rate_up);
}
