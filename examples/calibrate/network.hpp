// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// A network that splitdsl-calibrate knows, without its type.
#pragma once

#include <splitdsl/runtime/codec_calibration.hpp>
#include <splitdsl/runtime/int8_calibration.hpp>

#include <vector>

namespace calibration {

struct network {
    const char* name{};
    int shorter_side{};             ///< the pictures are resized to this before the centre crop
    const splitdsl::pipeline& (*in_floats)(){};
    std::vector<std::vector<float>> (*values)(const splitdsl::safetensors& file, const std::string& where){};
    /// Of an int8 network.
    splitdsl::int8_calibration (*calibrate)(const std::vector<std::vector<float>>& values, std::span<const std::vector<const void*>> inputs, const splitdsl::int8_options& options){};
    /// Of a network with calibrated codecs.
    std::vector<splitdsl::codec_range> (*codecs)(const std::vector<std::vector<float>>& values, std::span<const std::vector<const void*>> inputs, const splitdsl::task_runner* workers){};
};

/// `Network`: an int8 whose observed forms are dispatched.
template <class Network>
network row(const char* name, int shorter_side) {
    return {name, shorter_side, &splitdsl::pipeline_of<splitdsl::observed<Network, true>>,
            [](const splitdsl::safetensors& file, const std::string& where) { return splitdsl::match_weights<typename Network::calibrated>(file, where); },
            &splitdsl::calibrate_int8<Network>};
}
/// `Network`: one with calibrated codecs whose measured form is dispatched.
template <class Network>
network row_of_codecs(const char* name, int shorter_side) {
    using measured = splitdsl::measured<Network>;
    return {name, shorter_side, &splitdsl::pipeline_of<measured>, [](const splitdsl::safetensors& file, const std::string& where) { return splitdsl::match_weights<measured>(file, where); }, nullptr,
            &splitdsl::calibrate_codecs<Network>};
}

const network& mobilenet_v2_tf();
const network& mobilenet_v2_tf_split();
const network& mobilenet_v2();
const network& squeezenet1_1();

} // namespace calibration
