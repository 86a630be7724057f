// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file on_host.hpp
/// Device code as plain C++: each kernel runs here, thread by thread, on host memory.
///
/// The threads of a block are contexts of their own that take turns where they wait, so a missing barrier shows as a wrong result. A warp goes as far
/// as it can before the next one moves, the first one first or the last one; copies into shared memory happen where they are begun, or as late as where they
/// are waited for. A kernel without barriers runs as one thread that takes all items. Where accesses are checked (shadow.hpp) every kernel runs with all its threads.
#pragma once

#include "shadow.hpp"

#include <splitdsl/codec/half.hpp>

#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

namespace splitdsl::kernels::cudnn {

namespace shadow = fake::shadow;

/// What a lane of a warp gives to the others.
struct emulated_lane {
    unsigned a[4], b[2];
    const void* row;
};
struct emulated_warp {
    emulated_lane left[2][32]{};    // of two meetings: who goes on to the next one does not write where others still read
    int arrived{};
    long meetings{};
};
struct emulated_copy {
    void* to;
    const void* from;
    std::size_t bytes;
    int group;
};
struct emulated_thread {
    bool has_ended{};
    const long* waits_for{};        // a number that changes
    long seen{};
    std::vector<emulated_copy> copies{};
    int groups{};                   // of copies: ended
};
/// The block that runs now, and in which of the allowed orders.
struct emulated_block {
    static constexpr int few_threads = 32;      // fewer than on a device, for kernels that do not mind
    int thread{}, threads{1}, block{}, blocks{1}, image{};
    bool in_turns{};
    int alive{}, arrived{};
    long barriers{};
    std::vector<emulated_thread> each{};
    std::vector<emulated_warp> warps{};
    void (*body)(const void*){};
    const void* job{};
    bool last_warp_first{}, copies_are_late{};
};
inline emulated_block here;
inline void refuse_block(const char* what) {
    if constexpr (shadow::is_on) return shadow::report(what);
    std::fprintf(stderr, "emulated device: %s\n", what);
    std::abort();
}

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
inline float exact_multiply_add(float a, float b, float c) { return std::fma(a, b, c); }
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
inline void count_one(int* at) {
    if constexpr (shadow::is_on) shadow::touch_atomic(at, 4);
    const shadow::unwatched apart;
    ++*at;
}
/// From one stack to another. `swapcontext` also asks the system for the signals, which takes longer than most kernels here; sanitizers and
/// checked jumps know stacks only by it.
#if defined(__SANITIZE_ADDRESS__) || (defined(__SANITIZE_THREAD__) && !defined(SPLITDSL_CHECKED_DEVICE)) || _FORTIFY_SOURCE > 0
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
    std::deque<emulated_stack> threads{};      // which stay where they are: a context holds pointers into itself
};
inline emulated_stacks stacks;

/// Others go on until `number` changes.
inline void wait_for_change(const long& number, long seen) {
    const int me = here.thread;
    emulated_thread& mine = here.each[static_cast<std::size_t>(me)];
    mine.waits_for = &number, mine.seen = seen;
    switch_stacks(stacks.threads[static_cast<std::size_t>(me)], stacks.back);
    here.thread = me;
}
inline void pass_barrier_if_all_arrived() {
    if (here.arrived < here.alive) return;
    here.arrived = 0, ++here.barriers;
    if constexpr (shadow::is_on) shadow::barrier_over();
}
// Not in line: where it returns to is which barrier it was.
[[gnu::noinline]] inline void wait_for_block() {
    const shadow::unwatched apart;
    if (!here.in_turns) return;
    if constexpr (shadow::is_on)
        if (!shadow::passes_barrier(__builtin_return_address(0))) return;
    const long seen = here.barriers;
    ++here.arrived;
    pass_barrier_if_all_arrived();
    wait_for_change(here.barriers, seen);
}
/// What all lanes of this thread's warp give; each gives its own.
inline const emulated_lane* meet_warp(const emulated_lane& mine) {
    const shadow::unwatched apart;
    const auto lane = static_cast<std::size_t>(here.thread % 32);
    emulated_warp& warp = here.warps[static_cast<std::size_t>(here.thread / 32)];
    const long seen = warp.meetings;
    emulated_lane* const left = warp.left[seen % 2];
    left[lane] = mine;
    if (++warp.arrived == 32) warp.arrived = 0, ++warp.meetings;
    else wait_for_change(warp.meetings, seen);
    return left;
}

/// As the manual has __shfl_xor_sync, of a whole warp.
inline float of_lane_across(float mine, int mask) {
    const shadow::unwatched apart;
    const int lane = here.thread % 32;
    return std::bit_cast<float>(meet_warp({{std::bit_cast<unsigned>(mine)}, {}, nullptr})[lane ^ mask].a[0]);
}

/// As the PTX manual has ldmatrix.m8n8.x4.b16: lanes 8k to 8k + 7 name the rows of matrix k; lane l gets of each matrix the l % 4th four bytes of row l / 4.
inline void load_matrices(unsigned* to, const void* row) {
    const shadow::unwatched apart;
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) refuse_block("a matrix's row that is not aligned");
    const int lane = here.thread % 32;
    const emulated_lane* const all = meet_warp({{}, {}, row});
    for (int k = 0; k < 4; ++k) {
        const void* const from = static_cast<const char*>(all[8 * k + lane / 4].row) + 4 * (lane % 4);
        // Bytes behind the last tap may hold anything: their weights are 0.
        if constexpr (shadow::is_on) shadow::touch(from, 4, shadow::reads | (shadow::fragments_may_be_unwritten() ? shadow::may_be_unwritten : 0U));
        std::memcpy(to + k, from, 4);
    }
}
/// As the PTX manual has mma.m16n8k32 of bytes: register r of a has row l / 4 + 8 * (r % 2) from depth 4 * (l % 4) + 16 * (r / 2) on, register r of b has
/// column l / 4 from depth 4 * (l % 4) + 16 * r on; sum r is of row l / 4 + 8 * (r / 2) and column 2 * (l % 4) + r % 2.
inline void multiply_fragments(int* sum, const unsigned* a, const unsigned* b) {
    const shadow::unwatched apart;
    const int lane = here.thread % 32;
    const emulated_lane* const all = meet_warp({{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, nullptr});
    for (int r = 0; r < 4; ++r) {
        const int row = lane / 4 + 8 * (r / 2), column = 2 * (lane % 4) + r % 2;
        for (int depth = 0; depth < 32; depth += 4)
            sum[r] = dot_bytes(all[row % 8 * 4 + depth % 16 / 4].a[row / 8 + 2 * (depth / 16)], all[column * 4 + depth % 16 / 4].b[depth / 16], sum[r]);
    }
}
/// As the PTX manual has mma.m16n8k16 of 16-bit values: register r of a has row l / 4 + 8 * (r % 2) and two of the depth from 2 * (l % 4) + 8 * (r / 2) on, register r of b
/// column l / 4 and two of the depth from 2 * (l % 4) + 8 * r on; sums as above.
template <class T>
void multiply_shorts(float* sum, const unsigned* a, const unsigned* b) {
    const shadow::unwatched apart;
    const int lane = here.thread % 32;
    const emulated_lane* const all = meet_warp({{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, nullptr});
    const auto value = [](unsigned pair, int depth) { return float_of(T{static_cast<unsigned short>(depth % 2 == 0 ? pair : pair >> 16)}); };
    for (int r = 0; r < 4; ++r) {
        const int row = lane / 4 + 8 * (r / 2), column = 2 * (lane % 4) + r % 2;
        for (int depth = 0; depth < 16; ++depth)
            sum[r] += value(all[row % 8 * 4 + depth % 8 / 2].a[row / 8 + 2 * (depth / 8)], depth) * value(all[column * 4 + depth % 8 / 2].b[depth / 8], depth);
    }
}
inline void multiply_halves(float* sum, const unsigned* a, const unsigned* b) { multiply_shorts<half_bits>(sum, a, b); }
inline void multiply_bfloats(float* sum, const unsigned* a, const unsigned* b) { multiply_shorts<bfloat_bits>(sum, a, b); }
inline void begin_copy(void* to, const void* from, std::size_t bytes) {
    const shadow::unwatched apart;
    if constexpr (shadow::is_on) shadow::touch(from, bytes, shadow::reads), shadow::begin_copy(to, bytes);
    if (reinterpret_cast<std::uintptr_t>(to) % bytes != 0 || reinterpret_cast<std::uintptr_t>(from) % bytes != 0) refuse_block("a copy that is not aligned");
    emulated_thread& mine = here.each[static_cast<std::size_t>(here.thread)];
    if (here.copies_are_late || shadow::is_on) mine.copies.push_back({to, from, bytes, mine.groups});
    else std::memcpy(to, from, bytes);
}
inline void begin_copy_of_16(void* to, const void* from) { begin_copy(to, from, 16); }
inline void begin_copy_of_4(void* to, const void* from) { begin_copy(to, from, 4); }
inline void end_copy_group() {
    const shadow::unwatched apart;
    ++here.each[static_cast<std::size_t>(here.thread)].groups;
}
template <int Left>
[[gnu::noinline]] void wait_for_copies() {
    const shadow::unwatched apart;
    if constexpr (shadow::is_on)
        if (!shadow::passes_wait(__builtin_return_address(0))) return;
    emulated_thread& mine = here.each[static_cast<std::size_t>(here.thread)];
    std::erase_if(mine.copies, [&](const emulated_copy& c) {
        if (c.group >= mine.groups - Left) return false;
        if constexpr (shadow::is_on) shadow::touch(c.from, c.bytes, shadow::reads), shadow::end_copy(c.to, c.bytes);
        std::memcpy(c.to, c.from, c.bytes);
        return true;
    });
}

/// One thread of every block there is, one after another.
inline void run_emulated_threads() {
    const int me = here.thread;
    for (;;) {
        if constexpr (shadow::is_on) shadow::watching = true;
        here.body(here.job);
        shadow::watching = false;
        here.each[static_cast<std::size_t>(me)].has_ended = true;
        if (here.arrived > 0) refuse_block("a thread that ends while others wait for it");
        --here.alive;
        switch_stacks(stacks.threads[static_cast<std::size_t>(me)], stacks.back);
        here.thread = me;
    }
}
inline void run_emulated_block() {
    const std::size_t n = static_cast<std::size_t>(here.threads);
    stacks.back.has_run = true;
    while (stacks.threads.size() < n) {
        emulated_stack& s = stacks.threads.emplace_back();
        s.room.resize(64 * 1024);
        getcontext(&s.context);
        s.context.uc_stack.ss_sp = s.room.data();
        s.context.uc_stack.ss_size = s.room.size();
        s.context.uc_link = nullptr;
        makecontext(&s.context, run_emulated_threads, 0);
    }
    here.alive = here.threads, here.arrived = 0;
    here.each.assign(n, {});
    here.warps.assign((n + 31) / 32, {});
    for (bool any = true; any;) {
        any = false;
        for (std::size_t w = 0; w < here.warps.size(); ++w) {
            const std::size_t first = 32 * (here.last_warp_first ? here.warps.size() - 1 - w : w);
            for (bool moved = true; moved;) {
                moved = false;
                // Every other block's lanes go the other way: what one reads before the barrier that another writes for it is wrong in one of them.
                const std::size_t end = std::min(first + 32, n);
                for (std::size_t k = first; k < end; ++k) {
                    const std::size_t t = here.block % 2 == 0 ? k : first + end - 1 - k;
                    const emulated_thread& x = here.each[t];
                    if (x.has_ended || (x.waits_for && *x.waits_for == x.seen)) continue;
                    here.thread = static_cast<int>(t);
                    if constexpr (shadow::is_on) shadow::on_stack(stacks.threads[t].room.data(), stacks.threads[t].room.size());
                    switch_stacks(stacks.back, stacks.threads[t]);
                    any = moved = true;
                }
            }
        }
    }
    if (here.alive > 0) refuse_block("threads that wait for ever");
    for (const emulated_thread& t : here.each)
        if (!t.copies.empty()) refuse_block("a copy that nobody waited for");
}

/// Of a kernel without barriers: one thread after the other, on the caller's stack.
[[gnu::noinline]] inline void run_watched_threads() {
    constexpr std::size_t room = 64 * 1024;
    shadow::on_stack(static_cast<char*>(__builtin_frame_address(0)) - room, room);
    for (; here.thread < here.threads; ++here.thread) {
        shadow::watching = true;
        here.body(here.job);
        shadow::watching = false;
    }
}

/// How a kernel wants to be run: with barriers its blocks matter; where warps work together, its threads as well.
enum class emulation { alone, in_blocks, in_warps };

/// Runs a kernel as a device would.
inline void emulate(void (*body)(const void*), const void* job, emulation how, int blocks, int threads, int images = 1) {
    const bool has_barriers = how != emulation::alone;
    here.body = body, here.job = job;
    here.in_turns = has_barriers;
    if constexpr (shadow::is_on) shadow::leave_alone(&here, sizeof here);
    here.blocks = has_barriers ? blocks : 1;
    here.threads = how == emulation::in_warps ? threads : has_barriers ? std::min(threads, emulated_block::few_threads) : 1;
    if constexpr (shadow::is_on) here.blocks = blocks, here.threads = threads;
    for (here.image = 0; here.image < images; ++here.image)
        for (here.block = 0; here.block < here.blocks; ++here.block) {
            here.thread = 0;
            if constexpr (shadow::is_on) shadow::begin_block();
            if (has_barriers) run_emulated_block();
            else if constexpr (shadow::is_on) run_watched_threads();
            else body(job);
        }
    here.in_turns = false;
}

} // namespace splitdsl::kernels::cudnn

#define SPLITDSL_KERNEL inline void
#define SPLITDSL_WIDE_KERNEL inline void
#define SPLITDSL_TILE_KERNEL inline void
#define SPLITDSL_UNROLL
#define SPLITDSL_KERNELS(name, job)                        \
    inline void name##_f32(job j) { name<float>(j); }      \
    inline void name##_f16(job j) { name<half_bits>(j); }  \
    inline void name##_bf16(job j) { name<bfloat_bits>(j); }
#define SPLITDSL_DEVICE inline
#define SPLITDSL_DEVICE_MEMBER inline
#define SPLITDSL_DEVICE_CALL inline
#define SPLITDSL_UNROLL_BY_FOUR
#define SPLITDSL_SHORT_TILES(size, ...)                                                                             \
    inline void convolve_half_tiles_##size(value_tile_job j) { convolve_value_tiles<half_bits, __VA_ARGS__>(j); }   \
    inline void convolve_bfloat_tiles_##size(value_tile_job j) { convolve_value_tiles<bfloat_bits, __VA_ARGS__>(j); }
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
    emulation how{};
};

inline const std::vector<emulated_kernel>& emulated_kernels() {
    static const std::vector<emulated_kernel> all = [] {
        std::vector<emulated_kernel> list{
#define SPLITDSL_EMULATED(name, job) {#name, [](const void* j) { name(*static_cast<const job*>(j)); }, sizeof(job)},
#define SPLITDSL_EMULATED_TYPES(name, job) SPLITDSL_EMULATED(name##_f32, job) SPLITDSL_EMULATED(name##_f16, job) SPLITDSL_EMULATED(name##_bf16, job)
            SPLITDSL_TYPED_KERNELS(SPLITDSL_EMULATED_TYPES) SPLITDSL_PLAIN_KERNELS(SPLITDSL_EMULATED)
#undef SPLITDSL_EMULATED_TYPES
#undef SPLITDSL_EMULATED
        };
        for (emulated_kernel& k : list)
            for (const char* with : {"multiply_rows", "pool_image", "softmax_f", "softmax_b", "to_unit_length", "find_range", "quantise_u", "level_patches", "choose_candidates", "decode_candidates"})
                if (k.name.starts_with(with)) k.how = emulation::in_blocks;
        for (emulated_kernel& k : list)
            if (k.name.find("_tiles_") != std::string::npos) k.how = emulation::in_warps;
        return list;
    }();
    return all;
}

} // namespace splitdsl::kernels::cudnn
