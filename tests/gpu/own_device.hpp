// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file own_device.hpp
/// This machine's GPU, or none and a loud word about it.
#pragma once

#include "../catch.hpp"

#include <kernels/cudnn/device.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace gpu_tests {

/// Without cuDNN where SPLITDSL_TEST_OWN_KERNELS is set: all convolutions are ours then, and what watches kernels sees no others.
inline std::optional<splitdsl::kernels::cudnn::device>& own_device() {
    namespace cudnn = splitdsl::kernels::cudnn;
    // Never destroyed: when a program's static objects are, the driver and cuDNN may be gone.
    static auto& on = *new std::optional<cudnn::device>;
    constexpr double most_seconds = 2;          // of each of many small networks
    if (on) return on;
    try {
        if (std::getenv("SPLITDSL_TEST_OWN_KERNELS")) {
            cudnn::libraries ours = cudnn::load_libraries({}, false);
            ours.network = {};
            on.emplace(std::move(ours), cudnn::device_options{.needs_cudnn = false, .seconds_to_choose = most_seconds});
        } else {
            on.emplace(cudnn::device_options{.seconds_to_choose = most_seconds});
        }
        std::puts(on->description().c_str());
    } catch (const splitdsl::device_error& e) {
        std::puts((std::string("SKIPPED: ") + e.what()).c_str());
        SUCCEED();
    }
    return on;
}

} // namespace gpu_tests
