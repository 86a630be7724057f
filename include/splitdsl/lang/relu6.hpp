// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relu6.hpp
/// Rectifier capped at six.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// min(max(x, 0), 6), element by element; fused into the layer before it where that layer has no other reader.
constexpr body<1> relu6() {
    op o = detail::reading(op_kind::relu6);
    return detail::single(o);
}

} // namespace splitdsl
