// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cifar_resnet.hpp
/// The CIFAR ResNets of He et al. 2016 (20, 32, 44, 56, 110 layers), with shortcuts that have no weights.
#pragma once

#include <splitdsl/zoo/resnet.hpp>

namespace splitdsl::zoo {

namespace cifar_resnet_parts {
/// Option A: every second row and column, then a quarter of the new channels as zeros on each side.
constexpr auto shrink(int channels) {
    return named(0, add(subsample(2) | pad_channels(channels / 4, channels / 4), resnet_parts::main_path(channels, 2)) | relu());
}
template <std::size_t Blocks>
constexpr auto keep(int channels, int first) {
    return repeat<Blocks>([=](int i) { return named(first + i, resnet_parts::keep(channels)); });
}
} // namespace cifar_resnet_parts

/// 6 n + 2 layers, n = BlocksPerStage. Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits.
/// Cuts 1-3 "layer1" ... "layer3". Weights: `conv1`, `bn1`, `layerS.B.{conv1,bn1,conv2,bn2}`, `linear`.
template <std::size_t BlocksPerStage, int Height = 32, int Width = 32, int Classes = 10, cut_choice Cuts = every_cut>
struct cifar_resnet {
    static_assert(BlocksPerStage >= 2);
    static constexpr auto graph() {
        using namespace cifar_resnet_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | conv_bn("conv1", "bn1", 16, {.kernel = 3}) | relu()
             | named("layer1", keep<BlocksPerStage>(16, 0)) | stage_cut<Cuts, 1>("layer1")
             | named("layer2", shrink(32) | keep<BlocksPerStage - 1>(32, 1)) | stage_cut<Cuts, 2>("layer2")
             | named("layer3", shrink(64) | keep<BlocksPerStage - 1>(64, 1)) | stage_cut<Cuts, 3>("layer3")
             | global_pool() | named("linear", dense(Classes));
    }
};
template <int Height = 32, int Width = 32, int Classes = 10, cut_choice Cuts = every_cut>
struct cifar_resnet20 : cifar_resnet<3, Height, Width, Classes, Cuts> {};
template <int Height = 32, int Width = 32, int Classes = 10, cut_choice Cuts = every_cut>
struct cifar_resnet32 : cifar_resnet<5, Height, Width, Classes, Cuts> {};
template <int Height = 32, int Width = 32, int Classes = 10, cut_choice Cuts = every_cut>
struct cifar_resnet44 : cifar_resnet<7, Height, Width, Classes, Cuts> {};
template <int Height = 32, int Width = 32, int Classes = 10, cut_choice Cuts = every_cut>
struct cifar_resnet56 : cifar_resnet<9, Height, Width, Classes, Cuts> {};

} // namespace splitdsl::zoo
