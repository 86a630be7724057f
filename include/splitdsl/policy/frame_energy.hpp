// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_energy.hpp
/// What one frame cost the edge, from the times it really took: the accounting behind every report.
#pragma once

#include <splitdsl/energy/equations.hpp>
#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/radio/cellular.hpp>

#include <algorithm>

namespace splitdsl::policy {

/// A frame's recorded times, whichever way it went. What did not happen is zero, so a frame is charged for what it did and no outcome needs
/// a rule of its own: a rolled-back frame has a transmission, a wait *and* a tail, and pays for all three.
struct frame_times {
    int cut{-2};                ///< where it was offloaded (-1: the input), -2: not offloaded
    duration head{};            ///< edge stages before the cut; all of them if the frame stayed local
    duration transmit{};        ///< the radio sends
    duration wait{};            ///< sent, nothing coming in yet (round trip and cloud)
    duration receive{};         ///< the answer comes in
    duration tail{};            ///< local tail after a fallback
    bytes sent{};               ///< handed to the link, header included
    bytes received{};
};

/// Splits the time a frame was away (payload handed over to reply accepted, or to the fallback) when only sizes and rates are known: sending
/// takes bytes over rate, at most all of it; receiving likewise of what is left; the rest is waiting. A link that stalls so counts as sending.
constexpr frame_times apportion(frame_times f, duration away, bits_per_second rate_up, bits_per_second rate_down) {
    f.transmit = f.sent.value > 0 ? std::min(away, upload_time(f.sent, rate_up)) : duration{};
    f.receive = f.received.value > 0 ? std::min(away - f.transmit, download_time(f.received, rate_down)) : duration{};
    f.wait = away - f.transmit - f.receive;
    return f;
}

struct frame_energy {
    joules compute{};
    joules radio{};
    joules idle{};
    constexpr joules total() const { return compute + radio + idle; }
    constexpr frame_energy& operator+=(const frame_energy& e) {
        compute += e.compute;
        radio += e.radio;
        idle += e.idle;
        return *this;
    }
};

struct frame_energy_options {
    idle_scope idle{idle_scope::transmit_and_wait};
    radio::tail_power radio_tail{};         ///< e.g. radio::lte_tail; none by default, as in SAGE
    duration until_next_transfer{};         ///< from this frame's last transfer to the next one, for the radio's tail
};

/// Eq. 3 and Eq. 8 over recorded times. Always labelled `modelled` (or `simulated`, if the times are): nothing is read from a meter.
///
/// Compute: recorded times at the powers the deployment implies (energy over planned time). Radio: energy per bit of the bytes sent and
/// received, base power for the time it took. Idle: while the frame was away, by scope; `wait` leaves the transmission out. Work on an input
/// sent whole (cut -1) is charged from `head` and `tail` like a local run. O(1), no allocation.
constexpr frame_energy energy_of_frame(const deployment& d, const frame_times& f, const frame_energy_options& o) {
    const auto power = [](joules energy, duration time, watts otherwise) { return time.count() > 0 ? watts{energy.value / to_seconds(time)} : otherwise; };
    const watts whole = power(d.edge_energy, d.edge_total, {});
    const bool at_cut = f.cut >= 0 && f.cut < d.cuts;
    const watts head = at_cut ? power(d.cut[f.cut].head_energy, d.cut[f.cut].edge_head, whole) : whole;
    const watts tail = at_cut ? power(d.cut[f.cut].tail_energy, d.cut[f.cut].edge_tail, whole) : whole;
    frame_energy e;
    e.compute = head * f.head + tail * f.tail;
    e.radio = communication_energy(d.radio, f.sent, f.transmit, f.received, f.receive);
    if (f.sent.value > 0 || f.received.value > 0) e.radio += o.radio_tail.energy(o.until_next_transfer);
    e.idle = d.idle_power * (o.idle == idle_scope::wait ? f.wait + f.receive : f.transmit + f.wait + f.receive);
    return e;
}
/// With the deployment's own idle scope and no radio tail.
constexpr frame_energy energy_of_frame(const deployment& d, const frame_times& f) { return energy_of_frame(d, f, {.idle = d.idle}); }

} // namespace splitdsl::policy
