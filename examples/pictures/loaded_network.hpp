// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file loaded_network.hpp
/// A network of the zoo with its weights and buffers, run whole on this machine: by its processor or a GPU.
#pragma once

#include <examples/zoo/networks.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pictures {

/// The names of `known` that this build has.
inline std::string names_present(std::span<const char* const> known) {
    std::string text;
    for (const char* name : known)
        if (zoo_networks::find(name)) text += (text.empty() ? "" : ", ") + std::string(name);
    return text.empty() ? "none" : text;
}
/// Throws `option_error` unless `name` is one of `known` and compiled into this build.
inline void require_present(const std::string& name, std::span<const char* const> known, const char* kind) {
    const std::string there = "; there are: " + names_present(known);
    if (name.empty()) throw splitdsl::option_error("--model NAME is missing" + there);
    if (std::find(known.begin(), known.end(), name) == known.end())
        throw splitdsl::option_error("--model " + name + (zoo_networks::find(name) ? std::string(": not a ") + kind : std::string(": no such network")) + there);
    if (!zoo_networks::find(name)) throw splitdsl::option_error("--model " + name + ": this build has not compiled it (configure with -DSPLITDSL_ZOO_ALL=ON)" + there);
}

class loaded_network {
public:
    /// Throws `option_error` for a network that this build has not, `weights_error` for a file that does not fit.
    loaded_network(const std::string& name, const std::string& weights_file)
        : network{there(name)}, net{network.pipeline()}, weights{network.load(weights_file)}, arena{net.arena_bytes}, values(net.output_floats) {}
    /// On a GPU.
    loaded_network(const std::string& name, const std::string& weights_file, const splitdsl::kernels::cudnn::device& gpu, const splitdsl::gpu::gpu_options& how)
        : network{there(name)}, engine{std::in_place, gpu, network.program(), network.pipeline(), how}, net{engine->net_here()}, weights{network.load_for(weights_file, net)}, arena{net.arena_bytes},
          values(net.output_floats), stay{how.outputs_stay} {}

    const splitdsl::tensor_info& input() const { return net.inputs[0]; }
    const splitdsl::pipeline& pipeline() const { return net; }
    /// Null: the processor runs it.
    const splitdsl::gpu::gpu_engine* gpu() const { return engine ? &*engine : nullptr; }
    const std::byte* memory() const { return arena.data(); }

    /// All outputs, one behind the other; valid until the next run. Throws `error` if they are not finite. With `gpu_options::outputs_stay` only those who go on where
    /// they are may read them.
    std::span<const float> run(const void* input) {
        static const std::atomic<bool> never{false};
        if (!net.run({arena.data(), weights.packed.data(), &input, values.data(), splitdsl::default_runner()}, 0, net.stages, &never))
            throw splitdsl::error("the network did not run to its end");
        if (!stay && !std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) throw splitdsl::error("the network's answer is not finite");
        return values;
    }

private:
    static const zoo_networks::network& there(const std::string& name) {
        const zoo_networks::network* found = zoo_networks::find(name);
        if (!found) throw splitdsl::option_error("this build has no network called " + name + " (configure with -DSPLITDSL_ZOO_ALL=ON)");
        return *found;
    }

    const zoo_networks::network& network;
    std::optional<splitdsl::gpu::gpu_engine> engine;
    const splitdsl::pipeline& net;
    zoo_networks::loaded_weights weights;
    splitdsl::aligned_buffer arena;
    std::vector<float> values;
    bool stay{};
};

} // namespace pictures
