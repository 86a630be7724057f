// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file copies.hpp
/// Copies between host and device beside the kernels of the same graph: on a second stream, from where they may begin to where someone needs them.
#pragma once

#include <kernels/cudnn/device.hpp>
#include <splitdsl/gpu/layers.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace splitdsl::gpu {

namespace cudnn = kernels::cudnn;

/// One copy. `host` is pinned memory.
struct transfer {
    std::byte* host{};
    cudnn::device_address at{};
    std::size_t bytes{};
    int step{-1};       ///< to the device: the first step that reads it; from there: the one that writes it; -1: none of the graph's
};

/// The streams of an arena beside its own, for copies and for steps that run beside each other. What is captured from all is one graph; a graph without either stays a chain.
class copy_stream {
public:
    /// `most`: transfers to the device in one graph; `beside`: lanes, for at most `steps` steps. Throws `device_error`.
    copy_stream(const cudnn::device& on, std::size_t most, int beside, std::size_t steps) : gpu{on}, copies{on}, forked{on}, lanes{on, beside, steps} {
        for (std::size_t i = 0; i < most; ++i) arrived.emplace_back(on);
    }

    const cudnn::device_stream& stream_of(int lane, const cudnn::device_stream& main) const { return lanes.of(lane, main); }

    /// While `main` is captured: starts `steps` in order, each on its lane behind those that it must wait for, with everything that they read and write brought over, and `rest` behind them all. A
    /// transfer from the device waits for nothing but the step that writes it, and for one to the device waits the step that reads it. Returns whether anything was started.
    template <class Start>
    bool capture(const layers& net, const cudnn::device_stream& main, std::span<const int> steps, std::span<const transfer> to_device, std::span<const transfer> from_device, Start start,
                 const std::function<void()>& rest = {}) {
        const bool in_lanes = lanes.count() > 1;
        if (in_lanes) lanes.begin();
        const auto stream_here = [&](int step) -> const cudnn::device_stream& { return step < 0 || !in_lanes ? main : lanes.of(net.lane_of(static_cast<std::size_t>(step)), main); };
        // What the first step needs, and all if there is none, goes ahead of it: nothing could run beside that.
        const auto is_ahead = [&](const transfer& t) { return steps.empty() || t.step == steps.front(); };
        bool is_open = false;
        for (const transfer& t : to_device)
            if (is_ahead(t)) copy_in(t, main);
        for (std::size_t i = 0; i < to_device.size(); ++i) {
            if (is_ahead(to_device[i])) continue;
            if (!is_open) fork(main);
            is_open = true;
            copy_in(to_device[i], copies);
            gpu.expect(gpu.driver().record_event(arrived[i].get(), copies.get()), "recording an event");
        }
        const auto is_behind = [&](const transfer& t) { return !rest && (steps.empty() || t.step == steps.back()); };
        const auto leave = [&](int step) {
            for (const transfer& t : from_device) {
                if (t.step != step || is_behind(t)) continue;
                fork(stream_here(step));
                is_open = true;
                copy_out(t, copies);
            }
        };
        // Whatever fails, the capture ends with all streams joined.
        struct joining {
            const copy_stream& of;
            const cudnn::device_stream& main;
            bool in_lanes;
            const bool& is_open;
            bool is_over{};
            ~joining() {
                if (is_over) return;
                if (in_lanes) of.lanes.join_quietly(main);
                if (is_open) (void)of.order(of.copies, main);
            }
        } join_all{*this, main, in_lanes, is_open};
        leave(-1);
        for (const int step : steps) {
            if (in_lanes) lanes.enter(net.lane_of(static_cast<std::size_t>(step)), main, [&](int first) { return net.must_wait(static_cast<std::size_t>(step), static_cast<std::size_t>(first)); });
            for (std::size_t i = 0; i < to_device.size(); ++i)
                if (to_device[i].step == step && !is_ahead(to_device[i])) gpu.expect(gpu.driver().wait_for_event(stream_here(step).get(), arrived[i].get(), 0), "waiting for an event");
            start(step);
            if (in_lanes) lanes.leave(step, net.lane_of(static_cast<std::size_t>(step)), main);
            leave(step);
        }
        if (in_lanes) lanes.join(main);
        if (rest) rest();
        for (const transfer& t : from_device)
            if (is_behind(t)) copy_out(t, main);
        if (is_open) join(main);
        join_all.is_over = true;
        return rest || !steps.empty() || !to_device.empty() || !from_device.empty();
    }

    /// Outside of a capture: starts copies from the device behind what `main` was given so far; `is_beside`: on the second stream, beside what `main` is given
    /// next. The driver's status.
    int start(const cudnn::device_stream& main, std::span<const transfer> from_device, bool is_beside) const noexcept {
        int status = is_beside ? order(main, copies) : static_cast<int>(cudnn::driver_ok);
        for (const transfer& t : from_device)
            if (status == cudnn::driver_ok) status = gpu.driver().copy_out_async(t.host, t.at, t.bytes, (is_beside ? copies : main).get());
        return status;
    }
    /// `main` goes on when the copies beside it are done.
    int finish(const cudnn::device_stream& main) const noexcept { return order(copies, main); }

private:
    int order(const cudnn::device_stream& first, const cudnn::device_stream& then) const noexcept {
        const int status = gpu.driver().record_event(forked.get(), first.get());
        return status == cudnn::driver_ok ? gpu.driver().wait_for_event(then.get(), forked.get(), 0) : status;
    }
    void fork(const cudnn::device_stream& main) const { gpu.expect(order(main, copies), "ordering streams"); }
    void join(const cudnn::device_stream& main) const { gpu.expect(order(copies, main), "ordering streams"); }
    void copy_in(const transfer& t, const cudnn::device_stream& on) const { gpu.expect(gpu.driver().copy_in_async(t.at, t.host, t.bytes, on.get()), "copying to the device"); }
    void copy_out(const transfer& t, const cudnn::device_stream& on) const { gpu.expect(gpu.driver().copy_out_async(t.host, t.at, t.bytes, on.get()), "copying from the device"); }

    const cudnn::device& gpu;
    cudnn::device_stream copies;
    cudnn::device_event forked;
    lane_streams lanes;
    std::vector<cudnn::device_event> arrived;
};

} // namespace splitdsl::gpu
