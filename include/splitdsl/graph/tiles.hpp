// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiles.hpp
/// Splits a network's first layers over several weak devices, or through a memory that is too small for it: figures and plans, at compile time or at run time.
///
/// ```cpp
/// constexpr tile_figures quarters = tiles_of<lane_keeper>({.rows = 2, .columns = 2, .until = "stem"});
/// static_assert(quarters.why == nullptr);                 // or a sentence: what cannot be cut, and why
/// static_assert(quarters.redundant_share() < 0.1);        // halos are computed twice
/// static_assert(fits<lane_keeper>(600'000));              // bytes of weights, maps and working memory together
/// ```
/// docs/parallel.md has the terms. Sources: Zhao et al., DeepThings (2018); Liang, Shenoy, Irwin, AI on the Edge (2020), section 5.1.
#pragma once

#include <splitdsl/graph/tile_layout.hpp>
#include <splitdsl/units.hpp>

namespace splitdsl {

inline constexpr int max_tiles = 64; ///< of one grid

/// A grid over the map that `until` gives: a named layer or group of layers, or a cut. Empty: as far as tiles go.
struct tile_grid {
    int rows{1}, columns{1};
    text until{};
};

/// What one tile costs.
struct tile_cost { std::int64_t macs{}, in_bytes{}, out_bytes{}; };

/// A grid's costs. Bytes are those of crops: raw inputs as the application has them, maps as 4-byte floats.
struct tile_figures {
    int rows{}, columns{};
    const char* why{};                  ///< null, or one sentence: why this grid is not possible
    int stops_at{};                     ///< the op that it speaks of, -1: of none
    int last_op{};                      ///< of the last step within the tiles
    graph::segment of{};
    tile_cost tiles[max_tiles]{};
    std::int64_t macs{};                ///< of all tiles together
    std::int64_t whole_macs{};          ///< of the same layers without tiles
    std::int64_t rest_macs{};           ///< of all other layers
    std::int64_t in_bytes{}, out_bytes{};
    std::int64_t arena_bytes{};         ///< of the largest tile
    std::int64_t raw_bytes{};           ///< of a raw input's largest crop
    constexpr int count() const { return rows * columns; }
    /// Multiply-accumulates that are done more than once, as a share of those of the whole.
    constexpr double redundant_share() const { return macs == 0 || whole_macs == 0 ? 0 : static_cast<double>(macs - whole_macs) / static_cast<double>(whole_macs); }
};

namespace graph {

/// Whether a name scope's full name is `name`, components joined by dots.
constexpr bool has_name(const tile_source& n, int scope, text name) {
    for (; scope >= 0; scope = n.parent[scope]) {
        const std::size_t dot = name.rfind('.');
        const text last = dot == text::npos ? name : name.substr(dot + 1);
        if (n.scopes[scope].index < 0) {
            if (last != n.scopes[scope].name) return false;
        } else {
            int value = 0;
            for (const char c : last) {
                if (c < '0' || c > '9' || value > 1'000'000) return false;
                value = 10 * value + (c - '0');
            }
            if (last.empty() || value != n.scopes[scope].index) return false;
        }
        if (dot == text::npos) return n.parent[scope] < 0;
        name = name.substr(0, dot);
    }
    return false;
}
/// Whether an op stands in the scope of this name, or carries it as its label.
constexpr bool is_named(const tile_source& n, int op, text name) {
    if (n.ops[op].label == name) return true;
    for (int s = n.name[op]; s >= 0; s = n.parent[s])
        if (has_name(n, s, name)) return true;
    return false;
}
/// The first step behind all those of this name, or -1.
constexpr int step_behind(const tile_source& n, text name) {
    int behind = -1;
    for (int i = 0; i < n.count; ++i) {
        const step& s = n.at(i);
        if (s.op >= 0 && (is_named(n, s.op, name) || (s.norm >= 0 && is_named(n, s.norm, name)))) behind = i + 1;
    }
    while (behind > 0 && is_skipped(n.at(behind - 1))) --behind; // a border stands in front of what does nothing
    return behind;
}

/// The first step of a segment that only runs on whole maps, or -1.
constexpr int first_whole(const tile_source& n, int first, int last) {
    for (int i = first; i < last; ++i)
        if (!is_skipped(n.at(i)) && why_whole(n, n.at(i))) return i;
    return -1;
}

/// The costs of one segment in its grid; `lanes` 0: without places in memory.
template <std::size_t Capacity>
constexpr tile_figures figures_of(const tile_source& n, const life_table<Capacity>& lives, const segment& s, int lanes) {
    tile_figures f;
    f.rows = s.rows, f.columns = s.columns, f.of = s;
    f.stops_at = f.last_op = -1;
    const auto refuse = [&](const char* why, int op) {
        f.why = why, f.stops_at = op;
        return f;
    };
    if (s.rows < 1 || s.columns < 1 || s.rows > max_tiles || s.columns > max_tiles || s.tiles() > max_tiles) return refuse("a grid has 1 to 64 tiles", -1);
    for (int i = 0; i < n.count; ++i) {
        const step& x = n.at(i);
        if (is_skipped(x) || x.out < 0) continue;
        const std::int64_t macs = macs_of(n, x, n.whole(x.out).pixels());
        (i >= s.first.step && i < s.last.step ? f.whole_macs : f.rest_macs) += macs;
        if (i < s.last.step) f.last_op = x.op;
    }
    if (s.tiles() > 1) {
        if (const int i = first_whole(n, s.first.step, s.last.step); i >= 0) return refuse(why_whole(n, n.at(i)), n.at(i).op);
        const region all = n.whole(s.last.tensor);
        if (all.bottom < s.rows) return refuse("the grid has more rows than the map", f.last_op);
        if (all.right < s.columns) return refuse("the grid has more columns than the map", f.last_op);
    }
    for (int k = 0; k < s.tiles(); ++k) {
        tile_layouter<Capacity> l{n, lives, s};
        l.follow_back(k / s.columns, k % s.columns);
        if (lanes > 0) l.place(lanes);
        f.tiles[k] = {l.to.macs, l.to.in_bytes, l.to.out_bytes};
        f.macs += l.to.macs, f.in_bytes += l.to.in_bytes, f.out_bytes += l.to.out_bytes;
        if (l.to.arena_bytes > f.arena_bytes) f.arena_bytes = l.to.arena_bytes;
        if (s.tiles() > 1 && l.to.raw_bytes > f.raw_bytes) f.raw_bytes = l.to.raw_bytes;
    }
    return f;
}

/// The segment from the network's begin to where a grid ends. `why`: a sentence, if it cannot.
template <std::size_t Capacity>
constexpr segment segment_until(const tile_source& n, const border_table<Capacity>& borders, const tile_grid& grid, const char*& why, int& op) {
    segment s{borders.at[0], borders.at[0], grid.rows, grid.columns};
    if (borders.why) return why = borders.why, s;
    if (grid.until.empty()) {
        const int whole = first_whole(n, 0, n.count);
        for (int k = 1; k < borders.count; ++k)
            if (whole < 0 || borders.at[k].step <= whole)
                if (borders.at[k].tensor >= 0 && !n.buffers[borders.at[k].tensor].is_bytes) s.last = borders.at[k];
        if (s.last.step == 0) why = whole < 0 ? "no single map crosses any place in this network" : why_whole(n, n.at(whole)), op = whole < 0 ? -1 : n.at(whole).op;
        return s;
    }
    const int step = step_behind(n, grid.until);
    if (step < 0) return why = "no layer, group of layers or cut has the name where the grid should end", s;
    for (int k = 1; k < borders.count; ++k)
        if (borders.at[k].step == step && borders.at[k].tensor >= 0) return s.last = borders.at[k], s;
    op = n.at(step - 1).op;
    return why = "more than one map crosses behind the layer where the grid should end (an open residual, a concat's other operand), or none", s;
}

} // namespace graph

template <class Network>
inline constexpr std::size_t tile_capacity = std::remove_cvref_t<decltype(steps_of<Network>)>::capacity;
template <class Network>
inline constexpr auto tile_borders = graph::borders_of<tile_capacity<Network>>(tile_source_of<Network>);
template <class Network>
inline constexpr auto tile_lives = graph::lives_of<tile_capacity<Network>>(tile_source_of<Network>);

/// The costs of a grid over a network's first layers. `lanes`: channels a block, 16 of AVX-512 (the most memory), 8 of AVX2, 4 elsewhere.
template <class Network>
constexpr tile_figures tiles_of(const tile_grid& grid, int lanes = 16) {
    const char* why = nullptr;
    int op = -1;
    const graph::segment s = graph::segment_until(tile_source_of<Network>, tile_borders<Network>, grid, why, op);
    if (why) {
        tile_figures f;
        f.rows = grid.rows, f.columns = grid.columns, f.why = why, f.stops_at = op;
        return f;
    }
    return graph::figures_of(tile_source_of<Network>, tile_lives<Network>, s, lanes);
}

} // namespace splitdsl
