// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file backend.hpp
/// What runs a network: the processor's code, or a GPU with the processor behind it.
#pragma once

#include "classifier.hpp"

#include <splitdsl/gpu/gpu_pipeline.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace classify {

struct backend_choice {
    std::string name{"cpu"}, precision{"tf32"};
    int gpu{};
    bool or_cpu{};
};

/// Throws `device_error` where a GPU was chosen and is not to be had, unless the processor may stand in for it; `option_error` for a
/// codec that runs on processors alone. Outlives what uses `net()`.
class backend {
public:
    backend(const zoo_networks::network& which, const backend_choice& choice, const std::string& codec) : on_cpu{pipeline_with(which, codec)} {
        if (choice.name == "cpu") return;
        if (codec != "f32") throw splitdsl::option_error("--backend cudnn: --codec " + codec + " is made by the processor's code; f32 was expected");
        splitdsl::gpu::gpu_options options;
        for (const splitdsl::gpu::precision p : splitdsl::gpu::every_precision)
            if (choice.precision == splitdsl::gpu::name_of(p)) options.precision = p;
        try {
            device.emplace(splitdsl::kernels::cudnn::device_options{.ordinal = choice.gpu});
        } catch (const splitdsl::device_error& e) {
            if (!choice.or_cpu) throw;
            std::fprintf(stderr, "classify: the processor answers: %s\n", e.what());
            return;
        }
        engine.emplace(*device, which.program(), on_cpu, options);
        std::fprintf(stderr, "classify: %s\n", device->description().c_str());
    }
    const splitdsl::pipeline& net() const { return engine ? engine->net_here() : on_cpu; }
    /// Says on standard error if the processor had to answer for the GPU, and why.
    void report() const {
        if (!engine) return;
        const splitdsl::gpu::gpu_counters c = engine->counters();
        if (c.on_cpu > 0) std::fprintf(stderr, "classify: the processor answered %llu of %llu runs: %s\n", static_cast<unsigned long long>(c.on_cpu), static_cast<unsigned long long>(c.on_cpu + c.on_gpu), c.reason.c_str());
    }

private:
    const splitdsl::pipeline& on_cpu;
    std::optional<splitdsl::kernels::cudnn::device> device;
    std::optional<splitdsl::gpu::gpu_engine> engine;
};

} // namespace classify
