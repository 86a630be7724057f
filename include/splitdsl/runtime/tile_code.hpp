// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_code.hpp
/// One instruction set's code for a network's tiles, as plain function pointers, and what a tile is given.
#pragma once

#include <cstddef>
#include <cstdint>

namespace splitdsl {

/// Where a tile's values come from and go to. Maps are planar floats: `row` and `plane` are the floats from a row, and from a channel, to the next.
struct tile_ends {
    const float* in{};                  ///< of the map that enters the segment: the region's first value; or a payload's bytes
    std::ptrdiff_t in_row{}, in_plane{};
    float* out{};                       ///< of the map that leaves it; or a payload's bytes
    std::ptrdiff_t out_row{}, out_plane{};
    const void* const* raw{};           ///< for each step that loads a raw input, in order: its region, without gaps
    float* outputs{};                   ///< the network's, if the segment has some
};

/// `layout`: a `graph::tile_layout` of this network, made for `lanes`. Steps [first, last) are a part of it: a device packs and runs no others.
struct tile_code {
    const char* instruction_set{};
    int lanes{};
    std::size_t (*packed_bytes)(const float* const* parameters, int first, int last){};
    void (*pack)(const float* const* parameters, int first, int last, std::byte* packed, std::uint32_t* line_of){};
    void (*run)(const void* layout, const std::uint32_t* line_of, const std::byte* packed, std::byte* arena, const tile_ends& ends){};
    /// Output channels [begin, end) of one step alone.
    std::size_t (*share_bytes)(const float* const* parameters, int step, int begin, int end){};
    void (*pack_share)(const float* const* parameters, int step, int begin, int end, std::byte* packed){};
};

} // namespace splitdsl
