// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_device.hpp
/// A GPU made of host memory: the driver's, NVRTC's and cuDNN's functions as the backend calls them, kernels emulated, graphs recorded and
/// replayed. What a test asks of it can fail on purpose. Made in fake_device.cpp.
#pragma once

#include <kernels/cudnn/device.hpp>

#include <atomic>
#include <map>
#include <set>
#include <string>

namespace fake {

namespace cudnn = splitdsl::kernels::cudnn;
using cudnn::handle;

struct captured_graph;
/// Of work on several streams: as it was issued; or the stream that someone waits for as late as possible, with that of other streams as early as it may
/// begin, or as late as it may end. A missing event shows as a wrong result in one of them.
enum class stream_order { issued, others_first, others_last };

/// What the fake counts, and what it is told to refuse.
struct state {
    int devices{1};
    int major{9}, minor{0}, multiprocessors{4};
    std::map<cudnn::device_address, std::size_t> memory;
    std::map<cudnn::device_address, int> owners;        // the device each piece of it is on
    char device_names[8]{};             // their addresses stand for contexts
    std::map<void*, std::size_t> pinned;
    int contexts{}, streams{}, events{}, graphs{}, executables{}, modules{}, descriptors{}, handles{};
    long calls_that_allocate{};         // device, host, graphs, descriptors
    bool counts_heap{};                 // what the code under test takes from the heap; what the fake itself takes is not counted
    long heap{};
    stream_order order{};
    int overlaps{};                     // copies of captured graphs beside which kernels may run
    int kernels_beside{};               // kernels of captured graphs beside which others may run
    long copies_beside_graphs{};        // on another stream than graphs run on
    bool last_warp_first{}, copies_are_late{};      // orders in which a block's warps, and copies into shared memory, may run
    std::map<std::string, long> started;            // kernels by name, also those that a capture took
    long launches{}, graph_launches{}, convolutions{}, copies_out{};
    std::size_t room{std::size_t{1} << 30};
    long fail_graph_after{-1};          // a launch of a graph fails once so many have run
    long fail_launch_after{-1};         // of a kernel outside a graph, likewise
    long fail_copy_after{-1};           // from the device outside of a graph, likewise
    int failure{cudnn::driver_launch_failed};
    long fail_allocation_after{-1};     // of device memory, likewise
    long fail_pinned_after{-1};
    long fail_convolution_after{-1};    // cuDNN does not start one
    long allocations{}, pinned_allocations{}, convolutions_asked{};
    int breaks_captures{-1};            // which of cuDNN's two engines does what no graph can hold, and does not say so
    int compiled_first{};               // how many of cuDNN's two engines are compiled when a plan is made
    bool takes_addend{true}, takes_activation{true}, takes_any{true}, takes_slices{true};
    int first_note{-1}, engine{-1};     // of cuDNN's two engines: what the first one says of its numbers; which of them the last plan took
    double clock{};                     // made-up milliseconds: each kernel takes 1, or what stands here for its name, and cuDNN's engines likewise
    std::map<std::string, double> kernel_times;
    double engine_times[2]{1, 1};
    long engine_runs[2]{};
    captured_graph* capturing{};
    std::string wrong;                  // the first thing a real device would refuse
};
inline state now;
inline thread_local int in_use = -1;                         // the device of the calling thread's context
inline std::atomic<bool> hangs{};          // a wait for a stream does not end before this does

cudnn::driver_api driver();
cudnn::compiler_api compiler();
cudnn::network_api network();

/// Runs a kernel by its name on a job of its kind; `blocks` matter only to those with barriers.
void run_kernel(const char* name, const void* job, int blocks = 2);
/// Matrices of one tensor core's product, c += a * b; elements go to the lanes' registers as the PTX manual numbers them ("Matrix Fragments for mma.m16n8k32", .u8 and .s8).
struct warp_product {
    unsigned char a[16][32];
    signed char b[32][8];
    int c[16][8];
};
void multiply_in_warp(warp_product& p);
/// A tensor without gaps, of one image.
inline cudnn::device_tensor packed(const void* at, int channels) { return {const_cast<void*>(at), 0, channels}; }

} // namespace fake
