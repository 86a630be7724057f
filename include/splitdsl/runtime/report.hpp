// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report.hpp
/// What an edge tells about its run: counters, distributions rather than means, and whether the promise could hold at all.
#pragma once

#include <splitdsl/runtime/breaker.hpp>
#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/distribution.hpp>

#include <cmath>
#include <cstdint>
#include <string>

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
    bool tail_fits{}; ///< the tail's p99 fits once. False: no local tail can be in time, so a frame that was sent waits for the cloud alone
    bool prepared{};               ///< every thread got the priority and processors asked for
    std::uint64_t canary_stalls{}; ///< oversleeps above 0.5 ms, in frames or not
    duration longest_canary_stall{};
    std::uint64_t compute_waits{}; ///< timed waits the compute thread entered
    std::uint64_t link_waits{};    ///< those of them in which it read the connection itself
};

/// What the compute thread notes of its circuit breaker for whoever asks about the link.
struct breaker_note {
    std::uint64_t open{}; ///< 1: no frame is offloaded before `until`
    std::uint64_t failures{};
    std::int64_t until{}; // ns of the steady clock

    static breaker_note of(const circuit_breaker& b) {
        return {.open = b.now_is() == circuit_breaker::state::open,
                .failures = static_cast<std::uint64_t>(b.failures_in_a_row()),
                .until = b.open_until().time_since_epoch().count()};
    }
    instant opens_at() const { return open ? instant{duration{until}} : instant::min(); }
    /// For people; empty if a frame may be offloaded `now`.
    std::string sentence(instant now) const {
        if (now >= opens_at()) return {};
        const auto left = static_cast<std::int64_t>(std::ceil(to_milliseconds(opens_at() - now)));
        return std::to_string(failures) + " offloads in a row failed; trying again in " + std::to_string(left) + " ms";
    }
};

/// What the compute thread notes of a frame for its caller.
struct frame_note {
    std::uint64_t frame{};
    std::int64_t cut{-2};
    std::int64_t tier{1}; ///< of a reply
    std::int64_t server{}; ///< that was asked first, or whose reply it is
    std::uint64_t bytes_up{};
    std::int64_t queued{}, head{}, send{}, wait{}, tail{}; // ns

    frame_timings timings() const {
        return {.queued = duration{queued}, .head = duration{head}, .send = duration{send}, .wait = duration{wait}, .tail = duration{tail}};
    }
};

} // namespace splitdsl
