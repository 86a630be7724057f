// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resnest.hpp
/// ResNeSt (split attention) with timm's weight names, as a family: depth, stem, resolution, classes, cuts.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

namespace resnest_parts {

constexpr int radix = 2;

/// Channels of the attention's first layer: a quarter of the splits' together, in eights, at least 32 (timm's rule).
constexpr int attention_channels(int channels) {
    const int wanted = channels * radix / 4, n = (wanted + 4) / 8 * 8;
    return n < 32 ? 32 : n;
}
/// The two splits of a tensor, added up.
constexpr auto sum_of_splits(int channels) { return add(slice_channels(0, channels), slice_channels(channels, channels)); }
/// Zhang et al. 2020, figure 2: each channel chooses between its two splits.
constexpr auto split_attention(int channels) {
    return named("conv", conv(channels * radix, {.kernel = 3, .groups = radix})) | named("bn0", batch_norm()) | relu()
         | multiply(identity(), global_pool() | sum_of_splits(channels) | named("fc1", conv(attention_channels(channels), {.with_bias = bias::yes})) | named("bn1", batch_norm()) | relu()
                                    | named("fc2", conv(channels * radix, {})) | radix_softmax(radix))
         | sum_of_splits(channels);
}
/// The stride is an average pool behind the attention.
template <bool Strided>
constexpr auto path(int channels) {
    const auto begin = conv_bn("conv1", "bn1", channels, {}) | relu() | named("conv2", split_attention(channels));
    const auto end = conv_bn("conv3", "bn3", 4 * channels, {});
    if constexpr (Strided) return begin | avg_pool({.kernel = 3, .stride = 2, .pad = 1}) | end;
    else return begin | end;
}
template <bool Strided>
constexpr auto shortcut(int channels) {
    const auto change = conv_bn(1, 4 * channels, {});
    if constexpr (Strided) return named("downsample", avg_pool({.kernel = 2, .stride = 2, .ceil = true, .count_include_pad = false}) | change);
    else return named("downsample", change);
}
template <std::size_t Blocks, bool Strided = true>
constexpr auto layer(text name, int channels) {
    const auto first = named(0, residual(path<Strided>(channels), shortcut<Strided>(channels)) | relu());
    if constexpr (Blocks == 1) return named(name, first);
    else return named(name, first | repeat<Blocks - 1>([channels](int i) { return named(i + 1, residual(path<false>(channels)) | relu()); }));
}
/// Three 3x3 convolutions in place of one 7x7.
constexpr auto stem(int width) {
    return named("conv1", named(0, conv(width, {.kernel = 3, .stride = 2})) | named(1, batch_norm()) | relu() | named(3, conv(width, {.kernel = 3})) | named(4, batch_norm()) | relu()
                              | named(6, conv(2 * width, {.kernel = 3})))
         | named("bn1", batch_norm()) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1});
}

} // namespace resnest_parts

/// Zhang et al. 2020. Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits. StemWidth: 64 from 101 layers on, else 32.
/// Cuts 1-4 "layer1" ... "layer4"; weights are timm's `state_dict` (radix 2, cardinality 1).
template <int StemWidth, std::size_t B1, std::size_t B2, std::size_t B3, std::size_t B4, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnest {
    static constexpr auto graph() {
        using namespace resnest_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet) | stem(StemWidth)
             | layer<B1, false>("layer1", 64) | stage_cut<Cuts, 1>("layer1") | layer<B2>("layer2", 128) | stage_cut<Cuts, 2>("layer2")
             | layer<B3>("layer3", 256) | stage_cut<Cuts, 3>("layer3") | layer<B4>("layer4", 512) | stage_cut<Cuts, 4>("layer4")
             | global_pool() | named("fc", dense(Classes));
    }
};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnest14d : resnest<32, 1, 1, 1, 1, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnest26d : resnest<32, 2, 2, 2, 2, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnest50d : resnest<32, 3, 4, 6, 3, Height, Width, Classes, Cuts> {};
template <int Height = 416, int Width = 416, int Classes = 1000, cut_choice Cuts = every_cut>
struct resnest269e : resnest<64, 3, 30, 48, 8, Height, Width, Classes, Cuts> {};

} // namespace splitdsl::zoo
