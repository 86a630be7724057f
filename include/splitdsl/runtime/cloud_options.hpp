// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_options.hpp
/// What a cloud may be told, what it counts, and the names of the reasons for which it ends a connection.
#pragma once

#include <splitdsl/runtime/cloud_tenants.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/units.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace splitdsl {

struct cloud_stream_hooks;
class onward_hooks;

/// Each place to compute in has memory of the network's size and is run once at construction; no machine has as many processors.
inline constexpr int most_parallel = 1024;
/// Requests wait with their connections' memory; what waits behind so many is late whatever happens.
inline constexpr int most_waiting = 65'536;

/// Everything a user may set on a cloud. Refused by its constructor (option_error): `parallel` outside 1 to `most_parallel`, `queue_max`
/// outside 1 to `most_waiting`, `connections_max` or `batch` below 1, a `batch_wait` below 0 or above 10 s, a `handshake_timeout` of 0 or
/// less, an `idle_limit`, `idle_least` or `arrival_limit` below 0, and tenants as `check_tenants` says; several, where frames leave bytes outside the arenas: with streams, and
/// with a pipeline that keeps memory of its own for them (a GPU's).
struct cloud_options {
    int parallel{1};                ///< requests computed at once
    int connections_max{64};        ///< one more ends the oldest that has not introduced itself, or the one silent longest, or is refused in a sentence
    int batch{1};                   ///< requests at one cut that are computed together at most, if they wait at once; also bounded by `pipeline::batch_limit`
    duration batch_wait{};          ///< how long a request may wait for others to be computed with; 0: only what waits anyway
    int queue_max{64};              ///< requests waiting, of all connections; further ones are shed
    std::uint64_t weights_digest{}; ///< compared by the handshake
    const task_runner* workers{};   ///< splits a step over threads (runtime/parallel.hpp); null: one thread a request
    duration handshake_timeout{std::chrono::seconds{5}}; ///< from connecting to the hello; then the connection is ended
    /// A connection is ended that said nothing for so long; 0: none is. Edges ping every `session_options::ping_interval`, 0.25 s: keep it far above that.
    duration idle_limit{std::chrono::seconds{60}};
    duration idle_least{std::chrono::seconds{30}}; ///< where all have introduced themselves, one silent for so long makes room for a newcomer
    /// From a message's first byte to its last; then the connection is ended, so that no peer keeps its place by a byte now and then. 0: no limit. An edge gives up a
    /// payload itself that is unsent for `session_options::stuck`, 1 s: where edges raise that, keep this above it.
    duration arrival_limit{std::chrono::seconds{30}};
    /// Who is served, by their tokens, and what of the cloud each may have. Empty: whoever fits, all alike.
    std::vector<cloud_tenant> tenants{};
    /// Turns an encoded whole input (cut -1) into the network's inputs, one span each of the exact size. False: not decodable, which ends the
    /// connection; a throw costs this request alone. With `parallel` above 1, called by several threads at once.
    /// Empty: the payload is the inputs' bytes one after another.
    std::function<bool(std::span<const std::byte>, std::span<const std::span<std::byte>>)> decode_input{};
    cloud_stream_hooks* streams{}; ///< of a network with dynamic_pool streams (runtime/cloud_streams.hpp); outlives the cloud
    std::size_t encoded_input_max{}; ///< largest encoded input accepted; 0: the inputs' size and 1 kB
    onward_hooks* onward{}; ///< a middle tier's own (runtime/middle_core.hpp); null: every request is computed here
};

/// Why a connection ended.
enum class ending : std::uint8_t {
    peer_left,
    refused,
    no_handshake,
    malformed,
    wrong_size,
    unexpected,
    unknown_cut,
    bad_payload,
    too_slow,
    too_long,
    full,
    silent,
    no_resources,
    failed,
    shutdown
};
/// For people, by `ending`.
inline constexpr std::array<const char*, 15> ending_names{
    "peer left",          "handshake refused",    "no handshake in time",         "malformed header",      "wrong size",
    "unexpected message", "unknown cut or codec", "payload does not fit the cut", "peer reads too slowly", "a message took too long to arrive", "too many connections", "silent for too long",
    "no descriptor, memory or thread left", "a stream hook threw", "shut down"};
static_assert(ending_names.size() == static_cast<std::size_t>(ending::shutdown) + 1);

/// What a cloud saw since it was made.
struct cloud_counters {
    std::uint64_t connections{}, requests{}, answered{};
    std::uint64_t shed_late{}; ///< could not have been in time any more
    std::uint64_t shed_full{}; ///< no room in the queue, or three of its connection wait
    std::uint64_t failed{};    ///< decoding or computing it threw: the edge hears at once, the connection goes on
    std::uint64_t batches{};   ///< of more than one request
    std::uint64_t batched{};   ///< answered in them; also in `answered`
    std::uint64_t damaged{};   ///< payloads with a wrong checksum: shed, the connection goes on
    std::uint64_t pings{};     ///< and probes
    std::uint64_t bytes_in{}, bytes_out{}; ///< everything, headers, probes and handshakes included
    std::array<std::uint64_t, ending_names.size()> endings{}; ///< by `ending`
};

/// For people: "connections ended: 2 peer left, 1 silent for too long"; empty if none did.
inline std::string endings_sentence(const cloud_counters& c) {
    std::string s;
    for (std::size_t i = 0; i < ending_names.size(); ++i)
        if (c.endings[i] > 0) s += (s.empty() ? "connections ended: " : ", ") + std::to_string(c.endings[i]) + " " + ending_names[i];
    return s;
}

} // namespace splitdsl
