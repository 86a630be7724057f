// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_batches_test.cpp
/// Requests that wait in a cloud: in which order they leave, and which of them are computed together.
#include "cloud_rig.hpp"

#include <algorithm>
#include <map>
#include <set>

TEST_CASE("waiting requests of as many connections leave by deadline, equal ones in order, and never more than the bound wait") {
    request_queue<int> q{4};
    std::array<queue_turn, 5> who{};
    const instant t{1s};
    CHECK_FALSE(q.put(t + 3s, who[0], 3));
    CHECK_FALSE(q.put(t + 1s, who[1], 1));
    CHECK_FALSE(q.put(t + 2s, who[2], 20));
    CHECK_FALSE(q.put(t + 2s, who[3], 21));
    CHECK(q.put(t, who[4], 9) == 9);
    CHECK(q.size() == 4);
    CHECK(q.take() == 1);
    CHECK(q.take() == 20);
    CHECK(q.take() == 21);
    CHECK(q.take() == 3);
    CHECK(q.empty());
}

TEST_CASE("a queue gives away what is chosen, in order, and keeps the rest in order") {
    request_queue<int> q{6};
    std::array<queue_turn, 7> who{};
    const instant t{1s};
    for (const int n : {5, 2, 4, 1, 3, 6}) CHECK_FALSE(q.put(t + std::chrono::seconds{n}, who[static_cast<std::size_t>(n)], int{n}));
    std::vector<int> seen, taken;
    for (const std::uint32_t p : q.in_order()) seen.push_back(q[p]);
    CHECK(seen == std::vector<int>{1, 2, 3, 4, 5, 6});
    q.take(taken, [](int n) { return n % 2 == 0; });
    CHECK(taken == std::vector<int>{2, 4, 6});
    CHECK(q.size() == 3);
    CHECK_FALSE(q.put(t + 2s, who[0], 20));
    CHECK(q.take() == 1);
    CHECK(q.take() == 20);
    CHECK(q.take() == 3);
    CHECK(q.take() == 5);
}

TEST_CASE("a second request of a connection leaves behind the first of every other, however urgent it is") {
    request_queue<int> q{8};
    std::array<queue_turn, 3> who{};
    const instant t{1s};
    const auto put = [&](std::size_t w, int n, duration in) { return q.put(t + in, who[w], int{n}).has_value(); };
    for (int i = 0; i < 3; ++i) REQUIRE_FALSE(put(0, 10 + i, 1ms));
    for (int i = 0; i < 2; ++i) REQUIRE_FALSE(put(1, 20 + i, 2ms));
    REQUIRE_FALSE(put(2, 30, 1h));
    CHECK(q.take() == 10);
    REQUIRE_FALSE(put(0, 13, 0ms)); // it asks again at once
    CHECK(q.take() == 20);
    CHECK(q.take() == 30);
    REQUIRE_FALSE(put(2, 31, 1h)); // who comes back later has saved nothing up, and lost nothing
    CHECK(q.take() == 11);
    CHECK(q.take() == 21);
    CHECK(q.take() == 31);
    CHECK(q.take() == 12);
    CHECK(q.take() == 13);
    CHECK(q.empty());
}

TEST_CASE("a connection without a request that waits takes the place of another's last in a full queue") {
    request_queue<int> q{3};
    std::array<queue_turn, 3> who{};
    const instant t{1s};
    for (int i = 0; i < 3; ++i) REQUIRE_FALSE(q.put(t, who[0], 10 + i));
    CHECK(q.put(t, who[0], 13) == 13);
    CHECK(q.put(t + 1h, who[1], 20) == 12);
    CHECK(q.put(t + 1h, who[2], 30) == 11);
    CHECK(q.put(t + 1h, who[1], 21) == 21);
    CHECK(q.put(t, who[0], 14) == 14);
    CHECK(q.take() == 10);
    CHECK_FALSE(q.put(t, who[0], 15)); // what was taken from it was no turn
    CHECK(q.take() == 20);
    CHECK(q.take() == 30);
    CHECK(q.take() == 15);
}

TEST_CASE("however small a tenant's share is, a full queue of another's requests has a place for its first") {
    const std::array<queue_share, 2> shares{{{.share = 1000}, {.share = 1}}};
    request_queue<int> q{8, shares};
    std::array<queue_turn, 2> who{{{.tenant = 0}, {.tenant = 1}}};
    const instant t{1s};
    int of_small = 0;
    for (int step = 0; step < 20'000; ++step) {
        while (q.size() < 8) REQUIRE_FALSE(q.put(t, who[0], 0));
        q.put(t, who[1], 1);
        while (q.size() < 8) q.put(t, who[0], 0);
        of_small += q.take();
    }
    CHECK(of_small >= 10);
    CHECK(of_small <= 40); // 20 by its share
}

TEST_CASE("tenants take turns before their connections do, by their shares") {
    const std::array<queue_share, 2> shares{queue_share{.share = 1}, queue_share{.share = 2}};
    const instant t{1s};
    const auto served = [&](bool one_by_one) { // by tenant, of 30 requests
        request_queue<int> q{64, shares};
        std::array<queue_turn, 11> who{};
        for (std::size_t w = 0; w < 10; ++w)
            for (int i = 0; i < 3; ++i) REQUIRE_FALSE(q.put(t, who[w], 0)); // ten connections, all urgent
        who[10].tenant = 1;
        for (int i = 0; i < 30; ++i) REQUIRE_FALSE(q.put(t + 1h, who[10], 1)); // one, patient
        std::vector<int> taken;
        if (one_by_one)
            for (int i = 0; i < 30; ++i) taken.push_back(q.take());
        else
            for (const std::uint32_t p : q.in_order()) taken.push_back(q[p]);
        return taken;
    };
    const auto one_by_one = served(true), looked_at = served(false);
    CHECK(std::count(one_by_one.begin(), one_by_one.end(), 1) == 20);
    CHECK(std::equal(one_by_one.begin(), one_by_one.end(), looked_at.begin()));
}

TEST_CASE("a tenant that was away has saved no turns, and more of its own wait only as it may") {
    const std::array<queue_share, 2> shares{queue_share{}, queue_share{.waiting_max = 2}};
    const instant t{1s};
    request_queue<int> q{4, shares};
    std::array<queue_turn, 3> who{};
    who[1].tenant = who[2].tenant = 1;
    for (int i = 0; i < 20; ++i) {
        REQUIRE_FALSE(q.put(t, who[0], 0));
        REQUIRE(q.take() == 0);
    }
    for (int i = 0; i < 2; ++i) REQUIRE_FALSE(q.put(t, who[1], 1));
    CHECK(q.put(t, who[1], 7) == 7);       // two of its own wait
    CHECK(q.put(t + 1h, who[2], 2) == 1); // another connection's, in place of the first one's second
    for (int i = 0; i < 2; ++i) REQUIRE_FALSE(q.put(t + 1ms, who[0], 0));
    CHECK(q.take() == 1);
    CHECK(q.take() == 0);
    CHECK(q.take() == 2);
    CHECK(q.take() == 0);
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
    SECTION("whose turn it is leads, and a more urgent one joins only what is in time for it") {
        CHECK(chosen({due(1s), due(12ms)}, 4).count == 2);
        CHECK(chosen({due(1s), due(11ms)}, 4).count == 1);
        CHECK(chosen({due(1s), due(14ms)}, 4, 5ms).start == now); // with one more the second would be late
        CHECK(chosen({due(1s), due(16ms)}, 4, 5ms).start == now + 2ms);
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
