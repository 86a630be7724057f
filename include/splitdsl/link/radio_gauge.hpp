// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file radio_gauge.hpp
/// What a radio of connection events tells its host: when the next event is, what it still holds, and how much of it arrives.
#pragma once

#include <splitdsl/radio/ble.hpp>

#include <algorithm>
#include <atomic>
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
    /// Share of packets that arrive, a running mean over about 64.
    double arriving() const noexcept { return share.load(std::memory_order_relaxed); }
    /// Packets that it has and has to send again.
    std::size_t waiting() const noexcept { return static_cast<std::size_t>(std::max<std::int64_t>(held.load(std::memory_order_relaxed), 0)); }
    /// Bytes that the next event can take from the host: its own less what the radio has to send again.
    std::int64_t room() const noexcept {
        return std::int64_t{packet_bytes} * packets - held.load(std::memory_order_relaxed) * packet_bytes;
    }

    /// The radio's: an event is over; since the one before so many packets were sent and lost, and so many are still here.
    void event_over(std::uint64_t sent, std::uint64_t lost, std::size_t left) noexcept {
        double s = share.load(std::memory_order_relaxed);
        for (std::uint64_t i = 0; i < sent; ++i) s += ((i < lost ? 0.0 : 1.0) - s) / 64;
        share.store(s, std::memory_order_relaxed);
        held.store(static_cast<std::int64_t>(left), std::memory_order_relaxed);
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
    std::atomic<std::int64_t> held{};
};

} // namespace splitdsl::link
