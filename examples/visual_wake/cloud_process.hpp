// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_process.hpp
/// The cloud as a process of its own: serving it, starting it, and what it says when it is asked to end.
#pragma once

#include "../processes/serving_process.hpp"
#include "contestant.hpp"

#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/radio/ble.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace visual_wake {

/// What comes within this time is of one connection event, and answered together: a packet of the radio and what a host may sleep over.
inline splitdsl::duration burst_gap(const splitdsl::radio::ble_setting& s) {
    return std::max<splitdsl::duration>(std::chrono::milliseconds{4},
                                        splitdsl::radio::exchange_airtime(s.phy, s.octets, 0, s.encrypted) + std::chrono::milliseconds{2});
}

/// What an answer takes the modelled cloud: a millisecond behind that gap. More where the answer to an event that is full would else be
/// ready in the last half millisecond before an event, for then the host would decide which one it leaves in.
inline splitdsl::duration cloud_pace(const splitdsl::radio::ble_setting& s, int message_bytes) {
    using namespace splitdsl::radio;
    using namespace std::chrono_literals;
    const splitdsl::duration pace = burst_gap(s) + 1ms;
    const int octets = std::min(message_bytes + s.header_octets, s.octets);
    const splitdsl::duration ready = (packets_per_event(s) - 1) * exchange_airtime(s.phy, octets, 0, s.encrypted) + pdu_airtime(s.phy, 0)
                                     + ble_frame_space + pdu_airtime(s.phy, octets, s.encrypted) + pace;
    const splitdsl::duration to_event = s.interval - ready % s.interval;
    return to_event < 500us ? pace + to_event + 500us : pace;
}

/// Instead of a file: untrained weights from a seed. Times and bytes then mean something, classes do not.
inline constexpr const char* made_up_weights = "made-up";

/// A network and its weights, whichever of the two it is.
struct subject {
    const splitdsl::pipeline* net{};
    std::span<const std::byte> packed{};
    std::uint64_t digest{};
    std::shared_ptr<const void> owner{};
    template <class Network>
    static subject load(const std::string& file) {
        auto w = std::make_shared<const splitdsl::network_weights<Network>>(file == made_up_weights ? splitdsl::seeded_weights<Network>(1) : splitdsl::load_weights<Network>(file));
        return {&w->net(), w->bytes(), w->digest(), w};
    }
    static subject load(const std::string& file, std::size_t net) {
        return net == wide ? load<wide_network>(file) : net == by_width ? load<clio_network>(file) : load<wake_network>(file);
    }
};

/// What a cloud is told.
struct cloud_terms {
    std::string weights{};
    std::size_t net{narrow};
    double threshold{}; ///< less sure answers are kept
    double gap_ms{4};   ///< nothing for so long: the burst is over
    double pace_ms{};   ///< an answer takes at least so long
    std::int64_t first_event_ns{}, interval_ns{}; ///< the radio's, by this machine's steady clock; 0: not known
};

/// Serves the streams' exits, and whole pictures, until SIGINT or SIGTERM. Prints "port N" when ready, and what it counted at the end.
inline int serve(const cloud_terms& t, std::uint16_t port, const std::string& bind) {
    const processes::interruption end;
    const subject weights = subject::load(t.weights, t.net);
    splitdsl::cloud_streams streams{*weights.net,
                                    weights.packed,
                                    {.thresholds = {static_cast<float>(t.threshold)},
                                     .gap = splitdsl::from_milliseconds(t.gap_ms),
                                     .first_event = splitdsl::instant{splitdsl::duration{t.first_event_ns}},
                                     .interval = splitdsl::duration{t.interval_ns},
                                     .pace = splitdsl::from_milliseconds(t.pace_ms)}};
    splitdsl::cloud_options options{.weights_digest = weights.digest, .streams = &streams, .encoded_input_max = encoded_max};
    options.decode_input = [](std::span<const std::byte> from, std::span<const std::span<std::byte>> to) { return decode_picture(from, to[0]); };
    const splitdsl::cloud_core cloud{*weights.net, weights.packed, options, std::make_unique<splitdsl::link::tcp_listener>(port, bind)};
    std::printf("port %u\n", static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    end.wait();
    const auto c = streams.counters();
    const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
    std::printf("frames %llu predictions %llu replies %llu unsure %llu stopped %llu\n", n(c.frames), n(c.predictions), n(c.replies),
                n(c.unsure), n(c.stopped));
    if (const std::string ended = splitdsl::endings_sentence(cloud.counters()); !ended.empty()) std::printf("%s\n", ended.c_str());
    return 0;
}

/// A running `--serve`.
class cloud_process {
public:
    cloud_process(const std::string& program, const cloud_terms& t)
        : running{{program, "--serve", "0", "--network", networks[t.net].name, networks[t.net].option, t.weights, "--threshold",
                   splitdsl::detail::number_text(t.threshold), "--gap", splitdsl::detail::number_text(t.gap_ms), "--pace", splitdsl::detail::number_text(t.pace_ms), "--events",
                   std::to_string(t.first_event_ns), std::to_string(t.interval_ns)}} {}

    std::uint16_t port() const { return running.port(); }
    /// Asks it to end, waits, and reads what it counted; nothing if it ended before.
    std::optional<cloud_tally> stop() {
        running.end(SIGTERM);
        cloud_tally t;
        const int read = std::fscanf(running.output(), " frames %llu predictions %llu replies %llu unsure %llu stopped %llu", &t.frames,
                                     &t.predictions, &t.replies, &t.unsure, &t.stopped);
        return read == 5 ? std::optional{t} : std::nullopt;
    }

private:
    processes::serving_process running;
};

} // namespace visual_wake
