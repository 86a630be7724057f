// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file visual_wake.cpp
/// FLEET live: a device that wakes for what it sees, a cloud in a second process, and a radio of connection events between them.
#include "rehearsal.hpp"
#include "report_html.hpp"

#include "../drive/scenario.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/detail/ordinary_file.hpp>

#include <CLI/CLI.hpp>

#include <filesystem>

using namespace visual_wake;
using namespace splitdsl;
using visual_wake::compare;

namespace {

struct arguments {
    std::vector<std::string> pictures;
    std::string labels, ble{"interval=30,packets=4"}, device{"cortex_m33_64mhz"}, profiles{"examples/profiles/devices.csv"};
    std::array<std::string, networks.size()> weights{"examples/sim/fleet_cifar_resnet14.safetensors", "out/fleet/fleet_cifar_resnet14_wide.safetensors",
                                                     "out/fleet/clio_cifar_resnet14.safetensors"};
    std::string thresholds_file, json_file, report_file, connect, bind{"127.0.0.1"}, network{"narrow"};
    std::vector<std::string> policies;
    bool compare{};
    int calibrate{};
    double accuracy{0.8}, gap_ms{4}, pace_ms{};
    std::array<std::int64_t, 2> events{};
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
    const auto no_deeper = [](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) { return depth < 16; }; // of brackets alone a document takes 70 times its size
    const auto j = nlohmann::json::parse(splitdsl::detail::read_ordinary_file<std::string>(file, 16U << 20, refuse), no_deeper, false);
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

/// The policies that are asked for, with thresholds from the options where they have some of their own.
std::vector<contestant> contestants(const arguments& a) {
    std::vector<contestant> list;
    for (const std::string& key : a.policies) {
        const policy_choice* const what = find_policy(key);
        if (what == nullptr) {
            std::string known;
            for (const policy_choice& p : policy_choices) known += (known.empty() ? "" : ", ") + std::string{p.key};
            throw option_error("--policy " + key + ": expected one of " + known);
        }
        for (const contestant& c : list)
            if (c.what == what) throw option_error("--policy " + key + ": expected each policy once, found it twice");
        if (what->kind == kind_of_policy::by_benefit && a.calibrate == 0)
            throw option_error("--policy " + key + ": expected --calibrate beside it, for it learns its thresholds");
        if (what->encoding >= 0 && what->encoding != raw_encoding && !imaging::has_jpeg)
            throw option_error("--policy " + key + ": expected a build with libjpeg-turbo");
        const bool exits = !what->sends();
        contestant c{.what = what, .key = key, .name = what->name, .threshold = has_threshold(what->kind) ? (exits ? a.local_threshold : a.threshold) : std::nan("")};
        c.cloud_threshold = what->kind == kind_of_policy::fleet ? a.threshold : 0;
        list.push_back(std::move(c));
    }
    return list;
}

/// Pictures that thresholds are chosen on: others than those shown.
album set_aside(album& shown, std::size_t frames, int count, const std::string& option) {
    album rest{.origin = shown.origin, .made_up = shown.made_up, .found = shown.found};
    if (shown.stills.size() < frames + static_cast<std::size_t>(count))
        throw option_error(option + " " + std::to_string(count) + ": expected that many pictures beside the " + std::to_string(frames) + " to show, found "
                           + std::to_string(shown.stills.size()) + " in all");
    rest.stills.assign(std::make_move_iterator(shown.stills.begin() + static_cast<std::ptrdiff_t>(frames)), std::make_move_iterator(shown.stills.end()));
    shown.stills.resize(frames);
    if (!shown.made_up && rest.labelled() < rest.stills.size()) throw option_error(option + ": expected pictures with labels, found some without");
    return rest;
}

int run(arguments a) {
    for (std::string& file : a.weights) file = locate(file);
    if (a.serve_port >= 0) {
        std::size_t net = 0;
        while (a.network != networks[net].name) ++net;
        return serve({.weights = a.weights[net], .net = net, .threshold = a.threshold, .gap_ms = a.gap_ms, .pace_ms = a.pace_ms,
                      .first_event_ns = a.events[0], .interval_ns = a.events[1]},
                     static_cast<std::uint16_t>(a.serve_port), a.bind);
    }
    if (!a.thresholds_file.empty()) read_thresholds(a.thresholds_file, a);
    if (a.policies.empty()) a.policies = {"fleet", "local_early_exit"};
    live_terms terms{.frames = static_cast<std::size_t>(a.frames), .refuse_without_cloud = !a.connect.empty()};
    if (a.ble != "none") terms.radio = radio_of(a.ble);
    if (terms.radio) terms.radio->loss_by_place = true; // so that the simulator can lose the same packets
    if (a.compare && !terms.radio) throw option_error("--compare: expected connection events to compare with (--ble), found none");
    if (!a.connect.empty()) {
        terms.cloud = link::parse_host_port(a.connect, "--connect");
        require_there(terms.cloud, a.connect);
    }
    options::require_writable("--json", a.json_file);
    options::require_writable("--report", a.report_file);
    options::require_different("--json", a.json_file, "--report", a.report_file);
    for (const auto& [option, path] : {std::pair{"--json", &a.json_file}, std::pair{"--report", &a.report_file}}) {
        options::require_not_read(option, *path, a.pictures);
        for (const std::string& file : a.weights) options::require_not_read(option, *path, {file});
        options::require_not_read(option, *path, {a.labels, a.thresholds_file, locate(a.profiles)});
    }
    const device_profile device = find_device(read_device_profiles(locate(a.profiles)), a.device);

    run_record r{.device = device.name, .peer = a.connect, .seed = a.seed};
    r.list = contestants(a);
    r.weights[narrow] = a.weights[narrow];
    for (const contestant& c : r.list) {
        r.weights[c.what->net] = a.weights[c.what->net];
        if (c.what->net != narrow && !a.connect.empty()) throw option_error("--connect: expected policies of one network, FLEET's, found " + c.key);
    }
    std::array<subject, networks.size()> weights;
    for (std::size_t w = 0; w < weights.size(); ++w) {
        if (std::error_code trouble; w != narrow && !r.weights[w].empty() && r.weights[w] != made_up_weights && !std::filesystem::exists(r.weights[w], trouble))
            throw option_error(std::string{networks[w].option} + " " + r.weights[w] + ": expected the weights of " + networks[w].what + ", which " + networks[w].made_by
                               + " makes, or made-up for untrained ones; found no such file");
        if (!r.weights[w].empty()) weights[w] = subject::load(r.weights[w], w);
    }
    const auto& net = *weights[narrow].net;
    r.instruction_set = net.instruction_set;
    if (terms.radio) {
        r.radio = to_text(*terms.radio);
        r.cap = to_text(terms.radio->cap);
        r.interval_ms = to_milliseconds(terms.radio->interval);
    }
    std::array<std::vector<duration>, networks.size()> stages;
    for (std::size_t w = 0; w < stages.size(); ++w)
        if (weights[w].net != nullptr) stages[w] = stage_times(*weights[w].net, device);
    duration whole{};
    for (const duration d : stages[narrow]) whole += d;
    // An edge promises an answer when twice the time of its stages fits.
    terms.deadline = a.deadline_ms > 0 ? from_milliseconds(a.deadline_ms) : 3 * whole + std::chrono::milliseconds{50};
    for (const contestant& c : r.list)
        if (c.what->kind == kind_of_policy::ensemble && a.deadline_ms <= 0) terms.deadline = 5 * whole + std::chrono::milliseconds{50};
    for (int k = 0; k < net.stages; ++k) r.macs += net.stage_macs[k];
    r.macs_per_second = device.macs_per_second.value_or(0);
    r.whole_ms = to_milliseconds(whole);
    r.deadline_ms = to_milliseconds(terms.deadline);
    if (terms.deadline < whole)
        throw option_error("--deadline " + splitdsl::detail::number_text(a.deadline_ms) + ": at least the " + splitdsl::detail::number_text(r.whole_ms)
                           + " ms were expected that " + device.name + " takes for the whole network");
    const std::size_t wanted = terms.frames + static_cast<std::size_t>(a.calibrate);
    r.shown = a.pictures.empty() ? made_up(wanted, a.seed) : read_album(a.pictures, wanted, a.seed, a.labels);
    album aside;
    if (a.calibrate > 0) aside = set_aside(r.shown, terms.frames, a.calibrate, "--calibrate");
    r.calibrated_on = a.calibrate;
    r.accuracy_goal = a.accuracy;

    std::array<std::optional<unsplit>, networks.size()> in_one_piece;
    std::array<std::optional<said_of>, networks.size()> rehearsed;
    for (std::size_t w = 0; w < networks.size(); ++w)
        if (weights[w].net != nullptr) in_one_piece[w].emplace(*weights[w].net, weights[w].packed);
    const double gap_ms = terms.radio ? to_milliseconds(burst_gap(*terms.radio)) : 4;
    const double pace_ms =
        terms.radio ? to_milliseconds(cloud_pace(*terms.radio, static_cast<int>(link::header_bytes + packet_bytes))) : gap_ms + 1;
    const auto world = [&](const contestant& c) {
        const std::size_t w = c.what->net;
        return world_of(*c.what, terms, *weights[w].net, exits_of(*c.what, in_one_piece[w]->exits), stages[w], from_milliseconds(pace_ms), c.cloud_threshold);
    };
    for (contestant& c : r.list) {
        const std::size_t w = c.what->net;
        // Without a calibration a few pictures tell how many bytes there are.
        const auto& from = a.calibrate > 0 ? aside.stills : r.shown.stills;
        if (!rehearsed[w]) rehearsed[w].emplace(*in_one_piece[w], std::span{from}.first(a.calibrate > 0 ? from.size() : std::min<std::size_t>(from.size(), 4)));
        auto there = world(c);
        if (a.calibrate > 0) {
            there.reply_from = 0;
            calibrate(c, there, *rehearsed[w], *weights[w].net, a.accuracy, a.seed);
        } else {
            rehearsed[w]->show_mean(*c.what, there.network);
            c.policy.emplace(policy_with(*c.what, c.threshold, *weights[w].net, there, there.network.exits() > 0 ? static_cast<std::size_t>(there.network.exits()) : 0,
                                         rehearsed[w]->levels));
        }
    }
    for (contestant& c : r.list) {
        const std::size_t w = c.what->net;
        std::optional<cloud_process> cloud;
        terms.first_event = std::chrono::steady_clock::now();
        if (a.connect.empty() && c.what->sends()) {
            cloud.emplace(std::filesystem::read_symlink("/proc/self/exe").string(),
                          cloud_terms{.weights = r.weights[w], .net = w, .threshold = c.cloud_threshold, .gap_ms = gap_ms, .pace_ms = pace_ms,
                                      .first_event_ns = terms.first_event.time_since_epoch().count(), .interval_ns = terms.radio ? duration{terms.radio->interval}.count() : 0});
            terms.cloud = {"127.0.0.1", cloud->port()};
        }
        run_live(weights[w], terms, stages[w], in_one_piece[w]->exits, r, c);
        if (cloud) c.cloud = cloud->stop();
    }
    compare(in_one_piece, a.connect.empty(), r);
    if (a.compare)
        for (std::size_t w = 0; w < networks.size(); ++w) {
            std::optional<said_of> said;
            for (contestant& c : r.list) {
                if (c.what->net != w) continue;
                if (!said) said.emplace(*in_one_piece[w], r.shown.stills);
                auto there = world(c);
                repeat(c, there, *said, r.seed);
            }
        }
    print(r);
    if (!a.json_file.empty())
        options::write("--json", a.json_file, to_json(r).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
    if (!a.report_file.empty()) options::write("--report", a.report_file, report_html(r));
    std::size_t differing = 0;
    for (const contestant& c : r.list) differing += summarise(r, c).differing;
    return differing == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    ::prctl(PR_SET_TIMERSLACK, 1); // all threads: a paced stage ends when it should
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
    app.add_option("--policy", a.policies,
                   "fleet, fleet_wide, fleet_by_benefit, improved, local_early_exit, branchynet, shallow_deep, ensemble, neurosurgeon, clio, cascade, jpeg25, "
                   "jpeg75, raw or all_edge, one after another; without: fleet and local_early_exit");
    app.add_flag("--compare", a.compare, "then the same frames in the simulator: how many decisions agree, and how the mean latencies compare");
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
    app.add_option("--weights", a.weights[narrow], "of zoo::fleet_cifar_resnet<2>, from tools/train_fleet.py")->capture_default_str();
    app.add_option("--wide-weights", a.weights[wide], "of the same with streams of 16 channels, from tools/train_fleet_wide.py export; made-up: untrained ones")->capture_default_str();
    app.add_option("--clio-weights", a.weights[by_width], "of zoo::clio_cifar_resnet<2>, from tools/train_fleet.py export --recipe partition; made-up: untrained ones")->capture_default_str();
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
    auto* const calibrate =
        app.add_option("--calibrate", a.calibrate, "choose all thresholds by simulation on so many other pictures; 0: as given")
            ->check(options::between(0, 20'000))
            ->capture_default_str()
            ->excludes(threshold)
            ->excludes(local);
    app.add_option("--accuracy", a.accuracy, "with --calibrate: to reach on these")
        ->check(options::between(0.0, 1.0))
        ->capture_default_str()
        ->needs(calibrate);
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
    for (auto* const other : {pictures, json, report, connect, calibrate}) serving->excludes(other);
    for (const char* const other :
         {"--labels", "--policy", "--compare", "--frames", "--ble", "--device", "--local-threshold", "--thresholds", "--accuracy", "--deadline"})
        serving->excludes(app.get_option(other)); // a cloud shows nothing
    app.add_option("--network", a.network, "with --serve: narrow (FLEET's streams of 4 channels), wide (of 16) or clio (one cut, in widths)")
        ->check(CLI::IsMember({networks[narrow].name, networks[wide].name, networks[by_width].name}))
        ->capture_default_str()
        ->needs(serving);
    app.add_option("--gap", a.gap_ms, "with --serve: a burst is over when nothing came for so many milliseconds")
        ->check(options::between(0.0, 100.0))
        ->capture_default_str()
        ->needs(serving);
    app.add_option("--events", a.events, "with --serve: the radio's first event by this machine's steady clock, and its interval, in nanoseconds; 0 0: not known")
        ->type_name("FIRST INTERVAL")
        ->needs(serving);
    app.add_option("--pace", a.pace_ms, "with --serve: milliseconds that an answer takes at least, from its burst's last packet on")
        ->check(options::between(0.0, 1000.0))
        ->capture_default_str()
        ->needs(serving);
    app.add_option("--bind", a.bind, "with --serve: the address to listen on (the link is not encrypted)")
        ->transform(link::without_brackets)
        ->capture_default_str()
        ->needs(serving);
    return options::exit_status("visual_wake", app, argc, argv, [&] { return run(a); });
}
