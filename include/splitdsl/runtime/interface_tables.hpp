// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file interface_tables.hpp
/// A compiled network's interface as plain tables: its cuts, inputs, outputs, exits and streams by name.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/runtime/pool_code.hpp>
#include <splitdsl/runtime/program.hpp>

#include <cstddef>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

inline void copy_text(char* to, std::size_t room, const char* from, std::size_t length) {
    const std::size_t n = length + 1 < room ? length : room - 1;
    __builtin_memcpy(to, from, n);
    to[n] = 0;
}

/// What `all` says of the network itself; its functions and the size of packed weights are the engine's.
template <class Network>
struct interface_tables {
    char names[max_network_cuts][64]{};
    cut_info cuts[max_network_cuts]{};
    char input_names[most_tensors][64]{};
    tensor_info inputs[most_tensors]{};
    char output_names[most_tensors][64]{};
    tensor_info outputs[most_tensors]{};
    exit_info exits[most_tensors]{};
    char network[96]{};
    pipeline all{};
    interface_tables() noexcept;
};

/// Of networks with dynamic_pool streams only.
template <class Network>
struct stream_tables {
    char names[max_network_streams + max_stages][64]{};
    stream_info streams[max_network_streams]{};
    stream_exit_info exits[max_stages]{};
    stream_tables() noexcept {
        static constexpr auto d = describe_streams<Network>();
        for (int s = 0; s < steps_of<Network>.stream_count; ++s) {
            copy_text(names[s], sizeof names[s], d.stream_names[s].data(), d.stream_names[s].size());
            streams[s] = d.streams[s];
            streams[s].name = names[s];
        }
        for (int e = 0; e < steps_of<Network>.exit_count; ++e) {
            char (&name)[64] = names[max_network_streams + e];
            copy_text(name, sizeof name, d.exit_names[e].data(), d.exit_names[e].size());
            exits[e] = d.exits[e];
            exits[e].name = name;
        }
    }
};

template <class Network>
interface_tables<Network>::interface_tables() noexcept {
    const program<Network>& p = program_of<Network>;
    constexpr text type = graph::type_name<Network>();
    copy_text(network, sizeof network, type.data(), type.size());
    all.network = network;
    all.instruction_set = SPLITDSL_ARCH_NAME;
    all.fingerprint = fingerprint<Network>;
    all.arena_bytes = p.arena;
    all.output_floats = p.outputs;
    all.stages = steps_of<Network>.trunk_stages;
    all.stage_macs = p.stage_macs.data();
    static constexpr auto described = describe_interface<Network>();
    for (int k = 0; k < cuts_of<Network>.count; ++k) {
        copy_text(names[k], sizeof names[k], described.cuts[k].name.data(), described.cuts[k].name.size());
        cuts[k] = {names[k], static_cast<std::size_t>(described.cuts[k].bytes), described.cuts[k].stage, described.cuts[k].codec};
    }
    for (int k = 0; k < described.input_count; ++k) {
        const auto& t = described.inputs[k];
        copy_text(input_names[k], sizeof input_names[k], t.name.data(), t.name.size());
        inputs[k] = {input_names[k], t.of.channels, t.of.height, t.of.width, static_cast<std::size_t>(t.bytes)};
    }
    std::size_t exit_count = 0;
    for (int k = 0; k < described.output_count; ++k) {
        const auto& t = described.outputs[k];
        copy_text(output_names[k], sizeof output_names[k], t.name.data(), t.name.size());
        outputs[k] = {output_names[k], t.of.channels, t.of.height, t.of.width, static_cast<std::size_t>(t.bytes)};
        if (t.first_float >= 0) exits[exit_count++] = {output_names[k], t.stage, static_cast<std::size_t>(t.first_float), static_cast<std::size_t>(t.bytes) / sizeof(float)};
    }
    all.cuts = {cuts, static_cast<std::size_t>(cuts_of<Network>.count)};
    all.inputs = {inputs, static_cast<std::size_t>(described.input_count)};
    all.outputs = {outputs, static_cast<std::size_t>(described.output_count)};
    all.exits = {exits, exit_count};
    if constexpr (steps_of<Network>.stream_count > 0) {
        static stream_tables<Network> s;
        all.streams = s.streams;
        all.stream_count = steps_of<Network>.stream_count;
        all.stream_exits = s.exits;
        all.stream_exit_count = steps_of<Network>.exit_count;
        all.pooling = &pool_code;
    }
}

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
