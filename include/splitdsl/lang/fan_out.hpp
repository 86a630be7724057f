// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fan_out.hpp
/// Several tasks from one tensor.
#pragma once

#include <splitdsl/lang/early_exit.hpp>

namespace splitdsl {

/// A branch with an answer of its own, made by `task`.
template <std::size_t Ops, std::size_t Scopes>
struct task_branch {
    body<Ops, Scopes> of;
};
/// One task: a branch with an answer of its own. Its result is called `name`.
template <std::size_t N, std::size_t S>
constexpr auto task(text name, const body<N, S>& branch) {
    auto r = detail::enclose(branch | detail::output_op(name, op_flag::none), scope_kind::part, name);
    r.result = -1;
    return task_branch<N + 1, S + 1>{r};
}

namespace detail {
template <class T>
inline constexpr bool is_task = false;
template <std::size_t N, std::size_t S>
inline constexpr bool is_task<task_branch<N, S>> = true;
} // namespace detail

/// The network's outputs are its tasks' results, in order (Ladon's shared encoder with several heads).
///
/// ```cpp
/// fan_out(task("class", global_pool() | named("fc", dense(10))), task("mask", named("up", conv_transpose(2))))
/// ```
template <class... Tasks>
constexpr auto fan_out(const Tasks&... tasks) {
    static_assert(sizeof...(Tasks) > 0 && (detail::is_task<Tasks> && ...), "splitdsl: fan_out takes tasks; wrap each branch in task(\"name\", ...).");
    return detail::enclose((tasks.of | ...), scope_kind::fan, "tasks");
}

} // namespace splitdsl
