// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_detect_failures_test.cpp
/// Detectors whose device fails, and whose second network reads its input where the first one's outputs are: the processor's detections all the same.
#include "detect_heads.hpp"

using namespace gpu_tests;

TEST_CASE("GPU: where the device fails while candidates are found, the processor finds them, from outputs that it makes itself") {
    for (const long kernels_run : {0L, 1L, 2L}) {
        fake::now = {};
        {
            const kernels::cudnn::device on(without_cudnn(), options());
            head_on<proposing_head> head(on);
            detect::proposal_finder propose(levels, start_boxes(), 100, 90, {.candidates = 20, .proposals = capacity});
            gpu::candidate_finding finder(head.network.runs_on(), head.here.memory.arena, propose.plan());
            gpu::region_sampling sampler(head.network.runs_on(), head.here.memory.arena, {.regions = capacity, .channels = 6, .cells = 7});
            detect::roi_align align(7, 2);
            std::vector<float> sampled(6 * 7 * 7 * capacity, 7.0F), wanted_samples = sampled;
            for (unsigned seed = 1; seed <= 3; ++seed) {
                head.run(head_values(head.input_values(), seed));
                if (seed == 2) fake::now.fail_launch_after = fake::now.launches + kernels_run;
                const auto here = proposing_outputs(head.here.outputs.data());
                const auto regions = kept(propose(here.logits, here.offsets, &finder));
                const std::vector<float> outputs = head.on_cpu();
                const auto there = proposing_outputs(outputs.data());
                CHECK(same(regions, propose(there.logits, there.offsets)));
                detect::pool_regions(maps_in(head.here.outputs.data()), regions, align, sampled.data(), capacity, &sampler);
                detect::pool_regions(maps_in(outputs.data()), regions, align, wanted_samples.data(), capacity);
                double worst = 0;
                for (std::size_t i = 0; i < sampled.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(sampled[i]) - static_cast<double>(wanted_samples[i])));
                CHECK(worst <= 1e-5);
                const gpu::gpu_counters c = head.network.counters();
                CHECK(c.lost == (seed >= 2));
                CHECK(head.any_output() == (seed >= 2));
                if (seed == 2) {
                    CHECK(c.reason == std::string("GPU: ") + (kernels_run == 2 ? "sampling regions" : "finding candidates") + " failed with CUDA_ERROR_LAUNCH_FAILED");
                    CHECK(c.on_cpu == 1);
                }
            }
        }
        check_clean();
    }
}

TEST_CASE("GPU: where a kernel, a copy or memory of the device fails, a single-shot detector's detections stay the processor's") {
    enum class failing { none, kernel, copy_of_candidates, second_copy, copy_of_outputs };
    const auto detects = [](failing what, long after, const char* doing) {
        fake::now = {};
        {
            const kernels::cudnn::device on(without_cudnn(), options());
            head_on<single_head> head(on);
            detect::single_shot post(levels, start_boxes(), 100, 90, {.classes = classes, .score = -1, .candidates = 300, .overlap = 0.9F, .detections = 400});   // 1,200 candidates: two copies
            gpu::candidate_finding finder(head.network.runs_on(), head.here.memory.arena, post.plan());
            for (unsigned seed = 1; seed <= 3; ++seed) {
                head.run(head_values(head.input_values(), seed));
                if (seed == 2 && what == failing::kernel) fake::now.fail_launch_after = fake::now.launches + after;
                if (seed == 2 && what >= failing::copy_of_candidates) fake::now.fail_copy_after = fake::now.copies_out + after;
                if (what == failing::copy_of_outputs) head.network.runs_on().fetch_outputs(head.here.memory.arena);
                const auto here = single_outputs(head.here.outputs.data());
                const auto found = kept(post(here.logits, here.offsets, &finder));
                const std::vector<float> outputs = head.on_cpu();
                const auto there = single_outputs(outputs.data());
                CHECK(same(found, post(there.logits, there.offsets)));
                CHECK(found.size() > 10);
            }
            const gpu::gpu_counters c = head.network.counters();
            CHECK(c.lost == (what != failing::none));
            CHECK(c.reason == (what == failing::none ? "" : std::string("GPU: ") + doing + " failed with CUDA_ERROR_LAUNCH_FAILED"));
            CHECK(c.on_cpu == (what == failing::none ? 0U : 2U));       // the second frame again, and the third
        }
        check_clean();
    };
    detects(failing::none, 0, "");
    for (const long kernels_run : {0L, 1L, 2L}) detects(failing::kernel, kernels_run, "finding candidates");
    detects(failing::copy_of_candidates, 0, "finding candidates");
    detects(failing::second_copy, 1, "finding candidates");
    for (const long outputs : {0L, 1L, 4L}) detects(failing::copy_of_outputs, outputs, "fetching outputs");

    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        head_on<single_head> head(on);
        detect::single_shot post(levels, start_boxes(), 100, 90, {.classes = classes});
        head.run(head_values(head.input_values(), 1));
        fake::now.room = 0;
        CHECK_THROWS_AS(gpu::candidate_finding(head.network.runs_on(), head.here.memory.arena, post.plan()), device_error);
        fake::now.room = std::size_t{1} << 30;
        head.network.runs_on().fetch_outputs(head.here.memory.arena);
        CHECK(same_bits(head.here.outputs, head.on_cpu()));
        CHECK_FALSE(head.network.counters().lost);
    }
    check_clean();
}

namespace {
/// Regions of seven frames, all of them or a few.
std::vector<detect::box> regions_of(unsigned seed) {
    const std::vector<detect::box> all = start_boxes();
    return {all.begin() + 20 * seed, all.begin() + 20 * seed + (seed % 3 == 0 ? 5 : capacity)};
}
/// Columns of those regions that differ from the processor's samples by more than 1e-4: devices contract.
int wrong_columns(const float* of, const head_on<proposing_head>& first, std::span<const detect::box> regions) {
    detect::roi_align align(7, 2);
    std::vector<float> wanted(6 * 7 * 7 * capacity);
    const std::vector<float> outputs = first.on_cpu();
    detect::pool_regions(maps_in(outputs.data()), regions, align, wanted.data(), capacity);
    int wrong = 0;
    for (std::size_t i = 0; i < regions.size(); ++i)
        for (std::size_t k = 0; k < 6 * 7 * 7; ++k)
            if (!(std::abs(of[k * capacity + i] - wanted[k * capacity + i]) <= 1e-4F)) {
                ++wrong;
                break;
            }
    return wrong;
}

/// `fails`: the second network's graph of that frame, on a made-up device.
void compare_samples_in_place(const kernels::cudnn::device& on, unsigned fails) {
    head_on<proposing_head> first(on);
    head_on<reading_head> second(on);
    gpu::region_sampling sampler(first.network.runs_on(), first.here.memory.arena, {.regions = capacity, .channels = 6, .cells = 7}, {&second.network.runs_on(), second.here.memory.arena});
    detect::roi_align align(7, 2);
    std::vector<float> sampled(6 * 7 * 7 * capacity);
    const void* const input = sampled.data();
    second.here.memory.inputs = &input;
    for (unsigned seed = 1; seed <= 7; ++seed) {
        INFO("frame " << seed << ", fails at " << fails);
        std::fill(second.here.outputs.begin(), second.here.outputs.end(), untouched(0));
        first.run(head_values(first.input_values(), seed));
        const auto regions = regions_of(seed);
        std::fill(sampled.begin(), sampled.end(), 7.0F);
        const long allocated = fake::now.calls_that_allocate;
        detect::pool_regions(maps_in(first.here.outputs.data()), regions, align, sampled.data(), capacity, &sampler);
        CHECK(fake::now.calls_that_allocate == allocated);
        // The first frame opens the second network's arena; while that one's device works, later ones find their samples there.
        const bool is_there = seed > 1 && (fails == 0 || seed <= fails);
        CHECK((sampled[0] == 7.0F) == is_there);
        if (seed == 5) {            // a frame of which the second network did not run leaves nothing to the next
            first.run(head_values(first.input_values(), 50));
            std::vector<detect::feature_map> others(2, detect::feature_map{second.here.outputs.data(), 6, 1, 1, 1});
            CHECK_FALSE(sampler.sample(others, regions, align, sampled.data(), capacity));
            detect::pool_regions(maps_in(first.on_cpu().data()), regions, align, sampled.data(), capacity);
        }
        if (seed == fails) fake::now.fail_graph_after = fake::now.graph_launches;
        REQUIRE(second.p.run(second.here.memory, 0, second.p.stages, nullptr));
        second.network.runs_on().fetch_outputs(second.here.memory.arena);
        CHECK(wrong_columns(second.here.outputs.data(), first, regions) == 0);
        CHECK(second.network.counters().lost == (fails > 0 && seed >= fails));
    }
}
} // namespace

TEST_CASE("GPU: samples go straight into the network that reads them, and to the processor where that one runs there") {
    for (const unsigned fails : {0U, 1U, 2U, 4U})
        for (const fake::stream_order order : {fake::stream_order::issued, fake::stream_order::others_first, fake::stream_order::others_last}) {
            fake::now = {};
            fake::now.order = order;
            compare_samples_in_place(kernels::cudnn::device(without_cudnn(), options()), fails);
            check_clean();
        }
    // The second network ran on the device, its outputs stayed there, and then the device is lost: everything is made again.
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        head_on<proposing_head> first(on);
        head_on<reading_head> second(on);
        gpu::region_sampling sampler(first.network.runs_on(), first.here.memory.arena, {.regions = capacity, .channels = 6, .cells = 7}, {&second.network.runs_on(), second.here.memory.arena});
        detect::roi_align align(7, 2);
        std::vector<float> sampled(6 * 7 * 7 * capacity, 7.0F);
        const void* const input = sampled.data();
        second.here.memory.inputs = &input;
        for (unsigned seed = 1; seed <= 2; ++seed) {
            first.run(head_values(first.input_values(), seed));
            detect::pool_regions(maps_in(first.here.outputs.data()), regions_of(seed), align, sampled.data(), capacity, &sampler);
            REQUIRE(second.p.run(second.here.memory, 0, second.p.stages, nullptr));
        }
        fake::now.fail_copy_after = fake::now.copies_out;
        second.network.runs_on().fetch_outputs(second.here.memory.arena);
        CHECK(wrong_columns(second.here.outputs.data(), first, regions_of(2)) == 0);
        CHECK(first.network.counters().on_cpu == 1);
        CHECK(second.network.counters().on_cpu == 1);
    }
    check_clean();
}

TEST_CASE("GPU: a small network on this machine's own device, regions sampled for another one there") {
    auto& on = own_device();
    if (!on) return;
    compare_samples_in_place(*on, 0);
}
