// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mobilenet_ssd.hpp
/// SSD300 on MobileNetV1 and MobileNetV2 (Howard et al. 2017; Sandler et al. 2018): six levels, 1x1 predictors.
#pragma once

#include <splitdsl/zoo/mobilenet_v2.hpp>
#include <splitdsl/zoo/ssd_heads.hpp>

namespace splitdsl::zoo {

namespace mobilenet_ssd_parts {

/// MobileNetV1's separable blocks.
struct separable { int channels, stride; };
inline constexpr int separable_count = 13;
constexpr separable separable_at(int i) {
    constexpr separable all[separable_count]{{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
    return all[i];
}
constexpr text cut_name(int i) {
    constexpr text names[]{"block0", "block1", "block2", "block3", "block4", "block5", "block6", "block7", "block8", "block9", "block10", "block11", "block12"};
    return names[i];
}
template <int I, int Percent>
constexpr auto separable_block() {
    constexpr int in = scaled(I == 0 ? 32 : separable_at(I - 1).channels, Percent);
    return named(I + 1, named(0, conv_bn(0, in, depthwise(in, 3, separable_at(I).stride))) | relu6() | named(1, conv_bn(0, scaled(separable_at(I).channels, Percent), {})) | relu6());
}
template <cut_choice Cuts, int Percent, int First, bool Cuttable, int... I>
constexpr auto separable_blocks(std::integer_sequence<int, I...>) {
    constexpr cut_choice cuts = Cuttable ? Cuts : no_cuts;
    return (... | (separable_block<First + I, Percent>() | stage_cut<cuts, First + I + 1>(cut_name(First + I))));
}

/// 1x1 down to half, 3x3 with stride 2.
constexpr auto extra(int number, int channels) {
    return named(number, named(0, conv_bn(0, channels / 2, {})) | relu6() | named(1, conv_bn(0, channels, {.kernel = 3, .stride = 2})) | relu6());
}
constexpr auto extras() {
    using ssd_parts::level;
    return named("extra", level(2, extra(0, 512)) | level(3, extra(1, 256)) | level(4, extra(2, 256)) | level(5, extra(3, 128)));
}
constexpr std::array<ssd_parts::head_shape, ssd_parts::levels> shapes(int first, int second) {
    return {{{19, 6, first}, {10, 6, second}, {5, 6, 512}, {3, 6, 256}, {2, 6, 256}, {1, 6, 128}}};
}
constexpr auto predictor = [](int, int outputs) { return conv(outputs, {}); };

} // namespace mobilenet_ssd_parts

/// Input "image": (3, 300, 300) u8, to [-1, 1]. Percent: width times 100. Outputs: "logits0" (6 * Classes, 19, 19), "offsets0" (24, 19, 19), ...
/// "offsets5"; `ssd_mobilenet_postprocess` makes boxes of them. Cuts 1-11 "block0" ... "block10". Weights: `backbone.features.0.{0,1}`,
/// `backbone.features.N.{0,1}.{0,1}` (N = 1 ... 13), `backbone.extra` and `head` as torchvision's SSDs have them.
template <int Percent = 100, int Classes = 91, cut_choice Cuts = every_cut>
struct ssd_mobilenet_v1 {
    static constexpr auto graph() {
        using namespace mobilenet_ssd_parts;
        using ssd_parts::level;
        return input("image", u8, {.channels = 3, .height = 300, .width = 300}) | normalise(minus_one_to_one)
             | named("backbone", named("features", named(0, conv_bn(0, scaled(32, Percent), {.kernel = 3, .stride = 2})) | relu6()
                                                       | level(0, separable_blocks<Cuts, Percent, 0, true>(std::make_integer_sequence<int, 11>{}))
                                                       | level(1, separable_blocks<Cuts, Percent, 11, false>(std::make_integer_sequence<int, 2>{})))
                                     | extras())
             | ssd_parts::heads(predictor, shapes(scaled(512, Percent), scaled(1024, Percent)), Classes);
    }
};

/// The same on MobileNetV2: the first level is the expansion of block 13, the second the last convolution. Cuts 1-13 "block0" ... "block12";
/// `backbone.features.N` is named as torchvision's mobilenet_v2.
template <int Percent = 100, int Classes = 91, cut_choice Cuts = every_cut>
struct ssd_mobilenet_v2 {
    static constexpr auto graph() {
        using namespace mobilenet_ssd_parts;
        using ssd_parts::level;
        namespace v2 = mobilenet_v2_parts;
        constexpr int wide = 6 * scaled(96, Percent), last = scaled(1280, Percent > 100 ? Percent : 100);
        constexpr auto first = named(0, conv_bn(0, scaled(32, Percent), {.kernel = 3, .stride = 2})) | relu6()
                             | []<int... I>(std::integer_sequence<int, I...>) {
                                   return (... | (named(I + 1, v2::torch_block<I, Percent>()) | stage_cut<Cuts, I + 1>(v2::cut_name(I))));
                               }(std::make_integer_sequence<int, 13>{})
                             | named(14, named("conv", named(0, conv_bn(0, wide, {})) | relu6()));
        constexpr auto second = named(14, named("conv", named(1, conv_bn(0, wide, depthwise(wide, 3, 2))) | relu6() | conv_bn(2, scaled(160, Percent), {})))
                              | named(15, v2::torch_block<14, Percent>()) | named(16, v2::torch_block<15, Percent>()) | named(17, v2::torch_block<16, Percent>())
                              | named(18, conv_bn(0, last, {})) | relu6();
        return input("image", u8, {.channels = 3, .height = 300, .width = 300}) | normalise(minus_one_to_one)
             | named("backbone", named("features", level(0, first) | level(1, second)) | extras())
             | ssd_parts::heads(predictor, shapes(wide, last), Classes);
    }
};

/// Boxes out of an ssd_mobilenet_v1's or ssd_mobilenet_v2's outputs; default boxes as SSDLite's.
inline ssd_postprocess ssd_mobilenet_postprocess(int classes = 91) {
    const auto shape_of = mobilenet_ssd_parts::shapes(512, 1024);
    std::vector<detect::default_box_level> levels;
    const double scales[]{0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0};
    for (std::size_t i = 0; i < shape_of.size(); ++i) levels.push_back({{shape_of[i].cells, shape_of[i].cells}, scales[i], scales[i + 1], {2, 3}});
    return {shape_of, levels, 300, {.classes = classes}};
}

} // namespace splitdsl::zoo
