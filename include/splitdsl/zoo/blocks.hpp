// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file blocks.hpp
/// What the zoo's families share: which cuts a network has, channel counts for a width, and layers with their batch norm.
#pragma once

#include <splitdsl/language.hpp>

namespace splitdsl::zoo {

/// Which of a family's candidate cuts a network has, and how they encode. Each cut costs a copy of its tensor on every frame.
///
/// ```cpp
/// struct whole : zoo::resnet50<224, 224, 1000, zoo::no_cuts> {};
/// struct split : zoo::resnet50<224, 224, 1000, zoo::only_cut(4, affine_u8())> {};     // behind layer4, 8 bits
/// ```
struct cut_choice {
    int only{-1};                       ///< number of the one cut, counted from 1; -1: all of them, 0: none
    codec_choice codec{lossless_f32()};
};
inline constexpr cut_choice every_cut{};
inline constexpr cut_choice no_cuts{0};
constexpr cut_choice only_cut(int number, codec_choice codec = lossless_f32()) { return {number, codec}; }

/// A family's cut of that number: an identity bottleneck, or nothing if it is not chosen.
template <cut_choice Cuts, int Number>
constexpr auto stage_cut(text name) {
    if constexpr (Cuts.only == -1 || Cuts.only == Number) return cut(name, Cuts.codec);
    else return identity();
}

/// Channels times a width in percent, rounded to a multiple of 8 but never down by more than a tenth (MobileNet's rule).
constexpr int scaled(int channels, int percent) {
    const int wanted = channels * percent;              // hundredths
    int n = (wanted + 400) / 800 * 8;
    if (n < 8) n = 8;
    return n * 1000 < wanted * 9 ? n + 8 : n;
}

/// A convolution and its batch norm under two names, as torchvision's ResNets have them.
constexpr auto conv_bn(text conv_name, text norm_name, int channels, window w) { return named(conv_name, conv(channels, w)) | named(norm_name, batch_norm()); }
/// The same with numbers for names, as in a Sequential.
constexpr auto conv_bn(int first, int channels, window w, float epsilon = 1e-5F) {
    return named(first, conv(channels, w)) | named(first + 1, batch_norm(epsilon));
}
/// A window for one filter a channel.
constexpr window depthwise(int channels, int kernel, int stride) { return {.kernel = kernel, .stride = stride, .groups = channels}; }

} // namespace splitdsl::zoo
