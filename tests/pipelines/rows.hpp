// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file rows.hpp
/// What the base objects of tests/pipelines/ say of their networks: their descriptions, and a row for every instruction set built.
#pragma once

#include "../numeric/compiled_networks.hpp"

#include <tuple>
#include <type_traits>

namespace numeric {

template <class... Networks>
std::span<const splitdsl::graph::description> describe_all(std::tuple<Networks...>*) {
    static const splitdsl::graph::description list[]{splitdsl::graph::description_of<Networks>()...};
    return list;
}

template <class... Networks>
std::span<const splitdsl::gpu::program> list_programs(std::tuple<Networks...>*) {
    static const splitdsl::gpu::program list[]{splitdsl::gpu::program_of<Networks>()...};
    return list;
}

/// `row` takes a set as a `std::integral_constant`. Even asking a set for its pipelines runs that set's instructions.
template <class Row>
std::vector<compiled_row> rows_of_every_set(Row row) {
    using enum splitdsl::instruction_set;
    std::vector<compiled_row> rows;
    const auto add = [&](auto set) { rows.push_back(splitdsl::runs_here(set()) ? row(set) : compiled_row{set(), nullptr, 0}); };
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
    add(std::integral_constant<splitdsl::instruction_set, baseline>{});
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
    add(std::integral_constant<splitdsl::instruction_set, neon>{});
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
    add(std::integral_constant<splitdsl::instruction_set, avx2_fma>{});
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx512)
    add(std::integral_constant<splitdsl::instruction_set, avx512>{});
#endif
    return rows;
}

} // namespace numeric
