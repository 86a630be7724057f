// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file lraspp.hpp
/// LR-ASPP on MobileNetV3-Large with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/segmentation_parts.hpp>

namespace splitdsl::zoo {

/// Howard et al. 2019, section 6.4 (torchvision's lraspp_mobilenet_v3_large). Input "image": (3, Height, Width) u8, ImageNet's statistics;
/// output: (Classes, Height, Width) logits. Cuts 1-5 "features0" ... "features4": behind them two tensors would have to cross.
/// Weights are torchvision's `state_dict`.
template <int Height = 520, int Width = 520, int Classes = 21, cut_choice Cuts = every_cut>
struct lraspp_mobilenet_v3_large {
    static constexpr auto graph() {
        using namespace segmentation_parts;
        constexpr int h = halved(Height, 3), w = halved(Width, 3);
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("backbone", tap("low", low<Cuts>()) | high<no_cuts>())
             | named("classifier", multiply(named("cbr", unit(0, 128, {})), global_pool() | named("scale", named(1, conv(128, {.with_bias = bias::no}))) | sigmoid())
                                       | upsample({.size = {h, w}, .bilinear = true})
                                       | add(named("high_classifier", conv(Classes, {})), from("low") | named("low_classifier", conv(Classes, {}))))
             | upsample({.size = {Height, Width}, .bilinear = true});
    }
};

} // namespace splitdsl::zoo
