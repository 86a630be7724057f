// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file winograd.hpp
/// Which convolutions run as Winograd's minimal filtering, in which tiles, and the scratch they take: the same on every machine.
///
/// The choice is part of a network's arithmetic (another order of the same sums), so it depends on shapes alone: an edge and a cloud with
/// different processors choose alike. `static constexpr bool winograd = false;` in the network's struct keeps every convolution direct.
#pragma once

#include <splitdsl/detail/few_outputs.hpp>
#include <splitdsl/lang/op.hpp>

namespace splitdsl::graph {

/// How a convolution runs. Tile 0: direct.
struct winograd_plan {
    int tile{};                 ///< output rows and columns of a tile: 2 or 4; with `strided` 4 (kernels 5 and 6) or 3 (7 and 8); of seven taps 6, of a row or a column
    int taps{3};                ///< of stride 1: 3 or 5 rows and columns, or 7 in a row or a column
    bool strided{};             ///< stride 2 over up to four channels, as stride 1 over their four phases
    int chunk{};                ///< tiles that are transformed, multiplied and transformed back before the next ones
    int tasks{};                ///< that may run beside each other
    std::int64_t scratch{};     ///< floats of all tasks, for channels in blocks of up to 16
};

/// Costs in multiplications of a direct convolution, fitted to layers measured on an AVX2 machine (docs/performance_kernels.md has them).
struct winograd_costs {
    int block = 8;                       ///< channels that are computed together: transforms work on whole blocks of both sides
    int weight_byte = 5;                 ///< to bring a byte of weights from memory
    int product_percent = 105;           ///< a tile's products run less regularly
    int in_2 = 116, out_2 = 250;         ///< a tile's transform and the starts of its sums, per input and per output channel, m = 2
    int in_4 = 220, out_4 = 700;         ///< and m = 4
    int in_5 = 450, out_5 = 200;         ///< of kernel 5, m = 2
    int in_line = 100, out_line = 200;   ///< of a row or a column of six outputs
    int strided_product_percent = 120, strided_in = 8500, strided_out = 215; ///< of stride 2: a tile's phases in all, and per output channel
};

namespace detail {
constexpr std::int64_t tiles_of(shape out, int tile) { return (std::int64_t{out.height} + tile - 1) / tile * ((std::int64_t{out.width} + tile - 1) / tile); }
constexpr std::int64_t whole_blocks(int channels, const winograd_costs& c) { return (std::int64_t{channels} + c.block - 1) / c.block * c.block; }
constexpr std::int64_t winograd_cost(int in, shape out, int tile, const winograd_costs& c) {
    const std::int64_t ins = whole_blocks(in, c), outs = whole_blocks(out.channels, c), pairs = in * outs, positions = std::int64_t{tile + 2} * (tile + 2);
    const std::int64_t transforms = (tile == 2 ? c.in_2 : c.in_4) * ins + (tile == 2 ? c.out_2 : c.out_4) * outs;
    return tiles_of(out, tile) * (positions * pairs * c.product_percent / 100 + transforms) + 4 * positions * pairs * c.weight_byte;
}
/// The first layer of most networks for pictures: kernel 5 to 8, stride 2, up to four channels.
constexpr winograd_plan plan_strided(const op& o, shape in, shape out) {
    const winograd_costs c;
    constexpr std::int64_t positions = 36, sixes = 6, widest = 32; // as kernels/simd/conv_winograd.hpp cuts it
    const int kernel = o.kernel.height, tile = kernel <= 6 ? 4 : 3;
    const std::int64_t outs = whole_blocks(out.channels, c), tiles = tiles_of(out, tile), channels = std::int64_t{4} * in.channels;
    const std::int64_t direct = std::int64_t{kernel} * kernel * in.channels * outs * out.height * out.width;
    const std::int64_t cost = tiles * (positions * channels * outs * c.strided_product_percent / 100 + c.strided_in + c.strided_out * outs)
                            + 4 * positions * channels * outs * c.weight_byte;
    winograd_plan plan;
    if (cost * 100 >= direct * 95) return plan;
    plan.tile = tile;
    plan.strided = true;
    plan.chunk = sixes;     // their inputs and two blocks' products (41 KB) stay in a first-level cache
    const std::int64_t chunks = (tiles + plan.chunk - 1) / plan.chunk;
    plan.tasks = static_cast<int>(chunks < 8 ? chunks : 8);
    const std::int64_t group = (outs + 15) / 16 * 16;
    plan.scratch = plan.tasks * positions * (plan.chunk * 16 + sixes * (group < widest ? group : widest));
    return plan;
}
/// Runs of about 384 KiB: they stay in a second-level cache together with one position's weights. At least 12 tiles read a weight; where there are enough, `least_tasks` runs.
constexpr void cut_tiles(winograd_plan& plan, int in, int out, std::int64_t positions, std::int64_t tiles, std::int64_t least_tasks = 1) {
    const std::int64_t blocks = std::int64_t{(in + 15) / 16} + (out + 15) / 16, floats = positions * blocks * 16;
    std::int64_t chunk = 384 * 1024 / (4 * floats);
    if (const std::int64_t share = (tiles + least_tasks - 1) / least_tasks; chunk > share) chunk = share;
    if (chunk < 12) chunk = 12;
    if (chunk > tiles) chunk = tiles;
    const std::int64_t chunks = (tiles + chunk - 1) / chunk, tasks = chunks < 8 ? chunks : 8, rounds = (chunks + tasks - 1) / tasks;
    plan.tasks = static_cast<int>(tasks);
    plan.chunk = static_cast<int>((tiles + tasks * rounds - 1) / (tasks * rounds));
    plan.scratch = tasks * plan.chunk * floats;
}
/// Seven taps in a row or a column: twelve products for six outputs.
constexpr winograd_plan plan_line(const op& o, shape in, shape out) {
    const winograd_costs c;
    constexpr int taps = 7, tile = 6;
    constexpr std::int64_t positions = 12, least_tasks = 4; // Inception's 51 tiles are then equal parts for two threads and for four
    const std::int64_t ins = whole_blocks(in.channels, c), outs = whole_blocks(out.channels, c), direct_pairs = in.channels * outs, pairs = ins * outs;
    const std::int64_t along = o.kernel.width == 1 ? out.height : out.width, beside = o.kernel.width == 1 ? out.width : out.height;
    const std::int64_t tiles = (along + tile - 1) / tile * beside;
    const std::int64_t direct = taps * direct_pairs * (std::int64_t{out.height} * out.width + 4 * c.weight_byte);
    const std::int64_t cost = tiles * (positions * pairs * c.product_percent / 100 + c.in_line * ins + c.out_line * outs) + 4 * positions * pairs * c.weight_byte;
    winograd_plan plan;
    if (in.channels > 1024 || cost * 100 >= direct * 95) return plan;
    plan.tile = tile;
    plan.taps = taps;
    cut_tiles(plan, in.channels, out.channels, positions, tiles, least_tasks);
    return plan;
}
/// The six points of F(4x4) for a kernel of five rows and columns: 36 products for four outputs.
constexpr winograd_plan plan_5x5(shape in, shape out) {
    const winograd_costs c;
    constexpr int taps = 5, tile = 2;
    constexpr std::int64_t positions = 36;
    const std::int64_t ins = whole_blocks(in.channels, c), outs = whole_blocks(out.channels, c), direct_pairs = in.channels * outs, pairs = ins * outs, tiles = tiles_of(out, tile);
    const std::int64_t direct = taps * taps * direct_pairs * (std::int64_t{out.height} * out.width + 4 * c.weight_byte);
    const std::int64_t cost = tiles * (positions * pairs * c.product_percent / 100 + c.in_5 * ins + c.out_5 * outs) + 4 * positions * pairs * c.weight_byte;
    winograd_plan plan;
    if (in.channels > 1024 || cost * 100 >= direct * 95) return plan;
    plan.tile = tile;
    plan.taps = taps;
    cut_tiles(plan, in.channels, out.channels, positions, tiles);
    return plan;
}
} // namespace detail

/// The cheapest way by the costs. F(4x4)'s error budget is 6e-5 of the range of a layer's sums, up to 1,024 input channels: of 480 random layers with 64 to 1,024 the
/// largest error was 3.0e-5, with FMA and without, and its median grew from 5e-6 to 1.9e-5, as the root of the number of channels. Above, F(2x2), which is
/// as exact as the direct sum. Lines and kernels of five have the same budget and limit; of seven taps and 1,024 channels the largest error was 1.9e-5 (modelled). The strided forms' sums are short (2e-6).
constexpr winograd_plan plan_winograd(const op& o, shape in, shape out) {
    if (o.kind == op_kind::conv && o.groups == 1 && o.kernel.height == o.kernel.width && o.kernel.height >= 5 && o.kernel.height <= 8 && o.stride.height == 2 && o.stride.width == 2
        && o.dilation.height == 1 && o.dilation.width == 1 && o.pad.top >= 0 && o.pad.left >= 0 && in.channels <= 4)
        return detail::plan_strided(o, in, out);
    const bool is_plain = o.kind == op_kind::conv && o.groups == 1 && o.stride.height == 1 && o.stride.width == 1 && o.dilation.height == 1 && o.dilation.width == 1 && o.pad.top >= 0
                       && o.pad.left >= 0;
    const auto has_kernel = [&](int height, int width) { return is_plain && o.kernel.height == height && o.kernel.width == width; };
    const bool is_3x3 = has_kernel(3, 3), is_5x5 = has_kernel(5, 5), is_line = has_kernel(1, 7) || has_kernel(7, 1);
    // To a handful of channels the direct sum multiplies no padding, where transforms of the inputs would be most of the work: 64 to 3 at 56x56 takes 0.05 ms
    // instead of 0.13 on AVX-512.
    if (!(is_3x3 || is_5x5 || is_line) || splitdsl::detail::has_few_outputs(in.channels, out.channels)) return {};
    if (is_line) return detail::plan_line(o, in, out);
    if (is_5x5) return detail::plan_5x5(in, out);
    const winograd_costs costs;
    const std::int64_t pairs = in.channels * detail::whole_blocks(out.channels, costs);
    std::int64_t least = 9 * pairs * out.height * out.width + 4 * 9 * pairs * costs.weight_byte;
    winograd_plan plan;
    for (const int tile : {2, 4}) {
        if (tile == 4 && in.channels > 1024) continue;
        const std::int64_t cost = detail::winograd_cost(in.channels, out, tile, costs);
        if (cost * 100 < least * 95) least = cost, plan.tile = tile;
    }
    if (plan.tile == 0) return plan;
    detail::cut_tiles(plan, in.channels, out.channels, std::int64_t{plan.tile + 2} * (plan.tile + 2), detail::tiles_of(out, plan.tile));
    return plan;
}

} // namespace splitdsl::graph

namespace splitdsl {
/// Whether a network lets convolutions run as Winograd's.
template <class Network>
inline constexpr bool may_winograd = [] {
    if constexpr (requires { Network::winograd; }) return static_cast<bool>(Network::winograd);
    else return true;
}();
} // namespace splitdsl
