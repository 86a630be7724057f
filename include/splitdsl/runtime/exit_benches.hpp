// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_benches.hpp
/// Where a cloud computes the exits of its clients' streams: who finds a place computes at once, those that wait for one run together.
#pragma once

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/batch_choice.hpp>
#include <splitdsl/runtime/batch_times.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl {

/// What one client asks of an exit. It belongs to the client's thread, which waits in `exit_benches::answer`.
struct exit_question {
    explicit exit_question(const pipeline& net) {
        for (int s = 0; s < net.stream_count; ++s) {
            const stream_info& i = net.streams[s];
            maps.emplace_back(sizeof(float) * static_cast<std::size_t>(i.channels) * static_cast<std::size_t>(i.rows) * static_cast<std::size_t>(i.columns));
        }
    }
    int exit{};                       ///< among the network's `stream_exits`
    std::vector<aligned_buffer> maps; ///< one a stream, rebuilt at its largest size; those count that the exit reads
    std::byte sizes{};                ///< the pair, for an exit with `by_sizes`
    instant deadline{};
    float* values{};                  ///< the exit's floats, written

private:
    friend class exit_benches;
    enum class turn : std::uint8_t { waits, leads, answered, over, failed };
    turn now{};
    instant arrived{};
    void* bench{}; // of a leader
    std::condition_variable turned;
};

/// `parallel` places to compute in, each for up to `batch` questions at a time. A question that finds a free place is computed on its own thread at
/// once. Those that find none wait; a place that gets free goes to the most urgent of them that can be in time, and with it run those of the same
/// exit that `choose_batch` lets join it: nobody who would be in time is late by it. The leader's thread computes for all of them. A question whose deadline passes while it
/// waits is not computed.
///
/// Every answer is the one that the question gets alone (on a CPU bit for bit). Memory is taken at construction, which runs every exit in
/// every place and every number of questions; afterwards nothing is allocated but by `expect`.
class exit_benches {
public:
    exit_benches(const pipeline& net, const std::byte* packed, int parallel, int batch, const task_runner* workers)
        : network{net}, most{std::clamp(batch, 1, std::max(net.batch_limit, 1))}, times{static_cast<std::size_t>(std::max(net.stream_exit_count, 1)), most} {
        for (int i = 0; i < parallel; ++i) benches.push_back(std::make_unique<bench>(net, packed, most, workers));
        for (const auto& b : benches) idle.push_back(b.get());
        warm_up();
    }
    exit_benches(const exit_benches&) = delete;
    exit_benches& operator=(const exit_benches&) = delete;

    /// So many clients may ask at once.
    void expect(std::size_t clients) {
        const std::lock_guard hold{mutex};
        waiting.reserve(clients);
        seen.reserve(clients);
    }
    enum class outcome : std::uint8_t {
        answered, ///< the values are there
        late,     ///< the deadline passed before it was the question's turn
        failed    ///< the exit's stage threw, for all who ran together
    };
    /// Returns when it is known.
    outcome answer(exit_question& q) {
        q.arrived = clock();
        std::unique_lock hold{mutex};
        q.now = exit_question::turn::waits;
        waiting.insert(std::upper_bound(waiting.begin(), waiting.end(), &q, [](const exit_question* a, const exit_question* b) { return a->deadline < b->deadline; }), &q);
        hand_out();
        q.turned.wait(hold, [&q] { return q.now != exit_question::turn::waits; });
        if (q.now == exit_question::turn::leads) compute(*static_cast<bench*>(q.bench), hold);
        return q.now == exit_question::turn::answered ? outcome::answered : q.now == exit_question::turn::failed ? outcome::failed : outcome::late;
    }
    struct together {
        std::uint64_t batches{}, answers{}; ///< runs of several, and their answers
        std::uint64_t waiting{};            ///< questions without a place, now
    };
    together counted() const {
        const std::lock_guard hold{mutex};
        return {counts.batches, counts.answers, waiting.size()};
    }
    /// Measured time of so many questions at one exit, a moving average.
    duration time_of(int exit, int count = 1) const { return times.of(static_cast<std::size_t>(exit), count); }

private:
    struct bench {
        bench(const pipeline& p, const std::byte* packed, int size, const task_runner* workers) {
            for (int i = 0; i < size; ++i) {
                arenas.push_back(std::make_unique<frame_arena>(p));
                outputs.emplace_back(p.output_floats);
                frames.push_back({arenas.back()->data(), packed, nullptr, outputs.back().data(), workers});
            }
            taken.reserve(static_cast<std::size_t>(size));
        }
        std::vector<std::unique_ptr<frame_arena>> arenas;
        std::vector<std::vector<float>> outputs;
        std::vector<frame_memory> frames;
        std::vector<exit_question*> taken; ///< the leader first
    };
    static instant clock() { return std::chrono::steady_clock::now(); }

    void warm_up() {
        for (bench* const b : idle)
            for (int e = 0; e < network.stream_exit_count; ++e)
                for (int count = 1; count <= most; ++count) {
                    duration least = duration::max(); // what else runs on the machine only ever adds
                    for (int round = 0; round < 2; ++round) {
                        const instant begun = clock();
                        run(*b, e, static_cast<std::size_t>(count));
                        least = std::min<duration>(least, clock() - begun);
                    }
                    times.begin(static_cast<std::size_t>(e), count, least);
                }
    }
    void run(bench& b, int exit, std::size_t count) const {
        const int stage = network.stream_exits[exit].stage;
        network.run_batch(std::span{b.frames}.first(count), stage, stage + 1, nullptr);
    }

    /// Gives free places to those that wait.
    void hand_out() {
        const auto time = [this](int exit, int count) { return time_of(exit, count); };
        while (!idle.empty() && !waiting.empty()) {
            const instant now = clock();
            if (waiting.front()->deadline < now) {
                turn(*waiting.front(), exit_question::turn::over);
                waiting.erase(waiting.begin());
                continue;
            }
            // One that will be late leads only while nobody else wants the place.
            seen.clear();
            for (const exit_question* q : waiting)
                if (now + time_of(q->exit) <= q->deadline) seen.push_back({q->deadline, q->arrived, q->exit});
            bench& b = *idle.back();
            idle.pop_back();
            const waiting_request first = seen.empty() ? waiting_request{.cut = waiting.front()->exit} : seen.front();
            std::size_t wanted = seen.empty() ? 1 : static_cast<std::size_t>(choose_batch(now, seen, most, {}, time).count);
            std::erase_if(waiting, [&](exit_question* q) {
                if (wanted == 0 || (!seen.empty() && !joins(first, {q->deadline, q->arrived, q->exit}, now, time))) return false;
                --wanted;
                b.taken.push_back(q);
                return true;
            });
            exit_question& leader = *b.taken.front();
            leader.bench = &b;
            turn(leader, exit_question::turn::leads);
        }
    }
    static void turn(exit_question& q, exit_question::turn to) {
        q.now = to;
        q.turned.notify_one();
    }
    void compute(bench& b, std::unique_lock<std::mutex>& hold) {
        hold.unlock();
        const std::size_t count = b.taken.size();
        bool done = true;
        try {
            compute_all(b, count);
        } catch (...) { // a task_runner's; the others wait for this thread
            done = false;
        }
        hold.lock();
        if (done && count > 1) ++counts.batches, counts.answers += count;
        for (exit_question* q : b.taken) turn(*q, done ? exit_question::turn::answered : exit_question::turn::failed);
        b.taken.clear();
        idle.push_back(&b);
        hand_out();
    }
    void compute_all(bench& b, std::size_t count) {
        const stream_exit_info& e = network.stream_exits[b.taken.front()->exit];
        const instant begun = clock();
        for (std::size_t i = 0; i < count; ++i) {
            const exit_question& q = *b.taken[i];
            std::byte* const arena = b.frames[i].arena;
            for (int s = 0; s < network.stream_count; ++s)
                if ((e.reads >> s & 1U) != 0) std::memcpy(arena + network.streams[s].pooled, q.maps[static_cast<std::size_t>(s)].data(), q.maps[static_cast<std::size_t>(s)].size());
            if (e.here_sizes > 0) arena[e.sizes] = q.sizes;
        }
        run(b, b.taken.front()->exit, count);
        for (std::size_t i = 0; i < count; ++i) std::memcpy(b.taken[i]->values, b.outputs[i].data() + e.first_float, sizeof(float) * e.floats);
        times.learn(static_cast<std::size_t>(b.taken.front()->exit), static_cast<int>(count), clock() - begun);
    }

    const pipeline network;
    const int most;
    batch_times times;
    mutable std::mutex mutex;
    std::vector<std::unique_ptr<bench>> benches;
    std::vector<bench*> idle;
    std::vector<exit_question*> waiting; // by deadline, equal ones as they came
    std::vector<waiting_request> seen;
    together counts{};
};

} // namespace splitdsl
