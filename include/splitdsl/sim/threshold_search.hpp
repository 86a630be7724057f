// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file threshold_search.hpp
/// A threshold for every exit of the device and of the cloud, found together: the fastest ones that keep an accuracy.
#pragma once

#include <splitdsl/sim/fleet_world.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace splitdsl::sim {

/// Frames whose answers were all heard, none taken; and what thresholds would make of them. An answer taken ends its frame, so that a
/// frame's outcome under any thresholds can be read off without simulating it again.
///
/// Memory: 12 bytes an answer. One search: some tens of passes over all answers for each exit.
/// Source: the rule is FLEET's (section 3.3) and BranchyNet's; that the thresholds are chosen together is this library's.
///
/// ```cpp
/// sim::threshold_search s{streams, exits};
/// s.add(heard, trunk_after, trunk_right);                   // a frame
/// const auto best = s.fastest(0.8);                         // best.cloud[k], best.local[e]
/// ```
class threshold_search {
public:
    /// From where hardly any answer is refused to never; between two neighbours lies less than validation pictures can tell.
    static constexpr std::array<float, 41> grid{0.30F, 0.34F, 0.38F, 0.40F, 0.42F, 0.44F, 0.46F,  0.48F, 0.50F, 0.52F, 0.54F,
                                                0.56F, 0.58F, 0.60F, 0.62F, 0.64F, 0.66F, 0.68F,  0.70F, 0.72F, 0.74F, 0.76F,
                                                0.78F, 0.80F, 0.82F, 0.84F, 0.86F, 0.88F, 0.89F,  0.90F, 0.91F, 0.92F, 0.93F,
                                                0.94F, 0.95F, 0.96F, 0.97F, 0.98F, 0.99F, 0.995F, 2.0F};
    static constexpr std::uint8_t never = grid.size() - 1;

    struct outcome {
        std::vector<float> cloud{}, local{};
        double mean_ms{}, accuracy{};
        bool reached{};
    };

    threshold_search(int streams, int exits) : streams_(streams), count(streams + exits) {}

    /// A frame: all answers before the trunk's own, in the order of time, and the trunk's. Answers of exits that do not exist are left out.
    void add(const std::vector<heard_answer>& heard, duration trunk_after, bool trunk_right) {
        for (const heard_answer& h : heard) {
            const int exit = h.on_device ? streams_ + h.exit : h.exit;
            if (h.exit < 0 || exit >= (h.on_device ? count : streams_) || h.after >= trunk_after) continue;
            const auto above = std::upper_bound(grid.begin(), grid.end(), h.confidence) - grid.begin();
            answers.push_back(
                {static_cast<float>(to_milliseconds(h.after)), static_cast<std::uint8_t>(exit), static_cast<std::uint8_t>(above), h.right});
        }
        ends.push_back(answers.size());
        trunks.push_back({static_cast<float>(to_milliseconds(trunk_after)), 0, 0, trunk_right});
    }
    std::size_t frames() const { return trunks.size(); }

    /// The fastest thresholds found whose accuracy is at least `accuracy` on these frames, or the most accurate ones (`reached` false).
    /// `with_cloud` false: the device alone.
    ///
    /// Thresholds fitted to so few frames look better on them than on others. By how much is estimated on these frames alone: thresholds
    /// of each half are tried on the other, and what they lose is asked for besides.
    outcome fastest(double accuracy, bool with_cloud = true) const {
        const subset all{0, 1}, even{0, 2}, odd{1, 2};
        double lost = 0;
        if (frames() >= 200) {
            const auto a = search(accuracy, with_cloud, even), b = search(accuracy, with_cloud, odd);
            lost = (score(a, even).accuracy - score(a, odd).accuracy + score(b, odd).accuracy - score(b, even).accuracy) / 2;
        }
        // A half's thresholds are fitted to half as many frames: all frames lose about half as much.
        const auto best = search(accuracy + std::clamp(lost / 2, 0.0, 0.05), with_cloud, all);
        const totals t = score(best, all);
        outcome o{.mean_ms = t.mean_ms, .accuracy = t.accuracy, .reached = t.accuracy >= accuracy};
        for (int e = 0; e < count; ++e) (e < streams_ ? o.cloud : o.local).push_back(grid[best[static_cast<std::size_t>(e)]]);
        return o;
    }

private:
    struct entry {
        float ms{};
        std::uint8_t exit{}, bucket{}; // bucket: how many thresholds of the grid its confidence reaches
        bool right{};
    };
    struct subset {
        std::size_t first{}, step{1};
    };
    struct totals {
        double mean_ms{}, accuracy{};
    };
    using choice = std::vector<std::uint8_t>; // of the grid, for each exit

    std::size_t begins(std::size_t frame) const { return frame == 0 ? 0 : ends[frame - 1]; }
    /// Where a frame ends: an index into answers, or its end for the trunk.
    std::size_t stop(std::size_t frame, const choice& c, int without) const {
        std::size_t i = begins(frame);
        while (i < ends[frame] && (answers[i].exit == without || answers[i].bucket <= c[answers[i].exit])) ++i;
        return i;
    }
    totals score(const choice& c, subset s) const {
        totals t;
        std::size_t n = 0;
        for (std::size_t f = s.first; f < frames(); f += s.step, ++n) {
            const std::size_t i = stop(f, c, -1);
            const entry& e = i < ends[f] ? answers[i] : trunks[f];
            t.mean_ms += static_cast<double>(e.ms);
            t.accuracy += e.right;
        }
        return {t.mean_ms / static_cast<double>(n), t.accuracy / static_cast<double>(n)};
    }
    /// The best threshold of one exit, the others fixed, if a right answer is worth `price` ms.
    std::uint8_t best_for(int exit, const choice& c, double price, subset s) const {
        // What stopping at this exit changes, by threshold: an answer of bucket b stops for thresholds below b, unless an earlier one did.
        std::array<double, grid.size() + 1> change{};
        for (std::size_t f = s.first; f < frames(); f += s.step) {
            const std::size_t end = stop(f, c, exit);
            const entry& otherwise = end < ends[f] ? answers[end] : trunks[f];
            std::uint8_t taken = 0;
            for (std::size_t i = begins(f); i < end; ++i) {
                const entry& e = answers[i];
                if (e.exit != exit || e.bucket <= taken) continue;
                const double worth = static_cast<double>(e.ms - otherwise.ms) - price * (static_cast<double>(e.right) - otherwise.right);
                change[taken] += worth, change[e.bucket] -= worth;
                taken = e.bucket;
            }
        }
        double sum = 0, least = 0;
        std::uint8_t best = never; // stops nothing: worth 0
        for (std::size_t g = 0; g < never; ++g) {
            sum += change[g];
            if (sum < least) least = sum, best = static_cast<std::uint8_t>(g);
        }
        return best;
    }
    choice descend(choice c, double price, bool with_cloud, subset s) const {
        for (int round = 0; round < 8; ++round) {
            bool changed = false;
            for (int e = with_cloud ? 0 : streams_; e < count; ++e) {
                const std::uint8_t best = best_for(e, c, price, s);
                changed |= best != c[static_cast<std::size_t>(e)];
                c[static_cast<std::size_t>(e)] = best;
            }
            if (!changed) break;
        }
        return c;
    }
    choice search(double accuracy, bool with_cloud, subset s) const {
        choice best(static_cast<std::size_t>(count), never), last = best;
        totals at = score(best, s);
        const auto keep = [&](const choice& c) {
            const totals t = score(c, s);
            const bool reaches = t.accuracy >= accuracy, better = at.accuracy >= accuracy ? reaches && t.mean_ms < at.mean_ms
                                                                  : reaches               ? true
                                                                                          : t.accuracy > at.accuracy;
            if (better) best = c, at = t;
            return reaches;
        };
        // Bisection on what a right answer is worth.
        double low = 10, high = 1e6;
        for (int i = 0; i < 18; ++i) {
            const double price = std::sqrt(low * high);
            last = descend(last, price, with_cloud, s);
            (keep(last) ? high : low) = price;
        }
        if (at.accuracy < accuracy) return best;
        // What the bisection leaves of the accuracy is spent: one threshold after the other, as long as any makes the frames faster.
        for (int round = 0; round < 3; ++round) {
            const choice before = best;
            for (int e = with_cloud ? 0 : streams_; e < count; ++e) {
                choice c = best;
                for (std::uint8_t g = 0; g <= never; ++g) {
                    c[static_cast<std::size_t>(e)] = g;
                    keep(c);
                }
            }
            if (best == before) break;
        }
        return best;
    }

    int streams_, count;
    std::vector<entry> answers{}, trunks{};
    std::vector<std::size_t> ends{};
};

} // namespace splitdsl::sim
