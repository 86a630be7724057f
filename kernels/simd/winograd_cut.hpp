// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file winograd_cut.hpp
/// How a Winograd convolution is cut into tasks, and how its picture lies.
#pragma once

#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Each task has its run of neighbouring tiles, of which a chunk at a time is transformed, multiplied and transformed back.
struct winograd_cut {
    int chunk = 0;                ///< tiles
    int tasks = 0;
    int pixel = lanes;            ///< of a picture with stride 2: floats from pixel to pixel, `lanes` or 4
    /// Of `tiles`, which are computed in sets of `set`: the first one of a task, or of none behind the last.
    SPLITDSL_INLINE constexpr int first_tile(int task, int tiles, int set = 1) const {
        return smaller(tiles, static_cast<int>(std::int64_t{task} * divide_up(tiles, set) / tasks) * set);
    }
};

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
