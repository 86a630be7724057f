// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file lanes.hpp
/// Which steps of a stage run beside each other on a device: branches of a network that do not read each other, each on a stream of its own.
///
/// Small maps do not fill a device, and a chain of kernels waits for each in turn. Steps get their lanes by what they read and write, before memory is laid out; where lanes
/// run beside each other tensors keep their memory until they meet again, so that no step waits only because of its memory. When a graph is captured, steps wait for each other
/// by the memory that they really share.
#pragma once

#include <kernels/cudnn/device.hpp>
#include <splitdsl/gpu/arena.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace splitdsl::gpu {

/// A step's lane, and until which step each buffer keeps its memory. Lane 0 is the arena's own stream.
struct lane_plan {
    static constexpr int most = 4;
    std::vector<int> of;
    std::vector<int> last;
    int count{1};

    /// All steps one after another.
    static lane_plan one(const program& p) {
        lane_plan plan;
        plan.of.assign(p.steps.size(), 0);
        for (const graph::buffer& b : p.buffers) plan.last.push_back(b.last);
        return plan;
    }
};

namespace detail {

/// Channels [begin, end) of the buffer that a slice lies in.
struct channel_range {
    int root, begin, end;
    bool meets(const channel_range& o) const { return root == o.root && begin < o.end && o.begin < end; }
};
inline channel_range channels_of(const program& p, const std::vector<slice>& slices, int buffer) {
    int begin = 0, root = buffer;
    for (; slices[static_cast<std::size_t>(root)].of >= 0; root = slices[static_cast<std::size_t>(root)].of) begin += slices[static_cast<std::size_t>(root)].channel;
    return {root, begin, begin + std::max(p.buffers[static_cast<std::size_t>(buffer)].of.channels, 1)};
}
/// Of a concatenation's operand that stands in its place already nothing runs.
inline bool is_nothing(const step& s, const std::vector<slice>& slices) {
    if (s.plan.kind == step_kind::branch || s.plan.kind == step_kind::copy_input) return true;
    return is_concat_copy(s) && slices[static_cast<std::size_t>(s.plan.in)].of == s.plan.out && slices[static_cast<std::size_t>(s.plan.in)].channel == s.plan.offset;
}
/// Kernels of tensors alone: codecs share memory that no buffer is, and inputs and outputs are copied beside the first lane.
inline bool may_leave_first_lane(step_kind k) {
    switch (k) {
    case step_kind::load_input:
    case step_kind::load_u8:
    case step_kind::encode:
    case step_kind::decode:
    case step_kind::output: return false;
    default: return true;
    }
}

} // namespace detail

/// Lanes of a program for one frame.
inline lane_plan lanes_of(const program& p, const std::vector<slice>& slices) {
    lane_plan plan = lane_plan::one(p);
    const auto at = [&](int i) -> const graph::step& { return p.steps[static_cast<std::size_t>(i)].plan; };
    const auto meet = [&](int a, int b) { return a >= 0 && b >= 0 && detail::channels_of(p, slices, a).meets(detail::channels_of(p, slices, b)); };
    // Whether a step reads or writes what an earlier one writes, or writes what that reads.
    const auto follows = [&](int later, int first) {
        const graph::step &a = at(first), &b = at(later);
        for (const int r : {b.in, b.in2, b.addend, b.out})
            if (meet(r, a.out)) return true;
        for (const int r : {a.in, a.in2, a.addend})
            if (meet(b.out, r)) return true;
        return false;
    };
    for (int stage = 0; stage < p.stages(); ++stage) {
        const int begin = p.stage_first[static_cast<std::size_t>(stage)], end = p.stage_first[static_cast<std::size_t>(stage) + 1];
        const std::size_t n = static_cast<std::size_t>(end - begin);
        std::vector<std::vector<bool>> before(n, std::vector<bool>(n));        // what a step waits for, by others perhaps
        std::vector<int> ends(lane_plan::most, -1);                            // of each lane: its last step
        const auto waits = [&](int later, int first) { return first < 0 || before[static_cast<std::size_t>(later - begin)][static_cast<std::size_t>(first - begin)]; };
        for (int i = begin; i < end; ++i) {
            if (detail::is_nothing(p.steps[static_cast<std::size_t>(i)], slices)) continue;
            auto& mine = before[static_cast<std::size_t>(i - begin)];
            std::vector<bool> directly(n);
            for (int k = i - 1; k >= begin; --k) {
                if (mine[static_cast<std::size_t>(k - begin)] || detail::is_nothing(p.steps[static_cast<std::size_t>(k)], slices) || !follows(i, k)) continue;
                directly[static_cast<std::size_t>(k - begin)] = mine[static_cast<std::size_t>(k - begin)] = true;
                for (std::size_t q = 0; q < n; ++q) mine[q] = mine[q] || before[static_cast<std::size_t>(k - begin)][q];
            }
            // Where something that it waits for was last; else where all is over that it would wait for.
            int lane = -1;
            for (int l = lane_plan::most - 1; l >= 0; --l)
                if (const int e = ends[static_cast<std::size_t>(l)]; e >= 0 && directly[static_cast<std::size_t>(e - begin)]) lane = l;
            for (int l = 0; lane < 0 && l < lane_plan::most; ++l)
                if (waits(i, ends[static_cast<std::size_t>(l)])) lane = l;
            if (lane < 0) lane = static_cast<int>(std::min_element(ends.begin(), ends.end()) - ends.begin());
            if (!detail::may_leave_first_lane(at(i).kind) || std::find(mine.begin(), mine.end(), true) == mine.end()) lane = 0;
            // What runs ahead of it on its lane it waits for now, too.
            if (const int e = ends[static_cast<std::size_t>(lane)]; e >= 0) {
                mine[static_cast<std::size_t>(e - begin)] = true;
                for (std::size_t q = 0; q < n; ++q) mine[q] = mine[q] || before[static_cast<std::size_t>(e - begin)][q];
            }
            ends[static_cast<std::size_t>(lane)] = i;
            plan.of[static_cast<std::size_t>(i)] = lane;
            plan.count = std::max(plan.count, lane + 1);
        }
        // Spans of steps that may run beside each other.
        std::vector<int> span_end(n, -1);
        for (int i = begin; i < end; ++i)
            for (int k = i - 1; k >= begin; --k)
                if (plan.of[static_cast<std::size_t>(i)] != plan.of[static_cast<std::size_t>(k)] && !waits(i, k) && !detail::is_nothing(p.steps[static_cast<std::size_t>(i)], slices) &&
                    !detail::is_nothing(p.steps[static_cast<std::size_t>(k)], slices))
                    span_end[static_cast<std::size_t>(k - begin)] = std::max(span_end[static_cast<std::size_t>(k - begin)], i);
        for (int first = begin; first < end;) {
            int last = span_end[static_cast<std::size_t>(first - begin)];
            for (int k = first; k <= last; ++k) last = std::max(last, span_end[static_cast<std::size_t>(k - begin)]);
            for (std::size_t b = 0; b < p.buffers.size(); ++b)
                if (last >= 0 && plan.last[b] >= first && plan.last[b] < last) plan.last[b] = last;
            first = std::max(first, last) + 1;
        }
    }
    return plan;
}

/// While a graph is captured: the streams of all lanes, and which step has waited for which.
class lane_streams {
public:
    /// Throws `device_error`.
    lane_streams(const kernels::cudnn::device& on, int lanes, std::size_t steps) : gpu{on} {
        for (int l = 1; l < lanes; ++l) streams.push_back(std::make_unique<kernels::cudnn::device_stream>(on));
        for (std::size_t i = 0; lanes > 1 && i < steps + 1; ++i) done.emplace_back(on);
    }
    int count() const { return static_cast<int>(streams.size()) + 1; }
    const kernels::cudnn::device_stream& of(int lane, const kernels::cudnn::device_stream& main) const { return lane == 0 ? main : *streams[static_cast<std::size_t>(lane) - 1]; }

    /// A capture on `main` begins: no other lane takes part yet.
    void begin() {
        started.clear();
        known.assign(static_cast<std::size_t>(count()), std::vector<int>(static_cast<std::size_t>(count()), -1));
        takes_part.assign(static_cast<std::size_t>(count()), false);
        takes_part[0] = true;
    }
    /// What a step does on `lane` from here on comes behind all that `must_wait` says of the steps so far.
    template <class MustWait>
    void enter(int lane, const kernels::cudnn::device_stream& main, MustWait must_wait) {
        auto& mine = known[static_cast<std::size_t>(lane)];
        for (std::size_t k = started.size(); k-- > 0;) {
            const auto& [step, its_lane, knew] = started[k];
            if (its_lane == lane || static_cast<int>(k) <= mine[static_cast<std::size_t>(its_lane)] || !must_wait(step)) continue;
            wait(lane, main, k);
            takes_part[static_cast<std::size_t>(lane)] = true;
        }
        if (takes_part[static_cast<std::size_t>(lane)]) return;
        record(done.size() - 1, main);
        gpu.expect(gpu.driver().wait_for_event(of(lane, main).get(), done.back().get(), 0), "waiting for an event");
        takes_part[static_cast<std::size_t>(lane)] = true;
    }
    void leave(int step, int lane, const kernels::cudnn::device_stream& main) {
        known[static_cast<std::size_t>(lane)][static_cast<std::size_t>(lane)] = static_cast<int>(started.size());
        started.push_back({step, lane, known[static_cast<std::size_t>(lane)]});
        record(started.size() - 1, of(lane, main));
    }
    /// `main` goes on behind all lanes.
    void join(const kernels::cudnn::device_stream& main) {
        for (std::size_t k = started.size(); k-- > 0;)
            if (const int lane = started[k].lane; lane != 0 && static_cast<int>(k) > known[0][static_cast<std::size_t>(lane)]) wait(0, main, k);
    }
    /// The same where something failed.
    void join_quietly(const kernels::cudnn::device_stream& main) const noexcept {
        for (int lane = 1; lane < count(); ++lane)
            if (takes_part[static_cast<std::size_t>(lane)] && gpu.driver().record_event(done.back().get(), of(lane, main).get()) == kernels::cudnn::driver_ok)
                (void)gpu.driver().wait_for_event(main.get(), done.back().get(), 0);
    }

private:
    struct started_step {
        int step, lane;
        std::vector<int> knew;      ///< of each lane the last of `started` that was over before
    };
    void record(std::size_t event, const kernels::cudnn::device_stream& on) const { gpu.expect(gpu.driver().record_event(done[event].get(), on.get()), "recording an event"); }
    void wait(int lane, const kernels::cudnn::device_stream& main, std::size_t k) {
        gpu.expect(gpu.driver().wait_for_event(of(lane, main).get(), done[k].get(), 0), "waiting for an event");
        for (std::size_t l = 0; l < known.size(); ++l) known[static_cast<std::size_t>(lane)][l] = std::max(known[static_cast<std::size_t>(lane)][l], started[k].knew[l]);
    }

    const kernels::cudnn::device& gpu;
    std::vector<std::unique_ptr<kernels::cudnn::device_stream>> streams;
    std::vector<kernels::cudnn::device_event> done;         ///< of each started step, and of where a lane begins
    std::vector<started_step> started;
    std::vector<std::vector<int>> known;
    std::vector<bool> takes_part;
};

} // namespace splitdsl::gpu
