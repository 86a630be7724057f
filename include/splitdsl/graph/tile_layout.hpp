// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_layout.hpp
/// One tile of a segment of steps: the region of every map, where it lies in the tile's own small arena, its multiply-accumulates, and the bytes that go in and out.
#pragma once

#include <splitdsl/graph/tile_regions.hpp>

namespace splitdsl::graph {

/// A place between two steps where a single tensor is all that the steps behind still read (beside raw inputs). Segments of steps begin and end at such places.
struct border {
    int step{};                         ///< the first one behind it
    int tensor{};                       ///< buffer that crosses; -1 at the network's begin and end
};

/// The steps between two borders, cut into rows x columns tiles of the map that leaves it.
struct segment {
    border first{}, last{};
    int rows{1}, columns{1};
    constexpr int tiles() const { return rows * columns; }
};

/// Between which steps a tensor is written and read; -1: never. (Arrays whose members begin with anything but zero keep, in g++ 12, what a constant expression left in them.)
struct tensor_life {
    int first_write{}, last_write{}, last_read{};
    constexpr bool crosses(int step) const { return first_write >= 0 && first_write < step && last_read >= step; }
};
template <std::size_t Capacity>
struct life_table { tensor_life of[Capacity]{}; };
template <std::size_t Capacity>
constexpr life_table<Capacity> lives_of(const tile_source& n) {
    life_table<Capacity> t;
    for (tensor_life& x : t.of) x = {-1, -1, -1};
    for (int i = 0; i < n.count; ++i) {
        const step& s = n.at(i);
        if (is_skipped(s) || s.kind == step_kind::branch) continue;
        each_read(s, [&](int b) { t.of[b].last_read = i; });
        if (s.out < 0) continue;
        if (t.of[s.out].first_write < 0) t.of[s.out].first_write = i;
        t.of[s.out].last_write = i;
    }
    return t;
}

/// Places where a segment may begin or end, in order; the network's begin and end are the first and the last one.
template <std::size_t Capacity>
struct border_table {
    border at[Capacity + 2]{};
    int count{};
    const char* why{};                  ///< null, or why this network has none
};
template <std::size_t Capacity>
constexpr border_table<Capacity> borders_of(const tile_source& n) {
    border_table<Capacity> t;
    const life_table<Capacity> lives = lives_of<Capacity>(n);
    for (int i = 0; i < n.count; ++i)
        if (const char* const why = why_not(n, n.at(i)); why && !t.why) t.why = why;
    t.at[t.count++] = {0, -1};
    for (int p = 1; p < n.count && !t.why; ++p) {
        if (is_skipped(n.at(p - 1))) continue;
        int crossing = 0, tensor = -1;
        bool sound = true;
        for (int b = 0; b < n.buffer_count; ++b) {
            const tensor_life& x = lives.of[b];
            if (!x.crosses(p)) continue;
            ++crossing, tensor = b;
            sound = sound && x.last_write < p && !n.buffers[b].in_quads;
        }
        if (crossing == 1 && sound && tensor != t.at[t.count - 1].tensor) t.at[t.count++] = {p, tensor};
    }
    t.at[t.count++] = {n.count, -1};
    return t;
}

/// A tensor, or what a tile has of it, in the tile's arena. Its halo's zeros stand for the picture's border.
struct tile_tensor {
    region of{};
    std::int16_t top{}, left{}, bottom{}, right{};
    std::int64_t offset{};              ///< bytes from the arena
    int first{}, last{};                ///< steps of the segment between which it lives
    bool is_used{}, is_placed{};
    constexpr buffer as_buffer(const buffer& whole) const {
        buffer b = whole;
        b.of = {whole.of.channels, of.height(), of.width()};
        b.top = top, b.left = left, b.bottom = bottom, b.right = right;
        return b;
    }
};
/// What a tile's step makes of its map, what it reads of its first operand, and where it works.
struct tile_step {
    region made{};
    seen_region seen{};
    std::int64_t scratch{};             ///< bytes from the arena
    std::int64_t scratch_bytes{};
    int chunk{};                        ///< of a Winograd convolution
};

template <std::size_t Capacity>
struct tile_layout {
    segment of{};
    tile_tensor tensors[Capacity]{};
    tile_step steps[Capacity]{};
    region out{};                       ///< of the tensor that leaves the segment, what this tile gives
    int channels{};                     ///< of that tensor, where a device makes only some (graph/channel_shares.hpp); 0: all
    std::int64_t arena_bytes{};
    std::int64_t macs{};
    std::int64_t raw_bytes{};           ///< of raw inputs, cropped, as their loads read them
    std::int64_t in_bytes{};            ///< the same and the crop of the tensor that enters: what a device is sent
    std::int64_t out_bytes{};           ///< what it sends back
};

/// Bytes of a raw input's region as its load reads it.
constexpr std::int64_t raw_bytes_of(const tile_source& n, const step& s, const region& of) {
    const op& o = n.op_of(s);
    const op& source = o.kind == op_kind::input ? o : n.ops[n.operand[s.op]];
    return of.pixels() * source.size.channels * (source.element == element_type::u8 ? 1 : 4);
}
constexpr std::int64_t crop_bytes(const tile_source& n, int tensor, const region& of) {
    return n.buffers[tensor].is_bytes ? n.buffers[tensor].bytes : of.pixels() * n.map(tensor).channels * 4;
}
/// Part k of a map's rows or columns in `parts` almost equal ones.
constexpr int part_begin(int all, int k, int parts) { return static_cast<int>(std::int64_t{all} * k / parts); }

/// Multiply-accumulates of a step that makes `pixels` of its map's.
constexpr std::int64_t macs_of(const tile_source& n, const step& s, std::int64_t pixels) {
    const bool weighted = is_direct(s.kind) || is_winograd(s.kind) || s.kind == step_kind::conv_transpose || s.kind == step_kind::dense;
    if (!weighted || s.out < 0) return 0;
    const shape out = n.map(s.out);
    return n.macs[s.op] / (std::int64_t{out.height} * out.width) * pixels;
}

/// Room for a step to work in: of a Winograd convolution for one thread, and for no more tiles than it has.
constexpr void size_scratch(const tile_source& n, const step& s, tile_step& t) {
    if (s.kind == step_kind::encode || s.kind == step_kind::decode) {
        t.scratch_bytes = 4 * n.map(s.kind == step_kind::encode ? s.in : s.out).size();
    } else if (is_winograd(s.kind)) {
        const winograd_plan plan = plan_winograd(n.op_of(s), n.map(s.in), n.map(s.out));
        const window_axes w = axes_of(n, s);
        const std::int64_t tiles = std::int64_t{(t.made.height() + w.down.granule - 1) / w.down.granule} * ((t.made.width() + w.across.granule - 1) / w.across.granule);
        t.chunk = plan.strided || tiles > plan.chunk ? plan.chunk : static_cast<int>(tiles);
        t.scratch_bytes = plan.scratch * 4 / plan.tasks * t.chunk / plan.chunk;
    }
}

/// Regions, backwards from the tile of the tensor that leaves the segment; then places in the arena, first fit in order of birth.
template <std::size_t Capacity>
class tile_layouter {
public:
    const tile_source& n;
    const life_table<Capacity>& lives;
    const segment of;
    tile_layout<Capacity> to{};

    constexpr tile_layouter(const tile_source& source, const life_table<Capacity>& l, const segment& s, int channels = 0) : n(source), lives(l), of(s) { to.of = s, to.channels = channels; }

    /// What it costs, without places in an arena.
    constexpr void follow_back(int row, int column) {
        if (of.last.tensor >= 0) {
            const region all = n.whole(of.last.tensor);
            to.out = {part_begin(all.bottom, row, of.rows), part_begin(all.right, column, of.columns), part_begin(all.bottom, row + 1, of.rows), part_begin(all.right, column + 1, of.columns)};
            to.tensors[of.last.tensor].of = to.out;
            to.out_bytes = crop_bytes(n, of.last.tensor, to.out);
        }
        for (int i = of.last.step; i-- > of.first.step;) {
            const step& s = n.at(i);
            if (is_skipped(s)) continue;
            tile_step& t = to.steps[i];
            if (s.out >= 0) {
                // A tile that is alone reads its raw input where it lies, also the rows and columns that no window meets.
                const bool loads_whole = s.kind == step_kind::load_input && of.tiles() == 1;
                t.made = to.tensors[s.out].of = n.buffers[s.out].is_bytes || loads_whole ? n.whole(s.out) : grown(n, s, to.tensors[s.out].of);
                if (s.kind == step_kind::load_input) to.raw_bytes += (raw_bytes_of(n, s, t.made) + 3) / 4 * 4;
                to.macs += macs_of(n, s, t.made.pixels());
            }
            if (s.in < 0) continue;
            t.seen = s.out >= 0 ? seen_by(n, s, t.made) : seen_region{n.whole(s.in)};
            want(s.in, t.seen.of);
            if (is_direct(s.kind)) want_halo(s.in, t.seen);
            if (s.in2 >= 0) want(s.in2, beside(n, s.in2, s, t.made));
            if (s.addend >= 0) want(s.addend, beside(n, s.addend, s, t.made));
        }
        to.in_bytes = to.raw_bytes + (of.first.tensor < 0 ? 0 : crop_bytes(n, of.first.tensor, to.tensors[of.first.tensor].of));
    }

    constexpr void place(int lanes) {
        for (int i = of.first.step; i < of.last.step; ++i) {
            const step& s = n.at(i);
            if (is_skipped(s)) continue;
            each_read(s, [&](int b) { live(b, i); });
            if (s.out >= 0) live(s.out, i);
        }
        if (of.last.tensor >= 0) to.tensors[of.last.tensor].last = of.last.step; // it leaves when all is done
        for (int i = of.first.step; i < of.last.step; ++i) {
            const step& s = n.at(i);
            if (is_skipped(s)) continue;
            each_read(s, [&](int b) { put_born(b, i, lanes); });
            if (s.out >= 0) put_born(s.out, i, lanes);
            tile_step& t = to.steps[i];
            size_scratch(n, s, t);
            if (t.scratch_bytes > 0) t.scratch = put((t.scratch_bytes + 127) / 64 * 64, i, i);
        }
        to.arena_bytes = (to.arena_bytes + 63) / 64 * 64;
    }

private:
    struct taken { std::int64_t begin, end; int last; };
    taken places[Capacity]{};
    int count = 0;

    constexpr void want(int b, const region& r) { to.tensors[b].of = hull(to.tensors[b].of, r); }
    constexpr void want_halo(int b, const seen_region& x) {
        tile_tensor& t = to.tensors[b];
        t.top = static_cast<std::int16_t>(most_of(t.top, x.top)), t.left = static_cast<std::int16_t>(most_of(t.left, x.left));
        t.bottom = static_cast<std::int16_t>(most_of(t.bottom, x.bottom)), t.right = static_cast<std::int16_t>(most_of(t.right, x.right));
    }
    constexpr void live(int b, int i) {
        tile_tensor& t = to.tensors[b];
        if (!t.is_used) t.first = i;
        t.is_used = true;
        t.last = i;
    }
    constexpr void put_born(int b, int i, int lanes) {
        tile_tensor& t = to.tensors[b];
        if (t.is_placed) return;
        t.is_placed = true;
        buffer room = t.as_buffer(n.buffers[b]);
        if (b == of.last.tensor && to.channels > 0) room.of.channels = to.channels;
        t.offset = put(room_of(room, 0, lanes), i, t.last);
    }
    constexpr std::int64_t put(std::int64_t bytes, int now, int last) {
        int kept = 0, where = -1;
        std::int64_t at = 0;
        for (int k = 0; k < count; ++k) {
            const taken x = places[k];
            if (x.last < now) continue;
            if (where < 0) {
                if (x.begin - at >= bytes) where = kept;
                else if (x.end > at) at = x.end;
            }
            places[kept++] = x;
        }
        count = kept;
        if (where < 0) where = count;
        for (int k = count; k > where; --k) places[k] = places[k - 1];
        places[where] = {at, at + bytes, last};
        ++count;
        if (at + bytes > to.arena_bytes) to.arena_bytes = at + bytes;
        return at;
    }
};

template <std::size_t Capacity>
constexpr tile_layout<Capacity> lay_out(const tile_source& n, const life_table<Capacity>& lives, const segment& of, int row, int column, int lanes, int channels = 0) {
    tile_layouter<Capacity> l{n, lives, of, channels};
    l.follow_back(row, column);
    l.place(lanes);
    return l.to;
}

/// Bytes of a step's packed weights, at most: what the executor packs for `lanes` channels a block, in whole lines of a cache.
constexpr std::int64_t packed_bytes_of(const tile_source& n, const step& s, int lanes) {
    if (is_skipped(s) || s.op < 0 || s.in < 0 || s.out < 0) return 0;
    const op& o = n.op_of(s);
    const std::int64_t in = n.map(s.in).channels, blocks = (std::int64_t{n.map(s.out).channels} + lanes - 1) / lanes, outs = blocks * lanes;
    const std::int64_t taps = std::int64_t{o.kernel.height} * o.kernel.width, phases = std::int64_t{o.stride.height} * o.stride.width;
    std::int64_t floats = 0;
    if (s.kind == step_kind::conv || s.kind == step_kind::conv_transpose) floats = outs * (1 + in * taps);
    else if (s.kind == step_kind::depthwise) floats = outs * (1 + taps);
    else if (s.kind == step_kind::grouped_conv) {
        const int per_group = o.out / o.groups, inputs = static_cast<int>(in) / o.groups;
        int most = 0; // input channels that a block of outputs reads
        for (int b = 0; b < blocks; ++b) most = most_of(most, ((least_of(o.out, (b + 1) * lanes) - 1) / per_group - b * lanes / per_group + 1) * inputs);
        floats = outs * (1 + most * taps);
    } else if (s.kind == step_kind::winograd_line) floats = outs * (1 + in * 12);
    else if (is_winograd(s.kind)) floats = outs * (1 + in * phases * (s.kind == step_kind::winograd_2x2 ? 16 : 36));
    else if (s.kind == step_kind::dense) floats = 16 + outs * (1 + in);
    else if (s.kind == step_kind::affine) floats = 2 * outs;
    else if (s.kind == step_kind::l2_normalise) floats = outs;
    else if (s.kind == step_kind::encode || s.kind == step_kind::decode) floats = 2;
    return floats == 0 ? 0 : (floats + 31) / 16 * 64;
}

} // namespace splitdsl::graph
