// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file outbox.hpp
/// One payload at a time on its way into a stream that two threads may write: whoever is there writes, nobody waits.
#pragma once

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

namespace splitdsl {

/// The compute thread posts a message and writes it itself. If the link thread holds the stream at that moment, it will write it
/// when it lets go; what the socket does not take, the link thread flushes later. `busy` until the last byte is handed over.
class outbox {
public:
    outbox(std::size_t message_max, std::size_t control_max, edge_stream_hooks* stream_packets = nullptr)
        : store{message_max}, control{control_max}, side{stream_packets} {}

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    bool busy() const noexcept { return length.load(std::memory_order_acquire) != 0; }
    std::span<std::byte> message() noexcept { return store.bytes(); }
    /// Sends the first `size` bytes of `message`. False if there is no connection or it ended.
    bool post(std::size_t size, instant now) noexcept {
        posted_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        length.store(size, std::memory_order_seq_cst);
        if (!try_lock()) return true; // the holder looks again after letting go
        bool good = target != nullptr;
        if (good) {
            good = write_pending();
            if (blocked_flag.load(std::memory_order_relaxed) || !good) target->wake(); // the link thread waits for room, or for the end
        }
        if (!good) drop();
        unlock();
        return good;
    }

    // ---- link thread ------------------------------------------------------------------------------------------------------
    void open(link::stream* s) noexcept {
        lock();
        target = s;
        drop();
        control_length = control_sent = 0;
        if (side != nullptr) side->restart(s != nullptr);
        blocked_flag.store(false, std::memory_order_relaxed);
        unlock();
    }
    void close() noexcept { open(nullptr); }
    /// Writes what is left; false if the stream ended. A busy token means that the compute thread writes just now.
    bool flush() noexcept {
        while (pending()) {
            if (!try_lock()) return true;
            const bool good = target == nullptr || write_pending();
            unlock();
            if (!good) return false;
            if (blocked_flag.load(std::memory_order_relaxed)) return true;
        }
        return true;
    }
    bool blocked() const noexcept { return blocked_flag.load(std::memory_order_relaxed) && pending(); }
    instant posted_at() const noexcept { return instant{duration{posted_ns.load(std::memory_order_relaxed)}}; }
    std::uint64_t bytes_written() const noexcept { return written.load(std::memory_order_relaxed); }

    /// Puts a small message of the link's own between payloads: `make(room)` returns its size. False if something else is on its way.
    template <class Make>
    bool post_control(Make make) noexcept {
        if (!try_lock()) return false;
        const bool free = target != nullptr && control_length == 0 && !busy();
        if (free) {
            control_length = make(control.bytes());
            control_sent = 0;
            write_pending(); // an ended stream is seen by the next read
        }
        unlock();
        flush(); // a payload posted meanwhile
        return free;
    }

    /// Any thread: ends a wait at the stream that runs now, or else the next one. Waits for the token, so not for the frame path.
    void wake() noexcept {
        lock();
        if (target) target->wake();
        unlock();
    }
    /// Compute thread: `side` has something new. What may go at once is written here, the rest is the link thread's. Never waits: if the
    /// token is taken, its holder looks again after letting go.
    void nudge() noexcept {
        if (!try_lock()) return;
        if (target) {
            write_pending(); // an ended stream is seen by the next read
            target->wake();
        }
        unlock();
    }

private:
    bool try_lock() noexcept { return !writing.exchange(true, std::memory_order_seq_cst); }
    // The holder never waits while it has the token, but it has to be let run: a real-time thread that only yielded would keep an
    // ordinary one from its processor, and wait for it in vain.
    void lock() noexcept {
        while (!try_lock()) std::this_thread::sleep_for(std::chrono::microseconds{20});
    }
    void unlock() noexcept { writing.store(false, std::memory_order_seq_cst); }
    bool pending() const noexcept {
        return length.load(std::memory_order_seq_cst) != 0 || control_waiting.load(std::memory_order_relaxed) || (side != nullptr && side->wants());
    }

    // Holding the token: false if the stream ended.
    bool write_pending() noexcept {
        bool room = true;
        std::size_t of_streams = 0;
        if (side != nullptr && !side->write(*target, true, room, of_streams)) return false;
        if (room && !write_some(control.bytes(), control_sent, control_length, room)) return false;
        if (control_sent == control_length) control_sent = control_length = 0;
        control_waiting.store(control_length != 0, std::memory_order_relaxed);
        const std::size_t n = length.load(std::memory_order_acquire); // the message was written before its length
        if (room && n != 0) {
            if (!write_some(store.bytes(), sent, n, room)) return false;
            if (sent == n) drop();
        }
        if (side != nullptr && room && !side->write(*target, false, room, of_streams)) return false;
        if (of_streams != 0) written.fetch_add(of_streams, std::memory_order_relaxed);
        blocked_flag.store(!room, std::memory_order_relaxed);
        return true;
    }
    bool write_some(std::span<const std::byte> from, std::size_t& at, std::size_t end, bool& room) noexcept {
        while (at < end) {
            const link::io done = target->write(from.subspan(at, end - at));
            if (done.what == link::io_result::closed) return false;
            if (done.what == link::io_result::would_block) {
                room = false;
                return true;
            }
            at += done.bytes;
            written.fetch_add(done.bytes, std::memory_order_relaxed);
        }
        return true;
    }
    void drop() noexcept {
        sent = 0;
        length.store(0, std::memory_order_release);
    }

    aligned_buffer store, control;
    edge_stream_hooks* side{}; // their packets go when nothing else waits
    std::atomic<std::size_t> length{}; // of the message to be sent; 0: free for the next
    std::atomic<bool> writing{}, blocked_flag{}, control_waiting{};
    std::atomic<std::int64_t> posted_ns{};
    std::atomic<std::uint64_t> written{};
    link::stream* target{};                               // holding the token
    std::size_t sent{}, control_length{}, control_sent{}; // holding the token
};

} // namespace splitdsl
