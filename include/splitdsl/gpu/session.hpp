// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file session.hpp
/// One arena on the device with its own stream: every stage captured once as graphs, replayed for every frame.
#pragma once

#include <splitdsl/gpu/recorder.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <atomic>
#include <cstring>
#include <vector>

namespace splitdsl::gpu {

/// Runs stages of one network for one frame at a time. Construction allocates and captures; after it nothing is allocated.
class session {
public:
    /// `parameters`: as `layers::lay_out` wrote them, on the device. Throws `device_error`.
    session(const cudnn::device& on, const layers& of, cudnn::device_address parameters)
        : gpu{on}, net{of}, p{of.of()}, stream{on}, arena{on, of.arena().bytes}, workspace{on, of.workspace()}, partials{on, 8 * recorder::range_parts}, outputs{on, 4 * p.output_floats},
          outputs_here{on, 4 * p.output_floats} {
        m.arena = arena.at(), m.parameters = parameters, m.workspace = workspace.at(), m.partials = partials.at(), m.outputs = outputs.at();
        for (const std::size_t bytes : p.inputs) {
            inputs.emplace_back(gpu, bytes);
            inputs_here.emplace_back(gpu, bytes);
            m.inputs.push_back(inputs.back().at());
        }
        for (const graph::stream_steps& s : p.streams) {
            maps_here.emplace_back(gpu, static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(s.map)].bytes));
            pooled_here.emplace_back(gpu, static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(s.pooled)].bytes));
        }
        if (gpu.network_handle() && gpu.network().use_stream(gpu.network_handle(), stream.get()) != 0) throw device_error(device_failure::lost, "cuDNN does not take a stream");
        // What cuDNN loads or compiles at a plan's first run must not happen while a graph is captured.
        const recorder first{gpu, net, m, stream};
        for (std::size_t i = 0; i < p.steps.size(); ++i)
            if (net.at(i).plan) first.start(i);
        gpu.expect(gpu.driver().wait(stream.get()), "the first run of the convolutions");
        for (int k = 0; k < p.stages(); ++k) stages.push_back(record_stage(k));
        std::size_t largest = 0;
        for (std::size_t c = 0; c < p.cuts.size(); ++c) largest = std::max(largest, record_cut(c));
        restored.resize(largest);
    }

    /// Runs stages [first, last) and waits. `from`: where inputs come from and outputs go. False if stopped between stages.
    /// `status` is the driver's: unless it is success nothing of the result holds.
    bool run(const frame_memory& from, const pipeline& host, int first, int last, const std::atomic<bool>* stop, int& status) noexcept {
        status = gpu.use();
        if (status != cudnn::driver_ok) return true;
        for (int k = first; k < last; ++k) take_in(from, host, k, first == 0);
        holds = true;
        if (const int c = cut_behind(first - 1); c >= 0) note(status, cuts[static_cast<std::size_t>(c)].enter.launch(stream));
        int done = first;
        bool stopped = false;
        for (; done < last && status == cudnn::driver_ok && !stopped; ++done) {
            if ((stopped = stop && stop->load(std::memory_order_acquire))) break;
            note(status, replay(from, host, stages[static_cast<std::size_t>(done)]));
        }
        // What crosses here is made into bytes also when the frame stopped: it can be taken up again, here or by the cloud.
        if (const int c = done > first ? cut_behind(done - 1) : -1; c >= 0) note(status, cuts[static_cast<std::size_t>(c)].leave.launch(stream));
        note(status, gpu.driver().wait(stream.get()));
        if (status == cudnn::driver_ok)
            for (int k = first; k < done; ++k) hand_out(from, host, stages[static_cast<std::size_t>(k)]);
        return !stopped;
    }

    /// The cut that ends a stage, or -1.
    int cut_behind(int stage) const noexcept {
        for (std::size_t c = 0; c < p.cut_stage.size(); ++c)
            if (p.cut_stage[c] == stage) return static_cast<int>(c);
        return -1;
    }
    /// A cut's payload as the last run left it; returns its bytes.
    std::size_t store_payload(int cut, std::byte* to) const noexcept {
        std::size_t n = 0;
        for (const crossing& x : p.cuts[static_cast<std::size_t>(cut)]) {
            std::memcpy(to + n, item(cut, n, x), x.bytes);
            n += x.bytes;
        }
        return n;
    }
    void load_payload(int cut, const std::byte* from) noexcept {
        std::size_t n = 0;
        for (const crossing& x : p.cuts[static_cast<std::size_t>(cut)]) {
            std::memcpy(item(cut, n, x), from + n, x.bytes);
            n += x.bytes;
        }
    }

    /// Whether the frame so far ran here, so that only what crossed stands on the host.
    bool holds_frame() const noexcept { return holds; }
    void leave_frame() const noexcept { holds = false; }
    /// Puts a cut's payload into the host's arena.
    void restore(const frame_memory& to, const pipeline& host, int cut) const noexcept {
        std::byte* const whole = restored.data();
        const std::size_t n = store_payload(cut, whole);
        (void)host.load_payload(to, cut, {whole, n});
    }

private:
    /// A run of steps, or a branch that skips to another piece.
    struct piece {
        cudnn::device_graph graph;
        int branch{-1};             ///< step
        int skip{};                 ///< piece
    };
    struct stage_graphs {
        std::vector<piece> pieces;
        std::vector<int> loads;                         ///< inputs
        std::vector<std::pair<std::size_t, std::size_t>> writes;    ///< output floats: first, count
        std::vector<int> maps;                          ///< streams that leave their map
        std::vector<int> pooled;                        ///< streams that it reads
    };
    struct cut_graphs {
        cudnn::device_graph enter, leave;
        cudnn::pinned_memory payload;
    };

    static void note(int& status, int seen) noexcept {
        if (status == cudnn::driver_ok) status = seen;
    }
    const step& at(int i) const { return p.steps[static_cast<std::size_t>(i)]; }
    cudnn::device_address place(int buffer) const { return arena.at() + net.arena().offset[static_cast<std::size_t>(buffer)]; }
    std::byte* item(int cut, std::size_t offset, const crossing& x) const {
        return x.input >= 0 ? inputs_here[static_cast<std::size_t>(x.input)].data() : cuts[static_cast<std::size_t>(cut)].payload.data() + offset;
    }

    /// Needless where both sides of a cut run here: floats that cross as they are.
    static bool crosses_as_it_is(const step& s) { return s.plan.passes && (s.plan.kind == step_kind::encode || s.plan.kind == step_kind::decode); }

    stage_graphs record_stage(int stage) {
        stage_graphs g;
        const recorder record{gpu, net, m, stream};
        const int begin = p.stage_first[static_cast<std::size_t>(stage)], end = p.stage_first[static_cast<std::size_t>(stage) + 1];
        for (int i = begin; i < end; ++i) {
            const step& s = at(i);
            if (s.plan.kind == step_kind::load_input && std::find(g.loads.begin(), g.loads.end(), s.input) == g.loads.end()) g.loads.push_back(s.input);
            if (s.plan.kind == step_kind::output) g.writes.emplace_back(static_cast<std::size_t>(s.plan.offset), static_cast<std::size_t>(net.in_of(s).size()));
            for (std::size_t k = 0; k < p.streams.size(); ++k) {
                if (s.plan.kind == step_kind::encode && p.streams[k].map == s.plan.out) g.maps.push_back(static_cast<int>(k));
                if (s.plan.kind == step_kind::decode && p.streams[k].pooled == s.plan.in) g.pooled.push_back(static_cast<int>(k));
            }
        }
        // A piece ends before a branch and where a branch skips to.
        std::vector<int> borders{begin, end};
        for (int i = begin; i < end; ++i)
            if (at(i).plan.kind == step_kind::branch) {
                borders.push_back(i);
                borders.push_back(i + 1);
                borders.push_back(std::min(at(i).plan.skip, end));
            }
        std::sort(borders.begin(), borders.end());
        borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
        for (std::size_t b = 0; b + 1 < borders.size(); ++b) {
            const int from = borders[b], to = borders[b + 1];
            piece& x = g.pieces.emplace_back();
            if (at(from).plan.kind == step_kind::branch) {
                x.branch = from;
                x.skip = static_cast<int>(std::find(borders.begin(), borders.end(), std::min(at(from).plan.skip, end)) - borders.begin());
                continue;
            }
            const bool first = b == 0, last = b + 2 == borders.size();
            x.graph = capture(record, g, from, to, first, last);
        }
        if (!g.pieces.empty() && g.pieces.front().branch >= 0) {        // copies come before the branch
            piece x;
            x.graph = capture(record, g, begin, begin, true, false);
            for (piece& y : g.pieces) ++y.skip;
            g.pieces.insert(g.pieces.begin(), std::move(x));
        }
        if (!g.pieces.empty() && g.pieces.back().branch >= 0) g.pieces.emplace_back().graph = capture(record, g, end, end, false, true);
        return g;
    }

    cudnn::device_graph capture(const recorder& record, const stage_graphs& g, int from, int to, bool first, bool last) {
        return {gpu, stream, [&] {
                    bool any = false;
                    if (first) {
                        for (const int k : g.loads) copy_in(inputs[static_cast<std::size_t>(k)].at(), inputs_here[static_cast<std::size_t>(k)].data(), p.inputs[static_cast<std::size_t>(k)], any);
                        for (const int k : g.pooled) {
                            const int buffer = p.streams[static_cast<std::size_t>(k)].pooled;
                            copy_in(place(buffer), pooled_here[static_cast<std::size_t>(k)].data(), static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(buffer)].bytes), any);
                        }
                    }
                    for (int i = from; i < to; ++i) {
                        const step_kind kind = at(i).plan.kind;
                        if (crosses_as_it_is(at(i)) || kind == step_kind::copy_input || kind == step_kind::branch) continue;
                        record.start(static_cast<std::size_t>(i));
                        any = true;
                    }
                    if (last) {
                        for (const auto& [begin, count] : g.writes) copy_out(outputs_here.data() + 4 * begin, outputs.at() + 4 * begin, 4 * count, any);
                        for (const int k : g.maps) {
                            const int buffer = p.streams[static_cast<std::size_t>(k)].map;
                            copy_out(maps_here[static_cast<std::size_t>(k)].data(), place(buffer), static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(buffer)].bytes), any);
                        }
                    }
                    return any;
                }};
    }

    std::size_t record_cut(std::size_t c) {
        const recorder record{gpu, net, m, stream};
        std::size_t bytes = 0;
        for (const crossing& x : p.cuts[c]) bytes += x.bytes;
        cut_graphs& g = cuts.emplace_back();
        g.payload = cudnn::pinned_memory{gpu, bytes};
        const int before = p.cut_stage[c], behind = before + 1;
        const auto each_passing = [&](int stage, step_kind kind, bool& any) {
            for (int i = p.stage_first[static_cast<std::size_t>(stage)]; i < p.stage_first[static_cast<std::size_t>(stage) + 1]; ++i) {
                if (!at(i).plan.passes || at(i).plan.kind != kind) continue;
                record.start(static_cast<std::size_t>(i));
                any = true;
            }
        };
        g.leave = {gpu, stream, [&] {
                       bool any = false;
                       each_passing(before, step_kind::encode, any);
                       std::size_t n = 0;
                       for (const crossing& x : p.cuts[c]) {
                           if (x.buffer >= 0) copy_out(g.payload.data() + n, place(x.buffer), x.bytes, any);
                           n += x.bytes;
                       }
                       return any;
                   }};
        g.enter = {gpu, stream, [&] {
                       bool any = false;
                       std::size_t n = 0;
                       for (const crossing& x : p.cuts[c]) {
                           if (x.buffer >= 0) copy_in(place(x.buffer), g.payload.data() + n, x.bytes, any);
                           n += x.bytes;
                       }
                       each_passing(behind, step_kind::decode, any);
                       return any;
                   }};
        return bytes;
    }

    void copy_in(cudnn::device_address to, const void* from, std::size_t bytes, bool& any) const {
        gpu.expect(gpu.driver().copy_in_async(to, from, bytes, stream.get()), "copying to the device");
        any = true;
    }
    void copy_out(void* to, cudnn::device_address from, std::size_t bytes, bool& any) const {
        gpu.expect(gpu.driver().copy_out_async(to, from, bytes, stream.get()), "copying from the device");
        any = true;
    }

    /// Inputs of a frame that begins here, those a later stage loads for the first time, and what an exit reads of its streams.
    void take_in(const frame_memory& from, const pipeline& host, int stage, bool begins) noexcept {
        const auto take = [&](std::size_t k) {
            if (from.inputs && from.inputs[k]) std::memcpy(inputs_here[k].data(), from.inputs[k], p.inputs[k]);
        };
        if (begins && stage == 0)
            for (std::size_t k = 0; k < p.inputs.size(); ++k) take(k);
        if (!begins)
            for (const int k : stages[static_cast<std::size_t>(stage)].loads)
                if (!crosses(k)) take(static_cast<std::size_t>(k));
        for (const int k : stages[static_cast<std::size_t>(stage)].pooled)
            std::memcpy(pooled_here[static_cast<std::size_t>(k)].data(), from.arena + host.streams[k].pooled, static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(p.streams[static_cast<std::size_t>(k)].pooled)].bytes));
    }
    bool crosses(int input) const noexcept {
        for (const auto& c : p.cuts)
            for (const crossing& x : c)
                if (x.input == input) return true;
        return false;
    }
    int replay(const frame_memory& from, const pipeline& host, const stage_graphs& g) const noexcept {
        for (std::size_t k = 0; k < g.pieces.size();) {
            const piece& x = g.pieces[k];
            if (x.branch >= 0) {
                const step& s = at(x.branch);
                const std::byte command = s.exit >= 0 ? from.arena[host.stream_exits[s.exit].sizes] : inputs_here[static_cast<std::size_t>(s.input)].data()[0];
                k = static_cast<int>(command) == s.plan.offset ? k + 1 : static_cast<std::size_t>(x.skip);
                continue;
            }
            if (const int status = x.graph.launch(stream); status != cudnn::driver_ok) return status;
            ++k;
        }
        return cudnn::driver_ok;
    }
    void hand_out(const frame_memory& to, const pipeline& host, const stage_graphs& g) const noexcept {
        for (const auto& [begin, count] : g.writes) std::memcpy(to.outputs + begin, outputs_here.data() + 4 * begin, 4 * count);
        for (const int k : g.maps)
            std::memcpy(to.arena + host.streams[k].map, maps_here[static_cast<std::size_t>(k)].data(), static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(p.streams[static_cast<std::size_t>(k)].map)].bytes));
    }

    const cudnn::device& gpu;
    const layers& net;
    const program& p;
    cudnn::device_stream stream;
    cudnn::device_memory arena, workspace, partials, outputs;
    cudnn::pinned_memory outputs_here;
    std::vector<cudnn::device_memory> inputs;
    std::vector<cudnn::pinned_memory> inputs_here, maps_here, pooled_here;
    frame_addresses m;
    std::vector<stage_graphs> stages;
    std::vector<cut_graphs> cuts;
    mutable std::vector<std::byte> restored;
    mutable bool holds{};
};

} // namespace splitdsl::gpu
