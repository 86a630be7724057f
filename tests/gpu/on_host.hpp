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
#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

namespace splitdsl::kernels::cudnn {

/// The block that runs now.
struct emulated_block {
    static constexpr int most_threads = 32;     // fewer than on a device
    int thread{}, threads{1}, block{}, blocks{1}, image{};
    bool in_turns{};
    std::vector<bool> ended{};
    void (*body)(const void*){};
    const void* job{};
};
inline emulated_block here;

struct half_bits { unsigned short bits; };
inline float float_of(half_bits h) { return float_from_half(h.bits); }
inline half_bits half_of(float f) { return {half_from_float(f)}; }
struct bfloat_bits { unsigned short bits; };
inline float float_of(bfloat_bits b) { return float_from_bfloat(b.bits); }
inline bfloat_bits bfloat_of(float f) { return {bfloat_from_float(f)}; }
inline int bits_of(float f) { return std::bit_cast<int>(f); }
inline float float_from_bits(int b) { return std::bit_cast<float>(b); }
inline float exact_add(float a, float b) { return a + b; }
inline float exact_multiply(float a, float b) { return a * b; }
inline float exact_divide(float a, float b) { return a / b; }
inline int nearest_int(float f) { return static_cast<int>(std::nearbyint(f)); }
inline int dot_bytes(unsigned x, unsigned w, int sum) {
    for (int k = 0; k < 32; k += 8) sum += static_cast<int>(x >> k & 255U) * static_cast<int>(static_cast<signed char>(w >> k & 255U));
    return sum;
}
inline int thread_here() { return here.thread; }
inline int threads_here() { return here.threads; }
inline int block_here() { return here.block; }
inline int blocks_here() { return here.blocks; }
inline int image_here() { return here.image; }
inline void count_one(int* at) { ++*at; }
/// From one stack to another. `swapcontext` also asks the system for the signals, which takes longer than most kernels here; sanitizers and
/// checked jumps know stacks only by it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || _FORTIFY_SOURCE > 0
#define SPLITDSL_SWAPS_CONTEXTS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SPLITDSL_SWAPS_CONTEXTS 1
#endif
#endif
struct emulated_stack {
    ucontext_t context{};
    std::vector<char> room{};
    std::jmp_buf place{};
    bool has_run{};
};
inline void switch_stacks(emulated_stack& from, emulated_stack& to) {
#if defined(SPLITDSL_SWAPS_CONTEXTS)
    swapcontext(&from.context, &to.context);
#else
    if (_setjmp(from.place) != 0) return;
    if (to.has_run) _longjmp(to.place, 1);
    to.has_run = true;
    setcontext(&to.context);
#endif
}

/// The threads' stacks and the caller's.
struct emulated_stacks {
    emulated_stack back{};
    std::vector<emulated_stack> threads{};
};
inline emulated_stacks stacks;

inline void wait_for_block() {
    if (!here.in_turns) return;
    const int me = here.thread;
    switch_stacks(stacks.threads[static_cast<std::size_t>(me)], stacks.back);
    here.thread = me;
}

/// One thread of every block there is, one after another.
inline void run_emulated_threads() {
    const int me = here.thread;
    for (;;) {
        here.body(here.job);
        here.ended[static_cast<std::size_t>(me)] = true;
        switch_stacks(stacks.threads[static_cast<std::size_t>(me)], stacks.back);
        here.thread = me;
    }
}
inline void run_emulated_block() {
    const std::size_t n = static_cast<std::size_t>(here.threads);
    stacks.back.has_run = true;
    if (stacks.threads.empty()) stacks.threads.resize(emulated_block::most_threads);
    for (std::size_t t = 0; t < n; ++t) {
        emulated_stack& s = stacks.threads[t];
        if (!s.room.empty()) continue;
        s.room.resize(64 * 1024);
        getcontext(&s.context);
        s.context.uc_stack.ss_sp = s.room.data();
        s.context.uc_stack.ss_size = s.room.size();
        s.context.uc_link = nullptr;
        makecontext(&s.context, run_emulated_threads, 0);
    }
    here.ended.assign(n, false);
    for (bool any = true; any;) {
        any = false;
        for (std::size_t t = 0; t < n; ++t) {
            if (here.ended[t]) continue;
            here.thread = static_cast<int>(t);
            switch_stacks(stacks.back, stacks.threads[t]);
            any = true;
        }
    }
}

/// Runs a kernel as a device would. `has_barriers`: its blocks matter.
inline void emulate(void (*body)(const void*), const void* job, bool has_barriers, int blocks, int threads, int images = 1) {
    here.body = body, here.job = job;
    here.in_turns = has_barriers;
    here.blocks = has_barriers ? blocks : 1;
    here.threads = has_barriers ? (threads < emulated_block::most_threads ? threads : emulated_block::most_threads) : 1;
    for (here.image = 0; here.image < images; ++here.image)
        for (here.block = 0; here.block < here.blocks; ++here.block) {
            here.thread = 0;
            if (has_barriers) run_emulated_block();
            else body(job);
        }
    here.in_turns = false;
}

} // namespace splitdsl::kernels::cudnn

#define SPLITDSL_KERNEL inline void
#define SPLITDSL_WIDE_KERNEL inline void
#define SPLITDSL_KERNELS(name, job)                        \
    inline void name##_f32(job j) { name<float>(j); }      \
    inline void name##_f16(job j) { name<half_bits>(j); }  \
    inline void name##_bf16(job j) { name<bfloat_bits>(j); }
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
#define SPLITDSL_EMULATED(name, job) {#name, [](const void* j) { name(*static_cast<const job*>(j)); }, sizeof(job), false},
#define SPLITDSL_EMULATED_TYPES(name, job) SPLITDSL_EMULATED(name##_f32, job) SPLITDSL_EMULATED(name##_f16, job) SPLITDSL_EMULATED(name##_bf16, job)
            SPLITDSL_TYPED_KERNELS(SPLITDSL_EMULATED_TYPES) SPLITDSL_PLAIN_KERNELS(SPLITDSL_EMULATED)
#undef SPLITDSL_EMULATED_TYPES
#undef SPLITDSL_EMULATED
        };
        for (emulated_kernel& k : list)
            for (const char* with : {"multiply_rows", "pool_image", "softmax_f", "to_unit_length", "find_range", "quantise_u", "level_patches", "choose_candidates", "decode_candidates"})
                if (k.name.starts_with(with)) k.has_barriers = true;
        return list;
    }();
    return all;
}

} // namespace splitdsl::kernels::cudnn
