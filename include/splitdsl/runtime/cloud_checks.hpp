// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_checks.hpp
/// What a cloud refuses of its options, and the sizes of a network's messages.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/cloud_connection.hpp>
#include <splitdsl/runtime/cloud_options.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace splitdsl::detail {

inline constexpr std::size_t max_payload = std::size_t{256} << 20;

/// What `cloud_options` says is refused.
inline cloud_options checked(cloud_options o) {
    const auto within = [](const char* name, int found, int largest) {
        if (found < 1 || found > largest)
            throw option_error(std::string{"cloud: "} + name + " of 1 to " + std::to_string(largest) + " was expected, found "
                               + std::to_string(found));
    };
    within("parallel", o.parallel, most_parallel);
    within("queue_max", o.queue_max, most_waiting);
    if (o.connections_max < 1)
        throw option_error("cloud: connections_max of at least 1 was expected, found " + std::to_string(o.connections_max));
    if (o.batch < 1) throw option_error("cloud: a batch of at least 1 was expected, found " + std::to_string(o.batch));
    if (o.batch_wait < duration{} || o.batch_wait > std::chrono::seconds{10})
        throw option_error("cloud: a batch_wait of 0 to 10000 ms was expected, found " + number_text(to_milliseconds(o.batch_wait))
                           + " ms");
    if (o.handshake_timeout <= duration{})
        throw option_error("cloud: a handshake_timeout above 0 was expected, found " + number_text(to_milliseconds(o.handshake_timeout)) + " ms");
    if (o.onward != nullptr && (o.batch > 1 || o.streams != nullptr))
        throw option_error("middle tier: a batch of 1 and no streams were expected, found a batch of " + std::to_string(o.batch)
                           + (o.streams != nullptr ? " and streams" : ""));
    check_tenants(o.tenants);
    if (const duration least = std::min({o.idle_limit, o.idle_least, o.arrival_limit}); least < duration{})
        throw option_error("cloud: an idle_limit, an idle_least and an arrival_limit of 0 or more were expected, found " + number_text(to_milliseconds(least)) + " ms");
    return o;
}

/// What one connection may send and be sent, by the network's own type.
inline message_sizes sizes_of(const pipeline& p, const cloud_options& o) {
    message_sizes m{.reply = link::header_bytes + p.output_floats * sizeof(float)};
    m.request = o.decode_input ? encoded_input_room(p.inputs, o.encoded_input_max) : input_bytes_of(p.inputs);
    m.input = static_cast<std::uint32_t>(m.request);
    for (const auto& c : p.cuts) {
        m.cuts.push_back(static_cast<std::uint32_t>(c.payload_bytes));
        m.request = std::max(m.request, c.payload_bytes);
    }
    if (o.streams != nullptr) {
        m.streams = o.streams->streams();
        m.stream_packet = o.streams->packet_bytes();
    }
    if (m.cuts.size() > static_cast<std::size_t>(max_cuts) || m.request > max_payload)
        throw option_error("cloud: at most " + std::to_string(max_cuts) + " cuts of at most " + std::to_string(max_payload)
                           + " bytes were expected");
    return m;
}

} // namespace splitdsl::detail
