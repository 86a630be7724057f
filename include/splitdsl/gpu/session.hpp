// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file session.hpp
/// One arena on the device with its own stream: every stage captured once as graphs, replayed for every frame or batch of frames.
#pragma once

#include <splitdsl/gpu/frame_store.hpp>
#include <splitdsl/gpu/recorder.hpp>

#include <atomic>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl::gpu {

/// Who wrote an input on the device, where the next frame reads it.
class input_source {
public:
    /// Writes it to the host's memory after all: the processor runs that frame.
    virtual void bring() noexcept = 0;

protected:
    ~input_source() = default;
};

/// Runs stages of one network for `layers::images` frames at a time. Construction captures; after it nothing is allocated.
class session {
public:
    /// `parameters`: as `layers::lay_out` wrote them, on the device. `in` outlives it. `outputs_stay`: of one frame, until `fetch_outputs`; its inputs may be
    /// there already (`place_input`). Throws `device_error`.
    session(const cudnn::device& on, const layers& of, cudnn::device_address parameters, frame_store& in, bool outputs_stay)
        : gpu{on}, net{of}, p{of.of()}, memory{in}, images{static_cast<std::size_t>(of.images())}, keeps{outputs_stay} {
        frame_addresses m{in.arena.at(), parameters, in.workspace.at(), in.partials.at(), in.outputs.at(), in.sizes.at(), {}};
        for (const cudnn::device_memory& x : in.inputs) m.inputs.push_back(x.at());
        for (const cudnn::pinned_memory& x : in.inputs_here) inputs_taken.push_back(x.data());
        placed.resize(keeps ? p.inputs.size() : 0);
        gpu.expect(gpu.use(), "using the device");
        const auto lock = gpu.lock_network();           // one handle for all, and it works on one stream at a time
        const released_stream release{gpu};
        of_lanes.assign(static_cast<std::size_t>(net.lanes()), m);
        recorders.reserve(of_lanes.size());             // they refer to their addresses
        for (std::size_t l = 0; l < of_lanes.size(); ++l) {
            of_lanes[l].workspace += l * net.workspace();
            recorders.emplace_back(gpu, net, of_lanes[l], memory.copies.stream_of(static_cast<int>(l), stream()));
        }
        // What cuDNN loads or compiles at a plan's first run must not happen while a graph is captured.
        const recorder& first = recorders.front();
        for (std::size_t i = 0; i < p.steps.size(); ++i)
            if (net.at(i).way.plan) first.start(i);
        gpu.expect(gpu.driver().wait(stream().get()), "the first run of the convolutions");
        for (int k = 0; k < p.stages(); ++k) stages.push_back(record_stage(k));
        std::size_t largest = 0;
        for (std::size_t c = 0; c < p.cuts.size(); ++c) largest = std::max(largest, record_cut(c));
        scratch.resize(largest);
    }

    std::size_t capacity() const noexcept { return images; }

    /// Runs stages [first, last) of up to `capacity` frames and waits. Where the frames did not come this far here, what crossed the cut in
    /// front of `first` is taken from the host's arenas. False if stopped between stages. `status` is the driver's: unless it is success
    /// nothing of the result holds.
    bool run(std::span<const frame_memory> frames, const pipeline& host, int first, int last, const std::atomic<bool>* stop, int& status) noexcept {
        status = gpu.use();
        if (status != cudnn::driver_ok) return true;
        const bool is_exit = host.stream_exit_count > 0 && first >= host.stages;
        if (const int c = is_exit ? -1 : cut_behind(first - 1); c >= 0) {
            for (std::size_t i = 0; !holds && i < frames.size(); ++i) take_payload(frames[i], host, c, i);
            note(status, cuts[static_cast<std::size_t>(c)].enter.launch(stream()));
        }
        for (std::size_t k = 0; first == 0 && k < placed.size(); ++k) {
            placed_input& x = placed[k];
            x.is_here = std::exchange(x.is_next, false) && frames.front().inputs && frames.front().inputs[k] == x.host;
        }
        for (int k = first; k < last; ++k)
            for (std::size_t i = 0; i < frames.size(); ++i) take_in(frames[i], host, k, first == 0, i);
        holds = images == 1;
        handed = nullptr;
        owed = {};
        int done = first;
        bool stopped = false, is_copying = false;
        for (; done < last && status == cudnn::driver_ok && !stopped; ++done) {
            if ((stopped = stop && stop->load(std::memory_order_acquire))) break;
            const stage_graphs& g = stages[static_cast<std::size_t>(done)];
            if (keeps) note(status, copy_inputs(g.loads));
            if (status == cudnn::driver_ok) status = replay(frames, host, g);
            if (status != cudnn::driver_ok || g.behind.empty()) continue;
            // An exit's values leave while the next stage runs.
            note(status, memory.copies.start(stream(), g.behind, done + 1 < last));
            is_copying = is_copying || done + 1 < last;
        }
        if (is_copying) note(status, memory.copies.finish(stream()));
        // What crosses here is made into bytes also when the frame stopped: it can be taken up again, here or by the cloud.
        const int left = done > first ? cut_behind(done - 1) : -1;
        if (left >= 0) note(status, cuts[static_cast<std::size_t>(left)].leave.launch(stream()));
        // Where the network ends, its outputs are asked for, or not; before, someone decides by them how to go on.
        const bool stay = keeps && !stopped && done == host.stages && host.stream_exit_count == 0;
        if (keeps && !stay && status == cudnn::driver_ok) status = copy_outputs(first, done);
        note(status, gpu.driver().wait(stream().get()));
        // The next batch has other frames: these go on from their own arenas.
        for (std::size_t i = 0; images > 1 && left >= 0 && status == cudnn::driver_ok && i < frames.size(); ++i) restore(frames[i], host, left, i);
        for (std::size_t i = 0; !stay && status == cudnn::driver_ok && i < frames.size(); ++i)
            for (int k = first; k < done; ++k) hand_out(frames[i], host, stages[static_cast<std::size_t>(k)], i);
        if (holds && status == cudnn::driver_ok) handed = frames.front().outputs;
        if (stay && status == cudnn::driver_ok) owed = {frames.front(), first, done};
        return !stopped;
    }

    /// Stages whose outputs stayed here, and their frame with its inputs as they came; none: `last` is 0.
    struct debt {
        frame_memory frame{};
        int first{}, last{};
    };
    debt owes() const noexcept {
        debt d = owed;
        for (std::size_t k = 0; k < placed.size(); ++k) inputs_taken[k] = placed[k].is_here ? placed[k].host : memory.inputs_here[k].data();
        d.frame.inputs = inputs_taken.data();
        d.frame.workers = nullptr;          // the caller's may be gone
        return d;
    }
    /// Where an input of the next frame is read on the device, of so many bytes; 0: the host's is copied, and what the host reads as well always is.
    cudnn::device_address input_at(std::size_t k, std::size_t bytes) const noexcept {
        const bool is_read_there = k >= placed.size() || crosses(static_cast<int>(k))
                                || std::any_of(p.steps.begin(), p.steps.end(), [k](const step& s) { return s.plan.kind == step_kind::branch && s.input == static_cast<int>(k); });
        return !is_read_there && p.inputs[k] == bytes ? memory.inputs[k].at() : 0;
    }
    /// The next frame whose input k is `host` finds it at `input_at`.
    void place_input(std::size_t k, const void* host, input_source& by) const noexcept { placed[k] = {&by, host, true, false}; }
    void withdraw_input(std::size_t k) const noexcept {
        if (k < placed.size()) placed[k].is_next = false;
    }
    /// Those of a frame that the processor is to run.
    void bring_inputs(const frame_memory& of) const noexcept {
        for (std::size_t k = 0; k < placed.size(); ++k) {
            const placed_input x = std::exchange(placed[k], {});
            if ((x.is_here || x.is_next) && of.inputs && of.inputs[k] == x.host) x.by->bring();
        }
    }
    /// Hands them out. The driver's status: unless it is success they are still owed.
    int fetch_outputs(const pipeline& host) noexcept {
        int status = gpu.use();
        note(status, copy_outputs(owed.first, owed.last));
        note(status, gpu.driver().wait(stream().get()));
        if (status != cudnn::driver_ok) return status;
        for (int k = owed.first; k < owed.last; ++k) hand_out(owed.frame, host, stages[static_cast<std::size_t>(k)], 0);
        owed = {};
        return status;
    }

    int cut_behind(int stage) const noexcept { return p.cut_behind(stage); }
    /// A frame's payload at a cut as the last run left it, before any prior codes it; returns its bytes.
    std::size_t store_payload(int cut, std::byte* to, std::size_t i = 0) const noexcept {
        std::size_t n = 0, at = 0;
        for (const crossing& x : p.cuts[static_cast<std::size_t>(cut)]) {
            std::memcpy(to + n, item(cut, at, x, i), x.bytes);
            n += x.bytes;
            at += images * frame_step(x.bytes);
        }
        return n;
    }

    /// A stream's coefficients as the last run left them; empty where the device does not pool.
    pooled_map pooled(int stream) const noexcept {
        return pool_of(stream) ? pool_of(stream)->result() : pooled_map{};
    }
    /// Whether the frame so far ran here, so that only what crossed stands on the host.
    bool holds_frame() const noexcept { return holds; }
    void leave_frame() const noexcept {
        holds = false, owed = {};
        for (placed_input& x : placed) x.is_here = false;
    }
    /// Where the floats still stand on the device that the last run wrote to `values` on the host: planar, one frame's; 0: they are none of its outputs.
    cudnn::device_address left_at(const float* values, std::size_t count) const noexcept {
        if (!handed || values < handed || values + count > handed + p.output_floats) return 0;
        return memory.outputs.at() + 4 * static_cast<cudnn::device_address>(values - handed);
    }
    cudnn::handle stream_here() const noexcept { return stream().get(); }
    /// Puts a cut's payload into the host's arena.
    void restore(const frame_memory& to, const pipeline& host, int cut, std::size_t i = 0) const noexcept {
        const std::size_t n = store_payload(cut, scratch.data(), i);
        (void)host.place_working(to, cut, {scratch.data(), n});
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
        std::vector<transfer> behind;                   ///< those of them that are copied when its graphs ended
        std::vector<int> maps;                          ///< streams that leave their map
        std::vector<int> pooled;                        ///< streams that it reads
        int exit{-1};                                   ///< whose sizes choose a branch of several frames
    };
    struct cut_graphs {
        cudnn::device_graph enter, leave;
    };
    struct placed_input {
        input_source* by{};
        const void* host{};
        bool is_next{}, is_here{};  ///< of the next frame, of this one
    };

    static void note(int& status, int seen) noexcept {
        if (status == cudnn::driver_ok) status = seen;
    }
    const cudnn::device_stream& stream() const { return memory.stream; }
    const step& at(int i) const { return p.steps[static_cast<std::size_t>(i)]; }
    /// Null: the processor pools that stream.
    const stream_pooling* pool_of(int stream) const noexcept {
        const auto k = static_cast<std::size_t>(stream);
        return k < memory.pools.size() && memory.pools[k] ? &*memory.pools[k] : nullptr;
    }
    cudnn::device_address place_of(int buffer) const { return memory.arena.at() + net.arena().places[static_cast<std::size_t>(buffer)].offset; }
    /// Where frame i's part of what crosses stands; `offset`: of the item, of all frames.
    std::byte* item(int cut, std::size_t offset, const crossing& x, std::size_t i) const {
        return (x.input >= 0 ? memory.inputs_here[static_cast<std::size_t>(x.input)].data() : memory.payloads[static_cast<std::size_t>(cut)].data() + offset) + i * frame_step(x.bytes);
    }
    std::size_t map_bytes(int stream) const { return static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(p.streams[static_cast<std::size_t>(stream)].map)].bytes); }
    std::size_t pooled_bytes(int stream) const { return static_cast<std::size_t>(p.buffers[static_cast<std::size_t>(p.streams[static_cast<std::size_t>(stream)].pooled)].bytes); }
    std::size_t size_at(int exit) const { return static_cast<std::size_t>(exit) * images * frame_step(1); }
    /// From the first frame's begin to the last one's end.
    std::size_t span_of(std::size_t bytes) const { return (images - 1) * frame_step(bytes) + bytes; }

    /// Needless where both sides of a cut run here: what crosses as it is. Of bytes that do, the encoder and the decoder are all there is.
    static bool crosses_as_it_is(const step& s) { return s.plan.passes; }
    bool is_started(int i) const {
        const step_kind kind = at(i).plan.kind;
        return !crosses_as_it_is(at(i)) && kind != step_kind::copy_input && kind != step_kind::branch && !net.is_in_place(at(i)) && !net.at(static_cast<std::size_t>(i)).is_melted;
    }
    /// Another stage of the trunk runs next, unless the caller stops here.
    bool is_followed(int stage) const {
        return stage + 1 < p.stages() && std::none_of(p.exits.begin(), p.exits.end(), [stage](const graph::stream_exit_steps& e) { return e.stage <= stage + 1; });
    }

    stage_graphs record_stage(int stage) {
        stage_graphs g;
        const int begin = p.stage_first[static_cast<std::size_t>(stage)], end = p.stage_first[static_cast<std::size_t>(stage) + 1];
        for (int i = begin; i < end; ++i) {
            const step& s = at(i);
            // Of several frames each has a command of its own, which the device looks at.
            const bool loads = s.plan.kind == step_kind::load_input || s.plan.kind == step_kind::load_u8 || (s.plan.kind == step_kind::branch && s.input >= 0 && images > 1);
            if (loads && std::find(g.loads.begin(), g.loads.end(), s.input) == g.loads.end()) g.loads.push_back(s.input);
            if (s.plan.kind == step_kind::branch && s.exit >= 0 && images > 1) g.exit = s.exit;
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
        int last_started = end - 1;
        while (last_started >= begin && !is_started(last_started)) --last_started;
        if (!keeps && borders.size() > 1 && is_followed(stage) && last_started >= borders[borders.size() - 2] && at(last_started).plan.kind == step_kind::output) g.behind.push_back(output_of(last_started));
        for (std::size_t b = 0; b + 1 < borders.size(); ++b) {
            const int from = borders[b], to = borders[b + 1];
            piece& x = g.pieces.emplace_back();
            if (at(from).plan.kind == step_kind::branch) {
                x.branch = from;
                x.skip = static_cast<int>(std::find(borders.begin(), borders.end(), std::min(at(from).plan.skip, end)) - borders.begin());
                continue;
            }
            const bool first = b == 0, last = b + 2 == borders.size();
            x.graph = capture(g, from, to, first, last);
        }
        if (!g.pieces.empty() && g.pieces.front().branch >= 0) {        // copies come before the branch
            piece x;
            x.graph = capture(g, begin, begin, true, false);
            for (piece& y : g.pieces) ++y.skip;
            g.pieces.insert(g.pieces.begin(), std::move(x));
        }
        if (!g.pieces.empty() && g.pieces.back().branch >= 0) g.pieces.emplace_back().graph = capture(g, end, end, false, true);
        return g;
    }

    cudnn::device_graph capture(const stage_graphs& g, int from, int to, bool first, bool last) {
        std::vector<int> started;
        for (int i = from; i < to; ++i)
            if (is_started(i)) started.push_back(i);
        std::vector<transfer> reads, writes;
        const auto reader_of = [&](auto reads_it) {
            const auto i = std::find_if(started.begin(), started.end(), [&](int k) { return reads_it(at(k)); });
            return i == started.end() ? -1 : *i;
        };
        if (first) {
            for (const int k : keeps ? std::vector<int>{} : g.loads)
                reads.push_back({memory.inputs_here[static_cast<std::size_t>(k)].data(), memory.inputs[static_cast<std::size_t>(k)].at(), span_of(p.inputs[static_cast<std::size_t>(k)]),
                                 reader_of([k](const step& s) { return (s.plan.kind == step_kind::load_input || s.plan.kind == step_kind::load_u8) && s.input == k; })});
            for (const int k : g.pooled) {
                const int buffer = p.streams[static_cast<std::size_t>(k)].pooled;
                reads.push_back({memory.pooled_here[static_cast<std::size_t>(k)].data(), place_of(buffer), span_of(pooled_bytes(k)),
                                 reader_of([buffer](const step& s) { return s.plan.in == buffer; })});
            }
            if (g.exit >= 0) reads.push_back({memory.sizes_here.data() + size_at(g.exit), of_lanes.front().sizes + size_at(g.exit), span_of(1)});
        }
        for (const int i : started)
            if (!keeps && at(i).plan.kind == step_kind::output && (g.behind.empty() || g.behind.front().step != i)) writes.push_back(output_of(i));
        if (last)
            for (const int k : g.maps) {
                const int buffer = p.streams[static_cast<std::size_t>(k)].map;
                writes.push_back({memory.maps_here[static_cast<std::size_t>(k)].data(), place_of(buffer), span_of(map_bytes(k)), reader_of([buffer](const step& s) { return s.plan.out == buffer; })});
            }
        const bool pools = last && std::any_of(g.maps.begin(), g.maps.end(), [this](int k) { return pool_of(k) != nullptr; });
        const auto pool = [&] {
            for (const int k : g.maps)
                if (pool_of(k)) recorders.front().pool(map_of(p.streams[static_cast<std::size_t>(k)].map), *pool_of(k));
        };
        const auto start = [&](int i) { recorders[static_cast<std::size_t>(net.lane_of(static_cast<std::size_t>(i)))].start(static_cast<std::size_t>(i)); };
        return {gpu, stream(), [&] { return memory.copies.capture(net, stream(), started, reads, writes, start, pools ? std::function<void()>(pool) : nullptr); }};
    }
    transfer output_of(int step) const {
        const std::size_t begin = 4 * images * static_cast<std::size_t>(at(step).plan.offset);
        return {memory.outputs_here.data() + begin, memory.outputs.at() + begin, 4 * images * static_cast<std::size_t>(net.in_of(at(step)).size()), step};
    }

    bool is_placed(std::size_t k) const noexcept { return k < placed.size() && placed[k].is_here; }
    /// Of one frame, outside of its graphs.
    int copy_inputs(const std::vector<int>& which) const noexcept {
        int status = cudnn::driver_ok;
        for (const int input : which) {
            const auto k = static_cast<std::size_t>(input);
            if (status == cudnn::driver_ok && !is_placed(k)) status = gpu.driver().copy_in_async(memory.inputs[k].at(), memory.inputs_here[k].data(), p.inputs[k], stream().get());
        }
        return status;
    }
    int copy_outputs(int first, int last) const noexcept {
        int status = cudnn::driver_ok;
        for (int k = first; k < last; ++k)
            for (const auto& [begin, count] : stages[static_cast<std::size_t>(k)].writes)
                if (status == cudnn::driver_ok) status = gpu.driver().copy_out_async(memory.outputs_here.data() + 4 * begin, memory.outputs.at() + 4 * begin, 4 * count, stream().get());
        return status;
    }

    /// Returns the bytes of one frame's payload.
    std::size_t record_cut(std::size_t c) {
        cut_graphs& g = cuts.emplace_back();
        std::byte* const payload = memory.payloads[c].data();
        const int before = p.cut_stage[c], behind = before + 1;
        const auto passing = [&](int stage, step_kind kind) {
            std::vector<int> steps;
            for (int i = p.stage_first[static_cast<std::size_t>(stage)]; i < p.stage_first[static_cast<std::size_t>(stage) + 1]; ++i)
                if (at(i).plan.passes && at(i).plan.kind == kind) steps.push_back(i);
            return steps;
        };
        const std::vector<int> encoders = passing(before, step_kind::encode), decoders = passing(behind, step_kind::decode);
        std::vector<transfer> leaving, entering;
        std::size_t n = 0;
        for (const crossing& x : p.cuts[c]) {
            const auto of = [&](const std::vector<int>& steps) {
                for (const int i : steps)
                    if (x.buffer == (at(i).plan.kind == step_kind::encode ? at(i).plan.out : at(i).plan.in)) return i;
                return -1;
            };
            if (x.buffer >= 0) {
                leaving.push_back({payload + n, place_of(x.buffer), span_of(x.bytes), of(encoders)});
                entering.push_back({payload + n, place_of(x.buffer), span_of(x.bytes), of(decoders)});
            }
            n += images * frame_step(x.bytes);
        }
        const auto start = [&](int i) { recorders.front().start(static_cast<std::size_t>(i)); };
        g.leave = {gpu, stream(), [&] { return memory.copies.capture(net, stream(), encoders, {}, leaving, start); }};
        g.enter = {gpu, stream(), [&] { return memory.copies.capture(net, stream(), decoders, entering, {}, start); }};
        std::size_t bytes = 0;
        for (const crossing& x : p.cuts[c]) bytes += x.bytes;
        return bytes;
    }

    /// The tensor whose planar copy a buffer is.
    int map_of(int bytes) const {
        for (const step& s : p.steps)
            if (s.plan.kind == step_kind::encode && s.plan.out == bytes) return s.plan.in;
        return -1;
    }
    /// What crossed the cut, from the host's arena.
    void take_payload(const frame_memory& from, const pipeline& host, int cut, std::size_t i) noexcept {
        const auto& items = p.cuts[static_cast<std::size_t>(cut)];
        if (items.size() == 1) return void(host.copy_working(from, cut, item(cut, 0, items.front(), i)));
        (void)host.copy_working(from, cut, scratch.data());
        std::size_t n = 0, at = 0;
        for (const crossing& x : items) {
            std::memcpy(item(cut, at, x, i), scratch.data() + n, x.bytes);
            n += x.bytes;
            at += images * frame_step(x.bytes);
        }
    }
    /// Inputs of a frame that begins here, those a later stage loads for the first time, and what an exit reads of its streams.
    void take_in(const frame_memory& from, const pipeline& host, int stage, bool begins, std::size_t i) noexcept {
        const auto take = [&](std::size_t k) {
            if (from.inputs && from.inputs[k] && !is_placed(k)) std::memcpy(memory.inputs_here[k].data() + i * frame_step(p.inputs[k]), from.inputs[k], p.inputs[k]);
        };
        if (begins && stage == 0)
            for (std::size_t k = 0; k < p.inputs.size(); ++k) take(k);
        if (!begins)
            for (const int k : stages[static_cast<std::size_t>(stage)].loads)
                if (!crosses(k)) take(static_cast<std::size_t>(k));
        for (const int k : stages[static_cast<std::size_t>(stage)].pooled)
            std::memcpy(memory.pooled_here[static_cast<std::size_t>(k)].data() + i * frame_step(pooled_bytes(k)), from.arena + host.streams[k].pooled, pooled_bytes(k));
        if (const int e = stages[static_cast<std::size_t>(stage)].exit; e >= 0) memory.sizes_here.data()[size_at(e) + i * frame_step(1)] = from.arena[host.stream_exits[e].sizes];
    }
    bool crosses(int input) const noexcept {
        for (const auto& c : p.cuts)
            for (const crossing& x : c)
                if (x.input == input) return true;
        return false;
    }
    /// A branch runs if any frame's command wants it.
    int replay(std::span<const frame_memory> frames, const pipeline& host, const stage_graphs& g) const noexcept {
        for (std::size_t k = 0; k < g.pieces.size();) {
            const piece& x = g.pieces[k];
            if (x.branch >= 0) {
                const step& s = at(x.branch);
                bool wanted = false;
                for (std::size_t i = 0; i < frames.size(); ++i) {
                    const std::byte command = s.exit >= 0 ? frames[i].arena[host.stream_exits[s.exit].sizes]
                                                          : memory.inputs_here[static_cast<std::size_t>(s.input)].data()[i * frame_step(p.inputs[static_cast<std::size_t>(s.input)])];
                    wanted = wanted || static_cast<int>(command) == s.plan.offset;
                }
                k = wanted ? k + 1 : static_cast<std::size_t>(x.skip);
                continue;
            }
            if (const int status = x.graph.launch(stream()); status != cudnn::driver_ok) return status;
            ++k;
        }
        return cudnn::driver_ok;
    }
    void hand_out(const frame_memory& to, const pipeline& host, const stage_graphs& g, std::size_t i) const noexcept {
        for (const auto& [begin, count] : g.writes) std::memcpy(to.outputs + begin, memory.outputs_here.data() + 4 * (images * begin + i * count), 4 * count);
        for (const int k : g.maps)
            std::memcpy(to.arena + host.streams[k].map, memory.maps_here[static_cast<std::size_t>(k)].data() + i * frame_step(map_bytes(k)), map_bytes(k));
    }

    const cudnn::device& gpu;
    const layers& net;
    const program& p;
    frame_store& memory;
    std::size_t images;
    bool keeps;                             ///< outputs stay here, and inputs are copied outside of the graphs
    std::vector<frame_addresses> of_lanes;              ///< lanes run cuDNN in room of their own
    std::vector<recorder> recorders;
    mutable std::vector<const void*> inputs_taken;      ///< in pinned memory
    mutable std::vector<placed_input> placed;           ///< those that may be: of sessions whose outputs stay
    std::vector<stage_graphs> stages;
    std::vector<cut_graphs> cuts;
    mutable std::vector<std::byte> scratch;
    mutable bool holds{};
    const float* handed{};                  ///< the outputs of the frame that it holds
    mutable debt owed{};
};

} // namespace splitdsl::gpu
