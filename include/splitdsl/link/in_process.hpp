// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file in_process.hpp
/// A link within one process: two lock-free rings, one each way (Linux: futex for the timed wait).
#pragma once

#include <splitdsl/link/stream.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <climits>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace splitdsl::link {
namespace detail {

/// Wakes threads that wait for a change. A waiter reads `ticket`, tests its condition, then sleeps on that ticket, so a
/// change in between is never lost; any number of threads may wait.
class change_signal {
public:
    std::uint32_t ticket() const noexcept { return changes.load(std::memory_order_seq_cst); }

    void notify() noexcept {
        changes.fetch_add(1, std::memory_order_seq_cst);
        if (sleepers.load(std::memory_order_seq_cst) > 0) call(FUTEX_WAKE_PRIVATE, INT_MAX, nullptr);
    }

    void sleep(std::uint32_t seen, duration timeout) noexcept {
        timespec left{};
        left.tv_sec = static_cast<decltype(left.tv_sec)>(timeout.count() / 1'000'000'000);
        left.tv_nsec = static_cast<decltype(left.tv_nsec)>(timeout.count() % 1'000'000'000);
        sleepers.fetch_add(1, std::memory_order_seq_cst);
        call(FUTEX_WAIT_PRIVATE, static_cast<int>(seen), &left);
        sleepers.fetch_sub(1, std::memory_order_seq_cst);
    }

private:
    void call(int operation, int value, const timespec* timeout) noexcept {
        static_assert(sizeof changes == 4 && std::atomic<std::uint32_t>::is_always_lock_free);
        ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&changes), operation, value, timeout, nullptr, 0);
    }

    std::atomic<std::uint32_t> changes{};
    std::atomic<std::uint32_t> sleepers{};
};

/// Bytes from one thread to another: one producer, one consumer, capacity a power of two.
class byte_ring {
public:
    explicit byte_ring(std::size_t capacity) : store(std::bit_ceil(capacity)) {}

    std::size_t push(std::span<const std::byte> from) noexcept {
        const std::size_t at = written.load(std::memory_order_relaxed);
        const std::size_t room = store.size() - (at - taken.load(std::memory_order_acquire));
        const std::size_t count = std::min(room, from.size());
        const std::size_t offset = at & (store.size() - 1);
        const std::size_t first = std::min(count, store.size() - offset);
        std::memcpy(store.data() + offset, from.data(), first);
        std::memcpy(store.data(), from.data() + first, count - first);
        written.store(at + count, std::memory_order_seq_cst);
        return count;
    }
    std::size_t pop(std::span<std::byte> to) noexcept {
        const std::size_t at = taken.load(std::memory_order_relaxed);
        const std::size_t held = written.load(std::memory_order_acquire) - at;
        const std::size_t count = std::min(held, to.size());
        const std::size_t offset = at & (store.size() - 1);
        const std::size_t first = std::min(count, store.size() - offset);
        std::memcpy(to.data(), store.data() + offset, first);
        std::memcpy(to.data() + first, store.data(), count - first);
        taken.store(at + count, std::memory_order_seq_cst);
        return count;
    }
    bool empty() const noexcept { return written.load(std::memory_order_seq_cst) == taken.load(std::memory_order_seq_cst); }
    bool full() const noexcept {
        const std::size_t read_first = taken.load(std::memory_order_seq_cst);
        return written.load(std::memory_order_seq_cst) - read_first >= store.size();
    }

private:
    std::vector<std::byte> store;
    alignas(64) std::atomic<std::size_t> written{};
    alignas(64) std::atomic<std::size_t> taken{};
};

struct in_process_pair_state {
    explicit in_process_pair_state(std::size_t capacity) : rings{byte_ring{capacity}, byte_ring{capacity}} {}
    byte_ring rings[2];       // rings[i]: written by side i
    change_signal signals[2]; // signals[i]: side i sleeps on it
    std::atomic<bool> woken[2]{};
    std::atomic<bool> closed{};
};

/// One side of a pair.
class in_process_stream final : public stream {
public:
    in_process_stream(std::shared_ptr<in_process_pair_state> shared_state, int which) : state{std::move(shared_state)}, side{which} {}
    ~in_process_stream() override { shutdown(); }

    io write(std::span<const std::byte> from) noexcept override {
        if (state->closed.load(std::memory_order_acquire)) return {io_result::closed, 0};
        if (from.empty()) return {io_result::ok, 0};
        const std::size_t count = outgoing().push(from);
        if (count == 0) return {io_result::would_block, 0};
        state->signals[1 - side].notify();
        return {io_result::ok, count};
    }

    io read(std::span<std::byte> to) noexcept override {
        if (to.empty()) return {io_result::ok, 0};
        // Closed is read first: whatever was written before closing is then visible and still delivered.
        const bool over = state->closed.load(std::memory_order_acquire);
        const std::size_t count = incoming().pop(to);
        if (count == 0) return {over ? io_result::closed : io_result::would_block, 0};
        state->signals[1 - side].notify();
        return {io_result::ok, count};
    }

    bool wait(bool readable, bool writable, duration timeout) noexcept override {
        const instant start = std::chrono::steady_clock::now();
        const instant deadline = timeout > instant::max() - start ? instant::max() : start + timeout;
        for (;;) {
            const std::uint32_t seen = state->signals[side].ticket();
            const bool ready =
                state->closed.load(std::memory_order_seq_cst) || (readable && !incoming().empty()) || (writable && !outgoing().full());
            if (state->woken[side].exchange(false, std::memory_order_seq_cst) || ready) return ready;
            const duration left = deadline - std::chrono::steady_clock::now();
            if (left <= duration{0}) return false;
            state->signals[side].sleep(seen, left);
        }
    }

    void wake() noexcept override {
        state->woken[side].store(true, std::memory_order_seq_cst);
        state->signals[side].notify();
    }

    void shutdown() noexcept override {
        state->closed.store(true, std::memory_order_seq_cst);
        state->signals[0].notify();
        state->signals[1].notify();
    }

private:
    byte_ring& outgoing() const noexcept { return state->rings[side]; }
    byte_ring& incoming() const noexcept { return state->rings[1 - side]; }

    std::shared_ptr<in_process_pair_state> state;
    int side;
};

/// Where connectors and their listener meet. Set-up only, so a mutex is fine here.
struct in_process_meeting {
    std::size_t capacity{};
    std::mutex guard;
    std::condition_variable changed;
    std::deque<std::unique_ptr<stream>> arrived;
    bool closed{};
    static constexpr std::size_t backlog = 16;
};

} // namespace detail

/// Two connected streams. `capacity`: bytes in flight each way, rounded up to a power of two; 1 byte to 1 GiB, else `link_error`.
inline std::pair<std::unique_ptr<stream>, std::unique_ptr<stream>> in_process_pair(std::size_t capacity = 64 * 1024) {
    if (capacity < 1 || capacity > (std::size_t{1} << 30))
        throw link_error("in-process link: expected a capacity from 1 to 1073741824 bytes, found " + std::to_string(capacity));
    auto state = std::make_shared<detail::in_process_pair_state>(capacity);
    return {std::make_unique<detail::in_process_stream>(state, 0), std::make_unique<detail::in_process_stream>(state, 1)};
}

class in_process_listener;

/// Connects to an `in_process_listener` of the same process; copies lead to the same one, which it may outlive.
class in_process final : public connector {
public:
    explicit in_process(const in_process_listener& to);

    /// Null if 16 connections wait unaccepted for the whole time; `link_error` if the listener is closed.
    std::unique_ptr<stream> connect(duration timeout) override {
        std::unique_lock lock{meeting->guard};
        const bool in_time = meeting->changed.wait_for(lock, std::min<duration>(timeout, std::chrono::hours{24}), [&] {
            return meeting->closed || meeting->arrived.size() < detail::in_process_meeting::backlog;
        });
        if (meeting->closed) throw link_error("in-process link: expected an open listener, found a closed one");
        if (!in_time) return nullptr;
        auto [here, there] = in_process_pair(meeting->capacity);
        meeting->arrived.push_back(std::move(there));
        meeting->changed.notify_all();
        return std::move(here);
    }

    std::string describe() const override { return "in process"; }

private:
    std::shared_ptr<detail::in_process_meeting> meeting;
};

/// Accepts connections from `in_process` connectors.
///
/// ```cpp body
/// splitdsl::link::in_process_listener server;
/// splitdsl::link::in_process to_server{server};
/// auto edge_end = to_server.connect(1s);
/// auto cloud_end = server.accept(1s);
/// ```
class in_process_listener final : public listener {
public:
    explicit in_process_listener(std::size_t capacity = 64 * 1024) {
        in_process_pair(capacity); // refuses a bad capacity here rather than at the first connection
        meeting->capacity = capacity;
    }
    ~in_process_listener() override { close(); }

    std::unique_ptr<stream> accept(duration timeout) override {
        std::unique_lock lock{meeting->guard};
        meeting->changed.wait_for(lock, std::min<duration>(timeout, std::chrono::hours{24}),
                                  [&] { return meeting->closed || !meeting->arrived.empty(); });
        if (meeting->closed || meeting->arrived.empty()) return nullptr;
        auto next = std::move(meeting->arrived.front());
        meeting->arrived.pop_front();
        meeting->changed.notify_all();
        return next;
    }

    void close() noexcept override {
        const std::lock_guard lock{meeting->guard};
        meeting->closed = true;
        meeting->arrived.clear();
        meeting->changed.notify_all();
    }

private:
    friend class in_process;
    std::shared_ptr<detail::in_process_meeting> meeting{std::make_shared<detail::in_process_meeting>()};
};

inline in_process::in_process(const in_process_listener& to) : meeting{to.meeting} {}

} // namespace splitdsl::link
