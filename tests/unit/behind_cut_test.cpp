// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file behind_cut_test.cpp
/// A middle tier's frames, which begin behind a cut: what its policy is asked, how long it waits, and what its deployment costs.
#include "machine_cases.hpp"

#include <splitdsl/policy/behind_cut.hpp>

TEST_CASE("a frame that comes in behind a cut begins at the stage behind it") {
    frame_machine m{stay_local{}, rules()};
    auto c = m.begin_behind(0, 1, at(60ms), t0, good);
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 1);
    CHECK(m.due() == at(60ms)); // not the rules' deadline
    c = m.stage_done(at(5ms), good);
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 2);
    c = m.stage_done(at(10ms), good);
    REQUIRE(c.what == kind::publish);
    CHECK(c.source == answer_source::edge);
    m.published(true, at(10ms));
    CHECK(m.counters().uncovered == 0);
    c = m.begin_behind(-1, 2, at(200ms), at(100ms), good); // a whole input
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 0);
}

TEST_CASE("what came in may be sent on as it came, named by its cut or as the frame's input, and its rest runs here in time") {
    const int cut = GENERATE(0, -1);
    frame_machine m{always_offload{verdict::accept, cut}, rules()};
    auto c = m.begin_behind(0, 1, at(60ms), t0, good);
    REQUIRE(c.what == kind::offload);
    CHECK(c.cut == cut);
    c = m.handed_over(at(1ms), true, 7);
    REQUIRE(c.what == kind::wait);
    CHECK(c.until == at(39ms)); // 20 ms for the rest, 1 ms before it is due
    SECTION("an answer in time is passed on") {
        c = m.reply({.sequence = 1, .epoch = 7}, at(30ms), good);
        REQUIRE(c.what == kind::publish);
        CHECK(c.source == answer_source::cloud);
    }
    SECTION("without one the rest begins behind the cut, not at the network's first stage") {
        c = m.timer(c.until);
        REQUIRE(c.what == kind::run);
        CHECK(c.stage == 1);
        m.stage_done(at(48ms), good);
        c = m.stage_done(at(57ms), good);
        REQUIRE(c.what == kind::publish);
        CHECK(c.source == answer_source::fallback);
        m.published(true, at(57ms));
        CHECK(m.counters().rolled_back == 1);
        CHECK(m.counters().uncovered == 0);
        CHECK(m.counters().covered_misses == 0);
    }
}

TEST_CASE("a frame that is due too soon for its rest is not covered; it runs all the same") {
    frame_machine m{stay_local{}, rules()};
    auto c = m.begin_behind(0, 1, at(10ms), t0, good);
    REQUIRE(c.what == kind::run);
    c = m.stage_done(at(9ms), good);
    REQUIRE(c.what == kind::run);
    c = m.stage_done(at(18ms), good);
    REQUIRE(c.what == kind::publish);
    m.published(true, at(18ms));
    CHECK(m.counters().uncovered == 1);
    CHECK(m.counters().covered_misses == 0);
    c = m.begin_behind(0, 2, at(50ms), at(100ms), good); // due before it came
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 1);
}

TEST_CASE("a policy hears of the frame's start and of the cut where it came in, in this order") {
    struct listener : stay_local {
        int* heard;
        explicit listener(int* to) : heard{to} {}
        action on(frame_start, const link_view&, const budget& b) noexcept {
            *heard = b.for_reply() == 39ms ? 1 : -1;
            return action::go_on();
        }
        action on(stage_done s, const link_view&, const budget&) noexcept {
            *heard = *heard * 10 + (s.cut == 0 && s.stage == 0 && s.exit == -1 ? 2 : 9);
            return action::go_on();
        }
        using stay_local::on;
    };
    int heard = 0;
    frame_machine m{listener{&heard}, rules()};
    m.begin_behind(0, 1, at(60ms), t0, good);
    CHECK(heard == 12);
}

TEST_CASE("what an offload keeps is its reserve, once the tail's time where that is all that fits, else nothing") {
    frame_machine m{always_offload{}, rules()};
    m.begin_behind(0, 1, at(60ms), t0, good);
    CHECK(m.keeps(t0) == 20ms);
    CHECK(m.keeps(at(45ms)) == 10ms);
    CHECK(m.keeps(at(55ms)) == 0ms);
    frame_machine alone{no_fallback{}, rules()};
    alone.begin_behind(0, 1, at(60ms), t0, good);
    CHECK(alone.keeps(t0) == 0ms);
}

TEST_CASE("a deployment behind a cut has the costs of what is left") {
    deployment d{.cuts = 3};
    d.deadline = 100ms;
    for (int k = 0; k < 3; ++k)
        d.cut[k] = {.payload = {1000.0 - 100 * k}, .edge_head = 10ms * (k + 1), .edge_tail = 60ms - 10ms * (k + 1), .cloud_tail = 6ms - 1ms * (k + 1), .head_energy = {0.1 * (k + 1)}, .tail_energy = {0.6 - 0.1 * (k + 1)}};
    d.edge_total = 60ms, d.edge_energy = {0.6}, d.input = {5000}, d.cloud_total = 6ms;
    const deployment b = policy::behind_cut(d, 1);
    CHECK(b.edge_total == 40ms);
    CHECK(b.edge_energy.value == d.cut[1].tail_energy.value);
    CHECK(b.input.value == 900);
    CHECK(b.cloud_total == 4ms);
    CHECK(b.cut[1].edge_head == 0ms);
    CHECK(b.cut[1].head_energy.value == 0);
    CHECK(b.cut[2].edge_head == 10ms);
    CHECK(b.cut[2].edge_head + b.cut[2].edge_tail == b.edge_total);
    CHECK(b.cut[2].head_energy.value + b.cut[2].tail_energy.value == Approx(b.edge_energy.value));
    CHECK(b.cut[0].edge_tail == b.edge_total);
    policy::check_deployment(b);
    CHECK_THROWS_AS(policy::behind_cut(d, 3), option_error);
    CHECK_THROWS_AS(policy::behind_cut(d, -1), option_error);
}
