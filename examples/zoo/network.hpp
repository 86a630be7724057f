// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// A network of the zoo without its type: what a program needs to load and run it.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace splitdsl::graph {
struct description;
} // namespace splitdsl::graph
namespace splitdsl::gpu {
struct program;
} // namespace splitdsl::gpu

namespace zoo_networks {

/// What the outputs mean.
enum class labels : std::uint8_t {
    imagenet,               ///< 1000 classes
    imagenet_background,    ///< 1001: 0 is background, class k stands at k + 1
    cifar10,
    none                    ///< not a classifier of pictures
};

/// Weights laid out for the code that runs here; stays valid as long as a copy lives.
struct loaded_weights {
    std::shared_ptr<const void> owner;
    std::span<const std::byte> packed;
    std::uint64_t digest{};             ///< for edge_options and cloud_options: equal on both sides or the handshake refuses
};

/// A network without its type. The normalisation is part of the network; the input is raw pixels.
struct network {
    const char* name{};
    labels meaning{};
    int shorter_side{};                             ///< resize to this before the centre crop; 0: straight to the input's size
    const splitdsl::pipeline& (*pipeline)(){};      ///< inputs, outputs and cuts are described there
    const splitdsl::pipeline& (*pipeline_u8)(){};    ///< the same with 8 bits a value at its lossless cuts
    loaded_weights (*load)(const std::string& path){};  ///< a safetensors file; throws splitdsl::weights_error
    loaded_weights (*load_for)(const std::string& path, const splitdsl::pipeline& net){};   ///< for another pipeline of this network: on a GPU
    loaded_weights (*seeded)(std::uint64_t seed){};  ///< random ones, for timing
    splitdsl::gpu::program (*program)(){};          ///< what a GPU runs
    splitdsl::graph::description (*description)(){}; ///< everything describe.hpp writes: table, JSON, Graphviz
};

/// Defined beside each network's pipeline.
template <class Network>
const network& entry();

} // namespace zoo_networks
