// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file runtime_test.cpp
/// The frame machine, breaker, answer slot, exits and distribution by scripted sequences: no clock, no thread, no sleep.
#include "machine_cases.hpp"

#include <splitdsl/runtime/asked_payload.hpp>
#include <splitdsl/runtime/retry_pause.hpp>

#include <algorithm>

TEST_CASE("a frame the policy keeps runs every stage here and is answered by the edge (SAGE Fig. 5: local)") {
    frame_machine m{stay_local{}, rules()};
    auto c = m.begin(1, t0, t0, good);
    for (int stage = 0; stage < 3; ++stage) {
        REQUIRE(c.what == kind::run);
        REQUIRE(c.stage == stage);
        c = m.stage_done(at(10ms * (stage + 1)), good);
    }
    REQUIRE(c.what == kind::publish);
    REQUIRE(c.source == answer_source::edge);
    m.published(true, at(30ms));
    CHECK(m.counters().frames == 1);
    CHECK(m.counters().uncovered == 0);
    CHECK(m.counters().covered_misses == 0);
    CHECK(m.counters().offload_tries == 0);
}

TEST_CASE("the whole input may go to the cloud after any stage, in an encoding, and the rest runs here if no answer comes") {
    frame_machine m{unsure{}, rules()};
    m.begin(1, t0, t0, good);
    m.stage_done(at(10ms), good);
    const auto c = m.stage_done(at(20ms), good);
    REQUIRE(c.what == kind::offload);
    CHECK((c.cut == -1 && c.codec == 2));
    const auto w = m.handed_over(at(21ms), true, 7);
    CHECK(w.until == at(100ms - 1ms - 10ms));
    SECTION("an answer") { CHECK(m.reply({.sequence = 1, .epoch = 7}, at(40ms), good).source == answer_source::cloud); }
    SECTION("none") { CHECK(m.timer(w.until).stage == 2); }
}

TEST_CASE("a reply in time is accepted (SAGE Fig. 5: offloaded)") {
    frame_machine m{always_offload{}, rules()};
    auto c = offload(m, 1, t0);
    REQUIRE(c.what == kind::wait);
    CHECK(c.until == at(100ms - 1ms - 20ms)); // deadline - lead - reserve
    c = m.reply({.sequence = 1, .epoch = 7}, at(40ms), good);
    REQUIRE(c.what == kind::publish);
    CHECK(c.source == answer_source::cloud);
    m.published(true, at(40ms));
    CHECK(m.counters().accepted == 1);
    CHECK(m.counters().rolled_back == 0);
    CHECK(m.counters().covered_misses == 0);
}

TEST_CASE("without a reply the local tail runs at deadline minus reserve, not a moment later (SAGE Fig. 5: rolled back)") {
    frame_machine m{always_offload{}, rules()};
    auto c = offload(m, 1, t0);
    CHECK(m.timer(c.until - 1ns).what == kind::wait); // woken early: waits on
    c = m.timer(c.until);
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 1);
    c = m.stage_done(at(89ms), good);
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 2);
    c = m.stage_done(at(99ms), good);
    REQUIRE(c.what == kind::publish);
    CHECK(c.source == answer_source::fallback);
    m.published(true, at(99ms));
    CHECK(m.counters().rolled_back == 1);
    CHECK(m.counters().covered_misses == 0);
    CHECK(m.counters().uncovered == 0);

    SECTION("and its reply is late when it comes, and a duplicate when it comes again") {
        CHECK(m.reply({.sequence = 1, .epoch = 7}, at(101ms), good).what == kind::nothing);
        CHECK(m.counters().late == 1);
        CHECK(m.reply({.sequence = 1, .epoch = 7}, at(102ms), good).what == kind::nothing);
        CHECK(m.counters().duplicates == 1);
        CHECK(m.counters().accepted == 0);
    }
    SECTION("and its reply does not answer the next frame") {
        REQUIRE(offload(m, 2, at(200ms)).what == kind::wait);
        CHECK(m.reply({.sequence = 1, .epoch = 7}, at(220ms), good).what == kind::nothing);
        CHECK(m.counters().late == 1);
        CHECK(m.reply({.sequence = 2, .epoch = 7}, at(230ms), good).source == answer_source::cloud);
    }
}

TEST_CASE("a reply that comes while the local tail runs still wins") {
    frame_machine m{always_offload{}, rules()};
    auto c = offload(m, 1, t0);
    REQUIRE(m.timer(c.until).what == kind::run);
    c = m.reply({.sequence = 1, .epoch = 7}, at(85ms), good);
    REQUIRE(c.what == kind::publish);
    CHECK(c.source == answer_source::cloud);
    m.published(true, at(85ms));
    CHECK(m.counters().rolled_back == 1);
    CHECK(m.counters().accepted == 1);
}

TEST_CASE("a second reply of the answered frame is a duplicate and changes nothing") {
    frame_machine m{always_offload{}, rules()};
    offload(m, 1, t0);
    REQUIRE(m.reply({.sequence = 1, .epoch = 7}, at(40ms), good).what == kind::publish);
    m.published(true, at(40ms));
    CHECK(m.reply({.sequence = 1, .epoch = 7}, at(41ms), good).what == kind::nothing);
    CHECK(m.counters().duplicates == 1);
    CHECK(m.counters().accepted == 1);
}

TEST_CASE("a reply of another epoch is dropped and the frame waits on") {
    frame_machine m{always_offload{}, rules()};
    offload(m, 1, t0);
    CHECK(m.reply({.sequence = 1, .epoch = 6}, at(30ms), good).what == kind::nothing);
    CHECK(m.counters().wrong_epoch == 1);
    CHECK(m.now_is() == decltype(m)::state::waiting);
    CHECK(m.reply({.sequence = 1, .epoch = 7}, at(31ms), good).what == kind::publish);
}

TEST_CASE("a reply to a frame that was never offloaded is dropped") {
    frame_machine m{always_offload{}, rules()};
    offload(m, 10, t0);
    CHECK(m.reply({.sequence = 11, .epoch = 7}, at(30ms), good).what == kind::nothing);
    CHECK(m.reply({.sequence = 9, .epoch = 7}, at(30ms), good).what == kind::nothing);
    CHECK(m.counters().unasked == 2);
    frame_machine local{stay_local{}, rules()};
    local.begin(10, t0, t0, good);
    CHECK(local.reply({.sequence = 10, .epoch = 7}, at(30ms), good).what == kind::nothing);
    CHECK(local.counters().unasked == 1);
}

TEST_CASE("what was computed here and is not finite is no answer, and none was promised") {
    frame_machine m{stay_local{}, rules()};
    command c = m.begin(1, t0, t0, good);
    for (int s = 0; s < 3; ++s) {
        REQUIRE(c.what == kind::run);
        c = m.stage_done(at(10ms * (s + 1)), good);
    }
    REQUIRE(c.what == kind::publish);
    CHECK(m.not_finite().what == kind::last_resort);
    m.published(false, at(30ms));
    CHECK(m.counters().not_finite == 1);
    CHECK(m.counters().uncovered == 1);
    CHECK(m.counters().covered_misses == 0);
    c = m.begin(2, at(100ms), at(100ms), good); // the next frame is as any
    for (int s = 0; s < 3; ++s) c = m.stage_done(at(110ms + 10ms * s), good);
    CHECK(c.what == kind::publish);
    m.published(true, at(130ms));
    CHECK(m.counters().uncovered == 1);
}

TEST_CASE("a useless reply of the waiting frame makes it fall back at once") {
    frame_machine m{always_offload{}, rules()};
    offload(m, 1, t0);
    reply_facts r{.sequence = 1, .epoch = 7};
    SECTION("NaN") {
        r.finite = false;
        CHECK(m.reply(r, at(40ms), good).what == kind::run);
        CHECK(m.counters().not_finite == 1);
        CHECK(m.not_finite().what == kind::last_resort); // nor is what the tail computed: the same frame
        CHECK(m.counters().not_finite == 1);
    }
    SECTION("wrong size") {
        r.size_ok = false;
        CHECK(m.reply(r, at(40ms), good).what == kind::run);
        CHECK(m.counters().wrong_size == 1);
    }
    SECTION("checksum") {
        r.crc_ok = false;
        CHECK(m.reply(r, at(40ms), good).what == kind::run);
        CHECK(m.counters().corrupt == 1);
    }
    SECTION("shed") {
        r.shed = true;
        CHECK(m.reply(r, at(40ms), good).what == kind::run);
        CHECK(m.counters().shed == 1);
        CHECK(m.counters().failed_there == 0);
    }
    SECTION("failed") {
        r.shed = r.failed = true;
        CHECK(m.reply(r, at(40ms), good).what == kind::run);
        CHECK(m.counters().shed == 1);
        CHECK(m.counters().failed_there == 1);
    }
    CHECK(m.counters().accepted == 0);
    CHECK(m.counters().rolled_back == 1);
}

TEST_CASE("a frame whose link dies falls back at once, one whose link took no byte too") {
    frame_machine m{always_offload{}, rules()};
    offload(m, 1, t0);
    auto c = m.link_changed(false, at(30ms), {});
    REQUIRE(c.what == kind::run);
    CHECK(c.stage == 1);
    m.published(false, at(99ms));

    m.begin(2, at(200ms), at(200ms), good);
    REQUIRE(m.stage_done(at(210ms), good).what == kind::offload);
    c = m.handed_over(at(210ms), false, 8);
    REQUIRE(c.what == kind::run);
    CHECK(m.counters().offload_refused == 1);
    CHECK(m.counters().offload_tries == 1);
}

TEST_CASE("a link that is down or busy keeps the frame here") {
    frame_machine m{always_offload{}, rules()};
    m.begin(1, t0, t0, good);
    auto view = good;
    SECTION("down") { view.up = false; }
    SECTION("busy") { view.busy = true; }
    const auto c = m.stage_done(at(10ms), view);
    CHECK(c.what == kind::run);
    CHECK(c.stage == 1);
    CHECK(m.counters().blocked == 1);
}

TEST_CASE("an offload at a cut the frame is not at is not carried out") {
    frame_machine m{always_offload{.cut = 2}, rules()}; // stage 2 ends nowhere near a cut
    auto c = m.begin(1, t0, t0, good);
    c = m.stage_done(at(10ms), good);
    CHECK(c.what == kind::run);
    c = m.stage_done(at(15ms), good);
    c = m.stage_done(at(20ms), good);
    CHECK(c.source == answer_source::edge);
    CHECK((m.counters().invalid_actions == 1 && m.counters().blocked == 0)); // and it is told
}

TEST_CASE("the whole input can be offloaded before the head, and the whole network is its local tail") {
    frame_machine m{always_offload{.cut = -1}, rules()};
    auto c = m.begin(1, t0, t0, good);
    REQUIRE(c.what == kind::offload);
    CHECK(c.cut == -1);
    c = m.handed_over(at(1ms), true, 7);
    CHECK(c.until == at(100ms - 1ms - 50ms));
    c = m.timer(c.until);
    CHECK(c.what == kind::run);
    CHECK(c.stage == 0);
}

TEST_CASE("a head so slow that the reserve does not fit still sends, waits until the tail fits once, and counts as uncovered") {
    frame_rules r = rules();
    r.remaining_once[1] = GENERATE(duration{}, duration{7ms}); // not known: half the reserve, of 20 ms
    const duration kept = r.remaining_once[1] > 0ms ? 7ms : 10ms;
    frame_machine m{always_offload{}, r};
    m.begin(1, t0, t0, good);
    REQUIRE(m.stage_done(at(85ms), good).what == kind::offload);
    const auto c = m.handed_over(at(86ms), true, 7);
    REQUIRE(c.what == kind::wait);
    CHECK(c.until == at(100ms - 1ms - kept));
    CHECK(m.timer(c.until - 1ns).what == kind::wait);
    CHECK(m.timer(c.until).what == kind::run);
    CHECK(m.stage_done(at(95ms), good).what == kind::run);
    CHECK(m.stage_done(at(101ms), good).source == answer_source::fallback);
    m.published(false, at(101ms));
    CHECK(m.counters().uncovered == 1);
    CHECK(m.counters().covered_misses == 0);
    CHECK(m.counters().abandoned == 0); // it had an answer, only not in time
}

TEST_CASE("handing over belongs to the head: a frame whose payload took the reserve's time is not covered") {
    const duration handed = GENERATE(duration{79ms}, duration{79ms} + 1ns);
    frame_machine m{always_offload{}, rules()};
    m.begin(1, t0, t0, good);
    REQUIRE(m.stage_done(at(78ms), good).what == kind::offload);
    m.handed_over(at(handed), true, 7);
    m.published(false, at(99ms));
    CHECK(m.counters().covered_misses == (handed == 79ms ? 1 : 0));
    CHECK(m.counters().uncovered == (handed == 79ms ? 0 : 1));
}

TEST_CASE("a covered frame without an answer of its own is a covered miss, unless the host stalled") {
    const bool stalled = GENERATE(false, true);
    frame_machine m{always_offload{}, rules()};
    offload(m, 1, t0);
    m.published(false, at(99ms), stalled); // the wait overslept; the sentinel answered
    CHECK(m.counters().covered_misses == (stalled ? 0 : 1));
    CHECK(m.counters().abandoned == 1);
}

TEST_CASE("a tail that overruns its reserve is not covered") {
    frame_machine m{always_offload{}, rules()};
    auto c = offload(m, 1, t0);
    m.timer(c.until);
    m.stage_done(at(89ms), good);
    m.stage_done(at(105ms), good);
    m.published(false, at(105ms));
    CHECK(m.counters().uncovered == 1);
    CHECK(m.counters().covered_misses == 0);
}

TEST_CASE("a tail begun after its deadline is not begun: last resort") {
    frame_machine m{always_offload{}, rules()};
    auto c = offload(m, 1, t0);
    c = m.timer(at(120ms));
    CHECK(c.what == kind::last_resort);
    CHECK(c.exit == -1);
}

TEST_CASE("the last resort prefers the newest exit of this frame") {
    frame_machine m{always_offload{}, rules()};
    m.begin(1, t0, t0, good);
    m.stage_done(at(10ms), good, 0, 0.4F);
    m.handed_over(at(11ms), true, 7);
    const auto c = m.timer(at(120ms));
    CHECK(c.what == kind::last_resort);
    CHECK(c.exit == 0);
    m.published(true, at(120ms));
    m.begin(2, at(200ms), at(200ms), good);
    CHECK(m.exit_in_hand() == -1); // an older frame's exit is no exit of this one
}

TEST_CASE("a confident early exit answers the frame if the policy says so") {
    frame_machine m{exit_lover{}, rules()};
    m.begin(1, t0, t0, good);
    auto c = m.stage_done(at(10ms), good, 0, 0.5F);
    CHECK(c.what == kind::run);
    c = m.stage_done(at(15ms), good, 1, 0.9F);
    CHECK(c.what == kind::publish);
    CHECK(c.source == answer_source::exit);
    CHECK(c.exit == 1);
}

TEST_CASE("a policy without fallback waits until the sentinel's moment and then has only the last resort") {
    frame_machine m{no_fallback{}, rules()};
    auto c = offload(m, 1, t0);
    CHECK(c.until == at(99ms));
    CHECK(m.timer(c.until).what == kind::last_resort);
    m.published(false, at(99ms));
    CHECK(m.counters().rolled_back == 0);
    CHECK(m.counters().covered_misses == 0); // it promises nothing
}

TEST_CASE("a reply the policy declines leaves the frame waiting") {
    frame_machine m{always_offload{.opinion = verdict::keep_going}, rules()};
    offload(m, 1, t0);
    CHECK(m.reply({.sequence = 1, .epoch = 7}, at(40ms), good).what == kind::nothing);
    CHECK(m.counters().kept_going == 1);
    CHECK(m.timer(at(79ms)).what == kind::run);
}

TEST_CASE("sequence numbers wrap around") {
    frame_machine m{always_offload{}, rules()};
    offload(m, 0xffffffff, t0);
    m.published(false, at(99ms));
    offload(m, 1, at(200ms)); // 0 is never used
    CHECK(m.reply({.sequence = 0xffffffff, .epoch = 7}, at(220ms), good).what == kind::nothing);
    CHECK(m.counters().late == 1);
    CHECK(m.reply({.sequence = 1, .epoch = 7}, at(221ms), good).what == kind::publish);
}

TEST_CASE("a straggler from long ago is late") {
    frame_machine m{always_offload{}, rules()};
    for (std::uint32_t n = 1; n <= 200; ++n) {
        offload(m, n, t0 + 100ms * n);
        m.reply({.sequence = n, .epoch = 7}, t0 + 100ms * n + 20ms, good);
        m.published(true, t0 + 100ms * n + 20ms);
    }
    CHECK(m.reply({.sequence = 3, .epoch = 7}, t0 + 100s, good).what == kind::nothing);
    CHECK(m.counters().late == 1);
}

TEST_CASE("three failures in a row open the breaker; one probe frame closes it or doubles the pause") {
    frame_machine m{always_offload{}, rules()};
    instant now = t0;
    std::uint32_t n = 0;
    const auto fail = [&] {
        const auto c = offload(m, ++n, now);
        REQUIRE(m.timer(c.until).what == kind::run);
        m.published(true, now + 99ms);
        now += 100ms;
    };
    fail(), fail(), fail();
    CHECK(m.breaker_is() == circuit_breaker::state::open);
    CHECK(m.counters().breaker_openings == 1);
    m.begin(++n, now, now, good);
    CHECK(m.stage_done(now + 10ms, good).what == kind::run); // open: not offered
    m.published(true, now + 30ms);
    now += 300ms; // the first pause is 250 ms, from the fallback on
    fail();       // the probe frame
    CHECK(m.breaker_is() == circuit_breaker::state::open);
    now += 300ms;
    m.begin(++n, now, now, good);
    CHECK(m.stage_done(now + 10ms, good).what == kind::run); // the pause is 500 ms now
    m.published(true, now + 30ms);
    now += 300ms;
    offload(m, ++n, now);
    CHECK(m.reply({.sequence = n, .epoch = 7}, now + 20ms, good).what == kind::publish);
    m.published(true, now + 20ms);
    CHECK(m.breaker_is() == circuit_breaker::state::closed);
}

TEST_CASE("a link that came back makes the machine's breaker try again after the first pause") {
    frame_rules r = rules();
    r.breaker = {.failures_to_open = 1, .first_pause = 100ms, .longest_pause = 10s};
    frame_machine m{always_offload{}, r};
    const auto fail = [&](std::uint32_t n, instant start) {
        const auto c = offload(m, n, start);
        REQUIRE(m.timer(c.until).what == kind::run);
        m.published(true, start + 99ms);
    };
    fail(1, t0);
    fail(2, at(300ms)); // the probe frame: falls back at 379 ms, the pause is 200 ms now
    const bool returned = GENERATE(true, false);
    if (returned) m.link_changed(true, at(400ms), good);
    m.begin(3, at(490ms), at(490ms), good);
    CHECK((m.stage_done(at(500ms), good).what == kind::offload) == returned);
}

TEST_CASE("the end of an older payload's wait opens no newer one again") {
    detail::asked_payload asked;
    CHECK_FALSE(asked.is_open());
    asked.ask(7, 984, at(1ms));
    CHECK(asked.is_open());
    asked.ask(8, 984, at(2ms));
    asked.close(7); // its straggler
    CHECK(asked.is_open());
    asked.close(8);
    CHECK_FALSE(asked.is_open());
    asked.close(7); // a pong that was asked for before 8 was sent
    CHECK_FALSE(asked.is_open());
    asked.ask(1, 984, at(3ms)); // numbers begin anew
    CHECK((asked.is_open() && asked.sequence() == 1 && asked.bytes() == 984 && asked.at() == at(3ms)));
}

TEST_CASE("pauses between attempts to connect double up to the longest, and of each a random half at most is left out") {
    detail::retry_pause p{50ms, 1s, 7}, same{50ms, 1s, 7}, other{50ms, 1s, 8}, chance{50ms, 1s, 0}, another_chance{50ms, 1s, 0};
    int unlike = 0, by_chance = 0;
    duration shortest = 1s, longest{};
    for (int round = 0; round < 50; ++round) {
        for (const duration whole : {50ms, 100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
            const duration pause = p.next();
            REQUIRE(pause >= whole / 2);
            REQUIRE(pause <= whole);
            REQUIRE(same.next() == pause);
            unlike += other.next() != pause;
            by_chance += chance.next() != another_chance.next();
            if (whole == 1000ms) shortest = std::min(shortest, pause), longest = std::max(longest, pause);
        }
        for (auto* each : {&p, &same, &other, &chance, &another_chance}) each->restart();
    }
    CHECK(unlike > 340);
    CHECK(by_chance > 340);
    CHECK(shortest < 550ms); // all of the half is used
    CHECK(longest > 950ms);
    detail::retry_pause none{0ms, 0ms, 7}, once{10s, 1s, 7};
    for (int i = 0; i < 10; ++i) CHECK(none.next() >= 500us); // never as fast as it can be
    CHECK(once.next() >= 5s);
    CHECK(once.next() <= 1s);
}

TEST_CASE("a half-open breaker lets one frame through, not two") {
    circuit_breaker b{{.failures_to_open = 1, .first_pause = 100ms, .longest_pause = 300ms}};
    b.sent();
    b.failed(t0);
    CHECK_FALSE(b.allows(at(99ms)));
    CHECK(b.allows(at(100ms)));
    b.sent();
    CHECK_FALSE(b.allows(at(101ms)));
    b.failed(at(150ms));
    CHECK(b.current_pause() == 200ms);
    CHECK(b.allows(at(350ms)));
    b.sent();
    b.failed(at(350ms));
    CHECK(b.current_pause() == 300ms); // the cap
    b.link_returned();
    CHECK_FALSE(b.allows(at(449ms)));
    CHECK(b.allows(at(450ms))); // a link that came back: the first pause, not the longest
    b.sent();
    b.succeeded();
    CHECK(b.allows(at(452ms)));
    CHECK(b.times_opened() == 3);
}
