// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file own_device.hpp
/// This machine's GPU, or none and a loud word about it.
#pragma once

#include "../catch.hpp"

#include <kernels/cudnn/device.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace gpu_tests {

inline std::optional<splitdsl::kernels::cudnn::device>& own_device() {
    // Never destroyed: when a program's static objects are, the driver and cuDNN may be gone.
    static auto& on = *new std::optional<splitdsl::kernels::cudnn::device>;
    if (on) return on;
    try {
        on.emplace(splitdsl::kernels::cudnn::device_options{});
        std::puts(on->description().c_str());
    } catch (const splitdsl::device_error& e) {
        std::puts((std::string("SKIPPED: ") + e.what()).c_str());
        SUCCEED();
    }
    return on;
}

} // namespace gpu_tests
