// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file parties.hpp
/// Datacentre and factory as processes of their own: serving them, starting them, and what the factory says at its end.
#pragma once

#include "../processes/serving_process.hpp"
#include "network.hpp"

#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/policy/behind_cut.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/middle_tier.hpp>
#include <splitdsl/runtime/plan.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace three_tiers {

/// Made up for this example: what the policies weigh, and how fast the robot is.
inline const splitdsl::device_profile robot{.name = "robot", .macs_per_second = 4e9, .active_watts = splitdsl::watts{8}, .idle_watts = splitdsl::watts{1}};
inline const splitdsl::device_profile factory{.name = "factory", .macs_per_second = 20e9, .active_watts = splitdsl::watts{40}, .idle_watts = splitdsl::watts{4}};
inline const splitdsl::device_profile datacentre{.name = "datacentre", .macs_per_second = 100e9};

/// Everything comes back soon: the example takes seconds.
inline splitdsl::session_options quick_link() { return {.probe_interval = std::chrono::milliseconds{300}, .longest_retry = std::chrono::milliseconds{250}}; }
inline splitdsl::breaker_options quick_breaker() { return {.first_pause = std::chrono::milliseconds{100}, .longest_pause = std::chrono::milliseconds{400}}; }

inline void say_port(std::uint16_t port) {
    std::printf("port %u\n", static_cast<unsigned>(port));
    std::fflush(stdout);
}

/// The top tier, until SIGINT or SIGTERM.
inline int serve_datacentre(std::uint64_t seed, std::uint16_t port, const std::string& bind) {
    const processes::interruption end;
    const auto weights = splitdsl::seeded_weights<inspector>(seed);
    const splitdsl::cloud<inspector> cloud{weights, {.parallel = 2}, std::make_unique<splitdsl::link::tcp_listener>(port, bind)};
    say_port(cloud.port());
    end.wait();
    const splitdsl::cloud_counters c = cloud.counters();
    std::printf("requests %llu answered %llu\n", static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.answered));
    return 0;
}

/// The middle tier: SAGE at the second cut, with the datacentre behind it.
inline int serve_factory(std::uint64_t seed, std::uint16_t port, const std::string& bind, const splitdsl::link::host_port& next, splitdsl::duration deadline) {
    using namespace splitdsl;
    const processes::interruption end;
    const auto weights = seeded_weights<inspector>(seed);
    const deployment costs = plan_deployment(weights.net(), factory, stage_times(weights.net(), datacentre), {.deadline = deadline});
    middle_options options{.breaker = quick_breaker(), .link = quick_link()};
    options.serving.parallel = 2;
    const middle_tier<inspector, policy::sage> middle{weights, policy::sage{policy::behind_cut(costs, 0), {.cut = 1}}, options, std::make_unique<link::tcp_listener>(port, bind),
                                                      link::tcp{next.host, next.port}};
    say_port(middle.port());
    end.wait();
    const middle_counters c = middle.counters();
    std::printf("requests %llu here %llu datacentre %llu fallback %llu unanswered %llu late %llu\n", static_cast<unsigned long long>(c.serving.requests),
                static_cast<unsigned long long>(c.answers.here), static_cast<unsigned long long>(c.answers.upstream), static_cast<unsigned long long>(c.answers.fallback),
                static_cast<unsigned long long>(c.answers.unanswered), static_cast<unsigned long long>(c.answers.late));
    const std::string stayed = to_text(c.frame.stayed);
    std::printf("stayed: %s\n", stayed.empty() ? "never" : stayed.c_str());
    return 0;
}

/// What the factory counted until its end.
struct factory_tally {
    unsigned long long requests{}, here{}, datacentre{}, fallback{}, unanswered{}, late{};
    std::array<char, 400> stayed{}; ///< why its policy did not send frames on
};
/// Nothing if it ended before it was told to.
inline std::optional<factory_tally> tally_of(processes::serving_process& running) {
    running.end(SIGTERM);
    factory_tally t;
    const int read = std::fscanf(running.output(), " requests %llu here %llu datacentre %llu fallback %llu unanswered %llu late %llu stayed: %399[^\n]", &t.requests, &t.here, &t.datacentre,
                                 &t.fallback, &t.unanswered, &t.late, t.stayed.data());
    return read == 7 ? std::optional{t} : std::nullopt;
}

} // namespace three_tiers
