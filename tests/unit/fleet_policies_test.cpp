// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_policies_test.cpp
/// FLEET and its baselines as policies: every decision by hand. What they bring in a whole run: fleet_test.cpp.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/fleet_by_benefit.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/one_of.hpp>
#include <splitdsl/policy/partition.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

constexpr link_view up{.up = true, .rate_up = megabits_per_second(1), .rate_down = megabits_per_second(1), .rtt = 15ms};
constexpr link_view down{};
constexpr budget plenty{.deadline = instant{4s}};

} // namespace

TEST_CASE("a confidence is the largest probability, or one less the share of the largest entropy") {
    using policy::confidence_kind;
    const std::array even{0.0F, 0.0F};
    CHECK(policy::predict(even).confidence == Approx(0.5));
    CHECK(policy::predict(even, confidence_kind::entropy).confidence == Approx(0.0).margin(1e-7));
    // Probabilities 3/4 and 1/4: H = 0.562335 nats of ln 2.
    const std::array three{0.0F, std::log(3.0F)};
    CHECK(policy::predict(three).label == 1);
    CHECK(policy::predict(three).confidence == Approx(0.75));
    CHECK(policy::predict(three, confidence_kind::entropy).confidence == Approx(1 - 0.562335 / std::log(2.0)).epsilon(1e-5));
    CHECK(policy::confidence_of_entropy(0.5, 10) == Approx(0.78285).epsilon(1e-4));
    // Nothing overflows, and what is no number names no class.
    const std::array huge{1e30F, -1e30F};
    CHECK(policy::predict(huge, confidence_kind::entropy) == policy::prediction{0, 1.0F});
    const std::array nan{0.0F, std::numeric_limits<float>::quiet_NaN()};
    CHECK(policy::predict(nan).label == -1);
    CHECK(policy::predict({}).label == -1);
}

TEST_CASE("FLEET begins a stream behind each of its stages in all sizes, stops for sure answers, and sends nothing without a link") {
    auto plan = policy::fleet_plan(3, 4, 0.7F);
    plan.levels[1] = 2;
    plan.levels[2] = 0;
    plan.threshold[1] = 0.9F;
    policy::fleet p{plan};
    CHECK(p.on(frame_start{1}, up, plenty).what == action::kind::proceed);
    action a = p.on(stage_done{.frame = 1, .stage = 0}, up, plenty);
    CHECK((a.what == action::kind::stream && a.stream == 0 && a.level == 3));
    a = p.on(stage_done{.frame = 1, .stage = 1}, up, plenty);
    CHECK((a.what == action::kind::stream && a.stream == 1 && a.level == 1));
    CHECK(p.on(stage_done{.frame = 1, .stage = 2}, up, plenty).what == action::kind::proceed); // no size of it is sent
    CHECK(p.on(stage_done{.frame = 1, .stage = 3}, up, plenty).what == action::kind::proceed); // no stream behind it
    CHECK(p.on(stage_done{.frame = 1, .stage = 0}, down, plenty).what == action::kind::proceed);
    CHECK(p.on(reply_arrived{.frame = 1, .exit = 0, .confidence = 0.69F}, up, plenty) == verdict::keep_going);
    CHECK(p.on(reply_arrived{.frame = 1, .exit = 0, .confidence = 0.7F}, up, plenty) == verdict::accept);
    CHECK(p.on(reply_arrived{.frame = 1, .exit = 1, .confidence = 0.8F}, up, plenty) == verdict::keep_going);
    CHECK(p.on(reply_arrived{.frame = 1, .exit = 3, .confidence = 1}, up, plenty) == verdict::keep_going); // no such exit
    CHECK(p.on(link_event{link_event::kind::down}, down, plenty).what == action::kind::stop);
    // An exit of the device only answers if asked for.
    CHECK(p.on(stage_done{.stage = 3, .exit = 0, .confidence = 1}, up, plenty).what == action::kind::proceed);
    plan.local_threshold = 0.8F;
    CHECK(policy::fleet{plan}.on(stage_done{.stage = 3, .exit = 0, .confidence = 0.8F}, up, plenty).exit == 0);
    plan.stream_behind[5] = 3;
    CHECK(says(refusal([&] { policy::fleet{plan}; }), "expected streams -1 to 2 behind a stage, found 3"));
    CHECK(says(refusal([] { policy::fleet{policy::fleet_plan(2, 3, -1)}; }), "a threshold of at least 0"));
    CHECK(says(refusal([] { policy::fleet{policy::fleet_plan(33, 1, 0.5F)}; }), "0 to 32 streams, found 33"));
}

TEST_CASE("BranchyNet answers below an entropy, Shallow-Deep and ensembles above a confidence, and none of them sends") {
    const std::array nats{0.5, 0.1};
    auto b = policy::local_early_exit::branchynet(nats, 10);
    const float half = policy::confidence_of_entropy(0.5, 10);
    CHECK(b.on(stage_done{.stage = 0}, up, plenty).what == action::kind::proceed);
    CHECK(b.on(stage_done{.stage = 1, .exit = 0, .confidence = half}, up, plenty).exit == 0);
    CHECK(b.on(stage_done{.stage = 1, .exit = 0, .confidence = half - 0.001F}, up, plenty).what == action::kind::proceed);
    CHECK(b.on(stage_done{.stage = 2, .exit = 1, .confidence = half}, up, plenty).what == action::kind::proceed);
    CHECK(b.on(stage_done{.stage = 2, .exit = 2, .confidence = 1}, up, plenty).what == action::kind::proceed); // no such exit
    auto s = policy::local_early_exit::shallow_deep(0.8F, 2);
    CHECK(s.on(stage_done{.stage = 1, .exit = 1, .confidence = 0.8F}, up, plenty).exit == 1);
    CHECK(s.on(stage_done{.stage = 1, .exit = 1, .confidence = 0.79F}, up, plenty).what == action::kind::proceed);
    CHECK(says(refusal([] { policy::local_early_exit::branchynet(std::vector<double>{}, 10); }), "1 to 32 exits, found 0"));
    CHECK(says(refusal([] { policy::local_early_exit::branchynet(std::array{std::nan("")}, 10); }), "an entropy of at least 0 nats"));
    CHECK(says(refusal([] { policy::local_early_exit::ensemble(0.5F, 33); }), "1 to 32 exits"));
}

TEST_CASE("EDGE-06: the cascade answers itself if sure or alone, and pays up to 1 - T_small / (T_net + T_big)") {
    policy::cascade p{0.5F, 1};
    CHECK(p.on(stage_done{.stage = 0}, up, plenty).what == action::kind::proceed);
    CHECK(p.on(stage_done{.stage = 1, .exit = 0, .confidence = 0.5F}, up, plenty).what == action::kind::answer);
    const action a = p.on(stage_done{.stage = 1, .exit = 0, .confidence = 0.49F}, up, plenty);
    CHECK((a.what == action::kind::offload && a.cut == -1 && a.codec == 1));
    CHECK(p.on(stage_done{.stage = 1, .exit = 0, .confidence = 0.1F}, down, plenty).what == action::kind::answer);
    // 2.28 ms against 4 + 6 ms: at most 77.2 percent may go on.
    CHECK(policy::cascade_limit(2280us, 4ms, 6ms) == Approx(0.772));
    CHECK(policy::cascade_pays(0.77, 2280us, 4ms, 6ms));
    CHECK_FALSE(policy::cascade_pays(0.78, 2280us, 4ms, 6ms));
    CHECK(policy::offload_input{2}.on(frame_start{}, up, plenty).codec == 2);
    CHECK(policy::offload_input{}.on(frame_start{}, down, plenty).what == action::kind::proceed);
    CHECK(says(refusal([] { policy::cascade{-0.1F}; }), "a confidence of at least 0"));
}

TEST_CASE("FLEET by benefit begins the new stream, goes on with the old one, or sends nothing, whichever makes the cloud surer") {
    // Stages of 10 ms; streams of 1000 and 2000 bytes; 1 Mbit/s: 1250 bytes a stage.
    policy::benefit_options o{.fleet = policy::fleet_plan(3, 2, 0.7F), .stages = 10};
    o.stage_time.fill(10ms);
    for (int k = 0; k < 3; ++k) o.size_bytes[static_cast<std::size_t>(k)] = {1000, 2000};
    const auto sure = [&](std::size_t k, float one, float two) {
        for (auto& row : o.sure[k]) row[1] = one, row[2] = two;
    };
    const auto acknowledged = [](policy::fleet_by_benefit& p, int stream, int level) {
        return p.on(link_event{link_event::kind::acknowledged, 1, stream, level}, up, plenty);
    };
    const auto end_of = [](policy::fleet_by_benefit& p, int stage, const link_view& link = up) {
        return p.on(stage_done{.frame = 1, .stage = stage}, link, plenty);
    };
    // The first stream's second size would make 40 percent more sure, the new stream's first one 20: the old one goes on.
    sure(0, 0.3F, 0.7F);
    sure(1, 0.5F, 0.9F);
    sure(2, 0.9F, 0.95F);
    policy::fleet_by_benefit p{o};
    p.on(frame_start{1}, up, plenty);
    action a = end_of(p, 0);
    CHECK((a.what == action::kind::stream && a.stream == 0 && a.level == 1));
    CHECK(acknowledged(p, 0, 0).what == action::kind::none);
    CHECK(end_of(p, 1).what == action::kind::proceed);
    acknowledged(p, 0, 1); // there: nothing is left of it to send
    a = end_of(p, 2);
    CHECK((a.what == action::kind::stream && a.stream == 2 && a.level == 1));
    // With a better new stream it is dropped, as in FLEET; the next frame remembers nothing.
    sure(1, 0.8F, 0.9F);
    policy::fleet_by_benefit q{o};
    q.on(frame_start{1}, up, plenty);
    end_of(q, 0);
    acknowledged(q, 0, 0);
    CHECK(end_of(q, 1).stream == 1);
    q.on(frame_start{2}, up, plenty);
    CHECK(end_of(q, 0).stream == 0);
    // The second size brings 0.1 for 1000 bytes: not enough for 2e-4 a byte; the first one's 0.8 for 1000 is.
    o.least_gain_per_byte = 2e-4;
    policy::fleet_by_benefit thrifty{o};
    thrifty.on(frame_start{1}, up, plenty);
    CHECK(end_of(thrifty, 1).level == 0);
    o.least_gain_per_byte = 1;
    policy::fleet_by_benefit silent{o};
    silent.on(frame_start{1}, up, plenty);
    CHECK(end_of(silent, 0).what == action::kind::proceed);
    // 1000 bytes need 80 ms at 100 kbit/s: too late behind the second stage, and there is no use in sending behind the last.
    link_view slow = up;
    slow.rate_up = kilobits_per_second(100);
    policy::fleet_by_benefit r{[&] {
        o.least_gain_per_byte = 0;
        return o;
    }()};
    r.on(frame_start{1}, slow, plenty);
    CHECK(end_of(r, 0, slow).what == action::kind::stream);
    CHECK(end_of(r, 2, slow).what == action::kind::proceed);
    o.sure[0][0][1] = 1.5F;
    CHECK(says(refusal([&] { policy::fleet_by_benefit{o}; }), "shares from 0 to 1"));
}

TEST_CASE("FLEET by benefit takes answers by the link's state, chosen as a frame begins, and probes where sending is not worth it") {
    policy::benefit_options o{.fleet = policy::fleet_plan(2, 1, 0.7F), .stages = 6, .states = 3, .probe_every = 4};
    o.stage_time.fill(10ms);
    o.size_bytes[0] = o.size_bytes[1] = {100};
    for (auto& row : o.sure[0]) row[1] = 0.5F;
    for (auto& row : o.sure[1]) row[1] = 0.6F;
    o.thresholds[0] = {.rate_up = kilobits_per_second(800)};
    o.thresholds[0].cloud[0] = 0.9F, o.thresholds[0].cloud[1] = 0.6F, o.thresholds[0].local[1] = 0.8F;
    o.thresholds[1] = {.rate_up = kilobits_per_second(100)};
    o.thresholds[1].cloud[0] = 0.8F, o.thresholds[1].local[1] = 0.7F;
    o.thresholds[2].send = false, o.thresholds[2].local[1] = 0.5F;
    link_view fair = up, bad = up;
    fair.rate_up = kilobits_per_second(799);
    bad.rate_up = kilobits_per_second(99);
    policy::fleet_by_benefit p{o};
    const auto exit_at = [&](float confidence, const link_view& now) {
        return p.on(stage_done{.frame = 1, .stage = 4, .exit = 1, .confidence = confidence}, now, plenty).what == action::kind::answer;
    };
    const auto taken = [&](int stream, float confidence) {
        return p.on(reply_arrived{.frame = 1, .exit = stream, .confidence = confidence}, up, plenty) == verdict::accept;
    };
    p.on(frame_start{1}, up, plenty);
    CHECK((taken(0, 0.9F) && !taken(0, 0.89F) && taken(1, 0.6F) && !taken(1, 0.59F)));
    CHECK_FALSE((taken(2, 1) || taken(-1, 1))); // no such streams
    CHECK((exit_at(0.8F, up) && !exit_at(0.79F, up)));
    CHECK_FALSE(exit_at(0.79F, bad)); // the state is the frame's, whatever the link becomes
    CHECK(p.on(stage_done{.frame = 1, .stage = 4, .exit = 0, .confidence = 1}, up, plenty).what == action::kind::proceed); // never sure
    p.on(frame_start{2}, fair, plenty);
    CHECK((taken(0, 0.8F) && !taken(1, 1)));
    CHECK((exit_at(0.7F, up) && !exit_at(0.69F, up)));
    CHECK(p.on(stage_done{.frame = 2, .stage = 0}, fair, plenty).what == action::kind::stream);
    // Below all rates only each fourth frame sends; a good link is used again at once.
    for (std::uint32_t frame = 3; frame < 11; ++frame) {
        CAPTURE(frame);
        p.on(frame_start{frame}, bad, plenty);
        CHECK((p.on(stage_done{.frame = frame, .stage = 0}, bad, plenty).what == action::kind::stream) == (frame % 4 == 0));
        CHECK((exit_at(0.5F, bad) && !exit_at(0.49F, bad)));
    }
    p.on(frame_start{11}, up, plenty);
    CHECK(p.on(stage_done{.frame = 11, .stage = 0}, up, plenty).what == action::kind::stream);
    p.on(frame_start{12}, down, plenty);
    CHECK(exit_at(0.5F, down));
    o.thresholds[1].rate_up = kilobits_per_second(800);
    CHECK(says(refusal([&] { policy::fleet_by_benefit{o}; }), "rates of the link's states that fall"));
    o.thresholds[1].rate_up = kilobits_per_second(100), o.thresholds[2].local[0] = -1;
    CHECK(says(refusal([&] { policy::fleet_by_benefit{o}; }), "thresholds of at least 0, found another in state 2"));
    o.states = 9;
    CHECK(says(refusal([&] { policy::fleet_by_benefit{o}; }), "0 to 8 states of the link, found 9"));
    o.states = 2, o.probe_every = 0;
    CHECK(says(refusal([&] { policy::fleet_by_benefit{o}; }), "a probe every frame"));
}

TEST_CASE("a payload in bursts takes half an interval, whole intervals and its last packets") {
    constexpr policy::duty_cycle d{.interval = 10ms, .packet_bytes = 251, .packets = 2, .packet_time = 2468us};
    static_assert(policy::upload_in_bursts({1004}, d) == 5ms + 10ms + 2 * 2468us);
    static_assert(policy::upload_in_bursts({251}, d) == 5ms + 2468us);
    static_assert(policy::upload_in_bursts({252}, d) == 5ms + 2 * 2468us);
    static_assert(policy::upload_in_bursts({503}, d) == 5ms + 10ms + 2468us);
    static_assert(policy::answer_in_bursts(5ms, d) == 10ms);
    static_assert(policy::answer_in_bursts(12ms, d) == 20ms);
    CHECK(policy::upload_in_bursts({1e300}, d) > 1h); // saturates
}

TEST_CASE("NeuroSurgeon takes the fastest cut in the largest size that keeps its target, or stays on the device") {
    // Heads 10 and 30 ms, 100 ms in all; cloud 5 ms; 1 Mbit/s: 1250 bytes take 10 ms; way back 15 ms and a reply of 125 bytes, 1 ms.
    deployment d{.cuts = 2, .edge_total = 100ms, .input = {25'000}, .cloud_total = 5ms, .reply = {125}, .deadline = 1s};
    d.cut[0] = {.payload = {5000}, .edge_head = 10ms, .edge_tail = 90ms, .cloud_tail = 5ms};
    d.cut[1] = {.payload = {1250}, .edge_head = 30ms, .edge_tail = 70ms, .cloud_tail = 5ms};
    policy::partition_options o{.target = 60ms};
    o.sizes[0] = 2, o.payload[0][0] = {1250}, o.payload[0][1] = {5000};
    o.sizes[1] = 2, o.payload[1][0] = {625}, o.payload[1][1] = {1250};
    // Cut 0: 10 + 10 + 21 = 41 ms, in its large size 71 ms; cut 1: 30 + 5 + 21 = 56 ms, in its large size 61 ms.
    policy::partition_choice c = policy::neurosurgeon{d, o}.choose(up);
    CHECK((c.cut == 0 && c.size == 0 && c.expected == 41ms));
    o.target = 71ms; // now both large sizes keep it, and cut 1's is the faster
    c = policy::neurosurgeon{d, o}.choose(up);
    CHECK((c.cut == 1 && c.size == 1 && c.expected == 61ms));
    o.sizes[1] = -1; // not a place to cut
    c = policy::neurosurgeon{d, o}.choose(up);
    CHECK((c.cut == 0 && c.size == 1 && c.expected == 71ms));
    o.target = 0ms; // nothing keeps it: the smallest
    CHECK(policy::neurosurgeon{d, o}.choose(up).size == 0);
    o.inputs = true; // 200 + 21 ms: never
    CHECK(policy::neurosurgeon{d, o}.choose(up).cut == 0);
    link_view slow = up;
    slow.rate_up = kilobits_per_second(100); // 10 + 100 + 21 ms: the device is faster
    CHECK(policy::neurosurgeon{d, o}.choose(slow).cut == -2);
    CHECK(policy::neurosurgeon{d, o}.choose(down).cut == -2);
    // It acts at its cut, in the size that suits the link by then.
    policy::neurosurgeon p{d, o};
    CHECK(p.on(frame_start{1}, up, plenty).what == action::kind::proceed);
    const action a = p.on(stage_done{.frame = 1, .stage = 2, .cut = 0}, up, plenty);
    CHECK((a.what == action::kind::offload && a.cut == 0 && a.codec == 0));
    p.on(frame_start{2}, slow, plenty);
    CHECK(p.on(stage_done{.frame = 2, .stage = 2, .cut = 0}, up, plenty).what == action::kind::proceed);
    // With bursts of 4 packets of 251 every 10 ms: 1250 bytes are 5 packets: 10 + (5 + 10 + 1 packet) + 10 ms.
    o.radio = {.interval = 10ms, .packet_bytes = 251, .packets = 4, .packet_time = 1ms};
    CHECK(policy::neurosurgeon{d, o}.choose(up).expected == 36ms);
    o.payload[0][1] = {1000};
    CHECK(says(refusal([&] { policy::neurosurgeon(d, o); }), "growing sizes above 0 at cut 0"));
}

TEST_CASE("one of several policies does what that one does") {
    using any = policy::one_of<policy::fleet, policy::clio, policy::cascade>;
    static_assert(scheduler_policy<any> && any::streams && any::falls_back);
    static_assert(!policy::one_of<policy::cascade, policy::offload_input>::streams);
    any p{policy::cascade{0.8F, 1}};
    const action a = p.on(stage_done{.exit = 2, .confidence = 0.5F}, up, plenty);
    CHECK((a.what == action::kind::offload && a.cut == -1 && a.codec == 1));
    p = any{policy::fleet{policy::fleet_plan(2, 3, 0.5F)}};
    CHECK(p.on(stage_done{.stage = 1}, up, plenty).stream == 1);
    any q = p;
    CHECK(q.on(reply_arrived{.exit = 1, .confidence = 0.4F}, up, plenty) == verdict::keep_going);
    CHECK(q.on(frame_start{1}, up, plenty).what == action::kind::proceed);
    CHECK(q.on(link_event{.what = link_event::kind::down}, up, plenty).what == action::kind::stop);
}

TEST_CASE("CLIO offers all widths and takes the first sure answer, the widest, or any when its patience ends") {
    policy::clio p{{.cut = 1, .widths = 3, .threshold = 0.8F, .patience = 50ms}};
    CHECK(p.on(stage_done{.stage = 0, .cut = 0}, up, plenty).what == action::kind::proceed);
    CHECK(p.on(stage_done{.stage = 1}, up, plenty).what == action::kind::proceed); // an exit's, no cut
    const action a = p.on(stage_done{.stage = 2, .cut = 1}, up, plenty);
    CHECK((a.what == action::kind::offload && a.cut == 1 && a.level == 2));
    CHECK(p.on(stage_done{.stage = 2, .cut = 1}, down, plenty).what == action::kind::proceed);
    CHECK(p.on(reply_arrived{.exit = 0, .confidence = 0.5F, .since_offload = 10ms}, up, plenty) == verdict::keep_going);
    CHECK(p.on(reply_arrived{.exit = 1, .confidence = 0.8F, .since_offload = 10ms}, up, plenty) == verdict::accept);
    CHECK(p.on(reply_arrived{.exit = 2, .confidence = 0.1F, .since_offload = 10ms}, up, plenty) == verdict::accept);
    CHECK(p.on(reply_arrived{.exit = 0, .confidence = 0.1F, .since_offload = 50ms}, up, plenty) == verdict::accept);
    CHECK(says(refusal([] { policy::clio{{.cut = 16}}; }), "a cut of 0 to 15"));
    CHECK(says(refusal([] { policy::clio{{.widths = 17}}; }), "1 to 16 widths"));
}
