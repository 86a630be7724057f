// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file suppression.hpp
/// Non-maximum suppression: of boxes that overlap too much, the surest stays.
#pragma once

#include <splitdsl/detect/box.hpp>
#include <splitdsl/error.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::detect {

/// Memory for suppressing up to `capacity` boxes; nothing is allocated after construction. Quadratic in the boxes that stay.
class suppressor {
public:
    explicit suppressor(std::size_t capacity) : order(capacity), gone(capacity), moved(capacity), kept(capacity) {}

    /// Indices of the boxes that stay, surest first; equally sure ones in their order. A box goes when it overlaps a kept one by more
    /// than `most` (intersection over union). Throws `option_error` above the capacity or when sizes differ.
    std::span<const int> operator()(std::span<const box> boxes, std::span<const float> scores, float most) {
        fits(boxes.size(), scores.size());
        const auto n = ranked(scores);
        return {kept.data(), keep(boxes, n, most, 0)};
    }

    /// The same for boxes of several classes (or pyramid levels), which do not suppress one another.
    ///
    /// Up to 1,000 boxes are moved apart by class and suppressed together, more are taken class by class: torchvision 0.14 does so on a
    /// CPU, and moving changes the last bits of an overlap, so doing the same gives the same boxes.
    std::span<const int> operator()(std::span<const box> boxes, std::span<const float> scores, std::span<const int> labels, float most) {
        fits(boxes.size(), scores.size());
        fits(boxes.size(), labels.size());
        if (boxes.empty()) return {};
        if (boxes.size() <= 1000) {
            float largest = boxes[0].x1;
            for (const box& b : boxes) largest = std::max({largest, b.x1, b.y1, b.x2, b.y2});
            for (std::size_t i = 0; i < boxes.size(); ++i) {
                const float by = static_cast<float>(labels[i]) * (largest + 1.0F);
                moved[i] = {boxes[i].x1 + by, boxes[i].y1 + by, boxes[i].x2 + by, boxes[i].y2 + by};
            }
            const auto n = ranked(scores);
            return {kept.data(), keep({moved.data(), boxes.size()}, n, most, 0)};
        }
        ranked(scores);
        const auto all = std::span(order).first(boxes.size());
        std::stable_sort(all.begin(), all.end(), [&](int a, int b) { return labels[static_cast<std::size_t>(a)] < labels[static_cast<std::size_t>(b)]; });
        std::size_t have = 0;
        for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
            while (end < all.size() && labels[static_cast<std::size_t>(all[end])] == labels[static_cast<std::size_t>(all[begin])]) ++end;
            have = keep(boxes, all.subspan(begin, end - begin), most, have);
        }
        const auto result = std::span(kept).first(have);
        std::sort(result.begin(), result.end(), [&](int a, int b) {
            const float x = scores[static_cast<std::size_t>(a)], y = scores[static_cast<std::size_t>(b)];
            return x > y || (x == y && a < b);
        });
        return result;
    }

private:
    std::vector<int> order;
    std::vector<char> gone;
    std::vector<box> moved;
    std::vector<int> kept;

    void fits(std::size_t boxes, std::size_t others) const {
        if (boxes != others) throw option_error("suppression: " + std::to_string(boxes) + " boxes but " + std::to_string(others) + " scores or labels");
        if (boxes > order.size()) throw option_error("suppression: " + std::to_string(boxes) + " boxes, room for " + std::to_string(order.size()));
    }
    std::span<const int> ranked(std::span<const float> scores) {
        const auto all = std::span(order).first(scores.size());
        std::iota(all.begin(), all.end(), 0);
        std::sort(all.begin(), all.end(), [&](int a, int b) {
            const float x = scores[static_cast<std::size_t>(a)], y = scores[static_cast<std::size_t>(b)];
            return x > y || (x == y && a < b);
        });
        return all;
    }
    std::size_t keep(std::span<const box> boxes, std::span<const int> among, float most, std::size_t have) {
        std::fill_n(gone.begin(), among.size(), char{0});
        for (std::size_t i = 0; i < among.size(); ++i) {
            if (gone[i]) continue;
            kept[have++] = among[i];
            const box& best = boxes[static_cast<std::size_t>(among[i])];
            for (std::size_t j = i + 1; j < among.size(); ++j)
                if (intersection_over_union(best, boxes[static_cast<std::size_t>(among[j])]) > most) gone[j] = 1;
        }
        return have;
    }
};

} // namespace splitdsl::detect
