// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file two_stage.hpp
/// Faster R-CNN between its networks: proposals from the first stage's outputs, regions of the pyramid for the second stage,
/// detections from its outputs (Ren et al. 2015; Lin et al. 2017).
#pragma once

#include <splitdsl/detect/anchors.hpp>
#include <splitdsl/detect/candidates.hpp>
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
    float score = 0;                    ///< the least, as a probability
};

/// From region proposal outputs to regions. Allocates at construction only.
class proposal_finder {
public:
    proposal_finder(std::vector<head_level> head, std::vector<box> starts, int width, int height, const proposal_options& o = {})
        : look{candidate_plan::rule::of_each_level, std::move(head), std::move(starts), static_cast<float>(width), static_cast<float>(height), 1, 0, o.candidates, {}}, options{o},
          suppress{look.levels.size() * static_cast<std::size_t>(std::max(o.candidates, 0))} {
        if (o.candidates < 1 || o.candidates > 100000 || o.proposals < 1) throw option_error("proposal_finder: candidates must be in [1, 100000], proposals at least 1");
        require_boxes("proposal_finder", look.levels, look.starts.size());
        ranked.resize(look.items());
        objectness.resize(look.items());
        const auto most = look.levels.size() * static_cast<std::size_t>(o.candidates);
        boxes.reserve(most);
        scores.reserve(most);
        level_of.reserve(most);
        found.reserve(static_cast<std::size_t>(o.proposals));
    }

    /// `logits[i]`: (shapes, height, width) of level i; `offsets[i]`: (shapes × 4, height, width). Surest first. `there`: finds the candidates instead where it can.
    std::span<const box> operator()(std::span<const float* const> logits, std::span<const float* const> offsets, candidate_finder* there = nullptr) {
        require_levels("proposal_finder", look.levels, logits.size(), offsets.size());
        boxes.clear(), scores.clear(), level_of.clear(), found.clear();
        if (candidate_lists lists; there && there->find(look, logits, offsets, {}, lists)) take(lists);
        else choose(logits, offsets);
        for (const int i : suppress(boxes, scores, level_of, options.overlap)) {
            if (found.size() == static_cast<std::size_t>(options.proposals)) break;
            found.push_back(boxes[static_cast<std::size_t>(i)]);
        }
        return found;
    }
    const candidate_plan& plan() const { return look; }

private:
    candidate_plan look;
    proposal_options options;
    suppressor suppress;
    std::vector<int> ranked, level_of;
    std::vector<float> objectness, scores;
    std::vector<box> boxes, found;

    void add(const box& where, float how_sure, std::size_t level) {
        if (!(where.x2 - where.x1 >= options.smallest && where.y2 - where.y1 >= options.smallest)) return;
        const float score = 1.0F / (1.0F + exponential(-how_sure));
        if (!(score >= options.score)) return;
        boxes.push_back(where);
        scores.push_back(score);
        level_of.push_back(static_cast<int>(level));
    }
    void choose(std::span<const float* const> logits, std::span<const float* const> offsets) {
        std::size_t first = 0;
        for (std::size_t level = 0; level < look.levels.size(); ++level) {
            const head_level& l = look.levels[level];
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
                add(clip(decode({by[0], by[1], by[2], by[3]}, look.starts[first + at], look.weights), look.width, look.height), objectness[at], level);
            }
            first += l.boxes();
        }
    }
    void take(const candidate_lists& lists) {
        std::span<candidate> rest = lists.all;
        for (std::size_t level = 0; level < lists.counts.size(); ++level) {
            const auto group = rest.first(static_cast<std::size_t>(lists.counts[level]));
            rest = rest.subspan(group.size());
            rank(group);
            for (const candidate& c : group) add(c.where, c.value, level);
        }
    }
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
        : room{checked(capacity, o)}, look{candidate_plan::rule::of_regions, {{1, static_cast<int>(capacity), 1}}, {}, static_cast<float>(width), static_cast<float>(height), o.classes, o.score,
               static_cast<int>(most(capacity, o)), o.weights}, options{o}, suppress{look.room()} {
        probabilities.resize(static_cast<std::size_t>(o.classes));
        boxes.reserve(look.room());
        scores.reserve(look.room());
        labels.reserve(look.room());
        found.reserve(static_cast<std::size_t>(o.detections));
    }

    /// `logits`: (classes, capacity); `offsets`: (classes × 4, capacity); column i belongs to `regions[i]`. Surest first. `there`: finds the candidates instead where
    /// it can.
    std::span<const detection> operator()(const float* logits, const float* offsets, std::span<const box> regions, candidate_finder* there = nullptr) {
        if (regions.size() > room) throw option_error("region_classifier: " + std::to_string(regions.size()) + " regions, room for " + std::to_string(room));
        boxes.clear(), scores.clear(), labels.clear(), found.clear();
        if (candidate_lists lists; there && there->find(look, {&logits, 1}, {&offsets, 1}, regions, lists))
            for (const candidate& c : lists.all) add(c.where, c.value, c.index % options.classes);
        else choose(logits, offsets, regions);
        for (const int i : suppress(boxes, scores, labels, options.overlap)) {
            if (found.size() == static_cast<std::size_t>(options.detections)) break;
            const auto at = static_cast<std::size_t>(i);
            found.push_back({boxes[at], scores[at], labels[at]});
        }
        return found;
    }
    const candidate_plan& plan() const { return look; }

private:
    std::size_t room;
    candidate_plan look;
    region_options options;
    suppressor suppress;
    std::vector<float> probabilities, scores;
    std::vector<int> labels;
    std::vector<box> boxes;
    std::vector<detection> found;

    void add(const box& where, float score, int label) {
        if (!(where.x2 - where.x1 >= options.smallest && where.y2 - where.y1 >= options.smallest)) return;
        boxes.push_back(where);
        scores.push_back(score);
        labels.push_back(label);
    }
    void choose(const float* logits, const float* offsets, std::span<const box> regions) {
        for (std::size_t i = 0; i < regions.size(); ++i) {
            for (std::size_t k = 0; k < probabilities.size(); ++k) probabilities[k] = logits[k * room + i];
            softmax(probabilities.data(), probabilities.size());
            for (std::size_t k = 1; k < probabilities.size(); ++k) {
                if (!(probabilities[k] > options.score)) continue;
                const float* by = offsets + k * 4 * room + i;
                add(clip(decode({by[0], by[room], by[2 * room], by[3 * room]}, regions[i], look.weights), look.width, look.height), probabilities[k], static_cast<int>(k));
            }
        }
    }
    static std::size_t checked(std::size_t capacity, const region_options& o) {
        if (capacity < 1 || capacity > 100000 || o.classes < 2 || o.classes > 4096 || o.detections < 1)
            throw option_error("region_classifier: regions must be in [1, 100000], classes in [2, 4096], detections at least 1");
        return capacity;
    }

    /// Probabilities sum to 1, so at most 1 / score classes of a region pass (one more for rounding).
    static std::size_t most(std::size_t capacity, const region_options& o) {
        const auto foreground = static_cast<std::size_t>(o.classes - 1);
        return capacity * (o.score > 1e-3F ? std::min(foreground, static_cast<std::size_t>(1.0F / o.score) + 1) : foreground);
    }
};

} // namespace splitdsl::detect
