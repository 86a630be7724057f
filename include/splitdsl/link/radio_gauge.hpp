// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file radio_gauge.hpp
/// What a radio of connection events tells its host: when the next event is, what it still holds, and how much of it arrives.
#pragma once

#include <splitdsl/radio/ble.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace splitdsl::link {

/// A controller's side of the story; stacks tell it by "radio notifications" before an event and "packets completed" after it. The relay in
/// connection-event mode fills one (`relay::gauge`), `edge_streams` reads it. Times are of `steady_clock`. Any thread may read; one writes.
///
/// ```cpp
/// edge_streams streams{net, {.radio = &relay.gauge()}};    // packets leave just before an event: until then they can be dropped
/// ```
class radio_gauge {
public:
    radio_gauge() = default;
    radio_gauge(const radio::ble_setting& s, instant first)
        : first_event{first},
          interval{s.interval},
          packet_bytes{radio::payload_octets(s)},
          packets{radio::packets_per_event(s)},
          rate{lossless(s)} {}

    /// False: there are no events to wait for.
    bool known() const noexcept { return interval.count() > 0; }
    /// The first event not before `t`.
    instant event_from(instant t) const noexcept {
        const auto k = t <= first_event ? 0 : (t - first_event + interval - duration{1}) / interval;
        return first_event + k * interval;
    }
    /// What a policy believes of the link: its rate without loss times the share that arrives, and an event's wait there and back.
    bits_per_second rate_up() const noexcept { return rate * arriving(); }
    duration round_trip() const noexcept { return interval * 3 / 2; }
    /// Share of packets that arrive (radio::arrival_share).
    double arriving() const noexcept { return share.load(std::memory_order_relaxed); }
    /// Packets that it has and has to send again.
    std::size_t waiting() const noexcept { return held.load(std::memory_order_relaxed); }
    /// The newest event of which it is known what arrived, for acknowledgements are read off the event behind; and the packets given for
    /// it and for those before that had not arrived then, or stood behind one that had not.
    struct completion {
        instant event{};
        std::int64_t undelivered{};
    };
    completion completed() const noexcept {
        const std::uint64_t both = known_of.load(std::memory_order_acquire);
        return {first_event + static_cast<std::int64_t>(both >> 32) * interval - interval, static_cast<std::int64_t>(both & 0xffff'ffffU)};
    }
    /// A message of so many bytes in packets: it begins one of its own.
    std::int64_t packets_of(std::size_t size) const noexcept { return (static_cast<std::int64_t>(size) + packet_bytes - 1) / packet_bytes; }
    /// Packets that the next event can take from the host: its own less what the radio has to send again.
    std::int64_t room() const noexcept { return packets - static_cast<std::int64_t>(waiting()); }

    /// The radio's: the event at `anchor` is over; the share that arrives, packets to be sent again, and packets that by the event before
    /// had not arrived or stood behind one that had not.
    void event_over(instant anchor, double arriving, std::size_t again, std::size_t undelivered) noexcept {
        share.store(arriving, std::memory_order_relaxed);
        held.store(again, std::memory_order_relaxed);
        known_of.store(static_cast<std::uint64_t>((anchor - first_event) / interval) << 32 | undelivered, std::memory_order_release);
    }

    instant first_event{};
    duration interval{};
    int packet_bytes{}, packets{};

private:
    static bits_per_second lossless(radio::ble_setting s) {
        s.loss = 0;
        return radio::sustained_rate(s);
    }
    bits_per_second rate{};
    std::atomic<double> share{1};
    std::atomic<std::size_t> held{};
    std::atomic<std::uint64_t> known_of{}; // the last event's number, and what was undelivered before it
};

} // namespace splitdsl::link
