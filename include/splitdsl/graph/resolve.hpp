// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resolve.hpp
/// First pass: who reads whom, where each op runs, and which name its weights have.
#pragma once

#include <splitdsl/check/codes.hpp>
#include <splitdsl/lang/op.hpp>

#include <type_traits>

namespace splitdsl {

inline constexpr int max_places = 8;
inline constexpr int max_labels = 256;

namespace detail {

template <class T>
inline constexpr bool is_body = false;
template <std::size_t Ops, std::size_t Scopes>
inline constexpr bool is_body<body<Ops, Scopes>> = true;
template <class Network>
inline constexpr bool declares_a_graph = requires {
    typename std::bool_constant<(Network::graph(), true)>;
    requires is_body<std::remove_cvref_t<decltype(Network::graph())>>;
};
/// Where the compiler says why.
template <class Network>
struct reason { enum : int { is_constant = (Network::graph(), 0) }; };

template <class Network, bool Declared = declares_a_graph<Network>>
struct declaration {
    static constexpr auto value = Network::graph();
};
/// One sentence and the compiler's reason; then a stand-in in order, so that no later pass complains as well.
template <class Network>
struct declaration<Network, false> {
    static_assert(sizeof(diagnose_graph<Network, false>) > 0);
    static_assert(sizeof(reason<Network>) > 0);
    static constexpr body<1> value = [] {
        op o = beginning(op_kind::input, "x");
        o.size = {1, 1, 1};
        return single(o);
    }();
};

} // namespace detail

/// A network's declaration, evaluated once. Every pass has a constexpr variable of its own: clang counts steps per evaluation.
template <class Network>
inline constexpr auto graph_of = detail::declaration<Network>::value;

namespace graph {

/// The name of a type as the compiler spells it, shortened to its last part.
template <class T>
constexpr text type_name() {
    text t = __PRETTY_FUNCTION__;
    const std::size_t eq = t.find("T = ");
    t = t.substr(eq + 4);
    t = t.substr(0, t.find_first_of(";]"));
    std::size_t begin = 0;
    int inside = 0; // a template's arguments have names of their own
    for (std::size_t i = 0; i < t.size(); ++i) {
        inside += t[i] == '<' ? 1 : t[i] == '>' ? -1 : 0;
        if (inside == 0 && t[i] == ':') begin = i + 1;
    }
    return t.substr(begin);
}

/// Ops that only hand their operand on.
constexpr bool is_alias(op_kind k) { return k == op_kind::identity || k == op_kind::from || k == op_kind::output; }
constexpr bool has_weights(op_kind k) {
    return k == op_kind::conv || k == op_kind::conv_transpose || k == op_kind::dense || k == op_kind::batch_norm ||
           k == op_kind::l2_normalise || k == op_kind::gdn;
}
constexpr bool is_activation(op_kind k) { return k >= op_kind::relu && k <= op_kind::tanh; }

struct label_entry { text name{}; int at{-1}; };

/// Operands as absolute positions of the ops that really compute (aliases resolved), -1 where there is none.
template <std::size_t Ops, std::size_t Scopes>
struct resolved {
    int a[Ops]{}, b[Ops]{};
    int target[Ops]{};          ///< the op whose value this op has (itself, unless it is an alias)
    int readers[Ops]{};         ///< of a target: how many ops read it, outputs included
    int reader[Ops]{};          ///< the last of them
    bool has_bias[Ops]{};
    bool used[Ops]{};           ///< contributes to an output
    int name[Ops]{};            ///< innermost name scope, or -1
    int place[Ops]{};           ///< index into `places`
    int order[Ops]{};           ///< `stage_order` of its stage, -1 outside stages
    int parent[Scopes + 1]{};   ///< the name scope around a name scope, or -1
    std::uint64_t hash[Scopes + 1]{};   ///< of a name scope's full name
    int branch_begin[Ops + 1]{}; ///< indexed by a branch's end: where it begins, or -1
    text places[max_places]{};
    int place_count{};
    int result{};                           ///< target of the trunk's result
    int tasks{};                            ///< output ops that are not exits
    diagnosis why{};
};

constexpr std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
    h ^= v + 0x9E3779B97F4A7C15ULL + (h << 6) + (h >> 2);
    h *= 0xFF51AFD7ED558CCDULL;
    return h ^ (h >> 32);
}
constexpr std::uint64_t mix(std::uint64_t h, text t) {
    for (const char c : t) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    return mix(h, t.size());
}

constexpr bool bad_name(text t) {
    if (t.empty()) return true;
    for (const char c : t)
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return true;
    return false;
}

/// What tables of a compiled network hold with an end behind it (`tensor_info::name`).
inline constexpr std::size_t most_letters = 63;
constexpr bool bad_label(text t) { return t.size() > most_letters || bad_name(t); }

template <std::size_t N, std::size_t S>
constexpr resolved<N, S> resolve(const body<N, S>& g) {
    resolved<N, S> r{};
    const op* const ops = g.ops.data();             // plain pointers: array::operator[] costs clang's evaluator steps
    const scope* const scopes = g.scopes.data();
    auto fail = [&](code c, int at, std::int64_t want, std::int64_t got) {
        if (r.why.what == code::fine) r.why = {c, at, want, got};
    };
    for (std::size_t i = 0; i < N; ++i) {
        r.name[i] = -1;
        r.place[i] = -1;
        r.order[i] = -1;
        r.reader[i] = -1;
        r.branch_begin[i] = -1;
    }
    r.branch_begin[N] = -1;

    // Scopes: a post-order list is a tree; a stack of roots finds each one's parent.
    int roots[S + 1]{};
    std::size_t root_count = 0;
    bool in_bottleneck[N]{};
    int branch_around[N]{};     // the innermost branch of a select, its scope's number + 1
    for (std::size_t s = 0; s < S; ++s) {
        const scope& c = scopes[s];
        if (c.kind == scope_kind::name) {
            if (c.index < 0 && bad_name(c.name)) fail(code::SD104, c.begin, 0, 0);
            while (root_count > 0 && scopes[static_cast<std::size_t>(roots[root_count - 1])].begin >= c.begin)
                r.parent[static_cast<std::size_t>(roots[--root_count])] = static_cast<int>(s);
            roots[root_count++] = static_cast<int>(s);
            r.parent[s] = -1;
            for (int i = c.begin; i < c.end; ++i)
                if (int& n = r.name[static_cast<std::size_t>(i)]; n < 0) n = static_cast<int>(s);
        } else if (c.kind == scope_kind::place) {
            int p = 0;
            while (p < r.place_count && r.places[static_cast<std::size_t>(p)] != c.name) ++p;
            if (p == r.place_count) {
                if (p == max_places) {
                    fail(code::SD313, c.begin, max_places, max_places + 1);
                    return r;
                }
                r.places[static_cast<std::size_t>(r.place_count++)] = c.name;
            }
            if (bad_name(c.name)) fail(code::SD104, c.begin, 0, 0);
            for (int i = c.begin; i < c.end; ++i) {
                const std::size_t k = static_cast<std::size_t>(i);
                if (r.place[k] < 0) r.place[k] = p, r.order[k] = c.index;
                else if (r.place[k] != p && r.order[k] >= 0) fail(code::SD322, i, p, r.place[k]);
            }
        } else if (c.kind == scope_kind::fan) {
            if (bad_label(c.name)) fail(code::SD104, c.begin, 0, 0); // its payload group's name
        } else if (c.kind == scope_kind::bottleneck) {
            for (int i = c.begin; i < c.end; ++i) in_bottleneck[static_cast<std::size_t>(i)] = true;
        } else if (c.kind == scope_kind::branch) {
            r.branch_begin[static_cast<std::size_t>(c.end)] = c.begin;
            for (int i = c.begin; i < c.end; ++i)
                if (int& around = branch_around[static_cast<std::size_t>(i)]; around == 0) around = static_cast<int>(s) + 1;
        }
    }
    for (std::size_t s = S; s-- > 0;) {
        const scope& c = scopes[s];
        if (c.kind != scope_kind::name) continue;
        std::uint64_t h = r.parent[s] < 0 ? 0xCBF29CE484222325ULL : r.hash[static_cast<std::size_t>(r.parent[s])];
        h = c.index < 0 ? mix(h, c.name) : mix(h, static_cast<std::uint64_t>(c.index) + 1000);
        r.hash[s] = h;
    }
    if (r.place_count == 0) r.places[static_cast<std::size_t>(r.place_count++)] = "local";

    // Places: an op outside every stage runs where the next stage runs, an encoder where the stage before runs.
    int next = -1;
    int following[N]{};
    for (std::size_t i = N; i-- > 0;) {
        if (r.place[i] >= 0) next = r.place[i];
        following[i] = next;
    }
    int before = -1;
    for (std::size_t i = 0; i < N; ++i) {
        if (r.place[i] >= 0) before = r.place[i];
        else if (in_bottleneck[i] && before >= 0) r.place[i] = before;
        else r.place[i] = following[i] >= 0 ? following[i] : (before >= 0 ? before : 0);
    }
    const int source = N > 0 ? r.place[0] : 0;

    // Operands.
    label_entry labels[max_labels]{};
    std::size_t label_count = 0;
    int branches[N]{};          // of a command's selects
    for (std::size_t i = 0; i < N; ++i) {
        const op& o = ops[i];
        const int here = static_cast<int>(i);
        r.a[i] = o.a == 0 || here - o.a < 0 ? -1 : r.target[static_cast<std::size_t>(here - o.a)];
        r.b[i] = o.b == 0 || here - o.b < 0 ? -1 : r.target[static_cast<std::size_t>(here - o.b)];
        r.target[i] = here;
        if (o.kind == op_kind::from) {
            std::size_t l = 0;
            while (l < label_count && labels[l].name != o.label) ++l;
            if (l == label_count) fail(code::SD304, here, 0, 0);
            else r.a[i] = labels[l].at;
        } else if (!o.label.empty()) {
            std::size_t l = 0;
            while (l < label_count && labels[l].name != o.label) ++l;
            if (bad_label(o.label)) fail(code::SD104, here, 0, 0);
            if (l == label_count) {
                if (label_count == max_labels) {
                    fail(code::SD313, here, max_labels, max_labels + 1);
                    return r;
                }
                labels[label_count++] = {o.label, is_alias(o.kind) ? r.a[i] : here};
            } else {
                const op& first = ops[static_cast<std::size_t>(labels[l].at < 0 ? 0 : labels[l].at)];
                if (o.kind != op_kind::input || first.kind != op_kind::input) fail(code::SD103, here, labels[l].at, here);
                else if (!(first.size == o.size) || first.element != o.element || has(first.flags, op_flag::is_hwc) != has(o.flags, op_flag::is_hwc)) fail(code::SD216, here, first.size.size(), o.size.size());
                r.target[i] = labels[l].at;
            }
        } else if (o.kind == op_kind::input || o.kind == op_kind::quantise || o.kind == op_kind::output) {
            fail(code::SD104, here, 0, 0);
        }
        if (o.kind == op_kind::input) r.place[i] = source;
        else if (r.a[i] < 0 && o.kind != op_kind::sizes) fail(code::SD301, here, 0, 0);
        if (is_alias(o.kind)) r.target[i] = r.a[i] < 0 ? here : r.a[i];
        if (has_weights(o.kind) && r.name[i] < 0) fail(code::SD101, here, 0, 0);
        if (o.kind == op_kind::output && !has(o.flags, op_flag::is_exit)) ++r.tasks;
        // A branch that does not run makes nothing for others, and no stage ends in the middle of one.
        if (const int around = branch_around[i]; around > 0 && (o.kind == op_kind::output || has(o.flags, op_flag::is_cut) || has(o.flags, op_flag::is_stream)))
            fail(code::SD323, here, scopes[around - 1].begin, here);
        for (const int from : {o.kind == op_kind::select ? -1 : r.a[i], r.b[i]}) {
            if (from < 0 || ops[from].kind == op_kind::input || branch_around[from] == 0) continue;
            if (const scope& c = scopes[branch_around[from] - 1]; here < c.begin || here >= c.end) fail(code::SD323, here, c.begin, from);
        }
        if (o.kind == op_kind::select && r.b[i] >= 0 && ops[r.b[i]].kind == op_kind::input) {
            int& of_command = branches[r.b[i]];
            if (of_command == 0) of_command = o.out;
            else if (of_command != o.out) fail(code::SD216, here, of_command, o.out);
        }
    }
    r.result = g.result < 0 || N == 0 ? -1 : r.target[static_cast<std::size_t>(g.result)];
    if (r.result < 0) {
        fail(code::SD301, 0, 0, 0);
        return r;
    }

    // Readers, uses and biases, from the end.
    auto read = [&](int from, int by) {
        if (from < 0) return;
        ++r.readers[static_cast<std::size_t>(from)];
        if (r.reader[static_cast<std::size_t>(from)] < 0) r.reader[static_cast<std::size_t>(from)] = by;
        r.used[static_cast<std::size_t>(from)] = true;
    };
    if (r.tasks == 0) read(r.result, static_cast<int>(N));
    for (std::size_t i = N; i-- > 0;) {
        const op& o = ops[i];
        const int here = static_cast<int>(i);
        if (o.kind == op_kind::output) {
            read(r.a[i], here);
            continue;
        }
        if (is_alias(o.kind) || r.target[i] != here || !r.used[i]) {
            if (r.target[i] == here && !is_alias(o.kind)) fail(has(o.flags, op_flag::is_stream) ? code::SD312 : code::SD314, here, 0, 0);
            continue;
        }
        if (o.kind == op_kind::select) {
            int end = here;
            for (int k = o.out; k > 0 && end >= 0; --k) {
                const int begin = r.branch_begin[static_cast<std::size_t>(end)];
                read(r.target[static_cast<std::size_t>(end - 1)], here);
                end = begin;
            }
            read(r.b[i], here);
            continue;
        }
        read(r.a[i], here);
        read(r.b[i], here);
        if (o.kind == op_kind::gdn) r.has_bias[i] = true;       // beta
        if (o.kind == op_kind::conv || o.kind == op_kind::conv_transpose || o.kind == op_kind::dense) {
            const int next_op = r.readers[i] == 1 ? r.reader[i] : -1;
            const bool normalised = next_op >= 0 && next_op < static_cast<int>(N) && ops[static_cast<std::size_t>(next_op)].kind == op_kind::batch_norm;
            r.has_bias[i] = o.with_bias == bias::yes || (o.with_bias == bias::automatic && !normalised);
        }
    }
    // A cut reads what it carries: nothing behind the cut melts into that.
    for (std::size_t s = 0; s < S; ++s)
        for (std::size_t l = 0; scopes[s].kind == scope_kind::carry && l < label_count; ++l)
            if (labels[l].name == scopes[s].name && labels[l].at >= 0) ++r.readers[static_cast<std::size_t>(labels[l].at)];
    return r;
}

} // namespace graph

template <class Network>
inline constexpr auto resolved_of = graph::resolve(graph_of<Network>);

} // namespace splitdsl
