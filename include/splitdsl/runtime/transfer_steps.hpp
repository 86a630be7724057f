// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file transfer_steps.hpp
/// Steps that move values between the caller's bytes, the wire's bytes and tensors.
#pragma once

#include <splitdsl/runtime/step_run.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

template <>
struct kernel_of<step_kind::copy_input> : one_task {
    static void run(const step_run& s, int, int) { __builtin_memcpy(s.m.arena + s.c.out.at, s.m.inputs[s.c.input], static_cast<std::size_t>(s.c.encoded)); }
};

/// Rows [begin, end) of an f32 image → blocked: (value - mean) / deviation per channel, or the plain value.
inline void floats_to_blocked(const simd::extent& e, const float* from, bool interleaved, const float* mean, const float* deviation, const simd::view& out, int begin, int end) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    const std::ptrdiff_t channel_step = interleaved ? 1 : plane, pixel_step = interleaved ? e.channels : 1;
    for (int c = 0; c < e.channels; ++c)
        for (int y = begin; y < end; ++y)
            for (int x = 0; x < e.width; ++x) {
                const float value = from[c * channel_step + (std::ptrdiff_t{y} * e.width + x) * pixel_step];
                out.at[c / simd::lanes * out.block + y * out.row + x * simd::lanes + c % simd::lanes] = mean ? (value - mean[c]) / deviation[c] : value;
            }
}

template <>
struct kernel_of<step_kind::load_input> : without_parameters {
    /// A call sets up tables, so there are few.
    static int tasks(const instruction& c) { return simd::smaller(8, simd::row_tasks(extent_of(c.out.of))); }
    static void run(const step_run& s, int first, int last) {
        const void* bytes = s.c.slot >= 0 ? static_cast<const void*>(s.m.arena + s.c.slot) : s.m.inputs[s.c.input];
        const simd::extent e = s.of();
        const float* mean = s.c.normalises ? s.c.values.data() : nullptr;
        const float* deviation = s.c.normalises ? s.c.values.data() + 4 : nullptr;
        const int all = tasks(s.c), rows = simd::row_tasks(e), begin = first * rows / all, end = last * rows / all;
        if (s.c.is_u8) {
            const simd::byte_order order = s.c.flag_a ? simd::byte_order::interleaved : simd::byte_order::planar;
            const std::ptrdiff_t above = std::ptrdiff_t{-s.c.conv.pad_top} * e.width * (s.c.flag_a ? e.channels : 1); // of a chain's band
            simd::bytes_to_blocked(e, static_cast<const std::uint8_t*>(bytes) + above, order, mean, deviation, s.out(), begin, end, s.c.encoded / e.channels, s.c.out.in_quads ? 4 : simd::lanes);
        } else if (!s.c.flag_a && !mean) {
            simd::planar_to_blocked(e, static_cast<const float*>(bytes), s.out(), begin, end);
        } else {
            floats_to_blocked(e, static_cast<const float*>(bytes), s.c.flag_a, mean, deviation, s.out(), first * e.height / all, last * e.height / all);
        }
    }
};
template <>
struct kernel_of<step_kind::copy_channels> : task_a_row_read {
    static void run(const step_run& s, int first, int last) { simd::copy_channels(s.from(), s.in(), 0, s.out(), s.c.offset, first, last); }
};
template <>
struct kernel_of<step_kind::softmax> : one_task {
    static void run(const step_run& s, int, int) { simd::softmax(s.of(), s.in(), s.out(), 0, simd::softmax_tasks(s.of())); }
};
template <>
struct kernel_of<step_kind::flatten> : task_a_row_read {
    static void run(const step_run& s, int first, int last) {
        if (s.c.out.has_halo()) simd::blocked_to_vector(s.from(), s.in(), s.out(), first, last);
        else simd::blocked_to_planar(s.from(), s.in(), s.out().at, first, last);
    }
};
/// A tensor's rows are turned into planes in pieces that stay in the cache, and each piece is coded there: one pass over memory. The range of an
/// affine codec that is not calibrated is found before, on the tensor as it lies; so these codecs' steps are one task. A tensor of bytes travels as it is.
template <>
struct kernel_of<step_kind::encode> {
    static std::size_t packed_floats(const instruction& c) {
        if (c.codec == codec_id::entropy) return packed_prior::most_words(c.in.of.channels, graph::most_prior_columns);
        return c.in.is_u8 ? simd::requantisation_floats : c.payload_range >= 0 ? level_floats : 0;
    }
    static std::size_t packed_floats_of(const instruction& c, const float* weight) { // a prior's first tensor: the lengths of its rows
        return c.codec == codec_id::entropy ? packed_prior::words_of(c.in.of.channels, weight) : packed_floats(c);
    }
    static int tasks(const instruction&) { return 1; }
    static void pack(const instruction& c, const parameters_of_step& p, float* packed) {
        if (c.codec == codec_id::entropy) return packed_prior::pack(p.prior, c.in.of.channels, packed);
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
        if (s.c.codec == codec_id::entropy) { // coded where it leaves (engine::store_payload)
            simd::blocked_to_planar(s.from(), s.in(), reinterpret_cast<float*>(to), 0, simd::row_tasks(s.from()));
            return round_about_medians(packed_prior{s.packed}, s.c.in.of.channels, plane_of(s.c.in.of), reinterpret_cast<float*>(to));
        }
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
    /// Not asked whether they decode: these bytes were written by this frame's own encoder, or `load_payload` has looked at them.
    static void run(const step_run& s, int, int) {
        const std::byte* const from = s.m.arena + s.c.in.at;
        const auto count = static_cast<std::size_t>(s.c.out.of.size());
        if (s.c.out.is_u8) return to_bytes(s, from);
        if (s.c.codec == codec_id::affine8) {
            const affine_parameters p = detail::affine_parameters_in(from);
            return simd::dequantise_blocked(s.of(), reinterpret_cast<const std::uint8_t*>(from + 8), p.scale, static_cast<float>(p.zero_point), s.scratch, s.out());
        }
        if (s.c.codec == codec_id::entropy) return simd::planar_to_blocked(s.of(), reinterpret_cast<const float*>(from), s.out(), 0, simd::row_tasks(s.of()));
        decode_sound(s.c.codec, from, s.scratch, count);
        simd::planar_to_blocked(s.of(), s.scratch, s.out(), 0, simd::row_tasks(s.of()));
    }
};
template <>
struct kernel_of<step_kind::output> : task_a_row_read {
    static void run(const step_run& s, int first, int last) { simd::blocked_to_planar(s.from(), s.in(), s.m.outputs + s.c.offset, first, last); }
};

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
