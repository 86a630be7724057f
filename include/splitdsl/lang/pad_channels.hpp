// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pad_channels.hpp
/// Channels of zeros around a tensor's own.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (C, H, W) -> (before + C + after, H, W): the shortcut without weights of CIFAR ResNets. Refused: negative counts (SD214).
///
/// ```cpp
/// subsample(2) | pad_channels(8, 8)               // (16, 32, 32) -> (32, 16, 16)
/// ```
constexpr body<1> pad_channels(int before, int after) {
    op o = detail::reading(op_kind::pad_channels);
    o.size = {before, 0, 0};
    o.out = after;
    return detail::single(o);
}

} // namespace splitdsl
