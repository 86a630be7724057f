// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_tenants_test.cpp
/// Several tenants of one cloud: who is let in, what each may have, and that nothing of one's frames is left for another's.
#include "cloud_rig.hpp"

#include "../unit/refusals.hpp"

#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/edge_core.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string>

namespace {

const std::string north_token = "north-0123456789", south_token = "south-0123456789";
std::vector<cloud_tenant> two_tenants() { return {{.name = "north", .token = north_token}, {.name = "south", .token = south_token}}; }

void hello_of(const raw_peer& e, const std::string& token, std::uint64_t weights = 0) {
    link::handshake me = introduction_for(fake::network<fake::edge_behaviour>(), weights);
    me.tenant = token;
    auto m = introduction_of(me);
    link::seal({.kind = message_kind::hello, .epoch = 9}, m);
    e.write(m);
    detail::wipe(m.data(), m.size());
}
bool welcome(raw_edge& e, const std::string& token) {
    hello_of(e, token);
    return e.next() == message_kind::hello_ack;
}
std::string refused(raw_edge& e, const std::string& token, std::uint64_t weights = 0) {
    hello_of(e, token, weights);
    return e.next() == message_kind::refuse ? e.sentence() : "not refused";
}

/// A byte of a payload that no other byte of this process is likely to follow.
std::byte secret(std::size_t at) { return static_cast<std::byte>((at * at * 167 + at * 59 + 83) >> 3); }
constexpr std::size_t window = 24;

/// How often `window` bytes of a secret payload, from one of three places on, lie in this process's memory.
int found_in_memory() {
    static std::vector<std::byte> block(1 << 20);
    int found = 0;
    std::FILE* const maps = std::fopen("/proc/self/maps", "r");
    const int memory = ::open("/proc/self/mem", O_RDONLY);
    REQUIRE(maps != nullptr);
    REQUIRE(memory >= 0);
    char text[512];
    while (std::fgets(text, sizeof text, maps) != nullptr) {
        std::uint64_t from{}, to{};
        char rights[5]{};
        if (std::sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) != 3 || rights[0] != 'r' || rights[1] != 'w') continue;
        while (from < to) {
            const auto size = std::min<std::uint64_t>(block.size(), to - from);
            const auto own = reinterpret_cast<std::uint64_t>(block.data());
            const bool mine = from < own + block.size() && own < from + size; // what was read a moment ago
            const auto got = mine ? 0 : ::pread(memory, block.data(), size, static_cast<::off_t>(from));
            for (std::size_t i = 0; got > 0 && i + window <= static_cast<std::size_t>(got); ++i)
                for (const std::size_t begin : {std::size_t{100}, std::size_t{500}, std::size_t{880}}) {
                    std::size_t same = 0;
                    while (same < window && block[i + same] == secret(begin + same)) ++same;
                    found += same == window;
                }
            from += mine ? 4096 : size > window ? std::max<std::uint64_t>(size - window, 1) : size;
        }
    }
    ::close(memory);
    std::fclose(maps);
    detail::wipe(block.data(), block.size());
    return found;
}

/// A tail that leaves copies of its payload about in its arena.
pipeline untidy() {
    pipeline net = fake::network<fake::cloud_behaviour>();
    net.batch_limit = 1;
    net.functions.run = [](const void*, const frame_memory& m, int, int, const std::atomic<bool>*) {
        std::memcpy(m.arena + 2048, m.arena, fake::payload_bytes);
        return true;
    };
    net.functions.run_batch = nullptr;
    return net;
}

} // namespace

TEST_CASE("a cloud with tenants serves those who say one of their tokens, and tells others nothing of its network") {
    cloud_options o{.weights_digest = 1};
    o.tenants = two_tenants();
    served s{std::move(o)};
    const auto says_to_new = [&](const std::string& token, std::uint64_t weights) {
        raw_edge e{s};
        return refused(e, token, weights);
    };
    CHECK(says_to_new("", 2) == "the cloud serves known tenants: a tenant_token was expected, found none");
    for (const std::string& wrong : {north_token + "0", north_token.substr(1), std::string(16, 'x'), std::string(256, 'x'), "north-012345678" + std::string(1, '\0')})
        CHECK(says_to_new(wrong, 2) == "the cloud knows no tenant with this token");
    CHECK(says_to_new(south_token, 2).find("weights digest") != std::string::npos);
    CHECK(s.ended(ending::refused, 7));
    raw_edge north{s}, south{s};
    hello_of(north, north_token, 1);
    CHECK(north.next() == message_kind::hello_ack);
    hello_of(south, south_token, 1);
    CHECK(south.next() == message_kind::hello_ack);
    south.ask(1, 10s);
    CHECK(south.next() == message_kind::reply);
}

TEST_CASE("a cloud without tenants takes an edge with a token as any other") {
    served s;
    raw_edge e{s};
    CHECK(welcome(e, north_token));
}

TEST_CASE("an edge says its token to a cloud") {
    fake::edge_behaviour.calm({});
    cloud_options o;
    o.tenants = two_tenants();
    served s{std::move(o)};
    const auto infers = [&](const std::string& token) {
        edge_options e{.deadline = 500ms, .reserve = 40ms, .calibration_runs = 0};
        e.tenant_token = token;
        e.link.first_retry = 5ms;
        edge_core<fake::quiet> edge{fake::network<fake::edge_behaviour>(), {}, fake::quiet{}, e, std::make_unique<link::in_process>(*s.door)};
        for (int i = 0; i < 2000 && !edge.link_now().up && edge.counters().link.connect_failures == 0; ++i) std::this_thread::sleep_for(1ms);
        return edge.link_failure();
    };
    CHECK(infers(south_token).empty());
    CHECK(infers("").find("a tenant_token was expected, found none") != std::string::npos);
    CHECK(says(refusal([&] { infers(std::string(257, 'x')); }), "edge: a tenant_token of at most 256 bytes was expected, found 257"));
}

TEST_CASE("a tenant has no more connections than it may, and has them again when one ends") {
    cloud_options o;
    o.tenants = two_tenants();
    o.tenants[0].connections_max = 2;
    served s{std::move(o)};
    raw_edge first{s}, third{s}, other{s};
    REQUIRE(welcome(first, north_token));
    {
        raw_edge second{s};
        REQUIRE(welcome(second, north_token));
        CHECK(refused(third, north_token) == "tenant \"north\" has 2 of 2 connections");
        CHECK(welcome(other, south_token));
    }
    REQUIRE(s.ended(ending::peer_left));
    raw_edge fourth{s};
    CHECK(welcome(fourth, north_token));
}

TEST_CASE("one of a tenant's many edges waits for another tenant's turn") {
    cloud_options o;
    o.tenants = two_tenants();
    served s{std::move(o)};
    std::vector<std::unique_ptr<raw_edge>> many;
    for (int i = 0; i < 4; ++i) {
        many.push_back(std::make_unique<raw_edge>(s));
        REQUIRE(welcome(*many.back(), north_token));
    }
    raw_edge one{s};
    REQUIRE(welcome(one, south_token));
    fake::cloud_behaviour.shut_stage = 1;
    many[0]->ask(1, 60s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    for (std::uint32_t i = 1; i < 4; ++i) {
        many[i]->ask(1, 60s);
        REQUIRE(s.until([&](const cloud_counters& c) { return c.requests == 1 + i; }));
    }
    for (std::uint32_t i = 0; i < 2; ++i) one.ask(i, 600s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 6; }));
    fake::cloud_behaviour.stage_ns[1] = 30'000'000;
    fake::cloud_behaviour.shut_stage = -1;
    std::vector<std::uint32_t> waited;
    for (std::uint32_t i = 1; i < 4; ++i) {
        REQUIRE(many[i]->next() == message_kind::reply);
        waited.push_back(many[i]->reader.header().service_us);
    }
    for (int i = 0; i < 2; ++i) {
        REQUIRE(one.next() == message_kind::reply);
        CHECK(one.reader.header().service_us < waited[2]); // alone it would have come behind all four, and its second one behind the first
    }
}

TEST_CASE("requests of two tenants are never computed together") {
    cloud_options o{.batch = 4};
    o.tenants = two_tenants();
    served s{std::move(o), 5ms};
    raw_edge busy{s}, a{s}, b{s}, c{s};
    REQUIRE(welcome(busy, north_token));
    REQUIRE(welcome(a, north_token));
    REQUIRE(welcome(b, north_token));
    REQUIRE(welcome(c, south_token));
    fake::cloud_behaviour.shut_stage = 1;
    busy.ask_tagged(1, 60s);
    REQUIRE(s.until([](const cloud_counters& n) { return n.requests == 1; }));
    std::this_thread::sleep_for(20ms);
    a.ask_tagged(2, 61s);
    c.ask_tagged(4, 61s);
    b.ask_tagged(3, 61s);
    REQUIRE(s.until([](const cloud_counters& n) { return n.requests == 4; }));
    fake::cloud_behaviour.shut_stage = -1;
    CHECK(busy.answered(1));
    CHECK(a.answered(2));
    CHECK(b.answered(3));
    CHECK(c.answered(4));
    CHECK(s.cloud->counters().batched <= 2); // the first tenant's two, unless the machine was too busy for batches to pay
    const waiting_request first{.deadline = instant{2s}, .tenant = 1};
    const auto no_time = [](int, int) { return duration{}; };
    CHECK(joins(first, {.deadline = instant{2s}, .tenant = 1}, instant{1s}, no_time));
    CHECK_FALSE(joins(first, {.deadline = instant{2s}, .tenant = 0}, instant{1s}, no_time));
}

TEST_CASE("when a tenant's edge has left and another tenant's frame ran, nothing of the first one's payload is in memory") {
    fake::cloud_behaviour.calm({});
    cloud_options o;
    o.tenants = two_tenants();
    auto listener = std::make_unique<link::tcp_listener>(std::uint16_t{0}); // whose bytes wait in the system, not here
    const std::uint16_t port = listener->port();
    const cloud_core cloud{untidy(), {}, std::move(o), std::move(listener)};
    const auto limits = link::frame_limits::of_edge(fake::outputs * sizeof(float));
    const auto asks = [&](const raw_peer& e, bool secretly) {
        std::vector<std::byte> m(link::header_bytes + fake::payload_bytes);
        if (secretly)
            for (std::size_t i = 0; i < fake::payload_bytes; ++i) m[link::header_bytes + i] = secret(i);
        link::seal({.kind = message_kind::payload, .epoch = 9, .sequence = 1, .budget_us = 10'000'000}, m);
        e.write(m);
        detail::wipe(m.data(), m.size());
    };
    raw_peer south{link::tcp{"127.0.0.1", port}.connect(2s), limits};
    hello_of(south, south_token);
    REQUIRE(south.next() == message_kind::hello_ack);
    {
        raw_peer north{link::tcp{"127.0.0.1", port}.connect(2s), limits};
        hello_of(north, north_token);
        REQUIRE(north.next() == message_kind::hello_ack);
        asks(north, true);
        REQUIRE(north.next() == message_kind::reply);
        CHECK(found_in_memory() >= 9); // in its place, in the arena, and where the tail has left it
        asks(south, false);
        REQUIRE(south.next() == message_kind::reply);
        CHECK(found_in_memory() == 3); // in its place alone
    }
    int left = -1;
    for (int i = 0; i < 20 && (left = found_in_memory()) != 0; ++i) std::this_thread::sleep_for(50ms);
    CHECK(left == 0);
}

TEST_CASE("tenants that cannot be meant are refused in a sentence") {
    const auto made = [](std::vector<cloud_tenant> t, const pipeline& net = fake::network<fake::cloud_behaviour>()) {
        fake::cloud_behaviour.calm({});
        cloud_options o;
        o.tenants = std::move(t);
        return refusal([&] { cloud_core{net, {}, std::move(o), std::make_unique<link::in_process_listener>()}; });
    };
    CHECK(made(two_tenants()) == "nothing was refused");
    CHECK(says(made({{.name = "north", .token = "too short"}}), "cloud: tenant \"north\": a token of 16 to 256 bytes was expected, found 9"));
    CHECK(says(made({{.name = "north", .token = std::string(257, 'x')}}), "found 257"));
    CHECK(says(made({{.name = "north", .token = north_token}, {.name = "other", .token = north_token}}),
               "cloud: tenant \"other\": a token of its own was expected, found that of \"north\""));
    for (const int wrong : {-1, 0, 1001})
        CHECK(says(made({{.name = "north", .token = north_token, .share = wrong}}), "a share of 1 to 1000 was expected, found " + std::to_string(wrong)));
    CHECK(says(made({{.name = "north", .token = north_token, .connections_max = -1}}), "a connections_max and a waiting_max of 0 or more"));
    CHECK(says(made({{.name = "north", .token = north_token, .waiting_max = -1}}), "a connections_max and a waiting_max of 0 or more"));
    std::vector<cloud_tenant> many;
    for (int i = 0; i < 65; ++i) many.push_back({.token = "token-number-" + std::to_string(1000 + i)});
    CHECK(says(made(many), "cloud: at most 64 tenants were expected, found 65"));
    pipeline elsewhere = fake::network<fake::cloud_behaviour>();
    elsewhere.functions.forget = [](const void*, const std::byte*) {};
    CHECK(says(made(two_tenants(), elsewhere), "cloud: at most one tenant was expected where frames leave bytes outside the cloud's arenas (streams, a GPU), found 2"));
    CHECK(made({two_tenants()[0]}, elsewhere) == "nothing was refused");
}

TEST_CASE("what is zeroed for another tenant counts before a request is begun: one that would be late behind it is shed") {
    cloud_options o;
    o.tenants = two_tenants();
    fake::cloud_behaviour.calm({});
    pipeline net = fake::network<fake::cloud_behaviour>();
    net.arena_bytes = std::size_t{192} << 20; // zeroing it takes longer than 2 ms on any machine
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process door{*listener};
    cloud_core cloud{net, {}, o, std::move(listener)};
    const auto limits = link::frame_limits::of_edge(fake::outputs * sizeof(float));
    raw_peer north{door.connect(1s), limits}, south{door.connect(1s), limits};
    const auto ask = [](raw_peer& e, std::uint32_t sequence, duration budget) {
        e.send({.kind = message_kind::payload, .epoch = 9, .sequence = sequence, .budget_us = link::wire_microseconds(budget)}, std::vector<std::byte>(fake::payload_bytes));
        return e.next();
    };
    hello_of(north, north_token);
    REQUIRE(north.next() == message_kind::hello_ack);
    hello_of(south, south_token);
    REQUIRE(south.next() == message_kind::hello_ack);
    CHECK(ask(north, 1, 100s) == message_kind::reply);
    CHECK(ask(south, 2, 2ms) == message_kind::shed);
    CHECK(cloud.counters().shed_late == 1);
    CHECK(ask(south, 3, 100s) == message_kind::reply);
}
