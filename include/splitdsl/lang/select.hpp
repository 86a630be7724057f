// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file select.hpp
/// One of several branches, chosen by a command.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

namespace detail {
/// A branch always ends in an op of its own, so that its result stands at its end.
template <std::size_t N, std::size_t S>
constexpr auto branch(const body<N, S>& of) {
    op end = detail::reading(op_kind::identity);
    return enclose(of | single(end), scope_kind::branch, {});
}
/// Runs the branch that `command` names.
template <std::size_t... N, std::size_t... S>
constexpr auto select_by(const op& command, const body<N, S>&... b) {
    constexpr std::size_t ops = 1 + (N + ...), scopes = (S + ...);
    body<ops + 1, scopes> r;
    r.ops[0] = command;
    std::size_t at = 1, scopes_at = 0;
    (..., (append(r, at, scopes_at, b, -1), at += N, scopes_at += S));
    op& o = r.ops[ops] = reading(op_kind::select);
    o.b = static_cast<int>(ops);
    o.out = static_cast<int>(sizeof...(N));
    r.result = static_cast<int>(ops);
    return r;
}
} // namespace detail

/// Declares the input `command` (u8, one value) and runs only the branch of that index; results must agree in shape (SD215).
/// What a branch computes is read inside it alone, and no exit, cut, stream or task stands there (SD323): `tap("chosen", select(...))` names the result.
/// A command outside [0, branches) is refused, also from the wire; selects of one command have as many branches (SD216). SAGE-02: the command-selected heads of conditional imitation learning.
template <class... Branches>
constexpr auto select(text command, const Branches&... branches) {
    static_assert(sizeof...(Branches) >= 2, "splitdsl: select needs at least two branches.");
    op input_op = detail::beginning(op_kind::input, command);
    input_op.element = u8;
    input_op.size = {1, 1, 1};
    return detail::select_by(input_op, detail::branch(branches)...);
}

} // namespace splitdsl
