// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_detect_test.cpp
/// Candidates that the device finds in a detector's outputs, against the processor's: the same ones with the same bits.
#include "detect_heads.hpp"

using namespace gpu_tests;

namespace {

/// Options under which all candidates fit, a class has more than are looked at, and everything passes.
std::vector<detect::single_shot_options> single_options() {
    return {{.classes = classes, .score = 0.3F}, {.classes = classes, .score = 0.05F, .candidates = 17, .overlap = 0.6F}, {.classes = classes, .score = -1, .candidates = 1}, {.classes = classes, .score = 0.999F, .overlap = 0.99F},
            {.classes = classes, .score = 0, .candidates = 250, .overlap = 0.9F, .detections = 1000}};
}

void compare_single_shot(const kernels::cudnn::device& on, bool is_made_up) {
    head_on<single_head> head(on);
    std::size_t detections = 0;
    for (const detect::single_shot_options& o : single_options()) {
        detect::single_shot post(levels, start_boxes(), 100, 90, o);
        gpu::candidate_finding finder(head.network.runs_on(), head.here.memory.arena, post.plan());
        for (unsigned seed = 1; seed <= 3; ++seed) {
            std::fill(head.here.outputs.begin(), head.here.outputs.end(), untouched(0));
            head.run(head_values(head.input_values(), seed, is_made_up && seed == 3));
            const auto here = single_outputs(head.here.outputs.data());
            const long allocated = fake::now.calls_that_allocate, heap = fake::now.heap, launches = fake::now.launches;
            fake::now.counts_heap = true;
            const auto found = post(here.logits, here.offsets, &finder);
            fake::now.counts_heap = false;
            const auto on_device = kept(found);
            CHECK(fake::now.launches == launches + (is_made_up ? 3 : 0));
            CHECK(fake::now.calls_that_allocate == allocated);
            if (is_made_up) CHECK(fake::now.heap == heap);          // a real driver's own would count
            CHECK_FALSE(head.any_output());
            const std::vector<float> outputs = head.on_cpu();
            const auto there = single_outputs(outputs.data());
            CHECK(same(on_device, post(there.logits, there.offsets)));
            detections += on_device.size();
        }
    }
    CHECK(detections > 100);
    CHECK(head.network.counters().on_cpu == 0);
}

void compare_two_stage(const kernels::cudnn::device& on, bool is_made_up) {
    head_on<proposing_head> first(on);
    head_on<region_head> second(on);
    std::size_t proposals = 0, all = 0;
    for (const int candidates : {1, 20, 120, 1000}) {      // 120 of 240: the border is among zeros of both signs
        detect::proposal_finder propose(levels, start_boxes(), 100, 90, {.candidates = candidates, .proposals = 300, .overlap = 0.95F, .smallest = 4});
        gpu::candidate_finding finder(first.network.runs_on(), first.here.memory.arena, propose.plan());
        for (const float score : {-1.0F, 0.2F}) {
            detect::region_classifier classify(capacity, 100, 90, {.classes = classes, .score = score, .smallest = 3});
            gpu::candidate_finding classifier(second.network.runs_on(), second.here.memory.arena, classify.plan());
            for (unsigned seed = 1; seed <= 3; ++seed) {
                std::fill(second.here.outputs.begin(), second.here.outputs.end(), untouched(0));
                std::fill(first.here.outputs.begin(), first.here.outputs.end(), untouched(0));
                first.run(head_values(first.input_values(), seed));
                second.run(head_values(second.input_values(), seed + 10));
                const long allocated = fake::now.calls_that_allocate, heap = fake::now.heap;
                fake::now.counts_heap = true;
                const auto proposing = proposing_outputs(first.here.outputs.data());
                const auto regions = propose(proposing.logits, proposing.offsets, &finder);
                const auto some = regions.first(std::min<std::size_t>(regions.size(), capacity));
                const auto found = classify(second.here.outputs.data(), second.here.outputs.data() + classes * capacity, some, &classifier);
                fake::now.counts_heap = false;
                CHECK(fake::now.calls_that_allocate == allocated);
                if (is_made_up) CHECK(fake::now.heap == heap);
                CHECK_FALSE(first.any_output());
                CHECK_FALSE(second.any_output());
                const auto boxes = kept(regions);
                const auto detections = kept(found);
                const std::vector<float> outputs = first.on_cpu(), scores = second.on_cpu();
                const auto there = proposing_outputs(outputs.data());
                CHECK(same(boxes, propose(there.logits, there.offsets)));
                CHECK(same(detections, classify(scores.data(), scores.data() + classes * capacity, std::span(boxes).first(some.size()))));
                proposals += boxes.size(), all += detections.size();
                CHECK(classify(second.here.outputs.data(), second.here.outputs.data() + classes * capacity, {}, &classifier).empty());
                if (is_made_up && seed == 1) {
                    // More regions than the second network has columns are refused by the processor alike.
                    const std::vector<detect::box> many(capacity + 1);
                    CHECK_THROWS_AS(classify(nullptr, nullptr, many, &classifier), option_error);
                }
            }
        }
    }
    CHECK(proposals > 500);
    CHECK(all > 50);
    CHECK(first.network.counters().on_cpu + second.network.counters().on_cpu == 0);
}
} // namespace

TEST_CASE("GPU: e^x of detection is within one unit in the last place") {
    double worst = 0;
    const auto compare = [&](float x) {
        const double wanted = std::exp(static_cast<double>(x));
        const float near = static_cast<float>(wanted);
        if (!std::isfinite(near)) return;
        const double unit = static_cast<double>(std::nextafter(near, std::numeric_limits<float>::infinity())) - static_cast<double>(near);
        worst = std::max(worst, std::abs(static_cast<double>(detect::exponential(x)) - wanted) / unit);
    };
    for (float x = -104; x < 89; x += 0.00171F) compare(x);
    for (const float x : {0.0F, -0.0F, 1e-30F, -1e-8F, 88.7F, -87.5F, -103.9F}) compare(x);
    CHECK(worst <= 1);
    CHECK(worst > 0.5);
    const float inf = std::numeric_limits<float>::infinity();
    CHECK(detect::exponential(inf) == inf);
    CHECK(detect::exponential(90) == inf);
    CHECK(detect::exponential(-inf) == 0);
    CHECK(detect::exponential(0) == 1);
    CHECK(std::isnan(detect::exponential(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("GPU: scores of a head's classes have the processor's bits") {
    using namespace kernels::cudnn;
    std::vector<float> logits = head_values(40 * 11, 5, true), scores(logits.size());
    class_score_job j{};
    j.parts[0] = {logits.data(), nullptr, 40, 1, 0};
    j.part_count = 1, j.boxes = 40, j.classes = 11, j.scores = scores.data(), j.box_step = 11, j.class_step = 1;
    fake::run_kernel("score_classes", &j);
    for (std::size_t i = 0; i < 40; ++i) {
        std::vector<float> wanted(11);
        for (std::size_t k = 0; k < 11; ++k) wanted[k] = logits[k * 40 + i];
        detect::softmax(wanted.data(), wanted.size());
        CHECK(std::isnan(scores[i * 11]));
        for (std::size_t k = 1; k < 11; ++k) CHECK(same(scores[i * 11 + k], wanted[k]));
    }
}

TEST_CASE("GPU: a single-shot head's detections are the processor's, bit for bit, and nothing but candidates comes back") {
    for (const fake::stream_order order : {fake::stream_order::issued, fake::stream_order::others_first, fake::stream_order::others_last}) {
        fake::now = {};
        fake::now.order = order;
        compare_single_shot(kernels::cudnn::device(without_cudnn(), options()), true);
        check_clean();
    }
}

TEST_CASE("GPU: a two-stage detector's proposals and detections are the processor's, bit for bit, and nothing but candidates comes back") {
    for (const fake::stream_order order : {fake::stream_order::issued, fake::stream_order::others_first, fake::stream_order::others_last}) {
        fake::now = {};
        fake::now.order = order;
        compare_two_stage(kernels::cudnn::device(without_cudnn(), options()), true);
        check_clean();
    }
}

TEST_CASE("GPU: outputs that stay on the device are there for whoever asks, and early exits come at once") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        head_on<single_head> head(on);
        const gpu::gpu_engine& engine = head.network.runs_on();
        head.run(head_values(head.input_values(), 1));
        CHECK_FALSE(head.any_output());
        engine.fetch_outputs(head.here.memory.arena);
        CHECK(same_bits(head.here.outputs, head.on_cpu()));
        std::fill(head.here.outputs.begin(), head.here.outputs.end(), untouched(0));
        engine.fetch_outputs(head.here.memory.arena);       // once is enough
        CHECK_FALSE(head.any_output());

        REQUIRE(head.p.run(head.here.memory, 0, 1, nullptr));
        CHECK(head.here.wrote(head.here.outputs.size() - 1));           // the exit's are the last ones
        CHECK_FALSE(head.here.wrote(0));
        REQUIRE(head.p.run(head.here.memory, 1, head.p.stages, nullptr));
        CHECK_FALSE(head.here.wrote(0));
        engine.fetch_outputs(head.here.memory.arena);
        CHECK(same_bits(head.here.outputs, head.on_cpu()));

        // Another plan, other outputs, an arena without a frame: the processor looks, and has the outputs.
        detect::single_shot post(levels, start_boxes(), 100, 90, single_options()[0]), other(levels, start_boxes(), 100, 80, single_options()[0]);
        gpu::candidate_finding finder(engine, head.here.memory.arena, post.plan());
        head.run(head_values(head.input_values(), 2));
        std::fill(head.here.outputs.begin(), head.here.outputs.end(), untouched(0));
        const auto outputs = single_outputs(head.here.outputs.data());
        const long launches = fake::now.launches;
        const auto found = kept(other(outputs.logits, outputs.offsets, &finder));
        CHECK(fake::now.launches == launches);
        const std::vector<float> there = head.on_cpu();
        const auto wanted = single_outputs(there.data());
        CHECK(same(found, other(wanted.logits, wanted.offsets)));
        CHECK(same(post(wanted.logits, wanted.offsets, &finder), kept(post(wanted.logits, wanted.offsets))));
        CHECK(fake::now.launches == launches);
        CHECK_THROWS_AS(gpu::candidate_finding(engine, head.here.memory.arena, {.what = detect::candidate_plan::rule::of_each_level, .levels = std::vector<detect::head_level>(9, {1, 1, 1}), .most = 1}), option_error);

        // Frames of a batch have their outputs.
        const gpu::gpu_pipeline<single_head> both(on, {.precision = precision::f32, .batch = 2, .outputs_stay = true});
        const loaded weights(head.d, both.net());
        side a(both.net(), weights.packed, 0), b(both.net(), weights.packed, 1);
        a.memory.inputs = b.memory.inputs = &head.input;
        const std::array<frame_memory, 2> frames{a.memory, b.memory};
        REQUIRE(both.net().run_batch(frames, 0, both.net().stages, nullptr));
        CHECK(same_bits(a.outputs, there));
        CHECK(same_bits(b.outputs, there));
        both.net().forget(a.memory.arena);
    }
    check_clean();
}

TEST_CASE("GPU: a small network on this machine's own device, its detections found there") {
    auto& on = own_device();
    if (!on) return;
    compare_single_shot(*on, false);
    compare_two_stage(*on, false);
}
