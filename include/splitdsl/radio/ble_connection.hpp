// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_connection.hpp
/// A BLE connection in virtual time: which queued packet goes out in which connection event, when it arrives, and when that is known.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/radio/ble.hpp>
#include <splitdsl/radio/packet_line.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace splitdsl::radio {

enum class ble_way : std::uint8_t { up, down };   ///< up: from the peripheral (the device) to the central
enum class ble_fate : std::uint8_t {
    delivered,
    lost,      ///< in the air, and not sent again (unreliable, or `most_tries` reached)
    dropped    ///< by `drop`
};

/// What became of one packet.
struct ble_report {
    std::uint64_t tag{};     ///< the caller's
    ble_way way{};
    ble_fate fate{};
    int size{};              ///< the user's bytes
    int tries{};             ///< 0 for a packet dropped before its first
    std::int64_t event{};    ///< of the last try; -1 without one
    instant queued{};
    instant sent{};          ///< its last try began
    instant arrived{};       ///< delivered only: it and all before it were there
    instant known{};         ///< the sender knows of it and all before it: the next event's acknowledgement, or its absence
};

/// Share of a direction's packets that arrive, a running mean over about 64 tries.
class arrival_share {
public:
    constexpr arrival_share() = default;
    constexpr explicit arrival_share(double begin) : share{begin} {}
    constexpr void tell(bool arrived) { share += ((arrived ? 1.0 : 0.0) - share) / 64; }
    constexpr double value() const { return share; }

private:
    double share{1};
};

/// What the peripheral's radio did, for ble_energy.hpp.
struct ble_activity {
    std::int64_t events{};   ///< the peripheral took part in
    std::int64_t exchanges{};
    duration transmitting{};
    duration receiving{};
    duration switching{};    ///< the spaces between packets
    friend constexpr ble_activity operator-(ble_activity a, const ble_activity& b) {
        return {a.events - b.events, a.exchanges - b.exchanges, a.transmitting - b.transmitting, a.receiving - b.receiving, a.switching - b.switching};
    }
};

/// Both ends of a connection and the air between them. Connection events come every interval from the first anchor on. In an event the
/// central sends and the peripheral answers, packet by packet, until neither has more, the count or (under `ble_cap::airtime`) the
/// interval is used up. What is queued at an event's anchor takes part in it. Per direction, packets are sent, arrive and are reported in
/// the order they were queued; a packet that is sent again holds back those behind it. When both directions want the same remaining
/// airtime they take turns.
///
/// Simplified, as in FLEET: every acknowledgement is read off the next event though the link layer knows sooner; acknowledgements are
/// never lost; a lost packet uses its airtime and does not end the event.
///
/// Deterministic: the same calls and seed give the same reports. Cost: O(1) for a stretch without data however long, else O(packets) an
/// event; allocates only while its queues grow, to `most_queued` packets a direction. One thread. Refused (option_error): what
/// `require_valid` refuses.
///
/// ```cpp
/// splitdsl::radio::ble_connection air{{.interval = 10ms, .loss = 0.1}};
/// air.queue_bytes(ble_way::up, 1, 3012, t);
/// air.run(t + 25ms, [](const ble_report& r) { ... });
/// ```
class ble_connection {
public:
    static constexpr std::size_t most_queued = 65'536;

    explicit ble_connection(const ble_setting& chosen, std::uint64_t seed = 1, instant first_anchor = {})
        : s{chosen}, random{seed}, origin{first_anchor}, salt{seed} {
        require_valid(s);
        capacity = packets_per_event(s);
    }

    const ble_setting& setting() const { return s; }

    /// One packet of 1 to `payload_octets` bytes that is there from `at` on, not earlier than those before it. False if it does not fit
    /// a packet or the queue is full.
    bool queue(ble_way way, std::uint64_t tag, int size, instant at) {
        lane& l = lanes[index(way)];
        if (size < 1 || size > payload_octets(s) || l.count() == most_queued) return false;
        l.compact();
        l.packets.push_back({.tag = tag, .size = size, .ready = l.count() > 0 ? std::max(at, l.packets.back().ready) : at});
        ++l.waiting;
        return true;
    }
    /// So many bytes in as few packets as possible. The number of packets; 0, and nothing queued, if there is no room for all.
    int queue_bytes(ble_way way, std::uint64_t tag, std::int64_t size, instant at) {
        const std::int64_t most = payload_octets(s);
        const std::int64_t needed = size / most + (size % most != 0 ? 1 : 0);
        if (size < 1 || needed > static_cast<std::int64_t>(most_queued - lanes[index(way)].count())) return 0;
        for (std::int64_t left = size; left > 0; left -= most) queue(way, tag, static_cast<int>(std::min(left, most)), at);
        return static_cast<int>(needed);
    }

    /// Packets of a direction that have not arrived.
    std::size_t waiting(ble_way way) const { return lanes[index(way)].waiting; }

    /// The next event's anchor.
    instant next_anchor() const { return anchor(next); }
    /// The anchor of the next event in which data can move; `instant::max()` if nothing waits.
    instant next_with_data() const {
        const std::int64_t k = next_busy();
        return k == never ? instant::max() : anchor(k);
    }

    /// Holds all events with an anchor up to `until` and reports each packet whose fate they decide. `report` takes a `const ble_report&`
    /// and may queue more.
    template <class Report>
    void run(instant until, Report&& report) {
        if (until < anchor(next)) return;
        const std::int64_t end = (until - origin) / s.interval + 1;   // the first event that is not held now
        while (next < end) {
            const std::int64_t busy = std::min(next_busy(), end);
            idle(busy);
            if (busy == end) return;
            hold();
            for (const ble_way way : {ble_way::up, ble_way::down}) release(way, report);
            ++next;
        }
    }

    /// Passes over all events with an anchor before `until`: neither side takes part.
    void miss(instant until) {
        if (until <= anchor(next)) return;
        next = event_at(until);
        attended = std::max(attended, next - 1);
    }

    /// Drops what has not arrived, as FLEET does with a layer's features once the next layer's are there; but for packets of which
    /// `spared(tag, tries)` holds: what was on the air already a radio sends again whatever its host thinks of it.
    template <class Report, class Spared>
    void drop(ble_way way, Report&& report, Spared spared) {
        lane& l = lanes[index(way)];
        for (std::size_t i = l.head; i < l.packets.size(); ++i)
            if (packet& p = l.packets[i]; p.state == fate_of::open && !spared(p.tag, p.tries)) {
                p.state = fate_of::dropped;
                --l.waiting;
            }
        release(way, report);
    }
    template <class Report>
    void drop(ble_way way, Report&& report) {
        drop(way, report, [](std::uint64_t, int) { return false; });
    }

    /// Packets put on the air so far, each try of them, and those of them that were lost.
    struct tries {
        std::uint64_t sent{}, lost{};
    };
    const tries& tried(ble_way way) const { return lanes[index(way)].tried; }
    /// Of these tries the share that arrived lately: what both ends of a comparison take for the link's quality.
    const arrival_share& arriving(ble_way way) const { return lanes[index(way)].share; }
    /// What the share was when this connection is taken up.
    void take_up(ble_way way, arrival_share before) { lanes[index(way)].share = before; }
    /// Packets of a direction that have not arrived, or wait behind one that has not.
    std::size_t undelivered(ble_way way) const { return lanes[index(way)].count(); }

    /// What the peripheral did in the events held so far.
    const ble_activity& activity() const { return done; }

private:
    static constexpr std::int64_t never = INT64_MAX;
    enum class fate_of : std::uint8_t { open, arrived, lost, dropped };
    struct packet {
        std::uint64_t tag{};
        int size{};
        int tries{};
        fate_of state{fate_of::open};
        std::int64_t event{-1};
        instant ready{};
        instant sent{}, arrived{};
    };
    struct lane : detail::packet_line<packet> {
        using detail::packet_line<packet>::packets;
        std::size_t waiting{};            // open
        std::int64_t data_from{};         // reliable: the first event that may carry data again
        tries tried{};
        arrival_share share{};
        std::int64_t last_event{-1};      // of the tries of those reported
        instant last_arrival{instant::min()};

        std::size_t first_open(std::size_t from) const {
            while (from < packets.size() && packets[from].state != fate_of::open) ++from;
            return from;
        }
    };

    static constexpr std::size_t index(ble_way w) { return w == ble_way::up ? 0 : 1; }
    instant anchor(std::int64_t k) const { return origin + k * s.interval; }
    /// The first event whose anchor is not before `t`.
    std::int64_t event_at(instant t) const { return t <= origin ? 0 : (t - origin + s.interval - duration{1}) / s.interval; }

    /// The next event that moves data.
    std::int64_t next_busy() const {
        std::int64_t first = never;
        for (const lane& l : lanes) {
            if (l.waiting == 0) continue;
            std::int64_t k = std::max({next, l.data_from, event_at(l.packets[l.first_open(l.head)].ready)});
            // The central has to wait until the peripheral listens.
            if (&l == &lanes[1]) k = listened(k);
            first = std::min(first, k);
        }
        return first;
    }
    /// The first event from `k` on at which the peripheral listens though it has nothing to say.
    std::int64_t listened(std::int64_t k) const {
        const std::int64_t step = s.peripheral_latency + 1;
        const std::int64_t from = must_attend >= next ? must_attend : attended;
        return k <= from ? from : from + (k - from + step - 1) / step * step;
    }

    /// Empty events from `next` to before `end`: a poll and its answer in each the peripheral does not sleep through.
    void idle(std::int64_t end) {
        while (next < end) {
            const std::int64_t step = s.peripheral_latency + 1;
            const std::int64_t first = must_attend >= next ? must_attend : std::max(next, attended + step);
            if (first >= end) break;
            const std::int64_t times = must_attend >= next ? 1 : (end - 1 - first) / step + 1;
            exchange(0, 0, times);
            done.events += times;
            attended = first + (times - 1) * step;
            next = attended + 1;
        }
        next = std::max(next, end);
    }

    /// `times` exchanges in the books.
    void exchange(int up, int down, std::int64_t times = 1) {
        done.exchanges += times;
        done.transmitting += times * pdu_airtime(s.phy, up, s.encrypted);
        done.receiving += times * pdu_airtime(s.phy, down, s.encrypted);
        done.switching += times * 2 * ble_frame_space;
    }

    /// The event `next`, in which data can move.
    void hold() {
        const instant start = anchor(next);
        std::size_t at[2]{};
        int left[2]{capacity, capacity};
        for (std::size_t w = 0; w < 2; ++w) {
            at[w] = lanes[w].first_open(lanes[w].head);
            if (next < lanes[w].data_from) left[w] = 0;
        }
        ++done.events;
        attended = next;
        duration used{};
        const auto offered = [&](std::size_t w) {
            if (left[w] == 0 || at[w] == lanes[w].packets.size()) return 0;
            const packet& p = lanes[w].packets[at[w]];
            return p.ready <= start ? p.size + s.header_octets : 0;
        };
        bool moved[2]{};
        for (;;) {
            int octets[2]{offered(0), offered(1)};
            const auto fits = [&] {
                return s.cap == ble_cap::count_only || used + exchange_airtime(s.phy, octets[0], octets[1], s.encrypted) <= s.interval;
            };
            if (octets[0] > 0 && octets[1] > 0 && !fits()) {
                octets[yields] = 0;
                yields = 1 - yields;
            }
            if ((octets[0] == 0 && octets[1] == 0) || !fits()) break;
            const duration down_time = pdu_airtime(s.phy, octets[1], s.encrypted);
            const duration begins[2]{used + down_time + ble_frame_space, used};
            for (const std::size_t w : {std::size_t{1}, std::size_t{0}}) {   // the central sends first
                if (octets[w] == 0) continue;
                packet& p = lanes[w].packets[at[w]];
                ++p.tries;
                p.event = next;
                // A count that does not fit is made to: what runs over is taken as done by the next event.
                p.sent = start + std::min(begins[w], s.interval);
                p.arrived = start + std::min(begins[w] + pdu_airtime(s.phy, octets[w], s.encrypted), s.interval);
                const bool gone = lost(w, capacity - left[w]);
                ++lanes[w].tried.sent;
                lanes[w].tried.lost += gone;
                lanes[w].share.tell(!gone);
                if (!gone) p.state = fate_of::arrived;
                else if (s.delivery == ble_delivery::unreliable || (s.most_tries > 0 && p.tries >= s.most_tries)) p.state = fate_of::lost;
                if (p.state != fate_of::open) --lanes[w].waiting;
                --left[w];
                moved[w] = true;
                at[w] = lanes[w].first_open(at[w] + 1);
            }
            exchange(octets[0], octets[1]);
            used += exchange_airtime(s.phy, octets[0], octets[1], s.encrypted);
        }
        for (std::size_t w = 0; w < 2; ++w) {
            if (!moved[w]) continue;
            must_attend = next + 1;
            if (s.delivery == ble_delivery::reliable) lanes[w].data_from = next + 2;
        }
    }

    /// Drawn for every packet, so that a seed means the same losses at every setting that sends the same packets.
    bool lost(std::size_t way, int place) {
        if (!s.loss_by_place) return random.chance(s.loss);
        return splitdsl::detail::xoshiro256{salt ^ (static_cast<std::uint64_t>(next) << 8 | static_cast<std::uint64_t>(place) << 1 | way) * 0x9e3779b97f4a7c15u}.chance(s.loss);
    }

    /// Reports, in order, the packets of a direction whose fate is decided.
    template <class Report>
    void release(ble_way way, Report& report) {
        lane& l = lanes[index(way)];
        const duration empty = pdu_airtime(s.phy, 0);
        while (l.head < l.packets.size() && l.packets[l.head].state != fate_of::open) {
            const packet p = l.packets[l.head++];   // a copy: the caller may queue more while it is told
            // The central speaks first, so its acknowledgement comes earlier in the event than the peripheral's.
            const duration heard = way == ble_way::up ? empty : empty + ble_frame_space + empty;
            if (p.tries > 0) l.last_event = std::max(l.last_event, p.event);
            ble_report r{.tag = p.tag, .way = way, .fate = ble_fate::dropped, .size = p.size, .tries = p.tries, .event = p.event, .queued = p.ready,
                         .sent = p.sent, .arrived = {}, .known = p.tries > 0 ? anchor(l.last_event + 1) + heard : p.ready};
            if (p.state == fate_of::lost) r.fate = ble_fate::lost;
            if (p.state == fate_of::arrived) {
                r.fate = ble_fate::delivered;
                r.arrived = l.last_arrival = std::max(l.last_arrival, p.arrived);
            }
            report(static_cast<const ble_report&>(r));
        }
    }

    ble_setting s;
    splitdsl::detail::xoshiro256 random;
    instant origin;
    std::uint64_t salt;
    int capacity{};
    lane lanes[2];
    std::size_t yields{1};               // which direction waits when only one packet fits
    std::int64_t next{};                 // the first event not held yet
    std::int64_t attended{-1};           // the last event the peripheral took part in
    std::int64_t must_attend{-1};        // an acknowledgement is due
    ble_activity done;
};

} // namespace splitdsl::radio
