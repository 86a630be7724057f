// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file softmax.hpp
/// Softmax over the channels of every pixel, of a vector (channels, 1, 1) in particular; and over the splits of split attention.
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

inline int radix_softmax_tasks(const extent& e) { return e.height; }

/// For every channel a softmax over its splits: channels (cardinality, radix, c) of in, (radix, cardinality, c) of out.
inline void radix_softmax(const extent& e, int radix, int cardinality, const const_view& in, const view& out, int first, int last) {
    const int each = e.channels / radix / cardinality;
    const bool aligned = each % lanes == 0;
    float room[static_cast<std::size_t>(lanes)]{};
    for (int y = first; y < last; ++y)
        for (int x = 0; x < e.width; ++x) {
            const float* from = in.at + y * in.row + std::ptrdiff_t{x} * lanes;
            float* to = out.at + y * out.row + std::ptrdiff_t{x} * lanes;
            for (int g = 0; g < cardinality; ++g)
                for (int c = 0; c < each; c += lanes) {
                    const int count = smaller(lanes, each - c);
                    const auto gather = [&](const float* at, std::ptrdiff_t block, int channel) {
                        if (aligned) return load(at + channel / lanes * block);
                        for (int l = 0; l < count; ++l) room[l] = at[(channel + l) / lanes * block + (channel + l) % lanes];
                        return load(room);
                    };
                    const auto scatter = [&](int channel, const vec& v) {
                        if (aligned) return store(to + channel / lanes * out.block, v);
                        store(room, v);
                        for (int l = 0; l < count; ++l) to[(channel + l) / lanes * out.block + (channel + l) % lanes] = room[l];
                    };
                    const auto source = [&](int r) { return (g * radix + r) * each + c; };
                    const auto target = [&](int r) { return (r * cardinality + g) * each + c; };
                    vec best = gather(from, in.block, source(0));
                    for (int r = 1; r < radix; ++r) best = maximum(best, gather(from, in.block, source(r)));
                    vec sum = zero();
                    for (int r = 0; r < radix; ++r) {
                        const vec v = exponential(gather(from, in.block, source(r)) - best);
                        sum = sum + v;
                        scatter(target(r), v);
                    }
                    for (int r = 0; r < radix; ++r) scatter(target(r), quotient(gather(to, out.block, target(r)), sum));
                }
        }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
