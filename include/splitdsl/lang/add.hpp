// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file add.hpp
/// Element-wise sum of two branches.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Both branches read what enters; their results must have one shape (SD203, SD204).
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr auto add(const body<N, S>& x, const body<M, T>& y) { return detail::join(op_kind::add, x, y); }

template <class X, class Y, class Z, class... More>
constexpr auto add(const X& x, const Y& y, const Z& z, const More&... more) { return add(add(x, y), z, more...); }

} // namespace splitdsl
