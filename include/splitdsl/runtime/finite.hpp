// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file finite.hpp
/// Whether values can be an answer, an exit's or a weight: all of them finite.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace splitdsl {

/// No value is a NaN or an infinity. Cost: one pass of integer maxima, for the largest magnitude tells of all.
inline bool all_finite(std::span<const float> values) noexcept {
    std::int32_t largest = 0;
    for (const float v : values) largest = std::max(largest, static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(v) & 0x7fffffffU));
    return largest < 0x7f800000;
}

} // namespace splitdsl
