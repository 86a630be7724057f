// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file number_text.hpp
/// Numbers in texts, the same in every locale: read whole or not at all, and written as 64 bits.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace splitdsl::detail {

/// The number that a text is from its first character to its last. Nothing if it is more or less than that, beyond its type, infinite or not a number.
///
/// ```cpp
/// const auto rate = detail::read_number<double>(cell);    // "1e3": 1000; "1e3x", " 1", "", "inf": nothing
/// ```
template <class Number>
std::optional<Number> read_number(std::string_view text) {
    Number v{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if constexpr (std::is_floating_point_v<Number>)
        if (!std::isfinite(v)) return std::nullopt;
    return v;
}

/// For a sentence: as short as the number can be written without being another one. "0.1", "1e-09", "4", "nan".
template <class Number>
std::string number_text(Number v) {
    static_assert(std::is_floating_point_v<Number>, "std::to_string writes whole numbers");
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof digits, v).ptr};
}

/// "0x" and 16 digits.
inline std::string hex(std::uint64_t v) {
    std::string s = "0x";
    for (int shift = 60; shift >= 0; shift -= 4) s += "0123456789abcdef"[(v >> shift) & 15u];
    return s;
}

} // namespace splitdsl::detail
