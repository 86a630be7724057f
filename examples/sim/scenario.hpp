// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file scenario.hpp
/// A whole simulation from one TOML file: device, radio, cloud, networks, answers and the policies to compare (docs/fleet.md).
#pragma once

#include "terms.hpp"

#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/radio/ble_energy.hpp>
#include <splitdsl/radio/ble_options.hpp>
#include <splitdsl/radio/packet_options.hpp>
#include <splitdsl/sim/exit_network.hpp>
#include <splitdsl/sim/synthetic_answers.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace simulate {

inline constexpr std::uintmax_t longest_scenario = 1 << 20;

enum class policy_kind : std::uint8_t {
    all_edge,
    all_cloud,
    fleet,
    branchynet,
    shallow_deep,
    ensemble,
    neurosurgeon,
    clio,
    offload_input,
    cascade,
    fleet_by_benefit
};
inline constexpr std::string_view policy_words[]{"all_edge",     "all_cloud", "fleet",         "branchynet", "shallow_deep",    "ensemble",
                                                 "neurosurgeon", "clio",      "offload_input", "cascade",    "fleet_by_benefit"};
constexpr std::string_view to_text(policy_kind k) { return policy_words[static_cast<int>(k)]; }

/// One row of the table.
struct contender {
    std::string name{};
    policy_kind kind{};
    std::size_t network{};
    std::string group{};
    double threshold{0.7};
    bool calibrated{};                 ///< the threshold is chosen on the validation pictures
    double local_threshold{2};         ///< fleet: of exits on the device
    std::string rule{"none"};          ///< fleet: which reading of Eq. 1 limits the sizes
    double least_gain{};               ///< fleet_by_benefit: a byte
    bool exits{};                      ///< fleet_by_benefit, calibrated: the device's exits answer too
    double target_ms{}, patience_ms{}; ///< neurosurgeon, clio
    int cut{};                         ///< clio
    int input{};                       ///< offload_input, cascade: encoding
    std::string delivery{};            ///< empty: the radio's for streams, resending for offloads
    splitdsl::policy::confidence_kind confidence{splitdsl::policy::confidence_kind::top1};

    /// Its thresholds are found together, for each exit and state of the link, instead of one tried after the other.
    bool learns() const { return kind == policy_kind::fleet_by_benefit && calibrated; }
    bool streams() const { return kind == policy_kind::fleet || kind == policy_kind::fleet_by_benefit; }
    bool has_threshold() const {
        return streams() || kind == policy_kind::branchynet || kind == policy_kind::shallow_deep || kind == policy_kind::ensemble
               || kind == policy_kind::clio || kind == policy_kind::cascade;
    }
    bool has_exits() const {
        return kind == policy_kind::branchynet || kind == policy_kind::shallow_deep || kind == policy_kind::ensemble
               || kind == policy_kind::cascade || (streams() && (local_threshold <= 1 || (exits && calibrated)));
    }
    bool offloads() const { return !streams() && kind != policy_kind::all_edge && (!has_exits() || kind == policy_kind::cascade); }
};

struct sweep_terms {
    std::vector<double> interval_ms{}, loss{};
    std::vector<std::int64_t> packets{};
    std::vector<std::string> phy{}, device{};
    std::vector<std::string> link{}; ///< whole lines of the radio's own kind
    bool empty() const { return interval_ms.empty() && loss.empty() && packets.empty() && phy.empty() && device.empty() && link.empty(); }
};

/// The radio of a scenario or of a sweep's point.
struct air_terms {
    splitdsl::radio::ble_setting ble{};
    std::optional<splitdsl::radio::packet_radio> other{}; ///< LoRa, 802.11ah or a steady link; `ble` then does not count

    std::string_view kind() const { return other ? to_text(other->kind) : std::string_view{"ble"}; }
    /// As a scenario has it, and as every table names it: with the rule that limits the air.
    std::string line() const { return other ? splitdsl::radio::to_text(*other) : to_text(ble); }
    std::string rule() const {
        return other ? splitdsl::radio::airtime_rule(*other) : "cap " + std::string{splitdsl::radio::to_text(ble.cap)};
    }
    std::string named() const { return other ? std::string{kind()} + " " + line() + " (" + rule() + ")" : line(); }
};

/// Which policies a sweep is summed up for: `improved` against `paper`, where `paper` is ahead of the best of `local`.
struct comparison_terms {
    std::string improved{}, paper{};
    std::vector<std::string> local{};
};

struct scenario {
    std::string file{}, name{};
    std::int64_t frames{};
    std::uint64_t seed{};
    double deadline_ms{}, gap_ms{};
    bool stops_within_stage{};
    std::string profiles{}, device{};
    air_terms air{};
    std::string currents{};
    int packet_overhead{}, reply_bytes{};
    double cloud_ms{};
    std::string cloud_profile{}; ///< empty: `cloud_ms` is all
    std::string answers{};       ///< a file; empty: synthetic
    splitdsl::sim::synthetic_options synthetic{};
    std::vector<int> common{};   ///< classes that are; empty: pictures come as the answers have them
    double of_common{};          ///< share of the pictures that show one
    double validation{}, accuracy{};
    std::vector<double> thresholds{};
    std::vector<splitdsl::sim::exit_network> networks{};
    std::vector<contender> contenders{};
    sweep_terms sweep{};
    std::vector<comparison_terms> comparisons{};
};

namespace parts {

inline splitdsl::sim::exit_network read_network(terms t, const std::vector<splitdsl::sim::exit_network>& before_it) {
    splitdsl::sim::exit_network n;
    if (t.has("like")) {
        const std::string like = t.text("like");
        const auto known = std::find_if(before_it.begin(), before_it.end(), [&](const auto& other) { return other.name == like; });
        if (known == before_it.end()) t.refuse("like", "a network above");
        n = *known;
        if (t.has("stage")) t.refuse("stage", "no stages beside like");
    }
    n.name = t.name("name");
    for (const auto& other : before_it)
        if (other.name == n.name) t.refuse("name", "each name once");
    constexpr double most = 1e15;
    constexpr std::int64_t most_bytes = std::int64_t{1} << 31;
    for (terms s : t.list("stage")) {
        for (const auto& other : n.stages)
            if (!other.name.empty() && other.name == s.text("name", "")) s.refuse("name", "each name once");
        n.stages.push_back({.name = s.text("name", ""),
                            .macs = s.number("macs", 1, most),
                            .share = s.number("share", 0, 1e9, 0),
                            .exit = -1,
                            .exit_macs = s.number("exit_macs", 0, most, 0),
                            .cloud_macs = s.number("cloud_macs", 0, most, 0),
                            .stream = s.wholes("stream", 1, most_bytes),
                            .payload = s.wholes("payload", 1, most_bytes)});
        // Exits are numbered in the order of the stages that have one.
        if (s.truth("exit", false)) {
            int before = 0;
            for (const auto& stage : n.stages) before += stage.exit >= 0;
            n.stages.back().exit = before;
        }
        s.end();
    }
    // Payloads instead of those of the network it is like.
    if (t.has("payload"))
        for (auto& stage : n.stages) stage.payload.clear();
    for (terms p : t.list("payload")) {
        const std::string name = p.text("stage");
        const auto stage = std::find_if(n.stages.begin(), n.stages.end(), [&](const auto& one) { return one.name == name; });
        if (stage == n.stages.end()) p.refuse("stage", "a stage of this network");
        stage->payload = p.wholes("sizes", 1, most_bytes);
        p.end();
    }
    for (terms i : t.list("input")) {
        for (const auto& other : n.inputs)
            if (other.name == i.text("name")) i.refuse("name", "each name once");
        n.inputs.push_back({i.text("name"), i.whole("bytes", 1, most_bytes), splitdsl::from_milliseconds(i.number("prepare_ms", 0, 1e6, 0)),
                            i.number("cloud_macs", 0, most, 0)});
        i.end();
    }
    t.end();
    t.made("name", [&] { require_valid(n); });
    return n;
}

inline contender read_contender(terms t, const std::vector<splitdsl::sim::exit_network>& networks, const air_terms& air) {
    contender c;
    c.name = t.name("name");
    if (!t.has("kind") && std::find(std::begin(policy_words), std::end(policy_words), c.name) == std::end(policy_words)) {
        std::string words;
        for (const std::string_view one : policy_words) words += ", " + std::string{one};
        t.refuse("name", "a kind beside it, or for a name one of the kinds" + words);
    }
    const std::string kind = t.choice("kind",
                                      {"all_edge", "all_cloud", "fleet", "branchynet", "shallow_deep", "ensemble", "neurosurgeon", "clio",
                                       "offload_input", "cascade", "fleet_by_benefit"},
                                      c.name);
    c.kind = static_cast<policy_kind>(std::find(std::begin(policy_words), std::end(policy_words), kind) - std::begin(policy_words));
    const std::string network = t.text("network", networks.front().name);
    while (c.network < networks.size() && networks[c.network].name != network) ++c.network;
    if (c.network == networks.size()) t.refuse("network", "a network of this scenario");
    const auto& n = networks[c.network];
    c.group = t.text("group", network);
    c.confidence = t.choice("confidence", {"top1", "entropy"}, c.kind == policy_kind::branchynet ? "entropy" : "top1") == "entropy"
                       ? splitdsl::policy::confidence_kind::entropy
                       : splitdsl::policy::confidence_kind::top1;
    if (c.has_threshold()) {
        if (t.is_text("threshold"))
            c.calibrated = !t.choice("threshold", {"calibrated"}).empty();
        else // a confidence: the largest softmax value, or 1 - entropy / ln(classes)
            c.threshold = t.number("threshold", 0, 1, 0.7);
    }
    if (c.streams()) {
        c.local_threshold = t.number("local_threshold", 0, 2, 2);
        c.rule = t.choice("rule", {"none", "printed", "worked_example"}, "none");
    }
    if (c.kind == policy_kind::fleet_by_benefit) {
        c.least_gain = t.number("least_gain_per_byte", 0, 1, 0);
        c.exits = t.truth("exits", c.calibrated && n.exits() > 0);
        if (c.exits && !c.calibrated) t.refuse("exits", "exits only with threshold = \"calibrated\"");
    }
    if (c.kind == policy_kind::neurosurgeon) c.target_ms = t.number("target_ms", 0, 1e6);
    if (c.kind == policy_kind::clio) {
        c.patience_ms = t.number("patience_ms", 0, 1e6, 0);
        const std::string cut = t.text("cut");
        c.cut = -1;
        for (std::size_t k = 0; k < n.stages.size(); ++k)
            if (n.stages[k].name == cut && !n.stages[k].payload.empty()) c.cut = static_cast<int>(k);
        if (c.cut < 0) t.refuse("cut", "a stage of " + network + " that has a payload");
    }
    if (c.kind == policy_kind::offload_input || c.kind == policy_kind::cascade || c.kind == policy_kind::all_cloud) {
        if (n.inputs.empty()) t.refuse("network", "a network with an [[network.input]]");
        const std::string input = c.kind == policy_kind::all_cloud ? n.inputs.front().name : t.text("input", n.inputs.front().name);
        while (c.input < static_cast<int>(n.inputs.size()) && n.inputs[static_cast<std::size_t>(c.input)].name != input) ++c.input;
        if (c.input == static_cast<int>(n.inputs.size())) t.refuse("input", "an [[network.input]] of " + network);
    }
    if (c.has_exits() && n.exits() == 0) t.refuse("network", "a network with exits on the device");
    if (c.streams() && n.streams() == 0) t.refuse("network", "a network with streams");
    c.delivery = air.other ? t.choice("delivery", {"", "unreliable", "resending"}, "") // these acknowledge every packet at once
                           : t.choice("delivery", {"", "unreliable", "resending", "reliable"}, "");
    t.end();
    return c;
}

} // namespace parts

/// The radio that a line of that kind describes.
inline air_terms read_air(std::string_view kind, const std::string& line) {
    if (kind == "lora") return {.other = splitdsl::radio::parse_lora(line)};
    if (kind == "halow") return {.other = splitdsl::radio::parse_halow(line)};
    if (kind == "steady") return {.other = splitdsl::radio::parse_steady(line)};
    return {.ble = splitdsl::radio::parse_ble(line)};
}

/// Below the scenario's folder unless absolute.
inline std::string beside(const std::string& path, const std::string& scenario_file) {
    const std::filesystem::path p{path};
    return p.is_absolute() ? path : (std::filesystem::path{scenario_file}.parent_path() / p).lexically_normal().string();
}

/// Throws `trace_error` or `option_error` naming file, line and key, what was expected and what was found. The file has at most 1 MiB.
inline scenario read_scenario(const std::string& path) {
    using splitdsl::trace_error;
    const auto refuse = [&](const std::string& found) { throw trace_error("scenario " + path + ": expected a file of 1 byte to 1 MiB, found " + found); };
    const auto content = splitdsl::detail::read_ordinary_file<std::string>(path, longest_scenario, refuse);
    if (content.empty()) refuse("0 bytes");
    // toml++ makes a table of each part of a dotted key, and takes them down again by recursion.
    constexpr int most_parts = 256;
    int dots = 0;
    for (const char c : content) {
        dots = c == '.' ? dots + 1 : c == ',' || c == '=' || c == '\n' ? 0 : dots;
        if (dots >= most_parts) throw trace_error("scenario " + path + ": expected keys of at most " + std::to_string(most_parts) + " parts, found a line with more dots");
    }
    toml::table root;
    try {
        root = toml::parse(content, path);
    } catch (const toml::parse_error& e) {
        throw trace_error("scenario " + path + ":" + std::to_string(e.source().begin.line)
                          + ": expected TOML, found an error: " + std::string{e.description()});
    }
    terms t{root, "", path};
    scenario s;
    s.file = path;
    s.name = t.name("name", std::filesystem::path{path}.stem().string());
    s.frames = t.whole("frames", 1, 100'000'000, 10'000);
    s.seed = static_cast<std::uint64_t>(t.whole("seed", 0, std::numeric_limits<std::int64_t>::max(), 1));
    s.deadline_ms = t.number("deadline_ms", 0.001, 1e6, 4000);
    s.gap_ms = t.number("gap_ms", 0, 1e6, 0);
    s.stops_within_stage = t.truth("stops_within_stage", true);

    terms device = t.inside("device");
    s.profiles = beside(device.text("profiles"), path);
    s.device = device.text("name");
    device.end();

    terms radio = t.inside("radio");
    const std::string kind = radio.choice("kind", {"ble", "lora", "halow", "steady"}, "ble");
    const std::string line_of_kind = radio.text(kind);
    s.air = radio.made(kind, [&] { return read_air(kind, line_of_kind); });
    const auto drawn_by = [&](const auto& known, std::string_view usual) {
        s.currents = radio.text("currents", std::string{usual});
        std::string names;
        for (const auto& r : known) {
            if (r.name == s.currents) return &r;
            names += (names.empty() ? "" : ", ") + std::string{r.name};
        }
        radio.refuse("currents", "one of " + names);
    };
    if (kind == "ble")
        drawn_by(splitdsl::radio::known_ble_radios, "nrf52840_0dbm");
    else if (kind == "lora")
        s.air.other->draws = *drawn_by(splitdsl::radio::known_lora_radios, "sx1276_13dbm");
    else if (kind == "halow")
        s.air.other->draws = *drawn_by(std::array{splitdsl::radio::assumed_halow_radio}, splitdsl::radio::assumed_halow_radio.name);
    else
        s.air.other->draws = *drawn_by(std::array{splitdsl::radio::uncounted_radio}, splitdsl::radio::uncounted_radio.name);
    s.packet_overhead = static_cast<int>(radio.whole("packet_overhead", 0, 250, 0));
    s.reply_bytes = static_cast<int>(radio.whole("reply_bytes", 1, 251, 16));
    radio.end();

    terms cloud = t.inside("cloud", false);
    s.cloud_profile = cloud.text("profile", "");
    s.cloud_ms = cloud.number("ms", 0, 1e6, s.cloud_profile.empty() ? 5 : 0);
    cloud.end();

    terms answers = t.inside("answers");
    if (answers.has("file") == answers.has("synthetic")) answers.refuse("file", "either a file or a table synthetic");
    if (answers.has("file"))
        s.answers = beside(answers.text("file"), path);
    else {
        terms y = answers.inside("synthetic");
        s.synthetic.pictures = static_cast<std::size_t>(y.whole("pictures", 1, 1'000'000, 1000));
        s.synthetic.classes = static_cast<int>(y.whole("classes", 2, 1000, 10));
        s.synthetic.seed = static_cast<std::uint64_t>(y.whole("seed", 0, std::numeric_limits<std::int64_t>::max(), 1));
        s.synthetic.strength = y.number("strength", 0.01, 1000, s.synthetic.strength);
        y.end();
    }
    if (answers.has("common")) {
        terms common = answers.inside("common");
        for (const std::int64_t c : common.wholes("classes", 0, 65'535)) s.common.push_back(static_cast<int>(c));
        if (s.common.empty()) common.refuse("classes", "at least one class");
        s.of_common = common.number("share", 0, 1);
        common.end();
    }
    s.validation = answers.number("validation", 0, 0.9, 0.5);
    answers.end();

    terms calibration = t.inside("calibration", false);
    s.accuracy = calibration.number("accuracy", 0, 1, 0);
    s.thresholds = calibration.numbers("thresholds", 0, 1);
    if (s.thresholds.empty()) s.thresholds = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}; // FLEET section 4.1
    calibration.end();

    for (const terms& n : t.list("network")) s.networks.push_back(parts::read_network(n, s.networks));
    if (s.networks.empty()) t.refuse("network", "at least one [[network]]");
    for (const terms& p : t.list("policy")) {
        s.contenders.push_back(parts::read_contender(p, s.networks, s.air));
        for (std::size_t i = 0; i + 1 < s.contenders.size(); ++i)
            if (s.contenders[i].name == s.contenders.back().name) p.refuse("name", "each name once");
    }
    if (s.contenders.empty()) t.refuse("policy", "at least one [[policy]]");

    terms sweep = t.inside("sweep", false);
    s.sweep.interval_ms = sweep.numbers("interval_ms", 7.5, 4000);
    s.sweep.loss = sweep.numbers("loss", 0, 1);
    s.sweep.packets = sweep.wholes("packets", 1, 64);
    s.sweep.phy = sweep.texts("phy");
    s.sweep.device = sweep.texts("device");
    s.sweep.link = sweep.texts("link");
    if (s.air.other)
        for (const char* const key : {"interval_ms", "packets", "phy"})
            if (sweep.has(key)) sweep.refuse(key, "link and loss, for the radio is " + std::string{s.air.kind()});
    for (std::size_t i = 0; i < s.sweep.link.size(); ++i)
        sweep.made("link", [&] { return read_air(s.air.kind(), s.sweep.link[i]); }, i);
    for (std::size_t i = 0; i < s.sweep.phy.size(); ++i)
        sweep.made("phy", [&] { return splitdsl::radio::parse_ble_phy(s.sweep.phy[i]); }, i);
    sweep.end();
    for (terms comparison : t.list("comparison")) {
        s.comparisons.push_back({comparison.text("improved"), comparison.text("paper"), comparison.texts("local")});
        const comparison_terms& c = s.comparisons.back();
        const auto known = [&](std::string_view key, const std::string& name) {
            if (std::none_of(s.contenders.begin(), s.contenders.end(), [&](const contender& one) { return one.name == name; }))
                comparison.refuse(key, "the name of a policy of this scenario");
        };
        known("improved", c.improved), known("paper", c.paper);
        if (c.local.empty()) comparison.refuse("local", "at least one policy");
        for (const std::string& name : c.local) known("local", name);
        comparison.end();
    }
    if (!s.comparisons.empty() && s.sweep.empty()) t.refuse("comparison", "a [sweep] whose points are compared");
    t.end();
    return s;
}

} // namespace simulate
