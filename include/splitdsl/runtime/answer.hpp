// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file answer.hpp
/// What a frame ends in: values, where they come from, how old they are, how the time was spent.
#pragma once

#include <splitdsl/units.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl {

/// Who answered. The order of the last three is the order of the last resort.
enum class answer_source : std::uint8_t {
    none,     ///< there was no frame: `infer` was refused, `answer::refused` says why, `answer_counters::refused` counts it
    cloud,    ///< offloaded: the tail ran remotely
    edge,     ///< local: the policy chose it
    fallback, ///< offloaded, no valid reply in time, the local tail ran
    exit,     ///< an early exit of this frame
    held,     ///< the previous answer again; `answer::age` says how old it is
    preset    ///< nothing was ever answered: the caller's default
};

constexpr const char* to_text(answer_source s) {
    switch (s) {
    case answer_source::cloud: return "cloud";
    case answer_source::edge: return "edge";
    case answer_source::fallback: return "fallback";
    case answer_source::exit: return "exit";
    case answer_source::held: return "held";
    case answer_source::preset: return "preset";
    case answer_source::none: break;
    }
    return "none";
}

/// Why there was no frame.
enum class frame_refusal : std::uint8_t {
    none,         ///< there was
    not_polled,   ///< the frame before has not been polled yet
    wrong_inputs, ///< another number of inputs than the network's
    wrong_size,   ///< an input of another size than `tensor_info::bytes`
    bad_command   ///< a command that no branch of the network is for
};
constexpr const char* to_text(frame_refusal r) {
    switch (r) {
    case frame_refusal::not_polled: return "the frame before is not polled yet";
    case frame_refusal::wrong_inputs: return "another number of inputs than the network has";
    case frame_refusal::wrong_size: return "an input of a wrong size";
    case frame_refusal::bad_command: return "a command without a branch";
    case frame_refusal::none: break;
    }
    return "none";
}

/// Computed from this frame, whole or by an early exit; a held or preset answer is not.
constexpr bool is_own(answer_source s) {
    return s == answer_source::cloud || s == answer_source::edge || s == answer_source::fallback || s == answer_source::exit;
}

/// Where a frame's time went, from `submit` on.
struct frame_timings {
    duration queued{}; ///< submit to the compute thread taking the frame
    duration head{};   ///< stages before the cut (all of them if the frame stayed here)
    duration send{};   ///< handing the payload to the link
    duration wait{};   ///< payload handed over to reply accepted or fallback begun
    duration tail{};   ///< local tail after a fallback
    duration total{};  ///< submit to answer
};

/// One frame's answer.
///
/// `values` is the caller's memory: `poll` and `infer` copy into it, at most its size. `infer`'s spans what was written (all outputs and exits
/// of the network one after another, the main ones first, or the exit's own; none if there was no frame), `poll` leaves it as it is.
struct answer {
    std::span<float> values{};
    std::uint32_t frame{};
    answer_source source{answer_source::none};
    frame_refusal refused{};      ///< why there was no frame, for `answer_source::none`
    int exit{-1};           ///< which early exit, for `answer_source::exit`
    int tier{};             ///< which machine computed it: 0 this one, 1 the one it is connected to, 2 the one behind that ... (docs/tiers.md)
    int cut{-2};            ///< the cut offloaded at (-1: the input), -2: not offloaded
    int server{-1};         ///< which of several servers answered (docs/servers.md), or was asked first in vain; -1: not offloaded
    bool on_time{};         ///< answered by the deadline
    bool host_stall{};      ///< the host did not let the process run within this frame (see docs/design/deadline.md)
    duration age{};         ///< of the frame the values were computed from, when answered
    std::size_t bytes_up{}; ///< payload and header handed to the link
    frame_timings timings{};
};

} // namespace splitdsl
