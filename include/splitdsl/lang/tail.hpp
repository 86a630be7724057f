// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tail.hpp
/// The last stage: it runs on the strong machine, and as the fallback also on the edge.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Everything inside runs at `place`. A stage's name is a place, never part of a weight's name. Behind it only another tail may follow (SD321).
template <std::size_t N, std::size_t S>
constexpr auto tail(text place, const body<N, S>& of) { return detail::enclose(of, scope_kind::place, place, stage_order::tail); }

} // namespace splitdsl
