// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mobilenet_v3.hpp
/// MobileNetV3-Large and -Small for any width, resolution and stride of the last stage, with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

#include <utility>

namespace splitdsl::zoo {

namespace mobilenet_v3_parts {

/// One inverted residual; channels at 100 %. Squeezes: squeeze-and-excite behind the depthwise convolution. Swish: hard swish, else ReLU.
struct block { int in, kernel, wide, out; bool squeezes, swish; int stride; int dilation{1}; };

struct large {
    static constexpr int count = 15, last = 1280;
    static constexpr block at(int i) {
        constexpr block all[count]{{16, 3, 16, 16, false, false, 1},  {16, 3, 64, 24, false, false, 2},  {24, 3, 72, 24, false, false, 1},
                                   {24, 5, 72, 40, true, false, 2},   {40, 5, 120, 40, true, false, 1},  {40, 5, 120, 40, true, false, 1},
                                   {40, 3, 240, 80, false, true, 2},  {80, 3, 200, 80, false, true, 1},  {80, 3, 184, 80, false, true, 1},
                                   {80, 3, 184, 80, false, true, 1},  {80, 3, 480, 112, true, true, 1},  {112, 3, 672, 112, true, true, 1},
                                   {112, 5, 672, 160, true, true, 2}, {160, 5, 960, 160, true, true, 1}, {160, 5, 960, 160, true, true, 1}};
        return all[i];
    }
};
struct small {
    static constexpr int count = 11, last = 1024;
    static constexpr block at(int i) {
        constexpr block all[count]{{16, 3, 16, 16, true, false, 2}, {16, 3, 72, 24, false, false, 2}, {24, 3, 88, 24, false, false, 1},
                                   {24, 5, 96, 40, true, true, 2},  {40, 5, 240, 40, true, true, 1},  {40, 5, 240, 40, true, true, 1},
                                   {40, 5, 120, 48, true, true, 1}, {48, 5, 144, 48, true, true, 1},  {48, 5, 288, 96, true, true, 2},
                                   {96, 5, 576, 96, true, true, 1}, {96, 5, 576, 96, true, true, 1}};
        return all[i];
    }
};

constexpr float epsilon = 1e-3F;
/// Of a Table's batch norms, where it has one of its own.
template <class Table>
constexpr float epsilon_of() {
    if constexpr (requires { Table::epsilon; }) return Table::epsilon;
    else return epsilon;
}
constexpr auto active(bool swish) { return swish ? hard_swish() : relu(); }
constexpr auto squeeze_excite(int channels) {
    return multiply(identity(), global_pool() | named("fc1", conv(scaled(channels / 4, 100), {})) | relu() | named("fc2", conv(channels, {})) | hard_sigmoid());
}
/// Everything from the depthwise convolution on; First is its number among the block's parts.
template <bool Squeezes, int First>
constexpr auto rest(int wide, int out, block b, float eps) {
    const window deep{.kernel = b.kernel, .stride = b.dilation > 1 ? 1 : b.stride, .dilation = b.dilation, .groups = wide};
    const auto depthwise_part = named(First, conv_bn(0, wide, deep, eps)) | active(b.swish);
    if constexpr (Squeezes) return depthwise_part | named(First + 1, squeeze_excite(wide)) | named(First + 2, conv_bn(0, out, {}, eps));
    else return depthwise_part | named(First + 1, conv_bn(0, out, {}, eps));
}
template <class Table, int I, int Percent>
constexpr auto main_path() {
    constexpr block b = Table::at(I);
    constexpr int in = scaled(b.in, Percent), wide = scaled(b.wide, Percent), out = scaled(b.out, Percent);
    constexpr float eps = epsilon_of<Table>();
    if constexpr (wide == in) return named("block", rest<b.squeezes, 0>(wide, out, b, eps));
    else return named("block", named(0, conv_bn(0, wide, {}, eps)) | active(b.swish) | rest<b.squeezes, 1>(wide, out, b, eps));
}
template <class Table, int I, int Percent>
constexpr auto make_block() {
    constexpr block b = Table::at(I);
    if constexpr (b.stride == 1 && scaled(b.in, Percent) == scaled(b.out, Percent)) return residual(main_path<Table, I, Percent>());
    else return main_path<Table, I, Percent>();
}
constexpr text cut_name(int i) {
    constexpr text names[]{"features0", "features1", "features2",  "features3",  "features4",  "features5",  "features6",  "features7",
                           "features8", "features9", "features10", "features11", "features12", "features13", "features14", "features15"};
    return names[i];
}

} // namespace mobilenet_v3_parts

/// Howard et al. 2019; Table is one of the two lists of blocks. Percent: width times 100. Input "image": (3, Height, Width) u8, ImageNet's
/// statistics; output: Classes logits. Cuts 1-16 (12) "features0" ... "features15" ("features11") behind the stem and each block;
/// weights are torchvision's `state_dict`.
template <class Table, int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mobilenet_v3 {
    static constexpr auto graph() {
        using namespace mobilenet_v3_parts;
        constexpr int last = 6 * scaled(Table::at(Table::count - 1).out, Percent);
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("features", named(0, conv_bn(0, scaled(16, Percent), {.kernel = 3, .stride = 2}, epsilon)) | hard_swish() | stage_cut<Cuts, 1>(cut_name(0))
                                     | []<int... I>(std::integer_sequence<int, I...>) {
                                           return (... | (named(I + 1, make_block<Table, I, Percent>()) | stage_cut<Cuts, I + 2>(cut_name(I + 1))));
                                       }(std::make_integer_sequence<int, Table::count>{})
                                     | named(Table::count + 1, conv_bn(0, last, {}, epsilon)) | hard_swish())
             | global_pool() | named("classifier", named(0, dense(scaled(Table::last, Percent))) | hard_swish() | named(3, dense(Classes)));
    }
};
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mobilenet_v3_large : mobilenet_v3<mobilenet_v3_parts::large, Percent, Height, Width, Classes, Cuts> {};
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mobilenet_v3_small : mobilenet_v3<mobilenet_v3_parts::small, Percent, Height, Width, Classes, Cuts> {};
/// On bytes (graph/int8.hpp).
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mobilenet_v3_large_int8 : int8<mobilenet_v3_large<Percent, Height, Width, Classes, Cuts>> {};

} // namespace splitdsl::zoo
