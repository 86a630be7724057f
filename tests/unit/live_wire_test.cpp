// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live_wire_test.cpp
/// The relay's radio and the simulator's are one model: the same packets in the same events, the same losses, and so the same frames.
#include "ble_runs.hpp"
#include "fleet_cases.hpp"

#include <splitdsl/link/event_air.hpp>
#include <splitdsl/sim/fleet_simulator.hpp>

#include <deque>

using namespace splitdsl;
using namespace splitdsl::radio;
using namespace std::chrono_literals;
using namespace testing;

namespace {

constexpr std::size_t index_of(ble_way w) { return w == ble_way::up ? 0 : 1; }

/// A device that runs `small_case`'s stages, a cloud that answers after 5 ms and, between them, the radio that the relay plays: what the
/// live runtime does, by hand.
class played_by_the_relay {
public:
    struct outcome {
        duration latency{};
        bool by_cloud{};
        int label{};
        double arriving{};
    };

    played_by_the_relay(const sim::fleet_world& w, std::uint64_t seed) : world{w}, air{w.radio, seed, instant{}} {}

    outcome run(instant start) {
        pass(start);
        ++now_running;
        open = true;
        outcome f{.latency = whole, .label = 9, .arriving = air.gauge().arriving()};
        pass(start + 20ms);
        std::int64_t before = 0;
        for (const std::int64_t end : world.network.stages[0].stream_packets) {
            put(ble_way::up, {now_running, static_cast<int>(end - before), false, end}, start + 20ms + world.wire->closes);
            before = end;
        }
        heard = 0;
        pass(start + whole);
        if (heard > 0 && heard_at < start + whole) f = {heard_at - start, true, heard, f.arriving};
        open = false;
        const instant over = start + f.latency;
        const duration to_event = world.radio.interval - over.time_since_epoch() % world.radio.interval;
        // What the host has not given to the radio for the next event is dropped; a stop is not.
        int given = 0, room = to_event < world.wire->ahead ? packets_per_event(world.radio) - static_cast<int>(air.gauge().waiting()) : 0;
        std::erase_if(waiting[0], [&](const auto& m) { return given++ >= room && !m.second.stop; });
        put(ble_way::up, {now_running, world.wire->stop_bytes, true, 0}, over + world.wire->closes);
        return f;
    }

private:
    struct message {
        std::uint32_t frame{};
        int size{};
        bool stop{};
        std::int64_t end{}; // up: bytes of the stream that are there with it; down: the size that is answered
    };
    void put(ble_way way, message m, instant ready) { waiting[index_of(way)].emplace_back(ready, m); }

    /// Events, arrivals and the cloud up to `until`, or to an accepted answer.
    void pass(instant until) {
        while (true) {
            const instant event = air.next_anchor(), done = works ? works_until : instant::max();
            if (std::min(event, done) >= until) return;
            if (done <= event) {
                works = false;
                put(ble_way::down, {asked_frame, world.reply_bytes, false, asked_size}, done);
                for (; stops > 0; --stops) put(ble_way::down, {0, world.wire->stop_ack_bytes, true, 0}, done);
                ask(done);
                continue;
            }
            hold(event);
            if (open && heard > 0 && heard_at < until) return;
        }
    }
    void hold(instant event) {
        bool news = false;
        instant last{};
        std::vector<instant> stopped_at;
        air.hold(
            event,
            [&](ble_way way) {
                auto& from = waiting[index_of(way)];
                if (from.empty() || from.front().first > event) return link::detail::event_air::taken{};
                sent.push_back(from.front().second);
                from.pop_front();
                return link::detail::event_air::taken{.owner = sent.size() - 1, .size = sent.back().size};
            },
            [&](ble_way way, std::uint64_t owner, instant arrived) {
                const message m = sent[owner];
                if (way == ble_way::down) {
                    if (m.stop || m.frame != now_running || !open || heard > 0) return;
                    heard = static_cast<int>(m.end);
                    heard_at = arrived;
                } else if (m.stop) {
                    stopped = stopped || m.frame == cloud_frame;
                    stopped_at.push_back(arrived);
                } else {
                    if (m.frame != cloud_frame) cloud_frame = m.frame, there = 0, asked_size = 0, stopped = false, news = false;
                    const auto& sizes = world.network.stages[0].stream;
                    while (there < static_cast<int>(sizes.size()) && sizes[static_cast<std::size_t>(there)] <= m.end) ++there, news = true;
                    last = arrived;
                }
            });
        for (const instant t : stopped_at)
            works&& works_until > t ? void(++stops) : put(ble_way::down, {0, world.wire->stop_ack_bytes, true, 0}, t);
        if (news) ask(last);
    }
    void ask(instant when) {
        if (works || stopped || there == 0 || (asked_frame == cloud_frame && asked_size == there)) return;
        asked_frame = cloud_frame;
        asked_size = there;
        works = true;
        works_until = when + world.cloud;
    }

    const sim::fleet_world& world;
    const duration whole{world.times.rest(0)};
    link::detail::event_air air;
    std::deque<std::pair<instant, message>> waiting[2];
    std::vector<message> sent;
    std::uint32_t now_running{}, cloud_frame{}, asked_frame{};
    int there{}, asked_size{}, heard{}, stops{};
    instant heard_at{}, works_until{};
    bool works{}, stopped{}, open{};
};

} // namespace

TEST_CASE("the relay's radio and the model, given the same packets, move the same ones in the same events, lost ones and both ways") {
    for (const double loss : {0.0, 0.2, 0.5})
        for (const bool by_place : {true, false}) {
            CAPTURE(loss, by_place);
            const ble_setting s{
                .interval = 15ms, .packets = 4, .delivery = ble_delivery::resending, .loss = loss, .loss_by_place = by_place};
            ble_connection model{s, 7};
            link::detail::event_air relay{s, 7, at(0ms)};
            splitdsl::detail::xoshiro256 dice{3};
            std::deque<std::pair<instant, std::pair<std::uint64_t, int>>> host[2];
            std::vector<std::pair<std::uint64_t, instant>> by_model[2], by_relay[2];
            instant now{}, written{};
            std::uint64_t tag = 0;
            bool same_share = true;
            while (model.next_anchor() < at(30s)) {
                now += from_seconds(dice.uniform() * 0.012);
                for (; written <= now; written += from_seconds(dice.uniform() * 0.008)) {
                    const std::size_t w = dice.chance(0.6) ? 0 : 1;
                    const int size = 1 + static_cast<int>(dice.uniform() * 250);
                    REQUIRE(model.queue(w == 0 ? ble_way::up : ble_way::down, ++tag, size, written));
                    host[w].push_back({written, {tag, size}});
                }
                model.run(now, [&](const ble_report& r) { by_model[index_of(r.way)].emplace_back(r.tag, r.arrived); });
                relay.hold(
                    now,
                    [&](ble_way way) {
                        auto& from = host[index_of(way)];
                        if (from.empty() || from.front().first > relay.next_anchor()) return link::detail::event_air::taken{};
                        const auto [owner, size] = from.front().second;
                        from.pop_front();
                        return link::detail::event_air::taken{owner, size};
                    },
                    [&](ble_way way, std::uint64_t owner, instant arrived) { by_relay[index_of(way)].emplace_back(owner, arrived); });
                same_share &= relay.gauge().arriving() == model.arriving(ble_way::up).value();
            }
            CHECK(same_share);
            CHECK((by_model[0].size() > 1000 && by_model[1].size() > 500));
            CHECK(by_model[0] == by_relay[0]);
            CHECK(by_model[1] == by_relay[1]);
            CHECK((loss > 0) == (relay.lost() > 0));
        }
}

TEST_CASE("simulated frames are those that a device and a cloud have over the relay's radio, whatever is lost") {
    for (const double loss : {0.0, 0.1, 0.3, 0.6, 1.0}) {
        CAPTURE(loss);
        small_case c{{100, 220, 300},
                     {.interval = 10ms, .packets = 2, .delivery = ble_delivery::resending, .loss = loss, .loss_by_place = true}};
        c.world.times.stage[1] = 40ms;
        c.world.network.stages[0].stream_packets = {100, 220, 300};
        c.world.wire = sim::live_wire{.stop_bytes = 48, .stop_ack_bytes = 48, .ahead = 2ms, .closes = 1ms};
        c.world.reply_bytes = 88;
        sim::fleet_simulator run{policy::fleet{policy::fleet_plan(1, 3, 0.7F)}, c.world, c.answers, 5};
        played_by_the_relay live{c.world, 5};
        splitdsl::detail::xoshiro256 dice{11};
        instant start{};
        int by_cloud = 0, large = 0;
        for (int k = 0; k < 500; ++k) {
            start += 10ms + from_seconds(dice.uniform() * 0.01);
            const auto wanted = live.run(start);
            const sim::fleet_frame f = run.run_frame_at(0, start);
            CAPTURE(k);
            REQUIRE(f.start == start);
            REQUIRE(f.arriving == wanted.arriving);
            REQUIRE(f.latency == wanted.latency);
            REQUIRE((f.source == answer_source::cloud) == wanted.by_cloud);
            REQUIRE(f.label == wanted.label);
            start += wanted.latency;
            by_cloud += wanted.by_cloud;
            large += wanted.by_cloud && wanted.label == 3;
        }
        CHECK(run.violations() == 0);
        CHECK((by_cloud > 20) == (loss < 1));
        CHECK((large > 5) == (loss > 0 && loss < 1)); // what was lost came with the packet behind it
        CHECK((by_cloud == large) == (loss == 1));
    }
}

TEST_CASE("a live runtime's link has no other radio, and its times and sizes are a radio's") {
    small_case c{{100}};
    const auto refused = [&](sim::live_wire w) {
        c.world.wire = w;
        return refusal([&] { sim::require_valid(c.world); });
    };
    CHECK(refused({.stop_bytes = 48, .ahead = 2ms, .closes = 1ms}) == "nothing was refused");
    CHECK(says(refused({.stop_bytes = 252}), "found 252"));
    CHECK(says(refused({.stop_ack_bytes = -1}), "found -1"));
    CHECK(says(refused({.ahead = 1ms, .closes = 2ms}), "books that close"));
    CHECK(says(refused({.arriving = 1.5}), "a share from 0 to 1"));
    c.world.other_radio = radio::packet_radio{};
    CHECK(says(refused({}), "another radio"));
}
