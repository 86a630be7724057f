// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_detect_test.cpp
/// Candidates that the device finds in a detector's outputs, against the processor's: the same ones with the same bits.
#include "own_device.hpp"
#include "subjects.hpp"

#include <splitdsl/detect/single_shot.hpp>
#include <splitdsl/detect/two_stage.hpp>
#include <splitdsl/gpu/candidate_finding.hpp>
#include <splitdsl/gpu/region_sampling.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/executor.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace gpu_tests;

namespace {

constexpr int classes = 5, shapes = 3, rows = 8, columns = 10;

/// Two levels of a single-shot head whose outputs are the input itself: what the post-processing sees is what a test says. An early exit stands in
/// front of it.
struct single_head {
    static constexpr auto graph() {
        return input("values", f32, {.channels = shapes * (classes + 4), .height = rows, .width = columns}) | early_exit("glance", slice_channels(0, 1)) | tap("all", identity()) | subsample(2) | tap("few", identity())
             | fan_out(task("logits0", from("all") | slice_channels(0, shapes * classes)), task("offsets0", from("all") | slice_channels(shapes * classes, shapes * 4)),
                       task("logits1", from("few") | slice_channels(0, shapes * classes)), task("offsets1", from("few") | slice_channels(shapes * classes, shapes * 4)));
    }
};
/// The first stage of a two-stage detector: two maps, and proposals for each.
struct proposing_head {
    static constexpr auto graph() {
        return input("values", f32, {.channels = 6 + shapes * 5, .height = rows, .width = columns}) | tap("all", identity()) | subsample(2) | tap("few", identity())
             | fan_out(task("p2", from("all") | slice_channels(0, 6)), task("p3", from("few") | slice_channels(0, 6)), task("logits0", from("all") | slice_channels(6, shapes)),
                       task("offsets0", from("all") | slice_channels(6 + shapes, shapes * 4)), task("logits1", from("few") | slice_channels(6, shapes)),
                       task("offsets1", from("few") | slice_channels(6 + shapes, shapes * 4)));
    }
};
constexpr int capacity = 12;
/// The second stage: a column a region.
struct region_head {
    static constexpr auto graph() {
        return input("values", f32, {.channels = 5 * classes, .height = capacity, .width = 1}) | tap("all", identity())
             | fan_out(task("logits", from("all") | slice_channels(0, classes)), task("offsets", from("all") | slice_channels(classes, 4 * classes)));
    }
};

/// Gives what the second stage reads.
struct reading_head {
    static constexpr auto graph() { return input("samples", f32, {.channels = 6 * 7 * 7, .height = capacity, .width = 1}) | slice_channels(0, 6 * 7 * 7); }
};

const std::vector<detect::head_level> levels{{rows, columns, shapes}, {rows / 2, columns / 2, shapes}};
std::vector<detect::box> start_boxes() {
    std::vector<detect::box> all;
    std::mt19937 engine(11);
    std::uniform_real_distribution<float> centre(0, 100), size(4, 40);
    for (int i = 0; i < (rows * columns + rows * columns / 4) * shapes; ++i) {
        const float x = centre(engine), y = centre(engine), w = size(engine), h = size(engine);
        all.push_back({x - w, y - h, x + w, y + h});
    }
    return all;
}

/// Values with many equal ones among them: who is chosen among those depends on the order alone. Now and then one that is not a number, or infinite.
std::vector<float> head_values(std::size_t n, unsigned seed, bool is_wild = false) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0, 2);
    std::vector<float> v(n);
    for (float& x : v) {
        x = normal(engine);
        if (engine() % 2 == 0) x = std::nearbyint(x);
        if (engine() % 16 == 0) x = -0.0F;
        if (is_wild && engine() % 64 == 0) x = 400 * normal(engine);
        if (is_wild && engine() % 128 == 0) x = std::numeric_limits<float>::infinity() * (engine() % 2 == 0 ? 1.0F : -1.0F);
        if (is_wild && engine() % 128 == 0) x = std::numeric_limits<float>::quiet_NaN();
    }
    return v;
}

/// A head on a device, its frame and its memory.
template <class Network>
struct head_on {
    gpu::gpu_pipeline<Network> network;
    const pipeline& p{network.net()};
    graph::description d{graph::description_of<Network>()};
    loaded weights{d, p};
    side here{p, weights.packed, 0};
    std::vector<float> values;
    const void* input{};

    explicit head_on(const kernels::cudnn::device& on) : network{on, {.precision = precision::f32, .outputs_stay = true}} {}
    void run(const std::vector<float>& frame) {
        values = frame, input = values.data();
        here.memory.inputs = &input;
        REQUIRE(p.run(here.memory, 0, p.stages, nullptr));
    }
    std::size_t input_values() const { return p.inputs[0].bytes / sizeof(float); }
    /// Whether any came to the host.
    bool any_output() const {
        for (std::size_t i = 0; i < here.outputs.size(); ++i)
            if (here.wrote(i)) return true;
        return false;
    }
    /// The processor's own.
    std::vector<float> on_cpu() const {
        side other(pipeline_of<Network>(), weights.packed, 0);
        other.memory.inputs = &input;
        REQUIRE(pipeline_of<Network>().run(other.memory, 0, p.stages, nullptr));
        return other.outputs;
    }
};

/// Bit for bit; NaN, which an infinite offset makes, has bits that differ from machine to machine.
bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }
bool same(const detect::box& a, const detect::box& b) { return same(a.x1, b.x1) && same(a.y1, b.y1) && same(a.x2, b.x2) && same(a.y2, b.y2); }
bool same(std::span<const detect::detection> a, std::span<const detect::detection> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const detect::detection& x, const detect::detection& y) { return same(x.where, y.where) && same(x.score, y.score) && x.label == y.label; });
}
bool same(std::span<const detect::box> a, std::span<const detect::box> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const detect::box& x, const detect::box& y) { return same(x, y); });
}
template <class T>
std::vector<T> kept(std::span<const T> from) { return {from.begin(), from.end()}; }

struct level_outputs {
    std::array<const float*, 2> logits{}, offsets{};
    /// `logits` values a box, behind `before` values.
    level_outputs(const float* at, std::size_t before, std::size_t each) {
        at += before;
        for (std::size_t i = 0; i < 2; ++i) {
            logits[i] = at, at += levels[i].boxes() * each;
            offsets[i] = at, at += levels[i].boxes() * 4;
        }
    }
};
level_outputs single_outputs(const float* of) { return {of, 0, classes}; }
constexpr std::size_t map_values = 6 * (rows * columns + rows * columns / 4);
level_outputs proposing_outputs(const float* of) { return {of, map_values, 1}; }

std::array<detect::feature_map, 2> maps_in(const float* of) { return {{{of, 6, rows, columns, 0.125F}, {of + 6 * rows * columns, 6, rows / 2, columns / 2, 0.0625F}}}; }

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

TEST_CASE("GPU: a small network on this machine's own device, its detections found there") {
    auto& on = own_device();
    if (!on) return;
    compare_single_shot(*on, false);
    compare_two_stage(*on, false);
    compare_samples_in_place(*on, 0);
}
