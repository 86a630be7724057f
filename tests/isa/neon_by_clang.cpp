// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file neon_by_clang.cpp
/// What neon_by_clang.py compiles: every kernel's text, and the one instruction that clang has to be given as a number.
#include <kernels/simd/simd.hpp>

namespace simd = splitdsl::kernels::simd;

/// Arguments arrive in v0, v1 and x0.
extern "C" simd::ints four_products(simd::ints sum, int8x16_t x, const std::int8_t* w) { return simd::dot_by_four::four(sum, x, w); }

void whole_picture(const simd::extent& e, const std::uint8_t* bytes, const simd::byte_view& out) {
    simd::load_u8(e, bytes, simd::byte_order::planar, out, e.height * e.width, 0, simd::load_u8_tasks(e));
}
