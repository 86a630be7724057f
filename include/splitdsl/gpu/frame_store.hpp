// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_store.hpp
/// What frames of one arena need on the device and of pinned memory, taken once.
#pragma once

#include <splitdsl/gpu/copies.hpp>
#include <splitdsl/gpu/recorder.hpp>
#include <splitdsl/gpu/stream_pooling.hpp>
#include <splitdsl/runtime/stream_ladder.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace splitdsl::gpu {

/// The memory that sessions take turns in: one frame's, or as much as the largest of several batches needs. Throws `device_error`.
struct frame_store {
    cudnn::device_stream stream;
    copy_stream copies;
    cudnn::device_memory arena, workspace, partials, outputs, sizes;    ///< `sizes`: of each exit every frame's byte; batches alone have it
    cudnn::pinned_memory outputs_here, sizes_here;
    std::vector<cudnn::device_memory> inputs;
    std::vector<cudnn::pinned_memory> inputs_here, payloads, maps_here, pooled_here;
    std::vector<std::optional<stream_pooling>> pools;   ///< one a stream, or none; nothing where it grows by widths, for the processor

    /// `pooled`: how the device pools the streams' maps, if it does.
    frame_store(const cudnn::device& gpu, std::span<const layers* const> each, const pipeline& host, std::optional<pool_form> pooled) : stream{gpu}, copies{gpu, most_transfers(each.front()->of()), each.front()->lanes(), each.front()->of().steps.size()} {
        const program& p = each.front()->of();
        std::size_t arena_bytes = 0, work = 0, images = 0;
        for (const layers* l : each) {
            arena_bytes = std::max(arena_bytes, l->arena().bytes);
            work = std::max(work, l->workspace() * static_cast<std::size_t>(l->lanes()));
            images = std::max(images, static_cast<std::size_t>(l->images()));
        }
        arena = {gpu, arena_bytes};
        workspace = {gpu, work};
        partials = {gpu, 8 * recorder::range_parts * images};
        outputs = {gpu, 4 * p.output_floats * images};
        outputs_here = {gpu, 4 * p.output_floats * images};
        for (const std::size_t bytes : p.inputs) {
            inputs.emplace_back(gpu, frame_step(bytes) * images);
            inputs_here.emplace_back(gpu, frame_step(bytes) * images);
        }
        for (const auto& cut : p.cuts) {
            std::size_t bytes = 0;
            for (const crossing& x : cut) bytes += frame_step(x.bytes) * images;
            payloads.emplace_back(gpu, bytes);
        }
        for (const graph::stream_steps& s : p.streams) {
            maps_here.emplace_back(gpu, frame_step(static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(s.map)].bytes)) * images);
            pooled_here.emplace_back(gpu, frame_step(static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(s.pooled)].bytes)) * images);
        }
        if (images > 1) {
            sizes = {gpu, frame_step(1) * images * p.exits.size()};
            sizes_here = {gpu, frame_step(1) * images * p.exits.size()};
        }
        if (!pooled) return;
        pools.reserve(p.streams.size());
        for (std::size_t k = 0; k < p.streams.size(); ++k) {
            auto& pool = pools.emplace_back();
            if (const pool_ladder l = ladder_of(host.streams[k]); !l.by_width()) pool.emplace(gpu, l, *pooled);
        }
    }

private:
    /// Inputs, streams and a byte of sizes, or what crosses a cut.
    static std::size_t most_transfers(const program& p) {
        std::size_t most = p.inputs.size() + p.streams.size() + 1;
        for (const auto& cut : p.cuts) most = std::max(most, cut.size());
        return most;
    }
};

} // namespace splitdsl::gpu
