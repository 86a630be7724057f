// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file adversary.hpp
/// The worst world the deadline promise still has to hold in, and beyond: one of 16 kinds of fault, adversarial stage and link times.
#pragma once

#include <splitdsl/sim/simulated_edge.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace splitdsl::soak {

using namespace std::chrono_literals;

inline constexpr int kinds = 16;
inline constexpr std::array<const char*, kinds> kind_names{
    "loss",    "burst",     "delay step", "jitter",    "rate collapse", "blackhole",   "reset",        "half-open",
    "reorder", "duplicate", "corruption", "slow drip", "server stall",  "server kill", "wrong answer", "clock jump"};
enum kind_index {
    loss,
    burst,
    delay_step,
    jitter,
    rate_collapse,
    blackhole,
    reset,
    half_open,
    reorder,
    duplicate,
    corruption,
    slow_drip,
    server_stall,
    server_kill,
    wrong_answer,
    clock_jump
};

/// Offloads most frames, at either cut or whole; declines some replies; takes some exits. Deterministic for its seed.
struct restless_policy {
    splitdsl::detail::xoshiro256 random{1};
    int wish{}; // -2: stay; -1, 0, 1: the cut to offload at

    action on(frame_start, const link_view&, const budget&) noexcept {
        const auto dice = random.below(100);
        wish = dice < 12 ? -2 : dice < 18 ? -1 : dice < 70 ? 0 : 1;
        return wish == -1 ? action::offload_at(-1) : action::go_on();
    }
    action on(stage_done s, const link_view&, const budget&) noexcept {
        if (s.exit >= 0 && s.confidence > 0.95F) return action::answer_with(s.exit);
        return s.cut >= 0 && s.cut == wish ? action::offload_at(wish) : action::go_on();
    }
    verdict on(reply_arrived, const link_view&, const budget&) noexcept {
        return random.chance(0.03) ? verdict::keep_going : verdict::accept;
    }
    action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};

/// A tail of 10 to 50 % of the deadline, a head of 5 to 30 %.
inline void draw_reserves(frame_rules& r, splitdsl::detail::xoshiro256& random) {
    const double tail = to_milliseconds(r.deadline) * random.uniform(0.1, 0.5);
    r.remaining[3] = from_milliseconds(tail * random.uniform(0.1, 0.5));
    r.remaining[2] = r.remaining[3] + (from_milliseconds(tail) - r.remaining[3]) / 2;
    r.remaining[1] = from_milliseconds(tail);
    r.remaining[0] = r.remaining[1] + from_milliseconds(to_milliseconds(r.deadline) * random.uniform(0.05, 0.3));
    const double share = random.uniform(0.1, 0.5); // of the reserve, that the stages take once
    for (std::size_t k = 0; k < 4; ++k) r.remaining_once[k] = from_milliseconds(to_milliseconds(r.remaining[k]) * share);
}

/// Stage 0 head, cut 0, stages 1 and 2 (with an exit after 1), cut 1, stage 3.
inline frame_rules rules_of(splitdsl::detail::xoshiro256& random) {
    frame_rules r{.stages = 4, .cuts = 2, .deadline = from_milliseconds(random.uniform(20, 200)), .last_resort_lead = 500us};
    r.stage_of_cut[0] = 0;
    r.stage_of_cut[1] = 2;
    draw_reserves(r, random);
    r.breaker = {.failures_to_open = 3, .first_pause = 150ms, .longest_pause = 600ms};
    return r;
}

/// Stage times on the very edge of what is promised, and in one frame of twelve beyond it; a cloud that answers at the worst moment.
struct adversary {
    frame_rules rules{};
    int kind{};
    splitdsl::detail::xoshiro256 random{1};
    instant start{};
    instant down_until{};
    bool beyond{};
    duration head{}, left{};

    /// Before each frame.
    void prepare(instant frame_start) {
        start = frame_start;
        beyond = random.chance(1.0 / 12);
        const duration room = rules.deadline - rules.last_resort_lead - rules.remaining[1];
        const auto dice = random.below(10);
        head = dice < 2 ? room : dice < 4 ? room * 9 / 10 : share(room / 2); // exactly what is left, nearly that, comfortable
        left = rules.remaining[1];
        if (beyond && random.chance(0.4)) head = share(rules.deadline * 3);
    }
    duration stage_time(std::uint32_t, int k) {
        if (k == 0) return std::max(head - 200us, duration{}); // the rest is handing over
        if (beyond && random.chance(0.3)) return share(rules.deadline * 2);
        const duration bound = rules.remaining[k] - rules.remaining[k + 1];
        const duration own = k == 3 ? bound - 60us : bound; // what oversleeping and claiming may take
        return random.chance(0.5) ? std::max(own, duration{}) : share(std::max(own, duration{}));
    }
    duration hand_over_time(std::uint32_t, int cut) { return cut == 0 ? share(200us) : duration{}; }
    duration oversleep(std::uint32_t) {
        if (kind == clock_jump && random.chance(0.004)) return share(10s); // the machine was suspended: not covered
        return share(50us);
    }
    duration claim_delay(std::uint32_t) { return beyond ? share(800us) : share(10us); }
    sim::exit_seen exit_of(std::uint32_t, int k) {
        return k == 1 ? sim::exit_seen{0, static_cast<float>(random.uniform())} : sim::exit_seen{};
    }

    sim::cloud_service serve(std::uint32_t, int, instant t) {
        sim::cloud_service s{.time = share(5ms)};
        if (random.chance(0.3)) { // aimed at the fallback, from either side
            const instant worst = start + rules.deadline - rules.last_resort_lead - rules.remaining[1] - 5ms;
            s.time = std::max<duration>(worst - t + share(4ms) - 2ms, 0ms);
        }
        switch (kind) {
        case server_stall:
            if (random.chance(0.05)) s.time += share(rules.deadline * 4);
            if (random.chance(0.02)) s.answers = false;
            break;
        case server_kill:
            if (random.chance(0.01)) {
                s.dies = true;
                down_until = t + share(3s);
            }
            s.ghost = random.chance(0.02);
            break;
        case wrong_answer:
            s.finite = !random.chance(0.1);
            s.size_ok = !random.chance(0.1);
            s.ghost = random.chance(0.05);
            break;
        case reset:
        case half_open: s.ghost = random.chance(0.02); break;
        default: break;
        }
        return s;
    }
    bool cloud_down(instant t) const { return t < down_until; }
    void disturb(link_view& v, instant) {
        if (kind != clock_jump || !random.chance(0.2)) return;
        constexpr double absurd[]{-1e9, 0, 1e300, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
        v.rate_up = {absurd[random.below(5)]};
        v.rtt = from_seconds(random.uniform(-1e6, 1e6));
        v.age = from_seconds(random.uniform(-1e6, 1e6));
    }
    duration share(duration d) { return duration{static_cast<std::int64_t>(static_cast<double>(d.count()) * random.uniform())}; }
};

/// A script of the kind's faults over an episode of `length`; none for the kinds that are the world's.
inline std::vector<link::fault> script_of(int kind, duration length, splitdsl::detail::xoshiro256& random) {
    std::vector<link::fault> faults;
    if (kind >= server_stall) return faults;
    constexpr link::fault_kind which[]{link::fault_kind::loss,      link::fault_kind::burst,         link::fault_kind::delay_step,
                                       link::fault_kind::jitter,    link::fault_kind::rate_collapse, link::fault_kind::blackhole,
                                       link::fault_kind::reset,     link::fault_kind::half_open,     link::fault_kind::reorder,
                                       link::fault_kind::duplicate, link::fault_kind::corruption,    link::fault_kind::slow_drip};
    duration at{};
    while (faults.size() < 24) {
        at += from_seconds(to_seconds(length) * random.uniform(0.002, 0.06));
        link::fault f{.kind = which[kind], .start = at};
        at += from_seconds(to_seconds(length) * random.uniform(0.002, 0.05));
        f.end = at;
        if (f.end >= length) break;
        switch (kind) {
        case delay_step:
        case jitter:
        case reorder: f.parameter = random.uniform(0, 0.3); break;
        case slow_drip: f.parameter = random.uniform(50, 2000); break;
        case rate_collapse: f.parameter = random.uniform(0, 0.2); break;
        case burst: f.parameter = random.uniform(0.1, 0.8); break;
        case blackhole:
        case reset:
        case half_open: break;
        default: f.parameter = random.uniform(0.05, 1); break;
        }
        f.toward = static_cast<link::direction>(random.below(3));
        faults.push_back(f);
    }
    return faults;
}

/// What a run of one kind showed. The first four must be 0.
struct verdicts {
    std::uint64_t not_one_answer{}, after_deadline{}, covered_misses{}, foreign{};
    std::uint64_t frames{}, covered{}, cloud{}, edge{}, fallback{}, exit{}, held{};
    frame_counters machine{};
    std::uint64_t digest{1469598103934665603ULL}; // of every record: equal for equal seeds

    std::uint64_t violations() const { return not_one_answer + after_deadline + covered_misses + foreign; }
    void add(const sim::frame_record& r) {
        ++frames;
        not_one_answer += r.answers != 1;
        after_deadline += !r.on_time;
        const bool own = r.source != answer_source::held && r.source != answer_source::preset && r.source != answer_source::none;
        covered += r.covered;
        covered_misses += r.covered && (!own || !r.on_time);
        foreign += r.foreign;
        cloud += r.source == answer_source::cloud;
        edge += r.source == answer_source::edge;
        fallback += r.source == answer_source::fallback;
        exit += r.source == answer_source::exit;
        held += !own;
        for (const auto word : {static_cast<std::uint64_t>(r.timings.total.count()), static_cast<std::uint64_t>(r.source),
                                static_cast<std::uint64_t>(r.bytes_up)})
            digest = (digest ^ word) * 1099511628211ULL;
    }
    void add(const frame_counters& c) {
        machine.late += c.late;
        machine.duplicates += c.duplicates;
        machine.wrong_epoch += c.wrong_epoch;
        machine.wrong_size += c.wrong_size;
        machine.corrupt += c.corrupt;
        machine.not_finite += c.not_finite;
        machine.rolled_back += c.rolled_back;
        machine.skipped += c.skipped;
        machine.abandoned += c.abandoned;
        machine.breaker_openings += c.breaker_openings;
    }
};

/// `frames` frames of one fault kind, in episodes of 500 with their own rules, link and script. Every 25 frames the reserves are other ones, as an edge
/// learns them, and the stages take as long as those allow.
template <class Conduct = as_promised>
verdicts run(int kind, std::uint64_t frames, std::uint64_t seed) {
    verdicts v{};
    splitdsl::detail::xoshiro256 random{seed * 1000003 + static_cast<std::uint64_t>(kind)}, heat{seed * 998244353 + static_cast<std::uint64_t>(kind)};
    const auto traces = [&] {
        std::array<std::shared_ptr<const link::link_trace>, 4> t{};
        constexpr std::uint64_t rates[]{200'000, 1'000'000, 20'000'000, 1'000'000'000};
        for (std::size_t i = 0; i < 4; ++i)
            t[i] = std::make_shared<const link::link_trace>(std::vector<link::trace_slot>{{duration{}, rates[i]}}, 1s);
        return t;
    }();
    for (std::uint64_t done = 0; done < frames;) {
        constexpr std::uint64_t episode = 500;
        const frame_rules rules = rules_of(random);
        const duration period = rules.deadline + from_milliseconds(random.uniform(0, 20));
        const instant origin{from_seconds(random.uniform(0, 1e6))};
        sim::edge_settings settings{.rules = rules, .reply_bytes = 48 + random.below(2000), .ping_interval = 100ms, .retry = 50ms};
        for (auto& b : settings.payload_bytes) b = 48 + random.below(8000);
        link::virtual_link_options line{.rate_up = traces[random.below(4)],
                                        .rate_down = traces[random.below(4)],
                                        .round_trip = from_milliseconds(random.uniform(0.2, 40)),
                                        .faults = script_of(kind, period * 500, random),
                                        .seed = random.next()};
        sim::simulated_edge<restless_policy, adversary, Conduct> edge{
            restless_policy{splitdsl::detail::xoshiro256{random.next()}}, settings, line,
            adversary{.rules = rules, .kind = kind, .random = splitdsl::detail::xoshiro256{random.next()}}, origin};
        instant start = origin + 1ms;
        for (std::uint32_t n = 1; n <= episode && done < frames; ++n, ++done) {
            edge.idle_until(start);
            if (n % 25 == 0) {
                draw_reserves(edge.surroundings().rules, heat);
                edge.keep_reserves(edge.surroundings().rules);
            }
            edge.surroundings().prepare(start);
            v.add(edge.run_frame(n, start));
            start += period;
        }
        v.add(edge.counters());
    }
    return v;
}

// ---- the deadline code broken on purpose, one rule at a time ---------------------------------------------------------------
struct falls_back_late : as_promised {
    static constexpr duration fallback_delay = 5ms;
};
struct claims_twice : as_promised {
    static constexpr bool claims_once = false;
};
struct ignores_sequence : as_promised {
    static constexpr bool checks_sequence = false;
};
struct ignores_epoch : as_promised {
    static constexpr bool checks_epoch = false;
};
struct ignores_values : as_promised {
    static constexpr bool checks_values = false;
};

} // namespace splitdsl::soak
