// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file entropic_student.hpp
/// The learned compressor of Entropic Student and Ladon, entropy bottleneck included, in front of ResNet-50's or ResNeSt-269e's later layers.
#pragma once

#include <splitdsl/zoo/resnest.hpp>
#include <splitdsl/zoo/resnet.hpp>

#include <array>

namespace splitdsl::zoo {

namespace entropic_student_parts {

constexpr auto plain(int number, int channels, window w) {
    w.with_bias = bias::no;
    return named(number, conv(channels, w));
}
/// 138 672 parameters for 24 channels; (3, H, W) -> (Channels, H / 4 - 1, W / 4 - 1) where 4 divides both.
constexpr auto encoder(int channels) {
    return named("encoder", plain(0, 4 * channels, {.kernel = 5, .stride = 2}) | named(1, gdn()) | plain(2, 2 * channels, {.kernel = 5, .stride = 2}) | named(3, gdn())
                                | plain(4, channels, {.kernel = 2, .pad = 0}));
}
/// To what the network's first layer would have given: (channels, H / 4, W / 4).
constexpr auto decoder(int channels) {
    return named("decoder", plain(0, 2 * channels, {.kernel = 2, .pad = 1}) | named(1, igdn()) | plain(2, channels, {.kernel = 2, .pad = 0}) | named(3, igdn()) | plain(4, channels, {.kernel = 2, .pad = 1}));
}
template <codec_choice Codec, std::size_t N, std::size_t S>
constexpr auto network(int height, int width, int channels, const body<N, S>& rest) {
    return input("image", u8, {.channels = 3, .height = height, .width = width}) | normalise(imagenet)
         | head("edge", identity()) | named("bottleneck_layer", bottleneck("latent", encoder(channels), Codec)) | tail("cloud", named("bottleneck_layer", decoder(256)) | rest);
}

} // namespace entropic_student_parts

/// Matsubara et al. 2022 and Ladon: encoder at the edge, decoder and ResNet-50 from layer2 on in the cloud. Input "image": (3, Height, Width) u8,
/// ImageNet's statistics; output: Classes logits; cut "latent" (24 x 55 x 55 at 224): rounded about medians and coded by the trained prior, or by another
/// `Codec`. Weights: `bottleneck_layer.{encoder,decoder}.N`, GDNs as `gdn` describes them, the prior's tables in `bottleneck_layer.entropy_bottleneck.` (which
/// another codec ignores), then torchvision's `layer2` ... `fc`.
template <int Height = 224, int Width = 224, int Classes = 1000, int Channels = 24, codec_choice Codec = entropy_bottleneck()>
struct entropic_student_resnet50 {
    static constexpr auto ignored() { return std::array{"bottleneck_layer.entropy_bottleneck."}; }
    static constexpr auto graph() {
        using namespace resnet_parts;
        return entropic_student_parts::network<Codec>(Height, Width, Channels, layer<4, true>("layer2", 128) | layer<6, true>("layer3", 256) | layer<3, true>("layer4", 512) | global_pool() | named("fc", dense(Classes)));
    }
};

/// The same in front of ResNeSt-269e; its layers have timm's names.
template <int Height = 224, int Width = 224, int Classes = 1000, int Channels = 24, codec_choice Codec = entropy_bottleneck()>
struct entropic_student_resnest269e {
    static constexpr auto ignored() { return std::array{"bottleneck_layer.entropy_bottleneck."}; }
    static constexpr auto graph() {
        using namespace resnest_parts;
        return entropic_student_parts::network<Codec>(Height, Width, Channels, layer<30>("layer2", 128) | layer<48>("layer3", 256) | layer<8>("layer4", 512) | global_pool() | named("fc", dense(Classes)));
    }
};

} // namespace splitdsl::zoo
