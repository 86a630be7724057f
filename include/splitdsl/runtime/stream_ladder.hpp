// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_ladder.hpp
/// The levels of a pipeline's stream: sizes or widths, as declared.
#pragma once

#include <splitdsl/graph/pool_ladder.hpp>
#include <splitdsl/runtime/pipeline.hpp>

namespace splitdsl {

constexpr pool_ladder ladder_of(const stream_info& s) noexcept {
    const pool_shape map{s.channels, s.height, s.width, s.stride};
    width_choice by;
    for (const std::uint16_t w : s.widths)
        if (w > 0) by.channels[static_cast<std::size_t>(by.count++)] = w;
    return by.count > 0 ? pool_ladder_of(map, by) : pool_ladder_of(map, pool_sizes{s.smallest, s.largest, s.step});
}

} // namespace splitdsl
