// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file message_reader.hpp
/// Whole messages out of a byte stream, with the times at which their first and last bytes came.
#pragma once

#include <splitdsl/link/frame_reader.hpp>
#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace splitdsl {

/// One reader a connection; its memory is what `limits` allows at most, allocated once, or less until `grow`. Never blocks.
class message_reader {
public:
    enum class state : std::uint8_t {
        more,    ///< nothing complete yet
        message, ///< `header` and `payload` are valid until the next call
        damaged, ///< a payload's checksum was wrong: `header` is sound, the connection goes on
        broken,  ///< `fault` says what; the connection cannot go on
        closed   ///< the stream ended
    };
    explicit message_reader(const link::frame_limits& l) : message_reader{l, l.largest()} {}
    /// Of no more than `first` bytes for now: a larger message is `broken`, too large.
    message_reader(const link::frame_limits& l, std::size_t first) : most{l.largest()}, room{std::min(first, most)}, frames{room.bytes(), l} {}
    void restart() noexcept { frames.restart(); }
    /// From here on the largest message fits. Between messages; `payload` is not the last one's any more. Allocates.
    void grow() {
        room = aligned_buffer{most};
        frames.use(room.bytes());
    }

    state next(link::stream& s) noexcept {
        bool fresh = frames.complete() || frames.fault() != link::frame_fault::none || frames.bytes() == 0;
        while (true) {
            const auto to = frames.space();
            if (to.empty()) return state::broken;
            const link::io got = s.read(to);
            if (got.what == link::io_result::closed) return state::closed;
            if (got.what == link::io_result::would_block) {
                if (at_first == 0) at_first = frames.bytes();
                return state::more;
            }
            last_byte = std::chrono::steady_clock::now();
            if (fresh) first_byte = last_byte, at_first = 0;
            fresh = false;
            frames.received(got.bytes);
            if (frames.complete()) return state::message;
            if (link::ends_connection(frames.fault())) return state::broken;
            if (frames.fault() != link::frame_fault::none) return state::damaged;
        }
    }
    /// Instead of copying a message's payload: exchanges the memory it lies in for `other`, of `largest` bytes too. Returns the payload,
    /// which lies in `other` now; `payload` is not that message's any more.
    std::span<const std::byte> give_away(aligned_buffer& other) noexcept {
        const std::size_t size = frames.payload().size();
        std::swap(room, other);
        frames.use(room.bytes());
        return other.bytes().first(size);
    }
    /// Bytes a message's payload may have, and this reader's memory once it is grown.
    std::size_t largest() const noexcept { return most; }
    /// All of it: what earlier messages left lies there still.
    std::span<std::byte> memory() const noexcept { return room.bytes(); }
    const link::frame_header& header() const noexcept { return frames.header(); }
    std::span<const std::byte> payload() const noexcept { return frames.payload(); }
    link::frame_fault fault() const noexcept { return frames.fault(); }
    std::size_t bytes() const noexcept { return frames.bytes(); }
    /// Some of a message's bytes are there, not all.
    bool is_midway() const noexcept { return frames.bytes() != 0 && !frames.complete() && frames.fault() == link::frame_fault::none; }
    instant first() const noexcept { return first_byte; }
    instant last() const noexcept { return last_byte; }
    duration arrival() const noexcept { return last_byte - first_byte; }
    /// Of the message, found at the first look.
    std::size_t first_bytes() const noexcept { return at_first == 0 ? frames.bytes() : at_first; }

private:
    std::size_t most;
    aligned_buffer room;
    link::frame_reader frames;
    instant first_byte{}, last_byte{};
    std::size_t at_first{}; // 0: no look has come back empty yet
};

/// The asking side's clock as it travels: microseconds modulo 2^32.
inline std::uint32_t wire_stamp(instant t) noexcept { return static_cast<std::uint32_t>(t.time_since_epoch().count() / 1000); }
/// The latest instant up to `now` with that stamp: right for answers up to 71 minutes old, harmless for foreign numbers.
inline instant from_wire_stamp(std::uint32_t us, instant now) noexcept { return now - std::chrono::microseconds{wire_stamp(now) - us}; }

} // namespace splitdsl
