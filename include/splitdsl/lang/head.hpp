// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file head.hpp
/// The first stage: it runs on the weak device.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Everything inside runs at `place`, a name of letters, digits, _ and - (SD104). Ops outside every stage run where the next stage runs.
/// The words say in which order a frame goes through stages, head, `stage`, tail (SD321), and stages stand behind each other, not inside (SD322).
template <std::size_t N, std::size_t S>
constexpr auto head(text place, const body<N, S>& of) { return detail::enclose(of, scope_kind::place, place, stage_order::head); }

/// A stage between head and tail, for three tiers and more: places, their order, payloads, budgets and costs are the language's, for as many tiers as
/// are declared. The runtime goes by cuts: a device offloads at one of them; a middle tier (runtime/middle_tier.hpp) may offload again at a later one; a
/// cloud runs everything behind its cut.
template <std::size_t N, std::size_t S>
constexpr auto stage(text place, const body<N, S>& of) { return detail::enclose(of, scope_kind::place, place, stage_order::between); }

} // namespace splitdsl
