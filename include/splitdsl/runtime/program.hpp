// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file program.hpp
/// A network's plan as the executor reads it: one flat table of steps with every distance and shape resolved for this instruction set.
#pragma once

#include <kernels/simd/winograd_cut.hpp>
#include <splitdsl/check/check.hpp>
#include <splitdsl/runtime/pipeline.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {

namespace simd = kernels::simd;

/// A buffer as a step sees it.
struct placed {
    static constexpr std::ptrdiff_t none = -1;
    std::ptrdiff_t at{none};            ///< bytes from the arena to the interior's first float, or to the bytes; of a sliding map that may lie in front of the arena
    std::ptrdiff_t start{};             ///< bytes from the arena to the buffer (halo included)
    std::int32_t row{}, block{};        ///< floats
    shape of{};
    std::int16_t top{}, left{}, bottom{}, right{};
    int window{};                       ///< rows that it holds at a time, of a map within a chain; `at` is then for its first ones
    bool is_u8{};                       ///< a tensor of bytes: `row` and `block` (from pixel to pixel) are bytes
    bool in_quads{};                    ///< a picture: four floats from pixel to pixel
    int range{-1};                      ///< of such a tensor
    constexpr bool has_halo() const { return (top | left | bottom | right) != 0; }
};

struct instruction {
    graph::step_kind kind{};
    simd::activation activation{};
    codec_id codec{};
    bool defines{}, passes{}, flag_a{}, flag_b{};  ///< ceil/bilinear/hwc/squared and count_include_pad/align_corners/inverse, by kind
    bool from_slot{}, is_u8{}, normalises{};
    float slope{};
    std::array<float, 8> values{};
    placed in{}, in2{}, addend{}, out{};
    simd::conv_shape conv{};
    int pad_bottom{}, pad_right{};
    int input{-1};                      ///< index of a network input
    std::ptrdiff_t slot{-1};            ///< bytes from the arena to the input's slot
    int offset{};                       ///< channel, branch or output float
    int skip{-1};
    int stage{};
    int chain{}, band{};                ///< steps of the chain that begins here, and the rows its last step makes at a time
    graph::row_span rows{};             ///< of a chain's steps
    int part{-1}, fan{-1};
    int parameters{-1};                 ///< index of the first parameter, -1: none
    int norm_parameters{-1};
    bool has_bias{};
    float epsilon{};
    std::int64_t encoded{};             ///< bytes
    std::ptrdiff_t scratch{};           ///< bytes from the arena to what it works in; parts of a fan have one each
    simd::winograd_cut winograd{};
    int ranges{-1};                     ///< index of the parameter that holds them, if this step has to do with bytes; the shifts follow
    int shift{};                        ///< where `out`'s shifts begin
    std::ptrdiff_t payload{-1};         ///< bytes from the arena to the payload tensor that a convolution's epilogue fills (`encoded` bytes), -1: none
    int payload_row{};                  ///< of that tensor, the first that is made
    int payload_range{-1};              ///< index of the parameter that holds its codec's range; also of an encoder, -1: it finds its own
    bool is_done{};                     ///< by the step before it
};

struct stored_item {
    std::ptrdiff_t at{};
    std::int64_t bytes{};               ///< in working memory, and on the wire unless a prior codes it
    int coder{-1};                      ///< the step with that prior's tables
    int command_limit{-1};              ///< of a u8 input a select reads: its number of branches
};

template <class Network>
struct program {
    static constexpr std::size_t count = static_cast<std::size_t>(steps_of<Network>.count);
    std::array<instruction, count> code{};
    std::array<int, max_stages + 1> stage_first{};
    std::array<std::uint64_t, max_stages> stage_macs{};
    std::array<std::array<stored_item, max_group_tensors>, max_network_cuts> items{};
    std::array<int, max_network_cuts> item_count{};
    int stages{};
    std::size_t arena{};
    std::size_t outputs{};
};

/// Position of an op among the network's inputs, in declaration order.
template <class Network>
constexpr int input_index(int op) {
    int n = 0;
    for (int i = 0; i < op; ++i)
        if (graph_of<Network>.ops[static_cast<std::size_t>(i)].kind == op_kind::input && resolved_of<Network>.target[static_cast<std::size_t>(i)] == i) ++n;
    return n;
}
template <class Network>
constexpr int input_count() { return input_index<Network>(static_cast<int>(graph_of<Network>.ops.size())); }

/// Distances inside a tensor are 32-bit numbers, also where a few channels take a whole block of lanes.
template <class Network>
constexpr bool has_short_distances() {
    for (int b = 0; b < steps_of<Network>.buffer_count; ++b) {
        const graph::buffer& t = steps_of<Network>.buffers[static_cast<std::size_t>(b)];
        const std::int64_t pixel = t.is_bytes ? 0 : t.is_u8 ? graph::byte_pitch(t.of.channels, t.range < 0) : t.in_quads ? 4 : simd::lanes;
        const int window = chains_of<Network>.window[static_cast<std::size_t>(b)];
        if (pixel * (std::int64_t{t.of.width} + t.left + t.right) * (window > 0 ? window : std::int64_t{t.of.height} + t.top + t.bottom) > INT32_MAX) return false;
    }
    return true;
}

template <class Network>
constexpr placed place_buffer(int b) {
    if (b < 0) return {};
    const graph::buffer& t = steps_of<Network>.buffers[static_cast<std::size_t>(b)];
    placed p;
    p.start = memory_of<Network, simd::lanes>.offset[static_cast<std::size_t>(b)];
    p.of = t.of;
    p.top = t.top, p.left = t.left, p.bottom = t.bottom, p.right = t.right;
    p.window = chains_of<Network>.window[static_cast<std::size_t>(b)];
    if (t.is_bytes) {
        p.at = p.start;
        return p;
    }
    if (t.is_u8) {
        p.is_u8 = true;
        p.range = t.range;
        p.block = graph::byte_pitch(t.of.channels, t.range < 0);
        p.row = (t.of.width + t.left + t.right) * p.block;
        p.at = p.start + std::ptrdiff_t{t.top} * p.row + std::ptrdiff_t{t.left} * p.block;
        return p;
    }
    const int pixel = t.in_quads ? 4 : simd::lanes;
    p.in_quads = t.in_quads;
    p.row = (t.of.width + t.left + t.right) * pixel;
    p.block = p.row * (p.window > 0 ? p.window : t.of.height + t.top + t.bottom);
    p.at = p.start + 4 * (std::ptrdiff_t{t.top} * p.row + std::ptrdiff_t{t.left} * pixel);
    return p;
}

template <class Network>
constexpr program<Network> write_program() {
    constexpr const auto& g = graph_of<Network>;
    constexpr const auto& r = resolved_of<Network>;
    constexpr const auto& l = steps_of<Network>;
    constexpr const auto& t = parameters_of<Network>;
    static_assert(has_short_distances<Network>(), "splitdsl: a tensor's block of channels (one a lane) has more than 2^31 - 1 floats on this instruction set. Use a smaller input or more stride.");
    program<Network> p;
    for (std::size_t i = 0; i < program<Network>::count; ++i) {
        const graph::step& s = l.steps[i];
        const op& o = g.ops[static_cast<std::size_t>(s.op)];
        instruction& c = p.code[i];
        c.kind = s.kind;
        c.activation = static_cast<simd::activation>(s.activation);
        c.codec = o.codec;
        c.defines = s.defines;
        c.passes = s.passes;
        c.slope = s.slope;
        c.values = o.values;
        c.in = place_buffer<Network>(s.in);
        c.in2 = place_buffer<Network>(s.in2);
        c.addend = place_buffer<Network>(s.addend);
        c.out = place_buffer<Network>(s.out);
        if (s.scratch >= 0) c.scratch = memory_of<Network, simd::lanes>.offset[static_cast<std::size_t>(s.scratch)];
        c.winograd = {s.chunk, s.tasks, c.in.in_quads ? 4 : simd::lanes};
        c.offset = s.offset;
        c.skip = s.skip;
        c.stage = s.stage;
        c.chain = chains_of<Network>.length[i];
        c.band = chains_of<Network>.band[i];
        c.rows = chains_of<Network>.rows[i];
        c.part = s.part;
        c.fan = s.fan;
        c.has_bias = r.has_bias[static_cast<std::size_t>(s.op)];
        c.parameters = t.first[static_cast<std::size_t>(s.op)];
        if (s.norm >= 0) {
            c.norm_parameters = t.first[static_cast<std::size_t>(s.norm)];
            c.epsilon = g.ops[static_cast<std::size_t>(s.norm)].values[0];
        } else if ((s.kind == graph::step_kind::affine || s.kind == graph::step_kind::pointwise_u8) && o.kind == op_kind::batch_norm) {
            c.norm_parameters = c.parameters;
            c.epsilon = o.values[0];
        }
        c.flag_a = has(o.flags, op_flag::ceil) || has(o.flags, op_flag::bilinear) || has(o.flags, op_flag::squared);
        c.flag_b = has(o.flags, op_flag::count_include_pad) || has(o.flags, op_flag::align_corners) || has(o.flags, op_flag::inverse);
        const shape in = s.in >= 0 ? c.in.of : shape{}, out = c.out.of;
        c.conv = {in.channels, in.height, in.width, out.channels, out.height, out.width, o.kernel.height, o.kernel.width, o.stride.height, o.stride.width,
                  o.pad.top, o.pad.left, o.dilation.height, o.dilation.width, o.groups};
        c.pad_bottom = o.pad.bottom;
        c.pad_right = o.pad.right;
        int from_input = -1;
        if (s.kind == graph::step_kind::load_input || s.kind == graph::step_kind::load_u8) from_input = o.kind == op_kind::input ? s.op : r.a[static_cast<std::size_t>(s.op)];
        if (s.kind == graph::step_kind::copy_input) from_input = s.op;
        if (s.kind == graph::step_kind::branch) from_input = r.b[static_cast<std::size_t>(s.op)];
        if (from_input >= 0) {
            const op& source = g.ops[static_cast<std::size_t>(from_input)];
            c.input = source.kind == op_kind::sizes ? -1 : input_index<Network>(from_input);
            c.is_u8 = source.element == element_type::u8;
            c.flag_a = has(source.flags, op_flag::is_hwc);
            c.normalises = s.kind != graph::step_kind::copy_input && o.kind == op_kind::normalise;
            c.encoded = graph::input_bytes(source);
            if (const int slot = l.slot[static_cast<std::size_t>(from_input)]; slot >= 0) c.slot = memory_of<Network, simd::lanes>.offset[static_cast<std::size_t>(slot)];
        }
        if (c.in.is_u8 || c.out.is_u8) {
            c.ranges = t.count;
            for (int k = 0; k < c.out.range; ++k) c.shift += shaped_of<Network>.out[static_cast<std::size_t>(l.range_op[k])].channels;
            // of the picture that the layer reads: what normalises it
            if (c.in.is_u8 && c.in.range < 0) c.values = g.ops[static_cast<std::size_t>(r.a[static_cast<std::size_t>(s.op)])].values;
        }
        if (s.kind == graph::step_kind::encode || s.kind == graph::step_kind::decode) {
            const int bytes_buffer = s.kind == graph::step_kind::encode ? s.out : s.in;
            c.encoded = l.buffers[static_cast<std::size_t>(bytes_buffer)].bytes;
            if (o.kind != op_kind::quantise || o.codec == codec_id::pooled) c.codec = codec_id::float32;       // a carried tap, or a stream's map
        }
        if (s.kind == graph::step_kind::encode && graph::has_range(o)) c.payload_range = t.first[static_cast<std::size_t>(s.op)];
        if (s.ends_conv) {
            instruction& conv = p.code[i - 1];
            conv.payload = c.out.at;
            conv.payload_range = c.payload_range;
            conv.encoded = c.encoded;
            c.is_done = true;
        }
    }
    for (int k = 0; k < l.stages; ++k) {
        p.stage_first[static_cast<std::size_t>(k)] = l.stage_first[static_cast<std::size_t>(k)];
        p.stage_macs[static_cast<std::size_t>(k)] = static_cast<std::uint64_t>(l.stage_macs[static_cast<std::size_t>(k)]);
    }
    p.stage_first[static_cast<std::size_t>(l.stages)] = l.count;
    p.stages = l.stages;
    for (int k = 0; k < cuts_of<Network>.count; ++k) {
        const graph::cut_group& group = cuts_of<Network>.groups[static_cast<std::size_t>(k)];
        p.item_count[static_cast<std::size_t>(k)] = group.count;
        for (int q = 0; q < group.count; ++q) {
            const graph::crossing& x = group.items[static_cast<std::size_t>(q)];
            stored_item& item = p.items[static_cast<std::size_t>(k)][static_cast<std::size_t>(q)];
            item.at = memory_of<Network, simd::lanes>.offset[static_cast<std::size_t>(l.item_buffer[static_cast<std::size_t>(k)][static_cast<std::size_t>(q)])];
            item.bytes = x.is_input ? x.bytes : working_size(x.codec, shaped_of<Network>.out[static_cast<std::size_t>(x.op)].size());
            for (std::size_t i = 0; x.codec == codec_id::entropy && i < program<Network>::count; ++i)
                if (l.steps[i].kind == graph::step_kind::encode && l.steps[i].op == x.op) item.coder = static_cast<int>(i);
            if (x.is_input)
                for (std::size_t i = 0; i < g.ops.size(); ++i)
                    if (g.ops[i].kind == op_kind::select && r.used[i] && r.b[i] == x.op) item.command_limit = g.ops[i].out;
        }
    }
    p.arena = static_cast<std::size_t>((memory_of<Network, simd::lanes>.arena + 127) / 64 * 64);
    p.outputs = static_cast<std::size_t>(l.output_floats);
    return p;
}

/// Names and sizes of what goes in, comes out and crosses.
struct described_tensor {
    text_ref name{};
    shape of{};
    std::int64_t bytes{};
    int stage{};
    const char* codec{""};
    int first_float{-1};                ///< of an exit of the trunk: where its values begin
};
struct described_interface {
    described_tensor cuts[max_network_cuts]{};
    described_tensor inputs[most_tensors]{};
    described_tensor outputs[most_tensors]{};
    int input_count{}, output_count{};
};
template <class Network>
constexpr described_interface describe_interface() {
    described_interface d;
    constexpr const auto& g = graph_of<Network>;
    constexpr const auto& r = resolved_of<Network>;
    constexpr const auto& shapes = shaped_of<Network>;
    constexpr const auto& l = steps_of<Network>;
    for (int k = 0; k < cuts_of<Network>.count; ++k)
        d.cuts[k] = {refer(cuts_of<Network>.groups[k].name), {}, cuts_of<Network>.groups[k].payload, steps_of<Network>.cut_stage[k], graph::codec_word(g.ops[static_cast<std::size_t>(cuts_of<Network>.groups[k].items[0].op)])};
    for (std::size_t i = 0; i < g.ops.size(); ++i)
        if (g.ops[i].kind == op_kind::input && r.target[i] == static_cast<int>(i) && d.input_count < most_tensors)
            d.inputs[d.input_count++] = {g.ops[i].label, g.ops[i].size, graph::input_bytes(g.ops[i]), 0};
    auto output = [&](text_ref name, int op) {
        if (d.output_count < most_tensors) d.outputs[d.output_count++] = {name, shapes.out[op], shapes.out[op].size() * 4, 0};
    };
    if (r.tasks == 0) output(refer("output"), r.result);
    for (const bool exits : {false, true})
        for (std::size_t i = 0; i < g.ops.size(); ++i)
            if (g.ops[i].kind == op_kind::output && has(g.ops[i].flags, op_flag::is_exit) == exits) {
                const int k = d.output_count;
                output(g.ops[i].label, r.a[i]);
                for (int s = 0; exits && d.output_count > k && s < l.count; ++s)
                    if (const graph::step& from = l.steps[static_cast<std::size_t>(s)]; from.kind == graph::step_kind::output && from.op == static_cast<int>(i) && from.stage < l.trunk_stages)
                        d.outputs[k].stage = from.stage, d.outputs[k].first_float = from.offset;
            }
    return d;
}

/// What `pipeline::streams` and `pipeline::stream_exits` say; only for networks that have some.
struct described_streams {
    stream_info streams[max_network_streams]{};
    stream_exit_info exits[max_stages]{};
    text_ref stream_names[max_network_streams]{}, exit_names[max_stages]{};
};
template <class Network>
constexpr described_streams describe_streams() {
    constexpr const auto& l = steps_of<Network>;
    constexpr const auto& g = graph_of<Network>;
    constexpr const auto& r = resolved_of<Network>;
    constexpr const auto& shapes = shaped_of<Network>;
    described_streams d;
    for (int s = 0; s < l.stream_count; ++s) {
        const graph::stream_steps& from = l.streams[s];
        const op& o = g.ops[static_cast<std::size_t>(from.op)];
        const shape map = shapes.out[r.a[static_cast<std::size_t>(from.op)]], pooled = shapes.out[from.op];
        const pool_ladder ladder = graph::pooled_sizes(o, map).ladder;
        d.streams[s] = {.channels = map.channels, .height = map.height, .width = map.width, .stride = o.stride.height, .smallest = ladder.sizes[0],
                        .largest = ladder.sizes[static_cast<std::size_t>(ladder.levels - 1)], .step = o.dilation.height,
                        .widths = ladder.widths, .rows = pooled.height, .columns = pooled.width, .stage = from.stage, .map = static_cast<std::size_t>(place_buffer<Network>(from.map).start),
                        .pooled = static_cast<std::size_t>(place_buffer<Network>(from.pooled).start)};
        d.stream_names[s] = o.label;
    }
    for (int e = 0; e < l.exit_count; ++e) {
        const graph::stream_exit_steps& from = l.exits[e];
        d.exits[e] = {.stage = from.stage, .floats = static_cast<std::size_t>(shapes.out[r.a[static_cast<std::size_t>(from.op)]].size()), .reads = from.reads,
                      .sizes = from.sizes < 0 ? 0 : static_cast<std::size_t>(place_buffer<Network>(from.sizes).start), .before_sizes = from.before, .here_sizes = from.here};
        for (int s = 0; s < l.count; ++s)
            if (l.steps[s].kind == graph::step_kind::output && l.steps[s].op == from.op) d.exits[e].first_float = static_cast<std::size_t>(l.steps[s].offset);
        d.exit_names[e] = g.ops[static_cast<std::size_t>(from.op)].label;
    }
    return d;
}

/// The table itself; only this copy is read at run time, so nothing outside this instruction set's namespace is emitted.
template <class Network>
inline constexpr program<Network> program_of = write_program<Network>();

} // namespace splitdsl::inline SPLITDSL_ARCH
