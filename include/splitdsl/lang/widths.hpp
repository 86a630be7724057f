// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file widths.hpp
/// How a stream grows by channels: the first of them whole, then more, until all are there.
#pragma once

#include <array>
#include <concepts>

namespace splitdsl {

inline constexpr int max_stream_widths = 8;

/// What `stream` takes in place of a codec or of `dynamic_pool`.
struct width_choice {
    std::array<int, max_stream_widths> channels{}; ///< of each width, those before it included
    int count{};
};

/// CLIO's widths of a stream: 8 bits a value, the first channels in full size, then those of the next width; nothing is sent twice.
/// Shapes: (n, h, w) -> the same; channels of a width that is not complete are 0 for who reads it, and `by_sizes` counts complete widths.
/// Refused: widths that do not grow to exactly n (SD319).
/// ```cpp
/// stream("cut", identity(), widths(4, 8, 16, 32)) // of 32 channels: an eighth of them, a quarter, half, all
/// ```
/// Source: CLIO (Huang et al., MobiCom 2020), as FLEET's section 4.1 compares with it.
template <std::same_as<int>... Channels>
constexpr width_choice widths(Channels... channels) {
    static_assert(sizeof...(Channels) >= 1 && sizeof...(Channels) <= max_stream_widths, "splitdsl: a stream has one to eight widths.");
    return {{channels...}, static_cast<int>(sizeof...(Channels))};
}

} // namespace splitdsl
