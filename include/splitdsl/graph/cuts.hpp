// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cuts.hpp
/// Third pass: candidate cuts, what crosses at each (its payload group), and what crosses without leave.
#pragma once

#include <splitdsl/graph/shapes.hpp>

namespace splitdsl {

/// Most candidate cuts of one network, and most tensors of one payload group.
inline constexpr int max_network_cuts = 16;
inline constexpr int max_group_tensors = 16;

namespace graph {

/// Names of the codecs, by `codec_id`.
inline constexpr const char* codec_words[]{"f32", "f16", "affine_u8", "affine_u16"};

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
        if (o.codec != codec_id::float32 && size > raw_input) fail(code::SD309, static_cast<int>(i), raw_input, size);
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
                add(c, {tapped, codec, encoded_size(codec, p.out[static_cast<std::size_t>(tapped)].size()), false});
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
            if (listed || o.kind == op_kind::quantise) {
                if (!listed && !has(o.flags, op_flag::is_stream)) fail(code::SD303, by, from, size);
                continue;
            }
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
    int exits = 0;
    for (std::size_t i = 0; i < N; ++i)
        if (ops[i].kind == op_kind::output && has(ops[i].flags, op_flag::is_exit) && ++exits == 44) fail(code::SD313, static_cast<int>(i), 43, exits);
    for (int k = 0; k < t.count; ++k) {
        cut_group& c = t.groups[static_cast<std::size_t>(k)];
        for (int q = 0; q < c.count; ++q) c.payload += c.items[static_cast<std::size_t>(q)].bytes;
        if (r.tasks == 0 && r.result <= c.boundary) fail(code::SD302, c.boundary, 0, 0);
    }
    return t;
}

} // namespace graph

template <class Network>
inline constexpr auto cuts_of = graph::find_cuts(graph_of<Network>, resolved_of<Network>, shaped_of<Network>, parameters_of<Network>.why);

} // namespace splitdsl
