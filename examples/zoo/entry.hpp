// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file entry.hpp
/// One network's row in the list; for the sources that the build makes from pipeline.cpp.in.
#pragma once

#include <examples/zoo/network.hpp>
#include <splitdsl/runtime/weights.hpp>

namespace zoo_networks {

template <class Network>
network make_entry(const char* name, labels meaning, int shorter_side) {
    return {.name = name,
            .meaning = meaning,
            .shorter_side = shorter_side,
            .pipeline = &splitdsl::pipeline_of<Network>,
            .load = [](const std::string& path) {
                auto weights = std::make_shared<const splitdsl::network_weights<Network>>(splitdsl::load_weights<Network>(path));
                return loaded_weights{weights, weights->bytes(), weights->digest()};
            },
            .description = &splitdsl::graph::description_of<Network>};
}

} // namespace zoo_networks
