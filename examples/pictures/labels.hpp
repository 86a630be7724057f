// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file labels.hpp
/// What classes are called: those of COCO (91, with numbers that stand for nothing) and Pascal VOC (21), whose first is the background, of CIFAR-10 (10),
/// or what a file says, one label a line.
#pragma once

#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/error.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace pictures {

inline constexpr std::array coco_classes{
    "background", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant", "", "stop sign", "parking meter",
    "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "", "", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "",
    "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "", "book", "clock",
    "vase", "scissors", "teddy bear", "hair drier", "toothbrush"};
static_assert(coco_classes.size() == 91);
inline constexpr std::array voc_classes{"background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
                                        "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"};
static_assert(voc_classes.size() == 21);
inline constexpr std::array cifar10_classes{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
/// Number of the background where the classes are counted without it.
inline constexpr int background_class = -1;

class label_list {
public:
    /// What is built in (nothing: numbers only), or a file's lines; throws `option_error` unless there is one for each of the classes.
    label_list(std::span<const char* const> built_in, std::size_t classes, const std::string& file) {
        if (file.empty()) {
            names.assign(built_in.begin(), built_in.end());
            return;
        }
        constexpr std::size_t longest = 1 << 20;
        std::istringstream stream{splitdsl::detail::read_ordinary_file<std::string>(file, longest, [&](const std::string& found) {
            throw splitdsl::option_error("--labels " + file + ": a text of at most " + std::to_string(longest) + " bytes was expected, found " + found);
        })};
        for (std::string line; names.size() <= classes && std::getline(stream, line);) {
            if (!line.empty() && line.back() == '\r') line.pop_back();
            if (line.size() > 1000) throw splitdsl::option_error("--labels " + file + ": line " + std::to_string(names.size() + 1) + " is longer than a label");
            names.push_back(line);
        }
        const bool with_background = !built_in.empty() && std::string_view{built_in.front()} == "background";
        if (names.size() != classes)
            throw splitdsl::option_error("--labels " + file + ": " + std::to_string(classes) + " lines were expected, one a class" + (with_background ? " and the background first" : "")
                                         + ", found " + (names.size() > classes ? "more" : std::to_string(names.size())));
    }
    std::string operator[](int index) const {
        if (index == background_class) return "background";
        const auto i = static_cast<std::size_t>(index);
        return i < names.size() && !names[i].empty() ? names[i] : "class " + std::to_string(index);
    }

private:
    std::vector<std::string> names;
};

} // namespace pictures
