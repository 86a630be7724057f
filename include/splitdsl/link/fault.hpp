// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fault.hpp
/// What can go wrong with a link and when, as data: one script for the virtual link and the relay.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/printable.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/units.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace splitdsl::link {

enum class fault_kind : std::uint8_t {
    loss,          ///< parameter: probability that a message vanishes
    burst,         ///< parameter: share of messages that vanish, eight in a row on average (Gilbert's model)
    delay_step,    ///< parameter: seconds added one way
    jitter,        ///< parameter: up to so many seconds added, uniform; order is kept
    rate_collapse, ///< parameter: factor on the rate, from 0 to 1
    blackhole,     ///< whatever is on its way or sent meanwhile vanishes
    stall,         ///< nothing moves; at the end it goes on where it stopped, as TCP does after a blackout
    reset,         ///< connections are reset at the start, new ones refused until the end
    half_open,     ///< the other side is gone without a word; after the end, the first use is answered with a reset
    reorder,       ///< parameter: seconds by which every second message, on average, is held back and overtaken
    duplicate,     ///< parameter: probability that a message arrives twice
    corruption,    ///< parameter: probability that a message (relay: a chunk) has a flipped bit
    slow_drip      ///< parameter: bytes a second, whatever the rate is otherwise
};
inline constexpr int fault_kinds = 13;

enum class direction : std::uint8_t { up, down, both };

/// One fault in [start, end), measured from the link's own start.
struct fault {
    fault_kind kind{};
    duration start{};
    duration end{};
    double parameter{};
    direction toward{direction::both};

    constexpr bool active(duration t) const { return t >= start && t < end; }
    constexpr bool concerns(direction d) const { return toward == direction::both || d == direction::both || toward == d; }
};

constexpr const char* name_of(fault_kind kind) {
    constexpr const char* names[fault_kinds]{"loss",  "burst",     "delay_step", "jitter",    "rate_collapse", "blackhole", "stall",
                                             "reset", "half_open", "reorder",    "duplicate", "corruption",    "slow_drip"};
    return names[static_cast<int>(kind)];
}

/// A byte stream has no messages to lose, reorder or repeat: the relay refuses those kinds.
constexpr bool shows_on_a_byte_stream(fault_kind kind) {
    return kind != fault_kind::loss && kind != fault_kind::burst && kind != fault_kind::reorder && kind != fault_kind::duplicate;
}

/// Those that do nothing at 0: how much longer, how often. A rate that collapses does so entirely.
constexpr bool needs_parameter(fault_kind kind) {
    return kind == fault_kind::loss || kind == fault_kind::burst || kind == fault_kind::delay_step || kind == fault_kind::jitter || kind == fault_kind::reorder
           || kind == fault_kind::duplicate || kind == fault_kind::corruption;
}

/// `option_error` for times or parameters out of range.
inline void require_valid(const fault& f) {
    const std::string who = std::string{"fault "} + name_of(f.kind);
    if (f.start < duration{0} || f.end <= f.start)
        throw option_error(who + ": expected 0 <= start < end, found start " + splitdsl::detail::number_text(to_seconds(f.start)) + " s, end "
                           + splitdsl::detail::number_text(to_seconds(f.end)) + " s");
    double lowest = 0;
    double highest = 1;
    switch (f.kind) {
    case fault_kind::burst: highest = 0.85; break;
    case fault_kind::delay_step:
    case fault_kind::jitter:
    case fault_kind::reorder: highest = 3600; break;
    case fault_kind::slow_drip:
        lowest = 0.1;
        highest = 1e9;
        break;
    default: break;
    }
    if (!(f.parameter >= lowest && f.parameter <= highest))
        throw option_error(who + ": expected a parameter from " + splitdsl::detail::number_text(lowest) + " to " + splitdsl::detail::number_text(highest) + ", found "
                           + splitdsl::detail::number_text(f.parameter));
}

inline void require_valid(std::span<const fault> script) {
    if (script.size() > 64) throw option_error("fault script: expected at most 64 faults, found " + std::to_string(script.size()));
    for (const fault& f : script) require_valid(f);
}

/// Reads "kind:start:length[:parameter[:up|down|both]]", times in seconds. `option_error` names what does not fit, a parameter that is missing too.
///
/// ```cpp body
/// const auto f = splitdsl::link::parse_fault("rate_collapse:20:5:0.1:up");
/// ```
inline fault parse_fault(std::string_view text) {
    const std::string shown = "fault " + splitdsl::detail::quoted(text, 80);
    std::string_view rest = text;
    bool more = true;
    const auto next = [&](const char* what) {
        if (!more) throw option_error(shown + ": expected kind:start:length[:parameter[:direction]], found no " + what);
        const auto colon = rest.find(':');
        more = colon != std::string_view::npos;
        return std::exchange(rest, more ? rest.substr(colon + 1) : std::string_view{}).substr(0, colon);
    };
    const auto number = [&](const char* what) {
        const std::string_view cell = next(what);
        const auto value = splitdsl::detail::read_number<double>(cell);
        if (!value || std::abs(*value) > 1e9) throw option_error(shown + ": expected a number of at most 1000000000 as " + what + ", found " + splitdsl::detail::quoted(cell, 40));
        return *value;
    };

    fault f{};
    const std::string_view kind = next("kind");
    int index = 0;
    while (index < fault_kinds && kind != name_of(static_cast<fault_kind>(index))) ++index;
    if (index == fault_kinds) {
        std::string all;
        for (int i = 0; i < fault_kinds; ++i) all += std::string{i > 0 ? ", " : ""} + name_of(static_cast<fault_kind>(i));
        throw option_error(shown + ": expected one of " + all);
    }
    f.kind = static_cast<fault_kind>(index);
    f.start = from_seconds(number("start"));
    f.end = f.start + from_seconds(number("length"));
    if (more) f.parameter = number("parameter");
    else if (needs_parameter(f.kind)) throw option_error(shown + ": expected a parameter, without which " + name_of(f.kind) + " does nothing");
    if (more) {
        const std::string_view way = next("direction");
        if (way == "up")
            f.toward = direction::up;
        else if (way == "down")
            f.toward = direction::down;
        else if (way != "both")
            throw option_error(shown + ": expected up, down or both, found \"" + std::string{way.substr(0, 40)} + "\"");
    }
    if (more) throw option_error(shown + ": expected at most five parts, found more");
    require_valid(f);
    return f;
}

} // namespace splitdsl::link
