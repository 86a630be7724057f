// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file server_board.hpp
/// What an edge believes of its servers, and what the running frame asked of whom: a pure state machine.
#pragma once

#include <splitdsl/policy/server_choice.hpp>
#include <splitdsl/runtime/breaker.hpp>
#include <splitdsl/runtime/frame_rules.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace splitdsl {

/// How several servers are used, beside the chooser. A copy of a frame costs its radio energy and its server's time once more: both kinds of copy are bounded.
struct servers_options {
    /// A second server is asked when the first is late and the second can still be in time. So many of the frames at most, on average; 0: never.
    double second_share{0.1};
    int second_burst{5};                                 ///< and so many in a row
    double late_factor{1.5};                             ///< late: it takes so many times what was expected
    duration late_by{std::chrono::milliseconds{2}};      ///< and so much longer at least
    /// What a server takes is known by its answers alone, so one that is not chosen gets a copy of a frame now and then. The pause begins with the first of
    /// these and doubles up to the second. The first 0: none are sent, and what was known of a server's time counts no longer than the second.
    duration first_probe{std::chrono::seconds{1}}, longest_probe{std::chrono::seconds{30}};
};

/// What one server was asked and what came of it. Frames and copies of frames; pings and probes of the link are `link_counters`'.
struct server_counters {
    std::uint64_t chosen{};   ///< frames that went to it first
    std::uint64_t stood_in{}; ///< copies, because another one failed within the frame
    std::uint64_t seconds{};  ///< copies, because another one was late
    std::uint64_t probes{};   ///< copies, to see what it takes
    std::uint64_t answered{}; ///< its reply was the first valid one
    std::uint64_t beaten{};   ///< valid too, but another server's was first
    std::uint64_t late{};     ///< behind its frame, a second copy, or of an older connection
    std::uint64_t shed{};     ///< it said that it gives no answer
    std::uint64_t invalid{};  ///< damaged, of a wrong size, not finite
    std::uint64_t failed{};   ///< asked and no valid reply in time, for whatever reason
    std::uint64_t breaker_openings{};
    std::uint64_t bytes_up{}; ///< of all that it was asked, headers included
    std::uint64_t bytes_down{}; ///< of valid replies
    std::uint64_t air_ns{}, air_down_ns{};   ///< these bytes over the rates that were measured then: modelled
    std::uint64_t asked() const { return chosen + stood_in + seconds + probes; }
};

/// Chooses, remembers what was asked, judges what comes. No clock, no thread, no allocation: live edges and simulations drive the same class.
///
/// A frame goes `choose`, `asked(first)`, then `heard`, `lost`, `second` and `asked` as things happen, `ended` and `over`. The frame machine sees one link: a reply is handed on to
/// it as one to the question that it knows of, and only the first valid one of a frame. Each server has a circuit breaker of its own. `links` are the servers' links as measured now; O(servers) a call.
template <server_choice Choice>
class server_board {
public:
    enum class role : std::uint8_t { first, stand_in, second, probe };
    enum class fate : std::uint8_t {
        hand_on, ///< to the frame machine
        drop,    ///< nothing more comes of it
        failing  ///< the frame's last hope is gone: ask a stand-in, else hand it on
    };
    using links = std::span<const link_view>;

    server_board(int servers, std::span<const radio_power> radios, const servers_options& o, const breaker_options& b, Choice c)
        : count{servers}, options{o}, choice{std::move(c)}, seconds_left{static_cast<double>(o.second_burst)} {
        for (int k = 0; k < count; ++k) {
            at(k).breaker = circuit_breaker{b};
            at(k).radio = radios[static_cast<std::size_t>(k)];
            at(k).pause = o.first_probe;
        }
        last.fill(-1);
    }

    /// The server for a frame that may be sent now; -1: none. `q.last` is filled in here.
    int choose(server_question q, links measured) {
        question = q;
        settle(q.now);
        question.last = q.last = last[slot(q.cut)];
        auto views = look(measured, q.now, false);
        bool any = false;
        for (int k = 0; k < count; ++k) any = any || views[index(k)].link.up;
        if (!any || options.first_probe <= duration{}) // no copy will ever be the trial of one whose pause is over: a frame itself is
            for (int k = 0; k < count; ++k) views[index(k)].link.up = measured[index(k)].up && at(k).breaker.allows(q.now);
        const int k = checked(choice.choose(q, std::span{views}.first(index(count))), views);
        if (k >= 0) last[slot(q.cut)] = k;
        return k;
    }

    /// `k` was handed the frame, or a copy of it. `first` begins the frame: its answer is awaited until `until`, and the machine knows it by `epoch`.
    void asked(int k, role r, std::uint32_t sequence, std::uint32_t epoch, std::size_t size, instant until, instant now, links measured) {
        server& s = at(k);
        const link_view& l = measured[index(k)];
        if (r == role::first) {
            frame = {.sequence = sequence, .epoch = epoch, .until = until, .first = k, .waiting = true};
            seconds_left = std::min(seconds_left + options.second_share, static_cast<double>(options.second_burst));
        }
        const duration expected = expected_answer(question, {.link = l, .service = service_of(k, now)});
        const duration on_its_way = saturating_sum(expected, -service_of(k, now));
        s.before = s.memo;
        s.memo = {.sequence = sequence, .epoch = epoch, .cut = question.cut, .sent = now, .until = until, .on_its_way = on_its_way, .open = true, .known = r == role::first, .probe = r == role::probe};
        s.breaker.sent();
        ++(r == role::first ? s.counts.chosen : r == role::stand_in ? s.counts.stood_in : r == role::second ? s.counts.seconds : s.counts.probes);
        s.counts.bytes_up += size;
        s.counts.air_ns += nanoseconds(upload_time({static_cast<double>(size)}, l.rate_up));
        if (r == role::second) seconds_left -= 1;
        if (r == role::probe) wait_longer(s, now);
        if (r == role::first) plan_second(expected, now, measured);
        else if (r != role::probe) frame.late_at = instant::max();
    }

    /// A reply of server `k`. Where it is handed on, `f` is as the machine knows its frame.
    fate heard(int k, reply_facts& f, instant now, links measured) {
        server& s = at(k);
        const bool good = f.size_ok && f.crc_ok && f.finite && !f.shed;
        if (!f.shed && !good) ++s.counts.invalid;
        if (f.shed) ++s.counts.shed;
        question_sent* const m = s.memo.is_answered_by(f) ? &s.memo : s.before.is_answered_by(f) ? &s.before : nullptr;
        if (m == nullptr) return s.counts.late += good, fate::drop; // the second copy of a reply, or of a frame long ago
        const bool newest = m->sequence == frame.sequence, wanted = newest && !frame.answered && !frame.over;
        const bool was_open = std::exchange(m->open, false);
        m->replied = true;
        if (!good) {
            if (was_open) failed(s, *m, f.shed ? m->until : now, now);
            if (!wanted || owing() > 0) return fate::drop;
            translate(f, k);
            return frame.waiting ? fate::failing : fate::hand_on;
        }
        learn(s, m->cut, f.service, now);
        s.counts.bytes_down += static_cast<std::uint64_t>(question.reply.value);
        s.counts.air_down_ns += nanoseconds(download_time(question.reply, policy::known_downlink(measured[index(k)])));
        if (was_open || wanted) s.breaker.succeeded();
        if (newest && frame.answered) return ++s.counts.beaten, fate::drop;
        if (!wanted) return ++s.counts.late, m->known ? fate::hand_on : fate::drop; // the machine counts it as late too
        frame.answered = true;
        for (int i = 0; i < count; ++i) at(i).memo.known = at(i).memo.known && at(i).memo.sequence != frame.sequence;
        ++s.counts.answered;
        if (frame.first == k && ++s.in_a_row >= steady) s.pause = options.first_probe;
        translate(f, k);
        return fate::hand_on;
    }

    /// The connection to `k` ended. True if the frame waited for this one alone: ask a stand-in.
    bool lost(int k, instant now) {
        server& s = at(k);
        if (!s.memo.open) return false;
        s.memo.open = false;
        failed(s, s.memo, now, now);
        return frame.waiting && !frame.answered && s.memo.sequence == frame.sequence && owing() == 0;
    }
    /// A new connection to `k`: what it takes is worth a look.
    void returned(int k, instant now) {
        at(k).breaker.link_returned();
        at(k).probe_at = now;
    }

    /// Somebody else for the running frame, who is expected to be in time; -1: nobody.
    int second(instant now, links measured) const {
        server_question q = question;
        q.now = now;
        q.window = frame.until - now;
        q.last = -1;
        const auto views = look(measured, now, true);
        Choice copy = choice;
        const int k = checked(copy.choose(q, std::span{views}.first(index(count))), views);
        return k >= 0 && expected_answer(q, views[index(k)]) <= q.window ? k : -1;
    }
    /// When the first server is late; the longest time if nobody else is to be asked.
    instant late_at() const { return frame.late_at; }
    /// It is, and this is over, whoever is asked now.
    void was_late() { frame.late_at = instant::max(); }

    /// Another server that may get a copy of this frame, to see what it takes; -1: none that could be in time is due.
    int probe(instant now, links measured) {
        int due = -1;
        if (options.first_probe <= duration{}) return due;
        for (int k = 0; k < count; ++k) {
            const link_view& l = measured[index(k)];
            if (at(k).memo.open || !l.up || l.busy || now < at(k).probe_at || !at(k).breaker.allows(now)) continue;
            if (expected_answer(question, {.link = l}) > question.window) continue; // the way alone is too long: it would be sent in vain
            if (due < 0 || at(k).probe_at < at(due).probe_at) due = k;
        }
        return due;
    }

    /// The machine waits no longer, whoever answered. `gave_up`: it waited, and nobody did.
    void ended(bool gave_up, instant now) {
        frame.waiting = false;
        frame.late_at = instant::max();
        if (!gave_up || frame.answered) return;
        for (int k = 0; k < count; ++k)
            if (at(k).memo.open && at(k).memo.sequence == frame.sequence) give_up(k, now);
    }

    /// The frame has its answer, if only the device's own: whose reply comes from here on was too late for it, and did not succeed.
    void over() { frame.over = true; }

    bool waiting() const { return frame.waiting && !frame.answered; }
    bool is_asked(int k) const { return at(k).memo.open; }
    std::uint32_t asked_epoch(int k) const { return at(k).memo.epoch; }
    /// How many servers owe the running frame an answer.
    int owing() const {
        int n = 0;
        for (int k = 0; k < count; ++k) n += owes(k);
        return n;
    }
    bool owes(int k) const { return at(k).memo.open && at(k).memo.sequence == frame.sequence; }
    server_counters counters(int k) const {
        server_counters c = at(k).counts;
        c.breaker_openings = at(k).breaker.times_opened();
        return c;
    }
    const circuit_breaker& breaker(int k) const { return at(k).breaker; }

private:
    struct question_sent {
        std::uint32_t sequence{}, epoch{};
        int cut{-1};
        instant sent{}, until{};
        duration on_its_way{};
        bool open{};    // no reply yet, and not given up
        bool replied{};
        bool known{};   // the machine knows of it, and had no other server's answer to the frame
        bool probe{};
        bool is_answered_by(const reply_facts& f) const { return sequence != 0 && f.sequence == sequence && f.epoch == epoch && !replied; }
    };
    struct estimate {
        duration time{};
        bool measured{}; // else only that it takes longer than that
        bool any{};
        instant told{};
    };
    struct server {
        circuit_breaker breaker{};
        radio_power radio{};
        std::array<estimate, max_cuts + 1> takes{};
        question_sent memo{}, before{}; // of the newest question and of the one in front of it
        duration pause{};
        instant probe_at{};
        int in_a_row{};
        server_counters counts{};
    };
    struct running {
        std::uint32_t sequence{}, epoch{};
        instant until{}, late_at{instant::max()};
        int first{-1};
        bool waiting{}, answered{}, over{};
    };
    static constexpr int steady = 8; // answers in a row after which its failures are forgotten

    static constexpr std::size_t index(int k) { return static_cast<std::size_t>(k); }
    static constexpr std::size_t slot(int cut) { return static_cast<std::size_t>(std::clamp(cut, -1, max_cuts - 1) + 1); }
    static constexpr std::uint64_t nanoseconds(duration d) { return d < std::chrono::hours{1} && d > duration{} ? static_cast<std::uint64_t>(d.count()) : 0; }
    server& at(int k) { return all[index(k)]; }
    const server& at(int k) const { return all[index(k)]; }

    int checked(int k, const std::array<server_view, max_servers>& views) const { return k >= 0 && k < count && views[index(k)].link.up ? k : -1; }

    std::array<server_view, max_servers> look(links measured, instant now, bool for_second) const {
        std::array<server_view, max_servers> views{};
        for (int k = 0; k < count; ++k) {
            server_view& v = views[index(k)];
            v = {.link = measured[index(k)], .service = service_of(k, now), .radio = at(k).radio};
            v.link.up = v.link.up && at(k).breaker.now_is() == circuit_breaker::state::closed;
            if (for_second) v.link.up = v.link.up && !v.link.busy && !at(k).memo.open && at(k).memo.sequence != frame.sequence;
        }
        return views;
    }
    /// As measured, or as long as an answer is owed already; of one that never gave any, the longest of the others'.
    duration service_of(int k, instant now) const {
        const std::size_t c = slot(question.cut);
        const server& s = at(k);
        const bool forgotten = options.first_probe <= duration{} && now - s.takes[c].told > options.longest_probe;
        duration t = forgotten ? duration{} : s.takes[c].time;
        if (!s.takes[c].any || forgotten)
            for (int i = 0; i < count; ++i) t = std::max(t, at(i).takes[c].measured ? at(i).takes[c].time : duration{});
        return s.memo.open && s.memo.cut == question.cut ? std::max(t, now - s.memo.sent - s.memo.on_its_way) : t;
    }
    static void learn(server& s, int cut, duration service, instant now) {
        estimate& e = s.takes[slot(cut)];
        e.time = e.measured ? e.time + (service - e.time) / 4 : service;
        e.measured = e.any = true;
        e.told = now;
    }
    /// No valid reply to `m`; none is to come before `until`.
    void failed(server& s, const question_sent& m, instant until, instant now) {
        ++s.counts.failed;
        s.breaker.failed(now);
        s.in_a_row = 0;
        estimate& e = s.takes[slot(m.cut)];
        // It takes longer than it had. By how much is not known; as much as would be in time the next time would be too little.
        if (const duration had = until - m.sent - m.on_its_way; had > duration{} && had + had / 4 > e.time) e = {.time = had + had / 4, .measured = false, .any = true, .told = now};
        if (!m.probe) wait_longer(s, now); // a probe's pause began when it was sent
    }
    void give_up(int k, instant now) {
        at(k).memo.open = false;
        failed(at(k), at(k).memo, now, now);
    }
    void wait_longer(server& s, instant now) const {
        s.probe_at = now + s.pause;
        s.pause = std::min(s.pause * 2, std::max(options.longest_probe, options.first_probe));
    }
    /// What is owed since before the moment by which it was to come, failed.
    void settle(instant now) {
        for (int k = 0; k < count; ++k)
            if (at(k).memo.open && now >= at(k).memo.until) give_up(k, now);
    }
    void translate(reply_facts& f, int k) const {
        f.epoch = frame.epoch;
        f.server = k;
    }
    /// Late is late; but where the second server takes long it is asked sooner, if the first could be there by then.
    void plan_second(duration expected, instant now, links measured) {
        if (seconds_left < 1 || options.second_share <= 0 || expected >= frame.until - now) return;
        const int k = second(now, measured);
        if (k < 0) return;
        const duration takes = expected_answer(question, {.link = measured[index(k)], .service = service_of(k, now)});
        const duration late = std::max(from_seconds(to_seconds(expected) * options.late_factor), expected + options.late_by);
        const instant at_last = frame.until - takes - options.late_by;
        if (at_last >= now + expected) frame.late_at = std::min(now + late, at_last);
    }

    int count;
    servers_options options;
    Choice choice;
    std::array<server, max_servers> all{};
    std::array<int, max_cuts + 1> last{};
    server_question question{};
    running frame{};
    double seconds_left;
};

} // namespace splitdsl
