// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file shapes.hpp
/// Second pass: the shape and the cost of every op, and what does not fit.
#pragma once

#include <splitdsl/graph/pool_ladder.hpp>
#include <splitdsl/graph/resolve.hpp>

namespace splitdsl::graph {

template <std::size_t Ops>
struct shaped {
    shape out[Ops]{};           ///< of every op
    std::int64_t macs[Ops]{};   ///< multiply-accumulates
    std::int64_t parameters[Ops]{}; ///< elements of an op's own weights, running statistics included
    diagnosis why{};
};

/// Positions inside a tensor are 32-bit numbers.
inline constexpr std::int64_t most_elements = 0x7FFFFFFF;
/// A product of sizes, or 2^62 if it is larger: what is refused is counted, too.
constexpr std::int64_t product(std::int64_t a, std::int64_t b) {
    constexpr std::int64_t most = std::int64_t{1} << 62;
    return b > 0 && a > most / b ? most : a * b;
}
constexpr std::int64_t elements_of(shape s) { return product(std::int64_t{s.channels} * s.height, s.width); }
/// A shape before anybody knows whether it is small enough to be one.
struct wide_shape {
    std::int64_t channels, height, width;
    constexpr std::int64_t size() const { return product(product(channels, height), width); }
};

/// What a window's or a border's members are at most: halos (`buffer`) and fingerprints keep 16 bits of them, and a dilated kernel fits in 31.
inline constexpr int most_step = 32766;
constexpr int least_of(int a, int b) { return a < b ? a : b; }
constexpr int most_of(int a, int b) { return a > b ? a : b; }
constexpr int least_of(extent e) { return least_of(e.height, e.width); }
constexpr int most_of(extent e) { return most_of(e.height, e.width); }
constexpr int least_of(const padding& p) { return least_of(least_of(p.top, p.left), least_of(p.bottom, p.right)); }
constexpr int most_of(const padding& p) { return most_of(most_of(p.top, p.left), most_of(p.bottom, p.right)); }

/// Multiply-accumulates of a layer, at most: sums and costs of whole networks then stay within 64 bits.
inline constexpr std::int64_t most_macs = std::int64_t{1} << 48;

inline constexpr float most_value = 3.4028234664e38F; ///< finite ones

/// Output size of a window along one axis; the caller has checked that the window fits.
constexpr std::int64_t windowed(std::int64_t size, int before, int after, int kernel, int stride, int dilation, bool ceil) {
    const std::int64_t room = size + before + after - dilation * (kernel - 1) - 1;
    std::int64_t n = (ceil ? (room + stride - 1) / stride : room / stride) + 1;
    if (ceil && (n - 1) * stride >= size + before) --n;     // PyTorch: no window starts in the far padding
    return n;
}

/// The widths that `widths` declared.
constexpr width_choice declared_widths(const op& o) {
    width_choice by{.count = o.out};
    for (std::size_t i = 0; i < static_cast<std::size_t>(o.out); ++i) by.channels[i] = static_cast<int>(o.values[i]);
    return by;
}
/// The sizes or widths of a stream that `dynamic_pool` or `widths` declared, of a map of this shape.
constexpr pool_ladder_result pooled_sizes(const op& o, shape s) {
    if (has(o.flags, op_flag::by_width)) return try_pool_ladder(pool_shape{s.channels, s.height, s.width}, declared_widths(o));
    return try_pool_ladder(pool_shape{s.channels, s.height, s.width, o.stride.height},
                           pool_sizes{o.kernel.height, o.kernel.width, o.dilation.height});
}
constexpr bool is_pooled(const op& o) { return o.kind == op_kind::quantise && o.codec == codec_id::pooled; }
/// Whether a codec's range is a parameter: two values, the least and the largest.
constexpr bool has_range(const op& o) { return o.kind == op_kind::quantise && has(o.flags, op_flag::is_calibrated); }
/// Whether a codec has the tables of a learned prior.
constexpr bool has_prior(const op& o) { return o.kind == op_kind::quantise && o.codec == codec_id::entropy; }
/// Columns of `_quantized_cdf` that a network takes: 16 384 whole numbers a channel, what stands for all others, and where the last one ends.
inline constexpr int most_prior_columns = 16384 + 2;
inline constexpr int prior_tensors = 4;

template <std::size_t N, std::size_t S>
constexpr shaped<N> infer(const body<N, S>& g, const resolved<N, S>& r) {
    shaped<N> p{};
    const op* const ops = g.ops.data();
    p.why = r.why;
    if (p.why.what != code::fine) return p;
    auto fail = [&](code c, std::size_t at, std::int64_t want, std::int64_t got) {
        if (p.why.what == code::fine) p.why = {c, static_cast<int>(at), want, got};
    };
    auto check_step = [&](extent e, std::size_t at) {
        if (least_of(e) < 1) fail(code::SD208, at, 1, least_of(e));
        if (most_of(e) > most_step) fail(code::SD218, at, most_step, most_of(e));
        return p.why.what == code::fine;
    };
    auto check_epsilon = [&](const op& o, std::size_t at, int channels) {
        if (!(o.values[0] >= 0 && o.values[0] <= most_value)) fail(code::SD211, at, 0, channels);
    };
    auto check_border = [&](const padding& b, std::size_t at) {
        if (least_of(b) < 0) fail(code::SD214, at, 0, least_of(b));
        if (most_of(b) > most_step) fail(code::SD218, at, most_step, most_of(b));
    };
    auto check_window = [&](const op& o, std::size_t at) {
        for (const extent e : {o.kernel, o.dilation}) {
            if (least_of(e) < 1) fail(code::SD208, at, 1, least_of(e));
            if (most_of(e) > most_step) fail(code::SD201, at, most_step, most_of(e));
        }
        check_border(o.pad, at);
        return check_step(o.stride, at);
    };
    for (std::size_t i = 0; i < N; ++i) {
        const op& o = ops[i];
        if (o.kind == op_kind::input) {
            if (o.size.channels < 1 || o.size.height < 1 || o.size.width < 1)
                fail(code::SD209, i, 1, o.size.channels < 1 ? o.size.channels : o.size.height < 1 ? o.size.height : o.size.width);
            else if (const std::int64_t n = elements_of(o.size); n > most_elements) fail(code::SD210, i, most_elements, n);
            if (p.why.what != code::fine) return p;
            p.out[i] = o.size;
            continue;
        }
        if (o.kind == op_kind::sizes) {
            p.out[i] = {1, 1, 1};
            continue;
        }
        const std::size_t ia = static_cast<std::size_t>(r.a[i]);
        const shape s = p.out[ia];
        wide_shape t{s.channels, s.height, s.width};
        if (ops[ia].kind == op_kind::input && ops[ia].element == element_type::u8 && !is_alias(o.kind) && o.kind != op_kind::normalise &&
            o.kind != op_kind::select && o.kind != op_kind::quantise)
            fail(code::SD212, i, 0, 0);
        switch (o.kind) {
        case op_kind::conv:
        case op_kind::max_pool:
        case op_kind::avg_pool: {
            if (!check_window(o, i)) return p;
            const wide_shape padded{s.channels, std::int64_t{s.height} + o.pad.top + o.pad.bottom, std::int64_t{s.width} + o.pad.left + o.pad.right};
            const int eh = o.dilation.height * (o.kernel.height - 1) + 1, ew = o.dilation.width * (o.kernel.width - 1) + 1;
            if (eh > padded.height) fail(code::SD201, i, padded.height, eh);
            if (ew > padded.width) fail(code::SD201, i, padded.width, ew);
            if (padded.size() > most_elements) fail(code::SD210, i, most_elements, padded.size());
            const bool ceil = has(o.flags, op_flag::ceil);
            t.height = windowed(s.height, o.pad.top, o.pad.bottom, o.kernel.height, o.stride.height, o.dilation.height, ceil);
            t.width = windowed(s.width, o.pad.left, o.pad.right, o.kernel.width, o.stride.width, o.dilation.width, ceil);
            if (o.kind != op_kind::conv) {
                if (o.pad.top * 2 > o.kernel.height || o.pad.left * 2 > o.kernel.width || o.pad.bottom * 2 > o.kernel.height || o.pad.right * 2 > o.kernel.width)
                    fail(code::SD213, i, o.kernel.height / 2, o.pad.top > o.pad.left ? o.pad.top : o.pad.left);
                break;
            }
            if (o.out < 1) {
                fail(code::SD209, i, 1, o.out);
                return p;
            }
            if (o.groups < 1 || s.channels % o.groups != 0 || o.out % o.groups != 0) {
                fail(code::SD202, i, o.groups, o.groups > 0 && s.channels % o.groups == 0 ? o.out : s.channels);
                return p;
            }
            t.channels = o.out;
            const std::int64_t each = std::int64_t{s.channels / o.groups} * o.kernel.height * o.kernel.width; // weights of an output channel
            p.parameters[i] = product(each, o.out) + (r.has_bias[i] ? o.out : 0);
            p.macs[i] = product(t.size(), each);
            break;
        }
        case op_kind::conv_transpose: {
            const extent more{o.size.height, o.size.width};
            if (!check_window(o, i)) return p;
            if (least_of(more) < 0) fail(code::SD214, i, 0, least_of(more));
            if (most_of(more) > most_step) fail(code::SD218, i, most_step, most_of(more));
            if (o.out < 1) {
                fail(code::SD209, i, 1, o.out);
                return p;
            }
            t = {o.out, (s.height - std::int64_t{1}) * o.stride.height - o.pad.top - o.pad.bottom + o.dilation.height * (o.kernel.height - 1) + more.height + 1,
                 (s.width - std::int64_t{1}) * o.stride.width - o.pad.left - o.pad.right + o.dilation.width * (o.kernel.width - 1) + more.width + 1};
            if (t.height < 1 || t.width < 1) fail(code::SD201, i, 1, t.height < 1 ? t.height : t.width);
            p.parameters[i] = product(std::int64_t{o.out} * o.kernel.height * o.kernel.width, s.channels) + (r.has_bias[i] ? o.out : 0);
            p.macs[i] = product(std::int64_t{o.out} * o.kernel.height * o.kernel.width, s.size());
            break;
        }
        case op_kind::dense:
            if (!s.is_vector()) fail(code::SD207, i, 1, std::int64_t{s.height} * s.width);
            if (o.out < 1) fail(code::SD209, i, 1, o.out);
            t = {o.out, 1, 1};
            p.macs[i] = std::int64_t{s.channels} * o.out;
            p.parameters[i] = p.macs[i] + (r.has_bias[i] ? o.out : 0);
            break;
        case op_kind::batch_norm:
            check_epsilon(o, i, s.channels);
            p.parameters[i] = 4 * std::int64_t{s.channels};
            break;
        case op_kind::normalise: {
            bool is_odd = false;
            for (int c = 0; c < s.channels && c < 4; ++c) {
                const float mean = o.values[static_cast<std::size_t>(c)], deviation = o.values[static_cast<std::size_t>(4 + c)];
                is_odd = is_odd || deviation == 0 || !(mean >= -most_value && mean <= most_value && deviation >= -most_value && deviation <= most_value);
            }
            if (s.channels > 4 || is_odd) fail(code::SD211, i, 4, s.channels);
            break;
        }
        case op_kind::global_pool: t = {s.channels, 1, 1}; break;
        case op_kind::upsample:
            if (o.size.height != 0 || o.size.width != 0) {
                t = {s.channels, o.size.height, o.size.width};
                if (const int least = least_of(o.size.height, o.size.width); least < 1) fail(code::SD208, i, 1, least);
                const std::int64_t rows = std::int64_t{s.height} * o.stride.height, columns = std::int64_t{s.width} * o.stride.width;
                if (!(o.stride == extent{2}) && (rows != t.height || columns != t.width)) fail(code::SD220, i, rows != t.height ? rows : columns, rows != t.height ? t.height : t.width);
            } else if (check_step(o.stride, i)) t = {s.channels, std::int64_t{s.height} * o.stride.height, std::int64_t{s.width} * o.stride.width};
            break;
        case op_kind::pad:
            check_border(o.pad, i);
            t = {s.channels, std::int64_t{s.height} + o.pad.top + o.pad.bottom, std::int64_t{s.width} + o.pad.left + o.pad.right};
            break;
        case op_kind::pad_channels:
            if (o.size.channels < 0 || o.out < 0) fail(code::SD214, i, 0, o.size.channels < 0 ? o.size.channels : o.out);
            t.channels += std::int64_t{o.size.channels} + o.out;
            break;
        case op_kind::l2_normalise:
            check_epsilon(o, i, s.channels);
            p.parameters[i] = s.channels;
            break;
        case op_kind::gdn:
            p.parameters[i] = std::int64_t{s.channels} * (std::int64_t{s.channels} + 1);
            p.macs[i] = product(s.size(), s.channels);
            break;
        case op_kind::slice_channels: {
            const std::int64_t end = std::int64_t{o.size.channels} + o.out;
            if (o.size.channels < 0 || o.out < 1) fail(code::SD217, i, s.channels, o.size.channels < 0 ? o.size.channels : o.out);
            else if (end > s.channels) fail(code::SD217, i, s.channels, end - 1);
            t.channels = o.out;
            break;
        }
        case op_kind::radix_softmax: {
            const std::int64_t parts = std::int64_t{o.size.channels} * o.groups;
            if (o.size.channels < 1 || o.groups < 1 || s.channels % parts != 0) fail(code::SD202, i, parts, s.channels);
            break;
        }
        case op_kind::subsample:
            if (!check_step(o.stride, i)) return p;
            t = {s.channels, (std::int64_t{s.height} + o.stride.height - 1) / o.stride.height, (std::int64_t{s.width} + o.stride.width - 1) / o.stride.width};
            break;
        case op_kind::flatten:
            t = {s.size(), 1, 1};
            break;
        case op_kind::add: {
            const shape u = p.out[static_cast<std::size_t>(r.b[i])];
            if (u.channels != s.channels) fail(code::SD203, i, s.channels, u.channels);
            else if (u.height != s.height) fail(code::SD204, i, s.height, u.height);
            else if (u.width != s.width) fail(code::SD204, i, s.width, u.width);
            break;
        }
        case op_kind::multiply: {
            const shape u = p.out[static_cast<std::size_t>(r.b[i])];
            if (!(u == s) && !(u == shape{s.channels, 1, 1})) fail(code::SD206, i, s.channels, u.channels);
            break;
        }
        case op_kind::concat: {
            const shape u = p.out[static_cast<std::size_t>(r.b[i])];
            if (u.height != s.height) fail(code::SD205, i, s.height, u.height);
            else if (u.width != s.width) fail(code::SD205, i, s.width, u.width);
            t.channels += u.channels;
            break;
        }
        case op_kind::select: {
            int end = static_cast<int>(i);
            const shape last = p.out[static_cast<std::size_t>(r.target[static_cast<std::size_t>(end - 1)])];
            t = {last.channels, last.height, last.width};
            for (int k = o.out; k > 0; --k) {
                const shape u = p.out[static_cast<std::size_t>(r.target[static_cast<std::size_t>(end - 1)])];
                if (!(u == last)) fail(code::SD215, i, t.size(), u.size());
                end = r.branch_begin[static_cast<std::size_t>(end)];
            }
            break;
        }
        case op_kind::quantise:
            if (is_pooled(o)) {
                const pool_ladder_result sizes = pooled_sizes(o, s);
                if (sizes.fault != pool_fault::none && has(o.flags, op_flag::by_width)) {
                    int before = 0, n = 0; // the first width that does not grow, or else the last one
                    while (n < o.out && o.values[static_cast<std::size_t>(n)] > static_cast<float>(before)) before = static_cast<int>(o.values[static_cast<std::size_t>(n++)]);
                    if (n < o.out) fail(code::SD319, i, before + 1, static_cast<int>(o.values[static_cast<std::size_t>(n)]));
                    else fail(code::SD319, i, s.channels, before);
                    return p;
                }
                if (sizes.fault != pool_fault::none) {
                    fail(code::SD316, i, static_cast<int>(sizes.fault), s.height > s.width ? s.height : s.width);
                    return p;
                }
                t = {s.channels, sizes.ladder.rows(sizes.ladder.levels - 1), sizes.ladder.columns(sizes.ladder.levels - 1)};
            }
            break;
        default: break;
        }
        if (p.why.what != code::fine) return p;
        if (const std::int64_t n = t.size(); n > most_elements) fail(code::SD210, i, most_elements, n);
        if (p.parameters[i] > most_elements) fail(code::SD210, i, most_elements, p.parameters[i]);
        if (p.macs[i] > most_macs) fail(code::SD219, i, most_macs, p.macs[i]);
        if (p.why.what != code::fine) return p;
        p.out[i] = {static_cast<int>(t.channels), static_cast<int>(t.height), static_cast<int>(t.width)};
    }
    return p;
}

/// Shapes of an op's parameters, in the order weight, bias (convolutions, dense), weight, bias, running_mean, running_var (batch norm),
/// gamma, beta (gdn). A calibrated codec has its range; a prior the lengths of its rows, offsets, quantiles, and the rows.
struct parameter_dims {
    int dims[4]{};
    int rank{};
    constexpr std::int64_t size() const {
        std::int64_t n = 1;
        for (int d = 0; d < rank; ++d) n *= dims[static_cast<std::size_t>(d)];
        return n;
    }
    constexpr bool operator==(const parameter_dims&) const = default;
};
constexpr int parameters_in(const op& o, bool has_bias) {
    if (o.kind == op_kind::batch_norm) return 4;
    if (has_range(o)) return 1;
    if (has_prior(o)) return prior_tensors;
    return has_weights(o.kind) ? 1 + (has_bias ? 1 : 0) : 0;
}
constexpr parameter_dims dims_of(const op& o, shape in, int which) {
    if (has_range(o)) return {{2}, 1};
    if (has_prior(o)) return which < 2 ? parameter_dims{{in.channels}, 1} : which == 2 ? parameter_dims{{in.channels, 1, 3}, 3} : parameter_dims{{in.channels, most_prior_columns}, 2};
    if (o.kind == op_kind::batch_norm || o.kind == op_kind::l2_normalise) return {{in.channels}, 1};
    if (o.kind == op_kind::gdn) return which == 0 ? parameter_dims{{in.channels, in.channels}, 2} : parameter_dims{{in.channels}, 1};
    if (which == 1) return {{o.out}, 1};
    if (o.kind == op_kind::dense) return {{o.out, in.channels}, 2};
    if (o.kind == op_kind::conv_transpose) return {{in.channels, o.out, o.kernel.height, o.kernel.width}, 4};
    return {{o.out, in.channels / o.groups, o.kernel.height, o.kernel.width}, 4};
}

/// Which ops own parameters (one owner a full name), and where an op's parameters stand in the list.
template <std::size_t Ops>
struct parameter_table {
    int first[Ops]{};       ///< index of the op's first parameter, -1 without weights
    int owner[Ops]{};       ///< the op that brought the name, -1 without weights
    int count{};
    std::int64_t elements{};            ///< without sharing counted twice
    diagnosis why{};
};

template <std::size_t N, std::size_t S>
constexpr parameter_table<N> collect(const body<N, S>& g, const resolved<N, S>& r, const shaped<N>& p) {
    parameter_table<N> t{};
    const op* const ops = g.ops.data();
    t.why = p.why;
    if (t.why.what != code::fine) return t;
    // Open addressing over the hashes of full names; twice as many slots as ops keeps chains short.
    constexpr std::size_t slots = 2 * N + 1;
    int table[slots]{};
    for (std::size_t i = 0; i < N; ++i) {
        t.first[i] = t.owner[i] = -1;
        const op& o = ops[i];
        if (has_range(o)) { // labels are unique (SD103)
            t.owner[i] = static_cast<int>(i);
            t.first[i] = t.count++;
        }
        if (has_prior(o)) { // two codecs of one scope read the same tensors
            t.owner[i] = static_cast<int>(i);
            t.first[i] = t.count;
            t.count += prior_tensors;
        }
        if (!has_weights(o.kind)) continue;
        const std::uint64_t h = r.hash[static_cast<std::size_t>(r.name[i])];
        std::size_t slot = static_cast<std::size_t>(h % slots);
        while (table[slot] != 0 && r.hash[static_cast<std::size_t>(r.name[static_cast<std::size_t>(table[slot] - 1)])] != h) slot = (slot + 1) % slots;
        const shape in = p.out[static_cast<std::size_t>(r.a[i])];
        if (table[slot] == 0) {
            table[slot] = static_cast<int>(i) + 1;
            t.owner[i] = static_cast<int>(i);
            t.first[i] = t.count;
            t.count += parameters_in(o, r.has_bias[i]);
            t.elements += p.parameters[i];
            continue;
        }
        const std::size_t first = static_cast<std::size_t>(table[slot] - 1);
        const op& f = ops[first];
        const shape fin = p.out[static_cast<std::size_t>(r.a[first])];
        if (f.kind != o.kind || r.has_bias[first] != r.has_bias[i] || !(dims_of(f, fin, 0) == dims_of(o, in, 0))) {
            if (t.why.what == code::fine) t.why = {code::SD102, static_cast<int>(i), p.parameters[first], p.parameters[i]};
        }
        t.owner[i] = static_cast<int>(first);
        t.first[i] = t.first[first];
    }
    return t;
}

} // namespace splitdsl::graph

namespace splitdsl {
template <class Network>
inline constexpr auto shaped_of = graph::infer(graph_of<Network>, resolved_of<Network>);
template <class Network>
inline constexpr auto parameters_of = graph::collect(graph_of<Network>, resolved_of<Network>, shaped_of<Network>);
} // namespace splitdsl
