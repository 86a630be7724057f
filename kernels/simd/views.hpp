// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file views.hpp
/// What every kernel takes: views of blocked tensors, shapes as run-time numbers, and how work is cut into tasks.
///
/// A blocked tensor of (channels, height, width) lies as [ceil(channels / lanes)][rows][columns][lanes] floats, with a halo of
/// zeros around every channel block. Lanes beyond the last channel hold something finite, and no kernel reads meaning into them.
#pragma once

#include "arch.hpp"

#include <cstddef>
#include <cstdint>

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// A blocked tensor to write. All distances are in floats; `at` is row 0, column 0, lane 0 of channel block 0 of the interior.
struct view {
    float* at = nullptr;
    std::ptrdiff_t row = 0;   ///< from one row to the next
    std::ptrdiff_t block = 0; ///< from one channel block to the next
};

/// A blocked tensor to read.
struct const_view {
    const float* at = nullptr;
    std::ptrdiff_t row = 0;
    std::ptrdiff_t block = 0;
    constexpr const_view() = default;
    constexpr const_view(const float* a, std::ptrdiff_t r, std::ptrdiff_t b) : at(a), row(r), block(b) {}
    SPLITDSL_INLINE constexpr const_view(const view& v) : at(v.at), row(v.row), block(v.block) {}
};

/// Interior of a tensor.
struct extent {
    int channels = 0;
    int height = 0;
    int width = 0;
};

/// Zeros around every channel block, in rows and columns.
struct halo {
    int top = 0;
    int left = 0;
    int bottom = 0;
    int right = 0;
};

enum class activation : std::uint8_t { none, relu, relu6, leaky_relu, hard_swish, hard_sigmoid, sigmoid, tanh };

/// Where a tensor's affine levels go: planes in the order of the channels. q = round half to even of clamp(zero_point + x / scale, 0, the largest level).
template <class Level>
struct level_planes {
    Level* at = nullptr;      ///< row 0, column 0 of channel 0; null: nowhere
    std::ptrdiff_t row = 0;   ///< from one row to the next
    std::ptrdiff_t plane = 0; ///< from one channel to the next
    float scale = 1;
    float zero_point = 0;
};

/// Lines of 64 bytes that the next layers read and this one's kernel may bring into the caches.
struct weights_ahead {
    const float* at = nullptr;
    std::ptrdiff_t lines = 0;
};

/// What happens to a result before it is stored: result + addend, then the activation. Direct convolutions and Winograd's of stride 1 also quantise what they
/// stored while it is in the cache.
struct epilogue {
    activation act = activation::none;
    float slope = 0;     ///< of leaky_relu, for negative values
    const_view addend{}; ///< `at == nullptr`: none
    level_planes<std::uint8_t> levels{};
    weights_ahead ahead{}; ///< by all tasks together
};

/// Where one of several frames' tensors lie. A kernel that runs frames together reads their weights from memory once, and sums every value as if its frame
/// were alone. All frames' tensors lie alike, as its views say.
struct frame_tensors {
    const float* in = nullptr;
    float* out = nullptr;
    const float* addend = nullptr;
    float* scratch = nullptr;
};
inline constexpr int most_frames = 16;

/// A convolution, PyTorch's meaning of every number. Also describes a transposed one (then stride and padding act on the output).
struct conv_shape {
    int in_channels = 0, in_height = 0, in_width = 0;
    int out_channels = 0, out_height = 0, out_width = 0;
    int kernel_h = 1, kernel_w = 1;
    int stride_h = 1, stride_w = 1;
    int pad_top = 0, pad_left = 0;
    int dilation_h = 1, dilation_w = 1;
    int groups = 1;
};

/// A fully connected layer.
struct dense_shape {
    int inputs = 0;
    int outputs = 0;
};

/// A pooling window; padding at the bottom and right matters only to an average that counts it.
struct pool_shape {
    int channels = 0, in_height = 0, in_width = 0, out_height = 0, out_width = 0;
    int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
    int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
    bool count_include_pad = true;
};

SPLITDSL_INLINE constexpr int smaller(int a, int b) { return b < a ? b : a; }
SPLITDSL_INLINE constexpr std::ptrdiff_t smaller_distance(std::ptrdiff_t a, std::ptrdiff_t b) { return b < a ? b : a; }
SPLITDSL_INLINE constexpr int larger(int a, int b) { return a < b ? b : a; }
SPLITDSL_INLINE constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }

/// Channel blocks of a tensor.
SPLITDSL_INLINE constexpr int blocks_of(int channels) { return divide_up(channels, lanes); }

/// Rows per task of the kernels that go through their output row by row: about 4 Ki floats, and an eighth of the rows at most, so that threads end almost together; but a
/// block of channels that is smaller is one task, as its few rows cost less together.
SPLITDSL_INLINE constexpr int rows_per_task(const extent& e) {
    const int row = larger(1, e.width) * lanes, rows = 4096 / row;
    return larger(1, rows >= e.height ? e.height : smaller(divide_up(e.height, 8), rows));
}

/// Tasks of every kernel that goes through its *output* row by row (all except convolution, dense and global pooling).
SPLITDSL_INLINE constexpr int row_tasks(const extent& out) {
    return blocks_of(out.channels) * divide_up(out.height, rows_per_task(out));
}

/// Calls visit(block, begin, end) for the rows that tasks [first, last) of `out` cover. Tasks go from rows to rows, and in these through all blocks, as convolutions' do:
/// a thread that takes the upper half of each step's tasks reads what it wrote itself. Where all blocks' rows are asked for, they are visited block by block.
template <class Visit>
SPLITDSL_INLINE void for_each_rows(const extent& out, int first, int last, Visit&& visit) {
    const int rows = rows_per_task(out), blocks = blocks_of(out.channels);
    for (int task = first; task < last;) {
        const int chunk = task / blocks, block = task % blocks, whole = block == 0 ? (last - task) / blocks : 0;
        const int end = whole > 0 ? blocks : smaller(blocks, block + last - task), behind = chunk + larger(1, whole);
        for (int b = block; b < end; ++b) visit(b, chunk * rows, smaller(out.height, behind * rows));
        task += whole > 0 ? whole * blocks : end - block;
    }
}
/// Calls visit(block, row) for every row that tasks [first, last) of `out` cover.
template <class Visit>
SPLITDSL_INLINE void for_each_row(const extent& out, int first, int last, Visit&& visit) {
    for_each_rows(out, first, last, [&](int block, int begin, int end) {
        for (int r = begin; r < end; ++r) visit(block, r);
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
