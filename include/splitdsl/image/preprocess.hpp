// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file preprocess.hpp
/// From a decoded picture to networks' raw inputs; one decoding and one resize feed any number of networks.
#pragma once

#include <splitdsl/image/channels.hpp>
#include <splitdsl/image/crop.hpp>
#include <splitdsl/image/picture.hpp>
#include <splitdsl/image/resize.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <utility>

namespace splitdsl::imaging {

/// How a network wants its picture. Normalisation is a layer of the network, so it is not here.
struct recipe {
    int shorter_side{256};                                  ///< resize so first; 0: no resize by the shorter side
    extent whole{};                                         ///< resize to exactly this first, instead; {}: not
    extent crop{.height = 224, .width = 224};               ///< then the centre; {}: everything
    crop_offset offset{crop_offset::rounded_down};
    channel_order order{channel_order::rgb};

    friend bool operator==(const recipe&, const recipe&) = default;
    /// The size the picture is resized to.
    extent resized(extent from) const {
        if (whole != extent{}) return whole;
        return shorter_side == 0 ? from : with_shorter_side(from, shorter_side);
    }
};

/// One picture as the input of several networks (classification, detection, segmentation): resized once for each size that is asked
/// for, cropped and laid out once for each recipe; whoever asks again gets the same planes.
///
/// Refuses (`image_error`) what `resize` and `centre_crop` refuse. Not for several threads at once. Cost: the picture, each resized size and
/// each recipe's planes are kept until the object goes.
///
/// ```cpp
/// imaging::shared_input shot{imaging::decode(bytes)};
/// classifier.infer(std::array{shot.planes_for({}).bytes()}, logits);                                          // 256, centre 224
/// detector.infer(std::array{shot.planes_for({.whole = {300, 300}, .crop = {}}).bytes()}, boxes);
/// segmenter.infer(std::array{shot.planes_for({.crop = {}, .order = imaging::channel_order::bgr}).bytes()}, mask); // the resize of the first
/// ```
/// Source: one preprocessing for all tasks, Ladon (figure 1).
class shared_input {
public:
    explicit shared_input(picture decoded) : original{std::move(decoded)} {
        if (original.empty()) throw image_error("an empty picture cannot be a network's input");
    }
    const picture& decoded() const noexcept { return original; }
    int resizes() const noexcept { return static_cast<int>(sizes.size()); } ///< that were computed so far

    /// The reference stays valid as long as this object.
    const planes<std::uint8_t>& planes_for(const recipe& wanted) {
        for (const auto& [known, laid_out] : inputs)
            if (known == wanted) return laid_out;
        picture_view view = resized(wanted.resized(original.size()));
        if (wanted.crop != extent{}) view = centre_crop(view, wanted.crop, wanted.offset);
        return inputs.emplace_back(wanted, to_planes(view, wanted.order)).second;
    }

private:
    const picture& resized(extent size) {
        if (size == original.size()) return original;
        for (const picture& known : sizes)
            if (known.size() == size) return known;
        return sizes.emplace_back(resize(original, size));
    }

    picture original;
    std::list<picture> sizes; // lists: what was handed out stays where it is
    std::list<std::pair<recipe, planes<std::uint8_t>>> inputs;
};

} // namespace splitdsl::imaging
