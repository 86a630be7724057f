// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live_test.cpp
/// Edge and cloud for real: threads, sockets, the relay and every fault a byte stream can show, at a 30 ms deadline.
///
/// SPLITDSL_LIVE_FRAMES sets the frames a fault kind gets (60 by default; 500 is what the acceptance asks for).
#include "../catch.hpp"

#include "fake_network.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/edge_core.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

struct offload_when_up : fake::quiet {
    action on(stage_done s, const link_view& l, const budget&) noexcept {
        return s.stage == 0 && l.up ? action::offload_at(0) : action::go_on();
    }
    using fake::quiet::on;
};
struct input_to_cloud : fake::quiet {
    static constexpr bool falls_back = false;
    action on(frame_start, const link_view&, const budget&) noexcept { return action::offload_at(-1); }
    using fake::quiet::on;
};
using never_offload = fake::quiet;

int frames_wanted() {
    const char* text = std::getenv("SPLITDSL_LIVE_FRAMES");
    return text ? std::max(1, std::atoi(text)) : 60;
}

void reset_behaviour() {
    fake::cloud_behaviour.calm(0ms);
    fake::edge_behaviour.calm(1ms);
}

edge_options impatient() {
    edge_options o{.deadline = 30ms, .reserve = 12ms, .calibration_runs = 0};
    o.breaker = {.failures_to_open = 3, .first_pause = 20ms, .longest_pause = 60ms};
    o.threads = {.real_time_priority = 5}; // if this account may; other work on the machine then disturbs less
    o.link = {.ping_interval = 20ms,
              .probe_interval = 200ms,
              .probe_bytes = 512,
              .silence = 100ms,
              .stuck = 150ms,
              .dead = 300ms,
              .connect_timeout = 300ms,
              .first_retry = 5ms,
              .longest_retry = 40ms};
    return o;
}

template <class Edge>
bool wait_for_link(Edge& edge, duration patience = 5s) {
    for (const auto until = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < until;
         std::this_thread::sleep_for(1ms))
        if (edge.link_now().up) return true;
    return false;
}

/// The first ping and probe are answered, so that with long intervals nothing more is to come.
template <class Edge>
bool wait_for_quiet(Edge& edge) {
    for (int i = 0; i < 5000 && edge.link_now().age == duration::max(); ++i) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    return edge.link_now().age != duration::max();
}

/// Frames through `edge`; `before(i)` runs before each. Every answer has to be its own frame's.
struct tally {
    int answered{}, wrong{}, not_counted_up{}, own{};
};
template <class Edge>
tally drive(Edge& edge, int frames, const std::function<void(int)>& before = {}) {
    tally t{};
    std::uint32_t last = 0;
    for (int i = 0; i < frames; ++i) {
        if (before) before(i);
        const std::uint32_t tag = 1000U + static_cast<std::uint32_t>(i);
        const fake::tagged_input in{tag};
        std::array<float, fake::outputs> out{};
        const answer a = edge.infer(in.spans, out);
        t.answered += a.frame != 0;
        t.not_counted_up += a.frame != last + 1 && last != 0;
        last = a.frame;
        if (a.source != answer_source::held && a.source != answer_source::preset) {
            ++t.own;
            for (std::size_t k = 0; k < out.size(); ++k) t.wrong += out[k] != fake::answer_to(tag) + static_cast<float>(k);
        }
        std::this_thread::sleep_for(3ms);
    }
    return t;
}

template <class Edge>
void check_promise(const Edge& edge, const tally& t, int frames, const char* what) {
    const auto c = edge.counters();
    INFO(what);
    std::printf("%-18s %4d frames: cloud %4llu fallback %4llu edge %4llu held %3llu | misses %llu, of them host stalls %llu; covered "
                "misses %llu, uncovered %llu | "
                "late %llu dup %llu shed %llu connects %llu p99 %.1f max %.1f ms\n",
                what, frames, static_cast<unsigned long long>(c.answer.offloaded), static_cast<unsigned long long>(c.answer.fallback),
                static_cast<unsigned long long>(c.answer.local), static_cast<unsigned long long>(c.answer.held),
                static_cast<unsigned long long>(c.answer.misses), static_cast<unsigned long long>(c.answer.host_stalls),
                static_cast<unsigned long long>(c.frame.covered_misses), static_cast<unsigned long long>(c.frame.uncovered),
                static_cast<unsigned long long>(c.frame.late), static_cast<unsigned long long>(c.frame.duplicates),
                static_cast<unsigned long long>(c.frame.shed), static_cast<unsigned long long>(c.link.connects),
                to_milliseconds(edge.distributions().latency.quantile(0.99)), to_milliseconds(edge.distributions().latency.max()));
    CHECK(t.answered == frames);
    CHECK(t.wrong == 0); // neither a late nor a foreign reply was delivered
    CHECK(t.not_counted_up == 0);
    CHECK(c.answer.answered == static_cast<std::uint64_t>(frames));
    CHECK(c.answer.misses == c.answer.host_stalls);
    CHECK(c.frame.covered_misses == 0);
}

/// What is wrong with how streams are used, and when the link thread last began to wait for bytes.
struct stream_use {
    std::atomic<int> two_readers{}, two_writers{}, destroyed_in_use{}, streams{};
    std::atomic<std::int64_t> link_thread_waits_since{};
};
/// A stream that checks what `link::stream` asks of its users: one reads and waits, one writes, nobody is inside when it is destroyed.
class watched_stream final : public link::stream {
public:
    watched_stream(std::unique_ptr<link::stream> of, stream_use& to) : inner{std::move(of)}, use{to} { ++use.streams; }
    ~watched_stream() override { use.destroyed_in_use += readers != 0 || writers != 0 || others != 0; }
    link::io write(std::span<const std::byte> from) noexcept override {
        const inside here{writers};
        use.two_writers += here.already;
        return inner->write(from);
    }
    link::io read(std::span<std::byte> to) noexcept override {
        const inside here{readers};
        use.two_readers += here.already;
        return inner->read(to);
    }
    bool wait(bool readable, bool writable, duration timeout) noexcept override {
        const inside here{readers};
        use.two_readers += here.already;
        if (readable && this_thread_is("sd-link")) use.link_thread_waits_since = std::chrono::steady_clock::now().time_since_epoch().count();
        return inner->wait(readable, writable, timeout);
    }
    void wake() noexcept override {
        const inside here{others};
        inner->wake();
    }
    void shutdown() noexcept override {
        const inside here{others};
        inner->shutdown();
    }

private:
    struct inside {
        explicit inside(std::atomic<int>& of) : count{of}, already{of++ != 0} {}
        ~inside() { --count; }
        std::atomic<int>& count;
        bool already;
    };
    static bool this_thread_is(const std::string& name) {
        std::array<char, 16> mine{};
        return ::pthread_getname_np(::pthread_self(), mine.data(), mine.size()) == 0 && name == mine.data();
    }
    std::unique_ptr<link::stream> inner;
    stream_use& use;
    std::atomic<int> readers{}, writers{}, others{};
};
class watched_tcp final : public link::connector {
public:
    watched_tcp(std::uint16_t port, stream_use& to) : inner{"127.0.0.1", port}, use{to} {}
    std::unique_ptr<link::stream> connect(duration timeout) override {
        auto s = inner.connect(timeout);
        return s ? std::make_unique<watched_stream>(std::move(s), use) : nullptr;
    }
    std::string describe() const override { return inner.describe(); }

private:
    link::tcp inner;
    stream_use& use;
};

/// Edge, relay and cloud over TCP on this machine.
struct rig {
    rig() {
        reset_behaviour();
        start_cloud(0);
        port = cloud->port();
        relay.emplace(link::relay_options{.port = port});
        edge.emplace(fake::network<fake::edge_behaviour>(), std::span<const std::byte>{}, offload_when_up{}, impatient(),
                     std::make_unique<watched_tcp>(relay->port(), use));
        REQUIRE(wait_for_link(*edge));
    }
    void start_cloud(std::uint16_t at) {
        cloud.emplace(fake::network<fake::cloud_behaviour>(), std::span<const std::byte>{}, cloud_options{},
                      std::make_unique<link::tcp_listener>(at));
    }
    ~rig() {
        edge.reset();
        CHECK(use.streams > 0);
        CHECK(use.two_readers == 0);
        CHECK(use.two_writers == 0);
        CHECK(use.destroyed_in_use == 0);
    }
    stream_use use{};
    std::uint16_t port{};
    std::optional<cloud_core> cloud;
    std::optional<link::relay> relay;
    std::optional<edge_core<offload_when_up>> edge;
};

} // namespace

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
    // On a crowded machine the link is hardly ever up for long enough that a frame listens: then longer.
    for (int round = 0; round < 2 || (round < 40 && r.edge->report().link_waits == 0); ++round) {
        const auto more = drive(*r.edge, frames_wanted());
        n += frames_wanted();
        t = {t.answered + more.answered, t.wrong + more.wrong, t.not_counted_up + more.not_counted_up, t.own + more.own};
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
    const answer a = edge.infer(fake::tagged_input{500}.spans, out);
    const auto answered = std::chrono::steady_clock::now();
    CHECK(a.source == answer_source::fallback);
    const auto told = [&] {
        return edge.counters().frame.late > before.frame.late && edge.counters().link.bytes_down > before.link.bytes_down
               && edge.link_now().age < std::chrono::steady_clock::now() - answered; // learnt since
    };
    for (int i = 0; i < 5000 && !told(); ++i) std::this_thread::sleep_for(1ms);
    CHECK(told()); // and no later frame was needed for it
    CHECK(edge.counters().frame.late == before.frame.late + 1);
    CHECK(edge.counters().link.pongs == before.link.pongs);
    CHECK(to_milliseconds(edge.link_now().rtt) < 100); // a round trip is what pings say
    CHECK(edge.link_now().rate_up.value < 1e6);        // 984 bytes in 150 ms
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

TEST_CASE("without a link every frame is local") {
    reset_behaviour();
    edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, impatient(), nullptr};
    const auto t = drive(edge, 20);
    check_promise(edge, t, 20, "no link");
    CHECK(edge.counters().answer.local + edge.counters().answer.held == 20);
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
