// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_test.cpp
/// The cloud alone, spoken to byte by byte: who is let in, who is served first, what ends a connection and how that is counted.
#include "cloud_rig.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

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

TEST_CASE("who says nothing does not keep out who would: the oldest without a handshake makes room") {
    served s{{.connections_max = 3, .handshake_timeout = 60s}};
    raw_edge known{s};
    known.hello();
    REQUIRE(known.next() == message_kind::hello_ack);
    raw_edge oldest{s}, silent{s};
    REQUIRE(s.until([](const cloud_counters& c) { return c.connections == 3; }));
    raw_edge true_edge{s};
    true_edge.hello();
    REQUIRE(true_edge.next() == message_kind::hello_ack);
    CHECK_FALSE(oldest.next().has_value());
    CHECK(s.ended(ending::full));
    true_edge.ask(1, 10s);
    CHECK(true_edge.next() == message_kind::reply);
    silent.hello(); // younger: still there
    CHECK(silent.next() == message_kind::hello_ack);
    raw_edge one_more{s}; // all have introduced themselves
    CHECK(one_more.next() == message_kind::refuse);
    CHECK_FALSE(one_more.next().has_value());
    CHECK(s.ended(ending::full, 2));
    known.ask(2, 10s);
    CHECK(known.next() == message_kind::reply);
}

TEST_CASE("a crowd that connects and says nothing, again and again, keeps no edge out") {
    served s{{.connections_max = 8, .handshake_timeout = 60s}};
    std::vector<std::unique_ptr<raw_edge>> crowd;
    for (std::uint64_t i = 0; i < 24; ++i) {
        crowd.push_back(std::make_unique<raw_edge>(s));
        REQUIRE(s.until([&](const cloud_counters& c) { return c.connections == i + 1; }));
    }
    raw_edge true_edge{s};
    true_edge.hello();
    REQUIRE(true_edge.next() == message_kind::hello_ack);
    for (std::uint64_t i = 0; i < 24; ++i) {
        crowd.push_back(std::make_unique<raw_edge>(s));
        REQUIRE(s.until([&](const cloud_counters& c) { return c.connections == 25 + i + 1; }));
        true_edge.ask(static_cast<std::uint32_t>(i), 10s);
        REQUIRE(true_edge.next() == message_kind::reply);
    }
    CHECK(s.ended(ending::full, 49 - 8));
}

TEST_CASE("a peer that sends a byte of a message now and then does not keep its place") {
    served s{{.arrival_limit = 50ms}};
    raw_edge slow{s}, other{s};
    for (auto* e : {&slow, &other}) {
        e->hello();
        REQUIRE(e->next() == message_kind::hello_ack);
    }
    SECTION("within the header") {}
    SECTION("within the payload") {
        std::vector<std::byte> m(link::header_bytes + fake::payload_bytes);
        link::seal({.kind = message_kind::payload, .epoch = 9, .sequence = 1, .budget_us = 1'000'000}, m);
        slow.write(std::span{m}.first(link::header_bytes + 10));
    }
    const std::array<std::byte, 1> part{std::byte{'s'}};
    std::thread drip{[&] {
        for (int i = 0; i < 500 && s.cloud->counters().endings[static_cast<std::size_t>(ending::too_long)] == 0; ++i, std::this_thread::sleep_for(10ms))
            if (i < 40 && slow.stream->write(part).what == link::io_result::closed) break; // never a whole header
    }};
    CHECK(s.ended(ending::too_long));
    drip.join();
    CHECK_FALSE(slow.next().has_value());
    other.ask(2, 10s); // silent for longer, but it owes nothing
    CHECK(other.next() == message_kind::reply);
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

TEST_CASE("a connection is read while the cloud computes for others, however many wait") {
    served s;
    raw_edge first{s}, second{s}, third{s};
    for (auto* e : {&first, &second, &third}) {
        e->hello();
        REQUIRE(e->next() == message_kind::hello_ack);
    }
    fake::cloud_behaviour.shut_stage = 1;
    first.ask_tagged(1, 100s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    second.ask_tagged(2, 100s);
    third.ask_tagged(3, 100s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 3; }));
    fake::cloud_behaviour.shut_stage = 2; // the first one's tail goes on to its second half,
    REQUIRE(s.until([](const cloud_counters&) { return fake::cloud_behaviour.in_stage == 2; }));
    fake::cloud_behaviour.shut_stage = 1; // and ends, while the next one's does not get far
    REQUIRE(first.answered(1));
    first.send({.kind = message_kind::ping, .epoch = 9, .sequence = 5});
    CHECK(first.next() == message_kind::pong); // its edge would take silence for a dead link
    fake::cloud_behaviour.shut_stage = -1;
    CHECK(second.answered(2));
    CHECK(third.answered(3));
}

TEST_CASE("a connection's thread runs its own requests alone") {
    std::mutex guard;
    std::map<std::thread::id, std::set<std::uint32_t>> ran; // by a connection's thread: whose requests
    cloud_options o;
    o.decode_input = [&](std::span<const std::byte> from, std::span<const std::span<std::byte>> to) {
        std::memcpy(to[0].data(), from.data(), fake::input_bytes);
        std::uint32_t tag{};
        std::memcpy(&tag, from.data(), sizeof tag);
        char name[16]{};
        ::pthread_getname_np(::pthread_self(), name, sizeof name);
        const std::lock_guard hold{guard};
        if (std::string{name} == "sd-cloud") ran[std::this_thread::get_id()].insert(tag / 10'000);
        return true;
    };
    served s{std::move(o)};
    std::vector<std::unique_ptr<raw_edge>> edges;
    std::vector<std::thread> threads;
    std::atomic<int> answers{};
    for (std::uint32_t who = 1; who <= 4; ++who) {
        edges.push_back(std::make_unique<raw_edge>(s));
        edges.back()->hello();
        REQUIRE(edges.back()->next() == message_kind::hello_ack);
    }
    for (std::uint32_t who = 1; who <= 4; ++who)
        threads.emplace_back([&answers, &e = *edges[who - 1], who] {
            for (std::uint32_t i = 0; i < 300; ++i) {
                e.ask_tagged(10'000 * who + i, 100s, link::whole_input);
                answers += e.answered(10'000 * who + i);
            }
        });
    for (auto& t : threads) t.join();
    CHECK(answers == 1200);
    CHECK(ran.size() <= 4);
    for (const auto& [thread, whose] : ran) CHECK(whose.size() == 1);
}

TEST_CASE("a connection is read while its request waits for others to join it") {
    served s{{.batch = 2, .batch_wait = 10s}};
    raw_edge a{s}, b{s};
    for (auto* e : {&a, &b}) {
        e->hello();
        REQUIRE(e->next() == message_kind::hello_ack);
    }
    a.ask_tagged(1, 100s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    a.send({.kind = message_kind::ping, .epoch = 9, .sequence = 5});
    CHECK(a.next() == message_kind::pong);
    b.ask_tagged(2, 100s);
    CHECK(a.answered(1));
    CHECK(b.answered(2));
    CHECK(s.cloud->counters().batches == 1);
}

TEST_CASE("three requests of an edge may wait; one more is shed, and counted") {
    served s;
    raw_edge busy{s}, e{s};
    for (auto* one : {&busy, &e}) {
        one->hello();
        REQUIRE(one->next() == message_kind::hello_ack);
    }
    fake::cloud_behaviour.shut_stage = 1;
    busy.ask_tagged(1, 100s);
    REQUIRE(s.until([](const cloud_counters& c) { return c.requests == 1; }));
    for (std::uint32_t tag = 2; tag < 6; ++tag) e.ask_tagged(tag, 100s);
    REQUIRE(e.next() == message_kind::shed);
    CHECK(e.reader.header().sequence == 5);
    CHECK(s.cloud->counters().requests == 5);
    CHECK(s.cloud->counters().shed_full == 1);
    fake::cloud_behaviour.shut_stage = -1;
    for (std::uint32_t tag = 2; tag < 5; ++tag) CHECK(e.answered(tag));
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
