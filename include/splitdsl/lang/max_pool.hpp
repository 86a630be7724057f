// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file max_pool.hpp
/// Maximum over a window.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Where a pool looks. `stride` defaults to the kernel; `pad` at most half the kernel (SD213).
struct pool_window {
    extent kernel{2};
    extent stride{0};
    padding pad{0};
    bool ceil{false};                   ///< round output sizes up; windows that start in the far padding are dropped
    bool count_include_pad{true};       ///< avg_pool only: padding counts in the divisor
};

namespace detail {
constexpr body<1> pool(op_kind kind, pool_window w) {
    op o = detail::reading(kind);
    o.kernel = w.kernel;
    o.stride = w.stride == extent{0} ? w.kernel : w.stride;
    o.pad = w.pad;
    o.flags = (w.ceil ? op_flag::ceil : op_flag::none) | (w.count_include_pad ? op_flag::count_include_pad : op_flag::none);
    return single(o);
}
} // namespace detail

/// (C, H, W) -> (C, H', W'), H' = floor or ceil((H + top + bottom - kernel) / stride) + 1. Padding never wins the maximum.
constexpr body<1> max_pool(pool_window w = {}) { return detail::pool(op_kind::max_pool, w); }

} // namespace splitdsl
