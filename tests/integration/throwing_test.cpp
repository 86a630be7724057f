// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file throwing_test.cpp
/// What a user hands in may throw: it costs the frame or the connection it was called for, is counted, and ends neither edge nor cloud.
#include "cloud_rig.hpp"
#include "in_process_rig.hpp"

#include <array>
#include <new>
#include <stdexcept>

namespace {

constexpr std::uint32_t bad = 13; // the frame for which what the test hands in throws

std::uint32_t tag_of(std::span<const std::byte> from) {
    std::uint32_t tag{};
    std::memcpy(&tag, from.data(), sizeof tag);
    return tag;
}
[[noreturn]] void fail_somehow() {
    static int times = 0;
    if (++times % 2 == 0) throw 7; // no std::exception
    throw std::runtime_error{"a broken picture"};
}
bool decode(std::span<const std::byte> from, std::span<const std::span<std::byte>> to) {
    if (tag_of(from) == bad) fail_somehow();
    std::copy(from.begin(), from.end(), to[0].begin());
    return true;
}
std::size_t encode(frame_inputs in, std::span<std::byte> to, int) {
    if (tag_of(in[0]) == bad) fail_somehow();
    std::copy(in[0].begin(), in[0].end(), to.begin());
    return in[0].size();
}

struct input_when_up : fake::quiet {
    action on(frame_start, const link_view& l, const budget&) noexcept { return l.up ? action::offload_at(-1) : action::go_on(); }
    using fake::quiet::on;
};
/// An edge of fake stages, and its counters once they say so.
template <class Policy>
struct fakes {
    explicit fakes(edge_options o, cloud_options c = {}) : live{quiet_network(), fake::network<fake::edge_behaviour>(), {}, Policy{}, o, std::move(c)} {}
    answer_source infer(std::uint32_t tag) {
        out = {};
        return live.edge.infer(fake::tagged_input{tag}.spans, out).source;
    }
    bool counted(std::uint64_t frame_counters::*which, std::uint64_t times) {
        return comes_true([&] { return live.edge.counters().frame.*which == times; });
    }
    connected<Policy> live;
    std::array<float, fake::outputs> out{};

private:
    static pipeline quiet_network() {
        fake::edge_behaviour.calm({});
        fake::cloud_behaviour.calm({});
        return fake::network<fake::cloud_behaviour>();
    }
};

/// Streams that throw where they are told to.
struct throwing_streams final : cloud_stream_hooks, cloud_stream_guest {
    void introduce(link::handshake&) const override {}
    int streams() const noexcept override { return 1; }
    std::uint32_t packet_bytes() const noexcept override { return 64; }
    cloud_stream_guest* open() override {
        if (in_open) fail_somehow();
        return this;
    }
    void close(cloud_stream_guest*) noexcept override {}
    bool packet(const link::frame_header&, std::span<const std::byte>, instant) override {
        if (in_packet) fail_somehow();
        return true;
    }
    void damaged(const link::frame_header&, std::size_t) override {}
    void stop(std::uint32_t) override { fail_somehow(); }
    burst read_out(cloud_connection&) override { return burst::over; }
    duration gap() const noexcept override { return {}; }
    void burst_over(cloud_connection&) override {}
    std::atomic<bool> in_packet{}, in_open{};
};

} // namespace

TEST_CASE("a decode_input that throws costs its request: the edge is told why, and the connection goes on") {
    served s{{.decode_input = decode}};
    raw_edge e{s}, other{s};
    for (raw_edge* one : {&e, &other}) {
        one->hello();
        REQUIRE(one->next() == message_kind::hello_ack);
    }
    for (std::uint64_t times = 1; times <= 2; ++times) {
        e.ask_tagged(bad, 10s, link::whole_input);
        REQUIRE(e.next() == message_kind::shed);
        CHECK(e.reader.header().codec == static_cast<std::uint8_t>(link::shed_reason::failed));
        CHECK(e.reader.header().sequence == bad);
        CHECK(s.cloud->counters().failed == times);
    }
    for (raw_edge* one : {&e, &other}) {
        one->ask_tagged(14, 10s, link::whole_input);
        CHECK(one->answered(14));
    }
    e.ask_tagged(15, 0s); // late is another reason
    REQUIRE(e.next() == message_kind::shed);
    CHECK(e.reader.header().codec == static_cast<std::uint8_t>(link::shed_reason::no_time));
    CHECK(s.cloud->counters().answered == 2);
    CHECK(s.cloud->counters().failed == 2);
}

TEST_CASE("a stage that throws in the cloud costs the requests that ran in it, one or several") {
    served s{{.batch = 4}};
    std::array<raw_edge, 3> edges{raw_edge{s}, raw_edge{s}, raw_edge{s}};
    for (auto& e : edges) {
        e.hello();
        REQUIRE(e.next() == message_kind::hello_ack);
    }
    fake::cloud_behaviour.shut_stage = 1;
    fake::cloud_behaviour.throw_stage = 2;
    for (std::uint32_t i = 0; i < 3; ++i) { // the first takes the only bench, the others run together behind it
        edges[i].ask_tagged(i + 1, 100s);
        REQUIRE(s.until([&](const cloud_counters& c) { return c.requests == i + 1; }));
    }
    fake::cloud_behaviour.shut_stage = -1;
    for (auto& e : edges) CHECK(e.next() == message_kind::shed);
    CHECK(s.cloud->counters().failed == 3);
    CHECK(s.cloud->counters().answered == 0);
    fake::cloud_behaviour.throw_stage = -1;
    for (std::uint32_t i = 0; i < 3; ++i) {
        edges[i].ask_tagged(i + 7, 100s);
        CHECK(edges[i].answered(i + 7));
    }
}

TEST_CASE("a stream hook that throws ends its own connection, counted by name") {
    throwing_streams streams;
    served s{{.streams = &streams}};
    raw_edge first{s}, second{s};
    for (raw_edge* one : {&first, &second}) {
        one->hello();
        REQUIRE(one->next() == message_kind::hello_ack);
    }
    streams.in_packet = true;
    first.send({.kind = message_kind::stream, .cut = 0, .epoch = 9, .sequence = 1, .budget_us = 1000}, 20);
    CHECK_FALSE(first.next().has_value());
    CHECK(s.ended(ending::failed));
    second.ask_tagged(7, 10s);
    CHECK(second.answered(7));
    second.send({.kind = message_kind::stop, .epoch = 9, .sequence = 1});
    CHECK_FALSE(second.next().has_value());
    CHECK(s.ended(ending::failed, 2));
    streams.in_open = true;
    raw_edge refused{s};
    refused.hello();
    CHECK_FALSE(refused.next().has_value());
    CHECK(s.ended(ending::no_resources));
    streams.in_open = false;
    raw_edge later{s};
    later.hello();
    CHECK(later.next() == message_kind::hello_ack);
}

TEST_CASE("an edge whose frame fails in the cloud falls back at once, says so in its counters, and offloads the next") {
    fakes<input_when_up> f{unmeasured(5s), {.decode_input = decode}};
    CHECK(f.infer(12) == answer_source::cloud);
    CHECK(f.infer(bad) == answer_source::fallback);
    CHECK(f.out[0] == fake::answer_to(bad));
    CHECK(f.counted(&frame_counters::failed_there, 1));
    CHECK(f.live.edge.counters().frame.shed == 1);
    CHECK(f.live.edge.counters().frame.failed_here == 0);
    CHECK(f.infer(14) == answer_source::cloud);
    CHECK(f.live.cloud.counters().failed == 1);
    CHECK(f.live.edge.counters().link.disconnects == 0);
}

TEST_CASE("a frame whose encode_input throws stays here, and the next one is offloaded") {
    edge_options o = unmeasured(5s);
    o.encode_input = encode;
    fakes<input_when_up> f{o};
    CHECK(f.infer(12) == answer_source::cloud);
    for (std::uint64_t times = 1; times <= 2; ++times) {
        CHECK(f.infer(bad) == answer_source::fallback);
        CHECK(f.out[0] == fake::answer_to(bad));
        CHECK(f.counted(&frame_counters::failed_here, times));
        CHECK(f.live.edge.counters().frame.offload_refused == times);
    }
    CHECK(f.infer(14) == answer_source::cloud);
    CHECK(f.live.cloud.counters().requests == 2);
}

TEST_CASE("a stage that throws here costs its frame: the answer before is held, and the next frame is computed") {
    fakes<fake::quiet> f{unmeasured(5s)};
    REQUIRE(f.infer(12) == answer_source::edge);
    const int stage = GENERATE(0, 1, 2);
    fake::edge_behaviour.throw_stage = stage;
    CHECK(f.infer(13) == answer_source::held);
    CHECK(f.out[0] == fake::answer_to(12));
    CHECK(f.counted(&frame_counters::failed_here, 1));
    CHECK(f.counted(&frame_counters::uncovered, 1));
    fake::edge_behaviour.throw_stage = -1;
    CHECK(f.infer(14) == answer_source::edge);
    CHECK(f.out[0] == fake::answer_to(14));
    CHECK(f.live.edge.counters().frame.covered_misses == 0);
}

TEST_CASE("an exit whose confidence throws does not answer that frame, and the frame goes on") {
    static std::atomic<bool> throws{};
    throws = false;
    const std::array<exit_place, 1> exits{exit_place{.stage = 1, .first_float = 0, .floats = 1, .confidence = [](std::span<const float>) {
        if (throws) fail_somehow();
        return 1.0F;
    }}};
    struct exit_lover : fake::quiet {
        action on(stage_done s, const link_view&, const budget&) noexcept { return s.exit >= 0 ? action::answer_with(s.exit) : action::go_on(); }
        using fake::quiet::on;
    };
    edge_options o = unmeasured(5s);
    o.exits = exits;
    fakes<exit_lover> f{o};
    CHECK(f.infer(12) == answer_source::exit);
    throws = true;
    CHECK(f.infer(13) == answer_source::edge);
    CHECK(f.out[0] == fake::answer_to(13));
    CHECK(f.counted(&frame_counters::failed_here, 1));
    throws = false;
    CHECK(f.infer(14) == answer_source::exit);
}
