// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_streams.hpp
/// The streams of the frame that runs, as its compute thread begins, counts and ends them. Without hooks or a link none ever begins.
#pragma once

#include <splitdsl/runtime/session.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>

#include <cstddef>
#include <cstdint>

namespace splitdsl::detail {

/// Compute thread only. No call waits, allocates, throws or locks.
class frame_streams {
public:
    frame_streams() = default;
    /// `line` and `hooks` may be null; all three outlive this.
    frame_streams(edge_stream_hooks* of_edge, session* link, const std::byte* maps) : hooks{of_edge}, line{link}, arena{maps} {}

    /// Hands sizes `o.first` to `o.last` of a stream to the connection there is, and returns that connection's epoch. 0: there is none, or
    /// the stream or size does not exist or is not computed yet; then nothing is sent.
    std::uint32_t begin(edge_stream_hooks::order o, instant now) noexcept {
        if (hooks == nullptr || line == nullptr) return 0;
        o.epoch = line->connection();
        if (o.epoch == 0 || !hooks->start(o, arena, now)) return 0;
        begun = true;
        line->streams_changed();
        return o.epoch;
    }
    /// Whether this frame began one: an answer may come at any time.
    bool any() const noexcept { return begun; }
    /// Bytes of this frame's streams that the link took. Only if any() is.
    std::size_t bytes_sent() const noexcept { return hooks->bytes_sent(); }
    /// The oldest acknowledgement not asked for yet.
    bool next_event(link_event& e) noexcept { return hooks != nullptr && hooks->next_event(e); }
    /// What is unsent of `frame` is not wanted any more; what was sent may still be answered.
    void drop(std::uint32_t frame, instant now) noexcept { drop(frame, false, now); }
    /// The frame is answered, since `at`: the cloud may stop too. Only if any() is.
    void end(std::uint32_t frame, instant at) noexcept {
        begun = false;
        drop(frame, true, at);
    }

private:
    void drop(std::uint32_t frame, bool tell, instant at) noexcept {
        hooks->drop(frame, line->connection(), tell, at);
        line->streams_changed();
    }
    edge_stream_hooks* hooks{};
    session* line{};
    const std::byte* arena{};
    bool begun{};
};

} // namespace splitdsl::detail
