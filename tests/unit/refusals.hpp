// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file refusals.hpp
/// For tests of set-up errors: what was refused, in its own words.
#pragma once

#include <splitdsl/error.hpp>

#include <string>

template <class Error = splitdsl::option_error, class F>
std::string refusal(F&& f) {
    try {
        f();
    } catch (const Error& e) { return e.what(); }
    return "nothing was refused";
}
inline bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
