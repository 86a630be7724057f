// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_batches_test.cpp
/// Exits of several clients' streams: who is computed at once, who together, who first, and that everybody hears what they would hear alone.
#include "raw_peer.hpp"
#include "stream_rig.hpp"

#include <atomic>
#include <set>
#include <thread>

using namespace streamed;
using link::message_kind;

namespace {

std::atomic<bool> shut{};
std::atomic<int> computing{}; // calls that wait behind the gate
std::atomic<bool> throws{}; // behind the gate, as for want of memory in a task_runner
void pass_gate() {
    ++computing;
    while (shut) std::this_thread::yield();
    --computing;
    if (throws) throw std::bad_alloc{};
}

/// The streamed network behind a gate.
pipeline gated() {
    shut = throws = false;
    pipeline p = *streamed::network().net;
    p.functions.run = [](const void* self, const frame_memory& m, int first, int last, const std::atomic<bool>* stop) {
        pass_gate();
        return streamed::network().net->functions.run(self, m, first, last, stop);
    };
    p.functions.run_batch = [](const void* self, const frame_memory* frames, int count, int first, int last, const std::atomic<bool>* stop) {
        pass_gate();
        return streamed::network().net->functions.run_batch(self, frames, count, first, last, stop);
    };
    return p;
}

/// At most ten seconds.
template <class Condition>
bool until(Condition c) {
    for (int i = 0; i < 10'000; ++i, std::this_thread::sleep_for(1ms))
        if (c()) return true;
    return false;
}

/// One packet with the first `sizes` sizes of what a picture leaves in a stream.
std::vector<std::byte> packet_of(std::uint32_t seed, int stream, int sizes) {
    const subject s = streamed::network();
    const stream_terms terms{*s.net};
    const picture in{seed};
    const aligned_buffer arena{s.net->arena_bytes};
    std::vector<float> outputs(s.net->output_floats);
    const void* input = in.bytes.data();
    s.net->run({arena.data(), s.packed.data(), &input, outputs.data()}, 0, terms.info[static_cast<std::size_t>(stream)].stage + 1, nullptr);
    dynamic_pool_encoder from{terms.ladders[static_cast<std::size_t>(stream)]};
    from.pool(reinterpret_cast<const float*>(arena.data() + terms.info[static_cast<std::size_t>(stream)].map));
    std::vector<std::byte> packet(4096);
    pool_packet_writer writer{from, {.packet_bytes = packet.size(), .stream = stream}};
    writer.start(1);
    packet.resize(writer.next(packet, sizes));
    REQUIRE(writer.next_level() >= sizes);
    return packet;
}

struct client : raw_peer {
    client(link::in_process& door, const stream_terms& terms, std::uint32_t picture, int which, int complete)
        : raw_peer{door.connect(1s), link::frame_limits::of_edge(4 * classes * sizeof(float), streams)}, seed{picture}, stream_asked{which}, sizes_sent{complete} {
        const auto s = streamed::network();
        auto me = introduction_for(*s.net, s.digest);
        terms.introduce(me);
        std::string why;
        REQUIRE(introduce(*stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    }
    void ask(duration budget) const {
        send({.kind = message_kind::stream, .cut = static_cast<std::uint8_t>(stream_asked), .epoch = 9, .sequence = 1, .budget_us = link::wire_microseconds(budget)},
             packet_of(seed, stream_asked, sizes_sent));
    }
    /// Whether the answer is, bit for bit, the one that this picture's exit gives without a link.
    bool is_answered() {
        if (next() != message_kind::stream_ack || next() != message_kind::exit_reply) return false;
        std::vector<float> got(classes);
        if (reader.payload().size() != classes * sizeof(float) || reader.header().codec != sizes_sent) return false;
        std::memcpy(got.data(), reader.payload().data(), reader.payload().size());
        return same_bits(got, reference{picture{seed}}.answer(stream_asked, 0, sizes_sent));
    }
    std::uint32_t seed;
    int stream_asked, sizes_sent;
};

struct gateway {
    explicit gateway(cloud_stream_options o) : net{gated()}, above{net, streamed::network().packed, std::move(o)} {
        auto listener = std::make_unique<link::in_process_listener>();
        door.emplace(*listener);
        cloud.emplace(*streamed::network().net, streamed::network().packed, cloud_options{.weights_digest = streamed::network().digest, .streams = &above}, std::move(listener));
    }
    ~gateway() { shut = false; }
    std::unique_ptr<client> enter(std::uint32_t seed, int stream, int sizes) { return std::make_unique<client>(*door, terms, seed, stream, sizes); }
    pipeline net;
    stream_terms terms{net};
    cloud_streams above;
    std::optional<link::in_process> door;
    std::optional<cloud_core> cloud;
};

} // namespace

TEST_CASE("answers of several clients that wait for a place are computed together, whatever their sizes, and each is the one it gets alone") {
    gateway g{{.batch = 3}};
    const auto busy = g.enter(1, 0, 1), other = g.enter(2, 0, 3);
    std::vector<std::unique_ptr<client>> waiting;
    for (int i = 0; i < 4; ++i) waiting.push_back(g.enter(static_cast<std::uint32_t>(10 + i), 2, 1 + i % streamed::sizes));
    shut = true; // the only place is taken until this opens
    busy->ask(60s);
    REQUIRE(until([&] { return computing == 1; }));
    for (std::size_t i = 0; i < 4; ++i) waiting[i]->ask(60s + std::chrono::seconds{i});
    other->ask(120s);
    REQUIRE(until([&] { return g.above.counters().waiting == 5; }));
    shut = false;
    CHECK(busy->is_answered());
    for (const auto& c : waiting) CHECK(c->is_answered());
    CHECK(other->is_answered());
    const cloud_stream_counters c = g.above.counters();
    CHECK(c.batches == 1); // the fourth, and the one at another exit, run alone
    CHECK(c.batched == 3);
    CHECK(c.predictions == 6);
    CHECK(c.replies == 6);
    CHECK(c.waiting == 0);
}

TEST_CASE("a client that is alone waits for nobody, and clients that find a place are not computed together") {
    gateway g{{.parallel = 2, .batch = 8}};
    const auto first = g.enter(1, 1, 2), second = g.enter(2, 1, 2);
    shut = true;
    first->ask(60s);
    second->ask(60s);
    REQUIRE(until([&] { return computing == 2; }));
    shut = false;
    CHECK(first->is_answered());
    CHECK(second->is_answered());
    CHECK(g.above.counters().batches == 0);
}

TEST_CASE("an answer that is over before its turn is not computed") {
    gateway g{{.batch = 4}};
    const auto busy = g.enter(1, 0, 1), brief = g.enter(2, 0, 2), patient = g.enter(3, 0, 3);
    shut = true;
    busy->ask(60s);
    REQUIRE(until([&] { return computing == 1; }));
    brief->ask(1s);
    patient->ask(60s);
    REQUIRE(until([&] { return g.above.counters().waiting == 2; }));
    std::this_thread::sleep_for(1200ms);
    shut = false;
    CHECK(busy->is_answered());
    CHECK(patient->is_answered());
    REQUIRE(until([&] { return g.above.counters().late == 1; }));
    CHECK(g.above.counters().predictions == 2);
    CHECK(brief->next() == message_kind::stream_ack);
    CHECK_THROWS_AS((cloud_streams{g.net, streamed::network().packed, {.batch = 0}}), option_error);
}

namespace {

/// Two exits that say which frames ran together: their pipeline has no layers.
struct counting_exits {
    static inline std::vector<std::pair<int, int>> ran; // stage, frames
    static bool run(const void*, const frame_memory* frames, int count, int first, int, const std::atomic<bool>*) {
        pass_gate();
        ran.emplace_back(first, count);
        for (int i = 0; i < count; ++i) {
            std::memcpy(&frames[i].outputs[first - 1], frames[i].arena, sizeof(float));
            frames[i].outputs[first - 1] += static_cast<float>(first);
        }
        return true;
    }
    counting_exits() {
        stream.channels = stream.rows = stream.columns = 1;
        for (int e = 0; e < 2; ++e) exits[static_cast<std::size_t>(e)] = {.name = "exit", .stage = 1 + e, .first_float = static_cast<std::size_t>(e), .floats = 1, .reads = 1};
        net.arena_bytes = 64;
        net.output_floats = 2;
        net.stages = 1;
        net.streams = &stream, net.stream_count = 1;
        net.stream_exits = exits.data(), net.stream_exit_count = 2;
        net.batch_limit = 8;
        net.functions.run = [](const void* self, const frame_memory& m, int first, int last, const std::atomic<bool>* stop) { return run(self, &m, 1, first, last, stop); };
        net.functions.run_batch = run;
    }
    stream_info stream{};
    std::array<stream_exit_info, 2> exits{};
    pipeline net{};
};
/// A client's thread with its question.
struct asker {
    asker(exit_benches& b, const pipeline& p, int exit, duration budget, float map) : q{p} {
        q.exit = exit;
        q.deadline = std::chrono::steady_clock::now() + budget;
        q.values = &value;
        std::memcpy(q.maps[0].data(), &map, sizeof map);
        thread = std::thread{[this, &b] { got = b.answer(q); }};
    }
    exit_question q;
    float value{};
    exit_benches::outcome got{};
    std::thread thread;
};

} // namespace

TEST_CASE("a free place goes to the most urgent question, with others at its exit, and every size of batch ran before the first question") {
    const counting_exits n;
    counting_exits::ran.clear();
    exit_benches benches{n.net, nullptr, 1, 3, nullptr};
    std::set<std::pair<int, int>> warm{counting_exits::ran.begin(), counting_exits::ran.end()};
    CHECK(warm == std::set<std::pair<int, int>>{{1, 1}, {1, 2}, {1, 3}, {2, 1}, {2, 2}, {2, 3}});
    counting_exits::ran.clear();
    benches.expect(5);
    shut = true;
    std::vector<std::unique_ptr<asker>> all;
    const auto ask = [&](int exit, duration budget, float map, std::size_t wait_for) {
        all.push_back(std::make_unique<asker>(benches, n.net, exit, budget, map));
        REQUIRE(until([&] { return benches.counted().waiting == wait_for; }));
    };
    ask(0, 60s, 10, 0);
    REQUIRE(until([] { return computing == 1; }));
    ask(1, 50s, 20, 1);
    ask(0, 40s, 30, 2);
    ask(1, 30s, 40, 3);
    ask(0, 35s, 50, 4);
    shut = false;
    for (auto& a : all) a->thread.join();
    CHECK(counting_exits::ran == std::vector<std::pair<int, int>>{{1, 1}, {2, 2}, {1, 2}}); // 30 s leads 50 s, then 35 s leads 40 s
    for (auto& a : all) CHECK(a->got == exit_benches::outcome::answered);
    CHECK((all[0]->value == 11 && all[1]->value == 22 && all[2]->value == 31 && all[3]->value == 42 && all[4]->value == 51));
    CHECK(benches.counted().batches == 2);
    CHECK(benches.counted().answers == 4);
}

TEST_CASE("where an exit's stage throws, everybody who ran in it is told, and the place serves the next") {
    const counting_exits n;
    exit_benches benches{n.net, nullptr, 1, 3, nullptr};
    benches.expect(3);
    shut = true;
    std::vector<std::unique_ptr<asker>> all;
    for (std::size_t i = 0; i < 3; ++i) { // the first computes alone, the others together behind it
        all.push_back(std::make_unique<asker>(benches, n.net, 0, 60s, 10.0F));
        REQUIRE(until([&] { return computing == 1 && benches.counted().waiting == i; }));
    }
    throws = true;
    shut = false;
    for (auto& a : all) a->thread.join();
    throws = false;
    for (auto& a : all) CHECK(a->got == exit_benches::outcome::failed);
    CHECK(benches.counted().batches == 0);
    asker later{benches, n.net, 0, 60s, 10};
    later.thread.join();
    CHECK(later.got == exit_benches::outcome::answered);
    CHECK(later.value == 11);
}

TEST_CASE("a client whose answer fails in the cloud hears so, and is answered when it asks again") {
    gateway g{{}};
    const auto unlucky = g.enter(1, 0, 1);
    throws = true;
    unlucky->ask(60s);
    CHECK(unlucky->next() == message_kind::stream_ack);
    CHECK(unlucky->next() == message_kind::shed);
    CHECK(unlucky->reader.header().codec == static_cast<std::uint8_t>(link::shed_reason::failed));
    CHECK(unlucky->reader.header().sequence == 1);
    CHECK(g.above.counters().failed == 1);
    throws = false;
    const auto other = g.enter(2, 0, 1);
    other->ask(60s);
    CHECK(other->is_answered());
    CHECK(g.above.counters().predictions == 1);
}
