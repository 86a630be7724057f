// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_terms.hpp
/// What both sides of a network's streams must agree on, and which exit answers which stream.
#pragma once

#include <splitdsl/codec/dynamic_pool_packets.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/runtime/stream_ladder.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace splitdsl {

/// What an exit's values are, and what is made of them: largest probability or entropy (policy/confidence.hpp).
struct exit_confidence {
    policy::confidence_kind kind{policy::confidence_kind::top1};
    bool logits{}; ///< the exit ends without softmax()

    float of(std::span<const float> values) const noexcept {
        if (values.empty()) return 0;
        if (logits) return policy::predict(values, kind).confidence;
        float largest = 0;
        double entropy = 0;
        for (const float p : values) {
            if (!std::isfinite(p)) return 0;
            largest = std::max(largest, p);
            if (p > 0) entropy -= static_cast<double>(p) * std::log(static_cast<double>(p));
        }
        if (kind == policy::confidence_kind::top1) return std::min(largest, 1.0F);
        return values.size() < 2 ? 1 : static_cast<float>(std::clamp(1 - entropy / std::log(static_cast<double>(values.size())), 0.0, 1.0));
    }
};

/// A network's streams by number: their ladders, and the exits that read them. The newest stream an exit reads is the one it answers.
/// Refused (option_error): a network without streams of dynamic_pool or widths.
class stream_terms {
public:
    explicit stream_terms(const pipeline& net, pool_options options = {}) : coding{options}, pooling{net.pooling} {
        if (net.stream_count < 1)
            throw option_error(std::string{"streams: expected a network with streams of dynamic_pool or widths, found none in "}
                               + (net.network ? net.network : "it"));
        for (int s = 0; s < net.stream_count; ++s) {
            const stream_info& i = net.streams[s];
            info.push_back(i);
            ladders.push_back(ladder_of(i));
            exit_of.push_back(-1);
        }
        for (int e = 0; e < net.stream_exit_count; ++e) {
            exits.push_back(net.stream_exits[e]);
            if (exits.back().reads != 0) exit_of[static_cast<std::size_t>(std::bit_width(exits.back().reads) - 1)] = e;
        }
    }
    int count() const noexcept { return static_cast<int>(info.size()); }
    /// The exit that answers a stream, or null.
    const stream_exit_info* answering(int stream) const noexcept {
        if (stream < 0 || stream >= count()) return nullptr;
        const int e = exit_of[static_cast<std::size_t>(stream)];
        return e < 0 ? nullptr : &exits[static_cast<std::size_t>(e)];
    }
    /// One more line a stream for the handshake to compare.
    void introduce(link::handshake& me) const {
        for (std::size_t s = 0; s < info.size(); ++s)
            me.cuts.push_back({.name = info[s].name,
                               .codec = terms_of(ladders[s]),
                               .payload_bytes = static_cast<std::uint32_t>(max_pool_bytes(ladders[s], coding.form))});
    }

    /// How a stream grows, for the handshake: sizes in one of two forms, or widths, whose values are the same in both.
    std::string terms_of(const pool_ladder& l) const {
        if (!l.by_width()) return std::string{"dynamic_pool "} + (coding.form == pool_form::lifted ? "lifted" : "means");
        std::string all = "widths";
        for (int i = 0; i < l.levels; ++i) all += std::string(" ") + std::to_string(l.channels(i));
        return all;
    }

    pool_options coding;
    const pool_kernels* pooling; ///< or null
    std::vector<stream_info> info;
    std::vector<pool_ladder> ladders;
    std::vector<stream_exit_info> exits;
    std::vector<int> exit_of;
};

/// FLEET's plan for a network: each stream behind its own stage, in all its sizes. Refused (option_error): as `stream_terms`.
/// ```cpp
/// policy::fleet p{fleet_plan_of(pipeline_of<wake_word>(), 0.7F)};
/// ```
inline policy::fleet_options fleet_plan_of(const pipeline& net, float threshold) {
    const stream_terms terms{net};
    policy::fleet_options o = policy::fleet_plan(terms.count(), 0, threshold);
    o.stream_behind.fill(-1);
    for (int s = 0; s < terms.count(); ++s) {
        o.stream_behind[static_cast<std::size_t>(terms.info[static_cast<std::size_t>(s)].stage)] = static_cast<std::int8_t>(s);
        o.levels[static_cast<std::size_t>(s)] = static_cast<std::int8_t>(terms.ladders[static_cast<std::size_t>(s)].levels);
    }
    return o;
}

} // namespace splitdsl
