// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file numbers.hpp
/// What numbers an option takes. CLI11's own ranges let nan through, and read -1 as the largest unsigned number there is.
#pragma once

#include <splitdsl/detail/number_text.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

namespace options {

namespace detail {
template <class Number>
std::string shown(Number v) {
    if constexpr (std::is_floating_point_v<Number>) {
        char text[40]{};
        std::snprintf(text, sizeof text, "%.10g", static_cast<double>(v));
        return text;
    } else {
        return std::to_string(v);
    }
}
template <class Number>
bool reads(std::string_view text, Number& v) {
    if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
    const auto number = splitdsl::detail::read_number<Number>(text);
    v = number.value_or(v);
    return number.has_value();
}
template <class Number, class Fits>
CLI::Validator numbers(const std::string& kind, const std::string& range, Fits fits) {
    const auto check = [=](std::string& text) {
        Number v{};
        const bool read = reads(text, v);
        if (read && fits(v)) return std::string{};
        const bool too_many_digits = !read && !kind.empty() && !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        return "expected " + kind + range + (too_many_digits ? " and at most " + shown(std::numeric_limits<Number>::max()) : "") + ", found " + text.substr(0, 80);
    };
    return CLI::Validator{check, range}; // --help shows the range behind the option's type
}
} // namespace detail

/// Finite numbers from `least` to `most`, both included; whole ones if the bounds are.
///
/// ```cpp
/// app.add_option("--delay", delay_ms, "in ms")->check(options::between(0.0, 3.6e6));    // --delay: expected 0 to 3600000, found nan
/// ```
template <class Number>
CLI::Validator between(Number least, Number most) {
    return detail::numbers<Number>("", detail::shown(least) + " to " + detail::shown(most), [=](Number v) { return v >= least && v <= most; });
}

/// Whole numbers from `least` to the largest of their type.
template <class Integer>
CLI::Validator at_least(Integer least) {
    static_assert(std::is_integral_v<Integer>);
    return detail::numbers<Integer>("a whole number of ", "at least " + std::to_string(least), [=](Integer v) { return v >= least; });
}

} // namespace options
