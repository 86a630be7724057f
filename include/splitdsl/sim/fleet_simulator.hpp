// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_simulator.hpp
/// Frames of a network with exits over a duty-cycled radio, in virtual time: any policy on the one concept, the device, the air and the
/// cloud side by side.
///
/// Everything here is simulated. What is simplified: the cloud answers a burst when its last packet is there, one prediction at a time,
/// always of the newest state; packets carry streams without gaps, so that the usable prefix ends at the first lost packet; a lost answer
/// is sent again while its frame runs; the link never goes down, it only loses.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/sim/event_queue.hpp>
#include <splitdsl/sim/exit_answers.hpp>
#include <splitdsl/sim/fleet_air.hpp>
#include <splitdsl/sim/fleet_transfer.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::sim {

/// Runs frame after frame; equal arguments give equal frames, bit for bit. `w` and `a` must outlive it; between frames the bytes of `w`'s
/// streams may be replaced by others, as many (coded streams differ by picture). One thread; allocates only until its queues have grown. Refused by the constructor (option_error): what `require_valid` refuses, answers that do not fit the network.
///
/// ```cpp
/// sim::fleet_simulator run{policy::fleet{policy::fleet_plan(8, 6, 0.7F)}, world, answers, seed};
/// const sim::fleet_frame f = run.run_frame(picture);
/// ```
template <scheduler_policy Policy>
class fleet_simulator {
public:
    fleet_simulator(Policy p, const fleet_world& w, const exit_answers& a, std::uint64_t seed)
        : policy{std::move(p)},
          world{&w},
          answers{&a},
          air{(require_valid(w), w), seed},
          random{seed ^ 0x9e3779b97f4a7c15u} {
        const auto c = a.counts();
        const auto refuse = [](const std::string& what, std::size_t wanted, std::size_t found) {
            throw option_error("simulation: expected answers for " + std::to_string(wanted) + " " + what + ", found "
                               + std::to_string(found));
        };
        if (a.pictures() == 0) refuse("pictures", 1, 0);
        if (w.local_exits && c.exits != static_cast<std::size_t>(w.network.exits()))
            refuse("exits of the device", static_cast<std::size_t>(w.network.exits()), c.exits);
        if (c.streams != 0) require_streams(w.network, c.streams, c.levels, "simulation");
        if (c.choices != 0 && c.choices != static_cast<std::size_t>(w.network.offload_choices()))
            refuse("offloads", static_cast<std::size_t>(w.network.offload_choices()), c.choices);
        for (std::size_t k = 0; k < w.network.stages.size(); ++k) {
            stream_of.push_back(w.network.stream_behind(static_cast<int>(k)));
            if (stream_of.back() >= 0) stage_of.push_back(static_cast<int>(k));
        }
        room = w.packet_room();
        capacity = static_cast<std::size_t>(w.packets_at_once());
        nominal = w.nominal_rate();
        at_cloud.there.resize(stage_of.size());
        if (w.wire) air.take_up(w.wire->arriving);
        sent.reserve(64);
        told.reserve(256);
    }

    /// The next frame, on this picture (below `exit_answers::pictures`).
    fleet_frame run_frame(std::size_t picture) { return run_frame_at(picture, next_start()); }
    /// The next frame at a moment of the caller's, such as that of a live one; the radio's first event is at 0. Should the frame before not
    /// be over by then, it begins whole intervals later.
    fleet_frame run_frame_at(std::size_t picture, instant start) {
        if (start < free_from) start += ((free_from - start) / world->radio.interval + 1) * world->radio.interval;
        if (world->wire) go_on_until(start); // what the frame before left on its way
        f = {.frame = ++count, .picture = picture, .start = start, .arriving = air.arriving()};
        now = f.start;
        forget();
        next_to_queue = sent.size();
        told.clear();
        offloaded = {};
        open = true;
        computing = waiting = falling_back = used_radio = false;
        newest_exit = -1;
        stage = -1;
        air.run(world->wire ? now - duration{1} : now, [](const radio::ble_report&) {});
        // In FLEET's arithmetic what an older frame left in the air is dropped when a newer one begins.
        if (!world->wire) air.drop(radio::ble_way::down, [](const radio::ble_report&) {});
        air.mark();
        follow(policy.on(frame_start{count}, view(), left()), -1);
        while (open) step();
        return f;
    }
    /// Actions that no runtime could carry out: a stream, level, cut or exit that does not exist or is not computed yet. They count as
    /// `proceed`.
    std::uint64_t violations() const { return broken_rules; }
    /// Every answer that the device hears of goes behind `into`, in the order of time; null ends it. `into` must outlive the frames.
    void keep_answers(std::vector<heard_answer>* into) { diary = into; }

private:
    using transfer = detail::transfer;
    using cloud_question = detail::cloud_question;
    using offload_state = detail::offload_state;
    using answered_question = detail::answered_question;
    enum class kind : std::uint8_t { stage_ends, burst_is_in, cloud_done, reply_is_in, again, acknowledged, give_up, handed_over, stop_is_in };
    struct event {
        kind what{};
        int a{}, b{};
        std::uint32_t frame{};
    };
    static constexpr std::uint32_t not_data = 0xffff'ffff; ///< in a packet's tag: a stop or its acknowledgement
    static constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }

    instant next_start() {
        const double within = random.uniform();
        const duration phase = from_seconds(within * to_seconds(world->phases()));
        return count == 0 ? instant{} + phase : free_from + world->gap + phase;
    }
    link_view view() const {
        return {.up = true,
                .busy = world->wire ? next_to_queue < sent.size() : air.waiting(radio::ble_way::up) > 0,
                .rate_up = nominal * air.arriving(),
                .rate_down = nominal * air.arriving(),
                .rtt = world->round_trip()};
    }
    budget left() const { return {.now = now, .deadline = f.start + world->deadline, .reserve = world->times.rest(at(stage + 1))}; }
    int last_stage() const { return static_cast<int>(world->network.stages.size()) - 1; }

    // ---- the device -----------------------------------------------------------------------------------------------------------
    void run_next_stage() {
        if (stage == last_stage())
            return answer(falling_back ? answer_source::fallback : answer_source::edge, answers->trunk(f.picture), -1);
        ++stage;
        duration t = world->times.stage[at(stage)];
        if (world->local_exits && !falling_back) t += world->times.exit[at(stage)];
        computing = true;
        computing_from = now;
        stage_end = now + t;
        put(stage_end, kind::stage_ends, stage);
    }
    void stage_ended() {
        f.computing += now - computing_from;
        computing = false;
        if (falling_back) return run_next_stage();
        const exit_stage& here = world->network.stages[at(stage)];
        stage_done s{.frame = count, .stage = stage, .cut = here.payload.empty() ? -1 : stage};
        if (world->local_exits && here.exit >= 0) {
            s.exit = newest_exit = here.exit;
            const policy::prediction p = answers->local(f.picture, here.exit);
            s.confidence = p.confidence;
            hear(true, here.exit, p);
        } else if (stage == last_stage())
            return run_next_stage(); // nothing left to decide
        follow(policy.on(s, view(), left()), stage);
    }
    void follow(const action& a, int at_stage) {
        switch (a.what) {
        case action::kind::answer:
            if (a.exit < 0 || a.exit != newest_exit) break;
            return answer(answer_source::exit, answers->local(f.picture, a.exit), a.exit);
        case action::kind::stream:
            if (at_stage < 0 || a.stream < 0 || stream_of[at(at_stage)] != a.stream) break;
            drop_up();
            if (!send_stream(a.stream, 0, std::max(a.level, 0))) break;
            return run_next_stage();
        case action::kind::offload:
            if (!offload(a, at_stage)) break;
            return;
        case action::kind::proceed: return run_next_stage();
        default: break; // nothing else answers the end of a stage
        }
        ++broken_rules;
        run_next_stage();
    }
    /// For events that do not end a stage: the trunk runs on whatever is said.
    void aside(const action& a) {
        switch (a.what) {
        case action::kind::none: return;
        case action::kind::stop: return drop_up();
        case action::kind::send_next:
            if (a.stream >= 0 && a.stream < static_cast<int>(stage_of.size()) && stage_of[at(a.stream)] <= stage - computing
                && send_stream(a.stream, a.level, a.level))
                return;
            break;
        default: break;
        }
        ++broken_rules;
    }
    bool send_stream(int stream, int from, int to) {
        if (answers->counts().streams == 0) return false;
        const exit_stage& behind = world->network.stages[at(stage_of[at(stream)])];
        const auto& sizes = behind.stream;
        if (from < 0 || to < from || to >= static_cast<int>(sizes.size())) return false;
        queue({.stream = stream, .from = from, .to = to, .begin = from > 0 ? sizes[at(from - 1)] : 0, .end = sizes[at(to)], .whole = from}, sizes, behind.stream_packets);
        return true;
    }
    bool offload(const action& a, int at_stage) {
        if (a.cut < -1 || (a.cut >= 0 && a.cut != at_stage) || answers->counts().choices == 0) return false;
        const bool progressive = a.level >= 0;
        const int size = progressive ? a.level : std::max(a.codec, 0);
        const int choice = world->network.offload_choice(a.cut, size);
        if (choice < 0) return false;
        drop_up();
        offloaded = {.cut = a.cut, .first_choice = choice - size, .sizes = size + 1, .progressive = progressive, .since = now};
        waiting = true;
        waiting_from = now;
        const duration prepare = a.cut == -1 ? world->network.inputs[at(size)].prepare : duration{};
        f.computing += prepare;
        waiting_from += prepare;
        put(now + prepare, kind::handed_over, size);
        // The latest moment at which the rest still fits.
        put(std::max(now, f.start + world->deadline - (falls_back_v<Policy> ? world->times.rest(at(stage + 1)) : duration{})), kind::give_up);
        return true;
    }
    void hand_over(int size) {
        static const std::vector<std::int64_t> without_gaps;
        transfer t{.choice = offloaded.first_choice, .from = offloaded.progressive ? 0 : size, .to = size, .whole = offloaded.progressive ? 0 : size};
        if (offloaded.cut == -1) {
            t.end = world->network.inputs[at(size)].size;
            return queue(t, without_gaps, without_gaps);
        }
        const exit_stage& behind = world->network.stages[at(offloaded.cut)];
        t.end = behind.payload[at(size)];
        queue(t, behind.payload, at(size) < behind.payload_packets.size() ? behind.payload_packets[at(size)] : without_gaps);
    }
    void give_up() {
        drop_up();
        waiting = false;
        charge_waiting();
        if (!falls_back_v<Policy>) return answer(answer_source::none, {}, -1);
        falling_back = true;
        run_next_stage();
    }
    void charge_waiting() { f.idle_energy += world->idle * std::max(now - waiting_from, duration{}); }

    void answer(answer_source source, const policy::prediction& p, int exit, int size = 0) {
        open = false;
        f.source = source;
        f.exit = exit;
        f.size = size;
        f.offloaded = size > 0 && offloaded.cut != -2;
        f.stage = stage;
        f.label = p.label;
        f.right = p.label == answers->label(f.picture);
        f.latency = now - f.start;
        free_from = now;
        if (computing) { // the cloud was first
            const instant until = world->stops_within_stage ? now : stage_end;
            f.computing += until - computing_from;
            free_from = until;
        }
        if (waiting) charge_waiting();
        drop_up();
        if (world->wire && used_radio && world->wire->stop_bytes > 0) air.queue(radio::ble_way::up, tag_of(count, not_data), world->wire->stop_bytes, now + world->wire->closes);
        f.compute_energy = world->active * f.computing;
        air.run(world->wire ? now - duration{1} : now, [&](const radio::ble_report& r) { book(r); });
        if (used_radio) f.radio_energy = air.energy_since_mark(*world, f.latency);
    }

    void hear(bool on_device, int exit, const policy::prediction& p) {
        if (diary != nullptr) diary->push_back({on_device, exit, p.confidence, p.label == answers->label(f.picture), now - f.start});
    }

    // ---- the air --------------------------------------------------------------------------------------------------------------
    void queue(transfer t, const std::vector<std::int64_t>& size_ends, const std::vector<std::int64_t>& packet_ends) {
        t.frame = count;
        t.picture = f.picture;
        t.cut = offloaded.cut;
        t.cut_into_packets(room, packet_ends);
        if (world->wire) t.size_ends = size_ends;
        used_radio = true;
        sent.push_back(std::move(t));
        refill();
    }
    /// Keeps as many packets queued as the next event can carry, no more: most of a stream is dropped before it is sent.
    void refill() {
        while (next_to_queue < sent.size() && air.waiting(radio::ble_way::up) < capacity) {
            transfer& t = sent[next_to_queue];
            if (t.queued == t.packets) {
                ++next_to_queue;
                continue;
            }
            const std::int64_t size = t.arrived_with(t.queued + 1, room) - t.arrived_with(t.queued, room);
            air.queue(radio::ble_way::up, tag_of(count, static_cast<std::uint32_t>(first_sent + next_to_queue)), static_cast<int>(size) + world->packet_overhead,
                      world->wire ? now + world->wire->closes : now);
            ++t.queued;
        }
    }
    void drop_up() {
        next_to_queue = sent.size();
        const duration interval = world->radio.interval, to_event = interval - (now - instant{}) % interval;
        if (world->wire && to_event < world->wire->ahead) return; // the event's packets are with the radio
        if (air.waiting(radio::ble_way::up) == 0) return;
        const auto booked = [&](const radio::ble_report& r) { book(r); };
        if (world->wire)
            air.drop(radio::ble_way::up, booked, [](std::uint64_t tag, int tries) { return tries > 0 || (tag & 0xffff'ffff) == not_data; });
        else
            air.drop(radio::ble_way::up, booked);
    }
    /// Bytes on the air of this frame.
    void book(const radio::ble_report& r) {
        if (r.way != radio::ble_way::up) return;
        if (r.tag >> 32 == count) f.bytes_up += std::int64_t{r.size} * r.tries;
        if (const auto id = static_cast<std::uint32_t>(r.tag & 0xffff'ffff); id != not_data && id - first_sent < sent.size()) ++sent[id - first_sent].told;
    }
    void burst(instant anchor) {
        now = std::max(now, anchor);
        instant last = now;
        bool news = false;
        air.run(anchor, [&](const radio::ble_report& r) {
            book(r);
            const auto frame = static_cast<std::uint32_t>(r.tag >> 32), id = static_cast<std::uint32_t>(r.tag & 0xffff'ffff);
            if (id == not_data) {
                if (r.way == radio::ble_way::down || r.fate != radio::ble_fate::delivered) return;
                at_cloud.stopped |= frame == at_cloud.frame; // what came in the event before it is not answered any more
                put(r.arrived, kind::stop_is_in);
                return;
            }
            if (r.way == radio::ble_way::down) {
                if (frame != count || !open) return;
                const int which = static_cast<int>(id);
                if (r.fate == radio::ble_fate::delivered)
                    put(r.arrived, kind::reply_is_in, which);
                else if (r.fate == radio::ble_fate::lost && which + 1 == static_cast<int>(told.size()))
                    put(r.known, kind::again, which);
                return;
            }
            if (!world->wire && frame != count) return;
            transfer& t = sent[id - first_sent];
            if (r.fate != radio::ble_fate::delivered || t.lost) {
                t.lost = true;
                return;
            }
            if (at_cloud.frame != t.frame) {
                news = false;
                at_cloud.begin(t.frame, t.picture);
            }
            if (t.cut != -2) at_cloud.cut = t.cut, at_cloud.choice = t.choice;
            const std::int64_t bytes = t.arrived_with(++t.got, room);
            while (t.whole <= t.to && size_ends(t, t.whole) <= bytes) {
                if (t.stream >= 0 && t.frame == count) calendar.put(r.known, {.what = kind::acknowledged, .a = t.stream, .b = t.whole, .frame = count});
                ++t.whole;
                news = true;
            }
            last = std::max(last, r.arrived);
        });
        if (news) calendar.put(last, {.what = kind::burst_is_in, .frame = at_cloud.frame});
        refill();
    }
    std::int64_t size_ends(const transfer& t, int size) const {
        if (!t.size_ends.empty()) return t.size_ends[at(size)];
        if (t.stream >= 0) return world->network.stages[at(stage_of[at(t.stream)])].stream[at(size)];
        return t.cut == -1 ? world->network.inputs[at(size)].size : world->network.stages[at(t.cut)].payload[at(size)];
    }

    // ---- the cloud --------------------------------------------------------------------------------------------------------------
    void arrived() {
        for (const transfer& t : sent)
            if (t.frame == at_cloud.frame) at_cloud.take(t);
        ask();
    }
    void ask() {
        if (cloud_works || at_cloud.stopped) return;
        cloud_question q{.frame = at_cloud.frame};
        if (at_cloud.cut != -2) {
            if (at_cloud.offload_there == 0) return;
            q.width = at_cloud.offload_there - 1;
        } else
            for (int s = static_cast<int>(at_cloud.there.size()) - 1; s >= 0 && q.stream < 0; --s)
                if (at_cloud.there[at(s)] > 0) {
                    q.stream = s;
                    q.before = s > 0 ? at_cloud.there[at(s - 1)] : 0;
                    q.here = at_cloud.there[at(s)];
                }
        if (!q.any() || q == cloud_last) return;
        cloud_last = q;
        asked_of = at_cloud.picture;
        asked_choice = at_cloud.choice;
        cloud_works = true;
        calendar.put(now + cloud_time(q), {.what = kind::cloud_done});
    }
    duration cloud_time(const cloud_question& q) const {
        if (world->cloud_macs_per_second <= 0) return world->cloud;
        return world->cloud_time(q.width < 0 ? world->network.stages[at(stage_of[at(q.stream)])].cloud_macs
                                             : world->network.offload_macs(at_cloud.cut, at_cloud.cut == -1 ? q.width : 0));
    }
    void cloud_done() {
        cloud_works = false;
        const cloud_question q = cloud_last;
        const policy::prediction p = q.width >= 0 ? answers->offload(asked_of, asked_choice + q.width)
                                                  : answers->cloud(asked_of, q.stream, q.before, q.here);
        // A NaN was recorded: this pair of sizes has no answer.
        if (p.label >= 0 && (q.width >= 0 || p.confidence >= world->reply_from)) {
            std::uint32_t which = 0; // of a frame that is over, nobody reads it
            if (q.frame == count) {
                which = static_cast<std::uint32_t>(told.size());
                told.push_back({p, q.width >= 0 ? q.width : q.stream, q.width >= 0 ? q.width + 1 : q.here});
            }
            send_down(tag_of(q.frame, which), world->reply_bytes);
        }
        for (; stops_unread > 0; --stops_unread) acknowledge_stop();
        ask();
    }
    void send_down(std::uint64_t tag, int size) { air.queue(radio::ble_way::down, tag, size, now); }
    void acknowledge_stop() {
        if (world->wire->stop_ack_bytes > 0) send_down(tag_of(0, not_data), world->wire->stop_ack_bytes);
    }

    static constexpr std::uint64_t tag_of(std::uint32_t frame, std::uint32_t id) { return std::uint64_t{frame} << 32 | id; }
    void put(instant when, kind what, int a = 0) { calendar.put(when, {.what = what, .a = a, .frame = count}); }
    /// The next thing to happen, on the device, in the air or in the cloud.
    void step() {
        const instant t_air = air.next_with_data(), t_next = calendar.next();
        if (t_next <= t_air) {
            now = std::max(now, t_next);
            happen(calendar.take());
        } else
            burst(t_air);
    }
    void go_on_until(instant until) {
        while (std::min(air.next_with_data(), calendar.next()) < until) step();
    }
    /// What is over: in FLEET's arithmetic everything of the frame before.
    void forget() {
        if (world->wire) {
            const auto kept = std::find_if(sent.begin(), sent.end(), [&](const transfer& t) { return t.told < t.queued || t.frame >= at_cloud.frame; });
            first_sent += static_cast<std::size_t>(kept - sent.begin());
            sent.erase(sent.begin(), kept);
            return;
        }
        calendar.clear();
        sent.clear();
        at_cloud.begin(0, 0);
        cloud_last = {};
        cloud_works = false;
    }
    void happen(const event& e) {
        // Between frames only radio and cloud go on.
        const bool of_cloud = e.what == kind::burst_is_in || e.what == kind::cloud_done || e.what == kind::stop_is_in;
        if (!of_cloud && (!open || e.frame != count)) return;
        switch (e.what) {
        case kind::stage_ends: return stage_ended();
        case kind::handed_over:
            if (waiting) hand_over(e.a);
            return;
        case kind::burst_is_in:
            if (e.frame == at_cloud.frame) arrived();
            return;
        case kind::cloud_done: return cloud_done();
        case kind::stop_is_in:
            cloud_works ? void(++stops_unread) : acknowledge_stop(); // who computes reads it afterwards
            return;
        case kind::again:
            if (e.a + 1 == static_cast<int>(told.size())) send_down(tag_of(count, static_cast<std::uint32_t>(e.a)), world->reply_bytes); // a newer answer replaces it
            return;
        case kind::give_up:
            if (waiting) give_up();
            return;
        case kind::acknowledged: return aside(policy.on(link_event{link_event::kind::acknowledged, count, e.a, e.b}, view(), left()));
        case kind::reply_is_in: {
            const answered_question& r = told[at(e.a)];
            hear(false, r.exit, r.what);
            const duration since = offloaded.cut != -2 ? now - offloaded.since : duration{};
            const verdict v = policy.on(reply_arrived{count, r.exit, r.what.confidence, since}, view(), left());
            if (v == verdict::accept) answer(answer_source::cloud, r.what, r.exit, r.size);
            return;
        }
        }
    }

    Policy policy;
    const fleet_world* world;
    const exit_answers* answers;
    fleet_air air;
    splitdsl::detail::xoshiro256 random;
    event_queue<event> calendar{};
    std::vector<int> stream_of{}, stage_of{};
    std::vector<transfer> sent{};
    std::vector<answered_question> told{};
    std::vector<heard_answer>* diary{};
    fleet_frame f{};
    offload_state offloaded{};
    detail::cloud_side at_cloud{};
    cloud_question cloud_last{};
    bits_per_second nominal{};
    std::size_t asked_of{}; // the picture of the question that the cloud works on
    int asked_choice{};
    int stops_unread{};     // that came while it does
    std::size_t first_sent{}; // the number of the oldest transfer kept
    std::int64_t room{};
    std::size_t capacity{}, next_to_queue{};
    instant now{}, free_from{}, computing_from{}, waiting_from{}, stage_end{};
    std::uint32_t count{};
    std::uint64_t broken_rules{};
    int stage{-1}, newest_exit{-1};
    bool open{}, computing{}, waiting{}, falling_back{}, cloud_works{}, used_radio{};
};

} // namespace splitdsl::sim
