// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dense_layers.hpp
/// The rows of bench_kernels --dense.
#pragma once

#include "timing.hpp"

#include <string>

namespace timed {

struct dense_options {
    int runs{};
    std::string only{};         ///< part of a layer's name
    bool cold{};                ///< weights come from memory
    clock_kind clock{};
    std::string json_file{};
};
int time_dense_layers(const dense_options&);

} // namespace timed
