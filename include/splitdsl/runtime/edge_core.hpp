// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file edge_core.hpp
/// The device's side of a split network: every frame answered once, by its deadline, whatever the link does.
#pragma once

#include <splitdsl/runtime/canary.hpp>
#include <splitdsl/runtime/finite.hpp>
#include <splitdsl/runtime/fixed_array.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/frame_claims.hpp>
#include <splitdsl/runtime/frame_machine.hpp>
#include <splitdsl/runtime/frame_streams.hpp>
#include <splitdsl/runtime/given_answers.hpp>
#include <splitdsl/runtime/input_mailbox.hpp>
#include <splitdsl/runtime/link_watch.hpp>
#include <splitdsl/runtime/offered_inputs.hpp>
#include <splitdsl/runtime/report.hpp>
#include <splitdsl/runtime/reserve_keeper.hpp>
#include <splitdsl/runtime/sentinel.hpp>
#include <splitdsl/runtime/session.hpp>
#include <splitdsl/runtime/several_servers.hpp>
#include <splitdsl/runtime/threads.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace splitdsl {

/// Runs `net` frame by frame under `Policy`: one thread computes and decides, one keeps the link, one watches the deadline,
/// one watches the host. After construction a frame allocates nothing and locks no mutex.
///
/// Refused with `option_error`: what `edge_options` says, and a policy that streams on a network with streams, over a link, without `edge_options::streams`.
/// `submit`, `poll`, `infer`, `refused` and `distributions` belong to one caller thread; `counters`, `report`, `profile`, `rules`, `link_now` and
/// `link_failure` may be called from any.
///
/// ```cpp body
/// edge_core<policy::sage> edge{net, packed, policy::sage{costs}, {.deadline = 100ms}, std::make_unique<link::tcp>("tail.local", 7447)};
/// std::array<float, 3> control;
/// const answer a = edge.infer(inputs, control);      // a.source, a.age, a.timings
/// ```
template <scheduler_policy Policy, class Line = session>
class edge_core {
    static constexpr bool chooses = detail::several_servers_v<Line>;
    static_assert(!chooses || !streams_v<Policy>, "splitdsl: servers: a policy that does not stream was expected; streams have one server");

public:
    edge_core(const pipeline& net, std::span<const std::byte> packed_weights, Policy policy, const edge_options& o,
              typename Line::place where)
        : network{net},
          packed{packed_weights.data()},
          options{detail::checked(o, net, streams_v<Policy> && static_cast<bool>(where))},
          stage_times{o.stage_times.data(), o.stage_times.size()},
          exits{exits_of(net, o.exits, o.use_exits)},
          sureness{policy::confidence_kind_of(policy)},
          arena{net},
          outputs(net.output_floats),
          cloud_values(net.output_floats),
          given{net.output_floats, o.preset},
          offered{net.inputs.size()},
          mailbox{net.inputs},
          reserves{net, options, {stage_times.data(), stage_times.size()},
                   detail::calibrate(net, packed, arena.data(), outputs.data(), o.workers, o.stage_times, o.calibration_runs, o.calibration_time)},
          machine{std::move(policy), detail::rules_over<Line>(reserves.rules())},
          watcher{canary_period(), o.threads},
          guard{claims, {.deadline = o.deadline, .ahead = o.last_resort_lead / 2, .threads = o.threads}, work, answered} {
        if constexpr (chooses) {
            if (where) line = std::make_unique<Line>(std::move(where), detail::setup_for(net, options), work, options.breaker, net, machine.strategy());
        } else {
            if (where) line = std::make_unique<Line>(std::move(where), detail::setup_for(net, options), work);
            streams = {options.streams, line.get(), arena.data()};
        }
        compute_thread = detail::start_thread<&edge_core::compute>(this);
    }
    edge_core(const edge_core&) = delete;
    edge_core& operator=(const edge_core&) = delete;
    ~edge_core() {
        stopping.store(true, std::memory_order_release);
        work.ring();
        if (line) line->wake();
        compute_thread.join();
    }

    /// Starts a frame and returns its number, or 0 if the one before is not polled yet, an input's size is wrong, or a command has no
    /// branch: `refused` tells which, `answer_counters::refused` counts. Copies the inputs. The deadline runs from this call.
    std::uint32_t submit(frame_inputs inputs) noexcept {
        const instant start = std::chrono::steady_clock::now();
        why_refused = open_frame != 0 ? frame_refusal::not_polled : offered.unfit(inputs, network);
        if (why_refused != frame_refusal::none) {
            given.refuse();
            return 0;
        }
        if (++last_frame == 0) last_frame = 1;
        open_frame = last_frame;
        started = start;
        guard.expect(due());
        mailbox.post(open_frame, start, inputs);
        claims.open(open_frame);
        work.ring();
        return open_frame;
    }

    /// Why the newest `submit` or `infer` started no frame; `none` if it did.
    frame_refusal refused() const noexcept { return why_refused; }

    /// True if the submitted frame is answered: fills `a` and copies the values into `a.values`. At the deadline this call
    /// itself takes the last resort, should even the sentinel not have been let run.
    bool poll(answer& a) noexcept {
        if (open_frame == 0) return false;
        if (claims.is_open(open_frame)) {
            const instant now = std::chrono::steady_clock::now();
            if (now < due() - lead()) return false;
            claims.take_last_resort(open_frame, now, claimant::caller);
        }
        deliver(a);
        return true;
    }

    /// `submit`, then waits for the answer: at most until the deadline. `values` receives it; the answer's span ends where it does.
    /// Refused as by `submit`: `answer_source::none`, no values, and what `values` held stays.
    answer infer(frame_inputs inputs, std::span<float> values) noexcept {
        const std::uint32_t frame = submit(inputs);
        if (frame == 0) return {.refused = why_refused};
        answer a{.values = values};
        for (auto heard = answered.now(); claims.is_open(frame) && std::chrono::steady_clock::now() < due() - lead();)
            heard = answered.wait(heard, due() - lead());
        poll(a);
        a.values = values.first(given.copied());
        return a;
    }

    /// `answer` has the newest delivered frame. `frame` and `link` are other threads': right behind an answer they may lack its frame, until the next one begins.
    edge_counters counters() const { return {machine_counts.load(), given.counters(), line ? line->counters() : link_counters{}}; }
    const edge_distributions& distributions() const { return given.distributions(); }
    edge_report report() const {
        return {.counters = counters(),
                .reserve = host_reserve(),
                .deadline = options.deadline,
                .fits = profile().fits(rules()),
                .tail_fits = profile().tail_fits(rules()),
                .prepared = prepared.load(std::memory_order_relaxed) && guard.is_prepared(),
                .canary_stalls = watcher.stalls_seen(),
                .longest_canary_stall = watcher.longest_ever(),
                .compute_waits = work.times_waited() + (line ? line->times_listened() : 0),
                .link_waits = line ? line->times_listened() : 0};
    }
    stage_profile profile() const { return reserves.profile(); }
    /// The link as the next decision would see it.
    link_view link_now() const {
        const instant now = std::chrono::steady_clock::now();
        link_view v = view(now);
        v.up = v.up && now >= told_breaker.load().opens_at();
        return v;
    }
    /// Why the link is not up, for people; empty while it is up, and without a link.
    std::string link_failure() const {
        if (!line) return {};
        const std::string why = line->last_failure();
        return why.empty() ? told_breaker.load().sentence(std::chrono::steady_clock::now()) : why;
    }
    frame_rules rules() const { return reserves.rules(); }
    /// The connection, or those to several servers; null without.
    const Line* connection() const { return line.get(); }

private:
    using claimant = detail::frame_claims::claimant;

    // ---- caller's thread --------------------------------------------------------------------------------------------------
    instant due() const noexcept { return started + options.deadline; }
    duration lead() const noexcept { return options.last_resort_lead / 4; } // behind compute's and the sentinel's moment
    duration host_reserve() const noexcept { return reserves.reserve(); }
    duration canary_period() const noexcept { return std::clamp<duration>(host_reserve() / 16, std::chrono::microseconds{500}, std::chrono::milliseconds{5}); }

    void deliver(answer& a) noexcept {
        const auto taken = claims.taken_by(open_frame);
        const instant at = claims.taken_at(open_frame);
        const frame_note told = notes.load();
        const bool mine = told.frame == open_frame; // else the compute thread never told: it hangs in an older frame
        a.frame = open_frame;
        a.source = taken.source;
        a.exit = taken.source == answer_source::exit ? taken.detail : -1;
        a.cut = mine ? static_cast<int>(told.cut) : -2;
        a.tier = taken.source == answer_source::cloud ? static_cast<int>(told.tier) : 0;
        a.server = mine && (told.cut >= -1 || taken.source == answer_source::cloud) ? static_cast<int>(told.server) : -1;
        if constexpr (streams_v<Policy>)
            if (taken.source == answer_source::cloud && a.cut == -2) a.exit = taken.detail; // the stream that was answered
        a.bytes_up = mine ? told.bytes_up : 0;
        a.timings = mine ? told.timings() : frame_timings{};
        a.on_time = at <= due();
        a.host_stall = watcher.stalled(started, at, host_reserve());
        given.settle(a, values_of(taken), started, at, falls_back_v<Policy>);
        open_frame = 0;
    }
    std::span<const float> values_of(answer_slot::claim_result taken) const noexcept {
        if (taken.source == answer_source::cloud) return cloud_values;
        const std::span<const float> all{outputs};
        if (taken.source != answer_source::exit || taken.detail >= exits.size()) return all;
        return all.subspan(exits[taken.detail].first_float, exits[taken.detail].floats);
    }

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    void compute() {
        prepared.store(detail::enter_thread("sd-compute", options.threads), std::memory_order_relaxed);
        auto heard = work.now();
        while (!stopping.load(std::memory_order_acquire)) {
            if (const auto* l = mailbox.take())
                serve(*l);
            else {
                drop_stale_replies();
                heard = work.wait(heard, std::chrono::steady_clock::now() + std::chrono::seconds{1});
            }
        }
    }

    void serve(const input_mailbox::letter& l) {
        if (line) line->look();
        const instant taken_up = std::chrono::steady_clock::now();
        if (!claims.is_open(l.frame)) { // this thread was away for a whole frame
            machine.skipped();
            return;
        }
        drop_stale_replies();
        watch_link(taken_up);
        note = {.frame = l.frame, .queued = (taken_up - l.start).count()};
        paced_from = l.start;
        memory = {arena.data(), packed, l.inputs, outputs.data(), options.workers};
        detail::choose_server(line.get(), machine, -1, l.start + options.deadline, taken_up);
        command c = machine.begin(l.frame, l.start, taken_up, view(taken_up));
        while (true) {
            switch (c.what) {
            case command::kind::run:
                if constexpr (streams_v<Policy>) begin_stream(c);
                c = run_stage(c.stage);
                break;
            case command::kind::offload:
                c = hand_over(c, l);
                paced_from = std::chrono::steady_clock::now();
                break;
            case command::kind::wait:
                c = await(c.until);
                paced_from = std::chrono::steady_clock::now();
                break;
            case command::kind::publish: answer_with(c.source, c.exit, l); return;
            case command::kind::last_resort: answer_with(answer_source::held, -1, l); return;
            case command::kind::nothing: // the sentinel was first, or the edge is being destroyed
                finish(false, std::chrono::steady_clock::now(), l);
                return;
            }
        }
    }
    bool given_up() const noexcept { return !claims.is_open(machine.running_frame()) || stopping.load(std::memory_order_relaxed); }

    command run_stage(int stage) {
        const instant begun = std::chrono::steady_clock::now();
        try {
            reserves.time(stage, [&] { network.run(memory, stage, stage + 1, &never); });
        } catch (...) { // a task_runner's
            return machine.stage_failed();
        }
        bool tail = machine.now_is() == decltype(machine)::state::falling_back;
        if constexpr (streams_v<Policy>) tail = tail || streams.any(); // an answer may come at any time
        command reply{};
        if (stage_times.size() > 0) {
            // Counted from where the stage before should have ended: what this machine takes to wake up does not add up.
            const instant until = paced_from += stage_times[static_cast<std::size_t>(stage)];
            auto heard = work.now();
            while (std::chrono::steady_clock::now() < until && !given_up()) {
                if (tail && (reply = take_replies()).what != command::kind::nothing) break;
                heard = work.wait(heard, until);
            }
        }
        const instant ended = std::chrono::steady_clock::now();
        (machine.now_is() == decltype(machine)::state::falling_back ? note.tail : note.head) += (ended - begun).count();
        notes.store(note);
        if (reply.what != command::kind::nothing) return reply;
        if (given_up()) return {};
        if (tail && (reply = take_replies()).what != command::kind::nothing) return reply;
        const auto [exit, confidence] = exit_of(stage);
        if (exit >= 0) claims.exit_there(static_cast<std::uint32_t>(note.frame), exit);
        detail::choose_server(line.get(), machine, stage, machine.due(), ended);
        return machine.stage_done(ended, view(ended), exit, confidence);
    }
    /// An exit whose `confidence` throws is none.
    std::pair<int, float> exit_of(int stage) {
        try {
            return exit_behind(stage, exits, outputs, sureness);
        } catch (...) {
            machine.callback_failed();
            return {-1, 0.0F};
        }
    }

    /// When the stage that is over ended: by its profile, if that was not long ago, else now.
    instant stage_over(instant now) const noexcept {
        return stage_times.size() > 0 && paced_from <= now && now - paced_from < std::chrono::milliseconds{1} ? paced_from : now;
    }

    // ---- streams: only for policies that have some ---------------------------------------------------------------------------
    void begin_stream(const command& c) {
        if (c.stream < 0) return;
        const instant now = std::chrono::steady_clock::now();
        // A command to run the next stage comes right behind the one before it; at other times no stage's map is sure to be there any more.
        const int ended = c.what == command::kind::run ? c.stage - 1 : -1;
        if (const std::uint32_t epoch = streams.begin(order_of(c, ended, now), now); epoch != 0) machine.stream_began(now, epoch);
    }
    edge_stream_hooks::order order_of(const command& c, int ended, instant now) const {
        return {.frame = machine.running_frame(),
                .stream = c.stream,
                .first = c.first,
                .last = c.last,
                .least = c.least,
                .stage = ended,
                .due = machine.due(),
                .made = stage_over(now)};
    }
    /// What came of the frame's streams: answers as any reply, acknowledgements to the policy.
    void hear_streams() {
        for (link_event e{}; streams.next_event(e);) {
            const instant now = std::chrono::steady_clock::now();
            const command c = machine.acknowledged(e, now, view(now));
            begin_stream(c);
            if (c.drop) streams.drop(machine.running_frame(), now);
        }
    }
    void end_streams() {
        if (!streams.any()) return;
        note.bytes_up = streams.bytes_sent();
        notes.store(note);
        streams.end(machine.running_frame(), stage_over(std::chrono::steady_clock::now()));
    }

    command hand_over(const command& c, const input_mailbox::letter& l) {
        const instant begun = std::chrono::steady_clock::now();
        if constexpr (streams_v<Policy>)
            if (c.stream >= 0) return hand_over_stream(c, begun);
        session::sent sent{};
        if (const auto size = make_payload(c, l)) {
            const duration left = machine.due() - options.last_resort_lead - begun;
            sent = line->send({.sequence = l.frame, .cut = c.cut, .codec = c.codec, .bytes = *size, .left = left, .kept = machine.keeps(begun)}, begun);
        }
        handed = std::chrono::steady_clock::now();
        note.cut = c.cut;
        note.server = sent.taken ? sent.server : -1;
        note.bytes_up = sent.taken ? sent.bytes : 0;
        note.send = (handed - begun).count();
        notes.store(note);
        const command next = machine.handed_over(handed, sent.taken, sent.epoch);
        if (next.what != command::kind::wait) line->leave();
        return next;
    }

    /// Its bytes in the session's room; none if `encode_input` throws: nothing is sent then.
    std::optional<std::size_t> make_payload(const command& c, const input_mailbox::letter& l) {
        const auto room = line->payload_room();
        try {
            return c.cut >= 0 ? network.store_payload(memory, c.cut, room.data())
                              : detail::write_inputs(options, {l.spans, network.inputs.size()}, room, std::max(c.codec, 0));
        } catch (...) {
            machine.callback_failed();
            return std::nullopt;
        }
    }

    /// A stream in place of a cut's payload: it leaves as any stream, and the frame waits for its answer.
    command hand_over_stream(const command& c, instant begun) {
        const std::uint32_t epoch = streams.begin(order_of(c, machine.last_stage(), begun), begun);
        handed = std::chrono::steady_clock::now();
        note.send = (handed - begun).count();
        notes.store(note);
        return machine.handed_over(handed, epoch != 0, epoch);
    }

    command await(instant until) {
        command c{};
        while (true) {
            const auto heard = work.now(); // whatever is told from here on ends the wait below
            if (given_up()) break;
            if ((c = take_replies()).what != command::kind::nothing) break;
            const instant now = std::chrono::steady_clock::now();
            if ((c = watch_link(now)).what != command::kind::nothing) break;
            if (now >= until) {
                c = machine.timer(now);
                break;
            }
            if (!line->listen(heard, until)) work.wait(heard, until);
        }
        line->leave();
        note.wait = (std::chrono::steady_clock::now() - handed).count();
        notes.store(note);
        return c;
    }

    /// Feeds every reply that came to the machine; stops at the first that changes what to do.
    command take_replies() {
        if (!line) return {};
        if constexpr (streams_v<Policy>) hear_streams();
        while (const auto* r = line->oldest_reply()) {
            const instant now = std::chrono::steady_clock::now();
            reply_facts facts = r->facts;
            if constexpr (streams_v<Policy>)
                if (facts.exit >= 0) facts.confidence = options.streams->confidence(facts.exit, std::span{r->values}.first(options.streams->answer_floats(facts.exit)));
            const command c = machine.reply(facts, now, view(now));
            if (c.what == command::kind::publish) keep_reply(r->values), note.tier = facts.tier + 1, note.server = facts.server;
            line->pop_reply();
            if (c.what != command::kind::nothing) return c;
        }
        return {};
    }
    /// The cloud computes no exit in front of the cut: the answer has the device's, as a local one would.
    void keep_reply(std::span<const float> values) {
        std::copy(values.begin(), values.end(), cloud_values.begin());
        const int cut = machine.last_cut();
        if (cut < 0 || values.size() != outputs.size()) return;
        for (const exit_info& e : network.exits)
            if (e.stage <= network.cuts[static_cast<std::size_t>(cut)].stage)
                std::copy_n(outputs.begin() + static_cast<std::ptrdiff_t>(e.first_float), e.floats, cloud_values.begin() + static_cast<std::ptrdiff_t>(e.first_float));
    }
    void drop_stale_replies() {
        take_replies(); // between frames none can be accepted: only counted
        tell();
    }
    void tell() {
        machine_counts.store(machine.counters());
        told_breaker.store(breaker_note::of(machine.offload_breaker()));
    }
    command watch_link(instant now) {
        if (!line) return {};
        return known_link.news(line->status(), machine, now, [&] { return view(now); });
    }
    link_view view(instant now) const {
        link_view v = line ? line->view(now) : link_view{};
        if constexpr (streams_v<Policy>)
            if (options.streams != nullptr) options.streams->look(v);
        return v;
    }

    void answer_with(answer_source source, int exit, const input_mailbox::letter& l) {
        if constexpr (streams_v<Policy>)
            if (streams.any()) note.bytes_up = streams.bytes_sent();
        notes.store(note);
        if ((source == answer_source::edge || source == answer_source::fallback) && !all_finite(outputs)) machine.not_finite(), source = answer_source::held;
        const instant now = std::chrono::steady_clock::now();
        const bool own =
            source == answer_source::held ? claims.take_last_resort(l.frame, now, claimant::compute) : claims.take(l.frame, source, exit, now, claimant::compute);
        answered.ring();
        finish(own && source != answer_source::held, now, l);
    }
    void finish(bool own, instant at, const input_mailbox::letter& l) {
        if constexpr (streams_v<Policy>) end_streams();
        machine.published(own, at, watcher.stalled(l.start, at, host_reserve()));
        detail::frame_over(line.get());
        if (frame_rules r = machine.rulebook(); reserves.adopt(r)) machine.keep_reserves(r), watcher.wake_every(canary_period());
        tell();
    }

    const pipeline network;
    const std::byte* packed;
    const edge_options options;
    const fixed_array<duration> stage_times;
    const std::vector<exit_place> exits;
    const policy::confidence_kind sureness; // of exits without a function of their own
    const frame_arena arena;
    std::vector<float> outputs, cloud_values; // compute thread's; read by the caller once claimed
    detail::given_answers given;              // caller's, but for what it tells
    detail::offered_inputs offered;           // caller's
    input_mailbox mailbox;
    detail::reserve_keeper reserves; // compute thread's, but for what it tells
    frame_machine<Policy> machine;   // compute thread's
    canary watcher;
    bell work, answered;
    std::unique_ptr<Line> line;

    detail::frame_claims claims;
    detail::sentinel guard;
    std::atomic<bool> stopping{}, never{}, prepared{true};
    shared_counters<frame_counters> machine_counts;
    shared_counters<breaker_note> told_breaker;
    shared_counters<frame_note> notes;

    frame_memory memory{}; // compute thread's from here
    frame_note note{};
    instant handed{};
    instant paced_from{};
    detail::link_watch known_link{};
    detail::frame_streams streams;

    std::uint32_t last_frame{}, open_frame{}; // caller's from here
    instant started{};
    frame_refusal why_refused{};

    std::thread compute_thread;
};

} // namespace splitdsl
