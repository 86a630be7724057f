// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file described_host.hpp
/// A network on the made-up device without a processor's code behind it: compiling that is what takes long.
#pragma once

#include "subjects.hpp"

#include <string>
#include <vector>

namespace gpu_tests {

/// What the engine asks of a processor's code, of which there is none: nothing runs there.
struct described_host {
    std::vector<std::string> names;
    std::vector<tensor_info> inputs, outputs;
    pipeline net{};
    described_host(const graph::description& d, const gpu::program& p) {
        names.reserve(d.ops.size());
        for (const op& o : d.ops)
            if (o.kind == op_kind::input) inputs.push_back({names.emplace_back(std::string(o.label)).c_str(), o.size.channels, o.size.height, o.size.width, static_cast<std::size_t>(graph::input_bytes(o))});
        outputs.push_back({"all", static_cast<int>(p.output_floats), 1, 1, 4 * p.output_floats});
        net.network = "of the zoo";
        net.arena_bytes = net.packed_bytes = 64;
        net.output_floats = p.output_floats;
        net.stages = p.stages();
        net.inputs = inputs, net.outputs = outputs;
        net.functions.pack = [](const void*, const float* const*, std::byte*) {};
        net.functions.run = [](const void*, const frame_memory&, int, int, const std::atomic<bool>*) { return false; };
    }
};

} // namespace gpu_tests
