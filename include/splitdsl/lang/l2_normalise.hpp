// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file l2_normalise.hpp
/// Every pixel's channels scaled to length one, then by a trained factor a channel.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// y = x / max(|x|, epsilon) * weight, |x| over the channels of one pixel; (C, H, W) keeps its shape. SSD, Liu et al. 2016, section 3.1.
/// Its one weight (C) has the layer's full name, with nothing behind it. An epsilon that is negative or not finite is refused (SD211).
///
/// ```cpp
/// named("backbone", named("scale_weight", l2_normalise()))        // weight: backbone.scale_weight
/// ```
constexpr body<1> l2_normalise(float epsilon = 1e-12F) {
    op o = detail::reading(op_kind::l2_normalise);
    o.values[0] = epsilon;
    return detail::single(o);
}

} // namespace splitdsl
