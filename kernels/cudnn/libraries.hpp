// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file libraries.hpp
/// Finds NVIDIA's libraries at run time: a program that can use a GPU starts on machines that have none.
#pragma once

#include <kernels/cudnn/api.hpp>
#include <splitdsl/error.hpp>

#include <dlfcn.h>

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl::kernels::cudnn {

inline constexpr int least_driver = 12000;      ///< the CUDA version a driver serves: 12.0
inline constexpr int least_compiler = 12;       ///< NVRTC's major version
inline constexpr std::size_t least_network_library = 90000;     ///< cuDNN 9.0

/// The functions of all three libraries. Tests hand in others.
struct libraries {
    driver_api driver{};
    compiler_api compiler{};
    network_api network{};
    std::string network_missing{};      ///< why `network` is empty: convolutions then run in our own kernels
};

namespace detail {

struct symbol {
    const char* name;
    void* to;                           ///< address of the pointer in its table
};

inline std::vector<std::string> split_folders(const char* list) {
    std::vector<std::string> folders;
    for (std::string_view rest = list ? list : ""; !rest.empty();) {
        const std::size_t end = rest.find(':');
        if (end != 0) folders.emplace_back(rest.substr(0, end));
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return folders;
}

/// Loads the first of `names` that is found, each from `folders` first, and fills the table; returns the folder that it was found in, or nothing where the system knew it. Never unloaded: its
/// threads may outlive us.
inline std::string load(const char* what, const std::vector<std::string>& folders, std::initializer_list<const char*> names, std::initializer_list<symbol> symbols) {
    void* library = nullptr;
    std::string tried, last, found_in;
    bool only_absent = true;
    const auto open = [&](const std::string& path, const std::string& folder) {
        if (library) return;
        library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library) return void(found_in = folder);
        // A file that is there and does not load says more than the places where there is none.
        const char* const said = dlerror();
        const std::string reason = said ? said : "it says no reason";
        const bool is_absent = reason.starts_with(path + ": cannot open shared object file");
        if (last.empty() || (!is_absent && only_absent)) last = reason, only_absent = is_absent;
    };
    for (const char* name : names) {
        for (const std::string& folder : folders) open(folder + "/" + name, folder);
        open(name, "");
        tried += std::string(tried.empty() ? "" : " or ") + name;
    }
    if (!library) throw device_error(device_failure::missing, std::string(what) + " was expected as " + tried + " and not found (" + last + ")");
    for (const symbol& s : symbols) {
        void* const found = dlsym(library, s.name);
        if (!found) throw device_error(device_failure::too_old, std::string(what) + ": the function " + s.name + " was expected and not found; it is too old or too new");
        *static_cast<void**>(s.to) = found;
    }
    return found_in;
}
/// What a library from `folder` will ask the system for by its name alone: loaded from there before, it is the one that is found. Nothing to do where the system knew the library, and no error
/// where one of these is missing: not every version has it.
inline void load_beside(const std::string& folder, std::initializer_list<std::string> names) {
    if (folder.empty()) return;
    for (const std::string& name : names) (void)dlopen((folder + "/" + name).c_str(), RTLD_LAZY | RTLD_LOCAL);
}
template <class Function>
symbol entry(const char* name, Function*& to) {
    static_assert(sizeof to == sizeof(void*));
    return {name, static_cast<void*>(&to)};
}

inline std::string version_text(int major_minor) { return std::to_string(major_minor / 1000) + "." + std::to_string(major_minor % 1000 / 10); }

} // namespace detail

/// Where libraries are looked for before the system's own places: the option, then SPLITDSL_CUDA_FOLDERS (separated by colons), then
/// the toolkit's usual folders and the one that container runtimes put the driver in.
inline std::vector<std::string> library_folders(std::vector<std::string> chosen) {
    for (std::string& folder : detail::split_folders(std::getenv("SPLITDSL_CUDA_FOLDERS"))) chosen.push_back(std::move(folder));
    for (const char* folder : {"/usr/local/cuda/lib64", "/usr/local/cuda/lib", "/usr/local/nvidia/lib64"}) chosen.emplace_back(folder);
    return chosen;
}

inline driver_api load_driver(const std::vector<std::string>& folders = {}) {
    driver_api d;
    using detail::entry;
    detail::load("NVIDIA's driver", folders, {"libcuda.so.1"},
                 {entry("cuInit", d.init), entry("cuDriverGetVersion", d.version), entry("cuDeviceGetCount", d.device_count), entry("cuDeviceGet", d.device_get),
                  entry("cuDeviceGetName", d.device_name), entry("cuDeviceGetAttribute", d.device_number), entry("cuDevicePrimaryCtxRetain", d.retain_context),
                  entry("cuDevicePrimaryCtxRelease_v2", d.release_context), entry("cuCtxSetCurrent", d.use_context), entry("cuMemAlloc_v2", d.allocate), entry("cuMemFree_v2", d.release),
                  entry("cuMemHostAlloc", d.allocate_pinned), entry("cuMemFreeHost", d.release_pinned), entry("cuMemsetD8_v2", d.fill), entry("cuMemcpyHtoD_v2", d.copy_in),
                  entry("cuMemcpyHtoDAsync_v2", d.copy_in_async), entry("cuMemcpyDtoHAsync_v2", d.copy_out_async), entry("cuMemcpyDtoDAsync_v2", d.copy_on_device_async), entry("cuStreamCreate", d.create_stream),
                  entry("cuStreamDestroy_v2", d.destroy_stream), entry("cuStreamSynchronize", d.wait), entry("cuStreamBeginCapture_v2", d.begin_capture),
                  entry("cuEventCreate", d.create_event), entry("cuEventDestroy_v2", d.destroy_event), entry("cuEventRecord", d.record_event), entry("cuStreamWaitEvent", d.wait_for_event), entry("cuEventElapsedTime", d.time_between),
                  entry("cuStreamEndCapture", d.end_capture), entry("cuGraphInstantiateWithFlags", d.instantiate), entry("cuGraphLaunch", d.launch_graph),
                  entry("cuGraphDestroy", d.destroy_graph), entry("cuGraphExecDestroy", d.destroy_executable), entry("cuModuleLoadData", d.load_module),
                  entry("cuModuleUnload", d.unload_module), entry("cuModuleGetFunction", d.find_kernel), entry("cuLaunchKernel", d.launch), entry("cuGetErrorName", d.error_name)});
    return d;
}
/// `driver`: the CUDA version that it serves. Machine code from a newer major version than that is not promised to load.
inline compiler_api load_compiler(const std::vector<std::string>& folders = {}, int driver = 13000) {
    compiler_api c;
    using detail::entry;
    const bool is_older = driver < 13000;
    const std::string folder = detail::load("NVRTC", folders, {is_older ? "libnvrtc.so.12" : "libnvrtc.so.13", is_older ? "libnvrtc.so.13" : "libnvrtc.so.12", "libnvrtc.so"},
                 {entry("nvrtcVersion", c.version), entry("nvrtcCreateProgram", c.create), entry("nvrtcDestroyProgram", c.destroy), entry("nvrtcCompileProgram", c.compile),
                  entry("nvrtcGetCUBINSize", c.code_size), entry("nvrtcGetCUBIN", c.code), entry("nvrtcGetProgramLogSize", c.log_size), entry("nvrtcGetProgramLog", c.log),
                  entry("nvrtcGetNumSupportedArchs", c.targets), entry("nvrtcGetSupportedArchs", c.target_list), entry("nvrtcGetPTXSize", c.portable_size), entry("nvrtcGetPTX", c.portable)});
    int major = 0, minor = 0;
    if (c.version(&major, &minor) != 0 || major < least_compiler)
        throw device_error(device_failure::too_old, "NVRTC " + std::to_string(least_compiler) + " or newer was expected, found " + std::to_string(major) + "." + std::to_string(minor));
    // It has no search path of its own (NVRTC 13.0), so from a folder that the system does not know, as a Python wheel's, it would find none or another version's.
    detail::load_beside(folder, {"libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor)});
    return c;
}
inline network_api load_network_library(const std::vector<std::string>& folders = {}) {
    network_api n;
    using detail::entry;
    const std::string folder = detail::load("cuDNN 9", folders, {"libcudnn.so.9"},
                 {entry("cudnnGetVersion", n.version), entry("cudnnCreate", n.create), entry("cudnnDestroy", n.destroy), entry("cudnnSetStream", n.use_stream),
                  entry("cudnnBackendCreateDescriptor", n.create_descriptor), entry("cudnnBackendDestroyDescriptor", n.destroy_descriptor), entry("cudnnBackendFinalize", n.finalise),
                  entry("cudnnBackendSetAttribute", n.set), entry("cudnnBackendGetAttribute", n.get), entry("cudnnBackendExecute", n.execute), entry("cudnnGetErrorString", n.error_text)});
    if (const std::size_t found = n.version(); found < least_network_library)
        throw device_error(device_failure::too_old, "cuDNN 9.0 or newer was expected, found version " + std::to_string(found));
    // Its parts look through LD_LIBRARY_PATH before their own folder, and two versions together refuse to work (CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH).
    detail::load_beside(folder, {"libcudnn_graph.so.9", "libcudnn_engines_precompiled.so.9", "libcudnn_engines_runtime_compiled.so.9", "libcudnn_engines_tensor_ir.so.9", "libcudnn_heuristic.so.9",
                                 "libcudnn_ops.so.9", "libcudnn_cnn.so.9", "libcudnn_ext.so.9"});
    return n;
}

/// All of them. Without cuDNN our own kernels do what it would: correct, and slow in convolutions (`libraries::network_missing` says why).
/// Throws `device_error` where the driver or NVRTC is missing or too old, with what was expected and what was found.
inline libraries load_libraries(std::vector<std::string> folders = {}, bool needs_network_library = true) {
    folders = library_folders(std::move(folders));
    libraries all;
    all.driver = load_driver(folders);
    if (const int status = all.driver.init(0); status != driver_ok)
        throw device_error(status == driver_no_device ? device_failure::no_device : device_failure::missing,
                           status == driver_no_device ? "a GPU was expected; NVIDIA's driver says that there is none" : "NVIDIA's driver does not start (error " + std::to_string(status) + ")");
    int version = 0;
    if (all.driver.version(&version) != driver_ok || version < least_driver)
        throw device_error(device_failure::too_old, "a driver for CUDA " + detail::version_text(least_driver) + " or newer was expected, found one for " + detail::version_text(version));
    all.compiler = load_compiler(folders, version);
    try {
        all.network = load_network_library(folders);
    } catch (const device_error& e) {
        if (needs_network_library) throw;
        all.network_missing = e.what();
    }
    return all;
}

} // namespace splitdsl::kernels::cudnn
