// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file chosen_set.hpp
/// Which instruction set's object a benchmark times; for the dispatcher's file of its pipelines, which knows those that were built.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/runtime/dispatch.hpp>

#include <cstdlib>
#include <string>
#include <type_traits>

namespace timed {

/// `get`, called with the widest set that was built and runs here, or the one SPLITDSL_ISA names, as an integral constant.
template <class Get>
const auto& chosen_set(Get get) {
    using splitdsl::instruction_set;
    const char* const wanted = std::getenv("SPLITDSL_ISA");
    const auto usable = [&](instruction_set s) { return splitdsl::runs_here(s) && (!wanted || !*wanted || std::string{wanted} == name_of(s)); };
#if defined(SPLITDSL_PIPELINE_HAS_avx512)
    if (usable(instruction_set::avx512)) return get(std::integral_constant<instruction_set, instruction_set::avx512>{});
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
    if (usable(instruction_set::avx2_fma)) return get(std::integral_constant<instruction_set, instruction_set::avx2_fma>{});
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
    if (usable(instruction_set::neon)) return get(std::integral_constant<instruction_set, instruction_set::neon>{});
#endif
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
    if (usable(instruction_set::baseline)) return get(std::integral_constant<instruction_set, instruction_set::baseline>{});
#endif
    throw splitdsl::option_error("SPLITDSL_ISA: expected an instruction set that was built and runs here, found \"" + std::string{wanted ? wanted : ""} + "\"");
}

} // namespace timed
