// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_layers.hpp
/// The rows of bench_kernels --bytes.
#pragma once

#include "timing.hpp"

#include <string>

namespace timed {

struct byte_options {
    int runs{}, samples{};
    std::string only{};         ///< part of a layer's name
    bool with_peer{};
    clock_kind clock{};
    std::string json_file{};
};
int time_byte_layers(const byte_options&);

} // namespace timed
