// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bottlenet_cifar_resnet.hpp
/// CIFAR ResNets with a learned pair of layers at the split, one down and one up again: BottleNet and BottleNet++ at a size that a laptop trains (tools/train_bottleneck.py).
#pragma once

#include <splitdsl/zoo/cifar_resnet.hpp>

namespace splitdsl::zoo {

enum class bottlenet_form {
    bottlenet, ///< the unit's output passes ReLU
    plus_plus  ///< it passes a sigmoid, so that a channel's noise meets values of a known range
};

/// What stands behind stage `stage` (1 or 2) of the network: the stage's tensor, `stride` times lower and narrower, in so many channels.
struct bottlenet_choice {
    bottlenet_form form{bottlenet_form::bottlenet};
    int channels{3};
    int stage{1};
    int stride{4};
    codec_choice codec{affine_u8()};
};

namespace bottlenet_parts {

template <bottlenet_choice B>
constexpr auto down() {
    const auto layers = named(0, conv(B.channels, {.kernel = B.stride, .stride = B.stride, .pad = 0, .with_bias = bias::no})) | named(1, batch_norm());
    const auto coded = [&](const auto& activation) { return named("bottleneck", named("encoder", layers | activation)); };
    if constexpr (B.form == bottlenet_form::plus_plus) return bottleneck("uplink", coded(sigmoid()), B.codec);
    else return bottleneck("uplink", coded(relu()), B.codec);
}
template <bottlenet_choice B>
constexpr auto up() {
    constexpr int channels = 8 << B.stage;
    return named("bottleneck", named("decoder", named(0, conv_transpose(channels, {.kernel = B.stride, .stride = B.stride, .with_bias = bias::no})) | named(1, batch_norm()) | relu()));
}
template <std::size_t BlocksPerStage>
constexpr auto stage2() { return named("layer2", cifar_resnet_parts::shrink(32) | cifar_resnet_parts::keep<BlocksPerStage - 1>(32, 1)); }

} // namespace bottlenet_parts

/// `cifar_resnet` whole, with the unit between two of its stages: unlike BottleFit's, an encoder and a decoder that come on top of what the network computes.
/// Input "image": (3, 32, 32) u8, ImageNet's statistics; places "edge" and "cloud", cut "uplink": (3, 8, 8), 200 bytes, by default. Output: Classes logits.
/// Weights: the teacher's names, and `bottleneck.{encoder,decoder}.{0,1}`.
/// BottleNet codes the unit's 8-bit values as a JPEG, which is not here; BottleNet++ trains with the channel's noise between the two (`--noise`, `--erased` of
/// tools/train_bottleneck.py) and tells its encoder how strong it is, which this one is not told.
/// Source: Eshratifar et al., ISLPED 2019; Shao and Zhang, ICC Workshops 2020. Where in these networks the unit stands is this library's choice.
///
/// ```cpp
/// struct pets : zoo::bottlenet_cifar_resnet20<zoo::bottlenet_choice{.channels = 6}, 5> {};
/// ```
template <std::size_t BlocksPerStage, bottlenet_choice B = bottlenet_choice{}, int Classes = 10>
struct bottlenet_cifar_resnet {
    static_assert((B.stage == 1 || B.stage == 2) && B.channels > 0 && B.stride > 1 && 32 / B.stage % B.stride == 0,
                  "bottlenet_cifar_resnet: expected stage 1 or 2, channels above 0, and a stride above 1 that divides the stage's 32 or 16 rows");
    static constexpr auto graph() {
        using namespace bottlenet_parts;
        const auto first = head("edge", input("image", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet) | conv_bn("conv1", "bn1", 16, {.kernel = 3}) | relu()
                                            | named("layer1", cifar_resnet_parts::keep<BlocksPerStage>(16, 0)));
        const auto last = named("layer3", cifar_resnet_parts::shrink(64) | cifar_resnet_parts::keep<BlocksPerStage - 1>(64, 1)) | global_pool() | named("linear", dense(Classes));
        if constexpr (B.stage == 1) return first | down<B>() | tail("cloud", up<B>() | stage2<BlocksPerStage>() | last);
        else return first | head("edge", stage2<BlocksPerStage>()) | down<B>() | tail("cloud", up<B>() | last);
    }
};
template <bottlenet_choice B = bottlenet_choice{}, int Classes = 10>
struct bottlenet_cifar_resnet20 : bottlenet_cifar_resnet<3, B, Classes> {};
template <bottlenet_choice B = bottlenet_choice{}, int Classes = 10>
struct bottlenet_cifar_resnet56 : bottlenet_cifar_resnet<9, B, Classes> {};

} // namespace splitdsl::zoo
