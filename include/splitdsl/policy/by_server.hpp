// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file by_server.hpp
/// A policy with costs of its own for each of several servers: other radios, other machines.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::policy {

/// Holds one `P` for each server and asks the one whose server was chosen for the frame (`link_view::server`). So a frame that would go over LTE is weighed
/// with LTE's power and that cloud's times, and one over Wi-Fi with those of the machine in the depot.
///
/// Refused (option_error): no policy at all; by the edge, another number of them than of servers. A policy that streams does not compile: streams have one server.
///
/// ```cpp body
/// deployment over_wifi = costs, over_lte = costs;
/// over_wifi.radio = radio::wifi;
/// over_lte.radio = radio::lte;
/// const policy::by_server<policy::sage> either{{policy::sage{over_wifi}, policy::sage{over_lte}}}; // in the order of the edge's servers
/// ```
template <scheduler_policy P>
class by_server {
    static constexpr bool begins_streams() {
        if constexpr (requires { P::streams; }) return static_cast<bool>(P::streams);
        else return false;
    }
    static_assert(!begins_streams(), "splitdsl: by_server: a policy that does not stream was expected; streams have one server");

public:
    static constexpr bool falls_back = falls_back_v<P>;

    explicit by_server(std::vector<P> one_a_server) : each{std::move(one_a_server)} {
        if (each.empty()) throw option_error("policy by_server: one policy for each server was expected, found none");
    }
    int servers() const noexcept { return static_cast<int>(each.size()); }

    action on(frame_start f, const link_view& l, const budget& b) noexcept { return of(l).on(f, l, b); }
    action on(stage_done s, const link_view& l, const budget& b) noexcept { return of(l).on(s, l, b); }
    verdict on(reply_arrived r, const link_view& l, const budget& b) noexcept { return of(l).on(r, l, b); }
    action on(link_event e, const link_view& l, const budget& b) noexcept { return of(l).on(e, l, b); }
    confidence_kind confidence() const noexcept { return confidence_kind_of(each.front()); }

private:
    P& of(const link_view& l) noexcept {
        const auto k = static_cast<std::size_t>(l.server); // below 0: larger than any
        return each[k < each.size() ? k : 0];
    }
    std::vector<P> each;
};

} // namespace splitdsl::policy
