// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simulated_edge.hpp
/// The live edge's frame machine, answer slot and link picture on one thread, under a virtual clock.
#pragma once

#include <splitdsl/link/virtual_link.hpp>
#include <splitdsl/runtime/answer_slot.hpp>
#include <splitdsl/runtime/frame_machine.hpp>
#include <splitdsl/runtime/link_picture.hpp>
#include <splitdsl/sim/event_queue.hpp>
#include <splitdsl/sim/world.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace splitdsl::sim {

struct edge_settings {
    frame_rules rules{};
    std::array<std::size_t, max_cuts + 1> payload_bytes{}; ///< [cut + 1], wire header included; [0]: the whole input
    std::size_t reply_bytes{};
    std::size_t ping_bytes{48};
    duration ping_interval{std::chrono::milliseconds{250}}; ///< as session_options'; 0: never, so that the link's age is without end
    std::size_t probe_bytes{2048};
    duration probe_interval{std::chrono::seconds{1}}; ///< when no payload was sent for so long; 0: never
    duration retry{std::chrono::milliseconds{100}};   ///< between attempts to connect
};

/// One frame as it went. The last four are the simulator's own judgement, not the machine's.
struct frame_record {
    std::uint32_t frame{};
    instant start{};
    answer_source source{answer_source::none};
    int exit{-1};
    int cut{-2};
    std::size_t bytes_up{};
    frame_timings timings{};
    duration air{}; ///< payload handed over to its last bit sent
    bool on_time{};
    int answers{};  ///< claims that succeeded: the promise is exactly one
    bool covered{}; ///< head + reserve + lead fit, every stage and wake-up kept to its reserve, the thread was free
    bool foreign{}; ///< an answer that is not this frame's own, valid one
};

/// Frames one after another: `run_frame` from a start, in rising order. Same seed and world: bit-identical records. Results are simulated.
template <scheduler_policy Policy, world World, class Conduct = as_promised>
class simulated_edge {
public:
    simulated_edge(Policy p, const edge_settings& s, const link::virtual_link_options& l, World w, instant origin = {})
        : settings{s},
          machine{std::move(p), s.rules},
          line{l, origin},
          outside{std::move(w)},
          free_from{origin},
          last_payload{origin - s.probe_interval} {
        inbox.reserve(64);
        connect(origin);
    }

    frame_record run_frame(std::uint32_t frame, instant start) {
        record = {.frame = frame, .start = start};
        sentinel_at = start + settings.rules.deadline - settings.rules.last_resort_lead / 2;
        slot.open(frame);
        now = std::max(start, free_from);
        record.covered = falls_back_v<Policy> && now == start; // a thread still busy with an older frame is not covered
        used = {};
        allowed = settings.rules.deadline - settings.rules.last_resort_lead - settings.rules.remaining[settings.rules.first_tail_stage()];
        pass_time(now);
        if (!slot.is_open(frame)) {
            machine.skipped();
            record.covered = false;
            finish();
            return record;
        }
        drain();
        record.timings.queued = now - start;
        command c = machine.begin(frame, start, now, view());
        if (settings.rules.first_tail_stage() == 0) reserve_begins(0);
        while (c.what != command::kind::nothing) {
            switch (c.what) {
            case command::kind::run: c = run_stage(c.stage); break;
            case command::kind::offload: c = hand_over(c.cut); break;
            case command::kind::wait: c = await(c.until); break;
            default:
                claim(c);
                c = {};
                break;
            }
        }
        if (machine.now_is() != frame_machine_t::state::idle) machine.published(false, now); // the sentinel was first
        finish();
        return record;
    }

    /// Lets the link's events up to `t` happen, as between frames.
    void idle_until(instant t) {
        now = std::max(now, t);
        pass_time(t);
        drain();
    }
    /// Other reserves from the next frame on, as an edge learns them.
    void keep_reserves(const frame_rules& learnt) {
        machine.keep_reserves(learnt);
        settings.rules = machine.rulebook();
    }
    const frame_counters& counters() const { return machine.counters(); }
    const link_picture& picture() const { return seen; }
    std::uint64_t bytes_sent() const { return bytes_up; }
    std::uint64_t probe_bytes_sent() const { return probe_bytes_up; }
    std::uint64_t connections() const { return epoch; }
    World& surroundings() { return outside; }
    link_view view_now() { return view(); }

private:
    using frame_machine_t = frame_machine<Policy, Conduct>;
    enum class event_kind : std::uint8_t {
        request_arrives,
        reply_leaves,
        reply_arrives,
        link_dies,
        try_connect,
        connected,
        pong_leaves,
        pong_arrives,
        tick
    };
    struct event {
        event_kind what{};
        std::uint32_t connection{};
        std::uint32_t frame{}; // whose values a reply really carries
        int cut{};
        reply_facts facts{};
        bool spoilt{}; // NaN, cut short, corrupt or a ghost: must never be delivered
        instant sent{};
        std::size_t size{};
        duration arrival{};
        duration service{};
    };

    // ---- compute thread's side --------------------------------------------------------------------------------------------
    command run_stage(int stage) {
        const bool tail = machine.now_is() == frame_machine_t::state::falling_back;
        const duration took = outside.stage_time(record.frame, stage);
        used += took;
        pass_time(now + took);
        (tail ? record.timings.tail : record.timings.head) += took;
        if (!slot.is_open(record.frame)) return {};
        if (tail)
            if (const command c = drain(); c.what != command::kind::nothing) return c;
        const exit_seen e = outside.exit_of(record.frame, stage);
        const command c = machine.stage_done(now, view(), e.exit, e.confidence);
        if (!tail && stage + 1 == settings.rules.first_tail_stage()) reserve_begins(stage + 1);
        return c;
    }

    command hand_over(int cut) {
        const instant begun = now;
        const std::size_t bytes = settings.payload_bytes[static_cast<std::size_t>(cut + 1)];
        pass_time(now + outside.hand_over_time(record.frame, cut));
        reserve_begins(settings.rules.stage_behind(cut)); // handing over belongs to the head
        record.cut = cut;
        record.timings.send = now - begun;
        handed = now;
        const std::uint32_t on = epoch;
        // Behind a ping it waits for its turn; the sender's buffer, which a whole input alone may fill, is not to refuse it for that.
        const bool behind_ping = now >= payload_gone && line.up.free_from() - now < settings.rules.deadline;
        const instant leaves = behind_ping ? std::max(now, line.up.free_from()) : now;
        const bool taken = up && transmit(leaves, bytes, {.what = event_kind::request_arrives, .frame = record.frame, .cut = cut});
        if (taken) {
            last_payload = leaves;
            payload_gone = line.up.free_from();
            unanswered = bytes;
            record.bytes_up = bytes;
            record.air = std::max(line.up.free_from() - now, duration{});
        }
        return machine.handed_over(now, taken, on);
    }

    command await(instant until) {
        command c{};
        while (slot.is_open(record.frame)) {
            c = drain();
            if (c.what != command::kind::nothing) break;
            const instant next = std::min({events.next(), until, sentinel_at});
            if (next >= until) {
                const duration late = outside.oversleep(record.frame);
                used += late;
                pass_time(std::max(now, until) + late);
                if (!slot.is_open(record.frame)) break;
                c = drain();
                if (c.what == command::kind::nothing) c = machine.timer(now);
                if (c.what == command::kind::wait) {
                    until = c.until;
                    continue;
                }
                break;
            }
            pass_time(std::max(now, next));
        }
        record.timings.wait = now - handed;
        return c;
    }

    void claim(const command& c) {
        const duration late = outside.claim_delay(record.frame);
        used += late;
        pass_time(now + late);
        const bool last = c.what == command::kind::last_resort;
        const answer_source source = last ? (machine.exit_in_hand() >= 0 ? answer_source::exit : answer_source::held) : c.source;
        const bool won = slot.claim(record.frame, source);
        if (won) {
            answered(source, now, c.exit);
            if (source == answer_source::cloud && (offered.frame != record.frame || offered.spoilt)) record.foreign = true;
        }
        machine.published(won && source != answer_source::held, now);
    }
    void answered(answer_source source, instant at, int exit) {
        ++record.answers;
        record.source = source == answer_source::held && !ever ? answer_source::preset : source;
        record.exit = source == answer_source::exit ? machine.exit_in_hand() : exit;
        record.timings.total = at - record.start;
        record.on_time = at <= record.start + settings.rules.deadline;
        if (source != answer_source::held) ever = true;
    }
    void finish() {
        if (slot.is_open(record.frame)) pass_time(sentinel_at);
        free_from = now;
        record.covered = record.covered && used <= allowed;
    }
    // From here on the frame has what the rules reserve for the stages from `stage` on.
    void reserve_begins(int stage) {
        used = {};
        allowed = settings.rules.remaining[stage];
        record.covered = record.covered && now + allowed + settings.rules.last_resort_lead <= record.start + settings.rules.deadline;
    }

    link_view view() {
        link_view v = seen.view(now);
        v.up = up;
        v.busy = now < payload_gone; // a ping keeps no payload from being handed over
        if (unanswered > 0) v.rate_up = link_picture::at_most(v.rate_up, unanswered, now - last_payload - v.rtt);
        outside.disturb(v, now);
        return v;
    }
    /// Feeds what arrived to the machine until something changes what to do.
    command drain() {
        while (read < inbox.size()) {
            const event e = inbox[read++];
            command c{};
            if (e.what == event_kind::reply_arrives) {
                offered = e;
                c = machine.reply(e.facts, now, view());
            } else
                c = machine.link_changed(e.what == event_kind::connected, now, view());
            if (c.what != command::kind::nothing) return c;
        }
        inbox.clear();
        read = 0;
        return {};
    }

    // ---- everybody else's side --------------------------------------------------------------------------------------------
    void pass_time(instant until) {
        while (true) {
            const bool watching = slot.is_open(record.frame) && record.frame != 0;
            const instant next = events.next();
            if (watching && sentinel_at <= until && sentinel_at <= next) {
                const answer_source source =
                    machine.running_frame() == record.frame && machine.exit_in_hand() >= 0 ? answer_source::exit : answer_source::held;
                if (slot.claim(record.frame, source)) answered(source, sentinel_at, -1);
                continue;
            }
            if (next > until) break;
            happen(next, events.take());
        }
        now = std::max(now, until);
    }

    void happen(instant t, event e) {
        if (e.what == event_kind::try_connect) return try_connect(t);
        if (e.what == event_kind::tick) return tick(t);
        if (e.connection != epoch) return; // died with its connection
        switch (e.what) {
        case event_kind::connected:
            up = true;
            ask_at_once(t);
            if (settings.ping_interval > duration{}) keep_alive(t);
            inbox.push_back(e);
            break;
        case event_kind::link_dies: die(t); break;
        case event_kind::request_arrives: serve(t, e); break;
        case event_kind::reply_leaves: {
            e.what = event_kind::reply_arrives;
            for (const auto& d : line.down.send(t, settings.reply_bytes)) {
                if (d.reset)
                    put(d.time, {.what = event_kind::link_dies});
                else {
                    event a = e;
                    a.facts.crc_ok = !d.corrupted;
                    a.spoilt = a.spoilt || d.corrupted;
                    put(d.time, a);
                }
            }
            break;
        }
        case event_kind::reply_arrives:
            inbox.push_back(e);
            if (e.sent == last_payload) unanswered = 0;
            if (!e.spoilt && e.sent != instant{}) seen.answered(t, e.sent, {.bytes = e.size, .spread = e.arrival}, e.service);
            break;
        case event_kind::pong_leaves:
            e.what = event_kind::pong_arrives;
            for (const auto& d : line.down.send(t, settings.ping_bytes)) put(d.time, d.reset ? event{.what = event_kind::link_dies} : e);
            break;
        case event_kind::pong_arrives:
            ping_open = ping_open && e.sent != pinged;
            if (e.size > settings.ping_bytes)
                seen.answered(t, e.sent, {.bytes = e.size, .spread = e.arrival}, {});
            else
                seen.ponged(t, e.sent, {});
            if (e.sent > last_payload) unanswered = 0; // it overtook nothing: the payload got there, the cloud is slow
            break;
        default: break;
        }
    }

    void serve(instant t, const event& e) {
        if (outside.cloud_down(t)) return die(t);
        const cloud_service s = outside.serve(e.frame, e.cut, t);
        if (s.dies) return die(t);
        event r = e;
        r.what = event_kind::reply_leaves;
        r.facts = {.sequence = e.frame, .epoch = e.connection, .size_ok = s.size_ok, .finite = s.finite};
        r.spoilt = !s.size_ok || !s.finite;
        r.service = s.time;
        cloud_free = std::max(cloud_free, t) + s.time;
        if (s.answers) put(cloud_free, r);
        if (s.ghost) {
            r.facts.epoch = e.connection - 1;
            r.spoilt = true;
            put(t, r);
        }
    }

    bool transmit(instant t, std::size_t bytes, event e) {
        const auto sent = line.up.send(t, bytes);
        if (!sent.accepted) return false;
        bytes_up += bytes;
        e.sent = t;
        for (const auto& d : sent) {
            if (d.reset || d.corrupted) { // the cloud ends a connection that sends nonsense
                put(d.time, {.what = event_kind::link_dies});
                continue;
            }
            e.size = bytes;
            e.arrival = d.time - d.first;
            put(d.time, e);
        }
        return true;
    }

    // ---- pings and probes, by the rules of the live session's `keep_alive` ------------------------------------------------------
    bool probes() const { return settings.probe_interval > duration{} && settings.probe_bytes > settings.ping_bytes; }
    duration ping_pause() const {
        const bool known = probes() ? seen.rate_known() : seen.estimator().rtt.known();
        return known ? settings.ping_interval : std::min<duration>(settings.ping_interval, std::chrono::milliseconds{5});
    }
    void ask_at_once(instant t) {
        pinged = last_probe = t - std::max(settings.ping_interval, settings.probe_interval);
        ping_open = probed = false;
    }
    void tick(instant t) {
        keep_alive(t);
        const duration nap = std::clamp<duration>(ping_pause() / 4, std::chrono::milliseconds{1}, std::chrono::milliseconds{50});
        events.put(std::max(pinged + ping_pause(), t + nap), {.what = event_kind::tick});
    }
    void keep_alive(instant t) {
        constexpr duration silence = std::chrono::seconds{1}; // session_options' default: what is unanswered for longer holds no ping back
        const bool awaited = (unanswered > 0 && t - last_payload < silence) || (ping_open && t - pinged < silence);
        if (!up || awaited || line.up.queued(t) > 0 || t - pinged < ping_pause()) return;
        const bool probe = probes() && !probed && seen.estimator().rtt.known() && t - std::max(last_payload, last_probe) >= settings.probe_interval;
        const std::size_t bytes = probe ? settings.probe_bytes : settings.ping_bytes;
        if (!transmit(t, bytes, {.what = event_kind::pong_leaves})) return;
        if (probe) last_probe = t;
        probed = probe; // never two in a row: only a ping measures the round trip
        pinged = t;
        ping_open = true;
        probe_bytes_up += bytes;
    }

    void connect(instant t) {
        up = true;
        ++epoch;
        ask_at_once(t);
        if (settings.ping_interval > duration{}) events.put(t, {.what = event_kind::tick});
    }
    void die(instant t) {
        up = false;
        unanswered = 0;
        payload_gone = t;
        ++epoch; // what is on its way belongs to nobody from now on
        inbox.push_back({.what = event_kind::link_dies});
        events.put(t + settings.retry, {.what = event_kind::try_connect});
    }
    void try_connect(instant t) {
        if (line.refused(t) || outside.cloud_down(t)) {
            events.put(t + settings.retry, {.what = event_kind::try_connect});
            return;
        }
        line.reconnect(t);
        put(t + settings.retry / 10, {.what = event_kind::connected});
    }
    void put(instant t, event e) {
        e.connection = epoch;
        events.put(t, e);
    }

    edge_settings settings;
    frame_machine_t machine;
    link::virtual_link line;
    World outside;
    link_picture seen{};
    basic_answer_slot<Conduct::claims_once> slot{};
    event_queue<event> events{};
    std::vector<event> inbox{};
    std::size_t read{};
    frame_record record{};
    event offered{};
    instant now{}, free_from{}, sentinel_at{}, handed{}, cloud_free{}, last_payload{}, payload_gone{}, pinged{}, last_probe{};
    duration used{}, allowed{}; // of the frame's reserve, by the simulator's own account
    std::uint32_t epoch{};
    std::size_t unanswered{};
    std::uint64_t bytes_up{}, probe_bytes_up{};
    bool up{}, ever{}, ping_open{}, probed{};
};

} // namespace splitdsl::sim
