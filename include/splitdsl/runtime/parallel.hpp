// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file parallel.hpp
/// Threads for one frame's steps: oneTBB where the build has it (SPLITDSL_PARALLEL=tbb), else none.
#pragma once

#include <splitdsl/runtime/pipeline.hpp>

#if SPLITDSL_HAS_TBB        // set by the CMake target; a plain -I use needs no library to link
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#endif

namespace splitdsl {

/// Runs on the calling thread; what cross builds and bare machines use.
inline constexpr task_runner serial_runner{[](int tasks, void (*body)(void*, int, int), void* context) { body(context, 0, tasks); }};

#if SPLITDSL_HAS_TBB
/// oneTBB's workers, in whichever arena the caller runs. A warm parallel_for allocates nothing.
inline const task_runner tbb_runner{[](int tasks, void (*body)(void*, int, int), void* context) {
    tbb::parallel_for(tbb::blocked_range<int>(0, tasks), [=](const tbb::blocked_range<int>& r) { body(context, r.begin(), r.end()); });
}};
#endif

/// The best runner this build has; null means serial.
inline const task_runner* default_runner() {
#if SPLITDSL_HAS_TBB
    return &tbb_runner;
#else
    return nullptr;
#endif
}

/// Runs `body` where `default_runner` has `threads` threads, this one included; a build without threads runs it as it is.
template <class Body>
void with_threads(int threads, Body&& body) {
#if SPLITDSL_HAS_TBB
    tbb::task_arena{threads}.execute(body);
#else
    (void)threads;
    body();
#endif
}

} // namespace splitdsl
