// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fan_in_test.cpp
/// Three cameras live: heads side by side, one payload group, one request, one deadline; over TCP through the relay.
#include "../catch.hpp"

#include "../static/networks.hpp"
#include "fake_network.hpp"
#include "fan_in_network.hpp"

#include <splitdsl/link/relay.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

fan_in::subject fan_in::three_cameras() {
    static const auto weights = seeded_weights<networks::three_cameras>(5);
    return {&weights.net(), weights.bytes(), weights.digest()};
}

namespace {

using controls = std::array<float, 3>;

/// Runs a stage's fan on threads of its own, at most `Threads` at once, and everything else where it is called. Knows no library, so that
/// the thread sanitizer sees everything.
std::atomic<int> fans{};
template <int Threads>
void run_on_threads(int tasks, void (*body)(void*, int, int), void* context) {
    static thread_local bool within = false;
    if (tasks != 3 || within) return body(context, 0, tasks);
    ++fans;
    std::atomic<int> next{};
    const auto work = [&] {
        within = true;
        for (int k = next++; k < tasks; k = next++) body(context, k, k + 1);
        within = false;
    };
    std::vector<std::thread> others;
    for (int k = 1; k < Threads; ++k) others.emplace_back(work);
    work();
    for (auto& t : others) t.join();
}
template <int Threads>
inline constexpr task_runner on_threads{&run_on_threads<Threads>};

/// The network in one piece on one thread.
controls alone(const fan_in::pictures& in, const task_runner* workers = nullptr) {
    const fan_in::subject s = fan_in::three_cameras();
    const aligned_buffer arena{s.net->arena_bytes};
    controls out{};
    const void* inputs[]{in.of[0].data(), in.of[1].data(), in.of[2].data()};
    s.net->run({arena.data(), s.packed.data(), inputs, out.data(), workers}, 0, s.net->stages, nullptr);
    return out;
}
bool same_bits(const controls& a, const controls& b) { return std::memcmp(a.data(), b.data(), sizeof a) == 0; }

struct offload_when_up : fake::quiet {
    action on(stage_done s, const link_view& l, const budget&) noexcept { return s.stage == 0 && l.up ? action::offload_at(0) : action::go_on(); }
    using fake::quiet::on;
};

/// Edge and cloud over TCP with the relay between them.
struct rig {
    static edge_options terms(const task_runner* workers) {
        edge_options o{.deadline = 40ms, .reserve = 15ms, .calibration_runs = 0};
        o.breaker = {.failures_to_open = 3, .first_pause = 20ms, .longest_pause = 60ms};
        o.threads = {.real_time_priority = 5}; // if this account may; other work on the machine then disturbs less
        o.link = {.ping_interval = 20ms, .probe_interval = 200ms, .probe_bytes = 512, .silence = 100ms, .stuck = 10s, .dead = 10s, .connect_timeout = 300ms, .first_retry = 5ms, .longest_retry = 40ms};
        o.workers = workers;
        o.weights_digest = fan_in::three_cameras().digest;
        return o;
    }
    explicit rig(const task_runner* workers) {
        const fan_in::subject s = fan_in::three_cameras();
        cloud.emplace(*s.net, s.packed, cloud_options{.weights_digest = s.digest}, std::make_unique<link::tcp_listener>(std::uint16_t{0}));
        relay.emplace(link::relay_options{.port = cloud->port()});
        edge.emplace(*s.net, s.packed, offload_when_up{}, terms(workers), std::make_unique<link::tcp>("127.0.0.1", relay->port()));
        for (int i = 0; i < 5000 && !edge->link_now().up; ++i) std::this_thread::sleep_for(1ms);
        REQUIRE(edge->link_now().up);
    }
    /// One frame; its answer has to be its own network's, bit for bit, unless the host kept the process from answering.
    answer drive(std::uint32_t seed) {
        const fan_in::pictures in{seed};
        controls out{};
        const auto spans = in.spans();
        answer a = edge->infer(spans, out);
        CHECK(a.frame != 0);
        if (is_own(a.source)) CHECK(same_bits(out, alone(in)));
        own += is_own(a.source);
        ++frames;
        std::this_thread::sleep_for(3ms);
        return a;
    }
    /// All frames' counters: the compute thread's follow its answers.
    edge_counters settled() const {
        auto c = edge->counters();
        for (int i = 0; i < 5000 && c.frame.frames + c.frame.skipped < static_cast<std::uint64_t>(frames); ++i) std::this_thread::sleep_for(1ms), c = edge->counters();
        return c;
    }
    void check_promise(const char* what) const {
        const auto c = settled();
        std::printf("%-24s %3d frames: cloud %llu fallback %llu edge %llu held %llu | misses %llu, of them host stalls %llu | p99 %.1f ms\n", what, frames, static_cast<unsigned long long>(c.answer.offloaded),
                    static_cast<unsigned long long>(c.answer.fallback), static_cast<unsigned long long>(c.answer.local), static_cast<unsigned long long>(c.answer.held),
                    static_cast<unsigned long long>(c.answer.misses), static_cast<unsigned long long>(c.answer.host_stalls), to_milliseconds(edge->distributions().latency.quantile(0.99)));
        CHECK(c.answer.answered == static_cast<std::uint64_t>(frames));
        CHECK(c.answer.misses == c.answer.host_stalls);
        CHECK(c.frame.covered_misses == 0);
        CHECK(own * 2 > frames);
    }
    std::optional<cloud_core> cloud;
    std::optional<link::relay> relay;
    std::optional<edge_core<offload_when_up>> edge;
    int frames{}, own{};
};

} // namespace

TEST_CASE("the parts of a fan run as one parallel call and encode in scratch of their own") {
    using network = networks::three_cameras;
    const fan_in::subject s = fan_in::three_cameras();
    std::vector<std::ptrdiff_t> rooms;
    const auto& p = program_of<network>;
    for (const instruction& c : p.code)
        if (c.kind == graph::step_kind::encode) {
            rooms.push_back(c.scratch);
            CHECK(c.scratch + 4 * c.in.of.size() <= static_cast<std::ptrdiff_t>(s.net->arena_bytes));
        }
    REQUIRE(rooms.size() == 3);
    std::sort(rooms.begin(), rooms.end());
    std::sort(rooms.begin(), rooms.end());
    CHECK(rooms[1] - rooms[0] >= 4 * 3 * 6 * 10);
    CHECK(rooms[2] - rooms[1] >= 4 * 3 * 6 * 10);
    const fan_in::pictures in{1};
    const void* inputs[]{in.of[0].data(), in.of[1].data(), in.of[2].data()};
    const aligned_buffer arena{s.net->arena_bytes};
    controls out{};
    fans = 0;
    s.net->run({arena.data(), s.packed.data(), inputs, out.data(), &on_threads<3>}, 0, 1, nullptr);
    CHECK(fans == 1); // the three heads, encoders included, are the whole stage
}

TEST_CASE("three heads give the same bits on one thread, on two and on three") {
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        const fan_in::pictures in{seed};
        const controls want = alone(in);
        CHECK(same_bits(alone(in, &on_threads<1>), want));
        CHECK(same_bits(alone(in, &on_threads<2>), want));
        CHECK(same_bits(alone(in, &on_threads<3>), want));
    }
    CHECK_FALSE(same_bits(alone(fan_in::pictures{1}), alone(fan_in::pictures{2})));
}

TEST_CASE("a payload group holds each camera's bottleneck, one after another") {
    const fan_in::subject s = fan_in::three_cameras();
    REQUIRE(s.net->cuts.size() == 1);
    REQUIRE(s.net->cuts[0].payload_bytes == 3 * fan_in::bottleneck_bytes);
    const aligned_buffer arena{s.net->arena_bytes};
    controls out{};
    const auto payload_of = [&](const fan_in::pictures& in) {
        const void* inputs[]{in.of[0].data(), in.of[1].data(), in.of[2].data()};
        const frame_memory memory{arena.data(), s.packed.data(), inputs, out.data(), &on_threads<3>};
        std::vector<std::byte> payload(s.net->cuts[0].payload_bytes);
        s.net->run(memory, 0, 1, nullptr);
        CHECK(s.net->store_payload(memory, 0, payload.data()) == payload.size());
        return payload;
    };
    const fan_in::pictures before{7}, other{8};
    const auto unchanged = payload_of(before);
    for (std::size_t k = 0; k < 3; ++k) {
        fan_in::pictures in = before;
        in.of[k] = other.of[k];
        const auto changed = payload_of(in);
        for (std::size_t part = 0; part < 3; ++part) {
            const auto at = static_cast<std::ptrdiff_t>(part * fan_in::bottleneck_bytes), end = at + static_cast<std::ptrdiff_t>(fan_in::bottleneck_bytes);
            CHECK(std::equal(unchanged.begin() + at, unchanged.begin() + end, changed.begin() + at) == (part != k));
        }
    }
}

TEST_CASE("three cameras are one request a frame: a header and the three payloads, and the cloud's answer is the local one") {
    const task_runner* const workers = GENERATE(static_cast<const task_runner*>(nullptr), &on_threads<2>, &on_threads<3>);
    rig r{workers};
    std::uint64_t offloaded = 0, requests = r.cloud->counters().requests;
    for (std::uint32_t k = 0; k < 40; ++k) {
        const answer a = r.drive(k);
        if (a.cut != 0) continue; // the host was slow, or the link for a moment not up
        ++offloaded;
        CHECK(a.bytes_up == fan_in::header_bytes + 3 * fan_in::bottleneck_bytes);
        for (int i = 0; i < 2000 && r.cloud->counters().requests < requests + 1; ++i) std::this_thread::sleep_for(1ms);
        CHECK(r.cloud->counters().requests == requests + 1);
        requests = r.cloud->counters().requests;
    }
    r.check_promise("three cameras");
    CHECK(r.settled().frame.offload_tries == offloaded);
    CHECK(r.edge->counters().answer.offloaded > 0);
}

TEST_CASE("in a blackout three cameras are answered here, bit for bit, and by the cloud again behind it") {
    rig r{&on_threads<3>};
    std::uint32_t k = 0;
    for (int i = 0; i < 200 && r.drive(k++).source != answer_source::cloud; ++i) {}
    REQUIRE(r.edge->counters().answer.offloaded > 0);
    r.relay->set(link::direction::both, {.stall = true});
    std::this_thread::sleep_for(20ms); // what is on its way arrives, or is stalled
    int here = 0;
    for (int i = 0; i < 30; ++i) {
        const answer a = r.drive(k++);
        CHECK(a.source != answer_source::cloud);
        here += a.source == answer_source::edge || a.source == answer_source::fallback;
    }
    CHECK(here > 0);
    CHECK(r.edge->counters().answer.fallback > 0); // the first one was on its way
    r.relay->set(link::direction::both, {});
    answer_source last{};
    for (int i = 0; i < 500 && last != answer_source::cloud; ++i) last = r.drive(k++).source;
    CHECK(last == answer_source::cloud);
    r.check_promise("three cameras, blackout");
}
