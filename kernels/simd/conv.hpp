// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv.hpp
/// Convolution with one group in tiles of output blocks: direct, register-blocked, bias, addend and activation fused.
#pragma once

#include "affine_codec.hpp"
#include "conv_tile.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Bytes that should stay in a cache: packed weights of a group in one pass in the first level; the input rows of a task in one pass,
/// and the sums that all groups carry from pass to pass, in the second. Processors with AVX-512 have a second level of a megabyte and more, which hands over
/// four vectors of weights within a tile's twelve cycles a channel: fewer passes, so that sums seldom leave the registers, made layers 1.06 times as fast.
#if defined(SPLITDSL_ARCH_AVX512)
inline constexpr int weight_bytes_per_pass = 256 * 1024;
inline constexpr int input_bytes_per_pass = 256 * 1024;
#else
inline constexpr int weight_bytes_per_pass = 16 * 1024;
inline constexpr int input_bytes_per_pass = 128 * 1024;
#endif
inline constexpr int sum_bytes_per_chunk = 256 * 1024;
/// Tasks that a convolution is cut into, if each then has a few tiles of pixels at least: with one over, a thread waits for a thirtieth of the time. Neighbouring ones are
/// run as one, so that small ones cost little; but where a few chunks' groups follow each other these are rarely whole, so they are not as small.
inline constexpr int tasks_per_conv = 32, least_task_pixels = 12, least_pixels_of_groups = 28;

/// How a convolution is cut: groups of output channel blocks, runs of output rows, passes over the input channels.
struct conv_cut {
    int blocks = 0;    ///< output channel blocks
    int groups = 0;    ///< groups of up to widest_tile blocks
    int rows = 0;      ///< output rows of a task
    int chunks = 0;    ///< runs of rows
    int together = 1;  ///< chunks that are run as one where a thread has them all: their input stays in the cache from group to group
    bool by_groups = false; ///< tasks in the order of groups, and chunks within: a thread reads its own part of the weights and the whole input
    int channels = 0;  ///< input channels of a pass; a multiple of lanes unless there is one pass
};

SPLITDSL_INLINE constexpr int group_blocks(const conv_cut& cut, int group) {
    const int whole = cut.blocks / widest_tile, rest = cut.blocks % widest_tile;
    if (group < whole) return widest_tile;
    return group == whole && rest >= 2 ? 2 : 1;
}
SPLITDSL_INLINE constexpr int group_begin(const conv_cut& cut, int group) {
    const int whole = cut.blocks / widest_tile;
    return group <= whole ? group * widest_tile : whole * widest_tile + 2;
}

SPLITDSL_INLINE constexpr conv_cut cut_of(const conv_shape& s) {
    conv_cut cut;
    cut.blocks = blocks_of(s.out_channels);
    const int rest = cut.blocks % widest_tile;
    cut.groups = cut.blocks / widest_tile + rest / 2 + rest % 2;
    const int outs = smaller(widest_tile, cut.blocks);
    const std::ptrdiff_t channel_bytes = std::ptrdiff_t{4} * s.kernel_h * s.kernel_w * outs * lanes;
    const int in_blocks = blocks_of(s.in_channels);
    const std::ptrdiff_t bytes = channel_bytes * s.in_channels;
    const auto wanted = static_cast<int>((bytes + weight_bytes_per_pass - 1) / weight_bytes_per_pass);
    const int passes = larger(1, smaller(wanted, in_blocks));
    cut.channels = divide_up(in_blocks, passes) * lanes;
    const std::ptrdiff_t in_row = std::ptrdiff_t{4} * smaller(cut.channels, in_blocks * lanes) * larger(1, s.in_width) * s.stride_h;
    const std::ptrdiff_t out_row = std::ptrdiff_t{4} * cut.blocks * lanes * larger(1, s.out_width);
    cut.rows = smaller(s.out_height, larger(1, static_cast<int>(input_bytes_per_pass / in_row)));
    if (passes > 1) cut.rows = smaller(cut.rows, larger(1, static_cast<int>(sum_bytes_per_chunk / out_row)));
    const int most = larger(1, cut.rows);
    cut.chunks = divide_up(s.out_height, most);
    cut.by_groups = cut.groups > 1 && cut.chunks == 1 && channel_bytes / outs * cut.blocks * s.in_channels > in_row * s.out_height;
    const int least = cut.groups == 1 || cut.by_groups ? least_task_pixels : least_pixels_of_groups;
    while (cut.chunks < s.out_height && cut.groups * cut.chunks < tasks_per_conv && divide_up(s.out_height, 2 * cut.chunks) * s.out_width >= least) cut.chunks *= 2;
    cut.rows = larger(1, divide_up(s.out_height, larger(1, cut.chunks)));
    cut.chunks = divide_up(s.out_height, cut.rows);
    cut.together = larger(1, most / cut.rows);
    return cut;
}

/// Kernel rows [begin, end) that lie inside the input.
struct kernel_rows {
    int begin = 0, end = 0;
    SPLITDSL_INLINE constexpr bool operator==(const kernel_rows& other) const { return begin == other.begin && end == other.end; }
};
/// Those of output row y: the rest would multiply the halo's zeros.
SPLITDSL_INLINE constexpr kernel_rows rows_inside(const conv_shape& s, int y) {
    const int top = y * s.stride_h - s.pad_top;
    if (top >= 0 && top + (s.kernel_h - 1) * s.dilation_h < s.in_height) return {0, s.kernel_h};
    const int begin = top < 0 ? smaller(s.kernel_h, divide_up(-top, s.dilation_h)) : 0, end = divide_up(larger(0, s.in_height - top), s.dilation_h);
    return {begin, larger(begin, smaller(s.kernel_h, end))};
}

/// Where a tile's sums begin and what becomes of them, for forms of convolution that write each value once.
struct tile_results {
    const float* bias;
    float* out;
    std::ptrdiff_t out_block;
    const float* addend;         ///< or null
    std::ptrdiff_t addend_block;
    float low, high;
    bool swishes;                ///< hard_swish instead of the bounds

    /// What is the same for all tiles. False: the tiles leave the activation undone.
    SPLITDSL_INLINE bool begin(const view& to, const epilogue& then) {
        out_block = to.block, addend_block = then.addend.block;
        swishes = then.act == activation::hard_swish;
        return clamps(then.act, low, high) || swishes;
    }
    /// Row y from a block of channels on.
    SPLITDSL_INLINE void place(const view& to, const epilogue& then, int block, int y) {
        out = to.at + block * to.block + y * to.row;
        addend = then.addend.at ? then.addend.at + block * then.addend.block + y * then.addend.row : nullptr;
    }
};

/// Floats that pack_tiled_conv writes: the biases, then per group [channel block][tap][channel of block][blocks of group][lanes].
inline std::size_t tiled_conv_packed_floats(const conv_shape& s) {
    const auto outs = static_cast<std::size_t>(blocks_of(s.out_channels)) * lanes;
    return outs + outs * static_cast<std::size_t>(s.in_channels) * static_cast<std::size_t>(s.kernel_h) * static_cast<std::size_t>(s.kernel_w);
}

/// One weight with its output channel's factor, multiplied in double so that folding rounds once.
SPLITDSL_INLINE float scaled(float weight, const float* scale, int channel) {
    return scale ? static_cast<float>(static_cast<double>(weight) * static_cast<double>(scale[channel])) : weight;
}

SPLITDSL_INLINE void pack_bias(int channels, const float* shift, float* packed) {
    for (int c = 0; c < blocks_of(channels) * lanes; ++c) packed[c] = shift && c < channels ? shift[c] : 0.0F;
}

/// weight: (out, in, kernel_h, kernel_w); scale, shift: (out) or null.
inline void pack_tiled_conv(const conv_shape& s, const float* weight, const float* scale, const float* shift, float* packed) {
    pack_bias(s.out_channels, shift, packed);
    const conv_cut cut = cut_of(s);
    const int total = s.kernel_h * s.kernel_w;
    float* to = packed + cut.blocks * lanes;
    for (int g = 0; g < cut.groups; ++g) {
        const int outs = group_blocks(cut, g), out0 = group_begin(cut, g) * lanes;
        for (int c = 0; c < s.in_channels; c += lanes)
            for (int k = 0; k < total; ++k)
                for (int i = c; i < smaller(s.in_channels, c + lanes); ++i)
                    for (int o = out0; o < out0 + outs * lanes; ++o)
                        *to++ = o < s.out_channels ? scaled(weight[(static_cast<std::ptrdiff_t>(o) * s.in_channels + i) * total + k], scale, o) : 0.0F;
    }
}

inline int tiled_conv_tasks(const conv_shape& s) {
    const conv_cut cut = cut_of(s);
    return cut.groups * cut.chunks;
}

/// Goes over the pixels of rows [y0, y1), whose kernel rows inside the input are the same, in tiles of almost equal size; `t` ends as it began, but for the
/// pixels' offsets. lines: of `next`, that these rows' tiles bring.
///
/// Tiles within one row take one call for all that follow each other, and hold no offsets; in a picture without a halo all of it is one
/// row. Where rows cannot be cut into large tiles, some tiles reach into the next row. Few input channels make a tile as short as the
/// search for its pixels.
template <int Outs>
[[gnu::noinline]] inline void conv_rows(const conv_shape& s, tile_work& t, const const_view& in, const view& out, const const_view& addend,
                                        int y0, int y1, coming& next, std::ptrdiff_t lines) {
    const std::ptrdiff_t in_column = std::ptrdiff_t{s.stride_w} * lanes, in_row = s.stride_h * in.row;
    const int all = (y1 - y0) * s.out_width;
    if (all == 0) return;
    const bool gapless_in = in_row == in_column * s.out_width;
    const bool gapless = gapless_in && out.row == std::ptrdiff_t{s.out_width} * lanes && (!t.addend || addend.row == out.row);
    const int width = gapless ? all : s.out_width;
    const bool has_long_tiles = row_pixels(Outs) > tile_pixels(Outs) && in_column == lanes && divide_up(width, row_pixels(Outs)) * (row_pixels(Outs) - 1) <= width;
    const int most = has_long_tiles ? row_pixels(Outs) : tile_pixels(Outs), in_row_tiles = divide_up(width, most);
    const bool by_rows = in_row_tiles * (most - 1) <= width;
    const bool has_edges = skips_columns && !gapless && s.kernel_w == 3 && s.pad_left == 1 && s.stride_w == 1 && s.dilation_w == 1 && s.in_width == width;
    const int tiles = by_rows ? in_row_tiles : divide_up(all, most), pixels_of_tiles = by_rows ? width : all;
    const int fewer = pixels_of_tiles / tiles, larger_tiles = pixels_of_tiles % tiles;
    next.lines_per_tile = divide_up(static_cast<int>(lines), by_rows ? tiles * (all / width) : tiles);
    next.lines_per_tap = divide_up(static_cast<int>(next.lines_per_tile), larger(1, (t.end - t.begin) / lanes * t.over.rows * t.over.columns));
    const float* const in_begin = t.in;
    float* const out_begin = t.out;
    const float* const addend_begin = t.addend;
    std::ptrdiff_t from = y0 * in_row, to = y0 * out.row, add = y0 * addend.row; // of the row
    int x = 0, rows_left = by_rows ? all / width : 1;
    for (int tile = 0; rows_left > 0;) {
        const bool is_larger = tile < larger_tiles;
        const int pixels = fewer + is_larger, run = smaller((width - x) / pixels, (is_larger ? larger_tiles : tiles) - tile);
        if (run > 0) {
            t.in = in_begin + from + x * in_column;
            t.out = out_begin + to + std::ptrdiff_t{x} * lanes;
            if (addend_begin) t.addend = addend_begin + add + std::ptrdiff_t{x} * lanes;
            t.at_left = has_edges && x == 0, t.at_right = has_edges && x + run * pixels == width;
            x += run * pixels, tile += run;
            run_row<Outs>(pixels, in_column, t, run, next);
            t.at_left = t.at_right = false;
        } else {
            const std::ptrdiff_t in_at = from + x * in_column;
            t.in = in_begin, t.out = out_begin, t.addend = addend_begin;
            for (int p = 0; p < pixels; ++p, ++x) {
                if (x == width) x = 0, from += in_row, to += out.row, add += addend.row;
                t.in_at[p] = from + x * in_column, t.out_at[p] = to + std::ptrdiff_t{x} * lanes, t.addend_at[p] = add + std::ptrdiff_t{x} * lanes;
            }
            ++tile;
            if (gapless_in && has_1x1_tile<Outs>(pixels, in_column, t)) t.in += in_at, run_1x1<Outs>(pixels, t, 1, next);
            else run_tiles<Outs>(pixels, t, 1, next);
        }
        if (x == width) x = 0, from += in_row, to += out.row, add += addend.row;
        if (tile == tiles) tile = 0, --rows_left;
    }
    t.in = in_begin, t.out = out_begin, t.addend = addend_begin;
}

/// Goes over the pixels of rows [y0, y1). Kernel rows outside the input are left out: on 14 rows of pixels that is a twentieth of the products, on 7 a tenth.
template <int Outs>
SPLITDSL_INLINE void conv_pixels(const conv_shape& s, tile_work& t, const const_view& in, const view& out, const const_view& addend, int y0, int y1, coming next = {}) {
    if (s.kernel_h == 1 && s.pad_top == 0) return conv_rows<Outs>(s, t, in, out, addend, y0, y1, next, next.all());
    const float* const in_begin = t.in;
    const taps all = t.over;
    for (int y = y0; y < y1;) {
        const kernel_rows inside = rows_inside(s, y);
        int end = y + 1;
        while (end < y1 && rows_inside(s, end) == inside) ++end;
        t.over.rows = inside.end - inside.begin, t.over.first = inside.begin * s.kernel_w;
        t.in = in_begin + inside.begin * all.row_step;
        conv_rows<Outs>(s, t, in, out, addend, y, end, next, next.all() * (end - y) / (y1 - y));
        y = end;
    }
    t.in = in_begin, t.over = all;
}

/// Packed weights of a group from input channel c on.
SPLITDSL_INLINE const float* weights_of(const conv_shape& s, const conv_cut& cut, const float* packed, int group, int c) {
    const std::ptrdiff_t before = std::ptrdiff_t{group_begin(cut, group)} * s.in_channels + std::ptrdiff_t{c} * group_blocks(cut, group);
    return packed + (cut.blocks + before * s.kernel_h * s.kernel_w) * lanes;
}

/// Those that follow when a group's pass is done: of the next group, or of the next pass.
SPLITDSL_INLINE coming weights_after(const conv_shape& s, const conv_cut& cut, const float* packed, int group, int c) {
    if (++group == cut.groups) group = 0, c += cut.channels;
    if (c >= s.in_channels) return {};
    const std::ptrdiff_t floats = std::ptrdiff_t{smaller(cut.channels, s.in_channels - c)} * s.kernel_h * s.kernel_w * group_blocks(cut, group) * lanes;
    return {weights_of(s, cut, packed, group, c), floats / 16};
}

/// Part `part` of `parts` of what tasks [first, last) of `tasks` bring.
SPLITDSL_INLINE weights_ahead part_of(const weights_ahead& all, int first, int last, int tasks, int part, int parts) {
    const std::ptrdiff_t from = all.lines * first / tasks, lines = all.lines * last / tasks - from, begin = from + lines * part / parts;
    return {all.at + begin * 16, from + lines * (part + 1) / parts - begin};
}

/// Tasks that follow each other and are run as one.
struct conv_run {
    int tasks = 0;
    int chunk = 0, chunks = 0;
    int group = 0, groups_end = 0;
};
/// The first ones of [task, last): either all groups of some chunks, or all chunks of some groups, or else what one chunk or group has of them.
SPLITDSL_INLINE constexpr conv_run run_of(const conv_cut& cut, int task, int last) {
    const int inner = cut.by_groups ? cut.chunks : cut.groups, outer = task / inner, at = task % inner, most = cut.by_groups ? cut.groups : cut.together;
    const int whole = at == 0 ? smaller(most, (last - task) / inner) : 0, count = larger(1, whole);
    const int end = whole > 0 ? inner : smaller(inner, at + last - task), tasks = whole > 0 ? whole * inner : end - at;
    if (cut.by_groups) return {tasks, at, end - at, outer, outer + count};
    return {tasks, outer, count, at, end};
}

/// in (in_channels, in_height, in_width) with its halo → out (out_channels, out_height, out_width). `out` overlaps nothing else.
inline void tiled_conv(const conv_shape& s, const const_view& in, const view& out, const float* packed, const epilogue& then, int first, int last) {
    const conv_cut cut = cut_of(s);
    const int total = s.kernel_h * s.kernel_w;
    tile_work t;
    t.in = in.at - s.pad_top * in.row - std::ptrdiff_t{s.pad_left} * lanes;
    t.in_block = in.block;
    t.over = {s.kernel_h, s.kernel_w, s.dilation_h * in.row, std::ptrdiff_t{s.dilation_w} * lanes, 0, s.kernel_w, total};
    t.out_block = out.block;
    t.addend_block = then.addend.block;
    t.slope = then.slope;
    float low, high;
    const bool bounds_do = clamps(then.act, low, high);
    for (int task = first; task < last;) {
        const conv_run run = run_of(cut, task, last);
        const int y0 = run.chunk * cut.rows, y1 = smaller(s.out_height, y0 + run.chunks * cut.rows);
        [[maybe_unused]] const int parts = (run.groups_end - run.group) * divide_up(s.in_channels, cut.channels);
        [[maybe_unused]] int part = 0;
        // passes outside groups: the input of a pass is read by all groups while it is in the cache
        for (int c = 0; c < s.in_channels; c += cut.channels) {
            t.begin = c, t.end = smaller(s.in_channels, c + cut.channels);
            const bool done = t.end == s.in_channels;
            t.low = done ? low : -__builtin_inff();
            t.high = done ? high : __builtin_inff();
            t.act = done && !bounds_do ? then.act : activation::none;
            for (int group = run.group; group < run.groups_end; ++group) {
                const int outs = group_blocks(cut, group), block = group_begin(cut, group);
                t.out = out.at + block * out.block;
                t.weights = weights_of(s, cut, packed, group, c);
                t.bias = c == 0 ? packed + block * lanes : nullptr;
                t.addend = done && then.addend.at ? then.addend.at + block * then.addend.block : nullptr;
                coming next = weights_after(s, cut, packed, group, c);
                if constexpr (brings_by_tap) next.then = part_of(then.ahead, task, task + run.tasks, cut.groups * cut.chunks, part++, parts);
                if constexpr (widest_tile == 4) {
                    if (outs == 4) conv_pixels<4>(s, t, in, out, then.addend, y0, y1, next);
                }
                if constexpr (widest_tile >= 2) {
                    if (outs == 2) conv_pixels<2>(s, t, in, out, then.addend, y0, y1, next);
                }
                if (outs == 1) conv_pixels<1>(s, t, in, out, then.addend, y0, y1, next);
            }
        }
        if (then.levels.at) {
            const int end = run.groups_end - 1;
            quantise_part(s.out_channels, out, {group_begin(cut, run.group), group_begin(cut, end) + group_blocks(cut, end), y0, y1, 0, s.out_width}, then.levels);
        }
        task += run.tasks;
    }
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
