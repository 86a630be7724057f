// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file inception_v4.hpp
/// InceptionV4 with timm's weight names.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

namespace inception_v4_parts {

/// Convolution, batch norm, ReLU; here a convolution pads only if told to.
constexpr auto unit(int channels, window w) { return named("conv", conv(channels, w)) | named("bn", batch_norm(1e-3F)) | relu(); }
constexpr auto unit(int name, int channels, window w) { return named(name, unit(channels, w)); }
constexpr auto unit(text name, int channels, window w) { return named(name, unit(channels, w)); }
constexpr window one{.kernel = 1, .pad = 0};
constexpr window three{.kernel = 3, .pad = 0};
constexpr window three_by_two{.kernel = 3, .stride = 2, .pad = 0};
constexpr window three_same{.kernel = 3, .pad = 1};
constexpr window row3{.kernel = {1, 3}, .pad = {0, 1}};
constexpr window column3{.kernel = {3, 1}, .pad = {1, 0}};
constexpr window row7{.kernel = {1, 7}, .pad = {0, 3}};
constexpr window column7{.kernel = {7, 1}, .pad = {3, 0}};
constexpr auto smooth() { return avg_pool({.kernel = 3, .stride = 1, .pad = 1, .count_include_pad = false}); }
constexpr auto shrink() { return max_pool({.kernel = 3, .stride = 2}); }

constexpr auto mixed_3a() { return concat(shrink(), unit("conv", 96, three_by_two)); }
constexpr auto mixed_4a() {
    return concat(named("branch0", unit(0, 64, one) | unit(1, 96, three)),
                  named("branch1", unit(0, 64, one) | unit(1, 64, row7) | unit(2, 64, column7) | unit(3, 96, three)));
}
constexpr auto mixed_5a() { return concat(unit("conv", 192, three_by_two), shrink()); }
constexpr auto inception_a() {
    return concat(unit("branch0", 96, one), named("branch1", unit(0, 64, one) | unit(1, 96, three_same)),
                  named("branch2", unit(0, 64, one) | unit(1, 96, three_same) | unit(2, 96, three_same)), named("branch3", smooth() | unit(1, 96, one)));
}
constexpr auto reduction_a() {
    return concat(unit("branch0", 384, three_by_two), named("branch1", unit(0, 192, one) | unit(1, 224, three_same) | unit(2, 256, three_by_two)), shrink());
}
constexpr auto inception_b() {
    return concat(unit("branch0", 384, one), named("branch1", unit(0, 192, one) | unit(1, 224, row7) | unit(2, 256, column7)),
                  named("branch2", unit(0, 192, one) | unit(1, 192, column7) | unit(2, 224, row7) | unit(3, 224, column7) | unit(4, 256, row7)),
                  named("branch3", smooth() | unit(1, 128, one)));
}
constexpr auto reduction_b() {
    return concat(named("branch0", unit(0, 192, one) | unit(1, 192, three_by_two)),
                  named("branch1", unit(0, 256, one) | unit(1, 256, row7) | unit(2, 320, column7) | unit(3, 320, three_by_two)), shrink());
}
constexpr auto inception_c() {
    return concat(unit("branch0", 256, one), unit("branch1_0", 384, one) | concat(unit("branch1_1a", 256, row3), unit("branch1_1b", 256, column3)),
                  unit("branch2_0", 384, one) | unit("branch2_1", 448, column3) | unit("branch2_2", 512, row3)
                      | concat(unit("branch2_3a", 256, row3), unit("branch2_3b", 256, column3)),
                  named("branch3", smooth() | unit(1, 256, one)));
}

} // namespace inception_v4_parts

/// Szegedy et al. 2017. Input "image": (3, Height, Width) u8, to [-1, 1]; output: Classes logits.
/// Cuts 1-8 "features2" ... "features5", "features9", "features10", "features17", "features18" behind the layer of that number.
/// Weights are timm's inception_v4 `state_dict`.
template <int Height = 299, int Width = 299, int Classes = 1000, cut_choice Cuts = every_cut>
struct inception_v4 {
    static constexpr auto graph() {
        using namespace inception_v4_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(minus_one_to_one)
             | named("features", unit(0, 32, three_by_two) | unit(1, 32, three) | unit(2, 64, three_same) | stage_cut<Cuts, 1>("features2")
                                     | named(3, mixed_3a()) | stage_cut<Cuts, 2>("features3") | named(4, mixed_4a()) | stage_cut<Cuts, 3>("features4")
                                     | named(5, mixed_5a()) | stage_cut<Cuts, 4>("features5")
                                     | repeat<4>([](int i) { return named(6 + i, inception_a()); }) | stage_cut<Cuts, 5>("features9")
                                     | named(10, reduction_a()) | stage_cut<Cuts, 6>("features10")
                                     | repeat<7>([](int i) { return named(11 + i, inception_b()); }) | stage_cut<Cuts, 7>("features17")
                                     | named(18, reduction_b()) | stage_cut<Cuts, 8>("features18")
                                     | repeat<3>([](int i) { return named(19 + i, inception_c()); }))
             | global_pool() | named("last_linear", dense(Classes));
    }
};

} // namespace splitdsl::zoo
