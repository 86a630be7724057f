// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file virtual_link.hpp
/// A link in simulated time: when what was sent arrives, and in which state. No threads, no clock, no allocation after set-up.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/link/fault.hpp>
#include <splitdsl/link/trace.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace splitdsl::link {

/// One arrival. A reset is not a message: it ends the connection at `time`.
struct delivery {
    instant first{}; ///< first byte at the receiver
    instant time{};  ///< last byte at the receiver
    bool corrupted{};
    bool duplicate{}; ///< the second copy
    bool reset{};
};

/// What became of one message: none, one or two arrivals, in the order in which they were made (not of time).
struct deliveries {
    bool accepted{true}; ///< false: the buffer had no room, nothing was taken (`would_block`)
    std::uint8_t count{};
    std::array<delivery, 2> arrival{};

    const delivery* begin() const { return arrival.data(); }
    const delivery* end() const { return arrival.data() + count; }
    bool lost() const { return accepted && count == 0; }
};

/// One direction's rate, delay, buffer and faults. Refused by virtual_channel (option_error): faults out of range, a negative delay or jitter.
struct virtual_channel_options {
    std::shared_ptr<const link_trace> rate{};     ///< null: as fast as it comes
    duration delay{std::chrono::milliseconds{5}}; ///< one way
    duration jitter{};                            ///< up to so much more, uniform; order is kept
    std::size_t buffer_bytes{16 * 1024};          ///< unsent; one message is always taken when nothing is queued
    std::vector<fault> faults{};
    std::uint64_t seed{1};
    direction way{direction::up}; ///< which of the script's faults concern it
};

/// One direction: a queue of bounded size, a server whose rate follows a trace, a delay, and a fault script.
///
/// Time may not run backwards between calls. Copyable: a copy continues from the same state. Cost of `send`: O(faults + log trace).
/// `option_error` for faults out of range or negative times. Results are simulated.
///
/// ```cpp
/// virtual_channel up{{.rate = std::make_shared<const link_trace>(generate({}, 7)), .delay = 5ms}};
/// for (const delivery& d : up.send(now, 936)) schedule(d.time, d);
/// ```
class virtual_channel {
public:
    explicit virtual_channel(virtual_channel_options chosen, instant origin = {})
        : options{std::move(chosen)},
          zero{origin},
          idle_from{origin},
          last_arrival{origin},
          random{options.seed} {
        require_valid(std::span<const fault>{options.faults});
        if (options.delay < duration{0} || options.jitter < duration{0})
            throw option_error("virtual channel: expected a delay and a jitter of 0 or more");
        std::erase_if(options.faults, [&](const fault& f) { return !f.concerns(options.way); });
    }

    deliveries send(instant now, std::size_t byte_count) {
        deliveries result;
        forget_sent(now);
        if (queued_messages == max_queued || (queued_messages > 0 && queued_bytes + byte_count > options.buffer_bytes)) {
            result.accepted = false;
            return result;
        }
        if (refused(now)) return add_reset(result, now + options.delay);
        if (answered_by_a_stranger(now)) return add_reset(result, now + 2 * options.delay);

        const instant begin = std::max(now, idle_from);
        const instant sent = finish(begin, byte_count);
        idle_from = sent;
        queue(sent, byte_count);

        const duration extra = options.delay + added_delay(now) + jitter_of(now);
        const bool hold_back = drawn(fault_kind::reorder, now, 0.5);
        delivery d{.first = begin + extra, .time = later(sent, extra)};
        if (hold_back) {
            d.first += from_seconds(parameter_of(fault_kind::reorder, now));
            d.time = later(d.time, from_seconds(parameter_of(fault_kind::reorder, now)));
        } else {
            d.first = std::max(d.first, last_arrival);
            d.time = std::max(d.time, last_arrival);
        }
        if (const instant reset = next_reset(now); reset <= d.time) {
            idle_from = reset;
            queued_messages = 0;
            queued_bytes = 0;
            last_arrival = reset;
            return add_reset(result, reset);
        }
        // Drawn in a fixed order, whatever comes of it, so that one fault's luck does not depend on another's.
        const bool lost = drawn(fault_kind::loss, now, parameter_of(fault_kind::loss, now));
        const bool burst = in_burst(now);
        d.corrupted = drawn(fault_kind::corruption, now, parameter_of(fault_kind::corruption, now));
        const bool twice = drawn(fault_kind::duplicate, now, parameter_of(fault_kind::duplicate, now));
        if (!hold_back) last_arrival = d.time;
        if (lost || burst || swallowed(now, d.time) || d.time >= forever()) return result;
        result.arrival[result.count++] = d;
        if (twice) {
            const duration apart = from_seconds(random.uniform() * (2 * to_seconds(options.delay) + 0.01));
            result.arrival[result.count++] = {d.first + apart, d.time + apart, d.corrupted, true, false};
        }
        return result;
    }

    /// Bytes accepted whose last bit has not left yet.
    std::size_t queued(instant now) {
        forget_sent(now);
        return queued_bytes;
    }

    /// When the link has sent all it took: the earliest time at which a new message starts to move.
    instant free_from() const { return idle_from; }

    /// Start of the next reset after `now`; `instant::max()` if none is to come.
    instant next_reset(instant now) const {
        instant next = instant::max();
        for (const fault& f : options.faults)
            if (f.kind == fault_kind::reset && zero + f.start > now) next = std::min(next, zero + f.start);
        return next;
    }

    /// True while a new connection cannot come about.
    bool refused(instant now) const { return parameter_index(fault_kind::reset, now) >= 0; }

    /// A new connection was made: what waited of the old one is gone, and what was half open is no longer known.
    void reconnect(instant now) {
        forget_sent(now);
        queued_messages = 0;
        queued_bytes = 0;
        idle_from = now;
        last_arrival = now;
        for (std::size_t i = 0; i < options.faults.size(); ++i)
            if (options.faults[i].kind == fault_kind::half_open && now - zero >= options.faults[i].end) noticed |= std::uint64_t{1} << i;
    }

    bits_per_second rate_at(instant now) const {
        const duration t = now - zero;
        const pace p = pace_at(t);
        if (p.stalled) return {0};
        if (p.drip > 0) return {static_cast<double>(p.drip)};
        if (!options.rate) return {link_trace::max_kbps * 1e3};
        return options.rate->rate_at(t) * (static_cast<double>(p.factor) / one);
    }

private:
    using wide = link_trace::wide;
    static constexpr std::uint64_t one = 1u << 20; // fixed point, so that no rounding mode matters
    static constexpr int max_queued = 64;

    struct pace {
        std::uint64_t factor{one};
        std::uint64_t drip{}; // bits per second, 0: none
        bool stalled{};
        duration until{duration::max()};
    };

    instant forever() const { return zero + link_trace::never; }
    static instant later(instant t, duration d) { return d > instant::max() - t ? instant::max() : t + d; }

    pace pace_at(duration t) const {
        pace p;
        for (const fault& f : options.faults) {
            const bool matters = f.kind == fault_kind::rate_collapse || f.kind == fault_kind::stall || f.kind == fault_kind::slow_drip;
            if (!matters || f.end <= t) continue;
            p.until = std::min(p.until, f.start > t ? f.start : f.end);
            if (!f.active(t)) continue;
            if (f.kind == fault_kind::rate_collapse)
                p.factor = std::min(p.factor, static_cast<std::uint64_t>(f.parameter * static_cast<double>(one)));
            else if (f.kind == fault_kind::slow_drip)
                p.drip = static_cast<std::uint64_t>(std::max(f.parameter * 8, 1.0));
            else
                p.stalled = true;
        }
        if (p.factor == 0) p.stalled = true;
        return p;
    }

    /// When the last bit leaves: the trace's integral, piece by piece between the edges of the script.
    instant finish(instant begin, std::size_t byte_count) const {
        duration t = begin - zero;
        wide left = wide{byte_count} * 8 * link_trace::nanoseconds_per_second * one;
        while (left > 0) {
            const pace p = pace_at(t);
            if (!p.stalled) {
                duration done = t;
                if (p.drip > 0)
                    done = later_duration(t, (left + wide{p.drip} * one - 1) / (wide{p.drip} * one));
                else if (options.rate)
                    done = options.rate->finish_of(t, (left + p.factor - 1) / p.factor);
                if (done <= p.until) return zero + done;
                const wide served = p.drip > 0 ? wide{p.drip} * one * static_cast<std::uint64_t>((p.until - t).count())
                                               : options.rate->work_between(t, p.until) * p.factor;
                left -= std::min(left, served);
            }
            if (p.until == duration::max()) return forever();
            t = p.until;
        }
        return zero + t;
    }
    static duration later_duration(duration t, wide nanoseconds) {
        const auto room = static_cast<wide>((link_trace::never - t).count());
        return nanoseconds < room ? t + duration{static_cast<std::int64_t>(nanoseconds)} : link_trace::never;
    }

    int parameter_index(fault_kind kind, instant now) const {
        for (std::size_t i = 0; i < options.faults.size(); ++i)
            if (options.faults[i].kind == kind && options.faults[i].active(now - zero)) return static_cast<int>(i);
        return -1;
    }
    double parameter_of(fault_kind kind, instant now) const {
        const int i = parameter_index(kind, now);
        return i < 0 ? 0 : options.faults[static_cast<std::size_t>(i)].parameter;
    }
    bool drawn(fault_kind kind, instant now, double probability) { return parameter_index(kind, now) >= 0 && random.chance(probability); }
    duration added_delay(instant now) const { return from_seconds(parameter_of(fault_kind::delay_step, now)); }
    duration jitter_of(instant now) {
        const double most = to_seconds(options.jitter) + parameter_of(fault_kind::jitter, now);
        return most > 0 ? from_seconds(most * random.uniform()) : duration{0};
    }

    /// Two states; leaving the bad one with 1/8 a message makes bursts of eight, entering it is chosen to give the share.
    bool in_burst(instant now) {
        const double share = parameter_of(fault_kind::burst, now);
        if (share <= 0) return bursting = false;
        constexpr double leave = 1.0 / 8;
        bursting = bursting ? !random.chance(leave) : random.chance(leave * share / (1 - share));
        return bursting;
    }

    bool swallowed(instant sent, instant arrives) const {
        for (const fault& f : options.faults)
            if ((f.kind == fault_kind::blackhole || f.kind == fault_kind::half_open) && sent < zero + f.end && arrives >= zero + f.start)
                return true;
        return false;
    }

    /// After a half-open spell the peer knows nothing of this connection and resets it, once.
    bool answered_by_a_stranger(instant now) {
        for (std::size_t i = 0; i < options.faults.size(); ++i) {
            const std::uint64_t bit = std::uint64_t{1} << i;
            if (options.faults[i].kind == fault_kind::half_open && now - zero >= options.faults[i].end && (noticed & bit) == 0) {
                noticed |= bit;
                return true;
            }
        }
        return false;
    }

    static deliveries add_reset(deliveries& result, instant when) {
        result.arrival[0] = {.first = when, .time = when, .reset = true};
        result.count = 1;
        return result;
    }

    void queue(instant sent, std::size_t byte_count) {
        waiting[static_cast<std::size_t>((first_queued + queued_messages) % max_queued)] = {sent, byte_count};
        ++queued_messages;
        queued_bytes += byte_count;
    }
    void forget_sent(instant now) {
        while (queued_messages > 0 && waiting[static_cast<std::size_t>(first_queued)].sent <= now) {
            queued_bytes -= waiting[static_cast<std::size_t>(first_queued)].size;
            first_queued = (first_queued + 1) % max_queued;
            --queued_messages;
        }
    }

    struct waiting_message {
        instant sent{};
        std::size_t size{};
    };
    virtual_channel_options options;
    instant zero;
    instant idle_from;
    instant last_arrival;
    splitdsl::detail::xoshiro256 random;
    std::array<waiting_message, max_queued> waiting{};
    int first_queued{};
    int queued_messages{};
    std::size_t queued_bytes{};
    std::uint64_t noticed{};
    bool bursting{};
};

/// Both directions of one link: as virtual_channel_options, with the same jitter, buffer and script each way.
struct virtual_link_options {
    std::shared_ptr<const link_trace> rate_up{};
    std::shared_ptr<const link_trace> rate_down{};
    duration round_trip{std::chrono::milliseconds{10}}; ///< half of it each way
    duration jitter{};
    std::size_t buffer_bytes{16 * 1024};
    std::vector<fault> faults{};
    std::uint64_t seed{1};
};

/// Two channels, one each way, that draw from seeds of their own: `seed`, and `seed` with the letters "down" over it.
///
/// Refused (option_error): what virtual_channel refuses.
struct virtual_link {
    explicit virtual_link(const virtual_link_options& o, instant origin = {})
        : up{{o.rate_up, o.round_trip / 2, o.jitter, o.buffer_bytes, o.faults, o.seed, direction::up}, origin},
          down{{o.rate_down, o.round_trip / 2, o.jitter, o.buffer_bytes, o.faults, o.seed ^ 0x646f776eu, direction::down}, origin} {}

    void reconnect(instant now) {
        up.reconnect(now);
        down.reconnect(now);
    }
    bool refused(instant now) const { return up.refused(now) || down.refused(now); }
    instant next_reset(instant now) const { return std::min(up.next_reset(now), down.next_reset(now)); }

    virtual_channel up;
    virtual_channel down;
};

} // namespace splitdsl::link
