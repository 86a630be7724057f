// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file session.hpp
/// The edge's connection: sends payloads for the compute thread, and keeps the link on a thread of its own.
#pragma once

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/frame_rules.hpp>
#include <splitdsl/runtime/futex.hpp>
#include <splitdsl/runtime/link_picture.hpp>
#include <splitdsl/runtime/outbox.hpp>
#include <splitdsl/runtime/reply_ring.hpp>
#include <splitdsl/runtime/wire.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace splitdsl {

struct session_setup {
    std::string network{};
    std::uint64_t fingerprint{};
    std::uint64_t weights_digest{};
    std::uint64_t codec_digest{};
    std::size_t payload_max{};
    std::size_t output_floats{};
    session_options options{};
    thread_options threads{};
};

/// Up or down, and how often it came up: a change of either is news for the frame machine.
struct link_status {
    bool up{};
    std::uint32_t times_up{};
    friend bool operator==(const link_status&, const link_status&) = default;
};

/// One connection after another to the same peer.
///
/// `view`, `status`, `payload_room`, `send`, `oldest_reply` and `pop_reply` belong to the compute thread: no lock, no allocation, no
/// waiting. Everything that may take time (connecting, handshake, reading, flushing what the socket did not take) is the
/// link thread's.
class session {
public:
    session(std::unique_ptr<link::connector> where, session_setup s, bell& compute)
        : connector{std::move(where)}, setup{std::move(s)}, work{compute}, box{wire::header_bytes + setup.payload_max,
          wire::header_bytes + std::max<std::size_t>(setup.options.probe_bytes, 64)},
          replies{setup.output_floats}, reader{wire::reply_meta_bytes + setup.output_floats * sizeof(float)},
          epoch_base{static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count() >> 10) | 1U} {
        runner = std::thread{[this] { run(); }};
    }
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() {
        stopping.store(true, std::memory_order_release);
        pause.ring();
        box.with_stream([](link::stream& s) { s.wake(); });
        runner.join();
    }

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    link_status status() const noexcept {
        const auto s = state.load(std::memory_order_acquire);
        return {(s & 1U) != 0, s >> 1};
    }
    link_view view(instant now) const noexcept {
        const shared_view v = picture_words.load();
        link_view l{};
        l.up = status().up;
        l.busy = box.busy();
        l.rate_up = {std::bit_cast<double>(v.rate_up)};
        l.rate_down = {std::bit_cast<double>(v.rate_down)};
        l.rtt = duration{v.rtt};
        l.age = v.sampled == never_sampled ? duration::max() : now - instant{duration{v.sampled}};
        const auto asked = asked_sequence.load(std::memory_order_relaxed);
        if (asked != 0 && asked != answered_sequence.load(std::memory_order_relaxed))
            l.rate_up = link_picture::at_most(l.rate_up, asked_bytes.load(std::memory_order_relaxed),
                                              now - instant{duration{asked_at.load(std::memory_order_relaxed)}} - l.rtt);
        return l;
    }
    /// Where to put the next payload; only while the view is not busy.
    std::span<std::byte> payload_room() noexcept { return box.message().subspan(wire::header_bytes); }

    struct sending {
        std::uint32_t sequence{};
        int cut{};
        int codec{};
        std::size_t bytes{};            ///< of the payload in `payload_room`
        duration left{};                ///< until an answer is of no use
    };
    struct sent {
        bool taken{};
        std::uint32_t epoch{};
        std::size_t bytes{};            ///< header included
    };
    sent send(const sending& p, instant now) noexcept {
        const std::uint32_t e = epoch.load(std::memory_order_acquire);
        if (e == 0 || box.busy() || p.bytes > setup.payload_max) return {};
        const std::size_t total = wire::seal(box.message(), {.what = wire::kind::request, .cut = p.cut, .codec = p.codec, .sequence = p.sequence,
                                                             .epoch = e, .budget = p.left, .payload_bytes = p.bytes});
        asked_bytes.store(total, std::memory_order_relaxed);
        asked_at.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        asked_sequence.store(p.sequence, std::memory_order_release);
        if (!box.post(total, now)) return {};
        return {.taken = true, .epoch = e, .bytes = total};
    }
    const incoming_reply* oldest_reply() const noexcept { return replies.oldest(); }
    void pop_reply() noexcept { replies.pop(); }

    // ---- any thread -------------------------------------------------------------------------------------------------------
    link_counters counters() const noexcept { return shared_counts.load(); }
    /// Why the last attempt to connect failed; for people. Not for the frame path: locks.
    std::string last_failure() const {
        const std::lock_guard hold{failure_mutex};
        return failure;
    }

private:
    struct shared_view { std::uint64_t rate_up{}, rate_down{}; std::int64_t rtt{}, sampled{never_sampled}; };
    static constexpr std::int64_t never_sampled = INT64_MIN;
    static instant clock() { return std::chrono::steady_clock::now(); }

    void run() {
        detail::enter_thread("sd-link", {.processors = setup.threads.processors});
        duration retry = setup.options.first_retry;
        while (!stopping.load(std::memory_order_acquire)) {
            if (connect()) {
                retry = setup.options.first_retry;
                serve();
                disconnect();
            } else {
                ++counts.connect_failures;
                const auto heard = pause.now();
                if (!stopping.load(std::memory_order_acquire)) pause.wait(heard, clock() + retry);
                retry = std::min(retry * 2, setup.options.longest_retry);
            }
            publish();
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
            const wire::peer_identity me{setup.network, setup.fingerprint, setup.weights_digest, setup.codec_digest};
            const auto shaken = wire::introduce(*stream, me, e, clock() + setup.options.connect_timeout, why);
            counts.bytes_up += shaken.bytes_up;
            counts.bytes_down += shaken.bytes_down;
            if (!shaken.accepted) {
                stream.reset();
                return failed(why);
            }
            reader.restart();
            heard_at = clock();
            pinged_at = payload_seen_at = heard_at - std::max(setup.options.ping_interval, setup.options.probe_interval);   // ask at once
            ping_open = false;
            ++counts.connects;
            box.open(stream.get());
            epoch.store(e, std::memory_order_release);
            set_up(true);
            return true;
        } catch (const error& e) {
            stream.reset();
            return failed(e.what());
        }
    }
    bool failed(const std::string& why) {
        const std::lock_guard hold{failure_mutex};
        failure = why;
        return false;
    }
    void disconnect() {
        if (!stream) return;
        epoch.store(0, std::memory_order_release);
        set_up(false);
        box.close();                                        // from here on the compute thread does not touch the stream
        answered_sequence.store(asked_sequence.load(std::memory_order_acquire), std::memory_order_relaxed);
        stream->shutdown();
        stream.reset();
        ++counts.disconnects;
        work.ring();
    }
    void set_up(bool up) {
        const auto before = state.load(std::memory_order_relaxed);
        if ((before & 1U) == (up ? 1U : 0U)) return;
        state.store(up ? (((before >> 1) + 1) << 1) | 1U : before & ~1U, std::memory_order_release);
        work.ring();
    }

    void serve() {
        while (!stopping.load(std::memory_order_acquire)) {
            const instant now = clock();
            if (!read_all(now) || !keep_alive(now)) return;
            if (!box.flush()) return;
            publish();
            const duration nap = std::clamp<duration>(ping_pause() / 4, std::chrono::milliseconds{1}, std::chrono::milliseconds{50});
            stream->wait(true, box.blocked(), nap);
        }
    }

    /// False: the connection is over.
    bool read_all(instant now) {
        while (true) {
            wire::message m{};
            const auto got = reader.next(*stream, now, m);
            if (got == wire::reader::state::more) return true;
            if (got == wire::reader::state::closed) return false;
            if (got == wire::reader::state::wrong_size) {
                hand_on({.sequence = m.sequence, .epoch = m.epoch, .size_ok = false}, {});
                ++counts.protocol_errors;
                return false;
            }
            if (got == wire::reader::state::malformed || !take(m, now)) {
                ++counts.protocol_errors;
                return false;
            }
        }
    }

    /// False: a message that has no place here.
    bool take(const wire::message& m, instant now) {
        counts.bytes_down += m.transfer.bytes;
        heard_at = now;
        set_up(true);                                       // after a silence it speaks again
        if (m.what == wire::kind::pong) {
            if (!ping_open || m.sequence != ping_sequence) return true;
            ping_open = false;
            ++counts.pongs;
            const auto meta = wire::read_meta(m.payload);
            if (ping_bytes > wire::header_bytes) picture.answered(now, pinged_at, meta.transfer(ping_bytes), meta.service);
            else picture.ponged(now, pinged_at, meta.service);
            if (pinged_at.time_since_epoch().count() > asked_at.load(std::memory_order_relaxed))
                answered_sequence.store(asked_before_ping, std::memory_order_relaxed);  // the payload got there; the cloud is slow, not the link
            return true;
        }
        if (m.what != wire::kind::reply && m.what != wire::kind::shed) return false;
        reply_facts f{.sequence = m.sequence, .epoch = m.epoch, .crc_ok = m.crc_ok, .shed = m.what == wire::kind::shed};
        const auto asked = asked_sequence.load(std::memory_order_acquire);
        if (m.sequence == asked) answered_sequence.store(asked, std::memory_order_relaxed);
        std::span<const std::byte> values{};
        if (m.crc_ok && m.payload.size() >= wire::reply_meta_bytes) {
            const auto meta = wire::read_meta(m.payload);
            picture.received(now, m.transfer);
            if (m.sequence == asked)
                picture.answered(now, instant{duration{asked_at.load(std::memory_order_relaxed)}},
                                 meta.transfer(asked_bytes.load(std::memory_order_relaxed)), meta.service);
            values = m.payload.subspan(wire::reply_meta_bytes);
        }
        hand_on(f, values);
        return m.crc_ok;                                    // a stream with a wrong checksum in it is not believed any more
    }
    void hand_on(reply_facts f, std::span<const std::byte> values) {
        if (!replies.push(f, values)) ++counts.dropped_replies;
        work.ring();
    }

    /// Pings, probes, silence, stuck payloads. False: reset the connection.
    bool keep_alive(instant now) {
        if (box.busy() && now - box.posted_at() > setup.options.stuck) {
            ++counts.stuck_resets;
            return false;
        }
        const bool asked = asked_sequence.load(std::memory_order_acquire) != answered_sequence.load(std::memory_order_relaxed);
        const instant asked_when{duration{asked_at.load(std::memory_order_relaxed)}};
        const instant question = std::max(heard_at, ping_open ? pinged_at : asked ? asked_when : now);
        if ((ping_open || asked) && now - question > setup.options.silence && (state.load(std::memory_order_relaxed) & 1U) != 0) {
            ++counts.silences;
            set_up(false);
        }
        if ((ping_open || asked) && now - question > setup.options.dead) return false;
        // Between frames only: a ping behind a payload would measure the payload.
        if (ping_open || box.busy() || (asked && now - asked_when < setup.options.silence) || now - pinged_at < ping_pause()) return true;
        const bool probe = setup.options.probe_bytes > 0 && picture.estimator().rtt.known() && now - std::max(asked_when, payload_seen_at) >= setup.options.probe_interval;
        if (probe) payload_seen_at = now;
        ping_bytes = wire::header_bytes + (probe ? setup.options.probe_bytes : 0);
        asked_before_ping = asked_sequence.load(std::memory_order_acquire);
        const bool written = box.post_control(
            [&](std::span<std::byte> room) {
                return wire::seal(room, {.what = wire::kind::ping, .sequence = ++ping_sequence, .epoch = epoch.load(std::memory_order_relaxed),
                                         .payload_bytes = ping_bytes - wire::header_bytes});
            });
        if (!written) return true;
        ping_open = true;
        pinged_at = clock();
        ++(probe ? counts.probes : counts.pings);
        counts.probe_bytes_up += ping_bytes;
        return true;
    }

    /// A link of which nothing is known yet is asked quickly: round trip first, then rate.
    duration ping_pause() const {
        return picture.rate_known() ? setup.options.ping_interval : std::min<duration>(setup.options.ping_interval, std::chrono::milliseconds{5});
    }

    void publish() {
        const instant now = clock();
        const link_view v = picture.view(now);
        picture_words.store({std::bit_cast<std::uint64_t>(v.rate_up.value), std::bit_cast<std::uint64_t>(v.rate_down.value), v.rtt.count(),
                             v.age == duration::max() ? never_sampled : (now - v.age).time_since_epoch().count()});
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

    std::atomic<std::uint32_t> state{};                     // times up << 1 | up
    std::atomic<std::uint32_t> epoch{};                     // 0: no connection
    std::atomic<std::uint32_t> asked_sequence{}, answered_sequence{};
    std::atomic<std::uint64_t> asked_bytes{};
    std::atomic<std::int64_t> asked_at{};
    std::atomic<bool> stopping{};
    shared_counters<shared_view> picture_words;
    shared_counters<link_counters> shared_counts;

    std::unique_ptr<link::stream> stream;                   // link thread's from here
    wire::reader reader;
    link_picture picture{};
    link_counters counts{};
    std::uint32_t epoch_base;
    std::uint32_t connections{}, ping_sequence{}, asked_before_ping{};
    std::size_t ping_bytes{};
    instant heard_at{}, pinged_at{}, payload_seen_at{};
    bool ping_open{};

    mutable std::mutex failure_mutex;
    std::string failure{"not connected yet"};
    std::thread runner;
};

} // namespace splitdsl
