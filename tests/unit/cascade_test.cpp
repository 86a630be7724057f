// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cascade_test.cpp
/// A small network on the device and a big one in the cloud (Liang et al., section 5.2): the simulator against the formula, and the paper's own numbers.
#include "catch.hpp"
#include "fleet_cases.hpp"
#include "refusals.hpp"

#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/radio/packet_options.hpp>
#include <splitdsl/sim/cascade_curve.hpp>
#include <splitdsl/sim/skewed_pictures.hpp>

#include <array>
#include <cmath>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::testing;

namespace {

constexpr duration small = 11'212us, network = 47'760us, big = 1'371'700ns; // TX2, EC2 and V100 of the paper's table 3 and section 5.2

/// MobileNetV2 on the device with its one exit, every input of 1,000 bytes to the cloud.
sim::fleet_world cascade_world() {
    sim::fleet_world w{.network = {.name = "cascade", .stages = {{.name = "small", .macs = 1, .exit = 0}}, .inputs = {{"jpeg", 1000, {}}}}, .cloud = big};
    w.times = {.stage = {small}, .exit = {0ms}};
    w.other_radio = radio::parse_steady("rate=1000000000,delay=23.88");
    w.deadline = 1s;
    return w;
}
const sim::exit_answers& answers() {
    static const sim::synthetic_answers made{cascade_world().network, {.pictures = 2000, .strength = 3.8}, "g"};
    static const sim::exit_answers a = sim::read_exit_answers(made.file(), "g");
    return a;
}

} // namespace

TEST_CASE("EDGE-06: the simulated cascade has the curve's share, accuracy and mean latency at every threshold") {
    const auto w = cascade_world();
    constexpr std::array thresholds{0.0, 0.26, 0.45, 0.5, 0.8, 0.99, 1.0};
    const auto curve = sim::cascade_curve(answers(), {small, network, big}, thresholds);
    REQUIRE(curve.size() == thresholds.size());
    double passed = -1;
    for (const auto& p : curve) {
        CAPTURE(p.threshold);
        const auto s = sim::simulate_fleet(policy::cascade{static_cast<float>(p.threshold), 0}, w, answers(), {.frames = 2000}, [](const sim::fleet_frame&) {});
        CHECK(static_cast<double>(s.by_cloud) / 2000 == p.passed);
        CHECK(s.by_cloud + s.by_exit == 2000);
        CHECK(s.accuracy() == p.accuracy);
        CHECK(s.mean_latency_ms == Approx(to_milliseconds(p.mean)).epsilon(1e-5)); // packets of 1,016 bytes at 1 Tbit/s take nanoseconds
        CHECK(s.bytes_up == Approx(1000 * p.passed)); // bandwidth saved: 1 - passed
        CHECK((p.faster > 0) == policy::cascade_pays(p.passed, small, network, big));
        CHECK(p.passed >= passed);                    // a higher threshold passes on more
        passed = p.passed;
    }
    CHECK(curve.front().passed == 0);
    CHECK(curve.back().faster < 0); // figure 10: near 1 a cascade is always slower
    const auto all = sim::simulate_fleet(policy::offload_input{0}, w, answers(), {.frames = 10}, [](const sim::fleet_frame&) {});
    CHECK(all.mean_latency_ms == Approx(to_milliseconds(network + big)).epsilon(1e-6));
}

TEST_CASE("EDGE-06: the crossover is the last threshold at which fewer inputs are passed on than may be") {
    const sim::cascade_times t{small, network, big};
    const auto at = sim::cascade_crossover(answers(), t);
    REQUIRE(at);
    const std::array around{static_cast<double>(*at), static_cast<double>(std::nextafter(*at, 2.0F))};
    const auto curve = sim::cascade_curve(answers(), t, around);
    CHECK(curve[0].faster > 0);
    CHECK(curve[1].faster <= 0);
    CHECK(curve[0].passed < policy::cascade_limit(small, network, big));
    CHECK_FALSE(sim::cascade_crossover(answers(), {60ms, network, big}));                  // the small one alone takes longer
    CHECK_FALSE(sim::cascade_crossover(answers(), {network + big, network, big}));         // as long
    CHECK(sim::cascade_crossover(answers(), {0ms, network, big}) > 0.9F);                  // for nothing: almost everywhere
    for (int per_mille = 1; per_mille < 1000; ++per_mille) { // as many as the limit are no gain: one fewer is the most
        const auto even = sim::cascade_crossover(answers(), {per_mille * 1ms, 700ms, 300ms});
        REQUIRE(even);
        const auto p = sim::cascade_curve(answers(), {per_mille * 1ms, 700ms, 300ms}, std::array{static_cast<double>(*even)}).front();
        REQUIRE(std::lround(p.passed * 2000) < 2 * (1000 - per_mille));
    }
    CHECK(says(refusal([] { sim::cascade_crossover(answers(), {small, network, big}, 1); }), "expected answers with exit 1"));
    CHECK(says(refusal([] { sim::cascade_curve(sim::exit_answers{}, {small, network, big}, std::array{0.5}); }), "of 0 pictures"));
}

TEST_CASE("EDGE-06: the paper's crossovers and savings ask for a slower TX2 than its own table has") {
    // Section 5.2: at 0.5 the edge-cloud case saves 41 % of the bandwidth, so it passes on 59 %; its crossover is at 0.45, where no more can be passed on.
    const double passed = 1 - 0.41;
    CHECK(policy::cascade_limit(small, network, big) == Approx(0.772).margin(0.0005));
    CHECK(policy::cascade_pays(passed, small, network, big)); // by table 3 the cascade would still win at 0.5
    const duration slower = from_seconds((1 - passed) * to_seconds(network + big));
    CHECK(to_milliseconds(slower) == Approx(20.1).margin(0.05)); // what the TX2 would have to take at the least
    CHECK_FALSE(policy::cascade_pays(passed, slower + 1us, network, big));
}

TEST_CASE("EDGE-08: both printed reductions with a slower cloud come of one share that is passed on, of about a tenth") {
    // T_small + p (T_net + T_big) = (1 - reduction) (T_net + T_big), solved for p.
    const auto share = [](duration latency, double reduction) { return 1 - reduction - to_seconds(small) / to_seconds(latency + big); };
    const double at60 = share(60ms, 0.7039), at100 = share(100ms, 0.7983);
    CHECK(at60 == Approx(0.113).margin(0.001));
    CHECK(at100 == Approx(0.091).margin(0.001));
    // Such a share is that of skewed inputs: of random ones 89 % are passed on at 0.8, by section 5.2 itself.
    CHECK(at60 < 0.2 * (1 - 0.11));
    // The simulator, with as many inputs passed on: the printed reductions within a point and a half, and growing with the latency.
    std::vector<float> sure;
    for (std::size_t i = 0; i < answers().pictures(); ++i) sure.push_back(answers().local(i, 0).confidence);
    std::sort(sure.begin(), sure.end());
    const float threshold = sure[sure.size() / 10];
    double before = 0;
    for (const auto& [ms, printed] : {std::pair{20.0, 0.0}, {60.0, 0.7039}, {100.0, 0.7983}, {200.0, 0.0}}) {
        auto w = cascade_world();
        w.other_radio->steady.delay = from_milliseconds(ms / 2);
        const auto s = sim::simulate_fleet(policy::cascade{threshold, 0}, w, answers(), {.frames = 2000}, [](const sim::fleet_frame&) {});
        const double reduction = 1 - s.mean_latency_ms / (ms + to_milliseconds(big));
        CHECK(reduction > before);
        if (printed > 0) CHECK(reduction == Approx(printed).margin(0.015));
        before = reduction;
    }
}

TEST_CASE("EDGE-07: where common inputs are those that the small network knows, a cascade is several times faster") {
    // Class 0 is what the small network knows: its logits stand out in those pictures alone.
    logits_file f;
    std::vector<float> local, offload;
    for (int i = 0; i < 1000; ++i) {
        const int label = i % 10;
        f.labels.push_back(label);
        for (int c = 0; c < 10; ++c) local.push_back(c == label ? (label == 0 ? 12.0F : 0.5F) : 0.0F);
        name_class(offload, label);
    }
    f.tensors = {{"g.local", {{1000, 1, 10}, local}}, {"g.offload", {{1000, 1, 10}, offload}}};
    const sim::exit_answers random = f.read();
    constexpr std::array common{0};
    const sim::exit_answers skewed = random.of(sim::skewed_pictures(random, common, 0.98, 7));
    REQUIRE(skewed.pictures() == 1000);
    constexpr std::array wide{0.2, 0.5, 0.8, 0.95};
    const auto usual = sim::cascade_curve(random, {small, network, big}, wide), frequent = sim::cascade_curve(skewed, {small, network, big}, wide);
    for (std::size_t i = 0; i < wide.size(); ++i) {
        CHECK(usual[i].passed == 0.9);
        CHECK(usual[i].faster < 0);                                     // figure 8: random inputs
        CHECK(frequent[i].passed == Approx(0.02).margin(0.015));
        CHECK(to_seconds(network + big) / to_seconds(frequent[i].mean) > 3.5); // figure 9 prints 4 times for the edge and the cloud
        CHECK(frequent[i].accuracy == 1);
    }
    const auto s = sim::simulate_fleet(policy::cascade{0.8F, 0}, cascade_world(), skewed, {.frames = 1000}, [](const sim::fleet_frame&) {});
    CHECK(static_cast<double>(s.by_cloud) / 1000 == frequent[2].passed);
    // Equal seeds, equal pictures; all common, none common; and what is refused.
    CHECK(sim::skewed_pictures(random, common, 0.5, 3) == sim::skewed_pictures(random, common, 0.5, 3));
    CHECK(sim::skewed_pictures(random, common, 0.5, 3) != sim::skewed_pictures(random, common, 0.5, 4));
    for (const std::size_t p : sim::skewed_pictures(random, common, 1, 1)) CHECK(random.label(p) == 0);
    for (const std::size_t p : sim::skewed_pictures(random, common, 0, 1)) CHECK(random.label(p) != 0);
    CHECK(says(refusal([&] { sim::skewed_pictures(random, common, 1.5, 1); }), "a share from 0 to 1, found 1.5"));
    CHECK(says(refusal([&] { sim::skewed_pictures(random, std::array{11}, 0.5, 1); }), "pictures of the common classes, found none"));
    CHECK(says(refusal([&] { sim::skewed_pictures(random, {}, 0.5, 1); }), "at least one common class"));
    CHECK(says(refusal([&] { sim::skewed_pictures(random, std::array{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 0.5, 1); }), "pictures of other classes"));
}

TEST_CASE("answers can be taken of some pictures, in another order and more than once") {
    const auto& a = large_answers();
    constexpr std::array<std::size_t, 4> chosen{7, 3, 7, 299};
    const sim::exit_answers b = a.of(chosen);
    REQUIRE(b.pictures() == 4);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        CHECK(b.label(i) == a.label(chosen[i]));
        CHECK(b.trunk(i) == a.trunk(chosen[i]));
        for (int k = 0; k < 12; ++k) CHECK(b.local(i, k) == a.local(chosen[i], k));
        CHECK(b.cloud(i, 7, 3, 2) == a.cloud(chosen[i], 7, 3, 2));
        CHECK(b.offload(i, 5) == a.offload(chosen[i], 5));
    }
    CHECK(a.of({}).pictures() == 0);
    const std::size_t beyond[]{0, a.pictures()};
    CHECK_THROWS_AS(a.of(beyond), option_error);
}

TEST_CASE("a steady link carries both ways at once, each packet behind the one before, and is read from a line") {
    using namespace radio;
    const packet_radio r = parse_steady("rate=8000,delay=20,bytes=1000");
    CHECK(packet_period(r, 1000) == 1ms);
    CHECK(round_trip(r) == 40ms);
    CHECK(to_kilobits_per_second(sustained_rate(r)) == Approx(8000));
    CHECK(to_text(parse_steady(to_text(r))) == to_text(r));
    CHECK(to_text(r) == "rate=8000,delay=20,bytes=1000,loss=0,delivery=resending");
    CHECK(airtime_rule(r) == "both ways at once");
    packet_air air{r};
    std::vector<ble_report> seen;
    const instant t{5ms};
    air.queue(ble_way::up, 1, 1000, t), air.queue(ble_way::up, 2, 500, t), air.queue(ble_way::down, 3, 1000, t);
    CHECK_FALSE(air.queue(ble_way::up, 4, 1001, t));
    air.run(t + 1s, [&](const ble_report& one) { seen.push_back(one); });
    REQUIRE(seen.size() == 3);
    for (const ble_report& one : seen) {
        const duration there = one.tag == 2 ? 21'500us : 21ms;
        CHECK(one.arrived == t + there);
        CHECK(one.known == t + there + 20ms);
    }
    // Lost: known of after a round trip, and what is behind it waits.
    packet_radio lossy = r;
    lossy.steady.loss = 0.5;
    packet_air again{lossy, 3};
    seen.clear();
    for (std::uint64_t k = 0; k < 40; ++k) again.queue(ble_way::up, k, 1000, t);
    again.run(t + 100s, [&](const ble_report& one) { seen.push_back(one); });
    REQUIRE(seen.size() == 40);
    int tries = 0;
    for (std::size_t k = 0; k < seen.size(); ++k) {
        CHECK((seen[k].tag == k && seen[k].fate == ble_fate::delivered));
        if (k > 0) CHECK(seen[k].sent >= seen[k - 1].sent + 1ms + (seen[k].tries - 1) * 41ms);
        tries += seen[k].tries;
    }
    CHECK(tries > 60);
    CHECK(energy_of(again.activity(), 1s, lossy).value == 0); // not counted
    for (const auto& [line, why] : {std::pair{"rate=0", "a rate of 1 to 1e9 kbit/s, found 0"}, {"delay=-1", "0 to 1e9 ms as delay"}, {"delay=4e6", "a delay of 0 to 3.6e6 ms"},
                                    {"bytes=65536", "1 to 65535 bytes"}, {"loss=2", "a loss from 0 to 1"}, {"colour=1", "one of rate, delay,"}})
        CHECK(says(refusal([row = line] { parse_steady(row); }), why));
}
