// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file option_bounds_test.cpp
/// Options of edges, clouds and streams that nobody can mean: refused in a sentence that names them, the outermost good ones taken.
#include "../catch.hpp"

#include "../unit/refusals.hpp"
#include "fake_network.hpp"
#include "stream_network.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_core.hpp>

#include <array>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

edge_options good_edge() { return {.deadline = 30ms, .calibration_runs = 0}; }

std::string refused(const edge_options& o, const pipeline& net = fake::network<fake::edge_behaviour>()) {
    fake::edge_behaviour.calm(0ms);
    return refusal([&] { edge_core<fake::quiet>{net, {}, fake::quiet{}, o, nullptr}; });
}
template <class Change>
std::string refused_edge(Change change) {
    edge_options o = good_edge();
    change(o);
    return refused(o);
}
template <class Change>
std::string refused_cloud(Change change) {
    fake::cloud_behaviour.calm(0ms);
    cloud_options o;
    change(o);
    return refusal([&] { cloud_core{fake::network<fake::cloud_behaviour>(), {}, o, std::make_unique<link::in_process_listener>()}; });
}
const std::string taken = "nothing was refused";

} // namespace

TEST_CASE("an edge's deadline is above 0 and at most a day, and no sum of times overflows") {
    for (const duration wrong : {duration{}, duration{-1}, duration::min(), duration::max(), duration{24h} + 1ns})
        CHECK(says(refused_edge([&](edge_options& o) { o.deadline = wrong; }),
                   "edge: a deadline above 0 and of at most 24 hours was expected, found " + std::to_string(wrong.count())));
    CHECK(refused_edge([](edge_options& o) { o.deadline = 24h; }) == taken);
    CHECK(says(refused_edge([](edge_options& o) { o.reserve = duration::max(); }), "a reserve of 0 to 24 hours"));
    CHECK(says(refused_edge([](edge_options& o) { o.last_resort_lead = -1ns; }), "a last_resort_lead of 0 to 24 hours"));
    for (const duration wrong : {duration{-5ms}, duration::max()}) {
        const std::array<duration, 3> stages{1ms, wrong, 1ms};
        CHECK(says(refused_edge([&](edge_options& o) { o.stage_times = stages; }), "a stage_times entry of 0 to 24 hours"));
    }
}

TEST_CASE("an edge's other options are refused outside their bounds") {
    const auto link_time = [](duration session_options::*which) { return refused_edge([&](edge_options& o) { o.link.*which = -1ms; }); };
    for (const auto which :
         {&session_options::first_retry, &session_options::longest_retry, &session_options::ping_interval, &session_options::probe_interval,
          &session_options::silence, &session_options::stuck, &session_options::dead, &session_options::connect_timeout})
        CHECK(says(link_time(which), "edge: a link time of 0 to 24 hours was expected, found -1 ms"));
    CHECK(says(refused_edge([](edge_options& o) { o.link.probe_bytes = 65'537; }), "edge: probe_bytes of at most 65536 were expected, found 65537"));
    CHECK(refused_edge([](edge_options& o) { o.link.probe_bytes = 65'536; }) == taken);
    CHECK(says(refused_edge([](edge_options& o) { o.link.connect_timeout = duration::max(); }), "a link time of 0 to 24 hours"));
    CHECK(refused_edge([](edge_options& o) { o.link.silence = o.link.dead = o.link.ping_interval = o.breaker.longest_pause = 24h; }) == taken);
    for (const duration wrong : {duration{-1ms}, duration::max()}) {
        CHECK(says(refused_edge([&](edge_options& o) { o.breaker.first_pause = wrong; }), "edge: a breaker pause of 0 to 24 hours was expected"));
        CHECK(says(refused_edge([&](edge_options& o) { o.breaker.longest_pause = wrong; }), "edge: a breaker pause of 0 to 24 hours was expected"));
    }
    CHECK(says(refused_edge([](edge_options& o) { o.calibration_runs = -1; }), "calibration_runs"));
    CHECK(says(refused_edge([](edge_options& o) { o.calibration_time = -1s; }), "calibration_time"));
    for (const int wrong : {-1, 100, 1000})
        CHECK(says(refused_edge([&](edge_options& o) { o.threads.real_time_priority = wrong; }),
                   "a real_time_priority of 0 to 99 was expected, found " + std::to_string(wrong)));
}

TEST_CASE("a preset is of whole outputs") {
    const std::vector<float> values(2 * fake::outputs + 1);
    const auto of = [&](std::size_t size) {
        edge_options o = good_edge();
        o.preset = std::span{values}.first(size);
        return refused(o, fake::network<fake::edge_behaviour>(42, 2 * fake::outputs)); // the second half is an exit's
    };
    CHECK(of(0) == taken);
    CHECK(of(fake::outputs) == taken);
    CHECK(of(2 * fake::outputs) == taken);
    for (const std::size_t wrong : {std::size_t{1}, fake::outputs - 1, fake::outputs + 1, 2 * fake::outputs + 1})
        CHECK(says(of(wrong), "edge: a preset of whole outputs was expected, 8 floats for all of them, found " + std::to_string(wrong)));
}

TEST_CASE("a policy that streams wants its streams, if the network has some and there is a link") {
    const auto s = streamed::network();
    const auto made = [&](const pipeline& net, bool linked) {
        auto listener = std::make_unique<link::in_process_listener>();
        std::unique_ptr<link::connector> where;
        if (linked) where = std::make_unique<link::in_process>(*listener);
        const policy::fleet plan{policy::fleet_plan(streamed::streams, streamed::sizes, 0.5F)};
        return refusal([&] {
            edge_core<policy::fleet>{net, s.packed, plan, {.deadline = 500ms, .calibration_runs = 0}, std::move(where)};
        });
    };
    CHECK(says(made(*s.net, true),
               "edge: `streams` (edge_streams) were expected for a policy that streams on a network with 3 streams, found none"));
    CHECK(made(*s.net, false) == taken);
    CHECK(made(fake::network<fake::edge_behaviour>(), true) == taken);
}

TEST_CASE("a cloud's options are refused outside their bounds") {
    for (const int wrong : {-5, 0, most_parallel + 1, std::numeric_limits<int>::max()})
        CHECK(says(refused_cloud([&](cloud_options& o) { o.parallel = wrong; }),
                   "cloud: parallel of 1 to 1024 was expected, found " + std::to_string(wrong)));
    for (const int wrong : {-5, 0, most_waiting + 1, std::numeric_limits<int>::max()})
        CHECK(says(refused_cloud([&](cloud_options& o) { o.queue_max = wrong; }),
                   "cloud: queue_max of 1 to 65536 was expected, found " + std::to_string(wrong)));
    CHECK(
        says(refused_cloud([](cloud_options& o) { o.connections_max = 0; }), "cloud: connections_max of at least 1 was expected, found 0"));
    CHECK(says(refused_cloud([](cloud_options& o) { o.batch = 0; }), "cloud: a batch of at least 1 was expected, found 0"));
    for (const auto& [wrong, found] : {std::pair{duration{}, "0 ms"}, {duration{-1500us}, "-1.5 ms"}})
        CHECK(says(refused_cloud([time = wrong](cloud_options& o) { o.handshake_timeout = time; }), std::string{"cloud: a handshake_timeout above 0 was expected, found "} + found));
    for (const auto which : {&cloud_options::idle_limit, &cloud_options::idle_least, &cloud_options::arrival_limit})
        CHECK(says(refused_cloud([&](cloud_options& o) { o.*which = -1ms; }), "cloud: an idle_limit, an idle_least and an arrival_limit of 0 or more were expected, found -1 ms"));
    CHECK(refused_cloud([](cloud_options& o) { o.parallel = 3, o.queue_max = most_waiting, o.handshake_timeout = 1ms; }) == taken);
}

TEST_CASE("a cloud's streams take a threshold for each at most, and places to compute in within bounds") {
    const auto s = streamed::network();
    const auto made = [&](cloud_stream_options o) { return refusal([&] { cloud_streams{*s.net, s.packed, std::move(o)}; }); };
    CHECK(made({.thresholds = {0.5F}}) == taken); // the further ones take the last
    CHECK(made({.thresholds = {0.5F, 0.6F, 0.7F}}) == taken);
    CHECK(
        says(made({.thresholds = {0.5F, 0.6F, 0.7F, 0.8F}}), "cloud streams: expected at most a threshold for each of 3 streams, found 4"));
    CHECK(says(made({.parallel = most_parallel + 1}), "cloud streams: expected parallel of 1 to 1024, found 1025"));
}
