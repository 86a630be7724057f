// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file steps_streams.hpp
/// The part of the fourth pass for streams that grow: the trunk leaves their maps, and each exit that reads them is a stage of its own.
#pragma once

#include <splitdsl/graph/step_list.hpp>

namespace splitdsl::graph {

/// Base of `Lowering`, whose ops, buffers and steps it works on. `N`: the number of ops.
template <class Lowering, std::size_t N>
class stream_lowering {
public:
    int trunk = -1; // the place of dynamic_pool streams

    constexpr int stream_number(int i) const {
        const Lowering& l = self();
        int s = 0;
        while (l.to.streams[s].op != i) ++s;
        return s;
    }
    /// For the exit that is being lowered: each runs alone, so each decodes what it reads.
    constexpr void read_stream(int i) {
        Lowering& l = self();
        const int s = stream_number(i), out = l.new_buffer(l.out_of(i));
        l.emit({.kind = step_kind::decode, .op = i, .in = l.to.streams[s].pooled, .out = out, .scratch = l.scratch_for(i, 4 * l.out_of(i).size()), .defines = true});
        l.value[static_cast<std::size_t>(i)] = out;
        l.to.exits[l.to.exit_count].reads |= std::uint32_t{1} << s;
    }
    constexpr void leave_stream(int i) {
        Lowering& l = self();
        const shape map = l.out_of(l.r.a[static_cast<std::size_t>(i)]);
        const int from = l.tensor_of(l.r.a[static_cast<std::size_t>(i)]), bytes = l.new_bytes(4 * map.size());
        l.emit({.kind = step_kind::encode, .op = i, .in = from, .out = bytes, .scratch = l.scratch_for(i, 4 * map.size())});
        l.to.streams[l.to.stream_count++] = {i, l.stage, bytes, -1};
        l.end_stage();
    }
    constexpr void exits_from_streams(int trunk_place) {
        Lowering& l = self();
        l.end_stage();
        for (int s = 0; s < l.to.stream_count; ++s) l.to.streams[s].pooled = l.new_bytes(4 * l.out_of(l.to.streams[s].op).size());
        for (std::size_t k = 0; k < N; ++k)
            if (l.ops[k].kind == op_kind::sizes && l.r.used[k]) l.to.slot[k] = l.new_bytes(1);
        bool begins = true;
        for (std::size_t k = 0; k < N; ++k) {
            const int i = static_cast<int>(k);
            if (l.r.place[k] == trunk_place) continue;
            for (std::size_t j = k; begins && j < N; ++j) { // all it reads, now: a branch may not run
                if (l.r.place[j] == trunk_place) continue;
                for (const int from : {l.r.a[j], l.r.b[j]})
                    if (from >= 0 && l.r.used[j] && !is_alias(l.ops[j].kind) && is_pooled(l.at(from))) l.tensor_of(from);
                if (l.ops[j].kind == op_kind::output) {
                    if (l.r.a[j] >= 0 && is_pooled(l.at(l.r.a[j]))) l.tensor_of(l.r.a[j]);
                    break;
                }
            }
            begins = false;
            if (l.select_of_begin[k] != 0) l.begin_branch(i);
            if (l.ops[k].kind == op_kind::sizes && l.r.used[k]) {
                stream_exit_steps& e = l.to.exits[l.to.exit_count];
                e.sizes = l.to.slot[k];
                e.before = l.ops[k].groups;
                e.here = l.ops[k].out;
            }
            if (l.ops[k].kind == op_kind::output) {
                l.emit({.kind = step_kind::output, .op = i, .in = l.tensor_of(l.r.a[k]), .skip = -2});
                l.to.exits[l.to.exit_count].op = i;
                l.to.exits[l.to.exit_count++].stage = l.stage;
                for (int s = 0; s < l.to.stream_count; ++s) l.value[static_cast<std::size_t>(l.to.streams[s].op)] = -1;
                l.end_stage();
                begins = true;
            } else if (l.r.used[k] && l.r.target[k] == i && !l.fused[k] && !is_alias(l.ops[k].kind)) {
                l.one(i);
            }
            if (l.r.branch_begin[k + 1] >= 0) l.end_branch(i, l.r.branch_begin[k + 1]);
        }
        for (int s = 0; s < l.to.exit_count; ++s)
            if (l.to.exits[s].sizes >= 0) l.to.buffers[static_cast<std::size_t>(l.to.exits[s].sizes)].last = l.to.count;
        for (int s = 0; s < l.to.stream_count; ++s) l.to.buffers[static_cast<std::size_t>(l.to.streams[s].pooled)].last = l.to.count;
    }

private:
    constexpr Lowering& self() { return static_cast<Lowering&>(*this); }
    constexpr const Lowering& self() const { return static_cast<const Lowering&>(*this); }
};

} // namespace splitdsl::graph
