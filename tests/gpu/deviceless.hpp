// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file deviceless.hpp
/// NVIDIA's own cuDNN, planning for a GPU that is not there: since 9.8 it takes a description of one in a handle's place. Nothing runs.
#pragma once

#include "subjects.hpp"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gpu_tests {

/// What an H200 says of itself.
inline constexpr std::string_view h200 = R"({
    "deviceName": "NVIDIA H200", "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000, "multiProcessorCount": 132, "totalGlobalMem": 150000000000,
    "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "smClockRateKHz": 1980000, "memClockRateKHz": 3201000,
    "l2CacheSize": 62914560, "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024,
    "maxRegistersPerSM": 65536, "pciDeviceId": 0, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "isTccDriver": 0, "supportCoopLaunch": 1})";

/// Their numbers in cudnn_graph.h.
struct deviceless_numbers {
    enum : int { properties = 38, json = 2702, characters = 24, of_heuristic = 204, of_plan = 407 };
};

/// The library as it is, but for what takes a handle.
struct deviceless_cudnn {
    static inline kernels::cudnn::network_api real{};
    static inline kernels::cudnn::handle described{};
    static inline int started{};                    ///< convolutions that would have run

    /// Empty, and a loud word about it, where there is none, or an older one.
    static std::optional<kernels::cudnn::network_api> load() {
        using number = deviceless_numbers;
        namespace dnn = kernels::cudnn::dnn;
        try {
            real = kernels::cudnn::load_network_library(kernels::cudnn::library_folders({}));
        } catch (const device_error& e) {
            std::puts((std::string("SKIPPED: ") + e.what()).c_str());
            SUCCEED();
            return std::nullopt;
        }
        if (real.version() < 90800 || real.create_descriptor(number::properties, &described) != 0 ||
            real.set(described, number::json, number::characters, static_cast<std::int64_t>(h200.size()), h200.data()) != 0 || real.finalise(described) != 0) {
            std::puts(("SKIPPED: cuDNN " + std::to_string(real.version()) + " does not plan for the device that we describe").c_str());
            SUCCEED();
            return std::nullopt;
        }
        kernels::cudnn::network_api n = real;
        n.create = [](kernels::cudnn::handle* h) { return *h = &real, 0; };
        n.destroy = [](kernels::cudnn::handle) { return 0; };
        n.use_stream = [](kernels::cudnn::handle, kernels::cudnn::handle) { return 0; };
        n.create_descriptor = [](int kind, kernels::cudnn::handle* d) {
            const int status = real.create_descriptor(kind, d);
            return status == 0 && kind == dnn::engine_heuristic ? real.set(*d, number::of_heuristic, dnn::descriptor_type, 1, &described) : status;
        };
        n.set = [](kernels::cudnn::handle d, int attribute, int type, std::int64_t count, const void* values) {
            if (attribute == dnn::graph_handle) return 0;
            return attribute == dnn::plan_handle ? real.set(d, number::of_plan, dnn::descriptor_type, 1, &described) : real.set(d, attribute, type, count, values);
        };
        n.execute = [](kernels::cudnn::handle, kernels::cudnn::handle, kernels::cudnn::handle) { return ++started, 0; };
        return n;
    }
};

/// How a program's convolutions are run.
struct convolution_count {
    int all{}, ended{}, shifted{}, in_tiles{};      ///< by cuDNN with everything in one graph; without the activation; by our own kernels, with everything
    std::string unexpected;                         ///< those of which more than an activation that is not relu is missing

    convolution_count(const gpu::program& p, const gpu::layers& l) {
        for (std::size_t i = 0; i < p.steps.size(); ++i) {
            const gpu::step& s = p.steps[i];
            if (!gpu::is_dense_conv(s.plan.kind)) continue;
            ++all;
            const gpu::convolution_way& x = l.at(i).way;
            in_tiles += x.tile != nullptr;
            ended += x.plan && x.plan_ends, shifted += x.plan && !x.plan_ends && x.plan_shifts;
            if (x.tile || (x.plan && (x.plan_ends || (x.plan_shifts && s.plan.activation > graph::activation_kind::relu)))) continue;
            const kernels::cudnn::convolution_shape c = l.convolution_of(s);
            unexpected += "\n" + std::to_string(c.in_channels) + " to " + std::to_string(c.out_channels) + " channels, " + std::to_string(c.out_height) + "x" + std::to_string(c.out_width) + ", kernel " +
                          std::to_string(c.kernel_h) + "x" + std::to_string(c.kernel_w) + ", groups " + std::to_string(c.groups) + ", activation " + std::to_string(static_cast<int>(s.plan.activation)) +
                          (s.plan.addend >= 0 ? ", addend" : "") + (!x.plan ? ": none" : x.plan_shifts ? ": without its activation" : ": alone");
        }
    }
};

} // namespace gpu_tests
