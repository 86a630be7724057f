// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file anchors.hpp
/// The boxes a detector's offsets start from: SSD's default boxes, and the anchors of region proposals.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detect/box.hpp>
#include <splitdsl/error.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::detect {

/// Cells of one feature map.
struct grid {
    int height, width;
};

/// SSD's default boxes of one feature map (Liu et al. 2016, section 2.2). Scales are shares of the picture.
struct default_box_level {
    grid cells;
    double scale, next_scale;           ///< next_scale: of the following map, for the extra square box
    std::vector<double> ratios;         ///< each gives a wide and a tall box
    double step = 0;                    ///< pixels from cell to cell; 0: the picture divided evenly
};

/// Boxes of all levels in pixels of a `width` × `height` picture; order: level, row, column, shape. Sizes are cut to the picture.
inline std::vector<box> default_boxes(std::span<const default_box_level> levels, int width, int height) {
    std::vector<box> all;
    for (const default_box_level& l : levels) {
        if (l.cells.height < 1 || l.cells.width < 1 || !(l.scale > 0) || !(l.next_scale > 0))
            throw option_error("default boxes: a level has " + std::to_string(l.cells.height) + "x" + std::to_string(l.cells.width) + " cells and scale "
                               + detail::number_text(l.scale) + "; all must be positive");
        std::vector<std::array<float, 2>> shapes;
        const double between = std::sqrt(l.scale * l.next_scale);
        const auto add = [&](double w, double h) { shapes.push_back({std::min(static_cast<float>(w), 1.0F), std::min(static_cast<float>(h), 1.0F)}); };
        add(l.scale, l.scale);
        add(between, between);
        for (const double ratio : l.ratios) {
            const double root = std::sqrt(ratio);
            add(l.scale * root, l.scale / root);
            add(l.scale / root, l.scale * root);
        }
        const float columns = static_cast<float>(l.step > 0 ? width / l.step : l.cells.width), rows = static_cast<float>(l.step > 0 ? height / l.step : l.cells.height);
        for (int y = 0; y < l.cells.height; ++y)
            for (int x = 0; x < l.cells.width; ++x)
                for (const auto& s : shapes) {
                    const float cx = (static_cast<float>(x) + 0.5F) / columns, cy = (static_cast<float>(y) + 0.5F) / rows, w = static_cast<float>(width), h = static_cast<float>(height);
                    all.push_back({(cx - 0.5F * s[0]) * w, (cy - 0.5F * s[1]) * h, (cx + 0.5F * s[0]) * w, (cy + 0.5F * s[1]) * h});
                }
    }
    return all;
}

/// Anchors of one feature map (Ren et al. 2015): every size in every ratio (height / width), rounded to pixels, centred on each cell's corner.
struct anchor_level {
    grid cells;
    std::vector<float> sizes, ratios;
};

/// Boxes of all levels in pixels of a `width` × `height` picture; order: level, row, column, ratio, size.
inline std::vector<box> anchors(std::span<const anchor_level> levels, int width, int height) {
    std::vector<box> all;
    for (const anchor_level& l : levels) {
        if (l.cells.height < 1 || l.cells.width < 1) throw option_error("anchors: a level has " + std::to_string(l.cells.height) + "x" + std::to_string(l.cells.width) + " cells; both must be positive");
        std::vector<box> shapes;
        for (const float ratio : l.ratios)
            for (const float size : l.sizes) {
                const float tall = std::sqrt(ratio), w = 1.0F / tall * size, h = tall * size;
                // Half to even, as torch.round.
                shapes.push_back({std::nearbyint(-w / 2), std::nearbyint(-h / 2), std::nearbyint(w / 2), std::nearbyint(h / 2)});
            }
        const int right = width / l.cells.width, down = height / l.cells.height;
        for (int y = 0; y < l.cells.height; ++y)
            for (int x = 0; x < l.cells.width; ++x)
                for (const box& s : shapes) {
                    const float dx = static_cast<float>(x * right), dy = static_cast<float>(y * down);
                    all.push_back({dx + s.x1, dy + s.y1, dx + s.x2, dy + s.y2});
                }
    }
    return all;
}

} // namespace splitdsl::detect
