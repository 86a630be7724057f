// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_packets.hpp
/// Levels cut into packets of any size, the most important first, and put together from whichever of them arrive, in whatever order.
///
/// A packet is a header and one chunk after another; it says itself where everything in it belongs:
///
/// | bytes | field                                                                                     |
/// |-------|-------------------------------------------------------------------------------------------|
/// | 2     | sequence: which frame, modulo 65,536, little-endian                                       |
/// | 1     | version 1 in the two highest bits, bit 5: a checksum ends the packet, bits 0..4: stream   |
/// | then  | chunks: 1 byte level (bits 0..5) and bit 6: the chunk ends its level; offset in the level's bytes; length; that many bytes |
/// | 4     | if bit 5 is set: CRC-32C of everything before it                                          |
///
/// Offset and length are written seven bits a byte, lowest first, bit 7: more follow. A packet of 27 bytes carries 21 bytes of a level.
/// The checksum is for transports without their own (BLE's link layer and this library's frames check every byte).
#pragma once

#include <splitdsl/codec/crc32c.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>

#include <cstring>

namespace splitdsl {

inline constexpr std::size_t smallest_pool_packet = 16;
inline constexpr std::size_t largest_pool_packet = 65'535;
inline constexpr int max_pool_streams = 32;

struct pool_packet_options {
    std::size_t packet_bytes{244}; ///< what BLE leaves of 251: 16 to 65,535
    int stream{};                  ///< 0..31: which of the network's streams
    bool checked{false};           ///< 4 bytes of CRC-32C a packet
};

/// Everything that can be wrong with a packet; `none`, `duplicate`, `stale` and `other_frame` are no sign of harm.
enum class packet_fault : std::uint8_t {
    none,
    duplicate,
    stale,
    other_frame,
    truncated,
    unknown_version,
    other_stream,
    wrong_check_mode,
    bad_checksum,
    no_chunk,
    unknown_level,
    bad_number,
    beyond_packet,
    beyond_level,
    contradiction
};
inline constexpr int packet_faults = 15;

constexpr const char* sentence(packet_fault fault) noexcept {
    switch (fault) {
    case packet_fault::none: return "the packet is sound";
    case packet_fault::duplicate: return "everything in the packet was there already";
    case packet_fault::stale: return "the packet belongs to an earlier frame";
    case packet_fault::other_frame: return "the packet belongs to a later frame than the one waited for";
    case packet_fault::truncated: return "the packet is shorter than its header";
    case packet_fault::unknown_version: return "the packet's version is not 1: update the older side";
    case packet_fault::other_stream: return "the packet belongs to another stream";
    case packet_fault::wrong_check_mode: return "the packet has a checksum where none was agreed, or none where one was";
    case packet_fault::bad_checksum: return "the packet's checksum does not match: bytes were changed on the way";
    case packet_fault::no_chunk: return "the packet carries nothing";
    case packet_fault::unknown_level: return "a chunk's level does not exist in this ladder, or its byte has an unknown bit set";
    case packet_fault::bad_number: return "a chunk's offset or length does not end within four bytes, or the length is 0";
    case packet_fault::beyond_packet: return "a chunk claims more bytes than its packet has";
    case packet_fault::beyond_level: return "a chunk reaches beyond what its level can need";
    case packet_fault::contradiction: return "a chunk contradicts what arrived before it: other bytes, or another end of the level";
    }
    return "unknown fault";
}

namespace detail {
inline constexpr std::size_t packet_header = 3;
inline constexpr std::size_t packet_check = 4;
constexpr std::size_t number_bytes(std::size_t v) noexcept { return v < 1u << 7 ? 1 : v < 1u << 14 ? 2 : v < 1u << 21 ? 3 : 4; }
inline std::byte* put_number(std::byte* to, std::size_t v) noexcept {
    for (; v >= 128; v >>= 7) *to++ = static_cast<std::byte>(128 | (v & 127));
    *to++ = static_cast<std::byte>(v);
    return to;
}
/// False if it does not end within four bytes or before `end`.
inline bool get_number(const std::byte*& from, const std::byte* end, std::size_t& v) noexcept {
    v = 0;
    for (int shift = 0; shift < 28; shift += 7) {
        if (from == end) return false;
        const auto b = static_cast<std::size_t>(*from++);
        v |= (b & 127) << shift;
        if (b < 128) return true;
    }
    return false;
}
} // namespace detail

/// Cuts an encoder's levels into packets, level after level, filling each packet as far as it goes.
/// Refused (option_error): packets or streams out of range. What is unsent is dropped by `start` or by no longer asking. A level is encoded
/// when its first byte is needed, so what is never sent costs no coding.
/// ```cpp
/// splitdsl::pool_packet_writer writer{encoder, {.packet_bytes = 27}};
/// encoder.pool(tensor);
/// writer.start(frame);
/// while (const auto size = writer.next(packet)) radio.send({packet.data(), size});    // stop when the next layer is ready
/// ```
class pool_packet_writer {
public:
    pool_packet_writer(dynamic_pool_encoder& from, pool_packet_options options) : source{&from}, how{options} {
        if (how.packet_bytes < smallest_pool_packet || how.packet_bytes > largest_pool_packet)
            throw option_error("packet_bytes is " + std::to_string(how.packet_bytes) + "; expected 16 to 65535");
        if (how.stream < 0 || how.stream >= max_pool_streams)
            throw option_error("stream is " + std::to_string(how.stream) + "; expected 0 to 31");
        level = from.ladder().levels; // nothing to send before the first start
    }

    /// Begins a frame that the encoder has pooled.
    void start(std::uint16_t frame, int first_level = 0) noexcept {
        sequence = frame;
        level = first_level;
        offset = 0;
    }
    /// Goes back to (or ahead to) a byte of a level: for what was lost, or for an order of one's own.
    void seek(int to_level, std::size_t to_offset) noexcept {
        level = to_level;
        offset = to_offset;
    }
    /// The level and offset that the next packet begins with; the ladder's number of levels when all is sent.
    int next_level() const noexcept { return level; }
    std::size_t next_offset() const noexcept { return offset; }

    /// Writes the next packet, stopping before `end_level`; its size, or 0 if nothing is left. `to` has `packet_bytes` bytes.
    std::size_t next(std::span<std::byte> to, int end_level = max_pool_levels) noexcept {
        const int end = std::min(end_level, source->ladder().levels);
        if (to.size() < how.packet_bytes || level >= end) return 0;
        std::byte* at = to.data() + detail::packet_header;
        std::byte* const last = to.data() + how.packet_bytes - (how.checked ? detail::packet_check : 0);
        bool any = false;
        while (level < end) {
            const std::span<const std::byte> coded = source->encode(level);
            if (offset >= coded.size()) {
                ++level, offset = 0;
                continue;
            }
            const std::size_t left = coded.size() - offset, room = static_cast<std::size_t>(last - at),
                              head = 1 + detail::number_bytes(offset);
            std::size_t length = room > head + 1 ? room - head - 1 : 0;
            if (length >= 128) length = room - head - detail::number_bytes(length);
            length = std::min(length, left);
            if (length == 0 || (any && length < left && length < 4)) break; // a chunk of a few bytes costs more than it brings
            *at++ = static_cast<std::byte>(level | (length == left ? 64 : 0));
            at = detail::put_number(at, offset);
            at = detail::put_number(at, length);
            std::memcpy(at, coded.data() + offset, length);
            at += length;
            offset += length;
            any = true;
        }
        if (!any) return 0;
        detail::store_u16(to.data(), sequence);
        to[2] = static_cast<std::byte>(64 | (how.checked ? 32 : 0) | how.stream);
        if (how.checked) {
            detail::store_u32(at, crc32c({to.data(), at}));
            at += detail::packet_check;
        }
        return static_cast<std::size_t>(at - to.data());
    }

private:
    dynamic_pool_encoder* source;
    pool_packet_options how;
    int level{};
    std::size_t offset{};
    std::uint16_t sequence{};
};

/// Collects one frame's packets in any order. A packet of a newer frame (at most 32,767 ahead) drops the frame before it, unless frames are
/// announced by `expect`. Memory: fixed at construction, nine eighths of `max_pool_bytes`. Nothing is thrown or allocated after it.
/// ```cpp
/// if (reassembler.accept(packet) == splitdsl::packet_fault::none) reassembler.feed(decoder);
/// ```
class pool_reassembler {
public:
    struct counts {
        std::uint64_t accepted{}, duplicates{}, stale{}, refused{}, frames{};
    };

    pool_reassembler(const pool_ladder& ladder, pool_form form, pool_packet_options options) : how{options} {
        if (ladder.levels < 1)
            throw option_error("dynamic pooling needs a ladder with at least one size; try_pool_ladder says why there is none");
        if (how.stream < 0 || how.stream >= max_pool_streams)
            throw option_error("stream is " + std::to_string(how.stream) + "; expected 0 to 31");
        std::size_t at = 0;
        for (int l = 0; l < ladder.levels; ++l) {
            levels.push_back({.start = at, .most = max_level_bytes(ladder, form, l)});
            at += levels.back().most;
        }
        bytes.resize(at);
        there.resize((at + 7) / 8);
    }

    /// Waits for this frame and no other: nothing of an earlier or a later one is taken, until the next `expect` or `follow`.
    void expect(std::uint16_t frame) noexcept {
        begin(frame);
        pinned = true;
    }
    /// Takes the first frame that comes, then newer ones as they come. So it is after construction.
    void follow() noexcept { pinned = begun = false; }

    /// Takes what is in a packet. A refused packet changes nothing, but for one whose chunks contradict what is known: those before count.
    packet_fault accept(std::span<const std::byte> packet) noexcept {
        const packet_fault fault = take(packet);
        switch (fault) {
        case packet_fault::none: ++tally.accepted; break;
        case packet_fault::duplicate: ++tally.duplicates; break;
        case packet_fault::stale: ++tally.stale; break;
        default: ++tally.refused; break;
        }
        return fault;
    }

    std::uint16_t sequence() const noexcept { return current; }
    bool any_frame() const noexcept { return begun; }
    /// A level's bytes from its beginning to the first one missing.
    std::span<const std::byte> prefix(int l) const noexcept { return {bytes.data() + of(l).start, of(l).prefix}; }
    /// Whether these are all of the level's bytes.
    bool complete(int l) const noexcept { return of(l).ends && of(l).prefix == of(l).size; }
    counts counted() const noexcept { return tally; }

    /// Hands everything there is to a decoder of the same ladder, and starts it anew if the frame is another one than the last time.
    level_fault feed(dynamic_pool_decoder& to) noexcept {
        if (fresh) to.start();
        fresh = false;
        for (int l = 0; l < static_cast<int>(levels.size()); ++l)
            if (const level_fault f = to.take(l, prefix(l)); f != level_fault::none) return f;
        return level_fault::none;
    }

private:
    struct level_state {
        std::size_t start{}, most{}; ///< place in `bytes`
        std::size_t prefix{};        ///< bytes there without a gap
        std::size_t reach{};         ///< one past the last byte there
        std::size_t size{};          ///< if `ends` is known
        bool ends{};
    };
    const level_state& of(int l) const noexcept { return levels[static_cast<std::size_t>(l)]; }
    bool has(std::size_t at) const noexcept { return (static_cast<unsigned>(there[at / 8]) >> (at % 8) & 1u) != 0; }

    void begin(std::uint16_t frame) noexcept {
        for (level_state& l : levels) l.prefix = l.reach = l.size = 0, l.ends = false;
        std::fill(there.begin(), there.end(), std::uint8_t{0});
        current = frame;
        begun = fresh = true;
        ++tally.frames;
    }

    struct chunk {
        std::size_t level{}, offset{}, length{};
        bool ends{};
        const std::byte* data{};
    };
    packet_fault read(const std::byte*& at, const std::byte* end, chunk& c) const noexcept {
        const auto head = static_cast<std::size_t>(*at++);
        c.level = head & 63;
        c.ends = (head & 64) != 0;
        if (head >= 128 || c.level >= levels.size()) return packet_fault::unknown_level;
        if (!detail::get_number(at, end, c.offset) || !detail::get_number(at, end, c.length) || c.length == 0)
            return packet_fault::bad_number;
        if (c.length > static_cast<std::size_t>(end - at)) return packet_fault::beyond_packet;
        if (c.offset + c.length > levels[c.level].most) return packet_fault::beyond_level;
        c.data = at;
        at += c.length;
        return packet_fault::none;
    }
    packet_fault take(std::span<const std::byte> packet) noexcept {
        if (packet.size() < detail::packet_header) return packet_fault::truncated;
        const auto kind = static_cast<unsigned>(packet[2]);
        if (kind >> 6 != 1) return packet_fault::unknown_version;
        if (static_cast<int>(kind & 31u) != how.stream) return packet_fault::other_stream;
        if (((kind & 32u) != 0) != how.checked) return packet_fault::wrong_check_mode;
        const std::byte *const first = packet.data() + detail::packet_header, *end = packet.data() + packet.size();
        if (how.checked) {
            if (packet.size() < detail::packet_header + detail::packet_check) return packet_fault::truncated;
            end -= detail::packet_check;
            if (detail::load_u32(end) != crc32c({packet.data(), end})) return packet_fault::bad_checksum;
        }
        if (first == end) return packet_fault::no_chunk;
        chunk c;
        for (const std::byte* at = first; at != end;)
            if (const packet_fault f = read(at, end, c); f != packet_fault::none) return f;

        const std::uint16_t frame = detail::load_u16(packet.data());
        const auto ahead = static_cast<std::uint16_t>(frame - current);
        if (begun && ahead >= 32'768) return packet_fault::stale;
        if (begun && ahead > 0 && pinned) return packet_fault::other_frame;
        if (!begun || ahead > 0) begin(frame);

        bool news = false;
        for (const std::byte* at = first; at != end;) {
            if (read(at, end, c) != packet_fault::none || !store(c, news)) return packet_fault::contradiction;
        }
        return news ? packet_fault::none : packet_fault::duplicate;
    }
    bool store(const chunk& c, bool& news) noexcept {
        level_state& l = levels[c.level];
        const std::size_t end = c.offset + c.length;
        if (l.ends && (end > l.size || (c.ends && end != l.size))) return false;
        if (c.ends && end < l.reach) return false;
        for (std::size_t i = 0; i < c.length; ++i)
            if (has(l.start + c.offset + i) && bytes[l.start + c.offset + i] != c.data[i]) return false;
        for (std::size_t i = 0; i < c.length; ++i) {
            const std::size_t at = l.start + c.offset + i;
            if (has(at)) continue;
            there[at / 8] = static_cast<std::uint8_t>(there[at / 8] | 1u << (at % 8));
            bytes[at] = c.data[i];
            news = true;
        }
        l.reach = std::max(l.reach, end);
        if (c.ends && !l.ends) l.ends = news = true, l.size = end;
        while (l.prefix < l.most && has(l.start + l.prefix)) ++l.prefix;
        return true;
    }

    pool_packet_options how;
    std::vector<level_state> levels;
    std::vector<std::byte> bytes;
    std::vector<std::uint8_t> there;
    counts tally{};
    std::uint16_t current{};
    bool begun{false}, pinned{false}, fresh{false};
};

} // namespace splitdsl
