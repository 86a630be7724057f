// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dense.hpp
/// Fully connected layer on one vector: outputs in the lanes, weights read once and in order, of 16 bits where these hold them.
#pragma once

#include "conv.hpp"
#include "weight_storage.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Output blocks that share one reading of the input.
inline constexpr int dense_blocks = 4;

/// Packed weights begin with a line that says how they are stored; the biases follow.
inline constexpr int dense_head = 16;

/// Enough for any weights, or what those stored so take.
inline std::size_t dense_packed_floats(const dense_shape& s, weight_storage as = weight_storage::f32) {
    const auto outs = static_cast<std::size_t>(blocks_of(s.outputs)) * lanes, weights = outs * static_cast<std::size_t>(s.inputs);
    return dense_head + outs + (as == weight_storage::f32 ? weights : weights / 2);
}

/// How pack_dense stores these weights. A norm's factor leaves no bits free.
inline weight_storage dense_storage(const dense_shape& s, const float* weight, const float* scale) {
    return scale ? weight_storage::f32 : storage_of(weight, std::ptrdiff_t{s.outputs} * s.inputs);
}

template <class Weight>
inline void pack_dense_weights(const dense_shape& s, const float* weight, const float* scale, Weight* to) {
    const int blocks = blocks_of(s.outputs);
    for (int b = 0; b < blocks; b += dense_blocks)
        for (int i = 0; i < s.inputs; ++i)
            for (int o = b * lanes; o < smaller(blocks, b + dense_blocks) * lanes; ++o)
                put(to++, o < s.outputs ? scaled(weight[static_cast<std::ptrdiff_t>(o) * s.inputs + i], scale, o) : 0.0F);
}

/// `as`: f32, or the 16 bits that hold every weight.
inline void pack_dense(const dense_shape& s, weight_storage as, const float* weight, const float* scale, const float* shift, float* packed) {
    for (int i = 0; i < dense_head; ++i) packed[i] = 0;
    __builtin_memcpy(packed, &as, sizeof as);
    pack_bias(s.outputs, shift, packed + dense_head);
    void* const to = packed + dense_head + blocks_of(s.outputs) * lanes;
    if constexpr (has_narrow_weights) {
        if (as == weight_storage::f16) return pack_dense_weights(s, weight, scale, static_cast<half_weight*>(to));
        if (as == weight_storage::bf16) return pack_dense_weights(s, weight, scale, static_cast<bfloat_weight*>(to));
    }
    pack_dense_weights(s, weight, scale, static_cast<float*>(to));
}
/// weight: (outputs, inputs); scale, shift: (outputs) or null.
inline void pack_dense(const dense_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_dense(s, dense_storage(s, weight, scale), weight, scale, shift, packed);
}

inline int dense_tasks(const dense_shape& s) { return divide_up(blocks_of(s.outputs), dense_blocks); }

/// A vector whose channel blocks lie `block` floats apart: `lanes`, or more if the tensor has a halo for some convolution.
template <class Float>
struct spaced {
    Float* at = nullptr;
    std::ptrdiff_t block = lanes;
};

/// Inputs [begin, end) of a layer; sums that are not done are kept until the rest follows. `begin` and, but for the last part, `end`: multiples of lanes.
struct dense_part {
    int begin = 0, end = 0;
    bool done = true;
    float* sums = nullptr;          ///< most_dense_sums
};
inline constexpr int most_dense_sums = 8 * lanes;

/// Several sums per output hide the latency of the additions; they are joined in a fixed order. `w`: of input `begin`.
template <int Outs, class Weight>
[[gnu::noinline]] inline void dense_group(const dense_part& part, const spaced<const float>& in, const Weight* w, const float* bias, const spaced<const float>& addend,
                                          const spaced<float>& out, float low, float high) {
    constexpr int most = Outs == 1 ? 8 : Outs == 2 ? 4 : 2, ways = most < lanes ? most : lanes;
    vec sum[ways][Outs];
#pragma GCC unroll 8
    for (int k = 0; k < ways; ++k)
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) sum[k][o] = part.begin > 0 ? load(part.sums + (k * Outs + o) * lanes) : k == 0 ? load(bias + o * lanes) : zero();
    const int inputs = part.end;
    int i = part.begin;
    for (; i + ways <= inputs; i += ways) {
        const float* const from = in.at + (i / lanes) * in.block + i % lanes;
#pragma GCC unroll 8
        for (int k = 0; k < ways; ++k) {
            const vec x = broadcast(from[k]);
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) sum[k][o] = multiply_add(x, load(w + (k * Outs + o) * lanes), sum[k][o]);
        }
        w += ways * Outs * lanes;
    }
    for (; i < inputs; ++i, w += Outs * lanes) {
        const vec x = broadcast(in.at[(i / lanes) * in.block + i % lanes]);
#pragma GCC unroll 4
        for (int o = 0; o < Outs; ++o) sum[0][o] = multiply_add(x, load(w + o * lanes), sum[0][o]);
    }
    if (!part.done) {
#pragma GCC unroll 8
        for (int k = 0; k < ways; ++k)
#pragma GCC unroll 4
            for (int o = 0; o < Outs; ++o) store(part.sums + (k * Outs + o) * lanes, sum[k][o]);
        return;
    }
#pragma GCC unroll 4
    for (int o = 0; o < Outs; ++o) {
        vec total = sum[0][o];
#pragma GCC unroll 8
        for (int k = 1; k < ways; ++k) total = total + sum[k][o];
        if (addend.at) total = total + load(addend.at + o * addend.block);
        store(out.at + o * out.block, clamped(total, broadcast(low), broadcast(high)));
    }
}

/// Bytes of weights that several frames use one after another, in the second-level cache.
inline constexpr int dense_bytes_per_part = 64 * 1024;

/// dense of several frames. `weights`: of the first block.
template <class Weight>
inline void dense_frames_with(const dense_shape& s, const frame_tensors* frames, int count, const const_view& in, const view& out, const float* biases, const Weight* weights, const epilogue& then, int first, int last) {
    const int blocks = blocks_of(s.outputs);
    float low, high;
    const bool bounds_do = clamps(then.act, low, high);
    const int at_once = count > 1 ? dense_bytes_per_part / (static_cast<int>(sizeof(Weight)) * dense_blocks * lanes) : larger(1, s.inputs);
    alignas(64) float sums[most_frames * most_dense_sums];
    for (int task = first; task < last; ++task) {
        const int block = task * dense_blocks, outs = smaller(dense_blocks, blocks - block);
        const Weight* const of_task = weights + std::ptrdiff_t{block} * s.inputs * lanes;
        const float* const bias = biases + block * lanes;
        for (int begin = 0; begin < s.inputs; begin += at_once) {
            const int end = smaller(s.inputs, begin + at_once);
            const Weight* const w = of_task + std::ptrdiff_t{begin} * outs * lanes;
            for (int f = 0; f < count; ++f) {
                const frame_tensors& own = frames[f];
                const dense_part part{begin, end, end == s.inputs, sums + f * most_dense_sums};
                const spaced<const float> from{own.in, in.block};
                spaced<const float> addend;
                if (own.addend) addend = {own.addend + block * then.addend.block, then.addend.block};
                const spaced<float> to{own.out + block * out.block, out.block};
                switch (outs) {
                case 1: dense_group<1>(part, from, w, bias, addend, to, low, high); break;
                case 2: dense_group<2>(part, from, w, bias, addend, to, low, high); break;
                case 3: dense_group<3>(part, from, w, bias, addend, to, low, high); break;
                default: dense_group<4>(part, from, w, bias, addend, to, low, high);
                }
                if (part.done && !bounds_do)
                    for (int o = 0; o < outs; ++o) activate_span(to.at + o * to.block, 1, then.act, then.slope);
            }
        }
    }
}
inline void dense_frames(const dense_shape& s, const frame_tensors* frames, int count, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    weight_storage as;
    __builtin_memcpy(&as, packed, sizeof as);
    const float* const biases = packed + dense_head;
    const void* const weights = biases + blocks_of(s.outputs) * lanes;
    if constexpr (has_narrow_weights) {
        if (as == weight_storage::f16) return dense_frames_with(s, frames, count, in, out, biases, static_cast<const half_weight*>(weights), then, first, last);
        if (as == weight_storage::bf16) return dense_frames_with(s, frames, count, in, out, biases, static_cast<const bfloat_weight*>(weights), then, first, last);
    }
    dense_frames_with(s, frames, count, in, out, biases, static_cast<const float*>(weights), then, first, last);
}

/// in: (inputs, 1, 1) in (channels, height, width) order; out: (outputs, 1, 1). Also a 1x1 convolution of one pixel.
inline void dense(const dense_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const frame_tensors one{in.at, out.at, then.addend.at, nullptr};
    dense_frames(s, &one, 1, in, out, packed, then, first, last);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
