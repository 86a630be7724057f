// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report.hpp
/// What an edge tells about its run: counters, distributions rather than means, and whether the promise could hold at all.
#pragma once

#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/distribution.hpp>

#include <cstdint>

namespace splitdsl {

/// Measured durations of all delivered frames.
struct edge_distributions {
    distribution latency{};      ///< submit to answer, of frames with an answer of their own: a held answer may take no time at all
    distribution by_source[7]{}; ///< submit to answer, one an `answer_source`, held and preset too
    distribution queued{}, head{};
    distribution send{}, wait{}; ///< of offloaded frames
    distribution tail{};         ///< of frames that fell back

    void add(const answer& a) noexcept {
        if (is_own(a.source)) latency.add(a.timings.total);
        by_source[static_cast<std::size_t>(a.source)].add(a.timings.total);
        queued.add(a.timings.queued);
        head.add(a.timings.head);
        if (a.cut >= -1) {
            send.add(a.timings.send);
            wait.add(a.timings.wait);
        }
        if (a.source == answer_source::fallback) tail.add(a.timings.tail);
    }
};

struct edge_report {
    edge_counters counters{};
    duration reserve{}; ///< kept for the tail behind the first cut, as of now
    duration deadline{};
    bool fits{};                   ///< the head's p99 as of now, the reserve and the lead fit into the deadline: the promise can hold
    bool prepared{};               ///< every thread got the priority and processors asked for
    std::uint64_t canary_stalls{}; ///< oversleeps above 0.5 ms, in frames or not
    duration longest_canary_stall{};
    std::uint64_t compute_waits{}; ///< timed waits the compute thread entered
    std::uint64_t link_waits{};    ///< those of them in which it read the connection itself
};

/// What the compute thread notes of a frame for its caller.
struct frame_note {
    std::uint64_t frame{};
    std::int64_t cut{-2};
    std::uint64_t bytes_up{};
    std::int64_t queued{}, head{}, send{}, wait{}, tail{}; // ns

    frame_timings timings() const {
        return {.queued = duration{queued}, .head = duration{head}, .send = duration{send}, .wait = duration{wait}, .tail = duration{tail}};
    }
};

} // namespace splitdsl
