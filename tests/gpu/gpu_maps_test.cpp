// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_maps_test.cpp
/// Maps that something goes on with where they stand: streams that the device pools, regions that it samples.
#include "own_device.hpp"
#include "subjects.hpp"

#include <splitdsl/codec/dynamic_pool_cells.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <splitdsl/gpu/region_sampling.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/executor.hpp>

#include <array>
#include <cstring>
#include <random>

using namespace gpu_tests;

namespace {
/// Takes everything and keeps it.
struct keeping_stream final : link::stream {
    std::vector<std::byte> kept;
    link::io write(std::span<const std::byte> from) noexcept override { return kept.insert(kept.end(), from.begin(), from.end()), link::io{link::io_result::ok, from.size()}; }
    link::io read(std::span<std::byte>) noexcept override { return {link::io_result::would_block, 0}; }
    bool wait(bool, bool, duration) noexcept override { return false; }
    void wake() noexcept override {}
    void shutdown() noexcept override {}
};
} // namespace

TEST_CASE("GPU: a stream that the device pooled goes over the air with the bytes of the one the CPU pooled, and the CPU pools where the device failed") {
    int streams = 0;
    for (const subject& s : shapes_here())
        for (const pool_form form : {pool_form::lifted, pool_form::means})
            for (const bool fails : {false, true}) {
                if (s.host.stream_count == 0) continue;
                INFO(s.host.network);
                fake::now = {};
                {
                    const kernels::cudnn::device on(without_cudnn(), options());
                    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .streams = form});
                    const pipeline& p = engine.net_here();
                    const loaded n(s.d, p);
                    const frame f(s.d, p, 1);
                    side here(p, n.packed, 0);
                    here.memory.inputs = f.pointers.data();
                    edge_streams ours(p, {.window_bytes = 0, .coding = {.form = form}, .pooler = &engine}), theirs(p, {.window_bytes = 0, .coding = {.form = form}});
                    ours.restart(true);
                    theirs.restart(true);
                    REQUIRE(p.run(here.memory, 0, 1, nullptr));
                    if (fails) fake::now.fail_graph_after = 0;
                    for (int k = 0; k < p.stages; ++k) {
                        REQUIRE(p.run(here.memory, k, k + 1, nullptr));
                        for (int i = 0; i < p.stream_count; ++i) {
                            if (p.streams[i].stage != k) continue;
                            ++streams;
                            CHECK(engine.pooled(i, here.memory.arena).coefficients.empty() == (fails || ladder_of(p.streams[i]).by_width())); // widths are the processor's
                            const edge_stream_hooks::order all{.frame = 1, .epoch = 1, .stream = i, .first = 0, .last = 63, .stage = k, .due = instant{}};
                            keeping_stream a, b;
                            bool room = true;
                            std::size_t written = 0;
                            REQUIRE(ours.start(all, here.memory.arena, instant{}));
                            REQUIRE(theirs.start(all, here.memory.arena, instant{}));
                            CHECK(ours.write(a, false, room, written));
                            CHECK(theirs.write(b, false, room, written));
                            CHECK(a.kept.size() > 100);
                            CHECK(a.kept == b.kept);
                        }
                    }
                    CHECK(engine.counters().lost == fails);
                }
                check_clean();
            }
    CHECK(streams >= 8);
}

namespace {
/// The trunk of one frame, stage by stage, with every stream pooled and rebuilt as a cloud does it; sizes of exits count with the seed.
void leave_streams(const pipeline& p, const frame_memory& memory, unsigned seed) {
    std::vector<dynamic_pool_decoder> received;
    for (int stage = 0; stage < p.stages; ++stage) {
        REQUIRE(p.run(memory, stage, stage + 1, nullptr));
        for (int s = 0; s < p.stream_count; ++s) {
            const stream_info& i = p.streams[s];
            if (i.stage != stage) continue;
            const pool_ladder ladder = ladder_of(i);
            dynamic_pool_encoder from{ladder};
            dynamic_pool_decoder& to = received.emplace_back(ladder);
            from.pool(reinterpret_cast<const float*>(memory.arena + i.map), p.pooling);
            for (int l = 0; l < ladder.levels; ++l) (void)to.take(l, from.encode(l));
        }
    }
    for (std::size_t s = 0; s < received.size(); ++s) received[s].rebuild(received[s].ladder().levels - 1, reinterpret_cast<float*>(memory.arena + p.streams[s].pooled));
    for (int e = 0; e < p.stream_exit_count; ++e)
        if (const stream_exit_info& x = p.stream_exits[e]; x.here_sizes > 0) memory.arena[x.sizes] = static_cast<std::byte>(seed % static_cast<unsigned>(x.before_sizes * x.here_sizes));
}
/// Frames of a batch, from the trunk and from the exits. Returns how many exits read sizes.
int compare_exits(const kernels::cudnn::device& on, const subject& s, double limit) {
    int chosen = 0;
    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .batch = 3});
    const pipeline& p = engine.net_here();
    REQUIRE(p.batch_limit == 3);
    const loaded n(s.d, p);
    std::vector<std::unique_ptr<frame>> frames;
    std::vector<std::unique_ptr<side>> sides;
    std::vector<frame_memory> together;
    std::vector<std::vector<float>> alone;
    for (unsigned i = 0; i < 3; ++i) {
        frames.push_back(std::make_unique<frame>(s.d, p, i + 1));
        sides.push_back(std::make_unique<side>(p, n.packed, 4));
        sides.back()->memory.inputs = frames.back()->pointers.data();
        leave_streams(p, sides.back()->memory, i + 1);
        for (int e = 0; e < p.stream_exit_count; ++e) {
            REQUIRE(p.run(sides.back()->memory, p.stream_exits[e].stage, p.stream_exits[e].stage + 1, nullptr));
            chosen += p.stream_exits[e].here_sizes > 0;
        }
        alone.push_back(sides.back()->outputs);
        together.push_back(sides.back()->memory);
        std::fill(sides.back()->outputs.begin(), sides.back()->outputs.end(), untouched(4));
    }
    for (int turn = 0; turn < 2; ++turn) {
        const long warmed = fake::now.calls_that_allocate;
        for (int e = 0; e < p.stream_exit_count; ++e) REQUIRE(p.run_batch(together, p.stream_exits[e].stage, p.stream_exits[e].stage + 1, nullptr));
        if (turn == 1) CHECK(fake::now.calls_that_allocate == warmed);
    }
    REQUIRE(p.run_batch(together, 0, p.stages, nullptr));
    for (std::size_t i = 0; i < 3; ++i) CHECK(error_of(p, alone[i], sides[i]->outputs) <= limit);
    CHECK(alone[0] != alone[1]);
    CHECK(engine.counters().batches == static_cast<std::uint64_t>(2 * p.stream_exit_count + 1));
    CHECK(engine.counters().on_cpu == 0);
    for (const auto& x : sides) p.forget(x->memory.arena);
    return chosen;
}
} // namespace

TEST_CASE("GPU: frames of a batch leave a network with streams as they do alone, from its trunk and from its exits, each with sizes of its own") {
    int networks = 0, chosen = 0;
    for (const subject& s : shapes_here()) {
        if (s.program.streams.empty()) continue;
        INFO(s.host.network);
        ++networks;
        fake::now = {};
        chosen += compare_exits(kernels::cudnn::device(without_cudnn(), options()), s, 0);
        check_clean();
    }
    CHECK(networks > 0);
    CHECK(chosen > 0);
}

namespace {
/// Two levels of a pyramid, and something behind them that works in the same memory.
struct pyramid {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 40}) | normalise(imagenet) | named("stem", conv(6, {.kernel = 3, .stride = 2})) | relu()
             | fan_out(task("map2", named("a", conv(6, {.kernel = 3}))), task("map3", named("b", conv(6, {.kernel = 3, .stride = 2}))), task("other", global_pool() | named("c", dense(3))));
    }
};
std::vector<detect::box> some_regions(std::size_t count, unsigned seed) {
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> anywhere(-30, 220);
    std::vector<detect::box> all;
    for (std::size_t i = 0; i < count; ++i) {
        const float a = anywhere(engine), b = anywhere(engine), c = anywhere(engine), d = anywhere(engine);
        all.push_back({std::min(a, b), std::min(c, d), std::max(a, b), std::max(c, d)});
    }
    return all;
}
double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    return worst;
}
} // namespace

namespace {
const std::size_t region_rows = 6 * 7 * 7, region_columns = 40;
std::array<detect::feature_map, 2> maps_in(const side& s) { return {{{s.outputs.data(), 6, 16, 20, 0.125F}, {s.outputs.data() + 6 * 16 * 20, 6, 8, 10, 0.0625F}}}; }

/// Three frames' regions on the device against the processor's; then, on a made-up device, one that it fails.
void compare_regions(const kernels::cudnn::device& on, precision how, bool is_made_up) {
    const graph::description d = graph::description_of<pyramid>();
    const gpu::gpu_pipeline<pyramid> network(on, {.precision = how});
    const pipeline& p = network.net();
    const loaded n(d, p);
    side here(p, n.packed, 0), other(p, n.packed, 1);
    gpu::region_sampling sampler(network.runs_on(), here.memory.arena, {.regions = 30, .channels = 6, .cells = 7});
    detect::roi_align align(7, 2);
    std::vector<float> columns(region_rows * region_columns, 7.0F), wanted = columns;
    CHECK_FALSE(sampler.sample(maps_in(here), some_regions(3, 1), align, columns.data(), region_columns));        // no frame yet
    for (unsigned seed = 1; seed <= 3; ++seed) {
        const frame f(d, p, seed);
        here.memory.inputs = other.memory.inputs = f.pointers.data();
        REQUIRE(p.run(here.memory, 0, p.stages, nullptr));
        const std::vector<detect::box> regions = some_regions(seed == 1 ? 30 : 7 * seed, seed);
        for (const int level : {2, 3}) CHECK(std::any_of(regions.begin(), regions.end(), [&](const detect::box& b) { return detect::pyramid_level(b, 2, 3) == level; }));
        const long before = fake::now.calls_that_allocate, launches = fake::now.launches;
        detect::pool_regions(maps_in(here), regions, align, columns.data(), region_columns, &sampler);
        CHECK(fake::now.launches == launches + (is_made_up ? 2 : 0));
        CHECK(fake::now.calls_that_allocate == before);
        detect::pool_regions(maps_in(here), regions, align, wanted.data(), region_columns);
        CHECK(largest_difference(wanted, columns) <= 1e-5);
        // Other maps, too many regions, another arena.
        CHECK_FALSE(sampler.sample(maps_in(other), regions, align, columns.data(), region_columns));
        CHECK_FALSE(sampler.sample(maps_in(here), some_regions(31, 1), align, columns.data(), region_columns));
    }
    CHECK(wanted[region_columns - 1] == 7.0F);        // a column without a region
    if (!is_made_up) return;
    fake::now.fail_launch_after = fake::now.launches;
    detect::pool_regions(maps_in(here), some_regions(30, 9), align, columns.data(), region_columns, &sampler);
    detect::pool_regions(maps_in(here), some_regions(30, 9), align, wanted.data(), region_columns);
    CHECK(same_bits(wanted, columns));
    CHECK(network.counters().lost);
    CHECK(network.counters().reason == "GPU: sampling regions failed with CUDA_ERROR_LAUNCH_FAILED");
    CHECK_FALSE(sampler.sample(maps_in(here), some_regions(3, 1), align, columns.data(), region_columns));
}
} // namespace

TEST_CASE("GPU: regions are sampled on the device that made their maps, and by the processor where it did not") {
    for (const precision how : {precision::f32, precision::f16}) {
        fake::now = {};
        compare_regions(kernels::cudnn::device(without_cudnn(), options()), how, true);
        check_clean();
    }
}

TEST_CASE("GPU: a small network on this machine's own device, its regions sampled there, and exits in batches") {
    auto& on = own_device();
    if (!on) return;
    compare_regions(*on, precision::f32, false);
    for (const subject& s : shapes_here())
        if (!s.program.streams.empty()) compare_exits(*on, s, 1e-4);
}
