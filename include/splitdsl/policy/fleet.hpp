// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet.hpp
/// FLEET: features leave behind each stage while the device computes on, and a sure answer of the cloud stops it.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/graph/limits.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace splitdsl::policy {

inline constexpr int max_streams = 32; ///< of one network
/// A threshold that no confidence reaches.
inline constexpr float never_sure = 2;

struct fleet_options {
    int streams{};
    std::array<std::int8_t, max_stages> stream_behind{}; ///< stage -> the stream that its end begins, or -1
    /// Sizes of a stream to send, smallest first; 0: the stream is not sent.
    std::array<std::int8_t, max_streams> levels{};
    /// An answer of the cloud for a stream (its exit) counts from this confidence on. Calibrated on a validation set.
    std::array<float, max_streams> threshold{};
    /// Beyond the paper: exits on the device, where the network has them, answer from this confidence on.
    float local_threshold{never_sure};
};

/// The same number of levels and the same threshold for `streams` streams, stream k behind stage k.
constexpr fleet_options fleet_plan(int streams, int levels, float threshold) {
    fleet_options o{.streams = streams};
    o.stream_behind.fill(-1);
    for (int k = 0; k < streams && k < max_streams; ++k) {
        o.stream_behind[static_cast<std::size_t>(k)] = static_cast<std::int8_t>(k);
        o.levels[static_cast<std::size_t>(k)] = static_cast<std::int8_t>(levels);
        o.threshold[static_cast<std::size_t>(k)] = threshold;
    }
    return o;
}

/// How many sizes of a stream fit into `most` bytes; `level_bytes` are cumulative and grow. For Eq. 1: `radio::largest_feature` gives
/// `most`.
constexpr int levels_within(std::span<const std::int64_t> level_bytes, std::int64_t most) {
    int n = 0;
    for (const std::int64_t b : level_bytes) {
        if (b > most) break;
        ++n;
    }
    return n;
}

/// FLEET's device (section 3): at each stage's end it begins the stage's stream, from the smallest size to the largest, and computes on.
/// The stream before is thereby dropped as far as it is unsent ("discard the previous unsent features"). Radio settings and losses need not
/// be known: whatever prefix arrives is used. An answer of the cloud ends the frame if it is sure enough; otherwise the trunk's own does.
///
/// The threshold is reached at equality (the paper: "larger than"). O(1) per decision. Refused by the constructor (option_error): counts
/// out of range, a stage whose stream does not exist, a threshold that is not a number of at least 0.
///
/// ```cpp body
/// policy::fleet p{policy::fleet_plan(8, 6, 0.7F)};     // 8 streams of 6 sizes
/// ```
class fleet {
public:
    static constexpr bool streams = true; ///< the live runtime has code for streams only where a policy says so

    explicit fleet(const fleet_options& o) : options(o) {
        const auto refuse = [](const std::string& expected, const std::string& found) {
            throw option_error("policy fleet: expected " + expected + ", found " + found);
        };
        if (o.streams < 0 || o.streams > max_streams) refuse("0 to " + std::to_string(max_streams) + " streams", std::to_string(o.streams));
        for (const int s : o.stream_behind)
            if (s < -1 || s >= o.streams) refuse("streams -1 to " + std::to_string(o.streams - 1) + " behind a stage", std::to_string(s));
        for (int k = 0; k < o.streams; ++k) {
            if (o.levels[index(k)] < 0) refuse("0 or more levels of a stream", std::to_string(o.levels[index(k)]));
            if (!(o.threshold[index(k)] >= 0)) refuse("a threshold of at least 0", splitdsl::detail::number_text(o.threshold[index(k)]));
        }
        if (!(o.local_threshold >= 0)) refuse("a local threshold of at least 0", splitdsl::detail::number_text(o.local_threshold));
    }

    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view& link, const budget&) noexcept {
        if (s.exit >= 0 && s.confidence >= options.local_threshold) return action::answer_with(s.exit);
        const int stream = s.stage >= 0 && s.stage < max_stages ? options.stream_behind[index(s.stage)] : -1;
        if (stream < 0 || !link.up || options.levels[index(stream)] == 0) return action::go_on();
        return {.what = action::kind::stream, .stream = stream, .level = options.levels[index(stream)] - 1};
    }
    constexpr verdict on(reply_arrived r, const link_view&, const budget&) noexcept {
        const bool known = r.exit >= 0 && r.exit < options.streams;
        return known && r.confidence >= options.threshold[index(r.exit)] ? verdict::accept : verdict::keep_going;
    }
    constexpr action on(link_event e, const link_view&, const budget&) noexcept {
        return e.what == link_event::kind::down ? action{.what = action::kind::stop} : action::nothing();
    }

    const fleet_options& plan() const { return options; }

private:
    static constexpr std::size_t index(int i) { return static_cast<std::size_t>(i); }
    fleet_options options;
};
static_assert(scheduler_policy<fleet> && falls_back_v<fleet>);

} // namespace splitdsl::policy
