// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file printable.hpp
/// Texts of files and of the other side in a message: nothing of them can steer a terminal or fill a screen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace splitdsl::detail {

/// Printable ASCII, at most so many characters of it; everything else is a question mark.
inline std::string printable(std::string_view text, std::size_t most = 128) {
    std::string s;
    for (const char c : text.substr(0, most)) s += c >= ' ' && c <= '~' ? c : '?';
    return text.size() > most ? s + "..." : s;
}
inline std::string quoted(std::string_view text, std::size_t most = 128) { return "\"" + printable(text, most) + "\""; }

} // namespace splitdsl::detail
