// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file deepcod_cifar_resnet.hpp
/// CIFAR ResNets behind a compressor as lopsided as DeepCOD's: one convolution on the device, a deep decoder in the cloud (tools/train_bottleneck.py trains it).
#pragma once

#include <splitdsl/zoo/cifar_resnet.hpp>

#include <array>

namespace splitdsl::zoo {

struct deepcod_choice {
    int channels{6};
    codec_choice codec{entropy_bottleneck()};
};

namespace deepcod_parts {

constexpr auto plain(int number, int channels, window w) {
    w.with_bias = bias::no;
    return named(number, conv(channels, w));
}
constexpr auto norm(int number) { return named(number, batch_norm()) | relu(); }
/// Two 3x3 convolutions beside the identity; weights `NUMBER.{0,1,3}` and a batch norm behind the sum, `NUMBER.4`.
constexpr auto block(int number, int channels) {
    return named(number, residual(plain(0, channels, {.kernel = 3}) | norm(1) | plain(3, channels, {.kernel = 3})) | norm(4));
}

} // namespace deepcod_parts

/// `cifar_resnet` from its third stage on, behind a decoder of four residual blocks. The device computes one convolution of 4x4 pixels and its quantiser; the
/// rest is the cloud's.
/// Input "image": (3, 32, 32) u8, ImageNet's statistics; places "edge" and "cloud", cut "uplink": (channels, 8, 8). Output: Classes logits.
/// The quantiser's steps are learned with the convolution that scales the values, their code with the prior; DeepCOD's levels are free numbers, and its lossless code is
/// another. With a codec that has no prior, `bottleneck.entropy_bottleneck.` of a file is ignored.
/// Weights: `bottleneck.{encoder,entropy_bottleneck,decoder}`, and as in the teacher `layer3`, `linear`.
/// Source: the split of work is that of DeepCOD (Yao et al., SenSys 2020); the layers are this library's.
///
/// ```cpp
/// struct pets : zoo::deepcod_cifar_resnet20<zoo::deepcod_choice{.channels = 3}, 5> {};
/// ```
template <std::size_t BlocksPerStage, deepcod_choice D = deepcod_choice{}, int Classes = 10>
struct deepcod_cifar_resnet {
    static constexpr auto ignored() { return std::array{"bottleneck.entropy_bottleneck."}; }
    static constexpr auto graph() {
        using namespace deepcod_parts;
        constexpr auto rebuilt = plain(0, 64, {.kernel = 3}) | norm(1) | block(3, 64) | block(4, 64)
                                 | named(5, conv_transpose(32, {.kernel = 2, .stride = 2, .with_bias = bias::no})) | norm(6) | block(8, 32) | block(9, 32);
        return head("edge", input("image", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet))
             | named("bottleneck", bottleneck("uplink", named("encoder", named(0, conv(D.channels, {.kernel = 4, .stride = 4, .pad = 0}))), D.codec))
             | tail("cloud", named("bottleneck", named("decoder", rebuilt))
                                 | named("layer3", cifar_resnet_parts::shrink(64) | cifar_resnet_parts::keep<BlocksPerStage - 1>(64, 1))
                                 | global_pool() | named("linear", dense(Classes)));
    }
};
template <deepcod_choice D = deepcod_choice{}, int Classes = 10>
struct deepcod_cifar_resnet20 : deepcod_cifar_resnet<3, D, Classes> {};
template <deepcod_choice D = deepcod_choice{}, int Classes = 10>
struct deepcod_cifar_resnet56 : deepcod_cifar_resnet<9, D, Classes> {};

} // namespace splitdsl::zoo
