// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file two_stage.hpp
/// Faster R-CNN between its networks: proposals from the first stage's outputs, regions of the pyramid for the second stage,
/// detections from its outputs (Ren et al. 2015; Lin et al. 2017).
#pragma once

#include <splitdsl/detect/anchors.hpp>
#include <splitdsl/detect/levels.hpp>
#include <splitdsl/detect/region_sampler.hpp>
#include <splitdsl/detect/suppression.hpp>

#include <array>

namespace splitdsl::detect {

/// torchvision's Faster R-CNN.
struct proposal_options {
    int candidates = 1000;              ///< the surest of each level that are looked at
    int proposals = 1000;               ///< at most
    float overlap = 0.7F;
    float smallest = 1e-3F;             ///< pixels a side
};

/// From region proposal outputs to regions. Allocates at construction only.
class proposal_finder {
public:
    proposal_finder(std::vector<head_level> head, std::vector<box> starts, int width, int height, const proposal_options& o = {})
        : levels{std::move(head)}, anchors{std::move(starts)}, wide{static_cast<float>(width)}, high{static_cast<float>(height)}, options{o},
          suppress{levels.size() * static_cast<std::size_t>(std::max(o.candidates, 0))} {
        if (o.candidates < 1 || o.candidates > 100000 || o.proposals < 1) throw option_error("proposal_finder: candidates must be in [1, 100000], proposals at least 1");
        require_boxes("proposal_finder", levels, anchors.size());
        std::size_t largest = 0;
        for (const head_level& l : levels) largest = std::max(largest, l.boxes());
        ranked.resize(largest);
        objectness.resize(largest);
        const auto most = levels.size() * static_cast<std::size_t>(o.candidates);
        boxes.reserve(most);
        scores.reserve(most);
        level_of.reserve(most);
        found.reserve(static_cast<std::size_t>(o.proposals));
    }

    /// `logits[i]`: (shapes, height, width) of level i; `offsets[i]`: (shapes × 4, height, width). Surest first.
    std::span<const box> operator()(std::span<const float* const> logits, std::span<const float* const> offsets) {
        require_levels("proposal_finder", levels, logits.size(), offsets.size());
        boxes.clear(), scores.clear(), level_of.clear(), found.clear();
        std::size_t first = 0;
        for (std::size_t level = 0; level < levels.size(); ++level) {
            const head_level& l = levels[level];
            const auto shapes = static_cast<std::size_t>(l.shapes);
            for (std::size_t i = 0; i < l.boxes(); ++i) ranked[i] = static_cast<int>(i), gather(logits[level], l, i / shapes, static_cast<int>(i % shapes), &objectness[i], 1);
            const std::size_t top = std::min(l.boxes(), static_cast<std::size_t>(options.candidates));
            std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(top), ranked.begin() + static_cast<std::ptrdiff_t>(l.boxes()), [&](int a, int b) {
                const float x = objectness[static_cast<std::size_t>(a)], y = objectness[static_cast<std::size_t>(b)];
                return x > y || (x == y && a < b);
            });
            for (std::size_t i = 0; i < top; ++i) {
                const auto at = static_cast<std::size_t>(ranked[i]);
                std::array<float, 4> by;
                gather(offsets[level], l, at / shapes, static_cast<int>(at % shapes), by.data(), 4);
                const box b = clip(decode({by[0], by[1], by[2], by[3]}, anchors[first + at], {}), wide, high);
                if (!(b.x2 - b.x1 >= options.smallest && b.y2 - b.y1 >= options.smallest)) continue;
                boxes.push_back(b);
                scores.push_back(1.0F / (1.0F + std::exp(-objectness[at])));
                level_of.push_back(static_cast<int>(level));
            }
            first += l.boxes();
        }
        for (const int i : suppress(boxes, scores, level_of, options.overlap)) {
            if (found.size() == static_cast<std::size_t>(options.proposals)) break;
            found.push_back(boxes[static_cast<std::size_t>(i)]);
        }
        return found;
    }

private:
    std::vector<head_level> levels;
    std::vector<box> anchors;
    float wide, high;
    proposal_options options;
    suppressor suppress;
    std::vector<int> ranked, level_of;
    std::vector<float> objectness, scores;
    std::vector<box> boxes, found;
};

/// Reads each region from the pyramid level that fits its size. `maps`: levels 2, 3, ... Region i's values go to column i of a
/// (channels × size², capacity) matrix, so that the second stage's dense layers are 1×1 convolutions over the regions; columns without
/// a region are left as they are. `there`: samples instead where it can.
inline void pool_regions(std::span<const feature_map> maps, std::span<const box> regions, roi_align& align, float* out, std::size_t capacity, region_sampler* there = nullptr) {
    if (maps.empty() || regions.size() > capacity) throw option_error("pool_regions: " + std::to_string(regions.size()) + " regions of " + std::to_string(maps.size()) + " maps into " + std::to_string(capacity) + " columns");
    if (there && there->sample(maps, regions, align, out, capacity)) return;
    for (std::size_t i = 0; i < regions.size(); ++i)
        align(maps[static_cast<std::size_t>(pyramid_level(regions[i], 2, 1 + static_cast<int>(maps.size())) - 2)], regions[i], out + i, capacity);
}

struct region_options {
    int classes = 91;                   ///< with the background, class 0
    float score = 0.05F;
    float overlap = 0.5F;
    int detections = 100;
    float smallest = 1e-2F;             ///< pixels a side
    box_weights weights{10, 10, 5, 5};
};

/// From the second stage's outputs to detections. Allocates at construction only.
class region_classifier {
public:
    /// For at most `capacity` regions a picture of `width` × `height` pixels.
    region_classifier(std::size_t capacity, int width, int height, const region_options& o = {})
        : room{capacity}, wide{static_cast<float>(width)}, high{static_cast<float>(height)}, options{o}, suppress{most(capacity, o)} {
        probabilities.resize(static_cast<std::size_t>(o.classes));
        boxes.reserve(most(capacity, o));
        scores.reserve(most(capacity, o));
        labels.reserve(most(capacity, o));
        found.reserve(static_cast<std::size_t>(o.detections));
    }

    /// `logits`: (classes, capacity); `offsets`: (classes × 4, capacity); column i belongs to `regions[i]`. Surest first.
    std::span<const detection> operator()(const float* logits, const float* offsets, std::span<const box> regions) {
        if (regions.size() > room) throw option_error("region_classifier: " + std::to_string(regions.size()) + " regions, room for " + std::to_string(room));
        boxes.clear(), scores.clear(), labels.clear(), found.clear();
        for (std::size_t i = 0; i < regions.size(); ++i) {
            for (std::size_t k = 0; k < probabilities.size(); ++k) probabilities[k] = logits[k * room + i];
            softmax(probabilities.data(), probabilities.size());
            for (std::size_t k = 1; k < probabilities.size(); ++k) {
                if (!(probabilities[k] > options.score)) continue;
                const float* by = offsets + k * 4 * room + i;
                const box b = clip(decode({by[0], by[room], by[2 * room], by[3 * room]}, regions[i], options.weights), wide, high);
                if (!(b.x2 - b.x1 >= options.smallest && b.y2 - b.y1 >= options.smallest)) continue;
                boxes.push_back(b);
                scores.push_back(probabilities[k]);
                labels.push_back(static_cast<int>(k));
            }
        }
        for (const int i : suppress(boxes, scores, labels, options.overlap)) {
            if (found.size() == static_cast<std::size_t>(options.detections)) break;
            const auto at = static_cast<std::size_t>(i);
            found.push_back({boxes[at], scores[at], labels[at]});
        }
        return found;
    }

private:
    std::size_t room;
    float wide, high;
    region_options options;
    suppressor suppress;
    std::vector<float> probabilities, scores;
    std::vector<int> labels;
    std::vector<box> boxes;
    std::vector<detection> found;

    /// Probabilities sum to 1, so at most 1 / score classes of a region pass (one more for rounding).
    static std::size_t most(std::size_t capacity, const region_options& o) {
        if (capacity < 1 || capacity > 100000 || o.classes < 2 || o.classes > 4096 || o.detections < 1)
            throw option_error("region_classifier: regions must be in [1, 100000], classes in [2, 4096], detections at least 1");
        const auto foreground = static_cast<std::size_t>(o.classes - 1);
        return capacity * (o.score > 1e-3F ? std::min(foreground, static_cast<std::size_t>(1.0F / o.score) + 1) : foreground);
    }
};

} // namespace splitdsl::detect
