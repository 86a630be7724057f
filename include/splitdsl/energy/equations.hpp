// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file equations.hpp
/// SAGE's time and energy equations (Eq. 1 to 8) and the rate thresholds of Eq. 12, one function each, every quantity typed.
///
/// All are constexpr, noexcept in effect, O(1), and take rates of zero: a transfer then takes (almost) for ever, and sums of such
/// times saturate instead of overflowing.
#pragma once

#include <splitdsl/energy/idle_scope.hpp>
#include <splitdsl/radio/power.hpp>
#include <splitdsl/units.hpp>

namespace splitdsl {

/// Sum of two times that stays at "for ever" (about 146 years) instead of overflowing.
constexpr duration saturating_sum(duration a, duration b) {
    constexpr duration for_ever{4'600'000'000'000'000'000};
    if (a >= for_ever || b >= for_ever) return for_ever;
    const duration sum = a + b;
    return sum < for_ever ? sum : for_ever;
}

// --- Communication: Eq. 1 to 3 ---------------------------------------------------------------------------------------------

/// Eq. 1: T_U = a / r_U.
constexpr duration upload_time(bytes payload, bits_per_second rate_up) { return payload / rate_up; }
/// Eq. 1: T_D = b / r_D.
constexpr duration download_time(bytes reply, bits_per_second rate_down) { return reply / rate_down; }
/// Eq. 2: T_comm = T_U + T_D + T_RTT.
constexpr duration communication_time(duration upload, duration download, duration rtt) {
    return saturating_sum(saturating_sum(upload, download), rtt);
}
/// Eq. 3: E_comm = p_T T_U + p_R T_D.
constexpr joules communication_energy(watts transmitting, duration upload, watts receiving, duration download) {
    return transmitting * upload + receiving * download;
}
/// Eq. 3 with a radio whose power depends on its rate. Written as energy per bit plus base power over time, so that it holds at
/// a rate of zero too.
constexpr joules communication_energy(radio_power radio, bytes payload, duration upload, bytes reply, duration download) {
    const double bit_energy = (radio.uplink_mw_per_mbps * payload.value + radio.downlink_mw_per_mbps * reply.value) * 8e-9;
    const watts base{radio.base_mw * 1e-3};
    return joules{bit_energy} + base * upload + base * download;
}

// --- Computation: Eq. 4 to 8 -----------------------------------------------------------------------------------------------

using work = detail::quantity<struct work_tag>;                 ///< cycles (as SAGE counts) or multiply-accumulates
using work_rate = detail::quantity<struct work_rate_tag>;       ///< of them per second: f in Eq. 4 and 5
using work_cost = detail::quantity<struct work_cost_tag>;       ///< joules for one of them: theta in Eq. 6

/// Eq. 4 (local) and Eq. 5 (remote): T = c / f.
constexpr duration execution_time(work amount, work_rate speed) {
    return speed.value > 0 ? from_seconds(amount.value / speed.value) : from_seconds(4.6e9);
}
/// Eq. 6: E = theta c.
constexpr joules execution_energy(work amount, work_cost cost) { return {amount.value * cost.value}; }
/// theta of a machine that draws `active` while it does `speed` work a second.
constexpr work_cost cost_of_work(watts active, work_rate speed) { return {active.value / speed.value}; }
/// Eq. 7: T_comp = sum of local subtasks + sum of remote ones.
constexpr duration computation_time(duration local, duration remote) { return saturating_sum(local, remote); }
/// The time that E_idle in Eq. 8 is a function of. `wait` is the paper's sentence to the letter: T_cloud + T_D, without the round
/// trip; `transmit_and_wait` runs until the answer.
constexpr duration idle_time(idle_scope scope, duration upload, duration rtt, duration cloud, duration download) {
    const duration waiting = saturating_sum(cloud, download);
    return scope == idle_scope::wait ? waiting : saturating_sum(saturating_sum(upload, rtt), waiting);
}
/// Eq. 8: E_comp = sum of local subtasks + E_idle(t).
constexpr joules computation_energy(joules local, watts idle, duration idle_for) { return local + idle * idle_for; }

// --- Thresholds: Eq. 12 ----------------------------------------------------------------------------------------------------

/// Deadline part of Eq. 12: r_th = payload / window, window = deadline - (T_head + T_cloud + T_D + T_RTT). Zero means there is none:
/// the window is empty, and no rate is fast enough.
constexpr bits_per_second required_rate(bytes payload, duration window) {
    return window.count() > 0 ? bits_per_second{payload.value * 8 / to_seconds(window)} : bits_per_second{};
}

/// Energy part of Eq. 12: the uplink rate above which sending `payload` costs less than `saved`, the local tail's energy.
///
/// E_comm + E_idle falls with the rate towards energy-per-bit times bits, so there is one crossing, here in closed form, or none
/// (zero). `other` is what does not depend on the uplink rate: receiving the reply, and idling while the cloud computes. `beside` is
/// drawn during the upload besides the radio: idle power in scope transmit_and_wait, else nothing.
constexpr bits_per_second saving_rate(radio_power radio, bytes payload, watts beside, joules other, joules saved) {
    const double bits = payload.value * 8;
    const double left = saved.value - other.value - bits * radio.uplink_mw_per_mbps * 1e-9;
    return left > 0 ? bits_per_second{(radio.base_mw * 1e-3 + beside.value) * bits / left} : bits_per_second{};
}

} // namespace splitdsl
