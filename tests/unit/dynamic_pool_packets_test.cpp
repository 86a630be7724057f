// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_packets_test.cpp
/// Packets of levels, sizes and widths: lost, reordered, repeated, damaged and hostile ones. What comes out is right or is not there.
#include "catch.hpp"
#include "pooled_maps.hpp"

#include <splitdsl/detail/byte_order.hpp>

#include <algorithm>
#include <array>
#include <string>

using namespace splitdsl;

namespace {

constexpr pool_options ways[] = {{pool_form::means, pool_coding::packed},
                                 {pool_form::means, pool_coding::rice},
                                 {pool_form::lifted, pool_coding::packed},
                                 {pool_form::lifted, pool_coding::rice}};

/// A map of features, pooled by an encoder with the usual options.
struct pooled_map {
    pool_ladder ladder;
    dynamic_pool_encoder encoder;
    pooled_map(numbers& n, const pool_shape& shape, pool_sizes sizes = {}) : ladder{pool_ladder_of(shape, sizes)}, encoder{ladder} {
        encoder.pool(features(n, ladder.shape).data());
    }
};

std::vector<blob> all_packets(dynamic_pool_encoder& from, pool_packet_options how, std::uint16_t frame) {
    pool_packet_writer writer{from, how};
    writer.start(frame);
    std::vector<blob> packets;
    blob packet(how.packet_bytes);
    while (const std::size_t size = writer.next(packet))
        packets.emplace_back(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
    return packets;
}

/// The levels a packet has bytes of.
std::vector<int> levels_in(const blob& packet, bool checked) {
    std::vector<int> levels;
    const std::byte *at = packet.data() + 3, *const end = packet.data() + packet.size() - (checked ? 4 : 0);
    while (at < end) {
        levels.push_back(static_cast<int>(*at++) & 63);
        std::size_t number[2]{};
        for (std::size_t& v : number)
            for (int shift = 0;; shift += 7) {
                const auto b = static_cast<std::size_t>(*at++);
                v |= (b & 127) << shift;
                if (b < 128) break;
            }
        at += number[1];
    }
    return levels;
}

blob chunk_packet(std::uint16_t frame, int head, int level, std::size_t offset, const blob& data) {
    blob p(16 + data.size());
    detail::store_u16(p.data(), frame);
    p[2] = static_cast<std::byte>(head);
    p[3] = static_cast<std::byte>(level);
    std::byte* at = detail::put_number(detail::put_number(p.data() + 4, offset), data.size());
    at = std::copy(data.begin(), data.end(), at);
    p.resize(static_cast<std::size_t>(at - p.data()));
    return p;
}

/// Every channel that the decoder says it has equals the one of the decoder that got everything.
void check_right(dynamic_pool_decoder& part, dynamic_pool_decoder& whole, const std::vector<std::uint16_t>& order) {
    const pool_ladder& l = whole.ladder();
    int before = l.channels(0);
    for (int i = 0; i < l.levels; ++i) {
        const int have = part.channels_at(i);
        if (l.by_width()) {
            REQUIRE(have <= l.channels(i));
            REQUIRE((have == 0 || before == (i > 0 ? l.first_channel(i) : l.channels(0)))); // no width before those it adds to
        } else
            REQUIRE(have <= before);
        before = have;
        std::vector<std::uint8_t> a(static_cast<std::size_t>(l.values(i))), b(a.size());
        for (int p = 0; p < have; ++p) {
            const int channel = order[static_cast<std::size_t>(p)];
            whole.rebuild(i, channel, a.data());
            REQUIRE(part.rebuild(i, channel, b.data()));
            REQUIRE(a == b);
        }
    }
}

} // namespace

TEST_CASE("packets of every size fill what they are given and carry every level") {
    numbers n{21};
    const bool by_width = GENERATE(false, true);
    const pool_shape shape{.channels = 8, .height = 16, .width = 16, .stride = 4};
    const pool_ladder l = by_width ? pool_ladder_of(shape, widths(1, 3, 4, 8)) : pool_ladder_of(shape, {.largest = 16});
    const auto map = features(n, l.shape);
    for (const pool_options& way : ways)
        for (const std::size_t bytes : {16u, 20u, 27u, 100u, 244u, 251u, 1500u, 65'535u})
            for (const bool checked : {false, true}) {
                dynamic_pool_encoder encoder{l, way};
                encoder.pool(map.data());
                std::size_t content = 0;
                for (int i = 0; i < l.levels; ++i) content += encoder.encode(i).size();
                const pool_packet_options how{.packet_bytes = bytes, .stream = 7, .checked = checked};
                const auto packets = all_packets(encoder, how, 3);
                pool_reassembler reassembler{l, way.form, how};
                dynamic_pool_decoder decoder{l, way}, whole{l, way};
                std::size_t sent = 0;
                for (std::size_t p = 0; p < packets.size(); ++p) {
                    REQUIRE(packets[p].size() <= bytes);
                    if (p + 1 < packets.size())
                        CHECK(packets[p].size() + 9 >= bytes); // only a chunk too short to be worth its header stays out
                    sent += packets[p].size();
                    REQUIRE(reassembler.accept(packets[p]) == packet_fault::none);
                    REQUIRE(reassembler.accept(packets[p]) == packet_fault::duplicate);
                }
                if (bytes >= 244)
                    CHECK(sent <= content + packets.size() * 7 + static_cast<std::size_t>(l.levels) * 6 + packets.size() * 10);
                REQUIRE(reassembler.feed(decoder) == level_fault::none);
                CHECK(decoder.whole_levels() == l.levels);
                for (int i = 0; i < l.levels; ++i) {
                    CHECK(reassembler.complete(i));
                    whole.take(i, encoder.encode(i));
                }
                std::vector<float> a(8 * 256), b(a.size());
                decoder.rebuild(l.levels - 1, a.data());
                whole.rebuild(l.levels - 1, b.data());
                CHECK(a == b);
                CHECK(reassembler.counted().accepted == packets.size());
                CHECK(reassembler.counted().duplicates == packets.size());
            }
}

TEST_CASE("any prefix of the packets decodes, and each level is usable from its last packet on") {
    numbers n{22};
    const bool by_width = GENERATE(false, true);
    const pool_shape shape{.channels = 6, .height = 28, .width = 28, .stride = 4};
    const pool_ladder l = by_width ? pool_ladder_of(shape, widths(1, 3, 6)) : pool_ladder_of(shape);
    const auto map = features(n, l.shape);
    const std::vector<std::uint16_t> order{3, 1, 5, 0, 2, 4};
    for (const pool_options& way : ways) {
        dynamic_pool_encoder encoder{l, way, order};
        encoder.pool(map.data());
        dynamic_pool_decoder whole{l, way, order}, part{l, way, order};
        for (int i = 0; i < l.levels; ++i) whole.take(i, encoder.encode(i));
        const pool_packet_options how{.packet_bytes = 27};
        pool_reassembler reassembler{l, way.form, how};
        int levels = 0;
        const auto packets = all_packets(encoder, how, 65'535);
        for (std::size_t p = 0; p < packets.size(); ++p) {
            reassembler.accept(packets[p]);
            REQUIRE(reassembler.feed(part) == level_fault::none);
            REQUIRE(part.whole_levels() >= levels);
            levels = part.whole_levels();
            if (p + 1 < packets.size()) {
                const int next = levels_in(packets[p + 1], false).front();
                REQUIRE(levels >= next); // all before the level that comes next
                REQUIRE(levels <= next + 1);
            }
            check_right(part, whole, order);
        }
        CHECK(levels == l.levels);
    }
}

TEST_CASE("lost, reordered and repeated packets leave the largest complete prefix and never a wrong value") {
    numbers n{23};
    const bool by_width = GENERATE(false, true);
    const pool_ladder l = by_width ? pool_ladder_of({.channels = 5, .height = 7, .width = 6}, widths(1, 2, 3, 5))
                                   : pool_ladder_of({.channels = 5, .height = 16, .width = 16, .stride = 8}, {.smallest = 3, .largest = 8});
    std::uint64_t lost = 0, levels_seen[8]{};
    for (int trial = 0; trial < 1500; ++trial) {
        const pool_options way = ways[n.below(4)];
        const std::vector<std::uint16_t> order{4, 2, 0, 1, 3};
        const auto map = features(n, l.shape, n.uniform(0, 1));
        dynamic_pool_encoder encoder{l, way, order};
        encoder.pool(map.data());
        dynamic_pool_decoder whole{l, way, order}, part{l, way, order};
        for (int i = 0; i < l.levels; ++i) whole.take(i, encoder.encode(i));
        const pool_packet_options how{.packet_bytes = 16 + n.below(60), .checked = n.below(2) == 0};
        const auto frame = static_cast<std::uint16_t>(n.next());
        const auto packets = all_packets(encoder, how, frame);
        pool_reassembler reassembler{l, way.form, how};
        // A frame before this one, whose last packets come late.
        dynamic_pool_encoder earlier{l, way, order};
        const auto old_map = features(n, l.shape);
        earlier.pool(old_map.data());
        const auto old_packets = all_packets(earlier, how, static_cast<std::uint16_t>(frame - 1));
        for (const blob& p : old_packets) reassembler.accept(p);

        std::vector<blob> air;
        std::array<bool, 8> missing{};
        const std::size_t loss = n.below(10) < 3 ? 0 : n.below(100);
        for (const blob& p : packets) {
            if (n.below(100) < loss) {
                ++lost;
                for (const int i : levels_in(p, how.checked)) missing[static_cast<std::size_t>(i)] = true;
                continue;
            }
            for (std::size_t copies = 1 + (n.below(5) == 0 ? 1 : 0); copies > 0; --copies) air.push_back(p);
        }
        for (const blob& p : old_packets)
            if (n.below(4) == 0) air.push_back(p);
        for (std::size_t i = air.size(); i > 1; --i) std::swap(air[i - 1], air[n.below(i)]);
        // The first packet of this frame must come before the late ones are called late.
        for (const blob& p : air) {
            const packet_fault f = reassembler.accept(p);
            REQUIRE((f == packet_fault::none || f == packet_fault::duplicate || f == packet_fault::stale));
            if (n.below(3) == 0 && reassembler.sequence() == frame) REQUIRE(reassembler.feed(part) == level_fault::none);
        }
        if (reassembler.sequence() != frame) continue; // every packet was lost
        REQUIRE(reassembler.feed(part) == level_fault::none);
        int expected = 0;
        while (expected < l.levels && !missing[static_cast<std::size_t>(expected)]) ++expected;
        REQUIRE(part.whole_levels() >= expected);
        ++levels_seen[part.whole_levels()];
        check_right(part, whole, order);
    }
    CHECK(lost > 1000);
    for (int i = 0; i <= l.levels; ++i) CHECK(levels_seen[i] > 0); // every outcome occurred
}

TEST_CASE("a packet of a newer frame drops the one before, an older one is stale, also across the wrap") {
    numbers n{24};
    pooled_map pooled{n, {.channels = 2, .height = 8, .width = 8, .stride = 4}};
    auto& [l, encoder] = pooled;
    const pool_packet_options how{.packet_bytes = 20};
    const auto before = all_packets(encoder, how, 65'535), after = all_packets(encoder, how, 0), later = all_packets(encoder, how, 1);
    pool_reassembler r{l, pool_form::lifted, how};
    CHECK_FALSE(r.any_frame());
    CHECK(r.accept(before[0]) == packet_fault::none);
    CHECK(r.prefix(0).size() > 0);
    CHECK(r.accept(after[1]) == packet_fault::none);
    CHECK(r.sequence() == 0);
    CHECK(r.prefix(0).empty()); // the first bytes are those of the frame before
    CHECK(r.accept(before[0]) == packet_fault::stale);
    r.expect(0);
    CHECK(r.accept(later[0]) == packet_fault::other_frame);
    CHECK(r.accept(before[0]) == packet_fault::stale);
    CHECK(r.accept(after[0]) == packet_fault::none);
    r.follow();
    CHECK(r.accept(before[0]) == packet_fault::none);
    CHECK(r.sequence() == 65'535);
    dynamic_pool_decoder decoder{l};
    for (const blob& p : before) r.accept(p);
    CHECK(r.feed(decoder) == level_fault::none);
    CHECK(decoder.whole_levels() == l.levels);
    CHECK(r.accept(after[1]) == packet_fault::none);
    CHECK(r.feed(decoder) == level_fault::none);
    CHECK(decoder.channels_at(0) == 0); // nothing of the frame before is taken for this one
    CHECK(r.counted().frames == 5);
    CHECK(r.counted().stale == 2);
    CHECK(r.counted().refused == 1);
}

TEST_CASE("a writer goes back to what was lost, stops before a level, and packets of different sizes fit together") {
    numbers n{25};
    pooled_map pooled{n, {.channels = 4, .height = 16, .width = 16, .stride = 4}};
    auto& [l, encoder] = pooled;
    pool_packet_writer wide{encoder, {.packet_bytes = 100}}, narrow{encoder, {.packet_bytes = 23}};
    blob packet(100);
    CHECK(wide.next(packet) == 0); // nothing before the first start
    pool_reassembler r{l, pool_form::lifted, {}};
    const auto deliver = [&](pool_packet_writer& w, int end) {
        std::size_t count = 0;
        while (const std::size_t size = w.next(packet, end)) r.accept({packet.data(), size}), ++count;
        return count;
    };
    wide.start(9);
    CHECK(deliver(wide, 2) > 0);
    CHECK(wide.next_level() == 2);
    CHECK((r.complete(0) && r.complete(1) && !r.complete(2)));
    CHECK(wide.next({packet.data(), 99}) == 0); // no room for a packet of this size
    r.expect(9);
    wide.start(9);
    wide.next(packet); // lost
    CHECK(deliver(wide, l.levels) > 0);
    CHECK(r.prefix(0).empty());
    narrow.start(9);
    narrow.seek(0, 50); // parts of it that overlap
    CHECK(narrow.next_offset() == 50);
    deliver(narrow, 1);
    narrow.seek(0, 0);
    deliver(narrow, l.levels);
    for (int i = 0; i < l.levels; ++i) CHECK(r.complete(i));
    CHECK(r.counted().refused == 0);
}

TEST_CASE("packets that lie are refused by name and change nothing") {
    const pool_ladder l = pool_ladder_of({.channels = 2, .height = 8, .width = 8, .stride = 4});
    pool_reassembler r{l, pool_form::lifted, {.stream = 5}};
    const blob data(6, std::byte{1});
    constexpr int head = 64 | 5;
    const auto most = max_level_bytes(l, pool_form::lifted, 1);
    const blob good = chunk_packet(1, head, 1, 0, data);
    REQUIRE(r.accept(good) == packet_fault::none);
    const auto check = [&](const blob& p, packet_fault f) {
        INFO(sentence(f));
        CHECK(r.accept(p) == f);
        CHECK(r.prefix(1).size() == 6);
        CHECK(r.sequence() == 1);
    };
    check({}, packet_fault::truncated);
    check(blob(2, std::byte{64}), packet_fault::truncated);
    check(chunk_packet(1, 5, 1, 0, data), packet_fault::unknown_version);
    check(chunk_packet(1, 128 | 5, 1, 0, data), packet_fault::unknown_version);
    check(chunk_packet(1, 64 | 4, 1, 0, data), packet_fault::other_stream);
    check(chunk_packet(1, head | 32, 1, 0, data), packet_fault::wrong_check_mode);
    check(blob(good.begin(), good.begin() + 3), packet_fault::no_chunk);
    check(chunk_packet(2, head, 3, 0, data), packet_fault::unknown_level);
    check(chunk_packet(2, head, 129, 0, data), packet_fault::unknown_level);
    check(chunk_packet(2, head, 1, 0, {}), packet_fault::bad_number);
    check(blob(good.begin(), good.begin() + 4), packet_fault::bad_number);
    blob endless = chunk_packet(2, head, 1, 0, data);
    std::fill(endless.begin() + 4, endless.end(), std::byte{0xff});
    check(endless, packet_fault::bad_number);
    check(blob(good.begin(), good.end() - 1), packet_fault::beyond_packet);
    check(chunk_packet(2, head, 1, most - 5, data), packet_fault::beyond_level);
    check(chunk_packet(2, head, 1, (1u << 28) - 1, data), packet_fault::beyond_level);
    check(chunk_packet(1, head, 1, 0, blob(6, std::byte{2})), packet_fault::contradiction);
    check(chunk_packet(1, head, 1, 4, with_byte(data, 1, 3)), packet_fault::contradiction);
    check(chunk_packet(1, head, 1 | 64, 0, blob(5, std::byte{1})), packet_fault::contradiction); // ends before a byte that is there
    // A sound chunk before a bad one: the packet is refused as a whole, and its newer frame does not begin.
    blob mixed = chunk_packet(2, head, 1, 0, data);
    mixed.push_back(std::byte{3});
    check(mixed, packet_fault::unknown_level);
    CHECK(r.accept(chunk_packet(1, head, 1 | 64, 0, data)) == packet_fault::none); // new: the level ends here
    CHECK(r.complete(1));
    check(chunk_packet(1, head, 1, 6, data), packet_fault::contradiction);
    check(chunk_packet(1, head, 1 | 64, 0, blob(7, std::byte{1})), packet_fault::contradiction);
    for (int i = 0; i < packet_faults; ++i)
        for (int j = 0; j < i; ++j) CHECK(std::string{sentence(static_cast<packet_fault>(i))} != sentence(static_cast<packet_fault>(j)));
}

TEST_CASE("with the checksum, no change of any bit is taken") {
    numbers n{26};
    pooled_map pooled{n, {.channels = 2, .height = 8, .width = 8, .stride = 4}};
    auto& [l, encoder] = pooled;
    const pool_packet_options how{.packet_bytes = 60, .checked = true};
    const auto packets = all_packets(encoder, how, 1);
    pool_reassembler r{l, pool_form::lifted, how};
    for (std::size_t i = 0; i < packets[0].size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            const packet_fault f = r.accept(with_byte(packets[0], i, 1 << bit));
            REQUIRE((f == packet_fault::bad_checksum || (i == 2 && f != packet_fault::none)));
        }
    CHECK_FALSE(r.any_frame());
    CHECK(r.accept(blob(packets[0].begin(), packets[0].begin() + 6)) == packet_fault::truncated);
    CHECK(r.accept(packets[0]) == packet_fault::none);
}

TEST_CASE("random and damaged packets never reach beyond the reassembler's memory") {
    numbers n{27};
    const bool by_width = GENERATE(false, true);
    const pool_shape shape{.channels = 3, .height = 16, .width = 16, .stride = 8};
    const pool_ladder l = by_width ? pool_ladder_of(shape, widths(1, 3)) : pool_ladder_of(shape, {.largest = 8});
    dynamic_pool_encoder encoder{l};
    encoder.pool(features(n, l.shape).data());
    const auto packets = all_packets(encoder, {.packet_bytes = 40}, 1);
    pool_reassembler r{l, pool_form::lifted, {}};
    dynamic_pool_decoder decoder{l};
    std::vector<float> out(3 * 256);
    std::uint64_t faults[packet_faults]{};
    for (int trial = 0; trial < 100'000; ++trial) {
        blob p = n.below(4) == 0 ? blob(n.below(50)) : packets[n.below(packets.size())];
        if (n.below(4) == 0)
            for (std::byte& b : p) b = static_cast<std::byte>(n.next());
        if (p.size() > 2 && n.below(2) == 0) p[2] = std::byte{64};
        for (std::size_t changes = n.below(3); changes > 0 && !p.empty(); --changes)
            p[n.below(p.size())] ^= static_cast<std::byte>(n.next());
        ++faults[static_cast<int>(r.accept(p))];
        std::size_t bytes = 0;
        for (int i = 0; i < l.levels; ++i) bytes += r.prefix(i).size();
        REQUIRE(bytes <= max_pool_bytes(l, pool_form::lifted));
        if (trial % 16 == 0) {
            r.feed(decoder);
            decoder.rebuild(l.levels - 1, out.data());
            REQUIRE(std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); }));
        }
    }
    for (const packet_fault f :
         {packet_fault::none, packet_fault::stale, packet_fault::truncated, packet_fault::unknown_version, packet_fault::other_stream,
          packet_fault::wrong_check_mode, packet_fault::no_chunk, packet_fault::unknown_level, packet_fault::bad_number,
          packet_fault::beyond_packet, packet_fault::beyond_level, packet_fault::contradiction})
        CHECK(faults[static_cast<int>(f)] > 0);
}

TEST_CASE("writers and reassemblers out of range are refused") {
    const pool_ladder l = pool_ladder_of({.channels = 1, .height = 4, .width = 4, .stride = 2});
    dynamic_pool_encoder encoder{l};
    CHECK_THROWS_AS((pool_packet_writer{encoder, {.packet_bytes = 15}}), option_error);
    CHECK_THROWS_AS((pool_packet_writer{encoder, {.packet_bytes = 65'536}}), option_error);
    CHECK_THROWS_AS((pool_packet_writer{encoder, {.stream = 32}}), option_error);
    CHECK_THROWS_AS((pool_reassembler{l, pool_form::lifted, {.stream = -1}}), option_error);
    CHECK_THROWS_AS((pool_reassembler{pool_ladder{}, pool_form::lifted, {}}), option_error);
}
