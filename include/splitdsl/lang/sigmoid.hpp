// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sigmoid.hpp
/// Logistic function.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// 1 / (1 + exp(-x)), absolute error <= 1e-6, element by element; fused into the layer before it where that layer has no other reader.
constexpr body<1> sigmoid() {
    op o = detail::reading(op_kind::sigmoid);
    return detail::single(o);
}

} // namespace splitdsl
