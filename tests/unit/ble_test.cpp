// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_test.cpp
/// Radios: the printed arithmetic of BLE, its connection events in virtual time, energy by phases, LoRa and 802.11ah.
#include "catch.hpp"

#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/link/delay_line.hpp>
#include <splitdsl/link/event_air.hpp>
#include <splitdsl/link/relay_options.hpp>
#include <splitdsl/radio/ble_energy.hpp>
#include <splitdsl/radio/ble_options.hpp>
#include <splitdsl/radio/halow.hpp>
#include <splitdsl/radio/lora.hpp>

#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::radio;
using namespace std::chrono_literals;

namespace {

constexpr ble_phy all_phys[]{ble_phy::coded_125k, ble_phy::coded_500k, ble_phy::le_1m, ble_phy::le_2m};

template <class F>
std::string refusal(F&& f) {
    try {
        f();
    } catch (const option_error& e) {
        return e.what();
    }
    return "nothing was refused";
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// All reports of a connection run until `until`.
std::vector<ble_report> run_to(ble_connection& c, instant until) {
    std::vector<ble_report> all;
    c.run(until, [&](const ble_report& r) { all.push_back(r); });
    return all;
}
constexpr instant at(duration t) { return instant{t}; }

} // namespace

TEST_CASE("BLE packets are as long on the air as the specification says") {
    // D3: 251 bytes on 1M and 2M, plain and with the integrity check; 27 bytes coded; the published extremes 17,040 and 328 us.
    CHECK(pdu_airtime(ble_phy::le_1m, 251) == 2088us);
    CHECK(pdu_airtime(ble_phy::le_1m, 251, true) == 2120us);
    CHECK(pdu_airtime(ble_phy::le_2m, 251) == 1048us);
    CHECK(pdu_airtime(ble_phy::le_2m, 251, true) == 1064us);
    CHECK(pdu_airtime(ble_phy::coded_125k, 27) == 2448us);
    CHECK(pdu_airtime(ble_phy::coded_125k, 251, true) == 17'040us);
    CHECK(pdu_airtime(ble_phy::le_1m, 27, true) == 328us);
    // Empty packets carry no integrity check.
    CHECK(pdu_airtime(ble_phy::le_1m, 0, true) == 80us);
    CHECK(pdu_airtime(ble_phy::le_2m, 0) == 44us);
    CHECK(pdu_airtime(ble_phy::coded_500k, 0) == 462us);
    CHECK(pdu_airtime(ble_phy::coded_125k, 0) == 720us);
}

TEST_CASE("BLE data and acknowledgement take what D3's table says, and as many fit an interval") {
    struct row {
        ble_phy phy;
        int octets;
        duration exchange;
        int fit[4];
    };
    // Pairs in 7.5, 10, 15 and 30 ms.
    constexpr row table[]{{ble_phy::le_1m, 251, 2468us, {3, 4, 6, 12}},
                          {ble_phy::le_2m, 251, 1392us, {5, 7, 10, 21}},
                          {ble_phy::coded_500k, 251, 5240us, {1, 1, 2, 5}},
                          {ble_phy::coded_125k, 27, 3468us, {2, 2, 4, 8}}};
    constexpr duration intervals[]{7500us, 10ms, 15ms, 30ms};
    for (const row& r : table) {
        CAPTURE(std::string{to_text(r.phy)});
        CHECK(exchange_airtime(r.phy, r.octets) == r.exchange);
        for (int i = 0; i < 4; ++i) {
            CHECK(exchanges_that_fit({.phy = r.phy, .interval = intervals[i], .octets = r.octets}) == r.fit[i]);
            const ble_setting s{.phy = r.phy, .interval = intervals[i], .packets = 4, .octets = r.octets};
            CHECK(packets_per_event(s) == std::min(4, r.fit[i]));
            ble_setting paper = s;
            paper.cap = ble_cap::count_only;
            CHECK(packets_per_event(paper) == 4);
        }
    }
    // FLEET's four payloads do not fit 7.5 ms on 1M, nor anything below 21 ms at 500 kbps.
    CHECK(packets_per_event({.phy = ble_phy::le_1m, .interval = 7500us}) == 3);
    CHECK(packets_per_event({.phy = ble_phy::coded_500k, .interval = 20ms}) == 3);
    CHECK(packets_per_event({.phy = ble_phy::coded_500k, .interval = 21'250us}) == 4);
    // On the smallest rate not one full packet fits a short interval: said, not computed with.
    const auto why = refusal([] { ble_connection{{.phy = ble_phy::coded_125k, .interval = 15ms}}; });
    CHECK(says(why, "expected an interval of at least 18.75 ms for a packet of 251 bytes on 125k, found 15 ms"));
}

TEST_CASE("FLT-13: nominal rates of four payloads are D3's, reliable is half, and ATT leaves 97.2 percent") {
    const auto kbps = [](duration interval, ble_delivery d = ble_delivery::unreliable) {
        return to_kilobits_per_second(
            sustained_rate({.interval = interval, .packets = 4, .delivery = d, .cap = ble_cap::count_only, .any_interval = true}));
    };
    CHECK(kbps(10ms) == Approx(803.2).margin(0.05));
    CHECK(kbps(7500us) == Approx(1071).margin(0.5));
    CHECK(kbps(30ms) == Approx(268).margin(0.5));
    CHECK(kbps(64'500us) == Approx(124.5).margin(0.05));
    CHECK(kbps(10ms, ble_delivery::reliable) == Approx(401.6).margin(0.05));
    CHECK(to_kilobits_per_second(sustained_rate({.interval = 7500us})) == Approx(803.2).margin(0.05));   // three fit, not four
    CHECK(payload_octets({.header_octets = 7}) / 251.0 == Approx(0.972).margin(0.0005));
    CHECK(to_kilobits_per_second(sustained_rate({.interval = 10ms, .loss = 0.25})) == Approx(0.75 * 803.2));
    CHECK(payloads_of(8) == 4);
    CHECK(payloads_of(2) == 1);
}

TEST_CASE("FLT-13: intervals are steps of 1.25 ms from 7.5 ms to 4 s; FLEET's 1.5 ms steps need asking for") {
    for (const duration good : {duration{7500us}, duration{8750us}, duration{30ms}, duration{4s}}) CHECK_NOTHROW(require_valid(ble_setting{.interval = good}));
    CHECK(says(refusal([] { require_valid(ble_setting{.interval = 9ms}); }), "steps of 1.25 ms (the next is 10 ms), found 9 ms"));
    CHECK(says(refusal([] { require_valid(ble_setting{.interval = 6250us}); }), "from 7.5 ms to 4 s, found 6.25 ms"));
    CHECK(says(refusal([] { require_valid(ble_setting{.interval = 4001250us}); }), "found 4001.25 ms"));
    CHECK_NOTHROW(require_valid(ble_setting{.interval = 64'500us, .any_interval = true}));
    CHECK_THROWS_AS(require_valid(ble_setting{.interval = 5ms, .any_interval = true}), option_error);
    CHECK(interval_on_grid(9ms) == 10ms);
    CHECK(interval_on_grid(10ms) == 10ms);
    CHECK(interval_on_grid(1ms) == 7500us);
    CHECK(interval_on_grid(1h) == 4s);
    for (duration t = 7500us; t < 40ms; t += 333us) {
        const duration g = interval_on_grid(t);
        CHECK((g >= t && g - t < ble_interval_step && g % ble_interval_step == duration{0}));
    }
}

TEST_CASE("what a BLE connection cannot be is refused by name") {
    CHECK(says(refusal([] { require_valid(ble_setting{.packets = 0}); }), "1 to 64 packets"));
    CHECK(says(refusal([] { require_valid(ble_setting{.octets = 26}); }), "27 to 251 bytes a packet, found 26"));
    CHECK(says(refusal([] { require_valid(ble_setting{.octets = 252}); }), "found 252"));
    CHECK(says(refusal([] { require_valid(ble_setting{.octets = 27, .header_octets = 27}); }), "headers"));
    CHECK(says(refusal([] { require_valid(ble_setting{.loss = 1.5}); }), "a loss from 0 to 1"));
    CHECK(says(refusal([] { require_valid(ble_setting{.loss = std::nan("")}); }), "a loss from 0 to 1"));
    CHECK(says(refusal([] { require_valid(ble_setting{.peripheral_latency = 500}); }), "0 to 499"));
    CHECK(says(refusal([] { require_valid(ble_setting{.most_tries = -1}); }), "tries"));
}

TEST_CASE("FLT-02: Eq. 1 in both its readings gives the paper's 502 and 3012 bytes") {
    constexpr ble_setting s{.interval = 10ms, .packets = 4};
    static_assert(largest_feature(s, 25ms, ble_size_rule::printed) == 502);
    static_assert(largest_feature(s, 25ms, ble_size_rule::worked_example) == 3012);
    CHECK(largest_feature(s, 30ms, ble_size_rule::printed) == 753);
    CHECK(largest_feature(s, 30ms, ble_size_rule::worked_example) == 3012);     // a whole number of intervals: ceil and floor agree
    CHECK(largest_feature(s, 5ms, ble_size_rule::printed) == 0);
    CHECK(largest_feature(s, 5ms, ble_size_rule::worked_example) == 1004);
    CHECK(largest_feature(s, 0ms, ble_size_rule::worked_example) == 0);
    // On 1M at 7.5 ms three packets fit, and the worked example counts three.
    CHECK(largest_feature({.interval = 7500us}, 7500us, ble_size_rule::worked_example) == 753);
}

TEST_CASE("a BLE connection as text is read back as it was") {
    const auto s = parse_ble("phy=500k,interval=22.5,packets=3,bytes=100,loss=0.1,delivery=reliable,latency=2,cap=count_only,headers=7,"
                             "tries=5,encrypted=1,any_interval=1");
    CHECK(s.phy == ble_phy::coded_500k);
    CHECK(s.interval == 22'500us);
    CHECK(s.packets == 3);
    CHECK(s.octets == 100);
    CHECK(s.loss == 0.1);
    CHECK(s.delivery == ble_delivery::reliable);
    CHECK(s.peripheral_latency == 2);
    CHECK(s.cap == ble_cap::count_only);
    CHECK(s.header_octets == 7);
    CHECK(s.most_tries == 5);
    CHECK((s.encrypted && s.any_interval));
    CHECK(to_text(parse_ble(to_text(s))) == to_text(s));
    CHECK(to_text(parse_ble("interval=7.5")) == "phy=1M,interval=7.5,packets=4,bytes=251,cap=airtime");
    for (const ble_phy p : all_phys) CHECK(parse_ble_phy(to_text(p)) == p);
    const std::pair<const char*, const char*> bad[]{{"", "expected key=value"}, {"phy", "expected key=value"}, {"phy=3M", "expected a PHY of"},
        {"pace=3", "expected one of phy, interval"}, {"interval=ten", "expected a number as interval"}, {"interval=nan", "expected a number as interval"},
        {"interval=15,interval=15", "each key once"}, {"packets=4x", "expected a number as packets"}, {"cap=none", "one of airtime, count_only"},
        {"encrypted=yes", "0 or 1"}, {"interval=16", "steps of 1.25 ms"}, {"packets=99999999999", "expected a number"}, {"loss=", "expected a number"}};
    for (const auto& [text, why] : bad) {
        CAPTURE(text);
        CHECK(says(refusal([text = text] { parse_ble(text); }), why));
    }
}

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

TEST_CASE("FLT-20: the phases of BLE's energy add up, and an exchange costs what D3 says") {
    const ble_radio* nordic = find_ble_radio("nrf52840_0dbm");
    REQUIRE(nordic);
    CHECK_FALSE(find_ble_radio("nrf00000"));
    ble_connection c{{.interval = 10ms, .packets = 4}};
    c.queue_bytes(ble_way::up, 1, 4 * 251, at(0ms));
    run_to(c, at(999ms));
    const ble_activity& a = c.activity();
    CHECK(a.events == 100);
    CHECK(a.exchanges == 4 + 99);
    CHECK(a.transmitting == 4 * 2088us + 99 * 80us);
    CHECK(a.receiving == 103 * 80us);
    CHECK(a.switching == 103 * 300us);
    for (const ble_radio& r : known_ble_radios) {
        CAPTURE(std::string{r.name});
        CHECK_FALSE(r.source.empty());
        const ble_energy e = energy_of(a, 1s, r);
        CHECK(e.label == provenance::modelled);
        const joules sum = e.pre_process + e.ramp + e.start + e.transmit + e.receive + e.switching + e.standby + e.post_process;
        CHECK(e.total().value == Approx(sum.value));
        // Every nanosecond is in exactly one phase: with one current for all, the total is current x time.
        ble_radio flat = r;
        flat.volts = 3;
        for (ble_phase* p : {&flat.pre_process, &flat.ramp, &flat.start, &flat.post_process}) p->milliamps = 2;
        flat.transmit_ma = flat.receive_ma = flat.switch_ma = flat.standby_ma = 2;
        CHECK(energy_of(a, 1s, flat).total().value == Approx(3 * 2e-3));
        // Two halves make the whole.
        ble_connection half{{.interval = 10ms, .packets = 4}};
        half.queue_bytes(ble_way::up, 1, 4 * 251, at(0ms));
        run_to(half, at(499ms));
        const ble_activity first = half.activity();
        run_to(half, at(999ms));
        CHECK(energy_of(first, 500ms, r).total().value + energy_of(half.activity() - first, 500ms, r).total().value == Approx(e.total().value));
    }
    // One exchange of 251 bytes on 1M: 13.9 uC of sending and receiving and the switching between, about 43 uJ; 1004 bytes 0.17 mJ.
    const ble_activity one{.exchanges = 1, .transmitting = pdu_airtime(ble_phy::le_1m, 251), .receiving = pdu_airtime(ble_phy::le_1m, 0),
                           .switching = 2 * ble_frame_space};
    const ble_energy e = energy_of(one, {}, *nordic);
    CHECK((e.transmit + e.receive).value / 3 * 1e6 == Approx(13.86).margin(0.05));
    CHECK(e.total().value * 1e6 == Approx(43).margin(1));
    CHECK(4 * e.total().value * 1e3 == Approx(0.17).margin(0.005));
    // FLEET's 10 mW for the time on the air and nothing else.
    CHECK(energy_of(one, 1s, *find_ble_radio("fleet_10mw")).total().value == Approx(10e-3 * 2168e-6));
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
        REQUIRE(line.room(n).size() >= n);
        line.commit_open(n);
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

TEST_CASE("LoRa's time on the air is Semtech's, and the duty cycle stretches a transfer") {
    // Published calculators: 23 bytes at SF 7 take 61.7 ms, at SF 12 (low data rate) 1482.8 ms.
    CHECK(to_milliseconds(airtime(lora_setting{}, 23)) == Approx(61.696).margin(0.001));
    CHECK(to_milliseconds(airtime({.spreading_factor = 12}, 23)) == Approx(1482.752).margin(0.001));
    CHECK(payload_symbols({.spreading_factor = 7}, 0) == 13);            // the header's block and the CRC
    CHECK(payload_symbols({.spreading_factor = 6, .crc = false}, 0) == 8);
    CHECK(symbol_time({.spreading_factor = 12}) == 32'768us);
    for (int sf = 6; sf <= 12; ++sf)
        for (const double bw : {125e3, 250e3, 500e3})
            for (int parity = 1; parity <= 4; ++parity) {
                const lora_setting s{sf, bw, parity, 0.01};
                CAPTURE(sf, bw, parity);
                CHECK_NOTHROW(require_valid(s));
                lora_setting free = s;
                free.duty_cycle = 1;
                // Preamble, header and (at 16 ms and more) two bits a symbol keep it below the nominal rate, not far.
                const double share = sustained_rate(free) / nominal_rate(free);
                CHECK((share < 1 && share > 0.75));
                CHECK(sustained_rate(s) / sustained_rate(free) == Approx(0.01));
                CHECK(to_seconds(silence_after(s, 255)) == Approx(99 * to_seconds(airtime(s, 255))));
                CHECK(silence_after(free, 255) == duration{0});
                for (int n = 1; n < 255; ++n) CHECK(airtime(s, n) <= airtime(s, n + 1));
            }
    const lora_setting s{.spreading_factor = 7, .duty_cycle = 0.01};
    CHECK(transfer_time(s, 0) == duration{0});
    CHECK(transfer_time(s, 255) == airtime(s, 255));
    CHECK(to_seconds(transfer_time(s, 300)) == Approx(100 * to_seconds(airtime(s, 255)) + to_seconds(airtime(s, 45))));
    CHECK_THROWS_AS(require_valid(lora_setting{.spreading_factor = 5}), option_error);
    CHECK_THROWS_AS(require_valid(lora_setting{.parity = 5}), option_error);
    CHECK_THROWS_AS(require_valid(lora_setting{.duty_cycle = 0}), option_error);
    CHECK_THROWS_AS(require_valid(lora_setting{.preamble_symbols = 5}), option_error);
    REQUIRE(find_lora_radio("sx1276_13dbm"));
    CHECK(find_lora_radio("sx1276_13dbm")->transmit_energy(1s).value == Approx(3.3 * 0.029));
    CHECK_FALSE(find_lora_radio("sx"));
}

TEST_CASE("FLT-22: 802.11ah has the standard's rates, and a sleeping station waits for its wake time") {
    const auto mbps = [](int mhz, int mcs, bool shorter = false) { return to_megabits_per_second(halow_rate({mhz, mcs, shorter})); };
    constexpr double one[]{0.3, 0.6, 0.9, 1.2, 1.8, 2.4, 2.7, 3.0, 3.6, 4.0, 0.15};
    for (int m = 0; m <= 10; ++m) CHECK(mbps(1, m) == Approx(one[m]));
    constexpr double two[]{0.65, 1.3, 1.95, 2.6, 3.9, 5.2, 5.85, 6.5, 7.8, 0, 0};
    for (int m = 0; m <= 10; ++m) CHECK(mbps(2, m) == Approx(two[m]));
    CHECK(mbps(4, 9) == Approx(18));
    CHECK(mbps(8, 9) == Approx(39));
    CHECK(mbps(16, 9) == Approx(78));
    CHECK(mbps(16, 9, true) == Approx(86.667).margin(0.001));
    CHECK(mbps(3, 0) == 0);
    CHECK(says(refusal([] { require_valid(halow_setting{.bandwidth_mhz = 2, .mcs = 9}); }), "found 2 MHz with MCS 9"));
    CHECK_THROWS_AS(require_valid(halow_setting{.loss = 1}), option_error);
    CHECK_THROWS_AS(require_valid(halow_setting{.wake_interval = -1ms}), option_error);
    // 100 bytes at 300 kbps: 1118 bits in 94 symbols of 12, after 14 symbols of preamble.
    CHECK(frame_airtime({}, 100) == 560us + 94 * 40us);
    CHECK(exchange_airtime(halow_setting{}, 100) == 264us + 390us + 560us + 94 * 40us + 160us + 560us);
    CHECK(transfer_time(halow_setting{}, 0) == duration{0});
    CHECK(transfer_time(halow_setting{}, 1600) == exchange_airtime(halow_setting{}, 1500) + exchange_airtime(halow_setting{}, 100));
    CHECK(to_seconds(transfer_time({.loss = 0.5}, 1500)) == Approx(2 * to_seconds(transfer_time(halow_setting{}, 1500))));
    CHECK(sustained_rate(halow_setting{}) < halow_rate({}));
    const halow_setting sleepy{.wake_interval = 100ms};
    CHECK(next_wake(sleepy, at(101ms)) == at(200ms));
    CHECK(next_wake(sleepy, at(200ms)) == at(200ms));
    CHECK(next_wake(sleepy, at(1ms), at(30ms)) == at(30ms));
    CHECK(next_wake({}, at(101ms)) == at(101ms));
    CHECK(assumed_halow_radio.source.find("assumption") == 0);
    CHECK(assumed_halow_radio.transmit_energy(1s) > assumed_halow_radio.receive_energy(1s));
}

TEST_CASE("FLT-12: every device of FLEET has a speed and a power, and what is assumed says so") {
    const auto devices = read_device_profiles(SPLITDSL_SOURCE_DIR "/examples/profiles/devices.csv");
    const auto mw = [&](const char* name) { return find_device(devices, name).active_watts->value * 1e3; };
    CHECK(mw("cortex_m33_64mhz") == Approx(9.3));
    CHECK(mw("gap8_175mhz") == Approx(16.4));
    CHECK(mw("cortex_a77_200mhz") == Approx(40));
    CHECK(mw("cortex_a77_1500mhz") == Approx(750));
    double last_speed = 0, last_power = 0;
    for (int mhz = 200; mhz <= 1500; mhz += 100) {
        const device_profile& p = find_device(devices, "cortex_a77_" + std::to_string(mhz) + "mhz");
        CHECK(*p.macs_per_second / mhz == Approx(*find_device(devices, "raspberry_pi_4").macs_per_second / 1500).epsilon(0.001));
        CHECK(p.active_watts->value * 1e3 == Approx(40 + (mhz - 200) * 710.0 / 1300).margin(0.5));
        CHECK((*p.macs_per_second > last_speed && p.active_watts->value > last_power));
        CHECK(p.label == provenance::modelled);
        CHECK(says(p.source, "assum"));
        last_speed = *p.macs_per_second;
        last_power = p.active_watts->value;
    }
    const auto speed = [&](const char* name) { return *find_device(devices, name).macs_per_second; };
    CHECK(speed("cortex_m33_64mhz") < speed("cortex_a77_200mhz"));
    // FLEET section 4.1: GAP8 lies between the A77 at 200 and at 400 MHz.
    CHECK((speed("gap8_175mhz") > speed("cortex_a77_200mhz") && speed("gap8_175mhz") < speed("cortex_a77_400mhz")));
    CHECK(says(find_device(devices, "gap8_175mhz").source, "assum"));
    CHECK(says(find_device(devices, "cortex_m33_64mhz").source, "assum"));
}
