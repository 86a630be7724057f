// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file named.hpp
/// Names: they become the names of weights.
#pragma once

#include <splitdsl/lang/op.hpp>

#include <concepts>
#include <type_traits>

namespace splitdsl {

/// Every weight inside is called `name.` and so on; scopes join with dots as in a PyTorch `state_dict`.
/// Two layers with one full name share their weights, and their shapes must agree (SD102).
template <std::size_t N, std::size_t S>
constexpr auto named(text name, const body<N, S>& of) { return detail::enclose(of, scope_kind::name, name); }

/// A number as a name: `named(3, block)`.
template <std::size_t N, std::size_t S>
constexpr auto named(int index, const body<N, S>& of) { return detail::enclose(of, scope_kind::name, {}, index); }

// A std::string is gone before the network is compiled; names are literals.
template <class Name, std::size_t N, std::size_t S>
    requires(std::is_class_v<Name> && !std::same_as<Name, text> && std::convertible_to<Name, text>)
constexpr auto named(const Name& name_that_is_no_literal, const body<N, S>& of) = delete;

} // namespace splitdsl
