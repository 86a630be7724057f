// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file visual_wake.cpp
/// FLEET live: a device that wakes for what it sees, a cloud in a second process, and a radio of connection events between them.
#include "live.hpp"
#include "report_html.hpp"

#include "../drive/scenario.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>

#include <CLI/CLI.hpp>

#include <filesystem>

using namespace visual_wake;
using namespace splitdsl;

namespace {

struct arguments {
    std::vector<std::string> pictures;
    std::string labels, ble{"interval=30,packets=4"}, device{"cortex_m33_64mhz"}, profiles{"examples/profiles/devices.csv"};
    std::string weights{"examples/sim/fleet_cifar_resnet14.safetensors"}, thresholds_file, json_file, report_file, connect,
        bind{"127.0.0.1"};
    double threshold{0.8}, local_threshold{0.72}, deadline_ms{}; // calibrated for 80 % (docs/fleet.md)
    int frames{100}, serve_port{-1};
    std::uint64_t seed{1};
};

/// As it is, or below a folder above this program.
std::string locate(const std::string& path) { return drive::locate(path, std::filesystem::read_symlink("/proc/self/exe").string()); }

/// What splitdsl-sim calibrated for the two policies of this comparison.
void read_thresholds(const std::string& file, arguments& to) {
    const auto refuse = [&](const std::string& found) {
        throw option_error(
            "--thresholds " + file
            + ": expected what splitdsl-sim --json writes, with a threshold for \"fleet\" and for \"exits of fleet, top-1\", found "
            + found);
    };
    std::error_code trouble;
    if (!std::filesystem::is_regular_file(file, trouble) || std::filesystem::file_size(file, trouble) > (64U << 20))
        refuse("no such file, or one of more than 64 MiB");
    std::ifstream stream{file};
    const auto j = nlohmann::json::parse(stream, nullptr, false);
    for (const auto& [name, into] : {std::pair{"fleet", &to.threshold}, std::pair{"exits of fleet, top-1", &to.local_threshold}}) {
        const auto at = nlohmann::json::json_pointer("/policies/" + std::string{name} + "/threshold");
        if (j.is_discarded() || !j.contains(at) || !j[at].is_number()) refuse("none for \"" + std::string{name} + "\"");
        *into = j[at].get<double>();
        if (!(*into >= 0 && *into <= 1)) refuse(j[at].dump());
    }
}

radio::ble_setting radio_of(const std::string& text) {
    try {
        return radio::parse_ble(text);
    } catch (const option_error& e) { throw option_error(std::string{"--"} + e.what()); } // it begins with "ble: "
}

/// Before anything is made ready, and so that nobody else is blamed.
void require_there(const link::host_port& peer, const std::string& text) {
    std::string why = "nobody answered within 3 s";
    try {
        if (link::tcp{peer.host, peer.port}.connect(std::chrono::seconds{3})) return;
    } catch (const link_error& e) { why = e.what(); }
    throw link_error("--connect " + text + ": " + why);
}

int run(arguments a) {
    a.weights = locate(a.weights);
    if (a.serve_port >= 0) return serve(a.weights, static_cast<float>(a.threshold), static_cast<std::uint16_t>(a.serve_port), a.bind);
    if (!a.thresholds_file.empty()) read_thresholds(a.thresholds_file, a);
    live_terms terms{.frames = static_cast<std::size_t>(a.frames), .refuse_without_cloud = !a.connect.empty()};
    if (a.ble != "none") terms.radio = radio_of(a.ble);
    if (!a.connect.empty()) {
        terms.cloud = link::parse_host_port(a.connect, "--connect");
        require_there(terms.cloud, a.connect);
    }
    options::require_writable("--json", a.json_file);
    options::require_writable("--report", a.report_file);
    const device_profile device = find_device(read_device_profiles(locate(a.profiles)), a.device);
    const auto weights = load_weights<wake_network>(a.weights);

    run_record r{
        .instruction_set = weights.net().instruction_set, .weights = a.weights, .device = device.name, .peer = a.connect, .seed = a.seed};
    r.fleet = {.key = "fleet", .name = "FLEET", .threshold = a.threshold};
    r.alone = {.key = "local_early_exit", .name = "exits on the device alone", .threshold = a.local_threshold};
    if (terms.radio) {
        r.radio = to_text(*terms.radio);
        r.cap = to_text(terms.radio->cap);
        r.interval_ms = to_milliseconds(terms.radio->interval);
    }
    terms.paced = stage_times(weights.net(), device);
    duration whole{};
    for (const duration d : terms.paced) whole += d;
    // An edge promises an answer when twice the time of its stages fits.
    terms.deadline = a.deadline_ms > 0 ? from_milliseconds(a.deadline_ms) : 3 * whole + std::chrono::milliseconds{50};
    for (int k = 0; k < weights.net().stages; ++k) r.macs += weights.net().stage_macs[k];
    r.macs_per_second = device.macs_per_second.value_or(0);
    r.whole_ms = to_milliseconds(whole);
    r.deadline_ms = to_milliseconds(terms.deadline);
    if (terms.deadline < whole)
        throw option_error("--deadline " + std::to_string(a.deadline_ms) + ": at least the " + std::to_string(r.whole_ms)
                           + " ms were expected that " + device.name + " takes for the whole network");
    r.shown = a.pictures.empty() ? made_up(terms.frames, a.seed) : read_album(a.pictures, terms.frames, a.seed, a.labels);

    if (a.connect.empty()) {
        cloud_process cloud{std::filesystem::read_symlink("/proc/self/exe").string(), a.weights, static_cast<float>(a.threshold)};
        terms.cloud = {"127.0.0.1", cloud.port()};
        run_fleet(weights, terms, r);
        r.cloud = cloud.stop();
    } else {
        run_fleet(weights, terms, r);
    }
    unsplit in_one_piece{weights.net(), weights.bytes()};
    run_alone(weights, terms, in_one_piece.exits, r);
    compare(in_one_piece, a.connect.empty(), r);
    print(r);
    if (!a.json_file.empty())
        options::write("--json", a.json_file, to_json(r).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    if (!a.report_file.empty()) options::write("--report", a.report_file, report_html(r));
    return summarise(r, r.fleet).differing + summarise(r, r.alone).differing == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Classifies a stream of pictures with FLEET, live: a paced device, a cloud in a second process, connection events of "
                 "Bluetooth Low Energy between them;\n"
                 "then the same pictures with the exits on the device alone. Exit status 1: an answer differs from the network's in one "
                 "piece or a report could\n"
                 "not be written, 2: nothing was done"};
    auto* const pictures =
        app.add_option("--pictures", a.pictures, "JPEG or PNG files, folders and ZIP archives of them; without: made-up pictures")
            ->type_name("FILE_OR_FOLDER");
    app.add_option("--labels", a.labels,
                   "a csv of FILE,CLASS; without: a picture's folder is its class (0 to 9, airplane, ... truck), if it is called so")
        ->type_name("FILE")
        ->needs(pictures);
    app.add_option("--frames", a.frames, "pictures to show, drawn at random where there are more")
        ->check(options::between(1, 20'000))
        ->capture_default_str();
    app.add_option("--seed", a.seed, "of that draw, of each frame's phase in the radio's interval, and of losses")
        ->check(options::at_least(std::uint64_t{0}))
        ->capture_default_str();
    app.add_option("--ble", a.ble,
                   "the radio, as splitdsl-relay --ble takes it: phy (1M), interval (ms), packets (data packets an event), bytes, loss, "
                   "cap ...; none: as TCP brings it")
        ->capture_default_str();
    app.add_option("--device", a.device, "the edge's stages take as long as this device's")->capture_default_str();
    app.add_option("--profiles", a.profiles, "table of devices")->capture_default_str();
    app.add_option("--weights", a.weights, "of zoo::fleet_cifar_resnet<2>, from tools/train_fleet.py")->capture_default_str();
    auto* const threshold =
        app.add_option("--threshold", a.threshold, "the cloud's answer counts from this probability on; also with --serve")
            ->check(options::between(0.0, 1.0))
            ->capture_default_str();
    auto* const local = app.add_option("--local-threshold", a.local_threshold, "without the cloud: the answer of an exit on the device")
                            ->check(options::between(0.0, 1.0))
                            ->capture_default_str();
    app.add_option("--thresholds", a.thresholds_file,
                   "both out of what splitdsl-sim --json calibrated with examples/sim/cifar_recorded.toml")
        ->type_name("FILE")
        ->excludes(threshold)
        ->excludes(local);
    app.add_option("--deadline", a.deadline_ms, "milliseconds for a frame; 0: three times the device's for the whole network, and 50")
        ->check(options::between(0.0, 60'000.0))
        ->capture_default_str();
    auto* const json = app.add_option("--json", a.json_file, "write the results here")->type_name("FILE");
    auto* const report = app.add_option("--report", a.report_file, "write them as an HTML page here")->type_name("FILE");
    auto* const connect =
        app.add_option("--connect", a.connect,
                       "a cloud that runs already (--serve, with the same weights) instead of one of its own; an IPv6 address in brackets")
            ->type_name("HOST:PORT");
    auto* const serving = app.add_option("--serve", a.serve_port, "be the cloud on this port (0: any free one) until interrupted")
                              ->type_name("PORT")
                              ->check(options::between(0, 65535));
    for (auto* const other : {pictures, json, report, connect}) serving->excludes(other);
    app.add_option("--bind", a.bind, "with --serve: the address to listen on (the link is not encrypted)")
        ->transform(link::without_brackets)
        ->capture_default_str()
        ->needs(serving);
    return options::exit_status("visual_wake", app, argc, argv, [&] { return run(a); });
}
