// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ladon.hpp
/// Ladon (Matsubara et al. 2025): one learned payload for classification, detection and segmentation, which share all but their heads.
#pragma once

#include <splitdsl/zoo/deeplab.hpp>
#include <splitdsl/zoo/entropic_student.hpp>
#include <splitdsl/zoo/faster_rcnn.hpp>

#include <array>

namespace splitdsl::zoo {

namespace ladon_parts {

/// Of c5 (2048, height, width).
constexpr auto classes(int count) { return task("class", from("c5") | global_pool() | named("fc", dense(count))); }
constexpr auto mask(int height, int width, int count) {
    return task("mask", from("c5")
                            | named("classifier", named(0, deeplab_parts::pyramid(height / 32, width / 32)) | segmentation_parts::unit(1, 256, {.kernel = 3}) | named(4, conv(count, {})))
                            | upsample({.size = {height, width}, .bilinear = true}));
}
/// `early`, `middle` and `late`: layers 2 to 4 of the backbone, behind the decoder, which stands for layer 1 and what is in front of it.
template <codec_choice Codec, std::size_t N, std::size_t S, std::size_t M, std::size_t T, std::size_t L, std::size_t U>
constexpr auto network(int height, int width, int class_count, int mask_count, int channels, const body<N, S>& early, const body<M, T>& middle, const body<L, U>& late) {
    using namespace faster_rcnn_parts;
    return entropic_student_parts::network<Codec>(
        height, width, channels,
        tap("c2", identity()) | tap("c3", early) | tap("c4", middle) | tap("c5", late) | pyramid(height, width) | proposal_head(0) | proposal_head(1) | proposal_head(2) | proposal_head(3)
            | proposal_head(4)
            | fan_out(classes(class_count), mask(height, width, mask_count), feature(0), feature(1), feature(2), feature(3), logits(0), offsets(0), logits(1), offsets(1),
                      logits(2), offsets(2), logits(3), offsets(3), logits(4), offsets(4)));
}

} // namespace ladon_parts

/// Encoder at the edge; decoder, ResNet-50 from layer2 on, and three heads in the cloud, behind one cut "latent". Input "image": (3, Height, Width) u8,
/// multiples of 32, ImageNet's statistics. Outputs: "class" (Classes), "mask" (MaskClasses, Height, Width) of DeepLabV3, then those of
/// `faster_rcnn_resnet50_fpn`: what `faster_rcnn_postprocess` and `faster_rcnn_regions` make boxes of begins behind the mask. The backbone keeps its stride of 32
/// for DeepLabV3 as well, for the three heads read the same features.
/// Weights: Entropic Student's, its `fc`; torchvision's `fpn` and `rpn` of Faster R-CNN and `classifier` of DeepLabV3, without a scope above them. The second network's `roi_heads.` is
/// ignored.
///
/// ```cpp
/// net.run(memory, 0, net.stages, nullptr);                                    // one inference
/// const float *sure = outputs, *mask = sure + 1000, *pyramid = mask + 21 * 800 * 1088;
/// const auto regions = post.regions(pyramid, columns.data());                  // a faster_rcnn_postprocess
/// ```
template <int Height = 800, int Width = 1088, int Classes = 1000, int MaskClasses = 21, int Channels = 24, codec_choice Codec = entropy_bottleneck()>
struct ladon_resnet50 {
    static_assert(Height % 32 == 0 && Width % 32 == 0, "splitdsl: pictures of multiples of 32 were expected; pad them at the right and below");
    static constexpr auto ignored() { return std::array{"roi_heads.", "aux_classifier.", "bottleneck_layer.entropy_bottleneck."}; }
    static constexpr auto graph() {
        using namespace resnet_parts;
        return ladon_parts::network<Codec>(Height, Width, Classes, MaskClasses, Channels, layer<4, true>("layer2", 128), layer<6, true>("layer3", 256), layer<3, true>("layer4", 512));
    }
};

/// The same with ResNeSt-269e's layers, which have timm's names.
template <int Height = 800, int Width = 1088, int Classes = 1000, int MaskClasses = 21, int Channels = 24, codec_choice Codec = entropy_bottleneck()>
struct ladon_resnest269e {
    static_assert(Height % 32 == 0 && Width % 32 == 0, "splitdsl: pictures of multiples of 32 were expected; pad them at the right and below");
    static constexpr auto ignored() { return std::array{"roi_heads.", "aux_classifier.", "bottleneck_layer.entropy_bottleneck."}; }
    static constexpr auto graph() {
        using namespace resnest_parts;
        return ladon_parts::network<Codec>(Height, Width, Classes, MaskClasses, Channels, layer<30>("layer2", 128), layer<48>("layer3", 256), layer<8>("layer4", 512));
    }
};

} // namespace splitdsl::zoo
