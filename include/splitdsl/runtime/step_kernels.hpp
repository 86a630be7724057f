// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file step_kernels.hpp
/// What the executor calls for each kind of step: one `kernel_of<kind>` each.
///
/// A network's table names only the kinds it has, so no other kernel is compiled for it. Everything lives in the instruction set's
/// inline namespace and instantiates nothing outside it.
#pragma once

#include <splitdsl/runtime/byte_steps.hpp>
#include <splitdsl/runtime/transfer_steps.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

/// What a convolution whose epilogue may fill a payload does beside its own work. `Conv`: the convolution without.
template <class Conv>
struct may_end_in_payload {
    static std::size_t packed_floats(const instruction& c) { return Conv::packed_floats(c) + (c.payload < 0 ? 0 : level_floats); }
    static int tasks(const instruction& c) { return Conv::tasks(c); }
    static void run(const step_run& s, int first, int last) {
        const float* const numbers = s.packed + Conv::packed_floats(s.c);
        if (s.c.payload >= 0 && first == 0) put_levels_front(numbers, s.m.arena + s.c.payload);
        Conv::run(s, s.end(numbers), first, last);
    }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        Conv::pack(c, p, packed);
        if (c.payload >= 0) pack_levels<std::uint8_t>(p.codec_range, packed + Conv::packed_floats(c));
    }
};
struct direct_kernel {
    static std::size_t packed_floats(const instruction& c) { return simd::direct_conv_packed_floats(c.conv); }
    static int tasks(const instruction& c) { return simd::direct_conv_tasks(c.conv); }
    static void run(const step_run& s, const simd::epilogue& then, int first, int last) { simd::direct_conv(s.c.conv, s.in(), s.out(), s.packed, then, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_direct_conv(c.conv, p.weight, p.scale, p.bias, packed); }
};
template <>
struct kernel_of<step_kind::conv> : may_end_in_payload<direct_kernel> {};
/// The same in networks with a direct convolution over a picture.
struct direct_or_picture_kernel {
    static std::size_t packed_floats(const instruction& c) { return c.in.in_quads ? simd::picture_conv_packed_floats(c.conv) : direct_kernel::packed_floats(c); }
    static int tasks(const instruction& c) { return c.in.in_quads ? simd::picture_conv_tasks(c.conv) : direct_kernel::tasks(c); }
    static void run(const step_run& s, const simd::epilogue& then, int first, int last) {
        if (s.c.in.in_quads) simd::picture_conv(s.c.conv, s.in(), s.out(), s.packed, then, first, last);
        else direct_kernel::run(s, then, first, last);
    }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        if (c.in.in_quads) simd::pack_picture_conv(c.conv, p.weight, p.scale, p.bias, packed);
        else direct_kernel::pack(c, p, packed);
    }
};
struct kernel_of_pictures : may_end_in_payload<direct_or_picture_kernel> {};
template <>
struct kernel_of<step_kind::depthwise> {
    static std::size_t packed_floats(const instruction& c) { return simd::depthwise_conv_packed_floats(c.conv); }
    static int tasks(const instruction& c) { return simd::depthwise_conv_tasks(c.conv); }
    static void run(const step_run& s, int first, int last) { simd::depthwise_conv(s.c.conv, s.in(), s.out(), s.packed, s.end(), first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_depthwise_conv(c.conv, p.weight, p.scale, p.bias, packed); }
};
template <>
struct kernel_of<step_kind::grouped_conv> {
    static std::size_t packed_floats(const instruction& c) { return simd::grouped_conv_packed_floats(c.conv); }
    static int tasks(const instruction& c) { return simd::grouped_conv_tasks(c.conv); }
    static void run(const step_run& s, int first, int last) { simd::grouped_conv(s.c.conv, s.in(), s.out(), s.packed, s.end(), first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_grouped_conv(c.conv, p.weight, p.scale, p.bias, packed); }
};
template <>
struct kernel_of<step_kind::conv_transpose> {
    static std::size_t packed_floats(const instruction& c) { return simd::conv_transpose_packed_floats(c.conv); }
    static int tasks(const instruction& c) { return simd::conv_transpose_tasks(c.conv); }
    static void run(const step_run& s, int first, int last) { simd::conv_transpose(s.c.conv, s.in(), s.out(), s.packed, s.end(), first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_conv_transpose(c.conv, p.weight, p.scale, p.bias, packed); }
};
template <class Form>
struct winograd_kernel {
    static std::size_t packed_floats(const instruction& c) { return simd::winograd_conv_packed_floats<Form>(c.conv); }
    static int tasks(const instruction& c) { return c.winograd.tasks; }
    static void run(const step_run& s, const simd::epilogue& then, int first, int last) { simd::winograd_conv<Form>(s.c.conv, s.c.winograd, s.in(), s.out(), s.packed, s.scratch, then, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_winograd_conv<Form>(c.conv, p.weight, p.scale, p.bias, packed); }
};
template <class Form>
struct winograd_frames_kernel : may_end_in_payload<winograd_kernel<Form>> {
    static void run_frames(const frames_run& r, int first, int last) {
        const listed_frames all{r};
        const step_run s = r.of(0);
        simd::winograd_conv_frames<Form>(r.c.conv, r.c.winograd, all.at, r.count, s.in(), s.out(), r.packed, s.end(), first, last);
    }
    static constexpr std::size_t least_shared = 4 * 1024 * 1024;
};
template <>
struct kernel_of<step_kind::winograd_2x2> : winograd_frames_kernel<simd::winograd_2x2> {};
template <>
struct kernel_of<step_kind::winograd_4x4> : winograd_frames_kernel<simd::winograd_4x4> {};
template <>
struct kernel_of<step_kind::winograd_line> : winograd_frames_kernel<simd::winograd_line> {};
template <>
struct kernel_of<step_kind::winograd_2x2_of_5x5> : winograd_frames_kernel<simd::winograd_2x2_of_5x5> {};
template <>
struct kernel_of<step_kind::winograd_4x4_strided> : may_end_in_payload<winograd_kernel<simd::winograd_4x4_strided>> {};
template <>
struct kernel_of<step_kind::winograd_3x3_strided> : may_end_in_payload<winograd_kernel<simd::winograd_3x3_strided>> {};
template <>
struct kernel_of<step_kind::dense> {
    static std::size_t packed_floats(const instruction& c) { return simd::dense_packed_floats(dense_of(c)); }
    static std::size_t packed_floats_of(const instruction& c, const float* weight) { return simd::dense_packed_floats(dense_of(c), simd::dense_storage(dense_of(c), weight, nullptr)); }
    static int tasks(const instruction& c) { return simd::dense_tasks(dense_of(c)); }
    static void run(const step_run& s, int first, int last) { simd::dense(dense_of(s.c), s.in(), s.out(), s.packed, s.end(), first, last); }
    static void run_frames(const frames_run& r, int first, int last) {
        const listed_frames all{r};
        const step_run s = r.of(0);
        simd::dense_frames(dense_of(r.c), all.at, r.count, s.in(), s.out(), r.packed, s.end(), first, last);
    }
    static constexpr std::size_t least_shared = 256 * 1024;
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_dense(dense_of(c), p.weight, p.scale, p.bias, packed); }
};
template <>
struct kernel_of<step_kind::affine> {
    static std::size_t packed_floats(const instruction& c) { return simd::affine_packed_floats(c.conv.in_channels); }
    static int tasks(const instruction& c) { return simd::row_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) { simd::affine(s.of(), s.in(), s.out(), s.packed, s.c.activation, s.c.slope, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_affine(c.conv.in_channels, p.scale, p.bias, packed); }
};
template <>
struct kernel_of<step_kind::l2_normalise> {
    static std::size_t packed_floats(const instruction& c) { return simd::l2_normalise_packed_floats(c.conv.in_channels); }
    static int tasks(const instruction& c) { return simd::l2_normalise_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) { simd::l2_normalise(s.of(), s.in(), s.out(), s.packed, s.c.values[0], first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_l2_normalise(c.conv.in_channels, p.weight, packed); }
};
template <>
struct kernel_of<step_kind::global_pool> : without_parameters {
    static int tasks(const instruction& c) { return simd::global_avg_pool_tasks(extent_of(c.in.of)); }
    static void run(const step_run& s, int first, int last) { simd::global_avg_pool(s.from(), s.in(), s.out(), first, last); }
};
template <>
struct kernel_of<step_kind::radix_softmax> : without_parameters {
    static int tasks(const instruction& c) { return simd::radix_softmax_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) { simd::radix_softmax(s.of(), s.c.offset, s.c.conv.groups, s.in(), s.out(), first, last); }
};
template <>
struct kernel_of<step_kind::activate> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::activate(s.of(), s.in(), s.out(), s.c.activation, s.c.slope, first, last); }
};
template <>
struct kernel_of<step_kind::max_pool> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::max_pool(pool_of(s.c), s.in(), s.out(), first, last); }
};
template <>
struct kernel_of<step_kind::avg_pool> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::avg_pool(pool_of(s.c), s.in(), s.out(), first, last); }
};
template <>
struct kernel_of<step_kind::upsample> : task_a_row {
    static void run(const step_run& s, int first, int last) {
        const shape &from = s.c.in.of, &to = s.c.out.of;
        simd::upsample({to.channels, from.height, from.width, to.height, to.width, s.c.flag_a, s.c.flag_b}, s.in(), s.out(), first, last);
    }
};
template <>
struct kernel_of<step_kind::pad> : task_a_row {
    static void run(const step_run& s, int first, int last) {
        const simd::conv_shape& w = s.c.conv;
        simd::pad({s.c.out.of.channels, s.c.in.of.height, s.c.in.of.width, {w.pad_top, w.pad_left, s.c.pad_bottom, s.c.pad_right}, s.c.values[0]}, s.in(), s.out(), first, last);
    }
};
template <>
struct kernel_of<step_kind::pad_channels> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::pad_channels(s.of(), s.c.in.of.channels, s.c.offset, s.in(), s.out(), first, last); }
};
template <>
struct kernel_of<step_kind::slice_channels> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::copy_channels(s.of(), s.in(), s.c.offset, s.out(), 0, first, last); }
};
template <>
struct kernel_of<step_kind::magnitude> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::magnitude(s.of(), s.in(), s.out(), s.c.flag_a, first, last); }
};
template <>
struct kernel_of<step_kind::divisive> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::divisive(s.of(), s.in(), s.in2(), s.out(), {s.c.flag_a, s.c.flag_b}, first, last); }
};
template <>
struct kernel_of<step_kind::subsample> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::subsample(s.of(), s.c.conv.stride_h, s.c.conv.stride_w, s.in(), s.out(), first, last); }
};
template <>
struct kernel_of<step_kind::add> : task_a_row {
    static void run(const step_run& s, int first, int last) { simd::add(s.of(), s.in(), s.in2(), s.out(), s.c.activation, s.c.slope, first, last); }
};
template <>
struct kernel_of<step_kind::multiply> : task_a_row {
    static void run(const step_run& s, int first, int last) {
        if (s.c.in2.of == s.c.out.of) simd::multiply(s.of(), s.in(), s.in2(), s.out(), s.c.activation, s.c.slope, first, last);
        else simd::multiply_by_channel(s.of(), s.in(), s.in2(), s.out(), s.c.activation, s.c.slope, first, last);
    }
};

/// Never run: the engine takes a branch itself.
template <>
struct kernel_of<step_kind::branch> : one_task {
    static void run(const step_run&, int, int) {}
};

/// Scale and shift of a folded batch norm, computed in double and rounded once.
struct folding {
    float* scale{};
    float* shift{};
};
inline void fold(const instruction& c, int channels, const float* const* parameters, const float* bias, folding to) {
    const float* gamma = parameters[c.norm_parameters];
    const float* beta = parameters[c.norm_parameters + 1];
    const float* mean = parameters[c.norm_parameters + 2];
    const float* variance = parameters[c.norm_parameters + 3];
    for (int k = 0; k < channels; ++k) {
        const double s = static_cast<double>(gamma[k]) / __builtin_sqrt(static_cast<double>(variance[k]) + static_cast<double>(c.epsilon));
        to.scale[k] = static_cast<float>(s);
        to.shift[k] = static_cast<float>(static_cast<double>(beta[k]) + ((bias ? static_cast<double>(bias[k]) : 0.0) - static_cast<double>(mean[k])) * s);
    }
}

/// Packs one step's parameters.
inline void pack_step(const step_kernel& kernel, const instruction& c, const float* const* parameters, float* packed, folding room) {
    if (kernel.packed_floats(c) == 0) return;
    parameters_of_step p;
    if (c.kind == step_kind::affine && c.norm_parameters < 0) {         // a normalise behind another op: (x - mean) / deviation
        for (int k = 0; k < c.conv.in_channels; ++k) {
            room.scale[k] = 1.0F / c.values[static_cast<std::size_t>(4 + k)];
            room.shift[k] = -c.values[static_cast<std::size_t>(k)] / c.values[static_cast<std::size_t>(4 + k)];
        }
        p = {nullptr, room.scale, room.shift};
    } else {
        const bool is_norm = c.kind == step_kind::affine || c.kind == step_kind::pointwise_u8;
        if (!is_norm && c.parameters >= 0) p = {parameters[c.parameters], nullptr, c.has_bias ? parameters[c.parameters + 1] : nullptr};
        if (c.norm_parameters >= 0) {
            fold(c, is_norm ? c.conv.in_channels : c.conv.out_channels, parameters, p.bias, room);
            p.scale = room.scale;
            p.bias = room.shift;
        }
    }
    if (c.ranges >= 0) p.ranges = parameters[c.ranges], p.shift = parameters[c.ranges + 1];
    if (c.payload_range >= 0) p.codec_range = parameters[c.payload_range];
    if (c.kind == step_kind::encode && c.codec == codec_id::entropy)
        p.prior = {parameters[c.parameters], parameters[c.parameters + 1], parameters[c.parameters + 2], parameters[c.parameters + 3], graph::most_prior_columns};
    kernel.pack(c, p, packed);
}

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
