// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_agreement.hpp
/// What a gatherer and its helpers have to agree on before the first tile: network, weights, grid, every tile's region and the instruction set, as one number and one name.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/graph/fingerprint.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/link/tile_frame.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/tiled_network.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace splitdsl {

/// Equal on both sides, or the handshake refuses. Neither is moved once made: its description points into it.
class tile_agreement {
public:
    template <class Network>
    explicit tile_agreement(const tiled_network<Network>& network) : instruction_set{network.code().instruction_set}, graph_fingerprint{fingerprint<Network>} {
        const graph::tile_source& net = tile_source_of<Network>;
        const graph::segment& front = network.front();
        std::uint64_t h = graph::mix(fingerprint<Network>, text{"tiles"});
        const auto take = [&h](auto v) { h = graph::mix(h, static_cast<std::uint64_t>(v)); };
        const auto take_region = [&take](const graph::region& r) { take(r.top), take(r.left), take(r.bottom), take(r.right); };
        take(front.rows), take(front.columns), take(front.last.step), take(network.code().lanes);
        h = graph::mix(h, text{instruction_set});
        for (int k = 0; k < front.tiles(); ++k) {
            const auto& t = network.tile(k);
            take_region(t.out);
            for (int i = t.of.first.step; i < t.of.last.step; ++i)
                if (net.at(i).kind == graph::step_kind::load_input) take_region(t.steps[i].made);
            take(t.in_bytes), take(t.out_bytes);
            const auto word = [](int v) { return static_cast<std::uint32_t>(v); };
            of.push_back({{word(net.map(front.last.tensor).channels), word(t.out.top), word(t.out.left), word(t.out.height()), word(t.out.width())},
                          static_cast<std::uint32_t>(t.in_bytes), static_cast<std::uint32_t>(t.out_bytes)});
            question_most = std::max(question_most, network.question_bytes(k));
            answer_most = std::max(answer_most, network.answer_bytes(k));
        }
        plan = h;
        name = std::to_string(front.rows) + "x" + std::to_string(front.columns) + " tiles, plan " + detail::hex(plan) + ", " + instruction_set + ", of " + std::string(graph::type_name<Network>());
        name.resize(std::min(name.size(), link::largest_name)); // a handshake takes no longer one; the fingerprints tell networks apart
        cut = {.name = "tiles", .payload_bytes = link::tile_head_bytes + question_most, .stage = 0, .codec = "tile messages, version 1"};
    }
    tile_agreement(const tile_agreement&) = delete;
    tile_agreement& operator=(const tile_agreement&) = delete;

    link::tile_contract contract() const noexcept { return {plan, of}; }
    link::tile_head head(int k, std::uint32_t work_us = 0) const noexcept {
        return {.tile = static_cast<std::uint32_t>(k), .plan = plan, .part = of[static_cast<std::size_t>(k)].part, .work_us = work_us};
    }
    int tiles() const noexcept { return static_cast<int>(of.size()); }
    std::size_t question_bytes() const noexcept { return cut.payload_bytes; }   ///< of the largest, its head included
    std::size_t answer_bytes() const noexcept { return link::tile_head_bytes + answer_most; }

    /// As what the sessions of edges and clouds know: a network of two stages with one cut between them, behind which a tile is computed. Without functions.
    pipeline described() const {
        static constexpr std::uint64_t none[2]{};
        return {.network = name.c_str(),
                .instruction_set = instruction_set,
                .fingerprint = graph_fingerprint,
                .arena_bytes = 64 + (question_bytes() + 63) / 64 * 64,
                .output_floats = answer_bytes() / sizeof(float),
                .stages = 2,
                .stage_macs = none,
                .cuts = {&cut, 1}};
    }

private:
    const char* instruction_set;
    std::uint64_t graph_fingerprint, plan{};
    std::vector<link::tile_terms> of{};
    std::size_t question_most{}, answer_most{};
    std::string name{};
    cut_info cut{};
};

} // namespace splitdsl
