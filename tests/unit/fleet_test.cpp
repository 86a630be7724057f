// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_test.cpp
/// The simulator that compares FLEET and its baselines: times by hand, losses, seeds, recorded logits. The policies:
/// fleet_policies_test.cpp.
#include "any_policy.hpp"
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/sim/fleet_summary.hpp>
#include <splitdsl/sim/link_thresholds.hpp>
#include <splitdsl/sim/synthetic_answers.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

/// Logits of ten classes that name `label` with nearly all the probability.
void name_class(std::vector<float>& into, int label) {
    for (int c = 0; c < 10; ++c) into.push_back(c == label ? 20.0F : 0.0F);
}
/// A file with labels and the given tensors of group "g".
struct logits_file {
    std::vector<std::int32_t> labels;
    std::vector<std::pair<std::string, std::pair<std::vector<std::uint64_t>, std::vector<float>>>> tensors{};
    sim::exit_answers read(policy::confidence_kind kind = policy::confidence_kind::top1) const {
        return sim::read_exit_answers(file(), "g", kind);
    }
    safetensors file() const {
        std::vector<tensor_view> views{{"labels", tensor_type::int32, {labels.size()}, std::as_bytes(std::span{labels})}};
        for (const auto& [name, t] : tensors) views.push_back({name, tensor_type::float32, t.first, bytes_of_floats(t.second)});
        return {std::move(views), {}, nullptr};
    }
};

/// Twelve stages of 2 MMAC with exits everywhere, eight streams of six sizes, one cut of four sizes, two encodings of the input.
sim::exit_network large_network() {
    sim::exit_network n{.name = "large"};
    for (int k = 0; k < 12; ++k) {
        sim::exit_stage s{.name = "stage" + std::to_string(k), .macs = 2e6, .exit = k, .exit_macs = 1e4};
        if (k < 8) s.stream = {36, 64, 100, 144, 196, 256};
        if (k == 4) s.payload = {100, 200, 400, 800};
        n.stages.push_back(s);
    }
    n.inputs = {{"jpeg", 900, 1ms}, {"raw", 3072, {}}};
    return n;
}
const device_profile& slow_device() {
    static const device_profile d{.name = "slow", .macs_per_second = 192e6, .active_watts = watts{0.04}};
    return d;
}
sim::fleet_world large_world(double loss = 0) {
    sim::fleet_world w{.network = large_network(),
                       .local_exits = false,
                       .radio = {.interval = 10ms, .packets = 4, .loss = loss},
                       .active = {0.04},
                       .draws = *radio::find_ble_radio("nrf52840_0dbm")};
    w.times = sim::times_on(slow_device(), w.network);
    return w;
}
const sim::exit_answers& large_answers() {
    static const sim::synthetic_answers made{large_network(), {.pictures = 300}, "g"};
    static const sim::exit_answers a = sim::read_exit_answers(made.file(), "g");
    return a;
}
bool same(const sim::fleet_frame& a, const sim::fleet_frame& b) {
    return a.frame == b.frame && a.picture == b.picture && a.start == b.start && a.source == b.source && a.exit == b.exit
           && a.label == b.label && a.latency == b.latency && a.computing == b.computing && a.bytes_up == b.bytes_up
           && a.energy().value == b.energy().value;
}
std::vector<sim::fleet_frame> frames_of(testing::any_policy p, const sim::fleet_world& w, std::uint64_t seed, std::uint64_t frames = 300) {
    std::vector<sim::fleet_frame> all;
    sim::simulate_fleet(std::move(p), w, large_answers(), {.frames = frames, .seed = seed},
                        [&](const sim::fleet_frame& f) { all.push_back(f); });
    return all;
}

/// Two stages of 20 ms; behind the first a stream of the given sizes. The cloud names the size it saw (1, 2, ...), the trunk class 9.
struct small_case {
    sim::fleet_world world{};
    sim::exit_answers answers{};
    explicit small_case(std::vector<std::int64_t> sizes, radio::ble_setting radio = {.interval = 10ms, .packets = 4}) {
        world.network = {.name = "small", .stages = {{.name = "a", .macs = 1, .stream = sizes}, {.name = "b", .macs = 1}}};
        world.times = {.stage = {20ms, 20ms}, .exit = {0ms, 0ms}};
        world.radio = radio;
        world.active = {0.01};
        world.draws = *radio::find_ble_radio("nrf52840_0dbm");
        const std::uint64_t levels = sizes.size();
        logits_file f{.labels = {9}};
        std::vector<float> trunk, cloud;
        name_class(trunk, 9);
        for (std::uint64_t before = 0; before <= levels; ++before)
            for (std::uint64_t here = 1; here <= levels; ++here) name_class(cloud, static_cast<int>(here));
        f.tensors = {{"g.trunk", {{1, 10}, trunk}}, {"g.cloud", {{1, 1, levels + 1, levels, 10}, cloud}}};
        answers = f.read();
    }
};
/// The first connection event not before `t`, of those that start at 0.
instant event_after(instant t, duration interval) { return instant{(t.time_since_epoch() + interval - 1ns) / interval * interval}; }

} // namespace

TEST_CASE("FLT-02: a stage's sizes by Eq. 1 as printed and as in its example, and at least the smallest") {
    sim::exit_network n{.name = "n", .stages = {{.macs = 1, .stream = {400, 502, 1000, 3012, 3013}}, {.macs = 1}}};
    const sim::stage_times t{.stage = {1ms, 25ms}, .exit = {0ms, 0ms}};
    const radio::ble_setting s{.interval = 10ms, .packets = 4};
    CHECK(sim::sizes_by_rule(n, t, 0, s, radio::ble_size_rule::printed) == 2);        // 502 bytes
    CHECK(sim::sizes_by_rule(n, t, 0, s, radio::ble_size_rule::worked_example) == 4); // 3012 bytes
    CHECK(sim::sizes_by_rule(n, {.stage = {1ms, 1ms}, .exit = {}}, 0, s, radio::ble_size_rule::printed) == 1);
    CHECK(policy::levels_within(n.stages[0].stream, 502) == 2);
    CHECK(policy::levels_within(n.stages[0].stream, 399) == 0);
}

TEST_CASE("benefit tables count the validation pictures of which the cloud is sure") {
    logits_file f{.labels = {0, 0, 0, 0}};
    std::vector<float> trunk, cloud;
    for (int p = 0; p < 4; ++p) {
        name_class(trunk, 0);
        for (int row = 0; row < 6;
             ++row) // sizes before 0, 1, 2 and here 1, 2: sure of the second size, and of the first for the last picture
            if (row % 2 == 1 || p == 3)
                name_class(cloud, 0);
            else
                cloud.insert(cloud.end(), 10, 0.0F);
    }
    f.tensors = {{"g.trunk", {{4, 10}, trunk}}, {"g.cloud", {{4, 1, 3, 2, 10}, cloud}}};
    const sim::exit_network n{.name = "n", .stages = {{.macs = 1, .stream = {100, 300}}, {.macs = 1}}};
    const sim::stage_times t{.stage = {3ms, 5ms}, .exit = {0ms, 0ms}};
    const auto o = sim::benefit_of(policy::fleet_plan(1, 2, 0.7F), n, t, f.read(), 0, 4);
    CHECK(o.sure[0][0][0] == 0);
    CHECK(o.sure[0][0][1] == 0.25F);
    CHECK(o.sure[0][0][2] == 1);
    CHECK(sim::benefit_of(policy::fleet_plan(1, 2, 0.7F), n, t, f.read(), 2, 2).sure[0][0][1] == 0.5F);
    CHECK((o.size_bytes[0][1] == 300 && o.stage_time[1] == 5ms && o.stages == 2));
    CHECK(says(refusal([&] { sim::benefit_of(policy::fleet_plan(1, 2, 0.7F), n, t, f.read(), 2, 3); }), "pictures among 4"));
}

TEST_CASE("thresholds are found together: the fastest that keep an accuracy, where one threshold for all could not") {
    // The cloud is right from 0.5 on, the device's exit only from 0.9 on; the trunk, at 100 ms, always.
    const auto frame = [](sim::threshold_search& s, float cloud, float local) {
        s.add({{.on_device = false, .exit = 0, .confidence = cloud, .right = cloud >= 0.5F, .after = 20ms},
               {.on_device = true, .exit = 0, .confidence = local, .right = local >= 0.9F, .after = 40ms},
               {.on_device = true, .exit = 1, .confidence = 1, .right = false, .after = 60ms},    // no such exit
               {.on_device = false, .exit = 0, .confidence = 1, .right = false, .after = 100ms}}, // with the trunk: not before it
              100ms, true);
    };
    sim::threshold_search s{1, 1};
    for (int i = 0; i < 25; ++i) {
        frame(s, 0.55F, 0.35F); // the cloud at 20 ms
        frame(s, 0.45F, 0.95F); // the device at 40 ms
        frame(s, 0.45F, 0.85F); // the trunk
        frame(s, 0.35F, 0.70F); // the trunk
    }
    REQUIRE(s.frames() == 100);
    const auto all = s.fastest(1);
    CHECK((all.reached && all.accuracy == 1));
    CHECK(all.mean_ms == Approx((20 + 40 + 100 + 100) / 4.0));
    CHECK((all.cloud[0] > 0.45F && all.cloud[0] <= 0.55F && all.local[0] > 0.85F && all.local[0] <= 0.95F));
    // A quarter may be wrong: those of the cloud at 0.35 gain most, 80 ms, if those at 0.45 were not taken with them; the device's at 0.85
    // gain 60.
    const auto most = s.fastest(0.75);
    CHECK((most.reached && most.accuracy == 0.75));
    CHECK(most.mean_ms == Approx((20 + 40 + 40 + 100) / 4.0));
    const auto alone = s.fastest(1, false);
    CHECK(alone.cloud[0] == policy::never_sure);
    CHECK(alone.mean_ms == Approx((100 + 40 + 100 + 100) / 4.0));
    // What nothing reaches: the most accurate.
    sim::threshold_search hopeless{1, 0};
    for (int i = 0; i < 10; ++i) hopeless.add({{.exit = 0, .confidence = 0.6F, .right = i < 5, .after = 10ms}}, 50ms, i < 2);
    const auto best = hopeless.fastest(0.9);
    CHECK((!best.reached && best.accuracy == 0.5 && best.mean_ms == Approx(10)));
}

TEST_CASE("thresholds fitted to noise are asked for more on the same frames") {
    // Confidences that say nothing: half of the answers are right, drawn. Taking many by luck does not hold on the other half, so less is
    // taken.
    splitdsl::detail::xoshiro256 random{7};
    sim::threshold_search s{8, 0};
    for (int i = 0; i < 400; ++i) {
        std::vector<sim::heard_answer> heard;
        for (int e = 0; e < 8; ++e)
            heard.push_back({.exit = e,
                             .confidence = static_cast<float>(0.3 + 0.7 * random.uniform()),
                             .right = random.chance(0.8),
                             .after = 10ms * (e + 1)});
        s.add(heard, 100ms, random.chance(0.85));
    }
    const auto o = s.fastest(0.84);
    CHECK(o.reached);
    CHECK(o.accuracy >= 0.845); // more than asked for, as the halves disagree
}

TEST_CASE("learnt thresholds: the device alone where nothing arrives, the cloud where all does, and every answer is heard while learning") {
    // One stream behind a stage of 1 ms, the rest takes 200; the cloud is always right and sure, the device's exit after 101 ms wrong and
    // half sure.
    sim::exit_network n{.name = "n", .stages = {{.macs = 1e4, .stream = {100}}, {.macs = 1e6, .exit = 0}, {.macs = 1e6}}};
    logits_file f{.labels = {}};
    std::vector<float> trunk, cloud, local;
    for (int p = 0; p < 20; ++p) {
        f.labels.push_back(p % 10);
        name_class(trunk, p % 10);
        for (int row = 0; row < 2; ++row) name_class(cloud, p % 10);
        for (int c = 0; c < 10; ++c)
            local.push_back(c == (p + p % 2) % 10 ? (p % 2 == 0 ? 9.0F : 2.0F) : 0.0F); // right and sure of the even ones
    }
    f.tensors = {{"g.trunk", {{20, 10}, trunk}}, {"g.local", {{20, 1, 10}, local}}, {"g.cloud", {{20, 1, 2, 1, 10}, cloud}}};
    const auto answers = f.read();
    sim::fleet_world w{.network = n, .radio = {.interval = 10ms, .packets = 1}, .draws = *radio::find_ble_radio("nrf52840_0dbm")};
    w.times = sim::times_on({.name = "d", .macs_per_second = 1e7}, n);
    auto o = sim::benefit_of(policy::fleet_plan(1, 1, 0.7F), n, w.times, answers, 0, 20);
    const auto learnt = sim::learn_thresholds(o, w, answers, {.accuracy = 1, .pictures = 20, .losses = {0, 1}});
    REQUIRE(o.states == 2);
    CHECK(learnt.reached);
    CHECK((o.thresholds[0].send && !o.thresholds[1].send));
    CHECK(o.thresholds[0].cloud[0] < 1);
    CHECK(o.thresholds[1].cloud[0] == policy::never_sure);
    CHECK((o.thresholds[1].local[0] > 0.45F && o.thresholds[1].local[0] < 1)); // of 2 among nine zeros: 0.45
    CHECK(o.thresholds[0].rate_up.value == Approx(radio::sustained_rate(w.radio).value / 2));
    CHECK(learnt.states[0].mean_ms < 40);
    CHECK(learnt.states[1].mean_ms
          == Approx((to_milliseconds(w.times.stage[0] + w.times.stage[1]) + to_milliseconds(w.times.rest(0))) / 2).margin(0.01));
    // With what it learnt, the policy does so; over a link that loses all it begins like the best state and then sees that nothing comes.
    const auto run = [&](double loss) {
        w.radio.loss = loss;
        return sim::simulate_fleet(policy::fleet_by_benefit{o}, w, answers, {.frames = 2000}, [](const sim::fleet_frame&) {});
    };
    CHECK(run(0).by_cloud == 2000);
    const auto lost = run(1);
    CHECK(lost.by_cloud == 0);
    CHECK((lost.right == 2000 && lost.by_exit <= 1000 && lost.by_exit > 900)); // while it trusts the link it waits for the cloud
    CHECK(lost.bytes_up < 10);                                                 // 100 a frame until it has learnt, and in each 32nd frame
    CHECK(says(refusal([&] {
                   sim::learn_thresholds(o, w, answers, {.accuracy = 1, .pictures = 20, .losses = {0.5, 0.5}});
               }),
               "growing losses"));
    CHECK(says(refusal([&] { sim::learn_thresholds(o, w, answers, {.accuracy = 1, .pictures = 21}); }), "pictures among 20"));
}

TEST_CASE("one packet, one answer: every frame takes exactly what the connection events say") {
    // 100 bytes on 1M: poll 80 + 150 us before it, (10 + 100) x 8 us itself. The cloud's 5 ms end before the next event, whose first packet
    // is the answer of 16 bytes: (10 + 16) x 8 us.
    small_case c{{100}};
    std::size_t by_cloud = 0, by_trunk = 0;
    sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    for (int i = 0; i < 500; ++i) {
        const sim::fleet_frame f = run.run_frame(0);
        const instant sent = event_after(f.start + 20ms, 10ms);
        const duration with_cloud = sent + 10ms + 208us - f.start;
        CHECK(f.latency == std::min<duration>(with_cloud, 40ms));
        CHECK(f.source == (with_cloud <= 40ms ? answer_source::cloud : answer_source::edge));
        CHECK(f.label == (f.source == answer_source::cloud ? 1 : 9));
        CHECK(f.bytes_up == 100);
        CHECK(f.computing == f.latency); // it computes until the answer is there
        CHECK(f.compute_energy.value == Approx(0.01 * to_seconds(f.latency)));
        by_cloud += f.source == answer_source::cloud;
        by_trunk += f.source == answer_source::edge;
    }
    CHECK(by_cloud > 450);
    CHECK(by_trunk > 0); // phases late in the interval
}

TEST_CASE("a stage that cannot be broken off is paid for to its end and delays the next frame") {
    small_case c{{100}};
    c.world.stops_within_stage = false;
    sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    instant free{};
    for (int i = 0; i < 50; ++i) {
        const sim::fleet_frame f = run.run_frame(0);
        CHECK(f.start >= free);
        CHECK(f.computing == 40ms);
        CHECK(f.latency <= 40ms);
        free = f.start + 40ms;
    }
}

TEST_CASE("a slow cloud answers in the event after it is done, in steps of the interval") {
    small_case c{{100}, {.interval = 10ms, .packets = 4}};
    c.world.times = {.stage = {20ms, 200ms}, .exit = {0ms, 0ms}};
    for (const auto& [cloud, events] : {std::pair<duration, int>{8890us, 1}, {8891us, 2}, {12ms, 2}, {18891us, 3}}) {
        CAPTURE(cloud.count());
        c.world.cloud = cloud; // there after 1.110 ms of the event: 8.890 ms more end at the next one
        sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 1};
        const sim::fleet_frame f = run.run_frame(0);
        CHECK(f.latency == event_after(f.start + 20ms, 10ms) + events * 10ms + 208us - f.start);
    }
}

TEST_CASE("after losses the cloud sees the largest complete size and no other") {
    // Packets of 251, 251 and 98 bytes: the sizes 100, 300 and 600 need one, two and all three of them.
    small_case c{{100, 300, 600}, {.interval = 10ms, .packets = 4, .loss = 0.5}};
    c.world.times = {.stage = {20ms, 200ms}, .exit = {0ms, 0ms}};
    sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 3, 0)}, c.world, c.answers, 5};
    std::array<int, 10> seen{};
    constexpr int frames = 4000;
    for (int i = 0; i < frames; ++i) {
        const sim::fleet_frame f = run.run_frame(0);
        REQUIRE(f.label >= 0);
        ++seen[static_cast<std::size_t>(f.label)];
        CHECK(f.bytes_up == 600);
    }
    // Four standard deviations of the binomial.
    const auto near = [&](int label, double p) {
        return std::abs(seen[static_cast<std::size_t>(label)] - frames * p) < 4 * std::sqrt(frames * p * (1 - p));
    };
    CHECK(near(9, 0.5));
    CHECK(near(1, 0.25));
    CHECK(near(2, 0.125));
    CHECK(near(3, 0.125));
    CHECK(seen[9] + seen[1] + seen[2] + seen[3] == frames);
}

TEST_CASE("a stream that is superseded is dropped, and the cloud fuses the two newest") {
    // Three stages of 12 ms, 10 ms intervals, one packet an event: of a stream's two packets one or two leave before the next stream
    // begins.
    sim::fleet_world w{.network = {.name = "two",
                                   .stages = {{.name = "a", .macs = 1, .stream = {200, 400}},
                                              {.name = "b", .macs = 1, .stream = {200, 400}},
                                              {.name = "c", .macs = 1}}},
                       .radio = {.interval = 10ms, .packets = 1},
                       .cloud = 1ms,
                       .draws = *radio::find_ble_radio("nrf52840_0dbm")};
    w.times = {.stage = {12ms, 12ms, 300ms}, .exit = {0ms, 0ms, 0ms}};
    logits_file file{.labels = {9}};
    std::vector<float> trunk, cloud;
    name_class(trunk, 9);
    for (int stream = 0; stream < 2; ++stream)
        for (int before = 0; before <= 2; ++before)
            for (int here = 1; here <= 2; ++here) name_class(cloud, stream == 0 ? 0 : before * 2 + here);
    file.tensors = {{"g.trunk", {{1, 10}, trunk}}, {"g.cloud", {{1, 2, 3, 2, 10}, cloud}}};
    const sim::exit_answers a = file.read();
    auto plan = policy::fleet_plan(2, 2, 0);
    plan.threshold[0] = policy::never_sure;
    sim::fleet_simulator run{policy::fleet{plan}, w, a, 1};
    for (int i = 0; i < 200; ++i) {
        const sim::fleet_frame f = run.run_frame(0);
        // Events in the 12 ms of stage b: one or two, so the first stream got one or two sizes in.
        const instant first = event_after(f.start + 12ms, 10ms);
        const int before = first + 10ms < f.start + 24ms ? 2 : 1;
        CHECK(f.label == before * 2 + 1); // the second stream's first size brings the first answer that counts
        CHECK(f.source == answer_source::cloud);
    }
    CHECK(run.violations() == 0);
}

TEST_CASE("equal seeds give equal frames, another seed gives others") {
    const sim::fleet_world w = large_world(0.3);
    const policy::fleet p{policy::fleet_plan(8, 6, 0.7F)};
    const auto a = frames_of(p, w, 7), b = frames_of(p, w, 7), other = frames_of(p, w, 8);
    REQUIRE(a.size() == b.size());
    CHECK(std::equal(a.begin(), a.end(), b.begin(), same));
    CHECK_FALSE(std::equal(a.begin(), a.end(), other.begin(), same));
}

TEST_CASE("with every packet lost FLEET is the device alone, frame for frame") {
    const auto alone = frames_of(policy::all_edge{}, large_world(), 3);
    const auto lost = frames_of(policy::fleet{policy::fleet_plan(8, 6, 0.7F)}, large_world(1), 3);
    REQUIRE(alone.size() == lost.size());
    for (std::size_t i = 0; i < alone.size(); ++i) {
        CHECK((lost[i].source == answer_source::edge && lost[i].label == alone[i].label && lost[i].latency == alone[i].latency));
        CHECK(lost[i].bytes_up > 0);
    }
}

TEST_CASE("no policy that may fall back leaves a frame unanswered or late, whatever is lost, and none asks for what does not exist") {
    sim::fleet_world w = large_world();
    w.deadline = 300ms;
    for (const double loss : {0.0, 0.2, 0.6, 0.95, 1.0})
        for (const auto delivery : {radio::ble_delivery::unreliable, radio::ble_delivery::resending, radio::ble_delivery::reliable}) {
            CAPTURE(loss, std::string{to_text(delivery)});
            w.radio.loss = loss;
            w.radio.delivery = delivery;
            const auto keeps = [&](testing::any_policy p, bool exits) {
                w.local_exits = exits;
                const auto s = sim::simulate_fleet(p, w, large_answers(), {.frames = 200, .seed = 2}, [](const sim::fleet_frame&) {});
                CHECK(s.unanswered == 0);
                CHECK(s.late == 0);
                CHECK(s.violations == 0);
                CHECK(s.by_cloud + s.by_exit + s.by_trunk + s.by_fallback == s.frames);
                if (loss == 1) CHECK(s.by_cloud == 0);
            };
            keeps(policy::all_edge{}, false);
            keeps(policy::fleet{policy::fleet_plan(8, 6, 0.7F)}, false);
            auto both = policy::fleet_plan(8, 6, 0.7F);
            both.local_threshold = 0.9F;
            keeps(policy::fleet{both}, true);
            keeps(policy::fleet_by_benefit{sim::benefit_of(both, w.network, w.times, large_answers(), 0, 50)}, true);
            {
                auto learnt = sim::benefit_of(both, w.network, w.times, large_answers(), 0, 50);
                learnt.fleet.local_threshold = policy::never_sure;
                learnt.states = 1, learnt.thresholds[0].cloud.fill(0.8F), learnt.thresholds[0].local.fill(0.9F);
                keeps(policy::fleet_by_benefit{learnt}, true);
            }
            keeps(policy::local_early_exit::shallow_deep(0.8F, 12), true);
            keeps(policy::local_early_exit::branchynet(std::vector<double>(12, 0.4), 10), true);
            keeps(policy::cascade{0.9F}, true);
            keeps(policy::offload_input{0}, false);
            keeps(policy::offload_input{1}, false);
            keeps(policy::clio{{.cut = 4, .widths = 4, .threshold = 0.7F}}, false);
            auto sizes = sim::partition_options_of(w.network, w.radio, 0);
            sizes.target = 120ms;
            keeps(policy::neurosurgeon{sim::deployment_of(w.network, w.times, 5ms, 16, w.deadline), sizes}, false);
        }
}

TEST_CASE("the one policy without a fallback has no answer when everything is lost, and this is counted") {
    sim::fleet_world w = large_world(1);
    w.radio.delivery = radio::ble_delivery::resending;
    w.deadline = 200ms;
    const auto s = sim::simulate_fleet(policy::all_cloud{}, w, large_answers(), {.frames = 50}, [](const sim::fleet_frame&) {});
    CHECK(s.unanswered == 50);
    CHECK(s.right == 0);
}

namespace {
/// Asks for anything at all.
struct nonsense {
    splitdsl::detail::xoshiro256 random{1};
    action any() {
        const auto number = [&] { return static_cast<int>(random.below(40)) - 4; };
        return {.what = static_cast<action::kind>(random.below(7)),
                .cut = number(),
                .codec = number(),
                .stream = number(),
                .exit = number(),
                .level = number()};
    }
    action on(frame_start, const link_view&, const budget&) noexcept { return any(); }
    action on(stage_done, const link_view&, const budget&) noexcept { return any(); }
    verdict on(reply_arrived, const link_view&, const budget&) noexcept {
        return random.chance(0.5) ? verdict::accept : verdict::keep_going;
    }
    action on(link_event, const link_view&, const budget&) noexcept { return any(); }
};
} // namespace

TEST_CASE("a policy that asks for nonsense is counted, and its frames are answered all the same") {
    sim::fleet_world w = large_world(0.3);
    w.local_exits = true;
    w.deadline = 300ms;
    const auto s =
        sim::simulate_fleet(testing::any_policy{nonsense{}}, w, large_answers(), {.frames = 2000}, [](const sim::fleet_frame&) {});
    CHECK(s.violations > 1000);
    CHECK(s.unanswered == 0);
    CHECK(s.late == 0);
}

TEST_CASE("levels may be sent one by one, as each is acknowledged") {
    /// The smallest size first, each next one when the one before is known to have arrived.
    struct paced {
        constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
        constexpr action on(stage_done s, const link_view&, const budget&) noexcept {
            return s.stage == 0 ? action::stream_out(0) : action::go_on();
        }
        constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::keep_going; }
        constexpr action on(link_event e, const link_view&, const budget&) noexcept {
            if (e.what != link_event::kind::acknowledged || e.level >= 2) return action::nothing();
            return {.what = action::kind::send_next, .stream = 0, .level = e.level + 1};
        }
    };
    small_case c{{100, 300, 600}};
    c.world.times = {.stage = {20ms, 200ms}, .exit = {0ms, 0ms}};
    sim::fleet_simulator run{testing::any_policy{paced{}}, c.world, c.answers, 1};
    CHECK(run.run_frame(0).bytes_up == 600); // 100 + 200 + 300
    c.world.times.stage[1] = 15ms;           // too short for more than one round
    sim::fleet_simulator short_run{testing::any_policy{paced{}}, c.world, c.answers, 1};
    CHECK(short_run.run_frame(0).bytes_up < 600);
    CHECK(run.violations() == 0);
}

TEST_CASE("recorded logits come back from a file as they were, and a file that contradicts itself is refused by name") {
    const sim::synthetic_answers made{large_network(), {.pictures = 20}, "g"};
    const auto bytes = to_safetensors(made.tensors());
    const sim::exit_answers a = sim::read_exit_answers(parse_safetensors(bytes), "g"), b = sim::read_exit_answers(made.file(), "g");
    REQUIRE(a.pictures() == 20);
    CHECK((a.counts().exits == 12 && a.counts().streams == 8 && a.counts().levels == 6 && a.counts().choices == 6));
    for (std::size_t p = 0; p < 20; ++p) {
        CHECK(a.label(p) == b.label(p));
        CHECK(a.trunk(p) == b.trunk(p));
        CHECK(a.local(p, 11) == b.local(p, 11));
        CHECK(a.cloud(p, 7, 6, 6) == b.cloud(p, 7, 6, 6));
        CHECK(a.offload(p, 5) == b.offload(p, 5));
    }
    // Where each row belongs: picture, stream, size before, size here.
    logits_file f{.labels = {0, 1}};
    std::vector<float> trunk, cloud;
    for (int p = 0; p < 2; ++p) name_class(trunk, 9);
    for (int i = 0; i < 2 * 2 * 3 * 2; ++i) name_class(cloud, i % 10);
    f.tensors = {{"g.trunk", {{2, 10}, trunk}}, {"g.cloud", {{2, 2, 3, 2, 10}, cloud}}};
    const sim::exit_answers placed = f.read();
    CHECK(placed.cloud(0, 0, 0, 1).label == 0);
    CHECK(placed.cloud(0, 0, 0, 2).label == 1);
    CHECK(placed.cloud(0, 0, 2, 1).label == 4);
    CHECK(placed.cloud(0, 1, 0, 1).label == 6);
    CHECK(placed.cloud(1, 0, 0, 1).label == 2);
    CHECK(placed.cloud(1, 1, 2, 2).label == 3);

    const auto why = [](const logits_file& file) { return refusal<weights_error>([&] { file.read(); }); };
    logits_file bad = f;
    bad.labels = {0, 1, 2};
    CHECK(says(why(bad), "expected 3 pictures, as there are labels, found 2"));
    bad = f;
    bad.labels = {0, -1};
    CHECK(says(why(bad), "labels: expected classes from 0 to 65535"));
    bad = f;
    bad.tensors[1].second.first = {2, 2, 2, 3, 10};
    CHECK(says(why(bad), "expected one size more of the stream before"));
    bad = f;
    bad.tensors[0].second.first = {2, 1, 10};
    CHECK(says(why(bad), "g.trunk: expected 2 dimensions, found 3"));
    bad = f;
    bad.tensors.erase(bad.tensors.begin());
    CHECK(says(why(bad), "or the device has no answer"));
    CHECK(says(refusal<weights_error>([&] { sim::read_exit_answers(f.file(), "h"); }), "found none of them"));
    // Answers of another network than the one that is simulated.
    CHECK(says(refusal([&] { sim::fleet_simulator(testing::any_policy{policy::all_edge{}}, large_world(), placed, 1); }),
               "as many sizes as the network has"));
}

TEST_CASE("a pair of sizes that was not recorded brings no answer") {
    small_case c{{100}};
    logits_file f{.labels = {9}};
    std::vector<float> trunk, cloud(20, std::numeric_limits<float>::quiet_NaN());
    name_class(trunk, 9);
    f.tensors = {{"g.trunk", {{1, 10}, trunk}}, {"g.cloud", {{1, 1, 2, 1, 10}, cloud}}};
    c.answers = f.read();
    sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0)}, c.world, c.answers, 1};
    for (int i = 0; i < 20; ++i) CHECK(run.run_frame(0).source == answer_source::edge);
}

TEST_CASE("a network's times follow its MACs, or its measured shares where there are some") {
    sim::exit_network n{.name = "n", .stages = {{.macs = 3e6}, {.macs = 1e6, .exit = 0, .exit_macs = 2e5}}};
    const device_profile d{.name = "d", .macs_per_second = 1e8};
    CHECK(sim::times_on(d, n).stage == std::vector<duration>{30ms, 10ms});
    CHECK(sim::times_on(d, n).exit == std::vector<duration>{0ms, 2ms});
    n.stages[0].share = 1, n.stages[1].share = 4;
    CHECK(sim::times_on(d, n).stage == std::vector<duration>{8ms, 32ms});
    CHECK(sim::times_on(d, n).rest(1) == 32ms);
    n.stages[1].share = 0;
    CHECK(says(refusal([&] { require_valid(n); }), "shares for all stages or for none"));
    n.stages[1].share = 1;
    n.stages[1].exit = 1;
    CHECK(says(refusal([&] { require_valid(n); }), "expected exit 0, found 1"));
    n.stages[1].exit = 0;
    n.stages[0].stream = {100, 100};
    CHECK(says(refusal([&] { require_valid(n); }), "stage 0: expected growing sizes of its stream"));
    sim::fleet_world w = large_world();
    w.deadline = 100ms;
    CHECK(says(refusal([&] { require_valid(w); }), "which the device takes alone"));
}

TEST_CASE("offloads are numbered input by input, then cut by cut") {
    const sim::exit_network n = large_network();
    CHECK(n.offload_choice(-1, 0) == 0);
    CHECK(n.offload_choice(-1, 1) == 1);
    CHECK(n.offload_choice(-1, 2) == -1);
    CHECK(n.offload_choice(4, 0) == 2);
    CHECK(n.offload_choice(4, 3) == 5);
    CHECK(n.offload_choice(4, 4) == -1);
    CHECK(n.offload_choice(3, 0) == -1);
    CHECK(n.offload_choices() == 6);
    CHECK(n.stream_behind(7) == 7);
    CHECK(n.stream_behind(8) == -1);
}

TEST_CASE("a summary's means, percentiles and shares are those of its frames") {
    std::vector<double> ms;
    std::size_t right = 0;
    double energy = 0;
    const auto s = sim::simulate_fleet(policy::fleet{policy::fleet_plan(8, 6, 0.7F)}, large_world(0.2), large_answers(),
                                       {.frames = 1000, .seed = 4}, [&](const sim::fleet_frame& f) {
                                           ms.push_back(to_milliseconds(f.latency));
                                           right += f.right;
                                           energy += f.energy().value * 1e3;
                                       });
    std::sort(ms.begin(), ms.end());
    double sum = 0;
    for (const double v : ms) sum += v;
    CHECK(s.mean_latency_ms == Approx(sum / 1000));
    CHECK(s.p99_latency_ms == Approx(ms[989]));
    CHECK(s.p50_latency_ms == Approx(ms[499]));
    CHECK(s.accuracy() == Approx(static_cast<double>(right) / 1000));
    CHECK(s.energy_mj == Approx(energy / 1000));
    CHECK(s.by_cloud > 0);
    CHECK(s.label == provenance::simulated);
}
