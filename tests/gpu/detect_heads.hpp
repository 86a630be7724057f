// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file detect_heads.hpp
/// Heads of detectors whose outputs are their input: what the post-processing sees is what a test says.
#pragma once

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

namespace gpu_tests {

inline constexpr int classes = 5, shapes = 3, rows = 8, columns = 10;

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
inline constexpr int capacity = 12;
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

inline const std::vector<detect::head_level> levels{{rows, columns, shapes}, {rows / 2, columns / 2, shapes}};
inline std::vector<detect::box> start_boxes() {
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
inline std::vector<float> head_values(std::size_t n, unsigned seed, bool is_wild = false) {
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
inline bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }
inline bool same(const detect::box& a, const detect::box& b) { return same(a.x1, b.x1) && same(a.y1, b.y1) && same(a.x2, b.x2) && same(a.y2, b.y2); }
inline bool same(std::span<const detect::detection> a, std::span<const detect::detection> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const detect::detection& x, const detect::detection& y) { return same(x.where, y.where) && same(x.score, y.score) && x.label == y.label; });
}
inline bool same(std::span<const detect::box> a, std::span<const detect::box> b) {
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
inline level_outputs single_outputs(const float* of) { return {of, 0, classes}; }
inline constexpr std::size_t map_values = 6 * (rows * columns + rows * columns / 4);
inline level_outputs proposing_outputs(const float* of) { return {of, map_values, 1}; }

inline std::array<detect::feature_map, 2> maps_in(const float* of) { return {{{of, 6, rows, columns, 0.125F}, {of + 6 * rows * columns, 6, rows / 2, columns / 2, 0.0625F}}}; }

} // namespace gpu_tests
