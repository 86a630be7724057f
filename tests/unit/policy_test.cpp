// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file policy_test.cpp
/// What the policies decide.
#include "catch.hpp"
#include "demo_deployment.hpp"

#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/layer_scan.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/weighted.hpp>
#include <splitdsl/radio/cellular.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

link_view good_link(double mbps, duration rtt = 10ms) {
    return {.up = true, .rate_up = megabits_per_second(mbps), .rate_down = megabits_per_second(10), .rtt = rtt, .age = 50ms};
}
budget after(duration elapsed, duration reserve = 50ms) { return {.now = instant{elapsed}, .deadline = instant{100ms}, .reserve = reserve}; }
bool offloads(policy::sage p, const link_view& link, const budget& b) {
    const action a = p.on(stage_done{.cut = 0}, link, b);
    if (a.what == action::kind::offload) CHECK(a.cut == 0);
    return a.what == action::kind::offload;
}

struct random_source {
    std::mt19937_64 engine;
    double between(double low, double high) { return low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53; }
    double log_between(double low, double high) { return std::exp(between(std::log(low), std::log(high))); }
    int whole(int low, int high) { return low + static_cast<int>(engine() % static_cast<std::uint64_t>(high - low + 1)); }
};

deployment random_deployment(random_source& random) {
    deployment d;
    d.cuts = random.whole(0, max_cuts);
    d.edge_total = from_milliseconds(random.log_between(2, 200));
    const double watt = random.between(0.5, 50);
    d.edge_energy = watts{watt} * d.edge_total;
    d.cloud_total = from_milliseconds(random.log_between(0.1, 20));
    double share = 0;
    for (int k = 0; k < d.cuts; ++k) {
        share += (1 - share) * random.between(0, 0.4);
        const duration head = from_seconds(to_seconds(d.edge_total) * share);
        d.cut[k] = {{random.log_between(50, 2e5)}, head, d.edge_total - head, from_seconds(to_seconds(d.cloud_total) * (1 - share)), watts{watt} * head, watts{watt} * (d.edge_total - head)};
    }
    d.input = {random.log_between(1e3, 1e6)};
    d.reply = {random.log_between(20, 2000)};
    d.idle_power = {random.between(0, 5)};
    d.radio = {random.log_between(5, 900), random.log_between(1, 130), random.log_between(100, 6000)};
    d.idle = random.whole(0, 1) ? idle_scope::wait : idle_scope::transmit_and_wait;
    d.deadline = from_milliseconds(random.log_between(20, 300));
    return d;
}

} // namespace

static_assert(scheduler_policy<policy::all_edge> && scheduler_policy<policy::all_cloud> && scheduler_policy<policy::sage> && scheduler_policy<policy::weighted>);
static_assert(std::is_trivially_copyable_v<policy::sage> && std::is_trivially_copyable_v<policy::weighted> && std::is_trivially_copyable_v<deployment>);
static_assert(!falls_back_v<policy::all_cloud> && falls_back_v<policy::all_edge> && falls_back_v<policy::sage> && falls_back_v<policy::weighted>);

TEST_CASE("all_edge never sends, whatever the link offers") {
    policy::all_edge p;
    CHECK(p.on(frame_start{}, good_link(1000), after(0ms)).what == action::kind::proceed);
    CHECK(p.on(stage_done{}, good_link(1000), after(1ms)).what == action::kind::proceed);
}

TEST_CASE("all_cloud sends the whole input at every frame's start, even over a dead link, and has no fallback") {
    policy::all_cloud p;
    for (const link_view& link : {good_link(10), link_view{}}) {
        const action a = p.on(frame_start{}, link, after(0ms));
        CHECK(a.what == action::kind::offload);
        CHECK(a.cut == -1);
    }
    CHECK(p.on(stage_done{}, good_link(10), after(1ms)).what == action::kind::proceed);
}

TEST_CASE("sage offloads when the rate beats the deadline's threshold and energy is saved, and not otherwise") {
    const policy::sage p{demo()};
    CHECK(offloads(p, good_link(0.9), after(3500us)));
    // Deadline: 984 B in (100 - 3.5 - 50 reserve - 1 - 10 - T_D) ms is 222 kbps.
    const auto t = p.threshold(good_link(0.9), after(3500us));
    CHECK(t.feasible);
    CHECK(to_kilobits_per_second(t.r_th) == Approx(984 * 8 / (35.5 - 0.0544)).epsilon(1e-4));
    CHECK_FALSE(offloads(p, good_link(0.2), after(3500us)));
    // Late at the bottleneck: nothing is left for the reply.
    CHECK_FALSE(offloads(p, good_link(50), after(45ms)));
    CHECK_FALSE(p.threshold(good_link(50), after(45ms)).feasible);
    // Not worth the energy: a tail of 1 ms.
    deployment small_tail = demo();
    small_tail.cut[0].edge_tail = 1ms;
    small_tail.cut[0].tail_energy = watts{4.3} * 1ms;
    CHECK_FALSE(offloads(policy::sage{small_tail}, good_link(0.9), after(3500us)));
    CHECK(policy::sage{small_tail}.threshold(good_link(0.9)).feasible);
    // Only at its own cut, whichever stage that ends.
    policy::sage q{demo()};
    CHECK(q.on(stage_done{.stage = 0}, good_link(0.9), after(3500us)).what == action::kind::proceed);
    CHECK(q.on(stage_done{.stage = 1, .cut = 1}, good_link(0.9), after(3500us)).what == action::kind::proceed);
    CHECK(q.on(stage_done{.stage = 3, .cut = 0}, good_link(0.9), after(3500us)).cut == 0);
    CHECK(q.on(frame_start{}, good_link(0.9), after(0ms)).what == action::kind::proceed);
    CHECK(q.on(reply_arrived{}, good_link(0.9), after(40ms)) == verdict::accept);
    CHECK(q.on(link_event{}, good_link(0.9), after(40ms)).what == action::kind::none);
}

TEST_CASE("sage stays local when the link is down, busy, stale or without a rate") {
    const policy::sage p{demo()};
    link_view link = good_link(5);
    REQUIRE(offloads(p, link, after(4ms)));
    auto with = [&](auto change) {
        link_view l = link;
        change(l);
        return offloads(p, l, after(4ms));
    };
    CHECK_FALSE(with([](link_view& l) { l.up = false; }));
    CHECK_FALSE(with([](link_view& l) { l.busy = true; }));
    CHECK_FALSE(with([](link_view& l) { l.age = 1001ms; }));
    CHECK(with([](link_view& l) { l.age = 1000ms; }));
    CHECK_FALSE(with([](link_view& l) { l.rate_up = {}; }));
    CHECK_FALSE(with([](link_view& l) { l.rate_up = {}, l.rate_down = {}; }));
    CHECK_FALSE(with([](link_view& l) { l.rate_up = {-1e6}; }));
    CHECK_FALSE(with([](link_view& l) { l.rate_up = {std::numeric_limits<double>::quiet_NaN()}; }));
    CHECK_FALSE(with([](link_view& l) { l.rtt = from_seconds(4.6e9); }));
    CHECK(with([](link_view& l) { l.rate_down = {}; }));        // a downlink never measured counts as fast as the uplink
}

TEST_CASE("sage can follow the paper's deadline to the letter, or keep the reserve free") {
    const link_view link = good_link(0.15);     // 52.5 ms for the payload
    CHECK_FALSE(offloads(policy::sage{demo()}, link, after(3500us)));
    // Against the whole deadline the payload fits. At this rate energy is not saved on LTE, so take a radio that is cheap.
    deployment d = demo();
    d.radio = radio::wifi;
    d.idle_power = {0.1};
    CHECK_FALSE(offloads(policy::sage{d}, link, after(3500us)));
    CHECK(offloads(policy::sage{d, {.respect_reserve = false}}, link, after(3500us)));
    // The printed form and the form with the time really left agree when the head took what was planned.
    const policy::sage paper{d, {.respect_reserve = false}};
    CHECK(paper.threshold(link).r_th == paper.threshold(link, after(3500us)).r_th);
    CHECK(paper.threshold(link).r_th < paper.threshold(link, after(5ms)).r_th);
}

TEST_CASE("sage's hysteresis asks for more only to begin offloading again") {
    policy::sage p{demo(), {.hysteresis = 0.5}};
    const double threshold = to_megabits_per_second(p.threshold(good_link(1), after(3500us)).r_th);
    deployment d = demo();
    d.radio = radio::wifi;
    p = policy::sage{d, {.hysteresis = 0.5}};
    const auto decide = [&](double factor) { return p.on(stage_done{.cut = 0}, good_link(threshold * factor), after(3500us)).what == action::kind::offload; };
    CHECK_FALSE(decide(1.2));
    CHECK(decide(1.6));
    CHECK(decide(1.2));
    CHECK_FALSE(decide(0.9));
    CHECK_FALSE(decide(1.2));
    // Off by default.
    p = policy::sage{d};
    CHECK(decide(1.01));
}

TEST_CASE("sage's closed energy threshold is where the energies cross") {
    random_source random{std::mt19937_64{7}};
    int crossings = 0;
    for (int i = 0; i < 2000; ++i) {
        deployment d = random_deployment(random);
        if (d.cuts == 0) continue;
        const policy::sage p{d};
        link_view link = good_link(1, from_milliseconds(random.between(0, 20)));
        const auto t = p.threshold(link);
        if (t.r_energy.value > 0 && t.r_energy.value < 1e10) {
            ++crossings;
            link.rate_up = t.r_energy * 1.01;
            CHECK(p.threshold(link).saves());
            link.rate_up = t.r_energy * 0.99;
            CHECK_FALSE(p.threshold(link).saves());
        } else if (t.r_energy.value == 0) {
            link.rate_up = megabits_per_second(1e6);
            CHECK_FALSE(p.threshold(link).saves());
        }
    }
    CHECK(crossings > 300);
}

TEST_CASE("sage stays local at the threshold itself, where the energies are equal, and plans to the deadline where no tail fits") {
    deployment d = demo();
    d.radio = radio::wifi;
    link_view link = good_link(1);
    const double threshold = policy::sage{d}.threshold(link, after(3500us)).r_th.value;
    link.rate_up = {threshold};
    CHECK_FALSE(offloads(policy::sage{d}, link, after(3500us)));
    link.rate_up = {std::nextafter(threshold, 1e9)};
    CHECK(offloads(policy::sage{d}, link, after(3500us)));
    d.cut[0].tail_energy = policy::sage{d}.threshold(link).e_offload;
    CHECK_FALSE(offloads(policy::sage{d}, link, after(3500us)));
    d.cut[0].tail_energy.value *= 1 + 1e-12;
    CHECK(offloads(policy::sage{d}, link, after(3500us)));
    // A reserve that is longer than what is left: the whole rest is for the reply.
    CHECK(after(60ms, 40ms).for_reply() == 0ms);
    CHECK(after(60ms, 40ms + 1ns).for_reply() == 40ms);
    CHECK_FALSE(offloads(policy::sage{demo()}, good_link(1), after(60ms, 40ms)));
    CHECK(offloads(policy::sage{demo()}, good_link(1), after(60ms, 41ms)));
}

TEST_CASE("sage: a planned offload is answered before the fallback point at the measured rate") {
    random_source random{std::mt19937_64{8}};
    int offloaded = 0;
    for (int i = 0; i < 5000; ++i) {
        const deployment d = random_deployment(random);
        if (d.cuts == 0) continue;
        const link_view link = good_link(random.log_between(0.05, 100), from_milliseconds(random.between(0, 30)));
        const budget b{.now = instant{from_milliseconds(random.between(0, 100))}, .deadline = instant{d.deadline}, .reserve = from_milliseconds(random.between(0, 50))};
        if (!offloads(policy::sage{d}, link, b)) continue;
        ++offloaded;
        const auto cost = policy::cost_of_offload(d, d.cut[0].payload, d.cut[0].cloud_tail, link);
        const bool fits = b.reserve <= b.left(); // else nothing can be kept for a local tail
        CHECK(b.now + cost.until_answer <= b.deadline - (fits ? b.reserve : 0ms) + 2ns);
        CHECK(cost.total() < d.cut[0].tail_energy);
    }
    CHECK(offloaded > 200);
}

TEST_CASE("sage and weighted refuse impossible options and deployments") {
    CHECK_THROWS_AS((policy::sage{demo(), {.cut = 1}}), option_error);
    CHECK_THROWS_AS((policy::sage{demo(), {.cut = -1}}), option_error);
    CHECK_THROWS_AS((policy::sage{demo(), {.hysteresis = -0.1}}), option_error);
    CHECK_THROWS_AS((policy::sage{demo(), {.hysteresis = std::nan("")}}), option_error);
    CHECK_THROWS_AS((policy::sage{demo(), {.staleness = 0ms}}), option_error);
    CHECK_THROWS_AS((policy::weighted{demo(), {.time_weight = 1.1}}), option_error);
    CHECK_THROWS_AS((policy::weighted{demo(), {.time_weight = 0, .energy_weight = 0}}), option_error);
    CHECK_THROWS_AS((policy::weighted{demo(), {.staleness = -1ms}}), option_error);
    const auto refused = [](auto change, const std::string& word) {
        deployment d = demo();
        change(d);
        try {
            policy::sage{d};
        } catch (const option_error& e) {
            return std::string(e.what()).find(word) != std::string::npos;
        }
        return false;
    };
    CHECK(refused([](deployment& d) { d.deadline = 0ms; }, "deadline"));
    CHECK(refused([](deployment& d) { d.cuts = 17; }, "cuts"));
    CHECK(refused([](deployment& d) { d.cut[0].payload = {-1}; }, "payload"));
    CHECK(refused([](deployment& d) { d.cut[0].tail_energy = {std::nan("")}; }, "tail energy"));
    CHECK(refused([](deployment& d) { d.idle_power = {-1}; }, "idle power"));
    CHECK(refused([](deployment& d) { d.radio.base_mw = -1; }, "radio base"));
    CHECK(refused([](deployment& d) { d.cut[0].cloud_tail = -1ms; }, "cloud tail"));
}

TEST_CASE("weighted equals brute force over every split of 10000 random deployments") {
    random_source random{std::mt19937_64{9}};
    int chosen[3] = {};
    for (int i = 0; i < 10'000; ++i) {
        const deployment d = random_deployment(random);
        const policy::weighted_options o{.time_weight = random.between(0, 1), .energy_weight = random.between(0.001, 1), .may_send_input = random.whole(0, 3) > 0};
        const policy::weighted p{d, o};
        const double mbps = random.log_between(0.02, 200), down = random.log_between(0.1, 200), rtt = random.between(0, 0.03);
        link_view link = good_link(mbps, from_seconds(rtt));
        link.rate_down = megabits_per_second(down);

        // Equation 9 once more, in plain doubles and from the definitions, every k_p one by one.
        struct way { int cut; double time, energy; };
        std::vector<way> ways{{policy::split_choice::stay_local, to_seconds(d.edge_total), d.edge_energy.value}};
        for (int k = o.may_send_input ? -1 : 0; k < d.cuts; ++k) {
            const double payload = k < 0 ? d.input.value : d.cut[k].payload.value, cloud = to_seconds(k < 0 ? d.cloud_total : d.cut[k].cloud_tail);
            const double head = k < 0 ? 0 : to_seconds(d.cut[k].edge_head), head_energy = k < 0 ? 0 : d.cut[k].head_energy.value;
            const double up = payload * 8 / (mbps * 1e6), back = d.reply.value * 8 / (down * 1e6);
            const double send = (d.radio.uplink_mw_per_mbps * mbps + d.radio.base_mw) / 1000 * up, receive = (d.radio.downlink_mw_per_mbps * down + d.radio.base_mw) / 1000 * back;
            const double idle = d.idle == idle_scope::wait ? cloud + back : up + rtt + cloud + back;
            ways.push_back({k, head + up + rtt + cloud + back, head_energy + send + receive + d.idle_power.value * idle});
        }
        const auto least = [&](double slack) {      // a microsecond of slack: our times are whole nanoseconds
            double best = std::numeric_limits<double>::infinity();
            for (const way& w : ways)
                if (w.time <= to_seconds(d.deadline) + slack) best = std::min(best, o.time_weight * w.time + o.energy_weight * w.energy);
            return best;
        };
        const policy::split_choice found = p.best(link);
        ++chosen[found.cut == policy::split_choice::stay_local ? 0 : found.cut < 0 ? 1 : 2];
        const auto same = std::find_if(ways.begin(), ways.end(), [&](const way& w) { return w.cut == found.cut; });
        REQUIRE(same != ways.end());
        REQUIRE(std::abs(to_seconds(found.time) - same->time) < 1e-7 * (1 + same->time));
        REQUIRE(std::abs(found.energy.value - same->energy) < 1e-7 * (1 + same->energy));
        if (found.in_time) {
            REQUIRE(found.objective <= least(-1e-6) + 1e-6);
            REQUIRE(found.objective >= least(1e-6) - 1e-6);
        } else {
            REQUIRE(found.cut == policy::split_choice::stay_local);
            REQUIRE(std::isinf(least(-1e-6)));
        }
    }
    CHECK(chosen[0] > 500);     // each kind of answer was really asked for
    CHECK(chosen[1] > 500);
    CHECK(chosen[2] > 500);
}

TEST_CASE("weighted, walked stage by stage on plan, sends exactly where the whole frame's optimum says") {
    random_source random{std::mt19937_64{10}};
    for (int i = 0; i < 3000; ++i) {
        const deployment d = random_deployment(random);
        policy::weighted p{d, {.time_weight = random.between(0.01, 1), .energy_weight = random.between(0, 1)}};
        const link_view link = good_link(random.log_between(0.05, 100));
        const auto at = [&](duration elapsed) { return budget{.now = instant{elapsed}, .deadline = instant{d.deadline}}; };
        int sent = policy::split_choice::stay_local;
        if (p.on(frame_start{}, link, at(0ms)).what == action::kind::offload) sent = -1;
        for (int k = 0; k < d.cuts && sent == policy::split_choice::stay_local; ++k) {
            const action a = p.on(stage_done{.stage = 2 * k + 1, .cut = k}, link, at(d.cut[k].edge_head));
            if (a.what == action::kind::offload) sent = a.cut;
        }
        const auto best = p.best(link);
        // A local run that misses the deadline loses to anything in time, also at a later stage; then both say the same cut.
        REQUIRE(sent == best.cut);
        policy::weighted q{d};
        link_view down = link;
        down.up = false;
        REQUIRE(q.on(frame_start{}, down, at(0ms)).what == action::kind::proceed);
    }
}

TEST_CASE("weighted judges what is left by the clock: the local tail, the reply, and the reserve between them") {
    deployment d;
    d.cuts = 1;
    d.cut[0] = {{1250}, 10ms, 50ms, 2ms, {0.01}, {0.01}};
    d.edge_total = 60ms;
    d.edge_energy = {0.02};
    d.reply = {125};
    d.input = {125'000};
    d.cloud_total = 3ms;
    d.radio = {400, 50, 1288};
    d.idle_power = {1};
    d.deadline = 100ms;
    const link_view link{.up = true, .rate_up = {1e6}, .rate_down = {1e7}, .rtt = 8ms, .age = 10ms};
    const duration answer = 10ms + 8ms + 2ms + 100us; // from the cut on; dearer than the tail, which wins wherever it is in time
    const auto sends = [&](duration left, duration reserve = 0ms, bool respect = true) {
        policy::weighted p{d, {.time_weight = 0.1, .energy_weight = 1, .respect_reserve = respect}};
        return p.on(stage_done{.cut = 0}, link, budget{.now = instant{100ms - left}, .deadline = instant{100ms}, .reserve = reserve}).what == action::kind::offload;
    };
    CHECK(sends(45ms));
    CHECK_FALSE(sends(50ms)); // due at the deadline is in time
    CHECK(sends(50ms - 1ns));
    CHECK(sends(answer));
    CHECK_FALSE(sends(answer - 1ns)); // neither: stays local
    CHECK(sends(45ms, 45ms - answer));
    CHECK_FALSE(sends(45ms, 45ms - answer + 1ns));
    CHECK(sends(45ms, 45ms - answer + 1ns, false));
    CHECK(sends(45ms, 46ms)); // no local tail fits into what is left: nothing is kept for it
    const auto sends_input = [&](duration left) {
        link_view fast = link;
        fast.rate_up = {1e8};
        return policy::weighted{d, {.time_weight = 0, .energy_weight = 1}}.on(frame_start{}, fast, budget{.now = instant{100ms - left}, .deadline = instant{100ms}}).what
               == action::kind::offload;
    };
    CHECK_FALSE(sends_input(60ms));
    d.cut[0].head_energy = {1}; // so that the input is the cheaper thing to send
    CHECK_FALSE(sends_input(60ms));
    CHECK(sends_input(60ms - 1ns));
}

TEST_CASE("weighted: of equal choices the one that sends later wins, and staying local before all") {
    deployment d; // energy does not count; every payload travels 10 ms, heads and cloud tails make up for one another
    d.cuts = 2;
    d.cut[0] = {{1250}, 10ms, 30ms, 8ms, {}, {}};
    d.cut[1] = {{1250}, 12ms, 28ms, 6ms, {}, {}};
    d.edge_total = 40ms;
    d.input = {1250};
    d.cloud_total = 18ms;
    d.deadline = 100ms;
    const link_view link{.up = true, .rate_up = {1e6}, .rate_down = {1e6}};
    const auto chosen = [&] { return policy::weighted{d, {.time_weight = 1, .energy_weight = 0}}.best(link).cut; };
    CHECK(chosen() == 1);
    d.cut[1].cloud_tail += 1ns;
    CHECK(chosen() == 0);
    d.cut[0].cloud_tail += 1ns;
    CHECK(chosen() == -1);
    d.edge_total = 28ms;
    CHECK(chosen() == policy::split_choice::stay_local);
    d.edge_total += 1ns;
    CHECK(chosen() == -1);
}

TEST_CASE("layer_scan finds what trying every split finds, and names the six smallest") {
    random_source random{std::mt19937_64{11}};
    for (int i = 0; i < 300; ++i) {
        std::vector<policy::layer_cost> layers(static_cast<std::size_t>(random.whole(1, 60)));
        for (std::size_t k = 0; k < layers.size(); ++k)
            layers[k] = {"layer " + std::to_string(k), from_milliseconds(random.log_between(0.01, 20)), from_milliseconds(random.log_between(0.001, 1)), {random.log_between(100, 1e6)}};
        const policy::layer_scan_options o{.input = {random.log_between(1e3, 1e6)}, .reply = {40}, .deadline = 100ms};
        const link_view link = good_link(random.log_between(0.1, 200));
        const auto report = policy::scan_layers(layers, o, link);
        REQUIRE(report.rows.size() == layers.size() + 1);
        const int n = static_cast<int>(layers.size());
        double best = 1e300;
        for (int split = -1; split < n; ++split) {
            double t = 0;
            for (int k = 0; k < n; ++k) t += to_seconds(k <= split ? layers[static_cast<std::size_t>(k)].edge : layers[static_cast<std::size_t>(k)].cloud);
            if (split + 1 < n) {
                const bytes sent = split < 0 ? o.input : layers[static_cast<std::size_t>(split)].output;
                t += sent.value * 8 / link.rate_up.value + 40 * 8 / link.rate_down.value + to_seconds(link.rtt);
            }
            REQUIRE(to_seconds(report.rows[static_cast<std::size_t>(split + 1)].total) == Approx(t).margin(1e-6));
            best = std::min(best, t);
        }
        REQUIRE(to_seconds(report.rows[report.best].total) == Approx(best).margin(1e-6));
        const auto six = report.smallest(6);
        REQUIRE(six.size() == std::min<std::size_t>(6, layers.size() - 1));
        for (std::size_t k = 1; k < six.size(); ++k) REQUIRE(report.rows[six[k - 1]].sent <= report.rows[six[k]].sent);
    }
    CHECK_THROWS_AS(policy::scan_layers({}, {}, good_link(1)), option_error);
    // Two equal splits, each as long as the deadline: the first is the best, and neither is late.
    const std::vector<policy::layer_cost> one = {{"only", 15ms, 5ms, {}}};
    const auto equal = policy::scan_layers(one, {.input = {1250}, .deadline = 15ms}, good_link(1, 0ms));
    CHECK(equal.rows[0].total == equal.rows[1].total);
    CHECK(equal.best == 0);
    CHECK((equal.rows[0].in_time && equal.rows[1].in_time));
    CHECK_FALSE(policy::scan_layers(one, {.input = {1250}, .deadline = 15ms - 1ns}, good_link(1, 0ms)).rows[1].in_time);
    // SAGE Fig. 3's moral: with only late small layers, the input wins; a bottleneck early in the network beats it.
    std::vector<policy::layer_cost> layers = {{"conv1", 4ms, 100us, {1e6}}, {"block1", 60ms, 500us, {3e5}}, {"block2", 100ms, 700us, {3e4}}, {"classifier", 50ms, 900us, {12}}};
    const policy::layer_scan_options o{.input = {52'800}, .reply = {40}, .deadline = 100ms};
    CHECK(policy::scan_layers(layers, o, good_link(10)).best == 0);
    layers[0].output = {3744};
    const auto with_bottleneck = policy::scan_layers(layers, o, good_link(10));
    CHECK(with_bottleneck.rows[with_bottleneck.best].name == "conv1");
    const std::string text = to_text(with_bottleneck);
    CHECK(text.find("late") != std::string::npos);
    CHECK(std::count(text.begin(), text.end(), '\n') == 6);
}

TEST_CASE("Neurosurgeon as a report, as a policy and as Eq. 9 without energy name the same split and the same time") {
    random_source random{std::mt19937_64{12}};
    int chosen[3] = {};
    for (int i = 0; i < 3000; ++i) {
        deployment d = random_deployment(random);
        d.deadline = std::chrono::hours{1};
        const link_view link = good_link(random.log_between(0.02, 200), from_milliseconds(random.between(0, 30)));
        std::vector<policy::layer_cost> layers;
        duration edge{}, cloud = d.cloud_total;
        for (int k = 0; k < d.cuts; ++k) {
            layers.push_back({"layer", d.cut[k].edge_head - edge, cloud - d.cut[k].cloud_tail, d.cut[k].payload});
            edge = d.cut[k].edge_head;
            cloud = d.cut[k].cloud_tail;
        }
        layers.push_back({"last", d.edge_total - edge, cloud, {}});
        const auto report = policy::scan_layers(layers, {.input = d.input, .reply = d.reply}, link);
        const auto choice = policy::neurosurgeon{d, {.inputs = true}}.choose(link);
        const auto least = policy::weighted{d, {.time_weight = 1, .energy_weight = 0}}.best(link);
        REQUIRE(choice.cut == least.cut);
        REQUIRE(choice.cut == (report.best == layers.size() ? -2 : report.rows[report.best].last_on_edge));
        REQUIRE(choice.expected == least.time);
        REQUIRE(choice.expected == report.rows[report.best].total);
        ++chosen[choice.cut == -2 ? 0 : choice.cut == -1 ? 1 : 2];
    }
    for (const int n : chosen) CHECK(n > 300);
}
