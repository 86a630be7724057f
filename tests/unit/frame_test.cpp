// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_test.cpp
/// Wire frames and their reader, and frames that lie.
#include "blobs.hpp"
#include "catch.hpp"

#include <splitdsl/link/frame_reader.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::link;

namespace {

constexpr std::uint32_t cut_sizes[] = {936, 40};
const frame_limits cloud = frame_limits::of_cloud(cut_sizes, {.probe_bytes = 4096});
const frame_limits cloud_with_input = frame_limits::of_cloud(cut_sizes, {.input_bytes = 5000, .probe_bytes = 4096});
const frame_limits edge = frame_limits::of_edge(12);
const frame_limits streaming_cloud = frame_limits::of_cloud(cut_sizes, {.probe_bytes = 4096, .stream_bytes = 196, .streams = 3});
const frame_limits streaming_edge = frame_limits::of_edge(40, 3);

blob frame_of(frame_header h, std::size_t payload_size) {
    blob m(header_bytes + payload_size);
    for (std::size_t i = 0; i < payload_size; ++i) m[header_bytes + i] = static_cast<std::byte>(i * 7 + 3);
    seal(h, m);
    return m;
}
blob frame_of(message_kind kind, std::size_t payload_size, std::uint8_t cut = 0, std::uint8_t codec = 0) {
    return frame_of({.kind = kind, .cut = cut, .codec = codec, .epoch = 4, .sequence = 77, .budget_us = 90'000, .stamp_us = 123},
                    payload_size);
}
/// Only a header, whose size field may lie.
blob header_claiming(message_kind kind, std::uint32_t payload_size, std::uint8_t cut = 0) {
    blob m(header_bytes);
    encode_header({.kind = kind, .cut = cut, .payload_bytes = payload_size}, std::span<std::byte, header_bytes>{m});
    return m;
}
/// Changes bytes of a header and makes its checksum fit again: what is wrong then is the field itself.
blob resealed(blob m, std::size_t at, std::initializer_list<int> bytes_there) {
    for (const int b : bytes_there) m[at++] = static_cast<std::byte>(b);
    detail::store_u32(m.data() + 44, crc32c({m.data(), 44}));
    return m;
}
blob padded(std::string_view text) {
    blob m = blob_of(text);
    m.resize(64);
    return m;
}

/// Reads all of `bytes` in pieces of `step`; the last fault seen, and how many sound frames.
struct reading {
    frame_fault fault{};
    int frames{};
    bool outside_untouched{true};
    std::size_t taken{};
};
reading read_all(const blob& input, const frame_limits& limits, std::size_t step) {
    // The reader's room lies inside a bigger buffer, so that writing outside is seen.
    constexpr std::size_t guard = 64;
    blob memory(limits.largest() + 2 * guard, std::byte{0xA5});
    frame_reader reader{std::span{memory}.subspan(guard, limits.largest()), limits};
    reading r;
    std::span<const std::byte> rest{input};
    while (!rest.empty()) {
        auto piece = rest.first(std::min(step, rest.size()));
        rest = rest.subspan(piece.size());
        while (!piece.empty()) {
            const std::size_t n = reader.push(piece);
            r.taken += n;
            if (reader.complete()) ++r.frames;
            if (reader.fault() != frame_fault::none) r.fault = reader.fault();
            if (n == 0) {
                rest = {};
                break;
            }
            piece = piece.subspan(n);
        }
    }
    for (std::size_t i = 0; i < guard; ++i)
        r.outside_untouched = r.outside_untouched && memory[i] == std::byte{0xA5} && memory[memory.size() - 1 - i] == std::byte{0xA5};
    return r;
}

} // namespace

TEST_CASE("a header takes 48 bytes, each at its documented place") {
    blob m(header_bytes);
    const frame_header h{.kind = message_kind::payload,
                         .cut = 1,
                         .codec = 0,
                         .epoch = 0x01020304,
                         .sequence = 0x11121314,
                         .payload_bytes = 40,
                         .budget_us = 0x21222324,
                         .stamp_us = 0x31323334,
                         .service_us = 0x41424344,
                         .arrival_us = 0x51525354,
                         .first_bytes = 0x61626364,
                         .payload_crc = 0x71727374};
    encode_header(h, std::span<std::byte, header_bytes>{m});
    const int expected[44] = {'s',  'D',  1,    2,    1,    0,    0,    0,    0x04, 0x03, 0x02, 0x01, 0x14, 0x13, 0x12,
                              0x11, 40,   0,    0,    0,    0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31, 0x44, 0x43,
                              0x42, 0x41, 0x54, 0x53, 0x52, 0x51, 0x64, 0x63, 0x62, 0x61, 0x74, 0x73, 0x72, 0x71};
    for (std::size_t i = 0; i < 44; ++i) REQUIRE(static_cast<int>(m[i]) == expected[i]);
    frame_header back{};
    CHECK(decode_header(m, cloud, back) == frame_fault::none);
    CHECK(back == h);
}

TEST_CASE("random headers come back as they were") {
    numbers n{11};
    for (int round = 0; round < 2000; ++round) {
        const auto word = [&] { return static_cast<std::uint32_t>(n.next()); };
        const frame_header h{.kind = message_kind::reply,
                             .cut = static_cast<std::uint8_t>(n.next()),
                             .codec = static_cast<std::uint8_t>(n.next()),
                             .epoch = word(),
                             .sequence = word(),
                             .payload_bytes = 12,
                             .budget_us = word(),
                             .stamp_us = word(),
                             .service_us = word(),
                             .arrival_us = word(),
                             .first_bytes = word(),
                             .payload_crc = word()};
        blob m(header_bytes);
        encode_header(h, std::span<std::byte, header_bytes>{m});
        frame_header back{};
        REQUIRE(decode_header(m, edge, back) == frame_fault::none);
        REQUIRE(back == h);
    }
}

TEST_CASE("any single flipped bit of a frame is found") {
    const blob good = frame_of(message_kind::payload, 40, 1);
    REQUIRE(read_all(good, cloud, good.size()).frames == 1);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        const reading r = read_all(with_byte(good, bit / 8, 1 << (bit % 8)), cloud, good.size());
        REQUIRE(r.frames == 0);
        REQUIRE(r.fault != frame_fault::none);
    }
}

TEST_CASE("durations travel as whole microseconds and saturate") {
    CHECK(wire_microseconds(duration{1'999}) == 1);
    CHECK(wire_microseconds(duration{-5'000}) == 0);
    CHECK(wire_microseconds(std::chrono::hours{24}) == std::numeric_limits<std::uint32_t>::max());
    CHECK(wire_microseconds(std::chrono::milliseconds{100}) == 100'000);
}

TEST_CASE("every kind a side takes passes with its proper size") {
    for (const auto& [kind, size] : std::vector<std::pair<message_kind, std::size_t>>{{message_kind::hello, 100},
                                                                                      {message_kind::payload, 936},
                                                                                      {message_kind::probe, 4096},
                                                                                      {message_kind::stop, 0},
                                                                                      {message_kind::ping, 0},
                                                                                      {message_kind::goodbye, 0}})
        CHECK(read_all(frame_of(kind, size), cloud, 1000).frames == 1);
    for (const auto& [kind, size] : std::vector<std::pair<message_kind, std::size_t>>{{message_kind::hello_ack, 100},
                                                                                      {message_kind::reply, 12},
                                                                                      {message_kind::shed, 0},
                                                                                      {message_kind::probe_ack, 0},
                                                                                      {message_kind::stop_ack, 0},
                                                                                      {message_kind::pong, 0},
                                                                                      {message_kind::goodbye, 0},
                                                                                      {message_kind::refuse, 300},
                                                                                      {message_kind::refuse, 0}})
        CHECK(read_all(frame_of(kind, size), edge, 1000).frames == 1);
    CHECK(read_all(frame_of(message_kind::payload, 4321, whole_input), cloud_with_input, 1000).frames == 1);
    CHECK(read_all(frame_of(message_kind::stream, 196, 2), streaming_cloud, 1000).frames == 1);
    CHECK(read_all(frame_of(message_kind::stream, 5, 0), streaming_cloud, 1000).frames == 1);
    CHECK(read_all(frame_of(message_kind::stream_ack, 0, 2, 3), streaming_edge, 1000).frames == 1);
    CHECK(read_all(frame_of(message_kind::exit_reply, 40, 1), streaming_edge, 1000).frames == 1);
}

TEST_CASE("frames come out whole however the bytes are cut") {
    blob input;
    std::vector<std::size_t> sizes;
    numbers n{21};
    for (int i = 0; i < 40; ++i) {
        const std::uint8_t cut = static_cast<std::uint8_t>(n.below(2));
        const blob f = n.below(3) == 0 ? frame_of(message_kind::ping, 0) : frame_of(message_kind::payload, cut_sizes[cut], cut);
        sizes.push_back(f.size() - header_bytes);
        input.insert(input.end(), f.begin(), f.end());
    }
    for (int round = 0; round < 60; ++round) {
        blob room(cloud.largest());
        frame_reader reader{room, cloud};
        std::size_t found = 0, at = 0;
        while (at < input.size()) {
            std::span<const std::byte> piece{
                input.data() + at, std::min(input.size() - at, round < 3 ? static_cast<std::size_t>(round + 1) : 1 + n.below(500))};
            at += piece.size();
            while (!piece.empty()) {
                piece = piece.subspan(reader.push(piece));
                REQUIRE(reader.fault() == frame_fault::none);
                if (!reader.complete()) continue;
                REQUIRE(reader.payload().size() == sizes.at(found++));
                for (std::size_t i = 0; i < reader.payload().size(); ++i) REQUIRE(reader.payload()[i] == static_cast<std::byte>(i * 7 + 3));
            }
        }
        REQUIRE(found == sizes.size());
    }
}

TEST_CASE("receiving in place is the same as pushing") {
    const blob f = frame_of(message_kind::payload, 936);
    blob room(cloud.largest());
    frame_reader reader{room, cloud};
    std::size_t at = 0;
    while (!reader.complete()) {
        const auto to = reader.space();
        REQUIRE(!to.empty());
        const std::size_t n = std::min<std::size_t>(to.size(), 100);
        std::memcpy(to.data(), f.data() + at, n);
        at += n;
        reader.received(n);
        CHECK(reader.bytes() == at);
    }
    CHECK(at == f.size());
    CHECK(reader.header().sequence == 77);
}

TEST_CASE("a payload with a bad checksum is dropped and the next frame is read") {
    blob input = with_byte(frame_of(message_kind::payload, 936), 100, 1);
    const blob good = frame_of(message_kind::ping, 0);
    input.insert(input.end(), good.begin(), good.end());
    for (const std::size_t step : {1u, 13u, 5000u}) {
        const reading r = read_all(input, cloud, step);
        CHECK(r.fault == frame_fault::bad_payload_crc);
        CHECK(r.frames == 1);
        CHECK(r.taken == input.size());
    }
    CHECK_FALSE(ends_connection(frame_fault::bad_payload_crc));
}

TEST_CASE("a reader whose room is smaller than its limits refuses instead of overflowing") {
    blob room(100);
    frame_reader reader{room, cloud};
    const blob f = frame_of(message_kind::payload, 936);
    reader.push(f);
    CHECK(reader.fault() == frame_fault::too_large);
    CHECK(reader.space().empty());
    CHECK(reader.push(f) == 0);
    reader.restart();
    CHECK(reader.push(frame_of(message_kind::payload, 40, 1)) == 88);
    CHECK(reader.complete());
}

TEST_CASE("a reader goes on in another buffer and leaves the payload in the one before") {
    blob first(cloud.largest()), second(cloud.largest()), small(100);
    frame_reader reader{first, cloud};
    const blob f = frame_of(message_kind::payload, 936);
    REQUIRE(reader.push(f) == f.size());
    REQUIRE(reader.payload().data() == first.data());
    reader.use(second);
    CHECK(reader.header().sequence == 77); // what is known of the frame stays known
    REQUIRE(reader.push(with_byte(f, 200, 1)) == f.size());
    CHECK(std::equal(f.begin() + header_bytes, f.end(), first.begin())); // though the next one's payload is another
    CHECK(reader.fault() == frame_fault::bad_payload_crc);
    REQUIRE(reader.push(f) == f.size());
    CHECK(reader.payload().data() == second.data());
    reader.use(small);
    reader.push(f);
    CHECK(reader.fault() == frame_fault::too_large);
}

TEST_CASE("hostile frames get the name of what is wrong with them, and nothing is written outside the buffer") {
    struct hostile {
        const char* name;
        blob bytes;
        frame_fault expected;
        const frame_limits* limits{&cloud};
    };
    using k = message_kind;
    using f = frame_fault;
    const blob good = frame_of(k::payload, 936);
    const blob ping = frame_of(k::ping, 0);
    blob swapped_crc = good, foreign_crc = good, zero_crc = good, long_crc = good, reversed_payload = good, shifted_payload = good,
         blank_payload = good;
    for (int i = 0; i < 4; ++i)
        swapped_crc[static_cast<std::size_t>(44 + i)] = good[static_cast<std::size_t>(47 - i)],
                                                  zero_crc[static_cast<std::size_t>(44 + i)] = std::byte{0};
    const auto crc32_of_ethernet = [](std::span<const std::byte> b) {
        std::uint32_t crc = ~0u;
        for (const std::byte x : b) {
            crc ^= static_cast<std::uint32_t>(x);
            for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
        }
        return ~crc;
    };
    detail::store_u32(foreign_crc.data() + 44, crc32_of_ethernet({good.data(), 44}));
    detail::store_u32(long_crc.data() + 44, crc32c({good.data(), 48}));
    std::reverse(reversed_payload.begin() + 48, reversed_payload.end());
    std::rotate(shifted_payload.begin() + 48, shifted_payload.begin() + 49, shifted_payload.end());
    std::fill(blank_payload.begin() + 48, blank_payload.end(), std::byte{0});

    const std::vector<hostile> all{
        {"magic: first byte", with_byte(good, 0, 1), f::bad_magic},
        {"magic: second byte", with_byte(good, 1, 1), f::bad_magic},
        {"magic: bytes swapped", resealed(good, 0, {'D', 's'}), f::bad_magic},
        {"magic: lower case", resealed(good, 0, {'s', 'd'}), f::bad_magic},
        {"all zeros", blob(64), f::bad_magic},
        {"all ones", blob(64, std::byte{255}), f::bad_magic},
        {"an HTTP request", padded("GET / HTTP/1.1\r\nHost: tail\r\n\r\n"), f::bad_magic},
        {"an HTTP/2 preface", padded("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), f::bad_magic},
        {"an SSH greeting", padded("SSH-2.0-OpenSSH_9.2"), f::bad_magic},
        {"a TLS hello", padded("\x16\x03\x01\x02"), f::bad_magic},
        {"a frame that starts one byte late", blob(good.begin() + 1, good.end()), f::bad_magic},
        {"a frame that starts one byte early",
         [&] {
             blob b{std::byte{0}};
             b.insert(b.end(), good.begin(), good.end());
             return b;
         }(),
         f::bad_magic},
        {"version 0", resealed(good, 2, {0}), f::bad_version},
        {"version 2", resealed(good, 2, {2}), f::bad_version},
        {"version 255", resealed(good, 2, {255}), f::bad_version},
        {"changed on the way: kind", with_byte(good, 3, 1), f::bad_header_crc},
        {"changed on the way: cut", with_byte(good, 4, 1), f::bad_header_crc},
        {"changed on the way: codec", with_byte(good, 5, 1), f::bad_header_crc},
        {"changed on the way: flags", with_byte(good, 7, 128), f::bad_header_crc},
        {"changed on the way: epoch", with_byte(good, 8, 1), f::bad_header_crc},
        {"changed on the way: sequence", with_byte(good, 12, 1), f::bad_header_crc},
        {"changed on the way: size", with_byte(good, 19, 128), f::bad_header_crc},
        {"changed on the way: budget", with_byte(good, 20, 1), f::bad_header_crc},
        {"changed on the way: stamp", with_byte(good, 24, 1), f::bad_header_crc},
        {"changed on the way: service time", with_byte(good, 28, 1), f::bad_header_crc},
        {"changed on the way: arrival time", with_byte(good, 32, 1), f::bad_header_crc},
        {"changed on the way: first bytes", with_byte(good, 36, 1), f::bad_header_crc},
        {"changed on the way: the payload's checksum", with_byte(good, 40, 1), f::bad_header_crc},
        {"changed on the way: the header's checksum", with_byte(good, 44, 1), f::bad_header_crc},
        {"header checksum zero", zero_crc, f::bad_header_crc},
        {"header checksum big-endian", swapped_crc, f::bad_header_crc},
        {"header checksum with Ethernet's polynomial", foreign_crc, f::bad_header_crc},
        {"header checksum over all 48 bytes", long_crc, f::bad_header_crc},
        {"the first kind that does not exist", resealed(good, 3, {message_kinds}), f::unknown_kind},
        {"kind 128", resealed(good, 3, {128}), f::unknown_kind},
        {"kind 255", resealed(good, 3, {255}), f::unknown_kind},
        {"lowest flag", resealed(good, 6, {1}), f::unknown_flags},
        {"highest flag", resealed(good, 6, {0, 128}), f::unknown_flags},
        {"the first cut that does not exist", frame_of(k::payload, 936, 2), f::unknown_cut},
        {"cut 254", frame_of(k::payload, 936, 254), f::unknown_cut},
        {"whole input at a cloud that takes none", frame_of(k::payload, 936, whole_input), f::unknown_cut},
        {"the first codec that does not exist", frame_of(k::payload, 936, 0, 1), f::unknown_codec},
        {"codec 255", frame_of(k::payload, 936, 0, 255), f::unknown_codec},
        {"hello_ack at a cloud", frame_of(k::hello_ack, 10), f::unexpected_kind},
        {"reply at a cloud", frame_of(k::reply, 12), f::unexpected_kind},
        {"shed at a cloud", frame_of(k::shed, 0), f::unexpected_kind},
        {"probe_ack at a cloud", frame_of(k::probe_ack, 0), f::unexpected_kind},
        {"stop_ack at a cloud", frame_of(k::stop_ack, 0), f::unexpected_kind},
        {"pong at a cloud", frame_of(k::pong, 0), f::unexpected_kind},
        {"refuse at a cloud", frame_of(k::refuse, 10), f::unexpected_kind},
        {"hello at an edge", frame_of(k::hello, 10), f::unexpected_kind, &edge},
        {"payload at an edge", frame_of(k::payload, 936), f::unexpected_kind, &edge},
        {"probe at an edge", frame_of(k::probe, 10), f::unexpected_kind, &edge},
        {"stop at an edge", frame_of(k::stop, 0), f::unexpected_kind, &edge},
        {"ping at an edge", frame_of(k::ping, 0), f::unexpected_kind, &edge},
        {"hello without a handshake", frame_of(k::hello, 0), f::wrong_size},
        {"hello of 16 KiB and one byte", header_claiming(k::hello, 16 * 1024 + 1), f::too_large},
        {"hello of 4 GiB", header_claiming(k::hello, 0xFFFFFFFFu), f::too_large},
        {"payload of nothing", frame_of(k::payload, 0), f::wrong_size},
        {"payload one byte short", frame_of(k::payload, 935), f::wrong_size},
        {"payload one byte long", frame_of(k::payload, 937), f::too_large},
        {"payload of 4 GiB", header_claiming(k::payload, 0xFFFFFFFFu), f::too_large},
        {"payload of 2 GiB", header_claiming(k::payload, 0x80000000u), f::too_large},
        {"payload of cut 1 named cut 0", frame_of(k::payload, 40, 0), f::wrong_size},
        {"payload of cut 0 named cut 1", frame_of(k::payload, 936, 1), f::too_large},
        {"whole input of nothing", frame_of(k::payload, 0, whole_input), f::wrong_size, &cloud_with_input},
        {"whole input one byte too long", header_claiming(k::payload, 5001, whole_input), f::too_large, &cloud_with_input},
        {"probe of nothing", frame_of(k::probe, 0), f::wrong_size},
        {"probe one byte too long", header_claiming(k::probe, 4097), f::too_large},
        {"stop with a payload", frame_of(k::stop, 1), f::wrong_size},
        {"ping with a payload", frame_of(k::ping, 1), f::wrong_size},
        {"goodbye with a payload", header_claiming(k::goodbye, 0xFFFFFFFFu), f::wrong_size},
        {"hello_ack without a handshake", frame_of(k::hello_ack, 0), f::wrong_size, &edge},
        {"hello_ack of 4 GiB", header_claiming(k::hello_ack, 0xFFFFFFFFu), f::too_large, &edge},
        {"reply of nothing", frame_of(k::reply, 0), f::wrong_size, &edge},
        {"reply one byte too long", frame_of(k::reply, 13), f::too_large, &edge},
        {"reply of 4 GiB", header_claiming(k::reply, 0xFFFFFFFFu), f::too_large, &edge},
        {"shed with a payload", frame_of(k::shed, 12), f::wrong_size, &edge},
        {"probe_ack with a payload", frame_of(k::probe_ack, 1), f::wrong_size, &edge},
        {"stop_ack with a payload", frame_of(k::stop_ack, 1), f::wrong_size, &edge},
        {"pong with a payload", frame_of(k::pong, 24), f::wrong_size, &edge},
        {"a refusal that is a novel", header_claiming(k::refuse, 1025), f::too_large, &edge},
        {"stream at a cloud without streams", frame_of(k::stream, 20), f::unexpected_kind},
        {"stream at an edge", frame_of(k::stream, 20), f::unexpected_kind, &streaming_edge},
        {"stream_ack at an edge without streams", frame_of(k::stream_ack, 0), f::unexpected_kind, &edge},
        {"exit_reply at an edge without streams", frame_of(k::exit_reply, 12), f::unexpected_kind, &edge},
        {"stream_ack at a cloud", frame_of(k::stream_ack, 0), f::unexpected_kind, &streaming_cloud},
        {"exit_reply at a cloud", frame_of(k::exit_reply, 12), f::unexpected_kind, &streaming_cloud},
        {"the first stream that does not exist", frame_of(k::stream, 20, 3), f::unknown_cut, &streaming_cloud},
        {"an acknowledged stream that does not exist", frame_of(k::stream_ack, 0, 255), f::unknown_cut, &streaming_edge},
        {"an answered stream that does not exist", frame_of(k::exit_reply, 12, 3), f::unknown_cut, &streaming_edge},
        {"stream of nothing", frame_of(k::stream, 0), f::wrong_size, &streaming_cloud},
        {"stream packet one byte too long", header_claiming(k::stream, 197), f::too_large, &streaming_cloud},
        {"stream packet of 4 GiB", header_claiming(k::stream, 0xFFFFFFFFu), f::too_large, &streaming_cloud},
        {"stream_ack with a payload", frame_of(k::stream_ack, 1), f::wrong_size, &streaming_edge},
        {"exit_reply of nothing", frame_of(k::exit_reply, 0), f::wrong_size, &streaming_edge},
        {"exit_reply one byte too long", frame_of(k::exit_reply, 41), f::too_large, &streaming_edge},
        {"payload: first byte changed", with_byte(good, 48, 1), f::bad_payload_crc},
        {"payload: last byte changed", with_byte(good, good.size() - 1, 128), f::bad_payload_crc},
        {"payload: reversed", reversed_payload, f::bad_payload_crc},
        {"payload: shifted by one", shifted_payload, f::bad_payload_crc},
        {"payload: zeros", blank_payload, f::bad_payload_crc},
        {"a checksum where there is no payload", resealed(ping, 40, {1}), f::bad_payload_crc},
        {"reply: changed value", with_byte(frame_of(k::reply, 12), 50, 64), f::bad_payload_crc, &edge},
    };
    CHECK(all.size() >= 60);
    std::set<std::string> names;
    for (const hostile& h : all) {
        INFO(h.name);
        CHECK(names.insert(h.name).second);
        for (const std::size_t step : {std::size_t{1}, std::size_t{47}, h.bytes.size()}) {
            const reading r = read_all(h.bytes, *h.limits, step);
            CHECK(sentence(r.fault) == std::string(sentence(h.expected)));
            CHECK(r.frames == 0);
            CHECK(r.outside_untouched);
            // Nothing behind a bad header is read.
            if (ends_connection(h.expected)) CHECK(r.taken == header_bytes);
        }
    }
}

TEST_CASE("a header cut short at any length is truncated, not something else") {
    const blob good = frame_of(message_kind::ping, 0);
    for (std::size_t n = 0; n < header_bytes; ++n) {
        frame_header h{};
        REQUIRE(decode_header({good.data(), n}, cloud, h) == frame_fault::truncated);
        const reading r = read_all(blob(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)), cloud, 5);
        REQUIRE(r.frames == 0);
        REQUIRE(r.fault == frame_fault::none); // a reader waits for the rest
    }
}

TEST_CASE("every fault has its own sentence and every kind its own name") {
    std::set<std::string> said, kinds;
    for (int i = 0; i < frame_faults; ++i) said.insert(sentence(static_cast<frame_fault>(i)));
    for (int i = 0; i < message_kinds; ++i) kinds.insert(name_of(static_cast<message_kind>(i)));
    CHECK(said.size() == frame_faults);
    CHECK(kinds.size() == message_kinds);
    CHECK(name_of(static_cast<message_kind>(200)) == std::string("unknown kind"));
}

TEST_CASE("a variable codec's maximum is a maximum") {
    const frame_limits variable = frame_limits::of_cloud(cut_sizes, {.codecs = 3, .exact_cuts = false});
    CHECK(read_all(frame_of(message_kind::payload, 500, 0, 2), variable, 99).frames == 1);
    CHECK(read_all(frame_of(message_kind::payload, 0), variable, 99).fault == frame_fault::wrong_size);
    CHECK(read_all(frame_of(message_kind::payload, 937), variable, 99).fault == frame_fault::too_large);
    CHECK(read_all(frame_of(message_kind::payload, 500, 0, 3), variable, 99).fault == frame_fault::unknown_codec);
}
