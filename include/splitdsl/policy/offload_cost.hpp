// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file offload_cost.hpp
/// What sending one payload would cost right now, in time and energy: the sums SAGE's equations share.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/energy/equations.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <cmath>
#include <string>

namespace splitdsl::policy {

/// Time and energy from the end of the head to the answer, if the payload is sent at the link's measured rates.
struct offload_cost {
    duration upload{};          ///< T_U
    duration download{};        ///< T_D
    duration communication{};   ///< T_comm = T_U + T_D + T_RTT
    duration until_answer{};    ///< T_comm + T_cloud
    joules radio{};             ///< E_comm
    joules idle{};              ///< E_idle, by the deployment's idle scope
    constexpr joules total() const { return radio + idle; }
};

/// The downlink rate to reckon with. A downlink that was never measured (0) counts as fast as the uplink: replies are tens of bytes, and
/// mobile downlinks are the faster direction.
constexpr bits_per_second known_downlink(const link_view& link) { return link.rate_down.value > 0 ? link.rate_down : link.rate_up; }

/// Eq. 1, 2, 3 and the idle term of Eq. 8 for one payload whose rest takes `cloud` on the cloud. O(1).
constexpr offload_cost cost_of_offload(const deployment& d, bytes payload, duration cloud, const link_view& link) {
    offload_cost c;
    c.upload = upload_time(payload, link.rate_up);
    c.download = download_time(d.reply, known_downlink(link));
    c.communication = communication_time(c.upload, c.download, link.rtt);
    c.until_answer = saturating_sum(c.communication, cloud);
    c.radio = communication_energy(d.radio, payload, c.upload, d.reply, c.download);
    c.idle = d.idle_power * idle_time(d.idle, c.upload, link.rtt, cloud, c.download);
    return c;
}

/// Whether the link's figures may be acted on: up, free, and not older than `staleness`. A policy stays local otherwise; the runtime
/// keeps the estimate fresh with probes.
constexpr bool usable(const link_view& link, duration staleness) { return link.up && !link.busy && link.age <= staleness; }
/// Why they may not be; `none` if they may.
constexpr stay_reason unusable(const link_view& link, duration staleness) {
    if (!link.up) return stay_reason::link_down;
    if (link.busy) return stay_reason::link_busy;
    if (link.age > staleness && link.age != duration::max()) return stay_reason::stale;
    return link.age <= staleness && link.rate_up.value > 0 ? stay_reason::none : stay_reason::no_rate;
}

/// Refuses (option_error) a deployment no policy can reckon with: cuts outside 0..16, a deadline of zero or less, times or sizes or
/// energies below zero or not finite.
inline void check_deployment(const deployment& d) {
    const auto refuse = [](const std::string& what, const std::string& expected, double found) {
        throw option_error("deployment: expected " + what + " " + expected + ", found " + splitdsl::detail::number_text(found));
    };
    const auto figure = [&](const std::string& what, double v) {
        if (!std::isfinite(v) || v < 0) refuse(what, "finite and at least 0", v);
    };
    const auto time = [&](const std::string& what, duration t) { figure(what + " (ms)", to_milliseconds(t)); };
    if (d.cuts < 0 || d.cuts > max_cuts) refuse("cuts", "in 0 to " + std::to_string(max_cuts), d.cuts);
    if (d.deadline.count() <= 0) refuse("deadline (ms)", "above 0", to_milliseconds(d.deadline));
    for (int k = 0; k < d.cuts; ++k) {
        const std::string cut = "cut " + std::to_string(k) + "'s ";
        figure(cut + "payload (bytes)", d.cut[k].payload.value);
        time(cut + "head", d.cut[k].edge_head);
        time(cut + "local tail", d.cut[k].edge_tail);
        time(cut + "cloud tail", d.cut[k].cloud_tail);
        figure(cut + "head energy (J)", d.cut[k].head_energy.value);
        figure(cut + "local tail energy (J)", d.cut[k].tail_energy.value);
    }
    time("edge total", d.edge_total);
    time("cloud total", d.cloud_total);
    figure("edge energy (J)", d.edge_energy.value);
    figure("input (bytes)", d.input.value);
    figure("reply (bytes)", d.reply.value);
    figure("idle power (W)", d.idle_power.value);
    figure("radio uplink slope (mW/Mbps)", d.radio.uplink_mw_per_mbps);
    figure("radio downlink slope (mW/Mbps)", d.radio.downlink_mw_per_mbps);
    figure("radio base (mW)", d.radio.base_mw);
}

} // namespace splitdsl::policy
