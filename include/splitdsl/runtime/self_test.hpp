// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file self_test.hpp
/// Weights files that our tools write carry an input and the output PyTorch gave for it; this runs the one and compares the other.
#pragma once

#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/weights.hpp>
#include <splitdsl/runtime/whole_run.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace splitdsl {

struct self_test_result {
    bool present{};             ///< the file carries a self-test for every input and output
    double error{};             ///< largest difference, as a share of the output's range (at least 1)
};

/// Runs the network on the file's `selftest.input.NAME` tensors (raw bytes as the application hands them over) and compares
/// `selftest.output.NAME`. Throws `weights_error` if a tensor has the wrong size.
///
/// A bottleneck's quantiser may flip one level where sums are rounded differently: expect up to about 1e-2 behind an 8-bit codec,
/// 1e-5 without one.
template <class Network>
self_test_result run_self_test(const safetensors& file, const network_weights<Network>& weights) {
    const pipeline& net = weights.net();
    std::vector<const void*> inputs;
    for (const tensor_info& t : net.inputs) {
        const auto* given = file.find(std::string("selftest.input.") + t.name);
        if (!given) return {};
        if (given->bytes.size() != t.bytes)
            throw weights_error(given->name + ": " + std::to_string(t.bytes) + " bytes were expected, found " + std::to_string(given->bytes.size()));
        inputs.push_back(given->bytes.data());
    }
    const frame_arena arena{net};
    std::vector<float> outputs(net.output_floats);
    const frame_memory memory{arena.data(), weights.bytes().data(), inputs.data(), outputs.data()};
    run_whole(net, memory);
    self_test_result r{.present = true};
    std::size_t at = 0;
    for (const tensor_info& t : net.outputs) {
        const auto* wanted = file.find(std::string("selftest.output.") + t.name);
        if (!wanted) return {};
        const std::vector<float> values = to_floats(*wanted);
        if (values.size() != t.bytes / 4)
            throw weights_error(wanted->name + ": " + std::to_string(t.bytes / 4) + " values were expected, found " + std::to_string(values.size()));
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        const double range = std::max(1.0, static_cast<double>(*high) - static_cast<double>(*low));
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double d = std::abs(static_cast<double>(values[i]) - static_cast<double>(outputs[at + i]));
            r.error = std::isfinite(d) ? std::max(r.error, d / range) : d;
        }
        at += values.size();
    }
    return r;
}

} // namespace splitdsl
