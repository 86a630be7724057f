// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file levels.hpp
/// How a detector's head orders its outputs: a convolution per level whose channels are (shape, value), read box by box.
#pragma once

#include <splitdsl/detect/exponential.hpp>
#include <splitdsl/error.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::detect {

/// One level's outputs: `shapes` boxes a cell.
struct head_level {
    int height, width, shapes;
    std::size_t cells() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
    std::size_t boxes() const { return cells() * static_cast<std::size_t>(shapes); }
};

/// `body(box, index of its level, level, cell, shape)` for every box, in the order of the start boxes: level, row, column, shape.
template <class Body>
void for_every_box(std::span<const head_level> levels, Body body) {
    std::size_t i = 0;
    for (std::size_t level = 0; level < levels.size(); ++level)
        for (std::size_t cell = 0; cell < levels[level].cells(); ++cell)
            for (int shape = 0; shape < levels[level].shapes; ++shape) body(i++, level, levels[level], cell, shape);
}

/// The `count` values of one box out of a planar (shapes × count, height, width) tensor.
inline void gather(const float* from, const head_level& l, std::size_t cell, int shape, float* to, int count) {
    const float* at = from + static_cast<std::size_t>(shape) * static_cast<std::size_t>(count) * l.cells() + cell;
    for (int k = 0; k < count; ++k, at += l.cells()) to[k] = *at;
}

/// In place, with the largest value taken off first.
inline void softmax(float* x, std::size_t n) {
    const float largest = *std::max_element(x, x + n);
    float sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += x[i] = exponential(x[i] - largest);
    for (std::size_t i = 0; i < n; ++i) x[i] /= sum;
}

inline void require_boxes(const char* who, std::span<const head_level> levels, std::size_t boxes) {
    std::size_t expected = 0;
    for (const head_level& l : levels) {
        if (l.height < 1 || l.width < 1 || l.shapes < 1)
            throw option_error(std::string(who) + ": a level has " + std::to_string(l.height) + "x" + std::to_string(l.width) + " cells and " + std::to_string(l.shapes) + " boxes a cell; all must be positive");
        expected += l.boxes();
    }
    if (expected != boxes) throw option_error(std::string(who) + ": the levels have " + std::to_string(expected) + " boxes, but " + std::to_string(boxes) + " start boxes were given");
}
inline void require_levels(const char* who, std::span<const head_level> levels, std::size_t a, std::size_t b) {
    if (a != levels.size() || b != levels.size())
        throw option_error(std::string(who) + ": expected outputs of " + std::to_string(levels.size()) + " levels, found " + std::to_string(a) + " and " + std::to_string(b));
}

} // namespace splitdsl::detect
