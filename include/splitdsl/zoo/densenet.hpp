// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file densenet.hpp
/// DenseNet-121 to DenseNet-201 with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

namespace densenet_parts {

constexpr text layer_name(int i) {
    constexpr text names[]{"denselayer1",  "denselayer2",  "denselayer3",  "denselayer4",  "denselayer5",  "denselayer6",  "denselayer7",  "denselayer8",
                           "denselayer9",  "denselayer10", "denselayer11", "denselayer12", "denselayer13", "denselayer14", "denselayer15", "denselayer16",
                           "denselayer17", "denselayer18", "denselayer19", "denselayer20", "denselayer21", "denselayer22", "denselayer23", "denselayer24",
                           "denselayer25", "denselayer26", "denselayer27", "denselayer28", "denselayer29", "denselayer30", "denselayer31", "denselayer32",
                           "denselayer33", "denselayer34", "denselayer35", "denselayer36", "denselayer37", "denselayer38", "denselayer39", "denselayer40",
                           "denselayer41", "denselayer42", "denselayer43", "denselayer44", "denselayer45", "denselayer46", "denselayer47", "denselayer48"};
    return names[i];
}
/// A batch norm in front of its convolution.
constexpr auto norm_conv(text norm_name, text conv_name, int channels, window w) {
    w.with_bias = bias::no;
    return named(norm_name, batch_norm()) | relu() | named(conv_name, conv(channels, w));
}
/// Every layer adds `growth` channels to all that came before it.
template <std::size_t Layers>
constexpr auto block(text name, int growth) {
    static_assert(Layers <= 48);
    return named(name, repeat<Layers>([growth](int i) {
                     return concat(identity(), named(layer_name(i), norm_conv("norm1", "conv1", 4 * growth, {}) | norm_conv("norm2", "conv2", growth, {.kernel = 3})));
                 }));
}
constexpr auto transition(text name, int channels) { return named(name, norm_conv("norm", "conv", channels, {}) | avg_pool()); }
constexpr auto stem(int channels) {
    return named("conv0", conv(channels, {.kernel = 7, .stride = 2})) | named("norm0", batch_norm()) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1});
}

} // namespace densenet_parts

/// Huang et al. 2017. Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits.
/// Cuts 1-3 "transition1" ... "transition3", 4 "denseblock4"; weights are torchvision's `state_dict`.
template <int First, int Growth, std::size_t B1, std::size_t B2, std::size_t B3, std::size_t B4, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct densenet {
    static constexpr int after1 = (First + Growth * static_cast<int>(B1)) / 2;
    static constexpr int after2 = (after1 + Growth * static_cast<int>(B2)) / 2;
    static constexpr int after3 = (after2 + Growth * static_cast<int>(B3)) / 2;
    static constexpr auto graph() {
        using namespace densenet_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("features", stem(First) | block<B1>("denseblock1", Growth) | transition("transition1", after1) | stage_cut<Cuts, 1>("transition1")
                                     | block<B2>("denseblock2", Growth) | transition("transition2", after2) | stage_cut<Cuts, 2>("transition2")
                                     | block<B3>("denseblock3", Growth) | transition("transition3", after3) | stage_cut<Cuts, 3>("transition3")
                                     | block<B4>("denseblock4", Growth) | stage_cut<Cuts, 4>("denseblock4")
                                     | named("norm5", batch_norm()) | relu())
             | global_pool() | named("classifier", dense(Classes));
    }
};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct densenet121 : densenet<64, 32, 6, 12, 24, 16, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct densenet161 : densenet<96, 48, 6, 12, 36, 24, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct densenet169 : densenet<64, 32, 6, 12, 32, 32, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct densenet201 : densenet<64, 32, 6, 12, 48, 32, Height, Width, Classes, Cuts> {};

} // namespace splitdsl::zoo
