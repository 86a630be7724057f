// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_plans.hpp
/// Plans: the cheapest way through a given memory, the fewest devices whose memories hold a network together, and the grid that finishes first on given devices.
///
/// All are `constexpr`: a small network's plan may stand in a static_assert; that of a large one takes longer than compilers allow, and some milliseconds at run time.
#pragma once

#include <splitdsl/graph/tiles.hpp>

#include <array>
#include <span>

namespace splitdsl {

inline constexpr int max_segments = 64;

/// Consecutive segments, and what they need. Bytes are of one device that runs all of them.
struct tile_plan {
    const char* why{};                  ///< null, or one sentence: why there is none
    int stops_at{};                     ///< the op that it speaks of, -1: of none
    std::array<graph::segment, max_segments> parts{};
    int count{};
    std::int64_t weight_bytes{};        ///< packed, at most
    std::int64_t work_bytes{};          ///< maps between segments, arenas and cropped inputs
    std::int64_t macs{}, whole_macs{};
    constexpr std::int64_t peak_bytes() const { return weight_bytes + work_bytes; }
};

struct memory_terms {
    int lanes{16};                      ///< channels a block: 16 of AVX-512 (the most memory), 8 of AVX2, 4 elsewhere
    int threads{1};                     ///< each with an arena of its own
    int most_tiles{16};                 ///< of one grid
};

namespace graph {

constexpr std::int64_t whole_lines(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }
/// Bytes of the tensor that crosses a border, as it is kept from a segment to the next.
constexpr std::int64_t held_bytes(const tile_source& n, const border& b) { return b.tensor < 0 ? 0 : whole_lines(crop_bytes(n, b.tensor, n.whole(b.tensor))); }
/// Working memory while a segment runs.
constexpr std::int64_t work_of(const tile_source& n, const tile_figures& f, int threads) {
    return held_bytes(n, f.of.first) + held_bytes(n, f.of.last) + least_of(threads, f.count()) * (f.arena_bytes + whole_lines(f.raw_bytes));
}
constexpr std::int64_t weights_between(const tile_source& n, int first, int last, int lanes) {
    std::int64_t bytes = 0;
    for (int i = first; i < last; ++i) bytes += packed_bytes_of(n, n.at(i), lanes);
    return bytes;
}
constexpr void add_part(const tile_source& n, tile_plan& p, const tile_figures& f, int threads) {
    p.parts[static_cast<std::size_t>(p.count++)] = f.of;
    p.macs += f.macs, p.whole_macs += f.whole_macs;
    if (const std::int64_t work = work_of(n, f, threads); work > p.work_bytes) p.work_bytes = work;
}

/// The grid of a segment with the fewest multiply-accumulates that works within `budget` bytes, of equal ones that with the fewest tiles; `why` of the result: none does.
template <std::size_t Capacity>
constexpr tile_figures cheapest_grid(const tile_source& n, const life_table<Capacity>& lives, segment s, std::int64_t budget, const memory_terms& terms, int least_tiles, int most_tiles) {
    tile_figures best;
    best.why = "no grid is small enough";
    if (held_bytes(n, s.first) + held_bytes(n, s.last) >= budget) return best;
    if (least_tiles > 1 && (s.last.tensor < 0 || n.buffers[s.last.tensor].is_bytes || first_whole(n, s.first.step, s.last.step) >= 0)) return best;
    for (int tiles = least_tiles; tiles <= least_of(most_tiles, max_tiles); ++tiles)
        for (s.rows = 1; s.rows <= tiles; ++s.rows) {
            if (tiles % s.rows != 0) continue;
            s.columns = tiles / s.rows;
            const tile_figures costs = figures_of(n, lives, s, 0);
            if (costs.why || (!best.why && costs.macs >= best.macs)) continue;
            const tile_figures f = figures_of(n, lives, s, terms.lanes);
            if (work_of(n, f, terms.threads) <= budget) best = f;
        }
    return best;
}

/// The fewest multiply-accumulates from border `from` to border `to` within `budget` bytes of working memory; of plans with equally many that with the fewest segments.
template <std::size_t Capacity>
constexpr tile_plan plan_between(const tile_source& n, const life_table<Capacity>& lives, const border_table<Capacity>& borders, int from, int to, std::int64_t budget, const memory_terms& terms) {
    struct way { std::int64_t macs{}, whole{}; int parts{}, before{}; tile_figures last{}; };
    tile_plan plan;
    way ways[Capacity + 2]{};
    for (way& w : ways) w.macs = -1;
    ways[from].macs = 0;
    for (int end = from + 1; end <= to; ++end)
        for (const bool tiled : {false, true})
            for (int begin = from; begin < end; ++begin) {
                const way& w = ways[begin];
                if (w.macs < 0 || w.parts + 1 > max_segments) continue;
                way& x = ways[end];
                if (tiled && x.macs >= 0 && x.macs == x.whole) continue; // nothing is done twice already
                const tile_figures f = cheapest_grid(n, lives, {borders.at[begin], borders.at[end]}, budget, terms, tiled ? 2 : 1, tiled ? terms.most_tiles : 1);
                if (f.why) continue;
                const std::int64_t macs = w.macs + f.macs;
                if (x.macs < 0 || macs < x.macs || (macs == x.macs && w.parts + 1 < x.parts)) x = {macs, w.whole + f.whole_macs, w.parts + 1, begin, f};
            }
    if (ways[to].macs < 0) {
        plan.stops_at = -1;
        plan.why = "no cut into segments and tiles needs as little working memory as is left beside the weights";
        return plan;
    }
    int order[max_segments]{}, count = 0;
    for (int at = to; at != from; at = ways[at].before) order[count++] = at;
    while (count > 0) add_part(n, plan, ways[order[--count]].last, terms.threads);
    return plan;
}

} // namespace graph

/// A grid over the first layers, and everything behind it as a whole.
template <class Network>
constexpr tile_plan plan_tiles(const tile_grid& grid, const memory_terms& terms = {}) {
    const graph::tile_source& n = tile_source_of<Network>;
    tile_plan plan;
    const tile_figures front = tiles_of<Network>(grid, terms.lanes);
    plan.why = front.why, plan.stops_at = front.stops_at;
    if (plan.why) return plan;
    plan.weight_bytes = graph::weights_between(n, 0, n.count, terms.lanes);
    graph::add_part(n, plan, front, terms.threads);
    graph::add_part(n, plan, graph::figures_of(n, tile_lives<Network>, {front.of.last, {n.count, -1}}, terms.lanes), terms.threads);
    return plan;
}

/// The fewest multiply-accumulates whose weights, maps and arenas fit into `ram_bytes` together (the application's inputs and outputs apart). Refused (`why`): more
/// weights than memory; nothing small enough.
///
/// ```cpp
/// constexpr tile_plan small = plan_within<lane_keeper>(600'000);
/// static_assert(small.why == nullptr && small.peak_bytes() <= 600'000);
/// ```
template <class Network>
constexpr tile_plan plan_within(std::int64_t ram_bytes, const memory_terms& terms = {}) {
    const graph::tile_source& n = tile_source_of<Network>;
    tile_plan plan;
    plan.why = tile_borders<Network>.why, plan.stops_at = -1;
    if (plan.why) return plan;
    const std::int64_t weights = graph::weights_between(n, 0, n.count, terms.lanes);
    if (weights >= ram_bytes) plan.why = "the weights alone take the memory; share the network out over several devices (devices_within)";
    else plan = graph::plan_between(n, tile_lives<Network>, tile_borders<Network>, 0, tile_borders<Network>.count - 1, ram_bytes - weights, terms);
    plan.weight_bytes = weights;
    return plan;
}
template <class Network>
constexpr bool fits(std::int64_t ram_bytes, const memory_terms& terms = {}) { return plan_within<Network>(ram_bytes, terms).why == nullptr; }

/// A plan's first segment alone: what a device needs that only computes tiles of it.
constexpr tile_plan first_of(const tile_plan& plan) {
    tile_plan front;
    front.why = plan.why, front.stops_at = plan.stops_at;
    if (plan.count > 0) front.parts[0] = plan.parts[0], front.count = 1;
    return front;
}

inline constexpr int max_devices = 16;
/// Devices that run one after another: each holds its own layers' weights alone.
struct device_plan {
    const char* why{};
    int count{};
    std::array<tile_plan, max_devices> devices{};
    std::array<std::int64_t, max_devices> sent_bytes{}; ///< what a device sends to the next, in 4-byte floats; 0 of the last
};

/// The fewest devices of `ram_bytes` each that hold the network together: every one takes as many layers as fit (the earliest cuts that do).
template <class Network>
constexpr device_plan devices_within(std::int64_t ram_bytes, const memory_terms& terms = {}) {
    const graph::tile_source& n = tile_source_of<Network>;
    const auto& borders = tile_borders<Network>;
    device_plan all;
    all.why = borders.why;
    for (int from = 0; !all.why && from + 1 < borders.count;) {
        if (all.count == max_devices) return all.why = "more than 16 devices would be needed", all;
        int to = borders.count - 1;
        tile_plan& mine = all.devices[static_cast<std::size_t>(all.count)];
        for (; to > from; --to) {
            const std::int64_t weights = graph::weights_between(n, borders.at[from].step, borders.at[to].step, terms.lanes);
            if (weights >= ram_bytes) continue;
            mine = graph::plan_between(n, tile_lives<Network>, borders, from, to, ram_bytes - weights, terms);
            mine.weight_bytes = weights;
            if (!mine.why) break;
        }
        if (to == from) return all.why = "the layers between two neighbouring cuts need more than one device's memory", all;
        all.sent_bytes[static_cast<std::size_t>(all.count++)] = borders.at[to].tensor < 0 ? 0 : graph::held_bytes(n, borders.at[to]);
        from = to;
    }
    return all;
}

/// One of the devices that share a grid. The first of them has the input, gathers the tiles and runs the rest.
struct tile_device {
    double macs_per_second{};
};
/// The link between them, one medium for all: a message waits until the one before has passed.
struct tile_link {
    bits_per_second rate{};
    duration latency{};
};
/// Who runs which tile, and when all is done: modelled.
struct tile_schedule {
    std::array<int, max_tiles> device{};
    double tiles_seconds{};             ///< until the last tile is gathered
    double seconds{};                   ///< and until the network's end
};

/// Tiles in order, each for the device that would be done with it first. Refused: nothing; a speed of 0 is never done.
constexpr tile_schedule schedule_tiles(const tile_figures& f, std::span<const tile_device> devices, const tile_link& link) {
    struct busy { double compute{}; };
    tile_schedule s;
    std::array<busy, max_devices> state{};
    const auto air = [&](std::int64_t volume) { return static_cast<double>(volume) * 8 / link.rate.value; };
    const double latency = static_cast<double>(link.latency.count()) * 1e-9;
    const std::size_t count = devices.size() < max_devices ? devices.size() : max_devices;
    double down = 0; // when the medium has carried all inputs so far
    std::array<double, max_tiles> ready{};
    for (int k = 0; k < f.count(); ++k) {
        const tile_cost& t = f.tiles[k];
        std::size_t chosen = 0;
        double best = 0, computed = 0;
        for (std::size_t d = 0; d < count; ++d) {
            const double arrives = d == 0 ? 0 : down + air(t.in_bytes) + latency;
            const double begins = arrives > state[d].compute ? arrives : state[d].compute, ends = begins + static_cast<double>(t.macs) / devices[d].macs_per_second;
            const double there = ends + (d == 0 ? 0 : air(t.out_bytes) + latency);
            if (d == 0 || there < best) best = there, computed = ends, chosen = d;
        }
        if (chosen > 0) down += air(t.in_bytes);
        state[chosen].compute = computed;
        ready[static_cast<std::size_t>(k)] = computed;
        s.device[static_cast<std::size_t>(k)] = static_cast<int>(chosen);
    }
    // Outputs come back in the order in which they are ready, behind all inputs.
    std::array<bool, max_tiles> back{};
    double up = down;
    for (int n = 0; n < f.count(); ++n) {
        int next = -1;
        for (int k = 0; k < f.count(); ++k)
            if (!back[static_cast<std::size_t>(k)] && (next < 0 || ready[static_cast<std::size_t>(k)] < ready[static_cast<std::size_t>(next)])) next = k;
        back[static_cast<std::size_t>(next)] = true;
        double there = ready[static_cast<std::size_t>(next)];
        if (s.device[static_cast<std::size_t>(next)] > 0) {
            up = (there > up ? there : up) + air(f.tiles[next].out_bytes);
            there = up + latency;
        }
        if (there > s.tiles_seconds) s.tiles_seconds = there;
    }
    s.seconds = s.tiles_seconds + (devices.empty() ? 0 : static_cast<double>(f.rest_macs) / devices[0].macs_per_second);
    return s;
}

/// A grid, where it ends, and who runs what.
struct tile_choice {
    tile_figures figures{};             ///< of one tile: the first device runs all alone
    tile_schedule schedule{};
};

/// The grid and the last fused layer that finish first, by the model, over all places where one map crosses and all grids of up to `most_tiles` tiles; one tile on the
/// first device alone if no grid is faster.
template <class Network>
constexpr tile_choice choose_tiles(std::span<const tile_device> devices, const tile_link& link, int most_tiles = 16) {
    const graph::tile_source& n = tile_source_of<Network>;
    const auto& borders = tile_borders<Network>;
    tile_choice best;
    best.figures.why = borders.why;
    for (int k = 1; !borders.why && k + 1 < borders.count; ++k) {
        const graph::border& end = borders.at[k];
        if (n.buffers[end.tensor].is_bytes || graph::first_whole(n, 0, end.step) >= 0) continue;
        for (int tiles = 1; tiles <= (most_tiles < max_tiles ? most_tiles : max_tiles); ++tiles)
            for (int rows = 1; rows <= tiles; ++rows) {
                if (tiles % rows != 0) continue;
                const tile_figures f = graph::figures_of(n, tile_lives<Network>, {borders.at[0], end, rows, tiles / rows}, 0);
                if (f.why) continue;
                const tile_schedule s = tiles == 1 ? schedule_tiles(f, devices.first(1), link) : schedule_tiles(f, devices, link);
                if (best.figures.count() == 0 || s.seconds < best.schedule.seconds) best = {f, s};
            }
    }
    if (!best.figures.why && best.figures.count() == 0) best.figures.why = "no layer at the network's begin can be cut into tiles";
    return best;
}

} // namespace splitdsl
