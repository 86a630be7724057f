// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mobilenet_v2.hpp
/// MobileNetV2 for any width and resolution: with torchvision's weight names, and as TensorFlow published it (batch norms folded).
#pragma once

#include <splitdsl/zoo/blocks.hpp>

#include <utility>

namespace splitdsl::zoo {

namespace mobilenet_v2_parts {

/// One inverted residual; channels at 100 %.
struct block { int expand, in, out, stride; };
inline constexpr int block_count = 17;
constexpr block block_at(int i) {
    constexpr block all[block_count]{{1, 32, 16, 1}, {6, 16, 24, 2},  {6, 24, 24, 1},  {6, 24, 32, 2},  {6, 32, 32, 1},   {6, 32, 32, 1},
                                     {6, 32, 64, 2}, {6, 64, 64, 1},  {6, 64, 64, 1},  {6, 64, 64, 1},  {6, 64, 96, 1},   {6, 96, 96, 1},
                                     {6, 96, 96, 1}, {6, 96, 160, 2}, {6, 160, 160, 1}, {6, 160, 160, 1}, {6, 160, 320, 1}};
    return all[i];
}
constexpr text cut_name(int i) {
    constexpr text names[]{"block0", "block1", "block2", "block3", "block4", "block5", "block6", "block7", "block8",
                           "block9", "block10", "block11", "block12", "block13", "block14", "block15", "block16"};
    return names[i];
}
/// Behind every block but the last.
template <cut_choice Cuts, int I>
constexpr auto cut_behind() {
    if constexpr (I + 1 < block_count) return stage_cut<Cuts, I + 1>(cut_name(I));
    else return identity();
}
/// What a block does is joined to what entered it where both have one shape.
template <int I, int Percent, class Body>
constexpr auto joined(const Body& body) {
    constexpr block b = block_at(I);
    if constexpr (b.stride == 1 && scaled(b.in, Percent) == scaled(b.out, Percent)) return residual(body);
    else return body;
}

template <int I, int Percent>
constexpr auto torch_block() {
    constexpr block b = block_at(I);
    constexpr int wide = scaled(b.in, Percent) * b.expand, out = scaled(b.out, Percent);
    if constexpr (b.expand == 1)
        return joined<I, Percent>(named("conv", named(0, conv_bn(0, wide, depthwise(wide, 3, b.stride))) | relu6() | conv_bn(1, out, {})));
    else
        return joined<I, Percent>(named("conv", named(0, conv_bn(0, wide, {})) | relu6() | named(1, conv_bn(0, wide, depthwise(wide, 3, b.stride))) | relu6()
                                                    | conv_bn(2, out, {})));
}

/// TensorFlow's SAME: what is missing is added behind before it is added in front.
constexpr padding same(int size_h, int size_w, int kernel, int stride) {
    const auto total = [=](int size) {
        const int n = ((size + stride - 1) / stride - 1) * stride + kernel - size;
        return n > 0 ? n : 0;
    };
    return {total(size_h) / 2, total(size_w) / 2, total(size_h) - total(size_h) / 2, total(size_w) - total(size_w) / 2};
}
/// Size in front of block I.
constexpr int size_at(int i, int size) {
    size = (size + 1) / 2;
    for (int k = 0; k < i; ++k) size = (size + block_at(k).stride - 1) / block_at(k).stride;
    return size;
}
template <int I, int Percent, int Height, int Width>
constexpr auto tf_block() {
    constexpr block b = block_at(I);
    constexpr int wide = scaled(b.in, Percent) * b.expand, out = scaled(b.out, Percent);
    constexpr window deep{.kernel = 3, .stride = b.stride, .pad = same(size_at(I, Height), size_at(I, Width), 3, b.stride), .groups = wide};
    constexpr auto rest = named("depthwise", conv(wide, deep)) | relu6() | named("project", conv(out, {}));
    if constexpr (b.expand == 1) return joined<I, Percent>(rest);
    else return joined<I, Percent>(named("expand", conv(wide, {})) | relu6() | rest);
}

} // namespace mobilenet_v2_parts

/// Sandler et al. 2018. Percent: width times 100 (35, 100, 140). Input "image": (3, Height, Width) u8, ImageNet's statistics; output: Classes logits.
/// Cuts 1-16 "block0" ... "block15"; weights are torchvision's mobilenet_v2 `state_dict`.
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mobilenet_v2 {
    static constexpr auto graph() {
        using namespace mobilenet_v2_parts;
        constexpr int last = scaled(1280, Percent > 100 ? Percent : 100);
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet)
             | named("features", named(0, conv_bn(0, scaled(32, Percent), {.kernel = 3, .stride = 2})) | relu6()
                                     | []<int... I>(std::integer_sequence<int, I...>) {
                                           return (... | (named(I + 1, torch_block<I, Percent>()) | cut_behind<Cuts, I>()));
                                       }(std::make_integer_sequence<int, block_count>{})
                                     | named(18, conv_bn(0, last, {})) | relu6())
             | global_pool() | named("classifier", named(1, dense(Classes)));
    }
};

/// The same network as TF-slim published it: batch norms folded into biases, SAME padding, input (x - 127.5) / 127.5, class 0 is background.
/// Cuts 1-16 "block0" ... "block15". Weights: `stem`, `blockN.{expand,depthwise,project}`, `last`, `classifier`.
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1001, cut_choice Cuts = every_cut>
struct mobilenet_v2_tf {
    static constexpr auto graph() {
        using namespace mobilenet_v2_parts;
        constexpr int last = scaled(1280, Percent > 100 ? Percent : 100);
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(minus_one_to_one)
             | named("stem", conv(scaled(32, Percent), {.kernel = 3, .stride = 2, .pad = same(Height, Width, 3, 2)})) | relu6()
             | []<int... I>(std::integer_sequence<int, I...>) {
                   return (... | (named(cut_name(I), tf_block<I, Percent, Height, Width>()) | cut_behind<Cuts, I>()));
               }(std::make_integer_sequence<int, block_count>{})
             | named("last", conv(last, {})) | relu6() | global_pool() | named("classifier", dense(Classes));
    }
};

/// Both on bytes (graph/int8.hpp); TF-slim's published weights agree with f32 on 196 of 200 pictures.
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1000, cut_choice Cuts = every_cut>
struct mobilenet_v2_int8 : int8<mobilenet_v2<Percent, Height, Width, Classes, Cuts>> {};
template <int Percent = 100, int Height = 224, int Width = 224, int Classes = 1001, cut_choice Cuts = every_cut>
struct mobilenet_v2_tf_int8 : int8<mobilenet_v2_tf<Percent, Height, Width, Classes, Cuts>> {};

} // namespace splitdsl::zoo
