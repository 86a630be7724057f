// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_kernels.hpp
/// What an instruction set's object does for `dynamic_pool_encoder`, as function pointers: the same bits as the encoder's own loops, sooner.
#pragma once

#include <splitdsl/codec/dynamic_pool_cells.hpp>

#include <vector>

namespace splitdsl {

/// An octave of one channel: how its cells, row by row, are split, and where their coefficients go, one plane behind the other.
struct pool_cells {
    int rows{}, columns{};
    /// Of each cell, -1 or 0. Its halves are left and right (else top and bottom); and for the paper's form alone: the first level does not split
    /// it, or not into quarters; some level shows it in halves.
    const std::int16_t *column_wise{}, *shown_whole{}, *shown_in_halves{}, *halves_first{};
    std::int16_t *p{}, *d{}, *e{}, *f{};
    bool past_caches{}; ///< together with the map they are more than caches hold, and nothing reads them before `settle`
};

/// A pipeline with dynamic_pool streams has one (`pipeline::pooling`). What is read may be `overrun` values longer than said, and so may `whole`.
struct pool_kernels {
    static constexpr std::size_t overrun = 128;
    /// Floats from one of a channel's four planes of quarters to the next.
    static constexpr std::size_t plane(std::size_t cells) { return (std::max(cells, std::size_t{16}) + 31) / 16 * 16; }

    /// Means over patches of side x side, quarters of rows x columns cells a channel, into four planes a channel: top left, top right, bottom left,
    /// bottom right. Their range, but which zero an end of 0 is. `sums`: a row of the map.
    finite_range (*quarters)(const float* map, int channels, int rows, int columns, int side, float* planes, float* sums){};
    /// `range_of`, but which zero an end of 0 is.
    finite_range (*range)(const float* values, std::size_t count){};
    /// A channel's quarters into the exact form's coefficients: from its planes, or row by row with `room` for its planes and nothing read from `end` on.
    /// `next`: the planes of the channel that comes next, or null where all of them are near.
    void (*lift)(const float* planes, const float* next, const pool_cells& to, affine_parameters with){};
    void (*lift_rows)(const float* quarters, const float* end, const pool_cells& to, affine_parameters with, float* room){};
    /// The same from the finer octave's plane P, row by row.
    void (*lift_plane)(const std::int16_t* quarters, const pool_cells& to){};
    /// The paper's form, and means of cells to `whole`, row by row.
    void (*average)(const float* planes, const float* next, const pool_cells& to, affine_parameters with, float* whole){};
    void (*average_rows)(const float* quarters, const float* end, const pool_cells& to, affine_parameters with, float* room, float* whole){};
    /// Other threads see all coefficients that were written before.
    void (*settle)(){};
};

namespace detail {

/// The masks of an octave's cells, with room for a vector that runs over their end.
struct pool_masks {
    std::vector<std::int16_t> column_wise, shown_whole, shown_in_halves, halves_first;

    pool_masks() = default;
    pool_masks(const octave_view& o, pool_form form) {
        const auto mask = [](bool set) { return static_cast<std::int16_t>(set ? -1 : 0); };
        for (int r = 0; r < o.rows; ++r)
            for (int c = 0; c < o.columns; ++c) {
                column_wise.push_back(mask(c < o.row_wise_from[r]));
                if (form == pool_form::lifted) continue;
                shown_whole.push_back(mask(std::min(o.row_level[r], o.column_level[c]) > 0));
                shown_in_halves.push_back(mask(std::max(o.row_level[r], o.column_level[c]) > 0));
                halves_first.push_back(mask(o.row_level[r] != o.column_level[c]));
            }
        for (auto* all : {&column_wise, &shown_whole, &shown_in_halves, &halves_first}) all->resize(all->size() + pool_kernels::overrun);
    }
    pool_cells cells(const octave_view& o) const noexcept {
        return {o.rows, o.columns, column_wise.data(), shown_whole.data(), shown_in_halves.data(), halves_first.data(), o.p, o.d, o.e, o.f, false};
    }
};

} // namespace detail
} // namespace splitdsl
