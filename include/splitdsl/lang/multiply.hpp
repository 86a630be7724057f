// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file multiply.hpp
/// Element-wise product of two branches.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Same shapes, or one branch (C, 1, 1) that scales the channels of the other: squeeze-and-excite (SD206).
///
/// ```cpp
/// multiply(identity(), global_pool() | named("fc1", conv(24, {})) | relu() | named("fc2", conv(96, {})) | hard_sigmoid())
/// ```
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr auto multiply(const body<N, S>& x, const body<M, T>& scale) { return detail::join(op_kind::multiply, x, scale); }

} // namespace splitdsl
