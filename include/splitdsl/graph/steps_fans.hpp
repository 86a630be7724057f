// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file steps_fans.hpp
/// The end of the fourth pass: which steps of a fan's parts may run side by side, and what must not share memory then.
#pragma once

#include <splitdsl/graph/step_list.hpp>

namespace splitdsl::graph {

/// A step that reads what another part's steps just wrote belongs to no part: it waits for all of them. A tap is read so in the next part, and what a
/// layer gave as bytes becomes floats, a step of that layer, where somebody behind the fan asks for them.
template <std::size_t N, std::size_t S>
constexpr void part_where_independent(step_list<N, S>& to) {
    int writer[step_list<N, S>::capacity]{};    // of a buffer: which run of steps of one part
    int run = 0, first_run = 0;                 // of the fan's
    for (int s = 0; s < to.count; ++s) {
        step& t = to.steps[static_cast<std::size_t>(s)];
        const step* const before = s > 0 ? &to.steps[static_cast<std::size_t>(s - 1)] : nullptr;
        const bool goes_on = before && before->fan == t.fan && before->stage == t.stage && before->part >= 0 && t.part >= 0;
        if (!goes_on || before->part != t.part) ++run;
        if (!goes_on) first_run = run;
        for (const int b : {t.in, t.in2, t.addend})
            if (t.part >= 0 && b >= 0 && writer[b] >= first_run && writer[b] != run) t.part = t.fan = -1;
        if (t.out >= 0) writer[t.out] = run;
    }
}
/// Parts of a fan may run at the same time: what one of them uses lives until all have ended.
template <std::size_t N, std::size_t S>
constexpr void keep_parts_apart(step_list<N, S>& to) {
    int begin = 0;
    while (begin < to.count) {
        const int f = to.steps[static_cast<std::size_t>(begin)].part < 0 ? -1 : to.steps[static_cast<std::size_t>(begin)].fan;
        int end = begin + 1;
        if (f >= 0) {
            while (end < to.count && to.steps[static_cast<std::size_t>(end)].part >= 0 && to.steps[static_cast<std::size_t>(end)].fan == f) ++end;
            for (int b = 0; b < to.buffer_count; ++b) {
                buffer& t = to.buffers[static_cast<std::size_t>(b)];
                if (t.last >= begin && t.last < end) t.last = end - 1;
            }
        }
        begin = end;
    }
}

} // namespace splitdsl::graph
