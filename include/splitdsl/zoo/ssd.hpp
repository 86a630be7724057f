// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ssd.hpp
/// SSD300 on VGG-16 with torchvision's weight names.
#pragma once

#include <splitdsl/zoo/ssd_heads.hpp>

namespace splitdsl::zoo {

namespace ssd300_parts {
constexpr auto conv3(int number, int channels) { return named(number, conv(channels, {.kernel = 3})) | relu(); }
/// 1x1 down, then 3x3.
constexpr auto extra(int number, int channels, int stride, int pad) {
    return named(number, named(0, conv(channels / 2, {})) | relu() | named(2, conv(channels, {.kernel = 3, .stride = stride, .pad = pad})) | relu());
}
inline constexpr std::array<ssd_parts::head_shape, ssd_parts::levels> shapes{{{38, 4, 512}, {19, 6, 1024}, {10, 6, 512}, {5, 6, 256}, {3, 4, 256}, {1, 4, 256}}};
/// Its pixels are shifted but not scaled.
inline constexpr normalisation statistics{{0.48235F, 0.45882F, 0.40784F, 0}, {0.00392156862745098F, 0.00392156862745098F, 0.00392156862745098F, 1}};
} // namespace ssd300_parts

/// Liu et al. 2016 (torchvision's ssd300_vgg16). Input "image": (3, 300, 300) u8. Outputs: "logits0" (shapes * Classes, 38, 38), "offsets0"
/// (shapes * 4, 38, 38), ... "offsets5"; `ssd300_postprocess` makes boxes of them. Cuts 1-4 "pool1", "pool2", "pool3", "conv4";
/// weights are torchvision's `state_dict`.
template <int Classes = 91, cut_choice Cuts = every_cut>
struct ssd300_vgg16 {
    static constexpr auto graph() {
        using namespace ssd300_parts;
        using ssd_parts::level;
        constexpr auto features = conv3(0, 64) | conv3(2, 64) | max_pool() | stage_cut<Cuts, 1>("pool1") | conv3(5, 128) | conv3(7, 128) | max_pool() | stage_cut<Cuts, 2>("pool2")
                                | conv3(10, 256) | conv3(12, 256) | conv3(14, 256) | max_pool({.kernel = 2, .ceil = true}) | stage_cut<Cuts, 3>("pool3")
                                | conv3(17, 512) | conv3(19, 512) | conv3(21, 512) | stage_cut<Cuts, 4>("conv4");
        constexpr auto deeper = max_pool() | conv3(1, 512) | conv3(3, 512) | conv3(5, 512)
                              | named(7, max_pool({.kernel = 3, .stride = 1, .pad = 1}) | named(1, conv(1024, {.kernel = 3, .dilation = 6})) | relu() | named(3, conv(1024, {})) | relu());
        return input("image", u8, {.channels = 3, .height = 300, .width = 300}) | normalise(statistics)
             | named("backbone", tap("conv4_3", named("features", features)) | level(0, named("scale_weight", l2_normalise())) | from("conv4_3")
                                     | named("extra", level(1, named(0, deeper)) | level(2, extra(1, 512, 2, 1)) | level(3, extra(2, 256, 2, 1)) | level(4, extra(3, 256, 1, 0)) | level(5, extra(4, 256, 1, 0))))
             | ssd_parts::heads([](int, int outputs) { return conv(outputs, {.kernel = 3}); }, shapes, Classes);
    }
};

/// Boxes out of an ssd300_vgg16's outputs.
inline ssd_postprocess ssd300_postprocess(int classes = 91) {
    return {ssd300_parts::shapes,
            {{{38, 38}, 0.07, 0.15, {2}, 8}, {{19, 19}, 0.15, 0.33, {2, 3}, 16}, {{10, 10}, 0.33, 0.51, {2, 3}, 32}, {{5, 5}, 0.51, 0.69, {2, 3}, 64}, {{3, 3}, 0.69, 0.87, {2}, 100}, {{1, 1}, 0.87, 1.05, {2}, 300}},
            300,
            {.classes = classes}};
}

} // namespace splitdsl::zoo
