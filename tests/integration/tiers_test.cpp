// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiers_test.cpp
/// Three tiers and more: who answers a frame, and that it is answered in time whatever becomes of the tiers behind the first.
#include "live_rig.hpp"
#include "raw_peer.hpp"
#include "tiers_rig.hpp"

#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/weighted.hpp>

#include <algorithm>
#include <atomic>
#include <thread>

using namespace tiers;
using link::message_kind;

TEST_CASE("a middle tier answers what its policy keeps, and passes on what the next tier answered") {
    struct way {
        std::vector<int> middles;
        int device, tier;
        std::uint64_t top; // the cloud's requests
    };
    const auto w = GENERATE(way{{-2}, 0, 1, 0}, // the middle keeps it
                            way{{1}, 0, 2, 1},  // runs its part and sends at the next cut
                            way{{0}, 0, 2, 1},  // sends on as it came: by the cut's number
                            way{{-1}, 0, 2, 1}, // or at the frame's start
                            way{{1}, -1, 2, 1}, // the whole input came
                            way{{-1}, -1, 2, 1},
                            way{{-2}, 1, 1, 0},      // behind the second cut there is but the rest
                            way{{0, 1}, 0, 3, 1},    // two middle tiers: the first sends on, the second computes
                            way{{0, -2}, 0, 2, 0},
                            way{{1, -1}, 0, 3, 1}, // the second sends on what the first computed
                            way{{-1, -1, 1}, 0, 4, 1});
    chain<> c{w.middles, w.device};
    for (std::uint32_t tag = 1; tag <= 5; ++tag) {
        const answer a = c.ask(tag);
        CHECK(a.source == answer_source::cloud);
        CHECK(a.tier == w.tier);
    }
    CHECK(c.cloud->counters().requests == 5 * w.top);
    CHECK(comes_true([&] { return c.counted().answers.here + c.counted().answers.upstream == 5; }));
    const middle_counters m = c.counted();
    CHECK(m.answers.upstream == (w.tier > 1 ? 5 : 0));
    CHECK(m.answers.fallback + m.answers.unanswered + m.answers.late == 0);
    CHECK(m.serving.answered == 5);
    CHECK(m.frame.invalid_actions == 0);
    CHECK(m.frame.accepted == m.answers.upstream);
}

TEST_CASE("a frame that the device computes itself is of tier 0") {
    chain<> c{{1}, -2};
    const answer a = c.ask(7);
    CHECK(a.source == answer_source::edge);
    CHECK(a.tier == 0);
    CHECK(c.counted().serving.requests == 0);
}

TEST_CASE("a middle tier answers in time itself when the next one hangs") {
    const int sends_at = GENERATE(-1, 0, 1);
    chain<> c{{sends_at}};
    fake::cloud_behaviour.shut_stage = 2;
    const answer a = c.ask(3);
    fake::cloud_behaviour.shut_stage = -1;
    CHECK(a.source == answer_source::cloud); // for the device, which did not begin its own tail
    CHECK(a.tier == 1);
    CHECK(c.device->counters().frame.rolled_back == 0);
    CHECK(comes_true([&] { return c.counted().answers.fallback == 1; }));
    CHECK(c.counted().answers.late == 0);
    CHECK(comes_true([&] { return c.ask(4).tier == 2; })); // and goes on with it
}

TEST_CASE("two tiers that hang behind the first keep nobody waiting") {
    chain<> c{{0, 1}};
    fake::cloud_behaviour.shut_stage = 2;
    const answer a = c.ask(3); // the second tier gives the cloud up while the first still waits for the second
    fake::cloud_behaviour.shut_stage = -1;
    CHECK(a.source == answer_source::cloud);
    CHECK(a.tier == 2);
    CHECK(c.device->counters().frame.rolled_back == 0);
    CHECK(comes_true([&] { return c.counted().answers.upstream == 1 && c.tier.back().counters().answers.fallback == 1; }));
}

TEST_CASE("a middle tier that hangs itself is left behind by the device") {
    chain<> c{{1}};
    middle_behaviour.shut_stage = 1;
    const answer a = c.ask(3);
    middle_behaviour.shut_stage = -1;
    CHECK(a.source == answer_source::fallback);
    CHECK(a.tier == 0);
}

TEST_CASE("without a fallback of its own a middle tier says at once that nobody answered") {
    chain<send_alone_at> c{{1}};
    fake::cloud_behaviour.throw_stage = 2;
    const answer a = c.ask(3);
    CHECK(a.source == answer_source::fallback);
    CHECK(c.device->counters().frame.shed == 1);
    CHECK(comes_true([&] { return c.counted().answers.unanswered == 1; }));
    CHECK(c.counted().serving.shed_late == 1);
}

TEST_CASE("what goes wrong with a reply of the next tier is mended by the one before") {
    chain<> c{{1}};
    SECTION("it holds a NaN") {
        fake::cloud_behaviour.answers_nan = true;
        CHECK(c.ask(3).tier == 1);
        CHECK(comes_true([&] { return c.counted().frame.not_finite == 1; }));
    }
    SECTION("the next tier threw") {
        fake::cloud_behaviour.throw_stage = 2;
        CHECK(c.ask(3).tier == 1);
        CHECK(comes_true([&] { return c.counted().frame.failed_there == 1; }));
    }
    CHECK(comes_true([&] { return c.counted().answers.fallback == 1; }));
    CHECK(c.device->counters().frame.rolled_back == 0);
}

TEST_CASE("a stage that throws on a middle tier costs its request alone, and the device hears at once") {
    chain<> c{{1}};
    middle_behaviour.throw_stage = 1;
    CHECK(c.ask(3).source == answer_source::fallback);
    CHECK(comes_true([&] { return c.device->counters().frame.failed_there == 1; }));
    middle_behaviour.throw_stage = -1;
    CHECK(c.ask(4).tier == 2);
    CHECK(c.counted().serving.failed == 1);
}

TEST_CASE("a next tier with other weights is not used, and the middle tier says why") {
    calm();
    door top, mid;
    const cloud_core cloud{network<fake::cloud_behaviour>(), {}, {.weights_digest = 9}, std::move(top.listener)};
    const middle_core<send_at> middle{network<middle_behaviour>(), {}, send_at{1}, middle_terms(), std::move(mid.listener), [&] { return top.connector(); }};
    edge_core<send_at> device{network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(), mid.connector()};
    REQUIRE(comes_true([&] { return device.link_now().up; }));
    REQUIRE(comes_true([&] { return middle.link_failure().find("weights digest") != std::string::npos; }));
    const answer a = ask(device, 3);
    CHECK(a.source == answer_source::cloud);
    CHECK(a.tier == 1);
    CHECK(middle.links_up() == 0);
    CHECK(comes_true([&] { return middle.counters().answers.here == 1; }));
}

TEST_CASE("the next tier dies while a frame waits for it: the middle tier finishes the frame at once") {
    chain<> c{{1}};
    fake::cloud_behaviour.shut_stage = 2;
    std::thread end{[&] {
        comes_true([&] { return c.cloud->counters().requests == 1; });
        std::thread opens{[] { std::this_thread::sleep_for(50ms), fake::cloud_behaviour.shut_stage = -1; }}; // a stage that runs is waited for
        c.cloud.reset();
        opens.join();
    }};
    const answer a = c.ask(3);
    end.join();
    CHECK(a.source == answer_source::cloud);
    CHECK(a.tier == 1);
    CHECK(comes_true([&] { return c.counted().answers.fallback == 1; }));
    for (std::uint32_t tag = 4; tag < 8; ++tag) CHECK(c.ask(tag).tier == 1);
    CHECK(c.counted().link.disconnects >= 1);
}

TEST_CASE("several devices share a middle tier's places, each place asks the next tier on its own") {
    chain<> c{{1}, 0, middle_terms(2), {.parallel = 2}};
    const auto other = c.another(0);
    fake::cloud_behaviour.shut_stage = 2;
    std::optional<asked> at_other;
    std::thread second{[&] { at_other.emplace(*other, 20); }};
    std::thread open{[&] {
        comes_true([&] { return c.cloud->counters().requests == 2; }); // both are under way at once
        fake::cloud_behaviour.shut_stage = -1;
    }};
    CHECK(c.ask(10).tier == 2);
    second.join();
    open.join();
    CHECK(at_other->judged().tier == 2);
    CHECK(comes_true([&] { return c.counted().answers.upstream == 2; }));
    std::vector<asked> many;
    std::thread both{[&] {
        for (std::uint32_t tag = 1030; tag < 1060; ++tag) many.emplace_back(*other, tag);
    }};
    for (std::uint32_t tag = 30; tag < 60; ++tag) CHECK(c.ask(tag).tier == 2);
    both.join();
    for (const asked& one : many) CHECK(one.judged().tier == 2);
}

TEST_CASE("a middle tier that ends while frames wait for the next one does not hang, nor does the device") {
    chain<> c{{1}};
    fake::cloud_behaviour.shut_stage = 2;
    std::thread end{[&] {
        comes_true([&] { return c.cloud->counters().requests == 1; });
        c.tier.clear();
    }};
    CHECK(c.ask(3).source == answer_source::fallback);
    end.join();
    fake::cloud_behaviour.shut_stage = -1;
}

namespace {

/// What attempts to connect and a listener tell of a middle tier's end.
struct end_signs {
    std::atomic<int> attempts{};
    std::atomic<bool> ended{}, first_over{}, others_over{};
};
/// Tells when it is closed: then the middle tier has told its places to end, and destroys them next.
struct watched_door final : link::listener {
    explicit watched_door(end_signs& s) : signs{s} {}
    std::unique_ptr<link::stream> accept(duration timeout) override {
        std::this_thread::sleep_for(std::min<duration>(timeout, 5ms));
        return nullptr;
    }
    void close() noexcept override { signs.ended = true; }
    end_signs& signs;
};
/// The next tier does not answer: each attempt goes on until the test ends it.
struct no_answer final : link::connector {
    no_answer(end_signs& s, int number) : signs{s}, which{number} {}
    std::unique_ptr<link::stream> connect(duration) override {
        ++signs.attempts;
        while (!(which == 0 ? signs.first_over : signs.others_over)) std::this_thread::sleep_for(1ms);
        return nullptr;
    }
    std::string describe() const override { return "nobody"; }
    end_signs& signs;
    int which;
};

} // namespace

TEST_CASE("the connections of a middle tier that ends end together: none tries again while another one's attempt is waited for") {
    calm();
    end_signs signs;
    int made = 0;
    std::optional<middle_core<send_at>> middle;
    middle.emplace(network<middle_behaviour>(), std::span<const std::byte>{}, send_at{1}, middle_terms(3), std::make_unique<watched_door>(signs),
                   [&] { return std::make_unique<no_answer>(signs, made++); });
    CHECK(comes_true([&] { return signs.attempts == 3; }));
    std::thread end{[&] { middle.reset(); }};
    CHECK(comes_true([&] { return signs.ended.load(); }));
    signs.others_over = true;
    std::this_thread::sleep_for(100ms); // many of their pauses between attempts
    CHECK(signs.attempts == 3);
    signs.first_over = true;
    end.join();
    CHECK(signs.attempts == 3);
}

namespace {

/// A device and a next tier made of bytes, and the middle tier between them.
struct between_bytes {
    explicit between_bytes(int sends_at, middle_options terms = middle_terms())
        : middle{network<middle_behaviour>(), {}, send_at{sends_at}, std::move(terms), std::move(below.listener), [this] { return above.connector(); }} {
        calm();
        up.emplace(above.listener->accept(5s), link::frame_limits::of_cloud(sizes, {.input_bytes = fake::input_bytes, .codecs = 255, .exact_cuts = false}));
        REQUIRE(up->next() == message_kind::hello);
        up->send({.kind = message_kind::hello_ack, .epoch = up->reader.header().epoch}, link::encode_handshake(introduction_for(network<fake::cloud_behaviour>(), 0)));
        down.emplace(below.way.connect(1s), link::frame_limits::of_edge(fake::outputs * sizeof(float)));
        down->send({.kind = message_kind::hello, .epoch = 9}, link::encode_handshake(introduction_for(network<fake::edge_behaviour>(), 0)));
        REQUIRE(down->next() == message_kind::hello_ack);
        REQUIRE(comes_true([&] { return middle.links_up() == 1; }));
    }
    ~between_bytes() { above.listener->close(); } // nobody answers a second hello
    void ask(std::uint32_t sequence, duration left, duration kept, std::size_t size = fake::payload_bytes, std::uint8_t codec = 0) {
        std::vector<std::byte> payload(size);
        std::memcpy(payload.data(), &sequence, sizeof sequence);
        down->send({.kind = message_kind::payload, .cut = 0, .codec = codec, .epoch = 9, .sequence = sequence, .budget_us = link::wire_microseconds(left), .service_us = link::wire_microseconds(kept)},
                   payload);
    }
    /// The request that reaches the next tier; pings and probes on the way are not answered.
    link::frame_header asked() {
        for (int i = 0; i < 20; ++i)
            if (up->next() == message_kind::payload) return up->reader.header();
        return {};
    }
    void reply(const link::frame_header& to, std::uint32_t tag, std::uint32_t tier) {
        std::array<float, fake::outputs> v{};
        for (std::size_t i = 0; i < v.size(); ++i) v[i] = fake::answer_to(tag) + static_cast<float>(i);
        up->send({.kind = message_kind::reply, .cut = to.cut, .epoch = to.epoch, .sequence = to.sequence, .budget_us = tier, .stamp_us = to.stamp_us}, std::as_bytes(std::span{v}));
    }
    const std::array<std::uint32_t, 2> sizes{fake::payload_bytes, narrow_bytes};
    door below{}, above{};
    middle_core<send_at> middle;
    std::optional<raw_peer> up{}, down{};
};

} // namespace

TEST_CASE("the next tier is told what is left behind the answer's way back and the tier's own reserve") {
    middle_options terms = middle_terms();
    terms.longest_wait = 1h;
    between_bytes b{GENERATE(0, 1), std::move(terms)};
    b.ask(5, 60s, 20s);
    const link::frame_header h = b.asked();
    CHECK(h.budget_us <= 40'000'000 - 500); // lead
    CHECK(h.budget_us > 20'000'000);
    CHECK(h.service_us >= 125'000); // what this tier keeps in turn: its reserve, of which the stage behind the second cut has half
    CHECK(h.service_us < 20'000'000);
    b.reply(h, 5, 6);
    REQUIRE(b.down->next() == message_kind::reply);
    CHECK(b.down->reader.header().sequence == 5);
    CHECK(b.down->reader.header().epoch == 9);
    CHECK(b.down->reader.header().budget_us == 7); // one tier further than the next one said
}

TEST_CASE("what whoever asks keeps for itself ends a middle tier's wait: its answer leaves long before the budget is spent") {
    between_bytes b{1};
    b.ask(5, 60s, 59s); // an answer of the next tier never comes
    REQUIRE(b.down->next() == message_kind::reply);
    CHECK(b.down->reader.header().budget_us == 0); // its own
    CHECK(comes_true([&] { return b.middle.counters().answers.fallback == 1; }));
}

TEST_CASE("however long whoever asks may wait, a middle tier's place waits for the next tier as long as it is told at most") {
    middle_options terms = middle_terms();
    terms.longest_wait = 50ms;
    between_bytes b{GENERATE(0, 1), std::move(terms)};
    b.ask(5, 4000s, 0s); // an answer of the next tier never comes
    CHECK(b.asked().budget_us < 1'000'000); // which is told of it
    REQUIRE(b.down->next() == message_kind::reply);
    CHECK(b.down->reader.header().budget_us == 0); // its own
    CHECK(comes_true([&] { return b.middle.counters().answers.fallback == 1; }));
    CHECK(b.middle.counters().answers.late == 0);
}

TEST_CASE("of a middle tier's free places one is taken whose connection to the next tier is up") {
    calm();
    door below, above;
    const auto cloud = std::make_unique<cloud_core>(network<fake::cloud_behaviour>(), std::span<const std::byte>{}, cloud_options{}, std::move(above.listener));
    struct nowhere final : link::connector {
        std::unique_ptr<link::stream> connect(duration) override { throw link_error("nowhere"); }
        std::string describe() const override { return "nowhere"; }
    };
    int made = 0;
    const int reached = GENERATE(0, 1, 2); // the only place with a way to the next tier
    const middle_core<send_at> middle{network<middle_behaviour>(), {}, send_at{1}, middle_terms(3), std::move(below.listener), [&]() -> std::unique_ptr<link::connector> {
                                          if (made++ == reached) return above.connector();
                                          return std::make_unique<nowhere>();
                                      }};
    edge_core<send_at> device{network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(), below.connector()};
    REQUIRE(comes_true([&] { return middle.links_up() == 1 && device.link_now().up; }));
    for (std::uint32_t tag = 1; tag <= 5; ++tag) CHECK(ask(device, tag).tier == 2);
}

TEST_CASE("an edge that does not say what it keeps, as older ones do not, is answered by its deadline") {
    between_bytes b{1};
    b.ask(5, deadline, 0s); // an answer of the next tier never comes
    CHECK(b.asked().service_us >= 125'000); // of what is left this tier keeps its own reserve nevertheless
    REQUIRE(b.down->next() == message_kind::reply);
    CHECK(b.down->reader.header().budget_us == 0); // its own
    CHECK(comes_true([&] { return b.middle.counters().answers.fallback == 1; }));
    CHECK(b.middle.counters().answers.late == 0);
}

TEST_CASE("a request that keeps more than it has is answered at once by the tier itself") {
    between_bytes b{1};
    b.ask(5, 60s, 4000s);
    REQUIRE(b.down->next() == message_kind::reply);
    CHECK(b.down->reader.header().budget_us == 0);
    CHECK(comes_true([&] { return b.middle.counters().answers.late == 1; })); // the moment was over when it came
}

TEST_CASE("what is sent on as it came keeps its bytes and its codec") {
    between_bytes b{0};
    b.ask(5, 60s, 1s, fake::payload_bytes, 3);
    const link::frame_header h = b.asked();
    CHECK(h.cut == 0);
    CHECK(h.codec == 3);
    std::uint32_t tag{};
    REQUIRE(b.up->reader.payload().size() == fake::payload_bytes);
    std::memcpy(&tag, b.up->reader.payload().data(), sizeof tag);
    CHECK(tag == 5);
}

TEST_CASE("over TCP every frame is answered in time whatever the relay does to the link behind the middle tier") {
    struct spell {
        const char* name;
        link::impairment bad;
        bool kill; // the cloud, too
    };
    const auto s = GENERATE(spell{"backhaul delay", {.delay = 40ms}, false}, spell{"backhaul stall", {.stall = true}, false}, spell{"backhaul blackhole", {.blackhole = true}, false},
                            spell{"backhaul kill", {}, true});
    calm();
    std::optional<cloud_core> cloud;
    const auto start_cloud = [&](std::uint16_t port) {
        cloud.emplace(network<fake::cloud_behaviour>(), std::span<const std::byte>{}, cloud_options{}, std::make_unique<link::tcp_listener>(port));
    };
    start_cloud(0);
    const std::uint16_t port = cloud->port();
    link::relay relay{{.port = port}};
    const edge_options hurried = live::impatient();
    middle_options terms{.reserve = 8ms, .calibration_runs = 0, .breaker = hurried.breaker, .link = hurried.link};
    const middle_core<send_at> middle{network<middle_behaviour>(), {}, send_at{1}, terms, std::make_unique<link::tcp_listener>(std::uint16_t{0}),
                                      [&] { return std::make_unique<link::tcp>("127.0.0.1", relay.port()); }};
    edge_options o = hurried;
    o.deadline = 60ms;
    edge_core<send_at> device{network<fake::edge_behaviour>(), {}, send_at{0}, o, std::make_unique<link::tcp>("127.0.0.1", middle.port())};
    REQUIRE(comes_true([&] { return device.link_now().up && middle.links_up() == 1; }));
    const int n = live::frames_wanted();
    const auto t = live::drive(device, n, [&](int i) {
        if (i % 20 == 5) {
            if (s.kill) cloud.reset(), relay.reset_connections();
            else relay.set(link::direction::both, s.bad);
        }
        if (i % 20 == 15) {
            if (s.kill) start_cloud(port);
            else relay.set(link::direction::both, {});
        }
    });
    live::check_promise(device, t, n, s.name);
    const middle_counters m = middle.counters();
    std::printf("%-18s of %llu requests: %llu answered by the cloud, %llu fallback, %llu here, %llu unanswered, %llu late\n", s.name, static_cast<unsigned long long>(m.serving.requests),
                static_cast<unsigned long long>(m.answers.upstream), static_cast<unsigned long long>(m.answers.fallback), static_cast<unsigned long long>(m.answers.here),
                static_cast<unsigned long long>(m.answers.unanswered), static_cast<unsigned long long>(m.answers.late));
    CHECK(m.answers.upstream > 0);
    CHECK(m.answers.fallback + m.answers.here > 0); // the fault did something, and this tier mended it
    CHECK(device.counters().answer.offloaded > m.answers.upstream);
}

TEST_CASE("a middle tier refuses what it cannot serve, in a sentence") {
    const auto refused = [](middle_options o, bool with_connector = true) -> std::string {
        door here, next;
        o.link.connect_timeout = 20ms; // nobody accepts
        try {
            const middle_core<send_at> m{network<middle_behaviour>(), {}, send_at{1}, std::move(o), std::move(here.listener),
                                         [&]() -> std::unique_ptr<link::connector> { return with_connector ? next.connector() : nullptr; }};
        } catch (const option_error& e) { return e.what(); }
        return {};
    };
    middle_options o = middle_terms();
    CHECK(refused(o).empty());
    o.serving.batch = 2;
    CHECK(refused(o) == "middle tier: a batch of 1 and no streams were expected, found a batch of 2");
    CHECK(refused(middle_terms(0)) == "middle tier: parallel of 1 to 1024 was expected, found 0");
    CHECK(refused(middle_terms(), false) == "middle tier: a connector to the next tier was expected");
    o = middle_terms();
    o.serving.tenants = {{"north", "0123456789abcdef"}, {"south", "fedcba9876543210"}};
    CHECK(refused(o) == "middle tier: at most one tenant was expected, found 2");
    o.serving.tenants.pop_back();
    CHECK(refused(o).empty());
    o = middle_terms();
    o.reserve = -1ms;
    CHECK(refused(o).find("middle tier: a reserve of 0 to 24 hours was expected") == 0);
    o = middle_terms();
    o.longest_wait = 0ms;
    CHECK(refused(o) == "middle tier: a longest_wait above 0 and of at most 24 hours was expected, found 0 ms");
}

TEST_CASE("SAGE and the weighted policy decide on a middle tier as on a device") {
    deployment d{.cuts = 2};
    d.deadline = deadline;
    d.cut[0] = {.payload = {984}, .edge_tail = 200ms, .cloud_tail = 2ms, .tail_energy = {2}};
    d.cut[1] = {.payload = {448}, .edge_head = 10ms, .edge_tail = 190ms, .cloud_tail = 2ms, .head_energy = {0.1}, .tail_energy = {1.9}};
    d.edge_total = 200ms, d.edge_energy = {2}, d.input = {984}, d.cloud_total = 2ms, d.reply = {64};
    const auto answered_by = [](auto policy) {
        calm();
        door top, mid;
        cloud_core cloud{network<fake::cloud_behaviour>(), {}, {}, std::move(top.listener)};
        middle_core<decltype(policy)> middle{network<middle_behaviour>(), {}, policy, middle_terms(), std::move(mid.listener), [&] { return top.connector(); }};
        edge_core<send_at> device{network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(), mid.connector()};
        REQUIRE(comes_true([&] { return device.link_now().up && middle.links_up() == 1; }));
        int tier = 0;
        comes_true([&] { return (tier = ask(device, 5).tier) == 2; }); // once the rate is known
        const int by = tier;
        CHECK(middle.counters().frame.invalid_actions == 0);
        return by;
    };
    SECTION("sage at the later cut") { CHECK(answered_by(policy::sage{d, {.cut = 1}}) == 2); }
    SECTION("sage at the cut where the frame came in") { CHECK(answered_by(policy::sage{d, {.cut = 0}}) == 2); }
    SECTION("weighted: sending on what came is best") { CHECK(answered_by(policy::weighted{d}) == 2); }
}
