// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file steps_cuts.hpp
/// The part of the fourth pass for codecs and cuts: a tensor becomes bytes, a stage ends, and the next one decodes them.
#pragma once

#include <splitdsl/graph/step_list.hpp>

namespace splitdsl::graph {

/// Base of `Lowering`, whose ops, buffers and steps it works on. `N`: the number of ops.
template <class Lowering, std::size_t N>
class cut_lowering {
public:
    int region[N]{};    // buffer of an encoded tensor, or -1
    int encoded[N]{};   // and of the tensor it was made of
    bool may_fuse_codec = true;

    /// `passes`: into the tensor that was encoded, whose values they are.
    constexpr void decode_item(int i, bool passes) {
        Lowering& l = self();
        const int out = passes ? encoded[static_cast<std::size_t>(i)] : l.new_buffer(l.out_of(i));
        l.emit({.kind = step_kind::decode, .op = i, .in = region[static_cast<std::size_t>(i)], .out = out, .scratch = l.scratch_for(i, 4 * l.out_of(i).size()), .defines = true, .passes = passes});
        l.value[static_cast<std::size_t>(i)] = out;
    }
    constexpr void encode_item(int i, int from, codec_id codec, bool passes) {
        Lowering& l = self();
        const bool ends_conv = may_end_conv(i, from);
        encoded[static_cast<std::size_t>(i)] = from;
        region[static_cast<std::size_t>(i)] = l.new_bytes(working_size(codec, l.out_of(i).size()));
        if (ends_conv) l.to.buffers[static_cast<std::size_t>(region[static_cast<std::size_t>(i)])].first = l.to.count - 1;
        l.emit({.kind = step_kind::encode, .op = i, .in = from, .out = region[static_cast<std::size_t>(i)], .scratch = l.scratch_for(i, 4 * l.out_of(i).size()), .passes = passes, .ends_conv = ends_conv});
    }
    /// Whether the step before made what codec `i` encodes, by a kernel whose epilogue can, and nobody else reads it.
    constexpr bool may_end_conv(int i, int from) const {
        const Lowering& l = self();
        const std::size_t made = static_cast<std::size_t>(l.r.a[static_cast<std::size_t>(i)]);
        if (!may_fuse_codec || !has_range(l.at(i)) || l.at(i).codec != codec_id::affine8 || l.r.readers[made] != 1 || l.to.count == 0) return false;
        const step& s = l.to.steps[static_cast<std::size_t>(l.to.count - 1)];
        const bool is_able = s.kind == step_kind::conv || s.kind == step_kind::winograd_2x2 || s.kind == step_kind::winograd_4x4 || s.kind == step_kind::winograd_line ||
                             s.kind == step_kind::winograd_2x2_of_5x5;
        return is_able && s.out == from && s.stage == l.stage && s.part == l.part[static_cast<std::size_t>(i)];
    }
    /// Whether a cut's tensor crosses it with every bit it has.
    constexpr bool passes_as_it_is(int i) const { return self().at(i).kind != op_kind::quantise || self().at(i).codec == codec_id::float32; }

    constexpr void pass_cut(int k) {
        Lowering& l = self();
        const cut_group& c = l.cuts.groups[static_cast<std::size_t>(k)];
        for (int q = 0; q < c.count; ++q) {
            const crossing& x = c.items[static_cast<std::size_t>(q)];
            if (l.crosses_as_u8(x) && !passes_as_it_is(x.op)) {
                region[static_cast<std::size_t>(x.op)] = l.new_bytes(x.bytes);
                l.emit({.kind = step_kind::encode, .op = x.op, .in = l.value8[static_cast<std::size_t>(x.op)], .out = region[static_cast<std::size_t>(x.op)], .passes = true});
            } else if (l.crosses_as_u8(x)) {
                const int floats = l.new_buffer(l.out_of(x.op));
                l.emit({.kind = step_kind::dequantise_u8, .op = x.op, .in = l.value8[static_cast<std::size_t>(x.op)], .out = floats, .defines = true, .passes = true});
                encode_item(x.op, floats, codec_id::float32, true);
            } else if (!x.is_input && l.at(x.op).kind != op_kind::quantise) encode_item(x.op, l.tensor_of(x.op), codec_id::float32, true);
            else if (!x.is_input && is_carried_on(x.op)) encode_item(x.op, encoded[static_cast<std::size_t>(x.op)], codec_id::float32, true);
            l.to.item_buffer[static_cast<std::size_t>(k)][static_cast<std::size_t>(q)] =
                x.is_input ? l.to.slot[static_cast<std::size_t>(x.op)] : region[static_cast<std::size_t>(x.op)];
        }
        l.to.cut_stage[static_cast<std::size_t>(k)] = l.stage;
        l.end_stage();
        for (int q = 0; q < c.count; ++q) {
            const crossing& x = c.items[static_cast<std::size_t>(q)];
            const bool as_u8 = l.crosses_as_u8(x);
            if (x.is_input) l.value[static_cast<std::size_t>(x.op)] = -1;
            else if (as_u8 && !passes_as_it_is(x.op))
                l.emit({.kind = step_kind::decode, .op = x.op, .in = region[static_cast<std::size_t>(x.op)], .out = l.value8[static_cast<std::size_t>(x.op)], .defines = true, .passes = true});
            else decode_item(x.op, passes_as_it_is(x.op));
            if (!as_u8) l.value8[static_cast<std::size_t>(x.op)] = -1;
        }
        for (int q = 0; q < c.count; ++q) { // behind all decoding, which load_payload looks for at the stage's begin
            const crossing& x = c.items[static_cast<std::size_t>(q)];
            const std::size_t value_at = static_cast<std::size_t>(x.op);
            if (!l.crosses_as_u8(x) || !passes_as_it_is(x.op)) continue;
            l.emit({.kind = step_kind::quantise_u8, .op = x.op, .in = l.value[value_at], .out = l.value8[value_at], .defines = true, .passes = true});
            l.value[value_at] = -1; // not written where both sides run as one
        }
    }

private:
    /// A lossless cut's tensor that an earlier stage encodes, since a later cut carries it or an exit stands between a fan's cuts: where the stages up to here run as one, nobody wrote its bytes.
    constexpr bool is_carried_on(int i) const {
        const Lowering& l = self();
        if (!has(l.at(i).flags, op_flag::is_cut) || !passes_as_it_is(i)) return false;
        return l.to.buffers[static_cast<std::size_t>(region[static_cast<std::size_t>(i)])].first < l.to.stage_first[static_cast<std::size_t>(l.stage)];
    }

    constexpr Lowering& self() { return static_cast<Lowering&>(*this); }
    constexpr const Lowering& self() const { return static_cast<const Lowering&>(*this); }
};

} // namespace splitdsl::graph
