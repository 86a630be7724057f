// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_answers_test.cpp
/// What the simulator of FLEET rests on: recorded logits, networks, thresholds learnt from them; the cloud's work, other radios, and what
/// it counts. Frames by hand: fleet_test.cpp.
#include "catch.hpp"
#include "fleet_cases.hpp"
#include "refusals.hpp"

#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/radio/packet_options.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/sim/link_thresholds.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;
using namespace testing;

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
    // It sends where that saves as much as is asked for, 2 % unless said.
    const double saved = 1 - learnt.states[0].mean_ms / learnt.states[1].mean_ms;
    const auto sends = [&](double least) {
        w.radio.loss = 0;
        sim::learn_thresholds(o, w, answers, {.accuracy = 1, .pictures = 20, .losses = {0}, .least_saving = least});
        return o.thresholds[0].send;
    };
    CHECK((sends(saved - 0.01) && !sends(saved + 0.01)));
    CHECK(sim::threshold_goal{}.least_saving == 0.02);
    CHECK(says(refusal([&] {
                   sim::learn_thresholds(o, w, answers, {.accuracy = 1, .pictures = 20, .losses = {0.5, 0.5}});
               }),
               "growing losses"));
    CHECK(says(refusal([&] { sim::learn_thresholds(o, w, answers, {.accuracy = 1, .pictures = 21}); }), "pictures among 20"));
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
    bad.labels = {0, 10};
    CHECK(says(why(bad), "g.trunk: expected more than 10 classes, for that is a label, found 10"));
    bad = f;
    bad.tensors[1].second.first = {2, 2, 3, 2, 11};
    CHECK(says(why(bad), "g.cloud: expected 10 classes, as g.trunk, found 11"));
    for (const float none : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
        bad = f;
        bad.tensors[0].second.second[13] = none; // the device always has an answer
        CHECK(says(why(bad), "g.trunk: expected finite logits, found others in row 1"));
    }
    bad = f;
    bad.tensors.erase(bad.tensors.begin());
    CHECK(says(why(bad), "or the device has no answer"));
    CHECK(says(refusal<weights_error>([&] { sim::read_exit_answers(f.file(), "h"); }), "found none of them"));
    // Answers of another network than the one that is simulated.
    CHECK(says(refusal([&] { sim::fleet_simulator(testing::any_policy{policy::all_edge{}}, large_world(), placed, 1); }),
               "expected answers for 8 streams, found 2"));
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
    w = large_world();
    w.times = sim::times_on({.name = "a stone", .macs_per_second = 1e-6}, w.network); // together more than a duration holds
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

TEST_CASE("answers are counted by stream, size, exit and stage, and each once") {
    sim::fleet_world w = large_world(0.2);
    w.local_exits = true;
    auto plan = policy::fleet_plan(8, 6, 0.7F);
    plan.local_threshold = 0.8F;
    std::vector<std::uint64_t> streams(8), sizes(6), exits(12), stages(12);
    const auto s = sim::simulate_fleet(
        any_policy{policy::fleet{plan}}, w, large_answers(), {.frames = 1000, .seed = 4}, [&](const sim::fleet_frame& f) {
            if (f.source == answer_source::cloud)
                ++streams.at(static_cast<std::size_t>(f.exit)), ++sizes.at(static_cast<std::size_t>(f.size - 1));
            if (f.source == answer_source::exit) ++exits.at(static_cast<std::size_t>(f.exit));
            CHECK((f.size > 0) == (f.source == answer_source::cloud));
            CHECK(f.stage >= std::max(f.exit, 0)); // an answer for a stream comes while a later stage runs, a device's behind its own
            if (f.source == answer_source::exit) CHECK(f.stage == f.exit);
            ++stages.at(static_cast<std::size_t>(f.stage));
        });
    CHECK((s.by_cloud > 0 && s.by_exit > 0));
    CHECK((s.by_stream == streams && s.by_local == exits && s.in_stage == stages));
    sizes.resize(s.by_size.size());
    CHECK(s.by_size == sizes);
    const auto sum = [](const std::vector<std::uint64_t>& v) { return std::accumulate(v.begin(), v.end(), std::uint64_t{}); };
    CHECK((sum(s.by_stream) == s.by_cloud && sum(s.by_size) == s.by_cloud && sum(s.by_local) == s.by_exit && sum(s.in_stage) == s.frames));
    // An offload's widths are sizes, not streams, and an input that goes up at once is in no stage.
    w = large_world();
    const auto clio = sim::simulate_fleet(any_policy{policy::clio{{.cut = 4, .widths = 4, .threshold = 0.7F}}}, w, large_answers(),
                                          {.frames = 100}, [](const auto&) {});
    CHECK((clio.by_cloud > 0 && sum(clio.by_stream) == 0 && sum(clio.by_size) == clio.by_cloud && clio.in_stage[4] == clio.by_cloud));
    const auto jpeg = sim::simulate_fleet(any_policy{policy::offload_input{0}}, w, large_answers(), {.frames = 100}, [](const auto&) {});
    CHECK((jpeg.by_cloud == 100 && sum(jpeg.in_stage) == 0 && jpeg.by_size == std::vector<std::uint64_t>{100}));
}

TEST_CASE("a cloud of known speed takes each answer's own time: a stream's, a cut's, an input's") {
    small_case c{{100}, {.interval = 10ms, .packets = 4}};
    c.world.times = {.stage = {20ms, 200ms}, .exit = {0ms, 0ms}};
    c.world.cloud = 1ms;
    c.world.cloud_macs_per_second = 1e9;
    CHECK(says(refusal([&] { require_valid(c.world); }), "the cloud's MACs of every stream"));
    for (const auto& [macs, events] : {std::pair{7.890e6, 1}, {7.891e6, 2}}) { // beside 1 ms: 8.890 ms end at the next event
        c.world.network.stages[0].cloud_macs = macs;
        sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 1};
        const sim::fleet_frame f = run.run_frame(0);
        CHECK(f.latency == event_after(f.start + 20ms, 10ms) + events * 10ms + 208us - f.start);
    }
    const sim::exit_network n = large_network();
    CHECK(n.offload_macs(4, 0) == 7 * 2e6);
    CHECK(n.offload_macs(-1, 1) == 12 * 2e6);
    auto other = n;
    other.inputs[1].cloud_macs = 5e6;
    CHECK(other.offload_macs(-1, 1) == 5e6);
    const auto times = large_world().times;
    const auto d = sim::deployment_of(n, times, 1ms, 16, 4s, 1e9);
    CHECK((d.cloud_total == 25ms && d.cut[4].cloud_tail == 15ms));
    CHECK(sim::deployment_of(n, times, 1ms, 16, 4s).cut[4].cloud_tail == 1ms);
    // Twice as much work, later answers.
    const auto mean = [&](double speed) {
        sim::fleet_world w = large_world();
        w.radio.delivery = radio::ble_delivery::resending;
        w.cloud_macs_per_second = speed;
        for (auto& s : w.network.stages) s.cloud_macs = 1e6;
        return sim::simulate_fleet(any_policy{policy::offload_input{0}}, w, large_answers(), {.frames = 50}, [](const auto&) {})
            .mean_latency_ms;
    };
    CHECK(mean(1e9) > mean(1e10) + 15);
}

TEST_CASE("one LoRa packet, one answer: in the window behind it, and the next frame's waits for the duty cycle") {
    small_case c{{100}};
    c.world.times = {.stage = {20ms, 200s}, .exit = {0ms, 0ms}};
    c.world.deadline = 300s;
    c.world.other_radio = radio::parse_lora("sf=7,bandwidth=125,coding=4/5,duty_cycle=0.01");
    const auto& lora = c.world.other_radio->lora;
    const duration on_air = radio::airtime(lora, 100), answer = radio::airtime(lora, 16),
                   reply = radio::airtime(lora, radio::lora_acknowledgement_octets);
    sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    instant allowed{};
    for (int i = 0; i < 20; ++i) {
        const sim::fleet_frame f = run.run_frame(0);
        const instant sent = std::max(f.start + 20ms, allowed);
        CHECK(f.latency == sent + on_air + 1s + answer - f.start);
        CHECK((f.source == answer_source::cloud && f.label == 1 && f.bytes_up == 100));
        CHECK((sent > f.start + 20ms) == (i > 0)); // the first one waits for nobody
        const auto& d = c.world.other_radio->draws;
        CHECK(f.radio_energy.value
              == Approx((d.transmit_energy(on_air) + d.receive_energy(answer) + d.sleep_energy(f.latency - on_air - answer)).value));
        allowed = sent + on_air + radio::silence_after(lora, 100);
    }
    CHECK(reply < answer);
    // A cloud that is not done by the window has nobody who listens: the trunk answers.
    c.world.cloud = 1001ms;
    sim::fleet_simulator slow{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    CHECK(slow.run_frame(0).source == answer_source::edge);
    c.world.other_radio->receive_delay = 0s;
    sim::fleet_simulator listens{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    CHECK(listens.run_frame(0).latency == 20ms + on_air + 1001ms + answer);
}

TEST_CASE("one 802.11ah frame, one answer: at once while the station is awake, else at its next wakes") {
    small_case c{{100}};
    c.world.times = {.stage = {20ms, 2s}, .exit = {0ms, 0ms}};
    c.world.other_radio = radio::parse_halow("bandwidth=1,mcs=0");
    const auto& air = c.world.other_radio->halow;
    const duration access = radio::halow::difs + radio::halow::mean_backoff;
    const duration up = access + radio::frame_airtime(air, 100), down = access + radio::frame_airtime(air, 16);
    sim::fleet_simulator awake{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    const sim::fleet_frame f = awake.run_frame(0);
    CHECK(f.latency == 20ms + up + 5ms + down);
    const auto& d = c.world.other_radio->draws;
    const duration sends = radio::frame_airtime(air, 100) + radio::halow_preamble(air);
    CHECK(f.radio_energy.value == Approx((d.transmit_energy(sends) + d.receive_energy(f.latency - sends)).value));
    c.world.other_radio->halow.wake_interval = 50ms;
    sim::fleet_simulator asleep{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    for (int i = 0; i < 20; ++i) {
        const sim::fleet_frame g = asleep.run_frame(0);
        CHECK(g.latency == event_after(g.start + 20ms, 50ms) + 50ms + down - g.start);
    }
}

TEST_CASE("over LoRa and 802.11ah no frame stays without an answer, whatever is lost, and equal seeds give equal frames") {
    sim::fleet_world w = large_world();
    w.deadline = 20s;
    for (const bool lora : {true, false})
        for (const double loss : {0.0, 0.3, 1.0}) {
            CAPTURE(lora, loss);
            w.other_radio = lora ? radio::parse_lora("sf=7,bandwidth=500,duty_cycle=0.1,bytes=222,receive_delay=0")
                                 : radio::parse_halow("bandwidth=1,mcs=0,wake=20,wake_for=1");
            w.set_loss(loss);
            const auto keeps = [&](any_policy p, bool exits, auto delivery) {
                w.local_exits = exits;
                w.set_delivery(delivery);
                const auto s = sim::simulate_fleet(p, w, large_answers(), {.frames = 150, .seed = 2}, [](const sim::fleet_frame&) {});
                CHECK((s.unanswered == 0 && s.late == 0 && s.violations == 0));
                if (loss == 1) CHECK(s.by_cloud == 0);
                return s;
            };
            using enum radio::ble_delivery;
            const auto fleet = keeps(policy::fleet{policy::fleet_plan(8, 6, 0.7F)}, false, unreliable);
            if (loss == 0) CHECK((fleet.by_cloud > 0 && fleet.radio_mj > 0));
            keeps(policy::offload_input{1}, false, resending);
            keeps(policy::clio{{.cut = 4, .widths = 4, .threshold = 0.7F}}, false, resending);
            keeps(policy::cascade{0.9F}, true, resending);
            auto sizes = sim::partition_options_of(w.network, w.radio, 0);
            sizes.radio = {};
            keeps(policy::neurosurgeon{sim::deployment_of(w.network, w.times, 5ms, 16, w.deadline), sizes}, false, resending);
            auto learnt = sim::benefit_of(policy::fleet_plan(8, 6, 0.7F), w.network, w.times, large_answers(), 0, 50);
            w.set_delivery(unreliable);
            sim::learn_thresholds(learnt, w, large_answers(), {.accuracy = 0.8, .pictures = 50, .losses = {0, 1}});
            CHECK(learnt.thresholds[0].rate_up.value == Approx(w.nominal_rate().value / 2));
            keeps(policy::fleet_by_benefit{learnt}, true, unreliable);
            const policy::fleet p{policy::fleet_plan(8, 6, 0.7F)};
            w.local_exits = false;
            const auto a = frames_of(p, w, 7, 50), b = frames_of(p, w, 7, 50);
            CHECK(std::equal(a.begin(), a.end(), b.begin(), same));
        }
    w.packet_overhead = 1500;
    CHECK(says(refusal([&] { require_valid(w); }), "a packet's overhead of 0 to 1499 bytes"));
}
