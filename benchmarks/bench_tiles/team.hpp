// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file team.hpp
/// A team of devices that are paced to the same speed, over TCP and the relay within this process: what its frames take, beside what the model says.
#pragma once

#include "networks.hpp"

#include <splitdsl/link/relay.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/tile_helper.hpp>
#include <splitdsl/runtime/tile_team_core.hpp>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace timed {
using namespace splitdsl;

struct team_terms {
    int helpers{1};
    double macs_per_second{}, mbit{}, rtt_ms{};
};

/// The network on one device, whose every part takes at least as long as at the given speed.
template <class Network>
class paced_runs final : public tile_runs {
public:
    paced_runs(const std::vector<std::vector<float>>& values, const tile_plan& plan, const network_code& code, const tile_figures& figures, double macs_per_second)
        : tiles{values, plan, 1, *code.tiles}, net{*code.whole}, weights{values, net}, arena{net}, grid{figures}, speed{macs_per_second} {}
    void ask(int k, const void* const* inputs, std::span<std::byte> question) override { tiles.ask(k, inputs, question); }
    void gather(int k, std::span<const std::byte> answer) override { tiles.gather(k, answer); }
    void run_here(int k, const void* const* inputs) override {
        paced(grid.tiles[k].macs, [&] { tiles.run_here(k, inputs); });
    }
    void run_behind(const void* const* inputs, float* outputs) override {
        paced(grid.rest_macs, [&] { tiles.run_behind(inputs, outputs); });
    }
    void run_whole(const void* const* inputs, float* outputs) override {
        paced(grid.whole_macs + grid.rest_macs, [&] { net.run({arena.data(), weights.bytes().data(), inputs, outputs}, 0, net.stages, nullptr); });
    }
    tiled_network<Network> tiles;
    const pipeline& net;
    network_weights<Network> weights;

private:
    template <class Run>
    void paced(std::int64_t macs, Run&& run) const {
        const auto until = std::chrono::steady_clock::now() + from_seconds(static_cast<double>(macs) / speed);
        run();
        std::this_thread::sleep_until(until);
    }
    frame_arena arena;
    const tile_figures grid;
    const double speed;
};

struct team_times {
    std::string grid{};
    double alone_ms{}, modelled_ms{}; ///< modelled: from the rates and speeds that were measured
    std::vector<double> milliseconds{};
    tile_team_counters counts{};
    int sent{}; ///< tiles of the last frame
};

/// Frames of the grid that is best by the model, one after another. Throws where a value differs from the whole run's.
template <class Network>
team_times measure_team(const team_terms& t, int runs) {
    const network_code& code = chosen_code<Network>();
    std::vector<tile_worker> workers(static_cast<std::size_t>(t.helpers), tile_worker{.macs_per_second = t.macs_per_second, .rate_up = megabits_per_second(t.mbit), .round_trip = from_milliseconds(t.rtt_ms)});
    const shared_grid best = choose_shares<Network>(t.macs_per_second, workers);
    team_times out{.alone_ms = 1e3 * best.here.alone};
    if (best.figures.count() < 2) return out;
    out.grid = std::to_string(best.figures.rows) + "x" + std::to_string(best.figures.columns);
    tile_plan plan;
    const graph::tile_source& source = tile_source_of<Network>;
    for (const graph::segment& s : {best.figures.of, graph::segment{best.figures.of.last, {source.count, -1}}})
        graph::add_part(source, plan, graph::figures_of(source, tile_lives<Network>, s, code.tiles->lanes), 1);

    const auto values = random_weights(parameters<Network>(), 1);
    paced_runs<Network> own{values, plan, code, best.figures, t.macs_per_second};
    const tile_agreement agreed{own.tiles};
    const duration pace = from_seconds(static_cast<double>(best.figures.macs) / best.figures.count() / t.macs_per_second);
    std::vector<std::unique_ptr<tile_helper<Network>>> helpers;
    std::vector<std::unique_ptr<link::relay>> ways;
    std::vector<std::unique_ptr<link::connector>> to;
    const link::impairment way{.rate = megabits_per_second(t.mbit), .delay = from_milliseconds(t.rtt_ms / 2)};
    for (int k = 0; k < t.helpers; ++k) {
        helpers.push_back(std::make_unique<tile_helper<Network>>(values, plan, cloud_options{}, std::make_unique<link::tcp_listener>(), pace, *code.tiles));
        ways.push_back(std::make_unique<link::relay>(link::relay_options{.port = helpers.back()->port(), .up = way, .down = way, .buffer_bytes = 256 * 1024, .flight_bytes = 4 << 20}));
        to.push_back(std::make_unique<link::tcp>("127.0.0.1", ways.back()->port()));
    }
    tile_team_core team{own, agreed, best.figures, own.weights.digest(), own.net, {.deadline = std::chrono::seconds{5}, .calibration_runs = 3, .patience = 4, .least_gain = -10}, std::move(to)};

    std::vector<std::byte> picture(own.net.inputs[0].bytes);
    for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::byte>(i * 7919 % 251);
    const void* const inputs[]{picture.data()};
    std::vector<float> expected(own.net.output_floats), values_out(expected.size());
    own.run_whole(inputs, expected.data());
    for (int i = 0; i < 500 && team.helpers_there() < t.helpers; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    if (team.helpers_there() < t.helpers) throw splitdsl::error("bench_tiles: helpers on this machine were expected to connect within 5 s: " + team.helper_failure(0));
    std::this_thread::sleep_for(std::chrono::seconds{2}); // rates are probed
    for (int run = -3; run < runs; ++run) {
        const tile_answer a = team.infer(inputs, values_out.data());
        if (std::memcmp(values_out.data(), expected.data(), expected.size() * sizeof(float)) != 0) throw splitdsl::error("bench_tiles: a team's values are not those of the whole run");
        if (run >= 0) out.milliseconds.push_back(to_milliseconds(a.total));
    }
    out.modelled_ms = 1e3 * team.shares().seconds, out.sent = team.shares().sent, out.counts = team.counters();
    return out;
}

} // namespace timed
