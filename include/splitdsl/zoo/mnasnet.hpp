// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mnasnet.hpp
/// MNASNet (B1) for any width and resolution, with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

namespace mnasnet_parts {

constexpr auto path(int in, int out, int kernel, int stride, int expand) {
    const int wide = in * expand;
    return named("layers", conv_bn(0, wide, {}) | relu() | conv_bn(3, wide, depthwise(wide, kernel, stride)) | relu() | conv_bn(6, out, {}));
}
/// Its first block changes shape, the others are residual.
template <std::size_t Blocks>
constexpr auto stack(int name, int in, int out, int kernel, int stride, int expand) {
    if constexpr (Blocks == 1) return named(name, named(0, path(in, out, kernel, stride, expand)));
    else
        return named(name, named(0, path(in, out, kernel, stride, expand))
                               | repeat<Blocks - 1>([=](int i) { return named(i + 1, residual(path(out, out, kernel, 1, expand))); }));
}

} // namespace mnasnet_parts

/// Tan et al. 2019. Percent: width times 100 (50, 75, 100, 130). Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits.
/// Cuts 1-7 "layers7" ... "layers13" behind the stem and each stack; weights are torchvision's `state_dict`.
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mnasnet {
    static_assert(scaled(192, Percent) != scaled(320, Percent) && scaled(80, Percent) != scaled(96, Percent), "splitdsl: at this width a stack's first block would be residual.");
    static constexpr auto graph() {
        using namespace mnasnet_parts;
        constexpr auto n = [](int channels) { return scaled(channels, Percent); };
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("layers", conv_bn(0, n(32), {.kernel = 3, .stride = 2}) | relu() | conv_bn(3, n(32), depthwise(n(32), 3, 1)) | relu()
                                   | conv_bn(6, n(16), {}) | stage_cut<Cuts, 1>("layers7")
                                   | stack<3>(8, n(16), n(24), 3, 2, 3) | stage_cut<Cuts, 2>("layers8")
                                   | stack<3>(9, n(24), n(40), 5, 2, 3) | stage_cut<Cuts, 3>("layers9")
                                   | stack<3>(10, n(40), n(80), 5, 2, 6) | stage_cut<Cuts, 4>("layers10")
                                   | stack<2>(11, n(80), n(96), 3, 1, 6) | stage_cut<Cuts, 5>("layers11")
                                   | stack<4>(12, n(96), n(192), 5, 2, 6) | stage_cut<Cuts, 6>("layers12")
                                   | stack<1>(13, n(192), n(320), 3, 1, 6) | stage_cut<Cuts, 7>("layers13")
                                   | conv_bn(14, 1280, {}) | relu())
             | global_pool() | named("classifier", named(1, dense(Classes)));
    }
};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mnasnet0_5 : mnasnet<50, Height, Width, Classes, Cuts> {};
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mnasnet1_3 : mnasnet<130, Height, Width, Classes, Cuts> {};

} // namespace splitdsl::zoo
