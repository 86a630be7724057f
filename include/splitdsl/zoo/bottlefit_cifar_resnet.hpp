// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bottlefit_cifar_resnet.hpp
/// CIFAR ResNets whose first half is an encoder, a small tensor that travels, and a decoder: BottleFit at a size that a laptop trains (tools/train_bottleneck.py).
#pragma once

#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/cifar_resnet.hpp>

namespace splitdsl::zoo {

/// `cifar_resnet` behind a decoder that stands in for its first two stages: three small convolutions down to (B.channels, 8, 8) of 32 x 32 pixels, four up to layer2's (32, 16, 16).
/// Input "image": (3, 32, 32) u8, ImageNet's statistics; places "edge" and "cloud", cut "uplink": 200 bytes of 3 channels with affine_u8. Output: Classes logits. `B.split_point` is not used.
/// Weights: `bottleneck.{encoder,decoder}`, and as in the teacher `layer3`, `linear`.
template <std::size_t BlocksPerStage, bottleneck_choice B = bottleneck_choice{}, int Classes = 10>
struct bottlefit_cifar_resnet {
    static constexpr auto graph() {
        using namespace bottlefit_parts;
        constexpr auto first = named(0, conv(16, {.kernel = 3, .with_bias = bias::no})) | norm(1) | small_conv(3, 32, 2, 0) | norm(4);
        constexpr auto rebuilt = norm(0) | named(2, conv_transpose(32, {.kernel = 2, .stride = 2, .with_bias = bias::no})) | norm(3)
                                 | named(5, conv(32, {.kernel = 3, .with_bias = bias::no})) | norm(6) | named(8, conv(32, {.kernel = 3, .with_bias = bias::no})) | norm(9);
        return head("edge", input("image", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet) | coded("encoder", first))
             | bottleneck("uplink", coded("encoder", small_conv(6, B.channels, 2, 0)), B.codec)
             | tail("cloud", coded("decoder", rebuilt)
                                 | named("layer3", cifar_resnet_parts::shrink(64) | cifar_resnet_parts::keep<BlocksPerStage - 1>(64, 1))
                                 | global_pool() | named("linear", dense(Classes)));
    }
};
template <bottleneck_choice B = bottleneck_choice{}, int Classes = 10>
struct bottlefit_cifar_resnet20 : bottlefit_cifar_resnet<3, B, Classes> {};
template <bottleneck_choice B = bottleneck_choice{}, int Classes = 10>
struct bottlefit_cifar_resnet56 : bottlefit_cifar_resnet<9, B, Classes> {};

} // namespace splitdsl::zoo
