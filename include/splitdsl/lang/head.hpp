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
/// are declared. The runtime that comes along has two: a device that offloads at one of the cuts, and a cloud that runs everything behind it. A cloud
/// does not forward to another one; a program of one's own may, with `pipeline::run`, `store_payload` and `load_payload` at each cut.
template <std::size_t N, std::size_t S>
constexpr auto stage(text place, const body<N, S>& of) { return detail::enclose(of, scope_kind::place, place, stage_order::between); }

} // namespace splitdsl
