// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fingerprint.hpp
/// A stable 64-bit number of what a network computes: equal on both sides of a link, or the handshake refuses.
#pragma once

#include <splitdsl/graph/cuts.hpp>
#include <splitdsl/graph/winograd.hpp>

#include <bit>

namespace splitdsl::graph {

/// Nine digits behind the point; the bits of what that leaves no room for, as of a padding with minus infinity.
constexpr std::uint64_t value_bits(float f) {
    const double scaled = static_cast<double>(f) * 1e9;
    return scaled > -9e18 && scaled < 9e18 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(scaled)) : std::bit_cast<std::uint32_t>(f);
}

/// Depends on ops, their settings and operands, weight names, shapes and codecs; not on place names. The same on every
/// compiler and machine.
template <std::size_t N, std::size_t S>
constexpr std::uint64_t fingerprint(const body<N, S>& g, const resolved<N, S>& r, const shaped<N>& p) {
    const op* const ops = g.ops.data();
    std::uint64_t h = mix(std::uint64_t{0x73706C6974}, std::uint64_t{1});
    for (std::size_t i = 0; i < N; ++i) {
        const op& o = ops[i];
        std::uint64_t v = static_cast<std::uint64_t>(o.kind) | static_cast<std::uint64_t>(o.element) << 8 | static_cast<std::uint64_t>(o.codec) << 16 |
                          static_cast<std::uint64_t>(o.flags) << 24 | static_cast<std::uint64_t>(r.has_bias[i] ? 1 : 0) << 48;
        h = mix(h, v);
        h = mix(h, static_cast<std::uint64_t>(static_cast<std::uint32_t>(r.a[i])) << 32 | static_cast<std::uint32_t>(r.b[i]));
        v = static_cast<std::uint64_t>(o.kernel.height) | static_cast<std::uint64_t>(o.kernel.width) << 16 | static_cast<std::uint64_t>(o.stride.height) << 32 |
            static_cast<std::uint64_t>(o.stride.width) << 48;
        h = mix(h, v);
        v = static_cast<std::uint64_t>(static_cast<std::uint16_t>(o.pad.top)) | static_cast<std::uint64_t>(static_cast<std::uint16_t>(o.pad.left)) << 16 |
            static_cast<std::uint64_t>(static_cast<std::uint16_t>(o.pad.bottom)) << 32 | static_cast<std::uint64_t>(static_cast<std::uint16_t>(o.pad.right)) << 48;
        h = mix(h, v);
        h = mix(h, static_cast<std::uint64_t>(o.dilation.height) | static_cast<std::uint64_t>(o.dilation.width) << 16 | static_cast<std::uint64_t>(static_cast<std::uint32_t>(o.groups)) << 32);
        h = mix(h, static_cast<std::uint64_t>(static_cast<std::uint32_t>(p.out[i].channels)) << 32 ^ static_cast<std::uint64_t>(static_cast<std::uint32_t>(p.out[i].height)) << 16 ^
                       static_cast<std::uint64_t>(static_cast<std::uint32_t>(p.out[i].width)));
        if (o.kind == op_kind::normalise || o.kind == op_kind::batch_norm || o.kind == op_kind::leaky_relu || o.kind == op_kind::pad || o.kind == op_kind::l2_normalise ||
            has(o.flags, op_flag::by_width))
            for (const float f : o.values) h = mix(h, value_bits(f));
        if (o.kind == op_kind::pad_channels || o.kind == op_kind::slice_channels || o.kind == op_kind::radix_softmax) h = mix(h, static_cast<std::uint64_t>(o.size.channels));
        if (r.name[i] >= 0) h = mix(h, r.hash[static_cast<std::size_t>(r.name[i])]);
        if (!o.label.empty()) h = mix(h, o.label);
    }
    return h;
}

} // namespace splitdsl::graph

namespace splitdsl {
/// The network's fingerprint. A network that does without Winograd's convolutions computes other bits, and has another.
template <class Network>
inline constexpr std::uint64_t fingerprint = graph::fingerprint(graph_of<Network>, resolved_of<Network>, shaped_of<Network>) ^ (may_winograd<Network> ? 0 : 0x646972656374);
} // namespace splitdsl
