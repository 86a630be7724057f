// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file session.hpp
/// The edge's connection: kept by a thread of its own, sent and listened to by the compute thread while a frame waits.
#pragma once

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/asked_payload.hpp>
#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/futex.hpp>
#include <splitdsl/runtime/introduction.hpp>
#include <splitdsl/runtime/link_picture.hpp>
#include <splitdsl/runtime/message_reader.hpp>
#include <splitdsl/runtime/outbox.hpp>
#include <splitdsl/runtime/reply_ring.hpp>
#include <splitdsl/runtime/retry_pause.hpp>
#include <splitdsl/runtime/session_setup.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>
#include <splitdsl/runtime/threads.hpp>
#include <splitdsl/runtime/told_picture.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace splitdsl {

/// One connection after another to the same peer.
///
/// `status` to `pop_reply` belong to the compute thread: no lock, no allocation, and only `listen` waits, until an instant it is given.
/// Connecting and the handshake are the link thread's.
///
/// Who reads: one thread at a time holds the *reading side* (the stream's reads and waits, the picture, the counts, the pings). The link
/// thread holds it while there is no connection, and whenever something is to come that no frame waits for (a pong, a late reply, room
/// for the rest of a payload); else it lays it down and naps. A frame that waits picks it up, so its reply wakes the compute thread and no
/// other one first. Neither waits for the other: whoever does not get it goes by a bell. A stream is closed by the link thread only,
/// holding the reading side, so never under a reader.
class session {
public:
    using place = std::unique_ptr<link::connector>;

    session(place where, session_setup s, bell& compute)
        : connector{std::move(where)},
          setup{std::move(s)},
          work{compute},
          box{link::header_bytes + setup.payload_max, link::header_bytes + setup.options.probe_bytes, setup.streams},
          replies{setup.output_floats},
          reader{link::frame_limits::of_edge(static_cast<std::uint32_t>(setup.output_floats * sizeof(float)), setup.streams ? setup.streams->streams() : 0)},
          epoch_base{static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count() >> 10) | 1U} {
        runner = detail::start_thread<&session::run>(this);
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    /// The compute thread has ended.
    ~session() {
        quit();
        wake();
        runner.join();
    }

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    link_status status() const noexcept {
        const auto s = state.load(std::memory_order_acquire);
        return {(s & 1U) != 0, s >> 1};
    }
    link_view view(instant now) const noexcept {
        link_view l = told.view(now);
        l.up = status().up;
        l.busy = box.busy() || (setup.streams != nullptr && setup.streams->wants());
        if (asked.is_open()) l.rate_up = link_picture::at_most(l.rate_up, asked.bytes(), now - asked.at() - l.rtt);
        return l;
    }
    /// Where to put the next payload; only while the view is not busy.
    std::span<std::byte> payload_room() noexcept { return box.message().subspan(link::header_bytes); }

    struct sending {
        std::uint32_t sequence{};
        int cut{};
        int codec{};
        std::size_t bytes{}; ///< of the payload in `payload_room`
        duration left{};     ///< until an answer is of no use
        duration kept{};     ///< of it, for the local tail: until then the answer is awaited
    };
    struct sent {
        bool taken{};
        std::uint32_t epoch{};
        std::size_t bytes{}; ///< header included
        int server{};        ///< which of several (runtime/servers.hpp)
    };
    sent send(const sending& p, instant now) noexcept {
        const std::uint32_t e = epoch.load(std::memory_order_acquire);
        if (e == 0 || box.busy() || p.bytes > setup.payload_max) return {};
        const std::size_t total = link::seal({.kind = link::message_kind::payload,
                                              .cut = p.cut < 0 ? link::whole_input : static_cast<std::uint8_t>(p.cut),
                                              .codec = static_cast<std::uint8_t>(std::max(p.codec, 0)),
                                              .epoch = e,
                                              .sequence = p.sequence,
                                              .budget_us = link::wire_microseconds(p.left),
                                              .stamp_us = wire_stamp(now),
                                              .service_us = link::wire_microseconds(p.kept + way())},
                                             box.message().first(link::header_bytes + p.bytes));
        asked.ask(p.sequence, total, now);
        if (!box.post(total, now)) {
            asked.close(p.sequence); // nothing is awaited
            pause.ring();            // the link thread finds the stream ended
            return {};
        }
        return {.taken = true, .epoch = e, .bytes = total};
    }
    /// Waits at the connection itself for a frame's reply, and keeps the link meanwhile: returns when something was read, at `until`, and
    /// now and then without a reason. Rings of the compute thread's bell newer than `heard` end it too, if `wake` follows them. False:
    /// the link thread reads; wait for the bell.
    bool listen(std::uint32_t heard, instant until) noexcept {
        if (!pick_up()) {
            pause.ring(); // should it be about to lay the reading side down, it looks again what is awaited
            return false;
        }
        const bool open = !over;
        if (open && work.now() == heard) {
            const instant now = clock();
            listened.fetch_add(1, std::memory_order_relaxed);
            stream->wait(true, box.blocked(), std::min<duration>(until - now, pause_at_most()));
            const auto before = counts.bytes_down;
            over = !read(1); // one message: what it says comes before what follows it, and before the link's own affairs
            if (!over && counts.bytes_down == before) over = !keep_alive(clock()) || !box.flush();
            publish();
        }
        pong_awaited = ping_open;
        lay_down();
        return open;
    }
    /// Before a frame decides: reads what came since the link thread's last look, which naps while nothing is awaited.
    void look() noexcept {
        if (!pick_up()) return;
        const auto before = counts.bytes_down;
        over = over || !read(1);
        if (counts.bytes_down != before) publish();
        lay_down();
    }
    /// The frame does not wait, or no longer: what is still to come is the link thread's.
    void leave() noexcept {
        if (asked.is_open() || box.busy() || pong_awaited) pause.ring();
        pong_awaited = false;
    }
    /// Which connection this is; 0: none.
    std::uint32_t connection() const noexcept { return epoch.load(std::memory_order_acquire); }
    /// Packets of a stream are there, or what was unsent is dropped: the link thread writes.
    void streams_changed() noexcept {
        pause.ring();
        box.nudge();
    }
    const incoming_reply* oldest_reply() const noexcept { return replies.oldest(); }
    void pop_reply() noexcept { replies.pop(); }

    // ---- any thread -------------------------------------------------------------------------------------------------------
    /// Ends a wait at the connection that runs now, or else the next one. Not for the frame path: may wait for whoever writes.
    void wake() noexcept { box.wake(); }
    /// No further attempt to connect, and the connection ends: of several sessions that end, all before the first destructor waits for its attempt.
    void quit() noexcept {
        stopping.store(true, std::memory_order_release);
        pause.ring();
        const std::lock_guard hold{greeting_mutex};
        if (greeting != nullptr) greeting->shutdown();
    }
    /// How often `listen` waited.
    std::uint64_t times_listened() const noexcept { return listened.load(std::memory_order_relaxed); }
    link_counters counters() const noexcept { return shared_counts.load(); }
    /// Why the link is not up; for people. Empty while it is. Not for the frame path: locks.
    std::string last_failure() const {
        if (status().up) return {};
        const std::lock_guard hold{failure_mutex};
        return failure;
    }

private:
    static constexpr std::uint32_t most_tiers = 255; // whatever the wire says
    static instant clock() { return std::chrono::steady_clock::now(); }
    duration way() const noexcept { return told.way(link::header_bytes + setup.output_floats * sizeof(float)); }

    void run() {
        detail::enter_thread("sd-link", {.processors = setup.threads.processors});
        detail::retry_pause retry{setup.options.first_retry, setup.options.longest_retry, setup.options.retry_seed};
        while (!stopping.load(std::memory_order_acquire)) {
            const bool connected = connect();
            const instant since = clock();
            if (connected) {
                serve();
                disconnect();
            } else
                ++counts.connect_failures;
            publish();
            if (connected && clock() - since >= setup.options.longest_retry) { // the next one is tried at once
                retry.restart();
                continue;
            }
            // No connection, or one that did not last: a peer that ends each behind its handshake is not to be asked as fast as it can be.
            const instant again = clock() + retry.next(); // the reading side stays with this thread
            for (auto heard = pause.now(); !stopping.load(std::memory_order_acquire) && clock() < again; heard = pause.now()) pause.wait(heard, again);
        }
        disconnect();
    }

    bool connect() {
        try {
            stream = connector->connect(setup.options.connect_timeout);
            if (!stream) return failed("no connection within the time");
            if (++connections == 0) connections = 1;
            std::uint32_t e = epoch_base + connections;
            if (e == 0) e = epoch_base + ++connections;
            std::string why;
            const auto shaken = greet(e, why);
            counts.bytes_up += shaken.bytes_up;
            counts.bytes_down += shaken.bytes_down;
            if (!shaken.accepted) {
                stream.reset();
                return failed(why);
            }
            reader.restart();
            over = false;
            heard_at = clock();
            pinged_at = payload_seen_at = heard_at - std::max(setup.options.ping_interval, setup.options.probe_interval); // ask at once
            ping_open = probed = false;
            ++counts.connects;
            box.open(stream.get());
            failed("the connection was lost, or the other side is silent"); // what it is, should it not be up from here on
            epoch.store(e, std::memory_order_release);
            set_up(true);
            return true;
        } catch (const std::exception& e) { // memory too may be short: the frames are answered here meanwhile
            stream.reset();
            return failed(e.what());
        } catch (...) {
            stream.reset();
            return failed("the connector threw what is no std::exception");
        }
    }
    /// The handshake, which `quit` ends.
    introduced greet(std::uint32_t e, std::string& why) {
        const auto meet = [this](link::stream* s) {
            const std::lock_guard hold{greeting_mutex};
            greeting = stopping.load(std::memory_order_acquire) ? nullptr : s;
            return greeting != nullptr;
        };
        if (!meet(stream.get())) return why = "the edge ends", introduced{};
        struct parting {
            decltype(meet)& say;
            ~parting() { say(nullptr); }
        } const behind{meet};
        return introduce(*stream, setup.identity, e, clock() + setup.options.connect_timeout, why);
    }
    bool failed(std::string_view why) noexcept {
        const std::lock_guard hold{failure_mutex};
        try {
            failure.assign(why);
        } catch (const std::bad_alloc&) { // memory may be what was short: then the sentence is the one before
        }
        return false;
    }
    void disconnect() {
        if (!stream) return;
        epoch.store(0, std::memory_order_release);
        set_up(false);
        box.close(); // from here on the compute thread does not touch the stream
        asked.close(asked.sequence());
        stream->shutdown();
        stream.reset();
        ++counts.disconnects;
        work.ring();
    }
    void set_up(bool up) noexcept {
        const auto before = state.load(std::memory_order_relaxed);
        if ((before & 1U) == (up ? 1U : 0U)) return;
        state.store(up ? (((before >> 1) + 1) << 1) | 1U : before & ~1U, std::memory_order_release);
        work.ring();
    }

    // ---- the reading side -------------------------------------------------------------------------------------------------
    bool pick_up() noexcept { return !reading.exchange(true, std::memory_order_acquire); }
    void lay_down() noexcept {
        const bool ended = over;
        if (ended) { // the link thread closes it; nobody sends on it or waits for it any more
            epoch.store(0, std::memory_order_release);
            set_up(false);
        }
        reading.store(false, std::memory_order_release);
        if (ended) pause.ring();
    }

    /// Link thread: until the connection is over. Holds the reading side before and after.
    void serve() {
        while (!stopping.load(std::memory_order_acquire)) {
            const auto heard = pause.now();
            if (over || !read(64) || !keep_alive(clock()) || !box.flush()) return;
            publish();
            const duration quiet = pause_at_most();
            if (ping_open || asked.is_open() || box.blocked() || (setup.streams != nullptr && setup.streams->active())) {
                stream->wait(true, box.blocked(), quiet);
                continue;
            }
            lay_down();
            pause.wait(heard, clock() + quiet);
            for (auto again = pause.now(); !pick_up(); again = pause.now()) pause.wait(again, clock() + quiet); // a frame waits there
        }
    }
    /// How long the link may go without a look.
    duration nap() const noexcept {
        return std::clamp<duration>(ping_pause() / 4, std::chrono::milliseconds{1}, std::chrono::milliseconds{50});
    }
    /// And how long a wait for it may last: streams may wait for the radio's next event.
    duration pause_at_most() const noexcept { return setup.streams != nullptr ? std::min(nap(), setup.streams->until_event()) : nap(); }
    /// At most so many messages. False: the connection is over.
    bool read(int messages) noexcept {
        while (messages > 0) {
            switch (reader.next(*stream)) {
            case message_reader::state::more: return true;
            case message_reader::state::closed: return false;
            case message_reader::state::message:
                --messages;
                if (take()) break;
                ++counts.protocol_errors;
                return false;
            case message_reader::state::damaged:
                --messages;
                counts.bytes_down += reader.bytes();
                if (reader.header().kind == link::message_kind::reply) hand_on({.crc_ok = false}, {});
                break;
            case message_reader::state::broken:
                ++counts.protocol_errors;
                if (reader.fault() == link::frame_fault::too_large || reader.fault() == link::frame_fault::wrong_size)
                    hand_on({.size_ok = false}, {});
                return false;
            }
        }
        return true;
    }

    /// False: the other side says goodbye, or something that has no place here.
    bool take() noexcept {
        const link::frame_header& h = reader.header();
        const instant now = reader.last();
        counts.bytes_down += reader.bytes();
        heard_at = now;
        if (!status().up) picture.silence_ended(now);
        set_up(true);
        const duration service = std::chrono::microseconds{h.service_us};
        switch (h.kind) {
        case link::message_kind::pong:
        case link::message_kind::probe_ack:
            if (!ping_open || h.sequence != ping_sequence) return true;
            ping_open = false;
            ++counts.pongs;
            if (h.kind == link::message_kind::pong)
                picture.ponged(now, pinged_at, service);
            else
                picture.answered(now, pinged_at, seen(ping_bytes, h), service);
            // The last payload got there before: if it has no answer, the cloud is slow, not the link.
            if (pinged_at > asked.at()) asked.close(asked_before_ping);
            return true;
        case link::message_kind::reply:
        case link::message_kind::shed: {
            const bool newest = h.sequence == asked.sequence();
            const bool shed = h.kind == link::message_kind::shed;
            asked.close(h.sequence);
            if (newest && !shed) // a shed message does not say how long its request stood in the cloud's queue, which is not the link's
                picture.answered(now, from_wire_stamp(h.stamp_us, now), seen(asked.bytes(), h), service, reader.arrival());
            picture.received(now, {.bytes = reader.bytes(), .at_first = reader.first_bytes(), .spread = reader.arrival()});
            const auto because = [&](link::shed_reason r) { return shed && h.codec == static_cast<std::uint8_t>(r); };
            hand_on({.shed = shed, .failed = because(link::shed_reason::failed), .damaged = because(link::shed_reason::damaged),
                     .tier = shed ? 0 : static_cast<int>(std::min(h.budget_us, most_tiers)), .service = service}, reader.payload());
            return true;
        }
        case link::message_kind::exit_reply:
            if (reader.payload().size() != setup.streams->answer_floats(h.cut) * sizeof(float)) return false;
            hand_on({.exit = h.cut, .sizes = h.codec}, reader.payload());
            return true;
        case link::message_kind::stream_ack: // these come only where streams are taken
        case link::message_kind::stop_ack:
            if (setup.streams != nullptr) {
                picture.estimator().up.observe(now, setup.streams->heard(h, now)); // not of 0
                work.ring();
            }
            return true;
        default: return false;
        }
    }
    static link::received_transfer seen(std::size_t size, const link::frame_header& h) {
        return {.bytes = size, .at_first = h.first_bytes, .spread = std::chrono::microseconds{h.arrival_us}};
    }
    void hand_on(reply_facts f, std::span<const std::byte> values) noexcept {
        f.sequence = reader.header().sequence;
        f.epoch = reader.header().epoch;
        if (!replies.push(f, values)) ++counts.dropped_replies;
        work.ring();
    }

    /// Pings, probes, silence, stuck payloads. False: reset the connection.
    bool keep_alive(instant now) noexcept {
        if (box.busy() && now - box.posted_at() > setup.options.stuck) {
            ++counts.stuck_resets;
            return false;
        }
        bool open = asked.is_open();
        instant asked_when = asked.at();
        if (setup.streams != nullptr) {
            open = open || setup.streams->unacknowledged();
            asked_when = std::max(asked_when, setup.streams->last_written()); // a link that streams needs no rate probes
        }
        const instant question = std::max(heard_at, ping_open ? pinged_at : open ? asked_when : now);
        if ((ping_open || open) && now - question > setup.options.silence && (state.load(std::memory_order_relaxed) & 1U) != 0) {
            ++counts.silences;
            set_up(false);
        }
        if ((ping_open || open) && now - question > setup.options.dead) return false;
        // Between frames only: a ping behind a payload would measure the payload. Where the radio tells what pings would, they ask no more
        // than whether anybody is there, so that a link on which something was heard needs none.
        const instant quiet_since = setup.streams != nullptr && setup.streams->has_events() ? std::max(pinged_at, heard_at) : pinged_at;
        if (ping_open || box.busy() || (open && now - asked_when < setup.options.silence) || now - quiet_since < ping_pause()) return true;
        // Never two in a row: only a ping measures the round trip.
        const bool probe = setup.options.probe_bytes > 0 && !probed && picture.estimator().rtt.known()
                           && now - std::max(asked_when, payload_seen_at) >= setup.options.probe_interval;
        if (probe) payload_seen_at = now;
        ping_bytes = link::header_bytes + (probe ? setup.options.probe_bytes : 0);
        asked_before_ping = asked.sequence();
        const bool written = box.post_control([&](std::span<std::byte> room) {
            return link::seal({.kind = probe ? link::message_kind::probe : link::message_kind::ping,
                               .epoch = epoch.load(std::memory_order_relaxed),
                               .sequence = ++ping_sequence,
                               .stamp_us = wire_stamp(now)},
                              room.first(ping_bytes));
        });
        if (!written) return true;
        ping_open = true;
        probed = probe;
        pinged_at = clock();
        ++(probe ? counts.probes : counts.pings);
        counts.probe_bytes_up += ping_bytes;
        return true;
    }

    /// A link of which nothing is known yet is asked quickly: round trip first, then rate.
    duration ping_pause() const noexcept {
        // Where no rate is ever asked for, the round trip is all there is to know.
        const bool known = setup.options.probe_bytes > 0 ? picture.rate_known() : picture.estimator().rtt.known();
        return known                ? setup.options.ping_interval
                                    : std::min<duration>(setup.options.ping_interval, std::chrono::milliseconds{5});
    }

    void publish() noexcept {
        const instant now = clock();
        told.tell(picture.view(now), now);
        auto c = counts;
        c.bytes_up += box.bytes_written();
        shared_counts.store(c);
    }

    std::unique_ptr<link::connector> connector;
    const session_setup setup;
    bell& work;
    bell pause;
    outbox box;
    reply_ring replies;

    std::atomic<std::uint32_t> state{}; // times up << 1 | up
    std::atomic<std::uint32_t> epoch{}; // 0: no connection
    detail::asked_payload asked;
    std::atomic<bool> stopping{};
    detail::told_picture told;
    shared_counters<link_counters> shared_counts;

    std::atomic<bool> reading{true}; // somebody holds the reading side; the link thread begins
    std::atomic<std::uint64_t> listened{};
    bool pong_awaited{}; // compute thread's: when it last laid the reading side down

    std::unique_ptr<link::stream> stream; // the reading side's from here
    message_reader reader;
    link_picture picture{};
    link_counters counts{};
    std::uint32_t epoch_base;
    std::uint32_t connections{}, ping_sequence{}, asked_before_ping{};
    std::size_t ping_bytes{};
    instant heard_at{}, pinged_at{}, payload_seen_at{};
    bool ping_open{}, probed{}; // probed: the newest question was a rate probe
    bool over{}; // found by the reader: nothing comes or goes any more

    std::mutex greeting_mutex;
    link::stream* greeting{}; // while the handshake is under way
    mutable std::mutex failure_mutex;
    std::string failure{"not connected yet"};
    std::thread runner;
};

} // namespace splitdsl
