// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file step_kernels.hpp
/// What the executor calls for each kind of step: one `kernel_of<kind>` each.
///
/// A network's table names only the kinds it has, so no other kernel is compiled for it. Everything lives in the instruction set's
/// inline namespace and instantiates nothing outside it.
#pragma once

#include <kernels/simd/simd.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/program.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

using graph::step_kind;
inline constexpr int step_kinds = static_cast<int>(step_kind::branch) + 1;

SPLITDSL_INLINE simd::extent extent_of(const shape& s) { return {s.channels, s.height, s.width}; }
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

    simd::view out() const { return written(m, c.out); }
    simd::const_view in() const { return read(m, c.in); }
    simd::const_view in2() const { return read(m, c.in2); }
    simd::extent of() const { return extent_of(c.out.of); }
    simd::extent from() const { return extent_of(c.in.of); }
    simd::epilogue end() const { return ending(m, c); }
    /// The same, and a payload's levels if the step ends in one; `numbers`: as pack_levels has left them.
    simd::epilogue end(const float* numbers) const {
        simd::epilogue then = ending(m, c);
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

// Steps of one task: they move values between the caller's bytes, the wire's bytes and tensors.

template <>
struct kernel_of<step_kind::copy_input> : one_task {
    static void run(const step_run& s, int, int) { __builtin_memcpy(s.m.arena + s.c.out.at, s.m.inputs[s.c.input], static_cast<std::size_t>(s.c.encoded)); }
};

/// f32 image → blocked: (value - mean) / deviation per channel, or the plain value.
inline void floats_to_blocked(const simd::extent& e, const float* from, bool interleaved, const float* mean, const float* deviation, const simd::view& out) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    const std::ptrdiff_t channel_step = interleaved ? 1 : plane, pixel_step = interleaved ? e.channels : 1;
    for (int c = 0; c < e.channels; ++c)
        for (int y = 0; y < e.height; ++y)
            for (int x = 0; x < e.width; ++x) {
                const float value = from[c * channel_step + (std::ptrdiff_t{y} * e.width + x) * pixel_step];
                out.at[c / simd::lanes * out.block + y * out.row + x * simd::lanes + c % simd::lanes] = mean ? (value - mean[c]) / deviation[c] : value;
            }
}

template <>
struct kernel_of<step_kind::load_input> : one_task {
    static void run(const step_run& s, int, int) {
        const void* bytes = s.c.slot >= 0 ? static_cast<const void*>(s.m.arena + s.c.slot) : s.m.inputs[s.c.input];
        const simd::extent e = s.of();
        const float* mean = s.c.normalises ? s.c.values.data() : nullptr;
        const float* deviation = s.c.normalises ? s.c.values.data() + 4 : nullptr;
        if (s.c.is_u8) {
            const simd::byte_order order = s.c.flag_a ? simd::byte_order::interleaved : simd::byte_order::planar;
            const std::ptrdiff_t first = std::ptrdiff_t{-s.c.conv.pad_top} * e.width * (s.c.flag_a ? e.channels : 1); // of a chain's band
            simd::bytes_to_blocked(e, static_cast<const std::uint8_t*>(bytes) + first, order, mean, deviation, s.out(), 0, simd::row_tasks(e), s.c.encoded / e.channels, s.c.out.in_quads ? 4 : simd::lanes);
        } else if (!s.c.flag_a && !mean) {
            simd::planar_to_blocked(e, static_cast<const float*>(bytes), s.out(), 0, simd::row_tasks(e));
        } else {
            floats_to_blocked(e, static_cast<const float*>(bytes), s.c.flag_a, mean, deviation, s.out());
        }
    }
};
template <>
struct kernel_of<step_kind::copy_channels> : one_task {
    static void run(const step_run& s, int, int) { simd::copy_channels(s.from(), s.in(), 0, s.out(), s.c.offset, 0, simd::row_tasks(s.from())); }
};
template <>
struct kernel_of<step_kind::softmax> : one_task {
    static void run(const step_run& s, int, int) { simd::softmax(s.of(), s.in(), s.out(), 0, simd::softmax_tasks(s.of())); }
};
template <>
struct kernel_of<step_kind::flatten> : one_task {
    static void run(const step_run& s, int, int) { simd::blocked_to_planar(s.from(), s.in(), reinterpret_cast<float*>(s.m.arena + s.c.out.at), 0, simd::row_tasks(s.from())); }
};
/// A tensor's rows are turned into planes in pieces that stay in the cache, and each piece is coded there: one pass over memory. The range of an
/// affine codec that is not calibrated is found before, on the tensor as it lies; so these codecs' steps are one task. A tensor of bytes travels as it is.
template <>
struct kernel_of<step_kind::encode> {
    static std::size_t packed_floats(const instruction& c) { return c.in.is_u8 ? simd::requantisation_floats : c.payload_range >= 0 ? level_floats : 0; }
    static int tasks(const instruction&) { return 1; }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        if (c.in.is_u8) return simd::pack_dequantise_u8(simd::byte_scale_of(p.ranges[2 * c.in.range], p.ranges[2 * c.in.range + 1]), packed);
        if (c.codec == codec_id::affine16) pack_levels<std::uint16_t>(p.codec_range, packed);
        else pack_levels<std::uint8_t>(p.codec_range, packed);
    }
    template <affine_level Level>
    static void to_levels(const step_run& s, std::byte* to) {
        float numbers[level_floats];
        if (s.c.payload_range >= 0) {
            __builtin_memcpy(numbers, s.packed, sizeof numbers);
        } else {
            const simd::value_range r = simd::range_of_blocked(s.from(), s.in());
            const affine_parameters p = affine_parameters_of<Level>({r.low, r.high, r.any});
            numbers[0] = p.scale, numbers[1] = static_cast<float>(p.zero_point);
        }
        put_levels_front(numbers, to);
        const std::ptrdiff_t width = s.c.in.of.width;
        simd::quantise_blocked<Level>(s.from(), s.in(), {reinterpret_cast<Level*>(to + 8), width, s.c.in.of.height * width, numbers[0], numbers[1]});
    }
    static void run(const step_run& s, int, int) {
        std::byte* const to = s.m.arena + s.c.out.at;
        if (s.c.codec == codec_id::float32 || s.c.codec == codec_id::pooled) // little-endian machines only, as all we know
            return simd::blocked_to_planar(s.from(), s.in(), reinterpret_cast<float*>(to), 0, simd::row_tasks(s.from()));
        if (s.c.codec == codec_id::float16) {
            simd::blocked_to_planar(s.from(), s.in(), s.scratch, 0, simd::row_tasks(s.from()));
            return encode(s.c.codec, s.scratch, static_cast<std::size_t>(s.c.in.of.size()), to);
        }
        if (s.c.in.is_u8) {
            const simd::requantisation r = simd::requantisation_in(s.packed);
            detail::put_affine_parameters(to, {r.addend_factor, r.zero});
            return simd::bytes_to_planes(s.from(), s.in_u8(), reinterpret_cast<std::uint8_t*>(to + 8));
        }
        s.c.codec == codec_id::affine8 ? to_levels<std::uint8_t>(s, to) : to_levels<std::uint16_t>(s, to);
    }
};
template <>
struct kernel_of<step_kind::decode> {
    static std::size_t packed_floats(const instruction& c) { return c.out.is_u8 ? simd::requantisation_floats : 0; }
    static int tasks(const instruction&) { return 1; }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        simd::pack_dequantise_u8(simd::byte_scale_of(p.ranges[2 * c.out.range], p.ranges[2 * c.out.range + 1]), packed);
    }
    /// The sender's bytes are this tensor's, whose scale both have from the same weights; bytes of another scale become the nearest.
    static void to_bytes(const step_run& s, const std::byte* from) {
        const affine_parameters theirs = detail::affine_parameters_in(from);
        const simd::requantisation r = simd::requantisation_in(s.packed);
        std::uint8_t table[256];
        for (int q = 0; q < 256; ++q) {
            const float value = dequantise(static_cast<std::uint8_t>(q), theirs) / r.addend_factor;
            table[q] = static_cast<std::uint8_t>(simd::nearest_within(value, static_cast<float>(-r.zero), static_cast<float>(255 - r.zero)) + r.zero);
        }
        simd::planes_to_bytes(s.of(), reinterpret_cast<const std::uint8_t*>(from + 8), table, s.out_u8());
    }
    static void run(const step_run& s, int, int) {
        const std::byte* const from = s.m.arena + s.c.in.at;
        const auto count = static_cast<std::size_t>(s.c.out.of.size());
        if (s.c.out.is_u8) return to_bytes(s, from);
        if (s.c.codec == codec_id::affine8 && static_cast<std::size_t>(s.c.encoded) == count + 8 && decodes(s.c.codec, from, count + 8)) {
            const affine_parameters p = detail::affine_parameters_in(from);
            return simd::dequantise_blocked(s.of(), reinterpret_cast<const std::uint8_t*>(from + 8), p.scale, static_cast<float>(p.zero_point), s.scratch, s.out());
        }
        (void)decode(s.c.codec, from, static_cast<std::size_t>(s.c.encoded), s.scratch, count);
        simd::planar_to_blocked(s.of(), s.scratch, s.out(), 0, simd::row_tasks(s.of()));
    }
};
template <>
struct kernel_of<step_kind::output> : one_task {
    static void run(const step_run& s, int, int) { simd::blocked_to_planar(s.from(), s.in(), s.m.outputs + s.c.offset, 0, simd::row_tasks(s.from())); }
};

// Steps on tensors of bytes. Their packed numbers begin with the output's `requantisation`.

SPLITDSL_INLINE simd::byte_scale scale_of(const parameters_of_step& p, const placed& b) {
    return b.range < 0 ? simd::byte_scale{} : simd::byte_scale_of(p.ranges[2 * b.range], p.ranges[2 * b.range + 1]);
}
/// The bytes of 0, for a pixel of four.
inline std::uint32_t zero_of_bytes(const step_run& s) {
    const auto zero = static_cast<std::uint32_t>(simd::requantisation_in(s.packed).zero);
    return s.c.kind == step_kind::load_u8 ? zero : zero * 0x01010101U;
}
inline simd::byte_layer layer_of(const instruction& c, const parameters_of_step& p) {
    simd::byte_layer l;
    l.weight = p.weight, l.scale = p.scale, l.bias = p.bias;
    if (c.in.range < 0) { // a picture: byte / 255, less the mean, over the deviation
        l.per_channel = true;
        for (int k = 0; k < 4; ++k) {
            l.in_scale[k] = static_cast<float>(1.0 / (255.0 * static_cast<double>(c.values[static_cast<std::size_t>(4 + k)])));
            l.in_zero[k] = 255 * c.values[static_cast<std::size_t>(k)];
        }
    } else {
        const simd::byte_scale in = scale_of(p, c.in);
        l.in_scale[0] = in.scale;
        l.in_zero[0] = static_cast<float>(in.zero);
    }
    if (c.out.is_u8) l.shift = p.shift + c.shift, l.act = c.activation;
    else l.to_floats = true;
    l.out = scale_of(p, c.out);
    l.addend = scale_of(p, c.addend);
    return l;
}
template <>
struct kernel_of<step_kind::conv_u8> {
    static std::size_t packed_floats(const instruction& c) { return simd::conv_u8_packed_floats(c.conv); }
    static int tasks(const instruction& c) { return simd::conv_u8_tasks(c.conv); }
    static void run(const step_run& s, int first, int last) { simd::conv_u8(s.c.conv, s.in_u8(), s.out_u8(), nullptr, s.addend_u8(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_conv_u8(c.conv, layer_of(c, p), packed); }
};
template <>
struct kernel_of<step_kind::dense_u8> {
    static std::size_t packed_floats(const instruction& c) { return simd::conv_u8_packed_floats(c.conv); }
    static int tasks(const instruction&) { return 1; }
    static void run(const step_run& s, int, int) {
        float* const out = s.out().at;
        simd::conv_u8(s.c.conv, s.in_u8(), {}, out, {}, s.packed, 0, 1);
        if (s.c.activation != simd::activation::none) simd::activate(s.of(), s.out(), s.out(), s.c.activation, s.c.slope, 0, simd::row_tasks(s.of()));
    }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_conv_u8(c.conv, layer_of(c, p), packed); }
};
template <>
struct kernel_of<step_kind::depthwise_u8> {
    static std::size_t packed_floats(const instruction& c) { return simd::depthwise_u8_packed_floats(c.conv); }
    static int tasks(const instruction& c) { return simd::depthwise_u8_tasks(c.conv); }
    static void run(const step_run& s, int first, int last) { simd::depthwise_u8(s.c.conv, s.in_u8(), s.out_u8(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_depthwise_u8(c.conv, layer_of(c, p), packed); }
};
struct with_requantisation {
    static std::size_t packed_floats(const instruction&) { return simd::requantisation_floats; }
};
template <>
struct kernel_of<step_kind::global_pool_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::global_pool_u8_tasks(extent_of(c.in.of)); }
    static void run(const step_run& s, int first, int last) { simd::global_pool_u8(s.from(), s.in_u8(), s.out_u8().at, s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        simd::pack_mean_u8(scale_of(p, c.in), scale_of(p, c.out), c.in.of.height * c.in.of.width, packed);
    }
};
template <>
struct kernel_of<step_kind::avg_pool_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::pool_u8_tasks(pool_of(c)); }
    static void run(const step_run& s, int first, int last) { simd::avg_pool_u8(pool_of(s.c), s.in_u8(), s.out_u8(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_mean_u8(scale_of(p, c.in), scale_of(p, c.out), 1, packed); }
};
template <>
struct kernel_of<step_kind::max_pool_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::pool_u8_tasks(pool_of(c)); }
    static void run(const step_run& s, int first, int last) { simd::max_pool_u8(pool_of(s.c), s.in_u8(), s.out_u8(), first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_mean_u8(scale_of(p, c.in), scale_of(p, c.out), 1, packed); }
};
template <>
struct kernel_of<step_kind::pointwise_u8> {
    static std::size_t packed_floats(const instruction& c) { return simd::pointwise_u8_packed_floats(c.in.of.channels); }
    static int tasks(const instruction& c) { return simd::byte_row_tasks(extent_of(c.in.of)); }
    static void run(const step_run& s, int first, int last) { simd::pointwise_u8(s.from(), s.in_u8(), s.out_u8(), s.c.offset, s.addend_u8(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        simd::byte_layer l = layer_of(c, p);
        l.shift = nullptr; // shifts are of layers
        simd::pack_pointwise_u8(c.in.of.channels, l, packed);
    }
};
template <>
struct kernel_of<step_kind::multiply_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::byte_row_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) { simd::multiply_u8(s.of(), s.in_u8(), s.bytes(s.m, s.c.in2).at, s.out_u8(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        simd::pack_multiply_u8(scale_of(p, c.in), scale_of(p, c.in2), scale_of(p, c.out), c.activation, packed);
    }
};
template <>
struct kernel_of<step_kind::quantise_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::row_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) { simd::floats_to_u8(s.of(), s.in(), s.out_u8(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_quantise_u8(scale_of(p, c.out), packed); }
};
template <>
struct kernel_of<step_kind::dequantise_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::row_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) { simd::u8_to_floats(s.of(), s.in_u8(), s.out(), s.packed, first, last); }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_dequantise_u8(scale_of(p, c.in), packed); }
};
template <>
struct kernel_of<step_kind::load_u8> : with_requantisation {
    static int tasks(const instruction& c) { return simd::load_u8_tasks(extent_of(c.out.of)); }
    static void run(const step_run& s, int first, int last) {
        const void* bytes = s.c.slot >= 0 ? static_cast<const void*>(s.m.arena + s.c.slot) : s.m.inputs[s.c.input];
        const simd::extent e = s.of();
        const std::ptrdiff_t above = std::ptrdiff_t{-s.c.conv.pad_top} * e.width * (s.c.flag_a ? e.channels : 1); // of a chain's band
        simd::load_u8(e, static_cast<const std::uint8_t*>(bytes) + above, s.c.flag_a ? simd::byte_order::interleaved : simd::byte_order::planar, s.out_u8(), s.c.encoded / e.channels, first, last);
    }
    static void pack(const instruction& c, const parameters_of_step&, float* packed) { simd::pack_load_u8(c.out.of.channels, c.values.data(), packed); }
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
    kernel.pack(c, p, packed);
}

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
