// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_process.hpp
/// The cloud as a process of its own: serving it, starting it, and what it says when it is asked to end.
#pragma once

#include "../processes/serving_process.hpp"
#include "network.hpp"

#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <cstdio>
#include <memory>
#include <string>

namespace visual_wake {

/// What a cloud counted until its end.
struct cloud_tally {
    unsigned long long frames{}, predictions{}, replies{}, unsure{}, stopped{};
};

/// What comes within 4 ms is of one connection event, and answered together.
inline constexpr splitdsl::duration burst_gap = std::chrono::milliseconds{4};

/// Serves the streams' exits until SIGINT or SIGTERM. Prints "port N" when ready, and what it counted at the end.
inline int serve(const std::string& weights_file, float threshold, std::uint16_t port, const std::string& bind) {
    const processes::interruption end;
    const auto weights = splitdsl::load_weights<wake_network>(weights_file);
    splitdsl::cloud_streams streams{weights.net(), weights.bytes(), {.thresholds = {threshold}, .gap = burst_gap}};
    const splitdsl::cloud_core cloud{weights.net(),
                                     weights.bytes(),
                                     {.weights_digest = weights.digest(), .streams = &streams},
                                     std::make_unique<splitdsl::link::tcp_listener>(port, bind)};
    std::printf("port %u\n", static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    end.wait();
    const auto c = streams.counters();
    const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
    std::printf("frames %llu predictions %llu replies %llu unsure %llu stopped %llu\n", n(c.frames), n(c.predictions), n(c.replies),
                n(c.unsure), n(c.stopped));
    return 0;
}

/// A running `--serve`.
class cloud_process {
public:
    cloud_process(const std::string& program, const std::string& weights_file, float threshold)
        : running{{program, "--serve", "0", "--weights", weights_file, "--threshold", std::to_string(threshold)}} {}

    std::uint16_t port() const { return running.port(); }
    /// Asks it to end, waits, and reads what it counted.
    cloud_tally stop() {
        running.end(SIGTERM);
        cloud_tally t;
        const int read = std::fscanf(running.output(), " frames %llu predictions %llu replies %llu unsure %llu stopped %llu", &t.frames,
                                     &t.predictions, &t.replies, &t.unsure, &t.stopped);
        return read == 5 ? t : cloud_tally{};
    }

private:
    processes::serving_process running;
};

} // namespace visual_wake
