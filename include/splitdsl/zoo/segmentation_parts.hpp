// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file segmentation_parts.hpp
/// What the segmentation networks on MobileNetV3-Large share: its features at an eighth and a sixteenth of the picture.
#pragma once

#include <splitdsl/zoo/mobilenet_v3.hpp>

namespace splitdsl::zoo::segmentation_parts {

using mobilenet_v3_parts::epsilon;

/// MobileNetV3-Large whose last three blocks are dilated instead of strided.
struct dilated_large {
    static constexpr int count = 15;
    static constexpr mobilenet_v3_parts::block at(int i) {
        auto b = mobilenet_v3_parts::large::at(i);
        if (i >= 12) b.dilation = 2;
        return b;
    }
};

template <cut_choice Cuts, int First, int... I>
constexpr auto blocks(std::integer_sequence<int, I...>) {
    return (... | (named(First + I + 1, mobilenet_v3_parts::make_block<dilated_large, First + I, 100>()) | stage_cut<Cuts, First + I + 2>(mobilenet_v3_parts::cut_name(First + I + 1))));
}
/// Stem and blocks 1-4: (40, H / 8, W / 8).
template <cut_choice Cuts>
constexpr auto low() {
    return named(0, conv_bn(0, 16, {.kernel = 3, .stride = 2}, epsilon)) | hard_swish() | stage_cut<Cuts, 1>(mobilenet_v3_parts::cut_name(0)) | blocks<Cuts, 0>(std::make_integer_sequence<int, 4>{});
}
/// The rest: (960, H / 16, W / 16).
template <cut_choice Cuts>
constexpr auto high() { return blocks<Cuts, 4>(std::make_integer_sequence<int, 11>{}) | named(16, conv_bn(0, 960, {}, epsilon)) | hard_swish(); }

/// Convolution without bias, batch norm, ReLU, under numbers from `first` on.
constexpr auto unit(int first, int channels, window w) { return conv_bn(first, channels, w) | relu(); }
/// A size after `halvings` strided convolutions with same padding.
constexpr int halved(int size, int halvings) {
    for (int i = 0; i < halvings; ++i) size = (size + 1) / 2;
    return size;
}

} // namespace splitdsl::zoo::segmentation_parts
