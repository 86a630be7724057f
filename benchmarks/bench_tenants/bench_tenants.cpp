// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_tenants.cpp
/// Throughput by the number of tenants, each with a model of its own, below a limit of memory: what taking turns in it costs (Liang et al., figure 11).
#include "../results.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <examples/zoo/networks.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/model_cache.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;

struct arguments {
    std::string network{"squeezenet1_1"}, weights{}, json{};
    std::vector<int> tenants{1, 2, 4, 8, 16};
    int places{4}, requests{40}, rounds{3}, in_a_row{1}, threads{1};
    bool from_file{};
};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Seconds of processor time that this process has used: other programs slow it down, but do not count in it.
double processor_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

/// One number of tenants, all of the same network, each with memory of its own.
struct trial {
    int tenants{};
    std::unique_ptr<model_cache> cache{};
    std::vector<model_cache::id> ids{};
    double least_seconds{std::numeric_limits<double>::infinity()}, least_busy{least_seconds}; ///< of a round: by the clock, of processors
    double load_ms{};        ///< mean of the loads of the round of the least time
    cache_counters counts{}; ///< of that round alone
    double loading{};        ///< seconds of the round that goes on
};

class bench {
public:
    bench(const zoo_networks::network& which, const arguments& chosen)
        : a{chosen}, zoo{which}, net{which.pipeline()}, host{a.weights.empty() ? which.seeded(1) : which.load(a.weights)}, outputs(net.output_floats) {
        for (const tensor_info& t : net.inputs) {
            stores.emplace_back(t.bytes);
            const std::size_t values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
            for (std::size_t i = 0; i < values; ++i) {
                const float half = 0.5F;
                if (t.bytes == values) stores.back().data()[i] = static_cast<std::byte>(values == 1 ? 1 : i * 7919 % 251); // one byte: a command
                else std::memcpy(stores.back().data() + i * sizeof half, &half, sizeof half);
            }
            inputs.push_back(stores.back().data());
        }
    }
    std::size_t model_bytes() const { return net.packed_bytes + net.arena_bytes; }
    const pipeline& code() const { return net; }

    /// `t` outlives its cache's loaders; it stays where it is.
    void set_up(trial& t, int tenants) {
        t.tenants = tenants;
        t.cache = std::make_unique<model_cache>(static_cast<std::size_t>(a.places) * model_bytes());
        for (int k = 0; k < tenants; ++k) t.ids.push_back(t.cache->add({"tenant " + std::to_string(k), &net, [this, &t] { return load(t); }}));
        serve(t, a.in_a_row);
    }
    /// The tenants in turn, `in_a_row` requests each, until each has had `requests`.
    void round(trial& t) {
        const cache_counters before = t.cache->counters();
        t.loading = 0;
        const double begin = seconds(), busy = processor_seconds();
        serve(t, a.requests);
        const double took = seconds() - begin;
        t.least_busy = std::min(t.least_busy, processor_seconds() - busy);
        if (took >= t.least_seconds) return;
        t.least_seconds = took;
        t.counts = t.cache->counters();
        t.counts.hits -= before.hits, t.counts.loads -= before.loads, t.counts.evictions -= before.evictions;
        t.load_ms = t.counts.loads > 0 ? 1e3 * t.loading / static_cast<double>(t.counts.loads) : 0;
    }

private:
    packed_model load(trial& t) {
        const double begin = seconds();
        packed_model m;
        if (a.from_file) {
            zoo_networks::loaded_weights read = zoo.load(a.weights);
            m = {read.owner, read.packed};
        } else {
            auto copy = std::make_shared<aligned_buffer>(host.packed.size()); // from the host's memory, as an Edge TPU does
            std::memcpy(copy->data(), host.packed.data(), host.packed.size());
            m = {copy, copy->bytes()};
        }
        t.loading += seconds() - begin;
        return m;
    }
    void serve(trial& t, int turns) {
        for (int turn = 0; turn < turns; turn += a.in_a_row)
            for (const auto id : t.ids) {
                const int count = std::min(a.in_a_row, turns - turn);
                for (int i = 0; i < count; ++i) ask(*t.cache, id);
            }
    }
    void ask(model_cache& cache, model_cache::id id) {
        const auto model = cache.use(id);
        net.run(model.memory(inputs.data(), outputs.data(), a.threads > 1 ? default_runner() : nullptr), 0, net.stages, nullptr);
        if (right.empty()) right = outputs;
        if (std::memcmp(right.data(), outputs.data(), right.size() * sizeof(float)) != 0)
            throw splitdsl::error("bench_tenants: a tenant's answer differs from another's, though their weights and inputs are the same");
    }

    const arguments& a;
    const zoo_networks::network& zoo;
    const pipeline& net;
    zoo_networks::loaded_weights host;
    std::vector<aligned_buffer> stores{};
    std::vector<const void*> inputs{};
    std::vector<float> outputs, right{};
};

int run(const arguments& a) {
    const zoo_networks::network* const which = zoo_networks::find(a.network);
    if (which == nullptr) {
        std::string names;
        for (const auto* n : zoo_networks::all()) names += (names.empty() ? "" : ", ") + std::string{n->name};
        throw option_error("no network is called \"" + a.network + "\"; there are: " + names);
    }
    if (a.from_file && a.weights.empty()) throw option_error("--from-file: --weights FILE was expected beside it");
    timed::begin_results(a.json);
    options::require_not_read("--json", a.json, {a.weights});
    bench b{*which, a};
    nlohmann::json report{{"network", a.network}, {"instruction_set", b.code().instruction_set}, {"model_bytes", b.model_bytes()}, {"places", a.places},
                          {"requests", a.requests}, {"in_a_row", a.in_a_row}, {"threads", a.threads}, {"loads_from", a.from_file ? "file" : "memory"}, {"label", "measured"},
                          {"rows", nlohmann::json::array()}};
    std::printf("%s, %s: %.2f MB a model, room for %d, loaded from %s, %d request%s in a row, %d thread%s; measured, least of %d rounds\n", a.network.c_str(), b.code().instruction_set,
                static_cast<double>(b.model_bytes()) / 1e6, a.places, a.from_file ? "a file" : "memory", a.in_a_row, a.in_a_row > 1 ? "s" : "", a.threads, a.threads > 1 ? "s" : "", a.rounds);
    std::printf("%8s %11s %11s %13s %9s %10s %9s %10s\n", "tenants", "requests/s", "a tenant's", "processor ms", "there", "loads", "ms/load", "most MB");
    std::deque<trial> trials; // each stays where it is: its loaders count in it
    const auto all = [&] {
        for (const int n : a.tenants) b.set_up(trials.emplace_back(), n);
        for (int round = 0; round < a.rounds; ++round)
            for (trial& t : trials) b.round(t);
    };
    if (a.threads > 1) with_threads(a.threads, all);
    else all();
    for (const trial& t : trials) {
        const double rate = static_cast<double>(t.tenants) * a.requests / t.least_seconds, uses = static_cast<double>(t.counts.hits + t.counts.loads);
        const double loads = static_cast<double>(t.counts.loads) / uses, busy_ms = 1e3 * t.least_busy / t.tenants / a.requests;
        std::printf("%8d %11.1f %11.2f %13.3f %9zu %8.1f %% %9.3f %10.2f\n", t.tenants, rate, rate / t.tenants, busy_ms, t.counts.resident, 100 * loads, t.load_ms,
                    static_cast<double>(t.counts.most_bytes) / 1e6);
        report["rows"].push_back({{"tenants", t.tenants}, {"requests_per_second", rate}, {"per_tenant", rate / t.tenants}, {"processor_ms_per_request", busy_ms}, {"resident", t.counts.resident}, {"loads_per_request", loads},
                                  {"ms_per_load", t.load_ms}, {"most_bytes", t.counts.most_bytes}});
    }
    timed::write_results(a.json, std::move(report));
    return 0;
}
} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Requests a second by the number of tenants, each with a model of its own, in a cache with room for a few; measured on this machine. The tenants take\n"
                 "turns, which is the worst order for a cache that lets go of what was used least recently: beyond its places every turn loads a model.\n"
                 "Rounds of all numbers of tenants alternate."};
    app.add_option("--network", a.network, "The tenants' network, of the zoo")->capture_default_str();
    app.add_option("--tenants", a.tenants, "How many, one row each")->check(options::between(1, 1024))->expected(1, 32)->capture_default_str();
    app.add_option("--places", a.places, "Models that fit the limit")->check(options::between(1, 1024))->capture_default_str();
    app.add_option("--requests", a.requests, "Of each tenant in a round")->check(options::between(1, 100'000))->capture_default_str();
    app.add_option("--in-a-row", a.in_a_row, "Requests of a tenant before the next one's turn")->check(options::between(1, 100'000))->capture_default_str();
    app.add_option("--rounds", a.rounds, "The one that took least time counts")->check(options::between(1, 1000))->capture_default_str();
    app.add_option("--threads", a.threads, "That compute one request")->check(options::between(1, 256))->capture_default_str();
    app.add_option("--weights", a.weights, "A safetensors file; random weights without it")->option_text("FILE");
    app.add_flag("--from-file", a.from_file, "Each load reads --weights again; else weights are copied from memory");
    app.add_option("--json", a.json, "Also write the results to FILE")->option_text("FILE");
    return options::exit_status("bench_tenants", app, argc, argv, [&] { return run(a); });
}
