// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tcp_listener.hpp
/// TCP as a link: the side that accepts.
#pragma once

#include <splitdsl/link/tcp.hpp>

#ifndef ASIO_STANDALONE
#define ASIO_STANDALONE
#endif
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

namespace splitdsl::link {

namespace detail {
// Sockets of a plain io_context: Asio's default executor, which may hold any, costs a file a second to compile.
using tcp_socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;
using tcp_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

/// What a system call that makes a socket returned, for Asio to work with. Those that Asio makes stay open in programs that this one starts: they would keep a port, and
/// connections, after its end.
template <class Socket>
void take(Socket& socket, const asio::ip::tcp& protocol, int made, std::error_code& code) {
    code = made < 0 ? std::error_code{errno, std::system_category()} : std::error_code{};
    owned_descriptor fresh{made};
    if (!code) socket.assign(protocol, made, code);
    if (!code) fresh.release();
}

/// An acceptor that listens at a numeric address, or a link_error that opens with `who`.
inline void listen_at(tcp_acceptor& acceptor, const std::string& bind_address, std::uint16_t port, const tcp_options& options, const std::string& who) {
    std::error_code code;
    const auto address = asio::ip::make_address(bind_address, code);
    if (code) throw link_error(who + ": expected a numeric IPv4 or IPv6 address to bind, found \"" + bind_address + "\"");
    const asio::ip::tcp::endpoint endpoint{address, port};
    take(acceptor, endpoint.protocol(), ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), code);
    if (!code) acceptor.set_option(asio::socket_base::reuse_address(true), code);
    if (!code) {
        prepare(acceptor.native_handle(), options); // accepted sockets inherit the sizes
        acceptor.bind(endpoint, code);
    }
    if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
    if (!code) acceptor.non_blocking(true, code);
    if (code) throw link_error(who + ": expected a free address and port, found: " + code.message());
}
} // namespace detail

/// Listens for TCP connections. Port 0 lets the system choose; `port()` tells which.
///
/// `link_error` if the address is not one of this machine or the port is taken.
///
/// ```cpp
/// splitdsl::link::tcp_listener here{0, "127.0.0.1"};
/// while (auto connection = here.accept(1s)) serve(*connection);
/// ```
class tcp_listener final : public listener {
public:
    explicit tcp_listener(std::uint16_t port_number = 0, const std::string& bind_address = "127.0.0.1", tcp_options tuning = {})
        : options{tuning},
          acceptor{context} {
        detail::listen_at(acceptor, bind_address, port_number, options, "tcp listener on " + bind_address + ":" + std::to_string(port_number));
        bound = acceptor.local_endpoint().port();
    }
    ~tcp_listener() override { close(); }

    std::unique_ptr<stream> accept(duration timeout) override {
        const instant deadline = detail::after(timeout);
        spare.fill();
        while (!closed.load()) {
            pollfd descriptors[2]{{acceptor.native_handle(), POLLIN, 0}, {event.descriptor(), POLLIN, 0}};
            if (!detail::poll_until(descriptors, 2, deadline) || closed.load()) return nullptr;
            detail::owned_descriptor taken{::accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            if (const int failure = taken.get() < 0 ? errno : 0; detail::is_shortage(failure)) {
                spare.turn_away(acceptor.native_handle());
                throw link_error("tcp listener on port " + std::to_string(bound) + ": expected a descriptor and memory for another connection, found: " + detail::error_text(failure));
            }
            if (taken.get() >= 0 && detail::finish(taken.get(), options) == 0) return std::make_unique<detail::descriptor_stream>(std::move(taken));
            // A connection that died between poll and here is its own problem: wait for the next.
            if (detail::steady_now() >= deadline) return nullptr;
        }
        return nullptr;
    }

    std::uint16_t port() const override { return bound; }

    void close() noexcept override {
        // Shutting a listening socket down refuses newcomers at once; the number stays ours until destruction.
        if (!closed.exchange(true)) ::shutdown(acceptor.native_handle(), SHUT_RDWR);
        event.set();
    }

private:
    tcp_options options;
    asio::io_context context{1};
    detail::tcp_acceptor acceptor;
    detail::wake_event event;
    detail::spare_descriptor spare;
    std::uint16_t bound{};
    std::atomic<bool> closed{};
};

} // namespace splitdsl::link
