// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_path_test.cpp
/// What a frame costs after warm-up, by interposition on the runtime's named threads: 0 allocations, 0 mutexes, 0 page faults.
#include "../catch.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPLITDSL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SPLITDSL_SANITIZED 1
#endif
#endif

// Sanitizers interpose the same functions; there this file tests nothing.
#if defined(__GLIBC__) && !defined(SPLITDSL_SANITIZED)

#include "fake_network.hpp"
#include "fan_in_network.hpp"
#include "stream_network.hpp"
#include "tiers_rig.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/servers.hpp>

#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

namespace {

enum watched { compute, link_thread, sentinel, serving, others };
constexpr int lockless = serving; // the threads in front of it; a cloud's connections share a queue
constexpr std::array<const char*, others> names{"sd-compute", "sd-link", "sd-sentinel", "sd-cloud"};
enum counted { allocations, releases, mutexes, waits, wakes, kinds_counted };
std::atomic<bool> counting{};
std::atomic<long> counts[others][kinds_counted]{};
thread_local int self = others;

void note(counted what) {
    if (self != others && counting.load(std::memory_order_relaxed)) counts[self][what].fetch_add(1, std::memory_order_relaxed);
}

} // namespace

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t n) { return note(allocations), __libc_malloc(n); }
void* calloc(std::size_t n, std::size_t m) { return note(allocations), __libc_calloc(n, m); }
void* realloc(void* p, std::size_t n) { return note(allocations), __libc_realloc(p, n); }
void* aligned_alloc(std::size_t a, std::size_t n) { return note(allocations), __libc_memalign(a, n); }
void* memalign(std::size_t a, std::size_t n) { return note(allocations), __libc_memalign(a, n); }
int posix_memalign(void** p, std::size_t a, std::size_t n) {
    note(allocations);
    *p = __libc_memalign(a, n);
    return *p ? 0 : 12;
}
void free(void* p) {
    if (p) note(releases);
    __libc_free(p);
}
// Plain relaxed atomics, not guarded statics: the guard itself makes a system call when two threads meet in it.
int pthread_mutex_lock(pthread_mutex_t* m) {
    static std::atomic<int (*)(pthread_mutex_t*)> found{};
    auto real = found.load(std::memory_order_relaxed);
    if (!real) found.store(real = reinterpret_cast<int (*)(pthread_mutex_t*)>(dlsym(RTLD_NEXT, "pthread_mutex_lock")), std::memory_order_relaxed);
    note(mutexes);
    return real(m);
}
int pthread_setname_np(pthread_t t, const char* name) {
    static std::atomic<int (*)(pthread_t, const char*)> found{};
    auto real = found.load(std::memory_order_relaxed);
    if (!real) found.store(real = reinterpret_cast<int (*)(pthread_t, const char*)>(dlsym(RTLD_NEXT, "pthread_setname_np")), std::memory_order_relaxed);
    if (pthread_equal(t, pthread_self()))
        for (int i = 0; i < others; ++i)
            if (std::strcmp(names[static_cast<std::size_t>(i)], name) == 0) self = i;
    return real(t, name);
}
long syscall(long number, ...) {
    static std::atomic<long (*)(long, ...)> found{};
    auto real = found.load(std::memory_order_relaxed);
    if (!real) found.store(real = reinterpret_cast<long (*)(long, ...)>(dlsym(RTLD_NEXT, "syscall")), std::memory_order_relaxed);
    va_list list;
    va_start(list, number);
    std::array<long, 6> a{};
    for (auto& v : a) v = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex) {
        const long operation = a[1] & FUTEX_CMD_MASK;
        if (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) note(waits);
        if (operation == FUTEX_WAKE) note(wakes);
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
}

namespace {

using namespace splitdsl;
using namespace std::chrono_literals;

fake::behaviour other_cloud{};

struct offload_often : fake::quiet {
    int n{};
    action on(frame_start, const link_view&, const budget&) noexcept { return ++n, action::go_on(); }
    action on(stage_done s, const link_view& l, const budget&) noexcept {
        return s.stage == 0 && l.up && n % 4 != 0 ? action::offload_at(0) : action::go_on();
    }
    using fake::quiet::on;
};

/// Minor and major page faults so far of the thread of that name.
long page_faults(const std::string& name) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream file{task.path() / "stat"};
        std::stringstream text;
        text << file.rdbuf();
        const std::string s = text.str();
        const auto open = s.find('('), close = s.rfind(')');
        if (close == std::string::npos || s.substr(open + 1, close - open - 1) != name) continue;
        std::istringstream rest{s.substr(close + 2)};
        std::string field;
        long minor{}, major{}, skip{};
        rest >> field >> skip >> skip >> skip >> skip >> skip >> skip >> minor >> skip >> major;
        return minor + major;
    }
    return -1;
}

template <class Connector>
void check_frame_path(std::unique_ptr<link::listener> listener, std::unique_ptr<Connector> connector, const char* what) {
    fake::edge_behaviour.calm(300us);
    fake::cloud_behaviour.calm(0us);
    cloud_core cloud{fake::network<fake::cloud_behaviour>(), {}, {}, std::move(listener)};
    edge_options o{.deadline = 30ms, .reserve = 10ms, .calibration_runs = 0};
    o.breaker.failures_to_open = 1000;
    o.link.ping_interval = 10ms;
    o.link.probe_interval = 50ms;
    edge_core<offload_often> edge{fake::network<fake::edge_behaviour>(), {}, offload_often{}, o, std::move(connector)};
    const auto frames = [&](int n) {
        for (int i = 0; i < n; ++i) {
            const fake::tagged_input in{static_cast<std::uint32_t>(i)};
            std::array<float, fake::outputs> out{};
            if (i % 20 == 7) fake::cloud_behaviour.hang(1, 40ms); // a fallback now, a late reply later
            edge.infer(in.spans, out);
            std::this_thread::sleep_for(2ms);
        }
    };
    for (int i = 0; i < 2000 && !edge.link_now().up; ++i) std::this_thread::sleep_for(1ms);
    REQUIRE(edge.link_now().up);
    frames(40);
    const auto before = edge.counters();
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    const long faults = page_faults("sd-compute");
    counting = true;
    constexpr int n = 200;
    frames(n);
    counting = false;
    const long new_faults = page_faults("sd-compute") - faults;
    const auto after = edge.counters();
    CHECK(after.answer.offloaded > before.answer.offloaded); // every way of a frame was taken
    CHECK(after.answer.local > before.answer.local);
    CHECK(after.answer.fallback > before.answer.fallback);
    CHECK(after.frame.late > before.frame.late);
    CHECK(after.link.pings > before.link.pings);
    CHECK(after.link.connects == before.link.connects);
    for (int t = 0; t < lockless; ++t) {
        INFO(what << ": " << names[static_cast<std::size_t>(t)]);
        std::printf("%-10s %-12s over %d frames: %ld allocations, %ld releases, %ld mutexes, %ld futex waits, %ld futex wakes\n", what,
                    names[static_cast<std::size_t>(t)], n, counts[t][allocations].load(), counts[t][releases].load(),
                    counts[t][mutexes].load(), counts[t][waits].load(), counts[t][wakes].load());
        CHECK(counts[t][allocations] == 0);
        CHECK(counts[t][releases] == 0);
        CHECK(counts[t][mutexes] == 0);
    }
    std::printf("%-10s sd-compute   page faults: %ld\n", what, new_faults);
    CHECK(new_faults == 0);
    CHECK(counts[compute][waits] > 0); // the interposition sees this program's own calls
}

} // namespace

TEST_CASE("the interposition counts allocations and mutexes on a named thread") {
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    std::thread{[] {
        ::pthread_setname_np(::pthread_self(), "sd-compute");
        counting = true;
        std::mutex m;
        { const std::lock_guard hold{m}; }
        const auto p = std::make_unique<std::array<char, 1000>>();
        (*p)[3] = 1;
        volatile char* keep = p->data();
        (void)keep;
        counting = false;
    }}.join();
    CHECK(counts[compute][allocations] == 1);
    CHECK(counts[compute][mutexes] == 1);
}

TEST_CASE("after warm-up a frame over TCP allocates nothing and locks no mutex on the compute, link and sentinel threads") {
    auto listener = std::make_unique<link::tcp_listener>(std::uint16_t{0});
    const auto port = listener->port();
    check_frame_path(std::move(listener), std::make_unique<link::tcp>("127.0.0.1", port), "TCP");
}

TEST_CASE("after warm-up a frame within one process allocates nothing and locks no mutex either") {
    auto listener = std::make_unique<link::in_process_listener>();
    auto connector = std::make_unique<link::in_process>(*listener);
    check_frame_path(std::move(listener), std::move(connector), "in process");
}

TEST_CASE("after warm-up a frame that one of two servers answers allocates nothing and locks no mutex, copies to the other one included") {
    fake::edge_behaviour.calm(300us);
    fake::cloud_behaviour.calm(0us);
    other_cloud.calm(0us);
    auto first = std::make_unique<link::in_process_listener>(), second = std::make_unique<link::in_process_listener>();
    const link::in_process to_first{*first}, to_second{*second};
    const cloud_core cloud{fake::network<fake::cloud_behaviour>(), {}, {}, std::move(first)}, other{fake::network<other_cloud>(), {}, {}, std::move(second)};
    edge_options o{.deadline = 60ms, .reserve = 10ms, .calibration_runs = 0};
    o.link.ping_interval = 10ms;
    o.link.probe_interval = 50ms;
    edge_core<offload_often, servers<>> edge{fake::network<fake::edge_behaviour>(), {}, offload_often{}, o,
                                             {{{"first", to_first}, {"second", to_second}}, {.second_share = 1, .first_probe = 20ms, .longest_probe = 40ms}}};
    const auto frames = [&](int n) {
        for (int i = 0; i < n; ++i) {
            const fake::tagged_input in{static_cast<std::uint32_t>(i)};
            std::array<float, fake::outputs> out{};
            if (i % 20 == 7) fake::cloud_behaviour.hang(1, 20ms), other_cloud.hang(1, 20ms); // whoever is asked is late
            edge.infer(in.spans, out);
            std::this_thread::sleep_for(2ms);
        }
    };
    const auto told = [&] {
        server_counters sum{};
        for (const server_report& r : edge.connection()->reports()) sum.seconds += r.counters.seconds, sum.probes += r.counters.probes, sum.answered += r.counters.answered;
        return sum;
    };
    for (int i = 0; i < 2000 && !edge.link_now().up; ++i) std::this_thread::sleep_for(1ms);
    REQUIRE(edge.link_now().up);
    frames(40);
    const server_counters before = told();
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    counting = true;
    frames(100);
    counting = false;
    const server_counters after = told();
    CHECK(after.seconds > before.seconds);
    CHECK(after.probes > before.probes);
    CHECK(after.answered > before.answered);
    for (int t = 0; t < lockless; ++t) {
        INFO(names[static_cast<std::size_t>(t)]);
        CHECK(counts[t][allocations] == 0);
        CHECK(counts[t][releases] == 0);
        CHECK(counts[t][mutexes] == 0);
    }
    CHECK(counts[compute][waits] > 0);
}

TEST_CASE("after warm-up three heads side by side allocate nothing and lock no mutex on the compute thread") {
    const fan_in::subject s = fan_in::three_cameras();
    cloud_core cloud{*s.net, s.packed, {.weights_digest = s.digest}, std::make_unique<link::tcp_listener>(std::uint16_t{0})};
    edge_options o{.deadline = 50ms, .reserve = 10ms, .calibration_runs = 200, .workers = default_runner(), .weights_digest = s.digest};
    edge_core<offload_often> edge{*s.net, s.packed, {}, o, std::make_unique<link::tcp>("127.0.0.1", cloud.port())};
    for (int i = 0; i < 2000 && !edge.link_now().up; ++i) std::this_thread::sleep_for(1ms);
    const auto frames = [&](std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i) {
            const fan_in::pictures in{i};
            const auto spans = in.spans();
            std::array<float, 3> out{};
            edge.infer(spans, out);
        }
    };
    frames(200);
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    counting = true;
    frames(200);
    counting = false;
    std::printf("three heads sd-compute  over 200 frames: %ld allocations, %ld releases, %ld mutexes\n", counts[compute][allocations].load(), counts[compute][releases].load(), counts[compute][mutexes].load());
    CHECK(counts[compute][allocations] == 0);
    CHECK(counts[compute][releases] == 0);
    CHECK(counts[compute][mutexes] == 0);
}

#if SPLITDSL_HAS_TBB
TEST_CASE("after warm-up the threads of a frame's steps cost its own thread no allocation and no mutex") {
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    std::atomic<long> tasks{};
    std::thread{[&tasks] {
        ::pthread_setname_np(::pthread_self(), "sd-compute");
        with_threads(3, [&tasks] {
            for (int frame = 0; frame < 400; ++frame) {
                counting = frame >= 200;
                default_runner()->with_crew([](void* context, frame_crew* crew) {
                    for (int step = 0; step < 20; ++step)
                        crew->run(*crew, 16, [](void* all, int first, int last) { *static_cast<std::atomic<long>*>(all) += last - first; }, context);
                }, &tasks);
            }
            counting = false;
        });
    }}.join();
    CHECK(tasks == 400 * 20 * 16);
    CHECK(counts[compute][allocations] == 0);
    CHECK(counts[compute][releases] == 0);
    CHECK(counts[compute][mutexes] == 0);
}
#endif

TEST_CASE("after warm-up a frame that streams over TCP allocates nothing and locks no mutex on the compute, link and sentinel threads") {
    const streamed::subject s = streamed::network();
    cloud_streams above{*s.net, s.packed};
    edge_streams here{*s.net};
    cloud_core cloud{*s.net, s.packed, {.weights_digest = s.digest, .streams = &above}, std::make_unique<link::tcp_listener>(std::uint16_t{0})};
    const std::array<duration, 4> times{4ms, 4ms, 4ms, 4ms};
    edge_options o{.deadline = 100ms, .reserve = 40ms, .stage_times = times, .calibration_runs = 0, .weights_digest = s.digest, .streams = &here};
    o.link.ping_interval = 20ms;
    auto plan = policy::fleet_plan(streamed::streams, streamed::sizes, policy::never_sure); // some frames to the trunk's end
    plan.threshold[1] = 0.115F;                                                             // an untrained exit is hardly sure of one class of ten
    edge_core<policy::fleet> edge{*s.net, s.packed, policy::fleet{plan}, o, std::make_unique<link::tcp>("127.0.0.1", cloud.port())};
    for (int i = 0; i < 2000 && !edge.link_now().up; ++i) std::this_thread::sleep_for(1ms);
    REQUIRE(edge.link_now().up);
    const auto frames = [&](std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i) {
            const streamed::picture in{i};
            std::array<float, streamed::classes> out{};
            edge.infer(in.spans, out);
        }
    };
    frames(20);
    const auto before = edge.counters();
    const auto sent = here.counted();
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    counting = true;
    frames(100);
    counting = false;
    const auto after = edge.counters();
    std::printf("streams    over 100 frames: %llu by the cloud, %llu streams, %llu packets\n", static_cast<unsigned long long>(after.answer.offloaded - before.answer.offloaded),
                static_cast<unsigned long long>(after.frame.streams - before.frame.streams), static_cast<unsigned long long>(here.counted().packets - sent.packets));
    CHECK(after.frame.streams > before.frame.streams);
    CHECK(after.frame.kept_going > before.frame.kept_going);
    CHECK(here.counted().packets > sent.packets);
    CHECK(here.counted().acknowledgements > sent.acknowledgements);
    CHECK(after.link.connects == before.link.connects);
    for (int t = 0; t < lockless; ++t) {
        INFO(names[static_cast<std::size_t>(t)]);
        std::printf("streams    %-12s over 100 frames: %ld allocations, %ld releases, %ld mutexes\n", names[static_cast<std::size_t>(t)], counts[t][allocations].load(), counts[t][releases].load(),
                    counts[t][mutexes].load());
        CHECK(counts[t][allocations] == 0);
        CHECK(counts[t][releases] == 0);
        CHECK(counts[t][mutexes] == 0);
    }
}

TEST_CASE("after warm-up a frame over three tiers allocates nothing on any tier, and locks no mutex but the queues'") {
    tiers::calm();
    auto top = std::make_unique<link::tcp_listener>(std::uint16_t{0});
    const auto port = top->port();
    cloud_core cloud{tiers::network<fake::cloud_behaviour>(), {}, {}, std::move(top)};
    middle_options m{.reserve = 10ms, .calibration_runs = 0};
    m.breaker.failures_to_open = 1000;
    m.link.ping_interval = 10ms;
    m.link.probe_interval = 50ms;
    const middle_core<tiers::send_at> middle{tiers::network<tiers::middle_behaviour>(), {}, tiers::send_at{1}, m, std::make_unique<link::tcp_listener>(std::uint16_t{0}),
                                             [port] { return std::make_unique<link::tcp>("127.0.0.1", port); }};
    edge_options o{.deadline = 80ms, .reserve = 10ms, .calibration_runs = 0};
    o.breaker.failures_to_open = 1000;
    edge_core<tiers::send_at> edge{tiers::network<fake::edge_behaviour>(), {}, tiers::send_at{0}, o, std::make_unique<link::tcp>("127.0.0.1", middle.port())};
    REQUIRE(comes_true([&] { return edge.link_now().up && middle.links_up() == 1; }));
    const auto frames = [&](int n) {
        for (int i = 0; i < n; ++i) {
            const fake::tagged_input in{static_cast<std::uint32_t>(i)};
            std::array<float, fake::outputs> out{};
            if (i % 20 == 7) fake::cloud_behaviour.hang(2, 90ms); // a fallback of the middle tier, and a late reply to it
            edge.infer(in.spans, out);
            std::this_thread::sleep_for(2ms);
        }
    };
    frames(40);
    const auto before = middle.counters();
    for (auto& thread : counts)
        for (auto& c : thread) c = 0;
    counting = true;
    frames(100);
    counting = false;
    const auto after = middle.counters();
    CHECK(after.answers.upstream > before.answers.upstream);
    CHECK(after.answers.fallback > before.answers.fallback);
    CHECK(after.frame.late > before.frame.late);
    CHECK(after.link.connects == before.link.connects);
    for (int t = 0; t < others; ++t) {
        INFO(names[static_cast<std::size_t>(t)]);
        std::printf("tiers      %-12s over 100 frames: %ld allocations, %ld releases, %ld mutexes\n", names[static_cast<std::size_t>(t)], counts[t][allocations].load(), counts[t][releases].load(),
                    counts[t][mutexes].load());
        CHECK(counts[t][allocations] == 0);
        CHECK(counts[t][releases] == 0);
        if (t < lockless) CHECK(counts[t][mutexes] == 0);
    }
    CHECK(counts[serving][mutexes] > 0); // what was watched did run
}

#endif
