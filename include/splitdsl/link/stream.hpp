// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream.hpp
/// The byte stream every link gives the runtime: never blocks except in `wait`, which is bounded and can be woken.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/units.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace splitdsl::link {

enum class io_result : std::uint8_t {
    ok,          ///< at least one byte moved (or the span was empty)
    would_block, ///< nothing moved: ask again after `wait`
    closed       ///< ended by either side, reset, or broken; stays so
};

/// What one read or write did. `bytes` is 0 unless `what` is `ok`.
struct io {
    io_result what{};
    std::size_t bytes{};
};

/// One connection. Once it exists, no call allocates or locks a mutex.
///
/// Two threads may use it at once: one writes, the other reads and waits; which one does what may change, but never do two write, or
/// two read or wait, at the same time.
/// `wake` and `shutdown` may be called from any thread. Destroy it only after both have let go.
///
/// ```cpp
/// while (left.size() > 0) {
///     const io done = s.write(left);
///     if (done.what == io_result::closed) return false;
///     left = left.subspan(done.bytes);
///     if (done.what == io_result::would_block && !s.wait(false, true, deadline - now())) return false;
/// }
/// ```
class stream {
public:
    stream() = default;
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;
    virtual ~stream() = default;

    /// Hands over as much as fits now: never blocks, may be partial.
    virtual io write(std::span<const std::byte> from) noexcept = 0;

    /// Takes what has arrived: never blocks. A peer's orderly end is `closed` once everything before it was read.
    virtual io read(std::span<std::byte> to) noexcept = 0;

    /// Blocks at most `timeout` until one of the asked directions is ready, the stream ended, or `wake` was called.
    /// True if a direction is ready (an ended stream counts: the next read or write says `closed`); false if the time
    /// passed or it was woken. A wake that comes before the wait is not lost: it ends the next one.
    virtual bool wait(bool readable, bool writable, duration timeout) noexcept = 0;

    /// Any thread: ends the wait that runs now, or else the next one.
    virtual void wake() noexcept = 0;

    /// Any thread: ends the connection both ways and wakes a waiter; later reads and writes say `closed`.
    virtual void shutdown() noexcept = 0;
};

/// How to reach the other side, as often as needed.
class connector {
public:
    connector() = default;
    connector(const connector&) = default;
    connector& operator=(const connector&) = default;
    virtual ~connector() = default;

    /// Connects within `timeout`. Null if the time passed; `link_error` if it was refused or cannot work.
    virtual std::unique_ptr<stream> connect(duration timeout) = 0;

    /// Where this leads, for messages: "tcp tail.local:7447".
    virtual std::string describe() const = 0;
};

/// Where the other side arrives.
class listener {
public:
    listener() = default;
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    virtual ~listener() = default;

    /// Waits at most `timeout` for a connection. Null if the time passed or the listener was closed. Throws (link_error, std::bad_alloc) if this machine
    /// has nothing left for another connection; who waited is turned away then, if possible, and the next call may succeed.
    virtual std::unique_ptr<stream> accept(duration timeout) = 0;

    /// The port it listens on (as chosen by the system if 0 was asked); 0 for links without ports.
    virtual std::uint16_t port() const { return 0; }

    /// Any thread: stops listening and ends an `accept` that runs now.
    virtual void close() noexcept = 0;
};

} // namespace splitdsl::link
