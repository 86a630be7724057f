// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file plan.hpp
/// What policies need to know before the first frame, out of a compiled network, a device profile and measured cloud times.
#pragma once

#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/frame_arena.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace splitdsl {

inline constexpr std::size_t wire_header_size = 48;

/// Time of each stage on a device, from its sustained speed: modelled.
inline std::vector<duration> stage_times(const pipeline& net, const device_profile& device) {
    std::vector<duration> times;
    for (int k = 0; k < net.stages; ++k) times.push_back(device.time_of(static_cast<double>(net.stage_macs[k])));
    return times;
}

/// Every run's time of each stage on this machine, [stage][run]: measured, after one run to warm up. `workers`: as the stages will be run.
inline std::vector<std::vector<duration>> time_stages(const pipeline& net, std::span<const std::byte> packed_weights, int runs = 20, const task_runner* workers = nullptr) {
    const frame_arena arena{net};
    std::vector<float> outputs(net.output_floats);
    std::size_t largest{};
    for (const tensor_info& t : net.inputs) largest = std::max(largest, t.bytes);
    const aligned_buffer nothing{largest};
    const std::vector<const void*> inputs(net.inputs.size(), nothing.data());
    const frame_memory memory{arena.data(), packed_weights.data(), inputs.data(), outputs.data(), workers};
    std::vector<std::vector<duration>> seen(static_cast<std::size_t>(net.stages));
    for (int run = 0; run <= std::max(runs, 1); ++run)
        for (int k = 0; k < net.stages; ++k) {
            const auto begun = std::chrono::steady_clock::now();
            net.run(memory, k, k + 1, nullptr);
            if (run > 0) seen[static_cast<std::size_t>(k)].push_back(std::chrono::steady_clock::now() - begun);
        }
    return seen;
}

/// Time of each stage on this machine: measured, the lower quartile of `runs` runs after one to warm up (what else runs on the
/// machine only ever adds). `workers`: as the stages will be run.
inline std::vector<duration> measure_stages(const pipeline& net, std::span<const std::byte> packed_weights, int runs = 20, const task_runner* workers = nullptr) {
    std::vector<duration> times;
    for (auto& s : time_stages(net, packed_weights, runs, workers)) {
        std::nth_element(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(s.size() / 4), s.end());
        times.push_back(s[s.size() / 4]);
    }
    return times;
}

struct deployment_terms {
    duration deadline{};
    radio_power radio{};                                ///< all zero, as where nobody says: sending and receiving cost nothing (a wire)
    idle_scope idle{idle_scope::transmit_and_wait};
    std::size_t input_bytes{};                          ///< of a whole input on the wire; 0: as it is
};

/// Costs of every cut. `cloud_stages`: time of each stage on the cloud.
inline deployment plan_deployment(const pipeline& net, const device_profile& device, std::span<const duration> cloud_stages, const deployment_terms& terms) {
    if (cloud_stages.size() != static_cast<std::size_t>(net.stages))
        throw option_error("deployment: times of " + std::to_string(net.stages) + " cloud stages were expected, found " + std::to_string(cloud_stages.size()));
    const std::vector<duration> edge = stage_times(net, device);
    deployment d;
    d.deadline = terms.deadline;
    d.radio = terms.radio;
    d.idle = terms.idle;
    d.idle_power = device.idle_power();
    d.cuts = static_cast<int>(net.cuts.size());
    for (int k = 0; k < net.stages; ++k) {
        d.edge_total += edge[static_cast<std::size_t>(k)];
        d.cloud_total += cloud_stages[static_cast<std::size_t>(k)];
    }
    d.edge_energy = device.active_energy(d.edge_total);
    d.input = {static_cast<double>((terms.input_bytes ? terms.input_bytes : input_bytes_of(net.inputs)) + wire_header_size)};
    d.reply = {static_cast<double>(wire_header_size + 4 * net.output_floats)};
    for (int c = 0; c < d.cuts; ++c) {
        const cut_info& from = net.cuts[static_cast<std::size_t>(c)];
        cut_cost& cut = d.cut[c];
        cut.payload = {static_cast<double>(from.payload_bytes + wire_header_size)};
        for (int k = 0; k < net.stages; ++k) {
            if (k <= from.stage) cut.edge_head += edge[static_cast<std::size_t>(k)];
            else {
                cut.edge_tail += edge[static_cast<std::size_t>(k)];
                cut.cloud_tail += cloud_stages[static_cast<std::size_t>(k)];
            }
        }
        cut.head_energy = device.active_energy(cut.edge_head);
        cut.tail_energy = device.active_energy(cut.edge_tail);
    }
    return d;
}

} // namespace splitdsl
