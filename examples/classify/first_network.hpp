// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file first_network.hpp
/// A small network that is asked first: what it is sure of is the answer, and only the other pictures go on (a cascade).
#pragma once

#include "classifier.hpp"

#include <splitdsl/energy/sample_statistics.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace classify {

/// Throws as `classifier` does, and `option_error` for a network of other classes than the one behind it has.
class first_network {
public:
    first_network(const zoo_networks::network& which, const std::string& weights_file, double threshold, const classifier& behind)
        : name{which.name}, network{which, which.pipeline(), weights_file}, sure{static_cast<float>(threshold)} {
        if (network.classes() != behind.classes())
            throw splitdsl::option_error("--first " + name + ": " + std::to_string(behind.classes()) + " classes were expected, as --model has, found " + std::to_string(network.classes()));
    }
    /// The best classes if it is sure of the first; nothing if the picture is to go on.
    std::optional<std::vector<scored>> recognise(const splitdsl::imaging::planes<std::uint8_t>& picture, std::size_t count) {
        std::vector<scored> best = network.recognise(picture, count);
        if (network.confidence() < sure) return std::nullopt; // as `policy::cascade` compares
        return best;
    }
    splitdsl::imaging::recipe recipe(splitdsl::imaging::crop_offset offset) const { return network.recipe(offset); }

    const std::string name;

private:
    classifier network;
    float sure;
};

/// The milliseconds that pictures took, from their pixels to their answer.
struct timed_answers {
    std::vector<double> ms{};
    int pictures() const { return static_cast<int>(ms.size()); }
    /// Mean and 95 % confidence interval; zeros of nothing.
    splitdsl::mean_interval mean() const { return ms.empty() ? splitdsl::mean_interval{} : splitdsl::mean_with_interval(ms, splitdsl::confidence_level::ninety_five); }
    nlohmann::ordered_json json() const {
        const auto m = mean();
        nlohmann::ordered_json j{{"pictures", pictures()}, {"mean_ms", m.mean}, {"interval_95_ms", nullptr}};
        if (std::isfinite(m.half_width)) j["interval_95_ms"] = m.half_width;
        return j;
    }
    std::string text() const {
        char said[64];
        const auto m = mean();
        if (std::isfinite(m.half_width)) std::snprintf(said, sizeof said, "%.3g +- %.2g ms", m.mean, m.half_width);
        else std::snprintf(said, sizeof said, "%.3g ms", m.mean);
        return said;
    }
};

} // namespace classify
