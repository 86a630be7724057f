// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layers.hpp
/// A network's layers with what each gives, and everything that would have to cross if the network were split behind it.
#pragma once

#include <splitdsl/runtime/describe.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace describing {

/// A tensor or several as payload: 4 bytes a value, or 1 and 8 for scale and zero point of each tensor.
struct payload {
    std::int64_t f32{}, u8{};
};

struct layer {
    int op{};                       ///< index in describe<Net>()
    std::string word{}, name{}, place{};
    splitdsl::shape of{};
    int stage{};
    std::int64_t macs{}, parameters{};  ///< running statistics are not parameters
    std::int64_t macs_before{};     ///< of everything up to this layer, this one included
    payload own{};                  ///< its output
    int crossing{};                 ///< tensors that a split behind it has to send; 0: nothing is left to do behind it
    payload crossed{};              ///< those tensors
    bool melts{};                   ///< its only reader is a norm, an activation or a cut of the same shape: no better place to split than behind that
    std::string cut{};              ///< declared here
    std::string label{};            ///< for people: the cut, or word and name of the first layer that melts into this one
};

inline bool keeps_elements(splitdsl::op_kind k) {
    using splitdsl::op_kind;
    return k == op_kind::batch_norm || k == op_kind::normalise || k == op_kind::quantise || splitdsl::graph::is_activation(k);
}

/// Every op that computes, in order. An input counts as available from the start, so one that is read late crosses every split before.
inline std::vector<layer> layers_of(const splitdsl::graph::description& d) {
    using namespace splitdsl;
    const auto n = d.ops.size();
    const auto counts = [&](std::size_t i) { return d.used[i] && d.target[i] == static_cast<int>(i) && !graph::is_alias(d.ops[i].kind); };
    std::vector<int> last(n, -1), readers(n, 0), reader(n, -1);
    for (std::size_t i = 0; i < n; ++i) {
        const bool is_output = d.ops[i].kind == op_kind::output;
        if (!counts(i) && !is_output) continue;
        for (const int from : graph::writing::operands(d, i)) {
            const auto f = static_cast<std::size_t>(from);
            ++readers[f];
            reader[f] = is_output ? -1 : static_cast<int>(i);
            if (!is_output) last[f] = static_cast<int>(i);       // an answer is there where it was computed
        }
    }
    std::vector<layer> layers;
    std::int64_t macs = 0;
    int stage = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const op& o = d.ops[i];
        if (o.kind == op_kind::output && has(o.flags, op_flag::is_exit)) ++stage;
        if (!counts(i)) continue;
        layer l{.op = static_cast<int>(i), .word = std::string(graph::word_of(o.kind)), .name = o.label.empty() ? graph::full_name(d, i) : std::string(o.label),
                .place = std::string(d.places[static_cast<std::size_t>(d.place[i])]), .of = d.out[i], .stage = stage, .macs = d.macs[i]};
        if (d.owner[i] == l.op) l.parameters = o.kind == op_kind::batch_norm ? d.parameters[i] / 2 : d.parameters[i];
        macs += l.macs;
        l.macs_before = macs;
        const auto add = [&](payload& to, std::size_t k) {
            const bool is_input = d.ops[k].kind == op_kind::input;
            const std::int64_t raw = is_input ? graph::input_bytes(d.ops[k]) : 0, values = d.out[k].size();
            to.f32 += is_input ? raw : encoded_size(codec_id::float32, values);
            to.u8 += is_input ? raw : encoded_size(codec_id::affine8, values);
        };
        add(l.own, i);
        for (std::size_t k = 0; k < n; ++k)
            if (counts(k) && (k <= i || d.ops[k].kind == op_kind::input) && last[k] > l.op) {
                ++l.crossing;
                add(l.crossed, k);
            }
        const auto next = static_cast<std::size_t>(std::max(reader[i], 0));
        l.melts = readers[i] == 1 && reader[i] >= 0 && keeps_elements(d.ops[next].kind) && d.out[next] == d.out[i];
        for (int k = 0; k < d.cuts->count; ++k) {
            const graph::cut_group& c = d.cuts->groups[static_cast<std::size_t>(k)];
            if (c.boundary != l.op) continue;
            l.cut = std::string(c.name);
            ++stage;
        }
        const bool continues = !layers.empty() && layers.back().melts && layers.back().word != "input" && reader[static_cast<std::size_t>(layers.back().op)] == l.op;
        l.label = !l.cut.empty() ? "cut " + l.cut : continues ? layers.back().label : l.name.empty() ? l.word : l.word + " " + l.name;
        layers.push_back(std::move(l));
    }
    return layers;
}

} // namespace describing
