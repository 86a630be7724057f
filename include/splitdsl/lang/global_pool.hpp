// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file global_pool.hpp
/// Mean over the whole image.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// (C, H, W) -> (C, 1, 1), summed in a fixed order.
constexpr body<1> global_pool() {
    op o = detail::reading(op_kind::global_pool);
    return detail::single(o);
}

} // namespace splitdsl
