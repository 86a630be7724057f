// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file check.hpp
/// `check<Network>`: every diagnosis, one sentence at a time; and the numbers a declaration promises.
#pragma once

#include <splitdsl/graph/fingerprint.hpp>
#include <splitdsl/graph/memory.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace splitdsl {

/// An upper limit a network declares for itself: `static constexpr auto limits() { return std::array{payload_at_most("uplink", 4'096)}; }`.
struct limit {
    enum class of : std::uint8_t { payload, arena, macs };
    of what{};
    text name{};                ///< a cut, or a place
    std::int64_t at_most{};
};
constexpr limit payload_at_most(text cut_name, std::int64_t at_most) { return {limit::of::payload, cut_name, at_most}; }  ///< SD306
constexpr limit arena_at_most(text place, std::int64_t at_most) { return {limit::of::arena, place, at_most}; }            ///< SD307
constexpr limit macs_at_most(text place, std::int64_t macs) { return {limit::of::macs, place, macs}; }                ///< SD308

namespace detail {

template <class Network>
constexpr int cut_index(text name) {
    for (int k = 0; k < cuts_of<Network>.count; ++k)
        if (cuts_of<Network>.groups[static_cast<std::size_t>(k)].name == name) return k;
    return -1;
}
template <class Network>
constexpr int place_index(text name) {
    for (int k = 0; k < resolved_of<Network>.place_count; ++k)
        if (resolved_of<Network>.places[static_cast<std::size_t>(k)] == name) return k;
    return -1;
}

/// What a question asks for by name.
enum class named_thing : std::uint8_t { cut, place };

template <class Network, named_thing What, int I>
inline constexpr text known_name = What == named_thing::cut ? cuts_of<Network>.groups[static_cast<std::size_t>(I)].name : resolved_of<Network>.places[static_cast<std::size_t>(I)];

template <class Network, named_thing What, int... I>
constexpr void refuse_asked(text name, std::integer_sequence<int, I...>) {
    refuse_name<spelled<known_name<Network, What, I>.size()>(known_name<Network, What, I>)...>(name, known_name<Network, What, I>.data()...);
}
/// Number of the cut or place a question names; a name there is not is refused (SD315). -1 if the network itself was refused.
template <class Network, named_thing What>
constexpr int asked(text name) {
    constexpr diagnosis why = cuts_of<Network>.why;
    static_assert(sizeof(diagnose<Network, why.what, at_op<why.op>, expected<why.expected>, found<why.found>>) > 0);
    if constexpr (!declares_a_graph<Network> || why.what != code::fine) return -1;
    constexpr int count = What == named_thing::cut ? cuts_of<Network>.count : resolved_of<Network>.place_count;
    const int k = What == named_thing::cut ? cut_index<Network>(name) : place_index<Network>(name);
    if (k < 0) refuse_asked<Network, What>(name, std::make_integer_sequence<int, count>());
    return k;
}

template <class Network>
constexpr std::int64_t macs_at(int place) {
    std::int64_t n = 0;
    const auto& r = resolved_of<Network>;
    for (std::size_t i = 0; i < graph_of<Network>.ops.size(); ++i)
        if (place < 0 || r.place[i] == place) n += r.used[i] ? shaped_of<Network>.macs[i] : 0;
    return n;
}
/// Working memory of the steps at one place (-1: everywhere): the end of the last buffer they touch.
template <class Network, int Lanes>
constexpr std::int64_t arena_at(int place) {
    const auto& l = steps_of<Network>;
    const auto& m = memory_of<Network, Lanes>;
    if (place < 0) return m.arena;
    std::int64_t n = 0;
    for (int s = 0; s < l.count; ++s) {
        const graph::step& t = l.steps[static_cast<std::size_t>(s)];
        if (t.op < 0 || resolved_of<Network>.place[static_cast<std::size_t>(t.op)] != place) continue;
        for (const int b : {t.kind == graph::step_kind::branch ? -1 : t.in, t.in2, t.addend, t.out, t.scratch}) {
            if (b < 0) continue;
            const auto at = static_cast<std::size_t>(b);
            const std::int64_t end = m.offset[at] + graph::room_of(l.buffers[at], chains_of<Network>.window[at], Lanes);
            if (end > n) n = end;
        }
    }
    return n;
}
template <class Network>
constexpr std::int64_t widest_arena_at(int place) {
    std::int64_t n = arena_at<Network, 4>(place);
    for (const std::int64_t m : {arena_at<Network, 8>(place), arena_at<Network, 16>(place)}) n = m > n ? m : n;
    return n;
}

/// Budgets that are declared, that are declared under a name near it, and that can be read.
struct with_limits {
    int limits;
};
template <class Network>
struct and_limits : Network, with_limits {};
/// A member of that name, private ones too: beside another it is ambiguous.
template <class Network>
inline constexpr bool has_limits = [] {
    if constexpr (std::is_class_v<Network> && !std::is_final_v<Network>) return !requires { &and_limits<Network>::limits; };
    else return requires { Network::limits; } || requires { &Network::limits; }; // the second: of a member that is not static
}();
template <class Network>
inline constexpr bool has_limit = requires { Network::limit().at_most; } || requires { std::begin(Network::limit())->at_most; };
template <class Network>
inline constexpr bool reads_limits = requires {
    typename std::bool_constant<(Network::limits(), true)>;
    { *std::begin(Network::limits()) } -> std::convertible_to<const limit&>;
};

template <class Network>
constexpr diagnosis diagnose_limits() {
    const auto& why = cuts_of<Network>.why;
    if (why.what != code::fine) return why;
    if constexpr (!declares_a_graph<Network>) return {};    // SD105 was said
    else if constexpr (has_limit<Network> || (has_limits<Network> && !reads_limits<Network>)) return {code::SD106, -1, 0, 0};
    else if constexpr (has_limits<Network>) {
        int number = 0;
        for (const limit& l : Network::limits()) {
            if (l.what == limit::of::payload) {
                const int k = cut_index<Network>(l.name);
                if (k < 0) return {code::SD311, -1, 0, number};
                const auto& c = cuts_of<Network>.groups[static_cast<std::size_t>(k)];
                if (c.payload > l.at_most) return {code::SD306, c.boundary, l.at_most, c.payload};
            } else {
                const int k = place_index<Network>(l.name);
                if (k < 0) return {code::SD311, -1, 0, number};
                if (l.what == limit::of::macs) {
                    if (macs_at<Network>(k) > l.at_most) return {code::SD308, -1, l.at_most, macs_at<Network>(k)};
                } else if (const std::int64_t n = widest_arena_at<Network>(k); n > l.at_most) {
                    return {code::SD307, -1, l.at_most, n};
                }
            }
            ++number;
        }
    }
    return {};
}

template <class Network>
inline constexpr diagnosis diagnosis_of = diagnose_limits<Network>();

} // namespace detail

/// What is wrong with a network, as a value: `code::fine` if nothing is. For tools and tests; users write `check`.
template <class Network>
inline constexpr diagnosis diagnosis_of = detail::diagnosis_of<Network>;

/// True, or the compiler says in one sentence what is wrong, where and how to repair it (docs/errors.md).
///
/// ```cpp body
/// static_assert(splitdsl::check<lane_keeper>);
/// ```
template <class Network>
inline constexpr bool check = sizeof(detail::diagnose<Network, diagnosis_of<Network>.what, at_op<diagnosis_of<Network>.op>, expected<diagnosis_of<Network>.expected>,
                                                      found<diagnosis_of<Network>.found>>) > 0;

/// Whether a network has a cut, or a place, of that name. The questions below are answered while compiling and refuse a name it does not
/// have (SD315); names that are known at run time only are looked up in `pipeline::cuts`.
template <class Network>
constexpr bool has_cut(text name) { return detail::cut_index<Network>(name) >= 0; }
template <class Network>
constexpr bool has_place(text name) { return detail::place_index<Network>(name) >= 0; }

/// Bytes of a cut's payload group, without the 48-byte wire header.
template <class Network>
consteval std::int64_t payload_bytes(text cut_name) {
    const int k = detail::asked<Network, detail::named_thing::cut>(cut_name);
    return k < 0 ? -1 : cuts_of<Network>.groups[static_cast<std::size_t>(k)].payload;
}
/// Bytes of working memory at a place, the most over 4, 8 and 16 lanes (instruction sets).
template <class Network>
consteval std::int64_t arena_bytes(text place) {
    const int k = detail::asked<Network, detail::named_thing::place>(place);
    return k < 0 ? -1 : detail::widest_arena_at<Network>(k);
}
/// Multiply-accumulates of the whole network, or of one place.
template <class Network>
constexpr std::int64_t macs() { return detail::macs_at<Network>(-1); }
template <class Network>
consteval std::int64_t macs(text place) {
    const int k = detail::asked<Network, detail::named_thing::place>(place);
    return k < 0 ? -1 : detail::macs_at<Network>(k);
}
/// Trained parameters, running statistics of batch norms not counted, shared weights counted once.
template <class Network>
constexpr std::int64_t parameter_count() {
    std::int64_t n = 0;
    const auto& t = parameters_of<Network>;
    for (std::size_t i = 0; i < graph_of<Network>.ops.size(); ++i)
        if (t.owner[i] == static_cast<int>(i))
            n += graph_of<Network>.ops[i].kind == op_kind::batch_norm ? shaped_of<Network>.parameters[i] / 2 : shaped_of<Network>.parameters[i];
    return n;
}
/// Shape of the network's (first) output.
template <class Network>
constexpr shape output_shape() {
    const auto& r = resolved_of<Network>;
    for (std::size_t i = 0; r.tasks > 0 && i < graph_of<Network>.ops.size(); ++i)
        if (const op& o = graph_of<Network>.ops[i]; o.kind == op_kind::output && !has(o.flags, op_flag::is_exit)) return shaped_of<Network>.out[static_cast<std::size_t>(r.a[i])];
    return shaped_of<Network>.out[static_cast<std::size_t>(r.result)];
}
/// Shape of what crosses at a cut (the cut's own tensor).
template <class Network>
consteval shape cut_shape(text cut_name) {
    const int k = detail::asked<Network, detail::named_thing::cut>(cut_name);
    return k < 0 ? shape{} : shaped_of<Network>.out[static_cast<std::size_t>(cuts_of<Network>.groups[static_cast<std::size_t>(k)].items[0].op)];
}

} // namespace splitdsl
