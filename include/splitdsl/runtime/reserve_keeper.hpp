// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file reserve_keeper.hpp
/// The reserves as frames run: what was measured at construction, corrected by what the stages took since.
#pragma once

#include <splitdsl/runtime/calibration.hpp>
#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/recent_times.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <span>

namespace splitdsl::detail {

/// Every stage that runs on this machine is evidence, of local frames and of fallbacks alike. None is run for the evidence's sake: a reserve that is too large keeps
/// frames here, one that is too small makes them fall back, and either shows it.
///
/// One thread adds and adopts, any thread reads the newest. With `calibration_runs` 0 the reserve asked for stays.
class reserve_keeper {
public:
    reserve_keeper(const pipeline& p, const edge_options& o, std::span<const duration> paced, const stage_profile& measured)
        : first{measured},
          fixed{rules_for(p, o, measured)},
          asked{o.reserve},
          least{paced},
          learns{o.calibration_runs > 0},
          helpers{o.workers != nullptr},
          now{measured},
          seen{measured.stages} {
        tell(fixed);
    }

    std::int64_t preemptions() const noexcept { return learns ? detail::preemptions(helpers) : 0; }
    /// `stage` ran; `before` is what `preemptions` said before it.
    void add(int stage, duration took, std::int64_t before) noexcept {
        if (!learns) return;
        seen.add(stage, took, preemptions() != before);
        ran |= std::uint64_t{1} << stage;
    }
    template <class Run>
    void time(int stage, Run&& run) {
        const std::int64_t before = preemptions();
        const auto begun = std::chrono::steady_clock::now();
        run();
        add(stage, std::chrono::steady_clock::now() - begun, before);
    }
    /// True if what ran since the last call changes the reserves: `r` has the new ones.
    bool adopt(frame_rules& r) noexcept {
        bool changed = false;
        for (int k = 0; k < now.stages; ++k) {
            if ((ran >> k & 1U) == 0) continue;
            const auto i = static_cast<std::size_t>(k);
            const duration p99 = std::max(least.empty() ? duration{} : least[i], seen.p99(k, first.p99[i]));
            changed = changed || p99 != now.p99[i];
            now.p99[i] = p99;
        }
        ran = 0;
        if (!changed) return false;
        set_reserves(r, asked, now);
        tell(r);
        return true;
    }

    /// Kept for the tail behind the first cut.
    duration reserve() const noexcept { return duration{tail_ns.load(std::memory_order_relaxed)}; }
    stage_profile profile() const noexcept {
        stage_profile p{first};
        p.p99 = told.load();
        return p;
    }
    frame_rules rules() const noexcept {
        frame_rules r{fixed};
        set_reserves(r, asked, profile());
        return r;
    }

private:
    static_assert(max_stages <= 64, "a bit of `ran` for each stage");
    void tell(const frame_rules& r) noexcept {
        told.store(now.p99);
        tail_ns.store(r.remaining[r.first_tail_stage()].count(), std::memory_order_relaxed);
    }

    const stage_profile first;
    const frame_rules fixed; // but for its reserves
    const duration asked;
    const std::span<const duration> least;
    const bool learns, helpers;
    stage_profile now; // the adding thread's, as are `seen` and `ran`
    recent_times seen;
    std::uint64_t ran{};
    shared_counters<std::array<duration, max_stages>> told;
    std::atomic<std::int64_t> tail_ns{};
};

} // namespace splitdsl::detail
