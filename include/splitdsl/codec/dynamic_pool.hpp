// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool.hpp
/// Sizes of a dynamically pooled map, as the codec uses them: the ladder of `graph/pool_ladder.hpp`, lists of sizes, and Eq. 1.
#pragma once

#include <splitdsl/graph/pool_ladder.hpp>

#include <algorithm>
#include <span>

namespace splitdsl {

/// Checks a list of sizes (of the longer side).
constexpr pool_ladder_result try_pool_ladder(const pool_shape& shape, std::span<const int> sizes) noexcept {
    return try_pool_ladder(shape, sizes.data(), sizes.size());
}

/// Bytes of a channel group that FLEET's Eq. 1 lets a layer send while the next one runs for `next_layer_us`.
/// As printed (floor, one packet an interval), and as its worked example computes (ceil, several packets).
constexpr std::int64_t largest_payload_as_printed(std::int64_t next_layer_us, std::int64_t interval_us,
                                                  std::int64_t packet_bytes) noexcept {
    return packet_bytes * (next_layer_us / interval_us);
}
constexpr std::int64_t largest_payload_as_computed(std::int64_t next_layer_us, std::int64_t interval_us, std::int64_t packet_bytes,
                                                   std::int64_t packets_per_interval) noexcept {
    return packet_bytes * packets_per_interval * ((next_layer_us + interval_us - 1) / interval_us);
}

} // namespace splitdsl
