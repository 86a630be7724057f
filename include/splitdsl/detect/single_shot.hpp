// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file single_shot.hpp
/// From an SSD's raw outputs to detections: softmax, decode, threshold, suppress.
#pragma once

#include <splitdsl/detect/anchors.hpp>
#include <splitdsl/detect/candidates.hpp>
#include <splitdsl/detect/levels.hpp>
#include <splitdsl/detect/suppression.hpp>

#include <array>

namespace splitdsl::detect {

/// torchvision's SSD300; SSDLite320 has {.score = 0.001F, .candidates = 300, .overlap = 0.55F, .detections = 300}.
struct single_shot_options {
    int classes = 91;                   ///< with the background, class 0
    float score = 0.01F;                ///< detections below are dropped
    int candidates = 400;               ///< the surest of each class that are looked at
    float overlap = 0.45F;              ///< of more, one goes
    int detections = 200;               ///< at most, of all classes together
    box_weights weights{10, 10, 5, 5};
};

/// Post-processing of a single-shot detector. Allocates at construction only.
class single_shot {
public:
    /// `starts`: a box for every level, row, column and shape (`default_boxes`). Throws `option_error` where numbers do not fit together.
    single_shot(std::vector<head_level> head, std::vector<box> starts, int width, int height, const single_shot_options& o = {})
        : look{candidate_plan::rule::of_each_class, std::move(head), std::move(starts), static_cast<float>(width), static_cast<float>(height), o.classes, o.score, o.candidates, o.weights}, options{o},
          suppress{static_cast<std::size_t>(o.classes) * static_cast<std::size_t>(o.candidates)} {
        if (o.classes < 2 || o.classes > 4096 || o.candidates < 1 || o.candidates > 10000 || o.detections < 1) throw option_error("single_shot: classes must be in [2, 4096], candidates in [1, 10000], detections at least 1");
        require_boxes("single_shot", look.levels, look.starts.size());
        scores.resize(look.starts.size() * static_cast<std::size_t>(o.classes));
        boxes.resize(look.starts.size());
        ranked.resize(look.starts.size());
        const std::size_t most = look.room();
        chosen_labels.reserve(most);
        chosen_boxes.reserve(most);
        chosen_scores.reserve(most);
        found.reserve(static_cast<std::size_t>(o.detections));
    }

    /// `logits[i]`: (shapes × classes, height, width) of level i; `offsets[i]`: (shapes × 4, height, width). Surest first. `there`: finds the candidates instead where
    /// it can.
    std::span<const detection> operator()(std::span<const float* const> logits, std::span<const float* const> offsets, candidate_finder* there = nullptr) {
        require_levels("single_shot", look.levels, logits.size(), offsets.size());
        chosen_boxes.clear(), chosen_scores.clear(), chosen_labels.clear(), found.clear();
        if (candidate_lists lists; there && there->find(look, logits, offsets, {}, lists)) take(lists);
        else choose(logits, offsets);
        for (const int i : suppress(chosen_boxes, chosen_scores, chosen_labels, options.overlap)) {
            if (found.size() == static_cast<std::size_t>(options.detections)) break;
            const auto at = static_cast<std::size_t>(i);
            found.push_back({chosen_boxes[at], chosen_scores[at], chosen_labels[at]});
        }
        return found;
    }
    const candidate_plan& plan() const { return look; }

private:
    candidate_plan look;
    single_shot_options options;
    suppressor suppress;
    std::vector<float> scores;
    std::vector<box> boxes, chosen_boxes;
    std::vector<float> chosen_scores;
    std::vector<int> ranked, chosen_labels;
    std::vector<detection> found;

    void add(const box& where, float score, std::size_t label) {
        chosen_boxes.push_back(where);
        chosen_scores.push_back(score);
        chosen_labels.push_back(static_cast<int>(label));
    }
    void choose(std::span<const float* const> logits, std::span<const float* const> offsets) {
        const auto classes = static_cast<std::size_t>(options.classes);
        for_every_box(look.levels, [&](std::size_t i, std::size_t level, const head_level& l, std::size_t cell, int shape) {
            float* s = scores.data() + i * classes;
            gather(logits[level], l, cell, shape, s, options.classes);
            softmax(s, classes);
            std::array<float, 4> by;
            gather(offsets[level], l, cell, shape, by.data(), 4);
            boxes[i] = clip(decode({by[0], by[1], by[2], by[3]}, look.starts[i], look.weights), look.width, look.height);
        });
        for (std::size_t k = 1; k < classes; ++k) {
            std::size_t n = 0;
            for (std::size_t i = 0; i < boxes.size(); ++i)
                if (scores[i * classes + k] > options.score) ranked[n++] = static_cast<int>(i);
            const auto score = [&](int i) { return scores[static_cast<std::size_t>(i) * classes + k]; };
            const std::size_t top = std::min(n, static_cast<std::size_t>(options.candidates));
            std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(top), ranked.begin() + static_cast<std::ptrdiff_t>(n),
                              [&](int a, int b) { return score(a) > score(b) || (score(a) == score(b) && a < b); });
            for (std::size_t i = 0; i < top; ++i) add(boxes[static_cast<std::size_t>(ranked[i])], score(ranked[i]), k);
        }
    }
    void take(const candidate_lists& lists) {
        std::span<candidate> rest = lists.all;
        for (std::size_t k = 0; k < lists.counts.size(); ++k) {
            const auto group = rest.first(static_cast<std::size_t>(lists.counts[k]));
            rest = rest.subspan(group.size());
            rank(group);
            for (const candidate& c : group) add(c.where, c.value, k + 1);
        }
    }
};

} // namespace splitdsl::detect
