// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file counters.hpp
/// Every outcome of the glossary, counted.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/answer.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

namespace splitdsl {

/// Decisions not to offload, by the policy's reason; a policy with several cuts may decide several times a frame.
struct stay_counters {
    std::uint64_t link_down{}, breaker_open{}, link_busy{}, no_rate{}, stale{}, no_time{}, rate_too_low{}, no_saving{};

    void add(stay_reason r) {
        switch (r) {
        case stay_reason::link_down: ++link_down; break;
        case stay_reason::breaker_open: ++breaker_open; break;
        case stay_reason::link_busy: ++link_busy; break;
        case stay_reason::no_rate: ++no_rate; break;
        case stay_reason::stale: ++stale; break;
        case stay_reason::no_time: ++no_time; break;
        case stay_reason::rate_too_low: ++rate_too_low; break;
        case stay_reason::no_saving: ++no_saving; break;
        case stay_reason::none: break;
        }
    }
    constexpr std::uint64_t total() const { return link_down + breaker_open + link_busy + no_rate + stale + no_time + rate_too_low + no_saving; }
    friend constexpr bool operator==(const stay_counters&, const stay_counters&) = default;
};
/// For people: "no time left beside the reserve 20, no rate yet 3"; empty if nothing was counted.
inline std::string to_text(const stay_counters& c) {
    std::string s;
    const auto say = [&s](stay_reason r, std::uint64_t n) {
        if (n == 0) return;
        if (!s.empty()) s += ", ";
        s += to_text(r);
        s += ' ';
        s += std::to_string(n);
    };
    say(stay_reason::link_down, c.link_down);
    say(stay_reason::breaker_open, c.breaker_open);
    say(stay_reason::link_busy, c.link_busy);
    say(stay_reason::no_rate, c.no_rate);
    say(stay_reason::stale, c.stale);
    say(stay_reason::no_time, c.no_time);
    say(stay_reason::rate_too_low, c.rate_too_low);
    say(stay_reason::no_saving, c.no_saving);
    return s;
}

/// What the frame machine saw. Only 64-bit counts, so that a copy can be handed between threads word by word.
struct frame_counters {
    std::uint64_t frames{};          ///< begun
    std::uint64_t skipped{};         ///< answered by the sentinel before the compute thread was free to begin them
    std::uint64_t offload_tries{};   ///< payloads the link accepted
    std::uint64_t offload_refused{}; ///< the link took no byte: answered locally at once
    std::uint64_t blocked{};         ///< the policy wanted to offload; link down, busy or breaker open
    std::uint64_t invalid_actions{}; ///< the policy asked for what cannot be done there, such as a cut the stage does not end: as `proceed`
    std::uint64_t rolled_back{};     ///< local tail begun after an offload
    std::uint64_t accepted{};        ///< replies accepted
    std::uint64_t kept_going{};      ///< valid replies the policy declined
    std::uint64_t late{};            ///< replies after their frame was answered: dropped
    std::uint64_t duplicates{};      ///< second replies of a frame: dropped
    std::uint64_t wrong_epoch{};     ///< replies to an earlier connection's request: dropped
    std::uint64_t unasked{};         ///< replies to a frame never offloaded: dropped
    std::uint64_t wrong_size{};
    std::uint64_t corrupt{};        ///< checksum
    std::uint64_t not_finite{};     ///< frames with a NaN or an infinity in a reply or in the answer that was computed here, which is then none; once a frame
    std::uint64_t shed{};           ///< the cloud said that it gives no answer: not in time, or as below
    std::uint64_t failed_there{};   ///< of these, because something threw there, as its `decode_input`
    std::uint64_t damaged_there{};  ///< of these, because the request's checksum was wrong when it got there
    std::uint64_t failed_here{};    ///< an `encode_input`, an exit's `confidence` or a stage (its `workers`) threw; once for each
    std::uint64_t abandoned{};      ///< the sentinel answered: the compute thread gave the frame up
    std::uint64_t uncovered{};      ///< head + tail with reserve did not fit, a stage overran its reserve or threw, or the answer computed here was not finite
    std::uint64_t covered_misses{}; ///< no answer of its own by the deadline although the frame was covered
    std::uint64_t breaker_openings{};
    std::uint64_t streams{};        ///< begun beside the trunk
    stay_counters stayed{};         ///< why the policy did not want to offload
};

/// How frames ended, as the caller got them.
struct answer_counters {
    std::uint64_t answered{};
    std::uint64_t offloaded{}; ///< source cloud
    std::uint64_t local{};     ///< source edge
    std::uint64_t fallback{};
    std::uint64_t exit{};
    std::uint64_t held{}; ///< includes `preset`
    std::uint64_t preset{};
    std::uint64_t misses{};      ///< answered after the deadline; for a policy without fallback also held
    std::uint64_t host_stalls{}; ///< misses while the host did not let the process run (counted among `misses` too)
    std::uint64_t refused{};     ///< `submit` while a frame was not polled yet, with an input of a wrong size, or with a command that has no branch

    /// Counts one answer. `promise_made`: the policy falls back, so that a held answer in time is none of the misses.
    void settle(const answer& a, bool promise_made) {
        ++answered;
        switch (a.source) {
        case answer_source::cloud: ++offloaded; break;
        case answer_source::edge: ++local; break;
        case answer_source::fallback: ++fallback; break;
        case answer_source::exit: ++exit; break;
        case answer_source::preset: ++preset; [[fallthrough]];
        case answer_source::held: ++held; break;
        case answer_source::none: break;
        }
        if (!a.on_time || (!promise_made && !is_own(a.source))) {
            ++misses;
            if (a.host_stall) ++host_stalls;
        }
    }
};

/// What the link thread saw.
struct link_counters {
    std::uint64_t bytes_up{}, bytes_down{}; ///< everything, headers, probes and handshakes included
    std::uint64_t probe_bytes_up{};         ///< rate probes and pings alone
    std::uint64_t probes{}, pings{}, pongs{};
    std::uint64_t connects{}, disconnects{};
    std::uint64_t connect_failures{}; ///< refused, unreachable, timed out, handshake refused
    std::uint64_t protocol_errors{};  ///< malformed bytes: the connection was ended
    std::uint64_t stuck_resets{};     ///< a payload stayed unsent for too long: the connection was ended
    std::uint64_t silences{};         ///< connected, but nothing heard for too long
    std::uint64_t dropped_replies{};  ///< valid-looking replies nobody had room for
};

/// All that an edge counts, by who saw it.
struct edge_counters {
    frame_counters frame{};
    answer_counters answer{};
    link_counters link{};
};

/// Hands a counter struct from its one writer to any reader without a lock; each word is recent, the whole need not be of one moment.
template <class Counters>
class shared_counters {
    static_assert(sizeof(Counters) % sizeof(std::uint64_t) == 0);
    static constexpr std::size_t words = sizeof(Counters) / sizeof(std::uint64_t);

public:
    void store(const Counters& c) noexcept {
        const auto from = std::bit_cast<std::array<std::uint64_t, words>>(c);
        for (std::size_t i = 0; i < words; ++i) cells[i].store(from[i], std::memory_order_relaxed);
    }
    Counters load() const noexcept {
        std::array<std::uint64_t, words> to{};
        for (std::size_t i = 0; i < words; ++i) to[i] = cells[i].load(std::memory_order_relaxed);
        return std::bit_cast<Counters>(to);
    }

private:
    std::array<std::atomic<std::uint64_t>, words> cells{};
};

} // namespace splitdsl
