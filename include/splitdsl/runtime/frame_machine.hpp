// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_machine.hpp
/// One edge's frames as a pure state machine: events with instants in, commands out. It keeps the deadline promise.
#pragma once

#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/frame_rules.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>

#include <algorithm>
#include <array>
#include <cstdint>

namespace splitdsl {

/// Decides one frame after another: run, offload, wait, fall back, publish. No clock, no thread, no allocation: the live
/// edge and the simulator drive this very class, so what the simulator shows of deadlines holds for the code that runs.
///
/// An offloaded frame waits until `deadline - last_resort_lead - reserve(local tail)`, then the tail runs here; a reply that comes while it
/// runs still wins between stages. Where the reserve does not fit the tail's p99 is kept instead, and where no tail can be in time any more
/// the frame waits for its reply until `deadline - last_resort_lead`. Replies are trusted only if sequence, epoch, size, checksum and
/// values fit and only once. Each call is O(1) and takes well below a microsecond.
///
/// ```cpp body
/// frame_machine<policy::sage> m{policy::sage{costs}, rules};
/// for (command c = m.begin(frame, now, now, link_view{}); c.what != command::kind::publish;) c = carry_out(c);
/// m.published(true, now);
/// ```
/// Source: SAGE (ACM/IEEE SEC 2021), Algorithm 1 and Fig. 5.
template <scheduler_policy Policy, class Conduct = as_promised>
class frame_machine {
public:
    enum class state : std::uint8_t { idle, running, sending, waiting, falling_back, publishing };

    frame_machine(Policy p, const frame_rules& r) : policy{std::move(p)}, rules{r}, breaker{r.breaker} {}

    /// A frame begins: it was submitted at `start` and is taken up `now`. Any frame before it must be over.
    command begin(std::uint32_t frame, instant start, instant now, const link_view& link) {
        enter(frame, start + rules.deadline, 0, now);
        return follow(policy.on(frame_start{frame}, seen(link, now), left(now)), now, link);
    }
    /// A frame comes in behind `cut` (-1: at the input), of a tier that another one asks; its answer is awaited until `due`. The policy is asked
    /// twice: at the frame's start, where offloading at -1 sends on what came as it came; then as at the end of the cut's stage.
    command begin_behind(int cut, std::uint32_t frame, instant due, instant now, const link_view& link) {
        enter(frame, due, rules.stage_behind(cut), now);
        const action first = policy.on(frame_start{frame}, seen(link, now), left(now));
        if (cut < 0 || first.what != action::kind::proceed) return follow(first, now, link);
        return follow(policy.on(splitdsl::stage_done{sequence, next_stage - 1, cut, -1, 0}, seen(link, now), left(now)), now, link);
    }

    /// The stage last commanded ended; `exit` is the early exit it answered, or -1.
    command stage_done(instant now, const link_view& link, int exit = -1, float confidence = 0) {
        if (is != state::running && is != state::falling_back) return {};
        const int stage = next_stage++;
        if (exit >= 0) newest_exit = exit;
        if (next_stage == rules.first_tail_stage() && is == state::running) reserve_begins(now);
        if (is == state::falling_back) return go_on(now);
        return follow(policy.on(splitdsl::stage_done{sequence, stage, rules.cut_behind(stage), exit, confidence}, seen(link, now), left(now)), now, link);
    }

    /// The payload was handed to the link of `epoch`, or the link took none of it (`taken` false).
    command handed_over(instant now, bool taken, std::uint32_t epoch) {
        if (is != state::sending) return {};
        fits = fits && has_room(now); // making and handing over the payload is part of the head
        if (!taken) {
            ++counts.offload_refused;
            return fall_back(now);
        }
        ++counts.offload_tries;
        offloaded = true;
        streamed = streamed || least_size >= 0;
        handed_at = now;
        remembered[sequence % memory] = {.sequence = sequence, .epoch = epoch, .asked = true};
        is = state::waiting;
        wait_until = deadline - rules.last_resort_lead;
        if constexpr (falls_back_v<Policy>) {
            const auto kept = rules.kept(next_stage, deadline - now);
            cloud_alone = !kept;
            if (kept) wait_until += Conduct::fallback_delay - *kept;
        }
        if (now >= wait_until) return end_wait(now); // there was no time for a reply: the breaker learns nothing from that
        breaker.sent();
        return {.what = command::kind::wait, .until = wait_until};
    }

    /// A reply came in, whatever it is: counted, and accepted only if it is this frame's, whole, finite and the first.
    command reply(const reply_facts& r, instant now, const link_view& link) {
        if constexpr (streams_v<Policy>) {
            if (r.exit >= 0) return reply_to_stream(r, now, link);
            if (r.shed && listens_to_streams() && r.sequence == sequence) {
                count_shed(r);
                return is == state::waiting ? fall_back(now) : command{};
            }
        }
        const fate f = judge(r);
        if (f == fate::stale) return {};
        if (f == fate::useless) return is == state::waiting ? fall_back(now) : command{};
        const reply_arrived heard{sequence, r.exit, r.confidence, now - handed_at};
        if (policy.on(heard, seen(link, now), left(now)) == verdict::keep_going) {
            ++counts.kept_going;
            return {};
        }
        ++counts.accepted;
        breaker.succeeded();
        return publish(answer_source::cloud, r.exit);
    }

    /// A stream that a command named was handed to the link of `epoch`.
    void stream_began(instant now, std::uint32_t epoch) {
        ++counts.streams;
        if (!streamed) handed_at = now;
        streamed = true;
        remembered[sequence % memory] = {.sequence = sequence, .epoch = epoch, .asked = true};
    }
    /// Something was acknowledged: the policy may send more, or stop. The trunk runs on whatever it says.
    command acknowledged(const link_event& e, instant now, const link_view& link) {
        if (!streamed || e.frame != sequence || (is != state::running && is != state::falling_back)) return {};
        const action a = policy.on(e, seen(link, now), left(now));
        if (a.what == action::kind::send_next && a.stream >= 0) return {.stream = a.stream, .first = a.level, .last = a.level};
        return {.drop = a.what == action::kind::stop};
    }

    /// Time passed, or a wait ended early: falls back if it is time to.
    command timer(instant now) {
        if (is != state::waiting) return {};
        if (now >= wait_until) return fall_back(now);
        return {.what = command::kind::wait, .until = wait_until};
    }

    /// A frame the sentinel answered before it was begun at all.
    void skipped() { ++counts.skipped; }

    /// The link's state changed. A frame that waits on a link that died does not wait any longer.
    command link_changed(bool up, instant now, const link_view& link) {
        if (up) breaker.link_returned();
        policy.on(link_event{.what = up ? link_event::kind::up : link_event::kind::down, .frame = sequence}, seen(link, now), left(now));
        return !up && is == state::waiting ? fall_back(now) : command{};
    }

    /// Instead of the last `publish`: what was computed here holds a NaN or an infinity, which is no answer, as it is none in a reply. The driver takes
    /// the last resort; that the frame would have one of its own was not promised.
    command not_finite() {
        count_not_finite();
        fits = false;
        return last_resort();
    }
    /// Instead of `stage_done`: the stage threw, so there is nothing to go on with.
    command stage_failed() {
        ++counts.failed_here;
        fits = false;
        return last_resort();
    }
    /// Something else of this frame threw; the frame goes on without it.
    void callback_failed() { ++counts.failed_here; }

    /// The frame is over: answered by this machine's last `publish` or `last_resort` (`own` true if the claim was won with
    /// a value of this frame), or by the sentinel (`own` false). `host_stalled`: the host, not this program, lost the time.
    void published(bool own, instant at, bool host_stalled = false) {
        if (is == state::idle) return;
        if (reserving && is != state::waiting && is != state::sending && !tail_over) tail_in_time = at - tail_from <= rules.remaining[tail_stage];
        if (!own && is != state::publishing) {
            ++counts.abandoned;
            if (offloaded && is == state::waiting) breaker.failed(at);
        }
        // An early exit in front of the first cut needs no reserve: such a frame is judged by its answer.
        const bool covered = (reserving ? fits : own && at <= deadline) && tail_in_time && falls_back_v<Policy>;
        if (!covered) ++counts.uncovered;
        if (covered && !host_stalled && (!own || at > deadline)) ++counts.covered_misses;
        counts.breaker_openings = breaker.times_opened();
        is = state::idle;
    }

    state now_is() const { return is; }
    const frame_counters& counters() const { return counts; }
    std::uint32_t running_frame() const { return sequence; }
    instant due() const { return deadline; }
    int last_cut() const { return offloaded_cut; }
    /// What an offload at `now` keeps of the frame's time, behind the wait for its answer: for the local tail, if there is one that can be in time.
    duration keeps(instant now) const { return falls_back_v<Policy> ? rules.kept(next_stage, deadline - now).value_or(duration{}) : duration{}; }
    int last_stage() const { return next_stage - 1; }
    int exit_in_hand() const { return newest_exit; }
    circuit_breaker::state breaker_is() const { return breaker.now_is(); }
    const circuit_breaker& offload_breaker() const { return breaker; }
    /// Other reserves, wider or narrower, learnt while running. Between frames only: a frame is judged by the reserve it began with.
    void keep_reserves(const frame_rules& learnt) {
        if (is != state::idle) return;
        std::copy(std::begin(learnt.remaining), std::end(learnt.remaining), std::begin(rules.remaining));
        std::copy(std::begin(learnt.remaining_once), std::end(learnt.remaining_once), std::begin(rules.remaining_once));
    }
    const frame_rules& rulebook() const { return rules; }
    const Policy& strategy() const { return policy; }

private:
    enum class fate : std::uint8_t { valid, useless, stale }; // useless: this frame's only reply, but no answer
    struct memo {
        std::uint32_t sequence{};
        std::uint32_t epoch{};
        bool asked{}, replied{};
    };
    static constexpr std::size_t memory = 64; // frames a straggler is told apart for

    void enter(std::uint32_t frame, instant due, int stage, instant now) {
        ++counts.frames;
        sequence = frame;
        deadline = due;
        next_stage = stage;
        newest_exit = -1;
        reserving = false;
        offloaded_cut = -2;
        offloaded = false;
        streamed = false;
        least_size = -1;
        fits = false;
        counted_not_finite = false;
        cloud_alone = false;
        tail_in_time = true;
        remembered[frame % memory] = {.sequence = frame};
        if (rules.first_tail_stage() <= stage) reserve_begins(now);
        is = state::running;
    }
    link_view seen(link_view link, instant now) {
        link.up = link.up && breaker.allows(now);
        return link;
    }
    budget left(instant now) const {
        const int stage = std::min(next_stage, rules.stages);
        const duration rest = deadline - now;
        const auto kept = rules.kept(stage, rest);
        // Sent from before the first cut it would lose the cover that it has here: nothing is to spare for a reply.
        if (kept != rules.remaining[stage] && rules.covers(stage, rest)) return {now, deadline, rest};
        return {now, deadline, kept.value_or(duration{}) + rules.last_resort_lead};
    }

    command follow(const action& a, instant now, const link_view& link) {
        if (!possible(a)) {
            ++counts.invalid_actions;
            return go_on(now);
        }
        if (a.what == action::kind::proceed) // a policy cannot tell an open breaker from a link that is down
            counts.stayed.add(a.why == stay_reason::link_down && link.up ? stay_reason::breaker_open : a.why);
        if (a.what == action::kind::answer) return publish(answer_source::exit, a.exit);
        if (a.what == action::kind::offload && legal(a.cut)) {
            const link_view l = seen(link, now);
            if (l.up && !l.busy) {
                is = state::sending;
                offloaded_cut = a.cut;
                if (a.cut < 0 || rules.stage_behind(a.cut) != rules.first_tail_stage()) reserve_begins(now);
                return {.what = command::kind::offload, .cut = a.cut, .codec = a.codec};
            }
            ++counts.blocked;
            if constexpr (!falls_back_v<Policy>) return last_resort(); // a baseline that cannot send has nothing to say
        }
        if constexpr (streams_v<Policy>)
            if (const int stream = stream_in_place_of(a); stream >= 0) {
                const link_view l = seen(link, now);
                if (l.up && !l.busy) {
                    is = state::sending;
                    reserve_begins(now);
                    const int last = std::max(a.level >= 0 ? a.level : a.codec, 0);
                    least_size = a.level >= 0 ? 0 : last; // each width has an answer of its own; of one payload only the whole counts
                    last_size = last;
                    return {.what = command::kind::offload, .stream = stream, .last = last, .least = least_size};
                }
                ++counts.blocked;
            }
        if constexpr (streams_v<Policy>)
            if (a.what == action::kind::stream && seen(link, now).up)
                if (command c = go_on(now); c.what == command::kind::run) {
                    c.stream = a.stream;
                    c.last = std::max(a.level, 0);
                    return c;
                }
        return go_on(now);
    }
    /// Whether this can be done now, were the link there. Sizes are the stream's own matter.
    bool possible(const action& a) const {
        switch (a.what) {
        case action::kind::proceed:
        case action::kind::none: return true;
        case action::kind::answer: return newest_exit >= 0 && a.exit == newest_exit;
        case action::kind::offload: return legal(a.cut) || (streams_v<Policy> && stream_in_place_of(a) >= 0);
        case action::kind::stream: return streams_v<Policy> && a.stream >= 0;
        case action::kind::send_next:
        case action::kind::stop: break; // in answer to an acknowledgement only
        }
        return false;
    }
    bool legal(int cut) const { return cut == -1 || (cut >= 0 && cut < rules.cuts && rules.stage_behind(cut) == next_stage); }
    /// Where the network has no cuts but a stream behind the stage that ended, of whose number the action's cut is: that one, in the sizes
    /// that the action names. Else -1.
    int stream_in_place_of(const action& a) const {
        if (a.what != action::kind::offload || a.cut < 0 || a.cut >= max_stages || a.cut != next_stage - 1) return -1;
        return static_cast<int>(rules.streams_behind[a.cut]) - 1;
    }

    command go_on(instant now) {
        if (next_stage >= rules.stages) return publish(is == state::falling_back ? answer_source::fallback : answer_source::edge, -1);
        if (now >= deadline && is == state::falling_back) return last_resort();
        return {.what = command::kind::run, .stage = next_stage};
    }
    command fall_back(instant now) {
        breaker.failed(now);
        return end_wait(now);
    }
    command end_wait(instant now) {
        if (!falls_back_v<Policy> || cloud_alone) return last_resort();
        if (offloaded) ++counts.rolled_back;
        is = state::falling_back;
        tail_from = now;
        tail_stage = next_stage;
        tail_over = false;
        return go_on(now);
    }
    command publish(answer_source s, int exit) {
        tail_over = is != state::running && is != state::falling_back;
        is = state::publishing;
        return {.what = command::kind::publish, .source = s, .exit = exit};
    }
    command last_resort() {
        is = state::publishing;
        return {.what = command::kind::last_resort, .exit = newest_exit};
    }

    bool has_room(instant now) const { return now + rules.remaining[next_stage] + rules.last_resort_lead <= deadline; }
    // From here on the frame's rest is covered by the reserve: is there room for it?
    void reserve_begins(instant now) {
        reserving = true;
        fits = has_room(now);
        tail_from = now;
        tail_stage = next_stage;
        tail_over = false;
    }

    bool listens_to_streams() const { return streamed && (is == state::running || is == state::falling_back || (is == state::waiting && least_size >= 0)); }
    void count_shed(const reply_facts& r) {
        ++counts.shed;
        if (r.failed) ++counts.failed_there;
        if (r.damaged) ++counts.damaged_there;
    }
    /// A reply and the local tail behind it mostly hold the same NaN: it counts once.
    void count_not_finite() {
        if (!counted_not_finite) ++counts.not_finite;
        counted_not_finite = true;
    }

    /// An exit's answer to a stream: a frame may get several, each surer than the one before.
    command reply_to_stream(const reply_facts& r, instant now, const link_view& link) {
        if (!r.size_ok) return ++counts.wrong_size, command{};
        if (!r.crc_ok) return ++counts.corrupt, command{};
        if (r.sequence != sequence || !listens_to_streams()) return ++counts.late, command{};
        if (Conduct::checks_epoch && r.epoch != remembered[sequence % memory].epoch) return ++counts.wrong_epoch, command{};
        if (Conduct::checks_values && !r.finite) return count_not_finite(), command{};
        // An offload's answers are numbered by its sizes, as in the simulation.
        const int exit = least_size >= 0 ? r.sizes - 1 : r.exit;
        if (least_size >= 0 && exit > last_size) return ++counts.wrong_size, command{}; // of more than was sent
        if (exit < least_size
            || policy.on(reply_arrived{sequence, exit, r.confidence, now - handed_at}, seen(link, now), left(now)) == verdict::keep_going)
            return ++counts.kept_going, command{};
        ++counts.accepted;
        if (offloaded) breaker.succeeded();
        return publish(answer_source::cloud, exit);
    }

    fate judge(const reply_facts& r) {
        const bool awaited = is == state::waiting || is == state::falling_back;
        const auto behind = static_cast<std::int32_t>(sequence - r.sequence);
        memo& m = remembered[r.sequence % memory];
        const bool known = behind >= 0 && m.sequence == r.sequence && m.asked;
        const bool mine = awaited && offloaded && behind == 0;
        if (!r.size_ok) return ++counts.wrong_size, mine ? fate::useless : fate::stale;
        if (!r.crc_ok) return ++counts.corrupt, mine ? fate::useless : fate::stale;
        if (known && r.epoch != m.epoch && Conduct::checks_epoch) return ++counts.wrong_epoch, fate::stale;
        if (known && m.replied) return ++counts.duplicates, fate::stale;
        if (Conduct::checks_sequence || !awaited || !offloaded) {
            if (!known && behind >= static_cast<std::int32_t>(memory)) return ++counts.late, fate::stale;
            if (!known) return ++counts.unasked, fate::stale;
            m.replied = true;
            if (!mine) return ++counts.late, fate::stale;
        }
        if (r.shed) return count_shed(r), fate::useless;
        if (!r.finite && Conduct::checks_values) return count_not_finite(), fate::useless;
        return fate::valid;
    }

    Policy policy;
    frame_rules rules;
    circuit_breaker breaker;
    frame_counters counts{};
    bool reserving{}; // the running frame's rest is covered by the reserve, if it fits
    state is{state::idle};
    std::uint32_t sequence{};
    instant deadline{}, handed_at{}, wait_until{}, tail_from{};
    int next_stage{}, newest_exit{-1}, offloaded_cut{-2}, tail_stage{};
    int least_size{-1}; // of a stream in place of a payload: the first size whose answer may count
    int last_size{};    // and the last one that was sent
    bool offloaded{}, streamed{}, fits{}, tail_in_time{true}, tail_over{};
    bool counted_not_finite{}; // of the running frame
    bool cloud_alone{}; // no local tail could be in time when the payload was handed over: none is begun
    std::array<memo, memory> remembered{};
};

} // namespace splitdsl
