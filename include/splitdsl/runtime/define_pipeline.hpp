// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file define_pipeline.hpp
/// For the source files of `splitdsl_add_pipeline` only: SPLITDSL_DEFINE_PIPELINE(Network) defines a network's code.
///
/// The build compiles such a file once per instruction set (SPLITDSL_PIPELINE_ISA), where the macro defines that set's code, and
/// once for the base (SPLITDSL_PIPELINE_DISPATCHER), where it defines the choice among them.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>

#if defined(SPLITDSL_PIPELINE_ISA)

#include <splitdsl/runtime/executor.hpp>

#define SPLITDSL_DEFINE_PIPELINE(Network)                                                                              \
    template <>                                                                                                        \
    const splitdsl::pipeline& splitdsl::compiled_pipeline<Network, splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() { \
        return splitdsl::execution::compiled<Network>();                                                               \
    }

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#if defined(SPLITDSL_PIPELINE_HAS_avx512)
#define SPLITDSL_CANDIDATE_AVX512(Network) {splitdsl::instruction_set::avx512, &splitdsl::compiled_pipeline<Network, splitdsl::instruction_set::avx512>},
#else
#define SPLITDSL_CANDIDATE_AVX512(Network)
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
#define SPLITDSL_CANDIDATE_AVX2(Network) {splitdsl::instruction_set::avx2_fma, &splitdsl::compiled_pipeline<Network, splitdsl::instruction_set::avx2_fma>},
#else
#define SPLITDSL_CANDIDATE_AVX2(Network)
#endif
#if defined(SPLITDSL_PIPELINE_HAS_sse4_2)
#define SPLITDSL_CANDIDATE_SSE4_2(Network) {splitdsl::instruction_set::sse4_2, &splitdsl::compiled_pipeline<Network, splitdsl::instruction_set::sse4_2>},
#else
#define SPLITDSL_CANDIDATE_SSE4_2(Network)
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
#define SPLITDSL_CANDIDATE_NEON(Network) {splitdsl::instruction_set::neon, &splitdsl::compiled_pipeline<Network, splitdsl::instruction_set::neon>},
#else
#define SPLITDSL_CANDIDATE_NEON(Network)
#endif
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
#define SPLITDSL_CANDIDATE_BASELINE(Network) {splitdsl::instruction_set::baseline, &splitdsl::compiled_pipeline<Network, splitdsl::instruction_set::baseline>},
#else
#define SPLITDSL_CANDIDATE_BASELINE(Network)
#endif

#define SPLITDSL_DEFINE_PIPELINE(Network)                                                                                  \
    template <>                                                                                                            \
    const splitdsl::pipeline& splitdsl::dispatched_pipeline<Network>() {                                                   \
        static constexpr splitdsl::pipeline_candidate candidates[]{SPLITDSL_CANDIDATE_AVX512(Network) SPLITDSL_CANDIDATE_AVX2(Network) \
                                                                       SPLITDSL_CANDIDATE_SSE4_2(Network) SPLITDSL_CANDIDATE_NEON(Network) SPLITDSL_CANDIDATE_BASELINE(Network)}; \
        static const splitdsl::pipeline& chosen = splitdsl::choose_pipeline(candidates, sizeof candidates / sizeof candidates[0]); \
        return chosen;                                                                                                     \
    }

#else

#define SPLITDSL_DEFINE_PIPELINE(Network)                                                                                  \
    static_assert(sizeof(Network) == 0, "splitdsl: this belongs into sources that splitdsl_add_pipeline() builds; elsewhere include <splitdsl/runtime/executor.hpp>");

#endif
