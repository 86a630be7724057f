// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file softmax.hpp
/// Softmax over the channels.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// exp(x - max) / sum, over the channels at every position; (C, H, W) keeps its shape.
constexpr body<1> softmax() {
    op o = detail::reading(op_kind::softmax);
    return detail::single(o);
}

} // namespace splitdsl
