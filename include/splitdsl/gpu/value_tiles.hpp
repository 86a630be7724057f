// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file value_tiles.hpp
/// Which convolutions of 16-bit values may run as products of matrices in our own kernels, in tiles of what size, and what in front of them melts in.
#pragma once

#include <kernels/cudnn/convolution.hpp>
#include <splitdsl/gpu/arena.hpp>
#include <splitdsl/gpu/byte_tiles.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <vector>

namespace splitdsl::gpu {

inline constexpr int value_tiles_need = 80;         ///< compute capability

struct value_tile {
    cudnn::kernel of_halves, of_bfloats;
    int rows, columns;
    cudnn::kernel is(cudnn::element e) const { return e == cudnn::element::f16 ? of_halves : of_bfloats; }
};
inline constexpr value_tile value_tiles[]{{cudnn::kernel::convolve_half_tiles_16x16, cudnn::kernel::convolve_bfloat_tiles_16x16, 16, 16},
                                          {cudnn::kernel::convolve_half_tiles_16x32, cudnn::kernel::convolve_bfloat_tiles_16x32, 16, 32},
                                          {cudnn::kernel::convolve_half_tiles_32x32, cudnn::kernel::convolve_bfloat_tiles_32x32, 32, 32},
                                          {cudnn::kernel::convolve_half_tiles_64x32, cudnn::kernel::convolve_bfloat_tiles_64x32, 64, 32},
                                          {cudnn::kernel::convolve_half_tiles_64x64, cudnn::kernel::convolve_bfloat_tiles_64x64, 64, 64},
                                          {cudnn::kernel::convolve_half_tiles_128x64, cudnn::kernel::convolve_bfloat_tiles_128x64, 128, 64}};

/// Whether the kernels take it: pixels of whole 16-byte pieces (8 values), results of whole fours, sizes that 32 bits count.
inline bool runs_in_value_tiles(const cudnn::convolution_shape& c, int compute_capability) {
    constexpr long long most = std::numeric_limits<int>::max();
    const long long pieces = static_cast<long long>(c.kernel_h) * c.kernel_w * (c.in_channels / 8), rows = static_cast<long long>(c.images) * c.out_height * c.out_width;
    return c.type != cudnn::element::f32 && compute_capability >= value_tiles_need && c.groups == 1 && c.in_channels % 8 == 0 && c.in_pixel % 8 == 0 && c.out_channels % 4 == 0 && c.out_pixel % 4 == 0 &&
           c.addend_pixel % 4 == 0 && 2LL * c.in_height * c.in_width * c.in_pixel < most && (rows + 128) * ((c.out_channels + 15) / 16) < most &&
           pieces * std::max(c.in_channels / 8, 4 * c.kernel_w) < most;
}

/// The tiles in the order of their estimated times (`clocks_of_tile`).
inline std::array<const value_tile*, std::size(value_tiles)> value_tiles_for(const cudnn::convolution_shape& c, int multiprocessors) {
    const long long rows = static_cast<long long>(c.images) * c.out_height * c.out_width, depth = 2LL * c.kernel_h * c.kernel_w * c.in_channels;
    std::array<const value_tile*, std::size(value_tiles)> order{};
    for (std::size_t k = 0; k < order.size(); ++k) order[k] = value_tiles + k;
    const auto clocks = [&](const value_tile* t) { return clocks_of_tile(t->rows, t->columns, rows, c.out_channels, depth, multiprocessors); };
    std::stable_sort(order.begin(), order.end(), [&](const value_tile* a, const value_tile* b) { return clocks(a) < clocks(b); });
    return order;
}
inline long long blocks_of(const value_tile& t, const cudnn::convolution_shape& c) { return tiles_of(t.rows, t.columns, static_cast<long long>(c.images) * c.out_height * c.out_width, c.out_channels); }

/// `w`: of the whole step. What melts in is the caller's to set.
inline cudnn::value_tile_job value_tile_job_of(const cudnn::window_job& w, int images) {
    const int taps = w.kernel_h * w.kernel_w, tap_pieces = w.in_channels / 8;
    return {w, images * w.out_height * w.out_width, 16 * taps * tap_pieces, taps * tap_pieces, tap_pieces, reciprocal(tap_pieces), reciprocal(w.kernel_w), nullptr, nullptr, nullptr, 0};
}

/// Whether step `i` may do the one in front of it, whose result nobody else reads then (`may_melt`).
inline bool may_do_both(const program& p, std::size_t i, const std::vector<slice>& slices) {
    if (i == 0 || !may_melt(p.steps[i - 1], p.steps[i]) || !detail::run_together(p, static_cast<int>(i) - 1, static_cast<int>(i))) return false;
    const int between = p.steps[i].plan.in;
    if (slices[static_cast<std::size_t>(between)].of >= 0 || p.steps[i].plan.addend == between || p.steps[i].plan.in2 == between) return false;
    for (std::size_t k = 0; k < p.steps.size(); ++k) {
        const graph::step& other = p.steps[k].plan;
        if ((k != i && (other.in == between || other.in2 == between || other.addend == between)) || (k != i - 1 && other.out == between)) return false;
    }
    return true;
}
/// The step in front of convolution `i` that its kernel may do on the way; -1: there is none. Factors are one frame's.
inline int melting_into(const program& p, std::size_t i, const std::vector<slice>& slices, int images) {
    const op& o = p.steps[i].from;
    if (!may_do_both(p, i, slices) || o.pad.top + o.pad.left + o.pad.bottom + o.pad.right != 0) return -1;
    const step& before = p.steps[i - 1];
    const auto of = [&](int buffer) { return p.buffers[static_cast<std::size_t>(buffer)].of; };
    return before.plan.kind == step_kind::multiply && (images > 1 || of(before.plan.in2) == of(before.plan.in)) ? -1 : static_cast<int>(i) - 1;
}

} // namespace splitdsl::gpu
