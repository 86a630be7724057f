// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tcp.hpp
/// TCP as a link: connector and listener with bounded waits and small queues (Linux: eventfd, ppoll).
///
/// The system's own sockets, not Asio's: a stream only reads, writes and polls, and Asio's event loop behind every socket made up a
/// sixth of what a user's first file cost to compile.
#pragma once

#include <splitdsl/link/stream.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
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

/// A file descriptor that is closed with its owner; below 0: none.
class owned_descriptor {
public:
    explicit owned_descriptor(int number = -1) noexcept : handle{number} {}
    owned_descriptor(owned_descriptor&& other) noexcept : handle{std::exchange(other.handle, -1)} {}
    owned_descriptor& operator=(owned_descriptor&& other) noexcept {
        std::swap(handle, other.handle);
        return *this;
    }
    ~owned_descriptor() {
        if (handle >= 0) ::close(handle);
    }
    int number() const noexcept { return handle; }

private:
    int handle;
};

/// A file descriptor that makes a poll return.
class wake_event {
public:
    wake_event() : handle{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {
        if (handle.number() < 0)
            throw link_error("no eventfd left: expected a free file descriptor, found errno " + std::to_string(errno));
    }
    void set() noexcept {
        const std::uint64_t one = 1;
        // Fails only when the counter is full, and then the event is set anyway.
        [[maybe_unused]] const auto done = ::write(handle.number(), &one, sizeof one);
    }
    /// True if it was set since the last call.
    bool take() noexcept {
        std::uint64_t count = 0;
        return ::read(handle.number(), &count, sizeof count) == sizeof count;
    }
    int descriptor() const noexcept { return handle.number(); }

private:
    owned_descriptor handle;
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

inline std::error_code last_error() noexcept { return {errno, std::system_category()}; }

/// An IPv4 or IPv6 address with its port, as the system's calls want it.
struct tcp_address {
    sockaddr_storage bytes{};
    socklen_t size{sizeof bytes};
    sockaddr* data() noexcept { return static_cast<sockaddr*>(static_cast<void*>(&bytes)); }
    const sockaddr* data() const noexcept { return static_cast<const sockaddr*>(static_cast<const void*>(&bytes)); }
    std::uint16_t port() const noexcept {
        // Both families keep it at the same place.
        sockaddr_in four{};
        std::memcpy(&four, &bytes, sizeof four);
        return ntohs(four.sin_port);
    }
};

/// A socket of the address's family; nothing it does blocks. No code: it is open.
inline owned_descriptor open_socket(const tcp_address& address, std::error_code& code) noexcept {
    owned_descriptor socket{::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)};
    if (socket.number() < 0) code = last_error();
    return socket;
}

inline void set_size_option(int socket, int level, int name, int value) noexcept {
    // Refusals are ignored on purpose: sizes tune, they do not decide whether a link works.
    if (value > 0) ::setsockopt(socket, level, name, &value, sizeof value);
}

inline void switch_on(int socket, int level, int name, std::error_code& code) noexcept {
    const int on = 1;
    if (::setsockopt(socket, level, name, &on, sizeof on) != 0) code = last_error();
}

/// What must be set before connecting or listening, because the handshake announces it.
inline void prepare(int socket, const tcp_options& options) noexcept {
    set_size_option(socket, SOL_SOCKET, SO_RCVBUF, options.receive_buffer);
    set_size_option(socket, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
    set_size_option(socket, IPPROTO_TCP, TCP_MAXSEG, options.segment_size);
}

/// What is set on every connection.
inline void finish(int socket, const tcp_options& options, std::error_code& code) noexcept {
    switch_on(socket, IPPROTO_TCP, TCP_NODELAY, code);
    set_size_option(socket, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
    set_size_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, options.unsent_low_water);
}

/// "127.0.0.1" or "::1", and not the short forms such as "127.1" that the system would take as well.
inline bool is_numeric(const std::string& host) noexcept {
    in_addr four{};
    return host.find(':') != std::string::npos || ::inet_pton(AF_INET, host.c_str(), &four) == 1;
}

/// Every address of host:port, or none and why.
inline std::vector<tcp_address> look_up(const std::string& host, std::uint16_t port, std::string& why) {
    addrinfo wanted{};
    wanted.ai_flags = is_numeric(host) ? AI_NUMERICHOST | AI_NUMERICSERV : AI_NUMERICSERV;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_protocol = IPPROTO_TCP;
    addrinfo* list = nullptr;
    std::vector<tcp_address> addresses;
    if (const int failure = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &list); failure != 0) {
        why = failure == EAI_SYSTEM ? last_error().message() : ::gai_strerror(failure);
        return addresses;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed{list, &::freeaddrinfo};
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
        tcp_address& found = addresses.emplace_back();
        found.size = entry->ai_addrlen;
        std::memcpy(&found.bytes, entry->ai_addr, entry->ai_addrlen);
    }
    if (addresses.empty()) why = "no address";
    return addresses;
}

/// Every address of host:port, or a link_error.
inline std::vector<tcp_address> resolve(const std::string& host, std::uint16_t port, const std::string& who) {
    std::string why;
    std::vector<tcp_address> addresses = look_up(host, port, why);
    if (addresses.empty())
        throw link_error(who + ": expected a host name or address that resolves, found \"" + host + "\" (" + why + ")");
    return addresses;
}

/// A connected socket, which must not block, as a stream.
class tcp_stream final : public stream {
public:
    explicit tcp_stream(owned_descriptor connected) : socket{std::move(connected)} {}
    ~tcp_stream() override { shutdown(); }

    io write(std::span<const std::byte> from) noexcept override {
        if (ended.load(std::memory_order_relaxed)) return {io_result::closed, 0};
        if (from.empty()) return {io_result::ok, 0};
        // No signal: a peer that has gone is a result, not the end of the process.
        return outcome(::send(socket.number(), from.data(), from.size(), MSG_NOSIGNAL));
    }

    io read(std::span<std::byte> to) noexcept override {
        if (ended.load(std::memory_order_relaxed)) return {io_result::closed, 0};
        if (to.empty()) return {io_result::ok, 0};
        return outcome(::recv(socket.number(), to.data(), to.size(), 0));
    }

    bool wait(bool readable, bool writable, duration timeout) noexcept override {
        const instant deadline = after(timeout);
        short wanted = 0;
        if (readable) wanted = static_cast<short>(wanted | POLLIN | POLLRDHUP);
        if (writable) wanted = static_cast<short>(wanted | POLLOUT);
        pollfd descriptors[2]{{socket.number(), wanted, 0}, {event.descriptor(), POLLIN, 0}};
        poll_until(descriptors, deadline);
        if (descriptors[1].revents != 0) event.take();
        return descriptors[0].revents != 0 || ended.load(std::memory_order_relaxed);
    }

    void wake() noexcept override { event.set(); }

    void shutdown() noexcept override {
        // The descriptor stays open until destruction, so that no other thread ever uses a reused number.
        if (!ended.exchange(true)) ::shutdown(socket.number(), SHUT_RDWR);
        event.set();
    }

private:
    static io outcome(ssize_t moved) noexcept {
        if (moved > 0) return {io_result::ok, static_cast<std::size_t>(moved)};
        if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {io_result::would_block, 0};
        return {io_result::closed, 0};
    }

    owned_descriptor socket;
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
          options{tuning} {
        if (host.empty()) throw link_error("tcp: expected a host name or address, found an empty one");
        if (port == 0) throw link_error(describe() + ": expected a port from 1 to 65535, found 0");
    }

    std::unique_ptr<stream> connect(duration timeout) override {
        const auto addresses = detail::resolve(host, port, describe());
        const instant deadline = detail::after(timeout);
        std::error_code last;
        for (const detail::tcp_address& address : addresses) {
            std::error_code code;
            detail::owned_descriptor socket = try_address(address, deadline, code);
            if (socket.number() >= 0) return std::make_unique<detail::tcp_stream>(std::move(socket));
            if (!code) return nullptr; // the time passed
            last = code;
        }
        throw link_error(describe() + ": expected a listening peer, found: " + last.message());
    }

    std::string describe() const override {
        return "tcp " + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
    }

private:
    /// A connection, or why there is none. Neither: the time passed.
    detail::owned_descriptor try_address(const detail::tcp_address& address, instant deadline, std::error_code& code) const {
        detail::owned_descriptor socket = detail::open_socket(address, code);
        if (code) return detail::owned_descriptor{};
        const int handle = socket.number();
        detail::prepare(handle, options);
        detail::finish(handle, options, code);
        if (code) return detail::owned_descriptor{};
        if (::connect(handle, address.data(), address.size) != 0) {
            if (errno != EINPROGRESS && errno != EINTR) {
                code = detail::last_error();
                return detail::owned_descriptor{};
            }
            pollfd descriptor{handle, POLLOUT, 0};
            if (!detail::poll_until({&descriptor, 1}, deadline)) return detail::owned_descriptor{};
            int failure = 0;
            socklen_t size = sizeof failure;
            if (::getsockopt(handle, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
            if (failure != 0) {
                code = std::error_code{failure, std::system_category()};
                return detail::owned_descriptor{};
            }
        }
        return socket;
    }

    std::string host;
    std::uint16_t port;
    tcp_options options;
};

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
        : options{tuning} {
        const std::string who = "tcp listener on " + bind_address + ":" + std::to_string(port_number);
        std::string why;
        const auto addresses =
            detail::is_numeric(bind_address) ? detail::look_up(bind_address, port_number, why) : std::vector<detail::tcp_address>{};
        if (addresses.empty())
            throw link_error(who + ": expected a numeric IPv4 or IPv6 address to bind, found \"" + bind_address + "\"");
        std::error_code code;
        socket = detail::open_socket(addresses.front(), code);
        const int handle = socket.number();
        if (!code) detail::switch_on(handle, SOL_SOCKET, SO_REUSEADDR, code);
        if (!code) {
            detail::prepare(handle, options); // accepted sockets inherit the sizes
            if (::bind(handle, addresses.front().data(), addresses.front().size) != 0 || ::listen(handle, SOMAXCONN) != 0)
                code = detail::last_error();
        }
        detail::tcp_address own;
        if (!code && ::getsockname(handle, own.data(), &own.size) != 0) code = detail::last_error();
        if (code) throw link_error(who + ": expected a free address and port, found: " + code.message());
        bound = own.port();
    }
    ~tcp_listener() override { close(); }

    std::unique_ptr<stream> accept(duration timeout) override {
        const instant deadline = detail::after(timeout);
        while (!closed.load()) {
            pollfd descriptors[2]{{socket.number(), POLLIN, 0}, {event.descriptor(), POLLIN, 0}};
            if (!detail::poll_until(descriptors, deadline) || closed.load()) return nullptr;
            detail::owned_descriptor accepted{::accept4(socket.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            std::error_code code;
            if (accepted.number() < 0) code = detail::last_error();
            if (code.value() == EMFILE || code.value() == ENFILE)
                throw link_error("tcp listener on port " + std::to_string(bound) + ": expected a free file descriptor, found none");
            if (!code) detail::finish(accepted.number(), options, code);
            // A connection that died between poll and here is its own problem: wait for the next.
            if (!code) return std::make_unique<detail::tcp_stream>(std::move(accepted));
            if (detail::steady_now() >= deadline) return nullptr;
        }
        return nullptr;
    }

    std::uint16_t port() const override { return bound; }

    void close() noexcept override {
        // Shutting a listening socket down refuses newcomers at once; the number stays ours until destruction.
        if (!closed.exchange(true)) ::shutdown(socket.number(), SHUT_RDWR);
        event.set();
    }

private:
    tcp_options options;
    detail::owned_descriptor socket;
    detail::wake_event event;
    std::uint16_t bound{};
    std::atomic<bool> closed{};
};

} // namespace splitdsl::link
