// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live.hpp
/// One policy's drive in real time: edge and cloud as two processes over TCP through the impairment relay.
#pragma once

#include "car.hpp"
#include "cloud_process.hpp"
#include "table.hpp"

#include <splitdsl/link/relay.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/plan.hpp>

#include <atomic>
#include <functional>
#include <semaphore>
#include <thread>

namespace drive {

/// What every policy's drive shares.
struct drive_plan {
    scenario terms{};
    std::string program{};                                  ///< this executable, for the cloud process
    std::uint64_t seed{1};
    int frames{600};
    int real_time{};                                        ///< SCHED_FIFO priority of the edge's threads; 0: none
    splitdsl::link::link_trace trace{splitdsl::link::link_trace::constant({1e6})};
    splitdsl::device_profile device{};
    splitdsl::deployment costs{};
    std::vector<splitdsl::duration> stage_times{};          ///< paced, of the device
    std::vector<splitdsl::duration> cloud_stages{};         ///< measured here
    std::size_t jpeg_bytes{};                               ///< mean of the first pictures

    double length_s() const { return frames * frame_seconds; }
    std::vector<interval> blackouts() const {
        std::vector<interval> list;
        for (const auto& b : terms.blackouts) list.push_back({b.at * length_s(), b.at * length_s() + b.seconds});
        return list;
    }
    std::vector<interval> dead_times() const {
        if (terms.kill_at <= 0) return {};
        return {{terms.kill_at * length_s(), terms.kill_at * length_s() + terms.restart_after_s}};
    }
    /// Whether the link was black or the cloud dead at some time of a frame.
    bool dark(double from, double to) const {
        for (const auto& list : {blackouts(), dead_times()})
            for (const interval& i : list)
                if (from < i.end_s && to > i.begin_s) return true;
        return false;
    }
    std::vector<splitdsl::link::fault> faults() const {
        std::vector<splitdsl::link::fault> list;
        for (const interval& i : blackouts())
            list.push_back({splitdsl::link::fault_kind::stall, splitdsl::from_seconds(i.begin_s), splitdsl::from_seconds(i.end_s), 0, splitdsl::link::direction::both});
        return list;
    }
    air_view air() const { return {&trace, terms.downlink}; }
};

/// Fills what live and simulated drives record alike.
inline frame_record describe_frame(const drive_plan& plan, const car& c, int frame, const splitdsl::link_view& link, splitdsl::answer_source source, bool on_time, bool promises,
                                   const splitdsl::frame_timings& t, int cut, std::size_t bytes_up) {
    frame_record r;
    r.time_s = frame * frame_seconds;
    r.source = source_of(source);
    r.answered = source != splitdsl::answer_source::none;
    r.miss = !r.answered || !on_time || (!promises && r.source == frame_source::held);
    r.blackout = plan.dark(r.time_s, r.time_s + splitdsl::to_seconds(plan.terms.deadline));
    r.latency_ms = splitdsl::to_milliseconds(t.total);
    r.rate_kbps = r.blackout ? 0.0 : splitdsl::to_kilobits_per_second(plan.trace.rate_at(splitdsl::from_seconds(r.time_s)));
    if (link.rate_up.value > 0) r.estimate_kbps = splitdsl::to_kilobits_per_second(link.rate_up);
    r.energy_j = charge(plan.costs, t, source, cut, bytes_up, splitdsl::from_seconds(r.time_s), plan.air());
    r.lane_deviation_m = c.state().lane_deviation();
    r.off_road = c.left_the_road();
    r.bytes_up = bytes_up;
    r.x_m = c.state().vehicle_state().where.x;
    r.y_m = c.state().vehicle_state().where.y;
    return r;
}

/// Joules of probes and pings: `sent` bytes at the trace's mean rate.
inline energy_by_scope charge_probes(const drive_plan& plan, std::uint64_t sent) {
    const splitdsl::bits_per_second mean = plan.trace.mean();
    if (mean.value <= 0) return {};
    const splitdsl::joules e = plan.terms.radio.transmitting(mean) * (splitdsl::bytes{static_cast<double>(sent)} / mean);
    return {{0, e.value, 0}, {0, e.value, 0}};
}

/// Drives `plan.frames` frames at 10 Hz under one policy. `threshold`: what the policy would compare the rate with, for the plot.
template <class Policy>
policy_record drive_live(const char* name, const drive_plan& plan, const splitdsl::network_weights<driver>& weights, Policy policy,
                         const std::function<double(const splitdsl::link_view&)>& threshold) {
    using namespace splitdsl;
    using clock = std::chrono::steady_clock;
    cloud_process cloud{plan.program, plan.terms.file};
    link::relay relay{{.port = cloud.port(), .up = {.delay = plan.terms.rtt / 2}, .down = {.rate = plan.terms.downlink, .delay = plan.terms.rtt / 2},
                       .trace_up = plan.trace, .faults = plan.faults(), .start_on_first_connection = false}};
    picture_codec codec{plan.terms.jpeg_quality};
    edge_options options;
    options.deadline = plan.terms.deadline;
    options.stage_times = plan.stage_times;
    options.threads.real_time_priority = plan.real_time;
    options.link.probe_interval = plan.terms.probe_interval;
    options.link.ping_interval = std::min(options.link.ping_interval, plan.terms.probe_interval);
    options.link.probe_bytes = plan.terms.probe_bytes;
    options.encode_input = [&codec](frame_inputs in, std::span<std::byte> to, int) { return encode_whole_input(codec, in, to); };
    options.encoded_input_max = picture_codec::largest() + 16;
    // A car that never offloads needs no modem: no connection, no probes, nothing charged to the radio.
    std::unique_ptr<link::connector> uplink;
    constexpr bool uplinked = !std::is_same_v<Policy, policy::all_edge>;
    if constexpr (uplinked) uplink = std::make_unique<link::tcp>("127.0.0.1", relay.port());
    edge<driver, Policy> edge{weights, std::move(policy), options, std::move(uplink)};
    if (const edge_report r = edge.report(); falls_back_v<Policy> && !r.fits) // a baseline without fallback promises nothing
        std::fprintf(stderr, "drive: %s: frames are not covered: head and a reserve of %.1f ms do not fit into %.0f ms; a longer deadline or a less busy machine was expected%s\n", name, to_milliseconds(r.reserve),
                     to_milliseconds(r.deadline), r.tail_fits ? "" : "; no local tail can be in time, only the cloud's answer");
    if (!edge.report().prepared) std::fprintf(stderr, "drive: %s: real-time priority %d was not granted; the drive goes on without it\n", name, plan.real_time);
    car vehicle{plan.seed};
    policy_record record;
    record.name = name;
    progress_line progress{name, static_cast<std::size_t>(plan.frames)};
    for (int i = 0; i < 200 && uplinked && !edge.link_now().up; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    if (uplinked && !edge.link_now().up)
        std::fprintf(stderr, "drive: %s: no cloud within 2 s: %s; the drive goes on without it\n", name, edge.link_failure().c_str());
    relay.start_clock();
    const auto start = clock::now();
    std::binary_semaphore finished{0};
    std::string restart_failure;
    std::thread supervisor{[&] {
        if (plan.terms.kill_at <= 0) return;
        const instant dies = start + from_seconds(plan.terms.kill_at * plan.length_s());
        if (finished.try_acquire_until(dies)) return;
        cloud.kill();
        if (finished.try_acquire_until(dies + from_seconds(plan.terms.restart_after_s))) return; // the drive was over first
        try {
            cloud.start();
        } catch (const link_error& e) { restart_failure = e.what(); } // its port may be somebody else's by now
        finished.acquire();     // a process dies with the thread that started it (PR_SET_PDEATHSIG), so this one stays
    }};
    std::array<float, 3> control{};
    for (int k = 0; k < plan.frames; ++k) {
        std::this_thread::sleep_until(start + k * from_seconds(frame_seconds));
        vehicle.look();
        const link_view link = edge.link_now();
        const answer a = edge.infer(vehicle.inputs(), control);
        frame_record r = describe_frame(plan, vehicle, k, link, a.source, a.on_time, falls_back_v<Policy>, a.timings, a.cut, a.bytes_up);
        r.host_stall = r.miss && a.host_stall;
        r.threshold_kbps = threshold(link);
        vehicle.act(control);
        record.frames.push_back(r);
        progress.show(static_cast<std::size_t>(k) + 1);
    }
    finished.release();
    supervisor.join();
    if (!restart_failure.empty()) std::fprintf(stderr, "drive: %s: the cloud could not be started again: %s; the drive went on without it\n", name, restart_failure.c_str());
    const edge_counters n = edge.counters();
    record.bytes_up = n.link.bytes_up;
    record.late_dropped = n.frame.late;
    record.duplicates_dropped = n.frame.duplicates;
    record.duplicates_delivered = n.answer.answered > static_cast<std::uint64_t>(plan.frames) ? n.answer.answered - static_cast<std::uint64_t>(plan.frames) : 0;
    record.probes_j = charge_probes(plan, n.link.probe_bytes_up);
    if (n.frame.offload_tries == 0 && n.frame.stayed.total() > 0)
        std::fprintf(stderr, "drive: %s: no frame was offloaded: %s\n", name, to_text(n.frame.stayed).c_str());
    return record;
}

} // namespace drive
