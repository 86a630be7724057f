// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file onward_place.hpp
/// One of a middle tier's places to compute in: it finishes a request here or by the next tier, with a connection of its own.
#pragma once

#include <splitdsl/runtime/frame_machine.hpp>
#include <splitdsl/runtime/link_watch.hpp>
#include <splitdsl/runtime/onward.hpp>
#include <splitdsl/runtime/report.hpp>
#include <splitdsl/runtime/reserve_keeper.hpp>
#include <splitdsl/runtime/session.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace splitdsl {

/// Who answered a tier's requests.
struct tier_counters {
    std::uint64_t here{};       ///< its policy chose to stay
    std::uint64_t upstream{};   ///< the next tier's reply, or that of one behind it
    std::uint64_t fallback{};   ///< sent on, no valid reply in time: the rest ran here
    std::uint64_t unanswered{}; ///< neither could be in time, or a stage threw: whoever asked is told at once
    std::uint64_t late{};       ///< answered behind the moment for which whoever asked hoped
};

/// The edge's frame machine, begun behind a cut and driven by whichever thread holds the place; one at a time, handed over under a lock of its
/// own. A request allocates nothing and locks nothing.
template <scheduler_policy Policy>
class onward_place {
public:
    onward_place(const pipeline& net, Policy policy, const edge_options& o, duration longest_wait, const stage_profile& measured, const session_setup& setup,
                 std::unique_ptr<link::connector> where)
        : network{net}, lead{o.last_resort_lead}, longest{longest_wait}, reserves{net, o, {}, measured}, machine{std::move(policy), reserves.rules()}, line{std::move(where), setup, work} {}
    onward_place(const onward_place&) = delete;
    onward_place& operator=(const onward_place&) = delete;

    onward_end finish(const onward_request& r, const frame_memory& memory) {
        line.look();
        const instant begun = clock();
        take_replies(memory); // stragglers: only counted
        watch_link(begun);
        if (++frame == 0) frame = 1;
        sent = threw = false;
        // Whoever asks says how long it has, up to 71 minutes; the place is needed by others, too.
        const frame_rules& rules = machine.rulebook();
        const instant due = std::min(r.due, begun + longest + rules.remaining[rules.stage_behind(r.cut)] + lead);
        command c = machine.begin_behind(r.cut, frame, due, begun, view(begun));
        while (true) {
            switch (c.what) {
            case command::kind::run: c = run_stage(c.stage, memory); break;
            case command::kind::offload: c = hand_over(c, r, memory); break;
            case command::kind::wait: c = await(c.until, memory); break;
            case command::kind::publish: return over(c.source, r);
            case command::kind::last_resort:
            case command::kind::nothing: return over(answer_source::none, r);
            }
        }
    }
    /// The round trip alone; a frame is not sent while the link is not up.
    duration least_elsewhere() const {
        const link_view v = link_now();
        return v.up ? v.rtt : duration::max();
    }

    // ---- any thread ---------------------------------------------------------------------------------------------------------
    link_view link_now() const {
        const instant now = clock();
        link_view v = line.view(now);
        v.up = v.up && now >= told_breaker.load().opens_at();
        return v;
    }
    std::string link_failure() const {
        const std::string why = line.last_failure();
        return why.empty() ? told_breaker.load().sentence(clock()) : why;
    }
    tier_counters answers() const { return told_answers.load(); }
    frame_counters frames() const { return told_frames.load(); }
    link_counters link() const { return line.counters(); }
    stage_profile profile() const { return reserves.profile(); }
    /// Kept for finishing here what comes in behind cut `entry`.
    duration reserve_behind(int entry) const {
        const frame_rules r = reserves.rules();
        return r.remaining[r.stage_behind(entry)];
    }
    /// A request that runs ends without an answer, and the connection too.
    void stop() noexcept {
        stopping.store(true, std::memory_order_release);
        work.ring();
        line.quit();
        line.wake();
    }

private:
    using state = typename frame_machine<Policy>::state;
    static instant clock() { return std::chrono::steady_clock::now(); }
    bool given_up() const noexcept { return stopping.load(std::memory_order_relaxed); }
    link_view view(instant now) const { return line.view(now); }

    command run_stage(int stage, const frame_memory& memory) {
        try {
            reserves.time(stage, [&] { network.run(memory, stage, stage + 1, &stopping); });
        } catch (...) { // a task_runner's
            threw = true;
            return machine.stage_failed();
        }
        if (given_up()) return {};
        if (machine.now_is() == state::falling_back)
            if (const command c = take_replies(memory); c.what != command::kind::nothing) return c;
        const instant ended = clock();
        return machine.stage_done(ended, view(ended)); // an exit answers nobody here: its values travel with the others
    }

    command hand_over(const command& c, const onward_request& r, const frame_memory& memory) {
        const instant begun = clock();
        cut = c.cut < 0 ? r.cut : c.cut;
        session::sent taken{};
        if (c.stream < 0) try { // nobody here sends streams
                const auto room = line.payload_room();
                const bool as_it_came = cut == r.cut;
                if (as_it_came) std::memcpy(room.data(), r.payload.data(), r.payload.size());
                const std::size_t size = as_it_came ? r.payload.size() : network.store_payload(memory, cut, room.data());
                taken = line.send({.sequence = frame,
                                   .cut = cut,
                                   .codec = as_it_came ? r.codec : c.codec,
                                   .bytes = size,
                                   .left = machine.due() - lead - begun,
                                   .kept = machine.keeps(begun)},
                                  begun);
            } catch (...) {
                machine.callback_failed();
            }
        sent = sent || taken.taken;
        const command next = machine.handed_over(clock(), taken.taken, taken.epoch);
        if (next.what != command::kind::wait) line.leave();
        return next;
    }

    command await(instant until, const frame_memory& memory) {
        command c{};
        while (true) {
            const auto heard = work.now(); // whatever is told from here on ends the wait below
            if (given_up()) break;
            if ((c = take_replies(memory)).what != command::kind::nothing) break;
            const instant now = clock();
            if ((c = watch_link(now)).what != command::kind::nothing) break;
            if (now >= until) {
                c = machine.timer(now);
                break;
            }
            if (!line.listen(heard, until)) work.wait(heard, until);
        }
        line.leave();
        return c;
    }

    command take_replies(const frame_memory& memory) {
        while (const incoming_reply* r = line.oldest_reply()) {
            const instant now = clock();
            const command c = machine.reply(r->facts, now, view(now));
            if (c.what == command::kind::publish) {
                tier = r->facts.tier + 1;
                keep_reply(r->values, memory);
            }
            line.pop_reply();
            if (c.what != command::kind::nothing) return c;
        }
        return {};
    }
    /// The next tier computes no exit in front of its cut: what was computed here stays.
    void keep_reply(std::span<const float> values, const frame_memory& memory) const {
        const int first = cut < 0 ? -1 : network.cuts[static_cast<std::size_t>(cut)].stage;
        const auto own = [&](std::size_t i) {
            for (const exit_info& e : network.exits)
                if (e.stage <= first && i >= e.first_float && i < e.first_float + e.floats) return true;
            return false;
        };
        if (network.exits.empty()) std::copy(values.begin(), values.end(), memory.outputs);
        else
            for (std::size_t i = 0; i < values.size(); ++i)
                if (!own(i)) memory.outputs[i] = values[i];
    }
    command watch_link(instant now) {
        return known_link.news(line.status(), machine, now, [&] { return view(now); });
    }

    onward_end over(answer_source source, const onward_request& r) {
        const instant now = clock();
        const bool answered = source != answer_source::none;
        machine.published(answered, now);
        if (frame_rules learnt = machine.rulebook(); reserves.adopt(learnt)) machine.keep_reserves(learnt);
        ++(source == answer_source::cloud ? counts.upstream : source == answer_source::fallback ? counts.fallback : answered ? counts.here : counts.unanswered);
        if (answered && now > r.due) ++counts.late;
        told_answers.store(counts);
        told_frames.store(machine.counters());
        told_breaker.store(breaker_note::of(machine.offload_breaker()));
        return {.what = answered ? onward_end::kind::answered : threw ? onward_end::kind::failed : onward_end::kind::unanswered,
                .tier = source == answer_source::cloud ? tier : 0,
                .alone = answered && !sent};
    }

    const pipeline network;
    const duration lead, longest;
    detail::reserve_keeper reserves;
    frame_machine<Policy> machine;
    bell work;
    std::atomic<bool> stopping{};
    std::uint32_t frame{};
    int cut{-1}, tier{}; // of the frame that was sent on
    bool sent{}, threw{};
    detail::link_watch known_link{};
    tier_counters counts{};
    shared_counters<tier_counters> told_answers;
    shared_counters<frame_counters> told_frames;
    shared_counters<breaker_note> told_breaker;
    session line; // rings `work`
};

} // namespace splitdsl
