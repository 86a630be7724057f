// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_network.hpp
/// A pipeline whose stages only pass time: head, cut, tail; its answer is a function of its input, so a wrong one shows.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/units.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <span>

namespace splitdsl::fake {

inline constexpr std::size_t input_bytes = 64, payload_bytes = 936, outputs = 4;

/// What the stages of this test binary's fake networks do; edge and cloud have their own.
struct behaviour {
    std::atomic<std::int64_t> stage_ns[3]{}; ///< busy time of head, tail's first half, tail's second half
    std::atomic<bool> answers_nan{};
    std::atomic<bool> has_exit{}; ///< only for a network with twice the outputs
    std::atomic<std::int64_t> hang_ns{};
    std::atomic<int> shut_stage{-1}; ///< this stage does not end until another value is here
    std::atomic<int> hang_stage{-1}; ///< the stage whose next run takes `hang_ns` longer
    std::atomic<int> in_stage{-1};    ///< the newest that began
    std::atomic<int> throw_stage{-1}; ///< this stage throws, as for want of memory in a `task_runner`

    /// Back to normal: every stage takes `each`.
    void calm(duration each) {
        for (auto& t : stage_ns) t = each.count();
        answers_nan = has_exit = false;
        hang_stage = shut_stage = throw_stage = -1;
    }
    /// The next run of `stage` takes so much longer.
    void hang(int stage, duration longer) {
        hang_ns = longer.count();
        hang_stage = stage;
    }
};

/// The parts of a policy that never matter here.
struct quiet {
    action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
    verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};
inline constexpr float exit_offset = 0.25F;
inline behaviour edge_behaviour{}, cloud_behaviour{};

inline float answer_to(std::uint32_t tag) { return static_cast<float>(tag % 100'000) * 0.5F; }

inline void pass(behaviour& b, int stage) {
    using clock = std::chrono::steady_clock;
    b.in_stage = stage;
    auto until = clock::now() + std::chrono::nanoseconds{b.stage_ns[stage].load()};
    if (b.hang_stage.load() == stage) {
        b.hang_stage = -1;
        until += std::chrono::nanoseconds{b.hang_ns.load()};
    }
    while (clock::now() < until || b.shut_stage.load() == stage) {}
    if (b.throw_stage.load() == stage) throw std::bad_alloc{};
}

template <behaviour& B>
void compute(const frame_memory& m, int k) {
    std::uint32_t tag{};
    if (k == 0) { std::memcpy(m.arena, m.inputs[0], sizeof tag); }
    std::memcpy(&tag, m.arena, sizeof tag);
    if (k == 1 && B.has_exit.load()) // the exit's values lie behind the main output
        for (std::size_t i = 0; i < outputs; ++i) m.outputs[outputs + i] = answer_to(tag) + exit_offset;
    if (k == 2)
        for (std::size_t i = 0; i < outputs; ++i)
            m.outputs[i] = B.answers_nan.load() ? std::numeric_limits<float>::quiet_NaN() : answer_to(tag) + static_cast<float>(i);
}
/// A batch takes the time of one frame.
template <behaviour& B>
bool run_batch(const void*, const frame_memory* frames, int count, int first, int last, const std::atomic<bool>* stop) {
    for (int k = first; k < last; ++k) {
        if (stop->load(std::memory_order_relaxed)) return false;
        pass(B, k);
        for (int f = 0; f < count; ++f) compute<B>(frames[f], k);
    }
    return true;
}
template <behaviour& B>
bool run(const void* self, const frame_memory& m, int first, int last, const std::atomic<bool>* stop) {
    return run_batch<B>(self, &m, 1, first, last, stop);
}
inline std::size_t store(const void*, const frame_memory& m, int, std::byte* to) {
    std::memcpy(to, m.arena, payload_bytes);
    return payload_bytes;
}
inline bool load(const void*, const frame_memory& m, int, std::span<const std::byte> from) {
    if (from.size() != payload_bytes) return false;
    std::memcpy(m.arena, from.data(), payload_bytes);
    return true;
}

inline constexpr cut_info cuts[]{{"uplink", payload_bytes, 0}};
inline constexpr tensor_info ins[]{{"camera", 1, 1, static_cast<int>(input_bytes), input_bytes}};
inline constexpr tensor_info outs[]{{"control", static_cast<int>(outputs), 1, 1, outputs * sizeof(float)}};
inline constexpr std::uint64_t macs[]{1, 1, 1};

template <behaviour& B>
pipeline network(std::uint64_t fingerprint = 42, std::size_t output_floats = outputs) {
    return {.network = "fake",
            .instruction_set = "any",
            .fingerprint = fingerprint,
            .arena_bytes = 4096,
            .packed_bytes = 0,
            .output_floats = output_floats,
            .stages = 3,
            .stage_macs = macs,
            .cuts = cuts,
            .inputs = ins,
            .outputs = outs,
            .batch_limit = 8,
            .functions = {.run = run<B>, .store_payload = store, .load_payload = load, .run_batch = run_batch<B>}};
}

/// One input with a tag that the answer has to show.
struct tagged_input {
    std::array<std::byte, input_bytes> bytes{};
    std::array<std::span<const std::byte>, 1> spans{};
    explicit tagged_input(std::uint32_t tag) {
        std::memcpy(bytes.data(), &tag, sizeof tag);
        spans[0] = bytes;
    }
};

} // namespace splitdsl::fake
