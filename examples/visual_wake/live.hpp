// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file live.hpp
/// The same pictures on a paced device, once for each policy: over connection events if it sends, without a link if it does not.
#pragma once

#include "record.hpp"

#include <examples/processes/stolen_time.hpp>
#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/radio/ble_options.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/plan.hpp>

#include <thread>

namespace visual_wake {

/// An event's packets are with the radio so long before it: this machine may take as long to let a thread run.
inline constexpr splitdsl::duration packets_ahead = std::chrono::milliseconds{2};
/// What a stage leaves later than so long before an event waits for the next one: whether it is in time is then told by the stage's time on
/// the device, not by when this machine comes to send it.
inline constexpr splitdsl::duration books_close = std::chrono::milliseconds{1};

struct live_terms {
    std::size_t frames{};
    splitdsl::duration deadline{};
    std::optional<splitdsl::radio::ble_setting> radio{};
    splitdsl::link::host_port cloud{};
    bool refuse_without_cloud{}; ///< else the device goes on alone
    splitdsl::instant first_event{}; ///< of the radio
};

/// The device's exits that a policy uses, in their order, with the confidence that it is about.
inline std::vector<splitdsl::exit_place> exits_of(const policy_choice& what, std::span<const splitdsl::exit_place> all) {
    std::vector<splitdsl::exit_place> used;
    for (std::size_t i = 0; i < all.size() && i < what.exits.size(); ++i) {
        if (what.exits[i] == 0) continue;
        used.push_back(all[i]);
        if (what.kind == kind_of_policy::branchynet)
            used.back().confidence = [](std::span<const float> p) { return splitdsl::exit_confidence{.kind = splitdsl::policy::confidence_kind::entropy}.of(p); };
    }
    return used;
}
/// Each stage's time. An ensemble's members begin anew: what is behind one takes the time from the picture on once more.
inline std::vector<splitdsl::duration> times_of(const policy_choice& what, std::span<const splitdsl::exit_place> used, std::span<const splitdsl::duration> stages) {
    std::vector<splitdsl::duration> times{stages.begin(), stages.end()};
    if (what.kind != kind_of_policy::ensemble) return times;
    splitdsl::duration whole{};
    for (std::size_t k = 0; k < times.size(); ++k) {
        whole += stages[k];
        for (const splitdsl::exit_place& e : used)
            if (static_cast<std::size_t>(e.stage) + 1 == k) times[k] += whole - stages[k];
    }
    return times;
}

/// Every frame begins at a phase of the radio's interval of its own: the answer before came in an event, so a next frame at once would
/// always begin there.
inline void show(splitdsl::edge_core<any_policy>& edge, const live_terms& terms, const album& pictures, splitdsl::duration interval,
                 std::uint64_t seed, const splitdsl::link::radio_gauge* radio, const splitdsl::edge_streams* streams, contestant& to) {
    const splitdsl::instant zero = radio != nullptr ? radio->first_event : std::chrono::steady_clock::now();
    splitdsl::detail::xoshiro256 random{seed};
    std::vector<float> values(classes);
    for (std::size_t k = 0; k < terms.frames; ++k) {
        std::this_thread::sleep_for(splitdsl::from_seconds(splitdsl::to_seconds(interval) * (1 + random.uniform())));
        frame_record f{.picture = k % pictures.stills.size()};
        const std::array<std::span<const std::byte>, 1> input{pictures.stills[f.picture].pixels};
        const auto stolen = processes::stolen_ticks();
        const auto before = streams != nullptr ? streams->counted() : splitdsl::edge_streams::counts{};
        if (radio != nullptr) f.arriving = radio->arriving();
        f.start_ms = splitdsl::to_milliseconds(std::chrono::steady_clock::now() - zero);
        const splitdsl::answer a = edge.infer(input, values);
        const auto after = streams != nullptr ? streams->counted() : splitdsl::edge_streams::counts{};
        std::copy_n(values.begin(), f.values.size(), f.values.begin());
        f.source = a.source;
        f.exit = a.exit;
        f.predicted = best_of(f.values);
        f.latency_ms = splitdsl::to_milliseconds(a.timings.total);
        f.bytes_up = a.bytes_up;
        f.streams = after.streams - before.streams;
        f.packets = after.packets - before.packets;
        f.on_time = a.on_time;
        f.host_stall = a.host_stall;
        f.robbed = processes::stolen_ticks() > stolen;
        to.frames.push_back(f);
    }
}

/// Shows all pictures to one policy. `stages`: each stage's time on the device.
inline void run_live(const subject& weights, const live_terms& terms, std::span<const splitdsl::duration> stages, std::span<const splitdsl::exit_place> all_exits_there,
                     run_record& r, contestant& c) {
    using namespace splitdsl;
    const auto exits = exits_of(*c.what, all_exits_there);
    const auto times = times_of(*c.what, exits, stages);
    edge_options options{.deadline = terms.deadline, .stage_times = times, .exits = exits, .use_exits = !exits.empty(), .calibration_runs = 20,
                         .weights_digest = weights.digest};
    if (!c.what->sends()) {
        edge_core<any_policy> edge{*weights.net, weights.packed, *c.policy, options, nullptr};
        return show(edge, terms, r.shown, std::chrono::milliseconds{1}, r.seed, nullptr, nullptr, c);
    }
    link::relay relay{{.host = terms.cloud.host, .port = terms.cloud.port, .ble = terms.radio, .first_event = terms.first_event, .seed = r.seed}};
    const duration interval = terms.radio ? terms.radio->interval : duration{std::chrono::milliseconds{10}};
    edge_streams streams{*weights.net,
                         {.packet_bytes = packet_bytes, .radio = relay.gauge(), .ahead = packets_ahead, .closes = books_close}};
    options.streams = &streams;
    options.encode_input = [](frame_inputs in, std::span<std::byte> to, int encoding) { return encode_picture(in[0], to, encoding); };
    options.encoded_input_max = encoded_max;
    options.link.probe_bytes = 0; // FLEET asks for no rate: the radio tells it
    options.link.ping_interval = std::max<duration>(std::chrono::seconds{1}, 4 * interval);
    options.link.silence = std::max<duration>(options.link.silence, 16 * interval);
    options.link.stuck = options.link.silence;
    options.link.dead = 3 * options.link.silence;
    options.link.connect_timeout = options.link.silence;
    edge_core<any_policy> edge{*weights.net, weights.packed, *c.policy, options, std::make_unique<link::tcp>("127.0.0.1", relay.port())};
    const instant until = std::chrono::steady_clock::now() + std::chrono::seconds{5} + 20 * interval;
    while (!edge.link_now().up && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds{5});
    const bool linked = edge.link_now().up;
    r.linked = r.linked && linked;
    if (!linked) {
        const std::string why = "no connection to the cloud: " + edge.link_failure();
        if (terms.refuse_without_cloud) throw link_error(why);
        std::fprintf(stderr, "visual_wake: %s; the device goes on without it\n", why.c_str());
    }
    std::this_thread::sleep_for(10 * interval); // what the handshake left on the air is over
    show(edge, terms, r.shown, interval, r.seed, relay.gauge(), &streams, c);
    c.lost = linked && !edge.link_now().up;
    if (c.lost) std::fprintf(stderr, "visual_wake: %s: the connection to the cloud was lost: %s; the device went on without it\n", c.name.c_str(), edge.link_failure().c_str());
}

/// Every own answer again, in one piece and without a link; they have to agree bit for bit. `cloud_too`: it runs the same code.
inline void compare(std::span<std::optional<unsplit>> in_one_piece, bool cloud_too, run_record& r) {
    using splitdsl::answer_source;
    std::vector<std::byte> sent(encoded_max), planes(picture_bytes);
    for (std::size_t w = 0; w < in_one_piece.size(); ++w) {
        if (!in_one_piece[w]) continue;
        unsplit& whole = *in_one_piece[w];
        r.trunk[w].resize(r.shown.stills.size());
        for (std::size_t p = 0; p < r.shown.stills.size(); ++p) {
            whole.look_at(r.shown.stills[p]);
            r.trunk[w][p] = best_of(whole.trunk());
            for (contestant& c : r.list) {
                if (c.what->net != w) continue;
                for (std::size_t k = p; k < c.frames.size(); k += r.shown.stills.size()) {
                    frame_record& f = c.frames[k];
                    if (!splitdsl::is_own(f.source) || (f.source == answer_source::cloud && !cloud_too)) continue;
                    ++c.compared;
                    if (f.source == answer_source::cloud && c.what->encoding >= 0) {
                        // The cloud saw what the encoding left of the picture.
                        const std::size_t size = encode_picture(r.shown.stills[p].pixels, sent, c.what->encoding);
                        still seen{.pixels = planes};
                        f.differs = !decode_picture(std::span{sent}.first(size), seen.pixels);
                        whole.look_at(seen);
                        f.differs = f.differs || !same(whole.trunk(), f.values);
                        whole.look_at(r.shown.stills[p]);
                    } else if (f.source == answer_source::cloud)
                        f.differs = !whole.cloud_may_say(c.what->cuts() ? whole.streams() - 1 : f.exit, f.values, f.before, f.here);
                    else if (f.source == answer_source::exit) {
                        int nth = f.exit, place = 0;
                        for (; nth > 0 || c.what->exits[static_cast<std::size_t>(place)] == 0; ++place) nth -= c.what->exits[static_cast<std::size_t>(place)];
                        f.differs = !same(whole.exit(place), f.values);
                    } else
                        f.differs = !same(whole.trunk(), f.values);
                }
            }
        }
    }
}

} // namespace visual_wake
