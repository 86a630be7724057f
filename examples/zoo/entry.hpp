// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file entry.hpp
/// One network's row in the list; for the sources that the build makes from pipeline.cpp.in.
#pragma once

#include <examples/zoo/network.hpp>
#include <splitdsl/gpu/program.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/recoded.hpp>
#include <splitdsl/runtime/weights.hpp>

namespace zoo_networks {

template <class Network>
loaded_weights share(splitdsl::network_weights<Network> packed) {
    auto weights = std::make_shared<const splitdsl::network_weights<Network>>(std::move(packed));
    return {weights, weights->bytes(), weights->digest()};
}

template <class Network>
network make_entry(const char* name, labels meaning, int shorter_side) {
    return {.name = name,
            .meaning = meaning,
            .shorter_side = shorter_side,
            .pipeline = &splitdsl::pipeline_of<Network>,
            .pipeline_u8 = &splitdsl::recoded_pipeline<Network, splitdsl::codec_id::affine8>,
            .load = [](const std::string& path) { return share(splitdsl::load_weights<Network>(path)); },
            .load_for = [](const std::string& path, const splitdsl::pipeline& net) { return share(splitdsl::load_weights<Network>(path, net)); },
            .seeded = [](std::uint64_t seed) { return share(splitdsl::seeded_weights<Network>(seed)); },
            .program = &splitdsl::gpu::program_of<Network>,
            .description = &splitdsl::graph::description_of<Network>};
}

} // namespace zoo_networks
