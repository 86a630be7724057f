// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dense.hpp
/// Fully connected layer.
#pragma once

#include <splitdsl/lang/op.hpp>

#include <concepts>

namespace splitdsl {

/// (C, 1, 1) -> (units, 1, 1). An image must be flattened or pooled first (SD207).
/// Weights: `weight` (units, C), `bias` (units) unless `bias::no`.
constexpr body<1> dense(int units, bias with_bias = bias::automatic) {
    op o = detail::reading(op_kind::dense);
    o.out = units;
    o.with_bias = with_bias;
    return detail::single(o);
}

// As `conv` of a fraction.
template <std::floating_point Units>
constexpr body<1> dense(Units, bias = bias::automatic) = delete;

} // namespace splitdsl
