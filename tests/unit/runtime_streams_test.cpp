// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file runtime_streams_test.cpp
/// The frame machine's streams, instead of a cut's payload or beside the trunk, by scripted sequences.
#include "machine_cases.hpp"

TEST_CASE("a stream stands for a cut's payload in the sizes that are asked for, and its answers are numbered by them") {
    frame_rules r = rules();
    r.cuts = 0;
    r.streams_behind[1] = 1 + 3;
    const auto to_the_wait = [&](frame_machine<partitioner>& m) {
        m.begin(1, t0, t0, good);
        m.stage_done(at(10ms), good);
        const auto c = m.stage_done(at(20ms), good);
        REQUIRE(c.what == kind::offload);
        CHECK((c.stream == 3 && c.cut == -2 && c.first == 0 && m.last_stage() == 1));
        CHECK(c.least == (m.strategy().level >= 0 ? 0 : c.last)); // nor need the cloud answer others
        const auto w = m.handed_over(at(21ms), true, 7);
        REQUIRE(w.what == kind::wait);
        CHECK(w.until == at(100ms - 1ms - 10ms)); // the last stage's reserve
        return c.last;
    };
    const auto answer = [](int sizes, float sure) { return reply_facts{.sequence = 1, .epoch = 7, .exit = 3, .sizes = sizes, .confidence = sure}; };
    SECTION("one payload: only the whole of it counts") {
        partitioner p;
        p.codec = 2;
        frame_machine m{p, r};
        CHECK(to_the_wait(m) == 2);
        CHECK(m.reply(answer(2, 1), at(30ms), good).what == kind::nothing);
        const auto c = m.reply(answer(3, 1), at(40ms), good);
        REQUIRE(c.what == kind::publish);
        CHECK((c.source == answer_source::cloud && c.exit == 2));
    }
    SECTION("widths: each has an answer, and the policy takes the first sure one") {
        partitioner p;
        p.level = 2;
        frame_machine m{p, r};
        CHECK(to_the_wait(m) == 2);
        CHECK(m.reply(answer(1, 0.5F), at(30ms), good).what == kind::nothing);
        CHECK(m.reply(answer(4, 1), at(35ms), good).what == kind::nothing); // of a width that was never sent
        CHECK(m.reply(answer(0, 1), at(36ms), good).what == kind::nothing);
        CHECK(m.reply(answer(2, 0.9F), at(40ms), good).exit == 1);
        CHECK(m.counters().kept_going == 2);
        CHECK(m.counters().wrong_size == 1);
    }
    SECTION("no answer: the rest runs here") {
        frame_machine m{partitioner{}, r};
        to_the_wait(m);
        const auto c = m.timer(at(89ms));
        CHECK((c.what == kind::run && c.stage == 2));
        CHECK(m.stage_done(at(99ms), good).source == answer_source::fallback);
    }
    SECTION("the answer failed there: the rest runs here at once") {
        frame_machine m{partitioner{}, r};
        to_the_wait(m);
        const auto c = m.reply({.sequence = 1, .epoch = 7, .shed = true, .failed = true}, at(30ms), good);
        CHECK((c.what == kind::run && c.stage == 2));
        CHECK((m.counters().failed_there == 1 && m.counters().late == 0));
    }
    SECTION("no connection took it") {
        frame_machine m{partitioner{}, r};
        m.begin(1, t0, t0, good);
        m.stage_done(at(10ms), good);
        m.stage_done(at(20ms), good);
        CHECK(m.handed_over(at(21ms), false, 0).what == kind::run);
        CHECK(m.counters().offload_refused == 1);
    }
}

TEST_CASE("a frame that streams computes on, and a sure answer of this frame and connection ends it") {
    frame_machine m{streamer{}, rules()};
    auto c = m.begin(1, t0, t0, good);
    REQUIRE((c.what == kind::run && c.stream == -1));
    // An answer before anything was sent is nobody's.
    CHECK(m.reply({.sequence = 1, .epoch = 7, .exit = 0}, at(1ms), good).what == kind::nothing);
    CHECK(m.counters().late == 1);
    c = m.stage_done(at(10ms), good);
    REQUIRE((c.what == kind::run && c.stage == 1 && c.stream == 0 && c.first == 0 && c.last == 1));
    m.stream_began(at(10ms), 7);
    // Replies that are not this frame's, not this connection's, broken or not finite change nothing, however often they come.
    CHECK(m.reply({.sequence = 0, .epoch = 7, .exit = 0}, at(11ms), good).what == kind::nothing);
    CHECK(m.reply({.sequence = 1, .epoch = 6, .exit = 0}, at(11ms), good).what == kind::nothing);
    CHECK(m.reply({.sequence = 1, .epoch = 7, .size_ok = false, .exit = 0}, at(11ms), good).what == kind::nothing);
    CHECK(m.reply({.sequence = 1, .epoch = 7, .finite = false, .exit = 0}, at(11ms), good).what == kind::nothing);
    CHECK((m.counters().late == 2 && m.counters().wrong_epoch == 1 && m.counters().wrong_size == 1 && m.counters().not_finite == 1));
    // Acknowledgements pull the next size, or stop; of another frame they do nothing.
    c = m.acknowledged({link_event::kind::acknowledged, 1, 0, 1}, at(12ms), good);
    CHECK((c.what == kind::nothing && c.stream == 0 && c.first == 2 && c.last == 2 && !c.drop));
    CHECK(m.acknowledged({link_event::kind::acknowledged, 1, 0, 3}, at(12ms), good).drop);
    c = m.acknowledged({link_event::kind::acknowledged, 2, 0, 1}, at(12ms), good);
    CHECK((c.stream == -1 && !c.drop));
    c = m.reply({.sequence = 1, .epoch = 7, .exit = 0, .confidence = 0.9F}, at(15ms), good);
    REQUIRE((c.what == kind::publish && c.source == answer_source::cloud && c.exit == 0));
    m.published(true, at(15ms));
    CHECK(m.counters().streams == 1);
    CHECK(m.counters().accepted == 1);
    CHECK(m.counters().covered_misses == 0);
    // The next frame knows nothing of it.
    m.begin(2, at(50ms), at(50ms), good);
    CHECK(m.reply({.sequence = 1, .epoch = 7, .exit = 0}, at(51ms), good).what == kind::nothing);
    CHECK(m.counters().late == 3);
}

TEST_CASE("a frame that streams and hears nothing sure is answered by its trunk, and without a link it does not stream") {
    streamer p{};
    p.opinion = verdict::keep_going;
    frame_machine m{p, rules()};
    auto c = m.begin(1, t0, t0, good);
    for (int stage = 0; stage < 3; ++stage) {
        REQUIRE((c.what == kind::run && c.stage == stage));
        if (c.stream >= 0) m.stream_began(at(10ms * stage), 7);
        CHECK(m.reply({.sequence = 1, .epoch = 7, .exit = 0}, at(10ms * stage + 1ms), good).what == kind::nothing);
        c = m.stage_done(at(10ms * (stage + 1)), good);
    }
    CHECK((c.what == kind::publish && c.source == answer_source::edge));
    CHECK(c.stream == -1); // nothing follows that the stream could be of use to
    m.published(true, at(30ms));
    CHECK((m.counters().streams == 2 && m.counters().kept_going == 2));
    m.begin(2, at(100ms), at(100ms), {});
    CHECK(m.stage_done(at(110ms), {}).stream == -1);
}
