// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tap.hpp
/// A tensor that is read again further on.
#pragma once

#include <splitdsl/lang/bottleneck.hpp>

namespace splitdsl {

/// Gives the body's result a name for `from`. With a codec it is quantised for every reader.
template <std::size_t N, std::size_t S>
constexpr auto tap(text name, const body<N, S>& of) {
    op o = detail::reading(op_kind::identity);
    o.label = refer(name);
    return of | detail::single(o);
}
template <std::size_t N, std::size_t S>
constexpr auto tap(text name, const body<N, S>& of, codec_choice codec) {
    return of | detail::single(detail::cut_op(name, codec, op_flag::none));
}

} // namespace splitdsl
