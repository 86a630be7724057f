// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiled_network.hpp
/// Runs a network segment by segment and tile by tile: in a memory that is too small for it as a whole, on several threads, or as one device's share.
#pragma once

#include <splitdsl/graph/tile_plans.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/parameters.hpp>
#include <splitdsl/runtime/tile_steps.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace splitdsl {

namespace detail {
/// Every parameter's first value. Throws `weights_error` for another number or size of them.
template <class Network>
std::vector<const float*> pointers_of(const std::vector<std::vector<float>>& values, const std::string& who) {
    const std::vector<parameter> names = parameters<Network>();
    if (values.size() != names.size()) throw weights_error(who + std::to_string(names.size()) + " parameters were expected, found " + std::to_string(values.size()));
    std::vector<const float*> pointers;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (values[i].size() != static_cast<std::size_t>(names[i].size()))
            throw weights_error(who + names[i].name + " needs " + std::to_string(names[i].size()) + " values, found " + std::to_string(values[i].size()));
        pointers.push_back(values[i].data());
    }
    return pointers;
}
} // namespace detail

/// A network's tiles with their weights. Every value is that of the whole run (`pipeline::run`) of the same instruction set.
///
/// ```cpp
/// const auto values = match_weights<lane_keeper>(read_safetensors("lane_keeper.safetensors"), "lane_keeper.safetensors");
/// tiled_network<lane_keeper> small{values, plan_within<lane_keeper>(600'000)};   // bytes
/// const void* inputs[]{frame};
/// std::array<float, 3> control{};
/// small.run(inputs, control.data());
/// ```
/// Refused (option_error): a plan with a `why`, or one for fewer threads or lanes, whose memory is not enough here; (weights_error) another number or size of values. What these hold is
/// taken as it is: `match_weights` says what is wrong with a file.
template <class Network>
class tiled_network {
public:
    /// `values`: one vector a parameter, in `parameters<Network>()` order. `plan`: of the whole network, or one device's part of it.
    tiled_network(const std::vector<std::vector<float>>& values, const tile_plan& plan, int threads = 1, const tile_code& code = tile_code_of<Network>())
        : parts(plan.parts.begin(), plan.parts.begin() + plan.count), runs{&code}, crew{std::max(threads, 1)} {
        if (plan.why) throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": " + plan.why);
        if (parts.empty()) throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": a plan with a segment was expected, found an empty one");
        const std::vector<const float*> pointers = detail::pointers_of<Network>(values, "tiles of " + std::string(graph::type_name<Network>()) + ": ");
        for (const graph::segment& s : parts) {
            std::vector<layout>& of_part = tiles.emplace_back();
            std::size_t arena = 0, raw = 0;
            for (int k = 0; k < s.tiles(); ++k) {
                of_part.push_back(graph::lay_out<tile_capacity<Network>>(net, tile_lives<Network>, s, k / s.columns, k % s.columns, code.lanes));
                arena = std::max(arena, static_cast<std::size_t>(of_part.back().arena_bytes));
                if (s.tiles() > 1) raw = std::max(raw, static_cast<std::size_t>(graph::whole_lines(of_part.back().raw_bytes)));
            }
            arenas.push_back(arena), raws.push_back(raw);
            int loads = 0;
            for (int i = s.first.step; i < s.last.step; ++i) loads += net.at(i).kind == graph::step_kind::load_input;
            if (loads > most_loads) throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": up to " + std::to_string(most_loads) + " inputs a segment were expected, found " + std::to_string(loads));
            const std::size_t own = static_cast<std::size_t>(std::min(crew, s.tiles())) * (arena + raw);
            work_size = std::max(work_size, held(s.first) + held(s.last) + own);
        }
        if (plan.work_bytes > 0 && work_size > static_cast<std::size_t>(plan.work_bytes))
            throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": a plan for " + std::to_string(code.lanes) + " lanes and " + std::to_string(crew) + " threads was expected (memory_terms), which takes " +
                               std::to_string(work_size) + " bytes; found one of " + std::to_string(plan.work_bytes));
        const int first = parts.front().first.step, last = parts.back().last.step;
        line_of.resize(static_cast<std::size_t>(net.count));
        packed = aligned_buffer{code.packed_bytes(pointers.data(), first, last)};
        code.pack(pointers.data(), first, last, packed.data(), line_of.data());
        work = aligned_buffer{work_size};
    }

    /// Bytes of packed weights, and of everything that a run works in.
    std::size_t weight_bytes() const { return packed.size(); }
    std::size_t work_bytes() const { return work.size(); }
    std::size_t peak_bytes() const { return weight_bytes() + work_bytes(); }
    /// Floats of the map that enters the first segment and of the one that leaves the last; 0 where inputs and outputs do.
    std::size_t entering_floats() const { return floats_of(parts.front().first); }
    std::size_t leaving_floats() const { return floats_of(parts.back().last); }

    /// The whole network: `inputs` and `outputs` as `frame_memory` has them. `workers`: tiles side by side on up to `threads` of its threads; null: one after another.
    void run(const void* const* inputs, float* outputs, const task_runner* workers = nullptr) { run_part(inputs, nullptr, outputs, nullptr, workers); }
    /// One device's part: `entering` is what the device before it gave as `leaving`, planar floats (a cut's codec: its bytes).
    void run_part(const void* const* inputs, const float* entering, float* outputs, float* leaving, const task_runner* workers = nullptr) {
        for (std::size_t k = 0; k < parts.size(); ++k) run_segment(k, inputs, k == 0 && entering ? entering : nullptr, outputs, k + 1 == parts.size() ? leaving : nullptr, workers);
    }

    /// Tiles on other devices: `ask` writes what tile k of the first segment reads (crops of the raw inputs, each padded to a multiple of 4 bytes), `answer` runs it there, `gather`
    /// puts what it gave into the map that leaves the segment, in any order, and `run_behind` runs the other segments when all are there. Who is late or gone is made up for by
    /// `run_here`: the same values. Spans begin at multiples of 4 bytes, numbers are little-endian; which network, weights and plan both sides have is for their
    /// transport to compare (runtime/tile_team.hpp does). A device that only answers needs no more than the first segment's plan (`first_of`). One call at a time.
    /// Refused (option_error): a tile that is not in the plan, spans of another size, a plan whose first segment gives the outputs.
    std::size_t question_bytes(int k) const { return static_cast<std::size_t>(tile(k).in_bytes); }
    std::size_t answer_bytes(int k) const { return static_cast<std::size_t>(tile(k).out_bytes); }
    void ask(int k, const void* const* inputs, std::span<std::byte> question) const {
        require(question.size(), question_bytes(k), "a question");
        const void* raw[most_loads]{};
        crop_inputs(tile(k), inputs, question.data(), raw, true);
    }
    void answer(int k, std::span<const std::byte> question, std::span<std::byte> answer) {
        const layout& t = tile(k);
        require(question.size(), question_bytes(k), "a question");
        require(answer.size(), answer_bytes(k), "an answer");
        const void* raw[most_loads]{};
        tile_ends ends;
        ends.raw = raw;
        for (int i = t.of.first.step, load = 0; i < t.of.last.step; ++i) {
            if (net.at(i).kind != graph::step_kind::load_input) continue;
            raw[load++] = question.data();
            question = question.subspan(padded(graph::raw_bytes_of(net, net.at(i), t.steps[i].made)));
        }
        ends.out = reinterpret_cast<float*>(answer.data());
        ends.out_row = t.out.width(), ends.out_plane = t.out.pixels();
        runs->run(&t, line_of.data(), packed.data(), work.data() + held(parts[0].first), ends);
    }
    void gather(int k, std::span<const std::byte> answer) {
        const layout& t = tile(k);
        require(answer.size(), answer_bytes(k), "an answer");
        float* to{};
        std::ptrdiff_t row{}, plane{};
        point_at(parts[0].last.tensor, t.out, map_at(parts[0].last, true), to, row, plane);
        const std::size_t bytes_of_row = 4 * static_cast<std::size_t>(t.out.width());
        const std::byte* from = answer.data();
        for (int c = 0; c < net.map(parts[0].last.tensor).channels; ++c)
            for (int y = 0; y < t.out.height(); ++y, from += bytes_of_row) std::memcpy(to + c * plane + y * row, from, bytes_of_row);
    }
    /// Tile k straight into the map.
    void run_here(int k, const void* const* inputs) {
        (void)tile(k);
        run_tile({this, 0, inputs, nullptr, map_at(parts[0].last, true), nullptr, work.data() + held(parts[0].first), 1}, k, work.data() + held(parts[0].first));
    }
    void run_behind(const void* const* inputs, float* outputs, const task_runner* workers = nullptr) {
        for (std::size_t k = 1; k < parts.size(); ++k) run_segment(k, inputs, nullptr, outputs, nullptr, workers);
    }

    using layout = graph::tile_layout<tile_capacity<Network>>;
    /// The first segment, its tiles' places and regions, and the code that runs them.
    const graph::segment& front() const { return parts.front(); }
    const layout& tile(int k) const {
        if (k < 0 || k >= parts[0].tiles()) throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": a tile below " + std::to_string(parts[0].tiles()) + " was expected, found " + std::to_string(k));
        if (parts[0].last.tensor < 0 || parts[0].first.tensor >= 0 || net.buffers[parts[0].last.tensor].is_bytes)
            throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": a plan was expected whose first segment reads the inputs and gives a map to the next; found another one");
        return tiles[0][static_cast<std::size_t>(k)];
    }
    const tile_code& code() const { return *runs; }

private:
    static constexpr const graph::tile_source& net = tile_source_of<Network>;
    std::vector<graph::segment> parts;
    std::vector<std::vector<layout>> tiles{};
    std::vector<std::size_t> arenas{}, raws{};      ///< of each segment's largest tile
    std::vector<std::uint32_t> line_of{};
    aligned_buffer packed{}, work{};
    std::size_t work_size{};
    const tile_code* runs;
    int crew;

    /// Raw inputs that a segment loads, at most; a network has no more inputs.
    static constexpr int most_loads = 64;
    static void require(std::size_t found, std::size_t expected, const char* what) {
        if (found != expected) throw option_error("tiles of " + std::string(graph::type_name<Network>()) + ": " + what + " of " + std::to_string(expected) + " bytes was expected, found " + std::to_string(found));
    }
    static std::size_t padded(std::int64_t size) { return static_cast<std::size_t>((size + 3) / 4 * 4); }
    static std::size_t held(const graph::border& b) { return static_cast<std::size_t>(graph::held_bytes(net, b)); }
    static std::size_t floats_of(const graph::border& b) { return b.tensor < 0 ? 0 : static_cast<std::size_t>((graph::crop_bytes(net, b.tensor, net.whole(b.tensor)) + 3) / 4); }

    /// The map between two segments lies at the front of the memory, or at its end: where the segment before found none.
    float* map_at(const graph::border& b, bool at_end) { return reinterpret_cast<float*>(work.data() + (at_end ? work_size - held(b) : 0)); }

    struct segment_run {
        tiled_network* of;
        std::size_t part;
        const void* const* inputs;
        const float* in;
        float* out;
        float* outputs;
        std::byte* room;
        int takers;
    };
    void run_segment(std::size_t k, const void* const* inputs, const float* entering, float* outputs, float* leaving, const task_runner* workers) {
        const graph::segment& s = parts[k];
        const bool at_end = k % 2 == 1;
        const std::size_t front = at_end ? held(s.last) : held(s.first);
        segment_run r{this, k, inputs, entering ? entering : map_at(s.first, at_end), leaving ? leaving : map_at(s.last, !at_end), outputs, work.data() + front, std::min(crew, s.tiles())};
        const auto body = [](void* context, int first, int last) {
            const auto& run = *static_cast<const segment_run*>(context);
            for (int taker = first; taker < last; ++taker) run.of->run_share(run, taker);
        };
        if (workers && r.takers > 1) workers->run(r.takers, body, &r);
        else body(&r, 0, r.takers);
    }
    void run_share(const segment_run& r, int taker) const {
        const graph::segment& s = parts[r.part];
        std::byte* const arena = r.room + static_cast<std::size_t>(taker) * (arenas[r.part] + raws[r.part]);
        for (int k = taker; k < s.tiles(); k += r.takers) run_tile(r, k, arena);
    }
    void run_tile(const segment_run& r, int k, std::byte* arena) const {
        const graph::segment& s = parts[r.part];
        const layout& t = tiles[r.part][static_cast<std::size_t>(k)];
        tile_ends ends;
        const void* raw[most_loads]{};
        crop_inputs(t, r.inputs, arena + arenas[r.part], raw);
        ends.raw = raw;
        ends.outputs = r.outputs;
        if (s.first.tensor >= 0) point_at(s.first.tensor, t.tensors[s.first.tensor].of, r.in, ends.in, ends.in_row, ends.in_plane);
        if (s.last.tensor >= 0) point_at(s.last.tensor, t.out, r.out, ends.out, ends.out_row, ends.out_plane);
        runs->run(&t, line_of.data(), packed.data(), arena, ends);
    }
    /// A region's first value in a whole map of planes.
    template <class Float>
    static void point_at(int tensor, const graph::region& of, Float* map, Float*& at, std::ptrdiff_t& row, std::ptrdiff_t& plane) {
        const shape whole = net.map(tensor);
        row = whole.width, plane = std::ptrdiff_t{whole.height} * whole.width;
        at = net.buffers[tensor].is_bytes ? map : map + of.top * row + of.left;
    }
    /// Raw inputs: as they are where a tile reads them whole (not `always`), else copied without gaps.
    static void crop_inputs(const layout& t, const void* const* inputs, std::byte* to, const void** raw, bool always = false) {
        for (int i = t.of.first.step, load = 0; i < t.of.last.step; ++i) {
            const graph::step& s = net.at(i);
            if (s.kind != graph::step_kind::load_input) continue;
            const int source = net.op_of(s).kind == op_kind::input ? s.op : net.operand[s.op];
            const op& o = net.ops[source];
            const auto* const from = static_cast<const std::byte*>(inputs[input_index<Network>(source)]);
            const graph::region& seen = t.steps[i].made;
            raw[load] = seen == graph::whole_of(o.size) && !always ? from : to;
            if (raw[load++] == from) continue;
            std::byte* const next = to + padded(graph::raw_bytes_of(net, s, seen));
            const std::size_t value = o.element == element_type::u8 ? 1 : 4;
            const bool interleaved = has(o.flags, op_flag::is_hwc);
            const std::size_t pixel = interleaved ? value * static_cast<std::size_t>(o.size.channels) : value, row = pixel * static_cast<std::size_t>(seen.width());
            for (int plane = 0; plane < (interleaved ? 1 : o.size.channels); ++plane)
                for (int y = seen.top; y < seen.bottom; ++y, to += row) {
                    const std::size_t pixels_before = (static_cast<std::size_t>(plane) * static_cast<std::size_t>(o.size.height) + static_cast<std::size_t>(y)) * static_cast<std::size_t>(o.size.width);
                    std::memcpy(to, from + (pixels_before + static_cast<std::size_t>(seen.left)) * pixel, row);
                }
            while (to < next) *to++ = std::byte{};
        }
    }
};

} // namespace splitdsl
