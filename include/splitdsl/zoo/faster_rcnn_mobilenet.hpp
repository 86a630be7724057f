// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file faster_rcnn_mobilenet.hpp
/// The first network of Faster R-CNN on MobileNetV3-Large with a feature pyramid, with torchvision's weight names; the second is `faster_rcnn_regions`.
#pragma once

#include <splitdsl/zoo/faster_rcnn.hpp>
#include <splitdsl/zoo/mobilenet_v3.hpp>

#include <array>
#include <utility>

namespace splitdsl::zoo {

namespace faster_rcnn_mobilenet_parts {

/// MobileNetV3-Large's blocks, whose batch norms have torchvision's default epsilon in this detector.
struct blocks : mobilenet_v3_parts::large {
    static constexpr float epsilon = 1e-5F;
};
inline constexpr int shapes = 15; ///< anchors a cell: five sizes in three ratios
/// Maps 0 and 1 have the same stride of 32, map 2 every second pixel of map 1.
inline constexpr int maps = 3;
constexpr int cells(int size, int level) {
    const int rows = faster_rcnn_parts::padded(size) / 32;
    return level < 2 ? rows : (rows + 1) / 2;
}

template <cut_choice Cuts>
constexpr auto body() {
    using namespace mobilenet_v3_parts;
    constexpr float eps = blocks::epsilon;
    return named("body", named(0, conv_bn(0, 16, {.kernel = 3, .stride = 2}, eps)) | hard_swish() | stage_cut<Cuts, 1>(cut_name(0))
                             | []<int... I>(std::integer_sequence<int, I...>) {
                                   return (... | (named(I + 1, make_block<blocks, I, 100>()) | stage_cut<Cuts, I + 2>(cut_name(I + 1))));
                               }(std::make_integer_sequence<int, 12>{})
                             | tap("c13", named(13, make_block<blocks, 12, 100>())) | named(14, make_block<blocks, 13, 100>()) | named(15, make_block<blocks, 14, 100>())
                             | named(16, conv_bn(0, 960, {}, eps)) | hard_swish());
}
constexpr auto pyramid() {
    using faster_rcnn_parts::inner, faster_rcnn_parts::smooth;
    return named("fpn", inner(1) | tap("sum1", identity()) | add(identity(), from("c13") | inner(0)) | tap("map0", smooth(0)) | tap("map1", from("sum1") | smooth(1)) | tap("map2", subsample(2)));
}
constexpr auto predictions(text logits, text offsets, text head) {
    using faster_rcnn_parts::predicted;
    return std::pair{predicted(logits, head, "cls_logits", shapes), predicted(offsets, head, "bbox_pred", 4 * shapes)};
}

} // namespace faster_rcnn_mobilenet_parts

/// The first network of torchvision's fasterrcnn_mobilenet_v3_large_fpn and, at 320 rows, of its ..._320_fpn (Howard et al. 2019; Lin et al. 2017): backbone, pyramid and proposal head.
/// Input "image": (3, Height, Width) u8, ImageNet's statistics; the network pads it to multiples of 32. Outputs: "p0" (256, H / 32, W / 32), from which all regions are read because the
/// pyramid's levels are of one stride; then "logits0" (15, H / 32, W / 32), "offsets0" (60, ...), ... "offsets2". Cuts 1-13 "features0" ... "features12"; weights are torchvision's `state_dict`, of
/// which `roi_heads.` is ignored.
template <int Height = 320, int Width = 448, cut_choice Cuts = every_cut>
struct faster_rcnn_mobilenet_v3_large_fpn {
    static constexpr auto ignored() { return std::array{"roi_heads."}; }
    static constexpr auto graph() {
        using namespace faster_rcnn_mobilenet_parts;
        using faster_rcnn_parts::padded, faster_rcnn_parts::proposal_head;
        const auto [logits0, offsets0] = predictions("logits0", "offsets0", "rpn0");
        const auto [logits1, offsets1] = predictions("logits1", "offsets1", "rpn1");
        const auto [logits2, offsets2] = predictions("logits2", "offsets2", "rpn2");
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet) | pad(padding{0, 0, padded(Height) - Height, padded(Width) - Width})
             | named("backbone", body<Cuts>() | pyramid()) | proposal_head("rpn0", "map0") | proposal_head("rpn1", "map1") | proposal_head("rpn2", "map2")
             | fan_out(task("p0", from("map0")), logits0, offsets0, logits1, offsets1, logits2, offsets2);
    }
};

/// Boxes out of a faster_rcnn_mobilenet_v3_large_fpn's outputs and a `faster_rcnn_regions<Regions>`'s, as torchvision's ..._320_fpn makes them: the 150 surest anchors of each level, of which those
/// below 0.05 are no regions. Its larger sibling looks at 1,000 (`regions`).
///
/// ```cpp
/// auto post = zoo::faster_rcnn_mobilenet_v3_postprocess(320, 448);
/// const auto regions = post.regions(outputs.data(), columns.data());
/// ```
inline faster_rcnn_postprocess faster_rcnn_mobilenet_v3_postprocess(int height, int width, int regions = 150, int classes = 91) {
    using namespace faster_rcnn_mobilenet_parts;
    faster_rcnn_outputs o{.maps = {{nullptr, 256, cells(height, 0), cells(width, 0), 1.0F / 32}}, .proposals = {.candidates = regions, .proposals = regions, .score = 0.05F}};
    std::vector<detect::anchor_level> starts;
    for (int i = 0; i < maps; ++i) {
        o.levels.push_back({cells(height, i), cells(width, i), shapes});
        starts.push_back({{cells(height, i), cells(width, i)}, {32, 64, 128, 256, 512}, {0.5F, 1.0F, 2.0F}});
    }
    o.starts = detect::anchors(starts, faster_rcnn_parts::padded(width), faster_rcnn_parts::padded(height));
    return {std::move(o), height, width, classes};
}

} // namespace splitdsl::zoo
