// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file synthetic_answers.hpp
/// Invented logits in the form of recorded ones, for tests and for trying the simulator: no network stands behind them.
///
/// A picture has a difficulty, an answer a quality that grows with depth and size; the true class stands out by their difference,
/// everything else is noise that a picture's answers partly share. Accuracies that come of it say nothing about any network or data set.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/safetensors.hpp>
#include <splitdsl/sim/exit_network.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace splitdsl::sim {

struct synthetic_options {
    std::size_t pictures{1000};
    int classes{10};
    std::uint64_t seed{1};
    double strength{9}; ///< how far the true class stands out at quality 1 and difficulty 0, in standard deviations of the noise
    double shared{0.7}; ///< of the noise's variance, what all answers to a picture have in common
    double local_handicap{
        0.25}; ///< what the device's exits lack in quality beside the cloud's: the cloud computes more layers (FLEET Fig. 1b)
    double offload_quality{0.95}; ///< of the whole network on the largest encoding
};

/// The tensors of one group as a file would hold them.
class synthetic_answers {
public:
    /// Refused (option_error): nothing to invent, more than 2^27 logits, options that are no numbers.
    synthetic_answers(const exit_network& n, const synthetic_options& o, const std::string& group) {
        const auto refuse = [](const std::string& expected, const std::string& found) {
            throw option_error("synthetic answers: expected " + expected + ", found " + found);
        };
        if (o.pictures < 1) refuse("at least 1 picture", "0");
        if (o.classes < 2 || o.classes > 1000) refuse("2 to 1000 classes", std::to_string(o.classes));
        if (!(o.strength > 0) || !(o.shared >= 0 && o.shared <= 1))
            refuse("a strength above 0 and a shared part from 0 to 1", "other numbers");
        const std::size_t levels = static_cast<std::size_t>(n.sizes()), streams = static_cast<std::size_t>(n.streams());
        const std::size_t exits = static_cast<std::size_t>(n.exits()), choices = static_cast<std::size_t>(n.offload_choices());
        const std::size_t rows = 1 + exits + streams * (levels + 1) * levels + choices, classes = static_cast<std::size_t>(o.classes);
        if (o.pictures > (std::size_t{1} << 27) / rows / classes) refuse("at most 2^27 logits", "more");

        labels.reserve(o.pictures);
        for (std::size_t p = 0; p < o.pictures; ++p) {
            // A picture's own numbers: its class, difficulty and shared noise are the same for every network.
            splitdsl::detail::xoshiro256 random{o.seed + 0x9e3779b97f4a7c15u * (p + 1)};
            truth = random.below(static_cast<std::uint32_t>(o.classes));
            labels.push_back(static_cast<std::int32_t>(truth));
            difficulty = random.uniform();
            noise.resize(classes);
            for (float& v : noise) v = static_cast<float>(random.normal());
            const auto put = [&](std::vector<float>& into, double quality) { invent(into, quality, o, random); };
            const double depth = static_cast<double>(n.stages.size());
            put(trunk, 0.9);
            for (std::size_t k = 0; k < n.stages.size(); ++k)
                if (n.stages[k].exit >= 0)
                    put(local, std::max(0.05, 0.9 * std::sqrt(static_cast<double>(k + 1) / depth)
                                                  - o.local_handicap * (1 - static_cast<double>(k + 1) / depth)));
            for (std::size_t s = 0; s < streams; ++s)
                for (std::size_t before = 0; before <= levels; ++before)
                    for (std::size_t here = 1; here <= levels; ++here) {
                        const double seen =
                            (static_cast<double>(here) + 0.4 * static_cast<double>(before)) / (1.4 * static_cast<double>(levels));
                        put(cloud, 0.9 * std::pow(static_cast<double>(s + 1) / static_cast<double>(streams), 0.25)
                                       * (0.55 + 0.45 * std::sqrt(seen)));
                    }
            for (std::size_t i = 0; i < n.inputs.size(); ++i)
                put(offload, o.offload_quality * std::sqrt(static_cast<double>(i + 1) / static_cast<double>(n.inputs.size())));
            for (const exit_stage& s : n.stages)
                for (std::size_t z = 0; z < s.payload.size(); ++z)
                    put(offload,
                        o.offload_quality * (0.5 + 0.5 * std::sqrt(static_cast<double>(z + 1) / static_cast<double>(s.payload.size()))));
        }
        const auto add = [&](const char* what, const std::vector<float>& values, std::vector<std::uint64_t> shape) {
            if (values.empty()) return;
            shape.insert(shape.begin(), o.pictures);
            shape.push_back(classes);
            views.push_back({group + "." + what, tensor_type::float32, std::move(shape), bytes_of_floats(values)});
        };
        views.push_back({"labels", tensor_type::int32, {o.pictures}, std::as_bytes(std::span{labels})});
        add("trunk", trunk, {});
        add("local", local, {exits});
        add("cloud", cloud, {streams, levels + 1, levels});
        add("offload", offload, {choices});
    }
    synthetic_answers(const synthetic_answers&) = delete;
    synthetic_answers& operator=(const synthetic_answers&) = delete;

    /// Views into this object, for `to_safetensors`.
    const std::vector<tensor_view>& tensors() const { return views; }
    /// As if read from a file; points into this object.
    safetensors file() const { return {views, {}, nullptr}; }

private:
    void invent(std::vector<float>& into, double quality, const synthetic_options& o, splitdsl::detail::xoshiro256& random) {
        const double common = std::sqrt(o.shared), own = std::sqrt(1 - o.shared);
        for (std::size_t c = 0; c < noise.size(); ++c) {
            double v = common * static_cast<double>(noise[c]) + own * random.normal();
            if (c == truth) v += o.strength * (quality - 0.6 * difficulty);
            into.push_back(static_cast<float>(v));
        }
    }

    std::size_t truth{};
    double difficulty{};
    std::vector<std::int32_t> labels{};
    std::vector<float> noise{}, trunk{}, local{}, cloud{}, offload{};
    std::vector<tensor_view> views{};
};

} // namespace splitdsl::sim
