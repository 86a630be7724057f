// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file drive.cpp
/// The main job: a split driving network over a bad link, under three policies, that always answers in time.
#include "report_html.hpp"
#include "report_json.hpp"
#include "simulated.hpp"
#include "table.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/plan.hpp>
#include <splitdsl/runtime/self_test.hpp>
#include <splitdsl/runtime/stage_table.hpp>

#include <CLI/CLI.hpp>
#include <sys/utsname.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace {

using namespace drive;
using namespace splitdsl;

constexpr int few_frames = 300;

struct arguments {
    std::string scenario_file, trace_file, out{"out/demo"}, json_file, frames_file;
    std::vector<std::string> wanted{"all_edge", "all_cloud", "sage"};
    std::vector<std::uint64_t> seeds;
    std::uint64_t seed{1};
    int frames{600};
    int real_time{};
    int serve_port{-1};
    std::string bind{"127.0.0.1"};
    bool simulate{}, no_road{}, self_test{}, profile{};
};

host_record describe_host(const pipeline& net) {
    host_record h;
    utsname u{};
    ::uname(&u);
    h.machine = u.machine;
    h.system = std::string(u.sysname) + " " + u.release;
    h.cores = std::thread::hardware_concurrency();
    std::ifstream cpu("/proc/cpuinfo");
    for (std::string line; std::getline(cpu, line);)
        if (line.starts_with("model name")) {
            h.cpu = line.substr(line.find(':') + 2);
            break;
        }
#if defined(__clang__)
    h.compiler = "clang " __clang_version__;
#else
    h.compiler = "g++ " __VERSION__;
#endif
    h.instruction_set = net.instruction_set;
    return h;
}

pipeline_record describe_pipeline(const drive_plan& plan, const pipeline& net) {
    pipeline_record p;
    p.network = net.network;
    p.input = "camera 3 × 88 × 200, u8";
    p.input_bytes = net.inputs[0].bytes;
    constexpr shape cut = cut_shape<driver>("uplink"), out = output_shape<driver>();
    const auto size = [](shape s) { return std::to_string(s.channels) + " × " + std::to_string(s.height) + " × " + std::to_string(s.width); };
    for (int k = 0; k < net.stages; ++k) {
        const auto i = static_cast<std::size_t>(k);
        p.stages.push_back({k == 0 ? "head + bottleneck" : "tail", k == 0 ? "car" : "cloud", k == 0 ? "head" : "tail", k == 0 ? size(cut) : std::to_string(out.channels) + " controls", net.stage_macs[k],
                            k == 0 ? net.cuts[0].payload_bytes : 0, to_milliseconds(plan.stage_times[i]), to_milliseconds(plan.cloud_stages[i])});
    }
    return p;
}

std::string today() {
    const std::time_t now = std::time(nullptr);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
    return text;
}

/// Mean size of the first pictures as all_cloud sends them.
std::size_t mean_input_bytes(const scenario& s, std::uint64_t seed) {
    picture_codec codec{s.jpeg_quality};
    std::vector<std::byte> room(picture_codec::largest() + 16);
    car c{seed};
    std::size_t sum = 0;
    for (int i = 0; i < 10; ++i) {
        const auto in = c.inputs();
        sum += encode_whole_input(codec, in, room);
        const std::array<float, 3> straight{0, 0.4F, 0};
        c.act(straight);
        c.look();
    }
    return sum / 10;
}

drive_record run(const arguments& o, const scenario& terms, const network_weights<driver>& weights, std::uint64_t seed, const std::string& command) {
    drive_plan plan;
    plan.terms = terms;
    plan.program = std::filesystem::read_symlink("/proc/self/exe").string();
    plan.seed = seed;
    plan.frames = o.frames;
    plan.real_time = o.real_time;
    link::lte_drive look = terms.lte;
    // The longest drive there is takes the longest trace there is; one that is used up begins anew.
    look.length = std::clamp<duration>(from_seconds(plan.length_s() + 5), std::chrono::seconds{60}, look.step * static_cast<std::int64_t>(link::link_trace::max_rows));
    plan.trace = o.trace_file.empty() ? link::generate(look, seed) : link::link_trace::load(o.trace_file);
    plan.device = find_device(read_device_profiles(terms.profiles), terms.device);
    plan.stage_times = stage_times(weights.net(), plan.device);
    plan.cloud_stages = o.simulate ? stage_times(weights.net(), {.name = "cloud", .macs_per_second = terms.cloud_gmacs * 1e9}) : measure_stages(weights.net(), weights.bytes(), 20, default_runner());
    plan.jpeg_bytes = mean_input_bytes(terms, seed);
    plan.costs = plan_deployment(weights.net(), plan.device, plan.cloud_stages, {.deadline = terms.deadline, .radio = terms.radio, .idle = terms.idle, .input_bytes = plan.jpeg_bytes});

    drive_record d;
    d.host = describe_host(weights.net());
    d.command = command;
    d.date = today();
    d.seed = seed;
    d.trace = o.trace_file.empty() ? "generated LTE drive (log-normal, mean " + std::to_string(to_megabits_per_second(look.mean)).substr(0, 4) + " Mbps)" : std::filesystem::path(o.trace_file).filename().string();
    d.fingerprint = fingerprint<driver>;
    d.simulated = o.simulate;
    d.scope = terms.idle;
    d.scenario.file = std::filesystem::path(terms.file).filename().string();
    d.scenario.device = plan.device.name;
    d.scenario.device_gmacs_per_s = *plan.device.macs_per_second / 1e9;
    d.scenario.active_w = plan.device.active_watts->value;
    d.scenario.idle_w = plan.device.idle_power().value;
    d.scenario.radio = terms.radio_name;
    d.scenario.rtt_ms = to_milliseconds(terms.rtt);
    d.scenario.deadline_ms = to_milliseconds(terms.deadline);
    d.scenario.reserve_ms = 2 * to_milliseconds(plan.costs.cut[0].edge_tail);
    d.scenario.jpeg_quality = picture_codec::available ? terms.jpeg_quality : 0;
    d.scenario.blackouts = plan.blackouts();
    for (const interval& i : plan.dead_times()) d.scenario.kills_s.push_back(i.begin_s);
    d.scenario.notes = {"all_cloud sends the picture as JPEG, " + std::to_string(plan.jpeg_bytes) + " bytes on average, and has no fallback: it may miss",
                        "stages on the car are paced to the device profile; rolled-back frames are charged in full; probes are charged to the radio",
                        o.simulate ? "cloud stage times are modelled: " + std::to_string(static_cast<int>(terms.cloud_gmacs)) + " GMAC/s" : "cloud stage times are measured on this machine"};
    d.pipeline = describe_pipeline(plan, weights.net());

    const policy::sage sage{plan.costs};
    const auto no_threshold = [](const link_view&) { return unknown; };
    const auto sage_threshold = [&sage](const link_view& l) {
        const policy::rate_threshold t = sage.threshold(l);
        return t.feasible && t.r_th.value > 0 ? to_kilobits_per_second(t.r_th) : unknown;
    };
    const auto wants = [&](const char* name) { return std::find(o.wanted.begin(), o.wanted.end(), name) != o.wanted.end(); };
    const auto drive_one = [&](const char* name, auto policy, const std::function<double(const link_view&)>& threshold) {
        if (!wants(name)) return;
        d.policies.push_back(o.simulate ? drive_simulated(name, plan, weights, policy, threshold, !o.no_road)
                                        : drive_live(name, plan, weights, policy, threshold));
    };
    drive_one("all_edge", policy::all_edge{}, no_threshold);
    drive_one("all_cloud", policy::all_cloud{}, no_threshold);
    drive_one("sage", sage, sage_threshold);
    return d;
}

/// Energy of sage below all_edge, in percent, under one idle scope.
double saving(const drive_record& d, idle_scope scope) {
    const policy_record *edge = d.find("all_edge"), *sage = d.find("sage");
    if (!edge || !sage) return unknown;
    return 100 * (1 - summarise(*sage).energy_j[scope].total() / summarise(*edge).energy_j[scope].total());
}

/// A drive takes minutes: whether its report can be written is asked before.
void check_writable(const std::string& folder) {
    options::require_folder("--out", folder);
    std::error_code trouble;
    if (std::filesystem::is_directory(folder, trouble)) options::require_writable("--out", folder + "/report.html");
}

/// A drive has up to three results, each in a file of its own.
void check_results(const arguments& o) {
    const bool report = o.seeds.empty();
    options::require_different("--json", o.json_file, "--frames-csv", o.frames_file);
    if (report) {
        const std::string page = o.out + "/report.html", data = o.json_file.empty() ? o.out + "/report.json" : "";
        options::require_different("--json", o.json_file, "--out", page);
        options::require_different("--frames-csv", o.frames_file, "--out", page);
        options::require_different("--frames-csv", o.frames_file, "--out", data);
        check_writable(o.out);
    }
    namespace fs = std::filesystem;
    std::error_code trouble;
    const bool makes_folder = report && !fs::exists(o.out, trouble); // where a file beside the report will stand
    const fs::path folder = fs::weakly_canonical(fs::path{o.out} / "report.html", trouble).parent_path();
    for (const auto& [option, path] : {std::pair{"--json", o.json_file}, std::pair{"--frames-csv", o.frames_file}}) {
        if (!makes_folder || fs::weakly_canonical(path, trouble).parent_path() != folder) options::require_writable(option, path);
        options::require_not_read(option, path, {o.trace_file, o.scenario_file});
    }
}

/// One line a frame, for plots of one's own.
std::string frames_csv(const drive_record& d) {
    std::string s = "policy,time_s,source,latency_ms,rate_kbps,estimate_kbps,threshold_kbps,energy_j,lane_deviation_m,miss,blackout,x_m,y_m\n";
    char line[320];
    for (const policy_record& p : d.policies)
        for (const drive::frame_record& f : p.frames) {
            std::snprintf(line, sizeof line, "%s,%.1f,%s,%.3f,%.0f,%.0f,%.0f,%.6f,%.3f,%d,%d,%.2f,%.2f\n", p.name.c_str(), f.time_s, std::string(to_text(f.source)).c_str(), f.latency_ms,
                          f.rate_kbps, f.estimate_kbps, f.threshold_kbps, f.energy_j[d.scope].total(), f.lane_deviation_m, f.miss ? 1 : 0, f.blackout ? 1 : 0, f.x_m, f.y_m);
            s += line;
        }
    return s;
}

void say_if_short(const arguments& o) {
    if (o.frames < few_frames) std::printf("note: below %d frames a policy, energy is dominated by the start: no estimate of the link yet, few blackouts\n", few_frames);
}

int main_of(const arguments& o, const std::string& command) {
    const scenario terms = read_scenario(o.scenario_file);
    if (o.serve_port >= 0) return serve(terms, static_cast<std::uint16_t>(o.serve_port), o.bind);
    const safetensors file = read_safetensors(terms.weights);
    const network_weights<driver> weights{match_weights<driver>(file, terms.weights)};
    if (o.self_test) {
        const self_test_result r = run_self_test(file, weights);
        std::printf("%s: %s, largest difference from PyTorch %.2e of the range (at most 1e-2 behind an 8-bit bottleneck), %s\n", terms.weights.c_str(),
                    r.present ? "self-test found" : "no self-test", r.error, weights.net().instruction_set);
        return r.present && r.error <= 1e-2 ? 0 : 1;
    }
    if (o.profile) {
        const device_profile device = find_device(read_device_profiles(terms.profiles), terms.device);
        std::cout << stage_table(weights.net(), measure_stages(weights.net(), weights.bytes(), 50), "measured here")
                  << stage_table(weights.net(), stage_times(weights.net(), device), ("modelled, device " + device.name).c_str());
        return 0;
    }
    if (o.seeds.empty()) {
        if (!o.simulate) {
            const double each = frame_seconds * o.frames;
            std::printf("policies to drive: %zu, in real time, %.0f s each (%d frames): %.0f s in all\n", o.wanted.size(), each, o.frames, each * static_cast<double>(o.wanted.size()));
            std::fflush(stdout);
        }
        const drive_record d = run(o, terms, weights, o.seed, command);
        std::cout << summary_table(d);
        if (d.find("all_edge") && d.find("sage"))
            std::printf("energy of sage below all_edge (%s): %.1f %% with idle = transmit and wait, %.1f %% with idle = wait only\n", o.simulate ? "simulated" : "modelled",
                    saving(d, idle_scope::transmit_and_wait), saving(d, idle_scope::wait));
        say_if_short(o);
        options::make_folder("--out", o.out);
        options::write(o.json_file.empty() ? "--out" : "--json", o.json_file.empty() ? o.out + "/report.json" : o.json_file, report_json_text(d));
        options::write("--out", o.out + "/report.html", report_html(d));
        if (!o.frames_file.empty()) options::write("--frames-csv", o.frames_file, frames_csv(d));
        std::cout << "report: " << o.out << "/report.html and " << (o.json_file.empty() ? o.out + "/report.json" : o.json_file) << "\n";
        return 0;
    }
    std::vector<double> savings;
    nlohmann::json list = nlohmann::json::array();
    for (const std::uint64_t seed : o.seeds) {
        const drive_record d = run(o, terms, weights, seed, command);
        const policy_summary s = summarise(*d.find("sage"));
        savings.push_back(saving(d, idle_scope::transmit_and_wait));
        std::printf("seed %3llu: energy saved %5.1f %% (wait only %5.1f %%), cloud share outside blackouts %5.1f %%, fallbacks %zu, misses %zu\n", static_cast<unsigned long long>(seed), savings.back(),
                    saving(d, idle_scope::wait), 100 * s.cloud_share(), s.count(frame_source::fallback), s.misses);
        list.push_back({{"seed", seed}, {"saving_percent", savings.back()}, {"saving_percent_wait", saving(d, idle_scope::wait)}, {"cloud_share", s.cloud_share()}, {"misses", s.misses}});
    }
    std::sort(savings.begin(), savings.end());
    say_if_short(o);
    std::printf("simulated, %zu seeds: median %.1f %%, worst %.1f %%\n", savings.size(), quantile(savings, 0.5), savings.front());
    if (!o.json_file.empty()) options::write("--json", o.json_file, nlohmann::json{{"label", "simulated"}, {"median", quantile(savings, 0.5)}, {"worst", savings.front()}, {"seeds", list}}.dump(2) + "\n");
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    arguments o;
    CLI::App app{"Drives a car with a split network: head on the car, tail in a second process, a bad link between them.\n"
                 "Compares the policies all_edge, all_cloud (JPEG) and sage on the same drive."};
    app.add_option("--scenario", o.scenario_file, "terms of the drive")->default_val("examples/drive/scenario.json");
    app.add_option("--frames", o.frames, "frames a policy drives, at 10 Hz")->check(options::between(10, 1'000'000))->capture_default_str();
    auto* const seed = app.add_option("--seed", o.seed, "of road and generated trace")->check(options::at_least(std::uint64_t{0}))->capture_default_str();
    auto* const seeds = app.add_option("--seeds", o.seeds, "simulate several seeds and print the energy saved by each (needs --simulate)")->check(options::at_least(std::uint64_t{0}))->excludes(seed);
    app.add_option("--trace", o.trace_file, "replay this link trace (csv: time_s,up_kbps) instead of generating one");
    app.add_option("--policies", o.wanted, "which to drive, comma-separated")->delimiter(',')->check(CLI::IsMember({"all_edge", "all_cloud", "sage"}))->capture_default_str();
    app.add_option("--out", o.out, "folder of report.html and report.json")->capture_default_str();
    auto* const json = app.add_option("--json", o.json_file, "write the report's JSON to this file instead");
    auto* const csv = app.add_option("--frames-csv", o.frames_file, "write one line a frame to this file")->excludes(seeds);
    auto* const simulate = app.add_flag("--simulate", o.simulate, "virtual time: no processes, no sockets, no waiting");
    seeds->needs(simulate);
    app.add_option("--real-time", o.real_time, "SCHED_FIFO priority of the edge's threads in a live drive, 1 to 99, if the system grants it; 0: none")->check(options::between(0, 99))->capture_default_str()->excludes(simulate);
    app.add_flag("--no-road", o.no_road, "with --simulate: times and energy only")->needs(simulate);
    auto* const profile = app.add_flag("--profile", o.profile, "print the share of each stage (SAGE table 1) and stop");
    auto* const self_test = app.add_flag("--self-test", o.self_test, "load the weights, compare with what PyTorch gave for the input they carry, and stop");
    auto* const serving = app.add_option("--serve", o.serve_port, "be the cloud on this port (0: any) until interrupted")->check(options::between(0, 65535));
    app.add_option("--bind", o.bind, "with --serve: the address to listen on (0.0.0.0: every interface; the link is not encrypted)")->transform(link::without_brackets)->capture_default_str()->needs(serving);
    for (const char* const of_drives : {"--frames", "--seed", "--trace", "--policies", "--out", "--real-time"}) serving->excludes(app.get_option(of_drives)); // a cloud drives nothing
    for (auto* const alone : {serving, profile, self_test})
        for (auto* const other : {json, csv, simulate, seeds, serving, profile, self_test})
            if (alone != other) alone->excludes(other);
    std::string command = "drive";
    for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
    return options::exit_status("drive", app, argc, argv, [&] {
        for (const char* needed : {"all_edge", "sage"})
            if (!o.seeds.empty() && std::find(o.wanted.begin(), o.wanted.end(), needed) == o.wanted.end()) throw option_error("--seeds compares all_edge and sage: --policies must have both");
        for (const std::string& policy : o.wanted)
            if (std::count(o.wanted.begin(), o.wanted.end(), policy) > 1) throw option_error("--policies: expected each policy once, found " + policy + " twice");
        o.scenario_file = locate(o.scenario_file, std::filesystem::read_symlink("/proc/self/exe").string());
        if (o.serve_port < 0 && !o.self_test && !o.profile) check_results(o);
        return main_of(o, command);
    });
}
