// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_rules.hpp
/// What the frame machine is told once, and the words it exchanges with whoever drives it.
#pragma once

#include <splitdsl/graph/limits.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/runtime/breaker.hpp>

#include <cstdint>
#include <optional>

namespace splitdsl {

/// The network's shape and the promise's numbers.
struct frame_rules {
    int stages{1};
    int cuts{};
    int stage_of_cut[max_cuts]{};         ///< the stage each cut ends, rising
    std::uint32_t streams_behind[max_stages]{}; ///< 1 + the stream that a stage's end begins; 0: none. Of networks with streams and no cuts
    duration deadline{};                  ///< of every frame, from its start
    duration remaining[max_stages + 1]{}; ///< reserve for running stages k .. end here (at least twice their p99); 0 at `stages`
    duration remaining_once[max_stages + 1]{}; ///< p99 of stages k .. end, once; 0: not known, half of `remaining` at most
    duration last_resort_lead{};          ///< the sentinel answers this long before the deadline
    breaker_options breaker{};

    /// The stage behind the first cut, or 0 without cuts: where the part with a reserve begins.
    constexpr int first_tail_stage() const { return cuts > 0 ? stage_of_cut[0] + 1 : 0; }
    constexpr duration once(int stage) const { return remaining_once[stage] > duration{} ? remaining_once[stage] : remaining[stage] / 2; }
    /// What a frame sent with `left` to its deadline keeps for running stages `stage` .. end here: their reserve; their p99 once if the
    /// reserve does not fit; nothing (no value) if that does not either, for then they would be begun in vain.
    constexpr std::optional<duration> kept(int stage, duration left) const {
        const duration room = left - last_resort_lead;
        if (remaining[stage] <= room) return remaining[stage];
        return once(stage) <= room ? std::optional{once(stage)} : std::nullopt;
    }
    /// Whether a frame with `left` to its deadline is covered if it runs stages `stage` .. end here: the head, then the reserve.
    constexpr bool covers(int stage, duration left) const {
        const int tail = stage < first_tail_stage() ? first_tail_stage() : stage;
        return once(stage) - once(tail) + remaining[tail] + last_resort_lead <= left;
    }
    /// The first stage behind a cut; -1 is the input.
    constexpr int stage_behind(int cut) const { return cut < 0 ? 0 : stage_of_cut[cut] + 1; }
    /// The cut that this stage ends, or -1; without cuts, the stage itself where a stream begins behind it.
    constexpr int cut_behind(int stage) const {
        for (int k = 0; k < cuts; ++k)
            if (stage_of_cut[k] == stage) return k;
        return cuts == 0 && streams_behind[stage] != 0 ? stage : -1;
    }
};

/// What is known of a reply before anyone trusts it.
struct reply_facts {
    std::uint32_t sequence{};
    std::uint32_t epoch{};
    bool size_ok{true};
    bool crc_ok{true};
    bool finite{true};
    bool shed{};   ///< the cloud gives no answer
    bool failed{};  ///< because something threw there
    bool damaged{}; ///< because the request came there damaged
    int tier{}; ///< how many tiers behind the one that was asked computed it
    int server{}; ///< which of several servers it comes from
    duration service{}; ///< queue and computing there
    int exit{-1};
    int sizes{}; ///< of the stream that is answered, as many as the answer was made of
    float confidence{1};
};

/// What the machine wants done next. The driver does it and reports back.
struct command {
    enum class kind : std::uint8_t {
        nothing,    ///< go on with what is under way
        run,        ///< run `stage`, then report `stage_done`
        offload,    ///< hand the payload of `cut` to the link, then report `handed_over`
        wait,       ///< wait for events, at most until `until`, then report `timer`
        publish,    ///< claim the frame for `source`, then report `published`
        last_resort ///< claim the frame for exit, held or preset, then report `published`
    };
    kind what{kind::nothing};
    answer_source source{answer_source::none};
    int stage{-1};
    int cut{-2};
    int codec{-1};
    int exit{-1};
    instant until{};
    /// run, nothing: hand over this stream first; offload: hand it over in place of a cut's payload (policies with `streams` only).
    int stream{-1};
    int first{}, last{}; ///< its sizes
    int least{};         ///< offload: the first of them whose answer may count
    bool drop{};         ///< nothing: drop what is unsent
};

/// How the machine behaves. Tests break one rule at a time to prove that the suites notice; nobody else replaces this.
struct as_promised {
    static constexpr duration fallback_delay{}; ///< added to the moment of falling back
    static constexpr bool checks_sequence = true;
    static constexpr bool checks_epoch = true;
    static constexpr bool checks_values = true;
    static constexpr bool claims_once = true; ///< honoured by the driver's answer slot
};

} // namespace splitdsl
