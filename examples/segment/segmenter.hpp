// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file segmenter.hpp
/// The zoo's segmentation networks from pixels to a class a pixel.
#pragma once

#include "../pictures/loaded_network.hpp"

#include <splitdsl/image/channels.hpp>
#include <splitdsl/image/picture.hpp>
#include <splitdsl/image/resize.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pictures {

inline constexpr std::array segmenter_names{"lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"};

/// Where each of `want` samples lies among `have`: the nearest, by centres, as PIL's NEAREST.
inline std::vector<int> nearest(int have, int want) {
    std::vector<int> all(static_cast<std::size_t>(want));
    for (int i = 0; i < want; ++i) {
        const long long at = (2LL * i + 1) * have / (2LL * want);
        all[static_cast<std::size_t>(i)] = static_cast<int>(std::min<long long>(at, have - 1));
    }
    return all;
}

/// Tells Pascal VOC's 21 classes.
class segmenter {
public:
    /// Throws `option_error` for what is no segmentation network of this build, `weights_error` for a file that does not fit.
    segmenter(const std::string& name, const std::string& weights_file) : network{checked(name), weights_file} {
        const auto& out = network.pipeline().outputs[0];
        classes = static_cast<std::size_t>(out.channels);
        if (classes > 256) throw splitdsl::option_error("--model " + name + ": at most 256 classes were expected, found " + std::to_string(classes));
    }

    splitdsl::imaging::extent size() const { return {network.input().height, network.input().width}; }

    /// The class of each pixel, in a picture of one channel as large as `from`. The network sees the picture resized to its input, without its
    /// proportions; each pixel gets the class of the nearest pixel there. Of classes that are equally likely the first wins.
    splitdsl::imaging::picture mask(splitdsl::imaging::picture_view from) {
        const auto input = splitdsl::imaging::to_planes(splitdsl::imaging::resize(from, size()));
        const std::span<const float> logits = network.run(input.values.data());
        const std::size_t plane = size().pixels();
        std::vector<std::uint8_t> best(plane);
        std::vector<float> highest(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(plane));
        for (std::size_t k = 1; k < classes; ++k)
            for (std::size_t i = 0; i < plane; ++i)
                if (logits[k * plane + i] > highest[i]) highest[i] = logits[k * plane + i], best[i] = static_cast<std::uint8_t>(k);

        splitdsl::imaging::picture found{from.size, 1};
        const std::vector<int> across = nearest(size().width, from.size.width), down = nearest(size().height, from.size.height);
        for (int y = 0; y < from.size.height; ++y) {
            const std::uint8_t* row = best.data() + static_cast<std::size_t>(down[static_cast<std::size_t>(y)]) * static_cast<std::size_t>(size().width);
            const auto to = found.row(y);
            for (std::size_t x = 0; x < to.size(); ++x) to[x] = row[across[x]];
        }
        return found;
    }

private:
    static const std::string& checked(const std::string& name) {
        require_present(name, segmenter_names, "segmentation network");
        return name;
    }

    loaded_network network;
    std::size_t classes{};
};

} // namespace pictures
