// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file radio_test.cpp
/// Radios as arithmetic: the printed rates, times on the air and energies of BLE, LoRa and 802.11ah, and FLEET's devices.
#include "ble_runs.hpp"

#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/radio/ble_energy.hpp>
#include <splitdsl/radio/ble_options.hpp>
#include <splitdsl/radio/halow.hpp>
#include <splitdsl/radio/lora.hpp>
#include <splitdsl/radio/packet_options.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

using namespace splitdsl;
using namespace splitdsl::radio;
using namespace std::chrono_literals;

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

TEST_CASE("FLT-20: each phase of BLE's energy has its own length and current, and standby is what is left") {
    constexpr ble_radio r{.name = "uneven", .volts = 2, .pre_process = {300us, 7}, .ramp = {500us, 0.5}, .start = {40us, 3}, .post_process = {200us, 11},
                          .transmit_ma = 6, .receive_ma = 5, .switch_ma = 1.5, .standby_ma = 0.25};
    constexpr ble_activity a{.events = 10, .exchanges = 12, .transmitting = 30ms, .receiving = 4ms, .switching = 3600us};
    const ble_energy e = energy_of(a, 100ms, r);
    const auto is = [](joules found, double microjoules) { return found.value * 1e6 == Approx(microjoules); };
    CHECK(is(e.pre_process, 2 * 7 * 3));            // volts x mA x ms
    CHECK(is(e.ramp, 2 * 0.5 * 5));
    CHECK(is(e.start, 2 * 3 * 0.4));
    CHECK(is(e.post_process, 2 * 11 * 2));
    CHECK(is(e.transmit, 2 * 6 * 30));
    CHECK(is(e.receive, 2 * 5 * 4));
    CHECK(is(e.switching, 2 * 1.5 * 3.6));
    CHECK(is(e.standby, 2 * 0.25 * (100 - 10.4 - 37.6)));
    CHECK(is(e.total(), 42 + 5 + 2.4 + 44 + 360 + 40 + 10.8 + 26));
    CHECK(energy_of(a, 10ms, r).standby.value == 0);    // an event that runs past the stretch leaves no negative standby
    // FLEET's Table 1: 125 kbps take longer for the same bytes, and so more.
    const auto packets = [&](ble_phy phy) {
        return energy_of({.events = 1, .exchanges = 4, .transmitting = 4 * pdu_airtime(phy, 251), .receiving = 4 * pdu_airtime(phy, 0), .switching = 8 * ble_frame_space}, 1s, r).total();
    };
    CHECK((packets(ble_phy::coded_125k) > packets(ble_phy::coded_500k) && packets(ble_phy::coded_500k) > packets(ble_phy::le_1m) && packets(ble_phy::le_1m) > packets(ble_phy::le_2m)));
}

TEST_CASE("FLT-18: what table 4's PHYs differ by is a number of packets, the same for both devices, if its 1.41 mJ is read as 14.15") {
    // Between 125 kbps and 2 Mbps only the time on the air differs, at FLEET's 10 mW.
    const ble_radio& r = *find_ble_radio("fleet_10mw");
    const auto packet = [&](ble_phy phy) { return energy_of({.exchanges = 1, .transmitting = pdu_airtime(phy, 251), .receiving = pdu_airtime(phy, 0)}, {}, r).total(); };
    const double one = 1e3 * (packet(ble_phy::coded_125k) - packet(ble_phy::le_2m)).value;
    CHECK(one == Approx(0.164).margin(0.001));
    const double gap8 = (7.29 - 1.04) / one, a77 = (14.15 - 8.11) / one, m33 = (1.57 - 1.08) / one;
    CHECK(gap8 / a77 == Approx(1).margin(0.04));    // both send ImageNet's pictures
    CHECK(a77 == Approx(37).margin(1));
    CHECK(m33 == Approx(3).margin(0.1));            // CIFAR's
    CHECK((1.41 - 8.11) / one < 0);                 // as printed, the slow radio would give energy back
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
    CHECK(to_seconds(transfer_time(halow_setting{.loss = 0.5}, 1500)) == Approx(2 * to_seconds(transfer_time(halow_setting{}, 1500))));
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

namespace {
struct seen_packets {
    std::vector<ble_report> all{};
    void operator()(const ble_report& r) { all.push_back(r); }
};
} // namespace

TEST_CASE("LoRa in virtual time: the duty cycle's silence between packets, answers in the window behind one, windows of lost packets empty") {
    packet_radio r{.lora = {.duty_cycle = 0.01}, .receive_delay = 1s};
    const duration on_air = airtime(r.lora, 100), reply = airtime(r.lora, lora_acknowledgement_octets), answer = airtime(r.lora, 16);
    packet_air air{r};
    const instant t0{5s};
    CHECK(air.queue(ble_way::up, 1, 100, t0));
    CHECK(air.queue(ble_way::up, 2, 100, t0));
    CHECK_FALSE(air.queue(ble_way::up, 3, 256, t0));
    CHECK_FALSE(air.queue(ble_way::up, 3, 0, t0));
    seen_packets seen;
    CHECK(air.next_with_data() == t0);
    air.run(t0, std::ref(seen));
    REQUIRE(seen.all.size() == 1);
    CHECK((seen.all[0].tag == 1 && seen.all[0].fate == ble_fate::delivered && seen.all[0].sent == t0));
    CHECK((seen.all[0].arrived == t0 + on_air && seen.all[0].known == t0 + on_air + 1s + reply));
    // An answer that is ready in time rides on the acknowledgement; one that is not waits for the second packet's window.
    CHECK(air.queue(ble_way::down, 10, 16, t0 + on_air + 5ms));
    CHECK(air.next_with_data() == t0 + on_air + 1s);
    air.run(t0 + on_air + 1s, std::ref(seen));
    REQUIRE(seen.all.size() == 2);
    CHECK((seen.all[1].way == ble_way::down && seen.all[1].arrived == t0 + on_air + 1s + answer));
    CHECK(air.queue(ble_way::down, 11, 16, t0 + on_air + 2s));
    const instant second = t0 + on_air + silence_after(r.lora, 100);
    CHECK(air.next_with_data() == second);
    air.run(second + on_air + 2s, std::ref(seen));
    REQUIRE(seen.all.size() == 4);
    CHECK((seen.all[2].tag == 2 && seen.all[2].sent == second));
    CHECK((seen.all[3].tag == 11 && seen.all[3].sent == second + on_air + 1s));
    CHECK(air.next_with_data() == instant::max());
    CHECK(air.activity().transmitting == 2 * on_air);
    CHECK(air.activity().receiving == 2 * answer);
    // Asleep but for that.
    const sleeping_radio& d = r.draws;
    CHECK(energy_of(air.activity(), 100s, r).value
          == Approx(d.volts * 1e-3 * (d.transmit_ma * to_seconds(2 * on_air) + d.receive_ma * to_seconds(2 * answer) + d.sleep_ma * to_seconds(100s - 2 * on_air - 2 * answer))));
    // What is lost: the window stays empty, and nobody answers in it. Sent again where it says so, and only so often.
    r.lora.loss = 1;
    packet_air deaf{r};
    seen.all.clear();
    deaf.queue(ble_way::up, 1, 100, t0);
    deaf.run(t0, std::ref(seen));
    REQUIRE(seen.all.size() == 1);
    CHECK((seen.all[0].fate == ble_fate::lost && seen.all[0].known == t0 + on_air + 1s + preamble_time(r.lora)));
    deaf.queue(ble_way::down, 2, 16, t0 + on_air);
    CHECK(deaf.next_with_data() == instant::max());
    r.delivery = ble_delivery::resending, r.most_tries = 3;
    packet_air stubborn{r};
    seen.all.clear();
    stubborn.queue(ble_way::up, 1, 100, t0);
    stubborn.run(t0 + 1000s, std::ref(seen));
    REQUIRE(seen.all.size() == 1);
    CHECK((seen.all[0].tries == 3 && seen.all[0].sent == t0 + 2 * (on_air + silence_after(r.lora, 100))));
    // Always listening: the answer goes when it is ready, and the rest of the time is not sleep.
    packet_radio open{.receive_delay = 0s};
    packet_air awake{open};
    awake.queue(ble_way::up, 1, 100, t0);
    awake.queue(ble_way::down, 2, 16, t0 + on_air + 300ms);
    seen.all.clear();
    awake.run(t0 + 10s, std::ref(seen));
    REQUIRE(seen.all.size() == 2);
    CHECK(seen.all[1].arrived == t0 + on_air + 300ms + answer);
    CHECK(energy_of({}, 10s, open).value == Approx(open.draws.receive_energy(10s).value));
    CHECK(to_seconds(packet_period(r, 255)) == Approx(100 * to_seconds(airtime(r.lora, 255))));
    CHECK(packet_period(open, 255) == airtime(open.lora, 255) + reply);
}

TEST_CASE("802.11ah in virtual time: one exchange after another, and a sleeping station's data wait for its wakes") {
    packet_radio r{.kind = packet_kind::halow, .octets = 1500, .delivery = ble_delivery::resending, .draws = assumed_halow_radio};
    const duration access = halow::difs + halow::mean_backoff;
    packet_air air{r};
    seen_packets seen;
    const instant t0{3ms};
    air.queue(ble_way::up, 1, 1500, t0);
    air.queue(ble_way::up, 2, 100, t0);
    air.queue(ble_way::down, 3, 16, t0 + 1ms);
    air.run(t0 + 1s, std::ref(seen));
    REQUIRE(seen.all.size() == 3);
    CHECK((seen.all[0].tag == 1 && seen.all[0].arrived == t0 + access + frame_airtime(r.halow, 1500)));
    const instant free = t0 + exchange_airtime(r.halow, 1500);
    CHECK((seen.all[1].tag == 3 && seen.all[1].arrived == free + access + frame_airtime(r.halow, 16)));
    CHECK((seen.all[2].tag == 2 && seen.all[2].sent == free + exchange_airtime(r.halow, 16)));
    // Every 20 ms, for at least 2 ms.
    r.halow.wake_interval = 20ms, r.halow.wake_for = 2ms;
    packet_air station{r};
    const auto sent_at = [&](packet_air& a, ble_way way, instant ready) {
        seen.all.clear();
        a.queue(way, 1, 16, ready);
        a.run(ready + 1s, std::ref(seen));
        return seen.all.at(0).sent;
    };
    CHECK(sent_at(station, ble_way::up, instant{3ms}) == instant{20ms});
    CHECK(sent_at(station, ble_way::down, instant{30ms}) == instant{40ms});
    CHECK(sent_at(station, ble_way::up, instant{61ms}) == instant{61ms});       // awake since 60 ms
    CHECK(sent_at(station, ble_way::up, instant{60ms} + exchange_airtime(r.halow, 16)) == instant{60ms} + exchange_airtime(r.halow, 16) + 1ms);
    CHECK(sent_at(station, ble_way::up, instant{100ms}) == instant{100ms});
    // A tenth of the time awake.
    CHECK(energy_of({}, 1s, r).value == Approx(assumed_halow_radio.receive_energy(100ms).value + assumed_halow_radio.sleep_energy(900ms).value));
    // All lost: sent again until it is dropped.
    r.halow.loss = 1, r.halow.wake_interval = 0ms;
    r.halow.wake_for = 0ms;
    packet_air lossy{r};
    seen.all.clear();
    lossy.queue(ble_way::up, 1, 16, t0);
    lossy.run(t0 + 100ms, std::ref(seen));
    CHECK(seen.all.empty());
    lossy.drop(ble_way::up, std::ref(seen));
    REQUIRE(seen.all.size() == 1);
    CHECK((seen.all[0].fate == ble_fate::dropped && seen.all[0].tries > 5 && lossy.waiting(ble_way::up) == 0));
}

TEST_CASE("a LoRa or 802.11ah link is read from a line and written as one, with the rule that limits its air") {
    const packet_radio lora = parse_lora("sf=9,bandwidth=250,coding=4/7,duty_cycle=0.1,bytes=115,loss=0.25,delivery=resending,tries=4,receive_delay=0,preamble=10");
    CHECK((lora.lora.spreading_factor == 9 && lora.lora.bandwidth_hz == 250e3 && lora.lora.parity == 3 && lora.lora.duty_cycle == 0.1 && lora.octets == 115));
    CHECK((lora.lora.loss == 0.25 && lora.delivery == ble_delivery::resending && lora.most_tries == 4 && lora.receive_delay == 0s && lora.lora.preamble_symbols == 10));
    CHECK(to_text(parse_lora(to_text(lora))) == to_text(lora));
    CHECK(airtime_rule(lora) == "duty cycle 10 %, always listening");
    CHECK(airtime_rule(parse_lora("sf=7,duty_cycle=0.01")) == "duty cycle 1 %, answers only 1000 ms behind a packet");
    const packet_radio halow = parse_halow("bandwidth=2,mcs=3,guard=short,wake=20,wake_for=1,loss=0.1");
    CHECK((halow.halow.bandwidth_mhz == 2 && halow.halow.mcs == 3 && halow.halow.short_guard && halow.halow.wake_interval == 20ms && halow.halow.wake_for == 1ms));
    CHECK((halow.delivery == ble_delivery::resending && halow.octets == 1500));
    CHECK(to_text(parse_halow(to_text(halow))) == to_text(halow));
    CHECK(airtime_rule(halow) == "wakes every 20 ms");
    for (const auto& [line, why] : {std::pair{"sf=5", "spreading factor from 6 to 12, found 5"}, {"sf=7.5", "a number as sf, found \"7.5\""},
                                    {"sf=7,sf=8", "each key once, found \"sf=8\""}, {"colour=1", "one of sf,"}, {"sf", "key=value, found \"sf\""},
                                    {"coding=4/9", "4/5, 4/6, 4/7 or 4/8 as coding"}, {"bytes=256", "1 to 255 bytes"}, {"loss=1.5", "a loss from 0 to 1"},
                                    {"duty_cycle=0", "duty cycle above 0"}, {"bandwidth=0.5", "a bandwidth of 1e3 to 1e9 Hz, found 500"}, {"delivery=maybe", "delivery to be one of unreliable, resending"}, {"receive_delay=-1", "0 to 1e9 ms as receive_delay"},
                                    {"", "key=value"}})
        CHECK(says(refusal([row = line] { parse_lora(row); }), why));
    for (const auto& [line, why] : {std::pair{"bandwidth=2,mcs=9", "found 2 MHz with MCS 9"}, {"guard=none", "guard to be one of long, short"}, {"bytes=1501", "1 to 1500 bytes"},
                                    {"wake=5,wake_for=6", "wakes of 0 to the wake interval"}})
        CHECK(says(refusal([row = line] { parse_halow(row); }), why));
}
