// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_failures_test.cpp
/// What the GPU's executor does when a device fails, has no room or is shared, and that it gives back what it took.
#include "own_device.hpp"
#include "subjects.hpp"

#include <splitdsl/energy/nvml_meter.hpp>
#include <splitdsl/runtime/frame_arena.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <thread>

#include <unistd.h>

using namespace gpu_tests;

namespace {
void* counted(std::size_t size, std::size_t alignment) {
    fake::now.heap += fake::now.counts_heap;
    void* const p = alignment > alignof(std::max_align_t) ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment) : std::malloc(size ? size : 1);
    if (!p) throw std::bad_alloc();
    return p;
}
} // namespace
// Not inlined, or g++ sees a pointer from new meet free and takes it for an error.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(size, 0); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t a) { return counted(size, static_cast<std::size_t>(a)); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

TEST_CASE("GPU: after its first run an arena allocates nothing for a frame or a batch, on the device, pinned or on the heap") {
    fake::now = {};
    const kernels::cudnn::device on(without_cudnn(), options());
    for (const subject& s : shapes_here()) {
        INFO(s.host.network);
        const gpu::gpu_engine engine(on, s.program, s.host, {.batch = 2});
        const loaded n(s.d, engine.net_here());
        const pipeline& p = n.p;
        const frame f(s.d, p, 1);
        side one(p, n.packed, 0), two(p, n.packed, 1);
        one.memory.inputs = two.memory.inputs = f.pointers.data();
        const frame_memory both[]{one.memory, two.memory};
        std::vector<std::byte> payload(1);
        for (const cut_info& c : p.cuts) payload.resize(std::max(payload.size(), c.payload_bytes));
        const auto every_way = [&] {
            p.run(one.memory, 0, p.stages, nullptr);
            p.run_batch(both, 0, p.stages, nullptr);
            for (int c = 0; c < static_cast<int>(p.cuts.size()); ++c) {
                const cut_info& cut = p.cuts[static_cast<std::size_t>(c)];
                p.run(one.memory, 0, cut.stage + 1, nullptr);
                p.store_payload(one.memory, c, payload.data());
                p.load_payload(two.memory, c, {payload.data(), cut.payload_bytes});
                p.run(two.memory, cut.stage + 1, p.stages, nullptr);
            }
            for (int e = 0; e < p.stream_exit_count; ++e) {
                p.run(one.memory, p.stream_exits[e].stage, p.stream_exits[e].stage + 1, nullptr);
                p.run_batch(both, p.stream_exits[e].stage, p.stream_exits[e].stage + 1, nullptr);
            }
        };
        every_way();
        const long before = fake::now.calls_that_allocate;
        fake::now.heap = 0;
        fake::now.counts_heap = true;
        every_way();
        const long mine = fake::now.heap;
        ::operator delete(::operator new(1000));        // a direct call: a compiler may leave out a container's
        fake::now.counts_heap = false;
        CHECK(mine == 0);
        CHECK(fake::now.heap == 1);
        CHECK(fake::now.calls_that_allocate == before);
        CHECK(engine.counters().on_cpu == 0);
    }
}

TEST_CASE("GPU: memory alone bounds networks and arenas, and an arena that goes gives back what the device held for it") {
    const subject s = small_shapes().front();
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const loaded on_cpu(s.d, s.host);
        const frame f(s.d, s.host, 1);
        const auto wanted = on_cpu.whole(f);
        std::vector<std::unique_ptr<gpu::gpu_engine>> engines;
        for (int i = 0; i < 40; ++i) engines.push_back(std::make_unique<gpu::gpu_engine>(on, s.program, s.host, gpu::gpu_options{.precision = precision::f32}));
        const loaded first(s.d, engines.front()->net_here()), last(s.d, engines.back()->net_here());
        CHECK(error_of(s.host, wanted, first.whole(f)) <= codec_tolerance);
        CHECK(engines.front()->counters().on_gpu > 0);

        const pipeline& net = engines.back()->net_here();
        const std::size_t before = fake::now.memory.size();
        std::vector<float> outputs(net.output_floats);
        {
            std::vector<std::unique_ptr<frame_arena>> arenas;
            for (int i = 0; i < 70; ++i) {
                arenas.push_back(std::make_unique<frame_arena>(net));
                net.run({arenas.back()->data(), last.packed.data(), f.pointers.data(), outputs.data()}, 0, net.stages, nullptr);
            }
            CHECK(error_of(s.host, wanted, outputs) <= codec_tolerance);
            CHECK(fake::now.memory.size() >= before + 70);
            const std::size_t with_all = fake::now.memory.size();
            arenas.erase(arenas.begin(), arenas.begin() + 35);
            const std::size_t with_half = fake::now.memory.size();
            for (int i = 0; i < 35; ++i) {
                arenas.push_back(std::make_unique<frame_arena>(net));
                net.run({arenas.back()->data(), last.packed.data(), f.pointers.data(), outputs.data()}, 0, net.stages, nullptr);
            }
            CHECK(with_half < with_all);
            CHECK(fake::now.memory.size() == with_all);
        }
        CHECK(fake::now.memory.size() == before);
        CHECK(engines.back()->counters().on_cpu == 0);
        CHECK(engines.back()->counters().reason == "");
    }
    check_clean();
}

TEST_CASE("GPU: whichever thread gives an arena back, or a network, does so in the device's context") {
    const subject s = small_shapes().front();
    fake::now = {};
    {
        const kernels::cudnn::device on(with_cudnn(), options());
        auto engine = std::make_unique<const gpu::gpu_engine>(on, s.program, s.host, gpu::gpu_options{.precision = precision::f16});
        auto n = std::make_unique<const loaded>(s.d, engine->net_here());
        const frame f(s.d, s.host, 1);
        (void)n->whole(f);
        side kept(engine->net_here(), n->packed, 0);
        kept.memory.inputs = f.pointers.data();
        REQUIRE(engine->net_here().run(kept.memory, 0, s.host.stages, nullptr));
        CHECK(engine->counters().on_cpu == 0);
        std::thread([&] { engine->forget(kept.memory.arena); }).join();
        std::thread([&] { engine.reset(); }).join();
    }
    check_clean();
}

TEST_CASE("GPU: a device that fails at any moment costs no frame: the CPU goes on, with the same answer as its own") {
    int failures = 0;
    for (const subject& s : small_shapes()) {
        INFO(s.host.network);
        const loaded on_cpu(s.d, s.host);
        std::vector<const float*> parameters;
        for (const parameter& q : graph::list_parameters(s.d)) parameters.push_back(on_cpu.weights.at(q.name).data());
        const frame f(s.d, s.host, 1);
        const auto wanted = on_cpu.whole(f);
        fake::now = {};
        const kernels::cudnn::device on(without_cudnn(), options());
        bool survives = false;
        for (long after = 0; !survives && after < 40; ++after, ++failures) {
            fake::now.fail_graph_after = -1;
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
            const pipeline& p = engine.net_here();
            const aligned_buffer packed(p.packed_bytes);
            p.pack(parameters.data(), packed.data());
            const auto run = [&] {
                side here(p, packed, 0);
                here.memory.inputs = f.pointers.data();
                run_whole(p, here.memory);
                return here.outputs;
            };
            fake::now.fail_graph_after = fake::now.graph_launches + after;
            CHECK(error_of(p, wanted, run()) <= codec_tolerance);
            const gpu::gpu_counters seen = engine.counters();
            survives = !seen.lost;
            CHECK((survives || (seen.on_cpu > 0 && seen.reason.find("CUDA_ERROR_LAUNCH_FAILED") != std::string::npos)));
            if (!survives) CHECK(same_bits(run(), wanted));
        }
        CHECK(survives);
    }
    CHECK(failures > 10);
}

TEST_CASE("GPU: without room on the device the CPU answers, and the reason is kept") {
    const subject s = small_shapes().front();
    fake::now = {};
    const kernels::cudnn::device on(without_cudnn(), options());
    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
    const loaded n(s.d, engine.net_here()), on_cpu(s.d, s.host);
    fake::now.room = 0;
    const frame f(s.d, n.p, 1);
    CHECK(same_bits(n.whole(f), on_cpu.whole(f)));
    CHECK(engine.counters().reason.find("CUDA_ERROR_OUT_OF_MEMORY") != std::string::npos);
    CHECK_FALSE(engine.counters().lost);
}

TEST_CASE("GPU: a stop between stages is obeyed, and the frame goes on where it stopped") {
    for (const subject& s : small_shapes()) {
        if (s.host.cuts.empty()) continue;
        fake::now = {};
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
        const loaded n(s.d, engine.net_here());
        const frame f(s.d, n.p, 1);
        side here(n.p, n.packed, 0);
        here.memory.inputs = f.pointers.data();
        const std::atomic<bool> yes{true};
        CHECK_FALSE(n.p.run(here.memory, 0, n.p.stages, &yes));
        CHECK(n.p.run(here.memory, 0, n.p.stages, nullptr));
        CHECK(same_bits(here.outputs, n.whole(f)));
    }
}

TEST_CASE("GPU: a batch that the device fails is answered by the CPU, frame for frame, and a stop is obeyed") {
    for (const subject& s : small_shapes()) {
        if (!s.program.streams.empty()) continue;
        INFO(s.host.network);
        fake::now = {};
        const kernels::cudnn::device on(without_cudnn(), options());
        const loaded on_cpu(s.d, s.host);
        bool survives = false;
        for (long after = 0; !survives && after < 40; after += 2) {
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .batch = 2});
            const pipeline& p = engine.net_here();
            const loaded n(s.d, p);
            const frame one(s.d, p, 1), two(s.d, p, 2);
            side a(p, n.packed, 0), b(p, n.packed, 1);
            a.memory.inputs = one.pointers.data(), b.memory.inputs = two.pointers.data();
            const frame_memory both[]{a.memory, b.memory};
            const std::atomic<bool> yes{true};
            CHECK_FALSE(p.run_batch(both, 0, p.stages, &yes));
            fake::now.fail_graph_after = fake::now.graph_launches + after;
            CHECK(p.run_batch(both, 0, p.stages, nullptr));
            fake::now.fail_graph_after = -1;
            survives = !engine.counters().lost;
            const auto wanted = on_cpu.whole(one), also = on_cpu.whole(two);
            if (survives) CHECK((error_of(p, wanted, a.outputs) <= codec_tolerance && error_of(p, also, b.outputs) <= codec_tolerance));
            else CHECK((same_bits(a.outputs, wanted) && same_bits(b.outputs, also) && engine.counters().on_cpu == 2 && engine.counters().why == device_failure::lost));
        }
        CHECK(survives);
    }
}

TEST_CASE("GPU: every refusal has a name, and the CPU answers: no memory for weights, arenas or pinned memory, a convolution that does not start, a device lost while an arena opens") {
    const subject s = small_shapes().front();
    const auto answers = [&](const char* what, device_failure why, bool has_cudnn, auto refuse) {
        INFO(what);
        fake::now = {};
        {
            const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .batch = 2});
            const pipeline& p = engine.net_here();
            const loaded on_cpu(s.d, s.host);
            refuse(fake::now);
            const loaded n(s.d, p);         // lays out the weights, too
            const frame f(s.d, p, 1);
            const bool same = same_bits(n.whole(f), on_cpu.whole(f));
            fake::now.fail_allocation_after = fake::now.fail_pinned_after = fake::now.fail_convolution_after = -1;
            fake::now.room = std::size_t{1} << 30;
            if (engine.counters().reason.empty()) return false;         // it was not asked for so much
            CHECK(same);
            CHECK(engine.counters().why == why);
            CHECK(engine.counters().on_gpu == 0);
            CHECK(engine.counters().lost == (why == device_failure::lost));
            CHECK(engine.counters().reason.find(why == device_failure::out_of_memory ? "CUDA_ERROR_OUT_OF_MEMORY" : why == device_failure::lost ? "CUDA_ERROR_LAUNCH_FAILED" : "cuDNN does not run") != std::string::npos);
        }
        check_clean();
        return true;
    };
    /// At the first request of its kind, the second, ... until all are granted.
    const auto answers_always = [&](const char* what, device_failure why, bool has_cudnn, auto refuse) {
        long k = 0;
        while (answers(what, why, has_cudnn, [&](fake::state& f) { refuse(f, k); })) ++k;
        CHECK(k >= 2);
    };
    CHECK(answers("no room for weights", device_failure::out_of_memory, false, [](fake::state& f) { f.room = 100; }));
    answers_always("no room on the device", device_failure::out_of_memory, false, [](fake::state& f, long k) { f.fail_allocation_after = f.allocations + k, f.failure = kernels::cudnn::driver_out_of_memory; });
    answers_always("no device", device_failure::lost, false, [](fake::state& f, long k) { f.fail_allocation_after = f.allocations + k; });
    answers_always("no pinned memory", device_failure::out_of_memory, false, [](fake::state& f, long k) { f.fail_pinned_after = f.pinned_allocations + k; });
    answers_always("cuDNN refuses a convolution it planned", device_failure::unsupported, true, [](fake::state& f, long k) { f.fail_convolution_after = f.convolutions_asked + k; });
}

TEST_CASE("GPU: pipelines share a device, each on a stream of its own, and devices are told apart") {
    fake::now = {};
    fake::now.devices = 2;
    {
        const kernels::cudnn::device first(with_cudnn(), options()), second(with_cudnn(), {.ordinal = 1, .needs_cudnn = false, .code_folder = "", .chooses_by_time = false});
        const auto small = small_shapes();
        std::vector<std::unique_ptr<gpu::gpu_engine>> engines;
        std::vector<std::unique_ptr<loaded>> networks;
        std::vector<const subject*> of;
        for (const kernels::cudnn::device* on : {&first, &second})
            for (std::size_t i = 0; i < 2; ++i) {
                engines.push_back(std::make_unique<gpu::gpu_engine>(*on, small[i].program, small[i].host, gpu::gpu_options{.precision = precision::f32}));
                networks.push_back(std::make_unique<loaded>(small[i].d, engines.back()->net_here()));
                of.push_back(&small[i]);
            }
        // Opened one after another and then in turns: each replays its own graphs.
        std::vector<std::unique_ptr<side>> sides;
        std::vector<std::vector<float>> wanted;
        std::vector<std::unique_ptr<frame>> frames;
        for (std::size_t e = 0; e < engines.size(); ++e) {
            const pipeline& p = engines[e]->net_here();
            frames.push_back(std::make_unique<frame>(of[e]->d, p, 1));
            wanted.push_back(networks[e]->reference(*frames.back()));
            sides.push_back(std::make_unique<side>(p, networks[e]->packed, 0));
            sides.back()->memory.inputs = frames.back()->pointers.data();
            run_whole(p, sides.back()->memory);
        }
        for (std::size_t e = engines.size(); e-- > 0;) {
            std::fill(sides[e]->outputs.begin(), sides[e]->outputs.end(), 0.0F);
            run_whole(engines[e]->net_here(), sides[e]->memory);
            CHECK(error_of(engines[e]->net_here(), wanted[e], sides[e]->outputs) <= codec_tolerance);
            CHECK(engines[e]->counters().on_cpu == 0);
        }
        int streams = 0;
        for (const auto& e : engines) streams += e->laid_out().lanes() + 1;     // for work, and one for copies each
        CHECK(fake::now.streams == streams);
    }
    check_clean();
}

TEST_CASE("GPU: the energy counter begins at zero, grows, and says why there is none") {
    static unsigned long long now;
    now = 5'000;
    const nvml_api working{[] { return 0; }, [](unsigned, void** h) { return *h = &now, 0; }, [](void*, unsigned long long* mj) { return *mj = now, 0; }, nullptr};
    auto opened = open_nvml_meter(working);
    REQUIRE(opened.meter);
    CHECK(opened.meter->total().value == 0);
    now = 7'500;
    CHECK(opened.meter->total().value == Approx(2.5));
    now = 100;          // a counter that falls is not believed
    CHECK(opened.meter->total().value == Approx(2.5));
    nvml_api refused = working;
    refused.energy = [](void*, unsigned long long*) { return 3; };
    CHECK(open_nvml_meter(refused).reason == "no energy counter: NVML's counter failed (3)");
}

TEST_CASE("GPU: on this machine's own device the energy counter counts") {
    if (!own_device()) return;
    auto opened = open_nvml_meter();
    if (!opened.meter) {
        std::puts(("SKIPPED: " + opened.reason).c_str());
        return;
    }
    for (int waits = 0; opened.meter->total().value == 0 && waits < 500; ++waits) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    CHECK(opened.meter->total().value > 0);
}

TEST_CASE("GPU: what is missing is said in one sentence") {
    fake::now = {};
    const auto why = [](auto act) {
        try {
            act();
        } catch (const device_error& e) {
            return std::pair{e.why, std::string(e.what())};
        }
        return std::pair{device_failure::lost, std::string("nothing")};
    };
    const auto second = why([] { kernels::cudnn::device d(without_cudnn(), {.ordinal = 3}); });
    CHECK(second.first == device_failure::no_device);
    CHECK(second.second == "GPU 3 was expected; the driver sees 1");
    const auto library = why([] { kernels::cudnn::detail::load("cuDNN 9", {"/nowhere"}, {"libno_such_library.so.9"}, {}); });
    CHECK(library.first == device_failure::missing);
    CHECK(library.second.starts_with("cuDNN 9 was expected as libno_such_library.so.9 and not found ("));
    // Of a library that is there and does not load, the reason is that one's, wherever it is looked for before and after.
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("splitdsl_libraries_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "libno_such_library.so.9") << "no library";
    const auto broken = why([&] { kernels::cudnn::detail::load("cuDNN 9", {"/nowhere", folder.string(), "/nowhere"}, {"libno_such_library.so.9"}, {}); });
    std::filesystem::remove_all(folder);
    CHECK(broken.second.find((folder / "libno_such_library.so.9").string() + ": file too short") != std::string::npos);
    void (*function)() = nullptr;
    const auto old = why([&] { kernels::cudnn::detail::load("libm", {}, {"libm.so.6"}, {kernels::cudnn::detail::entry("no_such_function", function)}); });
    CHECK(old.first == device_failure::too_old);
    CHECK(fake::now.contexts == 0);
}
