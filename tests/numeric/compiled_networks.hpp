// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file compiled_networks.hpp
/// The test networks as tests/pipelines/ compiles them, once per instruction set: descriptions, and pipelines by set.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>

namespace numeric {

/// One instruction set's pipelines, in the order of the descriptions. Plain pointers: objects built for a wider set hand it out.
struct compiled_row {
    splitdsl::instruction_set set{};
    const splitdsl::pipeline* const* first{};
    std::size_t count{};
};
template <splitdsl::instruction_set Set>
compiled_row compiled_words();

} // namespace numeric

#if !defined(SPLITDSL_PIPELINE_ISA)
#include <splitdsl/gpu/program.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <span>
#include <vector>

namespace numeric {

/// Every word's network (word_networks.hpp), and a row for every set that was built, narrowest first; empty if it does not run here.
std::span<const splitdsl::graph::description> word_descriptions();
std::vector<compiled_row> word_rows();
std::span<const splitdsl::gpu::program> word_programs();
/// The networks of tests/static/networks.hpp.
std::span<const splitdsl::graph::description> shape_descriptions();
std::vector<compiled_row> shape_rows();
std::span<const splitdsl::gpu::program> shape_programs();

} // namespace numeric
#endif
