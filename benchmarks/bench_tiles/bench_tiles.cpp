// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_tiles.cpp
/// Networks tile by tile in less and less working memory, beside the pipeline's own run: time, memory taken, work done twice, and the same bits.
#include "../results.hpp"
#include "networks.hpp"
#include "team.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/graph/tile_shares.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/tiled_network.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {
using namespace splitdsl;

struct arguments {
    std::string network{"both"}, by{"clock"}, grid{}, until{}, json{};
    std::vector<double> work_mb{};
    int runs{60}, warm_up{3}, threads{1};
    bool model{};
    int team{};
    double gmacs{2.5}, mbit{100}, rtt_ms{2};
};

double at(std::vector<double> sorted, double share) {
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}
/// By the clock, or of the processors that this process used: other programs slow it down, but do not count in it.
double now_ms(bool of_processors) {
    timespec t{};
    clock_gettime(of_processors ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}
double mb(std::int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

/// One way to run the network; the first row is the pipeline's own.
template <class Network>
struct row {
    std::string name;
    tile_plan plan{};
    std::unique_ptr<tiled_network<Network>> tiles{};
    std::vector<double> milliseconds{};
    int most_tiles() const {
        int most = 0;
        for (int k = 0; k < plan.count; ++k) most = std::max(most, plan.parts[static_cast<std::size_t>(k)].tiles());
        return most;
    }
};

template <class Network>
void measure(const char* name, std::vector<double> work_mb, const arguments& a, nlohmann::json& report) {
    const timed::network_code& code = timed::chosen_code<Network>();
    const pipeline& net = *code.whole;
    const auto values = random_weights(parameters<Network>(), 1);
    const network_weights<Network> weights{values, net};
    const frame_arena arena{net};
    std::vector<std::byte> picture(net.inputs[0].bytes);
    for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::byte>(i * 7919 % 251);
    const void* const inputs[]{picture.data()};
    std::vector<float> expected(net.output_floats), out(net.output_floats);
    const task_runner* const workers = a.threads > 1 ? default_runner() : nullptr;
    const memory_terms terms{.lanes = code.tiles->lanes, .threads = a.threads};
    const std::int64_t packed = graph::weights_between(tile_source_of<Network>, 0, tile_source_of<Network>.count, terms.lanes);

    std::vector<row<Network>> rows;
    rows.push_back({.name = "pipeline"});
    const auto add = [&](const std::string& which, const tile_plan& plan) {
        if (plan.why) {
            std::printf("%s, %s: %s\n", name, which.c_str(), plan.why);
            return;
        }
        rows.push_back({which, plan, std::make_unique<tiled_network<Network>>(values, plan, a.threads, *code.tiles)});
    };
    char text[64];
    for (const double megabytes : work_mb) {
        std::snprintf(text, sizeof text, "%.2f MB", megabytes);
        add(text, plan_within<Network>(packed + static_cast<std::int64_t>(1e6 * megabytes), terms));
    }
    if (!a.grid.empty()) {
        tile_grid g{.until = a.until};
        int read = 0;
        if (std::sscanf(a.grid.c_str(), "%dx%d%n", &g.rows, &g.columns, &read) != 2 || static_cast<std::size_t>(read) != a.grid.size()) throw option_error("--grid: ROWSxCOLUMNS was expected, found \"" + a.grid + "\"");
        add("grid " + a.grid, plan_tiles<Network>(g, terms));
    }
    for (int run = -a.warm_up; run < a.runs; ++run)
        for (row<Network>& r : rows) {
            float* const to = r.tiles ? out.data() : expected.data();
            const double begin = now_ms(a.by == "processor");
            if (r.tiles) r.tiles->run(inputs, to, workers);
            else net.run({arena.data(), weights.bytes().data(), inputs, to, workers}, 0, net.stages, nullptr);
            const double ms = now_ms(a.by == "processor") - begin;
            if (run >= 0) r.milliseconds.push_back(ms);
            if (r.tiles && std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)) != 0)
                throw splitdsl::error("bench_tiles: " + std::string{name} + ", " + r.name + ": the values are not those of the whole run");
        }
    std::printf("%s, %s, %d thread%s: %.2f MB of packed weights beside the working memory; measured, %d interleaved runs by the %s; ratios of least times, and turn by turn: median (p10 to p90)\n", name, net.instruction_set,
                a.threads, a.threads > 1 ? "s" : "", mb(packed), a.runs, a.by.c_str());
    std::printf("%-12s %9s %9s %6s %9s %9s %9s %9s %7s %22s\n", "budget", "plan MB", "taken MB", "tiles", "macs +", "least ms", "median", "p90", "ratio", "turn by turn");
    for (const row<Network>& r : rows) {
        const double least = at(r.milliseconds, 0), first = at(rows.front().milliseconds, 0);
        std::vector<double> ratios;
        for (std::size_t i = 0; i < r.milliseconds.size(); ++i) ratios.push_back(r.milliseconds[i] / rows.front().milliseconds[i]);
        const std::int64_t plan = r.tiles ? r.plan.work_bytes : static_cast<std::int64_t>(net.arena_bytes), taken = r.tiles ? static_cast<std::int64_t>(r.tiles->work_bytes()) : plan;
        const double twice = r.tiles ? static_cast<double>(r.plan.macs - r.plan.whole_macs) / static_cast<double>(r.plan.whole_macs) : 0;
        std::printf("%-12s %9.3f %9.3f %6d %8.1f%% %9.3f %9.3f %9.3f %7.3f %8.3f (%.3f to %.3f)\n", r.name.c_str(), mb(plan), mb(taken), r.most_tiles(), 100 * twice, least, at(r.milliseconds, 0.5), at(r.milliseconds, 0.9),
                    least / first, at(ratios, 0.5), at(ratios, 0.1), at(ratios, 0.9));
        nlohmann::json segments = nlohmann::json::array();
        for (int k = 0; k < r.plan.count; ++k) {
            const graph::segment& s = r.plan.parts[static_cast<std::size_t>(k)];
            segments.push_back({{"rows", s.rows}, {"columns", s.columns}, {"steps", s.last.step - s.first.step}});
        }
        report["rows"].push_back({{"network", name}, {"instruction_set", net.instruction_set}, {"row", r.name}, {"threads", a.threads}, {"plan_work_bytes", plan}, {"taken_work_bytes", taken},
                                  {"weight_bytes", r.tiles ? static_cast<std::int64_t>(r.tiles->weight_bytes()) : static_cast<std::int64_t>(weights.bytes().size())}, {"segments", segments}, {"redundant_share", twice},
                                  {"least", least}, {"median", at(r.milliseconds, 0.5)}, {"p90", at(r.milliseconds, 0.9)}, {"ratio_of_least", least / first},
                                  {"ratio_by_turn", {{"median", at(ratios, 0.5)}, {"p10", at(ratios, 0.1)}, {"p90", at(ratios, 0.9)}}}, {"all", r.milliseconds}});
    }
}

/// When helpers pay: the best grid by the model for equal devices at several rates, and the least rate at which one helper saves anything and a tenth.
template <class Network>
void model(const char* name, const arguments& a, nlohmann::json& report) {
    const double speed = 1e9 * a.gmacs;
    const tile_worker equal{.macs_per_second = speed, .round_trip = from_milliseconds(a.rtt_ms)};
    for (const int helpers : {1, 3})
        for (const double rate : {10.0, 100.0, 1000.0}) {
            std::vector<tile_worker> workers(static_cast<std::size_t>(helpers), equal);
            for (tile_worker& w : workers) w.rate_up = megabits_per_second(rate);
            const shared_grid best = choose_shares<Network>(speed, workers);
            const bool shared = best.figures.count() > 1;
            const std::string until = shared ? graph::full_name(graph::description_of<Network>(), best.figures.last_op) : "";
            std::printf("%-14s %8d %8.0f %9.1f %9.1f %7s %-30s %6d %7.1f%%\n", name, helpers, rate, 1e3 * best.here.alone, 1e3 * best.shares.seconds,
                        (std::to_string(best.figures.rows) + "x" + std::to_string(best.figures.columns)).c_str(), until.c_str(), best.shares.sent, 100 * best.figures.redundant_share());
            report["model"].push_back({{"network", name}, {"helpers", helpers}, {"mbit_per_second", rate}, {"alone_ms", 1e3 * best.here.alone}, {"shared_ms", 1e3 * best.shares.seconds}, {"rows", best.figures.rows},
                                       {"columns", best.figures.columns}, {"until", until}, {"tiles_sent", best.shares.sent}, {"redundant_share", best.figures.redundant_share()}});
        }
    // The grid that is best on a fast link, as the link gets slower.
    tile_worker wired = equal;
    wired.rate_up = megabits_per_second(1000);
    const shared_grid best = choose_shares<Network>(speed, std::span{&wired, 1});
    const double any = least_paying_rate(best.figures, best.here, equal).value / 1e6, tenth = least_paying_rate(best.figures, best.here, equal, 0.1).value / 1e6;
    std::printf("%-14s one helper, %dx%d: pays from %.3g Mbit/s on, saves a tenth from %.3g (0: at no rate)\n", name, best.figures.rows, best.figures.columns, any, tenth);
    report["least_paying_rate"].push_back({{"network", name}, {"rows", best.figures.rows}, {"columns", best.figures.columns}, {"mbit_per_second", any}, {"for_a_tenth", tenth}});
}

template <class Network>
void team(const char* name, const arguments& a, nlohmann::json& report) {
    const timed::team_times t = timed::measure_team<Network>({.helpers = a.team, .macs_per_second = 1e9 * a.gmacs, .mbit = a.mbit, .rtt_ms = a.rtt_ms}, a.runs);
    if (t.milliseconds.empty()) {
        std::printf("%-14s no grid pays by the model\n", name);
        return;
    }
    const double least = at(t.milliseconds, 0), median = at(t.milliseconds, 0.5), p90 = at(t.milliseconds, 0.9);
    std::printf("%-14s %7d %7s %6d %9.1f %9.1f %9.1f %9.1f %9.1f %6llu of %llu\n", name, a.team, t.grid.c_str(), t.sent, t.alone_ms, t.modelled_ms, least, median, p90,
                static_cast<unsigned long long>(t.counts.came), static_cast<unsigned long long>(t.counts.sent));
    report["rows"].push_back({{"network", name}, {"helpers", a.team}, {"grid", t.grid}, {"tiles_sent", t.sent}, {"alone_ms", t.alone_ms}, {"modelled_ms", t.modelled_ms}, {"least", least}, {"median", median}, {"p90", p90},
                              {"sent", t.counts.sent}, {"came", t.counts.came}, {"shared", t.counts.shared}, {"mended", t.counts.mended}, {"all", t.milliseconds}});
}

int run(const arguments& a) {
    if (a.grid.empty() && !a.until.empty()) throw option_error("--until: --grid ROWSxCOLUMNS was expected beside it");
    nlohmann::json report{{"unit", "milliseconds"}, {"label", "measured"}, {"runs", a.runs}, {"by", a.by}, {"hardware_threads", std::thread::hardware_concurrency()}, {"rows", nlohmann::json::array()}};
    if (a.model) {
        options::require_writable("--json", a.json);
        report["label"] = "modelled", report["gmacs_per_second"] = a.gmacs, report["round_trip_ms"] = a.rtt_ms;
        std::printf("equal devices of %g GMAC/s, round trip %g ms; modelled, the best of all grids of up to 16 tiles\n", a.gmacs, a.rtt_ms);
        std::printf("%-14s %8s %8s %9s %9s %7s %-30s %6s %8s\n", "network", "helpers", "Mbit/s", "alone ms", "shared ms", "grid", "until", "sent", "macs +");
        if (a.network != "resnet18") model<timed::mobilenet_v2>("mobilenet_v2", a, report);
        if (a.network != "mobilenet_v2") model<timed::resnet18>("resnet18", a, report);
        if (!a.json.empty()) options::write("--json", a.json, report.dump(2) + "\n");
        return 0;
    }
    timed::begin_results(a.json);
    if (a.team > 0) {
        report["gmacs_per_second"] = a.gmacs, report["mbit_per_second"] = a.mbit, report["round_trip_ms"] = a.rtt_ms;
        std::printf("devices paced to %g GMAC/s, over TCP and a relay each of %g Mbit/s and a round trip of %g ms, on this machine; measured, %d frames; the model by what was measured of them\n", a.gmacs, a.mbit, a.rtt_ms, a.runs);
        std::printf("%-14s %7s %7s %6s %9s %9s %9s %9s %9s %s\n", "network", "helpers", "grid", "sent", "alone ms", "model ms", "least ms", "median", "p90", "tiles that came");
        if (a.network != "resnet18") team<timed::mobilenet_v2>("mobilenet_v2", a, report);
        if (a.network != "mobilenet_v2") team<timed::resnet18>("resnet18", a, report);
        timed::write_results(a.json, std::move(report));
        return 0;
    }
    const auto chosen = [&a](std::vector<double> usual) { return a.work_mb.empty() ? usual : a.work_mb; };
    const auto both = [&] {
        if (a.network != "resnet18") measure<timed::mobilenet_v2>("mobilenet_v2", chosen({7.0, 3.6, 2.0, 1.2, 0.8}), a, report);
        if (a.network != "mobilenet_v2") measure<timed::resnet18>("resnet18", chosen({5.0, 3.6, 3.0, 2.4}), a, report);
    };
    if (a.threads > 1) with_threads(a.threads, both);
    else both();
    timed::write_results(a.json, std::move(report));
    return 0;
}
} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Times and memory of networks that are run tile by tile, measured on this machine: the plan for each working memory beside the pipeline's own run. Weights are made\n"
                 "up: times do not depend on them. The rows take turns run by run, so that a slow phase of the machine meets all of them; every answer is compared with the whole run's, bit\n"
                 "by bit. SPLITDSL_ISA=avx2_fma (or avx512) chooses the instruction set; without it the best one that runs here is taken."};
    app.add_option("--network", a.network, "mobilenet_v2, resnet18 or both")->check(CLI::IsMember({"mobilenet_v2", "resnet18", "both"}))->capture_default_str();
    app.add_option("--work", a.work_mb, "Working memory to plan for, in MB beside the weights; a row each")->check(options::between(0.001, 100'000.0))->expected(1, 32);
    app.add_option("--grid", a.grid, "Also this grid, ROWSxCOLUMNS, over the first layers")->option_text("RxC");
    app.add_option("--until", a.until, "Where that grid ends: a layer, group of layers or cut; else as far as tiles go")->option_text("NAME");
    app.add_option("--threads", a.threads, "Tiles side by side, each thread with an arena of its own")->check(options::between(1, 256))->capture_default_str();
    app.add_option("--by", a.by, "clock, or processor: its time alone, on a machine with other programs")->check(CLI::IsMember({"clock", "processor"}))->capture_default_str();
    app.add_option("--runs", a.runs, "Runs of each row")->check(options::between(1, 100'000))->capture_default_str();
    app.add_option("--warm-up", a.warm_up, "Runs of each row before")->check(options::between(0, 1000))->capture_default_str();
    app.add_flag("--model", a.model, "Times nothing: when helpers pay, by the model");
    app.add_option("--team", a.team, "Measures frames of a team with so many helpers instead, all on this machine, paced to --gmacs, each behind a relay of --mbit and --rtt")->check(options::between(0, 16))->excludes("--model");
    app.add_option("--mbit", a.mbit, "With --team: of each helper's link, in 10^6 bits a second")->check(options::between(1e-3, 1e6))->capture_default_str();
    app.add_option("--gmacs", a.gmacs, "With --model and --team: of each device, in 10^9 multiply-accumulates a second")->check(options::between(1e-6, 1e6))->capture_default_str();
    app.add_option("--rtt", a.rtt_ms, "With --model and --team: round trip to each helper, in ms")->check(options::between(0.0, 1e5))->capture_default_str();
    app.add_option("--json", a.json, "Also write the results to FILE")->option_text("FILE");
    return options::exit_status("bench_tiles", app, argc, argv, [&] { return run(a); });
}
