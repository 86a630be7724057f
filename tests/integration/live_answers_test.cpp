// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live_answers_test.cpp
/// Who answers a frame, with real threads: this machine, the sentinel, an early exit, a preset, the cloud alone; and what is refused.
#include "live_rig.hpp"

using namespace live;

TEST_CASE("without a link every frame is local") {
    reset_behaviour();
    edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, impatient(), nullptr};
    const auto t = drive(edge, 20);
    check_promise(edge, t, 20, "no link");
    CHECK(edge.counters().answer.local + edge.counters().answer.held == 20);
}

TEST_CASE("a sentinel leaves a frame half of its deadline, and sleeps while there is none, however short deadlines are") {
    detail::frame_claims claims, none;
    bell work, answered;
    detail::sentinel patient{claims, {.deadline = 20s, .ahead = 100s}, work, answered};
    patient.expect(std::chrono::steady_clock::now() + 20s);
    claims.open(1);
    const auto begun = std::chrono::steady_clock::now();
    const detail::sentinel hasty{none, {.deadline = duration{1}, .ahead = 250us}, work, answered};
    std::this_thread::sleep_for(50ms);
    const auto looks = hasty.times_waited();
    CHECK(looks <= static_cast<std::uint64_t>((std::chrono::steady_clock::now() - begun) / 100us) + 10);
    if (std::chrono::steady_clock::now() - begun < 5s) CHECK(claims.is_open(1));
}

TEST_CASE("a hung stage is answered by the sentinel with the previous answer, and the next frame goes on") {
    reset_behaviour();
    edge_core<never_offload> edge{fake::network<fake::edge_behaviour>(), {}, never_offload{}, impatient(), nullptr};
    std::array<float, fake::outputs> out{};
    const fake::tagged_input first{7}, second{8};
    answer a = edge.infer(first.spans, out);
    REQUIRE(a.source == answer_source::edge);
    fake::edge_behaviour.shut_stage = 1;
    a = edge.infer(second.spans, out);
    CHECK(a.source == answer_source::held);
    CHECK(out[0] == fake::answer_to(7)); // the previous answer
    CHECK(a.age > 30ms);
    CHECK(to_milliseconds(a.timings.total) > 29.0);
    for (std::uint32_t tag = 9; tag < 12; ++tag) {
        a = edge.infer(fake::tagged_input{tag}.spans, out);
        CHECK(a.source == answer_source::held);
        CHECK(out[0] == fake::answer_to(7));
    }
    fake::edge_behaviour.shut_stage = -1;
    std::uint32_t tag = 12;
    for (a.source = answer_source::held; tag < 60 && a.source == answer_source::held; ++tag)
        a = edge.infer(fake::tagged_input{tag}.spans, out);
    CHECK(a.source == answer_source::edge);
    CHECK(out[0] == fake::answer_to(tag - 1));
    std::this_thread::sleep_for(5ms); // the compute thread's counters follow its answer
    CHECK(edge.counters().frame.covered_misses == 0);
    CHECK(edge.counters().frame.abandoned >= 1); // what was submitted meanwhile never reached the hung thread
}

TEST_CASE("an early exit answers when the policy trusts it, and is the first last resort when it does not") {
    struct trusting : fake::quiet {
        action on(stage_done s, const link_view&, const budget&) noexcept {
            return s.exit == 0 && s.confidence > 0.8F ? action::answer_with(0) : action::go_on();
        }
        using fake::quiet::on;
    };
    reset_behaviour();
    auto o = impatient();
    std::array<exit_place, 1> exits{exit_place{.stage = 1, .first_float = fake::outputs, .floats = fake::outputs}};
    exits[0].confidence = [](std::span<const float> v) { return v[0] == fake::answer_to(6) + fake::exit_offset ? 0.9F : 0.1F; };
    o.exits = exits;
    edge_core<trusting> edge{fake::network<fake::edge_behaviour>(42, 2 * fake::outputs), {}, trusting{}, o, nullptr};
    fake::edge_behaviour.has_exit = true;
    std::array<float, fake::outputs> out{};
    answer a = edge.infer(fake::tagged_input{5}.spans, out);
    CHECK(a.source == answer_source::edge);
    CHECK(out[0] == fake::answer_to(5));
    a = edge.infer(fake::tagged_input{6}.spans, out);
    CHECK(a.source == answer_source::exit);
    CHECK(a.exit == 0);
    CHECK(out[0] == fake::answer_to(6) + fake::exit_offset);
    fake::edge_behaviour.shut_stage = 2; // behind the exit
    a = edge.infer(fake::tagged_input{7}.spans, out);
    CHECK(a.source == answer_source::exit);
    CHECK(out[0] == fake::answer_to(7) + fake::exit_offset);
    // How punctual the sentinel is, is the fault runs' subject, which tell host stalls apart; here any answer ends a hung stage.
    fake::edge_behaviour.shut_stage = -1;
    CHECK(edge.counters().answer.exit == 2);
}

TEST_CASE("before there is any answer, the last resort is the caller's preset") {
    reset_behaviour();
    fake::edge_behaviour.stage_ns[0] = 1000;
    auto o = impatient();
    const std::array<float, 4> preset{1, 2, 3, 4};
    o.preset = preset;
    edge_core<never_offload> edge{fake::network<fake::edge_behaviour>(), {}, never_offload{}, o, nullptr};
    fake::edge_behaviour.shut_stage = 0;
    std::array<float, fake::outputs> out{};
    const answer a = edge.infer(fake::tagged_input{5}.spans, out);
    fake::edge_behaviour.shut_stage = -1;
    CHECK(a.source == answer_source::preset);
    CHECK(out[2] == 3.0F);
    CHECK(edge.counters().answer.preset == 1);
}

TEST_CASE("one frame at a time: a second submit before the answer is refused, wrong input sizes too") {
    reset_behaviour();
    edge_core<never_offload> edge{fake::network<fake::edge_behaviour>(), {}, never_offload{}, impatient(), nullptr};
    const fake::tagged_input in{5};
    const std::uint32_t frame = edge.submit(in.spans);
    REQUIRE(frame != 0);
    CHECK(edge.submit(in.spans) == 0);
    std::array<float, fake::outputs> out{};
    answer a{.values = out};
    while (!edge.poll(a)) std::this_thread::yield();
    CHECK(a.frame == frame);
    CHECK_FALSE(edge.poll(a)); // an answer is delivered once
    const std::array<std::span<const std::byte>, 1> too_short{std::span{in.bytes}.first(10)};
    CHECK(edge.submit(too_short) == 0);
    CHECK(edge.counters().answer.refused == 2);
}

TEST_CASE("the whole input can go to the cloud, and without a fallback a dead link shows as misses") {
    rig r;
    edge_core<input_to_cloud> edge{fake::network<fake::edge_behaviour>(),
                                   {},
                                   input_to_cloud{},
                                   impatient(),
                                   std::make_unique<link::tcp>("127.0.0.1", r.relay->port())};
    REQUIRE(wait_for_link(edge));
    auto t = drive(edge, 20);
    CHECK(t.wrong == 0);
    CHECK(edge.counters().answer.offloaded >= 15);
    r.relay->set(link::direction::both, {.blackhole = true});
    t = drive(edge, 10);
    CHECK(t.wrong == 0);
    CHECK(edge.counters().answer.misses >= 9);
    CHECK(edge.counters().answer.answered == 30);
}

TEST_CASE("an edge whose tail outlasts the deadline takes the cloud's answers, and without them repeats the last one in time") {
    rig r;
    auto o = impatient();
    const std::array<duration, 3> profile{1ms, 20ms, 20ms};
    o.stage_times = profile; // 40 ms for the tail, 30 to the deadline
    edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<link::tcp>("127.0.0.1", r.relay->port())};
    CHECK_FALSE(edge.report().fits);
    CHECK_FALSE(edge.report().tail_fits);
    REQUIRE(wait_for_link(edge));
    auto t = drive(edge, 30);
    CHECK(t.wrong == 0);
    CHECK(edge.counters().answer.offloaded >= 20);
    r.relay->set(link::direction::both, {.blackhole = true});
    const tally dark = drive(edge, 10);
    CHECK(dark.wrong == 0);
    CHECK(dark.own <= 1);
    const auto c = edge.counters();
    CHECK(c.answer.answered == 40);
    CHECK(c.answer.fallback == 0);
    CHECK(c.frame.rolled_back == 0);
    CHECK(c.frame.covered_misses == 0);
    if (!sanitized) CHECK(c.answer.misses <= c.answer.host_stalls + t.robbed + dark.robbed);
}

TEST_CASE("a paced edge keeps to its profile") {
    reset_behaviour();
    fake::edge_behaviour.calm(0ms);
    auto o = impatient();
    const std::array<duration, 3> profile{5ms, 3ms, 3ms};
    o.stage_times = profile;
    edge_core<never_offload> edge{fake::network<fake::edge_behaviour>(), {}, never_offload{}, o, nullptr};
    drive(edge, 10);
    CHECK(to_milliseconds(edge.distributions().latency.quantile(0.0)) >= 10.9);
    CHECK(edge.profile().median[0] == 5ms);
}

TEST_CASE("an edge that was built on a busy machine gets its reserve back while it runs, and a larger one when its tail grows slow") {
    reset_behaviour();
    fake::edge_behaviour.calm(4ms);
    auto o = impatient();
    o.deadline = 15ms;
    o.reserve = 1ms;
    o.calibration_runs = 20;
    edge_core<never_offload> edge{fake::network<fake::edge_behaviour>(), {}, never_offload{}, o, nullptr};
    CHECK(edge.report().reserve >= 16ms); // twice a tail of 4 ms and 4 ms
    CHECK_FALSE(edge.report().fits);
    const auto drive_until = [&](bool fits) {
        for (int i = 0; i < 100 && edge.report().fits != fits; ++i) drive(edge, 20);
        return edge.report().fits == fits;
    };
    fake::edge_behaviour.calm(0ms);
    CHECK(drive_until(true));
    CHECK(edge.report().reserve < 15ms);
    CHECK(edge.rules().remaining[1] >= 1ms);
    fake::edge_behaviour.calm(4ms);
    CHECK(drive_until(false));
    CHECK(edge.report().reserve >= 15ms);
}

TEST_CASE("an edge is destroyed while the resolver still looks for its cloud") {
    static std::atomic<bool> hangs{true};
    static std::atomic<int> asked{}, answered{};
    reset_behaviour();
    const link::name_resolver never_ready = [](const char*, const char*, const addrinfo*, addrinfo**) {
        ++asked;
        while (hangs) std::this_thread::sleep_for(1ms);
        ++answered;
        return EAI_AGAIN;
    };
    {
        edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, impatient(),
                                        std::make_unique<link::tcp>("tail.local", std::uint16_t{7447}, link::tcp_options{.resolve = never_ready})};
        CHECK(drive(edge, 20).wrong == 0);
        CHECK(edge.counters().answer.answered == 20);
        for (int i = 0; i < 5000 && edge.link_failure().find("within 300 ms") == std::string::npos; ++i) std::this_thread::sleep_for(1ms);
        CHECK(edge.link_failure().find("tail.local:7447: expected a name that resolves within 300 ms") != std::string::npos);
    }
    CHECK(asked == 1);
    CHECK(answered == 0);
    hangs = false;
    for (int i = 0; i < 5000 && answered == 0; ++i) std::this_thread::sleep_for(1ms);
    CHECK(answered == 1);
}

TEST_CASE("a cloud of another graph or other weights is refused with a sentence") {
    reset_behaviour();
    cloud_core cloud{fake::network<fake::cloud_behaviour>(43), {}, {}, std::make_unique<link::tcp_listener>(std::uint16_t{0})};
    edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(42),
                                    {},
                                    offload_when_up{},
                                    impatient(),
                                    std::make_unique<link::tcp>("127.0.0.1", cloud.port())};
    CHECK_FALSE(wait_for_link(edge, 300ms));
    CHECK(edge.link_failure().find("fingerprint") != std::string::npos);
    CHECK(edge.counters().link.connect_failures > 0);
    CHECK(cloud.counters().endings[static_cast<std::size_t>(ending::refused)] > 0);
}

TEST_CASE("options that do not belong to the network are refused") {
    const std::array<duration, 2> two{1ms, 1ms};
    const auto build = [](const edge_options& o) {
        edge_core<never_offload> e{fake::network<fake::edge_behaviour>(), {}, never_offload{}, o, nullptr};
    };
    CHECK_THROWS_AS(build({.stage_times = two}), option_error);
    CHECK_THROWS_AS(build({.deadline = duration{}}), option_error);
    const std::array<exit_place, 1> outside{exit_place{.stage = 3}};
    CHECK_THROWS_AS(build({.exits = outside}), option_error);
}
