// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dispatch.hpp
/// Which code runs a network: what this file is compiled for, or the best of several objects, chosen at start.
///
/// Header-only use takes what the including file is compiled for: include <splitdsl/runtime/executor.hpp> and call
/// `pipeline_of<Network>()`. To run fast from a generic binary, put the network's definition into a source of its own, list it in
/// CMake's `splitdsl_add_pipeline`, and declare it where it is used:
///
/// ```cpp
/// // lane_keeper.hpp                              // lane_keeper.cpp, compiled once per instruction set
/// struct lane_keeper { ... };                     #include "lane_keeper.hpp"
/// SPLITDSL_DISPATCHED(lane_keeper)                #include <splitdsl/runtime/define_pipeline.hpp>
///                                                 SPLITDSL_DEFINE_PIPELINE(lane_keeper)
/// ```
#pragma once

#include <kernels/simd/arch.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <cstdlib>
#include <string>
#include <type_traits>

namespace splitdsl {

/// The instruction sets that `splitdsl_add_pipeline` builds.
enum class instruction_set : std::uint8_t { baseline, sse4_2, avx2_fma, avx512, neon };
constexpr const char* name_of(instruction_set s) {
    constexpr const char* names[]{"baseline", "sse4_2", "avx2_fma", "avx512", "neon"};
    return names[static_cast<int>(s)];
}
/// Whether this processor (and its operating system) runs an instruction set.
inline bool runs_here(instruction_set s) {
#if defined(__x86_64__)
    switch (s) {
    case instruction_set::baseline: return true;
    case instruction_set::sse4_2: return __builtin_cpu_supports("sse4.2");
    case instruction_set::avx2_fma: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case instruction_set::avx512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case instruction_set::neon: return false;
    }
    return false;
#else
    return s == instruction_set::baseline || s == instruction_set::neon;
#endif
}

/// Defined by the objects of `splitdsl_add_pipeline`. Ask `runs_here(Set)` first: on a processor without the set the first call ends the
/// program with an illegal instruction. `dispatched_pipeline` and `pipeline_of` do.
template <class Network, instruction_set Set>
const pipeline& compiled_pipeline();
template <class Network>
const pipeline& dispatched_pipeline();
template <class Network>
inline constexpr bool is_dispatched = false;

struct pipeline_candidate {
    instruction_set set{};
    const pipeline& (*get)(){};
};
/// The widest candidate that runs here, or the one the environment variable SPLITDSL_ISA names.
/// Throws `option_error` if that one is unknown, was not built, or does not run on this processor.
inline const pipeline& choose_pipeline(const pipeline_candidate* candidates, int count) {
    const char* wanted = std::getenv("SPLITDSL_ISA");
    std::string offered;
    for (int i = 0; i < count; ++i) {
        const bool runs = runs_here(candidates[i].set);
        if (wanted && *wanted ? std::string(wanted) == name_of(candidates[i].set) && runs : runs) return candidates[i].get();
        offered += std::string(offered.empty() ? "" : ", ") + name_of(candidates[i].set) + (runs ? "" : " (not on this processor)");
    }
    throw option_error("SPLITDSL_ISA: expected one of " + offered + ", found \"" + (wanted ? wanted : "") + "\"");
}

inline namespace SPLITDSL_ARCH {
struct this_instruction_set {};
} // namespace SPLITDSL_ARCH

/// The code that runs a network here.
template <class Network, class Here = this_instruction_set>
const pipeline& pipeline_of() {
    if constexpr (is_dispatched<Network>) return dispatched_pipeline<Network>();
    else {
        static_assert(requires { compiled_in(std::type_identity<Network>{}, Here{}); },
                      "splitdsl: nothing compiles this network here. Include <splitdsl/runtime/executor.hpp>, or declare it with SPLITDSL_DISPATCHED and list its source in splitdsl_add_pipeline.");
        return compiled_in(std::type_identity<Network>{}, Here{});
    }
}

} // namespace splitdsl

/// Says that a network's code comes from `splitdsl_add_pipeline`. At namespace scope, outside every namespace.
#define SPLITDSL_DISPATCHED(Network)                                           \
    template <>                                                                \
    inline constexpr bool splitdsl::is_dispatched<Network> = true;             \
    template <>                                                                \
    const splitdsl::pipeline& splitdsl::dispatched_pipeline<Network>();
