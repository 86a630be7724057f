// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live_rig.hpp
/// For the tests of edge and cloud with threads and sockets: edge, relay and cloud on this machine, frames through them, and what is promised of these.
///
/// SPLITDSL_LIVE_FRAMES sets the frames a fault kind gets (60 by default; 500 is what the acceptance asks for).
#pragma once

#include "../catch.hpp"

#include "fake_network.hpp"

#include <examples/processes/stolen_time.hpp>
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

namespace live {

using namespace splitdsl;
using namespace std::chrono_literals;

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

inline int frames_wanted() {
    const char* text = std::getenv("SPLITDSL_LIVE_FRAMES");
    return text ? std::max(1, std::atoi(text)) : 60;
}

inline void reset_behaviour() {
    fake::cloud_behaviour.calm(0ms);
    fake::edge_behaviour.calm(1ms);
}

inline edge_options impatient() {
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
    std::uint64_t robbed{}; ///< frames that were late or had no answer of their own while a hypervisor took time: no canary sees one processor stand still
    void judge(const answer& a, std::uint64_t stolen_before) {
        if (a.on_time && a.source != answer_source::held && a.source != answer_source::preset) return;
        std::this_thread::sleep_for(20ms); // until it is counted
        robbed += processes::stolen_ticks() > stolen_before;
    }
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
        const auto stolen = processes::stolen_ticks();
        const answer a = edge.infer(in.spans, out);
        t.judge(a, stolen);
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

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

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
    if (t.robbed > 0) std::printf("%-18s in %llu frames without a timely answer of their own a hypervisor took processor time\n", what, static_cast<unsigned long long>(t.robbed));
    if (!sanitized) CHECK(c.answer.misses <= c.answer.host_stalls + t.robbed); // a sanitizer slows every thread: then the promise's own terms
    CHECK(c.frame.covered_misses <= t.robbed);
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

} // namespace live
