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
/// Its answer stands where the network's would, so both are of one shape (SD320), unless the network's outputs are tasks.
///
/// It ends a stage: the device computes it on the way and then asks the policy, which may answer with it (`policy::local_early_exit`,
/// `policy::cascade`). Whatever the policy, the newest exit of a frame is its last resort before an answer is repeated. Exits are numbered in
/// the order in which they stand (`pipeline::exits`, `answer::exit`); nothing has to be said at run time. `edge_options::use_exits = false`
/// leaves them out, `edge_options::exits` names others, or those with a confidence of their own. On the cloud an exit in front of the cut is
/// not computed; the cloud's answer holds the values that the device computed for it.
///
/// Its confidence is the largest of its values: a probability if the branch ends in `softmax()`, as policies expect. Where the policy asks for
/// `confidence_kind::entropy` (`local_early_exit::branchynet`) it is 1 - entropy / ln(classes) of these probabilities, and 0 of values that are none,
/// so that such an exit never answers. A branch that ends in logits or in a regression's values still is a last resort, but its largest value is no
/// confidence. Give such an exit its own, in the policy's kind (`policy::predict(logits, confidence_kind::entropy)`):
///
/// ```cpp
/// const exit_info& quick = weights.net().exits[0];
/// const exit_place place[]{{.stage = quick.stage, .first_float = quick.first_float, .floats = quick.floats,
///                           .confidence = [](std::span<const float> logits) { return policy::predict(logits).confidence; }}};
/// edge<sorter, policy::cascade> edge{weights, policy::cascade{0.8F}, {.deadline = 100ms, .exits = place}, link};
/// ```
template <std::size_t N, std::size_t S>
constexpr auto early_exit(text name, const body<N, S>& branch) {
    auto r = branch | detail::output_op(name, op_flag::is_exit);
    r.result = -1;
    return r;
}

} // namespace splitdsl
