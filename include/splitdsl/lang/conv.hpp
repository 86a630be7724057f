// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file conv.hpp
/// Two-dimensional convolution (cross-correlation, as in every deep-learning framework).
#pragma once

#include <splitdsl/lang/op.hpp>

#include <concepts>

namespace splitdsl {

/// Where a convolution looks. `pad` defaults to "same at stride 1", which `.pad = -1` spells out: dilation * (kernel - 1) / 2 on every
/// side. Any other negative padding is refused (SD214).
///
/// C++ wants `.name = value` in the order of the members, here and in every other word's options: `{.kernel = 3, .stride = 2}` compiles,
/// `{.stride = 2, .kernel = 3}` does not (clang only warns). What is left out keeps its default.
struct window {
    extent kernel{1};
    extent stride{1};
    padding pad{-1};
    extent dilation{1};
    int groups{1};
    bias with_bias{bias::automatic};
};

/// (C, H, W) -> (channels, H', W'), H' = floor((H + top + bottom - dilation * (kernel - 1) - 1) / stride) + 1.
/// Refused: a kernel larger than its padded input (SD201), channels not divisible by groups (SD202), sizes below one (SD208, SD209), more
/// than 2^31 - 1 weights (SD210), strides and padding above 32,766 (SD218), more than 2^48 multiply-accumulates (SD219).
/// Weights: `weight` (channels, C / groups, kh, kw) and, if it has one, `bias` (channels).
///
/// ```cpp
/// named("conv1", conv(64, {.kernel = 7, .stride = 2}))            // pads 3
/// named("dw", conv(96, {.kernel = 3, .groups = 96}))              // depthwise
/// named("row", conv(192, {.kernel = {1, 7}}))                     // not square
/// ```
constexpr body<1> conv(int channels, window w = {}) {
    constexpr auto same = [](int kernel, int dilation) { // of numbers that are refused (SD201) any padding will do
        const std::int64_t around = std::int64_t{dilation} * (std::int64_t{kernel} - 1) / 2;
        return static_cast<int>(around < INT32_MAX ? around : INT32_MAX);
    };
    op o = detail::reading(op_kind::conv);
    o.out = channels;
    o.groups = w.groups;
    o.kernel = w.kernel;
    o.stride = w.stride;
    o.dilation = w.dilation;
    o.with_bias = w.with_bias;
    o.pad = w.pad == padding{-1} ? padding{same(w.kernel.height, w.dilation.height), same(w.kernel.width, w.dilation.width)} : w.pad;
    return detail::single(o);
}

// Of 16.5 channels g++ would make 16 without a word.
template <std::floating_point Channels>
constexpr body<1> conv(Channels, window = {}) = delete;

} // namespace splitdsl
