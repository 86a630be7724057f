// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_layers.hpp
/// Parameters of steps on bytes as the device reads them: the whole numbers that the processor's kernels multiply, in the device's order.
#pragma once

#include <kernels/cudnn/source/all.hpp>
#include <kernels/simd/depthwise_u8.hpp>
#include <splitdsl/gpu/byte_tiles.hpp>
#include <splitdsl/gpu/program.hpp>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

namespace splitdsl::gpu {

using graph::step_kind;

/// Steps that multiply bytes; and those that read or write them and have a `byte_terms`.
constexpr bool multiplies_bytes(step_kind k) { return k == step_kind::conv_u8 || k == step_kind::depthwise_u8 || k == step_kind::dense_u8 || k == step_kind::pointwise_u8; }
constexpr bool pools_bytes(step_kind k) { return k == step_kind::global_pool_u8 || k == step_kind::avg_pool_u8 || k == step_kind::max_pool_u8; }
constexpr bool has_byte_terms(step_kind k) {
    return multiplies_bytes(k) || pools_bytes(k) || k == step_kind::multiply_u8 || k == step_kind::quantise_u8 || k == step_kind::dequantise_u8;
}
/// Whether the device has a kernel for a step. Where it has none for one of a network's, the CPU runs the network.
inline bool is_on_device(const program& p, const step& s) {
    const graph::activation_kind a = s.plan.activation;
    const bool has_curve = a == graph::activation_kind::hard_swish || a == graph::activation_kind::hard_sigmoid;
    const bool rectifies = a == graph::activation_kind::none || a == graph::activation_kind::relu || a == graph::activation_kind::relu6;
    switch (s.plan.kind) {
    case step_kind::depthwise_u8: return s.plan.addend < 0 && (rectifies || has_curve);
    case step_kind::conv_u8:
    case step_kind::pointwise_u8: return rectifies || (has_curve && s.plan.addend < 0);
    case step_kind::multiply_u8: return rectifies || has_curve;
    case step_kind::dense_u8: return !p.buffers[static_cast<std::size_t>(s.plan.out)].is_u8;
    case step_kind::encode: return s.plan.in < 0 || !p.buffers[static_cast<std::size_t>(s.plan.in)].is_u8;        // a tensor's bytes as they are
    case step_kind::decode: return s.plan.out < 0 || !p.buffers[static_cast<std::size_t>(s.plan.out)].is_u8;
    case step_kind::load_u8:
    case step_kind::quantise_u8:
    case step_kind::dequantise_u8:
    case step_kind::max_pool_u8:
    case step_kind::avg_pool_u8:
    case step_kind::global_pool_u8: return true;
    default: return s.plan.kind <= step_kind::output || s.plan.kind == step_kind::branch;
    }
}
constexpr std::size_t fours(int channels) { return (static_cast<std::size_t>(channels) + 3) / 4 * 4; }

/// Bytes of a layer's weights. `in_tiles`: a convolution's, laid out for tensor cores; a dense layer's are the same for both.
inline std::size_t byte_weight_size(const program& p, const step& s, bool in_tiles) {
    const shape &in = p.buffers[static_cast<std::size_t>(s.plan.in)].of, &out = p.buffers[static_cast<std::size_t>(s.plan.out)].of;
    const std::size_t window = static_cast<std::size_t>(s.from.kernel.height) * static_cast<std::size_t>(s.from.kernel.width);
    if (s.plan.kind == step_kind::depthwise_u8) return window * fours(out.channels);
    if (s.plan.kind == step_kind::dense_u8) return static_cast<std::size_t>(out.channels) * sixty_fours(static_cast<std::size_t>(in.channels));
    if (s.plan.kind == step_kind::pointwise_u8) return 4 * fours(in.channels);
    if (in_tiles) return static_cast<std::size_t>(out.channels) * tile_depth(p, s);
    return window * fours(in.channels) * fours(out.channels);
}

/// Where one step's numbers lie.
struct byte_places {
    std::byte *weight{}, *bias{}, *factor{}, *terms{};
};

namespace detail {

namespace simd = kernels::simd;

inline simd::byte_scale byte_scale_of(const step& s, const program& p, int buffer, const float* const* parameters) {
    const int range = buffer < 0 ? -1 : p.buffers[static_cast<std::size_t>(buffer)].range;
    if (range < 0) return {};
    const float* const ranges = parameters[s.ranges];
    return simd::byte_scale_of(ranges[2 * range], ranges[2 * range + 1]);
}

/// A batch norm as it is folded for the processor: computed in double and rounded once.
struct folded_norm {
    std::vector<float> scale, shift;
    folded_norm(const step& s, int channels, const float* const* parameters) {
        const float* const* const n = parameters + s.norm_parameters;       // weight, bias, running mean, running variance
        const float* const bias = s.has_bias && s.plan.kind != step_kind::pointwise_u8 ? parameters[s.parameters + 1] : nullptr;
        for (int c = 0; c < channels; ++c) {
            const double by = static_cast<double>(n[0][c]) / std::sqrt(static_cast<double>(n[3][c]) + static_cast<double>(s.epsilon));
            scale.push_back(static_cast<float>(by));
            shift.push_back(static_cast<float>(static_cast<double>(n[1][c]) + ((bias ? static_cast<double>(bias[c]) : 0.0) - static_cast<double>(n[2][c])) * by));
        }
    }
};

inline void put_terms(std::byte* to, const cudnn::byte_terms& t) { std::memcpy(to, &t, sizeof t); }

inline void lay_out_conversion(const program& p, const step& s, const float* const* parameters, const byte_places& to) {
    const simd::byte_scale in = byte_scale_of(s, p, s.plan.in, parameters), out = byte_scale_of(s, p, s.plan.out, parameters);
    cudnn::byte_terms t{};
    if (s.plan.kind == step_kind::quantise_u8) {
        t.zero = out.zero, t.addend_factor = static_cast<float>(1.0 / static_cast<double>(out.scale));
    } else if (s.plan.kind == step_kind::dequantise_u8) {
        t.zero = in.zero, t.addend_factor = in.scale;
    } else if (s.plan.kind == step_kind::multiply_u8) {
        const simd::byte_scale factors = byte_scale_of(s, p, s.plan.in2, parameters);
        simd::byte_layer l;
        l.out = out, l.act = static_cast<simd::activation>(s.plan.activation);
        const simd::requantisation r = simd::requantisation_of(l);
        const double scale = static_cast<double>(in.scale) * static_cast<double>(factors.scale), ratio = scale / static_cast<double>(out.scale), bounded = ratio < 1e4 ? ratio : 1e4;
        t = {r.zero, r.low, r.high, in.zero, static_cast<float>(simd::has_curve(l.act) ? bounded * static_cast<double>(out.scale) : bounded), static_cast<unsigned>(factors.zero), static_cast<int>(r.curve), r.curve_factor};
    } else {
        const shape& from = p.buffers[static_cast<std::size_t>(s.plan.in)].of;
        const int pixels = s.plan.kind == step_kind::global_pool_u8 ? from.height * from.width : 1;
        const double factor = static_cast<double>(in.scale) / (static_cast<double>(out.scale) * pixels);
        t.zero = out.zero, t.high = 255, t.addend_zero = in.zero, t.addend_factor = static_cast<float>(factor < 1e6 ? factor : 1e6);
    }
    put_terms(to.terms, t);
}

/// The bytes that stand for 0 around a layer's input: of a picture, another one for each channel.
inline unsigned bytes_around(const simd::byte_layer& l) {
    unsigned four = 0;
    for (unsigned c = 0; c < 4; ++c) {
        const float zero = l.in_zero[l.per_channel ? c : 0];
        four |= static_cast<unsigned>(std::nearbyint(zero > 0 ? (zero < 255 ? zero : 255.0F) : 0.0F)) << (8 * c);
    }
    return four;
}

inline void lay_out_layer(const program& p, const step& s, bool in_tiles, const float* const* parameters, const byte_places& to) {
    const graph::buffer &from = p.buffers[static_cast<std::size_t>(s.plan.in)], &result = p.buffers[static_cast<std::size_t>(s.plan.out)];
    const bool is_alone = s.plan.kind == step_kind::pointwise_u8;
    const int outputs = is_alone ? from.of.channels : result.of.channels;
    std::vector<float> scale, bias;
    simd::byte_layer l;
    if (!is_alone) l.weight = parameters[s.parameters], l.bias = s.has_bias ? parameters[s.parameters + 1] : nullptr;
    if (s.norm_parameters >= 0) {
        folded_norm norm(s, outputs, parameters);
        scale = std::move(norm.scale), bias = std::move(norm.shift);
        l.scale = scale.data(), l.bias = bias.data();
    }
    if (from.range < 0) {           // a picture: byte / 255, less the mean, over the deviation
        l.per_channel = true;
        for (std::size_t c = 0; c < 4; ++c) {
            l.in_scale[c] = static_cast<float>(1.0 / (255.0 * static_cast<double>(s.picture[4 + c])));
            l.in_zero[c] = 255 * s.picture[c];
        }
    } else {
        const simd::byte_scale in = byte_scale_of(s, p, s.plan.in, parameters);
        l.in_scale[0] = in.scale, l.in_zero[0] = static_cast<float>(in.zero);
    }
    if (result.is_u8) l.act = static_cast<simd::activation>(s.plan.activation);
    else l.to_floats = true;
    if (result.is_u8 && !is_alone) l.shift = parameters[s.ranges + 1] + s.shift;
    l.out = byte_scale_of(s, p, s.plan.out, parameters);
    l.addend = byte_scale_of(s, p, s.plan.addend, parameters);
    const simd::requantisation r = simd::requantisation_of(l);
    put_terms(to.terms, {r.zero, r.low, r.high, r.addend_zero, r.addend_factor, bytes_around(l), static_cast<int>(r.curve), r.curve_factor});
    const auto put_sums = [&](int o, const simd::byte_sums& b) {
        std::memcpy(to.bias + 4 * static_cast<std::size_t>(o), &b.bias, 4);
        std::memcpy(to.factor + 4 * static_cast<std::size_t>(o), &b.factor, 4);
    };
    for (int c = 0; is_alone && c < outputs; ++c) {         // as pack_pointwise_u8
        const double real = static_cast<double>(l.in_scale[0]) * (l.scale ? static_cast<double>(l.scale[c]) : 1.0);
        const double step = simd::step_beside(l, c, std::abs(real) > 1e-30 ? std::abs(real) / 16384 : 1e-30), whole = std::nearbyint(real / step);
        const auto multiplier = static_cast<std::int32_t>(whole);
        std::memcpy(to.weight + 4 * static_cast<std::size_t>(c), &multiplier, 4);
        put_sums(c, simd::byte_sums_of(l, c, step, 0, whole * static_cast<double>(l.in_zero[0]), std::abs(whole)));
    }
    if (is_alone) return;

    const bool is_deep = s.plan.kind == step_kind::depthwise_u8;
    const int inputs = is_deep ? 1 : from.of.channels, taps = s.plan.kind == step_kind::dense_u8 ? 1 : s.from.kernel.height * s.from.kernel.width;
    const auto place_of = [&](int o, int c, int tap) -> std::size_t {
        const auto output = static_cast<std::size_t>(o), input = static_cast<std::size_t>(c), at = static_cast<std::size_t>(tap);
        if (is_deep) return at * fours(outputs) + output;
        if (s.plan.kind == step_kind::dense_u8) return output * sixty_fours(static_cast<std::size_t>(inputs)) + input;
        if (in_tiles) return output * tile_depth(p, s) + at * static_cast<std::size_t>(tap_bytes(p, s)) + input;
        return ((at * fours(inputs) / 4 + input / 4) * fours(outputs) + output) * 4 + input % 4;
    };
    for (int o = 0; o < outputs; ++o) {
        const simd::byte_weights w{l, inputs, taps, o};
        const double step = simd::step_beside(l, o, is_deep ? simd::depthwise_step(w, s.from.kernel.height) : simd::weight_step(w));
        double zeros = 0, sizes = 0;
        for (int t = 0; t < taps; ++t)
            for (int c = 0; c < inputs; ++c) {
                const int q = w.rounded(c, t, step);
                zeros += q * static_cast<double>(l.in_zero[l.per_channel ? c : 0]), sizes += q < 0 ? -q : q;
                to.weight[place_of(o, c, t)] = static_cast<std::byte>(static_cast<std::int8_t>(q));
            }
        // A bias as if bytes were not moved by an instruction set's centre: no weights are summed up.
        put_sums(o, simd::byte_sums_of(l, o, step, 0, zeros, sizes));
    }
}

} // namespace detail

/// `to`: zeroed. `parameters`: as `pipeline::pack` gets them. `in_tiles`: as `runs_in_tiles` says.
inline void lay_out_bytes(const program& p, const step& s, bool in_tiles, const float* const* parameters, const byte_places& to) {
    if (multiplies_bytes(s.plan.kind)) detail::lay_out_layer(p, s, in_tiles, parameters, to);
    else detail::lay_out_conversion(p, s, parameters, to);
}

} // namespace splitdsl::gpu
