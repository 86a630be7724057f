// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_process.hpp
/// The cloud as a process of its own: serving it, and starting, killing and restarting it from the drive.
#pragma once

#include "../processes/serving_process.hpp"
#include "driver_pipeline.hpp"
#include "jpeg.hpp"
#include "scenario.hpp"

#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace drive {

/// Serves the driver's tails until SIGINT or SIGTERM, or the parent's end. Prints "port N" when ready, and what it counted at the end.
inline int serve(const scenario& s, std::uint16_t port, const std::string& bind) {
    using namespace splitdsl;
    const processes::interruption end;
    const auto weights = load_weights<driver>(s.weights);
    auto codec = std::make_shared<picture_codec>(s.jpeg_quality);
    cloud_options options;
    options.decode_input = [codec](std::span<const std::byte> from, std::span<const std::span<std::byte>> to) { return decode_whole_input(*codec, from, to); };
    options.encoded_input_max = picture_codec::largest() + 16;
    options.workers = default_runner();
    const cloud<driver> cloud{weights, std::move(options), std::make_unique<link::tcp_listener>(port, bind)};
    std::printf("port %u\n", static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    end.wait();
    const cloud_counters c = cloud.counters();
    std::printf("requests %llu answered %llu shed %llu\n", static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.answered),
                static_cast<unsigned long long>(c.shed_late + c.shed_full + c.damaged));
    if (const std::string ended = endings_sentence(c); !ended.empty()) std::printf("%s\n", ended.c_str());
    return 0;
}

/// A cloud that can be killed and started again.
class cloud_process {
public:
    cloud_process(std::string program_, std::string scenario_file) : program(std::move(program_)), file(std::move(scenario_file)) { start(); }

    std::uint16_t port() const { return bound; }
    /// kill -9.
    void kill() { running.reset(); }
    /// Starts it (again), on the port it had. Waits until it is ready.
    void start() {
        running.emplace(std::vector<std::string>{program, "--serve", std::to_string(bound), "--scenario", file});
        bound = running->port();
    }

private:
    std::string program, file;
    std::uint16_t bound{};
    std::optional<processes::serving_process> running;
};

} // namespace drive
