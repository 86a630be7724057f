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
    /// Mean and 95 % confidence interval; of no pictures there is none.
    splitdsl::mean_interval mean() const { return splitdsl::mean_with_interval(ms, splitdsl::confidence_level::ninety_five); }
    nlohmann::ordered_json json() const {
        nlohmann::ordered_json j{{"pictures", pictures()}, {"mean_ms", nullptr}, {"interval_95_ms", nullptr}};
        if (ms.empty()) return j;
        const auto m = mean();
        j["mean_ms"] = m.mean;
        if (std::isfinite(m.half_width)) j["interval_95_ms"] = m.half_width;
        return j;
    }
    /// " in 9.9 +- 0.3 ms"; empty of no pictures.
    std::string text() const {
        if (ms.empty()) return {};
        char said[64];
        const auto m = mean();
        if (std::isfinite(m.half_width)) std::snprintf(said, sizeof said, " in %.3g +- %.2g ms", m.mean, m.half_width);
        else std::snprintf(said, sizeof said, " in %.3g ms", m.mean);
        return said;
    }
};

} // namespace classify
