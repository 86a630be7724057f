// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv_transpose.hpp
/// Transposed convolution: the decoder's way up.
#pragma once

#include <splitdsl/lang/op.hpp>

#include <concepts>

namespace splitdsl {

/// Stride up-samples; output_pad adds rows and columns at the bottom right.
struct transpose_window {
    extent kernel{2};
    extent stride{2};
    padding pad{0};
    extent output_pad{0};
    extent dilation{1};
    bias with_bias{bias::automatic};
};

/// (C, H, W) -> (channels, H', W'), H' = (H - 1) * stride - top - bottom + dilation * (kernel - 1) + output_pad + 1.
/// Weights as PyTorch's ConvTranspose2d: `weight` (C, channels, kh, kw), `bias` (channels). Groups are not offered.
/// Refused: negative padding, also at the output (SD214); strides and padding above 32,766 (SD218).
constexpr body<1> conv_transpose(int channels, transpose_window w = {}) {
    op o = detail::reading(op_kind::conv_transpose);
    o.out = channels;
    o.kernel = w.kernel;
    o.stride = w.stride;
    o.dilation = w.dilation;
    o.pad = w.pad;
    o.size = {0, w.output_pad.height, w.output_pad.width};
    o.with_bias = w.with_bias;
    return detail::single(o);
}

// As `conv` of a fraction.
template <std::floating_point Channels>
constexpr body<1> conv_transpose(Channels, transpose_window = {}) = delete;

} // namespace splitdsl
