// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file parallel.hpp
/// Threads for one frame's steps: oneTBB where the build has it (SPLITDSL_PARALLEL=tbb), else none.
#pragma once

#include <splitdsl/runtime/step_crew.hpp>

#if SPLITDSL_HAS_TBB        // set by the CMake target; a plain -I use needs no library to link
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#endif

namespace splitdsl {

/// Runs on the calling thread; what cross builds and bare machines use.
inline constexpr task_runner serial_runner{[](int tasks, void (*body)(void*, int, int), void* context) { body(context, 0, tasks); }};

#if SPLITDSL_HAS_TBB
/// oneTBB's workers, in whichever arena the caller runs, no more of them than that has. A warm frame allocates nothing.
///
/// Each helper is a task of the arena that is spawned once, and again if it left for lack of steps. The frame is isolated: while its thread waits for helpers to leave,
/// it takes up no other frame's tasks.
class tbb_crew : public step_crew {
public:
    explicit tbb_crew(int threads) : step_crew{threads, &ask} {}
    ~tbb_crew() {
        close();
        helpers.wait();     // runs what nobody has taken, which is over at once
    }

private:
    static void ask(step_crew& crew, int seat) {
        static_cast<tbb_crew&>(crew).helpers.run([&crew, seat] { crew.help(seat); });
    }
    tbb::task_group helpers{};
};

inline const task_runner tbb_runner{
    [](int tasks, void (*body)(void*, int, int), void* context) {
        tbb::parallel_for(tbb::blocked_range<int>(0, tasks), [=](const tbb::blocked_range<int>& r) { body(context, r.begin(), r.end()); });
    },
    [](void (*frame)(void*, frame_crew*), void* context) {
        const int threads = tbb::this_task_arena::max_concurrency();
        if (threads < 2) return frame(context, nullptr);
        tbb::this_task_arena::isolate([=] {
            tbb_crew crew{threads};
            frame(context, &crew);
        });
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
