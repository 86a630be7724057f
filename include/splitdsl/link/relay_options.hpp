// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relay_options.hpp
/// What a relay does to the bytes that go through it, where it stands, and what it counts.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/link/fault.hpp>
#include <splitdsl/link/resolver.hpp>
#include <splitdsl/link/trace.hpp>
#include <splitdsl/radio/ble.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace splitdsl::link {

/// What one direction suffers. All zero: nothing.
struct impairment {
    bits_per_second rate{}; ///< 0: unlimited; shared by all connections, as one radio is
    duration delay{};       ///< one way
    duration jitter{};      ///< up to so much more, uniform; order is kept
    double corruption{};    ///< probability that a chunk (at most 1,400 bytes) gets one bit flipped
    double drip{};          ///< bytes a second, one at a time, whatever the rate; 0: off
    bool stall{};           ///< nothing is taken in or let out; goes on later
    bool blackhole{};       ///< taken in and thrown away
};

struct relay_options {
    std::string host{"127.0.0.1"}; ///< where it leads
    std::uint16_t port{};
    std::string bind{"127.0.0.1"};        ///< where it listens
    std::uint16_t listen_port{};          ///< 0: the system chooses
    impairment up{};                      ///< from those who connect to the relay
    impairment down{};                    ///< towards them
    std::optional<link_trace> trace_up{}; ///< replaces `up.rate`; starts with the relay's clock, repeats for ever
    /// Connection-event mode: bytes of both directions pass only at this connection's events, in its packets. Replaces rates, drip and
    /// trace. Lost packets are sent again, for the bytes are a stream.
    std::optional<radio::ble_setting> ble{};
    instant first_event{}; ///< of that connection, by `steady_clock`; not set: at construction
    std::vector<fault> faults{};          ///< timed by the relay's clock
    bool start_on_first_connection{true}; ///< else the clock waits for `start_clock`
    std::size_t buffer_bytes{16 * 1024};  ///< SO_RCVBUF and SO_SNDBUF of both sockets
    std::size_t flight_bytes{256 * 1024}; ///< limit of what is on its way through the delay, a direction and connection
    std::size_t max_connections{16};      ///< further ones wait in the backlog
    std::uint64_t seed{1};
    name_resolver resolve{&::getaddrinfo};             ///< asked for a host that is no address, on a thread of its own, which may outlive the relay
    duration resolve_time{std::chrono::seconds{5}};    ///< the constructor waits no longer for it
};

/// What the relay did so far.
struct relay_counts {
    std::uint64_t connections{};
    std::uint64_t refused{};  ///< reset at once: refusing, or the target could not be reached
    std::uint64_t resets{};   ///< connections reset by script or command
    std::uint64_t bytes_up{}; ///< let out
    std::uint64_t bytes_down{};
    std::uint64_t swallowed{}; ///< bytes
    std::uint64_t corrupted{}; ///< chunks
    std::uint64_t open{};      ///< connections now
    std::uint64_t events{};        ///< connection events held while somebody was connected
    std::uint64_t events_missed{}; ///< of these times, not held: the machine stood still
    std::uint64_t packets_lost{};  ///< tries of packets that came through in the end
};

/// `option_error` for values out of range.
inline void require_valid(const impairment& i) {
    if (!(i.rate.value >= 0 && i.rate.value <= 1e12))
        throw option_error("relay: expected a rate from 0 to 1e12 bit/s, found " + splitdsl::detail::number_text(i.rate.value));
    constexpr duration longest = std::chrono::hours{1};
    if (i.delay < duration{0} || i.jitter < duration{0} || i.delay > longest || i.jitter > longest)
        throw option_error("relay: expected a delay and a jitter from 0 to 3600 s, found " + splitdsl::detail::number_text(to_seconds(i.delay)) + " s and "
                           + splitdsl::detail::number_text(to_seconds(i.jitter)) + " s");
    if (!(i.corruption >= 0 && i.corruption <= 1))
        throw option_error("relay: expected a corruption from 0 to 1, found " + splitdsl::detail::number_text(i.corruption));
    if (!(i.drip >= 0 && i.drip <= 1e9))
        throw option_error("relay: expected a drip from 0 to 1e9 bytes a second, found " + splitdsl::detail::number_text(i.drip));
}

/// `option_error` for values out of range and for faults that a byte stream cannot show.
inline void require_valid(const relay_options& o) {
    require_valid(o.up);
    require_valid(o.down);
    require_valid(std::span<const fault>{o.faults});
    if (o.ble) {
        require_valid(*o.ble);
        const auto refuse = [](const char* found) {
            throw option_error(std::string{"relay: expected connection events alone to set the pace, found "} + found + " beside them");
        };
        if (o.up.rate.value > 0 || o.down.rate.value > 0) refuse("a rate");
        if (o.up.drip > 0 || o.down.drip > 0) refuse("a drip");
        if (o.trace_up) refuse("a trace");
        for (const fault& f : o.faults)
            if (f.kind == fault_kind::rate_collapse || f.kind == fault_kind::slow_drip) refuse(name_of(f.kind));
    }
    for (const fault& f : o.faults)
        if (!shows_on_a_byte_stream(f.kind))
            throw option_error(std::string{"relay: expected faults a byte stream can show, found "} + name_of(f.kind)
                               + " (use stall, blackhole, corruption or delay_step)");
    if (o.flight_bytes < 1024 || o.flight_bytes > (std::size_t{1} << 30))
        throw option_error("relay: expected flight_bytes from 1024 to 1 GiB, found " + std::to_string(o.flight_bytes));
    if (o.buffer_bytes < 1024) throw option_error("relay: expected buffer_bytes of at least 1024, found " + std::to_string(o.buffer_bytes));
    if (o.max_connections < 1 || o.max_connections > 1024)
        throw option_error("relay: expected max_connections from 1 to 1024, found " + std::to_string(o.max_connections));
    if (o.resolve == nullptr || o.resolve_time <= duration{0} || o.resolve_time > std::chrono::hours{1})
        throw option_error("relay: expected a resolver and a resolve_time above 0 s and up to 3600 s, found "
                           + (o.resolve == nullptr ? std::string{"no resolver"} : splitdsl::detail::number_text(to_seconds(o.resolve_time)) + " s"));
}

} // namespace splitdsl::link
