// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file skewed_pictures.hpp
/// A stream of inputs in which a few classes are common, drawn from recorded answers.
#pragma once

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/sim/exit_answers.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::sim {

/// As many pictures as there are, of which a share `of_common` shows one of the classes `common`, each drawn again and again among those that do; for
/// `exit_answers::of`. Equal arguments, equal pictures. Refused (option_error): a share outside 0 to 1, no class, no picture of the common
/// classes or of the others where one is wanted.
///
/// ```cpp
/// const int cars[]{1};
/// const auto skewed = answers.of(sim::skewed_pictures(answers, cars, 0.9, seed));
/// ```
///
/// Source: Liang et al., "AI on the Edge", section 5.2: inputs skewed towards a common case, such as cars.
inline std::vector<std::size_t> skewed_pictures(const exit_answers& a, std::span<const int> common, double of_common, std::uint64_t seed) {
    const auto refuse = [](const std::string& expected, const std::string& found) {
        throw option_error("skewed pictures: expected " + expected + ", found " + found);
    };
    if (!(of_common >= 0 && of_common <= 1)) refuse("a share from 0 to 1", std::to_string(of_common));
    if (common.empty()) refuse("at least one common class", "none");
    std::vector<std::size_t> usual, rare;
    for (std::size_t i = 0; i < a.pictures(); ++i)
        (std::find(common.begin(), common.end(), a.label(i)) != common.end() ? usual : rare).push_back(i);
    if (of_common > 0 && usual.empty()) refuse("pictures of the common classes", "none");
    if (of_common < 1 && rare.empty()) refuse("pictures of other classes", "none");
    splitdsl::detail::xoshiro256 random{seed};
    std::vector<std::size_t> all(a.pictures());
    for (std::size_t& one : all) {
        const std::vector<std::size_t>& from = random.uniform() < of_common ? usual : rare;
        one = from[random.below(static_cast<std::uint32_t>(from.size()))];
    }
    return all;
}

} // namespace splitdsl::sim
