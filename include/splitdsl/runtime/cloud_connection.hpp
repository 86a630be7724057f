// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_connection.hpp
/// One edge as the cloud sees it: handshake, requests in, replies out, everything bounded.
#pragma once

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/cloud_options.hpp>
#include <splitdsl/runtime/introduction.hpp>
#include <splitdsl/runtime/message_reader.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace splitdsl {

/// Sizes by the network's own type; nothing from the wire enlarges them.
struct message_sizes {
    std::vector<std::uint32_t> cuts{}; ///< of each cut's payload
    std::uint32_t input{};             ///< of a whole input, as it may travel
    std::size_t request{};             ///< the largest of them
    std::size_t reply{};               ///< a whole reply, header included
    std::uint32_t stream_packet{};     ///< the largest packet of a stream
    int streams{};                     ///< 0: none are taken
    link::frame_limits taken() const {
        return link::frame_limits::of_cloud(cuts, {.input_bytes = input, .codecs = 255, .exact_cuts = false, .stream_bytes = stream_packet, .streams = streams});
    }
};

class cloud_connection;

struct cloud_request {
    std::shared_ptr<cloud_connection> from{};
    int place{}; ///< of the payload among the connection's buffers
    link::frame_header head{};
    std::span<const std::byte> payload{};
    instant arrived{}, deadline{}; ///< last byte here; when an answer is of no use any more
    duration arrival{};            ///< first to last byte
    std::size_t first_bytes{};     ///< there at the first look

    int cut() const { return head.cut == link::whole_input ? -1 : head.cut; }
};

/// Who takes a connection's requests. Called on the connection's own thread.
class request_sink {
public:
    virtual void request_came(cloud_request r) = 0;
    virtual void payload_damaged() = 0;
    virtual void connection_over(ending why, std::uint64_t bytes_in, std::uint64_t bytes_out, std::uint64_t pings) = 0;

protected:
    ~request_sink() = default;
};

/// Its memory is allocated with it: the reader's and one for each request that may wait, all of the largest message it takes (a request of
/// its network, or the 64 kB of a probe if that is more), and the replies not yet sent. The reader gives a request its own memory
/// and goes on in another; nothing is copied.
class cloud_connection {
public:
    cloud_connection(std::unique_ptr<link::stream> s, link::handshake own, const message_sizes& m, duration handshake_time,
                     request_sink& to, cloud_stream_hooks* with_streams = nullptr)
        : stream{std::move(s)},
          me{std::move(own)},
          sizes{m},
          patience{handshake_time},
          sink{to},
          reader{sizes.taken()},
          streams{with_streams} {
        for (auto& p : places) p.store = aligned_buffer{reader.largest()};
        unsent.reserve(unsent_max());
        if (streams != nullptr) guest = streams->open();
    }
    cloud_connection(const cloud_connection&) = delete;
    cloud_connection& operator=(const cloud_connection&) = delete;
    ~cloud_connection() {
        stop();
        join();
        if (streams != nullptr) streams->close(guest);
    }
    /// Waits for the connection's thread. A request keeps its connection alive, so the last owner may be that very thread: then it has
    /// nothing left to do and is let go.
    void join() {
        if (!runner.joinable()) return;
        if (runner.get_id() == std::this_thread::get_id())
            runner.detach();
        else
            runner.join();
    }

    void start(std::shared_ptr<cloud_connection> self) {
        runner = std::thread{[this, keep = std::weak_ptr<cloud_connection>{self}] { run(keep); }};
    }
    void stop() noexcept {
        end(ending::shutdown);
        stream->shutdown();
    }
    bool over() const noexcept { return finished.load(std::memory_order_acquire); }
    /// The handshake is done.
    bool introduced() const noexcept { return known.load(std::memory_order_relaxed); }

    // ---- any thread -------------------------------------------------------------------------------------------------------
    /// Ends the connection for `why`; the first reason counts.
    void end(ending why) noexcept {
        int none = -1;
        reason.compare_exchange_strong(none, static_cast<int>(why), std::memory_order_relaxed);
        stream->shutdown();
    }
    void shed(const link::frame_header& asked, link::shed_reason why = link::shed_reason::no_time) {
        std::array<std::byte, link::header_bytes> m{};
        send(m, {.kind = link::message_kind::shed,
                 .cut = asked.cut,
                 .codec = static_cast<std::uint8_t>(why),
                 .epoch = asked.epoch,
                 .sequence = asked.sequence,
                 .stamp_us = asked.stamp_us});
    }
    /// Seals `message` (header and payload, exactly) and sends it; what the peer does not take now is kept, up to a bound, and flushed by
    /// the connection's thread.
    void send(std::span<std::byte> message, const link::frame_header& h) {
        link::seal(h, message);
        const std::lock_guard hold{write_mutex};
        std::span<const std::byte> rest = message;
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
    std::size_t unsent_max() const { return 4 * sizes.reply + 1024; }

    std::size_t write_some(std::span<const std::byte> from) {
        std::size_t done{};
        while (done < from.size()) {
            const auto io = stream->write(from.subspan(done));
            if (io.what != link::io_result::ok) break; // an ended stream is seen by the reader
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
            if (!known && clock() - began > patience)
                end(ending::no_handshake);
            else if (read_all(self))
                stream->wait(true, blocked.load(std::memory_order_acquire), std::chrono::milliseconds{200});
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

    /// Reads what is there; false once the connection is over. What a stream hook throws leaves its state unknown, so that its connection ends.
    bool read_all(const std::weak_ptr<cloud_connection>& self) try {
        while (reason.load(std::memory_order_relaxed) < 0) {
            const auto got = reader.next(*stream);
            if (got == message_reader::state::more) {
                if (guest == nullptr) return true;
                const auto burst = guest->read_out(*this);
                if (burst == cloud_stream_guest::burst::over) return true;
                if (burst == cloud_stream_guest::burst::lied) return end(ending::bad_payload), false;
                if (stream->wait(true, false, guest->gap())) continue;
                guest->burst_over(*this);
                return true;
            }
            if (got == message_reader::state::closed) return end(ending::peer_left), false;
            bytes_in += reader.bytes();
            const link::frame_header& h = reader.header();
            if (got == message_reader::state::broken) return end(ending_for(reader.fault())), false;
            if (got == message_reader::state::damaged) {
                sink.payload_damaged();
                if (!known) return end(ending::malformed), false;
                if (h.kind == link::message_kind::payload) shed(h); // the edge need not wait in vain
                if (h.kind == link::message_kind::stream) guest->damaged(h, reader.bytes());
            } else if (!take(h, self))
                return false;
        }
        return false;
    } catch (...) {
        return end(ending::failed), false;
    }

    bool take(const link::frame_header& h, const std::weak_ptr<cloud_connection>& self) {
        if (!known && h.kind != link::message_kind::hello) return end(ending::unexpected), false;
        switch (h.kind) {
        case link::message_kind::hello: return known ? (end(ending::unexpected), false) : welcome(h);
        case link::message_kind::ping: return answer_at_once(h, link::message_kind::pong);
        case link::message_kind::probe: return answer_at_once(h, link::message_kind::probe_ack);
        case link::message_kind::stop:
            if (guest != nullptr) guest->stop(h.sequence);
            return answer_at_once(h, link::message_kind::stop_ack);
        case link::message_kind::stream: return guest->packet(h, reader.payload(), reader.first()) || (end(ending::bad_payload), false);
        case link::message_kind::goodbye: return end(ending::peer_left), false;
        case link::message_kind::payload: break;
        default: return end(ending::unexpected), false;
        }
        int free = -1;
        for (std::size_t i = 0; i < places.size(); ++i)
            if (!places[i].taken.load(std::memory_order_acquire)) free = static_cast<int>(i);
        if (free < 0) return shed(h), true; // this edge has enough requests waiting
        auto& p = places[static_cast<std::size_t>(free)];
        p.taken.store(true, std::memory_order_relaxed);
        const auto payload = reader.give_away(p.store); // not copied: the reader goes on in what was the place's memory
        sink.request_came({.from = self.lock(),
                           .place = free,
                           .head = h,
                           .payload = payload,
                           .arrived = reader.last(),
                           .deadline = reader.first() + std::chrono::microseconds{h.budget_us},
                           .arrival = reader.arrival(),
                           .first_bytes = reader.first_bytes()});
        return true;
    }

    bool welcome(const link::frame_header& h) try {
        const std::string why = refusal(end_of_link::cloud, me, reader.payload());
        auto out = why.empty() ? introduction_of(me) : sentence_message(why);
        send(out,
             {.kind = why.empty() ? link::message_kind::hello_ack : link::message_kind::refuse, .epoch = h.epoch, .stamp_us = h.stamp_us});
        if (why.empty()) {
            known.store(true, std::memory_order_relaxed);
            return true;
        }
        stream->wait(true, false, std::chrono::milliseconds{100}); // let the sentence arrive before the end
        return end(ending::refused), false;
    } catch (const std::bad_alloc&) { // a handshake is read and written in new memory; all later messages have theirs
        return end(ending::no_resources), false;
    }
    bool answer_at_once(const link::frame_header& h, link::message_kind kind) {
        ++pings;
        std::array<std::byte, link::header_bytes> out{};
        send(out, {.kind = kind,
                   .epoch = h.epoch,
                   .sequence = h.sequence,
                   .stamp_us = h.stamp_us,
                   .service_us = link::wire_microseconds(clock() - reader.last()),
                   .arrival_us = link::wire_microseconds(reader.arrival()),
                   .first_bytes = static_cast<std::uint32_t>(reader.first_bytes())});
        return true;
    }
    static ending ending_for(link::frame_fault f) {
        switch (f) {
        case link::frame_fault::wrong_size:
        case link::frame_fault::too_large: return ending::wrong_size;
        case link::frame_fault::unexpected_kind: return ending::unexpected;
        case link::frame_fault::unknown_cut:
        case link::frame_fault::unknown_codec: return ending::unknown_cut;
        default: return ending::malformed;
        }
    }

    const std::unique_ptr<link::stream> stream;
    const link::handshake me;
    const message_sizes sizes;
    const duration patience;
    request_sink& sink;
    message_reader reader;
    std::array<payload_place, 3> places{};
    cloud_stream_hooks* const streams; // null: none
    cloud_stream_guest* guest{};
    std::atomic<bool> known{}; // written by its own thread
    std::uint64_t bytes_in{}, pings{};
    std::atomic<int> reason{-1}; // an `ending` once over
    std::atomic<bool> finished{}, blocked{};

    std::mutex write_mutex;
    std::vector<std::byte> unsent;
    std::uint64_t bytes_out{};
    std::thread runner;
};

} // namespace splitdsl
