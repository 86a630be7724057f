// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_summary.hpp
/// Many simulated frames as a few numbers, all of them labelled simulated.
#pragma once

#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/sim/fleet_simulator.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace splitdsl::sim {

/// Which frames: pictures `first` to `first + pictures - 1` in turn, from the first one again after the last.
struct fleet_run {
    std::uint64_t frames{};
    std::uint64_t seed{1};
    std::size_t first{};
    std::size_t pictures{}; ///< 0: all behind `first`
};

struct fleet_summary {
    std::uint64_t frames{}, right{}, unanswered{}, late{};
    std::uint64_t by_cloud{}, by_exit{}, by_trunk{}, by_fallback{};
    std::vector<std::uint64_t> by_stream{}; ///< of `by_cloud`, those that a stream brought: stream k's answers
    std::vector<std::uint64_t> by_size{};   ///< of `by_cloud`, by what the cloud had of the stream or the width: [0] the smallest size
    std::vector<std::uint64_t> by_local{};  ///< of `by_exit`: the device's exit k
    std::vector<std::uint64_t> in_stage{};  ///< of all that are answered: while, or right behind, stage k ran
    std::uint64_t violations{};             ///< actions the policy asked for that do not exist
    double mean_latency_ms{}, p50_latency_ms{}, p99_latency_ms{}, max_latency_ms{};
    double energy_mj{}, compute_mj{}, radio_mj{}, idle_mj{}; ///< a frame, mean
    double bytes_up{};                                       ///< a frame, mean
    provenance label{provenance::simulated};
    double accuracy() const { return frames > 0 ? static_cast<double>(right) / static_cast<double>(frames) : 0; }
};

/// Runs the frames and shows each to `each`. Latencies of unanswered frames count as the deadline. Memory: 8 bytes a frame.
/// Refused (option_error): what `fleet_simulator` refuses, pictures that the answers do not have, more than 10^8 frames.
///
/// ```cpp
/// const auto s = sim::simulate_fleet(policy::all_edge{}, world, answers, {.frames = 10'000}, [](const sim::fleet_frame&) {});
/// ```
template <scheduler_policy Policy, class Each>
fleet_summary simulate_fleet(Policy policy, const fleet_world& world, const exit_answers& answers, const fleet_run& run, Each each) {
    const std::size_t behind = answers.pictures() > run.first ? answers.pictures() - run.first : 0;
    const std::size_t pictures = run.pictures == 0 ? behind : run.pictures;
    if (pictures == 0 || pictures > behind)
        throw option_error("simulation: expected pictures " + std::to_string(run.first) + " to " + std::to_string(run.first + pictures)
                           + ", found " + std::to_string(answers.pictures()) + " pictures");
    if (run.frames < 1 || run.frames > 100'000'000)
        throw option_error("simulation: expected 1 to 10^8 frames, found " + std::to_string(run.frames));
    fleet_simulator<Policy> simulator{std::move(policy), world, answers, run.seed};
    fleet_summary s;
    std::vector<duration> latencies;
    latencies.reserve(static_cast<std::size_t>(run.frames));
    s.by_stream.resize(static_cast<std::size_t>(world.network.streams()));
    s.by_local.resize(static_cast<std::size_t>(world.network.exits()));
    s.in_stage.resize(world.network.stages.size());
    const auto counted = [](std::vector<std::uint64_t>& all, int k) {
        if (k < 0) return; // an input that is sent before the first stage
        if (static_cast<std::size_t>(k) >= all.size()) all.resize(static_cast<std::size_t>(k) + 1);
        ++all[static_cast<std::size_t>(k)];
    };
    joules compute{}, radio{}, idle{};
    std::int64_t bytes = 0;
    duration sum{};
    std::size_t picture = run.first;
    for (std::uint64_t n = 0; n < run.frames; ++n) {
        const fleet_frame f = simulator.run_frame(picture);
        if (++picture == run.first + pictures) picture = run.first;
        ++s.frames;
        s.right += f.right;
        s.unanswered += !is_own(f.source);
        s.late += f.latency > world.deadline;
        s.by_cloud += f.source == answer_source::cloud;
        s.by_exit += f.source == answer_source::exit;
        s.by_trunk += f.source == answer_source::edge;
        s.by_fallback += f.source == answer_source::fallback;
        compute += f.compute_energy, radio += f.radio_energy, idle += f.idle_energy;
        bytes += f.bytes_up;
        if (f.source == answer_source::cloud && f.size > 0) counted(s.by_size, f.size - 1);
        if (f.source == answer_source::cloud && !f.offloaded) counted(s.by_stream, f.exit);
        if (f.source == answer_source::exit) counted(s.by_local, f.exit);
        if (is_own(f.source)) counted(s.in_stage, f.stage);
        sum += f.latency;
        latencies.push_back(f.latency);
        each(f);
    }
    const auto rank = [&](double share) {
        const auto i = static_cast<std::ptrdiff_t>(std::ceil(share * static_cast<double>(latencies.size()))) - 1;
        std::nth_element(latencies.begin(), latencies.begin() + i, latencies.end());
        return to_milliseconds(latencies[static_cast<std::size_t>(i)]);
    };
    const auto n = static_cast<double>(s.frames);
    s.mean_latency_ms = to_milliseconds(sum) / n;
    s.p50_latency_ms = rank(0.5), s.p99_latency_ms = rank(0.99), s.max_latency_ms = rank(1);
    s.compute_mj = compute.value * 1e3 / n, s.radio_mj = radio.value * 1e3 / n, s.idle_mj = idle.value * 1e3 / n;
    s.energy_mj = s.compute_mj + s.radio_mj + s.idle_mj;
    s.bytes_up = static_cast<double>(bytes) / n;
    s.violations = simulator.violations();
    return s;
}

} // namespace splitdsl::sim
