// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file words.cpp
/// Every word's network, compiled once per instruction set; the base object describes them and lists the sets.
#include "../numeric/compiled_networks.hpp"
#include "../numeric/word_networks.hpp"

#if defined(SPLITDSL_PIPELINE_ISA)
#include <splitdsl/runtime/executor.hpp>

namespace numeric {
namespace {
template <class... Networks>
compiled_row row_of(std::tuple<Networks...>*) {
    static const splitdsl::pipeline* const list[]{&splitdsl::execution::compiled<Networks>()...};
    return {splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA, list, sizeof...(Networks)};
}
} // namespace
template <>
compiled_row compiled_words<splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() { return row_of(static_cast<words::all*>(nullptr)); }
} // namespace numeric

#else
#include "rows.hpp"

namespace numeric {
std::span<const splitdsl::graph::description> word_descriptions() { return describe_all(static_cast<words::all*>(nullptr)); }
std::span<const splitdsl::gpu::program> word_programs() { return list_programs(static_cast<words::all*>(nullptr)); }
std::vector<compiled_row> word_rows() {
    return rows_of_every_set([](auto set) { return compiled_words<decltype(set)::value>(); });
}
} // namespace numeric
#endif
