// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tanh.hpp
/// Hyperbolic tangent.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// tanh(x), absolute error <= 1e-6, element by element; fused into the layer before it where that layer has no other reader.
constexpr body<1> tanh() {
    op o = detail::reading(op_kind::tanh);
    return detail::single(o);
}

} // namespace splitdsl
