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
void quantise(const float* x, std::size_t count, affine_parameters with, std::uint8_t* q) {
    simd::quantise_u8(x, count, with.scale, static_cast<float>(with.zero_point), q);
    asm volatile("" : : "r"(q) : "memory");
}
void dequantise(const std::uint8_t* q, std::size_t count, affine_parameters with, float* x) {
    simd::dequantise_u8(q, count, with.scale, static_cast<float>(with.zero_point), x);
    asm volatile("" : : "r"(x) : "memory");
}
void range(const float* x, std::size_t count) {
    const simd::value_range r = simd::range_of_any_zero(x, count);
    asm volatile("" : : "r"(&r) : "memory");
}
constexpr codec_code code{simd::arch_name, &splitdsl::execution::pool_code, &quantise, &dequantise, &range};
} // namespace
} // namespace SPLITDSL_ARCH

template <>
const codec_code& codec_code_for<splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() {
    return code;
}

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#include "../../chosen_set.hpp"

const codec_code& chosen_codec_code() {
    return timed::chosen_set([](auto set) -> const codec_code& { return codec_code_for<decltype(set)::value>(); });
}

#endif
