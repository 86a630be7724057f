// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_reader.hpp
/// From bytes as they arrive, in pieces of any size, to whole frames; in a buffer of the caller's, without allocating.
#pragma once

#include <splitdsl/link/frame.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace splitdsl::link {

/// A push parser. The payload's checksum is computed while the bytes come in, so that little is left to do after the last one.
///
/// A bad header ends the connection: no other place to start from is looked for. A bad payload checksum drops that frame only.
/// Nothing of a payload is stored before its header passed `limits`, and nothing outside `room` is ever written.
///
/// ```cpp
/// frame_reader reader{room, limits};                         // room: limits.largest() bytes
/// while (!bytes.empty()) {
///     bytes = bytes.subspan(reader.push(bytes));             // stops behind each frame
///     if (reader.complete()) handle(reader.header(), reader.payload());
///     else if (ends_connection(reader.fault())) return close(sentence(reader.fault()));
///     else if (reader.fault() != frame_fault::none) ++dropped;
/// }
/// ```
class frame_reader {
public:
    frame_reader(std::span<std::byte> buffer, const frame_limits& accepted) noexcept : room{buffer}, limits{accepted} {}

    /// Where the next bytes belong: receive straight into it and call `received`. Empty after a fault that ends the connection.
    /// Asking starts the next frame: the header and payload of a complete one must have been used before.
    std::span<std::byte> space() noexcept {
        if (ends_connection(problem)) return {};
        if (done) restart();
        if (have < header_bytes) return std::span{head}.subspan(have);
        return room.subspan(have - header_bytes, header_bytes + fields.payload_bytes - have);
    }

    /// `count` bytes were written to the start of `space()`.
    void received(std::size_t count) noexcept {
        if (count == 0 || ends_connection(problem)) return;
        if (have < header_bytes) {
            have += count;
            if (have < header_bytes) return;
            problem = decode_header(head, limits, fields);
            if (problem == frame_fault::none && fields.payload_bytes > room.size()) problem = frame_fault::too_large;
            if (problem != frame_fault::none) return;
        } else {
            crc = crc32c(room.subspan(have - header_bytes, count), crc);
            have += count;
        }
        if (have - header_bytes < fields.payload_bytes) return;
        done = true;
        if (crc != fields.payload_crc) problem = frame_fault::bad_payload_crc;
    }

    /// Takes bytes up to the end of the current frame; returns how many (0 only for no bytes, or after the connection's end).
    std::size_t push(std::span<const std::byte> bytes) noexcept {
        std::size_t taken = 0;
        while (taken < bytes.size()) {
            const std::span<std::byte> to = space();
            if (to.empty()) break;
            const std::size_t count = to.size() < bytes.size() - taken ? to.size() : bytes.size() - taken;
            std::memcpy(to.data(), bytes.data() + taken, count);
            taken += count;
            received(count);
            if (done) break;
        }
        return taken;
    }

    /// A sound frame lies ready. `header` and `payload` stay valid until the next `space` or `push`.
    bool complete() const noexcept { return done && problem == frame_fault::none; }
    /// What is wrong with the current frame.
    frame_fault fault() const noexcept { return problem; }
    /// The header is known and sound: the payload is being awaited, or complete.
    bool header_known() const noexcept { return have >= header_bytes && !ends_connection(problem); }
    const frame_header& header() const noexcept { return fields; }
    std::span<const std::byte> payload() const noexcept { return room.first(complete() ? fields.payload_bytes : 0); }
    /// Bytes of the current frame so far, its header included.
    std::size_t bytes() const noexcept { return have; }

    /// Goes on in another buffer, between frames: after `complete` and before `space`. `payload` is not that frame's any more.
    void use(std::span<std::byte> buffer) noexcept { room = buffer; }

    /// For a new connection: forgets everything.
    void restart() noexcept {
        have = 0;
        crc = 0;
        fields = {};
        done = false;
        problem = frame_fault::none;
    }

private:
    std::span<std::byte> room;
    frame_limits limits;
    std::array<std::byte, header_bytes> head{};
    frame_header fields{};
    std::size_t have{};
    std::uint32_t crc{};
    bool done{};
    frame_fault problem{frame_fault::none};
};

} // namespace splitdsl::link
