// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file record.hpp
/// What a run writes down, frame by frame, and what is printed and written of it.
#pragma once

#include "cloud_process.hpp"
#include "head_clock.hpp"

#include <splitdsl/runtime/plan.hpp>
#include <splitdsl/runtime/report.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace three_cameras {

struct frame_record {
    splitdsl::duration at{}; ///< submitted, since the relay's clock started
    splitdsl::answer a{};    ///< its `values` are not kept
    std::array<float, 3> control{};
    head_times heads{};
    bool dark{};             ///< the link was black from its beginning to its answer
    bool differs{};          ///< an own answer that is not what the network gives in one piece
};

struct run_record {
    std::string instruction_set;
    std::uint64_t seed{};
    bool one_after_another{};   ///< --serial
    unsigned threads{};
    splitdsl::duration alone{};  ///< measured before the drive: the three heads on one thread
    splitdsl::duration beside{}; ///< measured before the drive: the same with threads
    splitdsl::duration black_from{}, black_until{};
    std::vector<frame_record> frames;
    splitdsl::edge_report edge{};
    splitdsl::distribution latency{};
    std::optional<cloud_tally> cloud{}; ///< unknown of a cloud that somebody else started, or that ended before it was told to
    int compared{};

    std::size_t count(splitdsl::answer_source s) const {
        return static_cast<std::size_t>(std::count_if(frames.begin(), frames.end(), [s](const frame_record& f) { return f.a.source == s; }));
    }
    std::size_t count_dark(bool by_cloud) const {
        return static_cast<std::size_t>(std::count_if(frames.begin(), frames.end(), [by_cloud](const frame_record& f) {
            return f.dark && (!by_cloud || f.a.source == splitdsl::answer_source::cloud);
        }));
    }
    std::size_t differing() const {
        return static_cast<std::size_t>(std::count_if(frames.begin(), frames.end(), [](const frame_record& f) { return f.differs; }));
    }
    /// Medians over the frames whose heads ran as three tasks.
    head_times live_heads() const {
        std::vector<splitdsl::duration> walls, sums;
        for (const frame_record& f : frames)
            if (f.heads.wall.count() > 0) walls.push_back(f.heads.wall), sums.push_back(f.heads.sum);
        if (walls.empty()) return {};
        const auto middle = [](std::vector<splitdsl::duration>& v) {
            std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
            return v[v.size() / 2];
        };
        return {middle(walls), middle(sums)};
    }
};

inline constexpr splitdsl::answer_source sources[]{splitdsl::answer_source::cloud, splitdsl::answer_source::edge, splitdsl::answer_source::fallback, splitdsl::answer_source::held,
                                                   splitdsl::answer_source::preset};

inline void print(const run_record& r) {
    using splitdsl::to_milliseconds;
    const auto& n = r.edge.counters;
    std::printf("%zu frames, three cameras each, %s, weights out of seed %llu (untrained)\n", r.frames.size(), r.instruction_set.c_str(), static_cast<unsigned long long>(r.seed));
    std::printf("answered by:");
    for (const auto s : sources) std::printf("  %s %zu", to_text(s), r.count(s));
    std::printf("\nmisses %llu, of them host stalls %llu; deadline %.0f ms, reserve %.1f ms\n", static_cast<unsigned long long>(n.answer.misses),
                static_cast<unsigned long long>(n.answer.host_stalls), to_milliseconds(r.edge.deadline), to_milliseconds(r.edge.reserve));
    std::printf("latency, measured: median %.1f ms, 90 %% %.1f ms, 99 %% %.1f ms, longest %.1f ms\n", to_milliseconds(r.latency.quantile(0.5)), to_milliseconds(r.latency.quantile(0.9)),
                to_milliseconds(r.latency.quantile(0.99)), to_milliseconds(r.latency.max()));
    std::printf("three heads, measured before the drive (fastest of 200): %.2f ms one after another, %.2f ms with %u threads\n", to_milliseconds(r.alone), to_milliseconds(r.beside), r.threads);
    if (const head_times live = r.live_heads(); live.wall.count() > 0)
        std::printf("three heads, measured during the drive (medians): %.2f ms from the first's begin to the last's end, %.2f ms in sum: %.2f at once on average\n", to_milliseconds(live.wall),
                    to_milliseconds(live.sum), static_cast<double>(live.sum.count()) / static_cast<double>(live.wall.count()));
    else
        std::printf("three heads during the drive: one after another\n");
    std::printf("offloaded: %llu frames, a request of %zu bytes each", static_cast<unsigned long long>(n.frame.offload_tries), static_cast<std::size_t>(uplink.payload) + splitdsl::wire_header_size);
    if (r.cloud) std::printf("; the cloud received %llu and answered %llu", r.cloud->requests, r.cloud->answered);
    if (n.frame.stayed.total() > 0) std::printf("\nkept here by the policy: %s", to_text(n.frame.stayed).c_str());
    if (r.black_until > r.black_from)
        std::printf("\nblackout from %.2f s to %.2f s: %zu frames within it, %zu of them answered by the cloud", splitdsl::to_seconds(r.black_from), splitdsl::to_seconds(r.black_until), r.count_dark(false),
                    r.count_dark(true));
    std::printf("\ncompared with the network in one piece on one thread: %d answers, %zu differ\n", r.compared, r.differing());
}

inline nlohmann::ordered_json to_json(const run_record& r) {
    using json = nlohmann::ordered_json;
    using splitdsl::to_milliseconds;
    const auto& n = r.edge.counters;
    json answered = json::object(), payloads = json::array(), list = json::array();
    for (const auto s : sources) answered[to_text(s)] = r.count(s);
    for (int q = 0; q < uplink.count; ++q) payloads.push_back(uplink.items[q].bytes);
    for (const frame_record& f : r.frames)
        list.push_back({{"at_ms", to_milliseconds(f.at)}, {"source", to_text(f.a.source)}, {"latency_ms", to_milliseconds(f.a.timings.total)}, {"bytes_up", f.a.bytes_up},
                        {"on_time", f.a.on_time}, {"host_stall", f.a.host_stall}, {"in_blackout", f.dark}, {"control", f.control}});
    const head_times live = r.live_heads();
    json j{{"label", "measured"},
           {"instruction_set", r.instruction_set},
           {"weights", "random, seed " + std::to_string(r.seed)},
           {"frames", r.frames.size()},
           {"answered_by", answered},
           {"misses", n.answer.misses},
           {"host_stalls", n.answer.host_stalls},
           {"covered_misses", n.frame.covered_misses},
           {"deadline_ms", to_milliseconds(r.edge.deadline)},
           {"fits", r.edge.fits},
           {"latency_ms",
            {{"p50", to_milliseconds(r.latency.quantile(0.5))}, {"p90", to_milliseconds(r.latency.quantile(0.9))}, {"p99", to_milliseconds(r.latency.quantile(0.99))}, {"max", to_milliseconds(r.latency.max())}}},
           {"heads",
            {{"threads", r.threads}, {"serial", r.one_after_another}, {"serial_ms", to_milliseconds(r.alone)}, {"parallel_ms", to_milliseconds(r.beside)},
             {"live_wall_ms", to_milliseconds(live.wall)}, {"live_sum_ms", to_milliseconds(live.sum)}}},
           {"request", {{"header_bytes", splitdsl::wire_header_size}, {"payload_bytes", payloads}}},
           {"offloaded_frames", n.frame.offload_tries},
           {"connects", n.link.connects},
           {"blackout", {{"from_ms", to_milliseconds(r.black_from)}, {"until_ms", to_milliseconds(r.black_until)}, {"frames", r.count_dark(false)}, {"answered_by_cloud", r.count_dark(true)}}},
           {"compared", r.compared},
           {"different", r.differing()},
           {"frame_list", list}};
    if (r.cloud) j["cloud"] = {{"requests", r.cloud->requests}, {"answered", r.cloud->answered}, {"shed", r.cloud->shed}};
    return j;
}

} // namespace three_cameras
