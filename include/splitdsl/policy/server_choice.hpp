// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file server_choice.hpp
/// Which of several servers a frame goes to: the concept that every chooser satisfies, and two choosers.
#pragma once

#include <splitdsl/policy/offload_cost.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <span>

namespace splitdsl {

inline constexpr int max_servers = 8; ///< that one edge chooses among

/// One of an edge's servers, as known at the moment of the choice.
struct server_view {
    link_view link{};    ///< `up` only if it may be asked: connected, its breaker closed, not asked for this frame yet
    duration service{};  ///< its queue and computing behind this cut, by its answers; of one that never gave any, the longest of the others'; 0: nobody ever answered
    radio_power radio{}; ///< of the link to it
};

/// What may be sent, and how long its answer may take.
struct server_question {
    int cut{-1};       ///< -1: the whole input
    bytes payload{};   ///< on the wire, header included (a maximum for variable codecs)
    bytes reply{};     ///< on the wire, header included
    duration window{}; ///< from now to the moment at which the frame stops waiting
    int last{-1};      ///< the server chosen last for this cut; -1: none yet
    instant now{};
};

/// How long an answer of `s` is expected to take; for ever (`saturating_sum`) while its uplink's rate is not known.
constexpr duration expected_answer(const server_question& q, const server_view& s) {
    const duration up = upload_time(q.payload, s.link.rate_up), down = download_time(q.reply, policy::known_downlink(s.link));
    return saturating_sum(communication_time(up, down, s.link.rtt), s.service);
}

/// Chooses: the number of a server whose link is up, or -1 for none. As a scheduler policy is, a deterministic, copyable state machine: no clock, no
/// allocation, no waiting. Also asked for a second server, of a copy, with the servers that have the frame shown as not up.
///
/// ```cpp body
/// struct cheapest_first {                                    // servers in the order of their price
///     int choose(const server_question& q, std::span<const server_view> servers) noexcept {
///         for (std::size_t k = 0; k < servers.size(); ++k)
///             if (servers[k].link.up && expected_answer(q, servers[k]) < q.window) return static_cast<int>(k);
///         return -1;
///     }
/// };
/// ```
template <class C>
concept server_choice = std::copyable<C> && requires(C choice, const server_question& q, std::span<const server_view> servers) {
    { choice.choose(q, servers) } noexcept -> std::same_as<int>;
};

} // namespace splitdsl

namespace splitdsl::policy {

struct server_choice_options {
    double gain{0.2};                                  ///< another server has to be better than the last one by so much of what the last one takes
    duration least_gain{std::chrono::milliseconds{1}}; ///< and earlier by so much at least
    int patience{3};                                   ///< so many times in a row, before it is changed to
    duration staleness{std::chrono::seconds{3}};       ///< what was measured longer ago counts only where nothing newer is known
    double margin{0.8};                                ///< least_energy: the part of the window in which an answer has to be expected
};

/// The server that is expected to answer earliest: payload over measured rate, round trip, measured queue and computing, reply.
///
/// Keeps to the last one until another is clearly earlier for some frames (`server_choice_options`); at once if the last one cannot be asked, is not expected to
/// be in time while the other is, or was measured too long ago. O(servers).
class earliest_answer {
public:
    constexpr explicit earliest_answer(server_choice_options o = {}) : options{o} {}

    constexpr int choose(const server_question& q, std::span<const server_view> servers) noexcept {
        const auto before = [&](const server_view& a, const server_view& b) {
            const bool old_a = a.link.age > options.staleness, old_b = b.link.age > options.staleness;
            return old_a != old_b ? old_b : expected_answer(q, a) < expected_answer(q, b);
        };
        const int best = best_of(servers, before);
        if (best < 0 || q.last < 0 || best == q.last) return streaks.keep(q, best);
        const server_view &held = servers[static_cast<std::size_t>(q.last)], &other = servers[static_cast<std::size_t>(best)];
        const duration now = expected_answer(q, held), then = expected_answer(q, other);
        const bool hopeless = now > q.window && then <= q.window, outdated = held.link.age > options.staleness && other.link.age <= options.staleness;
        if (!askable(held) || outdated || hopeless) return streaks.keep(q, best);
        const duration least = std::max(options.least_gain, from_seconds(to_seconds(now) * options.gain));
        return streaks.change(q, best, now - then >= least, options.patience);
    }

    /// Connected, and free to send.
    static constexpr bool askable(const server_view& s) { return s.link.up && !s.link.busy; }
    /// The first by `before` of those that may be asked; of those that are up, if all have a payload on its way.
    template <class Before>
    static constexpr int best_of(std::span<const server_view> servers, Before before) {
        int best = -1;
        for (std::size_t k = 0; k < servers.size(); ++k) {
            if (!servers[k].link.up) continue;
            const bool first = best < 0, freer = !first && askable(servers[k]) && !askable(servers[static_cast<std::size_t>(best)]);
            const bool as_free = !first && askable(servers[k]) == askable(servers[static_cast<std::size_t>(best)]);
            if (first || freer || (as_free && before(servers[k], servers[static_cast<std::size_t>(best)]))) best = static_cast<int>(k);
        }
        return best;
    }

    /// How often in a row another server was better, for each cut.
    class streak_counter {
    public:
        constexpr int keep(const server_question& q, int chosen) {
            at(q) = {};
            return chosen;
        }
        constexpr int change(const server_question& q, int to, bool better, int patience) {
            streak& s = at(q);
            s.times = !better ? 0 : s.to == to ? s.times + 1 : 1;
            s.to = to;
            if (s.times < patience) return q.last;
            s = {};
            return to;
        }

    private:
        struct streak {
            int to{}, times{};
        };
        constexpr streak& at(const server_question& q) { return of_cut[static_cast<std::size_t>(std::clamp(q.cut, -1, max_cuts - 1) + 1)]; }
        std::array<streak, max_cuts + 1> of_cut{};
    };

private:
    server_choice_options options;
    streak_counter streaks{};
};

/// Of the servers that are expected to answer well within the window, the one whose radio takes the least energy for the frame (Eq. 3 of SAGE, with each
/// link's own radio); if none is, the earliest. Keeps to the last one as `earliest_answer` does. O(servers).
class least_energy {
public:
    constexpr explicit least_energy(server_choice_options o = {}) : options{o}, otherwise{o} {}

    constexpr int choose(const server_question& q, std::span<const server_view> servers) noexcept {
        const duration limit = from_seconds(to_seconds(q.window) * options.margin);
        const auto in_time = [&](const server_view& s) { return earliest_answer::askable(s) && s.link.age <= options.staleness && expected_answer(q, s) <= limit; };
        int best = -1;
        for (std::size_t k = 0; k < servers.size(); ++k)
            if (in_time(servers[k]) && (best < 0 || radio_energy(q, servers[k]) < radio_energy(q, servers[static_cast<std::size_t>(best)]))) best = static_cast<int>(k);
        if (best < 0) return otherwise.choose(q, servers);
        if (q.last < 0 || best == q.last || !in_time(servers[static_cast<std::size_t>(q.last)])) return streaks.keep(q, best);
        const joules held = radio_energy(q, servers[static_cast<std::size_t>(q.last)]), other = radio_energy(q, servers[static_cast<std::size_t>(best)]);
        return streaks.change(q, best, other <= held * (1 - options.gain), options.patience);
    }
    static constexpr joules radio_energy(const server_question& q, const server_view& s) {
        return communication_energy(s.radio, q.payload, upload_time(q.payload, s.link.rate_up), q.reply, download_time(q.reply, known_downlink(s.link)));
    }

private:
    server_choice_options options;
    earliest_answer otherwise;
    earliest_answer::streak_counter streaks{};
};
static_assert(server_choice<earliest_answer> && server_choice<least_energy>);

} // namespace splitdsl::policy
