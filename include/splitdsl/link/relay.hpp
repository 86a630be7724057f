// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relay.hpp
/// A bad link on purpose: a TCP relay that slows, delays, stalls, swallows, corrupts and resets what goes through it.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/link/event_air.hpp>
#include <splitdsl/link/pacer.hpp>
#include <splitdsl/link/relay_connection.hpp>
#include <splitdsl/link/relay_options.hpp>
#include <splitdsl/link/resolver.hpp>
#include <splitdsl/link/tcp_listener.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <list>
#include <mutex>
#include <new>
#include <thread>

namespace splitdsl::link {

/// Listens from construction to destruction; one thread of its own. Everything public may be called from any thread.
///
/// Bytes are taken in small paced chunks (about a millisecond of the rate, at most 1,400 bytes), so what does not fit waits in
/// the sender. A chunk comes out when its last bit would have left the link, plus the delay. Accurate to about a millisecond on
/// an idle machine. With `ble`, bytes are taken only at connection events, as many packets as an event carries, and come out when
/// their packet has arrived; all connections share the one radio. `link_error` if it cannot listen or the target's name does not
/// resolve within `resolve_time`; `option_error` for faults that a byte stream cannot show.
///
/// ```cpp body
/// splitdsl::link::relay bad{{.port = cloud_port, .up = {.rate = kilobits_per_second(900), .delay = 5ms}, .down = {.delay = 5ms},
///                            .faults = {{link::fault_kind::stall, 20s, 25s}}}};
/// splitdsl::link::tcp through{"127.0.0.1", bad.port()};
/// ```
class relay {
public:
    explicit relay(relay_options chosen)
        : options{std::move(chosen)},
          random{options.seed},
          acceptor{context},
          settings{options.up, options.down} {
        require_valid(options);
        const std::string who = "relay to " + options.host + ":" + std::to_string(options.port);
        if (options.port == 0) throw link_error(who + ": expected a port from 1 to 65535");
        detail::with_addresses(options.host, options.port, options.resolve, options.resolve_time, who, [this](const detail::address_list& found) {
            for (const addrinfo* at = found.first(); at != nullptr; at = at->ai_next) {
                target.emplace_back().resize(at->ai_addrlen);
                std::memcpy(target.back().data(), at->ai_addr, at->ai_addrlen);
            }
        });
        if (options.ble) air.emplace(*options.ble, options.seed, options.first_event == instant{} ? detail::steady_now() : options.first_event);
        listen();
        worker = std::thread{[this] { run(); }};
    }
    relay(const relay&) = delete;
    relay& operator=(const relay&) = delete;
    ~relay() {
        stopping.store(true);
        event.set();
        worker.join();
    }

    std::uint16_t port() const { return here.port(); }

    /// Connection-event mode: what the device's host may know of this radio, as long as the relay lives; null without events.
    const radio_gauge* gauge() const { return air ? &air->gauge() : nullptr; }

    /// Replaces what a direction (or both) suffers; scripted faults come on top. With a trace, `rate` of the uplink has no effect; with
    /// connection events neither has any rate or drip.
    /// In force for every byte taken in after the call returned; so are the other commands below.
    void set(direction which, const impairment& wanted) {
        require_valid(wanted);
        {
            const std::lock_guard lock{guard};
            if (which != direction::down) settings[0] = wanted;
            if (which != direction::up) settings[1] = wanted;
        }
        settle();
    }
    impairment get(direction which) const {
        const std::lock_guard lock{guard};
        return settings[which == direction::down ? 1 : 0];
    }

    /// Resets (RST, not FIN) every connection there is.
    void reset_connections() {
        reset_wanted.store(true);
        settle();
    }
    /// While false, newcomers are reset at once.
    void accept_connections(bool yes) {
        accepting.store(yes);
        settle();
    }

    /// The trace and the faults start now, unless they already run.
    void start_clock() {
        std::int64_t none = not_started;
        clock_zero.compare_exchange_strong(none, detail::steady_now().time_since_epoch().count());
        event.set();
    }
    bool clock_runs() const { return clock_zero.load() != not_started; }
    /// Since the clock started; 0 before.
    duration elapsed() const { return since_zero(detail::steady_now()); }

    relay_counts counts() const {
        return {.connections = count_connections.load(),
                .refused = count_refused.load(),
                .resets = count_resets.load(),
                .bytes_up = count_bytes[0].load(),
                .bytes_down = count_bytes[1].load(),
                .swallowed = count_swallowed.load(),
                .corrupted = count_corrupted.load(),
                .open = count_open.load(),
                .events = count_events.load(),
                .events_missed = count_missed.load(),
                .packets_lost = count_lost.load()};
    }

private:
    static constexpr std::size_t largest_chunk = 1'400;
    static constexpr std::int64_t not_started = std::numeric_limits<std::int64_t>::min();

    using pacer = detail::pacer;
    using endpoint = asio::ip::tcp::endpoint;
    using lane = detail::relay_lane;
    using connection = detail::relay_connection;

    tcp_options tuning() const {
        const int size = static_cast<int>(std::min<std::size_t>(options.buffer_bytes, 1 << 24));
        // Ordinary segments: a loopback's 64 kB ones do not fit a small window and would stall it.
        return {.unsent_low_water = size, .send_buffer = size, .receive_buffer = size, .segment_size = static_cast<int>(largest_chunk)};
    }

    void listen() {
        detail::listen_at(acceptor, options.bind, options.listen_port, tuning(), "relay on " + options.bind + ":" + std::to_string(options.listen_port));
        here = acceptor.local_endpoint();
    }

    duration since_zero(instant t) const {
        const std::int64_t zero = clock_zero.load();
        return zero == not_started ? duration{0} : std::max(t.time_since_epoch() - duration{zero}, duration{0});
    }

    /// Returns once the relay's thread has seen all commands so far.
    void settle() {
        const std::uint64_t mine = ++commands;
        event.set();
        for (std::uint64_t seen = commands_seen.load(); seen < mine; seen = commands_seen.load()) commands_seen.wait(seen);
    }

    void run() {
        while (!stopping.load()) {
            const instant now = detail::steady_now();
            const std::uint64_t seen = commands.load();
            apply_script(now);
            if (reset_wanted.exchange(false)) reset_all();
            commands_seen.store(seen);
            commands_seen.notify_all();
            try {
                accept_new(now);
            } catch (const std::bad_alloc&) { // for one connection more; it is closed by now
                ++count_refused;
            }
            if (air) hold_events(now);
            for (pacer& p : pacers) p.took = false;
            for (connection& c : connections) serve(c, now);
            for (pacer& p : pacers)
                if (p.next <= now && !p.took) p.idle = true;
            reap();
            sleep();
        }
    }

    /// Overlays the script on the settings and fires its one-time events.
    void apply_script(instant now) {
        {
            const std::lock_guard lock{guard};
            for (int d = 0; d < 2; ++d) pacers[d].now = settings[d];
        }
        pacers[0].factor = pacers[1].factor = 1;
        refusing = !accepting.load();
        next_edge = instant::max();
        if (!clock_runs()) return;
        const duration t = since_zero(now);
        for (std::size_t i = 0; i < options.faults.size(); ++i) {
            const fault& f = options.faults[i];
            if (f.end > t) next_edge = std::min(next_edge, now + ((f.start > t ? f.start : f.end) - t));
            // A reset strikes at its start, a half-open connection is found out at its end.
            const duration strikes = f.kind == fault_kind::half_open ? f.end : f.start;
            const std::uint64_t bit = std::uint64_t{1} << i;
            if ((f.kind == fault_kind::reset || f.kind == fault_kind::half_open) && t >= strikes && (struck & bit) == 0) {
                struck |= bit;
                reset_all();
            }
            if (!f.active(t)) continue;
            if (f.kind == fault_kind::reset) refusing = true;
            for (int d = 0; d < 2; ++d)
                if (f.concerns(d == 0 ? direction::up : direction::down)) pacers[d].overlay(f);
        }
    }

    void accept_new(instant now) {
        spare.fill();
        while (connections.size() < options.max_connections) {
            detail::tcp_socket client{context};
            std::error_code code;
            detail::take(client, here.protocol(), ::accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), code);
            if (code && detail::is_shortage(code.value())) {
                count_refused += spare.turn_away(acceptor.native_handle());
                accepts_again = now + std::chrono::milliseconds{10}; // who could not be turned away keeps a poll from waiting
            }
            if (code) return;
            if (refusing) {
                ++count_refused;
                detail::abort(client);
                continue;
            }
            const auto line = [this] { return lane{.line = detail::delay_line{options.flight_bytes, 4096}}; };
            connection c{std::move(client), detail::tcp_socket{context}, {line(), line()}, {}, ++last_serial};
            if (c.begin(target, tuning(), now)) {
                ++count_refused;
                detail::abort(c.client);
                continue;
            }
            if (options.start_on_first_connection) start_clock();
            if (air && connections.empty()) air->rest(now);
            ++count_connections;
            connections.push_back(std::move(c));
            count_open.store(connections.size());
        }
    }
    void reset_all() {
        for (connection& c : connections) {
            if (c.dead) continue;
            ++count_resets;
            c.kill();
        }
    }
    void reap() {
        if (std::erase_if(connections, [](const connection& c) { return c.dead; }) > 0) count_open.store(connections.size());
    }

    void serve(connection& c, instant now) {
        if (c.dead) return;
        if (c.connecting) {
            if (!c.goes_on_connecting(now) && c.begin_next(target, tuning(), now)) {
                ++count_refused; // before the kill: who sees the end finds it counted
                c.kill();
            }
            if (c.connecting) return;
        }
        for (int d = 0; d < 2 && !c.dead; ++d) {
            if (!air) take_in(c, d, now);
            if (!c.dead) let_out(c, d, now);
        }
        if (!c.dead && c.lanes[0].passed_end && c.lanes[1].passed_end) c.dead = true;
    }

    /// Reads as many chunks as the link is free for.
    void take_in(connection& c, int d, instant now) {
        pacer& p = pacers[d];
        lane& l = c.lanes[d];
        while (!p.now.stall && !l.ended && p.next <= now) {
            const auto into = l.line.room(chunk_size(d, now));
            if (into.empty()) return;
            std::error_code code;
            const std::size_t size = c.source(d).read_some(asio::buffer(into.data(), into.size()), code);
            if (code == asio::error::would_block || code == asio::error::try_again) return;
            if (code == asio::error::eof) {
                l.ended = true;
                return;
            }
            if (code) return c.kill();
            p.took = true;
            // Bytes that lay ready while this thread overslept started when the link got free, not when it woke up. Up to a
            // limit: a machine that stood still for longer must not answer with a burst no link would show.
            const instant begin = p.idle ? now : std::max(p.next, now - std::chrono::milliseconds{20});
            p.idle = false;
            const instant sent = finish(d, begin, size);
            p.next = sent;
            if (p.now.blackhole) {
                count_swallowed += size;
                continue;
            }
            if (p.corrupt(random, into.first(size))) ++count_corrupted;
            l.line.commit(size, sent + p.extra_delay(random));
        }
    }

    /// Connection-event mode: takes packets at each event that is due and lets them come out when they have arrived.
    void hold_events(instant now) {
        if (connections.empty()) return;
        air->hold(
            now, [this](radio::ble_way way) { return take_packet(way == radio::ble_way::up ? 0 : 1); },
            [this](radio::ble_way way, std::uint64_t owner, instant arrived) {
                const int d = way == radio::ble_way::up ? 0 : 1;
                for (connection& c : connections)
                    if (c.serial == owner && !c.dead) c.lanes[d].line.settle(arrived + pacers[d].extra_delay(random));
            });
        count_events.store(air->held());
        count_missed.store(air->missed());
        count_lost.store(air->lost());
    }
    /// One packet from whoever has waited longest since its last one.
    detail::event_air::taken take_packet(int d) {
        if (pacers[d].now.stall) return {};
        for (std::size_t left = connections.size(); left > 0; --left) {
            connection& c = connections.front();
            lane& l = c.lanes[d];
            connections.splice(connections.end(), connections, connections.begin());
            if (c.dead || c.connecting || l.ended) continue;
            std::array<std::byte, radio::ble_most_octets> packet;
            const auto into = std::span{packet}.first(l.messages.next(c.source(d).native_handle(), static_cast<std::size_t>(air->packet_bytes())));
            if (into.empty() || !l.line.takes(into.size())) continue;
            std::error_code code;
            const std::size_t size = c.source(d).read_some(asio::buffer(into.data(), into.size()), code);
            if (code == asio::error::would_block || code == asio::error::try_again) continue;
            if (code) {
                if (code == asio::error::eof) l.ended = true;
                else c.kill();
                continue;
            }
            if (pacers[d].corrupt(random, into.first(size))) ++count_corrupted;
            l.messages.took(size);
            l.line.put_open(into.first(size));
            return {.owner = c.serial, .size = static_cast<int>(size)};
        }
        return {};
    }

    bool paced(int d) const { return pacers[d].now.drip > 0 || pacers[d].now.rate.value > 0 || (d == 0 && options.trace_up); }
    double rate(int d, instant at) const {
        const pacer& p = pacers[d];
        if (p.now.drip > 0) return p.now.drip * 8;
        return p.factor * (d == 0 && options.trace_up ? options.trace_up->rate_at(since_zero(at)).value : p.now.rate.value);
    }
    std::size_t chunk_size(int d, instant now) const {
        if (pacers[d].now.drip > 0) return 1;
        if (!paced(d)) return 16 * largest_chunk;
        constexpr double chunk_seconds = 1e-3;
        return static_cast<std::size_t>(std::clamp(rate(d, now) / 8 * chunk_seconds, 16.0, static_cast<double>(largest_chunk)));
    }
    /// When the last bit of a chunk leaves that begins to leave at `begin`.
    instant finish(int d, instant begin, std::size_t size) const {
        const pacer& p = pacers[d];
        if (!paced(d)) return begin;
        if (p.now.drip <= 0 && d == 0 && options.trace_up) {
            const duration t = since_zero(begin);
            const duration done = options.trace_up->transfer_end(t, static_cast<std::size_t>(static_cast<double>(size) / p.factor));
            return begin + (done - t);
        }
        return begin + bytes{static_cast<double>(size)} / bits_per_second{rate(d, begin)};
    }

    void let_out(connection& c, int d, instant now) {
        pacer& p = pacers[d];
        lane& l = c.lanes[d];
        l.blocked = false;
        while (!p.now.stall && l.line.next_release() <= now) {
            const auto front = l.line.front();
            if (p.now.blackhole) {
                count_swallowed += front.size();
                l.line.drop(front.size());
                continue;
            }
            std::error_code code;
            const std::size_t size = c.sink(d).write_some(asio::buffer(front.data(), front.size()), code);
            if (code == asio::error::would_block || code == asio::error::try_again) {
                l.blocked = true;
                break;
            }
            if (code) return c.kill();
            count_bytes[d] += size;
            l.line.drop(size);
        }
        // Ends travel like bytes: not through a stall, not out of a black hole.
        if (l.ended && !l.passed_end && l.line.empty() && !p.now.stall && !p.now.blackhole) {
            std::error_code code;
            c.sink(d).shutdown(asio::socket_base::shutdown_send, code);
            l.passed_end = true;
        }
    }

    /// Until bytes may move: a descriptor, a chunk that is due, a free link, an edge of the script, or a command.
    void sleep() {
        instant until = next_edge;
        polled.clear();
        polled.push_back({event.descriptor(), POLLIN, 0});
        const instant now = detail::steady_now();
        if (now < accepts_again) until = std::min(until, accepts_again);
        else if (connections.size() < options.max_connections) polled.push_back({acceptor.native_handle(), POLLIN, 0});
        if (air && !connections.empty()) until = std::min(until, air->next_anchor());
        for (connection& c : connections) {
            if (c.connecting) {
                polled.push_back({c.server.native_handle(), POLLOUT, 0});
                until = std::min(until, c.give_up);
                continue;
            }
            short wanted[2]{};
            for (int d = 0; d < 2; ++d) {
                const pacer& p = pacers[d];
                const lane& l = c.lanes[d];
                if (p.now.stall) continue;
                if (l.blocked)
                    wanted[1 - d] = static_cast<short>(wanted[1 - d] | POLLOUT);
                else
                    until = std::min(until, l.line.next_release());
                if (air || l.ended || l.line.full()) continue;
                if (p.next <= now)
                    wanted[d] = static_cast<short>(wanted[d] | POLLIN);
                else
                    until = std::min(until, p.next);
            }
            // An unwanted descriptor stays out: poll reports a hang-up even if nothing was asked.
            if (wanted[0] != 0) polled.push_back({c.client.native_handle(), wanted[0], 0});
            if (wanted[1] != 0) polled.push_back({c.server.native_handle(), wanted[1], 0});
        }
        if (until > now) detail::poll_until(polled.data(), polled.size(), until);
        event.take();
    }

    relay_options options;
    splitdsl::detail::xoshiro256 random;
    asio::io_context context{1};
    detail::tcp_acceptor acceptor;
    detail::spare_descriptor spare;
    instant accepts_again{};
    std::vector<endpoint> target; // its addresses
    endpoint here{}; // where it listens
    detail::wake_event event;

    // The relay's thread only.
    std::list<connection> connections;
    pacer pacers[2]{};
    std::optional<detail::event_air> air;
    std::uint64_t last_serial{};
    std::vector<pollfd> polled;
    instant next_edge{instant::max()};
    std::uint64_t struck{};
    bool refusing{};

    mutable std::mutex guard;
    impairment settings[2]; // under guard
    std::atomic<std::uint64_t> commands{}, commands_seen{};
    std::atomic<bool> stopping{};
    std::atomic<bool> reset_wanted{};
    std::atomic<bool> accepting{true};
    std::atomic<std::int64_t> clock_zero{not_started};
    std::atomic<std::uint64_t> count_connections{}, count_refused{}, count_resets{}, count_swallowed{}, count_corrupted{}, count_open{};
    std::atomic<std::uint64_t> count_events{}, count_missed{}, count_lost{};
    std::atomic<std::uint64_t> count_bytes[2]{};
    std::thread worker;
};

} // namespace splitdsl::link
