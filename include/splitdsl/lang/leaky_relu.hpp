// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file leaky_relu.hpp
/// Rectifier with a slope below zero.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// x > 0 ? x : slope * x.
constexpr body<1> leaky_relu(float slope = 0.01F) {
    op o = detail::reading(op_kind::leaky_relu);
    o.values[0] = slope;
    return detail::single(o);
}

} // namespace splitdsl
