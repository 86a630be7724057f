// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resnet.hpp
/// ResNet-18 and ResNet-34 with torchvision's weight names, as a family: resolution, classes, and identity cuts behind every layer.
#pragma once

#include <splitdsl/language.hpp>

namespace splitdsl::zoo {

namespace resnet_parts {

constexpr auto conv_bn(text conv_name, text norm_name, int channels, window w) { return named(conv_name, conv(channels, w)) | named(norm_name, batch_norm()); }
constexpr auto main_path(int channels, int stride) {
    return conv_bn("conv1", "bn1", channels, {.kernel = 3, .stride = stride}) | relu() | conv_bn("conv2", "bn2", channels, {.kernel = 3});
}
constexpr auto keep(int channels) { return residual(main_path(channels, 1)) | relu(); }
constexpr auto change(int channels, int stride) { return residual(main_path(channels, stride), named("downsample", projection(channels, stride))) | relu(); }

template <std::size_t Blocks>
constexpr auto layer(text name, int channels) {
    return named(name, named(0, change(channels, 2)) | repeat<Blocks - 1>([channels](int i) { return named(i + 1, keep(channels)); }));
}
template <std::size_t Blocks>
constexpr auto first_layer(text name, int channels) {
    return named(name, repeat<Blocks>([channels](int i) { return named(i, keep(channels)); }));
}

} // namespace resnet_parts

/// Basic-block ResNet (He et al. 2016). Input "image": (3, Height, Width) u8; output: Classes logits.
/// Cuts "layer1" ... "layer4" are lossless; weights are torchvision's resnet18 or resnet34 `state_dict`.
template <std::size_t B1, std::size_t B2, std::size_t B3, std::size_t B4, int Height = 224, int Width = 224, int Classes = 1000>
struct basic_resnet {
    static constexpr auto graph() {
        using namespace resnet_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | conv_bn("conv1", "bn1", 64, {.kernel = 7, .stride = 2}) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1})
             | first_layer<B1>("layer1", 64) | cut("layer1") | layer<B2>("layer2", 128) | cut("layer2") | layer<B3>("layer3", 256) | cut("layer3")
             | layer<B4>("layer4", 512) | cut("layer4") | global_pool() | named("fc", dense(Classes));
    }
};
template <int Height = 224, int Width = 224, int Classes = 1000>
struct resnet18 : basic_resnet<2, 2, 2, 2, Height, Width, Classes> {};
template <int Height = 224, int Width = 224, int Classes = 1000>
struct resnet34 : basic_resnet<3, 4, 6, 3, Height, Width, Classes> {};

} // namespace splitdsl::zoo
