// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tcp.hpp
/// TCP as a link: the connector, with bounded waits and small queues. tcp_listener.hpp has the other side.
#pragma once

#include <splitdsl/link/descriptor.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/resolver.hpp>

#include <netinet/tcp.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace splitdsl::link {

/// How a TCP connection is set up. Zero leaves a size or a time to the system.
struct tcp_options {
    /// Bytes that may lie unsent in the kernel before `write` says `would_block`. Small, or a fade queues stale frames.
    int unsent_low_water{16 * 1024};
    int send_buffer{};    ///< SO_SNDBUF in bytes; the kernel books about twice as much
    int receive_buffer{}; ///< SO_RCVBUF in bytes; set before the connection exists, so the window never grows past it
    int segment_size{};   ///< TCP_MAXSEG in bytes; small receive buffers on a loopback need one below half the buffer
    /// A peer that vanished without a word (its power, its network) is asked after this silence, every `alive_interval`, and given up after `alive_probes`
    /// questions without an answer: after 25 s. Without, its connection would stay for ever. 0: the system never asks.
    std::chrono::seconds alive_idle{10};
    std::chrono::seconds alive_interval{5};
    int alive_probes{3};
    std::chrono::milliseconds unacknowledged{25'000}; ///< TCP_USER_TIMEOUT: given up, too, if what was sent is not acknowledged for so long
    name_resolver resolve{&::getaddrinfo}; ///< asked for names that are no addresses, on a thread of its own, which may outlive the link
};

namespace detail {

inline void set_tuning(int socket, int level, int name, int value) noexcept {
    // Refusals are ignored on purpose: these tune, they do not decide whether a link works.
    if (value > 0) ::setsockopt(socket, level, name, &value, sizeof value);
}

/// What must be set before connecting or listening, because the handshake announces it.
inline void prepare(int socket, const tcp_options& options) noexcept {
    set_tuning(socket, SOL_SOCKET, SO_RCVBUF, options.receive_buffer);
    set_tuning(socket, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
    set_tuning(socket, IPPROTO_TCP, TCP_MAXSEG, options.segment_size);
}

/// What is set on every connection. Returns an errno, or 0.
inline int finish(int socket, const tcp_options& options) noexcept {
    const int at_once = 1;                      // a frame's last bytes must not wait for an acknowledgement (Nagle)
    if (::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) != 0) return errno;
    set_tuning(socket, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
    set_tuning(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, options.unsent_low_water);
    set_tuning(socket, SOL_SOCKET, SO_KEEPALIVE, options.alive_idle.count() > 0);
    set_tuning(socket, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(options.alive_idle.count()));
    set_tuning(socket, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(options.alive_interval.count()));
    set_tuning(socket, IPPROTO_TCP, TCP_KEEPCNT, options.alive_probes);
    set_tuning(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(options.unacknowledged.count()));
    return 0;
}

/// Whether both ends are this socket: where nobody listens at a port of those from which the system draws its own, TCP lets an attempt meet itself, and the port is then taken for who
/// would listen there again.
inline bool meets_itself(int socket) noexcept {
    sockaddr_storage here{}, there{};
    socklen_t size = sizeof here, far_size = sizeof there;
    return ::getsockname(socket, reinterpret_cast<sockaddr*>(&here), &size) == 0 && ::getpeername(socket, reinterpret_cast<sockaddr*>(&there), &far_size) == 0
           && size == far_size && std::memcmp(&here, &there, size) == 0;
}

} // namespace detail

/// Connects to a host and port.
///
/// `link_error` for a name that does not resolve, a port of 0, a refused or unreachable address. All addresses of the name are tried within the time, each for an
/// even part of what is left, so that one that does not answer keeps nobody from the next. A name that takes longer to resolve than the time-out is a `link_error` too: the next attempt goes on waiting for
/// the same answer. An address in numbers, "[::1]" or "::1", takes no time.
///
/// ```cpp body
/// splitdsl::link::tcp to{"tail.local", 7447};
/// std::unique_ptr<splitdsl::link::stream> connection = to.connect(200ms);   // null: no answer within 200 ms
/// ```
class tcp final : public connector {
public:
    tcp(std::string host_name, std::uint16_t port_number, tcp_options tuning = {}) : host{without_brackets(std::move(host_name))}, port{port_number}, options{tuning} {
        if (host.empty()) throw link_error("tcp: expected a host name or address, found an empty one");
        if (port == 0) throw link_error(describe() + ": expected a port from 1 to 65535, found 0");
    }

    std::unique_ptr<stream> connect(duration timeout) override {
        const instant deadline = detail::after(timeout);
        const detail::address_list numeric{host, port, &::getaddrinfo, AI_NUMERICHOST};
        if (numeric.found()) return connect_to(numeric, deadline);
        if (!lookup) lookup = detail::name_lookup::begin(host, port, options.resolve);
        const auto asked = lookup;
        const detail::address_list* const named = asked->wait_until(deadline);
        if (named == nullptr) throw detail::still_resolving(describe(), timeout);
        lookup.reset(); // the next attempt asks anew
        named->require(host, describe());
        return connect_to(*named, deadline);
    }

    std::string describe() const override {
        return "tcp " + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
    }

private:
    std::unique_ptr<stream> connect_to(const detail::address_list& addresses, instant deadline) const {
        int failure = 0, left = 0;
        bool answered = true;
        for (const addrinfo* at = addresses.first(); at != nullptr; at = at->ai_next) ++left;
        for (const addrinfo* at = addresses.first(); at != nullptr; at = at->ai_next, --left) {
            detail::owned_descriptor socket{::socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)};
            failure = socket.get() < 0 ? errno : 0;
            if (failure == 0) {
                detail::prepare(socket.get(), options);
                failure = detail::finish(socket.get(), options);
            }
            if (failure == 0) {
                const instant now = detail::steady_now();
                const detail::connect_result result = detail::connect_until(socket.get(), at->ai_addr, at->ai_addrlen, left > 1 ? now + (deadline - now) / left : deadline);
                answered = answered && result.in_time;
                failure = result.failure;
                if (result.in_time && failure == 0) {
                    if (!detail::meets_itself(socket.get())) return std::make_unique<detail::descriptor_stream>(std::move(socket));
                    failure = ECONNREFUSED;
                }
            }
        }
        if (!answered) return nullptr;
        throw link_error(describe() + ": expected a listening peer, found: " + detail::error_text(failure));
    }

    std::string host;
    std::uint16_t port;
    tcp_options options;
    std::shared_ptr<detail::name_lookup> lookup; // still under way
};

} // namespace splitdsl::link
