// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ssd_heads.hpp
/// What single-shot detectors share: two tasks a level, and how their outputs reach the post-processing.
#pragma once

#include <splitdsl/detect/single_shot.hpp>
#include <splitdsl/zoo/blocks.hpp>

#include <array>
#include <utility>
#include <vector>

namespace splitdsl::zoo {

namespace ssd_parts {

/// Levels are taps "level0" ... "level5"; outputs are "logits0", "offsets0", "logits1", ...
inline constexpr int levels = 6;
inline constexpr std::array<text, levels> level_names{"level0", "level1", "level2", "level3", "level4", "level5"};
inline constexpr std::array<text, levels> logits_names{"logits0", "logits1", "logits2", "logits3", "logits4", "logits5"};
inline constexpr std::array<text, levels> offsets_names{"offsets0", "offsets1", "offsets2", "offsets3", "offsets4", "offsets5"};

template <std::size_t N, std::size_t S>
constexpr auto level(int i, const body<N, S>& of) { return tap(level_names[static_cast<std::size_t>(i)], of); }

template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr task_branch<N + M, S + T> both(const task_branch<N, S>& x, const task_branch<M, T>& y) { return {x.of | y.of}; }

/// What a level's head needs to know. `channels`: of the feature map.
struct head_shape { int cells, shapes, channels; };

/// torchvision's names: head.classification_head.module_list.N and head.regression_head.module_list.N. Predict: (channels, outputs) -> body.
template <class Predict>
constexpr auto heads(Predict predict, const std::array<head_shape, levels>& shape_of, int classes) {
    const auto one = [&](int i) {
        const std::size_t k = static_cast<std::size_t>(i);
        const auto part = [&](text name, int values) {
            return from(level_names[k]) | named("head", named(name, named("module_list", named(i, predict(shape_of[k].channels, shape_of[k].shapes * values)))));
        };
        return both(task(logits_names[k], part("classification_head", classes)), task(offsets_names[k], part("regression_head", 4)));
    };
    return fan_out(one(0), one(1), one(2), one(3), one(4), one(5));
}

/// Levels as the post-processing wants them.
inline std::vector<detect::head_level> head_levels(const std::array<head_shape, levels>& shape_of) {
    std::vector<detect::head_level> list;
    for (const head_shape& h : shape_of) list.push_back({h.cells, h.cells, h.shapes});
    return list;
}

} // namespace ssd_parts

/// Where each level's values begin in the outputs of a single-shot network.
struct ssd_outputs {
    std::array<const float*, ssd_parts::levels> logits{}, offsets{};
    ssd_outputs(const float* at, const std::vector<detect::head_level>& levels, int classes) {
        for (std::size_t i = 0; i < logits.size(); ++i) {
            logits[i] = at;
            at += levels[i].boxes() * static_cast<std::size_t>(classes);
            offsets[i] = at;
            at += levels[i].boxes() * 4;
        }
    }
};

/// A single-shot network's post-processing together with the layout of its outputs. Allocates at construction only.
///
/// ```cpp
/// auto find = zoo::ssd300_postprocess();
/// for (const detect::detection& d : find(outputs.data())) draw(d.where, d.label, d.score);
/// ```
struct ssd_postprocess {
    std::vector<detect::head_level> levels;
    int classes;
    detect::single_shot shot;

    ssd_postprocess(const std::array<ssd_parts::head_shape, ssd_parts::levels>& shape_of, const std::vector<detect::default_box_level>& boxes, int size, const detect::single_shot_options& o)
        : levels{ssd_parts::head_levels(shape_of)}, classes{o.classes}, shot{levels, detect::default_boxes(boxes, size, size), size, size, o} {}

    /// `outputs`: all floats of one run, as `pipeline::run` gives them. Boxes in pixels of the network's input, surest first. `finder`: finds the candidates where the
    /// network ran, on a GPU say (gpu/candidate_finding.hpp).
    std::span<const detect::detection> operator()(const float* outputs, detect::candidate_finder* finder = nullptr) {
        const ssd_outputs o(outputs, levels, classes);
        return shot(o.logits, o.offsets, finder);
    }
};

} // namespace splitdsl::zoo
