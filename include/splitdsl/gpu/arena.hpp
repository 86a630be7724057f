// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file arena.hpp
/// Where a program's tensors lie on a device: which of them are written straight into a concatenation, and every buffer's place.
#pragma once

#include <kernels/cudnn/source/all.hpp>
#include <splitdsl/gpu/program.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace splitdsl::gpu {

namespace cudnn = kernels::cudnn;
using graph::step_kind;

/// Of a concatenation's operand: the buffer that it is part of, from which channel on. Nothing is copied then.
struct slice {
    int of{-1};
    int channel{};
};

namespace detail {

constexpr int most_aligned = 16;                ///< bytes that a pixel of a slice is a multiple of: what cuDNN's fast engines want

/// Whether both steps are inside the same branches of selects: whenever one runs, so does the other.
inline bool run_together(const program& p, int a, int b) {
    for (std::size_t i = 0; i < p.steps.size(); ++i) {
        const step& s = p.steps[i];
        const int begin = static_cast<int>(i), end = s.plan.skip;
        if (s.plan.kind == step_kind::branch && (begin < a && a < end) != (begin < b && b < end)) return false;
    }
    return true;
}
inline bool is_concat_copy(const step& s) { return s.plan.kind == step_kind::copy_channels && s.from.kind == op_kind::concat; }

/// Whether the operand that step `at` copies may be written into its result instead.
inline bool may_be_slice(const program& p, int at, std::size_t element_bytes) {
    const step& copy = p.steps[static_cast<std::size_t>(at)];
    const graph::buffer &from = p.buffers[static_cast<std::size_t>(copy.plan.in)], &to = p.buffers[static_cast<std::size_t>(copy.plan.out)];
    const auto aligned = [&](int channels) { return static_cast<std::size_t>(channels) * element_bytes % most_aligned == 0; };
    if (from.is_bytes || to.is_bytes || from.is_u8 || to.is_u8 || from.of.height != to.of.height || from.of.width != to.of.width || !aligned(copy.plan.offset) || !aligned(to.of.channels)) return false;
    for (std::size_t i = 0; i < p.steps.size(); ++i) {
        const step& s = p.steps[i];
        if (s.plan.out == copy.plan.in && (static_cast<int>(i) > at || !run_together(p, static_cast<int>(i), at))) return false;
        // Whoever else writes the result would write the operand: behind a cut the operand must be over by then.
        if (s.plan.out == copy.plan.out && !(is_concat_copy(s) && s.plan.op == copy.plan.op) && (s.plan.kind != step_kind::decode || from.last >= static_cast<int>(i))) return false;
    }
    return true;
}

} // namespace detail

/// For each buffer, what it is a slice of. `apart`: buffers that have to stay on their own.
inline std::vector<slice> find_slices(const program& p, std::size_t element_bytes, const std::vector<bool>& apart) {
    std::vector<slice> slices(p.buffers.size());
    for (std::size_t i = 0; i < p.steps.size(); ++i) {
        const step& s = p.steps[i];
        if (!detail::is_concat_copy(s)) continue;
        slice& mine = slices[static_cast<std::size_t>(s.plan.in)];
        if (mine.of >= 0 || apart[static_cast<std::size_t>(s.plan.in)] || !detail::may_be_slice(p, static_cast<int>(i), element_bytes)) continue;
        // What lies in the operand lies in the result too, and must be over before anyone else writes there.
        bool over = true;
        for (std::size_t b = 0; b < slices.size() && over; ++b) {
            int root = static_cast<int>(b);
            while (slices[static_cast<std::size_t>(root)].of >= 0) root = slices[static_cast<std::size_t>(root)].of;
            if (root != s.plan.in) continue;
            for (std::size_t q = 0; q < p.steps.size(); ++q)
                if (p.steps[q].plan.out == s.plan.out && p.steps[q].plan.kind == step_kind::decode && p.buffers[b].last >= static_cast<int>(q)) over = false;
        }
        if (over) mine = {s.plan.out, s.plan.offset};
    }
    return slices;
}

/// A buffer's place: bytes from the arena's begin, and what lies between its pixels and images (elements; of bytes and tensors of bytes: bytes).
struct place {
    std::size_t offset{};
    int pixel{};
    std::int64_t image{};
    std::size_t root{}, bytes{};    ///< where the buffer begins that it is a slice of, or it itself; and of all that, of every frame
};

/// Places of all buffers for `images` frames at once: first fit in order of birth, as `graph::plan_memory`, for interleaved tensors.
struct arena_plan {
    std::vector<place> places;
    std::size_t bytes{};

    arena_plan() = default;
    /// `last`: until which step each buffer keeps its place.
    arena_plan(const program& p, std::size_t element_bytes, const std::vector<slice>& slices, int images, const std::vector<int>& last) : places(p.buffers.size()) {
        struct life {
            int buffer, first, last;
        };
        std::vector<life> roots;
        for (std::size_t b = 0; b < places.size(); ++b)
            if (slices[b].of < 0) roots.push_back({static_cast<int>(b), p.buffers[b].first, last[b]});
        const auto root_of = [&](int b, int& channel) {
            for (channel = 0; slices[static_cast<std::size_t>(b)].of >= 0; b = slices[static_cast<std::size_t>(b)].of) channel += slices[static_cast<std::size_t>(b)].channel;
            return b;
        };
        for (std::size_t b = 0; b < places.size(); ++b) {
            int channel = 0;
            const int root = root_of(static_cast<int>(b), channel);
            for (life& r : roots)
                if (r.buffer == root) r.first = std::min(r.first, p.buffers[b].first), r.last = std::max(r.last, last[b]);
        }
        std::stable_sort(roots.begin(), roots.end(), [](const life& a, const life& b) { return a.first < b.first; });
        struct live_buffer {
            std::size_t begin, end;
            int last;
        };
        std::vector<live_buffer> live;          // sorted by place
        for (const life& r : roots) {
            const graph::buffer& b = p.buffers[static_cast<std::size_t>(r.buffer)];
            place& to = places[static_cast<std::size_t>(r.buffer)];
            to.pixel = b.is_u8 ? graph::byte_pitch(b.of.channels, b.range < 0) : b.of.channels;
            to.image = b.is_bytes ? (b.bytes + 15) / 16 * 16 : std::int64_t{b.of.height} * b.of.width * to.pixel;
            const std::size_t wanted = static_cast<std::size_t>(to.image) * static_cast<std::size_t>(images) * (b.is_bytes || b.is_u8 ? 1 : element_bytes);
            const std::size_t size = (wanted + 255) / 256 * 256 + 256;
            std::erase_if(live, [&](const live_buffer& x) { return x.last < r.first; });
            std::size_t at = 0;
            auto where = live.begin();
            for (; where != live.end() && where->begin - at < size; ++where) at = std::max(at, where->end);
            live.insert(where, {at, at + size, r.last});
            to.offset = to.root = at;
            to.bytes = wanted;
            bytes = std::max(bytes, at + size);
        }
        for (std::size_t b = 0; b < places.size(); ++b) {
            int channel = 0;
            const int root = root_of(static_cast<int>(b), channel);
            const place& of = places[static_cast<std::size_t>(root)];
            if (root != static_cast<int>(b)) places[b] = {of.offset + static_cast<std::size_t>(channel) * element_bytes, of.pixel, of.image, of.root, of.bytes};
        }
    }
};

} // namespace splitdsl::gpu
