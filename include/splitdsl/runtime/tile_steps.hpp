// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_steps.hpp
/// Runs a tile's steps with the SIMD kernels of the instruction set this file is compiled for: the network's own steps, on regions of their maps.
#pragma once

#include <splitdsl/graph/tile_layout.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/tile_code.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

template <class Network>
struct tile_engine {
    using whole = engine<Network>;
    using layout = graph::tile_layout<std::remove_cvref_t<decltype(steps_of<Network>)>::capacity>;
    static constexpr const graph::tile_source& net = tile_source_of<Network>;
    static_assert(!has_ranges<Network>, "splitdsl: a network on bytes is not run in tiles. Declare it without `precision`, or run it whole.");

    /// Region `seen` of what a tile has of a tensor.
    static placed place(const layout& t, int b, const graph::region& seen) {
        if (b < 0) return {};
        const graph::tile_tensor& held = t.tensors[b];
        const graph::buffer& of = net.buffers[b];
        placed p;
        p.start = p.at = held.offset;
        p.of = of.of;
        if (of.is_bytes) return p;
        const int pixel = of.in_quads ? 4 : simd::lanes;
        p.of = {of.of.channels, seen.height(), seen.width()};
        if (b == t.of.last.tensor && t.channels > 0) p.of.channels = t.channels;
        p.in_quads = of.in_quads;
        p.row = (held.of.width() + held.left + held.right) * pixel;
        p.block = p.row * (held.of.height() + held.top + held.bottom);
        p.at += 4 * (std::ptrdiff_t{held.top + seen.top - held.of.top} * p.row + std::ptrdiff_t{held.left + seen.left - held.of.left} * pixel);
        if (seen == held.of) p.top = held.top, p.left = held.left, p.bottom = held.bottom, p.right = held.right;
        return p;
    }

    /// A step's instruction for its region: the same step over a smaller map, whose padding is the picture's where the region meets its border, and none elsewhere.
    static instruction part_of(const layout& t, int i) {
        const graph::step& s = net.at(i);
        const graph::tile_step& part = t.steps[i];
        instruction c = whole::at(i);
        c.in = place(t, s.in, part.seen.of);
        c.in2 = place(t, s.in2, s.in2 < 0 ? graph::region{} : graph::beside(net, s.in2, s, part.made));
        c.addend = place(t, s.addend, part.made);
        c.out = place(t, s.out, part.made);
        c.scratch = part.scratch;
        c.winograd.chunk = part.chunk, c.winograd.tasks = 1;
        c.slot = -1;
        c.chain = 0;
        c.payload = -1, c.is_done = false;      // a codec's levels are a step of their own: the same bytes
        if (s.kind == step_kind::load_input) {
            c.input = 0;
            c.encoded = graph::raw_bytes_of(net, s, part.made);
            return c;
        }
        if (s.out == t.of.last.tensor && t.channels > 0) c.conv.out_channels = t.channels;
        if (s.out < 0 || graph::why_whole(net, s)) return c;
        c.conv.in_height = part.seen.of.height(), c.conv.in_width = part.seen.of.width();
        c.conv.out_height = part.made.height(), c.conv.out_width = part.made.width();
        c.conv.pad_top = part.seen.top, c.conv.pad_left = part.seen.left;
        const graph::region all = net.whole(s.in);
        const bool frames = s.kind == step_kind::pad;
        if (frames || part.seen.of.bottom < all.bottom) c.pad_bottom = frames ? part.seen.bottom : 0;
        if (frames || part.seen.of.right < all.right) c.pad_right = frames ? part.seen.right : 0;
        return c;
    }

    static void run(const void* of, const std::uint32_t* line_of, const std::byte* packed, std::byte* arena, const tile_ends& ends) {
        const layout& t = *static_cast<const layout*>(of);
        const int entering = t.of.first.tensor, leaving = t.of.last.tensor;
        frame_memory m{.arena = arena, .outputs = ends.outputs};
        int loads = 0;
        for (int i = t.of.first.step; i < t.of.last.step; ++i) {
            const graph::step& s = net.at(i);
            if (graph::is_skipped(s)) continue;
            if (entering >= 0 && i == t.tensors[entering].first) take_in(t, m, ends);
            m.inputs = s.kind == step_kind::load_input ? ends.raw + loads++ : nullptr;
            const instruction c = part_of(t, i);
            whole::run_step({c, m, reinterpret_cast<const float*>(packed + whole::line * line_of[i]), reinterpret_cast<float*>(arena + c.scratch)});
        }
        if (leaving >= 0) give_out(t, m, ends);
    }

    static bool packs(int i) { return !graph::is_skipped(net.at(i)) && whole::kernel_for(at_alone(i)).packed_floats(at_alone(i)) > 0; }
    static std::size_t packed_bytes(const float* const* parameters, int first, int last) {
        std::size_t lines = 0;
        for (int i = first; i < last; ++i)
            if (packs(i)) lines += whole::lines_for(whole::floats_of(at_alone(i), parameters));
        return whole::line * lines;
    }
    static void pack(const float* const* parameters, int first, int last, std::byte* packed, std::uint32_t* line_of) {
        auto* const room = static_cast<float*>(::operator new(2 * whole::widest * sizeof(float)));
        std::size_t next = 0;
        for (int i = first; i < last; ++i) {
            line_of[i] = static_cast<std::uint32_t>(next);
            if (!packs(i)) continue;
            pack_step(whole::kernel_for(at_alone(i)), at_alone(i), parameters, reinterpret_cast<float*>(packed + whole::line * next), {room, room + whole::widest});
            next += whole::lines_for(whole::floats_of(at_alone(i), parameters));
        }
        ::operator delete(room);
    }

    /// A layer's output channels [begin, end) alone: `run` with a layout of so many.
    static std::size_t share_bytes(const float* const* parameters, int i, int begin, int end) {
        const share_of_step share{i, parameters, begin, end};
        return whole::line * whole::lines_for(whole::floats_of(share.c, share.parameters));
    }
    static void pack_share(const float* const* parameters, int i, int begin, int end, std::byte* packed) {
        const share_of_step share{i, parameters, begin, end};
        auto* const room = static_cast<float*>(::operator new(2 * static_cast<std::size_t>(end - begin) * sizeof(float)));
        pack_step(whole::kernel_for(share.c), share.c, share.parameters, reinterpret_cast<float*>(packed), {room, room + (end - begin)});
        ::operator delete(room);
    }

private:
    /// A layer of fewer output channels, and its parameters from the first of them on: weight, bias, and those of a folded norm.
    struct share_of_step {
        instruction c;
        const float* parameters[6]{};
        share_of_step(int i, const float* const* all, int begin, int end) : c{at_alone(i)} {
            const std::ptrdiff_t each = std::ptrdiff_t{c.conv.in_channels} * c.conv.kernel_h * c.conv.kernel_w;
            parameters[0] = all[c.parameters] + begin * each;
            if (c.has_bias) parameters[1] = all[c.parameters + 1] + begin;
            for (int k = 0; k < 4 && c.norm_parameters >= 0; ++k) parameters[2 + k] = all[c.norm_parameters + k] + begin;
            c.parameters = 0;
            if (c.norm_parameters >= 0) c.norm_parameters = 2;
            c.conv.out_channels = c.out.of.channels = end - begin;
        }
    };
    /// A step that does not fill a payload beside its own work.
    static instruction at_alone(int i) {
        instruction c = whole::at(i);
        c.payload = -1, c.is_done = false;
        return c;
    }
    static void take_in(const layout& t, const frame_memory& m, const tile_ends& ends) {
        const int b = t.of.first.tensor;
        const graph::tile_tensor& held = t.tensors[b];
        const placed p = place(t, b, held.of);
        if (net.buffers[b].is_bytes) {
            __builtin_memcpy(m.arena + p.at, ends.in, static_cast<std::size_t>(net.buffers[b].bytes));
            return;
        }
        const simd::view v = written(m, p);
        const simd::extent e = extent_of(p.of);
        if (p.has_halo()) simd::zero_halo(v, e, {p.top, p.left, p.bottom, p.right});
        for (int block = 0; block < simd::blocks_of(e.channels); ++block)
            for (int y = 0; y < e.height; ++y)
                simd::planes_to_pixels(ends.in + block * simd::lanes * ends.in_plane + y * ends.in_row, ends.in_plane, e.width, simd::smaller(simd::lanes, e.channels - block * simd::lanes),
                                       v.at + block * v.block + y * v.row);
    }
    static void give_out(const layout& t, const frame_memory& m, const tile_ends& ends) {
        const int b = t.of.last.tensor;
        const placed p = place(t, b, t.out);
        if (net.buffers[b].is_bytes) {
            __builtin_memcpy(ends.out, m.arena + p.at, static_cast<std::size_t>(net.buffers[b].bytes));
            return;
        }
        const simd::const_view v = read(m, p);
        const simd::extent e = extent_of(p.of);
        for (int block = 0; block < simd::blocks_of(e.channels); ++block)
            for (int y = 0; y < e.height; ++y)
                simd::pixels_to_planes(v.at + block * v.block + y * v.row, e.width, simd::smaller(simd::lanes, e.channels - block * simd::lanes),
                                       ends.out + block * simd::lanes * ends.out_plane + y * ends.out_row, ends.out_plane);
    }
};

} // namespace execution

/// What `tile_code_of` finds in files that compile their networks themselves.
template <class Network>
const tile_code& tiles_compiled_in(std::type_identity<Network>, this_instruction_set) {
    using tiles = execution::tile_engine<Network>;
    static constexpr tile_code code{SPLITDSL_ARCH_NAME, simd::lanes, &tiles::packed_bytes, &tiles::pack, &tiles::run, &tiles::share_bytes, &tiles::pack_share};
    return code;
}

} // namespace splitdsl::inline SPLITDSL_ARCH

namespace splitdsl {
/// The code of the instruction set that this file is compiled for.
template <class Network, class Here = this_instruction_set>
const tile_code& tile_code_of() { return tiles_compiled_in(std::type_identity<Network>{}, Here{}); }
} // namespace splitdsl
