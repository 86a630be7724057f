// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include "byte_layers.hpp"
#include "../results.hpp"
#include "byte_code.hpp"
#include "exact.hpp"
#include "onednn.hpp"

#include <splitdsl/runtime/aligned_buffer.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <memory>
#include <random>

namespace timed {
namespace {

constexpr layer layers[]{
    {"ResNet 3x3 at 56", 64, 56, 56, 64, 3},
    {"ResNet 3x3 at 28", 128, 28, 28, 128, 3},
    {"ResNet 3x3 at 14", 256, 14, 14, 256, 3},
    {"ResNet 3x3 at 7", 512, 7, 7, 512, 3},
    {"ResNet 1x1 at 56, out", 64, 56, 56, 256, 1},
    {"ResNet 1x1 at 56, in", 256, 56, 56, 64, 1},
    {"ResNet 1x1 at 14", 1024, 14, 14, 256, 1},
    {"ResNet 1x1 at 7", 512, 7, 7, 2048, 1},
    {"MobileNet stem", 3, 224, 224, 32, 3, 2},
    {"MobileNet 1x1 at 112", 16, 112, 112, 96, 1},
    {"MobileNet 1x1 at 56, out", 24, 56, 56, 144, 1},
    {"MobileNet 1x1 at 56, in", 144, 56, 56, 24, 1},
    {"MobileNet 1x1 at 14, out", 96, 14, 14, 576, 1},
    {"MobileNet 1x1 at 14, in", 576, 14, 14, 96, 1},
    {"MobileNet 1x1 at 7", 320, 7, 7, 1280, 1},
    {"depthwise 3x3 at 112", 32, 112, 112, 32, 3, 1, 32},
    {"depthwise 3x3 at 56", 144, 56, 56, 144, 3, 1, 144},
    {"depthwise 3x3 at 56 / 2", 144, 56, 56, 144, 3, 2, 144},
    {"depthwise 3x3 at 14", 384, 14, 14, 384, 3, 1, 384},
    {"depthwise 5x5 at 28", 120, 28, 28, 120, 5, 1, 120},
};

struct way {
    const char* name{};
    double error{};
    std::vector<double> milliseconds{};
};
struct subject {
    layer of{};
    splitdsl::aligned_buffer in{}, out{}, packed{};
    std::vector<float> weight{};
    std::vector<std::uint8_t> picture{};
    std::unique_ptr<onednn_byte_layer> peer{};
    way ways[2]{{"ours"}, {"oneDNN"}};
    int count() const { return peer ? 2 : 1; }
};
std::uint8_t* bytes(const splitdsl::aligned_buffer& b) { return static_cast<std::uint8_t*>(static_cast<void*>(b.data())); }
float* floats(const splitdsl::aligned_buffer& b) { return static_cast<float*>(static_cast<void*>(b.data())); }

/// The output value of the weights before they are rounded, in double, after ReLU and bounded as bytes are.
double exact(const subject& s, int o, int y, int x) {
    const double value = convolved(s.of, s.weight, s.picture, o, y, x) * static_cast<double>(in_scale);
    return std::min(std::max(value, 0.0), 255 * static_cast<double>(out_scale(s.of)));
}
/// Root of the mean square error over some outputs, in units of their bytes' range. got(o, y, x): a byte.
template <class Got>
double error_of(const subject& s, int samples, Got got) {
    double squares = 0;
    for_samples(s.of, samples, [&](int o, int y, int x) {
        const double d = exact(s, o, y, x) - static_cast<double>(out_scale(s.of)) * got(o, y, x);
        squares += d * d;
    });
    return std::sqrt(squares / samples) / (255 * static_cast<double>(out_scale(s.of)));
}

} // namespace

int time_byte_layers(const byte_options& o) {
    const byte_code& code = chosen_byte_code();
    std::vector<subject> subjects;
    std::mt19937 random{1};
    std::uniform_real_distribution<float> draw{-1, 1};
    for (const layer& l : layers) {
        if (std::string{l.name}.find(o.only) == std::string::npos) continue;
        subject& s = subjects.emplace_back();
        s.of = l;
        s.weight.resize(static_cast<std::size_t>(l.out) * static_cast<std::size_t>(l.in / l.groups * l.kernel * l.kernel));
        s.picture.resize(static_cast<std::size_t>(l.in) * static_cast<std::size_t>(l.height * l.width));
        for (float& v : s.weight) v = draw(random);
        for (std::uint8_t& v : s.picture) v = static_cast<std::uint8_t>(random() % 256);
        s.in = splitdsl::aligned_buffer{code.in_bytes(l)};
        s.out = splitdsl::aligned_buffer{code.out_bytes(l)};
        s.packed = splitdsl::aligned_buffer{code.packed_floats(l) * sizeof(float)};
        code.fill(l, s.picture.data(), bytes(s.in));
        code.pack(l, s.weight.data(), floats(s.packed));
        if (o.with_peer) s.peer = make_onednn_byte_layer(l, s.picture.data(), s.weight.data(), in_scale, out_scale(l));
    }
    if (subjects.empty()) throw splitdsl::option_error("--layer: expected a part of a layer's name, found \"" + o.only + "\"");
    const auto run = [&](subject& s, int w) {
        if (w == 1) s.peer->run();
        else code.run(s.of, bytes(s.in), floats(s.packed), bytes(s.out));
    };
    for (subject& s : subjects) {
        run(s, 0);
        s.ways[0].error = error_of(s, o.samples, [&](int c, int y, int x) { return code.at(s.of, bytes(s.out), c, y, x); });
        if (!s.peer) continue;
        run(s, 1);
        const std::vector<std::uint8_t> all = s.peer->planar();
        s.ways[1].error = error_of(s, o.samples, [&](int c, int y, int x) { return all[static_cast<std::size_t>((c * s.of.out_height() + y) * s.of.out_width() + x)]; });
    }
    std::vector<double> peak;
    for (int i = 0; i < o.runs; ++i) {
        double done = 0;
        const double ms = milliseconds(o.clock, [&] { done = code.multiply_adds(100'000); });
        peak.push_back(2 * done / (ms * 1e6));
        for (subject& s : subjects)
            for (int w = 0; w < s.count(); ++w) {
                const int times = std::max(1, static_cast<int>(2 / milliseconds(o.clock, [&] { run(s, w); })));
                s.ways[w].milliseconds.push_back(milliseconds(o.clock, [&] {
                                                     for (int k = 0; k < times; ++k) run(s, w);
                                                 }) / times);
            }
    }
    const double most = at(peak, 1);
    nlohmann::json report{{"label", "measured"}, {"instruction_set", code.instruction_set}, {"products", code.products},
                          {"threads", 1}, {"runs", o.runs}, {"peak_gops", most}};
    std::printf("%s on bytes, one thread, %s peak %.1f GOP/s (best of %d), %d timings a row\n", code.instruction_set, code.products, most, o.runs, o.runs);
    std::printf("%-26s %-20s %-8s %9s %9s %9s %7s %8s %9s\n", "layer", "shape", "way", "least ms", "median", "GOP/s", "% peak", "/ ours", "error");
    double log_share[2]{}, log_ratio = 0; // 3x3, 1x1
    int layers_of[2]{}, compared = 0;
    for (const subject& s : subjects)
        for (int k = 0; k < s.count(); ++k) {
            const layer& l = s.of;
            const way& w = s.ways[k];
            const double least = at(w.milliseconds, 0), median = at(w.milliseconds, 0.5), operations = 2 * l.macs() / (least * 1e6);
            const double ratio = least / at(s.ways[0].milliseconds, 0), share = most > 0 ? operations / most : 0;
            const std::string shape = std::to_string(l.in) + "x" + std::to_string(l.height) + "x" + std::to_string(l.width) + " to " + std::to_string(l.out);
            std::printf("%-26s %-20s %-8s %9.4f %9.4f %9.1f %7.1f %8.2f %9.1e\n", l.name, shape.c_str(), w.name, least, median, operations,
                        100 * share, ratio, w.error);
            report["rows"].push_back({{"layer", l.name}, {"in", l.in}, {"height", l.height}, {"width", l.width}, {"out", l.out},
                                      {"kernel", l.kernel}, {"stride", l.stride}, {"groups", l.groups},
                                      {"way", w.name}, {"least_ms", least}, {"median_ms", median}, {"gops_at_least", operations}, {"share_of_peak", share},
                                      {"times_ours", ratio}, {"error_of_range", w.error}, {"picked", k == 1 ? s.peer->picked() : ""}});
            if (k == 0 && most > 0 && std::string{l.name}.starts_with("ResNet ")) log_share[l.kernel == 1] += std::log(share), ++layers_of[l.kernel == 1];
            if (k == 1) log_ratio += std::log(ratio), ++compared;
        }
    std::printf("\n");
    for (const int k : {0, 1})
        if (layers_of[k] > 0) {
            const double share = std::exp(log_share[k] / layers_of[k]);
            std::printf("%d ResNet layers of %s: %.1f %% of the peak (geometric mean)\n", layers_of[k], k == 0 ? "3x3" : "1x1", 100 * share);
            report[k == 0 ? "share_of_peak_3x3" : "share_of_peak_1x1"] = share;
        }
    if (compared > 0) std::printf("oneDNN / ours, %d layers: %.2f (geometric mean)\n", compared, std::exp(log_ratio / compared));
    write_results(o.json_file, std::move(report));
    return 0;
}

} // namespace timed
