// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file energy_test.cpp
/// Radios, integration, meters and device profiles, what energy figures rest on; and what frames are charged.
#include "catch.hpp"
#include "demo_deployment.hpp"
#include "refusals.hpp"

#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/energy/meter.hpp>
#include <splitdsl/energy/simpson.hpp>
#include <splitdsl/policy/frame_energy.hpp>
#include <splitdsl/policy/offload_cost.hpp>
#include <splitdsl/radio/cellular.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

TEST_CASE("radios: power is slope times rate plus base, and names find them") {
    CHECK(radio::lte.transmitting(megabits_per_second(2)).value == Approx(2 * 0.43839 + 1.28804));
    CHECK(radio::umts_3g.receiving(megabits_per_second(1)).value == Approx(0.12212 + 0.81788));
    CHECK(radio::find("wifi")->power.base_mw == 132.86);
    CHECK(radio::find("5g_mmwave")->power.uplink_mw_per_mbps == 8.88);
    CHECK(radio::find("6g") == nullptr);
    CHECK(radio::lte.uplink_mw_per_mbps / radio::lte_2021.uplink_mw_per_mbps == Approx(5.7).margin(0.05));
    CHECK(radio::without_base(radio::nr_mmwave).transmitting(megabits_per_second(100)).value == Approx(0.888));
}

TEST_CASE("Simpson's rule is exact for parabolas at any spacing and for cubics at even spacing") {
    const auto record = [](std::vector<int> at_ms, auto power) {
        std::vector<power_sample> s;
        for (const int ms : at_ms) s.push_back({std::chrono::milliseconds{ms}, {power(ms / 1000.0)}});
        return s;
    };
    const auto parabola = [](double t) { return 2 + 3 * t - 4 * t * t; };
    const auto parabola_integral = [](double t) { return 2 * t + 1.5 * t * t - 4 * t * t * t / 3; };
    for (const auto& at : {std::vector{0, 100, 350}, std::vector{0, 5, 300, 301, 900}, std::vector{0, 70, 200, 1000}, std::vector{0, 10, 400, 450, 800, 990}}) {
        INFO("samples: " << at.size());
        CHECK(integrate_simpson(record(at, parabola)).value == Approx(parabola_integral(at.back() / 1000.0)).epsilon(1e-12));
    }
    const auto cubic = [](double t) { return 1 + t * t * t; };
    CHECK(integrate_simpson(record({0, 250, 500, 750, 1000}, cubic)).value == Approx(1.25).epsilon(1e-12));
    CHECK(integrate_trapezoid(record({0, 250, 500, 750, 1000}, cubic)).value == Approx(1.265625).epsilon(1e-12));
    // A known integral that neither rule hits exactly: Simpson's error falls with the fourth power of the step.
    const auto wave = [](double t) { return 4 + std::sin(3 * t); };
    const double exact = 4 + (1 - std::cos(3.0)) / 3;
    const auto error = [&](int n) {
        std::vector<int> at;
        for (int i = 0; i <= n; ++i) at.push_back(i * 1000 / n);
        return std::abs(integrate_simpson(record(at, wave)).value - exact);
    };
    CHECK(error(20) / error(40) == Approx(16).epsilon(0.05));
    CHECK(integrate_trapezoid(record({0, 100, 1000}, [](double t) { return 1 + t; })).value == Approx(1.5));
    CHECK(integrate_simpson(record({0, 500}, [](double) { return 2.0; })).value == Approx(1));
    CHECK(integrate_simpson({}).value == 0);
    CHECK(integrate_simpson(record({7}, [](double) { return 2.0; })).value == 0);
    CHECK_THROWS_AS(integrate_simpson(record({0, 10, 10}, parabola)), trace_error);
    CHECK_THROWS_AS(integrate_trapezoid(record({10, 5}, parabola)), trace_error);
    CHECK_THROWS_AS(integrate_simpson(record({0, 10, 20}, [](double t) { return 1 / (t - 0.01); })), trace_error);
}

TEST_CASE("meters: a model adds up, a counter wraps, and an absent counter says so in a sentence") {
    modelled_meter model;
    model.charge({4.3}, 10ms);
    model.charge({0.5});
    CHECK(model.total().value == Approx(0.543));
    CHECK(model.label() == provenance::modelled);
    CHECK(modelled_meter{provenance::simulated}.label() == provenance::simulated);
    for (const auto& [a, b] : {std::pair{provenance::measured, provenance::published}, {provenance::published, provenance::modelled}, {provenance::modelled, provenance::simulated}})
        CHECK((weaker(a, b) == b && weaker(b, a) == b && weaker(a, a) == a));

    const auto folder = std::filesystem::temp_directory_path() / ("splitdsl_rapl_" + std::to_string(std::random_device{}()));
    std::filesystem::create_directory(folder);
    const auto write = [&](const char* name, const std::string& text) { std::ofstream(folder / name) << text; };
    CHECK_FALSE(open_rapl_meter(folder.string()).meter);
    CHECK(open_rapl_meter(folder.string()).reason.find("no energy counter: ") == 0);
    write("energy_uj", "900000\n");
    CHECK_FALSE(open_rapl_meter(folder.string()).meter);
    write("max_energy_range_uj", "1000000\n");
    auto opened = open_rapl_meter(folder.string());
    REQUIRE(opened.meter);
    CHECK(opened.reason.empty());
    CHECK(opened.meter->total().value == 0);
    CHECK(opened.meter->label() == provenance::measured);
    write("energy_uj", "950000\n");
    CHECK(opened.meter->total().value == Approx(0.05));
    write("energy_uj", "20000\n");                     // wrapped
    CHECK(opened.meter->total().value == Approx(0.12));
    write("energy_uj", "rubbish");
    CHECK(opened.meter->total().value == Approx(0.12));
    CHECK_FALSE(open_rapl_meter(folder.string()).meter);
    std::filesystem::remove_all(folder);
    const auto here = open_rapl_meter();               // whatever this machine has
    CHECK(here.meter.has_value() == here.reason.empty());
}

TEST_CASE("the device profiles the project ships are read, and a missing figure is named when it is asked for") {
    const auto devices = read_device_profiles(SPLITDSL_SOURCE_DIR "/examples/profiles/devices.csv");
    const device_profile& nano = find_device(devices, "nano");
    CHECK(to_seconds(nano.time_of(3.375e9)) == Approx(0.27));
    CHECK(nano.active_energy(270ms).value == Approx(4.3 * 0.27));
    CHECK(nano.idle_power().value == 1.25);
    CHECK(nano.label == provenance::modelled);
    CHECK(find_device(devices, "zen3_core_resnet").label == provenance::measured);
    // What stands in a paper is published, not measured: nobody here read that instrument.
    for (const device_profile& d : devices) CHECK((d.label != provenance::measured || d.source.find("this library") == 0));
    CHECK(find_device(devices, "v100").label == provenance::published);
    const auto delays = read_facts_table(SPLITDSL_SOURCE_DIR "/examples/profiles/network_delays.csv", "device,network,delay_ms,provenance,source");
    for (const auto& row : delays.rows) CHECK(delays.text(row, 3) == to_text(provenance::published));
    CHECK(nano.source.find("assumption") != std::string::npos);
    CHECK(to_seconds(find_device(devices, "raspberry_pi_4").time_of(3.375e9)) == Approx(2.34).epsilon(0.001));
    CHECK_THROWS_AS(find_device(devices, "raspberry_pi_4").idle_power(), option_error);
    CHECK_THROWS_AS(find_device(devices, "tx2").time_of(1e9), option_error);
    CHECK_THROWS_AS(find_device(devices, "abacus"), option_error);
    for (const double wrong : {0.0, -1.0, std::nan(""), HUGE_VAL})
        CHECK(says(refusal([&] { (void)device_profile{.name = "box", .macs_per_second = wrong}.time_of(1e9); }), "device profile 'box': expected a finite macs_per_second above 0, found "));
    // FLET-12: what a local early exit costs gives its time.
    const auto seconds = [&](const char* device, double mj) { return mj * 1e-3 / find_device(devices, device).active_watts->value; };
    CHECK(seconds("cortex_m33_64mhz", 4.04) == Approx(0.434).margin(0.001));
    CHECK(seconds("gap8_175mhz", 2.26) == Approx(0.138).margin(0.001));
    CHECK(seconds("cortex_a77_200mhz", 35.81) == Approx(0.895).margin(0.001));
}

TEST_CASE("a hostile or broken profile table is refused with its line, and nothing unbounded is read") {
    const auto refusal = [](const std::string& text) -> std::string {
        std::istringstream in(text);
        try {
            to_device_profiles(read_facts_table(in, "devices.csv", device_profile_header));
        } catch (const trace_error& e) {
            return e.what();
        }
        return {};
    };
    const std::string header = std::string(device_profile_header) + "\n";
    CHECK(refusal(header + "a,1e9,1,0.5,modelled,x\n").empty());
    CHECK(refusal(header + "a,1e9,1,0.5,modelled,x").empty());              // no newline at the end
    CHECK(refusal("# note\n\n" + header + "a,,,,measured,x\r\n").empty());
    const auto names = [&](const std::string& text, const std::string& word) {
        const std::string why = refusal(text);
        INFO(why);
        CHECK(why.find("devices.csv") == 0);
        CHECK(why.find("expected") != std::string::npos);
        CHECK(why.find(word) != std::string::npos);
    };
    names("", "none");
    names(header, "none");
    names("name,macs\na,1\n", "line 1");
    names(header + "a,1e9,1,0.5,modelled\n", "6 cells, found 5");
    names(header + "a,1e9,1,0.5,modelled,x,y\n", "found 7");
    names(header + "a,-1,1,0.5,modelled,x\n", "'-1'");
    names(header + "a,0,1,0.5,modelled,x\n", "above 0");
    names(header + "a,nan,1,0.5,modelled,x\n", "'nan'");
    names(header + "a,1e999,1,0.5,modelled,x\n", "'1e999'");
    names(header + "a,1e 9,1,0.5,modelled,x\n", "'1e 9'");
    names(header + "a,1e300,1,0.5,modelled,x\n", "'1e300'");
    names(header + "a,1e9,1e-300,0.5,modelled,x\n", "'1e-300'");
    names(header + "a,0x10,1,0.5,modelled,x\n", "'0x10'");
    names(header + "a,1e9,1,0.5,guessed,x\n", "guessed");
    names(header + "a,1e9,1,0.5,modelled,\n", "column 6");
    names(header + ",1e9,1,0.5,modelled,x\n", "column 1");
    names(header + "a,1,1,1,modelled,x\na,1,1,1,modelled,x\n", "line 3");
    names(header + "\"a,1,1,1,modelled,x\n", "quotation");
    names(header + "\"a,b\",1,1,1,modelled,x\n", "quotation");
    names(header + "\"a\"b\",1,1,1,modelled,x\n", "quotation");
    names(header + std::string("a\0b,1,1,1,modelled,x\n", 22), "printable");
    names(header + "a,1,1,1,modelled," + std::string(2000, 'x') + "\n", "1024 characters");
    names(header + std::string(100'000, 'x'), "1024 characters");
    std::string many = header;
    for (int i = 0; i < 1025; ++i) many += "d" + std::to_string(i) + ",1,1,1,modelled,x\n";
    names(many, "1024 rows");
    std::string comments;
    for (int i = 0; i < 1025; ++i) comments += "#\n";
    names(comments + header, "comments");
    CHECK_THROWS_AS(read_device_profiles("/nonexistent/devices.csv"), trace_error);
    CHECK_THROWS_WITH(read_device_profiles("/tmp"), "/tmp: expected a csv file of at most 2103300 bytes, found a folder");
}

TEST_CASE("a profile table takes what spreadsheets write: a byte order mark, quoted headers, blanks and Windows line ends") {
    std::string quoted = "\"";
    for (const char c : std::string(device_profile_header)) quoted += c == ',' ? std::string("\",\"") : std::string(1, c);
    std::istringstream in("\xEF\xBB\xBF" + quoted + "\" \t\r\n\"a b\", 1e9 ,1,0.5,modelled,x \r\n");
    const auto devices = to_device_profiles(read_facts_table(in, "devices.csv", device_profile_header));
    REQUIRE(devices.size() == 1);
    CHECK(devices[0].name == "a b");
    CHECK(devices[0].source == "x");
    CHECK(find_device(devices, "a b").time_of(1e9) == std::chrono::seconds{1});
}

TEST_CASE("a frame is charged for what it did: local, offloaded, rolled back") {
    const deployment d = demo();
    const auto energy = [&](policy::frame_times f, idle_scope s) { return policy::energy_of_frame(d, f, {.idle = s}); };
    const auto local = energy({.head = 24'500us}, idle_scope::transmit_and_wait);
    CHECK(local.compute.value == Approx(4.3 * 0.0245));
    CHECK(local.total() == local.compute);
    const policy::frame_times sent{.cut = 0, .head = 3500us, .transmit = 10ms, .wait = 11ms, .receive = 1ms, .sent = {984}, .received = {68}};
    const auto cloud = energy(sent, idle_scope::transmit_and_wait);
    CHECK(cloud.compute.value == Approx(4.3 * 0.0035));
    CHECK(cloud.radio.value == Approx((438.39 * 984 + 51.97 * 68) * 8e-9 + 1.28804 * 0.011));
    CHECK(cloud.idle.value == Approx(1.25 * 0.022));
    const auto waiting = energy(sent, idle_scope::wait);
    CHECK(waiting.idle.value == Approx(1.25 * 0.012));
    CHECK(waiting.radio == cloud.radio);
    // Rolled back: transmission, waiting and the local tail, in full.
    const policy::frame_times back{.cut = 0, .head = 3500us, .transmit = 40ms, .wait = 6500us, .tail = 21ms, .sent = {984}};
    const auto rolled = energy(back, idle_scope::transmit_and_wait);
    CHECK(rolled.compute.value == Approx(4.3 * 0.0245));
    CHECK(rolled.radio.value == Approx(438.39 * 984 * 8e-9 + 1.28804 * 0.040));
    CHECK(rolled.idle.value == Approx(1.25 * 0.0465));
    CHECK(rolled.total() > local.total());
    // What the policy expected is what the frame is charged when everything goes to plan.
    const link_view link{.up = true, .rate_up = megabits_per_second(0.9), .rate_down = megabits_per_second(10), .rtt = 10ms, .age = 50ms};
    const auto plan = policy::cost_of_offload(d, d.cut[0].payload, d.cut[0].cloud_tail, link);
    const auto planned = policy::energy_of_frame(
        d, {.cut = 0, .head = 3500us, .transmit = plan.upload, .wait = link.rtt + 1ms, .receive = plan.download, .sent = {984}, .received = {68}});
    CHECK((planned.radio + planned.idle).value == Approx(plan.total().value).epsilon(1e-9));
    // The radio's tail, if asked for: until the next transfer, at most its length.
    const auto tailed = policy::energy_of_frame(d, sent, {.radio_tail = radio::lte_tail, .until_next_transfer = 78ms});
    CHECK((tailed.radio - cloud.radio).value == Approx(1.060 * 0.078));
    CHECK(radio::lte_tail.energy(60s).value == Approx(1.060 * 11.576));
    CHECK(policy::energy_of_frame(d, {.head = 24'500us}, {.radio_tail = radio::lte_tail, .until_next_transfer = 1s}).radio.value == 0);
    // The radio stays on after what came in, too; and a gap that is none costs nothing.
    CHECK(policy::energy_of_frame(d, {.received = {68}}, {.radio_tail = radio::lte_tail, .until_next_transfer = 100ms}).radio.value
          == Approx(1.060 * 0.1 + 51.97 * 68 * 8e-9));
    CHECK(radio::lte_tail.energy(0s).value == 0);
    CHECK(radio::lte_tail.energy(-1s).value == 0);
    // Head and tail each at their own power, not at the network's mean.
    deployment uneven = d;
    uneven.cut[0].head_energy = watts{2} * uneven.cut[0].edge_head;
    uneven.cut[0].tail_energy = watts{8} * uneven.cut[0].edge_tail;
    CHECK(policy::energy_of_frame(uneven, {.cut = 0, .head = 5ms, .tail = 20ms}).compute.value == Approx(2 * 0.005 + 8 * 0.020));
}

TEST_CASE("time away is sending first, then receiving, and the rest waiting; nothing is lost") {
    const auto f = policy::apportion({.sent = {1250}, .received = {125}}, 30ms, megabits_per_second(1), megabits_per_second(1));
    CHECK(f.transmit == 10ms);
    CHECK(f.receive == 1ms);
    CHECK(f.wait == 19ms);
    const auto stalled = policy::apportion({.sent = {1250}}, 46ms, {}, {});
    CHECK(stalled.transmit == 46ms);
    CHECK(stalled.wait == 0ms);
    const auto unanswered = policy::apportion({.sent = {1250}}, 30ms, megabits_per_second(1), {}); // nothing came in, at whatever rate
    CHECK(unanswered.receive == 0ms);
    CHECK(unanswered.wait == 20ms);
    CHECK(policy::apportion({.received = {125}}, 30ms, {}, megabits_per_second(1)).receive == 1ms);
    std::mt19937_64 random{12};
    const auto upto = [&](double high) { return high * static_cast<double>(random() >> 11) * 0x1p-53; };
    for (int i = 0; i < 1000; ++i) {
        const duration away = from_milliseconds(upto(100));
        const auto g = policy::apportion({.sent = {upto(1e5)}, .received = {upto(1e4)}}, away, {upto(1e7)}, {upto(1e7)});
        REQUIRE(g.transmit + g.wait + g.receive == away);
        REQUIRE(std::min({g.transmit, g.wait, g.receive}) >= 0ms);
    }
}
