// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_process.hpp
/// The cloud as a process of its own: serving it, starting it, and what it says when it is asked to end.
#pragma once

#include "../processes/serving_process.hpp"
#include "network.hpp"

#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace three_cameras {

/// Serves the tail until SIGINT or SIGTERM. Prints "port N" when ready, and what it counted at the end.
inline int serve(std::uint64_t seed, std::uint16_t port, const std::string& bind) {
    const processes::interruption end;
    const auto weights = splitdsl::seeded_weights<driver>(seed);
    splitdsl::cloud_options options;
    options.workers = splitdsl::default_runner();
    const splitdsl::cloud<driver> cloud{weights, options, std::make_unique<splitdsl::link::tcp_listener>(port, bind)};
    std::printf("port %u\n", static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    end.wait();
    const splitdsl::cloud_counters c = cloud.counters();
    std::printf("requests %llu answered %llu shed %llu\n", static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.answered),
                static_cast<unsigned long long>(c.shed_late + c.shed_full + c.damaged));
    if (const std::string ended = splitdsl::endings_sentence(c); !ended.empty()) std::printf("%s\n", ended.c_str());
    return 0;
}

/// What a cloud counted until its end.
struct cloud_tally {
    unsigned long long requests{}, answered{}, shed{};
};

/// A running `--serve`.
class cloud_process {
public:
    cloud_process(const std::string& program, std::uint64_t seed) : running{{program, "--serve", "0", "--seed", std::to_string(seed)}} {}

    std::uint16_t port() const { return running.port(); }
    /// Asks it to end, waits, and reads what it counted; nothing if it ended before.
    std::optional<cloud_tally> stop() {
        running.end(SIGTERM);
        cloud_tally t;
        const int read = std::fscanf(running.output(), " requests %llu answered %llu shed %llu", &t.requests, &t.answered, &t.shed);
        return read == 3 ? std::optional{t} : std::nullopt;
    }

private:
    processes::serving_process running;
};

} // namespace three_cameras
