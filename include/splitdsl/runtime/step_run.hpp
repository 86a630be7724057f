// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file step_run.hpp
/// What the kernel of a step is given, and what the executor holds of it.
#pragma once

#include <kernels/simd/simd.hpp>
#include <splitdsl/codec/entropy_bottleneck.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/program.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

using graph::step_kind;
inline constexpr int step_kinds = static_cast<int>(step_kind::branch) + 1;

SPLITDSL_INLINE simd::extent extent_of(const shape& s) { return {s.channels, s.height, s.width}; }
SPLITDSL_INLINE std::size_t plane_of(const shape& s) { return static_cast<std::size_t>(s.height) * static_cast<std::size_t>(s.width); }
SPLITDSL_INLINE simd::view written(const frame_memory& m, const placed& b) { return {reinterpret_cast<float*>(m.arena + b.at), b.row, b.block}; }
SPLITDSL_INLINE simd::const_view read(const frame_memory& m, const placed& b) {
    return b.at == placed::none ? simd::const_view{} : simd::const_view{reinterpret_cast<const float*>(m.arena + b.at), b.row, b.block};
}
SPLITDSL_INLINE simd::epilogue ending(const frame_memory& m, const instruction& c) { return {c.activation, c.slope, read(m, c.addend)}; }
SPLITDSL_INLINE simd::pool_shape pool_of(const instruction& c) {
    const simd::conv_shape& w = c.conv;
    return {w.in_channels, w.in_height, w.in_width, w.out_height, w.out_width, w.kernel_h, w.kernel_w, w.stride_h, w.stride_w,
            w.pad_top,     w.pad_left,  c.pad_bottom, c.pad_right, c.flag_b};
}
SPLITDSL_INLINE simd::dense_shape dense_of(const instruction& c) { return {c.conv.in_channels, c.conv.out_channels}; }

/// One step of one frame.
struct step_run {
    const instruction& c;
    const frame_memory& m;
    const float* packed;        ///< its packed parameters
    float* scratch;             ///< what it works in
    simd::weights_ahead ahead{}; ///< what its kernel may bring into the caches

    simd::view out() const { return written(m, c.out); }
    simd::const_view in() const { return read(m, c.in); }
    simd::const_view in2() const { return read(m, c.in2); }
    simd::extent of() const { return extent_of(c.out.of); }
    simd::extent from() const { return extent_of(c.in.of); }
    simd::epilogue end() const {
        simd::epilogue then = ending(m, c);
        then.ahead = ahead;
        return then;
    }
    /// The same, and a payload's levels if the step ends in one; `numbers`: as pack_levels has left them.
    simd::epilogue end(const float* numbers) const {
        simd::epilogue then = end();
        if (c.payload < 0) return then;
        const std::ptrdiff_t plane = (static_cast<std::ptrdiff_t>(c.encoded) - 8) / c.out.of.channels, row = c.out.of.width;
        then.levels = {reinterpret_cast<std::uint8_t*>(m.arena + c.payload + 8) + c.payload_row * row, row, plane, numbers[0], numbers[1]};
        return then;
    }
    simd::byte_view out_u8() const { return {reinterpret_cast<std::uint8_t*>(m.arena + c.out.at), c.out.row, c.out.block}; }
    static simd::const_byte_view bytes(const frame_memory& m, const placed& b) {
        return b.at == placed::none ? simd::const_byte_view{} : simd::const_byte_view{reinterpret_cast<const std::uint8_t*>(m.arena + b.at), b.row, b.block};
    }
    simd::const_byte_view in_u8() const { return bytes(m, c.in); }
    simd::const_byte_view addend_u8() const { return bytes(m, c.addend); }
};

/// A layer's parameters on their way to packed ones; a folded batch norm is already in scale and bias.
struct parameters_of_step {
    const float* weight{};
    const float* scale{};       ///< per output channel, or null
    const float* bias{};        ///< per output channel, or null
    const float* ranges{};      ///< of steps on bytes: the least and the largest value of each tensor
    const float* shift{};       ///< and what is added to each channel of `out`
    const float* codec_range{}; ///< of a calibrated encoder, or a convolution that does its work: the least and the largest value
    prior_tensors prior{};      ///< of an encoder by a learned prior
};

/// One step of up to `simd::most_frames` frames.
struct frames_run {
    const instruction& c;
    const frame_memory* frames;
    int count;
    const float* packed;
    step_run of(int f) const { return {c, frames[f], packed, reinterpret_cast<float*>(frames[f].arena + c.scratch)}; }
};

/// What the engine holds of a kind of step.
struct step_kernel {
    std::size_t (*packed_floats)(const instruction&){};
    int (*tasks)(const instruction&){};                                     ///< that may run beside each other
    void (*run)(const step_run&, int first, int last){};                    ///< tasks [first, last)
    void (*pack)(const instruction&, const parameters_of_step&, float* packed){};
    void (*run_frames)(const frames_run&, int first, int last){};           ///< of several frames; null: one after another is as good
    std::size_t least_shared{};                                             ///< bytes of packed weights from which on `run_frames` gains
    std::size_t (*packed_floats_of)(const instruction&, const float* weight){}; ///< of these weights, no norm folded into them; null: of all as many
};

/// Frames' tensors for a kernel that runs several at once.
struct listed_frames {
    simd::frame_tensors at[simd::most_frames];
    explicit listed_frames(const frames_run& r) {
        for (int f = 0; f < r.count; ++f) {
            const step_run s = r.of(f);
            at[f] = {s.in().at, s.out().at, s.end().addend.at, s.scratch};
        }
    }
};


struct without_parameters {
    static std::size_t packed_floats(const instruction&) { return 0; }
    static void pack(const instruction&, const parameters_of_step&, float*) {}
};
struct one_task : without_parameters {
    static int tasks(const instruction&) { return 1; }
};
/// A task a row (of a block of channels) of the output.
struct task_a_row : without_parameters {
    static int tasks(const instruction& c) { return simd::row_tasks(extent_of(c.out.of)); }
};
/// Of the input.
struct task_a_row_read : without_parameters {
    static int tasks(const instruction& c) { return simd::row_tasks(extent_of(c.in.of)); }
};

template <step_kind>
struct kernel_of;

/// A calibrated codec's scale and zero point; of a convolution that ends in a payload they stand behind its weights.
inline constexpr std::size_t level_floats = 2;
template <affine_level Level>
SPLITDSL_INLINE void pack_levels(const float* range, float* packed) {
    const affine_parameters p = affine_parameters_of<Level>({range[0], range[1], true});
    packed[0] = p.scale, packed[1] = static_cast<float>(p.zero_point);
}
SPLITDSL_INLINE void put_levels_front(const float* numbers, std::byte* payload) {
    detail::put_affine_parameters(payload, {numbers[0], static_cast<std::int32_t>(numbers[1])});
}

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
