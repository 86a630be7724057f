// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file whole_run.hpp
/// A network in one piece: with dynamic_pool streams its trunk and then every exit, as if all sizes of all streams had arrived.
#pragma once

#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <splitdsl/runtime/stream_ladder.hpp>

#include <vector>

namespace splitdsl {

/// Fills all of `memory.outputs`. For tests, self-tests and tools: allocates where there are streams.
///
/// ```cpp
/// run_whole(weights.net(), {arena.data(), weights.bytes().data(), inputs.data(), outputs.data()});
/// ```
inline void run_whole(const pipeline& net, const frame_memory& memory, pool_options coding = {}) {
    std::vector<dynamic_pool_decoder> received; // streams are numbered in the order of their stages
    for (int stage = 0; stage < net.stages; ++stage) {
        net.run(memory, stage, stage + 1, nullptr);
        for (int s = 0; s < net.stream_count; ++s) {
            const stream_info& i = net.streams[s];
            if (i.stage != stage) continue;
            const pool_ladder ladder = ladder_of(i);
            dynamic_pool_encoder from{ladder, coding};
            dynamic_pool_decoder& to = received.emplace_back(ladder, coding);
            from.pool(reinterpret_cast<const float*>(memory.arena + i.map), net.pooling);
            for (int l = 0; l < ladder.levels; ++l) (void)to.take(l, from.encode(l));
        }
    }
    // Only now: while the trunk runs, it works where the exits read.
    for (std::size_t s = 0; s < received.size(); ++s)
        received[s].rebuild(received[s].ladder().levels - 1, reinterpret_cast<float*>(memory.arena + net.streams[s].pooled));
    for (int e = 0; e < net.stream_exit_count; ++e) {
        const stream_exit_info& exit = net.stream_exits[e];
        if (exit.here_sizes > 0) memory.arena[exit.sizes] = static_cast<std::byte>(exit.before_sizes * exit.here_sizes - 1);
        net.run(memory, exit.stage, exit.stage + 1, nullptr);
    }
}

} // namespace splitdsl
