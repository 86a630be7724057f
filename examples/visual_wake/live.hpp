// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live.hpp
/// The same pictures twice on a paced device: with FLEET over connection events, and with the exits on the device alone.
#pragma once

#include "record.hpp"

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/radio/ble_options.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/plan.hpp>

#include <thread>

namespace visual_wake {

struct live_terms {
    std::size_t frames{};
    std::vector<splitdsl::duration> paced{}; ///< each stage's time on the device
    splitdsl::duration deadline{};
    std::optional<splitdsl::radio::ble_setting> radio{};
    splitdsl::link::host_port cloud{};
    bool refuse_without_cloud{}; ///< else the device goes on alone
};

/// Every frame begins at a phase of the radio's interval of its own: the answer before came in an event, so a next frame at once would
/// always begin there.
inline void show(splitdsl::edge_core<splitdsl::policy::fleet>& edge, const live_terms& terms, const album& pictures,
                 splitdsl::duration interval, std::uint64_t seed, contestant& to) {
    splitdsl::detail::xoshiro256 random{seed};
    std::vector<float> values(classes);
    for (std::size_t k = 0; k < terms.frames; ++k) {
        std::this_thread::sleep_for(splitdsl::from_seconds(splitdsl::to_seconds(interval) * (1 + random.uniform())));
        frame_record f{.picture = k % pictures.stills.size()};
        const std::array<std::span<const std::byte>, 1> input{pictures.stills[f.picture].pixels};
        const splitdsl::answer a = edge.infer(input, values);
        std::copy_n(values.begin(), f.values.size(), f.values.begin());
        f.source = a.source;
        f.exit = a.exit;
        f.predicted = best_of(f.values);
        f.latency_ms = splitdsl::to_milliseconds(a.timings.total);
        f.bytes_up = a.bytes_up;
        f.on_time = a.on_time;
        f.host_stall = a.host_stall;
        to.frames.push_back(f);
    }
}

inline splitdsl::edge_options paced_edge(const live_terms& terms, std::uint64_t digest) {
    return {.deadline = terms.deadline, .stage_times = terms.paced, .calibration_runs = 20, .weights_digest = digest};
}

/// FLEET: streams leave behind the first four layers; an answer of the cloud that is sure enough ends the frame.
inline void run_fleet(const splitdsl::network_weights<wake_network>& weights, const live_terms& terms, run_record& r) {
    using namespace splitdsl;
    link::relay_options between{.host = terms.cloud.host, .port = terms.cloud.port, .ble = terms.radio, .seed = r.seed};
    link::relay relay{std::move(between)};
    // Three events' bytes may be under way; more would queue in front of what is newer.
    edge_stream_options packets;
    const duration interval = terms.radio ? terms.radio->interval : duration{std::chrono::milliseconds{10}};
    if (terms.radio)
        packets.window_bytes =
            std::max(3 * static_cast<std::size_t>(terms.radio->packets * terms.radio->octets), packets.packet_bytes + link::header_bytes);
    edge_streams streams{weights.net(), packets};
    edge_options options = paced_edge(terms, weights.digest());
    options.streams = &streams;
    options.link.probe_bytes = 0; // FLEET asks for no rate: the radio is for the streams
    options.link.ping_interval = std::max<duration>(std::chrono::seconds{1}, 4 * interval);
    options.link.silence = std::max<duration>(options.link.silence, 16 * interval);
    options.link.stuck = options.link.silence;
    options.link.dead = 3 * options.link.silence;
    options.link.connect_timeout = options.link.silence;
    const auto plan = fleet_plan_of(weights.net(), static_cast<float>(r.fleet.threshold));
    edge_core<policy::fleet> edge{weights.net(), weights.bytes(), policy::fleet{plan}, options,
                                  std::make_unique<link::tcp>("127.0.0.1", relay.port())};
    const instant until = std::chrono::steady_clock::now() + std::chrono::seconds{5} + 20 * interval;
    while (!edge.link_now().up && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds{5});
    r.linked = edge.link_now().up;
    if (!r.linked) {
        const std::string why = "no connection to the cloud: " + edge.link_failure();
        if (terms.refuse_without_cloud) throw link_error(why);
        std::fprintf(stderr, "visual_wake: %s; the device goes on without it\n", why.c_str());
    }
    show(edge, terms, r.shown, interval, r.seed, r.fleet);
}

/// The same edge without streams and without a link; the first exit that is sure enough answers, as with `policy::local_early_exit`.
inline void run_alone(const splitdsl::network_weights<wake_network>& weights, const live_terms& terms,
                      std::span<const splitdsl::exit_place> exits, run_record& r) {
    using namespace splitdsl;
    edge_options options = paced_edge(terms, weights.digest());
    options.exits = exits;
    auto plan = policy::fleet_plan(0, 0, policy::never_sure);
    plan.local_threshold = static_cast<float>(r.alone.threshold);
    edge_core<policy::fleet> edge{weights.net(), weights.bytes(), policy::fleet{plan}, options,
                                  nullptr}; // one policy type: half the code to compile
    show(edge, terms, r.shown, std::chrono::milliseconds{1}, r.seed, r.alone);
}

/// Every own answer again, in one piece and without a link; they have to agree bit for bit. `cloud_too`: it runs the same code.
inline void compare(unsplit& whole, bool cloud_too, run_record& r) {
    using splitdsl::answer_source;
    r.trunk.resize(r.shown.stills.size());
    for (std::size_t p = 0; p < r.shown.stills.size(); ++p) {
        whole.look_at(r.shown.stills[p]);
        r.trunk[p] = best_of(whole.trunk());
        for (contestant* c : {&r.fleet, &r.alone})
            for (std::size_t k = p; k < c->frames.size(); k += r.shown.stills.size()) {
                frame_record& f = c->frames[k];
                if (f.source == answer_source::held || f.source == answer_source::preset
                    || (f.source == answer_source::cloud && !cloud_too))
                    continue;
                if (f.source == answer_source::edge)
                    f.differs = !same(whole.trunk(), f.values);
                else if (f.source == answer_source::exit)
                    f.differs = !same(whole.exit(f.exit), f.values);
                else
                    f.differs = f.source != answer_source::cloud || !whole.cloud_may_say(f.exit, f.values);
                ++c->compared;
            }
    }
}

} // namespace visual_wake
