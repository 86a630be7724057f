// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relay_connection.hpp
/// One connection through a relay: the client's socket, the one to the target in its name, and what is on its way between them.
#pragma once

#include <splitdsl/link/delay_line.hpp>
#include <splitdsl/link/message_boundary.hpp>
#include <splitdsl/link/tcp_listener.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

namespace splitdsl::link::detail {

/// One direction of a connection.
struct relay_lane {
    delay_line line;
    message_boundary messages{}; // connection events only
    bool ended{};                // the source sent its end
    bool passed_end{};           // and it was passed on
    bool blocked{};              // the sink takes no more for now
};

/// Closes with RST.
inline void abort(tcp_socket& which) {
    std::error_code code;
    which.set_option(asio::socket_base::linger(true, 0), code);
    which.close(code);
}

/// The relay's thread only. Directions: 0 is up, from the client to the target; 1 is down.
struct relay_connection {
    tcp_socket client;
    tcp_socket server;
    relay_lane lanes[2];
    instant give_up{}; // on connecting to the target
    std::uint64_t serial{};
    std::size_t tried{}; // of the target's addresses
    bool connecting{};
    bool dead{};

    tcp_socket& source(int d) { return d == 0 ? client : server; }
    tcp_socket& sink(int d) { return d == 0 ? server : client; }
    void kill() {
        abort(client);
        abort(server);
        dead = true;
    }

    /// Makes both sockets ready and begins to connect to the first of the target's addresses that can be tried, which may take until later: `connecting`.
    std::error_code begin(std::span<const asio::ip::tcp::endpoint> target, const tcp_options& tuning, instant now) {
        std::error_code code;
        client.non_blocking(true, code);
        if (code) return code;
        if (const int failure = finish(client.native_handle(), tuning); failure != 0) return {failure, std::system_category()};
        return begin_next(target, tuning, now);
    }
    /// The same with the next of them.
    std::error_code begin_next(std::span<const asio::ip::tcp::endpoint> target, const tcp_options& tuning, instant now) {
        std::error_code code = std::make_error_code(std::errc::connection_refused);
        while (tried < target.size()) {
            const asio::ip::tcp::endpoint& to = target[tried++];
            server.close(code);
            take(server, to.protocol(), ::socket(to.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), code);
            if (!code) server.non_blocking(true, code);
            if (code) continue;
            prepare(server.native_handle(), tuning);
            int failure = finish(server.native_handle(), tuning);
            if (failure == 0 && ::connect(server.native_handle(), to.data(), static_cast<socklen_t>(to.size())) != 0) failure = errno;
            connecting = failure == EINPROGRESS;
            if (failure == 0 || connecting) {
                give_up = now + std::chrono::seconds{5};
                return {};
            }
            code = {failure, std::system_category()};
        }
        return code;
    }
    /// Of one that is connecting: looks whether it is connected now. False: it never will be.
    bool goes_on_connecting(instant now) {
        pollfd descriptor{server.native_handle(), POLLOUT, 0};
        if (::poll(&descriptor, 1, 0) == 0) return now < give_up;
        int failure = 0;
        socklen_t size = sizeof failure;
        if (::getsockopt(server.native_handle(), SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0) return false;
        connecting = false;
        return true;
    }
};

} // namespace splitdsl::link::detail
