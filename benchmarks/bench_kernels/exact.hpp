// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exact.hpp
/// What bench_kernels compares every kernel with: a layer's outputs in double, at a sample of places.
#pragma once

#include "layer_code.hpp"

#include <cstddef>
#include <random>
#include <vector>

namespace timed {

/// One output's sum of products, before any activation; weight (out, in / groups, rows, kernel), picture (in, height, width), of floats or bytes.
template <class Value>
double convolved(const layer& l, const std::vector<float>& weight, const std::vector<Value>& picture, int o, int y, int x) {
    const int per_group = l.in / l.groups, first = l.groups > 1 ? o : 0, above = l.rows / 2, left = l.kernel / 2;
    double sum = 0;
    for (int c = 0; c < per_group; ++c)
        for (int i = 0; i < l.rows; ++i)
            for (int j = 0; j < l.kernel; ++j) {
                const int iy = y * l.stride + i - above, ix = x * l.stride + j - left;
                if (iy < 0 || ix < 0 || iy >= l.height || ix >= l.width) continue;
                sum += static_cast<double>(weight[static_cast<std::size_t>(((o * per_group + c) * l.rows + i) * l.kernel + j)])
                     * static_cast<double>(picture[static_cast<std::size_t>(((first + c) * l.height + iy) * l.width + ix)]);
            }
    return sum;
}

/// visit(o, y, x) for some of a layer's outputs, the same in every run.
template <class Visit>
void for_samples(const layer& l, int samples, Visit visit) {
    std::mt19937 random{7};
    const auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
    for (int i = 0; i < samples; ++i) {
        const int o = below(l.out), y = below(l.out_height()), x = below(l.out_width());
        visit(o, y, x);
    }
}

} // namespace timed
