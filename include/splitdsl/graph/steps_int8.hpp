// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file steps_int8.hpp
/// The part of the fourth pass that makes steps on bytes: which layers run on them, and where floats become bytes and bytes floats.
#pragma once

#include <splitdsl/graph/int8.hpp>
#include <splitdsl/graph/step_list.hpp>

namespace splitdsl::graph {

/// Base of `Lowering`, whose ops, buffers and steps it works on. `N`: the number of ops.
template <class Lowering, std::size_t N>
class int8_lowering {
public:
    precision runs{};
    const bool* in_f32{};   // layers that stay so although the others run on bytes
    int value8[N]{};        // buffer of an op's tensor as bytes, or -1
    int range[N]{};         // number of its range
    static constexpr int no_range = -1, of_picture = -2;
    bool is_u8[N]{};        // its layer gives bytes, floats are made of them
    int branches = 0;       // that are open: what is converted in one is not there behind it
    int observed = 0;       // floats

    /// The tensor of an op's value as bytes.
    constexpr int bytes_of(int i) {
        Lowering& l = self();
        const std::size_t k = static_cast<std::size_t>(i);
        if (value8[k] >= 0) return value8[k];
        const int in = l.tensor_of(i);
        if (runs.in_floats) {
            new_range(i, in);
            return in;
        }
        const bool is_first = range[k] < 0;
        const int b = new_u8(i);
        l.emit({.kind = step_kind::quantise_u8, .op = i, .in = in, .out = b, .defines = true});
        if (branches == 0) value8[k] = b;
        if (is_first) observe(i, b);
        return b;
    }
    constexpr int floats_of(int i) {
        Lowering& l = self();
        const std::size_t k = static_cast<std::size_t>(i);
        const int b = l.new_buffer(l.out_of(i));
        if (l.to.buffers[static_cast<std::size_t>(value8[k])].range < 0) {
            l.emit({.kind = step_kind::load_input, .op = i, .out = b, .defines = true});
            l.touch_slot(l.r.a[k]);
        } else {
            l.emit({.kind = step_kind::dequantise_u8, .op = i, .in = value8[k], .out = b, .defines = true});
        }
        if (branches == 0) l.value[k] = b;
        return b;
    }
    /// A buffer for the bytes of an op's value, with a range if it has none yet.
    constexpr int new_u8(int i) {
        Lowering& l = self();
        const int b = l.new_buffer(l.out_of(i));
        l.to.buffers[static_cast<std::size_t>(b)].is_u8 = true;
        if (range[static_cast<std::size_t>(i)] < 0) range[static_cast<std::size_t>(i)] = l.to.range_count, l.to.range_op[l.to.range_count++] = i;
        l.to.buffers[static_cast<std::size_t>(b)].range = range[static_cast<std::size_t>(i)];
        return b;
    }
    /// The same where all is f32.
    constexpr void new_range(int i, int b) {
        if (range[static_cast<std::size_t>(i)] != no_range) return;
        range[static_cast<std::size_t>(i)] = self().to.range_count, self().to.range_op[self().to.range_count++] = i;
        observe(i, b);
    }
    constexpr void observe(int i, int b) {
        if (!runs.observes) return;
        Lowering& l = self();
        if (l.to.buffers[static_cast<std::size_t>(b)].is_u8) {
            const int floats = l.new_buffer(l.out_of(i));
            l.emit({.kind = step_kind::dequantise_u8, .op = i, .in = b, .out = floats, .defines = true});
            b = floats;
        }
        l.emit({.kind = step_kind::output, .op = i, .in = b, .offset = observed, .skip = -3});
        observed += static_cast<int>(l.out_of(i).size());
    }
    /// Whether a layer has a kernel on bytes.
    constexpr bool is_on_bytes(int i) const {
        const op& o = self().at(i);
        if (!runs.bytes || in_f32[i]) return false;
        if (o.kind == op_kind::dense) return true;
        if (o.kind != op_kind::conv || o.pad.top < 0 || o.pad.left < 0) return false;
        if (o.groups == 1) return true;
        const shape in = self().out_of(self().r.a[static_cast<std::size_t>(i)]);
        return o.groups == in.channels && o.out == in.channels && o.kernel.height == o.kernel.width && (o.kernel.height == 3 || o.kernel.height == 5)
            && o.stride.height == o.stride.width && o.stride.height <= 2 && o.dilation.height == 1 && o.dilation.width == 1;
    }
    /// Whether a normalise leaves a picture's bytes as they are: the layer behind it takes the normalisation into its weights.
    constexpr bool stays_a_picture(int i) const {
        const Lowering& l = self();
        const std::size_t k = static_cast<std::size_t>(i);
        if (!runs.bytes || l.at(l.r.a[k]).kind != op_kind::input || l.at(l.r.a[k]).element != element_type::u8 || l.r.readers[k] != 1) return false;
        const int reader = l.r.reader[k];
        return reader < static_cast<int>(N) && is_on_bytes(reader) && l.at(reader).kind == op_kind::conv && l.at(reader).groups == 1;
    }
    constexpr void load_picture(int i) {
        Lowering& l = self();
        const std::size_t k = static_cast<std::size_t>(i);
        const int b = l.new_buffer(l.out_of(i));
        l.to.buffers[static_cast<std::size_t>(b)].is_u8 = true;
        l.emit({.kind = step_kind::load_u8, .op = i, .out = b, .defines = true});
        l.touch_slot(l.r.a[k]);
        value8[k] = b;
    }

    /// Bytes in; bytes out, but for a dense layer, whose results are f32.
    constexpr void weighted_u8(int i) {
        Lowering& l = self();
        const op& o = l.at(i);
        const std::size_t from = static_cast<std::size_t>(l.r.a[static_cast<std::size_t>(i)]);
        const bool is_conv = o.kind == op_kind::conv;
        step s{};
        s.op = i;
        s.in = value8[from] >= 0 ? value8[from] : bytes_of(static_cast<int>(from));
        s.kind = !is_conv ? step_kind::dense_u8 : o.groups == 1 ? step_kind::conv_u8 : step_kind::depthwise_u8;
        if (runs.in_floats) s.kind = !is_conv ? step_kind::dense : o.groups == 1 ? step_kind::conv : step_kind::depthwise;
        const int last = l.absorb(i, s, true, is_conv && o.groups == 1);
        s.out = is_conv && !runs.in_floats ? new_u8(last) : l.new_buffer(l.out_of(i));
        s.defines = true;
        if (is_conv) l.want_halo(s.in, o, l.out_of(static_cast<int>(from)), l.out_of(i));
        l.emit(s);
        (is_conv && !runs.in_floats ? value8 : l.value)[static_cast<std::size_t>(last)] = s.out;
        is_u8[static_cast<std::size_t>(last)] = is_conv;
        if (is_conv && runs.in_floats) new_range(last, s.out);
        else if (is_conv) observe(last, s.out);
        l.to.stage_macs[static_cast<std::size_t>(l.stage)] += l.p.macs[static_cast<std::size_t>(i)];
    }
    /// Whether an op's value is bytes already, or was in the same network on bytes.
    constexpr bool has_bytes(int i) const { return runs.bytes && i >= 0 && is_u8[i]; }
    constexpr bool is_vector(int i) const { return self().out_of(i).is_vector(); }
    /// Whether an op that is no layer runs on bytes: all it reads is there.
    constexpr bool stays_on_bytes(int i) const {
        const op& o = self().at(i);
        const int a = self().r.a[static_cast<std::size_t>(i)], b = self().r.b[static_cast<std::size_t>(i)];
        if (o.kind == op_kind::concat) return runs.bytes && concat_stays_on_bytes(i);
        if (!has_bytes(a)) return false;
        switch (o.kind) {
        case op_kind::relu:
        case op_kind::relu6:
        case op_kind::hard_swish:
        case op_kind::hard_sigmoid:
        case op_kind::max_pool:
        case op_kind::avg_pool:
        case op_kind::global_pool: return true;
        case op_kind::batch_norm: return !in_f32[i];
        case op_kind::add: return has_bytes(b);
        case op_kind::multiply: return has_bytes(b) && (is_vector(b) || is_vector(a)) && !(is_vector(a) && is_vector(b));
        default: return false;
        }
    }
    constexpr bool concat_stays_on_bytes(int i) const {
        for (const int leaf : {self().r.a[static_cast<std::size_t>(i)], self().r.b[static_cast<std::size_t>(i)]}) {
            if (has_bytes(leaf)) continue;
            if (self().at(leaf).kind != op_kind::concat || self().is_placed(leaf) || !concat_stays_on_bytes(leaf)) return false;
        }
        return true;
    }
    /// Whether an activation may melt into a step that has bytes as its result; a curve of a sum with an addend has no kernel.
    constexpr bool melts_into_bytes(op_kind k, bool adds) const {
        return k == op_kind::relu || k == op_kind::relu6 || (!adds && (k == op_kind::hard_swish || k == op_kind::hard_sigmoid));
    }
    /// The tensor of an op's value for a step of either form.
    constexpr int tensor_in_form(int i) { return runs.in_floats ? self().tensor_of(i) : bytes_of(i); }

    /// A step from bytes to bytes, or its form in floats. A pool of the largest keeps its input's range.
    constexpr void unweighted_u8(int i, step s, step_kind in_floats, bool may_activate, bool keeps_range = false) {
        Lowering& l = self();
        s.op = i;
        if (runs.in_floats) s.kind = in_floats;
        const int last = may_activate ? l.absorb(i, s, false, false) : i;
        if (keeps_range) range[last] = range[l.r.a[static_cast<std::size_t>(i)]];
        s.out = runs.in_floats ? l.new_buffer(l.out_of(i)) : new_u8(last);
        s.defines = true;
        l.emit(s);
        is_made(last, s.out, keeps_range);
    }
    constexpr void is_made(int i, int b, bool keeps_range) {
        (runs.in_floats ? self().value : value8)[i] = b;
        is_u8[i] = true;
        if (keeps_range) return;
        if (runs.in_floats) new_range(i, b);
        else observe(i, b);
    }
    constexpr void on_bytes_alone(int i) {
        Lowering& l = self();
        const op& o = l.at(i);
        const int a = l.r.a[static_cast<std::size_t>(i)], b = l.r.b[static_cast<std::size_t>(i)];
        switch (o.kind) {
        case op_kind::max_pool: return unweighted_u8(i, {.kind = step_kind::max_pool_u8, .in = tensor_in_form(a)}, step_kind::max_pool, false, true);
        case op_kind::avg_pool: return unweighted_u8(i, {.kind = step_kind::avg_pool_u8, .in = tensor_in_form(a)}, step_kind::avg_pool, false);
        case op_kind::global_pool: return unweighted_u8(i, {.kind = step_kind::global_pool_u8, .in = tensor_in_form(a)}, step_kind::global_pool, false);
        case op_kind::batch_norm: return unweighted_u8(i, {.kind = step_kind::pointwise_u8, .in = tensor_in_form(a)}, step_kind::affine, true);
        case op_kind::concat: return concatenate_u8(i);
        case op_kind::multiply: {
            const int whole = is_vector(b) ? a : b, factors = is_vector(b) ? b : a;
            step s{.kind = step_kind::multiply_u8, .in = tensor_in_form(whole)};
            s.in2 = tensor_in_form(factors);
            return unweighted_u8(i, s, step_kind::multiply, true);
        }
        case op_kind::add: {
            step s{.kind = step_kind::pointwise_u8, .in = tensor_in_form(a)};
            (runs.in_floats ? s.in2 : s.addend) = tensor_in_form(b);
            return unweighted_u8(i, s, step_kind::add, true);
        }
        default: // an activation
            unweighted_u8(i, {.kind = step_kind::pointwise_u8, .activation = activation_of(o.kind), .in = tensor_in_form(a)}, step_kind::activate, false);
        }
    }
    constexpr void concatenate_u8(int i) {
        Lowering& l = self();
        if (l.melts_into_concat(i)) return;
        int out = -1;
        l.each_operand(i, [&](int leaf, int channel) {
            const int in = tensor_in_form(leaf);
            const bool first = out < 0;
            if (first) out = runs.in_floats ? l.new_buffer(l.out_of(i)) : new_u8(i);
            l.emit({.kind = runs.in_floats ? step_kind::copy_channels : step_kind::pointwise_u8, .op = i, .in = in, .out = out, .offset = channel, .defines = first});
        });
        is_made(i, out, false);
    }
    /// A vector is flat already.
    constexpr bool flattens_bytes(int i) {
        const int a = self().r.a[static_cast<std::size_t>(i)];
        if (!has_bytes(a) || !is_vector(a)) return false;
        range[i] = range[a];
        (runs.in_floats ? self().value : value8)[i] = tensor_in_form(a);
        return is_u8[i] = true;
    }

    /// Whether a codec's payload is a tensor's bytes as they are, if it has some.
    static constexpr bool sends_bytes(const op& o) { return has_range(o) && o.codec == codec_id::affine8; }
    /// What enters a codec, behind the declared outputs: where calibration looks for its range.
    constexpr void measure(int i) {
        Lowering& l = self();
        const int from = l.tensor_of(l.r.a[static_cast<std::size_t>(i)]);
        l.emit({.kind = step_kind::output, .op = i, .in = from, .offset = observed, .skip = -3});
        observed += static_cast<int>(l.out_of(i).size());
    }

    /// Bytes cross a calibrated cut as they are. A lossless one's become floats for the wire, and the same bytes again behind it. Needless where both sides
    /// run as one.
    constexpr bool crosses_as_u8(const crossing& x) const {
        const std::size_t k = static_cast<std::size_t>(x.op);
        return !x.is_input && is_u8[k] && value8[k] >= 0;
    }

private:
    constexpr Lowering& self() { return static_cast<Lowering&>(*this); }
    constexpr const Lowering& self() const { return static_cast<const Lowering&>(*this); }
};

} // namespace splitdsl::graph
