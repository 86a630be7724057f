// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file steps.hpp
/// Fourth pass: ops become the steps that run. Batch norm, bias, residual add and activation melt into the layer before them.
#pragma once

#include <splitdsl/graph/steps_cuts.hpp>
#include <splitdsl/graph/steps_fans.hpp>
#include <splitdsl/graph/steps_int8.hpp>
#include <splitdsl/graph/steps_streams.hpp>
#include <splitdsl/graph/winograd.hpp>

namespace splitdsl::graph {

template <std::size_t N, std::size_t S>
class lowering : public int8_lowering<lowering<N, S>, N>, public cut_lowering<lowering<N, S>, N>, public stream_lowering<lowering<N, S>, N> {
    using on_bytes = int8_lowering<lowering, N>;
    using across = cut_lowering<lowering, N>;
    using of_streams = stream_lowering<lowering, N>;

public:
    using on_bytes::branches, on_bytes::is_u8, on_bytes::observed, on_bytes::of_picture, on_bytes::range, on_bytes::runs, on_bytes::value8;
    using on_bytes::bytes_of, on_bytes::crosses_as_u8, on_bytes::flattens_bytes, on_bytes::floats_of, on_bytes::is_on_bytes, on_bytes::load_picture, on_bytes::measure, on_bytes::sends_bytes;
    using on_bytes::melts_into_bytes, on_bytes::on_bytes_alone, on_bytes::stays_a_picture, on_bytes::stays_on_bytes, on_bytes::weighted_u8;
    using across::decode_item, across::encode_item, across::pass_cut, across::passes_as_it_is, across::region;
    using of_streams::exits_from_streams, of_streams::leave_stream, of_streams::read_stream, of_streams::trunk;
    const op* ops;
    const scope* scopes;
    const resolved<N, S>& r;
    const shaped<N>& p;
    const cut_table& cuts;
    step_list<N, S> to{};
    int value[N]{};     // buffer of an op's tensor, or -1
    bool fused[N]{};
    int part[N]{}, fan[N]{};
    int stage = 0;
    bool may_winograd = true;
    int scratch_buffer = -1, scratch_part = -1, scratch_fan = -1;

    constexpr int new_buffer(shape s) {
        buffer& b = to.buffers[static_cast<std::size_t>(to.buffer_count)];
        b.of = s;
        b.first = b.last = to.count;
        return to.buffer_count++;
    }
    constexpr int new_bytes(std::int64_t bytes) {
        const int b = new_buffer({});
        to.buffers[static_cast<std::size_t>(b)].is_bytes = true;
        to.buffers[static_cast<std::size_t>(b)].bytes = bytes;
        return b;
    }
    constexpr void touch(int b) {
        if (b >= 0) to.buffers[static_cast<std::size_t>(b)].last = to.count;
    }
    constexpr step& emit(step s) {
        touch(s.in), touch(s.in2), touch(s.addend), touch(s.out), touch(s.scratch);
        s.stage = stage;
        if (s.op >= 0) {
            s.part = part[static_cast<std::size_t>(s.op)];
            s.fan = fan[static_cast<std::size_t>(s.op)];
        }
        step& slot = to.steps[static_cast<std::size_t>(to.count++)];
        slot = s;
        return slot;
    }
    /// Room for a step to work in. Parts of a fan may run beside each other: each has its own.
    constexpr int scratch_for(int i, std::int64_t bytes) {
        const int p_of = part[static_cast<std::size_t>(i)], f_of = fan[static_cast<std::size_t>(i)];
        if (p_of < 0 || scratch_buffer < 0 || p_of != scratch_part || f_of != scratch_fan) scratch_buffer = new_bytes(0);
        scratch_part = p_of, scratch_fan = f_of;
        buffer& b = to.buffers[static_cast<std::size_t>(scratch_buffer)];
        if (bytes > b.bytes) b.bytes = bytes;
        return scratch_buffer;
    }
    constexpr const op& at(int i) const { return ops[static_cast<std::size_t>(i)]; }
    constexpr shape out_of(int i) const { return p.out[static_cast<std::size_t>(i)]; }

    /// The tensor of an op's value; a raw f32 input is loaded at its first reader of each stage.
    constexpr int tensor_of(int i) {
        const std::size_t k = static_cast<std::size_t>(i);
        if (value[k] < 0 && at(i).kind == op_kind::input) {
            const int b = new_buffer(out_of(i));
            emit({.kind = step_kind::load_input, .op = i, .in = -1, .out = b, .defines = true});
            touch_slot(i);
            if (branches > 0) return b; // one that may not run: who reads it elsewhere loads it there
            value[k] = b;
        }
        if (value[k] < 0 && is_pooled(at(i))) read_stream(i);
        if (value[k] < 0 && value8[k] >= 0) return floats_of(i);
        return value[k];
    }
    constexpr void touch_slot(int input) { touch(to.slot[static_cast<std::size_t>(input)]); }

    /// Follows the only readers behind `i` and melts them in; returns the op whose value the step produces.
    constexpr int absorb(int i, step& s, bool may_normalise, bool may_add) {
        int last = i;
        const bool is_dense = at(i).kind == op_kind::dense, gives_bytes = is_on_bytes(i) || stays_on_bytes(i);
        for (;;) {
            const std::size_t k = static_cast<std::size_t>(last);
            const int next = r.readers[k] == 1 ? r.reader[k] : -1;
            if (next < 0 || next >= static_cast<int>(N)) return last;
            const op& o = at(next);
            if (o.kind == op_kind::batch_norm && may_normalise && s.norm < 0 && s.addend < 0) {
                s.norm = next;
            } else if (o.kind == op_kind::add && may_add && s.addend < 0) {
                const int other = r.a[static_cast<std::size_t>(next)] == last ? r.b[static_cast<std::size_t>(next)] : r.a[static_cast<std::size_t>(next)];
                if (other > i || other == last || (at(other).kind == op_kind::input && value[static_cast<std::size_t>(other)] < 0)) return last;
                const bool there = value[static_cast<std::size_t>(other)] >= 0 || value8[static_cast<std::size_t>(other)] >= 0;
                s.addend = !there ? -1 : gives_bytes ? bytes_of(other) : tensor_of(other);
                if (s.addend < 0) return last;
            } else if (is_activation(o.kind) && (!gives_bytes || is_dense || melts_into_bytes(o.kind, s.addend >= 0 || at(i).kind == op_kind::add))) {
                s.activation = activation_of(o.kind);
                s.slope = o.values[0];
                fused[static_cast<std::size_t>(next)] = true;
                return next;
            } else {
                return last;
            }
            fused[static_cast<std::size_t>(next)] = true;
            last = next;
        }
    }

    /// The convolution that reads `b` finds zeros around it.
    constexpr void want_halo(int b, const op& o, shape in, shape result) {
        buffer& t = to.buffers[static_cast<std::size_t>(b)];
        const int bottom = (result.height - 1) * o.stride.height + o.dilation.height * (o.kernel.height - 1) + 1 - o.pad.top - in.height;
        const int right = (result.width - 1) * o.stride.width + o.dilation.width * (o.kernel.width - 1) + 1 - o.pad.left - in.width;
        if (o.pad.top > t.top) t.top = static_cast<std::int16_t>(o.pad.top);
        if (o.pad.left > t.left) t.left = static_cast<std::int16_t>(o.pad.left);
        if (bottom > t.bottom) t.bottom = static_cast<std::int16_t>(bottom);
        if (right > t.right) t.right = static_cast<std::int16_t>(right);
    }

    /// Whether the step before op `i` loads buffer `b` from a picture's bytes, for this op alone.
    constexpr bool reads_loaded_picture(int i, int b) const {
        const std::size_t from = static_cast<std::size_t>(r.a[static_cast<std::size_t>(i)]);
        if (to.count == 0 || r.readers[from] != 1) return false;
        const step& before = to.steps[static_cast<std::size_t>(to.count - 1)];
        const op& source = ops[from].kind == op_kind::input ? ops[from] : at(r.a[from]);
        return before.kind == step_kind::load_input && before.out == b && before.stage == stage && source.kind == op_kind::input && source.element == element_type::u8;
    }

    constexpr void simple(int i, step s) {
        s.op = i;
        s.in = tensor_of(r.a[static_cast<std::size_t>(i)]);
        s.out = new_buffer(out_of(i));
        s.defines = true;
        value[static_cast<std::size_t>(i)] = s.out;
        emit(s);
    }

    constexpr void weighted(int i) {
        if (is_on_bytes(i)) return weighted_u8(i);
        const op& o = at(i);
        const shape in = out_of(r.a[static_cast<std::size_t>(i)]);
        step s{};
        s.op = i;
        s.in = tensor_of(r.a[static_cast<std::size_t>(i)]);
        const bool is_conv = o.kind == op_kind::conv;
        const bool one_pixel = is_conv && o.groups == 1 && o.kernel.height == 1 && o.kernel.width == 1 && in.is_vector() && out_of(i).is_vector() &&
                               o.pad.top == 0 && o.pad.left == 0;
        s.kind = o.kind == op_kind::dense || one_pixel ? step_kind::dense
               : o.kind == op_kind::conv_transpose ? step_kind::conv_transpose
               : o.groups == 1 ? step_kind::conv
               : o.groups == in.channels && o.out == in.channels ? step_kind::depthwise
                                                                : step_kind::grouped_conv;
        if (const winograd_plan plan = may_winograd ? plan_winograd(o, in, out_of(i)) : winograd_plan{}; plan.tile != 0) {
            s.kind = plan.taps == 7   ? step_kind::winograd_line
                   : plan.taps == 5 ? step_kind::winograd_2x2_of_5x5
                   : plan.tile == 2 ? step_kind::winograd_2x2
                   : plan.tile == 3 ? step_kind::winograd_3x3_strided
                   : plan.strided   ? step_kind::winograd_4x4_strided
                                    : step_kind::winograd_4x4;
            s.chunk = plan.chunk;
            s.tasks = plan.tasks;
            s.scratch = scratch_for(i, plan.scratch * 4);
            if (plan.strided && reads_loaded_picture(i, s.in)) to.buffers[static_cast<std::size_t>(s.in)].in_quads = true;
        }
        if (s.kind == step_kind::conv && sums_quads(o, in) && reads_loaded_picture(i, s.in)) to.buffers[static_cast<std::size_t>(s.in)].in_quads = true;
        const int last = absorb(i, s, true, is_conv);
        s.out = new_buffer(out_of(i));
        s.defines = true;
        if (is_conv && s.scratch < 0 && !one_pixel) want_halo(s.in, o, in, out_of(i));
        value[static_cast<std::size_t>(last)] = s.out;
        emit(s);
        to.stage_macs[static_cast<std::size_t>(stage)] += p.macs[static_cast<std::size_t>(i)];
    }

    /// Its sum over channels is a 1x1 convolution with gamma and beta.
    constexpr void divisive(int i) {
        const std::size_t k = static_cast<std::size_t>(i);
        const int in = tensor_of(r.a[k]);
        const int sizes = new_buffer(out_of(i));
        emit({.kind = step_kind::magnitude, .op = i, .in = in, .out = sizes, .defines = true});
        const int divisor = new_buffer(out_of(i));
        emit({.kind = step_kind::conv, .op = i, .in = sizes, .out = divisor, .defines = true});
        value[k] = new_buffer(out_of(i));
        emit({.kind = step_kind::divisive, .op = i, .in = in, .in2 = divisor, .out = value[k], .defines = true});
        to.stage_macs[static_cast<std::size_t>(stage)] += p.macs[k];
    }

    static constexpr int most_nested = 62;  // concats
    int nested[N]{};                        // into a concat and not written by themselves, how deep
    /// A concat read only by another concat is written straight into that one.
    constexpr bool melts_into_concat(int i) {
        const std::size_t k = static_cast<std::size_t>(i);
        for (const int from : {r.a[k], r.b[k]})
            if (at(from).kind == op_kind::concat && !is_placed(from) && nested[from] >= nested[k]) nested[k] = nested[from] + 1;
        return nested[k] < most_nested && r.readers[k] == 1 && r.reader[k] < static_cast<int>(N) && at(r.reader[k]).kind == op_kind::concat;
    }
    constexpr bool is_placed(int i) const { return value[i] >= 0 || value8[i] >= 0; }
    /// Calls visit(op, its first channel) for what a concat joins, those inside concats that are not written by themselves.
    template <class Visit>
    constexpr void each_operand(int i, Visit visit) const {
        int stack[most_nested + 2]{};
        int depth = 0, channel = 0;
        stack[depth++] = r.b[i];
        stack[depth++] = r.a[i];
        while (depth > 0) {
            const int leaf = stack[--depth];
            if (at(leaf).kind == op_kind::concat && !is_placed(leaf)) {
                stack[depth++] = r.b[leaf];
                stack[depth++] = r.a[leaf];
                continue;
            }
            visit(leaf, channel);
            channel += out_of(leaf).channels;
        }
    }
    constexpr void concatenate(int i) {
        if (melts_into_concat(i)) return;
        int out = -1;
        each_operand(i, [&](int leaf, int channel) {
            const int in = tensor_of(leaf);
            const bool first = out < 0;
            if (first) out = new_buffer(out_of(i));
            emit({.kind = step_kind::copy_channels, .op = i, .in = in, .out = out, .offset = channel, .defines = first});
        });
        value[i] = out;
    }

    constexpr void end_stage() {
        ++stage;
        to.stage_first[static_cast<std::size_t>(stage)] = to.count;
    }

    constexpr void select_end(int i) {      // copies were emitted at the branches' ends
        value[static_cast<std::size_t>(i)] = select_value[static_cast<std::size_t>(i)];
    }

    int select_value[N]{};
    int select_of_begin[N]{};   // a branch's begin -> its select + 1
    int branch_step[N]{};       // a branch's begin -> its branch step
    int branch_index[N]{};

    constexpr lowering(const body<N, S>& graph_, const resolved<N, S>& resolved_, const shaped<N>& shaped_, const cut_table& cuts_)
        : ops(graph_.ops.data()), scopes(graph_.scopes.data()), r(resolved_), p(shaped_), cuts(cuts_) {}

    constexpr step_list<N, S> run() {
        for (std::size_t i = 0; i < N; ++i) value[i] = value8[i] = range[i] = region[i] = part[i] = fan[i] = to.slot[i] = select_value[i] = -1;
        for (std::size_t s = 0; s < S; ++s) {
            const scope& c = scopes[s];
            if (c.kind == scope_kind::part)
                for (int i = c.begin; i < c.end; ++i) part[static_cast<std::size_t>(i)] = static_cast<int>(s);
            if (c.kind == scope_kind::fan)
                for (int i = c.begin; i < c.end; ++i) fan[static_cast<std::size_t>(i)] = static_cast<int>(s);
        }
        for (std::size_t i = 0; i < N; ++i)
            if (ops[i].kind == op_kind::select && r.used[i]) {
                int end = static_cast<int>(i);
                for (int k = ops[i].out; k > 0; --k) {
                    const int begin = r.branch_begin[static_cast<std::size_t>(end)];
                    select_of_begin[static_cast<std::size_t>(begin)] = static_cast<int>(i) + 1;
                    branch_index[static_cast<std::size_t>(begin)] = k - 1;
                    end = begin;
                }
            }
        for (int k = 0; k < cuts.count; ++k)
            for (int q = 0; q < cuts.groups[static_cast<std::size_t>(k)].count; ++q) {
                const crossing& x = cuts.groups[static_cast<std::size_t>(k)].items[static_cast<std::size_t>(q)];
                if (!x.is_input || to.slot[static_cast<std::size_t>(x.op)] >= 0) continue;
                to.slot[static_cast<std::size_t>(x.op)] = new_bytes(x.bytes);
                emit({.kind = step_kind::copy_input, .op = x.op, .out = to.slot[static_cast<std::size_t>(x.op)]});
            }
        int next_cut = 0;
        std::int64_t outputs = 0;
        for (std::size_t k = 0; k < N; ++k) {
            const int i = static_cast<int>(k);
            const op& o = ops[k];
            if (trunk >= 0 && r.place[k] != trunk) continue; // what reads streams follows the trunk
            if (select_of_begin[k] != 0) begin_branch(i);
            if (o.kind == op_kind::output) {
                if (!has(o.flags, op_flag::is_exit)) {
                    emit({.kind = step_kind::output, .op = i, .in = tensor_of(r.a[k]), .offset = static_cast<int>(outputs)});
                    outputs += out_of(r.a[k]).size();
                }
            } else if (r.used[k] && r.target[k] == i && !fused[k] && !is_alias(o.kind)) {
                one(i);
            }
            if (r.branch_begin[k + 1] >= 0) end_branch(i, r.branch_begin[k + 1]);
            if (next_cut < cuts.count && cuts.groups[static_cast<std::size_t>(next_cut)].boundary == i) pass_cut(next_cut++);
            else if (o.kind == op_kind::output && has(o.flags, op_flag::is_exit)) end_exit(i);
        }
        if (r.tasks == 0) {
            const int b = tensor_of(r.result);
            emit({.kind = step_kind::output, .op = r.result, .in = b, .offset = 0}).part = -1;
            outputs = out_of(r.result).size();
        }
        to.trunk_stages = stage + 1;
        if (trunk >= 0) exits_from_streams(trunk);
        // Exits stand behind the main outputs.
        for (std::size_t k = 0; trunk >= 0 && k < N; ++k) // in the order of the declaration, not in that of the places
            if (ops[k].kind == op_kind::output && has(ops[k].flags, op_flag::is_exit))
                for (int s = 0; s < to.count; ++s)
                    if (step& e = to.steps[static_cast<std::size_t>(s)]; e.kind == step_kind::output && e.skip == -2 && e.op == static_cast<int>(k)) {
                        e.offset = static_cast<int>(outputs);
                        outputs += out_of(r.a[k]).size();
                        e.skip = -1;
                    }
        for (int s = 0; s < to.count; ++s) {
            step& e = to.steps[static_cast<std::size_t>(s)];
            if (e.kind == step_kind::output && e.skip == -2) {
                e.offset = static_cast<int>(outputs);
                outputs += out_of(r.a[static_cast<std::size_t>(e.op)]).size();
                e.skip = -1;
            }
        }
        for (int s = 0; observed > 0 && s < to.count; ++s)
            if (step& e = to.steps[static_cast<std::size_t>(s)]; e.kind == step_kind::output && e.skip == -3) e.offset += static_cast<int>(outputs), e.skip = -1;
        to.output_floats = outputs + observed;
        to.stages = trunk < 0 ? stage + 1 : stage;
        for (std::size_t i = 0; i < N; ++i)
            if (to.slot[i] >= 0 && ops[i].kind == op_kind::input) {
                to.buffers[static_cast<std::size_t>(to.slot[i])].first = 0;
                to.buffers[static_cast<std::size_t>(to.slot[i])].last = to.count;
            }
        part_where_independent(to);
        keep_parts_apart(to);
        return to;
    }

    constexpr void end_exit(int i) {
        emit({.kind = step_kind::output, .op = i, .in = tensor_of(r.a[static_cast<std::size_t>(i)]), .skip = -2});
        if (stage + 1 < max_stages) end_stage();
    }

    constexpr void begin_branch(int i) {
        const int select = select_of_begin[static_cast<std::size_t>(i)] - 1;
        if (select_value[static_cast<std::size_t>(select)] < 0) select_value[static_cast<std::size_t>(select)] = new_buffer(out_of(select));
        branch_step[static_cast<std::size_t>(i)] = to.count;
        step s{.kind = step_kind::branch, .op = select, .offset = branch_index[static_cast<std::size_t>(i)]};
        s.part = part[static_cast<std::size_t>(select)];
        emit(s);
        touch_slot(r.b[static_cast<std::size_t>(select)]);
        ++branches;
    }
    constexpr void end_branch(int i, int begin) {
        const int of = select_of_begin[static_cast<std::size_t>(begin)];
        if (of == 0) return;
        const int in = tensor_of(r.target[static_cast<std::size_t>(i)]);
        emit({.kind = step_kind::copy_channels, .op = of - 1, .in = in, .out = select_value[static_cast<std::size_t>(of - 1)], .defines = true});
        to.steps[static_cast<std::size_t>(branch_step[static_cast<std::size_t>(begin)])].skip = to.count;
        --branches;
    }

    constexpr void one(int i) {
        const op& o = at(i);
        const std::size_t k = static_cast<std::size_t>(i);
        step s{};
        if (stays_on_bytes(i)) return on_bytes_alone(i);
        switch (o.kind) {
        case op_kind::input:
        case op_kind::sizes: break;
        case op_kind::normalise:
            if (stays_a_picture(i)) range[k] = of_picture;
            if (range[k] == of_picture && !runs.in_floats) {
                load_picture(i);
            } else if (at(r.a[k]).kind == op_kind::input) {
                const int b = new_buffer(out_of(i));
                emit({.kind = step_kind::load_input, .op = i, .out = b, .defines = true});
                touch_slot(r.a[k]);
                value[k] = b;
            } else {
                s.kind = step_kind::affine;
                simple(i, s);
            }
            break;
        case op_kind::conv:
        case op_kind::conv_transpose:
        case op_kind::dense: weighted(i); break;
        case op_kind::batch_norm:
        case op_kind::add:
        case op_kind::multiply: {
            s.kind = o.kind == op_kind::batch_norm ? step_kind::affine : o.kind == op_kind::add ? step_kind::add : step_kind::multiply;
            s.op = i;
            s.in = tensor_of(r.a[k]);
            if (r.b[k] >= 0) s.in2 = tensor_of(r.b[k]);
            const int last = absorb(i, s, false, false);
            s.out = new_buffer(out_of(i));
            s.defines = true;
            value[static_cast<std::size_t>(last)] = s.out;
            emit(s);
            break;
        }
        case op_kind::concat: concatenate(i); break;
        case op_kind::select: select_end(i); break;
        case op_kind::quantise:
            if (is_pooled(o)) {
                leave_stream(i);
                break;
            }
            if (has(o.flags, op_flag::is_measured)) measure(i);
            if (has(o.flags, op_flag::is_cut) && (passes_as_it_is(i) || sends_bytes(o)) && is_u8[static_cast<std::size_t>(r.a[k])]) { // the same bytes on both sides
                is_u8[k] = true;
                range[k] = range[static_cast<std::size_t>(r.a[k])];
                value8[k] = value8[static_cast<std::size_t>(r.a[k])];
                if (value8[k] >= 0) break;
            }
            encode_item(i, tensor_of(r.a[k]), o.codec, has(o.flags, op_flag::is_cut) && passes_as_it_is(i));
            if (!has(o.flags, op_flag::is_cut)) decode_item(i, false);
            break;
        case op_kind::softmax: s.kind = step_kind::softmax; simple(i, s); break;
        case op_kind::max_pool: s.kind = step_kind::max_pool; simple(i, s); break;
        case op_kind::avg_pool: s.kind = step_kind::avg_pool; simple(i, s); break;
        case op_kind::global_pool: s.kind = step_kind::global_pool; simple(i, s); break;
        case op_kind::upsample: s.kind = step_kind::upsample; simple(i, s); break;
        case op_kind::pad: s.kind = step_kind::pad; simple(i, s); break;
        case op_kind::pad_channels:
            s.kind = step_kind::pad_channels;
            s.offset = o.size.channels;
            simple(i, s);
            break;
        case op_kind::slice_channels:
            s.kind = step_kind::slice_channels;
            s.offset = o.size.channels;
            simple(i, s);
            break;
        case op_kind::l2_normalise: s.kind = step_kind::l2_normalise; simple(i, s); break;
        case op_kind::radix_softmax:
            s.kind = step_kind::radix_softmax;
            s.offset = o.size.channels;
            simple(i, s);
            break;
        case op_kind::gdn: divisive(i); break;
        case op_kind::subsample: s.kind = step_kind::subsample; simple(i, s); break;
        case op_kind::flatten:
            if (flattens_bytes(i)) break;
            if (out_of(r.a[k]).is_vector()) value[k] = tensor_of(r.a[k]);
            else {
                s.kind = step_kind::flatten;
                simple(i, s);
            }
            break;
        default:
            s.kind = step_kind::activate;
            s.activation = activation_of(o.kind);
            s.slope = o.values[0];
            simple(i, s);
            break;
        }
    }
};

template <std::size_t N, std::size_t S>
constexpr step_list<N, S> lower(const body<N, S>& g, const resolved<N, S>& r, const shaped<N>& p, const cut_table& cuts, bool may_winograd, bool may_fuse_codec, precision runs,
                                const kept_ops<N>& kept) {
    if (cuts.why.what != code::fine) return {};
    lowering<N, S> l(g, r, p, cuts);
    l.may_winograd = may_winograd;
    l.may_fuse_codec = may_fuse_codec;
    l.runs = runs;
    l.in_f32 = kept.in_f32;
    l.trunk = place_of_streams(g, r);
    return l.run();
}

} // namespace splitdsl::graph

namespace splitdsl {
/// Whether convolutions quantise for a calibrated codec behind them. `static constexpr bool fuses_codec = false;` in a network's struct keeps the codec a step of
/// its own, as tests and measurements do: the same bytes.
template <class Network>
inline constexpr bool may_fuse_codec = [] {
    if constexpr (requires { Network::fuses_codec; }) return static_cast<bool>(Network::fuses_codec);
    else return true;
}();
template <class Network>
inline constexpr auto steps_of = graph::lower(graph_of<Network>, resolved_of<Network>, shaped_of<Network>, cuts_of<Network>, may_winograd<Network>, may_fuse_codec<Network>,
                                              precision_of<Network>, graph::kept<Network>());
} // namespace splitdsl
