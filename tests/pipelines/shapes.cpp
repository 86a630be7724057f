// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file shapes.cpp
/// The networks of tests/static/networks.hpp, compiled once per instruction set behind the dispatcher, as an application does it.
#include "../numeric/compiled_networks.hpp"
#include "../numeric/dispatched_shapes.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

SPLITDSL_DEFINE_PIPELINE(networks::sage)
SPLITDSL_DEFINE_PIPELINE(networks::fleet)
SPLITDSL_DEFINE_PIPELINE(networks::three_tier)
SPLITDSL_DEFINE_PIPELINE(networks::three_cameras)
SPLITDSL_DEFINE_PIPELINE(networks::three_tasks)
SPLITDSL_DEFINE_PIPELINE(networks::unet)
SPLITDSL_DEFINE_PIPELINE(networks::many_cuts)
SPLITDSL_DEFINE_PIPELINE(networks::fleet_pairs)
SPLITDSL_DEFINE_PIPELINE(networks::cut_once)

#if !defined(SPLITDSL_PIPELINE_ISA)
#include "rows.hpp"

namespace numeric {
namespace {
template <splitdsl::instruction_set Set, class... Networks>
compiled_row row_of(std::tuple<Networks...>*) {
    static const splitdsl::pipeline* const list[]{&splitdsl::compiled_pipeline<Networks, Set>()...};
    return {Set, list, sizeof...(Networks)};
}
} // namespace
std::span<const splitdsl::graph::description> shape_descriptions() { return describe_all(static_cast<shapes*>(nullptr)); }
std::span<const splitdsl::gpu::program> shape_programs() { return list_programs(static_cast<shapes*>(nullptr)); }
std::vector<compiled_row> shape_rows() {
    return rows_of_every_set([](auto set) { return row_of<decltype(set)::value>(static_cast<shapes*>(nullptr)); });
}
} // namespace numeric
#endif
