// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file csv.hpp
/// What the readers of comma-separated files forgive: spreadsheets write it.
#pragma once

#include <string_view>

namespace splitdsl::detail {

/// Without blanks at its ends, the carriage return of a Windows line among them.
inline std::string_view trimmed(std::string_view s) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!s.empty() && blank(s.front())) s.remove_prefix(1);
    while (!s.empty() && blank(s.back())) s.remove_suffix(1);
    return s;
}

/// A cell without blanks and without the pair of quotation marks around it.
inline std::string_view bare_cell(std::string_view cell) {
    cell = trimmed(cell);
    if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') cell = trimmed(cell.substr(1, cell.size() - 2));
    return cell;
}

} // namespace splitdsl::detail
