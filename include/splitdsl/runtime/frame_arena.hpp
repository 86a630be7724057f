// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_arena.hpp
/// The arena of one pipeline's frames.
#pragma once

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <cstring>

namespace splitdsl {

/// `pipeline::arena_bytes` of memory. When it goes, so does what the pipeline keeps for it: on a GPU, a session. The pipeline outlives it.
class frame_arena {
public:
    explicit frame_arena(const pipeline& net) : forget{net.functions.forget}, self{net.self}, memory{net.arena_bytes} {}
    frame_arena(const frame_arena&) = delete;
    frame_arena& operator=(const frame_arena&) = delete;
    ~frame_arena() {
        if (forget) forget(self, memory.data());
    }
    std::byte* data() const noexcept { return memory.data(); }
    /// As at the start. For pipelines that keep nothing elsewhere.
    void clear() noexcept { std::memset(memory.data(), 0, memory.size()); }

private:
    void (*forget)(const void* self, const std::byte* arena);
    const void* self;
    aligned_buffer memory;
};

} // namespace splitdsl
