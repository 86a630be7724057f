// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file normalise.hpp
/// Per-channel normalisation of the raw input, a layer like any other.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (x / scale - mean) / deviation, per channel, up to four channels.
struct normalisation {
    std::array<float, 4> mean{};
    std::array<float, 4> deviation{1, 1, 1, 1};
};
/// ImageNet's statistics, as torchvision's models expect them, for RGB in [0, 1].
inline constexpr normalisation imagenet{{0.485F, 0.456F, 0.406F, 0}, {0.229F, 0.224F, 0.225F, 1}};
/// To [-1, 1], as TensorFlow's slim models expect it.
inline constexpr normalisation minus_one_to_one{{0.5F, 0.5F, 0.5F, 0.5F}, {0.5F, 0.5F, 0.5F, 0.5F}};
/// To [0, 1].
inline constexpr normalisation zero_to_one{};

/// Normalises the raw input: u8 values are divided by 255 first, f32 values are taken as they are.
/// It is a layer so that preprocessing cannot drift between training, edge and cloud. Up to 4 channels (SD211).
constexpr body<1> normalise(normalisation by) {
    op o = detail::reading(op_kind::normalise);
    for (std::size_t i = 0; i < 4; ++i) {
        o.values[i] = by.mean[i];
        o.values[4 + i] = by.deviation[i];
    }
    return detail::single(o);
}

} // namespace splitdsl
