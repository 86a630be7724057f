// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file detector.hpp
/// The zoo's detectors from pixels to boxes.
#pragma once

#include "../pictures/fit.hpp"
#include "../pictures/loaded_network.hpp"

#include <examples/options/gpu_choice.hpp>
#include <splitdsl/gpu/candidate_finding.hpp>
#include <splitdsl/gpu/region_sampling.hpp>
#include <splitdsl/zoo/faster_rcnn_mobilenet.hpp>
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

inline constexpr std::array detector_names{"ssd300_vgg16", "ssdlite320_mobilenet_v3_large", "ssd_mobilenet_v1", "ssd_mobilenet_v2", "faster_rcnn_resnet50_fpn",
                                                 "faster_rcnn_mobilenet_v3_large_320_fpn"};

/// Finds COCO's 91 classes.
class detector {
public:
    using found = std::span<const splitdsl::detect::detection>;

    /// Throws `option_error` for what is no detector of this build, `weights_error` for a file that does not fit, `device_error` for a GPU that is not to be had.
    detector(const std::string& name, const std::string& weights_file, const options::gpu_choice& choice = {}) {
        options::open_gpu(device, "detect", choice);
        const auto load = [&](std::optional<loaded_network>& to, const std::string& which) {
            splitdsl::gpu::gpu_options how = choice.pipeline();
            how.outputs_stay = true;
            if (device) to.emplace(which, weights_file, *device, how);
            else to.emplace(which, weights_file);
        };
        load(first, checked(name));
        using namespace splitdsl::zoo;
        if (name == "ssd300_vgg16") single.emplace(ssd300_postprocess());
        else if (name == "ssdlite320_mobilenet_v3_large") single.emplace(ssdlite320_postprocess());
        else if (!name.starts_with("faster_rcnn")) single.emplace(ssd_mobilenet_postprocess());
        else {
            on_mobilenet = name != "faster_rcnn_resnet50_fpn";
            load(second, on_mobilenet ? "faster_rcnn_regions_150" : "faster_rcnn_regions");
            columns.resize(second->input().bytes / sizeof(float));
            if (first->gpu()) sampling.emplace(*first->gpu(), first->memory(), splitdsl::gpu::region_room{}, splitdsl::gpu::region_target{second->gpu(), second->memory()});
            prepare(size());
        }
        if (single && first->gpu()) finding.emplace(*first->gpu(), first->memory(), single->shot.plan());
    }

    splitdsl::imaging::extent size() const { return {first->input().height, first->input().width}; }
    /// Says on standard error if the processor had to answer for the GPU, and why.
    void report() const {
        for (const auto* network : {&first, &second})
            if (*network && (*network)->gpu()) options::report("detect", *(*network)->gpu());
    }

    /// Of planes of the network's size, of which a picture fills the top left `part`; boxes in their pixels, surest first, valid until the next call.
    found find(const std::uint8_t* planes, splitdsl::imaging::extent part) {
        const std::span<const float> outputs = first->run(planes);
        if (single) return (*single)(outputs.data(), there(finding));
        prepare(part);
        between->regions(outputs.data(), columns.data(), there(sampling), there(finding));
        return between->detections(second->run(columns.data()).data(), there(classifying));
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
        using namespace splitdsl::zoo;
        between.emplace(on_mobilenet ? faster_rcnn_mobilenet_v3_postprocess(part.height, part.width) : faster_rcnn_postprocess(part.height, part.width));
        cut_to = part;
        if (!first->gpu()) return;
        finding.emplace(*first->gpu(), first->memory(), between->proposal_plan());
        classifying.emplace(*second->gpu(), second->memory(), between->detection_plan());
    }
    template <class T>
    static T* there(std::optional<T>& on_gpu) { return on_gpu ? &*on_gpu : nullptr; }

    static const std::string& checked(const std::string& name) {
        require_present(name, detector_names, "detector");
        return name;
    }

    std::optional<splitdsl::kernels::cudnn::device> device;
    std::optional<loaded_network> first, second;
    std::optional<splitdsl::zoo::ssd_postprocess> single;
    std::optional<splitdsl::zoo::faster_rcnn_postprocess> between;
    bool on_mobilenet{};
    splitdsl::imaging::extent cut_to{};
    std::vector<float> columns;
    // On a GPU: they go on where the networks left their outputs.
    std::optional<splitdsl::gpu::candidate_finding> finding, classifying;
    std::optional<splitdsl::gpu::region_sampling> sampling;
};

} // namespace pictures
