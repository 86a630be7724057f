// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file projection.hpp
/// The usual shortcut where a residual changes its shape.
#pragma once

#include <splitdsl/lang/batch_norm.hpp>
#include <splitdsl/lang/conv.hpp>
#include <splitdsl/lang/named.hpp>

namespace splitdsl {

/// 1x1 convolution without bias, then batch norm, under torchvision's names "0" and "1": (C, H, W) -> (channels, H', W').
constexpr auto projection(int channels, extent stride = 1) {
    return named("0", conv(channels, {.kernel = 1, .stride = stride, .with_bias = bias::no})) | named("1", batch_norm());
}

} // namespace splitdsl
