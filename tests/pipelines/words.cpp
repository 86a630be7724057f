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

namespace numeric {
namespace {
template <class... Networks>
std::span<const splitdsl::graph::description> describe_all(std::tuple<Networks...>*) {
    static const splitdsl::graph::description list[]{splitdsl::graph::description_of<Networks>()...};
    return list;
}
} // namespace
std::span<const splitdsl::graph::description> word_descriptions() { return describe_all(static_cast<words::all*>(nullptr)); }
std::vector<compiled_row> word_rows() {
    std::vector<compiled_row> rows;
    // Even asking a set for its pipelines runs that set's instructions.
    const auto add = [&](splitdsl::instruction_set set, auto get) { rows.push_back(splitdsl::runs_here(set) ? get() : compiled_row{set, nullptr, 0}); };
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
    add(splitdsl::instruction_set::baseline, [] { return compiled_words<splitdsl::instruction_set::baseline>(); });
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
    add(splitdsl::instruction_set::neon, [] { return compiled_words<splitdsl::instruction_set::neon>(); });
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
    add(splitdsl::instruction_set::avx2_fma, [] { return compiled_words<splitdsl::instruction_set::avx2_fma>(); });
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx512)
    add(splitdsl::instruction_set::avx512, [] { return compiled_words<splitdsl::instruction_set::avx512>(); });
#endif
    return rows;
}
} // namespace numeric
#endif
