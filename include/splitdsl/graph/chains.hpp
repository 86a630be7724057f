// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file chains.hpp
/// Which steps run band by band of rows, so that the large maps between them never exist as a whole.
///
/// A chain is a run of steps of which each reads windows of what the one before it makes, and nobody else reads that. Its last step's rows are made a
/// band at a time; before each band, every step before it makes the rows that are still missing for it. A map between two steps is then a window of
/// rows that slides down: what the next band reads again moves up, what it does not is overwritten. Every value is summed as without a chain.
#pragma once

#include <splitdsl/graph/steps.hpp>

namespace splitdsl::graph {

/// What makes a chain worth its bands; measured (docs/performance.md).
struct chain_costs {
    std::int64_t least_map = 4'000'000; ///< bytes of a map from which on bands gain more than threads lose by meeting behind each of them
    std::int64_t band = 768 << 10;      ///< bytes of all windows together
    std::int64_t least_byte_map = 3'500'000, byte_band = 6 << 20; ///< the same of maps of bytes, whose steps are so quick that short bands cost threads more than they gain
    int rows = 3;                       ///< of the last step, that a band has whatever they take: rows that the next band reads again are moved
    std::int64_t weights = 256 << 10;   ///< bytes of a step's weights, read again for every band, that stay in that cache beside the windows
    int channels = 16;                  ///< maps and weights count in whole blocks of them, so that the choice is the same for every instruction set
};

/// Rows a step makes and the rows of its input that it reads for them. Files of several instruction sets call what stands here, so all of it is inlined.
struct row_span {
    int height{};           ///< of its output
    int granule{1};         ///< output rows that are made together
    int stride{1}, before{}, reach{1}; ///< a granule from output row y on reads the input's rows [y * stride - before, y * stride - before + reach)

    /// The first row that output rows from `begin` on read; in front of the input it is negative.
    [[gnu::always_inline]] constexpr int first_for(int begin) const { return begin * stride - before; }
    /// The end of those that output rows up to `end` read; it may lie behind the input.
    [[gnu::always_inline]] constexpr int end_for(int end) const { return (end - 1) / granule * granule * stride - before + reach; }
    /// Rows that are there when `end` are asked for.
    [[gnu::always_inline]] constexpr int made_for(int end) const {
        const int whole = (end + granule - 1) / granule * granule;
        return whole < height ? whole : height;
    }
};

inline constexpr int longest_chain = 8;

/// Rows of each of `count` steps that have to be there when the last one has made `end` of its own; `done` are.
[[gnu::always_inline]] constexpr void rows_for_band(const row_span* const* steps, int count, int end, const int* done, int* until) {
    until[count - 1] = end;
    for (int k = count - 1; k > 0; --k) {
        const int wanted = steps[k]->end_for(until[k]), made = wanted > 0 ? steps[k - 1]->made_for(wanted) : 0;
        until[k - 1] = made > done[k - 1] ? made : done[k - 1];
    }
}
/// First row of a map that is still read when its reader has made `read` rows and its writer `made`; `top`: zeros in front of it.
[[gnu::always_inline]] constexpr int first_kept(const row_span& reader, int read, int made, int top) {
    const int first = reader.first_for(read) < made ? reader.first_for(read) : made;
    return first > -top ? first : -top;
}

/// By step: where a chain begins, and how its steps' rows depend on each other. By buffer: how many rows it holds at a time, and between which steps it lives.
template <std::size_t Capacity>
struct chain_table {
    struct life { int first{}, last{}; };
    int length[Capacity]{};     ///< steps of the chain that begins here; 0: none does
    int band[Capacity]{};       ///< rows of its last step
    row_span rows[Capacity]{};
    int window[Capacity]{};     ///< 0: all rows
    life lives[Capacity]{};
};

template <std::size_t N, std::size_t S>
class chaining {
public:
    const op* ops;
    const resolved<N, S>& r;
    const step_list<N, S>& l;
    chain_table<step_list<N, S>::capacity> to{};
    const chain_costs costs;

    constexpr chaining(const body<N, S>& g, const resolved<N, S>& resolved_, const step_list<N, S>& steps, chain_costs c)
        : ops(g.ops.data()), r(resolved_), l(steps), costs(c) {}

    constexpr const step& at(int i) const { return l.steps[static_cast<std::size_t>(i)]; }
    constexpr const buffer& map_of(int i) const { return l.buffers[static_cast<std::size_t>(at(i).out)]; }
    constexpr row_span& rows(int i) { return to.rows[static_cast<std::size_t>(i)]; }

    /// Whether a step can make some of its rows, reading rows of a tensor.
    static constexpr bool reads_rows(step_kind k) {
        return k == step_kind::conv || k == step_kind::depthwise || k == step_kind::max_pool || k == step_kind::avg_pool || is_winograd(k) || reads_rows_of_bytes(k);
    }
    static constexpr bool reads_rows_of_bytes(step_kind k) {
        return k == step_kind::conv_u8 || k == step_kind::depthwise_u8 || k == step_kind::max_pool_u8 || k == step_kind::avg_pool_u8;
    }
    static constexpr bool is_winograd(step_kind k) {
        return k == step_kind::winograd_2x2 || k == step_kind::winograd_4x4 || k == step_kind::winograd_4x4_strided || k == step_kind::winograd_3x3_strided || k == step_kind::winograd_line ||
               k == step_kind::winograd_2x2_of_5x5;
    }
    /// Rows of a Winograd convolution's tile; 0: it is none.
    constexpr int winograd_rows(const step& s) const {
        switch (s.kind) {
        case step_kind::winograd_2x2:
        case step_kind::winograd_2x2_of_5x5: return 2;
        case step_kind::winograd_4x4:
        case step_kind::winograd_4x4_strided: return 4;
        case step_kind::winograd_3x3_strided: return 3;
        case step_kind::winograd_line: return ops[static_cast<std::size_t>(s.op)].kernel.width == 1 ? 6 : 1;
        default: return 0;
        }
    }
    /// A picture's bytes can be loaded row by row.
    constexpr bool loads_rows(const step& s) const {
        if (s.kind == step_kind::load_u8) return true;
        if (s.kind != step_kind::load_input || s.op < 0) return false;
        const op& o = ops[static_cast<std::size_t>(s.op)];
        const op& source = o.kind == op_kind::input ? o : ops[static_cast<std::size_t>(r.a[static_cast<std::size_t>(s.op)])];
        return source.kind == op_kind::input && source.element == element_type::u8;
    }
    constexpr row_span span_of(const step& s) const {
        row_span x;
        x.height = l.buffers[static_cast<std::size_t>(s.out)].of.height;
        if (s.kind == step_kind::load_input || s.kind == step_kind::load_u8) return x;
        const op& o = ops[static_cast<std::size_t>(s.op)];
        x.stride = o.stride.height;
        x.before = o.pad.top;
        x.reach = o.dilation.height * (o.kernel.height - 1) + 1;
        if (const int tile = winograd_rows(s); tile > 0) {
            x.granule = tile;
            if (x.stride == 1) x.reach = tile - 1 + o.kernel.height;
            else x.reach = x.stride * (tile + (s.kind == step_kind::winograd_3x3_strided ? 3 : 2)); // a phase's tile, also where the kernel's last taps are none
        }
        return x;
    }
    constexpr std::int64_t whole_blocks(int channels) const { return std::int64_t{(channels + costs.channels - 1) / costs.channels} * costs.channels; }
    constexpr std::int64_t row_bytes(const buffer& b) const {
        return (b.of.width + b.left + b.right) * (b.is_u8 ? byte_pitch(b.of.channels, b.range < 0) : 4 * (b.in_quads ? 4 : whole_blocks(b.of.channels)));
    }
    constexpr std::int64_t weight_bytes(const step& s) const {
        const op& o = ops[static_cast<std::size_t>(s.op)];
        if (o.kind != op_kind::conv) return 0;
        const std::int64_t in = o.groups > 1 ? 1 : l.buffers[static_cast<std::size_t>(s.in)].of.channels;
        const std::int64_t positions = s.kind == step_kind::winograd_line ? 12 : s.kind == step_kind::winograd_2x2 ? 16 : 36, taps = std::int64_t{o.kernel.height} * o.kernel.width;
        return (reads_rows_of_bytes(s.kind) ? 1 : 4) * in * whole_blocks(o.out) * (is_winograd(s.kind) ? positions * o.stride.height * o.stride.width : taps);
    }
    constexpr bool runs_in_bands(const step& s) const { return loads_rows(s) || (reads_rows(s.kind) && weight_bytes(s) <= costs.weights); }
    /// Whether step i may read what step i - 1 makes while that is being made.
    constexpr bool follows(int i) const {
        const step &a = at(i - 1), &b = at(i);
        if (!reads_rows(b.kind) || !runs_in_bands(b) || b.in != a.out || b.addend == a.out || b.stage != a.stage || b.part != a.part || b.fan != a.fan) return false;
        const buffer& map = map_of(i - 1);
        return !map.is_bytes && a.defines && map.first == i - 1 && map.last == i && row_bytes(map) * map.of.height >= (map.is_u8 ? costs.least_byte_map : costs.least_map);
    }

    /// Goes through a chain's bands as the executor does; the rows that each map has to hold.
    constexpr void size_windows(int first, int count) {
        const row_span* steps[longest_chain]{};
        int done[longest_chain]{}, until[longest_chain]{};
        for (int k = 0; k < count; ++k) steps[k] = &rows(first + k);
        const int height = steps[count - 1]->height, band = to.band[static_cast<std::size_t>(first)];
        for (int y = 0; y < height;) {
            y = y + band < height ? y + band : height;
            rows_for_band(steps, count, y, done, until);
            for (int k = 0; k < count; ++k) {
                if (k + 1 < count) {
                    const buffer& map = map_of(first + k);
                    const int end = until[k] == map.of.height ? until[k] + map.bottom : until[k];
                    int& window = to.window[static_cast<std::size_t>(at(first + k).out)];
                    if (const int held = end - first_kept(*steps[k + 1], done[k + 1], done[k], map.top); held > window) window = held;
                }
                done[k] = until[k];
            }
        }
    }
    /// As many rows of the last step as keep all windows within their bytes.
    constexpr int band_of(int first, int count) {
        std::int64_t bytes = 0, stride = 1;
        for (int k = count - 1; k > 0; --k) stride *= rows(first + k).stride, bytes += stride * row_bytes(map_of(first + k - 1));
        const row_span& last = rows(first + count - 1);
        const std::int64_t rows_within = (map_of(first).is_u8 ? costs.byte_band : costs.band) / bytes;
        const auto most = static_cast<int>(rows_within < costs.rows ? costs.rows : rows_within < last.height ? rows_within : last.height);
        const int bands = (last.height + most - 1) / most, even = (last.height + bands - 1) / bands;
        return (even + last.granule - 1) / last.granule * last.granule;
    }

    constexpr void run() {
        for (std::size_t b = 0; b < static_cast<std::size_t>(l.buffer_count); ++b) to.lives[b] = {l.buffers[b].first, l.buffers[b].last};
        for (int i = 0; i + 1 < l.count;) {
            int end = i + 1;
            if (runs_in_bands(at(i)))
                while (end < l.count && end - i < longest_chain && follows(end)) ++end;
            if (end - i > 1) {
                for (int k = i; k < end; ++k) rows(k) = span_of(at(k));
                to.length[static_cast<std::size_t>(i)] = end - i;
                to.band[static_cast<std::size_t>(i)] = band_of(i, end - i);
                size_windows(i, end - i);
                for (int b = 0; b < l.buffer_count; ++b) { // all of a chain's tensors are there while it runs
                    auto& x = to.lives[static_cast<std::size_t>(b)];
                    if (x.first > i && x.first < end) x.first = i;
                    if (x.last >= i && x.last < end) x.last = end - 1;
                }
            }
            i = end;
        }
    }
};

template <std::size_t N, std::size_t S>
constexpr auto plan_chains(const body<N, S>& g, const resolved<N, S>& r, const step_list<N, S>& steps, chain_costs costs) {
    chaining<N, S> c(g, r, steps, costs);
    c.run();
    return c.to;
}

} // namespace splitdsl::graph

namespace splitdsl {
/// `static constexpr graph::chain_costs chains{...};` in a network's struct takes other ones, as tests and measurements do.
template <class Network>
inline constexpr graph::chain_costs chain_costs_of = [] {
    if constexpr (requires { Network::chains; }) return Network::chains;
    else return graph::chain_costs{};
}();
template <class Network>
inline constexpr auto chains_of = graph::plan_chains(graph_of<Network>, resolved_of<Network>, steps_of<Network>, chain_costs_of<Network>);
} // namespace splitdsl
