// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud.hpp
/// The strong machine's side of a declared network: `cloud<Network>`.
#pragma once

#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <memory>
#include <utility>

namespace splitdsl {

/// Serves the tails of `Network` behind every cut until destroyed. Everything else is `cloud_core`.
///
/// ```cpp body
/// cloud<lane_keeper> cloud{weights, {}, std::make_unique<link::tcp_listener>(7447, "0.0.0.0")};
/// ```
template <class Network>
class cloud {
public:
    cloud(const network_weights<Network>& weights, cloud_options options, std::unique_ptr<link::listener> where)
        : owned{weights}, core{owned.net(), owned.bytes(), with_digest(std::move(options), owned), std::move(where)} {}

    std::uint16_t port() const { return core.port(); }
    cloud_counters counters() const { return core.counters(); }

private:
    static cloud_options with_digest(cloud_options o, const network_weights<Network>& w) {
        o.weights_digest = w.digest();
        return o;
    }
    network_weights<Network> owned;
    cloud_core core;
};

} // namespace splitdsl
