// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_team_test.cpp
/// Several devices compute one frame's tiles over TCP and the relay: the whole run's bits, whatever becomes of helpers, links and messages.
#include "../catch.hpp"
#include "../same_bits.hpp"

#include "raw_peer.hpp"

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/link/in_process.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/tile_helper.hpp>
#include <splitdsl/runtime/tile_team.hpp>

#include <cmath>
#include <limits>
#include <optional>
#include <thread>

namespace {
using namespace splitdsl;
using namespace std::chrono_literals;

struct watcher {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 48, .width = 40}) | normalise(imagenet) | named("stem", conv(16, {.kernel = 3, .stride = 2})) | relu()
             | named("body", residual(named("one", conv(16, {.kernel = 3})) | relu() | named("two", conv(16, {.kernel = 3})))) | relu() | max_pool({.kernel = 2, .stride = 2}) | global_pool()
             | named("classes", dense(5));
    }
};
template <class Condition>
bool comes_true(Condition c) {
    for (int i = 0; i < 10'000 && !c(); ++i) std::this_thread::sleep_for(1ms);
    return c();
}

/// One set of weights, a plan of four tiles, pictures and their whole runs.
struct scene {
    std::vector<std::vector<float>> values = random_weights(parameters<watcher>(), 3);
    tile_plan plan = plan_tiles<watcher>({.rows = 4, .until = "body"}, {.lanes = tile_code_of<watcher>().lanes});
    network_weights<watcher> weights{values};
    frame_arena arena{weights.net()};
    std::vector<std::byte> picture = std::vector<std::byte>(weights.net().inputs[0].bytes);
    std::vector<float> out = std::vector<float>(weights.net().output_floats), expected = out;
    std::uint64_t seed{};

    template <class... Helper>
    std::unique_ptr<tile_team<watcher>> team(tile_team_options o, Helper... helpers) const { return std::make_unique<tile_team<watcher>>(values, plan, std::move(o), std::move(helpers)...); }
    std::unique_ptr<tile_helper<watcher>> helper(std::unique_ptr<link::listener> where, duration pace = {}) const {
        return std::make_unique<tile_helper<watcher>>(values, plan, cloud_options{}, std::move(where), pace);
    }
    /// Another picture; the answer is the whole run's to the bit, and in time.
    tile_answer ask(tile_team<watcher>& t) {
        detail::xoshiro256 random{++seed};
        for (std::byte& b : picture) b = static_cast<std::byte>(random.uniform(0, 256));
        const void* inputs[]{picture.data()};
        weights.net().run({arena.data(), weights.bytes().data(), inputs, expected.data()}, 0, weights.net().stages, nullptr);
        std::fill(out.begin(), out.end(), std::numeric_limits<float>::quiet_NaN());
        const std::span<const std::byte> spans[]{picture};
        const tile_answer a = t.infer(spans, out);
        INFO("frame " << seed << ", " << to_text(a.way) << ", " << a.came << " of " << a.sent << " came");
        CHECK(same_bits(out, expected));
        CHECK(a.on_time);
        return a;
    }
};
/// Nothing is measured, so that what else runs on the machine decides nothing; long beside what a busy machine takes.
tile_team_options terms(std::vector<int> shares, duration deadline = 2s, duration reserve = 500ms) {
    return {.deadline = deadline,
            .reserve = reserve,
            .calibration_runs = 0,
            .fixed_shares = std::move(shares),
            .breaker = {.failures_to_open = 2, .first_pause = 5ms, .longest_pause = 20ms},
            .link = {.ping_interval = 20ms, .probe_interval = 200ms, .probe_bytes = 512, .silence = 10s, .stuck = 10s, .dead = 20s, .connect_timeout = 500ms, .first_retry = 5ms, .longest_retry = 40ms}};
}
link::tcp to(std::uint16_t port) { return {"127.0.0.1", port}; }
} // namespace

TEST_CASE("tile team: two helpers over TCP and the relay compute three tiles of four, bit for bit the whole run") {
    scene s;
    const auto one = s.helper(std::make_unique<link::tcp_listener>()), two = s.helper(std::make_unique<link::tcp_listener>());
    link::relay way_one{{.port = one->port(), .up = {.delay = 1ms}, .down = {.delay = 1ms}}}, way_two{{.port = two->port()}};
    const auto t = s.team(terms({2, 1}), to(way_one.port()), to(way_two.port()));
    REQUIRE(comes_true([&] { return t->helpers_there() == 2; }));
    for (int i = 0; i < 20; ++i) {
        const tile_answer a = s.ask(*t);
        CHECK(a.way == tile_way::shared);
        CHECK(a.sent == 3);
        CHECK(a.came == 3);
    }
    CHECK(one->counters().serving.answered == 40);
    CHECK(two->counters().serving.answered == 20);
    CHECK(t->counters().shared == 20);
    CHECK(t->counters().sent == 60);
    CHECK(t->worker(0).macs_per_second > 0);
    CHECK(one->peak_bytes() < tiled_network<watcher>(s.values, s.plan).peak_bytes()); // without the weights behind the tiles
}

TEST_CASE("tile team: without helpers, without time for tiles, and where the model says that they do not pay, the network runs in one piece") {
    scene s;
    const auto alone = s.team(terms({}));
    CHECK(s.ask(*alone).way == tile_way::alone);
    const auto helper = s.helper(std::make_unique<link::tcp_listener>());
    const auto hurried = s.team(terms({3}, 2s, 3s), to(helper->port()));
    REQUIRE(comes_true([&] { return hurried->helpers_there() == 1; }));
    CHECK(s.ask(*hurried).way == tile_way::alone);
    tile_team_options far = terms({});
    far.calibration_runs = 3, far.least_gain = 0.999;
    const auto choosy = s.team(far, to(helper->port()));
    REQUIRE(comes_true([&] { return choosy->helpers_there() == 1; }));
    CHECK(s.ask(*choosy).way == tile_way::alone);
    CHECK(choosy->here().alone > 0);
    CHECK(choosy->reserve(1) >= 500ms);
    CHECK(helper->counters().serving.requests == 0);
    // And without the pipeline's own weights.
    tile_team<watcher> small{s.values, s.plan, terms({}), std::vector<std::unique_ptr<link::connector>>{}, false};
    CHECK(s.ask(small).way == tile_way::alone);
}

namespace {
/// A device on which a tile takes 10 ms and the whole network 40, or what it is told.
struct slow_device final : tile_runs {
    explicit slow_device(const scene& of) : s{of}, tiles{of.values, of.plan} {}
    void ask(int k, const void* const* inputs, std::span<std::byte> question) override { tiles.ask(k, inputs, question); }
    void gather(int k, std::span<const std::byte> answer) override { tiles.gather(k, answer); }
    void run_here(int k, const void* const* inputs) override { std::this_thread::sleep_for(tile_takes), tiles.run_here(k, inputs); }
    void run_behind(const void* const* inputs, float* outputs) override { tiles.run_behind(inputs, outputs); }
    void run_whole(const void* const* inputs, float* outputs) override {
        std::this_thread::sleep_for(whole_takes);
        s.weights.net().run({s.arena.data(), s.weights.bytes().data(), inputs, outputs}, 0, s.weights.net().stages, nullptr);
    }
    const scene& s;
    tiled_network<watcher> tiles;
    duration tile_takes{10ms}, whole_takes{40ms};
};
} // namespace

TEST_CASE("tile team: a slow device shares its tiles out where the model says that it pays by as much as was asked, and nowhere else") {
    scene s;
    slow_device device{s};
    const tile_agreement agreed{device.tiles};
    const tile_figures figures = graph::figures_of(tile_source_of<watcher>, tile_lives<watcher>, device.tiles.front(), 0);
    const auto helper = s.helper(std::make_unique<link::tcp_listener>());
    const void* const inputs[]{s.picture.data()};
    s.weights.net().run({s.arena.data(), s.weights.bytes().data(), inputs, s.expected.data()}, 0, s.weights.net().stages, nullptr);
    const auto sends = [&](double least_gain, int frames) { // on a busy machine the round trip may be too long for the first ones
        tile_team_options o = terms({});
        o.calibration_runs = 1, o.reserve = 0ms, o.least_gain = least_gain, o.helper_speed = 50, o.deadline = 10s, o.patience = 100;
        std::vector<std::unique_ptr<link::connector>> where;
        where.push_back(std::make_unique<link::tcp>(to(helper->port())));
        tile_team_core team{device, agreed, figures, s.weights.digest(), s.weights.net(), o, std::move(where)};
        REQUIRE(comes_true([&] { return team.worker(0).rate_up.value > 0; }));
        int most = 0;
        for (int i = 0; i < frames && most == 0; ++i) {
            const tile_answer a = team.infer(inputs, s.out.data());
            CHECK(same_bits(s.out, s.expected));
            CHECK((a.way == tile_way::alone) == (team.shares().sent == 0));
            most = a.sent;
        }
        return most;
    };
    CHECK(sends(0.05, 200) > 0);
    CHECK(sends(0.9999, 3) == 0);
}

TEST_CASE("tile team: a helper whose tiles never come is not asked for ever, also where the run in one piece makes up for all of them") {
    scene s;
    slow_device device{s};
    const tile_agreement agreed{device.tiles};
    const tile_figures figures = graph::figures_of(tile_source_of<watcher>, tile_lives<watcher>, device.tiles.front(), 0);
    const auto helper = s.helper(std::make_unique<link::tcp_listener>());
    link::relay way{{.port = helper->port()}};
    const void* const inputs[]{s.picture.data()};
    tile_team_options o = terms({4});
    o.calibration_runs = 1, o.reserve = 0ms, o.breaker = {.failures_to_open = 2, .first_pause = 1h, .longest_pause = 1h};
    device.tile_takes = 50ms, device.whole_takes = 1ms; // so that the run in one piece is quicker
    std::vector<std::unique_ptr<link::connector>> where;
    where.push_back(std::make_unique<link::tcp>(to(way.port())));
    tile_team_core team{device, agreed, figures, s.weights.digest(), s.weights.net(), o, std::move(where)};
    REQUIRE(comes_true([&] { return team.worker(0).rate_up.value > 0; }));
    way.set(link::direction::down, {.stall = true});
    for (int i = 0; i < 2; ++i) CHECK(team.infer(inputs, s.out.data()).way == tile_way::given_up);
    CHECK(team.infer(inputs, s.out.data()).way == tile_way::alone);
    CHECK(team.counters().overdue >= 2);
}

TEST_CASE("tile team: a helper that is killed costs no frame, and is back when it is started again") {
    scene s;
    auto one = s.helper(std::make_unique<link::tcp_listener>());
    const auto two = s.helper(std::make_unique<link::tcp_listener>());
    const std::uint16_t port = one->port();
    link::relay way{{.port = port}};
    const auto t = s.team(terms({2, 1}), to(way.port()), to(two->port()));
    REQUIRE(comes_true([&] { return t->helpers_there() == 2; }));
    for (int i = 0; i < 3; ++i) CHECK(s.ask(*t).way == tile_way::shared);
    way.reset_connections(); // as where its machine goes: no orderly end
    CHECK(s.ask(*t).way != tile_way::none);
    REQUIRE(comes_true([&] { return t->helpers_there() == 2 && s.ask(*t).came == 3; }));
    std::thread killer{[&] { one.reset(); }}; // while frames run
    for (int i = 0; i < 30; ++i) {
        const tile_answer a = s.ask(*t);
        CHECK((a.way == tile_way::shared || a.way == tile_way::mended));
    }
    killer.join();
    CHECK(comes_true([&] { return t->helpers_there() == 1; }));
    CHECK(s.ask(*t).sent == 1);
    CHECK_FALSE(t->helper_failure(0).empty());
    one = s.helper(std::make_unique<link::tcp_listener>(port));
    CHECK(comes_true([&] { return t->helpers_there() == 2 && s.ask(*t).came == 3; }));
}

TEST_CASE("tile team: a helper behind a link that swallows everything is awaited until the reserve begins, and no longer") {
    scene s;
    const auto one = s.helper(std::make_unique<link::tcp_listener>()), two = s.helper(std::make_unique<link::tcp_listener>());
    link::relay way{{.port = one->port()}};
    const auto t = s.team(terms({2, 1}, 1s, 800ms), to(way.port()), to(two->port()));
    REQUIRE(comes_true([&] { return t->helpers_there() == 2; }));
    CHECK(s.ask(*t).way == tile_way::shared);
    way.set(link::direction::down, {.stall = true});
    const tile_answer a = s.ask(*t);
    CHECK(a.way == tile_way::mended);
    CHECK(a.came == 1);
    CHECK(t->counters().overdue == 2);
    CHECK(s.ask(*t).way == tile_way::mended);
    way.set(link::direction::down, {});
    CHECK(comes_true([&] { return s.ask(*t).came == 3; })); // the breaker lets it in again
    CHECK(t->counters().late >= 2);
    CHECK(t->counters().frames == t->counters().on_time);
}

TEST_CASE("tile team: tiles whose connection is lost while they are awaited are computed here at once") {
    scene s;
    const auto helper = s.helper(std::make_unique<link::tcp_listener>());
    link::relay way{{.port = helper->port(), .down = {.delay = 300ms}}};
    const auto t = s.team(terms({2}, 20s, 100ms), to(way.port()));
    REQUIRE(comes_true([&] { return t->helpers_there() == 1; }));
    std::thread cutter{[&] {
        comes_true([&] { return helper->counters().serving.answered == 2; }); // both answers are on their way
        way.reset_connections();
    }};
    const tile_answer a = s.ask(*t);
    cutter.join();
    CHECK(a.way == tile_way::mended);
    CHECK(t->counters().lost == 2);
    CHECK(t->counters().overdue == 0);
}

TEST_CASE("tile team: a helper on a slow link takes what it brings in time, and the rest is computed here") {
    scene s;
    const auto one = s.helper(std::make_unique<link::tcp_listener>(), 5ms);
    link::relay way{{.port = one->port(), .up = {.rate = megabits_per_second(2)}, .down = {.rate = megabits_per_second(1)}}}; // a tile's answer takes 30 ms
    const auto t = s.team(terms({3}, 600ms, 540ms), to(way.port()));
    REQUIRE(comes_true([&] { return t->helpers_there() == 1; }));
    for (int i = 0; i < 10; ++i) s.ask(*t);
    const tile_team_counters c = t->counters();
    CHECK(c.frames == 10);
    CHECK(c.mended > 0);
    CHECK(c.frames == c.on_time);
}

TEST_CASE("tile team: both sides say what differs, and a frame goes on without the helper") {
    scene s;
    const auto refused = [&](std::uint16_t port) {
        const auto t = s.team(terms({2}), to(port));
        CHECK(comes_true([&] { return t->helper_failure(0).find("do not fit") != std::string::npos; }));
        CHECK(s.ask(*t).way == tile_way::alone);
        return t->helper_failure(0);
    };
    const tile_plan other = plan_tiles<watcher>({.rows = 2, .columns = 2, .until = "body"}, {.lanes = tile_code_of<watcher>().lanes});
    const tile_helper<watcher> other_plan{s.values, other, {}, std::make_unique<link::tcp_listener>()};
    const std::string grids = refused(other_plan.port());
    CHECK(grids.find("4x1 tiles, plan 0x") != std::string::npos);
    CHECK(grids.find("2x2 tiles, plan 0x") != std::string::npos);
    const tile_helper<watcher> other_weights{random_weights(parameters<watcher>(), 4), s.plan, {}, std::make_unique<link::tcp_listener>()};
    CHECK(refused(other_weights.port()).find("weights digest") != std::string::npos);
    const cloud_core no_helper{s.weights.net(), s.weights.bytes(), {}, std::make_unique<link::tcp_listener>()};
    CHECK(refused(no_helper.port()).find("network") != std::string::npos);
}

TEST_CASE("tile team: what a helper refuses ends that connection, has a name, and costs no one else") {
    scene s;
    auto door = std::make_unique<link::in_process_listener>();
    link::in_process way{*door};
    const auto helper = s.helper(std::move(door));
    const tiled_network<watcher> tiles{s.values, s.plan};
    const tile_agreement agreed{tiles};
    const link::handshake me = introduction_for(agreed.described(), s.weights.digest());
    const auto send = [&](link::tile_head head, std::size_t behind) {
        raw_peer p{way.connect(1s), link::frame_limits::of_edge(static_cast<std::uint32_t>(agreed.answer_bytes()))};
        p.send({.kind = link::message_kind::hello, .epoch = 1}, link::encode_handshake(me));
        REQUIRE(p.next() == link::message_kind::hello_ack);
        std::vector<std::byte> m(link::tile_head_bytes + behind);
        link::encode_tile_head(head, std::span{m}.first<link::tile_head_bytes>());
        p.send({.kind = link::message_kind::payload, .epoch = 1, .sequence = 1, .budget_us = 2'000'000}, m);
        return p.next();
    };
    const auto bytes = [&](int k) { return tiles.question_bytes(k); };
    CHECK(send(agreed.head(1), bytes(1)) == link::message_kind::reply);
    auto head = agreed.head(1);
    head.version = 2;
    CHECK_FALSE(send(head, bytes(1)));
    head = agreed.head(1), head.plan ^= 1;
    CHECK_FALSE(send(head, bytes(1)));
    head = agreed.head(1), head.tile = 4;
    CHECK_FALSE(send(head, bytes(1)));
    head = agreed.head(1), head.part.rows += 1;
    CHECK_FALSE(send(head, bytes(1)));
    CHECK_FALSE(send(agreed.head(1), bytes(1) - 4));
    CHECK_FALSE(send(agreed.head(1), std::size_t{1} << 20)); // larger than any question: refused by its header, before a byte of it is kept
    CHECK(send(agreed.head(0), bytes(0)) == link::message_kind::reply);
    const auto refused = helper->counters().refused;
    for (const auto f : {link::tile_fault::other_version, link::tile_fault::other_plan, link::tile_fault::unknown_tile, link::tile_fault::other_part, link::tile_fault::wrong_size})
        CHECK(refused[static_cast<std::size_t>(f)] == 1);
}

TEST_CASE("tile team: an answer of another tile, plan or part, or one that is not finite, is dropped and its tile computed here") {
    struct lie {
        int what;
        std::uint64_t (*counted)(const tile_team_counters&);
    };
    const auto l = GENERATE(lie{0, [](const tile_team_counters& c) { return c.bad_answers[static_cast<std::size_t>(link::tile_fault::other_plan)]; }},
                            lie{1, [](const tile_team_counters& c) { return c.bad_answers[static_cast<std::size_t>(link::tile_fault::other_part)]; }}, // another tile's, whole
                            lie{2, [](const tile_team_counters& c) { return c.bad_answers[static_cast<std::size_t>(link::tile_fault::other_version)]; }},
                            lie{3, [](const tile_team_counters& c) { return c.not_finite; }}, lie{4, [](const tile_team_counters& c) { return c.shed; }});
    scene s;
    struct liar {
        tiled_network<watcher> tiles;
        tile_agreement agreed{tiles};
        int what;
        std::atomic<bool> serves{}; // not while the cloud measures itself
        liar(const scene& of, int lie_told) : tiles{of.values, of.plan}, what{lie_told} {}
    } helper{s, l.what};
    pipeline p = helper.agreed.described();
    p.self = &helper;
    p.functions.load_payload = [](const void*, const frame_memory&, int, std::span<const std::byte>) { return true; };
    p.functions.run = [](const void* self, const frame_memory& m, int, int, const std::atomic<bool>*) {
        const liar& me = *static_cast<const liar*>(self);
        if (me.what == 4 && me.serves) throw std::bad_alloc{};
        std::fill_n(m.outputs, me.agreed.answer_bytes() / sizeof(float), 0.25F);
        link::tile_head head = me.agreed.head(me.what == 1 ? 3 : 0);
        if (me.what == 0) head.plan += 1;
        if (me.what == 2) head.version = 7;
        if (me.what == 3) m.outputs[20] = std::numeric_limits<float>::infinity();
        link::encode_tile_head(head, std::span{reinterpret_cast<std::byte*>(m.outputs), me.agreed.answer_bytes()}.first<link::tile_head_bytes>());
        return true;
    };
    const cloud_core cloud{p, {}, {.weights_digest = s.weights.digest()}, std::make_unique<link::tcp_listener>()};
    helper.serves = true;
    const auto t = s.team(terms({1}), to(cloud.port()));
    REQUIRE(comes_true([&] { return t->helpers_there() == 1; }));
    const tile_answer a = s.ask(*t);
    CHECK(a.way == tile_way::mended);
    CHECK(a.sent == 1);
    CHECK(a.came == 0);
    CHECK(l.counted(t->counters()) == 1);
}

TEST_CASE("tile team: options and frames that do not fit are refused in a sentence or as no frame") {
    scene s;
    const auto with = [&](auto change) {
        tile_team_options o = terms({});
        change(o);
        return s.team(o, to(1));
    };
    CHECK_THROWS_AS(with([](auto& o) { o.deadline = 0ms; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.reserve = -1ms; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.patience = 0.5; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.patience = std::nan(""); }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.least_gain = 1; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.helper_speed = 0; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.calibration_runs = -1; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.link.probe_bytes = 70'000; }), option_error);
    CHECK_THROWS_WITH(with([](auto& o) { o.fixed_shares = {1, 1}; }), "tile team: fixed_shares for 1 helpers were expected, found 2");
    CHECK_THROWS_AS(with([](auto& o) { o.fixed_shares = {5}; }), option_error);
    CHECK_THROWS_AS(with([](auto& o) { o.fixed_shares = {-1}; }), option_error);
    CHECK_THROWS_AS(tile_team<watcher>(s.values, first_of(s.plan), terms({})), option_error);
    const auto serve = [&](cloud_options o, duration pace = {}) { tile_helper<watcher>{s.values, s.plan, std::move(o), std::make_unique<link::in_process_listener>(), pace}; };
    CHECK_THROWS_AS(serve({.parallel = 2}), option_error);
    CHECK_THROWS_AS(serve({.batch = 2}), option_error);
    CHECK_THROWS_AS(serve({}, -1ms), option_error);
    CHECK_NOTHROW(serve({}));
    const auto t = s.team(terms({}));
    const std::span<const std::byte> short_by_one[]{std::span<const std::byte>{s.picture}.first(s.picture.size() - 1)};
    CHECK(t->infer(short_by_one, s.out).way == tile_way::none);
    CHECK(t->infer({}, s.out).way == tile_way::none);
    const std::span<const std::byte> whole[]{s.picture};
    CHECK(t->infer(whole, std::span{s.out}.first(1)).way == tile_way::none);
    CHECK(t->counters().refused == 3);
    CHECK(t->counters().frames == 0);
}
