// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file break_even.hpp
/// When a cascade of a small and a big network answers sooner, on average, than always sending the input.
#pragma once

#include <splitdsl/units.hpp>

namespace splitdsl::policy {

/// The largest share of frames a cascade may pass on and still be faster on average: T_small + p (T_net + T_big) < T_net + T_big, so
/// p < 1 - T_small / (T_net + T_big). Negative: it never is. Zero if sending takes no time. Source: after Liang et al., section 5.2.
constexpr double cascade_break_even(duration small, duration network, duration big) {
    const double send = to_seconds(network) + to_seconds(big);
    return send > 0 ? 1 - to_seconds(small) / send : 0;
}

} // namespace splitdsl::policy
