// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_packets_test.cpp
/// Streams message by message: what the device's side sends when, and what the cloud's side makes of bytes that lie.
#include "raw_peer.hpp"
#include "stream_network.hpp"

#include "../catch.hpp"

#include <splitdsl/codec/dynamic_pool_packets.hpp>
#include <splitdsl/link/in_process.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/outbox.hpp>

using namespace splitdsl;
using namespace std::chrono_literals;
using link::message_kind;

namespace {

/// A connection that takes so many bytes and keeps them.
struct narrow_stream final : link::stream {
    std::size_t room{std::size_t{1} << 20};
    bool ended{};
    std::vector<std::byte> taken{};
    link::io write(std::span<const std::byte> from) noexcept override {
        if (ended) return {.what = link::io_result::closed};
        const std::size_t n = std::min(from.size(), room);
        if (n == 0) return {.what = link::io_result::would_block};
        taken.insert(taken.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(n));
        room -= n;
        return {.what = link::io_result::ok, .bytes = n};
    }
    link::io read(std::span<std::byte>) noexcept override { return {.what = link::io_result::would_block}; }
    bool wait(bool, bool, duration) noexcept override { return false; }
    void wake() noexcept override {}
    void shutdown() noexcept override {}
    /// Headers of the whole messages taken since the last call.
    std::vector<link::frame_header> messages() {
        const link::frame_limits limits = link::frame_limits::of_cloud({}, {.stream_bytes = 65'535, .streams = streamed::streams});
        std::vector<std::byte> buffer(limits.largest());
        link::frame_reader reader{buffer, limits};
        std::vector<link::frame_header> all;
        std::size_t whole = 0;
        for (std::span<const std::byte> rest{taken}; !rest.empty();) {
            const std::size_t n = reader.push(rest);
            REQUIRE(reader.fault() == link::frame_fault::none);
            rest = rest.subspan(n);
            if (!reader.complete()) break;
            all.push_back(reader.header());
            whole = taken.size() - rest.size();
        }
        taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(whole));
        return all;
    }
};

/// Streams fed by hand: what the arena holds stands for a stage's map.
struct hand_fed {
    explicit hand_fed(edge_stream_options o) : net{streamed::network()}, arena{net.net->arena_bytes}, streams{*net.net, o} {
        for (int s = 0; s < streamed::streams; ++s) {
            auto* map = reinterpret_cast<float*>(arena.data() + net.net->streams[s].map);
            for (int i = 0; i < 6 * 16 * 16; ++i) map[i] = static_cast<float>((i * 7919 + s) % 997);
        }
        streams.restart(true);
    }
    bool start(std::uint32_t frame, int stream, int first = 0, int last = 2) {
        return streams.start(
            {.frame = frame, .epoch = 3, .stream = stream, .first = first, .last = last, .stage = stream, .due = instant{1s}}, arena.data(),
            instant{});
    }
    bool write(bool begun_only = false) {
        bool room = true;
        std::size_t written = 0;
        const bool open = streams.write(to, begun_only, room, written);
        blocked = !room;
        return open;
    }
    streamed::subject net;
    aligned_buffer arena;
    edge_streams streams;
    narrow_stream to{};
    bool blocked{};
};

} // namespace

TEST_CASE("whoever tells of new packets never waits for the one who writes") {
    // A real-time thread that did would keep an ordinary writer from its processor for as long as it waited.
    struct told_while_writing final : link::stream {
        outbox* box{};
        int writes{}, wakes{};
        link::io write(std::span<const std::byte> from) noexcept override {
            if (++writes == 1) box->nudge(); // the token is taken: this very call has it
            return {.what = link::io_result::ok, .bytes = from.size()};
        }
        link::io read(std::span<std::byte>) noexcept override { return {.what = link::io_result::would_block}; }
        bool wait(bool, bool, duration) noexcept override { return false; }
        void wake() noexcept override { ++wakes; }
        void shutdown() noexcept override {}
    };
    outbox box{256, 256};
    box.nudge(); // no connection yet: nobody to tell
    told_while_writing to;
    to.box = &box;
    box.open(&to);
    REQUIRE(box.post(100, instant{}));
    CHECK((to.writes == 1 && to.wakes == 0));
    box.nudge();
    CHECK(to.wakes == 1);
    CHECK_FALSE(box.busy());
    box.close();
}

TEST_CASE("a stream's messages leave in order, and no more of them than the window lets be on their way") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 2 * 148}};
    CHECK_FALSE(f.streams.wants());
    REQUIRE(f.start(1, 0));
    CHECK(f.streams.wants());
    REQUIRE(f.write());
    CHECK_FALSE(f.streams.wants()); // the window is full
    CHECK(f.streams.unacknowledged());
    auto sent = f.to.messages();
    REQUIRE(sent.size() == 2);
    CHECK((sent[0].kind == message_kind::stream && sent[0].cut == 0 && sent[0].sequence == 1 && sent[0].epoch == 3
           && sent[0].budget_us == 1'000'000));
    const auto bytes = static_cast<std::uint32_t>(sent[0].payload_bytes + sent[1].payload_bytes + 2 * link::header_bytes);
    // One of the two is acknowledged: one more may go.
    f.streams.heard({.kind = message_kind::stream_ack,
                     .cut = 0,
                     .codec = 1,
                     .sequence = 1,
                     .first_bytes = static_cast<std::uint32_t>(sent[0].payload_bytes + link::header_bytes)},
                    instant{1s});
    link_event e{};
    REQUIRE(f.streams.next_event(e));
    CHECK((e.what == link_event::kind::acknowledged && e.frame == 1 && e.stream == 0 && e.level == 0));
    CHECK_FALSE(f.streams.next_event(e));
    REQUIRE(f.write());
    CHECK(f.to.messages().size() == 1);
    // A peer that acknowledges what was never sent opens the window and no more.
    f.streams.heard({.kind = message_kind::stream_ack, .cut = 0, .codec = 99, .sequence = 1, .first_bytes = bytes * 1000}, instant{2s});
    CHECK_FALSE(f.streams.next_event(e)); // nor does it invent sizes
    CHECK_FALSE(f.streams.unacknowledged());
    while (f.streams.wants()) {
        REQUIRE(f.write());
        for (const auto& h : f.to.messages()) CHECK(h.sequence == 1);
        f.streams.heard({.kind = message_kind::stream_ack, .sequence = 1, .first_bytes = bytes * 1000}, instant{3s});
    }
    CHECK(f.streams.bytes_sent() == f.streams.counted().bytes);
    CHECK(f.streams.counted().dropped == 0);
}

TEST_CASE("what is made when a radio's books are closed waits for the event behind the next") {
    const instant event = std::chrono::steady_clock::now() + 2s;
    for (const bool in_time : {true, false}) {
        link::radio_gauge radio{{.interval = 4s, .packets = 4}, event};
        hand_fed f{{.packet_bytes = 100, .radio = &radio, .ahead = 3500ms, .closes = 1s}};
        REQUIRE(f.streams.start({.frame = 1,
                                 .epoch = 3,
                                 .stream = 0,
                                 .last = 2,
                                 .least = 1,
                                 .stage = 0,
                                 .due = event,
                                 .made = event - (in_time ? 1500ms : 500ms)},
                                f.arena.data(), instant{}));
        REQUIRE(f.write());
        const auto sent = f.to.messages();
        CHECK(sent.size() == (in_time ? 4 : 0)); // a packet each, and the event takes four
        for (const auto& h : sent) CHECK((h.codec == link::without_ack && h.first_bytes == 1));
        CHECK_FALSE(f.streams.wants());
        f.streams.drop(1, 3, true, event - (in_time ? 1500ms : 500ms));
        REQUIRE(f.write());
        CHECK(f.to.messages().size() == (in_time ? 1 : 0)); // nor does the stop overtake
    }
    CHECK_THROWS_AS((edge_streams{*streamed::network().net, {.ahead = 1ms, .closes = 2ms}}), option_error);
}

TEST_CASE("acknowledgements with a radio that tells its events say what it delivered, in order") {
    const instant first = std::chrono::steady_clock::now() - 10s;
    link::radio_gauge radio{{.interval = 4s, .packets = 4}, first};
    hand_fed f{{.packet_bytes = 100, .radio = &radio, .ahead = 4s}};
    REQUIRE(f.start(1, 0));
    REQUIRE(f.write());
    REQUIRE(f.to.messages().size() == 4);
    const instant event = radio.event_from(std::chrono::steady_clock::now()); // that they are for
    link_event e{};
    radio.event_over(event, 1, 1, 0); // in it the first one was lost; nothing was there before
    CHECK_FALSE(f.streams.next_event(e));
    radio.event_over(event + 4s, 1, 0, 4); // lost first, so that all four waited
    CHECK_FALSE(f.streams.next_event(e));
    radio.event_over(event + 8s, 1, 0, 0); // and came
    CHECK(f.streams.next_event(e));
    CHECK((e.what == link_event::kind::acknowledged && e.stream == 0 && e.level >= 0));
}

TEST_CASE("acknowledgements tell the rate while more is waiting, and only then") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 2 * 148}};
    REQUIRE(f.start(1, 0));
    REQUIRE(f.write());
    std::uint32_t all = 0;
    for (const auto& h : f.to.messages()) all += static_cast<std::uint32_t>(h.payload_bytes + link::header_bytes);
    const auto heard = [&](std::uint32_t bytes, instant when) {
        return f.streams.heard({.kind = message_kind::stream_ack, .sequence = 1, .first_bytes = bytes}, when).value;
    };
    CHECK(heard(all / 2, instant{10ms}) == 0); // the first one: since when?
    CHECK(heard(all, instant{20ms}) == Approx(8.0 * (all - all / 2) / 0.01));
    CHECK(heard(all, instant{30ms}) == 0); // nothing new
    while (f.streams.wants()) {
        REQUIRE(f.write());
        for (const auto& h : f.to.messages()) all += static_cast<std::uint32_t>(h.payload_bytes + link::header_bytes);
        CHECK(heard(all, instant{40ms}) >= 0);
    }
    REQUIRE(f.start(1, 1)); // a pause lies between: its first acknowledgement says nothing
    REQUIRE(f.write());
    for (const auto& h : f.to.messages()) all += static_cast<std::uint32_t>(h.payload_bytes + link::header_bytes);
    CHECK(heard(all, instant{90ms}) == 0);
}

TEST_CASE("the next stream, a stop and a new connection drop what is unsent, but never half a message") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 0}};
    REQUIRE(f.start(1, 0));
    f.to.room = 70; // half of the first message
    REQUIRE(f.write());
    CHECK(f.blocked);
    REQUIRE(f.start(1, 1));
    f.to.room = 1 << 20;
    REQUIRE(f.write(true)); // somebody else's message is to follow: only what was begun
    auto sent = f.to.messages();
    REQUIRE(sent.size() == 1);
    CHECK((sent[0].cut == 0 && f.to.taken.empty()));
    REQUIRE(f.write());
    sent = f.to.messages();
    REQUIRE(sent.size() > 1);
    for (const auto& h : sent) CHECK(h.cut == 1);
    CHECK(f.streams.counted().dropped > 0);
    // The frame is over: what is unsent gives way to one stop.
    REQUIRE(f.start(1, 2));
    f.streams.drop(1, 3, true, instant{});
    REQUIRE(f.write());
    sent = f.to.messages();
    REQUIRE(sent.size() == 1);
    CHECK((sent[0].kind == message_kind::stop && sent[0].sequence == 1));
    CHECK_FALSE(f.streams.wants());
    // Another connection knows nothing of the one before.
    REQUIRE(f.start(2, 0));
    f.streams.restart(false);
    CHECK_FALSE(f.streams.wants());
    CHECK_FALSE(f.streams.unacknowledged());
    f.streams.restart(true);
    CHECK_FALSE(f.streams.wants());
    REQUIRE(f.write());
    CHECK(f.to.messages().empty());
    // The connection ends while a message is written.
    REQUIRE(f.start(3, 0));
    f.to.ended = true;
    CHECK_FALSE(f.write());
}

TEST_CASE("a size that is asked for later brings what is not acknowledged with it, and what does not exist is refused") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 0}};
    REQUIRE(f.start(1, 0, 0, 0));
    REQUIRE(f.write());
    CHECK_FALSE(f.to.messages().empty());
    REQUIRE(f.start(1, 0, 1, 1)); // the first size is not acknowledged: again
    REQUIRE(f.write());
    const auto both = f.to.messages().size();
    f.streams.heard({.kind = message_kind::stream_ack, .cut = 0, .codec = 1, .sequence = 1}, instant{});
    link_event e{};
    REQUIRE(f.streams.next_event(e));
    REQUIRE(f.start(1, 0, 1, 1)); // now it is
    REQUIRE(f.write());
    CHECK(f.to.messages().size() < both);
    CHECK_FALSE(f.start(1, 3));
    CHECK_FALSE(f.start(1, -1));
    CHECK_FALSE(f.start(1, 0, 3, 3));
    CHECK_FALSE(f.start(1, 0, 2, 1));
    CHECK_FALSE(f.streams.start({.frame = 1, .epoch = 3, .stream = 1, .stage = 0, .due = instant{1s}}, f.arena.data(),
                                instant{})); // its stage has not ended
    CHECK(f.streams.counted().refused == 5);
    CHECK_THROWS_AS((edge_streams{*f.net.net, {.packet_bytes = 31}}), option_error);
    CHECK_THROWS_AS((edge_streams{pipeline{}}), option_error);
    CHECK_THROWS_AS((cloud_streams{*f.net.net, f.net.packed, {.thresholds = {-1.0F}}}), option_error);
}

namespace {

/// An edge made of bytes, let in.
struct raw_streamer : raw_peer {
    raw_streamer(link::in_process& door, const stream_terms& terms)
        : raw_peer{door.connect(1s), link::frame_limits::of_edge(4 * streamed::classes * sizeof(float), streamed::streams)} {
        const auto s = streamed::network();
        auto me = introduction_for(*s.net, s.digest);
        terms.introduce(me);
        std::string why;
        REQUIRE(introduce(*stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    }
};

} // namespace

TEST_CASE("the cloud acknowledges and answers each burst, and packets that lie end the connection by name") {
    const auto s = streamed::network();
    cloud_streams above{*s.net, s.packed};
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process door{*listener};
    cloud_core cloud{*s.net, s.packed, {.weights_digest = s.digest, .streams = &above}, std::move(listener)};
    const stream_terms terms{*s.net};
    const auto ended = [&](ending why) {
        for (int i = 0; i < 2000; ++i, std::this_thread::sleep_for(1ms))
            if (cloud.counters().endings[static_cast<std::size_t>(why)] > 0) return true;
        return false;
    };
    // A packet of stream 0 that holds its whole smallest size.
    dynamic_pool_encoder from{terms.ladders[0]};
    const std::vector<float> map(6 * 16 * 16, 0.5F);
    from.pool(map.data());
    pool_packet_writer writer{from, {.packet_bytes = 244}};
    writer.start(1);
    std::array<std::byte, 244> packet{};
    const std::size_t size = writer.next(packet, 1);
    REQUIRE(writer.next_level() >= 1);
    const link::frame_header good{.kind = message_kind::stream, .cut = 0, .epoch = 9, .sequence = 1, .budget_us = 1'000'000};
    {
        raw_streamer e{door, terms};
        e.send(good, std::span{packet}.first(size));
        REQUIRE(e.next() == message_kind::stream_ack);
        CHECK(e.reader.header().codec == 1); // a size is complete
        CHECK(e.reader.header().first_bytes == link::header_bytes + size);
        REQUIRE(e.next() == message_kind::exit_reply);
        CHECK((e.reader.header().cut == 0 && e.reader.header().sequence == 1 && e.reader.header().epoch == 9));
        CHECK(e.reader.payload().size() == streamed::classes * sizeof(float));
        e.send(good, std::span{packet}.first(size)); // again: acknowledged, but no news
        CHECK(e.next() == message_kind::stream_ack);
        e.send({.kind = message_kind::stop, .epoch = 9, .sequence = 1}, {});
        CHECK(e.next() == message_kind::stop_ack);
        CHECK(above.counters().stopped == 1);
        // An earlier frame's packet is stale, not a lie.
        auto old = good;
        old.sequence = 0;
        e.send(old, std::span{packet}.first(size));
        CHECK(e.next() == message_kind::stream_ack);
        CHECK(above.counters().packet[static_cast<std::size_t>(packet_fault::stale)] == 1);
        // A frame whose time is over is acknowledged, not computed.
        pool_packet_writer again{from, {.packet_bytes = 244}};
        again.start(2);
        std::array<std::byte, 244> late{};
        const std::size_t late_size = again.next(late, 1);
        auto over = good;
        over.sequence = 2;
        over.budget_us = 0;
        e.send(over, std::span{late}.first(late_size));
        CHECK(e.next() == message_kind::stream_ack);
        for (int i = 0; i < 2000 && above.counters().late == 0; ++i) std::this_thread::sleep_for(1ms);
        CHECK(above.counters().late == 1);
    }
    const auto lies = [&](link::frame_header h, std::vector<std::byte> payload, packet_fault named) {
        const auto before = above.counters().packet[static_cast<std::size_t>(named)];
        raw_streamer e{door, terms};
        e.send(h, payload);
        while (e.next()) {}
        CHECK(above.counters().packet[static_cast<std::size_t>(named)] == before + 1);
    };
    const std::vector<std::byte> whole(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
    auto other = whole;
    other[2] = std::byte{64 | 2};
    lies(good, other, packet_fault::other_stream);
    auto level = whole;
    level[3] = std::byte{60};
    lies(good, level, packet_fault::unknown_level);
    lies(good, {whole.begin(), whole.begin() + 2}, packet_fault::truncated);
    auto newer = good;
    newer.sequence = 7; // the packet says frame 1
    lies(newer, whole, packet_fault::stale);
    CHECK(ended(ending::bad_payload));
    {
        raw_streamer e{door, terms};
        auto beyond = good;
        beyond.cut = streamed::streams;
        e.send(beyond, whole);
        CHECK_FALSE(e.next());
        CHECK(ended(ending::unknown_cut));
    }
    {
        // A scale that is not a number stands in the first level's bytes.
        auto bad = whole;
        for (std::size_t i = 7; i < 11; ++i) bad[i] = std::byte{0xFF};
        raw_streamer e{door, terms};
        e.send(good, bad);
        while (e.next()) {}
        const auto c = above.counters();
        CHECK(c.level[static_cast<std::size_t>(level_fault::bad_quantiser)] == 1);
    }
    // A cloud without streams takes none, and its handshake says so.
    auto plain_door = std::make_unique<link::in_process_listener>();
    link::in_process to_plain{*plain_door};
    cloud_core plain{*s.net, s.packed, {.weights_digest = s.digest}, std::move(plain_door)};
    auto stream = to_plain.connect(1s);
    auto me = introduction_for(*s.net, s.digest);
    terms.introduce(me);
    std::string why;
    CHECK_FALSE(introduce(*stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    CHECK(why.find("number of cuts") != std::string::npos);
}
