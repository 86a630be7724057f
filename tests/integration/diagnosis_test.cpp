// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file diagnosis_test.cpp
/// What edge and cloud tell while they run: an open breaker, living connections, damaged requests, refusals, from any thread.
#include "../catch.hpp"

#include "cloud_rig.hpp"
#include "in_process_rig.hpp"

#include <splitdsl/runtime/plan.hpp>

#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

/// Hands everything on; while `damages` says so, each payload's last byte is another one.
struct flipping_stream final : link::stream {
    flipping_stream(std::unique_ptr<link::stream> s, const std::atomic<bool>& flag) : to{std::move(s)}, damages{flag} {}
    link::io read(std::span<std::byte> into) noexcept override { return to->read(into); }
    link::io write(std::span<const std::byte> from) noexcept override {
        if (!damages || from.size() != link::header_bytes + fake::payload_bytes) return to->write(from);
        std::vector<std::byte> changed(from.begin(), from.end());
        changed.back() ^= std::byte{1};
        return to->write(changed);
    }
    bool wait(bool readable, bool writable, duration at_most) noexcept override { return to->wait(readable, writable, at_most); }
    void wake() noexcept override { to->wake(); }
    void shutdown() noexcept override { to->shutdown(); }
    std::unique_ptr<link::stream> to;
    const std::atomic<bool>& damages;
};
struct flipping final : link::connector {
    flipping(link::in_process w, const std::atomic<bool>& flag) : way{std::move(w)}, damages{flag} {}
    std::unique_ptr<link::stream> connect(duration within) override { return std::make_unique<flipping_stream>(way.connect(within), damages); }
    std::string describe() const override { return way.describe(); }
    link::in_process way;
    const std::atomic<bool>& damages;
};

/// An edge on the fake network whose requests arrive damaged while `damages` is true.
struct rig : served {
    explicit rig(const edge_options& o = unmeasured(5s))
        : edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<flipping>(*door, damages)} {
        fake::edge_behaviour.calm({});
        REQUIRE(comes_true([this] { return edge.link_now().up; }));
    }
    answer_source infer(std::uint32_t tag) { return edge.infer(fake::tagged_input{tag}.spans, out).source; }
    std::array<float, fake::outputs> out{};
    std::atomic<bool> damages{};
    edge_core<offload_when_up> edge;
};

} // namespace

TEST_CASE("while the breaker is open the link is not up, and the sentence says how often offloads failed and when the next is tried") {
    edge_options o = unmeasured(5s);
    o.breaker = {.failures_to_open = 2, .first_pause = 1h, .longest_pause = 1h};
    rig r{o};
    r.damages = true;
    CHECK(r.infer(1) == answer_source::fallback);
    CHECK(r.edge.link_now().up);
    CHECK(r.edge.link_failure().empty());
    CHECK(r.infer(2) == answer_source::fallback);
    REQUIRE(comes_true([&] { return !r.edge.link_now().up; }));
    const std::string said = r.edge.link_failure();
    INFO(said);
    CHECK(said.find("2 offloads in a row failed; trying again in 3") == 0); // 3 600 000 ms, or little less
    CHECK(said.find(" ms") == said.size() - 3);
    CHECK(r.infer(3) == answer_source::edge);
    CHECK(r.edge.counters().frame.breaker_openings == 1);
}

TEST_CASE("once the breaker's pause is over the link is up again, and the next frame is offloaded") {
    edge_options o = unmeasured(5s);
    o.breaker = {.failures_to_open = 2, .first_pause = 20ms};
    rig r{o};
    r.damages = true;
    CHECK(r.infer(1) == answer_source::fallback);
    CHECK(r.infer(2) == answer_source::fallback);
    r.damages = false;
    REQUIRE(comes_true([&] { return r.edge.counters().frame.breaker_openings == 1; }));
    std::this_thread::sleep_for(20ms);
    REQUIRE(comes_true([&] { return r.edge.link_now().up; }));
    CHECK(r.edge.link_failure().empty());
    CHECK(r.infer(3) == answer_source::cloud);
    CHECK(r.edge.counters().frame.breaker_openings == 1);
}

TEST_CASE("a request that is damaged on its way is counted as such on both sides") {
    rig r;
    r.damages = true;
    CHECK(r.infer(1) == answer_source::fallback);
    CHECK(comes_true([&] { return r.edge.counters().frame.damaged_there == 1; }));
    CHECK(r.edge.counters().frame.shed == 1);
    CHECK(r.cloud->counters().damaged == 1);
    r.damages = false;
    CHECK(r.infer(2) == answer_source::cloud);
}

TEST_CASE("a cloud counts the bytes and pings of connections that live") {
    served s;
    raw_edge e{s};
    e.hello();
    REQUIRE(e.next() == message_kind::hello_ack);
    REQUIRE(s.until([](const cloud_counters& c) { return c.bytes_out > 0; })); // counted when written: the peer may read it before
    const cloud_counters before = s.cloud->counters();
    CHECK((before.bytes_in > 0 && before.pings == 0));
    e.send({.kind = message_kind::ping, .epoch = 9, .sequence = 1});
    REQUIRE(e.next() == message_kind::pong);
    e.ask(2, 10s);
    REQUIRE(e.next() == message_kind::reply);
    CHECK(s.cloud->counters().pings == 1);
    CHECK(s.cloud->counters().bytes_in == before.bytes_in + 2 * link::header_bytes + fake::payload_bytes);
    CHECK(s.until([&](const cloud_counters& c) { return c.bytes_out == before.bytes_out + 2 * link::header_bytes + fake::outputs * sizeof(float); }));
    CHECK(s.cloud->counters().endings == before.endings);
    e.stream->shutdown();
    CHECK(s.ended(ending::peer_left));
    CHECK(s.cloud->counters().pings == 1); // counted once
}

TEST_CASE("a reply is as long on the wire as the plan says") {
    edge_options o = unmeasured(5s);
    o.link.ping_interval = 1h;
    o.link.probe_bytes = 0; // else an edge that offloads before its first pong asks on until it knows the rate
    rig r{o};
    const std::vector<duration> there(3, 1ms);
    const deployment plan = plan_deployment(fake::network<fake::edge_behaviour>(), {.name = "any", .macs_per_second = 1e3, .active_watts = watts{1}, .idle_watts = watts{1}}, there, {.deadline = 5s});
    REQUIRE(r.infer(1) == answer_source::cloud);
    // Until nothing more comes: the handshake's and the first pong's are over.
    const auto down = [&] { return r.edge.counters().link.bytes_down; };
    std::uint64_t before = down();
    for (int quiet = 0; quiet < 100; ++quiet, std::this_thread::sleep_for(1ms))
        if (down() != before) before = down(), quiet = 0;
    REQUIRE(r.infer(2) == answer_source::cloud);
    CHECK(comes_true([&] { return down() != before; }));
    CHECK(static_cast<double>(down() - before) == plan.reply.value);
    CHECK(plan.reply.value == link::header_bytes + fake::outputs * sizeof(float));
}

TEST_CASE("what is no frame is refused, and says why") {
    rig r;
    const fake::tagged_input in{5};
    CHECK(r.edge.refused() == frame_refusal::none);
    REQUIRE(r.edge.submit(in.spans) != 0);
    CHECK(r.edge.submit(in.spans) == 0);
    CHECK(r.edge.refused() == frame_refusal::not_polled);
    CHECK(r.edge.infer(in.spans, r.out).refused == frame_refusal::not_polled);
    answer a{.values = r.out};
    while (!r.edge.poll(a)) std::this_thread::yield();
    CHECK(a.refused == frame_refusal::none);
    const std::array<std::span<const std::byte>, 1> short_one{std::span{in.bytes}.first(10)};
    CHECK(r.edge.infer(short_one, r.out).refused == frame_refusal::wrong_size);
    const std::array<std::span<const std::byte>, 2> two{in.spans[0], in.spans[0]};
    CHECK(r.edge.infer(two, r.out).refused == frame_refusal::wrong_inputs);
    CHECK(r.edge.refused() == frame_refusal::wrong_inputs);
    CHECK(r.edge.counters().answer.refused == 4);
    CHECK(std::string{to_text(frame_refusal::wrong_size)} == "an input of a wrong size");
    CHECK(r.infer(6) == answer_source::cloud);
    CHECK(r.edge.refused() == frame_refusal::none);
}

TEST_CASE("counters, report and link may be asked from any thread while frames run") {
    rig r;
    std::atomic<bool> over{};
    std::uint64_t answered = 0, asked = 0, backwards = 0;
    std::thread logger{[&] {
        while (!over) {
            const edge_report now = r.edge.report();
            backwards += now.counters.answer.answered < answered;
            answered = now.counters.answer.answered;
            (void)r.edge.link_now();
            (void)r.edge.link_failure();
            (void)r.edge.profile();
            (void)r.cloud->counters();
            ++asked;
        }
    }};
    for (std::uint32_t k = 1; k <= 300; ++k) r.infer(k);
    over = true;
    logger.join();
    CHECK((asked > 0 && backwards == 0));
    CHECK(r.edge.counters().answer.answered == 300);
}

TEST_CASE("a cloud that ends every connection behind its handshake is asked anew behind a pause that grows") {
    fake::edge_behaviour.calm({});
    link::in_process_listener door;
    edge_options o = unmeasured(5s);
    o.link.first_retry = 10ms;
    o.link.longest_retry = 10s;
    const edge_core<offload_when_up> edge{fake::network<fake::edge_behaviour>(), {}, offload_when_up{}, o, std::make_unique<link::in_process>(door)};
    std::array<instant, 5> came{};
    for (instant& at : came) {
        raw_peer newcomer{door.accept(5s), link::frame_limits::of_cloud({}, {})};
        at = std::chrono::steady_clock::now();
        REQUIRE(newcomer.next() == message_kind::hello);
        auto m = introduction_of(introduction_for(fake::network<fake::edge_behaviour>(), 0));
        link::seal({.kind = message_kind::hello_ack, .epoch = newcomer.reader.header().epoch}, m);
        newcomer.write(m);
    }
    CHECK(came[4] - came[0] >= (10ms + 20ms + 40ms + 80ms) / 2); // of each a half may be left out
    CHECK(comes_true([&] { return edge.counters().link.disconnects >= 5; }));
}

TEST_CASE("a request that stood in the cloud's queue and was shed says nothing of the link's rate") {
    rig r;
    REQUIRE(comes_true([&] { return r.edge.link_now().rate_up.value > 0; }));
    const double before = r.edge.link_now().rate_up.value;
    raw_edge busy{r};
    busy.hello();
    REQUIRE(busy.next() == message_kind::hello_ack);
    fake::cloud_behaviour.shut_stage = 1;
    busy.ask_tagged(1, 100s);
    REQUIRE(r.until([](const cloud_counters& c) { return c.requests == 1; }));
    answer_source source{};
    std::thread caller{[&] { source = r.infer(2); }};
    const bool waits = r.until([](const cloud_counters& c) { return c.requests == 2; });
    std::this_thread::sleep_for(200ms); // would be 40 kbit/s
    fake::cloud_behaviour.throw_stage = 2;
    fake::cloud_behaviour.shut_stage = -1;
    caller.join();
    fake::cloud_behaviour.throw_stage = -1;
    CHECK(waits);
    CHECK(source == answer_source::fallback);
    CHECK(comes_true([&] { return r.edge.counters().frame.shed == 1; }));
    CHECK(r.edge.link_now().rate_up.value > before / 2);
}
