// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file inner_loops.cpp
/// What inner_loops.py compiles and takes apart: the convolutions' kernels, as a user's -O2 makes them.
#include <kernels/simd/simd.hpp>

namespace simd = splitdsl::kernels::simd;

void whole_layer(const simd::conv_shape& c, const simd::const_view& in, const simd::view& out, const float* packed, const simd::epilogue& then) {
    simd::direct_conv(c, in, out, packed, then, 0, simd::direct_conv_tasks(c));
    simd::depthwise_conv(c, in, out, packed, then, 0, simd::depthwise_conv_tasks(c));
}
