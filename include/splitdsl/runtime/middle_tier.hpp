// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file middle_tier.hpp
/// A tier between device and cloud of a declared network: `middle_tier<Network, Policy>`.
#pragma once

#include <splitdsl/runtime/middle_core.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace splitdsl {

/// Serves those who ask at one cut of `Network` and asks the next tier at a later one. Everything else is `middle_core`; docs/tiers.md shows three machines.
///
/// ```cpp body
/// const policy::sage at_the_factory{policy::behind_cut(costs, 0), {.cut = 1}};
/// const middle_tier<inspector, policy::sage> factory{inspector_weights, at_the_factory, {.serving = {.parallel = 4}},
///                                                    std::make_unique<link::tcp_listener>(7447, "0.0.0.0"), link::tcp{"cloud.local", 7447}};
/// ```
template <class Network, scheduler_policy Policy>
class middle_tier {
public:
    /// `next` is copied, once for each of `serving.parallel`.
    template <std::derived_from<link::connector> Connector>
        requires std::copy_constructible<Connector>
    middle_tier(const network_weights<Network>& weights, const Policy& policy, middle_options options, std::unique_ptr<link::listener> where, const Connector& next)
        : owned{weights},
          core{owned.net(), owned.bytes(), policy, with_digest(std::move(options), owned), std::move(where), [&next] { return std::make_unique<Connector>(next); }} {}

    std::uint16_t port() const { return core.port(); }
    middle_counters counters() const { return core.counters(); }
    /// Connections to the next tier over which a frame may be sent now, of `serving.parallel`.
    int links_up() const { return core.links_up(); }
    /// Why one of them is not up, for people; empty if all are.
    std::string link_failure() const { return core.link_failure(); }
    /// Kept for finishing here what comes in behind `cut` (-1: at the input).
    duration reserve_behind(int cut) const { return core.reserve_behind(cut); }

private:
    static middle_options with_digest(middle_options o, const network_weights<Network>& w) {
        o.serving.weights_digest = w.digest();
        return o;
    }
    network_weights<Network> owned;
    middle_core<Policy> core;
};

} // namespace splitdsl
