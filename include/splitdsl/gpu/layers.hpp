// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layers.hpp
/// What all frames of a network share on a device: where buffers lie in an arena, which convolution runs how, and the parameters.
#pragma once

#include <kernels/cudnn/device.hpp>
#include <splitdsl/codec/half.hpp>
#include <splitdsl/gpu/program.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace splitdsl::gpu {

namespace cudnn = kernels::cudnn;
using graph::step_kind;

/// How numbers lie in memory and are multiplied. Sums are always in 32 bits.
enum class precision : std::uint8_t {
    f32,        ///< 32-bit floats throughout
    tf32,       ///< 32-bit floats in memory; cuDNN may round a product's operands to 10 bits of mantissa
    f16         ///< 16-bit floats in memory
};
constexpr const char* name_of(precision p) {
    constexpr const char* names[]{"f32", "tf32", "f16"};
    return names[static_cast<int>(p)];
}

/// Bytes of each buffer and their places in one arena: first fit in order of birth, as `graph::plan_memory`, for interleaved tensors.
struct arena_plan {
    std::vector<std::size_t> offset;
    std::size_t bytes{};
};
inline arena_plan plan_arena(const program& p, std::size_t element_bytes) {
    struct live_buffer {
        std::size_t begin, end;
        int last;
    };
    arena_plan plan;
    std::vector<live_buffer> live;              // sorted by place
    for (const graph::buffer& b : p.buffers) {
        const std::size_t wanted = b.is_bytes ? static_cast<std::size_t>(b.bytes) : static_cast<std::size_t>(b.of.size()) * element_bytes;
        const std::size_t bytes = (wanted + 255) / 256 * 256 + 256;
        std::erase_if(live, [&](const live_buffer& x) { return x.last < b.first; });
        std::size_t at = 0;
        auto where = live.begin();
        for (; where != live.end() && where->begin - at < bytes; ++where) at = std::max(at, where->end);
        live.insert(where, {at, at + bytes, b.last});
        plan.offset.push_back(at);
        plan.bytes = std::max(plan.bytes, at + bytes);
    }
    return plan;
}

constexpr bool is_dense_conv(step_kind k) {
    return k == step_kind::conv || k == step_kind::grouped_conv || k == step_kind::winograd_2x2 || k == step_kind::winograd_4x4 || k == step_kind::winograd_4x4_strided ||
           k == step_kind::winograd_3x3_strided;
}
constexpr bool has_weight(step_kind k) {
    return is_dense_conv(k) || k == step_kind::depthwise || k == step_kind::conv_transpose || k == step_kind::dense || k == step_kind::l2_normalise;
}
constexpr bool has_shift(step_kind k) { return (has_weight(k) && k != step_kind::l2_normalise) || k == step_kind::affine; }

/// One step's share: bytes from the parameters' begin, and cuDNN's plan if it runs the convolution.
struct layer {
    std::size_t weight{}, weight_values{};
    std::size_t scale{}, shift{}, channels{};   ///< of 32-bit floats; a bias is a shift
    std::shared_ptr<const cudnn::convolution_plan> plan{};     ///< null: our own kernels
    bool plan_ends{}, plan_shifts{};            ///< it also activates; it also adds bias and addend
};

/// A program laid out for a device.
class layers {
public:
    layers(const cudnn::device& on, const program& of, precision how) : gpu{on}, p{of}, as{how}, memory{plan_arena(of, cudnn::bytes_of(element()))} {
        std::size_t end = 0;
        const auto take = [&](std::size_t bytes) {
            const std::size_t at = end;
            end += (bytes + 255) / 256 * 256;
            return at;
        };
        for (const step& s : p.steps) {
            layer& l = list.emplace_back();
            const step_kind k = s.plan.kind;
            if (has_shift(k)) {
                l.channels = static_cast<std::size_t>(out_of(s).channels);
                l.shift = take(4 * l.channels);
                if (k == step_kind::affine) l.scale = take(4 * l.channels);
            }
            if (has_weight(k)) {
                l.weight_values = weight_count(s);
                l.weight = take(l.weight_values * (k == step_kind::l2_normalise ? 4 : cudnn::bytes_of(element())));
            }
            if (is_dense_conv(k) && gpu.network_handle()) plan_convolution(s, l);
            if (l.plan) work = std::max(work, static_cast<std::size_t>(l.plan->workspace()));
        }
        parameter_bytes = end;
    }

    const program& of() const { return p; }
    const arena_plan& arena() const { return memory; }
    const layer& at(std::size_t step) const { return list[step]; }
    std::size_t workspace() const { return work; }
    cudnn::element element() const { return as == precision::f16 ? cudnn::element::f16 : cudnn::element::f32; }
    shape in_of(const step& s) const { return p.buffers[static_cast<std::size_t>(s.plan.in)].of; }
    shape out_of(const step& s) const { return p.buffers[static_cast<std::size_t>(s.plan.out)].of; }
    /// Convolutions that cuDNN runs, and those it was asked to.
    int planned() const { return static_cast<int>(std::count_if(list.begin(), list.end(), [](const layer& l) { return l.plan != nullptr; })); }
    int convolutions() const { return static_cast<int>(std::count_if(p.steps.begin(), p.steps.end(), [](const step& s) { return is_dense_conv(s.plan.kind); })); }

    /// The parameters as the device reads them. `parameters`: as `pipeline::pack` gets them.
    std::vector<std::byte> lay_out(const float* const* parameters) const {
        std::vector<std::byte> to(parameter_bytes);
        for (std::size_t i = 0; i < p.steps.size(); ++i) lay_out(p.steps[i], list[i], parameters, to.data());
        return to;
    }

    cudnn::convolution_shape convolution_of(const step& s) const {
        const shape in = in_of(s), out = out_of(s);
        const op& o = s.from;
        return {.in_channels = in.channels, .in_height = in.height, .in_width = in.width, .out_channels = out.channels, .out_height = out.height, .out_width = out.width,
                .kernel_h = o.kernel.height, .kernel_w = o.kernel.width, .stride_h = o.stride.height, .stride_w = o.stride.width, .pad_top = o.pad.top, .pad_left = o.pad.left,
                .pad_bottom = o.pad.bottom, .pad_right = o.pad.right, .dilation_h = o.dilation.height, .dilation_w = o.dilation.width, .groups = o.groups,
                .half = as == precision::f16, .tensor_cores = as != precision::f32, .slope = s.plan.slope};
    }

private:
    std::size_t weight_count(const step& s) const {
        const op& o = s.from;
        const std::size_t in = static_cast<std::size_t>(in_of(s).channels), out = static_cast<std::size_t>(out_of(s).channels);
        const std::size_t window = static_cast<std::size_t>(o.kernel.height) * static_cast<std::size_t>(o.kernel.width);
        switch (s.plan.kind) {
        case step_kind::dense: return in * out;
        case step_kind::depthwise: return out * window;
        case step_kind::l2_normalise: return in;
        default: return in / static_cast<std::size_t>(o.groups) * out * window;
        }
    }

    /// Everything in one graph if cuDNN can; else without the activation; else the sums alone. What is left, `combine` does in place.
    void plan_convolution(const step& s, layer& l) {
        cudnn::convolution_shape c = convolution_of(s);
        const int activation = static_cast<int>(s.plan.activation);
        const auto attempt = [&](bool shifts, bool ends) {
            c.has_bias = shifts;
            c.has_addend = shifts && s.plan.addend >= 0;
            c.activation = ends ? activation : 0;
            l.plan = gpu.plan_for(c);
            if (!l.plan->valid()) l.plan = nullptr;
            l.plan_shifts = shifts, l.plan_ends = ends;
            return l.plan != nullptr;
        };
        if (cudnn::fuses(activation) && attempt(true, true)) return;
        if (activation != 0 && attempt(true, false)) return;
        attempt(false, false);
    }

    void lay_out(const step& s, const layer& l, const float* const* parameters, std::byte* to) const {
        if (!has_shift(s.plan.kind) && !has_weight(s.plan.kind)) return;
        const step_kind k = s.plan.kind;
        const op& o = s.from;
        const bool is_norm = k == step_kind::affine;
        std::vector<double> scale(l.channels, 1.0), shift(l.channels, 0.0);
        if (is_norm && s.norm_parameters < 0) {             // a normalise behind another op: (x - mean) / deviation
            for (std::size_t c = 0; c < l.channels; ++c) {
                scale[c] = 1.0 / static_cast<double>(o.values[4 + c]);
                shift[c] = -static_cast<double>(o.values[c]) / static_cast<double>(o.values[4 + c]);
            }
        } else if (has_shift(k)) {
            const float* const bias = !is_norm && s.has_bias ? parameters[s.parameters + 1] : nullptr;
            for (std::size_t c = 0; c < l.channels; ++c) {
                if (bias) shift[c] = static_cast<double>(bias[c]);
                if (s.norm_parameters < 0) continue;
                const float* const* const n = parameters + s.norm_parameters;       // weight, bias, running mean, running variance
                scale[c] = static_cast<double>(n[0][c]) / std::sqrt(static_cast<double>(n[3][c]) + static_cast<double>(s.epsilon));
                shift[c] = static_cast<double>(n[1][c]) + (shift[c] - static_cast<double>(n[2][c])) * scale[c];
            }
        }
        for (std::size_t c = 0; c < l.channels; ++c) {
            put_float(to + l.shift, c, static_cast<float>(shift[c]));
            if (is_norm) put_float(to + l.scale, c, static_cast<float>(scale[c]));
        }
        if (!has_weight(k)) return;
        const float* const w = parameters[s.parameters];
        const std::size_t in = static_cast<std::size_t>(in_of(s).channels / (k == step_kind::dense || k == step_kind::l2_normalise ? 1 : o.groups));
        const std::size_t out = static_cast<std::size_t>(out_of(s).channels), window = static_cast<std::size_t>(o.kernel.height) * static_cast<std::size_t>(o.kernel.width);
        const auto put = [&](std::size_t at, float value, std::size_t channel) {
            value = static_cast<float>(static_cast<double>(value) * scale[channel]);
            if (as == precision::f16) {
                const std::uint16_t h = half_from_float(value);
                std::memcpy(to + l.weight + 2 * at, &h, 2);
            } else {
                put_float(to + l.weight, at, value);
            }
        };
        if (k == step_kind::l2_normalise) {
            for (std::size_t c = 0; c < in; ++c) put_float(to + l.weight, c, w[c]);
        } else if (k == step_kind::dense) {
            for (std::size_t u = 0; u < out; ++u)
                for (std::size_t c = 0; c < in; ++c) put(u * in + c, w[u * in + c], u);
        } else if (k == step_kind::depthwise) {
            for (std::size_t c = 0; c < out; ++c)
                for (std::size_t x = 0; x < window; ++x) put(x * out + c, w[c * window + x], c);
        } else if (k == step_kind::conv_transpose) {        // PyTorch's (in, out, row, column)
            for (std::size_t c = 0; c < in; ++c)
                for (std::size_t u = 0; u < out; ++u)
                    for (std::size_t x = 0; x < window; ++x) put((x * out + u) * in + c, w[(c * out + u) * window + x], u);
        } else {
            for (std::size_t u = 0; u < out; ++u)
                for (std::size_t c = 0; c < in; ++c)
                    for (std::size_t x = 0; x < window; ++x) put((u * window + x) * in + c, w[(u * in + c) * window + x], u);
        }
    }
    static void put_float(std::byte* to, std::size_t at, float value) { std::memcpy(to + 4 * at, &value, 4); }

    const cudnn::device& gpu;
    const program& p;
    precision as;
    arena_plan memory;
    std::vector<layer> list;
    std::size_t parameter_bytes{}, work{};
};

} // namespace splitdsl::gpu
