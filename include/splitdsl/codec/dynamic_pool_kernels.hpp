// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_kernels.hpp
/// What an instruction set's object does for `dynamic_pool_encoder`, as function pointers: the same bits as the encoder's own loops, sooner.
#pragma once

#include <splitdsl/codec/affine.hpp>

namespace splitdsl {

/// A pipeline with dynamic_pool streams has one (`pipeline::pooling`). Results may run `overrun` values over their ends, reads `overrun` bytes.
struct pool_kernels {
    static constexpr std::size_t overrun = 128;

    /// Means over patches of side x side: `rows` rows, those of all channels one below the other, of `columns` patches. `sums`: a row of the map.
    void (*patch_means)(const float* map, int rows, int columns, int side, float* means, float* sums){};
    /// `range_of`, but which zero an end of 0 is.
    finite_range (*range)(const float* values, std::size_t count){};
    /// `quantise<std::uint8_t>` of each.
    void (*quantise)(const float* values, std::size_t count, affine_parameters with, std::uint8_t* to){};
    /// Quarters of an octave of one channel into its planes of rows x columns cells (`detail::lift_octave`): levels, or the finer octave's plane P.
    void (*lift_levels)(const std::uint8_t* quarters, int rows, int columns, const std::int16_t* row_wise_from, std::int16_t* p, std::int16_t* d,
                        std::int16_t* e, std::int16_t* f){};
    void (*lift_plane)(const std::int16_t* quarters, int rows, int columns, const std::int16_t* row_wise_from, std::int16_t* p, std::int16_t* d,
                       std::int16_t* e, std::int16_t* f){};
};

} // namespace splitdsl
