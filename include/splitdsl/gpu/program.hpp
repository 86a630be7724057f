// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file program.hpp
/// A network's step list as the GPU executor reads it: the compile-time plan itself, in plain vectors that no longer depend on its type.
#pragma once

#include <splitdsl/check/check.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace splitdsl::gpu {

/// One step of the plan, with what its kernel needs from its op.
struct step {
    graph::step plan{};                 ///< kind, buffers, stage, activation
    op from{};                          ///< the op it came from: kernel, stride, padding, values, flags, codec
    int parameters{-1}, norm_parameters{-1};    ///< index of the first parameter, -1: none
    float epsilon{};
    bool has_bias{};
    codec_id codec{codec_id::float32};  ///< of encode and decode
    int input{-1};                      ///< of load_input, and of a branch that a command decides: the network input
    int exit{-1};                       ///< of a branch that sizes decide: the stream exit
    bool is_u8{}, interleaved{}, normalises{};  ///< of load_input and load_u8
    int ranges{-1};                     ///< of an int8 network: index of the parameter "int8.ranges"; "int8.shifts" follows
    int shift{};                        ///< of a step whose result is bytes: values of "int8.shifts" before its own
    std::array<float, 8> picture{};     ///< of a layer that reads a picture's bytes: mean and deviation of each channel
    int converts{-1};                   ///< of an encode or decode of bytes that cross as floats: the step that converts them, which is left out
};

/// A thing that crosses a cut: a buffer of bytes, or a network input as it came.
struct crossing {
    int buffer{-1};
    int input{-1};
    std::size_t bytes{};
};

struct program {
    std::vector<step> steps;
    std::vector<graph::buffer> buffers;
    std::vector<int> stage_first;                   ///< one more than stages
    std::vector<std::size_t> inputs;                ///< bytes each
    std::vector<std::vector<crossing>> cuts;
    std::vector<int> cut_stage;
    std::vector<graph::stream_steps> streams;
    std::vector<graph::stream_exit_steps> exits;
    std::size_t output_floats{};
    int stages() const { return static_cast<int>(stage_first.size()) - 1; }
    /// The cut that ends a stage, or -1.
    int cut_behind(int stage) const noexcept {
        for (std::size_t c = 0; c < cut_stage.size(); ++c)
            if (cut_stage[c] == stage) return static_cast<int>(c);
        return -1;
    }
};

/// Whether a kernel of ours that does the second step may do the first on the way: a batch norm (with at most a relu) or factors of channels in front of a convolution of one tap, a map's means
/// in front of a fully connected layer; or this one, which then leaves floats, in front of an output.
inline bool may_melt(const step& first, const step& then) {
    using graph::step_kind;
    if (first.plan.out < 0 || first.plan.out != then.plan.in || first.plan.stage != then.plan.stage) return false;
    if (then.plan.kind == step_kind::dense) return first.plan.kind == step_kind::global_pool;
    if (then.plan.kind == step_kind::output) return first.plan.kind == step_kind::dense;
    const bool is_conv = then.plan.kind == step_kind::conv && then.from.kernel.height == 1 && then.from.kernel.width == 1;
    return is_conv && first.plan.addend < 0 &&
           ((first.plan.kind == step_kind::affine && first.plan.activation <= graph::activation_kind::relu) ||
            (first.plan.kind == step_kind::multiply && first.plan.activation == graph::activation_kind::none));
}

namespace detail {

/// What a step reads that may melt into the one behind it is read by that one, or by the one that this melts into.
inline void lengthen_lives(program& p) {
    int reader = static_cast<int>(p.steps.size()) - 1;
    for (int i = reader - 1; i >= 0; --i) {
        const graph::step& s = p.steps[static_cast<std::size_t>(i)].plan;
        if (!may_melt(p.steps[static_cast<std::size_t>(i)], p.steps[static_cast<std::size_t>(i) + 1])) {
            reader = i;
            continue;
        }
        for (const int b : {s.in, s.in2, s.addend})
            if (b >= 0) p.buffers[static_cast<std::size_t>(b)].last = std::max(p.buffers[static_cast<std::size_t>(b)].last, reader);
    }
}

/// Bytes that cross a cut are floats on the wire alone: the encoder reads the bytes, the decoder writes them, and the floats between need no memory.
inline void join_conversions(program& p) {
    for (std::size_t i = 0; i < p.steps.size(); ++i) {
        const step& c = p.steps[i];
        const bool leaves = c.plan.kind == graph::step_kind::dequantise_u8, enters = c.plan.kind == graph::step_kind::quantise_u8;
        if (!c.plan.passes || (!leaves && !enters)) continue;
        const int floats = leaves ? c.plan.out : c.plan.in;
        for (step& s : p.steps)
            if (s.plan.passes && (leaves ? s.plan.kind == graph::step_kind::encode && s.plan.in == floats : s.plan.kind == graph::step_kind::decode && s.plan.out == floats)) s.converts = static_cast<int>(i);
        graph::buffer& between = p.buffers[static_cast<std::size_t>(floats)];
        between.is_bytes = true, between.bytes = 0;
    }
}

} // namespace detail

/// The program of a declared network. Cost: microseconds; the plan was made by the compiler.
template <class Network>
program program_of() {
    static_assert(check<Network>);
    const auto& g = graph_of<Network>;
    const auto& r = resolved_of<Network>;
    const auto& l = steps_of<Network>;
    const auto& t = parameters_of<Network>;
    program p;
    std::vector<int> inputs(g.ops.size(), -1);
    for (std::size_t i = 0; i < g.ops.size(); ++i)
        if (g.ops[i].kind == op_kind::input && r.target[i] == static_cast<int>(i)) {
            inputs[i] = static_cast<int>(p.inputs.size());
            p.inputs.push_back(static_cast<std::size_t>(graph::input_bytes(g.ops[i])));
        }
    for (int i = 0; i < l.count; ++i) {
        step s{.plan = l.steps[i], .from = g.ops[static_cast<std::size_t>(l.steps[i].op)]};
        const std::size_t at = static_cast<std::size_t>(s.plan.op);
        s.has_bias = r.has_bias[at];
        s.parameters = t.first[at];
        if (s.plan.norm >= 0) {
            s.norm_parameters = t.first[static_cast<std::size_t>(s.plan.norm)];
            s.epsilon = g.ops[static_cast<std::size_t>(s.plan.norm)].values[0];
        } else if ((s.plan.kind == graph::step_kind::affine || s.plan.kind == graph::step_kind::pointwise_u8) && s.from.kind == op_kind::batch_norm) {
            s.norm_parameters = s.parameters;
            s.epsilon = s.from.values[0];
        }
        int source = -1;
        if (s.plan.kind == graph::step_kind::load_input || s.plan.kind == graph::step_kind::load_u8) source = s.from.kind == op_kind::input ? s.plan.op : r.a[at];
        if (s.plan.kind == graph::step_kind::copy_input) source = s.plan.op;
        if (s.plan.kind == graph::step_kind::branch) source = r.b[at];
        if (source >= 0) {
            const op& o = g.ops[static_cast<std::size_t>(source)];
            s.input = inputs[static_cast<std::size_t>(source)];
            s.is_u8 = o.element == element_type::u8;
            s.interleaved = has(o.flags, op_flag::is_hwc);
            s.normalises = s.plan.kind == graph::step_kind::load_input && s.from.kind == op_kind::normalise;
            for (int e = 0; o.kind == op_kind::sizes && e < l.exit_count; ++e)
                if (l.exits[e].sizes == l.slot[source]) s.exit = e;
        }
        if (s.plan.kind == graph::step_kind::encode || s.plan.kind == graph::step_kind::decode)
            s.codec = s.from.kind != op_kind::quantise || s.from.codec == codec_id::pooled ? codec_id::float32 : s.from.codec;
        if constexpr (has_ranges<Network>) {
            s.ranges = t.count;
            const int result = s.plan.out < 0 ? -1 : l.buffers[s.plan.out].range;
            for (int k = 0; k < result; ++k) s.shift += shaped_of<Network>.out[static_cast<std::size_t>(l.range_op[k])].channels;
            if (s.plan.in >= 0 && l.buffers[s.plan.in].is_u8 && l.buffers[s.plan.in].range < 0) {
                const auto& normal = g.ops[static_cast<std::size_t>(r.a[at])].values;
                for (std::size_t c = 0; c < s.picture.size() && c < normal.size(); ++c) s.picture[c] = normal[c];
            }
        }
        p.steps.push_back(s);
    }
    p.buffers.assign(l.buffers, l.buffers + l.buffer_count);
    detail::lengthen_lives(p);
    if constexpr (has_ranges<Network>) detail::join_conversions(p);
    for (int k = 0; k < l.stages; ++k) p.stage_first.push_back(l.stage_first[k]);
    p.stage_first.push_back(l.count);
    for (int k = 0; k < cuts_of<Network>.count; ++k) {
        p.cuts.emplace_back();
        p.cut_stage.push_back(l.cut_stage[k]);
        const graph::cut_group& group = cuts_of<Network>.groups[k];
        for (int q = 0; q < group.count; ++q) {
            const graph::crossing& x = group.items[q];
            const std::int64_t size = x.is_input ? x.bytes : working_size(x.codec, shaped_of<Network>.out[static_cast<std::size_t>(x.op)].size());
            p.cuts.back().push_back({x.is_input ? -1 : l.item_buffer[k][q], x.is_input ? inputs[static_cast<std::size_t>(x.op)] : -1, static_cast<std::size_t>(size)});
        }
    }
    p.streams.assign(l.streams, l.streams + l.stream_count);
    p.exits.assign(l.exits, l.exits + l.exit_count);
    p.output_floats = static_cast<std::size_t>(l.output_floats);
    return p;
}

} // namespace splitdsl::gpu
