// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_pipeline.hpp
/// A network's pipeline on a GPU: it stands wherever a CPU's pipeline stands, and falls back to that one when the device fails.
#pragma once

#include <splitdsl/gpu/choice_by_time.hpp>
#include <splitdsl/gpu/session.hpp>
#include <splitdsl/runtime/dispatch.hpp>

#include <array>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace splitdsl::gpu {

struct gpu_options {
    gpu::precision precision{precision::tf32};
    /// How the device pools the maps that dynamic_pool streams leave, as the streams' own `pool_options::form`: give `pooler()` to
    /// `edge_stream_options`. Not set: the processor pools them.
    std::optional<pool_form> streams{};
    int batch{1};                           ///< most frames that `pipeline::run_batch` runs together, 1 to 64; each costs an arena on the device
    /// A frame's outputs stay on the device where its run ends the network, and `frame_memory::outputs` is not written until `gpu_engine::fetch_outputs`: for a program
    /// that goes on there (`candidate_finding`, `region_sampling`). An edge or a cloud reads outputs and must have them. Frames of batches always have theirs.
    /// Inputs may be written there as well (`gpu_engine::input_at`), so they are copied in front of a stage, not beside its kernels.
    bool outputs_stay{};
};

/// What became of a pipeline's runs.
struct gpu_counters {
    std::uint64_t on_gpu{}, on_cpu{};       ///< calls of `run`, and frames of batches
    std::uint64_t batches{};                ///< calls of `run_batch` that the device answered
    bool lost{};                            ///< the device failed: everything runs on the CPU from then on
    std::string reason{};                   ///< the first failure, one sentence
    device_failure why{};                   ///< of that failure, if there was one
};

/// The part without the network's type. See `gpu_pipeline`.
class gpu_engine final : public stream_pooler {
public:
    gpu_engine(const cudnn::device& on, program of, const pipeline& host, const gpu_options& o) : gpu{on}, p{std::move(of)}, cpu{host}, pools{o.streams}, outputs_stay{o.outputs_stay}, table{host} {
        if (o.batch < 1 || o.batch > most_frames) throw option_error("gpu_options::batch: 1 to " + std::to_string(most_frames) + " was expected, found " + std::to_string(o.batch));
        const int most = may_batch(p) ? o.batch : 1;
        for (int n = 1; n <= most; n = n < most ? std::min(2 * n, most) : most + 1) sizes.push_back(std::make_unique<layers>(gpu, p, o.precision, n));
        std::snprintf(name.data(), name.size(), "gpu %s", name_of(o.precision));
        table.instruction_set = name.data();
        table.self = this;
        table.batch_limit = most;
        table.functions = {
            .pack = [](const void* self, const float* const* parameters, std::byte* packed) { of_self(self).pack(parameters, packed); },
            .run = [](const void* self, const frame_memory& m, int first, int last, const std::atomic<bool>* stop) { return of_self(self).run({&m, 1}, first, last, stop); },
            .bad_input = [](const void* self, const frame_memory& m) { return of_self(self).cpu.bad_input(m); },
            .store_payload = [](const void* self, const frame_memory& m, int cut, std::byte* payload) { return of_self(self).store_payload(m, cut, payload); },
            .load_payload = [](const void* self, const frame_memory& m, int cut, std::span<const std::byte> payload) { return of_self(self).load_payload(m, cut, payload); },
            .run_batch = [](const void* self, const frame_memory* frames, int count, int first, int last, const std::atomic<bool>* stop) {
                return of_self(self).run({frames, static_cast<std::size_t>(count)}, first, last, stop);
            },
            .forget = [](const void* self, const std::byte* arena) { of_self(self).forget(arena); },
            .packed_bytes = [](const void* self, const float* const* parameters) { return of_self(self).cpu.packed_bytes_for(parameters); }};
        if (most == 1) table.functions.run_batch = nullptr;
        for (std::size_t i = 0; i < p.steps.size() && !is_left_to_cpu; ++i)
            if (!is_on_device(p, p.steps[i])) is_left_to_cpu = true;
        if (is_left_to_cpu) note({device_failure::unsupported, std::string("GPU: ") + table.network + " has steps on bytes for which the device has no kernel (docs/int8.md, docs/gpu.md); the CPU runs it"});
        double seconds = gpu.seconds_to_choose();
        for (std::size_t i = 0; i < sizes.size() && !is_left_to_cpu; ++i) choose(i == 0 ? *sizes.front() : *sizes[sizes.size() - i], seconds);     // of several frames the most first: there is most to gain
    }
    ~gpu_engine() {
        for (const entry* e = newest.load(std::memory_order_relaxed); e;) delete std::exchange(e, e->older);
    }
    gpu_engine(const gpu_engine&) = delete;
    gpu_engine& operator=(const gpu_engine&) = delete;

    const pipeline& net_here() const { return table; }
    const layers& laid_out() const { return *sizes.front(); }
    /// Of one frame's convolutions, and all sizes of batches.
    const choice_counts& chosen() const { return choices; }
    gpu_counters counters() const {
        const std::lock_guard lock{guard};
        return {ran_here.load(std::memory_order_relaxed), ran_on_cpu.load(std::memory_order_relaxed), batches.load(std::memory_order_relaxed), lost.load(std::memory_order_relaxed), reason, why};
    }
    /// Gives back what the device holds for frames that ran in `arena`. Not while one runs.
    void forget(const std::byte* arena) const {
        const std::lock_guard lock{guard};
        if (entry* const e = entry_of(arena)) {
            e->arena.store(nullptr, std::memory_order_release);
            e->clear();
        }
    }
    pooled_map pooled(int stream, const std::byte* arena) const noexcept override {
        const session* const s = session_of(arena);
        return s && s->holds_frame() ? s->pooled(stream) : pooled_map{};
    }
    static constexpr int most_frames = 64;      ///< of a batch

    const cudnn::device& device() const { return gpu; }
    /// Where on the device `count` of the outputs stand that the last run in `arena` handed out at `values`; 0: they were not made there.
    cudnn::device_address left_at(const std::byte* arena, const float* values, std::size_t count) const noexcept {
        const session* const s = lost.load(std::memory_order_acquire) ? nullptr : session_of(arena);
        return s && s->holds_frame() ? s->left_at(values, count) : 0;
    }
    /// The stream that frames in `arena` run on, once one did.
    cudnn::handle stream_of(const std::byte* arena) const noexcept {
        const session* const s = session_of(arena);
        return s ? s->stream_here() : nullptr;
    }
    /// With `gpu_options::outputs_stay`, after the first frame in `arena`: where an input of `bytes` of the next one is read on the device, so that it can be written there; 0: it comes
    /// from the host.
    cudnn::device_address input_at(const std::byte* arena, std::size_t input, std::size_t bytes) const noexcept {
        const session* const s = lost.load(std::memory_order_acquire) ? nullptr : session_of(arena);
        return s ? s->input_at(input, bytes) : 0;
    }
    /// It was: the next frame in `arena` whose input is `host` reads it there. `by` outlives that frame, and brings it to `host` where the processor runs it.
    void place_input(const std::byte* arena, std::size_t input, const void* host, input_source& by) const noexcept { session_of(arena)->place_input(input, host, by); }
    /// It comes from the host after all.
    void withdraw_input(const std::byte* arena, std::size_t input) const noexcept {
        if (const session* const s = session_of(arena)) s->withdraw_input(input);
    }
    /// Outputs that stayed on the device go to where the last frame in `arena` wanted them: from there, or, where the device failed, from the processor, which runs that frame
    /// again on its inputs as they came. Nothing to do where none stayed. Not while a frame runs there.
    void fetch_outputs(const std::byte* arena) const noexcept {
        session* const s = session_of(arena);
        const session::debt owed = s ? s->owes() : session::debt{};
        if (owed.last == 0) return;
        if (!lost.load(std::memory_order_acquire)) {
            const int status = s->fetch_outputs(cpu);
            if (status == cudnn::driver_ok) return;
            fail(status, "fetching outputs");
        }
        ran_on_cpu.fetch_add(1, std::memory_order_relaxed);
        (void)run_on_cpu(owed.frame, owed.first, owed.last, nullptr);
    }
    /// The device failed: everything runs on the CPU from now on.
    void fail(int status, const char* doing) const noexcept {
        const std::lock_guard lock{guard};
        const char* text = nullptr;
        if (gpu.driver().error_name) gpu.driver().error_name(status, &text);
        lost.store(true, std::memory_order_release);
        note({cudnn::device::failure_of(status), std::string("GPU: ") + doing + " failed with " + (text ? text : "error " + std::to_string(status))});
    }

private:
    /// Sessions of one arena, for one frame and for each size of batch: those of batches share their memory.
    struct entry {
        struct opened {
            bool tried{};
            std::unique_ptr<session> runs;      ///< null: not yet tried, or could not be opened: the CPU runs
        };
        std::atomic<const std::byte*> arena{};
        const std::byte* packed{};
        std::unique_ptr<frame_store> alone, together;
        std::vector<opened> sessions;
        entry* older{};

        explicit entry(std::size_t count) : sessions(count) {}
        void clear() {
            for (opened& o : sessions) o = {};
            alone.reset();
            together.reset();
        }
    };
    struct stored_parameters {
        const std::byte* packed{};
        cudnn::device_memory bytes;
    };

    /// Frames of a batch run every branch that one of them chose; results that leave a branch by other ways than its select would mix.
    static bool may_batch(const program& p) {
        for (std::size_t i = 0; i < p.steps.size(); ++i) {
            const step& s = p.steps[i];
            if (s.plan.kind != step_kind::branch) continue;
            for (int k = static_cast<int>(i) + 1; k < s.plan.skip; ++k)
                if (const step_kind inside = p.steps[static_cast<std::size_t>(k)].plan.kind; inside == step_kind::output || inside == step_kind::encode || inside == step_kind::decode) return false;
        }
        return true;
    }

    /// Where the device has no room for the weights the CPU runs, as where it has none for an arena.
    void pack(const float* const* parameters, std::byte* packed) const {
        cpu.pack(parameters, packed);
        if (is_left_to_cpu) return;
        const std::vector<std::byte> bytes = laid_out().lay_out(parameters);
        const std::lock_guard lock{guard};
        if (lost.load(std::memory_order_relaxed)) return;
        try {
            gpu.expect(gpu.use(), "using the device");
            for (stored_parameters& s : stored)
                if (s.packed == packed) return s.bytes.fill_from(bytes.data(), bytes.size());
            cudnn::device_memory there{gpu, bytes.size()};
            if (!bytes.empty()) there.fill_from(bytes.data(), bytes.size());
            stored.push_back({packed, std::move(there)});
        } catch (const device_error& failure) {
            note(failure);
        }
    }

    /// Where there is no room to take times, ways are as they would be without.
    void choose(layers& l, double& seconds) {
        try {
            const choice_counts n = choose_by_time(gpu, l, seconds);
            choices.timed += n.timed, choices.ways += n.ways, choices.changed += n.changed, choices.left += n.left;
        } catch (const device_error& failure) {
            if (failure.why != device_failure::out_of_memory) note(failure);
        }
    }

    static const gpu_engine& of_self(const void* self) { return *static_cast<const gpu_engine*>(self); }

    /// Frames look without a lock while others are added: an entry stays until the engine goes, one without an arena is used again.
    entry* entry_of(const std::byte* arena) const noexcept {
        for (entry* e = newest.load(std::memory_order_acquire); e; e = e->older)
            if (e->arena.load(std::memory_order_acquire) == arena) return e;
        return nullptr;
    }
    /// The session that runs `frames` together, of the first one's arena; opened by its first run, which warms up. Later calls only look.
    session* find(std::span<const frame_memory> frames) const noexcept {
        std::size_t size = 0;
        while (static_cast<std::size_t>(sizes[size]->images()) < frames.size()) ++size;
        const frame_memory& m = frames.front();
        if (const entry* const e = entry_of(m.arena); e && e->packed == m.packed_weights && e->sessions[size].tried) return e->sessions[size].runs.get();
        return open(m, size);
    }
    session* open(const frame_memory& m, std::size_t size) const noexcept {
        const std::lock_guard lock{guard};
        try {
            entry* used = entry_of(m.arena);
            if (!used) used = entry_of(nullptr);
            if (!used) {
                used = new entry{sizes.size()};
                used->older = newest.load(std::memory_order_relaxed);
                newest.store(used, std::memory_order_release);
            }
            if (used->arena.load(std::memory_order_relaxed) != m.arena || used->packed != m.packed_weights) used->clear();
            used->packed = m.packed_weights;
            used->arena.store(m.arena, std::memory_order_release);
            used->sessions[size].tried = true;
            const stored_parameters* with = nullptr;
            for (const stored_parameters& s : stored)
                if (s.packed == m.packed_weights) with = &s;
            if (!with) throw device_error(device_failure::unsupported, "GPU: weights packed by this pipeline were expected");
            std::vector<const layers*> of;
            for (std::size_t i = size == 0 ? 0 : 1; i < (size == 0 ? 1 : sizes.size()); ++i) of.push_back(sizes[i].get());
            std::unique_ptr<frame_store>& memory = size == 0 ? used->alone : used->together;
            if (!memory) memory = std::make_unique<frame_store>(gpu, of, cpu, size == 0 ? pools : std::nullopt);
            used->sessions[size].runs = std::make_unique<session>(gpu, *sizes[size], with->bytes.at(), *memory, outputs_stay && size == 0);
            return used->sessions[size].runs.get();
        } catch (const device_error& failure) {
            note(failure);
        } catch (const std::exception& failure) {
            note({device_failure::out_of_memory, failure.what()});
        }
        return nullptr;
    }
    void note(const device_error& failure) const {
        if (failure.why == device_failure::lost) lost.store(true, std::memory_order_release);
        if (!reason.empty()) return;
        reason = failure.what();
        why = failure.why;
    }

    bool run(std::span<const frame_memory> frames, int first, int last, const std::atomic<bool>* stop) const noexcept {
        if (frames.size() > 1) {
            // Between cuts only a frame's own session keeps what it has so far; an exit from streams begins with what stands in the hosts' arenas.
            const bool is_exit = cpu.stream_exit_count > 0 && first >= cpu.stages;
            if (!is_exit && ((first > 0 && p.cut_behind(first - 1) < 0) || (last < cpu.stages && p.cut_behind(last - 1) < 0))) return one_by_one(frames, first, last, stop);
            for (std::size_t i = 0; !is_exit && i < frames.size(); ++i) give_back(frames[i], first);
        }
        if (session* const s = is_left_to_cpu || lost.load(std::memory_order_acquire) ? nullptr : find(frames)) {
            int status = cudnn::driver_ok;
            const bool finished = s->run(frames, cpu, first, last, stop, status);
            if (status == cudnn::driver_ok) {
                ran_here.fetch_add(frames.size(), std::memory_order_relaxed);
                batches.fetch_add(frames.size() > 1, std::memory_order_relaxed);
                return finished;
            }
            fail(status, "a frame");
        }
        ran_on_cpu.fetch_add(frames.size(), std::memory_order_relaxed);
        for (const frame_memory& m : frames)
            if (!run_on_cpu(m, first, last, stop)) return false;
        return true;
    }
    bool one_by_one(std::span<const frame_memory> frames, int first, int last, const std::atomic<bool>* stop) const noexcept {
        for (const frame_memory& m : frames)
            if (!run({&m, 1}, first, last, stop)) return false;
        return true;
    }
    /// What a frame's own session holds of it goes to the host's arena, from where a batch takes it.
    void give_back(const frame_memory& m, int first) const noexcept {
        const session* const s = alone_of(m);
        if (s) s->bring_inputs(m);
        if (!s || !s->holds_frame()) return;
        if (first > 0) s->restore(m, cpu, p.cut_behind(first - 1));
        s->leave_frame();
    }
    session* alone_of(const frame_memory& m) const noexcept { return session_of(m.arena); }
    session* session_of(const std::byte* arena) const noexcept {
        const entry* const e = entry_of(arena);
        return e ? e->sessions.front().runs.get() : nullptr;
    }
    /// What the device held of this frame is gone: the CPU begins where the last payload stands, or at the frame's begin.
    bool run_on_cpu(const frame_memory& m, int first, int last, const std::atomic<bool>* stop) const noexcept {
        const session* const s = alone_of(m);
        if (s) s->bring_inputs(m);
        if (!s || !s->holds_frame() || (cpu.stream_exit_count > 0 && first >= cpu.stages)) return cpu.run(m, first, last, stop);
        int begin = first;
        while (begin > 0 && s->cut_behind(begin - 1) < 0) --begin;
        if (begin > 0) s->restore(m, cpu, s->cut_behind(begin - 1));
        s->leave_frame();
        return cpu.run(m, begin, last, stop);
    }
    /// From the device's pinned memory if the frame ran there: also when the device failed since. A learned prior's tables are the processor's: it codes what the device rounded.
    std::size_t store_payload(const frame_memory& m, int cut, std::byte* payload) const noexcept {
        const session* const s = alone_of(m);
        if (!s || !s->holds_frame()) return cpu.store_payload(m, cut, payload);
        if (!cpu.functions.copy_working) return s->store_payload(cut, payload);
        s->restore(m, cpu, cut);
        return cpu.store_payload(m, cut, payload);
    }
    /// Payloads wait in the host's arena for the run that begins behind them: of one frame, or of several.
    bool load_payload(const frame_memory& m, int cut, std::span<const std::byte> payload) const noexcept {
        if (!cpu.load_payload(m, cut, payload)) return false;
        if (const session* const s = alone_of(m)) s->leave_frame();
        return true;
    }

    const cudnn::device& gpu;
    program p;
    const pipeline& cpu;
    std::optional<pool_form> pools;
    bool outputs_stay;
    choice_counts choices;
    std::vector<std::unique_ptr<layers>> sizes;         ///< for 1, 2, 4, ... frames
    pipeline table;
    std::array<char, 16> name{};
    mutable std::atomic<entry*> newest{};               ///< one an arena: of edges, and of clouds' benches
    mutable std::vector<stored_parameters> stored;
    mutable std::mutex guard;                   ///< of set-up; the frame path takes it only when the device is lost
    mutable std::string reason;
    mutable device_failure why{};
    mutable std::atomic<std::uint64_t> ran_here{}, ran_on_cpu{}, batches{};
    mutable std::atomic<bool> lost{};
    bool is_left_to_cpu{};                      ///< the device has no kernel for one of the steps
};

/// A network on a GPU. `net()` goes wherever a pipeline goes; edge, cloud, codecs and policies do not change.
///
/// Payloads have the same bytes for the same tensor as the CPU's, so either side of a link may run on either. The first run of an arena
/// allocates on the device and captures its graphs (what edges and clouds do before their first frame); after it nothing is allocated.
/// If the device fails, that call and all later ones run on the CPU's pipeline: `counters()` says so, and why. Frames of a `run_batch` get what
/// they would get alone, but for the order in which cuDNN adds.
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
    const stream_pooler& pooler() const { return engine; }
    const gpu_engine& runs_on() const { return engine; }
    const layers& laid_out() const { return engine.laid_out(); }

private:
    gpu_engine engine;
};

} // namespace splitdsl::gpu
