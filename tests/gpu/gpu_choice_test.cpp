// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_choice_test.cpp
/// Which way a convolution runs, by times that the made-up device makes up; and what kernels of ours do on the way.
#include "described_host.hpp"
#include "subjects.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>

using namespace gpu_tests;
namespace cudnn = kernels::cudnn;

namespace {
/// A norm that no convolution stands in front of, an activation that cuDNN does not have, and factors of channels from a map's means.
struct mixed {
    static constexpr auto excite() { return multiply(identity(), global_pool() | named("fc1", conv(8, {})) | relu() | named("fc2", conv(24, {})) | hard_sigmoid()); }
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 3, .height = 18, .width = 14}) | named("stem", conv(16, {.kernel = 3})) | max_pool({.kernel = 2}) | named("norm", batch_norm()) | relu()
             | named("wide", conv(24, {.kernel = 1})) | hard_swish() | named("depthwise", conv(24, {.kernel = 3, .groups = 24})) | relu() | named("excite", excite()) | named("narrow", conv(16, {.kernel = 1}))
             | global_pool() | named("classes", dense(5));
    }
};
struct of_mixed {
    graph::description d = graph::description_of<mixed>();
    gpu::program program = gpu::program_of<mixed>();
    described_host host{d, program};
    subject as_subject() const { return {d, program, host.net}; }
};
constexpr int convolutions = 3;

cudnn::device_options by_time(double seconds = 60) { return {.needs_cudnn = false, .code_folder = "", .seconds_to_choose = seconds}; }
void tiles_take(double milliseconds) {
    for (const gpu::value_tile& t : gpu::value_tiles)
        for (const cudnn::kernel k : {t.of_halves, t.of_bfloats}) fake::now.kernel_times[cudnn::kernel_names[static_cast<int>(k)]] = milliseconds;
}
long started(const char* with) {
    long n = 0;
    for (const auto& [name, count] : fake::now.started) n += name.starts_with(with) ? count : 0;
    return n;
}
} // namespace

TEST_CASE("GPU: each convolution runs in the way that took the least time when it was laid out, and gives the same answers in every way") {
    const of_mixed of;
    struct row {
        const char* what;
        double first, second, tiles;        // of cuDNN's engines, and of our kernels
        int engine, in_tiles, melted;       // -1: none of cuDNN's
    };
    // Two steps melt into dense layers, the last of which leaves the output.
    for (const row& r : {row{"cuDNN's first engine", 1, 3, 9, 0, 0, 3}, row{"its second one", 3, 1, 9, 1, 0, 3}, row{"equal times", 1, 1, 9, 0, 0, 3}, row{"times that are nearly equal", 1.019, 1, 9, 0, 0, 3},
                         row{"a little less", 1.1, 1, 9, 1, 0, 3}, row{"our kernels", 9, 9, 1, 0, 2, 5}, row{"our kernels by what they melt", 1, 1, 1.9, 0, 2, 5},
                         row{"where they melt most", 1, 1, 2.5, 0, 1, 4}, row{"nowhere", 1, 1, 3.1, 0, 0, 3}})
        for (const precision how : {precision::f16, precision::bf16}) {
            INFO(r.what << ", " << gpu::name_of(how));
            fake::now = {};
            fake::now.engine_times[0] = r.first, fake::now.engine_times[1] = r.second;
            tiles_take(r.tiles);
            {
                const cudnn::device on(with_cudnn(), by_time());
                const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = how});
                CHECK(engine.chosen().timed == convolutions);
                CHECK(engine.chosen().left == 0);
                CHECK(engine.laid_out().in_tiles() == r.in_tiles);
                CHECK(engine.laid_out().melted() == r.melted);
                CHECK(engine.laid_out().planned() == convolutions - r.in_tiles);
                CHECK(fake::now.memory.empty());        // what times were taken in
                fake::now.engine_runs[0] = fake::now.engine_runs[1] = 0;
                compare(on, of.as_subject(), how, how == precision::f16 ? 1e-2 : 6e-2, 2e-2);
                const loaded n(of.d, engine.net_here());
                const frame f(of.d, engine.net_here(), 1);
                side here(engine.net_here(), n.packed, 1);
                here.memory.inputs = f.pointers.data();
                fake::now.engine_runs[0] = fake::now.engine_runs[1] = 0;
                run_whole(engine.net_here(), here.memory);
                const long warm_up = convolutions - r.in_tiles;
                CHECK(fake::now.engine_runs[r.engine] == 2 * warm_up);
                CHECK(fake::now.engine_runs[1 - r.engine] == 0);
                const double settled = fake::now.clock;
                const long allocated = fake::now.calls_that_allocate;
                run_whole(engine.net_here(), here.memory);
                CHECK(fake::now.clock - settled < 60);          // a frame's kernels, and nothing is timed again
                CHECK(fake::now.calls_that_allocate == allocated);
            }
            check_clean();
        }
}

TEST_CASE("GPU: without times, or with no time left for them, convolutions run as heuristics and estimates say") {
    const of_mixed of;
    for (const double seconds : {0.0, 1e-9}) {
        fake::now = {};
        fake::now.engine_times[0] = 9;
        {
            const cudnn::device on(with_cudnn(), by_time(seconds));
            const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = precision::f16});
            CHECK(engine.chosen().timed == 0);
            CHECK(engine.chosen().left == (seconds > 0 ? convolutions : 0));
            CHECK(engine.laid_out().melted() == 5);
            CHECK(engine.laid_out().in_tiles() == 2);
            CHECK(fake::now.engine_runs[0] + fake::now.engine_runs[1] == 0);
        }
        check_clean();
    }
}

TEST_CASE("GPU: layers alike are timed once, and each number of frames by itself") {
    const of_mixed of;
    fake::now = {};
    {
        const cudnn::device on(with_cudnn(), by_time());
        const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = precision::f16, .batch = 4});
        CHECK(engine.chosen().timed == 3 * convolutions);
        gpu::program twice = of.program;
        gpu::layers l(on, twice, precision::f16);
        double seconds = 60;
        CHECK(gpu::choose_by_time(on, l, seconds).ways == 2 + (2 + 6) + (2 + 6));      // cuDNN's engines, and three tiles with what melts in and without
        twice.steps.insert(twice.steps.end(), of.program.steps.begin(), of.program.steps.end());
        gpu::layers both(on, twice, precision::f16);
        const gpu::choice_counts n = gpu::choose_by_time(on, both, seconds);
        CHECK(n.timed == 2 * convolutions);
        CHECK((seconds > 0 && seconds < 60));
        CHECK(n.ways == 2 + (2 + 3) + (2 + 3));           // others read what would melt
    }
    check_clean();
}

TEST_CASE("GPU: an engine that no graph can hold is not taken, though it is the quickest, and the device goes on") {
    const of_mixed of;
    fake::now = {};
    fake::now.engine_times[1] = 3;
    fake::now.breaks_captures = 0;
    tiles_take(9);
    {
        const cudnn::device on(with_cudnn(), by_time());
        const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = precision::f16});
        CHECK(engine.chosen().timed == convolutions);
        CHECK(engine.laid_out().planned() == convolutions);
        compare(on, of.as_subject(), precision::f16, 1e-2, 2e-2);
        CHECK(engine.counters().reason == "");
        CHECK(fake::now.engine_runs[0] > 0);            // outside of a graph
        CHECK(fake::now.engine_runs[1] > 0);
    }
    check_clean();
    // Without times nobody knows before an arena opens: the processor answers, and the device is not lost.
    fake::now = {};
    fake::now.breaks_captures = 0;
    {
        const cudnn::device on(with_cudnn(), options());
        const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = precision::f32});
        const loaded n(of.d, engine.net_here());
        const frame f(of.d, engine.net_here(), 1);
        side here(engine.net_here(), n.packed, 1);
        here.memory.inputs = f.pointers.data();
        (void)engine.net_here().run(here.memory, 0, engine.net_here().stages, nullptr);
        CHECK(engine.counters().on_cpu == 1);
        CHECK(engine.counters().why == device_failure::unsupported);
        CHECK(engine.counters().reason.starts_with("GPU: ending a capture failed with "));
        CHECK(!engine.counters().lost);
    }
    check_clean();
}

TEST_CASE("GPU: an engine that cuDNN refuses to run is not taken, and no room for taking times is no failure") {
    const of_mixed of;
    fake::now = {};
    fake::now.fail_convolution_after = 0;
    {
        const cudnn::device on(with_cudnn(), by_time());
        const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = precision::f16});
        CHECK(engine.laid_out().in_tiles() == 2);
        CHECK(engine.laid_out().melted() == 5);
        CHECK(engine.counters().reason == "");
    }
    check_clean();
    fake::now = {};
    fake::now.fail_allocation_after = 0;
    fake::now.failure = cudnn::driver_out_of_memory;
    {
        const cudnn::device on(with_cudnn(), by_time());
        const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = precision::f16});
        fake::now.fail_allocation_after = -1;
        CHECK(engine.chosen().timed == 0);
        CHECK(engine.counters().reason == "");
        const loaded n(of.d, engine.net_here());
        const frame f(of.d, engine.net_here(), 1);
        CHECK(error_of(of.host.net, n.reference(f), n.whole(f)) <= 1e-2);
    }
    check_clean();
}

TEST_CASE("GPU: with tiles and what melts into them, frames alone, in batches and in 32 bits agree with the reference") {
    const of_mixed of;
    for (const precision how : gpu::every_precision)
        for (const bool has_cudnn : {false, true}) {
            fake::now = {};
            {
                const cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
                const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = how, .batch = 3});
                INFO(gpu::name_of(how) << ", cuDNN " << has_cudnn);
                const loaded n(of.d, engine.net_here());
                std::vector<frame> frames;
                std::vector<std::unique_ptr<side>> sides;
                std::vector<frame_memory> memory;
                for (unsigned i = 0; i < 3; ++i) {
                    frames.emplace_back(of.d, engine.net_here(), i + 1);
                    sides.push_back(std::make_unique<side>(engine.net_here(), n.packed, 4));
                }
                for (unsigned i = 0; i < 3; ++i) {
                    sides[i]->memory.inputs = frames[i].pointers.data();
                    memory.push_back(sides[i]->memory);
                }
                const double limit = how == precision::f16 ? 1e-2 : how == precision::bf16 ? 6e-2 : 2e-5;
                REQUIRE(engine.net_here().run_batch(memory, 0, engine.net_here().stages, nullptr));
                for (unsigned i = 0; i < 3; ++i) {
                    const auto wanted = n.reference(frames[i]);
                    CHECK(error_of(of.host.net, wanted, sides[i]->outputs) <= limit);
                    CHECK(error_of(of.host.net, wanted, n.whole(frames[i])) <= limit);
                }
                CHECK((started("convolve_half_tiles") + started("convolve_bfloat_tiles") > 0) == (how == precision::f16 || how == precision::bf16));
                CHECK(engine.counters().on_cpu == 0);
            }
            check_clean();
        }
}
