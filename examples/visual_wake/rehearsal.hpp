// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file rehearsal.hpp
/// The simulator on a run's own terms: what the network says of pictures and what its streams take, for thresholds before a run and for the
/// same frames once more behind it.
#pragma once

#include "live.hpp"

#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/sim/fleet_simulator.hpp>
#include <splitdsl/sim/link_thresholds.hpp>

#include <cmath>

namespace visual_wake {

namespace sim = splitdsl::sim;

/// Everything that a network says of some pictures, as logarithms of probabilities, and the bytes that leave the device for it.
class said_of {
public:
    said_of(unsplit& net, std::span<const still> pictures) : streams{net.streams()}, levels{net.levels(0)}, behind{net.stages_of_streams()}, cut_stream{streams - 1} {
        std::vector<std::byte> sent(encoded_max);
        const auto put = [](std::vector<float>& to, std::span<const float> p) {
            for (const float v : p) to.push_back(std::log(std::max(v, 1e-30F)));
        };
        for (const still& s : pictures) {
            labels.push_back(std::max(s.label, 0));
            net.look_at(s);
            put(trunk, net.trunk());
            for (int e = 0; e < static_cast<int>(net.exits.size()); ++e) put(local, net.exit(e));
            std::vector<std::vector<std::int64_t>>& sizes = bytes.emplace_back();
            std::vector<std::int64_t>& payload = alone.emplace_back();
            std::vector<std::vector<std::int64_t>>& whole = packets.emplace_back(static_cast<std::size_t>(streams));
            std::vector<std::vector<std::int64_t>>& of_alone = packets_alone.emplace_back(static_cast<std::size_t>(levels));
            for (int l = 1; l <= levels; ++l)
                payload.push_back(net.message_ends(cut_stream, l, &of_alone[static_cast<std::size_t>(l - 1)]).back());
            for (int k = 0; k < streams; ++k) {
                sizes.push_back(net.message_ends(k, &whole[static_cast<std::size_t>(k)]));
                for (int before = 0; before <= levels; ++before)
                    for (int here = 1; here <= levels; ++here)
                        if (k == 0 && before > 0)
                            cloud.insert(cloud.end(), classes, std::nanf(""));
                        else
                            put(cloud, net.cloud_exit(k, before, here));
            }
            std::vector<std::int64_t>& files = inputs.emplace_back();
            still seen{.pixels = std::vector<std::byte>(picture_bytes)};
            for (int e = 0; e < static_cast<int>(encodings.size()); ++e) {
                const std::size_t size = encode_picture(s.pixels, sent, e);
                files.push_back(static_cast<std::int64_t>(size + splitdsl::link::header_bytes));
                (void)decode_picture(std::span{sent}.first(size), seen.pixels);
                net.look_at(seen);
                put(encoded, net.trunk());
            }
        }
    }
    std::size_t pictures() const { return labels.size(); }

    /// As the simulator reads them, with the exits and the offloads that a policy has.
    splitdsl::sim::exit_answers answers(const policy_choice& what) const {
        using namespace splitdsl;
        const auto n = [](auto v) { return static_cast<std::uint64_t>(v); };
        const std::size_t exits = what.exits.size();
        std::vector<float> used, offload;
        std::uint64_t exits_used = 0;
        for (const int e : what.exits) exits_used += n(e);
        for (std::size_t p = 0; p < pictures(); ++p)
            for (std::size_t e = 0; e < exits; ++e)
                if (what.exits[e] != 0) used.insert(used.end(), local.begin() + at((p * exits + e) * classes), local.begin() + at((p * exits + e + 1) * classes));
        std::vector<tensor_view> tensors{{"labels", tensor_type::int32, {n(pictures())}, std::as_bytes(std::span{labels})},
                                         {"g.trunk", tensor_type::float32, {n(pictures()), classes}, bytes_of_floats(trunk)}};
        if (exits_used > 0) tensors.push_back({"g.local", tensor_type::float32, {n(pictures()), exits_used, classes}, bytes_of_floats(used)});
        if (what.streams() && !what.cuts())
            tensors.push_back({"g.cloud", tensor_type::float32, {n(pictures()), n(streams), n(levels + 1), n(levels), classes}, bytes_of_floats(cloud)});
        if (what.cuts()) {
            const std::size_t row = static_cast<std::size_t>(levels) * classes, a_stream = row * static_cast<std::size_t>(levels + 1);
            for (std::size_t p = 0; p < pictures(); ++p) {
                const auto first = cloud.begin() + at(static_cast<std::size_t>(static_cast<int>(p) * streams + cut_stream) * a_stream);
                offload.insert(offload.end(), first, first + at(row));
            }
            tensors.push_back({"g.offload", tensor_type::float32, {n(pictures()), n(levels), classes}, bytes_of_floats(offload)});
        }
        if (what.encoding >= 0) tensors.push_back({"g.offload", tensor_type::float32, {n(pictures()), encodings.size(), classes}, bytes_of_floats(encoded)});
        const auto kind = what.kind == kind_of_policy::branchynet ? policy::confidence_kind::entropy : policy::confidence_kind::top1;
        return sim::read_exit_answers(safetensors{tensors, {}, nullptr}, "g", kind);
    }
    /// Puts a picture's bytes and packets into the world: each message is one packet of the radio.
    void show(std::size_t picture, const policy_choice& what, splitdsl::sim::exit_network& to) const {
        for (std::size_t k = 0; what.streams() && k < behind.size(); ++k) {
            sim::exit_stage& s = to.stages[static_cast<std::size_t>(behind[k])];
            if (!what.cuts()) s.stream = bytes[picture][k], s.stream_packets = packets[picture][k];
            if (!what.cuts() || static_cast<int>(k) != cut_stream) continue;
            s.payload = payload_of(what, picture);
            s.payload_packets = packets_alone[picture];
            if (what.kind == kind_of_policy::clio) s.payload_packets.assign(s.payload.size(), packets[picture].back());
        }
        for (std::size_t e = 0; e < to.inputs.size(); ++e) to.inputs[e].size = inputs[picture][e];
    }
    /// Their mean over all pictures, each size at least a byte more than the one before.
    void show_mean(const policy_choice& what, splitdsl::sim::exit_network& to) const {
        show(0, what, to);
        const auto mean = [&](std::vector<std::int64_t>& of, auto value) {
            for (std::size_t l = 0; l < of.size(); ++l) {
                double sum = 0;
                for (std::size_t p = 0; p < pictures(); ++p) sum += static_cast<double>(value(p)[l]);
                of[l] = std::max(static_cast<std::int64_t>(std::llround(sum / static_cast<double>(pictures()))), l > 0 ? of[l - 1] + 1 : 1);
            }
        };
        for (std::size_t k = 0; k < behind.size(); ++k) {
            sim::exit_stage& s = to.stages[static_cast<std::size_t>(behind[k])];
            mean(s.stream, [&](std::size_t p) -> auto& { return bytes[p][k]; });
            mean(s.payload, [&](std::size_t p) -> auto& { return payload_of(what, p); });
            s.stream_packets.clear();
            s.payload_packets.clear();
        }
    }

    const int streams, levels;
    const std::vector<int> behind; ///< each stream's stage
    const int cut_stream;          ///< that of a partition: the last one

private:
    static std::ptrdiff_t at(std::size_t i) { return static_cast<std::ptrdiff_t>(i); }
    std::vector<std::int32_t> labels{};
    std::vector<float> trunk{}, local{}, cloud{}, encoded{};
    /// CLIO's widths grow out of one another; NeuroSurgeon sends one size and no more.
    const std::vector<std::int64_t>& payload_of(const policy_choice& what, std::size_t picture) const {
        return what.kind == kind_of_policy::clio ? bytes[picture].back() : alone[picture];
    }
    std::vector<std::vector<std::vector<std::int64_t>>> bytes{}; // picture, stream, size
    std::vector<std::vector<std::int64_t>> alone{};              // picture, size of the cut's stream
    std::vector<std::vector<std::vector<std::int64_t>>> packets{}, packets_alone{}; // where their messages end
    std::vector<std::vector<std::int64_t>> inputs{};             // picture, encoding
};

/// The run as the simulator is told it: this library's messages on the radio that the relay plays, which sends again what it lost.
inline splitdsl::sim::fleet_world world_of(const policy_choice& what, const live_terms& terms, const splitdsl::pipeline& net,
                                           std::span<const splitdsl::exit_place> exits, std::span<const splitdsl::duration> stages, splitdsl::duration cloud_time,
                                           double cloud_threshold) {
    using namespace splitdsl;
    const int reply = static_cast<int>(link::header_bytes + (what.encoding >= 0 ? net.output_floats : classes) * sizeof(float));
    sim::fleet_world w{.local_exits = false,
                       .radio = terms.radio.value_or(radio::ble_setting{}),
                       .cloud = cloud_time,
                       .reply_from = static_cast<float>(cloud_threshold),
                       .deadline = terms.deadline,
                       .gap = terms.radio ? terms.radio->interval : duration{},
                       .draws = *radio::find_ble_radio("nrf52840_0dbm")};
    w.radio.delivery = radio::ble_delivery::resending;
    w.reply_bytes = std::min(reply, radio::payload_octets(w.radio));
    const int stop = what.streams() ? static_cast<int>(link::header_bytes) : 0;
    w.wire = sim::live_wire{
        .stop_bytes = stop, .stop_ack_bytes = stop, .ahead = packets_ahead, .closes = what.streams() ? books_close : duration{}};
    w.network.name = what.key;
    w.times.stage = times_of(what, exits, stages);
    w.times.exit.resize(stages.size());
    for (std::size_t k = 0; k < stages.size(); ++k) {
        sim::exit_stage s{.name = "stage " + std::to_string(k), .macs = std::max(static_cast<double>(net.stage_macs[k]), 1.0)};
        for (std::size_t e = 0; e < exits.size(); ++e)
            if (static_cast<std::size_t>(exits[e].stage) == k) s.exit = static_cast<int>(e);
        w.local_exits = w.local_exits || s.exit >= 0;
        w.network.stages.push_back(std::move(s));
    }
    if (what.encoding >= 0)
        for (const char* name : encodings) w.network.inputs.push_back({.name = name, .size = 1});
    return w;
}

/// The policy with one threshold for all that it asks; NaN where it has none.
inline any_policy policy_with(const policy_choice& what, double threshold, const splitdsl::pipeline& net, const splitdsl::sim::fleet_world& w, std::size_t exits, int levels) {
    using namespace splitdsl;
    const auto sure = static_cast<float>(threshold);
    const int n = static_cast<int>(exits);
    switch (what.kind) {
    case kind_of_policy::fleet: return any_policy{policy::fleet{fleet_plan_of(net, sure)}};
    case kind_of_policy::branchynet: {
        const double nats = std::max(0.0, (1 - threshold) * std::log(static_cast<double>(classes)));
        return any_policy{policy::local_early_exit::branchynet(std::vector<double>(exits, nats), classes)};
    }
    case kind_of_policy::shallow_deep: return any_policy{policy::local_early_exit::shallow_deep(sure, n)};
    case kind_of_policy::ensemble: return any_policy{policy::local_early_exit::ensemble(sure, n)};
    case kind_of_policy::neurosurgeon: {
        auto o = sim::partition_options_of(w.network, w.radio, 0);
        o.target = w.times.rest(0) * 9 / 10; // worth it only where the device is not nearly as fast
        return any_policy{policy::neurosurgeon{sim::deployment_of(w.network, w.times, w.cloud, w.reply_bytes, w.deadline), o}};
    }
    case kind_of_policy::clio: return any_policy{policy::clio{{.cut = net.streams[net.stream_count - 1].stage, .widths = levels, .threshold = sure}}};
    case kind_of_policy::cascade: return any_policy{policy::cascade{sure, what.encoding}};
    case kind_of_policy::input: return any_policy{policy::offload_input{what.encoding}};
    case kind_of_policy::by_benefit:
    case kind_of_policy::all_edge: break;
    }
    return any_policy{policy::all_edge{}};
}
inline bool has_threshold(kind_of_policy k) {
    return k != kind_of_policy::all_edge && k != kind_of_policy::input && k != kind_of_policy::neurosurgeon && k != kind_of_policy::by_benefit;
}

/// Accuracy and mean latency of a policy on all pictures, simulated.
inline std::pair<double, double> rehearse(const any_policy& p, const policy_choice& what, splitdsl::sim::fleet_world& w, const said_of& said, std::uint64_t seed,
                                          const splitdsl::sim::exit_answers& answers) {
    said.show_mean(what, w.network);
    splitdsl::sim::fleet_simulator<any_policy> run{p, w, answers, seed};
    double right = 0, ms = 0;
    for (std::size_t k = 0; k < said.pictures(); ++k) {
        said.show(k, what, w.network);
        const auto f = run.run_frame(k);
        right += f.right;
        ms += splitdsl::to_milliseconds(f.latency);
    }
    const auto n = static_cast<double>(said.pictures());
    return {right / n, ms / n};
}

/// Chooses a contestant's thresholds on pictures that are not shown: the fastest that reach `accuracy`, else the most accurate.
inline void calibrate(contestant& c, splitdsl::sim::fleet_world& w, const said_of& said, const splitdsl::pipeline& net, double accuracy, std::uint64_t seed) {
    using namespace splitdsl;
    const policy_choice& what = *c.what;
    const sim::exit_answers answers = said.answers(what);
    const auto exits = static_cast<std::size_t>(w.network.exits());
    said.show_mean(what, w.network);
    if (what.kind == kind_of_policy::by_benefit) {
        auto o = sim::benefit_of(fleet_plan_of(net, 0.7F), w.network, w.times, answers, 0, said.pictures());
        c.reached = sim::learn_thresholds(o, w, answers, {.accuracy = accuracy, .seed = seed, .pictures = said.pictures()}).reached;
        float least = 1;
        for (int i = 0; i < o.states; ++i)
            for (int s = 0; s < o.fleet.streams; ++s)
                if (o.thresholds[static_cast<std::size_t>(i)].send) least = std::min(least, o.thresholds[static_cast<std::size_t>(i)].cloud[static_cast<std::size_t>(s)]);
        c.cloud_threshold = std::floor(100 * static_cast<double>(least)) / 100;
        c.threshold = std::nan("");
        c.policy.emplace(policy::fleet_by_benefit{o});
        return;
    }
    c.threshold = std::nan("");
    if (has_threshold(what.kind)) {
        std::pair<double, double> best{-1, 0};
        for (double t = 0.3; t < 0.985; t += 0.02) {
            const auto found = rehearse(policy_with(what, t, net, w, exits, said.levels), what, w, said, seed, answers);
            const bool reaches = found.first >= accuracy, reached = best.first >= accuracy;
            if (reaches ? !reached || found.second < best.second : !reached && found.first > best.first) best = found, c.threshold = t;
        }
        c.reached = best.first >= accuracy;
        if (what.streams()) c.cloud_threshold = what.cuts() ? 0 : c.threshold;
    }
    said.show_mean(what, w.network);
    c.policy.emplace(policy_with(what, c.threshold, net, w, exits, said.levels));
}

/// A contestant's frames again, in the simulator: the same pictures, answers, sizes, thresholds, losses and moments.
inline void repeat(contestant& c, splitdsl::sim::fleet_world& w, const said_of& said, std::uint64_t seed) {
    using namespace splitdsl;
    const sim::exit_answers answers = said.answers(*c.what);
    said.show_mean(*c.what, w.network);
    if (!c.frames.empty()) w.wire->arriving = c.frames.front().arriving; // the handshake was on the air before
    sim::fleet_simulator<any_policy> run{*c.policy, w, answers, seed};
    for (const frame_record& f : c.frames) {
        said.show(f.picture, *c.what, w.network);
        const sim::fleet_frame s = run.run_frame_at(f.picture, instant{} + from_milliseconds(f.start_ms));
        c.simulated.push_back(
            {.source = s.source, .exit = s.exit, .latency_ms = to_milliseconds(s.latency), .bytes_up = s.bytes_up, .arriving = s.arriving});
    }
}

} // namespace visual_wake
