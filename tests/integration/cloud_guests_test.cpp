// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_guests_test.cpp
/// Who may stay in a cloud: what a full one says, whom silence costs his place, and what memory a connection has when.
#include "cloud_rig.hpp"

#include <splitdsl/link/tcp_listener.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

bool welcome(raw_edge& e) {
    e.hello();
    return e.next() == message_kind::hello_ack;
}
bool served_still(raw_edge& e) {
    e.send({.kind = message_kind::ping, .epoch = 9});
    return e.next() == message_kind::pong;
}
/// Bytes of this process that lie in memory now.
std::int64_t resident() {
    std::FILE* const f = std::fopen("/proc/self/statm", "r");
    long all{}, here{};
    REQUIRE(f != nullptr);
    REQUIRE(std::fscanf(f, "%ld %ld", &all, &here) == 2);
    std::fclose(f);
    return std::int64_t{here} * ::sysconf(_SC_PAGESIZE);
}
constexpr std::int64_t mib = 1 << 20;

} // namespace

TEST_CASE("a full cloud says so before it closes") {
    served s{{.connections_max = 1}};
    raw_edge first{s};
    REQUIRE(welcome(first));
    raw_edge second{s};
    REQUIRE(second.next() == message_kind::refuse);
    CHECK(second.sentence() == "the cloud has 1 of 1 connections");
    CHECK_FALSE(second.next().has_value());
    CHECK(s.ended(ending::full));
    CHECK(served_still(first));
    CHECK(endings_sentence(s.cloud->counters()) == "connections ended: 1 too many connections");
}

TEST_CASE("an edge that a full cloud turns away over TCP hears why, also when its hello lies unread") {
    fake::cloud_behaviour.calm({});
    auto listener = std::make_unique<link::tcp_listener>(std::uint16_t{0});
    const std::uint16_t port = listener->port();
    const cloud_core cloud{fake::network<fake::cloud_behaviour>(), {}, {.connections_max = 1}, std::move(listener)};
    const auto me = introduction_for(fake::network<fake::edge_behaviour>(), 0);
    const auto first = link::tcp{"127.0.0.1", port}.connect(2s);
    std::string why;
    REQUIRE(introduce(*first, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    for (int i = 0; i < 40; ++i) { // more than are seen off at once
        const auto next = link::tcp{"127.0.0.1", port}.connect(2s);
        REQUIRE(next);
        CHECK_FALSE(introduce(*next, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
        CHECK(why == "the cloud has 1 of 1 connections");
    }
}

TEST_CASE("where all have introduced themselves, the one silent longest makes room") {
    served s{{.connections_max = 2, .idle_least = 50ms}};
    raw_edge gone{s}, here{s};
    REQUIRE(welcome(gone));
    REQUIRE(welcome(here));
    std::this_thread::sleep_for(100ms);
    REQUIRE(served_still(here));
    raw_edge newcomer{s};
    CHECK(welcome(newcomer));
    CHECK_FALSE(gone.next().has_value());
    CHECK(s.ended(ending::silent));
    CHECK(served_still(here));
    CHECK(s.cloud->counters().endings[static_cast<std::size_t>(ending::full)] == 0);
}

TEST_CASE("who is not read because the cloud computes on its thread is not silent") {
    served s{{.connections_max = 1, .idle_limit = 40ms, .idle_least = 20ms}};
    raw_edge busy{s};
    REQUIRE(welcome(busy));
    fake::cloud_behaviour.shut_stage = 1;
    busy.ask(1, 60s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    std::this_thread::sleep_for(100ms);
    raw_edge newcomer{s};
    CHECK(newcomer.next() == message_kind::refuse);
    fake::cloud_behaviour.shut_stage = -1;
    CHECK(busy.next() == message_kind::reply);
}

TEST_CASE("a connection that is silent for too long is ended, unless there is no limit") {
    {
        served s{{.idle_limit = 50ms}};
        raw_edge e{s};
        REQUIRE(welcome(e));
        CHECK_FALSE(e.next().has_value());
        CHECK(s.ended(ending::silent));
    }
    served s{{.idle_limit = 0ms}};
    raw_edge e{s};
    REQUIRE(welcome(e));
    std::this_thread::sleep_for(300ms); // longer than a connection's thread sleeps
    CHECK(served_still(e));
}

TEST_CASE("who has not introduced himself has no memory for requests, and what a connection had goes back to the system") {
    static constexpr std::size_t input = 8 << 20;
    static constexpr tensor_info large[]{{"camera", 1, 1, static_cast<int>(input), input}};
    fake::cloud_behaviour.calm({});
    pipeline net = fake::network<fake::cloud_behaviour>();
    net.inputs = large;
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process door{*listener};
    const cloud_core cloud{net, {}, {.handshake_timeout = 60s}, std::move(listener)};
    const auto begin = resident();
    std::vector<std::unique_ptr<link::stream>> silent;
    for (int i = 0; i < 12; ++i) silent.push_back(door.connect(1s));
    for (int i = 0; i < 2000 && cloud.counters().connections < 12; ++i) std::this_thread::sleep_for(1ms);
    CHECK(resident() - begin < 24 * mib);
    {
        const auto known = door.connect(1s);
        std::string why;
        REQUIRE(introduce(*known, introduction_for(net, 0), 9, std::chrono::steady_clock::now() + 5s, why).accepted);
        CHECK(resident() - begin >= 32 * mib); // the reader's and three places
    }
    for (int i = 0; i < 2000 && resident() - begin > 24 * mib; ++i) std::this_thread::sleep_for(1ms);
    CHECK(resident() - begin < 24 * mib);
}

TEST_CASE("a patient edge has its turn beside one that always has urgent requests waiting") {
    served s;
    raw_edge patient{s}, greedy{s};
    REQUIRE(welcome(patient));
    REQUIRE(welcome(greedy));
    fake::cloud_behaviour.shut_stage = 1; // the first request holds the only place to compute in
    greedy.ask(1, 60s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    // Its connection computes; a second one of the same kind keeps three waiting.
    raw_edge hog{s};
    REQUIRE(welcome(hog));
    for (std::uint32_t i = 0; i < 3; ++i) hog.ask(10 + i, 60s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 4; }));
    patient.ask(5, 600s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 5; }));
    fake::cloud_behaviour.stage_ns[1] = 30'000'000;
    fake::cloud_behaviour.shut_stage = -1;
    REQUIRE(patient.next() == message_kind::reply);
    const auto waited = patient.reader.header().service_us;
    std::vector<std::uint32_t> others;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(hog.next() == message_kind::reply);
        others.push_back(hog.reader.header().service_us);
    }
    CHECK(others[0] < waited); // it came first and is as urgent as can be
    CHECK(waited < others[1]); // both wait in the same queue
}

TEST_CASE("a large buffer is aligned and zeroed, and its memory goes back to the system when it ends") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{4000}, std::size_t{100'000}, std::size_t{128} << 10, std::size_t{1'500'000}, std::size_t{5} << 20}) {
        CAPTURE(size);
        const aligned_buffer b{size};
        CHECK(reinterpret_cast<std::uintptr_t>(b.data()) % (size < 4000 ? 64 : size < (std::size_t{2} << 20) ? 4096 : std::size_t{2} << 20) == 0);
        CHECK(std::all_of(b.bytes().begin(), b.bytes().end(), [](std::byte v) { return v == std::byte{}; }));
    }
    std::free(std::malloc(std::size_t{8} << 20)); // from here on an allocator keeps blocks of this size
    std::byte* was{};
    void* kept{};
    {
        const aligned_buffer b{1'500'000};
        was = b.data();
        kept = std::malloc(100'000);
    }
    unsigned char state{};
    CHECK((::mincore(was, 4096, &state) != 0 && errno == ENOMEM)); // nothing is mapped there
    std::free(kept);
}
