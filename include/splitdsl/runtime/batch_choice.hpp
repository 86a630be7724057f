// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file batch_choice.hpp
/// How many waiting requests a cloud runs together, and when: a pure function of deadlines and measured times.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace splitdsl {

/// What a request that waits says about itself.
struct waiting_request {
    instant deadline{}; ///< when an answer is of no use any more
    instant arrived{};
    int cut{-1};
    std::size_t tenant{}; ///< only those of one tenant run together
};

struct batch_choice {
    int count{1};    ///< of the first request and those next behind it at its cut
    instant start{}; ///< run them then, unless another request comes before; not later than now: at once
};

/// Whether `r` belongs to a batch that `first` leads: at the same cut, of the same tenant, and in time if it were run alone now.
template <class Time>
bool joins(const waiting_request& first, const waiting_request& r, instant now, const Time& time) {
    return r.cut == first.cut && r.tenant == first.tenant && now + time(r.cut, 1) <= r.deadline;
}

namespace detail {

/// Whether `count` requests may run together: it takes no longer than one after another, its own are in time, and every request that would be in time if
/// all were run alone, in their order, still is.
template <class Time>
bool all_in_time(instant now, std::span<const waiting_request> waiting, int count, const Time& time) {
    const waiting_request& first = waiting.front();
    const duration together = time(first.cut, count);
    if (together > count * time(first.cut, 1)) return false;
    instant alone = now, behind = now + together; // when the next one could begin: without a batch, and behind it
    int members = 0;
    for (const waiting_request& r : waiting) {
        const duration own = time(r.cut, 1);
        const bool in_time = alone + own <= r.deadline;
        if (in_time) alone += own;
        if (members < count && joins(first, r, now, time)) {
            if (now + together > r.deadline) return false;
            ++members;
            continue;
        }
        if (behind + own <= r.deadline) behind += own;
        else if (in_time) return false;
    }
    return true;
}

} // namespace detail

/// The batch to run next. `waiting`: at least one request, in the order in which they would run alone; `most`: the largest batch; `wait`: how long a request may wait for
/// others to come; `time(cut, count)`: how long so many tails behind that cut take together. Waits only while all that wait are in the batch, and never
/// so long that with one more it would be late.
///
/// Cost: requests times `most`; allocates nothing.
///
/// ```cpp
/// const batch_choice next = choose_batch(now, waiting, 8, {}, [](int cut, int count) { return measured[cut][count]; });
/// ```
template <class Time>
batch_choice choose_batch(instant now, std::span<const waiting_request> waiting, int most, duration wait, const Time& time) {
    const waiting_request& first = waiting.front();
    if (most < 2 || !joins(first, first, now, time)) return {1, now};
    int candidates = 0;
    instant came = instant::max(), due = instant::max();
    for (const waiting_request& r : waiting)
        if (candidates < most && joins(first, r, now, time)) {
            ++candidates;
            came = std::min(came, r.arrived);
            due = std::min(due, r.deadline);
        }
    int count = candidates;
    while (count > 1 && !detail::all_in_time(now, waiting, count, time)) --count;
    if (wait <= duration{} || count == most || static_cast<std::size_t>(count) < waiting.size()) return {count, now};
    const duration with_one_more = time(first.cut, count + 1);
    if (with_one_more > (count + 1) * time(first.cut, 1)) return {count, now};
    return {count, std::max(now, std::min(came + wait, due - with_one_more))};
}

} // namespace splitdsl
