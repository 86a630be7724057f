// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool.hpp
/// Sizes of a dynamically pooled map, as the codec uses them: the ladder of `graph/pool_ladder.hpp` and lists of sizes. How many bytes a size may have (Eq. 1): `radio::largest_feature`.
#pragma once

#include <splitdsl/graph/pool_ladder.hpp>

#include <algorithm>
#include <span>

namespace splitdsl {

/// Checks a list of sizes (of the longer side).
constexpr pool_ladder_result try_pool_ladder(const pool_shape& shape, std::span<const int> sizes) noexcept {
    return try_pool_ladder(shape, sizes.data(), sizes.size());
}

} // namespace splitdsl
