// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file threads.hpp
/// Names, priority and processors of the runtime's threads, and their stacks touched before the first frame.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace splitdsl {

struct thread_options {
    /// 1..99: SCHED_FIFO at this priority for compute and canary, one above for the sentinel (needs the right to); 0: leave as it is.
    int real_time_priority{};
    /// Bit n: the threads may run on processor n; 0: leave as it is.
    std::uint64_t processors{};
};

namespace detail {

/// Writes to the pages of the stack that frames will use, so that the first frame takes no page fault for them.
[[gnu::noinline]] inline void touch_stack() {
    volatile std::byte pages[128 * 1024];
    for (std::size_t i = 0; i < sizeof pages; i += 4096) pages[i] = std::byte{};
    pages[sizeof pages - 1] = std::byte{};
}

/// Prepares the calling thread; true if everything asked for was granted.
/// `above`: added to the priority, if one is asked for.
inline bool enter_thread(const char* name, const thread_options& o, int above = 0) {
    ::pthread_setname_np(::pthread_self(), name);
    ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); // 1 us: timed waits end when asked, not 50 us later
    bool granted = true;
    if (o.processors != 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        for (unsigned cpu = 0; cpu < 64; ++cpu)
            if ((o.processors >> cpu) & 1U) CPU_SET(cpu, &set);
        granted = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set) == 0 && granted;
    }
    if (o.real_time_priority > 0) {
        sched_param p{};
        p.sched_priority = std::min(o.real_time_priority + above, ::sched_get_priority_max(SCHED_FIFO));
        granted = ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &p) == 0 && granted;
    }
    touch_stack();
    return granted;
}

/// A thread that calls one of an object's own functions, which must outlive it. One type of thread for all: std::thread's machinery, thirty
/// functions for each callable, is compiled once.
template <auto Body, class Owner>
std::thread start_thread(Owner* owner) {
    void (*const call)(void*) = [](void* self) { (static_cast<Owner*>(self)->*Body)(); };
    return std::thread{call, static_cast<void*>(owner)};
}

} // namespace detail
} // namespace splitdsl
