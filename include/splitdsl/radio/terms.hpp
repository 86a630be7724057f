// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file terms.hpp
/// How a radio is read from one line of text: key=value, separated by commas, each key once.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/printable.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/units.hpp>

#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>

namespace splitdsl::radio {

/// One key=value of a line. What it is read into is changed only if it fits; otherwise an option_error names the radio, the key and what was found.
struct term {
    const char* radio{};                ///< begins every sentence: "ble: expected ..."
    std::string_view key{}, value{};

    [[noreturn]] void refuse(const std::string& expected) const {
        throw option_error(std::string{radio} + ": expected " + expected + ", found " + splitdsl::detail::quoted(value, 40));
    }
    /// A whole number or, for a double, any finite one.
    template <class Number>
    void read(Number& into) const {
        const auto v = splitdsl::detail::read_number<Number>(value);
        if (!v) refuse("a number as " + std::string{key});
        into = *v;
    }
    void read(bool& into) const {
        if (value != "0" && value != "1") refuse("0 or 1 as " + std::string{key});
        into = value == "1";
    }
    /// Milliseconds.
    void read(duration& into) const {
        double ms = 0;
        read(ms);
        if (!(ms >= 0 && ms <= 1e9)) refuse("0 to 1e9 ms as " + std::string{key});
        into = from_milliseconds(ms);
    }
    /// One of these, by the name that `to_text` gives it.
    template <class Choice>
    void read(Choice& into, std::initializer_list<Choice> all) const {
        std::string names;
        for (const Choice one : all) {
            if (value == to_text(one)) {
                into = one;
                return;
            }
            names += (names.empty() ? "" : ", ") + std::string{to_text(one)};
        }
        refuse(std::string{key} + " to be one of " + names);
    }
};

/// Hands every term of a line to `take(const term&)`, which says whether it knows the key; `keys` are all it knows, for the sentence when it does not.
template <class Take>
void read_terms(const char* radio, const char* keys, std::string_view line, Take take) {
    std::string named = ",";
    for (bool more = true; more;) {
        const auto comma = line.find(',');
        const std::string_view part = line.substr(0, comma);
        more = comma != std::string_view::npos;
        line.remove_prefix(more ? comma + 1 : line.size());
        const auto equals = part.find('=');
        const term whole{radio, {}, part};
        if (equals == std::string_view::npos) whole.refuse("key=value");
        const term one{radio, part.substr(0, equals), part.substr(equals + 1)};
        const std::string key{one.key};
        if (named.find("," + key + ",") != std::string::npos) whole.refuse("each key once");
        named += key + ",";
        if (!take(one)) term{radio, {}, one.key}.refuse("one of " + std::string{keys});
    }
}

} // namespace splitdsl::radio
