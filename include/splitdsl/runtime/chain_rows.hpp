// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file chain_rows.hpp
/// Some rows of a step, and the windows of maps that they are read from and written to.
#pragma once

#include <splitdsl/runtime/step_kernels.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

/// From row to row.
SPLITDSL_INLINE std::ptrdiff_t row_bytes(const placed& b) { return b.is_u8 ? b.row : 4 * std::ptrdiff_t{b.row}; }

/// A tensor of which only some rows are there, from `first` on; rows in front of the tensor and behind it are its halo's.
struct sliding_map {
    std::byte* at{};                ///< of `first`, less the halo on its left
    placed of{};
    int first{};
    std::uint32_t around{};         ///< a halo's pixel, of a tensor of bytes

    sliding_map() = default;
    sliding_map(const frame_memory& m, const placed& b, std::uint32_t halo) : at{m.arena + b.start}, of{b}, first{-b.top}, around{halo} {}
    /// Bytes from the arena to row 0, which may not be there.
    std::ptrdiff_t row_0() const { return of.at - std::ptrdiff_t{first + of.top} * row_bytes(of); }

    /// The halo in front of the map, and that on both sides of all rows that it will ever hold.
    void fill_sides() const {
        if (of.has_halo()) fill(of.top, of.window - of.top, {of.top, of.left, 0, of.right});
    }
    /// That behind it.
    void fill_bottom() const {
        if (of.bottom > 0) fill(of.of.height - first, 0, {0, of.left, of.bottom, of.right});
    }
    /// Rows [keep, end) move to the front, and behind a map's end its halo.
    void slide(int keep, int end) {
        if (keep <= first) return;
        if (end == of.of.height) end += of.bottom;
        const std::ptrdiff_t row = row_bytes(of), block = of.is_u8 ? 0 : 4 * std::ptrdiff_t{of.block};
        const int blocks = of.is_u8 ? 1 : simd::blocks_of(of.of.channels);
        for (int b = 0; b < blocks && end > keep; ++b) {
            std::byte* const to = at + b * block;
            __builtin_memmove(to, to + (keep - first) * row, static_cast<std::size_t>((end - keep) * row));
        }
        first = keep;
    }

private:
    /// Around `rows` rows from the `begin`th of those that are there on.
    void fill(int begin, int rows, const simd::halo& h) const {
        const simd::extent inside{of.of.channels, rows, of.of.width};
        std::byte* const from = at + begin * row_bytes(of);
        if (of.is_u8) simd::byte_halo({reinterpret_cast<std::uint8_t*>(from) + std::ptrdiff_t{of.left} * of.block, of.row, of.block}, inside, h, around);
        else if (of.in_quads) simd::zero_halo_of_quads({reinterpret_cast<float*>(from) + std::ptrdiff_t{of.left} * 4, of.row, of.block}, inside, h);
        else simd::zero_halo({reinterpret_cast<float*>(from) + std::ptrdiff_t{of.left} * simd::lanes, of.row, of.block}, inside, h);
    }
};

/// A step's instruction for its output rows [begin, end): a step with fewer rows, its first ones' input that much further down. All kernels take the rows
/// of their input from `pad_top`, so that they see where the tensor ends as ever.
inline instruction rows_of(const instruction& c, int begin, int end, const sliding_map* in, const sliding_map& out) {
    instruction part = c;
    part.defines = false;           // halos are zeroed by the chain
    if (in) part.in.at = in->row_0();
    part.out.at = (c.out.window > 0 ? out.row_0() : c.out.at) + begin * row_bytes(c.out);
    if (c.addend.at >= 0) part.addend.at += begin * row_bytes(c.addend);
    part.payload_row = begin;
    part.out.of.height = part.conv.out_height = end - begin;
    part.conv.pad_top -= begin * c.conv.stride_h;
    if (c.rows.granule > 1) {       // Winograd's tiles, of one column if their kernel is
        const int tiles = simd::divide_up(end - begin, c.rows.granule) * simd::divide_up(c.conv.out_width, c.conv.kernel_w == 1 ? 1 : c.rows.granule);
        part.winograd.tasks = simd::smaller(c.winograd.tasks, simd::divide_up(tiles, c.winograd.chunk));
    }
    return part;
}

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
