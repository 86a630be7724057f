// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file radix_softmax.hpp
/// Softmax between the splits of a split-attention block.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// For every channel a softmax over its `radix` splits (ResNeSt, Zhang et al. 2020, equation 2). Channels stand as (cardinality, radix, C')
/// before and as (radix, cardinality, C') behind; the shape stays. Refused: channels not divisible by radix * cardinality (SD202).
///
/// ```cpp
/// named("fc2", conv(2 * 64, {})) | radix_softmax(2)               // the attention of two splits of 64 channels
/// ```
constexpr body<1> radix_softmax(int radix, int cardinality = 1) {
    op o = detail::reading(op_kind::radix_softmax);
    o.size = {radix, 0, 0};
    o.groups = cardinality;
    return detail::single(o);
}

} // namespace splitdsl
