// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simulate.hpp
/// A whole drive in virtual time: the same policy, frame machine and link picture as live, with clock, link and stage times exchanged.
#pragma once

#include <splitdsl/runtime/report.hpp>
#include <splitdsl/sim/simulated_edge.hpp>

#include <cstdint>
#include <utility>

namespace splitdsl::sim {

/// Frame after frame at a fixed period, as a camera gives them.
struct drive_plan {
    std::uint32_t frames{};
    duration period{std::chrono::milliseconds{100}};
    duration lead_in{std::chrono::seconds{1}}; ///< before the first frame: the link gets to know its rate, as live
    instant origin{};
};

/// What became of a simulated drive. Same meaning and names as the live edge's; every number is simulated.
struct drive_result {
    edge_counters counters{};
    edge_distributions spread{};
    std::uint64_t broken_promises{}; ///< covered frames without an own answer in time, or frames without exactly one answer
};

/// Runs the plan and shows every frame's record to `each`, in order. Deterministic: equal arguments, equal records, bit for bit.
///
/// ```cpp
/// const auto r = sim::simulate(policy::sage{costs}, settings, {.rate_up = trace}, sim::plain_world{...}, {.frames = 1200},
///                              [&](const sim::frame_record& f, const link_view& before) { energy += charge(f); });
/// ```
template <scheduler_policy Policy, world World, class Each>
drive_result simulate(Policy policy, const edge_settings& settings, const link::virtual_link_options& line, World surroundings,
                      const drive_plan& plan, Each each) {
    simulated_edge<Policy, World> edge{std::move(policy), settings, line, std::move(surroundings), plan.origin};
    drive_result result{};
    for (std::uint32_t n = 1; n <= plan.frames; ++n) {
        const instant start = plan.origin + plan.lead_in + plan.period * (n - 1);
        edge.idle_until(start);
        const link_view before = edge.view_now();
        const frame_record r = edge.run_frame(n, start);
        const answer a{.frame = r.frame,
                       .source = r.source,
                       .exit = r.exit,
                       .cut = r.cut,
                       .on_time = r.on_time,
                       .bytes_up = r.bytes_up,
                       .timings = r.timings};
        result.counters.answer.settle(a, falls_back_v<Policy>);
        result.spread.add(a);
        result.broken_promises += r.answers != 1 || (r.covered && (!is_own(r.source) || !r.on_time)) || r.foreign;
        each(r, before);
    }
    result.counters.frame = edge.counters();
    result.counters.link.bytes_up = edge.bytes_sent();
    result.counters.link.probe_bytes_up = edge.probe_bytes_sent();
    result.counters.link.connects = edge.connections();
    return result;
}

} // namespace splitdsl::sim
