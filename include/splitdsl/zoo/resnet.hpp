// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resnet.hpp
/// ResNet-18 to ResNet-152 with torchvision's weight names, as a family: resolution, classes, cuts.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

namespace resnet_parts {

/// Two 3x3 convolutions.
constexpr auto main_path(int channels, int stride) {
    return conv_bn("conv1", "bn1", channels, {.kernel = 3, .stride = stride}) | relu() | conv_bn("conv2", "bn2", channels, {.kernel = 3});
}
/// 1x1 down, 3x3 with the stride (torchvision's place for it), 1x1 up to four times the channels.
constexpr auto deep_path(int channels, int stride) {
    return conv_bn("conv1", "bn1", channels, {}) | relu() | conv_bn("conv2", "bn2", channels, {.kernel = 3, .stride = stride}) | relu()
         | conv_bn("conv3", "bn3", 4 * channels, {});
}
template <bool Deep = false>
constexpr auto path(int channels, int stride) {
    if constexpr (Deep) return deep_path(channels, stride);
    else return main_path(channels, stride);
}
template <bool Deep = false>
constexpr auto keep(int channels) { return residual(path<Deep>(channels, 1)) | relu(); }
template <bool Deep = false>
constexpr auto change(int channels, int stride) {
    return residual(path<Deep>(channels, stride), named("downsample", projection(Deep ? 4 * channels : channels, stride))) | relu();
}

template <std::size_t Blocks, bool Deep = false>
constexpr auto layer(text name, int channels, int stride = 2) {
    return named(name, named(0, change<Deep>(channels, stride)) | repeat<Blocks - 1>([channels](int i) { return named(i + 1, keep<Deep>(channels)); }));
}
/// Its first block keeps the resolution, so a shallow one needs no projection.
template <std::size_t Blocks, bool Deep = false>
constexpr auto first_layer(text name, int channels) {
    if constexpr (Deep) return layer<Blocks, Deep>(name, channels, 1);
    else return named(name, repeat<Blocks>([channels](int i) { return named(i, keep(channels)); }));
}
constexpr auto stem() { return conv_bn("conv1", "bn1", 64, {.kernel = 7, .stride = 2}) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1}); }

} // namespace resnet_parts

/// He et al. 2016. Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits.
/// Cuts 1-4 "layer1" ... "layer4"; weights are torchvision's `state_dict`. Deep: blocks of three convolutions (50 layers and more).
template <bool Deep, std::size_t B1, std::size_t B2, std::size_t B3, std::size_t B4, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnet {
    static constexpr auto graph() {
        using namespace resnet_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet) | stem()
             | first_layer<B1, Deep>("layer1", 64) | stage_cut<Cuts, 1>("layer1") | layer<B2, Deep>("layer2", 128) | stage_cut<Cuts, 2>("layer2")
             | layer<B3, Deep>("layer3", 256) | stage_cut<Cuts, 3>("layer3") | layer<B4, Deep>("layer4", 512) | stage_cut<Cuts, 4>("layer4")
             | global_pool() | named("fc", dense(Classes));
    }
};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnet18 : resnet<false, 2, 2, 2, 2, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnet34 : resnet<false, 3, 4, 6, 3, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnet50 : resnet<true, 3, 4, 6, 3, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnet101 : resnet<true, 3, 4, 23, 3, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnet152 : resnet<true, 3, 8, 36, 3, Height, Width, Classes, Cuts> {};

} // namespace splitdsl::zoo
