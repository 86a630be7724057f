// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file edge_streams.hpp
/// The device's side of streams: a stage's map becomes packets on the compute thread, and whoever writes sends them as the air allows.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/link/radio_gauge.hpp>
#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>
#include <splitdsl/runtime/stream_pooler.hpp>
#include <splitdsl/runtime/stream_terms.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

namespace splitdsl {

struct edge_stream_options {
    /// Of a packet, in a message of 48 bytes more: 32 to 65,535. 196 make one BLE packet of 244.
    std::size_t packet_bytes{196};
    /// What may be on its way unacknowledged, in bytes with headers; the rest can still be dropped. About three events of a radio: less
    /// leaves events empty, more queues old streams in the way of new ones. 0: no limit.
    std::size_t window_bytes{4096};
    /// A radio that tells its events; outlives the edge. Packets then leave `ahead` of an event and no more than it takes, so that what
    /// no event took can still be dropped, as in the simulation; the radio acknowledges in the cloud's place, so that there is no window,
    /// and policies see its rate.
    const link::radio_gauge* radio{};
    duration ahead{std::chrono::milliseconds{1}}; ///< what the host may take to wake up and write
    /// A radio closes its books so long before an event: what is made later waits for the next one. At most `ahead`.
    duration closes{};
    pool_options coding{}; ///< as the cloud's
    const stream_pooler* pooler{}; ///< pools where the map is made, on a GPU (gpu/gpu_pipeline.hpp); the processor where it does not
    exit_confidence confidence{};
};

/// Pools, quantises and cuts into packets what `policy::fleet` and its kin begin, in memory taken at construction.
///
/// The compute thread fills one of three stores and exchanges it for the newest; the writer takes the newest when a message is over. So a
/// stream's unsent rest is dropped by the one that follows, and neither thread waits. Cost of `start`: docs/dynamic_pooling.md.
/// Belongs to one edge and outlives it. Refused (option_error): a network without such streams, packets out of range.
///
/// ```cpp
/// edge_streams streams{pipeline_of<wake_word>()};
/// edge<wake_word, policy::fleet> device{weights, policy::fleet{plan}, {.deadline = 4s, .streams = &streams}, link::tcp{"gateway", 7447}};
/// ```
/// Source: FLEET, sections 3.1 and 3.2.
class edge_streams final : public edge_stream_hooks {
public:
    explicit edge_streams(const pipeline& net, edge_stream_options chosen = {}) : options{chosen}, terms{net, chosen.coding} {
        if (options.packet_bytes < 32 || options.packet_bytes > largest_pool_packet)
            throw option_error("edge streams: expected packets of 32 to 65535 bytes, found " + std::to_string(options.packet_bytes));
        if (options.closes < duration{} || options.closes > options.ahead)
            throw option_error("edge streams: expected books that close 0 to " + detail::number_text(to_milliseconds(options.ahead))
                               + " ms before an event, found " + detail::number_text(to_milliseconds(options.closes)) + " ms");
        std::size_t most = 0, packets = 0;
        for (int s = 0; s < terms.count(); ++s) {
            const pool_ladder& l = terms.ladders[static_cast<std::size_t>(s)];
            encoders.push_back(std::make_unique<dynamic_pool_encoder>(l, options.coding));
            writers.emplace_back(*encoders.back(), pool_packet_options{.packet_bytes = options.packet_bytes, .stream = s});
            // A packet leaves at most 16 bytes to headers and to what is too short for a chunk of its own.
            packets = std::max(packets, max_pool_bytes(l, options.coding.form) / (options.packet_bytes - 16)
                                            + static_cast<std::size_t>(l.levels) + 1);
        }
        most = packets * (link::header_bytes + options.packet_bytes);
        for (store& s : stores) {
            s.memory = aligned_buffer{most};
            s.ends.resize(packets);
            s.whole.resize(packets);
        }
        pooled_for.resize(encoders.size());
    }
    edge_streams(const edge_streams&) = delete;
    edge_streams& operator=(const edge_streams&) = delete;

    struct counts {
        std::uint64_t streams{}, packets{}, bytes{};
        std::uint64_t dropped{}; ///< packets that were never sent
        std::uint64_t acknowledgements{}, stops_acknowledged{};
        std::uint64_t refused{}; ///< streams or sizes that do not exist, or not behind the stage that ended: the policy's plan is wrong
    };
    /// Any thread; each number is recent.
    counts counted() const noexcept {
        return {tally[0].load(std::memory_order_relaxed), tally[1].load(std::memory_order_relaxed),
                tally[2].load(std::memory_order_relaxed), tally[3].load(std::memory_order_relaxed),
                tally[4].load(std::memory_order_relaxed), tally[5].load(std::memory_order_relaxed),
                tally[6].load(std::memory_order_relaxed)};
    }

    void introduce(link::handshake& me) const override { terms.introduce(me); }
    int streams() const noexcept override { return terms.count(); }
    std::size_t answer_floats(int stream) const noexcept override {
        const stream_exit_info* const e = terms.answering(stream);
        return e == nullptr ? 0 : e->floats;
    }
    float confidence(int, std::span<const float> values) const noexcept override { return options.confidence.of(values); }
    void look(link_view& v) const noexcept override {
        if (!has_events()) return;
        v.rate_up = v.rate_down = options.radio->rate_up();
        v.rtt = options.radio->round_trip();
        v.age = {};
    }

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    bool start(const order& o, const std::byte* arena, instant now) noexcept override {
        if (o.stream < 0 || o.stream >= terms.count()) return refuse();
        const auto s = static_cast<std::size_t>(o.stream);
        const int levels = terms.ladders[s].levels;
        if (o.first < 0 || o.last < o.first || o.first >= levels) return refuse();
        if (pooled_for[s] != o.frame) {
            if (o.stage != terms.info[s].stage) return refuse(); // its map is there only right behind its stage
            const pooled_map made = options.pooler == nullptr ? pooled_map{} : options.pooler->pooled(o.stream, arena);
            if (made.coefficients.empty() || !encoders[s]->adopt(made.form, made.quantiser, made.coefficients))
                encoders[s]->pool(reinterpret_cast<const float*>(arena + terms.info[s].map), terms.pooling);
            pooled_for[s] = o.frame;
        }
        if (frame != o.frame) {
            frame = o.frame;
            sent_before = sent_bytes.load(std::memory_order_relaxed);
        }
        store& to = stores[mine];
        to.count = 0;
        to.is_stream = true;
        pool_packet_writer& from = writers[s];
        // Of the same stream's smaller sizes, those not acknowledged may be what this call drops: they go first.
        const int first = o.stream == newest && newest_frame == o.frame ? std::min(o.first, complete) : o.first;
        if (o.stream != newest || newest_frame != o.frame) complete = o.first;
        newest = o.stream;
        newest_frame = o.frame;
        from.start(static_cast<std::uint16_t>(o.frame), first);
        std::size_t at = 0;
        while (to.count < to.ends.size()) {
            const auto room = to.memory.bytes().subspan(at);
            if (room.size() < link::header_bytes + options.packet_bytes) break;
            const std::size_t size = from.next(room.subspan(link::header_bytes), std::min(o.last + 1, levels));
            if (size == 0) break;
            at += link::seal({.kind = link::message_kind::stream,
                              .cut = static_cast<std::uint8_t>(o.stream),
                              .codec = has_events() ? link::without_ack : std::uint8_t{0},
                              .epoch = o.epoch,
                              .sequence = o.frame,
                              .budget_us = link::wire_microseconds(o.due - now),
                              .stamp_us = static_cast<std::uint32_t>(now.time_since_epoch().count() / 1000),
                              .first_bytes = static_cast<std::uint32_t>(o.least)},
                             room.first(link::header_bytes + size));
            // Sizes that are over with this message: as the writer stands, the last one perhaps just so.
            const int next = from.next_level();
            to.whole[to.count] = static_cast<std::int8_t>(next + (next < levels && from.next_offset() >= encoders[s]->encode(next).size()));
            to.ends[to.count++] = at;
        }
        to.frame = o.frame;
        to.stream = o.stream;
        to.made = o.made;
        streaming.store(true, std::memory_order_relaxed);
        add(0, 1);
        publish();
        return true;
    }
    void drop(std::uint32_t of, std::uint32_t epoch, bool tell, instant at) noexcept override {
        store& to = stores[mine];
        to.made = at;
        to.count = 0;
        to.is_stream = false;
        if (tell) {
            streaming.store(false, std::memory_order_relaxed);
            to.ends[to.count++] =
                link::seal({.kind = link::message_kind::stop, .epoch = epoch, .sequence = of}, to.memory.bytes().first(link::header_bytes));
        }
        publish();
    }
    std::size_t bytes_sent() const noexcept override {
        return static_cast<std::size_t>(sent_bytes.load(std::memory_order_relaxed) - sent_before);
    }
    bool next_event(link_event& e) noexcept override {
        if (has_events()) return next_sent(e);
        const std::size_t at = taken.load(std::memory_order_relaxed);
        if (put.load(std::memory_order_acquire) == at) return false;
        e = events[at % events.size()];
        taken.store(at + 1, std::memory_order_release);
        if (e.frame == newest_frame && e.stream == newest) complete = std::max(complete, e.level + 1);
        return true;
    }

    // ---- whoever holds the outbox ---------------------------------------------------------------------------------------------
    void restart(bool is_connected) noexcept override {
        store& from = stores[theirs];
        if (next_message < from.count && from.is_stream) add(3, from.count - next_message);
        next_message = from.count = 0;
        begun = 0;
        messages_left.store(0, std::memory_order_relaxed);
        flowing = false; // whoever opens or closes a connection holds the reading side
        written_total.store(0, std::memory_order_relaxed);
        acknowledged_total.store(0, std::memory_order_relaxed);
        take_newest(); // made for the connection before
        next_message = stores[theirs].count = 0;
        messages_left.store(0, std::memory_order_relaxed);
        connected.store(is_connected, std::memory_order_release);
    }
    bool write(link::stream& to, bool begun_only, bool& room, std::size_t& written) noexcept override {
        while (true) {
            if (begun == 0) {
                if (begun_only) return true;
                take_newest();
                const store& from = stores[theirs];
                if (next_message == from.count || !may_go()) return true;
            }
            const store& from = stores[theirs];
            const std::size_t start = next_message == 0 ? 0 : from.ends[next_message - 1], end = from.ends[next_message];
            while (start + begun < end) {
                const link::io done = to.write(from.memory.bytes().subspan(start + begun, end - start - begun));
                if (done.what == link::io_result::closed) return false;
                if (done.what == link::io_result::would_block) {
                    room = false;
                    return true;
                }
                begun += done.bytes;
                written += done.bytes;
            }
            if (from.is_stream) {
                if (has_events()) note_event(from, end - start);
                written_total.fetch_add(static_cast<std::uint32_t>(end - start), std::memory_order_relaxed);
                sent_bytes.fetch_add(end - start, std::memory_order_relaxed);
                written_at.store(std::chrono::steady_clock::now().time_since_epoch().count(), std::memory_order_relaxed);
                add(1, 1);
                add(2, end - start);
            }
            begun = 0;
            ++next_message;
            messages_left.store(from.count - next_message, std::memory_order_relaxed);
            if (begun_only) return true;
        }
    }

    // ---- any thread -----------------------------------------------------------------------------------------------------------
    bool wants() const noexcept override {
        if (!connected.load(std::memory_order_acquire)) return false;
        return (ready.load(std::memory_order_seq_cst) & is_new) != 0 || (messages_left.load(std::memory_order_relaxed) != 0 && may_go());
    }
    bool active() const noexcept override { return streaming.load(std::memory_order_relaxed) || unacknowledged() || wants(); }
    bool unacknowledged() const noexcept override { return !has_events() && connected.load(std::memory_order_relaxed) && in_flight() != 0; }
    duration until_event() const noexcept override {
        if (!has_events() || !connected.load(std::memory_order_acquire)) return duration::max();
        const instant now = std::chrono::steady_clock::now();
        duration left = duration::max();
        if ((ready.load(std::memory_order_acquire) & is_new) != 0)
            left = {};
        else if (messages_left.load(std::memory_order_relaxed) != 0)
            left = (at_once.load(std::memory_order_relaxed) ? reopens(now) : opens(now)) - now;
        return std::max<duration>(left, std::chrono::microseconds{50}); // not 0: a socket may be full
    }
    instant last_written() const noexcept override { return instant{duration{written_at.load(std::memory_order_relaxed)}}; }

    // ---- reading side -----------------------------------------------------------------------------------------------------
    bits_per_second heard(const link::frame_header& h, instant now) noexcept override {
        if (h.kind == link::message_kind::stop_ack) {
            add(5, 1);
            return {};
        }
        // A peer that claims more than was sent gains nothing: the window is then as if all had arrived.
        const std::uint32_t sent = written_total.load(std::memory_order_relaxed),
                            before = acknowledged_total.load(std::memory_order_relaxed);
        const std::uint32_t told = sent - h.first_bytes <= sent - before ? h.first_bytes : sent;
        acknowledged_total.store(told, std::memory_order_relaxed);
        add(4, 1);
        bits_per_second rate{};
        if (flowing && told != before && now - acknowledged_at >= std::chrono::milliseconds{1})
            rate = {8 * static_cast<double>(told - before) / to_seconds(now - acknowledged_at)};
        if (told != before) acknowledged_at = now;
        flowing = told != sent || wants();
        const std::size_t at = put.load(std::memory_order_relaxed);
        if (has_events() || h.codec == 0 || h.codec > terms.ladders[h.cut].levels || at - taken.load(std::memory_order_acquire) == events.size())
            return rate; // a later one says all of it
        events[at % events.size()] = {link_event::kind::acknowledged, h.sequence, h.cut, h.codec - 1};
        put.store(at + 1, std::memory_order_release);
        return rate;
    }

private:
    static constexpr unsigned is_new = 4;
    /// Messages ready to be written.
    struct store {
        aligned_buffer memory{};
        std::vector<std::size_t> ends{};
        std::vector<std::int8_t> whole{}; ///< sizes complete once a message has arrived
        std::uint32_t frame{};
        int stream{-1};
        std::size_t count{};
        bool is_stream{};
        instant made{};
    };

    /// A message that the radio took for an event.
    struct handed {
        std::int64_t event{};
        std::uint32_t frame{};
        int stream{};
        std::int8_t whole{};
        std::int64_t packets{};
    };

    void publish() noexcept { mine = ready.exchange(mine | is_new, std::memory_order_seq_cst) & 3U; }
    void take_newest() noexcept {
        if ((ready.load(std::memory_order_acquire) & is_new) == 0) return;
        const store& old = stores[theirs];
        if (old.is_stream) add(3, old.count - next_message);
        theirs = ready.exchange(theirs, std::memory_order_seq_cst) & 3U;
        next_message = 0;
        at_once.store(!stores[theirs].is_stream, std::memory_order_relaxed);
        made_at.store(stores[theirs].made.time_since_epoch().count(), std::memory_order_relaxed);
        messages_left.store(stores[theirs].count, std::memory_order_relaxed);
    }
    std::uint32_t in_flight() const noexcept {
        return written_total.load(std::memory_order_relaxed) - acknowledged_total.load(std::memory_order_relaxed);
    }
    bool has_events() const noexcept override { return options.radio != nullptr && options.radio->known(); }
    /// From when on the next message may go: shortly before the next event, or the one behind it if that one's room is used up.
    instant opens(instant now) const noexcept {
        const instant next = options.radio->event_from(std::max(now, latest()));
        const std::int64_t gone = event_of_packets.load(std::memory_order_relaxed) == next.time_since_epoch().count()
                                      ? event_packets.load(std::memory_order_relaxed)
                                      : 0;
        const std::int64_t room = options.radio->room();
        const bool fits = gone + options.radio->packets_of(link::header_bytes + options.packet_bytes) <= room
                          || (gone == 0 && room > 0); // a message may be larger than an event
        return fits ? std::max(now, next - options.ahead) : next + options.radio->interval - options.ahead;
    }
    /// The earliest event for what is being sent is not before this.
    instant latest() const noexcept { return instant{duration{made_at.load(std::memory_order_relaxed)}} + options.closes; }
    /// For what waits for no event's room: behind the event that it came too late for, and not while the radio may still be at it.
    instant reopens(instant now) const noexcept {
        const instant missed = options.radio->event_from(latest() - options.closes);
        return missed < latest() ? std::max(now, missed + options.closes) : now;
    }
    bool may_go() const noexcept {
        if (!at_once.load(std::memory_order_relaxed)) return window_open();
        if (!has_events() || options.closes <= duration{}) return true;
        const instant now = std::chrono::steady_clock::now();
        return reopens(now) <= now;
    }
    void note_event(const store& from, std::size_t size) noexcept {
        const auto next = options.radio->event_from(std::chrono::steady_clock::now()).time_since_epoch().count();
        if (const std::size_t at = put.load(std::memory_order_relaxed); at - taken.load(std::memory_order_acquire) < given.size()) {
            given[at % given.size()] = {next, from.frame, from.stream, from.whole[next_message], options.radio->packets_of(size)};
            put.store(at + 1, std::memory_order_release);
        }
        const bool more = event_of_packets.load(std::memory_order_relaxed) == next;
        event_packets.store((more ? event_packets.load(std::memory_order_relaxed) : 0) + options.radio->packets_of(size),
                            std::memory_order_relaxed);
        event_of_packets.store(next, std::memory_order_relaxed);
    }
    /// What the radio sent, as far as its host knows: the next event tells.
    bool next_sent(link_event& e) noexcept {
        while (true) {
            const std::size_t at = taken.load(std::memory_order_relaxed), left = put.load(std::memory_order_acquire) - at;
            const handed& m = given[at % given.size()];
            const auto known = options.radio->completed();
            std::int64_t packets = 0;
            for (std::size_t i = 0; i < left && given[(at + i) % given.size()].event <= known.event.time_since_epoch().count(); ++i)
                packets += given[(at + i) % given.size()].packets;
            if (packets <= known.undelivered) return false;
            e = {link_event::kind::acknowledged, m.frame, m.stream, m.whole - 1};
            const bool newest_one = m.frame == newest_frame && m.stream == newest;
            if (newest_one) complete = std::max<int>(complete, m.whole);
            taken.store(at + 1, std::memory_order_release);
            if (e.level >= 0) return true;
        }
    }
    bool window_open() const noexcept {
        if (has_events()) {
            const instant now = std::chrono::steady_clock::now();
            return opens(now) <= now;
        }
        const std::size_t flying = in_flight();
        return options.window_bytes == 0 || flying == 0 || flying + link::header_bytes + options.packet_bytes <= options.window_bytes;
    }
    bool refuse() noexcept {
        add(6, 1);
        return false;
    }
    void add(std::size_t which, std::uint64_t n) noexcept { tally[which].fetch_add(n, std::memory_order_relaxed); }

    const edge_stream_options options;
    const stream_terms terms;
    std::array<store, 3> stores{};
    std::atomic<unsigned> ready{1};
    std::atomic<bool> connected{}, streaming{}, at_once{}; // at_once: what is left does not wait for the window
    std::atomic<std::size_t> messages_left{};
    std::atomic<std::uint32_t> written_total{}, acknowledged_total{}; // of streams, on this connection
    std::atomic<std::uint64_t> sent_bytes{};
    std::atomic<std::int64_t> written_at{}, made_at{};             // made_at: of what is being sent
    std::atomic<std::int64_t> event_of_packets{}, event_packets{}; // what was written for which event; the outbox holder's
    std::array<std::atomic<std::uint64_t>, 7> tally{};

    std::vector<std::unique_ptr<dynamic_pool_encoder>> encoders; // compute thread's from here
    std::vector<pool_packet_writer> writers;
    std::vector<std::uint32_t> pooled_for;
    unsigned mine{0};
    std::uint32_t frame{}, newest_frame{};
    int newest{-1}, complete{};
    std::uint64_t sent_before{};

    unsigned theirs{2}; // the outbox holder's from here
    std::size_t next_message{}, begun{};

    instant acknowledged_at{};           // reading side's
    bool flowing{};                      // something was on its way or waiting ever since
    std::array<link_event, 16> events{}; // reading side to compute thread
    std::array<handed, 64> given{};      // or, with a radio that tells, outbox holder to compute thread
    std::atomic<std::size_t> put{}, taken{};
};

} // namespace splitdsl
