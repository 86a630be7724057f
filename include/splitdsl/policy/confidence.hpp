// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file confidence.hpp
/// How sure an answer is, as one number in [0, 1] that every early-exit policy compares with a threshold.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace splitdsl::policy {

/// What is made of the probabilities p of an answer's classes.
enum class confidence_kind : std::uint8_t {
    top1,   ///< the largest probability (FLEET section 3.4, Shallow-Deep Networks)
    entropy ///< 1 - H / ln(classes), H = - sum of p ln p: BranchyNet's entropy, turned round so that larger is surer
};
constexpr std::string_view to_text(confidence_kind k) { return k == confidence_kind::top1 ? "top1" : "entropy"; }

/// The class an answer names and how sure it is.
struct prediction {
    int label{-1};
    float confidence{};
    friend constexpr bool operator==(const prediction&, const prediction&) = default;
};

/// Softmax and its summary in two passes over the logits; no memory. No logits, or one that is NaN: label -1, confidence 0.
inline prediction predict(std::span<const float> logits, confidence_kind kind = confidence_kind::top1) {
    if (logits.empty()) return {};
    std::size_t best = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (std::isnan(logits[i])) return {};
        if (logits[i] > logits[best]) best = i;
    }
    // With e = exp(x - max): p = e / sum, H = ln(sum) - sum of e (x - max) / sum.
    double sum = 0, weighted = 0;
    for (const float x : logits) {
        const double below = std::max(static_cast<double>(x) - static_cast<double>(logits[best]), -700.0);
        const double e = std::exp(below);
        sum += e;
        weighted += e * below;
    }
    double sure = 1 / sum;
    if (kind == confidence_kind::entropy)
        sure = logits.size() < 2 ? 1 : 1 - (std::log(sum) - weighted / sum) / std::log(static_cast<double>(logits.size()));
    return {static_cast<int>(best), static_cast<float>(std::clamp(sure, 0.0, 1.0))};
}

/// How sure probabilities are, as an exit that ends in `softmax()` has them. top1: the largest value, whatever the values are. entropy: 0 for
/// values that are no probabilities, of which one is below 0 or whose sum is not 1 (within 1e-3), so that such an exit never answers.
inline float confidence_of(std::span<const float> p, confidence_kind kind) {
    if (p.empty()) return 0;
    if (kind == confidence_kind::top1) return *std::max_element(p.begin(), p.end());
    double sum = 0, entropy = 0;
    for (const float x : p) {
        if (!(x >= 0)) return 0;
        const double v = static_cast<double>(x);
        sum += v;
        if (x > 0) entropy -= v * std::log(v);
    }
    if (!(std::abs(sum - 1) <= 1e-3)) return 0;
    return p.size() < 2 ? 1 : static_cast<float>(std::clamp(1 - entropy / std::log(static_cast<double>(p.size())), 0.0, 1.0));
}

/// What a policy compares exits' confidences by: its own `confidence()`, if it has that member, else the largest probability.
template <class Policy>
constexpr confidence_kind confidence_kind_of(const Policy& p) {
    if constexpr (requires { { p.confidence() } -> std::same_as<confidence_kind>; })
        return p.confidence();
    else
        return confidence_kind::top1;
}

/// BranchyNet's threshold, an entropy in nats below which an exit answers, as a confidence: 0.5 nats of 10 classes are 0.7829.
inline float confidence_of_entropy(double nats, int classes) {
    return classes < 2 ? 1.0F : static_cast<float>(1 - nats / std::log(static_cast<double>(classes)));
}

} // namespace splitdsl::policy
