// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_bench.hpp
/// Places to compute in: memory for one running request, and for those that run together.
#pragma once

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/cloud_connection.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl::detail {

/// What one running request needs.
struct cloud_seat {
    cloud_seat(const pipeline& p, const message_sizes& m) : arena{p}, reply{m.reply}, outputs(p.output_floats) {
        for (const auto& t : p.inputs) {
            stores.emplace_back(t.bytes);
            inputs.push_back(stores.back().data());
            spans.push_back(stores.back().bytes());
        }
    }
    /// Nothing of another tenant's frames is left when `who`'s comes.
    void hand_to(std::size_t who) {
        if (std::exchange(tenant, who) == who) return;
        arena.clear();
        std::memset(reply.data(), 0, reply.size());
        std::fill(outputs.begin(), outputs.end(), 0.0F);
        for (auto& s : stores) std::memset(s.data(), 0, s.size());
    }
    std::size_t tenant{};
    frame_arena arena;
    aligned_buffer reply;
    std::vector<float> outputs;
    std::vector<aligned_buffer> stores;
    std::vector<const void*> inputs;
    std::vector<std::span<std::byte>> spans;
};

/// What requests that run together need; as many as run at once.
struct cloud_bench {
    cloud_bench(const pipeline& p, const message_sizes& m, int size, const std::byte* weights, const task_runner* workers, int which) : number{which} {
        for (int i = 0; i < size; ++i) {
            seats.push_back(std::make_unique<cloud_seat>(p, m));
            cloud_seat& s = *seats.back();
            frames.push_back({s.arena.data(), weights, s.inputs.data(), s.outputs.data(), workers});
        }
        taken.reserve(static_cast<std::size_t>(size));
    }
    const int number;
    std::span<frame_memory> first(std::size_t count) { return std::span{frames}.first(count); }
    std::vector<std::unique_ptr<cloud_seat>> seats;
    std::vector<frame_memory> frames; ///< a seat's
    std::vector<cloud_request> taken;
};

} // namespace splitdsl::detail
