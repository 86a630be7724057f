// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file descriptor.hpp
/// Streams over a connected socket's file descriptor, with bounded waits that another thread can end (Linux: eventfd, ppoll).
///
/// Plain system calls: a stream needs six of them, and a library's socket brings its reactor into every file that connects (performance.md).
#pragma once

#include <splitdsl/link/stream.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

namespace splitdsl::link::detail {

inline instant steady_now() noexcept { return std::chrono::steady_clock::now(); }

/// Deadline that does not overflow for "for ever".
inline instant after(duration timeout) noexcept {
    const instant now = steady_now();
    return timeout > instant::max() - now ? instant::max() : now + std::max(timeout, duration{0});
}

/// The system's words for an errno.
inline std::string error_text(int number) { return std::error_code{number, std::system_category()}.message(); }

/// Closes what it holds.
class owned_descriptor {
public:
    explicit owned_descriptor(int taken = -1) noexcept : number{taken} {}
    owned_descriptor(owned_descriptor&& other) noexcept : number{std::exchange(other.number, -1)} {}
    owned_descriptor& operator=(owned_descriptor&&) = delete;
    ~owned_descriptor() {
        if (number >= 0) ::close(number);
    }
    int get() const noexcept { return number; }
    /// For who closes it from now on.
    int release() noexcept { return std::exchange(number, -1); }

private:
    int number;
};

/// What accept's failure means where it is this machine's and not the newcomer's: nothing is left for another connection.
inline bool is_shortage(int number) noexcept { return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM; }

/// A descriptor kept for the day that none is left: who cannot be accepted then is turned away with it, instead of standing in the queue, where he
/// keeps every poll from waiting.
class spare_descriptor {
public:
    spare_descriptor() noexcept { fill(); }
    spare_descriptor(const spare_descriptor&) = delete;
    spare_descriptor& operator=(const spare_descriptor&) = delete;
    ~spare_descriptor() { give(); }

    /// Closes the connection that has waited longest at a listening, non-blocking socket. False: it waits on.
    bool turn_away(int listening) noexcept {
        give();
        const int newcomer = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (newcomer >= 0) ::close(newcomer);
        fill();
        return newcomer >= 0;
    }
    /// Takes it back, if a descriptor is left.
    void fill() noexcept {
        if (kept < 0) kept = ::eventfd(0, EFD_CLOEXEC);
    }

private:
    void give() noexcept {
        if (kept >= 0) ::close(std::exchange(kept, -1));
    }
    int kept{-1};
};

/// A file descriptor that makes a poll return.
class wake_event {
public:
    wake_event() : handle{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {
        if (handle.get() < 0) throw link_error("no eventfd left: expected a free file descriptor, found errno " + std::to_string(errno));
    }

    void set() noexcept {
        const std::uint64_t one = 1;
        // Fails only when the counter is full, and then the event is set anyway.
        [[maybe_unused]] const auto done = ::write(handle.get(), &one, sizeof one);
    }
    /// True if it was set since the last call.
    bool take() noexcept {
        std::uint64_t count = 0;
        return ::read(handle.get(), &count, sizeof count) == sizeof count;
    }
    int descriptor() const noexcept { return handle.get(); }

private:
    owned_descriptor handle;
};

/// ppoll until the deadline, through signals. Returns whether any descriptor has an event.
inline bool poll_until(pollfd* descriptors, std::size_t count, instant deadline) noexcept {
    constexpr std::int64_t second = 1'000'000'000, nine_years = second * 3600 * 24 * 365 * 9;   // a longer timespec is refused by some kernels
    for (;;) {
        const std::int64_t ns = std::clamp<std::int64_t>((deadline - steady_now()).count(), 0, nine_years);
        timespec left{};
        left.tv_sec = static_cast<decltype(left.tv_sec)>(ns / second);
        left.tv_nsec = static_cast<decltype(left.tv_nsec)>(ns % second);
        const int events = ::ppoll(descriptors, count, &left, nullptr);
        if (events > 0) return true;
        if (events < 0 && errno != EINTR) return false;
        if (steady_now() >= deadline) return false;
    }
}

/// What a connection attempt came to.
struct connect_result {
    bool in_time{};
    int failure{};   ///< an errno; 0: connected, if in time
};

/// Connects a non-blocking socket before the deadline.
inline connect_result connect_until(int handle, const sockaddr* peer, socklen_t peer_size, instant deadline) noexcept {
    if (::connect(handle, peer, peer_size) == 0) return {true, 0};
    if (errno != EINPROGRESS && errno != EINTR) return {true, errno};
    pollfd descriptor{handle, POLLOUT, 0};
    if (!poll_until(&descriptor, 1, deadline)) return {false, 0};
    int failure = 0;
    socklen_t size = sizeof failure;
    if (::getsockopt(handle, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) failure = errno;
    return {true, failure};
}

/// What a send or recv that returned `moved` means; 0 bytes are the reader's to tell from an end.
inline io outcome(ssize_t moved) noexcept {
    if (moved >= 0) return {io_result::ok, static_cast<std::size_t>(moved)};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {io_result::would_block, 0};
    return {io_result::closed, 0};
}

/// A connected, non-blocking socket that carries bytes. Neither allocates nor locks after construction.
class descriptor_stream : public stream {
public:
    explicit descriptor_stream(owned_descriptor connected) : socket{std::move(connected)} {}
    ~descriptor_stream() override { descriptor_stream::shutdown(); }

    io write(std::span<const std::byte> from) noexcept override {
        if (has_ended()) return {io_result::closed, 0};
        if (from.empty()) return {io_result::ok, 0};
        return outcome(::send(socket.get(), from.data(), from.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    io read(std::span<std::byte> to) noexcept override {
        if (has_ended()) return {io_result::closed, 0};
        if (to.empty()) return {io_result::ok, 0};
        const ssize_t got = ::recv(socket.get(), to.data(), to.size(), MSG_DONTWAIT);
        return got == 0 ? io{io_result::closed, 0} : outcome(got);
    }

    bool wait(bool readable, bool writable, duration timeout) noexcept override {
        short wanted = 0;
        if (readable) wanted = static_cast<short>(wanted | POLLIN | POLLRDHUP);
        if (writable) wanted = static_cast<short>(wanted | POLLOUT);
        pollfd descriptors[2]{{socket.get(), wanted, 0}, {event.descriptor(), POLLIN, 0}};
        poll_until(descriptors, 2, after(timeout));
        if (descriptors[1].revents != 0) event.take();
        return descriptors[0].revents != 0 || has_ended();
    }

    void wake() noexcept override { event.set(); }

    void shutdown() noexcept override {
        // The descriptor stays open until destruction, so that no other thread ever uses a reused number.
        if (!ended.exchange(true)) ::shutdown(socket.get(), SHUT_RDWR);
        event.set();
    }

protected:
    bool has_ended() const noexcept { return ended.load(std::memory_order_relaxed); }
    int handle() const noexcept { return socket.get(); }

private:
    owned_descriptor socket;
    wake_event event;
    std::atomic<bool> ended{};
};

} // namespace splitdsl::link::detail
