// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live_test.cpp
/// Edge and cloud for real: threads, sockets, the relay and every fault a byte stream can show, at a 30 ms deadline.
#include "live_rig.hpp"

#include <splitdsl/link/in_process.hpp>

using namespace live;

TEST_CASE("every frame is answered in time over TCP without faults, nearly all by the cloud") {
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n);
    check_promise(*r.edge, t, n, "no fault");
    CHECK(r.edge->counters().answer.offloaded * 10 >= static_cast<std::uint64_t>(n) * 8);
    CHECK(r.cloud->counters().answered >= r.edge->counters().answer.offloaded);
}

TEST_CASE("every frame is answered in time whatever the relay does to the link") {
    using link::impairment;
    struct spell {
        const char* name;
        impairment bad;
    };
    const auto s = GENERATE(spell{"delay step", {.delay = 25ms}}, spell{"jitter", {.jitter = 30ms}},
                            spell{"rate collapse", {.rate = {100e3}}}, spell{"blackhole", {.blackhole = true}},
                            spell{"stall", {.stall = true}}, spell{"corruption", {.corruption = 0.3}}, spell{"slow drip", {.drip = 3000}});
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n, [&](int i) {
        if (i % 20 == 5) r.relay->set(link::direction::both, s.bad);
        if (i % 20 == 15) r.relay->set(link::direction::both, {});
    });
    check_promise(*r.edge, t, n, s.name);
    CHECK(r.edge->counters().answer.offloaded < static_cast<std::uint64_t>(n)); // the fault did something
    CHECK(r.edge->counters().answer.offloaded > 0);
}

TEST_CASE("every frame is answered in time while connections are reset and refused") {
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n, [&](int i) {
        if (i % 10 == 5) r.relay->reset_connections();
        if (i % 20 == 8) r.relay->accept_connections(false), r.relay->reset_connections();
        if (i % 20 == 14) r.relay->accept_connections(true);
    });
    check_promise(*r.edge, t, n, "reset");
    CHECK(r.edge->counters().link.connects >= 2);
}

TEST_CASE("every frame is answered in time while connections go half open") {
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n, [&](int i) {
        if (i % 30 == 5) r.relay->set(link::direction::both, {.blackhole = true}); // gone without a word
        if (i % 30 == 20) r.relay->reset_connections(), r.relay->set(link::direction::both, {});
    });
    check_promise(*r.edge, t, n, "half-open");
}

TEST_CASE("every frame is answered in time while the cloud hangs") {
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n, [&](int i) {
        if (i % 15 == 5) fake::cloud_behaviour.hang(1, 60ms);
    });
    check_promise(*r.edge, t, n, "server stall");
    CHECK(r.edge->counters().frame.late + r.edge->counters().frame.shed > 0);
}

TEST_CASE("every frame is answered in time while the cloud is killed and comes back") {
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n, [&](int i) {
        if (i % 30 == 8) r.cloud.reset(), r.relay->reset_connections();
        if (i % 30 == 16) r.start_cloud(r.port);
    });
    check_promise(*r.edge, t, n, "server kill");
    CHECK(r.edge->counters().link.connects >= 2);
}

TEST_CASE("a cloud that comes back with another network is not asked, and is again once it is the old one") {
    reset_behaviour();
    std::optional<cloud_core> cloud;
    const auto restart = [&](std::uint64_t fingerprint, std::uint16_t port) {
        cloud.reset();
        cloud.emplace(fake::network<fake::cloud_behaviour>(fingerprint), std::span<const std::byte>{}, cloud_options{}, std::make_unique<link::tcp_listener>(port));
        return cloud->port();
    };
    const std::uint16_t port = restart(42, 0);
    auto o = impatient();
    o.deadline = 2s;
    o.threads = {};
    o.link.silence = o.link.stuck = o.link.dead = 10s;
    edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<link::tcp>("127.0.0.1", port)};
    const auto asked = [&](std::uint32_t tag) {
        std::array<float, fake::outputs> out{};
        const answer a = edge.infer(fake::tagged_input{tag}.spans, out);
        CHECK(a.on_time);
        CHECK(out[0] == fake::answer_to(tag));
        return a.source;
    };
    REQUIRE(wait_for_link(edge));
    CHECK(asked(1) == answer_source::cloud);
    restart(43, port);
    const auto why = [&] { return edge.link_failure().find("graph fingerprint") != std::string::npos; };
    for (int i = 0; i < 5000 && !why(); ++i) std::this_thread::sleep_for(1ms);
    CHECK(why());
    for (std::uint32_t tag = 2; tag < 6; ++tag) CHECK(asked(tag) == answer_source::edge);
    CHECK(cloud->counters().requests == 0);
    restart(42, port);
    REQUIRE(wait_for_link(edge));
    CHECK(asked(6) == answer_source::cloud);
    CHECK(edge.counters().link.connects == 2);
}

TEST_CASE("a frame that waits reads its reply itself") {
    rig r;
    const auto before = r.edge->report();
    drive(*r.edge, 40);
    const auto after = r.edge->report();
    CHECK(after.link_waits - before.link_waits >= 10); // the link thread reads only while a pong or a probe's answer is to come
    CHECK(after.compute_waits >= after.link_waits);
}

TEST_CASE("every frame is answered in time in a storm of resets and of clouds that leave while frames wait") {
    const bool leaving = GENERATE(false, true);
    rig r;
    fake::cloud_behaviour.calm(3ms); // a frame waits for some 6 ms
    int n = 0;
    std::atomic<bool> done{};
    std::thread storm{[&] {
        for (int i = 0; !done.load(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds{11 + i % 7});
            if (leaving && i % 2 == 0)
                r.cloud.reset(), r.start_cloud(r.port);
            else
                r.relay->reset_connections();
        }
    }};
    tally t{};
    // On a crowded machine, and under a sanitizer, the link is hardly ever up for long enough that a frame waits and its connection then
    // ends, or that it comes back between two resets: then longer.
    const auto seen = [&] {
        const auto so_far = r.edge->counters();
        return r.edge->report().link_waits > 0 && so_far.answer.fallback > 0 && so_far.link.connects >= 2;
    };
    for (int round = 0; round < 2 || (round < 40 && !seen()); ++round) {
        const auto more = drive(*r.edge, frames_wanted());
        n += frames_wanted();
        t = {t.answered + more.answered, t.wrong + more.wrong, t.not_counted_up + more.not_counted_up, t.own + more.own, t.robbed + more.robbed};
    }
    done = true;
    storm.join();
    check_promise(*r.edge, t, n, leaving ? "storm, leaving" : "storm of resets");
    const auto c = r.edge->counters();
    CHECK(c.link.connects >= 2);
    CHECK(c.answer.fallback > 0);
    CHECK(r.edge->report().link_waits > 0);
}

TEST_CASE("a frame whose link ends while it waits falls back at once, not when its time is up") {
    const char* const how = GENERATE("reset", "peer left", "silence");
    rig r;
    auto o = impatient();
    o.deadline = 20s; // no host stall is as long as what is told apart here
    o.threads = {};
    o.link.ping_interval = o.link.probe_interval = 60s; // nobody but the frame's own wait can notice
    if (std::string{"silence"} != how) o.link.silence = o.link.dead = o.link.stuck = 60s;
    edge_core<offload_when_up> edge{
        fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<link::tcp>("127.0.0.1", r.relay->port())};
    REQUIRE(wait_for_link(edge));
    REQUIRE(wait_for_quiet(edge));
    r.relay->set(link::direction::both, {.blackhole = true});
    std::thread later{[&] {
        std::this_thread::sleep_for(100ms);
        if (std::string{"reset"} == how) r.relay->reset_connections();
        if (std::string{"peer left"} == how) r.relay.reset();
    }};
    std::array<float, fake::outputs> out{};
    const auto waits = edge.report().link_waits;
    const answer a = edge.infer(fake::tagged_input{5}.spans, out);
    later.join();
    INFO(how);
    CHECK(a.source == answer_source::fallback);
    CHECK(out[0] == fake::answer_to(5));
    CHECK(a.cut == 0);
    CHECK(a.timings.total > 50ms);
    CHECK(a.timings.total < 10s);
    CHECK(edge.report().link_waits > waits);
    if (std::string{"silence"} == how) CHECK(edge.counters().link.silences == 1);
}

TEST_CASE("an edge is destroyed at once although a frame waits") {
    rig r;
    auto o = impatient();
    o.deadline = 60s;
    o.threads = {};
    o.link.ping_interval = o.link.probe_interval = o.link.silence = o.link.dead = o.link.stuck = 60s;
    auto edge = std::make_unique<edge_core<offload_when_up>>(fake::network<fake::edge_behaviour>(), std::span<const std::byte>{}, offload_when_up{},
                                                             o, std::make_unique<link::tcp>("127.0.0.1", r.relay->port()));
    REQUIRE(wait_for_link(*edge));
    REQUIRE(wait_for_quiet(*edge));
    r.relay->set(link::direction::both, {.blackhole = true});
    const auto waits = edge->report().link_waits;
    REQUIRE(edge->submit(fake::tagged_input{5}.spans) != 0);
    for (int i = 0; i < 2000 && edge->report().link_waits == waits; ++i) std::this_thread::sleep_for(1ms);
    CHECK(edge->report().link_waits > waits);
    const auto begun = std::chrono::steady_clock::now();
    edge.reset();
    CHECK(std::chrono::steady_clock::now() - begun < 20s);
}

TEST_CASE("an edge is destroyed at once although a peer does not answer its handshake") {
    reset_behaviour();
    link::in_process_listener mute;
    auto o = impatient();
    o.link.connect_timeout = 60s;
    auto edge = std::make_unique<edge_core<offload_when_up>>(fake::network<fake::edge_behaviour>(), std::span<const std::byte>{}, offload_when_up{}, o, std::make_unique<link::in_process>(mute));
    const auto peer = mute.accept(10s);
    REQUIRE(peer);
    std::array<std::byte, link::header_bytes> hello{};
    REQUIRE(peer->wait(true, false, 10s));
    CHECK(peer->read(hello).what == link::io_result::ok);
    const auto begun = std::chrono::steady_clock::now();
    edge.reset();
    CHECK(std::chrono::steady_clock::now() - begun < 20s);
}

TEST_CASE("after a fallback the link thread waits for the late reply at once, not at its next look") {
    rig r;
    auto o = impatient();
    o.link.ping_interval = o.link.probe_interval = o.link.silence = o.link.dead = 30s; // the link thread's naps are 50 ms then
    edge_core<offload_when_up> edge{
        fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<watched_tcp>(r.relay->port(), r.use)};
    REQUIRE(wait_for_link(edge));
    REQUIRE(wait_for_quiet(edge));
    r.edge.reset();
    r.relay->set(link::direction::down, {.delay = 60ms});
    std::vector<duration> until_waiting;
    std::array<float, fake::outputs> out{};
    for (std::uint32_t tag = 0; tag < 15; ++tag) {
        const auto late = edge.counters().frame.late;
        const auto asked = std::chrono::steady_clock::now().time_since_epoch().count();
        const answer a = edge.infer(fake::tagged_input{tag}.spans, out);
        const auto answered = std::chrono::steady_clock::now();
        if (a.source != answer_source::fallback) continue; // the breaker keeps it here now and then
        while (r.use.link_thread_waits_since.load() < asked && std::chrono::steady_clock::now() < answered + 1s) std::this_thread::yield();
        until_waiting.push_back(instant{duration{r.use.link_thread_waits_since.load()}} - answered);
        for (int i = 0; i < 1000 && edge.counters().frame.late == late; ++i) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(std::chrono::milliseconds{5 + 7 * tag % 50}); // anywhere in a nap
    }
    REQUIRE(until_waiting.size() >= 5);
    std::sort(until_waiting.begin(), until_waiting.end());
    CHECK(to_milliseconds(until_waiting[until_waiting.size() / 2]) < 10);
}

TEST_CASE("a reply that comes after the fallback is counted as late and still teaches the link's picture") {
    rig r;
    auto o = impatient();
    o.link.ping_interval = o.link.probe_interval = 30s; // whatever is learnt is learnt from replies
    o.link.silence = o.link.dead = 30s;
    edge_core<offload_when_up> edge{
        fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<link::tcp>("127.0.0.1", r.relay->port())};
    REQUIRE(wait_for_link(edge));
    REQUIRE(wait_for_quiet(edge));
    const auto before = edge.counters();
    r.relay->set(link::direction::down, {.delay = 150ms});
    std::array<float, fake::outputs> out{};
    const auto sent = std::chrono::steady_clock::now();
    const answer a = edge.infer(fake::tagged_input{500}.spans, out);
    CHECK(a.source == answer_source::fallback);
    const auto told = [&] {
        return edge.counters().frame.late > before.frame.late && edge.counters().link.bytes_down > before.link.bytes_down
               && edge.link_now().rate_up.value < 1e6; // 984 bytes in 150 ms
    };
    for (int i = 0; i < 5000 && !told(); ++i) std::this_thread::sleep_for(1ms);
    CHECK(told()); // and no later frame was needed for it
    CHECK(edge.counters().frame.late == before.frame.late + 1);
    CHECK(edge.counters().link.pongs == before.link.pongs);
    CHECK(to_milliseconds(edge.link_now().rtt) < 100); // a round trip is what pings say
    CHECK(edge.link_now().age < std::chrono::steady_clock::now() - sent); // both are from the reply, 150 ms after the frame: together they explain it
}

TEST_CASE("a cloud that answers NaN is not believed") {
    rig r;
    const int n = frames_wanted();
    const auto t = drive(*r.edge, n, [&](int i) { fake::cloud_behaviour.answers_nan = i % 10 >= 5; });
    check_promise(*r.edge, t, n, "NaN answer");
    CHECK(r.edge->counters().frame.not_finite > 0);
}

TEST_CASE("a cloud whose answers have another size is not believed") {
    reset_behaviour();
    cloud_core cloud{fake::network<fake::cloud_behaviour>(42, 7), {}, {}, std::make_unique<link::tcp_listener>(std::uint16_t{0})};
    edge_core<offload_when_up> edge{
        fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, impatient(), std::make_unique<link::tcp>("127.0.0.1", cloud.port())};
    REQUIRE(wait_for_link(edge));
    const int n = frames_wanted();
    const auto t = drive(edge, n);
    check_promise(edge, t, n, "wrong size");
    CHECK(edge.counters().frame.wrong_size > 0);
    CHECK(edge.counters().answer.offloaded == 0);
}

TEST_CASE("every frame is answered in time within one process") {
    reset_behaviour();
    auto listener = std::make_unique<link::in_process_listener>();
    auto connector = std::make_unique<link::in_process>(*listener);
    cloud_core cloud{fake::network<fake::cloud_behaviour>(), {}, {}, std::move(listener)};
    edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, impatient(), std::move(connector)};
    REQUIRE(wait_for_link(edge));
    const int n = frames_wanted();
    const auto t = drive(edge, n);
    check_promise(edge, t, n, "in process");
    CHECK(edge.counters().answer.offloaded > 0);
}
