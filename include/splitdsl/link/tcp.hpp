// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tcp.hpp
/// TCP as a link: the connector over Asio sockets (tcp_listener.hpp has the other side), with bounded waits and small queues (Linux: eventfd, ppoll).
#pragma once

#include <splitdsl/link/stream.hpp>

#ifndef ASIO_STANDALONE
#define ASIO_STANDALONE
#endif
#include <asio/basic_stream_socket.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/basic_endpoint.hpp>

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace splitdsl::link {

/// How a TCP connection is set up. Zero leaves a size to the system.
struct tcp_options {
    /// Bytes that may lie unsent in the kernel before `write` says `would_block`. Small, or a fade queues stale frames.
    int unsent_low_water{16 * 1024};
    int send_buffer{};    ///< SO_SNDBUF in bytes; the kernel books about twice as much
    int receive_buffer{}; ///< SO_RCVBUF in bytes; set before the connection exists, so the window never grows past it
    int segment_size{};   ///< TCP_MAXSEG in bytes; small receive buffers on a loopback need one below half the buffer
};

namespace detail {

/// A file descriptor that makes a poll return.
class wake_event {
public:
    wake_event() : handle{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {
        if (handle < 0) throw link_error("no eventfd left: expected a free file descriptor, found errno " + std::to_string(errno));
    }
    wake_event(const wake_event&) = delete;
    wake_event& operator=(const wake_event&) = delete;
    ~wake_event() { ::close(handle); }

    void set() noexcept {
        const std::uint64_t one = 1;
        // Fails only when the counter is full, and then the event is set anyway.
        [[maybe_unused]] const auto done = ::write(handle, &one, sizeof one);
    }
    /// True if it was set since the last call.
    bool take() noexcept {
        std::uint64_t count = 0;
        return ::read(handle, &count, sizeof count) == sizeof count;
    }
    int descriptor() const noexcept { return handle; }

private:
    int handle{-1};
};

inline instant steady_now() noexcept { return std::chrono::steady_clock::now(); }

inline timespec to_timespec(duration d) noexcept {
    const auto ns = std::max<std::int64_t>(d.count(), 0);
    timespec t{};
    t.tv_sec = static_cast<decltype(t.tv_sec)>(ns / 1'000'000'000);
    t.tv_nsec = static_cast<decltype(t.tv_nsec)>(ns % 1'000'000'000);
    return t;
}

/// Deadline that does not overflow for "for ever".
inline instant after(duration timeout) noexcept {
    const instant now = steady_now();
    return timeout > instant::max() - now ? instant::max() : now + std::max(timeout, duration{0});
}

/// ppoll until the deadline, through signals. Returns whether any descriptor has an event.
inline bool poll_until(std::span<pollfd> descriptors, instant deadline) noexcept {
    for (;;) {
        // Nine years at a time: a longer timespec is refused by some kernels.
        const timespec left = to_timespec(std::min<duration>(deadline - steady_now(), std::chrono::hours{24 * 365 * 9}));
        const int events = ::ppoll(descriptors.data(), descriptors.size(), &left, nullptr);
        if (events > 0) return true;
        if (events < 0 && errno != EINTR) return false;
        if (steady_now() >= deadline) return false;
    }
}

template <class Socket>
void set_size_option(Socket& socket, int level, int name, int value) {
    // Refusals are ignored on purpose: sizes tune, they do not decide whether a link works.
    if (value > 0) ::setsockopt(socket.native_handle(), level, name, &value, sizeof value);
}

/// What must be set before connecting or listening, because the handshake announces it.
template <class Socket>
void prepare(Socket& socket, const tcp_options& options) {
    set_size_option(socket, SOL_SOCKET, SO_RCVBUF, options.receive_buffer);
    set_size_option(socket, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
    set_size_option(socket, IPPROTO_TCP, TCP_MAXSEG, options.segment_size);
}

/// What is set on every connection.
template <class Socket>
void finish(Socket& socket, const tcp_options& options, std::error_code& code) {
    socket.non_blocking(true, code);
    if (code) return;
    const int at_once = 1;                      // a frame's last bytes must not wait for an acknowledgement (Nagle)
    if (::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) != 0) code = std::error_code{errno, std::system_category()};
    set_size_option(socket, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
    set_size_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, options.unsent_low_water);
}

/// TCP as Asio's Protocol requirement has it. Its own `ip::tcp` brings the resolver and iostreams into every file that includes this.
class tcp_protocol {
public:
    using endpoint = asio::ip::basic_endpoint<tcp_protocol>;
    using socket = asio::basic_stream_socket<tcp_protocol>;
    static tcp_protocol v4() noexcept { return tcp_protocol{AF_INET}; }
    static tcp_protocol v6() noexcept { return tcp_protocol{AF_INET6}; }
    int type() const noexcept { return SOCK_STREAM; }
    int protocol() const noexcept { return IPPROTO_TCP; }
    int family() const noexcept { return address_family; }

private:
    explicit tcp_protocol(int of_addresses) noexcept : address_family{of_addresses} {}
    int address_family;
};
// Sockets of a plain io_context: Asio's default executor, which may hold any, costs every file that includes this a second to compile.
using tcp_socket = asio::basic_stream_socket<tcp_protocol, asio::io_context::executor_type>;

/// Every endpoint of host:port, or a link_error. By getaddrinfo: Asio's resolver asks it too, and brings threads with it.
inline std::vector<tcp_protocol::endpoint> resolve(const std::string& host, std::uint16_t port, const std::string& who) {
    std::error_code code;
    if (const auto address = asio::ip::make_address(host, code); !code) return {tcp_protocol::endpoint{address, port}};
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int failure = ::getaddrinfo(host.c_str(), nullptr, &wanted, &list);
    std::vector<tcp_protocol::endpoint> endpoints;
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
        tcp_protocol::endpoint endpoint;
        if (entry->ai_addrlen > endpoint.capacity()) continue;
        std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
        endpoint.resize(entry->ai_addrlen);
        endpoint.port(port);
        endpoints.push_back(endpoint);
    }
    if (list != nullptr) ::freeaddrinfo(list);
    if (endpoints.empty())
        throw link_error(who + ": expected a host name or address that resolves, found \"" + host + "\" ("
                         + (failure == EAI_SYSTEM ? std::error_code{errno, std::system_category()}.message()
                            : failure != 0        ? std::string{::gai_strerror(failure)}
                                                  : std::string{"no address"})
                         + ")");
    return endpoints;
}

/// A connected socket as a stream. Reads and writes go through Asio's synchronous calls, which neither allocate nor lock.
class tcp_stream final : public stream {
public:
    tcp_stream(std::shared_ptr<asio::io_context> shared_context, tcp_socket connected)
        : context{std::move(shared_context)},
          socket{std::move(connected)} {}
    ~tcp_stream() override { shutdown(); }

    io write(std::span<const std::byte> from) noexcept override {
        if (ended.load(std::memory_order_relaxed)) return {io_result::closed, 0};
        if (from.empty()) return {io_result::ok, 0};
        std::error_code code;
        const std::size_t moved = socket.write_some(asio::buffer(from.data(), from.size()), code);
        return outcome(code, moved);
    }

    io read(std::span<std::byte> to) noexcept override {
        if (ended.load(std::memory_order_relaxed)) return {io_result::closed, 0};
        if (to.empty()) return {io_result::ok, 0};
        std::error_code code;
        const std::size_t moved = socket.read_some(asio::buffer(to.data(), to.size()), code);
        return outcome(code, moved);
    }

    bool wait(bool readable, bool writable, duration timeout) noexcept override {
        const instant deadline = after(timeout);
        short wanted = 0;
        if (readable) wanted = static_cast<short>(wanted | POLLIN | POLLRDHUP);
        if (writable) wanted = static_cast<short>(wanted | POLLOUT);
        pollfd descriptors[2]{{handle, wanted, 0}, {event.descriptor(), POLLIN, 0}};
        poll_until(descriptors, deadline);
        if (descriptors[1].revents != 0) event.take();
        return descriptors[0].revents != 0 || ended.load(std::memory_order_relaxed);
    }

    void wake() noexcept override { event.set(); }

    void shutdown() noexcept override {
        // The descriptor stays open until destruction, so that no other thread ever uses a reused number.
        if (!ended.exchange(true)) ::shutdown(handle, SHUT_RDWR);
        event.set();
    }

private:
    static io outcome(const std::error_code& code, std::size_t moved) noexcept {
        if (!code) return {io_result::ok, moved};
        if (code == asio::error::would_block || code == asio::error::try_again || code == asio::error::interrupted)
            return {io_result::would_block, 0};
        return {io_result::closed, 0};
    }

    std::shared_ptr<asio::io_context> context; // before the socket: it must outlive it
    tcp_socket socket;
    int handle{socket.native_handle()};
    wake_event event;
    std::atomic<bool> ended{};
};

} // namespace detail

/// Connects to a host and port.
///
/// `link_error` for a name that does not resolve, a port of 0, a refused or unreachable address (all addresses of the name
/// are tried within the time). Resolving a name takes the system's time on top of the time-out; a numeric address takes none.
///
/// ```cpp
/// splitdsl::link::tcp to{"tail.local", 7447};
/// std::unique_ptr<splitdsl::link::stream> connection = to.connect(200ms);   // null: no answer within 200 ms
/// ```
class tcp final : public connector {
public:
    tcp(std::string host_name, std::uint16_t port_number, tcp_options tuning = {})
        : host{std::move(host_name)},
          port{port_number},
          options{tuning},
          context{std::make_shared<asio::io_context>(1)} {
        if (host.empty()) throw link_error("tcp: expected a host name or address, found an empty one");
        if (port == 0) throw link_error(describe() + ": expected a port from 1 to 65535, found 0");
    }

    std::unique_ptr<stream> connect(duration timeout) override {
        const auto endpoints = detail::resolve(host, port, describe());
        const instant deadline = detail::after(timeout);
        std::error_code last;
        for (const auto& endpoint : endpoints) {
            std::error_code code;
            detail::tcp_socket socket{*context};
            if (try_endpoint(socket, endpoint, deadline, code)) return std::make_unique<detail::tcp_stream>(context, std::move(socket));
            if (!code) return nullptr; // the time passed
            last = code;
        }
        throw link_error(describe() + ": expected a listening peer, found: " + last.message());
    }

    std::string describe() const override {
        return "tcp " + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
    }

private:
    /// Asio's own synchronous connect has no time limit, hence connect and poll by hand. No code: the time passed.
    bool try_endpoint(detail::tcp_socket& socket, const detail::tcp_protocol::endpoint& endpoint, instant deadline,
                      std::error_code& code) const {
        socket.open(endpoint.protocol(), code);
        if (code) return false;
        detail::prepare(socket, options);
        detail::finish(socket, options, code);
        if (code) return false;
        const int handle = socket.native_handle();
        if (::connect(handle, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
            if (errno != EINPROGRESS && errno != EINTR) {
                code = std::error_code{errno, std::system_category()};
                return false;
            }
            pollfd descriptor{handle, POLLOUT, 0};
            if (!detail::poll_until({&descriptor, 1}, deadline)) return false;
            int failure = 0;
            socklen_t size = sizeof failure;
            if (::getsockopt(handle, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
            if (failure != 0) {
                code = std::error_code{failure, std::system_category()};
                return false;
            }
        }
        return true;
    }

    std::string host;
    std::uint16_t port;
    tcp_options options;
    std::shared_ptr<asio::io_context> context;
};

} // namespace splitdsl::link
