// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file softmax.hpp
/// Softmax over the channels of every pixel; of a vector (channels, 1, 1) in particular.
#pragma once

#include "activation.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

inline int softmax_tasks(const extent& e) { return e.height; }

/// `out` may be `in`. Lanes beyond the last channel become 0.
inline void softmax(const extent& e, const const_view& in, const view& out, int first, int last) {
    const int blocks = blocks_of(e.channels), rest = e.channels - (blocks - 1) * lanes;
    for (int y = first; y < last; ++y)
        for (int x = 0; x < e.width; ++x) {
            const float* from = in.at + y * in.row + std::ptrdiff_t{x} * lanes;
            float* to = out.at + y * out.row + std::ptrdiff_t{x} * lanes;
            float best = from[0];
            for (int b = 0; b < blocks; ++b)
                for (int l = 0; l < (b + 1 < blocks ? lanes : rest); ++l) {
                    const float v = from[b * in.block + l];
                    best = v > best ? v : best;
                }
            const vec top = broadcast(best);
            vec sum = zero();
            for (int b = 0; b < blocks; ++b) {
                float* at = to + b * out.block;
                store(at, exponential(load(from + b * in.block) - top));
                if (b + 1 == blocks)
                    for (int l = rest; l < lanes; ++l) at[l] = 0;
                sum = sum + load(at);
            }
            const vec total = broadcast(lane_sum(sum));
            for (int b = 0; b < blocks; ++b) store(to + b * out.block, quotient(load(to + b * out.block), total));
        }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
