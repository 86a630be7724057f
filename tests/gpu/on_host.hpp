// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file on_host.hpp
/// Device code as plain C++: each kernel runs here, thread by thread, on host memory.
///
/// The threads of a block are contexts of their own that take turns at every `wait_for_block`, so a missing barrier shows as a wrong
/// result. A kernel without barriers runs as one thread that takes all items.
#pragma once

#include <splitdsl/codec/half.hpp>

#include <ucontext.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace splitdsl::kernels::cudnn {

/// The block that runs now.
struct emulated_block {
    static constexpr int most_threads = 32;     // fewer than on a device
    int thread{}, threads{1}, block{}, blocks{1};
    bool in_turns{};
    ucontext_t back{};
    std::vector<ucontext_t> contexts{};
    std::vector<std::vector<char>> stacks{};
    std::vector<bool> ended{};
    void (*body)(const void*){};
    const void* job{};
};
inline emulated_block here;

struct half_bits { unsigned short bits; };
inline float float_of(half_bits h) { return float_from_half(h.bits); }
inline half_bits half_of(float f) { return {half_from_float(f)}; }
inline int bits_of(float f) { return std::bit_cast<int>(f); }
inline float float_from_bits(int b) { return std::bit_cast<float>(b); }
inline float exact_add(float a, float b) { return a + b; }
inline float exact_multiply(float a, float b) { return a * b; }
inline float exact_divide(float a, float b) { return a / b; }
inline int thread_here() { return here.thread; }
inline int threads_here() { return here.threads; }
inline int block_here() { return here.block; }
inline int blocks_here() { return here.blocks; }
inline void wait_for_block() {
    if (!here.in_turns) return;
    const int me = here.thread;
    swapcontext(&here.contexts[static_cast<std::size_t>(me)], &here.back);
    here.thread = me;
}

inline void run_emulated_thread() {
    const int me = here.thread;
    here.body(here.job);
    here.ended[static_cast<std::size_t>(me)] = true;
    swapcontext(&here.contexts[static_cast<std::size_t>(me)], &here.back);
}
inline void run_emulated_block() {
    const std::size_t n = static_cast<std::size_t>(here.threads);
    if (here.contexts.size() < n) {
        here.contexts.resize(n);
        here.stacks.resize(n, std::vector<char>(64 * 1024));
    }
    here.ended.assign(n, false);
    for (std::size_t t = 0; t < n; ++t) {
        getcontext(&here.contexts[t]);
        here.contexts[t].uc_stack.ss_sp = here.stacks[t].data();
        here.contexts[t].uc_stack.ss_size = here.stacks[t].size();
        here.contexts[t].uc_link = nullptr;
        makecontext(&here.contexts[t], run_emulated_thread, 0);
    }
    for (bool any = true; any;) {
        any = false;
        for (std::size_t t = 0; t < n; ++t) {
            if (here.ended[t]) continue;
            here.thread = static_cast<int>(t);
            swapcontext(&here.back, &here.contexts[t]);
            any = true;
        }
    }
}

/// Runs a kernel as a device would. `has_barriers`: its blocks matter.
inline void emulate(void (*body)(const void*), const void* job, bool has_barriers, int blocks, int threads) {
    here.body = body, here.job = job;
    here.in_turns = has_barriers;
    here.blocks = has_barriers ? blocks : 1;
    here.threads = has_barriers ? (threads < emulated_block::most_threads ? threads : emulated_block::most_threads) : 1;
    for (here.block = 0; here.block < here.blocks; ++here.block) {
        here.thread = 0;
        if (has_barriers) run_emulated_block();
        else body(job);
    }
    here.in_turns = false;
}

} // namespace splitdsl::kernels::cudnn

#define SPLITDSL_KERNEL inline void
#define SPLITDSL_DEVICE inline
#define SPLITDSL_SHARED static
#define SPLITDSL_DEVICE_AS_CODE 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wfloat-conversion"
#include <kernels/cudnn/source/all.hpp>
#pragma GCC diagnostic pop

namespace splitdsl::kernels::cudnn {

struct emulated_kernel {
    std::string name;
    void (*body)(const void*);
    std::size_t job_bytes;
    bool has_barriers;
};

inline const std::vector<emulated_kernel>& emulated_kernels() {
    static const std::vector<emulated_kernel> all = [] {
        std::vector<emulated_kernel> list{
#define SPLITDSL_EMULATED(name, job)                                                                                           \
    {#name "_f32", [](const void* j) { name##_f32(*static_cast<const job*>(j)); }, sizeof(job), false},                        \
    {#name "_f16", [](const void* j) { name##_f16(*static_cast<const job*>(j)); }, sizeof(job), false},
            SPLITDSL_DEVICE_KERNELS(SPLITDSL_EMULATED)
#undef SPLITDSL_EMULATED
        };
        for (emulated_kernel& k : list)
            for (const char* with : {"multiply_rows", "pool_image", "softmax_f", "to_unit_length", "find_range", "quantise_u", "level_patches"})
                if (k.name.starts_with(with)) k.has_barriers = true;
        return list;
    }();
    return all;
}

} // namespace splitdsl::kernels::cudnn
