// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file calibration.hpp
/// Measures a network's stages before the first frame, which also warms caches and pages, and derives the machine's rules.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/distribution.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/fixed_array.hpp>
#include <splitdsl/runtime/frame_rules.hpp>
#include <splitdsl/runtime/recent_times.hpp>
#include <splitdsl/runtime/session.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace splitdsl {

/// Stage times on this machine (paced ones as paced): measured at construction; `p99` follows the frames that run.
struct stage_profile {
    int stages{};
    std::array<duration, max_stages> median{};
    std::array<duration, max_stages> p99{};

    /// The least deadline that is kept here: the head (at its p99), the reserve behind the first cut and the sentinel's lead.
    duration needed(const frame_rules& r) const { return head(r) + r.remaining[r.first_tail_stage()] + r.last_resort_lead; }
    bool fits(const frame_rules& r) const { return needed(r) <= r.deadline; }
    /// Whether the tail fits once, at its p99: else a frame that was sent has the cloud alone.
    bool tail_fits(const frame_rules& r) const { return head(r) + r.once(r.first_tail_stage()) + r.last_resort_lead <= r.deadline; }

private:
    duration head(const frame_rules& r) const {
        duration sum{};
        for (int k = 0; k < r.first_tail_stage(); ++k) sum += p99[static_cast<std::size_t>(k)];
        return sum;
    }
};

namespace detail {

/// An exit's number, plus 1, is handed between threads in a byte (answer_slot, edge_core); a round number below.
inline constexpr std::size_t most_exits = 250;

/// No control loop waits longer, and sums of such times and the clock's stay far within 64 bits of nanoseconds.
inline constexpr duration longest_frame_time = std::chrono::hours{24};

/// A preset may leave out the outputs behind its own: an exit's, or those of a second answer.
inline bool preset_fits(std::size_t floats, const pipeline& p) {
    std::size_t whole{};
    bool ends_there = floats == 0 || floats == p.output_floats;
    for (const tensor_info& t : p.outputs) ends_there = ends_there || (whole += t.bytes / sizeof(float)) == floats;
    return ends_there;
}

/// `sends_streams`: the policy may, and there is a link.
inline const edge_options& checked(const edge_options& o, const pipeline& p, bool sends_streams = false) {
    const auto text = [](auto v) { return std::to_string(v); };
    if (p.stages < 1 || p.stages > max_stages)
        throw option_error("edge: a network of 1.." + text(max_stages) + " stages was expected, found " + text(p.stages));
    if (p.cuts.size() > static_cast<std::size_t>(max_cuts))
        throw option_error("edge: at most " + text(max_cuts) + " cuts were expected, found " + text(p.cuts.size()));
    const auto time = [](const char* name, duration t) {
        if (t < duration{} || t > longest_frame_time)
            throw option_error(std::string{"edge: a "} + name + " of 0 to 24 hours was expected, found "
                               + detail::number_text(to_milliseconds(t)) + " ms");
    };
    if (o.deadline <= duration{} || o.deadline > longest_frame_time)
        throw option_error("edge: a deadline above 0 and of at most 24 hours was expected, found " + text(o.deadline.count()) + " ns");
    time("reserve", o.reserve);
    time("last_resort_lead", o.last_resort_lead);
    for (const duration t : o.stage_times) time("stage_times entry", t);
    for (const duration t : {o.link.ping_interval, o.link.probe_interval, o.link.silence, o.link.stuck, o.link.dead, o.link.connect_timeout,
                             o.link.first_retry, o.link.longest_retry})
        time("link time", t);
    if (constexpr std::size_t most = link::frame_limits::extras{}.probe_bytes; o.link.probe_bytes > most) // a cloud ends the connection of one that is larger
        throw option_error("edge: probe_bytes of at most " + text(most) + " were expected, found " + text(o.link.probe_bytes));
    for (const duration t : {o.breaker.first_pause, o.breaker.longest_pause}) time("breaker pause", t);
    if (o.calibration_runs < 0 || o.calibration_time < duration{})
        throw option_error("edge: calibration_runs and calibration_time of 0 or more were expected");
    if (o.threads.real_time_priority < 0 || o.threads.real_time_priority > 99)
        throw option_error("edge: a real_time_priority of 0 to 99 was expected, found " + text(o.threads.real_time_priority));
    if (sends_streams && p.stream_count > 0 && o.streams == nullptr)
        throw option_error("edge: `streams` (edge_streams) were expected for a policy that streams on a network with "
                           + text(p.stream_count) + " streams, found none");
    if (!o.stage_times.empty() && o.stage_times.size() != static_cast<std::size_t>(p.stages))
        throw option_error("edge: stage_times for " + text(p.stages) + " stages were expected, found " + text(o.stage_times.size()));
    if (o.tenant_token.size() > link::largest_name)
        throw option_error("edge: a tenant_token of at most " + text(link::largest_name) + " bytes was expected, found " + text(o.tenant_token.size()));
    if (o.exits.size() > most_exits) throw option_error("edge: at most " + text(most_exits) + " exits were expected, found " + text(o.exits.size()));
    if (!preset_fits(o.preset.size(), p))
        throw option_error("edge: a preset of whole outputs was expected, " + text(p.output_floats) + " floats for all of them, found "
                           + text(o.preset.size()));
    for (const auto& e : o.exits)
        if (e.stage < 0 || e.stage >= p.stages || e.first_float > p.output_floats || e.floats > p.output_floats - e.first_float)
            throw option_error("edge: an exit within the network's " + text(p.stages) + " stages and " + text(p.output_floats)
                               + " output floats was expected");
    for (std::size_t k = 0; k < p.cuts.size(); ++k)
        if (p.cuts[k].stage < 0 || p.cuts[k].stage >= p.stages || (k > 0 && p.cuts[k].stage <= p.cuts[k - 1].stage))
            throw option_error("edge: cuts at rising stages of the network were expected");
    return o;
}

/// One stage's times at construction. Runs that lost their processor are kept apart: they count only where too few others were seen.
struct first_times {
    static constexpr std::uint64_t enough = 20;
    distribution all{}, undisturbed{};

    void add(duration took, bool preempted) {
        all.add(took);
        if (!preempted) undisturbed.add(took);
    }
    duration quantile(double q) const { return (undisturbed.count() >= std::min(enough, all.count()) ? undisturbed : all).quantile(q); }
};

/// Up to twice `runs`, so that each stage is seen `runs` times undisturbed even at a busy start.
inline stage_profile calibrate(const pipeline& p, const std::byte* packed, std::byte* arena, float* outputs, const task_runner* workers,
                               std::span<const duration> paced, int runs, duration time) {
    stage_profile profile{.stages = p.stages};
    std::size_t room{};
    for (const auto& t : p.inputs) room = std::max(room, t.bytes);
    const aligned_buffer nothing{room};
    fixed_array<const void*> inputs{p.inputs.size()};
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = nothing.data();
    const frame_memory memory{arena, packed, inputs.data(), outputs, workers};
    const std::atomic<bool> never{};
    const auto stages = static_cast<std::size_t>(p.stages);
    const auto seen = std::make_unique<first_times[]>(stages);
    const auto start = std::chrono::steady_clock::now();
    const auto wanted = static_cast<std::uint64_t>(runs);
    const auto done = [&](std::uint64_t run) { // how many were measured
        if (run >= 20 && std::chrono::steady_clock::now() - start >= time) return true;
        return run >= 2 * wanted || std::all_of(&seen[0], &seen[0] + stages, [=](const first_times& s) { return s.undisturbed.count() >= wanted; });
    };
    p.run(memory, 0, p.stages, &never); // only warms up
    for (std::uint64_t run = 0; !done(run); ++run)
        for (int k = 0; k < p.stages; ++k) {
            const std::int64_t before = preemptions(workers != nullptr);
            const auto begun = std::chrono::steady_clock::now();
            p.run(memory, k, k + 1, &never);
            const duration took = std::chrono::steady_clock::now() - begun;
            seen[static_cast<std::size_t>(k)].add(took, preemptions(workers != nullptr) != before);
        }
    for (std::size_t k = 0; k < stages; ++k) {
        const duration least = paced.empty() ? duration{} : paced[k];
        profile.median[k] = std::max(least, seen[k].quantile(0.5));
        profile.p99[k] = std::max(least, seen[k].quantile(0.99));
    }
    return profile;
}

/// Twice each stage's p99; behind the first cut at least the reserve asked for, spread over its stages in proportion. And the p99 once.
inline void set_reserves(frame_rules& r, duration asked, const stage_profile& times) {
    const int first = r.first_tail_stage();
    duration tail{};
    for (int k = first; k < r.stages; ++k) tail += 2 * times.p99[static_cast<std::size_t>(k)];
    const double stretch = asked > tail && tail.count() > 0 ? to_seconds(asked) / to_seconds(tail) : 1.0;
    for (int k = r.stages - 1; k >= 0; --k) {
        const duration twice = 2 * times.p99[static_cast<std::size_t>(k)];
        const bool behind = k >= first;
        const duration own = behind && tail.count() == 0 ? asked / (r.stages - first)
                             : behind                    ? from_seconds(to_seconds(twice) * stretch)
                                                         : twice;
        r.remaining[k] = r.remaining[k + 1] + own;
        r.remaining_once[k] = r.remaining_once[k + 1] + times.p99[static_cast<std::size_t>(k)];
    }
    if (first < r.stages) {
        const duration lost = std::max(asked - r.remaining[first], duration{}); // to rounding
        for (int k = 0; k <= first; ++k) r.remaining[k] += lost;
    }
}

inline frame_rules rules_for(const pipeline& p, const edge_options& o, const stage_profile& times) {
    frame_rules r{.stages = p.stages,
                  .cuts = static_cast<int>(p.cuts.size()),
                  .deadline = o.deadline,
                  .last_resort_lead = o.last_resort_lead,
                  .breaker = o.breaker};
    for (std::size_t k = 0; k < p.cuts.size(); ++k) r.stage_of_cut[k] = p.cuts[k].stage;
    for (int s = 0; p.cuts.size() == 0 && s < p.stream_count; ++s) r.streams_behind[p.streams[s].stage] = static_cast<std::uint32_t>(s) + 1;
    set_reserves(r, o.reserve, times);
    return r;
}

/// Room for the largest thing this network may send: a cut's payload or the whole input.
inline session_setup setup_for(const pipeline& p, const edge_options& o) {
    std::size_t largest = o.encode_input ? encoded_input_room(p.inputs, o.encoded_input_max) : input_bytes_of(p.inputs);
    for (const auto& c : p.cuts) largest = std::max(largest, c.payload_bytes);
    session_setup s{.identity = introduction_for(p, o.weights_digest),
                    .payload_max = largest,
                    .output_floats = p.output_floats,
                    .options = o.link,
                    .threads = o.threads,
                    .streams = o.streams};
    s.identity.tenant = o.tenant_token;
    if (o.streams != nullptr) o.streams->introduce(s.identity);
    return s;
}

} // namespace detail
} // namespace splitdsl
