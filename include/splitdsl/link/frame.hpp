// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame.hpp
/// The wire's one message form: a fixed header of 48 bytes, then the payload. This file is the header and what is wrong with it.
///
/// All fields little-endian, written one by one (never a struct as a whole):
///
/// | at | bytes | field                                                                             |
/// |----|-------|-----------------------------------------------------------------------------------|
/// |  0 | 2     | magic 's' 'D'                                                                     |
/// |  2 | 1     | version of the wire, 1                                                            |
/// |  3 | 1     | kind (`message_kind`)                                                             |
/// |  4 | 1     | cut, 255 = the network's whole input; a stream's messages: its index              |
/// |  5 | 1     | codec, an index among those the cut's type allows; shed: why (`shed_reason`)      |
/// |  6 | 2     | flags, all 0 in this version                                                      |
/// |  8 | 4     | epoch: which connection of this edge; replies of an earlier one are dropped       |
/// | 12 | 4     | sequence: which frame (or ping, or probe)                                         |
/// | 16 | 4     | payload bytes behind this header                                                  |
/// | 20 | 4     | remaining deadline budget, us, at the moment of sending;                          |
/// |    |       | replies: how many tiers behind the answering one computed it, 0 none              |
/// | 24 | 4     | stamp: the asking side's clock, us, modulo 2^32; answers echo it                  |
/// | 28 | 4     | answers: service time, us, from the question's last byte to this answer's sending |
/// |    |       | payloads: of the budget, us, what the asking side needs from the answer's sending |
/// |    |       | on: the way there and its own tail; before that the answer should leave           |
/// | 32 | 4     | answers: arrival time, us, from the question's first read to its last one         |
/// | 36 | 4     | answers: bytes of the question that the first read found already there;           |
/// |    |       | streams: the first size that shall be answered, 0 the smallest                    |
/// | 40 | 4     | CRC-32C of the payload                                                            |
/// | 44 | 4     | CRC-32C of bytes 0..43                                                            |
///
/// Round-trip time = now - stamp - arrival - service; effective rate = (bytes - first bytes) / arrival, by the *receiver's* clock
/// (SAGE-18): a sender's own timing measures socket buffers, and what was there at the first read came at an unknown rate.
#pragma once

#include <splitdsl/codec/crc32c.hpp>
#include <splitdsl/detail/byte_order.hpp>
#include <splitdsl/units.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace splitdsl::link {

inline constexpr std::size_t header_bytes = 48;
inline constexpr std::uint8_t wire_version = 1;
inline constexpr std::uint8_t whole_input = 255; ///< in place of a cut: the payload is the network's input

enum class message_kind : std::uint8_t {
    hello,     ///< edge introduces itself; payload: a handshake
    hello_ack, ///< cloud accepts; payload: its handshake
    payload,   ///< a frame's payload group at a cut
    reply,     ///< its answer
    shed,      ///< it gets no answer; why, in place of the codec
    probe,     ///< filler bytes to measure the rate
    probe_ack,
    stop, ///< the frame is answered: drop what is still to be done for it
    stop_ack,
    ping,
    pong,
    goodbye, ///< orderly end
    refuse,  ///< the other side's request is refused; payload: a sentence
    stream,     ///< a packet of a frame's stream (codec/dynamic_pool_packets.hpp); its stream in place of the cut; codec `without_ack`
    stream_ack, ///< which stream, how many sizes of it are complete (codec), all stream bytes of this connection so far (first bytes)
    exit_reply  ///< an exit's answer to a stream, in place of the cut; whoever takes it sends `stop`
};
inline constexpr int message_kinds = 16;

constexpr const char* name_of(message_kind kind) noexcept {
    constexpr const char* names[message_kinds] = {"hello", "hello_ack", "payload", "reply", "shed",    "probe", "probe_ack",
                                                  "stop",  "stop_ack",  "ping",    "pong",  "goodbye", "refuse",
                                                  "stream", "stream_ack", "exit_reply"};
    return static_cast<int>(kind) < message_kinds ? names[static_cast<int>(kind)] : "unknown kind";
}

/// In a shed message's codec. An edge falls back for any of them, also for one that it does not know.
enum class shed_reason : std::uint8_t {
    no_time, ///< it could not be in time, or there was no room for it
    failed,  ///< something threw that was to decode or compute it
    damaged  ///< its checksum was wrong
};

/// In a stream message's codec: the radio tells the edge what arrived, no stream_ack is wanted.
inline constexpr std::uint8_t without_ack = 1;

struct frame_header {
    message_kind kind{};
    std::uint8_t cut{};
    std::uint8_t codec{};
    std::uint32_t epoch{};
    std::uint32_t sequence{};
    std::uint32_t payload_bytes{};
    std::uint32_t budget_us{};
    std::uint32_t stamp_us{};
    std::uint32_t service_us{};
    std::uint32_t arrival_us{};
    std::uint32_t first_bytes{};
    std::uint32_t payload_crc{};
    friend constexpr bool operator==(const frame_header&, const frame_header&) = default;
};

/// A duration as the wire carries it: whole microseconds, rounded down, within [0, 2^32).
constexpr std::uint32_t wire_microseconds(duration d) noexcept {
    const auto us = d.count() / 1000;
    if (us <= 0) return 0;
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(us >= most ? most : us);
}

/// Everything that can be wrong with a frame.
enum class frame_fault : std::uint8_t {
    none,
    truncated, ///< fewer than 48 bytes
    bad_magic,
    bad_version,
    bad_header_crc,
    unknown_kind,
    unknown_flags,
    unknown_cut,
    unknown_codec,
    unexpected_kind, ///< a kind that this side never takes
    wrong_size,      ///< a payload where none belongs, none where one belongs, or not the exact size of its cut
    too_large,       ///< more than this side takes for that kind
    bad_payload_crc
};
inline constexpr int frame_faults = 13;

/// What to say about it: one sentence for a log.
constexpr const char* sentence(frame_fault fault) noexcept {
    switch (fault) {
    case frame_fault::none: return "the frame is sound";
    case frame_fault::truncated: return "the header is shorter than 48 bytes";
    case frame_fault::bad_magic:
        return "the first two bytes are not 'sD': the other side does not speak this protocol, or the stream lost its place";
    case frame_fault::bad_version: return "the wire version is not 1: update the older side";
    case frame_fault::bad_header_crc: return "the header's checksum does not match: bytes were changed on the way";
    case frame_fault::unknown_kind: return "the message kind does not exist in this version";
    case frame_fault::unknown_flags: return "a flag is set that this version does not know";
    case frame_fault::unknown_cut: return "the index of the cut or stream is beyond the network's";
    case frame_fault::unknown_codec: return "the codec's index is beyond the codecs of a cut";
    case frame_fault::unexpected_kind: return "this side does not take messages of that kind";
    case frame_fault::wrong_size: return "the payload does not have the size its kind and cut prescribe";
    case frame_fault::too_large: return "the payload is larger than this side takes; nothing of it was read";
    case frame_fault::bad_payload_crc: return "the payload's checksum does not match: this frame is dropped, the connection goes on";
    }
    return "unknown fault";
}

/// After these the bytes that follow cannot be trusted to start a frame: close the connection.
constexpr bool ends_connection(frame_fault fault) noexcept { return fault != frame_fault::none && fault != frame_fault::bad_payload_crc; }

/// What one side takes, from its network's type and its options; never from the wire. A maximum of 0 means "none of these".
/// ```cpp
/// constexpr std::uint32_t sizes[] = {936};                              // of every cut's payload, by index
/// const auto cloud_takes = frame_limits::of_cloud(sizes, {.input_bytes = 52'800});
/// ```
struct frame_limits {
    std::span<const std::uint32_t> cut_bytes{}; ///< of every cut, in order
    bool exact_cuts{true};                      ///< false: `cut_bytes` are maxima (variable codecs)
    int codecs{1};                              ///< largest number of codecs any cut allows
    std::uint32_t input_bytes{};                ///< maximum for cut `whole_input`; 0: not taken
    std::uint32_t reply_bytes{};                ///< maximum of a reply
    std::uint32_t probe_bytes{};                ///< maximum of a probe's filler
    std::uint32_t stream_bytes{};               ///< maximum of a stream's packet
    int streams{};                              ///< 0: nothing of streams is taken
    std::uint32_t handshake_bytes{16 * 1024};   ///< maximum of hello and hello_ack
    std::uint32_t sentence_bytes{1024};         ///< maximum of a refusal's text
    bool is_cloud{};                            ///< which kinds arrive here: an edge's or a cloud's

    struct extras {
        std::uint32_t input_bytes{};
        std::uint32_t probe_bytes{64 * 1024};
        int codecs{1};
        bool exact_cuts{true};
        std::uint32_t stream_bytes{};
        int streams{};
    };
    /// What a cloud takes: hello, payload, probe, stop, ping, goodbye; stream if there are some.
    static constexpr frame_limits of_cloud(std::span<const std::uint32_t> cut_sizes, extras more) noexcept {
        return {.cut_bytes = cut_sizes,
                .exact_cuts = more.exact_cuts,
                .codecs = more.codecs,
                .input_bytes = more.input_bytes,
                .probe_bytes = more.probe_bytes,
                .stream_bytes = more.stream_bytes,
                .streams = more.streams,
                .is_cloud = true};
    }
    /// What an edge takes: hello_ack, reply, shed, probe_ack, stop_ack, pong, goodbye, refuse; stream_ack and exit_reply with streams.
    static constexpr frame_limits of_edge(std::uint32_t reply_size, int stream_count = 0) noexcept {
        return {.reply_bytes = reply_size, .streams = stream_count};
    }

    /// The largest payload of any kind: how much room a receiver needs.
    constexpr std::uint32_t largest() const noexcept {
        std::uint32_t most = handshake_bytes;
        const auto raise = [&most](std::uint32_t n) { most = n > most ? n : most; };
        if (is_cloud) {
            raise(input_bytes);
            raise(probe_bytes);
            raise(stream_bytes);
            for (const std::uint32_t n : cut_bytes) raise(n);
        } else {
            raise(reply_bytes);
            raise(sentence_bytes);
        }
        return most;
    }

    /// Whether a well-formed header is one that this side takes. Called before a byte of the payload is read.
    constexpr frame_fault check(const frame_header& h) const noexcept;
};

constexpr frame_fault frame_limits::check(const frame_header& h) const noexcept {
    const std::uint32_t n = h.payload_bytes;
    const auto some = [n](std::uint32_t most) {
        return n > most ? frame_fault::too_large : (n == 0 ? frame_fault::wrong_size : frame_fault::none);
    };
    const auto nothing = [n] { return n == 0 ? frame_fault::none : frame_fault::wrong_size; };
    const bool for_cloud = h.kind == message_kind::hello || h.kind == message_kind::payload || h.kind == message_kind::probe
                           || h.kind == message_kind::stop || h.kind == message_kind::ping || h.kind == message_kind::stream;
    if (h.kind != message_kind::goodbye && for_cloud != is_cloud) return frame_fault::unexpected_kind;
    if (h.kind == message_kind::stream || h.kind == message_kind::stream_ack || h.kind == message_kind::exit_reply) {
        if (streams == 0) return frame_fault::unexpected_kind;
        if (h.cut >= streams) return frame_fault::unknown_cut;
    }
    switch (h.kind) {
    case message_kind::hello:
    case message_kind::hello_ack: return some(handshake_bytes);
    case message_kind::payload: {
        if (h.codec >= codecs) return frame_fault::unknown_codec;
        if (h.cut == whole_input && input_bytes > 0) return some(input_bytes);
        if (h.cut >= cut_bytes.size()) return frame_fault::unknown_cut;
        const std::uint32_t most = cut_bytes[h.cut];
        if (n > most) return frame_fault::too_large;
        return exact_cuts && n != most ? frame_fault::wrong_size : (n == 0 ? frame_fault::wrong_size : frame_fault::none);
    }
    case message_kind::reply: return some(reply_bytes);
    case message_kind::probe: return some(probe_bytes);
    case message_kind::stream: return some(stream_bytes);
    case message_kind::exit_reply: return some(reply_bytes);
    case message_kind::refuse: return n > sentence_bytes ? frame_fault::too_large : frame_fault::none;
    case message_kind::shed:
    case message_kind::probe_ack:
    case message_kind::stop:
    case message_kind::stop_ack:
    case message_kind::stream_ack:
    case message_kind::ping:
    case message_kind::pong:
    case message_kind::goodbye: return nothing();
    }
    return frame_fault::unknown_kind;
}

/// Writes the 48 bytes; the header's own checksum is computed here, the payload's is the caller's (or use `seal`). Cost: about 50 ns.
inline void encode_header(const frame_header& h, std::span<std::byte, header_bytes> to) noexcept {
    std::byte* const b = to.data();
    b[0] = std::byte{'s'};
    b[1] = std::byte{'D'};
    b[2] = std::byte{wire_version};
    b[3] = static_cast<std::byte>(h.kind);
    b[4] = std::byte{h.cut};
    b[5] = std::byte{h.codec};
    splitdsl::detail::store_u16(b + 6, 0);
    splitdsl::detail::store_u32(b + 8, h.epoch);
    splitdsl::detail::store_u32(b + 12, h.sequence);
    splitdsl::detail::store_u32(b + 16, h.payload_bytes);
    splitdsl::detail::store_u32(b + 20, h.budget_us);
    splitdsl::detail::store_u32(b + 24, h.stamp_us);
    splitdsl::detail::store_u32(b + 28, h.service_us);
    splitdsl::detail::store_u32(b + 32, h.arrival_us);
    splitdsl::detail::store_u32(b + 36, h.first_bytes);
    splitdsl::detail::store_u32(b + 40, h.payload_crc);
    splitdsl::detail::store_u32(b + 44, crc32c(to.first(44)));
}

/// Fills in size and checksum of the payload that lies behind the header's place and writes the header: `message` is then ready to send.
/// Requires 48 <= message.size() < 48 + 2^32. Returns `message.size()`.
inline std::size_t seal(frame_header h, std::span<std::byte> message) noexcept {
    const auto payload = message.subspan(header_bytes);
    h.payload_bytes = static_cast<std::uint32_t>(payload.size());
    h.payload_crc = crc32c(payload);
    encode_header(h, message.first<header_bytes>());
    return message.size();
}

/// Reads a header. Checks, in this order: size, magic, version, checksum, kind, flags, and then what `limits` allows.
/// `h` is written unless the header itself is unsound (fault up to and including `unknown_flags`).
inline frame_fault decode_header(std::span<const std::byte> from, const frame_limits& limits, frame_header& h) noexcept {
    if (from.size() < header_bytes) return frame_fault::truncated;
    const std::byte* const b = from.data();
    if (b[0] != std::byte{'s'} || b[1] != std::byte{'D'}) return frame_fault::bad_magic;
    if (b[2] != std::byte{wire_version}) return frame_fault::bad_version;
    if (splitdsl::detail::load_u32(b + 44) != crc32c(from.first(44))) return frame_fault::bad_header_crc;
    if (static_cast<int>(b[3]) >= message_kinds) return frame_fault::unknown_kind;
    if (splitdsl::detail::load_u16(b + 6) != 0) return frame_fault::unknown_flags;
    h = {.kind = static_cast<message_kind>(b[3]),
         .cut = static_cast<std::uint8_t>(b[4]),
         .codec = static_cast<std::uint8_t>(b[5]),
         .epoch = splitdsl::detail::load_u32(b + 8),
         .sequence = splitdsl::detail::load_u32(b + 12),
         .payload_bytes = splitdsl::detail::load_u32(b + 16),
         .budget_us = splitdsl::detail::load_u32(b + 20),
         .stamp_us = splitdsl::detail::load_u32(b + 24),
         .service_us = splitdsl::detail::load_u32(b + 28),
         .arrival_us = splitdsl::detail::load_u32(b + 32),
         .first_bytes = splitdsl::detail::load_u32(b + 36),
         .payload_crc = splitdsl::detail::load_u32(b + 40)};
    return limits.check(h);
}

/// Bytes of the message that begins with a sound header here, header and payload; 0: none does.
inline std::size_t message_size(std::span<const std::byte> from) noexcept {
    frame_header h{};
    const frame_fault f = decode_header(from, {}, h);
    const bool sound = f == frame_fault::none || f > frame_fault::unknown_flags;
    return sound ? header_bytes + h.payload_bytes : 0;
}
/// Whether these may be the first bytes of a header that is not there as a whole.
inline bool begins_message(std::span<const std::byte> from) noexcept {
    return !from.empty() && from.size() < header_bytes && from[0] == std::byte{'s'} && (from.size() == 1 || from[1] == std::byte{'D'});
}

} // namespace splitdsl::link
