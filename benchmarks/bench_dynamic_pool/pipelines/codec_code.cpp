// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file codec_code.cpp
/// The kernels behind codec_code, compiled once per instruction set, and the choice among them.
#include "../codec_code.hpp"

#if defined(SPLITDSL_PIPELINE_ISA)

#include <splitdsl/runtime/pool_code.hpp>

inline namespace SPLITDSL_ARCH {
namespace {
namespace simd = splitdsl::kernels::simd;
using splitdsl::affine_parameters;
void dequantise(const std::uint8_t* q, std::size_t count, affine_parameters with, float* x) {
    simd::dequantise_u8(q, count, with.scale, static_cast<float>(with.zero_point), x);
    asm volatile("" : : "r"(x) : "memory");
}
void range(const float* x, std::size_t count) {
    const simd::value_range r = simd::range_of_any_zero(x, count);
    asm volatile("" : : "r"(&r) : "memory");
}
constexpr codec_code code{simd::arch_name, &splitdsl::execution::pool_code, &splitdsl::execution::pool_quantise, &dequantise, &range};
} // namespace
} // namespace SPLITDSL_ARCH

template <>
const codec_code& codec_code_for<splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() {
    return code;
}

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#include <splitdsl/error.hpp>

#include <cstdlib>
#include <string>

const codec_code& chosen_codec_code() {
    using splitdsl::instruction_set;
    struct candidate {
        instruction_set set;
        const codec_code& (*get)();
    };
    constexpr candidate candidates[]{
#if defined(SPLITDSL_PIPELINE_HAS_avx512)
        {instruction_set::avx512, &codec_code_for<instruction_set::avx512>},
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
        {instruction_set::avx2_fma, &codec_code_for<instruction_set::avx2_fma>},
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
        {instruction_set::neon, &codec_code_for<instruction_set::neon>},
#endif
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
        {instruction_set::baseline, &codec_code_for<instruction_set::baseline>},
#endif
    };
    const char* wanted = std::getenv("SPLITDSL_ISA");
    for (const candidate& c : candidates)
        if (splitdsl::runs_here(c.set) && (!wanted || !*wanted || std::string{wanted} == name_of(c.set))) return c.get();
    throw splitdsl::option_error(std::string{"SPLITDSL_ISA: expected an instruction set that was built and runs here, found \""} + wanted + "\"");
}

#endif
