// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file candidates.hpp
/// The few boxes of a head that suppression looks at, and who finds them where the outputs stand elsewhere than in the processor's memory: a GPU.
#pragma once

#include <splitdsl/detect/box.hpp>
#include <splitdsl/detect/levels.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace splitdsl::detect {

/// A box that may become a detection. `value`: its score, or its objectness before the sigmoid; `index`: which of its group it is.
struct candidate {
    box where;
    float value;
    int index;
};

/// What a post-processing looks for; made at set-up.
struct candidate_plan {
    enum class rule {
        of_each_class,      ///< a group a class but the background: boxes by their softmax, the surest `most` above `score`
        of_each_level,      ///< a group a level: boxes by their objectness, the surest `most`
        of_regions          ///< one group: every class of every region above `score`, region by region; `most` is never reached
    };
    rule what{};
    std::vector<head_level> levels{};       ///< of regions: one level of one row, a cell each region there is room for
    std::vector<box> starts{};              ///< a box each, level by level; of regions: empty, the regions are their own
    float width{}, height{};                ///< of the picture, to which boxes are cut
    int classes{1};                         ///< with the background
    float score{};
    int most{};                             ///< of a group
    box_weights weights{};

    std::size_t boxes() const {
        std::size_t n = 0;
        for (const head_level& l : levels) n += l.boxes();
        return n;
    }
    int groups() const { return what == rule::of_each_class ? classes - 1 : what == rule::of_each_level ? static_cast<int>(levels.size()) : 1; }
    /// Of the largest group.
    std::size_t items() const {
        if (what == rule::of_each_class) return boxes();
        if (what == rule::of_regions) return boxes() * static_cast<std::size_t>(classes);
        std::size_t n = 0;
        for (const head_level& l : levels) n = std::max(n, l.boxes());
        return n;
    }
    /// More there cannot be, of all groups together.
    std::size_t room() const { return static_cast<std::size_t>(groups()) * std::min(items(), static_cast<std::size_t>(most)); }
};

/// One group behind the other, each in the order of its indices. Valid until the next frame.
struct candidate_lists {
    std::span<const int> counts{};          ///< a group
    std::span<candidate> all{};
};

/// Given to `single_shot`, `proposal_finder` and `region_classifier`.
class candidate_finder {
public:
    /// The candidates that the processor would find in the same outputs, with the same bits. False where the outputs are not there or the plan is another
    /// one: then the processor looks, and finds the outputs in its own memory. `regions`: of `of_regions`.
    virtual bool find(const candidate_plan& plan, std::span<const float* const> logits, std::span<const float* const> offsets, std::span<const box> regions, candidate_lists& found) noexcept = 0;

protected:
    ~candidate_finder() = default;
};

/// Surest first, equally sure ones in their order.
inline void rank(std::span<candidate> group) {
    std::sort(group.begin(), group.end(), [](const candidate& a, const candidate& b) { return a.value > b.value || (a.value == b.value && a.index < b.index); });
}

} // namespace splitdsl::detect
