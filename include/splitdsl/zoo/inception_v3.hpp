// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file inception_v3.hpp
/// InceptionV3 with torchvision's weight names, without the auxiliary classifier that only training uses.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

#include <array>

namespace splitdsl::zoo {

namespace inception_v3_parts {

/// Convolution, batch norm, ReLU; here a convolution pads only if told to.
constexpr auto unit(text name, int channels, window w) { return named(name, named("conv", conv(channels, w)) | named("bn", batch_norm(1e-3F)) | relu()); }
constexpr window one{.kernel = 1, .pad = 0};
constexpr window three{.kernel = 3, .pad = 0};
constexpr window three_by_two{.kernel = 3, .stride = 2, .pad = 0};
constexpr window three_same{.kernel = 3, .pad = 1};
constexpr window five_same{.kernel = 5, .pad = 2};
constexpr window row3{.kernel = {1, 3}, .pad = {0, 1}};
constexpr window column3{.kernel = {3, 1}, .pad = {1, 0}};
constexpr window row7{.kernel = {1, 7}, .pad = {0, 3}};
constexpr window column7{.kernel = {7, 1}, .pad = {3, 0}};
constexpr auto smooth() { return avg_pool({.kernel = 3, .stride = 1, .pad = 1}); }
constexpr auto shrink() { return max_pool({.kernel = 3, .stride = 2}); }

constexpr auto mixed_a(text name, int pooled) {
    return named(name, concat(unit("branch1x1", 64, one), unit("branch5x5_1", 48, one) | unit("branch5x5_2", 64, five_same),
                              unit("branch3x3dbl_1", 64, one) | unit("branch3x3dbl_2", 96, three_same) | unit("branch3x3dbl_3", 96, three_same),
                              smooth() | unit("branch_pool", pooled, one)));
}
constexpr auto mixed_b(text name) {
    return named(name, concat(unit("branch3x3", 384, three_by_two),
                              unit("branch3x3dbl_1", 64, one) | unit("branch3x3dbl_2", 96, three_same) | unit("branch3x3dbl_3", 96, three_by_two), shrink()));
}
constexpr auto mixed_c(text name, int c) {
    return named(name, concat(unit("branch1x1", 192, one), unit("branch7x7_1", c, one) | unit("branch7x7_2", c, row7) | unit("branch7x7_3", 192, column7),
                              unit("branch7x7dbl_1", c, one) | unit("branch7x7dbl_2", c, column7) | unit("branch7x7dbl_3", c, row7) | unit("branch7x7dbl_4", c, column7)
                                  | unit("branch7x7dbl_5", 192, row7),
                              smooth() | unit("branch_pool", 192, one)));
}
constexpr auto mixed_d(text name) {
    return named(name, concat(unit("branch3x3_1", 192, one) | unit("branch3x3_2", 320, three_by_two),
                              unit("branch7x7x3_1", 192, one) | unit("branch7x7x3_2", 192, row7) | unit("branch7x7x3_3", 192, column7) | unit("branch7x7x3_4", 192, three_by_two),
                              shrink()));
}
constexpr auto mixed_e(text name) {
    return named(name, concat(unit("branch1x1", 320, one), unit("branch3x3_1", 384, one) | concat(unit("branch3x3_2a", 384, row3), unit("branch3x3_2b", 384, column3)),
                              unit("branch3x3dbl_1", 448, one) | unit("branch3x3dbl_2", 384, three_same)
                                  | concat(unit("branch3x3dbl_3a", 384, row3), unit("branch3x3dbl_3b", 384, column3)),
                              smooth() | unit("branch_pool", 192, one)));
}

} // namespace inception_v3_parts

/// Szegedy et al. 2016, in evaluation mode. Input "image": (3, Height, Width) u8; output: Classes logits. TransformInput: pixels to [-1, 1] as for
/// torchvision's pretrained weights (its `transform_input`, which undoes ImageNet's statistics); else ImageNet's statistics.
/// Cuts 1-13 "maxpool1", "maxpool2", "Mixed_5b" ... "Mixed_7c"; weights are torchvision's `state_dict`, of which `AuxLogits.` is ignored.
template <int Height = 299, int Width = 299, int Classes = 1000, bool TransformInput = true, cut_choice Cuts = every_cut>
struct inception_v3 {
    static constexpr auto ignored() { return std::array<text, 1>{"AuxLogits."}; }
    static constexpr auto graph() {
        using namespace inception_v3_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(TransformInput ? minus_one_to_one : imagenet)
             | unit("Conv2d_1a_3x3", 32, three_by_two) | unit("Conv2d_2a_3x3", 32, three) | unit("Conv2d_2b_3x3", 64, three_same) | shrink() | stage_cut<Cuts, 1>("maxpool1")
             | unit("Conv2d_3b_1x1", 80, one) | unit("Conv2d_4a_3x3", 192, three) | shrink() | stage_cut<Cuts, 2>("maxpool2")
             | mixed_a("Mixed_5b", 32) | stage_cut<Cuts, 3>("Mixed_5b") | mixed_a("Mixed_5c", 64) | stage_cut<Cuts, 4>("Mixed_5c")
             | mixed_a("Mixed_5d", 64) | stage_cut<Cuts, 5>("Mixed_5d") | mixed_b("Mixed_6a") | stage_cut<Cuts, 6>("Mixed_6a")
             | mixed_c("Mixed_6b", 128) | stage_cut<Cuts, 7>("Mixed_6b") | mixed_c("Mixed_6c", 160) | stage_cut<Cuts, 8>("Mixed_6c")
             | mixed_c("Mixed_6d", 160) | stage_cut<Cuts, 9>("Mixed_6d") | mixed_c("Mixed_6e", 192) | stage_cut<Cuts, 10>("Mixed_6e")
             | mixed_d("Mixed_7a") | stage_cut<Cuts, 11>("Mixed_7a") | mixed_e("Mixed_7b") | stage_cut<Cuts, 12>("Mixed_7b")
             | mixed_e("Mixed_7c") | stage_cut<Cuts, 13>("Mixed_7c") | global_pool() | named("fc", dense(Classes));
    }
};

} // namespace splitdsl::zoo
