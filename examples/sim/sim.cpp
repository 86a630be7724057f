// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sim.cpp
/// splitdsl-sim: compares offloading policies for networks with exits over a simulated radio, from a scenario file.
#include "plot.hpp"
#include "report.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>

#include <CLI/CLI.hpp>

#include <ctime>
#include <iostream>
#include <vector>

namespace {

struct settings {
    std::string scenario{}, json{}, save{}, svg{};
    bool benchmark{}, quiet{};
    std::int64_t seed{-1}, frames{};
};

std::string setting_of(const simulate::scenario& s, const simulate::point& p) {
    const std::string cloud = simulate::parts::fixed(s.cloud_ms, 2) + " ms" + (s.cloud_profile.empty() ? "" : " and " + s.cloud_profile);
    return p.device + ", " + p.air.named() + ", cloud " + cloud + ", seed " + std::to_string(s.seed);
}
std::string answers_of(const simulate::scenario& s) {
    return s.answers.empty() ? "synthetic answers (no network stands behind them)" : "answers " + s.answers;
}
void print_head(const simulate::scenario& s, const simulate::point& p) {
    std::cout << "simulated: " << s.name << ", " << setting_of(s, p) << ", " << answers_of(s) << '\n';
}

/// Frames a second of every policy, on this machine: a measurement of the simulator, not of the policies.
nlohmann::json benchmark(const simulate::scenario& s, const simulate::contest& c, bool quiet) {
    nlohmann::json all = nlohmann::json::object();
    for (simulate::contender p : s.contenders) {
        p.calibrated = false;
        double seconds = 0;
        std::uint64_t frames = 0;
        while (seconds < 1) {
            const std::clock_t begin = std::clock(); // processor time: what one core does, however busy the machine is
            frames += c.run(p, c.own_point()).summary.frames;
            seconds += static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
        }
        const double rate = static_cast<double>(frames) / seconds;
        all[p.name] = {{"frames_per_second", rate}, {"label", "measured"}};
        if (!quiet) std::cout << p.name << ": " << simulate::parts::fixed(rate, 0) << " frames/s of processor time, measured\n";
    }
    return all;
}

int run(const settings& o) {
    simulate::scenario s = simulate::read_scenario(o.scenario);
    if (o.seed >= 0) s.seed = static_cast<std::uint64_t>(o.seed);
    if (o.frames > 0) s.frames = o.frames;
    for (const auto& [option, path] : {std::pair{"--json", &o.json}, {"--svg", &o.svg}, {"--save-answers", &o.save}}) {
        options::require_writable(option, *path);
        options::require_not_read(option, *path, {o.scenario, s.answers});
    }
    options::require_different("--json", o.json, "--svg", o.svg);
    options::require_different("--json", o.json, "--save-answers", o.save);
    options::require_different("--svg", o.svg, "--save-answers", o.save);
    const simulate::contest c{s};
    const auto points = s.sweep.empty() || o.benchmark ? std::vector<simulate::point>{} : c.grid(); // refused before the first run
    if (!o.save.empty()) {
        try {
            c.save_answers(o.save);
        } catch (const splitdsl::weights_error& e) { throw options::not_written(std::string{"--save-answers "} + e.what()); }
    }
    nlohmann::json document{{"scenario", scenario_json(s, c)}, {"label", "simulated"}};
    if (o.benchmark)
        document["benchmark"] = benchmark(s, c, o.quiet);
    else {
        const auto own = c.run_all(c.own_point());
        document["policies"] = policies_json(own);
        if (!o.svg.empty())
            options::write("--svg", o.svg, simulate::plot("Simulated: " + s.name + "; " + answers_of(s), setting_of(s, c.own_point()), own));
        if (!o.quiet) {
            print_head(s, c.own_point());
            std::cout << simulate::table(own) << simulate::break_evens(own);
            for (const auto& one : own)
                if (!one.reached)
                    std::cout << "! " << one.name << ": no threshold reached " << simulate::parts::fixed(100 * s.accuracy, 2)
                              << " % on the validation pictures; the most accurate one is shown\n";
        }
        if (!s.sweep.empty()) {
            document["sweep"] = nlohmann::json::array();
            std::vector<simulate::comparison> compared(s.comparisons.begin(), s.comparisons.end());
            for (const simulate::point& p : points) {
                nlohmann::json entry = point_json(p);
                try {
                    const auto all = c.run_all(p);
                    entry["policies"] = policies_json(all);
                    for (auto& one : compared) one.add(p, all);
                    if (!o.quiet) {
                        std::cout << '\n';
                        print_head(s, p);
                        std::cout << simulate::table(all) << simulate::break_evens(all);
                    }
                } catch (const splitdsl::option_error& e) { // such as a packet that does not fit a short interval
                    entry["refused"] = e.what();
                    if (!o.quiet) std::cout << "\nleft out: " << e.what() << '\n';
                }
                document["sweep"].push_back(std::move(entry));
            }
            for (const auto& one : compared) {
                document["comparisons"].push_back(one.json());
                if (!o.quiet) std::cout << '\n' << one.text();
            }
        }
    }
    if (!o.json.empty()) options::write("--json", o.json, document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    settings o;
    CLI::App app{"Offloading policies for networks with exits over a duty-cycled radio, simulated from a scenario file (docs/fleet.md)"};
    app.add_option("scenario", o.scenario, "a TOML file, such as examples/sim/m33_cifar.toml")->required()->type_name("FILE");
    app.add_option("--json", o.json, "write everything as one JSON document")->type_name("FILE");
    auto* const svg = app.add_option("--svg", o.svg, "draw accuracy over mean latency")->type_name("FILE");
    app.add_option("--save-answers", o.save, "write the synthetic logits as a file of recorded ones would be")->type_name("FILE");
    app.add_option("--seed", o.seed, "instead of the scenario's")->check(options::at_least(std::int64_t{0}));
    app.add_option("--frames", o.frames, "instead of the scenario's, per policy")
        ->check(options::between(std::int64_t{1}, std::int64_t{100'000'000}));
    app.add_flag("--benchmark", o.benchmark, "measure how many frames a second each policy is simulated at")->excludes(svg);
    app.add_flag("--quiet", o.quiet, "print nothing but errors");
    return options::exit_status("splitdsl-sim", app, argc, argv, [&] {
        try {
            return run(o);
        } catch (const std::bad_alloc&) { throw splitdsl::option_error("expected a scenario that fits the memory, found one that does not"); }
    });
}
