// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file local_early_exit.hpp
/// Early exits on the device alone: BranchyNet, Shallow-Deep Networks, an ensemble of small networks.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <array>
#include <span>
#include <string>

namespace splitdsl::policy {

inline constexpr int max_exits = 32; ///< of one network, on the device

/// The first exit that is sure enough answers; nothing is ever sent. What distinguishes the papers is how the network was trained, what its
/// exits look like, and how the confidence is computed:
///
/// | recipe       | exits                                      | confidence               | thresholds                  |
/// |--------------|--------------------------------------------|--------------------------|-----------------------------|
/// | BranchyNet   | branches of the trunk, trained together    | entropy                  | one an exit, in nats        |
/// | Shallow-Deep | branches with learnt pooling               | top-1 probability        | one for all                 |
/// | ensemble     | networks of growing depth, one after another; each starts anew | top-1 probability | one for all  |
///
/// O(1) per decision. Refused by the factories (option_error): no exits or more than 32, thresholds that are no numbers of at least 0.
///
/// ```cpp body
/// auto p = policy::local_early_exit::branchynet(std::array{0.1, 0.3, 0.5}, 10);      // nats, 10 classes
/// auto q = policy::local_early_exit::shallow_deep(0.8F, 7);
/// ```
class local_early_exit {
public:
    /// `entropies[e]`: exit e answers if its entropy is at most so many nats. Its exits end in `softmax()`, or have a function of
    /// their own (`exit_place::confidence`) that gives `confidence_kind::entropy`.
    static local_early_exit branchynet(std::span<const double> entropies, int classes) {
        local_early_exit p;
        p.kind = confidence_kind::entropy;
        p.exits = checked(static_cast<int>(std::min<std::size_t>(entropies.size(), max_exits + 1)));
        if (classes < 2) throw option_error("policy local_early_exit: expected at least 2 classes, found " + std::to_string(classes));
        for (std::size_t e = 0; e < entropies.size(); ++e) {
            if (!(entropies[e] >= 0))
                throw option_error("policy local_early_exit: expected an entropy of at least 0 nats, found "
                                   + splitdsl::detail::number_text(entropies[e]));
            p.threshold[e] = confidence_of_entropy(entropies[e], classes);
        }
        return p;
    }
    static local_early_exit shallow_deep(float confidence, int exits) { return uniform(confidence, exits); }
    static local_early_exit ensemble(float confidence, int members) { return uniform(confidence, members); }

    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view&, const budget&) noexcept {
        const bool sure = s.exit >= 0 && s.exit < exits && s.confidence >= threshold[static_cast<std::size_t>(s.exit)];
        return sure ? action::answer_with(s.exit) : action::go_on();
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
    /// What the edge makes of an exit's values for it.
    constexpr confidence_kind confidence() const noexcept { return kind; }

private:
    local_early_exit() = default;
    static int checked(int exits) {
        if (exits < 1 || exits > max_exits)
            throw option_error("policy local_early_exit: expected 1 to " + std::to_string(max_exits) + " exits, found "
                               + (exits > max_exits ? "more" : std::to_string(exits)));
        return exits;
    }
    static local_early_exit uniform(float confidence, int exits) {
        if (!(confidence >= 0))
            throw option_error("policy local_early_exit: expected a confidence of at least 0, found " + splitdsl::detail::number_text(confidence));
        local_early_exit p;
        p.exits = checked(exits);
        p.threshold.fill(confidence);
        return p;
    }

    int exits{};
    confidence_kind kind{confidence_kind::top1};
    std::array<float, max_exits> threshold{};
};
static_assert(scheduler_policy<local_early_exit> && falls_back_v<local_early_exit>);

} // namespace splitdsl::policy
