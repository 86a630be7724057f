// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_kernels.cpp
/// Single layers: direct, Winograd and oneDNN side by side, against this machine's multiply-add peak and double precision.
#include "../results.hpp"
#include "byte_layers.hpp"
#include "dense_layers.hpp"
#include "exact.hpp"
#include "layer_code.hpp"
#include "onednn.hpp"
#include "timing.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {
using timed::layer;
using splitdsl::graph::winograd_plan;

constexpr layer layers[]{
    {"ResNet stem", 3, 224, 224, 64, 7, 2},
    {"camera stem 88x200", 3, 88, 200, 64, 7, 2},
    {"camera stem 720x1280", 3, 720, 1280, 64, 7, 2},
    {"CarlaNet stem", 3, 88, 200, 32, 5, 2},
    {"VGG first", 3, 224, 224, 64, 3},
    {"SSD300 first", 3, 300, 300, 64, 3},
    {"MobileNet stem", 3, 224, 224, 32, 3, 2},
    {"camera 88x200", 3, 88, 200, 64, 3},
    {"ResNet 3x3 at 56", 64, 56, 56, 64, 3},
    {"ResNet 3x3 at 28", 128, 28, 28, 128, 3},
    {"ResNet 3x3 at 14", 256, 14, 14, 256, 3},
    {"ResNet 3x3 at 7", 512, 7, 7, 512, 3},
    {"VGG 3x3 at 28", 512, 28, 28, 512, 3},
    {"RPN 3x3 at 14", 1024, 14, 14, 512, 3},
    {"ResNet 1x1 at 56", 64, 56, 56, 256, 1},
    {"ResNet 1x1 at 14", 1024, 14, 14, 256, 1},
    {"MobileNet 1x1 to 24", 144, 56, 56, 24, 1},
    {"MobileNet 1x1 to 40", 120, 28, 28, 40, 1},
    {"DenseNet 3x3 at 14", 128, 14, 14, 32, 3},
    {"bottleneck 64 to 3", 64, 56, 56, 3, 3},
    {"bottleneck 512 to 9", 512, 29, 29, 9, 2, 2},
    {"bottleneck 3 to 64", 3, 56, 56, 64, 3},
    {"CarlaNet 3x3 / 2", 32, 44, 100, 32, 3, 2},
    {"narrow 24 to 24", 24, 28, 28, 24, 3},
    {"narrow 12 to 64", 12, 28, 28, 64, 3},
    {"narrow 64 to 12", 64, 28, 28, 12, 3},
    {"narrow 8 to 8", 8, 112, 112, 8, 3},
    {"narrow 16 to 16", 16, 14, 14, 16, 3},
    {"Inception 1x7, 128", 128, 17, 17, 128, 7, 1, 1, 1},
    {"Inception 7x1, 128", 128, 17, 17, 128, 1, 1, 1, 7},
    {"Inception 1x7, 192", 192, 17, 17, 192, 7, 1, 1, 1},
    {"Inception 7x1, 192", 192, 17, 17, 192, 1, 1, 1, 7},
    {"Inception 5x5 at 35", 48, 35, 35, 64, 5},
    {"depthwise 3x3 at 112", 32, 112, 112, 32, 3, 1, 32},
    {"depthwise 3x3 at 56 / 2", 144, 56, 56, 144, 3, 2, 144},
    {"depthwise 3x3 at 14", 384, 14, 14, 384, 3, 1, 384},
    {"depthwise 5x5 at 28", 120, 28, 28, 120, 5, 1, 120},
};

winograd_plan plan_of(const layer& l) {
    using namespace splitdsl;
    return graph::plan_winograd(conv(l.out, {.kernel = {l.rows, l.kernel}, .stride = l.stride, .groups = l.groups}).ops[0], {l.in, l.height, l.width},
                                {l.out, l.out_height(), l.out_width()});
}
/// As plan_winograd cuts tile `m`, whether it chooses it or not.
winograd_plan plan_with(const layer& l, int m) {
    winograd_plan p{.tile = m};
    const std::int64_t blocks = (l.in + 15) / 16 + (l.out + 15) / 16, tiles = std::int64_t{(l.out_height() + m - 1) / m} * ((l.out_width() + m - 1) / m);
    const std::int64_t chunk = std::clamp<std::int64_t>(384 * 1024 / (4 * (m + 2) * (m + 2) * blocks * 16), std::min<std::int64_t>(12, tiles), tiles);
    const std::int64_t chunks = (tiles + chunk - 1) / chunk, tasks = std::min<std::int64_t>(8, chunks), rounds = (chunks + tasks - 1) / tasks;
    p.chunk = static_cast<int>((tiles + tasks * rounds - 1) / (tasks * rounds)), p.tasks = static_cast<int>(tasks);
    return p;
}

struct way {
    const char* name{};
    winograd_plan plan{};
    bool chosen{};
    double error{};
    std::vector<double> milliseconds{};
};
struct subject {
    layer of{};
    splitdsl::aligned_buffer in{}, quads{}, out{}, packed[4]{}, scratch{}; // packed: direct, F(2x2), F(4x4), over a picture
    std::vector<float> weight{}, picture{};
    std::vector<way> ways{};
    std::unique_ptr<timed::onednn_layer> peer{}; // the last way, if it is there
};
float* floats(const splitdsl::aligned_buffer& b) { return static_cast<float*>(static_cast<void*>(b.data())); }

/// The output value in double, after ReLU.
double exact(const subject& s, int o, int y, int x) { return std::max(timed::convolved(s.of, s.weight, s.picture, o, y, x), 0.0); }

/// Largest error over some outputs, in units of their range. got(o, y, x): what was computed.
template <class Got>
double error_of(const subject& s, int samples, Got got) {
    double worst = 0, range = 1e-30;
    timed::for_samples(s.of, samples, [&](int o, int y, int x) {
        const double want = exact(s, o, y, x);
        worst = std::max(worst, std::abs(want - static_cast<double>(got(o, y, x))));
        range = std::max(range, std::abs(want));
    });
    return worst / range;
}

timed::clock_kind clock_used = timed::clock_kind::wall;
template <class Work>
double milliseconds(Work work) { return timed::milliseconds(clock_used, work); }
using timed::at;
} // namespace

int main(int argc, char** argv) {
    int runs = 15, samples = 3000;
    bool with_peer = true, cold = false, by_processor = false, on_bytes = false, dense = false;
    std::string json_file, only;
    CLI::App app{"Times of single convolution layers on one thread, measured on this machine; weights and inputs are random. Every layer runs the\n"
                 "direct kernel and, where its shape allows, both Winograd tiles, and oneDNN where it is built in; a star marks what a network takes\n"
                 "(graph/winograd.hpp). In a network weights come from memory, here they may stay in a cache. The rows take\n"
                 "turns run by run. GFLOP/s counts the direct convolution's operations, so Winograd may pass the peak. Errors are against double, on a\n"
                 "sample of the outputs, in units of their range. SPLITDSL_ISA=baseline (or avx2_fma, avx512) chooses the instruction set."};
    app.add_option("--runs", runs, "Timings of each row; each repeats the layer for about 5 ms")->check(options::between(1, 100'000))->capture_default_str();
    app.add_option("--samples", samples, "Outputs that are compared with double")->check(options::between(1, 10'000'000))->capture_default_str();
    app.add_option("--layer", only, "Only layers whose name contains TEXT")->option_text("TEXT");
    app.add_flag("!--no-peer", with_peer, "Without oneDNN");
    app.add_flag("--by-processor", by_processor, "Processor time instead of time that passes: where other programs run beside it");
    auto* const for_bytes = app.add_flag("--bytes", on_bytes, "Layers on bytes instead (docs/int8.md), against the peak of products of bytes and oneDNN's u8 by s8");
    app.add_flag("--cold", cold, "Weights come from memory, as in a network of many layers, and a layer runs once a timing; what tune_winograd.py asks for")
        ->excludes(for_bytes);
    app.add_flag("--dense", dense, "Fully connected layers instead, their weights in f32, f16 and bf16 (docs/performance_kernels.md); --cold as above")->excludes(for_bytes);
    app.add_option("--json", json_file, "Also write the results to FILE")->option_text("FILE");
    return options::exit_status("bench_kernels", app, argc, argv, [&] {
        timed::begin_results(json_file);
        if (by_processor) clock_used = timed::clock_kind::processor;
        if (on_bytes) return timed::time_byte_layers({runs, samples, only, with_peer, clock_used, json_file});
        if (dense) return timed::time_dense_layers({runs, only, cold, clock_used, json_file});
        const timed::layer_code& code = timed::chosen_code();
        std::vector<subject> subjects;
        std::mt19937 random{1};
        std::uniform_real_distribution<float> draw{-1, 1};
        for (const layer& l : layers) {
            if (std::string{l.name}.find(only) == std::string::npos) continue;
            subject& s = subjects.emplace_back();
            s.of = l;
            s.weight.resize(static_cast<std::size_t>(l.out) * static_cast<std::size_t>(l.in / l.groups * l.taps()));
            s.picture.resize(static_cast<std::size_t>(l.in) * static_cast<std::size_t>(l.height * l.width));
            for (float& v : s.weight) v = draw(random);
            for (float& v : s.picture) v = draw(random);
            s.in = splitdsl::aligned_buffer{code.in_floats(l) * sizeof(float)};
            s.out = splitdsl::aligned_buffer{code.out_floats(l) * sizeof(float)};
            code.fill(l, s.picture.data(), floats(s.in));
            const winograd_plan chosen = plan_of(l);
            const bool is_picture = l.in == 3 && chosen.tile == 0; // of bytes, in a network
            s.ways.push_back({l.groups > 1 ? "depthwise" : "direct", {}, chosen.tile == 0 && !is_picture});
            if (l.kernel == 3 && l.rows == 3 && l.stride == 1 && l.groups == 1) {
                s.ways.push_back({"F(2x2)", plan_with(l, 2), chosen.tile == 2});
                s.ways.push_back({"F(4x4)", plan_with(l, 4), chosen.tile == 4});
            }
            if (chosen.taps != 3) s.ways.push_back({chosen.taps == 7 ? "F(6)" : "F(2x2)", chosen, true});
            if (chosen.strided || is_picture) {
                if (is_picture) s.ways.push_back({"picture", {.strided = true}, true});
                else s.ways.push_back({chosen.tile == 3 ? "F(3x3)" : "F(4x4)", chosen, true});
                s.quads = splitdsl::aligned_buffer{code.quads_floats(l) * sizeof(float)};
                code.fill_quads(l, s.picture.data(), floats(s.quads));
            }
            std::size_t scratch = 0;
            for (way& w : s.ways) {
                auto& packed = s.packed[&w - s.ways.data()];
                packed = splitdsl::aligned_buffer{code.packed_floats(l, w.plan) * sizeof(float)};
                code.pack(l, w.plan, s.weight.data(), floats(packed));
                scratch = std::max(scratch, code.scratch_floats(l, w.plan));
            }
            s.scratch = splitdsl::aligned_buffer{scratch * sizeof(float)};
            if (with_peer) s.peer = timed::make_onednn_layer(l, s.picture.data(), s.weight.data());
            if (s.peer) s.ways.push_back({"oneDNN"});
        }
        if (subjects.empty()) throw splitdsl::option_error("--layer: expected a part of a layer's name, found \"" + only + "\"");

        const auto is_peer = [](const subject& s, const way& w) { return s.peer && &w == &s.ways.back(); };
        const auto run = [&](subject& s, const way& w) {
            if (is_peer(s, w)) return s.peer->run();
            code.run(s.of, w.plan, floats(w.plan.strided ? s.quads : s.in), floats(s.packed[&w - s.ways.data()]), floats(s.scratch), floats(s.out));
        };
        for (subject& s : subjects)
            for (way& w : s.ways) {
                run(s, w);
                if (is_peer(s, w)) {
                    const std::vector<float> all = s.peer->planar();
                    w.error = error_of(s, samples, [&](int o, int y, int x) { return all[static_cast<std::size_t>((o * s.of.out_height() + y) * s.of.out_width() + x)]; });
                } else {
                    w.error = error_of(s, samples, [&](int o, int y, int x) { return code.at(s.of, floats(s.out), o, y, x); });
                }
            }
        std::vector<char> other(cold ? std::size_t{96} << 20 : 0); // more than a processor's caches
        volatile float seen = 0;
        const auto forget = [&](const subject& s) {
            for (std::size_t i = 0; i < other.size(); i += 64) ++other[i];
            for (std::size_t i = 0; i < code.in_floats(s.of); i += 16) seen = seen + floats(s.in)[i]; // the layer before has just written it
        };
        std::vector<double> peak;
        for (int i = 0; i < runs; ++i) {
            double done = 0;
            const double ms = milliseconds([&] { done = code.multiply_adds(500'000); });
            peak.push_back(2 * done / (ms * 1e6));
            for (subject& s : subjects)
                for (way& w : s.ways) {
                    if (cold) forget(s);
                    const double once = milliseconds([&] { run(s, w); });
                    if (cold) {
                        w.milliseconds.push_back(once);
                        continue;
                    }
                    const int times = std::max(1, static_cast<int>(5 / once));
                    w.milliseconds.push_back(milliseconds([&] {
                                                 for (int k = 0; k < times; ++k) run(s, w);
                                             }) / times);
                }
        }
        const double most = at(peak, 1);
        nlohmann::json report{{"label", "measured"}, {"instruction_set", code.instruction_set}, {"threads", 1}, {"runs", runs}, {"cold", cold}, {"peak_gflops", most}};
        std::printf("%s, one thread, multiply-add peak %.1f GFLOP/s (best of %d), %d timings a row\n", code.instruction_set, most, runs, runs);
        std::printf("%-24s %-18s %-10s %9s %9s %9s %7s %8s %9s\n", "layer", "shape", "way", "least ms", "median", "GFLOP/s", "% peak", "/ direct", "error");
        for (const subject& s : subjects)
            for (const way& w : s.ways) {
                const layer& l = s.of;
                const double least = at(w.milliseconds, 0), median = at(w.milliseconds, 0.5), flops = 2 * l.macs() / (least * 1e6);
                const double ratio = at(s.ways[0].milliseconds, 0) / least;
                const std::string shape = std::to_string(l.in) + "x" + std::to_string(l.height) + "x" + std::to_string(l.width) + " to " + std::to_string(l.out);
                std::printf("%-24s %-18s %-9s%c %9.4f %9.4f %9.1f %7.1f %8.2f %9.1e\n", l.name, shape.c_str(), w.name, w.chosen ? '*' : ' ', least, median, flops, 100 * flops / most, ratio, w.error);
                report["rows"].push_back({{"layer", l.name}, {"in", l.in}, {"height", l.height}, {"width", l.width}, {"out", l.out}, {"kernel", l.kernel}, {"rows", l.rows}, {"stride", l.stride}, {"groups", l.groups},
                                          {"way", w.name}, {"chosen", w.chosen}, {"least_ms", least}, {"median_ms", median}, {"gflops_at_least", flops}, {"share_of_peak", flops / most},
                                          {"times_direct", ratio}, {"error_of_range", w.error}});
            }
        const auto least_of = [](const subject& s, auto which) {
            double ms = 0;
            for (const way& w : s.ways)
                if (which(w)) ms = at(w.milliseconds, 0);
            return ms;
        };
        double log_share = 0;
        int dense_layers = 0;
        std::printf("\n");
        for (const subject& s : subjects)
            if (std::string{s.of.name}.starts_with("ResNet ") && s.of.stride == 1) log_share += std::log(2 * s.of.macs() / (at(s.ways[0].milliseconds, 0) * 1e6) / most), ++dense_layers;
        if (dense_layers > 0) {
            const double share = std::exp(log_share / dense_layers);
            std::printf("direct, %d ResNet layers of stride 1: %.1f %% of the peak (geometric mean)\n", dense_layers, 100 * share);
            report["direct_share_of_peak"] = share;
        }
        for (const subject& s : subjects)
            if (s.peer) {
                const double theirs = at(s.ways.back().milliseconds, 0), direct = at(s.ways[0].milliseconds, 0), chosen = least_of(s, [](const way& w) { return w.chosen; });
                std::printf("%-24s oneDNN / ours: %.2f, without Winograd %.2f (%s)\n", s.of.name, theirs / chosen, theirs / direct, s.peer->picked());
                report["against_onednn"].push_back({{"layer", s.of.name}, {"ratio", theirs / chosen}, {"ratio_direct", theirs / direct}, {"picked", s.peer->picked()}});
            }
        timed::write_results(json_file, std::move(report));
        return 0;
    });
}
