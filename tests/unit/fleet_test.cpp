// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_test.cpp
/// The simulator that compares FLEET and its baselines: times by hand, losses, seeds. The policies: fleet_policies_test.cpp;
/// recorded logits, thresholds, other radios: fleet_answers_test.cpp.
#include "catch.hpp"
#include "fleet_cases.hpp"
#include "refusals.hpp"

#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/sim/benefit_tables.hpp>

#include <array>
#include <cmath>
#include <string>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;
using namespace testing;

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

TEST_CASE("FLT-20: a simulated frame's energy is every phase of its connection events, and the processor's time") {
    // As above: a frame's 100 bytes go up in one event, and the answer's 16 come down in the next; all other events are a poll and its answer.
    small_case c{{100}};
    c.world.active = {0.0093};
    // No two figures alike, so that none can stand for another.
    c.world.draws = {.name = "uneven", .volts = 3, .pre_process = {310us, 1.1}, .ramp = {430us, 0.7}, .start = {50us, 2.3}, .post_process = {370us, 1.9},
                     .transmit_ma = 6.4, .receive_ma = 5.3, .switch_ma = 0.9, .standby_ma = 0.013};
    sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 1, 0.7F)}, c.world, c.answers, 3};
    int with_answer = 0;
    for (int i = 0; i < 200; ++i) {
        const sim::fleet_frame f = run.run_frame(0);
        const instant end = f.start + f.latency, sent = event_after(f.start + 20ms, 10ms);
        const auto events = static_cast<double>((event_after(end + 1ns, 10ms) - event_after(f.start + 1ns, 10ms)) / duration{10ms});
        const bool answered = sent + 10ms <= end;
        const double transmitting = 880 + 80 * (events - 1), receiving = answered ? 208 + 80 * (events - 1) : 80 * events, switching = 300 * events;
        const double awake = transmitting + receiving + switching + (310 + 430 + 50 + 370) * events;
        const double nanojoules = 3 * (events * (310 * 1.1 + 430 * 0.7 + 50 * 2.3 + 370 * 1.9) + 6.4 * transmitting + 5.3 * receiving + 0.9 * switching
                                       + 0.013 * (to_milliseconds(f.latency) * 1e3 - awake));
        CHECK(f.radio_energy.value == Approx(nanojoules * 1e-9).epsilon(1e-9));
        CHECK(f.compute_energy.value == Approx(0.0093 * to_seconds(f.latency)));
        CHECK(f.idle_energy.value == 0);
        CHECK(f.energy().value == Approx(f.radio_energy.value + f.compute_energy.value));
        with_answer += answered;
    }
    CHECK(with_answer > 150);
    // A frame of which nothing is sent does not pay for the radio.
    sim::fleet_simulator alone{policy::all_edge{}, c.world, c.answers, 3};
    CHECK(alone.run_frame(0).radio_energy.value == 0);
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
