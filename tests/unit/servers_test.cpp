// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file servers_test.cpp
/// Which of several servers a frame goes to, who stands in for one that fails, and whole drives between three in virtual time.
#include "demo_deployment.hpp"
#include "machine_cases.hpp"

#include <splitdsl/policy/by_server.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/server_choice.hpp>
#include <splitdsl/radio/cellular.hpp>
#include <splitdsl/sim/simulated_servers.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace {

using board_of = server_board<policy::earliest_answer>;
using role = board_of::role;
using fate = board_of::fate;

struct may_throw {
    int choose(const server_question&, std::span<const server_view>) { return 0; }
};
struct by_name {
    const char* choose(const server_question&, std::span<const server_view>) noexcept { return "depot"; }
};
static_assert(!server_choice<may_throw> && !server_choice<by_name> && !server_choice<int>);
static_assert(scheduler_policy<policy::by_server<policy::sage>> && falls_back_v<policy::by_server<policy::sage>>);

link_view reached(double mbps, duration rtt) {
    return {.up = true, .rate_up = megabits_per_second(mbps), .rate_down = megabits_per_second(mbps), .rtt = rtt, .age = 10ms};
}
server_question question(int last = -1, duration window = 60ms) { return {.cut = 0, .payload = {1000}, .reply = {64}, .window = window, .last = last, .now = t0}; }

/// Two servers 8 ms and 20 ms away, behind a board; the frame's window is 60 ms.
struct pair_of_servers {
    explicit pair_of_servers(servers_options o = {.first_probe = {}}, breaker_options b = {.failures_to_open = 3, .first_pause = 200ms})
        : board{2, std::array<radio_power, 2>{}, o, b, policy::earliest_answer{}} {}
    /// Frame `n` at `t` goes to whom it should.
    int first(std::uint32_t n, instant t) {
        server_question q = question();
        q.now = t;
        const int k = board.choose(q, links);
        if (k >= 0) board.asked(k, role::first, n, epoch_of(k), 1000, t + q.window, t, links);
        return k;
    }
    fate answer(int k, std::uint32_t n, instant t, reply_facts f = {}) {
        f.sequence = n;
        f.epoch = epoch_of(k);
        told = f;
        return board.heard(k, told, t, links);
    }
    static std::uint32_t epoch_of(int k) { return 70U + static_cast<std::uint32_t>(k); }
    board_of board;
    std::array<link_view, 2> links{reached(100, 8ms), reached(100, 20ms)};
    reply_facts told{};
};

} // namespace

TEST_CASE("the server that is expected to answer earliest gets the frame: rate, round trip and its own time together") {
    policy::earliest_answer choice;
    // 1000 bytes: 8 ms at 1 Mbps, 0.8 ms at 10.
    CHECK(choice.choose(question(), std::array{server_view{reached(1, 4ms)}, server_view{reached(10, 6ms)}}) == 1);
    CHECK(choice.choose(question(), std::array{server_view{reached(10, 4ms), 9ms}, server_view{reached(10, 6ms), 2ms}}) == 1);
    CHECK(choice.choose(question(), std::array{server_view{reached(10, 4ms), 2ms}, server_view{reached(10, 6ms), 2ms}}) == 0);
    std::array gone{server_view{reached(10, 4ms)}, server_view{reached(1, 40ms)}};
    gone[0].link.up = false;
    CHECK(choice.choose(question(), gone) == 1);
    gone[1].link.up = false;
    CHECK(choice.choose(question(), gone) == -1);
    std::array stale{server_view{reached(10, 4ms)}, server_view{reached(1, 40ms)}};
    stale[0].link.age = 10s;
    CHECK(choice.choose(question(), stale) == 1);
    stale[1].link.busy = true; // an old measurement of a free link is worth more than a queue
    CHECK(choice.choose(question(), stale) == 0);
    CHECK(expected_answer(question(), {}) > 24h); // nothing was measured
}

TEST_CASE("a server keeps its frames until another one is clearly better for some of them") {
    policy::earliest_answer choice;
    const std::array slightly{server_view{reached(10, 10ms)}, server_view{reached(10, 9ms)}}, clearly{server_view{reached(10, 20ms)}, server_view{reached(10, 9ms)}};
    for (int i = 0; i < 10; ++i) CHECK(choice.choose(question(0), slightly) == 0);
    CHECK(choice.choose(question(0), clearly) == 0);
    CHECK(choice.choose(question(0), clearly) == 0);
    CHECK(choice.choose(question(0), slightly) == 0); // not in a row
    CHECK(choice.choose(question(0), clearly) == 0);
    CHECK(choice.choose(question(0), clearly) == 0);
    server_question other_cut = question(1);
    other_cut.cut = -1;
    CHECK(choice.choose(other_cut, slightly) == 1); // which is counted by itself
    CHECK(choice.choose(question(0), clearly) == 1);

    SECTION("at once where the last one is not in time") { CHECK(choice.choose(question(0, 15ms), clearly) == 1); }
    SECTION("at once where it has a payload on its way") {
        std::array full = clearly;
        full[0].link.busy = true;
        CHECK(choice.choose(question(0), full) == 1);
    }
}

TEST_CASE("the least energy among those in time: Wi-Fi although LTE is earlier, LTE where Wi-Fi is too late") {
    policy::least_energy choice;
    const radio_power wifi = radio::find("wifi")->power, lte = radio::find("lte")->power;
    const auto views = [&](double wifi_mbps) { return std::array{server_view{reached(20, 10ms), 5ms, lte}, server_view{reached(wifi_mbps, 20ms), 5ms, wifi}}; };
    CHECK(choice.choose(question(), views(5)) == 1);
    CHECK(choice.choose(question(1), views(0.2)) == 0); // 40 ms of sending: not within 80 % of 60 ms
    CHECK(choice.choose(question(-1, 10ms), views(5)) == 0); // nobody: the earliest
}

TEST_CASE("costs by server: the same frame is worth sending over Wi-Fi and not over LTE") {
    deployment wifi = demo(), lte = wifi;
    wifi.cut[0].tail_energy = lte.cut[0].tail_energy = {0.045};
    wifi.radio = radio::find("wifi")->power;
    policy::by_server<policy::sage> either{{policy::sage{wifi}, policy::sage{lte}}};
    link_view over = reached(0.5, 10ms);
    const budget left{.now = instant{20ms}, .deadline = instant{120ms}, .reserve = 20ms};
    over.server = 0;
    CHECK(either.on(stage_done{.cut = 0}, over, left).what == action::kind::offload);
    over.server = 1;
    const action a = either.on(stage_done{.cut = 0}, over, left);
    CHECK(a.what == action::kind::proceed);
    CHECK(a.why == stay_reason::no_saving);
    CHECK(either.servers() == 2);
    CHECK_THROWS_AS((policy::by_server<policy::sage>{{}}), option_error);
}

TEST_CASE("a late server: a second one is asked while it can still be in time, and the first valid answer counts") {
    pair_of_servers s;
    REQUIRE(s.first(1, t0) == 0);
    REQUIRE(s.answer(0, 1, at(10ms)) == fate::hand_on);
    CHECK(s.told.epoch == 70);
    s.board.ended(true, at(10ms));

    REQUIRE(s.first(2, at(100ms)) == 0);
    const duration late = s.board.late_at() - at(100ms);
    CHECK(late > 8ms);
    CHECK(late < 20ms); // one and a half of 8.1 ms, and a bit
    REQUIRE(s.board.second(s.board.late_at(), s.links) == 1);
    s.board.asked(1, role::second, 2, 71, 1000, at(160ms), s.board.late_at(), s.links);
    CHECK(s.board.late_at() == instant::max()); // there is no third
    CHECK(s.answer(1, 2, at(140ms)) == fate::hand_on);
    CHECK(s.told.epoch == 70); // as the frame machine knows its question
    CHECK(s.told.server == 1);
    CHECK(s.answer(0, 2, at(145ms)) == fate::drop);
    CHECK(s.answer(0, 2, at(146ms)) == fate::drop);
    s.board.ended(true, at(140ms));
    CHECK(s.board.counters(0).beaten == 1);
    CHECK(s.board.counters(0).late == 1); // the second copy
    CHECK(s.board.counters(1).seconds == 1);
    CHECK(s.board.counters(1).answered == 1);
    CHECK(s.board.counters(0).bytes_up == 2000); // two frames of 1000 bytes at 100 Mbps
    CHECK(s.board.counters(0).air_ns == 160'000);
    CHECK(s.board.counters(1).bytes_up == 1000);
    CHECK(s.board.counters(1).bytes_down == 64);
    CHECK(s.board.counters(1).air_down_ns == 5'120);
}

TEST_CASE("second servers are bounded: a burst, then a share of the frames") {
    pair_of_servers s{{.second_share = 0.1, .second_burst = 3, .first_probe = {}}, {.failures_to_open = 1000}};
    int seconds = 0;
    constexpr int frames = 200;
    for (int n = 1; n <= frames; ++n) {
        const instant t = at(n * 100ms);
        const int k = s.first(static_cast<std::uint32_t>(n), t);
        const instant late = s.board.late_at();
        if (late < t + 60ms)
            if (const int other = s.board.second(late, s.links); other >= 0) {
                ++seconds;
                s.board.asked(other, role::second, static_cast<std::uint32_t>(n), pair_of_servers::epoch_of(other), 1000, t + 60ms, late, s.links);
                REQUIRE(s.answer(other, static_cast<std::uint32_t>(n), t + 50ms) == fate::hand_on);
            }
        REQUIRE(s.answer(k, static_cast<std::uint32_t>(n), t + 58ms, {.service = {}}) != fate::failing); // late, but it says that it took no time
        s.board.ended(true, t + 59ms);
    }
    CHECK(seconds > 15);
    CHECK(seconds <= 3 + frames / 10);
}

TEST_CASE("a server that fails within the frame is stood in for, if somebody can be in time") {
    pair_of_servers s;
    REQUIRE(s.first(1, t0) == 0);
    SECTION("it sheds") {
        CHECK(s.answer(0, 1, at(9ms), {.shed = true}) == fate::failing);
        CHECK(s.board.second(at(9ms), s.links) == 1);
        CHECK(s.board.second(at(45ms), s.links) == -1); // 15 ms are left, 20 it takes
        s.board.asked(1, role::stand_in, 1, 71, 1000, at(60ms), at(9ms), s.links);
        CHECK(s.answer(1, 1, at(32ms)) == fate::hand_on);
        s.board.ended(true, at(32ms));
        CHECK(s.first(2, at(100ms)) == 1); // whoever shed said that it takes longer than there is
        CHECK(s.board.counters(0).shed == 1);
    }
    SECTION("its answer is not finite, and the stand-in's neither: the machine hears of one") {
        CHECK(s.answer(0, 1, at(9ms), {.finite = false}) == fate::failing);
        s.board.asked(1, role::stand_in, 1, 71, 1000, at(60ms), at(9ms), s.links);
        CHECK(s.answer(1, 1, at(32ms), {.finite = false}) == fate::failing);
        CHECK(s.board.second(at(32ms), s.links) == -1);
        CHECK(s.told.epoch == 70);
    }
    SECTION("its connection ends") {
        CHECK(s.board.lost(0, at(5ms)));
        CHECK(s.board.owing() == 0);
        CHECK_FALSE(s.board.lost(0, at(6ms)));
    }
    SECTION("it is silent: nobody is asked for what cannot be in time, and the next frame goes elsewhere") {
        s.board.ended(true, at(60ms));
        CHECK(s.board.counters(0).failed == 1);
        CHECK(s.first(2, at(100ms)) == 1);
        CHECK(s.answer(0, 1, at(105ms)) == fate::hand_on); // the machine counts it as late
        CHECK(s.board.counters(0).late == 1);
    }
    SECTION("its answer comes while the local tail runs: it still counts") {
        s.board.ended(true, at(60ms));
        CHECK(s.answer(0, 1, at(62ms)) == fate::hand_on);
        CHECK(s.board.counters(0).answered == 1);
    }
    SECTION("its answer comes behind the frame's: it is late, and has failed") {
        s.links[1].up = false;
        for (std::uint32_t n = 1; n <= 3; ++n) {
            if (n > 1) REQUIRE(s.first(n, at(n * 100ms)) == 0);
            s.board.ended(true, at(n * 100ms + 60ms));
            s.board.over();
            CHECK(s.answer(0, n, at(n * 100ms + 80ms)) == fate::hand_on); // the machine counts it as late
        }
        CHECK(s.board.counters(0).late == 3);
        CHECK(s.board.counters(0).answered == 0);
        CHECK(s.board.counters(0).breaker_openings == 1);
    }
}

TEST_CASE("replies that nobody asked for, or of another connection, never reach the frame") {
    pair_of_servers s;
    REQUIRE(s.first(1, t0) == 0);
    CHECK(s.answer(1, 1, at(5ms)) == fate::drop); // the other server
    reply_facts old{.sequence = 1, .epoch = 69};
    CHECK(s.board.heard(0, old, at(5ms), s.links) == fate::drop);
    CHECK(s.answer(0, 2, at(5ms)) == fate::drop);
    CHECK(s.board.waiting());
    CHECK(s.answer(0, 1, at(9ms)) == fate::hand_on);
}

TEST_CASE("each server has a breaker of its own, and without another one a frame is the trial") {
    pair_of_servers s;
    s.links[1].up = false;
    std::uint32_t n = 0;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(s.first(++n, at(i * 10ms)) == 0);
        s.answer(0, n, at(i * 10ms + 5ms), {.shed = true});
        s.board.ended(true, at(i * 10ms + 5ms));
    }
    CHECK(s.first(++n, at(100ms)) == -1); // open
    s.links[1].up = true;
    CHECK(s.first(++n, at(110ms)) == 1);
    s.links[1].up = false;
    CHECK(s.first(++n, at(300ms)) == 0); // half open
    CHECK(s.board.counters(0).breaker_openings == 1);
    REQUIRE(s.answer(0, n, at(310ms)) == fate::hand_on);
    s.board.ended(true, at(310ms));
    CHECK(s.first(++n, at(320ms)) == 0);
}

TEST_CASE("where no copies are sent a frame is the trial, although there is another server") {
    pair_of_servers s{{.first_probe = {}, .longest_probe = 1s}};
    std::uint32_t n = 0;
    s.links[1].up = false;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(s.first(++n, at(i * 10ms)) == 0);
        s.board.lost(0, at(i * 10ms + 5ms));
    }
    REQUIRE(s.board.counters(0).breaker_openings == 1);
    s.links[1].up = true;
    CHECK(s.first(++n, at(100ms)) == 1);
    REQUIRE(s.answer(1, n, at(120ms)) == fate::hand_on);
    int back = -1;
    for (int i = 0; i < 10 && back != 0; ++i) { // what was known of it is forgotten
        const instant t = at(2s + i * 100ms);
        back = s.first(++n, t);
        s.answer(back, n, t + 30ms);
    }
    CHECK(back == 0);
}

TEST_CASE("a server that was slow is looked at by copies of frames, ever more rarely, and gets frames again once it is quick") {
    pair_of_servers s{{.first_probe = 1s, .longest_probe = 8s}};
    std::uint32_t n = 0;
    int probes = 0, to_first = 0;
    duration slow = 500ms;
    const auto drive = [&](duration from, duration to) {
        probes = to_first = 0;
        for (duration t = from; t < to; t += 100ms) {
            const int k = s.first(++n, at(t));
            to_first += k == 0;
            REQUIRE(k >= 0);
            if (const int other = s.board.probe(at(t), s.links); other >= 0) {
                probes += other == 0;
                s.board.asked(other, role::probe, n, pair_of_servers::epoch_of(other), 1000, at(t + 60ms), at(t), s.links);
                if (other == 1) s.answer(1, n, at(t + 22ms), {.service = 1ms});
                else if (slow < 60ms) s.answer(0, n, at(t + 10ms), {.service = slow});
            }
            if (k == 1 || slow < 60ms) s.answer(k, n, at(t + 25ms), {.service = 1ms});
            s.board.ended(true, at(t + 59ms));
        }
    };
    drive(0s, 40s);
    CHECK(to_first <= 2);
    CHECK(probes >= 4);
    CHECK(probes <= 10); // after 1, 2, 4, 8, 8 ... seconds
    slow = 1ms;
    drive(40s, 60s);
    CHECK(to_first > 100); // within 8 s and some frames
}

namespace {

/// A depot's server over Wi-Fi, one at a base station, a public cloud; the first one's link is black for 5 s, then the second's machine is busy.
struct drive_of_three {
    std::vector<sim::server_frame> frames;
    std::array<server_counters, 3> servers{};
    frame_counters machine{};
    explicit drive_of_three(std::uint64_t seed, servers_options o = {}) {
        const auto steady = [](double mbps) { return std::make_shared<const link::link_trace>(link::link_trace::constant(megabits_per_second(mbps))); };
        const auto lte = std::make_shared<const link::link_trace>(link::generate({.length = 120s}, seed));
        const std::vector<link::fault> black{{link::fault_kind::blackhole, 10s, 15s}};
        const auto takes = [](duration t) { return [t](int, instant) { return t; }; };
        sim::servers_settings s{.rules = rules(), .payload_bytes = {200'000, 1'000}, .servers = o};
        s.stage_time = {5ms, 8ms, 8ms};
        sim::simulated_servers<always_offload> edge{
            {}, s,
            {{.link = {.rate_up = steady(20), .round_trip = 4ms, .faults = black, .seed = seed}, .service = takes(6ms)},
             {.link = {.rate_up = lte, .round_trip = 16ms, .seed = seed + 1}, .service = [](int, instant t) { return t >= at(20s) && t < at(25s) ? 150ms : 4ms; }},
             {.link = {.rate_up = steady(5), .round_trip = 40ms, .seed = seed + 2}, .service = takes(2ms)}},
            policy::earliest_answer{}, t0};
        edge.idle_until(at(900ms)); // all links are measured
        for (std::uint32_t n = 1; n <= 290; ++n) frames.push_back(edge.run_frame(n, at(900ms + n * 100ms)));
        for (int k = 0; k < 3; ++k) servers[static_cast<std::size_t>(k)] = edge.server(k);
        machine = edge.counters();
    }
    int count(duration from, duration to, int server) const {
        return static_cast<int>(std::count_if(frames.begin(), frames.end(), [&](const sim::server_frame& f) {
            return f.start >= at(from) && f.start < at(to) && f.source == answer_source::cloud && f.server == server;
        }));
    }
};

} // namespace

TEST_CASE("between three servers, one dark for five seconds: every frame in time, nearly all by a server, the same ones every time") {
    const auto seed = static_cast<std::uint64_t>(GENERATE(1, 2, 3, 4, 5));
    CAPTURE(seed);
    const drive_of_three d{seed};
    int late = 0, local = 0;
    for (const sim::server_frame& f : d.frames) late += !f.on_time, local += f.source != answer_source::cloud;
    CHECK(late == 0);
    CHECK(local <= 2);
    CHECK(d.count(1s, 10s, 0) >= 85); // of 90: the depot's
    CHECK(d.count(10200ms, 15s, 0) == 0);
    CHECK(d.count(10s, 15s, 1) + d.count(10s, 15s, 2) >= 47); // of 50
    CHECK(d.count(25s, 30s, 0) >= 45); // it was found again
    CHECK(d.machine.covered_misses == 0);
    CHECK(d.servers[0].probes + d.servers[1].probes + d.servers[2].probes <= 60); // copies are few
    CHECK(d.servers[0].seconds + d.servers[1].seconds + d.servers[2].seconds <= 5 + 29);
    CHECK(drive_of_three{seed}.frames == d.frames);
}

TEST_CASE("without second servers and probes the same drive costs fallbacks, and no deadline") {
    const drive_of_three d{1, {.second_share = 0, .first_probe = {}, .longest_probe = 4s}};
    int local = 0;
    for (const sim::server_frame& f : d.frames) {
        CHECK(f.on_time);
        local += f.source == answer_source::fallback;
    }
    CHECK(local >= 1);
    CHECK(d.servers[0].seconds + d.servers[1].seconds + d.servers[2].seconds + d.servers[0].probes + d.servers[1].probes + d.servers[2].probes == 0);
    CHECK(d.count(25s, 30s, 0) >= 45); // found again by a frame, once what was known of it was forgotten
}
