// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pool_ladder.hpp
/// Sizes of a dynamically pooled map: which sizes nest in each other, and which values each of them adds.
///
/// A map of height x width in *cells* of stride x stride values. At step t of a ladder the first t rows and columns of cells are split in
/// two, so that the pooled map has s/k + t rows and columns: n = 2 t strips of half a stride and m = s/k - t of a whole one (Eq. 3). A cell
/// is whole, in two halves or in four quarters, and every step only splits what the one before left whole: sizes nest, and a step adds
/// exactly the values by which the map grows. When all cells are split, their quarters are the cells of the next *octave*, with half the
/// stride: one octave reaches from s/k to 2s/k, two to 4s/k, which FLEET's own sizes (10 to 28, 3 to 8, 6 to 16) need.
///
/// Maps that are not square: the longer side counts the steps, and the shorter one splits its share of them, rounded up.
///
/// A ladder may grow by channels instead (CLIO): cells are then single values, none is ever split (no octaves), and each level, a *width*,
/// adds channels in full size to those before it.
///
/// Everything here is constexpr, throws nothing and needs only the standard library.
#pragma once

#include <splitdsl/lang/dynamic_pool.hpp>
#include <splitdsl/lang/widths.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace splitdsl {

inline constexpr int max_pool_levels = 64;
inline constexpr int max_pool_octaves = 4;
inline constexpr int max_pool_side = 4096;
inline constexpr int max_pool_channels = 65'535;
inline constexpr std::int64_t max_pool_values = std::int64_t{1} << 23; ///< channels x height x width

/// The map to pool, and the cells' side (the paper's k; ladders of widths do not ask for it).
struct pool_shape {
    int channels{};
    int height{};
    int width{};
    int stride{};
    friend constexpr bool operator==(const pool_shape&, const pool_shape&) = default;
};

/// Everything that can be wrong with a pooled shape.
enum class pool_fault : std::uint8_t {
    none,
    size_below_one,
    too_large,
    stride_too_small,
    odd_stride,
    height_not_divisible,
    width_not_divisible,
    smallest_out_of_range,
    largest_out_of_range,
    stride_runs_out,
    sizes_not_increasing,
    no_levels,
    too_many_levels,
    widths_not_increasing,
    last_width_not_all
};
inline constexpr int pool_faults = 15;

/// What to say about it: one sentence for a diagnosis or an exception.
constexpr const char* sentence(pool_fault fault) noexcept {
    switch (fault) {
    case pool_fault::none: return "the pooled shape is sound";
    case pool_fault::size_below_one: return "channels, height and width of a dynamically pooled map start at 1";
    case pool_fault::too_large:
        return "a dynamically pooled map has at most 4096 x 4096 values a channel, 65,535 channels and 2^23 values together";
    case pool_fault::stride_too_small: return "dynamic pooling halves its stride, so the stride starts at 2";
    case pool_fault::odd_stride:
        return "dynamic pooling halves its stride, so an odd stride cannot be used: take the next even divisor of the map's side";
    case pool_fault::height_not_divisible:
        return "the height is not a multiple of the stride, so the cells do not tile the map: change the stride, or crop the map";
    case pool_fault::width_not_divisible:
        return "the width is not a multiple of the stride, so the cells do not tile the map: change the stride, or crop the map";
    case pool_fault::smallest_out_of_range:
        return "the smallest size is outside s/k .. 2s/k - 1 (s: the longer side, k: the stride): change the stride";
    case pool_fault::largest_out_of_range:
        return "the largest size is larger than 16 s/k (s: the longer side, k: the stride): four octaves are the most";
    case pool_fault::stride_runs_out:
        return "each doubling of the smallest pooled size halves the stride, and the stride is not divisible by two that often: lower the "
               "largest size, or change the stride";
    case pool_fault::sizes_not_increasing: return "pooled sizes grow from level to level, by a step of at least 1";
    case pool_fault::no_levels: return "a dynamically pooled map has at least one size";
    case pool_fault::too_many_levels: return "a dynamically pooled map has at most 64 sizes: take a larger step";
    case pool_fault::widths_not_increasing: return "widths grow from at least 1 channel, each by at least 1";
    case pool_fault::last_width_not_all: return "the last width is all channels of the map";
    }
    return "unknown fault";
}

/// Whether there can be levels of a map of this size, whatever grows.
constexpr pool_fault fault_of_size(const pool_shape& s) noexcept {
    if (s.channels < 1 || s.height < 1 || s.width < 1) return pool_fault::size_below_one;
    if (s.height > max_pool_side || s.width > max_pool_side || s.channels > max_pool_channels
        || s.channels > max_pool_values / s.height / s.width)
        return pool_fault::too_large;
    return pool_fault::none;
}
/// Whether dynamic pooling can use this stride at all (even, and a divisor of both sides); the language's check asks no more.
constexpr pool_fault fault_of(const pool_shape& s) noexcept {
    if (const pool_fault f = fault_of_size(s); f != pool_fault::none) return f;
    if (s.stride < 1) return pool_fault::stride_too_small;
    if (s.stride % 2 != 0) return pool_fault::odd_stride;
    if (s.height % s.stride != 0) return pool_fault::height_not_divisible;
    if (s.width % s.stride != 0) return pool_fault::width_not_divisible;
    return pool_fault::none;
}

/// A sound choice of sizes, or of widths, with its geometry. Made by `pool_ladder_of` only; a default one has no levels.
struct pool_ladder {
    pool_shape shape{};
    int octaves{};
    int levels{};
    std::array<std::int16_t, max_pool_levels> sizes{};     ///< of the longer side, increasing; of widths all the same
    std::array<std::uint16_t, max_stream_widths> widths{}; ///< channels, increasing; of sizes none

    friend constexpr bool operator==(const pool_ladder&, const pool_ladder&) = default;

    // ---- cells of an octave -----------------------------------------------------------------------------------------------
    constexpr int cell_rows(int octave = 0) const noexcept { return (shape.height / shape.stride) << octave; }
    constexpr int cell_columns(int octave = 0) const noexcept { return (shape.width / shape.stride) << octave; }
    constexpr int longer(int octave = 0) const noexcept { return cell_rows(octave) > cell_columns(octave) ? cell_rows(octave) : cell_columns(octave); }
    /// How many of an octave's rows or columns are split after t of its steps.
    constexpr int rows_split(int t) const noexcept { return (t * cell_rows() + longer() - 1) / longer(); }
    constexpr int columns_split(int t) const noexcept { return (t * cell_columns() + longer() - 1) / longer(); }
    /// The step that splits a row or column.
    constexpr int row_step(int row) const noexcept { return row * longer() / cell_rows() + 1; }
    constexpr int column_step(int column) const noexcept { return column * longer() / cell_columns() + 1; }
    /// Cells of this row in columns before it are split into left and right first, those from it on into top and bottom first.
    constexpr int first_row_wise(int row) const noexcept { return columns_split(row_step(row) - 1); }
    /// Steps of an octave that a level has taken.
    constexpr int steps(int octave, int level) const noexcept {
        const int t = static_cast<int>(sizes[static_cast<std::size_t>(level)]) - longer(octave);
        return t < 0 ? 0 : t < longer(octave) ? t : longer(octave);
    }
    /// The highest octave that a level splits cells of (0 if none).
    constexpr int octave_of(int level) const noexcept {
        int o = 0;
        while (o + 1 < octaves && steps(o + 1, level) > 0) ++o;
        return o;
    }
    /// The level that first splits a row (column) of an octave; `levels` if none does.
    constexpr int level_of_row(int octave, int row) const noexcept { return level_of_step(octave, row_step(row)); }
    constexpr int level_of_column(int octave, int column) const noexcept { return level_of_step(octave, column_step(column)); }

    // ---- levels -----------------------------------------------------------------------------------------------------------
    constexpr bool by_width() const noexcept { return widths[0] != 0; }
    /// Channels that are there when this level is complete, in order of priority, and the first of them that the level itself adds.
    constexpr int channels(int level) const noexcept { return by_width() ? widths[static_cast<std::size_t>(level)] : shape.channels; }
    constexpr int first_channel(int level) const noexcept { return by_width() && level > 0 ? channels(level - 1) : 0; }
    constexpr int rows(int level) const noexcept { return cell_rows(octave_of(level)) + rows_split(steps(octave_of(level), level)); }
    constexpr int columns(int level) const noexcept {
        return cell_columns(octave_of(level)) + columns_split(steps(octave_of(level), level));
    }
    /// Values a channel has sent when this level is complete: the level's own number of values, s_o^2 for a square map.
    constexpr int values(int level) const noexcept { return rows(level) * columns(level); }
    /// Values of one of its channels that this level adds to those before it.
    constexpr int new_values(int level) const noexcept { return values(level) - (level > 0 && !by_width() ? values(level - 1) : 0); }
    /// The paper's n and m along the longer side: strips of half and of whole stride (of the level's octave).
    constexpr int half_strips(int level) const noexcept { return 2 * steps(octave_of(level), level); }
    constexpr int whole_strips(int level) const noexcept { return longer(octave_of(level)) - steps(octave_of(level), level); }

    /// Side of the smallest patch that any level averages.
    constexpr int half_stride() const noexcept { return shape.stride >> octaves; }
    constexpr int half_rows() const noexcept { return cell_rows(octaves); }
    constexpr int half_columns() const noexcept { return cell_columns(octaves); }

    /// The level that takes a step of an octave; `levels` if none does.
    constexpr int level_of_step(int octave, int step) const noexcept {
        for (int l = 0; l < levels; ++l)
            if (steps(octave, l) >= step) return l;
        return levels;
    }
};

/// A ladder, or the reason why there is none.
struct pool_ladder_result {
    pool_ladder ladder{};
    pool_fault fault{pool_fault::none};
};

/// Checks a list of `count` sizes (of the longer side).
constexpr pool_ladder_result try_pool_ladder(const pool_shape& shape, const int* sizes, std::size_t count) noexcept {
    if (const pool_fault f = fault_of(shape); f != pool_fault::none) return {{}, f};
    if (count == 0) return {{}, pool_fault::no_levels};
    if (count > static_cast<std::size_t>(max_pool_levels)) return {{}, pool_fault::too_many_levels};
    pool_ladder l{.shape = shape};
    const int base = l.longer();
    for (std::size_t i = 0; i < count; ++i) {
        const int s = sizes[i];
        if (l.levels == 0 && (s < base || s >= 2 * base)) return {{}, pool_fault::smallest_out_of_range};
        if (l.levels > 0 && s <= l.sizes[static_cast<std::size_t>(l.levels - 1)]) return {{}, pool_fault::sizes_not_increasing};
        if (s > base << max_pool_octaves) return {{}, pool_fault::largest_out_of_range};
        l.sizes[static_cast<std::size_t>(l.levels++)] = static_cast<std::int16_t>(s);
    }
    l.octaves = 1;
    while (base << l.octaves < sizes[count - 1]) ++l.octaves;
    if (shape.stride % (1 << l.octaves) != 0) return {{}, pool_fault::stride_runs_out};
    return {l, pool_fault::none};
}

/// Checks a range of sizes.
constexpr pool_ladder_result try_pool_ladder(const pool_shape& shape, pool_sizes range = {}) noexcept {
    if (const pool_fault f = fault_of(shape); f != pool_fault::none) return {{}, f};
    const int base = (shape.height > shape.width ? shape.height : shape.width) / shape.stride;
    const int smallest = range.smallest == 0 ? base : range.smallest;
    const int largest = range.largest == 0 ? 2 * base : range.largest;
    if (smallest < base || smallest >= 2 * base) return {{}, pool_fault::smallest_out_of_range};
    if (largest > base << max_pool_octaves) return {{}, pool_fault::largest_out_of_range};
    if (range.step < 1 || largest < smallest) return {{}, pool_fault::sizes_not_increasing};
    std::array<int, max_pool_levels> sizes{};
    std::size_t count = 0;
    for (int s = smallest; s <= largest; s += range.step < 2 * max_pool_side ? range.step : 2 * max_pool_side) {
        if (count == sizes.size()) return {{}, pool_fault::too_many_levels};
        sizes[count++] = s;
    }
    return try_pool_ladder(shape, sizes.data(), count);
}

/// Checks widths.
constexpr pool_ladder_result try_pool_ladder(const pool_shape& shape, const width_choice& by) noexcept {
    if (const pool_fault f = fault_of_size(shape); f != pool_fault::none) return {{}, f};
    if (by.count < 1) return {{}, pool_fault::no_levels};
    if (by.count > max_stream_widths) return {{}, pool_fault::too_many_levels};
    pool_ladder l{.shape = {shape.channels, shape.height, shape.width, 1}, .levels = by.count};
    for (std::size_t i = 0; i < static_cast<std::size_t>(by.count); ++i) {
        if (by.channels[i] <= (i > 0 ? by.channels[i - 1] : 0)) return {{}, pool_fault::widths_not_increasing};
        if (by.channels[i] > shape.channels) return {{}, pool_fault::last_width_not_all};
        l.sizes[i] = static_cast<std::int16_t>(l.longer());
        l.widths[i] = static_cast<std::uint16_t>(by.channels[i]);
    }
    if (l.channels(l.levels - 1) != shape.channels) return {{}, pool_fault::last_width_not_all};
    return {l, pool_fault::none};
}

/// A ladder for shapes known to be sound; one without levels for others (`try_pool_ladder` says why).
/// ```cpp
/// constexpr auto ladder = splitdsl::pool_ladder_of({.channels = 24, .height = 56, .width = 56, .stride = 4}, {.step = 2});
/// static_assert(ladder.levels == 8 && ladder.rows(0) == 14 && ladder.values(7) == 28 * 28);
/// ```
/// Source: FLEET, Eq. 2 and 3; ladders over several octaves and for maps that are not square are this library's.
constexpr pool_ladder pool_ladder_of(const pool_shape& shape, pool_sizes range = {}) noexcept {
    return try_pool_ladder(shape, range).ladder;
}
/// ```cpp
/// constexpr auto ladder = splitdsl::pool_ladder_of({.channels = 32, .height = 8, .width = 8}, splitdsl::widths(4, 8, 16, 32));
/// static_assert(ladder.levels == 4 && ladder.channels(1) == 8 && ladder.values(0) == 8 * 8);
/// ```
constexpr pool_ladder pool_ladder_of(const pool_shape& shape, const width_choice& by) noexcept { return try_pool_ladder(shape, by).ladder; }

} // namespace splitdsl
