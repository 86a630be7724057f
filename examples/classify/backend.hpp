// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file backend.hpp
/// What runs a network: the processor's code, or a GPU with the processor behind it.
#pragma once

#include "classifier.hpp"

#include <examples/options/gpu_choice.hpp>

#include <optional>
#include <string>

namespace classify {

/// Throws `device_error` where a GPU was chosen and is not to be had, unless the processor may stand in for it; `option_error` for a
/// codec that runs on processors alone. Outlives what uses `net()`.
class backend {
public:
    backend(const zoo_networks::network& which, const options::gpu_choice& choice, const std::string& codec) : on_cpu{pipeline_with(which, codec)} {
        if (choice.backend != "cpu" && codec != "f32") throw splitdsl::option_error("--backend cudnn: --codec " + codec + " is made by the processor's code; f32 was expected");
        options::open_gpu(device, "classify", choice);
        if (device) engine.emplace(*device, which.program(), on_cpu, choice.pipeline());
    }
    const splitdsl::pipeline& net() const { return engine ? engine->net_here() : on_cpu; }
    /// Says on standard error if the processor had to answer for the GPU, and why.
    void report() const {
        if (engine) options::report("classify", *engine);
    }

private:
    const splitdsl::pipeline& on_cpu;
    std::optional<splitdsl::kernels::cudnn::device> device;
    std::optional<splitdsl::gpu::gpu_engine> engine;
};

} // namespace classify
