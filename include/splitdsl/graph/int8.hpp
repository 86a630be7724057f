// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file int8.hpp
/// A network whose layers run on bytes: asked for by wrapping its type, the declaration stays as it is.
#pragma once

#include <splitdsl/graph/resolve.hpp>

namespace splitdsl {

/// `Network`, with convolutions, depthwise convolutions and dense layers in 8 bits: bytes times bytes, summed exactly, the same bytes on every
/// instruction set. Ops without an 8-bit kernel run in f32 between conversions; so do layers that `keep_f32` names, as their weights are named.
///
/// Weights are those of `Network` (f32, quantised when they are loaded) and two tensors more, "int8.ranges" and "int8.shifts", which
/// `calibrate_int8` finds. `Network` itself leaves them alone, so one file serves both.
///
/// ```cpp
/// struct lane_keeper_int8 : splitdsl::int8<lane_keeper> {
///     static constexpr std::array<splitdsl::text, 1> keep_f32{"control"};     // if calibration says so
/// };
/// const auto weights = splitdsl::load_weights<lane_keeper_int8>("lane_keeper_int8.safetensors");
/// ```
template <class Network>
struct int8 : Network {
    using calibrated = Network;             ///< the f32 network
    static constexpr bool runs_on_bytes = true;
};

/// `Network` (an `int8`) with every tensor that is or would be bytes among its outputs, in f32 and in the order of the ranges, behind the declared ones:
/// what calibration looks at. `InFloats`: computed in f32, so that weights without ranges do.
template <class Network, bool InFloats>
struct observed : Network {
    static constexpr bool observes = true;
    static constexpr bool in_floats = InFloats;
};

namespace graph {

/// How a network is lowered.
struct precision {
    bool bytes{};       ///< layers run on bytes, or are lowered as if they did
    bool in_floats{};   ///< as if
    bool observes{};
};

constexpr bool is_named(const scope* scopes, const int* parent, int scope_at, text name) {
    for (int s = scope_at; s >= 0; s = parent[s]) {
        const scope& c = scopes[s];
        if (c.index < 0) {
            const text part = c.name;
            if (name.size() < part.size() || name.substr(name.size() - part.size()) != part) return false;
            name.remove_suffix(part.size());
        } else {
            int n = c.index;
            do {
                if (name.empty() || name.back() != static_cast<char>('0' + n % 10)) return false;
                name.remove_suffix(1);
                n /= 10;
            } while (n > 0);
        }
        if (parent[s] < 0) return name.empty();
        if (name.empty() || name.back() != '.') return false;
        name.remove_suffix(1);
    }
    return false;
}

/// Layers a network keeps in f32, by op.
template <std::size_t N>
struct kept_ops {
    bool in_f32[N]{};
    bool misses{};      ///< names a layer there is not
};
template <class Network>
constexpr auto find_kept() {
    constexpr const auto& g = graph_of<Network>;
    constexpr const auto& r = resolved_of<Network>;
    kept_ops<graph_of<Network>.ops.size()> k;
    if constexpr (requires { Network::keep_f32; })
        for (const text name : Network::keep_f32) {
            bool found = false;
            for (std::size_t i = 0; i < g.ops.size(); ++i)
                if (has_weights(g.ops[i].kind) && is_named(g.scopes.data(), r.parent, r.name[i], name)) k.in_f32[i] = found = true;
            k.misses = k.misses || !found;
        }
    return k;
}
template <class Network>
constexpr auto kept() {
    constexpr auto k = find_kept<Network>();
    static_assert(!k.misses, "splitdsl: keep_f32 names a layer that the network does not have; splitdsl-describe lists them");
    return k;
}

/// Bytes of a pixel: as kernels/simd/bytes.hpp says.
constexpr int byte_pitch(int channels, bool is_picture) { return is_picture ? 4 : (channels + 15) / 16 * 16; }

} // namespace graph

template <class Network>
inline constexpr graph::precision precision_of = [] {
    graph::precision p;
    if constexpr (requires { Network::runs_on_bytes; }) p.bytes = Network::runs_on_bytes;
    if constexpr (requires { Network::observes; }) p.observes = Network::observes, p.in_floats = Network::in_floats;
    return p;
}();
/// Whether a network's weights have ranges.
template <class Network>
inline constexpr bool has_ranges = precision_of<Network>.bytes && !precision_of<Network>.in_floats;

} // namespace splitdsl
