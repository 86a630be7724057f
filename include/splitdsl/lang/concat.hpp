// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file concat.hpp
/// Branches side by side along the channels.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Every branch reads what enters; heights and widths must agree (SD205). (C1, H, W), (C2, H, W), ... -> (C1 + C2 + ..., H, W).
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr auto concat(const body<N, S>& x, const body<M, T>& y) { return detail::join(op_kind::concat, x, y); }

template <class X, class Y, class Z, class... More>
constexpr auto concat(const X& x, const Y& y, const Z& z, const More&... more) { return concat(concat(x, y), z, more...); }

} // namespace splitdsl
