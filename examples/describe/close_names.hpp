// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file close_names.hpp
/// Which names somebody may have meant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace describing {

/// Letters to insert, drop or change (Levenshtein).
inline std::size_t edits_between(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t corner = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t change = corner + (a[i] != b[j]);
            corner = row[j + 1];
            row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, change});
        }
    }
    return row.back();
}

/// At most five, best first: few edits away from the name or from how it begins, or one name holds the other. `name` is cut to 100 letters.
inline std::vector<std::string> close_names(std::string_view name, const std::vector<std::string>& all) {
    name = name.substr(0, 100);
    std::vector<std::pair<std::size_t, std::string>> found;
    for (const std::string& n : all) {
        const bool holds = name.size() >= 3 && (n.find(name) != std::string::npos || name.find(n) != std::string_view::npos);
        const std::size_t edits = edits_between(name, n), to_begin = edits_between(name, std::string_view(n).substr(0, name.size() + 1));
        if (holds || edits <= std::max<std::size_t>(2, name.size() / 4) || to_begin <= name.size() / 4) found.emplace_back(edits, n);
    }
    std::sort(found.begin(), found.end());
    std::vector<std::string> names;
    for (const auto& [edits, n] : found)
        if (names.size() < 5) names.push_back(n);
    return names;
}

} // namespace describing
