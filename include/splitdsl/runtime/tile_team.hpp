// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_team.hpp
/// Several devices compute one frame's tiles together: `tile_team<Network>` on the device that has the input, `tile_helper<Network>` on the others (runtime/tile_helper.hpp).
#pragma once

#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/tile_team_core.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl {

/// Answers every frame of `Network` with the bits of the whole run, and by its deadline as `tile_team_core` promises. The first segment's tiles are shared out among this device and its helpers
/// by measured speeds and rates; everything behind runs here.
///
/// Memory: the tiles' weights and working memory (`tiled_network`), and the pipeline's own for the run in one piece, unless `keep_whole` is false: then its place is taken by the
/// tiles one after another.
///
/// Refused (option_error): what `tiled_network` and `tile_team_options` refuse; with `keep_whole`, a pipeline of another instruction set than the tiles' code, for its bits are others;
/// (weights_error) what `network_weights` refuses.
///
/// ```cpp
/// const auto values = match_weights<watcher>(read_safetensors("watcher.safetensors"), "watcher.safetensors");
/// tile_team<watcher> team{values, plan_tiles<watcher>({.rows = 4, .until = "body"}), {.deadline = 100ms}, link::tcp{"node1.local", 7450}, link::tcp{"node2.local", 7450}};
/// const tile_answer a = team.infer(inputs, classes);      // a.way: shared, mended, alone ...; a.on_time
/// ```
template <class Network>
class tile_team final : private tile_runs {
public:
    template <std::derived_from<link::connector>... Helper>
    tile_team(const std::vector<std::vector<float>>& values, const tile_plan& plan, tile_team_options options, Helper... helpers)
        : tile_team(values, plan, std::move(options), listed(std::move(helpers)...)) {}
    tile_team(const std::vector<std::vector<float>>& values, const tile_plan& plan, tile_team_options options, std::vector<std::unique_ptr<link::connector>> helpers, bool keep_whole = true,
              const tile_code& code = tile_code_of<Network>())
        : tiles{values, plan, 1, code}, terms{tiles}, net{pipeline_of<Network>()} {
        if (plan.count != 2) throw option_error(who() + "a plan of two segments was expected, the tiles and all behind them (plan_tiles); found " + std::to_string(plan.count));
        const network_weights<Network> checked{values};
        if (keep_whole) {
            if (std::string_view{net.instruction_set} != code.instruction_set)
                throw option_error(who() + "tiles and pipeline of one instruction set were expected, found " + code.instruction_set + " and " + net.instruction_set +
                                   ". Compile this file for the same one (-march), or do without the run in one piece (keep_whole)");
            whole.emplace(checked);
            arena.emplace(net);
        }
        const tile_figures figures = graph::figures_of(tile_source_of<Network>, tile_lives<Network>, tiles.front(), 0);
        core = std::make_unique<tile_team_core>(static_cast<tile_runs&>(*this), terms, figures, checked.digest(), net, std::move(options), std::move(helpers));
    }
    tile_team(const tile_team&) = delete;
    tile_team& operator=(const tile_team&) = delete;

    /// `inputs` in the network's order, each exactly `tensor_info::bytes` long; `values`: every output, `pipeline::output_floats`. Else `tile_way::none`, and nothing is written. One thread.
    tile_answer infer(frame_inputs inputs, std::span<float> values) noexcept {
        bool fit = inputs.size() == net.inputs.size() && inputs.size() <= pointers.size() && values.size() == net.output_floats;
        for (std::size_t i = 0; fit && i < inputs.size(); ++i) fit = inputs[i].size() == net.inputs[i].bytes;
        if (!fit) return core->refuse(), tile_answer{};
        for (std::size_t i = 0; i < inputs.size(); ++i) pointers[i] = inputs[i].data();
        return core->infer(pointers.data(), values.data());
    }

    const tile_team_counters& counters() const noexcept { return core->counters(); }
    const tile_shares& shares() const noexcept { return core->shares(); }
    tile_times here() const noexcept { return core->here(); }
    tile_worker worker(int k) const noexcept { return core->worker(k); }
    int helpers_there() const noexcept { return core->helpers_there(); }
    std::string helper_failure(int k) const { return core->helper_failure(k); }
    duration reserve(int missing) const noexcept { return core->reserve(missing); }

private:
    template <class... Helper>
    static std::vector<std::unique_ptr<link::connector>> listed(Helper... helpers) {
        std::vector<std::unique_ptr<link::connector>> all;
        (all.push_back(std::make_unique<Helper>(std::move(helpers))), ...);
        return all;
    }
    static std::string who() { return "tile team of " + std::string(graph::type_name<Network>()) + ": "; }

    void ask(int k, const void* const* inputs, std::span<std::byte> question) override { tiles.ask(k, inputs, question); }
    void run_here(int k, const void* const* inputs) override { tiles.run_here(k, inputs); }
    void gather(int k, std::span<const std::byte> answer) override { tiles.gather(k, answer); }
    void run_behind(const void* const* inputs, float* outputs) override { tiles.run_behind(inputs, outputs); }
    void run_whole(const void* const* inputs, float* outputs) override {
        if (whole) net.run({arena->data(), whole->bytes().data(), inputs, outputs}, 0, net.stages, nullptr);
        else tiles.run(inputs, outputs);
    }

    tiled_network<Network> tiles;
    tile_agreement terms;
    const pipeline& net;
    std::optional<network_weights<Network>> whole{};
    std::optional<frame_arena> arena{};
    std::array<const void*, 64> pointers{};
    std::unique_ptr<tile_team_core> core{}; // last: it runs what stands above
};

} // namespace splitdsl
