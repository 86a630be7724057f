// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pool_packets_fuzz.cpp
/// Any packets of pooled levels, true ones among them: nothing is read or written outside, and what was not tampered with comes out right.
///
/// Input: form, coding and checksum (1), ladder (1), bytes a packet (1), then one step after another, its kind first.
#include <splitdsl/codec/dynamic_pool_packets.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace {

using namespace splitdsl;
using blob = std::vector<std::byte>;

void must(bool condition) {
    if (!condition) std::abort();
}

/// Small maps: square and not, one octave and two, whole and half strips at the ends; and one that grows by channels.
const std::array ladders{
    pool_ladder_of({.channels = 3, .height = 8, .width = 8, .stride = 4}),
    pool_ladder_of({.channels = 2, .height = 16, .width = 8, .stride = 8}, {.smallest = 3, .largest = 8}),
    pool_ladder_of({.channels = 5, .height = 4, .width = 12, .stride = 4}, {.step = 2}),
    pool_ladder_of({.channels = 1, .height = 2, .width = 2, .stride = 2}),
    pool_ladder_of({.channels = 7, .height = 5, .width = 3}, widths(1, 3, 4, 7)),
};
constexpr std::uint16_t first_frame = 65'534; // so that the count wraps
constexpr std::size_t frames = 4;

/// One sender's packets, frame after frame.
struct sender {
    dynamic_pool_encoder encoder;
    std::vector<std::vector<blob>> packets;

    sender(const pool_ladder& l, pool_options way, pool_packet_options how) : encoder{l, way} {
        for (std::size_t f = 0; f < frames; ++f) {
            pool(f);
            pool_packet_writer writer{encoder, how};
            writer.start(static_cast<std::uint16_t>(first_frame + f));
            blob packet(how.packet_bytes);
            auto& mine = packets.emplace_back();
            while (const std::size_t n = writer.next(packet))
                mine.emplace_back(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(n));
        }
    }
    void pool(std::size_t frame) {
        const pool_shape& s = encoder.ladder().shape;
        std::vector<float> map(static_cast<std::size_t>(s.channels * s.height * s.width));
        for (std::size_t i = 0; i < map.size(); ++i) map[i] = static_cast<float>((i * i * 7 + i * 3 + frame * 11) % 37) * 0.25F - 2;
        encoder.pool(map.data());
    }
};

class receiver {
public:
    receiver(sender& from, pool_options way, pool_packet_options options)
        : truth{&from},
          how{options},
          ladder{from.encoder.ladder()},
          collected{ladder, way.form, options},
          decoder{ladder, way},
          whole{ladder, way},
          form{way.form},
          map(static_cast<std::size_t>(ladder.values(ladder.levels - 1) * ladder.shape.channels)) {}

    /// A packet that the sender made arrives as it is.
    void genuine(std::size_t frame, std::size_t index) {
        const auto& mine = truth->packets[frame % frames];
        take(mine[index % mine.size()]);
    }
    void tampered(std::size_t frame, std::size_t index, std::size_t at, int change) {
        const auto& mine = truth->packets[frame % frames];
        blob p = mine[index % mine.size()];
        p[at % p.size()] ^= static_cast<std::byte>(change);
        foreign(p);
    }
    /// `accept` must not read beyond exactly these bytes.
    void foreign(blob p) {
        if (p.size() > 3 + 4u && how.checked) splitdsl::detail::store_u32(p.data() + p.size() - 4, crc32c({p.data(), p.size() - 4}));
        const packet_fault f = take(p);
        if (f == packet_fault::none || f == packet_fault::contradiction) honest = false; // of a contradiction, the chunks before count
    }
    void expect(std::uint16_t frame) {
        collected.expect(frame);
        honest = true;
    }
    void follow() { collected.follow(); }
    /// What a decoder makes of a level's bytes without any packets.
    void level(int which, std::span<const std::byte> bytes) {
        (void)decoder.take(which, bytes);
        values();
        decoder.start(); // the next `feed` tells it all there is again
    }
    void decode() {
        const level_fault f = collected.feed(decoder);
        if (honest) must(f == level_fault::none);
        values();
        if (honest && collected.any_frame()) compare();
    }

private:
    packet_fault take(const blob& p) {
        const std::unique_ptr<std::byte[]> exact{new std::byte[p.size()]}; // so that the sanitizer sees one byte too many
        std::copy(p.begin(), p.end(), exact.get());
        const std::uint16_t before = collected.sequence();
        const std::uint64_t begun = collected.counted().frames;
        const packet_fault f = collected.accept({exact.get(), p.size()});
        must(sentence(f)[0] != '\0');
        if (f != packet_fault::none && f != packet_fault::duplicate && f != packet_fault::contradiction)
            must(collected.sequence() == before && collected.counted().frames == begun);
        if (collected.counted().frames != begun) honest = true; // a frame begins empty
        for (int l = 0; l < ladder.levels; ++l) must(collected.prefix(l).size() <= max_level_bytes(ladder, form, l));
        return f;
    }
    void values() {
        int before = ladder.channels(0);
        for (int l = 0; l < ladder.levels; ++l) {
            const int have = decoder.rebuild(l, map.data());
            must(have == decoder.channels_at(l));
            must(ladder.by_width() ? have <= ladder.channels(l) && (have == 0 || l == 0 || before == ladder.first_channel(l)) : have <= before);
            before = have;
            const auto n = static_cast<std::size_t>(ladder.values(l) * ladder.shape.channels);
            must(std::all_of(map.begin(), map.begin() + static_cast<std::ptrdiff_t>(n), [](float v) { return std::isfinite(v); }));
        }
    }
    /// Nobody tampered with this frame: each channel that is there is the sender's.
    void compare() {
        const std::size_t frame = static_cast<std::uint16_t>(collected.sequence() - first_frame);
        if (frame >= frames) { // expected, but never sent
            must(decoder.channels_at(0) == 0);
            return;
        }
        truth->pool(frame);
        whole.start();
        for (int l = 0; l < ladder.levels; ++l) must(whole.take(l, truth->encoder.encode(l)) == level_fault::none);
        must(whole.whole_levels() == ladder.levels);
        std::vector<std::uint8_t> a(static_cast<std::size_t>(ladder.values(ladder.levels - 1))), b(a.size());
        for (int l = 0; l < ladder.levels; ++l)
            for (int c = 0; c < decoder.channels_at(l); ++c) {
                must(whole.rebuild(l, c, a.data()) && decoder.rebuild(l, c, b.data()));
                must(std::equal(a.begin(), a.begin() + ladder.values(l), b.begin()));
            }
        for (int l = 0; l < ladder.levels; ++l) {
            if (!collected.complete(l)) continue;
            const auto sent = truth->encoder.encode(l), got = collected.prefix(l);
            must(std::equal(sent.begin(), sent.end(), got.begin(), got.end()));
        }
    }

    sender* truth;
    pool_packet_options how;
    pool_ladder ladder;
    pool_reassembler collected;
    dynamic_pool_decoder decoder, whole;
    pool_form form;
    std::vector<float> map;
    bool honest{true}; ///< nothing of the frame was tampered with
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const pool_options way{(data[0] & 1u) != 0 ? pool_form::lifted : pool_form::means,
                           (data[0] & 2u) != 0 ? pool_coding::rice : pool_coding::packed};
    const pool_packet_options how{.packet_bytes = smallest_pool_packet + data[2] % 64u, .stream = 3, .checked = (data[0] & 4u) != 0};
    const std::array key{data[0] & 7u, data[1] % unsigned{ladders.size()}, data[2] % 64u};
    static std::map<std::array<unsigned, 3>, sender> senders;
    sender& from = senders.try_emplace(key, ladders[key[1]], way, how).first->second;
    receiver to{from, way, how};
    const std::span<const std::uint8_t> steps{data + 3, size - 3};
    for (std::size_t at = 0; at < steps.size();) {
        const auto next = [&] { return at < steps.size() ? steps[at++] : std::uint8_t{0}; };
        const auto bytes = [&] {
            const std::size_t n = std::min<std::size_t>(next(), steps.size() - std::min(at, steps.size()));
            const auto b = std::as_bytes(steps.subspan(at, n));
            at += n;
            return blob(b.begin(), b.end());
        };
        switch (next() % 8u) {
        case 0: to.foreign(bytes()); break;
        case 1: { // chunks that get past the header
            blob p = bytes();
            p.insert(p.begin(), 3, std::byte{0});
            splitdsl::detail::store_u16(p.data(), static_cast<std::uint16_t>(first_frame + next() % frames));
            p[2] = static_cast<std::byte>(64 | (how.checked ? 32 : 0) | how.stream);
            if (how.checked) p.insert(p.end(), 4, std::byte{0});
            to.foreign(p);
            break;
        }
        case 2: {
            const std::size_t frame = next(), index = next(), where = next();
            to.tampered(frame, index, where, next());
            break;
        }
        case 3:
        case 4: {
            const std::size_t frame = next();
            to.genuine(frame, next());
            break;
        }
        case 5: to.decode(); break;
        case 6: {
            const unsigned frame = next();
            frame < 128 ? to.expect(static_cast<std::uint16_t>(first_frame + frame % (frames + 1))) : to.follow();
            break;
        }
        default: {
            const int which = static_cast<int>(next() % 8u) - 1;
            to.level(which, bytes());
            break;
        }
        }
    }
    to.decode();
    return 0;
}
