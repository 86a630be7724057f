// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file behind_cut.hpp
/// A deployment as a middle tier sees it: its frames begin at the cut where requests come in.
#pragma once

#include <splitdsl/policy/offload_cost.hpp>

#include <algorithm>
#include <string>

namespace splitdsl::policy {

/// Costs of the part behind `cut`, out of those of the whole network on the same machine (`plan_deployment` with the tier's own device and the next tier's
/// times). The payload that comes in takes the place of the input: offloading at -1 sends it on. Cuts keep their numbers; `cut` itself costs nothing before it, and
/// those in front of it, which no frame of the tier passes, cost what `cut` does. Refused (option_error): a cut that the deployment lacks.
///
/// ```cpp body
/// const policy::weighted at_the_roadside{policy::behind_cut(costs, 0)};
/// ```
inline deployment behind_cut(const deployment& whole, int cut) {
    if (cut < 0 || cut >= whole.cuts) throw option_error("behind_cut: expected a cut in 0 to " + std::to_string(whole.cuts - 1) + ", found " + std::to_string(cut));
    const cut_cost& entry = whole.cut[cut];
    deployment d = whole;
    for (int k = 0; k < d.cuts; ++k) {
        cut_cost& c = d.cut[k];
        if (k < cut) c = entry;
        c.edge_head = std::max<duration>(c.edge_head - entry.edge_head, duration{});
        c.head_energy = {std::max(c.head_energy.value - entry.head_energy.value, 0.0)};
    }
    d.edge_total = entry.edge_tail;
    d.edge_energy = entry.tail_energy;
    d.input = entry.payload;
    d.cloud_total = entry.cloud_tail;
    return d;
}

} // namespace splitdsl::policy
