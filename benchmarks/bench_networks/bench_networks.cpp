// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_networks.cpp
/// How long whole networks and their halves take on this processor, on one thread and on all.
#include "../results.hpp"
#include "networks.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {
using namespace splitdsl;

/// Weights that keep values near unit size, so that no run is slow or fast for reasons of its numbers. Not trained: times do not depend on it.
template <class Network>
std::vector<std::vector<float>> plausible_weights() {
    std::mt19937 random{34};
    std::vector<std::vector<float>> all;
    for (const parameter& p : parameters<Network>()) {
        std::vector<float> values(static_cast<std::size_t>(p.size()));
        const bool is_scale = p.dims.size() == 1 && p.name.ends_with("weight");
        if (is_scale || p.name.ends_with("running_var")) std::fill(values.begin(), values.end(), 1.0F);
        else if (p.dims.size() > 1) {
            const float most = std::sqrt(3.0F * static_cast<float>(p.dims[0]) / static_cast<float>(p.size()));
            std::uniform_real_distribution<float> draw{-most, most};
            for (float& v : values) v = draw(random);
        }
        all.push_back(std::move(values));
    }
    return all;
}

/// A network with its memory, ready to run any range of stages.
class ready_network {
public:
    template <class Network>
    static std::unique_ptr<ready_network> make() {
        return std::unique_ptr<ready_network>(new ready_network(network_weights<Network>{plausible_weights<Network>()}));
    }
    const pipeline& net() const { return code; }
    /// Milliseconds of one run of stages [first, last).
    double run(int first, int last, const task_runner* workers) {
        const frame_memory memory{arena.data(), packed.data(), inputs.data(), outputs.data(), workers};
        const auto begin = std::chrono::steady_clock::now();
        code.run(memory, first, last, nullptr);
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    }
    double macs(int first, int last) const {
        double sum = 0;
        for (int k = first; k < last; ++k) sum += static_cast<double>(code.stage_macs[k]);
        return sum;
    }

private:
    template <class Network>
    explicit ready_network(const network_weights<Network>& weights)
        : code{weights.net()}, keep{std::make_shared<network_weights<Network>>(weights)}, packed{weights.bytes()}, arena{code.arena_bytes}, outputs(code.output_floats) {
        for (const tensor_info& t : code.inputs) {
            stores.emplace_back(t.bytes);
            const auto values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
            for (std::size_t i = 0; i < values; ++i) {
                if (t.bytes == values) stores.back().data()[i] = static_cast<std::byte>(values == 1 ? 1 : i * 7919 % 251);     // one byte: a command
                else {
                    const float half = 0.5F;
                    std::memcpy(stores.back().data() + i * sizeof half, &half, sizeof half);
                }
            }
            inputs.push_back(stores.back().data());
        }
    }

    const pipeline& code;
    std::shared_ptr<const void> keep;
    std::span<const std::byte> packed;
    aligned_buffer arena;
    std::vector<float> outputs;
    std::vector<aligned_buffer> stores;
    std::vector<const void*> inputs;
};

struct row {
    std::string network, part, threads;
    ready_network* of{};
    int first{}, last{};
    const task_runner* workers{};
    std::vector<double> milliseconds{};
};

double at(std::vector<double> sorted, double share) {
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}
} // namespace

int main(int argc, char** argv) {
    int runs = 20, warm_up = 2;
    std::string json_file, only, threads = "both";
    CLI::App app{"Times of whole networks and their halves, measured on this machine. Weights are made up: times do not depend on them. The rows\n"
                 "take turns run by run, so that a slow phase of the machine meets all of them. SPLITDSL_ISA=baseline (or avx2_fma, avx512) chooses\n"
                 "the instruction set; without it the best one that runs here is taken."};
    app.add_option("--runs", runs, "Runs of each row")->check(options::between(1, 100'000))->capture_default_str();
    app.add_option("--warm-up", warm_up, "Runs of each row before")->check(options::between(0, 1000))->capture_default_str();
    app.add_option("--network", only, "resnet34 or driver; both if not given")->check(CLI::IsMember({"resnet34", "driver"}));
    app.add_option("--threads", threads, "one, all or both")->check(CLI::IsMember({"one", "all", "both"}))->capture_default_str();
    app.add_option("--json", json_file, "Also write the results to FILE")->option_text("FILE");
    return options::exit_status("bench_networks", app, argc, argv, [&] {
        timed::begin_results(json_file);
        std::vector<std::unique_ptr<ready_network>> networks;
        std::vector<row> rows;
        const auto add = [&](const char* name, std::unique_ptr<ready_network> n, bool halves) {
            for (const bool parallel : {false, true}) {
                if (threads == (parallel ? "one" : "all") || (parallel && !default_runner())) continue;
                const auto one = [&](const char* part, int first, int last) {
                    rows.push_back({name, part, parallel ? "TBB" : "1", n.get(), first, last, parallel ? default_runner() : nullptr});
                };
                const int stages = n->net().stages;
                one("whole", 0, stages);
                if (!halves) continue;
                const int cut = n->net().cuts.front().stage + 1;
                one("head", 0, cut);
                one("tail", cut, stages);
            }
            networks.push_back(std::move(n));
        };
        if (only != "driver") add("resnet34", ready_network::make<timed::resnet34>(), false);
        if (only != "resnet34") add("driver", ready_network::make<timed::driver>(), true);
        for (auto& n : networks) n->run(0, n->net().stages, nullptr);     // what a lone tail reads must be there
        for (int i = -warm_up; i < runs; ++i)
            for (row& r : rows) {
                const double ms = r.of->run(r.first, r.last, r.workers);
                if (i >= 0) r.milliseconds.push_back(ms);
            }

        nlohmann::json report{{"unit", "milliseconds"}, {"label", "measured"}, {"runs", runs}, {"hardware_threads", std::thread::hardware_concurrency()}};
        std::printf("%-10s %-6s %-8s %-10s %9s %9s %9s %9s %9s   %d runs, times in ms\n", "network", "part", "threads", "code", "GMAC", "least", "median", "p90", "GFLOP/s", runs);
        for (const row& r : rows) {
            const double macs = r.of->macs(r.first, r.last), least = at(r.milliseconds, 0), median = at(r.milliseconds, 0.5), p90 = at(r.milliseconds, 0.9);
            const double flops = 2 * macs / (least * 1e6);
            const char* code = r.of->net().instruction_set;
            std::printf("%-10s %-6s %-8s %-10s %9.4f %9.3f %9.3f %9.3f %9.1f\n", r.network.c_str(), r.part.c_str(), r.threads.c_str(), code, macs / 1e9, least, median, p90, flops);
            report["rows"].push_back({{"network", r.network}, {"part", r.part}, {"threads", r.threads}, {"instruction_set", code}, {"macs", macs},
                                      {"least", least}, {"median", median}, {"p90", p90}, {"gflops_at_least", flops}, {"all", r.milliseconds}});
        }
        std::printf("GFLOP/s: two operations a multiply-accumulate, over the least time\n");
        timed::write_results(json_file, std::move(report));
        return 0;
    });
}
