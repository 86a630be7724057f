// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file measured.hpp
/// The form of a network with calibrated codecs in which calibration looks for their ranges: asked for by wrapping its type.
#pragma once

#include <splitdsl/graph/shapes.hpp>

namespace splitdsl {

/// `Network` with calibrated codecs that find their range in every frame, so that weights without ranges do; what enters them stands behind the declared
/// outputs: what calibration looks at.
template <class Network>
struct measured : Network {
    static constexpr auto graph() {
        auto g = Network::graph();
        for (op& o : g.ops)
            if (graph::has_range(o)) // one flag for the other
                o.flags = static_cast<op_flag>(static_cast<unsigned>(o.flags) ^ static_cast<unsigned>(op_flag::is_calibrated | op_flag::is_measured));
        return g;
    }
};

} // namespace splitdsl
