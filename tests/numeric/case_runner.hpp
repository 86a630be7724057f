// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file case_runner.hpp
/// Runs one network's pipeline on random weights and frames, whole and cut in two, and compares it with the reference.
///
/// Every arena and output is filled with NaN bytes first: a step that reads what nobody wrote cannot stay unnoticed.
#pragma once

#include "../same_bits.hpp"

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/reference_run.hpp>
#include <splitdsl/runtime/whole_run.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace numeric {

using namespace splitdsl;

/// Largest error a word may show, in units of the output's range.
inline constexpr double tolerance = 1e-5;
/// The same where a codec stands between: a value on the edge between two levels may fall to either side, by one level of 255.
inline constexpr double codec_tolerance = 5e-3;

/// Weights that keep values in a network of any depth near one.
inline parameter_map random_weights(const graph::description& d, unsigned seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0, 1);
    parameter_map map;
    for (const parameter& p : graph::list_parameters(d)) {
        float fan = 1;
        for (std::size_t k = 1; k < p.dims.size(); ++k) fan *= static_cast<float>(p.dims[k]);
        auto& values = map[p.name];
        values.resize(static_cast<std::size_t>(p.size()));
        for (float& x : values) {
            const float n = normal(engine);
            if (p.name.ends_with("running_var")) x = 0.5F + std::abs(n);
            else if (p.name.ends_with(".beta")) x = 0.5F + std::abs(n);        // a divisor
            else if (p.name.ends_with(".gamma")) x = std::abs(n) / fan;
            else if (p.dims.size() > 1) x = n * std::sqrt(2 / fan);
            else x = p.name.ends_with("weight") ? 1 + 0.2F * n : 0.2F * n;
        }
    }
    return map;
}

/// How many branches the select behind an input has; 0 for every other input.
inline int commands_of(const graph::description& d, std::string_view input) {
    for (std::size_t i = 0; i < d.ops.size(); ++i)
        if (d.ops[i].kind == op_kind::select && std::string(d.ops[static_cast<std::size_t>(d.b[i])].label) == input) return d.ops[i].out;
    return 0;
}

/// Random inputs of one frame; commands count through their branches with the seed.
struct frame {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<const void*> pointers;
    std::map<std::string, const void*> named;

    frame(const graph::description& d, const pipeline& p, unsigned seed) {
        std::mt19937 engine(seed * 7919 + 13);
        std::normal_distribution<float> normal(0, 1);
        for (const tensor_info& t : p.inputs) {
            std::vector<std::byte> b(t.bytes);
            const std::size_t values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
            if (const int commands = commands_of(d, t.name); commands > 0) b[0] = static_cast<std::byte>(seed % static_cast<unsigned>(commands));
            else if (t.bytes == 4 * values)
                for (std::size_t i = 0; i < values; ++i) {
                    const float x = normal(engine);
                    std::memcpy(b.data() + 4 * i, &x, 4);
                }
            else
                for (auto& x : b) x = static_cast<std::byte>(engine() & 255U);
            bytes.push_back(std::move(b));
        }
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            pointers.push_back(bytes[i].data());
            named[p.inputs[i].name] = bytes[i].data();
        }
    }
};

/// A NaN that no arithmetic makes: what an output holds as long as nobody wrote it.
inline float untouched(int which) {
    const std::uint32_t bits = 0x7fabcd00U + static_cast<std::uint32_t>(which);
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

/// One side's buffers. `which` selects the garbage they begin with.
struct side {
    aligned_buffer arena;
    std::vector<float> outputs;
    int which;
    frame_memory memory;

    side(const pipeline& p, const aligned_buffer& packed, int garbage) : arena(p.arena_bytes), outputs(p.output_floats, untouched(garbage)), which(garbage) {
        std::memset(arena.data(), garbage % 2 == 0 ? 0xff : 0x7f, p.arena_bytes);
        memory = {arena.data(), packed.data(), nullptr, outputs.data(), nullptr};
    }
    bool wrote(std::size_t i) const {
        const float mark = untouched(which);
        return std::memcmp(&outputs[i], &mark, 4) != 0;
    }
};

/// A pipeline with weights.
struct loaded {
    const graph::description& d;
    const pipeline& p;
    parameter_map weights;
    aligned_buffer packed;

    loaded(const graph::description& of, const pipeline& with, unsigned seed = 1) : d(of), p(with), weights(random_weights(of, seed)), packed(with.packed_bytes) {
        std::vector<const float*> pointers;
        for (const parameter& q : graph::list_parameters(d)) pointers.push_back(weights[q.name].data());
        std::memset(packed.data(), 0xff, p.packed_bytes);
        p.pack(pointers.data(), packed.data());
    }
    std::vector<float> whole(const frame& f, const task_runner* workers = nullptr, int garbage = 0) const {
        side s(p, packed, garbage);
        s.memory.inputs = f.pointers.data();
        s.memory.workers = workers;
        run_whole(p, s.memory);
        return s.outputs;
    }
    std::vector<float> reference(const frame& f) const { return run_reference(d, weights, f.named); }
    bool has_codec() const {
        return std::any_of(d.ops.begin(), d.ops.end(), [](const op& o) { return o.kind == op_kind::quantise && o.codec != codec_id::float32; });
    }
};

/// Largest difference over all outputs, each in units of its own range; infinite if sizes differ or a value is not finite.
inline double error_of(const pipeline& p, const std::vector<float>& want, const std::vector<float>& got) {
    double worst = 0;
    if (want.size() != got.size() || want.size() != p.output_floats) return std::numeric_limits<double>::infinity();
    std::size_t at = 0;
    for (const tensor_info& t : p.outputs) {
        const std::size_t n = t.bytes / 4;
        const auto [low, high] = std::minmax_element(want.begin() + static_cast<std::ptrdiff_t>(at), want.begin() + static_cast<std::ptrdiff_t>(at + n));
        const double range = static_cast<double>(*high) - static_cast<double>(*low);
        for (std::size_t i = at; i < at + n; ++i) {
            const double e = std::abs(static_cast<double>(want[i]) - static_cast<double>(got[i]));
            if (!std::isfinite(e)) return std::numeric_limits<double>::infinity();
            worst = std::max(worst, e == 0 ? 0 : e / range);
        }
        at += n;
    }
    return at == want.size() ? worst : std::numeric_limits<double>::infinity();
}

/// Runs stages up to a cut on one side and the rest on another that got only the payload. Returns what is wrong, or nothing.
///
/// Every output must be written by exactly one side and equal the unsplit run bit for bit; main outputs come from behind the cut.
inline std::string split_fault(const loaded& n, const frame& f, int cut, const std::vector<float>& unsplit) {
    const pipeline& p = n.p;
    const cut_info& c = p.cuts[static_cast<std::size_t>(cut)];
    const std::string where = std::string(p.network) + " cut at " + c.name + ": ";
    side edge(p, n.packed, 2), cloud(p, n.packed, 3);
    edge.memory.inputs = f.pointers.data();
    std::vector<std::byte> payload(c.payload_bytes + 16, std::byte{0xa5});
    if (!p.run(edge.memory, 0, c.stage + 1, nullptr)) return where + "the edge did not run";
    if (const std::size_t stored = p.store_payload(edge.memory, cut, payload.data()); stored != c.payload_bytes)
        return where + "stored " + std::to_string(stored) + " bytes, expected " + std::to_string(c.payload_bytes);
    if (std::any_of(payload.begin() + static_cast<std::ptrdiff_t>(c.payload_bytes), payload.end(), [](std::byte b) { return b != std::byte{0xa5}; }))
        return where + "bytes behind the payload were written";
    if (!p.load_payload(cloud.memory, cut, {payload.data(), c.payload_bytes})) return where + "its own payload is refused";
    if (!p.run(cloud.memory, c.stage + 1, p.stages, nullptr)) return where + "the cloud did not run";
    std::size_t at = 0;
    for (const tensor_info& t : p.outputs) {
        const std::size_t end = at + t.bytes / 4;
        const bool at_cloud = cloud.wrote(at);
        const bool is_exit = std::any_of(n.d.ops.begin(), n.d.ops.end(), [&](const op& o) { return o.kind == op_kind::output && has(o.flags, op_flag::is_exit) && std::string(o.label) == t.name; });
        if (!is_exit && !at_cloud) return where + "output " + t.name + " does not come from behind the cut";
        for (; at < end; ++at) {
            if (cloud.wrote(at) != at_cloud || edge.wrote(at) == at_cloud) return where + "output " + t.name + " is not written by exactly one side";
            const float got = at_cloud ? cloud.outputs[at] : edge.outputs[at];
            if (std::memcmp(&got, &unsplit[at], 4) != 0)
                return where + "output " + t.name + " differs from the unsplit run: " + std::to_string(got) + ", expected " + std::to_string(unsplit[at]);
        }
    }
    // The edge's own tail goes on from the same arena: the fallback.
    if (!p.run(edge.memory, c.stage + 1, p.stages, nullptr) || !same_bits(edge.outputs, unsplit)) return where + "the edge's own tail differs from the unsplit run";
    return {};
}

/// Runners that keep the contract (disjoint ranges that cover all tasks) in the least convenient way.
inline constexpr task_runner backwards{[](int tasks, void (*body)(void*, int, int), void* context) {
    for (int i = tasks - 1; i >= 0; --i) body(context, i, i + 1);
}};
inline constexpr task_runner in_uneven_pieces{[](int tasks, void (*body)(void*, int, int), void* context) {
    for (int parity = 1; parity >= 0; --parity)         // 0..1, 1..3, 3..6, ...: every second piece first
        for (int at = 0, size = 1, piece = 0; at < tasks; at += size, ++size, ++piece)
            if (piece % 2 == parity) body(context, at, std::min(tasks, at + size));
}};

/// Returns which runner gives another result than the calling thread alone, or nothing.
inline std::string runner_fault(const loaded& n, const frame& f, const std::vector<float>& alone) {
    const std::string where = std::string(n.p.network) + ", " + n.p.instruction_set + ": ";
    if (!same_bits(n.whole(f, &serial_runner, 1), alone)) return where + "serial_runner differs from no runner";
    if (!same_bits(n.whole(f, &backwards, 1), alone)) return where + "tasks run backwards give another result";
    if (!same_bits(n.whole(f, &in_uneven_pieces), alone)) return where + "tasks run in uneven pieces give another result";
#if SPLITDSL_HAS_TBB
    for (int k = 0; k < 3; ++k)
        if (!same_bits(n.whole(f, &tbb_runner, k), alone)) return where + "tbb_runner gives another result";
#endif
    return {};
}

/// Returns which batch gives a frame other bits than it has alone, or nothing: three different frames, from the begin and behind every cut.
inline std::string batch_fault(const loaded& n) {
    const pipeline& p = n.p;
    std::vector<frame> frames;
    frames.reserve(3);
    for (unsigned seed = 1; seed <= 3; ++seed) frames.emplace_back(n.d, p, seed);
    for (int cut = -1; cut < static_cast<int>(p.cuts.size()); ++cut) {
        const int begin = cut < 0 ? 0 : p.cuts[static_cast<std::size_t>(cut)].stage + 1;
        std::vector<std::vector<std::byte>> payloads;
        std::vector<std::vector<float>> alone;
        const auto seat = [&](std::size_t f, const task_runner* workers) {
            auto s = std::make_unique<side>(p, n.packed, static_cast<int>(f));
            s->memory.workers = workers;
            if (cut < 0) s->memory.inputs = frames[f].pointers.data();
            else p.load_payload(s->memory, cut, payloads[f]);
            return s;
        };
        for (std::size_t f = 0; f < frames.size(); ++f) {
            if (cut >= 0) {
                side edge(p, n.packed, 0);
                edge.memory.inputs = frames[f].pointers.data();
                p.run(edge.memory, 0, begin, nullptr);
                payloads.emplace_back(p.cuts[static_cast<std::size_t>(cut)].payload_bytes);
                p.store_payload(edge.memory, cut, payloads.back().data());
            }
            const auto one = seat(f, nullptr);
            p.run(one->memory, begin, p.stages, nullptr);
            alone.push_back(one->outputs);
        }
        for (const task_runner* workers : {static_cast<const task_runner*>(nullptr), &in_uneven_pieces, default_runner()}) {
            std::vector<std::unique_ptr<side>> seats;
            std::vector<frame_memory> together;
            for (std::size_t f = 0; f < frames.size(); ++f) {
                seats.push_back(seat(f, workers));
                together.push_back(seats.back()->memory);
            }
            const std::string where = std::string(p.network) + ", " + p.instruction_set + ", from stage " + std::to_string(begin) + ": ";
            if (!p.run_batch(together, begin, p.stages, nullptr)) return where + "a batch did not run";
            for (std::size_t f = 0; f < frames.size(); ++f)
                if (!same_bits(seats[f]->outputs, alone[f])) return where + "frame " + std::to_string(f) + " of a batch has other values than alone";
            if (cut >= 0) break; // threads once
        }
    }
    return {};
}

} // namespace numeric
