// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bottlefit.hpp
/// ResNets and DenseNets whose first half is an encoder, a small tensor that travels, and a decoder (SAGE, BottleFit).
#pragma once

#include <splitdsl/zoo/densenet.hpp>
#include <splitdsl/zoo/resnet.hpp>

namespace splitdsl::zoo {

/// What stands between the two places. Channels: 3, 6, 9 or 12 in the papers. Split point 1: three steps down, (Channels, 29, 29) of 224 x 224
/// pixels, (3, 12, 26) of 88 x 200, (3, 91, 161) of 720 x 1280. Split point 2: four, (Channels, 15, 15) of 224 x 224.
struct bottleneck_choice {
    int channels{3};
    int split_point{1};
    codec_choice codec{affine_u8()};
};

namespace bottlefit_parts {

constexpr auto small_conv(int name, int channels, int stride, int pad) {
    return named(name, conv(channels, {.kernel = 2, .stride = stride, .pad = pad, .with_bias = bias::no}));
}
constexpr auto norm(int name) { return named(name, batch_norm()) | relu(); }
constexpr auto coded(text name, const auto& body) { return named("bottleneck", named(name, body)); }

/// Runs at "edge": the input to the tensor that travels.
template <bottleneck_choice B, int Height, int Width>
constexpr auto encoder(text picture, text uplink) {
    constexpr auto stem = conv_bn(0, 64, {.kernel = 7, .stride = 2}) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1}) | norm(4);
    const auto image = input(picture, u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet);
    if constexpr (B.split_point == 1)
        return head("edge", image | coded("encoder", stem)) | bottleneck(uplink, coded("encoder", small_conv(6, B.channels, 2, 1)), B.codec);
    else
        return head("edge", image | coded("encoder", stem | small_conv(6, 512, 2, 1) | norm(7)))
             | bottleneck(uplink, coded("encoder", small_conv(9, B.channels, 2, 1)), B.codec);
}
/// One step up at split point 2; one more row and column at split point 1.
template <bottleneck_choice B>
constexpr auto first_up(int channels) {
    if constexpr (B.split_point == 1) return small_conv(2, channels, 1, 1);
    else return named(2, conv_transpose(channels, {.kernel = 2, .stride = 2, .with_bias = bias::no}));
}

} // namespace bottlefit_parts

/// ResNet behind a decoder that stands in for its layer2 (torchdistill's custom_resnet152; there Deep, 36, 3). The decoder is as wide as layer2.
/// Input "image": (3, Height, Width) u8; places "edge" and "cloud", cut "uplink". Weights: `bottleneck.encoder`, `bottleneck.decoder`, `layer3`, `layer4`, `fc`.
template <bool Deep, std::size_t B3, std::size_t B4, bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_resnet {
    static constexpr int sent_channels = B.channels;
    /// The two sides of the cut, for three_cameras (imitation.hpp).
    static constexpr auto near(text picture, text uplink) { return bottlefit_parts::encoder<B, Height, Width>(picture, uplink); }
    static constexpr auto far() {
        using namespace bottlefit_parts;
        using namespace resnet_parts;
        constexpr int wide = Deep ? 512 : 128;
        return tail("cloud", coded("decoder", norm(0) | first_up<B>(wide) | norm(3) | small_conv(5, wide, 1, 1) | norm(6) | small_conv(8, wide, 1, 0) | norm(9)
                                                  | small_conv(11, wide, 1, 0) | avg_pool({.kernel = 2, .stride = 1}))
                                 | layer<B3, Deep>("layer3", 256) | layer<B4, Deep>("layer4", 512) | global_pool() | named("fc", dense(Classes)));
    }
    static constexpr auto graph() { return near("image", "uplink") | far(); }
};
template <bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_resnet34 : bottlefit_resnet<false, 6, 3, B, Height, Width, Classes> {};
template <bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_resnet50 : bottlefit_resnet<true, 6, 3, B, Height, Width, Classes> {};
template <bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_resnet152 : bottlefit_resnet<true, 36, 3, B, Height, Width, Classes> {};

/// DenseNet behind a decoder that stands in for everything up to transition2 (torchdistill's custom_densenet169 and 201).
/// Weights: `features.bottleneck.{encoder,decoder}`, `features.{denseblock3,transition3,denseblock4,norm5}`, `classifier`.
template <std::size_t B3, std::size_t B4, bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_densenet {
    static constexpr int sent_channels = B.channels;
    /// The two sides of the cut, for three_cameras (imitation.hpp).
    static constexpr auto near(text picture, text uplink) { return named("features", bottlefit_parts::encoder<B, Height, Width>(picture, uplink)); }
    static constexpr auto far() {
        using namespace bottlefit_parts;
        using namespace densenet_parts;
        constexpr int after3 = (256 + 32 * static_cast<int>(B3)) / 2;
        return named("features", tail("cloud", coded("decoder", norm(0) | first_up<B>(512) | norm(3) | small_conv(5, 512, 1, 1) | norm(6) | small_conv(8, 256, 1, 0)
                                                                          | norm(9) | small_conv(11, 256, 1, 0) | norm(12) | small_conv(14, 256, 1, 0) | avg_pool())
                                                         | block<B3>("denseblock3", 32) | transition("transition3", after3) | block<B4>("denseblock4", 32)
                                                         | named("norm5", batch_norm()) | relu()))
             | tail("cloud", global_pool() | named("classifier", dense(Classes)));
    }
    static constexpr auto graph() { return near("image", "uplink") | far(); }
};
template <bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_densenet169 : bottlefit_densenet<32, 32, B, Height, Width, Classes> {};
template <bottleneck_choice B = bottleneck_choice{}, int Height = 224, int Width = 224, int Classes = 1000>
struct bottlefit_densenet201 : bottlefit_densenet<48, 32, B, Height, Width, Classes> {};

} // namespace splitdsl::zoo
