// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simulated.hpp
/// The same drive in virtual time: the same frame machine and policies, the same road; only clock, link and stage times are exchanged.
#pragma once

#include "live.hpp"

#include <splitdsl/link/virtual_link.hpp>
#include <splitdsl/sim/simulated_edge.hpp>

#include <memory>

namespace drive {

/// The scenario's cloud and device: fixed times, and a cloud that is dead for a while.
struct simulated_surroundings : splitdsl::sim::plain_world {
    std::vector<interval> dead{};
    bool cloud_down(splitdsl::instant t) const {
        const double s = splitdsl::to_seconds(t.time_since_epoch());
        for (const interval& i : dead)
            if (s >= i.begin_s && s < i.end_s) return true;
        return false;
    }
    splitdsl::sim::cloud_service serve(std::uint32_t frame, int cut, splitdsl::instant t) const {
        return cloud_down(t) ? splitdsl::sim::cloud_service{.dies = true} : plain_world::serve(frame, cut, t);
    }
};

/// Without `with_road` only times and energy are simulated: no picture is drawn and no network runs.
template <class Policy>
policy_record drive_simulated(const char* name, const drive_plan& plan, const splitdsl::network_weights<driver>& weights, Policy policy,
                              const std::function<double(const splitdsl::link_view&)>& threshold, bool with_road) {
    using namespace splitdsl;
    const pipeline& net = weights.net();
    stage_profile profile{.stages = net.stages};
    simulated_surroundings around;
    around.dead = plan.dead_times();
    for (int k = 0; k < net.stages; ++k) {
        const auto i = static_cast<std::size_t>(k);
        profile.median[i] = profile.p99[i] = around.edge_stage[i] = plan.stage_times[i];
        around.cloud_tail[0] += plan.cloud_stages[i];
    }
    sim::edge_settings settings;
    for (int c = 0; c < plan.costs.cuts; ++c) {
        around.cloud_tail[static_cast<std::size_t>(c + 1)] = plan.costs.cut[c].cloud_tail;
        settings.payload_bytes[static_cast<std::size_t>(c + 1)] = static_cast<std::size_t>(plan.costs.cut[c].payload.value);
    }
    edge_options options;
    options.deadline = plan.terms.deadline;
    settings.rules = splitdsl::detail::rules_for(net, options, profile);
    settings.payload_bytes[0] = static_cast<std::size_t>(plan.costs.input.value);
    settings.probe_interval = plan.terms.probe_interval;
    settings.ping_interval = std::min(settings.ping_interval, plan.terms.probe_interval);
    settings.probe_bytes = plan.terms.probe_bytes;
    if (std::is_same_v<Policy, policy::all_edge>) settings.ping_interval = {};      // no modem, as in the live drive
    settings.reply_bytes = static_cast<std::size_t>(plan.costs.reply.value);
    const link::virtual_link_options line{.rate_up = std::make_shared<const link::link_trace>(plan.trace),
                                          .rate_down = std::make_shared<const link::link_trace>(link::link_trace::constant(plan.terms.downlink)),
                                          .round_trip = plan.terms.rtt, .faults = plan.faults(), .seed = plan.seed};
    // A second of virtual time before the first frame, as the live drive connects before it starts.
    sim::simulated_edge<Policy, simulated_surroundings> edge{std::move(policy), settings, line, around};
    car vehicle{plan.seed};
    const aligned_buffer arena{net.arena_bytes};
    std::vector<float> values(net.output_floats);
    std::array<float, 3> control{};
    policy_record record;
    record.name = name;
    progress_line progress{name, static_cast<std::size_t>(plan.frames)};
    for (int k = 0; k < plan.frames; ++k) {
        const instant start{k * from_seconds(frame_seconds)};
        edge.idle_until(start);
        const link_view link = edge.view_now();
        const sim::frame_record f = edge.run_frame(static_cast<std::uint32_t>(k) + 1, start);
        if (with_road) {
            vehicle.look();
            if (is_own(f.source)) {
                const auto spans = vehicle.inputs();
                const void* inputs[3]{spans[0].data(), spans[1].data(), spans[2].data()};
                const frame_memory memory{arena.data(), weights.bytes().data(), inputs, values.data()};
                net.run(memory, 0, net.stages, nullptr);
                std::copy_n(values.begin(), 3, control.begin());
            }
        }
        frame_record r = describe_frame(plan, vehicle, k, link, f.source, f.on_time, falls_back_v<Policy>, f.timings, f.cut, f.bytes_up);
        r.threshold_kbps = threshold(link);
        if (!with_road) {
            r.lane_deviation_m = r.x_m = r.y_m = unknown;
            r.off_road = false;
        }
        if (f.answers != 1) r.answered = false, r.miss = true;
        record.duplicates_delivered += f.answers > 1 || f.foreign;
        if (with_road) vehicle.act(control);
        record.frames.push_back(r);
        progress.show(static_cast<std::size_t>(k) + 1);
    }
    record.bytes_up = edge.bytes_sent();
    record.late_dropped = edge.counters().late;
    record.duplicates_dropped = edge.counters().duplicates;
    record.probes_j = charge_probes(plan, edge.probe_bytes_sent());
    return record;
}

} // namespace drive
