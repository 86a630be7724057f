// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file batch_norm.hpp
/// Batch normalisation with its running statistics.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// y = (x - running_mean) / sqrt(running_var + epsilon) * weight + bias, per channel; folded into the layer before it where that
/// layer has no other reader. Weights: `weight`, `bias`, `running_mean`, `running_var`, each (C).
/// An epsilon that is negative or not finite is refused (SD211).
constexpr body<1> batch_norm(float epsilon = 1e-5F) {
    op o = detail::reading(op_kind::batch_norm);
    o.values[0] = epsilon;
    return detail::single(o);
}

} // namespace splitdsl
