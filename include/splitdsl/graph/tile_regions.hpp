// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_regions.hpp
/// Which rows and columns of every map a tile needs: fused tile partitioning, from a tile of the last map back to the input.
///
/// A step that makes a region of its map reads a region of its input that is larger by the reach of its window: the halo. Followed back through all steps of a
/// segment this gives the region of each map, and at its begin the region of its input. Windows beyond a picture's border find zeros, as in the whole run;
/// a tile's inner borders find the neighbours' values, computed again. A Winograd convolution makes whole tiles of its own that stand where they stand in the whole
/// run, so every value is the sum of the same products in the same order.
/// Source: Zhao, Barijough, Gerstlauer, DeepThings, IEEE TCAD 37(11), 2018, section III.
#pragma once

#include <splitdsl/graph/memory.hpp>

namespace splitdsl::graph {

/// Rows [top, bottom) and columns [left, right) of a map.
struct region {
    int top{}, left{}, bottom{}, right{};
    constexpr int height() const { return bottom - top; }
    constexpr int width() const { return right - left; }
    constexpr bool empty() const { return bottom <= top || right <= left; }
    constexpr std::int64_t pixels() const { return empty() ? 0 : std::int64_t{height()} * width(); }
    constexpr bool operator==(const region&) const = default;
};
constexpr region whole_of(shape s) { return {0, 0, s.height, s.width}; }
constexpr region hull(const region& x, const region& y) {
    if (x.empty()) return y;
    if (y.empty()) return x;
    return {least_of(x.top, y.top), least_of(x.left, y.left), most_of(x.bottom, y.bottom), most_of(x.right, y.right)};
}

/// A network's passes as plain pointers, so that one copy of this code serves all networks, at compile time and at run time.
struct tile_source {
    const op* ops{};
    const scope* scopes{};
    const int* operand{};               ///< of each op, its first one
    const int* name{};                  ///< of each op, its innermost name scope
    const int* parent{};                ///< of each name scope
    const shape* shapes{};
    const std::int64_t* macs{};
    const step* steps{};
    int count{};
    const buffer* buffers{};
    int buffer_count{};
    int streams{};                      ///< of dynamic_pool

    constexpr const step& at(int i) const { return steps[i]; }
    constexpr const op& op_of(const step& s) const { return ops[s.op]; }
    constexpr shape map(int b) const { return buffers[b].of; }
    constexpr region whole(int b) const { return buffers[b].is_bytes ? region{0, 0, 1, 1} : whole_of(map(b)); }
};

/// Steps that do nothing where both sides of a cut run as one, or that only keep a raw input for the wire.
constexpr bool is_skipped(const step& s) { return s.kind == step_kind::copy_input || (s.passes && (s.kind == step_kind::encode || s.kind == step_kind::decode)); }
constexpr bool is_winograd(step_kind k) { return k >= step_kind::winograd_2x2 && k <= step_kind::winograd_2x2_of_5x5; }
constexpr bool is_direct(step_kind k) { return k == step_kind::conv || k == step_kind::depthwise || k == step_kind::grouped_conv; }
constexpr bool has_window(step_kind k) { return is_direct(k) || is_winograd(k) || k == step_kind::max_pool || k == step_kind::avg_pool; }

/// Calls visit(buffer) for what a step reads.
template <class Visit>
constexpr void each_read(const step& s, Visit visit) {
    if (s.kind == step_kind::branch) return;
    if (s.in >= 0) visit(s.in);
    if (s.in2 >= 0 && s.in2 != s.in) visit(s.in2);
    if (s.addend >= 0) visit(s.addend);
}

/// Nearest neighbour by a whole factor, and every position's neighbour is that of its tile: PyTorch's positions are products in float.
constexpr bool repeats_evenly(int in, int out) {
    if (in < 1 || out % in != 0) return false;
    const float scale = static_cast<float>(in) / static_cast<float>(out);
    for (int y = 0; y < out; ++y)
        if (static_cast<int>(static_cast<float>(y) * scale) != y / (out / in)) return false;
    return true;
}

/// Why a step runs on whole maps alone; null if it can make a region of its map.
constexpr const char* why_whole(const tile_source& n, const step& s) {
    switch (s.kind) {
    case step_kind::conv_transpose: return "a transposed convolution is not cut into tiles";
    case step_kind::dense: return "a dense layer reads every value";
    case step_kind::softmax:
    case step_kind::radix_softmax: return "a softmax reads the whole vector";
    case step_kind::global_pool: return "a global pooling reads every pixel";
    case step_kind::flatten: return "a flattened map has no pixels";
    case step_kind::encode:
    case step_kind::decode: return "a codec works on the whole tensor";
    case step_kind::output: return "an output leaves as a whole";
    case step_kind::upsample:
        if (has(n.op_of(s).flags, op_flag::bilinear)) return "a bilinear upsampling's positions depend on the whole map";
        if (!repeats_evenly(n.map(s.in).height, n.map(s.out).height) || !repeats_evenly(n.map(s.in).width, n.map(s.out).width)) return "an upsampling by no whole factor depends on the whole map";
        return nullptr;
    default: return nullptr;
    }
}
/// Why a network with this step is not run in segments at all; null if it can be.
constexpr const char* why_not(const tile_source& n, const step& s) {
    if (n.streams > 0) return "networks with streams are not run in tiles";
    if (s.kind == step_kind::branch) return "a select's branches are not run in tiles";
    if (s.kind == step_kind::encode && n.op_of(s).codec == codec_id::entropy) return "networks with a learned prior are not run in tiles";
    if (s.kind >= step_kind::load_u8 && s.kind <= step_kind::multiply_u8) return "networks on bytes are not run in tiles";
    if ((s.kind == step_kind::encode || s.kind == step_kind::decode) && (s.in < 0 || s.out < 0 || n.buffers[s.in].is_u8 || n.buffers[s.out].is_u8)) return "networks on bytes are not run in tiles";
    return nullptr;
}

/// How positions along one axis of a step's map depend on its input's: as `row_span` says it of rows.
struct window_axis {
    int stride{1}, before{}, reach{1}, granule{1};
    constexpr int first_for(int begin) const { return begin * stride - before; }
    constexpr int end_for(int end) const { return (end - 1) / granule * granule * stride - before + reach; }
};
struct window_axes { window_axis down, across; };

/// A Winograd form's tile along an axis.
constexpr int winograd_tile(step_kind k, int kernel) {
    switch (k) {
    case step_kind::winograd_2x2:
    case step_kind::winograd_2x2_of_5x5: return 2;
    case step_kind::winograd_3x3_strided: return 3;
    case step_kind::winograd_line: return kernel == 1 ? 1 : 6;
    default: return 4;
    }
}
constexpr window_axis axis_of(step_kind k, int kernel, int stride, int dilation, int before) {
    window_axis x{stride, before, dilation * (kernel - 1) + 1, 1};
    if (is_winograd(k)) {
        x.granule = winograd_tile(k, kernel);
        x.reach = stride == 1 ? x.granule - 1 + kernel : stride * (x.granule + (k == step_kind::winograd_3x3_strided ? 3 : 2)); // a phase's tile
    }
    return x;
}
constexpr window_axes axes_of(const tile_source& n, const step& s) {
    const op& o = n.op_of(s);
    if (s.kind == step_kind::subsample) return {{o.stride.height}, {o.stride.width}};
    if (s.kind == step_kind::pad) return {{1, o.pad.top}, {1, o.pad.left}};
    if (!has_window(s.kind)) return {};
    return {axis_of(s.kind, o.kernel.height, o.stride.height, o.dilation.height, o.pad.top), axis_of(s.kind, o.kernel.width, o.stride.width, o.dilation.width, o.pad.left)};
}

/// Positions [begin, end) grown to whole granules, and until one of their windows meets the input (`in` positions): kernels look at no padding alone.
constexpr void grow(const window_axis& x, int in, int out, int& begin, int& end) {
    begin = begin / x.granule * x.granule;
    while (begin > 0 && x.first_for(begin) >= in) begin -= x.granule;
    end = least_of(out, (end + x.granule - 1) / x.granule * x.granule);
    while (end < out && x.end_for(end) <= 0) end = least_of(out, end + x.granule);
}
constexpr region grown(const tile_source& n, const step& s, region r) {
    if (why_whole(n, s)) return n.whole(s.out);
    const shape out = n.map(s.out);
    if (s.kind == step_kind::upsample) {
        const int down = out.height / n.map(s.in).height, across = out.width / n.map(s.in).width;
        return {r.top / down * down, r.left / across * across, (r.bottom + down - 1) / down * down, (r.right + across - 1) / across * across};
    }
    if (!has_window(s.kind) && s.kind != step_kind::pad) return r;
    const window_axes w = axes_of(n, s);
    grow(w.down, n.map(s.in).height, out.height, r.top, r.bottom);
    grow(w.across, n.map(s.in).width, out.width, r.left, r.right);
    return r;
}

/// What a step reads of its first operand for a region of its map, inside that operand; and what of its windows lies outside.
struct seen_region {
    region of{};
    int top{}, left{}, bottom{}, right{};   ///< rows and columns of padding around `of`
};
constexpr seen_region seen_by(const tile_source& n, const step& s, const region& made) {
    const region all = n.whole(s.in);
    if (why_whole(n, s)) {
        const op& o = n.op_of(s);
        return {all, o.pad.top, o.pad.left, o.pad.bottom, o.pad.right};
    }
    if (s.kind == step_kind::upsample) {
        const int down = n.map(s.out).height / all.bottom, across = n.map(s.out).width / all.right;
        return {{made.top / down, made.left / across, made.bottom / down, made.right / across}};
    }
    const window_axes w = axes_of(n, s);
    const region reach{w.down.first_for(made.top), w.across.first_for(made.left), w.down.end_for(made.bottom), w.across.end_for(made.right)};
    seen_region x;
    x.of = {most_of(0, reach.top), most_of(0, reach.left), least_of(all.bottom, reach.bottom), least_of(all.right, reach.right)};
    // A window that ends in front of the picture is met by its first row all the same.
    if (x.of.bottom <= x.of.top) x.of.bottom = x.of.top + 1;
    if (x.of.right <= x.of.left) x.of.right = x.of.left + 1;
    x.top = x.of.top - reach.top, x.left = x.of.left - reach.left;
    x.bottom = most_of(0, reach.bottom - x.of.bottom), x.right = most_of(0, reach.right - x.of.right);
    return x;
}
/// Of a step's second operand and its addend: the same pixels, or a factor for each channel.
constexpr region beside(const tile_source& n, int operand, const step& s, const region& made) {
    return s.kind == step_kind::multiply && n.map(operand).is_vector() && !n.map(s.out).is_vector() ? n.whole(operand) : why_whole(n, s) ? n.whole(operand) : made;
}

} // namespace splitdsl::graph

namespace splitdsl {
template <class Network>
inline constexpr graph::tile_source tile_source_of{graph_of<Network>.ops.data(), graph_of<Network>.scopes.data(), resolved_of<Network>.a,      resolved_of<Network>.name,
                                                   resolved_of<Network>.parent,  shaped_of<Network>.out,          shaped_of<Network>.macs,     steps_of<Network>.steps,
                                                   steps_of<Network>.count,      steps_of<Network>.buffers,       steps_of<Network>.buffer_count, steps_of<Network>.stream_count};
} // namespace splitdsl
