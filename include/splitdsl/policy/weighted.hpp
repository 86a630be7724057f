// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file weighted.hpp
/// SAGE's general problem: of staying local, sending the input and every candidate cut, the least weighted time and energy.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/policy/offload_cost.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <chrono>
#include <limits>

namespace splitdsl::policy {

struct weighted_options {
    double time_weight{0.5};                        ///< w_T in [0, 1], per second
    double energy_weight{0.5};                      ///< w_E in [0, 1], per joule
    bool may_send_input{true};                      ///< whether sending the raw input is among the choices
    duration staleness{std::chrono::seconds{1}};    ///< an estimate older than this is not acted on
    bool respect_reserve{true};                     ///< the reply must be due before deadline minus reserve (see sage_options)
};

/// One way a frame can go. `cut` as in `action` (-1: the input), or `stay_local`.
struct split_choice {
    static constexpr int stay_local = -2;
    int cut{stay_local};
    duration time{};            ///< T of Eq. 9, from the frame's start
    joules energy{};            ///< E of Eq. 9
    double objective{};         ///< w_T T + w_E E
    bool in_time{};             ///< meets the deadline
};

/// Eq. 9 by trying every choice: argmin of w_T T + w_E E among those in time. O(cuts) per decision, no allocation, no state.
///
/// It decides at the frame's start whether to send the input, and again at each cut with the time really left, whether this cut is now
/// the best of what remains. Energy and time already spent are the same for all that remains, so they do not change the choice; whether the
/// rest is in time, here or there, goes by the clock. Among equals the one that sends later wins, staying local before all. If nothing is
/// in time it stays local: the runtime's last resort then holds. Refused by the constructor (option_error): weights outside [0, 1] or both
/// zero, and what `sage` refuses.
class weighted {
public:
    explicit weighted(const deployment& d, weighted_options o = {}) : plan(d), options(o) {
        check_deployment(d);
        if (!(o.time_weight >= 0 && o.time_weight <= 1) || !(o.energy_weight >= 0 && o.energy_weight <= 1) || !(o.time_weight + o.energy_weight > 0))
            throw option_error("policy weighted: expected weights in 0 to 1, not both 0, found " + splitdsl::detail::number_text(o.time_weight) + " and " +
                               splitdsl::detail::number_text(o.energy_weight));
        if (o.staleness.count() <= 0)
            throw option_error("policy weighted: expected a staleness above 0, found " + splitdsl::detail::number_text(to_milliseconds(o.staleness)) + " ms");
    }

    constexpr action on(frame_start, const link_view& link, const budget& b) noexcept {
        if (!options.may_send_input) return action::go_on();
        if (const stay_reason why = unusable(link, options.staleness); why != stay_reason::none) return action::go_on(why);
        return chosen(best(link, -1, available(b), b.left()), -1, link, available(b));
    }
    constexpr action on(stage_done s, const link_view& link, const budget& b) noexcept {
        if (s.cut < 0 || s.cut >= plan.cuts) return action::go_on();
        if (const stay_reason why = unusable(link, options.staleness); why != stay_reason::none) return action::go_on(why);
        const duration limit = plan.cut[s.cut].edge_head + available(b); // what is left counts from here on, wherever the plan is
        const duration for_tail = plan.edge_total + b.left() - plan.cut[s.cut].edge_tail;
        return chosen(best(link, s.cut, limit, for_tail), s.cut, link, limit);
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }

    /// The best choice for a whole frame at this link, against the deployment's deadline: for reports.
    constexpr split_choice best(const link_view& link) const noexcept { return best(link, -1, plan.deadline, plan.deadline); }
    /// Staying local.
    constexpr split_choice local() const noexcept { return local(plan.deadline); }
    /// Sending at `cut` (-1: the input).
    constexpr split_choice offload(int cut, const link_view& link) const noexcept { return offload(cut, link, plan.deadline); }

private:
    constexpr duration available(const budget& b) const noexcept { return options.respect_reserve ? b.for_reply() : b.left(); }
    constexpr split_choice judge(int cut, duration time, joules energy, duration limit) const noexcept {
        return {cut, time, energy, options.time_weight * to_seconds(time) + options.energy_weight * energy.value, time <= limit};
    }
    constexpr split_choice local(duration limit) const noexcept {
        return judge(split_choice::stay_local, plan.edge_total, plan.edge_energy, limit);
    }
    constexpr split_choice offload(int cut, const link_view& link, duration limit) const noexcept {
        const cut_cost input{plan.input, {}, plan.edge_total, plan.cloud_total, {}, plan.edge_energy};
        const cut_cost& c = cut < 0 ? input : plan.cut[cut];
        const offload_cost cost = cost_of_offload(plan, c.payload, c.cloud_tail, link);
        return judge(cut, saturating_sum(c.edge_head, cost.until_answer), c.head_energy + cost.total(), limit);
    }
    /// Best of local and the cuts from `first` on. `limit` bounds a reply, `local_limit` the local run, whose reserve is for it.
    constexpr split_choice best(const link_view& link, int first, duration limit, duration local_limit) const noexcept {
        split_choice found = local(local_limit);
        for (int k = plan.cuts - 1; k >= first; --k) {
            if (k < 0 && !options.may_send_input) break;
            const split_choice c = offload(k, link, limit);
            if (c.in_time && (!found.in_time || c.objective < found.objective)) found = c;
        }
        return found;
    }
    /// The action at `here` (-1: the frame's start). A later cut that is better is no reason to stay for good.
    constexpr action chosen(const split_choice& c, int here, const link_view& link, duration limit) const noexcept {
        if (c.cut == here) return action::offload_at(here);
        if (c.cut != split_choice::stay_local) return action::go_on();
        if (offload(here, link, limit).in_time) return action::go_on(stay_reason::no_saving);
        link_view boundless = link;
        boundless.rate_up = {std::numeric_limits<double>::infinity()};
        return action::go_on(offload(here, boundless, limit).in_time ? stay_reason::rate_too_low : stay_reason::no_time);
    }

    deployment plan;
    weighted_options options;
};
static_assert(scheduler_policy<weighted> && falls_back_v<weighted>);

} // namespace splitdsl::policy
