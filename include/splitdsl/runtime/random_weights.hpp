// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file random_weights.hpp
/// Weights from a seed, for whoever needs a network that runs before it is trained: timing, sizes, links.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl {

namespace detail {
/// Of 32 steps about the median, those in the middle most often; 1 of 256 values is none of them.
inline void fill_prior(const parameter& p, std::vector<float>& values) {
    constexpr int steps = 32;
    if (p.name.ends_with(graph::prior_words[0])) values.assign(values.size(), steps + 2);
    else if (p.name.ends_with(graph::prior_words[1])) values.assign(values.size(), -steps / 2);
    else
        for (std::size_t c = 0; c < p.dims[0]; ++c) {
            int sum = 0;
            for (int k = 0; k < steps; ++k) {
                values[c * p.dims[1] + static_cast<std::size_t>(k)] = static_cast<float>(sum);
                sum += 240 * (k < steps / 2 ? k + 1 : steps - k); // 65 280 in all
            }
            values[c * p.dims[1] + steps] = static_cast<float>(sum);
            values[c * p.dims[1] + steps + 1] = 65536;
        }
}
} // namespace detail

/// One vector a parameter, the same for a seed everywhere. Layers are uniform with variance 1 / fan-in, norms the identity, a gdn's parameters positive, a codec's range -4 to 4, a prior triangular over 32
/// steps; biases are small but not zero. So values neither vanish in a deep chain, where the biases hold them up, nor overflow in hundreds of residual blocks: without infinities
/// and denormals run times are those of trained weights. Answers mean nothing.
///
/// Cost: about 3 ns a parameter.
inline std::vector<std::vector<float>> random_weights(std::span<const parameter> names, std::uint64_t seed) {
    detail::xoshiro256 random{seed};
    std::vector<std::vector<float>> all;
    for (const parameter& p : names) {
        std::vector<float>& values = all.emplace_back(static_cast<std::size_t>(p.size()));
        double fan = 1;
        for (std::size_t k = 1; k < p.dims.size(); ++k) fan *= static_cast<double>(p.dims[k]);
        double low = -0.1, high = 0.1;                                                      // a bias, a running mean
        if (p.name.ends_with("running_var")) low = high = 1;
        else if (p.name.ends_with(".beta")) low = 0.5, high = 1.5;                          // of a gdn: it divides
        else if (p.name.ends_with(".gamma")) low = 0, high = 1 / fan;
        else if (p.name == "int8.ranges") low = -6, high = 6;
        else if (p.is_codec_range) {
            values = {-4, 4};
            continue;
        }
        else if (p.is_prior && !p.name.ends_with(graph::prior_words[2])) {
            detail::fill_prior(p, values);
            continue;
        }
        else if (p.dims.size() > 1) high = std::sqrt(3 / fan), low = -high;
        else if (!p.name.ends_with(".bias") && !p.name.ends_with("running_mean")) low = high = 1; // a norm's weight
        for (float& v : values) v = static_cast<float>(random.uniform(low, high));
        if (p.name == "int8.ranges") // (tensors, 2): the least value first
            for (std::size_t i = 0; i + 1 < values.size(); i += 2)
                if (values[i] > values[i + 1]) std::swap(values[i], values[i + 1]);
    }
    return all;
}

/// A network's `random_weights`, packed for the pipeline that runs here.
///
/// ```cpp body
/// const auto weights = splitdsl::seeded_weights<lane_keeper>(1);
/// const auto times = measure_stages(weights.net(), weights.bytes());
/// ```
template <class Network>
network_weights<Network> seeded_weights(std::uint64_t seed, const pipeline& net = pipeline_of<Network>()) {
    return network_weights<Network>(random_weights(parameters<Network>(), seed), net);
}

} // namespace splitdsl
