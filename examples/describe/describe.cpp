// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file describe.cpp
/// Any network of the zoo as a table, JSON or Graphviz; what would cross behind each layer, against the input's size; and times per stage.
#include "../pictures/files.hpp"
#include "close_names.hpp"
#include "report.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <examples/zoo/networks.hpp>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

using namespace describing;
using splitdsl::option_error;

namespace {

struct arguments {
    std::string network, format{"table"}, picture, weights, json;
    int quality{75}, runs{20}, threads{1};
    std::uint64_t seed{1};
    bool list{}, time{};
    scan_terms scan{};
};

std::vector<std::string> names_compiled() {
    std::vector<std::string> names;
    for (const auto* n : zoo_networks::all()) names.emplace_back(n->name);
    return names;
}
/// Throws `option_error` with the names that are close, or tells how to get one that this build leaves out.
const zoo_networks::network& network_named(const std::string& name) {
    if (name.empty()) throw option_error("the name of a network is missing; --list prints them");
    if (const auto* found = zoo_networks::find(name)) return *found;
    std::vector<std::string> names = names_compiled();
#define SPLITDSL_NAME(name, ...) #name,
    const std::vector<std::string> more{SPLITDSL_ZOO_MORE(SPLITDSL_NAME)};
#undef SPLITDSL_NAME
    const std::string how = "configure with -DSPLITDSL_ZOO_ALL=ON";
    if (std::find(more.begin(), more.end(), name) != more.end()) throw option_error(name + ": this build leaves it out; " + how);
    for (const std::string& m : more)
        if (std::find(names.begin(), names.end(), m) == names.end()) names.push_back(m);
    std::string said;
    for (const std::string& n : close_names(name, names)) said += (said.empty() ? " Is it one of these? " : ", ") + n + (zoo_networks::find(n) ? "" : " (" + how + ")");
    throw option_error("no network is called \"" + name.substr(0, 100) + "\"; --list prints all names." + said);
}

void print_list(const std::string& json) {
    options::require_writable("--json", json);
    auto all = nlohmann::ordered_json::array();
    for (const auto* n : zoo_networks::all()) {
        const splitdsl::graph::description d = n->description();
        std::string inputs;
        for (const splitdsl::tensor_info& t : n->pipeline().inputs) inputs += (inputs.empty() ? "" : ", ") + std::string(t.name) + " " + writing::shape_text({t.channels, t.height, t.width});
        std::printf("%-28s %10.1f million MACs %8.2f million parameters %3d cuts  %s\n", n->name, static_cast<double>(d.total_macs) / 1e6, static_cast<double>(d.total_parameters) / 1e6,
                    d.cuts->count, inputs.c_str());
        all.push_back({{"network", n->name}, {"macs", d.total_macs}, {"parameters", d.total_parameters}, {"cuts", d.cuts->count}, {"inputs", inputs}});
    }
    if (!json.empty()) pictures::write_json(json, all);
}

void run(const arguments& a) {
    if (a.list) return print_list(a.json);
    const zoo_networks::network& which = network_named(a.network);
    if (!a.weights.empty() && !a.time) throw option_error("--weights " + a.weights + " is for --time; nothing else depends on weights");
    options::require_writable("--json", a.json);
    options::require_not_read("--json", a.json, {a.weights, a.picture});
    report r{.which = &which, .graph = which.description()};
    r.layers = layers_of(r.graph);
    r.input = sizes_of_input(which, a.picture, a.quality);
    const splitdsl::pipeline& net = which.pipeline();
    if (a.time) {
        const zoo_networks::loaded_weights weights = a.weights.empty() ? which.seeded(a.seed) : which.load(a.weights);
        r.measured = measure(net, weights.packed, a.weights.empty() ? "random weights of seed " + std::to_string(a.seed) : "weights of " + a.weights, a.runs, a.threads);
    }
    r.stages = sums_of(net, r.layers, r.measured ? &*r.measured : nullptr);
    if (a.scan.mbps > 0) {
        scan_terms t = a.scan;
        t.edge_measured = t.edge_ms == 0;
        if (t.edge_measured && !r.measured) throw option_error("--scan: expected what the whole network takes on the device, found neither --edge-ms nor --time, which measures it here");
        if (t.edge_measured) t.edge_ms = splitdsl::to_milliseconds(r.measured->whole.median);
        r.scan = scan_of(r.graph, r.layers, r.input.raw, t, r.measured ? &*r.measured : nullptr);
    }

    if (!a.json.empty()) pictures::write_json(a.json, json_of(r));
    const std::string text = a.format == "json" ? splitdsl::graph::writing::json(r.graph)
                           : a.format == "dot"  ? splitdsl::graph::writing::dot(r.graph)
                                                : splitdsl::graph::writing::table(r.graph) + split_table(r) + (r.scan ? scan_text(*r.scan) : "") + stages_text(r);
    std::fputs(text.c_str(), stdout);
    if (a.format != "table" && a.time) std::fputs(stages_text(r).c_str(), stderr); // standard output stays what other programs read
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"A network of the zoo as text: layers, MACs, parameters, what crosses behind each layer against the size of the input, time per stage"};
    app.add_option("network", a.network, "its name (see --list)")->type_name("NETWORK");
    app.add_option("--format", a.format, "table (with the split report), or the graph alone as JSON or Graphviz")->check(CLI::IsMember({"table", "json", "dot"}))->capture_default_str();
    auto* const picture = app.add_option("--picture", a.picture, "a JPEG or PNG file, resized to the network's input: its sizes as PNG and as JPEG to compare with")->type_name("FILE");
    app.add_option("--quality", a.quality, "of that JPEG")->check(options::between(1, 100))->capture_default_str()->needs(picture);
    auto* const time = app.add_flag("--time", a.time, "measure each stage on this machine");
    app.add_option("--runs", a.runs, "how many runs to measure")->check(options::between(1, 100'000))->capture_default_str()->needs(time);
    app.add_option("--threads", a.threads, "threads to measure with")->check(options::between(1, 256))->capture_default_str()->needs(time);
    auto* const weights = app.add_option("--weights", a.weights, "a safetensors file to measure with, instead of random weights")->type_name("FILE");
    auto* const seed = app.add_option("--seed", a.seed, "of the random weights")->check(options::at_least(std::uint64_t{0}))->capture_default_str()->needs(time);
    seed->excludes(weights);
    auto* const scan = app.add_option("--scan", a.scan.mbps, "where to split by time at this uplink")->type_name("MBPS")->check(options::between(1e-3, 1e6));
    auto* const cloud = app.add_option("--cloud-ms", a.scan.cloud_ms, "what the whole network takes in the cloud")->check(options::between(0.0, 1e6))->needs(scan);
    scan->needs(cloud);
    app.add_option("--edge-ms", a.scan.edge_ms, "what it takes on the device; without it --time measures that here")->check(options::between(1e-3, 1e6))->needs(scan);
    app.add_option("--rtt", a.scan.rtt_ms, "round trip of that link in ms")->check(options::between(0.0, 1e6))->capture_default_str()->needs(scan);
    app.add_option("--deadline", a.scan.deadline_ms, "in ms; what is later is marked")->check(options::between(1e-3, 1e6))->capture_default_str()->needs(scan);
    app.add_option("--json", a.json, "write everything here as one JSON document")->type_name("FILE");
    app.add_flag("--list", a.list, "print the networks and exit");
    return options::exit_status("splitdsl-describe", app, argc, argv, [&] {
        run(a);
        return 0;
    });
}
