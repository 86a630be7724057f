// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file contestant.hpp
/// The policies that can be shown, each with the network it runs, what it may send, and its frames.
#pragma once

#include "input_codec.hpp"

#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/policy/fleet_by_benefit.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/one_of.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/runtime/answer.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace visual_wake {

/// One type for all, so that edge and simulator are compiled once.
using any_policy = splitdsl::policy::one_of<splitdsl::policy::all_edge, splitdsl::policy::fleet, splitdsl::policy::fleet_by_benefit,
                                            splitdsl::policy::local_early_exit, splitdsl::policy::neurosurgeon, splitdsl::policy::clio,
                                            splitdsl::policy::offload_input, splitdsl::policy::cascade>;

enum class kind_of_policy { all_edge, fleet, by_benefit, branchynet, shallow_deep, ensemble, neurosurgeon, clio, cascade, input };

/// What `--policy` names.
struct policy_choice {
    const char* key;
    const char* name;
    kind_of_policy kind;
    std::size_t net;          ///< among `networks`
    std::array<int, 6> exits; ///< of the device that answer, by their place among six; 0: not used
    int encoding{-1};         ///< of the input that it may send
    bool streams() const {
        return kind == kind_of_policy::fleet || kind == kind_of_policy::by_benefit || kind == kind_of_policy::neurosurgeon || kind == kind_of_policy::clio;
    }
    bool sends() const { return streams() || encoding >= 0; }
    /// The network's last stream stands for a cut's payload, its sizes or widths for the payload's.
    bool cuts() const { return kind == kind_of_policy::neurosurgeon || kind == kind_of_policy::clio; }
};
inline constexpr std::array<int, 6> no_exits{}, all_exits{1, 1, 1, 1, 1, 1};
/// A partition's only cut is behind the fourth layer; a cascade's small network ends there.
inline constexpr std::array policy_choices{
    policy_choice{"fleet", "FLEET", kind_of_policy::fleet, narrow, no_exits},
    policy_choice{"fleet_wide", "FLEET, streams of 16 channels", kind_of_policy::fleet, wide, no_exits},
    policy_choice{"fleet_by_benefit", "FLEET by benefit", kind_of_policy::by_benefit, narrow, all_exits},
    policy_choice{"improved", "by benefit, streams of 16 channels", kind_of_policy::by_benefit, wide, all_exits},
    policy_choice{"local_early_exit", "exits on the device alone", kind_of_policy::shallow_deep, narrow, all_exits},
    policy_choice{"branchynet", "the same exits by entropy", kind_of_policy::branchynet, narrow, all_exits},
    policy_choice{"shallow_deep", "Shallow-Deep's exits", kind_of_policy::shallow_deep, wide, all_exits},
    policy_choice{"ensemble", "an ensemble of three", kind_of_policy::ensemble, narrow, {0, 1, 0, 1, 0, 1}},
    policy_choice{"neurosurgeon", "NeuroSurgeon, sizes adapted", kind_of_policy::neurosurgeon, wide, no_exits},
    policy_choice{"clio", "CLIO, progressive widths", kind_of_policy::clio, by_width, no_exits},
    policy_choice{"cascade", "cascade, then JPEG 75", kind_of_policy::cascade, narrow, {0, 0, 0, 1, 0, 0}, 1},
    policy_choice{"jpeg25", "JPEG 25 to the cloud", kind_of_policy::input, narrow, no_exits, 0},
    policy_choice{"jpeg75", "JPEG 75 to the cloud", kind_of_policy::input, narrow, no_exits, 1},
    policy_choice{"raw", "pictures to the cloud as they are", kind_of_policy::input, narrow, no_exits, raw_encoding},
    policy_choice{"all_edge", "no exits, no cloud", kind_of_policy::all_edge, narrow, no_exits}};

inline const policy_choice* find_policy(std::string_view key) {
    for (const policy_choice& p : policy_choices)
        if (key == p.key) return &p;
    return nullptr;
}

struct frame_record {
    std::size_t picture{};
    splitdsl::answer_source source{};
    int exit{-1}; ///< the device's, or the stream that the cloud answered
    int predicted{};
    double latency_ms{};
    double start_ms{};           ///< since the radio's first event; or since the first frame
    std::size_t bytes_up{};
    double arriving{1};          ///< share of packets, as the policy sees it when the frame begins
    std::size_t streams{};       ///< begun
    std::size_t packets{};       ///< of them sent
    int here{-1}, before{-1};    ///< sizes (or widths) of the stream that the cloud answered and of the one before, complete when it did
    bool on_time{}, host_stall{};
    bool robbed{};               ///< a hypervisor took processor time meanwhile
    std::array<float, classes> values{};
    bool differs{}; ///< an own answer that the network in one piece does not give
};

/// A frame as the simulator would have it.
struct simulated_frame {
    splitdsl::answer_source source{};
    int exit{-1};
    double latency_ms{};
    std::int64_t bytes_up{};
    double arriving{1};
};

/// What a cloud counted until its end.
struct cloud_tally {
    unsigned long long frames{}, predictions{}, replies{}, unsure{}, stopped{};
};

/// One policy's frames.
struct contestant {
    const policy_choice* what{};
    std::string key{}, name{};
    double threshold{};       ///< of the cloud's answers, or of the exits if there are no others; NaN: learnt, or none
    bool reached{true};       ///< the accuracy that was asked for, where the thresholds were chosen
    double cloud_threshold{}; ///< the cloud keeps answers to itself that are less sure
    std::optional<any_policy> policy{};
    std::vector<frame_record> frames{};
    std::vector<simulated_frame> simulated{}; ///< of the same frames; empty: not asked for
    std::optional<cloud_tally> cloud{};
    int compared{};
    bool lost{}; ///< the connection that there was at the first frame was gone after the last one
};

} // namespace visual_wake
