// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file reference_run.hpp
/// Runs a declared network op by op with the reference kernels: slow, unfused, and the yardstick for every other tier.
#pragma once

#include <kernels/reference/reference.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <splitdsl/codec/entropy_bottleneck.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace splitdsl {

/// Parameters by their full names, as planar f32.
using parameter_map = std::map<std::string, std::vector<float>>;

namespace detail {

class reference_runner {
public:
    reference_runner(const graph::description& of, const parameter_map& with) : d(of), weights(with) {}

    /// `inputs`: raw bytes of each input by name. Returns every op's value (empty where it was not computed).
    std::vector<kernels::reference::planar> run(const std::map<std::string, const void*>& inputs) {
        values.assign(d.ops.size(), {});
        for (std::size_t i = 0; i < d.ops.size(); ++i) {
            if (d.target[i] != static_cast<int>(i) || !d.used[i] || graph::is_alias(d.ops[i].kind)) continue;
            values[i] = one(i, inputs);
        }
        return std::move(values);
    }

private:
    using planar = kernels::reference::planar;
    const graph::description& d;
    const parameter_map& weights;
    std::vector<planar> values;

    const float* weight(std::size_t i, const char* which) const {
        const auto found = weights.find(graph::full_name(d, i) + (*which ? "." : "") + which);
        return found == weights.end() ? nullptr : found->second.data();
    }

    /// As CompressAI quantises: to the nearest whole number from the median, ties to even, limited as the codec limits it.
    static planar rounded(const planar& in, const std::vector<float>& quantiles) {
        planar out = in;
        const std::size_t plane = in.data.size() / static_cast<std::size_t>(in.channels);
        for (std::size_t k = 0; k < in.data.size(); ++k) {
            const float median = quantiles[k / plane * 3 + 1], steps = std::nearbyint(in.data[k] - median), most = static_cast<float>(most_steps);
            out.data[k] = (std::isnan(steps) ? 0 : std::clamp(steps, -most, most)) + median;
        }
        return out;
    }
    planar load(std::size_t i, const std::map<std::string, const void*>& inputs) const {
        const op& o = d.ops[i];
        const auto found = inputs.find(std::string(o.label));
        if (found == inputs.end()) throw option_error("reference run: input \"" + std::string(o.label) + "\" is missing");
        planar x(o.size.channels, o.size.height, o.size.width);
        for (int c = 0; c < x.channels; ++c)
            for (int y = 0; y < x.height; ++y)
                for (int k = 0; k < x.width; ++k) {
                    const std::size_t at = has(o.flags, op_flag::is_hwc) ? (static_cast<std::size_t>(y) * static_cast<std::size_t>(x.width) + static_cast<std::size_t>(k)) * static_cast<std::size_t>(x.channels) + static_cast<std::size_t>(c)
                                                                       : (static_cast<std::size_t>(c) * static_cast<std::size_t>(x.height) + static_cast<std::size_t>(y)) * static_cast<std::size_t>(x.width) + static_cast<std::size_t>(k);
                    x.at(c, y, k) = o.element == element_type::u8 ? static_cast<float>(static_cast<const unsigned char*>(found->second)[at]) : static_cast<const float*>(found->second)[at];
                }
        return x;
    }

    /// A stream at its largest size: what the cloud sees when all of it has arrived.
    static planar pooled(const op& o, const planar& in) {
        const pool_ladder ladder = graph::pooled_sizes(o, {in.channels, in.height, in.width}).ladder;
        dynamic_pool_encoder from{ladder};
        from.pool(in.data.data());
        dynamic_pool_decoder to{ladder};
        for (int l = 0; l < ladder.levels; ++l) (void)to.take(l, from.encode(l));
        planar out(in.channels, ladder.rows(ladder.levels - 1), ladder.columns(ladder.levels - 1));
        to.rebuild(ladder.levels - 1, out.data.data());
        return out;
    }

    planar one(std::size_t i, const std::map<std::string, const void*>& inputs) {
        namespace k = kernels::reference;
        const op& o = d.ops[i];
        if (o.kind == op_kind::input) return load(i, inputs);
        if (o.kind == op_kind::sizes) { // everything has arrived
            planar all(1, 1, 1);
            all.data[0] = static_cast<float>(o.groups * o.out - 1);
            return all;
        }
        const planar& in = values[static_cast<std::size_t>(d.a[i])];
        const shape s = d.out[i];
        const k::window w{o.kernel.height, o.kernel.width, o.stride.height, o.stride.width, o.pad.top, o.pad.left, o.dilation.height, o.dilation.width, o.groups};
        const auto map = [&](auto f) {
            planar out = in;
            for (float& x : out.data) x = f(x);
            return out;
        };
        switch (o.kind) {
        case op_kind::normalise: {
            const bool raw = d.ops[static_cast<std::size_t>(d.a[i])].element == element_type::u8 && d.ops[static_cast<std::size_t>(d.a[i])].kind == op_kind::input;
            planar out = in;
            for (int c = 0; c < out.channels; ++c)
                for (int y = 0; y < out.height; ++y)
                    for (int x = 0; x < out.width; ++x)
                        out.at(c, y, x) = ((raw ? out.at(c, y, x) / 255.0F : out.at(c, y, x)) - o.values[static_cast<std::size_t>(c)]) / o.values[static_cast<std::size_t>(4 + c)];
            return out;
        }
        case op_kind::conv: return k::conv(in, s.channels, s.height, s.width, w, weight(i, "weight"), d.has_bias[i] ? weight(i, "bias") : nullptr);
        case op_kind::conv_transpose: return k::conv_transpose(in, s.channels, s.height, s.width, w, weight(i, "weight"), d.has_bias[i] ? weight(i, "bias") : nullptr);
        case op_kind::dense: return k::dense(in, s.channels, weight(i, "weight"), d.has_bias[i] ? weight(i, "bias") : nullptr);
        case op_kind::batch_norm: return k::batch_norm(in, weight(i, "weight"), weight(i, "bias"), weight(i, "running_mean"), weight(i, "running_var"), o.values[0]);
        case op_kind::relu: return map(k::relu);
        case op_kind::relu6: return map(k::relu6);
        case op_kind::leaky_relu: return map([&](float x) { return k::leaky_relu(x, o.values[0]); });
        case op_kind::hard_swish: return map(k::hard_swish);
        case op_kind::hard_sigmoid: return map(k::hard_sigmoid);
        case op_kind::sigmoid: return map(k::sigmoid);
        case op_kind::tanh: return map(k::tanh);
        case op_kind::softmax: return k::softmax(in);
        case op_kind::max_pool: return k::pool(in, k::pooling::maximum, s.height, s.width, w, o.pad.bottom, o.pad.right, false);
        case op_kind::avg_pool: return k::pool(in, k::pooling::average, s.height, s.width, w, o.pad.bottom, o.pad.right, has(o.flags, op_flag::count_include_pad));
        case op_kind::global_pool: return k::global_pool(in);
        case op_kind::upsample: return k::upsample(in, s.height, s.width, has(o.flags, op_flag::bilinear), has(o.flags, op_flag::align_corners));
        case op_kind::pad: return k::pad(in, o.pad.top, o.pad.left, o.pad.bottom, o.pad.right, o.values[0]);
        case op_kind::pad_channels: return k::pad_channels(in, o.size.channels, o.out);
        case op_kind::l2_normalise: return k::l2_normalise(in, weight(i, ""), o.values[0]);
        case op_kind::slice_channels: return k::slice_channels(in, o.size.channels, o.out);
        case op_kind::radix_softmax: return k::radix_softmax(in, o.size.channels, o.groups);
        case op_kind::gdn: return k::gdn(in, weight(i, "gamma"), weight(i, "beta"), has(o.flags, op_flag::squared), has(o.flags, op_flag::inverse));
        case op_kind::subsample: return k::subsample(in, o.stride.height, o.stride.width);
        case op_kind::flatten: {
            planar out = in;
            out.channels = static_cast<int>(out.data.size());
            out.height = out.width = 1;
            return out;
        }
        case op_kind::add: return k::add(in, values[static_cast<std::size_t>(d.b[i])]);
        case op_kind::multiply: return k::multiply(in, values[static_cast<std::size_t>(d.b[i])]);
        case op_kind::concat: return k::concat(in, values[static_cast<std::size_t>(d.b[i])]);
        case op_kind::select: {
            const std::vector<int> from = graph::writing::operands(d, i);
            const int command = static_cast<int>(values[static_cast<std::size_t>(from[0])].data[0]);
            if (command < 0 || command >= o.out) throw option_error("reference run: command " + std::to_string(command) + " is outside [0, " + std::to_string(o.out) + ")");
            return values[static_cast<std::size_t>(from[static_cast<std::size_t>(command) + 1])];
        }
        case op_kind::quantise: {
            if (graph::is_pooled(o)) return pooled(o, in);
            if (graph::has_prior(o)) return rounded(in, weights.at(graph::prior_name(graph::full_name(d, i), 2)));
            std::vector<std::byte> coded(encoded_bytes(o.codec, in.data.size()));
            planar out = in;
            if (graph::has_range(o)) {
                const float* const range = weights.at(std::string(o.label) + ".range").data();
                encode_calibrated(o.codec, {range[0], range[1], true}, in.data.data(), in.data.size(), coded.data());
            } else encode(o.codec, in.data.data(), in.data.size(), coded.data());
            decode_sound(o.codec, coded.data(), out.data.data(), out.data.size());
            return out;
        }
        default: return in;
        }
    }
};

} // namespace detail

/// Every output's values (tasks or the result first, then early exits), one after another, as `pipeline::run` gives them.
inline std::vector<float> run_reference(const graph::description& d, const parameter_map& weights, const std::map<std::string, const void*>& inputs) {
    const auto values = detail::reference_runner(d, weights).run(inputs);
    std::vector<float> out;
    const auto add = [&](int op) { out.insert(out.end(), values[static_cast<std::size_t>(op)].data.begin(), values[static_cast<std::size_t>(op)].data.end()); };
    if (d.tasks == 0) add(d.result);
    for (const bool exits : {false, true})
        for (std::size_t i = 0; i < d.ops.size(); ++i)
            if (d.ops[i].kind == op_kind::output && has(d.ops[i].flags, op_flag::is_exit) == exits) add(d.a[i]);
    return out;
}

} // namespace splitdsl
