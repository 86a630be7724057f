// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file detector.hpp
/// The zoo's detectors from pixels to boxes.
#pragma once

#include "../pictures/fit.hpp"
#include "../pictures/loaded_network.hpp"

#include <splitdsl/zoo/faster_rcnn.hpp>
#include <splitdsl/zoo/mobilenet_ssd.hpp>
#include <splitdsl/zoo/ssd.hpp>
#include <splitdsl/zoo/ssdlite.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pictures {

inline constexpr std::array detector_names{"ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "ssd_mobilenet_v1", "ssd_mobilenet_v2", "faster_rcnn_resnet50_fpn"};

/// Finds COCO's 91 classes.
class detector {
public:
    using found = std::span<const splitdsl::detect::detection>;

    /// Throws `option_error` for what is no detector of this build, `weights_error` for a file that does not fit.
    detector(const std::string& name, const std::string& weights_file) : first{checked(name), weights_file} {
        using namespace splitdsl::zoo;
        if (name == "ssd300_vgg16") single.emplace(ssd300_postprocess());
        else if (name == "ssdlite320_mobilenet_v3_large") single.emplace(ssdlite320_postprocess());
        else if (name != "faster_rcnn_resnet50_fpn") single.emplace(ssd_mobilenet_postprocess());
        else {
            second.emplace("faster_rcnn_regions", weights_file);
            columns.resize(second->input().bytes / sizeof(float));
            prepare(size());
        }
    }

    splitdsl::imaging::extent size() const { return {first.input().height, first.input().width}; }

    /// Of planes of the network's size, of which a picture fills the top left `part`; boxes in their pixels, surest first, valid until the next call.
    found find(const std::uint8_t* planes, splitdsl::imaging::extent part) {
        const std::span<const float> outputs = first.run(planes);
        if (single) return (*single)(outputs.data());
        prepare(part);
        between->regions(outputs.data(), columns.data());
        return between->detections(second->run(columns.data()).data());
    }

    /// Boxes in the picture's pixels; those at least as sure as `threshold`.
    std::vector<splitdsl::detect::detection> find(splitdsl::imaging::picture_view picture, float threshold) {
        const splitdsl::imaging::extent part = part_for(picture.size);
        const auto input = fitted(picture, part, size(), mean);
        const auto ratio = [](int of, int to) { return static_cast<float>(of) / static_cast<float>(to); };
        std::vector<splitdsl::detect::detection> sure;
        for (splitdsl::detect::detection d : find(input.values.data(), part)) {
            if (!(d.score >= threshold)) continue;
            const auto enlarged = scaled(d.where, ratio(picture.size.width, part.width), ratio(picture.size.height, part.height));
            d.where = clip(enlarged, static_cast<float>(picture.size.width), static_cast<float>(picture.size.height));
            sure.push_back(d);
        }
        return sure;
    }

    /// Single-shot detectors see the picture stretched to their input. Faster R-CNN keeps its proportions: the shorter side becomes the input's
    /// height where that fits, with torchvision's rounding.
    splitdsl::imaging::extent part_for(splitdsl::imaging::extent picture) const {
        if (single) return size();
        const auto share = [](int of, int to) { return static_cast<float>(of) / static_cast<float>(to); };
        const float shorter = share(size().height, std::min(picture.height, picture.width));
        const float scale = std::min({shorter, share(size().height, picture.height), share(size().width, picture.width)});
        const auto side = [&](int of, int most) { return std::clamp(static_cast<int>(static_cast<double>(of) * static_cast<double>(scale)), 1, most); };
        return {side(picture.height, size().height), side(picture.width, size().width)};
    }

private:
    /// ImageNet's mean: where there is no picture, the normalised input is about 0, as where torchvision pads.
    static constexpr std::array<std::uint8_t, 3> mean{124, 116, 104};

    /// Boxes are cut to the part of the input that the picture fills, where that leaves the pyramid's sizes as they are.
    void prepare(splitdsl::imaging::extent part) {
        using splitdsl::zoo::faster_rcnn_parts::padded;
        if (padded(part.height) != padded(size().height) || padded(part.width) != padded(size().width)) part = size();
        if (between && part == cut_to) return;
        between.emplace(part.height, part.width);
        cut_to = part;
    }

    static const std::string& checked(const std::string& name) {
        require_present(name, detector_names, "detector");
        return name;
    }

    loaded_network first;
    std::optional<loaded_network> second;
    std::optional<splitdsl::zoo::ssd_postprocess> single;
    std::optional<splitdsl::zoo::faster_rcnn_postprocess> between;
    splitdsl::imaging::extent cut_to{};
    std::vector<float> columns;
};

} // namespace pictures
