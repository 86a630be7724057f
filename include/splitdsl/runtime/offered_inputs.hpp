// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file offered_inputs.hpp
/// Whether what a caller hands over is a frame of the network.
#pragma once

#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/fixed_array.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <cstddef>

namespace splitdsl::detail {

/// Caller's thread.
class offered_inputs {
public:
    explicit offered_inputs(std::size_t inputs) : pointers{inputs} {}

    frame_refusal unfit(frame_inputs in, const pipeline& network) noexcept {
        if (in.size() != network.inputs.size()) return frame_refusal::wrong_inputs;
        for (std::size_t i = 0; i < in.size(); ++i) {
            if (in[i].size() != network.inputs[i].bytes) return frame_refusal::wrong_size;
            pointers[i] = in[i].data();
        }
        return network.bad_input({.inputs = pointers.data()}) < 0 ? frame_refusal::none : frame_refusal::bad_command;
    }

private:
    fixed_array<const void*> pointers;
};

} // namespace splitdsl::detail
