// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file channel_device.hpp
/// One device's share of a layer's output channels.
#pragma once

#include <splitdsl/graph/channel_shares.hpp>
#include <splitdsl/runtime/tiled_network.hpp>

namespace splitdsl {

/// Holds the weights of its channels alone. The layers in front of it and behind it are `tiled_network`s of their own segments.
///
/// ```cpp
/// constexpr channel_figures halves = channels_of<lane_keeper>("fc1", 2);
/// channel_device<lane_keeper> second{values, halves, 1};
/// second.run(in.data(), out.data() + second.first_float());       // its part of the layer's map
/// ```
/// Refused (option_error): figures with a `why`, a share that is not in them; (weights_error): other values than the network's.
template <class Network>
class channel_device {
public:
    channel_device(const std::vector<std::vector<float>>& values, const channel_figures& figures, int share, const tile_code& code = tile_code_of<Network>()) : runs{&code} {
        const std::string who = "channels of " + std::string(graph::type_name<Network>()) + ": ";
        if (figures.why) throw option_error(who + figures.why);
        if (share < 0 || share >= figures.count) throw option_error(who + "a share below " + std::to_string(figures.count) + " was expected, found " + std::to_string(share));
        mine = figures.shares[share];
        const std::vector<const float*> parameters = detail::pointers_of<Network>(values, who);
        const int step = figures.of.first.step;
        layout = std::make_unique<tile_layout_of>(graph::lay_out<tile_capacity<Network>>(net, tile_lives<Network>, figures.of, 0, 0, code.lanes, mine.end - mine.begin));
        packed = aligned_buffer{code.share_bytes(parameters.data(), step, mine.begin, mine.end)};
        code.pack_share(parameters.data(), step, mine.begin, mine.end, packed.data());
        work = aligned_buffer{static_cast<std::size_t>(layout->arena_bytes)};
        line_of.resize(static_cast<std::size_t>(net.count));
        in = net.map(figures.of.first.tensor), out = net.map(figures.of.last.tensor);
    }
    std::size_t weight_bytes() const { return packed.size(); }
    std::size_t peak_bytes() const { return packed.size() + work.size(); }
    std::size_t in_floats() const { return static_cast<std::size_t>(in.size()); }
    std::size_t out_floats() const { return static_cast<std::size_t>((mine.end - mine.begin)) * plane_of(out); }
    /// Where its channels begin in the layer's whole map.
    std::size_t first_float() const { return static_cast<std::size_t>(mine.begin) * plane_of(out); }

    /// Planar floats: the whole map in front of the layer, and its own channels of the one behind.
    void run(const float* from, float* to) {
        tile_ends ends;
        ends.in = from, ends.in_row = in.width, ends.in_plane = static_cast<std::ptrdiff_t>(plane_of(in));
        ends.out = to, ends.out_row = out.width, ends.out_plane = static_cast<std::ptrdiff_t>(plane_of(out));
        runs->run(layout.get(), line_of.data(), packed.data(), work.data(), ends);
    }

private:
    using tile_layout_of = graph::tile_layout<tile_capacity<Network>>;
    static constexpr const graph::tile_source& net = tile_source_of<Network>;
    static std::size_t plane_of(const shape& s) { return static_cast<std::size_t>(s.height) * static_cast<std::size_t>(s.width); }
    channel_share mine{};
    shape in{}, out{};
    std::unique_ptr<tile_layout_of> layout{};
    std::vector<std::uint32_t> line_of{};
    aligned_buffer packed{}, work{};
    const tile_code* runs;
};

} // namespace splitdsl
