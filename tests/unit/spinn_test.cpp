// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file spinn_test.cpp
/// SPINN's choice of a cut and a threshold: by hand, against every pair tried, and simulated beside the policies that choose only one of
/// the two.
#include "catch.hpp"
#include "fleet_cases.hpp"
#include "refusals.hpp"

#include <splitdsl/policy/partition.hpp>
#include <splitdsl/policy/spinn.hpp>
#include <splitdsl/radio/packet_options.hpp>
#include <splitdsl/sim/spinn_setup.hpp>

#include <array>
#include <cmath>
#include <string>

using namespace splitdsl;
using namespace splitdsl::testing;

namespace {

const link_view up{.up = true, .rate_up = megabits_per_second(1), .rate_down = megabits_per_second(1), .rtt = 10ms};
const link_view down{};
constexpr budget plenty{.now = instant{}, .deadline = instant{1s}};

/// Exits at 10 and 30 ms, cuts behind them, 100 ms in all. At 1 Mbit/s a payload of 1,250 bytes takes 10 ms; the cloud 4 ms, way back 10 ms
/// and 1 ms.
struct by_hand {
    deployment costs{.cuts = 2, .edge_total = 100ms, .input = {12'500}, .cloud_total = 4ms, .reply = {125}, .deadline = 1s};
    policy::exit_profile profile{.exits = 2, .thresholds = 2, .threshold = {0.5F, 0.9F}, .alone = {0.80F, 0.90F}, .input = 0.95F};
    policy::spinn_options options{.exit_after = {10ms, 30ms}, .exits_before = {1, 2}};
    by_hand() {
        costs.cut[0] = {.payload = {1250}, .edge_head = 10ms, .edge_tail = 90ms, .cloud_tail = 4ms};
        costs.cut[1] = {.payload = {625}, .edge_head = 30ms, .edge_tail = 70ms, .cloud_tail = 4ms};
        profile.leaves[0] = {0.5F, 0.25F}, profile.leaves[1] = {0.25F, 0.25F};
        profile.accuracy[0] = {0.84F, 0.82F}, profile.accuracy[1] = {0.93F, 0.91F};
    }
    policy::spinn make() const { return {costs, profile, options}; }
    policy::spinn_choice choose(const link_view& link) const { return make().choose(link); }
};
bool is(const policy::spinn_choice& c, int cut, int threshold, duration expected) {
    return c.cut == cut && c.threshold == threshold && std::abs(to_milliseconds(c.expected) - to_milliseconds(expected)) < 1e-6;
}

/// By the definition: every pair, its time summed over the exits.
policy::spinn_choice tried(const by_hand& h, const link_view& link) {
    policy::spinn_choice best{};
    bool any = false, best_fits = false;
    for (int cut = -2; cut < h.costs.cuts; ++cut)
        for (int t = 0; t < (cut == -1 ? 1 : h.profile.thresholds); ++t) {
            const auto i = static_cast<std::size_t>(t), k = static_cast<std::size_t>(std::max(cut, 0));
            if (cut > -2 && !policy::usable(link, h.options.staleness)) continue;
            if (cut == -1 && !h.options.inputs) continue;
            const cut_cost& c = h.costs.cut[k];
            const duration beyond = cut == -2   ? duration{}
                                    : cut == -1 ? policy::cost_of_offload(h.costs, h.costs.input, h.costs.cloud_total, link).until_answer
                                                : policy::cost_of_offload(h.costs, c.payload, c.cloud_tail, link).until_answer;
            const duration whole = cut == -2 ? h.costs.edge_total : cut == -1 ? duration{} : c.edge_head;
            const int exits = cut == -2 ? h.profile.exits : cut == -1 ? 0 : h.options.exits_before[k];
            double time = 0, stay = 1;
            for (int e = 0; e < exits; ++e) {
                const auto part = static_cast<double>(h.profile.leaves[i][static_cast<std::size_t>(e)]);
                time += part * to_milliseconds(h.options.exit_after[static_cast<std::size_t>(e)]), stay -= part;
            }
            const policy::spinn_choice now{cut, t, from_milliseconds(time + stay * to_milliseconds(saturating_sum(whole, beyond))),
                                           static_cast<double>(cut == -2   ? h.profile.alone[i]
                                                               : cut == -1 ? h.profile.input
                                                                           : h.profile.accuracy[i][k])};
            const bool fastest = h.options.goal == policy::spinn_goal::fastest,
                       fits = fastest ? now.accuracy >= h.options.accuracy : now.expected <= h.options.latency;
            const bool sooner = now.expected != best.expected
                                    ? now.expected < best.expected
                                    : now.accuracy > best.accuracy; // no exit in front of a cut: no threshold changes its time
            const bool wins = !any || (fits != best_fits ? fits : fastest == fits ? sooner : now.accuracy > best.accuracy);
            if (wins) best = now, best_fits = fits, any = true;
        }
    return best;
}

/// Eight stages of 8 ms with an exit each, five of them cuts, over a link of a fixed rate.
sim::fleet_world exits_world(double bits) {
    sim::fleet_world w{.network = {.name = "exits"}, .cloud = 5ms};
    for (int k = 0; k < 8; ++k) {
        w.network.stages.push_back({.name = "stage" + std::to_string(k), .macs = 1, .exit = k});
        if (k < 5) w.network.stages.back().payload = {std::int64_t{16'000} >> k};
        w.times.stage.push_back(8ms), w.times.exit.push_back(500us);
    }
    w.other_radio = radio::parse_steady("rate=" + std::to_string(bits / 1000) + ",delay=5");
    return w;
}
constexpr std::size_t pictures = 1000;
const sim::exit_answers& answers() {
    static const sim::synthetic_answers made{exits_world(1e6).network, {.pictures = pictures, .strength = 5}, "g"};
    static const sim::exit_answers a = sim::read_exit_answers(made.file(), "g");
    return a;
}
constexpr std::array thresholds{0.4F, 0.5F, 0.6F, 0.7F, 0.8F, 0.9F, 0.99F, 2.0F}; // at the last no exit answers
sim::spinn_setup setup_of(const sim::fleet_world& w) {
    return sim::spinn_of(w.network, w.times, answers(), thresholds,
                         {.cloud = w.cloud, .reply_bytes = w.reply_bytes, .deadline = w.deadline});
}
sim::fleet_summary run(any_policy p, const sim::fleet_world& w) {
    return sim::simulate_fleet(std::move(p), w, answers(), {.frames = pictures}, [](const sim::fleet_frame&) {});
}

} // namespace

TEST_CASE("BF-19: SPINN's pair of cut and threshold, by hand") {
    by_hand h;
    // Until the answer: cut 0 25 ms, cut 1 20 ms. Threshold 0.5: cut 0 0.5 x 10 + 0.5 x 35; threshold 0.9: 0.25 x 10 + 0.75 x 35.
    CHECK(is(h.choose(up), 0, 0, from_milliseconds(22.5)));
    h.options.accuracy = 0.85;
    CHECK(is(h.choose(up), 0, 1, from_milliseconds(28.75)));
    h.options.accuracy = 0.94; // no pair, but the whole input: 100 + 25 - 10 ms
    CHECK(is(h.choose(up), 0, 1, from_milliseconds(28.75)));
    h.options.inputs = true;
    CHECK(is(h.choose(up), -1, 0, 115ms));
    h.options.accuracy = 0.81;
    link_view slow = up;
    slow.rate_up = kilobits_per_second(100); // cut 0: 0.5 x 10 + 0.5 x (10 + 115); cut 1: 5 + 7.5 + 0.25 x (30 + 65)
    CHECK(is(h.choose(slow), 1, 0, from_milliseconds(36.25)));
    CHECK(is(h.choose(down), -2, 1, from_milliseconds(2.5 + 7.5 + 50))); // the device alone, and then surer exits
    h.options.goal = policy::spinn_goal::most_accurate;
    h.options.latency = 25ms;
    CHECK(is(h.choose(up), 0, 0, from_milliseconds(22.5)));
    h.options.latency = 30ms;
    CHECK(is(h.choose(up), 0, 1, from_milliseconds(28.75)));
    h.options.latency = 1ms; // nothing is: the fastest
    CHECK(is(h.choose(up), 0, 0, from_milliseconds(22.5)));
}

TEST_CASE("BF-19: SPINN's choice is the best of all pairs, whatever the costs") {
    splitdsl::detail::xoshiro256 random{7};
    const auto some = [&](double most) { return most * random.uniform(); };
    for (int n = 0; n < 5000; ++n) {
        by_hand h;
        h.options.exit_after = {from_milliseconds(some(10)), from_milliseconds(10 + some(30))};
        h.costs.edge_total = from_milliseconds(40 + some(100));
        for (int k = 0; k < 2; ++k) {
            const auto i = static_cast<std::size_t>(k);
            h.costs.cut[k] = {.payload = {some(20'000)}, .edge_head = h.options.exit_after[i], .cloud_tail = from_milliseconds(some(20))};
            h.profile.leaves[i] = {static_cast<float>(some(0.5)), static_cast<float>(some(0.5))};
            h.profile.accuracy[i] = {static_cast<float>(some(1)), static_cast<float>(some(1))};
            h.profile.alone[i] = static_cast<float>(some(1));
        }
        h.options.exits_before = {static_cast<std::int8_t>(random.below(2)), static_cast<std::int8_t>(1 + random.below(2))};
        h.options.inputs = random.below(2) == 0;
        h.options.goal = random.below(2) == 0 ? policy::spinn_goal::fastest : policy::spinn_goal::most_accurate;
        h.options.accuracy = some(1), h.options.latency = from_milliseconds(some(100));
        const link_view link{
            .up = random.below(10) > 0, .rate_up = megabits_per_second(0.1 + some(10)), .rtt = from_milliseconds(some(20))};
        const auto found = h.choose(link), wanted = tried(h, link);
        REQUIRE((found.cut == wanted.cut && found.threshold == wanted.threshold));
        REQUIRE(to_milliseconds(found.expected) == Approx(to_milliseconds(wanted.expected)).margin(1e-5));
    }
}

TEST_CASE("BF-19: SPINN answers with the first exit that is sure, sends at its cut, and goes on alone where the link is lost") {
    by_hand h;
    h.options.accuracy = 0.85; // cut 0, threshold 0.9
    policy::spinn p = h.make();
    CHECK(p.on(frame_start{1}, up, plenty).what == action::kind::proceed);
    CHECK(p.on(stage_done{.frame = 1, .stage = 0, .cut = 0, .exit = 0, .confidence = 0.95F}, up, plenty).what == action::kind::answer);
    p.on(frame_start{2}, up, plenty);
    const action sent = p.on(stage_done{.frame = 2, .stage = 0, .cut = 0, .exit = 0, .confidence = 0.89F}, up, plenty);
    CHECK((sent.what == action::kind::offload && sent.cut == 0));
    p.on(frame_start{3}, up, plenty);
    const action stays = p.on(stage_done{.frame = 3, .stage = 0, .cut = 0, .exit = 0, .confidence = 0.89F}, down, plenty);
    CHECK((stays.what == action::kind::proceed && stays.why == stay_reason::link_down));
    const action later = p.on(stage_done{.frame = 3, .stage = 1, .cut = 1, .exit = 1, .confidence = 0.9F}, up, plenty);
    CHECK((later.what == action::kind::answer && later.exit == 1)); // its own cut is behind it: no other is taken
    CHECK(p.on(frame_start{4}, down, plenty).why == stay_reason::link_down);
    CHECK(p.on(stage_done{.frame = 4, .stage = 0, .cut = 0, .exit = 0, .confidence = 0.1F}, up, plenty).what == action::kind::proceed);
    h.options.inputs = true, h.options.accuracy = 0.94;
    p = h.make();
    const action whole = p.on(frame_start{5}, up, plenty);
    CHECK((whole.what == action::kind::offload && whole.cut == -1));
}

TEST_CASE("BF-19: where the device is slower than planned, SPINN learns it and cuts earlier") {
    by_hand h;
    h.options.accuracy = 0.81;
    link_view slow = up;
    slow.rate_up = kilobits_per_second(200); // until the answer cut 0 takes 65 ms, cut 1 40 ms: cut 1 while the device keeps its pace
    policy::spinn p = h.make();
    REQUIRE(p.choose(slow).cut == 1);
    instant now{};
    for (std::uint32_t f = 1; f <= 60; ++f) {
        p.on(frame_start{f}, slow, {.now = now, .deadline = now + 1s});
        now += 40ms; // 10 ms were planned
        p.on(stage_done{.frame = f, .stage = 0, .cut = 0, .exit = 0, .confidence = 0}, slow, {.now = now, .deadline = now + 1s});
    }
    CHECK(p.slowdown() == Approx(4).epsilon(0.01));
    CHECK(p.choose(slow).cut == 0);
    now += 1h; // the host slept
    p.on(stage_done{.frame = 60, .stage = 1, .cut = 1, .exit = 1, .confidence = 0}, slow, {.now = now, .deadline = now});
    p.on(frame_start{61}, slow, {.now = now, .deadline = now + 1s});
    CHECK(p.slowdown() < 5);
}

TEST_CASE("BF-19: simulated, SPINN takes the time and has the accuracy that it expected, and is as fast as any policy that chooses only a "
          "cut or only a threshold") {
    int both = 0;
    const double asked = 0.75;
    for (const double bits : {0.05e6, 0.2e6, 0.5e6, 1e6, 2e6, 5e6, 20e6}) {
        CAPTURE(bits);
        const auto w = exits_world(bits);
        auto setup = setup_of(w);
        setup.options.accuracy = asked;
        const link_view link{.up = true, .rate_up = w.nominal_rate(), .rate_down = w.nominal_rate(), .rtt = w.round_trip()};
        const policy::spinn p{setup.costs, setup.profile, setup.options};
        const auto choice = p.choose(link);
        const auto s = run(p, w);
        CHECK(s.violations == 0);
        CHECK(s.unanswered == 0);
        CHECK(s.accuracy() == Approx(choice.accuracy).margin(1e-4));
        CHECK(s.accuracy() >= asked - 1e-4);
        CHECK(s.mean_latency_ms
              == Approx(to_milliseconds(choice.expected)).epsilon(0.03)); // packets have headers, and their last one is not full
        policy::partition_options cuts;
        cuts.sizes.fill(-1);
        for (std::size_t k = 0; k < 5; ++k) cuts.sizes[k] = 0;
        const auto only_cut = run(policy::neurosurgeon{setup.costs, cuts}, w);
        CHECK(s.mean_latency_ms <= only_cut.mean_latency_ms * 1.03);
        double only_threshold = 1e9;
        for (const float t : thresholds)
            if (const auto e = run(policy::local_early_exit::shallow_deep(t, 8), w); e.accuracy() >= asked)
                only_threshold = std::min(only_threshold, e.mean_latency_ms);
        CHECK(s.mean_latency_ms <= only_threshold * 1.03);
        both += s.mean_latency_ms < 0.95 * std::min(only_cut.mean_latency_ms, only_threshold);
    }
    CHECK(both >= 2); // somewhere between the slowest and the fastest link the two together are worth more than either
}

TEST_CASE("BF-19: what SPINN cannot reckon with is refused in a sentence") {
    const auto w = exits_world(1e6);
    CHECK(says(refusal([&] { sim::spinn_of(w.network, w.times, answers(), {}, {}); }), "1 to 16 thresholds, found 0"));
    CHECK(
        says(refusal([&] { sim::spinn_of(w.network, w.times, sim::exit_answers{}, thresholds, {}); }), "answers of the network's 8 exits"));
    const auto wrong = [](auto&& change) {
        by_hand h;
        change(h);
        return refusal([&] { h.make(); });
    };
    CHECK(says(wrong([](by_hand& h) { h.profile.exits = 0; }), "policy spinn: expected 1 to 32 exits, found 0"));
    CHECK(says(wrong([](by_hand& h) { h.profile.thresholds = 17; }), "1 to 16 thresholds, found 17"));
    CHECK(says(wrong([](by_hand& h) { h.profile.threshold[1] = 0.5F; }), "growing thresholds of at least 0, found 0.5"));
    CHECK(says(wrong([](by_hand& h) { h.profile.leaves[1][0] = std::nanf(""); }), "frames that exit 0 answers"));
    CHECK(says(wrong([](by_hand& h) { h.profile.leaves[0] = {0.6F, 0.6F}; }), "all frames at the most"));
    CHECK(says(wrong([](by_hand& h) { h.profile.accuracy[1][1] = 1.5F; }), "accuracy behind cut 1, found 1.5"));
    CHECK(says(wrong([](by_hand& h) { h.options.exit_after = {30ms, 10ms}; }), "exits one behind the other, found exit 1 at 10 ms"));
    CHECK(says(wrong([](by_hand& h) { h.options.exits_before[0] = 3; }), "-1 to 2 exits before cut 0, found 3"));
    CHECK(says(wrong([](by_hand& h) { h.options.accuracy = 2; }), "an accuracy from 0 to 1, found 2"));
    CHECK(says(wrong([](by_hand& h) { h.costs.deadline = {}; }), "deadline (ms)"));
}
