// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include "dense_layers.hpp"
#include "../results.hpp"
#include "dense_code.hpp"

#include <splitdsl/codec/half.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace timed {
namespace {

struct dense_layer {
    const char* name{};
    int inputs{}, outputs{};
};
constexpr dense_layer layers[]{
    {"CIFAR ResNet's last", 64, 10},   {"squeeze of a block", 256, 256},     {"ResNet-18's last", 512, 1000}, {"MobileNetV2's last", 1280, 1000},
    {"ResNet-50's last", 2048, 1000},  {"AlexNet's and VGG's second", 4096, 4096}, {"AlexNet's first", 9216, 4096},
};

struct subject {
    dense_layer of{};
    splitdsl::aligned_buffer in{}, out{}, packed[3]{};
    std::vector<double> milliseconds[3]{};
};
float* floats(const splitdsl::aligned_buffer& b) { return static_cast<float*>(static_cast<void*>(b.data())); }

} // namespace

int time_dense_layers(const dense_options& o) {
    const dense_code& code = chosen_dense_code();
    std::vector<subject> subjects;
    std::mt19937 random{1};
    std::uniform_real_distribution<float> draw{-1, 1};
    for (const dense_layer& l : layers) {
        if (std::string{l.name}.find(o.only) == std::string::npos) continue;
        subject& s = subjects.emplace_back();
        s.of = l;
        std::vector<float> weight(static_cast<std::size_t>(l.inputs) * static_cast<std::size_t>(l.outputs));
        for (float& w : weight) w = static_cast<float>(static_cast<int>(64 * draw(random))) / 64; // every form holds it
        const std::size_t out = code.vector_floats(l.outputs);
        s.in = splitdsl::aligned_buffer{code.vector_floats(l.inputs) * sizeof(float)};
        s.out = splitdsl::aligned_buffer{out * sizeof(float)};
        for (int i = 0; i < l.inputs; ++i) floats(s.in)[i] = draw(random);
        std::vector<float> first;
        for (int form = 0; form < code.forms; ++form) {
            s.packed[form] = splitdsl::aligned_buffer{code.packed_floats(l.inputs, l.outputs, form) * sizeof(float)};
            code.pack(l.inputs, l.outputs, form, weight.data(), floats(s.packed[form]));
            code.run(l.inputs, l.outputs, floats(s.in), floats(s.packed[form]), floats(s.out));
            if (form == 0) first.assign(floats(s.out), floats(s.out) + out);
            else if (std::memcmp(first.data(), floats(s.out), out * sizeof(float)) != 0) throw splitdsl::error(std::string(l.name) + ": the bits of " + weight_forms[form] + " differ from those of f32");
        }
    }
    if (subjects.empty()) throw splitdsl::option_error("--layer: expected a part of a layer's name, found \"" + o.only + "\"");
    std::vector<char> other(o.cold ? std::size_t{96} << 20 : 0); // more than a processor's caches
    volatile float seen = 0;
    for (int i = 0; i < o.runs; ++i)
        for (subject& s : subjects)
            for (int form = 0; form < code.forms; ++form) {
                const auto run = [&] { code.run(s.of.inputs, s.of.outputs, floats(s.in), floats(s.packed[form]), floats(s.out)); };
                if (o.cold) {
                    for (std::size_t k = 0; k < other.size(); k += 64) ++other[k];
                    for (int k = 0; k < s.of.inputs; ++k) seen = seen + floats(s.in)[k]; // the layer before has just written it
                }
                const double once = milliseconds(o.clock, run);
                const int times = o.cold ? 1 : std::max(1, static_cast<int>(2 / once));
                s.milliseconds[form].push_back(o.cold ? once : milliseconds(o.clock, [&] { for (int k = 0; k < times; ++k) run(); }) / times);
            }
    nlohmann::json report{{"label", "measured"}, {"instruction_set", code.instruction_set}, {"threads", 1}, {"runs", o.runs}, {"cold", o.cold}};
    std::printf("%s, one thread, weights %s, %d timings a row\n", code.instruction_set, o.cold ? "from memory" : "in the cache that holds them", o.runs);
    std::printf("%-28s %-13s %-6s %12s %9s %9s %9s %7s\n", "layer", "shape", "form", "bytes", "least us", "median", "GB/s", "/ f32");
    for (const subject& s : subjects)
        for (int form = 0; form < code.forms; ++form) {
            const double least = at(s.milliseconds[form], 0), median = at(s.milliseconds[form], 0.5), ratio = at(s.milliseconds[0], 0) / least;
            const auto bytes = s.packed[form].bytes().size();
            const std::string shape = std::to_string(s.of.inputs) + " to " + std::to_string(s.of.outputs);
            std::printf("%-28s %-13s %-6s %12zu %9.2f %9.2f %9.1f %7.2f\n", s.of.name, shape.c_str(), weight_forms[form], bytes, 1e3 * least, 1e3 * median, static_cast<double>(bytes) / (least * 1e6), ratio);
            report["rows"].push_back({{"layer", s.of.name}, {"inputs", s.of.inputs}, {"outputs", s.of.outputs}, {"form", weight_forms[form]}, {"bytes", bytes}, {"least_ms", least},
                                      {"median_ms", median}, {"times_f32", ratio}});
        }
    write_results(o.json_file, std::move(report));
    return 0;
}

} // namespace timed
