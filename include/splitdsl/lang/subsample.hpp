// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file subsample.hpp
/// Every k-th row and column.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (C, H, W) -> (C, ceil(H / k), ceil(W / k)), starting with the first (option-A shortcuts of CIFAR ResNets).
constexpr body<1> subsample(extent every) {
    op o = detail::reading(op_kind::subsample);
    o.stride = every;
    return detail::single(o);
}

} // namespace splitdsl
