// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file shadow.hpp
/// What the made-up device knows of each byte of its memory: who wrote it, who read it since, and who may touch it now.
///
/// fake_device.cpp is compiled twice. With SPLITDSL_CHECKED_DEVICE the compiler puts a call in front of every access of a kernel (-fsanitize=thread, whose
/// functions are our own: shadow.cpp), and each launch runs with all the threads that it was given. Each access is then held against these rules:
///
/// - *Order.* Threads of a block are ordered by the block's barriers and by nothing else: neither a warp's shuffles and products of matrices nor the order in which
///   its lanes happen to run. Blocks of a launch are not ordered at all. Launches and copies are ordered by their streams, events, graphs, and the host's waits.
///   Two accesses of one byte that are not ordered, one of them a write, are a race, unless both are atomic. What a thread copies into shared memory beside
///   itself is nobody's, not even its own, until it has waited for it.
/// - *Place.* A launch touches its operands (operands.hpp), reads those that are read and writes those that are written, and writes all of what it makes.
///   Shared memory ends with its array.
/// - *Content.* What is read was written, in a block's shared memory by that block.
/// - *Form.* An access of a type is aligned as the type; arrays inside objects, shifts and sums of signed numbers stay in bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fake::shadow {

#if defined(SPLITDSL_CHECKED_DEVICE)
inline constexpr bool is_on = true;
#else
inline constexpr bool is_on = false;
#endif

enum access_mode : unsigned { reads = 1, writes = 2, may_be_unwritten = 4, must_be_written = 8 };
/// A part of memory that a launch may touch.
struct operand {
    const char* name;
    std::uintptr_t at;
    std::size_t bytes;
    unsigned mode;
};

/// What another process sees of the reports.
struct reported {
    long count;
    char first[256];
};
/// What tests ask and tell.
struct log {
    long reports{};
    std::string first;
    std::map<std::string, long> launches;               ///< by kernel: how often it ran
    std::set<std::pair<std::string, const void*>> barriers, waits;      ///< a kernel's calls that order something, by where they stand in its code
    const void* left_out{};             ///< one of these that does nothing
    long event_waits{}, left_out_event_wait{-1};        ///< of captures: so many so far; the one that orders nothing
    bool takes_times{}, loads_plans{};  ///< ways are timed, and cuDNN's plans run once to be loaded, on memory that was cleared and no more: only then may that be read
    reported* shared{};                 ///< not null: reports go there as well
    bool keeps_quiet{};                 ///< reports are counted, and are no complaint
};
extern log seen;

/// Whether the calling thread runs device code now.
inline thread_local bool watching = false;
struct unwatched {
    bool was = watching;
    unwatched() { watching = false; }
    ~unwatched() { watching = was; }
    unwatched(const unwatched&) = delete;
    unwatched& operator=(const unwatched&) = delete;
};

// Memory.
void* allocate(std::size_t bytes);
void release(void* at);
void pin(void* at, std::size_t bytes);
void unpin(void* at);

/// Work that a device was given: of which stream it is, its number there, and until which numbers it comes behind other streams.
using clock = std::map<const void*, long>;
void at_moment(const clock* behind, const void* stream, long number);
/// A captured graph runs: for each of its nodes what it comes behind.
void begin_graph(const std::vector<std::vector<bool>>& behind);
void at_node(int node);
void end_graph();
bool runs_graph();

// A launch: `stack` is where device code's own variables lie.
void begin_launch(const std::string& name, std::vector<operand> operands, const int* thread);
void begin_block();
void on_stack(const void* low, std::size_t bytes);
void takes_job(const void* job, std::size_t bytes);
void end_launch();
/// Work that is not made of threads: reads all that it may read, then writes all that it may write.
void whole(const std::string& name, std::vector<operand> operands);

// Of the thread that runs.
bool passes_barrier(const void* site);          ///< false: it is left out
bool passes_wait(const void* site);
void barrier_over();
void touch(const void* at, std::size_t bytes, unsigned mode);
void touch_atomic(const void* at, std::size_t bytes);
void begin_copy(const void* to, std::size_t bytes);
void end_copy(const void* to, std::size_t bytes);
bool fragments_may_be_unwritten();

void report(const std::string& what);
/// For the calls that the compiler puts in: where this object lies is the emulation's own.
void leave_alone(const void* at, std::size_t bytes);
/// Who hears of a report.
void report_to(void (*hears)(const std::string&));

} // namespace fake::shadow
