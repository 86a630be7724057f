// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file soak.cpp
/// Simulated frames by the million under 16 kinds of fault: no covered miss, one answer each, none late, none foreign.
#include "adversary.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace splitdsl;

soak::verdicts run_broken(const std::string& how, int kind, std::uint64_t frames, std::uint64_t seed) {
    if (how == "fallback") return soak::run<soak::falls_back_late>(kind, frames, seed);
    if (how == "claims") return soak::run<soak::claims_twice>(kind, frames, seed);
    if (how == "sequence") return soak::run<soak::ignores_sequence>(kind, frames, seed);
    if (how == "epoch") return soak::run<soak::ignores_epoch>(kind, frames, seed);
    if (how == "values") return soak::run<soak::ignores_values>(kind, frames, seed);
    return soak::run(kind, frames, seed);
}

} // namespace

int main(int argc, char** argv) {
    CLI::App app{"Simulates frames under 16 kinds of fault with adversarial stage and link times. Exit code 1 if a promise broke."};
    std::uint64_t frames = 1'000'000, seed = 1;
    std::string json_file, broken, only;
    unsigned threads = std::max(1U, std::thread::hardware_concurrency());
    app.add_option("--frames", frames, "frames for each fault kind")->capture_default_str();
    app.add_option("--seed", seed, "of everything")->capture_default_str();
    app.add_option("--kind", only, "only this fault kind");
    app.add_option("--threads", threads, "kinds simulated side by side")->capture_default_str();
    app.add_option("--break", broken, "break one rule of the deadline code on purpose")
        ->check(CLI::IsMember({"fallback", "claims", "sequence", "epoch", "values"}));
    app.add_option("--json", json_file, "write the counts to this file");
    CLI11_PARSE(app, argc, argv);

    std::vector<soak::verdicts> results(soak::kinds);
    std::vector<bool> wanted(soak::kinds, only.empty());
    for (std::size_t k = 0; k < wanted.size(); ++k)
        if (soak::kind_names[k] == only) wanted[k] = true;
    if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) {
        std::fprintf(stderr, "soak: no fault kind is called \"%s\"\n", only.c_str());
        return 2;
    }
    const auto begun = std::chrono::steady_clock::now();
    std::atomic<std::size_t> next{};
    std::vector<std::thread> workers;
    for (unsigned w = 0; w < threads; ++w)
        workers.emplace_back([&] {
            for (std::size_t k; (k = next.fetch_add(1)) < results.size();)
                if (wanted[k]) results[k] = run_broken(broken, static_cast<int>(k), frames, seed);
        });
    for (auto& w : workers) w.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();

    std::printf("%-14s %9s %9s | %7s %7s %7s %7s | %8s %8s %8s %7s %7s | %6s %6s %6s %6s\n", "fault", "frames", "covered", "misses", "!=1",
                "late", "foreign", "cloud", "fallback", "edge", "exit", "held", "dup", "stale", "epoch", "bad");
    nlohmann::json report{{"label", "simulated"}, {"seed", seed}, {"frames_each", frames}, {"broken", broken}, {"seconds", seconds}};
    std::uint64_t violations = 0, total = 0;
    for (std::size_t k = 0; k < results.size(); ++k) {
        if (!wanted[k]) continue;
        const auto& v = results[k];
        const auto n = [](std::uint64_t c) { return static_cast<unsigned long long>(c); };
        std::printf("%-14s %9llu %9llu | %7llu %7llu %7llu %7llu | %8llu %8llu %8llu %7llu %7llu | %6llu %6llu %6llu %6llu\n",
                    soak::kind_names[k], n(v.frames), n(v.covered), n(v.covered_misses), n(v.not_one_answer), n(v.after_deadline),
                    n(v.foreign), n(v.cloud), n(v.fallback), n(v.edge), n(v.exit), n(v.held), n(v.machine.duplicates), n(v.machine.late),
                    n(v.machine.wrong_epoch), n(v.machine.corrupt + v.machine.wrong_size + v.machine.not_finite));
        violations += v.violations();
        total += v.frames;
        report["kinds"][soak::kind_names[k]] = {{"frames", v.frames},
                                                {"covered", v.covered},
                                                {"covered_misses", v.covered_misses},
                                                {"not_exactly_one_answer", v.not_one_answer},
                                                {"answered_after_deadline", v.after_deadline},
                                                {"foreign_answers_delivered", v.foreign},
                                                {"cloud", v.cloud},
                                                {"fallback", v.fallback},
                                                {"edge", v.edge},
                                                {"exit", v.exit},
                                                {"held", v.held},
                                                {"duplicates_dropped", v.machine.duplicates},
                                                {"late_dropped", v.machine.late},
                                                {"wrong_epoch_dropped", v.machine.wrong_epoch},
                                                {"corrupt_dropped", v.machine.corrupt},
                                                {"wrong_size_dropped", v.machine.wrong_size},
                                                {"not_finite_dropped", v.machine.not_finite},
                                                {"digest", v.digest}};
    }
    report["violations"] = violations;
    if (!json_file.empty()) std::ofstream{json_file} << report.dump(2) << '\n';
    std::printf("%llu violations in %llu simulated frames, %.1f s (%.0f frames/s)\n", static_cast<unsigned long long>(violations),
                static_cast<unsigned long long>(total), seconds, static_cast<double>(total) / seconds);
    return violations == 0 ? 0 : 1;
}
