// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file parameters.hpp
/// The list of a network's parameters: names as PyTorch's `state_dict` has them, and shapes.
#pragma once

#include <splitdsl/check/check.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace splitdsl {

/// One entry of a weights file that the network needs.
struct parameter {
    std::string name;           ///< PyTorch `state_dict` name
    std::vector<std::uint64_t> dims;
    int op{};                   ///< the op that owns it
    bool is_codec_range{};      ///< the least and the largest value that a calibrated codec takes
    bool is_prior{};            ///< of an `entropy_bottleneck` codec, whose four stand one after another; integers but for the quantiles
    constexpr std::int64_t size() const {
        std::uint64_t n = 1;
        for (const std::uint64_t d : dims) n *= d;
        return static_cast<std::int64_t>(n);
    }
};

namespace graph {

/// What the list needs of a network, without its type. Pointers and not spans: every program that loads weights compiles this.
struct parameter_source {
    const op* ops{};
    const scope* scopes{};
    const shape* out{};
    const int *a{}, *name{}, *parent{}, *owner{};
    const bool* has_bias{};
    std::size_t size{};
};

/// The names of the scopes around an op, joined by dots. `scope_at`: the innermost's position, below zero for none.
inline std::string full_name(const scope* scopes, const int* parent, int scope_at) {
    std::string n;
    for (int s = scope_at; s >= 0; s = parent[s]) {
        const scope& c = scopes[s];
        const std::string part = c.index < 0 ? std::string(c.name) : std::to_string(c.index);
        n = n.empty() ? part : part + "." + n;
    }
    return n;
}

/// What stands behind the layer's name in a parameter's name; nothing for l2_normalise.
constexpr text parameter_word(op_kind k, int which) {
    if (k == op_kind::l2_normalise) return {};
    if (k == op_kind::gdn) return which == 0 ? "gamma" : "beta";
    constexpr text words[]{"weight", "bias", "running_mean", "running_var"};
    return k == op_kind::batch_norm || which < 2 ? words[which] : text{};
}

/// CompressAI's names of a prior's tensors, behind that of the scope its codec stands in.
inline constexpr text prior_module = "entropy_bottleneck.";
inline constexpr text prior_words[prior_tensors]{"_cdf_length", "_offset", "quantiles", "_quantized_cdf"};
inline std::string prior_scope(const std::string& scope) { return scope + (scope.empty() ? "" : ".") + std::string(prior_module); }
inline std::string prior_name(const std::string& scope, int which) { return prior_scope(scope) + std::string(prior_words[which]); }

inline std::vector<parameter> list_parameters(const parameter_source& d) {
    std::vector<parameter> list;
    for (std::size_t i = 0; i < d.size; ++i) {
        if (d.owner[i] != static_cast<int>(i)) continue;
        const op& o = d.ops[i];
        if (has_range(o)) {
            list.push_back({std::string(o.label) + ".range", {2}, static_cast<int>(i), true});
            continue;
        }
        const std::string layer = full_name(d.scopes, d.parent, d.name[i]);
        for (int w = 0; w < parameters_in(o, d.has_bias[i]); ++w) {
            const parameter_dims dims = dims_of(o, d.out[d.a[i]], w);
            const text word = parameter_word(o.kind, w);
            parameter p{has_prior(o) ? prior_name(layer, w) : layer + (word.empty() ? "" : ".") + std::string(word), {}, static_cast<int>(i)};
            p.is_prior = has_prior(o);
            for (int k = 0; k < dims.rank; ++k) p.dims.push_back(static_cast<std::uint64_t>(dims.dims[k]));
            list.push_back(std::move(p));
        }
    }
    return list;
}

} // namespace graph

/// The parameters a weights file must hold, in the order `pipeline::pack` takes them. Of an `int8` network also what calibration found: the least and
/// the largest value of each tensor that becomes bytes, and what is added to its channels. A calibrated codec's range is "<label>.range", of two values; an `entropy_bottleneck`
/// codec's four tensors follow one another (`graph::prior_words`).
template <class Network>
std::vector<parameter> parameters() {
    const auto& g = graph_of<Network>;
    const auto& r = resolved_of<Network>;
    std::vector<parameter> list = graph::list_parameters({&g.ops[0], &g.scopes[0], &shaped_of<Network>.out[0], &r.a[0], &r.name[0], &r.parent[0],
                                   &parameters_of<Network>.owner[0], &r.has_bias[0], g.ops.size()});
    if constexpr (has_ranges<Network>) {
        const auto& l = steps_of<Network>;
        std::uint64_t channels = 0;
        for (int k = 0; k < l.range_count; ++k) channels += static_cast<std::uint64_t>(shaped_of<Network>.out[static_cast<std::size_t>(l.range_op[k])].channels);
        list.push_back({"int8.ranges", {static_cast<std::uint64_t>(l.range_count), 2}, -1});
        list.push_back({"int8.shifts", {channels}, -1});
    }
    return list;
}

} // namespace splitdsl
