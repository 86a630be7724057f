// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_steps.hpp
/// Steps on tensors of bytes. Their packed numbers begin with the output's `requantisation`.
#pragma once

#include <splitdsl/runtime/step_run.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

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
        simd::conv_u8(s.c.conv, s.in_u8(), {}, s.out().at, {}, s.packed, 0, 1);
        if (s.c.out.has_halo()) place_blocks(s);
        if (s.c.activation != simd::activation::none) simd::activate(s.of(), s.out(), s.out(), s.c.activation, s.c.slope, 0, simd::row_tasks(s.of()));
    }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) { simd::pack_conv_u8(c.conv, layer_of(c, p), packed); }
    /// The layer writes its floats one behind the other. Where a convolution wants zeros around its one pixel, each block of channels stands apart: the last one moves first.
    static void place_blocks(const step_run& s) {
        const simd::view to = s.out();
        for (int b = simd::blocks_of(s.of().channels) - 1; b > 0; --b) simd::store(to.at + b * to.block, simd::load(to.at + std::ptrdiff_t{b} * simd::lanes));
        simd::zero_halo(to, s.of(), {s.c.out.top, s.c.out.left, s.c.out.bottom, s.c.out.right});
    }
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

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
