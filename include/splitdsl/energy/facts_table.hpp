// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file facts_table.hpp
/// A small strict reader for tables of facts: comma-separated, one known header line, bounded in every direction.
#pragma once

#include <splitdsl/detail/csv.hpp>
#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/error.hpp>

#include <array>
#include <cstddef>
#include <istream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl {

/// Between these, or 0, is whatever a table says of a machine: watts, hertz, operations a second.
inline constexpr double least_fact = 1e-12, most_fact = 1e18;

/// A table read by `read_facts_table`: cells as text, each row with the file's line it stood on.
///
/// The form: lines that start with # are comments; the first other line is the header and must be the expected one; a cell holds
/// printable ASCII or UTF-8, no comma and no quotation mark, and may be empty where the reader of the table allows it. It may stand in
/// quotation marks and have blanks around it; lines may end as on Windows.
struct facts_table {
    struct row {
        std::size_t line{};
        std::vector<std::string> cells{};
    };
    std::string name{};                 ///< what errors call the table
    std::string header{};
    std::vector<row> rows{};

    /// The cell as it stands. Refused (trace_error): an empty one.
    const std::string& text(const row& r, std::size_t column) const {
        if (r.cells[column].empty()) throw trace_error(place(r, column) + "expected a text, found nothing");
        return r.cells[column];
    }
    /// A number, 0 or one that some machine could have; nothing for an empty cell. Refused (trace_error): anything else.
    std::optional<double> number(const row& r, std::size_t column) const {
        const std::string& cell = r.cells[column];
        if (cell.empty()) return std::nullopt;
        const auto value = detail::read_number<double>(cell);
        if (!value || !(*value == 0 || (*value >= least_fact && *value <= most_fact)))
            throw trace_error(place(r, column) + "expected 0 or a number from 1e-12 to 1e18, found '" + cell + "'");
        return value;
    }
    double required_number(const row& r, std::size_t column) const {
        const auto value = number(r, column);
        if (!value) throw trace_error(place(r, column) + "expected a number, found nothing");
        return *value;
    }
    std::string place(const row& r, std::size_t column) const {
        return name + ", line " + std::to_string(r.line) + ", column " + std::to_string(column + 1) + ": ";
    }
};

inline constexpr std::size_t max_facts_rows = 1024;
inline constexpr std::size_t max_facts_line = 1024;     ///< characters
inline constexpr std::size_t max_facts_bytes = 2 * (max_facts_rows + 1) * (max_facts_line + 2); ///< as many comments as rows

/// Reads a table. Refused (trace_error, naming file, line, expected and found): another header, a row with too few or too many cells, a
/// line over 1,024 characters, more than 1,024 rows, control characters, quotation marks, no rows. Memory is bounded by those limits.
inline facts_table read_facts_table(std::istream& in, std::string name, std::string_view expected_header) {
    facts_table table{std::move(name), {}, {}};
    std::array<char, max_facts_line + 2> buffer{};
    std::size_t columns = 0, number = 0, comments = 0;
    for (;;) {
        in.getline(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        const std::size_t got = static_cast<std::size_t>(in.gcount());
        if (got == 0 && in.eof()) break;
        ++number;
        const std::string here = table.name + ", line " + std::to_string(number) + ": ";
        if (in.bad() || (in.fail() && !in.eof())) throw trace_error(here + "expected at most " + std::to_string(max_facts_line) + " characters, found more");
        std::string_view line(buffer.data(), in.eof() ? got : got - 1);
        if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
        line = detail::trimmed(line);
        const auto require_printable = [&](std::string_view what, char other) {
            for (const char c : what)
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == other)
                    throw trace_error(here + "expected printable text without quotation marks inside a cell, found character " + std::to_string(static_cast<unsigned char>(c)));
        };
        require_printable(line, '\x7f');
        if (line.starts_with('#') || line.empty()) {
            if (++comments > max_facts_rows) throw trace_error(here + "expected at most " + std::to_string(max_facts_rows) + " comments, found more");
            if (in.eof()) break;
            continue;
        }
        facts_table::row r{number, {}};
        r.cells.reserve(columns);
        for (std::size_t from = 0;;) {
            const std::size_t comma = line.find(',', from);
            r.cells.emplace_back(detail::bare_cell(line.substr(from, comma == std::string_view::npos ? comma : comma - from)));
            require_printable(r.cells.back(), '"');
            if (comma == std::string_view::npos) break;
            from = comma + 1;
        }
        if (table.header.empty()) {
            for (const std::string& cell : r.cells) table.header += (&cell == r.cells.data() ? "" : ",") + cell;
            if (table.header != expected_header)
                throw trace_error(here + "expected the header '" + std::string(expected_header) + "', found '" + table.header + "'");
            columns = r.cells.size();
        } else {
            if (r.cells.size() != columns)
                throw trace_error(here + "expected " + std::to_string(columns) + " cells, found " + std::to_string(r.cells.size()));
            if (table.rows.size() == max_facts_rows)
                throw trace_error(here + "expected at most " + std::to_string(max_facts_rows) + " rows, found more");
            table.rows.push_back(std::move(r));
        }
        if (in.eof()) break;
    }
    if (table.rows.empty()) throw trace_error(table.name + ": expected the header '" + std::string(expected_header) + "' and at least one row, found none");
    return table;
}

/// Reads a table from a file. Refused as above, and what is no ordinary file, or a longer one than such a table can be.
inline facts_table read_facts_table(const std::string& path, std::string_view expected_header) {
    const auto refuse = [&](const std::string& found) { throw trace_error(path + ": expected a csv file of at most " + std::to_string(max_facts_bytes) + " bytes, found " + found); };
    std::istringstream file{detail::read_ordinary_file<std::string>(path, max_facts_bytes, refuse)};
    return read_facts_table(file, path, expected_header);
}

} // namespace splitdsl
