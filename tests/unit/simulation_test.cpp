// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simulation_test.cpp
/// The simulator and the soak's adversary: the promise holds in every fault kind, and the suite notices when it is broken.
#include "../catch.hpp"

#include "../soak/adversary.hpp"

#include <splitdsl/sim/simulate.hpp>

#include <cstdint>
#include <memory>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

struct offload_when_up {
    action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    action on(stage_done s, const link_view& l, const budget&) noexcept {
        return s.stage == 0 && l.up ? action::offload_at(0) : action::go_on();
    }
    verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};

/// Head 10 ms, tail 20 ms with 40 ms reserved, cloud 2 ms, 100 ms deadline; 984 B up over 1 Mbit/s and 10 ms round trip.
sim::edge_settings settings() {
    sim::edge_settings s{};
    s.rules = {.stages = 2, .cuts = 1, .deadline = 100ms, .last_resort_lead = 500us};
    s.rules.remaining[0] = 60ms;
    s.rules.remaining[1] = 40ms;
    s.payload_bytes = {52'848, 984};
    s.reply_bytes = 100;
    return s;
}
sim::plain_world surroundings() {
    sim::plain_world w{};
    w.edge_stage = {10ms, 20ms};
    w.cloud_tail = {5ms, 2ms};
    return w;
}
std::shared_ptr<const link::link_trace> constant(std::uint64_t rate) {
    return std::make_shared<const link::link_trace>(std::vector<link::trace_slot>{{duration{}, rate}}, 1s);
}
sim::simulated_edge<offload_when_up, sim::plain_world> edge_over(std::vector<link::fault> faults) {
    return {offload_when_up{},
            settings(),
            {.rate_up = constant(1'000'000), .rate_down = constant(10'000'000), .faults = std::move(faults)},
            surroundings()};
}
instant begin_of(std::uint32_t n) { return instant{1s} + 100ms * n; }

} // namespace

TEST_CASE("a simulated frame takes head, air time, round trip and cloud time, to the nanosecond") {
    auto edge = edge_over({});
    edge.idle_until(begin_of(1));
    const auto r = edge.run_frame(1, begin_of(1));
    CHECK(r.source == answer_source::cloud);
    // head 10 ms + 984 B at 1 Mbit/s + 5 ms + cloud 2 ms + 100 B at 10 Mbit/s + 5 ms
    CHECK(r.timings.total == 10ms + 7872us + 5ms + 2ms + 80us + 5ms);
    CHECK(r.air == 7872us);
    CHECK(r.bytes_up == 984);
    CHECK(r.answers == 1);
    CHECK(r.covered);
    CHECK(r.on_time);
}

TEST_CASE("the simulated edge learns the link's rate from the peer's receive times, and its round trip from pings") {
    auto edge = edge_over({});
    for (std::uint32_t n = 1; n <= 20; ++n) {
        edge.idle_until(begin_of(n));
        edge.run_frame(n, begin_of(n));
    }
    edge.idle_until(begin_of(40));
    const auto v = edge.picture().view(begin_of(40));
    CHECK(v.rate_up.value == Approx(1e6).epsilon(0.01));
    CHECK(to_milliseconds(v.rtt) == Approx(10.4).margin(0.5)); // 48 B pings have air time too
    CHECK(edge.probe_bytes_sent() > 0);
}

TEST_CASE("a blackout makes frames fall back at deadline minus lead minus reserve, then opens the breaker") {
    auto edge = edge_over({{.kind = link::fault_kind::blackhole, .start = 2s, .end = 4s}});
    std::uint64_t fallbacks = 0, locals = 0, clouds = 0;
    for (std::uint32_t n = 1; n <= 60; ++n) {
        edge.idle_until(begin_of(n));
        const auto r = edge.run_frame(n, begin_of(n));
        CHECK(r.answers == 1);
        CHECK(r.on_time);
        if (r.source == answer_source::fallback) {
            ++fallbacks;
            CHECK(r.timings.total == 100ms - 500us - 40ms + 20ms);
        }
        locals += r.source == answer_source::edge;
        clouds += r.source == answer_source::cloud;
    }
    CHECK(fallbacks >= 3);
    CHECK(locals >= 5); // breaker open: no more waiting in vain
    CHECK(clouds >= 35);
    CHECK(edge.counters().breaker_openings >= 1);
    CHECK(edge.counters().covered_misses == 0);
}

TEST_CASE("a simulated drive counts like a live one and is the same every time") {
    const auto drive = [] {
        std::vector<std::int64_t> totals;
        const auto r = sim::simulate(
            offload_when_up{}, settings(),
            {.rate_up = constant(1'000'000), .faults = {{.kind = link::fault_kind::stall, .start = 3s, .end = 5s}}}, surroundings(),
            {.frames = 100}, [&](const sim::frame_record& f, const link_view&) { totals.push_back(f.timings.total.count()); });
        CHECK(r.counters.answer.answered == 100);
        CHECK(r.counters.answer.offloaded + r.counters.answer.local + r.counters.answer.fallback == 100);
        CHECK(r.counters.answer.misses == 0);
        CHECK(r.counters.answer.fallback >= 1); // then its payload keeps the link busy
        CHECK(r.counters.frame.frames == 100);
        CHECK(r.broken_promises == 0);
        CHECK(r.spread.latency.count() == 100);
        CHECK(r.counters.link.bytes_up > 60 * 984);
        return totals;
    };
    CHECK(drive() == drive());
}

TEST_CASE("simulations are bit-identical for a seed and differ between seeds") {
    for (const int kind : {soak::loss, soak::reset, soak::clock_jump}) {
        const auto a = soak::run(kind, 3000, 5);
        const auto b = soak::run(kind, 3000, 5);
        CHECK(a.digest == b.digest);
        CHECK(a.digest != soak::run(kind, 3000, 6).digest);
    }
}

TEST_CASE("no covered frame misses, none gets two answers or a foreign one, in any of the 16 fault kinds") {
    const int kind = GENERATE(range(0, soak::kinds));
    const auto v = soak::run(kind, 5000, 2);
    INFO(soak::kind_names[static_cast<std::size_t>(kind)]);
    CHECK(v.covered_misses == 0);
    CHECK(v.not_one_answer == 0);
    CHECK(v.after_deadline == 0);
    CHECK(v.foreign == 0);
    CHECK(v.frames == 5000);
    CHECK(v.covered > 2500); // the promise is put to the test, not avoided
    CHECK(v.cloud > 100);
    CHECK(v.fallback > 100);
}

TEST_CASE("the fault kinds really happen") {
    CHECK(soak::run(soak::duplicate, 5000, 1).machine.duplicates > 50);
    CHECK(soak::run(soak::corruption, 5000, 1).machine.corrupt > 20);
    CHECK(soak::run(soak::wrong_answer, 5000, 1).machine.not_finite > 50);
    CHECK(soak::run(soak::wrong_answer, 5000, 1).machine.wrong_size > 50);
    CHECK(soak::run(soak::server_kill, 5000, 1).machine.wrong_epoch > 10);
    CHECK(soak::run(soak::reorder, 5000, 1).machine.late > 100);
    CHECK(soak::run(soak::blackhole, 5000, 1).cloud + 200 < soak::run(soak::server_stall, 5000, 1).cloud);
}

TEST_CASE("deadline code broken on purpose is noticed") {
    const auto violations = [](auto&& run) {
        std::uint64_t n = 0;
        for (int kind = 0; kind < soak::kinds; ++kind) n += run(kind).violations();
        return n;
    };
    SECTION("falling back 5 ms too late") {
        CHECK(violations([](int k) { return soak::run<soak::falls_back_late>(k, 2000, 3); }) > 10);
    }
    SECTION("claiming without looking") {
        CHECK(violations([](int k) { return soak::run<soak::claims_twice>(k, 2000, 3); }) > 10);
    }
    SECTION("ignoring the sequence") {
        CHECK(violations([](int k) { return soak::run<soak::ignores_sequence>(k, 2000, 3); }) > 10);
    }
    SECTION("ignoring the epoch") {
        CHECK(violations([](int k) { return soak::run<soak::ignores_epoch>(k, 2000, 3); }) > 10);
    }
    SECTION("ignoring NaN") {
        CHECK(violations([](int k) { return soak::run<soak::ignores_values>(k, 2000, 3); }) > 10);
    }
    SECTION("and nothing is noticed when nothing is broken") {
        CHECK(violations([](int k) { return soak::run(k, 2000, 3); }) == 0);
    }
}
