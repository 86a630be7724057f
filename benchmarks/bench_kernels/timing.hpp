// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file timing.hpp
/// Clocks and quantiles of bench_kernels.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <vector>

namespace timed {

/// Of this process alone, or of the time that passes.
enum class clock_kind { wall, processor };

inline double now_milliseconds(clock_kind kind) {
    if (kind == clock_kind::wall) return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}
template <class Work>
double milliseconds(clock_kind kind, Work work) {
    const double begin = now_milliseconds(kind);
    work();
    return now_milliseconds(kind) - begin;
}
/// The value that `share` of all are not above.
inline double at(std::vector<double> sorted, double share) {
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

} // namespace timed
