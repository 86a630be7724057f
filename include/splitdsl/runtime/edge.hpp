// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file edge.hpp
/// The device's side of a declared network: `edge<Network, Policy>`.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <array>
#include <concepts>
#include <memory>
#include <string>
#include <utility>

namespace splitdsl {

/// Answers every frame of `Network` by its deadline; `Policy` decides which way each one goes. Everything else is `edge_core`.
///
/// Throws `option_error` for options that do not fit the network. A link that is down is no error: frames are then answered here.
///
/// ```cpp
/// edge<lane_keeper, policy::sage> edge{weights, policy::sage{costs}, {.deadline = 100ms}, link::tcp{"tail.local", 7447}};
/// const answer a = edge.infer({camera_bytes}, control);      // a.source: cloud, edge, fallback, ...
/// ```
template <class Network, scheduler_policy Policy>
class edge {
public:
    template <std::derived_from<link::connector> Connector>
    edge(const network_weights<Network>& weights, Policy policy, edge_options options, Connector where)
        : edge(weights, std::move(policy), std::move(options), std::unique_ptr<link::connector>(std::make_unique<Connector>(std::move(where)))) {}
    /// Without a link: every frame is answered here.
    edge(const network_weights<Network>& weights, Policy policy, edge_options options, std::unique_ptr<link::connector> where = {})
        : owned{weights}, core{owned.net(), owned.bytes(), std::move(policy), with_digest(std::move(options), owned), std::move(where)} {}

    /// One span of bytes an input, in the order the network declares them.
    template <std::size_t Inputs>
    answer infer(const std::array<std::span<const std::byte>, Inputs>& inputs, std::span<float> values) noexcept { return core.infer(inputs, values); }
    template <std::size_t Inputs>
    std::uint32_t submit(const std::array<std::span<const std::byte>, Inputs>& inputs) noexcept { return core.submit(inputs); }
    bool poll(answer& a) noexcept { return core.poll(a); }

    edge_counters counters() const { return core.counters(); }
    edge_report report() const { return core.report(); }
    const edge_distributions& distributions() const { return core.distributions(); }
    link_view link_now() const { return core.link_now(); }
    /// Why there is no connection, for people: nobody listens, or what the handshake found to differ. Empty without a link.
    std::string link_failure() const { return core.link_failure(); }
    const stage_profile& profile() const { return core.profile(); }

private:
    static edge_options with_digest(edge_options o, const network_weights<Network>& w) {
        o.weights_digest = w.digest();
        return o;
    }
    network_weights<Network> owned;
    edge_core<Policy> core;
};

} // namespace splitdsl
