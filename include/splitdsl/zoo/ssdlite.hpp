// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ssdlite.hpp
/// SSDLite320 on MobileNetV3-Large with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/mobilenet_v3.hpp>
#include <splitdsl/zoo/ssd_heads.hpp>

namespace splitdsl::zoo {

namespace ssdlite_parts {

using mobilenet_v3_parts::epsilon;

/// MobileNetV3-Large whose last blocks have half the channels (Howard et al. 2019, table 6).
struct reduced_large {
    static constexpr int count = 15;
    static constexpr mobilenet_v3_parts::block at(int i) {
        auto b = mobilenet_v3_parts::large::at(i);
        if (i >= 12) b.out /= 2;
        if (i >= 13) b.in /= 2, b.wide /= 2;
        return b;
    }
};
/// The expansion of block 13 ends the first part of the features: it is a level of its own.
constexpr auto expansion() { return named(13, conv_bn(0, 672, {}, epsilon)) | hard_swish(); }
constexpr auto rest_of_expanded() {
    return named(0, named(1, conv_bn(0, 672, {.kernel = 5, .stride = 2, .groups = 672}, epsilon)) | hard_swish() | named(2, mobilenet_v3_parts::squeeze_excite(672)) | named(3, conv_bn(0, 80, {}, epsilon)));
}
constexpr auto extra(int number, int channels) {
    return named(number, named(0, conv_bn(0, channels / 2, {}, epsilon)) | relu6() | named(1, conv_bn(0, channels / 2, depthwise(channels / 2, 3, 2), epsilon)) | relu6()
                             | named(2, conv_bn(0, channels, {}, epsilon)) | relu6());
}
inline constexpr std::array<ssd_parts::head_shape, ssd_parts::levels> shapes{{{20, 6, 672}, {10, 6, 480}, {5, 6, 512}, {3, 6, 256}, {2, 6, 256}, {1, 6, 128}}};

} // namespace ssdlite_parts

/// torchvision's ssdlite320_mobilenet_v3_large. Input "image": (3, 320, 320) u8, to [-1, 1]. Outputs: "logits0" (6 * Classes, 20, 20), "offsets0"
/// (24, 20, 20), ... "offsets5"; `ssdlite320_postprocess` makes boxes of them. Cuts 1-13 "features0" ... "features12"; weights are
/// torchvision's `state_dict`.
template <int Classes = 91, cut_choice Cuts = every_cut>
struct ssdlite320_mobilenet_v3_large {
    static constexpr auto graph() {
        using namespace ssdlite_parts;
        using ssd_parts::level;
        using mobilenet_v3_parts::cut_name, mobilenet_v3_parts::make_block;
        constexpr auto first = named(0, conv_bn(0, 16, {.kernel = 3, .stride = 2}, epsilon)) | hard_swish() | stage_cut<Cuts, 1>(cut_name(0))
                             | []<int... I>(std::integer_sequence<int, I...>) {
                                   return (... | (named(I + 1, make_block<reduced_large, I, 100>()) | stage_cut<Cuts, I + 2>(cut_name(I + 1))));
                               }(std::make_integer_sequence<int, 12>{})
                             | expansion();
        constexpr auto second = rest_of_expanded() | named(1, make_block<reduced_large, 13, 100>()) | named(2, make_block<reduced_large, 14, 100>()) | named(3, conv_bn(0, 480, {}, epsilon)) | hard_swish();
        return input("image", u8, {.channels = 3, .height = 320, .width = 320}) | normalise(minus_one_to_one)
             | named("backbone", named("features", level(0, named(0, first)) | level(1, named(1, second)))
                                     | named("extra", level(2, extra(0, 512)) | level(3, extra(1, 256)) | level(4, extra(2, 256)) | level(5, extra(3, 128))))
             | ssd_parts::heads([](int channels, int outputs) { return named(0, conv_bn(0, channels, depthwise(channels, 3, 1), epsilon)) | relu6() | named(1, conv(outputs, {})); }, shapes, Classes);
    }
};

/// Boxes out of an ssdlite320_mobilenet_v3_large's outputs.
inline ssd_postprocess ssdlite320_postprocess(int classes = 91) {
    std::vector<detect::default_box_level> levels;
    const double scales[]{0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0};
    for (std::size_t i = 0; i < ssdlite_parts::shapes.size(); ++i) levels.push_back({{ssdlite_parts::shapes[i].cells, ssdlite_parts::shapes[i].cells}, scales[i], scales[i + 1], {2, 3}});
    return {ssdlite_parts::shapes, levels, 320, {.classes = classes, .score = 0.001F, .candidates = 300, .overlap = 0.55F, .detections = 300}};
}

} // namespace splitdsl::zoo
