// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file by_sizes.hpp
/// Layers of their own for each pair of sizes that two streams arrived in.
#pragma once

#include <splitdsl/lang/select.hpp>

#include <utility>

namespace splitdsl {

/// In an exit that reads streams of `dynamic_pool` or `widths`: runs `make(before, here)` for the sizes (or widths) that are complete now, 1 to Here of the newest stream the exit
/// reads and 1 to Before of the other one; a stream of which nothing is complete counts as its smallest size. An exit that reads one stream has Before = 1.
/// Branches must agree in shape (SD215); their numbers are those of the streams' sizes or widths (SD318).
/// ```cpp
/// fuse("s0", "s1") | by_sizes<3, 3>([](int before, int here) { return named("pair", named(before, named(here, conv(24, {.kernel = 1})))); })
/// ```
/// Source: FLEET, Eq. 7 with k = 2: one convolution for each pair.
template <int Before, int Here, class Make>
constexpr auto by_sizes(Make make) {
    static_assert(Before >= 1 && Here >= 1 && Before * Here >= 2, "splitdsl: by_sizes needs at least two branches.");
    return [&]<int... I>(std::integer_sequence<int, I...>) {
        op sizes = detail::beginning(op_kind::sizes, {});
        sizes.element = u8;
        sizes.out = Here;
        sizes.groups = Before;
        return detail::select_by(sizes, detail::branch(make(I / Here + 1, I % Here + 1))...);
    }(std::make_integer_sequence<int, Before * Here>{});
}

} // namespace splitdsl
