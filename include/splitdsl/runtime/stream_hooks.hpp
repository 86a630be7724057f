// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_hooks.hpp
/// What edge and cloud ask of those who send and take streams. Programs without streams include this and nothing else of them.
#pragma once

#include <splitdsl/link/frame.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl {

namespace link {
struct handshake;
class stream;
} // namespace link
class cloud_connection;

/// Whether a policy begins streams: it says so with `static constexpr bool streams = true`. For others the runtime has no code for them.
template <class P>
inline constexpr bool streams_v = [] {
    if constexpr (requires { P::streams; })
        return static_cast<bool>(P::streams);
    else
        return false;
}();

/// An edge's streams (runtime/edge_streams.hpp). Who calls what is said in groups; no call waits, allocates, throws or locks.
struct edge_stream_hooks {
    /// What the handshake compares; set-up only.
    virtual void introduce(link::handshake& me) const = 0;
    virtual int streams() const noexcept = 0;

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    struct order {
        std::uint32_t frame{};
        std::uint32_t epoch{};
        int stream{-1};
        int first{}, last{}; ///< sizes
        int least{};         ///< the first of them that the cloud shall answer
        int stage{};         ///< the last one that ended
        instant due{};       ///< of the frame
        instant made{};      ///< when the stage ended; a paced one by its profile, whenever this machine came to it
    };
    /// Pools what `arena` holds of the stream and hands its packets over; what is unsent of another stream is dropped. False: the stream
    /// or size does not exist, or is not computed yet.
    virtual bool start(const order& o, const std::byte* arena, instant now) noexcept = 0;
    /// Drops what is unsent; `tell`: the frame is over (since `at`, as `order::made`), the cloud may stop too.
    virtual void drop(std::uint32_t frame, std::uint32_t epoch, bool tell, instant at) noexcept = 0;
    /// Bytes of the running frame's streams that the link took.
    virtual std::size_t bytes_sent() const noexcept = 0;
    /// The oldest acknowledgement not asked for yet.
    virtual bool next_event(link_event& e) noexcept = 0;
    virtual float confidence(int stream, std::span<const float> values) const noexcept = 0;
    /// What the radio tells of the link, where there is one that does, in place of what was measured.
    virtual void look(link_view& v) const noexcept = 0;
    /// Floats of the exit that answers a stream; 0: none does.
    virtual std::size_t answer_floats(int stream) const noexcept = 0;

    // ---- whoever holds the outbox --------------------------------------------------------------------------------------------
    /// A new connection, or none: what was begun is over.
    virtual void restart(bool connected) noexcept = 0;
    /// Writes whole messages as long as they fit; `begun_only`: no more than the rest of one that is begun. False: the stream ended.
    virtual bool write(link::stream& to, bool begun_only, bool& room, std::size_t& written) noexcept = 0;

    // ---- any thread -------------------------------------------------------------------------------------------------------
    /// Something could be written now.
    virtual bool wants() const noexcept = 0;
    /// A frame streams, or something sent is not acknowledged.
    virtual bool active() const noexcept = 0;
    virtual bool unacknowledged() const noexcept = 0;
    virtual instant last_written() const noexcept = 0;
    /// A radio tells its events, rate and round trip.
    virtual bool has_events() const noexcept = 0;
    /// How long what waits has to wait for the radio's next event; `duration::max()` if nothing does.
    virtual duration until_event() const noexcept = 0;

    // ---- reading side -----------------------------------------------------------------------------------------------------
    /// A stream_ack or stop_ack. The rate at which bytes went through since the one before, if more were waiting all the time; else 0.
    virtual bits_per_second heard(const link::frame_header& h, instant now) noexcept = 0;

protected:
    ~edge_stream_hooks() = default;
};

/// One connection's streams, as the cloud sees them. All calls come from the connection's thread; one that throws ends the connection (`ending::failed`).
struct cloud_stream_guest {
    /// False: the packet lies; the connection is over.
    virtual bool packet(const link::frame_header& h, std::span<const std::byte> payload, instant first) = 0;
    /// A packet whose checksum is wrong: it counts as come, or the edge would wait for it to be acknowledged.
    virtual void damaged(const link::frame_header& h, std::size_t size) = 0;
    /// The frame is answered.
    virtual void stop(std::uint32_t frame) = 0;
    enum class burst : std::uint8_t { over, may_go_on, lied };
    /// What has arrived so far is read: acknowledges it and, if it is news, answers it; or waits first whether more comes.
    virtual burst read_out(cloud_connection& to) = 0;
    /// How long nothing must come for a burst to be over.
    virtual duration gap() const noexcept = 0;
    /// Nothing came for so long.
    virtual void burst_over(cloud_connection& to) = 0;

protected:
    ~cloud_stream_guest() = default;
};

/// A cloud's streams (runtime/cloud_streams.hpp). Must outlive the cloud.
struct cloud_stream_hooks {
    virtual void introduce(link::handshake& me) const = 0;
    virtual int streams() const noexcept = 0;
    virtual std::uint32_t packet_bytes() const noexcept = 0; ///< the largest taken
    virtual cloud_stream_guest* open() = 0;
    virtual void close(cloud_stream_guest* guest) noexcept = 0;

protected:
    ~cloud_stream_hooks() = default;
};

} // namespace splitdsl
