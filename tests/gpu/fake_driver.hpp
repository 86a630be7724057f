// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_driver.hpp
/// The driver and NVRTC of a device made of host memory.
#pragma once

#include "on_host.hpp" // first: it makes code of what other files only keep as text

#include "fake_streams.hpp"
#include "operands.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fake {

/// Whether [at, at + bytes) is inside one allocation, of the device in use.
inline bool inside(cudnn::device_address at, std::size_t bytes) {
    const auto next = now.memory.upper_bound(at);
    if (next == now.memory.begin()) return false;
    const auto block = std::prev(next);
    return at + bytes <= block->first + block->second && now.owners.at(block->first) == in_use;
}
/// Whether all of it is in one piece of pinned memory: copies of other memory hold the host up, and a captured one reads it whenever its graph runs.
inline bool is_pinned(const void* at, std::size_t bytes) {
    const auto next = now.pinned.upper_bound(const_cast<void*>(at));
    if (next == now.pinned.begin()) return false;
    const auto block = std::prev(next);
    return static_cast<const char*>(at) + bytes <= static_cast<const char*>(block->first) + block->second;
}
/// Of memory that nobody wrote, or the room between two frames, nothing is said before someone reads it.
inline int copy(const char* name, void* to, const void* from, std::size_t bytes) {
    if constexpr (shadow::is_on)
        shadow::whole(name, {{"what is copied", reinterpret_cast<std::uintptr_t>(from), bytes, shadow::reads | shadow::may_be_unwritten},
                             {"where it is copied to", reinterpret_cast<std::uintptr_t>(to), bytes, shadow::writes}});
    std::memcpy(to, from, bytes);
    return 0;
}
cudnn::driver_api driver() {
    cudnn::driver_api d;
    d.init = [](unsigned) { return 0; };
    d.version = [](int* v) { return *v = 13000, 0; };
    d.device_count = [](int* n) { return *n = now.devices, 0; };
    d.device_get = [](int* device, int ordinal) { return *device = ordinal, 0; };
    d.device_name = [](char* name, int room, int) { return std::snprintf(name, static_cast<std::size_t>(room), "fake"), 0; };
    d.device_number = [](int* value, int attribute, int) {
        *value = attribute == cudnn::attribute_major ? now.major : attribute == cudnn::attribute_minor ? now.minor : now.multiprocessors;
        return 0;
    };
    d.retain_context = [](handle* c, int device) { return *c = &now.device_names[device], ++now.contexts, 0; };
    d.release_context = [](int device) { return in_use = in_use == device ? -1 : in_use, --now.contexts, 0; };
    d.use_context = [](handle c) {
        const driver_call here;
        return in_use = static_cast<int>(static_cast<char*>(c) - now.device_names), 0;
    };
    d.allocate = [](cudnn::device_address* at, std::size_t bytes) {
        const driver_call here;
        refuse_while_capturing("cuMemAlloc");
        check_context("cuMemAlloc");
        if (bytes == 0) complain("cuMemAlloc of nothing");
        ++now.calls_that_allocate;
        if (now.fail_allocation_after >= 0 && now.allocations >= now.fail_allocation_after) return now.failure;
        ++now.allocations;
        std::size_t used = bytes;
        for (const auto& [where, size] : now.memory) used += size;
        if (used > now.room) return static_cast<int>(cudnn::driver_out_of_memory);
        void* const p = shadow::is_on ? shadow::allocate(bytes) : std::aligned_alloc(256, (bytes + 255) / 256 * 256);
        std::memset(p, 0xff, bytes);            // NaN: what nobody wrote must not be read
        *at = reinterpret_cast<std::uintptr_t>(p);
        now.memory[*at] = bytes;
        now.owners[*at] = in_use;
        return 0;
    };
    d.release = [](cudnn::device_address at) {
        const driver_call here;
        refuse_while_capturing("cuMemFree");
        check_context("cuMemFree");
        if (now.memory.erase(at) == 0) complain("cuMemFree of what was not allocated");
        if (now.owners[at] != in_use) complain("cuMemFree of another device's memory");
        now.owners.erase(at);
        if constexpr (shadow::is_on) shadow::release(reinterpret_cast<void*>(at));
        else std::free(reinterpret_cast<void*>(at));
        return 0;
    };
    d.allocate_pinned = [](void** at, std::size_t bytes, unsigned flags) {
        const driver_call here;
        refuse_while_capturing("cuMemHostAlloc");
        check_context("cuMemHostAlloc");
        if (bytes == 0 || flags != 0) complain("cuMemHostAlloc of nothing, or with flags");
        ++now.calls_that_allocate;
        if (now.fail_pinned_after >= 0 && now.pinned_allocations >= now.fail_pinned_after) return static_cast<int>(cudnn::driver_out_of_memory);
        ++now.pinned_allocations;
        *at = std::malloc(bytes);
        now.pinned[*at] = bytes;
        if constexpr (shadow::is_on) shadow::pin(*at, bytes);
        return 0;
    };
    d.release_pinned = [](void* at) {
        const driver_call here;
        refuse_while_capturing("cuMemFreeHost");
        check_context("cuMemFreeHost");
        if (now.pinned.erase(at) == 0) complain("cuMemFreeHost of what was not allocated");
        if constexpr (shadow::is_on) shadow::unpin(at);
        std::free(at);
        return 0;
    };
    // An arena keeps its garbage: a device's memory is not cleared between frames either.
    d.fill = [](cudnn::device_address at, unsigned char, std::size_t bytes) {
        const driver_call here;
        refuse_while_capturing("cuMemsetD8");
        check_context("cuMemsetD8");
        if (!inside(at, bytes)) complain("cuMemsetD8 beyond an allocation");
        return default_is_behind = true, 0;
    };
    d.copy_in = [](cudnn::device_address to, const void* from, std::size_t bytes) {
        const driver_call here;
        refuse_while_capturing("cuMemcpyHtoD");
        check_context("cuMemcpyHtoD");
        if (!inside(to, bytes)) complain("cuMemcpyHtoD beyond an allocation");
        const auto work = in_order(nullptr, [=] { return copy("cuMemcpyHtoD", reinterpret_cast<void*>(to), from, bytes); });
        return default_is_behind = true, work();
    };
    d.copy_in_async = [](cudnn::device_address to, const void* from, std::size_t bytes, handle stream) {
        const driver_call here;
        check_stream("cuMemcpyHtoDAsync", stream);
        if (!inside(to, bytes)) complain("cuMemcpyHtoDAsync beyond an allocation");
        if (!is_pinned(from, bytes)) complain("cuMemcpyHtoDAsync from memory that is not pinned");
        return enqueue(stream, true, [=] { return copy("a copy to the device", reinterpret_cast<void*>(to), from, bytes); });
    };
    d.copy_out_async = [](void* to, cudnn::device_address from, std::size_t bytes, handle stream) {
        const driver_call here;
        check_stream("cuMemcpyDtoHAsync", stream);
        if (!now.capturing && now.fail_copy_after >= 0 && now.copies_out >= now.fail_copy_after) return now.failure;
        now.copies_out += !now.capturing;
        if (!inside(from, bytes)) complain("cuMemcpyDtoHAsync beyond an allocation");
        if (!is_pinned(to, bytes)) complain("cuMemcpyDtoHAsync to memory that is not pinned");
        return enqueue(stream, true, [=] { return copy("a copy from the device", to, reinterpret_cast<const void*>(from), bytes); });
    };
    d.copy_on_device_async = [](cudnn::device_address to, cudnn::device_address from, std::size_t bytes, handle stream) {
        const driver_call here;
        check_stream("cuMemcpyDtoDAsync", stream);
        if (!inside(to, bytes) || !inside(from, bytes)) complain("cuMemcpyDtoDAsync beyond an allocation");
        return enqueue(stream, true, [=] { return copy("a copy on the device", reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
    };
    add_streams(d);
    d.load_module = [](handle* m, const void* image) {
        check_context("cuModuleLoadData");
        if (std::memcmp(image, "machine code", 12) != 0) return 200;
        return *m = &now, ++now.modules, 0;
    };
    d.unload_module = [](handle) { return check_context("cuModuleUnload"), --now.modules, 0; };
    d.find_kernel = [](handle* f, handle, const char* name) {
        for (const cudnn::emulated_kernel& k : cudnn::emulated_kernels())
            if (k.name == name) return *f = const_cast<cudnn::emulated_kernel*>(&k), 0;
        return 500;
    };
    d.launch = [](handle f, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z, unsigned shared, handle stream, void** parameters, void** extra) {
        const driver_call here;
        check_stream("cuLaunchKernel", stream);
        const auto* const k = static_cast<const cudnn::emulated_kernel*>(f);
        // Registers are given to 256 threads, unless a kernel says that it takes more (SPLITDSL_WIDE_KERNEL).
        if (x == 0 || x > 0x7fffffff || y == 0 || y > 65535 || z != 1 || threads == 0 || threads > (k->name == "choose_candidates" ? 1024 : 256) || threads_y != 1 || threads_z != 1 || shared != 0 || extra)
            complain("a launch of " + k->name + " with a wrong grid");
        if (threads % 32 != 0 || (threads & (threads - 1)) != 0) complain("a launch of " + k->name + " with blocks that do not halve");
        if (!now.capturing && now.fail_launch_after >= 0 && now.launches >= now.fail_launch_after) return now.failure;
        ++now.started[k->name];
        std::vector<std::byte> job(k->job_bytes);
        std::memcpy(job.data(), parameters[0], job.size());
        return enqueue(stream, false, [k, x, y, threads, job] {
            ++now.launches;
            const auto takes = now.kernel_times.find(k->name);
            now.clock += takes == now.kernel_times.end() ? 1 : takes->second;
            cudnn::here.last_warp_first = now.last_warp_first, cudnn::here.copies_are_late = now.copies_are_late;
            run_launch(*k, job.data(), static_cast<int>(x), static_cast<int>(threads), static_cast<int>(y));
            return 0;
        });
    };
    d.error_name = [](int error, const char** text) { return *text = error == cudnn::driver_out_of_memory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_LAUNCH_FAILED", 0; };
    return d;
}

cudnn::compiler_api compiler() {
    cudnn::compiler_api c;
    c.version = [](int* major, int* minor) { return *major = 13, *minor = 0, 0; };
    c.create = [](handle* p, const char*, const char*, int, const char* const*, const char* const*) { return *p = &now, 0; };
    c.destroy = [](handle*) { return 0; };
    c.compile = [](handle, int, const char* const*) { return 0; };
    c.code_size = [](handle, std::size_t* n) { return *n = 12, 0; };
    c.code = [](handle, char* to) { return std::memcpy(to, "machine code", 12), 0; };
    c.log_size = [](handle, std::size_t* n) { return *n = 0, 0; };
    c.log = [](handle, char*) { return 0; };
    c.targets = [](int* n) { return *n = 1, 0; };
    c.target_list = [](int* to) { return *to = 10 * now.major + now.minor, 0; };
    return c;
}

} // namespace fake
