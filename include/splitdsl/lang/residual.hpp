// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file residual.hpp
/// A branch beside a shortcut, added.
#pragma once

#include <splitdsl/lang/add.hpp>
#include <splitdsl/lang/identity.hpp>

namespace splitdsl {

/// What enters is added to the branch's result, so the branch must keep the shape (SD203, SD204).
///
/// ```cpp
/// residual(named("conv1", conv(64, {.kernel = 3})) | named("bn1", batch_norm())) | relu()
/// ```
template <std::size_t N, std::size_t S>
constexpr auto residual(const body<N, S>& branch) { return add(branch, identity()); }

/// With a shortcut of its own, usually `named("downsample", projection(channels, stride))`.
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr auto residual(const body<N, S>& branch, const body<M, T>& shortcut) { return add(branch, shortcut); }

} // namespace splitdsl
