// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file codec_calibration.hpp
/// Finds the ranges of a network's calibrated codecs from inputs, and writes them into its weights file.
#pragma once

#include <splitdsl/graph/measured.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace splitdsl {

struct codec_range {
    std::string name;           ///< of the tensor that holds it: "<label>.range"
    float low{}, high{};
};

/// The range of what enters each calibrated codec of `Network`, over all `inputs` (raw, as the network takes them). It always holds 0, which the codec keeps
/// exact. `measured<Network>` is compiled here or by splitdsl_add_pipeline. `values`: as `match_weights<measured<Network>>` gives them. Throws `option_error`.
///
/// Cost: every input runs once. A hundred that resemble what the network will see are plenty.
///
/// ```cpp
/// const safetensors file = read_safetensors("trained.safetensors");
/// const auto ranges = calibrate_codecs<lane_keeper>(match_weights<measured<lane_keeper>>(file, "trained.safetensors"), inputs);
/// write_with_ranges("lane_keeper.safetensors", file, ranges);
/// ```
template <class Network>
std::vector<codec_range> calibrate_codecs(const std::vector<std::vector<float>>& values, std::span<const std::vector<const void*>> inputs, const task_runner* workers = nullptr) {
    if (inputs.empty()) throw option_error("calibration: at least one input was expected, found none");
    const network_weights<measured<Network>> weights{values};
    const pipeline& net = weights.net();
    const auto& g = graph_of<measured<Network>>;
    std::vector<codec_range> ranges;
    std::vector<std::size_t> sizes;
    std::size_t first = net.output_floats;
    for (std::size_t i = 0; i < g.ops.size(); ++i)
        if (has(g.ops[i].flags, op_flag::is_measured)) {
            ranges.push_back({std::string(g.ops[i].label) + ".range"});
            sizes.push_back(static_cast<std::size_t>(shaped_of<measured<Network>>.out[i].size()));
            first -= sizes.back();
        }
    const aligned_buffer arena{net.arena_bytes};
    std::vector<float> outputs(net.output_floats);
    for (const auto& input : inputs) {
        net.run({arena.data(), weights.bytes().data(), input.data(), outputs.data(), workers}, 0, net.stages, nullptr);
        const float* at = outputs.data() + first;
        for (std::size_t k = 0; k < ranges.size(); at += sizes[k++])
            for (std::size_t i = 0; i < sizes[k]; ++i)
                if (std::isfinite(at[i])) ranges[k].low = std::min(ranges[k].low, at[i]), ranges[k].high = std::max(ranges[k].high, at[i]);
    }
    for (const codec_range& r : ranges)
        if (r.low == r.high) throw option_error("calibration: values other than 0 were expected for " + r.name + ", found none in " + std::to_string(inputs.size()) + " inputs");
    return ranges;
}

/// `file`'s tensors and the ranges, in place of those it had.
inline void write_with_ranges(const std::string& path, const safetensors& file, std::span<const codec_range> ranges) {
    std::vector<tensor_view> all;
    for (const tensor_view& t : file.tensors())
        if (std::none_of(ranges.begin(), ranges.end(), [&](const codec_range& r) { return t.name == r.name; })) all.push_back(t);
    std::vector<std::vector<float>> ends;
    for (const codec_range& r : ranges) ends.push_back({r.low, r.high});
    for (std::size_t k = 0; k < ranges.size(); ++k) all.push_back({ranges[k].name, tensor_type::float32, {2}, bytes_of_floats(ends[k])});
    write_safetensors(path, all);
}

} // namespace splitdsl
