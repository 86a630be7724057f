// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_zoo.cpp
/// How long any network of the zoo takes, whole or up to a cut; as a table, or asked again and again by bench_peers.py.
#include "../results.hpp"
#include "compared.hpp"
#include "power.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <examples/zoo/networks.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;

struct arguments {
    std::vector<std::string> names{};
    std::vector<int> threads{1, 2}, batches{};
    int runs{10};
    std::string weights{}, input{}, output{}, cut{}, json{};
    bool serve{}, list{};
    zoo_bench::power_arguments power{};
};

/// A network with its memory: all of it, or what an edge runs up to a cut.
class ready_network {
public:
    ready_network(const zoo_networks::network& n, const arguments& a)
        : net{n.pipeline()}, weights{a.weights.empty() ? n.seeded(1) : n.load(a.weights)}, end{net.stages} {
        add_frames(1);
        if (!a.cut.empty()) {
            while (++cut < static_cast<int>(net.cuts.size()) && net.cuts[static_cast<std::size_t>(cut)].name != a.cut) {}
            if (cut == static_cast<int>(net.cuts.size())) throw option_error("--cut " + a.cut + ": " + n.name + " has no cut of that name");
            end = net.cuts[static_cast<std::size_t>(cut)].stage + 1;
        }
        std::ifstream file(a.input, std::ios::binary);
        if (!a.input.empty() && !file) throw option_error("--input " + a.input + ": cannot be opened");
        for (const tensor_info& t : net.inputs) {
            const std::size_t values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
            stores.emplace_back(t.bytes);
            if (!a.input.empty() && &t == net.inputs.data()) {
                std::string bytes(t.bytes, '\0');
                if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())) || file.peek() != std::ifstream::traits_type::eof())
                    throw option_error("--input " + a.input + ": expected " + std::to_string(t.bytes) + " bytes of " + t.name);
                std::memcpy(stores.back().data(), bytes.data(), bytes.size());
            } else
                for (std::size_t i = 0; i < values; ++i) {
                    const float half = 0.5F;
                    if (t.bytes == values) stores.back().data()[i] = static_cast<std::byte>(values == 1 ? 1 : i * 7919 % 251); // one byte: a command
                    else std::memcpy(stores.back().data() + i * sizeof half, &half, sizeof half);
                }
            inputs.push_back(stores.back().data());
        }
    }
    /// Memory for so many frames, all of the same inputs.
    void add_frames(std::size_t count) {
        while (arenas.size() < count) {
            arenas.push_back(std::make_unique<frame_arena>(net));
            outputs.emplace_back(net.output_floats);
        }
    }
    int batch_limit() const { return net.batch_limit; }
    /// Milliseconds a frame of so many together.
    double run_together(int count, bool several) {
        add_frames(static_cast<std::size_t>(count));
        std::vector<frame_memory> frames;
        for (std::size_t f = 0; f < static_cast<std::size_t>(count); ++f) frames.push_back(memory(several, f));
        const auto begin = std::chrono::steady_clock::now();
        net.run_batch(frames, 0, end, nullptr);
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count() / count;
    }
    /// Milliseconds. `several`: on the threads of the arena that the caller runs in.
    double run(bool several) {
        const auto begin = std::chrono::steady_clock::now();
        net.run(memory(several), 0, end, nullptr);
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    }
    /// The outputs as f32, or what the cut sends.
    std::string answer() {
        std::string bytes(cut < 0 ? outputs[0].size() * sizeof(float) : net.cuts[static_cast<std::size_t>(cut)].payload_bytes, '\0');
        if (cut < 0) std::memcpy(bytes.data(), outputs[0].data(), bytes.size());
        else {
            std::vector<std::byte> payload(bytes.size());
            payload.resize(net.store_payload(memory(false), cut, payload.data()));
            bytes.resize(payload.size());
            std::memcpy(bytes.data(), payload.data(), payload.size());
        }
        return bytes;
    }
    double macs() const {
        double sum = 0;
        for (int k = 0; k < end; ++k) sum += static_cast<double>(net.stage_macs[k]);
        return sum;
    }
    const char* instruction_set() const { return net.instruction_set; }

private:
    frame_memory memory(bool several, std::size_t frame = 0) {
        return {.arena = arenas[frame]->data(), .packed_weights = weights.packed.data(), .inputs = inputs.data(), .outputs = outputs[frame].data(), .workers = several ? default_runner() : nullptr};
    }

    const pipeline& net;
    zoo_networks::loaded_weights weights;
    std::vector<std::unique_ptr<frame_arena>> arenas{};
    std::vector<std::vector<float>> outputs{};
    int end, cut{-1};
    std::vector<aligned_buffer> stores{};
    std::vector<const void*> inputs{};
};

std::vector<const zoo_networks::network*> listed() {
    std::vector<const zoo_networks::network*> list(zoo_networks::all().begin(), zoo_networks::all().end());
#define SPLITDSL_COMPARED_ROW(name, header, ...) list.push_back(&zoo_networks::entry<zoo_networks::name>());
    SPLITDSL_COMPARED(SPLITDSL_COMPARED_ROW)
#undef SPLITDSL_COMPARED_ROW
    return list;
}
const zoo_networks::network& named(const std::string& name) {
    for (const zoo_networks::network* n : listed())
        if (n->name == name) return *n;
    throw option_error("no network is called \"" + name + "\"; --list lists those that were compiled (SPLITDSL_ZOO_ALL compiles the rest)");
}

/// Milliseconds of processor time that this process has used, all threads together.
double processor_time() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

/// Milliseconds of each run; `busy`: also the processor time; `first`: of the run before them, right after loading if there was none before.
std::vector<double> timed(ready_network& n, int runs, int threads, std::vector<double>* busy = nullptr, double* first = nullptr) {
    std::vector<double> all;
    all.reserve(static_cast<std::size_t>(runs));
    const auto work = [&] {
        const double cold = n.run(threads > 1);
        if (first) *first = cold;
        for (int i = 0; i < runs; ++i) {
            const double before = busy ? processor_time() : 0;
            all.push_back(n.run(threads > 1));
            if (busy) busy->push_back(processor_time() - before);
        }
    };
    if (threads > 1) with_threads(threads, work);
    else work();
    return all;
}

/// One line of JSON when it is ready; then for each line that is a number, one with that many times (and, before them, a run that is not timed).
int serve(const arguments& a) {
    if (a.names.size() != 1 || a.threads.size() != 1) throw option_error("--serve is for one network and one number of --threads");
    ready_network n{named(a.names[0]), a};
    timed(n, 1, a.threads[0]);
    if (!a.output.empty()) options::write("--output", a.output, n.answer());
    std::cout << nlohmann::json{{"version", n.instruction_set()}, {"macs", n.macs()}}.dump() << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        int runs = 0;
        if (const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), runs); code != std::errc{} || runs < 1 || runs > 1'000'000)
            throw option_error("--serve expects a number of runs on each line, found \"" + line.substr(0, 80) + "\"");
        std::vector<double> busy;
        const std::vector<double> all = timed(n, runs, a.threads[0], &busy);
        std::cout << nlohmann::json{{"ms", all}, {"cpu_ms", busy}}.dump() << std::endl;
    }
    return 0;
}

int table(const arguments& a) {
    for (const std::string& name : a.names) named(name);       // a misspelled name before anything is timed
    zoo_bench::power_source power{a.power};
    nlohmann::json report{{"unit", "milliseconds"}, {"label", "measured"}, {"runs", a.runs}, {"rows", nlohmann::json::array()}};
    std::printf("%-34s %-8s %-10s %9s %9s %9s %9s %9s   %d runs, times in ms\n", "network", "threads", "code", "GMAC", "first", "least", "median", "GFLOP/s", a.runs);
    for (const std::string& name : a.names) {
        ready_network n{named(name), a};
        for (const int threads : a.threads) {
            double first = 0;
            const joules before = power.reading();
            std::vector<double> all = timed(n, a.runs, threads, nullptr, &first);
            const joules energy = power.reading() - before;
            const double seconds = (std::accumulate(all.begin(), all.end(), 0.0) + first) / 1e3;
            std::sort(all.begin(), all.end());
            const double least = all.front(), median = all[all.size() / 2], rate = 2 * n.macs() / (least * 1e6);
            std::printf("%-34s %-8d %-10s %9.4f %9.3f %9.3f %9.3f %9.1f\n", name.c_str(), threads, n.instruction_set(), n.macs() / 1e9, first, least, median, rate);
            std::fflush(stdout);
            report["rows"].push_back({{"network", name}, {"threads", threads}, {"instruction_set", n.instruction_set()}, {"macs", n.macs()}, {"first", first}, {"least", least}, {"median", median},
                                      {"gflops_at_least", rate}, {"all", all}});
            if (power.asked()) power.report(least, a.runs + 1, energy, seconds, report["rows"].back());
        }
    }
    std::printf("first: the run before the timed ones; in a network's first row, the one after its weights were loaded and packed. GFLOP/s: two operations a\n"
                "multiply-accumulate, over the least time\n");
    timed::write_results(a.json, std::move(report));
    return 0;
}
/// Frames run together against one after another, all sizes in turn in every round: least times, as what else runs only adds.
int batches(const arguments& a) {
    for (const std::string& name : a.names) named(name);
    zoo_bench::power_source power{a.power};
    nlohmann::json report{{"unit", "milliseconds a frame"}, {"label", "measured"}, {"runs", a.runs}, {"rows", nlohmann::json::array()}};
    std::printf("%-34s %-8s %-10s %6s %10s %8s %10s %8s   least of %d runs, ms a frame; ratio: one alone / in the batch\n", "network", "threads", "code", "batch", "least", "ratio",
                "processor", "ratio", a.runs);
    for (const std::string& name : a.names) {
        ready_network n{named(name), a};
        std::vector<int> sizes{1};
        for (const int b : a.batches)
            if (b > 1 && b <= n.batch_limit()) sizes.push_back(b);
        for (const int threads : a.threads) {
            std::vector<double> least(sizes.size(), 1e30), busy(sizes.size(), 1e30), seconds(sizes.size());
            std::vector<joules> energy(sizes.size());
            const auto work = [&] {
                for (int round = -1; round < a.runs; ++round)       // the first one is not counted
                    for (std::size_t k = 0; k < sizes.size(); ++k) {
                        const joules drawn = power.reading();
                        const double before = processor_time(), ms = n.run_together(sizes[k], threads > 1), used = (processor_time() - before) / sizes[k];
                        energy[k] += power.reading() - drawn;
                        seconds[k] += ms * sizes[k] / 1e3;
                        if (round >= 0) least[k] = std::min(least[k], ms), busy[k] = std::min(busy[k], used);
                    }
            };
            if (threads > 1) with_threads(threads, work);
            else work();
            for (std::size_t k = 0; k < sizes.size(); ++k) {
                std::printf("%-34s %-8d %-10s %6d %10.3f %8.3f %10.3f %8.3f\n", name.c_str(), threads, n.instruction_set(), sizes[k], least[k], least[0] / least[k], busy[k], busy[0] / busy[k]);
                report["rows"].push_back({{"network", name}, {"threads", threads}, {"instruction_set", n.instruction_set()}, {"batch", sizes[k]}, {"least", least[k]},
                                          {"ratio", least[0] / least[k]}, {"processor", busy[k]}, {"processor_ratio", busy[0] / busy[k]}});
                if (power.asked()) power.report(least[k], static_cast<double>(a.runs + 1) * sizes[k], energy[k], seconds[k], report["rows"].back());
            }
            std::fflush(stdout);
        }
    }
    timed::write_results(a.json, std::move(report));
    return 0;
}
} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Times of the zoo's networks, measured on this machine; every compiled one if none is named. Weights come from a seed or a file: times\n"
                 "do not depend on them. SPLITDSL_ISA=baseline (or avx2_fma, avx512) chooses the instruction set among those compiled\n"
                 "(SPLITDSL_ZOO_INSTRUCTION_SETS); without it the best one that runs here is taken."};
    app.add_option("network", a.names, "Their names (see --list)")->option_text("NETWORK...");
    app.add_option("--threads", a.threads, "Threads to time with, one row each")->check(options::between(1, 256))->expected(1, 16)->capture_default_str();
    app.add_option("--runs", a.runs, "Runs of each row, after one that is not timed")->check(options::between(1, 100'000))->capture_default_str();
    auto* const together = app.add_option("--batch", a.batches, "Also so many frames together, against one alone")->check(options::between(1, 64))->expected(1, 16);
    app.add_option("--cut", a.cut, "Only what runs before this cut")->option_text("NAME");
    app.add_option("--weights", a.weights, "A safetensors file; random weights without it")->option_text("FILE");
    app.add_option("--input", a.input, "The first input's raw bytes; made up without it")->option_text("FILE");
    app.add_option("--json", a.json, "Also write the results to FILE")->option_text("FILE");
    auto* const serving = app.add_flag("--serve", a.serve, "Read numbers of runs from standard input, answer each with a line of times; what bench_peers.py talks to");
    app.add_option("--output", a.output, "With --serve: the first answer (f32, or what the cut sends)")->option_text("FILE")->needs(serving);
    together->excludes(serving);
    for (auto* const one : {app.add_flag("--rapl", a.power.rapl, "Frames a joule by the processor's energy counter, where the system lets us read it"),
                            app.add_option("--watts", a.power.watts, "Frames a joule by what the machine is said to draw")->check(options::between(0.001, 1e5)),
                            app.add_option("--profile", a.power.profile, "The same, by what a table such as examples/profiles/devices.csv says of this machine")->option_text("FILE:NAME"),
                            app.add_option("--dollars-per-hour", a.power.dollars_per_hour, "What an hour of the machine costs: dollars a million frames")->check(options::between(1e-6, 1e6))})
        one->excludes(serving);
    app.add_flag("--list", a.list, "Print the networks and exit");
    return options::exit_status("bench_zoo", app, argc, argv, [&] {
        if (a.list) {
            for (const zoo_networks::network* n : listed()) std::printf("%s\n", n->name);
            return 0;
        }
        if (a.serve) return serve(a);
        if (a.names.empty())
            for (const zoo_networks::network* n : listed()) a.names.emplace_back(n->name);
        timed::begin_results(a.json);
        return a.batches.empty() ? table(a) : batches(a);
    });
}
