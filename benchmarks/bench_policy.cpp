// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_policy.cpp
/// Time of one policy decision. The promise: below one microsecond.
#include "../tests/demo_deployment.hpp"
#include "results.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/weighted.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;
using namespace std::chrono_literals;

struct spread { double least{}, median{}, p99{}, most{}; };

/// Nanoseconds a decision, over `batches` batches of 1,000 decisions each with a changing link, so that no branch is always taken.
template <scheduler_policy Policy>
spread time_decisions(Policy policy, int batches, long& offloads) {
    constexpr int decisions = 1000;
    std::vector<link_view> links(decisions);
    for (int i = 0; i < decisions; ++i)
        links[static_cast<std::size_t>(i)] = {.up = i % 50 != 0, .rate_up = kilobits_per_second(50 + (i * 7919) % 4000), .rate_down = megabits_per_second(8), .rtt = 10ms, .age = std::chrono::milliseconds{(i * 31) % 1100}};
    std::vector<double> times;
    for (int b = 0; b < batches; ++b) {
        const auto begin = std::chrono::steady_clock::now();
        for (const link_view& link : links) {
            const budget left{.now = instant{4ms}, .deadline = instant{100ms}, .reserve = 45ms};
            offloads += policy.on(stage_done{.cut = 0}, link, left).what == action::kind::offload ? 1 : 0;
        }
        times.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() / decisions);
    }
    std::sort(times.begin(), times.end());
    return {times.front(), times[times.size() / 2], times[times.size() * 99 / 100], times.back()};
}
} // namespace

int main(int argc, char** argv) {
    int batches = 1000;
    std::string json_file;
    CLI::App app{"Time of one policy decision, in nanoseconds (measured on this machine). Exit code 1 if a median reaches 1 microsecond."};
    app.add_option("--batches", batches, "Batches of 1,000 decisions each")->check(options::between(1, 1'000'000))->capture_default_str();
    app.add_option("--json", json_file, "Also write the results to FILE")->option_text("FILE");
    return options::exit_status("bench_policy", app, argc, argv, [&] {
        timed::begin_results(json_file);
        nlohmann::json report{{"unit", "nanoseconds per decision"}, {"label", "measured"}, {"batches", batches}, {"decisions_per_batch", 1000}};
        bool fine = true;
        std::printf("%-24s %9s %9s %9s %9s   ns per decision, batches of 1000\n", "policy", "least", "median", "p99", "most");
        const auto row = [&](const char* name, auto policy) {
            long offloads = 0;
            time_decisions(policy, std::max(1, batches / 10), offloads);    // warm up
            offloads = 0;
            const spread s = time_decisions(policy, batches, offloads);
            const double share = static_cast<double>(offloads) / (1000.0 * batches);
            std::printf("%-24s %9.1f %9.1f %9.1f %9.1f   (%.0f %% offloaded)\n", name, s.least, s.median, s.p99, s.most, 100 * share);
            report["policies"][name] = {{"least", s.least}, {"median", s.median}, {"p99", s.p99}, {"most", s.most}, {"offloaded_share", share}};
            fine = fine && s.median < 1000;
        };
        row("sage", policy::sage{demo(1)});
        row("weighted, 1 cut", policy::weighted{demo(1)});
        row("weighted, 16 cuts", policy::weighted{demo(max_cuts)});
        timed::write_results(json_file, std::move(report));
        if (!fine) std::fprintf(stderr, "bench_policy: a median decision took 1 microsecond or more\n");
        return fine ? 0 : 1;
    });
}
