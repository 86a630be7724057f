// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file slice_channels.hpp
/// A run of channels.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (C, H, W) -> (count, H, W): channels [first, first + count). Refused: channels that do not exist (SD217).
///
/// ```cpp
/// add(slice_channels(0, 64), slice_channels(64, 64))              // (128, H, W) -> (64, H, W): the halves' sum
/// ```
constexpr body<1> slice_channels(int first, int count) {
    op o = detail::reading(op_kind::slice_channels);
    o.size = {first, 0, 0};
    o.out = count;
    return detail::single(o);
}

} // namespace splitdsl
