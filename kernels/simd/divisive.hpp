// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file divisive.hpp
/// Normalisation by what a pixel's channels weigh together: to unit length, and the two ends of a GDN around its 1x1 convolution.
#pragma once

#include "elementwise.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

inline std::size_t l2_normalise_packed_floats(int channels) { return static_cast<std::size_t>(blocks_of(channels)) * lanes; }
inline void pack_l2_normalise(int channels, const float* weight, float* packed) {
    for (int c = 0; c < blocks_of(channels) * lanes; ++c) packed[c] = c < channels ? weight[c] : 0.0F;
}
inline int l2_normalise_tasks(const extent& e) { return e.height; }

/// out = in / max(length over the channels, least) * weight. `out` may be `in`. Lanes beyond the last channel do not count.
inline void l2_normalise(const extent& e, const const_view& in, const view& out, const float* packed, float least, int first, int last) {
    const int blocks = blocks_of(e.channels), rest = e.channels - (blocks - 1) * lanes;
    for (int y = first; y < last; ++y)
        for (int x = 0; x < e.width; ++x) {
            const float* from = in.at + y * in.row + std::ptrdiff_t{x} * lanes;
            float* to = out.at + y * out.row + std::ptrdiff_t{x} * lanes;
            float tail[static_cast<std::size_t>(lanes)]{};
            for (int l = 0; l < rest; ++l) tail[l] = from[(blocks - 1) * in.block + l];
            vec sum = load(tail) * load(tail);
            for (int b = 0; b + 1 < blocks; ++b) {
                const vec v = load(from + b * in.block);
                sum = multiply_add(v, v, sum);
            }
            const float length = __builtin_sqrtf(lane_sum(sum));
            const vec divisor = broadcast(length < least ? least : length);
            for (int b = 0; b < blocks; ++b) store(to + b * out.block, quotient(load(from + b * in.block), divisor) * load(packed + b * lanes));
        }
}

/// out = |in|, or in squared. Tasks: row_tasks(e).
inline void magnitude(const extent& e, const const_view& in, const view& out, bool squared, int first, int last) {
    if (squared) for_each_vector(e, in, in, out, first, last, [](int, const float* x, const float*) { return load(x) * load(x); });
    else for_each_vector(e, in, in, out, first, last, [](int, const float* x, const float*) { return absolute(load(x)); });
}

struct divisive_form {
    bool squared = false; ///< the divisor is the root of what is given
    bool inverse = false; ///< multiply instead of divide
};

/// out = in / divisor, or in * divisor. Tasks: row_tasks(e).
inline void divisive(const extent& e, const const_view& in, const const_view& divisor, const view& out, const divisive_form& f, int first, int last) {
    for_each_vector(e, in, divisor, out, first, last, [&](int, const float* x, const float* d) {
        const vec by = f.squared ? square_root(load(d)) : load(d);
        return f.inverse ? load(x) * by : quotient(load(x), by);
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
