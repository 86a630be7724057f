// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file estimator_test.cpp
/// What the estimators make of a link: of a virtual one, and of samples by hand.
#include "../catch.hpp"

#include <splitdsl/link/estimator.hpp>
#include <splitdsl/link/virtual_link.hpp>

#include <memory>

using namespace splitdsl;
using namespace splitdsl::link;
using namespace std::chrono_literals;

namespace {

duration at_ms(double ms) { return from_milliseconds(ms); }
instant moment(duration d) { return instant{d}; }

} // namespace

TEST_CASE("the rate estimate finds a virtual link's rate and follows its collapse") {
    for (const double mbps : {0.2, 0.5, 2.0, 8.0}) {
        const auto rate = std::make_shared<const link_trace>(link_trace::constant(megabits_per_second(mbps)));
        virtual_channel c{
            {.rate = rate, .delay = 5ms, .jitter = 1ms, .buffer_bytes = 1 << 20, .faults = {{fault_kind::rate_collapse, 10s, 20s, 0.25}}}};
        const auto size = static_cast<std::size_t>(mbps * 1e6 / 8 * 0.04); // 40 ms of air
        rate_estimator up;
        const auto feed = [&](duration from, duration to) {
            for (duration t = from; t < to; t += 100ms) {
                const auto d = c.send(moment(t), size).arrival[0];
                if (const auto s = rate_by_spread({.bytes = size, .at_first = 0, .spread = d.time - d.first})) up.observe(d.time, *s);
            }
        };
        CHECK_FALSE(up.known());
        CHECK(up.age(moment(0s)) == duration::max());
        feed(0s, 9s);
        CHECK(up.average().value == Approx(mbps * 1e6).epsilon(0.02));
        CHECK(up.conservative(moment(9s)).value <= up.average().value);
        feed(10s, 12s);
        CHECK(up.average().value == Approx(mbps * 0.25e6).epsilon(0.1));
    }
}

TEST_CASE("the rate by round trips agrees with the link for messages of one segment") {
    const auto rate = std::make_shared<const link_trace>(link_trace::constant(kilobits_per_second(900)));
    virtual_link l{{.rate_up = rate, .round_trip = 10ms}};
    link_estimator e;
    for (int i = 0; i < 50; ++i) {
        const instant start = moment(100ms * i);
        const instant pinged = l.down.send(l.up.send(start, 16).arrival[0].time, 16).arrival[0].time;
        e.rtt.observe(pinged, pinged - start);
        const instant sent = start + 30ms;
        const instant arrived = l.up.send(sent, 984).arrival[0].time;
        const instant answered = l.down.send(arrived + 2ms, 64).arrival[0].time;
        e.observe_exchange(answered, {.bytes = 984, .at_first = 984}, {.bytes_up = 984, .elapsed = answered - sent, .service = 2ms});
    }
    CHECK(to_milliseconds(e.rtt.average()) == Approx(10).margin(0.3));
    CHECK(e.up.average().value == Approx(900e3).epsilon(0.03));
    CHECK(e.age(moment(10s)) >= 5s);
    e.forget();
    CHECK_FALSE(e.up.known());
}

TEST_CASE("a round trip's air time is what it took beyond the empty path, whatever the pings met in queues") {
    link_estimator e;
    for (const duration ping : {10ms, 30ms, 30ms}) e.rtt.observe(moment(1s), ping);
    e.observe_exchange(moment(1s), {.bytes = 1250, .at_first = 1250}, {.bytes_up = 1250, .elapsed = 30ms});
    CHECK(e.up.average().value == Approx(500e3)); // 20 ms of air
    // An estimate is as old as its older part.
    e.rtt.observe(moment(5s), 10ms);
    CHECK(e.age(moment(6s)) == 5s);
    e.up.observe(moment(6s), {1e6});
    CHECK(e.age(moment(6s)) == 1s);
}

TEST_CASE("rates are averaged as logarithms") {
    rate_estimator up{{.smoothing = 0.25}};
    up.observe(moment(0s), {1e6});
    up.observe(moment(0s), {1e4});
    CHECK(up.average().value == Approx(std::pow(10.0, 0.75 * 6 + 0.25 * 4)));
}

TEST_CASE("an unanswered message only ever lowers the rate") {
    rate_estimator up;
    up.observe_unanswered(moment(0s), 1000, 10ms);
    CHECK_FALSE(up.known());
    up.observe(moment(0s), megabits_per_second(1));
    up.observe_unanswered(moment(1s), 1'000'000, 10ms);
    CHECK(up.average().value == 1e6);
    up.observe_unanswered(moment(1s), 1000, 90ms); // at most 89 kbit/s
    CHECK(up.average().value < 0.4e6);
    CHECK(up.conservative(moment(1s)).value == Approx(1000 * 8 / 0.09));
    for (const double nonsense : {0.0, -1.0, std::nan(""), HUGE_VAL}) up.observe(moment(2s), {nonsense});
    CHECK(up.age(moment(2s)) == 1s);
}

TEST_CASE("a long pause makes the next sample count more") {
    rate_estimator steady, paused;
    for (int i = 0; i < 20; ++i) {
        steady.observe(moment(100ms * i), megabits_per_second(1));
        paused.observe(moment(100ms * i), megabits_per_second(1));
    }
    steady.observe(moment(2s), megabits_per_second(0.1));
    paused.observe(moment(22s), megabits_per_second(0.1));
    CHECK(paused.average().value < 0.11e6);
    CHECK(steady.average().value > 0.25e6);
}

TEST_CASE("samples that show nothing are no samples") {
    CHECK_FALSE(rate_by_spread({.bytes = 1000, .at_first = 1000, .spread = 5ms}));
    CHECK_FALSE(rate_by_spread({.bytes = 1000, .at_first = 0, .spread = 10us}));
    CHECK_FALSE(rate_by_round_trip({.bytes_up = 1000, .elapsed = 10ms, .service = 2ms}, 9ms));
    CHECK(rate_by_round_trip({.bytes_up = 1000, .elapsed = 20ms, .service = 2ms}, 10ms)->value == Approx(1e6));
    CHECK(rate_by_spread({.bytes = 1250, .at_first = 250, .spread = 8ms})->value == Approx(1e6));
    const probe_schedule p{.every = 500ms};
    CHECK(p.due(600ms, 600ms));
    CHECK_FALSE(p.due(100ms, 600ms));
    CHECK_FALSE(p.due(600ms, 100ms));
}

TEST_CASE("the round trip estimate averages, keeps the lowest and forgets the old") {
    rtt_estimator rtt;
    CHECK_FALSE(rtt.known());
    for (int i = 0; i < 64; ++i) rtt.observe(moment(100ms * i), at_ms(i % 2 == 0 ? 9 : 11));
    CHECK(to_milliseconds(rtt.average()) == Approx(10).margin(0.3));
    CHECK(to_milliseconds(rtt.variation()) == Approx(1).margin(0.3));
    CHECK(rtt.lowest(moment(6300ms)) == 9ms);
    rtt.observe(moment(60s), 30ms);
    CHECK(rtt.lowest(moment(60s)) == 30ms);
    CHECK(rtt.age(moment(61s)) == 1s);
    rtt.observe(moment(60s), -1ms);
    CHECK(rtt.age(moment(61s)) == 1s);
}
