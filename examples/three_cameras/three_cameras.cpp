// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file three_cameras.cpp
/// Three cameras, three heads side by side, one payload group, one deadline: edge and cloud as two processes, a bad link between them.
#include "record.hpp"
#include "street.hpp"

#include "../drive/scenario.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/radio/cellular.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/plan.hpp>

#include <CLI/CLI.hpp>

#include <cstring>
#include <filesystem>
#include <thread>

using namespace three_cameras;
using namespace splitdsl;

namespace {

struct arguments {
    std::string json_file, connect, bind{"127.0.0.1"}, profiles{"examples/profiles/devices.csv"}, device{"nano"}, radio_name{"lte"};
    std::uint64_t seed{1};
    int serve_port{-1}, frames{200};
    double deadline_ms{100}, rate_mbps{10}, rtt_ms{10}, blackout_s{4}, cloud_gmacs{};
    bool serial{};
};

/// The first stage's fastest runs, taken by turns (what else runs on the machine only ever adds): on one thread, and with the build's threads.
void time_heads(const network_weights<driver>& weights, run_record& to) {
    const pipeline& net = weights.net();
    const street view{to.seed};
    const auto spans = view.inputs();
    std::array<const void*, 5> inputs{};
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = spans[i].data();
    const aligned_buffer arena{net.arena_bytes};
    std::vector<float> outputs(net.output_floats);
    std::array<duration, 2> fastest{duration::max(), duration::max()};
    for (int run = 0; run < 200; ++run)
        for (const bool parallel : {false, true}) {
            const frame_memory memory{arena.data(), weights.bytes().data(), inputs.data(), outputs.data(), parallel ? default_runner() : nullptr};
            const auto begun = std::chrono::steady_clock::now();
            net.run(memory, 0, 1, nullptr);
            fastest[parallel] = std::min<duration>(fastest[parallel], std::chrono::steady_clock::now() - begun);
        }
    to.alone = fastest[0];
    to.beside = fastest[1];
}

/// The same pictures again, the whole network on this thread alone: what every own answer has to be, bit for bit.
void compare(const network_weights<driver>& weights, run_record& r) {
    const pipeline& net = weights.net();
    const aligned_buffer arena{net.arena_bytes};
    std::vector<float> outputs(net.output_floats);
    street view{r.seed};
    for (frame_record& f : r.frames) {
        const auto spans = view.inputs();
        std::array<const void*, 5> inputs{};
        for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = spans[i].data();
        if (is_own(f.a.source)) {
            net.run({arena.data(), weights.bytes().data(), inputs.data(), outputs.data(), nullptr}, 0, net.stages, nullptr);
            f.differs = std::memcmp(outputs.data(), f.control.data(), sizeof f.control) != 0;
            ++r.compared;
        }
        view.drive_on();
    }
}

void drive_live(const arguments& a, const network_weights<driver>& weights, const std::string& host, std::uint16_t port, run_record& r) {
    const duration period = from_milliseconds(a.deadline_ms), length = a.frames * period, black = from_seconds(a.blackout_s);
    if (black >= length - 10 * period) {
        char said[160];
        std::snprintf(said, sizeof said, "--frames %d of %.10g ms are a drive of %.10g s: one at least ten frames longer than --blackout %.10g s was expected", a.frames, a.deadline_ms,
                      to_seconds(length), a.blackout_s);
        throw option_error(said);
    }
    r.black_from = (length - black) / 2;
    r.black_until = r.black_from + black;
    const link::impairment way{.rate = megabits_per_second(a.rate_mbps), .delay = from_milliseconds(a.rtt_ms / 2)};
    std::vector<link::fault> faults;
    if (black.count() > 0) faults.push_back({link::fault_kind::stall, r.black_from, r.black_until, 0, link::direction::both});
    link::relay relay{{.host = host, .port = port, .up = way, .down = way, .faults = faults, .start_on_first_connection = false}};

    // The policy weighs this device's energy, so the edge keeps this device's time: stages that are done sooner wait.
    const device_profile device = find_device(read_device_profiles(drive::locate(a.profiles, std::filesystem::read_symlink("/proc/self/exe").string())), a.device);
    const std::vector<duration> paced = stage_times(weights.net(), device);
    const std::vector<duration> cloud_stages = a.cloud_gmacs > 0 ? stage_times(weights.net(), {.name = "cloud", .macs_per_second = a.cloud_gmacs * 1e9})
                                                                 : measure_stages(weights.net(), weights.bytes(), 20, default_runner());
    const auto* radio = radio::find(a.radio_name);
    if (!radio) throw option_error("--radio " + a.radio_name + ": a name from include/splitdsl/radio/cellular.hpp was expected");
    const deployment costs = plan_deployment(weights.net(), device, cloud_stages, {.deadline = period, .radio = radio->power});
    edge_options options;
    options.deadline = period;
    options.stage_times = paced;
    options.link.probe_interval = std::chrono::milliseconds{300}; // a policy that stays local sees the link come back
    options.workers = a.serial ? nullptr : &head_clock::runner;
    edge<driver, policy::sage> edge{weights, policy::sage{costs}, options, std::make_unique<link::tcp>("127.0.0.1", relay.port())};
    if (const edge_report e = edge.report(); !e.fits)
        std::fprintf(stderr, "three_cameras: frames are not covered: heads and a reserve of %.1f ms do not fit into %.0f ms; a longer --deadline or a less busy machine was expected%s\n", to_milliseconds(e.reserve), to_milliseconds(e.deadline),
                     e.tail_fits ? "" : "; no local tail can be in time, only the cloud's answer");
    street view{a.seed};
    for (int i = 0; i < 500 && (!edge.link_now().up || edge.link_now().rate_up.value <= 0); ++i) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    if (!edge.link_now().up) {
        const std::string why = "no cloud within 5 s: " + edge.link_failure();
        if (!a.connect.empty()) throw link_error(why); // who names a cloud does not want the drive without it
        std::fprintf(stderr, "three_cameras: %s; the drive goes on without it\n", why.c_str());
    }
    constexpr duration margin = std::chrono::milliseconds{5};
    relay.start_clock();
    const auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < a.frames; ++k) {
        std::this_thread::sleep_until(start + k * period);
        frame_record f;
        head_clock::arm();
        f.at = std::chrono::steady_clock::now() - start;
        f.a = edge.infer(view.inputs(), f.control);
        f.a.values = {};
        f.heads = a.serial ? head_times{} : head_clock::read();
        // The relay's clock is some microseconds older than `start`, and its threads need their time.
        f.dark = f.at >= r.black_from + margin && f.at + f.a.timings.total <= r.black_until - margin;
        r.frames.push_back(f);
        view.drive_on();
    }
    // What the compute thread counts of a frame follows its answer.
    const auto settled = [&] { return edge.counters().frame.frames + edge.counters().frame.skipped >= static_cast<std::uint64_t>(a.frames); };
    for (int i = 0; i < 1000 && !settled(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    r.edge = edge.report();
    r.latency = edge.distributions().latency;
}

int run(const arguments& a) {
    if (a.serve_port >= 0) return serve(a.seed, static_cast<std::uint16_t>(a.serve_port), a.bind);
    options::require_writable("--json", a.json_file);
    const auto weights = seeded_weights<driver>(a.seed);
    run_record r;
    r.instruction_set = weights.net().instruction_set;
    r.seed = a.seed;
    r.one_after_another = a.serial;
    r.threads = default_runner() ? std::thread::hardware_concurrency() : 1;
    time_heads(weights, r);
    if (a.connect.empty()) {
        cloud_process cloud{std::filesystem::read_symlink("/proc/self/exe").string(), a.seed};
        drive_live(a, weights, "127.0.0.1", cloud.port(), r);
        r.cloud = cloud.stop();
        if (!r.cloud) std::fprintf(stderr, "three_cameras: the cloud's process ended before it was told to: what it counted is not known\n");
    } else {
        const link::host_port peer = link::parse_host_port(a.connect, "--connect");
        drive_live(a, weights, peer.host, peer.port, r);
    }
    compare(weights, r);
    print(r);
    if (!a.json_file.empty()) options::write("--json", a.json_file, to_json(r).dump(1) + "\n");
    return r.differing() == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Drives past three cameras with SAGE's CarlaNet: three heads side by side, their bottlenecks in one request, the tail in a second process.\n"
                 "The weights are random and what is answered means nothing; times, counts and bytes do. Exit status 1: an answer differs from the\n"
                 "network's in one piece or the report could not be written, 2: nothing was done (nor with --connect and no cloud there that fits)"};
    app.add_option("--deadline", a.deadline_ms, "milliseconds for a frame, and from one to the next")->check(options::between(10.0, 10000.0))->capture_default_str();
    app.add_option("--frames", a.frames, "frames to drive")->check(options::between(20, 1'000'000))->capture_default_str();
    app.add_option("--seed", a.seed, "of road and weights; both sides need the same")->check(options::at_least(std::uint64_t{0}))->capture_default_str();
    app.add_option("--rate", a.rate_mbps, "Mbps of the link, up and down")->check(options::between(0.01, 100000.0))->capture_default_str();
    app.add_option("--rtt", a.rtt_ms, "milliseconds the link adds to a round trip")->check(options::between(0.0, 10000.0))->capture_default_str();
    app.add_option("--blackout", a.blackout_s, "seconds in the middle of the drive in which nothing gets through; 0: none")->check(options::between(0.0, 100000.0))->capture_default_str();
    app.add_option("--device", a.device, "the edge's stages take at least as long as this device's; its power is what the policy weighs")->capture_default_str();
    app.add_option("--radio", a.radio_name, "whose energy the policy weighs: 3g, lte, wifi, ...")->capture_default_str();
    app.add_option("--cloud-gmacs", a.cloud_gmacs, "speed of the cloud that the policy plans with, 10^9 multiplications a second; 0: as measured here")->check(options::between(0.0, 1e9))->capture_default_str();
    app.add_option("--profiles", a.profiles, "table of devices")->capture_default_str();
    app.add_flag("--serial", a.serial, "one thread for the edge: the heads run one after another");
    auto* const json = app.add_option("--json", a.json_file, "write the report here")->type_name("FILE");
    auto* const connect = app.add_option("--connect", a.connect, "a cloud that runs already (--serve, with the same seed) instead of one of its own; an IPv6 address in brackets")->type_name("HOST:PORT");
    auto* const serving = app.add_option("--serve", a.serve_port, "be the cloud on this port (0: any free one) until interrupted")->type_name("PORT")->check(options::between(0, 65535))->excludes(json)->excludes(connect);
    for (const char* const of_drives : {"--deadline", "--frames", "--rate", "--rtt", "--blackout", "--device", "--radio", "--cloud-gmacs", "--profiles", "--serial"})
        serving->excludes(app.get_option(of_drives)); // a cloud drives nothing
    app.add_option("--bind", a.bind, "with --serve: the address to listen on (the link is not encrypted)")->transform(link::without_brackets)->capture_default_str()->needs(serving);
    return options::exit_status("three_cameras", app, argc, argv, [&] { return run(a); });
}
