// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pool_code.hpp
/// The dynamic pooling of the instruction set this file is compiled for, behind plain function pointers.
#pragma once

#include <kernels/simd/dynamic_pool.hpp>
#include <splitdsl/codec/dynamic_pool_kernels.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

inline finite_range pool_range(const float* values, std::size_t count) {
    const kernels::simd::value_range r = kernels::simd::range_of_any_zero(values, count);
    return {r.low, r.high, r.any};
}
inline void pool_quantise(const float* values, std::size_t count, affine_parameters with, std::uint8_t* to) {
    kernels::simd::quantise_u8(values, count, with.scale, static_cast<float>(with.zero_point), to);
}

static_assert(pool_kernels::overrun >= static_cast<std::size_t>(2 * kernels::simd::pool_overrun));
inline constexpr pool_kernels pool_code{&kernels::simd::patch_means, &pool_range, &pool_quantise, &kernels::simd::lift_cells<std::uint8_t>,
                                        &kernels::simd::lift_cells<std::int16_t>};

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
