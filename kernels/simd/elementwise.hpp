// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file elementwise.hpp
/// Affine per channel, sum, product, activation: one pass over the tensor each. `out` may be one of the inputs.
#pragma once

#include "activation.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Calls each(block, offset of a, offset of b, offset of out) for the vectors of some tasks.
template <class Each>
SPLITDSL_INLINE void for_each_vector(const extent& e, const const_view& a, const const_view& b, const view& out, int first, int last, Each&& each) {
    for_each_row(e, first, last, [&](int block, int y) {
        const float* from_a = a.at + block * a.block + y * a.row;
        const float* from_b = b.at + block * b.block + y * b.row;
        float* to = out.at + block * out.block + y * out.row;
        for (int x = 0; x < e.width; ++x) store(to + x * lanes, each(block, from_a + x * lanes, from_b + x * lanes));
    });
}

/// The switch over activations stands outside the loop over the tensor for those that cost next to nothing.
template <class Compute>
SPLITDSL_INLINE void with_activation(const extent& e, const const_view& a, const const_view& b, const view& out, activation act, float slope,
                                     int first, int last, Compute&& compute) {
    float low, high;
    if (clamps(act, low, high)) {
        const vec least = broadcast(low), most = broadcast(high);
        return for_each_vector(e, a, b, out, first, last,
                               [&](int block, const float* x, const float* y) { return clamped(compute(block, x, y), least, most); });
    }
    for_each_vector(e, a, b, out, first, last, [&](int block, const float* x, const float* y) { return activated(compute(block, x, y), act, slope); });
}

inline std::size_t affine_packed_floats(int channels) { return 2 * static_cast<std::size_t>(blocks_of(channels)) * lanes; }

/// scale, shift: (channels) or null for 1 and 0.
inline void pack_affine(int channels, const float* scale, const float* shift, float* packed) {
    const int padded = blocks_of(channels) * lanes;
    for (int c = 0; c < padded; ++c) {
        packed[c] = c < channels ? (scale ? scale[c] : 1.0F) : 0.0F;
        packed[padded + c] = c < channels && shift ? shift[c] : 0.0F;
    }
}

/// out = act(in * scale + shift), per channel. Tasks: row_tasks(e).
inline void affine(const extent& e, const const_view& in, const view& out, const float* packed, activation act, float slope, int first, int last) {
    const float* shift = packed + blocks_of(e.channels) * lanes;
    with_activation(e, in, in, out, act, slope, first, last, [&](int block, const float* x, const float*) {
        return multiply_add(load(x), load(packed + block * lanes), load(shift + block * lanes));
    });
}

/// out = act(a + b). Tasks: row_tasks(e).
inline void add(const extent& e, const const_view& a, const const_view& b, const view& out, activation act, float slope, int first, int last) {
    with_activation(e, a, b, out, act, slope, first, last, [](int, const float* x, const float* y) { return load(x) + load(y); });
}

/// out = act(a * b). Tasks: row_tasks(e).
inline void multiply(const extent& e, const const_view& a, const const_view& b, const view& out, activation act, float slope, int first, int last) {
    with_activation(e, a, b, out, act, slope, first, last, [](int, const float* x, const float* y) { return load(x) * load(y); });
}

/// out = act(a * gain), gain (channels, 1, 1): squeeze-and-excite. Tasks: row_tasks(e).
inline void multiply_by_channel(const extent& e, const const_view& a, const const_view& gain, const view& out, activation act, float slope,
                                int first, int last) {
    with_activation(e, a, a, out, act, slope, first, last,
                    [&](int block, const float* x, const float*) { return load(x) * load(gain.at + block * gain.block); });
}

/// out = act(in). Tasks: row_tasks(e).
inline void activate(const extent& e, const const_view& in, const view& out, activation act, float slope, int first, int last) {
    with_activation(e, in, in, out, act, slope, first, last, [](int, const float* x, const float*) { return load(x); });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
