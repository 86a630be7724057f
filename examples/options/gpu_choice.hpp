// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_choice.hpp
/// Options of programs whose network runs on this machine's processor or on a GPU.
#pragma once

#include "numbers.hpp"

#include <splitdsl/error.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace options {

struct gpu_choice {
    std::string backend{"cpu"}, precision{"tf32"};
    int gpu{};
    bool or_cpu{};

    splitdsl::gpu::gpu_options pipeline() const {
        splitdsl::gpu::gpu_options o;
        for (const splitdsl::gpu::precision p : splitdsl::gpu::every_precision)
            if (precision == splitdsl::gpu::name_of(p)) o.precision = p;
        return o;
    }
};

inline void add_gpu_options(CLI::App& app, gpu_choice& to) {
    auto* const with = app.add_option("--backend", to.backend, "what runs the network: this machine's processor or an NVIDIA GPU (docs/gpu.md)")->check(CLI::IsMember({"cpu", "cudnn"}))->capture_default_str();
    app.add_option("--gpu", to.gpu, "which GPU")->check(between(0, 63))->capture_default_str()->needs(with);
    app.add_option("--precision", to.precision, "on a GPU")->check(CLI::IsMember({"f32", "tf32", "f16", "bf16"}))->capture_default_str()->needs(with);
    app.add_flag("--or-cpu", to.or_cpu, "where there is no such GPU: say why, and run on the processor")->needs(with);
}
/// Throws `option_error` for what is said of a GPU where none was chosen.
inline void require_gpu_options(const CLI::App& app, const gpu_choice& chosen) {
    for (const char* of_gpus : {"--gpu", "--precision", "--or-cpu"})
        if (app.get_option(of_gpus)->count() > 0 && chosen.backend == "cpu") throw splitdsl::option_error(std::string(of_gpus) + " is for GPUs: --backend cudnn was expected, found --backend cpu");
}

/// Opens the chosen GPU; leaves `device` empty where the processor was chosen, or stands in for it. Throws `device_error` where the GPU is not to be had and nothing may
/// stand in.
inline void open_gpu(std::optional<splitdsl::kernels::cudnn::device>& device, const char* program, const gpu_choice& choice) {
    if (choice.backend == "cpu") return;
    try {
        device.emplace(splitdsl::kernels::cudnn::device_options{.ordinal = choice.gpu});
        std::fprintf(stderr, "%s: %s\n", program, device->description().c_str());
    } catch (const splitdsl::device_error& e) {
        if (!choice.or_cpu) throw;
        std::fprintf(stderr, "%s: the processor answers: %s\n", program, e.what());
    }
}
/// Says on standard error if the processor had to answer for the GPU, and why.
inline void report(const char* program, const splitdsl::gpu::gpu_engine& engine) {
    const splitdsl::gpu::gpu_counters c = engine.counters();
    if (c.on_cpu > 0) std::fprintf(stderr, "%s: the processor answered %llu of %llu runs: %s\n", program, static_cast<unsigned long long>(c.on_cpu), static_cast<unsigned long long>(c.on_cpu + c.on_gpu), c.reason.c_str());
}

} // namespace options
