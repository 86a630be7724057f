// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_network.hpp
/// A network with exits as a simulation needs it: what each stage costs, what it can send, and in which sizes.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/graph/limits.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/radio/ble.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::sim {

/// One stage of the trunk. What is empty or -1, it does not have.
struct exit_stage {
    std::string name{};
    double macs{};
    double share{}; ///< measured share of the trunk's time; all stages have one or none does (then MACs decide)
    int exit{-1};   ///< the device's exit behind it: 0, 1, ... in order
    double exit_macs{};
    double cloud_macs{}; ///< of the cloud's answer for the stream behind it, fusion included; only a cloud whose speed is known asks for it
    std::vector<std::int64_t> stream{};  ///< FLEET: cumulative bytes of the stream's sizes, smallest first
    std::vector<std::int64_t> payload{}; ///< a cut: bytes of each size or width; widths are cumulative
    /// Where the packets of all the stream's sizes end, and those of each size of the payload; empty: packets are filled without gaps.
    std::vector<std::int64_t> stream_packets{};
    std::vector<std::vector<std::int64_t>> payload_packets{};
};

/// An encoding of the whole input, such as a JPEG quality.
struct input_encoding {
    std::string name{};
    std::int64_t size{}; ///< bytes
    duration prepare{};  ///< on the device, before the first byte leaves
    double cloud_macs{}; ///< of the cloud's answer; 0: those of all stages
};

/// Stages in order, streams numbered in the order of the stages that have one, and what offloads may carry.
struct exit_network {
    std::string name{};
    std::vector<exit_stage> stages{};
    std::vector<input_encoding> inputs{};

    int exits() const {
        return count([](const exit_stage& s) { return s.exit >= 0; });
    }
    int streams() const {
        return count([](const exit_stage& s) { return !s.stream.empty(); });
    }
    /// The stream a stage's end begins, or -1.
    int stream_behind(int stage) const {
        if (stages[at(stage)].stream.empty()) return -1;
        int n = 0;
        for (int k = 0; k < stage; ++k) n += !stages[at(k)].stream.empty();
        return n;
    }
    /// The stage behind which a stream begins.
    int stage_of_stream(int stream) const {
        for (int k = 0; k < static_cast<int>(stages.size()); ++k)
            if (stream_behind(k) == stream) return k;
        return -1;
    }
    /// Answers of offloads are numbered: the inputs' encodings first, then the cuts' sizes in the order of stages. -1 if there is none.
    int offload_choice(int cut, int size) const {
        if (cut == -1) return size >= 0 && size < static_cast<int>(inputs.size()) ? size : -1;
        if (cut < 0 || cut >= static_cast<int>(stages.size()) || size < 0 || size >= static_cast<int>(stages[at(cut)].payload.size()))
            return -1;
        int n = static_cast<int>(inputs.size()) + size;
        for (int k = 0; k < cut; ++k) n += static_cast<int>(stages[at(k)].payload.size());
        return n;
    }
    int offload_choices() const {
        int n = static_cast<int>(inputs.size());
        for (const exit_stage& s : stages) n += static_cast<int>(s.payload.size());
        return n;
    }
    /// MACs of the stages behind `stage`: what the cloud runs on a cut's payload, or, from -1, on an input.
    double macs_behind(int stage) const {
        double n = 0;
        for (int k = stage + 1; k < static_cast<int>(stages.size()); ++k) n += stages[at(k)].macs;
        return n;
    }
    /// MACs of the cloud's answer to an offload (cut -1: an input's encoding `size`).
    double offload_macs(int cut, int size) const {
        return cut == -1 && inputs[at(size)].cloud_macs > 0 ? inputs[at(size)].cloud_macs : macs_behind(cut);
    }
    /// Most sizes a stream has.
    int sizes() const {
        std::size_t n = 0;
        for (const exit_stage& s : stages) n = std::max(n, s.stream.size());
        return static_cast<int>(n);
    }

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    template <class F>
    int count(F f) const {
        int n = 0;
        for (const exit_stage& s : stages) n += f(s);
        return n;
    }
};

/// Refused (option_error, naming the stage): no stages or more than 64, no work, exits out of order, sizes that do not grow or exceed 2^31
/// bytes, shares for some stages only, cuts behind the sixteenth stage.
inline void require_valid(const exit_network& n) {
    const auto refuse = [&](const std::string& where, const std::string& expected, const std::string& found) {
        throw option_error("network " + n.name + where + ": expected " + expected + ", found " + found);
    };
    if (n.stages.empty() || n.stages.size() > static_cast<std::size_t>(max_stages))
        refuse("", "1 to " + std::to_string(max_stages) + " stages", std::to_string(n.stages.size()));
    const auto growing = [&](const std::string& where, const char* what, const std::vector<std::int64_t>& sizes) {
        if (sizes.size() > static_cast<std::size_t>(policy::max_payload_sizes))
            refuse(where, std::string{"at most "} + std::to_string(policy::max_payload_sizes) + " sizes of its " + what,
                   std::to_string(sizes.size()));
        std::int64_t before = 0;
        for (const std::int64_t s : sizes) {
            if (s <= before || s > (std::int64_t{1} << 31))
                refuse(where, std::string{"growing sizes of its "} + what + " above 0, at most 2^31 bytes", std::to_string(s));
            before = s;
        }
    };
    int exits = 0, cuts_end = 0;
    for (std::size_t k = 0; k < n.stages.size(); ++k) {
        const exit_stage& s = n.stages[k];
        const std::string where = ", stage " + std::to_string(k) + (s.name.empty() ? "" : " (" + s.name + ")");
        if (!(s.macs > 0) || !std::isfinite(s.macs)) refuse(where, "MACs above 0", splitdsl::detail::number_text(s.macs));
        if (!(s.exit_macs >= 0) || !std::isfinite(s.exit_macs)) refuse(where, "an exit's MACs of at least 0", splitdsl::detail::number_text(s.exit_macs));
        if (!(s.cloud_macs >= 0) || !std::isfinite(s.cloud_macs))
            refuse(where, "the cloud's MACs of at least 0", splitdsl::detail::number_text(s.cloud_macs));
        if (!(s.share >= 0) || !std::isfinite(s.share)) refuse(where, "a share of at least 0", splitdsl::detail::number_text(s.share));
        if ((s.share > 0) != (n.stages[0].share > 0)) refuse(where, "shares for all stages or for none", splitdsl::detail::number_text(s.share));
        if (s.exit >= 0 && s.exit != exits++) refuse(where, "exit " + std::to_string(exits - 1), std::to_string(s.exit));
        growing(where, "stream", s.stream);
        growing(where, "payload", s.payload);
        if (!s.payload.empty()) cuts_end = static_cast<int>(k) + 1;
    }
    if (cuts_end > max_cuts)
        refuse("", "cuts behind the first " + std::to_string(max_cuts) + " stages", "one behind stage " + std::to_string(cuts_end - 1));
    for (const input_encoding& i : n.inputs)
        if (i.size < 1 || i.size > (std::int64_t{1} << 31) || i.prepare.count() < 0)
            refuse(", input " + i.name, "1 to 2^31 bytes", std::to_string(i.size));
    if (n.inputs.size() > static_cast<std::size_t>(policy::max_payload_sizes))
        refuse("", "at most " + std::to_string(policy::max_payload_sizes) + " encodings of the input", std::to_string(n.inputs.size()));
}

/// What each stage, and each exit, takes on a device.
struct stage_times {
    std::vector<duration> stage{};
    std::vector<duration> exit{}; ///< of stage k's exit; 0 without one
    /// Stages `from` to the last, their exits not counted: what a fallback runs.
    duration rest(std::size_t from) const {
        duration t{};
        for (std::size_t k = from; k < stage.size(); ++k) t += stage[k];
        return t;
    }
};

/// The trunk's MACs at the device's speed, handed out by the measured shares if there are any. Modelled.
/// Refused (option_error): a device without a speed.
inline stage_times times_on(const device_profile& device, const exit_network& n) {
    double macs = 0, shares = 0;
    for (const exit_stage& s : n.stages) macs += s.macs, shares += s.share;
    stage_times t;
    for (const exit_stage& s : n.stages) {
        t.stage.push_back(device.time_of(shares > 0 ? macs * s.share / shares : s.macs));
        t.exit.push_back(s.exit >= 0 ? device.time_of(s.exit_macs) : duration{});
    }
    return t;
}

/// The stream's sizes that Eq. 1 lets a stage send while the next one runs; at least the smallest one ("not a strict limit").
inline int sizes_by_rule(const exit_network& n, const stage_times& t, int stage, const radio::ble_setting& s, radio::ble_size_rule rule) {
    const auto k = static_cast<std::size_t>(stage);
    const duration next = k + 1 < t.stage.size() ? t.stage[k + 1] : duration{};
    const auto& sizes = n.stages[k].stream;
    return sizes.empty() ? 0 : std::max(policy::levels_within(sizes, radio::largest_feature(s, next, rule)), 1);
}

/// What a partition policy knows before the first frame: cut k behind stage k, its largest payload, and the times around it. `cloud`: of
/// every answer; `cloud_macs_per_second`, unless 0, adds what the cloud's part takes.
inline deployment deployment_of(const exit_network& n, const stage_times& t, duration cloud, int reply_bytes, duration deadline,
                                double cloud_macs_per_second = 0) {
    const auto behind = [&](int stage) {
        return cloud_macs_per_second > 0 ? cloud + from_seconds(n.macs_behind(stage) / cloud_macs_per_second) : cloud;
    };
    deployment d{.edge_total = t.rest(0), .cloud_total = behind(-1), .reply = {static_cast<double>(reply_bytes)}, .deadline = deadline};
    if (!n.inputs.empty()) d.input = {static_cast<double>(n.inputs.front().size)};
    duration head{};
    for (std::size_t k = 0; k < n.stages.size() && k < static_cast<std::size_t>(max_cuts); ++k) {
        head += t.stage[k];
        const auto& p = n.stages[k].payload;
        d.cut[k] = {.payload = {p.empty() ? 0.0 : static_cast<double>(p.back())},
                    .edge_head = head,
                    .edge_tail = t.rest(k + 1),
                    .cloud_tail = behind(static_cast<int>(k))};
        d.cuts = static_cast<int>(k) + 1;
    }
    return d;
}

/// NeuroSurgeon's candidates: every stage with payloads, in all their sizes, over this radio.
inline policy::partition_options partition_options_of(const exit_network& n, const radio::ble_setting& s, int overhead) {
    policy::partition_options o;
    o.sizes.fill(-1);
    for (std::size_t k = 0; k < n.stages.size() && k < static_cast<std::size_t>(max_cuts); ++k) {
        const auto& p = n.stages[k].payload;
        if (!p.empty()) o.sizes[k] = static_cast<std::int8_t>(p.size());
        for (std::size_t z = 0; z < p.size(); ++z) o.payload[k][z] = {static_cast<double>(p[z])};
    }
    o.radio = {.interval = s.interval * (s.delivery == radio::ble_delivery::reliable ? 2 : 1),
               .packet_bytes = radio::payload_octets(s) - overhead,
               .packets = radio::packets_per_event(s),
               .packet_time = radio::exchange_airtime(s.phy, s.octets, 0, s.encrypted)};
    return o;
}

/// Throws option_error unless answers for so many streams in so many sizes are this network's. `where`: what the sentence opens with.
inline void require_streams(const exit_network& n, std::size_t streams, std::size_t sizes, const std::string& where) {
    const auto want = [&](int wanted, std::size_t found, const char* what) {
        if (found != static_cast<std::size_t>(wanted))
            throw option_error(where + ": expected answers for " + std::to_string(wanted) + " " + what + ", found " + std::to_string(found));
    };
    want(n.streams(), streams, "streams");
    want(n.sizes(), sizes, "sizes of a stream");
}

} // namespace splitdsl::sim
