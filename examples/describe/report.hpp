// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file report.hpp
/// Where a network could be split: which layers' payloads are smaller than the input raw, as PNG and as JPEG. As text and as JSON.
#pragma once

#include "input_sizes.hpp"
#include "layers.hpp"
#include "split_scan.hpp"
#include "stage_report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace describing {

struct report {
    const zoo_networks::network* which{};
    splitdsl::graph::description graph{};
    std::vector<layer> layers{};
    input_sizes input{};
    std::vector<stage_sums> stages{};
    std::optional<measurement> measured{};
    std::optional<split_scan> scan{};
};

/// What a payload may be smaller than: its name, its letter in the table, its bytes (nothing: not known).
struct rival {
    const char* name;
    char letter;
    std::optional<std::int64_t> bytes;
};
inline std::array<rival, 3> rivals_of(const input_sizes& s) { return {{{"raw", 'R', s.raw}, {"png", 'P', s.png}, {"jpeg", 'J', s.jpeg}}}; }
inline bool wins(const layer& l, std::int64_t bytes, const rival& than) { return l.crossing > 0 && than.bytes && bytes < *than.bytes; }

/// For one codec and one rival: how many rows of the table win, the first of them and the smallest.
inline bool is_row(const layer& l) { return l.crossing > 0 && !l.melts && l.word != "input"; }
struct winners {
    int count{};
    const layer* first{};
    const layer* smallest{};
};
inline winners winners_of(const std::vector<layer>& layers, std::int64_t payload::*codec, const rival& than) {
    winners w;
    for (const layer& l : layers) {
        if (!is_row(l) || !wins(l, l.crossed.*codec, than)) continue;
        ++w.count;
        if (!w.first) w.first = &l;
        if (!w.smallest || l.crossed.*codec < w.smallest->crossed.*codec) w.smallest = &l;
    }
    return w;
}
inline constexpr std::array<std::pair<const char*, std::int64_t payload::*>, 2> codecs{{{"f32", &payload::f32}, {"u8", &payload::u8}}};

namespace writing {

template <class... Values>
std::string line(const char* form, Values... values) {
    char text[400];
    std::snprintf(text, sizeof text, form, values...);
    return text;
}
inline std::string shape_text(splitdsl::shape s) { return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width); }
inline double share_of(std::int64_t part, std::int64_t whole) { return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0; }
inline std::string marks(const layer& l, std::int64_t bytes, const input_sizes& input) {
    std::string text;
    for (const rival& r : rivals_of(input)) text += !r.bytes ? ' ' : wins(l, bytes, r) ? r.letter : '-';
    return text;
}
inline std::string input_line(const input_sizes& s) {
    std::string text = line("input: raw %lld bytes", static_cast<long long>(s.raw));
    if (s.png) text += line(", PNG %lld bytes, JPEG at quality %d %lld bytes (%s at %dx%d)", static_cast<long long>(*s.png), s.quality, static_cast<long long>(*s.jpeg), s.picture.c_str(), s.size.width, s.size.height);
    return text + "\n";
}

} // namespace writing

/// Behind which layer how much crosses. Layers that melt into their reader are left out; the JSON has them.
inline std::string split_table(const report& r) {
    using namespace writing;
    std::string text = "\nsplit behind a layer: what has to cross, and whether it is smaller than the input raw (R), as PNG (P), as JPEG (J)\n" + input_line(r.input);
    text += line("%4s %-44s %-14s %8s %7s %10s %-3s %10s <\n", "op", "behind", "shape", "of MACs", "tensors", "f32 bytes", "<", "u8 bytes");
    for (const layer& l : r.layers) {
        if (!is_row(l)) continue;
        text += line("%4d %-44s %-14s %7.2f%% %7d %10lld %-3s %10lld %-3s\n", l.op, l.label.c_str(), shape_text(l.of).c_str(),
                     100 * share_of(l.macs_before, r.graph.total_macs), l.crossing, static_cast<long long>(l.crossed.f32), marks(l, l.crossed.f32, r.input).c_str(),
                     static_cast<long long>(l.crossed.u8), marks(l, l.crossed.u8, r.input).c_str());
        text.erase(text.find_last_not_of(" \n") + 1) += '\n';
    }
    for (const auto& [codec, member] : codecs)
        for (const rival& than : rivals_of(r.input)) {
            if (!than.bytes) continue;
            const winners w = winners_of(r.layers, member, than);
            if (w.count == 0) {
                text += line("%s smaller than %s: nowhere\n", codec, than.name);
                continue;
            }
            text += line("%s smaller than %s: in %d place%s, first op %d (%s, %lld bytes, %.2f%% of MACs), smallest op %d (%s, %lld bytes, %.2f times smaller)\n", codec, than.name, w.count, w.count == 1 ? "" : "s",
                         w.first->op, w.first->label.c_str(), static_cast<long long>(w.first->crossed.*member), 100 * share_of(w.first->macs_before, r.graph.total_macs), w.smallest->op,
                         w.smallest->label.c_str(), static_cast<long long>(w.smallest->crossed.*member), static_cast<double>(*than.bytes) / static_cast<double>(w.smallest->crossed.*member));
        }
    return text;
}

inline std::string stages_text(const report& r) {
    using namespace writing;
    using splitdsl::to_milliseconds;
    std::string text = "\nstages";
    if (r.measured)
        text += line(": times measured, %d runs on %d thread%s of %s (%s), %s, %zu bytes in memory", r.measured->runs, r.measured->threads, r.measured->threads == 1 ? "" : "s", r.measured->machine.c_str(),
                     r.measured->instruction_set.c_str(), r.measured->weights.c_str(), r.measured->weight_bytes);
    text += line("\n%5s %-20s %12s %8s %12s %13s", "stage", "ends at", "million MACs", "share", "parameters", "payload bytes");
    if (r.measured) text += line(" %10s %8s %10s %10s", "median ms", "share", "10 % ms", "90 % ms");
    text += "\n";
    const auto row = [&](const std::string& number, const stage_sums& s) {
        text += line("%5s %-20s %12.3f %7.2f%% %12lld %13s", number.c_str(), s.ends_at.c_str(), static_cast<double>(s.macs) / 1e6, 100 * s.of_macs, static_cast<long long>(s.parameters),
                     s.payload > 0 ? std::to_string(s.payload).c_str() : "");
        if (!r.measured) text.erase(text.find_last_not_of(' ') + 1);
        if (r.measured) text += line(" %10.3f %7.2f%% %10.3f %10.3f", to_milliseconds(s.time.median), 100 * s.of_time, to_milliseconds(s.time.p10), to_milliseconds(s.time.p90));
        text += "\n";
    };
    stage_sums all{.ends_at = "all", .of_macs = 1, .of_time = 1};
    for (std::size_t k = 0; k < r.stages.size(); ++k) {
        row(std::to_string(k), r.stages[k]);
        all.macs += r.stages[k].macs;
        all.parameters += r.stages[k].parameters;
    }
    if (r.measured) all.time = r.measured->whole;
    row("", all);
    return text;
}

/// Everything. `graph` is what describe<Net>() says.
inline nlohmann::ordered_json json_of(const report& r) {
    using json = nlohmann::ordered_json;
    using splitdsl::to_milliseconds;
    const auto sized = [](const payload& p) { return json{{"f32", p.f32}, {"u8", p.u8}}; };
    const auto known = [](std::optional<std::int64_t> bytes) { return bytes ? json(*bytes) : json(nullptr); };
    const auto timed = [](const spread& s) { return json{{"median", to_milliseconds(s.median)}, {"p10", to_milliseconds(s.p10)}, {"p90", to_milliseconds(s.p90)}}; };
    const splitdsl::pipeline& net = r.which->pipeline();
    json input{{"raw", r.input.raw}, {"png", known(r.input.png)}, {"jpeg", known(r.input.jpeg)}};
    if (r.input.png) input.update({{"picture", r.input.picture}, {"quality", r.input.quality}, {"height", r.input.size.height}, {"width", r.input.size.width}});
    input["tensors"] = json::array();
    for (const splitdsl::tensor_info& t : net.inputs) input["tensors"].push_back({{"name", t.name}, {"shape", {t.channels, t.height, t.width}}, {"bytes", t.bytes}});

    json layers = json::array();
    for (const layer& l : r.layers) {
        json one{{"op", l.op}, {"word", l.word}, {"name", l.name}, {"label", l.label}, {"place", l.place}, {"shape", {l.of.channels, l.of.height, l.of.width}}, {"stage", l.stage}, {"macs", l.macs},
                 {"parameters", l.parameters}, {"macs_so_far", l.macs_before}, {"output_bytes", sized(l.own)}, {"split", nullptr}};
        if (!l.cut.empty()) one["cut"] = l.cut;
        if (l.crossing > 0 && l.word != "input") {
            json smaller;
            for (const auto& [codec, member] : codecs) {
                smaller[codec] = json::array();
                for (const rival& than : rivals_of(r.input))
                    if (wins(l, l.crossed.*member, than)) smaller[codec].push_back(than.name);
            }
            one["split"] = {{"tensors", l.crossing}, {"bytes", sized(l.crossed)}, {"smaller_than", smaller}, {"in_table", is_row(l)}};
        }
        layers.push_back(std::move(one));
    }
    json splits = json::array();
    for (const auto& [codec, member] : codecs)
        for (const rival& than : rivals_of(r.input)) {
            if (!than.bytes) continue;
            const winners w = winners_of(r.layers, member, than);
            const auto point = [&, m = member](const layer* l) { return l ? json{{"op", l->op}, {"label", l->label}, {"bytes", l->crossed.*m}, {"macs_so_far", l->macs_before}} : json(nullptr); };
            splits.push_back({{"codec", codec}, {"smaller_than", than.name}, {"places", w.count}, {"first", point(w.first)}, {"smallest", point(w.smallest)}});
        }
    json stages = json::array();
    for (const stage_sums& s : r.stages) {
        json one{{"ends_at", s.ends_at}, {"macs", s.macs}, {"parameters", s.parameters}, {"share_of_macs", s.of_macs}, {"payload_bytes", s.payload > 0 ? json(s.payload) : json(nullptr)}};
        if (r.measured) one["milliseconds"] = timed(s.time), one["share_of_time"] = s.of_time;
        stages.push_back(std::move(one));
    }
    json all{{"network", r.which->name}, {"fingerprint", splitdsl::graph::writing::hex(r.graph.fingerprint)}, {"macs", r.graph.total_macs}, {"parameters", r.graph.total_parameters},
             {"input", std::move(input)}, {"stages", std::move(stages)}, {"layers", std::move(layers)}, {"splits", std::move(splits)}};
    if (r.measured)
        all["times"] = {{"label", "measured"}, {"unit", "milliseconds"}, {"machine", r.measured->machine}, {"instruction_set", r.measured->instruction_set}, {"threads", r.measured->threads},
                        {"runs", r.measured->runs}, {"weights", r.measured->weights}, {"weight_bytes", r.measured->weight_bytes}, {"whole", timed(r.measured->whole)}};
    if (r.scan) all["scan"] = json_of(*r.scan);
    all["graph"] = json::parse(splitdsl::graph::writing::json(r.graph));
    return all;
}

} // namespace describing
