// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file memory.hpp
/// Fifth pass: every buffer gets its place in the arena; buffers whose lives do not meet share memory.
#pragma once

#include <splitdsl/graph/chains.hpp>

namespace splitdsl::graph {

/// Bytes of a tensor with its halo: in blocked layout, [ceil(channels / lanes)][rows][columns][lanes] floats; or pixel by pixel. `window`: the rows that it
/// holds at a time, 0 for all.
constexpr std::int64_t blocked_bytes(const buffer& b, int window, int lanes) {
    const std::int64_t pixels = (window > 0 ? window : std::int64_t{b.of.height} + b.top + b.bottom) * (std::int64_t{b.of.width} + b.left + b.right);
    if (b.is_u8) return pixels * byte_pitch(b.of.channels, b.range < 0);
    if (b.in_quads) return pixels * 4 * 4;
    const std::int64_t blocks = (std::int64_t{b.of.channels} + lanes - 1) / lanes;
    return pixels * blocks * lanes * 4;
}

/// Bytes of the arena that a buffer takes: its own up to a multiple of 64, and 64 behind them, since a kernel may read a vector past the end.
constexpr std::int64_t room_of(const buffer& b, int window, int lanes) {
    return ((b.is_bytes ? b.bytes : blocked_bytes(b, window, lanes)) + 127) / 64 * 64;
}

/// Where each buffer lies, in bytes from the arena's beginning, and the arena's size.
template <std::size_t Capacity>
struct memory_plan {
    std::int64_t offset[Capacity]{};
    std::int64_t arena{};
};

/// First fit in order of birth; the live list stays sorted by offset. Buffers start at multiples of 64 bytes.
template <std::size_t N, std::size_t S>
constexpr auto plan_memory(const step_list<N, S>& l, const chain_table<step_list<N, S>::capacity>& chains, int lanes) {
    memory_plan<step_list<N, S>::capacity> m;
    struct live_buffer { std::int64_t begin, end; int last; };
    live_buffer live[step_list<N, S>::capacity];
    int count = 0;
    for (int i = 0; i < l.buffer_count; ++i) {
        const buffer& b = l.buffers[static_cast<std::size_t>(i)];
        const auto life = chains.lives[static_cast<std::size_t>(i)];
        const std::int64_t bytes = room_of(b, chains.window[static_cast<std::size_t>(i)], lanes);
        int kept = 0;
        // A loaded picture lies behind room for its reader's map, and so in the place of what that one's reader makes: a smaller arena, more of it in the caches.
        std::int64_t at = b.in_quads && i + 1 < l.buffer_count ? room_of(l.buffers[static_cast<std::size_t>(i + 1)], chains.window[static_cast<std::size_t>(i + 1)], lanes) : 0;
        int where = -1;
        for (int k = 0; k < count; ++k) {
            const live_buffer x = live[static_cast<std::size_t>(k)];
            if (x.last < life.first) continue;
            if (where < 0) {
                if (x.begin - at >= bytes) where = kept;
                else if (x.end > at) at = x.end;
            }
            live[static_cast<std::size_t>(kept++)] = x;
        }
        count = kept;
        if (where < 0) where = count;
        for (int k = count; k > where; --k) live[static_cast<std::size_t>(k)] = live[static_cast<std::size_t>(k - 1)];
        live[static_cast<std::size_t>(where)] = {at, at + bytes, life.last};
        ++count;
        m.offset[static_cast<std::size_t>(i)] = at;
        if (at + bytes > m.arena) m.arena = at + bytes;
    }
    return m;
}

} // namespace splitdsl::graph

namespace splitdsl {
template <class Network, int Lanes>
inline constexpr auto memory_of = graph::plan_memory(steps_of<Network>, chains_of<Network>, Lanes);
} // namespace splitdsl
