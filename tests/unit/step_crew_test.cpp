// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file step_crew_test.cpp
/// A frame's crew: every task of every step once, whoever comes, leaves or throws.
#include "../catch.hpp"

#include <splitdsl/runtime/parallel.hpp>

#include <atomic>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace splitdsl;

/// Each seat that is asked for gets a thread.
class threaded_crew : public step_crew {
public:
    explicit threaded_crew(int threads) : step_crew{threads, &ask} {}
    ~threaded_crew() {
        close();
        for (std::thread& t : helpers) t.join();
    }
    int asked() const { return static_cast<int>(helpers.size()); }

private:
    static void ask(step_crew& crew, int seat) {
        static_cast<threaded_crew&>(crew).helpers.emplace_back([&crew, seat] { crew.help(seat); });
    }
    std::vector<std::thread> helpers{};
};
/// Nobody comes.
struct lonely_crew : step_crew {
    explicit lonely_crew(int threads) : step_crew{threads, [](step_crew& c, int) { ++static_cast<lonely_crew&>(c).asked; }} {}
    int asked{};
};

/// Plain counters: whatever lets two threads have one task, or a step begin before the one before it ended, is a data race as well.
struct counted_step {
    std::vector<int> runs;
    explicit counted_step(int tasks) : runs(static_cast<std::size_t>(tasks)) {}
    static void run(void* context, int first, int last) {
        for (int t = first; t < last; ++t) ++static_cast<counted_step*>(context)->runs[static_cast<std::size_t>(t)];
    }
    bool all(int times) const {
        for (const int n : runs)
            if (n != times) return false;
        return true;
    }
};
void step(frame_crew& crew, int tasks, void (*body)(void*, int, int), void* context) { crew.run(crew, tasks, body, context); }

TEST_CASE("step crew: every task of every step runs once, on any number of threads") {
    for (const int threads : {1, 2, 3, 8, 16}) {
        for (const int tasks : {1, 2, 7, 64}) {
            counted_step work(tasks);
            constexpr int steps = 40;
            {
                threaded_crew crew(threads);
                for (int k = 0; k < steps; ++k) step(crew, tasks, &counted_step::run, &work);
            }
            INFO(threads << " threads, " << tasks << " tasks");
            CHECK(work.all(steps));
        }
    }
}

TEST_CASE("step crew: steps of different sizes follow each other, each on what the one before it made") {
    threaded_crew crew(4);
    struct sums { std::vector<long> in, out; } s{std::vector<long>(500, 1), std::vector<long>(500)};
    long expected = 500;
    for (int k = 0; k < 60; ++k) {
        // Every task reads what all tasks of the last step wrote.
        const int tasks = 2 + k * 7 % 60;
        struct whole { sums* s; int tasks; long most; } w{&s, tasks, 1'000'000'007};
        step(crew, tasks, [](void* context, int first, int last) {
            auto& a = *static_cast<whole*>(context);
            long sum = 0;
            for (const long v : a.s->in) sum += v;
            for (int t = first; t < last; ++t)
                for (std::size_t i = static_cast<std::size_t>(t); i < a.s->out.size(); i += static_cast<std::size_t>(a.tasks)) a.s->out[i] = (sum + static_cast<long>(i)) % a.most;
        }, &w);
        std::swap(s.in, s.out);
        long sum = 0;
        for (int i = 0; i < 500; ++i) sum += (expected + i) % w.most;
        expected = sum;
        long made = 0;
        for (const long v : s.in) made += v;
        REQUIRE(made == expected);
    }
}

TEST_CASE("step crew: where nobody comes the caller does it all, and asks each seat once") {
    lonely_crew crew(8);
    counted_step work(100);
    for (int k = 0; k < 50; ++k) step(crew, 100, &counted_step::run, &work);
    CHECK(work.all(50));
    CHECK(crew.asked == 7);
}

TEST_CASE("step crew: a helper that cannot even be asked changes nothing") {
    step_crew crew{3, [](step_crew&, int) { throw std::bad_alloc{}; }};
    counted_step work(64);
    for (int k = 0; k < 3; ++k) step(crew, 64, &counted_step::run, &work);
    CHECK(work.all(3));
}

TEST_CASE("step crew: no more helpers are asked than a step has tasks for") {
    lonely_crew crew(8);
    counted_step work(3);
    step(crew, 3, &counted_step::run, &work);
    CHECK(crew.asked == 2);
    CHECK(work.all(1));
}

TEST_CASE("step crew: more threads than it has seats for are left out") {
    lonely_crew crew(1000);
    counted_step work(2000);
    step(crew, 2000, &counted_step::run, &work);
    CHECK(crew.asked == step_crew::most_threads - 1);
    CHECK(work.all(1));
}

TEST_CASE("step crew: a thread's tasks follow each other, the caller's from the first on") {
    // Alone, in the order in which one call would take them.
    lonely_crew crew(2);
    std::vector<int> seen;
    step(crew, 37, [](void* context, int first, int last) {
        for (int t = first; t < last; ++t) static_cast<std::vector<int>*>(context)->push_back(t);
    }, &seen);
    REQUIRE(seen.size() == 37);
    for (int t = 0; t < 37; ++t) CHECK(seen[static_cast<std::size_t>(t)] == t);
}

TEST_CASE("step crew: helpers that rest are asked again by the next step") {
    counted_step work(64);
    threaded_crew crew(3);
    for (int k = 0; k < 20; ++k) {
        step(crew, 64, &counted_step::run, &work);
        crew.rest(crew);
    }
    step(crew, 64, &counted_step::run, &work);
    CHECK(work.all(21));
    CHECK(crew.asked() >= 2);
}

TEST_CASE("step crew: a helper for which nothing comes leaves, and is asked again") {
    counted_step work(64);
    threaded_crew crew(2);
    int asked = 0;
    // Each round one thread is held up for longer than a helper stays; how many rounds that takes is up to the scheduler.
    for (int k = 1; asked < 2; ++k) {
        step(crew, 64, &counted_step::run, &work);
        asked = crew.asked();
        REQUIRE(work.all(k));
        const auto until = std::chrono::steady_clock::now() + 4 * step_crew::longest_spin;
        while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    }
}

TEST_CASE("step crew: what a task throws reaches the caller when nobody works on the step any more, and the next step runs") {
    for (const int threads : {1, 2, 8}) {
        threaded_crew crew(threads);
        for (int k = 0; k < 100; k += 11) {
            struct throwing { std::atomic<int> inside{}; int bad; } t{{}, k};
            bool caught = false;
            try {
                step(crew, 100, [](void* context, int first, int last) {
                    auto& a = *static_cast<throwing*>(context);
                    ++a.inside;
                    const bool is_bad = first <= a.bad && a.bad < last;
                    --a.inside;
                    if (is_bad) throw std::runtime_error("task " + std::to_string(a.bad));
                }, &t);
            } catch (const std::runtime_error& e) {
                caught = e.what() == "task " + std::to_string(k);
            }
            CHECK(caught);
            CHECK(t.inside == 0);
            counted_step work(100);
            step(crew, 100, &counted_step::run, &work);
            REQUIRE(work.all(1));
        }
    }
}

TEST_CASE("step crew: the caller sleeps until a helper's long task has ended") {
    threaded_crew crew(2);
    struct meeting { std::atomic<int> there{}; std::thread::id caller; std::atomic<bool> helped{}; } m;
    m.caller = std::this_thread::get_id();
    // Two tasks, one each: neither ends before both have begun, and the helper's lasts longer than the caller looks.
    for (int tries = 0; !m.helped && tries < 1000; ++tries) {
        m.there = 0;
        step(crew, 2, [](void* context, int first, int last) {
            auto& a = *static_cast<meeting*>(context);
            const bool is_helper = std::this_thread::get_id() != a.caller;
            a.there += last - first;
            const auto patience = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
            while (a.there < 2 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
            if (!is_helper) return;
            a.helped = true;
            const auto until = std::chrono::steady_clock::now() + 5 * step_crew::longest_yielding;
            while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
        }, &m);
    }
    CHECK(m.helped);
}

TEST_CASE("step crew: a step of more tasks than a claim can name is the caller's alone") {
    threaded_crew crew(2);
    struct range { int first{-1}, last{-1}; } r;
    constexpr int tasks = 3'000'000;
    step(crew, tasks, [](void* context, int first, int last) { *static_cast<range*>(context) = {first, last}; }, &r);
    CHECK(r.first == 0);
    CHECK(r.last == tasks);
}

#if !defined(__SANITIZE_THREAD__)
TEST_CASE("step crew: steps are counted round and round") {
    lonely_crew crew(2);
    long runs = 0;
    constexpr long steps = (1L << 24) + 100;
    for (long k = 0; k < steps; ++k) step(crew, 1, [](void* context, int first, int last) { *static_cast<long*>(context) += last - first; }, &runs);
    CHECK(runs == steps);
}
#endif

#if SPLITDSL_HAS_TBB
/// `steps` steps of `tasks` tasks as a frame of the default runner; who took part.
std::set<std::thread::id> frame_of(counted_step& work, int steps) {
    struct frame { counted_step& work; int steps; std::mutex guard{}; std::set<std::thread::id> seen{}; } f{work, steps};
    default_runner()->with_crew([](void* context, frame_crew* crew) {
        auto& a = *static_cast<frame*>(context);
        const auto body = [](void* c, int first, int last) {
            auto& one = *static_cast<frame*>(c);
            counted_step::run(&one.work, first, last);
            const std::lock_guard lock{one.guard};
            one.seen.insert(std::this_thread::get_id());
        };
        for (int k = 0; k < a.steps; ++k) {
            if (crew) step(*crew, static_cast<int>(a.work.runs.size()), body, &a);
            else body(&a, 0, static_cast<int>(a.work.runs.size()));
        }
    }, &f);
    return f.seen;
}

TEST_CASE("oneTBB's crew: an arena of one thread has none") {
    with_threads(1, [] {
        bool called = false, alone = false;
        struct seen { bool &called, &alone; } s{called, alone};
        default_runner()->with_crew([](void* context, frame_crew* crew) { static_cast<seen*>(context)->called = true, static_cast<seen*>(context)->alone = !crew; }, &s);
        CHECK(called);
        CHECK(alone);
    });
}

TEST_CASE("oneTBB's crew: no more threads take part than the arena has") {
    for (const int threads : {2, 3, 16})
        with_threads(threads, [&] {
            for (int k = 0; k < 20; ++k) {
                counted_step work(64);
                const auto seen = frame_of(work, 30);
                CHECK(work.all(30));
                CHECK(static_cast<int>(seen.size()) <= threads);
                CHECK(seen.count(std::this_thread::get_id()) == 1);
            }
        });
}

TEST_CASE("oneTBB's crew: several frames at once share an arena") {
    tbb::task_arena arena{4};
    std::vector<counted_step> work(3, counted_step(50));
    std::vector<std::thread> callers;
    for (counted_step& w : work)
        callers.emplace_back([&arena, &w] {
            for (int k = 0; k < 50; ++k) arena.execute([&] { frame_of(w, 20); });
        });
    for (std::thread& t : callers) t.join();
    for (const counted_step& w : work) CHECK(w.all(50 * 20));
}

TEST_CASE("oneTBB's crew: a frame within another frame's task, and frames that oneTBB's own tasks run") {
    with_threads(3, [] {
        std::vector<counted_step> inner(12, counted_step(20));
        default_runner()->with_crew([](void* context, frame_crew* crew) {
            REQUIRE(crew);
            step(*crew, 12, [](void* c, int first, int last) {
                for (int t = first; t < last; ++t) frame_of((*static_cast<std::vector<counted_step>*>(c))[static_cast<std::size_t>(t)], 10);
            }, context);
        }, &inner);
        for (const counted_step& w : inner) CHECK(w.all(10));
        tbb::parallel_for(0, 12, [&](int t) { frame_of(inner[static_cast<std::size_t>(t)], 10); });
        for (const counted_step& w : inner) CHECK(w.all(20));
    });
}

TEST_CASE("oneTBB's crew: what a frame or its task throws leaves no helper behind") {
    with_threads(4, [] {
        for (int k = 0; k < 20; ++k) {
            CHECK_THROWS_AS(default_runner()->with_crew([](void*, frame_crew* crew) {
                counted_step work(10);
                step(*crew, 10, &counted_step::run, &work);
                throw std::runtime_error("the frame");
            }, nullptr), std::runtime_error);
            CHECK_THROWS_AS(default_runner()->with_crew([](void*, frame_crew* crew) {
                step(*crew, 10, [](void*, int, int last) { if (last == 10) throw std::logic_error("its task"); }, nullptr);
            }, nullptr), std::logic_error);
            counted_step work(10);
            frame_of(work, 5);
            CHECK(work.all(5));
        }
    });
}
#endif

} // namespace
