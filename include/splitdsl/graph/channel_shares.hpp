// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file channel_shares.hpp
/// A layer's output channels shared out over devices: each holds and reads its share of the weights, all need the whole input.
///
/// Where maps are small and weights many (the last convolutions, dense layers) tiles of pixels would compute almost everything twice; shares of channels compute
/// nothing twice, and pay by sending the whole input to every device.
///
/// ```cpp
/// constexpr channel_figures halves = channels_of<lane_keeper>("fc1", 2);
/// static_assert(halves.why == nullptr && halves.shares[0].macs == halves.whole_macs / 2);
/// ```
#pragma once

#include <splitdsl/graph/tiles.hpp>

namespace splitdsl {

inline constexpr int max_shares = 16;

/// One device's: output channels [begin, end), whole blocks of 16, of dense layers of 64, but for the last share's: what kernels sum together on every instruction set.
struct channel_share {
    int begin{}, end{};
    std::int64_t macs{}, out_bytes{};
    std::int64_t weight_bytes{};        ///< packed, at most
};
struct channel_figures {
    const char* why{};                  ///< null, or one sentence: why this layer is not shared out
    graph::segment of{};                ///< the layer's one step
    int count{};
    channel_share shares[max_shares]{};
    std::int64_t whole_macs{};
    std::int64_t in_bytes{};            ///< to each of them, 4-byte floats
};

namespace graph {
template <std::size_t Capacity>
constexpr channel_figures share_channels(const tile_source& n, const border_table<Capacity>& borders, text layer, int shares, int lanes) {
    channel_figures f;
    const auto refuse = [&f](const char* why) {
        f.why = why;
        return f;
    };
    if (borders.why) return refuse(borders.why);
    int found = -1;
    for (int i = 0; i < n.count; ++i)
        if (const step& s = n.at(i); s.op >= 0 && (n.op_of(s).kind == op_kind::conv || n.op_of(s).kind == op_kind::dense) && is_named(n, s.op, layer)) {
            if (found >= 0) return refuse("more than one layer has this name: name one convolution or dense layer");
            found = i;
        }
    if (found < 0) return refuse("no convolution or dense layer has this name");
    const step& s = n.at(found);
    if (n.op_of(s).groups != 1) return refuse("a grouped convolution's channels do not read the whole input: cut it into tiles");
    if (s.addend >= 0 || n.buffers[s.in].in_quads) return refuse("a layer that ends a residual, or reads the picture itself, is not shared out");
    for (int k = 1; k + 1 < borders.count; ++k)
        if (borders.at[k].step == found) f.of.first = borders.at[k], f.of.last = borders.at[k + 1];
    if (f.of.last.step != found + 1 || f.of.last.tensor != s.out) return refuse("more than one map crosses in front of this layer or behind it, or it ends the network");
    const int channels = n.map(s.out).channels, block = s.kind == step_kind::dense ? 64 : 16, blocks = (channels + block - 1) / block;
    if (shares < 1 || shares > max_shares || shares > blocks) return refuse("there are 1 to 16 shares, each of a block of 16 output channels at least, of dense layers 64");
    f.count = shares;
    f.whole_macs = macs_of(n, s, n.whole(s.out).pixels());
    f.in_bytes = crop_bytes(n, s.in, n.whole(s.in));
    const std::int64_t bytes = packed_bytes_of(n, s, lanes);
    for (int k = 0; k < shares; ++k) {
        channel_share& x = f.shares[k];
        x.begin = block * part_begin(blocks, k, shares), x.end = least_of(channels, block * part_begin(blocks, k + 1, shares));
        x.macs = f.whole_macs / channels * (x.end - x.begin);
        x.out_bytes = crop_bytes(n, s.out, n.whole(s.out)) / channels * (x.end - x.begin);
        x.weight_bytes = (bytes * ((x.end - x.begin + 15) / 16 * 16) + channels - 1) / channels + 128; // a share's last block may be less full than the layer's; lines are whole
    }
    return f;
}
} // namespace graph

/// `layer`: the name of one convolution or dense layer, with a single map in front of it and behind it. `lanes` as in `tiles_of`.
template <class Network>
constexpr channel_figures channels_of(text layer, int shares, int lanes = 16) {
    return graph::share_channels(tile_source_of<Network>, tile_borders<Network>, layer, shares, lanes);
}

} // namespace splitdsl
