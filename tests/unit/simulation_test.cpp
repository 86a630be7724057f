// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simulation_test.cpp
/// The simulator and the soak's adversary: the promise holds in every fault kind, and the suite notices when it is broken.
#include "../catch.hpp"

#include "../soak/adversary.hpp"

#include <splitdsl/policy/sage.hpp>
#include <splitdsl/radio/cellular.hpp>
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

/// A row of SAGE's table 3 for the TX2, with its reserve of twice the tail, under a deadline of 100 ms.
struct tx2_row {
    duration head{}, tail{}, cloud{};
    double head_joules{}, tail_joules{};
};
constexpr tx2_row densenet_169{8043us, 207'500us, 2238us, 0.0437, 1.1303}, resnet_34{11'612us, 53'948us, 572us, 0.0606, 0.3295},
    resnet_50{10'432us, 78'799us, 607us, 0.0565, 0.4505}, carlanet{8727us, 20'068us, 188us, 0.044, 0.1112};
struct drive_of_row {
    std::uint64_t cloud{}, edge{}, fallback{}, repeated{}, late{}, openings{}, covered{};
    duration worst{}, tails{};
};
/// 200 frames of `policy::sage` over LTE at 10 Mbit/s.
drive_of_row drive(const tx2_row& row, duration round_trip, std::vector<link::fault> faults = {}, policy::sage_options o = {}) {
    deployment d;
    d.cuts = 1;
    d.cut[0] = {{3792}, row.head, row.tail, row.cloud, {row.head_joules}, {row.tail_joules}};
    d.edge_total = row.head + row.tail;
    d.edge_energy = {row.head_joules + row.tail_joules};
    d.reply = {88};
    d.input = {52'848};
    d.cloud_total = 5ms;
    d.radio = radio::lte;
    d.idle_power = {1.659};
    d.deadline = 100ms;
    sim::edge_settings s{};
    s.rules = {.stages = 2, .cuts = 1, .deadline = 100ms, .last_resort_lead = 500us};
    s.rules.remaining[0] = 2 * (row.head + row.tail);
    s.rules.remaining[1] = 2 * row.tail;
    s.payload_bytes = {52'848, 3792};
    s.reply_bytes = 88;
    sim::plain_world w{};
    w.edge_stage = {row.head, row.tail};
    w.cloud_tail = {5ms, row.cloud};
    sim::simulated_edge<policy::sage, sim::plain_world> edge{
        policy::sage{d, o}, s, {.rate_up = constant(10'000'000), .rate_down = constant(10'000'000), .round_trip = round_trip, .faults = std::move(faults)}, w};
    drive_of_row result;
    for (std::uint32_t n = 1; n <= 200; ++n) {
        edge.idle_until(begin_of(n));
        const auto r = edge.run_frame(n, begin_of(n));
        result.cloud += r.source == answer_source::cloud;
        result.edge += r.source == answer_source::edge;
        result.fallback += r.source == answer_source::fallback;
        result.repeated += !is_own(r.source);
        result.late += !r.on_time || r.answers != 1;
        result.covered += r.covered;
        result.worst = std::max(result.worst, r.timings.total);
        result.tails += r.timings.tail;
    }
    result.openings = edge.counters().breaker_openings;
    return result;
}

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

TEST_CASE("SAGE-16: the cloud answers each of table 3's networks on the TX2, also where twice the local tail exceeds the deadline") {
    for (const tx2_row& row : {densenet_169, resnet_34, carlanet}) {
        const auto r = drive(row, 10ms);
        INFO(to_milliseconds(row.tail));
        CHECK(r.cloud == 200);
        CHECK(r.tails == 0ms); // none is begun in vain
        CHECK(r.worst < 30ms);
        CHECK(r.openings == 0);
        CHECK(r.covered == (row.tail == carlanet.tail ? 200 : 0));
    }
    CHECK(drive(densenet_169, 10ms, {}, {.respect_reserve = false}).cloud == 200);
    // ResNet-50's tail fits once, if it begins 20.7 ms into the frame: a reply that is due later is not waited for.
    CHECK(drive(resnet_50, 10ms).edge == 200);
    const auto near = drive(resnet_50, 4ms);
    CHECK(near.cloud == 200);
    CHECK(near.tails == 0ms);
}

TEST_CASE("SAGE-16: where the local tail fits once, a silent cloud is waited for until then; where it does not, the last answer is repeated") {
    const std::vector<link::fault> dark{{.kind = link::fault_kind::blackhole, .start = 5s, .end = 12s}};
    const auto once = drive(resnet_34, 10ms, dark);
    CHECK(once.late == 0);
    CHECK(once.repeated == 0);
    CHECK(once.fallback >= 1);
    CHECK(once.edge > 30); // nothing is heard: it is not asked for long
    CHECK(once.worst == 100ms - 500us);
    const auto none = drive(densenet_169, 10ms, dark);
    CHECK(none.late == 0);
    CHECK(none.fallback == 0);
    CHECK(none.repeated >= 60);
    CHECK(none.repeated < 100); // and the cloud again afterwards
    CHECK(none.cloud > 100);
    CHECK(none.tails == 0ms);
}

TEST_CASE("SAGE-18: the round trip is measured while every frame is offloaded, and a longer one is noticed") {
    auto edge = edge_over({{.kind = link::fault_kind::delay_step, .start = 5s, .end = 60s, .parameter = 0.012}});
    for (std::uint32_t n = 1; n <= 200; ++n) {
        edge.idle_until(begin_of(n));
        CHECK(edge.view_now().age < 500ms);
        CHECK(edge.run_frame(n, begin_of(n)).source == answer_source::cloud);
        if (n == 39) CHECK(to_milliseconds(edge.view_now().rtt) == Approx(10.4).margin(0.1));
    }
    CHECK(to_milliseconds(edge.view_now().rtt) == Approx(34.4).margin(0.1)); // 12 ms more each way
    CHECK(edge.probe_bytes_sent() > 2 * 2048 + 60 * 48); // up to four pings a second for 21 s, and probes only before the first frame
    CHECK(edge.probe_bytes_sent() < 2 * 2048 + 85 * 48);
}

TEST_CASE("where a rate probe is due with every question, the round trip is asked for all the same") {
    auto s = settings();
    s.ping_interval = s.probe_interval = 200ms;
    sim::simulated_edge<offload_when_up, sim::plain_world> edge{offload_when_up{}, s, {.rate_up = constant(1'000'000)}, surroundings()};
    for (auto at = 500ms; at < 10s; at += 100ms) {
        edge.idle_until(instant{at});
        CHECK(edge.view_now().age <= 500ms); // two intervals and what an answer takes
    }
}

TEST_CASE("a link is asked as soon as it is up, round trip first, and one that is never asked is never fresh") {
    auto edge = edge_over({});
    CHECK(edge.view_now().age == duration::max());
    edge.idle_until(instant{100ms});
    CHECK(edge.view_now().age < 100ms);
    CHECK(edge.view_now().rate_up.value == Approx(1e6).epsilon(0.01));
    auto mute = settings();
    mute.ping_interval = {};
    sim::simulated_edge<offload_when_up, sim::plain_world> unasked{offload_when_up{}, mute, {.rate_up = constant(1'000'000)}, surroundings()};
    for (std::uint32_t n = 1; n <= 10; ++n) {
        unasked.idle_until(begin_of(n));
        unasked.run_frame(n, begin_of(n));
    }
    CHECK(unasked.view_now().rate_up.value > 0);
    CHECK(unasked.view_now().age == duration::max());
}

TEST_CASE("a ping on its way keeps no payload from being sent, not even a whole input larger than the sender's buffer") {
    struct whole : offload_when_up {
        action on(frame_start, const link_view& l, const budget&) noexcept { return l.up && !l.busy ? action::offload_at(-1) : action::go_on(); }
        action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
        using offload_when_up::on;
    };
    auto s = settings();
    s.rules.remaining[0] = 20ms;
    s.ping_interval = 10ms;
    s.ping_bytes = 12'480; // 10 ms of air, so that every second frame begins behind one
    sim::simulated_edge<whole, sim::plain_world> edge{whole{}, s, {.rate_up = constant(10'000'000)}, surroundings()};
    for (std::uint32_t n = 1; n <= 100; ++n) {
        const instant start = begin_of(n) + 370us * n; // at every phase of the pings
        edge.idle_until(start);
        CHECK(edge.run_frame(n, start).source == answer_source::cloud);
    }
    CHECK(edge.counters().offload_refused == 0);
}

TEST_CASE("the picture of a link: a bound only lowers, what is too quick to measure still counts, and age is the older part's") {
    CHECK(link_picture::at_most({1e6}, 1250, 20ms).value == Approx(0.5e6));
    CHECK(link_picture::at_most({1e6}, 1250, 5ms).value == 1e6);
    CHECK(link_picture::at_most({1e6}, 1250, 0ms).value == 1e6);
    link_picture p;
    const instant t{1s};
    p.answered(t, t - 10ms, {.bytes = 1000, .at_first = 100, .spread = 5ms}, 1ms);
    CHECK(p.view(t).rate_up.value == Approx(900 * 8 / 0.005));
    CHECK(p.view(t).age == duration::max()); // no round trip is known
    p.ponged(t + 1s, t + 990ms, {});
    CHECK(p.view(t + 1s).age == 1s);
    link_picture quick;
    quick.ponged(t, t - 2ms, {});
    quick.answered(t, t - 2ms, {.bytes = 1000, .at_first = 1000}, {}); // no spread, no air beyond the round trip
    CHECK(quick.view(t).rate_up.value == Approx(1000 * 8 / 0.0005));    // at least what the shortest visible air means
    CHECK(quick.view(t).age == 0ms);
    quick.answered(t + 1s, t + 998ms, {.bytes = 100, .at_first = 100}, {}); // says less than is known, and agrees with it
    CHECK(quick.view(t + 1s).rate_up.value == Approx(1000 * 8 / 0.0005));
    CHECK(quick.view(t + 1s).age == 0ms);
}

TEST_CASE("SAGE-18: what was asked before a silence ended says how long that was, and nothing of the link behind it") {
    const instant t{10s};
    link_picture p;
    p.ponged(t, t - 10ms, {});
    p.silence_ended(t + 4s);
    p.ponged(t + 4s, t + 500ms, {});
    p.answered(t + 4s, t + 400ms, {.bytes = 1000, .at_first = 100, .spread = 5ms}, {});
    CHECK(p.heard() == t + 4s);
    CHECK(p.view(t + 4s).rtt == 10ms);
    CHECK(p.view(t + 4s).rate_up.value == 0);
    CHECK(p.view(t + 4s).age == duration::max());
    p.ponged(t + 4020ms, t + 4s, {}); // asked when it spoke again
    CHECK(p.view(t + 4020ms).rtt > 10ms);
    CHECK(p.view(t + 4020ms).rtt < 20ms);
    link_picture slow; // a link whose every answer takes longer than a silence is known by them
    slow.silence_ended(t);
    slow.ponged(t, t - 2s, {});
    CHECK(slow.view(t).rtt == 2s);
}

TEST_CASE("SAGE-18: an exchange keeps a round trip that agrees with it fresh, moves one that does not, and begins none") {
    const instant t{10s};
    link_picture p;
    const auto exchange = [&p](instant at, duration took, duration spread, duration service, duration reply = {}) {
        p.answered(at, at - took, {.bytes = 1000, .at_first = 100, .spread = spread}, service, reply);
    };
    exchange(t, 20ms, 9ms, 1ms);
    CHECK(!p.estimator().rtt.known());
    p.ponged(t, t - 10ms, {});
    exchange(t + 1s, 20ms, 9ms, 1ms); // 10 ms of transfer at 0.8 Mbit/s, 1 ms of service: a round trip of 9 to 10 ms
    CHECK(p.estimator().rtt.average() == 10ms);
    CHECK(p.estimator().rtt.age(t + 1s) == 0ms);
    exchange(t + 2s, 27ms, 9ms, 1ms, 7ms); // 7 ms more, all of them the answer's own way down
    CHECK(p.estimator().rtt.average() == 10ms);
    for (int i = 0; i < 60; ++i) exchange(t + 3s + 100ms * i, 60ms, 9ms, 1ms); // 40 ms more than before
    CHECK(to_milliseconds(p.estimator().rtt.average()) == Approx(49).margin(1));
    for (int i = 0; i < 60; ++i) exchange(t + 10s + 100ms * i, 15ms, 9ms, 1ms);
    CHECK(to_milliseconds(p.estimator().rtt.average()) == Approx(5).margin(1));
    // Of a message without a spread: no longer than the exchange took.
    link_picture short_one;
    short_one.ponged(t, t - 10ms, {});
    short_one.answered(t + 1s, t + 985ms, {.bytes = 500, .at_first = 500}, 1ms);
    CHECK(short_one.estimator().rtt.average() == 10ms);
    CHECK(short_one.view(t + 1s).age == 0ms);
    short_one.answered(t + 2s, t + 1996ms, {.bytes = 500, .at_first = 500}, 1ms);
    CHECK(short_one.estimator().rtt.average() < 10ms);
    // Nonsense from the other side stays within bounds.
    short_one.answered(t + 3s, t + 2996ms, {.bytes = 1U << 31, .at_first = (1U << 31) - 1, .spread = 4294s}, 4294s, 1h);
    CHECK(short_one.estimator().rtt.average() >= 0ms);
    CHECK(short_one.estimator().rtt.average() < 10ms);
}

TEST_CASE("SAGE-18: where offloads follow each other without a pause for a ping, the estimates stay fresh, and a longer round trip is noticed") {
    for (const std::size_t bytes : {std::size_t{984}, std::size_t{20'000}}) {
        auto s = settings();
        s.payload_bytes[1] = bytes;
        auto w = surroundings();
        w.edge_stage[0] = 20us;
        sim::simulated_edge<offload_when_up, sim::plain_world> edge{
            offload_when_up{}, s, {.rate_up = constant(10'000'000), .rate_down = constant(10'000'000), .faults = {{.kind = link::fault_kind::delay_step, .start = 10s, .end = 60s, .parameter = 0.004}}}, w};
        instant at{1s};
        edge.idle_until(at);
        for (std::uint32_t n = 1; at < instant{20s}; ++n) {
            if (n > 1) REQUIRE(edge.view_now().age < 500ms); // before, only probes have told of the rate
            const auto r = edge.run_frame(n, at);
            REQUIRE(r.source == answer_source::cloud);
            at += r.timings.total;
            if (at > instant{9s} && at < instant{10s}) CHECK(to_milliseconds(edge.view_now().rtt) == Approx(10).margin(0.6));
        }
        CHECK(to_milliseconds(edge.view_now().rtt) == Approx(18).margin(0.6));
    }
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
