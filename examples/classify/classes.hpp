// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file classes.hpp
/// Which class an output of a classifier stands for, with a background among the outputs and without.
#pragma once

#include "../pictures/labels.hpp"

#include <examples/zoo/networks.hpp>

#include <cstddef>
#include <span>

namespace classify {

/// The class an output stands for. Networks with a background output count their classes from the next one: 0 is a tench in all of them.
inline int class_of(zoo_networks::labels meaning, std::size_t output) {
    static_assert(pictures::background_class == -1);
    return static_cast<int>(output) - (meaning == zoo_networks::labels::imagenet_background ? 1 : 0);
}
inline std::size_t classes_of(zoo_networks::labels meaning, std::size_t outputs) {
    return outputs - (meaning == zoo_networks::labels::imagenet_background ? 1 : 0);
}
/// What is built in; nothing for ImageNet.
inline std::span<const char* const> names_of(zoo_networks::labels meaning) {
    if (meaning == zoo_networks::labels::cifar10) return pictures::cifar10_classes;
    return {};
}

} // namespace classify
