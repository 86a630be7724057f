// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_pipeline.hpp
/// A network's pipeline on a GPU: it stands wherever a CPU's pipeline stands, and falls back to that one when the device fails.
#pragma once

#include <splitdsl/gpu/session.hpp>
#include <splitdsl/runtime/dispatch.hpp>

#include <array>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

namespace splitdsl::gpu {

struct gpu_options {
    gpu::precision precision{precision::tf32};
};

/// What became of a pipeline's runs.
struct gpu_counters {
    std::uint64_t on_gpu{}, on_cpu{};       ///< calls of `run`
    bool lost{};                            ///< the device failed: everything runs on the CPU from then on
    std::string reason{};                   ///< the first failure, one sentence
};

/// The part without the network's type. See `gpu_pipeline`.
class gpu_engine {
public:
    gpu_engine(const cudnn::device& on, program of, const pipeline& host, const gpu_options& o)
        : gpu{on}, p{std::move(of)}, cpu{host}, net{on, p, o.precision}, table{host} {
        std::snprintf(name.data(), name.size(), "gpu %s", name_of(o.precision));
        table.instruction_set = name.data();
        table.self = this;
        table.batch_limit = 1;
        table.functions = {
            .pack = [](const void* self, const float* const* parameters, std::byte* packed) { of_self(self).pack(parameters, packed); },
            .run = [](const void* self, const frame_memory& m, int first, int last, const std::atomic<bool>* stop) { return of_self(self).run(m, first, last, stop); },
            .bad_input = [](const void* self, const frame_memory& m) { return of_self(self).cpu.bad_input(m); },
            .store_payload = [](const void* self, const frame_memory& m, int cut, std::byte* payload) { return of_self(self).store_payload(m, cut, payload); },
            .load_payload = [](const void* self, const frame_memory& m, int cut, std::span<const std::byte> payload) { return of_self(self).load_payload(m, cut, payload); },
            .forget = [](const void* self, const std::byte* arena) { of_self(self).forget(arena); }};
    }
    ~gpu_engine() {
        for (const entry* e = newest.load(std::memory_order_relaxed); e;) delete std::exchange(e, e->older);
    }
    gpu_engine(const gpu_engine&) = delete;
    gpu_engine& operator=(const gpu_engine&) = delete;

    const pipeline& net_here() const { return table; }
    const layers& laid_out() const { return net; }
    gpu_counters counters() const {
        const std::lock_guard lock{guard};
        return {ran_here.load(std::memory_order_relaxed), ran_on_cpu.load(std::memory_order_relaxed), lost.load(std::memory_order_relaxed), reason};
    }
    /// Gives back what the device holds for frames that ran in `arena`. Not while one runs.
    void forget(const std::byte* arena) const {
        const std::lock_guard lock{guard};
        if (entry* const e = entry_of(arena)) {
            e->arena.store(nullptr, std::memory_order_release);
            e->runs.reset();
        }
    }

private:
    struct entry {
        std::atomic<const std::byte*> arena{};
        const std::byte* packed{};
        std::unique_ptr<session> runs;          ///< null: could not be opened, the CPU runs
        entry* older{};
    };
    struct stored_parameters {
        const std::byte* packed{};
        cudnn::device_memory bytes;
    };

    void pack(const float* const* parameters, std::byte* packed) const {
        cpu.pack(parameters, packed);
        const std::vector<std::byte> bytes = net.lay_out(parameters);
        const std::lock_guard lock{guard};
        if (lost.load(std::memory_order_relaxed)) return;
        for (stored_parameters& s : stored)
            if (s.packed == packed) return s.bytes.fill_from(bytes.data(), bytes.size());
        stored.push_back({packed, cudnn::device_memory{gpu, bytes.size()}});
        if (!bytes.empty()) stored.back().bytes.fill_from(bytes.data(), bytes.size());
    }

    static const gpu_engine& of_self(const void* self) { return *static_cast<const gpu_engine*>(self); }

    /// Frames look without a lock while others are added: an entry stays until the engine goes, one without an arena is used again.
    entry* entry_of(const std::byte* arena) const noexcept {
        for (entry* e = newest.load(std::memory_order_acquire); e; e = e->older)
            if (e->arena.load(std::memory_order_acquire) == arena) return e;
        return nullptr;
    }
    /// The session of an arena; opened by its first run, which warms up. Later calls only look.
    session* find(const frame_memory& m) const noexcept {
        if (const entry* const e = entry_of(m.arena); e && e->packed == m.packed_weights) return e->runs.get();
        return open(m);
    }
    session* open(const frame_memory& m) const noexcept {
        const std::lock_guard lock{guard};
        entry* used = entry_of(m.arena);
        if (!used) used = entry_of(nullptr);
        if (!used) {
            used = new (std::nothrow) entry;
            if (!used) return nullptr;
            used->older = newest.load(std::memory_order_relaxed);
            newest.store(used, std::memory_order_release);
        }
        entry& e = *used;
        e.arena.store(nullptr, std::memory_order_relaxed);
        e.runs.reset();
        e.packed = m.packed_weights;
        try {
            const stored_parameters* with = nullptr;
            for (const stored_parameters& s : stored)
                if (s.packed == m.packed_weights) with = &s;
            if (!with) throw device_error(device_failure::unsupported, "GPU: weights packed by this pipeline were expected");
            e.runs = std::make_unique<session>(gpu, net, with->bytes.at());
        } catch (const std::exception& failure) {
            note(failure.what());
        }
        e.arena.store(m.arena, std::memory_order_release);
        return e.runs.get();
    }
    void note(const std::string& text) const {
        if (reason.empty()) reason = text;
    }

    bool run(const frame_memory& m, int first, int last, const std::atomic<bool>* stop) const noexcept {
        session* const s = lost.load(std::memory_order_acquire) ? nullptr : find(m);
        if (!s) {
            ran_on_cpu.fetch_add(1, std::memory_order_relaxed);
            if (!lost.load(std::memory_order_relaxed)) return cpu.run(m, first, last, stop);
            return run_on_cpu(m, first, last, stop);
        }
        int status = cudnn::driver_ok;
        const bool finished = s->run(m, cpu, first, last, stop, status);
        if (status == cudnn::driver_ok) {
            ran_here.fetch_add(1, std::memory_order_relaxed);
            return finished;
        }
        lost.store(true, std::memory_order_release);
        {
            const std::lock_guard lock{guard};
            const char* text = nullptr;
            if (gpu.driver().error_name) gpu.driver().error_name(status, &text);
            note(std::string("GPU: a frame failed with ") + (text ? text : "error " + std::to_string(status)));
        }
        ran_on_cpu.fetch_add(1, std::memory_order_relaxed);
        return run_on_cpu(m, first, last, stop);
    }
    /// What the device held of this frame is gone: the CPU begins where the last payload stands, or at the frame's begin.
    bool run_on_cpu(const frame_memory& m, int first, int last, const std::atomic<bool>* stop) const noexcept {
        const entry* const e = entry_of(m.arena);
        const session* const s = e ? e->runs.get() : nullptr;
        if (!s || !s->holds_frame() || (cpu.stream_exit_count > 0 && first >= cpu.stages)) return cpu.run(m, first, last, stop);
        int begin = first;
        while (begin > 0 && s->cut_behind(begin - 1) < 0) --begin;
        if (begin > 0) s->restore(m, cpu, s->cut_behind(begin - 1));
        s->leave_frame();
        return cpu.run(m, begin, last, stop);
    }
    std::size_t store_payload(const frame_memory& m, int cut, std::byte* payload) const noexcept {
        if (!lost.load(std::memory_order_acquire))
            if (const session* const s = find(m)) return s->store_payload(cut, payload);
        return cpu.store_payload(m, cut, payload);
    }
    bool load_payload(const frame_memory& m, int cut, std::span<const std::byte> payload) const noexcept {
        if (!cpu.load_payload(m, cut, payload)) return false;
        if (!lost.load(std::memory_order_acquire))
            if (session* const s = find(m)) s->load_payload(cut, payload.data());
        return true;
    }

    const cudnn::device& gpu;
    program p;
    const pipeline& cpu;
    layers net;
    pipeline table;
    std::array<char, 16> name{};
    mutable std::atomic<entry*> newest{};               ///< one an arena: of edges, and of clouds' benches
    mutable std::vector<stored_parameters> stored;
    mutable std::mutex guard;                   ///< of set-up; the frame path takes it only when the device is lost
    mutable std::string reason;
    mutable std::atomic<std::uint64_t> ran_here{}, ran_on_cpu{};
    mutable std::atomic<bool> lost{};
};

/// A network on a GPU. `net()` goes wherever a pipeline goes; edge, cloud, codecs and policies do not change.
///
/// Payloads have the same bytes for the same tensor as the CPU's, so either side of a link may run on either. The first run of an arena
/// allocates on the device and captures its graphs (what edges and clouds do before their first frame); after it nothing is allocated.
/// If the device fails, that call and all later ones run on the CPU's pipeline: `counters()` says so, and why.
/// Throws `device_error`. It must outlive all that use `net()`.
///
/// ```cpp
/// const kernels::cudnn::device gpu;
/// const gpu::gpu_pipeline<lane_keeper> on_gpu{gpu, {.precision = gpu::precision::f16}};
/// const auto weights = load_weights<lane_keeper>("lane_keeper.safetensors", on_gpu.net());
/// cloud<lane_keeper> cloud{weights, {}, std::make_unique<link::tcp_listener>(7447, "0.0.0.0")};
/// ```
template <class Network>
class gpu_pipeline {
public:
    explicit gpu_pipeline(const cudnn::device& on, const gpu_options& o = {}, const pipeline& fallback = pipeline_of<Network>()) : engine{on, program_of<Network>(), fallback, o} {}
    const pipeline& net() const { return engine.net_here(); }
    gpu_counters counters() const { return engine.counters(); }
    const layers& laid_out() const { return engine.laid_out(); }

private:
    gpu_engine engine;
};

} // namespace splitdsl::gpu
