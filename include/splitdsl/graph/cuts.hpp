// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cuts.hpp
/// Third pass: candidate cuts, what crosses at each (its payload group), and what crosses without leave.
#pragma once

#include <splitdsl/graph/limits.hpp>
#include <splitdsl/graph/shapes.hpp>

#include <algorithm>

namespace splitdsl {

/// Most candidate cuts of one network, and most tensors of one payload group.
inline constexpr int max_network_cuts = 16;
inline constexpr int max_group_tensors = 16;
inline constexpr int most_tensors = 64;       ///< inputs, and outputs: tasks and exits together
inline constexpr int most_divisive = 14;      ///< gdn layers, and two more for each name
inline constexpr int max_network_streams = 32; ///< that `dynamic_pool` declares

namespace graph {

/// Names of the codecs, by `codec_id`.
inline constexpr const char* codec_words[]{"f32", "f16", "affine_u8", "affine_u16", "dynamic_pool", "entropy_bottleneck"};
/// Of a codec's op: where its range comes from is part of its name.
constexpr const char* codec_word(const op& o) {
    if (has_range(o)) return o.codec == codec_id::affine8 ? "affine_u8 calibrated" : "affine_u16 calibrated";
    return codec_words[static_cast<std::size_t>(o.codec)];
}

/// One thing that crosses: a cut's own tensor, a carried tap, or an input.
struct crossing {
    int op{-1};
    codec_id codec{};
    std::int64_t bytes{};
    bool is_input{};
};
struct cut_group {
    text name{};
    int boundary{-1};                   ///< position of the last op before the cut
    int count{};
    crossing items[max_group_tensors]{};
    std::int64_t payload{};             ///< bytes, without the wire header
    int place{};                        ///< where the ops before it run
};
struct cut_table {
    int count{};
    cut_group groups[max_network_cuts]{};
    diagnosis why{};
};

constexpr std::int64_t input_bytes(const op& o) { return o.size.size() * (o.element == element_type::u8 ? 1 : 4); }

/// Where a network's dynamic_pool streams are computed, or -1 if it has none.
template <std::size_t N, std::size_t S>
constexpr int place_of_streams(const body<N, S>& g, const resolved<N, S>& r) {
    const op* const ops = g.ops.data();
    for (std::size_t i = 0; i < N; ++i)
        if (ops[i].kind == op_kind::quantise && ops[i].codec == codec_id::pooled && r.used[i]) return r.place[i];
    return -1;
}

/// Networks with dynamic_pool streams: one place computes the trunk, the other only exits, each from streams alone (SD317).
template <std::size_t N, std::size_t S, class Fail>
constexpr void check_streams(const body<N, S>& g, const resolved<N, S>& r, const shaped<N>& p, const cut_table& t, Fail fail) {
    const int trunk = place_of_streams(g, r);
    const op* const ops = g.ops.data();
    for (std::size_t i = 0; i < N; ++i) // elsewhere nobody knows of sizes
        if (ops[i].kind == op_kind::sizes && r.used[i] && (trunk < 0 || r.place[i] == trunk)) fail(code::SD318, static_cast<int>(i), 0, ops[i].out);
    if (trunk < 0) return;
    if (t.count > 0) fail(code::SD317, t.groups[0].boundary, 0, t.count);
    int of_exit[N]{};                   // a cloud op's exit
    int exit = -1, streams = 0, exits = 0;
    for (std::size_t i = N; i-- > 0;) {
        const bool ends = ops[i].kind == op_kind::output && has(ops[i].flags, op_flag::is_exit);
        exits += ends;
        streams += is_pooled(ops[i]) && r.used[i];
        if (r.place[i] != trunk && ends) exit = static_cast<int>(i);
        of_exit[i] = exit;
    }
    if (streams > max_network_streams) fail(code::SD313, -1, max_network_streams, streams);
    if (streams + exits + 2 > max_stages) fail(code::SD313, -1, max_stages - 2, streams + exits);
    if (r.tasks == 0 && r.place[static_cast<std::size_t>(r.result)] != trunk) fail(code::SD317, r.result, trunk, r.place[static_cast<std::size_t>(r.result)]);
    for (std::size_t i = 0; i < N; ++i) {
        const op& o = ops[i];
        const int here = static_cast<int>(i);
        const bool output = o.kind == op_kind::output;
        if (is_alias(o.kind) || r.target[i] != here || !(r.used[i] || output)) continue;
        if (r.place[i] == trunk) continue;
        if ((o.kind == op_kind::select && r.b[i] >= 0 && ops[static_cast<std::size_t>(r.b[i])].kind != op_kind::sizes) || is_pooled(o) || (output && !has(o.flags, op_flag::is_exit)) || r.place_count > 2) fail(code::SD317, here, trunk, r.place[i]);
        for (const int from : {r.a[i], r.b[i]}) {
            if (from < 0) continue;
            const std::size_t k = static_cast<std::size_t>(from);
            if (is_pooled(ops[k])) continue;
            if (r.place[k] == trunk || of_exit[k] != of_exit[i]) fail(code::SD317, here, from, r.place[k]);
        }
        if (o.kind != op_kind::sizes) continue;
        int newest = -1, before = -1, others = 0; // the streams its exit reads
        for (std::size_t s = 0; s < N; ++s) {
            if (!is_pooled(ops[s]) || !r.used[s]) continue;
            bool read = false;
            for (std::size_t k = 0; k < N; ++k)
                read = read || ((r.a[k] == static_cast<int>(s) || r.b[k] == static_cast<int>(s)) && r.place[k] != trunk && of_exit[k] == of_exit[i]);
            if (!read) continue;
            if (newest >= 0) ++others, before = newest;
            newest = static_cast<int>(s);
        }
        const auto levels = [&](int s) { return s < 0 ? 1 : pooled_sizes(ops[static_cast<std::size_t>(s)], p.out[static_cast<std::size_t>(r.a[static_cast<std::size_t>(s)])]).ladder.levels; };
        if (newest < 0 || others > 1) fail(code::SD318, here, 2, others + 1);
        else if (levels(newest) != o.out) fail(code::SD318, here, levels(newest), o.out);
        else if (levels(before) != o.groups) fail(code::SD318, here, levels(before), o.groups);
    }
    for (std::size_t i = 0; i < N; ++i)
        if (is_pooled(ops[i]) && r.used[i])
            for (std::size_t k = 0; k < N; ++k)
                if ((r.a[k] == static_cast<int>(i) || r.b[k] == static_cast<int>(i)) && !is_alias(ops[k].kind) && r.place[k] == trunk) fail(code::SD317, static_cast<int>(k), static_cast<int>(i), trunk);
}

/// A frame meets head(), stage() and tail() in this order, whatever their places are called (SD321). What comes back to an earlier place is SD310's.
template <std::size_t N, std::size_t S, class Fail>
constexpr void check_order(const body<N, S>& g, const resolved<N, S>& r, Fail fail) {
    const op* const ops = g.ops.data();
    int latest[N]{};                    // among the stages whose results reach an op: an op of the latest one, + 1
    for (std::size_t i = 0; i < N; ++i) {
        const int here = static_cast<int>(i);
        if (r.target[i] != here || is_alias(ops[i].kind)) continue;
        int& most = latest[i];
        auto meet = [&](int from) {
            if (from < 0) return;
            const int other = latest[from];
            if (other > 0 && (most == 0 || r.order[other - 1] > r.order[most - 1])) most = other;
        };
        if (ops[i].kind == op_kind::select) {
            int end = here;
            for (int b = ops[i].out; b > 0; --b) {
                meet(r.target[end - 1]);
                end = r.branch_begin[end];
            }
        } else {
            meet(r.a[i]);
        }
        meet(r.b[i]);
        if (r.order[i] < 0 || ops[i].kind == op_kind::input) continue;
        if (most > 0 && r.order[most - 1] > r.order[i] && r.place[most - 1] <= r.place[i]) fail(code::SD321, here, most - 1, here);
        if (most == 0 || r.order[i] >= r.order[most - 1]) most = here + 1;
    }
}

template <std::size_t N, std::size_t S>
constexpr cut_table find_cuts(const body<N, S>& g, const resolved<N, S>& r, const shaped<N>& p, const diagnosis& earlier) {
    cut_table t{};
    const op* const ops = g.ops.data();
    const scope* const scopes = g.scopes.data();
    t.why = earlier;
    if (t.why.what != code::fine) return t;
    auto fail = [&](code c, int at, std::int64_t want, std::int64_t got) {
        if (t.why.what == code::fine) t.why = {c, at, want, got};
    };
    auto add = [&](cut_group& c, const crossing& x) {
        if (c.count == max_group_tensors) fail(code::SD313, x.op, max_group_tensors, max_group_tensors + 1);
        else c.items[static_cast<std::size_t>(c.count++)] = x;
    };
    check_order(g, r, fail);
    // A fan_in's bottlenecks are one group, cut behind the last of them.
    int fan[N]{};
    for (std::size_t s = 0; s < S; ++s)
        if (scopes[s].kind == scope_kind::fan)
            for (int i = scopes[s].begin; i < scopes[s].end; ++i) fan[static_cast<std::size_t>(i)] = static_cast<int>(s) + 1;
    std::int64_t raw_input = 0;
    for (std::size_t i = 0; i < N; ++i)
        if (ops[i].kind == op_kind::input && r.target[i] == static_cast<int>(i) && r.used[i]) raw_input += input_bytes(ops[i]);
    for (std::size_t i = 0; i < N; ++i) {
        const op& o = ops[i];
        if (!has(o.flags, op_flag::is_cut) || !r.used[i]) continue;
        const std::int64_t size = encoded_size(o.codec, p.out[i].size());
        const bool joins = t.count > 0 && fan[i] != 0 && fan[static_cast<std::size_t>(t.groups[static_cast<std::size_t>(t.count - 1)].boundary)] == fan[i];
        if (!joins) {
            if (t.count == max_network_cuts) {
                fail(code::SD313, static_cast<int>(i), max_network_cuts, max_network_cuts + 1);
                break;
            }
            ++t.count;
        }
        cut_group& c = t.groups[static_cast<std::size_t>(t.count - 1)];
        c.name = fan[i] != 0 ? scopes[static_cast<std::size_t>(fan[i] - 1)].name : o.label;
        c.boundary = static_cast<int>(i);
        c.place = r.place[i];
        add(c, {static_cast<int>(i), o.codec, size, false});
    }
    for (int k = 1; k < t.count; ++k)
        for (int before = 0; before < k; ++before)
            if (t.groups[before].name == t.groups[k].name) fail(code::SD103, t.groups[k].boundary, t.groups[before].boundary, t.groups[k].boundary);
    for (int k = 0; k < t.count; ++k) {
        cut_group& c = t.groups[static_cast<std::size_t>(k)];
        for (std::size_t s = 0; s < S; ++s) {
            const scope& w = scopes[s];
            if (w.kind != scope_kind::carry) continue;
            bool mine = false;
            for (int q = 0; q < c.count; ++q) mine = mine || c.items[static_cast<std::size_t>(q)].op == w.begin;
            if (!mine) continue;
            int tapped = -1;
            for (int i = 0; i <= c.boundary; ++i)
                if (ops[static_cast<std::size_t>(i)].label == w.name) tapped = r.target[static_cast<std::size_t>(i)];
            bool read = false;
            if (tapped >= 0)
                for (std::size_t i = static_cast<std::size_t>(c.boundary) + 1; i < N; ++i) read = read || r.a[i] == tapped || r.b[i] == tapped;
            if (!read) fail(code::SD305, w.begin, 0, 0);
            else {
                const op& o = ops[static_cast<std::size_t>(tapped)];
                const codec_id codec = o.kind == op_kind::quantise ? o.codec : codec_id::float32;
                if (o.kind == op_kind::input) add(c, {tapped, codec_id::float32, input_bytes(o), true}); // which would travel unasked, too
                else add(c, {tapped, codec, encoded_size(codec, p.out[static_cast<std::size_t>(tapped)].size()), false});
            }
        }
    }
    // Every edge once: inputs that are read behind a cut join its group; anything else must be in the group.
    auto edge = [&](int from, int by) {
        if (from < 0) return;
        const op& o = ops[static_cast<std::size_t>(from)];
        const std::int64_t size = o.kind == op_kind::input ? input_bytes(o) : encoded_size(codec_id::float32, p.out[static_cast<std::size_t>(from)].size());
        for (int k = 0; k < t.count; ++k) {
            cut_group& c = t.groups[static_cast<std::size_t>(k)];
            if (by <= c.boundary || (from > c.boundary && o.kind != op_kind::input)) continue;
            bool listed = false;
            for (int q = 0; q < c.count; ++q) listed = listed || c.items[static_cast<std::size_t>(q)].op == from;
            if (listed) continue;
            if (o.kind != op_kind::input) fail(code::SD303, by, from, size);
            else add(c, {from, codec_id::float32, size, true});
        }
        const int here = r.place[static_cast<std::size_t>(by)], there = r.place[static_cast<std::size_t>(from)];
        if (here == there || o.kind == op_kind::input) return;
        if (here < there) fail(code::SD310, by, there, here);
        bool carried = o.kind == op_kind::quantise;
        for (int k = 0; k < t.count; ++k)
            for (int q = 0; q < t.groups[static_cast<std::size_t>(k)].count; ++q)
                carried = carried || t.groups[static_cast<std::size_t>(k)].items[static_cast<std::size_t>(q)].op == from;
        if (!carried) fail(code::SD303, by, from, size);
    };
    for (std::size_t i = 0; i < N; ++i) {
        const op& o = ops[i];
        const int here = static_cast<int>(i);
        if (is_alias(o.kind) || r.target[i] != here || !r.used[i] || o.kind == op_kind::input) continue;
        if (o.kind == op_kind::select) {
            int end = here;
            for (int b = o.out; b > 0; --b) {
                edge(r.target[static_cast<std::size_t>(end - 1)], here);
                end = r.branch_begin[static_cast<std::size_t>(end)];
            }
            edge(r.b[i], here);
        } else {
            edge(r.a[i], here);
            edge(r.b[i], here);
        }
    }
    check_streams(g, r, p, t, fail);
    int exits = 0, inputs = 0, divisive = 0;
    for (std::size_t i = 0; i < N; ++i) {
        divisive += ops[i].kind == op_kind::gdn;
        if (ops[i].kind == op_kind::input && r.target[i] == static_cast<int>(i) && ++inputs == most_tensors + 1) fail(code::SD313, static_cast<int>(i), most_tensors, inputs);
        if (ops[i].kind == op_kind::output && !has(ops[i].flags, op_flag::is_exit) && t.count > 0 && static_cast<int>(i) < t.groups[t.count - 1].boundary)
            fail(code::SD302, static_cast<int>(i), 0, 0); // whoever answers from behind the cut has not computed it
        if (ops[i].kind == op_kind::output && has(ops[i].flags, op_flag::is_exit)) {
            if (++exits == 44) fail(code::SD313, static_cast<int>(i), 43, exits);
            // Who asked takes an exit's answer where it expects the trunk's. Of several tasks it stands in no single one's place.
            const shape answer = p.out[static_cast<std::size_t>(r.a[i])], whole = p.out[static_cast<std::size_t>(r.result)];
            if (r.tasks == 0 && !(answer == whole)) fail(code::SD320, static_cast<int>(i), whole.size(), answer.size());
        }
    }
    if (divisive > most_divisive) { // each is three steps, and tables of steps have room for two an op and two a name
        int most = most_divisive;
        for (const scope& c : g.scopes) most += c.kind == scope_kind::name ? 2 : 0;
        if (divisive > most) fail(code::SD313, -1, most, divisive);
    }
    if (r.tasks + exits > most_tensors) fail(code::SD313, -1, most_tensors, r.tasks + exits);
    for (int k = 0; k < t.count; ++k) {
        cut_group& c = t.groups[static_cast<std::size_t>(k)];
        // Who sends a later cut's payload has the one before it too, and need not have the input.
        const std::int64_t instead = k > 0 ? std::max(raw_input, t.groups[static_cast<std::size_t>(k - 1)].payload) : raw_input;
        for (int q = 0; q < c.count; ++q) {
            const crossing& x = c.items[static_cast<std::size_t>(q)];
            c.payload += x.bytes;
            if (!x.is_input && has(ops[static_cast<std::size_t>(x.op)].flags, op_flag::is_cut) && x.codec != codec_id::float32 && x.bytes > instead) fail(code::SD309, x.op, instead, x.bytes);
        }
        if (r.tasks == 0 && r.result <= c.boundary) fail(code::SD302, c.boundary, 0, 0);
    }
    return t;
}

} // namespace graph

template <class Network>
inline constexpr auto cuts_of = graph::find_cuts(graph_of<Network>, resolved_of<Network>, shaped_of<Network>, parameters_of<Network>.why);

} // namespace splitdsl
