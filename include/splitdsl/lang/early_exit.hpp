// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file early_exit.hpp
/// An answer on the way.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

namespace detail {
constexpr body<1> output_op(text name, op_flag flags) {
    op o = detail::reading(op_kind::output);
    o.label = refer(name);
    o.flags = flags;
    return single(o);
}
} // namespace detail

/// A branch beside the trunk that ends in an answer of its own (BranchyNet, FLEET), at whichever place it stands.
/// Its confidence is the largest value of its result, so end it with `softmax()` if the policy shall read it. Its answer stands where the
/// network's would, so both are of one shape (SD320), unless the network's outputs are tasks.
template <std::size_t N, std::size_t S>
constexpr auto early_exit(text name, const body<N, S>& branch) {
    auto r = branch | detail::output_op(name, op_flag::is_exit);
    r.result = -1;
    return r;
}

} // namespace splitdsl
