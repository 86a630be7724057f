// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file edge_options.hpp
/// Everything a user may set on an edge, with the defaults that suit a 10 Hz control loop.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/runtime/breaker.hpp>
#include <splitdsl/runtime/finite.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/threads.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl {

/// One frame's inputs: one span a network input, in the network's order, each exactly `tensor_info::bytes` long.
using frame_inputs = std::span<const std::span<const std::byte>>;

/// Where an early exit stands. `confidence` maps its values to [0, 1]; null: what the policy's `confidence_kind` makes of them, as of an exit that ends
/// in `softmax()`. Where it throws, the exit does not answer that frame.
struct exit_place {
    int stage{};               ///< the stage that computes it
    std::size_t first_float{}; ///< where its values begin among `pipeline::output_floats`
    std::size_t floats{};
    float (*confidence)(std::span<const float>){};
};
/// The exit that `stage` computes, and how sure it is of its values among all `outputs`; -1 and 0 if the stage has none, or one that is not finite.
inline std::pair<int, float> exit_behind(int stage, std::span<const exit_place> exits, std::span<const float> outputs,
                                         policy::confidence_kind kind = policy::confidence_kind::top1) {
    for (std::size_t i = 0; i < exits.size(); ++i) {
        if (exits[i].stage != stage) continue;
        const auto values = outputs.subspan(exits[i].first_float, exits[i].floats);
        if (!all_finite(values)) break;
        return {static_cast<int>(i), exits[i].confidence ? exits[i].confidence(values) : policy::confidence_of(values, kind)};
    }
    return {-1, 0.0F};
}

/// The exits that an edge uses: those of the options, else those that the network declares.
inline std::vector<exit_place> exits_of(const pipeline& p, std::span<const exit_place> chosen, bool use = true) {
    std::vector<exit_place> exits;
    if (!use) return exits;
    exits.assign(chosen.begin(), chosen.end());
    if (chosen.empty())
        for (const exit_info& e : p.exits) exits.push_back({.stage = e.stage, .first_float = e.first_float, .floats = e.floats});
    return exits;
}

/// How the link thread keeps the connection and its picture of it.
struct session_options {
    /// A ping so often (round trip, sign of life); not behind a payload. Far below the cloud's `idle_limit` (60 s), which ends a connection that says nothing for so long.
    duration ping_interval{std::chrono::milliseconds{250}};
    duration probe_interval{std::chrono::seconds{1}};       ///< when no payload was sent for so long: a rate probe
    std::size_t probe_bytes{2048};                          ///< of a rate probe, at most the 65,536 that a cloud takes; 0: none
    duration silence{std::chrono::seconds{1}};              ///< something is unanswered for so long: the link counts as down; longer than the longest round trip there may be
    /// A payload is unsent for so long: reset. On a radio on which payloads take seconds, `silence` and `dead` have to be as long; above 30 s `cloud_options::arrival_limit` too.
    duration stuck{std::chrono::seconds{1}};
    duration dead{std::chrono::seconds{3}};                 ///< silent for so long: reset
    duration connect_timeout{std::chrono::seconds{1}}; ///< to connect, and again for the handshake: an edge's destructor may wait so long for the former
    duration first_retry{std::chrono::milliseconds{50}}; ///< pause between attempts, doubled up to `longest_retry`; of each a random half is left out
    duration longest_retry{std::chrono::seconds{1}};     ///< a connection that lasted so long is tried anew at once, one that did not behind a pause
    std::uint64_t retry_seed{};                          ///< of what is left out; 0: by chance
};

struct edge_stream_hooks;

/// Everything a user may set on an edge. Refused by its constructor (option_error): a deadline of 0 or less, or above 24 hours; a `reserve`, `last_resort_lead`,
/// stage time, time of the link or pause of the breaker outside 0 to 24 hours; probes above 64 KiB; `stage_times` for another number of stages, a `preset` of another size than the answer's; more than 250 exits or one outside
/// the network; negative times of the calibration; a tenant_token above 256 bytes; a real-time priority outside 0 to 99.
struct edge_options {
    duration deadline{std::chrono::milliseconds{100}}; ///< from `submit` on
    /// Time kept for the local tail behind the first cut. Never less than twice the tail's p99, measured at construction and in the frames since, if it is measured.
    /// A reserve that does not fit into the deadline is not refused: `edge_report::fits` tells, and frames keep less (frame_rules::kept).
    duration reserve{};
    /// The sentinel answers half of this before the deadline; part of what has to fit.
    duration last_resort_lead{std::chrono::microseconds{500}};
    /// Pacing: a stage takes at least this long (a device profile), counted from the moment at which the one before was due to end, so
    /// that what this machine takes between them does not add up. Empty: as it is.
    std::span<const duration> stage_times{};
    std::span<const float> preset{};         ///< the answer before there is any; empty: zeros
    std::span<const exit_place> exits{};     ///< in place of the network's own (`pipeline::exits`), if it is not empty
    bool use_exits{true};                    ///< false: no early exit answers, neither for the policy nor as a last resort
    int calibration_runs{100}; ///< of the whole network at construction, to measure it; 0: `reserve` is taken at its word
    duration calibration_time{std::chrono::seconds{1}}; ///< no further run is begun after this, once there were 20
    breaker_options breaker{};
    session_options link{};
    thread_options threads{};
    const task_runner* workers{};   ///< for a fan's parts and a step's tasks (runtime/parallel.hpp); null: the compute thread alone
    std::uint64_t weights_digest{}; ///< compared by the handshake
    std::string tenant_token{};     ///< says to a cloud with tenants (runtime/cloud_tenants.hpp) who asks; not encrypted on its way
    /// Encodes the whole input for a policy that offloads it (cut -1) in the encoding that the action names (0 if it names none); returns
    /// the bytes written. Where it throws, that frame stays here. Empty: the inputs' bytes one after another.
    std::function<std::size_t(frame_inputs, std::span<std::byte>, int)> encode_input{};
    edge_stream_hooks* streams{}; ///< of a network with dynamic_pool streams (runtime/edge_streams.hpp); outlives the edge
    std::size_t encoded_input_max{}; ///< room for `encode_input`; 0: the inputs' size and 1 kB
};

namespace detail {
/// What a policy sends that offloads the whole input: in an encoding of `encode_input`, or the inputs' bytes one after another. Gives the bytes written.
inline std::size_t write_inputs(const edge_options& o, frame_inputs in, std::span<std::byte> room, int codec) {
    if (o.encode_input) return o.encode_input(in, room, codec);
    std::size_t size{};
    for (const auto s : in) {
        std::memcpy(room.data() + size, s.data(), s.size());
        size += s.size();
    }
    return size;
}
} // namespace detail

} // namespace splitdsl
