// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fuse.hpp
/// Several streams side by side: the start of a cloud exit.
#pragma once

#include <splitdsl/lang/concat.hpp>
#include <splitdsl/lang/from.hpp>

namespace splitdsl {

/// concat(from(first), from(second), ...): FLEET Eq. 7 for streams of one size; up-sample one branch first where sizes differ.
template <class... Text>
constexpr auto fuse(text first, text second, const Text&... more) { return concat(from(first), from(second), from(text{more})...); }

/// A branch at `place` beside the trunk, for instance `beside("cloud", fuse("s1", "s2") | ... | early_exit(...))`.
template <std::size_t N, std::size_t S>
constexpr auto beside(text place, const body<N, S>& branch) {
    auto r = detail::enclose(branch, scope_kind::place, place, stage_order::beside);
    r.result = -1;
    return r;
}

} // namespace splitdsl
