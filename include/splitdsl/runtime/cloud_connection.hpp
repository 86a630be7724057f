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
#include <splitdsl/runtime/request_queue.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
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
    std::size_t tenant() const noexcept;
};

/// What all connections carried so far, those that live included.
struct connection_traffic {
    std::atomic<std::uint64_t> bytes_in{}, bytes_out{}, pings{};
};

/// Who takes a connection's requests. Called on the connection's own thread.
class request_sink {
public:
    /// Empty: the edge with this token is let in, as one of `tenant`'s, until `left`. Else why not.
    virtual std::string admit(std::string_view token, std::size_t& tenant) = 0;
    virtual void left(std::size_t tenant) = 0;
    virtual void request_came(cloud_request r) = 0;
    virtual void no_place() = 0; ///< for a request: its connection has as many waiting as it may
    virtual void payload_damaged() = 0;
    virtual void connection_over(ending why) = 0;
    connection_traffic traffic{}; ///< counted here by the connections themselves

protected:
    ~request_sink() = default;
};

/// Its memory is allocated once its handshake fits, before the hello_ack: the reader's and one for each request that may wait, all of the largest message it
/// takes (a request of its network, or the 64 kB of a probe if that is more), and the replies not yet sent. Until then it has the 16 kB of a
/// handshake. The reader gives a request its own memory and goes on in another; nothing is copied.
class cloud_connection {
public:
    cloud_connection(std::unique_ptr<link::stream> s, link::handshake own, const message_sizes& m, const cloud_options& o, request_sink& to)
        : stream{std::move(s)}, me{std::move(own)}, sizes{m}, options{o}, sink{to}, reader{sizes.taken(), link::largest_handshake}, streams{o.streams}, wipes{!o.tenants.empty()} {}
    cloud_connection(const cloud_connection&) = delete;
    cloud_connection& operator=(const cloud_connection&) = delete;
    ~cloud_connection() {
        stop();
        join();
        if (guest != nullptr) streams->close(guest);
        if (!wipes) return;
        for (const auto& p : places) detail::wipe(p.store.data(), p.store.size());
        detail::wipe(reader.memory().data(), reader.memory().size());
        unsent.resize(unsent.capacity()); // sent replies lie behind its end
        detail::wipe(unsent.data(), unsent.size());
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
    /// Since when nothing came; not while its thread computes, for then nobody reads.
    duration silent_for(instant now) const noexcept {
        return computing.load(std::memory_order_acquire) ? duration{} : now - instant{duration{heard.load(std::memory_order_relaxed)}};
    }

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
    /// Where it stands in the queue, whose alone it is.
    queue_turn& turn() noexcept { return place_in_queue; }
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
        sink.traffic.bytes_out.fetch_add(done, std::memory_order_relaxed);
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
            if (!known && clock() - began > options.handshake_timeout)
                end(ending::no_handshake);
            else if (read_all(self)) {
                if (known && options.idle_limit > duration{} && silent_for(clock()) > options.idle_limit) end(ending::silent);
                else stream->wait(true, blocked.load(std::memory_order_acquire), std::chrono::milliseconds{200});
            }
            if (blocked.load(std::memory_order_acquire)) flush();
        }
        if (admitted) sink.left(place_in_queue.tenant);
        sink.connection_over(static_cast<ending>(reason.load(std::memory_order_relaxed)));
        finished.store(true, std::memory_order_release);
    }

    /// Reads what is there; false once the connection is over. What a stream hook throws leaves its state unknown, so that its connection ends.
    bool read_all(const std::weak_ptr<cloud_connection>& self) try {
        while (reason.load(std::memory_order_relaxed) < 0) {
            const auto got = reader.next(*stream);
            hear(reader.last());
            if (got == message_reader::state::more) {
                if (options.arrival_limit > duration{} && reader.is_midway() && clock() - reader.first() > options.arrival_limit) return end(ending::too_long), false;
                if (guest == nullptr) return true;
                const auto burst = guest->read_out(*this);
                if (burst == cloud_stream_guest::burst::over) return true;
                if (burst == cloud_stream_guest::burst::lied) return end(ending::bad_payload), false;
                if (stream->wait(true, false, guest->gap())) continue;
                guest->burst_over(*this);
                return true;
            }
            if (got == message_reader::state::closed) return end(ending::peer_left), false;
            sink.traffic.bytes_in.fetch_add(reader.bytes(), std::memory_order_relaxed);
            const link::frame_header& h = reader.header();
            if (got == message_reader::state::broken) return end(ending_for(reader.fault())), false;
            if (got == message_reader::state::damaged) {
                sink.payload_damaged();
                if (!known) return end(ending::malformed), false;
                if (h.kind == link::message_kind::payload) shed(h, link::shed_reason::damaged); // the edge need not wait in vain
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
        if (free < 0) return sink.no_place(), shed(h), true; // this edge has enough requests waiting
        auto& p = places[static_cast<std::size_t>(free)];
        p.taken.store(true, std::memory_order_relaxed);
        const auto payload = reader.give_away(p.store); // not copied: the reader goes on in what was the place's memory
        computing.store(true, std::memory_order_relaxed);
        sink.request_came({.from = self.lock(),
                           .place = free,
                           .head = h,
                           .payload = payload,
                           .arrived = reader.last(),
                           .deadline = reader.first() + std::chrono::microseconds{h.budget_us},
                           .arrival = reader.arrival(),
                           .first_bytes = reader.first_bytes()});
        hear(clock());
        computing.store(false, std::memory_order_release);
        return true;
    }
    void hear(instant at) noexcept {
        if (const std::int64_t ns = at.time_since_epoch().count(); ns > heard.load(std::memory_order_relaxed)) heard.store(ns, std::memory_order_relaxed);
    }

    bool welcome(const link::frame_header& h) try {
        const std::string why = judge(reader.payload());
        detail::wipe(reader.memory().data(), reader.payload().size()); // of the token
        auto out = why.empty() ? introduction_of(me) : sentence_message(why);
        if (why.empty()) {
            take_memory();
            known.store(true, std::memory_order_relaxed); // before the message that says so: who has read it is let stay
        }
        send(out,
             {.kind = why.empty() ? link::message_kind::hello_ack : link::message_kind::refuse, .epoch = h.epoch, .stamp_us = h.stamp_us});
        if (why.empty()) return true;
        stream->wait(true, false, std::chrono::milliseconds{100}); // let the sentence arrive before the end
        return end(ending::refused), false;
    } catch (...) { // a handshake is read and written in new memory, all later messages have theirs; and a stream hook's `open` may have none for a newcomer
        return end(ending::no_resources), false;
    }
    /// Why the edge may not stay. Who is not let in learns nothing of the network.
    std::string judge(std::span<const std::byte> hello) {
        try {
            link::handshake them = link::decode_handshake(hello);
            std::string why = sink.admit(them.tenant, place_in_queue.tenant);
            admitted = why.empty();
            detail::wipe(them.tenant.data(), them.tenant.size());
            return admitted ? link::compare(them, me).refusal : why;
        } catch (const error& e) { return std::string{"from the edge: "} + e.what(); }
    }
    /// Who does not fit, or says nothing, has none of it.
    void take_memory() {
        reader.grow();
        for (auto& p : places) p.store = aligned_buffer{reader.largest()};
        if (streams != nullptr) guest = streams->open();
        const std::lock_guard hold{write_mutex};
        unsent.reserve(unsent_max());
    }
    bool answer_at_once(const link::frame_header& h, link::message_kind kind) {
        sink.traffic.pings.fetch_add(1, std::memory_order_relaxed); // before the answer: who has read it finds it counted
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
    const cloud_options& options;
    request_sink& sink;
    message_reader reader;
    std::array<payload_place, 3> places{};
    cloud_stream_hooks* const streams; // null: none
    cloud_stream_guest* guest{};       // null before the handshake, too
    std::atomic<bool> known{}; // written by its own thread
    std::atomic<int> reason{-1}; // an `ending` once over
    std::atomic<bool> finished{}, blocked{}, computing{};
    std::atomic<std::int64_t> heard{clock().time_since_epoch().count()};

    queue_turn place_in_queue{};
    bool admitted{};  // its own thread's
    const bool wipes; // its memory, at the end: other tenants' may lie there next

    std::mutex write_mutex;
    std::vector<std::byte> unsent;
    std::thread runner;
};

inline std::size_t cloud_request::tenant() const noexcept { return from->turn().tenant; }

} // namespace splitdsl
