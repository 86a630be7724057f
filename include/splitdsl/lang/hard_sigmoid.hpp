// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file hard_sigmoid.hpp
/// Hard sigmoid (MobileNetV3).
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// min(max(x + 3, 0), 6) / 6, element by element; fused into the layer before it where that layer has no other reader.
constexpr body<1> hard_sigmoid() {
    op o = detail::reading(op_kind::hard_sigmoid);
    return detail::single(o);
}

} // namespace splitdsl
