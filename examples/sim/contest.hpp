// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file contest.hpp
/// A scenario's policies, each run on the same pictures, device and radio; thresholds chosen on validation pictures first where asked for.
#pragma once

#include "scenario.hpp"

#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/sim/cascade_curve.hpp>
#include <splitdsl/sim/fleet_summary.hpp>
#include <splitdsl/sim/link_thresholds.hpp>
#include <splitdsl/sim/skewed_pictures.hpp>

#include <cstdio>
#include <deque>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace simulate {

/// Where a cascade stops being faster than sending every input, at the mean times of this point.
struct break_even {
    double sending_ms{};              ///< mean latency of sending every input
    double share{};                   ///< of the inputs: as long as fewer are passed on, the cascade is faster
    std::optional<float> threshold{}; ///< the largest one at which fewer are
};

/// What one policy came to.
struct outcome {
    std::string name{};
    double threshold{};
    bool has_threshold{}, reached{true}; ///< reached: the accuracy wanted, on the validation pictures
    std::string network{};
    splitdsl::sim::fleet_summary summary{};
    std::vector<splitdsl::policy::answer_thresholds> learnt{}; ///< fleet_by_benefit, calibrated: for states of the link
    std::optional<break_even> pays{};                          ///< cascade of one exit
};

/// The point of a sweep that is run: the scenario's own, or one with other values.
struct point {
    air_terms air{};
    std::string device{};
};

/// Answers and devices of a scenario, read or invented once.
class contest {
public:
    explicit contest(const scenario& chosen) : terms_of(chosen), devices(splitdsl::read_device_profiles(chosen.profiles)) {
        using namespace splitdsl;
        // Before anything else: a misspelt device, or one without figures, is no point of a sweep that is left out.
        std::vector<std::string> used = terms_of.sweep.device;
        used.push_back(terms_of.device);
        for (const std::string& name : used) {
            const device_profile& device = find_device(devices, name);
            static_cast<void>(device.time_of(1)), static_cast<void>(device.active_energy({}));
        }
        if (!terms_of.answers.empty()) file = read_safetensors(terms_of.answers);
        for (const contender& c : terms_of.contenders) {
            load(c);
            const auto counts = answers_of(c).counts();
            if ((c.streams() && counts.streams == 0) || (c.offloads() && counts.choices == 0))
                throw option_error("scenario " + terms_of.file + ": policy " + c.name + ": expected answers " + c.group
                                   + (c.streams() ? ".cloud" : ".offload") + ", found none");
            if (counts.streams != 0)
                sim::require_streams(terms_of.networks[c.network], counts.streams, counts.levels,
                                     "scenario " + terms_of.file + ": network " + terms_of.networks[c.network].name + ", "
                                         + (terms_of.answers.empty() ? "synthetic answers" : terms_of.answers) + ", group " + c.group);
        }
        if (!terms_of.cloud_profile.empty()) {
            const device_profile& cloud = find_device(devices, terms_of.cloud_profile);
            cloud_speed = 1 / to_seconds(cloud.time_of(1e9)) * 1e9;
        }
        const std::size_t pictures = groups.front().answers.pictures();
        held_back = static_cast<std::size_t>(terms_of.validation * static_cast<double>(pictures));
        if (held_back >= pictures) held_back = pictures - 1;
        const bool wanted =
            std::any_of(terms_of.contenders.begin(), terms_of.contenders.end(), [](const contender& c) { return c.calibrated; });
        if (wanted && held_back == 0)
            throw option_error("scenario " + terms_of.file + ": expected validation pictures for calibrated thresholds, found none" + why_none());
    }

    point own_point() const { return {terms_of.air, terms_of.device}; }
    std::size_t pictures() const { return groups.front().answers.pictures(); }
    std::size_t validation_pictures() const { return held_back; }
    std::string why_none() const {
        char text[80];
        std::snprintf(text, sizeof text, ": a validation share of %.10g of %zu pictures", terms_of.validation, pictures());
        return text;
    }

    /// Writes the invented logits as the file that recorded ones would be: a model for whoever records some. Refused (option_error):
    /// answers from a file, a group that two networks share.
    void save_answers(const std::string& path) const {
        using namespace splitdsl;
        if (!terms_of.answers.empty()) throw option_error("--save-answers: expected a scenario with synthetic answers, found a file");
        std::deque<sim::synthetic_answers> made;
        std::vector<tensor_view> all;
        std::vector<std::pair<std::string, std::size_t>> written;
        for (const contender& c : terms_of.contenders) {
            const std::pair<std::string, std::size_t> key{c.group, c.network};
            if (std::find(written.begin(), written.end(), key) != written.end()) continue;
            for (const auto& other : written)
                if (other.first == c.group)
                    throw option_error("--save-answers: expected a group for each network, found " + c.group + " for two");
            written.push_back(key);
            for (const tensor_view& t : made.emplace_back(terms_of.networks[c.network], terms_of.synthetic, c.group).tensors())
                if (t.name != "labels" || all.empty()) all.push_back(t);
        }
        write_safetensors(path, all, {{"made by", "splitdsl-sim, synthetic: no network stands behind these logits"}});
    }

    /// Runs one policy at one point; a calibrated threshold is the fastest of those that reach the accuracy on the validation pictures, or
    /// else the most accurate one.
    outcome run(const contender& c, const point& at) const {
        using namespace splitdsl;
        outcome o{
            .name = c.name, .threshold = c.threshold, .has_threshold = c.has_threshold(), .network = terms_of.networks[c.network].name};
        const sim::fleet_run shown{.frames = static_cast<std::uint64_t>(terms_of.frames),
                                   .seed = terms_of.seed,
                                   .first = held_back,
                                   .pictures = pictures() - held_back};
        if (c.learns()) {
            sim::fleet_world w = world_of(c, at, 0);
            auto b = benefit_plan(c, w, first_guess);
            o.reached = sim::learn_thresholds(b, w, answers_of(c),
                                              {.accuracy = terms_of.accuracy, .seed = terms_of.seed, .first = 0, .pictures = held_back})
                            .reached;
            o.learnt.assign(b.thresholds.begin(), b.thresholds.begin() + b.states);
            // The cloud keeps to itself what no state of the link would take.
            w.reply_from = policy::never_sure;
            for (const auto& t : o.learnt) w.reply_from = std::min(w.reply_from, *std::min_element(t.cloud.begin(), t.cloud.end()));
            o.summary = sim::simulate_fleet(policy::fleet_by_benefit{b}, w, answers_of(c), shown, [](const sim::fleet_frame&) {});
            return o;
        }
        if (c.calibrated) {
            const auto frames = static_cast<std::uint64_t>(held_back);
            double best_accuracy = -1, best_latency = 0;
            o.reached = false;
            for (const double t : terms_of.thresholds) {
                const auto s = run_with(c, at, t, {.frames = frames, .seed = terms_of.seed, .first = 0, .pictures = held_back});
                const bool reaches = s.accuracy() >= terms_of.accuracy;
                const bool better = reaches != o.reached ? reaches
                                    : reaches            ? s.mean_latency_ms < best_latency
                                                         : s.accuracy() > best_accuracy;
                if (!better) continue;
                o.threshold = t, o.reached = reaches, best_accuracy = s.accuracy(), best_latency = s.mean_latency_ms;
            }
        }
        o.summary = run_with(c, at, o.threshold, shown);
        if (c.kind == policy_kind::cascade && terms_of.networks[c.network].exits() == 1) o.pays = break_even_of(c, at, shown);
        return o;
    }
    std::vector<outcome> run_all(const point& at) const {
        std::vector<outcome> all;
        for (const contender& c : terms_of.contenders) all.push_back(run(c, at));
        return all;
    }

    /// The grid of a sweep, in the order links, devices, PHYs, packets, losses, intervals. Refused (option_error): more than 10,000 points.
    std::vector<point> grid() const {
        using namespace splitdsl;
        const sweep_terms& s = terms_of.sweep;
        const auto or_one = [](const auto& list, auto otherwise) {
            auto all = list;
            if (all.empty()) all.push_back(otherwise);
            return all;
        };
        const auto devices_of = or_one(s.device, terms_of.device), phys = or_one(s.phy, std::string{radio::to_text(terms_of.air.ble.phy)});
        std::vector<air_terms> links;
        for (const std::string& line : s.link) {
            links.push_back(read_air(terms_of.air.kind(), line));
            if (links.back().other) links.back().other->draws = terms_of.air.other->draws;
        }
        if (links.empty()) links.push_back(terms_of.air);
        if (static_cast<double>(links.size()) * static_cast<double>(devices_of.size()) * static_cast<double>(phys.size())
                * std::max(1.0, static_cast<double>(s.packets.size())) * std::max(1.0, static_cast<double>(s.loss.size()))
                * std::max(1.0, static_cast<double>(s.interval_ms.size()))
            > 10'000)
            throw option_error("scenario " + terms_of.file + ": sweep: expected at most 10000 points, found more");
        std::vector<point> all;
        for (const air_terms& link : links) {
            const double own_loss = link.other ? link.other->loss() : link.ble.loss;
            for (const std::string& device : devices_of)
                for (const std::string& phy : s.link.empty() ? phys : or_one(s.phy, std::string{radio::to_text(link.ble.phy)}))
                    for (const std::int64_t n : or_one(s.packets, std::int64_t{link.ble.packets}))
                        for (const double loss : or_one(s.loss, own_loss))
                            for (const double interval : or_one(s.interval_ms, to_milliseconds(link.ble.interval))) {
                                point p{link, device};
                                p.air.ble.phy = radio::parse_ble_phy(phy);
                                p.air.ble.packets = static_cast<int>(n);
                                p.air.ble.interval = from_milliseconds(interval);
                                p.air.other ? p.air.other->set_loss(loss) : void(p.air.ble.loss = loss);
                                all.push_back(p);
                            }
        }
        return all;
    }

private:
    struct loaded {
        std::string group{};
        std::size_t network{};
        splitdsl::policy::confidence_kind confidence{};
        splitdsl::sim::exit_answers answers{};
    };
    void load(const contender& c) {
        using namespace splitdsl;
        const auto known = [&](const loaded& l) { return l.group == c.group && l.network == c.network && l.confidence == c.confidence; };
        if (std::any_of(groups.begin(), groups.end(), known)) return;
        if (terms_of.answers.empty()) {
            const sim::synthetic_answers made{terms_of.networks[c.network], terms_of.synthetic, c.group};
            groups.push_back(
                {c.group, c.network, c.confidence, sim::read_exit_answers(made.file(), c.group, c.confidence, "synthetic answers")});
        } else
            groups.push_back({c.group, c.network, c.confidence, sim::read_exit_answers(file, c.group, c.confidence, terms_of.answers)});
        if (terms_of.common.empty()) return;
        sim::exit_answers& a = groups.back().answers; // the labels and the seed are every group's, so the pictures are too
        a = a.of(sim::skewed_pictures(a, terms_of.common, terms_of.of_common, terms_of.seed));
    }
    const splitdsl::sim::exit_answers& answers_of(const contender& c) const {
        return std::find_if(groups.begin(), groups.end(),
                            [&](const loaded& l) { return l.group == c.group && l.network == c.network && l.confidence == c.confidence; })
            ->answers;
    }

    splitdsl::sim::fleet_world world_of(const contender& c, const point& at, double threshold) const {
        using namespace splitdsl;
        const device_profile& device = find_device(devices, at.device);
        sim::fleet_world w{.network = terms_of.networks[c.network],
                           .local_exits = c.has_exits(),
                           .radio = at.air.ble,
                           .other_radio = at.air.other,
                           .packet_overhead = terms_of.packet_overhead,
                           .cloud = from_milliseconds(terms_of.cloud_ms),
                           .cloud_macs_per_second = cloud_speed,
                           .reply_bytes = terms_of.reply_bytes,
                           .reply_from = c.streams() ? static_cast<float>(threshold) : 0.0F,
                           .deadline = from_milliseconds(terms_of.deadline_ms),
                           .gap = from_milliseconds(terms_of.gap_ms),
                           .stops_within_stage = terms_of.stops_within_stage,
                           .active = *device.active_watts,
                           .idle = device.idle_watts.value_or(watts{}),
                           .draws = at.air.other ? radio::ble_radio{} : *radio::find_ble_radio(terms_of.currents)};
        w.times = sim::times_on(device, w.network);
        if (c.delivery == "unreliable")
            w.set_delivery(radio::ble_delivery::unreliable);
        else if (c.delivery == "reliable")
            w.set_delivery(radio::ble_delivery::reliable);
        else if (c.delivery == "resending" || (c.offloads() && w.delivery() == radio::ble_delivery::unreliable))
            w.set_delivery(radio::ble_delivery::resending);
        return w;
    }

    /// FLEET's streams and sizes, one threshold for all.
    splitdsl::policy::fleet_options fleet_plan(const contender& c, const splitdsl::sim::fleet_world& w, double threshold) const {
        using namespace splitdsl;
        policy::fleet_options o{.streams = w.network.streams(), .local_threshold = static_cast<float>(c.local_threshold)};
        o.stream_behind.fill(-1);
        for (int k = 0; k < static_cast<int>(w.network.stages.size()); ++k) {
            const int stream = w.network.stream_behind(k);
            if (stream < 0) continue;
            const int all = static_cast<int>(w.network.stages[static_cast<std::size_t>(k)].stream.size());
            const int levels = c.rule == "none" ? all
                                                : sim::sizes_by_rule(w.network, w.times, k, w.radio,
                                                                     c.rule == "printed" ? radio::ble_size_rule::printed
                                                                                         : radio::ble_size_rule::worked_example);
            o.stream_behind[static_cast<std::size_t>(k)] = static_cast<std::int8_t>(stream);
            o.levels[static_cast<std::size_t>(stream)] = static_cast<std::int8_t>(levels);
            o.threshold[static_cast<std::size_t>(stream)] = static_cast<float>(threshold);
        }
        return o;
    }
    /// What the policy knows it learns on the validation pictures.
    splitdsl::policy::benefit_options benefit_plan(const contender& c, const splitdsl::sim::fleet_world& w, double threshold) const {
        using namespace splitdsl;
        if (held_back == 0)
            throw option_error("scenario " + terms_of.file + ": expected validation pictures for fleet_by_benefit, found none" + why_none());
        auto b = sim::benefit_of(fleet_plan(c, w, threshold), w.network, w.times, answers_of(c), 0, held_back);
        b.least_gain_per_byte = c.least_gain;
        return b;
    }

    splitdsl::sim::fleet_summary run_with(const contender& c, const point& at, double threshold,
                                          const splitdsl::sim::fleet_run& run) const {
        using namespace splitdsl;
        const sim::fleet_world w = world_of(c, at, threshold);
        const auto& answers = answers_of(c);
        const auto go = [&](auto p) { return sim::simulate_fleet(std::move(p), w, answers, run, [](const sim::fleet_frame&) {}); };
        const auto sure = static_cast<float>(threshold);
        switch (c.kind) {
        case policy_kind::all_edge: return go(policy::all_edge{});
        case policy_kind::all_cloud: return go(policy::all_cloud{});
        case policy_kind::fleet: return go(policy::fleet{fleet_plan(c, w, threshold)});
        case policy_kind::fleet_by_benefit: return go(policy::fleet_by_benefit{benefit_plan(c, w, threshold)});
        // One confidence for all exits; as an entropy it is turned back into nats, BranchyNet's own unit.
        case policy_kind::branchynet: {
            if (c.confidence != policy::confidence_kind::entropy)
                return go(policy::local_early_exit::shallow_deep(sure, w.network.exits()));
            const double nats = std::max(0.0, (1 - threshold) * std::log(2.0));
            return go(policy::local_early_exit::branchynet(std::vector<double>(static_cast<std::size_t>(w.network.exits()), nats), 2));
        }
        case policy_kind::shallow_deep: return go(policy::local_early_exit::shallow_deep(sure, w.network.exits()));
        case policy_kind::ensemble: return go(policy::local_early_exit::ensemble(sure, w.network.exits()));
        case policy_kind::neurosurgeon: {
            auto o = sim::partition_options_of(w.network, w.radio, w.packet_overhead);
            if (w.other_radio) o.radio = {}; // no bursts: the rate alone
            o.target = from_milliseconds(c.target_ms);
            return go(policy::neurosurgeon{
                sim::deployment_of(w.network, w.times, w.cloud, w.reply_bytes, w.deadline, w.cloud_macs_per_second), o});
        }
        case policy_kind::clio:
            return go(policy::clio{{.cut = c.cut,
                                    .widths = static_cast<int>(w.network.stages[static_cast<std::size_t>(c.cut)].payload.size()),
                                    .threshold = sure,
                                    .patience = from_milliseconds(c.patience_ms)}});
        case policy_kind::offload_input: return go(policy::offload_input{c.input});
        case policy_kind::cascade: return go(policy::cascade{sure, c.input});
        }
        throw option_error("policy " + c.name + ": expected a known kind, found another");
    }

    break_even break_even_of(contender c, const point& at, const splitdsl::sim::fleet_run& shown) const {
        using namespace splitdsl;
        const sim::fleet_world w = world_of(c, at, 0);
        duration small{};
        for (std::size_t k = 0; k < w.network.stages.size(); ++k) {
            small += w.times.stage[k] + w.times.exit[k];
            if (w.network.stages[k].exit >= 0) break;
        }
        c.kind = policy_kind::offload_input;
        const double sending_ms = run_with(c, at, 0, shown).mean_latency_ms;
        std::vector<std::size_t> pictures_shown(shown.pictures);
        std::iota(pictures_shown.begin(), pictures_shown.end(), shown.first);
        const duration sending = from_milliseconds(sending_ms); // way and big network together: the sum is all that counts
        return {.sending_ms = sending_ms,
                .share = policy::cascade_limit(small, sending, {}),
                .threshold = sim::cascade_crossover(answers_of(c).of(pictures_shown), {small, sending, {}})};
    }

    scenario terms_of;
    std::vector<splitdsl::device_profile> devices;
    splitdsl::safetensors file{};
    std::deque<loaded> groups{};
    std::size_t held_back{};
    double cloud_speed{}; ///< 0: not known
    /// Of an answer that counts as sure where the tables compare streams, before thresholds are learnt.
    static constexpr double first_guess = 0.7;
};

} // namespace simulate
