// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file device.hpp
/// One GPU with our kernels loaded, its memory, streams and captured graphs, as objects that clean up after themselves.
#pragma once

#include <kernels/cudnn/compile.hpp>
#include <kernels/cudnn/convolution.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::kernels::cudnn {

struct device_options {
    int ordinal{};                              ///< which GPU, as the driver numbers them
    std::vector<std::string> library_folders{}; ///< looked through first
    bool needs_cudnn{true};                     ///< false: without cuDNN our own convolutions run, which are slow
    std::string code_folder{default_code_folder()};     ///< where compiled kernels are kept; empty: nowhere
    /// Whether a network's convolutions are timed when it is laid out, each in the ways it may run (docs/gpu.md): else it runs as cuDNN's heuristics and our estimates say.
    bool chooses_by_time{true};
    double seconds_to_choose{20};               ///< of each network, one frame first, then numbers of frames together, the largest first: convolutions left then run as they would without times
};

/// A GPU. Throws `device_error` naming what was expected and what was found. Cost: seconds where the kernels were never compiled before.
///
/// ```cpp
/// kernels::cudnn::device gpu{{.ordinal = 0}};
/// std::puts(gpu.description().c_str());       // "NVIDIA H200, compute capability 9.0, 132 multiprocessors"
/// ```
class device {
public:
    explicit device(device_options o = {}) : device(load_libraries(library_folders(o), o.needs_cudnn), o) {}
    device(libraries with, const device_options& o) : api{std::move(with)}, seconds{o.chooses_by_time ? o.seconds_to_choose : 0} {
        int count = 0, version = 0;
        expect(api.driver.device_count(&count), "counting devices");
        if (o.ordinal < 0 || o.ordinal >= count)
            throw device_error(device_failure::no_device, "GPU " + std::to_string(o.ordinal) + " was expected; the driver sees " + std::to_string(count));
        expect(api.driver.version(&version), "asking for the driver's version");
        expect(api.driver.device_get(&number, o.ordinal), "opening the device");
        std::array<char, 256> text{};
        int major = 0, minor = 0;
        expect(api.driver.device_name(text.data(), static_cast<int>(text.size()) - 1, number), "asking for the device's name");
        expect(api.driver.device_number(&major, attribute_major, number), "asking for the compute capability");
        expect(api.driver.device_number(&minor, attribute_minor, number), "asking for the compute capability");
        expect(api.driver.device_number(&processors, attribute_multiprocessors, number), "asking for the number of multiprocessors");
        arch = 10 * major + minor;
        named = text.data();
        const std::vector<char> code = device_code(api.compiler, device_source(), arch, o.code_folder);
        expect(api.driver.retain_context(&context, number), "opening a context");
        try {
            use();
            expect(api.driver.load_module(&module, code.data()), "loading our kernels");
            for (int k = 0; k < kernels; ++k)
                for (int e = 0; e < elements; ++e) {
                    const std::string name = name_of(static_cast<kernel>(k), static_cast<element>(e));
                    expect(api.driver.find_kernel(&functions[static_cast<std::size_t>(elements * k + e)], module, name.c_str()), ("finding the kernel " + name).c_str());
                }
            if (const int status = api.network.create ? api.network.create(&dnn) : 0; status != 0) {
                dnn = nullptr;
                if (o.needs_cudnn)
                    throw device_error(device_failure::unsupported,
                                       "cuDNN does not start on " + named + (api.network.error_text ? std::string(" (") + api.network.error_text(status) + "); is it built for the driver's CUDA?" : ""));
            }
        } catch (...) {
            close();
            throw;
        }
    }
    ~device() { close(); }
    device(const device&) = delete;
    device& operator=(const device&) = delete;

    const driver_api& driver() const { return api.driver; }
    const network_api& network() const { return api.network; }
    handle network_handle() const { return dnn; }           ///< null without cuDNN
    handle function(kernel k, element e) const { return functions[static_cast<std::size_t>(elements * static_cast<int>(k) + static_cast<int>(e))]; }
    int multiprocessors() const { return processors; }
    int compute_capability() const { return arch; }
    std::string description() const {
        return named + ", compute capability " + std::to_string(arch / 10) + "." + std::to_string(arch % 10) + ", " + std::to_string(processors) + " multiprocessors";
    }
    /// cuDNN's plans of a convolution in its heuristics' order, no more than `most`; layers alike share them, because finding them takes milliseconds.
    std::vector<std::shared_ptr<const convolution_plan>> plans_for(const convolution_shape& s, int most = 1) const {
        const std::lock_guard lock{planning};
        auto seen = std::find_if(plans.begin(), plans.end(), [&](const planned& p) { return p.shape == s; });
        if (seen == plans.end() || seen->most < most) {
            expect(use(), "using the device");          // the thread's own may be another one, and cuDNN loads code for it
            auto found = convolution_plan::best_of(api.network, dnn, s, most);
            if (seen == plans.end()) seen = plans.insert(plans.end(), {s, 0, {}});
            std::copy_n(seen->found.begin(), std::min(seen->found.size(), found.size()), found.begin());        // those that someone has already
            seen->most = most, seen->found = std::move(found);
        }
        return {seen->found.begin(), seen->found.begin() + std::min<std::ptrdiff_t>(most, std::ssize(seen->found))};
    }
    /// How long a network's convolutions may be timed; 0: not at all.
    double seconds_to_choose() const { return seconds; }
    /// cuDNN's handle belongs to the caller while it holds this: it works on one stream, and for one thread at a time. Of set-up alone.
    std::unique_lock<std::mutex> lock_network() const { return std::unique_lock{planning}; }
    /// Makes the calling thread use this device; every thread has to, before anything else.
    int use() const { return api.driver.use_context(context); }
    /// Copies and fills without a stream return before they are done, and our streams do not wait for them.
    void settle() const { expect(api.driver.wait(nullptr), "waiting for memory"); }

    /// Throws the named error unless `status` is success.
    void expect(int status, const char* doing) const {
        if (status == driver_ok) return;
        const char* text = nullptr;
        if (api.driver.error_name) api.driver.error_name(status, &text);
        throw device_error(failure_of(status), std::string("GPU: ") + doing + " failed with " + (text ? text : "error " + std::to_string(status)));
    }
    static device_failure failure_of(int status) {
        // What an engine of cuDNN did that no graph can hold does the device no harm.
        if (status >= driver_first_of_captures && status <= driver_last_of_captures) return device_failure::unsupported;
        return status == driver_out_of_memory ? device_failure::out_of_memory : status == driver_no_device ? device_failure::no_device : device_failure::lost;
    }

private:
    static std::vector<std::string> library_folders(const device_options& o) { return o.library_folders; }
    void close() {
        if (!context) return;
        use();
        plans.clear();
        if (dnn) api.network.destroy(dnn);
        if (module) api.driver.unload_module(module);
        api.driver.release_context(number);
        dnn = module = context = nullptr;
    }

    libraries api;
    int number{}, processors{}, arch{};
    std::string named;
    handle context{}, module{}, dnn{};
    std::array<handle, static_cast<std::size_t>(elements * kernels)> functions{};
    mutable std::mutex planning;
    struct planned {
        convolution_shape shape;
        int most;                           ///< as many were asked for
        std::vector<std::shared_ptr<const convolution_plan>> found;
    };
    mutable std::vector<planned> plans;
    double seconds{};
};

/// Zeroed memory of the device.
class device_memory {
public:
    device_memory() = default;
    device_memory(const device& on, std::size_t size) : gpu{&on}, count{size} {
        if (size == 0) return;
        gpu->expect(gpu->use(), "using the device");
        gpu->expect(gpu->driver().allocate(&where, size), ("allocating " + std::to_string(size) + " bytes").c_str());
        try {
            gpu->expect(gpu->driver().fill(where, 0, size), "clearing memory");
            gpu->settle();
        } catch (...) {
            gpu->driver().release(where);
            throw;
        }
    }
    device_memory(device_memory&& other) noexcept : gpu{other.gpu}, where{std::exchange(other.where, 0)}, count{other.count} {}
    device_memory& operator=(device_memory&& other) noexcept {
        std::swap(gpu, other.gpu), std::swap(where, other.where), std::swap(count, other.count);
        return *this;
    }
    ~device_memory() {
        if (where == 0) return;
        gpu->use();
        gpu->driver().release(where);
    }
    device_address at() const { return where; }
    std::size_t size() const { return count; }
    void fill_from(const void* host, std::size_t bytes) const {
        gpu->expect(gpu->driver().copy_in(where, host, bytes), "copying to the device");
        gpu->settle();
    }

private:
    const device* gpu{};
    device_address where{};
    std::size_t count{};
};

/// Memory of the host that the device reads and writes by itself.
class pinned_memory {
public:
    pinned_memory() = default;
    pinned_memory(const device& on, std::size_t size) : gpu{&on} {
        if (size == 0) return;
        gpu->expect(gpu->use(), "using the device");
        gpu->expect(gpu->driver().allocate_pinned(&where, size, 0), ("allocating " + std::to_string(size) + " pinned bytes").c_str());
        std::memset(where, 0, size);
    }
    pinned_memory(pinned_memory&& other) noexcept : gpu{other.gpu}, where{std::exchange(other.where, nullptr)} {}
    pinned_memory& operator=(pinned_memory&& other) noexcept {
        std::swap(gpu, other.gpu), std::swap(where, other.where);
        return *this;
    }
    ~pinned_memory() {
        if (!where) return;
        gpu->use();
        gpu->driver().release_pinned(where);
    }
    std::byte* data() const { return static_cast<std::byte*>(where); }

private:
    const device* gpu{};
    void* where{};
};

/// A queue of work, and what it starts as one: graphs captured from it.
class device_stream {
public:
    explicit device_stream(const device& on) : gpu{&on} {
        gpu->expect(gpu->use(), "using the device");
        gpu->expect(gpu->driver().create_stream(&is, stream_non_blocking), "creating a stream");
    }
    device_stream(const device_stream&) = delete;
    device_stream& operator=(const device_stream&) = delete;
    ~device_stream() {
        gpu->use();
        gpu->driver().destroy_stream(is);
    }
    handle get() const { return is; }

private:
    const device* gpu;
    handle is{};
};

/// A place in a stream that others wait for, or whose time is taken.
class device_event {
public:
    explicit device_event(const device& on, unsigned flags = event_without_time) : gpu{&on} {
        gpu->expect(gpu->use(), "using the device");
        gpu->expect(gpu->driver().create_event(&is, flags), "creating an event");
    }
    device_event(device_event&& other) noexcept : gpu{other.gpu}, is{std::exchange(other.is, nullptr)} {}
    device_event& operator=(device_event&&) = delete;
    ~device_event() {
        if (!is) return;
        gpu->use();
        gpu->driver().destroy_event(is);
    }
    handle get() const { return is; }

private:
    const device* gpu;
    handle is{};
};

class device_graph {
public:
    device_graph() = default;
    /// Captures what `issue` starts on the stream. Empty if it starts nothing.
    template <class Issue>
    device_graph(const device& on, const device_stream& stream, Issue issue) : gpu{&on} {
        gpu->expect(gpu->driver().begin_capture(stream.get(), capture_relaxed), "beginning a capture");
        handle captured = nullptr;
        bool any = false;
        try {
            any = issue();
        } catch (...) {
            gpu->driver().end_capture(stream.get(), &captured);
            if (captured) gpu->driver().destroy_graph(captured);
            throw;
        }
        gpu->expect(gpu->driver().end_capture(stream.get(), &captured), "ending a capture");
        const int status = any ? gpu->driver().instantiate(&is, captured, 0) : driver_ok;
        gpu->driver().destroy_graph(captured);
        gpu->expect(status, "instantiating a graph");
    }
    device_graph(device_graph&& other) noexcept : gpu{other.gpu}, is{std::exchange(other.is, nullptr)} {}
    device_graph& operator=(device_graph&& other) noexcept {
        std::swap(gpu, other.gpu), std::swap(is, other.is);
        return *this;
    }
    ~device_graph() {
        if (!is) return;
        gpu->use();
        gpu->driver().destroy_executable(is);
    }
    explicit operator bool() const noexcept { return is != nullptr; }
    /// The driver's status. Allocates nothing.
    int launch(const device_stream& stream) const noexcept { return is ? gpu->driver().launch_graph(is, stream.get()) : driver_ok; }

private:
    const device* gpu{};
    handle is{};
};

} // namespace splitdsl::kernels::cudnn
