// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_tiles.hpp
/// Which layers on bytes are products of matrices on tensor cores, and in tiles of what size.
#pragma once

#include <kernels/cudnn/source/all.hpp>
#include <splitdsl/gpu/program.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>

namespace splitdsl::gpu {

namespace cudnn = kernels::cudnn;

inline constexpr int tiles_need = 75;               ///< compute capability
inline constexpr int least_rows_of_tiles = 8;       ///< of a dense layer: half a tile's

constexpr std::size_t sixty_fours(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
/// Bytes that a tap has in the depth: those of a pixel.
inline int tap_bytes(const program& p, const step& s) {
    const graph::buffer& in = p.buffers[static_cast<std::size_t>(s.plan.in)];
    return graph::byte_pitch(in.of.channels, in.range < 0);
}
inline std::size_t tile_depth(const program& p, const step& s) { return sixty_fours(static_cast<std::size_t>(s.from.kernel.height) * static_cast<std::size_t>(s.from.kernel.width) * static_cast<std::size_t>(tap_bytes(p, s))); }

/// Whether a convolution runs in tiles, with its weights laid out for them. Narrower than half the narrowest tile it does not, nor where 32 bits do not count it.
inline bool runs_in_tiles(const program& p, const step& s, int compute_capability) {
    if (s.plan.kind != graph::step_kind::conv_u8 || compute_capability < tiles_need) return false;
    const shape &in = p.buffers[static_cast<std::size_t>(s.plan.in)].of, &out = p.buffers[static_cast<std::size_t>(s.plan.out)].of;
    constexpr long long most = std::numeric_limits<int>::max();
    const long long pitch = tap_bytes(p, s), pieces = static_cast<long long>(tile_depth(p, s)) / 16;
    return out.channels > 8 && (static_cast<long long>(out.height) * out.width + 2) * 64 < most && static_cast<long long>(in.height) * in.width * pitch < most && pieces * std::max<long long>(pitch / 16, 4 * s.from.kernel.width) < most;
}

struct byte_tile {
    cudnn::kernel is;
    int rows, columns;
};
inline constexpr byte_tile byte_tiles[]{{cudnn::kernel::convolve_tiles_16x16, 16, 16}, {cudnn::kernel::convolve_tiles_16x32, 16, 32}, {cudnn::kernel::convolve_tiles_32x32, 32, 32},
                                        {cudnn::kernel::convolve_tiles_64x32, 64, 32}, {cudnn::kernel::convolve_tiles_64x64, 64, 64}, {cudnn::kernel::convolve_tiles_128x64, 128, 64}};
inline constexpr byte_tile picture_tile{cudnn::kernel::convolve_tiles_of_picture, 128, 64}, dense_tile{cudnn::kernel::multiply_row_tiles, 16, 16};

constexpr long long tiles_of(int tile_rows, int tile_columns, long long rows, long long columns) { return (rows + tile_rows - 1) / tile_rows * ((columns + tile_columns - 1) / tile_columns); }
constexpr long long tiles_of(const byte_tile& t, long long rows, long long columns) { return tiles_of(t.rows, t.columns, rows, columns); }

/// Clocks of the multiprocessor that has most of them; `depth` in bytes. Estimates, not measured: a multiprocessor takes in 32 bytes a clock from the second-level cache where all do,
/// multiplies 2,048 bytes a clock (of 16-bit values half as many numbers), and ends four of a tile's results a clock; blocks that share it share these. So a small map has small tiles, as many as
/// there are multiprocessors.
constexpr long long clocks_of_tile(int tile_rows, int tile_columns, long long rows, long long columns, long long depth, int multiprocessors) {
    const long long blocks = (tiles_of(tile_rows, tile_columns, rows, columns) + std::max(multiprocessors, 1) - 1) / std::max(multiprocessors, 1);
    return blocks * (std::max((tile_rows + tile_columns) * depth / 32, tile_rows * tile_columns * depth / 2048) + tile_rows * tile_columns / 4);
}
/// The tile with the fewest of them.
constexpr const byte_tile& byte_tile_for(long long rows, long long columns, long long depth, int multiprocessors) {
    const byte_tile* best = byte_tiles;
    long long least = std::numeric_limits<long long>::max();
    for (const byte_tile& t : byte_tiles) {
        const long long clocks = clocks_of_tile(t.rows, t.columns, rows, columns, depth, multiprocessors);
        if (clocks < least) least = clocks, best = &t;
    }
    return *best;
}

/// A step's tile, for `images` frames together; null: it does not run in tiles.
inline const byte_tile* tile_of(const program& p, const step& s, int images, int compute_capability, int multiprocessors) {
    if (s.plan.kind == graph::step_kind::dense_u8) return images >= least_rows_of_tiles && compute_capability >= tiles_need ? &dense_tile : nullptr;
    if (!runs_in_tiles(p, s, compute_capability)) return nullptr;
    const shape& out = p.buffers[static_cast<std::size_t>(s.plan.out)].of;
    if (tap_bytes(p, s) < 16) return &picture_tile;
    return &byte_tile_for(static_cast<long long>(images) * out.height * out.width, out.channels, static_cast<long long>(tile_depth(p, s)), multiprocessors);
}

/// As the kernels divide by it; exact where a number times `by` is below 2^31.
constexpr unsigned reciprocal(int by) { return static_cast<unsigned>(((1LL << 31) + by - 1) / by); }

/// `w`: of the whole step, `w.in.pixel` bytes a tap.
inline cudnn::byte_tile_job byte_tile_job_of(const cudnn::byte_window_job& w, int images) {
    const int taps = w.kernel_h * w.kernel_w, bytes = taps * w.in.pixel, tap_pieces = (w.in.pixel + 15) / 16;
    return {w, images * w.out_height * w.out_width, static_cast<int>(sixty_fours(static_cast<std::size_t>(bytes))), (bytes + 15) / 16, tap_pieces, reciprocal(tap_pieces), reciprocal(w.kernel_w), 0, 0};
}

} // namespace splitdsl::gpu
