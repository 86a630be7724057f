// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_test.cpp
/// The cloud alone, spoken to byte by byte: who is let in, who is served first, what ends a connection and how that is counted.
#include "../catch.hpp"

#include "fake_network.hpp"
#include "raw_peer.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/runtime/cloud_core.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;
using link::message_kind;

namespace {

struct served {
    explicit served(cloud_options o = {}, duration stage = {}) {
        fake::cloud_behaviour.calm(stage);
        auto listener = std::make_unique<link::in_process_listener>();
        door.emplace(*listener);
        cloud.emplace(fake::network<fake::cloud_behaviour>(), std::span<const std::byte>{}, std::move(o), std::move(listener));
    }
    /// Waits until the counters say so: at most two seconds.
    template <class Condition>
    bool until(Condition c) const {
        for (int i = 0; i < 2000; ++i, std::this_thread::sleep_for(1ms))
            if (c(cloud->counters())) return true;
        return false;
    }
    bool ended(ending why, std::uint64_t times = 1) const {
        return until([&](const cloud_counters& c) { return c.endings[static_cast<std::size_t>(why)] == times; });
    }
    std::optional<link::in_process> door;
    std::optional<cloud_core> cloud;
};

/// An edge made of bytes.
struct raw_edge : raw_peer {
    explicit raw_edge(served& s) : raw_peer{s.door->connect(1s), link::frame_limits::of_edge(fake::outputs * sizeof(float))} {}
    using raw_peer::send;
    void send(link::frame_header h, std::size_t payload = 0, std::byte fill = {}) const { send(h, std::vector<std::byte>(payload, fill)); }
    void hello(std::uint64_t weights = 0) const {
        auto m = introduction_of(introduction_for(fake::network<fake::edge_behaviour>(), weights));
        link::seal({.kind = message_kind::hello, .epoch = 9}, m);
        write(m);
    }
    /// A payload whose answer shows its tag.
    void ask_tagged(std::uint32_t tag, duration budget, std::uint8_t cut = 0) const {
        std::vector<std::byte> payload(cut == link::whole_input ? fake::input_bytes : fake::payload_bytes);
        std::memcpy(payload.data(), &tag, sizeof tag);
        send({.kind = message_kind::payload, .cut = cut, .epoch = 9, .sequence = tag, .budget_us = link::wire_microseconds(budget)}, payload);
    }
    bool answered(std::uint32_t tag) {
        if (next() != message_kind::reply || reader.header().sequence != tag || reader.payload().size() != fake::outputs * sizeof(float)) return false;
        std::array<float, fake::outputs> values{};
        std::memcpy(values.data(), reader.payload().data(), sizeof values);
        for (std::size_t i = 0; i < values.size(); ++i)
            if (values[i] != fake::answer_to(tag) + static_cast<float>(i)) return false;
        return true;
    }
    void ask(std::uint32_t sequence, duration budget, std::size_t size = fake::payload_bytes, std::uint8_t cut = 0) const {
        send({.kind = message_kind::payload, .cut = cut, .epoch = 9, .sequence = sequence, .budget_us = link::wire_microseconds(budget)},
             size);
    }
};

} // namespace

TEST_CASE("a message's payload is given away without a copy") {
    const std::array<std::uint32_t, 1> sizes{fake::payload_bytes};
    const auto limits = link::frame_limits::of_cloud(sizes, {});
    auto [here, there] = link::in_process_pair();
    message_reader reader{limits};
    REQUIRE(reader.largest() == limits.largest());
    std::array<aligned_buffer, 2> places{aligned_buffer{reader.largest()}, aligned_buffer{reader.largest()}};
    std::array<std::span<const std::byte>, 2> given{};
    for (std::uint32_t i = 0; i < 10; ++i) {
        std::vector<std::byte> m(link::header_bytes + fake::payload_bytes, static_cast<std::byte>(i));
        link::seal({.kind = message_kind::payload, .sequence = i}, m);
        REQUIRE(there->write(m).bytes == m.size());
        REQUIRE(reader.next(*here) == message_reader::state::message);
        const std::byte* const lay = reader.payload().data();
        aligned_buffer& place = places[i % 2];
        given[i % 2] = reader.give_away(place);
        CHECK(given[i % 2].data() == lay);
        CHECK(given[i % 2].size() == fake::payload_bytes);
        CHECK(place.data() == lay);
        CHECK(place.size() == reader.largest());
        CHECK(reader.header().sequence == i); // what is known of the message stays known
        CHECK(reader.bytes() == m.size());
        CHECK(reader.next(*here) == message_reader::state::more);
        for (std::uint32_t k = i == 0 ? 0 : i - 1; k <= i; ++k) // neither this message nor the one before is touched by reading on
            CHECK(std::all_of(given[k % 2].begin(), given[k % 2].end(), [k](std::byte b) { return b == static_cast<std::byte>(k); }));
    }
}

TEST_CASE("requests that wait keep their payloads while others arrive") {
    served s;
    raw_edge e{s}, other{s};
    e.hello();
    other.hello();
    REQUIRE(e.next() == message_kind::hello_ack);
    REQUIRE(other.next() == message_kind::hello_ack);
    fake::cloud_behaviour.shut_stage = 1; // the first request holds the cloud's only bench
    const auto asked = [](std::uint32_t tag) {
        std::vector<std::byte> m(link::header_bytes + fake::payload_bytes);
        std::memcpy(m.data() + link::header_bytes, &tag, sizeof tag);
        link::seal({.kind = message_kind::payload, .epoch = 9, .sequence = tag, .budget_us = 60'000'000 + tag}, m);
        return m;
    };
    other.write(asked(50));
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    for (std::uint32_t tag = 60; tag < 63; ++tag) e.write(asked(tag));
    e.send({.kind = message_kind::probe, .epoch = 9, .sequence = 6}, 500, std::byte{0x5a});
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 4; }));
    REQUIRE(e.next() == message_kind::probe_ack);
    fake::cloud_behaviour.shut_stage = -1;
    for (std::uint32_t tag = 60; tag < 63; ++tag) {
        REQUIRE(e.next() == message_kind::reply);
        CHECK(e.reader.header().sequence == tag);
        float value{};
        std::memcpy(&value, e.reader.payload().data(), sizeof value);
        CHECK(value == fake::answer_to(tag));
    }
}

TEST_CASE("a cloud welcomes its like, answers payloads, pings and probes, and echoes stamp, epoch and sequence") {
    served s;
    raw_edge e{s};
    e.hello();
    REQUIRE(e.next() == message_kind::hello_ack);
    e.send({.kind = message_kind::ping, .epoch = 9, .sequence = 5, .stamp_us = 77});
    REQUIRE(e.next() == message_kind::pong);
    CHECK(e.reader.header().stamp_us == 77);
    CHECK(e.reader.header().sequence == 5);
    e.send({.kind = message_kind::probe, .epoch = 9, .sequence = 6}, 500);
    REQUIRE(e.next() == message_kind::probe_ack);
    e.ask(3, 10s);
    REQUIRE(e.next() == message_kind::reply);
    CHECK(e.reader.header().sequence == 3);
    CHECK(e.reader.header().epoch == 9);
    CHECK(e.reader.payload().size() == fake::outputs * sizeof(float));
    CHECK(s.cloud->counters().requests == 1);
    e.send({.kind = message_kind::goodbye});
    CHECK(s.ended(ending::peer_left));
    CHECK(s.cloud->counters().pings == 2);
}

TEST_CASE("a cloud refuses other weights with a sentence that names the difference") {
    served s{{.weights_digest = 1}};
    raw_edge e{s};
    e.hello(2);
    REQUIRE(e.next() == message_kind::refuse);
    const std::string text{reinterpret_cast<const char*>(e.reader.payload().data()), e.reader.payload().size()};
    CHECK(text.find("weights digest") != std::string::npos);
    CHECK(s.ended(ending::refused));
}

TEST_CASE("malformed input ends its connection with a counted, named reason and harms nobody else") {
    served s;
    raw_edge good{s}, bad{s};
    good.hello();
    REQUIRE(good.next() == message_kind::hello_ack);
    SECTION("noise") {
        std::vector<std::byte> noise(200, std::byte{0x5a});
        bad.write(noise);
        CHECK(s.ended(ending::malformed));
    }
    SECTION("a payload before the handshake") {
        bad.ask(1, 1s);
        CHECK(s.ended(ending::unexpected));
    }
    SECTION("a hello that is no handshake") {
        bad.send({.kind = message_kind::hello}, 100, std::byte{0xff});
        CHECK(s.ended(ending::refused));
    }
    SECTION("a second hello") {
        bad.hello();
        REQUIRE(bad.next() == message_kind::hello_ack);
        bad.hello();
        CHECK(s.ended(ending::unexpected));
    }
    SECTION("an unknown cut") {
        bad.hello();
        REQUIRE(bad.next() == message_kind::hello_ack);
        bad.ask(1, 1s, fake::payload_bytes, 1);
        CHECK(s.ended(ending::unknown_cut));
    }
    SECTION("a payload above its cut's size, of which nothing is read") {
        bad.hello();
        REQUIRE(bad.next() == message_kind::hello_ack);
        bad.send({.kind = message_kind::payload, .epoch = 9, .sequence = 1}, fake::payload_bytes + 1);
        CHECK(s.ended(ending::wrong_size));
    }
    SECTION("a size of 4 GiB in the header allocates nothing") {
        bad.hello();
        REQUIRE(bad.next() == message_kind::hello_ack);
        std::array<std::byte, link::header_bytes> m{};
        link::encode_header({.kind = message_kind::payload, .payload_bytes = 0xffffffff}, m);
        bad.write(m);
        CHECK(s.ended(ending::wrong_size));
    }
    SECTION("a payload that is not one of its cut") {
        bad.hello();
        REQUIRE(bad.next() == message_kind::hello_ack);
        bad.ask(1, 1s, fake::payload_bytes - 1);
        CHECK(s.ended(ending::bad_payload));
    }
    SECTION("a reply, which only clouds send") {
        bad.hello();
        REQUIRE(bad.next() == message_kind::hello_ack);
        bad.send({.kind = message_kind::reply}, 16);
        CHECK(s.ended(ending::unexpected));
    }
    auto last = bad.next();
    if (last == message_kind::refuse) last = bad.next(); // a hello is told why
    CHECK_FALSE(last.has_value());                       // ended
    good.ask(4, 10s);
    CHECK(good.next() == message_kind::reply);
}

TEST_CASE("a damaged payload is shed and counted, and the connection goes on") {
    served s;
    raw_edge e{s};
    e.hello();
    REQUIRE(e.next() == message_kind::hello_ack);
    std::vector<std::byte> m(link::header_bytes + fake::payload_bytes);
    link::seal({.kind = message_kind::payload, .epoch = 9, .sequence = 1, .budget_us = 1'000'000}, m);
    m[100] ^= std::byte{1};
    e.write(m);
    CHECK(e.next() == message_kind::shed);
    CHECK(s.cloud->counters().damaged == 1);
    e.ask(2, 10s);
    CHECK(e.next() == message_kind::reply);
}

TEST_CASE("an edge that says nothing is sent away") {
    served s{{.handshake_timeout = 50ms}};
    raw_edge e{s};
    CHECK(s.ended(ending::no_handshake));
}

TEST_CASE("one connection too many is closed") {
    served s{{.connections_max = 1}};
    raw_edge first{s};
    first.hello();
    REQUIRE(first.next() == message_kind::hello_ack);
    raw_edge second{s};
    CHECK(s.ended(ending::full));
    CHECK_FALSE(second.next().has_value());
}

TEST_CASE("what cannot be in time any more is shed, by the measured time of the tail") {
    served s;
    raw_edge e{s};
    e.hello();
    REQUIRE(e.next() == message_kind::hello_ack);
    e.ask(1, 0s);
    CHECK(e.next() == message_kind::shed);
    CHECK(s.cloud->counters().shed_late == 1);
    fake::cloud_behaviour.stage_ns[1] = 20'000'000;
    for (std::uint32_t n = 2; n < 10; ++n) { // the average learns
        e.ask(n, 10s);
        REQUIRE(e.next() == message_kind::reply);
    }
    CHECK(to_milliseconds(s.cloud->tail_of(0)) > 5.0);
    e.ask(20, 3ms);
    CHECK(e.next() == message_kind::shed);
}

TEST_CASE("the earliest deadline is served first, and a full queue sheds") {
    served s{{.queue_max = 2}};
    raw_edge busy{s}, patient{s}, urgent{s}, unlucky{s};
    for (auto* e : {&busy, &patient, &urgent, &unlucky}) {
        e->hello();
        REQUIRE(e->next() == message_kind::hello_ack);
    }
    fake::cloud_behaviour.shut_stage = 1; // the only bench is taken until this opens
    busy.ask(1, 100s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    std::this_thread::sleep_for(20ms);
    patient.ask(2, 100s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 2; }));
    urgent.ask(3, 50s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 3; }));
    unlucky.ask(4, 10s);
    CHECK(unlucky.next() == message_kind::shed);
    CHECK(s.cloud->counters().shed_full == 1);
    fake::cloud_behaviour.stage_ns[1] = 20'000'000;
    fake::cloud_behaviour.shut_stage = -1;
    REQUIRE(busy.next() == message_kind::reply);
    REQUIRE(patient.next() == message_kind::reply);
    REQUIRE(urgent.next() == message_kind::reply);
    // Both waited for the same bench: the later served one waited longer.
    CHECK(urgent.reader.header().service_us + 10'000 < patient.reader.header().service_us);
}

TEST_CASE("waiting requests leave by deadline, equal ones in order, and never more than the bound wait") {
    request_queue<int> q{4};
    const instant t{1s};
    CHECK(q.put(t + 3s, 3));
    CHECK(q.put(t + 1s, 1));
    CHECK(q.put(t + 2s, 20));
    CHECK(q.put(t + 2s, 21));
    CHECK_FALSE(q.put(t, 0));
    CHECK(q.take() == 1);
    CHECK(q.take() == 20);
    CHECK(q.take() == 21);
    CHECK(q.take() == 3);
    CHECK(q.empty());
}

TEST_CASE("a queue gives away what is chosen, most urgent first, and keeps the rest in order") {
    request_queue<int> q{6};
    const instant t{1s};
    for (const int n : {5, 2, 4, 1, 3, 6}) CHECK(q.put(t + std::chrono::seconds{n}, n));
    std::vector<int> seen, taken;
    for (const std::size_t p : q.by_urgency()) seen.push_back(q[p]);
    CHECK(seen == std::vector<int>{1, 2, 3, 4, 5, 6});
    q.take(taken, [](int n) { return n % 2 == 0; });
    CHECK(taken == std::vector<int>{2, 4, 6});
    CHECK(q.size() == 3);
    CHECK(q.put(t + 2s, 20));
    CHECK(q.take() == 1);
    CHECK(q.take() == 20);
    CHECK(q.take() == 3);
    CHECK(q.take() == 5);
}

TEST_CASE("a batch is as large as makes nobody late who would be in time without it") {
    const instant now{100s};
    const auto due = [&](duration in, int cut = 0) { return waiting_request{now + in, now - 1ms, cut}; };
    const auto time = [](int cut, int count) -> duration { return cut == 0 ? 8ms + 2ms * count : 5ms * count - 1ms; }; // 10, 12, 14, 16 ms; at cut 1 together is slower: 4, 9, 14 ms
    const auto chosen = [&](std::vector<waiting_request> w, int most, duration wait = {}) { return choose_batch(now, w, most, wait, time); };
    SECTION("all that wait at the cut, up to the most") {
        CHECK(chosen({due(1s)}, 4).count == 1);
        CHECK(chosen({due(1s), due(1s), due(1s)}, 4).count == 3);
        CHECK(chosen({due(1s), due(1s), due(1s)}, 2).count == 2);
        CHECK(chosen({due(1s), due(1s), due(1s)}, 1).count == 1);
        CHECK(chosen({due(1s), due(1s, 1), due(1s)}, 4).count == 2);
    }
    SECTION("the most urgent one's deadline bounds it") {
        CHECK(chosen({due(14ms), due(1s), due(1s), due(1s)}, 4).count == 3);
        CHECK(chosen({due(11ms), due(1s), due(1s), due(1s)}, 4).count == 1);
        CHECK(chosen({due(10ms), due(1s)}, 4).count == 1);
    }
    SECTION("who is late even alone leads nothing and joins nothing") {
        CHECK(chosen({due(9ms), due(1s), due(1s)}, 4).count == 1);
        CHECK(chosen({due(9ms, 1), due(9ms), due(1s, 1)}, 4).count == 1); // no gain at cut 1, and the second is at another
        const waiting_request first = due(1s);
        CHECK_FALSE(joins(first, due(9ms), now, time));
        CHECK_FALSE(joins(first, due(1s, 1), now, time));
        CHECK(joins(first, due(10ms), now, time));
    }
    SECTION("a batch that takes longer than one after another is none") {
        CHECK(chosen({due(1s, 1), due(1s, 1)}, 4).count == 1);
    }
    SECTION("a request of another cut that would be in time stays in time") {
        CHECK(chosen({due(1s), due(1s), due(1s), due(1s)}, 4).count == 4);
        CHECK(chosen({due(30ms), due(31ms, 1), due(1s), due(1s)}, 4).count == 3);
        // alone: 10 ms, then 4 ms of the other cut; behind three it would end at 18 ms, behind two at 16 ms
        CHECK(chosen({due(16ms), due(16ms, 1), due(1s), due(1s)}, 4).count == 2);
        CHECK(chosen({due(15ms), due(15ms + 500us, 1), due(1s), due(1s)}, 4).count == 1);
        // it would be late without the batch too, so it does not count
        CHECK(chosen({due(13ms), due(13ms, 1), due(1s), due(1s)}, 4).count == 2);
    }
    SECTION("one at the same cut that does not fit into the batch stays in time too") {
        CHECK(chosen({due(20ms), due(20ms), due(20ms)}, 2).count == 2);  // alone the third would be late: 30 ms
        CHECK(chosen({due(30ms), due(30ms), due(30ms)}, 2).count == 2);  // 12 ms and another 10
    }
    SECTION("it waits for others only while nobody can be late by it") {
        CHECK(chosen({due(1s)}, 4).start == now);
        CHECK(chosen({due(1s)}, 4, 5ms).start == now + 4ms);             // it came 1 ms ago
        CHECK(chosen({due(14ms)}, 4, 5ms).start == now + 2ms);           // with one more it takes 12 ms
        CHECK(chosen({due(11ms)}, 4, 5ms).start == now);
        CHECK(chosen({due(1s), due(1s)}, 2, 5ms).start == now);          // full
        CHECK(chosen({due(1s), due(1s, 1)}, 4, 5ms).start == now);       // another waits for the place
        CHECK(chosen({due(1s, 1)}, 4, 5ms).start == now);                // nothing to gain
        CHECK(chosen({due(9ms)}, 4, 5ms).start == now);                  // late anyway: it should hear of it
        CHECK(chosen({due(1s)}, 4, 500us).start == now);                 // waited long enough
    }
}

TEST_CASE("requests of several edges that wait at a cut are answered together, each with its own answer") {
    served s{{.batch = 4}, 5ms};
    raw_edge busy{s}, elsewhere{s};
    std::vector<std::unique_ptr<raw_edge>> edges;
    for (int i = 0; i < 5; ++i) edges.push_back(std::make_unique<raw_edge>(s));
    const auto welcome = [](raw_edge& e) {
        e.hello();
        return e.next() == message_kind::hello_ack;
    };
    REQUIRE(welcome(busy));
    REQUIRE(welcome(elsewhere));
    for (auto& e : edges) REQUIRE(welcome(*e));
    CHECK(s.cloud->tail_of(0, 4) <= 4 * s.cloud->tail_of(0));
    fake::cloud_behaviour.shut_stage = 1; // the only bench is taken until this opens
    busy.ask_tagged(1, 60s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    std::this_thread::sleep_for(20ms);    // until it runs
    bool lies = false;
    SECTION("all of them sound") {}
    SECTION("one of them lies: it alone is sent away") { lies = true; }
    for (std::uint32_t i = 0; i < 5; ++i) {
        if (lies && i == 1) edges[i]->ask(101, 61s, fake::payload_bytes - 1);
        else edges[i]->ask_tagged(100 + i, 61s + std::chrono::milliseconds{i});
    }
    elsewhere.ask_tagged(50, 61s, link::whole_input);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 7; }));
    fake::cloud_behaviour.shut_stage = -1;
    CHECK(busy.answered(1));
    for (std::uint32_t i = 0; i < 5; ++i) {
        if (lies && i == 1) CHECK_FALSE(edges[i]->next().has_value());
        else CHECK(edges[i]->answered(100 + i));
    }
    CHECK(elsewhere.answered(50));
    CHECK(s.cloud->counters().batches == 1);
    CHECK(s.cloud->counters().batched == (lies ? 3 : 4)); // the fifth, and the one at another cut, run alone
    CHECK(s.cloud->counters().answered == (lies ? 6 : 7));
    if (lies) CHECK(s.ended(ending::bad_payload));
}

TEST_CASE("a cloud may wait for a second request to be computed with the first, and waits no longer than it was told") {
    {
        served s{{.batch = 2, .batch_wait = 10s}, 5ms};
        raw_edge a{s}, b{s};
        for (auto* e : {&a, &b}) {
            e->hello();
            REQUIRE(e->next() == message_kind::hello_ack);
        }
        a.ask_tagged(1, 60s);
        REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
        b.ask_tagged(2, 60s);
        CHECK(a.answered(1)); // full: at once
        CHECK(b.answered(2));
        CHECK(s.cloud->counters().batches == 1);
        a.ask_tagged(3, 60s); // nobody joins it: a cloud that ends does not wait for that
        REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 3; }));
        const auto begun = std::chrono::steady_clock::now();
        s.cloud.reset();
        CHECK(std::chrono::steady_clock::now() - begun < 5s);
    }
    served s{{.batch = 2, .batch_wait = 30ms}, 5ms};
    raw_edge a{s};
    a.hello();
    REQUIRE(a.next() == message_kind::hello_ack);
    a.ask_tagged(3, 60s);
    REQUIRE(a.answered(3));
    CHECK(a.reader.header().service_us >= 30'000);
    CHECK(s.cloud->counters().batches == 0);
}

TEST_CASE("a cloud runs every size of batch in every place for running requests before the first request comes") {
    static std::map<const std::byte*, std::set<int>> sizes; // of batches, by the memory of their first frame
    sizes.clear();
    pipeline net = fake::network<fake::cloud_behaviour>();
    net.functions.run_batch = [](const void*, const frame_memory* frames, int count, int, int, const std::atomic<bool>*) {
        sizes[frames->arena].insert(count);
        return true;
    };
    net.functions.run = [](const void*, const frame_memory& frame, int, int, const std::atomic<bool>*) {
        sizes[frame.arena].insert(1);
        return true;
    };
    const cloud_core cloud{net, {}, {.parallel = 3, .batch = 4}, std::make_unique<link::in_process_listener>()};
    REQUIRE(sizes.size() == 3);
    for (const auto& [arena, seen] : sizes) CHECK(seen == std::set{1, 2, 3, 4});
}

TEST_CASE("a cloud refuses batches that cannot be") {
    const auto with = [](cloud_options o) { served s{std::move(o)}; };
    CHECK_THROWS_AS(with({.batch = 0}), option_error);
    CHECK_THROWS_AS(with({.batch = 2, .batch_wait = -1ms}), option_error);
    CHECK_THROWS_AS(with({.batch = 2, .batch_wait = 11s}), option_error);
    served s{{.batch = 1000}}; // more than the network takes: as many as it takes
    CHECK(s.cloud->tail_of(0, 8) >= duration{});
}

TEST_CASE("the whole input may arrive encoded, and what cannot be decoded ends the connection") {
    cloud_options o;
    o.decode_input = [](std::span<const std::byte> from, std::span<const std::span<std::byte>> to) {
        if (from.size() != 4) return false;
        std::memcpy(to[0].data(), from.data(), 4);
        return true;
    };
    o.encoded_input_max = 8;
    served s{std::move(o)};
    raw_edge e{s};
    e.hello();
    REQUIRE(e.next() == message_kind::hello_ack);
    e.ask(1, 10s, 4, link::whole_input);
    REQUIRE(e.next() == message_kind::reply);
    float first{};
    std::memcpy(&first, e.reader.payload().data(), sizeof first);
    CHECK(first == fake::answer_to(0));
    e.ask(2, 10s, 5, link::whole_input);
    CHECK_FALSE(e.next().has_value());
    CHECK(s.ended(ending::bad_payload));
}
