// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_streams.hpp
/// Streams, events and captured graphs of the made-up device: work with what it waits for, run in whichever of the allowed orders a test asks for.
#pragma once

#include "fake_device.hpp"
#include "shadow.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace fake {

/// A piece of work, and which of those before it have to be done.
struct fake_work {
    std::function<int()> run;
    handle stream{};
    std::vector<std::size_t> after;
    bool is_copy{}, is_done{};
};
/// Work of several streams, as far as it is not ordered by them or by events in any order.
struct fake_queue {
    std::vector<fake_work> work;
    std::map<handle, std::vector<std::size_t>> ends;    ///< of each stream: what the next piece of it waits for
    std::map<handle, std::vector<std::size_t>> events;
    std::set<handle> with_graphs;                       ///< streams that graphs run on
    bool is_graph{};

    void add(std::function<int()> run, handle stream, bool is_copy) {
        auto& end = ends[stream];
        work.push_back({std::move(run), stream, std::exchange(end, {work.size()}), is_copy});
    }
    void record(handle event, handle stream) { events[event] = ends[stream]; }
    void wait(handle stream, handle event) {
        auto& end = ends[stream];
        for (const std::size_t w : events[event])
            if (std::find(end.begin(), end.end(), w) == end.end()) end.push_back(w);
    }
    bool is_ready(const fake_work& w) const {
        return std::all_of(w.after.begin(), w.after.end(), [&](std::size_t i) { return work[i].is_done; });
    }
    /// Runs a piece and what it waits for. The first status that is not success.
    int finish(std::size_t i) {
        if (std::exchange(work[i].is_done, true)) return 0;
        int status = 0;
        for (const std::size_t before : work[i].after)
            if (const int seen = finish(before); status == 0) status = seen;
        if (status != 0) return status;
        if (shadow::is_on && is_graph) shadow::at_node(static_cast<int>(i));
        return work[i].run();
    }
    /// Runs all work of a stream, and of others what it waits for; `order` says when the others' runs.
    int run(handle stream, stream_order order) {
        int status = 0;
        const auto note = [&](int seen) { status = status == 0 ? seen : status; };
        for (std::size_t i = 0; i < work.size(); ++i) {
            if (order == stream_order::others_first)
                for (std::size_t k = 0; k < work.size(); ++k)
                    if (work[k].stream != stream && !work[k].is_done && is_ready(work[k])) note(finish(k));
            if (work[i].stream == stream || order == stream_order::issued) note(finish(i));
        }
        for (const std::size_t w : ends[stream]) note(finish(w));
        return status;
    }
    /// Whether `later` waits for `first`, by others perhaps.
    bool waits(std::size_t later, std::size_t first) const {
        return later == first || std::any_of(work[later].after.begin(), work[later].after.end(), [&](std::size_t i) { return i >= first && waits(i, first); });
    }
    /// For each piece of work all that it waits for.
    std::vector<std::vector<bool>> all_before() const {
        std::vector<std::vector<bool>> before(work.size(), std::vector<bool>(work.size()));
        for (std::size_t i = 0; i < work.size(); ++i)
            for (const std::size_t a : work[i].after) {
                before[i][a] = true;
                for (std::size_t k = 0; k < a; ++k)
                    if (before[a][k]) before[i][k] = true;
            }
        return before;
    }
    /// Copies beside which some kernel may run.
    int overlaps() const {
        int n = 0;
        for (std::size_t c = 0; c < work.size(); ++c) {
            bool beside = false;
            for (std::size_t k = 0; k < work.size() && work[c].is_copy; ++k) beside = beside || (!work[k].is_copy && !waits(k, c) && !waits(c, k));
            n += beside;
        }
        return n;
    }
    /// Kernels beside which another may run.
    int kernels_beside() const {
        int n = 0;
        for (std::size_t a = 0; a < work.size(); ++a) {
            bool beside = false;
            for (std::size_t b = 0; b < work.size() && !work[a].is_copy; ++b) beside = beside || (!work[b].is_copy && !waits(a, b) && !waits(b, a));
            n += beside;
        }
        return n;
    }
    /// Forgets what is done, if all is.
    void tidy() {
        if (!std::all_of(work.begin(), work.end(), [](const fake_work& w) { return w.is_done; })) return;
        work.clear();
        for (auto& [stream, end] : ends) end.clear();
        for (auto& [event, end] : events) end.clear();
    }
};
struct captured_graph {
    fake_queue queue;
    std::vector<std::vector<bool>> before{};        ///< where accesses are checked: of each piece of work, what it waits for
    handle from{};      ///< the stream whose capture was begun
    bool is_broken{};
};
inline fake_queue pending;      // of all streams, outside of captures
inline thread_local bool default_is_behind = false;         // this thread gave the default stream work, and did not wait for it

inline void complain(const std::string& what) {
    if (now.wrong.empty()) now.wrong = what;
}
inline const bool hears_of_accesses = [] {
    if constexpr (shadow::is_on) shadow::report_to(complain);
    return true;
}();
/// One thread at a time is inside, and what the fake itself takes from the heap is not counted.
struct driver_call {
    driver_call() = default;
    driver_call(const driver_call&) = delete;
    driver_call& operator=(const driver_call&) = delete;
    ~driver_call() { now.counts_heap = counted; }
    static inline std::recursive_mutex one;
    std::lock_guard<std::recursive_mutex> hold{one};
    bool counted = std::exchange(now.counts_heap, false);
};
/// What has to be over before the next piece of a stream's work begins: of each stream, how much of it. The host is one: threads of it order each other in ways that are not seen here.
inline std::map<handle, shadow::clock> ends_of_streams, of_events;
inline shadow::clock host_knows;
inline void join(shadow::clock& a, const shadow::clock& b) {
    for (const auto& [stream, number] : b) a[stream] = std::max(a[stream], number);
}
/// The same work, at its place in the order of all work.
template <class Work>
std::function<int()> in_order(handle stream, Work work) {
    if constexpr (!shadow::is_on) return work;
    shadow::clock& end = ends_of_streams[stream];
    join(end, host_knows);
    static long all = 0;
    const long number = end[stream] = ++all;
    return [=, behind = std::make_shared<shadow::clock>(end)] {
        shadow::at_moment(behind.get(), stream, number);
        const int status = work();
        shadow::at_moment(nullptr, nullptr, 0);
        return status;
    };
}
inline bool is_captured(handle stream) { return now.capturing && now.capturing->queue.ends.contains(stream); }
inline int enqueue(handle stream, bool is_copy, std::function<int()> work) {
    if (now.capturing) return now.capturing->queue.add(std::move(work), stream, is_copy), 0;
    if (is_copy && !pending.with_graphs.contains(stream)) ++now.copies_beside_graphs;
    work = in_order(stream, std::move(work));
    if (now.order == stream_order::issued && pending.work.empty()) return work();
    pending.add(std::move(work), stream, is_copy);
    return 0;
}
inline void refuse_while_capturing(const char* what) {
    if (now.capturing) complain(std::string(what) + " during a capture");
}
inline void check_context(const char* what) {
    if (in_use < 0) complain(std::string(what) + " on a thread that has no context");
}
/// A stream belongs to a device, what is captured must be work of a stream that takes part, and what the thread gave the default stream must be over: ours do
/// not wait for that one.
inline void check_stream(const char* what, handle stream) {
    check_context(what);
    if (default_is_behind) complain(std::string(what) + " beside a copy or fill of the default stream that may not be over");
    if (*static_cast<int*>(stream) != in_use) complain(std::string(what) + " on another device's stream");
    if (now.capturing && !is_captured(stream)) complain(std::string(what) + " on another stream than the captured one");
}

inline std::map<handle, double> times;      // of events that take them, on the made-up clock; -1: not recorded yet
inline std::set<handle> of_captures;        // events that were recorded last in a capture
inline bool is_of_capture(handle event) { return of_captures.contains(event); }

inline std::map<handle, handle> given_to;    // cuDNN's handles and the stream each has: it may look at that one again when it gets another, or ends

inline void add_streams(cudnn::driver_api& d) {
    d.create_stream = [](handle* s, unsigned flags) {
        const driver_call here;
        check_context("cuStreamCreate");
        if (flags != cudnn::stream_non_blocking) complain("a stream that waits for the default stream");
        return *s = new int{in_use}, ++now.streams, ++now.calls_that_allocate, 0;
    };
    d.destroy_stream = [](handle s) {
        const driver_call here;
        check_context("cuStreamDestroy");
        if (std::any_of(given_to.begin(), given_to.end(), [s](const auto& g) { return g.second == s; })) complain("cuStreamDestroy of a stream that cuDNN's handle has");
        pending.run(s, stream_order::others_last);
        pending.tidy();
        pending.ends.erase(s);
        pending.with_graphs.erase(s);
        if constexpr (shadow::is_on) join(host_knows, ends_of_streams[s]), ends_of_streams.erase(s);
        return delete static_cast<int*>(s), --now.streams, 0;
    };
    d.wait = [](handle s) {
        while (hangs) std::this_thread::sleep_for(std::chrono::milliseconds{1});
        const driver_call here;
        refuse_while_capturing("cuStreamSynchronize");
        check_context("cuStreamSynchronize");
        if constexpr (shadow::is_on) join(host_knows, ends_of_streams[s]), shadow::seen.loads_plans = false;
        if (!s) return default_is_behind = false, 0;
        const int status = pending.run(s, now.order);
        pending.tidy();
        return status;
    };
    d.create_event = [](handle* e, unsigned flags) {
        const driver_call here;
        check_context("cuEventCreate");
        if (flags != cudnn::event_without_time && flags != cudnn::event_with_time) complain("cuEventCreate with flags that we never ask for");
        if (flags == cudnn::event_with_time) times[*e = new int{in_use}] = -1;
        else *e = new int{in_use};
        if constexpr (shadow::is_on) shadow::seen.takes_times = !times.empty();
        return ++now.events, ++now.calls_that_allocate, 0;
    };
    d.destroy_event = [](handle e) {
        const driver_call here;
        check_context("cuEventDestroy");
        pending.events.erase(e);
        of_events.erase(e);
        of_captures.erase(e);
        times.erase(e);
        if constexpr (shadow::is_on) shadow::seen.takes_times = !times.empty();
        return delete static_cast<int*>(e), --now.events, 0;
    };
    d.record_event = [](handle e, handle s) {
        const driver_call here;
        check_stream("cuEventRecord", s);
        if (*static_cast<int*>(e) != in_use) complain("cuEventRecord of another device's event");
        if (const auto timed = times.find(e); timed != times.end()) {
            if (now.capturing) complain("the time of an event that a capture recorded");
            pending.run(s, now.order);
            timed->second = now.clock;
        }
        (now.capturing ? now.capturing->queue : pending).record(e, s);
        if (shadow::is_on && !now.capturing) of_events[e] = ends_of_streams[s];
        now.capturing ? void(of_captures.insert(e)) : void(of_captures.erase(e));
        return 0;
    };
    d.time_between = [](float* milliseconds, handle first, handle then) {
        const driver_call here;
        check_context("cuEventElapsedTime");
        const auto from = times.find(first), to = times.find(then);
        if (from == times.end() || to == times.end() || from->second < 0 || to->second < 0) return complain("cuEventElapsedTime of an event without a time"), 600;
        return *milliseconds = static_cast<float>(to->second - from->second), 0;
    };
    // In a capture the stream takes part from here on.
    d.wait_for_event = [](handle s, handle e, unsigned) {
        const driver_call here;
        if (*static_cast<int*>(s) != in_use) complain("cuStreamWaitEvent on another device's stream");
        if (*static_cast<int*>(e) != in_use) complain("cuStreamWaitEvent for another device's event");
        if (!now.capturing && is_of_capture(e)) complain("cuStreamWaitEvent for an event that a capture recorded");
        if (now.capturing && !now.capturing->queue.events.contains(e)) complain("cuStreamWaitEvent in a capture for an event of none");
        if constexpr (shadow::is_on) {
            if (now.capturing && now.capturing->queue.ends.contains(s) && shadow::seen.event_waits++ == shadow::seen.left_out_event_wait) return 0;
            if (!now.capturing) join(ends_of_streams[s], of_events[e]);
        }
        (now.capturing ? now.capturing->queue : pending).wait(s, e);
        return 0;
    };
    d.begin_capture = [](handle stream, int mode) {
        driver_call::one.lock();        // of one thread: what others do at the same time would be captured here
        refuse_while_capturing("cuStreamBeginCapture");
        check_stream("cuStreamBeginCapture", stream);
        if (!stream || mode != cudnn::capture_relaxed) complain("cuStreamBeginCapture as we never ask for it");
        now.capturing = new captured_graph;
        now.capturing->from = stream;
        now.capturing->queue.ends[stream];
        ++now.graphs;
        ++now.calls_that_allocate;
        return 0;
    };
    d.end_capture = [](handle stream, handle* graph) {
        captured_graph* const g = std::exchange(now.capturing, nullptr);
        const std::lock_guard unlocks{driver_call::one, std::adopt_lock};
        *graph = g;
        if (!g) return 901;
        if (g->is_broken) return delete g, *graph = nullptr, --now.graphs, 901;
        if (stream != g->from) complain("cuStreamEndCapture of another stream than the one that was begun with");
        for (std::size_t i = 0; i < g->queue.work.size(); ++i) {
            const auto& end = g->queue.ends[g->from];
            if (std::none_of(end.begin(), end.end(), [&](std::size_t w) { return g->queue.waits(w, i); })) complain("a capture ended with work that its stream does not wait for");
        }
        now.overlaps += g->queue.overlaps();
        if (g->queue.ends.size() > 1) now.kernels_beside += g->queue.kernels_beside();
        return 0;
    };
    d.instantiate = [](handle* executable, handle graph, unsigned long long flags) {
        const driver_call here;
        check_context("cuGraphInstantiate");
        if (flags != 0) complain("cuGraphInstantiate with flags");
        auto* const made = new captured_graph(*static_cast<captured_graph*>(graph));
        made->queue.is_graph = true;
        if constexpr (shadow::is_on) made->before = made->queue.all_before();
        *executable = made;
        ++now.executables;
        return 0;
    };
    d.launch_graph = [](handle executable, handle stream) {
        const driver_call here;
        refuse_while_capturing("cuGraphLaunch");
        check_stream("cuGraphLaunch", stream);
        if (now.fail_graph_after >= 0 && now.graph_launches >= now.fail_graph_after) return now.failure;
        ++now.graph_launches;
        pending.with_graphs.insert(stream);
        return enqueue(stream, false, [executable] {
            auto& g = *static_cast<captured_graph*>(executable);
            for (fake_work& w : g.queue.work) w.is_done = false;
            if constexpr (shadow::is_on) shadow::begin_graph(g.before);
            const int status = g.queue.run(g.from, now.order);
            if constexpr (shadow::is_on) shadow::end_graph();
            return status;
        });
    };
    d.destroy_graph = [](handle g) {
        const driver_call here;
        check_context("cuGraphDestroy");
        return delete static_cast<captured_graph*>(g), --now.graphs, 0;
    };
    d.destroy_executable = [](handle g) {
        const driver_call here;
        check_context("cuGraphExecDestroy");
        return delete static_cast<captured_graph*>(g), --now.executables, 0;
    };
}

} // namespace fake
