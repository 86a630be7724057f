// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pad.hpp
/// Rows and columns of a constant around an image.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (C, H, W) -> (C, H + top + bottom, W + left + right).
constexpr body<1> pad(padding by, float value = 0) {
    op o = detail::reading(op_kind::pad);
    o.pad = by;
    o.values[0] = value;
    return detail::single(o);
}

} // namespace splitdsl
