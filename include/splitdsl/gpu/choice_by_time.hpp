// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file choice_by_time.hpp
/// Times each convolution in all ways in which it may run, when a network is laid out, and takes the quickest. Never during a frame.
#pragma once

#include <splitdsl/gpu/recorder.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace splitdsl::gpu {

/// What was timed, and where another way was taken than without times.
struct choice_counts {
    int timed{}, ways{}, changed{}, left{};         ///< convolutions, their ways, other ones than by rule, and those that there was no time for
};

/// Times ways in memory of its own, which it gives back: all values are 0.
class way_timer {
public:
    static constexpr int in_a_graph = 8;        ///< one behind the other, as a frame's graph starts them
    static constexpr int rounds = 5;
    static constexpr double equal = 1.02;       ///< times that far apart are no difference: the earlier way is taken

    /// Throws `device_error`.
    way_timer(const cudnn::device& on, layers& of)
        : gpu{on}, net{of}, stream{on}, arena{on, of.arena().bytes}, parameters{on, of.parameters()} {
        m.arena = arena.at(), m.parameters = parameters.at();
    }

    /// The quickest of a convolution's ways: the first of those whose least time is no more than `equal` times the least of all. The step in front, where some of
    /// them do it as well, is timed with the others. -1: none runs.
    int quickest(std::size_t step, const std::vector<convolution_way>& ways, int in_front) {
        const convolution_way before = net.at(step).way;
        // Of all ways at once: a graph keeps the addresses that it was captured with.
        std::size_t room = 0;
        for (const convolution_way& w : ways)
            if (w.plan) room = std::max(room, static_cast<std::size_t>(w.plan->workspace()));
        if (room > workspace.size()) {
            workspace = {};
            workspace = {gpu, room};
        }
        m.workspace = workspace.at();
        std::vector<cudnn::device_graph> graphs;
        for (const convolution_way& w : ways) {
            net.take(step, w);
            graphs.push_back(captured(step, w.melted < 0 ? in_front : -1));
        }
        net.take(step, before);
        std::vector<float> least(ways.size(), std::numeric_limits<float>::infinity());
        for (int round = 0; round < rounds; ++round) take_turns(graphs, least);      // in turns: a device's clock may rise meanwhile
        const float best = *std::min_element(least.begin(), least.end());
        for (std::size_t k = 0; k < ways.size(); ++k)
            if (graphs[k] && static_cast<double>(least[k]) <= equal * static_cast<double>(best)) return static_cast<int>(k);
        return -1;
    }

private:
    /// Empty if cuDNN does not run what it planned.
    cudnn::device_graph captured(std::size_t step, int in_front) {
        const auto lock = gpu.lock_network();
        const released_stream release{gpu};
        const recorder record{gpu, net, m, stream};
        const auto issue = [&] {
            if (in_front >= 0) record.start(static_cast<std::size_t>(in_front));
            record.start(step);
        };
        try {
            issue();                        // outside of a capture: what cuDNN loads or compiles
            gpu.expect(gpu.driver().wait(stream.get()), "the first run of a convolution");
            cudnn::device_graph g{gpu, stream, [&] {
                                      for (int n = 0; n < in_a_graph; ++n) issue();
                                      return true;
                                  }};
            gpu.expect(g.launch(stream), "timing a convolution");
            gpu.expect(gpu.driver().wait(stream.get()), "timing a convolution");
            return g;
        } catch (const device_error& failure) {
            if (failure.why != device_failure::unsupported) throw;
            return {};
        }
    }
    /// All of them one behind the other, and the first one ahead of them all: while the device is busy with one the host brings the next, so that no launch is in a time.
    void take_turns(const std::vector<cudnn::device_graph>& graphs, std::vector<float>& least) {
        const auto& d = gpu.driver();
        std::size_t n = 0;
        for (std::size_t k = 0; k < graphs.size(); ++k) {
            if (!graphs[k]) continue;
            if (n == 0) gpu.expect(graphs[k].launch(stream), "timing a convolution");
            while (marks.size() < n + 2) marks.emplace_back(gpu, cudnn::event_with_time);
            if (n == 0) gpu.expect(d.record_event(marks[n].get(), stream.get()), "timing a convolution");
            gpu.expect(graphs[k].launch(stream), "timing a convolution");
            gpu.expect(d.record_event(marks[++n].get(), stream.get()), "timing a convolution");
        }
        gpu.expect(d.wait(stream.get()), "timing a convolution");
        n = 0;
        for (std::size_t k = 0; k < graphs.size(); ++k) {
            if (!graphs[k]) continue;
            float milliseconds = 0;
            gpu.expect(d.time_between(&milliseconds, marks[n].get(), marks[n + 1].get()), "timing a convolution");
            least[k] = std::min(least[k], milliseconds);
            ++n;
        }
    }

    const cudnn::device& gpu;
    layers& net;
    cudnn::device_stream stream;
    std::vector<cudnn::device_event> marks;
    cudnn::device_memory arena, parameters, workspace;
    frame_addresses m{};
};

/// Times every convolution of `net` that has several ways to run, layers alike once, for no longer than `seconds`, which what it took is taken from, and has it run in the quickest. Throws `device_error`.
inline choice_counts choose_by_time(const cudnn::device& gpu, layers& net, double& seconds) {
    choice_counts n;
    if (seconds <= 0) return n;
    const auto begin = std::chrono::steady_clock::now();
    const auto taken = [begin] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
    struct settled {
        cudnn::convolution_shape shape;
        int front_kind, front_pixel, way;
    };
    std::vector<settled> known;
    std::unique_ptr<way_timer> timer;
    for (std::size_t i = 0; i < net.of().steps.size(); ++i) {
        if (!net.is_timed(i)) continue;
        if (taken() > seconds) {                // before its engines are asked for: cuDNN may compile one
            ++n.left;
            continue;
        }
        const std::vector<convolution_way> ways = net.ways_of(i);
        if (ways.size() < 2) continue;
        int in_front = -1;
        for (const convolution_way& w : ways) in_front = std::max(in_front, w.melted);
        const step* const front = in_front < 0 ? nullptr : &net.of().steps[static_cast<std::size_t>(in_front)];
        const cudnn::convolution_shape shape = net.shape_of(i);
        const int kind = front ? static_cast<int>(front->plan.kind) : -1, pixel = front ? net.arena().places[static_cast<std::size_t>(front->plan.in)].pixel : 0;
        auto seen = std::find_if(known.begin(), known.end(), [&](const settled& k) { return k.shape == shape && k.front_kind == kind && k.front_pixel == pixel; });
        if (seen == known.end()) {
            if (!timer) timer = std::make_unique<way_timer>(gpu, net);
            known.push_back({shape, kind, pixel, timer->quickest(i, ways, in_front)});
            seen = known.end() - 1;
            n.ways += static_cast<int>(ways.size());
        }
        ++n.timed;
        if (seen->way < 0) continue;
        const convolution_way& chosen = ways[static_cast<std::size_t>(seen->way)];
        const convolution_way& had = net.at(i).way;
        n.changed += chosen.plan != had.plan || chosen.tile != had.tile || chosen.melted != had.melted;
        net.take(i, chosen);
    }
    seconds = std::max(seconds - taken(), 0.0);
    return n;
}

} // namespace splitdsl::gpu
