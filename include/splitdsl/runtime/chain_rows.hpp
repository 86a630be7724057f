// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file chain_rows.hpp
/// Some rows of a step, and the windows of maps that they are read from and written to.
#pragma once

#include <splitdsl/runtime/step_kernels.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

/// A tensor of which only some rows are there, from `first` on; rows in front of the tensor and behind it are its halo's.
struct sliding_map {
    simd::view at{};                ///< of `first`, less the zeros on its left
    placed of{};
    int first{};

    sliding_map() = default;
    sliding_map(const frame_memory& m, const placed& b) : at{written(m, b)}, of{b}, first{-b.top} {
        at.at -= std::ptrdiff_t{b.top} * at.row + std::ptrdiff_t{b.left} * simd::lanes;
    }
    int blocks() const { return simd::blocks_of(of.of.channels); }
    /// Bytes from the arena to row 0, which may not be there.
    std::ptrdiff_t row_0() const { return of.at - 4 * std::ptrdiff_t{first + of.top} * of.row; }

    /// The halo's zeros in front of the map, and those on both sides of all rows that it will ever hold.
    void zero_sides() const {
        const simd::view inside{at.at + std::ptrdiff_t{of.top} * at.row + std::ptrdiff_t{of.left} * simd::lanes, at.row, at.block};
        if (of.has_halo()) simd::zero_halo(inside, {of.of.channels, of.window - of.top, of.of.width}, {of.top, of.left, 0, of.right});
    }
    /// Those behind it.
    void zero_bottom() const {
        const simd::view behind{at.at + std::ptrdiff_t{of.of.height - first} * at.row + std::ptrdiff_t{of.left} * simd::lanes, at.row, at.block};
        if (of.bottom > 0) simd::zero_halo(behind, {of.of.channels, 0, of.of.width}, {0, of.left, of.bottom, of.right});
    }
    /// Rows [keep, end) move to the front, and behind a map's end its zeros.
    void slide(int keep, int end) {
        if (keep <= first) return;
        if (end == of.of.height) end += of.bottom;
        const std::ptrdiff_t distance = std::ptrdiff_t{keep - first} * at.row;
        for (int b = 0; b < blocks() && end > keep; ++b) {
            float* const to = at.at + b * at.block;
            __builtin_memmove(to, to + distance, static_cast<std::size_t>(end - keep) * static_cast<std::size_t>(at.row) * sizeof(float));
        }
        first = keep;
    }
};

/// A step's instruction for its output rows [begin, end): a step with fewer rows, its first ones' input that much further down. All kernels take the rows
/// of their input from `pad_top`, so that they see where the tensor ends as ever.
inline instruction rows_of(const instruction& c, int begin, int end, const sliding_map* in, const sliding_map& out) {
    instruction part = c;
    part.defines = false;           // halos are zeroed by the chain
    if (in) part.in.at = in->row_0();
    part.out.at = (c.out.window > 0 ? out.row_0() : c.out.at) + 4 * std::ptrdiff_t{begin} * c.out.row;
    if (c.addend.at >= 0) part.addend.at += 4 * std::ptrdiff_t{begin} * c.addend.row;
    part.payload_row = begin;
    part.out.of.height = part.conv.out_height = end - begin;
    part.conv.pad_top -= begin * c.conv.stride_h;
    if (c.rows.granule > 1) {       // Winograd's tiles
        const int tiles = simd::divide_up(end - begin, c.rows.granule) * simd::divide_up(c.conv.out_width, c.rows.granule);
        part.winograd.tasks = simd::smaller(c.winograd.tasks, simd::divide_up(tiles, c.winograd.chunk));
    }
    return part;
}

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
