// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sage.hpp
/// SAGE's run-time strategy: offload at the bottleneck when the measured uplink beats a threshold and energy is saved.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/policy/offload_cost.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <algorithm>
#include <chrono>

namespace splitdsl::policy {

struct sage_options {
    int cut{0};                                     ///< the bottleneck to offload at
    double hysteresis{0};                           ///< once local, the rate must beat r_th by this fraction to offload again; 0: off
    duration staleness{std::chrono::seconds{1}};    ///< an estimate older than this is not acted on
    /// True: the reply must be due before the fallback point (deadline minus reserve, or the deadline where no local tail can be in time),
    /// so that a rollback is the exception. False: the paper's rule, due by the deadline itself; a reply between the two is rolled back
    /// although planned.
    bool respect_reserve{true};
};

/// Eq. 12 at one moment. It is an offload if `feasible`, the rate beats `r_th`, and `e_offload < e_local`.
struct rate_threshold {
    bool feasible{};                ///< r_th > 0: some rate would meet the deadline
    bits_per_second r_th{};         ///< deadline part; 0 if there is none
    bits_per_second r_energy{};     ///< rate above which energy is saved, in closed form; 0 if there is none
    joules e_offload{};             ///< E_comm + E_idle at the measured rate
    joules e_local{};               ///< E_tail on the edge
    constexpr bool saves() const { return e_offload < e_local; }
    /// The paper's plotted threshold: the lowest rate that meets the deadline and saves energy; 0 if there is none.
    constexpr bits_per_second combined() const { return feasible && r_energy.value > 0 ? std::max(r_th, r_energy) : bits_per_second{}; }
};

/// SAGE's policy (Eq. 12 and Algorithm 1). O(1) per decision, no allocation.
///
/// Head first; at the bottleneck it offloads if the link is usable (up, not busy, estimate fresh), the rate beats the threshold for
/// the time *actually* left, and E_comm + E_idle < E_tail. Otherwise it stays local. The timer of Algorithm 1 (lines 12 to 14) and the
/// rollback are the runtime's. Refused by the constructor (option_error): a cut the deployment lacks, a hysteresis outside 0..10, a
/// staleness of zero or less, a deployment with impossible figures.
///
/// ```cpp body
/// policy::sage sage{costs, {.cut = 0}};
/// auto t = sage.threshold(link_view{.up = true, .rate_up = megabits_per_second(2)}); // for reports: r_th, energies
/// edge<lane_keeper, policy::sage> edge{weights, sage, {.deadline = 100ms}, link::tcp{"tail.local", 7447}};
/// ```
class sage {
public:
    explicit sage(const deployment& d, sage_options o = {}) : plan(d), options(o) {
        check_deployment(d);
        if (o.cut < 0 || o.cut >= d.cuts)
            throw option_error("policy sage: expected a cut in 0 to " + std::to_string(d.cuts - 1) + ", found " + std::to_string(o.cut));
        if (!(o.hysteresis >= 0 && o.hysteresis <= 10))
            throw option_error("policy sage: expected a hysteresis in 0 to 10, found " + splitdsl::detail::number_text(o.hysteresis));
        if (o.staleness.count() <= 0)
            throw option_error("policy sage: expected a staleness above 0, found " + splitdsl::detail::number_text(to_milliseconds(o.staleness)) + " ms");
    }

    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view& link, const budget& b) noexcept {
        if (s.cut != options.cut) return action::go_on();
        const stay_reason why = against(link, b);
        sending = why == stay_reason::none;
        return sending ? action::offload_at(options.cut) : action::go_on(why);
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

    /// Eq. 12 as printed: the planned head time counted from the frame's start, the whole deadline.
    constexpr rate_threshold threshold(const link_view& link) const noexcept { return threshold_in(link, plan.deadline - plan.cut[options.cut].edge_head); }
    /// Eq. 12 at the bottleneck, with the time that is really left.
    constexpr rate_threshold threshold(const link_view& link, const budget& b) const noexcept {
        return threshold_in(link, options.respect_reserve ? b.for_reply() : b.left());
    }

private:
    constexpr rate_threshold threshold_in(const link_view& link, duration window) const noexcept {
        const cut_cost& cut = plan.cut[options.cut];
        const offload_cost cost = cost_of_offload(plan, cut.payload, cut.cloud_tail, link);
        const duration elsewhere = saturating_sum(saturating_sum(cut.cloud_tail, cost.download), link.rtt);
        rate_threshold t;
        t.r_th = required_rate(cut.payload, window - elsewhere);
        t.feasible = t.r_th.value > 0;
        const bool upload_idles = plan.idle == idle_scope::transmit_and_wait;
        const joules reply_energy = communication_energy(plan.radio, {}, {}, plan.reply, cost.download);
        const joules waiting = plan.idle_power * idle_time(plan.idle, {}, link.rtt, cut.cloud_tail, cost.download);
        t.r_energy = saving_rate(plan.radio, cut.payload, upload_idles ? plan.idle_power : watts{}, reply_energy + waiting, cut.tail_energy);
        t.e_offload = cost.total();
        t.e_local = cut.tail_energy;
        return t;
    }
    /// What speaks against an offload; `none` if nothing does.
    constexpr stay_reason against(const link_view& link, const budget& b) const noexcept {
        if (const stay_reason why = unusable(link, options.staleness); why != stay_reason::none) return why;
        const rate_threshold t = threshold(link, b);
        const double margin = sending ? 1 : 1 + options.hysteresis;
        if (!t.feasible) return stay_reason::no_time;
        if (!(link.rate_up.value > t.r_th.value * margin)) return stay_reason::rate_too_low;
        return t.saves() ? stay_reason::none : stay_reason::no_saving;
    }

    deployment plan;
    sage_options options;
    bool sending{};     // the previous frame was offloaded
};
static_assert(scheduler_policy<sage> && falls_back_v<sage>);

} // namespace splitdsl::policy
