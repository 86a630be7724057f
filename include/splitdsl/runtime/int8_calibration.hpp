// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file int8_calibration.hpp
/// Finds what an `int8` network needs beside its weights: each tensor's range and each channel's shift, from pictures; and says how far layers go wrong.
#pragma once

#include <splitdsl/graph/int8.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl {

struct int8_options {
    std::size_t shift_inputs{50};   ///< so many of the inputs, evenly chosen, show the shifts: they all run once a layer
    const task_runner* workers{};
};

/// How far a tensor of the int8 network is from that of the f32 network, with the shifts.
struct int8_error {
    std::string name;           ///< of the layer, as its weights are named; of what is made of several, the last one's
    shape of{};
    float low{}, high{};
    double error{};             ///< root of the mean square difference over that of the values
};

struct int8_calibration {
    std::vector<float> ranges;  ///< "int8.ranges": the least and the largest value of each tensor
    std::vector<float> shifts;  ///< "int8.shifts": for each channel of each tensor
    std::vector<int8_error> errors;
};

namespace detail {

/// The tensors of an `observed` network, one run after another.
class observed_tensors {
public:
    observed_tensors(const pipeline& net, std::span<const shape> tensors_, const task_runner* workers_)
        : runs{net}, tensors{tensors_}, workers{workers_}, packed{net.packed_bytes}, arena{net.arena_bytes}, outputs(net.output_floats) {
        behind = outputs.size();
        for (const shape& t : tensors) behind -= static_cast<std::size_t>(t.size());
    }
    void pack(const std::vector<std::vector<float>>& values) {
        std::vector<const float*> pointers;
        for (const auto& v : values) pointers.push_back(v.data());
        runs.pack(pointers.data(), packed.data());
    }
    void run(const void* const* inputs) { runs.run({arena.data(), packed.data(), inputs, outputs.data(), workers}, 0, runs.stages, nullptr); }
    /// visit(number, shape, planar values)
    template <class Visit>
    void each(Visit&& visit) const {
        const float* at = outputs.data() + behind;
        for (std::size_t k = 0; k < tensors.size(); ++k) {
            visit(k, tensors[k], at);
            at += tensors[k].size();
        }
    }

private:
    const pipeline& runs;
    std::span<const shape> tensors;
    const task_runner* workers;
    aligned_buffer packed, arena;
    std::vector<float> outputs;
    std::size_t behind{};
};

struct calibrated_network {
    const pipeline &in_floats, &in_bytes;
    std::vector<shape> tensors;
    std::vector<std::string> names;
    std::vector<char> shifts;       ///< whether a tensor is a layer's, which has biases
};

inline int8_calibration calibrate_int8(const calibrated_network& net, const std::vector<std::vector<float>>& values, std::span<const std::vector<const void*>> inputs, const int8_options& o) {
    if (inputs.empty()) throw option_error("calibration: at least one input was expected, found none");
    const std::size_t count = net.tensors.size();
    std::vector<std::size_t> first(count + 1);
    for (std::size_t k = 0; k < count; ++k) first[k + 1] = first[k] + static_cast<std::size_t>(net.tensors[k].channels);
    int8_calibration c;
    c.ranges.resize(2 * count);
    c.shifts.resize(first[count]);
    const auto add_means = [&](const observed_tensors& of, std::vector<double>& means, std::size_t begin, std::size_t end, std::size_t runs) {
        of.each([&](std::size_t k, const shape& s, const float* at) {
            if (k < begin || k >= end) return;
            const std::size_t plane = static_cast<std::size_t>(s.height) * static_cast<std::size_t>(s.width);
            for (std::size_t channel = first[k]; channel < first[k + 1]; ++channel, at += plane) {
                double sum = 0;
                for (std::size_t i = 0; i < plane; ++i) sum += static_cast<double>(at[i]);
                means[channel] += sum / static_cast<double>(plane * runs);
            }
        });
    };
    observed_tensors floats{net.in_floats, net.tensors, o.workers}, bytes{net.in_bytes, net.tensors, o.workers};
    floats.pack(values);
    std::vector<double> wanted(first[count]), squares(count);
    const std::size_t chosen = std::min(inputs.size(), std::max<std::size_t>(o.shift_inputs, 1));
    const auto is_chosen = [&](std::size_t n) { return n * chosen / inputs.size() != (n + 1) * chosen / inputs.size(); };
    for (std::size_t n = 0; n < inputs.size(); ++n) {
        floats.run(inputs[n].data());
        floats.each([&](std::size_t k, const shape& s, const float* at) {
            double sum = 0;
            for (std::int64_t i = 0; i < s.size(); ++i) {
                c.ranges[2 * k] = std::min(c.ranges[2 * k], at[i]), c.ranges[2 * k + 1] = std::max(c.ranges[2 * k + 1], at[i]);
                sum += static_cast<double>(at[i]) * static_cast<double>(at[i]);
            }
            squares[k] += sum / (static_cast<double>(s.size()) * static_cast<double>(inputs.size()));
        });
        if (is_chosen(n)) add_means(floats, wanted, 0, count, chosen);
    }
    std::vector<std::vector<float>> all = values;
    all.push_back(c.ranges);
    all.push_back(c.shifts);
    // From the front, one layer a pass: its mean is mended when those before it are.
    for (std::size_t k = 0; k < count; ++k) {
        if (!net.shifts[k]) continue;
        bytes.pack(all);
        std::vector<double> found(first[count]);
        for (std::size_t n = 0; n < inputs.size(); ++n) {
            if (!is_chosen(n)) continue;
            bytes.run(inputs[n].data());
            add_means(bytes, found, k, k + 1, chosen);
        }
        for (std::size_t channel = first[k]; channel < first[k + 1]; ++channel) all.back()[channel] = static_cast<float>(wanted[channel] - found[channel]);
    }
    c.shifts = all.back();
    bytes.pack(all);
    std::vector<double> differences(count);
    for (const auto& input : inputs) {
        floats.run(input.data());
        bytes.run(input.data());
        std::vector<const float*> wants;
        floats.each([&](std::size_t, const shape&, const float* at) { wants.push_back(at); });
        bytes.each([&](std::size_t k, const shape& s, const float* at) {
            for (std::int64_t i = 0; i < s.size(); ++i) {
                const double d = static_cast<double>(at[i]) - static_cast<double>(wants[k][i]);
                differences[k] += d * d / (static_cast<double>(s.size()) * static_cast<double>(inputs.size()));
            }
        });
    }
    for (std::size_t k = 0; k < count; ++k)
        c.errors.push_back({net.names[k], net.tensors[k], c.ranges[2 * k], c.ranges[2 * k + 1], std::sqrt(differences[k] / std::max(squares[k], 1e-30))});
    return c;
}

} // namespace detail

/// `Network`: an `int8`, whose two `observed` forms are compiled here or by splitdsl_add_pipeline. `values`: the f32 network's, in the order of
/// `parameters<Network::calibrated>()`. `inputs`: raw, as the network takes them. A hundred that resemble what the network will see are plenty.
///
/// Cost: every input runs in f32 twice, and `shift_inputs` of them in bytes once a layer, with all tensors turned into floats.
///
/// ```cpp
/// struct wake_int8 : int8<wake> {};
/// const safetensors file = read_safetensors("wake.safetensors");
/// const auto found = calibrate_int8<wake_int8>(match_weights<wake>(file, "wake.safetensors"), inputs);
/// write_with_ranges("wake_int8.safetensors", file, found);
/// ```
template <class Network>
int8_calibration calibrate_int8(const std::vector<std::vector<float>>& values, std::span<const std::vector<const void*>> inputs, const int8_options& options = {}) {
    using floats = observed<Network, true>;
    const auto& l = steps_of<observed<Network, false>>;
    static_assert(steps_of<floats>.range_count == steps_of<observed<Network, false>>.range_count && steps_of<Network>.range_count == steps_of<floats>.range_count);
    const auto& g = graph_of<Network>;
    const auto& r = resolved_of<Network>;
    detail::calibrated_network net{pipeline_of<floats>(), pipeline_of<observed<Network, false>>(), {}, {}, {}};
    for (int k = 0; k < l.range_count; ++k) {
        const auto op_at = static_cast<std::size_t>(l.range_op[k]);
        net.tensors.push_back(shaped_of<Network>.out[op_at]);
        bool is_layer = false;
        std::string name;
        for (int s = 0; s < l.count; ++s) {
            const graph::step& t = l.steps[s];
            if (t.out < 0 || l.buffers[t.out].range != k || !l.buffers[t.out].is_u8) continue;
            if (t.kind == graph::step_kind::quantise_u8 || t.kind == graph::step_kind::max_pool_u8) continue; // a pool has its layer's range
            is_layer = t.kind == graph::step_kind::conv_u8 || t.kind == graph::step_kind::depthwise_u8;
            name = is_layer ? graph::full_name(&g.scopes[0], &r.parent[0], r.name[static_cast<std::size_t>(t.op)]) : "";
        }
        net.names.push_back(name);
        net.shifts.push_back(is_layer);
    }
    return detail::calibrate_int8(net, values, inputs, options);
}

/// `file`'s tensors and what was found, in place of what an earlier calibration left: a file for the network on bytes and in f32. Whole or not at all, as
/// `write_safetensors` has it.
inline void write_with_ranges(const std::string& path, const safetensors& file, const int8_calibration& found) {
    std::vector<tensor_view> all;
    for (const tensor_view& t : file.tensors())
        if (!std::string_view{t.name}.starts_with("int8.")) all.push_back(t);
    all.push_back({"int8.ranges", tensor_type::float32, {found.ranges.size() / 2, 2}, bytes_of_floats(found.ranges)});
    all.push_back({"int8.shifts", tensor_type::float32, {found.shifts.size()}, bytes_of_floats(found.shifts)});
    write_safetensors(path, all);
}

} // namespace splitdsl
