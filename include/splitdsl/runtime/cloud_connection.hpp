// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_connection.hpp
/// One edge as the cloud sees it: handshake, requests in, replies out, everything bounded.
#pragma once

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/cloud_options.hpp>
#include <splitdsl/runtime/wire.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace splitdsl {

/// Sizes by the network's own type; nothing from the wire enlarges them.
struct message_limits {
    std::size_t request{};              ///< the largest payload read at all
    std::size_t input{};                ///< of a whole input
    std::vector<std::size_t> cuts{};    ///< of each cut
    std::size_t reply{};                ///< a whole reply, header included
};

class cloud_connection;

struct cloud_request {
    std::shared_ptr<cloud_connection> from{};
    int place{};                            ///< of the payload among the connection's buffers
    wire::fields head{};
    std::span<const std::byte> payload{};
    instant arrived{}, deadline{};
    std::size_t at_first{};
    duration spread{};
};

/// Who takes a connection's requests. Called on the connection's own thread.
class request_sink {
public:
    virtual void request_came(cloud_request r) = 0;
    virtual void connection_over(ending why, std::uint64_t bytes_in, std::uint64_t bytes_out, std::uint64_t pings) = 0;

protected:
    ~request_sink() = default;
};

class cloud_connection {
public:
    cloud_connection(std::unique_ptr<link::stream> s, wire::peer_identity own, const message_limits& m, duration handshake_time, request_sink& to)
        : stream{std::move(s)}, me{std::move(own)}, limits{m}, patience{handshake_time}, sink{to}, reader{m.request} {
        for (auto& p : places) p.store = aligned_buffer{limits.request};
        unsent.reserve(unsent_max());
    }
    cloud_connection(const cloud_connection&) = delete;
    cloud_connection& operator=(const cloud_connection&) = delete;
    ~cloud_connection() {
        stop();
        if (runner.joinable()) {
            if (runner.get_id() == std::this_thread::get_id()) runner.detach();     // the last request ran here
            else runner.join();
        }
    }

    void start(std::shared_ptr<cloud_connection> self) {
        runner = std::thread{[this, keep = std::weak_ptr<cloud_connection>{self}] { run(keep); }};
    }
    void stop() noexcept {
        end(ending::shutdown);
        stream->shutdown();
    }
    bool over() const noexcept { return finished.load(std::memory_order_acquire); }

    // ---- any thread -------------------------------------------------------------------------------------------------------
    /// Ends the connection for `why`; the first reason counts.
    void end(ending why) noexcept {
        int none = -1;
        reason.compare_exchange_strong(none, static_cast<int>(why), std::memory_order_relaxed);
        stream->shutdown();
    }
    void shed(const wire::fields& asked) {
        std::array<std::byte, wire::header_bytes> m{};
        send(m, {.what = wire::kind::shed, .cut = asked.cut, .sequence = asked.sequence, .epoch = asked.epoch});
    }
    /// Seals and sends; what the peer does not take now is kept, up to a bound, and flushed by the connection's thread.
    void send(std::span<std::byte> message, const wire::fields& f) {
        const std::size_t size = wire::seal(message, f);
        const std::lock_guard hold{write_mutex};
        std::span<const std::byte> rest = message.first(size);
        if (unsent.empty()) rest = rest.subspan(write_some(rest));
        if (rest.empty()) return;
        if (unsent.size() + rest.size() > unsent_max()) return end(ending::too_slow);
        unsent.insert(unsent.end(), rest.begin(), rest.end());
        blocked.store(true, std::memory_order_release);
        stream->wake();
    }
    void free_place(int which) noexcept { places[static_cast<std::size_t>(which)].taken.store(false, std::memory_order_release); }

private:
    struct payload_place {
        aligned_buffer store{};
        std::atomic<bool> taken{};
    };
    static instant clock() { return std::chrono::steady_clock::now(); }
    std::size_t unsent_max() const { return 4 * limits.reply + 1024; }

    std::size_t write_some(std::span<const std::byte> from) {
        std::size_t done{};
        while (done < from.size()) {
            const auto io = stream->write(from.subspan(done));
            if (io.what != link::io_result::ok) break;      // an ended stream is seen by the reader
            done += io.bytes;
        }
        bytes_out += done;
        return done;
    }
    void flush() {
        const std::lock_guard hold{write_mutex};
        unsent.erase(unsent.begin(), unsent.begin() + static_cast<std::ptrdiff_t>(write_some(unsent)));
        blocked.store(!unsent.empty(), std::memory_order_release);
    }

    void run(const std::weak_ptr<cloud_connection>& self) {
        ::pthread_setname_np(::pthread_self(), "sd-cloud");
        const instant began = clock();
        while (reason.load(std::memory_order_relaxed) < 0) {
            if (!known && clock() - began > patience) end(ending::no_handshake);
            else if (read_all(self)) stream->wait(true, blocked.load(std::memory_order_acquire), std::chrono::milliseconds{200});
            if (blocked.load(std::memory_order_acquire)) flush();
        }
        std::uint64_t out{};
        {
            const std::lock_guard hold{write_mutex};
            out = bytes_out;
        }
        sink.connection_over(static_cast<ending>(reason.load(std::memory_order_relaxed)), bytes_in, out, pings);
        finished.store(true, std::memory_order_release);
    }

    /// Reads what is there; false once the connection is over.
    bool read_all(const std::weak_ptr<cloud_connection>& self) {
        while (reason.load(std::memory_order_relaxed) < 0) {
            wire::message m{};
            switch (reader.next(*stream, clock(), m)) {
            case wire::reader::state::more: return true;
            case wire::reader::state::closed: return end(ending::peer_left), false;
            case wire::reader::state::malformed: return end(ending::malformed), false;
            case wire::reader::state::wrong_size: return end(ending::wrong_size), false;
            case wire::reader::state::message: break;
            }
            bytes_in += m.transfer.bytes;
            if (!m.crc_ok) return end(ending::wrong_checksum), false;
            if (!take(m, self)) return false;
        }
        return false;
    }

    bool take(const wire::message& m, const std::weak_ptr<cloud_connection>& self) {
        if (!known) {
            if (m.what != wire::kind::hello) return end(ending::unexpected), false;
            return welcome(m);
        }
        if (m.what == wire::kind::ping) return pong(m), true;
        if (m.what != wire::kind::request) return end(ending::unexpected), false;
        if (m.cut < -1 || m.cut >= static_cast<int>(limits.cuts.size())) return end(ending::unknown_cut), false;
        if (m.payload.size() > (m.cut < 0 ? limits.input : limits.cuts[static_cast<std::size_t>(m.cut)])) return end(ending::wrong_size), false;
        int free = -1;
        for (std::size_t i = 0; i < places.size(); ++i)
            if (!places[i].taken.load(std::memory_order_acquire)) free = static_cast<int>(i);
        if (free < 0) return shed(m), true;                 // this edge has enough requests waiting
        auto& p = places[static_cast<std::size_t>(free)];
        p.taken.store(true, std::memory_order_relaxed);
        std::memcpy(p.store.data(), m.payload.data(), m.payload.size());
        sink.request_came({.from = self.lock(), .place = free, .head = m, .payload = p.store.bytes().first(m.payload.size()), .arrived = m.last,
                           .deadline = m.first + std::clamp<duration>(m.budget, duration{}, std::chrono::minutes{10}),
                           .at_first = m.transfer.at_first, .spread = m.transfer.spread});
        return true;
    }

    bool welcome(const wire::message& m) {
        const std::string difference = wire::difference(m.payload, me);
        std::array<std::byte, wire::header_bytes + 512> out{};
        const std::size_t size = std::min<std::size_t>(difference.size(), 512);
        std::memcpy(out.data() + wire::header_bytes, difference.data(), size);
        send(out, {.what = difference.empty() ? wire::kind::welcome : wire::kind::refused, .epoch = m.epoch, .payload_bytes = size});
        if (!difference.empty()) {
            stream->wait(true, false, std::chrono::milliseconds{100});      // let the sentence arrive before the end
            return end(ending::refused), false;
        }
        return known = true;
    }
    void pong(const wire::message& m) {
        ++pings;
        std::array<std::byte, wire::header_bytes + wire::reply_meta_bytes> out{};
        wire::write_meta(std::span{out}.subspan(wire::header_bytes), {.at_first = m.transfer.at_first, .spread = m.transfer.spread, .service = clock() - m.last});
        send(out, {.what = wire::kind::pong, .sequence = m.sequence, .epoch = m.epoch, .payload_bytes = wire::reply_meta_bytes});
    }

    const std::unique_ptr<link::stream> stream;
    const wire::peer_identity me;
    const message_limits limits;
    const duration patience;
    request_sink& sink;
    wire::reader reader;
    std::array<payload_place, 3> places{};
    bool known{};                                           // the handshake is done
    std::uint64_t bytes_in{}, pings{};
    std::atomic<int> reason{-1};                            // an `ending` once over
    std::atomic<bool> finished{}, blocked{};

    std::mutex write_mutex;
    std::vector<std::byte> unsent;
    std::uint64_t bytes_out{};
    std::thread runner;
};

} // namespace splitdsl
