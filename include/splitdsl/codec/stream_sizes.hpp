// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_sizes.hpp
/// Sizes and bytes of a declared network's dynamic_pool streams, as constants.
#pragma once

#include <splitdsl/check/check.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>

namespace splitdsl {

/// The ladder of a stream that `dynamic_pool` declared; one without levels if there is no such stream.
/// ```cpp
/// static_assert(stream_ladder<wake_word>("s0").levels == 3 && stream_ladder<wake_word>("s0").rows(0) == 4);
/// ```
template <class Network>
constexpr pool_ladder stream_ladder(text name) {
    const auto& g = graph_of<Network>;
    const auto& r = resolved_of<Network>;
    for (std::size_t i = 0; i < g.ops.size(); ++i)
        if (graph::is_pooled(g.ops[i]) && r.used[i] && g.ops[i].label == name)
            return graph::pooled_sizes(g.ops[i], shaped_of<Network>.out[static_cast<std::size_t>(r.a[i])]).ladder;
    return {};
}

/// The most bytes a stream takes until its size `level` is complete, without headers of packets; -1 if there is no such stream or size.
/// The exact form's; Rice codes take less for anything but noise (docs/dynamic_pooling.md).
template <class Network>
constexpr std::int64_t stream_bytes(text name, int level) {
    const pool_ladder l = stream_ladder<Network>(name);
    if (level < 0 || level >= l.levels) return -1;
    std::size_t sum = 0;
    for (int i = 0; i <= level; ++i) sum += max_level_bytes(l, pool_form::lifted, i);
    return static_cast<std::int64_t>(sum);
}

} // namespace splitdsl
