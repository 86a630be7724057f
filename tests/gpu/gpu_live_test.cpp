// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_live_test.cpp
/// An edge and a cloud with threads and a link, one of them on the made-up device, which fails: every frame is answered all the same.
#include "own_device.hpp"
#include "subjects.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/link/in_process.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/exit_benches.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <chrono>
#include <thread>

using namespace gpu_tests;
using namespace std::chrono_literals;

namespace {

/// An exit, a cut and a tail: three stages.
struct guarded {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 24, .width = 32}) | normalise(imagenet)
             | head("car", named("stem", conv(8, {.kernel = 3, .stride = 2})) | relu() | early_exit("glance", global_pool() | named("guess", dense(5)) | softmax())
                               | named("more", conv(8, {.kernel = 3})) | relu())
             | bottleneck("uplink", named("squeeze", conv(4, {.kernel = 1})), affine_u8())
             | tail("cloud", named("grow", conv(16, {.kernel = 3})) | relu() | global_pool() | named("fc", dense(5)));
    }
};
static_assert(check<guarded>);
constexpr std::size_t main_floats = 5;

struct offload_when_up {
    action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    action on(stage_done s, const link_view& l, const budget&) noexcept { return s.stage == 1 && l.up ? action::offload_at(0) : action::go_on(); }
    verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};

struct shown_picture {
    std::vector<std::byte> bytes = std::vector<std::byte>(3 * 24 * 32);
    std::array<std::span<const std::byte>, 1> spans{};
    explicit shown_picture(unsigned seed) {
        std::mt19937 engine(seed);
        for (auto& b : bytes) b = static_cast<std::byte>(engine() & 255U);
        spans[0] = bytes;
    }
    /// The processor's answer, without a link.
    std::vector<float> wanted() const {
        static const auto weights = seeded_weights<guarded>(3);
        const pipeline& p = weights.net();
        const aligned_buffer arena{p.arena_bytes};
        std::vector<float> outputs(p.output_floats);
        const void* in = bytes.data();
        p.run({arena.data(), weights.bytes().data(), &in, outputs.data()}, 0, p.stages, nullptr);
        return outputs;
    }
};
/// Largest difference of the main output's values in units of their range.
double main_error(std::span<const float> wanted, std::span<const float> got) {
    const auto [low, high] = std::minmax_element(wanted.begin(), wanted.begin() + main_floats);
    double worst = 0;
    const double range = static_cast<double>(*high) - static_cast<double>(*low);
    for (std::size_t i = 0; i < main_floats; ++i) worst = std::max(worst, std::abs(static_cast<double>(wanted[i]) - static_cast<double>(got[i])) / range);
    return worst;
}

/// Both sides in one process. What fails is told before a frame, while nothing runs.
struct live_pair {
    live_pair(const pipeline& at_edge, const pipeline& at_cloud, duration deadline, duration reserve, duration last_resort_lead = 500us)
        : edge_weights{seeded_weights<guarded>(3, at_edge)}, cloud_weights{seeded_weights<guarded>(3, at_cloud)} {
        auto listener = std::make_unique<link::in_process_listener>();
        auto door = std::make_unique<link::in_process>(*listener);
        cloud.emplace(at_cloud, cloud_weights.bytes(), cloud_options{.weights_digest = cloud_weights.digest()}, std::move(listener));
        const edge_options o{.deadline = deadline, .reserve = reserve, .last_resort_lead = last_resort_lead, .calibration_runs = 0, .weights_digest = edge_weights.digest()};
        edge.emplace(at_edge, edge_weights.bytes(), offload_when_up{}, o, std::move(door));
    }
    bool connects() const {
        for (int i = 0; i < 10'000 && !edge->link_now().up; ++i) std::this_thread::sleep_for(1ms);
        return edge->link_now().up;
    }
    /// One frame, answered in time with its own answer; who answered.
    answer_source show(unsigned seed) {
        const shown_picture in(seed);
        std::vector<float> got(10);
        const answer a = edge->infer(in.spans, got);
        CHECK(is_own(a.source));
        CHECK((a.on_time || a.host_stall));
        CHECK(main_error(in.wanted(), got) <= codec_tolerance);
        return a.source;
    }
    network_weights<guarded> edge_weights, cloud_weights;
    std::optional<cloud_core> cloud;
    std::optional<edge_core<offload_when_up>> edge;
};

constexpr int frames = 4;
const pipeline& on_cpu() { return pipeline_of<guarded>(); }

/// Frames while the device refuses what `at_start` says from before both sides are made, or `later` from behind their first frame on. False: it was
/// never asked for so much.
template <class AtStart, class Later>
bool answers(bool at_cloud, const char* what, device_failure why, const char* name, AtStart at_start, Later later) {
    INFO(what << (at_cloud ? ", a cloud's" : ", an edge's"));
    fake::now = {};
    bool failed = false;
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::gpu_pipeline<guarded> on_gpu(on, {.precision = precision::f32});
        at_start(fake::now);
        {
            live_pair both(at_cloud ? on_cpu() : on_gpu.net(), at_cloud ? on_gpu.net() : on_cpu(), 5s, 1s);
            REQUIRE(both.connects());
            CHECK(both.show(1) == answer_source::cloud);
            later(fake::now);
            for (unsigned i = 2; i <= frames; ++i) CHECK(both.show(i) == answer_source::cloud);     // with the cloud's own processor, if need be
        }
        const gpu::gpu_counters seen = on_gpu.counters();
        failed = !seen.reason.empty();
        if (failed) {
            CHECK(seen.why == why);
            CHECK(seen.reason.find(name) != std::string::npos);
            CHECK(seen.on_cpu > 0);
        }
        fake::now.fail_graph_after = fake::now.fail_allocation_after = fake::now.fail_pinned_after = -1;
    }
    check_clean();
    return failed;
}
const auto nothing = [](fake::state&) {};

} // namespace

TEST_CASE("GPU: whatever a device refuses while a cloud or an edge starts, every frame has its answer in time, and the refusal its name") {
    for (const bool at_cloud : {true, false}) {
        CHECK(answers(at_cloud, "no room for weights", device_failure::out_of_memory, "CUDA_ERROR_OUT_OF_MEMORY", [](fake::state& f) { f.room = 100; }, nothing));
        for (const long k : {0L, 1L, 2L}) {
            CHECK(answers(at_cloud, "no room on the device", device_failure::out_of_memory, "CUDA_ERROR_OUT_OF_MEMORY",
                          [k](fake::state& f) { f.fail_allocation_after = f.allocations + k, f.failure = kernels::cudnn::driver_out_of_memory; }, nothing));
            CHECK(answers(at_cloud, "lost", device_failure::lost, "CUDA_ERROR_LAUNCH_FAILED", [k](fake::state& f) { f.fail_graph_after = f.graph_launches + k; }, nothing));
        }
        CHECK(answers(at_cloud, "no pinned memory", device_failure::out_of_memory, "CUDA_ERROR_OUT_OF_MEMORY", [](fake::state& f) { f.fail_pinned_after = f.pinned_allocations + 1; }, nothing));
    }
}

TEST_CASE("GPU: a device that is lost in the middle costs neither a cloud nor an edge a frame, and stays lost") {
    for (const bool at_cloud : {true, false})
        for (const int status : {static_cast<int>(kernels::cudnn::driver_launch_failed), static_cast<int>(kernels::cudnn::driver_out_of_memory)}) {
            const bool memory = status == kernels::cudnn::driver_out_of_memory;
            int failures = 0;
            for (long k = 0; k < 20; ++k) {
                if (!answers(at_cloud, "in the middle", memory ? device_failure::out_of_memory : device_failure::lost, memory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_LAUNCH_FAILED", nothing,
                             [&](fake::state& f) { f.fail_graph_after = f.graph_launches + k, f.failure = status; }))
                    break;
                ++failures;
            }
            CHECK(failures >= 3);       // at any of a frame's launches, and in later frames
        }
}

TEST_CASE("GPU: a cloud whose device hangs is waited for as long as the deadline allows, and answers again when it goes on") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::gpu_pipeline<guarded> on_gpu(on, {.precision = precision::f32});
        live_pair both(on_cpu(), on_gpu.net(), 2s, 1s);
        REQUIRE(both.connects());
        CHECK(both.show(1) == answer_source::cloud);
        fake::hangs = true;
        CHECK(both.show(2) == answer_source::fallback);
        both.show(3);       // offloaded again, or kept here because the link is silent
        fake::hangs = false;
        bool again = false;
        for (unsigned i = 4; !again && i < 40; ++i) {
            REQUIRE(both.connects());
            again = both.show(i) == answer_source::cloud;
        }
        CHECK(again);
        CHECK_FALSE(on_gpu.counters().lost);
    }
    check_clean();
}

TEST_CASE("GPU: an edge whose device hangs gives a last answer by the deadline") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::gpu_pipeline<guarded> on_gpu(on, {.precision = precision::f32});
        live_pair both(on_gpu.net(), on_cpu(), 1500ms, 200ms, 1s);       // a machine with other work has a second to run the thread that answers
        REQUIRE(both.connects());
        CHECK(both.show(1) == answer_source::cloud);
        fake::hangs = true;
        const shown_picture in(2);
        std::vector<float> got(10);
        const answer a = both.edge->infer(in.spans, got);
        CHECK(a.source == answer_source::held);
        CHECK((a.on_time || a.host_stall));
        fake::hangs = false;
        bool again = false;
        for (unsigned i = 3; !again && i < 40; ++i) {
            const shown_picture next(i);
            again = is_own(both.edge->infer(next.spans, got).source) && main_error(next.wanted(), got) <= codec_tolerance;
        }
        CHECK(again);
    }
    check_clean();
}

TEST_CASE("GPU: an exit's values leave while the next stage runs, whoever is first") {
    for (const fake::stream_order order : {fake::stream_order::issued, fake::stream_order::others_first, fake::stream_order::others_last}) {
        fake::now = {};
        fake::now.order = order;
        {
            const kernels::cudnn::device on(without_cudnn(), options());
            const gpu::gpu_pipeline<guarded> on_gpu(on, {.precision = precision::f32, .batch = 2});
            const auto weights = seeded_weights<guarded>(3, on_gpu.net());
            const pipeline& p = on_gpu.net();
            const frame_arena one(p), two(p);
            std::vector<std::vector<float>> got(2, std::vector<float>(p.output_floats));
            for (const unsigned seed : {1U, 2U, 3U}) {
                const shown_picture a(seed), b(seed + 10);
                const void *in_a = a.bytes.data(), *in_b = b.bytes.data();
                const frame_memory both[]{{one.data(), weights.bytes().data(), &in_a, got[0].data()}, {two.data(), weights.bytes().data(), &in_b, got[1].data()}};
                const auto are_right = [&] { return error_of(p, a.wanted(), got[0]) <= codec_tolerance && error_of(p, b.wanted(), got[1]) <= codec_tolerance; };
                REQUIRE(p.run_batch(both, 0, p.stages, nullptr));
                CHECK(are_right());
                const long beside = fake::now.copies_beside_graphs;
                for (const frame_memory& m : both) REQUIRE(p.run(m, 0, p.stages, nullptr));
                CHECK(are_right());
                CHECK(fake::now.copies_beside_graphs == beside + 2);
                for (const frame_memory& m : both)
                    for (int k = 0; k < p.stages; ++k) REQUIRE(p.run(m, k, k + 1, nullptr));
                CHECK(are_right());
                CHECK(fake::now.copies_beside_graphs == beside + 2);        // nothing runs beside them
            }
            CHECK(on_gpu.counters().on_cpu == 0);
        }
        check_clean();
    }
}

TEST_CASE("GPU: a cloud's places for exits are opened before the first question, and their answers are the processor's") {
    int asked = 0;
    for (const subject& s : shapes_here()) {
        if (s.host.stream_exit_count == 0) continue;
        INFO(s.host.network);
        fake::now = {};
        {
            const kernels::cudnn::device on(without_cudnn(), options());
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .batch = 2});
            const loaded here(s.d, s.host), there(s.d, engine.net_here());
            exit_benches ours(there.p, there.packed.data(), 2, 2, nullptr), theirs(here.p, here.packed.data(), 1, 1, nullptr);
            const long opened = fake::now.calls_that_allocate;
            for (int e = 0; e < s.host.stream_exit_count; ++e) {
                exit_question a(there.p), b(here.p);
                std::vector<float> from_gpu(s.host.stream_exits[e].floats), from_cpu = from_gpu;
                std::mt19937 engine_of_values(static_cast<unsigned>(e) + 1);
                std::normal_distribution<float> normal(0, 1);
                for (std::size_t k = 0; k < a.maps.size(); ++k)
                    for (std::size_t i = 0; i < a.maps[k].size() / sizeof(float); ++i) {
                        const float v = normal(engine_of_values);
                        std::memcpy(a.maps[k].data() + sizeof v * i, &v, sizeof v);
                        std::memcpy(b.maps[k].data() + sizeof v * i, &v, sizeof v);
                    }
                a.exit = b.exit = e;
                a.values = from_gpu.data(), b.values = from_cpu.data();
                a.deadline = b.deadline = std::chrono::steady_clock::now() + 60s;
                for (int sizes = 0; sizes < std::max(1, s.host.stream_exits[e].before_sizes * s.host.stream_exits[e].here_sizes); ++sizes, ++asked) {
                    a.sizes = b.sizes = static_cast<std::byte>(sizes);
                    REQUIRE(ours.answer(a) == exit_benches::outcome::answered);
                    REQUIRE(theirs.answer(b) == exit_benches::outcome::answered);
                    double worst = 0;
                    for (std::size_t i = 0; i < from_gpu.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(from_gpu[i]) - static_cast<double>(from_cpu[i])));
                    CHECK(worst <= 1e-5);
                }
            }
            CHECK(fake::now.calls_that_allocate == opened);
            CHECK(engine.counters().on_cpu == 0);
        }
        check_clean();
    }
    CHECK(asked >= 4);
}

TEST_CASE("GPU: threads that run frames in arenas of their own do not disturb each other, nor do arenas that are opened and given back meanwhile") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::gpu_pipeline<guarded> on_gpu(on, {.precision = precision::f32});
        const auto weights = seeded_weights<guarded>(3, on_gpu.net());
        const pipeline& p = on_gpu.net();
        constexpr unsigned pictures = 6;
        std::vector<shown_picture> shown;
        std::vector<std::vector<float>> wanted;
        for (unsigned i = 0; i < pictures; ++i) wanted.push_back(shown.emplace_back(i).wanted());
        std::atomic<int> wrong{}, ran{};
        const auto work = [&](unsigned first) {
            for (unsigned round = 0; round < 4; ++round) {
                const frame_arena arena(p);
                std::vector<float> got(p.output_floats);
                for (unsigned i = 0; i < pictures; ++i, ++ran) {
                    const unsigned which = (first + i) % pictures;
                    const void* in = shown[which].bytes.data();
                    p.run({arena.data(), weights.bytes().data(), &in, got.data()}, 0, p.stages, nullptr);
                    wrong += error_of(p, wanted[which], got) > codec_tolerance;
                }
            }
        };
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < 3; ++t) threads.emplace_back(work, t);
        for (auto& t : threads) t.join();
        CHECK(ran == 3 * 4 * pictures);
        CHECK(wrong == 0);
        CHECK(on_gpu.counters().on_cpu == 0);
        CHECK(on_gpu.counters().on_gpu == 3 * 4 * pictures);
    }
    check_clean();
}

TEST_CASE("GPU: on this machine's own device an edge's head and a cloud's tail give the processor's answers") {
    auto& on = own_device();
    if (!on) return;
    const gpu::gpu_pipeline<guarded> on_gpu(*on, {.precision = precision::f32, .batch = 4});
    for (const bool at_cloud : {true, false}) {
        live_pair both(at_cloud ? on_cpu() : on_gpu.net(), at_cloud ? on_gpu.net() : on_cpu(), 1s, 300ms);
        REQUIRE(both.connects());
        for (unsigned i = 0; i < 50; ++i) CHECK(both.show(i) == answer_source::cloud);
    }
    CHECK(on_gpu.counters().reason == "");
    CHECK(on_gpu.counters().on_cpu == 0);
}
