// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tcp_listener.hpp
/// TCP as a link: the side that accepts.
#pragma once

#include <splitdsl/link/tcp.hpp>

#include <asio/basic_socket_acceptor.hpp>

namespace splitdsl::link {

namespace detail {
using tcp_acceptor = asio::basic_socket_acceptor<tcp_protocol, asio::io_context::executor_type>;
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
          context{std::make_shared<asio::io_context>(1)},
          acceptor{*context} {
        const std::string who = "tcp listener on " + bind_address + ":" + std::to_string(port_number);
        std::error_code code;
        const auto address = asio::ip::make_address(bind_address, code);
        if (code) throw link_error(who + ": expected a numeric IPv4 or IPv6 address to bind, found \"" + bind_address + "\"");
        const detail::tcp_protocol::endpoint endpoint{address, port_number};
        acceptor.open(endpoint.protocol(), code);
        if (!code) acceptor.set_option(asio::socket_base::reuse_address(true), code);
        if (!code) {
            detail::prepare(acceptor, options); // accepted sockets inherit the sizes
            acceptor.bind(endpoint, code);
        }
        if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
        if (!code) acceptor.non_blocking(true, code);
        if (!code) bound = acceptor.local_endpoint(code).port();
        if (code) throw link_error(who + ": expected a free address and port, found: " + code.message());
    }
    ~tcp_listener() override { close(); }

    std::unique_ptr<stream> accept(duration timeout) override {
        const instant deadline = detail::after(timeout);
        while (!closed.load()) {
            pollfd descriptors[2]{{acceptor.native_handle(), POLLIN, 0}, {event.descriptor(), POLLIN, 0}};
            if (!detail::poll_until(descriptors, deadline) || closed.load()) return nullptr;
            detail::tcp_socket socket{*context};
            std::error_code code;
            acceptor.accept(socket, code);
            if (code == asio::error::no_descriptors)
                throw link_error("tcp listener on port " + std::to_string(bound) + ": expected a free file descriptor, found none");
            if (!code) detail::finish(socket, options, code);
            // A connection that died between poll and here is its own problem: wait for the next.
            if (!code) return std::make_unique<detail::tcp_stream>(context, std::move(socket));
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
    std::shared_ptr<asio::io_context> context;
    detail::tcp_acceptor acceptor;
    detail::wake_event event;
    std::uint16_t bound{};
    std::atomic<bool> closed{};
};

} // namespace splitdsl::link
