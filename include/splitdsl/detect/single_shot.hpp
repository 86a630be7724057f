// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file single_shot.hpp
/// From an SSD's raw outputs to detections: softmax, decode, threshold, suppress.
#pragma once

#include <splitdsl/detect/anchors.hpp>
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
        : levels{std::move(head)}, defaults{std::move(starts)}, wide{static_cast<float>(width)}, high{static_cast<float>(height)}, options{o},
          suppress{static_cast<std::size_t>(o.classes) * static_cast<std::size_t>(o.candidates)} {
        if (o.classes < 2 || o.classes > 4096 || o.candidates < 1 || o.candidates > 10000 || o.detections < 1) throw option_error("single_shot: classes must be in [2, 4096], candidates in [1, 10000], detections at least 1");
        require_boxes("single_shot", levels, defaults.size());
        scores.resize(defaults.size() * static_cast<std::size_t>(o.classes));
        boxes.resize(defaults.size());
        ranked.resize(defaults.size());
        const auto most = static_cast<std::size_t>(o.classes - 1) * std::min(static_cast<std::size_t>(o.candidates), defaults.size());
        chosen_labels.reserve(most);
        chosen_boxes.reserve(most);
        chosen_scores.reserve(most);
        found.reserve(static_cast<std::size_t>(o.detections));
    }

    /// `logits[i]`: (shapes × classes, height, width) of level i; `offsets[i]`: (shapes × 4, height, width). Surest first.
    std::span<const detection> operator()(std::span<const float* const> logits, std::span<const float* const> offsets) {
        require_levels("single_shot", levels, logits.size(), offsets.size());
        const auto classes = static_cast<std::size_t>(options.classes);
        for_every_box(levels, [&](std::size_t i, std::size_t level, const head_level& l, std::size_t cell, int shape) {
            float* s = scores.data() + i * classes;
            gather(logits[level], l, cell, shape, s, options.classes);
            softmax(s, classes);
            std::array<float, 4> by;
            gather(offsets[level], l, cell, shape, by.data(), 4);
            boxes[i] = clip(decode({by[0], by[1], by[2], by[3]}, defaults[i], options.weights), wide, high);
        });
        chosen_boxes.clear(), chosen_scores.clear(), chosen_labels.clear(), found.clear();
        for (std::size_t k = 1; k < classes; ++k) {
            std::size_t n = 0;
            for (std::size_t i = 0; i < boxes.size(); ++i)
                if (scores[i * classes + k] > options.score) ranked[n++] = static_cast<int>(i);
            const auto score = [&](int i) { return scores[static_cast<std::size_t>(i) * classes + k]; };
            const std::size_t top = std::min(n, static_cast<std::size_t>(options.candidates));
            std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(top), ranked.begin() + static_cast<std::ptrdiff_t>(n),
                              [&](int a, int b) { return score(a) > score(b) || (score(a) == score(b) && a < b); });
            for (std::size_t i = 0; i < top; ++i) {
                chosen_boxes.push_back(boxes[static_cast<std::size_t>(ranked[i])]);
                chosen_scores.push_back(score(ranked[i]));
                chosen_labels.push_back(static_cast<int>(k));
            }
        }
        for (const int i : suppress(chosen_boxes, chosen_scores, chosen_labels, options.overlap)) {
            if (found.size() == static_cast<std::size_t>(options.detections)) break;
            const auto at = static_cast<std::size_t>(i);
            found.push_back({chosen_boxes[at], chosen_scores[at], chosen_labels[at]});
        }
        return found;
    }

private:
    std::vector<head_level> levels;
    std::vector<box> defaults;
    float wide, high;
    single_shot_options options;
    suppressor suppress;
    std::vector<float> scores;
    std::vector<box> boxes, chosen_boxes;
    std::vector<float> chosen_scores;
    std::vector<int> ranked, chosen_labels;
    std::vector<detection> found;
};

} // namespace splitdsl::detect
