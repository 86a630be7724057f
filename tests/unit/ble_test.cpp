// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_test.cpp
/// BLE's connection events in virtual time: what goes out when, loss, repeats and drops; and the same events in the relay.
#include "ble_runs.hpp"

#include <splitdsl/link/delay_line.hpp>
#include <splitdsl/link/event_air.hpp>
#include <splitdsl/link/relay_options.hpp>
#include <splitdsl/radio/ble_options.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::radio;
using namespace std::chrono_literals;

TEST_CASE("packets go out at connection events, arrive within them, and are known in the next") {
    ble_connection c{{.interval = 10ms, .packets = 4}};
    CHECK(c.next_with_data() == instant::max());
    // 3012 bytes, the worked example's: twelve packets, four an event.
    CHECK(c.queue_bytes(ble_way::up, 7, 3012, at(3ms)) == 12);
    CHECK(c.next_with_data() == at(10ms));
    const auto all = run_to(c, at(100ms));
    REQUIRE(all.size() == 12);
    for (std::size_t i = 0; i < 12; ++i) {
        const auto event = static_cast<std::int64_t>(1 + i / 4);
        const duration slot = 2468us * static_cast<int>(i % 4);
        CHECK(all[i].fate == ble_fate::delivered);
        CHECK(all[i].event == event);
        // The central polls (80 us), 150 us later the peripheral's 2088 us begin.
        CHECK(all[i].sent == at(10ms * event + slot + 230us));
        CHECK(all[i].arrived == at(10ms * event + slot + 2318us));
        CHECK(all[i].known == at(10ms * (event + 1) + 80us));
        CHECK(all[i].queued == at(3ms));
        CHECK((all[i].tag == 7 && all[i].tries == 1 && all[i].size == 251));
    }
    CHECK(c.waiting(ble_way::up) == 0);
    CHECK(c.next_with_data() == instant::max());
}

TEST_CASE("reliable sends data in every second connection event, each direction by itself") {
    ble_connection c{{.interval = 10ms, .packets = 4, .delivery = ble_delivery::reliable}};
    CHECK(c.queue_bytes(ble_way::up, 1, 12 * 251, at(0ms)) == 12);
    CHECK(c.queue_bytes(ble_way::down, 2, 251, at(10ms)) == 1);
    std::map<std::int64_t, int> up;
    std::int64_t down = -1;
    for (const ble_report& r : run_to(c, at(1s)))
        if (r.way == ble_way::up) ++up[r.event];
        else down = r.event;
    CHECK(up == std::map<std::int64_t, int>{{0, 4}, {2, 4}, {4, 4}});
    CHECK(down == 1);
}

TEST_CASE("a peripheral that may sleep keeps the cloud waiting, not itself") {
    // Latency 4: idle, it listens at events 4, 9, 14 and so on.
    ble_connection c{{.interval = 10ms, .peripheral_latency = 4}};
    CHECK(c.queue(ble_way::down, 1, 20, at(21ms)));
    CHECK(c.next_with_data() == at(40ms));
    auto all = run_to(c, at(45ms));
    REQUIRE(all.size() == 1);
    CHECK(all[0].event == 4);
    CHECK(c.activity().events == 1);
    // Its own data goes out at once; then it is awake for the acknowledgement, and the cloud can use both events.
    CHECK(c.queue(ble_way::up, 2, 20, at(52ms)));
    CHECK(c.queue(ble_way::down, 3, 20, at(65ms)));
    all = run_to(c, at(200ms));
    REQUIRE(all.size() == 2);
    CHECK((all[0].tag == 2 && all[0].event == 6));
    CHECK((all[1].tag == 3 && all[1].event == 7));
    // Events 4, 5 (acknowledgement), 6, 7, 8 (acknowledgement), then 13 and 18.
    CHECK(c.activity().events == 7);
}

TEST_CASE("never more than the caps, whatever is queued, in both directions, and order is kept") {
    splitdsl::detail::xoshiro256 dice{5};
    for (int round = 0; round < 400; ++round) {
        ble_setting s{.phy = all_phys[dice.below(4)],
                      .interval = ble_interval_step * (6 + static_cast<int>(dice.below(60))),
                      .packets = 1 + static_cast<int>(dice.below(8)),
                      .octets = 27 + static_cast<int>(dice.below(225)),
                      .header_octets = dice.chance(0.5) ? 7 : 0,
                      .delivery = static_cast<ble_delivery>(dice.below(3)),
                      .loss = dice.chance(0.3) ? 0.0 : dice.uniform() * 0.9,
                      .peripheral_latency = static_cast<int>(dice.below(4)),
                      .most_tries = static_cast<int>(dice.below(4)),
                      .encrypted = dice.chance(0.5)};
        if (exchanges_that_fit(s) < 1) continue;
        CAPTURE(to_text(s), round);
        ble_connection c{s, static_cast<std::uint64_t>(round)};
        std::uint64_t tag[2]{};
        std::vector<ble_report> all;
        const auto keep = [&](const ble_report& r) { all.push_back(r); };
        duration t{};
        std::vector<duration> queued[2];
        for (int i = 0; i < 60; ++i) {
            t += from_seconds(dice.uniform() * to_seconds(s.interval));
            const auto way = static_cast<ble_way>(dice.below(2));
            for (auto n = dice.below(12); n > 0; --n) {
                const int size = 1 + static_cast<int>(dice.below(static_cast<std::uint32_t>(payload_octets(s))));
                if (c.queue(way, tag[static_cast<int>(way)], size, at(t))) {
                    ++tag[static_cast<int>(way)];
                    queued[static_cast<int>(way)].push_back(t);
                }
            }
            c.run(at(t), keep);
        }
        c.run(at(t + 30min), keep);
        CHECK(c.waiting(ble_way::up) + c.waiting(ble_way::down) == 0);

        std::uint64_t next[2]{};
        instant last_sent[2]{instant::min(), instant::min()}, last_arrival[2]{instant::min(), instant::min()};
        std::map<std::pair<std::int64_t, int>, int> carried;
        std::map<std::int64_t, std::vector<std::pair<instant, instant>>> air;
        bool order = true, in_event = true, in_time = true;
        for (const ble_report& r : all) {
            const int w = static_cast<int>(r.way);
            order &= r.tag == next[w]++ && r.queued == at(queued[w][r.tag]);
            in_time &= r.sent >= r.queued && r.known > r.sent && r.tries >= 1;
            if (s.delivery == ble_delivery::unreliable) order &= r.tries == 1 && r.sent > last_sent[w];
            last_sent[w] = r.sent;
            if (r.fate == ble_fate::delivered) {
                order &= r.arrived >= last_arrival[w];
                last_arrival[w] = r.arrived;
            } else {
                in_time &= r.fate == ble_fate::lost && s.loss > 0;
                if (s.delivery != ble_delivery::unreliable) in_time &= s.most_tries > 0 && r.tries == s.most_tries;
            }
            ++carried[{r.event, w}];
            const instant start = at(r.event * s.interval), end = r.sent + pdu_airtime(s.phy, r.size + s.header_octets, s.encrypted);
            in_event &= r.sent >= start && end <= start + s.interval;
            air[r.event].emplace_back(r.sent, end);
        }
        CHECK(order);
        CHECK(in_time);
        CHECK(in_event);                                        // the airtime cap
        CHECK(next[0] == tag[0]);                               // every packet is delivered or reported
        CHECK(next[1] == tag[1]);
        bool counts = true, spaced = true;
        for (const auto& [key, count] : carried) counts &= count <= s.packets;
        for (auto& [event, list] : air) {
            std::sort(list.begin(), list.end());
            for (std::size_t i = 1; i < list.size(); ++i) spaced &= list[i].first >= list[i - 1].second + ble_frame_space;
        }
        CHECK(counts);
        CHECK(spaced);                                          // one packet at a time in the air, a space after each
    }
}

TEST_CASE("loss of 0 delivers at once, loss of 100 percent delivers nothing and ends") {
    for (const ble_delivery d : {ble_delivery::unreliable, ble_delivery::resending, ble_delivery::reliable}) {
        CAPTURE(std::string{to_text(d)});
        ble_connection sure{{.interval = 10ms, .delivery = d}};
        CHECK(sure.queue_bytes(ble_way::up, 1, 10'000, at(0ms)) == 40);
        auto all = run_to(sure, at(1s));
        REQUIRE(all.size() == 40);
        for (const ble_report& r : all) CHECK((r.fate == ble_fate::delivered && r.tries == 1));

        ble_connection never{{.interval = 10ms, .delivery = d, .loss = 1, .most_tries = 3}};
        CHECK(never.queue_bytes(ble_way::up, 1, 10'000, at(0ms)) == 40);
        all = run_to(never, at(10s));
        REQUIRE(all.size() == 40);
        for (const ble_report& r : all) CHECK((r.fate == ble_fate::lost && r.tries == (d == ble_delivery::unreliable ? 1 : 3)));
    }
    // Without a limit they wait until they are dropped, and say so then.
    ble_connection stuck{{.interval = 10ms, .delivery = ble_delivery::resending, .loss = 1}};
    CHECK(stuck.queue_bytes(ble_way::up, 9, 1004, at(0ms)) == 4);
    CHECK(run_to(stuck, at(1s)).empty());
    CHECK(stuck.waiting(ble_way::up) == 4);
    std::vector<ble_report> dropped;
    stuck.drop(ble_way::up, [&](const ble_report& r) { dropped.push_back(r); });
    REQUIRE(dropped.size() == 4);
    for (const ble_report& r : dropped) CHECK((r.fate == ble_fate::dropped && r.tries == 101));
    CHECK(stuck.waiting(ble_way::up) == 0);
}

TEST_CASE("unsent packets can be dropped for newer ones") {
    ble_connection c{{.interval = 10ms, .packets = 2}};
    CHECK(c.queue_bytes(ble_way::up, 1, 6 * 251, at(0ms)) == 6);
    std::vector<ble_report> all;
    const auto keep = [&](const ble_report& r) { all.push_back(r); };
    c.run(at(12ms), keep);                                          // events 0 and 1
    c.drop(ble_way::up, keep);
    CHECK(c.queue_bytes(ble_way::up, 2, 251, at(12ms)) == 1);
    c.run(at(100ms), keep);
    REQUIRE(all.size() == 7);
    for (std::size_t i = 0; i < 7; ++i) CHECK(all[i].fate == (i == 4 || i == 5 ? ble_fate::dropped : ble_fate::delivered));
    CHECK((all[5].tries == 0 && all[5].event == -1));
    CHECK((all[6].tag == 2 && all[6].event == 2));
}

TEST_CASE("a saturated BLE connection carries what the model says") {
    for (const ble_phy phy : all_phys)
        for (const duration interval : {duration{7500us}, duration{15ms}, duration{30ms}, duration{60ms}})
            for (const double loss : {0.0, 0.2})
                for (const ble_delivery d : {ble_delivery::unreliable, ble_delivery::resending, ble_delivery::reliable}) {
                    const int octets = phy == ble_phy::coded_125k ? 27 : 251;
                    const ble_setting s{.phy = phy, .interval = interval, .packets = 4, .octets = octets, .delivery = d, .loss = loss};
                    CAPTURE(to_text(s));
                    ble_connection c{s, 3};
                    double got = 0;
                    const int events = 4000;
                    for (int k = 0; k < events; ++k) {
                        while (c.waiting(ble_way::up) < 16) c.queue(ble_way::up, 1, s.octets, c.next_anchor());
                        c.run(c.next_anchor(), [&](const ble_report& r) { got += r.fate == ble_fate::delivered ? r.size : 0; });
                    }
                    const bits_per_second rate{got * 8 / (events * to_seconds(interval))};
                    CHECK(rate / sustained_rate(s) == Approx(1).margin(loss > 0 ? 0.03 : 0.001));
                }
}

TEST_CASE("a full uplink leaves the downlink its turns") {
    // One exchange fits, data one way only: without turns a stop signal would never arrive.
    ble_connection c{{.phy = ble_phy::coded_500k, .interval = 7500us}};
    CHECK(c.queue_bytes(ble_way::up, 1, 100 * 251, at(0ms)) == 100);
    CHECK(c.queue_bytes(ble_way::down, 2, 251, at(20ms)) == 1);
    for (const ble_report& r : run_to(c, at(2s)))
        if (r.way == ble_way::down) CHECK(r.arrived < at(38ms));
}

TEST_CASE("the same seed loses the same packets, another one others") {
    const auto lost = [](std::uint64_t seed) {
        ble_connection c{{.interval = 10ms, .loss = 0.4}, seed};
        c.queue_bytes(ble_way::up, 1, 100 * 251, at(0ms));
        std::string picture;
        for (const ble_report& r : run_to(c, at(10s))) picture += r.fate == ble_fate::lost ? 'x' : '.';
        return picture;
    };
    CHECK(lost(1) == lost(1));
    CHECK(lost(1) != lost(2));
    const auto picture = lost(1);
    CHECK(std::count(picture.begin(), picture.end(), 'x') == Approx(40).margin(15));
}

TEST_CASE("losses by place are the event's, whoever else sent before") {
    const auto lost = [](bool by_place, int before) {
        ble_connection c{{.interval = 10ms, .loss = 0.4, .loss_by_place = by_place}, 5};
        c.queue_bytes(ble_way::up, 1, before * 251, at(0ms)); // over by event 10
        c.queue_bytes(ble_way::up, 2, 40 * 251, at(101ms));
        std::string picture;
        for (const ble_report& r : run_to(c, at(10s)))
            if (r.tag == 2) picture += r.fate == ble_fate::lost ? 'x' : '.';
        return picture;
    };
    CHECK(lost(true, 3) == lost(true, 20));
    CHECK(lost(false, 3) != lost(false, 20));
    const auto losses = std::ranges::count(lost(true, 3), 'x');
    CHECK((losses > 4 && losses < 32));
}

TEST_CASE("a radio keeps what it once sent, though its host drops it") {
    ble_connection c{{.interval = 10ms, .packets = 2, .delivery = ble_delivery::resending, .loss = 1}};
    c.queue_bytes(ble_way::up, 1, 4 * 251, at(0ms));
    const auto nothing = [](const ble_report&) { FAIL("nothing is decided yet"); };
    c.run(at(0ms), nothing);
    CHECK((c.tried(ble_way::up).sent == 2 && c.tried(ble_way::up).lost == 2));
    c.drop(ble_way::up, nothing, [](std::uint64_t, int tries) { return tries > 0; }); // those behind wait for the two in front
    CHECK(c.waiting(ble_way::up) == 2);
    int dropped = 0;
    c.drop(ble_way::up, [&](const ble_report& r) { dropped += r.fate == ble_fate::dropped; });
    CHECK((dropped == 4 && c.waiting(ble_way::up) == 0));
}

TEST_CASE("a radio's gauge tells its events, its room and the share that arrives") {
    const ble_setting s{.interval = 10ms, .packets = 4};
    CHECK_FALSE(link::radio_gauge{}.known());
    link::radio_gauge g{s, at(3ms)};
    CHECK(g.known());
    CHECK(g.event_from(at(0ms)) == at(3ms));
    CHECK(g.event_from(at(13ms)) == at(13ms));
    CHECK(g.event_from(at(13ms) + 1ns) == at(23ms));
    CHECK(g.room() == 4);
    CHECK((g.packets_of(48) == 1 && g.packets_of(251) == 1 && g.packets_of(252) == 2));
    CHECK(g.rate_up() / sustained_rate(s) == Approx(1));
    g.event_over(at(13ms), 0.5, 1, 3);
    CHECK((g.waiting() == 1 && g.room() == 3));
    CHECK(g.rate_up() / sustained_rate(s) == Approx(0.5));
    CHECK((g.completed().event == at(3ms) && g.completed().undelivered == 3)); // what arrived in an event is known in the next
    CHECK(g.round_trip() == 15ms);
}

TEST_CASE("FLEET's count that does not fit arrives by the next event, and only when asked for") {
    ble_connection c{{.phy = ble_phy::coded_500k, .interval = 10ms, .packets = 4, .cap = ble_cap::count_only}};
    CHECK(c.queue_bytes(ble_way::up, 1, 1004, at(0ms)) == 4);
    const auto all = run_to(c, at(0ms));
    REQUIRE(all.size() == 4);
    for (const ble_report& r : all) CHECK((r.event == 0 && r.arrived <= at(10ms)));
    CHECK(c.activity().transmitting == 4 * 4478us);      // the energy is not bent
}

TEST_CASE("events that are missed move nothing, and long silence costs no time") {
    ble_connection c{{.interval = 10ms}};
    CHECK(c.queue_bytes(ble_way::up, 1, 251, at(0ms)) == 1);
    c.miss(at(95ms));
    CHECK(c.next_anchor() == at(100ms));
    auto all = run_to(c, at(99ms));
    CHECK(all.empty());
    all = run_to(c, at(24h * 365));
    REQUIRE(all.size() == 1);
    CHECK(all[0].event == 10);
    CHECK(c.activity().events == std::int64_t{24} * 365 * 3600 * 100 - 9);
    CHECK(c.queue(ble_way::up, 1, 251, at(0ms)));
    CHECK(c.next_with_data() == c.next_anchor());
    // What does not fit a packet is not queued.
    CHECK_FALSE(c.queue(ble_way::up, 1, 252, at(0ms)));
    CHECK_FALSE(c.queue(ble_way::up, 1, 0, at(0ms)));
    CHECK(c.queue_bytes(ble_way::down, 1, std::int64_t{251} * 65'537, at(0ms)) == 0);
    CHECK(c.waiting(ble_way::down) == 0);
}

TEST_CASE("the relay's connection events carry what the model says, however unevenly its thread wakes") {
    for (const ble_delivery d : {ble_delivery::unreliable, ble_delivery::resending, ble_delivery::reliable})
        for (const double loss : {0.0, 0.3})
            for (const duration interval : {duration{7500us}, duration{15ms}, duration{100ms}}) {
                const ble_setting s{.interval = interval, .packets = 4, .header_octets = 7, .delivery = d, .loss = loss};
                CAPTURE(to_text(s));
                link::detail::event_air air{s, 11, at(0ms)};
                splitdsl::detail::xoshiro256 dice{9};
                std::int64_t in = 0, out = 0;
                std::uint64_t next = 0, came = 0;
                bool order = true, capped = true;
                instant now{}, last{};
                while (air.held() < 4000) {
                    now += from_seconds(dice.uniform() * 0.02);
                    const auto events = air.held();
                    std::int64_t taken = 0;
                    air.hold(
                        now,
                        [&](ble_way way) {
                            if (way == ble_way::down) return link::detail::event_air::taken{};
                            taken += air.packet_bytes();
                            return link::detail::event_air::taken{.owner = next++, .size = air.packet_bytes()};
                        },
                        [&](ble_way, std::uint64_t owner, instant arrived) {
                            order &= owner == came++ && arrived >= last;
                            last = arrived;
                            out += air.packet_bytes();
                        });
                    in += taken;
                    // No more is taken from the sender than the events can carry.
                    capped &= taken <= static_cast<std::int64_t>(air.held() - events) * packets_per_event(s) * air.packet_bytes();
                }
                CHECK(order);
                CHECK(capped);
                CHECK(air.missed() == 0);
                CHECK(in - out <= std::int64_t{64} * air.packet_bytes());
                const bits_per_second rate{static_cast<double>(out) * 8 / (static_cast<double>(air.held()) * to_seconds(interval))};
                CHECK(rate / sustained_rate(s) == Approx(1).margin(0.03));
                CHECK((air.lost() > 0) == (loss > 0));
            }
}

TEST_CASE("a relay that stood still does not answer with a burst, and rests while nobody is there") {
    link::detail::event_air air{{.interval = 10ms}, 1, at(0ms)};
    int asked = 0;
    const auto nothing = [&](ble_way) {
        ++asked;
        return link::detail::event_air::taken{};
    };
    const auto out = [](ble_way, std::uint64_t, instant) {};
    air.hold(at(5ms), nothing, out);
    CHECK(air.held() == 1);
    CHECK(asked == 2);
    air.hold(at(1s), nothing, out);                     // events 1 to 97 are too late; 98, 99 and 100 are held
    CHECK(air.missed() == 97);
    CHECK(air.held() == 4);
    air.rest(at(2s));
    CHECK(air.next_anchor() == at(2s));
    CHECK(air.missed() == 97);
}

TEST_CASE("chunks whose release is not known yet wait, in order, for their word") {
    link::detail::delay_line line{64, 4};
    const auto put = [&](std::size_t n) {
        REQUIRE(line.takes(n));
        line.put_open(std::vector<std::byte>(n));
    };
    put(3), put(4), put(5);
    CHECK(line.next_release() == instant::max());
    line.settle(at(10ms));
    line.settle(at(5ms));                               // not before those ahead of it
    CHECK(line.next_release() == at(10ms));
    CHECK(line.front().size() == 3);
    line.drop(3);
    CHECK(line.next_release() == at(10ms));
    CHECK(line.front().size() == 4);
    line.drop(4);
    CHECK(line.next_release() == instant::max());
    put(2);
    line.settle(at(20ms));
    CHECK(line.next_release() == at(20ms));
    line.drop(5);
    line.settle(at(21ms));
    CHECK(line.next_release() == at(21ms));
    line.drop(2);
    CHECK(line.empty());
}

TEST_CASE("connection events and a rate, drip or trace exclude each other in the relay") {
    const ble_setting s{};
    using link::relay_options, link::fault_kind;
    CHECK_NOTHROW(require_valid(relay_options{.up = {.delay = 5ms}, .ble = s, .faults = {{fault_kind::stall, 0s, 1s}}}));
    CHECK(says(refusal([&] { require_valid(relay_options{.up = {.rate = {1e6}}, .ble = s}); }), "found a rate"));
    CHECK(says(refusal([&] { require_valid(relay_options{.down = {.drip = 5}, .ble = s}); }), "found a drip"));
    CHECK(says(refusal([&] { require_valid(relay_options{.trace_up = link::generate({}, 1), .ble = s}); }), "found a trace"));
    CHECK(says(refusal([&] { require_valid(relay_options{.ble = s, .faults = {{fault_kind::rate_collapse, 0s, 1s, 0.5}}}); }), "found rate_collapse"));
    CHECK(says(refusal([&] { require_valid(relay_options{.ble = ble_setting{.interval = 1ms}}); }), "an interval from 7.5 ms"));
}
