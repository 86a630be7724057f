// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fan_out.hpp
/// Several tasks from one tensor.
#pragma once

#include <splitdsl/lang/early_exit.hpp>

namespace splitdsl {

/// One task: a branch with an answer of its own. Its result is called `name`.
template <std::size_t N, std::size_t S>
constexpr auto task(text name, const body<N, S>& branch) {
    auto r = detail::enclose(branch | detail::output_op(name, op_flag::none), scope_kind::part, name);
    r.result = -1;
    return r;
}

/// The network's outputs are its tasks' results, in order (Ladon's shared encoder with several heads).
template <class... Tasks>
constexpr auto fan_out(const Tasks&... tasks) { return detail::enclose((tasks | ...), scope_kind::fan, "tasks"); }

} // namespace splitdsl
