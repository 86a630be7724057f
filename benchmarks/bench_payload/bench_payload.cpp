// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_payload.cpp
/// What it costs that a head's last tensor becomes payload bytes: range per frame, range from the weights, and in the convolution's epilogue; coding by a prior.
#include "../results.hpp"
#include "heads.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/codec/entropy_bottleneck.hpp>
#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {
using namespace splitdsl;

constexpr int ways = 3;

/// One network ready to run its head.
class timed_head {
public:
    template <class Network>
    static timed_head of() { return timed_head{seeded_weights<Network>(1)}; }
    /// Microseconds of one run.
    double run(const task_runner* workers) {
        const void* const inputs[]{input.data()};
        const auto begin = std::chrono::steady_clock::now();
        code->run({arena.data(), keep.data(), inputs, outputs.data(), workers}, 0, 1, nullptr);
        return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
    }
    const pipeline& net() const { return *code; }

private:
    template <class Network>
    explicit timed_head(const network_weights<Network>& weights)
        : code{&weights.net()}, keep{code->packed_bytes}, arena{code->arena_bytes}, input{code->inputs[0].bytes}, outputs(code->output_floats) {
        std::memcpy(keep.data(), weights.bytes().data(), weights.bytes().size());
        const tensor_info& t = code->inputs[0];
        const std::size_t values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
        for (std::size_t i = 0; i < values; ++i) {
            const float value = static_cast<float>(i * 7919 % 251) / 125 - 1;
            if (t.bytes == values) input.data()[i] = static_cast<std::byte>(i * 7919 % 251);
            else std::memcpy(input.data() + 4 * i, &value, sizeof value);
        }
    }

    const pipeline* code;
    aligned_buffer keep, arena, input;
    std::vector<float> outputs;
};

struct row {
    const char* name;
    std::function<std::vector<timed_head>()> make;
};
std::vector<row> rows() {
    std::vector<row> all;
#define SPLITDSL_TIMED_ROW(id, name, ...)                                                                                        \
    all.push_back({name, [] {                                                                                                    \
                       std::vector<timed_head> heads;                                                                            \
                       heads.push_back(timed_head::of<timed::id##_per_frame>());                                                 \
                       heads.push_back(timed_head::of<timed::id##_apart>());                                                     \
                       heads.push_back(timed_head::of<timed::id##_fused>());                                                     \
                       return heads;                                                                                             \
                   }});
    SPLITDSL_TIMED_PARTS(SPLITDSL_TIMED_ROW)
#undef SPLITDSL_TIMED_ROW
    return all;
}

/// Coding alone, of values as wide as a logistic prior of this scale expects, in rows that reach to its tails of 1e-9.
void time_prior(double scale, int turns, nlohmann::json& report) {
    constexpr int channels = 24;
    constexpr std::size_t plane = 55 * 55, count = channels * plane; // of Entropic Student's latent at 224
    const int reach = static_cast<int>(std::ceil(20 * scale)), steps = 2 * reach + 1;
    const auto columns = static_cast<std::size_t>(steps) + 2;
    const auto below = [scale](double x) { return 1 / (1 + std::exp(-x / scale)); };
    std::vector<float> row{0};
    for (int k = -reach; k <= reach; ++k) row.push_back(row.back() + 1 + static_cast<float>(std::floor((below(k + 0.5) - below(k - 0.5)) * (65535 - steps))));
    row.push_back(65536);
    std::vector<float> length(channels, static_cast<float>(columns)), offset(channels, static_cast<float>(-reach)), quantiles(3 * channels, 0.25F), rows;
    for (int c = 0; c < channels; ++c) rows.insert(rows.end(), row.begin(), row.end());
    std::vector<std::uint32_t> words(packed_prior::words_of(channels, length.data()));
    packed_prior::pack({length.data(), offset.data(), quantiles.data(), rows.data(), static_cast<int>(columns)}, channels, words.data());
    const packed_prior prior{words.data()};
    std::vector<float> values(count), decoded(count);
    splitdsl::detail::xoshiro256 random{1};
    for (float& v : values) {
        const double u = random.uniform(1e-6, 1 - 1e-6);
        v = static_cast<float>(scale * std::log(u / (1 - u)));
    }
    std::vector<std::byte> payload(static_cast<std::size_t>(encoded_size(codec_id::entropy, static_cast<std::int64_t>(count))));
    std::size_t size = 0;
    double coding = 1e30, decoding = 1e30;
    for (int t = 0; t < turns; ++t) {
        const auto begin = std::chrono::steady_clock::now();
        size = encode_by_prior(prior, channels, plane, values.data(), payload.data());
        const auto coded = std::chrono::steady_clock::now();
        if (decode_by_prior(prior, channels, plane, payload.data(), size, decoded.data()) != size) throw splitdsl::error("bench_payload: a payload does not decode");
        const auto end = std::chrono::steady_clock::now();
        coding = std::min(coding, std::chrono::duration<double, std::micro>(coded - begin).count());
        decoding = std::min(decoding, std::chrono::duration<double, std::micro>(end - coded).count());
    }
    const double floats = 4.0 * count;
    std::printf("%8zu %8zu %8.2f %11.1f %11.1f %11.0f %11.0f\n", columns, size, 8.0 * static_cast<double>(size) / count, coding, decoding, floats / coding, floats / decoding);
    report["prior"].push_back({{"row", columns}, {"payload", size}, {"encode", coding}, {"decode", decoding}});
}
} // namespace

int main(int argc, char** argv) {
    int turns = 200;
    std::string only, json_file;
    bool parallel = false, prior = false;
    CLI::App app{"Least times of a split network's head with its payload made in three ways, measured on this machine; the three take turns run by run.\n"
                 "Weights are made up: times do not depend on them. \"last layer\": the bottleneck's convolution and codec alone, with the tensor's loading.\n"
                 "SPLITDSL_ISA=baseline (or avx2_fma, avx512) chooses the instruction set."};
    app.add_option("--turns", turns, "Runs of each")->check(options::between(1, 1'000'000))->capture_default_str();
    app.add_option("--only", only, "Rows whose names contain this");
    app.add_option("--json", json_file, "Also write the results to FILE")->option_text("FILE");
    app.add_flag("--threads", parallel, "On all processors instead of one thread");
    app.add_flag("--prior", prior, "Only an entropy bottleneck's coding, of 24 x 55 x 55 values by priors of several widths, on one thread");
    return options::exit_status("bench_payload", app, argc, argv, [&] {
        timed::begin_results(json_file);
        nlohmann::json report{{"unit", "microseconds"}, {"label", "measured"}, {"turns", turns}, {"rows", nlohmann::json::array()}};
        if (prior) std::printf("%8s %8s %8s %11s %11s %11s %11s   %d turns, least times\n", "row", "payload", "bits", "encode us", "decode us", "encode MB/s", "decode MB/s", turns);
        for (const double scale : {0.1, 0.5, 2.0, 10.0, 120.0})
            if (prior) time_prior(scale, turns, report);
        bool first = true;
        for (const row& r : prior ? std::vector<row>{} : rows()) {
            if (std::string(r.name).find(only) == std::string::npos) continue;
            std::vector<timed_head> heads = r.make();
            const task_runner* const workers = parallel ? default_runner() : nullptr;
            if (std::exchange(first, false))
                std::printf("%-32s %8s %11s %11s %11s %8s %8s   %s, %s, %d turns, least times in us\n", "part", "payload", "per frame", "calibrated", "fused", "cal/pf", "fused/pf", heads[0].net().instruction_set,
                            workers ? "all threads" : "one thread", turns);
            double least[ways]{1e30, 1e30, 1e30};
            for (auto& h : heads) h.run(workers);
            for (int t = 0; t < turns; ++t)
                for (int k = 0; k < ways; ++k) least[(t + k) % ways] = std::min(least[(t + k) % ways], heads[static_cast<std::size_t>((t + k) % ways)].run(workers));
            std::printf("%-32s %8zu %11.2f %11.2f %11.2f %8.3f %8.3f\n", r.name, heads[0].net().cuts[0].payload_bytes, least[0], least[1], least[2], least[1] / least[0], least[2] / least[0]);
            report["rows"].push_back({{"part", r.name}, {"payload", heads[0].net().cuts[0].payload_bytes}, {"instruction_set", heads[0].net().instruction_set}, {"threads", workers ? "all" : "1"},
                                      {"per_frame", least[0]}, {"calibrated", least[1]}, {"fused", least[2]}});
        }
        if (!prior && first) throw option_error("--only: expected a part of a row's name, found \"" + only + "\"");
        timed::write_results(json_file, std::move(report));
        return 0;
    });
}
