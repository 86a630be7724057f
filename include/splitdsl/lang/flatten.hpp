// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file flatten.hpp
/// An image as a vector.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (C, H, W) -> (C * H * W, 1, 1), in (channel, row, column) order as PyTorch's.
constexpr body<1> flatten() {
    op o = detail::reading(op_kind::flatten);
    return detail::single(o);
}

} // namespace splitdsl
