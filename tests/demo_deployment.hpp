// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file demo_deployment.hpp
/// The terms that tests and benchmarks of policies decide on.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/radio/cellular.hpp>

namespace splitdsl {

/// The demo's terms: nano, head 3.5 ms, tail 21 ms, LTE, 936 B payload. Further cuts lie 1 ms and 100 B behind one another.
inline deployment demo(int cuts = 1) {
    using namespace std::chrono_literals;
    deployment d;
    d.cuts = cuts;
    d.edge_total = 24'500us;
    for (int k = 0; k < cuts; ++k) {
        const duration head = 3500us + k * 1ms, tail = d.edge_total - head;
        d.cut[k] = {{984.0 + 100 * k}, head, tail, 1ms, watts{4.3} * head, watts{4.3} * tail};
    }
    d.edge_energy = watts{4.3} * 24'500us;
    d.input = {3.0 * 88 * 200};
    d.cloud_total = 1200us;
    d.reply = {68};
    d.idle_power = {1.25};
    d.radio = radio::lte;
    d.deadline = 100ms;
    return d;
}

} // namespace splitdsl
