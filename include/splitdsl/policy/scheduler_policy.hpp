// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file scheduler_policy.hpp
/// The one concept every offloading strategy satisfies, and the values that flow in and out of it.
#pragma once

#include <splitdsl/energy/idle_scope.hpp>
#include <splitdsl/radio/power.hpp>
#include <splitdsl/units.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace splitdsl {

inline constexpr int max_cuts = 16;   ///< candidate cuts (payload groups) of one network

/// What one candidate cut costs. Cuts and stages are numbered apart: an early exit ends a stage as a cut does.
struct cut_cost {
    bytes payload{};            ///< on the wire, header included (a maximum for variable codecs)
    duration edge_head{};       ///< frame start to the cut, on the edge
    duration edge_tail{};       ///< from the cut to the answer, on the edge
    duration cloud_tail{};      ///< from the cut to the answer, on the cloud
    joules head_energy{};       ///< of `edge_head`
    joules tail_energy{};       ///< of `edge_tail`
};

/// What a policy knows before the first frame: costs of every cut, the radio, the idle rule. Trivially copyable.
struct deployment {
    int cuts{};
    cut_cost cut[max_cuts]{};
    duration edge_total{};      ///< the whole network on the edge
    joules edge_energy{};       ///< of `edge_total`
    bytes input{};              ///< the whole input on the wire, as all_cloud sends it
    duration cloud_total{};     ///< the whole network on the cloud
    bytes reply{};              ///< an answer on the wire, header included
    watts idle_power{};
    radio_power radio{};
    idle_scope idle{idle_scope::transmit_and_wait};
    duration deadline{};        ///< of every frame, from its start
};

/// The link as measured so far.
struct link_view {
    bool up{};                      ///< connected, handshake done, breaker closed
    bool busy{};                    ///< an earlier frame still occupies the sender
    bits_per_second rate_up{};      ///< effective data rate by the peer's receive times (SAGE-18)
    bits_per_second rate_down{};    ///< 0: not measured yet (policy::known_downlink)
    duration rtt{};
    duration age{};                 ///< since the older of uplink rate and round trip was measured; the longest duration while one never was
    int server{};                   ///< which of several servers it leads to (runtime/servers.hpp)
};

/// What is left of this frame.
struct budget {
    instant now{};
    instant deadline{};
    duration reserve{};             ///< kept free for the local tail: twice its p99, once where twice is too long, or nothing where that is
    constexpr duration left() const { return deadline - now; }
    /// How long an answer may be awaited before the local tail has to begin; as long as there is, if no local tail can be in time.
    constexpr duration for_reply() const { return reserve <= left() ? left() - reserve : left(); }
};

struct frame_start { std::uint32_t frame{}; };
/// A stage ended: at candidate cut `cut`, where `offload_at(cut)` is possible now, or at none (-1). Of a network with streams and no cuts, a
/// stage with a stream behind it is such a cut, by the stage's number. `exit` is the index of an early exit answered in this stage, or -1;
/// confidence in [0, 1].
struct stage_done { std::uint32_t frame{}; int stage{}; int cut{-1}; int exit{-1}; float confidence{}; };
/// A valid reply arrived for the running frame.
struct reply_arrived { std::uint32_t frame{}; int exit{-1}; float confidence{1}; duration since_offload{}; };
struct link_event {
    enum class kind : std::uint8_t { up, down, timer, acknowledged, stop_acknowledged };
    kind what{};
    std::uint32_t frame{};
    int stream{-1};
    int level{-1};                  ///< progressive level whose delivery was acknowledged
};

/// Why a policy that may offload stays here this time: what `action::go_on` says, where it says anything. Counted in `frame_counters::stayed`.
enum class stay_reason : std::uint8_t {
    none,         ///< nothing to say: this is no place to offload, or the policy gives no reasons
    link_down,    ///< not connected, or silent
    breaker_open, ///< the runtime's own word where a policy says `link_down`: connected, but offloads kept failing
    link_busy,    ///< an earlier frame still occupies the sender
    no_rate,      ///< the uplink was never measured
    stale,        ///< the measured rate is too old
    no_time,      ///< no rate would do: round trip, cloud and reserve leave no time to send the payload in
    rate_too_low, ///< a higher rate would do
    no_saving     ///< in time, but staying costs less
};
constexpr const char* to_text(stay_reason r) {
    switch (r) {
    case stay_reason::link_down: return "link down";
    case stay_reason::breaker_open: return "breaker open";
    case stay_reason::link_busy: return "link busy";
    case stay_reason::no_rate: return "no rate yet";
    case stay_reason::stale: return "rate too old";
    case stay_reason::no_time: return "no time left beside the reserve";
    case stay_reason::rate_too_low: return "rate too low";
    case stay_reason::no_saving: return "nothing saved";
    case stay_reason::none: break;
    }
    return "none";
}

struct action {
    enum class kind : std::uint8_t {
        proceed,        ///< run the next stage here
        offload,        ///< send the payload of `cut` (-1: the whole input), wait for the reply
        stream,         ///< start sending `stream` beside the trunk, then run the next stage
        answer,         ///< answer with early exit `exit`
        none,           ///< nothing to do for this event
        send_next,      ///< send `level` of `stream`
        stop            ///< stop sending this frame's streams
    };
    kind what{kind::proceed};
    int cut{-1};
    int codec{-1};                  ///< an index among the codecs the cut's type allows; -1: its first
    int stream{-1};
    int exit{-1};
    int level{-1};                  ///< stream: sizes 0..level in order (-1: the first); offload: widths 0..level, an answer each (-1: one payload)
    int channels{-1};
    stay_reason why{};              ///< proceed: why it is no offload

    static constexpr action go_on(stay_reason reason = stay_reason::none) { return {.why = reason}; }
    static constexpr action offload_at(int cut_index, int codec_index = -1) { return {.what = kind::offload, .cut = cut_index, .codec = codec_index}; }
    static constexpr action answer_with(int exit_index) { return {.what = kind::answer, .exit = exit_index}; }
    static constexpr action stream_out(int stream_index, int codec_index = -1) { return {.what = kind::stream, .codec = codec_index, .stream = stream_index}; }
    static constexpr action nothing() { return {.what = kind::none}; }
};

/// What becomes of a reply that arrived for the running frame.
enum class verdict : std::uint8_t {
    accept,         ///< it is the frame's answer
    keep_going      ///< not sure enough: the frame goes on as if it had not come, and takes the next
};

/// A strategy: a deterministic, copyable state machine. It reads no clock, sends nothing, never sleeps, never allocates;
/// time and link state come in as values, so the live runtime and the simulator drive the very same object.
///
/// ```cpp body
/// struct always_local {
///     constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
///     constexpr action on(stage_done, const link_view&, const budget&) noexcept { return action::go_on(); }
///     constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
///     constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
/// };
/// ```
template <class P>
concept scheduler_policy =
    std::copyable<P> && requires(P policy, frame_start start, stage_done done, reply_arrived reply, link_event event, const link_view& link, const budget& left) {
        { policy.on(start, link, left) } noexcept -> std::same_as<action>;
        { policy.on(done, link, left) } noexcept -> std::same_as<action>;
        { policy.on(reply, link, left) } noexcept -> std::same_as<verdict>;
        { policy.on(event, link, left) } noexcept -> std::same_as<action>;
    };

/// Optional trait: a baseline that has no local fallback (all_cloud) says so; the runtime then only holds the last answer.
template <class P>
inline constexpr bool falls_back_v = [] {
    if constexpr (requires { P::falls_back; }) return static_cast<bool>(P::falls_back);
    else return true;
}();

} // namespace splitdsl
