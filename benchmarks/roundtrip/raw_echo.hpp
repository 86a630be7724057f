// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file raw_echo.hpp
/// The floor for bench_roundtrip: bytes there and back over a loopback TCP connection with nothing but blocking system calls.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace roundtrip {

/// A socket that is closed once.
class socket_handle {
public:
    explicit socket_handle(int h) : handle{h} {
        if (handle < 0) throw std::runtime_error("raw echo: no socket, errno " + std::to_string(errno));
    }
    socket_handle(const socket_handle&) = delete;
    socket_handle& operator=(const socket_handle&) = delete;
    ~socket_handle() { ::close(handle); }
    int get() const { return handle; }

private:
    int handle;
};

/// Memory that starts a page. Where a large buffer begins decides what the kernel's copy costs: on AMD Zen 3 a destination 16 bytes
/// behind its source, counted within a page, takes some 40 microseconds more per 132 kB, and that is where a large malloc lies.
class page_buffer {
public:
    explicit page_buffer(std::size_t bytes) : length{bytes}, memory(bytes + page) {
        std::size_t room = memory.size();
        void* at = memory.data();
        start = static_cast<std::byte*>(std::align(page, bytes, at, room));
    }
    page_buffer(const page_buffer&) = delete;
    page_buffer& operator=(const page_buffer&) = delete;
    std::byte* data() { return start; }
    std::size_t size() const { return length; }

private:
    static constexpr std::size_t page = 4096;
    std::size_t length;
    std::vector<std::byte> memory;
    std::byte* start;
};

inline bool write_all(int to, page_buffer& from) {
    for (std::size_t done = 0; done < from.size();) {
        const auto n = ::send(to, from.data() + done, from.size() - done, MSG_NOSIGNAL);
        if (n <= 0) return false;
        done += static_cast<std::size_t>(n);
    }
    return true;
}
inline bool read_all(int from, page_buffer& to) {
    for (std::size_t done = 0; done < to.size();) {
        const auto n = ::recv(from, to.data() + done, to.size() - done, 0);
        if (n <= 0) return false;
        done += static_cast<std::size_t>(n);
    }
    return true;
}

/// One connection with TCP_NODELAY and a thread at its other end that sends `reply_bytes` for every `request_bytes`.
class raw_echo {
public:
    raw_echo(std::size_t request_bytes, std::size_t reply_bytes)
        : request{request_bytes}, reply{reply_bytes}, listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)},
          client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof here;
        auto* address = reinterpret_cast<sockaddr*>(&here);
        if (::bind(listener.get(), address, size) != 0 || ::listen(listener.get(), 1) != 0 || ::getsockname(listener.get(), address, &size) != 0
            || ::connect(client.get(), address, size) != 0)
            throw std::runtime_error("raw echo: no loopback connection, errno " + std::to_string(errno));
        at_once(client.get());
        server = std::thread{[this] {
            const socket_handle peer{::accept(listener.get(), nullptr, nullptr)};
            at_once(peer.get());
            page_buffer asked{request.size()}, answer{reply.size()};
            while (read_all(peer.get(), asked) && write_all(peer.get(), answer)) {}
        }};
    }
    raw_echo(const raw_echo&) = delete;
    raw_echo& operator=(const raw_echo&) = delete;
    ~raw_echo() {
        ::shutdown(client.get(), SHUT_RDWR);
        server.join();
    }
    void operator()() {
        if (!write_all(client.get(), request) || !read_all(client.get(), reply))
            throw std::runtime_error("raw echo: the connection ended");
    }

private:
    static void at_once(int s) {
        const int on = 1;
        ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    page_buffer request, reply;
    socket_handle listener, client;
    std::thread server;
};

} // namespace roundtrip
