// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file avg_pool.hpp
/// Mean over a window.
#pragma once

#include <splitdsl/lang/max_pool.hpp>

namespace splitdsl {

/// (C, H, W) -> (C, H', W'), sizes as max_pool's. The divisor counts padding unless `count_include_pad` is false.
constexpr body<1> avg_pool(pool_window w = {}) { return detail::pool(op_kind::avg_pool, w); }

} // namespace splitdsl
