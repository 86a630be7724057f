// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file summary.hpp
/// A drive in numbers: what table, JSON and HTML print alike.
#pragma once

#include "record.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace drive {

/// The smallest value that at least a share `q` of the values do not exceed (nearest rank); `unknown` if there are none.
/// `sorted` ascends.
inline double quantile(const std::vector<double>& sorted, double q) {
    if (sorted.empty()) return unknown;
    const double rank = std::ceil(q * static_cast<double>(sorted.size()));
    const auto i = static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(sorted.size())));
    return sorted[i - 1];
}

struct policy_summary {
    std::string name{};
    std::size_t frames{}, answered{};
    std::size_t misses{};      ///< without host stalls
    std::size_t host_stalls{}; ///< misses the host caused
    std::array<std::size_t, frame_sources> sources{};
    double p50{unknown}, p95{unknown}, p99{unknown}, max{unknown}; ///< latency in ms, of frames with an answer of their own
    std::uint64_t bytes_up{};
    energy_by_scope energy_j{};
    double lane_mean{unknown}, lane_max{unknown};
    std::size_t off_road{};     ///< times the car left the road; means nothing while `lane_mean` is unknown
    std::size_t clear_frames{}; ///< frames outside blackouts
    std::size_t clear_cloud{};  ///< of these, answered by the cloud
    std::uint64_t late_dropped{}, duplicates_dropped{}, duplicates_delivered{};
    std::vector<double> latencies{}; ///< ascending; own answers only, for a held one may take no time at all

    bool had_road() const { return !std::isnan(lane_mean); }
    std::size_t count(frame_source s) const { return sources[static_cast<std::size_t>(s)]; }
    /// Share of the frames outside blackouts that the cloud answered; `unknown` if there are none.
    double cloud_share() const { return clear_frames > 0 ? static_cast<double>(clear_cloud) / static_cast<double>(clear_frames) : unknown; }
    double joules_per_frame(splitdsl::idle_scope s) const {
        return frames > 0 ? energy_j[s].total() / static_cast<double>(frames) : unknown;
    }
};

inline policy_summary summarise(const policy_record& p) {
    policy_summary s;
    s.name = p.name;
    s.frames = p.frames.size();
    s.energy_j = p.probes_j;
    s.late_dropped = p.late_dropped;
    s.duplicates_dropped = p.duplicates_dropped;
    s.duplicates_delivered = p.duplicates_delivered;
    bool was_off = false;
    double deviation = 0;
    std::size_t on_a_road = 0;
    for (const frame_record& f : p.frames) {
        s.answered += f.answered ? 1 : 0;
        if (f.miss) ++(f.host_stall ? s.host_stalls : s.misses);
        ++s.sources[static_cast<std::size_t>(f.source)];
        if (f.source != frame_source::held && std::isfinite(f.latency_ms)) s.latencies.push_back(f.latency_ms);
        s.bytes_up += f.bytes_up;
        s.energy_j += f.energy_j;
        if (std::isfinite(f.lane_deviation_m)) {
            ++on_a_road;
            deviation += f.lane_deviation_m;
            s.lane_max = std::isnan(s.lane_max) ? f.lane_deviation_m : std::max(s.lane_max, f.lane_deviation_m);
        }
        if (f.off_road && !was_off) ++s.off_road;
        was_off = f.off_road;
        if (!f.blackout) {
            ++s.clear_frames;
            s.clear_cloud += f.source == frame_source::cloud ? 1 : 0;
        }
    }
    if (p.bytes_up > 0) s.bytes_up = p.bytes_up;
    if (on_a_road > 0) s.lane_mean = deviation / static_cast<double>(on_a_road);
    std::sort(s.latencies.begin(), s.latencies.end());
    s.p50 = quantile(s.latencies, 0.50);
    s.p95 = quantile(s.latencies, 0.95);
    s.p99 = quantile(s.latencies, 0.99);
    s.max = s.latencies.empty() ? unknown : s.latencies.back();
    return s;
}

inline std::vector<policy_summary> summarise(const drive_record& d) {
    std::vector<policy_summary> all;
    all.reserve(d.policies.size());
    for (const policy_record& p : d.policies) all.push_back(summarise(p));
    return all;
}

inline const policy_summary* find(const std::vector<policy_summary>& all, std::string_view name) {
    for (const policy_summary& s : all)
        if (s.name == name) return &s;
    return nullptr;
}

/// By how much `s` spends less energy a frame than `base` (0.25: a quarter less; negative: more). Nothing if either drove no frame.
inline std::optional<double> saving(const policy_summary& s, const policy_summary& base, splitdsl::idle_scope scope) {
    const double mine = s.joules_per_frame(scope), theirs = base.joules_per_frame(scope);
    if (!std::isfinite(mine) || !(theirs > 0)) return std::nullopt;
    return 1 - mine / theirs;
}

constexpr splitdsl::idle_scope other_scope(splitdsl::idle_scope s) {
    return s == splitdsl::idle_scope::wait ? splitdsl::idle_scope::transmit_and_wait : splitdsl::idle_scope::wait;
}

} // namespace drive
