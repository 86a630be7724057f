// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool.hpp
/// How a stream is pooled: a map that grows from its smallest size to its largest while nothing is sent twice.
#pragma once

namespace splitdsl {

/// Sizes of the longer side: smallest, smallest + step, ... up to largest. 0 means the ends of the first octave, s/k and 2s/k.
struct pool_sizes {
    int smallest{};
    int largest{};
    int step{1};
};

/// What `stream` takes in place of a codec.
struct pool_choice {
    int stride{};
    pool_sizes sizes{};
};

/// FLEET's encoder for a stream (docs/dynamic_pooling.md): 8 bits a value, sizes from small to large, the exact form.
/// Shapes: (n, h, w) -> (n, rows, columns) of the largest size; where only a smaller size arrived, its values repeat.
/// Refused: strides and sizes without a ladder (SD316).
/// ```cpp
/// stream("s0", named("s0", conv(8, {.kernel = 1})), dynamic_pool(4, {.smallest = 4, .largest = 8, .step = 2}))   // of 16 x 16: 4, 6 and 8
/// ```
/// Source: FLEET, section 3.2, Eq. 2 and 3.
constexpr pool_choice dynamic_pool(int stride, pool_sizes sizes = {}) { return {stride, sizes}; }

} // namespace splitdsl
