// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file given_answers.hpp
/// What an edge's caller was given so far: the answer that is held, the counts of how frames ended, and how long they took.
#pragma once

#include <splitdsl/runtime/counters.hpp>
#include <splitdsl/runtime/held_answer.hpp>
#include <splitdsl/runtime/report.hpp>

#include <cstddef>
#include <span>

namespace splitdsl::detail {

/// Caller's thread, but for `counters`, which any may ask for.
class given_answers {
public:
    given_answers(std::size_t output_floats, std::span<const float> preset) : held{output_floats, preset} {}

    /// Completes `a`, whose source is known: with the frame's `own` values, or with those that are held. `promise_made`: the policy falls back.
    void settle(answer& a, std::span<const float> own, instant submitted, instant answered, bool promise_made) noexcept {
        a.timings.total = answered - submitted;
        if (a.source == answer_source::held) held.repeat(a, submitted, answered);
        else held.renew(a, own, submitted, answered);
        outcomes.settle(a, promise_made);
        told.store(outcomes);
        spread.add(a);
    }
    void refuse() noexcept {
        ++outcomes.refused;
        told.store(outcomes);
    }
    /// Values given last.
    std::size_t copied() const noexcept { return held.copied(); }
    const edge_distributions& distributions() const noexcept { return spread; }
    answer_counters counters() const noexcept { return told.load(); }

private:
    held_answer held;
    answer_counters outcomes{};
    edge_distributions spread{};
    shared_counters<answer_counters> told;
};

} // namespace splitdsl::detail
