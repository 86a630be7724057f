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

#if !defined(SPLITDSL_PIPELINE_ISA)
namespace numeric {
namespace {
template <class... Networks>
std::span<const splitdsl::graph::description> describe_all(std::tuple<Networks...>*) {
    static const splitdsl::graph::description list[]{splitdsl::graph::description_of<Networks>()...};
    return list;
}
template <splitdsl::instruction_set Set, class... Networks>
compiled_row row_of(std::tuple<Networks...>*) {
    static const splitdsl::pipeline* const list[]{&splitdsl::compiled_pipeline<Networks, Set>()...};
    return {Set, list, sizeof...(Networks)};
}
} // namespace
std::span<const splitdsl::graph::description> shape_descriptions() { return describe_all(static_cast<shapes*>(nullptr)); }
std::vector<compiled_row> shape_rows() {
    shapes* const every = nullptr;
    std::vector<compiled_row> rows;
    // Even asking a set for its pipelines runs that set's instructions.
    const auto add = [&](splitdsl::instruction_set set, auto get) { rows.push_back(splitdsl::runs_here(set) ? get() : compiled_row{set, nullptr, 0}); };
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
    add(splitdsl::instruction_set::baseline, [&] { return row_of<splitdsl::instruction_set::baseline>(every); });
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
    add(splitdsl::instruction_set::neon, [&] { return row_of<splitdsl::instruction_set::neon>(every); });
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
    add(splitdsl::instruction_set::avx2_fma, [&] { return row_of<splitdsl::instruction_set::avx2_fma>(every); });
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx512)
    add(splitdsl::instruction_set::avx512, [&] { return row_of<splitdsl::instruction_set::avx512>(every); });
#endif
    return rows;
}
} // namespace numeric
#endif
