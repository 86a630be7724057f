// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file faster_rcnn.hpp
/// Faster R-CNN with a feature pyramid on ResNet-50, as two networks with torchvision's weight names.
#pragma once

#include <splitdsl/detect/two_stage.hpp>
#include <splitdsl/zoo/resnet.hpp>

#include <array>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl::zoo {

namespace faster_rcnn_parts {

/// The pyramid's maps, taps "map2" ... "map5" and "map6" (every second pixel of map 5), at H / 4 ... H / 64.
inline constexpr int maps = 5;
inline constexpr std::array<text, maps> map_names{"map2", "map3", "map4", "map5", "map6"};
inline constexpr std::array<text, maps> head_names{"rpn2", "rpn3", "rpn4", "rpn5", "rpn6"};
inline constexpr std::array<text, maps> feature_names{"p2", "p3", "p4", "p5", "p6"};
inline constexpr std::array<text, maps> logits_names{"logits2", "logits3", "logits4", "logits5", "logits6"};
inline constexpr std::array<text, maps> offsets_names{"offsets2", "offsets3", "offsets4", "offsets5", "offsets6"};

/// A picture is padded with zeros at the right and below to a multiple of 32.
constexpr int padded(int size) { return (size + 31) / 32 * 32; }
/// Rows (or columns) of map 2 + level.
constexpr int cells(int size, int level) { return level < 4 ? padded(size) >> (level + 2) : (padded(size) / 32 + 1) / 2; }

constexpr auto inner(int number) { return named("inner_blocks", named(number, named(0, conv(256, {})))); }
constexpr auto smooth(int number) { return named("layer_blocks", named(number, named(0, conv(256, {.kernel = 3})))); }
/// The level above, enlarged, joined to this level's own.
constexpr auto joined(int number, text own, text sum, int height, int width) {
    return upsample({.size = {height, width}}) | add(identity(), from(own) | inner(number)) | tap(sum, identity());
}
constexpr auto pyramid(int height, int width) {
    return named("fpn", inner(3) | tap("sum5", identity()) | joined(2, "c4", "sum4", cells(height, 2), cells(width, 2)) | joined(1, "c3", "sum3", cells(height, 1), cells(width, 1))
                            | joined(0, "c2", "sum2", cells(height, 0), cells(width, 0)) | tap("map2", smooth(0)) | tap("map3", from("sum3") | smooth(1)) | tap("map4", from("sum4") | smooth(2))
                            | tap("map5", from("sum5") | smooth(3)) | tap("map6", subsample(2)));
}
/// One set of weights for all levels.
constexpr auto proposal_head(text head, text map) {
    return tap(head, from(map) | named("rpn", named("head", named("conv", named(0, named(0, conv(256, {.kernel = 3}))))) ) | relu());
}
constexpr auto proposal_head(int level) { return proposal_head(head_names[static_cast<std::size_t>(level)], map_names[static_cast<std::size_t>(level)]); }
constexpr auto feature(int level) { return task(feature_names[static_cast<std::size_t>(level)], from(map_names[static_cast<std::size_t>(level)])); }
constexpr auto predicted(text name, text head, text layer, int channels) { return task(name, from(head) | named("rpn", named("head", named(layer, conv(channels, {}))))); }
constexpr auto logits(int level) { return predicted(logits_names[static_cast<std::size_t>(level)], head_names[static_cast<std::size_t>(level)], "cls_logits", 3); }
constexpr auto offsets(int level) { return predicted(offsets_names[static_cast<std::size_t>(level)], head_names[static_cast<std::size_t>(level)], "bbox_pred", 12); }

} // namespace faster_rcnn_parts

/// The first network of torchvision's fasterrcnn_resnet50_fpn (Ren et al. 2015; Lin et al. 2017): backbone, pyramid and proposal head.
/// Input "image": (3, Height, Width) u8, ImageNet's statistics; the network pads it to multiples of 32. Outputs: "p2" ... "p5" (256, H / 4, W / 4) ...,
/// then "logits2" (3, H / 4, W / 4), "offsets2" (12, ...), ... "offsets6". Cuts 1-2 "stem", "layer1"; weights are torchvision's `state_dict`, of
/// which `roi_heads.` is ignored. torchvision's published weights were trained with an epsilon of 0 in batch norms: take 1e-5 from every
/// `running_var` when exporting them.
template <int Height = 800, int Width = 1088, cut_choice Cuts = every_cut>
struct faster_rcnn_resnet50_fpn {
    static constexpr auto ignored() { return std::array{"roi_heads."}; }
    static constexpr auto graph() {
        using namespace resnet_parts;
        using namespace faster_rcnn_parts;
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(imagenet) | pad(padding{0, 0, padded(Height) - Height, padded(Width) - Width})
             | named("backbone", named("body", stem() | stage_cut<Cuts, 1>("stem") | first_layer<3, true>("layer1", 64) | stage_cut<Cuts, 2>("layer1") | tap("c2", identity())
                                                   | tap("c3", layer<4, true>("layer2", 128)) | tap("c4", layer<6, true>("layer3", 256)) | layer<3, true>("layer4", 512))
                                     | pyramid(Height, Width))
             | proposal_head(0) | proposal_head(1) | proposal_head(2) | proposal_head(3) | proposal_head(4)
             | fan_out(feature(0), feature(1), feature(2), feature(3), logits(0), offsets(0), logits(1), offsets(1), logits(2), offsets(2), logits(3), offsets(3), logits(4), offsets(4));
    }
};

/// The second network: what each region holds. Input "regions": (12544, Regions, 1) f32, a column of 256 x 7 x 7 values a region, as
/// `detect::pool_regions` writes them; its dense layers are 1x1 convolutions, so that one matrix product does all regions.
/// Outputs: "logits" (Classes, Regions, 1), "offsets" (4 * Classes, Regions, 1). `backbone.` and `rpn.` are ignored.
template <int Regions = 1000, int Classes = 91>
struct faster_rcnn_regions {
    static constexpr auto ignored() { return std::array{"backbone.", "rpn."}; }
    static constexpr auto graph() {
        const auto predict = [](text layer, int channels) { return named("roi_heads", named("box_predictor", named(layer, conv(channels, {})))); };
        return input("regions", f32, {.channels = 256 * 7 * 7, .height = Regions, .width = 1})
             | named("roi_heads", named("box_head", named("fc6", conv(1024, {})) | relu() | named("fc7", conv(1024, {})) | relu()))
             | fan_out(task("logits", predict("cls_score", Classes)), task("offsets", predict("bbox_pred", 4 * Classes)));
    }
};

/// What a first network's outputs are: maps that regions are read from, then logits and offsets a level.
struct faster_rcnn_outputs {
    std::vector<detect::feature_map> maps{};    ///< their values are those of a run
    std::vector<detect::head_level> levels{};
    std::vector<detect::box> starts{};
    detect::proposal_options proposals{};
};

/// What stands between and behind the two networks. Allocates at construction only.
///
/// ```cpp
/// zoo::faster_rcnn_postprocess post(800, 1088);
/// run(first, picture, pyramid);                                   // both networks by `pipeline::run`
/// const auto regions = post.regions(pyramid.data(), columns.data());
/// run(second, columns, scores);
/// for (const detect::detection& d : post.detections(scores.data())) draw(d);
/// ```
class faster_rcnn_postprocess {
public:
    /// `height` and `width` are the first network's, `regions_` and `classes` the second's.
    faster_rcnn_postprocess(int height, int width, int regions_ = 1000, int classes_ = 91) : faster_rcnn_postprocess(of_resnet(height, width, regions_), height, width, classes_) {}
    /// Of another first network. The second has `o.proposals.proposals` regions.
    faster_rcnn_postprocess(faster_rcnn_outputs o, int height, int width, int classes_)
        : room{static_cast<std::size_t>(o.proposals.proposals)}, classes{static_cast<std::size_t>(classes_)}, maps{std::move(o.maps)}, levels{std::move(o.levels)},
          propose{levels, std::move(o.starts), width, height, o.proposals}, classify{room, width, height, {.classes = classes_}} {
        logits.resize(levels.size()), offsets.resize(levels.size());
    }

    /// `outputs`: the first network's. Writes one column a region to `columns`, the second network's input; the others keep what they hold.
    /// `sampler` and `finder`: sample the regions, and find what may become one, where the first network ran, on a GPU say (gpu/region_sampling.hpp, gpu/candidate_finding.hpp).
    std::span<const detect::box> regions(const float* outputs, float* columns, detect::region_sampler* sampler = nullptr, detect::candidate_finder* finder = nullptr) {
        for (detect::feature_map& map : maps) {
            map.values = outputs;
            outputs += static_cast<std::size_t>(map.channels) * static_cast<std::size_t>(map.height) * static_cast<std::size_t>(map.width);
        }
        for (std::size_t i = 0; i < levels.size(); ++i) {
            logits[i] = outputs;
            offsets[i] = outputs += levels[i].boxes();
            outputs += 4 * levels[i].boxes();
        }
        found = propose(logits, offsets, finder);
        detect::pool_regions(maps, found, align, columns, room, sampler);
        return found;
    }
    /// `outputs`: the second network's, for the regions found last. Boxes in pixels of the first network's input, surest first. `finder`: the same where that one ran.
    std::span<const detect::detection> detections(const float* outputs, detect::candidate_finder* finder = nullptr) { return classify(outputs, outputs + classes * room, found, finder); }
    /// What such finders are made for: the first network's, and the second's.
    const detect::candidate_plan& proposal_plan() const { return propose.plan(); }
    const detect::candidate_plan& detection_plan() const { return classify.plan(); }

private:
    std::size_t room, classes;
    std::vector<detect::feature_map> maps;
    std::vector<detect::head_level> levels;
    detect::proposal_finder propose;
    detect::roi_align align;
    detect::region_classifier classify;
    std::vector<const float*> logits{}, offsets{};
    std::span<const detect::box> found;

    static faster_rcnn_outputs of_resnet(int height, int width, int regions_) {
        using namespace faster_rcnn_parts;
        faster_rcnn_outputs o{.proposals = {.proposals = regions_}};
        std::vector<detect::anchor_level> starts;
        for (int i = 0; i < faster_rcnn_parts::maps; ++i) {
            const int rows = cells(height, i), columns = cells(width, i);
            if (i < 4) o.maps.push_back({nullptr, 256, rows, columns, 1.0F / static_cast<float>(4 << i)});
            o.levels.push_back({rows, columns, 3});
            starts.push_back({{rows, columns}, {static_cast<float>(32 << i)}, {0.5F, 1.0F, 2.0F}});
        }
        o.starts = detect::anchors(starts, padded(width), padded(height));
        return o;
    }
};

} // namespace splitdsl::zoo
