// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pipeline.hpp
/// One compiled network as plain data and function pointers: what the edge, the cloud and the simulator run.
///
/// Every instruction set's object hands out one `pipeline`; nothing in this file depends on an architecture, so values of
/// these types may cross files built with different flags.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl {

struct pool_kernels;

/// A candidate cut: everything that crosses there is one payload group of fixed layout.
struct cut_info {
    const char* name{};
    std::size_t payload_bytes{};    ///< exact for fixed codecs, the maximum otherwise; without the wire header
    int stage{};                    ///< the stage that ends here
    const char* codec{""};          ///< of the cut's own tensor; compared by the handshake
};

struct tensor_info {
    const char* name{};
    int channels{}, height{}, width{};
    std::size_t bytes{};            ///< as the caller hands it over (u8 or f32)
};

/// Bytes of the whole input as the caller hands it over: what a frame costs that is offloaded before its first stage.
constexpr std::size_t input_bytes_of(std::span<const tensor_info> inputs) {
    std::size_t whole = 0;
    for (const tensor_info& t : inputs) whole += t.bytes;
    return whole;
}
/// Room for an encoding of the whole input, alike on both sides: `most` if it is given; else an encoder may make it larger by a kilobyte of headers.
constexpr std::size_t encoded_input_room(std::span<const tensor_info> inputs, std::size_t most) { return most != 0 ? most : input_bytes_of(inputs) + 1024; }

/// A stream that `dynamic_pool` or `widths` declared: after `stage` its map lies in the arena, planar floats; what reads it finds there the
/// largest size, or all channels.
struct stream_info {
    const char* name{};
    int channels{}, height{}, width{};          ///< of the map
    int stride{}, smallest{}, largest{}, step{}; ///< as declared (`ladder_of`)
    std::array<std::uint16_t, 8> widths{};      ///< or these, 0 behind the last; none: it grows in sizes
    int rows{}, columns{};                      ///< of the largest size
    int stage{};
    std::size_t map{};                          ///< bytes from the arena, valid until the next stage runs
    std::size_t pooled{};                       ///< bytes from the arena, for the exits alone: the trunk works there too
};
/// An exit that reads such streams and nothing else. Its stage runs alone: `run(memory, stage, stage + 1)`.
struct stream_exit_info {
    const char* name{};
    int stage{};
    std::size_t first_float{}, floats{};        ///< among `pipeline::output_floats`
    std::uint32_t reads{};                      ///< a bit each stream
    std::size_t sizes{};                        ///< bytes from the arena to the byte that `by_sizes` reads: (before - 1) * here_sizes + here - 1
    int before_sizes{}, here_sizes{};           ///< 0: the exit has no `by_sizes`
};

/// An early exit of the trunk, which every run of its stage computes. Exits that read streams are `stream_exit_info`s.
struct exit_info {
    const char* name{};
    int stage{};
    std::size_t first_float{}, floats{};        ///< among `pipeline::output_floats`
};

/// Threads that stay with one frame from step to step (runtime/step_crew.hpp). For the thread that it was given to, one step at a time.
struct frame_crew {
    void (*run)(frame_crew& crew, int tasks, void (*body)(void* context, int first, int last), void* context){}; ///< as `task_runner::run`
    void (*rest)(frame_crew& crew){};       ///< sends helpers away until the next `run`: their arena has other work for them
};

/// Splits the tasks of one step over threads. Plain function pointers, so that kernels built for an instruction set never
/// instantiate a threading library. `body(context, first, last)` must be called for disjoint ranges that cover [0, tasks).
struct task_runner {
    void (*run)(int tasks, void (*body)(void* context, int first, int last), void* context){};
    /// Calls `frame` on this thread with a crew for its steps, or with null where this thread is alone; null: each step asks `run`.
    void (*with_crew)(void (*frame)(void* context, frame_crew* crew), void* context){};
};

/// What one frame runs in. All buffers belong to the caller and are allocated once.
struct frame_memory {
    std::byte* arena{};                     ///< `pipeline::arena_bytes`, 64-byte aligned
    const std::byte* packed_weights{};      ///< 64-byte aligned, filled by `pack`
    const void* const* inputs{};            ///< one pointer an input, in the network's order; may be null behind a cut
    float* outputs{};                       ///< `pipeline::output_floats`: every output and early exit, one after another
    const task_runner* workers{};           ///< null: the calling thread alone (see runtime/parallel.hpp)
    frame_crew* crew{};                     ///< the executor's own: who runs this frame's steps now
};

/// What a pipeline is made of. `self` is the pipeline's own (`pipeline::self`): what one of several on a GPU finds its device by; a CPU's code
/// needs none. Users call the pipeline's members of the same names, which hand it over.
struct pipeline_functions {
    void (*pack)(const void* self, const float* const* parameters, std::byte* packed){};
    bool (*run)(const void* self, const frame_memory& memory, int first, int last, const std::atomic<bool>* stop){};
    int (*bad_input)(const void* self, const frame_memory& memory){};    ///< null: no input has a range
    std::size_t (*store_payload)(const void* self, const frame_memory& memory, int cut, std::byte* payload){};
    bool (*load_payload)(const void* self, const frame_memory& memory, int cut, std::span<const std::byte> payload){};
    /// As a payload's tensors stand in working memory, for a device that runs other stages of the frame; null: payloads are no other bytes.
    std::size_t (*copy_working)(const void* self, const frame_memory& memory, int cut, std::byte* to){};
    bool (*place_working)(const void* self, const frame_memory& memory, int cut, std::span<const std::byte> from){};
    /// Of 2 to `pipeline::batch_limit` frames; null: one after another.
    bool (*run_batch)(const void* self, const frame_memory* frames, int count, int first, int last, const std::atomic<bool>* stop){};
    void (*forget)(const void* self, const std::byte* arena){};          ///< null: nothing is kept for an arena
    std::size_t (*packed_bytes)(const void* self, const float* const* parameters){};   ///< null: `pipeline::packed_bytes` for all
};

/// A compiled network. Stages are numbered 0 .. stages-1; a stage ends at a candidate cut, an early exit or the end.
struct pipeline {
    const char* network{};
    const char* instruction_set{};
    std::uint64_t fingerprint{};            ///< of the graph: equal on both sides or the handshake refuses
    std::size_t arena_bytes{};
    std::size_t packed_bytes{};             ///< enough for any weights
    std::size_t output_floats{};
    int stages{};                           ///< with streams: of the trunk; the exits' stages follow
    const std::uint64_t* stage_macs{};      ///< `stages` values
    std::span<const cut_info> cuts{};
    std::span<const tensor_info> inputs{};
    std::span<const tensor_info> outputs{}; ///< main outputs first, then early exits
    std::span<const exit_info> exits{};     ///< of the trunk, in the order in which they stand; `answer::exit` counts them so

    const stream_info* streams{};           ///< plain pointers: networks without streams pay nothing for them
    int stream_count{};
    const stream_exit_info* stream_exits{};
    int stream_exit_count{};
    const pool_kernels* pooling{};          ///< of this instruction set, for the streams' encoders (codec/dynamic_pool_kernels.hpp)

    int batch_limit{1};                     ///< of frames that `run_batch` takes; 1: it would run them one after another
    const void* self{};                     ///< outlives all that use the pipeline or a copy of it
    pipeline_functions functions{};

    /// What `pack` fills for these weights: less than `packed_bytes` where layers keep theirs in 16 bits.
    std::size_t packed_bytes_for(const float* const* parameters) const { return functions.packed_bytes ? functions.packed_bytes(self, parameters) : packed_bytes; }
    /// Lays the weights out for this instruction set. `parameters`: one pointer a parameter, in `parameters<Net>()` order.
    void pack(const float* const* parameters, std::byte* packed) const { functions.pack(self, parameters, packed); }
    /// Runs stages [first, last); checks `stop` between stages and returns false if it was set. Never allocates.
    bool run(const frame_memory& memory, int first, int last, const std::atomic<bool>* stop) const { return functions.run(self, memory, first, last, stop); }
    /// The first input whose value is out of range (a select's command), or -1.
    int bad_input(const frame_memory& memory) const { return functions.bad_input ? functions.bad_input(self, memory) : -1; }
    /// Writes the payload group of `cut` out of the arena after its stage ran; returns its bytes, at most the cut's `payload_bytes`.
    std::size_t store_payload(const frame_memory& memory, int cut, std::byte* payload) const { return functions.store_payload(self, memory, cut, payload); }
    /// Puts a received payload into the arena, so that `run(cut's stage + 1, stages)` goes on. False if the bytes are not a payload of this cut.
    bool load_payload(const frame_memory& memory, int cut, std::span<const std::byte> payload) const {
        return functions.load_payload(self, memory, cut, payload);
    }
    /// A payload group as it stands in the arena: `store_payload` and `load_payload` but for what a learned prior codes.
    std::size_t copy_working(const frame_memory& memory, int cut, std::byte* to) const {
        return (functions.copy_working ? functions.copy_working : functions.store_payload)(self, memory, cut, to);
    }
    bool place_working(const frame_memory& memory, int cut, std::span<const std::byte> from) const {
        return (functions.place_working ? functions.place_working : functions.load_payload)(self, memory, cut, from);
    }
    /// `run` of several frames, up to `batch_limit` of them together where that is faster. Each has an arena, inputs and outputs of its own; weights and workers are the first
    /// one's. Every frame's values are those of `run`, on a CPU bit for bit. False if `stop` was set: then no frame's values hold.
    ///
    /// ```cpp
    /// net.run_batch(frames, net.cuts[0].stage + 1, net.stages, nullptr);    // four tails; each frame's payload was loaded before
    /// ```
    bool run_batch(std::span<const frame_memory> frames, int first, int last, const std::atomic<bool>* stop) const {
        const bool together = functions.run_batch && frames.size() > 1 && frames.size() <= static_cast<std::size_t>(batch_limit);
        if (together) return functions.run_batch(self, frames.data(), static_cast<int>(frames.size()), first, last, stop);
        for (const frame_memory& m : frames)
            if (!functions.run(self, m, first, last, stop)) return false;
        return true;
    }
    /// Gives back what is kept for frames that ran in `arena`, on a device say. Not while one runs; before the arena's memory goes.
    void forget(const std::byte* arena) const {
        if (functions.forget) functions.forget(self, arena);
    }
};

} // namespace splitdsl
