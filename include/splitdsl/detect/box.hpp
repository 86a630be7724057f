// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file box.hpp
/// Boxes in pixels, and the offsets by which detectors describe them.
#pragma once

#include <splitdsl/detect/exponential.hpp>

#include <algorithm>
#include <cmath>

namespace splitdsl::detect {

/// Corners in pixels: left, top, right, bottom.
struct box {
    float x1, y1, x2, y2;
    bool operator==(const box&) const = default;
};

/// One find: where, how sure (0..1), and which class (0 is the background and never reported).
struct detection {
    box where;
    float score;
    int label;
};

inline float area(const box& b) { return (b.x2 - b.x1) * (b.y2 - b.y1); }

/// Overlap of two boxes as a share of what they cover together; NaN where both are empty.
inline float intersection_over_union(const box& a, const box& b) {
    const float shared = std::max(0.0F, std::min(a.x2, b.x2) - std::max(a.x1, b.x1)) * std::max(0.0F, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
    return shared / (area(a) + area(b) - shared);
}

/// A box relative to another one: centre in units of its size, size as a logarithm (Girshick et al. 2014, appendix C).
struct box_offset {
    float x, y, width, height;
};
/// What a network's offsets are multiplied by: (10, 10, 5, 5) in SSD and in Faster R-CNN's second stage, ones in its first.
struct box_weights {
    float x = 1, y = 1, width = 1, height = 1;
};

/// Sizes grow by 62.5 at most, torchvision's bound: an untrained network must not make infinite boxes.
inline constexpr float largest_log_growth = 4.135166556742356F;     // log(1000 / 16)

/// The offset that takes `from` to `to`. Both must have positive sizes.
inline box_offset encode(const box& to, const box& from, const box_weights& w) {
    const float fw = from.x2 - from.x1, fh = from.y2 - from.y1, fx = from.x1 + 0.5F * fw, fy = from.y1 + 0.5F * fh;
    const float tw = to.x2 - to.x1, th = to.y2 - to.y1, tx = to.x1 + 0.5F * tw, ty = to.y1 + 0.5F * th;
    return {w.x * (tx - fx) / fw, w.y * (ty - fy) / fh, w.width * std::log(tw / fw), w.height * std::log(th / fh)};
}

/// The box that `by` makes of `from`. Order of operations as torchvision's BoxCoder: equal to it but for the last bit of `exp`.
inline box decode(const box_offset& by, const box& from, const box_weights& w) {
    const float width = from.x2 - from.x1, height = from.y2 - from.y1;
    const float x = by.x / w.x * width + (from.x1 + 0.5F * width), y = by.y / w.y * height + (from.y1 + 0.5F * height);
    const float half_width = 0.5F * (exponential(std::min(by.width / w.width, largest_log_growth)) * width);
    const float half_height = 0.5F * (exponential(std::min(by.height / w.height, largest_log_growth)) * height);
    return {x - half_width, y - half_height, x + half_width, y + half_height};
}

/// Cut to a picture of `width` × `height` pixels.
inline box clip(const box& b, float width, float height) {
    const auto within = [](float v, float limit) { return std::min(std::max(v, 0.0F), limit); };
    return {within(b.x1, width), within(b.y1, height), within(b.x2, width), within(b.y2, height)};
}

/// From the network's input to the picture it was scaled from.
inline box scaled(const box& b, float x, float y) { return {b.x1 * x, b.y1 * y, b.x2 * x, b.y2 * y}; }

} // namespace splitdsl::detect
