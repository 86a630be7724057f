// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file squeezenet.hpp
/// SqueezeNet 1.1 with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

namespace squeezenet_parts {
constexpr auto fire(int squeeze, int expand) {
    return named("squeeze", conv(squeeze, {})) | relu()
         | concat(named("expand1x1", conv(expand, {})) | relu(), named("expand3x3", conv(expand, {.kernel = 3})) | relu());
}
constexpr auto shrink() { return max_pool({.kernel = 3, .stride = 2, .ceil = true}); }
} // namespace squeezenet_parts

/// Iandola et al. 2016. Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits.
/// Cuts 1-11 "features2" ... "features12" behind the layer of that number; weights are torchvision's squeezenet1_1 `state_dict`.
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct squeezenet1_1 {
    static constexpr auto graph() {
        using namespace squeezenet_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("features", named(0, conv(64, {.kernel = 3, .stride = 2, .pad = 0})) | relu() | shrink() | stage_cut<Cuts, 1>("features2")
                                     | named(3, fire(16, 64)) | stage_cut<Cuts, 2>("features3")
                                     | named(4, fire(16, 64)) | stage_cut<Cuts, 3>("features4")
                                     | shrink() | stage_cut<Cuts, 4>("features5")
                                     | named(6, fire(32, 128)) | stage_cut<Cuts, 5>("features6")
                                     | named(7, fire(32, 128)) | stage_cut<Cuts, 6>("features7")
                                     | shrink() | stage_cut<Cuts, 7>("features8")
                                     | named(9, fire(48, 192)) | stage_cut<Cuts, 8>("features9")
                                     | named(10, fire(48, 192)) | stage_cut<Cuts, 9>("features10")
                                     | named(11, fire(64, 256)) | stage_cut<Cuts, 10>("features11")
                                     | named(12, fire(64, 256)) | stage_cut<Cuts, 11>("features12"))
             | named("classifier", named(1, conv(Classes, {}))) | relu() | global_pool();
    }
};

/// On bytes (graph/int8.hpp); torchvision's published weights agree with f32 on 191 of 200 pictures.
template <int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct squeezenet1_1_int8 : int8<squeezenet1_1<Height, Width, Classes, Cuts>> {};

} // namespace splitdsl::zoo
