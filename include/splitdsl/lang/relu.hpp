// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relu.hpp
/// Rectifier.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// max(x, 0), element by element; fused into the layer before it where that layer has no other reader.
constexpr body<1> relu() {
    op o = detail::reading(op_kind::relu);
    return detail::single(o);
}

} // namespace splitdsl
