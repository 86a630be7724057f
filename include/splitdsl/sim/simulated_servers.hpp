// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simulated_servers.hpp
/// An edge with several servers in virtual time: the live edge's frame machine and server board over one virtual link each.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/link/virtual_link.hpp>
#include <splitdsl/runtime/frame_machine.hpp>
#include <splitdsl/runtime/link_picture.hpp>
#include <splitdsl/runtime/server_board.hpp>
#include <splitdsl/sim/event_queue.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::sim {

/// One server: its link, and what it takes behind `cut` for a request that comes in at `t`, its queue included; null: no time.
struct simulated_server {
    link::virtual_link_options link{};
    std::function<duration(int cut, instant t)> service{};
    radio_power radio{};
};

/// The device, and how it asks. Times of pings as in `session_options`.
struct servers_settings {
    frame_rules rules{};
    std::array<duration, max_stages> stage_time{};         ///< what each stage takes here
    std::array<std::size_t, max_cuts + 1> payload_bytes{}; ///< [cut + 1], wire header included; [0]: the whole input
    std::size_t reply_bytes{64};
    servers_options servers{};
    std::size_t ping_bytes{48}, probe_bytes{2048};
    duration ping_interval{std::chrono::milliseconds{250}}, probe_interval{std::chrono::seconds{1}};
    duration silence{std::chrono::seconds{1}}, dead{std::chrono::seconds{3}}, retry{std::chrono::milliseconds{100}};
};

/// One frame as it went.
struct server_frame {
    std::uint32_t frame{};
    instant start{};
    answer_source source{answer_source::none};
    int server{-1}; ///< that answered, or was asked first in vain; -1: not offloaded
    duration total{};
    bool on_time{};
    friend bool operator==(const server_frame&, const server_frame&) = default;
};

/// Frames one after another: `run_frame` from a start, in rising order. Same seeds, same records. Results are simulated. No sentinel, no noise of the host: the
/// promise under these is `simulated_edge`'s and `make soak`'s to test; here it is who gets a frame.
///
/// ```cpp
/// sim::simulated_servers<policy::sage> robot{policy::sage{costs}, settings, {{.link = wifi}, {.link = lte}}};
/// for (std::uint32_t n = 1; n <= 600; ++n) std::printf("%d\n", robot.run_frame(n, instant{n * 100ms}).server);
/// ```
template <scheduler_policy Policy, server_choice Choice = policy::earliest_answer>
class simulated_servers {
public:
    simulated_servers(Policy p, const servers_settings& s, const std::vector<simulated_server>& to, Choice c = Choice{}, instant origin = {})
        : settings{s}, machine{std::move(p), without_breaker(s.rules)}, board{static_cast<int>(to.size()), radios(to), s.servers, s.rules.breaker, std::move(c)}, now{origin} {
        for (const simulated_server& one : to) {
            peers.emplace_back(one, origin);
            connect(static_cast<int>(peers.size()) - 1, origin);
        }
    }

    server_frame run_frame(std::uint32_t frame, instant start) {
        pass(std::max(start, now));
        take_replies();
        record = {.frame = frame, .start = start};
        choose(-1, start + settings.rules.deadline);
        command c = machine.begin(frame, start, now, view());
        while (c.what == command::kind::run || c.what == command::kind::offload || c.what == command::kind::wait) {
            switch (c.what) {
            case command::kind::run: c = run_stage(c.stage); break;
            case command::kind::offload: c = hand_over(c.cut); break;
            default: c = await(c.until); break;
            }
        }
        record.source = c.what == command::kind::publish ? c.source : answer_source::held;
        record.total = now - start;
        record.on_time = record.total <= settings.rules.deadline;
        machine.published(c.what == command::kind::publish, now);
        board.over();
        return record;
    }

    /// Lets what happens without frames happen up to `t`: pings, probes, connections.
    void idle_until(instant t) {
        pass(t);
        take_replies();
    }
    const frame_counters& counters() const { return machine.counters(); }
    server_counters server(int k) const { return board.counters(k); }

private:
    enum class kind : std::uint8_t { request_arrives, reply_leaves, reply_arrives, pong_leaves, pong_arrives, tick, try_connect, link_dies };
    struct event {
        kind what{};
        int to{};
        std::uint32_t connection{}, frame{};
        int cut{};
        instant sent{};
        std::size_t size{};
        duration arrival{}, service{};
        bool whole{true};
    };
    struct peer {
        peer(const simulated_server& s, instant origin) : line{s.link, origin}, service{s.service} {}
        link::virtual_link line;
        std::function<duration(int, instant)> service;
        link_picture seen{};
        bool up{}, connected{}, ping_open{};
        std::uint32_t epoch{};
        instant pinged{}, probed{}, payload_gone{}, payload_sent{};
        std::size_t unanswered{};
    };
    using role = typename server_board<Choice>::role;
    using fate = typename server_board<Choice>::fate;

    static frame_rules without_breaker(frame_rules r) {
        r.breaker.failures_to_open = std::numeric_limits<int>::max(); // each server has one of its own
        return r;
    }
    static std::array<radio_power, max_servers> radios(const std::vector<simulated_server>& to) {
        if (to.empty() || to.size() > static_cast<std::size_t>(max_servers))
            throw option_error("simulated servers: 1 to " + std::to_string(max_servers) + " servers were expected, found " + std::to_string(to.size()));
        std::array<radio_power, max_servers> all{};
        for (std::size_t k = 0; k < to.size(); ++k) all[k] = to[k].radio;
        return all;
    }
    peer& of(int k) { return peers[static_cast<std::size_t>(k)]; }
    std::size_t payload(int cut) const { return settings.payload_bytes[static_cast<std::size_t>(cut + 1)]; }

    // ---- the device ---------------------------------------------------------------------------------------------------------
    std::span<const link_view> links() {
        for (std::size_t k = 0; k < peers.size(); ++k) {
            const peer& p = peers[k];
            link_view v = p.seen.view(now);
            v.up = p.up;
            v.busy = now < p.payload_gone;
            if (p.unanswered > 0) v.rate_up = link_picture::at_most(v.rate_up, p.unanswered, now - p.payload_sent - v.rtt);
            v.server = static_cast<int>(k);
            measured[k] = v;
        }
        return std::span{measured}.first(peers.size());
    }
    link_view view() { return chosen >= 0 ? links()[static_cast<std::size_t>(chosen)] : link_view{}; }
    void choose(int cut, instant due) {
        const duration left = due - now, kept = settings.rules.kept(settings.rules.stage_behind(cut), left).value_or(duration{});
        chosen = board.choose({.cut = cut,
                               .payload = {static_cast<double>(payload(cut))},
                               .reply = {static_cast<double>(settings.reply_bytes)},
                               .window = left - settings.rules.last_resort_lead - kept,
                               .now = now},
                              links());
    }
    command run_stage(int stage) {
        pass(now + settings.stage_time[static_cast<std::size_t>(stage)]);
        if (machine.now_is() == frame_machine<Policy>::state::falling_back) {
            if (const command c = take_replies(); c.what != command::kind::nothing) return c;
        } else if (const int cut = settings.rules.cut_behind(stage); cut >= 0)
            choose(cut, machine.due());
        return machine.stage_done(now, view());
    }
    command hand_over(int cut) {
        until = machine.due() - settings.rules.last_resort_lead - machine.keeps(now);
        sent_cut = cut;
        const std::uint32_t epoch = of(chosen).epoch;
        const bool taken = hand(chosen, role::first);
        if (taken) {
            record.server = chosen;
            if (const int other = board.probe(now, links()); other >= 0) hand(other, role::probe);
        }
        const command c = machine.handed_over(now, taken, epoch);
        if (c.what != command::kind::wait) board.ended(false, now);
        return c;
    }
    bool hand(int k, role r) {
        peer& p = of(k);
        const std::size_t size = payload(sent_cut);
        if (!p.up || now < p.payload_gone || !transmit(k, size, {.what = kind::request_arrives, .frame = record.frame, .cut = sent_cut})) return false;
        board.asked(k, r, record.frame, p.epoch, size, until, now, links());
        p.payload_gone = p.line.up.free_from();
        p.payload_sent = now;
        p.unanswered = size;
        return true;
    }
    command await(instant at_last) {
        command c{};
        while ((c = take_replies()).what == command::kind::nothing) {
            if (board.waiting() && board.owing() == 0) c = machine.link_changed(false, now, view()); // whoever was asked is gone
            if (c.what != command::kind::nothing) break;
            if (now >= at_last) {
                c = machine.timer(now);
                break;
            }
            if (now >= board.late_at()) {
                board.was_late();
                if (const int k = board.second(now, links()); k >= 0) hand(k, role::second);
            }
            pass(std::max(now, std::min({events.next(), at_last, board.late_at()})));
        }
        board.ended(true, now);
        return c;
    }
    command take_replies() {
        while (read < inbox.size()) {
            const auto [k, facts] = inbox[read++];
            reply_facts f = facts;
            fate what = board.heard(k, f, now, links());
            if (what == fate::failing && stand_in()) what = fate::drop;
            if (what == fate::drop) continue;
            const command c = machine.reply(f, now, view());
            if (c.what == command::kind::publish) record.server = f.server;
            if (c.what != command::kind::nothing) return c;
        }
        inbox.clear();
        read = 0;
        return {};
    }
    bool stand_in() {
        const int k = board.second(now, links());
        return k >= 0 && hand(k, role::stand_in);
    }

    // ---- everybody else -----------------------------------------------------------------------------------------------------
    void pass(instant t) {
        while (events.next() <= t) {
            now = std::max(now, events.next());
            happen(events.take());
        }
        now = std::max(now, t);
    }
    void happen(const event& e) {
        if (e.what == kind::try_connect) return connect(e.to, now);
        peer& p = of(e.to);
        if (e.connection != p.epoch) return; // died with its connection
        event next = e;
        switch (e.what) {
        case kind::request_arrives:
            next.what = kind::reply_leaves;
            next.service = p.service ? p.service(e.cut, now) : duration{};
            events.put(now + next.service, next);
            break;
        case kind::reply_leaves:
            next.what = kind::reply_arrives;
            back(next, settings.reply_bytes);
            break;
        case kind::reply_arrives:
            hear(p);
            if (e.sent == p.payload_sent) p.unanswered = 0;
            p.seen.answered(now, e.sent, {.bytes = e.size, .spread = e.arrival}, e.service);
            inbox.push_back({e.to, {.sequence = e.frame, .epoch = e.connection, .crc_ok = e.whole, .service = e.service}});
            break;
        case kind::pong_leaves:
            next.what = kind::pong_arrives;
            back(next, settings.ping_bytes);
            break;
        case kind::pong_arrives:
            hear(p);
            p.ping_open = false;
            if (e.size > settings.ping_bytes) p.seen.answered(now, e.sent, {.bytes = e.size, .spread = e.arrival}, {});
            else p.seen.ponged(now, e.sent, {});
            break;
        case kind::tick: keep_alive(e.to); break;
        case kind::link_dies:
            die(e.to);
            break;
        case kind::try_connect: break;
        }
    }
    static void hear(peer& p) { p.up = p.connected; }
    void back(const event& e, std::size_t size) {
        for (const auto& d : of(e.to).line.down.send(now, size)) {
            event a = e;
            a.what = d.reset ? kind::link_dies : e.what;
            a.whole = !d.corrupted;
            events.put(d.time, a);
        }
    }
    bool transmit(int k, std::size_t size, event e) {
        peer& p = of(k);
        const auto sent = p.line.up.send(now, size);
        if (!sent.accepted) return false;
        e.to = k;
        e.connection = p.epoch;
        e.sent = now;
        e.size = size;
        for (const auto& d : sent) {
            event a = e;
            a.what = d.reset || d.corrupted ? kind::link_dies : e.what; // who gets nonsense ends the connection
            a.arrival = d.time - d.first;
            events.put(d.time, a);
        }
        return true;
    }
    void keep_alive(int k) {
        peer& p = of(k);
        const duration waited = now - p.pinged;
        if (p.ping_open && waited > settings.silence && p.up) {
            p.up = false;
            lose(k);
        }
        if (p.ping_open && waited > settings.dead) return die(k);
        if (!p.ping_open && now >= p.payload_gone) {
            const bool probe = p.seen.estimator().rtt.known() && now - std::max(p.probed, p.payload_sent) >= settings.probe_interval;
            if (probe) p.probed = now;
            p.ping_open = transmit(k, probe ? settings.probe_bytes : settings.ping_bytes, {.what = kind::pong_leaves});
            p.pinged = now;
        }
        const bool known = p.seen.rate_known();
        events.put(now + (known ? settings.ping_interval : std::min<duration>(settings.ping_interval, std::chrono::milliseconds{5})), {.what = kind::tick, .to = k, .connection = p.epoch});
    }
    void lose(int k) {
        if (board.lost(k, now)) stand_in();
    }
    void die(int k) {
        peer& p = of(k);
        p.up = p.connected = false;
        ++p.epoch;
        p.unanswered = 0;
        lose(k);
        events.put(now + settings.retry, {.what = kind::try_connect, .to = k});
    }
    void connect(int k, instant t) {
        peer& p = of(k);
        if (p.line.refused(t)) return events.put(t + settings.retry, {.what = kind::try_connect, .to = k});
        p.line.reconnect(t);
        p.up = p.connected = true;
        p.ping_open = false;
        p.payload_gone = t;
        ++p.epoch;
        board.returned(k, t);
        if (const instant reset = p.line.next_reset(t); reset < instant::max()) events.put(reset, {.what = kind::link_dies, .to = k, .connection = p.epoch});
        events.put(t, {.what = kind::tick, .to = k, .connection = p.epoch});
    }

    servers_settings settings;
    frame_machine<Policy> machine;
    server_board<Choice> board;
    std::vector<peer> peers{};
    event_queue<event> events{};
    std::vector<std::pair<int, reply_facts>> inbox{};
    std::size_t read{};
    std::array<link_view, max_servers> measured{};
    server_frame record{};
    instant now, until{};
    int chosen{-1}, sent_cut{-1};
};

} // namespace splitdsl::sim
