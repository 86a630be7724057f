// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file winograd_cut.hpp
/// How a Winograd convolution is cut into tasks, and how its picture lies.
#pragma once

#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Task k goes over chunks k, k + tasks, k + 2 tasks ... of tiles, each transformed, multiplied and transformed back before the next.
struct winograd_cut {
    int chunk = 0;                ///< tiles
    int tasks = 0;
    int pixel = lanes;            ///< of a picture with stride 2: floats from pixel to pixel, `lanes` or 4
};

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
