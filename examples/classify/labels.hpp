// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file labels.hpp
/// What an output is called: CIFAR-10's classes are built in, others come from a file with one label a line.
#pragma once

#include <examples/zoo/networks.hpp>
#include <splitdsl/error.hpp>

#include <array>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

namespace classify {

inline constexpr std::array cifar10_classes{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
inline constexpr int background = -1;

/// The class an output stands for. Networks with a background output count their classes from the next one: 0 is a tench in all of them.
inline int class_of(zoo_networks::labels meaning, std::size_t output) {
    return static_cast<int>(output) - (meaning == zoo_networks::labels::imagenet_background ? 1 : 0);
}
inline std::size_t classes_of(zoo_networks::labels meaning, std::size_t outputs) {
    return outputs - (meaning == zoo_networks::labels::imagenet_background ? 1 : 0);
}

class label_list {
public:
    /// Throws `option_error` unless `file` has as many lines as there are classes; without a file, what is built in.
    label_list(zoo_networks::labels meaning, std::size_t classes, const std::string& file) {
        if (file.empty()) {
            if (meaning == zoo_networks::labels::cifar10) names.assign(cifar10_classes.begin(), cifar10_classes.end());
            return;
        }
        std::ifstream stream{file};
        if (!stream) throw splitdsl::option_error("--labels " + file + ": cannot be read");
        for (std::string line; names.size() <= classes && std::getline(stream, line);) {
            if (!line.empty() && line.back() == '\r') line.pop_back();
            if (line.size() > 1000) throw splitdsl::option_error("--labels " + file + ": line " + std::to_string(names.size() + 1) + " is longer than a label");
            names.push_back(line);
        }
        if (names.size() != classes)
            throw splitdsl::option_error("--labels " + file + ": " + std::to_string(classes) + " lines were expected, one a class, found "
                                         + (names.size() > classes ? "more" : std::to_string(names.size())));
    }
    std::string operator[](int index) const {
        if (index == background) return "background";
        const auto i = static_cast<std::size_t>(index);
        return i < names.size() ? names[i] : "class " + std::to_string(index);
    }

private:
    std::vector<std::string> names;
};

} // namespace classify
