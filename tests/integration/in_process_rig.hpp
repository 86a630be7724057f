// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file in_process_rig.hpp
/// A cloud and an edge that are connected within this process, and an edge that offloads whenever the link is up.
#pragma once

#include "../catch.hpp"

#include "fake_network.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/edge_core.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>

namespace splitdsl {

struct offload_when_up : fake::quiet {
    action on(stage_done s, const link_view& l, const budget&) noexcept { return s.stage == 0 && l.up ? action::offload_at(0) : action::go_on(); }
    using fake::quiet::on;
};

/// Nothing is measured: what runs beside a test takes no frame from the cloud.
inline edge_options unmeasured(duration deadline, std::uint64_t digest = 0) {
    edge_options o{.deadline = deadline, .reserve = std::chrono::milliseconds{40}, .calibration_runs = 0};
    o.weights_digest = digest;
    return o;
}

/// At most ten seconds.
template <class Condition>
bool comes_true(Condition c) {
    for (int i = 0; i < 10'000 && !c(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    return c();
}

template <class Policy>
struct connected {
    connected(const pipeline& above, const pipeline& below, std::span<const std::byte> packed, Policy policy, const edge_options& o, cloud_options c)
        : connected{above, below, packed, std::move(policy), o, std::move(c), std::make_unique<link::in_process_listener>()} {}
    /// Both sides of one network.
    template <class Weights>
    connected(const Weights& w, Policy policy, duration deadline)
        : connected{w.net(), w.net(), w.bytes(), std::move(policy), unmeasured(deadline, w.digest()), cloud_options{.weights_digest = w.digest()}} {}

    cloud_core cloud;
    edge_core<Policy> edge;

private:
    connected(const pipeline& above, const pipeline& below, std::span<const std::byte> packed, Policy policy, const edge_options& o, cloud_options c,
              std::unique_ptr<link::in_process_listener> door)
        : connected{above, below, packed, std::move(policy), o, std::move(c), std::make_unique<link::in_process>(*door), std::move(door)} {}
    connected(const pipeline& above, const pipeline& below, std::span<const std::byte> packed, Policy policy, const edge_options& o, cloud_options c,
              std::unique_ptr<link::connector> way, std::unique_ptr<link::listener> door)
        : cloud{above, packed, std::move(c), std::move(door)}, edge{below, packed, std::move(policy), o, std::move(way)} {
        REQUIRE(comes_true([this] { return edge.link_now().up; }));
    }
};

} // namespace splitdsl
