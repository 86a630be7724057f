// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_shares.hpp
/// Which device takes which tile, by what was measured of each and of its link; and from which rate on helpers pay at all. Modelled.
///
/// ```cpp
/// constexpr tile_times here{.macs_per_second = 2.5e9, .behind = 0.020, .alone = 0.080};
/// constexpr tile_worker camera{.macs_per_second = 2.5e9, .rate_up = megabits_per_second(100), .round_trip = std::chrono::milliseconds{2}};
/// constexpr tile_shares s = share_tiles(tiles_of<lane_keeper>({.rows = 4}), here, std::array{camera});
/// static_assert(s.pays(here, 0.05));              // at least 5 % of the time alone is saved
/// ```
#pragma once

#include <splitdsl/graph/tile_plans.hpp>

#include <array>
#include <span>

namespace splitdsl {

/// A device that computes tiles for another one, and the link to it.
struct tile_worker {
    double macs_per_second{};       ///< on tiles; 0: it takes none
    bits_per_second rate_up{};      ///< towards it; 0: it takes none
    bits_per_second rate_down{};    ///< back; 0: not known, as `rate_up`
    duration round_trip{};          ///< of an empty message
};
/// What the device takes that has the input, in seconds.
struct tile_times {
    double macs_per_second{};       ///< on tiles
    double behind{};                ///< everything behind the tiles
    double alone{};                 ///< the whole network in one piece
};

struct tile_shares {
    std::array<int, max_tiles> device{};   ///< of each tile: 0 here, k the worker k - 1
    std::array<double, max_tiles> back{};  ///< when each one is here, in seconds from the frame's begin
    int sent{};                            ///< tiles of workers
    double tiles_seconds{};                ///< until the last one is here
    double seconds{};                      ///< and until the network's end
    /// Whether at least a share of the time alone is saved.
    constexpr bool pays(const tile_times& here, double least_gain) const { return sent > 0 && seconds <= (1 - least_gain) * here.alone; }
};

namespace graph {
/// A message's headers, on the wire's and the tile's own level.
inline constexpr std::int64_t tile_message_bytes = 96;

/// Seconds on the air.
constexpr double air_seconds(std::int64_t volume, bits_per_second rate) { return static_cast<double>(volume + tile_message_bytes) * 8 / rate.value; }

/// When each tile is back if `s.device` takes them: questions leave in the tiles' order, answers in that in which they are ready, all over the first device's one medium.
constexpr void time_shares(const tile_figures& f, const tile_times& here, std::span<const tile_worker> workers, tile_shares& s) {
    std::array<double, max_devices + 1> computed{};
    std::array<double, max_tiles> ready{};
    std::array<bool, max_tiles> timed{};
    double air = 0;
    s.sent = 0, s.tiles_seconds = 0;
    for (int k = 0; k < f.count(); ++k) {
        const auto d = static_cast<std::size_t>(s.device[static_cast<std::size_t>(k)]);
        double arrives = 0;
        if (d > 0) {
            air += air_seconds(f.tiles[k].in_bytes, workers[d - 1].rate_up);
            arrives = air + to_seconds(workers[d - 1].round_trip) / 2;
            ++s.sent;
        }
        const double begins = arrives > computed[d] ? arrives : computed[d];
        ready[static_cast<std::size_t>(k)] = computed[d] = begins + static_cast<double>(f.tiles[k].macs) / (d == 0 ? here.macs_per_second : workers[d - 1].macs_per_second);
    }
    for (int n = 0; n < f.count(); ++n) {
        std::size_t next = max_tiles;
        for (std::size_t k = 0; k < static_cast<std::size_t>(f.count()); ++k)
            if (!timed[k] && (next == max_tiles || ready[k] < ready[next])) next = k;
        timed[next] = true;
        double there = ready[next];
        if (const auto d = static_cast<std::size_t>(s.device[next]); d > 0) {
            const tile_worker& w = workers[d - 1];
            const double leaves = ready[next] + to_seconds(w.round_trip) / 2;
            air = (leaves > air ? leaves : air) + air_seconds(f.tiles[next].out_bytes, w.rate_down.value > 0 ? w.rate_down : w.rate_up);
            there = air;
        }
        s.back[next] = there;
        if (there > s.tiles_seconds) s.tiles_seconds = there;
    }
    s.seconds = s.tiles_seconds + here.behind;
}
} // namespace graph

/// Tiles by the model: of every number of workers, the fastest first, that which ends first; each tile in its order goes to the device that would be done with it first. A worker
/// that would make the frame end later gets none. Refused: nothing; more than `max_devices` workers are not looked at. Cost: some microseconds.
constexpr tile_shares share_tiles(const tile_figures& f, const tile_times& here, std::span<const tile_worker> all) {
    const std::span<const tile_worker> workers = all.first(all.size() < static_cast<std::size_t>(max_devices) ? all.size() : static_cast<std::size_t>(max_devices));
    const auto usable = [](const tile_worker& w) { return w.macs_per_second > 0 && w.rate_up.value > 0; };
    // A worker's time for a tile and its way, the less the better.
    const auto cost = [&f](const tile_worker& w) {
        const double tiles = f.count() > 0 ? f.count() : 1;
        return static_cast<double>(f.macs) / tiles / w.macs_per_second + (static_cast<double>(f.in_bytes + f.out_bytes) / tiles) * 8 / w.rate_up.value + to_seconds(w.round_trip);
    };
    std::array<std::size_t, max_devices> order{};
    std::size_t count = 0;
    for (std::size_t d = 0; d < workers.size(); ++d) {
        if (!usable(workers[d])) continue;
        std::size_t at = count++;
        for (; at > 0 && cost(workers[order[at - 1]]) > cost(workers[d]); --at) order[at] = order[at - 1];
        order[at] = d;
    }
    tile_shares best;
    graph::time_shares(f, here, workers, best); // all here
    for (std::size_t used = 1; used <= count; ++used) {
        tile_shares s;
        std::array<double, max_devices + 1> computed{};
        double air = 0;
        for (int k = 0; k < f.count(); ++k) {
            const tile_cost& t = f.tiles[k];
            std::size_t chosen = 0;
            double ends = computed[0] + static_cast<double>(t.macs) / here.macs_per_second, there = ends;
            for (std::size_t n = 0; n < used; ++n) {
                const tile_worker& w = workers[order[n]];
                const double arrives = air + graph::air_seconds(t.in_bytes, w.rate_up) + to_seconds(w.round_trip) / 2, busy = computed[order[n] + 1];
                const double done = (arrives > busy ? arrives : busy) + static_cast<double>(t.macs) / w.macs_per_second;
                const double back = done + to_seconds(w.round_trip) / 2 + graph::air_seconds(t.out_bytes, w.rate_down.value > 0 ? w.rate_down : w.rate_up);
                if (back < there) chosen = order[n] + 1, ends = done, there = back;
            }
            if (chosen > 0) air += graph::air_seconds(t.in_bytes, workers[chosen - 1].rate_up);
            computed[chosen] = ends;
            s.device[static_cast<std::size_t>(k)] = static_cast<int>(chosen);
        }
        graph::time_shares(f, here, workers, s);
        if (s.seconds < best.seconds) best = s;
    }
    return best;
}

/// The least rate, both ways, from which on tiles at `worker` save `least_gain` of the time alone; 0: no rate up to 100 Gbit/s does. By bisection, to 1 %.
constexpr bits_per_second least_paying_rate(const tile_figures& f, const tile_times& here, tile_worker worker, double least_gain = 0) {
    const auto pays = [&](double both_ways) {
        worker.rate_up = worker.rate_down = {both_ways};
        return share_tiles(f, here, std::span{&worker, 1}).pays(here, least_gain);
    };
    const auto rate = [](int steps) {
        double r = 1e3;
        for (int i = 0; i < steps; ++i) r *= 1.01;
        return r;
    };
    int low = 0, high = 1852; // 100 Gbit/s
    if (f.why || !pays(rate(high))) return {};
    while (high > low + 1) {
        const int middle = (low + high) / 2;
        (pays(rate(middle)) ? high : low) = middle;
    }
    return {rate(high)};
}

/// A grid, and who takes its tiles.
struct shared_grid {
    tile_figures figures{};                ///< of one tile: no grid is faster than the device alone
    tile_shares shares{};
    tile_times here{};
};

/// The grid over the network's first layers, of up to `most_tiles` tiles, that ends first with these workers; `macs_per_second` of the device that has the input, in one piece as in
/// tiles. One tile where none is faster than that device alone. What `choose_tiles` does for equal links, by each worker's own.
template <class Network>
constexpr shared_grid choose_shares(double macs_per_second, std::span<const tile_worker> workers, int most_tiles = 16) {
    const graph::tile_source& n = tile_source_of<Network>;
    const auto& borders = tile_borders<Network>;
    shared_grid best;
    best.figures.why = borders.why;
    for (int k = 1; !borders.why && k + 1 < borders.count; ++k) {
        const graph::border& end = borders.at[k];
        if (n.buffers[end.tensor].is_bytes || graph::first_whole(n, 0, end.step) >= 0) continue;
        for (int tiles = 1; tiles <= (most_tiles < max_tiles ? most_tiles : max_tiles); ++tiles)
            for (int rows = 1; rows <= tiles; ++rows) {
                if (tiles % rows != 0) continue;
                const tile_figures f = graph::figures_of(n, tile_lives<Network>, {borders.at[0], end, rows, tiles / rows}, 0);
                if (f.why) continue;
                const tile_times here{macs_per_second, static_cast<double>(f.rest_macs) / macs_per_second, static_cast<double>(f.whole_macs + f.rest_macs) / macs_per_second};
                const tile_shares s = share_tiles(f, here, tiles == 1 ? std::span<const tile_worker>{} : workers);
                if (best.figures.count() == 0 || s.seconds < best.shares.seconds) best = {f, s, here};
            }
    }
    if (!best.figures.why && best.figures.count() == 0) best.figures.why = "no layer at the network's begin can be cut into tiles";
    return best;
}

} // namespace splitdsl
