// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file deeplab.hpp
/// DeepLabV3 on MobileNetV3-Large with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/segmentation_parts.hpp>

#include <array>

namespace splitdsl::zoo {

namespace deeplab_parts {

/// Atrous spatial pyramid pooling: (C, H, W) -> (256, H, W).
constexpr auto pyramid(int height, int width) {
    const auto dilated = [](int number, int rate) { return named(number, segmentation_parts::unit(0, 256, {.kernel = 3, .dilation = rate})); };
    return named("convs", concat(named(0, segmentation_parts::unit(0, 256, {})), dilated(1, 12), dilated(2, 24), dilated(3, 36),
                                 named(4, global_pool() | segmentation_parts::unit(1, 256, {})) | upsample({.size = {height, width}, .bilinear = true})))
         | named("project", segmentation_parts::unit(0, 256, {}));
}

} // namespace deeplab_parts

/// Chen et al. 2017 (torchvision's deeplabv3_mobilenet_v3_large). Input "image": (3, Height, Width) u8, ImageNet's statistics; output:
/// (Classes, Height, Width) logits. Cuts 1-16 "features0" ... "features15"; weights are torchvision's `state_dict`, of which
/// `aux_classifier.` is ignored.
template <int Height = 520, int Width = 520, int Classes = 21, cut_choice Cuts = every_cut>
struct deeplabv3_mobilenet_v3_large {
    static constexpr auto ignored() { return std::array{"aux_classifier."}; }
    static constexpr auto graph() {
        using namespace segmentation_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("backbone", low<Cuts>() | high<Cuts>())
             | named("classifier", named(0, deeplab_parts::pyramid(halved(Height, 4), halved(Width, 4))) | unit(1, 256, {.kernel = 3}) | named(4, conv(Classes, {})))
             | upsample({.size = {Height, Width}, .bilinear = true});
    }
};

} // namespace splitdsl::zoo
