// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file describe.hpp
/// A declared network as text: table, JSON (what the training tools read) and Graphviz.
#pragma once

#include <splitdsl/check/check.hpp>
#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/runtime/parameters.hpp>

#include <cmath>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace splitdsl {

enum class format : std::uint8_t { table, json, dot };

namespace graph {

/// Everything the text writers need of one network, without its type.
struct description {
    std::string network;
    std::uint64_t fingerprint{};
    std::span<const op> ops;
    std::span<const scope> scopes;
    std::span<const int> a, b, target, name, place, parent, branch_begin;
    std::span<const bool> has_bias, used;
    std::span<const shape> out;
    std::span<const std::int64_t> macs, parameters;
    std::span<const int> owner;
    std::span<const text> places;
    int place_count{};
    int result{};
    int tasks{};
    const cut_table* cuts{};
    std::int64_t total_macs{}, total_parameters{};
};

inline std::string full_name(const description& d, std::size_t i) { return full_name(d.scopes.data(), d.parent.data(), d.name[i]); }

constexpr text word_of(op_kind k) {
    constexpr std::array<text, op_kinds> words{"input", "normalise", "conv", "conv_transpose", "dense", "batch_norm", "relu", "relu6", "leaky_relu", "hard_swish",
                                         "hard_sigmoid", "sigmoid", "tanh", "softmax", "max_pool", "avg_pool", "global_pool", "upsample", "pad", "subsample",
                                         "flatten", "identity", "add", "multiply", "concat", "select", "quantise", "from", "output", "pad_channels",
                                         "l2_normalise", "slice_channels", "radix_softmax", "gdn", "sizes"};
    return words[static_cast<std::size_t>(k)];
}
constexpr text word_of(codec_id c) { return codec_words[static_cast<std::size_t>(c)]; }
inline parameter_source source_of(const description& d) {
    return {d.ops.data(), d.scopes.data(), d.out.data(), d.a.data(), d.name.data(), d.parent.data(), d.owner.data(), d.has_bias.data(), d.ops.size()};
}
inline std::vector<parameter> list_parameters(const description& d) { return list_parameters(source_of(d)); }

namespace writing {

// g++ 12 takes "[" + std::to_string(x) for copying within one string (-Wrestrict at -O3), as it does elsewhere in this file.
inline std::string pair_of(extent e) { return std::string("[") + std::to_string(e.height) + "," + std::to_string(e.width) + "]"; }
inline std::string shape_text(shape s) { return std::string("[") + std::to_string(s.channels) + "," + std::to_string(s.height) + "," + std::to_string(s.width) + "]"; }
inline std::string number(float f) {
    if (!std::isfinite(f)) return "null"; // JSON knows no infinity
    char text_of[32];
    std::snprintf(text_of, sizeof text_of, "%.9g", static_cast<double>(f));
    return text_of;
}
using splitdsl::detail::hex;
inline const char* truth(bool b) { return b ? "true" : "false"; }

/// Operand positions as the JSON lists them: select names its command, then its branches.
inline std::vector<int> operands(const description& d, std::size_t i) {
    const op& o = d.ops[i];
    std::vector<int> list;
    if (o.kind == op_kind::select) {
        int end = static_cast<int>(i);
        for (int k = o.out; k > 0; --k) {
            list.insert(list.begin(), d.target[static_cast<std::size_t>(end - 1)]);
            end = d.branch_begin[static_cast<std::size_t>(end)];
        }
        list.insert(list.begin(), d.b[i]);
        return list;
    }
    if (d.a[i] >= 0) list.push_back(d.a[i]);
    if (d.b[i] >= 0) list.push_back(d.b[i]);
    return list;
}

inline std::string op_settings(const op& o, bool has_bias) {
    const std::string pads = std::string("[") + std::to_string(o.pad.top) + "," + std::to_string(o.pad.left) + "," + std::to_string(o.pad.bottom) + "," + std::to_string(o.pad.right) + "]";
    const std::string where = "\"kernel\":" + pair_of(o.kernel) + ",\"stride\":" + pair_of(o.stride) + ",\"padding\":" + pads;
    switch (o.kind) {
    case op_kind::input: return "\"dtype\":\"" + std::string(o.element == element_type::u8 ? "u8" : "f32") + "\",\"layout\":\"" + (has(o.flags, op_flag::is_hwc) ? "hwc" : "chw") + "\"";
    case op_kind::normalise: {
        std::string mean, deviation;
        for (std::size_t c = 0; c < 4; ++c) {
            mean += std::string(c ? "," : "") + number(o.values[c]);
            deviation += std::string(c ? "," : "") + number(o.values[4 + c]);
        }
        return "\"mean\":[" + mean + "],\"std\":[" + deviation + "]";
    }
    case op_kind::conv: return "\"out\":" + std::to_string(o.out) + "," + where + ",\"dilation\":" + pair_of(o.dilation) + ",\"groups\":" + std::to_string(o.groups) + ",\"bias\":" + truth(has_bias);
    case op_kind::conv_transpose:
        return "\"out\":" + std::to_string(o.out) + "," + where + ",\"dilation\":" + pair_of(o.dilation) + ",\"output_padding\":[" + std::to_string(o.size.height) + "," + std::to_string(o.size.width) + "],\"bias\":" + truth(has_bias);
    case op_kind::dense: return "\"out\":" + std::to_string(o.out) + ",\"bias\":" + truth(has_bias);
    case op_kind::batch_norm: return "\"eps\":" + number(o.values[0]);
    case op_kind::leaky_relu: return "\"slope\":" + number(o.values[0]);
    case op_kind::max_pool:
    case op_kind::avg_pool: return where + ",\"ceil\":" + truth(has(o.flags, op_flag::ceil)) + ",\"count_include_pad\":" + truth(has(o.flags, op_flag::count_include_pad));
    case op_kind::upsample: return "\"mode\":\"" + std::string(has(o.flags, op_flag::bilinear) ? "bilinear" : "nearest") + "\",\"align_corners\":" + truth(has(o.flags, op_flag::align_corners));
    case op_kind::pad: return "\"padding\":" + pads + ",\"value\":" + number(o.values[0]);
    case op_kind::pad_channels: return "\"before\":" + std::to_string(o.size.channels) + ",\"after\":" + std::to_string(o.out);
    case op_kind::l2_normalise: return "\"eps\":" + number(o.values[0]);
    case op_kind::slice_channels: return "\"first\":" + std::to_string(o.size.channels) + ",\"count\":" + std::to_string(o.out);
    case op_kind::radix_softmax: return "\"radix\":" + std::to_string(o.size.channels) + ",\"cardinality\":" + std::to_string(o.groups);
    case op_kind::gdn: return std::string("\"inverse\":") + truth(has(o.flags, op_flag::inverse)) + ",\"squared\":" + truth(has(o.flags, op_flag::squared));
    case op_kind::subsample: return "\"stride\":" + pair_of(o.stride);
    case op_kind::quantise:
        return "\"codec\":\"" + std::string(has(o.flags, op_flag::by_width) ? "widths" : word_of(o.codec)) + (has_range(o) ? "\",\"calibrated\":true,\"cut\":" : "\",\"cut\":") +
               truth(has(o.flags, op_flag::is_cut)) + ",\"stream\":" + truth(has(o.flags, op_flag::is_stream));
    case op_kind::output: return std::string("\"exit\":") + truth(has(o.flags, op_flag::is_exit));
    default: return {};
    }
}

inline std::string json(const description& d) {
    std::string s = "{\"network\":\"" + d.network + "\",\"fingerprint\":\"" + hex(d.fingerprint) + "\",\"macs\":" + std::to_string(d.total_macs) +
                    ",\"parameter_count\":" + std::to_string(d.total_parameters) + ",\n\"ops\":[";
    for (std::size_t i = 0; i < d.ops.size(); ++i) {
        const op& o = d.ops[i];
        s += std::string(i ? "," : "") + "\n{\"index\":" + std::to_string(i) + ",\"kind\":\"" + std::string(word_of(o.kind)) + "\",\"name\":\"" +
             (o.label.empty() ? full_name(d, i) : std::string(o.label)) + "\",\"inputs\":[";
        bool first = true;
        for (const int in : operands(d, i)) {
            if (!first) s += ',';
            s += std::to_string(in);
            first = false;
        }
        s += "],\"shape\":" + shape_text(d.out[i]) + ",\"place\":\"" + std::string(d.places[static_cast<std::size_t>(d.place[i])]) + "\",\"macs\":" + std::to_string(d.macs[i]) +
             ",\"used\":" + truth(d.used[i]);
        const std::string settings = op_settings(o, d.has_bias[i]);
        s += (settings.empty() ? "" : "," + settings) + (has_prior(o) ? ",\"prior\":\"" + prior_scope(full_name(d, i)) + "\"}" : "}");
    }
    s += "],\n\"outputs\":[";
    bool first = true;
    auto output = [&](const std::string& name, int at, bool is_exit) {
        s += std::string(first ? "" : ",") + "{\"name\":\"" + name + "\",\"op\":" + std::to_string(at) + ",\"exit\":" + truth(is_exit) + "}";
        first = false;
    };
    if (d.tasks == 0) output("output", d.result, false);
    for (const bool exits : {false, true})
        for (std::size_t i = 0; i < d.ops.size(); ++i)
            if (d.ops[i].kind == op_kind::output && has(d.ops[i].flags, op_flag::is_exit) == exits) output(std::string(d.ops[i].label), d.a[i], exits);
    s += "],\n\"cuts\":[";
    for (int k = 0; k < d.cuts->count; ++k) {
        const cut_group& c = d.cuts->groups[static_cast<std::size_t>(k)];
        s += std::string(k ? "," : "") + "{\"name\":\"" + std::string(c.name) + "\",\"boundary\":" + std::to_string(c.boundary) + ",\"payload_bytes\":" + std::to_string(c.payload) + ",\"items\":[";
        for (int q = 0; q < c.count; ++q) {
            const crossing& x = c.items[static_cast<std::size_t>(q)];
            s += std::string(q ? "," : "") + "{\"op\":" + std::to_string(x.op) + ",\"bytes\":" + std::to_string(x.bytes) + ",\"input\":" + truth(x.is_input) + "}";
        }
        s += "]}";
    }
    s += "],\n\"parameters\":[";
    first = true;
    for (const parameter& p : list_parameters(d)) {
        s += std::string(first ? "" : ",") + "\n{\"name\":\"" + p.name + "\",\"shape\":[";
        for (std::size_t k = 0; k < p.dims.size(); ++k) {
            if (k > 0) s += ',';
            s += std::to_string(p.dims[k]);
        }
        s += "]}";
        first = false;
    }
    return s + "]}\n";
}

inline std::string table(const description& d) {
    char line[256];
    std::string s = d.network + "  fingerprint " + hex(d.fingerprint) + "\n";
    std::snprintf(line, sizeof line, "%4s %-10s %-14s %-34s %-16s %14s %12s\n", "op", "place", "word", "name", "shape", "MACs", "parameters");
    s += line;
    for (std::size_t i = 0; i < d.ops.size(); ++i) {
        const shape t = d.out[i];
        const std::string size = std::to_string(t.channels) + "x" + std::to_string(t.height) + "x" + std::to_string(t.width);
        const std::string name = d.ops[i].label.empty() ? full_name(d, i) : std::string(d.ops[i].label);
        std::snprintf(line, sizeof line, "%4zu %-10.*s %-14.*s %-34s %-16s %14lld %12lld\n", i, static_cast<int>(d.places[static_cast<std::size_t>(d.place[i])].size()),
                      d.places[static_cast<std::size_t>(d.place[i])].data(), static_cast<int>(word_of(d.ops[i].kind).size()), word_of(d.ops[i].kind).data(), name.c_str(), size.c_str(),
                      static_cast<long long>(d.macs[i]), static_cast<long long>(d.parameters[i]));
        s += line;
    }
    for (int k = 0; k < d.cuts->count; ++k) {
        const cut_group& c = d.cuts->groups[static_cast<std::size_t>(k)];
        std::snprintf(line, sizeof line, "cut %.*s behind op %d: payload %lld bytes in %d parts\n", static_cast<int>(c.name.size()), c.name.data(), c.boundary, static_cast<long long>(c.payload), c.count);
        s += line;
    }
    std::snprintf(line, sizeof line, "total %.3f million MACs, %.3f million parameters\n", static_cast<double>(d.total_macs) / 1e6, static_cast<double>(d.total_parameters) / 1e6);
    return s + line;
}

inline std::string dot(const description& d) {
    std::string s = "digraph \"" + d.network + "\" {\n  rankdir=LR; node [shape=box, fontname=\"sans-serif\"];\n";
    for (int place = 0; place < d.place_count; ++place) {
        s += "  subgraph cluster_" + std::to_string(place) + " { label=\"" + std::string(d.places[static_cast<std::size_t>(place)]) + "\";\n";
        for (std::size_t i = 0; i < d.ops.size(); ++i) {
            if (d.place[i] != place || d.target[i] != static_cast<int>(i) || !d.used[i]) continue;
            const std::string name = d.ops[i].label.empty() ? full_name(d, i) : std::string(d.ops[i].label);
            s += "    n" + std::to_string(i) + " [label=\"" + std::string(word_of(d.ops[i].kind)) + (name.empty() ? "" : "\\n" + name) + "\\n" + shape_text(d.out[i]) + "\"" +
                 (d.ops[i].kind == op_kind::quantise ? ", style=filled, fillcolor=\"#f6d55c\"" : "") + "];\n";
        }
        s += "  }\n";
    }
    for (std::size_t i = 0; i < d.ops.size(); ++i) {
        if (d.target[i] != static_cast<int>(i) || !d.used[i] || is_alias(d.ops[i].kind)) continue;
        for (const int from : operands(d, i)) {
            const bool crosses = d.place[static_cast<std::size_t>(from)] != d.place[i];
            s += "  n" + std::to_string(from) + " -> n" + std::to_string(i) + (crosses ? " [penwidth=3, color=\"#c0392b\"]" : "") + ";\n";
        }
    }
    return s + "}\n";
}

} // namespace writing

template <class Network>
description description_of() {
    static constexpr const auto& g = graph_of<Network>;
    static constexpr const auto& r = resolved_of<Network>;
    static constexpr const auto& p = shaped_of<Network>;
    description d;
    d.network = std::string(type_name<Network>());
    d.fingerprint = splitdsl::fingerprint<Network>;
    d.ops = g.ops;
    d.scopes = g.scopes;
    d.a = r.a, d.b = r.b, d.target = r.target, d.name = r.name, d.place = r.place, d.branch_begin = r.branch_begin;
    d.parent = r.parent;
    d.has_bias = r.has_bias, d.used = r.used;
    d.out = p.out, d.macs = p.macs, d.parameters = p.parameters;
    d.owner = parameters_of<Network>.owner;
    d.places = r.places;
    d.place_count = r.place_count, d.result = r.result, d.tasks = r.tasks;
    d.cuts = &cuts_of<Network>;
    d.total_macs = macs<Network>();
    d.total_parameters = parameter_count<Network>();
    return d;
}

} // namespace graph

/// A network as text. The JSON is the one source the training tools build their PyTorch module from.
template <class Network>
std::string describe(format as = format::table) {
    static_assert(check<Network>);
    const graph::description d = graph::description_of<Network>();
    return as == format::json ? graph::writing::json(d) : as == format::dot ? graph::writing::dot(d) : graph::writing::table(d);
}

} // namespace splitdsl
