// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file virtual_link_test.cpp
/// Traces and the virtual link that follows them: no socket, no thread, no sleep.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/link/virtual_link.hpp>

#include <cstdio>
#include <fstream>
#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::link;
using namespace std::chrono_literals;

namespace {

instant moment(duration d) { return instant{d}; }

} // namespace

TEST_CASE("a trace gives its rate, its integral over outages, and repeats") {
    const auto t = link_trace::parse("time_s,speed,up_kbps\n10.0,3,800\n10.5,4,0\n11.0,x,1600\n11.5,5,8\n");
    CHECK(t.length() == 2s);
    CHECK(t.rate_at(0s).value == 800e3);
    CHECK(t.rate_at(499'999'999ns).value == 800e3);
    CHECK(t.rate_at(500ms).value == 0);
    CHECK(t.rate_at(1s).value == 1.6e6);
    CHECK(t.rate_at(2s).value == 800e3);
    CHECK(t.mean().value == Approx((800 + 0 + 1600 + 8) * 1e3 / 4));

    CHECK(t.transfer_end(0s, 0) == 0s);
    CHECK(t.transfer_end(0s, 100) == 1ms);
    CHECK(t.transfer_end(0s, 50'000) == 500ms);    // exactly until the outage begins
    CHECK(t.transfer_end(0s, 50'001) == 1s + 5us); // one byte over waits for its end
    CHECK(t.transfer_end(700ms, 200) == 1s + 1ms);
    CHECK(t.transfer_end(1500ms, 500) == 2s);       // 8 kbit/s for the last half second
    CHECK(t.transfer_end(1500ms, 600) == 2s + 1ms); // and over the end
    const std::size_t period = 50'000 + 100'000 + 500;
    CHECK(t.transfer_end(0s, period) == 2s);
    CHECK(t.transfer_end(0s, 1000 * period) == 2000s);
    CHECK(t.transfer_end(2000s, period + 100) == 2002s + 1ms);
    CHECK(t.carried(0s, 2s) == period);
    CHECK(t.carried(450ms, 1s + 1ms) == 5'000 + 200);
    CHECK(link_trace::constant({0}).transfer_end(0s, 1) == link_trace::never);
    CHECK(link_trace::constant(kilobits_per_second(8)).transfer_end(3s, 1000) == 4s);
}

TEST_CASE("a trace's integral is its own inverse on a generated trace") {
    const auto t = generate({.length = 60s}, 5);
    splitdsl::detail::xoshiro256 random{6};
    for (int i = 0; i < 2000; ++i) {
        const duration start{static_cast<std::int64_t>(random.next() % 200'000'000'000u)};
        const std::size_t size = 1 + random.below(100'000);
        const duration end = t.transfer_end(start, size);
        REQUIRE(end > start);
        CHECK(t.carried(start, end) >= size);
        CHECK(t.carried(start, end - 1ns) < size);
    }
}

TEST_CASE("a bad trace is refused with line, expected and found") {
    struct bad {
        std::string text, says;
    };
    const std::string long_line(5000, '1');
    std::string wide = "time_s";
    for (int i = 0; i < 70; ++i) wide += ",c";
    const bad cases[]{
        {"", "t.csv: expected a header line with time_s and up_kbps, and rows of numbers, found an empty file"},
        {"\n\n", "found an empty file"},
        {"time_s,up_kbps\n", "expected at least one row of numbers"},
        {"time_s,down_kbps\n0,1\n", "t.csv:1: expected a column named up_kbps, found \"time_s\", \"down_kbps\""},
        {"t,up_kbps\n0,1\n", "expected a column named time_s"},
        {"time_s,up_kbps,up_kbps\n0,1,2\n", "expected one column named up_kbps, found two"},
        {"time_s,up_kbps\n0,nan\n", "t.csv:2: expected a finite number for up_kbps, found \"nan\""},
        {"time_s,up_kbps\n0,inf\n", "expected a finite number for up_kbps, found \"inf\""},
        {"time_s,up_kbps\n0,\n", "expected a finite number for up_kbps, found \"\""},
        {"time_s,up_kbps\n0,12x\n", "found \"12x\""},
        {"time_s,up_kbps\n0,1e999\n", "found \"1e999\""},
        {"time_s,up_kbps\n0,-1\n", "expected up_kbps from 0 to 1000000000, found \"-1\""},
        {"time_s,up_kbps\n0,1e10\n", "expected up_kbps from 0 to 1000000000, found \"1e10\""},
        {"time_s,up_kbps\n-1,1\n", "expected time_s from 0"},
        {"time_s,up_kbps\n0,1\n0.1,2\n0.1,3\n", "t.csv:4: expected a time_s after 0.1, found \"0.1\""},
        {"time_s,up_kbps\n1,1\n0.5,2\n", "t.csv:3: expected a time_s after 1, found \"0.5\""},
        {"time_s,up_kbps\n0,1,2\n", "t.csv:2: expected 2 columns, found 3"},
        {"time_s,up_kbps\n0\n", "t.csv:2: expected 2 columns, found 1"},
        {"time_s,up_kbps\n0,1\n\n1,1\n", "t.csv:3: expected 2 columns, found 1"},
        {"time_s,up_kbps\n0," + long_line + "\n", "t.csv:2: expected a line of at most 4096 characters, found 5002"},
        {wide + "\n", "expected at most 64 columns"},
        {std::string("time_s,up_kbps\n0,\0001\n", 19), "expected a finite number for up_kbps, found \"?"},
    };
    for (const auto& c : cases) {
        INFO(c.text.substr(0, 80));
        const std::string said = refusal<error>([&] { link_trace::parse(c.text, "t.csv"); });
        INFO(said);
        CHECK(said.find(c.says) != std::string::npos);
        CHECK_THROWS_AS(link_trace::parse(c.text), trace_error);
    }
    CHECK_THROWS_AS(link_trace::load("/no/such/trace.csv"), trace_error);
    CHECK(refusal<error>([] { link_trace::load("/tmp"); }) == "/tmp: expected a csv file of at most 67108864 bytes, found a folder");
    std::string many = "time_s,up_kbps\n";
    for (std::size_t i = 0; i <= link_trace::max_rows; ++i) many += std::to_string(i) + ",1\n";
    CHECK(refusal<error>([&] { link_trace::parse(many); }).find(":1000002: expected at most 1000000 rows") != std::string::npos);
    CHECK_THROWS_AS((link_trace{{}, 1s}), trace_error);
    CHECK_THROWS_AS((link_trace{{{1s, 5}}, 1s}), trace_error);
    CHECK_THROWS_AS((link_trace{{{0s, 5}, {0s, 6}}, 1s}), trace_error);
    CHECK_THROWS_AS((link_trace{{{0s, 5}}, 0s}), trace_error);
    CHECK_THROWS_AS(link_trace::constant({-1}), trace_error);
}

TEST_CASE("a trace takes another column, Windows line ends and a byte order mark") {
    const auto t = link_trace::parse("\xEF\xBB\xBFtime_s, down_kbps ,up_kbps\r\n0, 24 ,1\r\n1,48,1\r\n\r\n", "t", "down_kbps");
    CHECK(t.size() == 2);
    CHECK(t.rate_at(1500ms).value == 48e3);
}

TEST_CASE("a trace takes what spreadsheets write: quoted headers and cells, blanks behind them, blank lines at the end") {
    const auto t = link_trace::parse("\"time_s\",\"up_kbps\" \t\r\n0,24  \r\n\"1\", \"48\"\t\r\n \t\r\n");
    CHECK(t.size() == 2);
    CHECK(t.rate_at(1500ms).value == 48e3);
    CHECK_THROWS_AS(link_trace::parse("\"time_s,up_kbps\"\n0,1\n"), trace_error);
    CHECK_THROWS_AS(link_trace::parse("time_s,up_kbps\n0,\"1\n"), trace_error);
}

TEST_CASE("the generator has an LTE drive's look") {
    const auto t = generate({.length = 20'000s}, 42);
    std::vector<double> logs;
    double out = 0, sum = 0;
    std::vector<int> outages;
    int run = 0;
    for (const auto& slot : t.all()) {
        if (slot.rate == 0) {
            ++out;
            ++run;
            continue;
        }
        if (run > 0) outages.push_back(std::exchange(run, 0));
        sum += static_cast<double>(slot.rate);
        logs.push_back(std::log(static_cast<double>(slot.rate)));
    }
    const double count = static_cast<double>(logs.size());
    CHECK(out / static_cast<double>(t.size()) == Approx(0.05).margin(0.01));
    CHECK(sum / count == Approx(0.9e6).epsilon(0.03));
    const double mean = std::accumulate(logs.begin(), logs.end(), 0.0) / count;
    double variance = 0;
    for (const double l : logs) variance += (l - mean) * (l - mean) / count;
    CHECK(std::sqrt(variance) == Approx(0.4).epsilon(0.05));
    CHECK(*std::min_element(outages.begin(), outages.end()) >= 5);
    CHECK(*std::max_element(outages.begin(), outages.end()) <= 50);
    CHECK(std::accumulate(outages.begin(), outages.end(), 0.0) / static_cast<double>(outages.size()) == Approx(27.5).epsilon(0.12));

    // Autocorrelation of the logarithm at 3 s is 1/e; without outages, so that lags are times.
    const auto clear = generate({.length = 20'000s, .outage_share = 0}, 42);
    std::vector<double> x;
    for (const auto& slot : clear.all()) x.push_back(std::log(static_cast<double>(slot.rate)));
    const double centre = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
    double at_0 = 0, at_3s = 0;
    for (std::size_t i = 30; i < x.size(); ++i) {
        at_0 += (x[i] - centre) * (x[i] - centre);
        at_3s += (x[i] - centre) * (x[i - 30] - centre);
    }
    CHECK(at_3s / at_0 == Approx(std::exp(-1.0)).margin(0.05));
}

TEST_CASE("the generator gives the same trace for a seed with every compiler") {
    const auto digest = [](const link_trace& t) {
        std::uint64_t hash = 0xcbf29ce484222325u;
        for (const auto& slot : t.all()) hash = (hash ^ slot.rate) * 0x100000001b3u;
        return hash;
    };
    CHECK(digest(generate({}, 1)) == digest(generate({}, 1)));
    std::set<std::uint64_t> different;
    for (std::uint64_t seed = 0; seed < 20; ++seed) different.insert(digest(generate({}, seed)));
    CHECK(different.size() == 20);
    CHECK(digest(generate({}, 1)) == 17212996130818986149u);
    // Recorded from the definition of xoshiro256** seeded by splitmix64(0).
    splitdsl::detail::xoshiro256 random{0};
    CHECK(random.next() == 11091344671253066420u);
    CHECK_THROWS_AS(generate({.length = 0s}, 1), option_error);
    CHECK_THROWS_AS(generate({.mean = {0}}, 1), option_error);
    CHECK_THROWS_AS(generate({.outage_share = 1}, 1), option_error);
    CHECK_THROWS_AS(generate({.longest_outage = 100ms}, 1), option_error);
}

TEST_CASE("a recorded LTE drive loads whole") {
    const char* folder = std::getenv("SPLITDSL_DATA");
    const std::string path = std::string{folder ? folder : "../shared/data"} + "/traces/lte_driving_att_up.csv";
    if (!std::ifstream{path}) {
        WARN("skipped: " << path << " is not there; set SPLITDSL_DATA");
        return;
    }
    const auto t = link_trace::load(path);
    CHECK(t.size() == 10'125);
    CHECK(to_seconds(t.length()) == Approx(1012.5));
    const auto empty = std::count_if(t.all().begin(), t.all().end(), [](const trace_slot& s) { return s.rate == 0; });
    CHECK(static_cast<double>(empty) / static_cast<double>(t.size()) == Approx(0.15).margin(0.01));
}

TEST_CASE("a fault script is read from text") {
    const fault f = parse_fault("rate_collapse:20:5:0.1:up");
    CHECK(f.kind == fault_kind::rate_collapse);
    CHECK(f.start == 20s);
    CHECK(f.end == 25s);
    CHECK(f.parameter == 0.1);
    CHECK(f.toward == direction::up);
    CHECK(parse_fault("stall:0.5:0.25").end == 750ms);
    for (int i = 0; i < fault_kinds; ++i)
        CHECK(parse_fault(std::string{name_of(static_cast<fault_kind>(i))} + ":0:1:0.5").kind == static_cast<fault_kind>(i));
    for (const char* bad : {"", "stall", "stall:1", "stall:1:0", "stall:-1:2", "stall:a:2", "storm:1:2", "loss:1:2:1.5", "loss:1:2:nan",
                            "stall:1:2:0:left", "stall:1:2:0:up:more", "slow_drip:1:2:0", "stall:1:1e300",
                            "stall:1e10:1", "delay_step:0:1:1e300", "stall:nan:1", "stall:0:inf", "delay_step:1:2", "jitter:1:2", "corruption:1:2", "loss:1:2"})
        CHECK_THROWS_AS(parse_fault(bad), option_error);
}

TEST_CASE("a virtual channel serialises first in, first out") {
    const auto rate = std::make_shared<const link_trace>(link_trace::constant(kilobits_per_second(800))); // 100 bytes a ms
    virtual_channel c{{.rate = rate, .delay = 5ms, .buffer_bytes = 2000}};
    const auto a = c.send(moment(0s), 1000);
    REQUIRE(a.count == 1);
    CHECK(a.arrival[0].first == moment(5ms));
    CHECK(a.arrival[0].time == moment(15ms));
    const auto b = c.send(moment(1ms), 1000);
    CHECK(b.arrival[0].first == moment(15ms));
    CHECK(b.arrival[0].time == moment(25ms));
    CHECK(c.queued(moment(1ms)) == 2000);
    CHECK_FALSE(c.send(moment(1ms), 1).accepted);
    CHECK(c.queued(moment(10ms)) == 1000);
    CHECK(c.free_from() == moment(20ms));
    CHECK(c.send(moment(10ms), 1000).arrival[0].time == moment(35ms));
    CHECK(c.send(moment(1s), 100'000).accepted); // larger than the buffer, but nothing waits
}

TEST_CASE("a virtual channel follows a trace through an outage") {
    const auto rate = std::make_shared<const link_trace>(link_trace{{{0ms, 800'000}, {100ms, 0}, {300ms, 1'600'000}}, 100ms});
    virtual_channel c{{.rate = rate, .delay = 0ms}};
    CHECK(c.send(moment(95ms), 1500).arrival[0].time == moment(305ms));
    CHECK(c.rate_at(moment(150ms)).value == 0);
}

TEST_CASE("each fault of a virtual channel does what it says") {
    const auto rate = std::make_shared<const link_trace>(link_trace::constant(kilobits_per_second(800)));
    const auto with = [&](fault f) { return virtual_channel{{.rate = rate, .delay = 5ms, .buffer_bytes = 1 << 20, .faults = {f}}}; };
    const auto rates_of = [&](fault f, auto&& counted) {
        auto c = with(f);
        int hits = 0;
        for (int i = 0; i < 20'000; ++i) hits += counted(c.send(moment(10ms * i), 100)) ? 1 : 0;
        return hits / 20'000.0;
    };
    const fault always{fault_kind::loss, 0s, 10'000s, 0.25};

    SECTION("loss") {
        CHECK(rates_of(always, [](const deliveries& d) { return d.lost(); }) == Approx(0.25).margin(0.015));
        CHECK(with({fault_kind::loss, 10ms, 20ms, 1}).send(moment(5ms), 1).count == 1);
    }
    SECTION("burst") {
        auto c = with({fault_kind::burst, 0s, 10'000s, 0.25});
        int lost = 0, bursts = 0;
        bool before = false;
        for (int i = 0; i < 100'000; ++i) {
            const bool gone = c.send(moment(10ms * i), 100).lost();
            lost += gone;
            bursts += gone && !before;
            before = gone;
        }
        CHECK(lost / 100'000.0 == Approx(0.25).margin(0.02));
        CHECK(static_cast<double>(lost) / bursts == Approx(8).epsilon(0.1));
    }
    SECTION("delay step") {
        auto c = with({fault_kind::delay_step, 100ms, 200ms, 0.03});
        CHECK(c.send(moment(0s), 100).arrival[0].time == moment(6ms));
        CHECK(c.send(moment(100ms), 100).arrival[0].time == moment(136ms));
        CHECK(c.send(moment(200ms), 100).arrival[0].time == moment(206ms));
    }
    SECTION("jitter keeps order and its bound") {
        auto c = with({fault_kind::jitter, 0s, 100s, 0.05});
        instant last{};
        duration most{};
        for (int i = 0; i < 1000; ++i) {
            const auto d = c.send(moment(10ms * i), 100).arrival[0];
            CHECK(d.time >= last);
            CHECK(d.first <= d.time);
            last = d.time;
            most = std::max(most, d.time - moment(10ms * i));
        }
        CHECK(most > 50ms);
        CHECK(most <= 56ms);
    }
    SECTION("rate collapse, also in the middle of a message") {
        auto c = with({fault_kind::rate_collapse, 100ms, 200ms, 0.5});
        CHECK(c.send(moment(95ms), 1000).arrival[0].time == moment(95ms + 5ms + 10ms + 5ms));
        CHECK(c.rate_at(moment(150ms)).value == 400e3);
        auto dead = with({fault_kind::rate_collapse, 100ms, 200ms, 0});
        CHECK(dead.send(moment(95ms), 1000).arrival[0].time == moment(210ms));
    }
    SECTION("blackhole swallows what is sent or on its way") {
        auto c = with({fault_kind::blackhole, 100ms, 200ms});
        CHECK(c.send(moment(0s), 100).count == 1);
        CHECK(c.send(moment(98ms), 100).lost());
        CHECK(c.send(moment(150ms), 100).lost());
        CHECK(c.send(moment(200ms), 100).count == 1);
    }
    SECTION("stall holds and goes on") {
        auto c = with({fault_kind::stall, 100ms, 200ms});
        CHECK(c.send(moment(95ms), 1000).arrival[0].time == moment(210ms));
        CHECK(c.send(moment(150ms), 100).arrival[0].time == moment(211ms));
    }
    SECTION("reset ends what is on its way and refuses until its end") {
        auto c = with({fault_kind::reset, 100ms, 200ms});
        CHECK(c.next_reset(moment(0s)) == moment(100ms));
        const auto hit = c.send(moment(98ms), 1000);
        REQUIRE(hit.count == 1);
        CHECK(hit.arrival[0].reset);
        CHECK(hit.arrival[0].time == moment(100ms));
        CHECK(c.refused(moment(150ms)));
        CHECK(c.send(moment(150ms), 10).arrival[0].reset);
        CHECK_FALSE(c.refused(moment(200ms)));
        c.reconnect(moment(200ms));
        CHECK_FALSE(c.send(moment(200ms), 10).arrival[0].reset);
        CHECK(c.next_reset(moment(200ms)) == instant::max());
    }
    SECTION("half-open is silent, then answers once with a reset") {
        auto c = with({fault_kind::half_open, 100ms, 200ms});
        CHECK(c.send(moment(150ms), 10).lost());
        const auto answer = c.send(moment(250ms), 10);
        REQUIRE(answer.count == 1);
        CHECK(answer.arrival[0].reset);
        CHECK(answer.arrival[0].time == moment(260ms));
        CHECK_FALSE(c.send(moment(300ms), 10).arrival[0].reset);
        auto reconnected = with({fault_kind::half_open, 100ms, 200ms});
        reconnected.reconnect(moment(210ms));
        CHECK_FALSE(reconnected.send(moment(250ms), 10).arrival[0].reset);
    }
    SECTION("reorder lets messages overtake") {
        auto c = with({fault_kind::reorder, 0s, 100s, 0.025});
        int overtaken = 0;
        instant last{};
        for (int i = 0; i < 1000; ++i) {
            const auto d = c.send(moment(10ms * i), 100).arrival[0];
            overtaken += d.time < last;
            last = std::max(last, d.time);
        }
        CHECK(overtaken > 100);
        CHECK(overtaken < 900);
    }
    SECTION("duplicate and corruption") {
        CHECK(
            rates_of({fault_kind::duplicate, 0s, 10'000s, 0.25}, [](const deliveries& d) { return d.count == 2 && d.arrival[1].duplicate; })
            == Approx(0.25).margin(0.015));
        CHECK(rates_of({fault_kind::corruption, 0s, 10'000s, 0.25},
                       [](const deliveries& d) { return d.count == 1 && d.arrival[0].corrupted; })
              == Approx(0.25).margin(0.015));
    }
    SECTION("slow drip") {
        auto c = with({fault_kind::slow_drip, 100ms, 200ms, 1000});
        CHECK(c.send(moment(100ms), 50).arrival[0].time == moment(155ms));
        CHECK(c.send(moment(150ms), 1050).arrival[0].time == moment(215ms)); // 50 bytes dripped, then 100 a ms
        CHECK(c.rate_at(moment(150ms)).value == 8000);
    }
    SECTION("a fault of the other direction does not matter") {
        fault f{fault_kind::loss, 0s, 100s, 1, direction::down};
        CHECK(with(f).send(moment(1s), 10).count == 1);
    }
    SECTION("bad scripts are refused") {
        CHECK_THROWS_AS(with({fault_kind::loss, 0s, 0s, 0.5}), option_error);
        CHECK_THROWS_AS(with({fault_kind::loss, 0s, 1s, 1.5}), option_error);
        CHECK_THROWS_AS(with({fault_kind::jitter, 0s, 1s, std::nan("")}), option_error);
        CHECK_THROWS_AS((virtual_channel{{.faults = std::vector<fault>(65, {fault_kind::stall, 0s, 1s})}}), option_error);
    }
}

TEST_CASE("a virtual link is the same for a seed, and a copy goes on alike") {
    const virtual_link_options o{.rate_up = std::make_shared<const link_trace>(generate({}, 3)),
                                 .jitter = 5ms,
                                 .faults = {{fault_kind::loss, 0s, 100s, 0.3}, {fault_kind::duplicate, 0s, 100s, 0.3}},
                                 .seed = 9};
    virtual_link a{o};
    virtual_link b{o};
    for (int i = 0; i < 500; ++i) {
        if (i == 250) b = a;
        const auto x = a.up.send(moment(100ms * i), 936);
        const auto y = b.up.send(moment(100ms * i), 936);
        REQUIRE(x.count == y.count);
        for (int k = 0; k < x.count; ++k) CHECK(x.arrival[static_cast<std::size_t>(k)].time == y.arrival[static_cast<std::size_t>(k)].time);
    }
}
